//! Proof of work, as far as its protocols share it: shares of the work, the search for a block, the age
//! of its transactions, and what a share promises.
//!
//! A miner with share `s` finds a block after an exponential time with mean `interval · (D/D₀)/s`. It is
//! memoryless, so that a new head draws nothing anew. The search is a timer with a generation; one that
//! was replaced is recognised by it. When the difficulty changes, the time that is left is multiplied
//! by new over old difficulty.

use quorate_core::{
    Adversary, Blocks, Committee, Content, Draws, Finality, Invalid, NodeId, Promises, Span, Time,
    Wait, Weight, dist,
};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Committee weight of a miner with all the work.
const WHOLE: f64 = 1e9;

/// The search of this generation succeeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which search.
    pub generation: u32,
}

impl<H> Content<H> for Found {
    fn content(&self, _: &Blocks<H>) -> u64 {
        u64::from(self.generation)
    }
}

/// When a miner chooses its transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresh {
    /// When it finds the block (model A; the key says 0).
    AtFind,
    /// Every so often after it began to search on the head.
    Every(Span),
    /// Once, when it began to search on the head (model B; the key says "never").
    Never,
}

impl Serialize for Refresh {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AtFind => to.serialize_f64(0.0),
            Self::Every(span) => to.serialize_f64(span.as_s()),
            Self::Never => to.serialize_str("never"),
        }
    }
}

impl<'de> Deserialize<'de> for Refresh {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Refresh;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("seconds of at least 0, or \"never\"")
            }

            fn visit_f64<E: serde::de::Error>(self, s: f64) -> Result<Refresh, E> {
                match s {
                    s if s > 0.0 && s.is_finite() => Ok(Refresh::Every(Span::from_s_f64(s))),
                    s if s.to_bits() << 1 == 0 => Ok(Refresh::AtFind),
                    s if s > 0.0 => Ok(Refresh::Never),
                    s => Err(E::invalid_value(Unexpected::Float(s), &self)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, s: u64) -> Result<Refresh, E> {
                self.visit_f64(s as f64)
            }

            fn visit_i64<E: serde::de::Error>(self, s: i64) -> Result<Refresh, E> {
                self.visit_f64(s as f64)
            }

            fn visit_str<E: serde::de::Error>(self, s: &str) -> Result<Refresh, E> {
                match s {
                    "never" => Ok(Refresh::Never),
                    _ => Err(E::invalid_value(Unexpected::Str(s), &self)),
                }
            }
        }
        from.deserialize_any(Either).map_err(D::Error::custom)
    }
}

impl Refresh {
    /// When the transactions of a block that is found `now` were chosen, by a search on the head since
    /// `since`; `None` means now.
    fn chosen(self, since: Time, now: Time) -> Option<Time> {
        match self {
            Self::AtFind => None,
            Self::Never => Some(since),
            Self::Every(period) => {
                let searched = now.saturating_since(since);
                let old = Span::from_ns(searched.ns() % period.ns());
                Some(now.saturating_sub(old))
            }
        }
    }
}

/// A node's search for the next block.
#[derive(Debug)]
pub(crate) struct Search {
    /// The share of the work; zero for a node that does not mine.
    share: f64,
    /// Mean time between blocks of all the work at the difficulty `unit`.
    interval: Span,
    unit: u64,
    /// The difficulty that the running search is for.
    difficulty: u64,
    generation: u32,
    /// When the running search succeeds.
    due: Time,
    /// When the search on the head began.
    since: Time,
}

impl Search {
    /// None yet, at the difficulty at which all the work finds a block every `interval` on average.
    pub(crate) fn new(share: f64, interval: Span, unit: u64) -> Self {
        Self {
            share,
            interval,
            unit,
            difficulty: unit,
            generation: 0,
            due: Time::NEVER,
            since: Time::ZERO,
        }
    }

    /// The difficulty of what it searches for.
    pub(crate) const fn difficulty(&self) -> u64 {
        self.difficulty
    }

    /// Whether a timer is that of the running search.
    pub(crate) const fn is_due(&self, found: Found) -> bool {
        found.generation == self.generation
    }

    /// When the transactions of a block that is found now were chosen.
    pub(crate) fn template(&self, refresh: Refresh, now: Time) -> Option<Time> {
        refresh.chosen(self.since, now)
    }

    /// Starts anew; the timer to set, for a node that mines.
    pub(crate) fn start(&mut self, now: Time, draws: &mut Draws) -> Option<(Time, Found)> {
        if self.share <= 0.0 {
            return None;
        }
        let relative = self.difficulty as f64 / self.unit as f64;
        let mean = self.interval.as_s() * relative / self.share;
        let left = Span::from_s_f64(dist::exponential(mean, draws));
        Some(self.set(left, now))
    }

    /// There is a new head, above which a block has this difficulty; the timer to set, where that
    /// moves it.
    pub(crate) fn on_head(&mut self, difficulty: u64, now: Time) -> Option<(Time, Found)> {
        self.since = now;
        let old = core::mem::replace(&mut self.difficulty, difficulty);
        if difficulty == old || self.due == Time::NEVER {
            return None;
        }
        let left = self.due.saturating_since(now);
        Some(self.set(rescale(left, difficulty, old), now))
    }

    fn set(&mut self, left: Span, now: Time) -> (Time, Found) {
        self.generation += 1;
        self.due = now.saturating_add(left);
        let generation = self.generation;
        (self.due, Found { generation })
    }
}

/// `left · new / old`; a span too long to express is as good as for ever.
fn rescale(left: Span, new: u64, old: u64) -> Span {
    let scaled = u128::from(left.ns()) * u128::from(new) / u128::from(old);
    Span::from_ns(u64::try_from(scaled).unwrap_or(u64::MAX))
}

/// Who mines: the keys `miners` and `hash_shares`.
#[derive(Clone, Copy)]
pub(crate) struct Miners<'a> {
    /// The first so many nodes; 0 means all, or one for each share.
    pub(crate) miners: u32,
    /// In any unit; empty means equal shares.
    pub(crate) hash_shares: &'a [f64],
}

impl Miners<'_> {
    /// Each miner's share of the work; they sum to one.
    fn shares(&self, nodes: u32) -> Vec<f64> {
        if self.hash_shares.is_empty() {
            let miners = if self.miners == 0 { nodes } else { self.miners };
            return vec![1.0 / f64::from(miners); miners as usize];
        }
        let sum: f64 = self.hash_shares.iter().sum();
        self.hash_shares.iter().map(|share| share / sum).collect()
    }

    /// Refuses shares that are none, and more miners than nodes.
    pub(crate) fn check(&self, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        let shares = self.hash_shares;
        if let Some(bad) = shares.iter().find(|s| !s.is_finite() || **s <= 0.0) {
            let why = format!("{bad} is not a positive share");
            return refuse("hash_shares", why, "leave out miners without work");
        }
        let named = shares.len() as u32;
        if named > nodes {
            let why = format!("{named} shares for {nodes} nodes");
            return refuse("hash_shares", why, "add nodes, or name fewer shares");
        }
        if self.miners > nodes {
            let why = format!("{} miners on {nodes} nodes", self.miners);
            let hint = "name at most as many as there are nodes, or 0 for all";
            return refuse("miners", why, hint);
        }
        if named > 0 && self.miners > 0 && self.miners != named {
            let why = format!("{} miners but {named} shares", self.miners);
            return refuse("miners", why, "leave one of the two out");
        }
        Ok(())
    }

    /// The miners, weighted by their shares.
    pub(crate) fn committee(&self, nodes: u32) -> Committee {
        let weight = |share: f64| ((share * WHOLE) as Weight).max(1);
        let shares = self.shares(nodes);
        let weighted = shares
            .iter()
            .zip(0..)
            .map(|(&s, i)| (NodeId::new(i), weight(s)));
        Committee::weighted(weighted.collect())
    }

    /// A lie needs more than half of the *work*, so that the numbers of miners follow from the
    /// largest: those who together have less than half may lie. Any one miner carries on alone,
    /// slower until the difficulty has followed.
    pub(crate) fn promises(&self, nodes: u32, interval: Span) -> Promises {
        let mut shares = self.shares(nodes);
        shares.sort_by(|a, b| b.total_cmp(a));
        let sums = shares.iter().scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        // A hair's breadth below a half, so that rounding does not turn a tie into a minority.
        let byzantine = sums.take_while(|sum| *sum < 0.5 - 1e-9).count() as u32;
        Promises {
            byzantine,
            crashed: shares.len() as u32 - 1,
            quorum: 1,
            interval,
        }
    }
}

/// A miner's share of the work.
pub(crate) fn share(committee: &Committee, node: NodeId) -> f64 {
    committee.weight(node) as f64 / committee.total() as f64
}

/// The exact race by depth, where a block is at every miner after so many crossings of a link.
pub(crate) fn depths(
    adversary: &Adversary,
    crossings: u64,
    interval: Span,
) -> Result<Finality, String> {
    Adversary {
        delay: adversary.delay * crossings,
        ..*adversary
    }
    .depths(interval)
}

/// The same race, by time. The corrupt organisations' share of the nodes is their share of the work.
pub(crate) fn reversal_risk(
    (corrupt, nodes): (u32, u32),
    crossings: u64,
    interval: Span,
    wait: &Wait,
) -> f64 {
    let adversary = Adversary {
        share: f64::from(corrupt) / f64::from(nodes),
        risk: 0.0,
        safe_risk: 0.0,
        delay: wait.delay * crossings,
    };
    adversary.risk_after(wait.waited, interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_scales_with_the_difficulty() {
        assert_eq!(rescale(Span::from_s(90), 3, 2), Span::from_s(135));
        assert_eq!(rescale(Span::MAX, 4, 1), Span::MAX);
    }

    #[test]
    fn templates_are_as_old_as_the_refresh_allows() {
        let at = |s| Time::ZERO + Span::from_s(s);
        let chosen = |refresh: Refresh| refresh.chosen(at(100), at(175));
        assert_eq!(chosen(Refresh::AtFind), None);
        assert_eq!(chosen(Refresh::Never), Some(at(100)));
        assert_eq!(chosen(Refresh::Every(Span::from_s(30))), Some(at(160)));
        assert_eq!(chosen(Refresh::Every(Span::from_s(300))), Some(at(100)));
    }
}
