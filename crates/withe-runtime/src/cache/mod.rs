//! Compiled code that is kept between starts.
//!
//! Compiled code is native code, so the writer of an entry decides what the host executes. Wasmtime's own cache runs
//! what it finds and unpacks it without a bound, and offers no place to look at an entry before. Here an entry begins
//! with a code by a key of this user ([`key`]), over its name and its bytes; nothing of it is used before that is
//! checked. The folder is this user's alone, too ([`PrivateFolder`]): each of the two holds without the other.
//!
//! Entries are not compressed. They take three to four times the space and are read faster, and nothing has to bound
//! what they unpack to.

pub(crate) mod key;
mod size;

use std::hash::{Hash as _, Hasher};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::digest;
use wasmtime::Engine;
use withe_files::{FolderError, PrivateFolder};

use key::{CODE_LEN, CodeKey};
use size::Size;

use crate::native_code::{CodeKind, NativeCode, TrustedCode};

/// The largest entry, in bytes; what compiles to more is compiled at every start.
const MOST_ENTRY: u64 = 256 << 20;

/// Goes into the name of each entry; another one whenever entries are made differently.
const FORMAT: &[u8] = b"withe code 1\0";
/// The same for modules, which are no components even if the bytes were.
const MODULE_FORMAT: &[u8] = b"withe module 1\0";

/// A folder of compiled code, which any number of processes of one user may share.
pub(crate) struct CodeCache {
    folder: PrivateFolder,
    key: CodeKey,
    size: Size,
    /// Whether it was said that entries cannot be kept.
    is_full: AtomicBool,
}

/// Why an entry is not used.
#[derive(Debug, thiserror::Error)]
enum BadEntry {
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("it was not made by this user's hosts, or was changed since")]
    Forged,
    #[error("Wasmtime refuses it: {0:#}")]
    Refused(wasmtime::Error),
}

impl CodeCache {
    /// Opens the cache in a folder, which is made if it is not there, with the key in another one, or in the same if
    /// none is given or it cannot be made.
    ///
    /// # Errors
    ///
    /// If others decide what is in one of the folders.
    pub(crate) fn open(folder: &Path, key_folder: Option<&Path>) -> Result<Self, FolderError> {
        let folder = PrivateFolder::open(folder)?;
        let keys = match key_folder.map(PrivateFolder::open) {
            // Such as the home of a service that has none.
            None | Some(Err(FolderError::Io { .. })) => folder.clone(),
            Some(opened) => opened?,
        };
        Ok(Self {
            key: CodeKey::open(&keys)?,
            size: Size::default(),
            is_full: AtomicBool::new(false),
            folder,
        })
    }

    /// Loads the entry of a name, for `engine`. A bad entry is reported, and is none.
    pub(crate) fn get<T: NativeCode>(&self, engine: &Engine, name: &EntryName) -> Option<T> {
        let name = &*name.0;
        match self.find(engine, name) {
            Ok(found) => found,
            Err(why) => {
                let path = self.folder.path().join(name);
                let path = path.display();
                tracing::warn!("the compiled code in `{path}` is not used, and made anew: {why}");
                None
            }
        }
    }

    fn find<T: NativeCode>(&self, engine: &Engine, name: &str) -> Result<Option<T>, BadEntry> {
        let most = MOST_ENTRY + CODE_LEN as u64;
        let entry = match self.folder.read(name, most) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            entry => entry.map_err(BadEntry::Read)?,
        };
        let code = TrustedCode::of_entry(&self.key, name, &entry).ok_or(BadEntry::Forged)?;
        let loaded = T::load(&code, engine).map_err(BadEntry::Refused)?;
        // Entries that were not used for longest go first. Where that cannot be noted, others go.
        _ = self.folder.touch(name);
        Ok(Some(loaded))
    }

    /// Keeps code under a name, if there is space for it.
    pub(crate) fn put(&self, name: &EntryName, code: wasmtime::Result<Vec<u8>>) {
        self.keep(&name.0, code.map_err(io::Error::other));
    }

    fn keep(&self, name: &str, code: io::Result<Vec<u8>>) {
        let kept = code.and_then(|code| {
            if code.len() as u64 > MOST_ENTRY {
                return Ok(());
            }
            let authentication = self.key.code(name, &code);
            self.folder.write(name, &[authentication.as_ref(), &code])?;
            self.size.wrote(&self.folder, code.len() as u64);
            Ok(())
        });
        if let Err(e) = kept
            && !self.is_full.swap(true, Ordering::Relaxed)
        {
            let folder = self.folder.path().display();
            tracing::warn!(
                "compiled code cannot be kept in `{folder}`, and is compiled again at the next start: {e}"
            );
        }
    }
}

/// The name of an entry: what it depends on, which is the component or module, Wasmtime's version, and the engine's settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryName(Box<str>);

impl EntryName {
    pub(crate) fn of(engine: &Engine, kind: CodeKind, bytes: &[u8]) -> Self {
        let mut hasher = NameHasher(digest::Context::new(&digest::SHA256));
        hasher.write(match kind {
            CodeKind::Component => FORMAT,
            CodeKind::Module => MODULE_FORMAT,
        });
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.write(bytes);
        Self(hex::encode(hasher.0.finish()).into())
    }
}

/// Has Wasmtime's hash of an engine's settings go into a digest.
struct NameHasher(digest::Context);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the digest is taken instead.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
