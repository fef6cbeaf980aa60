//! Links whose `name` or `interfaces` do not fit their ends.

use withe_wit::Extern;

use crate::Span;
use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::Link;
use crate::matching::{describe, other_versions, version_mismatch};
use crate::parts::{PartId, Parts};
use crate::selector::{BadSelector, Selector};
use crate::wording::{closest, list};

pub(crate) const NOT_IMPORTED: CodeInfo = CodeInfo {
    code: Code("W0204"),
    title: "a link lists an interface that is not imported",
    explanation: "\
The link lists more interfaces than its source imports. The link is made for those that are imported; the others \
make no difference. A component imports only what its code uses: an interface in its WIT that is never \
called is not in the binary.",
};

pub(crate) const NOTHING_IMPORTED: CodeInfo = CodeInfo {
    code: Code("W0205"),
    title: "a link for interfaces that are not imported",
    explanation: "\
The source imports none of the interfaces that the link lists, so the link would do nothing. Either they \
are misspelt, or the component does not use them (an interface in its WIT that is never called is not in \
the binary). `withe inspect` shows what a component imports.",
};

pub(crate) const NOT_EXPORTED: CodeInfo = CodeInfo {
    code: Code("W0206"),
    title: "the target does not export the interface",
    explanation: "\
The link is for an interface that the source imports, but its target does not export it, or exports a \
version that is not compatible. Only what the target exports from its world counts. `withe inspect` shows \
what a component exports.",
};

pub(crate) const UNKNOWN_NAME: CodeInfo = CodeInfo {
    code: Code("W0207"),
    title: "a link name that means nothing to its source",
    explanation: "\
A link's `name` is the label of an import (`import cache: wasi:keyvalue/store;` is linked by `name: \
cache`), or a name that the component chooses with `set-link-name` of `wasmcloud:bus/lattice`. The source \
has no import of this label and does not import `wasmcloud:bus/lattice`, so it could never use the link. \
Leave `name` out.",
};

pub(crate) const MALFORMED: CodeInfo = CodeInfo {
    code: Code("W0212"),
    title: "not an interface name",
    explanation: "\
An entry of a link's `interfaces` is an interface's name, with a version if need be: `store` or \
`store@0.2.0`. Namespace and package stand in fields of their own.",
};

/// Some of a link's interfaces are not imported; no report if `unmatched` is empty.
pub(crate) fn not_imported(
    parts: &Parts<'_>,
    source: PartId,
    link: &Link,
    unmatched: &[&Selector<'_>],
) -> Option<Diagnostic> {
    let first = unmatched.first()?;
    let from = parts.name(source);
    let what = list(unmatched.iter().map(|s| s.describe()));
    let message = format!(
        "`{from}` does not import {what}: the link to `{}` is made without",
        link.target.value
    );
    Some(
        Diagnostic::warning(NOT_IMPORTED.code, message)
            .at(first.written.span.or(link.span), "not imported"),
    )
}

pub(crate) fn nothing_imported(
    parts: &Parts<'_>,
    source: PartId,
    link: &Link,
    unmatched: &[&Selector<'_>],
) -> Diagnostic {
    let from = parts.name(source);
    let what = list(unmatched.iter().map(|s| s.describe()));
    let message = format!(
        "the link from `{from}` to `{}` is for {what}, which `{from}` does not import",
        link.target.value
    );
    let place = unmatched.first().and_then(|s| s.written.span).or(link.span);
    let imports: Vec<&Extern> = parts
        .world(source)
        .map(|w| w.imports.iter().collect())
        .unwrap_or_default();
    let label = link
        .name
        .as_ref()
        .and_then(|name| imports.iter().find(|i| i.name == name.value));
    let mut diagnostic =
        Diagnostic::error(NOTHING_IMPORTED.code, message).at(place, "not imported");
    if let Some(label) = label {
        return diagnostic.with_note(format!(
            "what `{from}` imports as `{}` is `{}`",
            label.name,
            describe(label)
        ));
    }
    for selector in unmatched {
        let interfaces = imports.iter().filter_map(|i| i.interface_name());
        let versions: Vec<String> = interfaces
            .clone()
            .filter(|n| n.interface == selector.interface)
            .map(ToString::to_string)
            .collect();
        let near = closest(selector.interface, interfaces.map(|n| n.interface.as_str()));
        match near {
            _ if !versions.is_empty() => {
                diagnostic = diagnostic.with_note(format!("`{from}` imports {}", list(versions)));
            }
            Some(near) => diagnostic = diagnostic.with_help(format!("did you mean `{near}`?")),
            None => {}
        }
    }
    if diagnostic.notes.is_empty() && diagnostic.help.is_none() {
        diagnostic = diagnostic.with_note(format!(
            "`{from}` imports {}",
            list(imports.iter().map(|i| describe(i)))
        ));
    }
    diagnostic
}

pub(crate) fn not_exported(
    parts: &Parts<'_>,
    source: PartId,
    link: &Link,
    at: Option<Span>,
    import: &Extern,
) -> Diagnostic {
    let (from, to) = (parts.name(source), &link.target.value);
    let what = describe(import);
    let message =
        format!("`{from}` is linked to `{to}` for `{what}`, which `{to}` does not export");
    let mut diagnostic = Diagnostic::error(NOT_EXPORTED.code, message)
        .at(at.or(link.target.span), "not exported by the target");
    let Some(world) = parts.find(to).and_then(|t| parts.world(t)) else {
        return diagnostic;
    };
    if let Some(name) = import.interface_name() {
        for export in other_versions(import, world) {
            diagnostic = diagnostic.with_note(format!(
                "found: `{to}` exports `{export}`; {}",
                version_mismatch(name, export)
            ));
        }
    }
    if diagnostic.notes.is_empty() {
        diagnostic = diagnostic.with_note(format!(
            "`{to}` exports {}",
            list(world.exports.iter().map(describe))
        ));
    }
    diagnostic
}

pub(crate) fn unknown_name(parts: &Parts<'_>, source: PartId, link: &Link) -> Diagnostic {
    let from = parts.name(source);
    let name = link.name.as_ref().map_or("", |n| n.value.as_str());
    let message = format!("`{from}` cannot use a link named `{name}`");
    let place = link.name.as_ref().and_then(|n| n.span).or(link.span);
    let diagnostic = Diagnostic::error(UNKNOWN_NAME.code, message)
        .at(place, "not the label of an import")
        .with_note(format!(
            "`{from}` has no import labelled `{name}`, and does not import `wasmcloud:bus/lattice`, with which it could \
             choose a link by name"
        ));
    let labels: Vec<&str> = parts
        .world(source)
        .into_iter()
        .flat_map(|w| &w.imports)
        .filter(|i| i.is_label())
        .map(|i| i.name.as_str())
        .collect();
    match closest(name, labels.iter().copied()) {
        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
        None if labels.is_empty() => diagnostic.with_help("leave `name` out"),
        None => diagnostic.with_help(format!("its labels are {}", list(labels))),
    }
}

/// One report for each entry.
pub(crate) fn malformed<'a>(bad: &'a [BadSelector<'a>]) -> impl Iterator<Item = Diagnostic> + 'a {
    let report = |bad: &BadSelector<'_>| {
        Diagnostic::error(
            MALFORMED.code,
            format!(
                "`{}` is not an interface's name: {}",
                bad.written.value, bad.why
            ),
        )
        .at(bad.written.span, "")
        .with_help(
            "write the interface's own name, and a version if need be: `store` or `store@0.2.0`",
        )
    };
    bad.iter().map(report)
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package kv:kv@1.0.0 { interface store { get: func(); } interface batch { all: func(); } }
        package kv:kv@2.0.0 { interface store { get: func(); } }
        world cart { import kv:kv/store@1.0.0; }
        world labels { import cache: kv:kv/store@1.0.0; import cold: kv:kv/batch@1.0.0; }
        world redis { export kv:kv/store@1.0.0; export kv:kv/batch@1.0.0; }
        world newer { export kv:kv/store@2.0.0; }
    ";

    fn cart(settings: &[&str]) -> App {
        App::new(WIT)
            .component("cart")
            .called("cart")
            .link("redis", settings)
            .component("redis")
    }

    #[test]
    fn some_interfaces_are_not_imported() {
        let app = cart(&["for: kv:kv", "interfaces: batch, store"]);
        insta::assert_snapshot!(format!("{}{}", app.problems(), app.links()));
    }

    #[test]
    fn no_interface_is_imported() {
        let app = cart(&["for: kv:kv", "interfaces: stor"])
            .instance_of("cart", "b")
            .link("redis", &["for: kv:kv", "interfaces: batch"])
            .instance_of("cart", "c")
            .link("redis", &["for: kv:kv", "interfaces: store@2.0.0"])
            .instance_of("labels", "d")
            .link("redis", &["name: cold", "for: kv:kv", "interfaces: store"]);
        let app = app.host(&["kv:kv/store@1.0.0", "kv:kv/batch@1.0.0"]);
        insta::assert_snapshot!(app.called("b").called("c").called("d").problems());
    }

    #[test]
    fn the_target_does_not_export_it() {
        let app = App::new(WIT)
            .component("cart")
            .link("newer", &["for: kv:kv", "interfaces: store"])
            .component("labels")
            .link("newer", &["name: cold"])
            .link("newer", &["name: cache"])
            .component("newer");
        insta::assert_snapshot!(app.called("cart").called("labels").problems());
    }

    #[test]
    fn names_that_mean_nothing() {
        let app = cart(&["name: fast"])
            .component("labels")
            .link("redis", &["name: cach"])
            .link("redis", &["name: zzz"]);
        insta::assert_snapshot!(app.called("labels").problems());
    }

    #[test]
    fn malformed_interfaces() {
        insta::assert_snapshot!(
            cart(&["for: kv:kv", "interfaces: store@1, kv:kv/store, store"]).problems()
        );
    }

    #[test]
    fn a_version_selects_compatible_imports() {
        let app = cart(&["for: kv:kv", "interfaces: store@1.3.0"]);
        assert_eq!(app.problems(), "");
        assert_eq!(
            app.plan().links[0].interfaces[0].import,
            "kv:kv/store@1.0.0"
        );
    }
}
