//! Why a process does not run.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::LastLines;

/// Why a process does not run, or not any more. Displayed, it is a sentence without its subject, which is the process:
/// "exited (exit status: 1)".
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system does not start it.
    #[error("cannot be started: `{}`: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its instructions cannot be written to its standard input.
    #[error("cannot be told what it is to do: {0}")]
    Input(#[source] io::Error),
    /// The process ended before it was ready.
    #[error("exited ({status}) before it was ready{last}")]
    EndedEarly {
        /// How.
        status: ExitStatus,
        /// The last lines it wrote.
        last: LastLines,
    },
    /// The process was not ready in time, and was killed.
    #[error("was not ready within {limit:?}: `{}`{last}", program.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// The time.
        limit: Duration,
        /// The last lines it wrote.
        last: LastLines,
    },
    /// The process said something else than that it is ready.
    #[error("did not say that it is ready, but {said:?}; is `{}` the right program?", program.display())]
    Unexpected {
        /// The program.
        program: PathBuf,
        /// Its message, shortened.
        said: String,
        /// Why that cannot be understood.
        #[source]
        source: serde_json::Error,
    },
    /// The process said that it cannot do what it is to do.
    #[error("failed: {0}")]
    Failed(String),
    /// The process started, but a step before it counts as ready failed.
    #[error(transparent)]
    Refused(Box<dyn Error + Send + Sync>),
    /// The process ended by itself, or somebody killed it.
    #[error("exited ({status})")]
    Exited {
        /// How.
        status: ExitStatus,
        /// The last lines it wrote.
        last: LastLines,
    },
    /// Nothing is known of it any more.
    #[error("was lost ({0})")]
    Lost(#[source] io::Error),
    /// The process said too often that it cannot do its work, and was killed.
    #[error("was killed, as it failed {times} times in a row: {why}")]
    Unwell {
        /// How often.
        times: u32,
        /// The reason it gave last.
        #[source]
        why: Unhealthy,
        /// The last lines it wrote.
        last: LastLines,
    },
    /// The process did not say whether it can do its work, and was killed.
    #[error("was killed, as it did not answer for {limit:?}")]
    Silent {
        /// For how long.
        limit: Duration,
        /// The last lines it wrote.
        last: LastLines,
    },
    /// The process was told to end.
    #[error("was stopped")]
    Stopped,
}

/// Why a process cannot do its work: its own sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unhealthy(pub String);

impl ProcessError {
    /// With what the process wrote last, where the message does not have it already.
    pub fn with_last_lines(&self) -> String {
        match self {
            Self::Exited { last, .. } | Self::Unwell { last, .. } | Self::Silent { last, .. } => {
                format!("{self}{last}")
            }
            _ => self.to_string(),
        }
    }
}
