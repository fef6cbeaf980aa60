//! Folders that go with the process that made them, or with the next one.
//!
//! A process that is killed removes nothing. So a process holds its folder locked (`flock`, on the folder itself): a lock
//! ends with its process, however that ends, and a folder whose lock is free is nobody's. A number of a process in the
//! folder's name was rejected: numbers are given again, and differ between containers that share a disk. A file to be
//! locked was, too: others that know what they have in a folder remove it when that was the last.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The beginning of all names of temporary folders.
const PREFIX: &str = "withe-";
/// Names that are tried before giving up.
const TRIES: usize = 100;

/// A folder with a new name that only this user can enter. The folder goes when this is dropped.
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
            // Another process may take it for one that was left, in the moment before it is locked.
            if let Ok(Some(lock)) = lock(&path) {
                return Ok(Self { path, _lock: lock });
            }
            _ = fs::remove_dir_all(&path);
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a path is one that such a folder may have, here or in another process: for those who are told of a file in
    /// one, and would open another file in its place.
    pub fn may_be(path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        path.is_absolute() && name.is_some_and(is_name)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Another process sweeps up whatever cannot be removed now.
        _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the temporary folders that processes of this user left when they were killed, and says how many. Folders of
/// live processes stay.
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
        // The lock is held until the folder is gone: a process that is just making it would lock it as soon as it is
        // free, and lose it.
        if is_named && let Ok(Some(_lock)) = left(&entry.path()) {
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

/// The lock of a folder that is this user's, and that no process has.
fn left(path: &Path) -> io::Result<Option<File>> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Ok(None);
    }
    lock(path)
}

/// Locks a folder; `None` if a process has it, or has removed it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    // Flags of the system fit its `int`.
    options.read(true).custom_flags(flags.bits().cast_signed());
    let folder = options.open(path)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    let (own, now) = (folder.metadata()?, fs::symlink_metadata(path));
    let is_there = now.is_ok_and(|now| (own.dev(), own.ino()) == (now.dev(), now.ino()));
    Ok(is_there.then_some(folder))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn paths_of_temporary_folders_are_told_from_others() {
        let folder = TemporaryFolder::new().unwrap();
        assert!(TemporaryFolder::may_be(folder.path()));
        for other in [
            "/run",
            "/tmp/withe-12",
            "withe-0123456789ab",
            "/",
            "/tmp/withe-0123456789ab/..",
        ] {
            assert!(!TemporaryFolder::may_be(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_folder_that_is_being_made_is_not_swept_away() {
        let root = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        sweep_in(root.path());
                    }
                });
            }
            let lost = (0..2_000).filter(|_| {
                let folder = TemporaryFolder::within(root.path()).unwrap();
                thread::yield_now();
                fs::write(folder.path().join("socket"), "").is_err()
            });
            let lost = lost.count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(lost, 0);
        });
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_lives_stays() {
        let root = tempfile::tempdir().unwrap();
        let live = TemporaryFolder::within(root.path()).unwrap();
        fs::write(live.path().join("file"), "x").unwrap();
        // A process that was killed holds no lock, and has removed nothing.
        let left = root.path().join("withe-0123456789ab");
        fs::create_dir_all(left.join("deep")).unwrap();
        // Folders that only look alike, and links.
        let others = ["withe-notours", "withe-0123456789", "other"];
        for other in others {
            fs::create_dir(root.path().join(other)).unwrap();
        }
        let outside = tempfile::tempdir().unwrap();
        let link = root.path().join("withe-ba9876543210");
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();

        assert_eq!(sweep_in(root.path()), 1);
        assert!(!left.exists());
        assert!(live.path().join("file").exists());
        assert!(link.is_symlink() && outside.path().exists());
        assert!(others.iter().all(|other| root.path().join(other).exists()));

        let path = live.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(live);
        assert!(!path.exists());
    }
}
