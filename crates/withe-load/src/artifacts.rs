//! The components of one application: what is equal is read, hashed and understood once.
//!
//! A thousand components of an application may be one file, or a thousand files with the same interfaces.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use withe_wit::Interfaces;

use crate::artifact::{Artifact, ArtifactError, digest};
use crate::file::{self, FileUse};

/// The components that were read so far.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    by_path: HashMap<PathBuf, Artifact>,
    /// The same, by their digests: one may be under several names.
    by_digest: HashMap<String, Artifact>,
    interfaces: Interfaces,
}

impl Artifacts {
    /// Reads components that will be asked for, on all processors. An error in one shows again when it is asked
    /// for.
    pub(super) fn read_ahead(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut known = HashSet::new();
        let paths: Vec<PathBuf> = (paths.into_iter())
            .filter(|path| known.insert(path.clone()))
            .collect();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let each = paths.len().div_ceil(threads).max(1);
        let read: Vec<Artifact> = thread::scope(|scope| {
            let read = |paths: &[PathBuf]| -> Vec<Artifact> {
                let read = paths.iter().map(|path| Artifact::read(path));
                read.filter_map(Result::ok).collect()
            };
            let threads: Vec<_> = (paths.chunks(each))
                .map(|paths| scope.spawn(move || read(paths)))
                .collect();
            let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
            // One that panicked has read nothing; its components are read when they are asked for.
            results.filter_map(Result::ok).flatten().collect()
        });
        for artifact in read {
            let path = artifact.path.clone();
            let artifact = self.keep(artifact);
            self.by_path.insert(path, artifact);
        }
    }

    /// The component in the file `path`, which is read to be `wanted`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or holds no component.
    pub(super) fn read(&mut self, path: &Path, wanted: FileUse) -> Result<Artifact, ArtifactError> {
        if let Some(known) = self.by_path.get(path) {
            return Ok(known.clone());
        }
        let bytes = file::read(path, wanted).map_err(ArtifactError::File)?;
        let artifact = self.take(path, bytes)?;
        self.by_path.insert(path.into(), artifact.clone());
        Ok(artifact)
    }

    /// The component that `bytes` are. `path` is where they come from, for messages.
    ///
    /// # Errors
    ///
    /// If they are no component.
    pub(super) fn take(&mut self, path: &Path, bytes: Vec<u8>) -> Result<Artifact, ArtifactError> {
        let digest = digest(&bytes);
        if let Some(known) = self.by_digest.get(&digest) {
            return Ok(Artifact {
                path: path.into(),
                ..known.clone()
            });
        }
        Artifact::with_digest(path, bytes, digest).map(|artifact| self.keep(artifact))
    }

    /// The artifact, with all in common with others that is equal.
    fn keep(&mut self, mut artifact: Artifact) -> Artifact {
        if let Some(known) = self.by_digest.get(&artifact.digest) {
            return Artifact {
                path: artifact.path,
                ..known.clone()
            };
        }
        self.interfaces.share(Arc::make_mut(&mut artifact.world));
        (self.by_digest).insert(artifact.digest.clone(), artifact.clone());
        artifact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"(component (import "a:b/x" (instance (export "f" (func)))))"#;
    const OTHER: &str = r#"(component (import "a:b/x" (instance (export "f" (func)))) (import "a:b/y" (instance)))"#;

    #[test]
    fn what_is_equal_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
            path
        };
        let (one, copy, other) = (
            file("one.wasm", ONE),
            file("copy.wasm", ONE),
            file("other.wasm", OTHER),
        );
        let missing = folder.path().join("missing.wasm");
        let mut artifacts = Artifacts::default();
        artifacts.read_ahead([one.clone(), missing.clone(), one.clone(), copy.clone()]);
        let mut read = |path: &Path| artifacts.read(path, FileUse::Component).unwrap();
        let (first, second, third) = (read(&one), read(&copy), read(&other));
        assert_eq!((&first.path, &second.path), (&one, &copy));
        assert!(Arc::ptr_eq(&first.world, &second.world));
        assert!(Arc::ptr_eq(&first.bytes, &second.bytes));
        let interface = |artifact: &Artifact| {
            std::ptr::from_ref(artifact.world.imports[0].interface().unwrap())
        };
        assert_eq!(interface(&first), interface(&third));
        assert!(artifacts.read(&missing, FileUse::Component).is_err());
    }
}
