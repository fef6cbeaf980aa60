//! Which links between components are fused.
//!
//! A fused target is part of its source, and its own fused targets part of it. So fused links must not form
//! a cycle, and what they make must not grow without bound (`compositions`). Each link is fused if that can
//! still be when its turn comes: those pinned first, then those that could not be anything else, then the
//! rest; of these, what is called before what calls it, and links that close a cycle last.

use crate::diagnostic::Diagnostics;
use crate::input::BindingChoice;
use crate::ix::{LinkIx, PerLink, PerPart};
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolved::ResolvedLink;

use super::bound::Bound;
use super::compositions::{Compositions, MOST_CONSTITUENTS, Unfusable};
use super::settings::Settings;
use super::{carry, obstacle};

/// Why a link is not fused that could be.
const APART: &str =
    "components stay apart while they are watched, so that one that changes is compiled alone";

/// A link between components and what keeps it from being fused or local.
struct Candidate<'a, 'p> {
    place: LinkIx,
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
    settings: &PerLink<Settings>,
    places: &[LinkIx],
    out: &mut Diagnostics,
) -> Vec<(LinkIx, Option<Bound>)> {
    let resolved = &placed.checked.resolved;
    let candidate = |&place: &LinkIx| {
        let (link, settings) = (&resolved.links[place], &settings[place]);
        let not_local = carry::call_obstacle(resolved, link, settings.scope);
        let stays_apart = resolved.parts.inputs.defaults.apart
            && settings.binding == BindingChoice::Auto
            && not_local.is_none();
        let not_fused = obstacle::to_fusing(placed, link, settings);
        Candidate {
            place,
            link,
            settings,
            not_fused: not_fused.or_else(|| stays_apart.then(|| APART.to_owned())),
            not_local,
            reported: false,
        }
    };
    let mut candidates: Vec<Candidate<'_, '_>> = places.iter().map(candidate).collect();
    let order = order(resolved.parts.count(), &candidates);
    fuse(placed, &mut candidates, &order, out);
    candidates
        .into_iter()
        .map(|c| (c.place, decide(placed, c, out)))
        .collect()
}

/// The candidates that want fusing, in the order in which they get it.
fn order(parts: usize, candidates: &[Candidate<'_, '_>]) -> Vec<usize> {
    let mut wanted = PerPart::filled(Vec::new(), parts);
    for (i, candidate) in candidates.iter().enumerate() {
        if candidate.wants_fusing() {
            wanted[candidate.link.source].push((i, candidate.link.target));
        }
    }
    let mut order = innermost_first(&wanted);
    order.sort_by_key(|(i, closes)| {
        let candidate = &candidates[*i];
        let pinned = candidate.is_pinned_fused();
        (!pinned, candidate.not_local.is_none(), *closes)
    });
    order.into_iter().map(|(i, _)| i).collect()
}

/// All links, those of what is called before those of what calls it, and whether each closes a cycle of links
/// that come before it: the order in which a walk that begins at each part in turn leaves them.
fn innermost_first(links: &PerPart<Vec<(usize, PartId)>>) -> Vec<(usize, bool)> {
    let mut seen = PerPart::filled(false, links.len());
    let mut on_way = PerPart::filled(false, links.len());
    let mut order = Vec::new();
    for root in links.ids() {
        if seen[root] {
            continue;
        }
        let mut way = vec![(root, 0)];
        (seen[root], on_way[root]) = (true, true);
        while let Some((part, followed)) = way.last_mut() {
            let part = *part;
            let Some((_, target)) = links[part].get(*followed) else {
                order.extend(links[part].iter().map(|(i, to)| (*i, on_way[*to])));
                on_way[part] = false;
                way.pop();
                continue;
            };
            *followed += 1;
            if !seen[*target] {
                (seen[*target], on_way[*target]) = (true, true);
                way.push((*target, 0));
            }
        }
    }
    order
}

/// Fuses what can be, in `order`, and says of the rest why not.
fn fuse(
    placed: &Placed<'_>,
    candidates: &mut [Candidate<'_, '_>],
    order: &[usize],
    out: &mut Diagnostics,
) {
    let parts = &placed.checked.resolved.parts;
    let mut compositions = Compositions::new(parts.count());
    for candidate in order {
        let candidate = &mut candidates[*candidate];
        let link = candidate.link;
        candidate.not_fused = match compositions.fuse(link.source, link.target) {
            Ok(()) => None,
            Err(Unfusable::Cycle(cycle)) => {
                if candidate.is_pinned_fused() {
                    out.push(problems::bindings::fused_cycle(parts, link, &cycle));
                    candidate.reported = true;
                }
                let way = problems::bindings::way(parts, &cycle);
                Some(format!("fusing it would close the cycle {way}"))
            }
            Err(Unfusable::TooLarge) => Some(format!(
                "the composition would have more than {MOST_CONSTITUENTS} constituents"
            )),
        };
    }
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
