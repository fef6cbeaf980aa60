//! A plan that is prepared beside one that runs: what becomes of both if it fails, or is given up midway.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use withe_host::elsewhere::Away;
use withe_host::{Host, HostError, Parts, Runnable, Running};
use withe_linker::plan::PlannedLink;
use withe_provider::{Alias, ConfigMap, Descriptor, Link, LinkId, Provider, ProviderError};
use withe_rpc::{LinkRequest, Route};

const LONG: Duration = Duration::from_secs(30);

/// The requests to providers: the test's name, the provider's, and the request.
static ASKED: Mutex<Vec<[String; 3]>> = Mutex::new(Vec::new());

/// A provider that says what it is asked, and starts as its configuration says.
struct Probe {
    test: String,
    name: String,
    start: String,
}

const PROBE: Descriptor = Descriptor {
    name: "probe",
    version: "0.1.0",
    summary: "says what it is asked",
    wit: &["package test:probe; interface api { touch: func(); } world provider { export api; }"],
    aliases: &[] as &[Alias],
    paths: &[],
    check_config: |_, _| Vec::new(),
    create: |config: ConfigMap| {
        let value = |key: &str| config.get(key).cloned().unwrap_or_default();
        Arc::new(Probe {
            test: value("test"),
            name: value("name"),
            start: value("start"),
        })
    },
};

impl Probe {
    fn asked(&self, what: &str) {
        let asked = [&self.test, &self.name, what].map(str::to_owned);
        ASKED.lock().unwrap().push(asked);
    }
}

#[async_trait]
impl Provider for Probe {
    async fn start(&self) -> Result<(), ProviderError> {
        self.asked("start");
        match self.start.as_str() {
            "never" => pending().await,
            "fails" => Err(ProviderError("not today".into())),
            _ => Ok(()),
        }
    }

    async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
        self.asked("link");
        Ok(())
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {
        self.asked("unlink");
    }

    async fn shutdown(&self, _: Duration) {
        self.asked("shutdown");
    }
}

/// The requests to the provider `name` in a test so far.
fn asked(test: &str, name: &str) -> Vec<String> {
    let all = ASKED.lock().unwrap();
    let own = all.iter().filter(|[t, n, _]| t == test && n == name);
    own.map(|[_, _, what]| what.clone()).collect()
}

async fn is_asked(test: &str, name: &str, what: &str) {
    let waiting = async {
        while !asked(test, name).iter().any(|asked| asked == what) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(LONG, waiting).await;
    waited.unwrap_or_else(|_| panic!("`{name}` was never asked to {what}"));
}

/// A component that is linked to a provider called `name`, which starts as `start` says.
fn application(test: &str, name: &str, start: &str) -> Runnable {
    let manifest = format!(
        "apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: app}}
spec:
  components:
    - name: user
      type: component
      properties: {{image: file://user.wasm}}
      traits: [{{type: link, properties: {{target: probe}}}}]
    - name: probe
      type: capability
      properties:
        image: withe:probe
        config: [{{name: own, properties: {{test: {test}, name: {name}, start: {start}}}}}]
"
    );
    let user = r#"(component (import "test:probe/api" (instance (export "touch" (func)))))"#;
    Runnable::text(manifest, ".")
        .component("user", wat::parse_str(user).unwrap())
        .providers(&[PROBE])
        .calling("user")
        .link()
        .unwrap_or_else(|e| panic!("{e}"))
}

async fn running(test: &str) -> Running {
    let host = Host::builder().instances(10).grace(Duration::from_secs(1));
    let first = application(test, "first", "at-once");
    host.build().unwrap().run(&first).await.unwrap()
}

/// No other hosts.
struct Nowhere;

impl Away for Nowhere {
    fn route(&self, _: LinkRequest, _: &PlannedLink) -> Option<Arc<Route>> {
        None
    }
}

#[tokio::test]
async fn a_plan_that_is_given_up_midway_stops_all_that_it_started_and_nothing_else() {
    const TEST: &str = "cancelled";
    let running = running(TEST).await;
    let next = application(TEST, "next", "never");
    let parts = Arc::new(Parts::of(next.loaded()));
    let cancel = CancellationToken::new();
    let prepared = running.prepare(next.plan(), &parts, &Nowhere, &cancel);
    let given_up = async {
        is_asked(TEST, "next", "start").await;
        cancel.cancel();
    };
    let (prepared, ()) = timeout(LONG, async { tokio::join!(prepared, given_up) })
        .await
        .expect("it is given up at once");
    assert!(matches!(prepared, Err(HostError::Cancelled)));
    assert_eq!(asked(TEST, "next"), ["start", "shutdown"]);
    assert_eq!(asked(TEST, "first"), ["start", "link"]);
    running.shutdown().await;
    assert_eq!(asked(TEST, "first"), ["start", "link", "shutdown"]);
}

#[tokio::test]
async fn a_plan_that_fails_leaves_all_as_it_was() {
    const TEST: &str = "failing";
    let mut running = running(TEST).await;
    let failed = running.run(&application(TEST, "next", "fails")).await;
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("not today"), "{error}");
    assert_eq!(asked(TEST, "next"), ["start", "shutdown"]);
    assert_eq!(asked(TEST, "first"), ["start", "link"]);

    // The next that does not fail takes its place.
    let good = application(TEST, "good", "at-once");
    running.run(&good).await.unwrap();
    assert_eq!(asked(TEST, "good"), ["start", "link"]);
    is_asked(TEST, "first", "shutdown").await;
    running.shutdown().await;
    assert_eq!(asked(TEST, "good"), ["start", "link", "shutdown"]);
}
