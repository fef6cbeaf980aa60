//! `withe compile-component`: a process that compiles one component for the host that started it.

use std::io;

use crate::Outcome;

/// Ends the process, with a status that says what became of it.
pub(crate) fn run() -> anyhow::Result<Outcome> {
    let status = withe_host::compile_stdin(io::stdin().lock(), io::stdout().lock());
    std::process::exit(status)
}
