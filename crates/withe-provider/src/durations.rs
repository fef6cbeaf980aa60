//! Histograms of durations, as links and backends are measured with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A histogram of durations. Adding to it takes no lock.
#[derive(Debug, Default)]
pub struct Durations {
    /// One for each bound, and one for what is above.
    buckets: [AtomicU64; Durations::BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Durations {
    /// The upper bounds of a histogram's buckets, in nanoseconds: three in each power of ten, from what an
    /// add over `local` takes to what a default timeout allows.
    pub const BOUNDS: [u64; 19] = [
        500,
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        100_000_000,
        1_000_000_000,
        10_000_000_000,
        30_000_000_000,
    ];

    /// Adds one that stands for `weight` of them.
    pub fn add(&self, took: Duration, weight: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // A linear search does: the most frequent calls are the shortest, in the first buckets.
        let bucket = Self::BOUNDS.iter().position(|bound| nanos <= *bound);
        self.buckets[bucket.unwrap_or(Self::BOUNDS.len())].fetch_add(weight, Ordering::Relaxed);
        let all = nanos.saturating_mul(weight);
        self.nanos.fetch_add(all, Ordering::Relaxed);
    }

    /// The buckets, one more than there are bounds, and then the sum in nanoseconds.
    pub fn read(&self) -> Vec<u64> {
        let all = self.buckets.iter().chain([&self.nanos]);
        all.map(|value| value.load(Ordering::Relaxed)).collect()
    }

    /// How many durations are in what was [`read`](Self::read).
    pub fn count(read: &[u64]) -> u64 {
        read.iter().take(Self::BOUNDS.len() + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_of_their_bound() {
        const BOUNDS: [u64; 19] = Durations::BOUNDS;
        let durations = Durations::default();
        for nanos in [0, 500, 501, BOUNDS[18], BOUNDS[18] + 1] {
            durations.add(Duration::from_nanos(nanos), 1);
        }
        let read = durations.read();
        assert_eq!((read[0], read[1], read[18], read[19]), (2, 1, 1, 1));
        assert_eq!(read[20], 500 + 501 + 2 * BOUNDS[18] + 1);
        assert!(BOUNDS.is_sorted());
    }
}
