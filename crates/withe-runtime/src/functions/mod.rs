//! Host functions: which interfaces the host gives, and those whose implementation is ours because
//! they depend on who calls. All else of WASI is Wasmtime's.

mod cli;
mod config;
pub(crate) mod imports;
mod lattice;
mod log_stream;
mod logging;
pub(crate) mod rpc;

pub(crate) use lattice::LatticeNames;
pub(crate) use log_stream::LogStream;

use semver::Version;
use withe_wit::InterfaceName;

/// WASI as Wasmtime 48 gives it: package, version, interfaces.
const WASI: &[(&str, &str, &[&str])] = &[
    (
        "cli",
        "0.2.12",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", "0.2.12", &["monotonic-clock", "wall-clock"]),
    ("filesystem", "0.2.12", &["types", "preopens"]),
    ("http", "0.2.12", &["types"]),
    ("io", "0.2.12", &["error", "poll", "streams"]),
    ("random", "0.2.12", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        "0.2.12",
        &[
            "network",
            "instance-network",
            "ip-name-lookup",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
    (
        "cli",
        "0.3.0",
        &[
            "types",
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    (
        "clocks",
        "0.3.0",
        &["types", "monotonic-clock", "system-clock"],
    ),
    ("filesystem", "0.3.0", &["types", "preopens"]),
    ("http", "0.3.0", &["types"]),
    ("random", "0.3.0", &["random", "insecure", "insecure-seed"]),
    ("sockets", "0.3.0", &["types", "ip-name-lookup"]),
    // Ours.
    ("config", "0.2.0-draft", &["runtime", "store"]),
    ("config", "0.2.0-rc.1", &["store"]),
    ("logging", "0.1.0-draft", &["logging"]),
    ("logging", "", &["logging"]),
];

/// wasmCloud's own interfaces that the host gives.
const WASMCLOUD: &[(&str, &str, &[&str])] = &[
    ("bus", "1.0.0", &["lattice"]),
    ("bus", "2.0.1", &["lattice"]),
];

/// wRPC's interfaces that the host gives.
const WRPC: &[(&str, &str, &[&str])] = &[("rpc", "0.1.0", &["error"])];

/// Interfaces that the host itself gives every component, each with the newest version it has.
pub fn host_interfaces() -> Vec<InterfaceName> {
    let names = |namespace: &'static str, list: &'static [(&str, &str, &[&str])]| {
        list.iter().flat_map(move |(package, version, interfaces)| {
            interfaces.iter().map(move |interface| InterfaceName {
                namespace: namespace.into(),
                package: (*package).into(),
                interface: (*interface).into(),
                // The table's versions are literals; an empty one means unversioned.
                version: Version::parse(version).ok(),
            })
        })
    };
    names("wasi", WASI)
        .chain(names("wasmcloud", WASMCLOUD))
        .chain(names("wrpc", WRPC))
        .collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_in_the_table_is_one() {
        for (_, version, _) in WASI.iter().chain(WASMCLOUD).chain(WRPC) {
            assert!(
                version.is_empty() || Version::parse(version).is_ok(),
                "{version}"
            );
        }
    }
}
