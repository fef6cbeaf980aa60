//! The traits of a component or provider: its links and its scaler.

use std::collections::HashMap;

use withe_linker::input::{Link, ScalerKind, Scaling, Spread};
use withe_linker::{Diagnostic, Diagnostics};

use crate::fields::{Fields, text};
use crate::node::{Node, shorten};
use crate::{codes, link, shapes, suggest};

/// The types a trait can have.
pub(crate) const TYPES: [&str; 3] = ["spreadscaler", "daemonscaler", "link"];

/// The result of reading the traits.
#[derive(Debug, Default)]
pub(crate) struct Traits {
    pub(crate) links: Vec<Link>,
    pub(crate) scaling: Option<Scaling>,
}

/// Reads the `traits` list of the component named `owner`.
pub(crate) fn read(out: &mut Diagnostics, owner: Option<&str>, nodes: &[Node]) -> Traits {
    let mut traits = Traits::default();
    let mut seen: HashMap<u64, Vec<&Node>> = HashMap::new();
    for node in nodes {
        let alike = seen.entry(node.digest()).or_default();
        if let Some(first) = alike.iter().find(|earlier| earlier.same(node)) {
            out.push(
                Diagnostic::warning(codes::REPEATED_TRAIT, "the same trait is there twice")
                    .at(Some(node.head()), "says nothing new, and is left out")
                    .also(Some(first.head()), "the first one")
                    .with_help("remove one of them"),
            );
            continue;
        }
        alike.push(node);
        read_trait(out, owner, &mut traits, node);
    }
    traits
}

fn read_trait(out: &mut Diagnostics, owner: Option<&str>, traits: &mut Traits, node: &Node) {
    let Some(fields) = Fields::of(out, &shapes::TRAIT, node) else {
        return;
    };
    let Some(type_node) = fields.require(out, "type") else {
        return;
    };
    let Some(kind) = text(out, "`type`", type_node) else {
        return;
    };
    match kind.value.as_str() {
        "link" => {
            let properties = fields.require(out, "properties");
            let found = properties.and_then(|properties| link::read(out, owner, properties));
            traits.links.extend(found.map(|mut link| {
                link.span = Some(node.span);
                link
            }));
        }
        "spreadscaler" => add_scaler(out, traits, &fields, ScalerKind::Spread, node),
        "daemonscaler" => add_scaler(out, traits, &fields, ScalerKind::Daemon, node),
        other => {
            let problem = Diagnostic::error(
                codes::UNKNOWN_TRAIT,
                format!("unknown trait `{}`", shorten(other)),
            )
            .at(kind.span, "no such trait")
            .with_note(format!("a trait is one of {}", suggest::names(TYPES)));
            out.push(if other == "linkdef" {
                problem.with_help("write `type: link`, as wasmCloud does since 1.0")
            } else {
                match suggest::nearest(other, TYPES) {
                    Some(word) => problem.with_help(format!("did you mean `{word}`?")),
                    None => problem.with_help("remove it; there are no traits of one's own"),
                }
            });
        }
    }
}

fn add_scaler(
    out: &mut Diagnostics,
    traits: &mut Traits,
    fields: &Fields<'_>,
    kind: ScalerKind,
    node: &Node,
) {
    let mut scaling = Scaling {
        span: Some(node.span),
        kind,
        instances: None,
        spread: Vec::new(),
    };
    let properties = fields
        .get("properties")
        .and_then(|properties| Fields::of(out, &shapes::SCALER, properties));
    if let Some(properties) = properties {
        if properties.get("instances").is_some() && properties.get("replicas").is_some() {
            out.push(
                Diagnostic::error(codes::CONFLICT, "`instances` and `replicas` mean the same")
                    .at(Some(properties.key_place("replicas")), "the second one")
                    .also(Some(properties.key_place("instances")), "the first one")
                    .with_help("keep `instances`"),
            );
        }
        let instances = properties.number(out, "instances", 0);
        let replicas = properties.number(out, "replicas", 0);
        scaling.instances = instances.or(replicas);
        let spread = properties.list(out, "spread").unwrap_or_default().iter();
        scaling.spread = spread.filter_map(|node| read_spread(out, node)).collect();
    }
    if traits.scaling.is_some() {
        out.push(
            Diagnostic::warning(codes::SECOND_SCALER, "only the first scaler counts")
                .at(Some(node.head()), "this one is left out")
                .with_help("keep one scaler; its `spread` can name several groups of hosts"),
        );
        return;
    }
    traits.scaling = Some(scaling);
}

fn read_spread(out: &mut Diagnostics, node: &Node) -> Option<Spread> {
    let fields = Fields::of(out, &shapes::SPREAD, node)?;
    Some(Spread {
        name: fields.text(out, "name"),
        requirements: fields.texts(out, "requirements").plain(),
        weight: fields.number(out, "weight", 0).map(|weight| weight.value),
    })
}
