//! Links that start at a provider. What a provider imports are alternatives (an HTTP server calls
//! whichever handler a component has), so a link takes the first that its target exports.

use withe_wit::{Extern, World};

use crate::config::Definitions;
use crate::diagnostic::Diagnostics;
use crate::matching::find_export;
use crate::parts::{PartId, Parts};
use crate::problems;
use crate::resolved::{ResolvedLink, Wire};
use crate::selector::{Selector, selectors};

use super::merge;

/// The links of the provider `source`.
pub(super) fn resolve<'a>(
    parts: &Parts<'a>,
    definitions: &Definitions<'a>,
    source: PartId,
    out: &mut Diagnostics,
) -> Vec<ResolvedLink<'a>> {
    let mut links = Vec::new();
    for link in &parts.declared(source).links {
        let Some(target) = parts.find(&link.target) else {
            out.push(problems::targets::unknown(parts, source, link));
            continue;
        };
        if parts.is_provider(target) {
            out.push(problems::targets::between_providers(
                parts, source, target, link,
            ));
            continue;
        }
        let (Some(world), Some(exports)) = (parts.world(source), parts.world(target)) else {
            continue;
        };
        match selectors(link) {
            Err(bad) => out.extend(problems::selection::malformed(&bad)),
            Ok(selectors) => match first_exported(parts, world, exports, selectors.as_deref()) {
                Some(wire) => {
                    let link = merge::single(source, target, link, vec![wire]);
                    merge::add(parts, definitions, &mut links, link, out);
                }
                None => {
                    let instead = first_exported(parts, world, exports, None)
                        .map(|w| &world.imports[w.import]);
                    out.push(problems::targets::not_called(
                        parts, source, target, link, instead,
                    ));
                }
            },
        }
    }
    links
}

fn first_exported(
    parts: &Parts<'_>,
    world: &World,
    exports: &World,
    selectors: Option<&[Selector<'_>]>,
) -> Option<Wire> {
    let wanted = |import: &Extern| {
        let selected = selectors.is_none_or(|all| all.iter().any(|s| s.matches(import)));
        selected && !import.is_types_only() && !parts.is_from_host(import)
    };
    let imports = world
        .imports
        .iter()
        .enumerate()
        .filter(|(_, import)| wanted(import));
    let mut wires = imports.filter_map(|(i, import)| {
        Some(Wire {
            import: i,
            export: find_export(import, exports)?,
        })
    });
    wires.next()
}
