//! The properties of a link between components that keep its target from being fused into its source, whatever
//! else is fused, or from being served by another process. Each reason is worded to stand in the
//! plan.

use crate::input::{Grants, Locality, Scope};
use crate::place::Placed;
use crate::resolved::{Resolved, ResolvedLink};

use super::carry;
use super::settings::Settings;

/// The first reason that the target cannot be fused, if there is one.
pub(super) fn to_fusing(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
) -> Option<String> {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let (source, target) = (parts.declared(link.source), parts.declared(link.target));
    match settings.scope {
        Scope::Caller => {}
        Scope::Call => return Some("scope is call: each call gets a fresh instance".into()),
        Scope::Shared
            if link.traits.iter().all(|l| l.scope.is_none())
                && parts.is_component_provider(link.target) =>
        {
            let name = &target.name.value;
            return Some(format!(
                "`{name}` is a provider: all callers share one instance"
            ));
        }
        Scope::Shared => return Some("scope is shared: all callers share one instance".into()),
    }
    if settings.timeout.is_some() {
        return Some(
            "it has a timeout of its own, which needs a boundary to be enforced at".into(),
        );
    }
    if target.limits.memory.is_some() || target.limits.time.is_some() {
        return Some(format!("`{}` has limits of its own", target.name.value));
    }
    if !same_grants(&source.grants, &target.grants) {
        let (a, b) = (&source.name.value, &target.name.value);
        return Some(format!(
            "`{a}` and `{b}` are granted different directories or networks"
        ));
    }
    if has_alternatives(placed, link) {
        return Some(format!(
            "`{}` chooses among its links by name while it runs",
            source.name.value
        ));
    }
    carry::fused_obstacle(resolved, link)
}

/// The first reason that the target cannot be called in another process, if there is one.
pub(super) fn to_worker(
    resolved: &Resolved<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
) -> Option<String> {
    outside_locality(settings).or_else(|| carry::wire_obstacle(resolved, link, settings.scope))
}

/// Why the link may not leave its source's process, if it says so.
pub(super) fn outside_locality(settings: &Settings) -> Option<String> {
    (settings.locality == Some(Locality::Host))
        .then(|| "its locality is `host`, which keeps both ends in one process".into())
}

/// Environment variables are each constituent's own even in a composition; sockets and directories
/// come from one context that all of it shares.
fn same_grants(a: &Grants, b: &Grants) -> bool {
    let network = |g: &Grants| g.network.as_ref().is_some_and(|n| n.value);
    let directories = |g: &Grants| -> Vec<_> {
        g.directories
            .iter()
            .map(|d| (d.host.value.clone(), d.guest.clone(), d.read_only))
            .collect()
    };
    network(a) == network(b) && directories(a) == directories(b)
}

fn has_alternatives(placed: &Placed<'_>, link: &ResolvedLink<'_>) -> bool {
    let chosen = &placed.checked.resolved.chosen_at_run_time;
    let mut imports = link.wires.iter().map(|wire| (link.source, wire.import));
    link.chosen_at_run_time || imports.any(|import| chosen.contains(&import))
}
