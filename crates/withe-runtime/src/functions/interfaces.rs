//! The interfaces that the host itself gives every component, with all their functions and types.
//!
//! The linker compares a component's imports with them, so they have to be what a component finds when it is
//! instantiated. `wasmtime-wasi` does not offer the WIT that it was generated from, and what is unstable in it is
//! not there without being asked for; so the signatures stand in `wit/` of this crate, and `tests/host.rs` links a
//! component that imports all of them. Additions of a newer Wasmtime are to be added by hand.
//!
//! Reading them takes a few milliseconds, once a process and only when something is linked.

use std::sync::{Arc, LazyLock};

use withe_wit::World;

/// The WIT of what the host itself gives every component: each text a package with a world `host`, which imports it.
pub const HOST_WIT: [&str; 3] = [
    include_str!("../../wit/wasi-0.2.wit"),
    include_str!("../../wit/wasi-0.3.wit"),
    include_str!("../../wit/host.wit"),
];

static WORLD: LazyLock<Arc<World>> = LazyLock::new(|| {
    let mut world = World::default();
    for text in HOST_WIT {
        match World::from_wit(&[text], "host") {
            Ok(read) => world.imports.extend(read.imports),
            // The texts are constants, and a test reads them.
            Err(error) => unreachable!("the host's WIT: {error}"),
        }
    }
    Arc::new(world)
});

/// The interfaces that the host itself gives every component, as the imports of a world: each interface complete, in
/// the newest version that the host has.
pub fn host_interfaces() -> Arc<World> {
    WORLD.clone()
}
