//! Links that lead on to another host: what comes from a process of this machine goes there as it is.

use std::sync::Arc;

use futures::future::BoxFuture;
use withe_rpc::{CallContext, CallError, Payload, Route, RouteSession, ServedLink, ServedSession};

/// Serves a link with so many functions by the `route` that it takes.
pub(super) fn link(route: Arc<Route>, functions: usize) -> Arc<dyn ServedLink> {
    Arc::new(RelayLink { route, functions })
}

struct RelayLink {
    route: Arc<Route>,
    functions: usize,
}

impl ServedLink for RelayLink {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Relay {
            session: self.route.session(),
            functions: self.functions,
        })
    }
}

/// A session of the caller, and the one that it has with the callee: their handles are the same.
struct Relay {
    session: RouteSession,
    functions: usize,
}

impl ServedSession for Relay {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            if function >= self.functions {
                let why = format!("the link has no function number {function}");
                return Err(CallError::TypeMismatch(why));
            }
            self.session.call(function, params, context).await
        })
    }

    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()> {
        self.session.drop_handle(id);
        Box::pin(std::future::ready(()))
    }
}
