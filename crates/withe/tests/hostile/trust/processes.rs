//! The environment and the descriptors of processes that a host starts.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::greeter;
use crate::support::process::Up;

const PASSWORD: &str = "correct-horse";

fn text(id: u32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{id}/{name}")).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The processes that `parent` has started.
fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.contains(&format!("\nPPid:\t{parent}\n"))
    };
    ids.filter(is_child).collect()
}

/// The files that a process has open, by its descriptors.
fn open(id: u32) -> Vec<(u32, PathBuf)> {
    let all = fs::read_dir(format!("/proc/{id}/fd")).unwrap().flatten();
    let open = all.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        // One that was closed meanwhile is not open.
        Some((number, fs::read_link(entry.path()).ok()?))
    });
    open.collect()
}

#[test]
fn processes_have_nothing_of_their_host_that_they_do_not_need() {
    let folder = greeter::folder();
    folder.write("secret", PASSWORD);
    // A descriptor that is open where the host is started, as those of shells and service managers may be.
    folder.write("start", "#!/bin/sh\nexec 9<secret\nexec \"$@\"\n");
    fs::set_permissions(folder.path("start"), fs::Permissions::from_mode(0o755)).unwrap();
    let withe = folder.command(&["up", "app.yaml", "--pass-env", "PASSED"]);
    let mut command = Command::new(folder.path("start"));
    command.arg(withe.get_program()).args(withe.get_args());
    command.current_dir(folder.path(""));
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    for (name, value) in withe.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("WITHE_NATS_PASSWORD", PASSWORD);
    command.env("OTHER_SECRET", PASSWORD);
    command.env("PASSED", "passed");
    let mut up = Up::start(command);
    let address = up.address();
    greeter::greets(&up, &address, "Hello, Ada!\n");

    let host = up.id();
    assert!(
        open(host).iter().any(|(number, _)| *number == 9),
        "the test's own descriptor is open in the host"
    );
    let of_host: HashSet<PathBuf> = open(host).into_iter().map(|(_, what)| what).collect();
    let children = children(host);
    // The server, the provider and the worker.
    assert_eq!(children.len(), 3, "{children:?}");
    let mut passed = 0;
    for id in children {
        let what = text(id, "cmdline").replace('\0', " ");
        for name in ["environ", "cmdline"] {
            let text = text(id, name);
            assert!(!text.contains(PASSWORD), "{what} has the password: {text}");
        }
        passed += usize::from(text(id, "environ").contains("PASSED=passed"));
        for (number, open) in open(id) {
            let is_shared = of_host.contains(&open) && !open.starts_with("/dev");
            // Of anonymous ones the name says nothing.
            let is_own = open.to_string_lossy().starts_with("anon_inode:");
            assert!(
                number < 3 || is_own || !is_shared,
                "{what} has {number}, {open:?}, of its host"
            );
        }
        let status = text(id, "status");
        assert!(status.contains("NoNewPrivs:\t1"), "{what}: {status}");
        let limits = text(id, "limits");
        let cores = limits.lines().find(|line| line.starts_with("Max core"));
        let cores = cores.unwrap().split_whitespace().nth(4);
        assert_eq!(cores, Some("0"), "{what}: {limits}");
        let stat = text(id, "stat");
        let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2);
        assert_eq!(group, Some(id.to_string().as_str()), "{what}: {stat}");
    }
    assert_eq!(
        passed, 2,
        "providers have what they are passed, workers nothing"
    );
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}
