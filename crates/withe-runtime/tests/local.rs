//! Pairs of components linked by `local`: every scope, every value type, resources, traps, limits.
//!
//! The components are built by `cargo xtask guests` from `tests/guests`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use withe_linker::input::{ConfigMap, Scope};
use withe_linker::plan::Binding;
use withe_rpc::CallError;
use withe_runtime::invoke::{FunctionPath, InvokeError};
use withe_runtime::spec::{
    Identity, ImportSource, ImportSpec, InstanceLimit, LinkSpec, LinkTarget, Member, UnitGrants,
    UnitLimits, UnitSpec,
};
use withe_runtime::wave;
use withe_runtime::{EngineOptions, Engines, Graph};
use withe_wit::{ExternItem, World};

/// Links `importer` to `exporter` over `interface` with `scope`.
struct Pair {
    graph: Arc<Graph>,
    importer: &'static str,
    deadline: Duration,
}

struct Options {
    scope: Scope,
    timeout: Option<Duration>,
    memory: Option<u64>,
    instances: Option<Arc<InstanceLimit>>,
    /// How many calls an instance of the importer serves.
    reuse: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scope: Scope::Caller,
            timeout: None,
            memory: None,
            instances: None,
            reuse: 1,
        }
    }
}

impl Pair {
    fn new(
        importer: &'static str,
        exporter: &'static str,
        interface: &str,
        options: Options,
    ) -> Self {
        let link = Arc::new(LinkSpec {
            name: "default".into(),
            source: importer.into(),
            target_name: exporter.into(),
            binding: Binding::Local,
            scope: options.scope,
            timeout: options.timeout.unwrap_or(Duration::from_secs(30)),
            timeout_given: options.timeout.is_some(),
            exports: vec![(interface.into(), interface.into())],
            target: LinkTarget::Unit(1),
        });
        let engines = Engines::new(&EngineOptions {
            instances: 50,
            ..EngineOptions::default()
        })
        .unwrap();
        let specs = vec![
            unit(
                importer,
                Some(link),
                UnitLimits {
                    reuse: options.reuse,
                    ..UnitLimits::default()
                },
                None,
            ),
            unit(
                exporter,
                None,
                UnitLimits {
                    reuse: 1,
                    memory: options.memory,
                    time: None,
                },
                options.instances,
            ),
        ];
        let graph = Graph::build(&engines, specs, &|_| {}).unwrap_or_else(|e| panic!("{e:?}"));
        Self {
            graph,
            importer,
            deadline: Duration::from_secs(30),
        }
    }

    async fn call(
        &self,
        interface: &str,
        function: &str,
        args: &str,
    ) -> Result<String, InvokeError> {
        let path = FunctionPath {
            interface: Some(interface.into()),
            function: function.into(),
        };
        wave::call(
            &self.graph,
            self.importer,
            &path,
            args,
            Instant::now() + self.deadline,
        )
        .await
    }
}

fn unit(
    name: &str,
    link: Option<Arc<LinkSpec>>,
    limits: UnitLimits,
    instances: Option<Arc<InstanceLimit>>,
) -> UnitSpec {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/guests/build/{name}.wasm"));
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; `cargo xtask guests` builds it", path.display()));
    let world = World::read(&bytes).unwrap();
    let imports = world
        .imports
        .iter()
        .map(|import| {
            let linked = link
                .as_ref()
                .filter(|l| l.exports.iter().any(|(i, _)| *i == import.name));
            ImportSpec {
                rpc_errors: Vec::new(),
                name: import.name.clone(),
                member: 0,
                original: import.name.clone(),
                interface: match &import.item {
                    ExternItem::Interface(i) => i.name.as_ref().map(ToString::to_string),
                    ExternItem::Function(_) => None,
                },
                source: linked.map_or(ImportSource::Host, |l| ImportSource::Links(vec![l.clone()])),
            }
        })
        .collect();
    let identity = Identity {
        application: "test".into(),
        component: name.into(),
        config: ConfigMap::new(),
        secrets: Default::default(),
        env: Vec::new(),
    };
    UnitSpec {
        name: name.into(),
        bytes: bytes.into(),
        concurrency: false,
        members: vec![Member {
            identity: Arc::new(identity),
            instances,
        }],
        imports,
        fused: Vec::new(),
        limits,
        grants: UnitGrants::default(),
    }
}

const OPS: &str = "t:bench/ops";
const RUN: &str = "t:bench/run";

fn ops(options: Options) -> Pair {
    Pair::new("caller", "ops", OPS, options)
}

fn trap(result: Result<String, InvokeError>) -> String {
    match result {
        Err(InvokeError::Failed(CallError::Trap(text))) => text,
        other => panic!("expected a trap, found {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_type_crosses() {
    let pair = Pair::new("types-user", "types", "t:types/echo", Options::default());
    assert_eq!(pair.call("t:types/run", "run", "()").await.unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callees_resources_are_used_and_dropped() {
    let pair = Pair::new(
        "resources-user",
        "resources",
        "t:resources/counters",
        Options::default(),
    );
    let transcript = pair
        .call("t:resources/run", "transcript", "()")
        .await
        .unwrap();
    insta::assert_snapshot!(transcript.replace("\", \"", "\",\n\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_says_how_long_a_callee_lives() {
    // The caller's instance: kept between the calls, or fresh for each.
    let table = [
        (Scope::Caller, 10, ["1", "2", "3"]),
        (Scope::Caller, 1, ["1", "1", "1"]),
        (Scope::Call, 10, ["1", "1", "1"]),
        (Scope::Shared, 1, ["1", "2", "3"]),
    ];
    for (scope, reuse, want) in table {
        let pair = ops(Options {
            scope,
            reuse,
            ..Options::default()
        });
        for want in want {
            assert_eq!(
                pair.call(RUN, "call-counter", "()").await.unwrap(),
                want,
                "{scope:?}, {reuse}"
            );
        }
        pair.graph.retire();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callees_trap_names_it() {
    let pair = ops(Options::default());
    let text = trap(pair.call(RUN, "call-trap", "()").await);
    assert!(
        text.contains("link `caller` -> `ops` (`t:bench/ops.trap`, local)"),
        "{text}"
    );
    assert!(text.contains("component `ops`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_callee_that_trapped_is_replaced() {
    let pair = ops(Options {
        scope: Scope::Shared,
        ..Options::default()
    });
    assert_eq!(pair.call(RUN, "call-counter", "()").await.unwrap(), "1");
    trap(pair.call(RUN, "call-trap", "()").await);
    assert_eq!(pair.call(RUN, "call-counter", "()").await.unwrap(), "1");
    pair.graph.retire();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_links_timeout_stops_a_runaway_callee() {
    let timeout = Some(Duration::from_millis(50));
    let pair = ops(Options {
        timeout,
        ..Options::default()
    });
    let text = trap(pair.call(RUN, "call-spin", "()").await);
    assert!(
        text.contains("`ops`") && text.contains("the deadline passed"),
        "{text}"
    );
    assert_eq!(pair.call(RUN, "call-add", "(1, 2)").await.unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_deadline_reaches_the_callee() {
    let mut pair = ops(Options::default());
    pair.deadline = Duration::from_millis(50);
    let result = pair.call(RUN, "call-spin", "()").await;
    assert_eq!(result, Err(InvokeError::Failed(CallError::Deadline)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_components_memory_is_limited() {
    let pair = ops(Options {
        memory: Some(16 << 20),
        ..Options::default()
    });
    assert_eq!(pair.call(RUN, "call-grow", "(4)").await.unwrap(), "ok(4)");
    let refused = pair.call(RUN, "call-grow", "(32)").await.unwrap();
    assert!(refused.starts_with("err("), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_instances_run_than_allowed() {
    let limit = Arc::new(InstanceLimit::new(1));
    let mut pair = ops(Options {
        instances: Some(limit.clone()),
        ..Options::default()
    });
    let busy = limit.acquire(1).await.unwrap();
    pair.deadline = Duration::from_millis(50);
    let text = pair
        .call(RUN, "call-add", "(1, 2)")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("all instances of `ops` stayed busy"),
        "{text}"
    );
    drop(busy);
    pair.deadline = Duration::from_secs(30);
    assert_eq!(pair.call(RUN, "call-add", "(1, 2)").await.unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_from_text_are_checked() {
    let pair = ops(Options::default());
    for (function, args, want) in [
        (
            "call-add",
            "(1)",
            "the function is `call-add: func(u32, u32) -> u32`",
        ),
        (
            "call-add",
            "(1, \"a\")",
            "the function is `call-add: func(u32, u32) -> u32`",
        ),
        ("call-add", "(1, 2", "call-add"),
        ("missing", "()", "exports no function `t:bench/run#missing`"),
    ] {
        let error = pair
            .call(RUN, function, args)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{error}");
    }
    assert_eq!(
        pair.call(RUN, "call-greet", "(\"you\")").await.unwrap(),
        "\"hello, you\""
    );
}
