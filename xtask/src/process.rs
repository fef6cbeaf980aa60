//! Child processes: each has a deadline, and none outlives this process.
//!
//! Every child leads a process group of its own, so that what it started in turn (`rustc`, test
//! binaries) can be stopped with it. For the same reason Ctrl-C does not reach it by itself:
//! [`until_interrupted`] drops the work, and with it the children.

use std::ffi::OsStr;
use std::future::Future;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How long a small program may take: one that neither compiles nor fetches anything.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// How long fetching or compiling may take, on a slow machine and from nothing.
pub(crate) const LONG: Duration = Duration::from_secs(45 * 60);

/// Runs a program to its end, its output going where ours goes. `what` is what it does, for
/// messages.
///
/// # Errors
///
/// Returns an error if the program cannot be started, fails, or takes longer than `deadline` and is killed.
pub(crate) async fn run(what: &str, command: &mut Command, deadline: Duration) -> Result<()> {
    let status = Running::start(what, command)?.wait(deadline).await?;
    expect_success(what, status)
}

/// Runs a program to its end and returns what it wrote to standard output. Standard error goes
/// where ours goes.
///
/// # Errors
///
/// As [`run`]; also, output that is not UTF-8.
pub(crate) async fn output(
    what: &str,
    command: &mut Command,
    deadline: Duration,
) -> Result<String> {
    let mut running = Running::start(what, command.stdout(Stdio::piped()))?;
    let mut stdout = running
        .child
        .stdout
        .take()
        .context("standard output is not piped")?;
    let mut text = String::new();
    timeout(deadline, stdout.read_to_string(&mut text))
        .await
        .with_context(|| too_long(what, deadline))?
        .with_context(|| format!("cannot read the output of: {what}"))?;
    let status = running.wait(deadline).await?;
    expect_success(what, status)?;
    Ok(text)
}

/// Whether a program of this name is on the path.
pub(crate) fn exists(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// `cargo` with these arguments, in the repository's root.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    // Cargo says which cargo runs us; the name alone is right when we are run without it.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::tree::root()).args(arguments);
    // Cargo says by variables which package it runs here. Build scripts that look at them (`ring`'s does) would run again, and
    // all above them be compiled again, each time that cargo is run by us after it was run by hand, and back.
    for (name, _) in std::env::vars_os() {
        let of_package = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if (name.to_str()).is_some_and(|name| of_package.iter().any(|of| name.starts_with(of))) {
            command.env_remove(name);
        }
    }
    command
}

/// Does the work until it is done, or until Ctrl-C or a request to terminate: then the work is
/// dropped, which kills its children.
///
/// # Errors
///
/// Returns the work's errors, or one if it was interrupted.
pub(crate) async fn until_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        result = interrupted() => {
            result?;
            bail!("interrupted")
        }
    }
}

/// Waits for Ctrl-C, a request to terminate, or the end of the terminal.
///
/// # Errors
///
/// The system does not let us listen for signals.
pub(crate) async fn interrupted() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

/// A child process; it and everything in its group is killed when this is dropped before it ended.
pub(crate) struct Running {
    what: String,
    child: Child,
    /// Its process group, until it has ended: from then on the number may be another's.
    group: Option<Pid>,
}

impl Running {
    /// Starts a program. The program reads nothing from the terminal.
    ///
    /// # Errors
    ///
    /// Returns an error if the program cannot be started.
    pub(crate) fn start(what: &str, command: &mut Command) -> Result<Self> {
        let program = command.as_std().get_program().to_owned();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}` to {what}", program.to_string_lossy()))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self {
            what: what.into(),
            child,
            group,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the program takes longer than `deadline`; it is killed then.
    pub(crate) async fn wait(mut self, deadline: Duration) -> Result<ExitStatus> {
        match timeout(deadline, self.child.wait()).await {
            Ok(status) => {
                self.group = None;
                status.with_context(|| format!("cannot wait for: {}", self.what))
            }
            Err(_) => bail!(too_long(&self.what, deadline)),
        }
    }

    /// Waits for its end, however long it takes.
    ///
    /// # Errors
    ///
    /// The system does not say how it ended.
    pub(crate) async fn ended(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await;
        self.group = None;
        status.with_context(|| format!("cannot wait for: {}", self.what))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub(crate) fn try_ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait();
        let status = status.with_context(|| format!("cannot wait for: {}", self.what))?;
        if status.is_some() {
            self.group = None;
        }
        Ok(status)
    }

    /// Its process id, until it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to end, as Ctrl-C does; nothing happens if it has ended.
    pub(crate) fn interrupt(&self) {
        if let Some(group) = self.group {
            // The program may end this very moment, as wanted.
            _ = kill_process_group(group, Signal::INT);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // The program may end this very moment, as wanted.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn expect_success(what: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("could not {what} ({status})")
    }
}

fn too_long(what: &str, deadline: Duration) -> String {
    format!("it took longer than {} s to {what}", deadline.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn failure_names_the_step() {
        let error = run("do nothing", &mut shell("exit 3"), SHORT)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "could not do nothing (exit status: 3)");
    }

    #[tokio::test]
    async fn output_is_what_was_written() {
        assert_eq!(
            output("speak", &mut shell("echo hello"), SHORT)
                .await
                .unwrap(),
            "hello\n"
        );
    }

    #[tokio::test]
    async fn a_deadline_kills_the_whole_group() {
        let mut command = shell("sh -c 'echo ready; sleep 600' & wait");
        let mut running = Running::start("wait", command.stdout(Stdio::piped())).unwrap();
        let mut stdout = running.child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 6]).await.unwrap();

        let error = running.wait(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "it took longer than 0 s to wait");
        // The pipe ends when the last process that could write to it is gone.
        let rest = timeout(SHORT, stdout.read_to_end(&mut Vec::new())).await;
        assert_eq!(rest.expect("the inner shell was killed too").unwrap(), 0);
    }

    #[tokio::test]
    async fn an_interrupt_reaches_the_child() {
        let mut command = shell("trap 'exit 7' INT; echo ready; while :; do sleep 0.01; done");
        let mut running = Running::start("wait", command.stdout(Stdio::piped())).unwrap();
        let mut stdout = running.child.stdout.take().unwrap();
        // The trap is set once it has spoken.
        stdout.read_exact(&mut [0; 6]).await.unwrap();
        running.interrupt();
        assert_eq!(running.wait(SHORT).await.unwrap().code(), Some(7));
    }
}
