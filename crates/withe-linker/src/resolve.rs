//! First pass: which export satisfies which import.
//!
//! For every part, in the manifest's order: its link traits find their targets (`declare`), those that
//! pair imports with exports of other names take these (`pairs`), those
//! that name interfaces take the imports they name (`select`), those that name only a target take
//! what is left and the target exports (`infer`), traits that are one link become one (`merge`),
//! and every import that no link satisfies has to be the host's (`cover`). A provider that is a
//! source follows its own rule (`provider`): its imports are alternatives.

mod commands;
mod cover;
mod declare;
mod infer;
mod merge;
mod pairs;
mod provider;
mod select;
mod usage;

use std::collections::BTreeMap;

use crate::config::Definitions;
use crate::diagnostic::Diagnostics;
use crate::input::Inputs;
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::resolved::{Resolved, ResolvedLink};
use cover::FromHost;

/// Finds the ends of all links, and reports what has none.
pub(crate) fn resolve<'a>(inputs: &'a Inputs, out: &mut Diagnostics) -> Resolved<'a> {
    let parts = Parts::new(inputs);
    let definitions = Definitions::of(&inputs.application);
    check_ids(&parts, out);
    let mut links = Vec::new();
    let mut host_imports = Vec::new();
    let mut missing = Vec::new();
    for source in parts.ids() {
        if parts.is_provider(source) {
            links.extend(provider::resolve(&parts, &definitions, source, out));
            host_imports.push(Vec::new());
            missing.push(Vec::new());
        } else {
            let (found, from_host) = resolve_component(&parts, &definitions, source, out);
            links.extend(found);
            host_imports.push(from_host.satisfied);
            missing.push(from_host.missing);
        }
    }
    usage::check(&parts, out);
    commands::check(&parts, out);
    let chosen = (links.iter().filter(|link| link.chosen_at_run_time))
        .flat_map(|link| link.wires.iter().map(|wire| (link.source, wire.import)));
    Resolved {
        chosen_at_run_time: chosen.collect(),
        parts,
        links: links.into_iter().collect(),
        host_imports,
        missing,
    }
}

fn resolve_component<'a>(
    parts: &Parts<'a>,
    definitions: &Definitions<'a>,
    source: PartId,
    out: &mut Diagnostics,
) -> (Vec<ResolvedLink<'a>>, FromHost<'a>) {
    let mut declared = declare::declare(parts, source, out);
    let Some(world) = parts.world(source) else {
        return (Vec::new(), FromHost::nothing());
    };
    pairs::connect(parts, source, world, &mut declared, out);
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
        let id = parts.lattice_id(part);
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
