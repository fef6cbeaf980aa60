//! The log of a provider's process: standard error, a line an event, its level first.
//!
//! Neither time nor colour: the host writes the line to its own log, which has them.

use tracing_subscriber::EnvFilter;

/// Starts it, unless the program has a log already.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env("WITHE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .without_time()
        .with_writer(std::io::stderr)
        // A log that nobody reads any more is no reason to end.
        .log_internal_errors(false)
        .try_init();
}
