//! Graphviz's language.

use std::fmt::Write as _;

use super::view::GraphView;

/// The graph for `dot`.
pub(crate) fn dot(graph: &GraphView) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&graph.name));
    text += "  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n";
    for (i, node) in graph.nodes.iter().enumerate() {
        let shape = match node.is_provider {
            true => "hexagon",
            false => "box",
        };
        let wrong = problem(node.problem.as_deref());
        // Writing to a text cannot fail.
        _ = writeln!(
            text,
            "  n{i} [label={}, shape={shape}{wrong}];",
            quoted(&node.name)
        );
    }
    for edge in &graph.edges {
        let label = quoted(&edge.label.join("\n"));
        let wrong = problem(edge.problem.as_deref());
        _ = writeln!(
            text,
            "  n{} -> n{} [label={label}{wrong}];",
            edge.source, edge.target
        );
    }
    text + "}\n"
}

/// How something is drawn that has a problem.
fn problem(problem: Option<&str>) -> String {
    problem.map_or(String::new(), |why| {
        format!(", color=red, fontcolor=red, tooltip={}", quoted(why))
    })
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}
