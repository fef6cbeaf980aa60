//! Identity is never merged: what each component sees is its own, however it is linked.

use crate::support::Folder;
use crate::support::manifest::{application, component, provider};

const REPORT: &str = "t:identity/run#report()";

/// Two components with different configuration, environment and key-value stores, the first linked to
/// the second. The stores are files.
fn two(binding: &str) -> String {
    let who = |name: &str, who: &str| {
        format!(
            "config: [{{name: of-{name}, properties: {{who: {who}}}}}], grants: {{env: {{WHO: {who}}}}}"
        )
    };
    let store = |name: &str| {
        format!(
            "target: {{name: keyvalue, config: [{{name: file-{name}, properties: {{path: {name}.redb}}}}]}}"
        )
    };
    let other = format!("target: b, binding: {binding}");
    application(&[
        component(
            "a",
            "identity-a",
            &who("a", "alice"),
            &[&other, &store("a")],
        ),
        component("b", "identity-b", &who("b", "bob"), &[&store("b")]),
        provider("keyvalue", "", &[]),
    ])
}

/// The components' report when `a` and `b` were the last in their stores.
fn report(a: &str, b: &str) -> String {
    let lines = [
        ("a", "alice", a),
        ("b", "bob", b),
    ]
    .map(|(me, who, last)| {
        format!(
            r#""{me} config who: Ok(Some(\"{who}\"))", "{me} env WHO: Some(\"{who}\")", "{me} keyvalue last: Ok({last})""#
        )
    });
    format!("[{}]", lines.join(", "))
}

#[test]
fn each_component_sees_its_own_and_files_keep_it() {
    for binding in ["fused", "local"] {
        let folder = Folder::with(&two(binding));
        let first = folder.call("a", REPORT);
        assert_eq!(first.printed(), report("None", "None"), "{binding}");
        // Each finds its own mark, which outlived the process.
        let second = folder.call("a", REPORT);
        let marks = report(r#"Some(\"a\")"#, r#"Some(\"b\")"#);
        assert_eq!(second.printed(), marks, "{binding}");
    }
}

#[test]
fn log_lines_carry_the_name_of_the_component_that_wrote_them() {
    for binding in ["fused", "local"] {
        let ended = Folder::with(&two(binding)).run(&["-v", "call", "app.yaml", "a", REPORT]);
        ended.printed();
        for (me, other) in [("a", "b"), ("b", "a")] {
            let text = format!("{me} was asked");
            let line = ended.stderr.lines().find(|line| line.contains(&text));
            let line = line.unwrap_or_else(|| panic!("{binding}: no {text:?} in {ended:#?}"));
            assert!(
                line.contains(&format!("component=\"{me}\"")),
                "{binding}: {line}"
            );
            assert!(
                !line.contains(&format!("component=\"{other}\"")),
                "{binding}: {line}"
            );
        }
    }
}

#[test]
fn links_of_one_interface_are_told_apart_by_name() {
    let link = |name: &str| {
        format!(
            "name: {name}, namespace: wasi, package: keyvalue, interfaces: [store], \
             target: {{name: keyvalue, config: [{{name: file-{name}, properties: {{path: {name}.redb}}}}]}}"
        )
    };
    let folder = Folder::with(&application(&[
        component(
            "names",
            "lattice-names",
            "",
            &[&link("default"), &link("cache"), &link("archive")],
        ),
        provider("keyvalue", "", &[]),
    ]));
    let ended = folder.call(
        "names",
        r#"t:names/run#run(["default", "cache", "archive"])"#,
    );
    assert_eq!(
        ended.printed(),
        r#"["default: default", "cache: cache", "archive: archive"]"#
    );
}
