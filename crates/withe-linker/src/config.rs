//! Named configuration, looked up and merged.

use std::collections::BTreeMap;

use crate::Span;
use crate::diagnostic::Diagnostics;
use crate::input::{Application, ConfigMap, NamedConfig, SecretRef, Spanned};
use crate::problems;
use crate::wording::Suggestions;

type Properties = BTreeMap<String, Spanned<String>>;

/// All configuration that an application defines, by name.
pub(crate) struct Definitions<'a>(BTreeMap<&'a str, &'a NamedConfig>);

/// Configuration with later entries merged over earlier ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged<'a> {
    pub(crate) values: ConfigMap,
    /// Where each value was written.
    places: BTreeMap<&'a str, Option<Span>>,
    /// Whether all of it was defined.
    pub(crate) complete: bool,
}

impl<'a> Definitions<'a> {
    /// Collects what `application` defines; reports what it defines twice, and what it refers to
    /// without a definition.
    pub(crate) fn of(application: &'a Application, out: &mut Diagnostics) -> Self {
        let mut by_name: BTreeMap<&str, &NamedConfig> = BTreeMap::new();
        for config in named(application).filter(|c| c.properties.is_some()) {
            let first = *by_name.entry(&config.name.value).or_insert(config);
            if !same(first.properties.as_ref(), config.properties.as_ref()) {
                out.push(problems::config::defined_twice(first, config));
            }
        }
        let names: Vec<&str> = by_name.keys().copied().collect();
        let suggestions = Suggestions::among(names.len());
        for config in named(application).filter(|c| !by_name.contains_key(c.name.as_str())) {
            out.push(problems::config::missing(config, &names, &suggestions));
        }
        Self(by_name)
    }

    /// Merges `configs`, later ones over earlier ones.
    pub(crate) fn merge(&self, configs: impl IntoIterator<Item = &'a NamedConfig>) -> Merged<'a> {
        let mut merged = Merged {
            complete: true,
            ..Merged::default()
        };
        for config in configs {
            let defined = || self.0.get(config.name.as_str())?.properties.as_ref();
            let Some(properties) = config.properties.as_ref().or_else(defined) else {
                merged.complete = false;
                continue;
            };
            for (key, value) in properties {
                merged.values.insert(key.clone(), value.value.clone());
                merged.places.insert(key, value.span);
            }
        }
        merged
    }
}

impl Merged<'_> {
    /// Where the value of `key` was written, if it was.
    pub(crate) fn place(&self, key: &str) -> Option<Span> {
        self.places.get(key).copied().flatten()
    }
}

fn named(application: &Application) -> impl Iterator<Item = &NamedConfig> {
    application.components.iter().flat_map(|component| {
        let of_links = component
            .links
            .iter()
            .flat_map(|l| l.source_config.iter().chain(&l.target_config));
        component.config.iter().chain(of_links)
    })
}

fn same(a: Option<&Properties>, b: Option<&Properties>) -> bool {
    let values = |p: Option<&Properties>| -> Option<ConfigMap> {
        Some(
            p?.iter()
                .map(|(key, value)| (key.clone(), value.value.clone()))
                .collect(),
        )
    };
    values(a) == values(b)
}

/// Reports every secret that `application` refers to.
pub(crate) fn check_secrets(application: &Application, out: &mut Diagnostics) {
    for component in &application.components {
        let name = &component.name.value;
        let mut report = |secrets: &[SecretRef], whose: String| {
            out.extend(
                secrets
                    .iter()
                    .map(|secret| problems::config::secret(secret, &whose)),
            );
        };
        report(&component.secrets, format!("`{name}`"));
        for link in &component.links {
            let whose = format!("the link from `{name}` to `{}`", link.target.value);
            report(&link.source_secrets, whose.clone());
            report(&link.target_secrets, whose);
        }
    }
}
