//! What a connection may take up.

use std::time::Duration;

/// Bounds on what one connection, or one peer, may take up. What would exceed one fails with
/// [`CallError::Exhausted`](crate::CallError::Exhausted) where that can be said of one call, link or
/// stream; else the connection ends.
///
/// Each side says in its first frame what it takes, and keeps to what the other side said.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of values in the parameters or the results of one call, and in one element of a stream.
    pub payload: usize,
    /// Bytes that a connection holds of payloads that have not come to their end, and of stream elements
    /// that nobody has read yet; and bytes of answers that the caller does not take.
    pub unfinished: usize,
    /// Calls in flight on a connection.
    pub calls: u32,
    /// Sessions of a connection.
    pub sessions: u32,
    /// Links of a connection.
    pub links: u32,
    /// Resource handles that a session holds.
    pub handles: usize,
    /// Streams and futures of a connection that are written by the same side.
    pub streams: u32,
    /// Bytes of frames that wait to be written; what would add to more waits.
    pub queue: usize,
    /// Connections that a server has at a time; more are not accepted until one ends.
    pub connections: usize,
    /// How long connecting, and the exchange of first frames, may take.
    pub connect: Duration,
    /// How long nothing may have come before the client asks whether the server is there. For this and
    /// `answer` the [transport](crate::KeepAlive) may ask for less.
    pub keep_alive: Duration,
    /// How long the server has to answer that. A server gives up a client that was silent for twice
    /// this and `keep_alive` together; either side one that takes nothing for as long.
    pub answer: Duration,
    /// How long calls and streams under way have to end when a server stops, and what is left of
    /// sessions to be released.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 64 << 20,
            unfinished: 256 << 20,
            calls: 4_096,
            sessions: 16_384,
            links: 1_024,
            handles: 65_536,
            streams: 4_096,
            queue: 1 << 20,
            connections: 1_024,
            connect: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            answer: Duration::from_secs(10),
            grace: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// How long a peer may be silent, or take nothing, before the connection counts as dead.
    pub(crate) fn silence(&self) -> Duration {
        2 * (self.keep_alive + self.answer)
    }
}
