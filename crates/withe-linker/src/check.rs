//! Second pass: types and configuration. What passes it can be bound.

use withe_wit::{ExternItem, check};

use crate::Span;
use crate::config::{Definitions, Merged, check_secrets};
use crate::diagnostic::Diagnostics;
use crate::input::{ConfigMap, ConfigRole};
use crate::parts::PartId;
use crate::problems;
use crate::resolve::Resolved;

/// A resolved application whose links have been compared, with all configuration merged.
#[derive(Clone, Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) resolved: Resolved<'a>,
    /// Each part's own configuration.
    pub(crate) part_config: Vec<ConfigMap>,
    /// Each link's configuration, of its source's side and its target's.
    pub(crate) link_config: Vec<(ConfigMap, ConfigMap)>,
}

/// Compares the types of every link and checks all configuration.
pub(crate) fn check<'a>(resolved: Resolved<'a>, out: &mut Diagnostics) -> Checked<'a> {
    check_types(&resolved, out);
    let application = &resolved.parts.inputs.application;
    check_secrets(application, out);
    let definitions = Definitions::of(application, out);
    let part_config = resolved
        .parts
        .ids()
        .map(|part| own_config(&resolved, &definitions, part, out))
        .collect();
    let link_config = (0..resolved.links.len())
        .map(|link| link_config(&resolved, &definitions, link, out))
        .collect();
    Checked {
        part_config,
        link_config,
        resolved,
    }
}

fn check_types(resolved: &Resolved<'_>, out: &mut Diagnostics) {
    for link in &resolved.links {
        for (import, export) in resolved.wires(link) {
            let found = match (&import.item, &export.item) {
                (ExternItem::Interface(import), ExternItem::Interface(export)) => {
                    check::interface(import, export)
                }
                (ExternItem::Function(import), ExternItem::Function(export)) => {
                    check::function(import, export)
                }
                // The resolver pairs like with like.
                _ => continue,
            };
            out.extend(problems::types::mismatches(
                &resolved.parts,
                link,
                (import, export),
                &found,
            ));
        }
    }
}

fn own_config<'a>(
    resolved: &Resolved<'a>,
    definitions: &Definitions<'a>,
    part: PartId,
    out: &mut Diagnostics,
) -> ConfigMap {
    let declared = resolved.parts.declared(part);
    let merged = definitions.merge(&declared.config);
    let whose = format!("the configuration of `{}`", declared.name.value);
    ask(
        resolved,
        part,
        ConfigRole::Own,
        &merged,
        &whose,
        declared.name.span,
        out,
    );
    merged.values
}

fn link_config<'a>(
    resolved: &Resolved<'a>,
    definitions: &Definitions<'a>,
    link: usize,
    out: &mut Diagnostics,
) -> (ConfigMap, ConfigMap) {
    let link = &resolved.links[link];
    let (from, to) = (
        resolved.parts.name(link.source),
        resolved.parts.name(link.target),
    );
    let span = link.traits[0].target.span.or(link.traits[0].span);
    let whose = format!("the configuration of the link from `{from}` to `{to}`");
    let source = definitions.merge(link.traits.iter().flat_map(|l| &l.source_config));
    ask(
        resolved,
        link.source,
        ConfigRole::LinkSource,
        &source,
        &whose,
        span,
        out,
    );
    let target = definitions.merge(link.traits.iter().flat_map(|l| &l.target_config));
    ask(
        resolved,
        link.target,
        ConfigRole::LinkTarget,
        &target,
        &whose,
        span,
        out,
    );
    (source.values, target.values)
}

/// Lets `part`, if it is a provider, look at configuration meant for it.
fn ask(
    resolved: &Resolved<'_>,
    part: PartId,
    role: ConfigRole,
    merged: &Merged<'_>,
    whose: &str,
    otherwise: Option<Span>,
    out: &mut Diagnostics,
) {
    let Some(check) = resolved
        .parts
        .config_check(part)
        .filter(|_| merged.complete)
    else {
        return;
    };
    for problem in check.problems(role, &merged.values) {
        let place = problem.key.as_deref().and_then(|key| merged.place(key));
        out.push(problems::config::invalid(
            whose,
            &problem,
            place.or(otherwise),
        ));
    }
}
