//! Imports that nothing satisfies.

use withe_wit::{Extern, InterfaceName};

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::host::HostImport;
use crate::input::Link;
use crate::matching::{describe, interface_text, is_near, version_mismatch};
use crate::parts::{PartId, Parts};
use crate::problems::written::selector;
use crate::wording::{link_trait, list, list_of};

pub(crate) const UNRESOLVED: CodeInfo = CodeInfo {
    code: Code("W0101"),
    title: "unresolved import",
    explanation: "\
A component imports an interface or function that no link and no host function provides. Like a \
linker's `undefined reference`, this is an error before anything starts: a component never runs with \
an import that would only fail when it is called.

Link the component to something that exports the import: another component, or a capability.

```yaml
traits:
- type: link
  properties:
    target:
      name: prices
```

An export satisfies an import if it has the same name and a compatible version: `1.2.0` and `1.0.1` \
are compatible, `0.2.0` and `0.3.0` are not, and a pre-release such as `0.2.0-draft` is compatible \
only with itself.",
};

pub(crate) const TRAPPING: CodeInfo = CodeInfo {
    code: Code("W0108"),
    title: "imports that trap",
    explanation: "\
Nothing provides some imports of a component, and it is told to trap on these (`on-missing: trap` in the manifest, \
`--missing trap` on the command line): it starts, and a call of one of their functions traps and names the function. \
The setting is for components that import more than they use, as tools and runtimes of languages often do.

The warning lists the imports. Link the component to what exports those that it does call.",
};

/// Imports of a component that nothing satisfies, and that trap.
pub(crate) fn trapping(parts: &Parts<'_>, source: PartId, imports: &[&Extern]) -> Diagnostic {
    let declared = parts.declared(source);
    let place = declared.on_missing.as_ref().and_then(|own| own.span);
    let them = match imports {
        [_] => "calls of it trap",
        _ => "calls of them trap",
    };
    let what = list(imports.iter().map(|import| describe(import)));
    let message = format!(
        "`{}` imports {what}, which nothing provides: {them}",
        parts.name(source)
    );
    Diagnostic::warning(TRAPPING.code, message)
        .at(place.or(declared.name.span), "imported by this component")
}

/// Imports of one package by one component.
pub(crate) fn unresolved<'a>(
    parts: &Parts<'a>,
    source: PartId,
    imports: &[&'a Extern],
) -> Diagnostic {
    let name = parts.name(source);
    let them = if imports.len() == 1 { "it" } else { "them" };
    let what = list(imports.iter().map(|i| describe(i)));
    let message = format!("`{name}` imports {what}, and nothing provides {them}");
    let mut diagnostic = Diagnostic::error(UNRESOLVED.code, message).at(
        parts.declared(source).name.span,
        "imported by this component",
    );
    // By the source itself nothing is provided to it that it is not linked to.
    let all = parts.exporters().of(imports);
    let exporters = || all.iter().copied().filter(|part| *part != source);
    let count = all.len() - usize::from(all.binary_search(&source).is_ok());
    for near in near_misses(parts, source, imports, count == 0) {
        diagnostic = diagnostic.with_note(near);
    }
    if count > 1 {
        let names = list_of(count, exporters().map(|part| parts.name(part)));
        diagnostic = diagnostic.with_note(format!("{names} export {them}"));
    }
    match help(parts, source, imports, exporters().next()) {
        Some(help) => diagnostic.with_help(help),
        None => diagnostic,
    }
}

/// How many exporters of other versions are named.
const NEAR: usize = 8;

/// The near misses: another version of the interface, or a similar name.
fn near_misses(
    parts: &Parts<'_>,
    source: PartId,
    imports: &[&Extern],
    without_exporter: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    for import in imports {
        let Some(wanted) = import.interface_name() else {
            continue;
        };
        for (part, export) in parts.exporters().other_versions(wanted, source, NEAR) {
            let Some(found) = export.interface_name() else {
                continue;
            };
            notes.push(format!(
                "found: `{}` exports `{found}`; {}",
                parts.name(part),
                version_mismatch(wanted, found)
            ));
        }
        for offered in parts.host.versions(wanted) {
            notes.push(host_version(import, wanted, offered));
        }
        let unknown = capability(wanted).is_none() && without_exporter;
        if notes.is_empty() && unknown {
            notes.extend(similar(parts, source, wanted));
        }
    }
    notes
}

/// The host's version of an interface, and why it does not satisfy the import.
fn host_version(import: &Extern, wanted: &InterfaceName, export: &Extern) -> String {
    let offered = interface_text(export);
    if !is_near(import, export) {
        let why = export
            .interface_name()
            .map(|found| version_mismatch(wanted, found));
        let why = why.unwrap_or_default();
        return format!("found: the host provides `{offered}`; {why}");
    }
    let found = HostImport { import, export }.mismatches();
    let lines = found.iter().take(DIFFERENCES).map(|m| format!("\n  {m}"));
    let more = match found.len().checked_sub(DIFFERENCES) {
        Some(more @ 1..) => format!("\n  and {more} more"),
        _ => String::new(),
    };
    format!(
        "found: the host provides `{offered}`, whose types differ:{}{more}",
        lines.collect::<String>()
    )
}

/// Differences between two versions that a note lists.
const DIFFERENCES: usize = 3;

fn similar(parts: &Parts<'_>, source: PartId, wanted: &InterfaceName) -> Option<String> {
    if !parts.suggestions.are_left() {
        return None;
    }
    let wanted = wanted.to_string();
    let exports = parts.exporters().names(source);
    let names = exports.iter().map(|(_, name)| name.as_str());
    let found = parts.suggestions.closest(&wanted, names)?;
    let (part, _) = exports.iter().find(|(_, name)| name == found)?;
    Some(format!(
        "found: `{}` exports `{found}`, which has a similar name",
        parts.name(*part)
    ))
}

/// The remedy, in lines to paste.
fn help(
    parts: &Parts<'_>,
    source: PartId,
    imports: &[&Extern],
    exporter: Option<PartId>,
) -> Option<String> {
    let name = parts.name(source);
    let them = if imports.len() == 1 { "it" } else { "them" };
    if let (None, Some(help)) = (exporter, rebuild(parts, name, imports)) {
        return Some(help);
    }
    match exporter {
        Some(exporter) if !parts.has_manifest() => called_back(parts, name, exporter, them),
        Some(exporter) => Some(link_help(parts, source, imports, exporter)),
        None if !parts.has_manifest() => Some(format!(
            "give a component that exports {them} with `--link FILE`"
        )),
        None => Some(match imports[0].interface_name().and_then(capability) {
            Some((component, image)) => format!(
                "the capability `{image}` provides {them}: add it to the application\n\
                 - name: {component}\n  type: capability\n  properties:\n    image: {image}\n\
                 and link to it from `{name}`\n{}",
                link_trait(component)
            ),
            None => format!("add a component that exports {them}, and link to it from `{name}`"),
        }),
    }
}

/// With which tools a component is to be built that was built against another version of what the host has.
fn rebuild(parts: &Parts<'_>, name: &str, imports: &[&Extern]) -> Option<String> {
    let versions = |import: &&Extern| {
        let wanted = import.interface_name()?;
        let found = parts.host.versions(wanted).last()?.interface_name()?;
        Some((wanted.clone(), found.clone()))
    };
    let (wanted, found) = imports.iter().find_map(versions)?;
    let package = |name: &InterfaceName| match &name.version {
        Some(version) => format!("{}:{}@{version}", name.namespace, name.package),
        None => format!("{}:{}", name.namespace, name.package),
    };
    let (wanted, found) = (package(&wanted), package(&found));
    let tools = tools(&found).map(|tools| format!("\n{tools}"));
    Some(format!(
        "`{name}` was built against `{wanted}`, and this host has `{found}`: build it against that{}",
        tools.unwrap_or_default()
    ))
}

/// The tools that build against a WASI package as the host has it.
fn tools(package: &str) -> Option<&'static str> {
    let (name, version) = package.strip_prefix("wasi:")?.split_once('@')?;
    let is_of_wasi = [
        "cli",
        "clocks",
        "filesystem",
        "http",
        "io",
        "random",
        "sockets",
    ]
    .contains(&name);
    match version {
        _ if !is_of_wasi => None,
        // The version of these crates names the release of WASI that they are for.
        "0.3.0" => Some(
            "in Rust, the crate `wasip3` is for WASI 0.3.0 in its version 0.7 (`cargo add wasip3@0.7`); 0.2 to 0.6 are for release candidates",
        ),
        version if version.starts_with("0.2.") => Some(
            "in Rust, the target `wasm32-wasip2` and the crate `wasip2` are for WASI 0.2; `wasm-tools component new` needs an adapter of Wasmtime 17 or newer",
        ),
        _ => None,
    }
}

/// The command line links to all it is given but to what it calls; where it did not link to another, that was
/// said.
fn called_back(parts: &Parts<'_>, name: &str, exporter: PartId, them: &str) -> Option<String> {
    let called = parts.name(exporter);
    parts.inputs.called.iter().any(|part| part == called).then(|| {
        format!(
            "`{called}` exports {them}, but is itself what is called, and components given with `--link` are not \
             linked back to that: write a manifest in which `{name}` has a link to `{called}`"
        )
    })
}

fn link_help(parts: &Parts<'_>, source: PartId, imports: &[&Extern], exporter: PartId) -> String {
    let (name, target) = (parts.name(source), parts.name(exporter));
    let mut links = parts.declared(source).links.iter();
    let listing = |link: &&Link| {
        link.target.value == target
            && link.interfaces.is_some()
            && imports.iter().all(|i| in_package_of(link, i))
    };
    if links.any(|link| listing(&link)) {
        let names = imports.iter().filter_map(|import| import.interface_name());
        let interfaces = list(names.map(|name| match parts.world(source) {
            Some(world) => selector(world, name),
            None => name.interface.clone(),
        }));
        return format!("add {interfaces} to `interfaces` of the link to `{target}`");
    }
    format!(
        "`{target}` exports what is missing: link to it from `{name}`\n{}",
        link_trait(target)
    )
}

fn in_package_of(link: &Link, import: &Extern) -> bool {
    let (Some(namespace), Some(package)) = (&link.namespace, &link.package) else {
        return false;
    };
    import
        .interface_name()
        .is_some_and(|n| n.namespace == namespace.value && n.package == package.value)
}

/// The first-party capability that provides an interface: a name for it, and its image.
fn capability(name: &InterfaceName) -> Option<(&'static str, &'static str)> {
    match (
        name.namespace.as_str(),
        name.package.as_str(),
        name.interface.as_str(),
    ) {
        ("wasi", "keyvalue", _) => Some(("keyvalue", "withe:keyvalue")),
        ("wasi", "blobstore", _) => Some(("blobstore", "withe:blobstore")),
        ("wasi", "http", "outgoing-handler" | "client") => {
            Some(("http-client", "withe:http-client"))
        }
        ("wasmcloud", "messaging", "consumer") => Some(("messages", "withe:messaging")),
        ("wasmcloud", "postgres", "query" | "prepared") => Some(("database", "withe:sql")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::input::OnMissing;
    use crate::testing::App;

    const WIT: &str = "
        package wasi:keyvalue@0.2.0-draft { interface store { get: func(); } interface atomics { inc: func(); } }
        package wasi:http@0.2.3 { interface outgoing-handler { handle: func(); } }
        package shop:catalog@1.2.0 { interface prices { get: func(); } interface stock { count: func(); } interface words { enum w { a } } }
        package shop:catalog@2.0.0 { interface prices { get: func(); } }
        world cart { import shop:catalog/prices@1.2.0; import shop:catalog/stock@1.2.0; import shop:catalog/words@1.2.0; }
        world storing { import wasi:keyvalue/store@0.2.0-draft; import wasi:keyvalue/atomics@0.2.0-draft; }
        world calling { import wasi:http/outgoing-handler@0.2.3; }
        world bare { import run: func(); }
        world old { export shop:catalog/prices@2.0.0; }
        world prices { export shop:catalog/prices@1.2.0; export shop:catalog/stock@1.2.0; }
        world price { export price: func(); }
    ";

    #[test]
    fn without_anything_near() {
        insta::assert_snapshot!(App::new(WIT).component("bare").called("bare").problems());
    }

    #[test]
    fn what_may_trap_is_one_warning_and_in_the_plan() {
        let trap = |app: App| {
            app.edit(|c| c.on_missing = Some(crate::input::Spanned::unplaced(OnMissing::Trap)))
        };
        let app = trap(App::new(WIT).component("cart")).called("cart");
        insta::assert_snapshot!(app.problems());
        let plan = app.plan();
        let missing = ["shop:catalog/prices@1.2.0", "shop:catalog/stock@1.2.0"];
        assert_eq!(plan.components[0].missing, missing);
    }

    #[test]
    fn with_an_exporter_in_the_manifest() {
        let app = App::new(WIT)
            .component("cart")
            .component("prices")
            .called("cart")
            .called("prices");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn with_a_link_that_leaves_it_out() {
        let link = ["for: shop:catalog", "interfaces: prices"];
        let app = App::new(WIT)
            .component("cart")
            .link("prices", &link)
            .component("prices")
            .called("cart");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn with_another_version_in_a_component_and_in_the_host() {
        let app = App::new(WIT)
            .component("cart")
            .component("old")
            .called("cart")
            .called("old");
        insta::assert_snapshot!(app.host(&["shop:catalog/stock@2.1.0"]).problems());
    }

    #[test]
    fn with_a_name_that_is_nearly_the_same() {
        let wit = "package shop:catalogue@1.2.0 { interface prices { get: func(); } }
                   world prices { export shop:catalogue/prices@1.2.0; }";
        let app = App::new(WIT)
            .component("cart")
            .called("cart")
            .wit(wit)
            .component("prices")
            .called("prices");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn that_a_capability_provides() {
        let app = App::new(WIT)
            .component("storing")
            .component("calling")
            .called("storing")
            .called("calling");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn without_a_manifest() {
        let app = App::without_manifest(WIT).component("cart").called("cart");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn that_the_called_component_exports() {
        let wit = "package a:b { interface x { f: func(); } interface y { f: func(); } }
                   world front { import a:b/x; export a:b/y; }
                   world back { export a:b/x; import a:b/y; }";
        let app = App::without_manifest(wit)
            .component("front")
            .link("back", &[]);
        insta::assert_snapshot!(app.component("back").called("front").problems());
    }

    #[test]
    fn the_host_satisfies_compatible_versions_and_types_need_nobody() {
        let app = App::new(WIT).component("cart").called("cart");
        let app = app.host(&["shop:catalog/prices@1.9.0", "shop:catalog/stock@1.0.0"]);
        let plan = app.plan();
        assert_eq!(
            plan.components[0].host_imports,
            ["shop:catalog/prices@1.2.0", "shop:catalog/stock@1.2.0"]
        );
    }
}
