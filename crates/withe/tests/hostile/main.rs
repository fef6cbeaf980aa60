//! Attacks on the built command, from each side that may be hostile: clients, guests, peers, members of
//! a lattice, the disk.
//!
//! Each attack is bounded to seconds, stays on loopback, and says what has to hold: `docs/security.md`
//! promises no more than what is tried here.
#![cfg(target_os = "linux")]

mod cache;
mod compile;
mod files;
mod logs;
mod pools;
mod smuggling;
mod sockets;
mod spinning;
#[path = "../e2e/support/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the end-to-end tests, which use all of it"
)]
mod support;
mod temporary;
mod trust;
