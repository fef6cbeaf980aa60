//! Putting things in order, each behind what it needs.

/// Orders `0..needs.len()` so that each comes after what it needs, else ascending. Fails with a
/// cycle: each of its members needs the next, and the last needs the first.
pub(crate) fn topological(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(needs.len());
    let mut done = vec![false; needs.len()];
    for start in 0..needs.len() {
        // The way from `start` to the node at hand, each with its next need to look at.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if done[node] {
                path.pop();
                continue;
            }
            match needs[node].get(*next) {
                Some(&need) => {
                    *next += 1;
                    if let Some(at) = path.iter().position(|(n, _)| *n == need) {
                        return Err(path[at..].iter().map(|(n, _)| *n).collect());
                    }
                    path.push((need, 0));
                }
                None => {
                    done[node] = true;
                    order.push(node);
                    path.pop();
                }
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_after_needs() {
        assert_eq!(topological(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(topological(&[vec![], vec![], vec![]]), Ok(vec![0, 1, 2]));
        assert_eq!(
            topological(&[vec![1, 2], vec![3], vec![3], vec![]]),
            Ok(vec![3, 1, 2, 0])
        );
        assert_eq!(topological(&[]), Ok(vec![]));
    }

    #[test]
    fn names_a_cycle() {
        assert_eq!(topological(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2]));
        assert_eq!(topological(&[vec![0]]), Err(vec![0]));
    }
}
