//! Sends the request's body back as it comes, with its trailers, and its `x-gate`. `x-asked` has the method and address
//! it was asked for.
//! A request for `/trap` makes it trap, one for `/refuse` is answered with an error.

wit_bindgen::generate!({ world: "http-echo-p3", path: "../wit-0.3", generate_all });

use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use wasi::http::types::Fields;

struct Echo;
export!(Echo);

impl Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query();
        match path.as_deref() {
            Some("/trap") => panic!("asked to"),
            Some("/refuse") => return Err(ErrorCode::HttpRequestDenied),
            _ => {}
        }
        let headers = Fields::new();
        let asked = format!(
            "{:?} {:?} {path:?}",
            request.get_method(),
            request.get_authority()
        );
        _ = headers.set("x-asked", &[asked.into_bytes()]);
        let came = request.get_headers();
        for name in ["x-gate", "authorization"] {
            _ = headers.set(name, &came.get(name));
        }
        let (all_read, read) = wit_future::new(|| Ok(()));
        let (contents, trailers) = Request::consume_body(request, read);
        let (response, _sent) = Response::new(headers, Some(contents), trailers);
        drop(all_read);
        Ok(response)
    }
}
