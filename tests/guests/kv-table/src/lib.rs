//! Calls functions of `wasi:keyvalue`, in both drafts, as the bodies of HTTP requests say.
//!
//! A request and its answer are fields, each a length (32 bits, little-endian) and as many bytes. A request has the
//! function, the draft (`1` or `2`), the bucket's name and the parameters. The answer's first field is `ok`, `err` (with
//! the error's text), or `cas-failed` (with a handle); the results follow. An optional value is a field that is empty, or
//! begins with `+`. Buckets and handles are kept for as long as the instance is, so that other requests find them.

wit_bindgen::generate!({ world: "t:table/kv-table", path: ["../wit", "wit"], generate_all });

use std::cell::RefCell;
use std::collections::HashMap;

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, IncomingBody, OutgoingBody, OutgoingResponse};
use wasi::io::streams::OutputStream;
use wasi::{keyvalue0_2_0_draft as one, keyvalue0_2_0_draft2 as two};

use two::atomics::{Cas, CasError};

struct KvTable;
export!(KvTable);

#[derive(Default)]
struct Held {
    one: HashMap<String, one::store::Bucket>,
    two: HashMap<String, two::store::Bucket>,
    moments: Vec<Option<Cas>>,
}

thread_local! {
    static HELD: RefCell<Held> = RefCell::default();
}

/// The results of a function, or the text of its error.
type Answer = Result<Vec<Vec<u8>>, String>;

impl Guest for KvTable {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let fields = fields(&body(request));
        let answer = HELD.with_borrow_mut(|held| match answer(held, &fields) {
            Ok(results) => [vec![b"ok".to_vec()], results].concat(),
            Err(why) if why.starts_with("cas-failed ") => {
                let mut parts = why.split(' ').map(|part| part.as_bytes().to_vec());
                [parts.next(), parts.next()].into_iter().flatten().collect()
            }
            Err(why) => vec![b"err".to_vec(), why.into_bytes()],
        });
        let mut bytes = Vec::new();
        for field in answer {
            bytes.extend((field.len() as u32).to_le_bytes());
            bytes.extend(field);
        }
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().expect("the stream is taken once");
        write(&output, &bytes);
        drop(output);
        _ = OutgoingBody::finish(body, None);
    }
}

fn answer(held: &mut Held, fields: &[Vec<u8>]) -> Answer {
    let text = |n: usize| -> String {
        let field = fields.get(n).cloned().unwrap_or_default();
        String::from_utf8(field).expect("a text")
    };
    let (function, draft, bucket) = (text(0), text(1), text(2));
    match &*function {
        "current" => {
            let moment = held.moments[number(&text(3))].as_ref();
            let value = moment.ok_or("it was given away")?.current();
            return Ok(vec![optional(value.map_err(second)?)]);
        }
        "swap" => {
            let moment = held.moments[number(&text(3))].take();
            let moment = moment.ok_or("it was given away")?;
            return match two::atomics::swap(moment, &fields[4]) {
                Ok(()) => Ok(Vec::new()),
                Err(CasError::StoreError(why)) => Err(second(why)),
                Err(CasError::CasFailed(now)) => {
                    held.moments.push(Some(now));
                    Err(format!("cas-failed {}", held.moments.len() - 1))
                }
            };
        }
        _ => {}
    }
    if draft == "1" {
        if !held.one.contains_key(&bucket) {
            let opened = one::store::open(&bucket).map_err(first)?;
            held.one.insert(bucket.clone(), opened);
        }
        of_first(&held.one[&bucket], &function, fields, text)
    } else {
        if !held.two.contains_key(&bucket) {
            let opened = two::store::open(&bucket).map_err(second)?;
            held.two.insert(bucket.clone(), opened);
        }
        if function == "cas" {
            let moment = Cas::new(&held.two[&bucket], &text(3)).map_err(second)?;
            held.moments.push(Some(moment));
            return Ok(vec![(held.moments.len() - 1).to_string().into_bytes()]);
        }
        of_second(&held.two[&bucket], &function, fields, text)
    }
}

/// The functions that both drafts have, but for their types.
macro_rules! functions {
    ($draft:ident, $why:ident, $bucket:ident, $function:ident, $fields:ident, $text:ident) => {
        match $function {
            "open" => return Ok(Vec::new()),
            "get" => return Ok(vec![optional($bucket.get(&$text(3)).map_err($why)?)]),
            "set" => {
                $bucket.set(&$text(3), &$fields[4]).map_err($why)?;
                return Ok(Vec::new());
            }
            "delete" => {
                $bucket.delete(&$text(3)).map_err($why)?;
                return Ok(Vec::new());
            }
            "exists" => {
                let is_there = $bucket.exists(&$text(3)).map_err($why)?;
                return Ok(vec![is_there.to_string().into_bytes()]);
            }
            "set-many" => {
                let pairs: Vec<_> = ($fields[3..].chunks(2))
                    .map(|pair| (utf8(&pair[0]), pair[1].clone()))
                    .collect();
                $draft::batch::set_many($bucket, &pairs).map_err($why)?;
                return Ok(Vec::new());
            }
            "delete-many" => {
                let keys: Vec<_> = $fields[3..].iter().map(|key| utf8(key)).collect();
                $draft::batch::delete_many($bucket, &keys).map_err($why)?;
                return Ok(Vec::new());
            }
            _ => {}
        }
    };
}

fn of_first(
    bucket: &one::store::Bucket,
    function: &str,
    fields: &[Vec<u8>],
    text: impl Fn(usize) -> String,
) -> Answer {
    functions!(one, first, bucket, function, fields, text);
    match function {
        "increment" => {
            let by = text(4).parse().expect("a number");
            let sum = one::atomics::increment(bucket, &text(3), by).map_err(first)?;
            Ok(vec![sum.to_string().into_bytes()])
        }
        "list" => {
            let cursor = fields[3].strip_prefix(b"+");
            let cursor = cursor.map(|cursor| utf8(cursor).parse().expect("a number"));
            let page = bucket.list_keys(cursor).map_err(first)?;
            let next = page.cursor.map(|next| next.to_string());
            Ok(listed(next, page.keys))
        }
        "get-many" => {
            let keys: Vec<_> = fields[3..].iter().map(|key| utf8(key)).collect();
            let pairs = one::batch::get_many(bucket, &keys).map_err(first)?;
            let pairs = pairs.into_iter().map(|pair| match pair {
                Some((key, value)) => [optional(Some(key.into_bytes())), optional(Some(value))],
                None => [optional(None), optional(None)],
            });
            Ok(pairs.flatten().collect())
        }
        other => panic!("no function `{other}`"),
    }
}

fn of_second(
    bucket: &two::store::Bucket,
    function: &str,
    fields: &[Vec<u8>],
    text: impl Fn(usize) -> String,
) -> Answer {
    functions!(two, second, bucket, function, fields, text);
    match function {
        "increment" => {
            let by = text(4).parse().expect("a number");
            let sum = two::atomics::increment(bucket, &text(3), by).map_err(second)?;
            Ok(vec![sum.to_string().into_bytes()])
        }
        "list" => {
            let cursor = fields[3].strip_prefix(b"+").map(utf8);
            let page = bucket.list_keys(cursor.as_deref()).map_err(second)?;
            Ok(listed(page.cursor, page.keys))
        }
        "get-many" => {
            let keys: Vec<_> = fields[3..].iter().map(|key| utf8(key)).collect();
            let pairs = two::batch::get_many(bucket, &keys).map_err(second)?;
            let pairs = pairs
                .into_iter()
                .map(|(key, value)| [optional(Some(key.into_bytes())), optional(value)]);
            Ok(pairs.flatten().collect())
        }
        other => panic!("no function `{other}`"),
    }
}

fn first(error: one::store::Error) -> String {
    match error {
        one::store::Error::Other(why) => why,
        other => format!("{other:?}"),
    }
}

fn second(error: two::store::Error) -> String {
    match error {
        two::store::Error::Other(why) => why,
        other => format!("{other:?}"),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a text")
}

fn optional(value: Option<Vec<u8>>) -> Vec<u8> {
    match value {
        Some(value) => [b"+".to_vec(), value].concat(),
        None => Vec::new(),
    }
}

fn listed(next: Option<String>, keys: Vec<String>) -> Vec<Vec<u8>> {
    let keys = keys.into_iter().map(String::into_bytes);
    let next = optional(next.map(String::into_bytes));
    std::iter::once(next).chain(keys).collect()
}

fn fields(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (field, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        fields.push(field.to_vec());
        bytes = rest;
    }
    fields
}

fn body(request: IncomingRequest) -> Vec<u8> {
    let incoming = request.consume().expect("the body is taken once");
    let input = incoming.stream().expect("the stream is taken once");
    let mut all = Vec::new();
    while let Ok(chunk) = input.blocking_read(64 << 10) {
        all.extend(chunk);
    }
    drop(input);
    drop(IncomingBody::finish(incoming));
    all
}

/// A client that has gone reads nothing.
fn write(output: &OutputStream, bytes: &[u8]) {
    for piece in bytes.chunks(4096) {
        if output.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}
