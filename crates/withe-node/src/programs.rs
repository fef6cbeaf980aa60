//! The programs of providers that come by way of the lattice.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::task::{JoinError, spawn_blocking};
use withe_files::TemporaryFolder;
use withe_lattice::{Lattice, LatticeError};
use withe_load::{AskError, artifact, describe, is_archive};

use crate::records::ProgramRecord;

/// How many digits of a digest name a folder.
const DIGITS: usize = 16;

/// Where this host keeps the programs that the lattice gives it, for as long as it runs.
pub(crate) struct Programs {
    /// `None` if it runs none but its own.
    folder: Option<TemporaryFolder>,
}

/// A host cannot run a provider that is a program.
#[derive(Debug, thiserror::Error)]
#[error("`{provider}` is a program, which this host cannot run: {why}")]
pub(crate) struct CannotRun {
    provider: String,
    #[source]
    why: NoProgram,
}

/// Why a host does not have a program, or does not run what it has.
#[derive(Debug, thiserror::Error)]
enum NoProgram {
    #[error(
        "it is not the one at `{0}` here, and the host takes none from the lattice; start it with \
         `--allow-programs`, or put the file there"
    )]
    NotHere(String),
    #[error("its bytes are not in the lattice; put the application again")]
    NoBytes,
    #[error("`{0}` says something else of itself than the lattice does")]
    Other(String),
    #[error("`{path}` does not say what provider it is: {why}")]
    Unsaid {
        path: String,
        #[source]
        why: AskError,
    },
    #[error("`{0}` is no archive of wasmCloud v1")]
    NoArchive(String),
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    #[error("it cannot be written to `{}`: {why}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        why: io::Error,
    },
    /// Looking at the file panicked.
    #[error(transparent)]
    Look(#[from] JoinError),
}

impl Programs {
    /// # Errors
    ///
    /// If programs are allowed, and there is no place for them.
    pub(crate) fn new(allowed: bool) -> io::Result<Self> {
        let folder = allowed.then(TemporaryFolder::new);
        Ok(Self {
            folder: folder.transpose()?,
        })
    }

    /// Where the program is: where it was put from, if this host has the same file there, else among those that
    /// the lattice gave it.
    pub(crate) async fn place(&self, record: &ProgramRecord) -> PathBuf {
        let own = record.clone();
        // A place that cannot be looked at has no program.
        if spawn_blocking(move || is_here(&own)).await.unwrap_or(false) {
            return PathBuf::from(&record.path);
        }
        match (&self.folder, Path::new(&record.path).file_name()) {
            (Some(folder), Some(name)) => folder.path().join(short(record)).join(name),
            _ => PathBuf::from(&record.path),
        }
    }

    /// Sees to it that the program is at `path`, where [`place`](Self::place) has it.
    ///
    /// # Errors
    ///
    /// If this host does not have it and takes none from the lattice, or that does not have it.
    pub(crate) async fn ensure(
        &self,
        lattice: &dyn Lattice,
        provider: &str,
        record: &ProgramRecord,
        path: &Path,
    ) -> Result<(), CannotRun> {
        let has = self.has(lattice, record, path).await;
        has.map_err(|why| CannotRun {
            provider: provider.into(),
            why,
        })
    }

    async fn has(
        &self,
        lattice: &dyn Lattice,
        record: &ProgramRecord,
        path: &Path,
    ) -> Result<(), NoProgram> {
        let is_given = (self.folder.as_ref()).is_some_and(|folder| path.starts_with(folder.path()));
        if !is_given {
            let own = record.clone();
            let checked =
                spawn_blocking(move || is_here(&own).then(|| is_what_it_is_said_to_be(&own)));
            return match checked.await? {
                Some(checked) => checked,
                None => Err(NoProgram::NotHere(record.path.clone())),
            };
        }
        if path.is_file() {
            return Ok(());
        }
        let blob = lattice.blob(&record.digest).await?;
        let blob = blob.ok_or(NoProgram::NoBytes)?;
        let to = path.to_owned();
        let written = spawn_blocking(move || write(&to, &blob)).await;
        let written = written.map_err(io::Error::other).flatten();
        written.map_err(|why| NoProgram::Write {
            path: path.into(),
            why,
        })
    }
}

/// Whether the file is where it was put from.
fn is_here(record: &ProgramRecord) -> bool {
    let is_as_long =
        fs::metadata(&record.path).is_ok_and(|file| file.is_file() && file.len() == record.size);
    is_as_long
        && artifact::digest_of(Path::new(&record.path)).is_ok_and(|digest| digest == record.digest)
}

/// Whether a file of this host is the provider that the lattice says it is. Whoever may write to the lattice could
/// else have the host start any program that is on the machine.
fn is_what_it_is_said_to_be(record: &ProgramRecord) -> Result<(), NoProgram> {
    let path = record.path.clone();
    match &record.description {
        Some(description) => match describe(Path::new(&path)) {
            Ok(own) if own == *description => Ok(()),
            Ok(_) => Err(NoProgram::Other(path)),
            Err(why) => Err(NoProgram::Unsaid { path, why }),
        },
        None if is_archive(Path::new(&path)) => Ok(()),
        None => Err(NoProgram::NoArchive(path)),
    }
}

/// Enough of a digest to tell programs apart, as the name of a folder. What comes from the lattice may be anything,
/// such as a path.
fn short(record: &ProgramRecord) -> String {
    let digits = record.digest.rsplit(':').next().unwrap_or_default();
    let digits = digits.chars().filter(char::is_ascii_hexdigit);
    digits.take(DIGITS).collect()
}

/// Writes a program, which is there whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o700))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Closed before it has its name: a program that is open for writing cannot be started.
    file.into_temp_path().persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use withe_provider::process::{Description, PROTOCOL};

    use super::*;

    fn record(path: &str, digest: &str, description: Option<Description>) -> ProgramRecord {
        ProgramRecord {
            digest: digest.into(),
            size: fs::metadata(path).map_or(0, |file| file.len()),
            path: path.into(),
            description,
        }
    }

    fn description() -> Description {
        Description {
            protocol: PROTOCOL,
            name: "a".into(),
            version: "1".into(),
            summary: String::new(),
            wit: Vec::new(),
            aliases: Vec::new(),
            paths: Vec::new(),
            checks: false,
        }
    }

    #[tokio::test]
    async fn no_program_of_the_machine_is_started_that_is_no_provider() {
        let lattice = withe_lattice::Embedded::in_memory("l").unwrap();
        let digest = artifact::digest_of(Path::new("/bin/sh")).unwrap();
        let programs = Programs::new(false).unwrap();
        for (description, expected) in [
            (Some(description()), "does not say what provider it is"),
            (None, "is no archive of wasmCloud v1"),
        ] {
            let shell = record("/bin/sh", &digest, description);
            let path = programs.place(&shell).await;
            assert_eq!(path, Path::new(&shell.path));
            let ensured = programs.ensure(&lattice, "p", &shell, &path).await;
            let why = ensured.unwrap_err().to_string();
            assert!(why.contains("`p`") && why.contains(expected), "{why}");
        }
    }

    #[tokio::test]
    async fn a_digest_that_is_a_path_leads_nowhere() {
        let lattice = withe_lattice::Embedded::in_memory("l").unwrap();
        let programs = Programs::new(true).unwrap();
        let record = record("/nowhere/sh", "sha256:../../bin", Some(description()));
        let path = programs.place(&record).await;
        let folder = programs.folder.as_ref().unwrap().path();
        assert_eq!(path, folder.join("b").join("sh"));
        let ensured = programs.ensure(&lattice, "p", &record, &path).await;
        assert!(ensured.is_err() && !path.exists());
    }
}
