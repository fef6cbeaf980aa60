//! `cargo xtask bench`: builds what the benchmarks run, then runs them.

use anyhow::Result;

use crate::{guests, process, ui};

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
    guests::build_all().await?;
    ui::step("run the benchmarks");
    let mut cargo = process::cargo([
        "run",
        "--profile",
        "bench",
        "--package",
        "withe-benches",
        "--",
    ]);
    process::run(
        "run the benchmarks",
        cargo.args(args.arguments),
        process::LONG,
    )
    .await
}
