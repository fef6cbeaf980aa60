//! Folders that go with the process that made them, or with the next one.
//!
//! A process that is killed removes nothing. So a folder has a file that its process holds locked: a lock ends with its
//! process, however that ends, and a folder whose lock is free is nobody's. A number of a process in the folder's name
//! was rejected: numbers are given again, and differ between containers that share a disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The beginning of all names of temporary folders.
const PREFIX: &str = "withe-";
/// The file that is locked.
const LOCK: &str = ".lock";
/// Names that are tried before giving up.
const TRIES: usize = 100;
/// How old a folder without the file is before it is taken for one that was left: its process makes both in a moment.
const LEFT: Duration = Duration::from_secs(60);

/// A folder with a new name that only this user can enter. It goes when this is dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    _lock: File,
}

impl TemporaryFolder {
    /// Makes one in the system's folder for temporary files. Its path is short, as that of a socket in it must be.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// Makes one in `folder`.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn within(folder: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let path = folder.join(format!("{PREFIX}{:012x}", fastrand::u64(..) >> 16));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let locked = lock(&path, true);
            // Another process may have swept it up before it was locked.
            if let Ok(Some(lock)) = locked {
                return Ok(Self { path, _lock: lock });
            }
            _ = fs::remove_dir_all(&path);
            locked?;
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept up by another process.
        _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the temporary folders that processes of this user left when they were killed, and says how many. Those of
/// processes that live stay.
pub fn sweep() -> usize {
    sweep_in(&std::env::temp_dir())
}

fn sweep_in(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let mut swept = 0;
    for entry in entries.flatten() {
        let is_named = entry.file_name().to_str().is_some_and(is_name);
        if is_named && is_left(&entry.path()).is_ok_and(|left| left) {
            swept += usize::from(fs::remove_dir_all(entry.path()).is_ok());
        }
    }
    swept
}

/// Whether a name is one that [`TemporaryFolder::within`] gives.
fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX);
    digits.is_some_and(|digits| {
        digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Whether the folder is this user's, and no process has it.
fn is_left(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Ok(false);
    }
    match lock(path, false) {
        Ok(lock) => Ok(lock.is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let age = found.modified()?.elapsed().unwrap_or_default();
            Ok(age > LEFT)
        }
        Err(e) => Err(e),
    }
}

/// Locks a folder; `None` if a process has it.
fn lock(path: &Path, make: bool) -> io::Result<Option<File>> {
    let path = path.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(make).mode(0o600);
    // Flags of the system fit its `int`.
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(e)) => return Err(e),
    }
    // Whoever sweeps may have removed it meanwhile.
    let is_there = fs::symlink_metadata(&path).is_ok_and(|now| {
        file.metadata()
            .is_ok_and(|own| (own.dev(), own.ino()) == (now.dev(), now.ino()))
    });
    Ok(is_there.then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_lives_stays() {
        let root = tempfile::tempdir().unwrap();
        let live = TemporaryFolder::within(root.path()).unwrap();
        fs::write(live.path().join("file"), "x").unwrap();
        // A process that was killed holds no lock, and has removed nothing.
        let left = root.path().join("withe-0123456789ab");
        fs::create_dir_all(left.join("deep")).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        // Folders that only look alike, and links.
        let others = ["withe-notours", "withe-0123456789", "other"];
        for other in others {
            fs::create_dir(root.path().join(other)).unwrap();
            fs::write(root.path().join(other).join(LOCK), "").unwrap();
        }
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join(LOCK), "").unwrap();
        let link = root.path().join("withe-ba9876543210");
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        // One that has just been made, and is not locked yet.
        let new = root.path().join("withe-aaaaaaaaaaaa");
        fs::create_dir(&new).unwrap();

        assert_eq!(sweep_in(root.path()), 1);
        assert!(!left.exists());
        assert!(live.path().join("file").exists() && new.exists());
        assert!(link.is_symlink() && outside.path().join(LOCK).exists());
        assert!(others.iter().all(|other| root.path().join(other).exists()));

        let path = live.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(live);
        assert!(!path.exists());
    }
}
