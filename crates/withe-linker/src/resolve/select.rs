//! Links that name the interfaces they are for.
//!
//! An interface may be imported in several compatible versions, and several targets may export it. A link
//! that names a version is for that import. One that does not is for the imports that no other link names by
//! their version, and leaves an import to a target that exports its very version.

use std::collections::BTreeSet;

use withe_wit::{Extern, World};

use crate::diagnostic::Diagnostics;
use crate::matching::{find_export, is_exact};
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::requests::find_named;
use crate::resolved::Wire;
use crate::selector::Selector;

use super::declare::{Declared, NameSlot, Trait};
use super::infer::candidates;

/// Gives every trait that names interfaces the imports it names.
pub(super) fn select(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    declared: &mut Declared<'_>,
    out: &mut Diagnostics,
) {
    let Declared { traits, excused } = declared;
    let named = named_by_version(world, traits);
    for link in traits.iter_mut() {
        let Some(selectors) = link.selectors.clone() else {
            continue;
        };
        // The link names pairs only.
        if selectors.is_empty() {
            continue;
        }
        let mut unmatched = Vec::new();
        for selector in &selectors {
            let blamed = match matching(world, selector, link.slot, &named) {
                Matching::Nothing => {
                    unmatched.push(selector);
                    continue;
                }
                Matching::Imports(imports) => {
                    if connect(link, world, &imports) {
                        continue;
                    }
                    let (at, import) = (selector.written.span, &world.imports[imports[0]]);
                    out.push(problems::selection::not_exported(
                        parts, source, link.link, at, import,
                    ));
                    imports
                }
                Matching::Labels(labels) => {
                    let imports: Vec<&Extern> = labels.iter().map(|i| &world.imports[*i]).collect();
                    out.push(problems::coverage::several_labels(
                        parts, source, link.link, &imports,
                    ));
                    labels
                }
            };
            blamed.into_iter().for_each(|import| excused[import] = true);
        }
        if unmatched.len() < selectors.len() {
            out.extend(problems::selection::not_imported(
                parts, source, link.link, &unmatched,
            ));
            continue;
        }
        out.push(problems::selection::nothing_imported(
            parts, source, link.link, &unmatched,
        ));
        // The misnamed interfaces were meant to be the imports that the target could satisfy.
        for (excused, import) in excused.iter_mut().zip(&world.imports) {
            *excused |= find_export(import, link.exports).is_some();
        }
    }
    yield_to_exact(world, traits);
}

/// Imports that links of a slot name by their very version.
type Named<'a> = BTreeSet<(NameSlot<'a>, usize)>;

fn named_by_version<'a>(world: &World, traits: &[Trait<'a>]) -> Named<'a> {
    let mut named = Named::new();
    for link in traits {
        let selectors = link.selectors.iter().flatten();
        for selector in selectors.filter(|s| s.version.is_some()) {
            let imports = world.imports.iter().enumerate();
            let exact = imports.filter(|(_, import)| selector.is_exactly(import));
            named.extend(exact.map(|(i, _)| (link.slot, i)));
        }
    }
    named
}

/// Of the links that took an import, those whose target has its very version keep it; the others give it up
/// if their target has the very version of another import of this interface. A link that would be left
/// without the interface is not meant to give way: the two are in conflict.
fn yield_to_exact(world: &World, traits: &mut [Trait<'_>]) {
    let exact = |link: &Trait<'_>, wire: &Wire| {
        is_exact(
            &world.imports[wire.import],
            &link.exports.exports[wire.export],
        )
    };
    let mut settled = BTreeSet::new();
    for link in traits.iter() {
        let inferred = link.selectors.is_none().then(|| candidates(world, link));
        let wires = link
            .wires
            .iter()
            .copied()
            .chain(inferred.into_iter().flatten());
        let wires = wires.filter(|wire| exact(link, wire));
        settled.extend(wires.map(|wire| (link.slot, wire.import)));
    }
    for link in traits {
        let same = |a: &Wire, b: &Wire| {
            let name = |wire: &Wire| world.imports[wire.import].interface_name();
            matches!((name(a), name(b)), (Some(a), Some(b)) if a.same_interface(b))
        };
        let gives_up = |wire: &Wire| {
            !exact(link, wire)
                && settled.contains(&(link.slot, wire.import))
                && link
                    .wires
                    .iter()
                    .any(|other| exact(link, other) && same(wire, other))
        };
        let kept = link.wires.iter().copied().filter(|wire| !gives_up(wire));
        link.wires = kept.collect();
    }
}

/// Connects what the target exports of `imports`; whether that is any, or nothing needs to be.
fn connect(link: &mut Trait<'_>, world: &World, imports: &[usize]) -> bool {
    let mut connected = false;
    for &import in imports {
        let item = &world.imports[import];
        if item.is_types_only() {
            connected = true;
        } else if let Some(export) = find_named(item, link.exports) {
            link.wires.push(Wire { import, export });
            connected = true;
        }
    }
    connected
}

enum Matching {
    /// No import is of this name.
    Nothing,
    Imports(Vec<usize>),
    /// The interface is imported under several labels only, and the link does not say which.
    Labels(Vec<usize>),
}

fn matching(
    world: &World,
    selector: &Selector<'_>,
    slot: NameSlot<'_>,
    named: &Named<'_>,
) -> Matching {
    let imports = world.imports.iter().enumerate();
    let fitting = imports.filter(|(_, import)| selector.matches(import));
    let fitting: Vec<usize> = fitting.map(|(i, _)| i).collect();
    let exact = |i: &usize| selector.is_exactly(&world.imports[*i]);
    let (exact, compatible): (Vec<_>, Vec<_>) = fitting.iter().copied().partition(exact);
    let free = compatible
        .into_iter()
        .filter(|i| !named.contains(&(slot, *i)));
    let chosen = match (exact.is_empty(), free.collect::<Vec<_>>()) {
        (false, _) => exact,
        // If another link names all of them, both conflict, unless this one names another version.
        (true, free) if free.is_empty() && selector.version.is_none() => fitting,
        (true, free) => free,
    };
    let found: Vec<usize> = match slot {
        NameSlot::Label(label) => chosen.into_iter().filter(|i| *i == label).collect(),
        NameSlot::Default | NameSlot::Named(_) => {
            let is_label = |i: &usize| world.imports[*i].is_label();
            let (labels, plain): (Vec<_>, Vec<_>) = chosen.into_iter().partition(is_label);
            match (plain.is_empty(), labels.len()) {
                (true, 2..) => return Matching::Labels(labels),
                (true, _) => labels,
                (false, _) => plain,
            }
        }
    };
    if found.is_empty() {
        Matching::Nothing
    } else {
        Matching::Imports(found)
    }
}
