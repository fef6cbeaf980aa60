//! A stream of HTTP/2 that ends when its client sends much that is of no use to anybody.
//!
//! Pings and settings are answered, streams can be opened and reset, and frames can be empty, all without a request
//! that comes to anything. hyper bounds what it keeps of these, and not how many there are: a client could have a
//! connection's task busy for ever, and components begun and dropped without end. So each such frame takes from a
//! budget, which time and useful frames of both sides fill again. A bound for each kind was rejected, for it would
//! have to be known of each how many a good client sends: some ping with every part of an answer that comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::frames::{FrameHeads, FrameKind};

/// The stream, which both sides' frames are counted of.
#[derive(Debug)]
pub(crate) struct FloodGuard<S> {
    inner: S,
    received: FrameHeads,
    sent: FrameHeads,
    budget: FrameBudget,
}

/// How many useless frames may still come.
#[derive(Debug)]
struct FrameBudget {
    left: u32,
    /// When time filled it last.
    filled: Instant,
}

/// The most useless frames in a row: far more than all streams of a connection need at once.
const BURST: u32 = 1_000;
/// How many more there may be with each second.
const PER_SECOND: u32 = 10;
/// The price of resetting a stream: more than the head of its request has filled.
const RESET: u32 = 2;
/// The frames that a part of an answer gives back: a client may open two windows for it, and ping.
const ANSWERED: u32 = 4;

impl FrameBudget {
    fn new() -> Self {
        Self {
            left: BURST,
            filled: Instant::now(),
        }
    }

    fn fill(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(BURST);
    }

    /// Takes so many; whether there were as many.
    fn take(&mut self, frames: u32) -> bool {
        if self.left < frames {
            let seconds = self.filled.elapsed().as_secs();
            if seconds > 0 {
                self.filled = Instant::now();
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                self.fill(PER_SECOND.saturating_mul(seconds));
            }
        }
        match self.left.checked_sub(frames) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl<S> FloodGuard<S> {
    /// Guards the server's side of a connection, of which nothing was read yet.
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            received: FrameHeads::of_client(),
            sent: FrameHeads::of_server(),
            budget: FrameBudget::new(),
        }
    }

    /// Counts what the client sent.
    ///
    /// # Errors
    ///
    /// The client sent too much that is of no use.
    fn receive(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(kind) = self.received.next(&mut bytes) {
            let goes_on = match kind {
                FrameKind::Headers | FrameKind::Data(1..) => {
                    self.budget.fill(1);
                    true
                }
                FrameKind::ResetStream => self.budget.take(RESET),
                FrameKind::Data(0) | FrameKind::Other => self.budget.take(1),
            };
            if !goes_on {
                let why = "the client sends too many frames that are of no use";
                return Err(io::Error::other(why));
            }
        }
        Ok(())
    }

    /// Counts what was sent to the client: it may have something to say about content.
    fn send(&mut self, mut bytes: &[u8]) {
        while let Some(kind) = self.sent.next(&mut bytes) {
            if let FrameKind::Data(1..) = kind {
                self.budget.fill(ANSWERED);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FloodGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &read {
            self.receive(&buf.filled()[before..])?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FloodGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = &written {
            self.send(&buf[..*n]);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(n)) = &written {
            let mut left = *n;
            for buf in bufs {
                let part = left.min(buf.len());
                self.send(&buf[..part]);
                left -= part;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const RESET_ONE: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    const WINDOW: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const EMPTY: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    const CONTENT: [u8; 10] = [0, 0, 1, 0, 0, 0, 0, 0, 1, b'x'];
    const REQUEST: [u8; 10] = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x82];

    /// A connection on which both sides have said hello.
    fn begun() -> FloodGuard<()> {
        let mut guard = FloodGuard::new(());
        guard.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        guard
    }

    /// How many times these frames may come in a row.
    fn most(guard: &mut FloodGuard<()>, frames: &[u8]) -> u32 {
        let mut count = 0;
        while count < 10 * BURST && guard.receive(frames).is_ok() {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn useless_frames_have_an_end() {
        for (frames, expected) in [
            (&PING[..], BURST),
            (&EMPTY, BURST),
            (&WINDOW, BURST),
            (&RESET_ONE, BURST / RESET),
            // The request of each is worth one of the two.
            (&[&REQUEST[..], &RESET_ONE].concat(), BURST - 1),
        ] {
            assert_eq!(most(&mut begun(), frames), expected, "{frames:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn useful_frames_have_none() {
        let useful = [&REQUEST[..], &CONTENT, &PING].concat();
        assert_eq!(most(&mut begun(), &useful), 10 * BURST);
        // A client that opens both windows with every part of an answer, and pings.
        let mut guard = begun();
        let opened = [WINDOW, WINDOW].concat();
        for _ in 0..10 * BURST {
            guard.send(&CONTENT);
            guard.receive(&opened).unwrap();
            guard.receive(&PING).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_now_and_then_may_come_for_ever() {
        let mut guard = begun();
        assert_eq!(most(&mut guard, &PING), BURST);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(3)).await;
            assert_eq!(most(&mut guard, &PING), 3 * PER_SECOND);
        }
        tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
        assert_eq!(most(&mut guard, &PING), BURST);
    }
}
