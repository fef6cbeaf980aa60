//! Why a file of tables cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it open.
    #[error("`{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Where data was there is none.
    #[error(
        "`{}` is empty, so what was in it is lost; restore it from a backup, or remove it to begin anew",
        .0.display()
    )]
    Empty(PathBuf),
    /// The file was there when it was opened first.
    #[error("`{}` is gone", .0.display())]
    Gone(PathBuf),
    /// The file holds something else than was written.
    #[error(
        "`{}` is damaged, or no file of this kind: {why}; restore it from a backup, or move it away to begin anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Redb's reason.
        why: String,
    },
    /// The operating system says no.
    #[error("`{}` cannot be opened: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("`{}` cannot be opened: {source}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The disk failed; the file is opened again.
    #[error("`{}` failed: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file holds something else than was written.
    #[error("`{}` is damaged; restore it from a backup", .0.display())]
    Damaged(PathBuf),
    /// An earlier operation failed, and the file cannot be used yet.
    #[error("`{}` cannot be used now: {why}", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// The failure before.
        why: String,
    },
    /// The operation itself cannot be done.
    #[error("`{}`: {source}", path.display())]
    Operation {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
}

impl DatabaseError {
    pub(crate) fn of(path: &Path, error: redb::Error) -> Self {
        let (path, source) = (path.to_owned(), Box::new(error));
        match &*source {
            redb::Error::Corrupted(_) => Self::Damaged(path),
            redb::Error::Io(_)
            | redb::Error::PreviousIo
            | redb::Error::DatabaseClosed
            | redb::Error::LockPoisoned(_)
            | redb::Error::TransactionPoisoned => Self::Io { path, source },
            _ => Self::Operation { path, source },
        }
    }

    /// Whether the file has to be opened again.
    pub(crate) fn is_of_file(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Damaged(_))
    }
}
