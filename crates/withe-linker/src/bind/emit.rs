//! The plan as data.

use std::time::Duration;

use crate::fetched;
use crate::input::{ComponentKind, Grants, Link, SecretRef};
use crate::ix::{LinkIx, PerLink, PerPart};
use crate::matching::interface_text;
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::{
    Binding, Plan, PlannedComponent, PlannedDirectory, PlannedGrants, PlannedInterface, PlannedLink,
};
use crate::resolved::ResolvedLink;

use super::bound::Bound;
use super::graph::Graph;
use super::processes::Processes;
use super::settings::Settings;

/// The time that a call may take if its link says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes down what was decided. A link without a binding is left out: there is an error
/// about it, or both its ends are on other hosts.
pub(super) fn emit(
    placed: &Placed<'_>,
    settings: &PerLink<Settings>,
    bound: &PerLink<Option<Bound>>,
    processes: &Processes,
) -> Plan {
    let checked = &placed.checked;
    let parts = &checked.resolved.parts;
    let application = &parts.inputs.application;
    let decided = || {
        let links = checked.resolved.links.iter();
        links.filter_map(|(i, link)| Some((i, link, bound[i].as_ref()?)))
    };
    let fused = decided()
        .filter(|(_, _, bound)| bound.binding == Binding::Fused)
        .map(|(_, link, _)| (link.source, link.target));
    let concurrent = concurrent(placed, &Graph::new(parts.count(), fused));
    // A component that only takes part in compositions of others is not instantiated on its own.
    let mut entry = PerPart::filled(false, parts.count());
    for (_, link, _) in decided().filter(|(_, _, bound)| bound.binding != Binding::Fused) {
        entry[link.target] = true;
    }
    let served = parts.inputs.placement.served.iter();
    for part in served.filter_map(|name| parts.find(name)) {
        entry[part] = true;
    }
    for called in parts.called() {
        entry[called] = true;
    }
    Plan {
        application: application.name.value.clone(),
        version: application.version.clone(),
        components: parts
            .ids()
            .map(|part| component(placed, part, entry[part], concurrent[part]))
            .collect(),
        links: decided()
            .map(|(i, link, bound)| planned_link(placed, link, &settings[i], bound, i))
            .collect(),
        host_units: processes.host_units(&checked.resolved),
        workers: processes.workers(&checked.resolved),
    }
}

/// Which parts are components that need an engine with concurrency support, or have one fused into them that
/// does.
fn concurrent(placed: &Placed<'_>, fused: &Graph) -> PerPart<bool> {
    let parts = &placed.checked.resolved.parts;
    let by_itself = parts
        .ids()
        .filter(|part| placed.checked.resolved.uses_concurrency(*part));
    let reached = fused.leading_to(by_itself);
    let is_component = |part| parts.kind(part) == ComponentKind::Component;
    let concurrent = reached
        .iter()
        .map(|(part, leads)| *leads && is_component(part));
    concurrent.collect()
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
    let config = placed.checked.part_config[part].clone();
    PlannedComponent {
        name: declared.name.value.clone(),
        id: parts.lattice_id(part),
        kind,
        provider: parts.is_component_provider(part),
        elsewhere: !parts.is_here(part),
        digest: parts.digest(part).to_owned(),
        entry: entry && kind == ComponentKind::Component,
        concurrency,
        config: config.values,
        secret_keys: config.secret_keys,
        secrets: fetched::planned(&parts.inputs.application, &declared.secrets),
        secret_values: Default::default(),
        instances: placed.instances[part],
        memory: declared.limits.memory.as_ref().map(|m| m.value),
        time_ms: declared.limits.time.as_ref().map(|t| millis(t.value)),
        reuse: declared.reuse.as_ref().map(|r| r.value),
        grants: grants(&declared.grants),
        host_imports: placed.checked.resolved.host_imports[part.0]
            .iter()
            .map(|host| host.import.name.clone())
            .collect(),
        missing: placed.checked.resolved.missing[part.0]
            .iter()
            .map(|import| import.name.clone())
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
    place: LinkIx,
) -> PlannedLink {
    let resolved = &placed.checked.resolved;
    let interfaces = resolved
        .wires(link)
        .map(|(import, export)| PlannedInterface {
            interface: interface_text(import),
            import: import.name.clone(),
            export: export.name.clone(),
        });
    let (source, target) = placed.checked.link_config[place].clone();
    let secrets = |end, of: fn(&Link) -> &Vec<SecretRef>| {
        let refs = link.traits.iter().flat_map(|declared| of(declared));
        let refs = refs.filter(|_| resolved.parts.is_provider(end));
        fetched::planned(&resolved.parts.inputs.application, refs)
    };
    let incoming = !resolved.parts.is_here(link.source);
    let is_away = !resolved.parts.is_here(link.target);
    PlannedLink {
        source: resolved.parts.name(link.source).to_owned(),
        target: resolved.parts.name(link.target).to_owned(),
        name: link.name.to_owned(),
        interfaces: interfaces.collect(),
        binding: bound.binding,
        by_host: bound.by_host,
        why: bound.why.clone(),
        incoming,
        leaves_host: !incoming
            && (is_away || matches!(bound.binding, Binding::Tcp | Binding::Nats)),
        scope: settings.scope,
        timeout_ms: millis(settings.timeout.unwrap_or(DEFAULT_TIMEOUT)),
        timeout_given: settings.timeout.is_some(),
        locality: settings.locality,
        idempotent: link
            .traits
            .iter()
            .find_map(|l| l.idempotent.as_ref())
            .is_some_and(|i| i.value),
        source_config: source.values,
        source_secret_keys: source.secret_keys,
        source_secrets: secrets(link.source, |l| &l.source_secrets),
        target_config: target.values,
        target_secret_keys: target.secret_keys,
        target_secrets: secrets(link.target, |l| &l.target_secrets),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
