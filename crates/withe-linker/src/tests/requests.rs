//! Requests between handlers and clients of different releases of WASI.

use crate::testing::App;

const HTTP: &str = "
    package wasi:http@0.2.6 {
        interface types { resource incoming-request; resource outgoing-request; }
        interface incoming-handler { use types.{incoming-request}; handle: func(r: incoming-request); }
        interface outgoing-handler { use types.{outgoing-request}; handle: func(r: outgoing-request); }
    }
    package wasi:http@0.3.0 {
        interface types { resource request; }
        interface handler { use types.{request}; handle: async func(r: request); }
        interface client { use types.{request}; send: async func(r: request); }
    }
";

const WORLDS: &str = "
    package a:b { interface x { f: func(); } }
    world gate-2 { import wasi:http/incoming-handler@0.2.6; export wasi:http/incoming-handler@0.2.6; }
    world gate-3 { import wasi:http/handler@0.3.0; export wasi:http/handler@0.3.0; }
    world answers-2 { import wasi:http/types@0.2.6; export wasi:http/incoming-handler@0.2.6; }
    world answers-3 { import wasi:http/types@0.3.0; export wasi:http/handler@0.3.0; }
    world answers-both {
        import wasi:http/types@0.2.6; import wasi:http/types@0.3.0;
        export wasi:http/incoming-handler@0.2.6; export wasi:http/handler@0.3.0;
    }
    world sends-2 { import wasi:http/outgoing-handler@0.2.6; }
    world sends-3 { import wasi:http/client@0.3.0; }
    world sends-and-calls { import wasi:http/client@0.3.0; import a:b/x; }
    world relay-2 { import wasi:http/outgoing-handler@0.2.6; export wasi:http/outgoing-handler@0.2.6; }
    world relay-3 { import wasi:http/client@0.3.0; export wasi:http/client@0.3.0; }
    world shop { import wasi:http/types@0.2.6; export a:b/x; export wasi:http/incoming-handler@0.2.6; }
    world http-client { export wasi:http/outgoing-handler@0.2.6; export wasi:http/client@0.3.0; }
    world old-client { export wasi:http/outgoing-handler@0.2.6; }
    world both-sent { import wasi:http/client@0.3.0; import wasi:http/handler@0.3.0; }
";

/// `source`, with links that have these settings.
fn app(source: &str, links: &[(&str, &[&str])]) -> App {
    let types = "import wasi:http/types@0.2.6; import wasi:http/types@0.3.0;";
    let app = App::new(&format!("{HTTP}{WORLDS}"))
        .host_wit(&format!("{HTTP} world host {{ {types} }}"))
        .component(source)
        .called(source);
    let linked = |app: App, (target, settings): &(&str, &[&str])| app.link(target, settings);
    links.iter().fold(app, linked)
}

/// The links: `import target export binding` each; or else the problems' codes.
fn outcome(app: &App) -> Vec<String> {
    let Some(plan) = app.link_all().plan else {
        return app.codes().into_iter().map(str::to_owned).collect();
    };
    let links = plan.links.iter().flat_map(|link| {
        let interfaces = link.interfaces.iter();
        interfaces.map(|i| {
            let text = format!(
                "{} {} {} {:?}",
                i.import, link.target, i.export, link.binding
            );
            text.replace("wasi:http/", "")
        })
    });
    links.collect()
}

const IMPORTS: [(&str, &str); 2] = [("2", "incoming-handler@0.2.6"), ("3", "handler@0.3.0")];

#[test]
fn a_handler_of_the_other_release_serves_where_there_is_none_of_its_own() {
    for ((source, import), (target, export)) in [(IMPORTS[0], IMPORTS[1]), (IMPORTS[1], IMPORTS[0])]
    {
        let (source, target) = (format!("gate-{source}"), format!("answers-{target}"));
        for (settings, binding) in [
            (&[][..], "Local"),
            (&["for: wasi:http"], "Local"),
            (&["binding: unix"], "Unix"),
            (&["binding: tcp"], "Tcp"),
            (&["scope: call"], "Local"),
        ] {
            let app = app(&source, &[(&target, settings)]).component(&target);
            let expected = format!("{import} {target} {export} {binding}");
            assert_eq!(outcome(&app), [expected], "{settings:?}");
        }
        // A composition has nobody who translates.
        let fused = app(&source, &[(&target, &["binding: fused"])]).component(&target);
        assert!(
            fused.problems().contains("are translated for"),
            "{}",
            fused.problems()
        );
        // One of the own release is better.
        let both = app(&source, &[("answers-both", &[])]).component("answers-both");
        assert_eq!(
            outcome(&both),
            [format!("{import} answers-both {import} Fused")]
        );
    }
    let named = ["for: wasi:http", "interfaces: handler"];
    let named = app("gate-3", &[("answers-2", &named)]).component("answers-2");
    assert_eq!(outcome(&named).len(), 1);
}

#[test]
fn of_several_targets_the_one_of_the_own_release_is_meant() {
    let app = app("gate-3", &[("shop", &[]), ("answers-3", &[])])
        .component("shop")
        .component("answers-3");
    // Nothing is left for `shop`.
    assert_eq!(outcome(&app), ["W0201"]);
    let two = self::app("gate-3", &[("shop", &[]), ("answers-2", &[])])
        .component("shop")
        .component("answers-2");
    assert_eq!(outcome(&two), ["W0202"]);
}

#[test]
fn what_is_sent_is_handled_if_that_is_meant() {
    for source in ["sends-2", "sends-3"] {
        for (target, export) in [
            ("answers-2", "incoming-handler@0.2.6"),
            ("answers-3", "handler@0.3.0"),
        ] {
            let app = app(source, &[(target, &[])]).component(target);
            let found = outcome(&app);
            assert!(
                found[0].ends_with(&format!("{target} {export} Local")),
                "{found:?}"
            );
        }
        let newest = app(source, &[("answers-both", &[])]).component("answers-both");
        let own = match source {
            "sends-2" => "incoming-handler@0.2.6",
            _ => "handler@0.3.0",
        };
        assert!(outcome(&newest)[0].contains(own), "{:?}", outcome(&newest));
    }
    // A link that is for something else takes no requests to the world.
    let other = app("sends-and-calls", &[("shop", &[])]).component("shop");
    assert_eq!(outcome(&other), ["W0101"]);
    let named = ["for: wasi:http", "interfaces: client"];
    let named = app("sends-and-calls", &[("shop", &[]), ("shop", &named)]).component("shop");
    let found = outcome(&named);
    assert!(
        found.contains(&"client@0.3.0 shop incoming-handler@0.2.6 Local".to_owned()),
        "{found:?}"
    );
    // Nor does one beside the provider that sends them.
    let beside = app("sends-and-calls", &[("shop", &[]), ("http-client", &[])])
        .component("shop")
        .provider("http-client");
    let found = outcome(&beside);
    assert!(
        found
            .iter()
            .any(|link| link.starts_with("client@0.3.0 http-client client@0.3.0")),
        "{found:?}"
    );
}

#[test]
fn clients_of_the_other_release_send_for_components_and_providers_do_too() {
    for (source, target) in [("sends-3", "relay-2"), ("sends-2", "relay-3")] {
        let app = app(source, &[(target, &[])])
            .component(target)
            .link("http-client", &[])
            .provider("http-client");
        assert_eq!(outcome(&app).len(), 2, "{source}");
    }
    let old = app("sends-3", &[("old-client", &[])]).provider("old-client");
    assert_eq!(
        outcome(&old),
        ["client@0.3.0 old-client outgoing-handler@0.2.6 Host"]
    );
}

#[test]
fn what_cannot_be_translated_is_refused_by_name() {
    // Both ends of a link with two imports may be handlers, and need not be of one sort.
    let link = ["for: wasi:http", "interfaces: client, handler"];
    let both = app("both-sent", &[("answers-2", &link)]).component("answers-2");
    assert_eq!(outcome(&both).len(), 2, "{}", both.problems());
    let shared = app("gate-3", &[("answers-2", &["scope: shared"])]).component("answers-2");
    assert!(!shared.codes().is_empty());
}
