//! Folders that a killed process leaves on the disk.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::examples;
use crate::support::process::Up;
use crate::support::{Folder, TEMPORARY};

/// An application whose provider is a process, which has a folder for its sockets.
fn up(folder: &Folder) -> Up {
    let up = folder.up(&[]);
    up.says("runs; Ctrl-C");
    up
}

fn folders(folder: &Folder) -> BTreeSet<PathBuf> {
    let found = fs::read_dir(folder.path(TEMPORARY)).unwrap();
    found.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_a_killed_host_left_goes_with_the_next_start_and_what_lives_stays() {
    let manifest = examples::visits("", "")
        .replace("\"withe:keyvalue\"", "\"withe:keyvalue\", process: true")
        .replace("path: ./visits.redb", "backend: memory");
    assert!(manifest.contains("process: true") && manifest.contains("backend: memory"));
    let folder = Folder::with(&manifest);
    let mut killed = up(&folder);
    let left = folders(&folder);
    assert_eq!(left.len(), 1, "{left:?}");
    for path in &left {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        // Such as an archive's program.
        fs::write(path.join("provider"), vec![0; 1 << 20]).unwrap();
    }
    let id = killed.id().to_string();
    let sent = Command::new("kill").args(["-KILL", &id]).status().unwrap();
    assert!(sent.success());
    assert_eq!(killed.exit_code(), None);
    assert_eq!(folders(&folder), left);

    let live = up(&folder);
    let of_live = folders(&folder);
    assert!(of_live.is_disjoint(&left), "{of_live:?} of {left:?}");
    let mut other = up(&folder);
    assert!(folders(&folder).is_superset(&of_live));
    other.interrupt();
    assert_eq!(other.exit_code(), Some(0));
    assert_eq!(folders(&folder), of_live);
    drop(live);
}
