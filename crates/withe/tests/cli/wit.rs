//! `withe wit`: what is put into a component's `wit/deps`, and whether it is still that.

use std::fs;

use crate::sandbox::{CALLER, COUNTER, Sandbox, exists};

fn shop() -> Sandbox {
    let component = |name: &str, file: &str| {
        format!(
            "    - name: {name}\n      type: component\n      properties:\n        image: ./{file}.wasm\n"
        )
    };
    let link =
        "      traits:\n        - type: link\n          properties:\n            target: counter\n";
    let manifest = format!(
        "{}{link}{}",
        component("caller", "caller"),
        component("counter", "counter")
    );
    Sandbox::new()
        .manifest(&manifest)
        .component("counter.wasm", COUNTER)
        .component("caller.wasm", CALLER)
}

#[test]
fn packages_are_added_with_all_that_they_use_in_the_version_of_a_language() {
    let sandbox = Sandbox::new();
    let added = sandbox.run(&["wit", "add", "wasi:http", "--language", "javascript"]);
    assert!(added.starts_with("exit code: 0"), "{added}");
    for package in ["wasi:http@0.2.10", "wasi:io@0.2.10", "wasi:clocks@0.2.10"] {
        assert!(added.contains(&format!("{package}: added")), "{added}");
    }
    let http = fs::read_to_string(sandbox.path("wit/deps/wasi-http-0.2.10/package.wit")).unwrap();
    assert!(http.starts_with("package wasi:http@0.2.10;"), "{http}");

    // Packages asked for before stay, in the version that they had.
    let added = sandbox.run(&["wit", "add", "withe:messaging"]);
    assert!(added.contains("wasi:http@0.2.10: as before"), "{added}");
    assert!(
        added.contains("wasmcloud:messaging@0.2.0: added"),
        "{added}"
    );
    let updated = sandbox.run(&["wit", "update", "--wasi", "0.2.6"]);
    assert!(updated.contains("wasi:http@0.2.6: added"), "{updated}");
    assert!(updated.contains("wasi:http@0.2.10: removed"), "{updated}");
    assert!(!exists(&sandbox.path("wit/deps/wasi-http-0.2.10")));
}

#[test]
fn a_part_of_an_application_gives_what_it_exports() {
    let sandbox = shop();
    let added = sandbox.run(&["wit", "add", "./shop.yaml", "counter"]);
    assert!(added.contains("shop:api@1.0.0: added"), "{added}");
    let text = fs::read_to_string(sandbox.path("wit/deps/shop-api-1.0.0/package.wit")).unwrap();
    assert!(
        text.contains("interface counter") && text.contains("next: func() -> u32;"),
        "{text}"
    );
    let shown = sandbox.run(&["wit", "show", "./shop.yaml", "counter"]);
    assert!(shown.contains("interface counter"), "{shown}");

    // Each request that leads nowhere is named, and nothing is written.
    let before = fs::read(sandbox.path("wit/wit.lock")).unwrap();
    let refused = sandbox.run(&[
        "wit",
        "add",
        "./shop.yaml",
        "cart",
        "caller",
        "nothing:nothing",
    ]);
    assert!(refused.starts_with("exit code: 1"), "{refused}");
    for text in [
        "has no part `cart`",
        "exports no interface",
        "no package `nothing:nothing`",
        "no registry is known for `nothing`",
    ] {
        assert!(refused.contains(text), "{text}: {refused}");
    }
    assert_eq!(fs::read(sandbox.path("wit/wit.lock")).unwrap(), before);
}

#[test]
fn what_is_there_is_checked_against_the_lock_and_not_replaced_unasked() {
    let sandbox = shop();
    let none = sandbox.run(&["wit", "check"]);
    assert!(
        none.starts_with("exit code: 1") && none.contains("withe wit add"),
        "{none}"
    );
    sandbox.run(&["wit", "add", "counter.wasm"]);
    let same = sandbox.run(&["wit", "check"]);
    assert!(
        same.starts_with("exit code: 0") && same.contains("1 package"),
        "{same}"
    );

    let path = sandbox.path("wit/deps/shop-api-1.0.0/package.wit");
    fs::write(&path, "package shop:api@1.0.0;").unwrap();
    let changed = sandbox.run(&["wit", "check", "--json"]);
    assert!(changed.starts_with("exit code: 1"), "{changed}");
    assert!(changed.contains("\"state\": \"changed\""), "{changed}");
    let refused = sandbox.run(&["wit", "update"]);
    assert!(refused.contains("--force"), "{refused}");
    let replaced = sandbox.run(&["wit", "update", "--force"]);
    assert!(replaced.contains("shop:api@1.0.0: changed"), "{replaced}");
    assert!(sandbox.run(&["wit", "check"]).starts_with("exit code: 0"));
}

#[test]
fn what_comes_with_the_command_is_listed_and_shown() {
    let sandbox = Sandbox::new();
    let listed = sandbox.run(&["wit", "show"]);
    for package in [
        "wasi:http@0.2.12",
        "wasi:keyvalue@0.2.0-draft",
        "wasmcloud:postgres",
    ] {
        assert!(listed.contains(package), "{listed}");
    }
    let shown = sandbox.run(&["wit", "show", "wasi:logging"]);
    assert!(shown.contains("interface logging"), "{shown}");
    let unknown = sandbox.run(&["wit", "show", "withe:nothing"]);
    assert!(
        unknown.starts_with("exit code: 1") && unknown.contains("`withe:keyvalue`"),
        "{unknown}"
    );
}
