//! Distributions over [`Draws`], with pinned test vectors.
//!
//! Own code, because the common crates switch their mathematics with the features of unrelated
//! dependencies, which changes the draws of the same seed. Inverse transforms use one uniform per
//! draw wherever one exists, so that scaling a parameter scales the draw.

use crate::math::{cos, exp, ln, pow, sqrt};
use crate::seed::Draws;

/// Exponential with the given mean.
pub fn exponential(mean: f64, draws: &mut Draws) -> f64 {
    -mean * ln(draws.open01())
}

/// Standard normal (Box–Muller, cosine branch: two uniforms a draw).
pub fn normal(draws: &mut Draws) -> f64 {
    let radius = sqrt(-2.0 * ln(draws.open01()));
    radius * cos(core::f64::consts::TAU * draws.open01())
}

/// Log-normal with the given *mean* and the standard deviation `sigma` of its logarithm.
pub fn log_normal(mean: f64, sigma: f64, draws: &mut Draws) -> f64 {
    mean * exp(sigma * normal(draws) - sigma * sigma / 2.0)
}

/// Gamma with the given mean and coefficient of variation (Marsaglia and Tsang 2000).
pub fn gamma(mean: f64, cv: f64, draws: &mut Draws) -> f64 {
    assert!(
        mean > 0.0 && cv > 0.0,
        "gamma needs a positive mean and variation"
    );
    let shape = 1.0 / (cv * cv);
    // For shapes below one, draw with shape + 1 and scale by a power of a uniform.
    let boost = if shape < 1.0 {
        pow(draws.open01(), 1.0 / shape)
    } else {
        1.0
    };
    let d = shape + f64::from(u8::from(shape < 1.0)) - 1.0 / 3.0;
    let c = 1.0 / sqrt(9.0 * d);
    loop {
        let x = normal(draws);
        let v = pow(1.0 + c * x, 3.0);
        if v > 0.0 && ln(draws.open01()) < 0.5 * x * x + d - d * v + d * ln(v) {
            return boost * d * v * mean / shape;
        }
    }
}

/// Poisson with the given mean. Small means multiply uniforms; large ones split in two, which is
/// exact, because a sum of Poisson variables is one.
pub fn poisson(mean: f64, draws: &mut Draws) -> u64 {
    assert!(mean >= 0.0, "a Poisson mean cannot be negative");
    if mean > 30.0 {
        return poisson(mean / 2.0, draws) + poisson(mean / 2.0, draws);
    }
    let limit = exp(-mean);
    let mut product = draws.open01();
    let mut count = 0;
    while product > limit {
        product *= draws.open01();
        count += 1;
    }
    count
}

/// A discrete distribution over `0..weights.len()`: one uniform and one table look-up a draw
/// (Walker's alias method, Vose's construction).
#[derive(Clone, Debug)]
pub struct Weighted {
    slots: Vec<(f64, u32)>,
}

impl Weighted {
    /// From weights that need not sum to one.
    ///
    /// # Errors
    /// Says which weight is negative or not finite, or that all are zero.
    pub fn new(weights: &[f64]) -> Result<Self, String> {
        if let Some(bad) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
            return Err(format!(
                "weight {bad} is {}, not a number of at least 0",
                weights[bad]
            ));
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            return Err("all weights are zero".to_owned());
        }
        let n = weights.len();
        let mut scaled: Vec<f64> = weights.iter().map(|w| w * n as f64 / total).collect();
        let mut slots: Vec<(f64, u32)> = (0..n).map(|i| (1.0, i as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&i| scaled[i] < 1.0);
        while let (Some(s), Some(&l)) = (small.pop(), large.last()) {
            slots[s] = (scaled[s], l as u32);
            scaled[l] -= 1.0 - scaled[s];
            if scaled[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        Ok(Self { slots })
    }

    /// Zipf: the weight of rank `k` (from 0) is `(k + 1)^−exponent`.
    ///
    /// # Errors
    /// When `n` is zero.
    pub fn zipf(n: u32, exponent: f64) -> Result<Self, String> {
        let weights: Vec<f64> = (1..=n).map(|k| pow(f64::from(k), -exponent)).collect();
        Self::new(&weights)
    }

    /// The index of one draw.
    pub fn draw(&self, draws: &mut Draws) -> usize {
        let scaled = draws.open01() * self.slots.len() as f64;
        let slot = scaled as usize;
        let (keep, alias) = self.slots[slot];
        if scaled - (slot as f64) < keep {
            slot
        } else {
            alias as usize
        }
    }
}

/// The quantile function of a distribution, tabulated at the midpoints of 1,024 equal slices of
/// probability. Per-message jitter looks a hash up here: integer work only.
#[derive(Clone, Debug)]
pub struct Quantiles(Box<[u64; SLICES]>);

const SLICES: usize = 1 << 10;

impl Quantiles {
    /// Tabulates `quantile(p)`, scaled by `unit` and rounded down.
    pub fn tabulate(unit: f64, quantile: impl Fn(f64) -> f64) -> Self {
        let middle = |i: usize| (i as f64 + 0.5) / SLICES as f64;
        let value = |i| (unit * quantile(middle(i))) as u64;
        Self(Box::new(core::array::from_fn(value)))
    }

    /// The exponential distribution with mean `unit`.
    pub fn exponential(unit: f64) -> Self {
        Self::tabulate(unit, |p| -ln(1.0 - p))
    }

    /// The value at the slice that the top bits of `hash` name.
    pub fn at(&self, hash: u64) -> u64 {
        self.0[(hash >> (u64::BITS - SLICES.ilog2())) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    fn stream() -> Draws {
        Seed::new(7, 0).stream("dist", 0)
    }

    fn moments(n: u32, mut draw: impl FnMut(&mut Draws) -> f64) -> (f64, f64) {
        let mut draws = stream();
        let samples: Vec<f64> = (0..n).map(|_| draw(&mut draws)).collect();
        let mean = samples.iter().sum::<f64>() / f64::from(n);
        let var = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n - 1);
        (mean, sqrt(var))
    }

    /// Four standard errors of the mean, five percent of the deviation.
    fn check(name: &str, (mean, sd): (f64, f64), want_mean: f64, want_sd: f64, n: u32) {
        let error = 4.0 * want_sd / sqrt(f64::from(n));
        assert!(
            (mean - want_mean).abs() < error,
            "{name}: mean {mean}, not {want_mean} ± {error}"
        );
        assert!(
            (sd / want_sd - 1.0).abs() < 0.05,
            "{name}: deviation {sd}, not {want_sd}"
        );
    }

    #[test]
    fn moments_match() {
        let n = 40_000;
        check(
            "exponential",
            moments(n, |d| exponential(3.0, d)),
            3.0,
            3.0,
            n,
        );
        check("normal", moments(n, normal), 0.0, 1.0, n);
        let sd = sqrt(exp(0.25) - 1.0) * 2.0;
        check(
            "log-normal",
            moments(n, |d| log_normal(2.0, 0.5, d)),
            2.0,
            sd,
            n,
        );
        check(
            "gamma 0.15",
            moments(n, |d| gamma(4.0, 0.15, d)),
            4.0,
            0.6,
            n,
        );
        check("gamma 1.5", moments(n, |d| gamma(4.0, 1.5, d)), 4.0, 6.0, n);
        check(
            "poisson 2",
            moments(n, |d| poisson(2.0, d) as f64),
            2.0,
            sqrt(2.0),
            n,
        );
        check(
            "poisson 90",
            moments(n, |d| poisson(90.0, d) as f64),
            90.0,
            sqrt(90.0),
            n,
        );
    }

    #[test]
    fn weighted_choice_follows_its_weights() {
        let weighted = Weighted::new(&[1.0, 0.0, 3.0]).expect("weights");
        let mut draws = stream();
        let mut counts = [0_u32; 3];
        for _ in 0..40_000 {
            counts[weighted.draw(&mut draws)] += 1;
        }
        assert_eq!(counts[1], 0);
        // Binomial(40000, 1/4): standard deviation 86.6.
        assert!(
            (f64::from(counts[0]) - 10_000.0).abs() < 347.0,
            "{counts:?}"
        );
        assert!(Weighted::new(&[0.0]).is_err());
        assert!(Weighted::new(&[1.0, f64::NAN]).is_err());
    }

    #[test]
    fn quantile_table_keeps_the_mean() {
        let table = Quantiles::exponential(1e6);
        let mean = (0..1024_u64).map(|i| table.at(i << 54) as f64).sum::<f64>() / 1024.0;
        assert!((mean / 1e6 - 1.0).abs() < 0.002, "mean {mean}");
    }

    /// The draws themselves: a change here changes every result and needs a new model version.
    #[test]
    fn pinned_vectors() {
        let mut d = stream();
        let got = [
            exponential(1.0, &mut d),
            normal(&mut d),
            log_normal(1.0, 1.0, &mut d),
            gamma(1.0, 0.5, &mut d),
            poisson(3.0, &mut d) as f64,
        ];
        let got: Vec<String> = got.iter().map(|x| format!("{x:?}")).collect();
        assert_eq!(
            got.join(" "),
            "0.41475372548535266 0.07815209913895252 0.28342340762586843 1.069099014222936 5.0"
        );
    }
}
