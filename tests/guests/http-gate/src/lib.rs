//! Lets requests through to another handler that have an `authorization`, and answers the others with 401. A request for
//! `/consumed` is passed on when its body is gone.

wit_bindgen::generate!({ world: "http-gate", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::incoming_handler;
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct HttpGate;
export!(HttpGate);

impl Guest for HttpGate {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        if !request.headers().has("authorization") {
            return refuse(out);
        }
        if request.path_with_query().as_deref() == Some("/consumed") {
            drop(request.consume());
        }
        incoming_handler::handle(request, out);
    }
}

fn refuse(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(401).expect("the status is valid");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let output = body.write().expect("the stream is taken once");
    _ = output.blocking_write_and_flush(b"who are you?\n");
    drop(output);
    _ = OutgoingBody::finish(body, None);
}
