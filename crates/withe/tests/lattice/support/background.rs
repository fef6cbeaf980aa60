//! A command that goes on beside the test: a host, most often.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{LONG, eventually};

/// How many lines of its log are shown when a test fails.
const SHOWN: usize = 60;

/// A running command, whose output goes to a file. The command is killed if the test ends before it
/// does.
pub(crate) struct Background {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Background {
    pub(crate) fn start(mut command: Command, name: &str, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let child = command.spawn().unwrap();
        Self {
            name: name.into(),
            child,
            log,
        }
    }

    /// The number of its process.
    #[allow(dead_code, reason = "the tests of hostile programs alone ask for it")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it has printed a line with `text`; the first such line.
    pub(crate) fn says(&mut self, text: &str) -> String {
        eventually(&format!("`{}` says {text:?}", self.name), || {
            let ended = self.child.try_wait().unwrap();
            let line = self
                .log()
                .lines()
                .find(|l| l.contains(text))
                .map(String::from);
            assert!(
                line.is_some() || ended.is_none(),
                "`{}` ended: {ended:?}",
                self.name
            );
            line
        })
    }

    /// All that it has printed.
    pub(crate) fn log(&self) -> String {
        // A line that is half written may end within a character.
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// As a crash, or the loss of its machine, ends it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits for that; its exit code.
    pub(crate) fn leave(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let over = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < over, "`{}` does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The command may have ended; a stopped one dies as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(SHOWN)..];
            eprintln!(
                "--- the end of what `{}` said:\n{}",
                self.name,
                last.join("\n")
            );
        }
    }
}
