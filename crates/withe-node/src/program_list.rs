//! The programs of providers that a host's operator lets it run.
//!
//! A program runs outside of any sandbox, so the host decides which may run, and the lattice does not. A record of the
//! lattice names a program by the digest of its bytes, and finds a file of this list or nothing. The path in a record
//! is ignored: every client that may write to the lattice knows as well as anybody where a machine has `/bin/sh`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use withe_load::artifact;

/// The beginning of a digest.
const DIGEST: &str = "sha256:";
/// How many digits follow.
const DIGITS: usize = 64;
/// Everybody may write.
const BY_ALL: u32 = 0o002;

/// The programs of providers that a host runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramOptions {
    /// The programs that the operator named.
    pub named: Vec<NamedProgram>,
    /// The folders whose files are programs that it may run, also those that are put there later.
    pub folders: Vec<PathBuf>,
    /// Whether it runs whatever program comes with an application.
    pub from_lattice: bool,
}

/// A program that an operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProgram {
    /// The name, for people.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The digest that its bytes must have; `None` if they may be any.
    pub digest: Option<String>,
}

/// A text is not `NAME=PATH[@sha256:DIGEST]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=PATH or NAME=PATH@sha256:DIGEST, such as `greeter=/usr/lib/withe/greeter`")]
pub struct NoNamedProgram;

impl FromStr for NamedProgram {
    type Err = NoNamedProgram;

    fn from_str(text: &str) -> Result<Self, NoNamedProgram> {
        let (name, rest) = text.split_once('=').ok_or(NoNamedProgram)?;
        let (path, digest) = match rest.rsplit_once('@') {
            Some((path, digest)) if digest.starts_with(DIGEST) => (path, Some(digest)),
            _ => (rest, None),
        };
        let is_digest = |digest: &str| {
            let digits = digest.strip_prefix(DIGEST).unwrap_or_default();
            digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if name.is_empty() || path.is_empty() || digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(NoNamedProgram);
        }
        Ok(Self {
            name: name.into(),
            path: path.into(),
            digest: digest.map(str::to_ascii_lowercase),
        })
    }
}

/// Why what an operator named cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramListError {
    /// A file or folder cannot be used.
    #[error("`{}`, where programs are, cannot be used: {why}", path.display())]
    Unusable {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        why: Unusable,
    },
    /// A program has other bytes than the operator says.
    #[error("the program `{name}` at `{}` is not `{expected}`, but `{found}`", path.display())]
    OtherBytes {
        /// Its name.
        name: String,
        /// Its path.
        path: PathBuf,
        /// The digest that was named.
        expected: String,
        /// The digest of its bytes.
        found: String,
    },
}

/// Why nothing is run from there.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system does not let the host look.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A program is a file.
    #[error("it is no file")]
    NoFile,
    /// Programs are in folders.
    #[error("it is no folder")]
    NoFolder,
    /// Every user of the machine may exchange it.
    #[error("every user of this machine may write to it; `chmod o-w` takes that away")]
    Writable,
}

/// The programs that a host may run.
#[derive(Debug, Default)]
pub(crate) struct ProgramList {
    named: Vec<NamedProgram>,
    folders: Vec<PathBuf>,
}

impl ProgramList {
    /// The list that the operator gave, as far as what is on it can be used. Blocks.
    ///
    /// # Errors
    ///
    /// If a file or folder is not there, is not as it was said to be, or can be exchanged by everybody.
    pub(crate) fn open(
        named: Vec<NamedProgram>,
        folders: Vec<PathBuf>,
    ) -> Result<Self, ProgramListError> {
        for program in &named {
            let path = program.path.clone();
            file(&path).map_err(|why| ProgramListError::Unusable {
                path: path.clone(),
                why,
            })?;
            let Some(expected) = &program.digest else {
                continue;
            };
            let found = artifact::digest_of(&path).map_err(|why| ProgramListError::Unusable {
                path: path.clone(),
                why: why.into(),
            })?;
            if found != *expected {
                return Err(ProgramListError::OtherBytes {
                    name: program.name.clone(),
                    path,
                    expected: expected.clone(),
                    found,
                });
            }
        }
        for path in &folders {
            folder(path).map_err(|why| ProgramListError::Unusable {
                path: path.clone(),
                why,
            })?;
        }
        Ok(Self { named, folders })
    }

    /// The file of the list that has these bytes now. Blocks.
    pub(crate) fn find(&self, digest: &str, size: u64) -> Option<PathBuf> {
        let may_be = |program: &&NamedProgram| program.digest.as_ref().is_none_or(|d| d == digest);
        let named = self.named.iter().filter(may_be);
        let named = named.map(|program| program.path.clone());
        let usable = self.folders.iter().filter(|path| folder(path).is_ok());
        let entries = usable.filter_map(|folder| fs::read_dir(folder).ok());
        let in_folders = entries.flatten().flatten().map(|entry| entry.path());
        named.chain(in_folders).find(|path| is(path, digest, size))
    }
}

/// Whether a file can be used, and has these bytes.
pub(crate) fn is(path: &Path, digest: &str, size: u64) -> bool {
    file(path).is_ok_and(|file| file.len() == size)
        && artifact::digest_of(path).is_ok_and(|found| found == digest)
}

fn file(path: &Path) -> Result<Metadata, Unusable> {
    let file = fs::metadata(path)?;
    match file.is_file() {
        true => not_by_all(file),
        false => Err(Unusable::NoFile),
    }
}

fn folder(path: &Path) -> Result<Metadata, Unusable> {
    let folder = fs::metadata(path)?;
    match folder.is_dir() {
        true => not_by_all(folder),
        false => Err(Unusable::NoFolder),
    }
}

fn not_by_all(place: Metadata) -> Result<Metadata, Unusable> {
    match place.permissions().mode() & BY_ALL {
        0 => Ok(place),
        _ => Err(Unusable::Writable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_with_and_without_digests() {
        let digest = format!("{DIGEST}{}", "0f".repeat(DIGITS / 2));
        let program = |path: &str, digest: Option<&str>| NamedProgram {
            name: "a".into(),
            path: path.into(),
            digest: digest.map(Into::into),
        };
        for (text, expected) in [
            ("a=/b".to_owned(), program("/b", None)),
            (format!("a=/b@{digest}"), program("/b", Some(&digest))),
            (
                format!("a=/b@{}", digest.replace("0f", "0F")),
                program("/b", Some(&digest)),
            ),
            ("a=/b@1.2".to_owned(), program("/b@1.2", None)),
            ("a=b=c".to_owned(), program("b=c", None)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        let short = digest[..digest.len() - 1].to_owned();
        for text in [
            "",
            "a",
            "a=",
            "=/b",
            &format!("a=/b@{short}"),
            "a=/b@sha256:x",
        ] {
            assert_eq!(text.parse::<NamedProgram>(), Err(NoNamedProgram), "{text}");
        }
    }

    #[test]
    fn what_is_not_as_the_operator_says_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, "bytes").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&path, 0o755);
        let open = |path: &Path, digest: Option<String>| {
            let named = NamedProgram {
                name: "p".into(),
                path: path.into(),
                digest,
            };
            ProgramList::open(vec![named], Vec::new()).map_err(|e| e.to_string())
        };
        let digest = artifact::digest(b"bytes");
        let list = open(&path, Some(digest.clone())).unwrap();
        assert_eq!(list.find(&digest, 5), Some(path.clone()));
        assert_eq!(list.find(&digest, 6), None);
        assert_eq!(list.find(&artifact::digest(b"other"), 5), None);
        let error = open(&path, Some(artifact::digest(b"other"))).unwrap_err();
        assert!(error.contains("`p`") && error.contains(&digest), "{error}");
        assert!(open(folder.path(), None).unwrap_err().contains("no file"));
        mode(&path, 0o777);
        assert_eq!(list.find(&digest, 5), None);
        assert!(open(&path, None).unwrap_err().contains("every user"));
        mode(&path, 0o755);

        let in_folder = |path: &Path| ProgramList::open(Vec::new(), vec![path.into()]);
        let list = in_folder(folder.path()).unwrap();
        assert_eq!(list.find(&digest, 5), Some(path.clone()));
        assert!(
            in_folder(&path)
                .unwrap_err()
                .to_string()
                .contains("no folder")
        );
        mode(folder.path(), 0o777);
        assert_eq!(list.find(&digest, 5), None);
        assert!(in_folder(folder.path()).is_err());
    }
}
