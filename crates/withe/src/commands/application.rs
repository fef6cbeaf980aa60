//! An application as commands have it that read one.

use std::path::Path;
use std::sync::Arc;

use withe_linker::LinkOutcome;
use withe_linker::input::{Placement, Surroundings};
use withe_load::{LinkOptions, Loaded};

use super::input_args::{InputArgs, Timings};
use super::link_args::LinkArgs;
use crate::logging::known_secrets;
use crate::providers;
use crate::render::diagnostics;
use crate::terminal::Terminal;

/// An application that was read and linked.
pub(super) struct LinkedApplication {
    pub(super) loaded: Arc<Loaded>,
    pub(super) options: LinkOptions,
    pub(super) linked: Arc<LinkOutcome>,
    pub(super) timings: Timings,
}

impl LinkedApplication {
    pub(super) fn new(loaded: Loaded, options: LinkOptions) -> Self {
        Self::timed(loaded, options, Timings::default())
    }

    fn timed(loaded: Loaded, options: LinkOptions, timings: Timings) -> Self {
        let linked = timings.of("link", || loaded.link(&options));
        if let Some(plan) = &linked.plan {
            known_secrets().know(plan);
        }
        Self {
            loaded: Arc::new(loaded),
            options,
            linked,
            timings,
        }
    }

    /// All that is wrong with it or worth knowing, as text. `consequence` says what follows from errors.
    pub(super) fn report(&self, terminal: &Terminal, consequence: Option<&str>) -> String {
        let (source, found) = (&self.loaded.source, &self.linked.diagnostics);
        diagnostics::report(terminal, source, found, consequence)
    }
}

/// Loads the application of the manifest `path` and links it; `None` if it cannot even be read, which has been
/// said then. What was read is kept as `inputs` say.
pub(super) fn load_application(
    path: &Path,
    inputs: &InputArgs,
    defaults: LinkArgs,
    surroundings: Surroundings,
    timings: Timings,
    terminal: &Terminal,
) -> anyhow::Result<Option<LinkedApplication>> {
    let options = LinkOptions {
        host: withe_host::host_interfaces(),
        called: Vec::new(),
        defaults: defaults.into(),
        placement: Placement {
            surroundings,
            ..Placement::default()
        },
    };
    let registry = providers::registry()?;
    match timings.of("read", || withe_load::load(path, &registry)) {
        Ok(loaded) => {
            inputs.save(&loaded, terminal)?;
            Ok(Some(LinkedApplication::timed(loaded, options, timings)))
        }
        Err(error) => {
            terminal.say(&diagnostics::single(terminal, &error.diagnostic()));
            Ok(None)
        }
    }
}
