//! Greets whoever the path of a request names: `/Ada`, or `/Ada?lang=de`.

wit_bindgen::generate!({ world: "front", path: "../wit", generate_all });

use acme::greeter::greeter::{GreetError, Person, greet};
use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct Front;
export!(Front);

impl Guest for Front {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let person = Person {
            name: path.trim_start_matches('/').to_owned(),
            language: query.strip_prefix("lang=").map(str::to_owned),
        };
        let (status, text) = match greet(&person) {
            Ok(greeting) => (200, greeting),
            Err(GreetError::Nobody) => (400, "Whom? Ask for /NAME.".to_owned()),
            Err(GreetError::UnknownLanguage(language)) => {
                (404, format!("No greeting is known in `{language}`."))
            }
        };
        answer(out, status, &text);
    }
}

fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    response
        .set_status_code(status)
        .expect("a status of three digits");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // One write takes no more than 4096 bytes. A client that is gone is no concern of this component.
    _ = format!("{text}\n")
        .as_bytes()
        .chunks(4096)
        .try_for_each(|part| stream.blocking_write_and_flush(part));
    drop(stream);
    _ = OutgoingBody::finish(body, None);
}
