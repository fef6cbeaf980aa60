//! Links that name only their target: they are for what the source imports, the target exports, and
//! no other link takes.

use std::collections::{BTreeMap, BTreeSet};

use withe_wit::{Extern, World};

use crate::diagnostic::Diagnostics;
use crate::input::Link;
use crate::matching::{find_export, is_exact};
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::requests::{Translation, find_named, find_translated};
use crate::resolved::Wire;

use super::declare::{Declared, NameSlot, Trait, is_lattice};

/// Gives every trait that names no interfaces what is left for it.
pub(super) fn infer(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    declared: &mut Declared<'_>,
    out: &mut Diagnostics,
) {
    infer_labels(parts, source, world, declared, out);
    infer_named(world, declared);
    infer_default(parts, source, world, declared, out);
    for link in declared.traits.iter().filter(|t| t.selectors.is_none()) {
        if link.wires.is_empty() && !link.faulty && !names_only_types(world, link) {
            out.push(problems::coverage::satisfies_nothing(
                parts,
                source,
                link.link,
                link.target,
            ));
        }
    }
}

/// A link that has an import's name is for that import.
fn infer_labels(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    declared: &mut Declared<'_>,
    out: &mut Diagnostics,
) {
    for link in declared.traits.iter_mut().filter(|t| t.selectors.is_none()) {
        let NameSlot::Label(import) = link.slot else {
            continue;
        };
        match find_named(&world.imports[import], link.exports) {
            Some(export) => link.wires.push(Wire { import, export }),
            None => {
                let at = link.link.span;
                out.push(problems::selection::not_exported(
                    parts,
                    source,
                    link.link,
                    at,
                    &world.imports[import],
                ));
                link.faulty = true;
                declared.excused[import] = true;
            }
        }
    }
}

/// A link that the source chooses by name while it runs is for all that its target can satisfy.
fn infer_named(world: &World, declared: &mut Declared<'_>) {
    for i in 0..declared.traits.len() {
        let link = &declared.traits[i];
        if link.selectors.is_some() || !matches!(link.slot, NameSlot::Named(_)) {
            continue;
        }
        let taken = |import: usize| {
            let mut others = declared
                .traits
                .iter()
                .filter(|t| t.slot == link.slot && t.selectors.is_some());
            others.any(|t| t.wires.iter().any(|w| w.import == import))
        };
        let is_free = |w: &Wire| !world.imports[w.import].is_label() && !taken(w.import);
        let mut wires: Vec<Wire> = candidates(world, link).filter(is_free).collect();
        for translation in TRANSLATIONS {
            if translation == Translation::Handler && !wires.is_empty() {
                continue;
            }
            let more = translated(world, link, translation).filter(is_free);
            let more = more.filter(|w| wires.iter().all(|has| has.import != w.import));
            let more: Vec<Wire> = more.collect();
            wires.extend(more);
        }
        declared.traits[i].wires = wires;
    }
}

fn infer_default(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    declared: &mut Declared<'_>,
    out: &mut Diagnostics,
) {
    // The imports of links with interfaces or an import's name are settled from here on.
    let open: Vec<bool> = (0..world.imports.len())
        .map(|import| {
            let mut takers = declared
                .traits
                .iter()
                .filter(|t| !matches!(t.slot, NameSlot::Named(_)));
            !takers.any(|t| t.wires.iter().any(|w| w.import == import))
        })
        .collect();
    let inferred = |t: &Trait<'_>| t.selectors.is_none() && t.slot == NameSlot::Default;
    let mut claims: BTreeMap<usize, Vec<(usize, Wire)>> = BTreeMap::new();
    for (i, link) in declared
        .traits
        .iter_mut()
        .enumerate()
        .filter(|(_, t)| inferred(t))
    {
        let (clear, unclear) = without_labels(
            world,
            candidates(world, link).filter(|w| open[w.import]).collect(),
        );
        for labels in unclear {
            let imports: Vec<&Extern> = labels.iter().map(|w| &world.imports[w.import]).collect();
            out.push(problems::coverage::several_labels(
                parts, source, link.link, &imports,
            ));
            link.faulty = true;
            labels
                .iter()
                .for_each(|w| declared.excused[w.import] = true);
        }
        for wire in clear {
            claims.entry(wire.import).or_default().push((i, wire));
        }
    }
    for translation in TRANSLATIONS {
        let is_claimed: Vec<bool> = (0..open.len())
            .map(|import| !open[import] || claims.contains_key(&import))
            .collect();
        let claimants: BTreeSet<usize> = claims.values().flatten().map(|(i, _)| *i).collect();
        let links = declared.traits.iter().enumerate();
        for (i, link) in links.filter(|(_, link)| inferred(link)) {
            if translation == Translation::Handler && claimants.contains(&i) {
                continue;
            }
            let wires = translated(world, link, translation);
            let wires = wires.filter(|w| !is_claimed[w.import] && !declared.excused[w.import]);
            // Of labels the link would have to name one.
            for wire in wires.filter(|w| !world.imports[w.import].is_label()) {
                claims.entry(wire.import).or_default().push((i, wire));
            }
        }
    }
    // Imports that the same links claim are one problem.
    let mut contested: BTreeMap<Vec<usize>, Vec<&Extern>> = BTreeMap::new();
    for (import, mut claims) in claims {
        let exact = |(i, wire): &(usize, Wire)| {
            is_exact(
                &world.imports[import],
                &declared.traits[*i].exports.exports[wire.export],
            )
        };
        // A target with the very version goes before those with compatible ones.
        if claims.iter().any(exact) {
            claims.retain(exact);
        }
        let first = declared.traits[claims[0].0].target;
        if claims
            .iter()
            .all(|(i, _)| declared.traits[*i].target == first)
        {
            let (i, wire) = claims[0];
            declared.traits[i].wires.push(wire);
            // The same link once more: it is not without effect, only said twice.
            claims[1..]
                .iter()
                .for_each(|(i, _)| declared.traits[*i].wires.push(wire));
        } else {
            declared.excused[import] = true;
            let links: Vec<usize> = claims.iter().map(|(i, _)| *i).collect();
            links.iter().for_each(|i| declared.traits[*i].faulty = true);
            contested
                .entry(links)
                .or_default()
                .push(&world.imports[import]);
        }
    }
    for (links, imports) in contested {
        let links: Vec<&Link> = links.iter().map(|i| declared.traits[*i].link).collect();
        out.push(problems::coverage::ambiguous(
            parts, source, world, &links, &imports,
        ));
    }
}

/// The translations that are looked for, in this order, where no target exports what is imported.
const TRANSLATIONS: [Translation; 2] = [Translation::Release, Translation::Handler];

/// All imports of `world` that the trait's target can serve through a translation.
fn translated<'t>(
    world: &'t World,
    link: &'t Trait<'_>,
    translation: Translation,
) -> impl Iterator<Item = Wire> + use<'t> {
    let imports = world.imports.iter().enumerate();
    let imports = imports.filter(|(_, import)| in_package(link.link, import));
    imports.filter_map(move |(i, import)| {
        Some(Wire {
            import: i,
            export: find_translated(import, link.exports, translation)?,
        })
    })
}

/// All imports of `world` that the trait's target can satisfy.
pub(super) fn candidates<'t>(
    world: &'t World,
    link: &'t Trait<'_>,
) -> impl Iterator<Item = Wire> + use<'t> {
    let imports = world.imports.iter().enumerate().filter(|(_, import)| {
        let lattice = import.interface_name().is_some_and(is_lattice);
        !import.is_types_only() && !lattice && in_package(link.link, import)
    });
    imports.filter_map(|(i, import)| {
        Some(Wire {
            import: i,
            export: find_export(import, link.exports)?,
        })
    })
}

/// Whether the link's `namespace` and `package`, if it gives them, are the import's.
fn in_package(link: &Link, import: &Extern) -> bool {
    let (Some(namespace), Some(package)) = (&link.namespace, &link.package) else {
        return true;
    };
    let name = import.interface_name();
    name.is_some_and(|n| n.namespace == namespace.value && n.package == package.value)
}

/// The wires that a link without a name can take: an interface under its own name before one under
/// a label, and of labels only a single one. The second list holds the groups of labels that are
/// too many.
fn without_labels(world: &World, wires: Vec<Wire>) -> (Vec<Wire>, Vec<Vec<Wire>>) {
    let mut clear = Vec::new();
    let mut labelled: BTreeMap<String, Vec<Wire>> = BTreeMap::new();
    for wire in wires {
        let import = &world.imports[wire.import];
        match import.interface_name().filter(|_| import.is_label()) {
            Some(name) => {
                let plain = |e: &Extern| !e.is_label() && e.interface_name() == Some(name);
                if !world.imports.iter().any(plain) {
                    labelled.entry(name.to_string()).or_default().push(wire);
                }
            }
            None => clear.push(wire),
        }
    }
    let (single, several): (Vec<_>, Vec<_>) =
        labelled.into_values().partition(|wires| wires.len() == 1);
    clear.extend(single.into_iter().flatten());
    (clear, several)
}

/// Whether all that connects the two is an interface without functions: nothing needs linking then,
/// and nothing is wrong.
fn names_only_types(world: &World, link: &Trait<'_>) -> bool {
    let mut imports = world.imports.iter().filter(|import| import.is_types_only());
    imports
        .any(|import| in_package(link.link, import) && find_export(import, link.exports).is_some())
}
