//! A link as v1's providers know it, with its secrets apart from its configuration.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use withe_provider::ConfigMap;

/// A link, as v1's providers are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkDefinition {
    pub(super) source_id: String,
    pub(super) target: String,
    pub(super) name: String,
    pub(super) wit_namespace: String,
    pub(super) wit_package: String,
    pub(super) interfaces: Vec<String>,
    pub(super) source_config: BTreeMap<String, String>,
    pub(super) target_config: BTreeMap<String, String>,
    pub(super) source_secrets: Secrets,
    pub(super) target_secrets: Secrets,
}

impl LinkDefinition {
    /// Whether it has secrets, which providers of hosts before v1.1 are not told.
    pub(super) fn has_secrets(&self) -> bool {
        !(self.source_secrets.is_empty() && self.target_secrets.is_empty())
    }
}

/// Secrets by name. Their values are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secrets(BTreeMap<String, String>);

/// A value, as v1 writes it.
#[derive(Serialize)]
struct SecretValue<'a> {
    kind: &'static str,
    value: &'a str,
}

impl Secrets {
    /// Takes the values of these keys out of a configuration.
    pub(super) fn split<'k>(
        config: &ConfigMap,
        keys: impl IntoIterator<Item = &'k String>,
    ) -> (BTreeMap<String, String>, Self) {
        let mut rest: BTreeMap<_, _> = config.clone().into_iter().collect();
        let secret = keys.into_iter().filter_map(|key| rest.remove_entry(key));
        let secret = Self(secret.collect());
        (rest, secret)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Secrets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| {
            let kind = "String";
            (name, SecretValue { kind, value })
        }))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
