//! Manifests of wasmCloud v1 have one link for each interface of a key-value store.

use crate::sandbox::Sandbox;

/// Opens a bucket of `wasi:keyvalue/store`, adds 5 to a key of it by `atomics`, twice, deletes nothing by `batch`, and
/// returns the sum.
const COUNTER: &str = r#"(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
    (type $e (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $e)))
    (export "bucket" (type $bucket (sub resource)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))))
  (alias export $store "bucket" (type $bucket))
  (alias export $store "error" (type $error))
  (import "wasi:keyvalue/atomics@0.2.0-draft" (instance $atomics
    (alias outer 1 $bucket (type $b')) (export "bucket" (type $b (eq $b')))
    (alias outer 1 $error (type $e')) (export "error" (type $e (eq $e')))
    (export "increment" (func (param "bucket" (borrow $b)) (param "key" string) (param "delta" u64) (result (result u64 (error $e)))))))
  (import "wasi:keyvalue/batch@0.2.0-draft" (instance $batch
    (alias outer 1 $bucket (type $b')) (export "bucket" (type $b (eq $b')))
    (alias outer 1 $error (type $e')) (export "error" (type $e (eq $e')))
    (export "delete-many" (func (param "bucket" (borrow $b)) (param "keys" (list string)) (result (result (error $e)))))))
  (core module $libc (memory (export "mem") 1)
    (global $p (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local i32)
      (local.set 4 (i32.and (i32.add (global.get $p) (i32.const 7)) (i32.const -8)))
      (global.set $p (i32.add (local.get 4) (local.get 3))) (local.get 4))
    (data (i32.const 0) "default") (data (i32.const 16) "hits"))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "mem" (core memory $mem))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $open (canon lower (func $store "open") (memory $mem) (realloc $realloc)))
  (core func $inc (canon lower (func $atomics "increment") (memory $mem) (realloc $realloc)))
  (core func $del (canon lower (func $batch "delete-many") (memory $mem) (realloc $realloc)))
  (core module $m
    (import "" "mem" (memory 1))
    (import "" "open" (func $open (param i32 i32 i32)))
    (import "" "inc" (func $inc (param i32 i32 i32 i64 i32)))
    (import "" "del" (func $del (param i32 i32 i32 i32)))
    (func (export "run") (result i64) (local $b i32)
      (call $open (i32.const 0) (i32.const 7) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then unreachable))
      (local.set $b (i32.load (i32.const 68)))
      (call $inc (local.get $b) (i32.const 16) (i32.const 4) (i64.const 5) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then unreachable))
      (call $inc (local.get $b) (i32.const 16) (i32.const 4) (i64.const 5) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then unreachable))
      (call $del (local.get $b) (i32.const 0) (i32.const 0) (i32.const 192))
      (i64.load (i32.const 136))))
  (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "open" (func $open)) (export "inc" (func $inc)) (export "del" (func $del))))))
  (func (export "run") (result u64) (canon lift (core func $i "run"))))"#;

/// The component with these links, and two stores.
fn sandbox(links: &[&str]) -> Sandbox {
    let links: String = links
        .iter()
        .map(|link| format!("        - {{type: link, properties: {{{link}}}}}\n"))
        .collect();
    let store = |name: &str| {
        format!("    - {{name: {name}, type: capability, properties: {{image: withe:keyvalue}}}}\n")
    };
    Sandbox::new().component("counter.wasm", COUNTER).manifest(&format!(
        "    - name: counter\n      type: component\n      properties: {{image: ./counter.wasm}}\n      traits:\n{links}{}{}",
        store("one"),
        store("two"),
    ))
}

const RUN: [&str; 4] = ["call", "shop.yaml", "counter", "run()"];

#[test]
fn links_to_one_store_share_its_buckets() {
    let link = |target: &str, interface: &str| {
        format!("target: {target}, namespace: wasi, package: keyvalue, interfaces: [{interface}]")
    };
    let configured = "{name: one, config: [{name: m, properties: {backend: memory}}]}";
    for targets in [
        ["one", "one", "one"],
        [
            configured,
            "{name: one, config: [{name: m}]}",
            "{name: one, config: [{name: m}]}",
        ],
        [configured, "one", "{name: one}"],
        ["one", "one", configured],
    ] {
        let links = [
            link(targets[0], "store"),
            link(targets[1], "atomics"),
            link(targets[2], "batch"),
        ];
        let links: Vec<_> = links.iter().map(String::as_str).collect();
        assert_eq!(
            sandbox(&links).run(&RUN),
            "exit code: 0\n----- stdout -----\n10\n",
            "{targets:?}"
        );
    }
}

#[test]
fn links_to_two_stores_say_what_to_write() {
    let links = [
        "target: one, namespace: wasi, package: keyvalue, interfaces: [store, batch]",
        "target: two, namespace: wasi, package: keyvalue, interfaces: [atomics]",
    ];
    insta::assert_snapshot!(sandbox(&links).run(&RUN), @"
    exit code: 1
    ----- stderr -----
    error[W0404]: no binding can carry the link from `counter` to `two`
      --> shop.yaml:12:45
       |
    12 |         - {type: link, properties: {target: two, namespace: wasi, package: keyvalue, interfaces: [atomics]}}
       |                                             ^^^ cannot be bound
       |
       = note: not `host`: `increment` of `wasi:keyvalue/atomics@0.2.0-draft` passes the resource `bucket` of `wasi:keyvalue/store@0.2.0-draft`, which is not of this link
       = help: handles are known to the target that gave them out: let one link, to `one`, be for all of it
               namespace: wasi
               package: keyvalue
               interfaces: [store, atomics, batch]

    error: 1 problem in shop.yaml; nothing was called
    ");
    // As the help has it.
    let one =
        ["target: one, namespace: wasi, package: keyvalue, interfaces: [store, atomics, batch]"];
    assert_eq!(
        sandbox(&one).run(&RUN),
        "exit code: 0\n----- stdout -----\n10\n"
    );
}
