//! Draws two of several.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Random numbers, good enough to spread load: Sebastiano Vigna's SplitMix64, whose state is a counter
/// and can be shared.
pub(super) struct Dice(AtomicU64);

impl Dice {
    /// Differs from all others.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Two different numbers below `n`, which is 2 at least.
    pub(super) fn two(&self, n: usize) -> (usize, usize) {
        let random = self.next();
        // There are never so many that 32 bits would not do.
        let below = |bits: u64, n: usize| (((bits & 0xffff_ffff) * n as u64) >> 32) as usize;
        let (a, b) = (below(random, n), below(random >> 32, n - 1));
        (a, if b >= a { b + 1 } else { b })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_are_drawn_about_as_often() {
        let dice = Dice(AtomicU64::new(1));
        let mut drawn = [[0; 5]; 5];
        for _ in 0..20_000 {
            let (a, b) = dice.two(5);
            drawn[a][b] += 1;
        }
        for (a, row) in drawn.into_iter().enumerate() {
            for (b, n) in row.into_iter().enumerate() {
                let range = if a == b { 0..=0 } else { 850..=1_150 };
                assert!(range.contains(&n), "{a} and {b}: {n}");
            }
        }
        assert!((0..100).all(|_| matches!(dice.two(2), (0, 1) | (1, 0))));
    }
}
