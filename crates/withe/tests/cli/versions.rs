//! One importer, two compatible versions of an interface.

use crate::sandbox::Sandbox;

/// Imports `t:t/x` in two versions; `run` gives a thousand times what the first gives, and the second's.
const BOTH: &str = r#"(component
    (import "t:t/x@0.2.0" (instance $old (export "v" (func (result u32)))))
    (import "t:t/x@0.2.1" (instance $new (export "v" (func (result u32)))))
    (core func $old (canon lower (func $old "v")))
    (core func $new (canon lower (func $new "v")))
    (core module $m
        (import "" "old" (func $old (result i32)))
        (import "" "new" (func $new (result i32)))
        (func (export "run") (result i32)
            (i32.add (i32.mul (call $old) (i32.const 1000)) (call $new))))
    (core instance $i (instantiate $m
        (with "" (instance (export "old" (func $old)) (export "new" (func $new))))))
    (func (export "run") (result u32) (canon lift (core func $i "run"))))"#;

fn exporting(version: &str, value: u32) -> String {
    format!(
        r#"(component
            (core module $m (func (export "v") (result i32) i32.const {value}))
            (core instance $i (instantiate $m))
            (func $v (result u32) (canon lift (core func $i "v")))
            (instance $x (export "v" (func $v)))
            (export "t:t/x@{version}" (instance $x)))"#
    )
}

fn sandbox(old: &str, new: &str) -> Sandbox {
    let part = |name: &str| {
        format!("    - {{name: {name}, type: component, properties: {{image: ./{name}.wasm}}}}\n")
    };
    let link = |target: &str, interfaces: &str| {
        format!(
            "        - {{type: link, properties: {{target: {target}, namespace: t, package: t{interfaces}}}}}\n"
        )
    };
    Sandbox::new()
        .component("both.wasm", BOTH)
        .component("old.wasm", &exporting("0.2.0", 200))
        .component("new.wasm", &exporting("0.2.1", 210))
        .manifest(&format!(
            "    - name: both\n      type: component\n      properties: {{image: ./both.wasm}}\n      traits:\n{}{}{}{}",
            link("old", old),
            link("new", new),
            part("old"),
            part("new"),
        ))
}

const BOTH_EXACT: &str = "exit code: 0\n----- stdout -----\n200210\n";

#[test]
fn each_version_goes_to_its_exporter() {
    for (old, new) in [
        (", interfaces: [x@0.2.0]", ", interfaces: [x@0.2.1]"),
        (", interfaces: [x]", ", interfaces: [x]"),
        ("", ""),
    ] {
        let sandbox = sandbox(old, new);
        for binding in ["auto", "fused", "local", "unix"] {
            let args = ["call", "shop.yaml", "both", "run()", "--binding", binding];
            assert_eq!(sandbox.run(&args), BOTH_EXACT, "{old} {binding}");
        }
    }
    let args = [
        "call",
        "both.wasm",
        "run()",
        "--link",
        "new.wasm",
        "--link",
        "old.wasm",
    ];
    assert_eq!(sandbox("", "").run(&args), BOTH_EXACT);
}

/// A link that names a version is for that import, whatever else its target could do.
#[test]
fn a_link_that_names_a_version_is_for_that_version() {
    let crossed = sandbox(", interfaces: [x@0.2.1]", ", interfaces: [x@0.2.0]");
    let run = ["call", "shop.yaml", "both", "run()"];
    assert_eq!(
        crossed.run(&run),
        "exit code: 0\n----- stdout -----\n210200\n"
    );
}

#[test]
fn plugs_of_one_file_name_are_told_apart() {
    let sandbox = sandbox("", "")
        .component("a/shop.wasm", &exporting("0.2.0", 1))
        .component("b/shop.wasm", &exporting("0.2.0", 2));
    insta::assert_snapshot!(sandbox.run(&[
        "compose", "--plug", "a/shop.wasm", "--plug", "b/shop.wasm", "--plug", "new.wasm", "both.wasm", "-o", "out.wasm"
    ]), @"
    exit code: 1
    ----- stderr -----
    error[W0063]: `a/shop.wasm`, `b/shop.wasm` all export what `both` imports as `t:t/x@0.2.0`; leave out all but one
    ");
    let composed = sandbox.run(&[
        "compose",
        "--plug",
        "new.wasm",
        "--plug",
        "old.wasm",
        "both.wasm",
        "-o",
        "out.wasm",
    ]);
    assert!(composed.starts_with("exit code: 0"), "{composed}");
    assert_eq!(sandbox.run(&["call", "out.wasm", "run()"]), BOTH_EXACT);
}
