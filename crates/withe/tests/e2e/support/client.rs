//! HTTP/1.1 over a socket, one request a connection; it shows a response as it comes.

use std::io::{self, BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use super::LONG;

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks for `path` of the server at `address`.
pub(crate) fn get(address: &str, path: &str) -> io::Result<Response> {
    let mut exchange = Exchange::start(address, &format!("GET {path}"), 0)?;
    let status = exchange.status()?;
    let mut body = Vec::new();
    while let Some(part) = exchange.part()? {
        body.extend(part);
    }
    Ok(Response { status, body })
}

/// A request and its response, both under way.
pub(crate) struct Exchange {
    stream: BufReader<TcpStream>,
    length: Length,
}

/// How the end of a response's body is known.
enum Length {
    /// Bytes that are to come.
    Left(usize),
    Chunked,
    /// The connection ends with it.
    UntilClosed,
}

impl Exchange {
    /// Sends a request's head: `request` is its method and path, and its body will be `length` bytes.
    pub(crate) fn start(address: &str, request: &str, length: usize) -> io::Result<Self> {
        Self::start_with(address, request, "", length)
    }

    /// Sends a request's head with these header lines, too. Each ends with `\r\n`.
    pub(crate) fn start_with(
        address: &str,
        request: &str,
        headers: &str,
        length: usize,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        stream.set_write_timeout(Some(LONG))?;
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        )?;
        Ok(Self {
            stream: BufReader::new(stream),
            length: Length::UntilClosed,
        })
    }

    /// Sends a part of the request's body.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits for the response's head.
    pub(crate) fn status(&mut self) -> io::Result<u16> {
        self.head()
            .map_err(|e| of_waiting(e, "the response's head"))
    }

    /// Waits for the next part of the response's body; `None` at its end. A body that is cut short is
    /// an error.
    pub(crate) fn part(&mut self) -> io::Result<Option<Vec<u8>>> {
        let part = self.read_part();
        part.map_err(|e| of_waiting(e, "the response's body"))
    }

    fn head(&mut self) -> io::Result<u16> {
        let first = self.line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, first.clone()))?;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                None => return Ok(status),
                Some(("transfer-encoding", _)) => self.length = Length::Chunked,
                Some(("content-length", n)) => {
                    self.length = Length::Left(n.parse().map_err(Error::other)?);
                }
                Some(_) => {}
            }
        }
    }

    fn read_part(&mut self) -> io::Result<Option<Vec<u8>>> {
        let part = match self.length {
            Length::Chunked => {
                let size = self.line()?;
                let size = usize::from_str_radix(&size, 16).map_err(Error::other)?;
                let mut part = vec![0; size];
                self.stream.read_exact(&mut part)?;
                self.line()?;
                part
            }
            Length::Left(0) => Vec::new(),
            Length::Left(left) => {
                let mut part = vec![0; left];
                let n = self.stream.read(&mut part)?;
                if n == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                part.truncate(n);
                self.length = Length::Left(left - n);
                part
            }
            Length::UntilClosed => {
                let mut part = Vec::new();
                self.stream.read_to_end(&mut part)?;
                part
            }
        };
        Ok((!part.is_empty()).then_some(part))
    }

    /// Waits until `n` bytes of the response's body have come, which do not end within a part.
    pub(crate) fn receive(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            match self.part()? {
                Some(part) => bytes.extend(part),
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// Says what was waited for, if that is what an error is about.
fn of_waiting(e: Error, what: &str) -> Error {
    match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::new(
            ErrorKind::TimedOut,
            format!("nothing of {what} came for {LONG:?}"),
        ),
        _ => e,
    }
}
