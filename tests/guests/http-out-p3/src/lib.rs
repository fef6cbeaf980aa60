//! Sends each request to the address in its header `x-to`, and answers with the response. An error is
//! answered as 502 with the error's name in `x-error`.

wit_bindgen::generate!({ world: "http-out-p3", path: "../wit-0.3", generate_all });

use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use wasi::http::client;
use wasi::http::types::{Fields, Scheme};

struct Out;
export!(Out);

impl Guest for Out {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let to = request.get_headers().get("x-to").into_iter().next();
        let to = to.and_then(|to| String::from_utf8(to).ok());
        let (method, path) = (request.get_method(), request.get_path_with_query());
        let (all_sent, sent) = wit_future::new(|| Ok(()));
        let (contents, trailers) = Request::consume_body(request, sent);
        let (asks, _sent) = Request::new(Fields::new(), Some(contents), trailers, None);
        drop(all_sent);
        _ = asks.set_method(&method);
        _ = asks.set_path_with_query(path.as_deref());
        _ = asks.set_scheme(Some(&Scheme::Http));
        _ = asks.set_authority(to.as_deref());
        Ok(match client::send(asks).await {
            Ok(response) => response,
            Err(error) => failed(&error),
        })
    }
}

fn failed(error: &ErrorCode) -> Response {
    let headers = Fields::new();
    _ = headers.set("x-error", &[format!("{error:?}").into_bytes()]);
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, None, trailers);
    _ = response.set_status_code(502);
    wit_bindgen::spawn_local(async move {
        _ = no_trailers.write(Ok(None)).await;
    });
    response
}
