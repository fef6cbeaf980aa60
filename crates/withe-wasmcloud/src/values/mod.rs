//! Values between Withe's links and v1's wire.
//!
//! Both use the same encoding of values, but for streams and futures: a [`Payload`](withe_rpc::Payload)
//! numbers them, where v1 has `0x00` and sends what they carry to a subject that their position gives. So
//! values of functions without any pass untouched, and others are walked by their types.

pub(crate) mod signature;
mod streams;
mod walk;

pub use signature::{CannotCarry, Uncarried, can_carry};
pub(crate) use signature::{Signature, mismatch};
