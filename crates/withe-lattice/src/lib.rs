//! The lattice: where hosts meet.
//!
//! A lattice keeps a small ordered store of keys and values that can be watched, leases (entries that last as
//! long as their owner), blobs, and messages between hosts. The lattice knows nothing of applications: its
//! users give the keys their meaning.
//!
//! * [`embedded`]: one machine, without a server. Other processes of the machine are [`Attached`] to it.
//! * [`nats`]: any number of machines, on a NATS server with JetStream. [`names`] has all that it uses there.
//! * [`transport`]: connections between hosts through NATS, for the calls of components. They do not go
//!   through the lattice, but through the server that it is on.

#[cfg(not(fuzzing))]
mod attached;
#[cfg(fuzzing)]
pub mod attached;
mod backlog;
mod blob;
mod digest;
pub mod embedded;
mod entry;
pub mod error;
mod feed;
mod keys;
mod lattice;
pub mod names;
pub mod nats;
pub mod permissions;
pub mod transport;
mod value;

pub use attached::Attached;
pub use blob::{BlobError, MAX_BLOB};
pub use embedded::Embedded;
pub use entry::{Change, Entry, Expect, MAX_VALUE};
pub use error::LatticeError;
pub use lattice::{LEASE, Lattice, Message, Messages, Request, Requests, SharedLattice, Watch};
pub use nats::Nats;
pub use value::ValueError;
