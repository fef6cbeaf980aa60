//! Dividing instances.

/// `total` in shares that are as the weights are, rounded so that they are `total` together.
pub(crate) fn divide(total: u32, weights: &[u32]) -> Vec<u32> {
    let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: u32| u64::from(total) * u64::from(weight);
    let mut shares: Vec<u32> = weights
        .iter()
        // A share is no more than the total, which is a `u32`.
        .map(|weight| u32::try_from(exact(*weight) / sum).unwrap_or(u32::MAX))
        .collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(exact(weights[*i]) % sum), *i));
    let given: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    let left = usize::try_from(u64::from(total).saturating_sub(given)).unwrap_or(0);
    for i in order.into_iter().take(left) {
        shares[i] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert_eq!(divide(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(divide(1, &[80, 20]), [1, 0]);
        assert_eq!(divide(u32::MAX, &[1, 1]), [1 << 31, (1 << 31) - 1]);
        assert_eq!(divide(5, &[0, 0]), [0, 0]);
    }
}
