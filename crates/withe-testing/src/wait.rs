//! Waiting, which says what it waited for when it gives up.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Far more than anything takes, also on a machine that is busy with other things: only a test that fails waits for
/// so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often to look for what cannot be waited for.
const OFTEN: Duration = Duration::from_millis(10);

/// Waits for `what` to come.
///
/// # Panics
///
/// Panics when `coming` takes longer than [`PATIENCE`].
pub async fn within<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let came = timeout(PATIENCE, coming).await;
    came.unwrap_or_else(|_| panic!("{PATIENCE:?} were not enough for {what}"))
}

/// Looks again and again, until `look` finds `what`.
///
/// # Panics
///
/// Panics when `look` does not find it within [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => sleep(OFTEN).await,
            }
        }
    };
    within(what, looking).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "120s were not enough for the end of all days")]
    async fn what_was_waited_for_is_said() {
        within("the end of all days", std::future::pending::<()>()).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "120s were not enough for a unicorn")]
    async fn what_was_looked_for_is_said() {
        eventually("a unicorn", async || None::<()>).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_found_is_returned() {
        let mut times = 0;
        let found = eventually("the third time", async || {
            times += 1;
            (times == 3).then_some(times)
        });
        assert_eq!(found.await, 3);
    }
}
