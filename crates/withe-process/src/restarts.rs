//! How long to wait before what ended is started again.

use std::time::Duration;

use withe_rpc::BackOff;

/// The waits of one process: they grow with every end, and begin anew after a run that was long enough.
///
/// Nothing is added at random: a host starts few processes, on one machine, and a log that names the next wait is worth
/// more than starts that are spread.
#[derive(Clone, Debug)]
pub struct Restarts {
    back_off: BackOff,
    steady: Duration,
    failures: u32,
}

impl Restarts {
    /// Waits as `back_off` says. A process that ran for `steady` before it ended is started again as if it had never
    /// ended.
    pub fn new(back_off: BackOff, steady: Duration) -> Self {
        Self {
            back_off,
            steady,
            failures: 0,
        }
    }

    /// The wait after a run that took `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= self.steady {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.back_off.after(self.failures)
    }
}

impl Default for Restarts {
    /// A tenth of a second at first, ten seconds at most; a minute is steady.
    fn default() -> Self {
        let back_off = BackOff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(10),
        };
        Self::new(back_off, Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_begin_anew_after_a_steady_run() {
        let mut restarts = Restarts::default();
        let mut after = |secs| restarts.after(Duration::from_secs(secs)).as_millis();
        let waits: Vec<_> = (0..9).map(|_| after(1)).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!((after(60), after(59)), (100, 200));
    }
}
