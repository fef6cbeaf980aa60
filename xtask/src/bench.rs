//! `cargo xtask bench`: builds what the benchmarks run, and their floor, then runs them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::process::Command;

use crate::{guests, nats, process, redis, seaweedfs, tree, ui, withe};

/// The floor of the HTTP benchmarks: `wasmtime serve` of the release that Withe embeds.
const WASMTIME: &str = "48.0.8";

/// The features of the command that `serve` needs; what it does by default does not depend on the
/// others.
const FEATURES: &str = "serve,run,cranelift,pooling-allocator,parallel-compilation,component-model,component-model-async,gc-null";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed to the benchmarks: names of those to run, and options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the benchmarks.
///
/// # Errors
///
/// Something does not compile, or a benchmark fails.
pub(crate) async fn run(args: Args) -> Result<()> {
    let names = args.arguments.iter().filter(|a| !a.starts_with('-'));
    let names: Vec<_> = names.map(String::as_str).collect();
    let wanted = |name| names.is_empty() || names.contains(&name);
    // The applications of `scale` are made by itself.
    let needs_guests = |name: &&str| *name != "scale";
    if names.iter().any(needs_guests) || names.is_empty() {
        guests::build_all().await?;
    }
    let mut variables = Vec::new();
    if wanted("http") || wanted("start") {
        variables.push(("WITHE_BENCH_WASMTIME", wasmtime().await?));
    }
    if wanted("hosts") {
        redis::ensure().await?;
        variables.push(("WITHE_BENCH_NATS", nats::ensure().await?));
    }
    if wanted("providers") {
        redis::ensure().await?;
        nats::ensure().await?;
        seaweedfs::ensure().await?;
    }
    ui::step("build the benchmarks");
    let packages = ["--package", "withe", "--package", "withe-benches"];
    let mut cargo = process::cargo(["build", "--profile", "bench"]);
    process::run("build the benchmarks", cargo.args(packages), process::LONG).await?;
    ui::step("run the benchmarks");
    // Not by cargo, which runs one package, and builds all anew for it: with others of its own features.
    let mut benches = Command::new(withe::target_dir().join("release/withe-benches"));
    benches.args(&args.arguments);
    benches.envs(variables);
    process::run("run the benchmarks", &mut benches, process::LONG).await?;
    if !wanted("wire") {
        return Ok(());
    }
    ui::step("measure the protocol alone, without components");
    let mut cargo = process::cargo(["run", "--quiet", "--release", "--package", "withe-rpc"]);
    cargo.args(["--example", "floor"]);
    process::run("measure the protocol", &mut cargo, process::LONG).await
}

/// Installs the floor below `target/`, where it is not there yet.
async fn wasmtime() -> Result<PathBuf> {
    let tools: &Path = &tree::root().join("target/tools");
    let binary = tools.join("bin/wasmtime");
    if !binary.exists() {
        ui::step(format!(
            "install wasmtime {WASMTIME}, the floor; this takes some minutes, once"
        ));
        let mut cargo =
            process::cargo(["install", "wasmtime-cli", "--version", WASMTIME, "--locked"]);
        cargo
            .args(["--no-default-features", "--features", FEATURES, "--root"])
            .arg(tools);
        process::run("install wasmtime", &mut cargo, process::LONG).await?;
    }
    Ok(binary)
}
