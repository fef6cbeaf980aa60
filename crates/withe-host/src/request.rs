//! The request for a link that an importer's process sends to an exporter's.

use withe_linker::input::ComponentKind;
use withe_linker::plan::{Plan, PlannedInterface, PlannedLink};
use withe_provider::{blob_wire, http_wire};
use withe_rpc::{LinkFunction, LinkRequest};
use withe_runtime::{DROP, HttpFace};
use withe_wit::InterfaceName;

use crate::parts::{LinkedFunction, Parts};

/// The request that the importer's process sends to the exporter's.
pub(crate) fn request(plan: &Plan, parts: &Parts, link: &PlannedLink) -> LinkRequest {
    let to_provider = is_provider(plan, &link.target);
    let pairs = parts.pairs(link);
    let function = |f: LinkedFunction<'_>| {
        let digest = f.ty.digest(&pairs);
        if to_provider {
            return LinkFunction {
                interface: f.name.interface,
                function: f.name.function,
                digest,
            };
        }
        let (interface, function) = f.export;
        LinkFunction {
            interface: interface.unwrap_or_default(),
            function,
            digest,
        }
    };
    let called = called(parts, link, !to_provider);
    let mut functions: Vec<_> = called.into_iter().map(function).collect();
    if !to_provider {
        functions.push(LinkFunction {
            function: DROP.into(),
            ..LinkFunction::default()
        });
    }
    with_functions(plan, link, functions)
}

/// The functions of a link that are called by their numbers, in their order. Requests to a component are none of them.
pub(crate) fn called<'a>(
    parts: &'a Parts,
    link: &PlannedLink,
    to_unit: bool,
) -> Vec<LinkedFunction<'a>> {
    let mut functions = parts.functions(link);
    if to_unit && http_export(link).is_some() {
        functions.retain(|f| face_of(&f.name.interface).is_none());
    }
    functions
}

/// The handler to which a link from a provider leads, by its name in the target, if there is one: then the provider sends
/// it requests.
pub(crate) fn http_handler(link: &PlannedLink) -> Option<&str> {
    let mut interfaces = link.interfaces.iter();
    let handler = interfaces.find(|i| face_of(&i.interface) == Some(HttpFace::Handler))?;
    Some(&handler.export)
}

/// The target's export that takes the requests which a link carries; `None` if it carries none. A target may export several,
/// of which the plan has chosen one. A link that has `wasi:http/types` as well carries requests as resources like others.
pub(crate) fn http_export(link: &PlannedLink) -> Option<&str> {
    let is_types = |name: &str| {
        name.parse().is_ok_and(|name: InterfaceName| {
            name.namespace == "wasi" && name.package == "http" && name.interface == "types"
        })
    };
    let mut interfaces = link.interfaces.iter();
    if interfaces.any(|i| is_types(&i.interface)) {
        return None;
    }
    // The target's own interface counts: the host may translate. One that is exported under a label is what the import is.
    let is_taken =
        |i: &&PlannedInterface| face_of(&i.export).is_some() || face_of(&i.interface).is_some();
    let taken = link.interfaces.iter().find(is_taken)?;
    Some(&taken.export)
}

fn face_of(interface: &str) -> Option<HttpFace> {
    HttpFace::of(&interface.parse().ok()?)
}

/// Asks for a link that carries HTTP.
pub(crate) fn http_request(plan: &Plan, link: &PlannedLink) -> LinkRequest {
    with_functions(plan, link, http_wire::functions())
}

/// Whether objects are kept over a link from a component to a provider.
pub(crate) fn carries_blobs(link: &PlannedLink) -> bool {
    let is_blobs = |name: &str| {
        name.parse().is_ok_and(|name: InterfaceName| {
            name.namespace == "wasi" && name.package == "blobstore"
        })
    };
    link.interfaces.iter().any(|i| is_blobs(&i.interface))
}

/// Asks for a link that carries objects.
pub(crate) fn blobs_request(plan: &Plan, link: &PlannedLink) -> LinkRequest {
    with_functions(plan, link, blob_wire::functions())
}

/// Asks for a link with these functions.
pub(crate) fn with_functions(
    plan: &Plan,
    link: &PlannedLink,
    functions: Vec<LinkFunction>,
) -> LinkRequest {
    LinkRequest {
        lattice: String::new(),
        application: plan.application.clone(),
        importer: link.source.clone(),
        name: link.name.clone(),
        target: link.target.clone(),
        functions,
    }
}

/// Whether a part of the plan is a provider.
pub(crate) fn is_provider(plan: &Plan, name: &str) -> bool {
    let mut components = plan.components.iter();
    components.any(|c| c.name == name && c.kind == ComponentKind::Provider)
}

/// Whether a part of the plan runs on other hosts only.
pub fn is_elsewhere(plan: &Plan, name: &str) -> bool {
    let mut components = plan.components.iter();
    components.any(|c| c.name == name && c.elsewhere)
}
