//! The last lines of this process's log, of what its components print, and its last spans: for those who look at the host
//! (`withe ui`, here or elsewhere on the lattice).
//!
//! There is one log in a process, which is begun before it is known what will run; so there is one of these, which keeps nothing
//! until a command says that a host runs here.

mod log;
mod printed;
mod spans;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use withe_node::observation::Recent;

pub(crate) use log::RecentLog;
pub(crate) use printed::{PrintedPieces, printed_line};
pub(crate) use spans::RecentSpans;

static RECENT: LazyLock<Recent> = LazyLock::new(Recent::default);

/// Whether a host runs here whose lines are kept.
static KEEPS: AtomicBool = AtomicBool::new(false);

/// Keeps the last lines and spans from now on.
pub(crate) fn keep() -> &'static Recent {
    KEEPS.store(true, Ordering::Relaxed);
    &RECENT
}

/// Where they are kept, if they are.
fn kept() -> Option<&'static Recent> {
    KEEPS.load(Ordering::Relaxed).then_some(&*RECENT)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
