//! Components without a manifest: what is said of them before anything runs.

use crate::sandbox::{CALLER, COUNTER, Sandbox};

fn sandbox() -> Sandbox {
    Sandbox::shop("127.0.0.1:0")
        .component("caller.wasm", CALLER)
        .component("counter.wasm", COUNTER)
}

#[test]
fn the_manifest_that_says_the_same() {
    let sandbox = sandbox();
    let arguments = [
        "up",
        "front.wasm",
        "--emit-manifest",
        "--link",
        "counter.wasm",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        "./data::/data",
        "--env",
        "LANG=de",
        "--config",
        "a=b",
        "--network",
        "--provider",
        "keyvalue=backend:memory,bucket:it",
    ];
    insta::assert_snapshot!(sandbox.run(&arguments));
    let check = [
        "check",
        "front.wasm",
        "--plug",
        "counter.wasm",
        "--emit-manifest",
    ];
    insta::assert_snapshot!(sandbox.run(&check));
}

#[test]
fn what_is_checked_and_planned_without_a_manifest() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run(&["check", "front.wasm", "--link", "counter.wasm"]), @"
    exit code: 0
    ----- stdout -----
    front.wasm: 3 components and 2 links, no errors
    ");
    insta::assert_snapshot!(sandbox.run(&["plan", "front.wasm", "--link", "counter.wasm"]));
    insta::assert_snapshot!(sandbox.run(&["check", "front.wasm"]));
    insta::assert_snapshot!(sandbox.run(&["check", "caller.wasm", "--provider", "keyvalu"]));
}

#[test]
fn what_is_saved_links_elsewhere() {
    let sandbox = sandbox();
    let saved = sandbox.run(&[
        "check",
        "caller.wasm",
        "--plug",
        "counter.wasm",
        "--save-dir",
        "saved",
    ]);
    assert!(saved.starts_with("exit code: 0"), "{saved}");
    let again = sandbox.run(&["check", "saved/manifest.yaml"]);
    assert!(again.starts_with("exit code: 0"), "{again}");
}

#[test]
fn options_that_make_no_sense() {
    let sandbox = sandbox();
    for arguments in [
        &["up", "shop.yaml", "--link", "counter.wasm"][..],
        &["up", "shop.yaml", "--listen", "127.0.0.1:1"],
        &["up", "shop.yaml", "--", "a"],
        &["up", "front.wasm", "--link", "counter.wasm", "--", "a"],
        &["up", "counter.wasm"],
    ] {
        insta::assert_snapshot!(
            arguments.join("_").replace(['.', ':', '/'], "-"),
            sandbox.run(arguments)
        );
    }
}
