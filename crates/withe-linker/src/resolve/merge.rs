//! Traits that are one link become one.
//!
//! A link is known by its source, target and name; v1 manifests spread one over several traits, one for each
//! package or interface. All calls over a link reach the same instance, and resources of one interface are
//! passed to another over it, so it has one set of properties.
//!
//! Configuration of its traits is joined, and a provider that is the target is told of one link. Where two
//! traits give a key two values, they are two links to it, which have no resources in common. A provider that
//! is the source is told of each trait that is configured otherwise: an HTTP server may listen at two
//! addresses for one component.

use crate::config::Definitions;
use crate::diagnostic::Diagnostics;
use crate::input::{Link, NamedConfig, SecretRef};
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::resolved::{ResolvedLink, Wire};

use super::declare::{Declared, NameSlot};

/// The links of `source`, in the order of their first traits; those that connect nothing are left
/// out: what is wrong with them was reported.
pub(super) fn merge<'a>(
    parts: &Parts<'a>,
    definitions: &Definitions<'a>,
    source: PartId,
    declared: &Declared<'a>,
    out: &mut Diagnostics,
) -> Vec<ResolvedLink<'a>> {
    let mut links = Vec::new();
    for link in declared.traits.iter().filter(|t| !t.wires.is_empty()) {
        let chosen_at_run_time = matches!(link.slot, NameSlot::Named(_));
        let link = ResolvedLink {
            chosen_at_run_time,
            ..single(source, link.target, link.link, link.wires.clone())
        };
        add(parts, definitions, &mut links, link, out);
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
    definitions: &Definitions<'a>,
    links: &mut Vec<ResolvedLink<'a>>,
    link: ResolvedLink<'a>,
    out: &mut Diagnostics,
) {
    let declared = link.traits[0];
    let is_one = |other: &ResolvedLink<'a>| {
        if parts.is_provider(link.source) {
            is_configured_alike(definitions, other, declared)
        } else if parts.is_provider(link.target) {
            is_configured_compatibly(definitions, other, declared)
        } else {
            true
        }
    };
    let same = links
        .iter_mut()
        .find(|l| (l.target, l.name) == (link.target, link.name) && is_one(l));
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

/// Whether a trait has the very configuration of a link.
fn is_configured_alike<'a>(
    definitions: &Definitions<'a>,
    link: &ResolvedLink<'a>,
    declared: &'a Link,
) -> bool {
    let first = link.traits[0];
    let values = |side: LinkSide| {
        let (a, b) = (
            definitions.merge(side.config(first)),
            definitions.merge(side.config(declared)),
        );
        a.values == b.values
    };
    let names = |side: LinkSide| {
        let names = |link: &'a Link| side.secrets(link).iter().map(|s| s.name.value.as_str());
        names(first).eq(names(declared))
    };
    [LinkSide::Source, LinkSide::Target]
        .into_iter()
        .all(|side| values(side) && names(side))
}

/// Whether a trait gives no key or secret that the link has another value.
fn is_configured_compatibly<'a>(
    definitions: &Definitions<'a>,
    link: &ResolvedLink<'a>,
    declared: &'a Link,
) -> bool {
    let values = |side: LinkSide| {
        let of_link = definitions.merge(
            link.traits
                .iter()
                .copied()
                .flat_map(|link| side.config(link)),
        );
        of_link.agrees_with(&definitions.merge(side.config(declared)))
    };
    let secrets = |side: LinkSide| {
        let mut of_link = link
            .traits
            .iter()
            .copied()
            .flat_map(|link| side.secrets(link));
        !of_link.any(|a| {
            let source = |s: &'a SecretRef| (&s.policy.value, &s.key, &s.field, &s.version);
            let mut added = side.secrets(declared).iter();
            added.any(|b| a.name.value == b.name.value && source(a) != source(b))
        })
    };
    [LinkSide::Source, LinkSide::Target]
        .into_iter()
        .all(|side| values(side) && secrets(side))
}

/// An end of a link.
#[derive(Clone, Copy)]
enum LinkSide {
    Source,
    Target,
}

impl LinkSide {
    fn config(self, link: &Link) -> &[NamedConfig] {
        match self {
            LinkSide::Source => &link.source_config,
            LinkSide::Target => &link.target_config,
        }
    }

    fn secrets(self, link: &Link) -> &[SecretRef] {
        match self {
            LinkSide::Source => &link.source_secrets,
            LinkSide::Target => &link.target_secrets,
        }
    }
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
