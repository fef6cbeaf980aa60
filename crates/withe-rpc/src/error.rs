//! The ways a call over a link can fail, told apart.

use std::fmt;

/// Why a call over a link did not return a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The callee trapped; the text is its own.
    Trap(String),
    /// The deadline passed.
    Deadline,
    /// The target could not be reached, started or asked.
    Unreachable(String),
    /// Nothing is linked there.
    Unlinked(String),
    /// A value that arrived does not have the agreed type.
    TypeMismatch(String),
    /// A limit was met: queue, instances, memory.
    Exhausted(String),
    /// The callee returned an error of the call itself (`wrpc:rpc/error`); the text is its own.
    Refused(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap(text) => write!(f, "the callee trapped: {text}"),
            Self::Deadline => f.write_str("the deadline passed"),
            Self::Unreachable(why) => write!(f, "the target is unreachable: {why}"),
            Self::Unlinked(what) => write!(f, "not linked: {what}"),
            Self::TypeMismatch(what) => write!(f, "type mismatch: {what}"),
            Self::Exhausted(what) => write!(f, "limit reached: {what}"),
            Self::Refused(text) => write!(f, "the callee returned an error: {text}"),
        }
    }
}

impl std::error::Error for CallError {}
