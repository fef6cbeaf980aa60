//! How an answer is sent.

use crate::reply::Reply;
use crate::wasi::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// The most that one blocking write takes.
const CHUNK: usize = 4096;

/// Sends an answer.
pub fn send(reply: Reply, out: ResponseOutparam) {
    let headers = Fields::new();
    for (name, value) in reply.headers {
        headers
            .append(name, value.as_bytes())
            .expect("the headers above are valid");
    }
    let response = OutgoingResponse::new(headers);
    response
        .set_status_code(reply.status)
        .expect("the statuses above are valid");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // A visitor who leaves early ends it; there is nobody left to tell.
    _ = reply
        .body
        .as_bytes()
        .chunks(CHUNK)
        .try_for_each(|chunk| stream.blocking_write_and_flush(chunk));
    drop(stream);
    _ = OutgoingBody::finish(body, None);
}
