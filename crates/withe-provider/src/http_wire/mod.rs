//! HTTP over the invocation protocol: one call an exchange.
//!
//! A request and its response are the parameters and the result of one function. What is there of a body
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

mod body;
mod client;
mod head;
mod server;
#[cfg(test)]
mod tests;

use withe_rpc::{BoxFuture, CallContext, CallError, LinkFunction, Payload, RouteSession, Session};

pub use client::{IncomingOver, call};
pub use server::{serve, serve_outgoing};

/// The number of the function in [`functions`].
pub const HANDLE: usize = 0;

/// Raised when what this module writes changes.
const VERSION: u64 = 1;

/// What links that carry HTTP ask for.
pub fn functions() -> Vec<LinkFunction> {
    vec![LinkFunction {
        interface: "withe:http/exchange".into(),
        function: "handle".into(),
        digest: VERSION,
    }]
}

/// Whether a link with these functions carries HTTP, in the version that is spoken here.
pub fn is_http(functions: &[LinkFunction]) -> bool {
    functions == self::functions()
}

/// What carries calls to the other side: a session, or whoever chooses among several.
pub trait Carrier: Send + Sync + 'static {
    /// Calls a function there. Dropped, it cancels the call.
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>>;
}

impl Carrier for Session {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        Box::pin(Session::call(self, function, params, context))
    }
}

impl Carrier for RouteSession {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        Box::pin(RouteSession::call(self, function, params, context))
    }
}
