//! Stands before a handler. Requests that change something need the password that the configuration `password` has, as
//! `authorization: Bearer PASSWORD`; all others pass. A request that passes goes on as it came, its body unread.

wit_bindgen::generate!({ world: "guard", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::config::store;
use wasi::http::incoming_handler;
use wasi::http::types::{Fields, Method, OutgoingBody, OutgoingResponse};

struct Guard;
export!(Guard);

impl Guest for Guard {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        if may_pass(&request) {
            incoming_handler::handle(request, out);
        } else {
            refuse(out);
        }
    }
}

fn may_pass(request: &IncomingRequest) -> bool {
    if matches!(request.method(), Method::Get | Method::Head) {
        return true;
    }
    // Without a password nobody passes: one that was forgotten must not open the door.
    let Ok(Some(password)) = store::get("password") else {
        return false;
    };
    let wanted = format!("Bearer {password}").into_bytes();
    let given = request.headers().get("authorization");
    matches!(given.as_slice(), [one] if is_same(one, &wanted))
}

/// Compares all bytes, so that the time it takes tells nothing of a password.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differ == 0
}

fn refuse(out: ResponseOutparam) {
    let fields = Fields::new();
    fields
        .append("www-authenticate", b"Bearer")
        .expect("the field is valid");
    let response = OutgoingResponse::new(fields);
    response.set_status_code(401).expect("the status is valid");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let output = body.write().expect("the stream is taken once");
    // A client that has gone reads nothing.
    _ = output.blocking_write_and_flush(b"say the password\n");
    drop(output);
    _ = OutgoingBody::finish(body, None);
}
