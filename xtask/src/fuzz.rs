//! `cargo xtask fuzz`: feeds what reads bytes from outside with what it would rather not get.
//!
//! The targets are built as `cargo fuzz` builds them, but with the stable compiler: the coverage that
//! libFuzzer is guided by is a pass of LLVM, and only the sanitizers, which safe code needs least, are not
//! there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{platform, process, tree, ui};

/// The fuzz targets, and where inputs to begin with are besides `fuzz/seeds`.
const TARGETS: [(&str, &[&str]); 11] = [
    ("frames", &[]),
    ("codec", &[]),
    ("attached", &[]),
    ("archive", &[]),
    ("records", &[]),
    ("value", &[]),
    ("blob", &[]),
    ("http_head", &[]),
    ("component", &["tests/guests/build"]),
    ("wit", &["crates/withe-runtime/wit"]),
    (
        "manifest",
        &[
            "crates/withe-manifest/tests/manifests",
            "crates/withe-manifest/tests/diagnostics",
        ],
    ),
];

/// Coverage as libFuzzer wants it.
const FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this target
    #[arg(value_parser = TARGETS.map(|(name, _)| name))]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 20, conflicts_with = "minutes")]
    seconds: u64,
    /// How long all of them run together
    #[arg(long)]
    minutes: Option<u64>,
}

/// Builds the targets and runs them.
///
/// # Errors
///
/// They cannot be built, or one finds something: then the input that did it is in `target/fuzz`.
pub(crate) async fn run(args: Args) -> Result<()> {
    let host = platform::host().await?;
    let built = tree::root().join("target/fuzz");
    ui::step("build the fuzz targets");
    // With a target named, the flags are not those of build scripts and macros.
    let mut cargo = process::cargo(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    cargo
        .args(["--target", &host, "--target-dir"])
        .arg(&built)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    process::run("build the fuzz targets", &mut cargo, process::LONG).await?;
    let chosen = |name: &str| args.target.as_deref().is_none_or(|target| target == name);
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, _)| chosen(name)).collect();
    let seconds = match args.minutes {
        Some(minutes) => (60 * minutes).div_ceil(chosen.len() as u64),
        None => args.seconds,
    };
    for (name, seeds) in chosen {
        let program = built.join(&host).join("release").join(name);
        fuzz(name, seeds, &program, &built, seconds).await?;
    }
    Ok(())
}

async fn fuzz(
    name: &str,
    seeds: &[&str],
    program: &Path,
    built: &Path,
    seconds: u64,
) -> Result<()> {
    ui::step(format!("fuzz {name} for {seconds} s"));
    // Interesting inputs are kept for the next time, outside the tree.
    let corpus = built.join("corpus").join(name);
    let findings = built.join("findings").join(name);
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let mut command = Command::new(program);
    command
        .current_dir(tree::root())
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .args([
            "-timeout=20",
            "-rss_limit_mb=1024",
            "-max_len=16384",
            "-verbosity=0",
            "-print_final_stats=1",
        ])
        .arg(corpus)
        .arg(Path::new("fuzz/seeds").join(name))
        // Components are there once `cargo xtask guests` has built them.
        .args(
            seeds
                .iter()
                .filter(|seeds| tree::root().join(seeds).is_dir()),
        );
    // Reading the corpus comes before the time that is asked for.
    let deadline = Duration::from_secs(seconds) + process::SHORT;
    let what = format!("find nothing wrong with {name}");
    process::run(&what, &mut command, deadline).await
}
