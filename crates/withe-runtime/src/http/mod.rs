//! Requests into components (`wasi:http/incoming-handler` of WASI 0.2, `wasi:http/handler` of 0.3)
//! and out of them (`outgoing-handler`, `client`).
//!
//! Bodies are streams that Wasmtime's implementation of `wasi:http` carries; what is here decides who
//! serves a request, for how long, and where a component's own requests go.

mod body;
mod declared;
mod errors;
pub(crate) mod export;
pub(crate) mod hooks;
mod incoming;
mod outgoing;
mod unread;

pub use incoming::HttpEntry;
pub(crate) use outgoing::{define_outgoing, is_outgoing};
