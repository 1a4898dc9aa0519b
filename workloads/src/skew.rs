//! Who is busy: log-normal skew over patients and over sites, without a table per patient.

use quorate_core::math::{exp, normal_cdf, normal_quantile};

/// A choice among `0..n` with log-normal weights, the busiest first.
///
/// For weights with a log-deviation σ the busiest share `p` of the members causes the share
/// `s = Φ(Φ⁻¹(p) + σ)` of all events. The inverse, `p(s) = Φ(Φ⁻¹(s) − σ)`, is tabulated, so that one
/// uniform `s` picks a member, in constant memory for any `n`.
#[derive(Clone, Debug)]
pub(crate) struct Skew {
    members: f64,
    edges: Vec<f64>,
}

// assumption: fine enough that the busiest slice is 9 of a million patients.
const SLICES: u32 = 1024;

impl Skew {
    pub(crate) fn log_normal(n: u32, sigma: f64) -> Self {
        let edge = |i| match i {
            0 => 0.0,
            SLICES => 1.0,
            _ => normal_cdf(normal_quantile(f64::from(i) / f64::from(SLICES)) - sigma),
        };
        Self {
            members: f64::from(n),
            edges: (0..=SLICES).map(edge).collect(),
        }
    }

    /// The member that a uniform number in (0, 1) picks.
    pub(crate) fn pick(&self, uniform: f64) -> u32 {
        let scaled = uniform * f64::from(SLICES);
        let slice = scaled as usize;
        let (low, high) = (self.edges[slice], self.edges[slice + 1]);
        let rank = low + (high - low) * (scaled - slice as f64);
        // Rounding may reach the upper end.
        ((rank * self.members) as u32).min(self.members as u32 - 1)
    }
}

/// Sites by size: log-normal shares at the distribution's quantiles, so that no replication has a
/// lucky site. A hash or a draw picks one by looking its top bits up.
#[derive(Clone, Debug)]
pub(crate) struct Sites {
    slots: Vec<u16>,
    shift: u32,
    count: u16,
}

impl Sites {
    /// Sites `0..count`, the largest first; shares are rounded to 1/4,096 or finer.
    pub(crate) fn log_normal(count: u16, sigma: f64) -> Self {
        let n = f64::from(count);
        let weight = |i| exp(sigma * normal_quantile(1.0 - (f64::from(i) + 0.5) / n));
        let weights: Vec<f64> = (0..count).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let len = (usize::from(count) * 64).next_power_of_two().max(4096);
        let (mut site, mut below) = (0, weights[0] / total);
        let mut slots = Vec::with_capacity(len);
        for slot in 0..len {
            while (slot as f64 + 0.5) / len as f64 > below && site + 1 < weights.len() {
                site += 1;
                below += weights[site] / total;
            }
            slots.push(site as u16);
        }
        Self {
            shift: 64 - len.trailing_zeros(),
            slots,
            count,
        }
    }

    /// The site that 64 uniform bits pick.
    pub(crate) fn at(&self, bits: u64) -> u16 {
        self.slots[(bits >> self.shift) as usize]
    }

    /// The site that 64 uniform bits pick, or its neighbour when that is `not`.
    pub(crate) fn other(&self, not: u16, bits: u64) -> u16 {
        let site = self.at(bits);
        if site == not {
            (site + 1) % self.count
        } else {
            site
        }
    }

    pub(crate) const fn count(&self) -> u16 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::Seed;

    #[test]
    fn busiest_percent_matches_the_closed_form() {
        let sigma = 1.2;
        let skew = Skew::log_normal(100_000, sigma);
        let mut draws = Seed::new(5, 0).stream("skew", 0);
        let n = 200_000;
        let picks: Vec<u32> = (0..n).map(|_| skew.pick(draws.open01())).collect();
        for p in [0.01, 0.05, 0.5] {
            let want = normal_cdf(normal_quantile(p) + sigma);
            let hits = picks
                .iter()
                .filter(|&&i| f64::from(i) < p * 100_000.0)
                .count();
            let got = hits as f64 / f64::from(n);
            // Four binomial deviations at most, plus a member of rounding.
            assert!((got - want).abs() < 0.005, "top {p}: {got}, not {want}");
        }
    }

    #[test]
    fn no_skew_is_uniform_and_ends_are_reachable() {
        let skew = Skew::log_normal(10, 0.0);
        assert_eq!(skew.pick(1e-12), 0);
        assert_eq!(skew.pick(0.55), 5);
        assert_eq!(skew.pick(1.0 - 1e-16), 9);
    }

    #[test]
    fn every_site_has_a_share_and_the_first_the_largest() {
        let sites = Sites::log_normal(50, 0.7);
        let mut shares = [0_u32; 50];
        for &site in &sites.slots {
            shares[usize::from(site)] += 1;
        }
        assert!(shares.iter().all(|&s| s > 0));
        assert!(shares.is_sorted_by(|a, b| a + 1 >= *b), "{shares:?}");
        assert_eq!(sites.other(3, 0), 0);
        assert_eq!(sites.other(0, 0), 1);
        assert_eq!(Sites::log_normal(1, 0.7).other(0, u64::MAX), 0);
    }
}
