//! Attacks on the longest chain by one miner with a share of the work, without delay: selfish mining
//! and the double spend with one block mined in advance.
//!
//! source: Eyal and Sirer, "Majority is not enough: Bitcoin mining is vulnerable", FC 2014,
//! algorithm 1; Rosenfeld, "Analysis of hashrate-based double spending", 2014, sections 2 and 3.
//!
//! Both are state machines over branches. Searches are memoryless and blocks are everywhere at once,
//! so that who finds the next block is a coin, and when plays no part: a race takes one draw a block.
//!
//! Selfish mining, with a private branch above the last block that all agree on:
//! - Upon finding a block: keep it. If that breaks a tie of two public branches, publish it.
//! - Upon another's block, by how far the private branch was ahead: not at all, adopt theirs; by one,
//!   publish all and race; by two, publish all and win; by more, publish as many blocks as they have.
//! - Of two public branches of one length others extend the attacker's with probability γ. Who
//!   extends it has agreed to it.
//!
//! Double spend: one block is mined in advance. The merchant waits for `confirmations` blocks on the
//! public chain, while the attacker extends its own; then it goes on until it is strictly longer,
//! which is success, or too far behind, which is giving up.
//!
//! The balance attack on LMD-GHOST, over one epoch, in which every key votes once, so that what counts is
//! the sum: two branches, A and B, and two halves of the honest, each of which is to see its own ahead when
//! it votes. The attacker keeps its keys' votes back, and casts them for either branch when they are needed.
//! - Upon a slot: of the others' keys that vote in it, a fair coin says which half each is in.
//! - With a boost, whoever is ahead gets it for the slot if an honest key proposes.
//! - Before they vote: show the half that would follow the other branch as many kept votes for its own as it
//!   lacks; of equal branches A is the head. If that many are not there, the balance is lost.
//! - After they voted: everybody knows all votes that were cast or shown.
//!
//! source: Neu, Tas and Tse, "Ebb-and-flow protocols: a resolution of the availability-finality dilemma",
//! IEEE S&P 2021, section 2.2 (the attack); Buterin, "Proposal for mitigation against balancing attacks to LMD
//! GHOST", 2020 (the boost).
//!
//! Beside each machine stands its exact law. The laws are not used by the machines.

use quorate_core::math::{exp, ln, ln_gamma, pow};
use quorate_core::{Draws, Seed};
use std::collections::BTreeMap;

/// Who found a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finder {
    /// The attacker.
    Attacker,
    /// Anybody else.
    Others,
}

impl Finder {
    /// The finder of the next block, when the attacker has a share `q` of the work.
    pub fn draw(q: f64, draws: &mut Draws) -> Self {
        if draws.chance(q) {
            Self::Attacker
        } else {
            Self::Others
        }
    }
}

/// Blocks by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Found by the attacker.
    pub attacker_found: u64,
    /// Found by others.
    pub others_found: u64,
    /// The attacker's on the chain that all agree on.
    pub attacker: u64,
    /// The others' there.
    pub others: u64,
    /// On neither branch any more.
    pub stale: u64,
}

impl Kept {
    /// The attacker's share of the chain.
    pub fn share(&self) -> f64 {
        self.attacker as f64 / (self.attacker + self.others) as f64
    }

    /// Stale blocks as a share of all that are settled.
    pub fn stale_share(&self) -> f64 {
        self.stale as f64 / (self.attacker + self.others + self.stale) as f64
    }

    /// Whether the attacker has a larger share of the chain than of the blocks found.
    pub fn pays(&self) -> bool {
        let found = self.attacker_found + self.others_found;
        let fair = self.attacker_found as f64 / found as f64;
        self.attacker > 0 && self.share() > fair
    }
}

/// A selfish miner and those it mines against.
#[derive(Clone, Debug)]
pub struct Selfish {
    /// Share of the others' work that extends the attacker's branch in a tie.
    gamma: f64,
    /// The attacker's blocks above the last one that all agree on.
    private: u64,
    /// How many of these the others know.
    published: u64,
    /// The others' blocks above it.
    public: u64,
    kept: Kept,
}

impl Selfish {
    /// Everybody agrees on the first block; `gamma` is a probability.
    pub fn new(gamma: f64) -> Self {
        Self {
            gamma,
            private: 0,
            published: 0,
            public: 0,
            kept: Kept::default(),
        }
    }

    /// The next block.
    pub fn found(&mut self, by: Finder, draws: &mut Draws) {
        match by {
            Finder::Attacker => self.on_own(),
            Finder::Others => self.on_others(draws),
        }
    }

    /// What is settled so far.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    fn on_own(&mut self) {
        self.kept.attacker_found += 1;
        let was_tie = self.private > 0 && self.private == self.public;
        self.private += 1;
        if was_tie {
            self.win();
        }
    }

    fn on_others(&mut self, draws: &mut Draws) {
        self.kept.others_found += 1;
        let tie = self.public > 0 && self.published == self.public;
        if tie && draws.chance(self.gamma) {
            // They build on what the attacker has published, which so becomes the chain of all.
            self.kept.attacker += self.published;
            self.kept.stale += self.public;
            self.private -= self.published;
            (self.published, self.public) = (0, 0);
        }
        let lead = self.private - self.public;
        self.public += 1;
        match lead {
            0 => self.adopt(),
            1 => self.published = self.private,
            2 => self.win(),
            _ => self.published = self.public,
        }
    }

    /// All is published and longer.
    fn win(&mut self) {
        self.kept.attacker += self.private;
        self.kept.stale += self.public;
        self.agree();
    }

    /// Gives the private branch up.
    fn adopt(&mut self) {
        self.kept.others += self.public;
        self.kept.stale += self.private;
        self.agree();
    }

    const fn agree(&mut self) {
        (self.private, self.published, self.public) = (0, 0, 0);
    }
}

/// Selfish mining with a share `alpha` of the work, for so many blocks.
pub fn selfish_mining(alpha: f64, gamma: f64, blocks: u64, seed: Seed) -> Kept {
    // Ties draw from a stream of their own, so that the finders are the same for every γ.
    let mut finders = seed.stream("finders", 0);
    let mut ties = seed.stream("ties", 0);
    let mut race = Selfish::new(gamma);
    for _ in 0..blocks {
        race.found(Finder::draw(alpha, &mut finders), &mut ties);
    }
    race.kept()
}

/// The attacker's share of the chain by SM1 with a share `alpha` of the work, below one half.
///
/// source: Eyal and Sirer 2014, equation 8.
pub fn selfish_law(alpha: f64, gamma: f64) -> f64 {
    let rest = 1.0 - alpha;
    let won = alpha * rest * rest * (4.0 * alpha + gamma * (1.0 - 2.0 * alpha));
    (won - alpha * alpha * alpha) / (1.0 - alpha * (1.0 + (2.0 - alpha) * alpha))
}

/// The share of all blocks that SM1 makes stale; how ties end changes whose they are, not how many.
///
/// source: the stationary distribution of Eyal and Sirer 2014, equations 2 to 5; each state's
/// settled blocks from their section 4.3.
pub fn selfish_stale_law(alpha: f64) -> f64 {
    let rest = 1.0 - alpha;
    let one =
        (alpha - 2.0 * alpha * alpha) / (1.0 - 4.0 * alpha * alpha + 2.0 * alpha * alpha * alpha);
    let (none, tie) = (one / alpha, one * rest);
    let two = one * alpha / rest;
    let longer = two * (alpha / rest) / (1.0 - alpha / rest);
    1.0 - (2.0 * tie + rest * (none + 2.0 * two + longer))
}

/// The least share of the work at which SM1 pays. source: Eyal and Sirer 2014, equation 9.
pub fn selfish_threshold_law(gamma: f64) -> f64 {
    (1.0 - gamma) / (3.0 - 2.0 * gamma)
}

/// Retarget periods, in time that they take at the nominal interval, until SM1 has earned as much as
/// honest mining; `None` where it never pays. Before the first retarget it earns less, since stale
/// blocks slow the chain; from then on its share counts.
///
/// source: own counting: with `s` the stale share and `R` that of the chain, the first period takes
/// 1/(1−s) and leaves it α/(1−s) − R behind; each later one regains R − α.
pub fn selfish_profit_law(alpha: f64, gamma: f64) -> Option<f64> {
    let (share, stale) = (selfish_law(alpha, gamma), selfish_stale_law(alpha));
    (share > alpha).then(|| share / (share - alpha) * stale / (1.0 - stale))
}

/// What a selfish miner has at the end of a retarget period.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Income {
    /// Time since the start, in nominal intervals.
    pub time: f64,
    /// Its blocks on the chain.
    pub blocks: u64,
}

/// By how much a retarget changes the difficulty at most. source: bitcoin/bitcoin `src/pow.cpp`,
/// `CalculateNextWorkRequired`.
const MOST_RETARGET: f64 = 4.0;

/// SM1 over so many retarget periods of `period` blocks each: the difficulty is right for all the
/// work at first, and changes only when the chain has grown by a period.
pub fn selfish_income(
    alpha: f64,
    gamma: f64,
    period: u64,
    periods: u32,
    seed: Seed,
) -> Vec<Income> {
    let mut finders = seed.stream("finders", 0);
    let mut ties = seed.stream("ties", 0);
    let mut gaps = seed.stream("gaps", 0);
    let mut race = Selfish::new(gamma);
    let (mut time, mut since, mut interval) = (0.0, 0.0, 1.0);
    let mut incomes = Vec::new();
    while incomes.len() < periods as usize {
        time -= interval * ln(gaps.open01());
        race.found(Finder::draw(alpha, &mut finders), &mut ties);
        let kept = race.kept();
        if kept.attacker + kept.others >= period * (incomes.len() as u64 + 1) {
            let blocks = kept.attacker;
            incomes.push(Income { time, blocks });
            let ratio = period as f64 / (time - since);
            interval *= ratio.clamp(1.0 / MOST_RETARGET, MOST_RETARGET);
            since = time;
        }
    }
    incomes
}

/// How a double spend stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// Not decided.
    Open,
    /// The merchant has accepted, and the attacker's branch is longer.
    Won,
    /// The attacker is too far behind and has given up.
    Lost,
}

/// One double spend.
#[derive(Clone, Debug)]
pub struct DoubleSpend {
    confirmations: u64,
    give_up: u64,
    attacker: u64,
    public: u64,
}

impl DoubleSpend {
    /// The payment is sent; the attacker has one block without it. It gives up when it is more than
    /// `give_up` blocks behind after the merchant has accepted.
    pub const fn new(confirmations: u32, give_up: u32) -> Self {
        Self {
            confirmations: confirmations as u64,
            give_up: give_up as u64,
            attacker: 1,
            public: 0,
        }
    }

    /// The next block, and how it stands then.
    pub fn found(&mut self, by: Finder) -> Attempt {
        match by {
            Finder::Attacker => self.attacker += 1,
            Finder::Others => self.public += 1,
        }
        self.stands()
    }

    /// How it stands.
    pub fn stands(&self) -> Attempt {
        if self.public < self.confirmations {
            Attempt::Open
        } else if self.attacker > self.public {
            Attempt::Won
        } else if self.public - self.attacker > self.give_up {
            Attempt::Lost
        } else {
            Attempt::Open
        }
    }
}

/// What became of many double spends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spends {
    /// Attempts.
    pub attempts: u64,
    /// Those that succeeded.
    pub won: u64,
    /// The attacker's blocks on branches that were given up, the one in advance included.
    pub wasted: u64,
    /// Public blocks that were reversed.
    pub reversed: u64,
}

/// So many double spends by an attacker with a share `q` of the work.
pub fn double_spends(
    q: f64,
    confirmations: u32,
    give_up: u32,
    attempts: u64,
    seed: Seed,
) -> Spends {
    let mut finders = seed.stream("finders", 0);
    let mut spends = Spends {
        attempts,
        ..Spends::default()
    };
    for _ in 0..attempts {
        let mut attempt = DoubleSpend::new(confirmations, give_up);
        let mut stands = attempt.stands();
        while stands == Attempt::Open {
            stands = attempt.found(Finder::draw(q, &mut finders));
        }
        if stands == Attempt::Won {
            spends.won += 1;
            spends.reversed += attempt.public;
        } else {
            spends.wasted += attempt.attacker;
        }
    }
    spends
}

/// The same for rare successes, by importance sampling: the mean of what this returns for each of
/// so many attempts is the exact chance of success, whatever the draws are tilted by.
///
/// Until the merchant accepts, both sides find every other block; then the attacker has the others'
/// share and they have its. Each block weighs as much as it is likelier in truth.
pub fn tilted_double_spends(
    q: f64,
    confirmations: u32,
    give_up: u32,
    attempts: u64,
    seed: Seed,
) -> impl Iterator<Item = f64> {
    let mut finders = seed.stream("tilted", 0);
    let p = 1.0 - q;
    (0..attempts).map(move |_| {
        let mut attempt = DoubleSpend::new(confirmations, give_up);
        let mut stands = attempt.stands();
        let mut weight = 1.0;
        while stands == Attempt::Open {
            let tilted = if attempt.public < attempt.confirmations {
                0.5
            } else {
                p
            };
            let by = Finder::draw(tilted, &mut finders);
            weight *= match by {
                Finder::Attacker => q / tilted,
                Finder::Others => p / (1.0 - tilted),
            };
            stands = attempt.found(by);
        }
        if stands == Attempt::Won { weight } else { 0.0 }
    })
}

/// The chance that a double spend succeeds when the attacker gives up as soon as it is more than
/// `give_up` blocks behind after the merchant has accepted: exact. Rosenfeld's formula
/// ([`quorate_core::finality::reversal_risk`]) is its limit for an attacker who never does.
///
/// While the others find `n` blocks the attacker finds `m`, negative binomial; it is then
/// `d = n − 1 − m` behind, and the gambler's ruin between one ahead and `give_up + 1` behind decides:
/// with `r = p/q`, `(r^(g+1−d) − 1) / (r^(g+2) − 1)`. source: Feller, "An Introduction to Probability
/// Theory and Its Applications" I, chapter XIV.
pub fn double_spend_law(q: f64, confirmations: u32, give_up: u32) -> f64 {
    let p = 1.0 - q;
    let n = confirmations;
    if n == 0 || q >= 1.0 {
        return 1.0;
    }
    if q <= 0.0 {
        return 0.0;
    }
    let found = |m: u32| {
        let choose = ln_gamma(f64::from(m + n)) - ln_gamma(f64::from(m) + 1.0);
        exp(choose - ln_gamma(f64::from(n)) + f64::from(n) * ln(p) + f64::from(m) * ln(q))
    };
    // Divided by the larger power, so that nothing overflows; q = 1/2 has a limit of its own.
    let ruin = |d: u32| {
        let (left, all) = (f64::from(give_up + 1 - d), f64::from(give_up + 2));
        let r = q / p;
        if (r - 1.0).abs() < 1e-9 {
            left / all
        } else {
            (pow(r, all - left) - pow(r, all)) / (1.0 - pow(r, all))
        }
    };
    let behind = (0..n).map(|m| (found(m), n - 1 - m));
    let open: f64 = behind
        .filter(|(_, d)| *d <= give_up)
        .map(|(chance, d)| chance * ruin(d))
        .sum();
    // Who found as many as the others is ahead already. Summed, not taken from one: nothing cancels.
    let mut ahead = 0.0;
    for m in n.. {
        let add = found(m);
        ahead += add;
        if add < ahead * 1e-17 || add < 1e-300 {
            break;
        }
    }
    open + ahead
}

/// A balance attack's parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Keys that vote in a slot.
    pub keys: u32,
    /// Those of them that are the attacker's.
    pub liars: u32,
    /// The proposer's boost, per cent of `keys`.
    pub boost_percent: u32,
    /// Slots for which the balance is to hold: those of an epoch, if it is not to be justified.
    pub slots: u32,
}

/// How a balance stands before a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Scales {
    /// Votes for A less those for B, as everybody knows them.
    ahead: i64,
    /// Votes that the attacker keeps.
    kept: i64,
}

impl Balance {
    /// Level, with the attacker's keys of the slot in which the two branches were made.
    pub const fn start(&self) -> Scales {
        Scales {
            ahead: 0,
            kept: self.liars as i64,
        }
    }

    /// What is shown before the votes of a slot whose proposer is honest or not; `None` when the balance is
    /// lost.
    fn show(&self, before: Scales, honest_proposer: bool) -> Option<Scales> {
        let boost = i64::from(self.boost_percent * self.keys / 100);
        let boost = if honest_proposer { boost } else { 0 };
        let seen = match before.ahead {
            d if d >= 0 => d + boost,
            d => d - boost,
        };
        // What each half lacks to follow its own branch.
        let (for_left, for_right) = ((-seen).max(0), (seen + 1).max(0));
        let kept = before.kept - for_left - for_right;
        (kept >= 0).then_some(Scales {
            ahead: before.ahead + for_left - for_right,
            kept,
        })
    }

    /// After the votes, when so many honest keys vote for A.
    fn vote(&self, shown: Scales, for_a: u32) -> Scales {
        let for_b = i64::from(self.keys - self.liars) - i64::from(for_a);
        Scales {
            ahead: shown.ahead + i64::from(for_a) - for_b,
            kept: shown.kept + i64::from(self.liars),
        }
    }

    /// For how many slots it holds, at most `slots`.
    pub fn play(&self, draws: &mut Draws) -> u32 {
        let (keys, mut scales) = (u64::from(self.keys), self.start());
        for slot in 0..self.slots {
            let honest_proposer = draws.below(keys) >= u64::from(self.liars);
            let halves = (self.liars..self.keys).filter(|_| draws.below(2) == 0);
            let for_a = halves.count() as u32;
            match self.show(scales, honest_proposer) {
                Some(shown) => scales = self.vote(shown, for_a),
                None => return slot,
            }
        }
        self.slots
    }

    /// The chance that it holds for all slots: the same rules, summed over all states.
    pub fn law(&self) -> f64 {
        let honest = self.keys - self.liars;
        let coin = |a: u32| {
            let (n, a) = (f64::from(honest), f64::from(a));
            let choose = ln_gamma(n + 1.0) - ln_gamma(a + 1.0) - ln_gamma(n - a + 1.0);
            exp(choose - n * core::f64::consts::LN_2)
        };
        // Beyond any digit that is shown.
        let coins = (0..=honest).map(|a| (a, coin(a))).filter(|c| c.1 > 1e-15);
        let coins: Vec<(u32, f64)> = coins.collect();
        let lies = f64::from(self.liars) / f64::from(self.keys);
        let proposers = [(true, 1.0 - lies), (false, lies)];
        let mut next: BTreeMap<Scales, f64> = BTreeMap::from([(self.start(), 1.0)]);
        let mut states = BTreeMap::new();
        // What was shown leaves few differences, so that the states after it are summed up.
        for slot in 0..self.slots {
            states = BTreeMap::new();
            for (scales, chance) in next {
                for (honest, share) in proposers {
                    if let Some(shown) = self.show(scales, honest) {
                        *states.entry(shown).or_default() += chance * share;
                    }
                }
            }
            next = BTreeMap::new();
            if slot + 1 == self.slots {
                break;
            }
            for (shown, chance) in &states {
                for (for_a, coin) in &coins {
                    *next.entry(self.vote(*shown, *for_a)).or_default() += chance * coin;
                }
            }
        }
        states.values().sum::<f64>().min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Finder::{Attacker as A, Others as O};

    /// The state after some blocks when ties go to the attacker's branch or never do.
    fn after(gamma: f64, finders: &[Finder]) -> Selfish {
        let mut draws = Seed::new(1, 0).stream("ties", 0);
        let mut race = Selfish::new(gamma);
        for by in finders {
            race.found(*by, &mut draws);
        }
        race
    }

    #[track_caller]
    fn settles(gamma: f64, finders: &[Finder], attacker: u64, others: u64, stale: u64) {
        let kept = after(gamma, finders).kept();
        let got = (kept.attacker, kept.others, kept.stale);
        assert_eq!(got, (attacker, others, stale), "{finders:?}");
        assert_eq!(
            kept.attacker_found + kept.others_found,
            finders.len() as u64
        );
    }

    /// Upon another's block without a private branch: adopt it.
    #[test]
    fn without_a_lead_it_follows() {
        settles(0.0, &[O, O], 0, 2, 0);
    }

    /// Upon another's block with a lead of one: race; the next block decides.
    #[test]
    fn a_lead_of_one_becomes_a_tie() {
        let race = after(0.0, &[A, O]);
        assert_eq!((race.private, race.published, race.public), (1, 1, 1));
        settles(0.0, &[A, O], 0, 0, 0);
        settles(0.0, &[A, O, A], 2, 0, 1);
        settles(0.0, &[A, O, O], 0, 2, 1);
        settles(1.0, &[A, O, O], 1, 1, 1);
    }

    /// Upon another's block with a lead of two: publish all and win.
    #[test]
    fn a_lead_of_two_wins() {
        settles(0.0, &[A, A], 0, 0, 0);
        settles(0.0, &[A, A, O], 2, 0, 1);
        settles(0.0, &[A, A, A, O, O], 3, 0, 2);
    }

    /// Upon another's block with a longer lead: publish as many as they have. Who builds on these has
    /// agreed to them; the lead is the same either way.
    #[test]
    fn a_longer_lead_shows_only_what_it_must() {
        let race = after(0.0, &[A, A, A, A, O]);
        assert_eq!((race.private, race.published, race.public), (4, 1, 1));
        let race = after(1.0, &[A, A, A, A, O, O]);
        assert_eq!((race.private, race.published, race.public), (3, 1, 1));
        settles(1.0, &[A, A, A, A, O, O], 1, 0, 1);
        settles(1.0, &[A, A, A, A, O, O, O], 4, 0, 3);
        settles(0.0, &[A, A, A, A, O, O, O], 4, 0, 3);
    }

    /// Every block is on the chain, stale, or still on one of the branches.
    #[test]
    fn blocks_are_conserved() {
        let mut draws = Seed::new(2, 0).stream("test", 0);
        let mut race = Selfish::new(0.4);
        for _ in 0..20_000 {
            race.found(Finder::draw(0.45, &mut draws), &mut draws);
            let kept = race.kept();
            let settled = kept.attacker + kept.others + kept.stale;
            assert_eq!(
                settled + race.private + race.public,
                kept.attacker_found + kept.others_found
            );
            assert!(race.published <= race.private);
        }
    }

    #[track_caller]
    fn stands(confirmations: u32, give_up: u32, finders: &[Finder], want: Attempt) {
        let mut attempt = DoubleSpend::new(confirmations, give_up);
        let last = finders.iter().map(|by| attempt.found(*by)).last();
        assert_eq!(last.unwrap_or_else(|| attempt.stands()), want);
    }

    /// The merchant's blocks decide when, the strictly longer branch whether.
    #[test]
    fn a_double_spend_waits_for_the_merchant_and_needs_to_be_longer() {
        stands(2, 9, &[A, A, A], Attempt::Open);
        stands(2, 9, &[A, A, O, O], Attempt::Won);
        stands(2, 9, &[A, O, O], Attempt::Open); // As long.
        stands(2, 9, &[A, O, O, A], Attempt::Won);
        stands(1, 2, &[O, O, O], Attempt::Open);
        stands(1, 2, &[O, O, O, O], Attempt::Lost);
        stands(0, 9, &[], Attempt::Won);
    }

    /// Eyal and Sirer 2014, equation 8, recomputed by hand: γ = 0, ½, 1.
    #[test]
    fn the_laws_of_selfish_mining() {
        for (alpha, shares) in [
            (0.10, [0.03564, 0.07242, 0.10919]),
            (0.25, [0.19512, 0.25, 0.30488]),
            (0.30, [0.27313, 0.32687, 0.38062]),
            (0.40, [0.48372, 0.52558, 0.56744]),
            (0.45, [0.65177, 0.68060, 0.70942]),
        ] {
            for (gamma, share) in [0.0, 0.5, 1.0].into_iter().zip(shares) {
                let law = selfish_law(alpha, gamma);
                assert!((law - share).abs() < 6e-6, "{alpha} {gamma}: {law}");
            }
        }
        for (alpha, stale) in [(0.25, 0.18), (0.3, 0.2118), (0.4, 0.2951), (0.45, 0.3657)] {
            assert!((selfish_stale_law(alpha) - stale).abs() < 6e-5, "{alpha}");
        }
        for gamma in [0.0, 0.25, 0.5, 0.9] {
            let least = selfish_threshold_law(gamma);
            assert!((selfish_law(least, gamma) - least).abs() < 1e-12);
            assert_eq!(selfish_profit_law(0.99 * least, gamma), None);
        }
    }

    /// Periods until it pays, from runs with a retarget: the slope between the first retarget and the
    /// last, and what was lost before.
    #[test]
    fn selfish_mining_pays_only_after_a_retarget() {
        let (alpha, gamma, period) = (0.4, 0.0, 2_016);
        let runs: Vec<_> = (0..12)
            .map(|i| selfish_income(alpha, gamma, period, 8, Seed::new(5, i)))
            .collect();
        let behind = |i: usize| {
            let of = |run: &Vec<Income>| alpha * run[i].time - run[i].blocks as f64;
            runs.iter().map(of).sum::<f64>() / runs.len() as f64 / period as f64
        };
        let first = alpha / (1.0 - selfish_stale_law(alpha)) - selfish_law(alpha, gamma);
        assert!((behind(0) - first).abs() < 0.02, "{} {first}", behind(0));
        let each = selfish_law(alpha, gamma) - alpha;
        let regained = (behind(0) - behind(7)) / 7.0;
        assert!((regained - each).abs() < 0.008, "{regained} {each}");
    }

    /// Without end the law is Rosenfeld's, with an end it is below; and the limits are right.
    #[test]
    fn the_law_of_the_double_spend() {
        use quorate_core::finality::reversal_risk;
        for q in [0.02, 0.1, 0.3, 0.4] {
            for n in [1, 2, 6, 10] {
                let (law, never) = (double_spend_law(q, n, 200), reversal_risk(q, n));
                assert!((law / never - 1.0).abs() < 1e-9, "{q} {n}: {law} {never}");
                assert!(double_spend_law(q, n, 3) < never);
            }
        }
        assert!((double_spend_law(0.3, 0, 5) - 1.0).abs() < 1e-12);
        // One confirmation and giving up when more than none behind: ahead at once with m ≥ 1, level
        // with m = 0, and then the next block decides.
        let law = double_spend_law(0.3, 1, 0);
        assert!((law - (0.3 + 0.7 * 0.3)).abs() < 1e-12, "{law}");
        assert!((double_spend_law(0.5, 1, 0) - 0.75).abs() < 1e-12);
    }

    /// Give-up rules that bite: the machine follows the exact law, not Rosenfeld's.
    #[test]
    fn the_double_spend_follows_its_law() {
        for (q, n, give_up) in [(0.3, 1, 0), (0.3, 3, 1), (0.45, 2, 4), (0.2, 1, 10)] {
            let attempts = 40_000;
            let spends = double_spends(q, n, give_up, attempts, Seed::new(8, 0));
            let law = double_spend_law(q, n, give_up);
            let four = 4.0 * (law * (1.0 - law) / attempts as f64).sqrt();
            let got = spends.won as f64 / attempts as f64;
            assert!((got - law).abs() < four, "{q} {n} {give_up}: {got} {law}");
        }
    }

    /// Importance sampling is exact: also where plain sampling would see nothing.
    #[test]
    fn tilted_double_spends_have_the_same_chance() {
        for (q, n, give_up) in [(0.3, 3, 2), (0.1, 2, 60), (0.1, 10, 60), (0.02, 4, 60)] {
            let attempts = 20_000;
            let seed = Seed::new(9, 0);
            let weights: Vec<f64> = tilted_double_spends(q, n, give_up, attempts, seed).collect();
            let mean = weights.iter().sum::<f64>() / attempts as f64;
            let square = weights.iter().map(|w| w * w).sum::<f64>() / attempts as f64;
            let four = 4.0 * ((square - mean * mean) / attempts as f64).sqrt();
            let law = double_spend_law(q, n, give_up);
            assert!((mean - law).abs() < four, "{q} {n} {give_up}: {mean} {law}");
            assert!(four < 0.3 * law, "{q} {n} {give_up}: ±{four} of {law}");
        }
    }

    /// Ten keys a slot, two of them the attacker's.
    const SCALES: Balance = Balance {
        keys: 10,
        liars: 2,
        boost_percent: 0,
        slots: 8,
    };

    #[test]
    fn a_balance_takes_what_each_half_lacks() {
        let at = |ahead, kept| Scales { ahead, kept };
        let slot = |balance: Balance, before, honest, for_a| {
            let shown = balance.show(before, honest)?;
            Some(balance.vote(shown, for_a))
        };
        // Level: only the half that prefers B lacks a vote, and that vote stays.
        assert_eq!(slot(SCALES, at(0, 2), true, 4), Some(at(-1, 3)));
        // Three behind: the half that prefers A lacks three to be level.
        assert_eq!(slot(SCALES, at(-3, 3), true, 5), Some(at(2, 2)));
        assert_eq!(slot(SCALES, at(-3, 2), true, 5), None);
        assert_eq!(slot(SCALES, at(3, 3), true, 4), None);
        assert_eq!(slot(SCALES, at(3, 4), true, 4), Some(at(-1, 2)));
        // A boost of four on whoever is ahead, but not from a lying proposer.
        let boosted = Balance {
            boost_percent: 40,
            ..SCALES
        };
        assert_eq!(slot(boosted, at(0, 4), true, 4), None);
        assert_eq!(slot(boosted, at(0, 5), true, 4), Some(at(-5, 2)));
        assert_eq!(slot(boosted, at(0, 2), false, 4), Some(at(-1, 3)));
    }

    #[test]
    fn balances_follow_their_law() {
        for (keys, liars, boost_percent) in [(10, 2, 0), (40, 6, 0), (40, 13, 20), (20, 9, 40)] {
            let balance = Balance {
                keys,
                liars,
                boost_percent,
                slots: 8,
            };
            let mut draws = Seed::new(4, 0).stream("test", 0);
            let runs = 10_000;
            let held = (0..runs).filter(|_| balance.play(&mut draws) == 8).count();
            let (got, law) = (held as f64 / f64::from(runs), balance.law());
            let four = 4.0 * (law * (1.0 - law) / f64::from(runs)).sqrt() + 1e-4;
            assert!((got - law).abs() < four, "{balance:?}: {got}, not {law}");
        }
    }

    /// With many keys a small share holds the balance, unless there is a boost.
    #[test]
    fn a_boost_ends_the_balance() {
        let of = |boost_percent| Balance {
            keys: 100,
            liars: 20,
            boost_percent,
            slots: 32,
        };
        assert!(of(0).law() > 0.95, "{}", of(0).law());
        assert!(of(40).law() < 1e-6, "{}", of(40).law());
    }
}
