//! The same small call over v1's own transport and over ours, and beside them NATS alone, on one broker: on v1's
//! wire, which v1's parts understand, and over the transport `nats`, which Withe's hosts have among themselves.
//!
//! v1's transport is measured twice: with one client for all calls, which is the best that it can do, and with a new
//! one for each, which is how v1's host calls. Callers and callees have a runtime each, as in processes of their own.
//!
//! `cargo run --release --manifest-path tests/wasmcloud/Cargo.toml --example versus`

#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
#[path = "../tests/v1/mod.rs"]
mod v1;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Runtime;
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_provider::codec::ByteList;
use withe_provider::{Call, LinkId, Payload, Provider};
use withe_rpc::{
    CallContext, CallError, Client, LinkFunction, LinkRequest, Serve, ServedLink, serve,
};
use withe_testing::nats::NatsServer;
use withe_wasmcloud::{Exports, ServedComponent, serve_component};
use withe_wit::{Function, Type};
use wrpc_transport::{InvokeExt as _, ServeExt as _};

use support::{Answer, PATIENCE, exports, function, importer, name, target, wire};

const ECHO: &str = "test:interop/echo";
/// How many times each is measured, in turn, so that all see the same machine.
const ROUNDS: usize = 9;
/// Calls of one caller in a round, whose median is taken.
const CALLS: usize = 500;
/// Callers at once, and for how long in a round.
const CALLERS: usize = 64;
const SPAN: Duration = Duration::from_millis(700);

const SENT: &[u8] = b"a small value of thirty-two bytes";

/// One call.
type OneCall = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

fn main() {
    let broker = Arc::new(NatsServer::start().unwrap());
    let (callees, callers) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let of_callees = broker.clone();
    let _serving = on(&callees, async move { serve_all(&of_callees).await });
    on(&callers, async move { compare(&broker).await });
}

/// Runs `work` in the runtime's own threads, and not in this one beside them.
fn on<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(runtime.spawn(work)).unwrap()
}

/// Serves the call in all ways, as long as what this returns is there.
async fn serve_all(broker: &NatsServer) -> (ServedComponent, [v1::Task; 3]) {
    let tasks = [
        serve_floor(broker).await,
        serve_theirs(broker).await,
        serve_native(broker).await,
    ];
    (serve_on_v1s_wire(broker).await, tasks)
}

async fn compare(broker: &NatsServer) {
    let mut rows = [
        Row::new("NATS, request and reply", call_floor(broker).await),
        Row::new("v1's transport", call_theirs(broker).await),
        Row::new("v1's, a client a call", call_as_v1s_host(broker).await),
        Row::new("ours, on v1's wire", call_on_v1s_wire(broker).await),
        Row::new("ours, between our hosts", call_native(broker).await),
    ];
    for row in &rows {
        one_after_the_other(&row.call).await;
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.times.push(one_after_the_other(&row.call).await);
        }
        for row in &mut rows {
            row.rates.push(many_at_once(&row.call).await);
        }
    }
    println!(
        "{:<26}{:>12}{:>16}{:>20}{:>18}",
        "", "p50 in µs", "calls/s at 64", "times v1's p50", "times v1's calls"
    );
    let results = rows.map(|row| (row.what, median(row.times), median(row.rates)));
    let (_, v1_time, v1_rate) = results[1];
    for (what, time, rate) in results {
        println!(
            "{what:<26}{time:>12.0}{rate:>16.0}{:>20.2}{:>18.2}",
            v1_time / time,
            rate / v1_rate
        );
    }
}

/// A way to make the call, and what was measured of it.
struct Row {
    what: &'static str,
    call: OneCall,
    times: Vec<f64>,
    rates: Vec<f64>,
}

impl Row {
    fn new(what: &'static str, call: OneCall) -> Self {
        Self {
            what,
            call,
            times: Vec::new(),
            rates: Vec::new(),
        }
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The median time of a call, in microseconds.
async fn one_after_the_other(call: &OneCall) -> f64 {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        call().await;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    median(times)
}

/// Calls a second.
async fn many_at_once(call: &OneCall) -> f64 {
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let call = call.clone();
        tokio::spawn(async move {
            let mut calls = 0;
            while begun.elapsed() < SPAN {
                call().await;
                calls += 1;
            }
            calls
        })
    });
    let calls = futures::future::join_all(callers).await;
    let calls: u32 = calls.into_iter().map(Result::unwrap).sum();
    f64::from(calls) / begun.elapsed().as_secs_f64()
}

async fn serve_floor(broker: &NatsServer) -> v1::Task {
    let server = support::client(broker).await;
    let mut requests = server.subscribe("floor").await.unwrap();
    support::settle(&server).await;
    v1::Task::spawn(async move {
        while let Some(request) = requests.next().await {
            server
                .publish(request.reply.unwrap(), request.payload)
                .await
                .unwrap();
        }
    })
}

async fn call_floor(broker: &NatsServer) -> OneCall {
    let client = support::client(broker).await;
    Arc::new(move || {
        let client = client.clone();
        Box::pin(async move {
            let back = client
                .request("floor", Bytes::from_static(SENT))
                .await
                .unwrap();
            assert_eq!(back.payload, SENT);
        })
    })
}

async fn serve_theirs(broker: &NatsServer) -> v1::Task {
    let server = v1::client(broker, "theirs").await;
    let calls = server
        .rpc
        .serve_values::<(Bytes,), (Bytes,)>(ECHO, "echo", vec![])
        .await
        .unwrap();
    server.settle().await;
    v1::Task::spawn(async move {
        // Callees are reached as long as their client is there.
        let _server = server;
        let mut calls = std::pin::pin!(calls);
        while let Some(Ok((_, params, _, results))) = calls.next().await {
            tokio::spawn(results(params));
        }
    })
}

async fn call_theirs(broker: &NatsServer) -> OneCall {
    let client = Arc::new(v1::client(broker, "theirs").await);
    Arc::new(move || {
        let client = client.clone();
        Box::pin(async move { invoke_theirs(&client.rpc).await })
    })
}

async fn call_as_v1s_host(broker: &NatsServer) -> OneCall {
    let nats = async_nats_v1::connect(broker.url()).await.unwrap();
    Arc::new(move || {
        let nats = nats.clone();
        Box::pin(async move {
            let client = wrpc_transport_nats::Client::new(nats, "default.theirs", None).await;
            invoke_theirs(&client.unwrap()).await;
        })
    })
}

async fn invoke_theirs(client: &wrpc_transport_nats::Client) {
    let paths: [[Option<usize>; 0]; 0] = [];
    let params = (Bytes::from_static(SENT),);
    let call =
        client.invoke_values_blocking::<_, (Bytes,), (Bytes,)>(None, ECHO, "echo", params, paths);
    // v1 is known to lose a call now and then, which is not what is measured here.
    if let Ok(back) = tokio::time::timeout(Duration::from_secs(1), call).await {
        assert_eq!(back.unwrap().0, SENT);
    }
}

/// The type of what is called.
fn echo() -> Function {
    let bytes = || Type::List(Arc::new(Type::U8));
    function("echo", &[bytes()], Some(bytes()))
}

/// The component that is called.
fn component() -> Exports {
    exports([(ECHO, echo())], |_, params| Answer::Now(Ok(params)))
}

async fn serve_on_v1s_wire(broker: &NatsServer) -> ServedComponent {
    let wire = wire(broker).await;
    serve_component(&wire, "default", "ours", component())
        .await
        .unwrap()
}

async fn call_on_v1s_wire(broker: &NatsServer) -> OneCall {
    let target = Arc::new(target(broker, "ours", [(ECHO, echo())]).await);
    target
        .link_put(importer(1, "default", &[name(ECHO, "echo")]))
        .await
        .unwrap();
    Arc::new(move || {
        let target = target.clone();
        Box::pin(async move {
            let call = Call {
                link: LinkId(1),
                function: 0,
                params: Payload::of(&(ByteList(SENT.to_vec()),)),
                deadline: Instant::now() + PATIENCE,
                caller: "kv",
                trace: None,
            };
            let ByteList(back) = target.call(call).await.unwrap().read().unwrap();
            assert_eq!(back, SENT);
        })
    })
}

/// Has one component.
struct Host(Arc<dyn ServedLink>);

impl Serve for Host {
    fn link(&self, _: LinkRequest) -> Result<Arc<dyn ServedLink>, CallError> {
        Ok(self.0.clone())
    }
}

async fn serve_native(broker: &NatsServer) -> v1::Task {
    let client = support::client(broker).await;
    let listener = NatsListener::bind(client, "default", "host").await.unwrap();
    let host = Arc::new(Host(component().link));
    let forever = std::future::pending();
    v1::Task::spawn(serve(listener, host, Default::default(), forever))
}

async fn call_native(broker: &NatsServer) -> OneCall {
    let client = support::client(broker).await;
    let connector = NatsConnector::new(client, "default", "host").unwrap();
    let request = LinkRequest {
        functions: vec![LinkFunction::default()],
        ..LinkRequest::default()
    };
    let client = Client::new(Arc::new(connector), Default::default());
    let session = Arc::new(client.link(request).session());
    Arc::new(move || {
        let session = session.clone();
        Box::pin(async move {
            let context = CallContext {
                deadline: Instant::now() + PATIENCE,
                trace: None,
            };
            let params = Payload::of(&(ByteList(SENT.to_vec()),));
            let back = session.call(0, params, context).await.unwrap();
            let ByteList(back) = back.read().unwrap();
            assert_eq!(back, SENT);
        })
    })
}
