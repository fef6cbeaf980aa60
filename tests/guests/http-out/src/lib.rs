//! Fetches the URL given as `?url=…` (taken as it is, to the end) and answers with the status and
//! the body that came back. A failure is answered as 502 with the error's name.

wit_bindgen::generate!({ world: "http-out", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::outgoing_handler;
use wasi::http::types::{
    ErrorCode, Fields, IncomingResponse, OutgoingBody, OutgoingRequest, OutgoingResponse, Scheme,
};

struct HttpOut;
export!(HttpOut);

impl Guest for HttpOut {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let Some((_, url)) = path.split_once("?url=") else {
            return answer(out, 400, "give the URL as `?url=…`\n");
        };
        let Some(request) = get(url) else {
            return answer(out, 400, "this is not an http or https URL\n");
        };
        match send(request) {
            Ok(response) => forward(out, response),
            Err(code) => answer(out, 502, &format!("{code:?}\n")),
        }
    }
}

/// A GET request for `url`.
fn get(url: &str) -> Option<OutgoingRequest> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(authority)).ok()?;
    request.set_path_with_query(Some(path)).ok()?;
    Some(request)
}

fn send(request: OutgoingRequest) -> Result<IncomingResponse, ErrorCode> {
    let body = request.body().expect("the body is taken once");
    let response = outgoing_handler::handle(request, None)?;
    OutgoingBody::finish(body, None)?;
    response.subscribe().block();
    response
        .get()
        .expect("the response is ready")
        .expect("the response is taken once")
}

fn forward(out: ResponseOutparam, from: IncomingResponse) {
    let incoming = from.consume().expect("the body is taken once");
    let input = incoming.stream().expect("the stream is taken once");
    let response = OutgoingResponse::new(Fields::new());
    response
        .set_status_code(from.status())
        .expect("it was a response's status");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let output = body.write().expect("the stream is taken once");
    while let Ok(chunk) = input.blocking_read(4096) {
        if output.blocking_write_and_flush(&chunk).is_err() {
            break;
        }
    }
    drop(output);
    _ = OutgoingBody::finish(body, None);
}

fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    response
        .set_status_code(status)
        .expect("the status is valid");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let output = body.write().expect("the stream is taken once");
    _ = output.blocking_write_and_flush(text.as_bytes());
    drop(output);
    _ = OutgoingBody::finish(body, None);
}
