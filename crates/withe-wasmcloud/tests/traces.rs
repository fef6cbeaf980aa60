//! Both sides held to what was recorded, message by message, of a real wasmCloud v1.9.2: here the other
//! side is the recording.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use withe_provider::codec::Handle;
use withe_provider::{Call, CallError, LinkId, Payload, Provider};
use withe_rpc::{Chunk, StreamKind, pipe};
use withe_wasmcloud::{Exports, serve_component};
use withe_wit::{ResourceRef, Type};

use support::{Answer, HttpEcho, broker, exports, function, importer, name, target, wire, within};

/// The next message.
async fn message(messages: &mut Subscriber, what: &str) -> Message {
    let next = within(what, messages.next()).await;
    next.expect("the connection is open")
}

/// The next message, as the recording has it: the subject behind `inbox`, whether it asks for an answer, and the
/// payload.
async fn next(messages: &mut Subscriber, inbox: &str) -> (String, bool, Vec<u8>) {
    let message = message(messages, "a message").await;
    let subject = message
        .subject
        .strip_prefix(inbox)
        .unwrap_or(&message.subject);
    (
        subject.to_owned(),
        message.reply.is_some(),
        message.payload.to_vec(),
    )
}

/// Invokes as v1 does, and returns what comes to the inbox.
async fn invoke(
    client: &async_nats::Client,
    subject: &str,
    source: &str,
    params: &'static [u8],
) -> (String, Subscriber) {
    let inbox = client.new_inbox();
    let messages = client.subscribe(format!("{inbox}.>")).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("source-id", source);
    headers.insert("link-name", "default");
    let reply = format!("{inbox}.c");
    let sent = client.publish_with_reply_and_headers(
        subject.to_owned(),
        reply.clone(),
        headers,
        Bytes::from_static(params),
    );
    sent.await.unwrap();
    (reply, messages)
}

/// The inbox of who accepts the invocation.
async fn accepted(messages: &mut Subscriber, inbox: &str) -> Subject {
    let message = message(messages, "the acceptance").await;
    assert_eq!((&*message.subject, &*message.payload), (inbox, &b""[..]));
    message.reply.unwrap()
}

/// Says that there are no more parameters, as v1 does as soon as it is accepted.
async fn end_params(client: &async_nats::Client, peer: &str) {
    let sent = client.publish(format!("{peer}.params"), Bytes::new());
    sent.await.unwrap();
}

/// A component that answers pings.
fn pong() -> Exports {
    let ping = function("ping", &[], Some(Type::String));
    exports([("example:pong/pingpong", ping)], |_, _| {
        Answer::Now(Ok(Payload::of(&("pong",))))
    })
}

#[tokio::test]
async fn a_component_answers_as_v1_answers_a_ping() {
    let broker = broker();
    let wire = wire(&broker).await;
    let served = serve_component(&wire, "default", "pong", pong())
        .await
        .unwrap();
    let client = support::client(&broker).await;
    let subject = "default.pong.wrpc.0.0.1.example:pong/pingpong.ping";
    let (inbox, mut messages) = invoke(&client, subject, "ping", b"").await;
    let peer = accepted(&mut messages, &inbox).await;
    end_params(&client, &peer).await;
    let results = || ".results".to_owned();
    assert_eq!(
        next(&mut messages, &inbox).await,
        (results(), false, b"\x04pong".to_vec())
    );
    assert_eq!(
        next(&mut messages, &inbox).await,
        (results(), false, vec![])
    );
    served.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_component_answers_as_v1_answers_an_http_request() {
    let broker = broker();
    let wire = wire(&broker).await;
    let hello = Exports {
        http: Some(Arc::new(HttpEcho)),
        ..exports([], |_, _| Answer::Now(Err(CallError::Deadline)))
    };
    let _served = serve_component(&wire, "default", "hello", hello)
        .await
        .unwrap();
    let client = support::client(&broker).await;
    let subject = "default.hello.wrpc.0.0.1.wrpc:http/incoming-handler@0.1.0.handle";
    let request = b"\x00\x00\x00\x01\x01/\x01\x00\x01\x0e127.0.0.1:8101\x00";
    let (inbox, mut messages) = invoke(&client, subject, "http-server", request).await;
    let peer = accepted(&mut messages, &inbox).await;
    for (path, payload) in [
        ("params", &b""[..]),
        ("params.0.0", b"\x00"),
        ("params.0.1", b"\x00"),
        ("params.0", b""),
        ("params.0.0", b""),
        ("params.0.1", b""),
    ] {
        let subject = format!("{peer}.{path}");
        client
            .publish(subject, Bytes::from_static(payload))
            .await
            .unwrap();
    }
    // Values come first; in which order streams come beside each other is left open.
    let results = |path: &str, payload: &[u8]| (format!(".results{path}"), false, payload.to_vec());
    let head = b"\x00\x00\x00\xc8\x01\x01\x0ccontent-type\x01\x0atext/plain";
    assert_eq!(next(&mut messages, &inbox).await, results("", head));
    assert_eq!(next(&mut messages, &inbox).await, results("", b""));
    let mut rest = Vec::new();
    for _ in 0..5 {
        rest.push(next(&mut messages, &inbox).await);
    }
    rest.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        rest,
        [
            results(".0.0", b"\x11Hello from wasm!\n"),
            results(".0.0", b"\x00"),
            results(".0.0", b""),
            results(".0.1", b"\x00"),
            results(".0.1", b""),
        ]
    );
}

/// v1's `wrpc:keyvalue/watcher` has the bucket's name in its place. No recording has it: the subject and the bytes are
/// those that v1's bindings of it make.
#[tokio::test]
async fn a_component_is_told_of_changes_as_v1s_providers_tell() {
    const WATCHER: &str = "wasi:keyvalue/watcher@0.2.0-draft";
    let broker = broker();
    let wire = wire(&broker).await;
    let bucket = Type::Own(ResourceRef {
        interface: Some("wasi:keyvalue/store@0.2.0-draft".parse().unwrap()),
        name: "bucket".into(),
    });
    let value = Type::List(Arc::new(Type::U8));
    let on_set = function("on-set", &[bucket.clone(), Type::String, value], None);
    let on_delete = function("on-delete", &[bucket, Type::String], None);
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let watcher = exports([], move |function, params| {
        told.send((function, params.bytes.to_vec())).unwrap();
        Answer::Now(Ok(Payload::default()))
    });
    let watching = Exports {
        watching: vec![
            (name(WATCHER, "on-set"), on_set.clone()),
            (name(WATCHER, "on-delete"), on_delete.clone()),
        ],
        watcher: Some(watcher.link),
        ..exports([], |_, _| Answer::Now(Err(CallError::Deadline)))
    };
    let _served = serve_component(&wire, "default", "kvwatcher", watching)
        .await
        .unwrap();
    let client = support::client(&broker).await;
    for (function, params, number) in [
        ("on-set", &b"\x00\x05color\x03red"[..], 0),
        ("on-delete", b"\x04main\x05color", 1),
    ] {
        let subject =
            format!("default.kvwatcher.wrpc.0.0.1.wrpc:keyvalue/watcher@0.2.0-draft.{function}");
        let (inbox, mut messages) = invoke(&client, &subject, "kvredis", params).await;
        let peer = accepted(&mut messages, &inbox).await;
        end_params(&client, &peer).await;
        let told = within("the call", heard.recv()).await.unwrap();
        assert_eq!(told, (number, params.to_vec()));
    }
    // Another interface with a bucket first is none of v1's.
    let other = Exports {
        watching: vec![(name("a:b/watcher", "on-set"), on_set)],
        watcher: Some(exports([], |_, _| Answer::Never).link),
        ..exports([], |_, _| Answer::Never)
    };
    let refused = serve_component(&wire, "default", "other", other).await;
    let said = refused.unwrap_err().0;
    assert!(
        said.contains("`on-set` does not begin with a bucket"),
        "{said}"
    );
}

#[tokio::test]
async fn a_key_value_call_is_v1s_byte_for_byte() {
    let broker = broker();
    let target = target(&broker, "kvredis", []).await;
    let atomics = "wasi:keyvalue/atomics@0.2.0-draft";
    let functions = [
        name("wasi:keyvalue/store@0.2.0-draft", "open"),
        name(atomics, "increment"),
    ];
    target
        .link_put(importer(1, "default", &functions))
        .await
        .unwrap();
    let client = support::client(&broker).await;
    let subject = "default.kvredis.wrpc.0.0.1.wrpc:keyvalue/atomics@0.2.0-draft.increment";
    let mut store = client.subscribe(subject).await.unwrap();
    let inbox = client.new_inbox();
    let mut params = client.subscribe(format!("{inbox}.>")).await.unwrap();
    support::settle(&client).await;

    let call = |function, params| Call {
        link: LinkId(1),
        function,
        params,
        deadline: Instant::now() + support::PATIENCE,
        caller: "kv",
        trace: None,
    };
    let opened = target
        .call(call(0, Payload::of(&("default",))))
        .await
        .unwrap();
    let bucket: Result<Handle, ()> = opened.read().unwrap();
    let counted = target.call(call(1, Payload::of(&(bucket.unwrap(), "counter", 1u64))));
    let answer = async {
        let Message {
            reply,
            payload,
            headers,
            ..
        } = message(&mut store, "the invocation").await;
        assert_eq!(payload, &b"\x07default\x07counter\x01"[..]);
        let headers = headers.unwrap();
        assert_eq!(headers.get("source-id").unwrap().as_str(), "shop-kv");
        assert_eq!(headers.get("link-name").unwrap().as_str(), "default");
        let reply = reply.unwrap();
        let peer = format!("{inbox}.s");
        client
            .publish_with_reply(reply.clone(), peer.clone(), Bytes::new())
            .await
            .unwrap();
        for payload in [&b"\x00\x04"[..], b""] {
            let subject = format!("{reply}.results");
            client
                .publish(subject, Bytes::from_static(payload))
                .await
                .unwrap();
        }
        next(&mut params, &peer).await
    };
    let (counted, end) = tokio::join!(counted, answer);
    assert_eq!(counted.unwrap().read::<Result<u64, ()>>(), Ok(Ok(4)));
    assert_eq!(end, (".params".to_owned(), false, vec![]));
}

#[tokio::test]
async fn a_callee_that_missed_the_end_of_the_parameters_is_told_again() {
    let broker = broker();
    let ping = function("ping", &[], Some(Type::String));
    let interface = "example:pong/pingpong";
    let target = target(&broker, "pong", [(interface, ping)]).await;
    let functions = [name(interface, "ping")];
    let link = importer(1, "default", &functions);
    target.link_put(link).await.unwrap();
    let client = support::client(&broker).await;
    let subject = "default.pong.wrpc.0.0.1.example:pong/pingpong.ping";
    let mut callee = client.subscribe(subject).await.unwrap();
    let inbox = client.new_inbox();
    let mut params = client.subscribe(format!("{inbox}.>")).await.unwrap();
    support::settle(&client).await;
    let call = target.call(Call {
        link: LinkId(1),
        function: 0,
        params: Payload::default(),
        deadline: Instant::now() + support::PATIENCE,
        caller: "kv",
        trace: None,
    });
    let answer = async {
        let invocation = message(&mut callee, "the invocation").await;
        let reply = invocation.reply.unwrap();
        let accept = client.publish_with_reply(reply.clone(), inbox.clone(), Bytes::new());
        accept.await.unwrap();
        // As if the first had come before the callee listened.
        for _ in 0..2 {
            let end = next(&mut params, &inbox).await;
            assert_eq!(end, (".params".to_owned(), false, vec![]));
        }
        for payload in [&b"\x04pong"[..], b""] {
            let subject = format!("{reply}.results");
            let sent = client.publish(subject, Bytes::from_static(payload));
            sent.await.unwrap();
        }
    };
    let (result, ()) = tokio::join!(call, answer);
    assert_eq!(result.unwrap().read::<String>().unwrap(), "pong");
}

#[tokio::test]
async fn a_caller_that_missed_that_it_is_accepted_is_told_again_before_it_gets_results() {
    let broker = broker();
    let wire = wire(&broker).await;
    let _served = serve_component(&wire, "default", "pong", pong())
        .await
        .unwrap();
    let client = support::client(&broker).await;
    let subject = "default.pong.wrpc.0.0.1.example:pong/pingpong.ping";
    let (inbox, mut messages) = invoke(&client, subject, "ping", b"").await;
    // As if the first had come before the caller listened.
    let missed = accepted(&mut messages, &inbox).await;
    let peer = accepted(&mut messages, &inbox).await;
    assert_eq!(missed, peer);
    end_params(&client, &peer).await;
    // The caller may have been told once more meanwhile.
    let result = loop {
        let next = next(&mut messages, &inbox).await;
        if !next.1 {
            break next;
        }
    };
    assert_eq!(result, (".results".to_owned(), false, b"\x04pong".to_vec()));
}

#[tokio::test]
async fn a_caller_that_never_says_anything_gets_its_results_all_the_same() {
    let broker = broker();
    let wire = wire(&broker).await;
    let _served = serve_component(&wire, "default", "pong", pong())
        .await
        .unwrap();
    let client = support::client(&broker).await;
    let subject = "default.pong.wrpc.0.0.1.example:pong/pingpong.ping";
    let (inbox, mut messages) = invoke(&client, subject, "ping", b"").await;
    let mut acceptances = 0;
    let result = loop {
        let next = next(&mut messages, &inbox).await;
        if !next.1 {
            break next;
        }
        acceptances += 1;
    };
    assert!(acceptances > 1, "it was told once");
    assert_eq!(result, (".results".to_owned(), false, b"\x04pong".to_vec()));
}

#[tokio::test]
async fn a_callee_that_misses_what_comes_first_gets_all_of_a_stream() {
    let broker = broker();
    let numbers = || Type::Stream(Some(Arc::new(Type::U8)));
    let interface = "example:sum/sum";
    let sum = function("sum", &[numbers()], Some(Type::U8));
    let target = target(&broker, "sum", [(interface, sum)]).await;
    let link = importer(1, "default", &[name(interface, "sum")]);
    target.link_put(link).await.unwrap();
    let client = support::client(&broker).await;
    let subject = "default.sum.wrpc.0.0.1.example:sum/sum.sum";
    let mut callee = client.subscribe(subject).await.unwrap();
    let inbox = client.new_inbox();
    let mut params = client.subscribe(format!("{inbox}.>")).await.unwrap();
    support::settle(&client).await;

    let (mut writer, reader) = pipe(StreamKind::Bytes, 8);
    let chunk = Chunk {
        count: 2,
        payload: Payload {
            bytes: vec![3, 4],
            ..Payload::default()
        },
    };
    writer.send(chunk).unwrap();
    writer.finish();
    let params_of_call = Payload {
        bytes: vec![0],
        streams: vec![reader],
        ..Payload::default()
    };
    let call = target.call(Call {
        link: LinkId(1),
        function: 0,
        params: params_of_call,
        deadline: Instant::now() + support::PATIENCE,
        caller: "kv",
        trace: None,
    });
    let answer = async {
        let invocation = message(&mut callee, "the invocation").await;
        let reply = invocation.reply.unwrap();
        let accept = client.publish_with_reply(reply.clone(), inbox.clone(), Bytes::new());
        accept.await.unwrap();
        // When v1's transport is late, it loses each of the first messages with a probability of one half.
        for _ in 0..10 {
            message(&mut params, "what may be lost").await;
        }
        let mut got = Vec::new();
        loop {
            let (path, _, payload) = next(&mut params, &inbox).await;
            let is_end = path == ".params.0" && payload.is_empty();
            if path.starts_with(".params") {
                got.push((path, payload));
            }
            if is_end {
                break;
            }
        }
        for payload in [&b"\x07"[..], b""] {
            let subject = format!("{reply}.results");
            let sent = client.publish(subject, Bytes::from_static(payload));
            sent.await.unwrap();
        }
        got
    };
    let (result, got) = tokio::join!(async { call.await.unwrap() }, answer);
    assert_eq!(result.read::<u8>().unwrap(), 7);
    let of_stream = |payload: &[u8]| (".params.0".to_owned(), payload.to_vec());
    assert_eq!(
        got,
        [
            (".params".to_owned(), vec![]),
            of_stream(b"\x02\x03\x04"),
            of_stream(b"\x00"),
            of_stream(b""),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_served_anew_again_and_again_accepts_every_call() {
    const ROUNDS: usize = 40;
    const EACH: usize = 100;
    let broker = broker();
    let wire = wire(&broker).await;
    let serve = || serve_component(&wire, "default", "pong", pong());
    let mut served = serve().await.unwrap();
    let client = support::client(&broker).await;
    let inbox = client.new_inbox();
    let mut accepted = client.subscribe(format!("{inbox}.*")).await.unwrap();
    support::settle(&client).await;
    let calling = client.clone();
    let invoke = async |call: usize| {
        let subject = "default.pong.wrpc.0.0.1.example:pong/pingpong.ping";
        let reply = format!("{inbox}.{call}");
        let sent = calling.publish_with_reply(subject, reply, Bytes::new());
        sent.await.unwrap();
    };
    let calls = async {
        for round in 0..ROUNDS {
            for call in 0..EACH {
                invoke(round * EACH + call).await;
            }
            // Some come before it is served anew, some after, and some just then.
            let next = serve().await.unwrap();
            let replaced = std::mem::replace(&mut served, next);
            let more = async {
                for call in 0..EACH {
                    invoke((ROUNDS + round) * EACH + call).await;
                }
            };
            tokio::join!(replaced.stop(support::PATIENCE), more);
        }
    };
    let answers = async {
        let mut missing: BTreeSet<_> = (0..2 * ROUNDS * EACH).collect();
        let mut refused = 0;
        while !missing.is_empty() {
            let message = message(&mut accepted, "the acceptance of each call").await;
            let call = message.subject.rsplit('.').next().unwrap();
            let call = call.parse().unwrap();
            let Some(params) = message.reply else {
                // On a loaded machine the broker may hold on to a call for longer than both serve it.
                assert_eq!(message.status, Some(StatusCode::NO_RESPONDERS));
                refused += 1;
                assert!(refused < ROUNDS / 4, "{refused} calls met nobody");
                invoke(call).await;
                continue;
            };
            missing.remove(&call);
            end_params(&client, &params).await;
        }
    };
    tokio::join!(calls, answers);
}
