//! `withe up`: runs an application until it is told to stop.

mod watch;

use std::path::PathBuf;

use withe_host::Running;
use withe_host::load::{Loaded, Registry};

use super::link_args::LinkArgs;
use super::load_application;
use crate::Outcome;
use crate::interrupt::Interrupts;
use crate::progress::Reporter;
use crate::providers;
use crate::render::diagnostics;
use crate::render::units::duration;
use crate::running::{GRACE, block_on, host};
use crate::terminal::Terminal;
use watch::Watch;

const EXAMPLES: &str = "\
Examples:
  withe up shop.yaml
  withe up shop.yaml --watch     reload when the manifest or a component changes
  WITHE_CACHE_DIR=/var/cache/withe withe up shop.yaml";

/// Run an application until Ctrl-C.
///
/// Checks it as `withe check` does, compiles what is not in the cache, starts its providers, and
/// prints where it can be reached. Ctrl-C lets requests under way finish; a second one ends it at
/// once. With errors, nothing is started.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application's manifest.
    #[arg(value_name = "APP.yaml")]
    manifest: PathBuf,
    #[command(flatten)]
    defaults: LinkArgs,
    /// Reload the application when its manifest or one of its components changes. What is wrong with
    /// a change is reported, and what runs goes on.
    #[arg(long)]
    watch: bool,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let Some(loaded) = load_application(&args.manifest, args.defaults, terminal)? else {
        return Ok(Outcome::Problems);
    };
    let consequence = Some("nothing was started");
    let report = diagnostics::report(terminal, &loaded.source, &loaded.diagnostics, consequence);
    terminal.say(&report);
    if loaded.plan.is_none() {
        return Ok(Outcome::Problems);
    }
    block_on(serve(args, loaded, terminal))
}

async fn serve(args: &Args, loaded: Loaded, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let registry = providers::registry()?;
    let mut interrupts = Interrupts::new()?;
    // Before the start: what changes meanwhile must not be missed.
    let mut watch = args.watch.then(Watch::new).transpose()?;
    if let Some(watch) = &mut watch {
        watch.set(&loaded.files)?;
    }
    let reporter = Reporter::new(*terminal);
    let host = host(&reporter)?;
    let started = tokio::select! {
        started = host.start(&loaded, &registry) => started,
        () = interrupts.next() => {
            reporter.finish();
            terminal.say("interrupted before it was started\n");
            return Ok(Outcome::Problems);
        }
    };
    reporter.finish();
    let mut running = Application {
        running: started?,
        loaded,
    };
    terminal.say(&format!("`{}` runs; Ctrl-C stops it\n", running.name()));
    loop {
        tokio::select! {
            () = interrupts.next() => break,
            () = changed(&mut watch) => {
                running.reload(args, &registry, terminal).await?;
                reporter.finish();
                if let Some(watch) = &mut watch {
                    watch.set(&running.loaded.files)?;
                }
            }
        }
    }
    terminal.say(&format!(
        "stopping: what is under way may take {} to finish; Ctrl-C again ends it at once\n",
        duration(GRACE)
    ));
    tokio::select! {
        () = running.running.shutdown() => Ok(Outcome::Done),
        () = interrupts.next() => Ok(Outcome::Problems),
    }
}

/// What runs, and what it was made from.
struct Application {
    running: Running,
    loaded: Loaded,
}

impl Application {
    fn name(&self) -> &str {
        self.loaded
            .plan
            .as_ref()
            .map_or("", |plan| &plan.application)
    }

    /// Puts what the files say now in the place of what runs. If something is wrong with it, that is
    /// said, and what runs goes on.
    async fn reload(
        &mut self,
        args: &Args,
        registry: &Registry,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        let Some(loaded) = load_application(&args.manifest, args.defaults, terminal)? else {
            return Ok(());
        };
        let consequence = Some("what runs goes on as it was");
        let report =
            diagnostics::report(terminal, &loaded.source, &loaded.diagnostics, consequence);
        // A plan holds the digests of all that runs.
        if loaded.plan == self.loaded.plan {
            return Ok(());
        }
        terminal.say(&report);
        if loaded.plan.is_none() {
            // The files that have to be mended may be other ones than before.
            self.loaded.files = loaded.files;
            return Ok(());
        }
        match self.running.replace(&loaded, registry).await {
            Ok(()) => {
                terminal.say(&format!("`{}` reloaded\n", self.name()));
                self.loaded = loaded;
            }
            Err(error) => terminal.say(&diagnostics::failure(terminal, &error.into())),
        }
        Ok(())
    }
}

/// The next change; never, if nothing is watched.
async fn changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
