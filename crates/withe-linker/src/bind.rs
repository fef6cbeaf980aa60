//! Last pass: how each link is realised. `auto` takes the cheapest binding that is correct.
//!
//! * A link with a provider at one end is bound through the `host`.
//! * Between components, `fused` is the cheapest: the target becomes part of the source. What stands
//!   in its way is a property of the link (`obstacle`), of its types (`carry`), or of what else is
//!   fused (`fuse`).
//! * Otherwise the link is `local`, a call between two instances through the host, which carries
//!   most types but not all (`carry`).

mod carry;
mod emit;
mod fuse;
mod graph;
mod obstacle;

use std::time::Duration;

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, ComponentKind, Scope};
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::{Binding, Plan};
use crate::problems;
use crate::resolve::ResolvedLink;

/// What a call may take if its link says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a link asks for, with defaults filled in.
#[derive(Clone, Debug)]
struct Settings {
    binding: BindingChoice,
    /// Who asked for the binding, for `why`.
    asked_by: &'static str,
    scope: Scope,
    timeout: Option<Duration>,
}

/// A link's binding and why.
#[derive(Clone, Debug)]
struct Bound {
    binding: Binding,
    why: String,
}

/// Chooses a binding for every link. The plan is complete only if `out` holds no errors afterwards.
pub(crate) fn bind(placed: &Placed<'_>, out: &mut Diagnostics) -> Plan {
    let resolved = &placed.checked.resolved;
    let settings: Vec<Settings> = resolved
        .links
        .iter()
        .map(|link| settings(placed, link))
        .collect();
    check_shared_cycles(placed, &settings, out);
    let mut bound: Vec<Option<Bound>> = vec![None; settings.len()];
    let mut between_components = Vec::new();
    for (i, (link, settings)) in resolved.links.iter().zip(&settings).enumerate() {
        if let BindingChoice::Unix | BindingChoice::Tcp | BindingChoice::Nats = settings.binding {
            out.push(problems::bindings::not_built(
                &resolved.parts,
                link,
                settings.binding,
            ));
        } else if involves_provider(placed, link) {
            bound[i] = bind_to_provider(placed, link, settings, out);
        } else {
            between_components.push(i);
        }
    }
    for (i, choice) in fuse::choose(placed, &settings, &between_components, out) {
        bound[i] = choice;
    }
    emit::emit(placed, &settings, &bound)
}

fn involves_provider(placed: &Placed<'_>, link: &ResolvedLink<'_>) -> bool {
    let parts = &placed.checked.resolved.parts;
    parts.is_provider(link.source) || parts.is_provider(link.target)
}

fn settings(placed: &Placed<'_>, link: &ResolvedLink<'_>) -> Settings {
    let parts = &placed.checked.resolved.parts;
    // What the command line says is about links between components; a provider has no choice.
    let defaults = (!involves_provider(placed, link)).then_some(&parts.inputs.defaults);
    let declared = link
        .traits
        .iter()
        .find_map(|l| l.binding.as_ref())
        .map(|b| b.value);
    let (binding, asked_by) = match (declared, defaults.and_then(|d| d.binding)) {
        (Some(binding), _) => (binding, "the manifest"),
        (None, Some(binding)) => (binding, "the command line"),
        (None, None) => (BindingChoice::Auto, ""),
    };
    let scope = link
        .traits
        .iter()
        .find_map(|l| l.scope.as_ref())
        .map(|s| s.value);
    Settings {
        binding,
        asked_by,
        scope: scope.or(defaults.and_then(|d| d.scope)).unwrap_or_default(),
        timeout: link
            .traits
            .iter()
            .find_map(|l| l.timeout.as_ref())
            .map(|t| t.value),
    }
}

fn bind_to_provider(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let provider = if parts.is_provider(link.target) {
        link.target
    } else {
        link.source
    };
    let name = parts.name(provider);
    if !matches!(settings.binding, BindingChoice::Auto | BindingChoice::Host) {
        let reason = format!("`{name}` is a provider, which only the host can call");
        out.push(problems::bindings::pinned(
            parts,
            link,
            settings.binding,
            &reason,
        ));
        return None;
    }
    if provider == link.target && settings.scope != Scope::Caller {
        out.push(problems::bindings::provider_scope(
            parts,
            link,
            settings.scope,
        ));
        return None;
    }
    if let Some(reason) = carry::host_obstacle(resolved, link) {
        out.push(problems::bindings::none(parts, link, &[("host", &reason)]));
        return None;
    }
    Some(Bound {
        binding: Binding::Host,
        why: format!("`{name}` is a provider in this host"),
    })
}

/// Refuses links to shared instances that calls can come back to.
fn check_shared_cycles(placed: &Placed<'_>, settings: &[Settings], out: &mut Diagnostics) {
    let resolved = &placed.checked.resolved;
    let is_component = |part: PartId| resolved.parts.kind(part) == ComponentKind::Component;
    let edges: Vec<(PartId, PartId)> = (resolved.links.iter())
        .filter(|link| is_component(link.source) && is_component(link.target))
        .map(|link| (link.source, link.target))
        .collect();
    for (link, settings) in resolved.links.iter().zip(settings) {
        if settings.scope != Scope::Shared || !is_component(link.source) {
            continue;
        }
        if let Some(mut path) = graph::path(&edges, link.target, link.source) {
            path.push(link.target);
            out.push(problems::bindings::shared_cycle(
                &resolved.parts,
                link,
                &path,
            ));
        }
    }
}
