//! An application as a graph: plain data, of a plan, or of what is declared where there is none.

use withe_linker::Diagnostics;
use withe_linker::diagnostic::{Diagnostic, Severity};
use withe_linker::input::{Application, ComponentKind, Span};
use withe_linker::plan::{Plan, PlannedLink};

use crate::commands::plan::binding_name;

/// An application's parts and links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphView {
    /// The application's name.
    pub(crate) name: String,
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) edges: Vec<GraphEdge>,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphNode {
    pub(crate) name: String,
    pub(crate) is_provider: bool,
    /// Its problem, if it has one.
    pub(crate) problem: Option<String>,
}

/// A link. Its ends are places among the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphEdge {
    pub(crate) source: usize,
    pub(crate) target: usize,
    /// The interfaces and how they are carried: one line each.
    pub(crate) label: Vec<String>,
    /// Its problem, if it has one.
    pub(crate) problem: Option<String>,
}

impl GraphView {
    /// The view of a plan, with the warnings that there are.
    pub(crate) fn of_plan(plan: &Plan, application: &Application, found: &Diagnostics) -> Self {
        let declared = Self::of_application(application, found);
        let nodes = plan.components.iter().map(|component| GraphNode {
            name: component.name.clone(),
            is_provider: component.provider || component.kind == ComponentKind::Provider,
            problem: declared
                .node(&component.name)
                .and_then(|node| node.problem.clone()),
        });
        let mut graph = Self {
            name: plan.application.clone(),
            nodes: nodes.collect(),
            edges: Vec::new(),
        };
        for link in &plan.links {
            let ends = (graph.place(&link.source), graph.place(&link.target));
            let (Some(source), Some(target)) = ends else {
                continue;
            };
            let problem = declared.edges.iter().find_map(|edge| {
                let is_same = declared.nodes[edge.source].name == link.source
                    && declared.nodes[edge.target].name == link.target;
                edge.problem.clone().filter(|_| is_same)
            });
            graph.edges.push(GraphEdge {
                source,
                target,
                label: label(link),
                problem,
            });
        }
        graph
    }

    /// The view of the declarations, with their problems.
    pub(crate) fn of_application(application: &Application, found: &Diagnostics) -> Self {
        let components = &application.components;
        // A problem within a link is the link's, and not also its component's.
        let mut left: Vec<&Diagnostic> = found.0.iter().collect();
        left.retain(|diagnostic| diagnostic.severity != Severity::Note);
        let mut links = Vec::new();
        for (source, component) in components.iter().enumerate() {
            for link in &component.links {
                let places = [link.span, link.target.span];
                let problem = take(&mut left, &places);
                let name = link.name.as_ref().map(|name| name.value.clone());
                links.push((source, link.target.value.clone(), name, problem));
            }
        }
        let mut nodes: Vec<_> = components
            .iter()
            .map(|component| GraphNode {
                name: component.name.value.clone(),
                is_provider: component.kind == ComponentKind::Provider,
                problem: take(&mut left, &[component.name.span]),
            })
            .collect();
        let mut edges = Vec::new();
        for (source, target, name, problem) in links {
            let place = nodes.iter().position(|node| node.name == target);
            let target = place.unwrap_or_else(|| {
                // A link that leads nowhere is seen to.
                nodes.push(GraphNode {
                    name: target,
                    is_provider: false,
                    problem: Some("there is no such component".into()),
                });
                nodes.len() - 1
            });
            edges.push(GraphEdge {
                source,
                target,
                label: name.into_iter().collect(),
                problem,
            });
        }
        Self {
            name: application.name.value.clone(),
            nodes,
            edges,
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    fn node(&self, name: &str) -> Option<&GraphNode> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

/// Takes the worst of what is found at one of these places, as `W0404: …`.
fn take(found: &mut Vec<&Diagnostic>, places: &[Option<Span>]) -> Option<String> {
    let is_within = |diagnostic: &&Diagnostic| {
        let Some(label) = &diagnostic.primary else {
            return false;
        };
        places
            .iter()
            .flatten()
            .any(|place| place.start <= label.span.start && label.span.end <= place.end)
    };
    let mut here: Vec<_> = found.iter().copied().filter(is_within).collect();
    found.retain(|diagnostic| !is_within(diagnostic));
    here.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
    let worst = here.first()?;
    Some(format!("{}: {}", worst.code.0, worst.message))
}

/// The interfaces that a link carries, and how.
fn label(link: &PlannedLink) -> Vec<String> {
    let mut lines: Vec<_> = link
        .interfaces
        .iter()
        .map(|interface| {
            // Namespace and package are known to who knows the application.
            let name = interface.interface.split('@').next().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or(name);
            name.to_owned()
        })
        .collect();
    lines.dedup();
    const MOST: usize = 3;
    if lines.len() > MOST {
        let more = lines.len() - (MOST - 1);
        lines.truncate(MOST - 1);
        lines.push(format!("and {more} more"));
    }
    let name = match link.name.as_str() {
        "default" => String::new(),
        name => format!("`{name}`, "),
    };
    lines.push(format!("{name}{}", binding_name(link.binding)));
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three parts in a row and one beside them, with a problem each of a part and a link.
    pub(in crate::graph) fn example() -> GraphView {
        let node = |name: &str, is_provider, problem: Option<&str>| GraphNode {
            name: name.into(),
            is_provider,
            problem: problem.map(Into::into),
        };
        let edge = |source, target, label: &[&str], problem: Option<&str>| GraphEdge {
            source,
            target,
            label: label.iter().map(|line| (*line).into()).collect(),
            problem: problem.map(Into::into),
        };
        GraphView {
            name: "shop".into(),
            nodes: vec![
                node("http", true, None),
                node("cart", false, None),
                node("a \"quoted\" <part>", false, Some("W0301: it has no bytes")),
                node("store", true, None),
            ],
            edges: vec![
                edge(0, 1, &["incoming-handler", "host"], None),
                edge(1, 2, &["prices", "fused"], Some("W0404: types differ")),
                edge(1, 3, &["store", "atomics", "host"], None),
                edge(2, 3, &["store", "host"], None),
            ],
        }
    }
}
