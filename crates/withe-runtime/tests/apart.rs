//! Components with large modules, which are compiled apart, do what they do when they are compiled whole.

mod common;

use std::sync::{Arc, Mutex};

use common::{call, engines, member, unit};
use withe_runtime::graph::BuildEvent;
use withe_runtime::spec::UnitSpec;
use withe_runtime::{CompiledPart, Engines, Graph, RuntimeError};

/// Functions that are large enough for their module to be compiled apart, and quick to compile; other ones for each `kind`.
fn bulk(kind: usize) -> String {
    format!(
        "(func $bulk (param i32) (drop (i32.const {kind})) {})",
        "nop ".repeat(1_100_000)
    )
}

/// A component whose large module has a snapshot of more than a megabyte, with `text` in it, and uses tables, globals, a start
/// function, host functions and a module beside it.
fn program(bulk: &str, text: &str) -> String {
    format!(
        r#"(component
            (import "wasi:random/insecure@0.2.12" (instance $random
                (export "get-insecure-random-u64" (func (result u64)))))
            (core func $random (canon lower (func $random "get-insecure-random-u64")))
            (core module $adds (func (export "add") (param i32 i32) (result i32)
                (i32.add (local.get 0) (local.get 1))))
            (core module $program
                (import "adds" "add" (func $add (param i32 i32) (result i32)))
                (import "host" "random" (func $random (result i64)))
                (memory (export "memory") 40)
                (global $started (mut i32) (i32.const 0))
                (table 4 funcref)
                (elem (i32.const 1) func $text $trap)
                (data (i32.const 16) "\20\00\00\00\05\00\00\00")
                (data (i32.const 32) "{text}")
                (data (i32.const 1200000) "{filling}")
                {bulk}
                (start $begin)
                (func $begin (global.set $started (i32.load8_u (i32.const 32))))
                (func $text (result i32) (i32.const 16))
                (func $trap (result i32) unreachable)
                (func (export "text") (result i32)
                    (drop (call $random))
                    (call_indirect (result i32) (call $add (i32.const 0) (i32.const 1))))
                (func (export "started") (result i32) (global.get $started))
                (func (export "grow") (result i32) (memory.grow (i32.const 1)))
                (func $fails (export "fail") (result i32)
                    (call_indirect (result i32) (i32.const 2))))
            (core instance $adds (instantiate $adds))
            (core instance $program (instantiate $program
                (with "adds" (instance $adds))
                (with "host" (instance (export "random" (func $random))))))
            (alias core export $program "memory" (core memory $memory))
            (func (export "text") (result string)
                (canon lift (core func $program "text") (memory $memory)))
            (func (export "started") (result u32) (canon lift (core func $program "started")))
            (func (export "grow") (result u32) (canon lift (core func $program "grow")))
            (func (export "fail") (result u32) (canon lift (core func $program "fail"))))"#,
        filling = "x".repeat(1_100_000)
    )
}

/// Builds a graph, and returns the parts that were compiled.
fn build(
    engines: &Engines,
    units: Vec<UnitSpec>,
) -> Result<(Arc<Graph>, Vec<CompiledPart>), Vec<RuntimeError>> {
    let parts = Mutex::new(Vec::new());
    let graph = Graph::build(engines, units, &|event| {
        if let BuildEvent::Part { part, .. } = event {
            parts.lock().unwrap().push(part);
        }
    })?;
    Ok((graph, parts.into_inner().unwrap()))
}

fn named(parts: &[CompiledPart]) -> Vec<Option<&str>> {
    let mut names: Vec<_> = parts.iter().map(|part| part.name.as_deref()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_program_in_parts_does_what_it_does_as_a_whole() {
    // A program that is not large enough is compiled whole.
    for (bulk, parts) in [(String::new(), 0), (bulk(0), 2)] {
        let program = unit("program", &program(&bulk, "hello"), &[]);
        let (graph, compiled) = build(&engines(), vec![program]).unwrap();
        assert_eq!(compiled.len(), parts);
        // Each call has an instance of its own.
        for _ in 0..2 {
            assert_eq!(call(&graph, "program", "text").await.unwrap(), r#""hello""#);
            assert_eq!(call(&graph, "program", "started").await.unwrap(), "104");
            assert_eq!(call(&graph, "program", "grow").await.unwrap(), "40");
        }
        let failed = call(&graph, "program", "fail").await.unwrap_err();
        assert_eq!(
            failed.to_string(),
            "component `program`: wasm `unreachable` instruction executed, in `trap` < `fails`"
        );
    }
}

#[tokio::test]
async fn the_code_of_a_runtime_is_compiled_once_for_all_that_hold_it() {
    let (engines, bulk) = (engines(), bulk(1));
    let program = |name: &str, text: &str| unit(name, &program(&bulk, text), &[]);
    let (first, parts) = build(&engines, vec![program("a", "hello")]).unwrap();
    assert_eq!(named(&parts), [None, Some("program")]);
    assert_eq!(parts.iter().map(|part| part.of).collect::<Vec<_>>(), [2, 2]);
    // Without any cache, while the first one runs; only what differs is compiled.
    let (second, parts) = build(&engines, vec![program("b", "world")]).unwrap();
    assert_eq!(named(&parts), [None]);
    for (graph, name, text) in [(&first, "a", r#""hello""#), (&second, "b", r#""world""#)] {
        assert_eq!(call(graph, name, "text").await.unwrap(), text);
    }
    // Nobody has it any more.
    drop((first, second));
    let (_, parts) = build(&engines, vec![program("c", "again")]).unwrap();
    assert_eq!(named(&parts), [None, Some("program")]);
}

/// Two components in one, the second of which calls the first and has a module of the same code, as two programs of one language
/// have. `fail` of `caller` traps in either.
fn fused(bulk: &str) -> String {
    format!(
        r#"(component
            (component $callee
                (core module $callee {bulk}
                    (func $deep unreachable)
                    (func $callee_fails (export "fail") (param i32) (call $deep)))
                (core instance $instance (instantiate $callee))
                (func (export "fail") (param "here" u32)
                    (canon lift (core func $instance "fail"))))
            (component $caller
                (import "fail" (func $fail (param "here" u32)))
                (core func $lowered (canon lower (func $fail)))
                (core module $caller {bulk}
                    (import "" "fail" (func $fail (param i32)))
                    (func $caller_fails (export "run") (call $fail (i32.const 1)))
                    (func $own_fails (export "own") unreachable))
                (core instance $instance (instantiate $caller
                    (with "" (instance (export "fail" (func $lowered))))))
                (func (export "run") (canon lift (core func $instance "run")))
                (func (export "own") (canon lift (core func $instance "own"))))
            (instance $callee (instantiate $callee))
            (instance $caller (instantiate $caller (with "fail" (func $callee "fail"))))
            (export "run" (func $caller "run"))
            (export "own" (func $caller "own")))"#
    )
}

#[tokio::test]
async fn a_trap_in_a_module_compiled_apart_is_put_down_to_its_component() {
    // An import stands before all functions.
    let bulk = bulk(2);
    let text = fused(&bulk).replace(
        &format!("{bulk}\n                    (import \"\" \"fail\" (func $fail (param i32)))"),
        &format!("(import \"\" \"fail\" (func $fail (param i32))) {bulk}"),
    );
    let mut unit = unit("caller", &text, &[]);
    unit.members.push(member("callee", None));
    let (graph, parts) = build(&engines(), vec![unit]).unwrap();
    assert_eq!(named(&parts), [None, Some("callee"), Some("caller")]);
    for (function, whose) in [("run", "callee"), ("own", "caller")] {
        let failed = call(&graph, "caller", function).await.unwrap_err();
        let failed = failed.to_string();
        let begins = format!("component `{whose}`: wasm `unreachable`");
        assert!(failed.starts_with(&begins), "{failed}");
    }
}

#[tokio::test]
async fn programs_of_one_runtime_that_are_fused_are_told_apart() {
    let part = |name: &str, rest: &str| {
        format!(
            "(component ${name} (core module ${name} {} (func $fails (export \"f\") unreachable)) \
             (core instance $i (instantiate ${name})) (func (export \"f\") (canon lift (core func $i \"f\")))) \
             (instance ${name} (instantiate ${name})) (export \"{rest}\" (func ${name} \"f\"))",
            bulk(3)
        )
    };
    let text = format!(
        "(component {} {})",
        part("one", "run-one"),
        part("two", "run-two")
    );
    let mut unit = unit("one", &text, &[]);
    unit.members.push(member("two", None));
    let (graph, parts) = build(&engines(), vec![unit]).unwrap();
    // Compiled once for both.
    assert_eq!(named(&parts), [None, Some("one")]);
    for (function, whose) in [("run-one", "one"), ("run-two", "two")] {
        let failed = call(&graph, "one", function).await.unwrap_err();
        let failed = failed.to_string();
        assert!(
            failed.starts_with(&format!("component `{whose}`: ")),
            "{failed}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_component_is_said_as_if_it_was_whole() {
    let text = format!(
        "(component (core module $m {} (func (result i32))) (core instance (instantiate $m)))",
        bulk(4)
    );
    let bytes: Arc<[u8]> = wat::parse_str(&text).unwrap().into();
    let mut broken = unit("broken", "(component)", &[]);
    broken.bytes = bytes.clone();
    let errors = build(&engines(), vec![broken])
        .err()
        .expect("it is refused");
    let engines = engines();
    let whole = wasmtime::component::Component::new(engines.get(false).unwrap(), &bytes);
    let whole = whole.expect_err("it is refused");
    assert_eq!(
        errors[0].to_string(),
        format!("component `broken` does not compile: {whole:#}")
    );
}
