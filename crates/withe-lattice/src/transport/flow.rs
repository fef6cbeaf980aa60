//! The counts of both ends of a connection: plain data, without I/O.
//!
//! NATS delivers a message once or not at all, and in order. So messages are numbered, and one that is missing
//! is the end of the connection: what comes after it is never taken for what was lost. A window bounds the
//! bytes under way; the reader opens it as it takes them. A message counts for more than its bytes, so that the
//! window bounds many small ones too.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;

use super::message::At;

/// The most that each side may have under way to the other, in [costs](cost): both, and the broker between
/// them, have to hold so much for a reader that does not read.
pub(super) const WINDOW: u64 = 1 << 20;

/// The most bytes of a stream in a message. Others' messages go between those of a large payload.
pub(super) const LARGEST: usize = 128 << 10;

/// The cost of a message besides its bytes: about the memory to hold it.
const OVERHEAD: u64 = 256;

/// With less room than this, a writer waits for more: it is on its way.
const WORTH: u64 = 4 << 10;

/// Smaller chunks are copied when they wait to be read.
const COPY: usize = 16 << 10;

/// The cost in a window of a message with so many bytes of the stream.
pub(super) fn cost(bytes: usize) -> u64 {
    OVERHEAD + bytes as u64
}

/// The fault of a message that arrived. The connection has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("a message was lost on its way")]
    Lost,
    #[error("more comes than was asked for")]
    Overrun,
    #[error("something comes after the end")]
    AfterEnd,
    #[error("what was never sent is acknowledged")]
    Acknowledged,
}

pub(super) struct Flow {
    incoming: IncomingFlow,
    outgoing: OutgoingFlow,
}

#[derive(Default)]
struct IncomingFlow {
    /// The number of the next message.
    next: u64,
    /// Chunks that arrived and were not read, each with its cost.
    queue: VecDeque<(Bytes, u64)>,
    /// The costs of all messages that arrived, of those read, and of those that the other side knows to be
    /// read.
    came: u64,
    read: u64,
    told: u64,
    has_ended: bool,
}

struct OutgoingFlow {
    /// The number of the next message.
    next: u64,
    /// The cost of all that was sent, and of what of it was read.
    sent: u64,
    acknowledged: u64,
    window: u64,
    has_ended: bool,
}

impl Flow {
    /// A connection whose other side has granted this window.
    pub(super) fn new(window: u64) -> Self {
        Self {
            incoming: IncomingFlow::default(),
            outgoing: OutgoingFlow {
                next: 0,
                sent: 0,
                acknowledged: 0,
                window,
                has_ended: false,
            },
        }
    }

    /// Takes a [`Data`](super::message::Message::Data) message.
    ///
    /// # Errors
    ///
    /// Returns [`Broken`] when the message is not the next, or must not come.
    pub(super) fn data(&mut self, at: At, bytes: Bytes) -> Result<(), Broken> {
        self.numbered(at)?;
        let incoming = &mut self.incoming;
        let cost = cost(bytes.len());
        incoming.came += cost;
        if incoming.came - incoming.read > WINDOW {
            return Err(Broken::Overrun);
        }
        // A few bytes would keep all of the buffer that they came in.
        let bytes = match bytes.len() < COPY {
            true => Bytes::copy_from_slice(&bytes),
            false => bytes,
        };
        incoming.queue.push_back((bytes, cost));
        Ok(())
    }

    /// Takes an [`End`](super::message::Message::End) message.
    ///
    /// # Errors
    ///
    /// As [`data`](Self::data).
    pub(super) fn end(&mut self, at: At) -> Result<(), Broken> {
        self.numbered(at)?;
        self.incoming.has_ended = true;
        Ok(())
    }

    fn numbered(&mut self, at: At) -> Result<(), Broken> {
        self.at(at)?;
        if self.incoming.has_ended {
            return Err(Broken::AfterEnd);
        }
        self.incoming.next += 1;
        Ok(())
    }

    /// Takes where the other side is, which must be where we are.
    ///
    /// # Errors
    ///
    /// Returns [`Broken::Lost`] when the other side is elsewhere.
    pub(super) fn at(&mut self, at: At) -> Result<(), Broken> {
        if at.sequence != self.incoming.next {
            return Err(Broken::Lost);
        }
        if at.acknowledged > self.outgoing.sent {
            return Err(Broken::Acknowledged);
        }
        self.outgoing.acknowledged = self.outgoing.acknowledged.max(at.acknowledged);
        Ok(())
    }

    /// Fills the buffer with bytes that arrived; says whether there were any.
    pub(super) fn read(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let before = buffer.filled().len();
        while let Some((bytes, cost)) = self.incoming.queue.front_mut() {
            let n = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..n]);
            bytes.advance(n);
            if bytes.has_remaining() {
                break;
            }
            self.incoming.read += *cost;
            self.incoming.queue.pop_front();
        }
        buffer.filled().len() > before
    }

    /// Whether all that ever comes was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.incoming.has_ended && self.incoming.queue.is_empty()
    }

    /// Whether the other side needs to hear what was read, though there is nothing else to tell it.
    pub(super) fn owes_ack(&self) -> bool {
        self.incoming.read - self.incoming.told >= WINDOW / 2
    }

    /// How many bytes may be sent in a message now.
    pub(super) fn room(&self) -> usize {
        let outgoing = &self.outgoing;
        let under_way = outgoing.sent - outgoing.acknowledged;
        let room = outgoing.window.saturating_sub(under_way + OVERHEAD);
        if room < WORTH && under_way > 0 {
            return 0;
        }
        usize::try_from(room).unwrap_or(LARGEST).min(LARGEST)
    }

    /// Where we are, for a message with so many bytes of the stream. The message must be sent, and in this
    /// order.
    pub(super) fn send(&mut self, bytes: usize) -> At {
        let at = self.here();
        self.was_told(at);
        self.outgoing.next += 1;
        self.outgoing.sent += cost(bytes);
        at
    }

    /// As [`send`](Self::send), for the last message; nothing if that was sent.
    pub(super) fn send_end(&mut self) -> Option<At> {
        if std::mem::replace(&mut self.outgoing.has_ended, true) {
            return None;
        }
        let at = self.here();
        self.was_told(at);
        self.outgoing.next += 1;
        Some(at)
    }

    pub(super) fn has_sent_end(&self) -> bool {
        self.outgoing.has_ended
    }

    /// Where we are. If it is sent, then before anything else is.
    pub(super) fn here(&self) -> At {
        At {
            sequence: self.outgoing.next,
            acknowledged: self.incoming.read,
        }
    }

    /// The other side is told, or will be, that we are there.
    pub(super) fn was_told(&mut self, at: At) {
        self.incoming.told = at.acknowledged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flow: &mut Flow, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let mut buffer = ReadBuf::new(&mut bytes);
        flow.read(&mut buffer);
        buffer.filled().to_vec()
    }

    fn pair() -> (Flow, Flow) {
        (Flow::new(WINDOW), Flow::new(WINDOW))
    }

    fn send(from: &mut Flow, bytes: &[u8]) -> (At, Bytes) {
        (from.send(bytes.len()), Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn bytes_are_read_in_pieces_of_any_size() {
        let (mut a, mut b) = pair();
        for part in [&b"one"[..], b"", b"two", b"three"] {
            let (at, bytes) = send(&mut a, part);
            b.data(at, bytes).unwrap();
        }
        assert_eq!(read(&mut b, 4), b"onet");
        assert_eq!(read(&mut b, 100), b"wothree");
        assert_eq!(read(&mut b, 100), b"");
        b.end(a.send_end().unwrap()).unwrap();
        assert!(b.is_at_end());
        assert_eq!(a.send_end(), None);
    }

    #[test]
    fn a_lost_message_is_the_end() {
        let (mut a, mut b) = pair();
        let (at, bytes) = send(&mut a, b"one");
        b.data(at, bytes).unwrap();
        send(&mut a, b"lost");
        let (at, bytes) = send(&mut a, b"three");
        assert_eq!(b.data(at, bytes), Err(Broken::Lost));
        assert_eq!(read(&mut b, 100), b"one");
    }

    #[test]
    fn the_loss_of_the_last_message_is_seen_by_any_other() {
        let (mut a, mut b) = pair();
        send(&mut a, b"lost");
        assert_eq!(b.at(a.here()), Err(Broken::Lost));
        let (mut a, mut b) = pair();
        a.send_end();
        assert_eq!(b.at(a.here()), Err(Broken::Lost));
    }

    #[test]
    fn a_message_that_comes_twice_is_the_end() {
        let (mut a, mut b) = pair();
        let (at, bytes) = send(&mut a, b"one");
        b.data(at, bytes.clone()).unwrap();
        assert_eq!(b.data(at, bytes), Err(Broken::Lost));
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let (mut a, mut b) = pair();
        b.end(a.send_end().unwrap()).unwrap();
        let (at, bytes) = send(&mut a, b"more");
        assert_eq!(b.data(at, bytes), Err(Broken::AfterEnd));
    }

    #[test]
    fn a_writer_waits_for_its_reader() {
        let (mut a, mut b) = pair();
        let mut sent = 0;
        while a.room() > 0 {
            let room = a.room();
            let (at, bytes) = send(&mut a, &vec![1; room]);
            sent += bytes.len();
            b.data(at, bytes).unwrap();
        }
        assert!(sent as u64 <= WINDOW && sent as u64 > WINDOW * 9 / 10);
        assert!(!b.owes_ack());
        while !b.owes_ack() {
            assert!(!read(&mut b, 1_000).is_empty());
        }
        let at = b.here();
        b.was_told(at);
        a.at(at).unwrap();
        assert!(!b.owes_ack());
        assert!(a.room() > 0);
    }

    #[test]
    fn small_messages_are_bounded_too() {
        let (mut a, mut b) = pair();
        let mut messages = 0;
        while a.room() > 0 {
            let (at, bytes) = send(&mut a, b"x");
            b.data(at, bytes).unwrap();
            messages += 1;
        }
        assert!(messages <= WINDOW / OVERHEAD);
    }

    #[test]
    fn who_sends_more_than_the_window_is_cut_off() {
        let mut a = Flow::new(u64::MAX);
        let mut b = Flow::new(WINDOW);
        let broken = loop {
            let (at, bytes) = send(&mut a, &[0; LARGEST]);
            if let Err(broken) = b.data(at, bytes) {
                break broken;
            }
        };
        assert_eq!(broken, Broken::Overrun);
    }

    #[test]
    fn only_what_was_sent_can_be_acknowledged() {
        let (mut a, _) = pair();
        let at = At {
            sequence: 0,
            acknowledged: 1,
        };
        assert_eq!(a.at(at), Err(Broken::Acknowledged));
    }
}
