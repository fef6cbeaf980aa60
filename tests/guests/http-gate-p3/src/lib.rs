//! Lets requests through to another handler that have an `authorization`, and answers the others with 401. The gate adds
//! the header `x-gate` to the request, with what the handler is to see of it in place of the `authorization`, and to the
//! response. A request whose path begins with `/as-is` is passed on as it came, and one for `/nobody` says neither whom
//! it asks nor for what.

wit_bindgen::generate!({ world: "http-gate-p3", path: "../wit-0.3", generate_all });

use exports::wasi::http::handler::{ErrorCode, Guest, Request, Response};
use wasi::http::handler;
use wasi::http::types::Fields;

struct HttpGate;
export!(HttpGate);

impl Guest for HttpGate {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let headers = request.get_headers();
        let Some(who) = headers.get("authorization").into_iter().next() else {
            return Ok(refused());
        };
        let path = request.get_path_with_query().unwrap_or_default();
        if path.starts_with("/as-is") {
            return handler::handle(request).await;
        }
        let response = handler::handle(changed(request, &headers, who, &path)).await?;
        Ok(marked(response))
    }
}

/// The same request with a header more, and one less.
fn changed(request: Request, headers: &Fields, who: Vec<u8>, path: &str) -> Request {
    let headers = headers.clone();
    _ = headers.delete("authorization");
    _ = headers.set("x-gate", &[who]);
    let (method, scheme, authority) = (
        request.get_method(),
        request.get_scheme(),
        request.get_authority(),
    );
    let (all_sent, sent) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, sent);
    let (changed, _sent) = Request::new(headers, Some(contents), trailers, None);
    drop(all_sent);
    _ = changed.set_method(&method);
    if path != "/nobody" {
        _ = changed.set_path_with_query(Some(path));
        _ = changed.set_scheme(scheme.as_ref());
        _ = changed.set_authority(authority.as_deref());
    }
    changed
}

/// The same response with a header more.
fn marked(response: Response) -> Response {
    let status = response.get_status_code();
    let headers = response.get_headers().clone();
    _ = headers.set("x-gate", &[b"passed".to_vec()]);
    let (all_sent, sent) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(response, sent);
    let (marked, _sent) = Response::new(headers, Some(contents), trailers);
    drop(all_sent);
    _ = marked.set_status_code(status);
    marked
}

fn refused() -> Response {
    let (mut body, contents) = wit_stream::new();
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
    _ = response.set_status_code(401);
    wit_bindgen::spawn_local(async move {
        body.write_all(b"who are you?\n".to_vec()).await;
        drop(body);
        // A client that is gone is no concern of this component.
        _ = no_trailers.write(Ok(None)).await;
    });
    response
}
