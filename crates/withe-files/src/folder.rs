//! A folder at a fixed path that only this user can enter.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::trusted::{FolderError, is_writable_by_others, resolve};

/// The beginning of the names of files that are being written.
const UNFINISHED: &str = ".unfinished-";
/// How old such a file is whose writing has certainly ended.
const ENDED: Duration = Duration::from_secs(60 * 60);

/// A folder that was found, or made, such that only this user can change what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Opens the folder at `path`, which is made if it is not there. A folder of this user's that others can read is
    /// closed to them.
    ///
    /// # Errors
    ///
    /// If somebody else owns the folder or may write to it, if the same holds for a folder or link on the way to it,
    /// or if it is a link itself.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let path = resolve(path)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let folder = open(&path, flags).map_err(FolderError::io(&path))?;
        let found = folder.metadata().map_err(FolderError::io(&path))?;
        if found.uid() != geteuid().as_raw() {
            return Err(FolderError::Owner {
                path,
                owner: found.uid(),
            });
        }
        let mode = found.mode() & 0o7777;
        // Others may have put anything there already.
        if is_writable_by_others(&found) {
            return Err(FolderError::Writable { path, mode });
        }
        if mode & 0o077 != 0 {
            let closed = folder.set_permissions(Permissions::from_mode(0o700));
            closed.map_err(FolderError::io(&path))?;
        }
        Ok(Self(path))
    }

    /// The folder, by a path without links.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens a file of the folder to read it. Links are not followed, and nothing but a file of this user's, of at
    /// most `most` bytes, is read.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it is not there, [`io::ErrorKind::InvalidData`] if something else is.
    pub fn read(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
        // A pipe without a writer is not waited for.
        let file = open(&self.0.join(name), OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
        let found = file.metadata()?;
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        if !found.is_file() {
            return Err(wrong("it is no file"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(wrong("it belongs to another user"));
        }
        if found.len() > most {
            return Err(wrong("it is larger than anything that was kept"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file that only this user can read, in the place of the one that was there. The file is there whole or
    /// not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written, such as on a full disk. The old file is there still.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = self.unfinished(parts)?;
        let renamed = fs::rename(&unfinished, self.0.join(name));
        if renamed.is_err() {
            _ = fs::remove_file(&unfinished);
        }
        renamed
    }

    /// Writes a file as [`write`](Self::write) does, unless there is one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if there is one; else as [`write`](Self::write).
    pub fn write_new(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = self.unfinished(parts)?;
        let linked = fs::hard_link(&unfinished, self.0.join(name));
        _ = fs::remove_file(&unfinished);
        linked
    }

    /// Notes that a file was used now, as the time of its last change.
    ///
    /// # Errors
    ///
    /// If it is not there, or is a link.
    pub fn touch(&self, name: &str) -> io::Result<()> {
        let file = open(&self.0.join(name), OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
        file.set_modified(SystemTime::now())
    }

    /// Removes files until no more are left than that: those first that were not written or [touched](Self::touch) for
    /// longest, of those whose names `is_entry` knows. Half-written files go, too. Another process may do the same;
    /// then more go.
    pub fn remove_oldest(
        &self,
        is_entry: impl Fn(&str) -> bool,
        most_bytes: u64,
        most_entries: usize,
    ) {
        let Ok(found) = fs::read_dir(&self.0) else {
            return;
        };
        let mut entries = Vec::new();
        for entry in found.flatten() {
            // Whatever has no such name is not ours to remove.
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Ok(about) = entry.metadata() else {
                continue;
            };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if is_entry(name) {
                entries.push((used, about.len(), entry.path()));
            } else if name.starts_with(UNFINISHED) && used.elapsed().is_ok_and(|age| age > ENDED) {
                _ = fs::remove_file(entry.path());
            }
        }
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        let mut left = entries.len();
        for (_, size, path) in entries {
            if bytes <= most_bytes && left <= most_entries {
                break;
            }
            _ = fs::remove_file(path);
            bytes -= size;
            left -= 1;
        }
    }

    fn unfinished(&self, parts: &[&[u8]]) -> io::Result<PathBuf> {
        let path = self
            .0
            .join(format!("{UNFINISHED}{:016x}", fastrand::u64(..)));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        if written.is_err() {
            _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Flags of the system fit its `int`.
    options.custom_flags(flags.bits().cast_signed());
    options.open(path)
}
