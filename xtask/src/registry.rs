//! Makes sure that the tests find a registry of OCI artefacts to start.

use anyhow::{Result, bail};

use crate::{apt, process};

const SERVER: &str = "docker-registry";

/// Installs the server unless it is there, where that takes no questions.
///
/// # Errors
///
/// The registry is not there and cannot be installed.
pub(crate) async fn ensure() -> Result<()> {
    if process::exists(SERVER) {
        return Ok(());
    }
    if !apt::can_install() {
        bail!(
            "the tests need `{SERVER}` on the path: install it with `sudo apt-get install docker-registry`, or build \
             `registry` of https://github.com/distribution/distribution under that name, then run this again"
        );
    }
    apt::install("docker-registry").await?;
    if !process::exists(SERVER) {
        bail!("the package `docker-registry` is installed, but `{SERVER}` is not on the path");
    }
    Ok(())
}
