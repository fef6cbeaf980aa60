//! Blobs that were pulled, by digest: a folder that any number of processes and versions of one user share.
//!
//! A blob that is read is checked against its name, so that a damaged disk, or a user who could write there, changes
//! nothing. The folder is this user's alone besides ([`PrivateFolder`]).

use std::io;
use std::path::Path;

use withe_files::{FolderError, PrivateFolder};

use crate::digest_of;
use crate::signature::Signature;

/// The most that is kept, in bytes and in entries. The least recently used goes first.
const MOST_BYTES: u64 = 4 << 30;
const MOST_ENTRIES: usize = 16_384;

/// The digests whose blobs are kept.
const ALGORITHM: &str = "sha256:";

/// The end of the name of a signature, which is kept beside the manifest that it is of.
const SIGNATURE: &str = ".sig";
/// The most bytes of a signature.
const MOST_SIGNATURE: u64 = 4 << 20;

/// A folder of blobs.
#[derive(Clone, Debug)]
pub(crate) struct Cache(PrivateFolder);

impl Cache {
    /// Opens the cache in a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If others decide what is in it.
    pub(crate) fn open(folder: &Path) -> Result<Self, FolderError> {
        PrivateFolder::open(folder).map(Self)
    }

    /// The blob of a digest, if it is there and is not damaged.
    pub(crate) fn get(&self, digest: &str, most: u64) -> Option<Vec<u8>> {
        let name = name(digest)?;
        let bytes = match self.0.read(name, most) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(
                    "the copy of `{digest}` cannot be read, and is pulled again: {error}"
                );
                return None;
            }
            Ok(bytes) => bytes,
        };
        if digest_of(&bytes) != digest {
            tracing::warn!("the copy of `{digest}` is damaged, and is pulled again");
            return None;
        }
        // Where that cannot be noted, others go first.
        _ = self.0.touch(name);
        Some(bytes)
    }

    /// Keeps a blob. A failure to keep it is logged, and stops nothing.
    pub(crate) fn put(&self, digest: &str, bytes: &[u8]) {
        let Some(name) = name(digest) else { return };
        if let Err(error) = self.0.write(name, &[bytes]) {
            tracing::warn!("`{digest}` cannot be kept, and is pulled again the next time: {error}");
        }
    }

    /// The signature that is kept of the image of a digest. Nobody has checked it: whoever asks does.
    pub(crate) fn signature(&self, digest: &str) -> Option<Signature> {
        let name = format!("{}{SIGNATURE}", name(digest)?);
        let bytes = self.0.read(&name, MOST_SIGNATURE).ok()?;
        // Where that cannot be noted, others go first.
        _ = self.0.touch(&name);
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps a signature of the image of a digest. A failure to keep it is logged, and stops nothing.
    pub(crate) fn put_signature(&self, digest: &str, signature: &Signature) {
        let (Some(name), Ok(bytes)) = (name(digest), serde_json::to_vec(signature)) else {
            return;
        };
        if let Err(error) = self.0.write(&format!("{name}{SIGNATURE}"), &[&bytes]) {
            tracing::warn!("a signature cannot be kept, and is asked for the next time: {error}");
        }
    }

    /// Removes what was not used for longest, if there is too much.
    pub(crate) fn tidy(&self) {
        self.0.remove_oldest(is_file, MOST_BYTES, MOST_ENTRIES);
    }
}

/// The name of a digest's file.
fn name(digest: &str) -> Option<&str> {
    digest.strip_prefix(ALGORITHM).filter(|name| is_name(name))
}

/// Whether a file is one of the cache.
fn is_file(name: &str) -> bool {
    is_name(name.strip_suffix(SIGNATURE).unwrap_or(name))
}

fn is_name(name: &str) -> bool {
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    name.len() == 64 && name.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_kept_is_checked_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("oci")).unwrap();
        let digest = digest_of(b"blob");
        assert_eq!(cache.get(&digest, 10), None);
        cache.put(&digest, b"blob");
        assert_eq!(cache.get(&digest, 10).as_deref(), Some(&b"blob"[..]));
        assert_eq!(cache.get(&digest, 3), None, "too large");
        let file = folder.path().join("oci").join(&digest["sha256:".len()..]);
        fs::write(file, b"blub").unwrap();
        assert_eq!(cache.get(&digest, 10), None, "damaged");
    }

    #[test]
    fn only_digests_are_names() {
        assert_eq!(name("sha256:../../etc/passwd"), None);
        assert_eq!(name(&format!("sha512:{}", "a".repeat(64))), None);
        assert!(name(&format!("sha256:{}", "a".repeat(64))).is_some());
    }
}
