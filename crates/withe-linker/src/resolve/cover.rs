//! Every import is satisfied once: by one link, or by the host.

use std::collections::BTreeMap;

use withe_wit::{Extern, World};

use crate::diagnostic::Diagnostics;
use crate::host::HostImport;
use crate::input::OnMissing;
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::resolved::ResolvedLink;

/// Reports the imports of `source` that two links satisfy, or none; returns those that the host
/// satisfies, and those that trap because nothing does. `excused` are those that an earlier report accounts for.
pub(super) fn cover<'a>(
    parts: &Parts<'a>,
    source: PartId,
    world: &'a World,
    links: &[ResolvedLink<'a>],
    excused: &[bool],
    out: &mut Diagnostics,
) -> FromHost<'a> {
    let mut from_host = Vec::new();
    let mut without_default = Vec::new();
    // Imports of one package that nothing satisfies have one remedy, and are one problem.
    let mut unresolved: BTreeMap<String, Vec<&'a Extern>> = BTreeMap::new();
    let mut covering: Vec<Vec<&ResolvedLink<'a>>> = vec![Vec::new(); world.imports.len()];
    for link in links {
        link.wires
            .iter()
            .for_each(|wire| covering[wire.import].push(link));
    }
    for ((i, import), covering) in world.imports.iter().enumerate().zip(covering) {
        let (named, plain): (Vec<_>, Vec<_>) =
            covering.into_iter().partition(|l| l.chosen_at_run_time);
        report_twice(parts, source, import, &plain, out);
        let mut names: BTreeMap<&str, Vec<&ResolvedLink<'a>>> = BTreeMap::new();
        named
            .iter()
            .for_each(|link| names.entry(link.name).or_default().push(link));
        names
            .values()
            .for_each(|links| report_twice(parts, source, import, links, out));
        if !plain.is_empty() {
            continue;
        }
        if let Some(export) = parts.host.find(import) {
            from_host.push(HostImport { import, export });
        } else if !named.is_empty() {
            without_default.push((import, named[0]));
        } else if !excused[i] && !import.is_types_only() {
            unresolved.entry(package(import)).or_default().push(import);
        }
    }
    let mut missing = Vec::new();
    match parts.on_missing(source) {
        OnMissing::Error => {
            for imports in unresolved.into_values() {
                out.push(problems::imports::unresolved(parts, source, &imports));
            }
        }
        OnMissing::Trap => {
            missing.extend(unresolved.into_values().flatten());
            if !missing.is_empty() {
                out.push(problems::imports::trapping(parts, source, &missing));
            }
        }
    }
    out.extend(problems::coverage::no_default(
        parts,
        source,
        &without_default,
    ));
    FromHost {
        satisfied: from_host,
        missing,
    }
}

impl FromHost<'_> {
    /// The value for a component that could not be read.
    pub(super) fn nothing() -> Self {
        Self {
            satisfied: Vec::new(),
            missing: Vec::new(),
        }
    }
}

/// The imports of a component that the host takes care of.
pub(super) struct FromHost<'a> {
    /// The imports that it satisfies.
    pub(super) satisfied: Vec<HostImport<'a>>,
    /// The imports that it makes trap.
    pub(super) missing: Vec<&'a Extern>,
}

fn report_twice(
    parts: &Parts<'_>,
    source: PartId,
    import: &Extern,
    links: &[&ResolvedLink<'_>],
    out: &mut Diagnostics,
) {
    if let [first, second, ..] = links {
        out.push(problems::coverage::linked_twice(
            parts, source, import, first, second,
        ));
    }
}

fn package(import: &Extern) -> String {
    match import.interface_name() {
        Some(n) => {
            let version = n
                .version
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            format!("{}:{}@{version}", n.namespace, n.package)
        }
        None => import.name.clone(),
    }
}
