//! The example's manifest, with another address and another place for its data.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tree;

/// The port that the manifest says.
pub(super) const PORT: u16 = 8080;

/// Writes a copy of the manifest into `folder` that listens on `address` and keeps its data in
/// `data`.
///
/// # Errors
///
/// The manifest is not as it was when this was written, or a file cannot be read or written.
pub(super) fn write(folder: &Path, address: SocketAddr, data: &Path) -> Result<PathBuf> {
    let visits = tree::visits();
    let original = visits.join("visits.yaml");
    let text = fs::read_to_string(&original)
        .with_context(|| format!("cannot read `{}`", original.display()))?;
    let copy = folder.join("visits.yaml");
    fs::write(&copy, adapt(&text, &visits, address, data)?)
        .with_context(|| format!("cannot write `{}`", copy.display()))?;
    Ok(copy)
}

/// Paths in a manifest are relative to it, so those of a copy must be absolute.
fn adapt(text: &str, visits: &Path, address: SocketAddr, data: &Path) -> Result<String> {
    let replacements = [
        (
            format!("address: 127.0.0.1:{PORT}"),
            format!("address: {address}"),
        ),
        ("./build/".into(), format!("{}/build/", visits.display())),
        ("./data/".into(), format!("{}/", data.display())),
    ];
    let mut text = text.to_string();
    for (from, to) in replacements {
        if !text.contains(&from) {
            bail!(
                "`examples/visits/visits.yaml` does not say `{from}` any more, which xtask replaces"
            );
        }
        text = text.replace(&from, &to);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_manifest_can_be_adapted() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(
            folder.path(),
            ([127, 0, 0, 1], 4711).into(),
            Path::new("/elsewhere"),
        )
        .unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("address: 127.0.0.1:4711\n"), "{text}");
        assert!(text.contains("path: /elsewhere/visits.redb\n"), "{text}");
        assert!(!text.contains("./build"), "{text}");
    }

    #[test]
    fn a_manifest_without_an_address_is_refused() {
        let error = adapt(
            "",
            Path::new("/v"),
            ([127, 0, 0, 1], 1).into(),
            Path::new("/d"),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("address: 127.0.0.1:8080"),
            "{error}"
        );
    }
}
