//! Calls whose caller goes away before it has their result.
//!
//! The component is built by `cargo xtask guests` from `tests/guests`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::poll;
use tokio::time::{sleep, timeout};
use withe_linker::input::{ConfigMap, Scope};
use withe_rpc::{CallContext, CallError, Payload, ServedLink};
use withe_runtime::spec::{
    Identity, ImportSource, ImportSpec, Member, UnitGrants, UnitLimits, UnitSpec,
};
use withe_runtime::{Callers, EngineOptions, Engines, Graph};
use withe_wit::{ExternItem, World};

const LONG: Duration = Duration::from_secs(30);

/// The functions of `t:resources/counters` that are called here, and their numbers.
const FUNCTIONS: [&str; 3] = ["[constructor]counter", "made", "dropped"];
const NEW: usize = 0;
const MADE: usize = 1;
const DROPPED: usize = 2;

/// The component `resources`, one instance for all callers, on the engine with concurrency.
fn shared() -> Arc<dyn ServedLink> {
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
        concurrency: true,
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
    let params = Payload {
        bytes: bytes.to_vec(),
        ..Payload::default()
    };
    let context = CallContext {
        deadline: Instant::now() + LONG,
        trace: None,
    };
    link.session().call(function, params, context)
}

/// Waits until a function returns a number, which is small.
async fn returns(link: &Arc<dyn ServedLink>, function: usize, number: u8) {
    let waiting = async {
        while call(link, function, &[]).await.unwrap().bytes != [number] {
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
    let link = shared();
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
