//! What a provider's process is told when it starts, and what it says of itself.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::protocol::PROTOCOL;
use crate::ConfigMap;

/// The longest assignment, in bytes.
const LONGEST: u64 = 16 << 20;

/// What a process is to do: one line on its standard input.
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
    /// The provider's own configuration.
    pub config: ConfigMap,
    /// How long work under way may take when the process is to end, in milliseconds.
    pub grace_ms: u64,
    /// The first number for resources, which those of processes before this one do not reach.
    pub first_resource: u32,
}

/// What a process says: one line on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It listens.
    Ready,
    /// It cannot do what it is to do.
    Failed(String),
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
    /// A sentence that says what is wrong with it.
    pub(super) async fn read(input: &mut (impl AsyncBufRead + Unpin)) -> Result<Self, String> {
        let mut line = Vec::new();
        let read = input.take(LONGEST).read_until(b'\n', &mut line).await;
        read.map_err(|e| format!("the assignment cannot be read: {e}"))?;
        if line.pop() != Some(b'\n') {
            return Err("standard input ended before the assignment did".into());
        }
        let assignment: Self = serde_json::from_slice(&line)
            .map_err(|e| format!("the assignment cannot be understood: {e}"))?;
        if assignment.protocol != PROTOCOL {
            return Err(format!(
                "the host speaks version {} of the provider protocol, and this program version {PROTOCOL}: \
                 build it with the host's `withe-provider`",
                assignment.protocol
            ));
        }
        Ok(assignment)
    }
}
