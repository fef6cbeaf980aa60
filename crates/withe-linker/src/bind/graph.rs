//! Ways from part to part.

use std::collections::{BTreeMap, VecDeque};

use crate::parts::PartId;

/// A shortest way over `edges` from one part to another, both included; of a part to itself, just
/// that part.
pub(super) fn path(edges: &[(PartId, PartId)], from: PartId, to: PartId) -> Option<Vec<PartId>> {
    let mut came_from: BTreeMap<PartId, PartId> = BTreeMap::from([(from, from)]);
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
        for (_, next) in edges.iter().filter(|(source, _)| *source == part) {
            if !came_from.contains_key(next) {
                came_from.insert(*next, part);
                queue.push_back(*next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shortest_and_end() {
        let edges: Vec<_> = [(0, 1), (1, 2), (2, 0), (0, 2), (3, 3)]
            .map(|(a, b)| (PartId(a), PartId(b)))
            .into();
        let way = |a, b| {
            path(&edges, PartId(a), PartId(b)).map(|p| p.iter().map(|p| p.0).collect::<Vec<_>>())
        };
        assert_eq!(way(0, 2), Some(vec![0, 2]));
        assert_eq!(way(1, 0), Some(vec![1, 2, 0]));
        assert_eq!(way(1, 1), Some(vec![1]));
        assert_eq!(way(0, 3), None);
    }
}
