//! Second pass: types and configuration. Links that pass it can be bound.

use std::collections::HashMap;
use std::marker::PhantomData;

use withe_wit::check::{self, Mismatch};
use withe_wit::{Extern, ExternItem, InterfaceName};

use crate::Span;
use crate::carried::place;
use crate::config::{Definitions, Merged};
use crate::diagnostic::Diagnostics;
use crate::fetched;
use crate::input::{ConfigMap, ConfigProblem, ConfigRole, SecretKeys};
use crate::ix::{LinkIx, PerLink, PerPart};
use crate::kinds;
use crate::parts::PartId;
use crate::problems;
use crate::requests::is_translated;
use crate::resolved::Resolved;
use crate::work;

/// A resolved application whose links have been compared, with all configuration merged.
#[derive(Clone, Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) resolved: Resolved<'a>,
    /// Each part's own configuration.
    pub(crate) part_config: PerPart<CheckedConfig>,
    /// Each link's configuration, of its source's side and its target's.
    pub(crate) link_config: PerLink<(CheckedConfig, CheckedConfig)>,
}

/// Configuration, merged.
#[derive(Clone, Debug)]
pub(crate) struct CheckedConfig {
    pub(crate) values: ConfigMap,
    pub(crate) secret_keys: SecretKeys,
}

impl CheckedConfig {
    fn of(merged: Merged<'_>) -> Self {
        Self {
            values: merged.values,
            secret_keys: merged.secret_keys,
        }
    }
}

/// Compares the types of every link and checks all configuration.
pub(crate) fn check<'a>(resolved: Resolved<'a>, out: &mut Diagnostics) -> Checked<'a> {
    check_types(&resolved, out);
    check_host_imports(&resolved, out);
    let application = &resolved.parts.inputs.application;
    fetched::check(&resolved, out);
    kinds::check(&resolved, out);
    let definitions = Definitions::of(application);
    definitions.check(application, out);
    let part_config = resolved
        .parts
        .ids()
        .map(|part| own_config(&resolved, &definitions, part, out))
        .collect();
    let link_config = (resolved.links.ids())
        .map(|link| link_config(&resolved, &definitions, link, out))
        .collect();
    Checked {
        part_config,
        link_config,
        resolved,
    }
}

fn check_types<'a>(resolved: &Resolved<'a>, out: &mut Diagnostics) {
    let mut compared = Compared::default();
    for link in resolved.links.values() {
        let pairs = resolved.pairs(link);
        // A translated request is a message in between: its two types are each the host's own.
        let compared_wires = resolved.wires(link).filter(|(a, b)| !is_translated(a, b));
        for (import, export) in compared_wires {
            let of_pairs;
            let found = match pairs.is_empty() {
                true => compared.mismatches(import, export),
                false => {
                    of_pairs = mismatches(import, export, &pairs);
                    &of_pairs
                }
            };
            if !found.is_empty() {
                out.extend(problems::types::mismatches(
                    &resolved.parts,
                    link,
                    (import, export),
                    found,
                ));
            }
        }
    }
}

/// Compares what components have from the host with what it gives. Equal components are compared once.
fn check_host_imports<'a>(resolved: &Resolved<'a>, out: &mut Diagnostics) {
    let mut known: HashMap<(&'a str, &'a str), Vec<Mismatch>> = HashMap::new();
    for part in resolved.parts.ids() {
        for host in &resolved.host_imports[part.0] {
            // Types alone are no more than their structure: nothing is called that could differ.
            if host.import.is_types_only() {
                continue;
            }
            let key = (resolved.parts.digest(part), host.import.name.as_str());
            let found = known.entry(key).or_insert_with(|| host.mismatches());
            out.extend(problems::types::host_mismatches(
                &resolved.parts,
                part,
                host,
                found,
            ));
        }
    }
}

/// The mismatches found, by import and export: many links may be of one pair, which is compared once.
#[derive(Default)]
struct Compared<'a> {
    /// By where the two are: nothing moves while it is borrowed for so long.
    found: HashMap<(*const (), *const ()), Vec<Mismatch>>,
    borrowed: PhantomData<&'a Extern>,
}

impl<'a> Compared<'a> {
    fn mismatches(&mut self, import: &'a Extern, export: &'a Extern) -> &[Mismatch] {
        let (a, b) = (place(import), place(export));
        if a == b {
            return &[];
        }
        let found = self.found.entry((a, b));
        found.or_insert_with(|| mismatches(import, export, &[]))
    }
}

/// Where an import and the export that it was joined to differ.
fn mismatches(
    import: &Extern,
    export: &Extern,
    pairs: &[(InterfaceName, InterfaceName)],
) -> Vec<Mismatch> {
    work::note(import.functions().len());
    match (&import.item, &export.item) {
        (ExternItem::Interface(import), ExternItem::Interface(export)) => {
            check::paired_interface(import, export, pairs)
        }
        (ExternItem::Function(import), ExternItem::Function(export)) => {
            check::function(import, export, pairs)
        }
        // The resolver pairs like with like.
        _ => Vec::new(),
    }
}

fn own_config<'a>(
    resolved: &Resolved<'a>,
    definitions: &Definitions<'a>,
    part: PartId,
    out: &mut Diagnostics,
) -> CheckedConfig {
    let declared = resolved.parts.declared(part);
    let mut merged = definitions.merge(&declared.config);
    if resolved.parts.is_provider(part) {
        let names = declared.secrets.iter().map(|secret| &secret.name.value);
        names.for_each(|name| merged.fetch(name));
    }
    let whose = || format!("the configuration of `{}`", declared.name.value);
    ask(
        resolved,
        part,
        ConfigRole::Own,
        &merged,
        whose,
        declared.name.span,
        out,
    );
    CheckedConfig::of(merged)
}

fn link_config<'a>(
    resolved: &Resolved<'a>,
    definitions: &Definitions<'a>,
    link: LinkIx,
    out: &mut Diagnostics,
) -> (CheckedConfig, CheckedConfig) {
    let link = &resolved.links[link];
    let (from, to) = (
        resolved.parts.name(link.source),
        resolved.parts.name(link.target),
    );
    let span = link.traits[0].target.span.or(link.traits[0].span);
    let whose = || format!("the configuration of the link from `{from}` to `{to}`");
    let mut source = definitions.merge(link.traits.iter().flat_map(|l| &l.source_config));
    if resolved.parts.is_provider(link.source) {
        let secrets = link.traits.iter().flat_map(|l| &l.source_secrets);
        secrets.for_each(|secret| source.fetch(&secret.name.value));
    }
    ask(
        resolved,
        link.source,
        ConfigRole::LinkSource,
        &source,
        whose,
        span,
        out,
    );
    let mut target = definitions.merge(link.traits.iter().flat_map(|l| &l.target_config));
    if resolved.parts.is_provider(link.target) {
        let secrets = link.traits.iter().flat_map(|l| &l.target_secrets);
        secrets.for_each(|secret| target.fetch(&secret.name.value));
    }
    ask(
        resolved,
        link.target,
        ConfigRole::LinkTarget,
        &target,
        whose,
        span,
        out,
    );
    (CheckedConfig::of(source), CheckedConfig::of(target))
}

/// Lets `part`, if it is a provider or a component that says its keys, look at configuration meant for it.
fn ask(
    resolved: &Resolved<'_>,
    part: PartId,
    role: ConfigRole,
    merged: &Merged<'_>,
    whose: impl Fn() -> String,
    otherwise: Option<Span>,
    out: &mut Diagnostics,
) {
    let Some(check) = resolved
        .parts
        .config_check(part)
        // A caller without the values cannot know what is wrong with them.
        .filter(|_| merged.complete && !merged.is_masked())
    else {
        return;
    };
    let secrets = merged.secrets();
    for problem in check.problems(role, &merged.values) {
        let problem = ConfigProblem {
            message: secrets.mask(&problem.message).into_owned(),
            help: (problem.help).map(|help| secrets.mask(&help).into_owned()),
            ..problem
        };
        let place = problem.key.as_deref().and_then(|key| merged.place(key));
        out.push(problems::config::invalid(
            &whose(),
            &problem,
            place.or(otherwise),
        ));
    }
}
