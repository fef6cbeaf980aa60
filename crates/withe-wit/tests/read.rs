//! Reading worlds from components.

mod support;

use support::component;
use withe_wit::{ExternItem, FuncKind, ReadError, ResourceRef, Type, World};

const KV: &str = "
    package test:kv@0.2.0;
    interface store {
        resource bucket {
            constructor(name: string);
            get: func(key: string) -> option<list<u8>>;
            list-all: static func() -> list<bucket>;
        }
        variant error { missing, other(string) }
        open: func(name: string) -> result<bucket, error>;
    }
    interface batch {
        use store.{bucket, error as failure};
        get-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<list<string>, failure>;
    }
    world server { export store; export batch; }
    world client { import store; import batch; export run: func(n: u32) -> u32; }
    world middle { import store; export store; }
";

fn read(wit: &str, world: &str) -> World {
    World::read(&component(wit, world)).unwrap()
}

fn names(list: &[withe_wit::Extern]) -> Vec<&str> {
    list.iter().map(|e| e.name.as_str()).collect()
}

#[test]
fn imports_and_exports_have_their_names_kinds_and_types() {
    let client = read(KV, "client");
    assert_eq!(
        names(&client.imports),
        ["test:kv/store@0.2.0", "test:kv/batch@0.2.0"]
    );
    assert_eq!(names(&client.exports), ["run"]);
    let ExternItem::Function(run) = &client.exports[0].item else {
        panic!("not a function")
    };
    assert_eq!(run.to_string(), "run: func(n: u32) -> u32");

    let store = client.imports[0].interface().unwrap();
    assert_eq!(store.resources, ["bucket"]);
    assert_eq!(store.types.len(), 1);
    assert_eq!(
        store.types[0].1.declaration().unwrap(),
        "variant error { missing, other(string) }"
    );
    let kinds: Vec<_> = store
        .functions
        .iter()
        .map(|f| (f.name.as_str(), f.kind.clone()))
        .collect();
    assert!(kinds.contains(&(
        "[constructor]bucket",
        FuncKind::Constructor("bucket".into())
    )));
    assert!(kinds.contains(&("[method]bucket.get", FuncKind::Method("bucket".into()))));
    assert!(kinds.contains(&("[static]bucket.list-all", FuncKind::Static("bucket".into()))));
    assert!(kinds.contains(&("open", FuncKind::Free)));
}

#[test]
fn a_used_resource_refers_to_the_interface_that_defines_it() {
    for world in ["client", "server"] {
        let world = read(KV, world);
        let list = if world.imports.is_empty() {
            &world.exports
        } else {
            &world.imports
        };
        let batch = list[1].interface().unwrap();
        let bucket = ResourceRef {
            interface: Some("test:kv/store@0.2.0".parse().unwrap()),
            name: "bucket".into(),
        };
        assert_eq!(batch.functions[0].params[0].1, Type::Borrow(bucket.clone()));
        assert_eq!(batch.resources, [""; 0]);
        assert_eq!(batch.types[0], ("bucket".into(), Type::Own(bucket)));
        assert_eq!(batch.types[1].0, "failure");
    }
}

#[test]
fn an_interface_both_imported_and_exported_stays_two() {
    let middle = read(KV, "middle");
    let (import, export) = (
        middle.imports[0].interface().unwrap(),
        middle.exports[0].interface().unwrap(),
    );
    assert_eq!(import.name, export.name);
    assert_eq!(import.functions.len(), export.functions.len());
}

#[test]
fn labels_say_what_they_implement() {
    let wit = "
        package test:labels;
        interface kv { get: func(key: string) -> string; }
        world client {
            import cache: kv;
            import cold: kv;
            import mine: interface { ping: func(); }
        }
    ";
    let world = read(wit, "client");
    assert_eq!(names(&world.imports), ["cache", "cold", "mine"]);
    for label in ["cache", "cold"] {
        let import = world.import(label).unwrap();
        assert!(import.is_label());
        assert_eq!(
            import.interface_name().unwrap().to_string(),
            "test:labels/kv"
        );
        assert_eq!(import.functions().len(), 1);
    }
    assert_eq!(world.import("mine").unwrap().interface_name(), None);
}

#[test]
fn every_type_is_read_and_printed() {
    let types = [
        "bool",
        "u8",
        "u16",
        "u32",
        "u64",
        "s8",
        "s16",
        "s32",
        "s64",
        "f32",
        "f64",
        "char",
        "string",
        "list<u8>",
        "list<u8, 4>",
        "map<string, u32>",
        "option<string>",
        "result",
        "result<u8>",
        "result<_, string>",
        "result<u8, string>",
        "tuple<u8, string>",
        "rec",
        "alt",
        "mode",
        "bits",
        "stuff",
        "borrow<stuff>",
        "stream<u8>",
        "stream",
        "future<string>",
        "future",
        "error-context",
    ];
    for ty in types {
        let wit = format!(
            "package test:types;
             interface i {{
                 record rec {{ a: u8, b: string }}
                 variant alt {{ one, two(u8) }}
                 enum mode {{ on, off }}
                 flags bits {{ x, y }}
                 resource stuff;
                 f: func(p: {ty});
             }}
             world w {{ import i; }}"
        );
        let from_wit = World::from_wit(&[&wit], "w").unwrap_or_else(|e| panic!("{ty}: {e}"));
        let function = &from_wit.imports[0].functions()[0];
        assert_eq!(function.params[0].1.to_string(), ty);
    }
}

#[test]
fn types_that_share_a_declaration_are_equal_wherever_they_stand() {
    let world = read(KV, "client");
    let error = &world.imports[0].interface().unwrap().types[0].1;
    let failure = &world.imports[1].interface().unwrap().types[1].1;
    assert_eq!(error, failure);
}

#[test]
fn concurrency_is_seen_in_types() {
    let uses = |item: &str| {
        let wit = format!("package t:t; interface i {{ {item} }} world w {{ import i; }}");
        World::from_wit(&[&wit], "w").unwrap().uses_concurrency()
    };
    assert!(!uses("f: func(a: list<u8>) -> result<string>;"));
    assert!(uses("f: async func();"));
    assert!(uses("f: func() -> option<stream<u8>>;"));
    assert!(uses("f: func(a: tuple<future<u8>>);"));
    assert!(uses("record r { e: error-context } f: func() -> r;"));
}

#[test]
fn concurrency_is_seen_in_code() {
    let plain = "(component)";
    let backpressure = "(component (core func (canon backpressure.inc)))";
    let nested = "(component (component (core func (canon waitable-set.new))))";
    for (text, want) in [(plain, false), (backpressure, true), (nested, true)] {
        let world = World::read(&wat::parse_str(text).unwrap()).unwrap();
        assert_eq!(world.uses_concurrency(), want, "{text}");
    }
}

#[test]
fn worlds_from_wit_list_whole_interfaces_and_use_other_packages() {
    let deps = "package test:deps@1.0.0; interface types { record r { a: u8 } unused: func(); }";
    let main = "package test:main; interface api { use test:deps/types@1.0.0.{r}; f: func() -> r; }
                world provider { export api; import test:deps/types@1.0.0; }";
    let world = World::from_wit(&[deps, main], "provider").unwrap();
    assert_eq!(names(&world.exports), ["test:main/api"]);
    assert_eq!(world.imports[0].functions()[0].name, "unused");
    let error = World::from_wit(&[deps, main], "other").unwrap_err();
    assert_eq!(error.to_string(), "the package has no world `other`");
    assert!(
        World::from_wit(&[main], "provider")
            .unwrap_err()
            .to_string()
            .contains("test:deps")
    );
    assert!(
        World::from_wit(&["package a:b; nonsense"], "w")
            .unwrap_err()
            .to_string()
            .contains("nonsense")
    );
    assert!(World::from_wit(&[], "w").is_err());
}

#[test]
fn a_world_prints_as_wit_that_reads_back_the_same() {
    let bytes = component(KV, "client");
    let text = World::wit(&bytes).unwrap();
    assert!(text.contains("import test:kv/store@0.2.0;"), "{text}");
    assert!(text.contains("resource bucket"), "{text}");
    let read_back = World::from_wit(&[&text], "root").unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(read_back.imports, World::read(&bytes).unwrap().imports);
}

#[test]
fn what_is_not_a_component_is_told_apart() {
    let error = |bytes: &[u8]| World::read(bytes).unwrap_err();
    assert!(matches!(error(b""), ReadError::NotWasm(why) if why == "it is empty"));
    assert!(matches!(error(b"  (component)"), ReadError::NotWasm(why) if why.contains("text")));
    assert!(matches!(error(b"\x7fELF"), ReadError::NotWasm(_)));
    assert!(matches!(error(b"\0asm\x0d\0"), ReadError::Malformed(_)));
    assert!(matches!(
        error(b"\0asm\x0d\0\x02\0"),
        ReadError::Malformed(_)
    ));
    assert_eq!(
        error(&wat::parse_str("(module)").unwrap()),
        ReadError::CoreModule
    );
    let module = "(component (import \"m\" (core module)))";
    assert!(
        error(&wat::parse_str(module).unwrap())
            .to_string()
            .contains("`m`")
    );

    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_source("kv.wit", KV).unwrap();
    let encoded = wit_component::encode(&resolve, package).unwrap();
    assert_eq!(error(&encoded), ReadError::WitPackage);
}

#[test]
fn a_truncated_component_is_malformed() {
    let bytes = component(KV, "client");
    for end in 8..bytes.len() {
        // A prefix that ends between two sections is a component of its own.
        match World::read(&bytes[..end]) {
            Ok(_) | Err(ReadError::Malformed(_)) => {}
            Err(other) => panic!("{end}: {other}"),
        }
    }
}

#[test]
fn a_component_that_is_cut_off_in_a_module_is_refused() {
    let text = "(component (core module (type (func)) (func (type 0)) (memory 1)))";
    let bytes = wat::parse_str(text).unwrap();
    assert!(World::wit(&bytes).is_ok());
    // The component itself begins with 8 bytes; what follows is one section.
    for end in 9..bytes.len() {
        let cut = &bytes[..end];
        let read = World::read(cut);
        assert!(
            matches!(read, Err(ReadError::Malformed(_))),
            "{end}: {read:?}"
        );
        assert!(World::wit(cut).is_err(), "{end}");
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    fn originals() -> Vec<Vec<u8>> {
        vec![
            component(KV, "client"),
            component(KV, "server"),
            component(KV, "middle"),
        ]
    }

    proptest! {
        /// Whatever is done to a component, reading and printing it end without a panic.
        #[test]
        fn damaged_components_never_panic(
            which in 0..3usize,
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            thread_local!(static ORIGINALS: Vec<Vec<u8>> = originals());
            let mut bytes = ORIGINALS.with(|o| o[which].clone());
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if World::read(&bytes).is_ok() {
                let _ = World::wit(&bytes);
            }
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = World::read(&bytes);
            let _ = World::read(&[b"\0asm\x0d\0\x01\0", bytes.as_slice()].concat());
        }
    }
}

#[test]
fn what_no_link_can_carry_is_named() {
    let text = r#"(component
        (import "m" (core module $m (export "f" (func))))
        (import "c" (component))
        (import "a:b/deep" (instance
            (export "in" (instance (export "f" (func))))
            (export "f" (func))
            (export "k" (component))))
        (export "m2" (core module $m)))"#;
    let error = World::read(&wat::parse_str(text).unwrap()).unwrap_err();
    assert!(matches!(&error, ReadError::Unsupported(all) if all.len() == 4));
    assert_eq!(
        error.to_string(),
        "it imports `m`, which is a core module; it imports `c`, which is a component; it imports \
         `a:b/deep`, in which `in` is an instance of its own; it imports `a:b/deep`, in which `k` is a \
         component"
    );
}

#[test]
fn types_exported_outside_of_interfaces_are_declared_in_the_world() {
    let text = r#"(component
        (core module $m
            (memory (export "mem") 1)
            (func (export "f") (param i32 i32))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (type $l (enum "low" "high"))
        (export $level "level" (type $l))
        (type $r (record (field "x" u32) (field "y" $level)))
        (export $point "point" (type $r))
        (type $ft (func (param "at" $point)))
        (alias core export $i "f" (core func $f))
        (func $lifted (type $ft) (canon lift (core func $f)))
        (export "draw" (func $lifted) (func (type $ft))))"#;
    let wit = World::wit(&wat::parse_str(text).unwrap()).unwrap_or_else(|e| panic!("{e}"));
    for line in [
        "enum level",
        "record point",
        "export draw: func(at: point);",
    ] {
        assert!(wit.contains(line), "{wit}");
    }

    let text = r#"(component (type $r (resource (rep i32))) (export "thing" (type $r)))"#;
    let error = World::wit(&wat::parse_str(text).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "WIT cannot express the world of this component: it exports the resource `thing` outside of any \
         interface"
    );
}

#[test]
fn the_largest_memory_is_known() {
    let text = r#"(component
        (core module (memory 3))
        (component (core module (memory 65536) (memory 1))))"#;
    assert_eq!(
        World::read(&wat::parse_str(text).unwrap()).unwrap().memory,
        4 << 30
    );
}
