//! `wrpc.0.0.1` over NATS: how wasmCloud v1's parts call each other.
//!
//! An invocation is a message to `{lattice}.{id}.wrpc.0.0.1.{instance}.{function}` with the parameters, as
//! far as one message takes them, that names the caller's inbox. The callee answers there with an empty
//! message that names an inbox of its own, to whose `params` the rest of the parameters go. Results come
//! to the caller's `results`. Streams and futures in values are `0x00`, and what they carry comes beside
//! the values, at the path at which they stand. An empty message ends each of these subjects. There
//! is nothing else: no error, no status, no cancelling, no deadline, no back-pressure.
//!
//! v1's own transport can lose what comes just when it begins to listen for it, on either side. So both sides here
//! repeat what makes the other go on, while nothing comes from it.
//!
//! Both sides here take all that comes through one wildcard subscription per connection ([`mailbox`]), so
//! that a call costs the broker no subscription, and bound and time whatever they wait for.

pub(crate) mod client;
pub(crate) mod connection;
mod limits;
pub(crate) mod mailbox;
pub(crate) mod names;
pub(crate) mod server;

use std::time::Duration;

pub use connection::V1Wire;
pub use limits::Limits;

/// When a peer of which nothing comes is first told again what it may have missed; then ever more rarely.
const REMINDER: Duration = Duration::from_millis(50);
