//! `withe test`: tests that components export.

use std::fs;

use serde_json::Value;

use crate::support::process::Up;
use crate::support::{Folder, guest};

/// A component with this price.
fn prices(price: u32) -> String {
    format!(
        r#"(component
            (core module $m (func (export "get") (result i32) i32.const {price}))
            (core instance $i (instantiate $m))
            (func $get (result u32) (canon lift (core func $i "get")))
            (instance $prices (export "get" (func $get)))
            (export "t:shop/prices" (instance $prices)))"#
    )
}

/// Tests of it: one that it is 7, one that no test has run before in the same instance, and two that fail.
const TESTS: &str = r#"(component
    (import "t:shop/prices" (instance $prices (export "get" (func (result u32)))))
    (core func $get (canon lower (func $prices "get")))
    (core module $m
        (import "prices" "get" (func $get (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "the price is not 7")
        (global $calls (mut i32) (i32.const 0))
        (func (export "price") (result i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (if (i32.ne (call $get) (i32.const 7))
                (then
                    (i32.store8 (i32.const 0) (i32.const 1))
                    (i32.store (i32.const 4) (i32.const 64))
                    (i32.store (i32.const 8) (i32.const 18))))
            (i32.const 0))
        (func (export "fresh")
            (if (global.get $calls) (then unreachable))
            (global.set $calls (i32.const 1)))
        (func (export "traps") unreachable)
        (func (export "spins") (loop (br 0))))
    (core instance $i (instantiate $m (with "prices" (instance (export "get" (func $get))))))
    (func $price (result (result (error string)))
        (canon lift (core func $i "price") (memory (core memory $i "memory"))))
    (func $fresh (canon lift (core func $i "fresh")))
    (func $traps (canon lift (core func $i "traps")))
    (func $spins (canon lift (core func $i "spins")))
    (instance $tests
        (export "price" (func $price))
        (export "fresh" (func $fresh))
        (export "traps" (func $traps)))
    (export "t:shop/tests" (instance $tests))
    (export "test-fresh" (func $fresh))
    (export "spins" (func $spins))
    (export "test-spins" (func $spins)))"#;

fn shop() -> Folder {
    let folder = Folder::new();
    for (name, text) in [
        ("tests.wasm", TESTS.to_owned()),
        ("seven.wasm", prices(7)),
        ("eight.wasm", prices(8)),
    ] {
        fs::write(folder.path(name), wat::parse_str(text).unwrap()).unwrap();
    }
    folder
}

fn json(folder: &Folder, options: &[&str]) -> (Option<i32>, Value) {
    let arguments = ["test", "tests.wasm", "--link", "seven.wasm", "--json"];
    let ended = folder.run(&[&arguments, options].concat());
    let report = serde_json::from_str(&ended.stdout);
    let report = report.unwrap_or_else(|e| panic!("{e}: {ended:#?}"));
    (ended.code, report)
}

#[test]
fn tests_pass_fail_trap_and_take_too_long() {
    let folder = shop();
    // One that never ends is run alone: the others have no limit that a slow machine could reach.
    let (code, spun) = json(&folder, &["--filter=spins", "--timeout=1"]);
    assert_eq!((code, &spun["failed"]), (Some(1), &1.into()), "{spun:#}");
    let (code, report) = json(
        &folder,
        &["--filter=test-fresh", "--filter=tests#", "--timeout=300"],
    );
    assert_eq!(code, Some(1), "{report:#}");
    let mut tests = spun["tests"].as_array().unwrap().clone();
    tests.extend(report["tests"].as_array().unwrap().iter().cloned());
    tests.sort_by_key(|test| test["name"].as_str().map(str::to_owned));
    let found = tests.iter().map(|test| {
        let failure = test["failure"].as_str().unwrap_or_default();
        (test["name"].as_str().unwrap(), failure)
    });
    let found: Vec<_> = found.collect();
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "test-fresh",
            "test-spins",
            "tests#fresh",
            "tests#price",
            "tests#traps"
        ]
    );
    for (name, failure) in found {
        match name {
            "test-spins" => assert!(failure.contains("deadline"), "{failure}"),
            "tests#traps" => assert!(failure.contains("unreachable"), "{failure}"),
            _ => assert_eq!(failure, "", "{name}"),
        }
    }
    assert_eq!(
        (&report["passed"], &report["failed"]),
        (&3.into(), &1.into())
    );

    let ended = folder.run(&[
        "test",
        "tests.wasm",
        "--link=seven.wasm",
        "--filter=fresh",
        "-j1",
    ]);
    let printed = ended.printed();
    for line in [
        "running 2 tests of `tests`",
        "test test-fresh ... ok",
        "test result: ok. 2 passed; 0 failed; 3 filtered out; finished in ",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let listed = folder.run(&[
        "test",
        "tests.wasm",
        "--link=seven.wasm",
        "--list",
        "--filter=price",
    ]);
    assert_eq!(listed.printed(), "tests#price");
}

#[test]
fn an_interrupted_test_is_no_success() {
    let folder = shop();
    for options in [&[][..], &["--shared"]] {
        let arguments = [
            "test",
            "tests.wasm",
            "--link=seven.wasm",
            "--filter=fresh",
            "--filter=spins",
            "--timeout=300",
            "-j3",
        ];
        let up = Up::start(folder.command(&[&arguments, options].concat()));
        up.prints("running 3 tests");
        // The others run beside the one that never ends.
        up.prints("fresh");
        up.interrupt();
        let ended = up.ended();
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(ended.stderr.contains("interrupted"), "{ended:#?}");
        assert!(!ended.stdout.contains("test result"), "{ended:#?}");
    }
}

#[test]
fn links_lead_to_what_a_test_says() {
    let folder = shop();
    let mock = "--mock=t:shop/prices=eight.wasm";
    let (code, report) = json(&folder, &["--filter=price", mock]);
    assert_eq!(code, Some(1));
    let failure = report["tests"][0]["failure"].as_str().unwrap();
    assert_eq!(failure, "it returned err(\"the price is not 7\")");
    let ended = folder.run(&[
        "test",
        "tests.wasm",
        "--link=seven.wasm",
        "--filter=price",
        mock,
        "--junit=report.xml",
    ]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("---- tests#price failed ----"),
        "{ended:#?}"
    );
    let xml = fs::read_to_string(folder.path("report.xml")).unwrap();
    assert!(
        xml.contains("<failure message=\"it returned err(&quot;the price"),
        "{xml}"
    );

    let wrong = |option: &str| {
        let ended = folder.run(&["test", "tests.wasm", "--link=seven.wasm", option]);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        ended.stderr
    };
    assert!(
        wrong("--mock=t:shop/price=eight.wasm").contains("there are imports of `t:shop/prices`")
    );
    assert!(wrong("--mock=t:shop=memory").contains("name a component: `t:shop=MOCK.wasm`"));
    assert!(wrong("--mock=prices=eight.wasm").contains("NAMESPACE:PACKAGE"));
    let none = folder.run(&["test", "seven.wasm"]);
    none.failed(&["there are no tests"]);
}

#[test]
fn a_manifest_may_have_tests_and_a_command_be_one() {
    let folder = shop();
    folder.write(
        "tests.yaml",
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n\
         \x20   - {name: prices, type: component, properties: {image: ./seven.wasm}}\n\
         \x20   - name: checks\n      type: component\n      properties: {image: ./tests.wasm}\n\
         \x20     traits: [{type: link, properties: {target: prices, binding: local}}]\n",
    );
    for options in [&[][..], &["--shared"]] {
        let arguments = ["test", "tests.yaml", "--filter=price", "--filter=fresh"];
        let ended = folder.run(&[&arguments, options].concat());
        let printed = ended.printed();
        assert!(
            printed.contains("test checks:tests#price ... ok"),
            "{printed}"
        );
        assert!(printed.contains("3 passed"), "{printed}");
    }
    let ended = folder.run(&["test", "tests.yaml", "prices"]);
    ended.failed(&["there are no tests"]);
    let ended = folder.run(&["test", "tests.yaml", "--mock=t:shop/prices=eight.wasm"]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");

    let command = guest("command").display().to_string();
    let ended = folder.run(&["test", &command]);
    assert!(ended.printed().contains("test run ... ok"), "{ended:#?}");
}
