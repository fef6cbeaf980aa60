//! Parts that nothing uses.

use std::collections::{BTreeMap, HashSet};

use withe_wit::{Extern, InterfaceName};

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::matching::find_export;
use crate::parts::{PartId, Parts};
use crate::wording::link_trait;

pub(crate) const COMPONENT: CodeInfo = CodeInfo {
    code: Code("W0104"),
    title: "a component that nothing calls",
    explanation: "\
A component runs when something calls one of its exports: another component or a provider that is linked \
to it. Nothing is linked to this one, so it runs only if it is called from outside, with `withe call`. Link to \
it, or remove it.",
};

pub(crate) const CAPABILITY: CodeInfo = CodeInfo {
    code: Code("W0105"),
    title: "a capability that nothing uses",
    explanation: "\
A capability works for the components that are linked to it (a key-value store), or for those that it is \
linked to (an HTTP server). This one has no links in either direction, so it does nothing.",
};

pub(crate) fn component(parts: &Parts<'_>, part: PartId, callers: &Callers<'_>) -> Diagnostic {
    let name = parts.name(part);
    let diagnostic = Diagnostic::warning(
        COMPONENT.code,
        format!("nothing calls `{name}`: it runs only for `withe call`"),
    )
    .at(parts.declared(part).name.span, "no link leads to it");
    if !parts.has_manifest() {
        return diagnostic;
    }
    match callers.of(parts, part) {
        Some(server) => diagnostic.with_help(format!(
            "`{}` can call it: link to it from there\n{}",
            parts.name(server),
            link_trait(name)
        )),
        None => diagnostic,
    }
}

/// The providers that call components, by the interfaces that they call, those of a kind once.
pub(crate) struct Callers<'a>(BTreeMap<[&'a str; 3], Vec<(PartId, &'a Extern)>>);

impl<'a> Callers<'a> {
    pub(crate) fn among(parts: &Parts<'a>) -> Self {
        let mut by_interface: BTreeMap<_, Vec<(PartId, &Extern)>> = BTreeMap::new();
        let mut known = HashSet::new();
        for part in parts.ids().filter(|part| parts.is_provider(*part)) {
            let Some(world) = parts.world(part) else {
                continue;
            };
            if !known.insert(std::ptr::from_ref(world)) {
                continue;
            }
            for import in parts.linkable(&world.imports) {
                let name = import.interface_name();
                let calls = name.map(|name| by_interface.entry(path(name)).or_default());
                calls
                    .into_iter()
                    .for_each(|calls| calls.push((part, import)));
            }
        }
        Self(by_interface)
    }

    /// The first provider that calls something that `target` exports.
    fn of(&self, parts: &Parts<'_>, target: PartId) -> Option<PartId> {
        let world = parts.world(target)?;
        let exported = world.exports.iter().filter_map(Extern::interface_name);
        let calls = exported.filter_map(|name| self.0.get(&path(name)));
        let fitting = calls
            .flatten()
            .filter(|(_, import)| find_export(import, world).is_some());
        fitting.map(|(part, _)| *part).min()
    }
}

/// An interface's name without its version.
fn path(name: &InterfaceName) -> [&str; 3] {
    [&name.namespace, &name.package, &name.interface].map(String::as_str)
}

pub(crate) fn capability(parts: &Parts<'_>, part: PartId) -> Diagnostic {
    let name = parts.name(part);
    Diagnostic::warning(
        CAPABILITY.code,
        format!("nothing is linked to or from `{name}`: it does nothing"),
    )
    .at(parts.declared(part).name.span, "a capability without links")
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package a:b { interface x { f: func(); } interface h { f: func(); } }
        world http-server { import a:b/h; }
        world keyvalue { export a:b/x; }
        world front { export a:b/h; import a:b/x; }
        world lonely { export a:b/x; }
    ";

    #[test]
    fn parts_that_nothing_uses() {
        let app = App::new(WIT)
            .provider("http-server")
            .component("front")
            .link("keyvalue", &[])
            .provider("keyvalue");
        insta::assert_snapshot!(app.component("lonely").problems());
    }

    #[test]
    fn without_a_manifest() {
        let app = App::without_manifest(WIT).instance_of("lonely", "first");
        insta::assert_snapshot!(app.component("lonely").problems());
    }

    #[test]
    fn what_is_linked_or_called_is_used() {
        let app = App::new(WIT)
            .provider("http-server")
            .link("front", &[])
            .component("front")
            .link("keyvalue", &[]);
        assert_eq!(
            app.provider("keyvalue")
                .component("lonely")
                .called("lonely")
                .problems(),
            ""
        );
    }
}
