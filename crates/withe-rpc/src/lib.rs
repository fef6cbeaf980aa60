//! What crosses a link: the value codec, and how a call fails.
//!
//! * [`codec`]: the component model's value encoding, as wRPC uses it on the wire.
//! * [`pipe`]: a stream or future of a call, between its two ends.
//! * [`error`]: the ways a call can fail, told apart.

pub mod codec;
pub mod error;
pub mod pipe;

pub use codec::{Decode, DecodeError, Encode, Reader, Writer};
pub use error::CallError;
pub use pipe::{Chunk, PipeReader, PipeWriter, StreamKind, pipe};

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
}
