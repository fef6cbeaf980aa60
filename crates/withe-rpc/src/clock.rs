//! The time that everything here goes by.
//!
//! Deadlines are [`Instant`]s of the standard library, so that callers need not know Tokio; waiting is Tokio's. Were
//! the two clocks read apart, tests that let Tokio's time run ahead would compare instants of different clocks, so the
//! time is Tokio's everywhere. Outside tests both are the same.

use std::time::{Duration, Instant};

/// The time now.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long ago `then` was; zero if it is yet to come.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}
