//! Checks that need the whole manifest: names used twice, links that clash, secrets without a policy. The
//! rules are those of wasmCloud's `wadm`.
//!
//! Whether a link's target exists is not asked here: the linker asks it, because it also knows
//! what the command line adds.

use std::collections::BTreeMap;

use withe_linker::input::{
    Application, Component, Link, NamedConfig, Policy, SecretRef, Span, Spanned,
};
use withe_linker::{Diagnostic, Diagnostics};

use crate::codes;
use crate::node::shorten;

const SECRET_POLICY: &str = "policy.secret.wasmcloud.dev/v1alpha1";

/// Checks the application as a whole.
pub(crate) fn check(out: &mut Diagnostics, application: &Application) {
    check_components(out, application);
    for component in &application.components {
        check_links(out, component);
    }
    check_link_configs(out, application);
    check_policies(out, application);
    check_secrets(out, application);
}

fn check_components(out: &mut Diagnostics, application: &Application) {
    let names = application
        .components
        .iter()
        .map(|component| &component.name);
    report_repeated(out, names, |name| {
        Diagnostic::error(
            codes::DUPLICATE_NAME,
            format!("two components are named `{name}`"),
        )
        .with_help("give one of them another name")
    });
    let ids = application
        .components
        .iter()
        .filter_map(|component| component.id.as_ref());
    report_repeated(out, ids, |id| {
        Diagnostic::error(
            codes::DUPLICATE_ID,
            format!("two components have the id `{id}`"),
        )
        .with_help("give one of them another id, or leave the ids out")
    });

    for component in &application.components {
        let instances = component
            .scaling
            .as_ref()
            .and_then(|scaling| scaling.instances.as_ref());
        if let Some(Spanned { value: 0, span }) = instances {
            out.push(
                Diagnostic::warning(
                    codes::NOTHING_RUNS,
                    format!("`{}` is scaled to nothing", shorten(&component.name.value)),
                )
                .at(*span, "no instance may run")
                .with_help("write `instances: 1` or more to run it"),
            );
        }
    }
}

/// Reports every value that was there before, with what `problem` says of it.
fn report_repeated<'a>(
    out: &mut Diagnostics,
    values: impl Iterator<Item = &'a Spanned<String>>,
    problem: impl Fn(&str) -> Diagnostic,
) {
    let mut first: BTreeMap<&str, Option<Span>> = BTreeMap::new();
    for value in values {
        match first.get(value.value.as_str()) {
            None => {
                first.insert(&value.value, value.span);
            }
            Some(place) => out.push(
                problem(&shorten(&value.value))
                    .at(value.span, "the second one")
                    .also(*place, "the first one"),
            ),
        }
    }
}

/// Two links of one component with the same name on the same interface: which one a call takes
/// could not be told. Where they give no version and have two targets, each may have another version that the
/// component imports, which the linker knows.
fn check_links(out: &mut Diagnostics, component: &Component) {
    let mut first: BTreeMap<(&str, &str, &str, &str), &Link> = BTreeMap::new();
    for link in &component.links {
        let (Some(namespace), Some(package)) = (&link.namespace, &link.package) else {
            continue;
        };
        let name = link
            .name
            .as_ref()
            .map_or("default", |name| name.value.as_str());
        for interface in link.interfaces.iter().flatten() {
            let key = (
                name,
                namespace.value.as_str(),
                package.value.as_str(),
                interface.value.as_str(),
            );
            let Some(earlier) = first.get(&key) else {
                first.insert(key, link);
                continue;
            };
            let is_versioned = interface.value.contains('@');
            if earlier.target.value != link.target.value && !is_versioned {
                continue;
            }
            let (_, namespace, package, interface_name) = key;
            let full = format!("{namespace}:{package}/{interface_name}");
            let problem = Diagnostic::error(
                codes::DUPLICATE_LINK,
                format!(
                    "`{}` has two links named `{}` for `{}`",
                    shorten(&component.name.value),
                    shorten(name),
                    shorten(&full),
                ),
            )
            .at(interface.span, "linked a second time here");
            out.push(if std::ptr::eq(*earlier, link) {
                problem.with_help("name it once")
            } else {
                problem
                    .also(earlier.target.span, "to this target first")
                    .also(link.target.span, "then to this one")
                    .with_note("a component tells links for one interface apart by their names")
                    .with_help("give one of them another `name`, or remove it")
            });
        }
    }
}

/// Configuration written out in a link is known by its name in the whole application.
fn check_link_configs(out: &mut Diagnostics, application: &Application) {
    let links = application
        .components
        .iter()
        .flat_map(|component| &component.links);
    let written_out = links
        .flat_map(|link| link.source_config.iter().chain(&link.target_config))
        .filter(|config| config.properties.is_some());
    let mut first: BTreeMap<&str, &NamedConfig> = BTreeMap::new();
    for config in written_out {
        match first.get(config.name.value.as_str()) {
            None => {
                first.insert(&config.name.value, config);
            }
            Some(earlier) => out.push(
                Diagnostic::error(
                    codes::DUPLICATE_CONFIG,
                    format!(
                        "two links write out a config named `{}`",
                        shorten(&config.name.value)
                    ),
                )
                .at(config.name.span, "the second one")
                .also(earlier.name.span, "the first one")
                .with_help(
                    "give one of them another name, or leave out the second one's `properties` if \
                     the first one is meant",
                ),
            ),
        }
    }
}

fn check_policies(out: &mut Diagnostics, application: &Application) {
    let names = application.policies.iter().map(|policy| &policy.name);
    report_repeated(out, names, |name| {
        Diagnostic::warning(
            codes::DUPLICATE_POLICY,
            format!("two policies are named `{name}`"),
        )
        .with_note("the last one counts")
        .with_help("give one of them another name")
    });
}

fn check_secrets(out: &mut Diagnostics, application: &Application) {
    // Of two policies of one name the last one counts, as in wasmCloud.
    let policies = application.policies.iter();
    let policies: BTreeMap<&str, &Policy> = policies
        .map(|policy| (policy.name.value.as_str(), policy))
        .collect();
    for component in &application.components {
        let of_links = component
            .links
            .iter()
            .flat_map(|link| link.source_secrets.iter().chain(&link.target_secrets));
        for secret in component.secrets.iter().chain(of_links) {
            check_secret(out, &policies, secret);
        }
    }
}

fn check_secret(out: &mut Diagnostics, policies: &BTreeMap<&str, &Policy>, secret: &SecretRef) {
    let secret_name = shorten(&secret.name.value);
    let policy_name = shorten(&secret.policy.value);
    let Some(policy) = policies.get(secret.policy.value.as_str()) else {
        let known = policies.keys().copied();
        out.push(
            Diagnostic::error(
                codes::UNKNOWN_POLICY,
                format!("the secret `{secret_name}` names the policy `{policy_name}`, which is not there"),
            )
            .at(secret.policy.span, "not in `spec.policies`")
            .with_help(match crate::suggest::nearest(&secret.policy.value, known) {
                Some(policy) => format!("did you mean `{policy}`?"),
                None => format!(
                    "add to `spec`:\npolicies:\n  - name: {policy_name}\n    type: {SECRET_POLICY}\n    \
                     properties:\n      backend: …"
                ),
            }),
        );
        return;
    };
    let problem = |message: String, help: String| {
        Diagnostic::error(codes::NOT_A_SECRET_POLICY, message)
            .at(secret.policy.span, "named here")
            .also(policy.name.span, "the policy")
            .with_help(help)
    };
    if policy.kind.value != SECRET_POLICY {
        out.push(problem(
            format!(
                "the secret `{secret_name}` names the policy `{policy_name}`, which is of type `{}`",
                shorten(&policy.kind.value)
            ),
            format!("name a policy of type `{SECRET_POLICY}`"),
        ));
    } else if !policy.properties.contains_key("backend") {
        out.push(problem(
            format!("the policy `{policy_name}` does not say which backend has the secret `{secret_name}`"),
            "add `backend: …` to the policy's `properties`".into(),
        ));
    }
}
