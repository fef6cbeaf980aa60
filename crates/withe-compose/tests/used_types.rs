//! Types that reach an interface or a world through `use`: a composition names them outside, wherever
//! the interface that declares them is linked to.

mod support;

use support::*;
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use withe_compose::{Constituent, FuseWire, plug};

/// Interfaces that use one another's types.
const PACKAGES: &str = "
package ex:t@1.0.0 {
    interface kinds {
        enum level { low, high }
        flags marks { read, write }
        variant shape { none, round(f64), marked(marks) }
        type levels = list<level>;
    }
    interface staff {
        use kinds.{levels, shape as form};
        enum rank { low, high }
        record person { name: string, rank: rank, levels: levels, form: form }
        find: func(n: string) -> option<person>;
    }
    interface desk { use staff.{person}; ask: func(n: string) -> result<person, string>; }
    interface board {
        use desk.{person as member};
        use staff.{rank};
        record seat { of: member, rank: rank }
        seats: func(l: list<member>) -> list<seat>;
    }
    interface only { record user { name: string, at: spot } enum spot { here, there } type users = list<user>; }
    interface hall { use only.{users}; greet: func(l: users) -> u32; }

    interface shop {
        resource item { constructor(name: string); name: func() -> string; }
        record offer { what: own<item>, by: agent }
        enum agent { person, machine }
        best: func() -> offer;
    }
    interface counter { use shop.{item}; buy: func(n: u32) -> item; }
    interface window { use shop.{offer}; show: func() -> option<offer>; }
    interface street { use window.{offer as bargain}; use counter.{item}; pass: func(i: borrow<item>) -> bargain; }
}";

/// The root's exports, the exports it is given, and the ways in which that may be shown.
const CASES: &[(&str, &str, &str)] = &[
    (
        "an interface uses a record, the enum in it is not used",
        "import ex:t/staff@1.0.0; export ex:t/desk@1.0.0;",
        "export ex:t/staff@1.0.0;",
    ),
    (
        "a function of the world uses a record",
        "use ex:t/staff@1.0.0.{person}; import ex:t/staff@1.0.0; export ask: func(n: string) -> option<person>;",
        "export ex:t/staff@1.0.0;",
    ),
    (
        "a type of the world is renamed",
        "use ex:t/staff@1.0.0.{person as someone}; import ex:t/staff@1.0.0; export ask: func(n: someone);",
        "export ex:t/staff@1.0.0;",
    ),
    (
        "several interfaces use it, one through another",
        "import ex:t/staff@1.0.0; export ex:t/desk@1.0.0; export ex:t/board@1.0.0;",
        "export ex:t/kinds@1.0.0; export ex:t/staff@1.0.0;",
    ),
    (
        "the interface in between is not exported",
        "import ex:t/staff@1.0.0; export ex:t/board@1.0.0;",
        "export ex:t/staff@1.0.0; export ex:t/desk@1.0.0;",
    ),
    (
        "an interface of types alone",
        "import ex:t/only@1.0.0; export ex:t/hall@1.0.0;",
        "export ex:t/only@1.0.0;",
    ),
    (
        "the exporter uses it, too",
        "import ex:t/desk@1.0.0; export ex:t/board@1.0.0;",
        "export ex:t/desk@1.0.0;",
    ),
    (
        "a resource",
        "import ex:t/shop@1.0.0; export ex:t/counter@1.0.0;",
        "export ex:t/shop@1.0.0;",
    ),
    (
        "a record of a resource",
        "import ex:t/shop@1.0.0; export ex:t/window@1.0.0;",
        "export ex:t/shop@1.0.0;",
    ),
    (
        "a resource and a record of it, through two interfaces each",
        "import ex:t/shop@1.0.0; export ex:t/counter@1.0.0; export ex:t/window@1.0.0; export ex:t/street@1.0.0;",
        "export ex:t/shop@1.0.0;",
    ),
    (
        "a resource in a function of the world",
        "use ex:t/shop@1.0.0.{item, offer}; import ex:t/shop@1.0.0; export swap: func(i: item) -> offer;",
        "export ex:t/shop@1.0.0;",
    ),
    (
        "a record of a resource in a function of the world",
        "use ex:t/shop@1.0.0.{offer as deal}; import ex:t/shop@1.0.0; export swap: func(i: deal) -> list<deal>;",
        "export ex:t/shop@1.0.0;",
    ),
    (
        "a type of the world in an import that stays",
        "use ex:t/staff@1.0.0.{person}; import ex:t/staff@1.0.0; import log: func(p: person); export run: func();",
        "export ex:t/staff@1.0.0;",
    ),
    (
        "an import that stays uses a record of a linked one",
        "import ex:t/staff@1.0.0; import ex:t/desk@1.0.0; import ex:t/board@1.0.0; export run: func();",
        "export ex:t/staff@1.0.0;",
    ),
];

fn part(items: &str) -> Vec<u8> {
    component_with(items, PACKAGES).unwrap_or_else(|e| panic!("{items}\n{e:?}"))
}

/// A wire for each interface that the second exports and the first imports.
fn wires(importer: (usize, &[u8]), exporter: (usize, &[u8])) -> Vec<FuseWire> {
    let imports = import_names(importer.1);
    let names = export_names(exporter.1).into_iter();
    let wired = names.filter(|name| imports.contains(name));
    wired
        .map(|name| wire(importer.0, &name, exporter.0))
        .collect()
}

fn fused(root: &[u8], leaf: &[u8]) -> Vec<u8> {
    let parts: Vec<Constituent> = vec![constituent("root", root), constituent("leaf", leaf)];
    fuse_valid(parts, wires((0, root), (1, leaf))).bytes
}

fn plugged(root: &[u8], leaf: &[u8]) -> Vec<u8> {
    let bytes = plug(("root", root), &[("leaf".to_owned(), leaf.to_vec())])
        .unwrap_or_else(|e| panic!("{e}"));
    assert_valid(&bytes);
    bytes
}

#[test]
fn used_types_are_named_outside() {
    for (case, root, leaf) in CASES {
        println!("{case}");
        let (root, leaf) = (part(root), part(leaf));
        for composed in [fused(&root, &leaf), plugged(&root, &leaf)] {
            // All exports stay; types may get a name in addition.
            let exports = export_names(&composed);
            assert!(
                export_names(&root)
                    .iter()
                    .all(|name| exports.contains(name)),
                "{case}: {exports:?}"
            );
            // An interface imported again for its types is linked inside: nothing else of it is wanted.
            let linked: Vec<_> = wires((0, &root), (1, &leaf))
                .into_iter()
                .map(|w| w.import)
                .collect();
            for (name, ty) in imports(&composed) {
                if linked.iter().any(|import| is_for(&name, import)) {
                    assert!(
                        ty.iter().all(|(_, is_type)| *is_type),
                        "{case}: {name:?} {ty:?}"
                    );
                }
            }
        }
    }
}

/// Whether an import of a composition is for the import `original` of a part.
/// An import comes before every export, so a type in it cannot have its name from one of them.
#[test]
fn what_an_import_names_is_made_of_imports() {
    let package = "package ex:t@1.0.0 {
        interface base { record point { x: u32 } }
        interface lines {
            use base.{point};
            record line { start: point }
            record path { first: line }
            move: func(p: point) -> point;
        }
        interface moves { use lines.{point}; to: func(p: point) -> point; }
        interface paths { use lines.{path}; get: func() -> path; }
    }";
    let root = component_with("export ex:t/moves@1.0.0; export ex:t/paths@1.0.0;", package);
    let leaf = component_with("export ex:t/base@1.0.0; export ex:t/lines@1.0.0;", package);
    let (root, leaf) = (root.unwrap(), leaf.unwrap());
    let constituents = vec![constituent("root", &root), constituent("leaf", &leaf)];
    // The other interface is of types alone, which nobody has to satisfy.
    fuse_valid(constituents, vec![wire(0, "ex:t/lines@1.0.0", 1)]);
}

fn is_for((name, implements): &Import, original: &str) -> bool {
    name == original || implements.as_deref() == Some(original)
}

/// An import's name and what it implements.
type Import = (String, Option<String>);

/// The items of an instance, and whether they are value types.
type Items = Vec<(String, bool)>;

/// Each import of a component, and the items of those that are instances: whether they are types.
fn imports(bytes: &[u8]) -> Vec<(Import, Items)> {
    let types = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(bytes)
        .unwrap();
    let (imports, _) = externs(bytes);
    let items = |name: &str| match types.as_ref().component_item_for_import(name).unwrap().ty {
        ComponentEntityType::Instance(id) => types.as_ref()[id]
            .exports
            .iter()
            .map(|(name, item)| {
                let is_value_type = matches!(
                    item.ty,
                    ComponentEntityType::Type {
                        created: ComponentAnyTypeId::Defined(_),
                        ..
                    }
                );
                (name.to_string(), is_value_type)
            })
            .collect(),
        _ => Vec::new(),
    };
    imports
        .into_iter()
        .map(|import| (import.clone(), items(&import.0)))
        .collect()
}
