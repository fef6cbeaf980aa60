//! Imports of components from the host, checked and run.

use crate::sandbox::Sandbox;

/// A component that imports an interface and exports `go`, which gives 3.
fn importing(interface: &str, item: &str) -> String {
    format!(
        r#"(component
            (import "{interface}" (instance $host {item}))
            (core module $m (func (export "go") (result i32) i32.const 3))
            (core instance $i (instantiate $m))
            (func (export "go") (result u32) (canon lift (core func $i "go"))))"#
    )
}

fn sandbox(interface: &str, item: &str) -> Sandbox {
    Sandbox::new()
        .component("c.wasm", &importing(interface, item))
        .manifest("    - {name: c, type: component, properties: {image: ./c.wasm}}\n")
}

const GO: [&str; 4] = ["call", "shop.yaml", "c", "go()"];

const THREE: &str = "exit code: 0\n----- stdout -----\n3\n";

const GET_ALL: &str = r#"
    (type $e (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $e)))
    (export "get-all" (func (result (result (list (tuple string string)) (error $error)))))"#;

/// `check` and `call` agree: what passes the one runs, what does not is said by both.
#[test]
fn what_is_checked_is_what_runs() {
    let table = [
        (
            "wasi:random/random@0.2.0",
            r#"(export "get-random-u64" (func (result u64)))"#,
            None,
        ),
        (
            "wasi:random/random@0.3.0",
            r#"(export "get-random-u64" (func (result u64)))"#,
            None,
        ),
        (
            "wasi:random/random@0.2.99",
            r#"(export "get-random-u128" (func (result u64)))"#,
            Some("W0302"),
        ),
        (
            "wasi:clocks/monotonic-clock@0.2.3",
            r#"(export "now" (func (result u32)))"#,
            Some("W0301"),
        ),
        (
            "wasi:logging/logging",
            r#"(export "log" (func (param "message" string)))"#,
            Some("W0301"),
        ),
        ("wasi:config/store@0.2.0-rc.1", GET_ALL, None),
        ("wasi:config/store@0.2.0-draft", GET_ALL, None),
        ("wasi:config/store@0.2.0-draft-2024-09-27", GET_ALL, None),
        (
            "wasi:config/store@0.2.0-draft-2024-09-27",
            r#"(export "get-all" (func))"#,
            Some("W0101"),
        ),
        (
            "wasi:random/random@0.2.0-rc-2023-12-05",
            r#"(export "get-random-u64" (func (result u64)))"#,
            None,
        ),
        (
            "wasi:random/random@0.3.0-rc-2026-03-15",
            r#"(export "get-random-u64" (func (result u64)))"#,
            None,
        ),
        (
            "wasi:random/random@0.3.0-rc-2026-03-15",
            r#"(export "get-random-u64" (func (result u32)))"#,
            Some("W0101"),
        ),
        (
            "wasmcloud:bus/lattice@1.0.0",
            r#"(export "set-link-name" (func))"#,
            Some("W0301"),
        ),
        (
            "wasmcloud:bus/lattice@2.0.1",
            r#"(export "unset" (func))"#,
            Some("W0302"),
        ),
    ];
    for (interface, item, problem) in table {
        let sandbox = sandbox(interface, item);
        let (checked, called) = (sandbox.run(&["check", "shop.yaml"]), sandbox.run(&GO));
        match problem {
            None => {
                assert!(!checked.contains("error["), "{interface}\n{checked}");
                assert_eq!(called, THREE, "{interface}");
            }
            Some(code) => {
                let error = format!("error[{code}]");
                assert!(checked.contains(&error), "{interface}\n{checked}");
                assert!(called.contains(&error), "{interface}\n{called}");
            }
        }
    }
}

#[test]
fn a_report_has_a_place_both_signatures_and_help() {
    let other = sandbox(
        "wasi:config/store@0.2.0-rc.1",
        r#"(export "get-all" (func))"#,
    );
    insta::assert_snapshot!(other.run(&["check", "shop.yaml"]), @"
    exit code: 1
    ----- stderr -----
    warning[W0104]: nothing calls `c`: it runs only for `withe call`
     --> shop.yaml:7:14
      |
    7 |     - {name: c, type: component, properties: {image: ./c.wasm}}
      |              ^ no link leads to it

    error[W0301]: the host exports `wasi:config/store@0.2.0-rc.1` with other types than `c` imports
     --> shop.yaml:7:14
      |
    7 |     - {name: c, type: component, properties: {image: ./c.wasm}}
      |              ^ imported by this component
      |
      = note: func get-all, result: expected nothing, found result<list<tuple<string, string>>, error>
                imported: get-all: func()
                exported: get-all: func() -> result<list<tuple<string, string>>, error>
      = help: build `c` against the published WIT of `wasi:config/store@0.2.0-rc.1`

    error: 1 problem and 1 warning in shop.yaml
    ");
    let lacking = sandbox(
        "wasi:random/random@0.2.99",
        r#"(export "get-random-u128" (func (result u64)))"#,
    );
    insta::assert_snapshot!(lacking.run(&["check", "shop.yaml"]), @"
    exit code: 1
    ----- stderr -----
    warning[W0104]: nothing calls `c`: it runs only for `withe call`
     --> shop.yaml:7:14
      |
    7 |     - {name: c, type: component, properties: {image: ./c.wasm}}
      |              ^ no link leads to it

    error[W0302]: the host exports `wasi:random/random@0.2.12` without all that `c` uses of `wasi:random/random@0.2.99`
     --> shop.yaml:7:14
      |
    7 |     - {name: c, type: component, properties: {image: ./c.wasm}}
      |              ^ imported by this component
      |
      = note: missing: get-random-u128: func() -> u64
      = note: `wasi:random/random@0.2.12` there has `get-random-bytes` and `get-random-u64`
      = help: `c` was built against `wasi:random/random@0.2.99`, and this host has `wasi:random/random@0.2.12`: build it against that

    error: 1 problem and 1 warning in shop.yaml
    ");
    let draft = sandbox(
        "wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16",
        r#"(export "now" (func (result u32)))"#,
    );
    insta::assert_snapshot!(draft.run(&["check", "shop.yaml"]), @"
    exit code: 1
    ----- stderr -----
    error[W0101]: `c` imports `wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16`, and nothing provides it
     --> shop.yaml:7:14
      |
    7 |     - {name: c, type: component, properties: {image: ./c.wasm}}
      |              ^ imported by this component
      |
      = note: found: the host provides `wasi:clocks/monotonic-clock@0.2.12`; 0.2.12 is not compatible with 0.3.0-rc-2025-09-16
      = note: found: the host provides `wasi:clocks/monotonic-clock@0.3.0`, whose types differ:
                func now, result: expected u32, found u64
      = help: `c` was built against `wasi:clocks@0.3.0-rc-2025-09-16`, and this host has `wasi:clocks@0.3.0`: build it against that
              in Rust, the crate `wasip3` is for WASI 0.3.0 in its version 0.7 (`cargo add wasip3@0.7`); 0.2 to 0.6 are for release candidates

    warning[W0104]: nothing calls `c`: it runs only for `withe call`
     --> shop.yaml:7:14
      |
    7 |     - {name: c, type: component, properties: {image: ./c.wasm}}
      |              ^ no link leads to it

    error: 1 problem and 1 warning in shop.yaml
    ");
}
