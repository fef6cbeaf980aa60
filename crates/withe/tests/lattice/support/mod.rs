//! A lattice with hosts, the application that runs there, and load on it.

pub(crate) mod app;
pub(crate) mod background;
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../../e2e/support/client.rs"]
pub(crate) mod client;
pub(crate) mod lattice;
pub(crate) mod load;
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../../e2e/support/process.rs"]
pub(crate) mod process;
pub(crate) mod redis;
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../../e2e/support/shipped.rs"]
pub(crate) mod shipped;
pub(crate) mod way;

use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything here takes, on a busy machine too. Whatever waits gives up after it.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Waits until `look` finds it.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let over = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < over, "{what}: not in {LONG:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
