//! Requests that a proxy in front of Withe could read as one and Withe as two, or the other way round.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use crate::support::manifest::{application, component, http_server};
use crate::support::{Folder, LONG};

/// Heads after which nobody can be sure where the request ends, each with what follows.
const AMBIGUOUS: [(&str, &str); 8] = [
    (
        "two lengths that differ",
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    ),
    (
        "a length that is no number",
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: +5\r\n\r\nhello",
    ),
    (
        "a coding that is not known",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks that are coded once more",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space before the colon",
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length : 5\r\n\r\nhello",
    ),
    (
        "a folded line",
        "POST / HTTP/1.1\r\nhost: app\r\nx: a\r\n content-length: 5\r\n\r\nhello",
    ),
    (
        "a bare carriage return",
        "POST / HTTP/1.1\r\nhost: app\r\nx: a\rcontent-length: 5\r\n\r\nhello",
    ),
    ("a null", "POST / HTTP/1.1\r\nhost: app\r\nx: a\0b\r\n\r\n"),
];

#[test]
fn what_follows_an_ambiguous_head_is_no_request() {
    let folder = Folder::with(&application(&[
        http_server("echo"),
        component("echo", "http-echo", "", &[]),
    ]));
    let up = folder.up(&[]);
    let address = up.address();
    for (name, head) in AMBIGUOUS {
        let mut client = TcpStream::connect(&address).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client.write_all(head.as_bytes()).unwrap();
        let smuggled = b"GET /smuggled HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
        // The server may have closed its end by now.
        let _ = client.write_all(smuggled);
        let _ = client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{name}: {answer}");
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{name}: {answer}"
        );
    }
}
