//! The inputs of a build, and whether they have changed since the last one.
//!
//! A fingerprint is over the names, sizes and times of files, and not over their contents: it is taken each time, also
//! of large trees, and a build that runs once too often costs what the build tool takes to find that nothing is to be
//! done. The fingerprint is taken before the command runs, so that a file changed meanwhile is built the next time.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use withe_load::artifact::digest;

use super::steps::BuildStep;

/// Where it is kept what was built from what, in the manifest's folder.
const KEPT: &str = ".withe";

/// Folders that hold what tools made, and never what a build is made from.
const MADE: [&str; 5] = ["target", "node_modules", "__pycache__", ".git", KEPT];

/// The most files that are looked at: of more, a build is run each time.
const MOST: usize = 100_000;

/// Whether a path is in a folder of what tools made.
pub(crate) fn is_made(path: &Path) -> bool {
    let mut parts = path.iter();
    parts.any(|part| MADE.iter().any(|made| part == OsStr::new(made)))
}

/// The fingerprint of a step's inputs now; `None` if it cannot be told.
pub(super) fn fingerprint(step: &BuildStep) -> Option<String> {
    let mut files = BTreeSet::new();
    for input in &step.inputs {
        collect(input, step, &mut files)?;
    }
    let text = format!("{}\n{}\n", env!("CARGO_PKG_VERSION"), step.command);
    Some(digest((text + &states(&files)).as_bytes()))
}

/// The files and how they are.
fn states(files: &BTreeSet<PathBuf>) -> String {
    let state =
        |file: &PathBuf| format!("{}\0{}\n", file.display(), state(file).unwrap_or_default());
    files.iter().map(state).collect()
}

/// The record of a step built from the inputs with this `fingerprint`. A file that somebody else puts in an artifact's
/// place is not what was built.
fn record(step: &BuildStep, fingerprint: &str) -> String {
    format!("{fingerprint}\n{}", states(&step.artifacts))
}

fn collect(path: &Path, step: &BuildStep, files: &mut BTreeSet<PathBuf>) -> Option<()> {
    if step.artifacts.contains(path) {
        return Some(());
    }
    // Links are what they are: one may lead out of the folder, or back into it.
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_dir() {
        files.insert(path.to_owned());
        return (files.len() <= MOST).then_some(());
    }
    for entry in fs::read_dir(path).ok()? {
        let entry = entry.ok()?;
        if !is_made(Path::new(&entry.file_name())) {
            collect(&entry.path(), step, files)?;
        }
    }
    Some(())
}

fn state(file: &Path) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}\0{}", metadata.len(), changed.as_nanos()))
}

/// Whether a step was made from what `fingerprint` says.
pub(super) fn is_current(step: &BuildStep, fingerprint: &str) -> bool {
    let are_there = step.artifacts.iter().all(|artifact| artifact.is_file());
    let kept = fs::read_to_string(kept(step));
    are_there && kept.is_ok_and(|kept| kept == record(step, fingerprint))
}

/// Keeps what a step was made from. A step whose record cannot be kept is built again.
pub(super) fn keep(step: &BuildStep, fingerprint: &str) {
    let path = kept(step);
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = written
        .and_then(|()| fs::write(step.folder.join(KEPT).join(".gitignore"), "*\n"))
        .and_then(|()| fs::write(&path, record(step, fingerprint)));
    if let Err(error) = written {
        tracing::debug!("`{}` cannot be written: {error}", path.display());
    }
}

fn kept(step: &BuildStep) -> PathBuf {
    let name = digest(step.command.as_bytes());
    let digits = name.rsplit(':').next().unwrap_or_default();
    step.folder.join(KEPT).join("builds").join(digits)
}
