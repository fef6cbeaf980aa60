//! Takes messages and times, and counts them; sends messages.
//!
//! * `GET /count/KEY` is how often KEY was counted: a message's subject, or a time's payload.
//! * `POST /publish/SUBJECT` publishes the body, `POST /request/SUBJECT` is answered with the answer.
//!
//! A message whose subject begins with `uncounted.` is not counted. A message whose body is `refuse` is refused, one whose body is
//! `trap` traps, and one that wants an answer gets its body in capitals.

wit_bindgen::generate!({ world: "events", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest as Http, IncomingRequest, ResponseOutparam};
use exports::wasmcloud::cron::scheduler::Guest as Scheduler;
use exports::wasmcloud::messaging::handler::Guest as Handler;
use wasi::http::types::{Fields, IncomingBody, OutgoingBody, OutgoingResponse};
use wasi::keyvalue::{atomics, store};
use wasmcloud::messaging::consumer;
use wasmcloud::messaging::types::BrokerMessage;

struct Events;
export!(Events);

/// How long an answer is waited for.
const ANSWER_MS: u32 = 10_000;

/// Adds to what was counted, and returns it.
fn count(key: &str, more: u64) -> u64 {
    let bucket = store::open("").expect("a link without a bucket's name has one");
    atomics::increment(&bucket, key, more).expect("only this component writes here")
}

impl Scheduler for Events {
    fn invoke(payload: Vec<u8>) -> Result<(), String> {
        let payload = String::from_utf8(payload).map_err(|e| e.to_string())?;
        if payload == "refuse" {
            return Err("as was asked for".into());
        }
        count(&payload, 1);
        Ok(())
    }
}

impl Handler for Events {
    fn handle_message(message: BrokerMessage) -> Result<(), String> {
        let nth = match message.subject.starts_with("uncounted.") {
            true => 1,
            false => count(&message.subject, 1),
        };
        match &message.body[..] {
            b"refuse" => return Err("as was asked for".into()),
            // Of what is kept until it was handled, the second attempt is well.
            b"trap" if nth == 1 => panic!("as was asked for"),
            _ => {}
        }
        match message.reply_to {
            Some(subject) => consumer::publish(&BrokerMessage {
                subject,
                body: message.body.to_ascii_uppercase(),
                reply_to: None,
            }),
            None => Ok(()),
        }
    }
}

impl Http for Events {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (status, text) = match answer(request) {
            Ok(text) => (200, text),
            Err(why) => (500, why.into_bytes()),
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

fn answer(request: IncomingRequest) -> Result<Vec<u8>, String> {
    let path = request.path_with_query().unwrap_or_default();
    let (what, of) = (path.trim_start_matches('/').split_once('/')).ok_or("no such path")?;
    match what {
        "count" => Ok(count(of, 0).to_string().into_bytes()),
        "publish" => {
            let message = BrokerMessage {
                subject: of.into(),
                body: body(request),
                reply_to: None,
            };
            consumer::publish(&message).map(|()| Vec::new())
        }
        "request" => {
            let answer = consumer::request(of, &body(request), ANSWER_MS)?;
            Ok(answer.body)
        }
        _ => Err("no such path".into()),
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
