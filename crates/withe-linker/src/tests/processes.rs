//! Properties of the processes of any plan.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::diagnostic::Severity;
use crate::input::{BindingChoice, Scope, Spanned};
use crate::plan::{Binding, Plan, PlannedLink};
use crate::testing::App;

const WIT: &str = "
    package a:b { interface x { f: func(); } interface kv { get: func(); } }
    world node { export a:b/x; import i0: a:b/x; import i1: a:b/x; import a:b/kv; }
    world leaf { export a:b/x; }
    world kv { export a:b/kv; }
";

/// A component of the random applications: whether something outside calls it, and the target, scope
/// and binding of its two links.
type Drawn = (bool, [(usize, Scope, BindingChoice); 2]);

fn drawn() -> impl Strategy<Value = Drawn> {
    let scope = prop::sample::select(vec![Scope::Caller, Scope::Call, Scope::Shared]);
    let binding = prop::sample::select(vec![
        BindingChoice::Auto,
        BindingChoice::Auto,
        BindingChoice::Local,
        BindingChoice::Unix,
    ]);
    let link = || (0..8usize, scope.clone(), binding.clone());
    (any::<bool>(), [link(), link()])
}

/// Components that each call two of those after them, and a provider.
fn application(drawn: &[Drawn]) -> App {
    let last = drawn.len();
    let mut app = App::new(WIT).called("part-0");
    for (i, (is_called, links)) in drawn.iter().enumerate() {
        let name = format!("part-{i}");
        app = app
            .instance_of("node", &name)
            .link("kv", &["for: a:b", "interfaces: kv"]);
        for (label, (target, scope, binding)) in links.iter().enumerate() {
            let target = (i + 1 + target).min(last);
            app = app
                .link(&format!("part-{target}"), &[&format!("name: i{label}")])
                .edit(|c| {
                    let link = c.links.last_mut().unwrap();
                    link.scope = Some(Spanned::unplaced(*scope));
                    link.binding = Some(Spanned::unplaced(*binding));
                });
        }
        if *is_called {
            app = app.called(&name);
        }
    }
    app.instance_of("leaf", &format!("part-{last}"))
        .provider("kv")
}

/// Whether there is an instance of `component` in a process with these units, on its own or fused.
fn runs_in(plan: &Plan, units: &[String], component: &str) -> bool {
    units.iter().any(|unit| {
        let fused = |l: &&PlannedLink| l.binding == Binding::Fused && l.source == *unit;
        unit == component
            || (plan.links.iter().filter(fused))
                .any(|l| runs_in(plan, std::slice::from_ref(&l.target), component))
    })
}

/// Checks that every link finds its target where the plan says, and that a shared instance is in one
/// process.
fn check(plan: &Plan) {
    // The host's own is number 0.
    let processes: Vec<&[String]> = std::iter::once(plan.host_units.as_slice())
        .chain(plan.workers.iter().map(|w| w.units.as_slice()))
        .collect();
    let running = |component: &str| -> BTreeSet<usize> {
        let all = processes.iter().enumerate();
        all.filter(|(_, units)| runs_in(plan, units, component))
            .map(|(i, _)| i)
            .collect()
    };
    let worker = |component: &str| {
        let place = plan.workers.iter().position(|w| w.component == component);
        1 + place.unwrap_or_else(|| panic!("{component} has no worker"))
    };
    let mut homes: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for link in &plan.links {
        let (source, target) = (link.source.as_str(), link.target.as_str());
        let from = running(source);
        let reached = match link.binding {
            Binding::Fused => continue,
            Binding::Local => from,
            Binding::Unix if target == "kv" => {
                assert!(
                    !from.is_empty() && !from.contains(&0),
                    "{source} to {target}"
                );
                continue;
            }
            Binding::Unix => BTreeSet::from([worker(target)]),
            // Its targets are on this host, which calls itself.
            Binding::Tcp | Binding::Nats => BTreeSet::from([0]),
            Binding::Host => {
                assert!(from.is_empty() || from.contains(&0), "{source} to {target}");
                continue;
            }
        };
        for process in &reached {
            assert!(
                processes[*process].contains(&link.target),
                "{source} to {target}"
            );
        }
        if link.scope == Scope::Shared {
            homes.entry(target).or_default().extend(reached);
        }
    }
    for (target, homes) in homes {
        assert!(homes.len() <= 1, "{target} is shared in {homes:?}");
    }
}

proptest! {
    #[test]
    fn every_target_is_where_its_callers_look_for_it(
        drawn in prop::collection::vec(drawn(), 1..7),
    ) {
        let app = application(&drawn);
        let linked = app.link_all();
        // Links pinned `local` to a shared instance may be refused, and nothing else.
        let mut errors = linked.diagnostics.0.iter().filter(|d| d.severity == Severity::Error);
        prop_assert!(errors.all(|d| d.code.0 == "W0403"), "{}", app.problems());
        if let Some(plan) = linked.plan {
            check(&plan);
        }
    }
}
