//! The compositions that have been decided so far.
//!
//! A composition is the whole tree under a component, with an instance for each fused link, and none may
//! have more than [`MOST_CONSTITUENTS`]. The bound keeps all questions small: a cycle has to be looked for in no
//! more links than that, and no composition can grow more often than that.

use crate::ix::{PartIx, PerPart};

/// The most constituents of one composition. Every one is instantiated with each instance of the
/// root, used or not.
pub(super) const MOST_CONSTITUENTS: usize = 32;

/// The compositions that fused links make.
#[derive(Debug)]
pub(super) struct Compositions {
    below: PerPart<Vec<PartIx>>,
    above: PerPart<Vec<PartIx>>,
    /// How many constituents the composition under each part has, itself included.
    sizes: PerPart<usize>,
    /// The least growth of each part that made a composition too large: no less will do again, as none ever
    /// shrinks.
    too_much: PerPart<usize>,
}

/// Why a link cannot be fused beside those that are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfusable {
    /// Fusing would put the source inside itself: the way from the source back to it.
    Cycle(Vec<PartIx>),
    /// A composition would have too many constituents.
    TooLarge,
}

impl Compositions {
    pub(super) fn new(parts: usize) -> Self {
        Self {
            below: PerPart::filled(Vec::new(), parts),
            above: PerPart::filled(Vec::new(), parts),
            sizes: PerPart::filled(1, parts),
            too_much: PerPart::filled(usize::MAX, parts),
        }
    }

    /// Fuses `target` into `source`, if that can be.
    pub(super) fn fuse(&mut self, source: PartIx, target: PartIx) -> Result<(), Unfusable> {
        let mut way = vec![source];
        if self.find(source, target, &mut way) {
            return Err(Unfusable::Cycle(way));
        }
        let growth = self.sizes[target];
        let mut grown = Vec::new();
        if growth >= self.too_much[source] || !self.grow(source, growth, &mut grown) {
            for part in grown {
                self.sizes[part] -= growth;
            }
            self.too_much[source] = self.too_much[source].min(growth);
            return Err(Unfusable::TooLarge);
        }
        self.below[source].push(target);
        self.above[target].push(source);
        Ok(())
    }

    /// Adds the way from `at` to `part` to `way`, if there is one.
    fn find(&self, part: PartIx, at: PartIx, way: &mut Vec<PartIx>) -> bool {
        way.push(at);
        if at == part
            || self.below[at]
                .iter()
                .any(|next| self.find(part, *next, way))
        {
            return true;
        }
        way.pop();
        false
    }

    /// Adds to `part`, and to all that it is in, as often as it is; false as soon as that is too much.
    fn grow(&mut self, part: PartIx, growth: usize, grown: &mut Vec<PartIx>) -> bool {
        self.sizes[part] += growth;
        grown.push(part);
        if self.sizes[part] > MOST_CONSTITUENTS {
            return false;
        }
        // Each is visited once for every time that it has the part in it, which is what it grows by.
        (0..self.above[part].len()).all(|i| self.grow(self.above[part][i], growth, grown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_as_often_as_it_is_there() {
        let mut fused = Compositions::new(4);
        let mut fuse = |a, b| fused.fuse(PartIx(a), PartIx(b));
        // 0 has 1 three times, each with 2 twice: 1 + 3 * 3.
        for (a, b) in [(0, 1), (0, 1), (1, 2), (0, 1), (1, 2)] {
            fuse(a, b).unwrap();
        }
        assert_eq!(
            fused.sizes.values().copied().collect::<Vec<_>>(),
            [10, 3, 1, 1]
        );
        let mut fuse = |a, b| fused.fuse(PartIx(a), PartIx(b));
        // One more of 3 below 2 is 6 more of it in 0.
        for _ in 0..3 {
            fuse(2, 3).unwrap();
        }
        assert_eq!(fuse(2, 3), Err(Unfusable::TooLarge));
        assert_eq!(
            fused.sizes.values().copied().collect::<Vec<_>>(),
            [28, 9, 4, 1]
        );
        assert_eq!(fused.fuse(PartIx(0), PartIx(3)), Ok(()));
    }

    #[test]
    fn nothing_is_put_inside_itself() {
        let mut fused = Compositions::new(3);
        let mut fuse = |a, b| fused.fuse(PartIx(a), PartIx(b));
        fuse(0, 1).unwrap();
        fuse(1, 2).unwrap();
        let way = vec![PartIx(2), PartIx(0), PartIx(1), PartIx(2)];
        assert_eq!(fuse(2, 0), Err(Unfusable::Cycle(way)));
        assert_eq!(
            fuse(1, 1),
            Err(Unfusable::Cycle(vec![PartIx(1), PartIx(1)]))
        );
    }
}
