//! Streams and futures, as a provider has them.
//!
//! A stream or future in WIT is its readable end, wherever it stands in a function's type: [`generate!`](crate::generate)
//! makes a [`StreamReader`] or a [`FutureReader`] of it. Who has one reads it, or passes it on; who gives one makes it
//! together with what writes it. Nothing is written before the reader wants it, wherever it is, so a stream takes no more
//! memory than what is under way.
//!
//! **Ends.** A stream ends when its writer says so; one whose writer is dropped, or whose process ends, has failed, and
//! the reader is told: half of the data must not look like all of it. A reader that is dropped ends the writer.
//! The writer of a stream that a function returns goes on after the call, so it needs an owner:
//! [`StreamReader::written_by`] gives it to the readable end, with which it ends. Tasks of a link's own would have had to
//! be found again when a component drops a stream.
//!
//! **Deadlines.** A call's deadline is that of its result. A stream lasts as long as both ends want, as between
//! components; who cannot wait for the other end sets a limit around each read or write. A read that is dropped loses
//! nothing. A write that is dropped half way has lost values, and its stream fails: to keep them for the next write was
//! rejected, as who drops a write may as well not want them sent any more.

mod end;
mod future;
mod stream;

pub use future::{FutureReader, FutureWriter};
pub use stream::{StreamReader, StreamWriter};

#[cfg(test)]
mod tests;
