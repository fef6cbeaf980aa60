//! The protocol under faults: callers with routes to several servers, over a network that delays, cuts and parts,
//! with servers that crash, stop, start again, and are taken out of routes.
//!
//! The invariants, whatever happens (a failing run names its seed, which runs alone by
//! `WITHE_SIMULATION_SEED=N cargo test -p withe-rpc simulation`):
//!
//! * A call that returned took place, once; no other took place twice. One over an idempotent route takes place
//!   once and for each time that it was made again.
//! * A call returns what belongs to it, and a stream brings all that was written or fails.
//! * A call ends when its deadline passes, at the latest.
//! * With the faults over, calls get through again.
//! * With the callers gone, nothing of them is left on any server.
//!
//! Tokio decides at random which branch of a `select!` is polled first, so a seed fixes the faults and not
//! the last interleaving.

mod network;
mod world;

use std::env;

use world::World;

/// How many seeds each run of the tests tries.
const SEEDS: u64 = 300;

/// The variable that names the only seed to be tried.
const SEED: &str = "WITHE_SIMULATION_SEED";

/// The variable that says how many seeds are tried.
const COUNT: &str = "WITHE_SIMULATION_SEEDS";

#[test]
fn whatever_fails_calls_take_place_once_or_are_told_to_have_failed() {
    let number = |name| env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number(SEED) {
        Some(seed) => seed..seed + 1,
        None => 0..number(COUNT).unwrap_or(SEEDS),
    };
    let mut seen = world::Seen::default();
    for seed in seeds.clone() {
        seen += World::run(seed);
    }
    // A simulation in which nothing succeeds, or nothing fails, would hold to anything.
    if seeds.end - seeds.start >= SEEDS {
        assert!(seen.returned > 0 && seen.failed > 0, "{seen:?}");
        assert!(seen.repeated > 0 && seen.streamed > 0, "{seen:?}");
    }
    println!("{seen:?}");
}
