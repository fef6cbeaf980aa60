//! Admission policies of hosts: text to rules, with the place of every rule kept.
//!
//! An operator says in a file what a host accepts, and the host names the line of the rule when it refuses something. So
//! the file is read as manifests are: all that is wrong with it is reported at once, with its place. Deserialising it
//! with serde was left: that stops at the first fault, and knows no places of what it has read.
//!
//! A key that is absent is a rule that the file does not make. A key that was left empty is a fault, for nobody can tell
//! whether nothing or everything was meant.

use std::path::Path;
use std::time::Duration;

use withe_linker::Diagnostics;
use withe_linker::input::Spanned;

use crate::fields::{Fields, text, wrong_type};
use crate::node::{Document, Node};
use crate::shapes::Shape;
use crate::{codes, source, values};

/// The rules that an operator has written down. A rule that is absent is not made by the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// Patterns of the names of applications.
    pub applications: Option<Spanned<Vec<String>>>,
    /// Patterns of the names of deployers.
    pub deployers: Option<Spanned<Vec<String>>>,
    /// Patterns of the images of components.
    pub images: Option<Spanned<Vec<String>>>,
    /// Patterns of the images of providers that are no programs.
    pub providers: Option<Spanned<Vec<String>>>,
    /// Patterns of the digests of providers' programs.
    pub programs: Option<Spanned<Vec<String>>>,
    /// The directories that may be granted; each with the place of its entry.
    pub directories: Option<Spanned<Vec<Spanned<PolicyDirectory>>>>,
    /// Whether the network may be granted.
    pub network: Option<Spanned<bool>>,
    /// Patterns of the names of variables that may be granted.
    pub env: Option<Spanned<Vec<String>>>,
    /// The most memory, in bytes, that a component may ask for.
    pub memory: Option<Spanned<u64>>,
    /// The longest time that a component may ask for.
    pub time: Option<Spanned<Duration>>,
    /// The most instances that a component may ask for.
    pub instances: Option<Spanned<u32>>,
}

/// A directory that may be granted, with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDirectory {
    /// Its absolute path.
    pub host: String,
    /// Whether writing may be granted, too.
    pub writable: bool,
}

/// A policy, as far as its text was understood.
#[derive(Clone, Debug)]
pub struct ParsedPolicy {
    /// The rules; `None` if something is wrong with the text. Half of a policy would accept what the whole refuses.
    pub policy: Option<PolicyFile>,
    /// Everything wrong with the text, in its order.
    pub diagnostics: Diagnostics,
}

const ROOT: Shape = Shape {
    siblings: of_policies,
    ..Shape::new(
        "admissionPolicy",
        "the policy",
        &[
            "applications",
            "deployers",
            "images",
            "providers",
            "programs",
            "grants",
            "limits",
        ],
    )
};

const GRANTS: Shape = Shape {
    siblings: of_policies,
    ..Shape::new(
        "acceptedGrants",
        "the policy's `grants`",
        &["directories", "network", "env"],
    )
};

const DIRECTORY: Shape = Shape {
    siblings: of_policies,
    ..Shape::new(
        "acceptedDirectory",
        "an entry of the policy's `grants.directories`",
        &["host", "writable"],
    )
};

const LIMITS: Shape = Shape {
    siblings: of_policies,
    ..Shape::new(
        "acceptedLimits",
        "the policy's `limits`",
        &["memory", "time", "instances"],
    )
};

const ALL: [&Shape; 4] = [&ROOT, &GRANTS, &DIRECTORY, &LIMITS];

fn of_policies() -> &'static [&'static Shape] {
    &ALL
}

/// Reads a policy, YAML or JSON.
///
/// Spans are byte ranges of `text`.
pub fn parse(text: &str) -> ParsedPolicy {
    let mut out = Diagnostics::default();
    let policy = source::read(text)
        .map_err(|problem| out.push(*problem))
        .ok()
        .and_then(|documents| the_only(&mut out, documents))
        .and_then(|root| read(&mut out, &root));
    out.sort();
    ParsedPolicy {
        policy: policy.filter(|_| !out.has_errors()),
        diagnostics: out,
    }
}

/// The root of the one document of a policy. An empty file has none, and its root is nothing.
fn the_only(out: &mut Diagnostics, documents: Vec<Document>) -> Option<Node> {
    const HELP: &str =
        "a policy is one map, such as\napplications: [\"shop-*\"]\ngrants:\n  network: true";
    let mut documents = documents.into_iter();
    let Some(first) = documents.next() else {
        out.push(
            withe_linker::Diagnostic::error(codes::MISSING_FIELD, "the policy is empty")
                .with_help(HELP),
        );
        return None;
    };
    for second in documents {
        let problem = wrong_type("a policy", "one document", &second.root);
        out.push(problem.with_help("put all rules into one document, without `---`"));
    }
    out.extend(first.problems);
    Some(first.root)
}

fn read(out: &mut Diagnostics, root: &Node) -> Option<PolicyFile> {
    let fields = Fields::of(out, &ROOT, root)?;
    let mut policy = PolicyFile {
        applications: patterns(out, &fields, "applications"),
        deployers: patterns(out, &fields, "deployers"),
        images: patterns(out, &fields, "images"),
        providers: patterns(out, &fields, "providers"),
        programs: patterns(out, &fields, "programs"),
        ..PolicyFile::default()
    };
    let grants = fields.get_filled(out, "grants");
    if let Some(grants) = grants.and_then(|node| Fields::of(out, &GRANTS, node)) {
        policy.directories = directories(out, &grants);
        policy.network = (grants.get_filled(out, "network"))
            .and_then(|_| grants.flag(out, "network"))
            .map(|network| at_key(&grants, "network", network.value));
        policy.env = patterns(out, &grants, "env");
    }
    let limits = fields.get_filled(out, "limits");
    if let Some(limits) = limits.and_then(|node| Fields::of(out, &LIMITS, node)) {
        policy.memory = (limits.get_filled(out, "memory"))
            .and_then(|_| limits.parsed(out, "memory", codes::BAD_SIZE, "a size", values::size));
        policy.time = limits.get_filled(out, "time").and_then(|_| {
            let code = codes::BAD_DURATION;
            limits.parsed(out, "time", code, "a duration", values::duration)
        });
        policy.instances =
            (limits.get_filled(out, "instances")).and_then(|_| limits.number(out, "instances", 1));
    }
    Some(policy)
}

/// A list of patterns, at the place of its key. One that is empty accepts nothing.
fn patterns(
    out: &mut Diagnostics,
    fields: &Fields<'_>,
    name: &'static str,
) -> Option<Spanned<Vec<String>>> {
    fields.get_filled(out, name)?;
    let items = fields.list(out, name)?;
    let what = format!("an entry of `{name}`");
    let mut patterns = Vec::with_capacity(items.len());
    for item in items {
        let Some(found) = text(out, &what, item) else {
            continue;
        };
        if found.value.is_empty() {
            let problem = wrong_type(&what, "a name or a pattern", item);
            out.push(problem.with_help("write a name, with `*` for any characters in it"));
            continue;
        }
        patterns.push(found.value);
    }
    Some(at_key(fields, name, patterns))
}

fn directories(
    out: &mut Diagnostics,
    grants: &Fields<'_>,
) -> Option<Spanned<Vec<Spanned<PolicyDirectory>>>> {
    grants.get_filled(out, "directories")?;
    let items = grants.list(out, "directories")?;
    let directories = items.iter().filter_map(|item| directory(out, item));
    let directories = directories.collect();
    Some(at_key(grants, "directories", directories))
}

fn directory(out: &mut Diagnostics, item: &Node) -> Option<Spanned<PolicyDirectory>> {
    let fields = Fields::of(out, &DIRECTORY, item)?;
    let host = fields.required_text(out, "host");
    let writable = (fields.get_filled(out, "writable")).and_then(|_| fields.flag(out, "writable"));
    let host = host?;
    if !Path::new(&host.value).is_absolute()
        && let Some(node) = fields.get("host")
    {
        // A policy goes with a machine, and not with the folder that a host happens to be started in.
        let problem = wrong_type("`host`", "an absolute path", node);
        out.push(problem.with_help("write the path from `/` on"));
        return None;
    }
    let directory = PolicyDirectory {
        host: host.value,
        writable: writable.is_some_and(|writable| writable.value),
    };
    Some(Spanned::new(directory, item.span))
}

fn at_key<T>(fields: &Fields<'_>, name: &'static str, value: T) -> Spanned<T> {
    Spanned::new(value, fields.key_place(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "\
applications: [shop, \"shop-*\"]
deployers: [ada]
images: [\"ghcr.io/acme/*\"]
providers: [\"withe:*\"]
programs: []
grants:
  directories:
    - host: /srv/shop
      writable: true
    - {host: /usr/share}
  network: false
  env: [SHOP_*]
limits: {memory: 64MiB, time: 30s, instances: 8}
";

    fn line(text: &str, span: Option<withe_linker::Span>) -> usize {
        text[..span.unwrap().start].lines().count().max(1)
    }

    #[test]
    fn every_rule_is_read_with_its_place() {
        let parsed = parse(FULL);
        assert_eq!(parsed.diagnostics, Diagnostics::default());
        let policy = parsed.policy.unwrap();
        let applications = policy.applications.unwrap();
        assert_eq!(applications.value, ["shop", "shop-*"]);
        assert_eq!(policy.deployers.unwrap().value, ["ada"]);
        assert_eq!(policy.images.unwrap().value, ["ghcr.io/acme/*"]);
        assert_eq!(policy.providers.unwrap().value, ["withe:*"]);
        assert!(policy.programs.unwrap().value.is_empty());
        let directories = policy.directories.unwrap();
        let of = |i: usize| {
            let directory: &Spanned<PolicyDirectory> = &directories.value[i];
            (directory.value.host.as_str(), directory.value.writable)
        };
        assert_eq!((of(0), of(1)), (("/srv/shop", true), ("/usr/share", false)));
        assert!(!policy.network.as_ref().unwrap().value);
        assert_eq!(line(FULL, policy.network.unwrap().span), 11);
        assert_eq!(policy.env.unwrap().value, ["SHOP_*"]);
        assert_eq!(policy.memory.unwrap().value, 64 << 20);
        assert_eq!(policy.time.unwrap().value, Duration::from_secs(30));
        assert_eq!(policy.instances.unwrap().value, 8);
    }

    #[test]
    fn a_rule_that_is_absent_is_not_made() {
        for text in ["{}", "# nothing\n{}\n", "grants: {}\n"] {
            assert_eq!(parse(text).policy, Some(PolicyFile::default()), "{text:?}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_nothing_is_accepted() {
        let text = "\
aplications: [shop]
images:
providers: withe:keyvalue
programs: [[]]
grants:
  directory: []
  directories:
    - {host: data, writeable: true}
    - {writable: true}
  network: maybe
limits: {memory: 64 apples, time: 30, instances: 0}
network: true
";
        let parsed = parse(text);
        assert_eq!(parsed.policy, None);
        let said: Vec<_> = (parsed.diagnostics.0.iter())
            .map(|d| {
                let line = line(text, d.primary.as_ref().map(|label| label.span));
                let help = d.help.as_deref().unwrap_or_default();
                format!("{line}: {} ({help})", d.message)
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn a_policy_is_one_map() {
        for (text, expected) in [
            ("", "empty"),
            ("- a\n", "must be a map, found a list"),
            ("{}\n---\n{}\n", "must be one document"),
            ("applications: [\n", "not valid YAML"),
        ] {
            let parsed = parse(text);
            assert_eq!(parsed.policy, None, "{text:?}");
            let said = &parsed.diagnostics.0[0].message;
            assert!(said.contains(expected), "{text:?}: {said}");
        }
    }
}
