//! Folders that others could have made, or could change, are not used.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use withe_files::{FolderError, PrivateFolder};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A user who is neither root nor this one, if this process may give files away.
fn give_away(path: &Path) -> bool {
    chown(path, Some(54_321), None).is_ok()
}

#[test]
fn a_new_folder_and_those_above_it_are_closed_to_others() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/c");
    let folder = PrivateFolder::open(&path).unwrap();
    assert_eq!(folder.path(), path.canonicalize().unwrap());
    for made in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode(&root.path().join(made)), 0o700, "{made}");
    }
}

#[test]
fn a_folder_that_others_can_read_is_closed_to_them() {
    let root = tempfile::tempdir().unwrap();
    set_mode(root.path(), 0o755);
    PrivateFolder::open(root.path()).unwrap();
    assert_eq!(mode(root.path()), 0o700);
}

#[test]
fn a_folder_to_which_others_can_write_is_refused_wherever_it_is_on_the_way() {
    for open in ["a", "a/b", "a/b/c"] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c");
        fs::create_dir_all(&path).unwrap();
        let open = root.path().join(open);
        set_mode(&open, 0o777);
        let why = PrivateFolder::open(&path).unwrap_err();
        let FolderError::Writable { path: which, .. } = &why else {
            panic!("{why}");
        };
        assert_eq!(which, &open.canonicalize().unwrap());
        assert!(why.to_string().contains("chmod go-w"), "{why}");
    }
}

#[test]
fn names_in_a_folder_for_all_are_their_owners() {
    let root = tempfile::tempdir().unwrap();
    set_mode(root.path(), 0o1777);
    PrivateFolder::open(&root.path().join("own")).unwrap();
    // But such a folder is nobody's.
    let why = PrivateFolder::open(root.path()).unwrap_err();
    assert!(matches!(why, FolderError::Writable { .. }), "{why}");
}

#[test]
fn a_folder_or_link_of_another_user_is_refused_wherever_it_is_on_the_way() {
    for other in ["a", "a/b", "a/b/c", "link"] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c");
        fs::create_dir_all(&path).unwrap();
        let link = root.path().join("link");
        symlink("a", &link).unwrap();
        let other = root.path().join(other);
        let given = if other == link {
            std::os::unix::fs::lchown(&link, Some(54_321), None).is_ok()
        } else {
            give_away(&other)
        };
        if !given {
            // Only root can give files away; what holds for modes is tried all the same.
            return;
        }
        let path = if other == link {
            link.join("b/c")
        } else {
            path
        };
        let why = PrivateFolder::open(&path).unwrap_err();
        let is_refused = matches!(&why, FolderError::Owner { owner: 54_321, .. });
        assert!(is_refused, "{}: {why}", other.display());
    }
}

#[test]
fn links_are_followed_on_the_way_and_not_at_its_end() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("target");
    fs::create_dir(&target).unwrap();
    set_mode(&target, 0o755);
    symlink("target", root.path().join("link")).unwrap();
    let why = PrivateFolder::open(&root.path().join("link")).unwrap_err();
    assert!(matches!(why, FolderError::Link(_)), "{why}");
    assert_eq!(mode(&target), 0o755, "changed through a link");

    let folder = PrivateFolder::open(&root.path().join("link/own")).unwrap();
    assert_eq!(folder.path(), target.canonicalize().unwrap().join("own"));

    // A link into a folder that others can write to leads where they want.
    let open = root.path().join("open");
    fs::create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    fs::create_dir(open.join("deep")).unwrap();
    symlink("open/deep", root.path().join("out")).unwrap();
    let why = PrivateFolder::open(&root.path().join("out/own")).unwrap_err();
    assert!(matches!(why, FolderError::Writable { .. }), "{why}");

    symlink("round", root.path().join("round")).unwrap();
    let why = PrivateFolder::open(&root.path().join("round/own")).unwrap_err();
    assert!(matches!(why, FolderError::Links(_)), "{why}");
}

#[test]
fn files_are_read_that_are_files_and_no_larger_than_expected() {
    let root = tempfile::tempdir().unwrap();
    let folder = PrivateFolder::open(root.path()).unwrap();
    folder.write("file", &[b"he", b"llo"]).unwrap();
    assert_eq!(folder.read("file", 5).unwrap(), b"hello");
    assert_eq!(mode(&root.path().join("file")), 0o600);
    assert!(folder.read("file", 4).is_err());
    symlink("file", root.path().join("link")).unwrap();
    assert!(folder.read("link", 5).is_err());
    fs::create_dir(root.path().join("folder")).unwrap();
    assert!(folder.read("folder", 5).is_err());
    let pipe = root.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(folder.read("pipe", 5).is_err());
    let missing = folder.read("missing", 5).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);

    assert!(folder.write_new("file", &[b"other"]).is_err());
    folder.write_new("new", &[b"one"]).unwrap();
    folder.write("file", &[b"two"]).unwrap();
    assert_eq!(folder.read("file", 5).unwrap(), b"two");
    assert_eq!(folder.read("new", 5).unwrap(), b"one");
    // Nothing is left of what was written.
    let names = fs::read_dir(root.path()).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    assert!(
        !names
            .into_iter()
            .any(|name| name.starts_with(".unfinished-"))
    );
}
