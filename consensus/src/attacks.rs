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

use quorate_core::{Draws, Seed};

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

/// How many of so many double spends succeed, for an attacker with a share `q` of the work.
pub fn double_spends(q: f64, confirmations: u32, give_up: u32, attempts: u64, seed: Seed) -> u64 {
    let mut finders = seed.stream("finders", 0);
    let succeeds = |finders: &mut Draws| {
        let mut attempt = DoubleSpend::new(confirmations, give_up);
        let mut stands = attempt.stands();
        while stands == Attempt::Open {
            stands = attempt.found(Finder::draw(q, finders));
        }
        stands == Attempt::Won
    };
    (0..attempts).filter(|_| succeeds(&mut finders)).count() as u64
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
}
