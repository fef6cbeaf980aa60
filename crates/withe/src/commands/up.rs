//! `withe up`: runs an application until it is told to stop, or on a lattice.

mod building;
mod command;
mod watch;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::error::ErrorKind;
use withe_lattice::{Embedded, SharedLattice, embedded};
use withe_linker::Diagnostic;
use withe_linker::input::Surroundings;
use withe_linker::plan::Plan;
use withe_load::{LoadedPart, ProviderSource, codes};
use withe_node::policy::AdmissionPolicy;
use withe_node::program_list::ProgramOptions;
use withe_node::records::RunningApp;
use withe_node::{Node, NodeOptions, desired};

use super::application::{LinkedApplication, LinkedHow, load_application};
use super::application_args::{ApplicationArgs, HTTP_PORT, Start};
use super::host::machine_name;
use super::input_args::{InputArgs, Timings};
use super::key_args::{KeyArgs, SealArgs};
use super::lattice_args::{LatticeArgs, socket};
use super::limit_args::LimitArgs;
use super::link_args::LinkArgs;
use super::policy_args::PolicyArgs;
use super::program_args::ProgramArgs;
use super::secret_args::SecretArgs;
use super::settle::settle;
use crate::Outcome;
use crate::guest_output::GuestStreams;
use crate::interrupt::Interrupts;
use crate::observe::{Endpoint, Exporter, ObserveArgs, Readiness};
use crate::progress::Reporter;
use crate::providers;
use crate::recent;
use crate::render::diagnostics;
use crate::render::units::duration;
use crate::running::{GRACE, block_on, host_options};
use crate::terminal::Terminal;
use crate::usage::usage;
use watch::Watch;

const EXAMPLES: &str = "\
Examples:
  withe up                                            the application in this folder
  withe up shop.yaml
  withe up hello.wasm                                 serve a component that handles HTTP requests
  withe up cart.wasm --link prices.wasm --config currency=EUR
  withe up tool.wasm --dir ./data -- --verbose a.txt  run a command, with its arguments
  withe up hello.wasm --emit-manifest > hello.yaml    what that would be as a manifest
  withe up shop.yaml --build --watch                  build what changed, and reload it: `withe dev shop.yaml`
  withe up shop.yaml --watch                          reload when the manifest or a component changes
  withe up shop.yaml --ui 7171                        with a page that shows what it does
  withe up shop.yaml --lattice nats://10.0.0.1:4222   run it on the hosts that meet there
  withe up shop.yaml --lattice nats://10.0.0.1:4222 --key ci.key
  WITHE_CACHE_DIR=/var/cache/withe withe up shop.yaml";

/// Run an application, or a component: here until Ctrl-C, or on the hosts of a lattice.
///
/// Checks it as `withe check` does, compiles what is not in the cache, starts its providers, and
/// prints where it can be reached. Ctrl-C lets requests under way finish; a second one ends it at
/// once. With errors, nothing is started.
///
/// A component needs no manifest. One that handles HTTP requests is served; a command (`wasi:cli/run`) runs to its
/// end, with the arguments behind `--` and this command's standard input and output, and its exit code is this command's.
/// What it imports comes from the components and providers that the options name, and from those providers that need no
/// configuration; each of these is said. `--emit-manifest` prints what that would be as a manifest.
///
/// With `--lattice` the hosts there run it, in the place of what they run under its name, and the command
/// ends when they do; `withe down` ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    /// With a component: where HTTP is served, if it handles requests; port 8080 of this machine alone if not given, or
    /// another one if that is taken.
    #[arg(long, value_name = "ADDRESS", help_heading = "Without a manifest")]
    listen: Option<SocketAddr>,
    /// The arguments of a command, in the place of those in the manifest.
    #[arg(last = true, index = 2, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
    #[command(flatten)]
    defaults: LinkArgs,
    /// Reload the application when its manifest or one of its components changes. What is wrong with
    /// a change is reported, and what runs goes on.
    #[arg(long, conflicts_with = "lattice")]
    watch: bool,
    /// First build what has changed, as `withe build` does; with `--watch` also when it changes later.
    #[arg(long)]
    build: bool,
    #[command(flatten)]
    lattice: LatticeArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    seal: SealArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    secrets: SecretArgs,
    /// How long to wait until all hosts of the lattice run it, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    observe: ObserveArgs,
    #[command(flatten)]
    inputs: InputArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.lattice.lattice.is_some() && args.observe.metrics.is_some() {
        let message =
            "what runs on a lattice is watched at its hosts: give `--metrics` to `withe host`";
        return Err(usage("up", ErrorKind::ArgumentConflict, message));
    }
    if args.lattice.lattice.is_some() && args.observe.ui.ui.is_some() {
        let message = "what runs on a lattice is seen by `withe ui --lattice …`, or give `--ui` to `withe host`";
        return Err(usage("up", ErrorKind::ArgumentConflict, message));
    }
    if args.lattice.lattice.is_some() && args.policy.is_given() {
        let message =
            "each host of a lattice has a policy of its own: give `--policy` to `withe host`";
        return Err(usage("up", ErrorKind::ArgumentConflict, message));
    }
    // The person who starts the host has named the application, so that all of it may run unless a file says otherwise.
    let Some(policy) = args.policy.read(AdmissionPolicy::of_operator(), terminal)? else {
        return Ok(Outcome::Problems);
    };
    let surroundings = match args.lattice.lattice {
        Some(_) => Surroundings::Lattice,
        None => Surroundings::Alone,
    };
    if args.listen.is_some() && !args.application.is_component() {
        let message = "a manifest says itself where it is served: leave out `--listen`";
        return Err(usage("up", ErrorKind::ArgumentConflict, message));
    }
    let address = Address::of(args);
    let (application, watch) = match ready(args, &address, surroundings, terminal)? {
        Ok(ready) => ready,
        Err(outcome) => return Ok(outcome),
    };
    let Some(plan) = &application.linked.plan else {
        return Ok(Outcome::Problems);
    };
    if let Some(refused) = nothing_to_start(args, &application, plan) {
        terminal.say(&diagnostics::single(terminal, &refused));
        return Ok(Outcome::Problems);
    }
    if let Some(command) = command::find(&application) {
        return command::run(args, &application, plan, command, terminal);
    }
    if !args.arguments.is_empty() {
        let message = "arguments behind `--` are for a command, and no component here is one (`withe explain W0106`)";
        return Err(usage("up", ErrorKind::ArgumentConflict, message));
    }
    address.say(&application, terminal);
    match args.lattice.lattice {
        Some(_) => block_on(deploy(args, &application, terminal)),
        None => {
            let traces = &args.observe.traces;
            let exporter = Exporter::new(traces, &machine_name(), Some(recent::keep()))?;
            let serving = serve(
                args,
                application,
                address,
                watch,
                policy,
                &exporter,
                terminal,
            );
            let result = block_on(serving);
            exporter.finish();
            result
        }
    }
}

/// The application, built and linked without errors, and what watches it, if anything does; `Err` has the outcome where there is none. With `--build` and `--watch`
/// what is wrong is waited for until it is mended.
fn ready(
    args: &Args,
    address: &Address,
    surroundings: Surroundings,
    terminal: &Terminal,
) -> anyhow::Result<Result<(LinkedApplication, Option<Watch>), Outcome>> {
    loop {
        let mut watch = building::watch(args)?;
        let is_built = !args.build || block_on(building::build_all(args, terminal))?;
        if is_built {
            let application = load(args, address, surroundings, Timings::default(), terminal)?;
            let application = match application {
                Ok(application) => application,
                Err(outcome) => return Ok(Err(outcome)),
            };
            terminal.say(&application.report(terminal, Some("nothing was started")));
            if application.linked.plan.is_some() {
                return Ok(Ok((application, watch)));
            }
        }
        let Some(watch) = watch.as_mut().filter(|_| args.build) else {
            return Ok(Err(Outcome::Problems));
        };
        terminal.say("waiting for a change; Ctrl-C ends this\n");
        if !block_on(building::changed(watch))? {
            return Ok(Err(Outcome::Problems));
        }
    }
}

/// Reads the application and links it.
fn load(
    args: &Args,
    address: &Address,
    surroundings: Surroundings,
    timings: Timings,
    terminal: &Terminal,
) -> anyhow::Result<Result<LinkedApplication, Outcome>> {
    let start = Start::Started {
        address: address.text.as_deref(),
        arguments: &args.arguments,
    };
    let how = LinkedHow {
        // A changed component is compiled alone.
        defaults: args.defaults.apart(args.watch),
        surroundings,
        timings,
    };
    load_application("up", &args.application, start, &args.inputs, how, terminal)
}

/// Where a component is served that is given without a manifest.
struct Address {
    /// `None` is the usual one.
    text: Option<String>,
    /// The port that was taken, where another one is used.
    taken: Option<u16>,
}

impl Address {
    fn of(args: &Args) -> Self {
        let mut address = Self {
            text: args.listen.map(|address| address.to_string()),
            taken: None,
        };
        // Where a manifest is wanted it is to be the same each time, and on a lattice it is another machine's port.
        let is_here = args.lattice.lattice.is_none() && !args.application.emits();
        if address.text.is_some() || !is_here || !args.application.is_component() {
            return address;
        }
        let usual = (Ipv4Addr::LOCALHOST, HTTP_PORT);
        if let Err(error) = TcpListener::bind(usual)
            && error.kind() == io::ErrorKind::AddrInUse
        {
            // The system chooses one when the server listens, so that nobody else can take it before.
            address.text = Some(SocketAddr::from((usual.0, 0)).to_string());
            address.taken = Some(HTTP_PORT);
        }
        address
    }

    /// Says that it is not the usual one, where anything is served.
    fn say(&self, application: &LinkedApplication, terminal: &Terminal) {
        let serves = |provider: &ProviderSource| matches!(provider, ProviderSource::InHost(d) if d.name == "http-server");
        let mut providers = (application.loaded.parts.iter()).filter_map(LoadedPart::provider);
        if let Some(port) = self.taken
            && providers.any(serves)
        {
            terminal.say(&format!("port {port} is taken, so another one is used\n"));
        }
    }
}

/// Why an application that was given as a component would only stand there, if it would.
fn nothing_to_start(
    args: &Args,
    application: &LinkedApplication,
    plan: &Plan,
) -> Option<Diagnostic> {
    if !args.application.is_component() || command::find(application).is_some() {
        return None;
    }
    let is_provider = |name: &str| {
        let part = application.loaded.part(name);
        part.is_some_and(|part| part.provider().is_some())
    };
    if plan.links.iter().any(|link| is_provider(&link.source)) {
        return None;
    }
    let (name, part) = application.loaded.named_parts().next()?;
    let exports = part.component()?.world.exports.iter();
    let exports: Vec<_> = exports.map(|export| format!("`{}`", export.name)).collect();
    let exports = match exports.is_empty() {
        true => "nothing".to_owned(),
        false => exports.join(", "),
    };
    let file = args.application.file.display();
    Some(
        Diagnostic::error(codes::NOTHING_TO_START, format!("nothing starts `{name}`"))
            .with_note(format!(
                "it exports neither a handler of HTTP requests (`wasi:http`) nor `wasi:cli/run`; it exports {exports}"
            ))
            .with_help(format!("call one of its functions: `withe call {file} 'FUNCTION(…)'`")),
    )
}

/// Has the hosts of a lattice run it.
async fn deploy(
    args: &Args,
    application: &LinkedApplication,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let (key, seal_key) = (args.key.read()?, args.seal.read()?);
    let lattice = args.lattice.connect().await?;
    args.key.warn(&*lattice, terminal).await?;
    let LinkedApplication {
        loaded, options, ..
    } = application;
    let defaults = &options.defaults;
    let (key, seal_key) = (key.as_ref(), seal_key.as_deref());
    let revision = desired::put_application(&*lattice, loaded, defaults, key, seal_key).await?;
    let name = loaded.name();
    let wait = Duration::from_secs(args.wait);
    let settled = settle(&*lattice, name, revision, wait).await?;
    terminal.say(&format!("`{name}` runs on {}\n", settled.hosts.join(", ")));
    for url in settled.endpoints {
        terminal.say(&format!("reached at {url}\n"));
    }
    Ok(Outcome::Done)
}

/// Runs it here.
async fn serve(
    args: &Args,
    application: LinkedApplication,
    address: Address,
    mut watch: Option<Watch>,
    policy: AdmissionPolicy,
    exporter: &Exporter,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut interrupts = Interrupts::new()?;
    // Before the start: what changes meanwhile must not be missed.
    if let Some(watch) = &mut watch {
        watch.set(&application.loaded.files)?;
    }
    let reporter = Reporter::of_start(*terminal);
    let embedded = Embedded::in_memory(&args.lattice.lattice_name)?;
    let embedded = embedded.with_max_blob(args.lattice.max_blob());
    let lattice: SharedLattice = Arc::new(embedded.clone());
    let mut host = host_options(&reporter)?;
    host.limits = args.limits.limits();
    host.output = Some(application.guest_output(GuestStreams::Own));
    let timings = application.timings.clone();
    host.progress = timings.hearing(host.progress);
    args.programs.apply(&mut host)?;
    args.secrets.apply(&mut host);
    exporter.observe(&mut host);
    let endpoint = args.observe.serve(&host, terminal).await?;
    let page = args.observe.listen_for_page().await?;
    let readiness = endpoint.as_ref().map(Endpoint::readiness);
    let options = NodeOptions {
        name: machine_name(),
        labels: Default::default(),
        listen: None,
        advertise: Vec::new(),
        unix: false,
        url: None,
        wasmcloud: false,
        // The host may run the programs that the manifest names.
        programs: ProgramOptions::default(),
        policy,
        trust: None,
        key: None,
        // Its records are in this process, and end with it.
        seal_key: None,
        recent: Some(recent::keep().clone()),
        host,
    };
    let node = Node::join(lattice.clone(), providers::registry()?, options).await?;
    let _page = args.observe.serve_page(page, lattice, &node, terminal)?;
    let mut running = RunningApplication {
        node,
        application,
        address,
        files: Vec::new(),
    };
    let started = tokio::select! {
        started = running.put() => started,
        () = interrupts.next() => {
            reporter.finish();
            running.node.leave().await;
            terminal.say("interrupted before it was started\n");
            return Ok(Outcome::Problems);
        }
    };
    reporter.finish();
    if let Err(error) = started {
        running.node.leave().await;
        return Err(error);
    }
    // Other commands find it by its socket; that it has none is no reason not to run.
    let _socket = match serve_socket(embedded, running.name()).await {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!("other commands cannot reach this host: {error:#}");
            None
        }
    };
    args.inputs.say_timings(&timings, terminal);
    readiness.into_iter().for_each(Readiness::ready);
    reporter.all_runs();
    terminal.say(&format!("`{}` runs; Ctrl-C stops it\n", running.name()));
    loop {
        tokio::select! {
            () = interrupts.next() => break,
            () = changed(&mut watch) => {
                if !args.build || building::build_all(args, terminal).await? {
                    running.reload(args, terminal).await?;
                    reporter.finish();
                }
                if let Some(watch) = &mut watch {
                    watch.set(running.files())?;
                    watch.set_trees(&building::inputs(args))?;
                }
            }
        }
    }
    readiness.into_iter().for_each(Readiness::leaving);
    terminal.say(&format!(
        "stopping: what is under way may take {} to finish; Ctrl-C again ends it at once\n",
        duration(GRACE)
    ));
    tokio::select! {
        () = running.node.leave() => Ok(Outcome::Done),
        () = interrupts.next() => Ok(Outcome::Problems),
    }
}

async fn serve_socket(lattice: Embedded, name: &str) -> anyhow::Result<embedded::Serving> {
    Ok(embedded::serve(lattice, socket(name)?).await?)
}

/// The running application, and its sources.
struct RunningApplication {
    node: Node,
    application: LinkedApplication,
    address: Address,
    /// The files that what was wrong last was found in, if there are any.
    files: Vec<PathBuf>,
}

impl RunningApplication {
    fn name(&self) -> &str {
        self.application.loaded.name()
    }

    /// The files whose changes may change the application, or mend what is wrong with it.
    fn files(&self) -> &[PathBuf] {
        match self.files.as_slice() {
            [] => &self.application.loaded.files,
            files => files,
        }
    }

    /// Has the host run what was loaded.
    async fn put(&self) -> anyhow::Result<()> {
        let LinkedApplication {
            loaded, options, ..
        } = &self.application;
        let revision = self.node.put(loaded, &options.defaults).await?;
        match self.node.settled(self.name(), revision).await {
            Some(RunningApp {
                failure: Some(why), ..
            }) => bail!(why),
            Some(_) => Ok(()),
            None => Err(anyhow!("this host runs no part of `{}`", self.name())),
        }
    }

    /// Puts what the files say now in the place of what runs. If something is wrong with it, that is
    /// said, and what runs goes on.
    async fn reload(&mut self, args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
        let surroundings = Surroundings::Alone;
        // The host reports its phases to these.
        let timings = self.application.timings.clone();
        let changed = load(args, &self.address, surroundings, timings, terminal)?;
        let Ok(changed) = changed else {
            return Ok(());
        };
        // A plan holds the digests of all that runs.
        if changed.linked.plan == self.application.linked.plan {
            changed.timings.forget();
            return Ok(());
        }
        terminal.say(&changed.report(terminal, Some("what runs goes on as it was")));
        if changed.linked.plan.is_none() {
            // The files that have to be mended may be other ones than before.
            self.files.clone_from(&changed.loaded.files);
            return Ok(());
        }
        let before = std::mem::replace(&mut self.application, changed);
        match self.put().await {
            Ok(()) => {
                self.files.clear();
                args.inputs.say_timings(&self.application.timings, terminal);
                terminal.say(&format!("`{}` reloaded\n", self.name()));
            }
            Err(error) => {
                terminal.say(&diagnostics::failure(terminal, &error));
                let failed = std::mem::replace(&mut self.application, before);
                self.files.clone_from(&failed.loaded.files);
            }
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
