//! How long to wait before what ended is started again.

use std::time::Duration;

/// The wait at first, and at most.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);
/// What ran this long before it ended is started again as if it had never ended.
const STEADY: Duration = Duration::from_secs(60);

/// The waits of one process, each twice as long as the one before.
pub(crate) struct BackOff(Duration);

impl BackOff {
    pub(crate) fn new() -> Self {
        Self(FIRST)
    }

    /// The wait after a run that took `ran`.
    pub(crate) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= STEADY {
            self.0 = FIRST;
        }
        let wait = self.0;
        self.0 = (2 * wait).min(MOST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_begin_anew_after_a_steady_run() {
        let mut back_off = BackOff::new();
        let mut after = |secs| back_off.after(Duration::from_secs(secs)).as_millis();
        let waits: Vec<_> = (0..9).map(|_| after(1)).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!((after(60), after(59)), (100, 200));
    }
}
