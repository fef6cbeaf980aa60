//! The callers and callees among the parts, found without a search.

use crate::Wish;

/// The parts that each part calls and is called by, each once and never itself.
pub(crate) struct Neighbours {
    callees: Rows,
    callers: Rows,
    /// How many neighbours were looked at, for tests of how the work grows.
    #[cfg(test)]
    pub(crate) seen: std::cell::Cell<usize>,
}

/// Lists of parts, one for each part, one behind the other.
struct Rows {
    /// Where each part's list begins in `parts`; and where the last one ends.
    starts: Vec<usize>,
    parts: Vec<usize>,
}

impl Neighbours {
    pub(crate) fn of(wish: &Wish) -> Self {
        let links = wish
            .links
            .iter()
            .filter(|(source, target)| source != target);
        let reversed = links.clone().map(|(source, target)| (*target, *source));
        let parts = wish.parts.len();
        Self {
            callers: Rows::of(parts, reversed.collect()),
            callees: Rows::of(parts, links.copied().collect()),
            #[cfg(test)]
            seen: std::cell::Cell::default(),
        }
    }

    /// How many parts there are.
    pub(crate) fn parts(&self) -> usize {
        self.callers.starts.len() - 1
    }

    pub(crate) fn callers(&self, part: usize) -> &[usize] {
        self.look(self.callers.of_part(part))
    }

    pub(crate) fn callees(&self, part: usize) -> &[usize] {
        self.look(self.callees.of_part(part))
    }

    fn look<'a>(&self, parts: &'a [usize]) -> &'a [usize] {
        #[cfg(test)]
        self.seen.set(self.seen.get() + 1 + parts.len());
        parts
    }
}

impl Rows {
    fn of(parts: usize, mut pairs: Vec<(usize, usize)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = vec![0; parts + 1];
        for (from, _) in &pairs {
            starts[from + 1] += 1;
        }
        for part in 0..parts {
            starts[part + 1] += starts[part];
        }
        Self {
            starts,
            parts: pairs.into_iter().map(|(_, to)| to).collect(),
        }
    }

    fn of_part(&self, part: usize) -> &[usize] {
        &self.parts[self.starts[part]..self.starts[part + 1]]
    }
}
