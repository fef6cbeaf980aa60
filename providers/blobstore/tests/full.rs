//! A folder in which there is no room. A disk cannot be filled in a test, so a child process has a limit for its files.

mod support;

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use withe_provider::{BlobErrorKind, BlobStore};

use support::{context, id, linked, map, names, pattern, read, write};

/// Where the child has its folder.
const FOLDER: &str = "WITHE_TEST_FULL";
/// An object that fits, and one that does not: the limit is 2 or 4 MiB, as the shell counts.
const SMALL: usize = 1 << 20;
const LARGE: usize = 8 << 20;

fn limited(test: &str, folder: &Path) {
    // A process that ignores the signal is told by an error.
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// How many objects that are not whole are in the folder.
fn uploads(folder: &Path) -> usize {
    let uploads = folder.join(".withe-uploads");
    std::fs::read_dir(uploads).unwrap().count()
}

async fn is_full(store: &dyn BlobStore, folder: &Path) {
    let (small, large) = (pattern(SMALL), pattern(LARGE));
    store.create_container("pets", context()).await.unwrap();
    write(store, &id("pets", "cat"), &small).await.unwrap();
    // Neither a new object nor one in the place of another is there by half.
    for name in ["dog", "cat"] {
        let refused = write(store, &id("pets", name), &large).await.unwrap_err();
        assert_eq!(refused.kind, BlobErrorKind::Exhausted, "{refused:?}");
        assert_eq!(names(store, "pets").await.unwrap(), ["cat"]);
    }
    let kept = read(store, &id("pets", "cat"), 0..u64::MAX).await.unwrap();
    assert!(kept == small, "another object");
    // Objects that failed take no room.
    assert_eq!(uploads(folder), 0);
    write(store, &id("pets", "cow"), &small).await.unwrap();
    assert_eq!(names(store, "pets").await.unwrap().len(), 2);
}

/// The work of the child. Without a limit there is nothing to see.
#[tokio::test]
async fn within_a_limit() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let root = folder.to_str().unwrap();
    let (_provider, store) = linked(map(&[("root", root)])).await.unwrap();
    is_full(&*store, folder.as_ref()).await;
}

#[tokio::test]
async fn a_full_disk_shows_no_half_object_and_costs_none_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    limited("within_a_limit", folder.path());
    let root = folder.path().to_str().unwrap();
    let (_provider, store) = linked(map(&[("root", root)])).await.unwrap();
    let kept = read(&*store, &id("pets", "cat"), 0..u64::MAX)
        .await
        .unwrap();
    assert!(kept == pattern(SMALL), "another object");
    write(&*store, &id("pets", "dog"), &pattern(LARGE))
        .await
        .unwrap();
}
