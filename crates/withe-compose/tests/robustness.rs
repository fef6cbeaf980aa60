//! Whatever the input: an answer or an error, never a panic; and whatever the types: a valid
//! composition.

mod support;

use std::fmt::Write;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use support::*;
use withe_compose::{plug, wac};

const IMPORTER: &str = "
    import wasi:cli/stdout@0.2.6;
    import cold: wasi:keyvalue/store@0.2.0-draft;
    import app:visits/visits@1.0.0;
    import log: func(line: string);
    export wasi:http/incoming-handler@0.2.6;";
const EXPORTER: &str = "
    import wasi:cli/stdout@0.2.0;
    import wasi:config/store@0.2.0-draft;
    export app:visits/types@1.0.0;
    export app:visits/visits@1.0.0;";

static IMPORTER_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| component(IMPORTER));
static EXPORTER_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| component(EXPORTER));

#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Cut(Index),
    Remove(Index, u8),
    Repeat(Index, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        1 => any::<Index>().prop_map(Mutation::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, len)| Mutation::Remove(at, len)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, len)| Mutation::Repeat(at, len)),
    ]
}

fn mutate(bytes: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        match mutation {
            Mutation::Set(at, byte) => *at.get_mut(&mut bytes) = *byte,
            Mutation::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Mutation::Remove(at, len) | Mutation::Repeat(at, len) => {
                let start = at.index(bytes.len());
                let end = (start + usize::from(*len)).min(bytes.len());
                let with = match mutation {
                    Mutation::Remove(..) => Vec::new(),
                    _ => bytes[start..end].repeat(2),
                };
                bytes.splice(start..end, with);
            }
        }
    }
    bytes
}

/// Composes in every way; only that it returns matters.
fn compose(importer: &[u8], exporter: &[u8]) {
    let parts = || {
        vec![
            constituent("front", importer),
            constituent("visits", exporter),
        ]
    };
    let wires = ["types", "visits"].map(|name| wire(0, &format!("app:visits/{name}@1.0.0"), 1));
    for wires in [vec![], wires.to_vec()] {
        if let Ok(fused) = try_fuse(parts(), wires) {
            // Mutation can damage a function's body, which the compiler finds.
            assert!(fused.bytes.starts_with(b"\0asm"));
        }
    }
    let plugs = [("visits".to_owned(), exporter.to_vec())];
    let _ = plug(("importer", importer), &plugs);
    let deps = [
        ("t:front".to_owned(), importer.to_vec()),
        ("t:visits".to_owned(), exporter.to_vec()),
    ];
    let source = "package t:t; let v = new t:visits { ... }; let f = new t:front { ...v, ... }; export f...;";
    let _ = wac(source, "app.wac", &deps);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn damaged_components_never_panic(
        mutations in prop::collection::vec(mutation(), 1..4),
        which in any::<bool>(),
    ) {
        match which {
            true => compose(&mutate(&IMPORTER_BYTES, &mutations), &EXPORTER_BYTES),
            false => compose(&IMPORTER_BYTES, &mutate(&EXPORTER_BYTES, &mutations)),
        }
    }

    #[test]
    fn damaged_documents_never_panic(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let source = "package t:t; let v = new t:visits { ... }; let f = new t:front { \
            \"log\": v.log, \"app:visits/types@1.0.0\": v[\"app:visits/types@1.0.0\"], ... }; export f...;";
        let source = String::from_utf8_lossy(&mutate(source.as_bytes(), &mutations)).into_owned();
        let deps =
            [("t:front".to_owned(), IMPORTER_BYTES.clone()), ("t:visits".to_owned(), EXPORTER_BYTES.clone())];
        let _ = wac(&source, "app.wac", &deps);
    }
}

/// Types in WIT; `{}` of a generated one stands for the names declared so far.
fn type_text(declared: Vec<String>) -> impl Strategy<Value = String> {
    let primitive = prop::sample::select(vec![
        "bool",
        "u8",
        "s16",
        "u32",
        "s64",
        "f32",
        "f64",
        "char",
        "string",
        "error-context",
    ]);
    let leaf = match declared.is_empty() {
        true => primitive.prop_map(str::to_owned).boxed(),
        false => prop_oneof![
            primitive.prop_map(str::to_owned),
            prop::sample::select(declared),
        ]
        .boxed(),
    };
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| format!("list<{t}>")),
            inner.clone().prop_map(|t| format!("list<{t}, 3>")),
            inner.clone().prop_map(|t| format!("option<{t}>")),
            inner.clone().prop_map(|t| format!("map<string, {t}>")),
            inner.clone().prop_map(|t| format!("result<{t}>")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("result<{a}, {b}>")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("tuple<{a}, {b}>")),
            // A stream of characters is not valid as yet.
            inner
                .clone()
                .prop_map(|t| format!("stream<{}>", if t == "char" { "u8" } else { &t })),
            inner.prop_map(|t| format!("future<{t}>")),
        ]
    })
}

/// Declarations of types, resources and functions for an interface, each using those before it.
fn interface() -> impl Strategy<Value = String> {
    let kinds = prop::collection::vec(0..7_u8, 1..7);
    kinds.prop_flat_map(|kinds| {
        let mut declared = Vec::new();
        let mut items = Vec::new();
        for (i, kind) in kinds.into_iter().enumerate() {
            let ty = || type_text(declared.clone());
            let pair = (ty(), ty());
            let item: BoxedStrategy<String> = match kind {
                0 => pair
                    .prop_map(move |(a, b)| format!("record t{i} {{ a: {a}, b: {b} }}"))
                    .boxed(),
                1 => pair
                    .prop_map(move |(a, b)| format!("variant t{i} {{ a, b({a}), c({b}) }}"))
                    .boxed(),
                2 => Just(format!("enum t{i} {{ a, b }}")).boxed(),
                3 => Just(format!("flags t{i} {{ a, b }}")).boxed(),
                4 => ty().prop_map(move |a| format!("type t{i} = {a};")).boxed(),
                _ => pair
                    .prop_map(move |(a, b)| {
                        format!(
                            "resource t{i} {{ constructor(a: {a}); get: func() -> {b}; \
                             make: static func(other: borrow<t{i}>) -> t{i}; }}"
                        )
                    })
                    .boxed(),
            };
            declared.push(format!("t{i}"));
            items.push(item);
        }
        let functions = prop::collection::vec(
            (
                any::<bool>(),
                type_text(declared.clone()),
                type_text(declared),
            ),
            1..4,
        );
        (items, functions).prop_map(|(items, functions)| {
            let mut text = items.join("\n");
            for (i, (is_async, param, result)) in functions.iter().enumerate() {
                let kind = if *is_async { "async func" } else { "func" };
                write!(text, "\nf{i}: {kind}(a: {param}) -> {result};").unwrap();
            }
            text
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Any types, linked inside, imported separately by both, and shared by both.
    #[test]
    fn any_types_compose(linked in interface(), own in interface(), shared in interface()) {
        let interfaces = format!(
            "package gen:linked {{ interface i {{ {linked} }} }}
             package wasi:config {{ interface i {{ {own} }} }}
             package gen:shared {{ interface i {{ {shared} }} }}"
        );
        let build = |items: &str| {
            component_with(&format!("import wasi:config/i; import gen:shared/i; {items}"), &interfaces)
        };
        let front = build("import gen:linked/i; export gen:shared/i;");
        let front = front.map_err(|e| TestCaseError::reject(format!("{e:?}")))?;
        let back = build("export gen:linked/i;");
        let back = back.map_err(|e| TestCaseError::reject(format!("{e:?}")))?;
        let parts = vec![constituent("front", &front), constituent("back", &back)];
        let fused = try_fuse(parts.clone(), vec![wire(0, "gen:linked/i", 1)]);
        let fused = fused.map_err(|e| TestCaseError::fail(format!("{e}\n{interfaces}")))?;
        assert_valid(&fused.bytes);
        let names = import_names(&fused.bytes);
        prop_assert_eq!(names, ["front-wasi-config-i", "gen:shared/i", "back-wasi-config-i"]);
        let again = try_fuse(parts, vec![wire(0, "gen:linked/i", 1)]).unwrap();
        prop_assert_eq!(&fused, &again);
        assert_valid(&plug(("front", &front), &[("back".to_owned(), back)]).unwrap());
    }
}

#[test]
fn types_nested_too_deep_are_an_error_not_a_stack_overflow() {
    for (depth, fits) in [(50, true), (200, false), (100_000, false)] {
        let mut text = String::from("(component (type $t0 (list u8))");
        for i in 1..depth {
            write!(text, "(type $t{i} (list $t{}))", i - 1).unwrap();
        }
        write!(text, "(import \"f\" (func (param \"a\" $t{}))))", depth - 1).unwrap();
        let deep = wat(&text);
        let parts = vec![constituent("a", &deep), constituent("b", &deep)];
        assert_eq!(try_fuse(parts, vec![]).is_ok(), fits, "{depth}");
    }
}
