//! From the command to the first answered request, cold and with a warm cache; memory at idle.

use std::time::Instant;

use anyhow::Result;

use crate::median;
use crate::servers::{self, App, guest};

const ROUNDS: usize = 5;

pub(crate) fn run() -> Result<()> {
    println!("\nStart: milliseconds to the first answer, medians of {ROUNDS}; memory at idle");
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
    for (name, app) in [("hello", hello), ("fused pair", pair)] {
        let (mut cold, mut warm, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let cache = tempfile::tempdir()?;
            for times in [&mut cold, &mut warm] {
                let start = Instant::now();
                let server = app.withe(cache.path())?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
                // The cache is written by a thread of its own.
                std::thread::sleep(std::time::Duration::from_millis(300));
                memory.push(server.resident_mib()?);
            }
        }
        println!(
            "  {name:<12} cold {:>6.0} ms   warm {:>6.0} ms   {:>5.0} MiB",
            median(cold),
            median(warm),
            median(memory)
        );
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let _server = servers::wasmtime(&guest("hello"), "/", servers::Instances::Default)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "  {:<12} {:>11.0} ms (its cache is off by default)",
        "wasmtime",
        median(times)
    );
    Ok(())
}
