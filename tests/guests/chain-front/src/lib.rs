//! Answers with the trail of one step, over the link that the path names.

wit_bindgen::generate!({ world: "chain-front", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use t::chain::step::step;
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};
use wasmcloud::bus::lattice::{CallTargetInterface, set_link_name};

struct ChainFront;
export!(ChainFront);

impl Guest for ChainFront {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let link = path.trim_start_matches('/');
        if !link.is_empty() {
            set_link_name(link, vec![CallTargetInterface::new("t", "chain", "step")]);
        }
        let trail = step("front");
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A client that is gone is no concern of this component.
        _ = stream.blocking_write_and_flush(trail.as_bytes());
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
}
