//! One importer, several compatible versions of an interface.

use crate::testing::App;

const WIT: &str = "
    package t:t@0.2.0 { interface x { v: func(); } interface y { v: func(); } }
    package t:t@0.2.1 { interface x { v: func(); w: func(); } }
    package t:t@0.2.5 { interface x { v: func(); w: func(); } }
    package t:t@0.3.0 { interface x { v: func(); } }
    world both { import t:t/x@0.2.0; import t:t/x@0.2.1; }
    world old { import t:t/x@0.2.0; }
    world new { import t:t/x@0.2.1; }
    world p0 { export t:t/x@0.2.0; }
    world p1 { export t:t/x@0.2.1; }
    world p5 { export t:t/x@0.2.5; }
    world many { export t:t/x@0.2.0; export t:t/x@0.2.1; export t:t/x@0.3.0; }
";

/// A component of the world `importer` with links to `p0` and `p1` and others, each with settings.
fn app(importer: &str, links: &[(&str, &[&str])]) -> App {
    let mut app = App::new(WIT).component(importer).called(importer);
    let mut targets: Vec<&str> = Vec::new();
    for (target, settings) in links {
        app = app.link(target, settings);
        if !targets.contains(target) {
            targets.push(target);
        }
    }
    targets.into_iter().fold(app, App::component)
}

/// The links, `import target` a line, or else the problems' codes.
fn outcome(app: &App) -> Vec<String> {
    if let Some(plan) = app.link_all().plan {
        let links = plan.links.iter().flat_map(|link| {
            let interfaces = link.interfaces.iter();
            interfaces.map(|i| format!("{} {} {}", i.import, link.target, i.export))
        });
        let mut links: Vec<_> = links.map(|text| text.replace("t:t/x@", "")).collect();
        links.sort();
        return links;
    }
    app.codes().into_iter().map(Into::into).collect()
}

#[test]
fn the_exact_version_goes_before_a_compatible_one() {
    const PACKAGE: &str = "for: t:t";
    let x0: &[&str] = &[PACKAGE, "interfaces: x@0.2.0"];
    let x1: &[&str] = &[PACKAGE, "interfaces: x@0.2.1"];
    let x: &[&str] = &[PACKAGE, "interfaces: x"];
    let package: &[&str] = &[PACKAGE];
    let split: &[&str] = &["0.2.0 p0 0.2.0", "0.2.1 p1 0.2.1"];
    type Case<'a> = (&'a str, &'a [(&'a str, &'a [&'a str])], &'a [&'a str]);
    let table: &[Case<'_>] = &[
        // Named, by package, by interface, and by the target only.
        ("both", &[("p0", x0), ("p1", x1)], split),
        ("both", &[("p1", x1), ("p0", x0)], split),
        ("both", &[("p0", package), ("p1", package)], split),
        ("both", &[("p0", x), ("p1", x)], split),
        ("both", &[("p0", &[]), ("p1", &[])], split),
        ("both", &[("p0", x0), ("p1", x)], split),
        ("both", &[("p0", x), ("p1", &[])], split),
        // A link that names a version is for that version, whatever its target has.
        ("both", &[("p1", x0), ("p0", x1)], &["W0302"]),
        (
            "both",
            &[("p5", x0), ("p1", x1)],
            &["0.2.0 p5 0.2.5", "0.2.1 p1 0.2.1"],
        ),
        (
            "both",
            &[("p5", x0), ("p1", x)],
            &["0.2.0 p5 0.2.5", "0.2.1 p1 0.2.1"],
        ),
        ("both", &[("p0", x0)], &["W0101"]),
        ("new", &[("p0", x0), ("p1", x1)], &["W0205"]),
        // One target for all.
        (
            "both",
            &[("p5", &[])],
            &["0.2.0 p5 0.2.5", "0.2.1 p5 0.2.5"],
        ),
        (
            "both",
            &[("many", x)],
            &["0.2.0 many 0.2.0", "0.2.1 many 0.2.1"],
        ),
        ("new", &[("p1", x0)], &["0.2.1 p1 0.2.1"]),
        // No version decides.
        ("old", &[("p1", &[]), ("p5", &[])], &["W0202"]),
        ("old", &[("p1", x), ("p5", x)], &["W0203"]),
        ("old", &[("p0", x), ("p5", x)], &["W0203"]),
        ("both", &[("p0", x0), ("p5", x0), ("p1", x1)], &["W0203"]),
    ];
    for (importer, links, expected) in table {
        let app = app(importer, links);
        let found = outcome(&app);
        assert_eq!(found, *expected, "{importer} {links:?}\n{}", app.problems());
    }
}

#[test]
fn links_chosen_by_name_keep_to_versions_each_for_itself() {
    let wit = format!(
        "package wasmcloud:bus@1.0.0 {{ interface lattice {{ set-link-name: func(n: string); }} }}
        {WIT}
        world choosing {{ import t:t/x@0.2.0; import t:t/x@0.2.1; import wasmcloud:bus/lattice@1.0.0; }}"
    );
    let app = App::new(&wit)
        .component("choosing")
        .called("choosing")
        .link("p0", &["name: a", "for: t:t", "interfaces: x"])
        .link("p1", &["name: a", "for: t:t", "interfaces: x"])
        .link("p5", &["for: t:t", "interfaces: x"])
        .component("p0")
        .component("p1")
        .component("p5")
        .host(&["wasmcloud:bus/lattice@1.0.0"]);
    insta::assert_snapshot!(format!("{}{}", app.problems(), app.links()));
}

#[test]
fn what_the_help_proposes_is_accepted() {
    let contested = app("both", &[("p5", &[]), ("many", &[])]);
    let versions = "interfaces: [x@0.2.0, x@0.2.1]";
    let other = App::new(&WIT.replace(
        "world many",
        "world other { export t:t/x@0.2.5; } world many",
    ))
    .component("both")
    .called("both")
    .link("p5", &[])
    .link("other", &[])
    .component("p5")
    .component("other");
    // One target has both of the very versions, so the link to the other is for nothing.
    assert_eq!(outcome(&contested), ["W0201"]);
    assert!(other.problems().contains(versions), "{}", other.problems());
    let x0: &[&str] = &["for: t:t", "interfaces: x@0.2.0"];
    assert_eq!(
        outcome(&app("both", &[("p5", x0), ("p1", &[])])),
        ["0.2.0 p5 0.2.5", "0.2.1 p1 0.2.1"]
    );
}

#[test]
fn messages_name_the_version_that_the_exporter_has() {
    let wit = "
        package t:t@0.2.0 { interface x { v: func(); u: func(a: u8); } }
        package t:t@0.2.1 { interface x { v: func(); u: func(a: u16); w: func(); } }
        world new { import t:t/x@0.2.1; }
        world p0 { export t:t/x@0.2.0; }
    ";
    let app = App::new(wit).component("new").called("new").link("p0", &[]);
    insta::assert_snapshot!(app.component("p0").problems());
}
