//! Makes sure that the tests find a PostgreSQL server to start.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{apt, process};

/// The program that makes a server's folder. The server is beside it.
const PROGRAM: &str = "initdb";
/// Where Debian has the programs of each version. `withe-testing` looks there too.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Installs the server unless it is there, where that takes no questions.
///
/// # Errors
///
/// Returns an error if the server is missing and cannot be installed.
pub(crate) async fn ensure() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if !apt::can_install() {
        bail!(
            "the tests need `{PROGRAM}` and `postgres`, on the path or in {DEBIAN}: install them with \
             `sudo apt-get install postgresql`, `sudo dnf install postgresql-server` or `brew install postgresql`, \
             then run this again"
        );
    }
    apt::install("postgresql").await?;
    if !is_there() {
        bail!("the package `postgresql` is installed, but there is no `{PROGRAM}` in {DEBIAN}");
    }
    Ok(())
}

fn is_there() -> bool {
    let versions = Path::new(DEBIAN).read_dir().into_iter().flatten().flatten();
    process::exists(PROGRAM)
        || versions
            .map(|version| version.path().join("bin").join(PROGRAM))
            .any(|program| program.is_file())
}
