//! The programs of providers that come by way of the lattice.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use withe_lattice::Lattice;

use super::records::ProgramRecord;
use crate::load::artifact;

/// How many digits of a digest name a folder.
const DIGITS: usize = 16;

/// Where this host keeps the programs that the lattice gives it, for as long as it runs.
pub(super) struct Programs {
    /// `None` if it runs none but its own.
    folder: Option<TempDir>,
}

impl Programs {
    /// # Errors
    ///
    /// If programs are allowed, and there is no place for them.
    pub(super) fn new(allowed: bool) -> io::Result<Self> {
        let folder = allowed.then(|| tempfile::Builder::new().prefix("withe-programs-").tempdir());
        Ok(Self {
            folder: folder.transpose()?,
        })
    }

    /// Where the program is: where it was put from, if this host has the same file there, else among those that
    /// the lattice gave it.
    pub(super) async fn place(&self, record: &ProgramRecord) -> PathBuf {
        let own = record.clone();
        // A place that cannot be looked at has no program.
        if spawn_blocking(move || is_here(&own)).await.unwrap_or(false) {
            return record.path.clone();
        }
        match (&self.folder, record.path.file_name()) {
            (Some(folder), Some(name)) => folder.path().join(short(record)).join(name),
            _ => record.path.clone(),
        }
    }

    /// Sees to it that the program is at `path`, where [`place`](Self::place) has it.
    ///
    /// # Errors
    ///
    /// If this host does not have it and takes none from the lattice, or that does not have it.
    pub(super) async fn ensure(
        &self,
        lattice: &dyn Lattice,
        provider: &str,
        record: &ProgramRecord,
        path: &Path,
    ) -> Result<(), String> {
        let is_given = (self.folder.as_ref()).is_some_and(|folder| path.starts_with(folder.path()));
        if !is_given && is_here(record) {
            return Ok(());
        }
        let failed =
            |why: String| format!("`{provider}` is a program, which this host cannot run: {why}");
        if !is_given {
            return Err(failed(format!(
                "it is not the one at `{}` here, and the host takes none from the lattice; start it with \
                 `--allow-programs`, or put the file there",
                record.path.display()
            )));
        }
        if path.is_file() {
            return Ok(());
        }
        let blob = lattice.blob(&record.digest).await;
        let blob = blob.map_err(|e| failed(e.to_string()))?.ok_or_else(|| {
            failed("its bytes are not in the lattice; put the application again".into())
        })?;
        let to = path.to_owned();
        let written = spawn_blocking(move || write(&to, &blob)).await;
        let written = written.map_err(io::Error::other).flatten();
        written.map_err(|e| failed(format!("it cannot be written to `{}`: {e}", path.display())))
    }
}

/// Whether the file is where it was put from.
fn is_here(record: &ProgramRecord) -> bool {
    let is_as_long =
        fs::metadata(&record.path).is_ok_and(|file| file.is_file() && file.len() == record.size);
    is_as_long && artifact::digest_of(&record.path).is_ok_and(|digest| digest == record.digest)
}

/// Enough of a digest to tell programs apart.
fn short(record: &ProgramRecord) -> &str {
    let digits = record.digest.rsplit(':').next().unwrap_or_default();
    digits.get(..DIGITS).unwrap_or(digits)
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
