//! Jitter: how much longer than the base latency of its edge a message takes.
//!
//! The laws are tabulated once, and a message looks its own up by hash, with integer work only. Of
//! 1,024 equal slices of probability each gives its midpoint; the last gives what is then missing of
//! the mean, so that heavy tails keep theirs.

use quorate_core::Span;
use quorate_core::dist::Quantiles;
use quorate_core::math::{exp, ln, ln_gamma, pow};

/// The law of the jitter. Means are in thousandths of the edge's base latency.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Jitter {
    /// None.
    None,
    /// Exponential.
    Exponential {
        /// The mean.
        permille: u32,
    },
    /// Log-normal.
    LogNormal {
        /// The mean.
        permille: u32,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Gamma.
    Gamma {
        /// The mean.
        permille: u32,
        /// 1 is the exponential law; less means a heavier tail.
        shape: f64,
    },
    /// Pareto, counted from zero (Lomax).
    Pareto {
        /// The mean.
        permille: u32,
        /// The index of the tail, above 1.
        shape: f64,
    },
    /// The latency as a whole is Pareto with the base latency as its mean and the index
    /// base/spread, where the spread is mean minus minimum.
    // source: hyajam/jabs@4c34838 `GlobalNetworkStats6Region`: minimum = 4/5 of the mean, index 5.
    ParetoMean {
        /// The spread in thousandths of the base latency, below 1,000.
        permille: u32,
    },
    /// The same with one spread for all edges; those no longer than it have no jitter.
    // source: dsg-titech/simblock@1c0e899 `Network`: minimum = mean − 5 ms, index = 0.2/ms · mean.
    ParetoSpread {
        /// The spread.
        spread: Span,
    },
}

impl Jitter {
    /// What it adds to the base latency on average, in thousandths of it.
    pub const fn permille(self) -> u32 {
        match self {
            Self::None | Self::ParetoMean { .. } | Self::ParetoSpread { .. } => 0,
            Self::Exponential { permille }
            | Self::LogNormal { permille, .. }
            | Self::Gamma { permille, .. }
            | Self::Pareto { permille, .. } => permille,
        }
    }
}

/// A law in tables.
pub(crate) enum Delays {
    None,
    /// One table for all edges, in units of 2⁻²⁰ of the base latency.
    Scaled(Quantiles),
    /// One for each different base latency, in nanoseconds on top of the floor.
    Each {
        /// By pair of regions: the least latency, and the table's number.
        of: Vec<(Span, u32)>,
        tables: Vec<Quantiles>,
    },
}

/// Jitter is looked up in units of 2⁻²⁰ of the edge's latency.
const SHIFT: u32 = 20;

impl Delays {
    /// Tables for the base latencies of all pairs of regions.
    pub(crate) fn new(jitter: Jitter, bases: &[Span]) -> Self {
        match jitter {
            Jitter::ParetoMean { permille } => {
                return Self::around(bases, |base| base.scale(u64::from(permille), 1_000));
            }
            Jitter::ParetoSpread { spread } => return Self::around(bases, |_| spread),
            _ => {}
        }
        let unit = f64::from(jitter.permille()) / 1000.0 * f64::from(1_u32 << SHIFT);
        if jitter.permille() == 0 {
            return Self::None;
        }
        Self::Scaled(match jitter {
            Jitter::LogNormal { sigma, .. } => {
                tabulate(unit, |p| exp(sigma * normal(p) - sigma * sigma / 2.0))
            }
            Jitter::Gamma { shape, .. } => tabulate(unit, |p| gamma(p, shape) / shape),
            Jitter::Pareto { shape, .. } => tabulate(unit, |p| lomax(p, shape)),
            _ => Quantiles::exponential(unit),
        })
    }

    fn around(bases: &[Span], spread: impl Fn(Span) -> Span) -> Self {
        let mut different: Vec<Span> = bases.to_vec();
        different.sort_unstable();
        different.dedup();
        let tables = different.iter().map(|&base| {
            let spread = spread(base);
            if base <= spread || spread.is_zero() {
                return Quantiles::tabulate(0.0, |_| 0.0);
            }
            let shape = base.ns() as f64 / spread.ns() as f64;
            tabulate(spread.ns() as f64, |p| lomax(p, shape))
        });
        let tables = tables.collect();
        let place = |base| different.binary_search(base).expect("one of them") as u32;
        let floor = |base: Span| {
            let spread = spread(base);
            if base <= spread { base } else { base - spread }
        };
        let of = bases.iter().map(|b| (floor(*b), place(b))).collect();
        Self::Each { of, tables }
    }

    /// The latency of a message with this hash on an edge whose regions are `pair`.
    pub(crate) fn latency(&self, base: Span, pair: usize, hash: impl FnOnce() -> u64) -> Span {
        match self {
            Self::None => base,
            Self::Scaled(table) => Self::scaled(table, base, hash()),
            Self::Each { of, tables } => {
                let (floor, table) = of[pair];
                floor + Span::from_ns(tables[table as usize].at(hash()))
            }
        }
    }

    /// The latency of a message with this hash under a law of [`Delays::Scaled`].
    #[inline]
    pub(crate) fn scaled(table: &Quantiles, base: Span, hash: u64) -> Span {
        let extra = u128::from(base.ns()) * u128::from(table.at(hash));
        base + Span::from_ns((extra >> SHIFT) as u64)
    }

    /// The least that an edge with this base latency may take.
    pub(crate) fn least(&self, base: Span, pair: usize) -> Span {
        match self {
            Self::None | Self::Scaled(_) => base,
            Self::Each { of, .. } => of[pair].0,
        }
    }
}

/// A table of a law with mean 1, scaled by `unit`; `quantile` is asked in ascending order.
fn tabulate(unit: f64, quantile: impl Fn(f64) -> f64) -> Quantiles {
    const SLICES: usize = 1024;
    let middle = |i: usize| (i as f64 + 0.5) / SLICES as f64;
    let mut values: Vec<f64> = (0..SLICES).map(|i| quantile(middle(i))).collect();
    let others: f64 = values[..SLICES - 1].iter().sum();
    values[SLICES - 1] = (SLICES as f64 - others).max(values[SLICES - 2]);
    Quantiles::tabulate(unit, |p| values[(p * SLICES as f64) as usize])
}

/// Quantile of the Pareto law counted from zero, with mean 1.
fn lomax(p: f64, shape: f64) -> f64 {
    (shape - 1.0) * (pow(1.0 - p, -1.0 / shape) - 1.0)
}

/// Quantile of the standard normal law.
fn normal(p: f64) -> f64 {
    // The square of a normal variable is twice a gamma variable of shape ½.
    let outside = 2.0 * (0.5 - p).abs();
    let size = quorate_core::math::sqrt(2.0 * gamma(outside, 0.5));
    if p < 0.5 { -size } else { size }
}

/// Quantile of the gamma law with unit scale.
fn gamma(p: f64, shape: f64) -> f64 {
    let (mut low, mut high) = (0.0, 2.0 * shape + 2.0);
    while gamma_cdf(high, shape) < p {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if gamma_cdf(middle, shape) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularised incomplete gamma function P(shape, x).
/// source: Abramowitz and Stegun 1964, 6.5.29 (series) and 6.5.31 (continued fraction, Lentz).
fn gamma_cdf(x: f64, shape: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = exp(shape * ln(x) - x - ln_gamma(shape));
    if x < shape + 1.0 {
        let (mut term, mut sum, mut a) = (1.0 / shape, 1.0 / shape, shape);
        while term > sum * 1e-16 {
            a += 1.0;
            term *= x / a;
            sum += term;
        }
        return front * sum;
    }
    let mut b = x + 1.0 - shape;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for i in 1..500 {
        let a = -f64::from(i) * (f64::from(i) - shape);
        b += 2.0;
        d = 1.0 / (a * d + b);
        c = b + a / c;
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 - front * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message of base latency 10 ms gets at this slice.
    fn at(delays: &Delays, slice: u64) -> f64 {
        let base = Span::from_ms(10);
        delays.latency(base, 0, || slice << 54).as_ms()
    }

    fn mean(delays: &Delays) -> f64 {
        (0..1024).map(|slice| at(delays, slice)).sum::<f64>() / 1024.0
    }

    const LAWS: [Jitter; 5] = [
        Jitter::Exponential { permille: 300 },
        Jitter::LogNormal {
            permille: 300,
            sigma: 1.5,
        },
        Jitter::Gamma {
            permille: 300,
            shape: 0.5,
        },
        Jitter::Gamma {
            permille: 300,
            shape: 4.0,
        },
        Jitter::Pareto {
            permille: 300,
            shape: 1.3,
        },
    ];

    #[test]
    fn laws_have_their_mean() {
        for law in LAWS {
            let delays = Delays::new(law, &[Span::from_ms(10)]);
            // The exponential table is the one that results have always had: midpoints only.
            let within = if matches!(law, Jitter::Exponential { .. }) {
                0.005
            } else {
                0.000_02
            };
            let got = mean(&delays);
            assert!((got - 13.0).abs() < within, "{law:?}: {got}");
        }
    }

    /// Slice 511 is centred on the probability 0.499 5, slice 921 on 0.899 9.
    #[test]
    fn laws_have_their_quantiles() {
        let want = [
            // −ln(1 − p) · 3 ms.
            [2.076_5, 6.905],
            // exp(1.5 z − 1.125) · 3 ms, with z = −0.001 22 and 1.281 1.
            [0.972_2, 6.655],
            // Chi-square with one degree of freedom: 0.454 1 and 2.704 · 3 ms.
            [1.362, 8.112],
            // Erlang of four stages: 3.670 and 6.679 of 4 · 3 ms.
            [2.752, 5.009],
            // 0.3 · ((1 − p)^(−1/1.3) − 1) · 3 ms.
            [0.632, 4.385],
        ];
        for (law, want) in LAWS.into_iter().zip(want) {
            let delays = Delays::new(law, &[Span::from_ms(10)]);
            for (slice, want) in [511, 921].into_iter().zip(want) {
                let got = at(&delays, slice) - 10.0;
                assert!(
                    (got / want - 1.0).abs() < 0.003,
                    "{law:?}: {got}, not {want}"
                );
            }
        }
    }

    #[test]
    fn a_pareto_latency_has_its_mean_and_its_minimum() {
        let bases = [Span::from_ms(10), Span::from_ms(100), Span::from_ms(4)];
        let spread = Span::from_ms(5);
        let delays = Delays::new(Jitter::ParetoSpread { spread }, &bases);
        let latency = |pair: usize, base: Span, slice: u64| {
            delays.latency(base, pair, || slice << 54).as_ms()
        };
        for (pair, &base) in bases[..2].iter().enumerate() {
            let mean = (0..1024).map(|s| latency(pair, base, s)).sum::<f64>() / 1024.0;
            assert!((mean - base.as_ms()).abs() < 1e-3, "{mean}, not {base}");
            assert_eq!(delays.least(base, pair), base - spread);
            // Scale · (1 − p)^(−1/shape), shape = base / 5 ms.
            let ms = base.as_ms();
            let want = (ms - 5.0) * pow(1.0 - 921.5 / 1024.0, -5.0 / ms);
            assert!((latency(pair, base, 921) - want).abs() < 1e-3);
        }
        assert!((latency(2, bases[2], 1_023) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_spread_may_be_a_share() {
        let bases = [Span::from_ms(10), Span::from_ms(100)];
        let delays = Delays::new(Jitter::ParetoMean { permille: 200 }, &bases);
        let latency = |pair: usize| delays.latency(bases[pair], pair, || 921 << 54).as_ms();
        // 0.8 · mean · (1 − p)^(−1/5).
        let want = 8.0 * pow(1.0 - 921.5 / 1024.0, -0.2);
        assert!((latency(0) - want).abs() < 1e-3);
        assert!((latency(1) - 10.0 * want).abs() < 1e-2);
    }

    #[test]
    fn without_a_mean_there_is_none() {
        let delays = Delays::new(Jitter::Exponential { permille: 0 }, &[Span::from_ms(10)]);
        assert!(matches!(delays, Delays::None));
    }
}
