//! Requests a second and latency of components behind `http-server`, beside `wasmtime serve`.
//!
//! Each component is served in two ways by both: with a fresh instance for each request, and with instances that serve
//! several. `wasmtime serve` by itself reuses the instances of WASI 0.3 and not those of 0.2, and `withe up` none.
//!
//! Beside those is the least that a host can be ([`crate::bare`]), fresh and reused, and a server without any component: no host is
//! faster than these.
//!
//! The servers take turns, so that what else the machine does falls on all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::load::{self, Load};
use crate::servers::{self, App, Instances, Server, guest};
use crate::{calls, median};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);
/// How many requests an instance serves where it serves several.
const REUSE: u32 = 1000;

/// Rows that others are compared with, or whose ratio is asked for.
const SERVE_P2: &str = "0.2 hello, fresh: wasmtime serve";
const HELLO: &str = "0.2 hello, fresh: withe";
const BARE_P2: &str = "0.2 hello, fresh: hyper and Wasmtime alone";
const SERVE_P3: &str = "0.3 hello, fresh: wasmtime serve";
const SERVE_REUSED: &str = "0.3 hello, reused: wasmtime serve";
const SERVE_PAIR: &str = "pair, fresh: wasmtime serve, composed by wac";
const FUSED: &str = "pair, fresh: withe, fused";
const BARE_PAIR: &str = "pair, fresh: hyper and Wasmtime alone, composed by wac";
const LOCAL: &str = "pair, fresh: withe, local";

/// A server, and the row that it is compared with.
struct Row {
    name: &'static str,
    path: &'static str,
    server: Server,
    floor: &'static str,
}

pub(crate) fn run() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let composed = cache.path().join("composed.wasm");
    std::fs::write(&composed, calls::composed_by_wac("hello-calls", "ops")?)?;
    let mut rows = rows(cache.path(), &composed)?;

    println!(
        "HTTP: requests a second (p50, p99), medians of {ROUNDS} rounds of {} s",
        TIME.as_secs()
    );
    for connections in [1, 50] {
        let results = take_turns(&mut rows, connections)?;
        println!(
            "\n  {connections} connection{}",
            if connections == 1 { "" } else { "s" }
        );
        // Every name here is that of a row; one that is not shows as no number.
        let per_second = |name: &str| {
            let mut all = rows.iter().zip(&results);
            let row = all.find(|(row, _)| row.name == name);
            row.map_or(f64::NAN, |(_, load)| load.per_second)
        };
        for (row, load) in rows.iter().zip(&results) {
            println!(
                "  {:<54} {:>8.0}/s  {:>6.2} ms {:>6.2} ms   {:.2}x",
                row.name,
                load.per_second,
                load.p50.as_secs_f64() * 1e3,
                load.p99.as_secs_f64() * 1e3,
                load.per_second / per_second(row.floor)
            );
        }
        let over = |pair, hello| per_second(pair) / per_second(hello);
        println!(
            "  fused pair over unlinked hello: {:.2}; composed by wac, with wasmtime serve: {:.2}, with hyper and Wasmtime alone: {:.2}",
            over(FUSED, HELLO),
            over(SERVE_PAIR, SERVE_P2),
            over(BARE_PAIR, BARE_P2)
        );
        if connections == 1 {
            let micros = |name| 1e6 / per_second(name);
            println!(
                "  a fused second component costs {:.0} us, a local one {:.0} us a request",
                micros(FUSED) - micros(HELLO),
                micros(LOCAL) - micros(HELLO)
            );
        }
    }
    Ok(())
}

/// All servers.
fn rows(cache: &Path, composed: &Path) -> Result<Vec<Row>> {
    let wasmtime = servers::wasmtime;
    let withe = |chain: &[PathBuf], path, binding, reuse| {
        let app = App {
            chain: chain.to_vec(),
            binding,
            reuse,
            path,
            client: false,
        };
        app.withe(cache)
    };
    let hello = [guest("hello")];
    let hello_p3 = [guest("hello-p3")];
    let pair = [guest("hello-calls"), guest("ops")];
    let row = |name, path, server, floor| Row {
        name,
        path,
        server,
        floor,
    };
    Ok(vec![
        row(
            SERVE_P2,
            "/",
            wasmtime(&hello[0], "/", Instances::Fresh)?,
            SERVE_P2,
        ),
        row(HELLO, "/", withe(&hello, "/", None, None)?, SERVE_P2),
        row(
            BARE_P2,
            "/",
            servers::bare(Some(&hello[0]), "/", false)?,
            SERVE_P2,
        ),
        row(
            "0.2 hello, reused: withe",
            "/",
            withe(&hello, "/", None, Some(REUSE))?,
            SERVE_P2,
        ),
        row(
            SERVE_P3,
            "/",
            wasmtime(&hello_p3[0], "/", Instances::Fresh)?,
            SERVE_P3,
        ),
        row(
            "0.3 hello, fresh: withe",
            "/",
            withe(&hello_p3, "/", None, None)?,
            SERVE_P3,
        ),
        row(
            "0.3 hello, fresh: hyper and Wasmtime alone",
            "/",
            servers::bare(Some(&hello_p3[0]), "/", false)?,
            SERVE_P3,
        ),
        row(
            SERVE_REUSED,
            "/",
            wasmtime(&hello_p3[0], "/", Instances::Default)?,
            SERVE_REUSED,
        ),
        row(
            "0.3 hello, reused: withe",
            "/",
            withe(&hello_p3, "/", None, Some(REUSE))?,
            SERVE_REUSED,
        ),
        row(
            "0.3 hello, reused: hyper and Wasmtime alone",
            "/",
            servers::bare(Some(&hello_p3[0]), "/", true)?,
            SERVE_REUSED,
        ),
        row(
            "no component: hyper alone",
            "/",
            servers::bare(None, "/", false)?,
            SERVE_REUSED,
        ),
        row(
            SERVE_PAIR,
            "/add",
            wasmtime(composed, "/add", Instances::Fresh)?,
            SERVE_PAIR,
        ),
        row(
            "pair, reused: withe, fused",
            "/add",
            withe(&pair, "/add", Some("fused"), Some(REUSE))?,
            SERVE_PAIR,
        ),
        row(
            FUSED,
            "/add",
            withe(&pair, "/add", Some("fused"), None)?,
            SERVE_PAIR,
        ),
        row(
            BARE_PAIR,
            "/add",
            servers::bare(Some(composed), "/add", false)?,
            SERVE_PAIR,
        ),
        row(
            LOCAL,
            "/add",
            withe(&pair, "/add", Some("local"), None)?,
            SERVE_PAIR,
        ),
    ])
}

/// The medians of what each server does, in turns.
fn take_turns(rows: &mut [Row], connections: usize) -> Result<Vec<Load>> {
    let mut all = vec![Vec::new(); rows.len()];
    for round in 0..=ROUNDS {
        for (row, loads) in rows.iter_mut().zip(&mut all) {
            // The first round warms up.
            let time = if round == 0 {
                Duration::from_millis(500)
            } else {
                TIME
            };
            let load = load::run(row.server.address, row.path, connections, time)?;
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
