//! Logs, on standard error.

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use crate::cli::Global;
use crate::terminal::Terminal;

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
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(terminal.color_err())
        .with_writer(std::io::stderr)
        // It reports a log line that cannot be written on standard error, which is what cannot be
        // written, and panics.
        .log_internal_errors(false)
        .try_init()
        .map_err(|error| anyhow!("logging cannot start: {error}"))
}
