//! When have replications become precise enough? In blocks, because every look at the data costs
//! coverage.

use super::Interval;

/// The replications of a cell that has `n`, as long as it is not precise enough: twice as many, up to
/// the most.
pub fn next(n: u32, most: u32) -> Option<u32> {
    (n < most).then(|| n.saturating_mul(2).min(most))
}

/// Whether an interval is so narrow that its cell needs no more replications.
pub fn is_enough(interval: &Interval, precision: f64) -> bool {
    interval.relative().is_some_and(|half| half <= precision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_double_up_to_the_most() {
        let mut n = Some(10);
        let blocks = std::iter::from_fn(|| {
            let now = n?;
            n = next(now, 100);
            Some(now)
        });
        assert_eq!(blocks.collect::<Vec<u32>>(), [10, 20, 40, 80, 100]);
    }
}
