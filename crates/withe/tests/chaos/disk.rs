//! A disk that answers with errors for a while.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::alone::manifest::{application, component};
use crate::alone::process::{Up, run};
use crate::alone::{Folder, LONG, examples};
use crate::shim::{build, preload};
use crate::support::eventually;
use crate::support::load::visit;

/// The system's words for a disk that fails.
const EIO: &str = "Input/output error";

/// The part of a disk's work that fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Writes,
    Syncs,
}

/// A folder of files that is on a disk which can fail.
struct Disk<'a> {
    folder: &'a Folder,
    library: &'a Path,
}

impl Disk<'_> {
    /// Runs a command on it.
    fn start(&self, args: &[&str]) -> Up {
        let mut command = self.folder.command(args);
        preload(&mut command, self.library);
        let disk = fs::canonicalize(self.folder.path("disk")).unwrap();
        command.env("CHAOS_DISK", disk);
        Up::start(command)
    }

    fn fails(&self, fault: Fault) {
        self.folder.write(flag(fault), "");
    }

    fn heals(&self, fault: Fault) {
        fs::remove_file(self.folder.path(flag(fault))).unwrap();
    }
}

fn flag(fault: Fault) -> &'static str {
    match fault {
        Fault::Writes => "disk.write",
        Fault::Syncs => "disk.sync",
    }
}

#[test]
fn a_store_in_a_file_has_all_that_it_acknowledged_when_its_disk_works_again() {
    let Some(library) = build("disk") else {
        return;
    };
    let folder = Folder::new();
    folder.write("disk/app.yaml", &examples::visits("", ""));
    let disk = Disk {
        folder: &folder,
        library: &library,
    };
    let up = disk.start(&["up", "disk/app.yaml"]);
    let address = up.address();
    up.says("runs; Ctrl-C");
    assert_eq!(visit(&address, "/a"), Ok(1));
    let (mut acknowledged, mut failed) = (1, 0);
    for fault in [Fault::Writes, Fault::Syncs, Fault::Writes, Fault::Syncs] {
        disk.fails(fault);
        for _ in 0..3 {
            let answer = visit(&address, "/a");
            // None is made out to have been counted.
            let said = answer.expect_err("the disk fails");
            assert!(said.starts_with('5'), "{said}");
            failed += 1;
        }
        up.says(EIO);
        disk.heals(fault);
        let healed = Instant::now();
        let mut failed_after = 0;
        let now = eventually("it is used again", || {
            let answer = visit(&address, "/a").ok();
            failed_after += u64::from(answer.is_none());
            answer
        });
        eprintln!(
            "measured: EIO of {fault:?}: used again after {:?}",
            healed.elapsed()
        );
        failed += failed_after;
        // A visit that failed may have been counted: nobody was told.
        assert!(now > acknowledged, "{now} after {acknowledged}");
        assert!(
            now <= acknowledged + failed + 1,
            "{now} after {acknowledged}, and {failed} failed"
        );
        (acknowledged, failed) = (now, 0);
    }
    drop(up);
    let up = disk.start(&["up", "disk/app.yaml"]);
    assert_eq!(visit(&up.address(), "/a"), Ok(acknowledged + 1));
}

#[test]
fn a_host_has_all_that_was_put_when_the_disk_of_its_state_works_again() {
    let Some(library) = build("disk") else {
        return;
    };
    let folder = Folder::new();
    fs::create_dir(folder.path("disk")).unwrap();
    let disk = Disk {
        folder: &folder,
        library: &library,
    };
    let args = ["host", "--name=a", "--state=disk/state.redb"];
    let host = disk.start(&args);
    host.says("is on the lattice");
    // One that was killed leaves its socket behind.
    let lattice = |host: &Up| {
        let socket = folder.path(&format!("withe/a-{}.sock", host.id()));
        format!("--lattice=unix:{}", socket.display())
    };
    let write = |name: &str| {
        let manifest = application(&[component("hello", "hello", "", &[])]);
        folder.write(
            &format!("{name}.yaml"),
            &manifest.replace("name: app", &format!("name: {name}")),
        );
    };
    let up = |name: &str| {
        let file = format!("{name}.yaml");
        run(folder.command(&["up", &file, "--wait=60", &lattice(&host)]))
    };
    let apps = |host: &Up| run(folder.command(&["get", "apps", &lattice(host)]));
    ["first", "second", "third"].into_iter().for_each(write);
    up("first").printed();
    for (fault, name) in [(Fault::Writes, "second"), (Fault::Syncs, "third")] {
        disk.fails(fault);
        up(name).failed(&["state.redb", EIO]);
        // Earlier applications can be read.
        assert!(apps(&host).printed().contains("first"));
        disk.heals(fault);
        let over = Instant::now() + LONG;
        while up(name).code != Some(0) {
            assert!(Instant::now() < over, "it does not come back");
            sleep(Duration::from_millis(50));
        }
    }
    // Dropping kills the host.
    drop(host);
    let host = disk.start(&args);
    host.says("is on the lattice");
    let there = apps(&host);
    for name in ["first", "second", "third"] {
        assert!(there.printed().contains(name), "{there:?}");
    }
}
