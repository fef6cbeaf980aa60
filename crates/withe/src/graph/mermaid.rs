//! Mermaid's language, which pages of code hosts draw.

use std::fmt::Write as _;

use super::view::GraphView;

/// The graph for Mermaid.
pub(crate) fn mermaid(graph: &GraphView) -> String {
    let mut text = String::from("flowchart LR\n");
    for (i, node) in graph.nodes.iter().enumerate() {
        let name = quoted(&node.name);
        // Writing to a text cannot fail.
        _ = match node.is_provider {
            true => writeln!(text, "  n{i}{{{{{name}}}}}"),
            false => writeln!(text, "  n{i}[{name}]"),
        };
    }
    for edge in &graph.edges {
        let mut label = edge.label.clone();
        label.extend(edge.problem.clone());
        let label = quoted(&label.join("\n"));
        _ = writeln!(text, "  n{} -->|{label}| n{}", edge.source, edge.target);
    }
    let wrong = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.problem.is_some());
    for (i, _) in wrong {
        _ = writeln!(text, "  style n{i} stroke:red,color:red");
    }
    let wrong = graph
        .edges
        .iter()
        .enumerate()
        .filter(|(_, edge)| edge.problem.is_some());
    for (i, _) in wrong {
        _ = writeln!(text, "  linkStyle {i} stroke:red,color:red");
    }
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('"', "&quot;");
    let escaped = escaped.replace('<', "&lt;").replace('>', "&gt;");
    format!("\"{}\"", escaped.replace('\n', "<br>"))
}
