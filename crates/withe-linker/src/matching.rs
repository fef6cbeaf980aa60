//! Which export of a world an import names.

use withe_wit::{Extern, ExternItem, InterfaceName, World};

use crate::work;

/// The export of `world` that `import` names, by its place; types are not compared.
///
/// An interface is told by its name and version. Under several compatible versions the import's own
/// wins, then the newest. An export under a label counts where the interface is not exported under
/// its own name: the label of the import wins, or else there has to be only one.
pub(crate) fn find_export(import: &Extern, world: &World) -> Option<usize> {
    find_among(import, world.exports.iter().enumerate())
}

/// The one of `exports` that `import` names, by the rule of [`find_export`].
pub(crate) fn find_among<'e>(
    import: &Extern,
    exports: impl Iterator<Item = (usize, &'e Extern)> + Clone,
) -> Option<usize> {
    let fitting = || exports.clone().filter(|(_, export)| fits(import, export));
    let wanted = import.interface_name().and_then(|n| n.version.as_ref());
    let version = |e: &Extern| e.interface_name().and_then(|n| n.version.clone());
    let plain = fitting()
        .filter(|(_, e)| !e.is_label())
        .max_by_key(|(_, e)| (version(e).as_ref() == wanted, version(e)));
    let labelled = || {
        let mut labelled = fitting().filter(|(_, e)| e.is_label());
        let same = labelled.clone().find(|(_, e)| e.name == import.name);
        same.or_else(|| labelled.next().filter(|_| labelled.next().is_none()))
    };
    plain.or_else(labelled).map(|(i, _)| i)
}

/// Whether `export` has the very version of the interface that `import` asks for, or both have none.
pub(crate) fn is_exact(import: &Extern, export: &Extern) -> bool {
    import.interface_name() == export.interface_name()
}

fn fits(import: &Extern, export: &Extern) -> bool {
    work::note(1);
    match (&import.item, &export.item) {
        (ExternItem::Interface(a), ExternItem::Interface(b)) => match (&a.name, &b.name) {
            (Some(a), Some(b)) => a.is_satisfied_by(b),
            (None, None) => import.name == export.name,
            _ => false,
        },
        (ExternItem::Function(_), ExternItem::Function(_)) => import.name == export.name,
        _ => false,
    }
}

/// Whether one of the two is a draft of the other's release, or both are drafts of one: known under names that
/// do not satisfy each other, but often of one shape.
pub(crate) fn is_near(import: &Extern, export: &Extern) -> bool {
    let (Some(a), Some(b)) = (import.interface_name(), export.interface_name()) else {
        return false;
    };
    let (Some(v), Some(w)) = (&a.version, &b.version) else {
        return false;
    };
    a.same_interface(b)
        && !a.is_satisfied_by(b)
        && (v.major, v.minor) == (w.major, w.minor)
        && !(v.pre.is_empty() && w.pre.is_empty())
}

/// Exports of `world` that are what `import` names but for their version.
pub(crate) fn other_versions<'a>(
    import: &Extern,
    world: &'a World,
) -> impl Iterator<Item = &'a InterfaceName> {
    let name = import.interface_name().cloned();
    let exported = world.exports.iter().filter_map(Extern::interface_name);
    exported.filter(move |e| {
        name.as_ref()
            .is_some_and(|n| n.same_interface(e) && !n.is_satisfied_by(e))
    })
}

/// Why one version does not do for the other.
pub(crate) fn version_mismatch(wanted: &InterfaceName, found: &InterfaceName) -> String {
    match (&wanted.version, &found.version) {
        (Some(wanted), Some(found)) => format!("{found} is not compatible with {wanted}"),
        (Some(_), None) => {
            "an interface without a version does not satisfy an import with one".into()
        }
        (None, _) => "an interface with a version does not satisfy an import without one".into(),
    }
}

/// The interface that `item` is, or its own name for a function or an inline interface.
pub(crate) fn interface_text(item: &Extern) -> String {
    item.interface_name()
        .map_or_else(|| item.name.clone(), ToString::to_string)
}

/// How an import or export reads in a message: with its label, if it has one.
pub(crate) fn describe(item: &Extern) -> String {
    match item.interface_name() {
        Some(name) if item.is_label() => format!("{}: {name}", item.name),
        _ => item.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use withe_wit::Interface;

    fn interface(name: &str, implements: Option<&str>) -> Extern {
        let interface = implements
            .or(name.contains(':').then_some(name))
            .map(|n| n.parse().unwrap());
        Extern {
            name: name.into(),
            item: ExternItem::Interface(Arc::new(Interface {
                name: interface,
                ..Interface::default()
            })),
        }
    }

    fn found(import: &Extern, exports: Vec<Extern>) -> Option<String> {
        let world = World {
            exports,
            ..World::default()
        };
        find_export(import, &world).map(|i| world.exports[i].name.clone())
    }

    #[test]
    fn the_own_version_wins_then_the_newest_compatible_one() {
        let exports = |list: &[&str]| list.iter().map(|n| interface(n, None)).collect::<Vec<_>>();
        let import = interface("a:b/c@1.1.0", None);
        let table: [(&[&str], Option<&str>); 5] = [
            (
                &["a:b/c@1.0.0", "a:b/c@1.1.0", "a:b/c@1.2.0"],
                Some("a:b/c@1.1.0"),
            ),
            (
                &["a:b/c@1.2.0", "a:b/c@1.3.0", "a:b/c@1.0.0"],
                Some("a:b/c@1.3.0"),
            ),
            (&["a:b/c@2.0.0", "a:b/c"], None),
            (&["a:b/d@1.1.0"], None),
            (&[], None),
        ];
        for (list, want) in table {
            assert_eq!(found(&import, exports(list)).as_deref(), want, "{list:?}");
        }
    }

    #[test]
    fn labelled_exports_count_where_they_are_clear() {
        let import = interface("cache", Some("a:b/c"));
        let one = vec![interface("x", Some("a:b/c"))];
        let two = vec![interface("x", Some("a:b/c")), interface("y", Some("a:b/c"))];
        let same = vec![
            interface("x", Some("a:b/c")),
            interface("cache", Some("a:b/c")),
        ];
        let plain = vec![interface("cache", Some("a:b/c")), interface("a:b/c", None)];
        assert_eq!(found(&import, one).as_deref(), Some("x"));
        assert_eq!(found(&import, two), None);
        assert_eq!(found(&import, same).as_deref(), Some("cache"));
        assert_eq!(found(&import, plain).as_deref(), Some("a:b/c"));
    }

    #[test]
    fn inline_interfaces_match_by_name() {
        let import = interface("own", None);
        assert_eq!(
            found(&import, vec![interface("own", None)]).as_deref(),
            Some("own")
        );
        assert_eq!(found(&import, vec![interface("own", Some("a:b/c"))]), None);
    }
}
