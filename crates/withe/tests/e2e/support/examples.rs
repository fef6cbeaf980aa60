//! The example applications, each on free ports.

use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::{LISTEN, application, entry};

/// The example that counts visits, in a file. `providers` are properties of both of its providers, `store` is what is said
/// of the link to the second: YAML in one line.
pub(crate) fn visits(providers: &str, store: &str) -> String {
    let build = built("visits/build", "visits.wasm");
    let build = build.display();
    let file = "config: [{name: file, properties: {path: ./visits.redb}}]";
    application(&[
        entry(
            "http",
            "capability",
            &format!("image: \"withe:http-server\", {providers}"),
            &[&format!("target: router, {LISTEN}")],
        ),
        entry(
            "router",
            "component",
            &format!("compose: [\"{build}/router.wasm\", \"{build}/page.wasm\"]"),
            &["target: visits"],
        ),
        entry(
            "visits",
            "component",
            &format!("image: \"{build}/visits.wasm\""),
            &[&format!("target: store, {store}")],
        ),
        entry(
            "store",
            "capability",
            &format!("image: \"withe:keyvalue\", {file}, {providers}"),
            &[],
        ),
    ])
}

/// The gallery as its manifest is, on a free port, and with a clerk in a hurry.
pub(crate) fn gallery() -> String {
    let build = built("gallery/build", "desk.wasm");
    let manifest = fs::read_to_string(build.with_file_name("gallery.yaml")).unwrap();
    let mut changed = manifest.clone();
    for (from, to) in [
        ("address: 127.0.0.1:8080", "address: 127.0.0.1:0"),
        ("every: 10s", "every: 200ms"),
        ("./build/", &format!("{}/", build.display())),
    ] {
        assert!(manifest.contains(from), "{from}");
        changed = changed.replace(from, to);
    }
    changed
}

/// The program of the example's provider.
pub(crate) fn greeter_program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_withe")).with_file_name("greeter");
    assert!(
        program.is_file(),
        "{} is not built: run `cargo build --workspace --bins`",
        program.display()
    );
    program
}

/// The component that calls the example's provider.
pub(crate) fn greeter_front() -> PathBuf {
    built("greeter-provider/app/build", "front.wasm").join("front.wasm")
}

/// The example of a provider of one's own, whose program is `program`. `server` are properties of the HTTP server; `front` is
/// what is said of the link from it, `greeter` of the link to the provider.
pub(crate) fn greeter(program: &Path, server: &str, front: &str, greeter: &str) -> String {
    application(&[
        entry(
            "http",
            "capability",
            &format!("image: \"withe:http-server\", {server}"),
            &[&format!("target: front, {LISTEN}, {front}")],
        ),
        entry(
            "front",
            "component",
            &format!("image: \"{}\"", greeter_front().display()),
            &[greeter],
        ),
        entry(
            "greeter",
            "capability",
            &format!("image: \"file://{}\"", program.display()),
            &[],
        ),
    ])
}

/// A folder of the examples, in which this file has been built.
fn built(folder: &str, file: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folder = examples.join(folder);
    assert!(
        folder.join(file).is_file(),
        "{} is not built: run `cargo xtask guests`",
        folder.join(file).display()
    );
    folder
}
