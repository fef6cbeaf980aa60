//! Where the parts of a graph stand in a picture: those that call to the left of those that they call.
//!
//! A link that leads past a column has a slot of its own in it, so that it runs between the boxes and not behind them:
//! the way of Sugiyama, Tagawa and Toda (1981), with one sweep instead of many, for applications are small.

use super::view::GraphView;

/// An entry of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A part, by its place.
    Part(usize),
    /// A link that leads past, by its place.
    Passing(usize),
}

/// The columns of a picture, each from top to bottom.
pub(super) fn columns(graph: &GraphView) -> Vec<Vec<Slot>> {
    let column = part_columns(graph);
    let count = column.iter().max().map_or(0, |last| last + 1);
    let mut columns = vec![Vec::new(); count];
    for (part, &at) in column.iter().enumerate() {
        columns[at].push(Slot::Part(part));
    }
    for (i, edge) in graph.edges.iter().enumerate() {
        let between = column[edge.source] + 1..column[edge.target];
        between.for_each(|at| columns[at].push(Slot::Passing(i)));
    }
    order(graph, &mut columns);
    columns
}

/// The column of each part.
fn part_columns(graph: &GraphView) -> Vec<usize> {
    let count = graph.nodes.len();
    let mut column = vec![0; count];
    // Each round moves what is called behind its caller. A circle would go on for ever; no path is longer than this.
    for _ in 0..count {
        let mut moved = false;
        for edge in graph.edges.iter().filter(|edge| edge.source != edge.target) {
            let behind = column[edge.source] + 1;
            if column[edge.target] < behind && behind < count {
                column[edge.target] = behind;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    // Circles may leave columns empty.
    let mut used = column.clone();
    used.sort_unstable();
    used.dedup();
    for at in &mut column {
        *at = used.partition_point(|used| used < at);
    }
    column
}

/// Puts each slot beside what leads to it, so that fewer links cross.
fn order(graph: &GraphView, columns: &mut [Vec<Slot>]) {
    let mut part_rows = vec![0.0_f64; graph.nodes.len()];
    // Where a link was last, on its way to its target.
    let mut link_rows: Vec<Option<f64>> = vec![None; graph.edges.len()];
    for column in columns.iter_mut() {
        let row_of = |link: usize| {
            let from_source = part_rows[graph.edges[link].source];
            link_rows[link].unwrap_or(from_source)
        };
        let middle = |slot: Slot| match slot {
            Slot::Passing(link) => row_of(link),
            Slot::Part(part) => {
                let links = graph.edges.iter().enumerate();
                let callers = links.filter(|(_, edge)| edge.target == part);
                let rows: Vec<_> = callers.map(|(link, _)| row_of(link)).collect();
                match rows.is_empty() {
                    true => part_rows[part],
                    false => rows.iter().sum::<f64>() / rows.len() as f64,
                }
            }
        };
        let mut placed: Vec<_> = column.iter().map(|&slot| (middle(slot), slot)).collect();
        // Stable: parts stand as they are declared, and links below them.
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        *column = placed.into_iter().map(|(_, slot)| slot).collect();
        for (i, &slot) in column.iter().enumerate() {
            let row = i as f64 - (column.len() - 1) as f64 / 2.0;
            match slot {
                Slot::Part(part) => part_rows[part] = row,
                Slot::Passing(link) => link_rows[link] = Some(row),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::example;
    use super::*;
    use crate::graph::view::GraphEdge;

    #[test]
    fn callers_stand_before_what_they_call_and_links_pass_between() {
        use Slot::{Part, Passing};
        let expected = [
            vec![Part(0)],
            vec![Part(1)],
            vec![Part(2), Passing(2)],
            vec![Part(3)],
        ];
        assert_eq!(columns(&example()), expected);
    }

    #[test]
    fn circles_end_and_lose_no_part() {
        let mut graph = example();
        for (source, target) in [(3, 0), (2, 1), (1, 1)] {
            graph.edges.push(GraphEdge {
                source,
                target,
                label: Vec::new(),
                problem: None,
            });
        }
        let slots = columns(&graph).into_iter().flatten();
        let mut parts: Vec<_> = slots
            .filter_map(|slot| match slot {
                Slot::Part(part) => Some(part),
                Slot::Passing(_) => None,
            })
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, [0, 1, 2, 3]);
    }
}
