//! Where text goes, and whether it is coloured. Results are never: they are for other programs too.

use std::io::{self, IsTerminal as _, Write as _};

use crate::cli::ColorChoice;

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    color_err: bool,
}

impl Terminal {
    /// Decides what is coloured.
    pub(crate) fn new(color: ColorChoice) -> Self {
        // https://no-color.org: set, to anything but nothing, means no colour.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let color_err = match color {
            ColorChoice::Auto => wanted && io::stderr().is_terminal(),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Self { color_err }
    }

    /// Nothing is coloured.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { color_err: false }
    }

    /// Whether diagnostics are coloured.
    pub(crate) fn color_err(&self) -> bool {
        self.color_err
    }

    /// Writes a result to standard output.
    ///
    /// # Errors
    ///
    /// If it cannot be written. That nobody reads on (`withe plan app.yaml | head`) is no error.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Writes to standard error. If that cannot be written there is nowhere left to say so.
    pub(crate) fn say(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
