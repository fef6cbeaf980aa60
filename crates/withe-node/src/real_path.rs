//! Where a path leads, also one of which not all is there.
//!
//! [`std::fs::canonicalize`] has no answer for what is not there yet, and a provider makes its file when it starts. A
//! comparison of the texts of paths was rejected: `..` and links would lead out of any folder.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The most links to nothing followed in one path, as many as Linux follows in all.
const MOST_LINKS: usize = 40;

/// Where a path leads on this machine, free of links and of `..`.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    resolve(&path, MOST_LINKS)
}

fn resolve(path: &Path, links: usize) -> PathBuf {
    let mut missing: Vec<OsString> = Vec::new();
    let mut at = path;
    let mut found = loop {
        if let Ok(found) = at.canonicalize() {
            break found;
        }
        let Some(above) = at.parent() else {
            break PathBuf::from("/");
        };
        // Creating a file through a dangling link creates the file that the link names.
        if let Ok(target) = at.read_link() {
            if links == 0 {
                return PathBuf::from("/");
            }
            break resolve(&above.join(target), links - 1);
        }
        // `Path::file_name` has nothing for `..`.
        let last = at.components().next_back();
        missing.extend(last.map(|last| last.as_os_str().to_owned()));
        at = above;
    };
    for name in missing.iter().rev() {
        match Path::new(name).components().next() {
            // Nothing is there yet that could be a link.
            Some(Component::ParentDir) => drop(found.pop()),
            _ => found.push(name),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn neither_links_nor_dots_hide_where_a_path_leads() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("data/in")).unwrap();
        fs::create_dir(root.join("secret")).unwrap();
        symlink(root.join("secret"), root.join("data/link")).unwrap();
        symlink("../gone", root.join("data/broken")).unwrap();
        symlink("circle", root.join("data/circle")).unwrap();
        for (path, expected) in [
            ("data", "data"),
            ("data/in/..", "data"),
            ("data/../secret", "secret"),
            ("data/link", "secret"),
            ("data/link/new/file", "secret/new/file"),
            ("data/link/../data", "data"),
            ("data/new", "data/new"),
            ("data/new/../../secret", "secret"),
            ("data/broken", "gone"),
            ("data/broken/file", "gone/file"),
        ] {
            assert_eq!(real_path(&root.join(path)), root.join(expected), "{path}");
        }
        let outside = real_path(&root.join("data/new/../../../other"));
        assert_eq!(outside, root.with_file_name("other"));
        // Where nobody can follow, only a policy that accepts everything accepts the path.
        assert_eq!(real_path(&root.join("data/circle")), Path::new("/"));
        assert_eq!(real_path(Path::new("/..")), Path::new("/"));
    }
}
