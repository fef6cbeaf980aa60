//! An application as commands have it that read one.

use std::sync::Arc;

use withe_host::GuestOutput;
use withe_linker::LinkOutcome;
use withe_linker::input::{Placement, Surroundings};
use withe_load::{LinkOptions, Loaded};

use super::application_args::{ApplicationArgs, Given, Start};
use super::input_args::{InputArgs, Timings};
use super::link_args::LinkArgs;
use crate::Outcome;
use crate::guest_output::{GuestStreams, guest_output};
use crate::known_secrets::known_secrets;
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

    /// The outcome once the manifest has been printed: reports its problems.
    pub(super) fn emitted(&self, terminal: &Terminal) -> Outcome {
        terminal.say(&self.report(terminal, Some("the manifest has them, too")));
        match self.linked.diagnostics.has_errors() {
            true => Outcome::Problems,
            false => Outcome::Done,
        }
    }

    /// Where what its components print goes.
    pub(super) fn guest_output(&self, streams: GuestStreams) -> GuestOutput {
        let components = self
            .loaded
            .parts
            .iter()
            .filter(|part| part.component().is_some());
        guest_output(streams, components.count() > 1)
    }

    /// All that is wrong with it or worth knowing, as text. `consequence` says what follows from errors.
    pub(super) fn report(&self, terminal: &Terminal, consequence: Option<&str>) -> String {
        let (source, found) = (&self.loaded.source, &self.linked.diagnostics);
        diagnostics::report(terminal, source, found, consequence)
    }
}

/// Reads an application and links it. `Err` has the outcome where nothing more is to be done: there is nothing to read,
/// or its manifest was wanted. The problems have been reported then. The files read are kept as `inputs` say.
pub(super) fn load_application(
    subcommand: &str,
    given: &ApplicationArgs,
    start: Start<'_>,
    inputs: &InputArgs,
    how: LinkedHow,
    terminal: &Terminal,
) -> anyhow::Result<Result<LinkedApplication, Outcome>> {
    let LinkedHow {
        defaults,
        surroundings,
        timings,
    } = how;
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
    let read = timings.of("read", || {
        given.read(subcommand, start, &registry, terminal)
    })?;
    let (loaded, is_emitted) = match read {
        Given::Read(loaded) => (loaded, false),
        Given::Emitted(loaded) => (loaded, true),
        Given::Unreadable => return Ok(Err(Outcome::Problems)),
    };
    inputs.save(&loaded, terminal)?;
    let application = LinkedApplication::timed(loaded, options, timings);
    if is_emitted {
        return Ok(Err(application.emitted(terminal)));
    }
    Ok(Ok(application))
}

/// Links an application of which components are called from outside.
pub(super) fn link_called(
    loaded: Loaded,
    defaults: LinkArgs,
    surroundings: Surroundings,
    called: Vec<String>,
) -> LinkedApplication {
    let options = LinkOptions {
        host: withe_host::host_interfaces(),
        called,
        defaults: defaults.into(),
        placement: Placement {
            surroundings,
            ..Placement::default()
        },
    };
    LinkedApplication::new(loaded, options)
}

/// How an application is linked that was read.
pub(super) struct LinkedHow {
    /// The defaults of links that say nothing.
    pub(super) defaults: LinkArgs,
    /// Where it will run.
    pub(super) surroundings: Surroundings,
    /// Records how long that takes.
    pub(super) timings: Timings,
}
