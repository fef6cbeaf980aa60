//! Defines those of the host's interfaces whose functions depend on who calls, and WASI's under names that Wasmtime
//! does not know. All else of WASI is Wasmtime's.

use wasmtime::Result;
use wasmtime::component::Linker;
use withe_wit::InterfaceName;

use super::{cli, config, lattice, logging, rpc, secrets, wasi};
use crate::core::InstanceState;

/// Defines the import `import` of a unit's `member`, which is the interface `name` with these functions. Facts
/// about the member come from the instance's own unit. `is_wasmtimes` says that Wasmtime has defined the import, or
/// that it has types alone.
pub(crate) fn define(
    linker: &mut Linker<InstanceState>,
    import: &str,
    name: &InterfaceName,
    member: usize,
    functions: &[String],
    is_wasmtimes: bool,
) -> Result<()> {
    let path = (
        name.namespace.as_str(),
        name.package.as_str(),
        name.interface.as_str(),
    );
    let is_p2 = name
        .version
        .as_ref()
        .is_some_and(|v| (v.major, v.minor) == (0, 2));
    match path {
        ("wasi", "cli", "environment") => {
            cli::environment(&mut linker.instance(import)?, member, functions)
        }
        ("wasi", "cli", "stdout") if is_p2 => cli::stdout(&mut linker.instance(import)?, member),
        ("wasi", "cli", "stderr") if is_p2 => cli::stderr(&mut linker.instance(import)?, member),
        ("wasi", "config", _) => config::define(&mut linker.instance(import)?, member, functions),
        ("wasi", "logging", "logging") => logging::define(&mut linker.instance(import)?, member),
        ("wrpc", "rpc", "error") => rpc::define(&mut linker.instance(import)?, functions),
        ("wasmcloud", "secrets", "store") => secrets::store(&mut linker.instance(import)?, member),
        ("wasmcloud", "secrets", "reveal") => secrets::reveal(&mut linker.instance(import)?),
        ("wasmcloud", "bus", "lattice") => {
            let returns_result = name.version.as_ref().is_some_and(|v| v.major >= 2);
            lattice::define(&mut linker.instance(import)?, member, returns_result)
        }
        ("wasi", ..) if !is_wasmtimes => wasi::define(&mut linker.instance(import)?, name),
        _ => Ok(()),
    }
}
