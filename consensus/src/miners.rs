//! Miners without a network of nodes: a shortcut past the kernel for studies of forks.
//!
//! Under [`Nakamoto`] with `relay = "direct"` and a fixed difficulty a block is at every other miner
//! one delay after it was found. Finds do not depend on heads (the search is memoryless, and its
//! draws are the miner's own), so that nothing has to be queued but the next find of each miner: the
//! parent of a block is the highest block that its finder has by then, of equally high ones the
//! first that it had.
//!
//! The same as a run of the kernel, bit for bit and from the same streams, where nothing is
//! submitted, links have no limit and no jitter, checks cost nothing, and no fault is planned. What
//! the shortcut cannot do it refuses.

use crate::nakamoto::{Config, Nakamoto, RelayRule, Validation};
use quorate_core::{Draws, Engine, Invalid, Seed, Span, Time, dist};

/// An engine whose forks can be had without the kernel.
pub trait MinersOnly: Engine {
    /// Runs until `horizon`. `delays[a][b]` is what a block of miner `a` takes to miner `b`; no detour
    /// may be shorter, lest a block be somewhere before its parent.
    ///
    /// # Errors
    /// Names the key that asks for more than this form can do, or `delays`.
    fn mine(
        config: &Self::Config,
        delays: &[Vec<Span>],
        horizon: Time,
        seed: Seed,
    ) -> Result<Forks, Invalid>;
}

/// What miners found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forks {
    /// Length of the longest chain, the genesis block not counted.
    pub height: u64,
    /// Blocks that each miner found.
    pub found: Vec<u64>,
    /// Those of them on the longest chain; of equally long ones, on the first.
    pub kept: Vec<u64>,
}

impl Forks {
    /// Blocks that were found for nothing.
    pub fn stale(&self) -> u64 {
        self.found.iter().sum::<u64>() - self.height
    }
}

impl MinersOnly for Nakamoto {
    fn mine(
        config: &Config,
        delays: &[Vec<Span>],
        horizon: Time,
        seed: Seed,
    ) -> Result<Forks, Invalid> {
        let n = delays.len() as u32;
        Self::validate(config, n)?;
        check(config, delays)?;
        let committee = Self::committee(config, n);
        let mean = |miner| {
            let share = committee.weight(miner) as f64 / committee.total() as f64;
            Span::from_s_f64(config.block_interval_s).as_s() / share
        };
        let miners = committee.members().map(|miner| Miner {
            mean: mean(miner),
            draws: seed.stream("engine", u64::from(miner.get())),
        });
        let mut race = Race::new(miners.collect(), delays);
        race.run(horizon.ns());
        Ok(race.end())
    }
}

fn check(config: &Config, delays: &[Vec<Span>]) -> Result<(), Invalid> {
    let refuse = |key, why: &str, hint: &str| {
        Err(Invalid {
            key,
            why: why.to_owned(),
            hint: hint.to_owned(),
        })
    };
    if config.relay != RelayRule::Direct || config.relay_network {
        let hint = "set relay = \"direct\" without a relay network, or run the kernel";
        return refuse("relay", "others than the finder relay a block", hint);
    }
    if config.retarget_blocks > 0 {
        let hint = "set it to 0, or run the kernel";
        return refuse("retarget_blocks", "the difficulty changes", hint);
    }
    if config.validation != Validation::Execution {
        let hint = "set validation = \"execution\", or run the kernel";
        return refuse("validation", "checking a header takes time", hint);
    }
    let n = delays.len();
    if delays.iter().any(|row| row.len() != n) {
        return refuse(
            "delays",
            "not a square matrix",
            "name a delay for each pair",
        );
    }
    let detour = |a: usize, b: usize, by: usize| delays[a][by] + delays[by][b] < delays[a][b];
    let shorter = |a: usize, b: usize| (0..n).any(|by| by != a && by != b && detour(a, b, by));
    if (0..n).any(|a| (0..n).any(|b| a != b && shorter(a, b))) {
        let hint = "take the shortest path as the delay, or run the kernel";
        return refuse("delays", "a detour is shorter than the way itself", hint);
    }
    Ok(())
}

struct Miner {
    /// Mean time between its finds, s.
    mean: f64,
    draws: Draws,
}

impl Miner {
    /// How long it searches, ns.
    #[inline]
    fn search(&mut self) -> u64 {
        Span::from_s_f64(dist::exponential(self.mean, &mut self.draws)).ns()
    }
}

#[derive(Clone, Copy)]
struct Block {
    at: u64,
    height: u64,
    miner: u32,
    /// Its place among the recent blocks, or [`SETTLED`].
    parent: u32,
}

/// The last block that is below every miner's head, for good.
const SETTLED: u32 = u32::MAX;
/// Recent blocks before the first attempt to settle: few enough for the nearest cache.
const WINDOW: usize = 1_024;

struct Race {
    miners: Vec<Miner>,
    /// When each miner finds its next block.
    next: Vec<u64>,
    /// A tournament of miners, the first to find at its root, in place 1: who wins below `p` is the
    /// earlier of who wins below `2p` and `2p + 1`.
    first: Vec<u32>,
    /// By finder and receiver, row by row.
    delays: Vec<u64>,
    longest: u64,
    recent: Vec<Block>,
    settle_at: usize,
    settled_height: u64,
    forks: Forks,
}

impl Race {
    fn new(mut miners: Vec<Miner>, delays: &[Vec<Span>]) -> Self {
        let n = miners.len();
        let leaves = n.next_power_of_two();
        let mut next: Vec<u64> = miners.iter_mut().map(Miner::search).collect();
        next.resize(leaves, u64::MAX);
        let mut first: Vec<u32> = (0..2 * leaves).map(|p| (p % leaves) as u32).collect();
        for place in (1..leaves).rev() {
            first[place] = earlier(&next, first[2 * place], first[2 * place + 1]);
        }
        let between = |a: usize, b: usize| if a == b { 0 } else { delays[a][b].ns() };
        let pairs = (0..n).flat_map(|a| (0..n).map(move |b| between(a, b)));
        let delays: Vec<u64> = pairs.collect();
        Self {
            longest: delays.iter().copied().max().unwrap_or(0),
            miners,
            next,
            first,
            delays,
            recent: Vec::with_capacity(2 * WINDOW),
            settle_at: WINDOW,
            settled_height: 0,
            forks: Forks {
                height: 0,
                found: vec![0; n],
                kept: vec![0; n],
            },
        }
    }

    fn run(&mut self, horizon: u64) {
        loop {
            let miner = self.first[1];
            let at = self.next[miner as usize];
            if at >= horizon {
                return;
            }
            self.search_on(miner);
            let parent = self.head(miner, at);
            let below = self.recent.get(parent as usize);
            let block = Block {
                at,
                height: below.map_or(self.settled_height, |b| b.height) + 1,
                miner,
                parent,
            };
            self.recent.push(block);
            self.forks.found[miner as usize] += 1;
            if self.recent.len() >= self.settle_at {
                self.settle(at);
            }
        }
    }

    fn search_on(&mut self, miner: u32) {
        let search = self.miners[miner as usize].search();
        let next = &mut self.next[miner as usize];
        *next = next.saturating_add(search);
        let mut place = (self.next.len() + miner as usize) >> 1;
        while place > 0 {
            let (a, b) = (self.first[2 * place], self.first[2 * place + 1]);
            self.first[place] = earlier(&self.next, a, b);
            place /= 2;
        }
    }

    /// What a miner builds on at `now`: the highest block that it has; of equally high ones the one
    /// that came first, of those at one instant that of the first miner.
    fn head(&self, miner: u32, now: u64) -> u32 {
        let mut best = SETTLED;
        // Everybody has what is settled; a recent block no higher was found for nothing.
        let mut rank = (self.settled_height, 0, 0);
        let mut surely_known = u64::MAX;
        let n = self.miners.len();
        for (place, block) in self.recent.iter().enumerate().rev() {
            // Who built the best knew everything that was everywhere by then.
            if best != SETTLED && block.at.saturating_add(self.longest) <= surely_known {
                break;
            }
            let arrives = block.at + self.delays[block.miner as usize * n + miner as usize];
            let higher = block.height > rank.0;
            let sooner = block.height == rank.0 && (arrives, block.miner) < (rank.1, rank.2);
            if arrives <= now && (higher || sooner) {
                best = place as u32;
                rank = (block.height, arrives, block.miner);
                surely_known = block.at;
            }
        }
        best
    }

    /// Forgets what is below every head that a miner may have at `now` or later.
    fn settle(&mut self, now: u64) {
        let everywhere = |b: &&Block| b.at.saturating_add(self.longest) <= now;
        let seen = self
            .recent
            .iter()
            .filter(everywhere)
            .map(|b| b.height)
            .max();
        let heads = (0..self.recent.len() as u32)
            .filter(|&p| seen.is_some_and(|seen| self.recent[p as usize].height >= seen));
        match self.common(heads.collect()) {
            Some(common) => {
                self.keep(common);
                self.forget(common);
                self.settle_at = self.recent.len() + WINDOW;
            }
            None => self.settle_at = 2 * self.recent.len(),
        }
    }

    /// The last block below all of some, or one of them.
    fn common(&self, mut heads: Vec<u32>) -> Option<u32> {
        // The highest is not below any other.
        while heads.len() > 1 {
            let height = |&p: &u32| (self.recent[p as usize].height, p);
            let highest = heads.iter().copied().max_by_key(height)?;
            let parent = self.recent[highest as usize].parent;
            if parent == SETTLED {
                return None;
            }
            heads.retain(|&p| p != highest);
            if !heads.contains(&parent) {
                heads.push(parent);
            }
        }
        heads.pop()
    }

    /// Counts the blocks of the chain up to `last`.
    fn keep(&mut self, last: u32) {
        self.settled_height = self.recent[last as usize].height;
        let mut at = last;
        while let Some(block) = self.recent.get(at as usize) {
            self.forks.kept[block.miner as usize] += 1;
            at = block.parent;
        }
    }

    fn forget(&mut self, common: u32) {
        self.recent.drain(..=common as usize);
        for block in &mut self.recent {
            // Who is above nothing that is kept is on no miner's chain any more, or on `common`.
            block.parent = match block.parent.checked_sub(common + 1) {
                Some(place) if block.parent != SETTLED => place,
                _ => SETTLED,
            };
        }
    }

    fn end(mut self) -> Forks {
        let height = |p: &u32| (self.recent[*p as usize].height, core::cmp::Reverse(*p));
        let best = (0..self.recent.len() as u32).max_by_key(height);
        if let Some(best) = best {
            self.keep(best);
        }
        self.forks.height = self.settled_height;
        self.forks
    }
}

fn earlier(next: &[u64], a: u32, b: u32) -> u32 {
    // Of one instant, the first miner; `a` stands before `b`.
    if next[b as usize] < next[a as usize] {
        b
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(shares: &[f64]) -> Config {
        Config {
            hash_shares: shares.to_vec(),
            relay: RelayRule::Direct,
            retarget_blocks: 0,
            ..Config::default()
        }
    }

    fn apart(n: usize, delay: Span) -> Vec<Vec<Span>> {
        vec![vec![delay; n]; n]
    }

    #[test]
    fn what_only_the_kernel_can_do_is_refused() {
        let mine = |config: &Config, delays: &[Vec<Span>]| {
            let horizon = Time::ZERO + Span::from_s(6_000);
            Nakamoto::mine(config, delays, horizon, Seed::new(1, 0)).map_err(|e| e.key)
        };
        let (fine, delays) = (config(&[]), apart(3, Span::from_s(1)));
        assert!(mine(&fine, &delays).is_ok());
        let with = |change: fn(&mut Config)| {
            let mut config = fine.clone();
            change(&mut config);
            mine(&config, &delays)
        };
        assert_eq!(with(|c| c.relay = RelayRule::Push), Err("relay"));
        assert_eq!(with(|c| c.relay_network = true), Err("relay"));
        assert_eq!(with(|c| c.retarget_blocks = 2_016), Err("retarget_blocks"));
        assert_eq!(
            with(|c| c.validation = Validation::Bytes),
            Err("validation")
        );
        assert_eq!(with(|c| c.miners = 9), Err("miners"));
        let mut long = delays.clone();
        long[0][2] = Span::from_ms(2_001);
        assert_eq!(mine(&fine, &long), Err("delays"));
        long[0].pop();
        assert_eq!(mine(&fine, &long), Err("delays"));
    }

    /// Two equal miners that are `d` apart fork when one finds within `d` of the other: at a rate
    /// `λ` in all, half of the gaps are the other's, so that `(1 − e^{−λd})/2` of the blocks have a
    /// rival, as long as rivals seldom meet rivals.
    #[test]
    fn two_miners_fork_as_often_as_they_should() {
        let (interval, delay) = (600.0, Span::from_s(6));
        let horizon = Time::ZERO + Span::from_s(600 * 1_000_000);
        let delays = apart(2, delay);
        let forks = Nakamoto::mine(&config(&[1.0, 1.0]), &delays, horizon, Seed::new(7, 0));
        let forks = forks.expect("nothing else is asked for");
        let found: u64 = forks.found.iter().sum();
        let rate = forks.stale() as f64 / found as f64;
        let want = (1.0 - quorate_core::math::exp(-delay.as_s() / interval)) / 2.0;
        // Four standard errors of 10^6 blocks, and what forks of forks take away.
        let error = 4.0 * quorate_core::math::sqrt(want / 1e6) + want * want;
        assert!(
            (rate - want).abs() < error,
            "{rate} is not {want} ± {error}"
        );
        assert_eq!(forks.kept.iter().sum::<u64>(), forks.height);
        assert!(forks.kept.iter().zip(&forks.found).all(|(k, f)| k <= f));
    }
}
