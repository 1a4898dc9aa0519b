//! The bootstrap interval of a mean, corrected for bias and skew (BCa): it needs no normal law of the
//! replications, and pays with less coverage where they are few.
//!
//! Source: Efron, "Better bootstrap confidence intervals", 1987, in the form of Efron and Tibshirani,
//! *An Introduction to the Bootstrap*, 1993, §14.3.

use super::{Interval, check_confidence, check_finite, mean, squared_deviations};
use quorate_core::Draws;
use quorate_core::math::{normal_cdf, normal_quantile};

/// Samples drawn again, to find how a mean varies.
// source: Efron and Tibshirani, §14.3: 2,000 for the ends of an interval.
const RESAMPLES: usize = 2_000;

/// The BCa interval of the mean of independent `samples`; `draws` says which are drawn again.
///
/// # Panics
///
/// If `confidence` does not lie in (0, 1), or a sample is not finite.
pub fn bca_interval(samples: &[f64], confidence: f64, draws: &mut Draws) -> Interval {
    check_confidence(confidence);
    check_finite(samples);
    let n = samples.len();
    if n < 2 {
        return Interval::point(samples);
    }
    let centre = mean(samples);
    let means = resampled_means(samples, draws);
    let bias = bias(&means, centre);
    let skew = acceleration(samples, centre);
    let end = |p: f64| {
        let z = bias + normal_quantile(p);
        quantile(&means, normal_cdf(bias + z / (1.0 - skew * z)))
    };
    let tail = (1.0 - confidence) / 2.0;
    let (low, high) = (end(tail), end(1.0 - tail));
    Interval {
        mean: Some(centre),
        low: Some(low),
        high: Some(high),
        half_width: Some((high - low) / 2.0),
        n,
    }
}

/// Means of samples drawn with replacement, in order.
fn resampled_means(samples: &[f64], draws: &mut Draws) -> Vec<f64> {
    let n = samples.len();
    let mut again = vec![0.0; n];
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            again.fill_with(|| samples[draws.below(n as u64) as usize]);
            mean(&again)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    means
}

/// How far the resampled means lie to one side of the mean, as a normal deviate; half of those that
/// equal it count on each side.
fn bias(sorted: &[f64], centre: f64) -> f64 {
    let below = sorted.partition_point(|&m| m < centre);
    let up_to = sorted.partition_point(|&m| m <= centre);
    let share = (below + up_to) as f64 / 2.0 / sorted.len() as f64;
    // Never all on one side: a deviate must stay finite.
    let least = 0.5 / sorted.len() as f64;
    normal_quantile(share.clamp(least, 1.0 - least))
}

/// How the standard error of the mean changes with it, from leaving each sample out in turn. For a
/// mean that is the skewness of the samples over 6 √n.
fn acceleration(samples: &[f64], centre: f64) -> f64 {
    let squares = squared_deviations(samples, centre);
    if squares <= 0.0 {
        return 0.0;
    }
    let cubes = samples.iter().map(|x| x - centre).map(|d| d * d * d);
    cubes.sum::<f64>() / (6.0 * squares * squares.sqrt())
}

/// The quantile of sorted values, with a straight line between neighbours.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let below = place as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = place - below as f64;
    (1.0 - share) * sorted[below] + share * sorted[above]
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::Seed;

    fn draws(entity: u64) -> Draws {
        Seed::new(1, 0).stream("bootstrap", entity)
    }

    /// `scipy.stats.bootstrap(…, method="BCa", n_resamples=400000)` of scipy 1.17.1; the tolerance is
    /// what 2,000 resamples leave open in a long tail.
    #[test]
    fn intervals_match_those_of_scipy() {
        let darwin = [
            6.0, 8.0, 14.0, 16.0, 23.0, 24.0, 28.0, 29.0, 41.0, -48.0, 49.0, 56.0, 60.0, -67.0,
            75.0,
        ];
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let skewed = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 40.0];
        for (samples, low, high) in [
            (&darwin[..], -1.666_667, 36.333_333),
            (&sleep[..], 1.05, 2.63),
            (&skewed[..], 4.4, 20.4),
        ] {
            for entity in 0..5 {
                let got = bca_interval(samples, 0.95, &mut draws(entity));
                let near =
                    |got: Option<f64>, want: f64| (got.unwrap() - want).abs() < 0.15 * (high - low);
                assert!(near(got.low, low) && near(got.high, high), "{got:?}");
            }
        }
    }

    #[test]
    fn a_skewed_sample_has_an_uneven_interval_and_scales() {
        let samples = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 40.0];
        let of = |factor: f64| {
            let samples: Vec<f64> = samples.iter().map(|x| x * factor).collect();
            bca_interval(&samples, 0.95, &mut draws(0))
        };
        let (one, four) = (of(1.0), of(4.0));
        let (mean, low, high) = (one.mean.unwrap(), one.low.unwrap(), one.high.unwrap());
        assert!(high - mean > 2.0 * (mean - low), "{one:?}");
        // The same draws: in another unit the interval is the same.
        assert_eq!(four.low, one.low.map(|x| 4.0 * x));
        assert_eq!(four.high, one.high.map(|x| 4.0 * x));
    }

    #[test]
    fn no_spread_gives_a_point_and_one_sample_no_interval() {
        let point = bca_interval(&[4.0; 10], 0.95, &mut draws(0));
        assert_eq!((point.low, point.high), (Some(4.0), Some(4.0)));
        let one = bca_interval(&[4.0], 0.95, &mut draws(0));
        assert_eq!((one.mean, one.low), (Some(4.0), None));
    }
}
