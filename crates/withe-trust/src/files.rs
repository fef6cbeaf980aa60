//! Keys on a disk.
//!
//! A private key is a file of JSON that only its user can read, and is refused if others can. The public half of the
//! lattice's key is a file of one line, which others may read and nobody else may change.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use withe_files::{FolderError, PrivateFolder};

use crate::certificate::Certificate;
use crate::key::{KeyError, PublicKey};
use crate::member::{MemberKey, RootKey};
use crate::seal::{SealKey, SealKeyError};
use crate::trust::TrustRoot;

/// The most bytes of a file with a key.
const MOST: u64 = 16 << 10;
/// The files of a lattice's own key.
const ROOT: &str = "root.key";
const ROOT_PUBLIC: &str = "root.pub";
/// The file of the key that seals.
const SEAL: &str = "seal.key";
/// The beginning of the line of a public key.
const PUBLIC: &str = "withe-root-1 ";

/// Why there is no key in a file, or no file for a key.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {why}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub why: BadKeyFile,
}

/// The fault of a file that has, or is to have, a key.
#[derive(Debug, thiserror::Error)]
pub enum BadKeyFile {
    /// Others decide what is in it, or in its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file has something else.
    #[error("it has no key: {0}")]
    Json(#[from] serde_json::Error),
    /// The file has a line of something else.
    #[error("it has not the public key of a lattice, a line that begins with `withe-root-1`")]
    Line,
    /// The key in it is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key that seals is none.
    #[error(transparent)]
    SealKey(#[from] SealKeyError),
    /// The file has a key that signs.
    #[error(
        "its key signs records and seals nothing; `withe lattice seal-key` makes one that does"
    )]
    NoSeal,
    /// The file has a key that seals.
    #[error("its key seals secret values and signs nothing")]
    Seal,
    /// The file has a key with the certificate of another.
    #[error("its certificate is not one of its key by its lattice's")]
    Certificate,
    /// The name of a key cannot be that of a file.
    #[error("`{0}` is no name for a key; take letters, digits, `-`, `_` and `.`")]
    Name(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "withe", deny_unknown_fields)]
enum KeyFile {
    #[serde(rename = "root key 1")]
    Root { seed: String },
    #[serde(rename = "member key 1")]
    Member {
        seed: String,
        root: PublicKey,
        certificate: Certificate,
    },
    #[serde(rename = "seal key 1")]
    Seal { key: String },
}

/// Writes the key of a new lattice to `root.key` and `root.pub` in a folder, which is made if it is not there, and is closed
/// to others. Returns their paths.
///
/// # Errors
///
/// If there is one already, others decide what is in the folder, or it cannot be written to.
pub fn write_lattice(folder: &Path, root: &RootKey) -> Result<[PathBuf; 2], KeyFileError> {
    let seed = root.text();
    let key = write(folder, ROOT, || Ok(json(&KeyFile::Root { seed })?))?;
    let line = format!("{PUBLIC}{}\n", root.public());
    let public = write(folder, ROOT_PUBLIC, || Ok(line.into_bytes()))?;
    Ok([key, public])
}

/// Writes a key to `NAME.key` in a folder, as [`write_lattice`] does. Returns its path.
///
/// # Errors
///
/// As that, or if the name is not one that a file can have.
pub fn write_member(folder: &Path, member: &MemberKey) -> Result<PathBuf, KeyFileError> {
    let certificate = member.certificate().clone();
    let name = certificate.name.clone();
    let file = format!("{name}.key");
    write(folder, &file, || {
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_of_a_name) {
            return Err(BadKeyFile::Name(name));
        }
        let (seed, root) = (member.text(), member.root());
        Ok(json(&KeyFile::Member {
            seed,
            root,
            certificate,
        })?)
    })
}

/// Reads the key of the lattice in a folder.
///
/// # Errors
///
/// If it is not there, others can read it or decide what is in it, or it is none.
pub fn read_root(folder: &Path) -> Result<RootKey, KeyFileError> {
    let path = folder.join(ROOT);
    let read = || match serde_json::from_slice(&withe_files::read_private(&path, MOST)?)? {
        KeyFile::Root { seed } => Ok(RootKey::parse(&seed)?),
        KeyFile::Member { .. } => Err(BadKeyFile::Certificate),
        KeyFile::Seal { .. } => Err(BadKeyFile::Seal),
    };
    read().map_err(|why| KeyFileError {
        path: path.clone(),
        why,
    })
}

/// Reads a key that is certified.
///
/// # Errors
///
/// As [`read_root`].
pub fn read_member(path: &Path) -> Result<MemberKey, KeyFileError> {
    let read = || match serde_json::from_slice(&withe_files::read_private(path, MOST)?)? {
        KeyFile::Member {
            seed,
            root,
            certificate,
        } => MemberKey::parse(&seed, root, certificate)?.ok_or(BadKeyFile::Certificate),
        KeyFile::Root { .. } => Err(BadKeyFile::Certificate),
        KeyFile::Seal { .. } => Err(BadKeyFile::Seal),
    };
    read().map_err(|why| KeyFileError {
        path: path.to_owned(),
        why,
    })
}

/// Writes the key that seals a lattice's secret values to `seal.key` in a folder, as [`write_lattice`] does. Returns its
/// path.
///
/// # Errors
///
/// As that.
pub fn write_seal(folder: &Path, key: &SealKey) -> Result<PathBuf, KeyFileError> {
    let key = key.text();
    write(folder, SEAL, || Ok(json(&KeyFile::Seal { key })?))
}

/// Reads a key that seals.
///
/// # Errors
///
/// As [`read_root`].
pub fn read_seal(path: &Path) -> Result<SealKey, KeyFileError> {
    let read = || match serde_json::from_slice(&withe_files::read_private(path, MOST)?)? {
        KeyFile::Seal { key } => Ok(SealKey::parse(&key)?),
        KeyFile::Root { .. } | KeyFile::Member { .. } => Err(BadKeyFile::NoSeal),
    };
    read().map_err(|why| KeyFileError {
        path: path.to_owned(),
        why,
    })
}

/// Reads the public half of a lattice's key.
///
/// # Errors
///
/// If it is not there, others may write to it or decide what is there, or it is none.
pub fn read_trust(path: &Path) -> Result<TrustRoot, KeyFileError> {
    let read = || {
        let bytes = withe_files::read_trusted(path, MOST)?;
        let line = str::from_utf8(&bytes).ok().map(str::trim);
        let key = line.and_then(|line| line.strip_prefix(PUBLIC));
        Ok(TrustRoot::new(key.ok_or(BadKeyFile::Line)?.trim().parse()?))
    };
    read().map_err(|why| KeyFileError {
        path: path.to_owned(),
        why,
    })
}

fn write(
    folder: &Path,
    name: &str,
    bytes: impl FnOnce() -> Result<Vec<u8>, BadKeyFile>,
) -> Result<PathBuf, KeyFileError> {
    let path = folder.join(name);
    let write = || {
        let bytes = bytes()?;
        // A key that was given to hosts or people is never replaced by another.
        PrivateFolder::open(folder)?.write_new(name, &[&bytes])?;
        Ok(())
    };
    match write() {
        Ok(()) => Ok(path),
        Err(why) => Err(KeyFileError { path, why }),
    }
}

fn json(file: &KeyFile) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(file)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::certificate::Role;

    #[test]
    fn keys_are_read_as_they_were_written_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("keys");
        let root = RootKey::generate().unwrap();
        let [key, public] = write_lattice(&folder, &root).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&key)), (0o700, 0o600));
        assert_eq!(read_root(&folder).unwrap().public(), root.public());
        assert_eq!(read_trust(&public).unwrap(), TrustRoot::new(root.public()));
        let member = root.certify(Role::Host, "east-1", Some(5)).unwrap();
        let path = write_member(&folder, &member).unwrap();
        assert!(path.ends_with("east-1.key"));
        let read = read_member(&path).unwrap();
        assert_eq!(read.certificate(), member.certificate());
        assert_eq!(read.root(), root.public());
        let seal = SealKey::generate().unwrap();
        let path = write_seal(&folder, &seal).unwrap();
        assert!(path.ends_with("seal.key"));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_seal(&path).unwrap().id(), seal.id());
        for error in [
            write_lattice(&folder, &root).unwrap_err(),
            write_member(&folder, &member).unwrap_err(),
            write_seal(&folder, &seal).unwrap_err(),
        ] {
            assert!(matches!(error.why, BadKeyFile::Io(_)), "{error}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_that_has_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (root, other) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
        write_lattice(folder, &root).unwrap();
        let member = root.certify(Role::Host, "a", None).unwrap();
        let path = write_member(folder, &member).unwrap();
        let why = |path: &Path| read_member(path).unwrap_err().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let (own, others) = (root.public().to_string(), other.public().to_string());
        for (text, expected) in [
            (text.replace(&own, &others), "its certificate"),
            (text.replace("\"host\"", "\"deployer\""), "its certificate"),
            ("{}".to_owned(), "no key"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(why(&path).contains(expected), "{}", why(&path));
        }
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(why(&path).contains("chmod"), "{}", why(&path));
        assert!(why(&folder.join("root.key")).contains("certificate"));
        assert!(read_trust(&folder.join("root.key")).is_err());
        let seal = write_seal(folder, &SealKey::generate().unwrap()).unwrap();
        assert!(why(&seal).contains("signs nothing"), "{}", why(&seal));
        let error = read_seal(&folder.join("root.key")).unwrap_err();
        assert!(matches!(error.why, BadKeyFile::NoSeal), "{error}");
        fs::set_permissions(&seal, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_seal(&seal).unwrap_err().to_string();
        assert!(error.contains("chmod"), "{error}");
        for name in ["", "../a", "a/b", ".a", "a b"] {
            let member = root.certify(Role::Host, name, None).unwrap();
            let error = write_member(folder, &member).unwrap_err();
            assert!(matches!(error.why, BadKeyFile::Name(_)), "{name}: {error}");
        }
    }
}
