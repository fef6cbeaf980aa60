//! The progress of an application's start: a line that changes, on a terminal only.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use withe_host::Progress;

use crate::render::units::{self, duration};
use crate::terminal::Terminal;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Shows progress on standard error, and where the application listens on standard output.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    terminal: Terminal,
    bar: ProgressBar,
    state: Arc<Mutex<ProgressState>>,
}

#[derive(Debug, Default)]
struct ProgressState {
    /// Components that are being compiled, with the part that was begun last, if they have several.
    compiling: BTreeMap<String, Option<String>>,
    /// The listeners that were announced, so that a reload announces only new ones.
    listening: BTreeSet<(String, String)>,
    /// The lines that say so and are held back until all has started, if they are.
    held_back: Option<Vec<String>>,
}

impl Reporter {
    pub(crate) fn new(terminal: Terminal) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        Self {
            terminal,
            bar,
            state: Arc::default(),
        }
    }

    /// The same, but that nothing is said to listen before [`all_runs`](Self::all_runs): the reader of an address may
    /// take the application for started, and a start may still fail or be interrupted.
    pub(crate) fn of_start(terminal: Terminal) -> Self {
        let reporter = Self::new(terminal);
        reporter.lock().held_back = Some(Vec::new());
        reporter
    }

    /// Says where the application listens, from now on at once.
    pub(crate) fn all_runs(&self) {
        let held_back = self.lock().held_back.take();
        for line in held_back.into_iter().flatten() {
            self.print(&line);
        }
    }

    /// The function that the host calls with its progress.
    pub(crate) fn callback(&self) -> Arc<dyn Fn(Progress) + Send + Sync> {
        let reporter = self.clone();
        Arc::new(move |progress| reporter.report(progress))
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }

    fn report(&self, progress: Progress) {
        let mut state = self.lock();
        match progress {
            Progress::Compiling { component } => {
                state.compiling.insert(component, None);
                self.show(&state);
            }
            Progress::CompilingPart {
                component,
                module,
                size,
                number,
                of,
            } => {
                let size = units::bytes(usize::try_from(size).unwrap_or(usize::MAX));
                let part = part(module.as_deref(), &size, number, of);
                tracing::debug!("compiling `{component}`: {part}");
                state.compiling.insert(component, Some(part));
                self.show(&state);
            }
            Progress::Compiled {
                component,
                cached,
                took,
            } => {
                let how = if cached { "found compiled" } else { "compiled" };
                tracing::debug!("{how} `{component}` in {}", duration(took));
                state.compiling.remove(&component);
                self.show(&state);
            }
            Progress::Took { phase, took } => tracing::debug!("{phase:?} took {}", duration(took)),
            Progress::Starting { provider } => self.message(format!("starting {provider}")),
            Progress::Listening { url, component } => {
                let line = format!("{url} is served by `{component}`\n");
                if !state.listening.insert((url, component)) {
                    return;
                }
                match &mut state.held_back {
                    Some(lines) => lines.push(line),
                    None => self.print(&line),
                }
            }
        }
    }

    fn print(&self, line: &str) {
        // A reader who is gone does not stop the application.
        let _ = self.bar.suspend(|| self.terminal.print(line));
    }

    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        // A panicking holder still leaves a set of names behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, state: &ProgressState) {
        if state.compiling.is_empty() {
            return self.finish();
        }
        let components = state.compiling.iter().map(|(name, part)| match part {
            Some(part) => format!("{name} ({part})"),
            None => name.clone(),
        });
        let components: Vec<_> = components.collect();
        self.message(format!("compiling {}", components.join(", ")));
    }

    fn message(&self, text: String) {
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.set_message(text);
        self.bar.enable_steady_tick(TICK);
    }
}

/// A part of a component for people: which one of how many, and what.
fn part(module: Option<&str>, size: &str, number: usize, of: usize) -> String {
    match module {
        Some(module) => format!("{number} of {of}, {module}, {size}"),
        None => format!("{number} of {of}, {size}"),
    }
}
