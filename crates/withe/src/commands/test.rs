//! `withe test`: runs the tests that a component exports, in a host of their own.
//!
//! A test is a component like those it tests: it imports what it calls, and is linked to it as anything else is. So what is tested is
//! what runs, with its links, and what they lead to can be replaced (`--mock`) without a line of the component being changed.
//! Each test has the whole application for itself, started for it and ended behind it, for a provider that keeps something
//! in memory would keep it for the next one.

mod find;
mod mock;
mod report;

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::error::ErrorKind;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_host::{GuestOutput, Host, HostError, HostOptions, InvokeError, Parts, Running};
use withe_linker::input::{ComponentKind, Surroundings};
use withe_linker::plan::Plan;
use withe_linker::{Diagnostic, Diagnostics, Severity, TRAPPING};
use withe_load::Loaded;
use withe_load::arguments::MockArgument;

use super::application::{LinkedApplication, link_called};
use super::application_args::{ApplicationArgs, Given, Start};
use super::link_args::LinkArgs;
use super::secret_args::SecretArgs;
use crate::Outcome;
use crate::guest_output::GuestStreams;
use crate::interrupt::Interrupts;
use crate::known_secrets::known_secrets;
use crate::progress::Reporter;
use crate::providers;
use crate::render::diagnostics;
use crate::running::{block_on, host_options};
use crate::terminal::Terminal;
use crate::usage::usage;
use find::{FoundTest, tests};
use report::{TestOutcome, TestReport, in_nanos, line};

const EXAMPLES: &str = "\
Examples:
  withe test tests.wasm --link cart.wasm
  withe test tests.wasm --link cart.wasm --mock wasi:keyvalue=memory --mock shop:api/prices=mock-prices.wasm
  withe test tests.wasm --link cart.wasm --filter total --show-output
  withe test tests.yaml                                 the tests of an application's components
  withe test tests.wasm --link cart.wasm --junit report.xml";

/// The most lines of a test that are kept.
const LINES: usize = 1_000;

/// How long what runs may take to end when the command is interrupted.
const ENDS: Duration = Duration::from_secs(10);

/// The most instances that one test has at a time.
const INSTANCES: u32 = 100;

/// Run the tests that a component exports.
///
/// A test is a function without parameters that an interface called `tests` exports, or one that is called `test-…`; a component
/// without any that exports `wasi:cli/run` is one test. It fails if it traps or returns an error. It imports what it tests, and is
/// linked to it by the options of `withe call`; `--mock` replaces what imports lead to. Each test has an application of its own,
/// freshly started, and they run beside each other. What components print is shown if the test fails. The exit code is 1 if one
/// fails.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    /// With a manifest: the component whose tests are run; those of all components if not given.
    #[arg(index = 2)]
    component: Option<String>,
    /// With a component: what imports of a package or interface lead to, whatever else exports it: `memory`, a provider that keeps
    /// things in memory, or another component. May be given several times.
    #[arg(long, value_name = "NAMESPACE:PACKAGE[/INTERFACE]=memory|MOCK.wasm", value_parser = mock::mock)]
    mock: Vec<MockArgument>,
    /// Only tests whose name has this in it. May be given several times: then those that have any of them.
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Print the names of the tests, and run none.
    #[arg(long)]
    list: bool,
    /// How many tests run beside each other; as many as there are processors if not given.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
    /// The longest that a test may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u32,
    /// Start the application once for all tests: what one leaves in a provider, or in an instance with `scope: shared`, is there
    /// for the next. For applications that listen on a port.
    #[arg(long)]
    shared: bool,
    /// Show what components print in tests that pass, too.
    #[arg(long)]
    show_output: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Write the report as JUnit's XML to this file, too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    defaults: LinkArgs,
    #[command(flatten)]
    secrets: SecretArgs,
}

pub(crate) fn run(mut args: Args, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let is_component = args.application.is_component();
    if !is_component && !args.mock.is_empty() {
        let file = args.application.file.display();
        let message = format!(
            "`{file}` is a manifest, and says itself what its links lead to: leave out `--mock`"
        );
        return Err(usage("test", ErrorKind::ArgumentConflict, message));
    }
    args.application.mocks.clone_from(&args.mock);
    let registry = providers::registry()?;
    let read = (args.application).read("test", Start::Called, &registry, terminal)?;
    let (loaded, is_emitted) = match read {
        Given::Read(loaded) => (loaded, false),
        Given::Emitted(loaded) => (loaded, true),
        Given::Unreadable => return Ok(Outcome::Problems),
    };
    let found = find_tests(&args, &loaded)?;
    let idle = mock::idle(&args.mock, &loaded);
    if !idle.is_empty() {
        let messages: Vec<_> = idle.iter().map(ToString::to_string).collect();
        return Err(usage(
            "test",
            ErrorKind::ValueValidation,
            messages.join("\n  "),
        ));
    }
    let mut called: Vec<_> = found.iter().map(|test| test.component.clone()).collect();
    called.dedup();
    let application = link_called(loaded, args.defaults, Surroundings::Alone, called);
    if is_emitted {
        return Ok(application.emitted(terminal));
    }
    let Some(plan) = said(&application, terminal) else {
        return Ok(Outcome::Problems);
    };
    if found.is_empty() {
        bail!(
            "there are no tests: a test is a function without parameters that an interface called `tests` exports, or that is \
             called `test-…`"
        );
    }
    let is_wanted = |test: &FoundTest| {
        args.filter.is_empty() || args.filter.iter().any(|text| test.name.contains(text))
    };
    let all = found.len();
    let wanted: Vec<_> = found.into_iter().filter(is_wanted).collect();
    if args.list {
        let names: Vec<_> = wanted.iter().map(|test| test.name.as_str()).collect();
        match args.json {
            true => terminal.print_json(&names)?,
            false => terminal.print(&names.iter().map(|n| format!("{n}\n")).collect::<String>())?,
        }
        return Ok(Outcome::Done);
    }
    let filtered = all - wanted.len();
    let report = block_on(run_all(
        &args,
        &application,
        plan,
        wanted,
        filtered,
        terminal,
    ))?;
    let Some(report) = report else {
        terminal.say("interrupted\n");
        return Ok(Outcome::Problems);
    };
    if let Some(path) = &args.junit {
        let written = std::fs::File::create(path).and_then(|mut file| {
            file.write_all(report.junit(application.loaded.name()).as_bytes())
        });
        written.with_context(|| format!("the report cannot be written to `{}`", path.display()))?;
    }
    match args.json {
        true => terminal.print_json(&report)?,
        false => terminal.print(&report.text(args.show_output))?,
    }
    Ok(match report.failed {
        0 => Outcome::Done,
        _ => Outcome::Problems,
    })
}

/// The tests of the components that are meant.
fn find_tests(args: &Args, loaded: &Loaded) -> anyhow::Result<Vec<FoundTest>> {
    let components = (loaded.application.iter()).flat_map(|application| &application.components);
    let components = components.filter(|c| c.kind == ComponentKind::Component);
    let mut names: Vec<&str> = components.map(|c| c.name.as_str()).collect();
    if args.application.is_component() {
        if let Some(name) = &args.component {
            let file = args.application.file.display();
            let message = format!("`{file}` is a component: leave out `{name}`");
            return Err(usage("test", ErrorKind::ArgumentConflict, message));
        }
        names.truncate(1);
    } else if let Some(wanted) = &args.component {
        if !names.contains(&wanted.as_str()) {
            let known: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let message = format!(
                "there is no component `{wanted}`; there are {}",
                known.join(", ")
            );
            return Err(usage("test", ErrorKind::InvalidValue, message));
        }
        names.retain(|name| name == wanted);
    }
    let is_one = names.len() == 1;
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for name in names {
        let Some(read) = loaded.part(name).and_then(|part| part.component()) else {
            // Why it could not be read is said with all that is wrong.
            continue;
        };
        match tests(name, read.world) {
            Ok(tests) if is_one => found.extend(tests),
            // Of several, commands are what is tested.
            Ok(tests) => found.extend(tests.into_iter().filter(|t| t.name != "run").map(|test| {
                let name = format!("{}:{}", test.component, test.name);
                FoundTest { name, ..test }
            })),
            Err(more) => refused.extend(more),
        }
    }
    if !refused.is_empty() {
        let messages: Vec<_> = refused.iter().map(ToString::to_string).collect();
        bail!(messages.join("\n"));
    }
    Ok(found)
}

/// The plan, if there are no errors, which are said; of all else only what makes calls trap.
fn said<'a>(application: &'a LinkedApplication, terminal: &Terminal) -> Option<&'a Plan> {
    let (source, found) = (
        &application.loaded.source,
        &application.linked.diagnostics.0,
    );
    let Some(plan) = &application.linked.plan else {
        let errors = found.iter().filter(|d| d.severity == Severity::Error);
        let errors = Diagnostics(errors.cloned().collect());
        let consequence = Some("no test was run");
        terminal.say(&diagnostics::report(terminal, source, &errors, consequence));
        return None;
    };
    let trapping = |found: &&Diagnostic| found.code == TRAPPING;
    for found in found.iter().filter(trapping) {
        terminal.say(&diagnostics::placed(terminal, source, found));
    }
    Some(plan)
}

/// Runs the tests; `None` if it was interrupted.
async fn run_all(
    args: &Args,
    application: &LinkedApplication,
    plan: &Plan,
    wanted: Vec<FoundTest>,
    filtered: usize,
    terminal: &Terminal,
) -> anyhow::Result<Option<TestReport>> {
    let mut interrupts = Interrupts::new()?;
    let reporter = Reporter::new(*terminal);
    let began = Instant::now();
    let count = wanted.len();
    if !args.json {
        let tests = if count == 1 { "test" } else { "tests" };
        let name = application.loaded.name();
        terminal.print(&format!("running {count} {tests} of `{name}`\n"))?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, usize::from).clamp(1, count.max(1));
    let (stop, stopped) = watch::channel(false);
    let bench = Bench {
        plan: Arc::new(plan.clone()),
        parts: Arc::new(Parts::of(&application.loaded)),
        limit: Duration::from_secs(args.timeout.into()),
        queue: Arc::new(Mutex::new(wanted.into())),
        stopped,
    };
    let (told, mut ended) = mpsc::channel(16);
    let work = async {
        let mut options = host_options(&reporter)?;
        args.secrets.apply(&mut options);
        options.limits.instances = INSTANCES;
        let mut workers = JoinSet::new();
        if args.shared {
            options.output = Some(application.guest_output(GuestStreams::Error));
            let running = bench.start(&Host::new(options)?).await?;
            reporter.finish();
            let running = Arc::new(running);
            for _ in 0..jobs {
                workers.spawn(bench.clone().work_shared(running.clone(), told.clone()));
            }
            drop(told);
            let outcomes = outcomes(args, &mut ended, terminal).await;
            // Where they could not be printed, nobody takes the others.
            ended.close();
            let joined = all_of(workers).await;
            if let Some(running) = Arc::into_inner(running) {
                running.shutdown().await;
            }
            joined?;
            return outcomes;
        }
        for place in 0..jobs {
            let worker = Worker::new(options.clone())?;
            if place == 0 {
                // A fault of all tests is said once, and their common parts are compiled once.
                bench.start(&worker.host).await?.shutdown().await;
                reporter.finish();
            }
            workers.spawn(bench.clone().work(worker, told.clone()));
        }
        drop(told);
        let outcomes = outcomes(args, &mut ended, terminal).await;
        // Where they could not be printed, nobody takes the others.
        ended.close();
        all_of(workers).await?;
        outcomes
    };
    let mut work = std::pin::pin!(work);
    let result: anyhow::Result<Option<Vec<TestOutcome>>> = tokio::select! {
        result = &mut work => result.map(Some),
        () = interrupts.next() => {
            // Nobody need be there: it may still be starting.
            _ = stop.send(true);
            tokio::select! {
                // A running application ends as it would behind its test. The outcomes are of no interest now.
                _ = timeout(ENDS, work) => {}
                () = interrupts.next() => {}
            }
            Ok(None)
        }
    };
    reporter.finish();
    let Some(outcomes) = result? else {
        return Ok(None);
    };
    complete(outcomes.len(), count)?;
    Ok(Some(TestReport::new(outcomes, filtered, began.elapsed())))
}

/// Waits until all workers have ended.
///
/// # Errors
///
/// If one has ended other than by having nothing left to do.
async fn all_of(mut workers: JoinSet<()>) -> anyhow::Result<()> {
    let mut failed = None;
    while let Some(joined) = workers.join_next().await {
        failed = failed.or(joined.err());
    }
    failed.map_or(Ok(()), |error| {
        Err(error).context("what runs the tests has failed, which is an error of withe")
    })
}

/// Checks that each test has come to something: a report of some of them is none.
fn complete(outcomes: usize, count: usize) -> anyhow::Result<()> {
    if outcomes != count {
        bail!("{outcomes} of {count} tests have come to something, which is an error of withe");
    }
    Ok(())
}

/// Waits for all outcomes, and says each as it comes.
async fn outcomes(
    args: &Args,
    ended: &mut mpsc::Receiver<TestOutcome>,
    terminal: &Terminal,
) -> anyhow::Result<Vec<TestOutcome>> {
    let mut outcomes = Vec::new();
    while let Some(outcome) = ended.recv().await {
        if !args.json {
            terminal.print(&line(&outcome))?;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// The state that all tests have in common. Clones share it.
#[derive(Clone)]
struct Bench {
    plan: Arc<Plan>,
    parts: Arc<Parts>,
    limit: Duration,
    /// The tests that nobody has begun.
    queue: Arc<Mutex<VecDeque<FoundTest>>>,
    /// Whether the command is to end.
    stopped: watch::Receiver<bool>,
}

/// A host on which one test runs at a time, so that what is printed is its own.
struct Worker {
    host: Host,
    output: Arc<Mutex<Vec<String>>>,
}

impl Worker {
    fn new(mut options: HostOptions) -> anyhow::Result<Self> {
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = output.clone();
        options.output = Some(GuestOutput::by_line(move |printed| {
            let mut lines = lock(&kept);
            if lines.len() < LINES {
                let text = String::from_utf8_lossy(printed.bytes);
                let text = known_secrets().mask(&text);
                lines.push(format!("{} | {text}", printed.component));
            }
        }));
        Ok(Self {
            host: Host::new(options)?,
            output,
        })
    }
}

impl Bench {
    /// Starts the application.
    async fn start(&self, host: &Host) -> Result<Running, HostError> {
        host.start(&self.plan, self.parts.clone()).await
    }

    fn next(&self) -> Option<FoundTest> {
        if *self.stopped.borrow() {
            return None;
        }
        lock(&self.queue).pop_front()
    }

    /// Runs tests one after the other, each with an application of its own.
    async fn work(self, worker: Worker, told: mpsc::Sender<TestOutcome>) {
        while let Some(test) = self.next() {
            lock(&worker.output).clear();
            let (failure, took) = match self.start(&worker.host).await {
                Ok(running) => {
                    let called = self.call(&running, &test).await;
                    running.shutdown().await;
                    called
                }
                Err(error) => (Some(format!("it did not start: {error}")), Duration::ZERO),
            };
            let output = std::mem::take(&mut *lock(&worker.output));
            if told
                .send(outcome(test, failure, took, output))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Runs tests one after the other, beside others in the same application.
    async fn work_shared(self, running: Arc<Running>, told: mpsc::Sender<TestOutcome>) {
        while let Some(test) = self.next() {
            let (failure, took) = self.call(&running, &test).await;
            if told
                .send(outcome(test, failure, took, Vec::new()))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Calls a test: how it failed, if it did, and how long it took.
    async fn call(&self, running: &Running, test: &FoundTest) -> (Option<String>, Duration) {
        let began = Instant::now();
        let mut stopped = self.stopped.clone();
        let called = tokio::select! {
            called = running.call(&test.component, &test.path, "()", self.limit) => called,
            // The sender is there as long as anybody waits for tests.
            _ = stopped.wait_for(|stopped| *stopped) => {
                return (Some("it was interrupted".to_owned()), began.elapsed());
            }
        };
        let failure = match called {
            Ok(result) if result.starts_with("err") => Some(format!("it returned {result}")),
            Ok(_) => None,
            Err(InvokeError::Failed(error)) => Some(InvokeError::Failed(error).to_string()),
            Err(error) => Some(error.to_string()),
        };
        let failure = failure.map(|failure| known_secrets().mask(&failure).into_owned());
        (failure, began.elapsed())
    }
}

fn outcome(
    test: FoundTest,
    failure: Option<String>,
    took: Duration,
    output: Vec<String>,
) -> TestOutcome {
    TestOutcome {
        component: test.component,
        name: test.name,
        passed: failure.is_none(),
        nanos: in_nanos(took),
        failure,
        output,
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panicking holder still leaves a list behind.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_of_some_of_the_tests_is_an_error() {
        let mut workers = JoinSet::new();
        workers.spawn(async {});
        assert!(all_of(workers).await.is_ok());
        let mut workers = JoinSet::new();
        workers.spawn(async {});
        workers.spawn(std::future::pending()).abort();
        assert!(all_of(workers).await.is_err());
        assert!(complete(3, 3).is_ok());
        let error = complete(2, 3).unwrap_err().to_string();
        assert!(error.contains("2 of 3"), "{error}");
    }
}
