//! The readable end that a value holds until it goes.

use std::sync::{Mutex, PoisonError};

use withe_rpc::codec::Writer;
use withe_rpc::{PipeReader, StreamKind, pipe};

/// The readable end of a stream or future; `None` once it has ended, or was written into a payload.
///
/// Values are written by reference, and an end can go only once.
pub(super) type End = Mutex<Option<PipeReader>>;

pub(super) fn take(end: &End) -> Option<PipeReader> {
    // Nothing panics while the lock is held.
    end.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Writes an end into a payload. One that is there no more becomes one that fails.
pub(super) fn write(end: &End, kind: StreamKind, w: &mut Writer) {
    let reader = take(end).unwrap_or_else(|| pipe(kind, 0).1);
    w.stream(reader);
}
