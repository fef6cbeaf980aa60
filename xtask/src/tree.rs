//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    // xtask is only ever run from the tree that it was built in.
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the root")
}

/// The example application's folder.
pub(crate) fn visits() -> PathBuf {
    root().join("examples/visits")
}

/// The folder of the example application with most capabilities.
pub(crate) fn gallery() -> PathBuf {
    root().join("examples/gallery")
}

/// The folder of the components that use the example of a provider.
pub(crate) fn greeted() -> PathBuf {
    root().join("examples/greeter-provider/app")
}

/// The folder of the component that uses the example of a provider with streams.
pub(crate) fn lines() -> PathBuf {
    root().join("examples/lines-provider/app")
}

/// The folder of the keyvalue provider that is a component.
pub(crate) fn keyvalue_component() -> PathBuf {
    root().join("providers/keyvalue-component")
}

/// The folder of the components for tests and benchmarks.
pub(crate) fn test_guests() -> PathBuf {
    root().join("tests/guests")
}

/// The folder of the conformance cases and their components.
pub(crate) fn conformance() -> PathBuf {
    root().join("tests/conformance")
}

/// The folder of the tests with wasmCloud v1's own crates.
pub(crate) fn with_v1() -> PathBuf {
    root().join("tests/wasmcloud")
}

/// The folder of the fuzz targets.
pub(crate) fn fuzz() -> PathBuf {
    root().join("fuzz")
}
