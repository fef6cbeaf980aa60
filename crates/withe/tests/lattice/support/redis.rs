//! The contents of a Redis server, asked for by its own protocol.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use super::LONG;

/// The number at `key`; 0 if there is none.
pub(crate) fn number(port: u16, key: &str) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).unwrap();
    let mut answer = BufReader::new(stream).lines();
    let mut line = || answer.next().unwrap().unwrap();
    match line().as_str() {
        "$-1" => 0,
        length if length.starts_with('$') => line().parse().unwrap(),
        other => panic!("Redis answers {other:?}"),
    }
}
