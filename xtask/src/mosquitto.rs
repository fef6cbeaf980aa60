//! Makes sure that the tests find an MQTT broker to start.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{apt, process};

const SERVER: &str = "mosquitto";
/// Where Debian has it, which is not on everybody's path.
const DEBIAN: &str = "/usr/sbin/mosquitto";

/// Installs the broker unless it is there, where that takes no questions.
///
/// # Errors
///
/// The server is not there and cannot be installed.
pub(crate) async fn ensure() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if !apt::can_install() {
        bail!(
            "the tests need `{SERVER}` on the path: install it with `sudo apt-get install mosquitto`, \
             `sudo dnf install mosquitto` or `brew install mosquitto`, then run this again"
        );
    }
    apt::install("mosquitto").await?;
    if !is_there() {
        bail!("the package `mosquitto` is installed, but `{SERVER}` is not on the path");
    }
    Ok(())
}

fn is_there() -> bool {
    process::exists(SERVER) || Path::new(DEBIAN).is_file()
}
