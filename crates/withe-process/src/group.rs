//! A child with the group that it leads, killed when nobody has it any more.

use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};

use rustix::process::{Pid, Signal, kill_process_group};

/// Kills the group that the process of this number leads. The process must not have been waited for: its number could
/// be another's by then.
fn kill_group(id: u32) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    // One that has ended already needs nothing.
    _ = id.map(|id| kill_process_group(id, Signal::KILL));
}

/// A child that somebody waits for without a runtime.
pub(crate) struct BlockingChild {
    child: Child,
    has_ended: bool,
}

impl BlockingChild {
    pub(crate) fn new(child: Child) -> Self {
        Self {
            child,
            has_ended: false,
        }
    }

    /// Its standard streams: input, output and errors. Each is there once.
    pub(crate) fn streams(
        &mut self,
    ) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        let child = &mut self.child;
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    }

    /// How it ended, if it has.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait()?;
        self.has_ended |= ended.is_some();
        Ok(ended)
    }
}

impl Drop for BlockingChild {
    fn drop(&mut self) {
        if !self.has_ended {
            kill_group(self.child.id());
            // Killed, it ends at once.
            _ = self.child.wait();
        }
    }
}

/// A child of the runtime, which waits for it also when this is dropped.
pub(crate) struct AsyncChild(tokio::process::Child);

impl AsyncChild {
    /// The child must have been started with `kill_on_drop`.
    pub(crate) fn new(child: tokio::process::Child) -> Self {
        Self(child)
    }

    pub(crate) fn get(&mut self) -> &mut tokio::process::Child {
        &mut self.0
    }

    /// Kills it and what it has started.
    pub(crate) fn kill(&self) {
        // A process has no number once it has been waited for.
        if let Some(id) = self.0.id() {
            kill_group(id);
        }
    }
}

impl Drop for AsyncChild {
    fn drop(&mut self) {
        self.kill();
    }
}
