//! Small HTTP servers of this command, for those who watch it: metrics, and a page. Each has a bound on connections and on how long
//! one lasts, so that nobody who connects and waits costs more than that.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be taken, such as for want of file descriptors.
const AGAIN: Duration = Duration::from_millis(100);

/// The bounds of a server's connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The most at a time; others wait.
    pub(crate) connections: usize,
    /// The longest that one lasts: a client that goes on asking connects again.
    pub(crate) lasts: Duration,
}

/// Answers what comes in by `answer`, until this is dropped.
pub(crate) async fn serve<A, F, B>(listener: TcpListener, limits: ConnectionLimits, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let answer = Arc::new(answer);
    let free = Arc::new(Semaphore::new(limits.connections));
    // They end with this.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Nobody closes it.
        let Ok(permit) = free.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                connections.spawn(async move {
                    _ = timeout(limits.lasts, connection(stream, answer)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!("a connection was not taken: {error}");
                sleep(AGAIN).await;
            }
        }
    }
}

async fn connection<A, F, B>(stream: TcpStream, answer: Arc<A>)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!("a connection ended: {error}");
    }
}
