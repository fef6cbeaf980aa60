//! Sets, reads and removes keys of the default bucket, as HTTP requests say: `PUT /KEY` sets a key to the body, `GET /KEY`
//! is answered with its value, or 404, and `DELETE /KEY` removes it.

wit_bindgen::generate!({ world: "kv-edit", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, IncomingBody, Method, OutgoingBody, OutgoingResponse};
use wasi::keyvalue::store;

struct KvEdit;
export!(KvEdit);

impl Guest for KvEdit {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (status, text) = match answer(request) {
            Ok(Some(value)) => (200, value),
            Ok(None) => (404, Vec::new()),
            Err(why) => (500, format!("{why:?}").into_bytes()),
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a status");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().expect("the stream is taken once");
        // A client that has gone reads nothing.
        _ = output.blocking_write_and_flush(&text);
        drop(output);
        _ = OutgoingBody::finish(body, None);
    }
}

fn answer(request: IncomingRequest) -> Result<Option<Vec<u8>>, store::Error> {
    let path = request.path_with_query().unwrap_or_default();
    let key = path.trim_start_matches('/');
    let bucket = store::open("")?;
    match request.method() {
        Method::Put => bucket.set(key, &body(request)).map(|()| Some(Vec::new())),
        Method::Delete => bucket.delete(key).map(|()| Some(Vec::new())),
        _ => bucket.get(key),
    }
}

fn body(request: IncomingRequest) -> Vec<u8> {
    let incoming = request.consume().expect("the body is taken once");
    let input = incoming.stream().expect("the stream is taken once");
    let mut all = Vec::new();
    while let Ok(chunk) = input.blocking_read(4_096) {
        all.extend(chunk);
    }
    drop(input);
    drop(IncomingBody::finish(incoming));
    all
}
