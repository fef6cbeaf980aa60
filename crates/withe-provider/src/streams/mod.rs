//! Streams and futures, as a provider has them.
//!
//! A stream or future in WIT is its readable end, wherever it stands in a function's type: [`generate!`](crate::generate)
//! makes a [`StreamReader`] or a [`FutureReader`] of it. Who has one reads it, or passes it on; who gives one makes it
//! together with what writes it. Nothing is written before the reader wants it, wherever it is, so a stream takes no more
//! memory than what is under way.
//!
//! **Ends.** A stream ends when its writer says so; one whose writer is dropped, or whose process ends, has failed, and
//! the reader is told: half of the data must not look like all of it. A reader that is dropped ends the writer.
//! What writes a stream that a function returns goes on after the call, so it needs an owner: [`StreamReader::written_by`]
//! gives it to the readable end, with which it ends. Tasks of a link's own would have had to be found again when a
//! component drops a stream.
//!
//! **Deadlines.** A call's deadline is that of its result. A stream lasts as long as both ends want, as between
//! components; who cannot wait for the other end sets a limit around each read or write, which can be dropped.

mod future;
mod stream;

pub use future::{FutureReader, FutureWriter};
pub use stream::{StreamReader, StreamWriter};

use std::sync::{Mutex, PoisonError};

use withe_rpc::codec::Writer;
use withe_rpc::{PipeReader, StreamKind, pipe};

/// The readable end of a stream or future; `None` once it has ended, or was written into a payload.
///
/// Values are written by reference, and an end can go only once.
type End = Mutex<Option<PipeReader>>;

fn take(end: &End) -> Option<PipeReader> {
    // Nothing panics while the lock is held.
    end.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Writes an end into a payload. One that is there no more becomes one that fails.
fn write(end: &End, kind: StreamKind, w: &mut Writer) {
    let reader = take(end).unwrap_or_else(|| pipe(kind, 0).1);
    w.stream(reader);
}

#[cfg(test)]
mod tests;
