//! Why an application does not run.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use withe_lattice::LatticeError;
use withe_linker::secrets::SecretValues;
use withe_process::ProcessError;
use withe_provider::ProviderError;
use withe_rpc::CallError;
use withe_runtime::RuntimeError;

use crate::secrets::SecretError;

/// Why an application does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The plan and its parts do not go together.
    #[error("there is no provider `{0}` in this host")]
    NoProvider(String),
    /// The bytes of a component are missing.
    #[error("component `{0}` has no bytes to run")]
    NoBytes(String),
    /// Components could not be fused.
    #[error("component `{component}` cannot be fused with what it is linked to: {why}")]
    Fuse {
        /// The root.
        component: String,
        /// Why not.
        #[source]
        why: withe_compose::FuseError,
    },
    /// A component that a provider calls exports no HTTP handler.
    #[error("component `{0}` exports no HTTP handler that a provider could call")]
    NoHandler(String),
    /// A secret cannot be had.
    #[error("the secret `{secret}` of `{part}` cannot be had: {why}")]
    Secret {
        /// The secret's owner.
        part: String,
        /// Its name.
        secret: String,
        /// Why.
        #[source]
        why: SecretError,
    },
    /// A component does not have what a provider was to call.
    #[error("`{provider}` cannot call `{component}`: {why}")]
    NotCalled {
        /// The provider.
        provider: String,
        /// The component.
        component: String,
        /// Why.
        #[source]
        why: CallError,
    },
    /// A directory that a component is granted cannot be opened.
    #[error(
        "`{component}` is granted the directory `{}` (as `{guest}`), which cannot be opened: {why}",
        host.display()
    )]
    Directory {
        /// The component.
        component: String,
        /// The directory on this machine.
        host: PathBuf,
        /// The directory's path in the component.
        guest: String,
        /// The operating system's reason.
        #[source]
        why: io::Error,
    },
    /// A directory that a component is granted has what the host runs.
    #[error(
        "`{component}` is granted to write to the directory `{}` (as `{guest}`), by which it could change {what} (`{}`); \
         grant another directory, or this one with `read_only: true`",
        host.display(), path.display()
    )]
    GuardedDirectory {
        /// The component.
        component: String,
        /// The directory on this machine.
        host: PathBuf,
        /// The path by which the component sees the directory.
        guest: String,
        /// The thing that the component could change.
        what: &'static str,
        /// Where that is.
        path: PathBuf,
    },
    /// A provider failed.
    #[error("provider `{provider}` could not {what}: {why}")]
    Provider {
        /// Its name.
        provider: String,
        /// The action that was asked of it.
        what: String,
        /// Why it could not.
        #[source]
        why: ProviderFailure,
    },
    /// The process that serves a component failed.
    #[error("the worker process of `{component}` {why}")]
    Worker {
        /// The component.
        component: String,
        /// Why.
        #[source]
        why: WorkerFailure,
    },
    /// The host cannot call itself over TCP.
    #[error("cannot listen on this machine for links that are bound by `tcp`: {0}")]
    Listen(#[source] io::Error),
    /// A link is bound by `nats`, and there is none.
    #[error("a link is bound by `nats`, and this host has no NATS; name it with `--lattice`")]
    NoBroker,
    /// Somebody wanted the application to end before it ran.
    #[error("the application was stopped before it ran")]
    Cancelled,
    /// The lattice that carries links failed.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Several things failed.
    #[error("{}", .0.iter().map(HostError::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<HostError>),
}

/// Why a worker does not run: a sentence without its subject.
#[derive(Debug, thiserror::Error)]
pub enum WorkerFailure {
    /// The process did not get ready.
    #[error(transparent)]
    Process(#[from] Arc<ProcessError>),
    /// The host starts no processes.
    #[error("cannot be started: this host cannot start other processes")]
    NoProcesses,
    /// There is no folder for the sockets of the application's processes.
    #[error("cannot be started: no folder for its socket: {0}")]
    Folder(#[source] io::Error),
    /// The socket that the host serves to the worker cannot be made.
    #[error("cannot be started: the host's socket cannot be made: {0}")]
    Socket(#[source] io::Error),
}

/// Why a provider could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderFailure {
    /// The provider says why.
    #[error(transparent)]
    Refused(#[from] ProviderError),
    /// Nothing came of it.
    #[error("nothing came of it in {} seconds", .0.as_secs())]
    Late(Duration),
    /// The provider is a process, and the host starts none.
    #[error("this host cannot start other processes")]
    NoProcesses,
    /// The provider is one of wasmCloud v1, and there is no NATS.
    #[error("it is of wasmCloud v1, which is reached by NATS; name it with `--lattice nats://…`")]
    NoNats,
    /// wasmCloud's wire cannot be opened, or a provider's archive not be used.
    #[error(transparent)]
    Wasmcloud(Box<dyn std::error::Error + Send + Sync>),
}

impl HostError {
    /// All of `errors`, of which there is at least one.
    pub(crate) fn of(mut errors: Vec<HostError>) -> Self {
        match errors.len() {
            1 => errors.remove(0),
            _ => Self::Several(errors),
        }
    }

    /// The error without secret values: providers write what they like of their configuration into theirs.
    pub(crate) fn masked(self, secrets: &SecretValues) -> Self {
        match self {
            Self::Provider {
                provider,
                what,
                why: ProviderFailure::Refused(ProviderError(why)),
            } => Self::Provider {
                provider,
                what,
                why: ProviderFailure::Refused(ProviderError(secrets.mask(&why).into_owned())),
            },
            Self::Several(errors) => {
                let errors = errors.into_iter();
                Self::Several(errors.map(|error| error.masked(secrets)).collect())
            }
            other => other,
        }
    }

    /// The error, or, of several, each.
    pub fn each(&self) -> Vec<&HostError> {
        match self {
            Self::Several(errors) => errors.iter().flat_map(HostError::each).collect(),
            one => vec![one],
        }
    }
}

/// Nothing, if there are no errors.
pub(crate) fn none_of(errors: Vec<HostError>) -> Result<(), HostError> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(HostError::of(errors))
    }
}
