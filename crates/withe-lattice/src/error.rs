//! Why something on the lattice failed.

use serde::{Deserialize, Serialize};

/// Why something on the lattice failed. No text of it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LatticeError {
    /// It cannot be reached, or not in time.
    #[error("the lattice cannot be reached: {0}")]
    Unreachable(String),
    /// It refuses who asks.
    #[error("the lattice refuses: {0}")]
    Refused(String),
    /// An entry is not as it was expected to be.
    #[error("`{key}` was changed by another")]
    Conflict {
        /// Its key.
        key: String,
    },
    /// Nobody serves what was asked.
    #[error("nobody serves `{0}`")]
    NobodyServes(String),
    /// No answer came in time.
    #[error("no answer from `{0}` in time")]
    Timeout(String),
    /// A key, a subject or a value is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// What keeps the lattice's state failed.
    #[error("the lattice's state cannot be used: {0}")]
    Storage(String),
}
