//! Where text goes, and whether it is coloured. Results are never: they are for other programs too.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    color_err: bool,
    all_problems: bool,
}

impl Terminal {
    /// Decides what is coloured. `all_problems` is whether every problem is shown, however many there are of
    /// one kind.
    pub(crate) fn new(color: ColorChoice, all_problems: bool) -> Self {
        // https://no-color.org: set, to anything but nothing, means no colour.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let color_err = match color {
            ColorChoice::Auto => wanted && io::stderr().is_terminal(),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Self {
            color_err,
            all_problems,
        }
    }

    /// Nothing is coloured.
    pub(crate) fn plain() -> Self {
        Self {
            color_err: false,
            all_problems: false,
        }
    }

    /// Nothing is coloured, and every problem is shown.
    #[cfg(test)]
    pub(crate) fn for_all_problems() -> Self {
        Self {
            color_err: false,
            all_problems: true,
        }
    }

    /// Whether diagnostics are coloured.
    pub(crate) fn color_err(&self) -> bool {
        self.color_err
    }

    /// Whether every problem is shown, however many there are of one kind.
    pub(crate) fn all_problems(&self) -> bool {
        self.all_problems
    }

    /// Writes a result to standard output.
    ///
    /// # Errors
    ///
    /// If it cannot be written. A reader that has gone (`withe plan app.yaml | head`) is no error.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Writes a part of a result to standard output: whether somebody may read more of it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn pass(&self, bytes: &[u8]) -> io::Result<bool> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a result to standard output as JSON on indented lines, ended by a line break. Large ones never are
    /// in memory as a whole.
    ///
    /// # Errors
    ///
    /// As [`Terminal::print`]; also, if the result cannot be serialised, which is a fault of its own.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let written = serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from);
        match written
            .and_then(|()| writeln!(out))
            .and_then(|()| out.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Writes to standard error. If that cannot be written there is nowhere left to say so.
    pub(crate) fn say(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
