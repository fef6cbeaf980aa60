//! Measures calls over the `nats` transport, beside bare requests of the same bytes through the same server, in
//! one run:
//!
//! ```text
//! cargo run --release -p withe-lattice --example nats_floor
//! ```
//!
//! Both sides are threads with a runtime of one thread each, and each has a connection to the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_rpc::{
    BoxFuture, CallContext, CallError, LinkFunction, LinkRequest, Payload, Serve, ServedLink,
    ServedSession, Session, serve,
};
use withe_testing::nats::NatsServer;

/// Bytes of a small call's parameters and results.
const SMALL: usize = 80;

/// Bytes of a small call's message: its frame and the transport's header.
const SMALL_MESSAGE: usize = 117;

/// Bytes of a large one, and of the pieces in which the bare client sends them.
const LARGE: usize = 1 << 20;
const PIECE: usize = 128 << 10;

/// How often each measurement is repeated; the best counts, for the machine has other things to do.
const ROUNDS: usize = 5;

const CALLERS: usize = 64;
const CALLS: usize = 1_000;

/// The target of the measured calls: returns its parameters.
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
        _: usize,
        params: Payload,
        _: CallContext,
    ) -> BoxFuture<'static, Result<Payload, CallError>> {
        Box::pin(async { Ok(params) })
    }

    fn drop_handle(self: Arc<Self>, _: u32) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made")
}

async fn connect(url: &str) -> Client {
    let client = async_nats::connect(url).await;
    client.expect("the server is there")
}

/// Answers bare requests.
async fn answer(client: Client) {
    let requests = client.subscribe("bare").await;
    let mut requests = requests.expect("the server is there");
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            let sent = client.publish(reply, request.payload).await;
            sent.expect("the server is there");
        }
    }
}

/// Runs the servers in a thread for as long as the process lives.
fn start(url: String) {
    std::thread::spawn(move || {
        runtime().block_on(async {
            let client = connect(&url).await;
            let listener = NatsListener::bind(client.clone(), "bench", "host").await;
            let listener = listener.expect("the server is there");
            let forever = std::future::pending();
            tokio::join!(
                answer(client),
                serve(listener, Arc::new(Echo), Default::default(), forever)
            );
        });
    });
    std::thread::sleep(Duration::from_millis(200));
}

async fn session(url: &str) -> Session {
    let connector = NatsConnector::new(connect(url).await, "bench", "host");
    let connector = connector.expect("the names are good");
    let client = withe_rpc::Client::new(Arc::new(connector), Default::default());
    let request = LinkRequest {
        functions: vec![LinkFunction::default()],
        ..LinkRequest::default()
    };
    client.link(request).session()
}

async fn call(session: &Session, bytes: Vec<u8>) -> Vec<u8> {
    let context = CallContext {
        deadline: Instant::now() + Duration::from_secs(30),
        trace: None,
    };
    let params = Payload {
        bytes,
        ..Payload::default()
    };
    let result = session.call(0, params, context).await;
    result.expect("the server is there").bytes
}

async fn request(client: &Client, bytes: Bytes) {
    let answer = client.request("bare", bytes).await;
    answer.expect("the server is there");
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

async fn small(url: &str) -> f64 {
    let session = session(url).await;
    call(&session, vec![0; SMALL]).await;
    median(5_000, async || {
        call(&session, vec![0; SMALL]).await;
    })
    .await
}

async fn small_floor(url: &str) -> f64 {
    let client = connect(url).await;
    let bytes = Bytes::from(vec![0; SMALL_MESSAGE]);
    request(&client, bytes.clone()).await;
    median(5_000, async || request(&client, bytes.clone()).await).await
}

/// Calls a second.
async fn many(url: &str) -> f64 {
    let session = Arc::new(session(url).await);
    call(&session, vec![0; SMALL]).await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let session = session.clone();
        callers.spawn(async move {
            for _ in 0..CALLS {
                call(&session, vec![0; SMALL]).await;
            }
        });
    }
    callers.join_all().await;
    (CALLERS * CALLS) as f64 / start.elapsed().as_secs_f64()
}

async fn many_floor(url: &str) -> f64 {
    let client = connect(url).await;
    let bytes = Bytes::from(vec![0; SMALL_MESSAGE]);
    request(&client, bytes.clone()).await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, bytes) = (client.clone(), bytes.clone());
        callers.spawn(async move {
            for _ in 0..CALLS {
                request(&client, bytes.clone()).await;
            }
        });
    }
    callers.join_all().await;
    (CALLERS * CALLS) as f64 / start.elapsed().as_secs_f64()
}

/// Megabytes a second, one way: there and back count as two.
async fn large(url: &str) -> f64 {
    let session = session(url).await;
    let mut bytes = call(&session, vec![1; LARGE]).await;
    let micros = median(50, async || {
        bytes = call(&session, std::mem::take(&mut bytes)).await;
    })
    .await;
    2.0 * LARGE as f64 / micros
}

/// The same in as many requests at once as it takes pieces.
async fn large_floor(url: &str) -> f64 {
    let client = connect(url).await;
    let piece = Bytes::from(vec![1; PIECE]);
    let micros = median(50, async || {
        let all = (0..LARGE / PIECE).map(|_| request(&client, piece.clone()));
        futures::future::join_all(all).await;
    })
    .await;
    2.0 * LARGE as f64 / micros
}

/// Something that is measured: bare, and over the protocol.
struct Row {
    what: &'static str,
    goal: &'static str,
    run: fn(&str) -> [f64; 2],
    better: fn(f64, f64) -> f64,
}

const ROWS: [Row; 3] = [
    Row {
        what: "small call, p50, us",
        goal: "at most 1.4",
        run: |url| {
            [
                runtime().block_on(small_floor(url)),
                runtime().block_on(small(url)),
            ]
        },
        better: f64::min,
    },
    Row {
        what: "64 callers, calls/s",
        goal: "at least 0.6",
        run: |url| {
            [
                runtime().block_on(many_floor(url)),
                runtime().block_on(many(url)),
            ]
        },
        better: f64::max,
    },
    Row {
        what: "1 MiB there and back, MB/s",
        goal: "",
        run: |url| {
            [
                runtime().block_on(large_floor(url)),
                runtime().block_on(large(url)),
            ]
        },
        better: f64::max,
    },
];

fn main() {
    let server = NatsServer::start().expect("a server can be started");
    let url = server.url();
    start(url.clone());
    println!("| NATS | bare | protocol | ratio | goal |\n|---|---|---|---|---|");
    for row in ROWS {
        let mut best = [f64::NAN; 2];
        for _ in 0..ROUNDS {
            let run = (row.run)(&url);
            best = [(row.better)(best[0], run[0]), (row.better)(best[1], run[1])];
        }
        let [bare, protocol] = best;
        let (what, goal, ratio) = (row.what, row.goal, protocol / bare);
        println!("| {what} | {bare:.1} | {protocol:.1} | {ratio:.2} | {goal} |");
    }
}
