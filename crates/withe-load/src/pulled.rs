//! The images of an application that are in registries: pulled at once, by what the lock beside the manifest says.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use withe_linker::input::Spanned;
use withe_linker::{Diagnostic, Diagnostics};
use withe_oci::lock::LockFile;
use withe_oci::{Content, FileKind, Locking, OciError, Pulled, Reference, Wanted};

use crate::codes;
use crate::refusal::Refusal;
use crate::registry::{Locks, RemoteImages};

/// The images that were pulled, by the reference.
#[derive(Debug, Default)]
pub(super) struct PulledImages {
    /// The manifest whose lock counts, if it is a file.
    manifest: Option<PathBuf>,
    files: HashMap<String, Result<PulledFile, PullRefusal>>,
}

/// A component or a provider that was pulled.
#[derive(Clone, Debug)]
pub struct PulledFile {
    /// The digest of its manifest in the registry.
    pub manifest_digest: String,
    /// The fingerprint of the key that it is signed with, if it had to be signed.
    pub signed_by: Option<String>,
    /// Which of them.
    pub kind: FileKind,
    /// The digest of its bytes.
    pub digest: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub(super) enum PullRefusal {
    /// The image cannot be pulled.
    Pull(String, Arc<OciError>),
    /// The image is a whole application.
    WholeApplication(String),
}

impl From<PullRefusal> for Refusal {
    fn from(refusal: PullRefusal) -> Self {
        match refusal {
            PullRefusal::Pull(reference, why) => Self::Pull { reference, why },
            PullRefusal::WholeApplication(reference) => Self::WholeApplication(reference),
        }
    }
}

impl PulledImages {
    /// The images of an application whose manifest is a file.
    pub(super) fn of_manifest(manifest: Option<&Path>) -> Self {
        Self {
            manifest: manifest.map(Into::into),
            files: HashMap::new(),
        }
    }

    /// The file that was pulled of a reference; `None` if nobody tried.
    pub(super) fn get(&self, reference: &str) -> Option<&Result<PulledFile, PullRefusal>> {
        self.files.get(reference)
    }

    /// All that was pulled.
    pub(super) fn into_files(self) -> impl Iterator<Item = (String, PulledFile)> {
        let files = self.files.into_iter();
        files.filter_map(|(reference, file)| Some((reference, file.ok()?)))
    }

    /// Pulls all of `references`. A locked reference that leads to something else now is reported.
    pub(super) fn pull(
        &mut self,
        remote: &RemoteImages,
        references: &[Spanned<String>],
        diagnostics: &mut Diagnostics,
    ) {
        let manifest = self.manifest.as_deref();
        let manifest = manifest.filter(|_| remote.locks != Locks::Ignored);
        let lock = match manifest.map(LockFile::beside) {
            Some(path) => LockFile::read(&path).unwrap_or_else(|error| {
                diagnostics.push(Diagnostic::error(codes::NOT_LOCKED, error.to_string()));
                LockFile::default()
            }),
            None => LockFile::default(),
        };
        let name = self.manifest.as_deref().and_then(Path::file_name);
        let name = name.map(|name| name.to_string_lossy().into_owned());
        let mut wanted: Vec<(&Spanned<String>, Wanted)> = Vec::new();
        for reference in references {
            if wanted
                .iter()
                .any(|(known, _)| known.value == reference.value)
            {
                continue;
            }
            // A faulty reference was reported when the manifest was read.
            let Ok(parsed) = Reference::parse(&reference.value) else {
                continue;
            };
            let locked = name.as_deref().and_then(|n| lock.get(n, &reference.value));
            let locking = match (remote.locks, locked) {
                (Locks::Only, Some(locked)) => Locking::Only(locked.digest.clone()),
                (Locks::Told, Some(locked)) => Locking::Known(locked.digest.clone()),
                (Locks::Only, None) => Locking::Missing,
                (Locks::Told, None) | (Locks::Ignored, _) => Locking::Unlocked,
            };
            let parsed = Wanted {
                reference: parsed,
                locking,
            };
            wanted.push((reference, parsed));
        }
        let (places, wanted): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
        let results = remote.images.pull(&wanted);
        for (reference, result) in places.into_iter().zip(results) {
            let text = reference.value.clone();
            let file = match result {
                Ok(pulled) => {
                    report(reference, &pulled, diagnostics);
                    match pulled.content {
                        Content::File {
                            kind,
                            digest,
                            bytes,
                        } => Ok(PulledFile {
                            manifest_digest: pulled.digest,
                            signed_by: pulled.signed_by,
                            kind,
                            digest,
                            bytes,
                        }),
                        Content::Application { .. } => {
                            Err(PullRefusal::WholeApplication(text.clone()))
                        }
                    }
                }
                Err(why) => Err(PullRefusal::Pull(text.clone(), Arc::new(why))),
            };
            self.files.insert(text, file);
        }
    }
}

/// Says what is worth knowing of something that was pulled.
fn report(reference: &Spanned<String>, pulled: &Pulled, diagnostics: &mut Diagnostics) {
    let text = &reference.value;
    if let Some(locked) = &pulled.moved_from {
        let now = &pulled.digest;
        let message = format!(
            "the tag of `{text}` has moved since it was locked: it was `{locked}` and is `{now}`"
        );
        let warning = Diagnostic::warning(codes::NOT_LOCKED, message)
            .at(reference.span, "")
            .with_help("`withe lock MANIFEST` takes that in; `--locked` refuses it");
        diagnostics.push(warning);
    }
    if let Some(why) = &pulled.offline {
        let message = format!("`{text}` is used as it was locked: {why}");
        diagnostics.push(Diagnostic::warning(codes::LOCK_OFFLINE, message).at(reference.span, ""));
    }
}
