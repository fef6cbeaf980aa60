//! WAC documents.

mod support;

use support::*;
use withe_compose::{WacError, wac};

const SOURCE: &str = "package test:app;

let visits = new test:visits { ... };
let front = new test:front {
  \"app:visits/types@1.0.0\": visits[\"app:visits/types@1.0.0\"],
  \"app:visits/visits@1.0.0\": visits[\"app:visits/visits@1.0.0\"],
  ...
};
export front...;
";

fn deps() -> Vec<(String, Vec<u8>)> {
    let front = "import app:visits/types@1.0.0; import app:visits/visits@1.0.0;
        import wasi:cli/stdout@0.2.6; export app:visits/run@1.0.0;";
    let visits = "import wasi:config/store@0.2.0-draft; export app:visits/types@1.0.0;
        export app:visits/visits@1.0.0;";
    vec![
        ("test:front".into(), component(front)),
        ("test:visits".into(), component(visits)),
    ]
}

#[test]
fn composes_what_a_document_says() {
    let composed = wac(SOURCE, "app.wac", &deps()).unwrap_or_else(|e| panic!("{e}"));
    assert_valid(&composed);
    assert_eq!(export_names(&composed), ["app:visits/run@1.0.0"]);
    assert!(import_names(&composed).contains(&"wasi:config/store@0.2.0-draft".to_owned()));
}

#[test]
fn a_version_belongs_to_a_package_name() {
    let source = SOURCE.replace("test:visits", "test:visits@1.2.3");
    let mut deps = deps();
    deps[1].0 = "test:visits@1.2.3".into();
    wac(&source, "app.wac", &deps).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn faults_are_told_with_their_place() {
    let table = [
        (
            SOURCE.replace("new test:visits", "new test:visit"),
            "unknown package `test:visit`\n  --> app.wac:3:18: unknown package `test:visit`",
        ),
        (
            SOURCE.replace("export front", "export für"),
            "unexpected token was encountered\n  --> app.wac:9:9",
        ),
        (
            SOURCE.replace("export front", "/* ü */ export back"),
            "undefined name `back`\n  --> app.wac:9:16: undefined name `back`",
        ),
        (
            SOURCE.replace(
                "visits/types@1.0.0\": visits",
                "visits/type@1.0.0\": visits",
            ),
            "component `test:front` has no import named `app:visits/type@1.0.0`\n  --> app.wac:5:3: \
             unknown import `app:visits/type@1.0.0`",
        ),
        (
            SOURCE.replace("  ...\n", ""),
            "missing instantiation argument `wasi:io/error@0.2.6` for package `test:front`\n  --> app.wac:4:17: \
             missing argument `wasi:io/error@0.2.6`\n  help: give it, as in `new test:front { \
             \"wasi:io/error@0.2.6\": … }`, or end the arguments with `...`: what is not given is then \
             imported by the composition",
        ),
        (
            SOURCE.replace("new test:visits", "new test:visit"),
            "help: say which file it is: `--dep test:visit=FILE.wasm`",
        ),
        (
            SOURCE
                .replace("let front = new", "export new")
                .replace("};\nexport front...;", "};"),
            "help: name it: `export e as \"my-function\";`",
        ),
        (String::new(), "app.wac:1:1"),
        (
            format!(
                "package a:b; let x = {}y{};",
                "(".repeat(500),
                ")".repeat(500)
            ),
            "nested deeper than 128",
        ),
    ];
    for (source, want) in table {
        let error = wac(&source, "app.wac", &deps()).unwrap_err();
        assert!(matches!(error, WacError::Document(_)), "{error:?}");
        assert!(error.to_string().contains(want), "{error}\nwanted {want}");
    }
}

#[test]
fn dependencies_are_checked_first() {
    let component = component("export app:visits/run@1.0.0;");
    type Deps<'a> = Vec<(&'a str, &'a [u8])>;
    let table: [(Deps, &str); 4] = [
        (vec![("front", &component)], "`front` is not a package name"),
        (
            vec![("test:front@1", &component)],
            "`test:front@1` is not a package name",
        ),
        (
            vec![("test:front", b"text")],
            "cannot compose `test:front`: this is not a valid component",
        ),
        (
            vec![("test:a", &component), ("test:a", &component)],
            "the package `test:a` is given twice",
        ),
    ];
    for (deps, want) in table {
        let deps: Vec<_> = deps
            .into_iter()
            .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
            .collect();
        let error = wac("package a:b;", "app.wac", &deps)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(want), "{error}\nwanted {want}");
    }
}
