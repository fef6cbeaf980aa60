//! Tells when one of a set of files changed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::build::inputs;

/// How long nothing must change before a change is reported: a build writes a file in many steps.
const QUIET: Duration = Duration::from_millis(200);

/// The longest that a change is held back while more of them come.
const AT_MOST: Duration = Duration::from_secs(3);

/// Watches files by way of their folders: an editor or a compiler often puts a new file in the place
/// of the old one, and watching the old one would miss that.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// The folders watched with all below them.
    trees: BTreeSet<PathBuf>,
    names: Arc<Mutex<BTreeSet<OsString>>>,
    /// The same, for the callback of changes.
    below: Arc<Mutex<BTreeSet<PathBuf>>>,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    ///
    /// If the operating system does not let files be watched.
    pub(super) fn new() -> notify::Result<Self> {
        // One change waiting says as much as many.
        let (sender, changes) = mpsc::channel(1);
        let names = Arc::<Mutex<BTreeSet<OsString>>>::default();
        let below = Arc::<Mutex<BTreeSet<PathBuf>>>::default();
        let (watched, trees) = (names.clone(), below.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            let trees = trees.lock().unwrap_or_else(PoisonError::into_inner);
            let is_one = |event: Event| concerns(&event, &watched) || is_below(&event, &trees);
            if event.is_ok_and(is_one) {
                let _ = sender.try_send(());
            }
        })?;
        Ok(Self {
            watcher,
            folders: BTreeSet::new(),
            trees: BTreeSet::new(),
            names,
            below,
            changes,
        })
    }

    /// Watches `files`, and no longer what was watched before. A file in a folder that does not exist
    /// is not watched.
    ///
    /// # Errors
    ///
    /// If a folder cannot be watched.
    pub(super) fn set(&mut self, files: &[PathBuf]) -> notify::Result<()> {
        let names = files.iter().filter_map(|file| file.file_name());
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) =
            names.map(Into::into).collect();
        let folders: BTreeSet<_> = files
            .iter()
            .map(|file| folder(file))
            .filter(|f| f.is_dir())
            .collect();
        for gone in self.folders.difference(&folders) {
            // A folder that was deleted is not watched any more.
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            self.watcher.watch(new, RecursiveMode::NonRecursive)?;
        }
        self.folders = folders;
        Ok(())
    }

    /// Watches folders with all that is below them, and single files, besides those of [`set`](Self::set); and no
    /// longer what was watched so before. Paths that do not exist are not watched.
    ///
    /// # Errors
    ///
    /// If one cannot be watched.
    pub(super) fn set_trees<'a>(
        &mut self,
        trees: impl IntoIterator<Item = &'a PathBuf>,
    ) -> notify::Result<()> {
        // As events have them.
        let trees = trees
            .into_iter()
            .filter_map(|tree| tree.canonicalize().ok());
        let trees: BTreeSet<_> = trees.collect();
        for gone in self.trees.difference(&trees) {
            let _ = self.watcher.unwatch(gone);
        }
        for new in trees.difference(&self.trees) {
            self.watcher.watch(new, RecursiveMode::Recursive)?;
        }
        *self.below.lock().unwrap_or_else(PoisonError::into_inner) = trees.clone();
        self.trees = trees;
        Ok(())
    }

    /// Waits until a file changed and then stayed as it is for a moment.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // The watcher holds the other end, and is here.
            return;
        }
        let latest = Instant::now() + AT_MOST;
        loop {
            let quiet = latest.min(Instant::now() + QUIET);
            match timeout_at(quiet, self.changes.recv()).await {
                Ok(Some(())) if Instant::now() < latest => {}
                _ => return,
            }
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// By name only: the same folder may be spelled in many ways. A file of the same name elsewhere costs
/// one reading of files that turn out unchanged.
fn concerns(event: &Event, names: &BTreeSet<OsString>) -> bool {
    !matches!(event.kind, EventKind::Access(_))
        && event
            .paths
            .iter()
            .filter_map(|p| p.file_name())
            .any(|name| names.contains(name))
}

/// Whether something changed below one of `trees` that no tool made.
fn is_below(event: &Event, trees: &BTreeSet<PathBuf>) -> bool {
    let is_made = |path: &Path| {
        let within = trees.iter().find_map(|tree| path.strip_prefix(tree).ok());
        within.is_none_or(inputs::is_made)
    };
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| !is_made(path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_file_put_in_place_of_another_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        fs::write(&file, "one").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set(std::slice::from_ref(&file)).unwrap();
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_below_a_folder_is_a_change_and_one_that_a_tool_made_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("src/deep")).unwrap();
        fs::create_dir_all(root.join("target")).unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set_trees([&root]).unwrap();
        fs::write(root.join("src/deep/a.rs"), "").unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
        let trees = BTreeSet::from([root.clone()]);
        let event = |path: &str| Event::new(EventKind::Any).add_path(root.join(path));
        assert!(is_below(&event("src/b.rs"), &trees));
        assert!(!is_below(&event("target/debug/b"), &trees));
        assert!(!is_below(&event(".git/index"), &trees));
    }

    #[test]
    fn other_files_are_none_of_its_business() {
        let event = |path: &str| Event::new(EventKind::Any).add_path(path.into());
        let names = BTreeSet::from([OsString::from("a.wasm")]);
        assert!(concerns(&event("/x/a.wasm"), &names));
        assert!(!concerns(&event("/x/b.wasm"), &names));
        let read = Event::new(EventKind::Access(notify::event::AccessKind::Any));
        assert!(!concerns(&read.add_path("/x/a.wasm".into()), &names));
    }
}
