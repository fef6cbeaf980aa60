//! Calls whose caller goes away before it has their result.
//!
//! The component is built by `cargo xtask guests` from `tests/guests`.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::poll;
use tokio::time::{sleep, timeout};
use withe_linker::input::{ConfigMap, Scope};
use withe_rpc::codec::Writer;
use withe_rpc::{CallContext, CallError, HandleRef, Payload, ServedLink};
use withe_runtime::spec::{
    Identity, ImportSource, ImportSpec, Member, UnitGrants, UnitLimits, UnitSpec,
};
use withe_runtime::{Callers, EngineOptions, Engines, Graph};
use withe_wit::{ExternItem, World};

const LONG: Duration = Duration::from_secs(120);

/// The functions of `t:resources/counters` that are called here, and their numbers.
const FUNCTIONS: [&str; 5] = [
    "[constructor]counter",
    "made",
    "dropped",
    "split",
    "[method]counter.value",
];
const NEW: usize = 0;
const MADE: usize = 1;
const DROPPED: usize = 2;
const SPLIT: usize = 3;
const VALUE: usize = 4;

/// The component `resources`, one instance for all callers, on the engine with or without concurrency.
fn shared(concurrency: bool) -> Arc<dyn ServedLink> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/build/resources.wasm");
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; `cargo xtask guests` builds it", path.display()));
    let imports = World::read(&bytes).unwrap().imports;
    let import = |import: &withe_wit::Extern| ImportSpec {
        rpc_errors: Vec::new(),
        name: import.name.clone(),
        member: 0,
        original: import.name.clone(),
        interface: match &import.item {
            ExternItem::Interface(i) => i.name.as_ref().map(ToString::to_string),
            ExternItem::Function(_) => None,
        },
        source: ImportSource::Host,
    };
    let identity = Identity {
        application: "test".into(),
        component: "resources".into(),
        config: ConfigMap::new(),
        secrets: Default::default(),
        env: Vec::new(),
    };
    let unit = UnitSpec {
        name: "resources".into(),
        imports: imports.iter().map(import).collect(),
        fused: Vec::new(),
        bytes: bytes.into(),
        concurrency,
        members: vec![Member {
            identity: Arc::new(identity),
            instances: None,
        }],
        limits: UnitLimits {
            reuse: 1,
            ..UnitLimits::default()
        },
        grants: UnitGrants::default(),
    };
    let engines = Engines::new(&EngineOptions {
        instances: 10,
        ..EngineOptions::default()
    })
    .unwrap();
    let graph = Graph::build(&engines, vec![unit], &|_| {}).unwrap_or_else(|e| panic!("{e:?}"));
    let interface = Some("t:resources/counters".to_owned());
    let functions = FUNCTIONS.map(|name| (interface.clone(), name.to_owned()));
    graph
        .serve("resources", &functions, Callers::Components(Scope::Shared))
        .unwrap()
}

fn call(
    link: &Arc<dyn ServedLink>,
    function: usize,
    bytes: &[u8],
) -> BoxFuture<'static, Result<Payload, CallError>> {
    call_with(link, function, bytes, Vec::new())
}

/// The same with resources as the first parameters.
fn call_with(
    link: &Arc<dyn ServedLink>,
    function: usize,
    bytes: &[u8],
    handles: Vec<HandleRef>,
) -> BoxFuture<'static, Result<Payload, CallError>> {
    let params = Payload {
        bytes: [vec![0; handles.len()], bytes.to_vec()].concat(),
        handles,
        ..Payload::default()
    };
    let context = CallContext {
        deadline: Instant::now() + LONG,
        trace: None,
    };
    link.session().call(function, params, context)
}

/// A counter that starts at 1.
async fn counter(link: &Arc<dyn ServedLink>) -> HandleRef {
    // The name `x`, and 1.
    let made = call(link, NEW, &[1, b'x', 1]).await.unwrap();
    made.handles[0]
}

/// Waits until a function returns a number.
async fn returns(link: &Arc<dyn ServedLink>, function: usize, number: u32) {
    let mut expected = Writer::default();
    expected.unsigned(number.into());
    let expected = expected.finish().bytes;
    let waiting = async {
        while call(link, function, &[]).await.unwrap().bytes != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let name = FUNCTIONS[function];
    let waited = timeout(LONG, waiting).await;
    waited.unwrap_or_else(|_| panic!("`{name}` never returned {number}"));
}

// On one thread, so that the callee does nothing before this test waits.
#[tokio::test]
async fn what_a_shared_callee_returns_to_nobody_is_dropped() {
    let link = shared(true);
    // The name `x`, and 1.
    let new = || call(&link, NEW, &[1, b'x', 1]);
    // The callee is there, so that one poll is enough to queue a call, however busy the machine is.
    returns(&link, MADE, 0).await;

    // The caller goes before the result is there,
    let mut going = new();
    assert!(poll!(&mut going).is_pending());
    drop(going);
    returns(&link, MADE, 1).await;
    returns(&link, DROPPED, 1).await;

    // or when it is there and was not taken.
    let mut going = new();
    assert!(poll!(&mut going).is_pending());
    returns(&link, MADE, 2).await;
    drop(going);
    returns(&link, DROPPED, 2).await;

    // A resource that the caller has received is its own.
    let kept = new().await.unwrap();
    assert_eq!(kept.handles.len(), 1);
    returns(&link, MADE, 3).await;
    returns(&link, DROPPED, 2).await;
}

#[tokio::test]
async fn a_call_of_a_shared_instance_goes_on_when_its_caller_has_gone() {
    let link = shared(false);
    let (mut made, mut dropped) = (0, 0);
    // Takes a good part of a tick of the clock, at which a guest yields; a store has room for more.
    const PARTS: u32 = 45_000;
    // Until a tick falls into a call, which is then left in its middle.
    for attempt in 0.. {
        assert!(attempt < 300, "no call was left in its middle");
        let own = counter(&link).await;
        made += 1;
        let mut count = Writer::default();
        count.unsigned(PARTS.into());
        let mut going = call_with(&link, SPLIT, &count.finish().bytes, vec![own]);
        // The instance is there and free, so that the first poll enters it.
        let returned = match poll!(&mut going) {
            Poll::Ready(whole) => Some(whole.unwrap().handles),
            Poll::Pending => None,
        };
        drop(going);
        made += PARTS;
        // Waits for the call that was left. The instance is the same.
        let now = timeout(LONG, call(&link, MADE, &[])).await;
        let now: u32 = now.unwrap().unwrap().read().unwrap();
        assert_eq!(now, made);
        // With the counter that was split.
        dropped += PARTS + 1;
        let Some(returned) = returned else { break };
        for handle in returned {
            link.session().drop_handle(handle.id).await;
        }
    }
    // The result that nobody has is dropped.
    returns(&link, DROPPED, dropped).await;
}

#[tokio::test]
async fn no_resource_has_the_number_of_one_of_an_instance_that_trapped() {
    for concurrency in [false, true] {
        let link = shared(concurrency);
        let value = |handle: HandleRef| {
            let borrowed = HandleRef {
                own: false,
                ..handle
            };
            call_with(&link, VALUE, &[], vec![borrowed])
        };
        let old = counter(&link).await;
        // More parts than there is memory.
        let other = counter(&link).await;
        let trapped = call_with(&link, SPLIT, &[0xff, 0xff, 0xff, 0xff, 0x0f], vec![other]);
        let trapped = trapped.await.err();
        assert!(matches!(trapped, Some(CallError::Trap(_))), "{trapped:?}");

        returns(&link, MADE, 0).await;
        let fresh = counter(&link).await;
        assert_ne!(old.id, fresh.id);
        let refused = value(old).await.err();
        assert!(
            matches!(refused, Some(CallError::TypeMismatch(_))),
            "{refused:?}"
        );
        assert_eq!(value(fresh).await.unwrap().bytes, [1]);
        link.session().drop_handle(old.id).await;
        assert_eq!(value(fresh).await.unwrap().bytes, [1]);
    }
}
