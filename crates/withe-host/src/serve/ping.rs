//! Links over which nothing is called: they answer, and so tell how long the way is.

use std::sync::Arc;

use futures::future::BoxFuture;
use withe_linker::plan::{Plan, PlannedLink};
use withe_rpc::{
    CallContext, CallError, LinkFunction, LinkRequest, Payload, ServedLink, ServedSession,
};

use crate::request::with_functions;

/// The interface of their one function, which takes and returns nothing.
const PING: &str = "withe:ping";

/// Asks for such a link beside `link`.
pub fn request(plan: &Plan, link: &PlannedLink) -> LinkRequest {
    let ping = LinkFunction {
        interface: PING.into(),
        function: "ping".into(),
        digest: 0,
    };
    with_functions(plan, link, vec![ping])
}

/// Whether such a link is asked for.
pub(super) fn is_asked(functions: &[LinkFunction]) -> bool {
    matches!(functions, [one] if one.interface == PING)
}

/// Serves one.
pub(super) fn link() -> Arc<dyn ServedLink> {
    Arc::new(Pong)
}

struct Pong;

impl ServedLink for Pong {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Self)
    }
}

impl ServedSession for Pong {
    fn call(
        self: Arc<Self>,
        _: usize,
        _: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(std::future::ready(Ok(Payload::default())))
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
