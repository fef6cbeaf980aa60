//! Links that cannot be bound as asked, or not at all.

use crate::Span;
use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::{BindingChoice, Scope};
use crate::parts::{PartId, Parts};
use crate::problems::way_out::way_out;
use crate::problems::written::{binding_name, scope_name};
use crate::resolved::ResolvedLink;

pub(crate) const SPREAD: CodeInfo = CodeInfo {
    code: Code("W0401"),
    title: "spread reduced to one host",
    explanation: "\
The manifest spreads a component over several hosts by their labels. There is one host here, so all of it \
runs on this one, whatever its labels.",
};

pub(crate) const NO_BROKER: CodeInfo = CodeInfo {
    code: Code("W0402"),
    title: "a binding that needs a broker",
    explanation: "\
The binding `nats` carries calls by way of a NATS server, where hosts meet that cannot reach each other. The \
application runs on one host without a lattice here. Leave `binding` out to get the cheapest one that is \
correct, use `tcp` or `unix` to have the target served by another process on this machine, or give the \
lattice with `--lattice nats://…`.",
};

pub(crate) const PINNED: CodeInfo = CodeInfo {
    code: Code("W0403"),
    title: "a pinned binding that does not fit",
    explanation: "\
The manifest or the command line asks for a binding that cannot carry this link; the message says why. \
Leave it out to get the cheapest binding that is correct, or remove what stands in the way.",
};

pub(crate) const NONE: CodeInfo = CodeInfo {
    code: Code("W0404"),
    title: "no binding can carry the link",
    explanation: "\
Each binding that could join the two ends has something it cannot do, which the notes name.

Handles to resources are known to the link that they came over, and so to one instance of its target. No \
binding carries a resource that came over another link: let one link carry all interfaces that share \
resources. Traits of one component to one target, with one name, are one link.

Links that are fused into one component carry all other types, but only with the scope `caller`, without a \
timeout and limits of their own. Links through the host or over a Unix socket carry all but error contexts, \
and with the scope `call` no resources and no streams and futures in results. Providers pass no resources to \
the components that they call. HTTP requests are carried by all of them, each to an instance of its own, so that \
none is shared; one link carries requests that its target answers, or that it sends on, and not both.

Components that pass each other resources in more ways than links can express are composed when the \
application is built: `compose:` lists them in place of `image`, and makes one component of them.",
};

pub(crate) const PROVIDER_SCOPE: CodeInfo = CodeInfo {
    code: Code("W0405"),
    title: "a scope on a link to a provider",
    explanation: "\
A link's scope says how long the instance lives that a component gets of the component it is linked to. A \
provider has no instances: it runs as long as the host, and all its callers share it. Leave `scope` out.",
};

pub(crate) const SHARED_CYCLE: CodeInfo = CodeInfo {
    code: Code("W0406"),
    title: "a cycle through a shared instance",
    explanation: "\
A component with `scope: shared` has one instance that serves one call after the other. Here a call to it \
can lead back to it by way of other links: the instance would wait for itself for ever. Break the cycle, \
or use another scope, with which each chain of calls gets instances of its own.",
};

pub(crate) const FUSED_CYCLE: CodeInfo = CodeInfo {
    code: Code("W0407"),
    title: "a cycle of fused links",
    explanation: "\
Fusing puts an instance of the target inside every instance of the source. A cycle of fused links would be \
an instance inside itself. Let one of the links be `local`, or leave `binding` out.",
};

pub(crate) fn spread(parts: &Parts<'_>, part: PartId, span: Option<Span>) -> Diagnostic {
    let name = parts.name(part);
    Diagnostic::note(
        SPREAD.code,
        format!("`{name}` is spread over hosts by their labels; all of it runs on this one"),
    )
    .at(span, "reduced to one host")
}

/// Which link, for the middle of a message: ``the link from `a` to `b` ``.
fn link_text(parts: &Parts<'_>, link: &ResolvedLink<'_>) -> String {
    let named = if link.name == "default" {
        String::new()
    } else {
        format!(" named `{}`", link.name)
    };
    format!(
        "the link from `{}` to `{}`{named}",
        parts.name(link.source),
        parts.name(link.target)
    )
}

fn link_place(link: &ResolvedLink<'_>) -> Option<Span> {
    let declared = link.traits[0];
    declared.target.span.or(declared.span)
}

fn binding_place(link: &ResolvedLink<'_>) -> Option<Span> {
    link.traits
        .iter()
        .find_map(|l| l.binding.as_ref())
        .and_then(|b| b.span)
        .or_else(|| link_place(link))
}

pub(crate) fn no_broker(parts: &Parts<'_>, link: &ResolvedLink<'_>) -> Diagnostic {
    let message = format!(
        "{} cannot be bound by `nats`: this host is not on a lattice that NATS carries",
        link_text(parts, link)
    );
    Diagnostic::error(NO_BROKER.code, message)
        .at(binding_place(link), "needs a broker")
        .with_help(
            "leave `binding` out, or give the lattice with `--lattice nats://127.0.0.1:4222`",
        )
}

pub(crate) fn pinned(
    parts: &Parts<'_>,
    link: &ResolvedLink<'_>,
    binding: BindingChoice,
    reason: &str,
) -> Diagnostic {
    let name = binding_name(binding);
    Diagnostic::error(
        PINNED.code,
        format!("{} cannot be `{name}`: {reason}", link_text(parts, link)),
    )
    .at(binding_place(link), "does not fit")
    .with_help(if link.traits.iter().any(|l| l.binding.is_some()) {
        "leave `binding` out to get the cheapest one that is correct"
    } else {
        "leave `--binding` out to get the cheapest one that is correct"
    })
}

pub(crate) fn none(
    parts: &Parts<'_>,
    link: &ResolvedLink<'_>,
    reasons: &[(&str, &str)],
) -> Diagnostic {
    let message = format!("no binding can carry {}", link_text(parts, link));
    let report = Diagnostic::error(NONE.code, message).at(link_place(link), "cannot be bound");
    let report = reasons.iter().fold(report, |report, (binding, why)| {
        report.with_note(format!("not `{binding}`: {why}"))
    });
    match way_out(parts, link) {
        Some(help) => report.with_help(help),
        None => report,
    }
}

pub(crate) fn provider_scope(
    parts: &Parts<'_>,
    link: &ResolvedLink<'_>,
    scope: Scope,
) -> Diagnostic {
    let span = link
        .traits
        .iter()
        .find_map(|l| l.scope.as_ref())
        .and_then(|s| s.span);
    let target = parts.name(link.target);
    let message = format!(
        "{} cannot have the scope `{}`: `{target}` is a provider, which is always shared",
        link_text(parts, link),
        scope_name(scope)
    );
    Diagnostic::error(PROVIDER_SCOPE.code, message)
        .at(span.or_else(|| link_place(link)), "not for a provider")
        .with_help("leave `scope` out")
}

/// `path` goes from the link's target back to its target, if it was looked for.
pub(crate) fn shared_cycle(
    parts: &Parts<'_>,
    link: &ResolvedLink<'_>,
    path: Option<&[PartId]>,
) -> Diagnostic {
    let target = parts.name(link.target);
    let calls = match path {
        Some(path) => format!("calls go {}", way(parts, path)),
        None => format!("calls lead back to `{}`", parts.name(link.source)),
    };
    let message = format!("the shared instance of `{target}` would wait for itself: {calls}");
    let span = link
        .traits
        .iter()
        .find_map(|l| l.scope.as_ref())
        .and_then(|s| s.span);
    Diagnostic::error(SHARED_CYCLE.code, message)
        .at(span.or_else(|| link_place(link)), "shared")
        .with_help("use the scope `caller` or `call` here, or break the cycle")
}

/// `path` goes from the link's source back to its source, all of it over links pinned `fused`.
pub(crate) fn fused_cycle(
    parts: &Parts<'_>,
    link: &ResolvedLink<'_>,
    path: &[PartId],
) -> Diagnostic {
    let source = parts.name(link.source);
    let message = format!(
        "fusing would put `{source}` inside itself: {}",
        way(parts, path)
    );
    Diagnostic::error(FUSED_CYCLE.code, message)
        .at(binding_place(link), "closes the cycle")
        .with_help("let one of these links be `local`\nbinding: local")
}

/// `` `a` -> `b` -> `a` ``; the middle of a long way is left out.
pub(crate) fn way(parts: &Parts<'_>, path: &[PartId]) -> String {
    const ENDS: usize = 4;
    let name = |part: &PartId| format!("`{}`", parts.name(*part));
    let names = |path: &[PartId]| path.iter().map(name).collect::<Vec<_>>().join(" -> ");
    match path.len().checked_sub(2 * ENDS) {
        Some(middle @ 2..) => {
            let (first, last) = (&path[..ENDS], &path[path.len() - ENDS..]);
            format!("{} -> … {middle} more … -> {}", names(first), names(last))
        }
        _ => names(path),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::input::{ScalerKind, Scaling, Spread, Surroundings};
    use crate::testing::App;

    const WIT: &str = "
        package a:b {
            interface x { f: func(); }
            interface y { f: func(); }
            interface flow { read: func() -> stream<u8>; write: func(data: future<u8>); }
            interface errors { last: func() -> error-context; }
            interface res { resource r; }
            interface uses { use res.{r}; take: func(r: r); }
        }
        package wasi:http@0.3.0 { interface client { send: func(a: stream<u8>) -> future; } }
        world a { import a:b/x; export a:b/y; }
        world b { export a:b/x; import a:b/y; }
        world reads { import a:b/flow; }
        world flows { export a:b/flow; }
        world asks { import a:b/errors; }
        world errs { export a:b/errors; }
        world gives { import a:b/res; import a:b/uses; }
        world takes { import a:b/res; export a:b/uses; }
        world both { export a:b/res; export a:b/uses; }
        world calling { import wasi:http/client@0.3.0; }
        world http-client { export wasi:http/client@0.3.0; }
    ";

    #[test]
    fn a_spread_is_reduced_to_one_host() {
        let spread = |zone: &str| Spread {
            name: None,
            requirements: BTreeMap::from([("zone".into(), zone.into())]),
            weight: None,
        };
        let app = App::new(WIT).component("flows").called("flows").edit(|c| {
            c.scaling = Some(Scaling {
                span: c.name.span,
                kind: ScalerKind::Spread,
                instances: Some(crate::input::Spanned::unplaced(4)),
                spread: vec![spread("east"), spread("west")],
            });
        });
        insta::assert_snapshot!(app.problems());
        assert_eq!(app.plan().components[0].instances, Some(4));
    }

    #[test]
    fn a_host_that_is_alone_has_no_broker() {
        let mut app = App::new(WIT)
            .component("a")
            .called("a")
            .link("b", &["binding: nats"])
            .component("b")
            .link("a", &["binding: tcp"]);
        assert_eq!(app.problems(), "");
        app.inputs.placement.surroundings = Surroundings::Alone;
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn pins_that_do_not_fit() {
        let app = App::new(WIT)
            .component("a")
            .link("b", &["binding: fused", "scope: call"])
            .component("b")
            .link("a", &["binding: host"])
            .component("asks")
            .link("errs", &["binding: local"])
            .component("errs")
            .component("calling")
            .link("http-client", &["binding: fused"])
            .provider("http-client");
        insta::assert_snapshot!(app.called("asks").called("calling").problems());
    }

    #[test]
    fn nothing_can_carry_it() {
        let app = App::new(WIT)
            .component("reads")
            .link("flows", &["scope: call"])
            .instance_of("reads", "reads-2")
            .link("flowing", &[])
            .component("flows")
            .component("asks")
            .link("errs", &["scope: shared"])
            .component("errs")
            .component("gives")
            .link("takes", &[])
            .link("both", &["for: a:b", "interfaces: res"])
            .component("takes")
            .link("both", &[])
            .component("both");
        let app = app
            .wit(&WIT.replace("world flows", "world flowing"))
            .provider("flowing");
        insta::assert_snapshot!(
            app.called("reads")
                .called("reads-2")
                .called("asks")
                .called("gives")
                .problems()
        );
    }

    #[test]
    fn a_scope_on_a_provider() {
        let app = App::new(WIT)
            .component("calling")
            .link("http-client", &["scope: shared"])
            .provider("http-client");
        insta::assert_snapshot!(app.called("calling").problems());
    }

    #[test]
    fn cycles_through_a_shared_instance() {
        let app = App::new(WIT)
            .component("a")
            .link("b", &["scope: shared"])
            .component("b")
            .link("a", &[]);
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn cycles_of_fused_links() {
        let app = App::new(WIT)
            .component("a")
            .link("b", &["binding: fused"])
            .component("b")
            .link("a", &["binding: fused"]);
        insta::assert_snapshot!(app.problems());
    }
}
