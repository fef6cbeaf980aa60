//! Named configuration and secrets, which components, providers and both ends of links have.

use withe_linker::Diagnostics;
use withe_linker::input::{NamedConfig, SecretRef};

use crate::fields::Fields;
use crate::shapes;

/// A list of named configuration: `config`, or a link's older `source_config` and `target_config`.
pub(crate) fn read_configs(
    out: &mut Diagnostics,
    fields: &Fields<'_>,
    name: &'static str,
) -> Vec<NamedConfig> {
    let mut list = Vec::new();
    for item in fields.list(out, name).unwrap_or_default() {
        let Some(entry) = Fields::of(out, &shapes::CONFIG, item) else {
            continue;
        };
        let name = entry.required_text(out, "name");
        let properties = entry
            .get("properties")
            .map(|_| entry.texts(out, "properties").values);
        list.extend(name.map(|name| NamedConfig { name, properties }));
    }
    list
}

/// A `secrets` list.
pub(crate) fn read_secrets(out: &mut Diagnostics, fields: &Fields<'_>) -> Vec<SecretRef> {
    let mut list = Vec::new();
    for item in fields.list(out, "secrets").unwrap_or_default() {
        let Some(entry) = Fields::of(out, &shapes::SECRET, item) else {
            continue;
        };
        let name = entry.required_text(out, "name");
        let source = entry
            .require(out, "properties")
            .and_then(|node| Fields::of(out, &shapes::SECRET_SOURCE, node));
        let Some(source) = source else { continue };
        let policy = source.required_text(out, "policy");
        let key = source.required_text(out, "key");
        let field = source.text(out, "field").map(|field| field.value);
        let version = source.text(out, "version").map(|version| version.value);
        if let (Some(name), Some(policy), Some(key)) = (name, policy, key) {
            list.push(SecretRef {
                name,
                policy,
                key: key.value,
                field,
                version,
            });
        }
    }
    list
}
