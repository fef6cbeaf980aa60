//! Disks that fail for a while, and files that somebody damaged.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::client::{Response, get};
use crate::support::examples;
use crate::support::manifest::{application, component};
use crate::support::process::{Up, run};
use crate::support::{Folder, LONG};

/// The command, which a write beyond the limit does not kill.
fn survivor(folder: &Folder, args: &[&str]) -> Up {
    let mut command = folder.command(&[]);
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(program).args(args);
    shell.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    command = shell;
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    Up::start(command)
}

/// Lets a process write to files, or has every write fail as on a disk that is full.
fn can_write(process: &Up, can: bool) {
    let process = Pid::from_raw(process.id().cast_signed());
    let limit = Rlimit {
        current: (!can).then_some(0),
        maximum: None,
    };
    prlimit(process, Resource::Fsize, limit).unwrap();
}

/// Asks until the answer is one that is waited for.
fn answers(address: &str, path: &str, is_it: impl Fn(&Response) -> bool) -> Response {
    let over = Instant::now() + LONG;
    loop {
        let response = get(address, path).unwrap();
        if is_it(&response) {
            return response;
        }
        assert!(
            Instant::now() < over,
            "{}: {}",
            response.status,
            response.text()
        );
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_store_in_a_file_comes_back_with_its_disk() {
    let folder = Folder::with(&examples::visits("", ""));
    let up = survivor(&folder, &["up", "app.yaml"]);
    let address = up.address();
    up.says("runs; Ctrl-C");
    answers(&address, "/a", |r| {
        r.text().contains("visited <strong>once")
    });
    for times in [2, 3] {
        can_write(&up, false);
        answers(&address, "/a", |response| response.status >= 500);
        up.says("the file is closed, and opened again when it is needed");
        can_write(&up, true);
        // Nothing that was counted is lost, and what failed was not counted.
        let visited = format!("visited <strong>{times} times");
        answers(&address, "/a", |r| {
            r.status == 200 && r.text().contains(&visited)
        });
        up.says("is used again");
    }
}

#[test]
fn a_host_keeps_its_state_over_a_disk_that_was_full() {
    let folder = Folder::with(&application(&[component("probe", "fs-probe", "", &[])]));
    let host = survivor(&folder, &["host", "--name=a", "--state=state.redb"]);
    host.says("is on the lattice");
    let socket = fs::read_dir(folder.path("withe")).unwrap().next().unwrap();
    let lattice = format!("--lattice=unix:{}", socket.unwrap().path().display());
    let up = || run(folder.command(&["up", "app.yaml", "--wait=60", &lattice]));
    can_write(&host, false);
    up().failed(&["state.redb"]);
    can_write(&host, true);
    let over = Instant::now() + LONG;
    while up().code != Some(0) {
        assert!(Instant::now() < over, "it did not come back");
    }
    let apps = || run(folder.command(&["get", "apps", &lattice]));
    assert!(apps().printed().contains("app"));
}

#[test]
fn state_that_is_damaged_or_lost_is_not_taken_for_a_new_one() {
    let folder = Folder::new();
    let host = |state: &str| folder.command(&["host", "--name=a", "--state", state]);
    let mut first = Up::start(host("state.redb"));
    first.says("is on the lattice");
    first.interrupt();
    assert_eq!(first.exit_code(), Some(0));
    let good = fs::read(folder.path("state.redb")).unwrap();
    let damaged = |bytes: &[u8]| {
        fs::write(folder.path("state.redb"), bytes).unwrap();
        run(host("state.redb"))
    };
    damaged(b"").failed(&["state.redb", "is empty", "restore it from a backup"]);
    damaged(&good[..good.len() / 2]).failed(&["state.redb", "is damaged"]);
    damaged(b"something else").failed(&["state.redb", "is damaged"]);
    let mut bad = good.clone();
    bad[4_096..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    let ended = damaged(&bad);
    ended.failed(&["state.redb", "is damaged", "move it away"]);
    assert_eq!(fs::read(folder.path("state.redb")).unwrap(), bad, "changed");
}
