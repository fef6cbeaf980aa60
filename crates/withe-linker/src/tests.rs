//! Properties of the linker as a whole.

mod growth;
mod host;
mod processes;
mod requests;
mod split;
mod versions;

use std::time::Duration;

use proptest::prelude::*;

use crate::diagnostic::Severity;
use crate::input::{Scope, Spanned};
use crate::plan::{Binding, Plan};
use crate::testing::App;

const WIT: &str = "
    package wasi:http@0.2.3 { interface incoming-handler { handle: func(); } }
    package kv:kv@1.0.0 { interface store { get: func(); } interface batch { all: func(); } }
    package kv:kv@2.0.0 { interface store { get: func(); } }
    package a:b { interface x { f: func(p: u8); } interface flow { read: func() -> stream<u8>; } }
    world server { import wasi:http/incoming-handler@0.2.3; }
    world front { export wasi:http/incoming-handler@0.2.3; import a:b/x; import kv:kv/store@1.0.0; }
    world middle { export a:b/x; import kv:kv/store@1.0.0; import kv:kv/batch@1.0.0; }
    world reads { import a:b/flow; export a:b/x; }
    world flows { export a:b/flow; import a:b/x; }
    world keyvalue { export kv:kv/store@1.0.0; export kv:kv/batch@1.0.0; }
    world newer { export kv:kv/store@2.0.0; }
";

#[test]
fn ten_faults_are_ten_reports() {
    let other = WIT.replace("p: u8", "p: u16");
    let app = App::new(WIT)
        .provider("server")
        .link("frnt", &[])
        .link("keyvalue", &[])
        .config("a", &["port=80"])
        .component("front")
        .link("middle", &["seconds: 5", "binding: fused"])
        .link("keyvalue", &["for: kv:kv", "interfaces: stoer"])
        .config("missing", &[])
        .component("reads")
        .link("flows", &["scope: call"])
        .link("nobody", &[])
        .component("flows")
        .link("reads", &["name: fast"])
        .wit(&other)
        .component("middle")
        .link("keyvalue", &[])
        .provider("keyvalue")
        .called("front")
        .called("reads");
    let linked = app.link_all();
    assert!(linked.plan.is_none());
    assert_eq!(
        linked
            .diagnostics
            .0
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count(),
        10
    );
    insta::assert_snapshot!(app.problems());
}

#[test]
fn a_link_that_leads_nowhere_takes_nothing_from_others() {
    let app = App::new(WIT)
        .component("front")
        .link("middle", &[])
        .link("nobody", &[])
        .link("keyvalue", &[])
        .component("middle")
        .link("keyvalue", &[])
        .provider("keyvalue")
        .called("front");
    assert_eq!(app.codes(), ["W0102"]);
}

fn sound() -> App {
    App::new(WIT)
        .provider("server")
        .link("front", &["source_config: web url=127.0.0.1"])
        .component("front")
        .link("middle", &[])
        .link(
            "keyvalue",
            &[
                "for: kv:kv",
                "interfaces: store",
                "seconds: 5",
                "target_config: c url=x",
            ],
        )
        .component("middle")
        .link("keyvalue", &[])
        .provider("keyvalue")
}

#[test]
fn the_plan_is_written_down_in_full() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&sound().plan()).unwrap());
}

#[test]
fn a_component_reaches_its_targets_and_nothing_that_calls_it() {
    let names = |plan: &Plan| -> Vec<String> {
        let components = plan.components.iter().map(|c| c.name.clone());
        let links = (plan.links.iter()).map(|link| format!("{} {}", link.source, link.target));
        components.chain(links).collect()
    };
    let plan = sound().plan();
    assert_eq!(
        names(&plan.reached_from("front")),
        [
            "front",
            "middle",
            "keyvalue",
            "front middle",
            "front keyvalue",
            "middle keyvalue"
        ]
    );
    let middle = plan.reached_from("middle");
    assert_eq!(names(&middle), ["middle", "keyvalue", "middle keyvalue"]);
}

#[test]
fn of_processes_and_units_those_that_are_reached_are_left() {
    let plan = App::new(WIT)
        .component("front")
        .called("front")
        .link("middle", &["binding: unix"])
        .link("keyvalue", &["for: kv:kv", "interfaces: store"])
        .component("middle")
        .link("keyvalue", &[])
        .component("reads")
        .called("reads")
        .link("flows", &["binding: unix"])
        .component("flows")
        .link("middle", &["binding: unix"])
        .provider("keyvalue")
        .plan();
    let left = |component: &str| {
        let plan = plan.reached_from(component);
        let workers = plan.workers.iter().map(|w| w.component.clone());
        (plan.host_units.clone(), workers.collect::<Vec<_>>())
    };
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.into())
            .collect::<Vec<String>>()
    };
    assert_eq!(left("front"), (list(&["front"]), list(&["middle"])));
    assert_eq!(
        left("reads"),
        (list(&["reads"]), list(&["middle", "flows"]))
    );
    assert_eq!(left("middle"), (list(&[]), list(&["middle"])));
}

#[test]
fn a_provider_that_is_called_calls_nobody() {
    let wit = format!(
        "{WIT} world both {{ import a:b/flow; export kv:kv/store@1.0.0; export kv:kv/batch@1.0.0; }}"
    );
    let plan = App::new(&wit)
        .component("middle")
        .called("middle")
        .link("both", &[])
        .provider("both")
        .link("flows", &[])
        .component("flows")
        .link("middle", &[])
        .plan();
    let reached = plan.reached_from("middle");
    let links: Vec<_> = (reached.links.iter())
        .map(|link| link.source.as_str())
        .collect();
    assert_eq!(links, ["middle"]);
    assert_eq!(reached.components.len(), 2);
}

#[test]
fn a_plan_can_be_read_back() {
    // Everything that a plan leaves out when it is written is there once and missing once.
    let full = App::new(WIT)
        .component("front")
        .called("front")
        .edit(|c| {
            c.limits.memory = Some(Spanned::unplaced(1 << 20));
            c.limits.time = Some(Spanned::unplaced(Duration::from_secs(2)));
            c.reuse = Some(Spanned::unplaced(3));
            c.grants.network = Some(Spanned::unplaced(true));
            c.grants.env.insert("LANG".into(), "de".into());
        })
        .link(
            "middle",
            &["binding: unix", "scope: call", "locality: machine"],
        )
        .link("keyvalue", &[])
        .component("middle")
        .link("keyvalue", &["target_config: c url=x"])
        .provider("keyvalue");
    for plan in [full.plan(), sound().plan()] {
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
    assert_eq!(full.plan().worker("middle"), full.plan().workers.first());
    assert_eq!(full.plan().worker("front"), None);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let bytes = || serde_json::to_vec(&sound().plan()).unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_part_that_could_not_be_read_raises_no_more_problems() {
    let app = App::new(WIT)
        .provider("server")
        .link("lost", &[])
        .component("front")
        .link("lost", &[])
        .unavailable("lost")
        .link("front", &["for: no:such", "interfaces: thing"]);
    assert_eq!(app.problems(), "");
    assert!(app.link_all().plan.is_none());
}

/// A component of the random applications: its world, and its links as target, interfaces and scope.
type Drawn = (usize, Vec<(usize, Option<usize>, usize)>);

const WORLDS: [&str; 7] = [
    "server", "front", "middle", "reads", "flows", "keyvalue", "newer",
];
const SELECTIONS: [&str; 3] = [
    "interfaces: store",
    "interfaces: store, batch",
    "interfaces: batch@1.0.0",
];
const SCOPES: [Scope; 3] = [Scope::Caller, Scope::Call, Scope::Shared];

fn application(drawn: &[Drawn]) -> App {
    let mut app = App::new(WIT).host(&["kv:kv/batch@1.0.0"]);
    for (i, (world, links)) in drawn.iter().enumerate() {
        let name = format!("part-{i}");
        let is_provider = matches!(WORLDS[*world], "server" | "keyvalue");
        app = if is_provider {
            app.provider_of(WORLDS[*world], &name)
        } else {
            app.instance_of(WORLDS[*world], &name)
        };
        for (target, selection, scope) in links {
            let selection = selection
                .map(|s| vec!["for: kv:kv", SELECTIONS[s]])
                .unwrap_or_default();
            app = app.link(&format!("part-{target}"), &selection);
            app = app.edit(|c| {
                c.links.last_mut().unwrap().scope = Some(Spanned::unplaced(SCOPES[*scope]))
            });
        }
    }
    app
}

/// Imports of the plan's components that a link or the host satisfies, each counted.
fn satisfied(plan: &Plan, component: &str, import: &str) -> usize {
    let of_host = plan
        .components
        .iter()
        .filter(|c| c.name == component && c.host_imports.iter().any(|i| i == import));
    let linked = plan
        .links
        .iter()
        .filter(|l| l.source == component && l.interfaces.iter().any(|i| i.import == import));
    of_host.count() + linked.count()
}

/// How many constituents the composition under `component` has; more than `limit` if it is endless.
fn constituents(plan: &Plan, component: &str, limit: usize) -> usize {
    let fused = plan
        .links
        .iter()
        .filter(|l| l.binding == Binding::Fused && l.source == component);
    fused.fold(1, |n, l| {
        if n > limit {
            n
        } else {
            n + constituents(plan, &l.target, limit - n.min(limit))
        }
    })
}

proptest! {
    #[test]
    fn any_application_is_refused_or_wholly_linked(
        drawn in prop::collection::vec(
            (0..WORLDS.len(), prop::collection::vec((0..7usize, prop::option::of(0..3usize), 0..3usize), 0..4)),
            1..7,
        ),
    ) {
        let app = application(&drawn);
        let linked = app.link_all();
        prop_assert_eq!(linked.plan.is_none(), linked.diagnostics.has_errors());
        if let Some(plan) = linked.plan {
            for (i, (world, _)) in drawn.iter().enumerate().filter(|(_, (w, _))| !matches!(WORLDS[*w], "server" | "keyvalue")) {
                let name = format!("part-{i}");
                let imports: &[&str] = match WORLDS[*world] {
                    "front" => &["a:b/x", "kv:kv/store@1.0.0"],
                    "middle" => &["kv:kv/store@1.0.0", "kv:kv/batch@1.0.0"],
                    "reads" => &["a:b/flow"],
                    "flows" => &["a:b/x"],
                    _ => &[],
                };
                for import in imports {
                    prop_assert_eq!(satisfied(&plan, &name, import), 1, "{} {}", name, import);
                }
                prop_assert!(constituents(&plan, &name, 32) <= 32);
            }
        }
    }
}
