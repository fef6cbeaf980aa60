//! `withe componentize`.

use crate::sandbox::{Sandbox, exists};

/// A core module for `wasip1`, as compilers make it.
const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (memory (export "memory") 1)
    (func (export "shop:api/maths#add") (param i32 i32) (result i32)
        (drop (call $yield)) (i32.add (local.get 0) (local.get 1))))"#;

const WIT: &str = "package shop:api;
    interface maths { add: func(a: u32, b: u32) -> u32; }
    world service { export maths; }
    world other { export missing: func(); }";

fn sandbox() -> Sandbox {
    Sandbox::new()
        .component("module.wasm", MODULE)
        .component("component.wasm", "(component)")
        .file("wit/world.wit", WIT)
}

#[test]
fn a_module_becomes_a_component_that_can_be_called() {
    let sandbox = sandbox();
    let args = [
        "componentize",
        "module.wasm",
        "--wit",
        "wit",
        "--world",
        "service",
        "-o",
        "maths.wasm",
    ];
    let made = sandbox.run(&args);
    assert!(
        made.starts_with("exit code: 0\n") && made.contains("wrote maths.wasm"),
        "{made}"
    );
    let called = sandbox.run(&["call", "maths.wasm", "add(40, 2)"]);
    assert_eq!(called, "exit code: 0\n----- stdout -----\n42\n");
}

#[test]
fn what_becomes_no_component_says_why_and_writes_nothing() {
    let sandbox = sandbox();
    let with =
        |more: &[&str]| sandbox.run(&[&["componentize"], more, &["-o", "out.wasm"]].concat());
    for (args, said) in [
        (&["gone.wasm"][..], "`gone.wasm` cannot be read"),
        (&["component.wasm"], "it is a component already"),
        (
            &["wit/world.wit"],
            "the file is no core module of WebAssembly",
        ),
        (
            &["module.wasm", "--wit", "none"],
            "`none` has no package of WIT",
        ),
        (
            &["module.wasm", "--wit", "wit"],
            "does not say which world is meant",
        ),
        (
            &["module.wasm", "--wit", "wit", "--world", "x"],
            "`wit` has no world `x`",
        ),
        (
            &["module.wasm", "--wit", "wit", "--world", "other"],
            "does not fit its world",
        ),
    ] {
        let shown = with(args);
        assert!(
            shown.starts_with("exit code: 1\n") && shown.contains(said),
            "{args:?}: {shown}"
        );
    }
    assert!(!exists(&sandbox.path("out.wasm")));
}
