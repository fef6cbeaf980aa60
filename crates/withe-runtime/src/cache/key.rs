//! The key by which compiled code is known to be this user's.

use std::io;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use withe_files::{FolderError, PrivateFolder};

/// The file of the key, which only its user can read.
const NAME: &str = "cache.key";
/// Bytes of the key, and of each code.
const KEY_LEN: usize = 32;
pub(crate) const CODE_LEN: usize = 32;

/// HMAC-SHA-256 over an entry's name and what is in it.
pub(crate) struct CodeKey(hmac::Key);

impl CodeKey {
    /// The key in a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If it can be neither read nor made.
    pub(super) fn open(folder: &PrivateFolder) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io {
            path: folder.path().join(NAME),
            source,
        };
        match read(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            // One that is cut short or is something else authenticates nothing.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                let path = folder.path().join(NAME);
                let path = path.display();
                tracing::warn!("the key `{path}` is not used, and made anew: {e}");
                let key = new_key().map_err(failed)?;
                folder.write(NAME, &[&key]).map_err(failed)?;
            }
            key => return Ok(Self::of(&key.map_err(failed)?)),
        }
        let key = new_key().map_err(failed)?;
        match folder.write_new(NAME, &[&key]) {
            // Another process was faster.
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
            _ => {}
        }
        Ok(Self::of(&read(folder).map_err(failed)?))
    }

    fn of(key: &[u8; KEY_LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The code of what is kept under a name.
    pub(super) fn code(&self, name: &str, bytes: &[u8]) -> hmac::Tag {
        hmac::sign(&self.of_name(name), bytes)
    }

    /// Whether that is its code. Takes as long whatever differs.
    pub(crate) fn is_code(&self, code: &[u8], name: &str, bytes: &[u8]) -> bool {
        hmac::verify(&self.of_name(name), bytes, code).is_ok()
    }

    /// A key for one name, so that no entry counts under another.
    fn of_name(&self, name: &str) -> hmac::Key {
        let key = hmac::sign(&self.0, name.as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
    }
}

fn read(folder: &PrivateFolder) -> io::Result<[u8; KEY_LEN]> {
    let bytes = folder.read(NAME, KEY_LEN as u64)?;
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "it has not the length of a key");
    bytes.try_into().map_err(wrong)
}

fn new_key() -> io::Result<[u8; KEY_LEN]> {
    let mut key = [0; KEY_LEN];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(key)
}
