//! Bounds on the resources that a connection may use.

use std::sync::OnceLock;
use std::time::Duration;

use crate::CallError;

/// The environment variable that says how much one call may carry: bytes, or `KiB`, `MiB` or `GiB` of them.
pub const PAYLOAD_VARIABLE: &str = "WITHE_MAX_PAYLOAD";

/// How much one call may carry unless [`PAYLOAD_VARIABLE`] says otherwise.
const PAYLOAD: usize = 64 << 20;

/// Bounds on what one connection, or one peer, may take up. Exceeding one fails with
/// [`CallError::Exhausted`](crate::CallError::Exhausted) where one call, link or stream can be blamed; else the
/// connection ends.
///
/// Each side says in its first frame what it takes, and keeps to what the other side said.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of values in the parameters or the results of one call, and in one element of a stream.
    pub payload: usize,
    /// Bytes that a connection holds of payloads that have not come to their end, and of stream elements
    /// that nobody has read yet; and bytes of answers that the caller does not take.
    pub unfinished: usize,
    /// The same of all connections of a server together. Each can have no more of it than is left for the others.
    pub together: usize,
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
        let unfinished = max_payload().saturating_mul(4).max(256 << 20);
        Self {
            payload: max_payload(),
            unfinished,
            together: unfinished.saturating_mul(2).max(1 << 30),
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

/// The most bytes of values in the parameters or the results of one call, and in one element of a stream: over every
/// binding that copies them, in this process. The same as [`Limits::payload`] by default; processes that this one
/// starts inherit it.
pub fn max_payload() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let Ok(text) = std::env::var(PAYLOAD_VARIABLE) else {
            return PAYLOAD;
        };
        read_size(&text).unwrap_or_else(|| {
            tracing::error!(
                "{PAYLOAD_VARIABLE} is `{text}`, which is no number of bytes such as 67108864 or `64MiB`; \
                 {PAYLOAD} is taken"
            );
            PAYLOAD
        })
    })
}

/// A call's parameters or results, whichever `what` says, exceed `most`.
pub fn payload_exceeded(what: &str, bytes: usize, most: u64) -> CallError {
    CallError::Exhausted(format!(
        "the {what} have {bytes} bytes, and one call may carry {most}: pass a stream, or several calls, or raise \
         {PAYLOAD_VARIABLE} on both sides"
    ))
}

fn read_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let bytes = digits.parse::<usize>().ok()?.checked_mul(unit)?;
    (bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, bytes) in [
            ("1", Some(1)),
            (" 64MiB ", Some(64 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("10KiB", Some(10 << 10)),
            ("0", None),
            ("", None),
            ("MiB", None),
            ("64MB", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(read_size(text), bytes, "{text}");
        }
    }
}
