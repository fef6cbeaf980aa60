//! `withe confine`: a process that takes away from itself what a program is not to have, and becomes that program.

use std::ffi::OsString;
use std::path::PathBuf;

use withe_host::{Confinement, confine_and_become};

use crate::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    read: Vec<PathBuf>,
    #[arg(long)]
    write: Vec<PathBuf>,
    #[arg(long)]
    memory: Option<u64>,
    #[arg(long)]
    required: bool,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Does not return unless it fails.
pub(crate) fn run(args: Args) -> anyhow::Result<Outcome> {
    let Args {
        read,
        write,
        memory,
        required,
        mut command,
    } = args;
    let confinement = Confinement {
        read,
        write,
        memory,
        required,
    };
    // There is one: the arguments were parsed.
    let program = command.remove(0).into();
    Err(confine_and_become(&confinement, program, &command).into())
}
