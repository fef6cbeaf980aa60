use crate::sandbox::{CALLER, COUNTER, Sandbox};

/// Exports functions whose results depend on their arguments.
const MATHS: &str = r#"(component
    (core module $m
        (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
        (func (export "fail") unreachable))
    (core instance $i (instantiate $m))
    (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
    (func $fail (canon lift (core func $i "fail")))
    (instance $maths (export "add" (func $add)))
    (export "shop:maths/maths@1.2.0" (instance $maths))
    (export "add" (func $add))
    (export "fail" (func $fail)))"#;

fn maths() -> Sandbox {
    Sandbox::new().component("maths.wasm", MATHS)
}

fn linked() -> Sandbox {
    Sandbox::new()
        .component("caller.wasm", CALLER)
        .component("counter.wasm", COUNTER)
        .manifest(
            "    - name: caller\n      type: component\n      properties:\n        image: ./caller.wasm
      traits:\n        - type: link\n          properties:\n            target: counter
    - name: counter\n      type: component\n      properties:\n        image: ./counter.wasm\n",
        )
}

const SEVEN: &str = "exit code: 0\n----- stdout -----\n7\n";

#[test]
fn a_function_of_the_world_and_of_an_interface() {
    for call in [
        "add(3, 4)",
        "shop:maths/maths#add(3, 4)",
        "shop:maths/maths@1.2.0#add(3, 4)",
    ] {
        assert_eq!(maths().run(&["call", "maths.wasm", call]), SEVEN, "{call}");
    }
}

#[test]
fn what_is_imported_comes_from_the_components_linked_in() {
    for binding in ["auto", "fused", "local"] {
        let args = [
            "call",
            "caller.wasm",
            "run()",
            "--link",
            "counter.wasm",
            "--binding",
            binding,
        ];
        assert_eq!(linked().run(&args), SEVEN, "{binding}");
    }
    for scope in ["caller", "call", "shared"] {
        let args = [
            "call",
            "caller.wasm",
            "run()",
            "--link",
            "counter.wasm",
            "--scope",
            scope,
        ];
        assert_eq!(linked().run(&args), SEVEN, "{scope}");
    }
}

#[test]
fn a_component_of_an_application() {
    assert_eq!(
        linked().run(&["call", "shop.yaml", "caller", "run()"]),
        SEVEN
    );
}

#[test]
fn a_trap_says_where_it_happened() {
    let shown = maths().run(&["call", "maths.wasm", "fail()"]);
    assert!(shown.starts_with("exit code: 1\n"), "{shown}");
    assert!(
        shown.contains("calling `fail` of `maths`") && shown.contains("unreachable"),
        "{shown}"
    );
}

#[test]
fn wrong_calls() {
    insta::assert_snapshot!(maths().run(&["call", "maths.wasm", "add(3)"]), @r#"
    exit code: 1
    ----- stderr -----
    error: calling `add` of `maths`: arguments `(3)`: invalid params: missing required param(s) at 6..7; the function is `add: func(u32, u32) -> u32`
    "#);
    insta::assert_snapshot!(maths().run(&["call", "maths.wasm", "sub(3, 4)"]), @r#"
    exit code: 1
    ----- stderr -----
    error: calling `sub` of `maths`: `maths` exports no function `sub`; it exports: add, fail, shop:maths/maths@1.2.0#add
    "#);
    insta::assert_snapshot!(maths().run(&["call", "maths.wasm", "add"]), @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value 'add' for '<CALL>': this names a function but does not call it: write `add()`

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(linked().run(&["call", "shop.yaml", "calle", "run()"]), @r#"
    exit code: 2
    ----- stderr -----
    error: `shop.yaml` has no component `calle`; it has `caller`, `counter`

    Usage: withe call [OPTIONS] <APP.yaml|X.wasm> [COMPONENT] <CALL>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(linked().run(&["call", "shop.yaml", "run()"]), @r#"
    exit code: 2
    ----- stderr -----
    error: `shop.yaml` is a manifest: say which of its components is called; it has `caller`, `counter`

    Usage: withe call [OPTIONS] <APP.yaml|X.wasm> [COMPONENT] <CALL>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(linked().run(&["call", "gone.wasm", "run()"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0051]: `gone.wasm` does not exist
     |
     = help: build the component first, or correct the path

    error: 1 problem in gone.wasm; nothing was called
    "#);
}

#[test]
fn an_import_that_nothing_satisfies() {
    insta::assert_snapshot!(linked().run(&["call", "caller.wasm", "run()"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0101]: `caller` imports `shop:api/counter@1.0.0`, and nothing provides it
     |
     = help: give a component that exports it with `--link FILE`

    error: 1 problem in caller.wasm; nothing was called
    "#);
}
