//! A host that may have little memory: a control group bounds it, as a container or a service manager does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, thread};

use crate::alone::Folder;
use crate::alone::manifest::{application, component, http_servers};
use crate::alone::process::Up;
use crate::shim::through_shell;
use crate::support::client::{Exchange, get};
use crate::support::eventually;

/// The memory of the host's group, in MiB. The host itself needs about a tenth of it.
const MEMORY: usize = 768;
/// The memory that each request takes, in MiB.
const TAKEN: usize = 32;

/// A control group, which goes with the value.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// A group with so much memory, in MiB; `None` where none can be made, which needs rights and a hierarchy.
    fn new(mib: usize) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("withe-chaos-{}-{n}", std::process::id());
        let kinds = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        let group = kinds.iter().find_map(|(top, limit)| {
            let group = Path::new(top).join(&name);
            fs::create_dir(&group).ok()?;
            let group = Self(group);
            // A folder that is none of a hierarchy has no such file, and one is not to be made there.
            let limit = group.0.join(limit);
            (limit.exists() && fs::write(limit, (mib << 20).to_string()).is_ok()).then_some(group)
        });
        if group.is_none() {
            eprintln!("SKIPPED: no control group with a limit of memory can be made here");
        }
        group
    }

    /// The same command in this group.
    fn having(&self, command: &Command) -> Command {
        let processes = self.0.join("cgroup.procs");
        through_shell(&format!("echo $$ > '{}'", processes.display()), command)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The system counts a process as there for a moment after it has ended.
        for _ in 0..1_000 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn components_that_want_more_memory_than_there_is_are_refused_and_their_host_lives() {
    let Some(group) = MemoryGroup::new(MEMORY) else {
        return;
    };
    let folder = Folder::with(&application(&[
        http_servers(&["hog", "hog2", "hello"]),
        component("hog", "hog", "", &[]),
        component("hog2", "hog", "", &[]),
        component("hello", "hello", "", &[]),
    ]));
    let mut up = Up::start(group.having(&folder.command(&["up", "app.yaml"])));
    let [hog, hog2, hello] = up.addresses(["hog", "hog2", "hello"]);
    up.says("runs; Ctrl-C");
    let path = format!("POST /{TAKEN}");
    for _ in 0..2 {
        let (mut kept, mut refused) = (Vec::new(), 0);
        // Twice as much as there is.
        for i in 0..2 * MEMORY / TAKEN {
            let address = if i % 2 == 0 { &hog } else { &hog2 };
            let mut exchange = Exchange::start(address, &path, 1 << 20).unwrap();
            match exchange.status().unwrap() {
                200 => kept.push(exchange),
                503 => refused += 1,
                status => panic!("status {status}"),
            }
            assert_eq!(get(&hello, "/").unwrap().status, 200);
        }
        assert!(kept.len() * TAKEN >= MEMORY / 4, "{} kept", kept.len());
        assert!(refused * TAKEN >= MEMORY, "{refused} refused");
        drop(kept);
        eventually("the memory is there again", || {
            let mut exchange = Exchange::start(&hog, &path, 1 << 20).ok()?;
            (exchange.status().ok()? == 200).then_some(())
        });
    }
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
    let said = up.ended().stderr;
    assert!(said.contains("--max-memory"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
