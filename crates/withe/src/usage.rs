//! What commands say of a command line that has the right form and makes no sense. Only `cli`, which knows all
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

/// The error that the arguments of `subcommand` make no sense: the exit code is then 2.
pub(crate) fn usage(subcommand: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    let error = UsageError {
        subcommand: subcommand.into(),
        kind,
        message: message.to_string(),
    };
    error.into()
}
