//! WASI's interfaces under names that Wasmtime does not define.
//!
//! `wasmtime-wasi` defines each interface under its release's name, which releases of one track and nothing
//! else find. A draft (`wasi:cli/stdout@0.3.0-rc-2026-03-15`) and a label (`import dice: wasi:random/random`)
//! are names of their own. The linker lets them pass where their types are those of the release; here they
//! get its functions.

use wasmtime::component::{HasData, LinkerInstance, ResourceTable};
use wasmtime::{Result, bail};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings as v2;
use wasmtime_wasi::p3::bindings as v3;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi_http::p2::bindings as http2;
use wasmtime_wasi_http::p3::bindings as http3;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView as _};
use withe_wit::InterfaceName;

use crate::core::InstanceState;

/// `wasi:io` works on the table alone.
struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

fn table(state: &mut InstanceState) -> &mut ResourceTable {
    &mut state.table
}

/// Defines the functions and resources of the interface `name` of WASI 0.2 or 0.3, whatever `linker` calls it.
pub(super) fn define(
    linker: &mut LinkerInstance<'_, InstanceState>,
    name: &InterfaceName,
) -> Result<()> {
    let minor = match &name.version {
        Some(version) if version.major == 0 => version.minor,
        _ => bail!("`{name}` is of no release of WASI that the host has"),
    };
    // Calls what the bindings generated, which differ in their types only.
    macro_rules! define {
        ($($module:ident)::+, $data:ty, $get:expr) => {
            $($module)::+::add_to_linker_instance::<InstanceState, $data>(linker, $get)
        };
        ($($module:ident)::+, $data:ty, $options:expr, $get:expr) => {
            $($module)::+::add_to_linker_instance::<InstanceState, $data>(linker, $options, $get)
        };
    }
    match (minor, name.package.as_str(), name.interface.as_str()) {
        (2, "io", "error") => define!(v2::io::error, HasIo, table),
        (2, "io", "poll") => define!(v2::io::poll, HasIo, table),
        (2, "io", "streams") => define!(v2::io::streams, HasIo, table),
        (2, "clocks", "wall-clock") => {
            define!(v2::clocks::wall_clock, WasiClocks, InstanceState::clocks)
        }
        (2, "clocks", "monotonic-clock") => {
            define!(
                v2::clocks::monotonic_clock,
                WasiClocks,
                InstanceState::clocks
            )
        }
        (2, "random", "random") => define!(v2::random::random, WasiRandom, InstanceState::random),
        (2, "random", "insecure") => {
            define!(v2::random::insecure, WasiRandom, InstanceState::random)
        }
        (2, "random", "insecure-seed") => {
            define!(v2::random::insecure_seed, WasiRandom, InstanceState::random)
        }
        (2, "cli", "exit") => define!(v2::cli::exit, WasiCli, InstanceState::cli),
        (2, "cli", "stdin") => define!(v2::cli::stdin, WasiCli, InstanceState::cli),
        (2, "cli", "terminal-input") => {
            define!(v2::cli::terminal_input, WasiCli, InstanceState::cli)
        }
        (2, "cli", "terminal-output") => {
            define!(v2::cli::terminal_output, WasiCli, InstanceState::cli)
        }
        (2, "cli", "terminal-stdin") => {
            define!(v2::cli::terminal_stdin, WasiCli, InstanceState::cli)
        }
        (2, "cli", "terminal-stdout") => {
            define!(v2::cli::terminal_stdout, WasiCli, InstanceState::cli)
        }
        (2, "cli", "terminal-stderr") => {
            define!(v2::cli::terminal_stderr, WasiCli, InstanceState::cli)
        }
        (2, "filesystem", "types") => {
            define!(
                v2::filesystem::types,
                WasiFilesystem,
                InstanceState::filesystem
            )
        }
        (2, "filesystem", "preopens") => {
            define!(
                v2::filesystem::preopens,
                WasiFilesystem,
                InstanceState::filesystem
            )
        }
        (2, "sockets", "network") => {
            let options = v2::sockets::network::LinkOptions::default();
            define!(
                v2::sockets::network,
                WasiSockets,
                &options,
                InstanceState::sockets
            )
        }
        (2, "sockets", "instance-network") => {
            define!(
                v2::sockets::instance_network,
                WasiSockets,
                InstanceState::sockets
            )
        }
        (2, "sockets", "ip-name-lookup") => {
            define!(
                v2::sockets::ip_name_lookup,
                WasiSockets,
                InstanceState::sockets
            )
        }
        (2, "sockets", "tcp") => define!(v2::sockets::tcp, WasiSockets, InstanceState::sockets),
        (2, "sockets", "tcp-create-socket") => {
            define!(
                v2::sockets::tcp_create_socket,
                WasiSockets,
                InstanceState::sockets
            )
        }
        (2, "sockets", "udp") => define!(v2::sockets::udp, WasiSockets, InstanceState::sockets),
        (2, "sockets", "udp-create-socket") => {
            define!(
                v2::sockets::udp_create_socket,
                WasiSockets,
                InstanceState::sockets
            )
        }
        (2, "http", "types") => {
            let options = http2::http::types::LinkOptions::default();
            define!(http2::http::types, WasiHttp, &options, InstanceState::http)
        }
        (3, "clocks", "types") => define!(v3::clocks::types, WasiClocks, InstanceState::clocks),
        (3, "clocks", "monotonic-clock") => {
            define!(
                v3::clocks::monotonic_clock,
                WasiClocks,
                InstanceState::clocks
            )
        }
        (3, "clocks", "system-clock") => {
            define!(v3::clocks::system_clock, WasiClocks, InstanceState::clocks)
        }
        (3, "random", "random") => define!(v3::random::random, WasiRandom, InstanceState::random),
        (3, "random", "insecure") => {
            define!(v3::random::insecure, WasiRandom, InstanceState::random)
        }
        (3, "random", "insecure-seed") => {
            define!(v3::random::insecure_seed, WasiRandom, InstanceState::random)
        }
        (3, "cli", "types") => Ok(()),
        (3, "cli", "exit") => define!(v3::cli::exit, WasiCli, InstanceState::cli),
        (3, "cli", "stdin") => define!(v3::cli::stdin, WasiCli, InstanceState::cli),
        (3, "cli", "stdout") => define!(v3::cli::stdout, WasiCli, InstanceState::cli),
        (3, "cli", "stderr") => define!(v3::cli::stderr, WasiCli, InstanceState::cli),
        (3, "cli", "terminal-input") => {
            define!(v3::cli::terminal_input, WasiCli, InstanceState::cli)
        }
        (3, "cli", "terminal-output") => {
            define!(v3::cli::terminal_output, WasiCli, InstanceState::cli)
        }
        (3, "cli", "terminal-stdin") => {
            define!(v3::cli::terminal_stdin, WasiCli, InstanceState::cli)
        }
        (3, "cli", "terminal-stdout") => {
            define!(v3::cli::terminal_stdout, WasiCli, InstanceState::cli)
        }
        (3, "cli", "terminal-stderr") => {
            define!(v3::cli::terminal_stderr, WasiCli, InstanceState::cli)
        }
        (3, "filesystem", "types") => {
            define!(
                v3::filesystem::types,
                WasiFilesystem,
                InstanceState::filesystem
            )
        }
        (3, "filesystem", "preopens") => {
            define!(
                v3::filesystem::preopens,
                WasiFilesystem,
                InstanceState::filesystem
            )
        }
        (3, "sockets", "types") => define!(v3::sockets::types, WasiSockets, InstanceState::sockets),
        (3, "sockets", "ip-name-lookup") => {
            define!(
                v3::sockets::ip_name_lookup,
                WasiSockets,
                InstanceState::sockets
            )
        }
        (3, "http", "types") => define!(http3::http::types, WasiHttp, InstanceState::http),
        _ => bail!("the host has no `{name}`"),
    }
}
