//! Suggests lines to write where no binding can carry a link.

use withe_wit::{Extern, InterfaceName, ResourceRef, Type};

use crate::input::{Image, Link, Scope};
use crate::matching::find_export;
use crate::parts::Parts;
use crate::problems::written::{scope_name, selector};
use crate::resolved::ResolvedLink;
use crate::wording::list;

/// The remedy in place of `link`, if one is known: let one link carry what belongs together, leave out what
/// keeps it from being fused, or compose the two when the application is built.
pub(super) fn way_out(parts: &Parts<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    one_link(parts, link)
        .or_else(|| without_scope(link))
        .or_else(|| composed(parts, link))
}

/// A link passes resources that come over another link to a target that has all of it: then one link is enough.
fn one_link(parts: &Parts<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let world = parts.world(link.source)?;
    let imports: Vec<&Extern> = link
        .wires
        .iter()
        .map(|w| &world.imports[w.import])
        .collect();
    let owner = imports
        .iter()
        .find_map(|import| foreign(import, &imports))?;
    let is_owner = |import: &&Extern| {
        let name = import.interface_name();
        name.is_some_and(|name| owner.is_satisfied_by(name))
    };
    let owner = world.imports.iter().find(is_owner)?;
    let other = linked_for(parts, link, owner)?;
    let (own, target) = (parts.name(link.target), &other.target.value);
    if own == target {
        return Some(format!(
            "handles are known to the link that they came over: give both links to `{own}` the same `config` and \
             the same `name`, and they are one"
        ));
    }
    let exports = parts.world(parts.find(target)?)?;
    let fits = |exports: &withe_wit::World| {
        (imports.iter().chain([&owner])).all(|import| find_export(import, exports).is_some())
    };
    let keeps = if fits(exports) {
        target.as_str()
    } else if parts.world(link.target).is_some_and(fits) {
        own
    } else {
        return None;
    };
    let name = owner.interface_name()?;
    let of_package = |import: &&Extern| {
        import.interface_name().is_some_and(|other| {
            (&other.namespace, &other.package) == (&name.namespace, &name.package)
        })
    };
    let together = world.imports.iter().filter(of_package);
    let together = together.filter(|import| !import.is_types_only());
    let interfaces: Vec<String> = together
        .filter_map(|import| Some(selector(world, import.interface_name()?)))
        .collect();
    Some(format!(
        "handles are known to the target that gave them out: let one link, to `{keeps}`, be for all of it\n\
         namespace: {}\npackage: {}\ninterfaces: [{}]",
        name.namespace,
        name.package,
        interfaces.join(", ")
    ))
}

/// The interface of a resource that `import` passes and that none of `imports` defines.
fn foreign<'i>(import: &'i Extern, imports: &[&Extern]) -> Option<&'i InterfaceName> {
    let is_known = |resource: &ResourceRef| {
        let mut names = imports.iter().map(|import| import.interface_name());
        names.any(|name| name == resource.interface.as_ref())
    };
    let mut found = None;
    let functions = import.functions().iter();
    for ty in functions.flat_map(|function| function.sent()) {
        ty.walk(&mut |ty| {
            if let Type::Own(resource) | Type::Borrow(resource) = ty
                && found.is_none()
                && !is_known(resource)
            {
                found = resource.interface.as_ref();
            }
        });
    }
    found
}

/// Another link trait of the same source, whose target exports `import`.
fn linked_for<'a>(parts: &Parts<'a>, link: &ResolvedLink<'_>, import: &Extern) -> Option<&'a Link> {
    let others = parts.declared(link.source).links.iter();
    let mut others = others.filter(|other| {
        !link.traits.iter().any(|own| std::ptr::eq(*own, *other)) && names(other, import)
    });
    others.find(|other| {
        let exports = parts.find(&other.target).and_then(|part| parts.world(part));
        exports.is_some_and(|exports| find_export(import, exports).is_some())
    })
}

/// Whether a link may be for `import`, by what it names.
fn names(link: &Link, import: &Extern) -> bool {
    let Some(interfaces) = &link.interfaces else {
        return true;
    };
    let interface = import.interface_name().map(|name| name.interface.as_str());
    let mut written = interfaces.iter().map(|written| written.split('@').next());
    written.any(|written| written == interface)
}

/// A scope that was asked for, where the default one carries more.
fn without_scope(link: &ResolvedLink<'_>) -> Option<String> {
    let mut scopes = link.traits.iter().filter_map(|link| link.scope.as_ref());
    let scope = scopes.find(|scope| scope.value != Scope::Caller)?.value;
    Some(format!(
        "leave `scope: {}` out: an instance that lives as long as its caller's can be fused with it",
        scope_name(scope)
    ))
}

/// Composition at build time, which makes one component with one instance of each part.
fn composed(parts: &Parts<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    if parts.is_provider(link.source) || parts.is_provider(link.target) {
        return None;
    }
    let mut together = vec![link.source];
    let mut next = 0;
    while let Some(part) = together.get(next).copied() {
        next += 1;
        let links = parts.declared(part).links.iter();
        for target in links.filter_map(|link| parts.find(&link.target)) {
            if !parts.is_provider(target) && !together.contains(&target) {
                together.push(target);
            }
        }
    }
    let source = parts.name(link.source);
    let others = list(together[1..].iter().map(|part| parts.name(*part)));
    let advice = format!(
        "compose `{source}` with {others} when the application is built: they then share one instance of each"
    );
    let file = |image: &Image| match image {
        Image::File(path) => Some(format!("\n- {path}")),
        _ => None,
    };
    let files = together
        .iter()
        .map(|part| file(&parts.declared(*part).image.value));
    let files: Option<String> = files.collect();
    // In the manifest, in place of `image`; the command line has `withe compose`.
    match files.filter(|_| parts.has_manifest()) {
        Some(files) => Some(format!("{advice}\ncompose:{files}")),
        None => Some(advice),
    }
}
