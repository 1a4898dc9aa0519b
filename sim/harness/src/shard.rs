//! Which units are whose, where several processes share a plan.

use crate::plan::{Kind, Plan};
use crate::predict;
use crate::record::Id;
use crate::run::Task;
use crate::study::Study;
use crate::unit::{Key, Tweak};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The share `i` of `n`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which.
    pub i: u32,
    /// Of how many.
    pub n: u32,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { i: 1, n: 1 };

    /// Whether the plan is not shared.
    pub fn is_whole(self) -> bool {
        self.n == 1
    }

    /// The name of its journal.
    pub fn file(self) -> String {
        format!("{}-of-{}.journal", self.i, self.n)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.i, self.n)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "i/n with 1 <= i <= n, such as 2/8".to_owned();
        let (i, n) = text.split_once('/').ok_or_else(wrong)?;
        let number = |part: &str| part.parse::<u32>().map_err(|_| wrong());
        let shard = Self {
            i: number(i)?,
            n: number(n)?,
        };
        if (1..=shard.n).contains(&shard.i) {
            Ok(shard)
        } else {
            Err(wrong())
        }
    }
}

/// Whether results of a plan's units decide which further units it has. Those of one engine in one part
/// are then one shard's, which decides by itself.
pub(crate) fn is_adaptive(plan: &Plan) -> bool {
    matches!(plan.kind, Kind::Curve | Kind::Capacity) || plan.tune || plan.precision.is_some()
}

/// Which shard has which units: dealt longest first, round after round. A pure function of the plan and
/// the number of shards.
pub(crate) struct Deal {
    n: u32,
    adaptive: bool,
    of: BTreeMap<Id, Shard>,
}

impl Deal {
    /// Deals a study's units as planned.
    pub(crate) fn new(study: &Study, planned: &[Task], n: u32) -> Self {
        let mut deal = Self {
            n,
            adaptive: is_adaptive(&study.plan),
            of: BTreeMap::new(),
        };
        if n == 1 {
            return deal;
        }
        // What is dealt in one piece, with its cost, in the order of the plan.
        let mut pieces: BTreeMap<Id, f64> = BTreeMap::new();
        for (p, _, key) in planned {
            let piece = deal.piece(*p, *key);
            *pieces.entry(piece).or_default() += predict::work(&study.parts[*p], *key);
        }
        let mut pieces: Vec<(Id, f64)> = pieces.into_iter().collect();
        pieces.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shard = |rank: usize| Shard {
            i: (rank % n as usize) as u32 + 1,
            n,
        };
        let dealt = pieces.into_iter().enumerate();
        deal.of = dealt
            .map(|(rank, (piece, _))| (piece, shard(rank)))
            .collect();
        deal
    }

    fn piece(&self, part: usize, key: Key) -> Id {
        let engine = Key {
            engine: key.engine,
            offered_tps: None,
            replication: 0,
            tweak: Tweak::None,
        };
        Id::new(part, if self.adaptive { engine } else { key })
    }

    /// The shard of a unit, planned or decided on later.
    pub(crate) fn shard(&self, part: usize, key: Key) -> Shard {
        if self.n == 1 {
            return Shard::WHOLE;
        }
        let shard = self.of.get(&self.piece(part, key));
        *shard.expect("later units are of engines that had units before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_n() {
        let read = |text: &str| text.parse::<Shard>().ok();
        assert_eq!(read("2/8"), Some(Shard { i: 2, n: 8 }));
        assert_eq!(read("8/8").map(|s| s.to_string()).as_deref(), Some("8/8"));
        for wrong in ["0/8", "9/8", "1/0", "1", "a/2", "1/-2", "", "1/2/3"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
