//! `withe call`: calls one export of a component.

mod expression;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::error::ErrorKind;
use withe_host::{Broker, FunctionPath, Host, Parts};
use withe_linker::input::{ComponentKind, Placement, Surroundings};
use withe_linker::plan::{Binding, Plan};
use withe_linker::{Diagnostics, Severity};
use withe_load::{LinkOptions, Loaded, ProviderSource, Registry};

use super::application::LinkedApplication;
use super::application_args::{ApplicationArgs, Given, Start};
use super::host::machine_name;
use super::lattice_args::LatticeArgs;
use super::link_args::LinkArgs;
use crate::Outcome;
use crate::interrupt::Interrupts;
use crate::observe::{Exporter, TraceArgs};
use crate::progress::Reporter;
use crate::providers;
use crate::render::diagnostics;
use crate::running::{block_on, host_options};
use crate::terminal::Terminal;
use crate::usage::usage;
use expression::CallExpression;

const EXAMPLES: &str = "\
Examples:
  withe call add.wasm 'add(1, 2)'
  withe call cart.wasm 'shop:api/cart#total([{item: \"pen\", price: 1.5}])' --link prices.wasm
  withe call cart.wasm 'run()' --link prices.wasm --binding local
  withe call shop.yaml cart 'shop:api/cart@1.0.0#total([])'";

/// Call one export of a component, and print its result.
///
/// Of an application: `withe call APP.yaml COMPONENT CALL` starts it, calls, and stops it. Without a
/// manifest: `withe call X.wasm CALL` links what X imports to whatever the components given with
/// `--link` export. CALL names a function as WIT does, `run()` of the world or `ns:pkg/iface#f(1, "a")`
/// of an interface (the version may be left out where only one fits), with arguments in WAVE. The
/// result is printed in WAVE. A trap or an error exits with 1 and says why.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, allow_missing_positional = true)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    /// With a manifest: the component that is called.
    component: Option<String>,
    /// The function and its arguments; quote it for the shell.
    call: CallExpression,
    #[command(flatten)]
    defaults: LinkArgs,
    /// The longest that the call may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
    #[command(flatten)]
    lattice: LatticeArgs,
    #[command(flatten, next_help_heading = "Watching")]
    traces: TraceArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let registry = providers::registry()?;
    let (application, component) = match load(args, &registry, terminal)? {
        Ok(loaded) => loaded,
        Err(outcome) => return Ok(outcome),
    };
    // Warnings and notes belong to `check`: here the result is wanted, or what is in its way.
    let Some(plan) = &application.linked.plan else {
        let found = &application.linked.diagnostics.0;
        let errors = found.iter().filter(|d| d.severity == Severity::Error);
        let errors = Diagnostics(errors.cloned().collect());
        let source = &application.loaded.source;
        let consequence = Some("nothing was called");
        terminal.say(&diagnostics::report(terminal, source, &errors, consequence));
        return Ok(Outcome::Problems);
    };
    let exporter = Exporter::new(&args.traces, &machine_name())?;
    let loaded = &application.loaded;
    let result = block_on(call(args, &component, loaded, plan, &exporter, terminal));
    exporter.finish();
    result
}

async fn call(
    args: &Args,
    component: &str,
    loaded: &Loaded,
    plan: &Plan,
    exporter: &Exporter,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut interrupts = Interrupts::new()?;
    let reporter = Reporter::new(*terminal);
    let work = async {
        let mut options = host_options(&reporter)?;
        options.broker = broker(args, loaded, plan).await?;
        exporter.observe(&mut options);
        let host = Host::new(options)?;
        let running = host.start(plan, Arc::new(Parts::of(loaded))).await?;
        reporter.finish();
        let CallExpression {
            interface,
            function,
            arguments,
        } = args.call.clone();
        let path = FunctionPath {
            interface,
            function,
        };
        let timeout = Duration::from_secs(args.timeout.into());
        let result = running
            .call(component, &path, &format!("({arguments})"), timeout)
            .await;
        running.shutdown().await;
        result.with_context(|| format!("calling `{}` of `{component}`", path.function))
    };
    let result = tokio::select! {
        result = work => result,
        () = interrupts.next() => Err(anyhow::anyhow!("interrupted")),
    };
    reporter.finish();
    match result? {
        text if text.is_empty() => {}
        text => terminal.print(&(text + "\n"))?,
    }
    Ok(Outcome::Done)
}

/// The lattice's NATS, if a link is carried by it, or leads to a part of wasmCloud v1.
async fn broker(args: &Args, loaded: &Loaded, plan: &Plan) -> anyhow::Result<Option<Broker>> {
    let is_carried = (plan.links.iter()).any(|link| link.binding == Binding::Nats);
    let mut providers = loaded.parts.iter().filter_map(|part| part.provider());
    if !is_carried && !providers.any(|provider| matches!(provider, ProviderSource::V1(_))) {
        return Ok(None);
    }
    let lattice = args.lattice.connect().await?;
    let client = lattice.nats().context("that lattice is not on NATS")?;
    let lattice = lattice.name().to_owned();
    Ok(Some(Broker {
        client,
        lattice,
        url: args.lattice.lattice.clone().unwrap_or_default(),
        host: String::new(),
    }))
}

/// The application and the name of the component to call; `Err` has the outcome where there is none.
fn load(
    args: &Args,
    registry: &Registry,
    terminal: &Terminal,
) -> anyhow::Result<Result<(LinkedApplication, String), Outcome>> {
    let usage = |kind, message: String| usage("call", kind, message);
    let options = |called: &str| LinkOptions {
        host: withe_host::host_interfaces(),
        called: vec![called.to_owned()],
        defaults: args.defaults.into(),
        placement: Placement {
            surroundings: match args.lattice.lattice {
                Some(_) => Surroundings::Unknown,
                None => Surroundings::Alone,
            },
            ..Placement::default()
        },
    };
    let file = args.application.file.display();
    let is_component = args.application.is_component();
    if let (true, Some(name)) = (is_component, &args.component) {
        let message = format!("`{file}` is a component: leave out `{name}`");
        return Err(usage(ErrorKind::ArgumentConflict, message));
    }
    let given = (args.application).read("call", Start::Called, registry, terminal)?;
    let (loaded, is_emitted) = match given {
        Given::Read(loaded) => (loaded, false),
        Given::Emitted(loaded) => (loaded, true),
        Given::Unreadable => return Ok(Err(Outcome::Problems)),
    };
    if is_component {
        let first = loaded.named_parts().next();
        let name = first.map_or(String::new(), |(name, _)| name.to_owned());
        let options = options(&name);
        let application = LinkedApplication::new(loaded, options);
        return Ok(match is_emitted {
            true => Err(application.emitted(terminal)),
            false => Ok((application, name)),
        });
    }
    let names = components(&loaded);
    match &args.component {
        Some(name) if loaded.application.is_none() || names.contains(name) => {
            let options = options(name);
            Ok(Ok((LinkedApplication::new(loaded, options), name.clone())))
        }
        found => {
            let problem = match found {
                Some(name) => format!("`{file}` has no component `{name}`"),
                None => format!("`{file}` is a manifest: say which of its components is called"),
            };
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("{problem}; it has {}", names.join(", "));
            Err(usage(ErrorKind::InvalidValue, message))
        }
    }
}

/// The names of what can be called.
fn components(loaded: &Loaded) -> Vec<String> {
    let all = (loaded.application.iter()).flat_map(|application| &application.components);
    all.filter(|c| c.kind == ComponentKind::Component)
        .map(|c| c.name.value.clone())
        .collect()
}
