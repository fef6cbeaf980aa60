//! One process of a provider, from its start to its end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_provider::process::{Assignment, Event};

use super::{ProgramCommand, log};

/// How long what ends at once may take.
pub(super) const STOP: Duration = Duration::from_secs(5);
/// How long a process may take until it listens.
const READY: Duration = Duration::from_secs(20);
/// The longest line that a process may say.
const LONGEST: u64 = 64 << 10;

/// A process that listens. Dropped, it is killed.
pub(super) struct Program {
    child: Child,
    input: ChildStdin,
    /// Its log, which is read to its end.
    log: JoinSet<()>,
    /// Nothing more is said there, but a process that writes there anyway must not be hurt by it.
    _output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts a process and waits until it listens.
    ///
    /// # Errors
    ///
    /// A sentence without its subject, which is the provider.
    pub(super) async fn start(
        command: &ProgramCommand,
        assignment: &Assignment,
    ) -> Result<Self, String> {
        let mut spawning = Command::new(&command.program);
        spawning
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A signal from the terminal is for the host: it ends its processes itself.
        #[cfg(unix)]
        spawning.process_group(0);
        let program = command.program.display();
        let mut child = spawning
            .spawn()
            .map_err(|e| format!("cannot be started: `{program}`: {e}"))?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = streams else {
            return Err("has no standard streams".into());
        };
        let mut log = JoinSet::new();
        log.spawn(log::lines(assignment.name.clone(), errors));
        let mut this = Self {
            child,
            input,
            log,
            _output: BufReader::new(output),
        };
        match timeout(READY, this.begin(assignment)).await {
            Ok(Ok(())) => Ok(this),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!(
                "did not listen within {} seconds: `{program}`",
                READY.as_secs()
            )),
        }
    }

    async fn begin(&mut self, assignment: &Assignment) -> Result<(), String> {
        let mut line = serde_json::to_vec(assignment).map_err(|e| e.to_string())?;
        line.push(b'\n');
        // If it has ended meanwhile it has said why.
        _ = self.input.write_all(&line).await;
        let mut said = String::new();
        let output = &mut self._output;
        let read = output.take(LONGEST).read_line(&mut said).await;
        match serde_json::from_str(&said) {
            Ok(Event::Ready) => Ok(()),
            Ok(Event::Failed(why)) => Err(format!("failed: {why}")),
            Err(_) if read.is_ok() && said.is_empty() => Err(self.ended().await),
            Err(_) => Err(format!(
                "did not say that it is ready, but {:?}; is it a provider?",
                said.trim_end()
            )),
        }
    }

    /// Waits until it ends, and says how: a sentence without its subject.
    pub(super) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        // What it wrote last says more; somebody it has started may hold the stream open.
        _ = timeout(STOP, self.log.join_next()).await;
        match status {
            Ok(status) => format!("exited ({status})"),
            Err(e) => format!("was lost ({e})"),
        }
    }

    /// Kills it.
    pub(super) async fn kill(mut self) {
        // It has ended if it cannot be killed.
        _ = self.child.kill().await;
        _ = timeout(STOP, self.log.join_next()).await;
    }

    /// Lets it finish what it does, for about `grace`, and ends it.
    pub(super) async fn stop(mut self, grace: Duration) {
        // If it cannot be told, it has ended or will see the end of its input.
        _ = timeout(STOP, self.input.write_u8(0)).await;
        if timeout(grace + STOP, self.ended()).await.is_err() {
            tracing::warn!("a provider's process does not end; it is killed");
            self.kill().await;
        }
    }
}

/// Milliseconds, as an assignment has them.
pub(super) fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// The sockets of a process, in a folder that only its user can enter.
pub(super) fn sockets(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    (folder.join("provider.sock"), folder.join("host.sock"))
}
