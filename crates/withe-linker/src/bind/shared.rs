//! Keeps shared instances to one process.
//!
//! All callers of a link of scope `shared` share one instance of its target. With `local` links
//! every process would have one of its own, so where the callers are in several processes the
//! target gets a worker, and all of them call it there.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Scope};
use crate::parts::{PartId, Parts};
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolve::Resolved;

use super::processes::{Process, Processes};
use super::{Bound, Settings, component_edges, graph, obstacle};

/// Turns `local` links to shared instances that would be in several processes into `unix` ones, and
/// refuses those that cannot be.
pub(super) fn settle(
    placed: &Placed<'_>,
    settings: &[Settings],
    bound: &mut [Option<Bound>],
    out: &mut Diagnostics,
) {
    let resolved = &placed.checked.resolved;
    let edges = component_edges(resolved);
    let mut settled = BTreeSet::new();
    // Each round settles one target, so there are no more rounds than components.
    loop {
        let processes = Processes::of(resolved, bound);
        let split: Vec<(PartId, BTreeSet<Process>)> = resolved
            .parts
            .ids()
            .filter(|part| !settled.contains(part))
            .map(|part| (part, homes(part, resolved, settings, bound, &processes)))
            .filter(|(_, homes)| homes.len() > 1)
            .collect();
        // A caller goes before what it calls: giving it a worker may leave what it calls in one
        // process.
        let is_called_by_another = |part: PartId| {
            (split.iter())
                .any(|(other, _)| *other != part && graph::path(&edges, *other, part).is_some())
        };
        let outermost = split.iter().find(|(part, _)| !is_called_by_another(*part));
        let Some((target, homes)) = outermost.or(split.first()) else {
            return;
        };
        settled.insert(*target);
        move_to_worker(placed, settings, bound, (*target, homes), out);
    }
}

/// The processes that have a shared instance of `target`.
fn homes(
    target: PartId,
    resolved: &Resolved<'_>,
    settings: &[Settings],
    bound: &[Option<Bound>],
    processes: &Processes,
) -> BTreeSet<Process> {
    let mut homes = BTreeSet::new();
    for i in shared_links(target, resolved, settings) {
        match bound[i].as_ref().map(|b| b.binding) {
            Some(Binding::Local) => homes.extend(processes.of_part(resolved.links[i].source)),
            Some(Binding::Unix) => {
                homes.insert(Process::Worker(target));
            }
            // An instance on another host is that replica's, and so another one.
            Some(Binding::Tcp | Binding::Nats) if super::is_here(resolved, target) => {
                homes.insert(Process::Host);
            }
            Some(_) | None => {}
        }
    }
    homes
}

/// The links to the shared instance of `target`, by place.
fn shared_links(
    target: PartId,
    resolved: &Resolved<'_>,
    settings: &[Settings],
) -> impl Iterator<Item = usize> {
    let links = resolved.links.iter().zip(settings).enumerate();
    links
        .filter(move |(_, (link, settings))| {
            link.target == target && settings.scope == Scope::Shared
        })
        .map(|(i, _)| i)
}

fn move_to_worker(
    placed: &Placed<'_>,
    settings: &[Settings],
    bound: &mut [Option<Bound>],
    (target, homes): (PartId, &BTreeSet<Process>),
    out: &mut Diagnostics,
) {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let not_local = format!(
        "each process would have a shared instance of its own: {}",
        homes_text(parts, homes)
    );
    for i in shared_links(target, resolved, settings) {
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
        // What the shared instance itself calls needs none: all its callers are in that worker.
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
