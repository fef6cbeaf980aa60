//! The example applications, each on free ports.

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

/// The example of a provider with streams, on a free port.
pub(crate) fn lines() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_withe")).with_file_name("lines");
    assert!(
        program.is_file(),
        "{} is not built: run `cargo build --workspace --bins`",
        program.display()
    );
    let front = built("lines-provider/app/build", "lines-front.wasm").join("lines-front.wasm");
    application(&[
        entry(
            "http",
            "capability",
            "image: \"withe:http-server\"",
            &[&format!("target: front, {LISTEN}")],
        ),
        entry(
            "front",
            "component",
            &format!("image: \"{}\"", front.display()),
            &["target: lines"],
        ),
        entry(
            "lines",
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
