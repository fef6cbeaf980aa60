//! The properties of a link trait.

use withe_linker::input::{
    BindingChoice, Link, Locality, NamePair, NamedConfig, Scope, SecretRef, Span, Spanned,
};
use withe_linker::{Diagnostic, Diagnostics};
use withe_wit::InterfaceName;
use withe_wit::name::{is_kebab, unescaped};

use crate::config::{read_configs, read_secrets};
use crate::fields::{Fields, text};
use crate::node::{Node, Value, shorten};
use crate::{codes, shapes, values};

pub(crate) const BINDINGS: [(&str, BindingChoice); 7] = [
    ("auto", BindingChoice::Auto),
    ("fused", BindingChoice::Fused),
    ("local", BindingChoice::Local),
    ("host", BindingChoice::Host),
    ("unix", BindingChoice::Unix),
    ("tcp", BindingChoice::Tcp),
    ("nats", BindingChoice::Nats),
];

pub(crate) const SCOPES: [(&str, Scope); 3] = [
    ("caller", Scope::Caller),
    ("call", Scope::Call),
    ("shared", Scope::Shared),
];

pub(crate) const LOCALITIES: [(&str, Locality); 3] = [
    ("host", Locality::Host),
    ("machine", Locality::Machine),
    ("lattice", Locality::Lattice),
];

/// Reads the properties of a link of the component named `owner`; the place of the whole trait is
/// for the caller to add.
pub(crate) fn read(out: &mut Diagnostics, owner: Option<&str>, node: &Node) -> Option<Link> {
    let fields = Fields::of(out, &shapes::LINK, node)?;
    let target = read_target(out, &fields);
    let source = read_source(out, owner, &fields);
    let selection = read_selection(out, &fields);
    let name = fields.text(out, "name");
    let binding = fields.choice(out, "binding", &BINDINGS);
    let scope = fields.choice(out, "scope", &SCOPES);
    let timeout = fields.parsed(
        out,
        "timeout",
        codes::BAD_DURATION,
        "a duration",
        values::duration,
    );
    let locality = fields.choice(out, "locality", &LOCALITIES);
    let idempotent = fields.flag(out, "idempotent");
    let target = target?;
    Some(Link {
        span: None,
        target: target.name,
        name: name.filter(|name| !name.value.is_empty()),
        namespace: selection.namespace,
        package: selection.package,
        interfaces: selection.interfaces,
        pairs: selection.pairs,
        source_config: source.config,
        source_secrets: source.secrets,
        target_config: target.end.config,
        target_secrets: target.end.secrets,
        binding,
        scope,
        timeout,
        locality,
        idempotent,
    })
}

/// The configuration and secrets of one end of a link.
#[derive(Default)]
struct End {
    config: Vec<NamedConfig>,
    secrets: Vec<SecretRef>,
}

struct TraitTarget {
    name: Spanned<String>,
    end: End,
}

fn read_target(out: &mut Diagnostics, link: &Fields<'_>) -> Option<TraitTarget> {
    // The older field is read in any case, so that its own problems show.
    let older = read_configs(out, link, "target_config");
    let node = link.require(out, "target")?;
    let is_older = link.get("target_config").is_some();
    if !matches!(node.value, Value::Map(_)) {
        if is_older {
            report_older(out, link, "target_config", "target: {name: …, config: […]}");
        }
        return Some(TraitTarget {
            name: text(out, "`target`", node)?,
            end: End {
                config: older,
                secrets: Vec::new(),
            },
        });
    }
    if is_older {
        report_unused(out, link, "target_config", "target", "`target` is a map");
    }
    let fields = Fields::of(out, &shapes::LINK_TARGET, node)?;
    let name = fields.required_text(out, "name");
    let end = End {
        config: read_configs(out, &fields, "config"),
        secrets: read_secrets(out, &fields),
    };
    Some(TraitTarget { name: name?, end })
}

fn read_source(out: &mut Diagnostics, owner: Option<&str>, link: &Fields<'_>) -> End {
    let older = read_configs(out, link, "source_config");
    let is_older = link.get("source_config").is_some();
    let Some(node) = link.get("source") else {
        if is_older {
            report_older(out, link, "source_config", "source: {config: […]}");
        }
        return End {
            config: older,
            secrets: Vec::new(),
        };
    };
    if is_older {
        report_unused(out, link, "source_config", "source", "`source` is given");
    }
    let Some(fields) = Fields::of(out, &shapes::LINK_SOURCE, node) else {
        return End::default();
    };
    if let (Some(name), Some(owner)) = (fields.text(out, "name"), owner)
        && name.value != owner
    {
        out.push(
            Diagnostic::warning(
                codes::OTHER_SOURCE,
                format!(
                    "the link's source is `{}`, not `{}`",
                    shorten(owner),
                    shorten(&name.value)
                ),
            )
            .at(name.span, "has no effect")
            .with_note("a link's source is the component it is written on")
            .with_help(format!(
                "remove `name`, or write the link on `{}`",
                shorten(&name.value)
            )),
        );
    }
    End {
        config: read_configs(out, &fields, "config"),
        secrets: read_secrets(out, &fields),
    }
}

fn report_older(out: &mut Diagnostics, link: &Fields<'_>, older: &'static str, write: &str) {
    out.push(
        Diagnostic::warning(codes::DEPRECATED, format!("`{older}` is an older form"))
            .at(Some(link.key_place(older)), "still understood")
            .with_help(format!("write `{write}`")),
    );
}

/// As in wasmCloud, the newer form wins; unlike there, the person is told.
fn report_unused(
    out: &mut Diagnostics,
    link: &Fields<'_>,
    older: &'static str,
    newer: &'static str,
    reason: &str,
) {
    out.push(
        Diagnostic::warning(
            codes::SUPERSEDED,
            format!("`{older}` is not used, because {reason}"),
        )
        .at(Some(link.key_place(older)), "has no effect")
        .also(Some(link.key_place(newer)), "this one counts")
        .with_help(format!(
            "move its entries into the `config` of `{newer}`, and remove it"
        )),
    );
}

/// The target's exports that a link is for.
#[derive(Default)]
struct Selection {
    namespace: Option<Spanned<String>>,
    package: Option<Spanned<String>>,
    interfaces: Option<Vec<Spanned<String>>>,
    pairs: Vec<NamePair>,
}

fn read_selection(out: &mut Diagnostics, fields: &Fields<'_>) -> Selection {
    let namespace = fields.text(out, "namespace").map(plain);
    let package = fields.text(out, "package").map(plain);
    let (interfaces, pairs) = read_interfaces(out, fields).unwrap_or_default();

    if let Some(namespace) = &namespace {
        check_word(out, "namespace", "wasi", namespace);
    }
    if let Some(package) = &package {
        check_word(out, "package", "keyvalue", package);
    }
    // A pair may have whole names.
    let needs_package =
        fields.get("interfaces").is_some() && (pairs.is_empty() || interfaces.is_some());
    let missing = if package.is_none() && needs_package {
        Some(("interfaces", "package"))
    } else if package.is_none() && namespace.is_some() {
        Some(("namespace", "package"))
    } else if package.is_some() && namespace.is_none() {
        Some(("package", "namespace"))
    } else {
        None
    };
    if let Some((given, missing)) = missing {
        out.push(
            Diagnostic::error(
                codes::INCOMPLETE_SELECTION,
                format!("`{given}` is given without `{missing}`"),
            )
            .at(Some(fields.key_place(given)), format!("needs `{missing}`"))
            .with_note("an interface is named by namespace, package and interface together")
            .with_help(format!(
                "add `{missing}: …`, or leave all three out to have them inferred from what both \
                 ends import and export"
            )),
        );
        return Selection::default();
    }
    Selection {
        namespace,
        package,
        interfaces,
        pairs,
    }
}

/// Interfaces by their names, if there are any, and pairs of names.
type Interfaces = (Option<Vec<Spanned<String>>>, Vec<NamePair>);

fn read_interfaces(out: &mut Diagnostics, fields: &Fields<'_>) -> Option<Interfaces> {
    let node = fields.get("interfaces")?;
    let items = fields.list(out, "interfaces")?;
    if items.is_empty() {
        out.push(
            Diagnostic::error(codes::INCOMPLETE_SELECTION, "`interfaces` is empty")
                .at(Some(node.span), "a link for nothing")
                .with_help("name an interface, or leave `interfaces` out to have them inferred"),
        );
        return None;
    }
    let (mut interfaces, mut pairs) = (Vec::new(), Vec::new());
    for item in items {
        if matches!(item.value, Value::Map(_)) {
            pairs.extend(read_pair(out, item));
            continue;
        }
        let Some(found) = text(out, "an entry of `interfaces`", item) else {
            continue;
        };
        let found = plain(found);
        check_interface(out, &found.value, item.span);
        interfaces.push(found);
    }
    // An unreadable entry was reported, and is not to be inferred.
    let named = !interfaces.is_empty() || pairs.is_empty();
    Some((named.then_some(interfaces), pairs))
}

/// An entry of `interfaces` that names an import and the export of another name that serves it.
fn read_pair(out: &mut Diagnostics, node: &Node) -> Option<NamePair> {
    let fields = Fields::of(out, &shapes::NAME_PAIR, node)?;
    let (import, export) = (
        fields.required_text(out, "import"),
        fields.required_text(out, "export"),
    );
    Some(NamePair {
        import: import.map(plain)?,
        export: export.map(plain)?,
    })
}

/// A name as it is meant: what WIT takes for a word of its own may be written `%list`, as there.
fn plain(written: Spanned<String>) -> Spanned<String> {
    Spanned {
        value: unescaped(&written.value),
        ..written
    }
}

fn check_word(out: &mut Diagnostics, field: &str, example: &str, found: &Spanned<String>) {
    if is_kebab(&found.value) {
        return;
    }
    let value = &found.value;
    let problem = Diagnostic::error(
        codes::BAD_WIT_NAME,
        format!("`{field}` cannot be `{}`", shorten(value)),
    )
    .at(found.span, "not a name in kebab-case");
    out.push(match (value.split_once(':'), value.split_once('@')) {
        (Some((namespace, package)), _) => problem.with_help(format!(
            "write `namespace: {namespace}` and `package: {package}`"
        )),
        (None, Some((name, version))) => problem.with_help(format!(
            "write `{field}: {name}`; a version goes with an interface: `interfaces: [name@{version}]`"
        )),
        (None, None) => problem.with_help(format!("write it like `{example}`")),
    });
}

/// An entry of `interfaces`: a name, with or without a version.
fn check_interface(out: &mut Diagnostics, text: &str, span: Span) {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    let why = if !is_kebab(name) {
        "it is not a name in kebab-case".into()
    } else if let Err(error) = format!("namespace:package/{text}").parse::<InterfaceName>() {
        error.why.to_string()
    } else {
        return;
    };
    let problem = Diagnostic::error(
        codes::BAD_WIT_NAME,
        format!("`interfaces` cannot have `{}`: {why}", shorten(text)),
    )
    .at(Some(span), "not an interface");
    out.push(match text.rsplit_once('/') {
        Some((_, interface)) => problem.with_help(format!(
            "write `{interface}` alone; what comes before it goes into `namespace` and `package`"
        )),
        None => problem.with_help("write it like `store` or `store@0.2.0`"),
    });
}
