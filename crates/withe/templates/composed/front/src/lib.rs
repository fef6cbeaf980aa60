//! Answers HTTP requests with the page that another component renders.

wit_bindgen::generate!({ world: "front", path: "../wit", generate_all });

use example::{{file}}::page;
use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct Front;
export!(Front);

impl Guest for Front {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let headers = Fields::new();
        headers
            .append("content-type", b"text/html; charset=utf-8")
            .expect("nobody forbids this header");
        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A client that is gone is no concern of this component.
        for part in page::render(&path).as_bytes().chunks(4096) {
            _ = stream.blocking_write_and_flush(part);
        }
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
}
