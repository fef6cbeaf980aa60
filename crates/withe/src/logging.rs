//! Logs, on standard error.

use std::io::{self, Write};

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::Global;
use crate::known_secrets::known_secrets;
use crate::recent::RecentLog;
use crate::terminal::Terminal;

/// Standard error, without secret values. A line of the log is written at once.
struct MaskedError;

impl Write for MaskedError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut error = io::stderr().lock();
        match known_secrets().is_empty() {
            true => error.write_all(line)?,
            false => {
                let text = String::from_utf8_lossy(line);
                error.write_all(known_secrets().mask(&text).as_bytes())?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Starts logging.
///
/// # Errors
///
/// If `WITHE_LOG` is not a filter.
pub(crate) fn start(global: &Global, terminal: &Terminal) -> anyhow::Result<()> {
    let given = global
        .log
        .clone()
        .or_else(|| std::env::var("WITHE_LOG").ok());
    let filter = given.as_deref().unwrap_or(match global.verbose {
        // A directive holds for every target that begins with its name: `withe` for all our crates;
        // `component` is what components log and print.
        0 => "warn,withe=info,component=info",
        1 => "info,withe=debug",
        _ => "debug,withe=trace",
    });
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow!("`WITHE_LOG` is `{filter}`, which is not a log filter: {error}")
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(terminal.color_err())
        .with_writer(|| MaskedError)
        // The layer would report a line that it cannot write to standard error on standard error,
        // and panic.
        .log_internal_errors(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(RecentLog)
        .try_init()
        .map_err(|error| anyhow!("logging cannot start: {error}"))
}
