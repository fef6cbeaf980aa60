//! Other users of the machine can neither pose as a host nor reach one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::{Up, run};
use crate::support::{Folder, TEMPORARY};

/// A user who is neither root nor the one who runs the tests.
const OTHER: u32 = 54_321;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A command of a user without `XDG_RUNTIME_DIR`, whose sockets are in the folder for temporary files.
fn command(folder: &Folder, args: &[&str]) -> Command {
    let mut command = folder.command(args);
    command.env_remove("XDG_RUNTIME_DIR");
    command
}

/// The folder that such a user's hosts have their sockets in.
fn squatted(folder: &Folder) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    folder.path(TEMPORARY).join(format!("withe-{user}"))
}

#[test]
fn a_folder_for_sockets_that_somebody_else_made_is_not_used() {
    let folder = Folder::new();
    set_mode(&folder.path(TEMPORARY), 0o1777);
    let squatted = squatted(&folder);
    let target = folder.path("target");
    fs::create_dir(&target).unwrap();
    set_mode(&target, 0o755);
    symlink(&target, &squatted).unwrap();
    for args in [["host", "--name=a"], ["get", "hosts"]] {
        run(command(&folder, &args)).failed(&["symbolic link", "XDG_RUNTIME_DIR"]);
    }
    assert_eq!(mode(&target), 0o755, "changed through a link");
    assert!(fs::read_dir(&target).unwrap().next().is_none());

    fs::remove_file(&squatted).unwrap();
    fs::create_dir(&squatted).unwrap();
    set_mode(&squatted, 0o777);
    for args in [["host", "--name=a"], ["get", "hosts"]] {
        run(command(&folder, &args)).failed(&["others may write to", "XDG_RUNTIME_DIR"]);
    }
    assert!(fs::read_dir(&squatted).unwrap().next().is_none());

    // A folder that nobody else had in hand is used, and closed.
    set_mode(&squatted, 0o755);
    let host = Up::start(command(&folder, &["host", "--name=a"]));
    host.says("is on the lattice");
    assert_eq!(mode(&squatted), 0o700);
    let socket = fs::read_dir(&squatted).unwrap().next().unwrap().unwrap();
    assert_eq!(mode(&socket.path()), 0o600);
    assert!(
        run(command(&folder, &["get", "hosts"]))
            .printed()
            .contains('a')
    );

    if chown(&target, Some(OTHER), None).is_ok() {
        let theirs = Folder::new();
        set_mode(&theirs.path(TEMPORARY), 0o1777);
        let squatted = self::squatted(&theirs);
        fs::create_dir(&squatted).unwrap();
        chown(&squatted, Some(OTHER), None).unwrap();
        for args in [["host", "--name=a"], ["get", "hosts"]] {
            run(command(&theirs, &args)).failed(&["belongs to the user with the number 54321"]);
        }
    }
}

/// Both ends look at who the other is, so this needs a process of another user, which root alone can start.
#[test]
fn a_process_of_another_user_is_neither_served_nor_called() {
    let folder = Folder::new();
    let sockets = folder.path("withe");
    let other = |args: &[&str]| {
        let mut command = folder.command(args);
        command.uid(OTHER).gid(OTHER).env("WITHE_CACHE_DIR", "");
        command.env("XDG_RUNTIME_DIR", folder.path("other"));
        command
    };
    if !rustix::process::geteuid().is_root() || other(&["--version"]).output().is_err() {
        return;
    }
    let host = Up::start(folder.command(&["host", "--name=a"]));
    host.says("is on the lattice");
    let socket = fs::read_dir(&sockets).unwrap().next().unwrap().unwrap();
    // Even where somebody opens what is closed.
    set_mode(&folder.path(""), 0o755);
    set_mode(&sockets, 0o755);
    set_mode(&socket.path(), 0o666);
    let url = format!("--lattice=unix:{}", socket.path().display());
    let refused = run(other(&["get", "hosts", &url]));
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    host.says("and not of this one");
    assert!(
        run(folder.command(&["get", "hosts", &url]))
            .printed()
            .contains('a')
    );

    // And the other way round: what another user serves is not asked.
    let theirs = folder.path("other");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
    let host = Up::start(other(&["host", "--name=b"]));
    host.says("is on the lattice");
    let socket = fs::read_dir(theirs.join("withe")).unwrap().next().unwrap();
    let url = format!("--lattice=unix:{}", socket.unwrap().path().display());
    run(folder.command(&["get", "hosts", &url]))
        .failed(&["that of the user with the number 54321"]);
    assert!(run(other(&["get", "hosts", &url])).printed().contains('b'));
}
