//! Sends the request's body back as it comes, with its content type and its trailers. A body that breaks off is answered with
//! the trailer `x-broken`.

wit_bindgen::generate!({ world: "http-echo", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, FutureTrailers, IncomingBody, OutgoingBody, OutgoingResponse};
use wasi::io::streams::StreamError;

struct Echo;
export!(Echo);

/// The most that is moved at a time: what one `blocking_write_and_flush` takes.
const CHUNK: u64 = 4096;

impl Guest for Echo {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let name = "content-type".to_string();
        let headers = Fields::new();
        headers
            .set(&name, &request.headers().get(&name))
            .expect("fresh headers can be changed, and the value was a header's");
        let incoming = request.consume().expect("the body is taken once");
        let input = incoming.stream().expect("the stream is taken once");

        let response = OutgoingResponse::new(headers);
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().expect("the stream is taken once");
        let is_whole = loop {
            match input.blocking_read(CHUNK) {
                Ok(chunk) if output.blocking_write_and_flush(&chunk).is_ok() => {}
                Ok(_) | Err(StreamError::Closed) => break true,
                Err(StreamError::LastOperationFailed(_)) => break false,
            }
        };
        drop((input, output));
        let trailers = match is_whole {
            true => received(&IncomingBody::finish(incoming)),
            false => Fields::from_list(&[("x-broken".into(), b"yes".into())]).ok(),
        };
        _ = OutgoingBody::finish(body, trailers);
    }
}

/// A copy of the trailers that came, if any did.
fn received(trailers: &FutureTrailers) -> Option<Fields> {
    trailers.subscribe().block();
    let came = trailers.get()?.ok()?.ok()??;
    Fields::from_list(&came.entries()).ok()
}
