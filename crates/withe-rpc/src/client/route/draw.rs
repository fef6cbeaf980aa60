//! Draws two of several.

/// Two different numbers below `n`, which is 2 at least.
pub(super) fn two(n: usize) -> (usize, usize) {
    let (a, b) = (fastrand::usize(..n), fastrand::usize(..n - 1));
    (a, if b >= a { b + 1 } else { b })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_are_drawn_about_as_often() {
        // This thread's alone, so that the test does not depend on luck.
        fastrand::seed(1);
        let mut drawn = [[0; 5]; 5];
        for _ in 0..20_000 {
            let (a, b) = two(5);
            drawn[a][b] += 1;
        }
        for (a, row) in drawn.into_iter().enumerate() {
            for (b, n) in row.into_iter().enumerate() {
                let range = if a == b { 0..=0 } else { 850..=1_150 };
                assert!(range.contains(&n), "{a} and {b}: {n}");
            }
        }
        assert!((0..100).all(|_| matches!(two(2), (0, 1) | (1, 0))));
    }
}
