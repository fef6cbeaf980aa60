//! `visits` on one host beside the same on three; how long the loss of a replica is felt, and how long it
//! takes until a link that was put is used.
//!
//! All is on one machine, so what a binding costs is seen, and not what more machines give. Every request
//! counts a visit in Redis.

mod lattice;
mod visits;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lattice::{BY_NATS, DIRECT, Lattice};
use visits::Visits;

use crate::load::{self, Load};
use crate::{median, servers};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);

/// How often a replica is killed, and who asks meanwhile.
const KILLS: usize = 5;
const CALLERS: usize = 8;
/// How long the load goes on before and after a kill.
const AROUND: Duration = Duration::from_millis(1500);

/// How often a link is put.
const PUTS: usize = 10;
/// How often a page is asked for before: the first visit that the new target counts is then known by its number.
const BEFORE: usize = 5;

pub(crate) fn run() -> Result<()> {
    let mut lattice = Lattice::start()?;
    throughput(&lattice)?;
    kills(&mut lattice)?;
    puts(&lattice)
}

fn throughput(lattice: &Lattice) -> Result<()> {
    println!(
        "\nHosts: `visits` on Redis, requests a second (p50, p99), medians of {ROUNDS} rounds of {} s",
        TIME.as_secs()
    );
    let mut targets = Vec::new();
    // Where `http` with `front`, `visits` and `store` run.
    for (what, name, binding, [front, visits, store]) in [
        ("one host, fused", "fused", "auto", ["a", "a", "a"]),
        ("one host, local", "local", "local", ["a", "a", "a"]),
        ("three hosts, tcp", "tcp", "tcp", DIRECT),
        ("three hosts, nats", "nats", "nats", BY_NATS),
    ] {
        let address = servers::free_address()?;
        let app = Visits {
            name,
            address,
            redis: lattice.redis(),
            front,
            visits: &[visits],
            store,
            binding,
            second: None,
        };
        lattice.up(name, &app.manifest())?;
        targets.push((what, address));
    }
    for connections in [1, 50] {
        println!("{connections} connections");
        let mut loads = vec![Vec::new(); targets.len()];
        // They take turns, so that what else the machine does falls on all of them; the first warms up.
        for round in 0..=ROUNDS {
            for ((_, address), loads) in targets.iter().zip(&mut loads) {
                let load = load::run(*address, "/bench", connections, TIME)?;
                if round > 0 {
                    loads.push(load);
                }
            }
        }
        let middle =
            |loads: &[Load], f: fn(&Load) -> f64| median(loads.iter().map(f).collect::<Vec<_>>());
        let floor = middle(&loads[0], |l| l.per_second);
        for ((what, _), loads) in targets.iter().zip(&loads) {
            let per_second = middle(loads, |l| l.per_second);
            println!(
                "  {what:<20} {per_second:>8.0}/s  {:>6.2} ms {:>6.2} ms   {:.2}x",
                middle(loads, |l| l.p50.as_secs_f64() * 1e3),
                middle(loads, |l| l.p99.as_secs_f64() * 1e3),
                per_second / floor
            );
        }
    }
    Ok(())
}

/// From the kill of one of two replicas to the last request that failed.
fn kills(lattice: &mut Lattice) -> Result<()> {
    let [front, stays, dies] = DIRECT;
    let address = servers::free_address()?;
    let app = Visits {
        name: "killed",
        address,
        redis: lattice.redis(),
        front,
        visits: &[stays, dies],
        store: front,
        binding: "tcp",
        second: None,
    };
    lattice.up("killed", &app.manifest())?;
    let (mut times, mut failures, mut requests) = (Vec::new(), 0, 0);
    for _ in 0..KILLS {
        lattice.has_replicas("killed", 2)?;
        let stop = AtomicBool::new(false);
        let answers = Mutex::new(Vec::new());
        let killed = thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let mut own = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let served = load::answers(address, "/killed");
                        own.push((Instant::now(), served));
                    }
                    // Nothing panics while the lock is held.
                    answers
                        .lock()
                        .unwrap_or_else(|e| e.into_inner())
                        .extend(own);
                });
            }
            thread::sleep(AROUND);
            let killed = Instant::now();
            lattice.kill_host(dies);
            thread::sleep(AROUND);
            stop.store(true, Ordering::Relaxed);
            killed
        });
        let answers = answers.into_inner().unwrap_or_else(|e| e.into_inner());
        let failed = answers.iter().filter(|(_, served)| !served);
        let last = failed.clone().map(|(at, _)| *at).max();
        let after = last.map_or(Duration::ZERO, |last| {
            last.saturating_duration_since(killed)
        });
        times.push(after.as_secs_f64() * 1e3);
        failures += failed.count();
        requests += answers.len();
        // Its lease runs out first, or it would count as one that is there.
        lattice.has_replicas("killed", 1)?;
        lattice.start_host(dies)?;
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    println!(
        "From `kill -9` of one of two replicas to the last failed request ({CALLERS} callers, {KILLS} times): median \
         {:.1} ms, at most {most:.1} ms; {failures} of {requests} requests failed",
        median(times)
    );
    Ok(())
}

/// From `withe link put` to the first request that the new target answers.
fn puts(lattice: &Lattice) -> Result<()> {
    let [front, one, other] = DIRECT;
    let address = servers::free_address()?;
    let app = Visits {
        name: "put",
        address,
        redis: lattice.redis(),
        front,
        visits: &[one],
        store: front,
        binding: "tcp",
        second: Some(other),
    };
    lattice.up("put", &app.manifest())?;
    let (mut all, mut after_command) = (Vec::new(), Vec::new());
    for n in 0..PUTS {
        let path = format!("/put/{n}");
        for _ in 0..BEFORE {
            load::get(address, &path)?;
        }
        let target = if n % 2 == 0 { "visits-2" } else { "visits" };
        let (begun, done, used) = thread::scope(|scope| -> Result<_> {
            let begun = Instant::now();
            let put = scope.spawn(|| {
                let put = lattice.withe(["link", "put", "put", "front", target, "--wait", "0"]);
                put.map(|_| Instant::now())
            });
            lattice::at_once("the new target answers", || {
                Ok(load::get(address, &path)?.contains("<strong>once</strong>"))
            })?;
            let used = Instant::now();
            let done = put.join().ok().context("`withe link put` panicked")??;
            Ok((begun, done, used))
        })?;
        all.push((used - begun).as_secs_f64() * 1e3);
        after_command.push(used.saturating_duration_since(done).as_secs_f64() * 1e3);
    }
    println!(
        "From `withe link put` to the first request answered by the new target ({PUTS} times): median {:.0} ms from \
         the command's start, {:.0} ms from its end",
        median(all),
        median(after_command)
    );
    Ok(())
}
