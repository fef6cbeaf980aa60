//! Plugging, held against what `wac-graph` makes of the same components where that can do it.

mod support;

use support::*;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};
use withe_compose::{LinkError, PlugProblem, plug, plug_names};

const SOCKET: &str = "
    import wasi:cli/stdout@0.2.6;
    import app:visits/types@1.0.0;
    import app:visits/visits@1.0.0;
    export app:visits/run@1.0.0;";

fn try_plug(socket: &[u8], plugs: &[(&str, &[u8])]) -> Result<Vec<u8>, Vec<PlugProblem>> {
    let plugs: Vec<_> = plugs
        .iter()
        .map(|(name, bytes)| (name.to_string(), bytes.to_vec()))
        .collect();
    plug(("the socket", socket), &plugs).map_err(|e| e.problems)
}

fn plug_valid(socket: &[u8], plugs: &[(&str, &[u8])]) -> Vec<u8> {
    let composed = try_plug(socket, plugs).unwrap_or_else(|e| panic!("{e:?}"));
    assert_valid(&composed);
    assert_eq!(
        composed,
        try_plug(socket, plugs).unwrap(),
        "the same input gives the same bytes"
    );
    composed
}

fn plug_with_wac(socket: &[u8], plugs: &[(&str, &[u8])]) -> Vec<u8> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, bytes: &[u8]| {
        let package = Package::from_bytes(name, None, bytes.to_vec(), graph.types_mut()).unwrap();
        graph.register_package(package).unwrap()
    };
    let socket = register("test:socket", socket);
    let plugs = plugs
        .iter()
        .map(|(name, bytes)| register(&format!("test:{name}"), bytes))
        .collect();
    wac_graph::plug(&mut graph, plugs, socket).unwrap();
    graph
        .encode(EncodeOptions {
            define_components: true,
            validate: false,
            processor: None,
        })
        .unwrap()
}

/// Both leave the same imports and exports, whatever their order.
fn assert_as_wac(socket: &[u8], plugs: &[(&str, &[u8])]) {
    let (ours, theirs) = (plug_valid(socket, plugs), plug_with_wac(socket, plugs));
    assert_valid(&theirs);
    let sorted = |bytes: &[u8]| {
        let (mut imports, mut exports) = externs(bytes);
        imports.sort();
        exports.sort();
        let mut items = import_items(bytes);
        items.sort();
        (imports, exports, items)
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
}

#[test]
fn agrees_with_wac() {
    let visits = "export app:visits/types@1.0.0; export app:visits/visits@1.0.0;";
    let newer = "export app:visits/types@1.2.0; export app:visits/visits@1.2.0;";
    let kv = "import wasi:keyvalue/store@0.2.0-draft; import wasi:keyvalue/atomics@0.2.0-draft;";
    let cases: Vec<(&str, Vec<String>)> = vec![
        (SOCKET, vec![visits.into()]),
        (SOCKET, vec![newer.into()]),
        (SOCKET, vec![format!("{visits} {kv}")]),
        (
            SOCKET,
            vec![format!("{visits} import wasi:cli/stdout@0.2.6; {kv}")],
        ),
        (
            SOCKET,
            vec![format!("{visits} import wasi:io/streams@0.2.0;")],
        ),
        (
            "import app:visits/run@1.0.0; import app:visits/pipe@1.0.0; export run: func();",
            vec![
                "export app:visits/run@1.0.0;".into(),
                "export app:visits/pipe@1.0.0; import wasi:cli/stdout@0.2.6;".into(),
            ],
        ),
        (
            "import app:visits/run@1.0.0; import wasi:http/types@0.2.6; export wasi:http/incoming-handler@0.2.6;",
            vec!["import wasi:http/outgoing-handler@0.2.6; export app:visits/run@1.0.0;".into()],
        ),
        (
            "import app:visits/ticks@1.0.0; export run: async func() -> stream<string>;",
            vec!["import wasi:cli/stdout@0.3.0; export app:visits/ticks@1.0.0;".into()],
        ),
        (
            "import log: func(line: string);",
            vec!["export log: func(line: string);".into()],
        ),
    ];
    for (socket, plugs) in cases {
        let names: Vec<_> = (0..plugs.len()).map(|i| format!("plug{i}")).collect();
        let plugs: Vec<_> = plugs.iter().map(|items| component(items)).collect();
        let plugs: Vec<_> = names
            .iter()
            .zip(&plugs)
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect();
        assert_as_wac(&component(socket), &plugs);
    }
}

#[test]
fn plugs_satisfy_each_other() {
    let run = component(
        "import app:visits/types@1.0.0; import app:visits/visits@1.0.0; export app:visits/run@1.0.0;",
    );
    let visits = component(
        "import wasi:config/store@0.2.0-draft; export app:visits/types@1.0.0; export app:visits/visits@1.0.0;",
    );
    let socket = component("import app:visits/run@1.0.0; export run: func();");
    for plugs in [
        [("run", &run[..]), ("visits", &visits[..])],
        [("visits", &visits[..]), ("run", &run[..])],
    ] {
        let composed = plug_valid(&socket, &plugs);
        assert_eq!(import_names(&composed), ["wasi:config/store@0.2.0-draft"]);
        assert_eq!(export_names(&composed), ["run"]);
    }
}

#[test]
fn a_plug_in_between_keeps_the_import_of_what_it_exports() {
    let handler = "wasi:http/incoming-handler@0.2.6";
    let between = component(&format!("import {handler}; export {handler};"));
    let socket = component(&format!("import {handler}; export {handler};"));
    let composed = plug_valid(&socket, &[("between", &between)]);
    assert!(import_names(&composed).contains(&handler.to_owned()));
}

#[test]
fn the_very_release_is_preferred_then_the_newest() {
    let interface = |version: &str| format!("(export \"a:b/c@{version}\" (instance $i))");
    let both = |versions: &[&str]| {
        let exports: String = versions.iter().map(|v| interface(v)).collect();
        wat(&format!("(component (instance $i) {exports})"))
    };
    let socket = wat(r#"(component (import "a:b/c@1.1.0" (instance)))"#);
    for (versions, want) in [
        (&["1.0.0", "1.1.0", "1.2.0"][..], "a:b/c@1.1.0"),
        (&["1.0.0", "1.10.0", "1.9.0"], "a:b/c@1.10.0"),
        (&["1.0.0"], "a:b/c@1.0.0"),
    ] {
        let composed = plug_valid(&socket, &[("plug", &both(versions))]);
        let mut taken = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(&composed) {
            if let wasmparser::Payload::ComponentAliasSection(section) = payload.unwrap() {
                for alias in section {
                    if let wasmparser::ComponentAlias::InstanceExport { name, .. } = alias.unwrap()
                    {
                        taken.push(name.to_owned());
                    }
                }
            }
        }
        assert_eq!(taken, [want]);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let socket = component(SOCKET);
    let wrong = wat(r#"(component
        (core module $m (func (export "f") (param i32 i32) (result i64) unreachable)
            (memory (export "m") 1) (func (export "r") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (alias core export $i "f" (core func $f))
        (alias core export $i "m" (core memory $mem))
        (alias core export $i "r" (core func $r))
        (func $count (param "path" string) (result u64)
            (canon lift (core func $f) (memory $mem) (realloc $r)))
        (instance $v (export "count" (func $count)))
        (export "app:visits/visits@1.0.0" (instance $v)))"#);
    let types = component("export app:visits/types@1.0.0;");
    let useless = component("export wasi:config/store@0.2.0-draft;");
    let problems = try_plug(
        &socket,
        &[
            ("wrong", &wrong),
            ("types", &types),
            ("again", &types),
            ("useless", &useless),
        ],
    )
    .unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "`types`, `again` all export what `the socket` imports as `app:visits/types@1.0.0`; leave out all \
             but one",
            "`useless` satisfies no import: it exports `wasi:config/store@0.2.0-draft`; imported are \
             `wasi:io/error@0.2.6`, `wasi:io/streams@0.2.6`, `wasi:cli/stdout@0.2.6`",
            "`app:visits/visits@1.0.0` of `wrong` cannot satisfy the import `app:visits/visits@1.0.0` of \
             `the socket`: `visit`: expected a value type, found nothing of that name",
        ]
    );
}

#[test]
fn bytes_that_are_no_components_are_named() {
    let socket = component(SOCKET);
    let problems = try_plug(
        b"",
        &[
            ("text", b"text"),
            ("module", &wat("(module)")),
            ("fine", &socket),
        ],
    );
    let texts: Vec<_> = problems
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(
        texts[0].starts_with("cannot compose `the socket`: this is not a valid component"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("cannot compose `text`: this is not a valid component"),
        "{texts:?}"
    );
    assert_eq!(
        texts[2],
        "cannot compose `module`: this is a core WebAssembly module, not a component"
    );
    assert_eq!(try_plug(&socket, &[]).unwrap_err(), [PlugProblem::NoPlugs]);
}

#[test]
fn one_label_for_two_interfaces_is_refused() {
    let socket =
        component("import cache: wasi:keyvalue/store@0.2.0-draft; import app:visits/run@1.0.0;");
    let plug =
        component("import cache: wasi:config/store@0.2.0-draft; export app:visits/run@1.0.0;");
    let problems = try_plug(&socket, &[("plug", &plug)]).unwrap_err();
    assert!(
        matches!(&problems[..], [PlugProblem::Link(LinkError::Labels { label, .. })] if label == "cache"),
        "{problems:?}"
    );
}

#[test]
fn plugs_that_need_each_other_are_refused() {
    let socket = component("import app:visits/run@1.0.0;");
    let a = component("import app:visits/pipe@1.0.0; export app:visits/run@1.0.0;");
    let b = component("import app:visits/run@1.0.0; export app:visits/pipe@1.0.0;");
    let problems = try_plug(&socket, &[("a", &a), ("b", &b)]).unwrap_err();
    assert!(
        matches!(&problems[..], [PlugProblem::Link(LinkError::Cycle { .. })]),
        "{problems:?}"
    );
}

/// Exact versions go before compatible ones, as for links.
#[test]
fn a_plug_with_the_very_version_goes_before_one_with_a_compatible_one() {
    let packages = "
        package t:t@0.2.0 { interface x { v: func(); } }
        package t:t@0.2.1 { interface x { v: func(); } }";
    let component = |items: &str| component_with(items, packages).unwrap();
    // Made of text: tools make one import of two that are compatible.
    let import = |version| format!("(import \"t:t/x@{version}\" (instance (export \"v\" (func))))");
    let socket = format!("(component {} {})", import("0.2.0"), import("0.2.1"));
    let socket = wat(&socket);
    let (old, new) = (
        component("export t:t/x@0.2.0;"),
        component("export t:t/x@0.2.1;"),
    );
    let composed = plug_valid(&socket, &[("new", &new), ("old", &old)]);
    assert!(externs(&composed).0.is_empty());
    let problems = try_plug(&socket, &[("old", &old), ("older", &old)]).unwrap_err();
    assert!(
        matches!(&problems[0], PlugProblem::Ambiguous { plugs, .. } if plugs == &["old", "older"]),
        "{problems:?}"
    );
}

#[test]
fn plugs_of_one_file_name_are_told_apart() {
    let names = plug_names(&["a/shop.wasm", "b/shop.wasm", "kv.wasm", "a/shop.wasm"]);
    assert_eq!(
        names,
        ["a/shop.wasm", "b/shop.wasm", "kv", "a/shop.wasm (2)"]
    );
}
