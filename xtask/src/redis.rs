//! Makes sure that the tests find a Redis server to start.

use anyhow::{Result, bail};

use crate::{apt, process};

const SERVER: &str = "redis-server";

/// Installs the server unless it is there, where that takes no questions.
///
/// # Errors
///
/// Returns an error if the server is missing and cannot be installed.
pub(crate) async fn ensure() -> Result<()> {
    if process::exists(SERVER) {
        return Ok(());
    }
    if !apt::can_install() {
        bail!(
            "the tests need `{SERVER}` on the path: install it with `sudo apt-get install redis-server`, \
             `sudo dnf install redis` or `brew install redis`, then run this again"
        );
    }
    apt::install("redis-server").await?;
    if !process::exists(SERVER) {
        bail!("the package `redis-server` is installed, but `{SERVER}` is not on the path");
    }
    Ok(())
}
