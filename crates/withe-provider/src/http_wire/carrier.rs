//! What a request may go over.

use withe_rpc::{BoxFuture, CallContext, CallError, Payload, RouteSession, Session};

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
