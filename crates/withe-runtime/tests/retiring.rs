//! A graph that another one takes over from: it keeps nothing, waits for nothing, and goes with its last call.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{LONG, build, call, link, unit};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use withe_linker::input::Scope;
use withe_provider::{Call, FunctionName, Link, LinkId, Provider, ProviderError};
use withe_rpc::{CallError, Payload};
use withe_runtime::Graph;
use withe_runtime::spec::LinkTarget;

/// Calls `work` twice: as many tens as the first one returns, and the second one.
const CALLER: &str = r#"
(component
  (import "t:w/work" (instance $work (export "work" (func (result u32)))))
  (core func $work (canon lower (func $work "work")))
  (core module $main
    (import "host" "work" (func $work (result i32)))
    (func (export "run") (result i32)
      (i32.add (i32.mul (call $work) (i32.const 10)) (call $work))))
  (core instance $main (instantiate $main (with "host" (instance (export "work" (func $work))))))
  (func (export "run") (result u32) (canon lift (core func $main "run"))))
"#;

/// Waits for the gate, and says how often it did.
const WORKER: &str = r#"
(component
  (import "t:w/gate" (instance $gate (export "pass" (func))))
  (core func $pass (canon lower (func $gate "pass")))
  (core module $main
    (import "host" "pass" (func $pass))
    (global $count (mut i32) (i32.const 0))
    (func (export "work") (result i32)
      (call $pass)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (global.get $count)))
  (core instance $main (instantiate $main (with "host" (instance (export "pass" (func $pass))))))
  (func $work (result u32) (canon lift (core func $main "work")))
  (instance (export "t:w/work") (export "work" (func $work))))
"#;

/// Lets one call through for each permit.
struct Gate {
    waiting: Semaphore,
    open: Semaphore,
}

#[async_trait::async_trait]
impl Provider for Gate {
    async fn link_put(&self, _link: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _id: LinkId, _grace: Duration) {}

    async fn call(&self, _call: Call<'_>) -> Result<Payload, CallError> {
        self.waiting.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        Ok(Payload::default())
    }

    async fn shutdown(&self, _grace: Duration) {}
}

impl Gate {
    /// Waits until a call waits here.
    async fn reached(&self) {
        let reached = timeout(LONG, self.waiting.acquire()).await;
        reached.expect("no call came to the gate").unwrap().forget();
    }
}

fn graph(reuse: u32) -> (Arc<Gate>, Arc<Graph>) {
    let gate = Arc::new(Gate {
        waiting: Semaphore::new(0),
        open: Semaphore::new(0),
    });
    let to_gate = LinkTarget::Provider {
        provider: gate.clone(),
        link: LinkId(1),
        functions: Arc::new([FunctionName {
            interface: "t:w/gate".into(),
            function: "pass".into(),
        }]),
    };
    let to_gate = link(
        "default",
        "worker",
        "gate",
        &["t:w/gate"],
        Scope::Caller,
        to_gate,
    );
    let to_worker = LinkTarget::Unit(1);
    let to_worker = link(
        "default",
        "caller",
        "worker",
        &["t:w/work"],
        Scope::Shared,
        to_worker,
    );
    let mut caller = unit("caller", CALLER, &[("t:w/work", vec![to_worker])]);
    caller.limits.reuse = reuse;
    let worker = unit("worker", WORKER, &[("t:w/gate", vec![to_gate])]);
    let graph = build(vec![caller, worker]).unwrap_or_else(|e| panic!("{e:?}"));
    (gate, graph)
}

/// Waits until nothing keeps the graph.
async fn goes(graph: &std::sync::Weak<Graph>) {
    let going = async {
        while graph.strong_count() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, going)
        .await
        .expect("something keeps the graph");
}

#[tokio::test(flavor = "multi_thread")]
async fn retiring_waits_for_no_call_and_breaks_none_off() {
    for reuse in [1, 10] {
        let (gate, graph) = graph(reuse);
        let weak = Arc::downgrade(&graph);
        let calling = tokio::spawn({
            let graph = graph.clone();
            async move { call(&graph, "caller", "run").await }
        });
        gate.reached().await;
        // The worker's instance is in the middle of a call, and goes on.
        graph.retire();
        drop(graph);
        gate.open.add_permits(1);
        gate.reached().await;
        gate.open.add_permits(1);
        // The second call met the same instance as the first.
        assert_eq!(calling.await.unwrap().unwrap(), "12");
        goes(&weak).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_later_goes_when_the_graph_retires() {
    let (gate, graph) = graph(10);
    gate.open.add_permits(8);
    assert_eq!(call(&graph, "caller", "run").await.unwrap(), "12");
    assert_eq!(call(&graph, "caller", "run").await.unwrap(), "34");
    let weak = Arc::downgrade(&graph);
    graph.retire();
    // A caller that still calls the old graph gets an answer, of a new instance, and keeps nothing either.
    assert_eq!(call(&graph, "caller", "run").await.unwrap(), "12");
    drop(graph);
    goes(&weak).await;
}
