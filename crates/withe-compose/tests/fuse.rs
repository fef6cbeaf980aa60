//! Fusing whole components.

mod support;

use support::*;
use withe_compose::{FuseError, FuseWire, FusedImport, LinkError};

const FRONT: &str = "
    import wasi:cli/stdout@0.2.6;
    import wasi:cli/environment@0.2.6;
    import wasi:config/store@0.2.0-draft;
    import app:visits/types@1.0.0;
    import app:visits/visits@1.0.0;
    export wasi:http/incoming-handler@0.2.6;";

const VISITS: &str = "
    import wasi:cli/stdout@0.2.0;
    import wasi:config/store@0.2.0-draft;
    import wasi:keyvalue/store@0.2.0-draft;
    import wasi:keyvalue/atomics@0.2.0-draft;
    export app:visits/types@1.0.0;
    export app:visits/visits@1.0.0;";

fn visits_wires() -> Vec<FuseWire> {
    vec![
        wire(0, "app:visits/types@1.0.0", 1),
        wire(0, "app:visits/visits@1.0.0", 1),
    ]
}

fn shared(name: &str) -> FusedImport {
    FusedImport {
        name: name.into(),
        constituent: None,
        import: name.into(),
    }
}

fn own(name: &str, constituent: usize, import: &str) -> FusedImport {
    FusedImport {
        name: name.into(),
        constituent: Some(constituent),
        import: import.into(),
    }
}

#[test]
fn keeps_identities_apart_and_shared_types_together() {
    let parts = vec![
        constituent("front", &component(FRONT)),
        constituent("visits", &component(VISITS)),
    ];
    let fused = fuse_valid(parts, visits_wires());
    assert_eq!(
        fused.imports,
        [
            shared("wasi:io/error@0.2.6"),
            shared("wasi:io/streams@0.2.6"),
            own("front-wasi-cli-stdout", 0, "wasi:cli/stdout@0.2.6"),
            own(
                "front-wasi-cli-environment",
                0,
                "wasi:cli/environment@0.2.6"
            ),
            own(
                "front-wasi-config-store",
                0,
                "wasi:config/store@0.2.0-draft"
            ),
            shared("wasi:http/types@0.2.6"),
            own("visits-wasi-cli-stdout", 1, "wasi:cli/stdout@0.2.0"),
            own(
                "visits-wasi-config-store",
                1,
                "wasi:config/store@0.2.0-draft"
            ),
            own(
                "visits-wasi-keyvalue-store",
                1,
                "wasi:keyvalue/store@0.2.0-draft"
            ),
            own(
                "visits-wasi-keyvalue-atomics",
                1,
                "wasi:keyvalue/atomics@0.2.0-draft"
            ),
        ]
    );
    let (imports, exports) = externs(&fused.bytes);
    // A label says which interface it stands for, in the release that the constituent asked for.
    for import in &fused.imports {
        let implements = import.constituent.map(|_| import.import.clone());
        assert!(
            imports.contains(&(import.name.clone(), implements)),
            "{import:?} in {imports:?}"
        );
    }
    assert_eq!(imports.len(), fused.imports.len());
    assert_eq!(
        exports,
        [("wasi:http/incoming-handler@0.2.6".to_owned(), None)]
    );
}

#[test]
fn one_resource_type_serves_separate_imports_and_calls_between_constituents() {
    // The stream that `files` hands on comes from its own file system; that `sink` may take it proves
    // that both mean the shared `wasi:io/streams`.
    let files = component(
        "import wasi:filesystem/preopens@0.2.6;
         import app:visits/pipe@1.0.0;
         export app:visits/run@1.0.0;",
    );
    let sink = component("import wasi:cli/stdout@0.2.6; export app:visits/pipe@1.0.0;");
    let wires = vec![wire(0, "app:visits/pipe@1.0.0", 1)];
    let fused = fuse_valid(
        vec![constituent("files", &files), constituent("sink", &sink)],
        wires.clone(),
    );
    let names: Vec<_> = fused
        .imports
        .iter()
        .map(|import| import.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "wasi:io/error@0.2.6",
            "wasi:io/streams@0.2.6",
            "wasi:clocks/wall-clock@0.2.6",
            "wasi:filesystem/types@0.2.6",
            "files-wasi-filesystem-preopens",
            "sink-wasi-cli-stdout",
        ]
    );

    // Were the streams separate, the two types would differ, and that is found.
    let request = withe_compose::FuseRequest {
        constituents: vec![constituent("files", &files), constituent("sink", &sink)],
        wires,
    };
    let error = withe_compose::fuse(&request, &|_| true).unwrap_err();
    let FuseError::Link(errors) = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(&errors[..], [LinkError::Mismatch { .. }]),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "`app:visits/pipe@1.0.0` of `sink` cannot satisfy the import `app:visits/pipe@1.0.0` of `files`: \
         `input-stream`: expected resource `input-stream` of the imported `files-wasi-io-streams`, \
         found resource `input-stream` of the imported `sink-wasi-io-streams`"
    );
}

#[test]
fn shared_imports_have_all_that_anyone_uses() {
    let a =
        component("import wasi:io/streams@0.2.0; import app:visits/run@1.0.0; export run: func();");
    let b = component("import wasi:io/streams@0.2.6; export app:visits/run@1.0.0;");
    let fused = fuse_valid(
        vec![constituent("a", &a), constituent("b", &b)],
        vec![wire(0, "app:visits/run@1.0.0", 1)],
    );
    assert_eq!(
        import_names(&fused.bytes),
        ["wasi:io/error@0.2.6", "wasi:io/streams@0.2.6"]
    );
    let items = import_items(&fused.bytes);
    for item in [
        "[method]input-stream.read",
        "[method]input-stream.skip",
        "[method]output-stream.check-write",
    ] {
        assert!(
            items.contains(&format!("wasi:io/streams@0.2.6.{item}")),
            "{items:?}"
        );
    }
}

#[test]
fn two_releases_in_one_constituent_share_too() {
    // As two libraries in one program have it. Encoders of today merge the two, older ones did not.
    let a = wat(r#"(component
        (import "wasi:io/streams@0.2.0" (instance $old (export "output-stream" (type (sub resource)))))
        (alias export $old "output-stream" (type $old-stream))
        (import "wasi:cli/stdout@0.2.0" (instance
            (alias outer 1 $old-stream (type $s)) (export "output-stream" (type $t (eq $s)))
            (export "get-stdout" (func (result (own $t))))))
        (import "wasi:io/streams@0.2.6" (instance $new (export "output-stream" (type (sub resource)))))
        (alias export $new "output-stream" (type $new-stream))
        (import "wasi:cli/stdout@0.2.6" (instance
            (alias outer 1 $new-stream (type $s)) (export "output-stream" (type $t (eq $s)))
            (export "get-stdout" (func (result (own $t))))))
        (import "app:visits/run@1.0.0" (instance (export "run" (func)))))"#);
    let b = component("export app:visits/run@1.0.0;");
    let fused = fuse_valid(
        vec![constituent("a", &a), constituent("b", &b)],
        vec![wire(0, "app:visits/run@1.0.0", 1)],
    );
    assert_eq!(
        import_names(&fused.bytes),
        [
            "wasi:io/streams@0.2.6",
            "a-wasi-cli-stdout",
            "a-wasi-cli-stdout-n2"
        ]
    );
}

#[test]
fn labels_stay_apart_and_keep_their_interface() {
    let a = component(
        "import cache: wasi:keyvalue/store@0.2.0-draft;
         import cold: wasi:keyvalue/store@0.2.0-draft;
         import app:visits/run@1.0.0;",
    );
    let b = component("import cold: wasi:keyvalue/store@0.2.0-draft; export app:visits/run@1.0.0;");
    let kv = component("export wasi:keyvalue/store@0.2.0-draft;");
    let cache = FuseWire {
        importer: 0,
        import: "cache".into(),
        exporter: 2,
        export: "wasi:keyvalue/store@0.2.0-draft".into(),
    };
    let fused = fuse_valid(
        vec![
            constituent("a", &a),
            constituent("b", &b),
            constituent("kv", &kv),
        ],
        vec![wire(0, "app:visits/run@1.0.0", 1), cache],
    );
    assert_eq!(
        fused.imports,
        [own("a-cold", 0, "cold"), own("b-cold", 1, "cold")]
    );
    let implements = Some("wasi:keyvalue/store@0.2.0-draft".to_owned());
    assert_eq!(
        externs(&fused.bytes).0,
        [
            ("a-cold".to_owned(), implements.clone()),
            ("b-cold".to_owned(), implements)
        ]
    );
}

#[test]
fn functions_types_and_resources_of_the_world_are_kept_apart() {
    let items = "
        use wasi:io/streams@0.2.6.{input-stream};
        record point { x: u32, y: list<string> }
        resource file {
          constructor(path: string);
          size: func() -> u64;
          remove: static func(path: string);
        }
        import log: func(at: point, on: input-stream, within: borrow<file>);";
    let a = component(&format!("{items} import app:visits/run@1.0.0;"));
    let b = component(&format!("{items} export app:visits/run@1.0.0;"));
    let fused = fuse_valid(
        vec![constituent("a", &a), constituent("b", &b)],
        vec![wire(0, "app:visits/run@1.0.0", 1)],
    );
    for (index, label) in ["a", "b"].into_iter().enumerate() {
        for (name, import) in [
            ("{}-file", "file"),
            ("[constructor]{}-file", "[constructor]file"),
            ("[method]{}-file.size", "[method]file.size"),
            ("[static]{}-file.remove", "[static]file.remove"),
            ("{}-log", "log"),
        ] {
            let import = own(&name.replace("{}", label), index, import);
            assert!(
                fused.imports.contains(&import),
                "{import:?} in {:?}",
                fused.imports
            );
        }
        let names = import_names(&fused.bytes);
        assert!(names.contains(&format!("{label}-point")), "{names:?}");
        // The stream comes from the shared interface and needs no import of its own.
        assert!(
            !names.contains(&format!("{label}-input-stream")),
            "{names:?}"
        );
    }
}

#[test]
fn functions_and_types_of_the_root_are_exported() {
    let root = component(
        "use wasi:io/streams@0.2.6.{input-stream};
         import app:visits/run@1.0.0;
         export app:visits/types@1.0.0;
         export describe: func(at: tuple<string, list<u8>>, on: input-stream) -> result<u32, string>;",
    );
    let run = component("export app:visits/run@1.0.0;");
    let fused = fuse_valid(
        vec![constituent("root", &root), constituent("run", &run)],
        vec![wire(0, "app:visits/run@1.0.0", 1)],
    );
    assert_eq!(export_names(&fused.bytes), export_names(&root));
}

#[test]
fn a_world_level_record_in_an_exported_function_is_named() {
    let root = wat(r#"(component
        (import "app:visits/run@1.0.0" (instance (export "run" (func))))
        (core module $m
            (memory (export "mem") 1)
            (func (export "f") (param i32 i32))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (type $r (record (field "x" u32) (field "y" u32)))
        (export $point "point" (type $r))
        (type $ft (func (param "at" $point)))
        (alias core export $i "f" (core func $f))
        (func $lifted (type $ft) (canon lift (core func $f)))
        (export "draw" (func $lifted) (func (type $ft))))"#);
    let run = component("export app:visits/run@1.0.0;");
    let fused = fuse_valid(
        vec![constituent("root", &root), constituent("run", &run)],
        vec![wire(0, "app:visits/run@1.0.0", 1)],
    );
    assert_eq!(export_names(&fused.bytes), ["point", "draw"]);
}

#[test]
fn resources_defined_by_an_exporter_reach_the_importer() {
    // `visits` uses the cursor of `types`; both are satisfied by one constituent.
    let front = component("import app:visits/visits@1.0.0; export app:visits/run@1.0.0;");
    let visits = component("export app:visits/types@1.0.0; export app:visits/visits@1.0.0;");
    let fused = fuse_valid(
        vec![constituent("front", &front), constituent("visits", &visits)],
        visits_wires(),
    );
    assert!(fused.imports.is_empty());

    // By two, the cursor of one is not the cursor of the other.
    let two = vec![
        constituent("front", &front),
        constituent("visits", &visits),
        constituent("visits-2", &visits),
    ];
    let wires = vec![
        wire(0, "app:visits/types@1.0.0", 1),
        wire(0, "app:visits/visits@1.0.0", 2),
    ];
    let error = try_fuse(two, wires).unwrap_err().to_string();
    assert!(
        error.contains("`cursor`: expected resource `app:visits/types@1.0.0.cursor` of `visits`"),
        "{error}"
    );
}

#[test]
fn versions_of_one_track_satisfy_each_other() {
    let front = component("import app:visits/visits@1.0.0; export app:visits/run@1.0.0;");
    let visits = component("export app:visits/types@1.2.0; export app:visits/visits@1.2.0;");
    let wires = ["types", "visits"].map(|name| FuseWire {
        importer: 0,
        import: format!("app:visits/{name}@1.0.0"),
        exporter: 1,
        export: format!("app:visits/{name}@1.2.0"),
    });
    fuse_valid(
        vec![constituent("front", &front), constituent("visits", &visits)],
        wires.to_vec(),
    );
}

#[test]
fn async_components_fuse() {
    let items = "import wasi:cli/stdout@0.3.0;";
    let a = component(&format!(
        "{items} import app:visits/ticks@1.0.0; export run: async func();"
    ));
    let b = component(&format!("{items} export app:visits/ticks@1.0.0;"));
    let fused = fuse_valid(
        vec![constituent("a", &a), constituent("b", &b)],
        vec![wire(0, "app:visits/ticks@1.0.0", 1)],
    );
    assert_eq!(
        fused.imports,
        [
            own("a-wasi-cli-stdout", 0, "wasi:cli/stdout@0.3.0"),
            own("b-wasi-cli-stdout", 1, "wasi:cli/stdout@0.3.0"),
        ]
    );
}

#[test]
fn one_constituent_alone_stays_as_it_is() {
    let bytes = component(VISITS);
    let fused = fuse_valid(vec![constituent("visits", &bytes)], vec![]);
    assert_eq!(externs(&fused.bytes), externs(&bytes));
    assert_eq!(
        fused.imports,
        [
            shared("wasi:io/error@0.2.0"),
            shared("wasi:io/streams@0.2.0"),
            own("wasi:cli/stdout@0.2.0", 0, "wasi:cli/stdout@0.2.0"),
            own(
                "wasi:config/store@0.2.0-draft",
                0,
                "wasi:config/store@0.2.0-draft"
            ),
            own(
                "wasi:keyvalue/store@0.2.0-draft",
                0,
                "wasi:keyvalue/store@0.2.0-draft"
            ),
            own(
                "wasi:keyvalue/atomics@0.2.0-draft",
                0,
                "wasi:keyvalue/atomics@0.2.0-draft"
            ),
        ]
    );
}

#[test]
fn same_bytes_are_embedded_once_and_instantiated_twice() {
    let front = component(
        "import one: app:visits/run@1.0.0; import two: app:visits/run@1.0.0; export run: func();",
    );
    let run = component("import wasi:config/store@0.2.0-draft; export app:visits/run@1.0.0;");
    let wires = [("one", 1), ("two", 2)].map(|(import, exporter)| FuseWire {
        importer: 0,
        import: import.into(),
        exporter,
        export: "app:visits/run@1.0.0".into(),
    });
    let mut again = constituent("run-2", &run);
    again.name = "run".into();
    let parts = vec![
        constituent("front", &front),
        constituent("run", &run),
        again,
    ];
    let fused = fuse_valid(parts.clone(), wires.to_vec());
    assert_eq!(embedded(&fused.bytes), 2);
    assert_eq!(
        import_names(&fused.bytes),
        ["run-wasi-config-store", "run-2-wasi-config-store"]
    );

    assert_eq!(
        fused,
        fuse_valid(parts, wires.to_vec()),
        "the same request gives the same bytes"
    );
}

#[test]
fn core_modules_are_named_after_their_component() {
    let parts = vec![
        constituent("front", &component(FRONT)),
        constituent("visits", &component(VISITS)),
    ];
    let fused = fuse_valid(parts, visits_wires());
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&fused.bytes) {
        if let wasmparser::Payload::CustomSection(custom) = payload.unwrap()
            && let wasmparser::KnownCustom::Name(section) = custom.as_known()
        {
            for name in section {
                if let wasmparser::Name::Module { name, .. } = name.unwrap() {
                    names.push(name.to_owned());
                }
            }
        }
    }
    names.dedup();
    assert_eq!(names, ["visits", "front"]);
}

#[test]
fn an_import_cannot_name_what_is_defined_inside() {
    let visits = component("export app:visits/types@1.0.0; export app:visits/visits@1.0.0;");
    let wires = vec![wire(0, "app:visits/types@1.0.0", 1)];
    // An import that is left needs the cursor that is defined inside.
    let front = component("import app:visits/visits@1.0.0; export app:visits/run@1.0.0;");
    let parts = vec![constituent("front", &front), constituent("visits", &visits)];
    let error = try_fuse(parts, wires.clone()).unwrap_err();
    assert!(
        matches!(&error, FuseError::Link(errors)
        if matches!(&errors[..], [LinkError::HiddenResource { extern_name, .. }]
            if extern_name == "app:visits/visits@1.0.0")),
        "{error}"
    );
    // An export can.
    let front = wat(r#"(component
        (import "app:visits/types@1.0.0" (instance $t (export "cursor" (type (sub resource)))))
        (alias export $t "cursor" (type $c))
        (instance $out (export "cursor" (type $c)))
        (export "app:visits/other" (instance $out)))"#);
    let parts = vec![constituent("front", &front), constituent("visits", &visits)];
    let fused = fuse_valid(parts, wires);
    assert_eq!(export_names(&fused.bytes), ["app:visits/other"]);
}

#[test]
fn faults_of_a_request_are_named() {
    let front = component(FRONT);
    let visits = component(VISITS);
    let two = || vec![constituent("front", &front), constituent("visits", &visits)];
    let table: [(Vec<_>, Vec<_>, &str); 9] = [
        (vec![], vec![], "there is nothing to fuse"),
        (
            vec![constituent("front", b"text")],
            vec![],
            "cannot fuse `front`: this is not a valid component",
        ),
        (
            vec![constituent("front", &wat("(module)"))],
            vec![],
            "cannot fuse `front`: this is a core WebAssembly module, not a component",
        ),
        (
            vec![constituent("Front_1", &front)],
            vec![],
            "`Front_1` is not a label in kebab-case",
        ),
        (
            vec![constituent("front", &front), constituent("front", &visits)],
            vec![],
            "two constituents are labelled `front`",
        ),
        (
            two(),
            vec![wire(0, "app:visits/visits@1.0.0", 2)],
            "names constituent 2, but there are only 2",
        ),
        (
            two(),
            vec![wire(0, "app:visits/none", 1)],
            "`front` has no import `app:visits/none`",
        ),
        (
            two(),
            vec![wire(0, "wasi:cli/stdout@0.2.6", 1)],
            "`visits` has no export `wasi:cli/stdout@0.2.6`",
        ),
        (
            two(),
            [visits_wires(), visits_wires()].concat(),
            "the import `app:visits/types@1.0.0` of `front` is wired twice",
        ),
    ];
    for (parts, wires, want) in table {
        let error = try_fuse(parts, wires).unwrap_err().to_string();
        assert!(error.contains(want), "{error}\nwanted {want}");
    }
}

#[test]
fn types_that_differ_are_told_with_the_way_to_the_difference() {
    let front = component("import app:visits/visits@1.0.0; export app:visits/run@1.0.0;");
    let wrong = component("export app:visits/types@1.0.0; export app:wrong/visits@1.0.0;");
    let wires = vec![
        wire(0, "app:visits/types@1.0.0", 1),
        FuseWire {
            importer: 0,
            import: "app:visits/visits@1.0.0".into(),
            exporter: 1,
            export: "app:wrong/visits@1.0.0".into(),
        },
    ];
    let error = try_fuse(
        vec![constituent("front", &front), constituent("wrong", &wrong)],
        wires,
    );
    // The import's own types come first in its binary.
    assert_eq!(
        error.unwrap_err().to_string(),
        "`app:wrong/visits@1.0.0` of `wrong` cannot satisfy the import `app:visits/visits@1.0.0` of `front`: \
         `visit`: expected a value type, found nothing of that name"
    );
}

#[test]
fn a_circle_is_refused() {
    let a = component("import app:visits/run@1.0.0; export app:visits/visits@1.0.0;");
    let b = component("import app:visits/visits@1.0.0; export app:visits/run@1.0.0;");
    let wires = vec![
        wire(0, "app:visits/run@1.0.0", 1),
        wire(1, "app:visits/visits@1.0.0", 0),
    ];
    let error = try_fuse(vec![constituent("a", &a), constituent("b", &b)], wires).unwrap_err();
    assert_eq!(
        error.to_string(),
        "components need each other: `a` -> `b` -> `a`; components inside one component cannot be linked \
         in a circle"
    );
}

#[test]
fn constituents_that_disagree_about_a_shared_interface_are_named() {
    let a = wat(
        r#"(component (import "x:y/z@1.0.0" (instance (export "f" (func (param "a" u32)))))
        (import "app:visits/run@1.0.0" (instance (export "run" (func)))))"#,
    );
    let b = wat(
        r#"(component (import "x:y/z@1.1.0" (instance (export "f" (func (param "a" string)))))
        (instance $run) (export "app:visits/run@1.0.0" (instance $run)))"#,
    );
    let error = try_fuse(vec![constituent("a", &a), constituent("b", &b)], vec![]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a` and `b` import `x:y/z@1.1.0` and have to share it, but disagree: \
         `f`, parameter `a`: expected `u32`, found `string`"
    );
}
