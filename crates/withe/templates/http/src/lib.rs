//! Answers HTTP requests.

wit_bindgen::generate!({ world: "service", path: "wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct Service;
export!(Service);

impl Guest for Service {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        answer(out, &greeting(&path));
    }
}

/// The answer to a request for a path.
fn greeting(path: &str) -> String {
    match path.trim_start_matches('/') {
        "" => "hello\n".to_owned(),
        name => format!("hello, {name}\n"),
    }
}

/// Answers with a text.
fn answer(out: ResponseOutparam, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // A client that is gone is no concern of this component.
    for part in text.as_bytes().chunks(4096) {
        _ = stream.blocking_write_and_flush(part);
    }
    drop(stream);
    _ = OutgoingBody::finish(body, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_name_is_greeted_by_it() {
        assert_eq!(greeting("/"), "hello\n");
        assert_eq!(greeting("/ada"), "hello, ada\n");
    }
}
