//! The manifest's outermost maps: metadata, components, policies.

use withe_linker::input::{Application, Component, Policy, Spanned};
use withe_linker::{Diagnostic, Diagnostics};

use crate::fields::{Fields, Texts};
use crate::node::{Node, shorten};
use crate::{codes, component, shapes};

const SHARED: &str = "experimental.wasmcloud.dev/shared";

/// Reads the application. `root` is known to be one by its kind and version.
pub(crate) fn read(out: &mut Diagnostics, root: &Node) -> Option<Application> {
    let root = Fields::of(out, &shapes::ROOT, root)?;
    let metadata = root
        .require(out, "metadata")
        .and_then(|node| Fields::of(out, &shapes::METADATA, node))
        .map(|fields| read_metadata(out, &fields))
        .unwrap_or_default();
    let spec = root
        .require(out, "spec")
        .and_then(|node| Fields::of(out, &shapes::SPEC, node));

    let components = spec.as_ref().map(|spec| read_components(out, spec));
    let policies = spec.as_ref().map(|spec| read_policies(out, spec));
    Some(Application {
        // Without a name there is an error, and nothing will run under this one.
        name: metadata
            .name
            .unwrap_or_else(|| Spanned::unplaced("application".into())),
        version: metadata.version,
        description: metadata.description,
        shared: metadata.shared,
        components: components.unwrap_or_default(),
        policies: policies.unwrap_or_default(),
    })
}

#[derive(Default)]
struct Metadata {
    name: Option<Spanned<String>>,
    version: Option<String>,
    description: Option<String>,
    shared: bool,
}

fn read_metadata(out: &mut Diagnostics, fields: &Fields<'_>) -> Metadata {
    let name = fields.required_text(out, "name");
    if let Some(name) = &name {
        check_name(out, name);
    }
    let annotations = fields.texts(out, "annotations");
    let labels = fields.texts(out, "labels");
    check_keys(out, &annotations);
    check_keys(out, &labels);

    let annotation = |key: &str| annotations.values.get(key);
    if let Some(version) = annotation("version")
        && version.value == "latest"
    {
        out.push(
            Diagnostic::error(
                codes::VERSION_LATEST,
                "an application's version cannot be `latest`",
            )
            .at(version.span, "stands for the version put last")
            .with_help("write the version itself, such as `v1.0.0`, or leave it out"),
        );
    }
    Metadata {
        name,
        version: annotation("version").map(|version| version.value.clone()),
        description: annotation("description").map(|text| text.value.clone()),
        shared: annotation(SHARED).is_some_and(|shared| shared.value == "true"),
    }
}

fn check_name(out: &mut Diagnostics, name: &Spanned<String>) {
    let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if let Some(wrong) = name.value.chars().find(|c| !is_allowed(*c)) {
        let mended: String = name
            .value
            .chars()
            .map(|c| if is_allowed(c) { c } else { '-' })
            .collect();
        out.push(
            Diagnostic::error(
                codes::BAD_NAME,
                format!(
                    "the application's name `{}` contains `{wrong}`",
                    shorten(&name.value)
                ),
            )
            .at(name.span, "not a name")
            .with_note("a name consists of letters, digits, `-` and `_`")
            .with_help(format!("write `name: {}`", shorten(&mended))),
        );
    }
}

/// OAM's rule for the keys of annotations and labels: `[dns-subdomain/]name`.
fn check_keys(out: &mut Diagnostics, texts: &Texts) {
    for (key, span) in &texts.keys {
        let is_right = match key.split_once('/') {
            Some((prefix, name)) => is_subdomain(prefix) && is_label(name),
            None => is_label(key),
        };
        if !is_right {
            out.push(
                Diagnostic::error(
                    codes::BAD_LABEL,
                    format!("`{}` is not a label", shorten(key)),
                )
                .at(Some(*span), "not of the form `[domain/]name`")
                .with_note(
                    "a label's name has at most 63 letters, digits, `-`, `_` and `.`, and \
                         begins and ends with a letter or digit; a domain may stand before it",
                )
                .with_help("write it like `version` or `example.com/team`"),
            );
        }
    }
}

fn is_label(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_subdomain(domain: &str) -> bool {
    domain.len() <= 253
        && domain.split('.').all(|part| {
            part.len() <= 63
                && part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

fn read_components(out: &mut Diagnostics, spec: &Fields<'_>) -> Vec<Component> {
    spec.require(out, "components");
    let Some(items) = spec.list(out, "components") else {
        return Vec::new();
    };
    if items.is_empty() {
        out.push(
            Diagnostic::warning(codes::NOTHING_RUNS, "the application has no components")
                .at(Some(spec.key_place("components")), "nothing to run")
                .with_help("add an entry to `spec.components`"),
        );
    }
    let items = items.iter();
    items
        .filter_map(|node| component::read(out, node))
        .collect()
}

fn read_policies(out: &mut Diagnostics, spec: &Fields<'_>) -> Vec<Policy> {
    let items = spec.list(out, "policies").unwrap_or_default().iter();
    items.filter_map(|node| read_policy(out, node)).collect()
}

fn read_policy(out: &mut Diagnostics, node: &Node) -> Option<Policy> {
    let fields = Fields::of(out, &shapes::POLICY, node)?;
    let name = fields.required_text(out, "name");
    let kind = fields.required_text(out, "type");
    let properties = fields.texts(out, "properties").plain();
    Some(Policy {
        name: name?,
        kind: kind?,
        properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_follow_oams_rule() {
        let long = "a".repeat(63);
        for good in ["version", "a", "a.b_c-d", long.as_str(), "0"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "é", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(is_subdomain("experimental.wasmcloud.dev"));
        for bad in ["", "a..b", "1a.b", "a-.b", "a_b.c"] {
            assert!(!is_subdomain(bad), "{bad}");
        }
    }
}
