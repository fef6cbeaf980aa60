//! Which processes there are, and what runs in each.
//!
//! The host's own process has what is reached from outside; a worker has the component that it
//! serves. Parts that these are fused with are inside them, and parts that they are linked to by `local` links
//! runs beside them. So a component may be in several processes, with instances of its own in each.

use std::collections::{BTreeMap, BTreeSet};

use crate::ix::{PerLink, PerPart};
use crate::parts::PartId;
use crate::plan::{Binding, PlannedWorker};
use crate::resolved::Resolved;

use super::bound::Bound;

/// A process of the application on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Process {
    /// The host's own, where the providers are.
    Host,
    /// The one that serves a component.
    Worker(PartId),
}

/// All processes, the host's first, the others in the manifest's order.
#[derive(Clone, Debug)]
pub(super) struct Processes {
    contents: BTreeMap<Process, Contents>,
    /// The processes in which each part runs, in order.
    of_part: PerPart<Vec<Process>>,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    /// The parts that are instantiated on their own.
    units: BTreeSet<PartId>,
    /// The parts that have instances, whether on their own or inside a composition.
    members: BTreeSet<PartId>,
}

impl Processes {
    /// The processes that follow from how the links between components are bound.
    pub(super) fn of(resolved: &Resolved<'_>, bound: &PerLink<Option<Bound>>) -> Self {
        let brings = brings(resolved, bound);
        let contents = |roots| Contents::grown_from(roots, &brings);
        let host = (
            Process::Host,
            contents(reached_from_outside(resolved, bound)),
        );
        let workers = served(resolved, bound)
            .into_iter()
            .map(|part| (Process::Worker(part), contents(BTreeSet::from([part]))));
        let contents: BTreeMap<Process, Contents> = std::iter::once(host).chain(workers).collect();
        let mut of_part = PerPart::filled(Vec::new(), resolved.parts.count());
        for (process, contents) in &contents {
            for part in &contents.members {
                of_part[*part].push(*process);
            }
        }
        Self { contents, of_part }
    }

    /// The processes in which `part` runs.
    pub(super) fn of_part(&self, part: PartId) -> impl Iterator<Item = Process> {
        self.of_part[part].iter().copied()
    }

    /// The components that the host's own process instantiates on their own, by name.
    pub(super) fn host_units(&self, resolved: &Resolved<'_>) -> Vec<String> {
        let host = self.contents.get(&Process::Host);
        host.map_or_else(Vec::new, |contents| contents.unit_names(resolved))
    }

    /// The workers as the plan has them.
    pub(super) fn workers(&self, resolved: &Resolved<'_>) -> Vec<PlannedWorker> {
        let worker = |(process, contents): (&Process, &Contents)| match process {
            Process::Host => None,
            Process::Worker(root) => Some(PlannedWorker {
                component: resolved.parts.name(*root).to_owned(),
                units: contents.unit_names(resolved),
            }),
        };
        self.contents.iter().filter_map(worker).collect()
    }
}

/// The target of a link, which is in every process that the link's source is in.
#[derive(Clone, Debug)]
struct Brought {
    part: PartId,
    /// Whether it is beside the source (`local`), and not inside it (`fused`).
    on_its_own: bool,
}

/// The parts that each part brings along.
fn brings(resolved: &Resolved<'_>, bound: &PerLink<Option<Bound>>) -> PerPart<Vec<Brought>> {
    let mut brings = PerPart::filled(Vec::new(), resolved.parts.count());
    for (i, link) in resolved.links.iter() {
        let on_its_own = match bound[i].as_ref().map(|b| b.binding) {
            Some(Binding::Fused) => false,
            Some(Binding::Local) => true,
            Some(_) | None => continue,
        };
        brings[link.source].push(Brought {
            part: link.target,
            on_its_own,
        });
    }
    brings
}

impl Contents {
    /// All parts in a process with these roots, if each part brings along what `brings` has for it.
    fn grown_from(roots: BTreeSet<PartId>, brings: &PerPart<Vec<Brought>>) -> Self {
        let mut waiting: Vec<PartId> = roots.iter().copied().collect();
        let mut contents = Self {
            units: roots,
            members: BTreeSet::new(),
        };
        while let Some(part) = waiting.pop() {
            if !contents.members.insert(part) {
                continue;
            }
            for brought in &brings[part] {
                if brought.on_its_own {
                    contents.units.insert(brought.part);
                }
                waiting.push(brought.part);
            }
        }
        contents
    }

    fn unit_names(&self, resolved: &Resolved<'_>) -> Vec<String> {
        let name = |part: &PartId| resolved.parts.name(*part).to_owned();
        self.units.iter().map(name).collect()
    }
}

/// The components that something outside calls in the host's own process: a provider, another host, or whoever
/// starts them.
fn reached_from_outside(
    resolved: &Resolved<'_>,
    bound: &PerLink<Option<Bound>>,
) -> BTreeSet<PartId> {
    let parts = &resolved.parts;
    let called = parts.called();
    let links = || resolved.links.values().zip(bound.values());
    // A provider calls the worker of a `unix` link's target, and so not the host's own process.
    let by_providers = links().filter(|(link, bound)| {
        !parts.is_here(link.source)
            || (parts.is_provider(link.source) && !is_bound_by(bound, &[Binding::Unix]))
    });
    // The host calls itself over these, as another host would.
    let by_wire = links().filter(|(_, bound)| is_bound_by(bound, &[Binding::Tcp, Binding::Nats]));
    let served = parts.inputs.placement.served.iter();
    called
        .chain(by_providers.chain(by_wire).map(|(link, _)| link.target))
        .chain(served.filter_map(|n| parts.find(n)))
        .filter(|part| !parts.is_provider(*part) && parts.is_here(*part))
        .collect()
}

fn is_bound_by(bound: &Option<Bound>, bindings: &[Binding]) -> bool {
    bound
        .as_ref()
        .is_some_and(|b| bindings.contains(&b.binding))
}

/// The components that workers serve.
fn served(resolved: &Resolved<'_>, bound: &PerLink<Option<Bound>>) -> BTreeSet<PartId> {
    let parts = &resolved.parts;
    let links = resolved.links.values().zip(bound.values());
    links
        .filter(|(link, bound)| parts.is_here(link.source) && is_bound_by(bound, &[Binding::Unix]))
        .map(|(link, _)| link.target)
        .filter(|target| !parts.is_provider(*target) && parts.is_here(*target))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::input::BindingChoice;
    use crate::testing::App;

    const WIT: &str = "
        package a:b {
            interface x { f: func(); }
            interface y { f: func(); }
            interface z { f: func(); }
            interface flow { pass: func(data: stream<u8>) -> future<u8>; }
            interface errors { last: func() -> error-context; }
        }
        package wasi:http@0.2.0 {
            interface types { resource request; }
            interface incoming-handler { use types.{request}; handle: func(r: request); }
        }
        package wasi:http@0.3.0 {
            interface types { resource request; }
            interface handler { use types.{request}; handle: async func(r: request) -> request; }
        }
        world a { import a:b/x; export a:b/y; }
        world b { export a:b/x; import a:b/y; }
        world c { export a:b/y; import a:b/z; }
        world d { export a:b/z; }
        world again { import a:b/x; export a:b/x; }
        world reads { import a:b/flow; }
        world flows { export a:b/flow; }
        world asks { import a:b/errors; }
        world errs { export a:b/errors; }
        world front { import wasi:http/incoming-handler@0.2.0; import wasi:http/handler@0.3.0; }
        world back { export wasi:http/incoming-handler@0.2.0; export wasi:http/handler@0.3.0; }
    ";

    fn chain(ab: &[&str], bc: &[&str], cd: &[&str]) -> App {
        App::new(WIT)
            .component("a")
            .called("a")
            .link("b", ab)
            .component("b")
            .link("c", bc)
            .component("c")
            .link("d", cd)
            .component("d")
    }

    #[test]
    fn the_target_of_a_unix_link_is_served_by_a_worker() {
        insta::assert_snapshot!(chain(&["binding: unix"], &[], &["binding: local"]).processes());
    }

    #[test]
    fn a_component_may_be_in_several_processes() {
        let app = chain(&["binding: unix"], &["scope: call"], &["binding: unix"])
            .called("c")
            .called("d");
        insta::assert_snapshot!(app.processes());
    }

    #[test]
    fn the_command_line_gives_every_component_a_worker() {
        let mut app = chain(&[], &["binding: fused"], &[]);
        app.inputs.defaults.binding = Some(BindingChoice::Unix);
        insta::assert_snapshot!(app.processes());
    }

    #[test]
    fn a_unix_link_may_close_a_cycle() {
        let app = App::new(WIT)
            .component("a")
            .called("a")
            .link("b", &["binding: local"])
            .component("b")
            .link("a", &["binding: unix", "locality: machine"]);
        let again = App::new(WIT)
            .component("again")
            .called("again")
            .link("again", &["binding: unix", "locality: lattice"]);
        insta::assert_snapshot!(app.processes() + "\n" + &again.processes());
    }

    #[test]
    fn streams_and_futures_cross_between_instances() {
        let mut text = String::new();
        for settings in [["binding: unix"], ["binding: local"]] {
            let app = App::new(WIT).component("reads").called("reads");
            text += &app.link("flows", &settings).component("flows").links();
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_a_socket_cannot_carry_is_refused() {
        let app = App::new(WIT)
            .component("a")
            .called("a")
            .link("b", &["binding: unix", "locality: host"])
            .component("b")
            .link("c", &[])
            .component("c")
            .link("d", &[])
            .component("d")
            .component("asks")
            .called("asks")
            .link("errs", &["binding: unix"])
            .component("errs")
            .component("reads")
            .called("reads")
            .link("flows", &["binding: unix", "scope: call"])
            .component("flows")
            .component("front")
            .called("front")
            .link(
                "back",
                &[
                    "for: wasi:http",
                    "interfaces: incoming-handler",
                    "binding: unix",
                ],
            )
            .link("back-2", &["binding: unix"])
            .component("back")
            .instance_of("back", "back-2");
        insta::assert_snapshot!(
            app.host(&["wasi:http/types@0.2.6", "wasi:http/types@0.3.0"])
                .problems()
        );
    }
}
