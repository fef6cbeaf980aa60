//! The `withe` command: arguments and rendering. The crates behind it do the work.
//!
//! * [`build`]: parts of applications built by their manifest's commands.
//! * [`cli`]: the arguments that all subcommands share, and the list of subcommands; [`usage`]: what these say of
//!   arguments that make no sense.
//! * [`commands`]: one file for each subcommand.
//! * [`descriptors`]: how many files it may have open.
//! * [`guest_output`]: what components print.
//! * [`observe`]: metrics and traces of what it runs; [`recent`]: the last of its log and its traces.
//! * [`overview`]: what is on a lattice; [`watching`]: what its hosts do now, for [`ui`], a page, and [`top`], a screen.
//! * [`render`]: results and diagnostics as text and as JSON.
//! * [`privileges`]: what it gives up for itself and all that it starts.
//! * [`terminal`]: where text goes, and whether it is coloured.
//! * [`wit`]: the WIT of what components use.
//!
//! Results go to standard output; diagnostics, progress and logs to standard error. The exit code
//! is 0 when all is well, 1 when something is wrong or failed, 2 when the command line makes no sense.

mod build;
mod catalogue;
mod cli;
mod commands;
mod descriptors;
mod doctor;
mod graph;
mod guest_output;
mod http_listener;
mod interrupt;
mod known_secrets;
mod logging;
mod observe;
mod overview;
mod places;
mod privileges;
mod progress;
mod providers;
mod recent;
mod render;
mod running;
mod terminal;
mod top;
mod ui;
mod usage;
mod watching;
mod wit;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

use cli::Cli;
use terminal::Terminal;
use usage::UsageError;

/// Linking an application of ten thousand components takes a fifth less time and a tenth less memory than with the
/// system's allocator: most of what is read are small pieces that live together.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How a command ended that did not fail to run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// All is well.
    Done,
    /// Something is wrong, and it has been said.
    Problems,
    /// A command that was run has ended with this code.
    Exit(ExitCode),
}

fn main() -> ExitCode {
    // While this is the only thread: others have what the one has that starts them.
    privileges::drop_unneeded();
    let cli = Cli::parse();
    descriptors::raise_limit();
    let terminal = Terminal::new(cli.global.color, cli.global.all_problems);
    let log = match &cli.command {
        // The provider's process has a log of its own, which its host reads.
        cli::Command::Provider(args) if args.is_process() => Ok(()),
        // The process becomes another program, and must have one thread until then.
        cli::Command::Confine(_) => Ok(()),
        _ => logging::start(&cli.global, &terminal),
    };
    let result = log.and_then(|()| cli.command.run(&terminal));
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::FAILURE,
        Ok(Outcome::Exit(code)) => code,
        Err(error) => match error.downcast::<UsageError>() {
            Ok(usage) => Cli::refuse(usage).exit(),
            Err(error) => {
                terminal.say(&render::diagnostics::failure(&terminal, &error));
                ExitCode::FAILURE
            }
        },
    }
}
