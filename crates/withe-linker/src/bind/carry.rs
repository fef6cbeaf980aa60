//! Types that a binding cannot carry: found here by the types, so that it is refused by name when the
//! plan is made and not when it is called.

use withe_wit::{Extern, Function, HttpFace, InterfaceName, ResourceRef, Type};

use crate::input::Scope;
use crate::matching::describe;
use crate::parts::PartId;
use crate::requests::is_translated;
use crate::resolved::{Resolved, ResolvedLink};

/// Why the link cannot be a call between two instances of their own, through the host or over a
/// socket.
pub(super) fn call_obstacle(
    resolved: &Resolved<'_>,
    link: &ResolvedLink<'_>,
    scope: Scope,
) -> Option<String> {
    let of_link = |r: &ResourceRef| is_of_link(resolved, link, r);
    let short_lived = |import| match scope {
        Scope::Call => resource_of(import).or_else(|| pending_result(resolved, import)),
        Scope::Caller | Scope::Shared => None,
    };
    let carried = resolved.wires(link);
    let (requests, called): (Vec<_>, Vec<_>) =
        carried.partition(|(import, _)| is_carried_as_http(resolved, link, import));
    let mut called = called.into_iter();
    request_obstacle(&requests, scope).or_else(|| {
        called.find_map(|(import, export)| {
            if is_translated(import, export) {
                return Some(no_types(import, export));
            }
            error_context(resolved, import)
                .or_else(|| foreign(resolved, import, of_link))
                .or_else(|| short_lived(import))
        })
    })
}

/// Why the link cannot be a call of a component in another process.
pub(super) fn wire_obstacle(
    resolved: &Resolved<'_>,
    link: &ResolvedLink<'_>,
    scope: Scope,
) -> Option<String> {
    call_obstacle(resolved, link, scope).or_else(|| {
        // A request on a wire does not say which of the target's exports is to take it.
        let mut taken = resolved
            .wires(link)
            .filter(|(import, _)| is_carried_as_http(resolved, link, import))
            .filter_map(|(_, export)| {
                let name = export.interface_name()?;
                HttpFace::of(name).map(|_| (name, export))
            });
        let (first, export) = taken.next()?;
        let (_, other) = taken.find(|(name, _)| *name != first)?;
        Some(format!(
            "requests go to `{}` and to `{}`, which one link carries within the host's process only: write a link for each",
            describe(export),
            describe(other)
        ))
    })
}

/// Why requests cannot be sent over these imports and exports of one link.
fn request_obstacle(requests: &[(&Extern, &Extern)], scope: Scope) -> Option<String> {
    let (first, taken) = requests.first()?;
    if scope == Scope::Shared {
        return Some(format!(
            "`{}` passes requests, each of which has an instance of its own, so that none is shared",
            describe(first)
        ));
    }
    let is_handler =
        |item: &Extern| item.interface_name().and_then(HttpFace::of) == Some(HttpFace::Handler);
    let mut others = requests.iter();
    let (_, other) = others.find(|(_, other)| is_handler(other) != is_handler(taken))?;
    Some(format!(
        "`{}` answers requests, and `{}` sends them on, which one link carries within a composition only: write a link \
         for each",
        describe(if is_handler(taken) { taken } else { other }),
        describe(if is_handler(taken) { other } else { taken })
    ))
}

/// Why requests are not translated between a component and another that have not both the host's.
fn no_types(import: &Extern, export: &Extern) -> String {
    format!(
        "the host translates between `{}` and `{}` where both components have `wasi:http/types` from it",
        describe(import),
        describe(export)
    )
}

/// Whether requests go over the link.
pub(super) fn carries_requests(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> bool {
    let mut carried = resolved.wires(link);
    carried.any(|(import, _)| import.interface_name().is_some_and(is_http))
}

/// Whether the host carries what goes through `import` between two components as messages: requests and responses,
/// which are resources of each end's own host.
fn is_carried_as_http(resolved: &Resolved<'_>, link: &ResolvedLink<'_>, import: &Extern) -> bool {
    let Some(name) = import.interface_name().filter(|name| is_http(name)) else {
        return false;
    };
    let types = InterfaceName {
        interface: "types".into(),
        ..name.clone()
    };
    let has_types = |part: PartId| {
        let mut imports = resolved.host_imports[part.0].iter();
        imports.any(|host| {
            let name = host.import.interface_name();
            name.is_some_and(|name| name.same_interface(&types))
        })
    };
    has_types(link.source) && has_types(link.target)
}

/// Why the host cannot carry the link between a component and a provider.
pub(super) fn host_obstacle(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let of_link = |r: &ResourceRef| is_of_link(resolved, link, r);
    let handled = |item: &Extern| item.interface_name().and_then(HttpFace::of);
    let mut requests = resolved.wires(link);
    if let Some((import, export)) = requests.find(|(a, b)| handled(a) != handled(b)) {
        return Some(format!(
            "`{}` sends requests, and a provider takes none through `{}`",
            describe(import),
            describe(export)
        ));
    }
    let mut carried = resolved
        .wires(link)
        .filter(|(import, _)| !import.interface_name().is_some_and(is_http));
    if resolved.parts.is_provider(link.source) {
        // A component that keeps objects itself exchanges resources of its own, in both directions.
        return carried.find_map(|(import, _)| {
            error_context(resolved, import).or_else(|| handle(resolved, link, import))
        });
    }
    carried
        .filter(|(import, _)| !import.interface_name().is_some_and(is_blobs))
        .find_map(|(import, _)| {
            error_context(resolved, import).or_else(|| foreign(resolved, import, of_link))
        })
}

/// Why a provider cannot call `import` of a component: each of its calls has an instance of its own, with which a
/// resource would end. Only one that comes first is opened by the component's host, if its interface opens it by name.
fn handle<'a>(
    resolved: &Resolved<'a>,
    link: &ResolvedLink<'_>,
    import: &'a Extern,
) -> Option<String> {
    if resolved.parts.carried(import).handles.is_empty() {
        return None;
    }
    import.functions().iter().find_map(|f| {
        let opened = f.first_owned().filter(|r| is_opened(resolved, link, r));
        // v1's host opens a bucket itself.
        if let Some(resource) = opened
            && !resolved.parts.may_be_component(link.target)
            && !is_imported_over_link(resolved, link.target, resource)
        {
            return Some(format!(
                "{} passes the resource {}, for which `{}` needs a link of its own, over which it is opened",
                function(import, f),
                whose(resource),
                resolved.parts.name(link.target)
            ));
        }
        let mut ends = None;
        for ty in f.sent().skip(usize::from(opened.is_some())) {
            ty.walk(&mut |ty| {
                if let Type::Own(resource) | Type::Borrow(resource) = ty {
                    ends.get_or_insert(resource);
                }
            });
        }
        ends.map(|resource| {
            format!(
                "{} passes the resource {}, which would end with the provider's call",
                function(import, f),
                whose(resource)
            )
        })
    })
}

/// Whether the interface of a resource, as the provider at the link's source has it, opens it by name.
fn is_opened(resolved: &Resolved<'_>, link: &ResolvedLink<'_>, resource: &ResourceRef) -> bool {
    let world = resolved.parts.world(link.source);
    world.is_some_and(|world| {
        let imports = world.imports.iter();
        let mut functions = imports
            .filter(|import| is_own(import, resource))
            .flat_map(Extern::functions);
        functions.any(|f| f.opens(resource))
    })
}

/// Whether `part` has the resource over a link.
fn is_imported_over_link(resolved: &Resolved<'_>, part: PartId, resource: &ResourceRef) -> bool {
    let mut links = resolved.links.iter();
    links.any(|(_, link)| link.source == part && is_of_link(resolved, link, resource))
}

/// Why a link to a provider cannot leave the host's process: where objects are kept or requests are sent over it,
/// nothing else is called over it there.
pub(super) fn streaming_obstacle(
    resolved: &Resolved<'_>,
    link: &ResolvedLink<'_>,
) -> Option<String> {
    type IsKind = fn(&InterfaceName) -> bool;
    let kinds: [(IsKind, &str); 2] = [(is_blobs, "keeps objects"), (is_http, "sends requests")];
    kinds.into_iter().find_map(|(is_kind, does)| {
        let is_of_kind = |import: &Extern| import.interface_name().is_some_and(is_kind);
        let mut wires = resolved.wires(link);
        let (streaming, _) = wires.find(|(import, _)| is_of_kind(import))?;
        let mut wires = resolved.wires(link);
        let (other, _) = wires.find(|(import, _)| !is_of_kind(import) && !import.is_types_only())?;
        Some(format!(
            "`{}` {does}, and `{}` is called, which one link carries within the host's process only: write a link for \
             each",
            describe(streaming),
            describe(other)
        ))
    })
}

/// Whether the link carries the resource. Its target knows all handles it gave out over the link,
/// whichever interface they are of: `wasi:keyvalue/atomics` takes the bucket of `store`.
fn is_of_link(resolved: &Resolved<'_>, link: &ResolvedLink<'_>, resource: &ResourceRef) -> bool {
    let mut wires = resolved.wires(link);
    wires.any(|(import, _)| is_own(import, resource))
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
fn pending_result<'a>(resolved: &Resolved<'a>, import: &'a Extern) -> Option<String> {
    let (f, ty) = resolved.parts.carried(import).pending_result?;
    Some(format!(
        "{} returns `{ty}`, which would outlive a callee of scope `call`",
        function(import, f)
    ))
}

/// Why the target cannot be composed into the source: a resource that the two do not have in common.
/// They have in common what the link itself carries, and what both have from the host.
pub(super) fn fused_obstacle(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let in_common = |r: &ResourceRef| {
        let from_host = |part| {
            r.interface
                .as_ref()
                .is_some_and(|i| is_from_host(resolved, part, i))
        };
        is_of_link(resolved, link, r) || (from_host(link.source) && from_host(link.target))
    };
    resolved
        .wires(link)
        .find_map(|(import, export)| {
            if is_translated(import, export) {
                return Some(format!(
                    "requests through `{}` are translated for `{}`, which the host does between instances",
                    describe(import),
                    describe(export)
                ));
            }
            foreign(resolved, import, in_common).or_else(|| mentioned(resolved, import, in_common))
        })
        .or_else(|| shown(resolved, link))
}

/// Why the source cannot keep what the link carries to itself: another of its imports, or an export, names a resource of
/// it. A composition's world cannot name what is defined inside of the composition.
fn shown(resolved: &Resolved<'_>, link: &ResolvedLink<'_>) -> Option<String> {
    let has_resources =
        |import: &Extern| (import.interface()).is_some_and(|i| !i.resources.is_empty());
    if !resolved
        .wires(link)
        .any(|(import, _)| has_resources(import))
    {
        return None;
    }
    let (world, _) = resolved.worlds(link)?;
    let others = world.imports.iter().enumerate();
    let others = others.filter(|(i, _)| !link.wires.iter().any(|wire| wire.import == *i));
    let mut named = others.map(|(_, other)| other).chain(&world.exports);
    named.find_map(|other| {
        let carried = resolved.parts.carried(other);
        let mut named = carried.named.iter();
        let resource = named.find(|resource| is_of_link(resolved, link, resource))?;
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
    let mut imports = resolved.host_imports[part.0].iter();
    imports.any(|host| {
        let name = host.import.interface_name();
        name.is_some_and(|name| interface.is_satisfied_by(name))
    })
}

/// The HTTP interfaces whose streams the host carries itself.
fn is_http(name: &InterfaceName) -> bool {
    HttpFace::of(name).is_some()
}

/// The interfaces of objects, whose values and streams are the host's.
fn is_blobs(name: &InterfaceName) -> bool {
    name.namespace == "wasi" && name.package == "blobstore"
}

/// Whether the resource is one that `import` itself defines.
fn is_own(import: &Extern, resource: &ResourceRef) -> bool {
    import
        .interface()
        .is_some_and(|i| i.name == resource.interface && i.resources.contains(&resource.name))
}

/// Why no call can carry `import`: an error context means something in one store only.
fn error_context<'a>(resolved: &Resolved<'a>, import: &'a Extern) -> Option<String> {
    let found = resolved.parts.carried(import).error_context?;
    Some(passes(
        import,
        found,
        "cannot cross a call between instances",
    ))
}

/// Says that a function of `import` passes a type: `which` is the end of the sentence.
fn passes(import: &Extern, (f, ty): (&Function, &Type), which: &str) -> String {
    format!("{} passes `{ty}`, which {which}", function(import, f))
}

fn foreign<'a>(
    resolved: &Resolved<'a>,
    import: &'a Extern,
    is_known: impl Fn(&ResourceRef) -> bool,
) -> Option<String> {
    let carried = resolved.parts.carried(import);
    let mut handles = carried.handles.iter();
    let (f, resource) = handles.find(|(_, resource)| !is_known(resource))?;
    Some(format!(
        "{} passes the resource {}, which is not of this link",
        function(import, f),
        whose(resource)
    ))
}

/// Why `import` is not the same to both ends: a type of it that no function passes is made of a resource which is not
/// known. Calls need nothing of it, but a composition says that the types are one.
fn mentioned<'a>(
    resolved: &Resolved<'a>,
    import: &'a Extern,
    is_known: impl Fn(&ResourceRef) -> bool,
) -> Option<String> {
    let carried = resolved.parts.carried(import);
    let mut named = carried.named.iter();
    let resource = named.find(|resource| !is_known(resource))?;
    Some(format!(
        "a type of `{}` is made of the resource {}, which is not of this link",
        describe(import),
        whose(resource)
    ))
}

/// A resource, and the interface that has it.
fn whose(resource: &ResourceRef) -> String {
    match &resource.interface {
        Some(interface) => format!("`{}` of `{interface}`", resource.name),
        None => format!("`{}` of the component itself", resource.name),
    }
}

fn function(import: &Extern, f: &Function) -> String {
    if import.interface().is_some() {
        format!("`{}` of `{}`", f.name, describe(import))
    } else {
        format!("`{}`", f.name)
    }
}
