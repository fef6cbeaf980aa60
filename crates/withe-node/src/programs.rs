//! The programs of providers as this host has them: those that its operator listed or put, and those that come by way
//! of the lattice where the operator lets it take them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{JoinError, spawn_blocking};
use withe_files::TemporaryFolder;
use withe_lattice::{Lattice, LatticeError};
use withe_load::{AskError, SuppliedProgram, artifact, describe, is_archive};
use withe_process::Confined;

use crate::policy::UnlistedProgram;
use crate::program_list::{ProgramList, ProgramListError, ProgramOptions, is};
use crate::records::ProgramRecord;

/// How many digits of a digest name a folder.
const DIGITS: usize = 16;

/// The programs that this host may run.
pub(crate) struct Programs {
    /// The programs that the operator listed.
    list: Arc<ProgramList>,
    /// The files and digests of those whose applications the operator put from this host, by the application.
    put_here: Mutex<BTreeMap<String, Vec<(PathBuf, String)>>>,
    /// Where those are that the lattice gives, for as long as the host runs; `None` if it takes none.
    folder: Option<TemporaryFolder>,
    /// The confinement of a program that describes itself.
    confined: Option<Confined>,
}

/// Why a host has not the programs that it is to run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The operator's list cannot be used.
    #[error(transparent)]
    List(#[from] ProgramListError),
    /// There is no place for those of the lattice.
    #[error("there is no place for the lattice's programs: {0}")]
    Folder(#[source] io::Error),
    /// Looking at the files panicked.
    #[error(transparent)]
    Look(JoinError),
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
    #[error("{}", UnlistedProgram(.name, .digest))]
    NotListed { name: String, digest: String },
    #[error("the application says nothing of its program; put it again")]
    NotNamed,
    #[error("its bytes are not in the lattice; put the application again")]
    NoBytes,
    #[error("the bytes in the lattice are not `{0}`")]
    OtherBytes(String),
    #[error("`{}` says something else of itself than the lattice does", .0.display())]
    Other(PathBuf),
    #[error("`{}` does not say what provider it is: {why}", path.display())]
    Unsaid {
        path: PathBuf,
        #[source]
        why: AskError,
    },
    #[error("`{}` is no archive of wasmCloud v1", .0.display())]
    NoArchive(PathBuf),
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
    /// Opens the programs that the operator lets the host run, which are asked what they are as `confined` says. Blocks.
    ///
    /// # Errors
    ///
    /// If what the operator listed cannot be used, or there is no place for those of the lattice.
    pub(crate) fn new(
        options: ProgramOptions,
        confined: Option<Confined>,
    ) -> Result<Self, ProgramsError> {
        let folder = options.from_lattice.then(TemporaryFolder::new);
        Ok(Self {
            list: Arc::new(ProgramList::open(options.named, options.folders)?),
            put_here: Mutex::default(),
            folder: folder.transpose().map_err(ProgramsError::Folder)?,
            confined,
        })
    }

    /// Lets the programs of an application run that the operator puts from this host, and no others that were put as
    /// this application's.
    pub(crate) fn allow(&self, application: &str, programs: Vec<(&str, SuppliedProgram)>) {
        let programs = programs.into_iter().map(|(_, p)| (p.path, p.digest));
        // Nothing panics while the lock is held.
        let mut put = self.put_here.lock().unwrap_or_else(PoisonError::into_inner);
        put.insert(application.to_owned(), programs.collect());
    }

    /// The files that were put here as a program of this digest.
    fn put_here(&self, digest: &str) -> Vec<PathBuf> {
        // Nothing panics while the lock is held.
        let put = self.put_here.lock().unwrap_or_else(PoisonError::into_inner);
        let put = put.values().flatten().filter(|(_, d)| d == digest);
        put.map(|(path, _)| path.clone()).collect()
    }

    /// Where the program is or will be, if this host may run it: a file that the operator listed or put, else one that
    /// comes from the lattice.
    pub(crate) async fn place(&self, record: &ProgramRecord) -> Option<PathBuf> {
        let (list, own, put) = (
            self.list.clone(),
            record.clone(),
            self.put_here(&record.digest),
        );
        let found = spawn_blocking(move || {
            let mut put = put.into_iter();
            let put = put.find(|path| is(path, &own.digest, own.size));
            put.or_else(|| list.find(&own.digest, own.size))
        });
        // A place that cannot be looked at has no program.
        if let Some(own) = found.await.ok().flatten() {
            return Some(own);
        }
        let folder = self.folder.as_ref()?.path().join(short(record));
        Some(folder.join(file_name(record)))
    }

    /// Sees to it that the program of a provider may run, and is at `path`, where [`place`](Self::place) has it.
    ///
    /// # Errors
    ///
    /// If this host may not run it, it is something else than the lattice says, or the lattice does not have it.
    pub(crate) async fn ensure(
        &self,
        lattice: &dyn Lattice,
        provider: &str,
        record: Option<&ProgramRecord>,
        path: &Path,
    ) -> Result<(), CannotRun> {
        let has = match record {
            Some(record) => self.has(lattice, record, path).await,
            None => Err(NoProgram::NotNamed),
        };
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
        if self.place(record).await.as_deref() != Some(path) {
            return Err(NoProgram::NotListed {
                name: file_name(record),
                digest: record.digest.clone(),
            });
        }
        let is_given = (self.folder.as_ref()).is_some_and(|folder| path.starts_with(folder.path()));
        if is_given && !path.is_file() {
            let blob = lattice.blob(&record.digest).await?;
            let blob = blob.ok_or(NoProgram::NoBytes)?;
            let (to, digest) = (path.to_owned(), record.digest.clone());
            spawn_blocking(move || write(&to, &digest, &blob)).await??;
        }
        let (path, record, confined) = (path.to_owned(), record.clone(), self.confined.clone());
        spawn_blocking(move || is_as_described(&path, &record, confined)).await?
    }
}

/// Whether a program that may run is the provider that the lattice says it is. The program runs as it will later:
/// confined.
fn is_as_described(
    path: &Path,
    record: &ProgramRecord,
    confined: Option<Confined>,
) -> Result<(), NoProgram> {
    match &record.description {
        Some(description) => match describe(path, confined) {
            Ok(own) if own == *description => Ok(()),
            Ok(_) => Err(NoProgram::Other(path.into())),
            Err(why) => Err(NoProgram::Unsaid {
                path: path.into(),
                why,
            }),
        },
        None if is_archive(path) => Ok(()),
        None => Err(NoProgram::NoArchive(path.into())),
    }
}

/// The name of the program's file where it was put from.
pub(crate) fn file_name(record: &ProgramRecord) -> String {
    let name = Path::new(&record.path).file_name();
    name.map_or_else(
        || "program".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Enough of a digest to tell programs apart, as the name of a folder. The digest comes from the lattice and may hold
/// anything, such as a path.
fn short(record: &ProgramRecord) -> String {
    let digits = record.digest.rsplit(':').next().unwrap_or_default();
    let digits = digits.chars().filter(char::is_ascii_hexdigit);
    digits.take(DIGITS).collect()
}

/// Writes a program, which is there whole or not at all.
fn write(path: &Path, digest: &str, bytes: &[u8]) -> Result<(), NoProgram> {
    // Only some of its digits are in the path.
    if artifact::digest(bytes) != digest {
        return Err(NoProgram::OtherBytes(digest.into()));
    }
    let written = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o700))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        // Closed before it has its name: a program that is open for writing cannot be started.
        file.into_temp_path().persist(path)?;
        io::Result::Ok(())
    };
    written().map_err(|why| NoProgram::Write {
        path: path.into(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use withe_provider::process::{Description, PROTOCOL};

    use super::*;
    use crate::program_list::NamedProgram;

    fn record(path: &Path, description: Option<Description>) -> ProgramRecord {
        ProgramRecord {
            digest: artifact::digest_of(path).unwrap(),
            size: fs::metadata(path).unwrap().len(),
            path: path.to_str().unwrap().into(),
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

    /// A program that says this of itself, and leaves a file named `ran` beside it whenever it runs.
    fn program(folder: &Path, description: &Description) -> PathBuf {
        let path = folder.join("program");
        let ran = folder.join("ran");
        let json = serde_json::to_string(description).unwrap();
        let text = format!("#!/bin/sh\n: > '{}'\necho '{json}'\n", ran.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn listed(path: &Path) -> ProgramOptions {
        let named = NamedProgram {
            name: "p".into(),
            path: path.into(),
            digest: None,
        };
        ProgramOptions {
            named: vec![named],
            ..ProgramOptions::default()
        }
    }

    async fn ensured(programs: &Programs, record: &ProgramRecord) -> Result<PathBuf, String> {
        let lattice = withe_lattice::Embedded::in_memory("l").unwrap();
        let path = programs.place(record).await;
        let path = path.unwrap_or_else(|| PathBuf::from(&record.path));
        let ensured = programs.ensure(&lattice, "p", Some(record), &path).await;
        ensured.map(|()| path).map_err(|e| e.to_string())
    }

    #[tokio::test]
    async fn no_file_runs_that_only_a_record_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), &description());
        let programs = Programs::new(ProgramOptions::default(), None).unwrap();
        for description in [Some(description()), None] {
            let record = record(&path, description);
            assert_eq!(programs.place(&record).await, None);
            let why = ensured(&programs, &record).await.unwrap_err();
            for text in [
                "`p`",
                "`program`",
                &record.digest,
                "--program",
                "--allow-programs",
            ] {
                assert!(why.contains(text), "no {text:?} in {why}");
            }
        }
        // Not even to ask it what it is.
        assert!(!folder.path().join("ran").exists());
        let lattice = withe_lattice::Embedded::in_memory("l").unwrap();
        let unnamed = programs.ensure(&lattice, "p", None, &path).await;
        assert!(unnamed.is_err() && !folder.path().join("ran").exists());
    }

    #[tokio::test]
    async fn a_listed_program_runs_that_is_what_the_lattice_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), &description());
        let programs = Programs::new(listed(&path), None).unwrap();
        let mut elsewhere = record(&path, Some(description()));
        // Only its bytes say what is meant.
        elsewhere.path = "/nowhere/else".into();
        assert_eq!(ensured(&programs, &elsewhere).await, Ok(path.clone()));
        let other = Description {
            wit: vec!["package other:it;".into()],
            ..description()
        };
        for (description, expected) in [
            (Some(other), "says something else of itself"),
            (None, "is no archive of wasmCloud v1"),
        ] {
            let why = ensured(&programs, &record(&path, description)).await;
            let why = why.unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[tokio::test]
    async fn what_is_put_from_a_host_runs_there_until_it_is_put_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), &description());
        let programs = Programs::new(ProgramOptions::default(), None).unwrap();
        let record = record(&path, Some(description()));
        let put = SuppliedProgram {
            path: path.clone(),
            digest: record.digest.clone(),
            description: record.description.clone(),
        };
        programs.allow("app", vec![("p", put)]);
        assert_eq!(ensured(&programs, &record).await, Ok(path.clone()));
        programs.allow("app", Vec::new());
        assert!(ensured(&programs, &record).await.is_err());
    }

    #[tokio::test]
    async fn bytes_of_the_lattice_are_what_their_digest_says() {
        let options = ProgramOptions {
            from_lattice: true,
            ..ProgramOptions::default()
        };
        let programs = Programs::new(options, None).unwrap();
        let folder = programs.folder.as_ref().unwrap().path();
        let record = ProgramRecord {
            digest: "sha256:../../bin".into(),
            size: 0,
            path: "/nowhere/sh".into(),
            description: Some(description()),
        };
        // A digest that is a path leads nowhere.
        let path = programs.place(&record).await.unwrap();
        assert_eq!(path, folder.join("b").join("sh"));
        assert!(ensured(&programs, &record).await.is_err() && !path.exists());
        let error = write(&path, "sha256:b", b"bytes").unwrap_err();
        assert!(matches!(error, NoProgram::OtherBytes(_)) && !path.exists());
    }
}
