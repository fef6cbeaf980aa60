//! A whole answer, and how it is sent.

use serde_json::{Value, json};

use crate::wasi::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// The most that one blocking write takes.
const CHUNK: usize = 4096;

/// A status, headers and a body.
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Reply {
    pub fn html(status: u16, body: String) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/html; charset=utf-8")],
            body,
        }
    }

    pub fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json")],
            body: format!("{value}\n"),
        }
    }

    /// `{"error": WHY}`
    pub fn error(status: u16, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }

    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn send(self, out: ResponseOutparam) {
        let headers = Fields::new();
        for (name, value) in self.headers {
            headers
                .append(name, value.as_bytes())
                .expect("the headers above are valid");
        }
        let response = OutgoingResponse::new(headers);
        response
            .set_status_code(self.status)
            .expect("the statuses above are valid");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A visitor who leaves early ends it; there is nobody left to tell.
        _ = self
            .body
            .as_bytes()
            .chunks(CHUNK)
            .try_for_each(|chunk| stream.blocking_write_and_flush(chunk));
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
}
