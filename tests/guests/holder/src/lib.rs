//! Holds resources of a linked component while it answers. The path says how: `/live` says how many
//! the component has, `/leave` makes some and leaves them, and all others hold one for as long as the
//! request's body comes, which they send back.

wit_bindgen::generate!({ world: "holder", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use t::resources::counters::{self, Counter};
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};
use wasi::io::streams::OutputStream;

struct Holder;
export!(Holder);

/// The most that is moved at a time: what one `blocking_write_and_flush` takes.
const CHUNK: u64 = 4096;

impl Guest for Holder {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let text = match request.path_with_query().as_deref() {
            Some("/live") => Some((counters::made() - counters::dropped()).to_string()),
            Some("/leave") => Some(leave().to_string()),
            _ => None,
        };
        // Made before the head is out: until then a failure is the response.
        let held = text.is_none().then(|| Counter::new("held", 1));

        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().expect("the stream is taken once");
        match (text, held) {
            // A client that is gone is no concern of this component.
            (Some(text), _) => _ = output.blocking_write_and_flush(text.as_bytes()),
            (None, Some(held)) => hold(&held, &request, &output),
            (None, None) => unreachable!("there is a text, or something is held"),
        }
        drop(output);
        _ = OutgoingBody::finish(body, None);
    }
}

/// Makes some, gives some up in every way, and does not drop the rest: they end with the instance.
fn leave() -> u32 {
    let sum = Counter::merge(Counter::new("left", 3), Counter::new("right", 4));
    drop(Counter::new("dropped", 0));
    let mut parts = counters::split(sum, 4);
    let consumed = parts.pop().map(counters::consume);
    let left: u32 = parts.iter().map(Counter::value).sum();
    std::mem::forget(parts);
    left + consumed.unwrap_or_default()
}

/// Sends the request's body back, and then how many parts it had.
fn hold(held: &Counter, request: &IncomingRequest, output: &OutputStream) {
    let incoming = request.consume().expect("the body is taken once");
    let input = incoming.stream().expect("the stream is taken once");
    while let Ok(chunk) = input.blocking_read(CHUNK) {
        held.add(1);
        if output.blocking_write_and_flush(&chunk).is_err() {
            return;
        }
    }
    _ = output.blocking_write_and_flush(held.name().as_bytes());
}
