//! How fair an order is: how many pairs of a group it has the other way round than they came.

use crate::Time;

/// The submissions of a group, such as the randomisations of one stratum, in the order in which they
/// ended up.
///
/// source: Kendall 1938, "A new measure of rank correlation": the distance between two rankings is the
/// number of pairs that they order differently; over all pairs it is 0 for the same order and 1 for the
/// opposite one. Pairs submitted at the same instant have no order to keep, and are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inversions {
    submitted: Vec<Time>,
}

impl Inversions {
    /// The next of the final order was submitted at this instant.
    pub fn ordered(&mut self, submitted: Time) {
        self.submitted.push(submitted);
    }

    /// How many pairs the order has the other way round, of how many, in `O(n log n)`.
    pub fn count(&self) -> (u64, u64) {
        let mut times = self.submitted.clone();
        let mut spare = times.clone();
        let inverted = sort(&mut times, &mut spare);
        let alike = times.chunk_by(|a, b| a == b).map(|run| pairs(run.len()));
        (inverted, pairs(times.len()) - alike.sum::<u64>())
    }

    /// The share of these pairs: the normalised distance. `None` without a pair.
    pub fn share(&self) -> Option<f64> {
        let (inverted, of) = self.count();
        (of > 0).then(|| inverted as f64 / of as f64)
    }
}

const fn pairs(n: usize) -> u64 {
    let n = n as u64;
    n * n.saturating_sub(1) / 2
}

/// Sorts by merging, and counts the pairs that stood the other way round.
fn sort(times: &mut [Time], spare: &mut [Time]) -> u64 {
    let middle = times.len() / 2;
    if middle == 0 {
        return 0;
    }
    let mut inverted = sort(&mut times[..middle], &mut spare[..middle]);
    inverted += sort(&mut times[middle..], &mut spare[middle..]);
    let (mut left, mut right) = (0, middle);
    for to in spare.iter_mut() {
        let take_right = left == middle || right < times.len() && times[right] < times[left];
        if take_right {
            // Everything left on the left side came later and stands before it.
            inverted += (middle - left) as u64;
            *to = times[right];
            right += 1;
        } else {
            *to = times[left];
            left += 1;
        }
    }
    times.copy_from_slice(spare);
    inverted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(times: &[u64]) -> Inversions {
        let mut order = Inversions::default();
        for &t in times {
            order.ordered(Time::from_ns(t));
        }
        order
    }

    #[test]
    fn the_same_order_is_0_and_the_opposite_1() {
        assert_eq!(of(&[1, 2, 3, 4]).share(), Some(0.0));
        assert_eq!(of(&[4, 3, 2, 1]).share(), Some(1.0));
        assert_eq!(of(&[2, 1, 3]).count(), (1, 3));
        // Two at the same instant are one pair less.
        assert_eq!(of(&[2, 2, 1]).count(), (2, 2));
        for none in [&[][..], &[7], &[7, 7]] {
            assert_eq!(of(none).share(), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn merging_counts_what_looking_at_all_pairs_counts(
            times in prop::collection::vec(0_u64..40, 0..80),
        ) {
            let mut naive = (0, 0);
            for (i, a) in times.iter().enumerate() {
                for b in &times[i + 1..] {
                    naive.0 += u64::from(a > b);
                    naive.1 += u64::from(a != b);
                }
            }
            prop_assert_eq!(of(&times).count(), naive);
        }
    }
}
