//! Shows the board over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the board as a page |
//! | `GET /notes` | the latest notes, one a line |
//! | `POST /notes` | 202; the body is pinned soon |
//! | `GET /archive` | the latest of the notes that were taken down, one a line |
//! | `PUT /pictures/NAME` | 201; the body is kept |
//! | `POST /pictures/NAME` | 201; the picture at the URL in the body is fetched and kept |
//! | `GET /pictures/NAME` | the picture |

mod fetch;
mod pictures;

wit_bindgen::generate!({ world: "board", path: "../wit", generate_all });

use exports::wasi::http::incoming_handler::{Guest, IncomingRequest, ResponseOutparam};
use wasi::http::types::{Fields, IncomingBody, Method, OutgoingBody, OutgoingResponse};
use wasi::io::streams::{InputStream, StreamError};
use wasmcloud::messaging::consumer;
use wasmcloud::messaging::types::BrokerMessage;
use withe_examples::gallery::notes::{self, Note};

use pictures::Kept;

struct Board;
export!(Board);

/// Where notes are published that are to be pinned.
const SUBJECT: &str = "notes.new";

/// The path of pictures.
const PICTURES: &str = "/pictures/";

/// How many notes are shown.
const SHOWN: u32 = 20;

/// The longest note, and the longest URL of a picture, in bytes.
const LONGEST: usize = 1_000;

/// The most that one `blocking_write_and_flush` takes.
const CHUNK: usize = 4_096;

struct Reply {
    status: u16,
    content_type: &'static str,
    body: Content,
}

enum Content {
    Text(String),
    /// A picture, as it is read.
    Bytes(InputStream),
}

impl Guest for Board {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let reply = match (request.method(), path) {
            (Method::Get, "/") => page(),
            (Method::Get, "/notes") => notes::latest(SHOWN).map(|notes| lines(&notes)),
            (Method::Get, "/archive") => notes::archived(SHOWN).map(|notes| lines(&notes)),
            (Method::Post, "/notes") => publish(request),
            (method, path) if path.starts_with(PICTURES) => {
                picture(&method, &path[PICTURES.len()..], request)
            }
            (_, "/" | "/archive" | "/notes") => Ok(text(405, "only GET, and POST of /notes")),
            _ => Ok(text(404, "there is nothing here")),
        };
        send(reply.unwrap_or_else(|why| text(500, &why)), out);
    }
}

fn page() -> Result<Reply, String> {
    let counts = notes::count()?;
    let items = notes::latest(SHOWN)?.into_iter();
    let items: String = items
        .map(|note| format!("<li>{}</li>\n", escaped(&note.text)))
        .collect();
    let pictures = pictures::names()?.into_iter();
    let pictures: String = pictures
        .map(|name| format!("<img src=\"{PICTURES}{name}\" alt=\"{name}\" height=\"120\">\n"))
        .collect();
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Board</title></head>\n<body>\n\
         <h1>Board</h1>\n<ul>\n{items}</ul>\n{pictures}<p>{} pinned, {} rounds of the clerk</p>\n\
         <form onsubmit=\"fetch('/notes', {{method: 'POST', body: this.text.value}}).then(() => setTimeout(() => \
         location.reload(), 200)); return false\"><input name=\"text\" required><button>Pin</button></form>\n\
         </body></html>\n",
        counts.pinned, counts.rounds
    );
    Ok(Reply {
        status: 200,
        content_type: "text/html; charset=utf-8",
        body: Content::Text(body),
    })
}

fn lines(notes: &[Note]) -> Reply {
    let lines: String = (notes.iter().map(|note| format!("{}\n", note.text))).collect();
    text(200, &lines)
}

fn publish(request: IncomingRequest) -> Result<Reply, String> {
    let Some(body) = body(request)? else {
        return Ok(text(413, "a note has at most 1000 bytes"));
    };
    if body.trim_ascii().is_empty() {
        return Ok(text(400, "a note says something"));
    }
    consumer::publish(&BrokerMessage {
        subject: SUBJECT.into(),
        body,
        reply_to: None,
    })?;
    Ok(text(202, "it is pinned soon\n"))
}

/// The request's body; `None` if it is too long.
fn body(request: IncomingRequest) -> Result<Option<Vec<u8>>, String> {
    let incoming = request.consume().map_err(|()| "the body is taken")?;
    let input = incoming.stream().map_err(|()| "the body is taken")?;
    let mut all = Vec::new();
    loop {
        match input.blocking_read(CHUNK as u64) {
            Ok(chunk) => all.extend(chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(why)) => return Err(why.to_debug_string()),
        }
        if all.len() > LONGEST {
            return Ok(None);
        }
    }
    drop(input);
    drop(IncomingBody::finish(incoming));
    Ok(Some(all))
}

fn text(status: u16, body: &str) -> Reply {
    Reply {
        status,
        content_type: "text/plain; charset=utf-8",
        body: Content::Text(body.into()),
    }
}

fn picture(method: &Method, name: &str, request: IncomingRequest) -> Result<Reply, String> {
    if !pictures::is_name(name) {
        return Ok(text(400, "a name has letters, digits, `-`, `_` and `.`"));
    }
    match method {
        Method::Get => Ok(match pictures::open(name)? {
            Some(bytes) => Reply {
                status: 200,
                content_type: pictures::media_type(name),
                body: Content::Bytes(bytes),
            },
            None => text(404, "there is no such picture"),
        }),
        Method::Put => {
            let incoming = request.consume().map_err(|()| "the body is taken")?;
            keep(name, incoming)
        }
        Method::Post => {
            let url = body(request)?.unwrap_or_default();
            match fetch::get(String::from_utf8_lossy(&url).trim()) {
                Ok(picture) => keep(name, picture),
                Err(why) => Ok(text(why.status(), &format!("{why}\n"))),
            }
        }
        _ => Ok(text(405, "only GET, PUT and POST")),
    }
}

fn keep(name: &str, picture: IncomingBody) -> Result<Reply, String> {
    Ok(match pictures::keep(name, picture)? {
        Kept::Yes => text(201, "it is kept\n"),
        Kept::TooLarge => text(413, "a picture has at most 16 MiB"),
    })
}

fn send(reply: Reply, out: ResponseOutparam) {
    let headers = Fields::new();
    let value = reply.content_type.as_bytes().to_vec();
    headers
        .set("content-type", &[value])
        .expect("fresh headers can be changed, and the value is one");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(reply.status).expect("a status");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let output = body.write().expect("the stream is taken once");
    let sent = match reply.body {
        Content::Text(text) => (text.as_bytes().chunks(CHUNK))
            .try_for_each(|chunk| output.blocking_write_and_flush(chunk)),
        Content::Bytes(bytes) => pictures::hand_on(&bytes, &output, u64::MAX).map(|_| ()),
    };
    if sent.is_err() {
        // Nobody takes an end for a whole body: the client has gone, or the picture cannot be read.
        return;
    }
    drop(output);
    _ = OutgoingBody::finish(body, None);
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}
