//! Answers HTTP requests with how often each path was asked for.

wit_bindgen::generate!({ world: "front", path: "../wit", generate_all });

use example::{{file}}::counter;
use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct Front;
export!(Front);

impl Guest for Front {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match counter::count(&path) {
            Ok(times) => answer(out, 200, &said(&path, times)),
            Err(why) => answer(out, 503, &format!("{why}\n")),
        }
    }
}

fn said(path: &str, times: u64) -> String {
    match times {
        1 => format!("{path} was asked for once\n"),
        times => format!("{path} was asked for {times} times\n"),
    }
}

fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).expect("this is a status");
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
    fn once_is_not_1_times() {
        assert_eq!(said("/", 1), "/ was asked for once\n");
        assert_eq!(said("/", 2), "/ was asked for 2 times\n");
    }
}
