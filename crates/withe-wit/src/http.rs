//! Interfaces of `wasi:http` through which requests go, and which of them can stand for which.
//!
//! Requests and responses are resources of each component's own host, which takes them out of one component and puts them
//! into another as messages. So two components that are linked need not have the same release of WASI, nor the same
//! interface: what one of them sends, the other can handle.

use crate::name::InterfaceName;

/// The sort of an interface through which requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFace {
    /// `incoming-handler` or `handler`: whoever exports it answers them.
    Handler,
    /// `outgoing-handler` or `client`: whoever exports it sends them on for others.
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
}

/// Whether an export is what an import asks for, in another release of WASI: requests through the one can be taken by the
/// other.
pub fn is_of_another_release(import: &InterfaceName, export: &InterfaceName) -> bool {
    let (Some(wanted), Some(found)) = (release(import), release(export)) else {
        return false;
    };
    wanted != found && HttpFace::of(import) == HttpFace::of(export)
}

/// Whether a component that sends its requests through the import can be answered by the export, which handles requests,
/// of whatever release either is.
pub fn is_handler_of_client(import: &InterfaceName, export: &InterfaceName) -> bool {
    release(import).is_some()
        && release(export).is_some()
        && HttpFace::of(import) == Some(HttpFace::Client)
        && HttpFace::of(export) == Some(HttpFace::Handler)
}

/// The release of WASI, 0.2 or 0.3 by its second number, that an interface through which requests go is of.
fn release(name: &InterfaceName) -> Option<u64> {
    HttpFace::of(name)?;
    let version = name.version.as_ref().filter(|version| version.major == 0)?;
    let of_release = match name.interface.as_str() {
        "incoming-handler" | "outgoing-handler" => 2,
        _ => 3,
    };
    (version.minor == of_release).then_some(of_release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_and_clients_stand_for_those_of_the_other_release_and_handlers_for_clients() {
        let [old, new, out, client] = [
            "wasi:http/incoming-handler@0.2.6",
            "wasi:http/handler@0.3.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:http/client@0.3.0-rc-2026-03-15",
        ];
        let released = |a: &str, b: &str| {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            (is_of_another_release(&a, &b), is_handler_of_client(&a, &b))
        };
        for (import, export, expected) in [
            (old, new, (true, false)),
            (new, old, (true, false)),
            (out, client, (true, false)),
            (client, out, (true, false)),
            (out, old, (false, true)),
            (out, new, (false, true)),
            (client, old, (false, true)),
            (client, new, (false, true)),
            (old, old, (false, false)),
            (old, "wasi:http/incoming-handler@0.2.0", (false, false)),
            (new, client, (false, false)),
            (old, "wasi:http/types@0.3.0", (false, false)),
            (old, "wasi:http/handler@0.2.0", (false, false)),
            (old, "wasi:http/handler@1.0.0", (false, false)),
            (old, "wasi:http/handler", (false, false)),
            (old, "other:http/handler@0.3.0", (false, false)),
        ] {
            assert_eq!(released(import, export), expected, "{import} {export}");
        }
    }
}
