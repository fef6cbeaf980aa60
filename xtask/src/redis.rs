//! Makes sure that the tests find a Redis server to start.

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::{process, ui};

const SERVER: &str = "redis-server";

/// Installs the server unless it is there, where that takes no questions: as root, with `apt-get`.
///
/// # Errors
///
/// It is not there and cannot be installed.
pub(crate) async fn ensure() -> Result<()> {
    if process::exists(SERVER) {
        return Ok(());
    }
    if !process::exists("apt-get") || !rustix::process::geteuid().is_root() {
        bail!(
            "the tests need `{SERVER}` on the path: install it with `sudo apt-get install redis-server`, \
             `sudo dnf install redis` or `brew install redis`, then run this again"
        );
    }
    ui::step(format!("install {SERVER}"));
    process::run(
        "fetch the list of packages",
        &mut apt(["update"]),
        process::LONG,
    )
    .await?;
    let mut install = apt([
        "install",
        "--yes",
        "--no-install-recommends",
        "redis-server",
    ]);
    process::run(&format!("install `{SERVER}`"), &mut install, process::LONG).await?;
    if !process::exists(SERVER) {
        bail!("the package `redis-server` is installed, but `{SERVER}` is not on the path");
    }
    Ok(())
}

fn apt<const N: usize>(arguments: [&str; N]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
