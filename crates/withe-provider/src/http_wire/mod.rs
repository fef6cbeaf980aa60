//! HTTP over the invocation protocol: one call an exchange.
//!
//! A request and its response are the parameters and the result of one function. The part of a body that is there
//! when it is sent goes along, so that an exchange of small messages costs what a small call costs; the
//! rest follows in a `stream<u8>`, whose reader says how much it wants, and a `future` that has the
//! trailers, or how the body failed. Dropping either end of an exchange ends it at the other.
//!
//! In the codec's terms:
//!
//! ```wit
//! handle: func(request: request) -> result<response, error>;
//!
//! record request {
//!     method: string,
//!     scheme: option<string>,
//!     authority: option<string>,
//!     path-and-query: option<string>,
//!     version: u8,                          // 9, 10, 11, 20, 30
//!     headers: headers,
//!     connect-timeout: option<u64>,         // milliseconds, as the next two
//!     first-byte-timeout: option<u64>,
//!     between-bytes-timeout: option<u64>,
//!     body: body,
//! }
//! record response { status: u16, version: u8, headers: headers, body: body }
//! record error { kind: u8, message: string }
//! type headers = list<tuple<string, list<u8>>>;
//! record body { first: list<u8>, rest: rest }
//! variant rest {
//!     none,
//!     trailers(headers),
//!     // Its length, if that is known; its bytes; its trailers, or why it is not whole.
//!     follows(tuple<option<u64>, stream<u8>, future<result<option<headers>, error>>>),
//! }
//! ```

pub(crate) mod body;
mod client;
mod exchange;
mod head;
mod server;
#[cfg(test)]
mod tests;

pub use client::{IncomingOver, call};
pub use exchange::{HANDLE, functions, is_http};
pub use server::{serve, serve_outgoing};
