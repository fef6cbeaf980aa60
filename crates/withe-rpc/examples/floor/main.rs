//! Measures the protocol's cost over each transport beside the cost of the transport alone, in one run:
//!
//! ```text
//! cargo run --release -p withe-rpc --example floor
//! ```
//!
//! Both sides are threads with a runtime of one thread each. The floor is a ping-pong of as many bytes as
//! the protocol's frames have; with many callers each has a connection of its own. `floor tcp` measures
//! one transport only.

mod bare;
mod tcp;
mod unix;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Builder;
use withe_rpc::{
    BoxFuture, CallContext, CallError, Chunk, Client, Distance, LinkFunction, LinkRequest, Payload,
    Proximity, Replica, Route, RouteRules, RouteSession, Serve, ServedLink, ServedSession, Session,
    StreamKind, pipe,
};

use bare::Bare;

/// Bytes of a small call's parameters and results; with a frame's head, about 100.
const SMALL: usize = 80;

/// Bytes of a small call's frame.
const SMALL_FRAME: usize = 100;

/// How often each measurement is repeated; the best counts, for the machine has other things to do.
const ROUNDS: usize = 5;

/// A transport, and four servers on it.
trait Transport {
    /// A connection to a bare server.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Starts the servers, each in a thread.
    fn start() -> Self;

    /// Connects to one of those that do not speak the protocol.
    async fn bare(&self, server: Bare) -> Self::Stream;

    /// A client of the one that does.
    fn client(&self) -> Arc<Client>;
}

/// The target of the measured calls.
struct Echo;

impl Serve for Echo {
    fn link(&self, _: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        Ok(Arc::new(Echo))
    }
}

impl ServedLink for Echo {
    fn session(&self) -> Arc<dyn ServedSession> {
        Arc::new(Echo)
    }
}

impl ServedSession for Echo {
    fn call(
        self: Arc<Self>,
        function: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async move {
            match function {
                0 => {}
                // Takes the spawned way.
                1 => tokio::task::yield_now().await,
                // Reads streams to their end.
                _ => {
                    for mut stream in params.streams {
                        while let Some(chunk) =
                            std::future::poll_fn(|cx| stream.poll_chunk(cx, CHUNK)).await
                        {
                            chunk?;
                        }
                    }
                    return Ok(Payload::default());
                }
            }
            Ok(params)
        })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

/// Runs a server in a thread of its own for as long as the process lives.
fn start<F: Future<Output = ()>>(server: impl FnOnce() -> F + Send + 'static) {
    std::thread::spawn(move || runtime().block_on(server()));
    std::thread::sleep(Duration::from_millis(50));
}

async fn bare_call(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), buffer: &mut [u8]) {
    stream.write_all(buffer).await.expect("the server is there");
    stream.flush().await.expect("the server is there");
    stream
        .read_exact(buffer)
        .await
        .expect("the server is there");
}

fn context() -> CallContext {
    CallContext {
        deadline: Instant::now() + Duration::from_secs(30),
        trace: None,
    }
}

/// A session, of a link or of a route.
trait Calls {
    async fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError>;
}

impl Calls for Session {
    async fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        Session::call(self, function, params, context).await
    }
}

impl Calls for RouteSession {
    async fn call(
        &self,
        function: usize,
        params: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        RouteSession::call(self, function, params, context).await
    }
}

async fn call(session: &impl Calls, function: usize, bytes: Vec<u8>) -> Vec<u8> {
    let params = Payload {
        bytes,
        ..Payload::default()
    };
    let result = session.call(function, params, context()).await;
    result.expect("the server is there").bytes
}

fn request() -> LinkRequest {
    LinkRequest {
        functions: vec![LinkFunction::default(); 3],
        ..LinkRequest::default()
    }
}

fn session(transport: &impl Transport) -> Session {
    transport.client().link(request()).session()
}

fn route_session(transport: &impl Transport) -> RouteSession {
    let route = Route::new(request(), RouteRules::default());
    route.set(vec![Replica {
        id: "only".into(),
        name: "only".into(),
        client: transport.client(),
        distance: Distance {
            brokered: false,
            place: Proximity::Machine,
        },
    }]);
    route.session()
}

/// The median of what `n` rounds of `f` take, in microseconds.
async fn median(n: usize, mut f: impl AsyncFnMut()) -> f64 {
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        f().await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[n / 2].as_secs_f64() * 1e6
}

async fn small(session: impl Calls, function: usize) -> f64 {
    call(&session, function, vec![0; SMALL]).await;
    median(20_000, async || {
        call(&session, function, vec![0; SMALL]).await;
    })
    .await
}

async fn small_floor(transport: &impl Transport) -> f64 {
    let mut stream = transport.bare(Bare::Small).await;
    let mut buffer = vec![0; SMALL_FRAME];
    median(20_000, async || bare_call(&mut stream, &mut buffer).await).await
}

const CALLERS: usize = 64;
const CALLS: usize = 2_000;

/// Calls a second.
async fn many(transport: &impl Transport, function: usize) -> f64 {
    let session = Arc::new(session(transport));
    call(&*session, function, vec![0; SMALL]).await;
    let start = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let session = session.clone();
        callers.spawn(async move {
            for _ in 0..CALLS {
                call(&*session, function, vec![0; SMALL]).await;
            }
        });
    }
    callers.join_all().await;
    (CALLERS * CALLS) as f64 / start.elapsed().as_secs_f64()
}

async fn many_floor(transport: &impl Transport) -> f64 {
    let mut callers = tokio::task::JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..CALLERS {
        streams.push(transport.bare(Bare::Small).await);
    }
    let start = Instant::now();
    for mut stream in streams {
        callers.spawn(async move {
            let mut buffer = vec![0; SMALL_FRAME];
            for _ in 0..CALLS {
                bare_call(&mut stream, &mut buffer).await;
            }
        });
    }
    callers.join_all().await;
    (CALLERS * CALLS) as f64 / start.elapsed().as_secs_f64()
}

const LARGE: usize = 1 << 20;

/// Megabytes a second, one way: there and back count as two.
async fn large(transport: &impl Transport) -> f64 {
    let session = session(transport);
    let mut bytes = vec![1; LARGE];
    bytes = call(&session, 0, bytes).await;
    let micros = median(200, async || {
        bytes = call(&session, 0, std::mem::take(&mut bytes)).await;
    })
    .await;
    2.0 * LARGE as f64 / micros
}

async fn large_floor(transport: &impl Transport) -> f64 {
    let mut stream = transport.bare(Bare::Large).await;
    let mut buffer = vec![1; LARGE];
    let micros = median(200, async || bare_call(&mut stream, &mut buffer).await).await;
    2.0 * LARGE as f64 / micros
}

const STREAM: usize = 256 << 20;
const CHUNK: usize = 64 << 10;

/// Megabytes a second of a stream that the server reads.
async fn stream(transport: &impl Transport) -> f64 {
    let session = session(transport);
    call(&session, 0, vec![0; SMALL]).await;
    let (mut writer, reader) = pipe(StreamKind::Bytes, 0);
    let start = Instant::now();
    let writing = async {
        let mut left = STREAM;
        while left > 0 {
            let wanted = std::future::poll_fn(|cx| writer.poll_demand(cx)).await;
            let count = wanted.expect("the server reads").min(CHUNK).min(left);
            let payload = Payload {
                bytes: vec![1; count],
                ..Payload::default()
            };
            writer
                .send(Chunk { count, payload })
                .expect("the server reads");
            left -= count;
        }
        writer.finish();
    };
    let params = Payload {
        streams: vec![reader],
        ..Payload::default()
    };
    let (result, ()) = tokio::join!(session.call(2, params, context()), writing);
    result.expect("the server is there");
    STREAM as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// Megabytes a second that are written in as large pieces, each of them made anew as a stream's are.
async fn stream_floor(transport: &impl Transport) -> f64 {
    let mut stream = transport.bare(Bare::Sink).await;
    let start = Instant::now();
    for _ in 0..STREAM / CHUNK {
        let bytes = vec![1; CHUNK];
        stream.write_all(&bytes).await.expect("the server reads");
    }
    stream.shutdown().await.expect("the server reads");
    stream
        .read_exact(&mut [0])
        .await
        .expect("the server answers");
    STREAM as f64 / start.elapsed().as_secs_f64() / 1e6
}

/// Prints what a transport's servers are measured at. The goals are those of small calls one at a time, and of
/// many callers.
fn measure<T: Transport>(name: &str, goals: [&str; 2]) {
    let transport = &T::start();
    let mut best = [[f64::NAN; 2]; 6];
    for _ in 0..ROUNDS {
        let run = [
            [
                runtime().block_on(small_floor(transport)),
                runtime().block_on(async { small(session(transport), 0).await }),
            ],
            [
                runtime().block_on(small_floor(transport)),
                runtime().block_on(async { small(session(transport), 1).await }),
            ],
            [
                runtime().block_on(small_floor(transport)),
                runtime().block_on(async { small(route_session(transport), 0).await }),
            ],
            [
                runtime().block_on(many_floor(transport)),
                runtime().block_on(many(transport, 0)),
            ],
            [
                runtime().block_on(large_floor(transport)),
                runtime().block_on(large(transport)),
            ],
            [
                runtime().block_on(stream_floor(transport)),
                runtime().block_on(stream(transport)),
            ],
        ];
        for (row, (best, run)) in best.iter_mut().zip(run).enumerate() {
            for (best, run) in best.iter_mut().zip(run) {
                *best = if row < 3 {
                    best.min(run)
                } else {
                    best.max(run)
                };
            }
        }
    }
    let rows = [
        ("small call, p50, us", goals[0]),
        ("small call that waits, p50, us", ""),
        ("small call over a route, p50, us", goals[0]),
        ("64 callers, calls/s", goals[1]),
        ("1 MiB there and back, MB/s", "at least 0.6"),
        ("stream of bytes, MB/s", ""),
    ];
    println!("| {name} | floor | protocol | ratio | goal |\n|---|---|---|---|---|");
    for ((what, goal), [floor, protocol]) in rows.into_iter().zip(best) {
        println!(
            "| {what} | {floor:.1} | {protocol:.1} | {:.2} | {goal} |",
            protocol / floor
        );
    }
}

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("unix") {
        measure::<unix::Sockets>("Unix socket", ["at most 2", "at least 1"]);
    }
    if wanted("tcp") {
        measure::<tcp::Sockets>("TCP with TLS", ["at most 1.6", "at least 1"]);
    }
}
