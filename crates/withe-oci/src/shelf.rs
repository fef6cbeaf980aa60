//! A server for tests, which answers by path what was put there.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::settings::Place;

/// The answers by path, each with the `Link` to another.
#[derive(Default)]
pub(crate) struct Shelf {
    answers: HashMap<String, (Vec<u8>, Option<String>)>,
    refusals: HashMap<String, &'static str>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Shelf {
    /// Puts an answer at a path, perhaps with the path of the next page.
    pub(crate) fn put(&mut self, path: &str, bytes: Vec<u8>, next: Option<&str>) {
        let answer = (bytes, next.map(Into::into));
        self.answers.insert(path.into(), answer);
    }

    /// Has a path be answered by a status alone, such as `403 Forbidden`.
    pub(crate) fn refuse(&mut self, path: &str, status: &'static str) {
        self.refusals.insert(path.into(), status);
    }

    /// Serves until the process ends, on a free port. Returns the place of a repository there, and the paths that are asked for.
    pub(crate) fn serve(self, repository: &str) -> (Place, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = self.asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that has gone away wants no answer.
                _ = self.answer(stream);
            }
        });
        let place = Place {
            registry: address.clone(),
            scheme: "http",
            address,
            repository: repository.into(),
        };
        (place, asked)
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        let path = first.split(' ').nth(1).unwrap_or_default();
        self.asked.lock().unwrap().push(path.to_owned());
        let (status, (body, next)) = match self.answers.get(path) {
            Some(answer) => ("200 OK", answer),
            None => {
                let refusal = self.refusals.get(path).copied();
                (refusal.unwrap_or("404 Not Found"), &(Vec::new(), None))
            }
        };
        let link = next
            .as_ref()
            .map(|next| format!("Link: <{next}>; rel=\"next\"\r\n"));
        let (len, link) = (body.len(), link.unwrap_or_default());
        write!(
            stream,
            "HTTP/1.1 {status}\r\n{link}Connection: close\r\nContent-Length: {len}\r\n\r\n"
        )?;
        stream.write_all(body)
    }
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}
