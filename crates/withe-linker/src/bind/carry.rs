//! What a binding cannot carry: found here by the types, so that it is refused by name when the
//! plan is made and not when it is called.

use withe_wit::{Extern, Function, InterfaceName, ResourceRef, Type};

use crate::input::Scope;
use crate::matching::describe;
use crate::parts::PartId;
use crate::resolve::{Resolved, ResolvedLink};

/// Why the link cannot be a call between two instances of their own, through the host or over a
/// socket.
pub(super) fn call_obstacle(
    resolved: &Resolved<'_>,
    link: &ResolvedLink<'_>,
    scope: Scope,
) -> Option<String> {
    let wires = resolved.wires(link);
    let of_link = |r: &ResourceRef| is_of_link(&wires, r);
    let imports = || wires.iter().map(|(import, _)| *import);
    let short_lived = |import| match scope {
        Scope::Call => resource_of(import).or_else(|| pending_result(import)),
        Scope::Caller | Scope::Shared => None,
    };
    imports().find_map(|import| {
        error_context(import)
            .or_else(|| foreign(import, of_link))
            .or_else(|| short_lived(import))
    })
}

/// Why the host cannot carry the link between a component and a provider.
pub(super) fn host_obstacle(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let wires = resolved.wires(link);
    let of_link = |r: &ResourceRef| is_of_link(&wires, r);
    let carried = wires
        .iter()
        .filter(|(import, _)| !import.interface_name().is_some_and(is_http));
    carried
        .map(|(import, _)| *import)
        .find_map(|import| asynchronous(import).or_else(|| foreign(import, of_link)))
}

/// Why a component outside the host's process cannot call the provider: HTTP is carried within the
/// host only.
pub(super) fn http_obstacle(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let wires = resolved.wires(link);
    let mut http = (wires.iter()).filter(|(i, _)| i.interface_name().is_some_and(is_http));
    http.next().map(|(import, _)| {
        format!(
            "`{}` passes bodies, which cannot cross to the host from another process yet",
            describe(import)
        )
    })
}

/// Whether the link carries the resource. Its target knows all handles it gave out over the link,
/// whichever interface they are of: `wasi:keyvalue/atomics` takes the bucket of `store`.
fn is_of_link(wires: &[(&Extern, &Extern)], resource: &ResourceRef) -> bool {
    wires.iter().any(|(import, _)| is_own(import, resource))
}

/// Why a callee that lives for one call cannot serve `import`: a resource would outlive it.
fn resource_of(import: &Extern) -> Option<String> {
    let resource = import.interface()?.resources.first()?;
    let import = describe(import);
    Some(format!(
        "`{import}` has the resource `{resource}`, which would outlive a callee of scope `call`"
    ))
}

/// Why a callee that lives for one call cannot serve `import`: it would be gone before what it writes
/// to after it has returned.
fn pending_result(import: &Extern) -> Option<String> {
    let returns = |f: &Function| {
        let is_pending = |t: &Type| matches!(t, Type::Stream(_) | Type::Future(_));
        let ty = part_of(f.result.as_ref()?, is_pending)?;
        Some(format!(
            "{} returns `{ty}`, which would outlive a callee of scope `call`",
            function(import, f)
        ))
    };
    import.functions().iter().find_map(returns)
}

/// Why the target cannot be composed into the source: a resource that the two do not have in common.
/// They have in common what the link itself carries, and what both have from the host.
pub(super) fn fused_obstacle(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let wires = resolved.wires(link);
    let in_common = |r: &ResourceRef| {
        let from_host = |part| {
            r.interface
                .as_ref()
                .is_some_and(|i| is_from_host(resolved, part, i))
        };
        wires.iter().any(|(import, _)| is_own(import, r))
            || (from_host(link.source) && from_host(link.target))
    };
    let carried = wires
        .iter()
        .find_map(|(import, _)| foreign(import, in_common));
    carried.or_else(|| shown(resolved, link, &wires))
}

/// Why the source cannot keep what the link carries to itself: another of its imports names a resource of
/// it. A composition's import cannot name what is defined inside of the composition.
fn shown(
    resolved: &Resolved<'_>,
    link: &ResolvedLink<'_>,
    wires: &[(&Extern, &Extern)],
) -> Option<String> {
    let has_resources = |(import, _): &(&Extern, &Extern)| {
        (import.interface()).is_some_and(|i| !i.resources.is_empty())
    };
    if !wires.iter().any(has_resources) {
        return None;
    }
    let (world, _) = resolved.worlds(link)?;
    let others = world.imports.iter().enumerate();
    let mut others = others.filter(|(i, _)| !link.wires.iter().any(|wire| wire.import == *i));
    others.find_map(|(_, other)| {
        let named = (other.interface().into_iter()).flat_map(|i| i.types.iter().map(|(_, ty)| ty));
        let mut types = named.chain(other.functions().iter().flat_map(Function::types));
        let of_link = |t: &Type| {
            matches!(t, Type::Own(r) | Type::Borrow(r)
                if wires.iter().any(|(import, _)| is_own(import, r)))
        };
        let (Type::Own(resource) | Type::Borrow(resource)) =
            types.find_map(|ty| part_of(ty, of_link))?
        else {
            return None;
        };
        Some(format!(
            "`{}` of `{}` uses the resource `{}`, which this link carries",
            describe(other),
            resolved.parts.name(link.source),
            resource.name
        ))
    })
}

/// Whether `part` has the interface from the host.
fn is_from_host(resolved: &Resolved<'_>, part: PartId, interface: &InterfaceName) -> bool {
    let imports = resolved
        .parts
        .world(part)
        .into_iter()
        .flat_map(|w| &w.imports);
    let mut named = imports.filter(|i| {
        i.interface_name()
            .is_some_and(|n| interface.is_satisfied_by(n))
    });
    named.any(|i| resolved.host_imports[part.0].contains(&i.name.as_str()))
}

/// The HTTP interfaces whose streams the host carries itself.
fn is_http(name: &InterfaceName) -> bool {
    let handlers = ["incoming-handler", "outgoing-handler", "handler", "client"];
    name.namespace == "wasi"
        && name.package == "http"
        && handlers.contains(&name.interface.as_str())
}

/// Whether the resource is one that `import` itself defines.
fn is_own(import: &Extern, resource: &ResourceRef) -> bool {
    import
        .interface()
        .is_some_and(|i| i.name == resource.interface && i.resources.contains(&resource.name))
}

/// Why no call can carry `import`: an error context means something in one store only.
fn error_context(import: &Extern) -> Option<String> {
    let is_context = |t: &Type| matches!(t, Type::ErrorContext);
    passes(import, is_context, "cannot cross a call between instances")
}

fn asynchronous(import: &Extern) -> Option<String> {
    let arrives_later =
        |t: &Type| matches!(t, Type::Stream(_) | Type::Future(_) | Type::ErrorContext);
    passes(import, arrives_later, "a provider cannot take yet")
}

/// The first function of `import` that passes a type for which `pred` holds, and what of it: that
/// `which` is the end of the sentence.
fn passes(import: &Extern, pred: impl Fn(&Type) -> bool, which: &str) -> Option<String> {
    let passes = |f: &Function| {
        let ty = f.types().find_map(|ty| part_of(ty, &pred))?;
        Some(format!(
            "{} passes `{ty}`, which {which}",
            function(import, f)
        ))
    };
    import.functions().iter().find_map(passes)
}

fn foreign(import: &Extern, is_known: impl Fn(&ResourceRef) -> bool) -> Option<String> {
    let unknown = |t: &Type| matches!(t, Type::Own(r) | Type::Borrow(r) if !is_known(r));
    let carries = |f: &Function| {
        let (Type::Own(resource) | Type::Borrow(resource)) =
            f.sent().find_map(|ty| part_of(ty, unknown))?
        else {
            return None;
        };
        let of = match &resource.interface {
            Some(interface) => format!("`{interface}`"),
            None => "the component itself".into(),
        };
        let what = format!("`{}` of {of}", resource.name);
        Some(format!(
            "{} passes the resource {what}, which is not of this link",
            function(import, f)
        ))
    };
    import.functions().iter().find_map(carries)
}

fn function(import: &Extern, f: &Function) -> String {
    if import.interface().is_some() {
        format!("`{}` of `{}`", f.name, describe(import))
    } else {
        format!("`{}`", f.name)
    }
}

/// The first part of `ty`, itself included, for which `pred` holds.
fn part_of(ty: &Type, pred: impl Fn(&Type) -> bool) -> Option<&Type> {
    let mut found = None;
    ty.walk(&mut |t| {
        if found.is_none() && pred(t) {
            found = Some(t);
        }
    });
    found
}
