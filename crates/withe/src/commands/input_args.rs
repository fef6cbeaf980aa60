//! `--timings` and `--save-dir`: what commands that read an application tell of it, and keep of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use withe_host::{Phase, Progress};
use withe_load::Loaded;

use crate::render::table::table;
use crate::terminal::Terminal;

/// The progress and the cache of commands that read an application.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct InputArgs {
    /// Print how long each phase took: read, link and, where something runs, compile, prepare, commit.
    #[arg(long, help_heading = "Looking into it")]
    timings: bool,
    /// Keep the manifest and every file that it names in this folder, so that the same can be linked again elsewhere.
    #[arg(long, value_name = "DIR", help_heading = "Looking into it")]
    save_dir: Option<PathBuf>,
}

/// How long the phases took, in their order. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timings(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl Timings {
    /// Does something that is a phase.
    pub(crate) fn of<T>(&self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.add(phase, began.elapsed());
        result
    }

    /// Takes note of what a host says, besides telling `next`.
    pub(crate) fn hearing(
        &self,
        next: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let timings = self.clone();
        Arc::new(move |progress| {
            if let Progress::Took { phase, took } = &progress {
                timings.add(name(*phase), *took);
            }
            next(progress);
        })
    }

    fn add(&self, phase: &'static str, took: Duration) {
        // A holder that panicked still leaves a list behind.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((phase, took));
    }

    /// Drops what was noted since it was asked for last.
    pub(crate) fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Vec<(&'static str, Duration)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl InputArgs {
    /// Says how long the phases took since this was asked for last, if that is wanted.
    pub(crate) fn say_timings(&self, timings: &Timings, terminal: &Terminal) {
        if !self.timings {
            return;
        }
        let rows: Vec<_> = (timings.take().into_iter())
            .map(|(phase, took)| [phase.to_owned(), milliseconds(took)])
            .collect();
        terminal.say(&table(["PHASE", "TOOK"], &rows));
    }

    /// Keeps what was read, if that is wanted.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn save(&self, loaded: &Loaded, terminal: &Terminal) -> anyhow::Result<()> {
        let Some(folder) = &self.save_dir else {
            return Ok(());
        };
        let manifest = withe_load::save(loaded, folder)?;
        terminal.say(&saved(&manifest));
        Ok(())
    }
}

fn saved(manifest: &Path) -> String {
    let manifest = manifest.display();
    format!("all that was read is kept: `withe check {manifest}` links it again\n")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Compile => "compile",
        Phase::Prepare => "prepare",
        Phase::Commit => "commit",
    }
}
