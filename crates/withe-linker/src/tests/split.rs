//! Manifests of wasmCloud v1 have one link for each interface; the interfaces share resources.

use crate::testing::App;

const WIT: &str = "
    package kv:kv@0.2.0 {
        interface store { resource bucket; open: func() -> bucket; }
        interface atomics { use store.{bucket}; increment: func(b: borrow<bucket>); }
        interface batch { use store.{bucket}; get-many: func(b: borrow<bucket>); }
    }
    world c { import kv:kv/store@0.2.0; import kv:kv/atomics@0.2.0; import kv:kv/batch@0.2.0; }
    world keyvalue { export kv:kv/store@0.2.0; export kv:kv/atomics@0.2.0; export kv:kv/batch@0.2.0; }
    world counts { export kv:kv/atomics@0.2.0; import kv:kv/store@0.2.0; }
";

const STORE: &[&str] = &["for: kv:kv", "interfaces: store"];
const ATOMICS: &[&str] = &["for: kv:kv", "interfaces: atomics"];
const BATCH: &[&str] = &["for: kv:kv", "interfaces: batch"];

/// A component with links to `one`, each with its settings, and `one` and `two`.
fn app(provider: bool, links: &[(&str, &[&str], &str)]) -> App {
    let mut app = App::new(WIT).component("c").called("c");
    for (target, settings, config) in links {
        let config = [format!("target_config: {config}")];
        let config = config
            .iter()
            .filter(|text| text.len() > 15)
            .map(String::as_str);
        let settings: Vec<&str> = settings.iter().copied().chain(config).collect();
        app = app.link(target, &settings);
    }
    ["one", "two"]
        .into_iter()
        .fold(app, |app, name| match provider {
            true => app.provider_of("keyvalue", name),
            false => app.instance_of("keyvalue", name),
        })
}

#[test]
fn links_to_one_target_share_their_resources() {
    // One link for each interface, configured in each, in the first by value and then by name, or only once.
    let table = [
        ["", "", ""],
        ["m url=x", "m", "m"],
        ["m", "m url=x", "m"],
        ["m url=x", "", ""],
        ["", "", "m url=x"],
        ["m url=x", "n url=x", ""],
    ];
    for provider in [true, false] {
        for configs in table {
            let [a, b, c] = configs;
            let app = app(
                provider,
                &[("one", STORE, a), ("one", ATOMICS, b), ("one", BATCH, c)],
            );
            let errors = app
                .codes()
                .into_iter()
                .filter(|code| *code != "W0105" && *code != "W0104");
            assert_eq!(errors.count(), 0, "{configs:?}\n{}", app.problems());
            let links = app.plan().links;
            assert_eq!(links.len(), 1, "{configs:?}");
            assert_eq!(links[0].interfaces.len(), 3);
            let url = links[0].target_config.get("url").map(String::as_str);
            assert_eq!(
                url,
                configs.iter().any(|c| !c.is_empty()).then_some("x"),
                "{configs:?}"
            );
        }
    }
}

#[test]
fn links_that_cannot_be_one_say_what_to_write() {
    let two_values = app(
        true,
        &[
            ("one", STORE, "m url=x"),
            ("one", ATOMICS, "n url=y"),
            ("one", BATCH, ""),
        ],
    );
    let two_targets = |provider| {
        let both = &["for: kv:kv", "interfaces: store, batch"];
        app(provider, &[("one", both, ""), ("two", ATOMICS, "")])
    };
    let chain = App::new(WIT)
        .component("c")
        .called("c")
        .link("one", &["for: kv:kv", "interfaces: store, batch"])
        .link("counts", &[])
        .instance_of("keyvalue", "one")
        .component("counts")
        .link("one", &[]);
    let text = [two_values, two_targets(true), two_targets(false), chain];
    insta::assert_snapshot!(text.map(|app| app.problems()).join("\n"));
}

/// An HTTP server listens at two addresses for one component: these are two links.
#[test]
fn links_of_a_provider_are_one_if_they_are_configured_alike() {
    let wit = "package a:b { interface h { f: func(); } } world server { import a:b/h; } world c { export a:b/h; }";
    let links = |first: &str, second: &str| {
        let app = App::new(wit)
            .provider("server")
            .link("c", &[&format!("source_config: {first}")])
            .link("c", &[&format!("source_config: {second}")])
            .component("c");
        app.plan().links.len()
    };
    assert_eq!(links("m url=x", "n url=y"), 2);
    assert_eq!(links("m url=x", "m"), 1);
}
