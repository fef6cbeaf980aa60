//! The interfaces of `wasi:http` through which requests go, as the runtime finds them.

use withe_wit::InterfaceName;

pub use withe_wit::HttpFace;

/// The face of an interface through which requests go, by its name without a version.
pub(crate) fn of_unversioned(name: &str) -> HttpFace {
    let name = name.parse::<InterfaceName>().ok();
    name.and_then(|name| HttpFace::of(&name))
        .unwrap_or(HttpFace::Client)
}

/// Whether an interface that is imported over a link is one through which the component sends requests.
pub(crate) fn is_sent(name: &InterfaceName) -> bool {
    HttpFace::of(name).is_some()
}

/// Whether an interface has the resources that requests are.
pub(crate) fn is_types(name: &InterfaceName) -> bool {
    name.namespace == "wasi" && name.package == "http" && name.interface == "types"
}
