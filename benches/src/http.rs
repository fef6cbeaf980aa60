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

/// Where the rows are whose ratio is asked for.
const WASMTIME_HELLO: usize = 0;
const HELLO: usize = 1;
const HELLO_BARE: usize = 2;
const COMPOSED: usize = 11;
const FUSED: usize = 13;
const COMPOSED_BARE: usize = 14;
const LOCAL: usize = 15;

/// A server, and the row that it is compared with.
struct Row {
    name: &'static str,
    path: &'static str,
    server: Server,
    floor: usize,
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
        for (row, load) in rows.iter().zip(&results) {
            println!(
                "  {:<54} {:>8.0}/s  {:>6.2} ms {:>6.2} ms   {:.2}x",
                row.name,
                load.per_second,
                load.p50.as_secs_f64() * 1e3,
                load.p99.as_secs_f64() * 1e3,
                load.per_second / results[row.floor].per_second
            );
        }
        let over = |pair: usize, hello: usize| results[pair].per_second / results[hello].per_second;
        println!(
            "  fused pair over unlinked hello: {:.2}; composed by wac, with wasmtime serve: {:.2}, with hyper and Wasmtime alone: {:.2}",
            over(FUSED, HELLO),
            over(COMPOSED, WASMTIME_HELLO),
            over(COMPOSED_BARE, HELLO_BARE)
        );
        if connections == 1 {
            let micros = |i: usize| 1e6 / results[i].per_second;
            println!(
                "  a fused second component costs {:.0} us, a local one {:.0} us a request",
                micros(FUSED) - micros(HELLO),
                micros(LOCAL) - micros(HELLO)
            );
        }
    }
    Ok(())
}

/// All servers. The servers that others are compared with come first.
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
            "0.2 hello, fresh: wasmtime serve",
            "/",
            wasmtime(&hello[0], "/", Instances::Fresh)?,
            0,
        ),
        row(
            "0.2 hello, fresh: withe",
            "/",
            withe(&hello, "/", None, None)?,
            0,
        ),
        row(
            "0.2 hello, fresh: hyper and Wasmtime alone",
            "/",
            servers::bare(Some(&hello[0]), "/", false)?,
            0,
        ),
        row(
            "0.2 hello, reused: withe",
            "/",
            withe(&hello, "/", None, Some(REUSE))?,
            0,
        ),
        row(
            "0.3 hello, fresh: wasmtime serve",
            "/",
            wasmtime(&hello_p3[0], "/", Instances::Fresh)?,
            4,
        ),
        row(
            "0.3 hello, fresh: withe",
            "/",
            withe(&hello_p3, "/", None, None)?,
            4,
        ),
        row(
            "0.3 hello, fresh: hyper and Wasmtime alone",
            "/",
            servers::bare(Some(&hello_p3[0]), "/", false)?,
            4,
        ),
        row(
            "0.3 hello, reused: wasmtime serve",
            "/",
            wasmtime(&hello_p3[0], "/", Instances::Default)?,
            7,
        ),
        row(
            "0.3 hello, reused: withe",
            "/",
            withe(&hello_p3, "/", None, Some(REUSE))?,
            7,
        ),
        row(
            "0.3 hello, reused: hyper and Wasmtime alone",
            "/",
            servers::bare(Some(&hello_p3[0]), "/", true)?,
            7,
        ),
        row(
            "no component: hyper alone",
            "/",
            servers::bare(None, "/", false)?,
            7,
        ),
        row(
            "pair, fresh: wasmtime serve, composed by wac",
            "/add",
            wasmtime(composed, "/add", Instances::Fresh)?,
            11,
        ),
        row(
            "pair, reused: withe, fused",
            "/add",
            withe(&pair, "/add", Some("fused"), Some(REUSE))?,
            11,
        ),
        row(
            "pair, fresh: withe, fused",
            "/add",
            withe(&pair, "/add", Some("fused"), None)?,
            11,
        ),
        row(
            "pair, fresh: hyper and Wasmtime alone, composed by wac",
            "/add",
            servers::bare(Some(composed), "/add", false)?,
            11,
        ),
        row(
            "pair, fresh: withe, local",
            "/add",
            withe(&pair, "/add", Some("local"), None)?,
            11,
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
