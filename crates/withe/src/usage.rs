//! Errors about a command line that has the right form and makes no sense. Only `cli`, which knows all
//! commands, can show how the right one is used.

use std::fmt::{self, Display};

use clap::error::ErrorKind;

/// The arguments of a subcommand make no sense.
#[derive(Debug)]
pub(crate) struct UsageError {
    pub(crate) subcommand: String,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UsageError {}

/// An argument does not have its form, which this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct Expected(pub(crate) &'static str);

/// The error that the arguments of `subcommand` make no sense: the exit code is then 2.
pub(crate) fn usage(subcommand: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    let error = UsageError {
        subcommand: subcommand.into(),
        kind,
        message: message.to_string(),
    };
    error.into()
}
