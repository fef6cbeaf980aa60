//! Any file is an archive of a wasmCloud v1 provider, an executable, or is refused; what an archive says it holds
//! is not extracted elsewhere.

#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use withe_wasmcloud::Executable;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary folder"));

fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.path().join("provider.par");
    fs::write(&path, bytes).expect("a file in it");
    _ = Executable::open(&path);
    let files = fs::read_dir(FOLDER.path()).expect("the folder").count();
    assert_eq!(files, 1, "an archive wrote beside itself");
});
