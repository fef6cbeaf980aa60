//! `withe new`: what it makes builds, passes its test, and runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::sandbox::{Sandbox, exists};

/// Cargo, in a folder that was made: offline, with what the components for tests were built with, and where they
/// were.
fn cargo(folder: &Path, args: &[&str]) -> Output {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests");
    let target = match std::env::var_os("WITHE_GUESTS_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder).join("guests"),
        None => guests.join("target"),
    };
    let mut command = Command::new(env!("CARGO"));
    command.args(args).arg("--offline").current_dir(folder);
    command.env("CARGO_TARGET_DIR", target);
    // The cargo that runs this test has set these.
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{args:?} in {}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Makes it, and has cargo check that it builds and run its test.
fn made(sandbox: &Sandbox, name: &str, template: &str) {
    let shown = sandbox.run(&["new", name, "--template", template]);
    assert!(shown.starts_with("exit code: 0\n"), "{shown}");
    let folder = sandbox.path(name);
    if exists(&folder.join("app.yaml")) {
        let manifest = format!("{name}/app.yaml");
        let shown = sandbox.run(&["check", &manifest]);
        // Only what is not built yet is missing.
        assert_eq!(
            shown.matches("error[").count(),
            shown.matches("error[W0051]").count(),
            "{shown}"
        );
    }
    cargo(&folder, &["check", "--target", "wasm32-wasip2"]);
    cargo(&folder, &["test"]);
}

#[test]
fn what_is_made_builds_and_passes_its_test() {
    let sandbox = Sandbox::new();
    // Names of their own: all are built in one folder.
    made(&sandbox, "new-service", "http");
    made(&sandbox, "new-library", "library");
    made(&sandbox, "new-pair", "composed");
    made(&sandbox, "new-shop", "application");
}

/// Makes it in a language.
fn new(sandbox: &Sandbox, name: &str, template: &str, language: &str) {
    let shown = sandbox.run(&["new", name, "--template", template, "--language", language]);
    assert!(shown.starts_with("exit code: 0\n"), "{shown}");
}

/// Builds all parts of an application that was made.
fn build(sandbox: &Sandbox, name: &str) {
    let mut command = sandbox.command(&["build", &format!("{name}/app.yaml")]);
    // A manifest names the folder that cargo has without this variable.
    command.env_remove("CARGO_TARGET_DIR");
    command.env("CARGO_NET_OFFLINE", "true");
    let built = command.output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}

/// The tools that build it are not on every machine.
#[test]
fn python_passes_its_test_and_is_built_where_that_can_be() {
    let sandbox = Sandbox::new();
    for (name, template, tested) in [
        ("py-service", "http", "py-service"),
        ("py-shop", "application", "py-shop/front"),
    ] {
        new(&sandbox, name, template, "python");
        let python = Command::new("python3")
            .args(["-m", "unittest"])
            .current_dir(sandbox.path(tested))
            .output();
        if let Ok(tested) = python {
            assert!(
                tested.status.success(),
                "{}",
                String::from_utf8_lossy(&tested.stderr)
            );
        }
        if is_there("componentize-py") {
            build(&sandbox, name);
        }
    }
    // The other part of the application.
    cargo(&sandbox.path("py-shop"), &["test"]);
    let shown = sandbox.run(&[
        "new",
        "other",
        "--language",
        "python",
        "--template",
        "library",
    ]);
    assert!(shown.starts_with("exit code: 2\n"), "{shown}");
}

/// `componentize-js` says of a mistake in syntax that there is one, and not where: Node looks at each file first, and does.
fn names_lines(folder: &Path) {
    let package = std::fs::read_to_string(folder.join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    let looked_at = package["scripts"]["prebuild"].as_str().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".js") && !name.ends_with(".test.js") {
            let look = format!("node --check {name}");
            assert!(looked_at.contains(&look), "{name}: {looked_at}");
        }
    }
}

/// Tests do not fetch the tools from npm: the templates are built where `componentize-js` and `tsc` are installed.
#[test]
fn javascript_passes_its_test_and_is_built_where_that_can_be() {
    let sandbox = Sandbox::new();
    for (name, template, language, folder, tools) in [
        (
            "js-service",
            "http",
            "javascript",
            "js-service",
            &["componentize-js"][..],
        ),
        (
            "js-shop",
            "application",
            "javascript",
            "js-shop/front",
            &["componentize-js"],
        ),
        (
            "ts-service",
            "http",
            "typescript",
            "ts-service",
            &["componentize-js", "tsc"],
        ),
        (
            "ts-shop",
            "application",
            "typescript",
            "ts-shop/front",
            &["componentize-js", "tsc"],
        ),
    ] {
        new(&sandbox, name, template, language);
        if language == "javascript" && is_there("node") {
            let tested = Command::new("node")
                .arg("--test")
                .current_dir(sandbox.path(folder))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&tested.stdout);
            assert!(tested.status.success(), "{said}");
        }
        if language == "javascript" {
            names_lines(&sandbox.path(folder));
        }
        if language == "typescript" {
            // Node takes a folder for a module since version 22.
            let package =
                std::fs::read_to_string(sandbox.path(folder).join("package.json")).unwrap();
            let package: serde_json::Value = serde_json::from_str(&package).unwrap();
            let script = package["scripts"]["test"].as_str().unwrap();
            let (_, tests) = script.split_once("node --test ").unwrap();
            assert!(sandbox.path(folder).join(tests).is_file(), "{script}");
        }
        if !is_there("npm") || !tools.iter().all(|tool| is_there(tool)) {
            eprintln!("skipped: {language} is not built without npm and {tools:?}");
            continue;
        }
        build(&sandbox, name);
    }
}

/// Tests fetch no tools: the templates are built where a compiler, `wit-bindgen` and `wasm-tools` are installed.
#[test]
fn c_passes_its_test_and_is_built_where_that_can_be() {
    let sandbox = Sandbox::new();
    let has_zig = is_there("python-zig") || is_there("zig");
    for (name, template, folder) in [
        ("c-service", "http", "c-service"),
        ("c-shop", "application", "c-shop/front"),
    ] {
        new(&sandbox, name, template, "c");
        let make = |args: &[&str]| {
            let mut command = Command::new("make");
            let made = command
                .args(args)
                .current_dir(sandbox.path(folder))
                .output();
            let made = made.unwrap();
            let said = String::from_utf8_lossy(&made.stderr);
            assert!(made.status.success(), "{said}");
        };
        if is_there("make") {
            // The code that is not bindings is that of any C compiler.
            match (has_zig, is_there("cc")) {
                (true, _) => make(&["test"]),
                (false, true) => make(&["test", "ZIG=", "CC_HERE=cc"]),
                (false, false) => {}
            }
        }
        let tools = ["make", "wit-bindgen", "wasm-tools"];
        if !has_zig || !tools.iter().all(|tool| is_there(tool)) {
            eprintln!("skipped: C is not built without ziglang and {tools:?}");
            continue;
        }
        build(&sandbox, name);
    }
    cargo(&sandbox.path("c-shop"), &["test"]);
}

/// The module that generated Go uses, as the crate of the generator has it: tests fetch none.
fn module_of_go() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    let crates = registries.filter_map(|registry| Some(registry.ok()?.path()));
    let mut modules = crates.map(|crates| crates.join("wit-bindgen-go-0.63.0/src/pkg"));
    modules.find(|module| module.is_dir())
}

/// Tests fetch no tools: the templates are built where Go and a `wit-bindgen` with its generator are installed.
#[test]
fn go_passes_its_test_and_is_built_where_that_can_be() {
    let sandbox = Sandbox::new();
    let generates = Command::new("wit-bindgen").args(["go", "--help"]).output();
    let generates = generates.is_ok_and(|shown| shown.status.success());
    for (name, template, folder) in [
        ("go-service", "http", "go-service"),
        ("go-shop", "application", "go-shop/front"),
    ] {
        new(&sandbox, name, template, "go");
        if !is_there("make") || !is_there("go") {
            eprintln!("skipped: Go is neither tested nor built without make and go");
            continue;
        }
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
            let ran = command
                .args(args)
                .current_dir(sandbox.path(folder))
                .output();
            let ran = ran.unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{said}");
        };
        run("make", &["test"]);
        let (true, Some(module)) = (generates, module_of_go()) else {
            eprintln!(
                "skipped: Go is not built without a `wit-bindgen` that has `go`, and its sources"
            );
            continue;
        };
        let replaced = format!("go.bytecodealliance.org/pkg={}", module.display());
        run("go", &["mod", "edit", "-replace", &replaced]);
        build(&sandbox, name);
    }
}

#[test]
fn a_provider_is_made() {
    let sandbox = Sandbox::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let sdk = sources.to_str().unwrap();
    let shown = sandbox.run(&[
        "new",
        "new-provider",
        "--template",
        "provider",
        "--sdk",
        sdk,
    ]);
    assert!(shown.starts_with("exit code: 0\n"), "{shown}");
    // To build the SDK once more takes minutes; what the template has of Rust the example of a provider has, too.
    let folder = sandbox.path("new-provider");
    let metadata = cargo(&folder, &["metadata", "--format-version", "1", "--no-deps"]);
    assert!(String::from_utf8_lossy(&metadata.stdout).contains("withe-provider"));
    assert!(exists(&folder.join("src/main.rs")));
}

#[test]
fn what_cannot_be_made_says_why() {
    let sandbox = Sandbox::new().file("taken/file", "");
    for (args, said) in [
        (&["new", "My_App"][..], "is not a name"),
        (&["new", "2nd"], "is not a name"),
        (&["new", "loop"], "a word of Rust's own"),
        (&["new", "taken"], "is there already"),
        (&["new", "a", "--sdk", "."], "leave out `--sdk`"),
        (
            &["new", "a", "--template", "library", "--language", "ts"],
            "in TypeScript there is only `--template http` and `--template application`",
        ),
        (
            &["new", "a", "--template", "provider", "--sdk", "."],
            "has no `crates/withe-provider`",
        ),
    ] {
        let shown = sandbox.run(args);
        assert!(
            !shown.starts_with("exit code: 0") && shown.contains(said),
            "{args:?}: {shown}"
        );
    }
    assert!(!exists(&sandbox.path("a")));
}
