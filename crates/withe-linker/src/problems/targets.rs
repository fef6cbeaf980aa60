//! Links whose ends cannot be joined, whatever they carry.

use withe_wit::Extern;

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::Link;
use crate::matching::describe;
use crate::parts::{PartId, Parts};
use crate::wording::{list, list_of};

pub(crate) const UNKNOWN: CodeInfo = CodeInfo {
    code: Code("W0102"),
    title: "link to an unknown component",
    explanation: "\
A link's target is the `name` of another entry of `spec.components` in the same manifest, and there is \
none of this name. Most often it is misspelt, or the component was renamed or removed.",
};

pub(crate) const DUPLICATE_ID: CodeInfo = CodeInfo {
    code: Code("W0103"),
    title: "two components with one id",
    explanation: "\
Every component has an id on the lattice: `properties.id`, or else one made from the names of the \
application and the component, in lower case and with `_` for everything but letters and digits. Two \
components of this application end up with the same one. Rename one, or give it an `id` of its own.",
};

pub(crate) const BETWEEN_PROVIDERS: CodeInfo = CodeInfo {
    code: Code("W0210"),
    title: "link between two providers",
    explanation: "\
A link joins a component's import to an export, or a provider to the component it calls. Two providers \
cannot be linked: put a component between them. Only what others run on a lattice of wasmCloud v1 (`image: lattice:ID`) \
may be a component, and providers are linked to that.",
};

pub(crate) const NOT_CALLED: CodeInfo = CodeInfo {
    code: Code("W0211"),
    title: "the target exports nothing that the provider calls",
    explanation: "\
A link that starts at a provider makes the provider call the target: an HTTP server calls a component's \
`wasi:http/incoming-handler@0.2` or `wasi:http/handler@0.3`, a timer its `wasmcloud:cron/scheduler`. The link \
takes all interfaces that the provider calls and the target exports, and of HTTP handlers the first. The target has \
to export one of them; if the link lists `interfaces`, one of those.",
};

pub(crate) fn unknown(parts: &Parts<'_>, source: PartId, link: &Link) -> Diagnostic {
    let (name, target) = (parts.name(source), &link.target.value);
    let message = format!("`{name}` is linked to `{target}`, but there is no component `{target}`");
    let diagnostic = Diagnostic::error(UNKNOWN.code, message)
        .at(link.target.span.or(link.span), "no component has this name");
    let others = || {
        let others = parts.ids().filter(|part| *part != source);
        others.map(|part| parts.name(part))
    };
    match parts.suggestions.closest(target, others()) {
        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
        None => diagnostic.with_note(match parts.count() {
            0 | 1 => "there is no other component".to_owned(),
            2 => format!("the only other component is {}", list(others())),
            all => format!("the other components are {}", list_of(all - 1, others())),
        }),
    }
}

pub(crate) fn duplicate_id(
    parts: &Parts<'_>,
    first: PartId,
    second: PartId,
    id: &str,
) -> Diagnostic {
    let (a, b) = (parts.name(first), parts.name(second));
    Diagnostic::error(
        DUPLICATE_ID.code,
        format!("`{a}` and `{b}` both get the id `{id}`"),
    )
    .at(parts.declared(second).name.span, "gets the same id")
    .also(
        parts.declared(first).name.span,
        format!("gets the id `{id}`"),
    )
    .with_help(format!(
        "give one an id of its own, under `properties` of `{b}`\nid: {id}_2"
    ))
}

pub(crate) fn between_providers(
    parts: &Parts<'_>,
    source: PartId,
    target: PartId,
    link: &Link,
) -> Diagnostic {
    let (source, target) = (parts.name(source), parts.name(target));
    let message =
        format!("`{source}` and `{target}` are both providers, and cannot be linked to each other");
    Diagnostic::error(BETWEEN_PROVIDERS.code, message)
        .at(link.target.span.or(link.span), "a provider as well")
        .with_help(format!(
            "link `{source}` to a component, and that component to `{target}`"
        ))
}

/// `instead` is the export that the provider would call if the link did not say otherwise.
pub(crate) fn not_called(
    parts: &Parts<'_>,
    source: PartId,
    target: PartId,
    link: &Link,
    instead: Option<&Extern>,
) -> Diagnostic {
    let (name, callee) = (parts.name(source), parts.name(target));
    let calls = |what: &str| format!("`{name}` calls {what}");
    let needs = parts
        .world(source)
        .map(|w| list(parts.linkable(&w.imports).map(describe)))
        .unwrap_or_default();
    let exports = parts
        .world(target)
        .map(|w| list(w.exports.iter().map(describe)))
        .unwrap_or_default();
    let asked = link.interfaces.as_deref().and_then(<[_]>::first);
    let diagnostic = match (asked, instead) {
        (Some(asked), Some(_)) => {
            let message = format!(
                "`{name}` is linked to `{callee}` for `{}`, which `{callee}` does not export",
                asked.value
            );
            Diagnostic::error(NOT_CALLED.code, message)
                .at(asked.span.or(link.span), "not exported by the target")
        }
        _ => {
            let message = format!(
                "`{name}` is linked to `{callee}`, which exports nothing that `{name}` calls"
            );
            Diagnostic::error(NOT_CALLED.code, message)
                .at(link.target.span.or(link.span), "has nothing to call")
        }
    };
    let diagnostic = diagnostic
        .with_note(format!("{}, whichever there is", calls(&needs)))
        .with_note(format!("`{callee}` exports {exports}"));
    match instead.and_then(Extern::interface_name) {
        Some(instead) => diagnostic.with_help(format!(
            "`{callee}` exports `{instead}` instead: leave `interfaces` out, or write\ninterfaces: [{}]",
            instead.interface
        )),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package wasi:http@0.2.3 { interface incoming-handler { handle: func(); } }
        package wasi:http@0.3.0 { interface handler { handle: func(); } }
        package a:b { interface x { f: func(); } }
        world http-server { import wasi:http/incoming-handler@0.2.3; import wasi:http/handler@0.3.0; }
        world keyvalue { export a:b/x; }
        world cart { import a:b/x; }
        world old { export wasi:http/incoming-handler@0.2.3; }
        world new { export wasi:http/handler@0.3.0; }
        world both { export wasi:http/handler@0.3.0; export wasi:http/incoming-handler@0.2.3; }
        world none { export a:b/x; }
    ";

    #[test]
    fn unknown_targets() {
        let app = App::new(WIT)
            .component("cart")
            .link("keyvalu", &[])
            .link("redis", &[])
            .link("other", &["name: x"]);
        insta::assert_snapshot!(app.provider("keyvalue").called("cart").problems());
    }

    #[test]
    fn duplicate_ids() {
        let app = App::new(WIT)
            .instance_of("none", "a-b")
            .instance_of("none", "a_b")
            .called("a-b")
            .called("a_b");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn links_between_providers() {
        let app = App::new(WIT)
            .provider("http-server")
            .link("keyvalue", &[])
            .provider("keyvalue");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn targets_that_a_provider_cannot_call() {
        let handler = ["for: wasi:http", "interfaces: incoming-handler"];
        let app = App::new(WIT)
            .provider("http-server")
            .link("none", &[])
            .link("new", &handler)
            .link("none", &handler);
        insta::assert_snapshot!(app.component("none").component("new").problems());
    }

    #[test]
    fn a_provider_takes_the_first_that_its_target_exports() {
        let old = ["for: wasi:http", "interfaces: incoming-handler"];
        let app = App::new(WIT)
            .provider("http-server")
            .link("old", &old)
            .link("new", &[])
            .link("both", &[]);
        let app = app.component("old").component("new").component("both");
        insta::assert_snapshot!(app.links());
    }
}
