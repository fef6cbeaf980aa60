//! From the command to the first answered request, cold and with a warm cache; memory at idle.
//!
//! Components that hold the runtime of a language take seconds to compile. `WITHE_BENCH_RUNTIMES` names a folder with two programs
//! of each language, which its own tools make: `NAME-a.wasm` and `NAME-b.wasm`, which answer `/` and may send requests.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::median;
use crate::servers::{self, App, guest};

const ROUNDS: usize = 5;
/// The variable with the folder of programs in languages with a runtime.
const RUNTIMES: &str = "WITHE_BENCH_RUNTIMES";

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
    match std::env::var_os(RUNTIMES) {
        Some(folder) => runtimes(Path::new(&folder)),
        None => {
            println!("  languages with a runtime: not measured, for {RUNTIMES} names no folder");
            Ok(())
        }
    }
}

/// Languages with a runtime: once cold, with another program of the language, and after a change of what it is fused with.
fn runtimes(folder: &Path) -> Result<()> {
    println!("\nStart of programs with a runtime: seconds to the first answer");
    let mut firsts = Vec::new();
    for entry in folder
        .read_dir()
        .with_context(|| folder.display().to_string())?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        firsts.extend(name.strip_suffix("-a.wasm").map(str::to_owned));
    }
    firsts.sort();
    for language in firsts {
        let [a, b] = ["a", "b"].map(|which| folder.join(format!("{language}-{which}.wasm")));
        let cache = tempfile::tempdir()?;
        let alone = |program: &PathBuf| App {
            chain: vec![program.clone()],
            path: "/",
            client: true,
            ..App::default()
        };
        row(&language, "cold", || alone(&a).withe(cache.path()))?;
        row(&language, "warm", || alone(&a).withe(cache.path()))?;
        row(&language, "runtime seen", || alone(&b).withe(cache.path()))?;
        let (cache, components) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let gate = std::fs::read(guest("http-gate"))?;
        for (change, what) in ["fused, cold", "the other part changed"].iter().enumerate() {
            // A custom section is a change like any other: all of the part is compiled.
            let mut changed = gate.clone();
            changed.extend([0, 3, 1, b'c', u8::try_from(change)?]);
            let path = components.path().join("changed.wasm");
            std::fs::write(&path, changed)?;
            let fused = App {
                chain: vec![path, a.clone()],
                binding: Some("fused"),
                ..alone(&a)
            };
            row(&language, what, || fused.withe(cache.path()))?;
        }
        row(&language, "wasmtime serve", || {
            servers::wasmtime(&a, "/", servers::Instances::Default)
        })?;
    }
    Ok(())
}

fn row(language: &str, what: &str, start: impl FnOnce() -> Result<servers::Server>) -> Result<()> {
    let begun = Instant::now();
    let _server = start()?;
    println!(
        "  {language:<12} {what:<24} {:>6.2} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
