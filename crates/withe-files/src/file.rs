//! Reading a file that only this user, or root, can have written.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::trusted::{FolderError, check_owner, is_writable_by_others, resolve_existing};

/// Bits of a mode: whatever anybody but the owner may do.
const BY_OTHERS: u32 = 0o077;

/// Reads a file of at most `most` bytes that nobody else can change, nor exchange for another.
///
/// # Errors
///
/// If it is not there, is no file, or others may write to it or to a folder above it.
pub fn read_trusted(path: &Path, most: u64) -> Result<Vec<u8>, FolderError> {
    read(path, most, false)
}

/// Reads a file as [`read_trusted`] does, which nobody else can read either: a key.
///
/// # Errors
///
/// As that, or if others may read it.
pub fn read_private(path: &Path, most: u64) -> Result<Vec<u8>, FolderError> {
    read(path, most, true)
}

fn read(path: &Path, most: u64, is_private: bool) -> Result<Vec<u8>, FolderError> {
    let Some(name) = path.file_name() else {
        return Err(FolderError::NoFile(path.into()));
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let path = resolve_existing(folder)?.join(name);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
        return Err(FolderError::Link(path));
    }
    // A pipe without a writer is not waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    // Flags of the system fit its `int`.
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(&path).map_err(FolderError::io(&path))?;
    let found = file.metadata().map_err(FolderError::io(&path))?;
    if !found.is_file() {
        return Err(FolderError::NoFile(path));
    }
    check_owner(&path, &found)?;
    let mode = found.mode() & 0o7777;
    if is_writable_by_others(&found) {
        return Err(FolderError::Writable { path, mode });
    }
    if is_private && mode & BY_OTHERS != 0 {
        return Err(FolderError::Readable { path, mode });
    }
    if found.len() > most {
        return Err(FolderError::Large(path));
    }
    let mut bytes = Vec::new();
    let read = file.take(most).read_to_end(&mut bytes);
    read.map_err(FolderError::io(&path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_read_that_nobody_else_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mode =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        fs::write(&path, "12345678").unwrap();
        for (file, is_private, is_trusted) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o644, false, true),
            (0o640, false, true),
            (0o602, false, false),
        ] {
            mode(&path, file);
            assert_eq!(read_private(&path, 8).is_ok(), is_private, "{file:o}");
            assert_eq!(read_trusted(&path, 8).is_ok(), is_trusted, "{file:o}");
        }
        mode(&path, 0o600);
        assert!(matches!(read_private(&path, 7), Err(FolderError::Large(_))));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(read_private(&link, 8), Err(FolderError::Link(_))));
        let is_none = read_private(folder.path(), 8);
        assert!(
            matches!(is_none, Err(FolderError::NoFile(_))),
            "{is_none:?}"
        );
        // Nothing is made on the way to a file that is not there.
        let missing = folder.path().join("new/key");
        assert!(matches!(
            read_private(&missing, 8),
            Err(FolderError::Io { .. })
        ));
        assert!(!folder.path().join("new").exists());
        mode(folder.path(), 0o777);
        assert!(matches!(
            read_private(&path, 8),
            Err(FolderError::Writable { .. })
        ));
        mode(folder.path(), 0o700);
    }
}
