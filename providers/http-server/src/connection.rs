//! One connection: TLS if the listener has it, then hyper until either side closes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::body::ToClient;
use crate::crowd::CrowdPlace;
use crate::exchange;
use crate::flood::FloodGuard;
use crate::serving::Front;
use crate::stall::{StallGuard, WRITE_STALL};
use crate::stop::Stop;
use crate::target::LastHost;
use crate::trailers::{Edited, Trailers};
use crate::transfer::Transfers;

/// How long a client may take over TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection that was just accepted is kept for its first request when it is told to stop: it may be on its
/// way, and a connection that is closed without an answer loses it.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// The interval between checks of whether clients are too slow.
const SWEEP: Duration = Duration::from_secs(1);
/// The interval between looks at a connection that may begin HTTP/2.
const PREFACE_AGAIN: Duration = Duration::from_millis(5);
/// The most requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// Serves `stream` until it is closed, its place is needed, or `stop` is given and the requests under way are done.
pub(crate) async fn serve(
    stream: TcpStream,
    place: CrowdPlace,
    front: Arc<Front>,
    stop: Arc<Stop>,
) {
    let place = Arc::new(place);
    let serving = front.serving.load();
    let (head, head_bytes) = (serving.head_timeout, serving.head_bytes);
    drop(serving);
    let of = Of {
        place: place.clone(),
        transfers: Arc::default(),
        head,
        head_bytes,
        asked: Arc::default(),
        front,
        stop,
    };
    tokio::select! {
        () = serve_to_end(stream, of) => {}
        () = place.closed() => tracing::debug!("closed an idle connection: its place was needed"),
    }
}

async fn serve_to_end(stream: TcpStream, of: Of) {
    // Responses are written whole; waiting for more to send would only delay them.
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("cannot set TCP_NODELAY: {e}");
    }
    let (tls, limits) = {
        let serving = of.front.serving.load();
        (serving.tls.load_full(), serving.crowd)
    };
    let begins_http2 = tls.is_none()
        && tokio::select! {
            begins = timeout(of.head, begins_http2(&stream)) => match begins {
                Ok(begins) => begins,
                Err(_) => return tracing::debug!("a connection asked for nothing"),
            },
            () = of.stopped_for(FIRST_REQUEST) => return,
        };
    let stream = StallGuard::new(stream, WRITE_STALL);
    let served = match tls {
        None if begins_http2 => serve_http2(stream, &of, Scheme::HTTP).await,
        None => serve_http1(stream, &of, Scheme::HTTP).await,
        Some(config) => {
            let Some(_handshake) = of.place.handshake(&limits) else {
                return tracing::debug!(
                    "refused a connection: too many TLS handshakes are under way"
                );
            };
            let accepted = tokio::select! {
                accepted = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)) => accepted,
                () = of.stopped_for(FIRST_REQUEST) => return,
            };
            match accepted {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    serve_http2(stream, &of, Scheme::HTTPS).await
                }
                Ok(Ok(stream)) => serve_http1(stream, &of, Scheme::HTTPS).await,
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

/// How HTTP/2 begins (RFC 9113, 3.4), as far as no request of HTTP/1.1 does.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// Whether a client that speaks no TLS speaks HTTP/2 at once, which it has to know of. Waits for its first bytes, and leaves them
/// where they are.
async fn begins_http2(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(n) if n == first.len() => return first == PREFACE,
            // Others wait until there is more: nobody is told when.
            Ok(n) if n > 0 && PREFACE.starts_with(&first[..n]) => sleep(PREFACE_AGAIN).await,
            // The parser finds out what is wrong.
            Ok(_) | Err(_) => return false,
        }
    }
}

/// The owners and limits of a connection.
struct Of {
    front: Arc<Front>,
    place: Arc<CrowdPlace>,
    /// The transfers that its client may be too slow over.
    transfers: Arc<Transfers>,
    /// Whether it has asked for anything yet.
    asked: Arc<AtomicBool>,
    /// How long the client may take over a request's head, and leave the connection idle.
    head: Duration,
    /// The most bytes of a request's head.
    head_bytes: usize,
    stop: Arc<Stop>,
}

impl Of {
    /// Comes when the connection was told to stop for so long.
    async fn stopped_for(&self, time: Duration) {
        self.stop.wait().await;
        sleep(time).await;
    }
}

async fn serve_http1<S>(stream: S, of: &Of, scheme: Scheme) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let trailers = Trailers::new();
    // Not `pipeline_flush`: with it, a response waits for as long as any part of another request has
    // come in, and what is said about a request that cannot be parsed is never sent.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(of.head)
        .max_header_size(of.head_bytes)
        .serve_connection(
            TokioIo::new(Edited::new(stream, trailers.clone())),
            service(of, scheme, Some(trailers)),
        );
    drive(connection, http1::Connection::graceful_shutdown, of).await
}

async fn serve_http2<S>(stream: S, of: &Of, scheme: Scheme) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(of.head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(of.head)
        .serve_connection(
            TokioIo::new(FloodGuard::new(stream)),
            service(of, scheme, None),
        );
    drive(connection, http2::Connection::graceful_shutdown, of).await
}

fn service(
    of: &Of,
    scheme: Scheme,
    trailers: Option<Arc<Trailers>>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<ToClient>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<ToClient>, Infallible>> + Send + use<>,
> + Send
+ use<> {
    let last = RefCell::new(LastHost::default());
    let (front, place, transfers) = (of.front.clone(), of.place.clone(), of.transfers.clone());
    let asked = of.asked.clone();
    service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        let limits = front.serving.load().crowd;
        let under_way = place.request(&limits);
        let begun = match &under_way {
            Ok(_) => exchange::begin(&front, &scheme, &mut last.borrow_mut(), request),
            Err(crowded) => Err(exchange::crowded(*crowded)),
        };
        let (trailers, transfers) = (trailers.clone(), transfers.clone());
        async move {
            let response = match begun {
                Ok(begun) => exchange::exchange(begun, trailers.as_ref(), &transfers).await,
                Err(answer) => *answer,
            };
            Ok(response.map(|body| body.counted(under_way.ok())))
        }
    })
}

/// Runs `connection` to its end, which comes sooner once it is told to stop. While anything is under way it checks now
/// and then whether the client is too slow.
async fn drive<C: Future>(connection: C, finish: impl Fn(Pin<&mut C>), of: &Of) -> C::Output {
    let mut connection = pin!(connection);
    let mut stopped = pin!(of.stop.wait());
    let mut finishing = false;
    // For as long as the first request may still come, once it is told to stop.
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    // Not made before there is something to look at.
    let mut sweep: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        let is_time = sweep
            .as_mut()
            .is_some_and(|s| s.as_mut().poll(cx).is_ready());
        if is_time {
            of.transfers.sweep();
            sweep = None;
        }
        if !finishing && patience.is_none() && stopped.as_mut().poll(cx).is_ready() {
            patience = Some(Box::pin(sleep(FIRST_REQUEST)));
        }
        let mut polled = connection.as_mut().poll(cx);
        if !finishing
            && polled.is_pending()
            && let Some(patience) = &mut patience
            && (of.asked.load(Ordering::Relaxed) || patience.as_mut().poll(cx).is_ready())
        {
            finishing = true;
            finish(connection.as_mut());
            polled = connection.as_mut().poll(cx);
        }
        if polled.is_pending() && sweep.is_none() && of.transfers.any() {
            let mut timer = Box::pin(sleep(SWEEP));
            // The timer wakes nobody that has not asked.
            if timer.as_mut().poll(cx).is_pending() {
                sweep = Some(timer);
            }
        }
        polled
    })
    .await
}
