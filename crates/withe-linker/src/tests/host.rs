//! The host's interfaces are checked as links are.

use crate::testing::App;

const HOST: &str = "
    package wasi:config@0.2.0-draft { interface store { get: func(key: string) -> option<string>; } }
    package wasi:config@0.2.0-rc.1 {
        interface store {
            variant error { io(string) }
            get: func(key: string) -> result<option<string>, error>;
            get-all: func() -> result<list<tuple<string, string>>, error>;
        }
    }
    package wasi:random@0.2.12 { interface random { get-random-u64: func() -> u64; } }
    package wasi:io@0.2.12 { interface streams { resource input-stream { read: func() -> u8; } } }
    package wasi:cli@0.2.12 { interface stdin { use wasi:io/streams@0.2.12.{input-stream}; get-stdin: func() -> input-stream; } }
    package wasi:cli@0.3.0 {
        interface types { enum error-code { io } }
        interface stdin { use types.{error-code}; read: func() -> result<u8, error-code>; }
    }
    world host {
        import wasi:config/store@0.2.0-draft;
        import wasi:config/store@0.2.0-rc.1;
        import wasi:random/random@0.2.12;
        import wasi:io/streams@0.2.12;
        import wasi:cli/stdin@0.2.12;
        import wasi:cli/types@0.3.0;
        import wasi:cli/stdin@0.3.0;
    }
";

/// A component that imports `interface` of `package`, whose text is given, on a host with [`HOST`].
fn importing(package: &str, text: &str, interface: &str) -> App {
    let (name, version) = package.split_once('@').unwrap();
    let wit = format!(
        "package {package} {{ {text} }} world c {{ import {name}/{interface}@{version}; }}"
    );
    App::new(&wit).component("c").called("c").host_wit(HOST)
}

const STORE: &str = "interface store {
    variant error { io(string) }
    get: func(key: string) -> result<option<string>, error>;
}";

#[test]
fn imports_of_the_host_are_checked_by_type() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        ("wasi:config@0.2.0-rc.1", STORE, "store", &[]),
        // A function, and a type of a resource's function, that the host has otherwise or not at all.
        (
            "wasi:config@0.2.0-rc.1",
            "interface store { nope: func(); }",
            "store",
            &["W0302"],
        ),
        (
            "wasi:config@0.2.0-rc.1",
            "interface store { get-all: func(); }",
            "store",
            &["W0301"],
        ),
        (
            "wasi:random@0.2.99",
            "interface random { get-random-u128: func() -> u64; }",
            "random",
            &["W0302"],
        ),
        (
            "wasi:random@0.2.0",
            "interface random { get-random-u64: func() -> u64; }",
            "random",
            &[],
        ),
        (
            "wasi:random@0.2.0",
            "interface random { get-random-u64: func() -> u32; }",
            "random",
            &["W0301"],
        ),
        (
            "wasi:io@0.2.3",
            "interface streams { resource input-stream { read: func() -> u8; } }",
            "streams",
            &[],
        ),
        (
            "wasi:io@0.2.3",
            "interface streams { resource input-stream { read: func() -> u16; } }",
            "streams",
            &["W0301"],
        ),
        (
            "wasi:io@0.2.3",
            "interface streams { resource other; }",
            "streams",
            &["W0302"],
        ),
        // The host takes parameters by position.
        (
            "wasi:config@0.2.0-draft",
            "interface store { get: func(name: string) -> option<string>; }",
            "store",
            &[],
        ),
        // Types alone need nobody.
        (
            "wasi:cli@0.3.0",
            "interface types { enum error-code { other } }",
            "types",
            &[],
        ),
        // Drafts are served where their types agree.
        ("wasi:config@0.2.0-draft-2024-09-27", STORE, "store", &[]),
        ("wasi:config@0.2.0", STORE, "store", &[]),
        (
            "wasi:config@0.2.0-draft-2024-09-27",
            "interface store { get: func(key: string) -> option<string>; }",
            "store",
            &[],
        ),
        (
            "wasi:config@0.2.0-draft-2024-09-27",
            "interface store { get: func(); }",
            "store",
            &["W0101"],
        ),
        ("wasi:config@0.3.0-draft", STORE, "store", &["W0101"]),
        (
            "wasi:random@0.2.0-rc-2023-11-10",
            "interface random { get-random-u64: func() -> u64; }",
            "random",
            &[],
        ),
        (
            "wasi:random@0.2.0-rc-2023-11-10",
            "interface random { get-random-u64: func() -> u32; }",
            "random",
            &["W0101"],
        ),
        (
            "wasi:random@0.3.0-rc-2025-09-16",
            "interface random { get-random-u64: func() -> u64; }",
            "random",
            &["W0101"],
        ),
    ];
    for (package, text, interface, codes) in table {
        let app = importing(package, text, interface);
        assert_eq!(app.codes(), *codes, "{package} {text}\n{}", app.problems());
    }
}

/// A draft's resources and types are those of the draft's other interfaces.
#[test]
fn a_draft_may_use_types_of_its_other_interfaces() {
    let wit = |error: &str| {
        format!(
            "package wasi:io@0.2.0-rc {{ interface streams {{ resource input-stream {{ read: func() -> u8; }} }} }}
             package wasi:cli@0.2.0-rc {{ interface stdin {{ use wasi:io/streams@0.2.0-rc.{{input-stream}}; get-stdin: func() -> input-stream; }} }}
             package wasi:cli@0.3.0-rc {{
                interface types {{ enum error-code {{ {error} }} }}
                interface stdin {{ use types.{{error-code}}; read: func() -> result<u8, error-code>; }}
             }}
             world c {{ import wasi:cli/stdin@0.2.0-rc; import wasi:cli/stdin@0.3.0-rc; }}"
        )
    };
    let app = |error: &str| {
        App::new(&wit(error))
            .component("c")
            .called("c")
            .host_wit(HOST)
    };
    assert_eq!(app("io").problems(), "");
    let plan = app("io").plan();
    let names = plan.components[0].host_imports.iter();
    assert_eq!(names.filter(|name| name.contains("stdin")).count(), 2);
    insta::assert_snapshot!(app("io, other").problems());
}

#[test]
fn reports_show_both_sides_and_say_what_to_do() {
    let differ = importing(
        "wasi:config@0.2.0-rc.1",
        "interface store { get-all: func(); }",
        "store",
    );
    let lacks = importing(
        "wasi:random@0.2.99",
        "interface random { get-random-u128: func() -> u64; }",
        "random",
    );
    let draft = importing(
        "wasi:random@0.2.0-rc-2023-11-10",
        "interface random { get-random-u64: func() -> u32; }",
        "random",
    );
    let text = [differ, lacks, draft].map(|app| app.problems());
    insta::assert_snapshot!(text.join("\n"));
}

/// A link goes before the host, and is checked against its target only.
#[test]
fn a_linked_import_is_not_the_hosts() {
    let wit = "package wasi:random@0.2.0 { interface random { get-random-u64: func() -> u32; } }
               world c { import wasi:random/random@0.2.0; }
               world dice { export wasi:random/random@0.2.0; }";
    let app = App::new(wit)
        .component("c")
        .called("c")
        .link("dice", &[])
        .component("dice");
    assert_eq!(app.host_wit(HOST).problems(), "");
}
