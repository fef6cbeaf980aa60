//! Our two sides of v1's wire against v1's own (`wrpc-transport-nats`), one at a time.

#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;
mod v1;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use withe_provider::codec::ByteList;
use withe_provider::{Call, CallError, LinkId, Payload, Provider};
use withe_rpc::{Chunk, StreamKind, pipe};
use withe_wasmcloud::{V1Target, serve_component};
use withe_wit::{Function, Type};
use wrpc_transport::{InvokeExt as _, ServeExt as _};

use support::{Answer, PATIENCE, broker, exports, function, importer, name, target, wire, within};

const ECHO: &str = "test:interop/echo";

/// v1's paths of no streams.
const NONE: [[Option<usize>; 0]; 0] = [];

fn bytes() -> Type {
    Type::List(Arc::new(Type::U8))
}

fn numbers() -> Type {
    Type::Stream(Some(Arc::new(Type::U32)))
}

fn echo() -> Function {
    function("echo", &[bytes()], Some(bytes()))
}

async fn linked<const N: usize>(
    broker: &withe_testing::nats::NatsServer,
    id: &str,
    functions: [Function; N],
) -> V1Target {
    let names = functions.clone().map(|f| name(ECHO, &f.name));
    let target = target(broker, id, functions.map(|f| (ECHO, f))).await;
    target
        .link_put(importer(1, "default", &names))
        .await
        .unwrap();
    target
}

fn call(function: usize, params: Payload) -> Call<'static> {
    call_within(function, params, PATIENCE)
}

fn call_within(function: usize, params: Payload, limit: Duration) -> Call<'static> {
    Call {
        link: LinkId(1),
        function,
        params,
        deadline: Instant::now() + limit,
        caller: "kv",
        trace: None,
    }
}

/// Sizes below, at and above what a message of the broker takes.
const SIZES: [usize; 6] = [0, 1, 1_000, (1 << 20) - 3, 1 << 20, 5_000_000];

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn we_call_v1_with_values_of_any_size() {
    let broker = broker();
    let server = v1::client(&broker, "echo").await;
    let calls = server
        .rpc
        .serve_values::<(Bytes,), (Bytes,)>(ECHO, "echo", vec![])
        .await
        .unwrap();
    let _serving = v1::Task::spawn(async move {
        let mut calls = std::pin::pin!(calls);
        while let Some(call) = calls.next().await {
            let (_, params, _, results) = call.unwrap();
            tokio::spawn(async move { results(params).await.unwrap() });
        }
    });
    server.settle().await;
    let target = linked(&broker, "echo", [echo()]).await;
    for size in SIZES {
        let sent = pattern(size);
        let result = target
            .call(call(0, Payload::of(&(ByteList(sent.clone()),))))
            .await;
        let ByteList(back) = result.unwrap().read().unwrap();
        assert!(back == sent, "{size} bytes");
    }
}

#[tokio::test]
async fn v1_calls_us_with_values_of_any_size() {
    let broker = broker();
    let wire = wire(&broker).await;
    let component = exports([(ECHO, echo())], |_, params| Answer::Now(Ok(params)));
    let _served = serve_component(&wire, "default", "echo", component)
        .await
        .unwrap();
    let client = v1::client(&broker, "echo").await;
    for size in SIZES {
        let sent = Bytes::from(pattern(size));
        let call = client.rpc.invoke_values_blocking::<_, (Bytes,), (Bytes,)>(
            None,
            ECHO,
            "echo",
            (sent.clone(),),
            NONE,
        );
        let (back,) = within("v1's call", call).await.unwrap();
        assert!(back == sent, "{size} bytes");
    }
}

#[tokio::test]
async fn many_calls_at_once_get_their_own_results() {
    let broker = broker();
    let wire = wire(&broker).await;
    let component = exports([(ECHO, echo())], |_, params| Answer::Now(Ok(params)));
    let _served = serve_component(&wire, "default", "echo", component)
        .await
        .unwrap();
    let target = linked(&broker, "echo", [echo()]).await;
    let calls = stream::iter(0..500u32).map(|n| {
        let target = &target;
        async move {
            let sent = n.to_string().repeat(n as usize).into_bytes();
            let params = Payload::of(&(ByteList(sent.clone()),));
            let ByteList(back) = target.call(call(0, params)).await.unwrap().read().unwrap();
            assert_eq!(back, sent);
        }
    });
    calls.buffer_unordered(64).collect::<()>().await;
    let client = v1::client(&broker, "echo").await;
    let calls = stream::iter(0..200u32).map(|n| {
        let client = &client;
        async move {
            let sent = Bytes::from(n.to_string());
            let params = (sent.clone(),);
            let call = client
                .rpc
                .invoke_values_blocking::<_, (Bytes,), (Bytes,)>(None, ECHO, "echo", params, NONE);
            assert_eq!(within("v1's call", call).await.unwrap(), (sent,));
        }
    });
    calls.buffer_unordered(16).collect::<()>().await;
}

fn double() -> Function {
    function("double", &[numbers()], Some(numbers()))
}

/// What `double` is given, in chunks; none is empty, since that would end the stream for v1.
fn chunks() -> impl Iterator<Item = Vec<u32>> {
    (1..40u32).map(|n| (0..n * 50).collect())
}

#[tokio::test]
async fn we_stream_to_v1_and_back() {
    let broker = broker();
    let server = v1::client(&broker, "echo").await;
    let path = || -> Vec<Box<[Option<usize>]>> { vec![Box::new([Some(0)])] };
    let calls = server
        .rpc
        .serve_values::<(v1::Numbers,), (v1::Numbers,)>(ECHO, "double", path())
        .await
        .unwrap();
    let _serving = v1::Task::spawn(async move {
        let mut calls = std::pin::pin!(calls);
        while let Some(call) = calls.next().await {
            let (_, (numbers,), io, results) = call.unwrap();
            let double = |chunk: Vec<u32>| chunk.into_iter().map(|n| 2 * n).collect();
            let doubled: v1::Numbers = Box::pin(numbers.map(double));
            tokio::spawn(async move {
                tokio::try_join!(
                    async { Ok::<_, anyhow::Error>(io.unwrap().await?) },
                    results((doubled,))
                )
                .unwrap()
            });
        }
    });
    server.settle().await;
    let target = linked(&broker, "echo", [double()]).await;
    let (mut writer, reader) = pipe(StreamKind::Items, 1 << 20);
    let params = Payload {
        bytes: vec![0],
        streams: vec![reader],
        ..Payload::default()
    };
    for chunk in chunks() {
        let mut payload = Payload::of(&chunk);
        // The count goes beside the elements of a pipe.
        let count = Payload::of(&(chunk.len() as u32,)).bytes.len();
        payload.bytes.drain(..count);
        writer
            .send(Chunk {
                count: chunk.len(),
                payload,
            })
            .unwrap();
    }
    writer.finish();
    let mut result = target.call(call(0, params)).await.unwrap();
    assert_eq!(result.bytes, [0]);
    let doubled = v1::read_numbers(result.streams.remove(0)).await.unwrap();
    let expected: Vec<_> = chunks().flatten().map(|n| 2 * n).collect();
    assert!(doubled == expected);
}

#[tokio::test]
async fn v1_streams_to_us_and_back() {
    let broker = broker();
    let wire = wire(&broker).await;
    // A stream goes in and comes out.
    let component = exports([(ECHO, double())], |_, params| Answer::Now(Ok(params)));
    let _served = serve_component(&wire, "default", "echo", component)
        .await
        .unwrap();
    let client = v1::client(&broker, "echo").await;
    let numbers: v1::Numbers = Box::pin(stream::iter(chunks()));
    let call = client
        .rpc
        .invoke_values::<_, (v1::Numbers,), (v1::Numbers,)>(
            None,
            ECHO,
            "double",
            (numbers,),
            [[Some(0)]],
        );
    let ((back,), io) = within("v1's call", call).await.unwrap();
    let read = async { Ok::<Vec<_>, anyhow::Error>(back.concat().await) };
    let both = async { tokio::try_join!(read, io.unwrap()) };
    let (back, ()) = within("v1's streams", both).await.unwrap();
    assert!(back == chunks().flatten().collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_not_there_is_unreachable_at_once() {
    let broker = broker();
    let target = linked(&broker, "nobody", [echo()]).await;
    let why = target
        .call(call(0, Payload::of(&(ByteList(vec![]),))))
        .await
        .unwrap_err();
    assert!(
        matches!(&why, CallError::Unreachable(text) if text.contains("nobody")),
        "{why}"
    );

    // A function that a component does not export, while it is there.
    let wire = wire(&broker).await;
    let component = exports([(ECHO, echo())], |_, params| Answer::Now(Ok(params)));
    let _served = serve_component(&wire, "default", "echo", component)
        .await
        .unwrap();
    let other = linked(&broker, "echo", [function("other", &[], None)]).await;
    let why = other.call(call(0, Payload::default())).await.unwrap_err();
    assert!(matches!(why, CallError::Unreachable(_)), "{why}");
    let client = v1::client(&broker, "echo").await;
    let none = client
        .rpc
        .invoke_values_blocking::<_, (), ()>(None, ECHO, "other", (), NONE);
    let why = within("v1's call", none).await.unwrap_err();
    assert!(format!("{why:#}").contains("not connected"), "{why:#}");
}

#[tokio::test]
async fn a_callee_that_closes_the_call_is_a_failure_that_says_so() {
    let broker = broker();
    let server = v1::client(&broker, "echo").await;
    let calls = server
        .rpc
        .serve_values::<(Bytes,), (Bytes,)>(ECHO, "echo", vec![])
        .await
        .unwrap();
    let _serving = v1::Task::spawn(async move {
        let mut calls = std::pin::pin!(calls);
        // v1 does so when a component traps.
        while calls.try_next().await.unwrap().is_some() {}
    });
    server.settle().await;
    let target = linked(&broker, "echo", [echo()]).await;
    let why = target
        .call(call(0, Payload::of(&(ByteList(vec![1]),))))
        .await
        .unwrap_err();
    let CallError::Trap(text) = why else {
        panic!("{why}")
    };
    assert!(
        text.contains("without a result") && text.contains("default.echo"),
        "{text}"
    );
}

#[tokio::test]
async fn a_failure_of_ours_ends_v1s_call() {
    let broker = broker();
    let wire = wire(&broker).await;
    let component = exports([(ECHO, echo())], |_, _| {
        Answer::Now(Err(CallError::Trap("it fell".into())))
    });
    let _served = serve_component(&wire, "default", "echo", component)
        .await
        .unwrap();
    let client = v1::client(&broker, "echo").await;
    let call = client.rpc.invoke_values_blocking::<_, (Bytes,), (Bytes,)>(
        None,
        ECHO,
        "echo",
        (Bytes::from_static(b"x"),),
        NONE,
    );
    within("v1's call", call).await.unwrap_err();
}

#[tokio::test]
async fn nothing_is_waited_for_beyond_its_deadline() {
    let broker = broker();
    let wire = wire(&broker).await;
    let mut component = exports([(ECHO, echo())], |_, _| Answer::Never);
    component.timeout = Duration::from_millis(200);
    let served = serve_component(&wire, "default", "echo", component)
        .await
        .unwrap();
    let target = linked(&broker, "echo", [echo()]).await;
    // The callee's own limit ends the call for the caller too.
    let why = target
        .call(call(0, Payload::of(&(ByteList(vec![1]),))))
        .await
        .unwrap_err();
    assert!(matches!(why, CallError::Trap(_)), "{why}");
    let params = Payload::of(&(ByteList(vec![1]),));
    let why = target
        .call(call_within(0, params, Duration::from_millis(50)))
        .await
        .unwrap_err();
    assert_eq!(why, CallError::Deadline);
    served.stop(Duration::from_secs(5)).await;
    let why = target
        .call(call(0, Payload::of(&(ByteList(vec![1]),))))
        .await
        .unwrap_err();
    assert!(matches!(why, CallError::Unreachable(_)), "{why}");
}

#[tokio::test]
async fn replicas_share_calls_and_one_that_stops_loses_none() {
    let broker = broker();
    let served: [Arc<AtomicUsize>; 2] = Default::default();
    let mut replicas = Vec::new();
    for count in &served {
        let (wire, count) = (wire(&broker).await, count.clone());
        let component = exports([(ECHO, echo())], move |_, params| {
            count.fetch_add(1, Ordering::Relaxed);
            Answer::Now(Ok(params))
        });
        replicas.push(
            serve_component(&wire, "default", "echo", component)
                .await
                .unwrap(),
        );
    }
    let target = linked(&broker, "echo", [echo()]).await;
    let all = |n: usize| {
        let calls =
            stream::iter(0..n).map(|_| target.call(call(0, Payload::of(&(ByteList(vec![7]),)))));
        calls.buffer_unordered(8).try_collect::<Vec<_>>()
    };
    all(100).await.unwrap();
    assert!(served.iter().all(|count| count.load(Ordering::Relaxed) > 0));
    let (calls, ()) = tokio::join!(all(300), replicas.remove(0).stop(PATIENCE));
    calls.unwrap();
}
