//! Answers a request after one call over its link. The path says which: `/counter`, `/trap`,
//! `/spin`, none for `/shout`, which logs, and `add` for all others.

wit_bindgen::generate!({ world: "hello-calls", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use t::bench::ops;
use wasi::http::types::{Fields, OutgoingBody, OutgoingResponse};

struct HelloCalls;
export!(HelloCalls);

impl Guest for HelloCalls {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let result = match request.path_with_query().as_deref() {
            Some("/counter") => ops::counter(),
            Some("/trap") => {
                ops::trap();
                0
            }
            Some("/spin") => {
                ops::spin();
                0
            }
            Some("/shout") => {
                // As long a line as any, and one that looks like two, and like the host's.
                for _ in 0..2_000 {
                    println!("{}", "a".repeat(1_000));
                }
                eprintln!("one\u{1b}[31m\rWARN two");
                0
            }
            _ => ops::add(1, 2),
        };
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        // A client that is gone is no concern of this component.
        _ = stream.blocking_write_and_flush(format!("hello {result}\n").as_bytes());
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
}
