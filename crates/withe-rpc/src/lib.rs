//! The parts of a link between processes: the value codec, how a call fails, and the protocol that carries calls.
//!
//! * [`codec`]: the component model's value encoding, as wRPC uses it on the wire.
//! * [`pipe`]: a stream or future of a call, between its two ends.
//! * [`error`]: the ways a call can fail, told apart.
//! * [`client`] and [`server`]: the two sides of the invocation protocol, which `docs/protocol.md` specifies.
//! * [`transport`]: what it asks of a transport, and [`unix`] and [`tcp`], two; [`secure`] makes one of another;
//!   [`identity`] and [`members`] are
//!   how the sides of the latter know each other.
//!
//! The protocol's inside, from the bytes up: `frame`, `hello` and `link` are its bytes as plain data; `inbox` and
//! `outbox` read and write many frames at once; `streams` is what a connection has of streams; `core` is
//! what both sides do alike.

mod assembly;
mod back_off;
mod budget;
pub mod client;
mod clock;
pub mod codec;
mod core;
pub mod error;
mod frame;
mod guard;
mod hello;
pub mod identity;
mod inbox;
mod limits;
mod link;
pub mod members;
mod outbox;
pub mod pipe;
pub mod secure;
pub mod server;
mod streams;
mod table;
pub mod tcp;
mod tls;
mod trace;
pub mod transport;
pub mod unix;
mod unread;

#[cfg(test)]
mod tests;

use std::time::Instant;

pub use back_off::BackOff;
pub use client::{
    Client, Distance, Proximity, RemoteLink, Replica, Route, RouteRules, RouteSession, Session,
};
pub use codec::{Decode, DecodeError, Encode, Reader, Writer};
pub use error::CallError;
pub use identity::{Fingerprint, Identity};
pub use limits::{Limits, PAYLOAD_VARIABLE, max_payload, payload_exceeded};
pub use link::{LinkFunction, LinkRequest};
pub use members::Members;
pub use pipe::{Chunk, PipeReader, PipeWriter, StreamKind, pipe};
pub use server::{Serve, ServedLink, ServedSession, serve};
pub use trace::TraceContext;
pub use transport::{BoxFuture, Connect, Duplex, KeepAlive, Listener};

/// The data that goes with a call besides its parameters.
#[derive(Clone, Copy, Debug)]
pub struct CallContext {
    /// When the caller gives up.
    pub deadline: Instant,
    /// The trace that the call is part of.
    pub trace: Option<TraceContext>,
}

/// A call's parameters or its results: encoded values, and the resource handles and streams in them.
///
/// In `bytes` a handle is its index in `handles`, LEB128-encoded, so that handles can be translated
/// between tables without parsing the values around them; a stream or future likewise is its index in
/// `streams`.
#[derive(Debug, Default)]
pub struct Payload {
    /// The values, one after the other, in [`codec`]'s encoding.
    pub bytes: Vec<u8>,
    /// The handles in them.
    pub handles: Vec<HandleRef>,
    /// The readable ends of the streams and futures in them.
    pub streams: Vec<PipeReader>,
}

/// A resource handle as it crosses a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleRef {
    /// The number that the callee's side of the link gave out for the resource.
    pub id: u32,
    /// Whether ownership goes with it (`own`), or it is only lent for the call (`borrow`).
    pub own: bool,
}

impl Payload {
    /// The payload that holds `values` (a tuple of parameters, or of one result).
    pub fn of(values: &impl Encode) -> Self {
        let mut w = Writer::default();
        values.encode(&mut w);
        w.finish()
    }

    /// Reads all of it as `T`.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly one `T`.
    pub fn read<T: Decode>(&self) -> Result<T, DecodeError> {
        let mut r = Reader::new(self);
        let value = T::decode(&mut r)?;
        r.finish()?;
        Ok(value)
    }

    /// Reads all of it as `T`, with its streams.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn take<T: Decode>(self) -> Result<T, DecodeError> {
        self.take_with(T::decode)
    }

    /// Reads all of it by `read`, with its streams. Streams that `read` does not take are closed.
    ///
    /// # Errors
    ///
    /// The error of `read`, or that it leaves bytes over.
    pub fn take_with<T>(
        self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut streams: Vec<_> = self.streams.into_iter().map(Some).collect();
        let mut r = Reader::taking(&self.bytes, &self.handles, &mut streams);
        let value = read(&mut r)?;
        r.finish()?;
        Ok(value)
    }
}
