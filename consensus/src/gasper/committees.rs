//! Who attests and who proposes in an epoch: validators' keys, shuffled and grouped by node.

use quorate_core::{NodeId, hash};

/// Purposes of hashes that are keyed by an epoch's seed.
const SHUFFLE: u64 = 1;
const PROPOSER: u64 = 2;
const AGGREGATOR: u64 = 3;

/// Uniform among `0..n`, by a hash.
fn below(hash: u64, n: u64) -> u64 {
    ((u128::from(hash) * u128::from(n)) >> 64) as u64
}

/// The keys of all nodes: `0..keys`, those of a node side by side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stakes {
    /// For each node, the first key that is no longer its own.
    ends: Vec<u32>,
}

impl Stakes {
    /// So many keys for each node.
    pub fn new(keys: impl Iterator<Item = u32>) -> Self {
        let sum = |sum: &mut u32, keys: u32| {
            *sum += keys;
            Some(*sum)
        };
        let ends = keys.scan(0, sum).collect();
        Self { ends }
    }

    /// How many nodes there are, those without keys included.
    pub fn nodes(&self) -> u32 {
        self.ends.len() as u32
    }

    /// All keys.
    pub fn keys(&self) -> u32 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn owner(&self, key: u32) -> NodeId {
        NodeId::new(self.ends.partition_point(|end| *end <= key) as u32)
    }

    /// Who proposes in a slot under a seed: balances are equal, so that every key is as likely.
    // source: consensus-specs `compute_proposer_index`, which accepts every candidate with the
    // largest effective balance.
    pub fn proposer(&self, slot: u32, seed: u64) -> NodeId {
        let draw = hash::fold_all(seed, &[PROPOSER, u64::from(slot)]);
        self.owner(below(draw, u64::from(self.keys())) as u32)
    }
}

/// The committees of an epoch: a permutation of all keys, cut into slots, each slot by node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committees {
    epoch: u32,
    seed: u64,
    nodes: u32,
    /// For each (slot, node), the first place after its keys.
    ends: Vec<u32>,
    keys: Vec<u32>,
    shuffled: Vec<u32>,
}

impl Committees {
    /// Draws the committees of an epoch of so many slots.
    pub fn draw(stakes: &Stakes, slots: u32, epoch: u32, seed: u64) -> Self {
        let mut drawn = Self {
            epoch,
            seed,
            nodes: stakes.nodes(),
            ends: Vec::new(),
            keys: Vec::new(),
            shuffled: Vec::new(),
        };
        drawn.redraw(stakes, slots, epoch, seed);
        drawn
    }

    /// The same in place, so that nothing is allocated.
    // A permutation by Fisher and Yates has the law of the specification's swap-or-not shuffle.
    pub(super) fn redraw(&mut self, stakes: &Stakes, slots: u32, epoch: u32, seed: u64) {
        (self.epoch, self.seed) = (epoch, seed);
        let total = stakes.keys();
        self.shuffled.clear();
        self.shuffled.extend(0..total);
        let key = hash::fold_all(seed, &[SHUFFLE, u64::from(epoch)]);
        for i in (1..total).rev() {
            let j = below(hash::fold(key, u64::from(i)), u64::from(i) + 1);
            self.shuffled.swap(i as usize, j as usize);
        }
        self.ends.clear();
        self.keys.clear();
        for slot in 0..u64::from(slots) {
            let cut = |slot| (u64::from(total) * slot / u64::from(slots)) as usize;
            // Keys of a node are neighbours, so that sorting groups a slot's keys by node.
            let of_slot = &mut self.shuffled[cut(slot)..cut(slot + 1)];
            of_slot.sort_unstable();
            let mut from = 0;
            for end in &stakes.ends {
                from += of_slot[from..].partition_point(|key| key < end);
                self.ends.push((cut(slot) + from) as u32);
            }
            self.keys.extend_from_slice(of_slot);
        }
    }

    pub(super) const fn is_of(&self, epoch: u32, seed: u64) -> bool {
        self.epoch == epoch && self.seed == seed
    }

    pub(super) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The keys of a node that attest in the epoch's `slot`-th slot.
    pub fn of(&self, slot: u32, node: NodeId) -> &[u32] {
        let at = (slot * self.nodes) as usize + node.index();
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[from as usize..self.ends[at] as usize]
    }

    /// All keys that attest in the epoch's `slot`-th slot.
    pub fn size(&self, slot: u32) -> u32 {
        let end = |slot: u32| match slot * self.nodes {
            0 => 0,
            place => self.ends[place as usize - 1],
        };
        end(slot + 1) - end(slot)
    }

    /// How many of a node's keys aggregate in a slot: each with probability one in `modulo`.
    // source: consensus-specs `is_aggregator`.
    pub fn aggregators(&self, slot: u32, node: NodeId, modulo: u32) -> u32 {
        let chosen = |key: &&u32| {
            let words = [AGGREGATOR, u64::from(self.epoch), u64::from(**key)];
            hash::fold_all(self.seed, &words).is_multiple_of(u64::from(modulo))
        };
        self.of(slot, node).iter().filter(chosen).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_attests_once_an_epoch_and_a_node_has_its_own() {
        let stakes = Stakes::new([5, 0, 90, 3].into_iter());
        let drawn = Committees::draw(&stakes, 32, 3, 7);
        let mut all = Vec::new();
        for slot in 0..32 {
            let of = |node| drawn.of(slot, NodeId::new(node));
            assert!((0..4).all(|n| of(n).iter().all(|k| stakes.owner(*k) == NodeId::new(n))));
            assert_eq!(
                (0..4).map(|n| of(n).len()).sum::<usize>(),
                drawn.size(slot) as usize
            );
            // 98 keys over 32 slots.
            assert!((3..=4).contains(&drawn.size(slot)));
            all.extend((0..4).flat_map(of).copied());
        }
        all.sort_unstable();
        assert_eq!(all, (0..98).collect::<Vec<u32>>());
        assert_ne!(drawn, Committees::draw(&stakes, 32, 3, 8));
        let mut again = Committees::draw(&stakes, 32, 2, 9);
        again.redraw(&stakes, 32, 3, 7);
        assert_eq!(drawn, again);
    }

    /// A key is in each slot with probability 1/32: chi-square over 20,000 epochs, 31 degrees of
    /// freedom, five standard deviations of 7.9.
    #[test]
    fn the_permutation_is_uniform_and_proposers_follow_the_stake() {
        let stakes = Stakes::new([1, 3].into_iter());
        let mut drawn = Committees::draw(&stakes, 32, 0, 0);
        let (mut counts, mut led) = ([0_u32; 32], 0);
        for seed in 0..20_000 {
            drawn.redraw(&stakes, 32, 1, hash::mix(seed));
            let slot = (0..32).find(|s| !drawn.of(*s, NodeId::new(0)).is_empty());
            counts[slot.expect("once an epoch") as usize] += 1;
            led += u32::from(stakes.proposer(40, hash::mix(seed)) == NodeId::new(0));
        }
        // Four keys fall into four of the 32 slots, always the same by the rounding of the cuts.
        let used: Vec<u32> = counts.into_iter().filter(|c| *c > 0).collect();
        assert_eq!(used.len(), 4);
        assert!(used.iter().all(|c| c.abs_diff(5_000) < 245), "{used:?}");
        // Binomial(20,000, 1/4): four standard deviations are 245.
        assert!(led.abs_diff(5_000) < 245, "{led}");
    }
}
