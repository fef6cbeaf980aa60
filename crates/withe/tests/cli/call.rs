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
    insta::assert_snapshot!(maths().run(&["call", "maths.wasm", "add(3)"]), @"
    exit code: 1
    ----- stderr -----
    error: calling `add` of `maths`: arguments `(3)`: invalid params: missing required param(s); the function is `add: func(a: u32, b: u32) -> u32`
    ");
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

#[test]
fn the_end_of_a_name_and_json_are_enough() {
    for (call, options, printed) in [
        ("maths#add(3, 4)", &[][..], "7\n"),
        ("maths@1.2.0#add(3, 4)", &[], "7\n"),
        ("add(3, 4)", &["--json"], "7\n"),
    ] {
        let args = [&["call", "maths.wasm", call], options].concat();
        let expected = format!("exit code: 0\n----- stdout -----\n{printed}");
        assert_eq!(maths().run(&args), expected, "{call}");
    }
}

/// A component that would not start is not even linked: it imports what nothing provides.
#[test]
fn a_slip_of_the_pen_is_said_before_anything_else() {
    for (call, said) in [
        ("rnu()", "did you mean `run`?"),
        ("run(1)", "arguments `(1)`"),
    ] {
        let shown = linked().run(&["call", "caller.wasm", call]);
        assert!(shown.starts_with("exit code: 1"), "{shown}");
        assert!(shown.contains(said) && !shown.contains("W0101"), "{shown}");
    }
}

/// Imports what nothing provides, beside a function that does not need it.
#[test]
fn missing_imports_can_trap() {
    let sandbox = linked();
    let call = ["call", "caller.wasm", "run()", "--missing", "trap"];
    insta::assert_snapshot!(sandbox.run(&call));
    let sandbox = sandbox.manifest(
        "    - name: caller\n      type: component\n      properties:\n        image: ./caller.wasm\n        on-missing: trap\n",
    );
    insta::assert_snapshot!(sandbox.run(&["check", "shop.yaml"]));
    let shown = sandbox.run(&["call", "shop.yaml", "caller", "run()"]);
    assert!(
        shown.contains("`shop:api/counter@1.0.0#next` was called, which nothing provides"),
        "{shown}"
    );
}

/// Exports one interface with and without a version, another in two versions, names that are words of WIT's,
/// and a function of an enum with a word of WAVE's among its 900 cases.
fn names() -> Sandbox {
    let cases: String = (0..899).map(|i| format!("\"case-{i}\" ")).collect();
    let text = format!(
        r#"(component
            (core module $m
                (func (export "one") (result i32) i32.const 1)
                (func (export "two") (result i32) i32.const 2)
                (func (export "id") (param i32) (result i32) local.get 0))
            (core instance $i (instantiate $m))
            (type $many' (enum "none" {cases}))
            (export $many "many" (type $many'))
            (func $one (result u32) (canon lift (core func $i "one")))
            (func $two (result u32) (canon lift (core func $i "two")))
            (func $same (param "x" $many) (result $many) (canon lift (core func $i "id")))
            (instance $first (export "run" (func $one)))
            (instance $second (export "run" (func $two)) (export "list" (func $one)))
            (export "list" (func $two))
            (export "same" (func $same))
            (export "a:b/x" (instance $first))
            (export "a:b/x@1.0.0" (instance $second))
            (export "a:b/interface@1.0.0" (instance $second))
            (export "c:d/x@1.0.0" (instance $first))
            (export "c:d/x@2.0.0" (instance $second)))"#
    );
    Sandbox::new().component("names.wasm", &text)
}

#[test]
fn the_exact_name_wins_and_escapes_are_as_in_wit() {
    let sandbox = names();
    let table = [
        ("a:b/x#run()", "1"),
        ("a:b/x@1.0.0#run()", "2"),
        // Only one of the two has the function.
        ("a:b/x#list()", "1"),
        ("a:b/interface#run()", "2"),
        ("a:b/%interface#run()", "2"),
        ("%a:%b/%interface@1.0.0#%list()", "1"),
        ("list()", "2"),
        ("%list()", "2"),
        ("same(%none)", "%none"),
        ("same(case-7)", "case-7"),
    ];
    for (call, result) in table {
        let shown = sandbox.run(&["call", "names.wasm", call]);
        assert_eq!(
            shown,
            format!("exit code: 0\n----- stdout -----\n{result}\n"),
            "{call}"
        );
    }
    insta::assert_snapshot!(sandbox.run(&["call", "names.wasm", "c:d/x#run()"]), @"
    exit code: 1
    ----- stderr -----
    error: calling `run` of `names`: `c:d/x#run` may be any of c:d/x@1.0.0#run, c:d/x@2.0.0#run: write one of these
    ");
}

#[test]
fn arguments_that_are_not_what_the_function_takes() {
    let sandbox = names();
    for argument in ["none", "case-77x", "1"] {
        let call = format!("same({argument})");
        let shown = sandbox.run(&["call", "names.wasm", &call]);
        // The 900 cases are not what a person needs.
        assert!(shown.len() < 800, "{shown}");
        insta::assert_snapshot!(format!("arguments_{argument}"), shown);
    }
}

/// The called component may export an interface that a component linked to it needs: nothing leads back
/// there.
#[test]
fn what_the_called_component_exports_itself() {
    let back = r#"(component
        (import "shop:api/counter@1.0.0" (instance $counter (export "next" (func (result u32)))))
        (core func $next (canon lower (func $counter "next")))
        (core module $m
            (import "counter" "next" (func $next (result i32)))
            (func (export "total") (result i32) call $next))
        (core instance $i (instantiate $m (with "counter" (instance (export "next" (func $next))))))
        (func $total (result u32) (canon lift (core func $i "total")))
        (instance $totals (export "total" (func $total)))
        (export "shop:api/totals@1.0.0" (instance $totals)))"#;
    let front = r#"(component
        (import "shop:api/totals@1.0.0" (instance $totals (export "total" (func (result u32)))))
        (core module $m (func (export "next") (result i32) i32.const 7))
        (core instance $i (instantiate $m))
        (func $next (result u32) (canon lift (core func $i "next")))
        (instance $counter (export "next" (func $next)))
        (export "shop:api/counter@1.0.0" (instance $counter)))"#;
    let sandbox = Sandbox::new()
        .component("front.wasm", front)
        .component("back.wasm", back);
    let args = [
        "call",
        "front.wasm",
        "shop:api/counter#next()",
        "--link",
        "back.wasm",
    ];
    insta::assert_snapshot!(sandbox.run(&args), @"
    exit code: 1
    ----- stderr -----
    error[W0101]: `back` imports `shop:api/counter@1.0.0`, and nothing provides it
     |
     = help: `front` exports it, but is itself what is called, and components given with `--link` are not linked back to that: write a manifest in which `back` has a link to `front`

    error: 1 problem in front.wasm; nothing was called
    ");
}

/// Other problems of the application are for `check` to say.
#[test]
fn only_errors_are_shown() {
    let sandbox = linked().manifest(
        "    - name: caller\n      type: component\n      properties:\n        image: ./caller.wasm
    - name: other\n      type: component\n      properties:\n        image: ./counter.wasm\n",
    );
    insta::assert_snapshot!(sandbox.run(&["call", "shop.yaml", "caller", "run()"]), @"
    exit code: 1
    ----- stderr -----
    error[W0101]: `caller` imports `shop:api/counter@1.0.0`, and nothing provides it
     --> shop.yaml:7:13
      |
    7 |     - name: caller
      |             ^^^^^^ imported by this component
      |
      = help: `other` exports what is missing: link to it from `caller`
              - type: link
                properties:
                  target:
                    name: other

    error: 1 problem in shop.yaml; nothing was called
    ");
    let shown = sandbox.run(&["call", "shop.yaml", "other", "shop:api/counter#next()"]);
    assert!(!shown.contains("W0104"), "{shown}");
}
