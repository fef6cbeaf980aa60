//! Bounds on the resources that v1's wire may use.

use std::time::Duration;

/// Bounds on what one connection may take up. v1's wire has no back-pressure, so what comes faster than it
/// is taken is kept up to these, and then fails.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the parameters or the results of one call, and of one element of a stream.
    pub payload: usize,
    /// Bytes that have come of one stream and that nobody took yet.
    pub stream: usize,
    /// Bytes that have come over the connection and that nobody took yet.
    pub unread: usize,
    /// Calls that a served component has in flight. More are turned away.
    pub calls: usize,
    /// Streams that are sent or received outside of a served call.
    pub streams: usize,
    /// How long a stream may be silent before it counts as broken off: v1 says nothing of a side that has
    /// gone away.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 64 << 20,
            stream: 32 << 20,
            unread: 256 << 20,
            calls: 4_096,
            streams: 4_096,
            idle: Duration::from_secs(300),
        }
    }
}
