//! `cargo xtask test`: everything that has to pass, cheapest first.

use anyhow::Result;
use tokio::process::Command;

use crate::{
    demo, deny, guests, mosquitto, nats, postgres, process, redis, registry, seaweedfs, tree, ui,
    wasm_target, withe,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose names contain this, and no other checks
    filter: Option<String>,
}

/// Runs all checks and tests, or those that were asked for.
///
/// # Errors
///
/// Something that they need is missing, or one fails.
pub(crate) async fn run(args: Args) -> Result<()> {
    redis::ensure().await?;
    mosquitto::ensure().await?;
    postgres::ensure().await?;
    registry::ensure().await?;
    nats::ensure().await?;
    seaweedfs::ensure().await?;
    guests::build_all().await?;
    if args.filter.is_none() {
        format().await?;
        deny::check().await?;
        lint().await?;
    }
    ui::step("run the tests");
    let mut cargo = process::cargo(["test", "--workspace"]);
    process::run("pass the tests", cargo.args(&args.filter), process::LONG).await?;
    if args.filter.is_none() {
        test_keyvalue().await?;
        test_with_v1().await?;
        demo::check_with(&withe::built_by_tests()).await?;
    }
    Ok(())
}

async fn format() -> Result<()> {
    ui::step("check the formatting");
    let all = ["fmt", "--all", "--check"].as_slice();
    for (workspace, args) in [
        (tree::root().to_path_buf(), all),
        (tree::test_guests(), all),
        (tree::conformance(), all),
        (tree::keyvalue_component(), all),
        (tree::visits(), all),
        (tree::gallery(), all),
        (tree::with_v1(), all),
        // With its dependencies it would have those fetched that nothing but a fuzzer needs.
        (tree::fuzz(), &["fmt", "--check"]),
    ] {
        let mut cargo = process::cargo(args);
        process::run(
            "find the code formatted",
            cargo.current_dir(workspace),
            process::SHORT,
        )
        .await?;
    }
    Ok(())
}

async fn lint() -> Result<()> {
    ui::step("lint");
    let mut cargo = process::cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    process::run("pass the lints", &mut cargo, process::LONG).await?;
    for workspace in [
        tree::test_guests(),
        tree::conformance(),
        tree::keyvalue_component(),
        tree::visits(),
        tree::gallery(),
    ] {
        let mut cargo = process::cargo([
            "clippy",
            "--release",
            "--locked",
            "--lib",
            "--examples",
            "--target",
            wasm_target::TARGET,
        ]);
        cargo
            .arg("--target-dir")
            .arg(guests::target_dir(&workspace))
            .args(["--", "-D", "warnings"]);
        process::run(
            "pass the lints",
            cargo.current_dir(workspace),
            process::LONG,
        )
        .await?;
    }
    let mut cargo = with_v1("clippy");
    cargo.args(["--all-targets", "--", "-D", "warnings"]);
    process::run("pass the lints", &mut cargo, process::LONG).await
}

/// The part of the keyvalue component that needs no host, compiled for this machine.
async fn test_keyvalue() -> Result<()> {
    ui::step("run the tests of the keyvalue component");
    let workspace = tree::keyvalue_component();
    let mut cargo = process::cargo(["test", "--locked"]);
    cargo
        .arg("--target-dir")
        .arg(guests::target_dir(&workspace))
        .current_dir(workspace);
    process::run("pass the tests", &mut cargo, process::LONG).await
}

async fn test_with_v1() -> Result<()> {
    ui::step("run the tests with wasmCloud v1's own crates");
    process::run("pass the tests", &mut with_v1("test"), process::LONG).await
}

/// A command of cargo's in the workspace of the tests with wasmCloud v1's crates.
fn with_v1(command: &str) -> Command {
    let workspace = tree::with_v1();
    let mut cargo = process::cargo([command]);
    cargo
        .arg("--target-dir")
        .arg(guests::target_dir(&workspace))
        // Some of them run the command, which the tests before them have built.
        .env("WITHE_BUILT", withe::built_by_tests())
        .current_dir(workspace);
    cargo
}
