//! Host functions: which interfaces the host gives, and those whose implementation is ours because
//! they depend on who calls. All else of WASI is Wasmtime's.

pub(crate) mod host;

mod cli;
mod config;
mod interfaces;
mod lattice;
mod logging;
pub(crate) mod rpc;
mod secrets;
mod wasi;

pub use interfaces::{HOST_WIT, host_interfaces};

use withe_wit::InterfaceName;

/// Whether an import of this interface must be each component's own in a composition: what it gives
/// depends on who asks. Interfaces that define the resources which others pass on must be shared.
///
/// `wasi:cli/stdout` and its like of WASI 0.3 are shared, too: what a composition of such components
/// prints is logged under its root's name.
pub fn is_per_component(interface: &InterfaceName) -> bool {
    match (
        interface.namespace.as_str(),
        interface.package.as_str(),
        interface.interface.as_str(),
    ) {
        ("wasi", "cli", "environment") => true,
        ("wasi", "cli", "stdout" | "stderr") => interface
            .version
            .as_ref()
            .is_some_and(|v| (v.major, v.minor) == (0, 2)),
        ("wasi", "http", "outgoing-handler" | "client") => true,
        ("wasi", "cli" | "clocks" | "filesystem" | "http" | "io" | "random" | "sockets", _) => {
            false
        }
        ("wrpc", "rpc", "error") => false,
        _ => true,
    }
}
