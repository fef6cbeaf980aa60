//! The request for a link that an importer's process sends to an exporter's.

use withe_linker::input::ComponentKind;
use withe_linker::plan::{Plan, PlannedLink};
use withe_provider::{blob_wire, http_wire};
use withe_rpc::{LinkFunction, LinkRequest};
use withe_runtime::DROP;
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
    let mut functions: Vec<_> = parts.functions(link).into_iter().map(function).collect();
    if !to_provider {
        functions.push(LinkFunction {
            function: DROP.into(),
            ..LinkFunction::default()
        });
    }
    with_functions(plan, link, functions)
}

/// Whether a link from a provider leads to an HTTP handler: then the provider sends it requests.
pub(crate) fn carries_http(link: &PlannedLink) -> bool {
    let is_handler = |name: &str| {
        name.parse().is_ok_and(|name: InterfaceName| {
            name.namespace == "wasi"
                && name.package == "http"
                && matches!(name.interface.as_str(), "incoming-handler" | "handler")
        })
    };
    link.interfaces.iter().any(|i| is_handler(&i.interface))
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
