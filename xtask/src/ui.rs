//! Prints for a person: headings for steps, and errors. Colours only on a terminal.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};

/// Announces a step.
pub(crate) fn step(what: impl Display) {
    if coloured() {
        eprintln!("\x1b[1;36m==>\x1b[0m \x1b[1m{what}\x1b[0m");
    } else {
        eprintln!("==> {what}");
    }
}

/// Reports that something was found to be as it should.
pub(crate) fn ok(what: impl Display) {
    let mark = if coloured() {
        "\x1b[32mok\x1b[0m"
    } else {
        "ok"
    };
    eprintln!("    {mark} {what}");
}

/// Reports that something was not looked at, and why.
pub(crate) fn passed_over(what: impl Display) {
    let mark = if coloured() {
        "\x1b[33mnot checked\x1b[0m"
    } else {
        "not checked"
    };
    eprintln!("    {mark} {what}");
}

/// Reports a failure and its causes.
pub(crate) fn error(error: &anyhow::Error) {
    let mark = if coloured() {
        "\x1b[1;31merror\x1b[0m"
    } else {
        "error"
    };
    eprintln!("{mark}: {error:#}");
}

fn coloured() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
