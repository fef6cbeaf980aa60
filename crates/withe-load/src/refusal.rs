//! Why an image cannot be used.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use withe_compose::PlugProblem;
use withe_linker::Code;
use withe_oci::OciError;

use crate::artifact::ArtifactError;
use crate::codes;
use crate::program::ProgramError;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The application is read from a lattice, which does not have the component.
    #[error("its bytes are not in the lattice")]
    NoBytes,
    /// An application that was pulled names a file of this machine.
    #[error(
        "the application came from a registry, and `{0}` is none of the files that came with it"
    )]
    Outside(String),
    /// An archive of wasmCloud v1.
    #[error("`{}` cannot be read: {why}", path.display())]
    Archive {
        path: PathBuf,
        #[source]
        why: io::Error,
    },
    /// A file that can be run, and is no provider of Withe.
    #[error("`{}` does not say what provider it is: {why}", path.display())]
    Program {
        path: PathBuf,
        #[source]
        why: ProgramError,
    },
    /// A program that was asked elsewhere what it is.
    #[error(transparent)]
    Supplied(ProgramError),
    #[error("whatever has an id on the lattice is linked like a provider, whatever it is there")]
    OnLattice,
    #[error(
        "it is component `{component}` of application `{name}`, and applications run on their own so far"
    )]
    OtherApplication { name: String, component: String },
    #[error("it is declared `type: component`, and its image is the provider `{0}`")]
    IsProvider(String),
    /// No first-party provider has this name.
    #[error("there is no provider `{name}`")]
    UnknownProvider {
        name: String,
        /// The one that may have been meant.
        similar: Option<&'static str>,
        /// All that there are.
        known: String,
    },
    #[error("`{reference}` is in a registry, and nothing is pulled here")]
    Registry {
        reference: String,
        /// The way to mend it.
        help: String,
    },
    /// The image cannot be pulled.
    #[error("`{reference}` cannot be pulled: {why}")]
    Pull {
        reference: String,
        #[source]
        why: Arc<OciError>,
    },
    /// The image was pulled, and is a whole application.
    #[error("`{0}` is a whole application")]
    WholeApplication(String),
    /// The image was pulled, and is a provider's archive or program.
    #[error("`{0}` is a provider")]
    PulledProvider(String),
    #[error("only components of this application can be composed")]
    NoConstituent,
    #[error("its `compose:` list is empty")]
    EmptyList,
    #[error(transparent)]
    Plug(PlugProblem),
    /// The composition cannot be read.
    #[error(transparent)]
    Composed(ArtifactError),
}

impl Refusal {
    /// The code under which it is reported.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Artifact(error) => error.code(),
            Self::NoBytes | Self::Outside(_) => codes::NOT_WASM,
            Self::Archive { .. } => codes::UNREADABLE,
            Self::Program { .. } | Self::Supplied(_) => codes::PROVIDER_PROGRAM,
            Self::OnLattice | Self::IsProvider(_) => codes::WRONG_KIND,
            Self::OtherApplication { .. } => codes::OTHER_APPLICATION,
            Self::UnknownProvider { .. } => codes::UNKNOWN_PROVIDER,
            Self::Registry { .. } => codes::REGISTRY_IMAGE,
            Self::Pull { why, .. } => code_of(why),
            Self::WholeApplication(_) => codes::IMAGE_KIND,
            Self::PulledProvider(_) => codes::WRONG_KIND,
            Self::NoConstituent | Self::EmptyList | Self::Plug(_) | Self::Composed(_) => {
                codes::COMPOSE_FAILED
            }
        }
    }

    /// The way to mend it, if there is one to suggest.
    pub(super) fn help(&self) -> Option<String> {
        let help = match self {
            Self::Artifact(error) => return error.help(),
            Self::Archive { .. } | Self::Supplied(_) => return None,
            Self::NoBytes => "put the application again with `withe up`",
            Self::Outside(_) => "whoever pushed it has to push it again, with `withe push`",
            Self::Program { .. } => "a provider's program calls `withe_provider::process::main`",
            Self::OnLattice | Self::IsProvider(_) => "write `type: capability`",
            Self::OtherApplication { .. } => "declare the component here with an `image`",
            Self::UnknownProvider { similar, known, .. } => {
                let similar = similar.map(|s| format!("did you mean `withe:{s}`? "));
                let similar = similar.unwrap_or_default();
                return Some(format!("{similar}the providers are {known}"));
            }
            Self::Registry { help, .. } => help,
            Self::Pull { why, .. } => return why.help(),
            Self::WholeApplication(reference) => {
                return Some(format!("run it on its own: `withe up oci://{reference}`"));
            }
            Self::PulledProvider(_) => "write `type: capability`",
            Self::NoConstituent => "link the composition to it instead",
            Self::EmptyList => "name the socket first, then what is plugged into it",
            Self::Plug(_) | Self::Composed(_) => {
                "`withe inspect FILE` shows what each of them imports and exports"
            }
        };
        Some(help.into())
    }
}

/// The code of what is wrong with something that was to be pulled.
pub(super) fn code_of(error: &OciError) -> Code {
    match error {
        OciError::NotFound { .. } => codes::IMAGE_NOT_FOUND,
        OciError::NoCredentials { .. }
        | OciError::Unauthorized { .. }
        | OciError::Denied { .. }
        | OciError::Credentials(_) => codes::REGISTRY_ACCESS,
        OciError::Damaged { .. } | OciError::TooLarge { .. } | OciError::Algorithm(_) => {
            codes::IMAGE_DAMAGED
        }
        OciError::Kind(_) => codes::IMAGE_KIND,
        OciError::Signature(_) => codes::NOT_SIGNED,
        OciError::NotLocked | OciError::Moved { .. } => codes::NOT_LOCKED,
        OciError::Unreachable { .. }
        | OciError::Status { .. }
        | OciError::Protocol { .. }
        | OciError::Setup(_)
        | OciError::Write(_)
        | OciError::TooLong { .. } => codes::REGISTRY_SILENT,
    }
}
