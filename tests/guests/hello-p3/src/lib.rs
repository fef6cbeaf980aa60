//! Answers every request with `hello`, as a WASI 0.3 service.

wit_bindgen::generate!({ world: "hello-p3", path: "../wit-0.3", generate_all });

use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use wasi::http::types::Fields;

struct HelloP3;
export!(HelloP3);

impl Guest for HelloP3 {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let (mut body, contents) = wit_stream::new();
        let (no_trailers, trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
        // The body is read only after this function has returned.
        wit_bindgen::spawn_local(async move {
            body.write_all(b"hello\n".to_vec()).await;
            drop(body);
            // A client that is gone is no concern of this component.
            _ = no_trailers.write(Ok(None)).await;
        });
        Ok(response)
    }
}
