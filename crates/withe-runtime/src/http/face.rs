//! The interfaces of `wasi:http` through which requests go.

use withe_wit::InterfaceName;

/// The sort of an export of a component that takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFace {
    /// `incoming-handler` or `handler`: the component answers them.
    Handler,
    /// `outgoing-handler` or `client`: the component sends them on for others.
    Client,
}

impl HttpFace {
    /// The face of an interface; `None` if no requests go through it.
    pub fn of(name: &InterfaceName) -> Option<Self> {
        if name.namespace != "wasi" || name.package != "http" {
            return None;
        }
        match name.interface.as_str() {
            "incoming-handler" | "handler" => Some(Self::Handler),
            "outgoing-handler" | "client" => Some(Self::Client),
            _ => None,
        }
    }

    /// The face of an interface through which requests go, by its name without a version.
    pub(crate) fn of_unversioned(name: &str) -> Self {
        let name = name.parse::<InterfaceName>().ok();
        name.and_then(|name| Self::of(&name))
            .unwrap_or(Self::Client)
    }
}

/// Whether an interface that is imported over a link is one through which the component sends requests.
pub(crate) fn is_sent(name: &InterfaceName) -> bool {
    HttpFace::of(name).is_some()
}

/// Whether an interface has the resources that requests are.
pub(crate) fn is_types(name: &InterfaceName) -> bool {
    name.namespace == "wasi" && name.package == "http" && name.interface == "types"
}
