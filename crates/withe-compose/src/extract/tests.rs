//! Modules are taken out, and the rest is a valid component with the same numbers for all else.

use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use super::*;
use crate::sections::put_section;

/// Sizes that the modules of these tests have: 30 bytes of code are large.
const SIZES: ExtractSizes = ExtractSizes {
    large: 30,
    worthwhile: 30,
    snapshot: 20,
    modules: 4,
};

/// Limits that none of these tests meets.
const LIMITS: ExtractLimits = ExtractLimits {
    memories: 64,
    tables: 64,
    instances: 512 << 10,
};

/// A function body of more than 30 bytes.
const LARGE: &str = "(drop (i64.const 0x7000000000000000)) (drop (i64.const 0x7000000000000001)) \
     (drop (i64.const 0x7000000000000002))";

fn bytes(text: &str) -> Vec<u8> {
    wat::parse_str(text.replace("LARGE", LARGE)).unwrap()
}

fn validate(bytes: &[u8]) {
    let validated = Validator::new_with_features(WasmFeatures::all()).validate_all(bytes);
    if let Err(e) = validated {
        panic!("{e}");
    }
}

/// The component without its large modules, both valid.
fn extracted(text: &str) -> Extracted {
    let bytes = bytes(text);
    validate(&bytes);
    let extracted = extract_modules(&bytes, &SIZES, &LIMITS).expect("something is taken out");
    validate(&extracted.component);
    for module in &extracted.modules {
        validate(&module.bytes);
    }
    extracted
}

fn is_left(text: &str) -> bool {
    let bytes = bytes(text);
    validate(&bytes);
    extract_modules(&bytes, &SIZES, &LIMITS).is_none()
}

/// How many core modules lie in a component at any depth.
fn modules(component: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(component);
    let is_module = |payload: &Payload<'_>| matches!(payload, Payload::ModuleSection { .. });
    payloads
        .filter(|payload| is_module(payload.as_ref().unwrap()))
        .count()
}

/// A program with what `wit-component` puts around it: a module before it, one behind it that fills a table.
const PROGRAM: &str = r#"(component
    (import "host" (instance $host (export "say" (func (param "what" string)))))
    (core module $shim
        (table (export "$imports") 1 1 funcref)
        (func (export "0") (param i32 i32) (call_indirect (param i32 i32)
            (local.get 0) (local.get 1) (i32.const 0))))
    (core module $main
        (import "host" "say" (func $say (param i32 i32)))
        (memory (export "memory") 1)
        (global (export "g") (mut i32) (i32.const 1))
        (table $t (export "t") 2 funcref)
        (func (export "run") LARGE (call $say (i32.const 0) (i32.const 0)))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))
    (core module $fixup
        (import "" "0" (func (param i32 i32)))
        (import "" "$imports" (table 1 1 funcref))
        (elem (i32.const 0) func 0))
    (core instance $shim (instantiate $shim))
    (core instance $main (instantiate $main
        (with "host" (instance (export "say" (func $shim "0"))))))
    (core func $say (canon lower (func $host "say") (memory (core memory $main "memory"))
        (realloc (core func $main "realloc"))))
    (core instance (instantiate $fixup (with "" (instance
        (export "0" (func $say))
        (export "$imports" (table $shim "$imports"))))))
    (func (export "run") (canon lift (core func $main "run"))))"#;

#[test]
fn a_large_module_is_imported_and_the_others_stay() {
    let extracted = extracted(PROGRAM);
    let [main] = &extracted.modules[..] else {
        panic!("not one module");
    };
    assert_eq!(main.import, "withe-module-0");
    assert_eq!(main.name.as_deref(), Some("main"));
    assert_eq!(modules(&extracted.component), 2);
    assert_eq!(
        extracted.needs,
        ExtractedNeeds {
            memories: 1,
            tables: 2
        }
    );
    // The rest does not depend on the code.
    let other = PROGRAM.replace("LARGE", "LARGE LARGE");
    let other = super::extract_modules(&bytes(&other), &SIZES, &LIMITS).unwrap();
    assert_eq!(extracted.component, other.component);
    assert_ne!(main.bytes, other.modules[0].bytes);
}

#[test]
fn a_module_is_imported_where_components_lie_in_components() {
    let extracted = extracted(
        r#"(component
            (core module $first (func (export "f") LARGE))
            (core module $small)
            (component $one
                (core module $second (memory 1) (func (export "f") LARGE))
                (component $deep
                    (alias outer 1 $second (core module $again))
                    (alias outer 2 $small (core module $small))
                    (alias outer 2 $first (core module $first))
                    (core module $third (table 1 funcref) (func (export "f") LARGE (drop (i32.const 1))))
                    (core instance $a (instantiate $again))
                    (core instance (instantiate $small))
                    (core instance $b (instantiate $first))
                    (core instance $c (instantiate $third))
                    (func (export "a") (canon lift (core func $a "f")))
                    (func (export "b") (canon lift (core func $b "f")))
                    (func (export "c") (canon lift (core func $c "f"))))
                (instance $one (instantiate $deep))
                (instance $two (instantiate $deep))
                (core instance (instantiate $second))
                (export "a" (func $one "a"))
                (export "c" (func $two "c")))
            (component $two (alias outer 1 $one (component $it)) (instance $i (instantiate $it)) (export "a" (func $i "a")))
            (instance $x (instantiate $one))
            (instance $y (instantiate $two))
            (core instance (instantiate $first))
            (export "a" (func $x "a"))
            (export "b" (func $y "a")))"#,
    );
    let names = extracted
        .modules
        .iter()
        .map(|module| module.name.as_deref());
    let names: Vec<_> = names.flatten().collect();
    assert_eq!(names, ["first", "second", "third"]);
    assert_eq!(modules(&extracted.component), 1);
    assert_eq!(
        extracted.needs,
        ExtractedNeeds {
            memories: 6,
            tables: 4
        }
    );
}

/// A snapshot with a value in its memory.
fn snapshot(pages: u32, data: &str) -> String {
    format!(
        r#"(component
            (core module $m
                (import "host" "f" (func $f))
                (memory (export "memory") {pages})
                (data (i32.const 8) "{data}")
                (data "passive")
                (data (i32.const 100) "more of it, and more")
                (func (export "g") LARGE
                    (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 7))
                    (data.drop 2)
                    (call $f)))
            (core module $host (func (export "f")))
            (core instance $host (instantiate $host))
            (core instance $m (instantiate $m (with "host" (instance $host))))
            (alias core export $m "memory" (core memory $memory))
            (core module $reads (import "m" "memory" (memory 0)))
            (core instance $reads (instantiate $reads (with "m" (instance $m))))
            (func (export "g") (canon lift (core func $m "g"))))"#
    )
}

#[test]
fn the_code_of_snapshots_depends_on_nothing_that_is_in_them() {
    let one = extracted(&snapshot(1, "a text of twenty bytes"));
    let other = extracted(&snapshot(7, "another text, which is longer"));
    assert_eq!(one.modules[0].bytes, other.modules[0].bytes);
    assert_ne!(one.component, other.component);
    assert_eq!(modules(&one.component), 3);
    assert_eq!(
        one.needs,
        ExtractedNeeds {
            memories: 1,
            tables: 0
        }
    );
    // Without a segment that is counted there is no section of them left.
    let uncounted = r#"(component (core module $m
        (memory 1) (data (i32.const 8) "a text of twenty bytes") (func (export "f") LARGE))
        (core instance (instantiate $m)))"#;
    assert_eq!(modules(&extracted(uncounted).component), 1);
}

#[test]
fn contents_that_depend_on_something_stay_with_the_code() {
    for (global, memory) in [
        ("(import \"h\" \"g\" (global i32))", "(memory 1)"),
        ("", "(import \"h\" \"memory\" (memory 1))"),
        ("", "(memory 1) (memory 1)"),
    ] {
        let offset = if global.is_empty() {
            "i32.const 0"
        } else {
            "global.get 0"
        };
        let extracted = extracted(&format!(
            r#"(component
                (core module $h
                    (memory (export "memory") 1)
                    (global (export "g") i32 (i32.const 8)))
                (core module $m {global} {memory}
                    (data ({offset}) "a text of twenty bytes") (func LARGE))
                (core instance $h (instantiate $h))
                (core instance (instantiate $m (with "h" (instance $h)))))"#
        ));
        assert_eq!(modules(&extracted.component), 1, "{memory}");
    }
}

#[test]
fn equal_modules_have_one_code_and_an_import_for_each_name() {
    let part = |name: &str| {
        format!(
            "(component (core module ${name} (func (export \"f\") LARGE)) \
             (core instance $i (instantiate ${name})) (func (export \"f\") (canon lift (core func $i \"f\"))))"
        )
    };
    let text = format!(
        "(component {} {} {} {})",
        part("a"),
        part("b"),
        part("b"),
        part("a")
    );
    let extracted = extracted(&text);
    let [first, second] = &extracted.modules[..] else {
        panic!("not two modules");
    };
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(module_name(&first.bytes), None);
    let names = [first, second].map(|module| module.name.as_deref());
    assert_eq!(names, [Some("a"), Some("b")]);
    // Whatever a composition calls it, it is the same.
    let renamed = crate::module_names::rename(&bytes(&part("c")), "d").unwrap();
    let renamed = extract_modules(&renamed, &SIZES, &LIMITS).unwrap();
    assert_eq!(renamed.modules[0].bytes, first.bytes);
    assert_eq!(renamed.modules[0].name.as_deref(), Some("d"));
}

/// A composition whose constituent has a module that gives itself another one's name, in a second section.
#[test]
fn the_names_of_a_composition_are_those_that_it_was_given() {
    let mut module = bytes("(module $mine (func $f LARGE))");
    let mut names = Vec::new();
    for name in ["name", "another"] {
        wasm_encoder::Encode::encode(name, &mut names);
        if names.len() == 5 {
            // The part with the module's name, of so many bytes.
            names.extend([0, 8]);
        }
    }
    put_section(&mut module, SectionId::Custom.into(), &names);
    assert_eq!(module_name(&module), Some("another"));
    let mut component = bytes("(component)");
    put_section(
        &mut component,
        ComponentSectionId::CoreModule.into(),
        &module,
    );
    validate(&component);
    let whole = crate::module_names::rename(&component, "given").unwrap();
    let named = Parser::new(0).parse_all(&whole).filter_map(|payload| {
        let Payload::CustomSection(section) = payload.unwrap() else {
            return None;
        };
        let wasmparser::KnownCustom::Name(names) = section.as_known() else {
            return None;
        };
        let names = names.into_iter().filter_map(|name| match name.unwrap() {
            wasmparser::Name::Module { name, .. } => Some(name),
            _ => None,
        });
        Some(names.collect::<Vec<_>>())
    });
    assert_eq!(named.flatten().collect::<Vec<_>>(), ["given"]);
    let extracted = extract_modules(&whole, &SIZES, &LIMITS).unwrap();
    let module = &extracted.modules[0];
    assert_eq!(module.name.as_deref(), Some("given"));
    assert_eq!(module_name(&module.bytes), None);
}

/// A module that has a memory of the snapshot's, which has to be that large.
#[test]
fn a_snapshot_whose_size_another_module_relies_on_is_not_split() {
    let text = snapshot(3, "a text of twenty bytes").replace("(memory 0)", "(memory 2)");
    let whole = extracted(&text);
    let [module] = &whole.modules[..] else {
        panic!("not one module");
    };
    assert_eq!(modules(&whole.component), 2);
    let named = rename_module(&module.bytes, module.name.as_deref()).unwrap();
    assert_eq!(Interface::of(&named).unwrap().memories.len(), 1);
    assert!(Interface::of(&named).unwrap().data > SIZES.snapshot);
}

#[test]
fn the_largest_are_taken_out_and_the_others_stay() {
    let part = |size: usize, name: &str| {
        let code = "LARGE ".repeat(size);
        format!("(core module ${name} (func {code})) (core instance (instantiate ${name}))")
    };
    let sizes = [1, 5, 2, 3, 4, 6].map(|size| part(size, &format!("m{size}")));
    let again = part(6, "again");
    let extracted = extracted(&format!("(component {} {again})", sizes.concat()));
    let names = extracted.modules.iter().filter_map(|m| m.name.as_deref());
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["m5", "m3", "m4", "m6", "again"]);
    assert_eq!(modules(&extracted.component), 2);
}

#[test]
fn components_that_need_more_than_a_pool_gives_stay_whole() {
    let text = |module: &str, instances: usize| {
        let instances = "(core instance (instantiate $m))".repeat(instances);
        format!("(component (core module $m {module} (func LARGE)) {instances})")
    };
    let globals = "(global i32 (i32.const 0))".repeat(1000);
    let functions = "(func)".repeat(1000);
    let elements = format!("{functions} (elem declare func {})", " 0 1 2 3".repeat(300));
    // How many of each an instance may have.
    let table = [
        ("(memory 1)".to_owned(), 64),
        ("(table 1 funcref)".to_owned(), 64),
        ("(table 1 funcref) (table 1 funcref)".to_owned(), 32),
        // 1 KiB, and 32 bytes for each, and for the function that their values might mention.
        (globals, (512 << 10) / 33_056),
        // No function has two references, but the segment counts.
        (elements, (512 << 10) / 33_088),
        // Nothing refers to any of them.
        (functions, 512),
    ];
    for (module, most) in table {
        assert!(!is_left(&text(&module, most)), "{most}");
        assert!(is_left(&text(&module, most + 1)), "{most}");
    }
    // Also where components lie in components.
    let inner = text("(memory 1)", 8);
    let outer = inner.replacen("(component", "(component $c", 1);
    let outer = |count: usize| {
        let instances = "(instance (instantiate $c))".repeat(count);
        format!("(component {outer} {instances})")
    };
    assert!(!is_left(&outer(8)));
    assert!(is_left(&outer(9)));
}

#[test]
fn what_is_small_or_unusual_stays_as_it_is() {
    let main = r#"(core module $m (func (export "f") LARGE)) (core instance (instantiate $m))"#;
    assert!(!is_left(&format!("(component {main})")));
    for unusual in [
        "(core type (module))",
        r#"(import "withe-module-7" (func))"#,
        r#"(import "m" (core module))"#,
        r#"(import "c" (component))"#,
        r#"(export "m" (core module $m))"#,
    ] {
        assert!(
            is_left(&format!("(component {main} {unusual})")),
            "{unusual}"
        );
    }
    assert!(is_left("(component (core module (func)))"));
    assert!(is_left("(component)"));
    // Types that refer to others.
    for module in [
        r#"(type $s (struct)) (func (export "s") (param (ref $s)))"#,
        r#"(type $f (func)) (global (export "g") (ref null $f) (ref.null $f))"#,
        r#"(type $f (func)) (table (export "t") 1 (ref null $f))"#,
    ] {
        assert!(
            is_left(&format!("(component (core module {module} (func LARGE)))")),
            "{module}"
        );
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = bytes(&snapshot(1, "a text of twenty bytes"));
    for len in 0..whole.len() {
        _ = extract_modules(&whole[..len], &SIZES, &LIMITS);
    }
    for at in 0..whole.len() {
        for change in [1, 0x55, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= change;
            _ = extract_modules(&changed, &SIZES, &LIMITS);
        }
    }
    // Components in components, as deep as bytes are there for.
    let mut deep = bytes("(component)");
    while deep.len() < 100_000 {
        let mut outer = bytes("(component)");
        put_section(&mut outer, 4, &deep);
        deep = outer;
    }
    assert!(extract_modules(&deep, &SIZES, &LIMITS).is_none());
}
