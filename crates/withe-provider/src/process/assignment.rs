//! The assignment of a provider's process, and its answer.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::protocol::PROTOCOL;
use crate::ConfigMap;

/// The longest assignment, in bytes.
const LONGEST: u64 = 16 << 20;

/// The assignment of a process: one line on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The [`PROTOCOL`] that the host speaks.
    pub protocol: u32,
    /// The provider's name in its application, for logs.
    pub name: String,
    /// Where the process is to listen.
    pub socket: PathBuf,
    /// Where the host answers the calls of links of which the provider is the source.
    pub host: PathBuf,
    /// Where the process is to hand its listening sockets to a successor.
    pub handover: PathBuf,
    /// Where the process whose place this one takes hands over its own, if there is one.
    pub predecessor: Option<PathBuf>,
    /// The provider's own configuration.
    pub config: ConfigMap,
    /// How long work under way may take when the process is to end, in milliseconds.
    pub grace_ms: u64,
    /// The first number for resources, which those of processes before this one do not reach.
    pub first_resource: u32,
}

/// The answer of a process: one line on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The process listens.
    Ready,
    /// The process cannot carry out its assignment.
    Failed(String),
}

/// Why a process has no assignment that it can carry out.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// Standard input cannot be read.
    #[error("the assignment cannot be read: {0}")]
    Io(#[source] io::Error),
    /// There is no whole line, or it is too long.
    #[error("standard input ended before the assignment did")]
    Ended,
    /// The line is no assignment.
    #[error("the assignment cannot be understood: {0}")]
    Json(#[source] serde_json::Error),
    /// The host is of another version.
    #[error(
        "the host speaks version {host} of the provider protocol, and this program version {}: \
         build it with the host's `withe-provider`",
        PROTOCOL
    )]
    Protocol {
        /// The version that the host speaks.
        host: u32,
    },
}

impl Assignment {
    /// How long work under way may take when the process is to end.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// Reads one from the first line of `input`.
    ///
    /// # Errors
    ///
    /// If there is none, or the host speaks another version of the protocol.
    pub(super) async fn read(
        input: &mut (impl AsyncBufRead + Unpin),
    ) -> Result<Self, AssignmentError> {
        let mut line = Vec::new();
        let read = input.take(LONGEST).read_until(b'\n', &mut line).await;
        read.map_err(AssignmentError::Io)?;
        if line.pop() != Some(b'\n') {
            return Err(AssignmentError::Ended);
        }
        let assignment: Self = serde_json::from_slice(&line).map_err(AssignmentError::Json)?;
        if assignment.protocol != PROTOCOL {
            return Err(AssignmentError::Protocol {
                host: assignment.protocol,
            });
        }
        Ok(assignment)
    }
}
