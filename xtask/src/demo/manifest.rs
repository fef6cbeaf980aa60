//! The example's manifest with some of it replaced: where it listens, where it keeps its data, how its two
//! components are linked, and on which hosts its parts run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tree;

/// The port that the manifest says.
pub(super) const PORT: u16 = 8080;

/// The replacements in a manifest.
pub(super) struct Changes<'a> {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The folder for its data.
    pub(super) data: &'a Path,
    /// Pins the binding of the link between the components; nothing is pinned if there is none.
    pub(super) binding: Option<&'a str>,
    /// Spreads it over hosts: what is reached from outside, and the data, in the zone [`EDGE`], and a replica of
    /// `visits` on every host of the zone [`INNER`].
    pub(super) spread: bool,
}

/// The zone of the one host that is reached from outside.
pub(super) const EDGE: &str = "edge";
/// The zone of all others.
pub(super) const INNER: &str = "inner";

/// How many instances of `visits` may run at a time, on all hosts: more than there are hosts, so that each has one.
const INSTANCES: u32 = 64;

/// Writes a copy of the manifest with these changes into `folder`.
///
/// # Errors
///
/// The manifest does not say any more what is to be replaced, or a file cannot be read or written.
pub(super) fn write(folder: &Path, changes: &Changes<'_>) -> Result<PathBuf> {
    let visits = tree::visits();
    let original = visits.join("visits.yaml");
    let text = fs::read_to_string(&original)
        .with_context(|| format!("cannot read `{}`", original.display()))?;
    let copy = folder.join("visits.yaml");
    fs::write(&copy, changed(&text, &visits, changes)?)
        .with_context(|| format!("cannot write `{}`", copy.display()))?;
    Ok(copy)
}

fn changed(text: &str, visits: &Path, changes: &Changes<'_>) -> Result<String> {
    let link = "target:\n              name: visits\n";
    let pinned = match changes.binding {
        Some(binding) => format!("binding: {binding}\n            {link}"),
        None => link.into(),
    };
    let mut replacements = vec![
        (
            format!("address: 127.0.0.1:{PORT}"),
            format!("address: {}", changes.address),
        ),
        // Paths in a manifest are relative to it, so those of a copy must be absolute.
        ("./build/".into(), format!("{}/build/", visits.display())),
        ("./data/".into(), format!("{}/", changes.data.display())),
        (link.into(), pinned),
    ];
    if changes.spread {
        let traits = "      traits:\n";
        for (properties, has_traits, scaler) in [
            ("image: withe:http-server\n", true, scaler(EDGE, 1)),
            ("bucket: visits\n", true, scaler(INNER, INSTANCES)),
            ("image: withe:keyvalue\n", false, scaler(EDGE, 1)),
        ] {
            let before = if has_traits { traits } else { "" };
            replacements.push((
                format!("{properties}{before}"),
                format!("{properties}{traits}{scaler}"),
            ));
        }
    }
    let mut text = text.to_string();
    for (from, to) in replacements {
        if !text.contains(&from) {
            bail!("`examples/visits/visits.yaml` no longer says `{from}`, which xtask replaces");
        }
        text = text.replace(&from, &to);
    }
    Ok(text)
}

/// A trait that places a part on hosts with the label `zone`.
fn scaler(zone: &str, instances: u32) -> String {
    format!(
        "        - type: spreadscaler\n          properties:\n            instances: {instances}\n            \
         spread:\n              - name: {zone}\n                requirements:\n                  zone: {zone}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes<'static> {
        let address = ([127, 0, 0, 1], 4711).into();
        Changes {
            address,
            data: Path::new("/elsewhere"),
            binding: Some("local"),
            spread: false,
        }
    }

    #[test]
    fn the_examples_manifest_can_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(write(folder.path(), &changes()).unwrap()).unwrap();
        assert!(text.contains("address: 127.0.0.1:4711\n"), "{text}");
        assert!(text.contains("path: /elsewhere/visits.redb\n"), "{text}");
        assert!(!text.contains("./build"), "{text}");
        let link = "        properties:\n            binding: local\n            target:\n              name: visits\n";
        assert!(text.contains(link), "{text}");
    }

    #[test]
    fn the_example_can_be_spread() {
        let folder = tempfile::tempdir().unwrap();
        let spread = Changes {
            spread: true,
            binding: None,
            ..changes()
        };
        let text = fs::read_to_string(write(folder.path(), &spread).unwrap()).unwrap();
        let zones: Vec<_> = text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("zone: "))
            .collect();
        assert_eq!(zones, [EDGE, INNER, EDGE], "{text}");
    }

    #[test]
    fn a_manifest_that_says_something_else_is_refused() {
        let error = changed("", Path::new("/v"), &changes()).unwrap_err();
        assert!(
            error.to_string().contains("address: 127.0.0.1:8080"),
            "{error}"
        );
    }
}
