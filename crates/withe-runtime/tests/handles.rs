//! Resources of one import that several links serve: each keeps to the link it came over, whatever its number.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{build, call, link, unit};
use withe_linker::input::Scope;
use withe_provider::{Call, FunctionName, Link, LinkId, Provider, ProviderError};
use withe_rpc::{CallError, HandleRef, Payload, Writer};
use withe_runtime::spec::LinkTarget;
use withe_runtime::{Graph, invoke::InvokeError};

const STORE: &str = "t:kv/store";
const ATOMICS: &str = "t:kv/atomics";

/// Opens two buckets, each over the link that was chosen before, and uses them.
const USER: &str = r#"
(component
  (import "t:kv/store" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (export "open" (func (result (own $bucket))))
    (export "[method]bucket.get" (func (param "self" (borrow $bucket)) (result u32)))
    (export "join" (func (param "a" (borrow $bucket)) (param "b" (borrow $bucket)) (result u32)))))
  (alias export $store "bucket" (type $bucket))
  (import "t:kv/atomics" (instance $atomics
    (export "bucket" (type $used (eq $bucket)))
    (export "increment" (func (param "b" (borrow $used)) (result u32)))))
  (import "wasmcloud:bus/lattice@1.0.0" (instance $lattice
    (export "call-target-interface" (type $target (sub resource)))
    (export "[constructor]call-target-interface" (func
      (param "ns" string) (param "pkg" string) (param "iface" string) (result (own $target))))
    (export "set-link-name" (func (param "name" string) (param "interfaces" (list (own $target)))))))

  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 0) "tkvstoreonetwo"))
  (core instance $memory (instantiate $memory))

  (core func $open (canon lower (func $store "open")))
  (core func $get (canon lower (func $store "[method]bucket.get")))
  (core func $join (canon lower (func $store "join")))
  (core func $increment (canon lower (func $atomics "increment")))
  (core func $drop (canon resource.drop $bucket))
  (core func $target (canon lower (func $lattice "[constructor]call-target-interface")
    (memory (core memory $memory "memory"))))
  (core func $set (canon lower (func $lattice "set-link-name") (memory (core memory $memory "memory"))))

  (core module $main
    (import "host" "memory" (memory 1))
    (import "host" "open" (func $open (result i32)))
    (import "host" "get" (func $get (param i32) (result i32)))
    (import "host" "join" (func $join (param i32 i32) (result i32)))
    (import "host" "increment" (func $increment (param i32) (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (import "host" "target" (func $target (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "host" "set" (func $set (param i32 i32 i32 i32)))
    (func $choose (param $name i32)
      (i32.store (i32.const 64) (call $target
        (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 5)))
      (call $set (local.get $name) (i32.const 3) (i32.const 64) (i32.const 1)))
    (func $from (param $name i32) (result i32)
      (call $choose (local.get $name))
      (call $open))
    (func (export "each") (result i32)
      (local $one i32) (local $two i32)
      (local.set $one (call $from (i32.const 8)))
      (local.set $two (call $from (i32.const 11)))
      (drop (call $get (local.get $one)))
      (drop (call $get (local.get $two)))
      (drop (call $join (local.get $two) (local.get $two)))
      (call $drop (local.get $one))
      (call $drop (local.get $two))
      (i32.const 0))
    (func (export "both") (result i32)
      (call $join (call $from (i32.const 8)) (call $from (i32.const 11))))
    (func (export "served") (result i32)
      (call $increment (call $from (i32.const 8))))
    (func (export "strange") (result i32)
      (call $increment (call $from (i32.const 11)))))
  (core instance $main (instantiate $main (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "open" (func $open))
    (export "get" (func $get))
    (export "join" (func $join))
    (export "increment" (func $increment))
    (export "drop" (func $drop))
    (export "target" (func $target))
    (export "set" (func $set))))))
  (func (export "each") (result u32) (canon lift (core func $main "each")))
  (func (export "both") (result u32) (canon lift (core func $main "both")))
  (func (export "served") (result u32) (canon lift (core func $main "served")))
  (func (export "strange") (result u32) (canon lift (core func $main "strange"))))
"#;

/// A request to a provider: the link, the function, the numbers of the handles.
type Asked = (u64, &'static str, Vec<u32>);

/// Numbers buckets from `first`, as a process does that was started again; the same over each link.
struct Buckets {
    first: u32,
    asked: Mutex<Vec<Asked>>,
}

const FUNCTIONS: [&str; 4] = ["open", "[method]bucket.get", "join", "increment"];

#[async_trait::async_trait]
impl Provider for Buckets {
    async fn link_put(&self, _link: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _id: LinkId, _grace: Duration) {}

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let ids = call.params.handles.iter().map(|handle| handle.id);
        let asked = (call.link.0, FUNCTIONS[call.function], ids.collect());
        self.asked.lock().unwrap().push(asked);
        let mut result = Writer::default();
        match call.function {
            0 => result.handle(HandleRef {
                id: self.first,
                own: true,
            }),
            _ => result.unsigned(0),
        }
        Ok(result.finish())
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        let dropped = (link.0, "drop", vec![handle]);
        self.asked.lock().unwrap().push(dropped);
    }

    async fn shutdown(&self, _grace: Duration) {}
}

fn two_links(first: u32) -> (Arc<Buckets>, Arc<Graph>) {
    let provider = Arc::new(Buckets {
        first,
        asked: Mutex::default(),
    });
    let function = |function: &&str| FunctionName {
        interface: if *function == "increment" {
            ATOMICS
        } else {
            STORE
        }
        .into(),
        function: (*function).to_owned(),
    };
    let to = |name: &str, id, interfaces: &[&str]| {
        let target = LinkTarget::Provider {
            provider: provider.clone(),
            link: LinkId(id),
            functions: FUNCTIONS.iter().map(function).collect(),
        };
        link(
            name,
            "user",
            &format!("kv-{name}"),
            interfaces,
            Scope::Caller,
            target,
        )
    };
    let (one, two) = (to("one", 1, &[STORE, ATOMICS]), to("two", 2, &[STORE]));
    let links = [(STORE, vec![one.clone(), two]), (ATOMICS, vec![one])];
    let graph = build(vec![unit("user", USER, &links)]);
    (provider, graph.unwrap_or_else(|e| panic!("{e:?}")))
}

/// As large as they may be: a process that was started again begins with 2^26.
const FIRSTS: [u32; 5] = [0, 1 << 24, 1 << 26, (1 << 26) | 7, u32::MAX];

#[tokio::test]
async fn a_resource_keeps_to_its_link_whatever_its_number() {
    for first in FIRSTS {
        let (provider, graph) = two_links(first);
        call(&graph, "user", "each").await.unwrap();
        let asked = provider.asked.lock().unwrap();
        let expected: Vec<Asked> = vec![
            (1, "open", vec![]),
            (2, "open", vec![]),
            (1, "[method]bucket.get", vec![first]),
            (2, "[method]bucket.get", vec![first]),
            (2, "join", vec![first, first]),
            (1, "drop", vec![first]),
            (2, "drop", vec![first]),
        ];
        assert_eq!(*asked, expected);
    }
}

#[tokio::test]
async fn resources_of_two_links_in_one_call_are_refused_by_name() {
    let (provider, graph) = two_links(5);
    let error = call(&graph, "user", "both").await.unwrap_err();
    insta::assert_snapshot!(error);
    assert!(!asked(&provider).contains(&"join"));
}

#[tokio::test]
async fn a_resource_is_not_passed_over_a_link_it_did_not_come_over() {
    let (provider, graph) = two_links(5);
    call(&graph, "user", "served").await.unwrap();
    assert_eq!(asked(&provider), ["open", "increment"]);
    let error: InvokeError = call(&graph, "user", "strange").await.unwrap_err();
    insta::assert_snapshot!(error);
    assert_eq!(asked(&provider), ["open", "increment", "open"]);
}

fn asked(provider: &Buckets) -> Vec<&'static str> {
    let asked = provider.asked.lock().unwrap();
    asked.iter().map(|(_, function, _)| *function).collect()
}
