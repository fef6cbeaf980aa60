//! `withe compose`.

use std::fs;

use crate::sandbox::{CALLER, COUNTER, Sandbox, exists};

fn parts() -> Sandbox {
    Sandbox::new()
        .component("caller.wasm", CALLER)
        .component("counter.wasm", COUNTER)
}

#[test]
fn plugs_satisfy_imports() {
    let sandbox = parts();
    let composed = sandbox.run(&[
        "compose",
        "--plug",
        "counter.wasm",
        "caller.wasm",
        "-o",
        "both.wasm",
    ]);
    assert!(composed.starts_with("exit code: 0\n"), "{composed}");
    let world = sandbox.run(&["inspect", "both.wasm"]);
    assert!(
        world.contains("imports: nothing\n") && world.contains("run: func() -> u32"),
        "{world}"
    );
}

#[test]
fn a_wac_file_composes() {
    let sandbox = parts().file(
        "both.wac",
        "package shop:both;
         let counter = new shop:counter {};
         let caller = new shop:caller { \"shop:api/counter@1.0.0\": counter[\"shop:api/counter@1.0.0\"] };
         export caller...;\n",
    );
    let composed = sandbox.run(&[
        "compose",
        "both.wac",
        "--dep",
        "shop:counter=counter.wasm",
        "--dep",
        "shop:caller=caller.wasm",
        "-o",
        "both.wasm",
    ]);
    assert!(composed.starts_with("exit code: 0\n"), "{composed}");
    assert!(
        sandbox
            .run(&["inspect", "both.wasm"])
            .contains("imports: nothing\n")
    );
}

#[test]
fn an_input_is_never_overwritten() {
    let sandbox = parts();
    let before = fs::read(sandbox.path("caller.wasm")).unwrap();
    insta::assert_snapshot!(
        sandbox.run(&["compose", "--plug", "counter.wasm", "caller.wasm", "-o", "./caller.wasm"]), @r#"
    exit code: 2
    ----- stderr -----
    error: the output `caller.wasm` is one of the inputs: name another file

    Usage: withe compose [OPTIONS] --output <OUT> <SOCKET|FILE.wac>

    For more information, try '--help'.
    "#);
    assert_eq!(fs::read(sandbox.path("caller.wasm")).unwrap(), before);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let sandbox = parts()
        .component("empty.wasm", "(component)")
        .file("module.wasm", b"\0asm\x01\0\0\0");
    insta::assert_snapshot!(
        sandbox.run(&["compose", "--plug", "empty.wasm", "caller.wasm", "-o", "out.wasm"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0063]: `empty` satisfies no import: it exports nothing; imported are `shop:api/counter@1.0.0`
    "#);
    insta::assert_snapshot!(
        sandbox.run(&["compose", "--plug", "module.wasm", "gone.wasm", "-o", "out.wasm"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0051]: `gone.wasm` does not exist
     |
     = help: build the component first, or correct the path

    error[W0055]: `module.wasm` is a core WebAssembly module, not a component
     |
     = help: build for a component target (`cargo build --release --target wasm32-wasip2`), or turn the module into a component: `withe componentize module.wasm -o module.component.wasm`
    "#);
    assert!(!exists(&sandbox.path("out.wasm")));
    let left: Vec<_> = fs::read_dir(sandbox.path("."))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn command_lines_that_make_no_sense() {
    let sandbox = parts();
    insta::assert_snapshot!(sandbox.run(&["compose", "caller.wasm", "-o", "out.wasm"]), @r#"
    exit code: 2
    ----- stderr -----
    error: nothing to compose: give `--plug DEP` for each component to plug in, or a `.wac` file

    Usage: withe compose [OPTIONS] --output <OUT> <SOCKET|FILE.wac>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(
        sandbox.run(&["compose", "a.wac", "--plug", "counter.wasm", "-o", "out.wasm"]), @r#"
    exit code: 2
    ----- stderr -----
    error: `--plug` is for a socket: a `.wac` file takes its components with `--dep NAME=PATH`

    Usage: withe compose [OPTIONS] --output <OUT> <SOCKET|FILE.wac>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(
        sandbox.run(&["compose", "a.wac", "--dep", "counter.wasm", "-o", "out.wasm"]), @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value 'counter.wasm' for '--dep <NAME=PATH>': expected `NAME=PATH`, such as `shop:cart=cart.wasm`

    For more information, try '--help'.
    "#);
}
