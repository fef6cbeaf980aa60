//! Sends requests on for other components, with a header more, but for those for `/denied`.

wit_bindgen::generate!({ world: "http-relay-p3", path: "../wit-0.3", generate_all });

use exports::wasi::http::client::{ErrorCode, Guest, Request, Response};
use wasi::http::client;

struct Relay;
export!(Relay);

impl Guest for Relay {
    async fn send(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query();
        if path.as_deref() == Some("/denied") {
            return Err(ErrorCode::HttpRequestDenied);
        }
        let (method, scheme, authority, options) = (
            request.get_method(),
            request.get_scheme(),
            request.get_authority(),
            request.get_options(),
        );
        let headers = request.get_headers().clone();
        _ = headers.set("x-relay", &[b"yes".to_vec()]);
        let (all_sent, sent) = wit_future::new(|| Ok(()));
        let (contents, trailers) = Request::consume_body(request, sent);
        let (changed, _sent) = Request::new(headers, Some(contents), trailers, options);
        drop(all_sent);
        _ = changed.set_method(&method);
        _ = changed.set_path_with_query(path.as_deref());
        _ = changed.set_scheme(scheme.as_ref());
        _ = changed.set_authority(authority.as_deref());
        client::send(changed).await
    }
}
