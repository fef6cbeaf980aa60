//! Requests into components (`wasi:http/incoming-handler` of WASI 0.2, `wasi:http/handler` of 0.3)
//! and out of them (`outgoing-handler`, `client`), to the world or to other components.
//!
//! Bodies are streams that Wasmtime's implementation of `wasi:http` carries; what is here decides who
//! serves a request, for how long, and where a component's own requests go. Requests and responses are resources of
//! the component's own host and cross no link: they are taken out of the caller's table, carried as messages with
//! streamed bodies, and put into the callee's, whichever of the two releases of WASI each of them uses.

mod body;
mod declared;
mod errors;
pub(crate) mod export;
pub(crate) mod face;
pub(crate) mod failures;
mod guest;
pub(crate) mod hooks;
mod incoming;
mod link;
mod of_others;
mod outgoing;
mod passed;
pub(crate) mod unread;

pub use face::HttpFace;
pub(crate) use face::{is_sent, is_types};
pub use incoming::HttpEntry;
pub use of_others::HttpOfOthers;
pub(crate) use outgoing::define_outgoing;
