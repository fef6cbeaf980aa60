//! Chaos on the built command: hosts are killed and stopped at every step, servers lose what they had, descriptors and
//! memory run out, disks fail, and clocks are wrong.
//!
//! Each test waits for conditions and asserts no times; what it measures it prints. `docs/security.md` and
//! `docs/lattice.md` promise what holds here.
#![cfg(target_os = "linux")]

#[path = "../e2e/support/mod.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "shared with the end-to-end tests, which use all of it"
)]
mod alone;
mod clocks;
mod deploy;
mod descriptors;
mod disk;
mod everywhere;
mod memory;
mod shim;
mod still;
mod store;
#[path = "../lattice/support/mod.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "shared with the tests of lattices, which use all of it"
)]
mod support;
