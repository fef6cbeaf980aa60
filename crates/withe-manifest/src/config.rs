//! Named configuration and secrets, which components, providers and both ends of links have.

use std::collections::BTreeMap;

use withe_linker::input::{NamedConfig, SecretRef};
use withe_linker::{Diagnostic, Diagnostics};

use crate::codes;
use crate::fields::Fields;
use crate::node::Value;
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
        let secret = is_secret(out, &entry);
        let properties = entry.get("properties").map(|node| {
            if secret && !matches!(node.value, Value::Map(_)) {
                // The message about others repeats what they are.
                let message = "`properties` must be a map of text";
                let problem = Diagnostic::error(codes::WRONG_TYPE, message)
                    .at(Some(node.head()), "expected a map of text")
                    .with_help("write `key: value` lines below `properties:`");
                out.push(problem);
                return BTreeMap::new();
            }
            entry.texts(out, "properties").values
        });
        list.extend(name.map(|name| NamedConfig {
            name,
            properties,
            secret,
        }));
    }
    list
}

/// Whether the values of an entry are not to be shown.
fn is_secret(out: &mut Diagnostics, entry: &Fields<'_>) -> bool {
    if entry.get("secret").is_none() {
        return false;
    }
    // A value that is neither `true` nor `false` was reported, and may have been meant to hide the rest.
    let secret = entry.flag(out, "secret").is_none_or(|secret| secret.value);
    if secret && entry.get("properties").is_none() {
        out.push(
            Diagnostic::error(
                codes::MISPLACED_FIELD,
                "`secret` cannot be in an entry of a `config` list without `properties`",
            )
            .at(Some(entry.key_place("secret")), "not possible here")
            .with_note("the entry refers to configuration that is defined elsewhere, where it says whether it is secret")
            .with_help("write `secret: true` where the configuration is defined"),
        );
    }
    secret
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

#[cfg(test)]
mod tests {
    use crate::parse;

    /// The problems of a manifest with this entry of a `config` list, and whether the entry is secret.
    fn read(entry: &str) -> (Vec<String>, bool) {
        let parsed = parse(&format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: a}}\nspec:\n  components:\n  \
             - {{name: a, type: component, properties: {{image: ./a.wasm, config: [{entry}]}}}}\n"
        ));
        let said = parsed.diagnostics.0.iter();
        let said = said.map(|d| format!("{}: {}", d.code.0, d.message));
        let application = parsed.application.unwrap();
        let secret = application.components[0].config[0].secret;
        (said.collect(), secret)
    }

    #[test]
    fn an_entry_says_whether_it_is_secret() {
        for (entry, secret) in [
            ("{name: c, properties: {k: v}}", false),
            ("{name: c, secret: false, properties: {k: v}}", false),
            ("{name: c, secret: true, properties: {k: v}}", true),
            ("{name: c, secret: false}", false),
            ("{name: c, secret:, properties: {k: v}}", false),
        ] {
            assert_eq!(read(entry), (Vec::new(), secret), "{entry}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_secret_entry_is_said_without_its_values() {
        for (entry, expected) in [
            ("{name: c, secret: true}", "W0014"),
            (
                "{name: c, secret: perhaps, properties: {k: hidden}}",
                "W0011",
            ),
            ("{name: c, secret: true, properties: hidden}", "W0011"),
            (
                "{name: c, secret: true, properties: {k: [hidden]}}",
                "W0011",
            ),
        ] {
            let (said, secret) = read(entry);
            assert!(secret, "{entry}");
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with(expected), "{said:?}");
            assert!(!said[0].contains("hidden"), "{said:?}");
        }
    }
}
