//! What "final" means, and the risk that it does not hold.

use crate::Span;
use crate::math::{exp, ln, ln_gamma, pow, sqrt};

/// How an engine's blocks become final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finality {
    /// The protocol itself commits; see `Effect::Commit`.
    Commit,
    /// The same, but only as long as messages arrive in time: two nodes may commit different blocks.
    /// Such a conflict is a result of the protocol, counted as reversed after final, and no violation
    /// of what it promised.
    Conditional,
    /// Never, strictly: a block counts as safe and as final under that many blocks, itself
    /// included. Derived from the adopted heads.
    Depth {
        /// Confirmations at the weaker risk.
        safe: u32,
        /// Confirmations at the headline risk.
        fin: u32,
    },
}

/// The one adversary that every engine is held against.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adversary {
    /// Share of the work or stake that it controls, below one half.
    pub share: f64,
    /// Reversal risk at which a block counts as final.
    pub risk: f64,
    /// Reversal risk at which a block counts as safe.
    pub safe_risk: f64,
    /// Mean latency of a link. Engines multiply it by the crossings that a new block needs: until
    /// then honest producers build on the old one, which slows them but not the adversary.
    pub delay: Span,
}

impl Adversary {
    /// The adversary's share of the growth of chains: honest producers lose the time in which they
    /// still build on the old head, `1/(1 + p·D/T)` of their pace; the adversary, who owns one
    /// machine, loses nothing. source: the growth 1/(T + D) of a chain with constant delay, as in
    /// Decker and Wattenhofer, "Information Propagation in the Bitcoin Network", 2013.
    pub fn effective_share(&self, interval: Span) -> f64 {
        let honest = 1.0 - self.share;
        let waste = honest * self.delay.as_s() / interval.as_s();
        self.share / (self.share + honest / (1.0 + waste))
    }

    /// Finality by depth at this adversary's two risks, for blocks every `interval` on average.
    ///
    /// # Errors
    /// When the effective share is one half or more: no depth is ever final.
    pub fn depths(&self, interval: Span) -> Result<Finality, String> {
        let q = self.effective_share(interval);
        let of = |risk: f64| confirmations(q, risk);
        match (of(self.safe_risk), of(self.risk)) {
            (Some(safe), Some(fin)) => Ok(Finality::Depth { safe, fin }),
            _ => Err(format!(
                "an adversary with {:.1} % of the work (corrected for delay) reverses any depth",
                100.0 * q
            )),
        }
    }

    /// The risk of a reversal when the sender has waited for `waited` since the transaction was in
    /// a block, with blocks every `interval` on average. `risk` and `safe_risk` play no part.
    pub fn risk_after(&self, waited: Span, interval: Span) -> f64 {
        if self.share <= 0.0 {
            return 0.0;
        }
        let q = self.effective_share(interval);
        // Delay slows the honest, not the adversary: fewer blocks in all, q of them its own.
        let blocks = waited.as_s() / interval.as_s() * self.share / q;
        reversal_risk_after(q, blocks)
    }
}

/// The probability that an adversary with share `q` of the work reverses a block under `n`
/// confirmations, when it has mined one block in advance and never gives up:
/// `1 − Σ_{m=0..n} C(m+n−1, m)·(pⁿqᵐ − pᵐqⁿ)`, the exact law of the race.
///
/// source: Rosenfeld, "Analysis of hashrate-based double spending", 2014, equation 1.
pub fn reversal_risk(q: f64, n: u32) -> f64 {
    if q >= 0.5 {
        return 1.0;
    }
    if n == 0 || q <= 0.0 {
        return f64::from(u8::from(n == 0));
    }
    // The complement of the formula, summed as tails: 1 − Σ C·pⁿqᵐ is a negative-binomial tail and
    // Σ C·pᵐqⁿ its mirror, so that no digits cancel at small risks.
    let p = 1.0 - q;
    let n_f = f64::from(n);
    let term = |m: u32, a: f64, b: f64| {
        let m_f = f64::from(m);
        let choose = ln_gamma(m_f + n_f) - ln_gamma(m_f + 1.0) - ln_gamma(n_f);
        exp(choose + n_f * ln(a) + m_f * ln(b))
    };
    let mirror: f64 = (0..=n).map(|m| term(m, q, p)).sum();
    let mut tail = 0.0;
    for m in n + 1.. {
        let add = term(m, p, q);
        tail += add;
        if add < tail * 1e-17 || add < 1e-300 {
            break;
        }
    }
    (mirror + tail).min(1.0)
}

/// The probability that an adversary with share `q` of the growth of chains reverses a block after a
/// wait in which both sides together find `blocks` blocks on average: [`reversal_risk`] by time
/// instead of confirmations, and equal to it for one confirmation when the wait is zero.
///
/// When the block is found, the adversary has one block in advance and what it found meanwhile,
/// geometric. During the wait both find Poisson numbers; then a deficit of `j` blocks to being
/// strictly ahead is ever made up with `(q/p)^j`.
pub fn reversal_risk_after(q: f64, blocks: f64) -> f64 {
    if q >= 0.5 {
        return 1.0;
    }
    if q <= 0.0 {
        return 0.0;
    }
    let blocks = blocks.min(LONGEST_WAIT);
    let honest = poisson(blocks * (1.0 - q));
    caught_up(q, &honest, &poisson(blocks * q))
}

/// Blocks of a wait beyond which the risk is not followed; it only falls.
const LONGEST_WAIT: f64 = 1e6;

/// The probability that the adversary is ever strictly ahead of a block, when `honest[h]` is the
/// probability of h blocks on top of it and `adversary[a]` that of the adversary's since then.
fn caught_up(q: f64, honest: &[f64], adversary: &[f64]) -> f64 {
    let (p, ratio) = (1.0 - q, q / (1.0 - q));
    // What the adversary has besides its one block in advance: also what it found before the block.
    // Sixty more values than the geometric part needs to fall below 2^-60 at q = 1/2.
    let len = honest.len().max(adversary.len()) + 60;
    let mut before = 0.0;
    let mut found: Vec<f64> = (0..len)
        .map(|m| {
            before = q * before + p * adversary.get(m).copied().unwrap_or(0.0);
            before
        })
        .collect();
    let mut behind = 0.0;
    let missed: Vec<f64> = found
        .iter()
        .map(|mass| {
            behind = ratio * (behind + mass);
            behind
        })
        .collect();
    // From the end, so that small tails keep their digits.
    for m in (0..len - 1).rev() {
        found[m] += found[m + 1];
    }
    let won = |h: usize| found[h + 1] + missed[h];
    let risk: f64 = honest
        .iter()
        .enumerate()
        .map(|(h, mass)| mass * won(h))
        .sum();
    risk.min(1.0)
}

/// The probabilities of 0, 1, 2, … under a Poisson law, until they vanish.
fn poisson(mean: f64) -> Vec<f64> {
    if mean <= 0.0 {
        return vec![1.0];
    }
    let len = (mean + 12.0 * sqrt(mean) + 60.0) as u32;
    let term = |k: f64| exp(k * ln(mean) - mean - ln_gamma(k + 1.0));
    (0..len).map(|k| term(f64::from(k))).collect()
}

/// The fewest confirmations at which the reversal risk is below `risk`; `None` when `q` is half or
/// more, or the number is beyond any use (10,000).
pub fn confirmations(q: f64, risk: f64) -> Option<u32> {
    if q >= 0.5 {
        return None;
    }
    let (mut low, mut high) = (1, 10_000);
    if reversal_risk(q, high) >= risk {
        return None;
    }
    // The risk falls with every confirmation, so that bisection finds the first below.
    while low < high {
        let mid = u32::midpoint(low, high);
        if reversal_risk(q, mid) < risk {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    Some(low)
}

/// Nakamoto's approximation: the probability to catch up from `z` behind. An analytic function
/// only; a simulated race yields [`reversal_risk`].
///
/// source: Nakamoto, "Bitcoin: A Peer-to-Peer Electronic Cash System", 2008, section 11.
pub fn nakamoto_risk(q: f64, z: u32) -> f64 {
    let p = 1.0 - q;
    let lambda = f64::from(z) * q / p;
    let mut poisson = exp(-lambda);
    let mut sum = 1.0;
    for k in 0..=z {
        sum -= poisson * (1.0 - pow(q / p, f64::from(z - k)));
        poisson *= lambda / f64::from(k + 1);
    }
    sum
}

/// Which notion of "done" a latency or a view refers to.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize,
)]
pub enum Level {
    /// In a block that the observer holds on its head's chain.
    Included,
    /// The protocol's weaker notion.
    Safe,
    /// Irrevocable by the protocol's rule, or at the headline risk.
    Final,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Self; 3] = [Self::Included, Self::Safe, Self::Final];

    /// The name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Safe => "safe",
            Self::Final => "final",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, digits: f64) {
        assert!((got - want).abs() < digits, "{got} is not {want}");
    }

    /// source: Rosenfeld 2014, table 1 (percent).
    #[test]
    fn race_matches_the_exact_table() {
        for (q, n, percent) in [
            (0.02, 2, 0.237),
            (0.10, 1, 20.0),
            (0.10, 2, 5.6),
            (0.10, 6, 0.059),
            (0.15, 5, 1.126),
            (0.20, 10, 0.316),
            (0.25, 10, 1.781),
            (0.30, 6, 15.645),
            (0.40, 10, 37.218),
            (0.45, 4, 78.342),
        ] {
            close(100.0 * reversal_risk(q, n), percent, 0.000_51);
        }
    }

    #[test]
    fn confirmations_for_one_in_a_thousand() {
        let table = [
            (0.10, 6),
            (0.15, 9),
            (0.20, 13),
            (0.25, 20),
            (0.30, 32),
            (0.35, 58),
            (0.40, 133),
        ];
        for (q, n) in table {
            assert_eq!(confirmations(q, 1e-3), Some(n), "q = {q}");
        }
        assert_eq!(confirmations(0.5, 1e-3), None);
    }

    /// source: Nakamoto 2008, section 11, the two printed tables.
    #[test]
    fn approximation_matches_the_paper() {
        for (q, z, p) in [
            (0.1, 0, 1.0),
            (0.1, 5, 0.000_913_7),
            (0.1, 10, 0.000_001_2),
            (0.3, 5, 0.177_352_3),
            (0.3, 50, 0.000_000_6),
        ] {
            close(nakamoto_risk(q, z), p, 0.000_000_06);
        }
    }

    /// Averaged over how long n − 1 further blocks take, a wait is n confirmations.
    #[test]
    fn the_race_by_time_averages_to_the_race_by_blocks() {
        for (q, n) in [(0.1, 2), (0.3, 4), (0.4, 10)] {
            // The time is Erlang(n − 1, p); what the adversary finds in it, averaged by Simpson.
            let (p, further) = (1.0 - q, n - 1);
            let steps = 4_000_u32;
            let width = 90.0 / f64::from(steps);
            let mut adversary = vec![0.0; 200];
            for step in 1..=steps {
                let x = f64::from(step) * width;
                let simpson = if step == steps {
                    1.0
                } else {
                    f64::from(2 + 2 * (step % 2))
                };
                let log = f64::from(further) * ln(p) + f64::from(further - 1) * ln(x) - p * x;
                let weight = simpson * width / 3.0 * exp(log - ln_gamma(f64::from(further)));
                for (sum, mass) in adversary.iter_mut().zip(poisson(q * x)) {
                    *sum += weight * mass;
                }
            }
            // At time zero the density of one block is p.
            if further == 1 {
                adversary[0] += p * width / 3.0;
            }
            let mut honest = vec![0.0; n as usize];
            honest[further as usize] = 1.0;
            close(caught_up(q, &honest, &adversary), reversal_risk(q, n), 1e-6);
        }
        close(reversal_risk_after(0.3, 0.0), reversal_risk(0.3, 1), 1e-12);
    }

    /// Races played block by block: who finds the next one is a coin, when is a clock.
    #[test]
    fn the_race_by_time_is_what_played_races_show() {
        let mut draws = crate::Seed::new(3, 0).stream("race", 0);
        for (q, blocks) in [(0.1, 0.0), (0.25, 4.0), (0.4, 20.0)] {
            let n = 40_000;
            let won = (0..n).filter(|_| plays(q, blocks, &mut draws)).count();
            let want = reversal_risk_after(q, blocks);
            let band = 4.0 * sqrt(want * (1.0 - want) / f64::from(n));
            close(won as f64 / f64::from(n), want, band);
        }
    }

    fn plays(q: f64, blocks: f64, draws: &mut crate::Draws) -> bool {
        let mut lead = 1_i32; // The adversary's block in advance.
        while draws.chance(q) {
            lead += 1;
        }
        lead -= 1; // The block in question.
        let mut clock = crate::dist::exponential(1.0, draws);
        while clock < blocks || (-80..=0).contains(&lead) {
            lead += if draws.chance(q) { 1 } else { -1 };
            clock += crate::dist::exponential(1.0, draws);
        }
        lead > 0
    }

    #[test]
    fn waiting_helps_and_delay_hurts() {
        let risk = |share, waited, ms| {
            let adversary = Adversary {
                share,
                risk: 0.0,
                safe_risk: 0.0,
                delay: Span::from_ms(ms),
            };
            adversary.risk_after(Span::from_s(waited), Span::from_s(15))
        };
        assert!(risk(0.25, 60, 0) > risk(0.25, 600, 0));
        assert!(risk(0.25, 600, 1_500) > risk(0.25, 600, 0));
        assert!(risk(0.25, 36_000_000, 0) < 1e-30);
        close(risk(0.0, 0, 0) + risk(1.0, 5, 0), 1.0, 1e-12);
        // Without delay the adversary's blocks and the others' come at q and p.
        close(risk(0.25, 600, 0), reversal_risk_after(0.25, 40.0), 1e-12);
    }

    #[test]
    fn delay_helps_the_adversary() {
        let with = |ms| Adversary {
            share: 0.25,
            risk: 1e-6,
            safe_risk: 1e-3,
            delay: Span::from_ms(ms),
        };
        let interval = Span::from_s(15);
        close(with(0).effective_share(interval), 0.25, 1e-12);
        assert!(with(1_500).effective_share(interval) > 0.26);
        assert_eq!(
            with(0).depths(interval),
            Ok(Finality::Depth { safe: 20, fin: 42 })
        );
        let hopeless = Adversary {
            share: 0.49,
            ..with(15_000)
        };
        assert!(hopeless.depths(interval).is_err());
    }
}
