//! First pass: which export satisfies which import.
//!
//! For every part, in the manifest's order: its link traits find their targets (`declare`), those
//! that name interfaces take the imports they name (`select`), those that name only a target take
//! what is left and the target exports (`infer`), traits that are one link become one (`merge`),
//! and every import that no link satisfies has to be the host's (`cover`). A provider that is a
//! source follows its own rule (`provider`): its imports are alternatives.

mod cover;
mod declare;
mod infer;
mod merge;
mod provider;
mod select;
mod usage;

pub(crate) use select::{BadSelector, Selector};

use std::collections::{BTreeMap, HashSet};

use withe_wit::{Extern, World};

use crate::config::Definitions;
use crate::diagnostic::Diagnostics;
use crate::host::HostImport;
use crate::ids::component_id;
use crate::input::{Inputs, Link};
use crate::ix::PerLink;
use crate::parts::{PartId, Parts};
use crate::problems;

/// The application with every link's ends found.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) parts: Parts<'a>,
    /// By source, then by place in the source.
    pub(crate) links: PerLink<ResolvedLink<'a>>,
    /// For each part, the imports that the host satisfies.
    pub(crate) host_imports: Vec<Vec<HostImport<'a>>>,
    /// The imports for which their component chooses a link by name while it runs: by component, and by place
    /// in its world.
    pub(crate) chosen_at_run_time: HashSet<(PartId, usize)>,
}

/// A link: one or more traits with the same source, target and name.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedLink<'a> {
    pub(crate) source: PartId,
    pub(crate) target: PartId,
    pub(crate) name: &'a str,
    /// The traits that declare it; never empty.
    pub(crate) traits: Vec<&'a Link>,
    /// What it connects, in the order of the source's imports; never empty.
    pub(crate) wires: Vec<Wire>,
    /// Whether the source chooses among links by name while it runs (`set-link-name`), and this is
    /// one of those it can choose.
    pub(crate) chosen_at_run_time: bool,
}

/// An import of the source's world and the export of the target's that satisfies it, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wire {
    pub(crate) import: usize,
    pub(crate) export: usize,
}

impl<'a> Resolved<'a> {
    /// The worlds of a link's source and target.
    pub(crate) fn worlds(&self, link: &ResolvedLink<'_>) -> Option<(&'a World, &'a World)> {
        Some((
            self.parts.world(link.source)?,
            self.parts.world(link.target)?,
        ))
    }

    /// The import and export of every wire of a link.
    pub(crate) fn wires<'s>(
        &'s self,
        link: &'s ResolvedLink<'_>,
    ) -> impl Iterator<Item = (&'a Extern, &'a Extern)> + use<'s, 'a> {
        let ends = self.worlds(link).into_iter();
        ends.flat_map(|(source, target)| {
            let wires = link.wires.iter();
            wires.map(move |w| (&source.imports[w.import], &target.exports[w.export]))
        })
    }
}

impl Resolved<'_> {
    /// Whether the part needs an engine with concurrency support: by what it is, or by what it has from the
    /// host, of which it may use no more than what is synchronous.
    pub(crate) fn uses_concurrency(&self, part: PartId) -> bool {
        let from_host = &self.host_imports[part.0];
        self.parts.uses_concurrency(part)
            || from_host
                .iter()
                .any(|host| !host.import.is_types_only() && host.export.is_asynchronous())
    }
}

/// Finds the ends of all links, and reports what has none.
pub(crate) fn resolve<'a>(inputs: &'a Inputs, out: &mut Diagnostics) -> Resolved<'a> {
    let parts = Parts::new(inputs);
    let definitions = Definitions::of(&inputs.application);
    check_ids(&parts, out);
    let mut links = Vec::new();
    let mut host_imports = Vec::new();
    for source in parts.ids() {
        if parts.is_provider(source) {
            links.extend(provider::resolve(&parts, &definitions, source, out));
            host_imports.push(Vec::new());
        } else {
            let (found, from_host) = resolve_component(&parts, &definitions, source, out);
            links.extend(found);
            host_imports.push(from_host);
        }
    }
    usage::check(&parts, out);
    let chosen = (links.iter().filter(|link| link.chosen_at_run_time))
        .flat_map(|link| link.wires.iter().map(|wire| (link.source, wire.import)));
    Resolved {
        chosen_at_run_time: chosen.collect(),
        parts,
        links: links.into_iter().collect(),
        host_imports,
    }
}

fn resolve_component<'a>(
    parts: &Parts<'a>,
    definitions: &Definitions<'a>,
    source: PartId,
    out: &mut Diagnostics,
) -> (Vec<ResolvedLink<'a>>, Vec<HostImport<'a>>) {
    let mut declared = declare::declare(parts, source, out);
    let Some(world) = parts.world(source) else {
        return (Vec::new(), Vec::new());
    };
    select::select(parts, source, world, &mut declared, out);
    infer::infer(parts, source, world, &mut declared, out);
    let links = merge::merge(parts, definitions, source, &declared, out);
    let from_host = cover::cover(parts, source, world, &links, &declared.excused, out);
    (links, from_host)
}

/// Reports components that end up with one id. Two that both give theirs are the manifest's error.
fn check_ids(parts: &Parts<'_>, out: &mut Diagnostics) {
    let mut by_id: BTreeMap<String, PartId> = BTreeMap::new();
    for part in parts.ids() {
        let id = part_id(parts, part);
        match by_id.get(&id) {
            Some(first) => {
                let (a, b) = (parts.declared(*first), parts.declared(part));
                if (a.id.is_none() || b.id.is_none()) && a.name != b.name {
                    out.push(problems::targets::duplicate_id(parts, *first, part, &id));
                }
            }
            None => {
                by_id.insert(id, part);
            }
        }
    }
}

/// A part's id on the lattice.
pub(crate) fn part_id(parts: &Parts<'_>, part: PartId) -> String {
    let declared = parts.declared(part);
    match &declared.id {
        Some(id) => id.value.clone(),
        None => component_id(&parts.inputs.application.name, &declared.name),
    }
}
