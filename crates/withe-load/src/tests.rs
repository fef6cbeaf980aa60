//! Manifests with real files beside them, to diagnostics and plans.

use std::fs;

use withe_linker::diagnostic::Severity;
use withe_linker::input::{Image, Part};
use withe_linker::{Code, Diagnostic};
use withe_provider::{Alias, Descriptor};

use super::*;

const COUNTER: &str = r#"(component
    (core module $m (func (export "next") (result i32) i32.const 7))
    (core instance $i (instantiate $m))
    (func $next (result u32) (canon lift (core func $i "next")))
    (instance $counter (export "next" (func $next)))
    (export "shop:api/counter@1.0.0" (instance $counter)))"#;

const CALLER: &str = r#"(component
    (import "shop:api/counter@1.0.0" (instance $counter (export "next" (func (result u32)))))
    (core func $next (canon lower (func $counter "next")))
    (core module $m
        (import "counter" "next" (func $next (result i32)))
        (func (export "run") (result i32) call $next))
    (core instance $i (instantiate $m (with "counter" (instance (export "next" (func $next))))))
    (func (export "run") (result u32) (canon lift (core func $i "run"))))"#;

const KEYVALUE: Descriptor = Descriptor {
    name: "keyvalue",
    version: "1.0.0",
    summary: "keeps values",
    wit: &[
        "package wasi:keyvalue@0.2.0-draft; interface store { get: func(key: string) -> string; } \
            world provider { export store; }",
    ],
    aliases: &[Alias {
        image: "ghcr.io/wasmcloud/keyvalue-redis",
        config: &[("backend", "redis")],
    }],
    paths: &[],
    check_config: |_, _| Vec::new(),
    create: |_| unreachable!("loading starts nothing"),
};

fn registry() -> Registry {
    Registry::new(&[KEYVALUE]).unwrap()
}

/// A manifest with the components that `components` is the YAML of.
fn manifest(components: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: shop\nspec:\n  components:\n{components}"
    )
}

fn entry(name: &str, kind: &str, image: &str) -> String {
    format!("    - name: {name}\n      type: {kind}\n      properties:\n        image: {image}\n")
}

/// Loads a manifest whose folder holds `files`.
fn load_with(files: &[(&str, &[u8])], manifest: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let path = folder.path().join("shop.yaml");
    fs::write(&path, manifest).unwrap();
    load(&path, &registry()).unwrap()
}

fn errors(loaded: &Loaded) -> Vec<&'static str> {
    let linked = loaded.link(&LinkOptions::default());
    let errors = (linked.diagnostics.0)
        .iter()
        .filter(|d| d.severity == Severity::Error);
    errors.map(|d| d.code.0).collect()
}

/// The one problem that loading a component with this `image` gives.
fn problem(files: &[(&str, &[u8])], kind: &str, image: &str) -> Diagnostic {
    let loaded = load_with(files, &manifest(&entry("a", kind, image)));
    let linked = loaded.link(&LinkOptions::default());
    assert!(linked.plan.is_none());
    let [part] = &loaded.parts[..] else {
        panic!("{:?}", loaded.parts)
    };
    assert!(matches!(part.input, Part::Unavailable));
    assert!(matches!(part.source, PartSource::Unavailable));
    let mut found: Vec<_> = (linked.diagnostics.0.iter())
        .filter(|d| CODES.iter().any(|i| i.code == d.code))
        .cloned()
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn each_unusable_image_has_its_code_and_its_place() {
    let module = b"\0asm\x01\0\0\0".as_slice();
    let table: [(&str, &str, Code); 9] = [
        ("component", "./gone.wasm", codes::NOT_FOUND),
        ("component", "file://.", codes::NOT_A_FILE),
        ("component", "./module.wasm", codes::CORE_MODULE),
        ("component", "./text.wat", codes::WASM_TEXT),
        (
            "component",
            "ghcr.io/shop/cart:1.0.0",
            codes::REGISTRY_IMAGE,
        ),
        ("capability", "ghcr.io/shop/kv:1.0.0", codes::REGISTRY_IMAGE),
        ("capability", "withe:keyvalues", codes::UNKNOWN_PROVIDER),
        ("component", "withe:keyvalue", codes::WRONG_KIND),
        ("component", "./kv.par", codes::PROVIDER_FILE),
    ];
    let counter = wat::parse_str(COUNTER).unwrap();
    let files = [
        ("module.wasm", module),
        ("text.wat", b"(component)"),
        ("counter.wasm", &counter),
        ("kv.par", b"\x1f\x8b\x08"),
    ];
    for (kind, image, code) in table {
        let problem = problem(&files, kind, image);
        assert_eq!(problem.code, code, "{image}: {}", problem.message);
        assert!(
            problem.message.starts_with("`a` cannot be loaded: "),
            "{}",
            problem.message
        );
        assert!(
            problem.primary.is_some() && problem.help.is_some(),
            "{image}: {problem:?}"
        );
    }
}

#[test]
fn a_bare_path_that_reads_as_a_reference_is_pointed_out() {
    let problem = problem(&[("cart", b"")], "component", "cart");
    assert_eq!(
        problem.help.as_deref(),
        Some("to mean the file, write `./cart`")
    );
}

#[test]
fn providers_are_found_by_short_name_and_by_image_with_what_it_implies() {
    for (image, implied) in [
        ("withe:keyvalue", 0),
        ("ghcr.io/wasmcloud/keyvalue-redis:0.28.1", 1),
    ] {
        let loaded = load_with(&[], &manifest(&entry("kv", "capability", image)));
        let part = loaded.part("kv").unwrap();
        let Part::Provider(world) = &part.input else {
            panic!("{image}: {part:?}")
        };
        assert_eq!(world.name, "keyvalue");
        assert_eq!(world.world.exports.len(), 1);
        let application = loaded.application.as_ref().unwrap();
        assert_eq!(application.components[0].config.len(), implied);
        assert!(matches!(
            part.provider(),
            Some(ProviderSource::InHost(descriptor)) if descriptor.name == "keyvalue"
        ));
    }
}

#[test]
fn components_are_composed_as_the_manifest_says() {
    let (counter, caller) = (
        wat::parse_str(COUNTER).unwrap(),
        wat::parse_str(CALLER).unwrap(),
    );
    let yaml = manifest(
        "    - name: both\n      type: component\n      properties:\n        compose: [./caller.wasm, ./counter.wasm]\n",
    );
    let loaded = load_with(
        &[("caller.wasm", &caller), ("counter.wasm", &counter)],
        &yaml,
    );
    let application = loaded.application.as_ref().unwrap();
    assert!(matches!(
        application.components[0].image.value,
        Image::Compose(_)
    ));
    let Some(component) = loaded.parts[0].component() else {
        panic!("{:?}", loaded.diagnostics)
    };
    let ReadComponent {
        world,
        digest,
        bytes,
    } = component;
    assert!(world.imports.is_empty(), "{world:?}");
    assert_eq!(digest, artifact::digest(bytes));
    assert_eq!(loaded.files.len(), 3, "{:?}", loaded.files);
}

#[test]
fn all_that_cannot_be_composed_is_reported() {
    let yaml = manifest(
        "    - name: both\n      type: component\n      properties:\n        compose: [./a.wasm, ghcr.io/shop/b:1.0.0, ./c.wasm]\n",
    );
    let loaded = load_with(&[], &yaml);
    assert_eq!(
        errors(&loaded)[..3],
        ["W0051", "W0060", "W0051"],
        "{:?}",
        loaded.diagnostics
    );
}

#[test]
fn files_are_linked_by_what_they_import_and_export() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("caller.wasm"), wat::parse_str(CALLER).unwrap()).unwrap();
    fs::write(path("counter.wasm"), wat::parse_str(COUNTER).unwrap()).unwrap();
    let loaded = load_files(&path("caller.wasm"), &[path("counter.wasm")], &registry());
    let options = LinkOptions {
        called: vec!["caller".into()],
        ..LinkOptions::default()
    };
    let linked = loaded.link(&options);
    let plan = linked.plan.as_ref();
    let plan = plan.unwrap_or_else(|| panic!("{:?}", linked.diagnostics));
    let links: Vec<_> = plan
        .links
        .iter()
        .map(|l| (&*l.source, &*l.target))
        .collect();
    assert_eq!(links, [("caller", "counter")]);
    assert!(plan.components[0].entry, "the first component is called");
}

#[test]
fn the_same_question_is_linked_once() {
    let counter = wat::parse_str(COUNTER).unwrap();
    let yaml = manifest(&entry("counter", "component", "./counter.wasm"));
    let loaded = load_with(&[("counter.wasm", &counter)], &yaml);
    let options = LinkOptions {
        called: vec!["counter".into()],
        ..LinkOptions::default()
    };
    let linked = loaded.link(&options);
    assert!(Arc::ptr_eq(&linked, &loaded.link(&options.clone())));
    let other = loaded.link(&LinkOptions::default());
    assert!(!Arc::ptr_eq(&linked, &other));
    let entries =
        |linked: &withe_linker::LinkOutcome| linked.plan.as_ref().unwrap().components[0].entry;
    assert_eq!((entries(&linked), entries(&other)), (true, false));
}

#[test]
fn what_was_read_is_saved_and_links_elsewhere_as_it_did() {
    let counter = wat::parse_str(COUNTER).unwrap();
    let caller = wat::parse_str(CALLER).unwrap();
    let files = [
        ("caller.wasm", caller.as_slice()),
        ("counter.wasm", &counter),
    ];
    let composed = "    - name: both\n      type: component\n      properties:\n        compose: [\"./caller.wasm\", ./counter.wasm]\n";
    let yaml = manifest(
        &[
            composed,
            &entry("counter", "component", "file://./counter.wasm"),
            &entry("gone", "component", "./gone.wasm"),
        ]
        .concat(),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    fs::write(&path, &yaml).unwrap();
    let loaded = load(&path, &registry()).unwrap();
    let saved = tempfile::tempdir().unwrap();
    let copy = save(&loaded, saved.path()).unwrap();
    drop(folder);
    let images = fs::read_dir(saved.path().join("images")).unwrap();
    assert_eq!(images.count(), 2, "each file is saved once");
    let again = load(&copy, &registry()).unwrap();
    let digests = |loaded: &Loaded| -> Vec<_> {
        let parts = loaded.parts.iter();
        parts
            .map(|part| part.component().map(|c| c.digest.to_owned()))
            .collect()
    };
    assert_eq!(digests(&again), digests(&loaded));
    assert_eq!(errors(&again), errors(&loaded));
}

#[test]
fn secret_values_are_neither_shown_nor_saved() {
    let config = |values: &str| {
        let part = entry("store", "capability", "withe:keyvalue");
        manifest(&format!(
            "{part}        config: [{{name: a, secret: true, properties: {{{values}}}}}]\n"
        ))
    };
    let yaml = config("url: 'hidden-url', size: 5");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    fs::write(&path, &yaml).unwrap();
    let loaded = load(&path, &registry()).unwrap();
    assert_eq!(loaded.manifest(), yaml);
    assert_eq!(loaded.source.text, config("url: ************, size: *"));
    let application = loaded.application.as_ref().unwrap();
    let own = application.components[0].config[0].properties.as_ref();
    assert_eq!(own.unwrap()["url"].value, "hidden-url");
    let saved = tempfile::tempdir().unwrap();
    let copy = save(&loaded, saved.path()).unwrap();
    assert_eq!(
        fs::read_to_string(copy).unwrap(),
        config("url: \"•••\", size: \"•••\"")
    );
}

#[test]
fn what_is_no_manifest_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    let load = || load(&path, &registry()).unwrap_err().diagnostic().code;
    assert_eq!(load(), codes::NOT_FOUND);
    fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    assert_eq!(load(), codes::NOT_A_MANIFEST);
    fs::write(&path, b"\xff\xfe").unwrap();
    assert_eq!(load(), codes::NOT_A_MANIFEST);
}

#[test]
fn arguments_are_an_application_with_a_manifest() {
    const STORING: &str = r#"(component
        (import "wasi:keyvalue/store@0.2.0-draft"
            (instance $store (export "get" (func (param "key" string) (result string)))))
        (import "shop:api/counter@1.0.0" (instance $counter (export "next" (func (result u32)))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("storing.wasm"), wat::parse_str(STORING).unwrap()).unwrap();
    fs::write(path("counter.wasm"), wat::parse_str(COUNTER).unwrap()).unwrap();
    let memory = [("backend".to_owned(), "memory".to_owned())];
    let arguments = Arguments {
        component: path("storing.wasm"),
        links: vec![path("counter.wasm")],
        embedded: vec![arguments::ProviderArgument {
            name: "keyvalue".into(),
            config: memory.clone().into(),
        }],
        config: [("a".to_owned(), "b".to_owned())].into(),
        ..Arguments::default()
    };
    let (loaded, assumed) = load_arguments(&arguments, &registry());
    let [assumed] = assumed.as_slice() else {
        panic!("{assumed:?}");
    };
    assert_eq!(
        (&*assumed.component, &*assumed.provider),
        ("storing", "keyvalue")
    );
    assert_eq!(assumed.config, memory.into());

    // The written manifest reads back as the same application: both have one plan.
    let written = folder.path().join("app.yaml");
    fs::write(&written, loaded.manifest()).unwrap();
    let options = LinkOptions {
        called: vec!["storing".into()],
        ..LinkOptions::default()
    };
    let again = load(&written, &registry()).unwrap();
    let (first, second) = (loaded.link(&options), again.link(&options));
    assert!(first.plan.is_some(), "{:?}", first.diagnostics);
    assert_eq!(first.plan, second.plan, "{:?}", second.diagnostics);
}

#[test]
fn mocks_take_the_place_of_what_else_exports_something() {
    /// Passes on what it is called with, after its own.
    const WRAPPING: &str = r#"(component
        (import "shop:api/counter@1.0.0" (instance $inner (export "next" (func (result u32)))))
        (alias export $inner "next" (func $next))
        (instance $counter (export "next" (func $next)))
        (export "shop:api/counter@1.0.0" (instance $counter)))"#;
    const STORE: &str = r#"(component
        (core module $m
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
            (func (export "get") (param i32 i32) (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $get (param "key" string) (result string)
            (canon lift (core func $i "get") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
        (instance $store (export "get" (func $get)))
        (export "wasi:keyvalue/store@0.2.0-draft" (instance $store)))"#;
    const STORING: &str = r#"(component
        (import "wasi:keyvalue/store@0.2.0-draft"
            (instance $store (export "get" (func (param "key" string) (result string)))))
        (import "shop:api/counter@1.0.0" (instance $counter (export "next" (func (result u32)))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("tests.wasm", STORING),
        ("counter.wasm", COUNTER),
        ("store.wasm", STORE),
        ("wrapping.wasm", WRAPPING),
    ] {
        fs::write(path(name), wat::parse_str(text).unwrap()).unwrap();
    }
    let links = |mocks: &[(&str, Option<&str>)]| {
        let mocks = mocks.iter().map(|(name, file)| arguments::MockArgument {
            name: (*name).to_owned(),
            with: match file {
                Some(file) => arguments::MockWith::Component(path(file)),
                None => arguments::MockWith::Embedded,
            },
        });
        let arguments = Arguments {
            component: path("tests.wasm"),
            links: vec![path("counter.wasm"), path("store.wasm")],
            mocks: mocks.collect(),
            embedded: vec![arguments::ProviderArgument {
                name: "keyvalue".into(),
                ..arguments::ProviderArgument::default()
            }],
            ..Arguments::default()
        };
        let (loaded, _) = load_arguments(&arguments, &registry());
        let linked = loaded.link(&LinkOptions {
            called: vec!["tests".into()],
            ..LinkOptions::default()
        });
        let plan = linked.plan.as_ref();
        let plan = plan.unwrap_or_else(|| panic!("{:#?}", linked.diagnostics));
        let links = plan.links.iter();
        let mut links: Vec<_> = links
            .map(|link| format!("{} {}", link.source, link.target))
            .collect();
        links.sort();
        links
    };
    assert_eq!(links(&[]), ["tests counter", "tests store"]);
    // One that is mocked in part goes on with the rest, and the mock may call what it takes the place of.
    assert_eq!(
        links(&[("shop:api/counter", Some("wrapping.wasm"))]),
        ["tests store", "tests wrapping", "wrapping counter"]
    );
    assert_eq!(
        links(&[("wasi:keyvalue", None)]),
        ["tests counter", "tests keyvalue"]
    );
}
