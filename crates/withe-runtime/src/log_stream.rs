//! Passes on a component's output: line by line into the host's log under the component's name, or to a function
//! that takes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::guest_log;
use crate::guest_output::{GuestOutput, StandardStream};
use crate::last_words::LastWords;
use crate::quota::Account;
use crate::spec::Identity;

/// A line longer than this is logged in pieces.
const MAX_LINE: usize = 16 << 10;

/// Standard output or standard error of one component.
#[derive(Clone)]
pub(crate) struct LogStream {
    identity: Arc<Identity>,
    /// On which its lines count.
    account: Arc<Account>,
    /// The last words of an instance's standard error; `None` for standard output.
    last_words: Option<LastWords>,
    /// The function that takes the output, if it does not go into the log.
    output: Option<GuestOutput>,
}

impl LogStream {
    pub(crate) fn stdout(
        identity: Arc<Identity>,
        account: Arc<Account>,
        output: Option<GuestOutput>,
    ) -> Self {
        Self {
            identity,
            account,
            last_words: None,
            output,
        }
    }

    pub(crate) fn stderr(
        identity: Arc<Identity>,
        account: Arc<Account>,
        last_words: LastWords,
        output: Option<GuestOutput>,
    ) -> Self {
        Self {
            identity,
            account,
            last_words: Some(last_words),
            output,
        }
    }

    fn stream(&self) -> StandardStream {
        match self.last_words {
            Some(_) => StandardStream::Error,
            None => StandardStream::Output,
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines {
            stream: self.clone(),
            line: Vec::new(),
        })
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines {
            stream: self.clone(),
            line: Vec::new(),
        })
    }
}

/// Gathers bytes into lines. Never blocks: the log is the host's.
struct Lines {
    stream: LogStream,
    line: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(output) = self.stream.output.as_ref().filter(|o| !o.is_by_line()) {
            output.take(&self.stream.identity, self.stream.stream(), bytes);
        }
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= MAX_LINE {
                self.emit();
            }
        }
    }

    fn emit(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end_matches(['\n', '\r']);
        let LogStream {
            identity,
            account,
            last_words,
            output,
        } = &self.stream;
        if let Some(words) = last_words {
            words.line(text);
        }
        match output {
            // The function has the bytes already.
            Some(output) if !output.is_by_line() => {}
            Some(output) => {
                if let Some(text) = guest_log::passed_on(account, identity, text) {
                    output.take(identity, self.stream.stream(), text.as_bytes());
                }
            }
            // A blank line separates; in a log of lines there is nothing to separate.
            None if text.trim().is_empty() => {}
            None => {
                let level = match last_words {
                    Some(_) => Level::WARN,
                    None => Level::INFO,
                };
                guest_log::write(account, identity, level, None, text);
            }
        }
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.emit();
        }
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
