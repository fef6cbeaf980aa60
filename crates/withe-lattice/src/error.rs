//! Why something on the lattice failed.
//!
//! Each kind of failure says what is behind it as a type of its own. An error of a library (NATS, the file, a
//! socket) is a [`Cause`], which keeps the library's error: a caller that has to act on one can look at it. All
//! of them show what is behind them in their own text, for that text alone ends up in logs and in what hosts
//! report. So [`Error::source`] has nothing to add, and who prints it too repeats nothing.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::blob::BlobError;
use crate::value::ValueError;

/// Why something on the lattice failed. No text of it holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LatticeError {
    /// No connection, or no answer in time.
    #[error("the lattice cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// The server, or the process that has the lattice, does not let us.
    #[error("the lattice refuses: {0}")]
    Refused(Refused),
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
    /// A key, a subject or an option is not as it must be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The bytes kept for a key are not the value that was put.
    #[error("the value of `{key}` cannot be read: {why}; put it again")]
    Value {
        /// Its key.
        key: String,
        /// Why not.
        why: ValueError,
    },
    /// The bytes under a digest are not the blob that was put there, or are more than are taken.
    #[error("the blob `{digest}` cannot be used: {why}")]
    Blob {
        /// Its digest.
        digest: String,
        /// Why not.
        why: BlobError,
    },
    /// The file or the socket of an embedded lattice failed.
    #[error("the lattice's state cannot be used: {0}")]
    Storage(StorageError),
}

/// Why the lattice cannot be reached.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    /// Nothing came back within this time.
    #[error("no answer in {0:?}")]
    NoAnswer(Duration),
    /// The connection was lost while something was under way.
    #[error("the connection is lost")]
    Lost,
    /// The connection was closed for good.
    #[error("the connection is closed")]
    Closed,
    /// No process serves a lattice at this socket.
    #[error("`{}`: nobody serves a lattice there", .0.display())]
    Nobody(PathBuf),
    /// The process that has the lattice is gone, and none has come in its place.
    #[error("the process that has it is gone")]
    ProcessGone,
    /// The answer is not one to the question.
    #[error("the answer is not to what was asked")]
    NotAsked,
    /// A server, or a socket, that cannot be connected to.
    #[error("`{at}`: {why}")]
    At {
        /// Its URL or path.
        at: String,
        /// Why not.
        why: Cause,
    },
    /// A bucket that is not there and cannot be made.
    #[error(
        "cannot open the bucket `{bucket}`: {why}; is JetStream enabled on the server, and may we use it?"
    )]
    Bucket {
        /// Its name.
        bucket: String,
        /// Why not.
        why: Cause,
    },
    /// Anything else.
    #[error(transparent)]
    Other(Cause),
}

/// Why the lattice refuses who asks.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// The server does not know who we say that we are.
    #[error("`{at}`: it does not know us, or not with this password, token or key")]
    Unknown {
        /// The server's URLs.
        at: String,
    },
    /// The nkey or credentials file cannot be used.
    #[error("`{at}`: the nkey or credentials cannot be used: {why}")]
    Credentials {
        /// The server's URLs.
        at: String,
        /// Why not.
        why: Cause,
    },
    /// There can be no connection to the server, however often it is tried.
    #[error("`{at}`: {why}")]
    Connect {
        /// The server's URLs.
        at: String,
        /// Why not.
        why: Cause,
    },
    /// The server does not allow it; the text is its own.
    #[error("{0}")]
    Server(String),
    /// The process that has the lattice does not take it.
    #[error(transparent)]
    Call(Cause),
}

/// An argument or option that is not as it must be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Invalid {
    /// A key, a subject or a prefix.
    #[error(
        "`{0}` is no key: it must be words of letters, digits, `_`, `=` and `-`, joined by `.`"
    )]
    Key(String),
    /// A key or a subject that has so many bytes.
    #[error("a key of {size} bytes is too long: {most} are the most")]
    LongKey {
        /// How many bytes it has.
        size: usize,
        /// How many it may have.
        most: usize,
    },
    /// The name of a lattice or of a host.
    #[error(
        "`{name}` cannot be the name of a {what}: it must be at most {most} letters, digits, `_` and `-`"
    )]
    Name {
        /// `lattice` or `host`.
        what: &'static str,
        /// The name.
        name: String,
        /// How many characters it may have.
        most: usize,
    },
    /// The beginning of the subjects of answers.
    #[error(
        "`{0}` cannot begin subjects: it must be words joined by `.`, without `*`, `>` and blanks"
    )]
    Inbox(String),
    /// The value of an entry.
    #[error("the value of `{key}` has {size} bytes, and {most} are the most")]
    LargeValue {
        /// The entry's key.
        key: String,
        /// How many bytes it has.
        size: usize,
        /// How many it may have.
        most: usize,
    },
    /// A message, a request or an answer.
    #[error(
        "{what} of {size} bytes is too large: the NATS server takes {most} (its `max_payload`)"
    )]
    LargeMessage {
        /// Its kind and subject.
        what: String,
        /// How many bytes it has.
        size: usize,
        /// How many the server takes.
        most: usize,
    },
    /// A blob under a digest that is not its own.
    #[error("the blob `{digest}` is not what its name says: its digest is `sha256:{found}`")]
    Digest {
        /// The digest that it was to have.
        digest: String,
        /// The digest of its bytes, in hexadecimal digits.
        found: String,
    },
    /// The URL of a server.
    #[error("`{url}` is no URL of a NATS server: {why}")]
    Url {
        /// The URL, without anything secret.
        url: String,
        /// Why not.
        why: Cause,
    },
    /// No URL at all.
    #[error("no URL of a NATS server is given")]
    NoUrl,
    /// URLs with different users.
    #[error("the URLs `{0}` name different users: one must do for all of them")]
    Users(String),
    /// A user, password or token in a URL. The message does not even say what is wrong with it.
    #[error("the user in the URL is not percent-encoded")]
    User,
    /// A file of an option that cannot be read.
    #[error("cannot read `{}`: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: Arc<io::Error>,
    },
    /// A file that holds no credentials.
    #[error("`{}` is no credentials file", .0.display())]
    NoCredentials(PathBuf),
    /// A file that holds no seed of an nkey.
    #[error("`{}` holds no nkey seed", .0.display())]
    NoSeed(PathBuf),
    /// Anything else.
    #[error(transparent)]
    Other(Cause),
}

/// Why what keeps the lattice's state cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    Open(Cause),
    /// The file is another lattice's.
    #[error(
        "`{}`: it is the lattice `{found}`, not `{wanted}`: open it by that name, or use another file",
        path.display()
    )]
    OtherLattice {
        /// The file.
        path: PathBuf,
        /// The lattice that owns the file.
        found: String,
        /// The lattice that opened the file.
        wanted: String,
    },
    /// The socket cannot be made.
    #[error("cannot listen at `{}`: {why}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        why: Arc<io::Error>,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Other(Cause),
}

/// An error of a library, or the text of one that came from elsewhere. Cheap to clone.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Of an error, or of a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into().into())
    }

    /// The error, if it is one of this type.
    pub fn downcast_ref<T: Error + 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The error and its sources, but for those that say nothing new: libraries differ in whether an error's text
/// has its source's in it.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(error) = source {
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            source = error.source();
        }
        f.write_str(&text)
    }
}

/// Its text has its sources in it, so there are none behind it.
impl Error for Cause {}

impl From<Unreachable> for LatticeError {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
    }
}

impl From<Refused> for LatticeError {
    fn from(why: Refused) -> Self {
        Self::Refused(why)
    }
}

impl From<StorageError> for LatticeError {
    fn from(why: StorageError) -> Self {
        Self::Storage(why)
    }
}

impl LatticeError {
    /// [`Self::Unreachable`], for a reason that is known only to what was used to reach it.
    pub fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Unreachable::Other(Cause::new(error)).into()
    }

    /// [`Self::Invalid`], for a reason of the caller's.
    pub fn invalid(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Invalid::Other(Cause::new(error)).into()
    }

    /// [`Self::Blob`], of this digest.
    pub(crate) fn blob(digest: &str, why: BlobError) -> Self {
        let digest = digest.into();
        Self::Blob { digest, why }
    }

    /// [`Self::Storage`], for a reason of the file's.
    pub(crate) fn storage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        StorageError::Other(Cause::new(error)).into()
    }
}
