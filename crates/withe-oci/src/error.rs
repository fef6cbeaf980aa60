//! Why something cannot be pulled or pushed.

use std::io;

use crate::artifact::KindError;
use crate::credentials::CredentialsError;
use crate::http::HttpError;
use crate::signature::SignatureError;

/// Why something cannot be pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The registry does not answer.
    #[error("the registry `{registry}` does not answer: {source}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why not.
        #[source]
        source: HttpError,
    },
    /// The registry wants to know who one is.
    #[error("the registry `{registry}` lets nobody in without a name and a password{said}")]
    NoCredentials {
        /// The registry.
        registry: String,
        /// The registry's message.
        said: String,
    },
    /// The registry does not let this user in.
    #[error("the registry `{registry}` does not let in whom {from} names{said}")]
    Unauthorized {
        /// The registry.
        registry: String,
        /// Where the credentials come from.
        from: String,
        /// The registry's message.
        said: String,
    },
    /// The user may not do that.
    #[error("the registry `{registry}` does not allow it for `{repository}`{said}")]
    Denied {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// The registry's message.
        said: String,
    },
    /// There is no such thing.
    #[error("the registry `{registry}` has no {what}{said}")]
    NotFound {
        /// The registry.
        registry: String,
        /// The thing that was asked for.
        what: String,
        /// The registry's message.
        said: String,
    },
    /// The registry answers something else.
    #[error("the registry `{registry}` answers {status} to {what}{said}")]
    Status {
        /// The registry.
        registry: String,
        /// The status of HTTP.
        status: u16,
        /// The thing that was asked for.
        what: String,
        /// The registry's message.
        said: String,
    },
    /// The registry does not keep to the protocol.
    #[error("the registry `{registry}` does not keep to the protocol: {why}")]
    Protocol {
        /// The registry.
        registry: String,
        /// The breach of the protocol.
        why: String,
    },
    /// The bytes that came are not those that were asked for.
    #[error("{what} is damaged: it should be `{wanted}` and is `{found}`")]
    Damaged {
        /// The thing that came.
        what: String,
        /// The digest or size that it should have.
        wanted: String,
        /// The one that it has.
        found: String,
    },
    /// The thing has too many bytes.
    #[error("{what} has more than {most} bytes, which is the most that is taken")]
    TooLarge {
        /// The thing that came.
        what: String,
        /// The most bytes.
        most: u64,
    },
    /// A digest of another algorithm.
    #[error("`{0}` cannot be checked")]
    Algorithm(String),
    /// The artefact is nothing that runs here.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// The credentials could not be found out.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Only what is locked may be used, and the lock does not have it.
    #[error("it is not in `withe.lock`")]
    NotLocked,
    /// Only what is locked may be used, and the tag leads elsewhere now.
    #[error("its tag has moved: `withe.lock` has `{locked}`, the registry has `{now}`")]
    Moved {
        /// The digest when it was locked.
        locked: String,
        /// The digest now.
        now: String,
    },
    /// The image has to be signed, and is not, or otherwise.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// There are no means to connect.
    #[error("no connection can be made: {0}")]
    Setup(#[source] io::Error),
    /// The program cannot be put where it could be run from.
    #[error("it cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The transfer took too long, with all attempts.
    #[error("{what} took longer than {seconds} s")]
    TooLong {
        /// The thing that was moved.
        what: String,
        /// The time.
        seconds: u64,
    },
}

impl OciError {
    /// Whether the registry could not be asked, so that something that was kept may do instead.
    pub(crate) fn is_offline(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TooLong { .. })
            || matches!(self, Self::Status { status, .. } if matches!(*status, 408 | 429 | 500..))
    }

    /// The remedy, if there is one to suggest.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { registry, source } if source.is_plain() => format!(
                "a registry that is served without TLS has to be named: `--plain-http {registry}`"
            ),
            Self::Unreachable { source, .. } if source.is_certificate() => {
                "have the system trust the certificate, or name a file of certificates in `SSL_CERT_FILE`".into()
            }
            Self::Unreachable { .. } | Self::TooLong { .. } => {
                "an image with a digest (`NAME@sha256:…`) that was pulled once needs no registry".into()
            }
            Self::NoCredentials { registry, .. } | Self::Unauthorized { registry, .. } => {
                format!("log in: `docker login {registry}`; `DOCKER_CONFIG` names the folder of another `config.json`")
            }
            Self::Denied { registry, .. } => format!(
                "ask whoever runs the registry for the right, or log in as somebody else: `docker login {registry}`"
            ),
            Self::NotFound { .. } => "correct the name or the tag, or push it: `withe push REFERENCE FILE`".into(),
            Self::Damaged { .. } => "push it again; a mirror or proxy between may have kept a damaged copy".into(),
            Self::Algorithm(_) => "give a digest of the form `sha256:` and 64 hexadecimal digits".into(),
            Self::Kind(error) => return error.help(),
            Self::NotLocked => "`withe lock MANIFEST` takes it in".into(),
            Self::Moved { locked, .. } => format!(
                "`withe lock MANIFEST` takes what the tag leads to now; `@{locked}` behind the tag in the manifest keeps to \
                 what was locked"
            ),
            Self::Signature(error) => return error.help(),
            Self::Credentials(CredentialsError::NoHelper { .. }) => {
                "install it, or take the entry out of the configuration".into()
            }
            _ => return None,
        })
    }
}
