//! Requests a second and latency of a component behind `http-server`, beside `wasmtime serve`.
//!
//! The servers take turns, so that what else the machine does falls on all of them.

use std::time::Duration;

use anyhow::Result;

use crate::load::{self, Load};
use crate::servers::{self, App, Server, guest};
use crate::{calls, median};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);

pub(crate) fn run() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let composed = cache.path().join("composed.wasm");
    std::fs::write(&composed, calls::composed_by_wac("hello-calls", "ops")?)?;
    let hello = App {
        chain: vec![guest("hello")],
        path: "/",
        ..App::default()
    };
    let pair = App {
        chain: vec![guest("hello-calls"), guest("ops")],
        path: "/add",
        ..App::default()
    };

    println!(
        "HTTP: requests a second (p50, p99), medians of {ROUNDS} rounds of {} s",
        TIME.as_secs()
    );
    let mut servers = vec![
        (
            "hello: wasmtime serve",
            "/",
            servers::wasmtime(&guest("hello"), "/")?,
        ),
        ("hello: withe", "/", hello.withe(cache.path())?),
        (
            "hello: withe, reuse 1000",
            "/",
            App {
                reuse: Some(1000),
                ..hello.clone()
            }
            .withe(cache.path())?,
        ),
        (
            "pair: wasmtime serve, composed by wac",
            "/add",
            servers::wasmtime(&composed, "/add")?,
        ),
        (
            "pair: withe, fused",
            "/add",
            App {
                binding: Some("fused"),
                ..pair.clone()
            }
            .withe(cache.path())?,
        ),
        (
            "pair: withe, local",
            "/add",
            App {
                binding: Some("local"),
                ..pair
            }
            .withe(cache.path())?,
        ),
    ];
    for connections in [1, 50] {
        let results = take_turns(&mut servers, connections)?;
        println!(
            "\n  {connections} connection{}",
            if connections == 1 { "" } else { "s" }
        );
        let floor_of = |i: usize| {
            if i < 3 {
                results[0].per_second
            } else {
                results[3].per_second
            }
        };
        for (i, ((name, _, _), load)) in servers.iter().zip(&results).enumerate() {
            println!(
                "  {name:<40} {:>8.0}/s  {:>6.2} ms {:>6.2} ms   {:.2}x",
                load.per_second,
                load.p50.as_secs_f64() * 1e3,
                load.p99.as_secs_f64() * 1e3,
                load.per_second / floor_of(i)
            );
        }
        println!(
            "  fused pair over unlinked hello: {:.2}",
            results[4].per_second / results[1].per_second
        );
        if connections == 1 {
            let micros = |i: usize| 1e6 / results[i].per_second;
            println!(
                "  a fused second component costs {:.0} us, a local one {:.0} us a request",
                micros(4) - micros(1),
                micros(5) - micros(1)
            );
        }
    }
    Ok(())
}

fn take_turns(servers: &mut [(&str, &str, Server)], connections: usize) -> Result<Vec<Load>> {
    let mut all = vec![Vec::new(); servers.len()];
    for round in 0..=ROUNDS {
        for ((_, path, server), loads) in servers.iter().zip(&mut all) {
            // The first round warms up.
            let time = if round == 0 {
                Duration::from_millis(500)
            } else {
                TIME
            };
            let load = load::run(server.address, path, connections, time)?;
            if round > 0 {
                loads.push(load);
            }
        }
    }
    let middle = |loads: &[Load], f: &dyn Fn(&Load) -> f64| median(loads.iter().map(f).collect());
    Ok(all
        .iter()
        .map(|loads| Load {
            per_second: middle(loads, &|l| l.per_second),
            p50: Duration::from_secs_f64(middle(loads, &|l| l.p50.as_secs_f64())),
            p99: Duration::from_secs_f64(middle(loads, &|l| l.p99.as_secs_f64())),
        })
        .collect())
}
