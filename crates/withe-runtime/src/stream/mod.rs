//! Streams and futures between a store and the pipes that lead out of it.
//!
//! A stream that a guest passes out is given a consumer that writes into a pipe; what comes in is a producer that
//! reads from one. Both wait for the other side: nothing is taken from a guest before the reader wants
//! it. A stream that a guest only passes on is the pipe it came from.

mod inlet;
mod kinds;
pub(crate) mod open;
mod outlet;

pub(crate) use inlet::lead_in;
pub(crate) use kinds::ElementSide;
pub(crate) use outlet::lead_out;
