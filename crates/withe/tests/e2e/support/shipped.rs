//! The manifests of the example applications, as they are shipped but for ports and folders.

use std::fs;
use std::path::Path;

/// The example that counts visits as a manifest of its folder is, on a free port.
pub(crate) fn visits_of(manifest: &str) -> String {
    changed(
        "visits",
        manifest,
        &[
            ("address: 127.0.0.1:8080", "address: 127.0.0.1:0"),
            ("./data/visits.redb", "./visits.redb"),
        ],
    )
}

/// The gallery as a manifest of its folder is, on a free port, and with a clerk in a hurry.
pub(crate) fn gallery_of(manifest: &str) -> String {
    changed(
        "gallery",
        manifest,
        &[
            ("address: 127.0.0.1:8080", "address: 127.0.0.1:0"),
            ("every: 10s", "every: 200ms"),
        ],
    )
}

/// A manifest of the folder of an example, with its components where they are built, and with these changes.
fn changed(example: &str, manifest: &str, changes: &[(&str, &str)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(example);
    let build = folder.join("build");
    assert!(
        build.is_dir(),
        "{} is not built: run `cargo xtask guests`",
        build.display()
    );
    let mut text = fs::read_to_string(folder.join(manifest)).unwrap();
    let build = format!("{}/", build.display());
    for (from, to) in changes.iter().copied().chain([("./build/", &*build)]) {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}
