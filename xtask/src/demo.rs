//! `cargo xtask demo`: builds the example application and serves it, on this machine or on several hosts, or
//! checks that it serves.

mod check;
mod hosts;
mod manifest;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use manifest::Changes;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::process::Running;
use crate::{guests, process, tree, ui, withe};

/// How long `withe up` may take to listen. Nothing may be compiled yet, on a slow machine.
const START: Duration = Duration::from_secs(300);

/// How long it may take to stop once it is asked to.
const STOP: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Send requests, check the answers, stop, and fail if anything was wrong
    #[arg(long, conflicts_with = "port")]
    check: bool,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// Serve on this port, not on the manifest's
    #[arg(long)]
    port: Option<u16>,
    /// Serve the gallery instead, which uses most of the capabilities
    #[arg(long, conflicts_with_all = ["check", "port", "hosts"])]
    gallery: bool,
    /// Spread it over so many hosts, which meet on a NATS server: each in a network namespace of its own where
    /// these may be made, which most often needs root; else each a process
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(3..=9))]
    hosts: Option<u8>,
}

/// How many hosts are checked by `cargo xtask test`.
const CHECKED_HOSTS: u8 = 3;

/// Does what the arguments ask for.
///
/// # Errors
///
/// Something does not compile, cannot be served, or answers wrongly.
pub(crate) async fn run(args: Args) -> Result<()> {
    if args.check {
        return process::until_interrupted(check(args)).await;
    }
    let withe = process::until_interrupted(prepare(args.release)).await?;
    if args.gallery {
        return serve_gallery(&withe).await;
    }
    match args.hosts {
        Some(hosts) => hosts::serve(&withe, hosts, args.port.unwrap_or(manifest::PORT)).await,
        None => serve(&withe, args.port).await,
    }
}

/// Builds everything, serves on a free port, and checks the answers.
///
/// # Errors
///
/// As [`run`].
async fn check(args: Args) -> Result<()> {
    let withe = prepare(args.release).await?;
    match args.hosts {
        Some(hosts) => hosts::check(&withe, hosts).await,
        None => check::run(&withe).await,
    }
}

/// Serves with a `withe` that is built already, here and on several hosts, and checks the answers.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn check_with(withe: &Path) -> Result<()> {
    guests::build_examples().await?;
    check::run(withe).await?;
    hosts::check(withe, CHECKED_HOSTS).await
}

async fn prepare(release: bool) -> Result<PathBuf> {
    guests::build_examples().await?;
    withe::build(release).await
}

/// Serves until Ctrl-C.
async fn serve(withe: &Path, port: Option<u16>) -> Result<()> {
    let visits = tree::visits();
    let data = visits.join("data");
    let port = port.unwrap_or(manifest::PORT);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // The manifest as it is, where it will do: then what is shown can be typed.
    let scratch = tempfile::tempdir()?;
    let manifest = match port {
        manifest::PORT => visits.join("visits.yaml"),
        _ => manifest::write(
            scratch.path(),
            &Changes {
                address,
                data: &data,
                binding: None,
                spread: false,
            },
        )?,
    };

    serve_manifest(withe, &manifest, address, say_what_to_try).await
}

/// Serves the gallery until Ctrl-C.
async fn serve_gallery(withe: &Path) -> Result<()> {
    let manifest = tree::gallery().join("gallery.yaml");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, manifest::PORT));
    serve_manifest(withe, &manifest, address, |address| {
        ui::step(format!("serving on http://{address}/ until Ctrl-C; try"));
        eprintln!("      curl -d 'buy milk' http://{address}/notes");
        eprintln!("      curl http://{address}/notes");
        eprintln!("      curl -T PICTURE http://{address}/pictures/");
        eprintln!("    What is linked to what, and what to change:");
        let readme = tree::gallery().join("README.md");
        eprintln!("      {}", shortened(&readme).display());
    })
    .await
}

/// Serves an application that listens at an address until Ctrl-C.
async fn serve_manifest(
    withe: &Path,
    manifest: &Path,
    address: SocketAddr,
    say_what_to_try: fn(SocketAddr),
) -> Result<()> {
    let plan = show_plan(withe, manifest);
    process::until_interrupted(plan).await?;
    ui::step(format!("withe up {}", shortened(manifest).display()));
    let mut up = up(withe, manifest)?;
    tokio::select! {
        // Whatever is wrong, `withe up` has said it.
        status = up.ended() => bail!("`withe up` ended ({})", status?),
        listening = listening(address) => listening?,
        interrupted = process::interrupted() => {
            interrupted?;
            return process::until_interrupted(stop(up)).await;
        }
    }
    say_what_to_try(address);
    tokio::select! {
        status = up.ended() => bail!("`withe up` ended ({})", status?),
        interrupted = process::interrupted() => {
            interrupted?;
            // A second Ctrl-C ends it at once.
            process::until_interrupted(stop(up)).await
        }
    }
}

async fn show_plan(withe: &Path, manifest: &Path) -> Result<()> {
    ui::step(format!("withe plan {}", shortened(manifest).display()));
    let mut plan = Command::new(withe);
    process::run(
        "plan the application",
        plan.arg("plan").arg(manifest),
        START,
    )
    .await
}

/// Starts `withe up`.
fn up(withe: &Path, manifest: &Path) -> Result<Running> {
    let mut command = Command::new(withe);
    Running::start("run the application", command.arg("up").arg(manifest))
}

/// Stops it as Ctrl-C does; it must end well.
async fn stop(up: Running) -> Result<()> {
    up.interrupt();
    let status = up.wait(STOP).await?;
    if !status.success() {
        bail!("`withe up` did not stop well ({status})");
    }
    Ok(())
}

/// Waits until something listens there.
async fn listening(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        let attempt = timeout(Duration::from_secs(1), TcpStream::connect(address)).await;
        if matches!(attempt, Ok(Ok(_))) {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("nothing listens on {address} after {} s", START.as_secs())
}

fn say_what_to_try(address: SocketAddr) {
    ui::step(format!("serving on http://{address}/ until Ctrl-C; try"));
    eprintln!("      curl http://{address}/some/page");
    eprintln!("      curl http://{address}/api/visits");
    eprintln!("    The counts survive a restart. What is linked to what:");
    eprintln!(
        "      {}",
        shortened(&tree::visits().join("visits.yaml")).display()
    );
}

/// The path from the repository's root, if it is in there.
fn shortened(path: &Path) -> &Path {
    path.strip_prefix(tree::root()).unwrap_or(path)
}
