//! Keeps shared instances to one process.
//!
//! All callers of a link of scope `shared` share one instance of its target. With `local` links
//! every process would have one of its own, so where the callers are in several processes the
//! target gets a worker, and all of them call it there.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Scope};
use crate::ix::{LinkIx, PerLink};
use crate::parts::{PartId, Parts};
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolved::Resolved;

use super::bound::Bound;
use super::graph::Graph;
use super::obstacle;
use super::processes::{Process, Processes};
use super::settings::Settings;

/// The links to the shared instance of each part that has one.
type SharedLinks = BTreeMap<PartId, Vec<LinkIx>>;

/// Turns `local` links to shared instances that would be in several processes into `unix` ones, and
/// refuses those that cannot be.
pub(super) fn settle(
    placed: &Placed<'_>,
    settings: &PerLink<Settings>,
    bound: &mut PerLink<Option<Bound>>,
    out: &mut Diagnostics,
) {
    let resolved = &placed.checked.resolved;
    let mut shared = SharedLinks::new();
    let links = resolved.links.iter();
    for (i, link) in links.filter(|(i, _)| settings[*i].scope == Scope::Shared) {
        shared.entry(link.target).or_default().push(i);
    }
    if shared.is_empty() {
        return;
    }
    let graph = Graph::of_components(resolved);
    // Each round settles at least one target, so there are no more rounds than components.
    loop {
        let processes = Processes::of(resolved, bound);
        let split: BTreeMap<PartId, BTreeSet<Process>> = (shared.iter())
            .map(|(part, links)| (*part, homes(*part, links, resolved, bound, &processes)))
            .filter(|(_, homes)| homes.len() > 1)
            .collect();
        // A caller goes before what it calls: giving it a worker may leave what it calls in one
        // process. An instance that none of the others calls is moved at once: neither changes where the other is.
        let outermost = not_called_by_others(&graph, &split);
        let moved = if outermost.is_empty() {
            split.keys().take(1).copied().collect()
        } else {
            outermost
        };
        if moved.is_empty() {
            return;
        }
        for target in moved {
            if let Some(links) = shared.remove(&target) {
                let split = (target, &split[&target]);
                move_to_worker(placed, settings, bound, split, &links, out);
            }
        }
    }
}

/// The members of `split` that none of the others leads to.
fn not_called_by_others<T>(graph: &Graph, split: &BTreeMap<PartId, T>) -> Vec<PartId> {
    let cycles = graph.cycles();
    // How many of them are on each cycle, and whether one leads to it from outside.
    let mut on_cycle = vec![0; cycles.count];
    for part in split.keys() {
        on_cycle[cycles.of(*part)] += 1;
    }
    let mut called = vec![false; cycles.count];
    let mut by_cycle: Vec<Vec<PartId>> = vec![Vec::new(); cycles.count];
    for part in graph.parts() {
        by_cycle[cycles.of(part)].push(part);
    }
    // A part that leads to a cycle has a greater number, and so comes first.
    for (cycle, parts) in by_cycle.iter().enumerate().rev() {
        if !called[cycle] && on_cycle[cycle] == 0 {
            continue;
        }
        for next in parts.iter().flat_map(|part| graph.next(*part)) {
            let next = cycles.of(*next);
            called[next] |= next != cycle;
        }
    }
    let is_outermost = |part: &PartId| {
        let cycle = cycles.of(*part);
        !called[cycle] && on_cycle[cycle] == 1
    };
    split.keys().copied().filter(is_outermost).collect()
}

/// The processes that have a shared instance of `target`, to which `links` lead.
fn homes(
    target: PartId,
    links: &[LinkIx],
    resolved: &Resolved<'_>,
    bound: &PerLink<Option<Bound>>,
    processes: &Processes,
) -> BTreeSet<Process> {
    let mut homes = BTreeSet::new();
    // An instance on another host is that replica's, and so another one.
    if !resolved.parts.is_here(target) {
        return homes;
    }
    for i in links {
        let source = resolved.links[*i].source;
        match bound[*i].as_ref().map(|b| b.binding) {
            Some(Binding::Local) => homes.extend(processes.of_part(source)),
            Some(Binding::Unix) if resolved.parts.is_here(source) => {
                homes.insert(Process::Worker(target));
            }
            // The host serves other hosts, and itself over a wire.
            Some(Binding::Unix | Binding::Tcp | Binding::Nats) => {
                homes.insert(Process::Host);
            }
            Some(_) | None => {}
        }
    }
    homes
}

fn move_to_worker(
    placed: &Placed<'_>,
    settings: &PerLink<Settings>,
    bound: &mut PerLink<Option<Bound>>,
    (target, homes): (PartId, &BTreeSet<Process>),
    links: &[LinkIx],
    out: &mut Diagnostics,
) {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let not_local = format!(
        "each process would have a shared instance of its own: {}",
        homes_text(parts, homes)
    );
    for &i in links {
        if (bound[i].as_ref()).is_none_or(|b| b.binding != Binding::Local) {
            continue;
        }
        let (link, settings) = (&resolved.links[i], &settings[i]);
        let not_unix = obstacle::to_worker(resolved, link, settings);
        bound[i] = None;
        if settings.binding == BindingChoice::Local {
            let pin = settings.binding;
            out.push(problems::bindings::pinned(parts, link, pin, &not_local));
        } else if let Some(not_unix) = not_unix {
            let reasons = [("local", not_local.as_str()), ("unix", not_unix.as_str())];
            out.push(problems::bindings::none(parts, link, &reasons));
        } else {
            let why = format!(
                "the shared instance of `{}` has callers in several processes",
                parts.name(target)
            );
            bound[i] = Some(Bound::by(Binding::Unix, why));
        }
    }
}

/// ``the host, the worker of `a` and the worker of `b` ``: those of them that there are.
fn homes_text(parts: &Parts<'_>, homes: &BTreeSet<Process>) -> String {
    let name = |process: &Process| match process {
        Process::Host => "the host".into(),
        Process::Worker(root) => format!("the worker of `{}`", parts.name(*root)),
    };
    let names: Vec<String> = homes.iter().map(name).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        names => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package a:b { interface x { f: func(); } interface y { f: func(); } interface z { f: func(); } }
        world front { import a:b/x; import a:b/y; }
        world back { export a:b/x; import a:b/y; }
        world counter { export a:b/y; import a:b/z; }
        world store { export a:b/z; }
    ";

    /// `front` in the host and `back` in a worker both call `counter`, which calls `store`.
    fn app(front: &[&str], back: &[&str]) -> App {
        App::new(WIT)
            .component("front")
            .called("front")
            .link("back", &["binding: unix"])
            .link("counter", &[&["scope: shared"], front].concat())
            .component("back")
            .link("counter", &[&["scope: shared"], back].concat())
            .component("counter")
            .link("store", &["scope: shared"])
            .component("store")
    }

    #[test]
    fn a_shared_instance_gets_a_worker_where_its_callers_are_in_several_processes() {
        // The shared instance's own targets need none: all its callers are in that worker.
        insta::assert_snapshot!(app(&[], &[]).processes());
    }

    #[test]
    fn a_shared_instance_stays_where_all_its_callers_are() {
        let one_caller = App::new(WIT)
            .component("front")
            .called("front")
            .link("back", &[])
            .link("counter", &["scope: shared"])
            .component("back")
            .link("counter", &["scope: shared"])
            .component("counter")
            .link("store", &["binding: unix"])
            .component("store");
        insta::assert_snapshot!(one_caller.processes());
    }

    #[test]
    fn a_pin_to_a_worker_takes_the_other_callers_along() {
        insta::assert_snapshot!(app(&[], &["binding: unix"]).processes());
    }

    #[test]
    fn one_caller_may_be_in_several_processes() {
        let app = App::new(WIT)
            .component("front")
            .called("front")
            .called("back")
            .link("back", &["binding: unix"])
            .link("counter", &["scope: call"])
            .component("back")
            .link("counter", &["scope: shared"])
            .component("counter")
            .link("store", &[])
            .component("store");
        insta::assert_snapshot!(app.processes());
    }

    #[test]
    fn what_cannot_leave_its_process_is_refused() {
        let pinned = app(&["binding: local"], &[]).problems();
        let held = app(&[], &["locality: host"]).problems();
        insta::assert_snapshot!([pinned, held].join("\n"));
    }
}
