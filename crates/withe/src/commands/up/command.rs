//! A command: an application that runs to its end, in this process and with its standard streams.
//!
//! The command starts as in `withe call`: on no lattice, for nobody is to find it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::error::ErrorKind;
use withe_host::{Host, Parts};
use withe_linker::plan::Plan;

use super::super::application::LinkedApplication;
use super::super::host::machine_name;
use super::Args;
use crate::Outcome;
use crate::guest_output::GuestStreams;
use crate::interrupt::Interrupts;
use crate::observe::Exporter;
use crate::progress::Reporter;
use crate::running::{block_on, host_options};
use crate::terminal::Terminal;
use crate::usage::usage;

/// The exit code that shells give a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// The component that is a command, and its arguments.
pub(super) struct FoundCommand {
    component: String,
    arguments: Vec<String>,
}

/// The application's command, if it is one.
pub(super) fn find(application: &LinkedApplication) -> Option<FoundCommand> {
    let declared = application.loaded.application.as_ref()?;
    let (component, command) = declared.command()?;
    Some(FoundCommand {
        component: component.name.value.clone(),
        arguments: command.arguments.clone(),
    })
}

/// Runs the command to its end.
pub(super) fn run(
    args: &Args,
    application: &LinkedApplication,
    plan: &Plan,
    command: FoundCommand,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let refused = [
        ("--watch", args.watch),
        ("--lattice", args.lattice.lattice.is_some()),
        ("--policy", args.policy.is_given()),
        ("--metrics", args.observe.metrics.is_some()),
    ];
    if let Some((option, _)) = refused.iter().find(|(_, is_given)| *is_given) {
        let message = format!(
            "`{}` is a command, which runs here to its end: leave out `{option}`",
            command.component
        );
        return Err(usage("up", ErrorKind::ArgumentConflict, message));
    }
    let exporter = Exporter::new(&args.observe.traces, &machine_name(), None)?;
    let result = block_on(run_to_end(
        args,
        application,
        plan,
        command,
        &exporter,
        terminal,
    ));
    exporter.finish();
    result
}

async fn run_to_end(
    args: &Args,
    application: &LinkedApplication,
    plan: &Plan,
    command: FoundCommand,
    exporter: &Exporter,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut interrupts = Interrupts::new()?;
    let reporter = Reporter::new(*terminal);
    let work = async {
        let mut options = host_options(&reporter)?;
        options.limits = args.limits.limits();
        options.output = Some(application.guest_output(GuestStreams::Own));
        options.progress = application.timings.hearing(options.progress);
        args.programs.apply(&mut options)?;
        exporter.observe(&mut options);
        let host = Host::new(options)?;
        let parts = Arc::new(Parts::of(&application.loaded));
        let running = host.start(plan, parts).await?;
        reporter.finish();
        args.inputs.say_timings(&application.timings, terminal);
        let arguments = match args.arguments.is_empty() {
            true => command.arguments,
            false => args.arguments.clone(),
        };
        let result = running.run_command(&command.component, arguments).await;
        running.shutdown().await;
        result.with_context(|| format!("running `{}`", command.component))
    };
    let result = tokio::select! {
        result = work => result,
        () = interrupts.next() => {
            reporter.finish();
            return Ok(Outcome::Exit(INTERRUPTED.into()));
        }
    };
    reporter.finish();
    // A system has eight bits for it; what has others must not look as if all were well.
    let code = result?;
    let code = u8::try_from(code).unwrap_or(u8::MAX);
    Ok(Outcome::Exit(ExitCode::from(code)))
}
