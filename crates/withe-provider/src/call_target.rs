//! The target of calls, wherever it is.

use withe_rpc::{BoxFuture, CallContext, CallError, Payload, RouteSession, Session};

/// Where calls go: a session with another process, a choice among several, or a component in this one.
pub trait CallTarget: Send + Sync + 'static {
    /// Calls a function there, by its number. Dropped, it cancels the call.
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>>;
}

impl CallTarget for Session {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        Box::pin(Session::call(self, function, params, context))
    }
}

impl CallTarget for RouteSession {
    fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'_, Result<Payload, CallError>> {
        Box::pin(RouteSession::call(self, function, params, context))
    }
}
