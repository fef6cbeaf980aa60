//! The properties that a provider's manifest gives it, against what its image turned out to be.
//!
//! `type: capability` says what a part is for, and its image whether it is a component. A manifest is read before
//! its images are, so what only one of the two kinds can have is looked at here.

use crate::diagnostic::Diagnostics;
use crate::input::{Component, ComponentKind, Span};
use crate::parts::Parts;
use crate::problems::kinds::{link_config, only_a_component, process};
use crate::resolved::Resolved;

/// Reports all that the kind of a provider has no use for.
pub(crate) fn check(resolved: &Resolved<'_>, out: &mut Diagnostics) {
    let parts = &resolved.parts;
    for part in parts.ids() {
        let declared = parts.declared(part);
        if declared.kind != ComponentKind::Provider || parts.world(part).is_none() {
            continue;
        }
        if parts.is_provider(part) {
            for (property, place) in of_components(declared) {
                out.push(only_a_component(declared, property, place));
            }
        } else if let Some(given) = declared.process.as_ref().filter(|given| given.value) {
            out.push(process(declared, given.span));
        }
    }
    check_links(parts, resolved, out);
}

/// A component is not told which link it is called over, so that what a link configures would reach nobody.
fn check_links(parts: &Parts<'_>, resolved: &Resolved<'_>, out: &mut Diagnostics) {
    for (_, link) in resolved.links.iter() {
        for declared in &link.traits {
            let ends = [
                (link.source, &declared.source_config),
                (link.target, &declared.target_config),
            ];
            for (end, configs) in ends {
                if parts.is_component_provider(end) {
                    let reports = configs.iter().map(|c| link_config(parts.name(end), c));
                    reports.for_each(|report| out.push(report));
                }
            }
        }
    }
}

/// The properties of `declared` that only a component can have, each with its place.
fn of_components(declared: &Component) -> Vec<(&'static str, Option<Span>)> {
    let (limits, grants) = (&declared.limits, &declared.grants);
    let memory = limits.memory.as_ref().map(|memory| memory.span);
    let limited = memory.or(limits.time.as_ref().map(|time| time.span));
    let directory = grants
        .directories
        .first()
        .map(|directory| directory.host.span);
    let granted = directory
        .or(grants.network.as_ref().map(|network| network.span))
        // A variable has no place of its own.
        .or((!grants.env.is_empty()).then_some(declared.name.span));
    let on_missing = declared.on_missing.as_ref().map(|given| given.span);
    let all = [
        ("limits", limited),
        ("grants", granted),
        ("on-missing", on_missing),
    ];
    let given = all.into_iter();
    given
        .filter_map(|(name, place)| Some((name, place?)))
        .collect()
}
