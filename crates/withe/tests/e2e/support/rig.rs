//! An application with several processes, which are found, and whose figures are read, in `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::process::Up;
use super::{Folder, LONG, TEMPORARY};

/// An application that runs in a folder of its own. Processes that are left are killed with it.
pub(crate) struct Rig {
    pub(crate) up: Up,
    // Declared last of those that processes use, so that it goes after them.
    pub(crate) processes: Processes,
    pub(crate) folder: Folder,
}

impl Rig {
    /// Runs an application until it has said that it runs.
    pub(crate) fn start(manifest: &str, options: &[&str]) -> Self {
        let folder = Folder::with(manifest);
        let up = folder.up(options);
        Self::of(folder, up)
    }

    pub(crate) fn of(folder: Folder, up: Up) -> Self {
        let processes = Processes::of(&folder);
        Self {
            up,
            processes,
            folder,
        }
    }

    /// The processes of workers.
    pub(crate) fn workers(&self) -> Vec<u32> {
        self.processes.workers()
    }

    /// The process of the only worker.
    pub(crate) fn worker(&self) -> u32 {
        let workers = self.workers();
        assert_eq!(workers.len(), 1, "{workers:?}");
        workers[0]
    }

    /// The files that the application left in the folder for temporary files.
    pub(crate) fn temporary(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path(TEMPORARY)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Waits until no process of the application is there any more, and none of its files.
    pub(crate) fn leaves_nothing(&self) {
        self.leaves_no_process();
        eventually("the sockets are gone", || self.temporary().is_empty());
    }

    /// The same where the host was killed: a process that is confined removes its sockets, and not their folder, which
    /// goes with the next start.
    pub(crate) fn leaves_only_folders(&self) {
        self.leaves_no_process();
        let is_empty = |folder: &PathBuf| fs::read_dir(folder).is_ok_and(|all| all.count() == 0);
        eventually("the sockets are gone", || {
            self.temporary().iter().all(is_empty)
        });
    }

    fn leaves_no_process(&self) {
        eventually("all processes have ended", || {
            self.processes.all().is_empty()
        });
    }
}

/// The processes of the command that run in one folder.
pub(crate) struct Processes {
    folder: PathBuf,
}

impl Processes {
    pub(crate) fn of(folder: &Folder) -> Self {
        let folder = folder.path("").canonicalize().unwrap();
        Self { folder }
    }

    pub(crate) fn all(&self) -> Vec<u32> {
        let mut found: Vec<u32> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&id| self.has(id))
            .collect();
        found.sort_unstable();
        found
    }

    pub(crate) fn workers(&self) -> Vec<u32> {
        self.with_arguments(&["worker"])
    }

    /// The processes that have these arguments in front.
    pub(crate) fn with_arguments(&self, first: &[&str]) -> Vec<u32> {
        let mut all = self.all();
        all.retain(|&id| {
            let arguments = arguments(id);
            let given = arguments.iter().skip(1);
            arguments.len() > first.len() && given.zip(first).all(|(a, b)| a == b)
        });
        all
    }

    /// The processes of the program whose file has this name.
    pub(crate) fn of_program(&self, name: &str) -> Vec<u32> {
        let mut all = self.all();
        all.retain(|&id| {
            let program = arguments(id).first().map(PathBuf::from).unwrap_or_default();
            program.file_name().is_some_and(|file| file == name)
        });
        all
    }

    /// Whether the process runs here, as only the command's do. One that has ended, and that nobody has
    /// waited for, runs nowhere.
    pub(crate) fn has(&self, id: u32) -> bool {
        fs::read_link(proc(id, "cwd")).is_ok_and(|cwd| cwd == self.folder)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for id in self.all() {
            send("KILL", id);
        }
    }
}

pub(crate) fn proc(id: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(id.to_string()).join(name)
}

/// A process's arguments; none if it has ended.
pub(crate) fn arguments(id: u32) -> Vec<String> {
    let line = fs::read_to_string(proc(id, "cmdline")).unwrap_or_default();
    line.split('\0').map(str::to_owned).collect()
}

/// How much processor time a process has used, in ticks of the system's clock; 0 if it has ended.
pub(crate) fn ticks(id: u32) -> u64 {
    let stat = fs::read_to_string(proc(id, "stat")).unwrap_or_default();
    // The name of the program, in parentheses, may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut times = fields.split_whitespace().skip(11);
    let mut time = || times.next().and_then(|t| t.parse::<u64>().ok());
    time().unwrap_or_default() + time().unwrap_or_default()
}

/// Sends a signal; nothing happens if the process has ended.
pub(crate) fn send(signal: &str, id: u32) {
    kill(signal, &id.to_string());
}

/// Sends a signal to a process, or to a group of processes if there is a `-` before its number.
pub(crate) fn kill(signal: &str, target: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, "--", target]);
    // `kill` says so if there is no such process.
    kill.output().unwrap();
}

/// Kills a process, and waits until it has ended.
pub(crate) fn kill_now(id: u32) {
    send("KILL", id);
    eventually("a killed process has ended", || arguments(id) == [""]);
}

/// Stops a process, and waits until all of its threads stand still.
pub(crate) fn stop_now(id: u32) {
    send("STOP", id);
    eventually("a stopped process stands still", || {
        let mut threads = fs::read_dir(proc(id, "task")).unwrap();
        threads.all(|thread| {
            let status = fs::read_to_string(thread.unwrap().path().join("status"));
            // A thread that has just ended does not move either.
            status.map_or(true, |status| status.contains("State:\tT"))
        })
    });
}

/// Waits until a process is busy with what it was asked to do without end.
pub(crate) fn is_busy(id: u32) {
    let before = ticks(id);
    eventually("the worker is busy", || ticks(id) >= before + 5);
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
