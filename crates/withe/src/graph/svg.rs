//! A picture: parts as boxes in columns, links as lines between them.

use std::fmt::Write as _;

use super::layers::{Slot, columns};
use super::view::{GraphEdge, GraphView};

/// Pixels: how high a box is, and how far boxes are apart.
const BOX: f64 = 40.0;
const ROW: f64 = 110.0;
const COLUMN_GAP: f64 = 170.0;
const MARGIN: f64 = 30.0;
/// How wide a letter is, about, in the font of names.
const LETTER: f64 = 8.4;
const LINE: f64 = 14.0;

/// Colours for light and dark pages.
const STYLE: &str = "\
.withe { font: 13px system-ui, sans-serif; fill: #1c2128; }
.withe .part { fill: #f6f8fa; stroke: #57606a; }
.withe .provider { fill: #ddf4ff; stroke: #0969da; }
.withe .link { fill: none; stroke: #57606a; }
.withe .arrow { fill: #57606a; }
.withe .label { font-size: 11px; fill: #57606a; }
.withe .wrong { stroke: #cf222e; }
.withe text.wrong { stroke: none; fill: #cf222e; }
@media (prefers-color-scheme: dark) {
.withe { fill: #e6edf3; }
.withe .part { fill: #161b22; stroke: #8b949e; }
.withe .provider { fill: #0c2d6b; stroke: #58a6ff; }
.withe .link { stroke: #8b949e; }
.withe .arrow { fill: #8b949e; }
.withe .label { fill: #8b949e; }
.withe .wrong { stroke: #ff7b72; }
.withe text.wrong { fill: #ff7b72; }
}
";

/// Where a part is drawn: its left edge, the middle of its height, and its width.
#[derive(Clone, Copy, Default)]
struct DrawnPart {
    left: f64,
    middle: f64,
    width: f64,
}

/// The graph as a picture.
pub(crate) fn svg(graph: &GraphView) -> String {
    let columns = columns(graph);
    let rows = columns.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let height = rows as f64 * ROW + 2.0 * MARGIN;
    let mut parts = vec![DrawnPart::default(); graph.nodes.len()];
    // The points between its ends that each link goes through.
    let mut passes: Vec<Vec<(f64, f64)>> = vec![Vec::new(); graph.edges.len()];
    let mut left = MARGIN;
    for column in &columns {
        let letters = |slot: &Slot| match slot {
            Slot::Part(part) => graph.nodes[*part].name.chars().count(),
            Slot::Passing(_) => 0,
        };
        let widest = column.iter().map(letters).max().unwrap_or_default();
        let width = widest as f64 * LETTER + 28.0;
        for (i, slot) in column.iter().enumerate() {
            let row = i as f64 - (column.len() as f64 - 1.0) / 2.0;
            let middle = height / 2.0 + row * ROW;
            match *slot {
                Slot::Part(part) => {
                    parts[part] = DrawnPart {
                        left,
                        middle,
                        width,
                    };
                }
                Slot::Passing(link) => {
                    passes[link].extend([(left, middle), (left + width, middle)]);
                }
            }
        }
        left += width + COLUMN_GAP;
    }
    let width = (left - COLUMN_GAP).max(0.0) + MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"withe\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\n<style>\n{STYLE}</style>\n",
        escaped(&graph.name)
    );
    text += "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto-start-reverse\"><path class=\"arrow\" d=\"M0 0 L8 4 L0 8 z\"/></marker></defs>\n";
    for (edge, passes) in graph.edges.iter().zip(&passes) {
        let ends = (parts[edge.source], parts[edge.target]);
        draw_edge(&mut text, ends, passes, edge);
    }
    for (node, part) in graph.nodes.iter().zip(&parts) {
        let kind = match node.is_provider {
            true => "part provider",
            false => "part",
        };
        let wrong = if node.problem.is_some() { " wrong" } else { "" };
        let radius = if node.is_provider { BOX / 2.0 } else { 4.0 };
        // Writing to a text cannot fail.
        _ = writeln!(
            text,
            "<g>{}<rect class=\"{kind}{wrong}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BOX}\" rx=\"{radius}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"{}\">{}</text></g>",
            title(node.problem.as_deref()),
            part.left,
            part.middle - BOX / 2.0,
            part.width,
            part.left + part.width / 2.0,
            part.middle + 4.5,
            wrong.trim(),
            escaped(&node.name),
        );
    }
    text + "</svg>\n"
}

/// The picture in a page.
pub(crate) fn html(graph: &GraphView) -> String {
    let name = escaped(&graph.name);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n<style>\n\
         :root {{ color-scheme: light dark; }}\nbody {{ font-family: system-ui, sans-serif; margin: 2rem; }}\n\
         main {{ overflow-x: auto; }}\n</style>\n</head>\n<body>\n<h1>{name}</h1>\n<main>\n{}</main>\n</body>\n</html>\n",
        svg(graph)
    )
}

/// Draws a link between its ends, by way of the points that it passes.
fn draw_edge(
    text: &mut String,
    (from, to): (DrawnPart, DrawnPart),
    passes: &[(f64, f64)],
    edge: &GraphEdge,
) {
    let problem = edge.problem.as_deref();
    let label = &edge.label;
    let start = (from.left + from.width, from.middle);
    let end = (to.left, to.middle);
    // To a part that stands before: around the boxes, from below.
    let goes_back = end.0 <= start.0;
    let (path, at) = if goes_back {
        let (start, end) = (
            (from.left + from.width / 2.0, from.middle + BOX / 2.0),
            (to.left + to.width / 2.0, to.middle + BOX / 2.0),
        );
        let low = start.1.max(end.1) + ROW / 3.0;
        (
            format!(
                "M{:.1} {:.1} C{:.1} {low:.1} {:.1} {low:.1} {:.1} {:.1}",
                start.0, start.1, start.0, end.0, end.0, end.1
            ),
            ((start.0 + end.0) / 2.0, low - 12.0),
        )
    } else {
        let mut path = format!("M{:.1} {:.1}", start.0, start.1);
        let mut at = start;
        for &point in passes.iter().chain([&end]) {
            let bend = (point.0 - at.0) / 2.0;
            _ = write!(
                path,
                " C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
                at.0 + bend,
                at.1,
                point.0 - bend,
                point.1,
                point.0,
                point.1
            );
            at = point;
        }
        // Beside the target: where several links of a part begin, their labels would lie on each other.
        let last = passes.last().copied().unwrap_or(start);
        let label = (
            last.0 + (end.0 - last.0) * 0.6,
            last.1 + (end.1 - last.1) * 0.6,
        );
        (path, label)
    };
    let wrong = if problem.is_some() { " wrong" } else { "" };
    _ = writeln!(
        text,
        "<g>{}<path class=\"link{wrong}\" d=\"{path}\" marker-end=\"url(#arrow)\"/>",
        title(problem)
    );
    // Pointing at the link shows the whole problem; its code stands there for those who print the picture.
    let code = problem
        .and_then(|why| why.split(':').next())
        .map(str::to_owned);
    let lines: Vec<_> = label.iter().cloned().chain(code).collect();
    let top = at.1 - LINE * (lines.len() as f64 - 1.0) - 6.0;
    for (i, line) in lines.iter().enumerate() {
        _ = writeln!(
            text,
            "<text class=\"label{wrong}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            at.0,
            top + LINE * i as f64,
            escaped(line)
        );
    }
    text.push_str("</g>\n");
}

/// The text of a problem, shown when one points at it.
fn title(problem: Option<&str>) -> String {
    problem.map_or(String::new(), |why| {
        format!("<title>{}</title>", escaped(why))
    })
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
