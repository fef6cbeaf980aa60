//! Whether nobody else decides where a path leads.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::process::{getegid, geteuid};

/// The most links followed in one path, as in Linux.
const MOST_LINKS: usize = 40;

/// Bits of a mode: the group may write, others may write, names may be removed by their owners only.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a folder, or a file, is not used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Somebody else owns the folder, or one above it.
    #[error("`{}` belongs to the user with the number {owner}, who decides what is in it", path.display())]
    Owner {
        /// The folder, or the link.
        path: PathBuf,
        /// The owner's id.
        owner: u32,
    },
    /// Others may write to the folder, or to one above it.
    #[error("others may write to `{0}` (its mode is {mode:o}); run `chmod go-w {0}`", path.display())]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others may read a file that is for its user alone.
    #[error("others may read `{0}` (its mode is {mode:o}); run `chmod go-rwx {0}`", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file has more bytes than anything that belongs there.
    #[error("`{}` is larger than anything that belongs there", .0.display())]
    Large(PathBuf),
    /// Something else than a file is there.
    #[error("`{}` is no file", .0.display())]
    NoFile(PathBuf),
    /// The folder, or the file, itself is a link.
    #[error("`{}` is a symbolic link; name the place to which it leads", .0.display())]
    Link(PathBuf),
    /// Something else is there.
    #[error("`{}` is no folder", .0.display())]
    NoFolder(PathBuf),
    /// Links lead to links.
    #[error("`{}` has too many symbolic links", .0.display())]
    Links(PathBuf),
    /// The operating system says no.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl FolderError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Whether a user may decide what this process runs: the process's own user, and root, who can do anything.
pub fn is_trusted_user(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// The folder that `path` leads to, free of links, when nobody but this user and root can have it lead elsewhere.
/// Folders that are not there are made, for this user alone.
///
/// Links on the way are followed where this user or root made them. The last part of the path may be a link of root's
/// only, as systemd makes for services.
///
/// # Errors
///
/// The first part of the way that somebody else decides.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, FolderError> {
    follow(path, make)
}

/// As [`resolve`], and nothing is made.
///
/// # Errors
///
/// As that, or if a folder is not there.
pub(crate) fn resolve_existing(path: &Path) -> Result<PathBuf, FolderError> {
    follow(path, look)
}

fn follow(
    path: &Path,
    missing: impl Fn(&Path) -> Result<Metadata, FolderError>,
) -> Result<PathBuf, FolderError> {
    let absolute = std::path::absolute(path).map_err(FolderError::io(path))?;
    let mut at = PathBuf::from("/");
    check(&at, &look(&at)?)?;
    let mut left = names(&absolute);
    let mut links = 0;
    // The number of names at the end that belong to the path itself, and not to a link on the way.
    let mut own = left.len();
    while let Some(name) = left.pop_front() {
        own = own.min(left.len());
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let found = match fs::symlink_metadata(&next) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing(&next)?,
            found => found.map_err(FolderError::io(&next))?,
        };
        if !found.is_symlink() {
            check(&next, &found)?;
            at = next;
            continue;
        }
        let is_roots = found.uid() == 0 && !geteuid().is_root();
        if left.is_empty() && own == 0 && !is_roots {
            return Err(FolderError::Link(next));
        }
        check_owner(&next, &found)?;
        links += 1;
        if links > MOST_LINKS {
            return Err(FolderError::Links(absolute));
        }
        let target = fs::read_link(&next).map_err(FolderError::io(&next))?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        let mut way = names(&target);
        way.append(&mut left);
        left = way;
    }
    Ok(at)
}

/// The names on the way that a path is.
fn names(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

fn look(path: &Path) -> Result<Metadata, FolderError> {
    fs::symlink_metadata(path).map_err(FolderError::io(path))
}

fn make(path: &Path) -> Result<Metadata, FolderError> {
    match DirBuilder::new().mode(0o700).create(path) {
        // Whatever somebody else has just made is looked at as if it had been there.
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(FolderError::io(path)(e)),
        _ => look(path),
    }
}

/// Whether nobody else can put something else into the place of what is in a folder.
fn check(path: &Path, found: &Metadata) -> Result<(), FolderError> {
    if !found.is_dir() {
        return Err(FolderError::NoFolder(path.into()));
    }
    check_owner(path, found)?;
    let mode = found.mode() & 0o7777;
    let is_shared = is_writable_by_others(found);
    // In a folder such as `/tmp` others can add names but not exchange them; what is under the name is checked next.
    if is_shared && mode & STICKY == 0 {
        return Err(FolderError::Writable {
            path: path.into(),
            mode,
        });
    }
    Ok(())
}

pub(crate) fn check_owner(path: &Path, found: &Metadata) -> Result<(), FolderError> {
    if is_trusted_user(found.uid()) {
        return Ok(());
    }
    Err(FolderError::Owner {
        path: path.into(),
        owner: found.uid(),
    })
}

/// Whether anybody but its owner may write. Where each user has a group of their own, which has the user's number,
/// that group is nobody else.
pub(crate) fn is_writable_by_others(found: &Metadata) -> bool {
    let user = geteuid().as_raw();
    let own_group = found.gid() == user && getegid().as_raw() == user;
    let mode = found.mode();
    mode & OTHERS_WRITE != 0 || (mode & GROUP_WRITES != 0 && !own_group)
}
