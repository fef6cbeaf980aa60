//! A provider made with v1's SDK, run and called by us.

mod processes;
#[path = "../../../crates/withe-wasmcloud/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use nkeys::KeyPair;
use provider_archive::ProviderArchive;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use withe_provider::codec::{ByteList, Handle};
use withe_provider::{Call, CallError, FunctionName, Health, Link, LinkId, Payload, Provider};
use withe_testing::nats::NatsServer;
use withe_wasmcloud::{Executable, ProcessConfig, V1Process};
use withe_wit::{Function, Type};

use support::{PATIENCE, broker, eventually, function, importer, name};

const PROGRAM: &str = env!("CARGO_BIN_EXE_v1-provider");
const ECHO: &str = "test:interop/echo";
const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft";

/// The functions that the test's component imports, by which their calls are numbered.
const ECHO_FN: usize = 0;
const STATE_FN: usize = 1;
const CRASH_FN: usize = 2;
const OPEN_FN: usize = 3;
const GET_FN: usize = 4;
const SET_FN: usize = 5;
const INCREMENT_FN: usize = 6;

fn types() -> Vec<(FunctionName, Function)> {
    let bytes = || Type::List(Arc::new(Type::U8));
    let lines = Type::List(Arc::new(Type::String));
    let functions = [
        function("echo", &[bytes()], Some(bytes())),
        function("state", &[], Some(lines)),
        function("crash", &[], Some(Type::String)),
    ];
    functions.map(|f| (name(ECHO, &f.name), f)).into()
}

fn link(id: u64, link: &str, config: &[(&str, &str)]) -> Link {
    let mut functions: Vec<_> = types().into_iter().map(|(name, _)| name).collect();
    functions.extend([
        name(STORE, "open"),
        name(STORE, "[method]bucket.get"),
        name(STORE, "[method]bucket.set"),
        name(ATOMICS, "increment"),
    ]);
    let pairs = config
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Link {
        config: pairs.collect(),
        ..importer(id, link, &functions)
    }
}

async fn provider(broker: &NatsServer) -> V1Process {
    processes::start(broker, PROGRAM, "mem", &types()).await
}

async fn call(
    provider: &V1Process,
    function: usize,
    params: Payload,
) -> Result<Payload, CallError> {
    call_over(LinkId(1), provider, function, params).await
}

async fn call_over(
    link: LinkId,
    provider: &V1Process,
    function: usize,
    params: Payload,
) -> Result<Payload, CallError> {
    let call = Call {
        link,
        function,
        params,
        deadline: std::time::Instant::now() + PATIENCE,
        caller: "kv",
        trace: None,
    };
    provider.call(call).await
}

async fn state_of(provider: &V1Process) -> Result<Vec<String>, CallError> {
    state_over(LinkId(1), provider).await
}

async fn state_over(link: LinkId, provider: &V1Process) -> Result<Vec<String>, CallError> {
    let lines = call_over(link, provider, STATE_FN, Payload::default()).await?;
    Ok(lines.read().unwrap())
}

/// The provider's state once `wanted` holds for it: what it is told it takes in its own time.
async fn until(
    provider: &V1Process,
    what: &str,
    wanted: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    until_over(LinkId(1), provider, what, wanted).await
}

/// The same, asked over `link`.
async fn until_over(
    link: LinkId,
    provider: &V1Process,
    what: &str,
    wanted: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let state = state_over(link, provider).await;
        match &state {
            Ok(lines) if wanted(lines) => return lines.clone(),
            _ if Instant::now() > give_up => panic!("in {PATIENCE:?} not {what}: {state:?}"),
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Waits until the provider has so many links, and returns its state.
async fn until_linked(provider: &V1Process, links: usize) -> Vec<String> {
    let what = format!("{links} links");
    until(provider, &what, |lines| lines.len() == 2 + links).await
}

/// The lines of links, with the given name and configuration.
fn links(name: &str, config: &str) -> [String; 2] {
    let line = |interfaces| format!("from shop-kv {name} {interfaces} {config}");
    [
        line("test:interop/echo"),
        line("wasi:keyvalue/store,atomics"),
    ]
}

#[tokio::test]
async fn it_is_told_of_links_and_of_their_end() {
    let broker = broker();
    let provider = provider(&broker).await;
    assert_eq!(provider.health().await, Health::Healthy);
    provider
        .link_put(link(1, "cache", &[("URL", "x")]))
        .await
        .unwrap();
    let state = until_linked(&provider, 2).await;
    assert_eq!(
        state[..2],
        ["called by Some(\"shop-kv\") over cache", "config {}"]
    );
    assert_eq!(state[2..], links("cache", "{\"URL\": \"x\"}"));

    // Other configuration for the same link, which v1 itself would not bring there.
    provider
        .link_put(link(1, "cache", &[("URL", "y")]))
        .await
        .unwrap();
    let changed = links("cache", "{\"URL\": \"y\"}");
    until(&provider, "the changed links", |lines| {
        lines[2..] == changed
    })
    .await;

    provider
        .link_put(Link {
            component: "other".into(),
            ..link(2, "default", &[])
        })
        .await
        .unwrap();
    until_linked(&provider, 4).await;
    provider.link_deleted(LinkId(2), PATIENCE).await;
    until_linked(&provider, 2).await;
    provider.shutdown(Duration::from_secs(5)).await;
    assert_eq!(
        provider.health().await,
        Health::Unhealthy("it was stopped".into())
    );
    let why = state_of(&provider).await.unwrap_err();
    assert!(matches!(why, CallError::Unlinked(_)), "{why}");
}

/// They are apart from configuration, and nobody who hears what the provider is told can read them.
#[tokio::test]
async fn it_is_given_the_secrets_of_its_links_and_its_own() {
    let broker = broker();
    let client = async_nats::connect(broker.url()).await.unwrap();
    let mut heard = client.subscribe("wasmbus.>").await.unwrap();
    client.flush().await.unwrap();
    let mut config = processes::config(&broker, PROGRAM, "secretive").await;
    let own = [("mode", "fast"), ("token", "own-hunter2")];
    config.config = own.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    config.secret_keys = ["token".to_owned()].into();
    let provider = V1Process::new(config, types()).unwrap();
    provider.start().await.unwrap();
    let pairs = [("URL", "x"), ("password", "link-hunter2")];
    let secret_keys = ["password".to_owned()].into();
    let put = provider.link_put_with_secrets(link(1, "cache", &pairs), &secret_keys);
    put.await.unwrap();
    let state = until_linked(&provider, 2).await;
    assert_eq!(
        state[1],
        "config {\"mode\": \"fast\"} secrets {\"token\": Some(\"own-hunter2\")}"
    );
    let shown = "{\"URL\": \"x\"} secrets {\"password\": Some(\"link-hunter2\")}";
    assert_eq!(state[2..], links("cache", shown));

    // Another value of the secret is another link.
    let pairs = [("URL", "x"), ("password", "changed")];
    let put = provider.link_put_with_secrets(link(1, "cache", &pairs), &secret_keys);
    put.await.unwrap();
    let changed = links("cache", &shown.replace("link-hunter2", "changed"));
    until(&provider, "the changed links", |lines| {
        lines[2..] == changed
    })
    .await;
    provider.shutdown(Duration::from_secs(5)).await;
    // Messages come in order: when this one has come, all before it have.
    client.publish("wasmbus.end", "".into()).await.unwrap();
    let mut links = 0;
    loop {
        let message = heard.next().await.unwrap();
        match message.subject.as_str() {
            "wasmbus.end" => break,
            subject if subject.ends_with(".linkdefs.put") => links += 1,
            _ => {}
        }
        let text = String::from_utf8_lossy(&message.payload);
        assert!(
            !text.contains("hunter2") && !text.contains("changed"),
            "{text}"
        );
    }
    assert!(links > 0);
}

/// Counts over the link until `stop`; returns how often.
async fn count(
    provider: Arc<V1Process>,
    current: watch::Receiver<Arc<LinkId>>,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut counted = 0;
    while !stop.load(Ordering::Relaxed) {
        // Held while it is used, as instances hold what they are linked to.
        let link = current.borrow().clone();
        let open = call_over(*link, &provider, OPEN_FN, Payload::of(&("b",)));
        let bucket: Result<Handle, ()> = open.await.unwrap().read().unwrap();
        let params = Payload::of(&(bucket.unwrap(), "hits", 1u64));
        let new = call_over(*link, &provider, INCREMENT_FN, params).await;
        // The error is the provider's own variant: that the caller has no link.
        let mut new = new.unwrap();
        assert_eq!(new.bytes.remove(0), 0, "{:?}", new.bytes.escape_ascii());
        provider.drop_resource(*link, bucket.unwrap().0);
        counted += 1;
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_changes_under_load_loses_no_call() {
    let broker = broker();
    let provider = Arc::new(provider(&broker).await);
    let first = link(1, "default", &[("URL", "1")]);
    provider.link_put(first).await.unwrap();
    let current = watch::Sender::new(Arc::new(LinkId(1)));
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        callers.spawn(count(provider.clone(), current.subscribe(), stop.clone()));
    }
    for id in 2..=20 {
        // As the host does it: the new one is made beside the old, which goes when nobody has it.
        let config = id.to_string();
        let next = link(id, "default", &[("URL", &config)]);
        provider.link_put(next).await.unwrap();
        let old = current.send_replace(Arc::new(LinkId(id)));
        let give_up = Instant::now() + PATIENCE;
        while Arc::strong_count(&old) > 1 {
            assert!(Instant::now() < give_up, "{old:?} is still in use");
            sleep(Duration::from_millis(1)).await;
        }
        provider.link_deleted(*old, PATIENCE).await;
        // v1's providers take in what they are told one thing beside the other, so the last may be there first.
        let config = format!("{{\"URL\": \"{id}\"}}");
        let linked = links("default", &config);
        let wanted = format!("the links of {id} and no others");
        until_over(LinkId(id), &provider, &wanted, |lines| lines[2..] == linked).await;
    }
    stop.store(true, Ordering::Relaxed);
    let counted: u64 = callers.join_all().await.into_iter().sum();

    let open = call_over(LinkId(20), &provider, OPEN_FN, Payload::of(&("b",)));
    let bucket: Result<Handle, ()> = open.await.unwrap().read().unwrap();
    let params = Payload::of(&(bucket.unwrap(), "hits", 0u64));
    let hits = call_over(LinkId(20), &provider, INCREMENT_FN, params).await;
    assert_eq!(hits.unwrap().read::<Result<u64, ()>>(), Ok(Ok(counted)));
    provider.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn its_configuration_and_large_values_reach_it() {
    let broker = broker();
    let mut config = processes::config(&broker, PROGRAM, "mem").await;
    config.config.insert("mode".into(), "fast".into());
    let provider = V1Process::new(config, types()).unwrap();
    // A link that is put before it runs is among those that it is started with.
    provider.link_put(link(1, "default", &[])).await.unwrap();
    provider.start().await.unwrap();
    let state = state_of(&provider).await.unwrap();
    assert_eq!(state[1], "config {\"mode\": \"fast\"}");
    assert_eq!(state[2..], links("default", "{}"));
    let sent = ByteList(vec![7; 3 << 20]);
    let back = call(&provider, ECHO_FN, Payload::of(&(sent.clone(),)))
        .await
        .unwrap();
    assert!(back.read::<ByteList>() == Ok(sent));
    provider.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn one_that_crashes_is_started_anew_with_its_links() {
    let broker = broker();
    let provider = provider(&broker).await;
    provider.link_put(link(1, "default", &[])).await.unwrap();
    until_linked(&provider, 2).await;
    // v1 has nothing that ends the call, so its deadline does.
    let crash = Call {
        link: LinkId(1),
        function: CRASH_FN,
        params: Payload::default(),
        deadline: std::time::Instant::now() + Duration::from_millis(500),
        caller: "kv",
        trace: None,
    };
    assert_eq!(provider.call(crash).await.unwrap_err(), CallError::Deadline);
    let again = links("default", "{}");
    until(&provider, "the links again", |lines| lines[2..] == again).await;
    eventually("the provider to be healthy", || async {
        (provider.health().await == Health::Healthy).then_some(())
    })
    .await;
    provider.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn one_that_is_sick_is_started_anew() {
    let broker = broker();
    let mut config = processes::config(&broker, PROGRAM, "mem").await;
    config.config.insert("sick".into(), "a cold".into());
    let provider = V1Process::new(config, types()).unwrap();
    provider.start().await.unwrap();
    let give_up = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while !said
        .iter()
        .any(|why: &String| why.contains("3 times in a row: a cold"))
    {
        assert!(
            Instant::now() < give_up,
            "it was never started anew: {said:?}"
        );
        if let Health::Unhealthy(why) = provider.health().await {
            said.push(why);
        }
        sleep(Duration::from_millis(5)).await;
    }
    // The reason has its output.
    assert!(
        said.last().unwrap().contains("the test provider is ready"),
        "{said:?}"
    );
    provider.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_archive_that_v1_made_runs() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let (issuer, subject) = (KeyPair::new_account(), KeyPair::new_service());
    let program = std::fs::read(PROGRAM).unwrap();
    // Packing the program itself would take a minute.
    let script = b"#!/bin/sh\necho no provider\n".to_vec();
    for (file, compressed, program) in [
        ("plain.par", false, program),
        ("packed.par.gz", true, script),
    ] {
        let mut archive = ProviderArchive::new("memory", "us", Some(4), Some("0.4.0".into()));
        archive.add_library(&target, &program).unwrap();
        archive.add_library("aarch64-macos", b"another").unwrap();
        archive.add_wit_world(b"a world").unwrap();
        let path = folder.path().join(file);
        let written = archive.write(&path, &issuer, &subject, compressed);
        written.await.unwrap();
        let executable = Executable::open(&path).unwrap();
        let claims = executable.claims.clone().unwrap();
        assert_eq!(claims.subject, subject.public_key());
        assert_eq!(claims.issuer, issuer.public_key());
        assert_eq!(claims.name.as_deref(), Some("memory"));
        assert_eq!(claims.revision, Some(4));
        assert_eq!(executable.world.as_deref(), Some(&b"a world"[..]));
        let config = processes::config(&broker, PROGRAM, "mem").await;
        let config = ProcessConfig {
            executable,
            ..config
        };
        let provider = V1Process::new(config, types()).unwrap();
        let started = provider.start().await;
        match compressed {
            false => started.unwrap(),
            true => {
                let why = started.unwrap_err().to_string();
                assert!(why.contains("it wrote last: no provider"), "{why}");
            }
        }
        provider.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn what_is_no_provider_does_not_start() {
    let broker = broker();
    for (program, says) in [
        ("/bin/false", "exit status: 1"),
        ("/bin/cat", "exited (exit status: 0) before it was ready"),
    ] {
        let config = processes::config(&broker, program, "mem").await;
        let provider = V1Process::new(config, types()).unwrap();
        let why = provider.start().await.unwrap_err().to_string();
        assert!(why.contains("`mem`") && why.contains(says), "{why}");
    }
    let mut config = processes::config(&broker, "/bin/sh", "a.b").await;
    config.supervision.start = Duration::from_millis(100);
    assert!(V1Process::new(config, types()).is_err());
}

#[tokio::test]
async fn key_value_calls_reach_it() {
    let broker = broker();
    let provider = provider(&broker).await;
    provider.link_put(link(1, "default", &[])).await.unwrap();
    let opened = call(&provider, OPEN_FN, Payload::of(&("b",)))
        .await
        .unwrap();
    let bucket: Result<Handle, ()> = opened.read().unwrap();
    let bucket = bucket.unwrap();
    let value = ByteList(b"41".to_vec());
    let set = call(&provider, SET_FN, Payload::of(&(bucket, "k", value)))
        .await
        .unwrap();
    assert_eq!(set.read::<Result<(), ()>>(), Ok(Ok(())));
    let new = call(&provider, INCREMENT_FN, Payload::of(&(bucket, "k", 1u64)))
        .await
        .unwrap();
    assert_eq!(new.read::<Result<u64, ()>>(), Ok(Ok(42)));
    let value = call(&provider, GET_FN, Payload::of(&(bucket, "k")))
        .await
        .unwrap();
    let value: Result<Option<ByteList>, ()> = value.read().unwrap();
    assert_eq!(value, Ok(Some(ByteList(b"42".to_vec()))));
    provider.drop_resource(LinkId(1), bucket.0);
    let why = call(&provider, GET_FN, Payload::of(&(bucket, "k")))
        .await
        .unwrap_err();
    assert!(matches!(why, CallError::TypeMismatch(_)), "{why}");
    provider.shutdown(Duration::from_secs(5)).await;
}
