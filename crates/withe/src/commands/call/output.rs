//! Prints what a call returned: its value, and the elements of the streams in it as they come.
//!
//! A stream that is all of a result, or the only one in it, is printed by itself, so that it can be passed on: bytes as they are, other
//! elements one a line. Of several, each line begins with the name of its stream. All of them are read at the same time, as a component
//! may wait with one until another was read; of each no more is asked for than was printed.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value as Json, json};
use tokio::time::timeout;
use withe_host::InvokeError;
use withe_host::wave::{Elements, Returned, ReturnedStream, Shown};

use crate::terminal::Terminal;

/// How many streams are read at a time before those that bring more of them have to wait.
const MOST: usize = 64;

/// The kind of what was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    Value,
    /// A result `err(…)`.
    Error,
}

/// Prints one result.
pub(super) struct Printer {
    json: bool,
    /// The longest that a stream may take to its next element.
    limit: Duration,
    terminal: Terminal,
    open: Vec<Open>,
    /// Lines that are printed when the bytes before them are.
    behind: Vec<u8>,
    /// Whether what was printed last ends in the middle of a line.
    is_within_line: bool,
    printed: Printed,
    /// The error with which a stream ended, by its own word.
    failure: Option<String>,
}

/// A stream that is printed.
struct Open {
    stream: ReturnedStream,
    /// The name that its lines begin with; empty if they have none.
    label: String,
    /// Whether it only says how the others went.
    is_outcome: bool,
}

impl Open {
    /// Whether it is printed as it is, and not by lines.
    fn is_raw(&self, json: bool) -> bool {
        !json && self.stream.is_bytes() && self.label.is_empty()
    }
}

impl Printer {
    pub(super) fn new(json: bool, limit: Duration, terminal: Terminal) -> Self {
        Self {
            json,
            limit,
            terminal,
            open: Vec::new(),
            behind: Vec::new(),
            is_within_line: false,
            printed: Printed::Value,
            failure: None,
        }
    }

    /// Prints what was returned, to the end of its streams, or until nobody reads it any more.
    ///
    /// # Errors
    ///
    /// If a stream breaks off, or brings nothing for too long, or standard output cannot be written.
    pub(super) async fn print(mut self, returned: Returned) -> anyhow::Result<Printed> {
        let Returned { value, streams } = returned;
        if streams.is_empty() {
            self.whole(value)?;
            return Ok(self.printed);
        }
        let mut is_read = self.value(value, "", !streams.is_empty()).await?;
        self.adopt(streams);
        let mut turn = 0;
        while is_read && !self.open.is_empty() {
            // Each in its turn, so that one with much to say is not the only one.
            let next = timeout(self.limit, poll_fn(|cx| self.poll_next(turn, cx)));
            let Ok((at, elements)) = next.await else {
                let seconds = self.limit.as_secs();
                bail!("no element came for {seconds} s: `--timeout` says how long to wait");
            };
            turn += 1;
            is_read = match elements {
                None => {
                    self.open.remove(at);
                    self.catch_up().await?
                }
                Some(elements) => self.elements(at, elements?).await?,
            };
        }
        match self.failure {
            Some(how) => bail!("its stream ended with {how}"),
            None => Ok(self.printed),
        }
    }

    /// Prints a result without streams.
    fn whole(&mut self, value: Option<Shown>) -> anyhow::Result<()> {
        self.note(value.as_ref());
        match (self.json, value) {
            (true, value) => {
                let json = value.map_or(Json::Null, |value| value.json());
                self.terminal.print_json(&json)?;
            }
            (false, Some(value)) => self.terminal.print(&(value.text() + "\n"))?,
            (false, None) => {}
        }
        Ok(())
    }

    fn note(&mut self, value: Option<&Shown>) {
        if value.is_some_and(Shown::is_err) {
            self.printed = Printed::Error;
        }
    }

    /// The next elements of one of the streams: `None` at its end.
    #[allow(
        clippy::type_complexity,
        reason = "a stream's place, and what it gives"
    )]
    fn poll_next(
        &mut self,
        turn: usize,
        cx: &mut Context<'_>,
    ) -> Poll<(usize, Option<anyhow::Result<Elements>>)> {
        let count = self.open.len();
        for at in (0..count).map(|place| (place + turn) % count) {
            let open = &mut self.open[at];
            if count >= MOST && open.stream.brings_streams() {
                continue;
            }
            if let Poll::Ready(elements) = open.stream.poll_next(cx) {
                let broke_off = |why| {
                    anyhow::Error::new(InvokeError::Failed(why)).context("its stream broke off")
                };
                return Poll::Ready((at, elements.map(|elements| elements.map_err(broke_off))));
            }
        }
        Poll::Pending
    }

    /// Takes up the streams of the result, or of what a future of it holds.
    fn adopt(&mut self, streams: Vec<ReturnedStream>) {
        let alone = streams.iter().filter(|stream| !stream.is_future).count() == 1;
        let only = streams.len() == 1;
        for stream in streams {
            let is_outcome = stream.is_outcome && !only;
            let is_plain = only || (alone && !stream.is_future);
            let label = match is_plain {
                true => String::new(),
                false => stream.name.clone(),
            };
            self.open.push(Open {
                stream,
                label,
                is_outcome,
            });
        }
    }

    /// Prints elements of a stream: whether somebody may read more.
    async fn elements(&mut self, at: usize, elements: Elements) -> anyhow::Result<bool> {
        let open = &self.open[at];
        let (label, is_outcome) = (open.label.clone(), open.is_outcome);
        let is_future = open.stream.is_future;
        let returned = match elements {
            Elements::Bytes(bytes) => {
                let is_raw = open.is_raw(self.json);
                return match (is_raw, self.json) {
                    (true, _) => {
                        self.is_within_line = bytes.last().is_some_and(|last| *last != b'\n');
                        self.pass(bytes).await
                    }
                    (false, true) => self.line(&label, bytes.into(), String::new).await,
                    (false, false) => {
                        let text = format!("\"{}\"", bytes.escape_ascii());
                        self.line(&label, Json::Null, || text).await
                    }
                };
            }
            Elements::Values(returned) => returned,
        };
        for Returned { value, streams } in returned {
            if is_future && !is_outcome {
                self.note(value.as_ref());
            }
            let is_read = match &value {
                // The others are printed first, as far as they came.
                Some(value) if is_outcome => {
                    self.failure = value.is_err().then(|| value.text());
                    true
                }
                _ => self.value(value, &label, !streams.is_empty()).await?,
            };
            if !is_read {
                return Ok(false);
            }
            match is_future && label.is_empty() {
                // A future's value stands for the future.
                true => self.adopt(streams),
                false => self.open.extend(streams.into_iter().map(|stream| Open {
                    label: stream.name.clone(),
                    stream,
                    is_outcome: false,
                })),
            }
        }
        Ok(true)
    }

    /// Prints a value on a line: whether somebody may read more.
    async fn value(
        &mut self,
        value: Option<Shown>,
        label: &str,
        has_streams: bool,
    ) -> anyhow::Result<bool> {
        let Some(value) = value else {
            return self.line(label, Json::Null, || "()".into()).await;
        };
        if has_streams && value.is_only_streams() {
            return Ok(true);
        }
        self.line(label, value.json(), || value.text()).await
    }

    async fn line(
        &mut self,
        label: &str,
        json: Json,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<bool> {
        let mut line = match (self.json, label) {
            (true, "") => json.to_string(),
            (true, label) => json!({ label: json }).to_string(),
            (false, "") => text(),
            (false, label) => format!("{label}: {}", text()),
        };
        line.push('\n');
        if self.open.iter().any(|open| open.is_raw(self.json)) {
            self.behind.extend_from_slice(line.as_bytes());
            return Ok(true);
        }
        self.pass(line.into()).await
    }

    /// Prints the lines that stand behind bytes that were printed.
    async fn catch_up(&mut self) -> anyhow::Result<bool> {
        let is_raw = |open: &Open| open.is_raw(self.json);
        if self.behind.is_empty() || self.open.iter().any(is_raw) {
            return Ok(true);
        }
        let mut behind = std::mem::take(&mut self.behind);
        if std::mem::take(&mut self.is_within_line) {
            behind.insert(0, b'\n');
        }
        self.pass(behind).await
    }

    /// Writes to standard output: whether somebody may read more. A reader that waits keeps nothing else waiting.
    async fn pass(&self, bytes: Vec<u8>) -> anyhow::Result<bool> {
        let terminal = self.terminal;
        let written = tokio::task::spawn_blocking(move || terminal.pass(&bytes)).await;
        let written = written.context("standard output is not written")?;
        written.context("cannot write to standard output")
    }
}
