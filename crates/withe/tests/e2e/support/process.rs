//! The command as a process: run to its end, or running until it is told to stop.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::LONG;

/// Far more than building a small component takes, on a busy machine too.
const BUILDING: Duration = Duration::from_secs(15 * 60);

/// The outcome of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The command's output, if it went well.
    pub(crate) fn printed(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout.trim_end()
    }

    /// Checks that it failed and said each of `texts`.
    pub(crate) fn failed(&self, texts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Ended {
    Up::start(command).ended()
}

/// As [`run`], of a command that builds something.
pub(crate) fn build(command: Command) -> Ended {
    Up::start(command).ended_within(BUILDING)
}

/// A running command; it is killed if the test ends before it does.
pub(crate) struct Up {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Up {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Where it says that it listens, as `HOST:PORT`.
    pub(crate) fn address(&self) -> String {
        let line = self.wait_for(&self.out, "http://");
        let address = line.trim_start_matches("http://").split([' ', '/']).next();
        address.unwrap_or_default().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where each of these components is served, as `HOST:PORT`.
    pub(crate) fn addresses<const N: usize>(&self, components: [&str; N]) -> [String; N] {
        let lines = components.map(|_| self.wait_for(&self.out, "http://"));
        components.map(|component| {
            let served = format!(" is served by `{component}`");
            let line = lines.iter().find_map(|line| line.strip_suffix(&served));
            let line = line.unwrap_or_else(|| panic!("no {served:?} in {lines:#?}"));
            let address = line.trim_start_matches("http://").trim_end_matches('/');
            address.to_owned()
        })
    }

    /// Waits until it says `text` on standard error.
    pub(crate) fn says(&self, text: &str) -> String {
        self.wait_for(&self.err, text)
    }

    /// Waits until it prints `text` on standard output.
    pub(crate) fn prints(&self, text: &str) -> String {
        self.wait_for(&self.out, text)
    }

    /// As [`prints`](Self::prints), of a command that builds something before.
    pub(crate) fn builds(&self, text: &str) -> String {
        self.wait_within(&self.out, text, BUILDING)
    }

    /// As [`says`](Self::says), of a command that builds something before.
    pub(crate) fn rebuilds(&self, text: &str) -> String {
        self.wait_within(&self.err, text, BUILDING)
    }

    /// Waits for the end, and returns what it has said that was not looked at.
    pub(crate) fn ended(self) -> Ended {
        self.ended_within(LONG)
    }

    fn ended_within(mut self, time: Duration) -> Ended {
        Ended {
            code: self.exit_code_within(time),
            stdout: rest(&self.out),
            stderr: rest(&self.err),
        }
    }

    /// Sends Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; `None` if a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.exit_code_within(LONG)
    }

    fn exit_code_within(&mut self, time: Duration) -> Option<i32> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not end; it said {:#?}", so_far(&self.err));
    }

    fn wait_for(&self, lines: &Receiver<String>, text: &str) -> String {
        self.wait_within(lines, text, LONG)
    }

    /// Waits for a line with `text`, for no longer than `time` for each that comes before.
    fn wait_within(&self, lines: &Receiver<String>, text: &str, time: Duration) -> String {
        let mut seen = Vec::new();
        loop {
            match lines.recv_timeout(time) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => {
                    let said = so_far(&self.err);
                    panic!("no line with {text:?} in {seen:#?}; it said {said:#?}");
                }
            }
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines as they come, so that the command never waits for a reader.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody may be listening any more.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// All that is still to come from a command that has ended.
fn rest(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(LONG) {
            Ok(line) => text += &(line + "\n"),
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("its output did not end after {text:?}"),
        }
    }
}

/// The lines that have come until now.
fn so_far(lines: &Receiver<String>) -> Vec<String> {
    lines.try_iter().collect()
}
