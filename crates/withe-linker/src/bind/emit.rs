//! The plan as data.

use std::time::Duration;

use crate::input::{ComponentKind, Grants};
use crate::matching::interface_text;
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::{
    Binding, Plan, PlannedComponent, PlannedDirectory, PlannedGrants, PlannedInterface, PlannedLink,
};
use crate::resolve::{ResolvedLink, part_id};

use super::processes::Processes;
use super::{Bound, DEFAULT_TIMEOUT, Settings};

/// Writes down what was decided. A link without a binding is left out: there is an error
/// about it, or both its ends are on other hosts.
pub(super) fn emit(
    placed: &Placed<'_>,
    settings: &[Settings],
    bound: &[Option<Bound>],
    processes: &Processes,
) -> Plan {
    let checked = &placed.checked;
    let parts = &checked.resolved.parts;
    let application = &parts.inputs.application;
    let decided = || {
        let links = checked.resolved.links.iter().enumerate();
        links.filter_map(|(i, link)| Some((i, link, bound[i].as_ref()?)))
    };
    let fused: Vec<(PartId, PartId)> = decided()
        .filter(|(_, _, bound)| bound.binding == Binding::Fused)
        .map(|(_, link, _)| (link.source, link.target))
        .collect();
    // A component that only takes part in compositions of others is not instantiated on its own.
    let mut entry = vec![false; parts.ids().count()];
    for (_, link, _) in decided().filter(|(_, _, bound)| bound.binding != Binding::Fused) {
        entry[link.target.0] = true;
    }
    let served = parts.inputs.placement.served.iter();
    for part in served.filter_map(|name| parts.find(name)) {
        entry[part.0] = true;
    }
    for called in parts
        .inputs
        .called
        .iter()
        .filter_map(|name| parts.find(name))
    {
        entry[called.0] = true;
    }
    Plan {
        application: application.name.value.clone(),
        version: application.version.clone(),
        components: parts
            .ids()
            .map(|part| {
                let concurrency = uses_concurrency(placed, &fused, part);
                component(placed, part, entry[part.0], concurrency)
            })
            .collect(),
        links: decided()
            .map(|(i, link, bound)| planned_link(placed, link, &settings[i], bound, i))
            .collect(),
        host_units: processes.host_units(&checked.resolved),
        workers: processes.workers(&checked.resolved),
    }
}

/// Whether the part, or anything fused into it, needs an engine with concurrency support.
fn uses_concurrency(placed: &Placed<'_>, fused: &[(PartId, PartId)], part: PartId) -> bool {
    let parts = &placed.checked.resolved.parts;
    parts.kind(part) == ComponentKind::Component
        && parts.ids().any(|other| {
            parts
                .world(other)
                .is_some_and(withe_wit::World::uses_concurrency)
                && super::graph::path(fused, part, other).is_some()
        })
}

fn component(
    placed: &Placed<'_>,
    part: PartId,
    entry: bool,
    concurrency: bool,
) -> PlannedComponent {
    let parts = &placed.checked.resolved.parts;
    let declared = parts.declared(part);
    let kind = parts.kind(part);
    PlannedComponent {
        name: declared.name.value.clone(),
        id: part_id(parts, part),
        kind,
        elsewhere: !super::is_here(&placed.checked.resolved, part),
        digest: parts.digest(part).to_owned(),
        entry: entry && kind == ComponentKind::Component,
        concurrency,
        config: placed.checked.part_config[part.0].clone(),
        instances: placed.instances[part.0],
        memory: declared.limits.memory.as_ref().map(|m| m.value),
        time_ms: declared.limits.time.as_ref().map(|t| millis(t.value)),
        reuse: declared.reuse.as_ref().map(|r| r.value),
        grants: grants(&declared.grants),
        host_imports: placed.checked.resolved.host_imports[part.0]
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

fn grants(declared: &Grants) -> PlannedGrants {
    let directories = declared.directories.iter().map(|d| PlannedDirectory {
        host: d.host.value.clone(),
        guest: d.guest.clone(),
        read_only: d.read_only,
    });
    PlannedGrants {
        directories: directories.collect(),
        env: declared.env.clone(),
        network: declared.network.as_ref().is_some_and(|n| n.value),
    }
}

fn planned_link(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    bound: &Bound,
    place: usize,
) -> PlannedLink {
    let resolved = &placed.checked.resolved;
    let interfaces = resolved
        .wires(link)
        .into_iter()
        .map(|(import, export)| PlannedInterface {
            interface: interface_text(import),
            import: import.name.clone(),
            export: export.name.clone(),
        });
    let (source_config, target_config) = placed.checked.link_config[place].clone();
    PlannedLink {
        source: resolved.parts.name(link.source).to_owned(),
        target: resolved.parts.name(link.target).to_owned(),
        name: link.name.to_owned(),
        interfaces: interfaces.collect(),
        binding: bound.binding,
        by_host: bound.by_host,
        why: bound.why.clone(),
        incoming: !super::is_here(resolved, link.source),
        scope: settings.scope,
        timeout_ms: millis(settings.timeout.unwrap_or(DEFAULT_TIMEOUT)),
        timeout_given: settings.timeout.is_some(),
        locality: settings.locality,
        idempotent: link
            .traits
            .iter()
            .find_map(|l| l.idempotent.as_ref())
            .is_some_and(|i| i.value),
        source_config,
        target_config,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
