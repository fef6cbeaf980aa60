//! Where the parts of a graph stand in a picture: those that call to the left of those that they call.

use super::GraphView;

/// The parts in columns, each from top to bottom.
pub(super) fn layers(graph: &GraphView) -> Vec<Vec<usize>> {
    let count = graph.nodes.len();
    let mut layer = vec![0; count];
    // Each round moves what is called behind its caller. A circle would go on for ever; no path is longer than this.
    for _ in 0..count {
        let mut moved = false;
        for edge in graph.edges.iter().filter(|edge| edge.source != edge.target) {
            let behind = layer[edge.source] + 1;
            if layer[edge.target] < behind && behind < count {
                layer[edge.target] = behind;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let mut columns: Vec<Vec<usize>> = Vec::new();
    // Circles may leave columns empty.
    let mut used: Vec<_> = layer.clone();
    used.sort_unstable();
    used.dedup();
    for wanted in used {
        columns.push((0..count).filter(|&node| layer[node] == wanted).collect());
    }
    order(graph, &mut columns);
    columns
}

/// Puts each part beside its callers, so that fewer links cross.
fn order(graph: &GraphView, columns: &mut [Vec<usize>]) {
    let mut row = vec![0.0_f64; graph.nodes.len()];
    for column in columns.iter_mut() {
        let middle = |node: usize| {
            let callers = graph.edges.iter().filter(|edge| edge.target == node);
            let rows: Vec<_> = callers.map(|edge| row[edge.source]).collect();
            match rows.is_empty() {
                true => row[node],
                false => rows.iter().sum::<f64>() / rows.len() as f64,
            }
        };
        let mut placed: Vec<_> = column.iter().map(|&node| (middle(node), node)).collect();
        placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        *column = placed.into_iter().map(|(_, node)| node).collect();
        for (i, &node) in column.iter().enumerate() {
            row[node] = i as f64 - (column.len() - 1) as f64 / 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use crate::graph::GraphEdge;

    #[test]
    fn callers_stand_before_what_they_call() {
        assert_eq!(layers(&example()), [vec![0], vec![1], vec![2], vec![3]]);
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
        let mut all: Vec<_> = layers(&graph).into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
    }
}
