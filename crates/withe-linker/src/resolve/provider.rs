//! Links that start at a provider. A link takes what the provider imports and its target exports. HTTP handlers are
//! alternatives: an HTTP server calls whichever a component has, so the first of them is taken, and it alone.

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
        if parts.is_provider(target) && !parts.may_be_component(target) {
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
            Ok(selectors) => {
                let wires = exported(parts, world, exports, selectors.as_deref());
                if wires.is_empty() {
                    let instead = exported(parts, world, exports, None);
                    let instead = instead.first().map(|wire| &world.imports[wire.import]);
                    out.push(problems::targets::not_called(
                        parts, source, target, link, instead,
                    ));
                    continue;
                }
                let link = merge::single(source, target, link, wires);
                merge::add(parts, definitions, &mut links, link, out);
            }
        }
    }
    links
}

/// The wires of the provider's imports to the exports that are selected.
fn exported(
    parts: &Parts<'_>,
    world: &World,
    exports: &World,
    selectors: Option<&[Selector<'_>]>,
) -> Vec<Wire> {
    let wanted = |import: &Extern| {
        let selected = selectors.is_none_or(|all| all.iter().any(|s| s.matches(import)));
        selected && !import.is_types_only() && !parts.is_from_host(import)
    };
    let imports = world.imports.iter().enumerate();
    let wires = imports.filter(|(_, import)| wanted(import));
    let mut wires: Vec<_> = wires
        .filter_map(|(i, import)| {
            Some(Wire {
                import: i,
                export: find_export(import, exports)?,
            })
        })
        .collect();
    let is_http = |wire: &Wire| is_http_handler(&world.imports[wire.import]);
    if let Some(handler) = wires.iter().position(is_http) {
        wires = vec![wires.swap_remove(handler)];
    }
    wires
}

/// Whether an import is a component's HTTP handler, which takes requests and no calls.
fn is_http_handler(import: &Extern) -> bool {
    import.interface_name().is_some_and(|name| {
        name.namespace == "wasi"
            && name.package == "http"
            && matches!(name.interface.as_str(), "incoming-handler" | "handler")
    })
}
