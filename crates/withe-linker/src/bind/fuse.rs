//! Which links between components are fused.
//!
//! A fused target is part of its source, and its own fused targets part of it: a composition is the
//! whole tree under a component, with an instance for each link. So fused links must not form a
//! cycle, and a tree must not grow without bound. Links that could not be anything else are fused
//! first, then those pinned, then the rest in the manifest's order.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::input::BindingChoice;
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolve::ResolvedLink;

use super::{Bound, Settings, carry, graph, obstacle};

/// The most constituents of one composition. Every one is instantiated with each instance of the
/// root, used or not.
const MOST_CONSTITUENTS: usize = 32;

/// A link between components and what keeps it from being fused or local.
struct Candidate<'a, 'p> {
    place: usize,
    link: &'a ResolvedLink<'p>,
    settings: &'a Settings,
    not_fused: Option<String>,
    not_local: Option<String>,
    /// Whether it was reported already that it cannot be bound.
    reported: bool,
}

impl Candidate<'_, '_> {
    fn is_pinned_fused(&self) -> bool {
        self.settings.binding == BindingChoice::Fused
    }

    /// Whether it is to be fused if nothing else stands in the way.
    fn wants_fusing(&self) -> bool {
        self.not_fused.is_none()
            && matches!(
                self.settings.binding,
                BindingChoice::Auto | BindingChoice::Fused
            )
    }
}

/// The binding of each of the links at `places`; none for those that were reported.
pub(super) fn choose(
    placed: &Placed<'_>,
    settings: &[Settings],
    places: &[usize],
    out: &mut Diagnostics,
) -> Vec<(usize, Option<Bound>)> {
    let resolved = &placed.checked.resolved;
    let candidate = |&place: &usize| {
        let (link, settings) = (&resolved.links[place], &settings[place]);
        Candidate {
            place,
            link,
            settings,
            not_fused: obstacle::to_fusing(placed, link, settings),
            not_local: carry::call_obstacle(resolved, link, settings.scope),
            reported: false,
        }
    };
    let mut candidates: Vec<Candidate<'_, '_>> = places.iter().map(candidate).collect();
    let mut order: Vec<usize> = (0..candidates.len())
        .filter(|i| candidates[*i].wants_fusing())
        .collect();
    order.sort_by_key(|i| {
        (
            !candidates[*i].is_pinned_fused(),
            candidates[*i].not_local.is_none(),
        )
    });
    break_cycles(placed, &mut candidates, &order, out);
    bound_sizes(placed, &mut candidates, &order);
    candidates
        .into_iter()
        .map(|c| (c.place, decide(placed, c, out)))
        .collect()
}

fn break_cycles(
    placed: &Placed<'_>,
    candidates: &mut [Candidate<'_, '_>],
    order: &[usize],
    out: &mut Diagnostics,
) {
    let parts = &placed.checked.resolved.parts;
    let mut edges: Vec<(PartId, PartId)> = Vec::new();
    for candidate in order {
        let candidate = &mut candidates[*candidate];
        let (source, target) = (candidate.link.source, candidate.link.target);
        let Some(back) = graph::path(&edges, target, source) else {
            edges.push((source, target));
            continue;
        };
        let cycle = [vec![source], back].concat();
        if candidate.is_pinned_fused() {
            out.push(problems::bindings::fused_cycle(
                parts,
                candidate.link,
                &cycle,
            ));
            candidate.reported = true;
        }
        candidate.not_fused = Some(format!(
            "fusing it would close the cycle {}",
            problems::bindings::way(parts, &cycle)
        ));
    }
}

/// Takes links out of compositions that would become too large, innermost first.
fn bound_sizes(placed: &Placed<'_>, candidates: &mut [Candidate<'_, '_>], order: &[usize]) {
    let mut sizes = BTreeMap::new();
    for part in placed.checked.resolved.parts.ids() {
        size(part, candidates, order, &mut sizes);
    }
}

/// How many constituents the composition under `part` has, itself included. Fused links form no
/// cycle any more, so this ends.
fn size(
    part: PartId,
    candidates: &mut [Candidate<'_, '_>],
    order: &[usize],
    sizes: &mut BTreeMap<PartId, usize>,
) -> usize {
    if let Some(size) = sizes.get(&part) {
        return *size;
    }
    let mut total = 1;
    for &i in order {
        if candidates[i].link.source != part || candidates[i].not_fused.is_some() {
            continue;
        }
        let more = size(candidates[i].link.target, candidates, order, sizes);
        if total + more <= MOST_CONSTITUENTS {
            total += more;
        } else {
            candidates[i].not_fused = Some(format!(
                "the composition would have more than {MOST_CONSTITUENTS} constituents"
            ));
        }
    }
    sizes.insert(part, total);
    total
}

fn decide(
    placed: &Placed<'_>,
    candidate: Candidate<'_, '_>,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let parts = &placed.checked.resolved.parts;
    let Candidate {
        link,
        settings,
        not_fused,
        not_local,
        reported,
        ..
    } = candidate;
    if reported {
        return None;
    }
    let pin = settings.binding;
    let (binding, obstacle) = match pin {
        BindingChoice::Fused => (Binding::Fused, not_fused),
        BindingChoice::Local => (Binding::Local, not_local),
        BindingChoice::Auto => return cheapest(placed, link, not_fused, not_local, out),
        BindingChoice::Unix | BindingChoice::Tcp | BindingChoice::Nats => (
            match pin {
                BindingChoice::Tcp => Binding::Tcp,
                BindingChoice::Nats => Binding::Nats,
                _ => Binding::Unix,
            },
            obstacle::to_worker(&placed.checked.resolved, link, settings),
        ),
        BindingChoice::Host => {
            let reason = "it is for links to providers, and both ends are components";
            out.push(problems::bindings::pinned(parts, link, pin, reason));
            return None;
        }
    };
    if let Some(reason) = obstacle {
        out.push(problems::bindings::pinned(parts, link, pin, &reason));
        return None;
    }
    let why = format!("pinned by {}", settings.asked_by);
    Some(Bound::by(binding, why))
}

fn cheapest(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    not_fused: Option<String>,
    not_local: Option<String>,
    out: &mut Diagnostics,
) -> Option<Bound> {
    match (not_fused, not_local) {
        (None, _) => Some(Bound::by(
            Binding::Fused,
            "both ends on this host, scope caller",
        )),
        (Some(why), None) => Some(Bound::by(Binding::Local, why)),
        (Some(fused), Some(local)) => {
            let reasons = [("fused", fused.as_str()), ("local", local.as_str())];
            out.push(problems::bindings::none(
                &placed.checked.resolved.parts,
                link,
                &reasons,
            ));
            None
        }
    }
}
