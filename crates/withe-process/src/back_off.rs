//! How long to wait before what ended is started again.

use std::time::Duration;

/// The waits of one process, each twice as long as the one before.
///
/// Nothing is added at random: a host starts few processes, on one machine, and a log that names the next wait is worth
/// more than starts that are spread.
#[derive(Clone, Debug)]
pub struct BackOff {
    next: Duration,
    first: Duration,
    longest: Duration,
    steady: Duration,
}

impl BackOff {
    /// Waits of `first` to `longest`. What ran for `steady` before it ended is started again as if it had never ended.
    pub fn new(first: Duration, longest: Duration, steady: Duration) -> Self {
        Self {
            next: first,
            first,
            longest,
            steady,
        }
    }

    /// The wait after a run that took `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= self.steady {
            self.next = self.first;
        }
        let wait = self.next;
        self.next = (2 * wait).min(self.longest);
        wait
    }
}

impl Default for BackOff {
    /// A tenth of a second at first, ten seconds at most; a minute is steady.
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self::new(Duration::from_millis(100), secs(10), secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_begin_anew_after_a_steady_run() {
        let mut back_off = BackOff::default();
        let mut after = |secs| back_off.after(Duration::from_secs(secs)).as_millis();
        let waits: Vec<_> = (0..9).map(|_| after(1)).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
        assert_eq!((after(60), after(59)), (100, 200));
    }
}
