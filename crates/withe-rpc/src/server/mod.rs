//! The side that is called: accepts connections and passes on what comes over them.

mod calls;
mod connection;
mod running;
mod served;
mod session;
mod state;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::budget::Pool;
use crate::core::Core;
use crate::streams::Side;
use crate::transport::{Duplex, Listener};
use crate::{BackOff, Limits};

pub(crate) use connection::Connection;
pub use served::{Serve, ServedLink, ServedSession};

/// How long to wait after accepting has failed, at first and at most.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(1),
};

/// Serves what is accepted from `listener` until `shutdown`, then takes no new calls and returns when those
/// under way have ended, at the latest after [`Limits::grace`] and what it takes to release what is left.
/// Dropped, it ends all connections at once.
pub async fn serve(
    mut listener: impl Listener,
    serve: Arc<dyn Serve>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) {
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut failures = 0;
    let pool = Pool::new(limits.together);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < limits.connections => match accepted {
                Ok(duplex) => {
                    failures = 0;
                    let of = (serve.clone(), limits.clone(), pool.clone());
                    connections.spawn(connection(duplex, of, stop.clone()));
                }
                Err(e) => {
                    failures += 1;
                    let pause = PAUSES.after(failures);
                    tracing::warn!("cannot accept connections, trying again in {pause:?}: {e}");
                    // A file descriptor may come back. Until then the log is not filled.
                    sleep(pause).await;
                }
            },
        }
    }
    drop(listener);
    stop.cancel();
    let all = async { while connections.join_next().await.is_some() {} };
    // Each has its own bound, which is below this.
    _ = timeout(3 * limits.grace + Duration::from_secs(5), all).await;
}

/// One connection, from its beginning to its end.
async fn connection(
    duplex: Duplex,
    (serve, limits, pool): (Arc<dyn Serve>, Limits, Arc<Pool>),
    stop: CancellationToken,
) {
    let begun = tokio::select! {
        begun = Core::begin(duplex, Side::Server, &limits, Some(pool)) => begun,
        () = stop.cancelled() => return,
    };
    match begun {
        Ok((core, inbox)) => Connection::new(core, serve).run(inbox, stop).await,
        Err(why) => tracing::debug!("a connection was not begun: {why}"),
    }
}
