//! Links that satisfy nothing, or what another one satisfies.

use withe_wit::{Extern, InterfaceName, World};

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::Link;
use crate::matching::{describe, find_export, other_versions, version_mismatch};
use crate::parts::{PartId, Parts};
use crate::problems::written::selector;
use crate::resolved::ResolvedLink;
use crate::wording::list;

pub(crate) const SATISFIES_NOTHING: CodeInfo = CodeInfo {
    code: Code("W0201"),
    title: "a link that satisfies nothing",
    explanation: "\
A link that names only its target is for everything that the source imports, the target exports, and no \
other link takes. Here that is nothing: the source does not import what the target exports, or imports \
another version of it, or another link has it already.",
};

pub(crate) const AMBIGUOUS: CodeInfo = CodeInfo {
    code: Code("W0202"),
    title: "an import that several links could satisfy",
    explanation: "\
Several links of one component name only their targets, and more than one of these targets exports what \
the component imports. Which is meant has to be said on one of the links:

```yaml
- type: link
  properties:
    target:
      name: redis
    namespace: wasi
    package: keyvalue
    interfaces: [store]
```

To use both at once, import the interface twice under labels of its own (`import cache: store;` in WIT) \
and give each link the label as its `name`.",
};

pub(crate) const LINKED_TWICE: CodeInfo = CodeInfo {
    code: Code("W0203"),
    title: "an import that is linked twice",
    explanation: "\
Two links of one component are for the same import under the same name, so that it is open which of them \
a call should take. Remove the interface from one of them. To use both targets at once, import the \
interface twice under labels, and give each link the label as its `name`.",
};

pub(crate) const NO_DEFAULT: CodeInfo = CodeInfo {
    code: Code("W0208"),
    title: "no default link",
    explanation: "\
The component chooses among its links by name while it runs (`wasmcloud:bus/lattice`), and all its links \
for this import have names. A call made before it chose a name takes the link `default`, which does not \
exist: the call will fail. Add a link without `name` unless the component always chooses first.",
};

pub(crate) const SEVERAL_LABELS: CodeInfo = CodeInfo {
    code: Code("W0209"),
    title: "a link without the name of a label",
    explanation: "\
The component imports the interface several times, each time under a label (`import cache: store;`), and \
a link says with its `name` which of them it is for. A link without `name` is enough only where there is \
a single label left.",
};

pub(crate) const SETTINGS_CLASH: CodeInfo = CodeInfo {
    code: Code("W0213"),
    title: "one link with two settings",
    explanation: "\
Link traits with the same source, target and name are one link, whatever interfaces they list, and one \
link has one binding, scope, timeout, locality and idempotence. Say it once, or the same in both traits, \
or give one of them a name of its own.",
};

pub(crate) fn satisfies_nothing(
    parts: &Parts<'_>,
    source: PartId,
    link: &Link,
    target: PartId,
) -> Diagnostic {
    let (from, to) = (parts.name(source), parts.name(target));
    let message = format!("the link from `{from}` to `{to}` satisfies none of `{from}`'s imports");
    let mut diagnostic = Diagnostic::error(SATISFIES_NOTHING.code, message)
        .at(link.target.span.or(link.span), "nothing to link here");
    let (Some(importer), Some(exporter)) = (parts.world(source), parts.world(target)) else {
        return diagnostic;
    };
    for import in &importer.imports {
        if let Some(name) = import.interface_name() {
            for export in other_versions(import, exporter) {
                let why = version_mismatch(name, export);
                diagnostic = diagnostic.with_note(format!(
                    "`{from}` imports `{name}`, `{to}` exports `{export}`; {why}"
                ));
            }
        }
        if !import.is_types_only() && find_export(import, exporter).is_some() {
            diagnostic = diagnostic.with_note(format!(
                "another link of `{from}` takes `{}` already",
                describe(import)
            ));
        }
    }
    let imports = list(parts.linkable(&importer.imports).map(describe));
    diagnostic
        .with_note(format!("`{from}` imports {imports}"))
        .with_note(format!(
            "`{to}` exports {}",
            list(exporter.exports.iter().map(describe))
        ))
}

pub(crate) fn ambiguous(
    parts: &Parts<'_>,
    source: PartId,
    world: &World,
    links: &[&Link],
    imports: &[&Extern],
) -> Diagnostic {
    let from = parts.name(source);
    let what = list(imports.iter().map(|i| describe(i)));
    let targets = list(links.iter().map(|l| &l.target.value));
    let message = format!("`{from}` imports {what}, which {targets} all export");
    let message = if links.len() == 2 {
        message.replace(" all export", " both export")
    } else {
        message
    };
    let mut diagnostic =
        Diagnostic::error(AMBIGUOUS.code, message).at(place(links[0]), "could be for it");
    for link in &links[1..] {
        diagnostic = diagnostic.also(place(link), "could be for it as well");
    }
    match interfaces(world, imports) {
        _ if !parts.has_manifest() => diagnostic.with_help("leave one of them out"),
        Some(lines) => diagnostic.with_help(format!(
            "say which one is meant, on the link to it\n{lines}"
        )),
        None => diagnostic.with_help("remove one of the links"),
    }
}

/// The lines of a link trait that name these imports, if they are interfaces of one package.
fn interfaces(world: &World, imports: &[&Extern]) -> Option<String> {
    let names: Option<Vec<&InterfaceName>> = imports.iter().map(|i| i.interface_name()).collect();
    let names = names?;
    let first = names.first()?;
    if !names
        .iter()
        .all(|n| (&n.namespace, &n.package) == (&first.namespace, &first.package))
    {
        return None;
    }
    let list: Vec<String> = names.iter().map(|name| selector(world, name)).collect();
    let (namespace, package) = (&first.namespace, &first.package);
    Some(format!(
        "namespace: {namespace}\npackage: {package}\ninterfaces: [{}]",
        list.join(", ")
    ))
}

pub(crate) fn linked_twice(
    parts: &Parts<'_>,
    source: PartId,
    import: &Extern,
    first: &ResolvedLink<'_>,
    second: &ResolvedLink<'_>,
) -> Diagnostic {
    let from = parts.name(source);
    let what = describe(import);
    let (a, b) = (parts.name(first.target), parts.name(second.target));
    let message = if first.target == second.target {
        format!(
            "`{from}` is linked to `{a}` for `{what}` twice, with different configuration or names"
        )
    } else {
        format!("`{from}` is linked for `{what}` both to `{a}` and to `{b}`")
    };
    Diagnostic::error(LINKED_TWICE.code, message)
        .at(place(second.traits[0]), "linked here")
        .also(place(first.traits[0]), "and here")
        .with_help(format!("let only one of the links be for `{what}`"))
}

/// One report for a component, whatever the number of imports: there is one remedy.
pub(crate) fn no_default(
    parts: &Parts<'_>,
    source: PartId,
    imports: &[(&Extern, &ResolvedLink<'_>)],
) -> Option<Diagnostic> {
    let (_, link) = imports.first()?;
    let from = parts.name(source);
    let what = list(imports.iter().map(|(import, _)| describe(import)));
    let message = format!(
        "`{from}` has no default link for {what}: calls before it chooses a link by name will fail"
    );
    Some(Diagnostic::warning(NO_DEFAULT.code, message).at(
        place(link.traits[0]),
        format!("only for the name `{}`", link.name),
    ))
}

pub(crate) fn several_labels(
    parts: &Parts<'_>,
    source: PartId,
    link: &Link,
    imports: &[&Extern],
) -> Diagnostic {
    let from = parts.name(source);
    let interface = imports[0]
        .interface_name()
        .map(ToString::to_string)
        .unwrap_or_default();
    let labels = list(imports.iter().map(|i| &i.name));
    let message = format!(
        "`{from}` imports `{interface}` as {labels}, and the link to `{}` does not say for which",
        link.target.value
    );
    Diagnostic::error(SEVERAL_LABELS.code, message)
        .at(place(link), "has no name")
        .with_help(format!(
            "give the link the name of the import it is for\nname: {}",
            imports[0].name
        ))
}

pub(crate) fn settings_clash(
    parts: &Parts<'_>,
    source: PartId,
    first: &Link,
    second: &Link,
    setting: &str,
) -> Diagnostic {
    let (from, to) = (parts.name(source), &first.target.value);
    Diagnostic::error(
        SETTINGS_CLASH.code,
        format!("the link from `{from}` to `{to}` is given two values of `{setting}`"),
    )
    .at(setting_place(second, setting), "differs")
    .also(setting_place(first, setting), "from here")
    .with_note("traits with the same source, target and name are one link")
    .with_help(format!(
        "give `{setting}` once, or give one of the traits a `name`"
    ))
}

fn setting_place(link: &Link, setting: &str) -> Option<crate::Span> {
    match setting {
        "binding" => link.binding.as_ref()?.span,
        "scope" => link.scope.as_ref()?.span,
        "timeout" => link.timeout.as_ref()?.span,
        "locality" => link.locality.as_ref()?.span,
        _ => link.idempotent.as_ref()?.span,
    }
}

fn place(link: &Link) -> Option<crate::Span> {
    link.target.span.or(link.span)
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package kv:kv@1.0.0 { interface store { get: func(); } interface batch { all: func(); } }
        package kv:kv@2.0.0 { interface store { get: func(); } }
        package wasmcloud:bus@1.0.0 { interface lattice { set-link-name: func(n: string); } }
        world cart { import kv:kv/store@1.0.0; import kv:kv/batch@1.0.0; }
        world labels { import cache: kv:kv/store@1.0.0; import cold: kv:kv/store@1.0.0; }
        world label { import cache: kv:kv/store@1.0.0; }
        world choosing { import kv:kv/store@1.0.0; import wasmcloud:bus/lattice@1.0.0; }
        world redis { export kv:kv/store@1.0.0; }
        world redb { export kv:kv/store@1.0.0; export kv:kv/batch@1.0.0; }
        world batch { export kv:kv/batch@1.0.0; }
        world newer { export kv:kv/store@2.0.0; }
        world run { export run: func(); }
        world runner { import run: func(); }
    ";

    #[test]
    fn links_that_satisfy_nothing() {
        let app = App::new(WIT)
            .component("cart")
            .link("redb", &["for: kv:kv", "interfaces: store, batch"])
            .link("redis", &[])
            .link("newer", &[])
            .link("run", &[]);
        let app = app
            .component("redb")
            .component("redis")
            .component("newer")
            .component("run")
            .called("cart");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn ambiguous_links() {
        let app = App::new(WIT)
            .component("cart")
            .link("redis", &[])
            .link("redb", &[]);
        insta::assert_snapshot!(
            app.component("redis")
                .component("redb")
                .called("cart")
                .problems()
        );
    }

    #[test]
    fn inference_takes_what_other_links_leave() {
        let app = App::new(WIT)
            .component("cart")
            .link("redb", &[])
            .link("redis", &["for: kv:kv", "interfaces: store"])
            .component("redis")
            .component("redb")
            .component("runner")
            .link("run", &[])
            .component("run");
        insta::assert_snapshot!(app.called("cart").called("runner").links());
    }

    #[test]
    fn imports_linked_twice() {
        let store = ["for: kv:kv", "interfaces: store"];
        let app = App::new(WIT)
            .component("cart")
            .link("redis", &store)
            .link("redb", &["for: kv:kv", "interfaces: store, batch"])
            .component("redis")
            .component("redb");
        insta::assert_snapshot!(app.called("cart").problems());
    }

    #[test]
    fn one_link_may_be_spread_over_traits_and_repeated() {
        let app = App::new(WIT)
            .component("cart")
            .link("redb", &["for: kv:kv", "interfaces: store"])
            .link("redb", &["for: kv:kv", "interfaces: batch"])
            .link("redb", &["for: kv:kv", "interfaces: store"])
            .component("redb")
            .instance_of("cart", "other")
            .link("redb", &[])
            .link("redb", &[]);
        insta::assert_snapshot!(app.called("cart").called("other").links());
    }

    #[test]
    fn one_link_has_one_set_of_settings() {
        let app = App::new(WIT)
            .component("cart")
            .link("redb", &["for: kv:kv", "interfaces: store", "scope: call"])
            .link(
                "redb",
                &[
                    "for: kv:kv",
                    "interfaces: batch",
                    "scope: shared",
                    "seconds: 5",
                ],
            )
            .component("redb");
        insta::assert_snapshot!(app.called("cart").problems());
    }

    #[test]
    fn traits_to_a_provider_keep_their_own_configuration() {
        let app = App::new(WIT)
            .component("cart")
            .link(
                "redb",
                &["for: kv:kv", "interfaces: store", "target_config: a url=x"],
            )
            .link(
                "redb",
                &["for: kv:kv", "interfaces: batch", "target_config: b url=y"],
            )
            .provider("redb");
        insta::assert_snapshot!(app.called("cart").links());
    }

    #[test]
    fn labels_are_linked_by_name() {
        let app = App::new(WIT)
            .component("labels")
            .link("redis", &["name: cache"])
            .link("redb", &["name: cold", "for: kv:kv", "interfaces: store"])
            .component("redis")
            .component("redb")
            .component("label")
            .link("redis", &[])
            .instance_of("labels", "rest")
            .link("redis", &["name: cache"])
            .link("redb", &[]);
        insta::assert_snapshot!(app.called("labels").called("label").called("rest").links());
    }

    #[test]
    fn labels_without_a_name() {
        let app = App::new(WIT)
            .component("labels")
            .link("redis", &[])
            .component("redis")
            .instance_of("labels", "other");
        let app = app.link("redis", &["for: kv:kv", "interfaces: store"]);
        insta::assert_snapshot!(app.called("labels").called("other").problems());
    }

    #[test]
    fn links_chosen_at_run_time() {
        let app = App::new(WIT)
            .component("choosing")
            .link("redis", &["name: a"])
            .link("redb", &["name: b"]);
        let app = app.component("redis").component("redb").called("choosing");
        let app = app.host(&["wasmcloud:bus/lattice@1.0.0"]);
        insta::assert_snapshot!(format!("{}{}", app.problems(), app.links()));
        let app = app.edit(|_| {});
        assert_eq!(app.codes(), ["W0208"]);
    }

    #[test]
    fn a_default_link_beside_those_chosen_at_run_time() {
        let app = App::new(WIT)
            .component("choosing")
            .link("redis", &["name: a"])
            .link("redb", &[]);
        let app = app.component("redis").component("redb").called("choosing");
        let app = app.host(&["wasmcloud:bus/lattice@1.0.0"]);
        assert_eq!(app.problems(), "");
        insta::assert_snapshot!(app.links());
    }
}
