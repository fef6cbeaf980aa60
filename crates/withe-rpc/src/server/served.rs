//! The traits of a server's targets: links, their sessions, and calls of those.

use std::sync::Arc;

use crate::guard::Panicked;
use crate::transport::BoxFuture;
use crate::{CallContext, CallError, LinkRequest, Payload};

/// Serves links: a target for each.
pub trait Serve: Send + Sync + 'static {
    /// Makes a link. Called in the order in which links are asked for on a connection, and not to take
    /// long: it keeps other calls of the connection waiting.
    ///
    /// # Errors
    ///
    /// [`CallError::Unlinked`] if nothing may be linked there, [`CallError::TypeMismatch`] naming the function
    /// whose type differs, [`CallError::Unreachable`] if the target cannot be asked. Calls that were sent
    /// behind the request fail with it.
    fn link(&self, request: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError>;
}

/// A link that is served.
pub trait ServedLink: Send + Sync {
    /// Begins a session: what one instance of the caller has with its callee. Cheap; made when the
    /// session's first call comes.
    fn session(&self) -> Arc<dyn ServedSession>;
}

/// A session that is served. When it ends, its resources are dropped, and then it is.
pub trait ServedSession: Send + Sync {
    /// Calls a function of the link. Calls, and drops of resources, are made and polled for the first
    /// time in the order in which they came. The future is dropped when the call is cancelled or its
    /// deadline passes.
    ///
    /// A result's handles are numbers that this session gives out; of those that come in parameters it
    /// was checked that they were given out and not taken back.
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>>;

    /// Drops a resource that was given out.
    fn drop_handle(self: Arc<Self>, id: u32) -> BoxFuture<'static, ()>;
}

/// The error of a call whose target panicked.
pub(super) fn panicked(panicked: Panicked) -> CallError {
    CallError::Trap(format!("the target {panicked}"))
}
