//! Where lines and spans are kept, once a host runs here.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use withe_node::observation::Recent;

static RECENT: LazyLock<Recent> = LazyLock::new(Recent::default);

/// Whether a host runs here whose lines are kept.
static KEEPS: AtomicBool = AtomicBool::new(false);

/// Keeps the last lines and spans from now on.
pub(crate) fn keep() -> &'static Recent {
    KEEPS.store(true, Ordering::Relaxed);
    &RECENT
}

/// Where they are kept, if they are.
pub(super) fn kept() -> Option<&'static Recent> {
    KEEPS.load(Ordering::Relaxed).then_some(&*RECENT)
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
