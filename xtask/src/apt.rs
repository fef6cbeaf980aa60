//! Servers that the tests start, installed where that takes no questions: as root, with `apt-get`.

use anyhow::Result;
use tokio::process::Command;

use crate::{process, ui};

/// Whether packages can be installed here.
pub(crate) fn can_install() -> bool {
    process::exists("apt-get") && rustix::process::geteuid().is_root()
}

/// Installs a package of Debian's.
///
/// # Errors
///
/// Returns an error if the package cannot be installed.
pub(crate) async fn install(package: &str) -> Result<()> {
    ui::step(format!("install {package}"));
    process::run(
        "fetch the list of packages",
        &mut apt(["update"]),
        process::LONG,
    )
    .await?;
    let mut install = apt(["install", "--yes", "--no-install-recommends", package]);
    process::run(&format!("install `{package}`"), &mut install, process::LONG).await
}

fn apt<const N: usize>(arguments: [&str; N]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
