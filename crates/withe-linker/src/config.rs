//! Named configuration, looked up and merged.

use std::collections::BTreeMap;

use crate::Span;
use crate::diagnostic::Diagnostics;
use crate::input::{Application, ConfigMap, NamedConfig, SecretKeys, Spanned};
use crate::problems;
use crate::secrets::{MASK, SecretValues};
use crate::wording::Suggestions;

type Properties = BTreeMap<String, Spanned<String>>;

/// All configuration that an application defines, by name.
#[derive(Clone, Debug)]
pub(crate) struct Definitions<'a>(BTreeMap<&'a str, &'a NamedConfig>);

/// Configuration with later entries merged over earlier ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged<'a> {
    pub(crate) values: ConfigMap,
    /// The keys whose values are secret.
    pub(crate) secret_keys: SecretKeys,
    /// Where each value was written.
    places: BTreeMap<&'a str, Option<Span>>,
    /// Whether all of it was defined.
    pub(crate) complete: bool,
}

impl<'a> Definitions<'a> {
    /// Collects what `application` defines.
    pub(crate) fn of(application: &'a Application) -> Self {
        let mut by_name: BTreeMap<&str, &NamedConfig> = BTreeMap::new();
        for config in application
            .named_config()
            .filter(|c| c.properties.is_some())
        {
            by_name.entry(&config.name.value).or_insert(config);
        }
        Self(by_name)
    }

    /// Reports what `application` defines twice, and what it refers to without a definition.
    pub(crate) fn check(&self, application: &Application, out: &mut Diagnostics) {
        let names: Vec<&str> = self.0.keys().copied().collect();
        let suggestions = Suggestions::among(names.len());
        for config in application.named_config() {
            match self.0.get(config.name.as_str()) {
                None => out.push(problems::config::missing(config, &names, &suggestions)),
                Some(first) if config.properties.is_some() => {
                    let is_same = same(first.properties.as_ref(), config.properties.as_ref());
                    if !is_same || first.secret != config.secret {
                        out.push(problems::config::defined_twice(first, config));
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Merges `configs`, later ones over earlier ones.
    pub(crate) fn merge(&self, configs: impl IntoIterator<Item = &'a NamedConfig>) -> Merged<'a> {
        let mut merged = Merged {
            complete: true,
            ..Merged::default()
        };
        for config in configs {
            let defined = match &config.properties {
                Some(_) => Some(config),
                None => self.0.get(config.name.as_str()).copied(),
            };
            let Some((config, properties)) =
                defined.and_then(|config| Some((config, config.properties.as_ref()?)))
            else {
                merged.complete = false;
                continue;
            };
            for (key, value) in properties {
                // A value that is secret in one place does not cease to be by standing in another.
                let is_known = merged.values.get(key) == Some(&value.value);
                if config.secret {
                    merged.secret_keys.insert(key.clone());
                } else if !is_known {
                    merged.secret_keys.remove(key);
                }
                merged.values.insert(key.clone(), value.value.clone());
                merged.places.insert(key, value.span);
            }
        }
        merged
    }
}

impl Merged<'_> {
    /// Takes note that the value of `key` is fetched by the host, whatever is configured.
    pub(crate) fn fetch(&mut self, key: &str) {
        self.secret_keys.insert(key.to_owned());
        self.values.insert(key.to_owned(), MASK.to_owned());
    }

    /// Whether no key has one value here and another there.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let differs = |(key, value): (&String, &String)| {
            other.values.get(key).is_some_and(|other| other != value)
        };
        !self.values.iter().any(differs)
    }

    /// The values that messages are not to repeat.
    pub(crate) fn secrets(&self) -> SecretValues {
        SecretValues::new(self.secret_values())
    }

    /// Whether a value is not known here: only [`MASK`] stands in its place.
    pub(crate) fn is_masked(&self) -> bool {
        self.secret_values().any(|value| value == MASK)
    }

    fn secret_values(&self) -> impl Iterator<Item = &str> {
        let keys = self.secret_keys.iter();
        keys.filter_map(|key| self.values.get(key).map(String::as_str))
    }

    /// Where the value of `key` was written, if it was.
    pub(crate) fn place(&self, key: &str) -> Option<Span> {
        self.places.get(key).copied().flatten()
    }
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
