//! `cargo xtask`: what developers and CI run.
//!
//! Everything here drives other programs. Two rules hold throughout: every child process has a
//! deadline, and none outlives this one (`process`).

mod apt;
mod bench;
mod demo;
mod deny;
mod dist;
mod fuzz;
mod guests;
mod http;
mod layers;
mod mosquitto;
mod nats;
mod pip;
mod platform;
mod postgres;
mod process;
mod redis;
mod registry;
mod sbom;
mod seaweedfs;
mod site;
mod test;
mod tidy;
mod tree;
mod ui;
mod wasm_target;
mod withe;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Withe's development tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build and serve the example application, and say what to try.
    Demo(demo::Args),
    /// Run all checks and tests, the demo's included.
    Test(test::Args),
    /// Build the components for tests, benchmarks and examples.
    Guests(guests::Args),
    /// Fuzz what reads bytes from outside.
    Fuzz(fuzz::Args),
    /// Run the benchmarks.
    Bench(bench::Args),
    /// Build the program as it is given away, with its symbols apart.
    Dist(dist::Args),
    /// Check what is depended on: licences, sources, duplicates, advisories.
    Deny,
    /// Write what a release is made of, as a CycloneDX document.
    Sbom(sbom::Args),
    /// Build the documentation as a site, with mdbook.
    Site,
    /// Check what no compiler checks: file sizes, leftovers, the map of the crates.
    Tidy,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().task {
        // Serving ends with Ctrl-C, so the demo deals with it itself.
        Task::Demo(args) => demo::run(args).await,
        Task::Test(args) => process::until_interrupted(test::run(args)).await,
        Task::Guests(args) => process::until_interrupted(guests::run(args)).await,
        Task::Fuzz(args) => process::until_interrupted(fuzz::run(args)).await,
        Task::Bench(args) => process::until_interrupted(bench::run(args)).await,
        Task::Dist(args) => process::until_interrupted(dist::run(args)).await,
        Task::Deny => process::until_interrupted(deny::check()).await,
        Task::Sbom(args) => process::until_interrupted(sbom::run(args)).await,
        Task::Site => process::until_interrupted(site::build()).await,
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}
