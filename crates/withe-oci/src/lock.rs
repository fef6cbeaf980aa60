//! `withe.lock`: what each tag of the applications in a folder was resolved to.
//!
//! The file is beside the manifests, and kept with them by whatever keeps their versions. Entries are by manifest, so that locking
//! one application takes out what that one names no more, and leaves others alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// The file's name.
pub const NAME: &str = "withe.lock";
/// The form of the file that is written and read.
const VERSION: u32 = 1;

/// The file's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    version: u32,
    /// By the manifest's file name, and the reference as the manifest has it.
    applications: BTreeMap<String, BTreeMap<String, Locked>>,
}

/// The digest that a reference was resolved to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The digest of the artefact's manifest: what a reference names behind an `@`.
    pub digest: String,
    /// The digest of the component or provider in it, which policies of hosts name.
    pub content: String,
    /// Its bytes.
    pub size: u64,
    /// The fingerprint of the key that it was signed with, if it had to be signed. For those who read what changed: what has to
    /// be signed is said where it is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file is not of the form.
    #[error("`{}` is not understood: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The file is of another version.
    #[error("`{}` has version {version}, and this program knows version {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The file's version.
        version: u32,
    },
    /// The file cannot be written.
    #[error("`{}` cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl Default for LockFile {
    fn default() -> Self {
        Self {
            version: VERSION,
            applications: BTreeMap::new(),
        }
    }
}

impl LockFile {
    /// Where the lock of a manifest is.
    pub fn beside(manifest: &Path) -> PathBuf {
        manifest.with_file_name(NAME)
    }

    /// Reads the file; empty if there is none.
    ///
    /// # Errors
    ///
    /// If there is one that cannot be used.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = match fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|source| LockError::Read {
                path: path.into(),
                source,
            })?,
        };
        let file: Self = serde_json::from_slice(&text).map_err(|source| LockError::Form {
            path: path.into(),
            source,
        })?;
        match file.version {
            VERSION => Ok(file),
            version => Err(LockError::Version {
                path: path.into(),
                version,
            }),
        }
    }

    /// The digest that a reference of a manifest was resolved to.
    pub fn get(&self, manifest: &str, reference: &str) -> Option<&Locked> {
        self.applications.get(manifest)?.get(reference)
    }

    /// All that is locked of a manifest.
    pub fn of(&self, manifest: &str) -> Option<&BTreeMap<String, Locked>> {
        self.applications.get(manifest)
    }

    /// Has the references of a manifest be these, and no others.
    pub fn set(&mut self, manifest: &str, references: BTreeMap<String, Locked>) {
        match references.is_empty() {
            true => self.applications.remove(manifest),
            false => self.applications.insert(manifest.into(), references),
        };
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let failed = |source| LockError::Write {
            path: path.into(),
            source,
        };
        let mut text = serde_json::to_string_pretty(self).map_err(|e| failed(e.into()))?;
        text.push('\n');
        let unfinished = path.with_file_name(format!(".{NAME}.{:016x}", fastrand::u64(..)));
        let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
        written.map_err(|source| {
            _ = fs::remove_file(&unfinished);
            failed(source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(digest: &str) -> Locked {
        Locked {
            digest: digest.into(),
            content: "sha256:c".into(),
            size: 3,
            signed_by: None,
        }
    }

    #[test]
    fn locking_one_application_leaves_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = LockFile::beside(&folder.path().join("shop.yaml"));
        let mut file = LockFile::read(&path).unwrap();
        assert_eq!(file, LockFile::default());
        let one = |reference: &str, digest: &str| {
            BTreeMap::from([(reference.to_owned(), locked(digest))])
        };
        file.set("shop.yaml", one("a.b/c:1", "sha256:1"));
        file.set("other.yaml", one("a.b/d:1", "sha256:2"));
        file.set("shop.yaml", one("a.b/c:2", "sha256:3"));
        file.write(&path).unwrap();
        let file = LockFile::read(&path).unwrap();
        assert_eq!(file.get("shop.yaml", "a.b/c:1"), None);
        assert_eq!(file.get("shop.yaml", "a.b/c:2"), Some(&locked("sha256:3")));
        assert_eq!(file.get("other.yaml", "a.b/d:1"), Some(&locked("sha256:2")));
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, r#"{"version": 9, "applications": {}}"#).unwrap();
        let error = LockFile::read(&path).unwrap_err();
        assert!(matches!(error, LockError::Version { version: 9, .. }));
        fs::write(&path, "<<<<<<< HEAD").unwrap();
        assert!(matches!(
            LockFile::read(&path).unwrap_err(),
            LockError::Form { .. }
        ));
    }
}
