//! Ways from part to part.

use std::collections::{BTreeMap, VecDeque};

use crate::ix::{PartIx, PerPart};
use crate::resolved::Resolved;
use crate::work;

/// Which parts lead to which.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    next: PerPart<Vec<PartIx>>,
}

/// Parts that lead to each other, all of which get one number: a part on no cycle is alone under its.
#[derive(Clone, Debug)]
pub(super) struct Cycles {
    of: PerPart<usize>,
    /// How many numbers there are.
    pub(super) count: usize,
}

impl Cycles {
    /// The number of the cycle that `part` is on. A part's targets have a smaller one, or the same.
    pub(super) fn of(&self, part: PartIx) -> usize {
        self.of[part]
    }
}

impl Graph {
    /// The graph of so many parts with these edges.
    pub(super) fn new(parts: usize, edges: impl IntoIterator<Item = (PartIx, PartIx)>) -> Self {
        let mut next = PerPart::filled(Vec::new(), parts);
        for (from, to) in edges {
            next[from].push(to);
        }
        Self { next }
    }

    /// Which components are linked to which.
    pub(super) fn of_components(resolved: &Resolved<'_>) -> Self {
        let is_component = |part: PartIx| !resolved.parts.is_provider(part);
        let links = resolved.links.values();
        let between = links.filter(|link| is_component(link.source) && is_component(link.target));
        Self::new(
            resolved.parts.count(),
            between.map(|link| (link.source, link.target)),
        )
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = PartIx> + use<> {
        self.next.ids()
    }

    /// The targets of `part`, in the order of the edges.
    pub(super) fn next(&self, part: PartIx) -> &[PartIx] {
        work::note(self.next[part].len());
        &self.next[part]
    }

    /// All parts that lead to one of `parts`, or are one.
    pub(super) fn leading_to(&self, parts: impl IntoIterator<Item = PartIx>) -> PerPart<bool> {
        let mut back = PerPart::filled(Vec::new(), self.next.len());
        for (from, next) in self.next.iter() {
            for to in next {
                back[*to].push(from);
            }
        }
        let mut leads = PerPart::filled(false, self.next.len());
        let mut waiting: Vec<PartIx> = parts.into_iter().collect();
        while let Some(part) = waiting.pop() {
            if !std::mem::replace(&mut leads[part], true) {
                waiting.extend(&back[part]);
            }
        }
        leads
    }

    /// A shortest way from one part to another, both included; of a part to itself, just that part.
    pub(super) fn path(&self, from: PartIx, to: PartIx) -> Option<Vec<PartIx>> {
        let mut came_from: BTreeMap<PartIx, PartIx> = BTreeMap::from([(from, from)]);
        let mut queue = VecDeque::from([from]);
        while let Some(part) = queue.pop_front() {
            if part == to {
                let mut path = vec![to];
                let mut at = to;
                while at != from {
                    at = came_from[&at];
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            for next in self.next(part) {
                if !came_from.contains_key(next) {
                    came_from.insert(*next, part);
                    queue.push_back(*next);
                }
            }
        }
        None
    }

    /// Which parts are on a cycle together, after Tarjan, without recursion.
    pub(super) fn cycles(&self) -> Cycles {
        const UNSEEN: usize = usize::MAX;
        let parts = self.next.len();
        let mut seen_as = PerPart::filled(UNSEEN, parts);
        let mut lowest = PerPart::filled(UNSEEN, parts);
        let mut of = PerPart::filled(UNSEEN, parts);
        let (mut seen, mut count) = (0, 0);
        // The parts without a number so far, and the way to the one that is looked at, with how many of its
        // edges were followed.
        let (mut open, mut way) = (Vec::new(), Vec::new());
        for root in self.next.ids() {
            if seen_as[root] == UNSEEN {
                way.push((root, 0));
            }
            while let Some((part, followed)) = way.pop() {
                if followed == 0 {
                    (seen_as[part], lowest[part]) = (seen, seen);
                    seen += 1;
                    open.push(part);
                } else {
                    let last = self.next[part][followed - 1];
                    lowest[part] = lowest[part].min(lowest[last]);
                }
                let rest = self.next[part].iter().enumerate().skip(followed);
                let mut unseen = None;
                for (i, to) in rest {
                    if seen_as[*to] == UNSEEN {
                        unseen = Some((i, *to));
                        break;
                    }
                    if of[*to] == UNSEEN {
                        lowest[part] = lowest[part].min(seen_as[*to]);
                    }
                }
                if let Some((i, to)) = unseen {
                    way.push((part, i + 1));
                    way.push((to, 0));
                } else if lowest[part] == seen_as[part] {
                    while let Some(member) = open.pop() {
                        of[member] = count;
                        if member == part {
                            break;
                        }
                    }
                    count += 1;
                }
            }
        }
        Cycles { of, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(parts: usize, edges: &[(usize, usize)]) -> Graph {
        let edges = edges.iter().map(|(a, b)| (PartIx(*a), PartIx(*b)));
        Graph::new(parts, edges)
    }

    #[test]
    fn ways_are_shortest() {
        let graph = graph(5, &[(0, 1), (1, 2), (2, 3), (0, 3), (3, 0)]);
        let path = |a, b| {
            let path = graph.path(PartIx(a), PartIx(b))?;
            Some(path.into_iter().map(|p| p.0).collect::<Vec<_>>())
        };
        assert_eq!(path(0, 3), Some(vec![0, 3]));
        assert_eq!(path(1, 0), Some(vec![1, 2, 3, 0]));
        assert_eq!(path(2, 2), Some(vec![2]));
        assert_eq!(path(0, 4), None);
    }

    #[test]
    fn parts_on_a_cycle_have_one_number_and_what_they_lead_to_a_smaller_one() {
        // Two cycles, the first leading to the second, and one part that leads to both.
        let graph = graph(
            7,
            &[
                (6, 0),
                (0, 1),
                (1, 2),
                (2, 0),
                (2, 3),
                (3, 4),
                (4, 3),
                (4, 5),
                (0, 5),
                (1, 1),
            ],
        );
        let cycles = graph.cycles();
        let of = |part| cycles.of(PartIx(part));
        assert_eq!(cycles.count, 4);
        assert!(of(0) == of(1) && of(1) == of(2) && of(3) == of(4));
        assert!(of(6) > of(0) && of(0) > of(3) && of(3) > of(5));
    }

    #[test]
    fn cycles_are_those_that_paths_show() {
        // Every graph of four parts with edges picked by the bits of a number.
        for picked in 0..1_u32 << 12 {
            let all = (0..4).flat_map(|a| (0..4).filter(move |b| a != *b).map(move |b| (a, b)));
            let edges: Vec<_> = (all.enumerate())
                .filter(|(bit, _)| picked >> bit & 1 == 1)
                .map(|(_, edge)| edge)
                .collect();
            let graph = graph(4, &edges);
            let cycles = graph.cycles();
            for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (PartIx(a), PartIx(b)))) {
                let both = graph.path(a, b).is_some() && graph.path(b, a).is_some();
                assert_eq!(both, cycles.of(a) == cycles.of(b), "{edges:?}");
            }
            for (a, b) in &edges {
                assert!(cycles.of(PartIx(*a)) >= cycles.of(PartIx(*b)), "{edges:?}");
            }
        }
    }

    #[test]
    fn what_leads_to_a_part_is_found_backwards() {
        let graph = graph(5, &[(0, 1), (1, 2), (3, 2), (2, 4)]);
        let leads = graph.leading_to([PartIx(2)]);
        let found: Vec<_> = leads
            .iter()
            .filter(|(_, leads)| **leads)
            .map(|(p, _)| p.0)
            .collect();
        assert_eq!(found, [0, 1, 2, 3]);
    }
}
