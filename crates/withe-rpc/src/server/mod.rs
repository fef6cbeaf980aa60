//! The side that is called: accepts connections and passes on what comes over them.

mod calls;
mod connection;
mod running;
mod session;
mod state;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::core::Core;
use crate::streams::Side;
use crate::transport::{BoxFuture, Duplex, Listener};
use crate::{CallContext, CallError, Limits, LinkRequest, Payload};

pub(crate) use connection::Connection;

/// What is served: the targets of links.
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

/// Serves what is accepted from `listener` until `shutdown`, then takes no new calls and returns when those
/// under way have ended, at the latest after [`Limits::grace`] and what it takes to release what is left.
/// Dropped, it ends all connections at once.
pub async fn serve(
    mut listener: impl Listener,
    serve: Arc<dyn Serve>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok(duplex) => {
                    connections.spawn(connection(duplex, serve.clone(), limits.clone(), stopped.clone()));
                }
                Err(e) => {
                    tracing::warn!("cannot accept a connection: {e}");
                    // What is missing, a file descriptor perhaps, may come back.
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Each has its own bound, which is below this.
    _ = timeout(3 * limits.grace + Duration::from_secs(5), all).await;
}

/// One connection, from its beginning to its end.
async fn connection(
    duplex: Duplex,
    serve: Arc<dyn Serve>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let begun = tokio::select! {
        begun = Core::begin(duplex, Side::Server, &limits) => begun,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    match begun {
        Ok((core, inbox)) => Connection::new(core, serve).run(inbox, stop).await,
        Err(why) => tracing::debug!("a connection was not begun: {why}"),
    }
}
