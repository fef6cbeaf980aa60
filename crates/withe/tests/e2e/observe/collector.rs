//! A collector of traces: OTLP over HTTP, of which it reads as much as the tests look at.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use crate::support::LONG;

/// A span that has arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    pub(super) service: String,
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty if it begins its trace.
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) kind: u64,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) is_error: bool,
}

/// Kinds of spans, as OTLP numbers them.
pub(super) const INTERNAL: u64 = 1;
pub(super) const SERVER: u64 = 2;
pub(super) const CLIENT: u64 = 3;

/// A collector on a free port. The collector ends with the process.
pub(super) struct Collector {
    port: u16,
    spans: Receiver<Span>,
}

impl Collector {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, spans) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                thread::spawn(move || receive(stream.unwrap(), &sender));
            }
        });
        Self { port, spans }
    }

    /// The argument that has traces sent to it.
    pub(super) fn option(&self) -> String {
        format!("--otlp=http://127.0.0.1:{}", self.port)
    }

    /// Waits for so many spans.
    pub(super) fn spans(&self, count: usize) -> Vec<Span> {
        let deadline = Instant::now() + LONG;
        let mut spans: Vec<Span> = Vec::new();
        while spans.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.spans.recv_timeout(left) {
                Ok(span) => spans.push(span),
                Err(_) => panic!("not {count} spans, but {spans:#?}"),
            }
        }
        spans
    }

    /// The spans that have come and were not waited for.
    pub(super) fn rest(&self) -> Vec<Span> {
        self.spans.try_iter().collect()
    }
}

/// Takes the requests of one connection.
fn receive(stream: TcpStream, spans: &Sender<Span>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
        assert!(line.starts_with("POST /v1/traces "), "{line}");
        let mut length = 0;
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let header = line.trim_end().to_ascii_lowercase();
            match header.split_once(": ") {
                None => break,
                Some(("content-length", n)) => length = n.parse().unwrap(),
                Some(("content-type", ty)) => assert_eq!(ty, "application/x-protobuf"),
                Some(_) => {}
            }
        }
        line.clear();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        for span in request(&body) {
            // Nobody may wait for them any more.
            _ = spans.send(span);
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The spans of an `ExportTraceServiceRequest`.
fn request(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in messages(body, 1) {
        let resource = messages(resource_spans, 1).next().unwrap_or_default();
        let service = attributes(resource, 1).remove("service.name");
        let service = service.unwrap_or_default();
        for scope_spans in messages(resource_spans, 2) {
            spans.extend(messages(scope_spans, 2).map(|bytes| Span {
                service: service.clone(),
                ..span(bytes)
            }));
        }
    }
    spans
}

fn span(bytes: &[u8]) -> Span {
    let bytes_of = |number| messages(bytes, number).next().unwrap_or_default();
    let kind = fields(bytes).find_map(|(number, field)| match field {
        Field::Number(kind) if number == 6 => Some(kind),
        _ => None,
    });
    let status = bytes_of(15);
    Span {
        service: String::new(),
        trace: hex(bytes_of(1)),
        id: hex(bytes_of(2)),
        parent: hex(bytes_of(4)),
        name: text(bytes_of(5)),
        kind: kind.unwrap_or_default(),
        attributes: attributes(bytes, 9),
        // Its field 3 is the code, of which 2 is an error.
        is_error: fields(status).any(|field| matches!(field, (3, Field::Number(2)))),
    }
}

/// The `KeyValue`s in a field, those that are text or numbers.
fn attributes(bytes: &[u8], number: u64) -> BTreeMap<String, String> {
    let attribute = |bytes: &[u8]| {
        let key = messages(bytes, 1).next().unwrap_or_default();
        let value = messages(bytes, 2).next().unwrap_or_default();
        let value = fields(value).find_map(|field| match field {
            (1, Field::Bytes(value)) => Some(text(value)),
            (3, Field::Number(value)) => Some(value.to_string()),
            _ => None,
        });
        (text(key), value.unwrap_or_default())
    };
    messages(bytes, number).map(attribute).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width; nothing here looks at those.
    Fixed,
}

/// The messages, strings and byte strings of a message that have the number.
fn messages(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).filter_map(move |field| match field {
        (n, Field::Bytes(bytes)) if n == number => Some(bytes),
        _ => None,
    })
}

fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let key = varint(&mut bytes);
        let mut take = |n: usize| {
            let (taken, rest) = bytes.split_at(n);
            bytes = rest;
            taken
        };
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                take(8);
                Field::Fixed
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (taken, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(taken)
            }
            5 => {
                take(4);
                Field::Fixed
            }
            other => panic!("wire type {other}"),
        };
        Some((key >> 3, field))
    })
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
