//! Which part is placed next: the more is known of where its neighbours run, the sooner.
//!
//! Each part waits in one of three sets and moves forward as its neighbours are placed, so that nothing is
//! searched: looking through all parts for each would take the square of their number.

use std::collections::BTreeSet;

use crate::neighbours::Neighbours;

/// How much is known of a part's neighbours: the rank of its set.
mod rank {
    /// All its callers are placed.
    pub(super) const CALLERS: usize = 0;
    /// Something that it calls is placed.
    pub(super) const CALLEE: usize = 1;
    /// Nothing is known.
    pub(super) const NOTHING: usize = 2;
}

/// The parts that wait to be placed.
pub(crate) struct Order<'a> {
    neighbours: &'a Neighbours,
    /// By rank; within one, in the manifest's order.
    waiting: [BTreeSet<usize>; 3],
    /// The rank of each part, none once it is placed.
    ranks: Vec<Option<usize>>,
    /// How many callers of each part are not placed.
    callers_left: Vec<usize>,
}

impl<'a> Order<'a> {
    pub(crate) fn new(neighbours: &'a Neighbours) -> Self {
        let parts = neighbours.parts();
        Self {
            neighbours,
            waiting: [BTreeSet::new(), BTreeSet::new(), (0..parts).collect()],
            ranks: vec![Some(rank::NOTHING); parts],
            callers_left: (0..parts)
                .map(|part| neighbours.callers(part).len())
                .collect(),
        }
    }

    /// The part to be placed next; say when it [is](Self::placed).
    pub(crate) fn next(&self) -> Option<usize> {
        let first = |waiting: &BTreeSet<usize>| waiting.first().copied();
        self.waiting.iter().find_map(first)
    }

    pub(crate) fn placed(&mut self, part: usize) {
        if let Some(rank) = self.ranks[part].take() {
            self.waiting[rank].remove(&part);
        }
        for callee in self.neighbours.callees(part) {
            self.callers_left[*callee] -= 1;
            if self.callers_left[*callee] == 0 {
                self.advance(*callee, rank::CALLERS);
            }
        }
        for caller in self.neighbours.callers(part) {
            self.advance(*caller, rank::CALLEE);
        }
    }

    fn advance(&mut self, part: usize, to: usize) {
        if let Some(rank) = self.ranks[part].filter(|rank| to < *rank) {
            self.waiting[rank].remove(&part);
            self.waiting[to].insert(part);
            self.ranks[part] = Some(to);
        }
    }
}
