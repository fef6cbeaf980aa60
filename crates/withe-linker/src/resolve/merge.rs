//! Traits that are one link become one.
//!
//! A link is known by its source, target and name; v1 manifests spread one over several traits, one
//! for each package. All calls over a link reach the same instance, so it must have one set of
//! properties. Only where a provider is at an end may traits of one name differ in configuration: it
//! is told of each trait by itself.

use crate::diagnostic::Diagnostics;
use crate::input::{Link, NamedConfig, SecretRef};
use crate::parts::{PartId, Parts};
use crate::problems;

use super::declare::{Declared, Slot};
use super::{ResolvedLink, Wire};

/// The links of `source`, in the order of their first traits; those that connect nothing are left
/// out: what is wrong with them was reported.
pub(super) fn merge<'a>(
    parts: &Parts<'a>,
    source: PartId,
    declared: &Declared<'a>,
    out: &mut Diagnostics,
) -> Vec<ResolvedLink<'a>> {
    let mut links = Vec::new();
    for link in declared.traits.iter().filter(|t| !t.wires.is_empty()) {
        let chosen_at_run_time = matches!(link.slot, Slot::Named(_));
        let link = ResolvedLink {
            chosen_at_run_time,
            ..single(source, link.target, link.link, link.wires.clone())
        };
        add(parts, &mut links, link, out);
    }
    links
}

/// The link that one trait declares.
pub(super) fn single<'a>(
    source: PartId,
    target: PartId,
    declared: &'a Link,
    mut wires: Vec<Wire>,
) -> ResolvedLink<'a> {
    wires.sort_unstable();
    wires.dedup();
    let name = declared
        .name
        .as_ref()
        .map_or("default", |n| n.value.as_str());
    ResolvedLink {
        source,
        target,
        name,
        traits: vec![declared],
        wires,
        chosen_at_run_time: false,
    }
}

/// Adds the link of one trait to those before it, or makes it part of one of them.
pub(super) fn add<'a>(
    parts: &Parts<'a>,
    links: &mut Vec<ResolvedLink<'a>>,
    link: ResolvedLink<'a>,
    out: &mut Diagnostics,
) {
    let declared = link.traits[0];
    let with_provider = parts.is_provider(link.source) || parts.is_provider(link.target);
    let same = links.iter_mut().find(|l| {
        (l.target, l.name) == (link.target, link.name)
            && (!with_provider || same_configuration(l.traits[0], declared))
    });
    let Some(same) = same else {
        return links.push(link);
    };
    for setting in clashes(&same.traits, declared) {
        out.push(problems::coverage::settings_clash(
            parts,
            link.source,
            same.traits[0],
            declared,
            setting,
        ));
    }
    same.traits.push(declared);
    same.wires.extend(link.wires);
    same.wires.sort_unstable();
    same.wires.dedup();
}

fn same_configuration(a: &Link, b: &Link) -> bool {
    let configs = |x: &[NamedConfig], y: &[NamedConfig]| {
        let key = |c: &NamedConfig| {
            let values = c.properties.as_ref().map(|p| {
                p.iter()
                    .map(|(k, v)| (k.clone(), v.value.clone()))
                    .collect::<Vec<_>>()
            });
            (c.name.value.clone(), values)
        };
        x.iter().map(key).eq(y.iter().map(key))
    };
    let secrets = |x: &[SecretRef], y: &[SecretRef]| {
        x.iter()
            .map(|s| &s.name.value)
            .eq(y.iter().map(|s| &s.name.value))
    };
    configs(&a.source_config, &b.source_config)
        && configs(&a.target_config, &b.target_config)
        && secrets(&a.source_secrets, &b.source_secrets)
        && secrets(&a.target_secrets, &b.target_secrets)
}

/// The settings for which `declared` has another value than the traits before it.
fn clashes(earlier: &[&Link], declared: &Link) -> Vec<&'static str> {
    fn differs<T: PartialEq>(
        earlier: &[&Link],
        declared: &Link,
        get: impl Fn(&Link) -> Option<T>,
    ) -> bool {
        let mut given = earlier.iter().filter_map(|link| get(link));
        get(declared).is_some_and(|value| given.any(|other| other != value))
    }
    let checks = [
        (
            "binding",
            differs(earlier, declared, |l| l.binding.as_ref().map(|s| s.value)),
        ),
        (
            "scope",
            differs(earlier, declared, |l| l.scope.as_ref().map(|s| s.value)),
        ),
        (
            "timeout",
            differs(earlier, declared, |l| l.timeout.as_ref().map(|s| s.value)),
        ),
        (
            "locality",
            differs(earlier, declared, |l| l.locality.as_ref().map(|s| s.value)),
        ),
        (
            "idempotent",
            differs(earlier, declared, |l| {
                l.idempotent.as_ref().map(|s| s.value)
            }),
        ),
    ];
    checks
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name)
        .collect()
}
