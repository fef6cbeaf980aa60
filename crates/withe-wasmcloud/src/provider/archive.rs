//! Provider archives (`.par`, `.par.gz`): a tar file with signed claims and an executable for each platform.
//!
//! Nothing is written to the disk before the claims are read and found to be signed, wherever in the archive they are:
//! an archive is read to its claims first, and then again from its beginning. Archives that wasmCloud makes begin with
//! their claims.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use withe_files::TemporaryFolder;

use super::claims::Claims;
use crate::jwt::ClaimsError;

/// The most bytes that claims, a world, an executable and all files together may take.
const MOST_CLAIMS: u64 = 1 << 20;
const MOST_WORLD: u64 = 64 << 20;
const MOST_EXECUTABLE: u64 = 1 << 30;
const MOST_TOTAL: u64 = 8 << 30;
/// As much of a file as tells what it is, in bytes.
const HEAD: u64 = 262;
/// The most files in an archive.
const MOST_FILES: usize = 1_000;

/// The file that has the provider's world.
const WORLD: &str = "world.wasm";

/// A provider that can be started. The extracted files are removed when this is dropped.
#[derive(Debug)]
pub struct Executable {
    pub(super) path: PathBuf,
    /// The archive's claims; none of an executable that was not in an archive.
    pub claims: Option<Claims>,
    /// The provider's world, as a WIT package in binary form, if the archive has it.
    pub world: Option<Vec<u8>>,
    _folder: Option<TemporaryFolder>,
}

/// Why a file is no provider that can be started.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive cannot be read, or its contents cannot be written.
    #[error("`{path}` cannot be read as a provider archive: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is neither an archive nor an executable.
    #[error("`{0}` is neither a provider archive (`.par`, `.par.gz`) nor an executable")]
    Unknown(PathBuf),
    /// The archive has nothing for this platform.
    #[error("the provider archive `{path}` has no executable for `{target}`; it has {found}")]
    OtherPlatform {
        /// The file.
        path: PathBuf,
        /// This platform.
        target: String,
        /// The platforms there are.
        found: String,
    },
    /// The archive is not what its maker signed, or larger than it may be.
    #[error("the provider archive `{path}` is refused: {why}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        why: ArchiveFault,
    },
}

/// Why an archive is refused. Displayed, it is a sentence of which the archive is the subject.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// More files than anybody needs.
    #[error("it has more than {MOST_FILES} files")]
    Files,
    /// A file's name would be outside of the folder into which it is extracted.
    #[error("its file `{}` leads out of it", .0.display())]
    LeadsOut(PathBuf),
    /// A file other than an executable is too large.
    #[error("one of its files takes more than {0} bytes")]
    File(u64),
    /// The executable is too large.
    #[error("its executable takes more than {MOST_EXECUTABLE} bytes")]
    Executable,
    /// Nobody says what it is.
    #[error("it has no signed claims (`claims.jwt`)")]
    NoClaims,
    /// The claims of the archive do not count.
    #[error("its claims: {0}")]
    Claims(#[from] ClaimsError),
    /// Somebody changed it.
    #[error("its file `{0}` is not the one that was signed")]
    Changed(String),
}

/// How archives name this platform.
fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

impl Executable {
    /// Opens the archive or the executable at `path`; extracts an archive's executable for this platform into a
    /// folder that only this user can read. Blocks for as long as it takes to read the file.
    ///
    /// # Errors
    ///
    /// If the archive is damaged, not what was signed, for other platforms, or too large.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        Self::open_in(path, &std::env::temp_dir())
    }

    /// The claims of the archive at `path`, of which nothing is extracted; `None` of a file that is no archive. Blocks for
    /// as long as it takes to read the file to its claims.
    ///
    /// # Errors
    ///
    /// If the archive is damaged, or has no claims that count.
    pub fn claims_of(path: &Path) -> Result<Option<Claims>, ArchiveError> {
        let io = |source| ArchiveError::Io {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let mut head = Vec::new();
        (&file).take(HEAD).read_to_end(&mut head).map_err(io)?;
        let archive = Archive::with_head(path, file, &head);
        archive.map(|mut archive| archive.claims()).transpose()
    }

    /// As [`open`](Self::open), with the folder for temporary files.
    fn open_in(path: &Path, temporary: &Path) -> Result<Self, ArchiveError> {
        let io = |source| ArchiveError::Io {
            path: path.into(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let mut head = Vec::new();
        (&file).take(HEAD).read_to_end(&mut head).map_err(io)?;
        if let Some(archive) = Archive::with_head(path, file, &head) {
            return archive.extract(temporary);
        }
        if head.starts_with(b"\x7fELF") || head.starts_with(b"#!") {
            tracing::warn!(
                "the provider `{}` is no archive, so who made it is not known; wasmCloud v1 refuses it",
                path.display()
            );
            return Ok(Self {
                path: path.canonicalize().map_err(io)?,
                claims: None,
                world: None,
                _folder: None,
            });
        }
        Err(ArchiveError::Unknown(path.into()))
    }
}

/// An archive that is being read.
struct Archive<'a> {
    path: &'a Path,
    file: File,
    is_compressed: bool,
}

/// A file of an archive: its name's stem and extension, and what is in it.
type Found<'a, 'b> = (Option<&'a str>, Option<&'a str>, &'b mut dyn Read);

impl<'a> Archive<'a> {
    /// The archive in `file`, which begins with `head`; `None` if it is no archive.
    fn with_head(path: &'a Path, file: File, head: &[u8]) -> Option<Self> {
        let is_compressed = head.starts_with(&[0x1f, 0x8b]);
        let is_archive = is_compressed || head.get(257..262) == Some(b"ustar");
        is_archive.then_some(Self {
            path,
            file,
            is_compressed,
        })
    }

    fn io(&self, source: io::Error) -> ArchiveError {
        ArchiveError::Io {
            path: self.path.into(),
            source,
        }
    }

    fn refused(&self, why: impl Into<ArchiveFault>) -> ArchiveError {
        ArchiveError::Refused {
            path: self.path.into(),
            why: why.into(),
        }
    }

    /// Hands over each file, from the first one, until there is something to return.
    fn files<T>(
        &mut self,
        mut found: impl FnMut(&Self, Found<'_, '_>) -> Result<Option<T>, ArchiveError>,
    ) -> Result<Option<T>, ArchiveError> {
        self.file.rewind().map_err(|e| self.io(e))?;
        let file = io::BufReader::new(&self.file);
        let reader: Box<dyn Read> = match self.is_compressed {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        let mut archive = tar::Archive::new(reader.take(MOST_TOTAL));
        for (n, entry) in archive.entries().map_err(|e| self.io(e))?.enumerate() {
            if n == MOST_FILES {
                return Err(self.refused(ArchiveFault::Files));
            }
            let mut entry = entry.map_err(|e| self.io(e))?;
            let name = entry.path().map_err(|e| self.io(e))?.into_owned();
            // Nothing is written under a name of the archive, but one that tries to leave is no mistake.
            if !name
                .components()
                .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
            {
                return Err(self.refused(ArchiveFault::LeadsOut(name)));
            }
            let stem = name.file_stem().and_then(OsStr::to_str);
            let extension = name.extension().and_then(OsStr::to_str);
            if let Some(done) = found(self, (stem, extension, &mut entry))? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    fn claims(&mut self) -> Result<Claims, ArchiveError> {
        let claims = self.files(|this, (stem, _, content)| {
            if stem != Some("claims") {
                return Ok(None);
            }
            let jwt = this.all(content, MOST_CLAIMS)?;
            let read = String::from_utf8(jwt).map_err(|_| ClaimsError::NotText);
            let read = read.and_then(|jwt| Claims::read(&jwt));
            Ok(Some(read.map_err(|why| this.refused(why))?))
        })?;
        claims.ok_or_else(|| self.refused(ArchiveFault::NoClaims))
    }

    fn extract(mut self, temporary: &Path) -> Result<Executable, ArchiveError> {
        let claims = self.claims()?;
        let target = target();
        let folder = TemporaryFolder::within(temporary).map_err(|e| self.io(e))?;
        let program = folder.path().join("provider");
        let mut world = None;
        let mut digest = None;
        let mut platforms = Vec::new();
        self.files(|this, (stem, extension, content)| {
            match (stem, extension) {
                (Some("world"), Some("wasm")) => world = Some(this.all(content, MOST_WORLD)?),
                (Some(platform), Some("bin")) => {
                    platforms.push(format!("`{platform}`"));
                    if platform == target {
                        // One that nobody signed is not worth writing.
                        if !claims.digests.contains_key(platform) {
                            return Err(this.refused(ArchiveFault::Changed(target.clone())));
                        }
                        digest = Some(this.write(content, &program)?);
                    }
                }
                _ => {}
            }
            Ok(None::<()>)
        })?;
        let Some(digest) = digest else {
            platforms.sort();
            let found = match platforms.is_empty() {
                true => "none".to_owned(),
                false => platforms.join(", "),
            };
            return Err(ArchiveError::OtherPlatform {
                path: self.path.into(),
                target,
                found,
            });
        };
        let world_digest = world
            .as_ref()
            .map(|bytes| hex::encode_upper(Sha256::digest(bytes)));
        for (file, digest) in [(target.as_str(), Some(digest)), (WORLD, world_digest)] {
            let Some(digest) = digest else { continue };
            if claims.digests.get(file) != Some(&digest) {
                return Err(self.refused(ArchiveFault::Changed(file.to_owned())));
            }
        }
        Ok(Executable {
            path: program,
            claims: Some(claims),
            world,
            _folder: Some(folder),
        })
    }

    /// All of a file.
    fn all(&self, content: &mut dyn Read, most: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        let read = content.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|e| self.io(e))?;
        if bytes.len() as u64 > most {
            return Err(self.refused(ArchiveFault::File(most)));
        }
        Ok(bytes)
    }

    /// Writes a file as a program, and returns its digest.
    fn write(&self, content: &mut dyn Read, program: &Path) -> Result<String, ArchiveError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o700);
        let mut file = options.open(program).map_err(|e| self.io(e))?;
        let mut digest = Sha256::new();
        let mut left = MOST_EXECUTABLE;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = content.read(&mut buffer).map_err(|e| self.io(e))?;
            if n == 0 {
                break;
            }
            left = left
                .checked_sub(n as u64)
                .ok_or_else(|| self.refused(ArchiveFault::Executable))?;
            digest.update(&buffer[..n]);
            file.write_all(&buffer[..n]).map_err(|e| self.io(e))?;
        }
        Ok(hex::encode_upper(digest.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use crate::jwt::tests::signed;
    use std::fs;

    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    const PROGRAM: &[u8] = b"#!/bin/sh\necho hello\n";

    fn claims(digest: &str) -> Vec<u8> {
        let hashes = serde_json::json!({ target(): digest });
        let body = serde_json::json!({ "wascap": { "name": "p", "vendor": "v", "target_hashes": hashes } });
        signed(body).into_bytes()
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            // Set as bytes, since the builder's own method refuses some of them.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Executable, ArchiveError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Executable::open(file.path())
    }

    #[test]
    fn an_archive_is_extracted_and_removed() {
        let bin = format!("{}.bin", target());
        let digest = hex::encode_upper(Sha256::digest(PROGRAM));
        let tar = archive(&[
            ("claims.jwt", &claims(&digest)),
            (&bin, PROGRAM),
            ("s390x-linux.bin", b"no"),
        ]);
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&tar).unwrap();
        for bytes in [tar, gz.finish().unwrap()] {
            let executable = open(&bytes).unwrap();
            assert_eq!(
                executable.claims.as_ref().unwrap().name.as_deref(),
                Some("p")
            );
            let path = executable.path.clone();
            let run = std::process::Command::new(&path).output().unwrap();
            assert_eq!(run.stdout, b"hello\n");
            drop(executable);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_is_not_what_was_signed_is_refused() {
        let bin = format!("{}.bin", target());
        let good = claims(&hex::encode_upper(Sha256::digest(PROGRAM)));
        for (files, says) in [
            (
                vec![("claims.jwt", &good[..]), (&bin, b"#!other")],
                "signed",
            ),
            (
                vec![
                    ("claims.jwt", &good[..]),
                    (&bin, PROGRAM),
                    ("world.wasm", b"w"),
                ],
                "signed",
            ),
            (vec![(&bin[..], PROGRAM)], "claims.jwt"),
            (vec![("claims.jwt", &b"x"[..]), (&bin, PROGRAM)], "JWT"),
            (
                vec![("claims.jwt", &good[..]), ("../x.bin", PROGRAM)],
                "leads out",
            ),
            (
                vec![("claims.jwt", &good[..]), ("/x.bin", PROGRAM)],
                "leads out",
            ),
            (
                vec![("claims.jwt", &good[..]), ("sparc-sunos.bin", PROGRAM)],
                "`sparc-sunos`",
            ),
            (vec![("claims.jwt", &good[..])], "none"),
            (
                vec![("claims.jwt", &vec![b'x'; (1 << 20) + 1][..])],
                "bytes",
            ),
        ] {
            let why = open(&archive(&files)).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn nothing_is_written_before_the_claims_are_known_to_be_signed() {
        let bin = format!("{}.bin", target());
        let good = claims(&hex::encode_upper(Sha256::digest(PROGRAM)));
        let mut forged = good.clone();
        let last = forged.len() - 2;
        forged[last] ^= 1;
        let open_last = |claims: &[u8], temporary: &Path| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let bytes = archive(&[(&bin, PROGRAM), ("claims.jwt", claims)]);
            file.write_all(&bytes).unwrap();
            Executable::open_in(file.path(), temporary)
        };
        // Where there is no folder, nothing can be written.
        let nowhere = Path::new("/nowhere");
        let why = open_last(&forged, nowhere).unwrap_err();
        assert!(matches!(why, ArchiveError::Refused { .. }), "{why}");
        let why = open_last(&good, nowhere).unwrap_err();
        assert!(matches!(why, ArchiveError::Io { .. }), "{why}");
        let temporary = tempfile::tempdir().unwrap();
        let opened = open_last(&good, temporary.path()).unwrap();
        assert!(opened.path.starts_with(temporary.path()));
        drop(opened);
        // Signed, but for something else: what was written goes at once.
        open_last(&claims("00"), temporary.path()).unwrap_err();
        assert!(fs::read_dir(temporary.path()).unwrap().next().is_none());
    }

    #[test]
    fn what_is_no_archive_is_told_apart() {
        assert!(open(PROGRAM).unwrap().claims.is_none());
        assert!(matches!(open(b"text"), Err(ArchiveError::Unknown(_))));
        assert!(matches!(open(b""), Err(ArchiveError::Unknown(_))));
        assert!(matches!(
            open(b"\x1f\x8bbroken"),
            Err(ArchiveError::Io { .. })
        ));
        let cut = archive(&[("claims.jwt", &claims("")), ("a.bin", &[1; 2_000])]);
        assert!(matches!(open(&cut[..1_900]), Err(ArchiveError::Io { .. })));
    }
}
