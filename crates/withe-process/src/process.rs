//! One process, from its start to its end.

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::command::{BUSY, is_busy};
use crate::group::AsyncChild;
use crate::{LastLines, ProcessCommand, ProcessError, ProcessLog, log};

/// How long what ends at once may take.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long what a process wrote at its end may take to be read. A child of the process may hold the stream open.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often a process is probed until it answers.
const PROBE: Duration = Duration::from_millis(50);
/// The longest line that a process may say, in bytes.
const LONGEST: usize = 1 << 20;
/// How much is repeated of what it should not have said, in characters.
const REPEATED: usize = 200;

/// A report of a process while it starts: a line of JSON on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said<P> {
    /// The progress of its start.
    Progress(P),
    /// The process can be called.
    Ready,
    /// The process cannot do what it is to do: a sentence for a person.
    Failed(String),
}

/// A process. Dropped, it is killed, with what it has started.
pub struct Process {
    child: AsyncChild,
    program: PathBuf,
    limit: Duration,
    ready_by: Instant,
    input: Option<ChildStdin>,
    /// Its standard output. Kept also when nothing more is read: a process that writes there anyway must not be hurt
    /// by it.
    output: Option<BufReader<ChildStdout>>,
    log: JoinSet<()>,
    last: LastLines,
}

impl Process {
    /// Starts one. From now on it has the command's time to be ready.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Spawn`]
    pub async fn start(command: &ProcessCommand) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Spawn {
            program: command.program().into(),
            source,
        };
        let mut spawning = tokio::process::Command::from(command.build());
        spawning.kill_on_drop(true);
        let (mut tries, pause) = BUSY;
        let mut child = loop {
            match spawning.spawn() {
                Err(e) if tries > 0 && is_busy(&e) => {
                    tries -= 1;
                    sleep(pause).await;
                }
                spawned => break spawned.map_err(failed)?,
            }
        };
        let input = child.stdin.take();
        let output = child.stdout.take();
        let errors = child.stderr.take();
        let last = LastLines::default();
        let mut log = JoinSet::new();
        let (output, name) = match command.log_mode() {
            ProcessLog::Inherited => (output, None),
            ProcessLog::Errors(name) => (output, Some(name)),
            ProcessLog::All(name) => {
                if let Some(output) = output {
                    log.spawn(log::pump(name.clone(), output, last.clone()));
                }
                (None, Some(name))
            }
        };
        if let (Some(errors), Some(name)) = (errors, name) {
            log.spawn(log::pump(name.clone(), errors, last.clone()));
        }
        Ok(Self {
            child: AsyncChild::new(child),
            program: command.program().into(),
            limit: command.limit(),
            ready_by: Instant::now() + command.limit(),
            input,
            output: output.map(BufReader::new),
            log,
            last,
        })
    }

    /// The last lines it wrote, where its log is read.
    pub fn last_lines(&self) -> &LastLines {
        &self.last
    }

    /// Writes to its standard input. If it has ended meanwhile, that is no error: how it ended says more.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Input`], or [`ProcessError::NotReady`] if it does not read before it is to be ready.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ProcessError> {
        let Some(input) = &mut self.input else {
            return Ok(());
        };
        let writing = async {
            input.write_all(bytes).await?;
            input.flush().await
        };
        match timeout_at(self.ready_by, writing).await {
            Ok(Err(e)) if e.kind() != io::ErrorKind::BrokenPipe => Err(ProcessError::Input(e)),
            Ok(_) => Ok(()),
            Err(_) => Err(self.late()),
        }
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Reads what it says until it is ready; `progress` hears the rest.
    ///
    /// # Errors
    ///
    /// If it says that it failed or something that is not understood, ends, or is not ready in time.
    pub async fn said_ready<P: DeserializeOwned>(
        &mut self,
        progress: impl Fn(P),
    ) -> Result<(), ProcessError> {
        loop {
            match self.said().await? {
                Said::Progress(what) => progress(what),
                Said::Ready => return Ok(()),
                Said::Failed(why) => return Err(ProcessError::Failed(why)),
            }
        }
    }

    async fn said<P: DeserializeOwned>(&mut self) -> Result<Said<P>, ProcessError> {
        let line = match &mut self.output {
            Some(output) => timeout_at(self.ready_by, log::next(output, LONGEST)).await,
            None => Ok(None),
        };
        match line {
            Ok(Some(line)) => {
                serde_json::from_str(&line).map_err(|source| ProcessError::Unexpected {
                    program: self.program.clone(),
                    said: line.chars().take(REPEATED).collect(),
                    source,
                })
            }
            // The process closed its output, so it has ended or is about to.
            Ok(None) => Err(match timeout_at(self.ready_by, self.ended()).await {
                Ok(error) => early(error),
                Err(_) => self.late(),
            }),
            Err(_) => Err(self.late()),
        }
    }

    /// Probes it again and again until it answers, and returns what it does.
    ///
    /// # Errors
    ///
    /// If it ends, or is not ready in time.
    pub async fn probed_ready<T, E, F: Future<Output = Result<T, E>>>(
        &mut self,
        probe: impl Fn() -> F,
    ) -> Result<T, ProcessError> {
        let answered = async {
            loop {
                if let Ok(answer) = probe().await {
                    return answer;
                }
                sleep(PROBE).await;
            }
        };
        let ready_by = self.ready_by;
        tokio::select! {
            answer = timeout_at(ready_by, answered) => answer.map_err(|_| self.late()),
            error = self.ended() => Err(early(error)),
        }
    }

    /// Does something with it that belongs to its start. `doing` has a deadline of its own.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Refused`] if that fails, [`ProcessError::EndedEarly`] if the process ends meanwhile.
    pub async fn unless_ended<T, E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        doing: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ProcessError> {
        tokio::select! {
            done = doing => done.map_err(|e| ProcessError::Refused(e.into())),
            error = self.ended() => Err(early(error)),
        }
    }

    /// Waits until it ends, and says how.
    pub async fn ended(&mut self) -> ProcessError {
        let status = self.child.get().wait().await;
        self.read_last_lines().await;
        match status {
            Ok(status) => ProcessError::Exited {
                status,
                last: self.last.clone(),
            },
            Err(e) => ProcessError::Lost(e),
        }
    }

    /// Asks it to end as processes of Withe are: by one more byte, after which they finish what they do. The end of
    /// their input would say that the host is gone.
    pub async fn ask_to_end(&mut self) {
        if let Some(input) = &mut self.input {
            // If it cannot be told, it has ended or is killed in time.
            _ = timeout(AT_ONCE, async {
                input.write_u8(0).await?;
                input.flush().await
            })
            .await;
        }
    }

    /// Kills it, with what it has started, and reads the rest of its log.
    pub async fn kill(&mut self) {
        self.child.kill();
        // One that the system does not let go of is waited for by the runtime.
        if timeout(AT_ONCE, self.child.get().wait()).await.is_ok() {
            self.read_last_lines().await;
        }
    }

    async fn read_last_lines(&mut self) {
        let log = &mut self.log;
        _ = timeout(LAST_LINES, async {
            while log.join_next().await.is_some() {}
        })
        .await;
    }

    fn late(&self) -> ProcessError {
        ProcessError::NotReady {
            program: self.program.clone(),
            limit: self.limit,
            last: self.last.clone(),
        }
    }
}

/// The end of a process that was not ready yet.
fn early(error: ProcessError) -> ProcessError {
    match error {
        ProcessError::Exited { status, last } => ProcessError::EndedEarly { status, last },
        other => other,
    }
}
