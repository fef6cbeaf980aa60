//! `withe call`: calls one export of a component.

mod expression;
mod find;
mod output;
mod row;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::Resettable;
use clap::error::ErrorKind;
use withe_host::wave::{RowError, RowResult};
use withe_host::{Broker, Host, Parts};
use withe_linker::input::Surroundings;
use withe_linker::plan::{Binding, Plan};
use withe_linker::{Diagnostic, Diagnostics, Severity, TRAPPING};
use withe_load::{Loaded, PartSource, ProviderSource, Registry};

use super::application::{LinkedApplication, link_called};
use super::application_args::{ApplicationArgs, Given, Start};
use super::host::machine_name;
use super::lattice_args::LatticeArgs;
use super::link_args::LinkArgs;
use super::secret_args::SecretArgs;
use crate::Outcome;
use crate::guest_output::GuestStreams;
use crate::interrupt::Interrupts;
use crate::observe::{Exporter, TraceArgs};
use crate::progress::Reporter;
use crate::providers;
use crate::render::diagnostics;
use crate::running::{block_on, host_options};
use crate::terminal::Terminal;
use crate::usage::usage;
use expression::CallRow;
use output::{Printed, Printer};
use row::CheckedRow;

const EXAMPLES: &str = "\
Examples:
  withe call add.wasm 'add(1, 2)'
  withe call cart.wasm 'cart#total([{item: \"pen\", price: 1.5}])' --link prices.wasm
  withe call cart.wasm 'total([{\"item\": \"pen\", \"price\": 1.5}])' --json      arguments and result as JSON
  withe call cart.wasm 'cart.new(\"ann\") | add(\"pen\") | total()'      the functions of a resource, in a row
  withe call cart.wasm 'cart.new(\"a\") | cart.new(\"b\") | merge($1, $2) | total()'      with resources of earlier calls
  withe call text.wasm 'upper(@notes.txt)' | head -3      a stream of what a file has; a stream that is printed as it comes
  withe call a.wasm 'items(9)' | withe call b.wasm 'sum(@-)'      elements of a stream, one a line
  withe call cart.wasm 'run()' --link prices.wasm --binding local
  withe call shop.yaml cart 'shop:api/cart@1.0.0#total([])'";

/// Call one export of a component, and print its result.
///
/// Of an application: `withe call APP.yaml COMPONENT CALL` starts COMPONENT and all that it is linked to, calls, and stops
/// them. Without a manifest: `withe call X.wasm CALL` links what X imports to whatever the components given with
/// `--link` export. CALL names a function as WIT does, `run()` of the world or `ns:pkg/iface#f(1, "a")`
/// of an interface, or by an end of that name that only one function has: `f(1, "a")`, `iface#f(1, "a")`. Its arguments
/// are in WAVE or in JSON, and are compared with the function before anything is compiled. Where a function returns a resource,
/// as `cart.new()` for its constructor does, functions of the resource are called behind a `|`: `cart.new() | add("pen") | total()`. An
/// argument `$N` is the resource that call N of the row returned, from 1. The result of the last is printed in WAVE. A trap or an error exits with 1
/// and says why; with `--strict` a result `err(…)` does, too.
///
/// A stream in the result is printed as it comes, and the component is asked for no more than is printed: one element a line, a
/// `stream<u8>` (or an `input-stream` of WASI 0.2) as the bytes that it has. Where there are several, or the value around the stream has
/// more to say, the value is printed first, and lines begin with the name of the stream that they are of. A future is printed when its value is
/// there; one beside a stream that says how the stream went, as WASI 0.3 has it, is an error if it says `err(…)`. A stream as an
/// argument is written as a list of its elements, `@FILE` or, for standard input, `@-`: bytes as they are, other elements one a line, as they are
/// printed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    allow_missing_positional = true,
    // A call alone would leave open what it is that is called.
    mut_arg("file", |file| file.required(true).default_value(Resettable::Reset))
)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    /// With a manifest: the component that is called.
    #[arg(index = 2)]
    component: Option<String>,
    /// The function and its arguments, or several with `|` between them; quote it for the shell.
    #[arg(index = 3)]
    call: CallRow,
    #[command(flatten)]
    defaults: LinkArgs,
    /// Print the result as JSON; with a stream, one JSON value a line.
    #[arg(long)]
    json: bool,
    /// Exit with 1 if the result is an error: `err(…)`.
    #[arg(long)]
    strict: bool,
    /// The longest that the call may take, and then that a stream may take to its next element.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
    #[command(flatten)]
    secrets: SecretArgs,
    #[command(flatten)]
    lattice: LatticeArgs,
    #[command(flatten)]
    traces: TraceArgs,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let registry = providers::registry()?;
    let (loaded, component, is_emitted) = match read(args, &registry, terminal)? {
        Some(read) => read,
        None => return Ok(Outcome::Problems),
    };
    if is_emitted {
        return Ok(linked(args, loaded, &component).emitted(terminal));
    }
    // Before anything takes time: a slip of the pen is said at once.
    let world = loaded.part(&component).and_then(|part| part.component());
    let world = world.map(|read| read.world.as_ref());
    let row = CheckedRow::of(&component, world, &args.call)?;
    let application = linked(args, loaded, &component);
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
    // Warnings that some calls will trap concern the caller, so they are shown.
    let trapping = |found: &&Diagnostic| found.code == TRAPPING;
    for found in application.linked.diagnostics.0.iter().filter(trapping) {
        let source = &application.loaded.source;
        terminal.say(&diagnostics::placed(terminal, source, found));
    }
    // The parts that call the application by themselves are left out: a server whose port is taken, as by `withe up` of
    // the same, would be in the way, and a timer or a subscription would do more than was asked for.
    let plan = &plan.reached_from(&component);
    let exporter = Exporter::new(&args.traces, &machine_name(), None)?;
    let result = block_on(make(args, row, &application, plan, &exporter, terminal));
    exporter.finish();
    result
}

async fn make(
    args: &Args,
    mut row: CheckedRow,
    application: &LinkedApplication,
    plan: &Plan,
    exporter: &Exporter,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let loaded = &application.loaded;
    let mut interrupts = Interrupts::new()?;
    let reporter = Reporter::new(*terminal);
    let work = async {
        let mut options = host_options(&reporter)?;
        options.broker = broker(args, loaded, plan).await?;
        args.secrets.apply(&mut options);
        // Standard output has the result, and nothing else.
        options.output = Some(application.guest_output(GuestStreams::Error));
        exporter.observe(&mut options);
        let host = Host::new(options)?;
        let running = host.start(plan, Arc::new(Parts::of(loaded))).await?;
        reporter.finish();
        let timeout = Duration::from_secs(args.timeout.into());
        let calls = std::mem::take(&mut row.calls);
        let called = running.call_in_row(&row.component, calls, timeout).await;
        let printed = match called {
            Ok(RowResult { call, returned }) => {
                let printer = Printer::new(args.json, timeout, *terminal);
                let printed = printer.print(returned).await;
                printed.with_context(|| row.calling(call))
            }
            Err(RowError { call, error }) => {
                Err(anyhow::Error::new(error).context(row.calling(call)))
            }
        };
        running.shutdown().await;
        printed
    };
    let result = tokio::select! {
        result = work => result,
        () = interrupts.next() => Err(anyhow::anyhow!("interrupted")),
    };
    reporter.finish();
    Ok(match (result?, args.strict) {
        (Printed::Error, true) => Outcome::Problems,
        (Printed::Error | Printed::Value, _) => Outcome::Done,
    })
}

/// The lattice's NATS, if a link is carried by it or leads to a part of wasmCloud v1, or a server of v1's there has secrets.
async fn broker(args: &Args, loaded: &Loaded, plan: &Plan) -> anyhow::Result<Option<Broker>> {
    let is_carried = (plan.links.iter()).any(|link| link.binding == Binding::Nats);
    let mut providers = loaded.parts.iter().filter_map(|part| part.provider());
    let has_v1 = providers.any(|provider| matches!(provider, ProviderSource::V1(_)));
    // Without a lattice, the secret that cannot be had says what is missing.
    let asks_v1 = args.lattice.lattice.is_some() && args.secrets.asks_v1(plan);
    if !is_carried && !has_v1 && !asks_v1 {
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

/// Links what was read for a call of `component`.
fn linked(args: &Args, loaded: Loaded, component: &str) -> LinkedApplication {
    let surroundings = match args.lattice.lattice {
        Some(_) => Surroundings::Unknown,
        None => Surroundings::Alone,
    };
    link_called(
        loaded,
        args.defaults,
        surroundings,
        vec![component.to_owned()],
    )
}

/// The application, the name of the component to call, and whether only the manifest was wanted, which is printed then;
/// `None` if there is nothing to read, which has been said then.
fn read(
    args: &Args,
    registry: &Registry,
    terminal: &Terminal,
) -> anyhow::Result<Option<(Loaded, String, bool)>> {
    let usage = |kind, message: String| usage("call", kind, message);
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
        Given::Unreadable => return Ok(None),
    };
    if is_component {
        let first = loaded.named_parts().next();
        let name = first.map_or(String::new(), |(name, _)| name.to_owned());
        return Ok(Some((loaded, name, is_emitted)));
    }
    let names = components(&loaded);
    match &args.component {
        Some(name) if loaded.application.is_none() || names.contains(name) => {
            let name = name.clone();
            Ok(Some((loaded, name, is_emitted)))
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
    let all = loaded.named_parts();
    // A provider may be a component.
    all.filter(|(_, part)| !matches!(part.source, PartSource::Provider(_)))
        .map(|(name, _)| name.to_owned())
        .collect()
}
