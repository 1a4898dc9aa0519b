//! Statistics across replications and along one: intervals, warm-up cuts, backlog trends.
//!
//! Everything here is a pure function of its arguments and uses no platform maths, so a result is
//! the same to the last bit on every machine. Sums run in the order of the slice; callers pass
//! samples in plan order.
//!
//! Sources: Student's t through the regularised incomplete beta function (Press et al., *Numerical
//! Recipes*, §6.4); MSER-5 after White, Cobb and Spratt (2000), with the acceptance rule of Hoad
//! and Robinson (2011).

pub mod bootstrap;
pub mod paired;
pub mod stopping;

use quorate_core::math;

/// An estimate and its two-sided confidence interval, in the unit of the samples.
///
/// A field is `None` where the samples cannot support it: no mean without samples, no interval
/// below two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Mean of the samples.
    pub mean: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// Half of the interval's width.
    pub half_width: Option<f64>,
    /// Number of samples, which is the number of replications.
    pub n: usize,
}

impl Interval {
    /// The mean of samples that support no interval.
    pub fn point(samples: &[f64]) -> Self {
        Self {
            mean: (!samples.is_empty()).then(|| mean(samples)),
            low: None,
            high: None,
            half_width: None,
            n: samples.len(),
        }
    }

    /// Half of the interval's width over the mean; 0 where the samples are all 0. `None` without an
    /// interval.
    pub fn relative(&self) -> Option<f64> {
        match (self.half_width?, self.mean?) {
            (0.0, _) => Some(0.0),
            (_, 0.0) => None,
            (half, mean) => Some(half / mean.abs()),
        }
    }
}

/// The Student interval of the mean of independent `samples`.
///
/// # Panics
///
/// If `confidence` does not lie in (0, 1), or a sample is not finite.
pub fn student_interval(samples: &[f64], confidence: f64) -> Interval {
    check_confidence(confidence);
    check_finite(samples);
    let n = samples.len();
    let mean = (n > 0).then(|| mean(samples));
    let half_width = variance(samples).map(|variance| {
        let quantile = student_quantile(f64::midpoint(1.0, confidence), (n - 1) as f64);
        quantile * (variance / n as f64).sqrt()
    });
    let end = |sign: f64| Some(mean? + sign * half_width?);
    Interval {
        mean,
        low: end(-1.0),
        high: end(1.0),
        half_width,
        n,
    }
}

/// The Wilson interval of a probability, from `won` successes in `trials` independent trials: it
/// keeps its coverage for few successes, and has a width when there were none. `half_width` is that
/// of the interval, which is not symmetric around the share.
///
/// source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
///
/// # Panics
///
/// If `confidence` does not lie in (0, 1), or there were more successes than trials.
pub fn wilson_interval(won: u64, trials: u64, confidence: f64) -> Interval {
    check_confidence(confidence);
    assert!(won <= trials, "{won} successes in {trials} trials");
    let n = trials as f64;
    // A normal quantile, as the limit of Student's.
    let z = student_quantile(f64::midpoint(1.0, confidence), NORMAL_DF);
    let share = (trials > 0).then(|| won as f64 / n);
    let ends = share.map(|share| {
        let centre = share + z * z / (2.0 * n);
        let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        // At the ends rounding may leave a trace.
        let low = if won == 0 {
            0.0
        } else {
            (centre - spread) / scale
        };
        let high = if won == trials {
            1.0
        } else {
            (centre + spread) / scale
        };
        (low, high)
    });
    Interval {
        mean: share,
        low: ends.map(|e| e.0),
        high: ends.map(|e| e.1),
        half_width: ends.map(|e| (e.1 - e.0) / 2.0),
        n: trials as usize,
    }
}

/// Degrees of freedom at which Student's t is the normal law to nine digits.
const NORMAL_DF: f64 = 1e9;

/// The Student interval of the mean of `a[i] - b[i]`, for two systems that were run under common
/// random numbers: element `i` of both comes from replication `i`.
///
/// # Panics
///
/// If the slices differ in length, and as [`student_interval`].
pub fn paired_difference(a: &[f64], b: &[f64], confidence: f64) -> Interval {
    assert_eq!(
        a.len(),
        b.len(),
        "a paired difference needs the same replications on both sides"
    );
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    student_interval(&differences, confidence)
}

/// The confidence that each of `n_cells` intervals needs so that all hold together with at least
/// `confidence` (Bonferroni).
///
/// # Panics
///
/// If `confidence` does not lie in (0, 1).
pub fn bonferroni(confidence: f64, n_cells: usize) -> f64 {
    check_confidence(confidence);
    1.0 - (1.0 - confidence) / n_cells.max(1) as f64
}

/// Observations that MSER-5 averages into one batch.
const MSER_BATCH: usize = 5;
/// Fewest batches that MSER-5 keeps: the statistic of a shorter tail is noise. With 100 batches of
/// white noise some tail of the second half wins by chance once in 120 runs if 5 are enough, once in
/// 1,000 if 10 are, and once in 4,000 if 20 are.
const MSER_MIN_TAIL: usize = 20;

/// The warm-up of one replication: how many leading observations of `series` to cut (MSER-5).
///
/// The cut minimises the squared standard error of the mean of what is left. `None` means not
/// steady: the optimum lies in the second half, or there are fewer than 200 observations.
pub fn mser5(series: &[f64]) -> Option<usize> {
    let batches = batch_means(series, MSER_BATCH);
    if batches.len() < 2 * MSER_MIN_TAIL {
        return None;
    }
    let cut = mser_optimum(&batches);
    (2 * cut <= batches.len()).then_some(cut * MSER_BATCH)
}

/// The first batch of the tail with the smallest squared standard error.
fn mser_optimum(batches: &[f64]) -> usize {
    // Welford's update, from the last batch backwards, gives every tail's deviations in one pass.
    let (mut mean, mut deviations) = (0.0, 0.0);
    let (mut best, mut least) = (0, f64::INFINITY);
    for (length, (start, &value)) in (1_usize..).zip(batches.iter().enumerate().rev()) {
        let distance = value - mean;
        mean += distance / length as f64;
        deviations += distance * (value - mean);
        let error = deviations / (length as f64 * length as f64);
        // On a tie the longer tail wins: nothing is cut without need.
        if length >= MSER_MIN_TAIL && error <= least {
            (best, least) = (start, error);
        }
    }
    best
}

/// A straight line fitted to a series in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Change of the series from one observation to the next, in the unit of the series.
    pub slope: f64,
    /// The slope over its standard error; infinite for an exact line, 0 for a constant.
    pub t_statistic: f64,
    /// Degrees of freedom of the t statistic.
    pub df: usize,
}

/// Batches that a trend is fitted to. Few and long: neighbours in a backlog series depend on each
/// other, and means of long batches much less so.
const TREND_BATCHES: usize = 10;

/// The least-squares line through `series`, fitted to the means of ten batches. `None` below 30
/// observations. A remainder that fills no batch is left out at the front.
///
/// The t statistic is corrected for what dependence is left between batches. The correction needs a
/// series some fifty times longer than its memory: on an autoregression that forgets over 100
/// observations, a nominal 1 % test raises 1.5 % false alarms over 5000 observations and 5 % over
/// 1000.
pub fn slope(series: &[f64]) -> Option<Trend> {
    if series.len() < 3 * TREND_BATCHES {
        return None;
    }
    let size = series.len() / TREND_BATCHES;
    let batches = batch_means(&series[series.len() % TREND_BATCHES..], size);
    let line = fit_line(&batches);
    Some(Trend {
        slope: line.slope / size as f64,
        ..line
    })
}

/// Whether `series` (a backlog) grows: its [`slope`] is positive, significant at `confidence`
/// (one-sided). A series too short to judge does not count as growing.
///
/// # Panics
///
/// If `confidence` does not lie in (0, 1).
pub fn is_growing(series: &[f64], confidence: f64) -> bool {
    check_confidence(confidence);
    slope(series)
        .is_some_and(|trend| trend.t_statistic > student_quantile(confidence, trend.df as f64))
}

/// The least-squares line through `y` at 0, 1, 2, …; `y` has at least three values.
fn fit_line(y: &[f64]) -> Trend {
    let df = y.len() - 2;
    let centre = (y.len() - 1) as f64 / 2.0;
    let mean = mean(y);
    let offsets = || {
        y.iter()
            .enumerate()
            .map(|(i, &y)| (i as f64 - centre, y - mean))
    };
    let spread: f64 = offsets().map(|(x, _)| x * x).sum();
    let slope = offsets().map(|(x, y)| x * y).sum::<f64>() / spread;
    let residuals: Vec<f64> = offsets().map(|(x, y)| y - slope * x).collect();
    let squares: f64 = residuals.iter().map(|r| r * r).sum();
    let error = (squares * dependence(&residuals) / df as f64 / spread).sqrt();
    let t_statistic = if slope == 0.0 { 0.0 } else { slope / error };
    Trend {
        slope,
        t_statistic,
        df,
    }
}

/// By how much dependence between neighbours inflates the variance of a mean or slope: (1 + r) /
/// (1 - r) for a first-order autoregression with lag-one correlation r, and 1 for r below 0.
fn dependence(residuals: &[f64]) -> f64 {
    let squares: f64 = residuals.iter().map(|r| r * r).sum();
    let products: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    if products <= 0.0 {
        return 1.0;
    }
    // Cauchy and Schwarz bound the products by the squares; strictly, since each end counts once.
    (squares + products) / (squares - products)
}

/// Means of consecutive batches of `size` observations; a last, partial batch is left out.
fn batch_means(series: &[f64], size: usize) -> Vec<f64> {
    series.chunks_exact(size).map(mean).collect()
}

/// The variance of independent `samples`; `None` below two.
pub fn variance(samples: &[f64]) -> Option<f64> {
    let n = samples.len();
    (n > 1).then(|| squared_deviations(samples, mean(samples)) / (n - 1) as f64)
}

pub(crate) fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

fn squared_deviations(samples: &[f64], mean: f64) -> f64 {
    samples.iter().map(|x| (x - mean) * (x - mean)).sum()
}

fn check_confidence(confidence: f64) {
    assert!(
        confidence > 0.0 && confidence < 1.0,
        "a confidence lies between 0 and 1, got {confidence}"
    );
}

fn check_finite(samples: &[f64]) {
    for (i, x) in samples.iter().enumerate() {
        assert!(
            x.is_finite(),
            "sample {i} is {x}; an interval needs finite samples"
        );
    }
}

/// The value that Student's t with `df` degrees of freedom stays below with probability `p`.
///
/// # Panics
///
/// If `p` does not lie in (0, 1) or `df` is not positive.
pub fn student_quantile(p: f64, df: f64) -> f64 {
    check_confidence(p);
    assert!(
        df > 0.0,
        "Student's t needs positive degrees of freedom, got {df}"
    );
    if p < 0.5 {
        return -student_quantile(1.0 - p, df);
    }
    // P(|T| > t) = I_x(df/2, 1/2) with x = df / (df + t²), so t follows from the inverse of I.
    let x = inverse_beta(2.0 * (1.0 - p), df / 2.0, 0.5);
    (df * (1.0 - x) / x).sqrt()
}

/// The x at which the regularised incomplete beta function `I_x(a, b)` equals `p`, by bisection.
fn inverse_beta(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = f64::midpoint(low, high);
        // The bracket has shrunk to two neighbouring numbers.
        if middle <= low || middle >= high {
            return high;
        }
        if incomplete_beta(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The regularised incomplete beta function `I_x(a, b)`, for x in (0, 1).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    let log_front = math::ln_gamma(a + b) - math::ln_gamma(a) - math::ln_gamma(b)
        + a * math::ln(x)
        + b * math::ln(1.0 - x);
    let front = math::exp(log_front);
    // The continued fraction converges fast below the mean; above it the mirror image does.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz' method (*Numerical Recipes*,
/// eq. 6.4.5).
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    // Converges within O(sqrt(max(a, b))) steps; the cap is for df beyond 10^8.
    const STEPS: u32 = 50_000;
    let mut c = 1.0;
    let mut d = 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in (1..STEPS).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 1.0;
        for term in [even, odd] {
            d = 1.0 / not_zero(1.0 + term * d);
            c = not_zero(1.0 + term / c);
            last = c * d;
            fraction *= last;
        }
        if (last - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// Keeps Lentz' method from dividing by zero.
fn not_zero(x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    if x.abs() < TINY { TINY } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small deterministic source of normal samples: an LCG, twelve uniforms to a normal.
    struct Lcg(u64);

    impl Lcg {
        fn uniform(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }

        /// A stationary first-order autoregression with unit innovations.
        fn autoregression(&mut self, phi: f64, n: usize) -> Vec<f64> {
            let mut x = self.normal() / (1.0 - phi * phi).sqrt();
            (0..n)
                .map(|_| {
                    x = phi * x + self.normal();
                    x
                })
                .collect()
        }
    }

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!(
            (got - want).abs() <= tolerance,
            "got {got}, want {want} ± {tolerance}"
        );
    }

    #[test]
    fn student_quantiles_match_the_tables() {
        // Two-sided 95 % for df 1 to 30.
        let table = [
            12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624,
            2.306_004, 2.262_157, 2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450,
            2.119_905, 2.109_816, 2.100_922, 2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658,
            2.063_899, 2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
        ];
        for (df, want) in (1_u32..).zip(table) {
            close(student_quantile(0.975, f64::from(df)), want, 1e-6);
        }
        close(student_quantile(0.99, 9.0), 2.821_438, 1e-6);
        close(student_quantile(0.95, 9.0), 1.833_113, 1e-6);
        close(student_quantile(0.995, 1.0), 63.656_741, 1e-6);
        close(student_quantile(0.999_999_5, 1.0), 636_619.772, 1.0);
        close(student_quantile(0.975, 1e9), 1.959_964, 1e-6);
    }

    #[test]
    fn student_quantile_is_odd_around_the_median() {
        close(student_quantile(0.5, 4.0), 0.0, 1e-7);
        close(
            student_quantile(0.025, 9.0),
            -student_quantile(0.975, 9.0),
            1e-9,
        );
    }

    #[test]
    fn interval_of_a_worked_example() {
        // Mean 3, standard deviation sqrt(2.5), t(4) = 2.776445.
        let got = student_interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95);
        close(got.mean.unwrap(), 3.0, 1e-15);
        close(got.half_width.unwrap(), 1.963_243, 1e-6);
        close(got.low.unwrap(), 1.036_757, 1e-6);
        close(got.high.unwrap(), 4.963_243, 1e-6);
        assert_eq!(got.n, 5);
    }

    /// Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    #[test]
    fn wilson_intervals_match_the_published_ones() {
        for (won, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let got = wilson_interval(won, trials, 0.95);
            close(got.low.unwrap(), low, 6e-5);
            close(got.high.unwrap(), high, 6e-5);
        }
        assert_eq!(wilson_interval(20, 20, 0.95).high, Some(1.0));
        assert_eq!(wilson_interval(0, 0, 0.95).low, None);
    }

    #[test]
    fn interval_of_too_few_samples_is_explicit() {
        let none = Interval {
            mean: None,
            low: None,
            high: None,
            half_width: None,
            n: 0,
        };
        assert_eq!(student_interval(&[], 0.95), none);
        let one = Interval {
            mean: Some(7.0),
            n: 1,
            ..none
        };
        assert_eq!(student_interval(&[7.0], 0.95), one);
    }

    #[test]
    fn equal_samples_give_a_point() {
        assert_eq!(student_interval(&[4.0; 10], 0.95).half_width, Some(0.0));
    }

    #[test]
    #[should_panic(expected = "sample 1 is NaN")]
    fn a_sample_that_is_no_number_is_a_bug() {
        student_interval(&[1.0, f64::NAN], 0.95);
    }

    #[test]
    fn nominal_coverage_is_real_coverage() {
        let mut draws = Lcg(1);
        let covered = (0..1000)
            .filter(|_| {
                let samples: Vec<f64> = (0..10).map(|_| draws.normal()).collect();
                let interval = student_interval(&samples, 0.95);
                interval.low.unwrap() <= 0.0 && interval.high.unwrap() >= 0.0
            })
            .count();
        assert!((930..=970).contains(&covered), "{covered} of 1000");
    }

    #[test]
    fn pairing_removes_the_common_part() {
        let mut draws = Lcg(2);
        let common: Vec<f64> = (0..10).map(|_| 100.0 * draws.normal()).collect();
        let better: Vec<f64> = common
            .iter()
            .map(|x| x + 1.0 + 0.1 * draws.normal())
            .collect();
        let paired = paired_difference(&better, &common, 0.95);
        assert!(paired.low.unwrap() > 0.5 && paired.high.unwrap() < 1.5);
        assert!(student_interval(&better, 0.95).half_width.unwrap() > 10.0);
    }

    #[test]
    #[should_panic(expected = "same replications")]
    fn pairing_needs_equal_lengths() {
        paired_difference(&[1.0], &[1.0, 2.0], 0.95);
    }

    #[test]
    fn bonferroni_shares_the_error() {
        close(bonferroni(0.95, 1), 0.95, 1e-15);
        close(bonferroni(0.95, 10), 0.995, 1e-15);
        close(bonferroni(0.95, 0), 0.95, 1e-15);
    }

    #[test]
    fn mser5_cuts_a_known_transient() {
        // A ramp from 50 down to 0 over the first 200 of 2000, then noise around 0.
        let mut draws = Lcg(3);
        let series: Vec<f64> = (0..2000)
            .map(|i| {
                draws.normal()
                    + if i < 200 {
                        50.0 - f64::from(i) / 4.0
                    } else {
                        0.0
                    }
            })
            .collect();
        let cut = mser5(&series).unwrap();
        assert!((180..=220).contains(&cut), "{cut}");
    }

    #[test]
    fn mser5_leaves_a_stationary_series_mostly_alone() {
        let mut draws = Lcg(4);
        let cuts: Vec<Option<usize>> = (0..200)
            .map(|_| mser5(&draws.autoregression(0.9, 2000)))
            .collect();
        let unsteady = cuts.iter().filter(|cut| cut.is_none()).count();
        let mut lengths: Vec<usize> = cuts.into_iter().flatten().collect();
        lengths.sort_unstable();
        assert!(unsteady <= 20, "{unsteady} of 200");
        assert!(
            lengths[lengths.len() / 2] <= 200,
            "median {}",
            lengths[lengths.len() / 2]
        );
    }

    #[test]
    fn mser5_refuses_a_series_that_never_settles() {
        let ramp: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(mser5(&ramp), None);
        assert_eq!(mser5(&[1.0; 199]), None);
    }

    #[test]
    fn mser5_cuts_nothing_from_a_constant() {
        assert_eq!(mser5(&[0.1; 200]), Some(0));
    }

    #[test]
    fn slope_is_per_observation() {
        let line: Vec<f64> = (0..1003).map(|i| 3.0 + 0.25 * f64::from(i)).collect();
        let trend = slope(&line).unwrap();
        close(trend.slope, 0.25, 1e-12);
        assert!(trend.t_statistic > 1e6);
        assert_eq!(trend.df, 8);
        assert!(is_growing(&line, 0.999));
    }

    #[test]
    fn constants_falls_and_stubs_do_not_grow() {
        let fall: Vec<f64> = (0..1000).map(|i| -f64::from(i)).collect();
        assert!(!is_growing(&[0.1; 1000], 0.95));
        assert!(!is_growing(&fall, 0.95));
        assert!(!is_growing(&[1.0, 2.0, 3.0], 0.95));
        assert_eq!(slope(&[1.0; 29]), None);
    }

    #[test]
    fn false_alarms_stay_near_nominal_under_autocorrelation() {
        // Nominal: 10 of 1000. The last series forgets over 100 of its 5000 observations.
        for (phi, n) in [(0.0, 1000), (0.9, 1000), (0.99, 5000)] {
            let mut draws = Lcg(5);
            let alarms = (0..1000)
                .filter(|_| is_growing(&draws.autoregression(phi, n), 0.99))
                .count();
            assert!(alarms <= 25, "phi {phi}: {alarms} of 1000");
        }
    }

    #[test]
    fn slow_growth_under_noise_is_found() {
        let mut draws = Lcg(6);
        let found = (0..200)
            .filter(|_| {
                let noise = draws.autoregression(0.9, 1000);
                let series: Vec<f64> = (0_u32..)
                    .zip(noise)
                    .map(|(i, x)| 0.05 * f64::from(i) + x)
                    .collect();
                is_growing(&series, 0.99)
            })
            .count();
        assert!(found >= 195, "{found} of 200");
    }
}
