//! Answers with the request's body as a linked component changes it, in both directions at once.

wit_bindgen::generate!({ world: "upper-p3", path: "../wit-0.3", generate_all });

use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use t::streams::pipe;
use wasi::http::types::Fields;

struct UpperP3;
export!(UpperP3);

impl Guest for UpperP3 {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (_all_read, read) = wit_future::new(|| Ok(()));
        let (body, _trailers) = Request::consume_body(request, read);
        let changed = pipe::upper(body).await;
        let (no_trailers, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(changed), trailers);
        wit_bindgen::spawn_local(async move {
            // A client that is gone is no concern of this component.
            _ = no_trailers.write(Ok(None)).await;
        });
        Ok(response)
    }
}
