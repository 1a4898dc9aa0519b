//! When a block of a proof-of-stake longest chain is settled, and the risk that it is not.
//!
//! source: Blum, Kiayias, Moore, Quader, Russell, "The combinatorics of the longest-chain rule",
//! SODA 2020, and Kiayias, Quader, Russell, "Consistency of proof-of-stake blockchains with
//! concurrent honest slot leaders", ICDCS 2020: reach, relative margin and their recurrences; David,
//! Gaži, Kiayias, Russell, "Ouroboros Praos", EUROCRYPT 2018: the reduction of a delay. Unlike the
//! race of proof of work it covers an adversary who may use one leadership on many chains.
//!
//! An active slot is `A` (the adversary leads, alone or not), `h` (one honest leader) or `H`
//! (several). With a delay of Δ slots an honest active slot that is followed by another active slot
//! within Δ slots counts as `A`: its block may come too late to be built upon. Gaps between active
//! slots are independent, so that the symbols are, too.
//!
//! The reach ρ is the adversary's best lead in private, the margin μ that of two chains which part
//! before the slot in question: `A` adds one to both; an honest slot takes one from ρ, not below
//! zero, and one from μ, except that μ = 0 stays under `h` while ρ > 0 and under `H` always, as the
//! adversary breaks ties. Before that slot ρ has its stationary distribution, and μ starts as ρ.
//! After n active slots the slot is not settled if μ ≥ 0 then or ever later. A chain of n blocks,
//! the slot's own included, needs n active slots: the number of slots is a sound depth.

use crate::math::{exp, ln, ln_1p, ln_gamma, pow};

/// Beyond this many active slots nothing is looked for.
/// assumption: 10,000 blocks, as for the race of proof of work; more than any rollback limit in use.
const MOST: u32 = 10_000;
/// Largest reach that is followed: what exceeds it counts as violated, an upper bound. A probability
/// that the adversary's lead is this large is 10^-13 at nine tenths of the limit of one half.
const MOST_REACH: usize = 256;
/// What is cut off weighs this much less than the risk that is looked for.
const CUT: f64 = 1e-7;
/// Risks after so many slots are exact up to this much; they are never too small.
const FLOOR: f64 = 1e-9;
/// What is this unlikely is not looked at closely: its whole weight counts as violated.
const NEVER: f64 = 1e-15;

/// The probabilities of the three kinds of active slot; they sum to one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Symbols {
    /// The adversary leads, or the block may come too late.
    pub adversarial: f64,
    /// One honest leader.
    pub unique: f64,
    /// Several honest leaders.
    pub several: f64,
}

impl Symbols {
    /// For an adversary with `share` of the stake, a share `f` of active slots (strictly between 0
    /// and 1), and blocks that cannot be built upon in the `delta` slots after their own. The honest
    /// stake is spread over many pools, the case with the fewest unique leaders.
    pub fn new(share: f64, f: f64, delta: u32) -> Self {
        let silent = pow(1.0 - f, share); // No leader is the adversary's.
        let honest = silent - (1.0 - f);
        // Poisson with mean λ = −(1 − share)·ln(1 − f): λ·e^−λ, times `silent`.
        let unique = -(1.0 - share) * ln_1p(-f) * (1.0 - f);
        let in_time = pow(1.0 - f, f64::from(delta)) / f;
        Self {
            adversarial: (1.0 - in_time * honest).clamp(0.0, 1.0),
            unique: in_time * unique,
            several: (in_time * (honest - unique)).max(0.0),
        }
    }

    /// The adversary's odds: the probability to make up one slot, ever.
    fn odds(&self) -> f64 {
        self.adversarial / (1.0 - self.adversarial)
    }
}

/// The joint law of reach and margin after so many active slots.
struct Margin {
    symbols: Symbols,
    /// The largest reach, and the depth below zero to which the margin is followed.
    reach: usize,
    /// Mass of (ρ, μ): a row for each ρ from 0, a column for each μ from −`reach`.
    mass: Vec<f64>,
    next: Vec<f64>,
    /// For each μ, the probability that it is or ever becomes at least zero.
    returns: Vec<f64>,
    /// What was cut off, at the most that it can contribute.
    lost: f64,
}

impl Margin {
    /// Before the slot in question; `symbols.adversarial` is below one half.
    fn new(symbols: Symbols, risk: f64) -> Self {
        let odds = symbols.odds();
        let wanted = ln(risk * CUT) / ln(odds);
        let reach = if wanted.is_finite() {
            wanted as usize + 1
        } else {
            1
        };
        let reach = reach.clamp(1, MOST_REACH);
        let width = 2 * reach + 1;
        let mut mass = vec![0.0; (reach + 1) * width];
        let mut tail = 1.0;
        for rho in 0..=reach {
            mass[rho * width + reach + rho] = tail * (1.0 - odds);
            tail *= odds;
        }
        let below = |column: usize| pow(odds, reach.saturating_sub(column) as f64);
        Self {
            symbols,
            reach,
            next: vec![0.0; mass.len()],
            mass,
            returns: (0..width).map(below).collect(),
            lost: tail,
        }
    }

    /// One more active slot.
    fn step(&mut self) {
        let (zero, width) = (self.reach, 2 * self.reach + 1);
        let Symbols {
            adversarial,
            unique,
            several,
        } = self.symbols;
        let honest = unique + several;
        self.next.fill(0.0);
        for rho in 0..=self.reach {
            let row = &self.mass[rho * width..][..width];
            if rho < self.reach {
                let up = &mut self.next[(rho + 1) * width..][..width];
                for (to, from) in up[1..].iter_mut().zip(row) {
                    *to += adversarial * from;
                }
            } else {
                self.lost += adversarial * row.iter().sum::<f64>();
            }
            let down = &mut self.next[rho.saturating_sub(1) * width..][..width];
            for (to, from) in down.iter_mut().zip(&row[1..]) {
                *to += honest * from;
            }
            // Below the last column: it returns with at most that probability.
            self.lost += honest * row[0] * self.returns[0] * self.symbols.odds();
            let stays = row[zero] * if rho > 0 { honest } else { several };
            down[zero - 1] -= stays;
            down[zero] += stays;
        }
        core::mem::swap(&mut self.mass, &mut self.next);
    }

    /// The probability that the margin is, or ever becomes, at least zero from here on.
    fn risk(&self) -> f64 {
        let row = |row: &[f64]| -> f64 { row.iter().zip(&self.returns).map(|(m, r)| m * r).sum() };
        let followed: f64 = self.mass.chunks_exact(self.returns.len()).map(row).sum();
        (followed + self.lost).min(1.0)
    }
}

/// The fewest active slots, the block's own included, and hence the fewest blocks, at which the risk
/// of a reversal is below `risk`. `None` when adversarial slots are half or more, or the number is
/// beyond any use (10,000).
pub fn settlement_depth(share: f64, f: f64, delta: u32, risk: f64) -> Option<u32> {
    let symbols = Symbols::new(share, f, delta);
    if symbols.adversarial >= 0.5 {
        return None;
    }
    // In a string of as many adversarial as honest slots a private chain alone wins.
    let (most, half) = (u64::from(MOST), u64::from(MOST / 2));
    if binomial(most, half, symbols.adversarial) >= risk {
        return None;
    }
    let mut margin = Margin::new(symbols, risk);
    (1..=MOST).find(|_| {
        margin.step();
        margin.risk() < risk
    })
}

/// The probability that a slot is reversed after `active` active slots, its own included, or ever
/// later: an upper bound that exceeds the model's exact value by less than 10^-9 while adversarial
/// slots are fewer than nine in twenty.
pub fn settlement_risk(share: f64, f: f64, delta: u32, active: u32) -> f64 {
    let symbols = Symbols::new(share, f, delta);
    if symbols.adversarial >= 0.5 {
        return 1.0;
    }
    let mut margin = Margin::new(symbols, FLOOR);
    for _ in 0..active {
        margin.step();
    }
    margin.risk()
}

/// The probability that a block is reversed once `slots` slots have passed since its own, or ever
/// later.
///
/// The mean over the active slots among them, N, which is binomial: exact without delay. With a
/// delay N and the symbols both depend on the gaps. Longer ones mean a smaller N and fewer
/// adversarial symbols, so that few slots come with a smaller risk than the mean supposes: it errs
/// to the safe side where the risk is small (measured against played strings in the tests).
pub fn settlement_risk_after(share: f64, f: f64, delta: u32, slots: u64) -> f64 {
    let symbols = Symbols::new(share, f, delta);
    if symbols.adversarial >= 0.5 {
        return 1.0;
    }
    let mut margin = Margin::new(symbols, FLOOR);
    let (mut fewer, mut total) = (0.0, 0.0);
    for others in 0..=slots {
        margin.step();
        let exactly = binomial(slots, others, f);
        fewer += exactly;
        let last = others == u64::from(MOST);
        // So few active slots hardly ever: not worth a look but now and then.
        if exactly < NEVER && fewer < 0.5 && !last && others % 64 > 0 {
            total += exactly;
            continue;
        }
        let risk = margin.risk();
        total += exactly * risk;
        let more = (1.0 - fewer).max(0.0);
        if more < NEVER || risk < NEVER || last {
            return (total + more.min(risk)).min(1.0);
        }
    }
    total.min(1.0)
}

/// `C(n, k)·f^k·(1 − f)^(n−k)`.
fn binomial(n: u64, k: u64, f: f64) -> f64 {
    let (n, k) = (n as f64, k as f64);
    let choose = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
    exp(choose + k * ln(f) + (n - k) * ln_1p(-f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::sqrt;
    use crate::{Draws, Seed, dist};

    /// Strings that are played.
    const N: f64 = 2_000.0;

    /// One slot: whether the adversary leads, and how many others do.
    fn slot(share: f64, f: f64, draws: &mut Draws) -> (bool, u64) {
        let corrupt = draws.chance(1.0 - pow(1.0 - f, share));
        (corrupt, dist::poisson(-(1.0 - share) * ln_1p(-f), draws))
    }

    /// The symbols of a string of slots by the letter: each with its slot's number.
    fn symbols(slots: &[(bool, u64)], delta: usize) -> Vec<(usize, char)> {
        let is_active = |s: &(bool, u64)| s.0 || s.1 > 0;
        let symbol = |(at, s): (usize, &(bool, u64))| {
            let soon = &slots[at + 1..slots.len().min(at + 1 + delta)];
            let late = soon.iter().any(is_active);
            let kind = match s {
                (true, _) => 'A',
                _ if late => 'A',
                (_, 1) => 'h',
                _ => 'H',
            };
            (at, kind)
        };
        let active = slots.iter().enumerate().filter(|(_, s)| is_active(s));
        active.map(symbol).collect()
    }

    /// In one long string: the last violation of active slot number `first`, as the number of active
    /// slots, its own included, and as the distance in slots; zero for none.
    fn last_violation(string: &[(usize, char)], first: usize) -> (u32, usize) {
        let mut reach = 0_i64;
        for (_, kind) in &string[..first] {
            reach = if *kind == 'A' {
                reach + 1
            } else {
                (reach - 1).max(0)
            };
        }
        let mut margin = reach;
        let mut last = (0, 0);
        for (n, (at, kind)) in (1..).zip(&string[first..]) {
            margin += match (kind, margin) {
                ('A', _) => 1,
                ('H', 0) => 0,
                ('h', 0) if reach > 0 => 0,
                _ => -1,
            };
            reach = if *kind == 'A' {
                reach + 1
            } else {
                (reach - 1).max(0)
            };
            if margin >= 0 {
                // Until the next active slot it is still this many.
                let until = string.get(first + n as usize).map_or(*at, |s| s.0 - 1);
                last = (n, until - string[first].0);
            }
        }
        last
    }

    fn trials(share: f64, f: f64, delta: usize, n: u32) -> Vec<(u32, usize)> {
        let mut draws = Seed::new(5, delta as u32).stream("settlement", 0);
        let all = (450.0 / f) as usize;
        (0..n)
            .map(|_| {
                let slots: Vec<_> = (0..all).map(|_| slot(share, f, &mut draws)).collect();
                last_violation(&symbols(&slots, delta), 150)
            })
            .collect()
    }

    fn close(got: f64, want: f64, n: f64, what: &str) {
        let band = 4.0 * sqrt(want * (1.0 - want) / n);
        assert!(
            (got - want).abs() < band,
            "{what}: {got} is not {want} ± {band}"
        );
    }

    /// Strings of slots, played by the letter from a long past into a long future, know neither
    /// the stationary reach nor the chance of a return nor any truncation.
    #[test]
    fn risk_is_what_long_strings_show() {
        for (share, f, delta) in [(0.3, 0.3, 0), (0.1, 0.5, 0), (0.1, 0.2, 1), (0.05, 0.1, 3)] {
            let last = trials(share, f, delta as usize, N as u32);
            for active in [1, 3, 10, 30] {
                let worse = last.iter().filter(|l| l.0 >= active).count() as f64 / N;
                let want = settlement_risk(share, f, delta, active);
                close(worse, want, N, &format!("{share}, {f}, {delta}, {active}"));
            }
        }
    }

    /// By time: exact without delay; with it not below what happens, and not far above.
    #[test]
    fn risk_after_a_wait_is_exact_or_on_the_safe_side() {
        for (share, f, delta) in [(0.3, 0.3, 0), (0.1, 0.2, 1), (0.05, 0.1, 3)] {
            let last = trials(share, f, delta as usize, N as u32);
            for slots in [1, 20, 80, 160] {
                let want = settlement_risk_after(share, f, delta, slots);
                let violated = last.iter().filter(|l| l.0 > 0 && l.1 as u64 >= slots);
                let got = violated.count() as f64 / N;
                if delta == 0 {
                    close(got, want, N, "exact");
                    continue;
                }
                let noise = 4.0 * sqrt(want * (1.0 - want) / N);
                let fits = got < want + noise && got > 0.6 * want - noise;
                assert!(fits, "{share}, {delta}, {slots}: {got} against {want}");
            }
        }
    }

    #[test]
    fn symbols_are_those_of_the_lottery() {
        let s = Symbols::new(0.3, 0.05, 0);
        // source: validation of phi(0.3) = 0.0152702 at f = 0.05.
        assert!((s.adversarial - 0.015_270_2 / 0.05).abs() < 1e-5);
        assert!((s.adversarial + s.unique + s.several - 1.0).abs() < 1e-12);
        // Of all slots with honest stake only, 2.54 % have several leaders.
        let honest = Symbols::new(0.0, 0.05, 0);
        assert!(honest.adversarial < 1e-12 && (honest.several - 0.025_427_4).abs() < 1e-6);
        // Two slots of silence have probability 0.95².
        let slow = Symbols::new(0.0, 0.05, 2);
        assert!((slow.unique + slow.several - 0.9025).abs() < 1e-12);
    }

    /// Gambler's ruin, by hand: after one slot the margin is at least 0, or −1 and returns with the
    /// adversary's odds.
    #[test]
    fn the_first_slot_is_gambler_s_ruin() {
        for (share, f) in [(0.3, 0.05), (0.01, 0.05), (0.2, 1e-6)] {
            let s = Symbols::new(share, f, 0);
            let odds = s.odds();
            let down = (1.0 - odds) * s.unique;
            let want = 1.0 - down + down * odds;
            let got = settlement_risk(share, f, 0, 1);
            assert!((got - want).abs() < 1e-11, "{got} is not {want}");
        }
        // Without a slot nothing is settled.
        assert!((settlement_risk(0.2, 0.05, 0, 0) - 1.0).abs() < 1e-12);
        // Nobody against it and hardly anybody at the same time: the first slot settles.
        assert!(settlement_risk(0.0, 1e-6, 0, 1) < 1e-6);
    }

    /// The plainest attack, one private chain, in closed form: it leads by the stationary reach, wins
    /// or loses one with each slot, and a deficit of j is ever made up with `odds^j`. The adversary
    /// of the margin, who may use a slot on two chains, does better.
    #[test]
    fn a_private_chain_does_no_better() {
        let s = Symbols::new(0.3, 0.05, 0);
        let (a, odds) = (s.adversarial, s.odds());
        for n in [2, 10, 40, 120] {
            let mut private = 0.0;
            for (lead, wins) in (0..80).flat_map(|lead| (0..=n).map(move |wins| (lead, wins))) {
                let behind = (n as i32 - 2 * wins as i32 - lead).max(0);
                let led = (1.0 - odds) * pow(odds, f64::from(lead));
                private += led * binomial(n, wins, a) * pow(odds, f64::from(behind));
            }
            let got = settlement_risk(0.3, 0.05, 0, n as u32);
            assert!(got > private, "{n}: {got} and {private}");
        }
    }

    #[test]
    fn more_of_what_hurts_takes_more_depth() {
        let depth = |share, delta, risk| settlement_depth(share, 0.05, delta, risk);
        let increasing = |depths: &[Option<u32>]| {
            assert!(depths.windows(2).all(|w| w[0] < w[1]), "{depths:?}");
        };
        increasing(&[0.0, 0.1, 0.2, 0.3, 0.4].map(|share| depth(share, 0, 1e-6)));
        increasing(&[0, 1, 2, 3].map(|delta| depth(0.25, delta, 1e-6)));
        increasing(&[1e-2, 1e-3, 1e-6, 1e-9].map(|risk| depth(0.25, 1, risk)));
        assert_eq!(depth(0.5, 0, 1e-3), None);
        assert_eq!(depth(0.25, 9, 1e-3), None);
        let risks: Vec<f64> = (0..40).map(|n| settlement_risk(0.3, 0.05, 1, n)).collect();
        assert!(risks.windows(2).all(|w| w[0] >= w[1]), "{risks:?}");
        let n = depth(0.3, 1, 1e-3).expect("a minority");
        assert!(settlement_risk(0.3, 0.05, 1, n) < 1e-3);
        assert!(settlement_risk(0.3, 0.05, 1, n - 1) >= 1e-3);
        let waits = [0, 600, 3_600, 36_000].map(|w| settlement_risk_after(0.25, 0.05, 1, w));
        assert!(waits.windows(2).all(|w| w[0] > w[1]), "{waits:?}");
        assert!((settlement_risk_after(0.5, 0.05, 0, 1) - 1.0).abs() < 1e-12);
    }
}
