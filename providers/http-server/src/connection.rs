//! One connection: TLS if the listener has it, then hyper until either side closes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::body::ToClient;
use crate::exchange::{self, LastAuthority};
use crate::listener::Listener;
use crate::stall::{StallGuard, WRITE_STALL};
use crate::stop::Stop;

/// How long a client may take over TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take over a request's head, and leave a connection idle.
const HEAD: Duration = Duration::from_secs(30);
/// The most that a request's head may hold.
const HEAD_SIZE: usize = 64 * 1024;
/// The most requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// Serves `stream` until it is closed or the listener stops and the requests under way are done.
pub(crate) async fn serve(stream: TcpStream, listener: Arc<Listener>) {
    // Responses are written whole; waiting for more to send would only delay them.
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {e}");
    }
    let stream = StallGuard::new(stream, WRITE_STALL);
    let served = match listener.tls.load_full() {
        None => serve_http1(stream, &listener, Scheme::HTTP).await,
        Some(config) => {
            let accepted = tokio::select! {
                accepted = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)) => accepted,
                () = listener.stop.wait() => return,
            };
            match accepted {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    serve_http2(stream, &listener, Scheme::HTTPS).await
                }
                Ok(Ok(stream)) => serve_http1(stream, &listener, Scheme::HTTPS).await,
                Ok(Err(e)) => return tracing::debug!("TLS handshake failed: {e}"),
                Err(_) => return tracing::debug!("TLS handshake took too long"),
            }
        }
    };
    if let Err(e) = served {
        // Clients go away all the time; only someone who looks for it wants to know.
        tracing::debug!("connection ended: {e}");
    }
}

async fn serve_http1<S>(stream: S, listener: &Arc<Listener>, scheme: Scheme) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Not `pipeline_flush`: with it, a response waits for as long as any part of another request has
    // come in, and what is said about a request that cannot be parsed is never sent.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service(listener.clone(), scheme));
    drive(
        connection,
        http1::Connection::graceful_shutdown,
        &listener.stop,
    )
    .await
}

async fn serve_http2<S>(stream: S, listener: &Arc<Listener>, scheme: Scheme) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_SIZE as u32)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(HEAD)
        .serve_connection(TokioIo::new(stream), service(listener.clone(), scheme));
    drive(
        connection,
        http2::Connection::graceful_shutdown,
        &listener.stop,
    )
    .await
}

fn service(
    listener: Arc<Listener>,
    scheme: Scheme,
) -> impl Service<
    Request<Incoming>,
    Response = Response<ToClient>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<ToClient>, Infallible>> + Send,
> + Send {
    let last = RefCell::new(LastAuthority::default());
    service_fn(move |request| {
        let begun = exchange::begin(&listener, &scheme, &mut last.borrow_mut(), request);
        async move {
            Ok(match begun {
                Ok((route, request)) => exchange::exchange(route, request).await,
                Err(answer) => *answer,
            })
        }
    })
}

/// Runs `connection` to its end, which comes sooner once `stop` is given.
async fn drive<C: Future>(connection: C, finish: impl Fn(Pin<&mut C>), stop: &Stop) -> C::Output {
    let mut connection = pin!(connection);
    let mut stopped = pin!(stop.wait());
    let mut finishing = false;
    poll_fn(|cx| {
        if !finishing && stopped.as_mut().poll(cx).is_ready() {
            finishing = true;
            finish(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await
}
