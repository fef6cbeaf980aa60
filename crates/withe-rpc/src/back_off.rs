//! How long to wait before what failed is tried again.

use std::time::Duration;

/// Waits that grow with every failure, each twice as long as the one before, up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl BackOff {
    /// The wait after so many failures in a row: none after none.
    pub fn after(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(before) => {
                let times = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
                self.first.saturating_mul(times).min(self.most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let back_off = BackOff {
            first: Duration::from_millis(10),
            most: Duration::from_secs(1),
        };
        let waits = (0..10).map(|failures| back_off.after(failures).as_millis());
        let expected = [0, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000];
        assert_eq!(waits.collect::<Vec<_>>(), expected);
        for failures in [31, 32, 33, u32::MAX] {
            assert_eq!(back_off.after(failures), back_off.most);
        }
    }
}
