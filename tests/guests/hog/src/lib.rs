//! Takes as many MiB of memory as its path says, answers, and keeps them until the request's body ends.

wit_bindgen::generate!({ world: "hog", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, IncomingBody, OutgoingBody, OutgoingResponse};

struct Hog;
export!(Hog);

/// The most that is read at a time.
const CHUNK: u64 = 4096;

impl Guest for Hog {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let mib: usize = path.trim_start_matches('/').parse().unwrap_or_default();
        // Each page is written to, or the system would not have to find it.
        let kept = vec![1_u8; mib << 20];

        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        _ = OutgoingBody::finish(body, None);

        let incoming = request.consume().expect("the body is taken once");
        let input = incoming.stream().expect("the stream is taken once");
        while input.blocking_read(CHUNK).is_ok() {}
        drop(input);
        drop(IncomingBody::finish(incoming));
        drop(std::hint::black_box(kept));
    }
}
