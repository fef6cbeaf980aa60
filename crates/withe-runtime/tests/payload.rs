//! How much one call may carry: the same over every binding that copies, with one message.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{build, call, link, unit};
use withe_linker::input::Scope;
use withe_provider::{Call, FunctionName, Link, LinkId, Provider, ProviderError};
use withe_rpc::{CallError, Payload, max_payload};
use withe_runtime::Graph;
use withe_runtime::invoke::InvokeError;
use withe_runtime::spec::LinkTarget;

/// Passes bytes, and strings that are all the same bytes of its memory.
const SENDER: &str = r#"
(component
  (import "t:s/sink" (instance $sink
    (export "bytes" (func (param "b" (list u8))))
    (export "strings" (func (param "s" (list string))))))
  (core module $memory (memory (export "memory") 1100))
  (core instance $memory (instantiate $memory))
  (core func $bytes (canon lower (func $sink "bytes") (memory (core memory $memory "memory"))))
  (core func $strings (canon lower (func $sink "strings") (memory (core memory $memory "memory"))))
  (core module $main
    (import "host" "memory" (memory 1100))
    (import "host" "bytes" (func $bytes (param i32 i32)))
    (import "host" "strings" (func $strings (param i32 i32)))
    (func (export "most") (result i32)
      (call $bytes (i32.const 0) (i32.const 67108859)) (i32.const 1))
    (func (export "more") (result i32)
      (call $bytes (i32.const 0) (i32.const 67108865)) (i32.const 1))
    (func (export "overlapping") (result i32)
      (local $i i32)
      (loop $next
        (i32.store (i32.mul (local.get $i) (i32.const 8)) (i32.const 1048576))
        (i32.store (i32.add (i32.mul (local.get $i) (i32.const 8)) (i32.const 4)) (i32.const 1048576))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $i) (i32.const 100000))))
      (call $strings (i32.const 0) (i32.const 100000)) (i32.const 1)))
  (core instance $main (instantiate $main (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "bytes" (func $bytes))
    (export "strings" (func $strings))))))
  (func (export "most") (result u32) (canon lift (core func $main "most")))
  (func (export "more") (result u32) (canon lift (core func $main "more")))
  (func (export "overlapping") (result u32) (canon lift (core func $main "overlapping"))))
"#;

struct Sink;

#[async_trait::async_trait]
impl Provider for Sink {
    async fn link_put(&self, _link: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _id: LinkId, _grace: Duration) {}

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        assert!(call.params.bytes.len() <= max_payload());
        Ok(Payload::default())
    }

    async fn shutdown(&self, _grace: Duration) {}
}

fn sender() -> Arc<Graph> {
    let function = |name: &str| FunctionName {
        interface: "t:s/sink".into(),
        function: name.into(),
    };
    let target = LinkTarget::Provider {
        provider: Arc::new(Sink),
        link: LinkId(1),
        functions: Arc::new([function("bytes"), function("strings")]),
    };
    let to_sink = link(
        "default",
        "sender",
        "sink",
        &["t:s/sink"],
        Scope::Caller,
        target,
    );
    let sender = unit("sender", SENDER, &[("t:s/sink", vec![to_sink])]);
    build(vec![sender]).unwrap_or_else(|e| panic!("{e:?}"))
}

#[tokio::test]
async fn what_one_call_may_carry_is_said_by_the_one_limit() {
    let graph = sender();
    assert_eq!(call(&graph, "sender", "most").await.unwrap(), "1");
    for function in ["more", "overlapping"] {
        let error = call(&graph, "sender", function).await.unwrap_err();
        let InvokeError::Failed(CallError::Exhausted(text)) = &error else {
            panic!("{function}: {error:?}");
        };
        assert!(
            text.contains("component `sender`: the values have"),
            "{text}"
        );
        assert!(text.contains("one call may carry 67108864"), "{text}");
        assert!(text.contains("WITHE_MAX_PAYLOAD"), "{text}");
    }
}
