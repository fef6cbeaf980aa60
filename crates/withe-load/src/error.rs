//! Why there is no manifest to speak of.

use std::path::PathBuf;

use withe_linker::Diagnostic;
use withe_oci::OciError;

use crate::codes;
use crate::file::FileError;
use crate::refusal::code_of;

/// Why there is no manifest to speak of.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The file is a WebAssembly binary.
    #[error("`{}` is WebAssembly, not a manifest", .0.display())]
    Wasm(PathBuf),
    /// The file is no text.
    #[error("`{}` is not a manifest: it is not UTF-8 text", .0.display())]
    NotText(PathBuf),
}

impl LoadError {
    /// The error as a diagnostic without a place.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::File(error) => (error.code(), error.help()),
            Self::Wasm(path) => {
                let help = format!(
                    "`withe inspect {}` shows what it imports and exports",
                    path.display()
                );
                (codes::NOT_A_MANIFEST, Some(help))
            }
            Self::NotText(_) => (
                codes::NOT_A_MANIFEST,
                Some("give the application's YAML or JSON file".into()),
            ),
        };
        let mut diagnostic = Diagnostic::error(code, self.to_string());
        diagnostic.help = help;
        diagnostic
    }
}

/// Why there is no application to be had from a registry.
#[derive(Debug, thiserror::Error)]
pub enum PulledApplicationError {
    /// The application cannot be pulled.
    #[error("`{reference}` cannot be pulled: {why}")]
    Pull {
        /// The reference.
        reference: String,
        /// Why not.
        #[source]
        why: OciError,
    },
    /// The reference is not one of an application.
    #[error("`{0}` is no application")]
    NoApplication(String),
    /// The reader was given nothing that pulls.
    #[error("`{0}` is in a registry, and nothing is pulled here")]
    NothingPulls(String),
}

impl PulledApplicationError {
    /// The error as a diagnostic without a place.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, help) = match self {
            Self::Pull { why, .. } => (code_of(why), why.help()),
            Self::NoApplication(reference) => {
                let help = format!("name it in a manifest: `image: {reference}`");
                (codes::IMAGE_KIND, Some(help))
            }
            Self::NothingPulls(_) => (codes::REGISTRY_IMAGE, None),
        };
        let mut diagnostic = Diagnostic::error(code, self.to_string());
        diagnostic.help = help;
        diagnostic
    }
}
