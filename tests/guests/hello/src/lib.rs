//! Answers every request with `hello`.

wit_bindgen::generate!({ world: "hello", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct Hello;
export!(Hello);

impl Guest for Hello {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A client that is gone is no concern of this component.
        _ = stream.blocking_write_and_flush(b"hello\n");
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
}
