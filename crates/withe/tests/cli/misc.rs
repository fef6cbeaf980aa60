//! Tests the options that all subcommands share, and the small subcommands.

use std::io::Read as _;
use std::process::Stdio;

use crate::sandbox::{COUNTER, Sandbox};

#[test]
fn codes_are_explained() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["explain", "w0055"]), @r#"
    exit code: 0
    ----- stdout -----
    ## W0055: core module, not a component

    The file is a core WebAssembly module. A core module has no WIT interface, only functions over
    numbers, so there is nothing that a link could check or connect.

    Build for a component target instead:

    ```console
    cargo build --release --target wasm32-wasip2
    ```

    or turn the module into a component, if it was built with the WIT bindings of a component:

    ```console
    withe componentize module.wasm -o component.wasm
    ```

    Imports of WASI 0.1 (`wasi_snapshot_preview1`) become imports of WASI 0.2. `--wit` names the WIT of a
    module that has none in it.
    "#);
    insta::assert_snapshot!(sandbox.run(&["explain", "W9999"]), @r#"
    exit code: 1
    ----- stderr -----
    error: there is no code `W9999`: `withe explain` lists those there are
    "#);
    let all = sandbox.run(&["explain"]);
    assert!(
        all.contains("W0001  ") && all.contains("W0055  core module, not a component\n"),
        "{all}"
    );
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Sandbox::new().run(&["completions", shell]);
        assert!(
            script.starts_with("exit code: 0\n") && script.contains("inspect"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn the_doctor_says_what_is_in_the_way_and_what_mends_it() {
    let sandbox = Sandbox::new();
    let found = sandbox.run(&["doctor", "--json"]);
    let json = found.split_once("----- stdout -----\n").unwrap().1;
    let json = json.split("----- stderr -----").next().unwrap();
    let found: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    assert!(
        found
            .iter()
            .any(|finding| finding["what"] == "compiled code"),
        "{found:?}"
    );
    for finding in &found {
        let is_fine = finding["level"] == "fine";
        assert_eq!(finding.get("mend").is_none(), is_fine, "{finding}");
    }
    let away = sandbox.run(&["doctor", "--lattice", "nats://127.0.0.1:1"]);
    assert!(away.starts_with("exit code: 1\n"), "{away}");
    assert!(
        away.contains("lattice: start a NATS server there"),
        "{away}"
    );
}

#[test]
fn no_command_is_a_usage_error() {
    assert!(Sandbox::new().run(&[]).starts_with("exit code: 2\n"));
    assert!(Sandbox::new().run(&["chekc"]).contains("'check'"));
}

#[test]
fn colour_is_what_was_asked_for() {
    let sandbox = Sandbox::new().file("module.wasm", b"\0asm\x01\0\0\0");
    assert!(
        sandbox
            .run(&["--color", "always", "inspect", "module.wasm"])
            .contains("\u{1b}[")
    );
    assert!(!sandbox.run(&["inspect", "module.wasm"]).contains("\u{1b}["));
}

#[test]
fn a_log_filter_that_is_none_is_refused() {
    insta::assert_snapshot!(Sandbox::new().run(&["--log", "a=b=c", "explain"]), @r#"
    exit code: 2
    ----- stderr -----
    error: invalid value 'a=b=c' for '--log <FILTER>': expected a filter such as `warn,withe_runtime=debug`

    For more information, try '--help'.
    "#);
}

/// The reader goes away before the command writes.
#[test]
fn nobody_reading_on_is_no_failure() {
    let sandbox = Sandbox::new().component("counter.wasm", COUNTER);
    let mut child = sandbox
        .command(&["explain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
