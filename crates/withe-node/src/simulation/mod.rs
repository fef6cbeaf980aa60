//! Whole hosts on a lattice under faults: they join, crash, leave and are cut off, while applications are put, replaced
//! and removed, clocks jump, and the lattice loses its data.
//!
//! The hosts are the real ones, with their controllers, tables, tasks and Wasmtime; the lattice is the embedded one, behind
//! connections that delay, are cut, and lose the answers to what was done ([`lattice`]). Time is Tokio's paused one, so
//! that minutes pass in milliseconds. Calls between hosts are not made here: `withe-rpc` simulates those, and the planner's
//! simulation goes through far more decisions than this one has time for.
//!
//! The invariants (a failing run names its seed, which runs alone by
//! `WITHE_SIMULATION_SEED=N cargo test --workspace --lib simulation::`):
//!
//! * No deployment is replaced by one with a lower number, and no host follows a lower one than it did, but for a lattice
//!   that has lost its data.
//! * With the faults over, hosts run exactly what is desired, where the deployment says, and nothing else; and nothing
//!   changes any more.
//! * When a host leaves, or an application is replaced, no part that ran is nowhere for a moment.
//!
//! Tokio decides at random which branch of a `select!` is polled first, and components are compiled on other threads, so
//! a seed fixes the faults and not the last interleaving.

mod lattice;
mod observer;
mod shop;
pub(crate) mod time;
mod world;

use std::env;

use world::{Seen, World};

/// How many seeds each run of the tests tries.
const SEEDS: u64 = 25;

/// The variable that names the only seed to be tried.
const SEED: &str = "WITHE_SIMULATION_SEED";

/// The variable that says how many seeds are tried.
const COUNT: &str = "WITHE_SIMULATION_SEEDS";

#[test]
fn whatever_fails_hosts_run_what_is_desired_in_the_end() {
    let number = |name| env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number(SEED) {
        Some(seed) => seed..seed + 1,
        None => 0..number(COUNT).unwrap_or(SEEDS),
    };
    let many = seeds.end - seeds.start;
    let mut seen = Seen::default();
    for seed in seeds {
        seen += World::run(seed);
    }
    println!("{seen:?}");
    // A simulation in which nothing breaks would hold to anything.
    if many >= SEEDS {
        assert!(
            seen.crashed > 0 && seen.left > 0 && seen.cut > 0,
            "{seen:?}"
        );
        assert!(
            seen.put > 0 && seen.removed > 0 && seen.lost > 0,
            "{seen:?}"
        );
    }
}
