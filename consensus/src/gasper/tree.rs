//! LMD-GHOST: the blocks above the last final one, the latest votes on them, and the head.

use super::checkpoints::{Checkpoint, Tally};
use quorate_core::{BlockId, NodeId};

/// The effective balance of a key, in Gwei: thresholds are shares of sums of balances.
// source: consensus-specs `MAX_EFFECTIVE_BALANCE`, 32 ETH.
pub(super) const BALANCE: u64 = 32_000_000_000;
/// No place in the tree.
const NOWHERE: u32 = u32::MAX;

/// A block, its chain's state, and what votes say about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) block: BlockId,
    /// The block's content, which breaks ties.
    pub(super) name: u64,
    pub(super) parent: u32,
    pub(super) slot: u32,
    pub(super) creator: NodeId,
    /// Here before votes were due in its own slot.
    pub(super) timely: bool,
    /// The state after the block.
    pub(super) state: Tally,
    /// What the chain would have justified if its epoch ended with this block.
    pub(super) unrealised: Checkpoint,
    /// Keys whose latest vote is for this very block.
    votes: u64,
    /// The same for it and all blocks above it, as of the last look for the head.
    keys: u64,
    /// The best child, as of then.
    best: u32,
    /// Whether there is no child, viable or not.
    leaf: bool,
}

/// The latest vote of a key.
#[derive(Clone, Copy, Debug)]
struct Latest {
    /// The vote's epoch, plus one; zero before the first vote.
    after: u32,
    place: u32,
}

/// What makes a fork choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) slots_per_epoch: u32,
    /// All keys.
    pub(super) keys: u64,
    pub(super) boost_percent: u64,
}

impl Weights {
    /// The balance of a slot's attesters, in Gwei.
    pub(super) const fn slot(&self) -> u64 {
        self.keys * BALANCE / self.slots_per_epoch as u64
    }

    /// What the boosted block weighs more, in Gwei.
    // source: consensus-specs `compute_proposer_score`.
    pub(super) const fn boost(&self) -> u64 {
        self.slot() * self.boost_percent / 100
    }
}

/// Blocks in the order in which they came, parents first.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) weights: Weights,
    pub(super) entries: Vec<Entry>,
    latest: Vec<Latest>,
    /// Keys of proven liars, whose votes do not count.
    pub(super) liars: Vec<bool>,
    pub(super) boosted: Option<BlockId>,
    pub(super) justified: Checkpoint,
    pub(super) finalised: Checkpoint,
    /// The highest that any chain would have, if its epoch ended now.
    pub(super) unrealised: [Checkpoint; 2],
    /// For [`Tree::forget`]: where each block goes.
    moved: Vec<u32>,
}

impl Tree {
    pub(super) fn new(weights: Weights, genesis: BlockId) -> Self {
        let state = Tally::genesis(genesis);
        let first = state.finalised;
        let keys = weights.keys as usize;
        let root = Entry {
            block: genesis,
            name: 0,
            parent: NOWHERE,
            slot: 0,
            creator: NodeId::new(u32::MAX),
            timely: true,
            state,
            unrealised: first,
            votes: 0,
            keys: 0,
            best: NOWHERE,
            leaf: true,
        };
        Self {
            weights,
            entries: vec![root],
            latest: vec![
                Latest {
                    after: 0,
                    place: NOWHERE
                };
                keys
            ],
            liars: vec![false; keys],
            boosted: None,
            justified: first,
            finalised: first,
            unrealised: [first; 2],
            moved: Vec::new(),
        }
    }

    pub(super) fn first_slot(&self, epoch: u32) -> u32 {
        epoch * self.weights.slots_per_epoch
    }

    pub(super) fn epoch(&self, slot: u32) -> u32 {
        slot / self.weights.slots_per_epoch
    }

    /// Where a block stands. Blocks that are asked for are mostly young.
    pub(super) fn place(&self, block: BlockId) -> Option<u32> {
        let is = |entry: &Entry| entry.block == block;
        self.entries.iter().rposition(is).map(|place| place as u32)
    }

    pub(super) fn at(&self, place: u32) -> &Entry {
        &self.entries[place as usize]
    }

    /// The block of a chain that is the last one up to a slot, or the oldest that is kept.
    pub(super) fn ancestor(&self, mut place: u32, slot: u32) -> u32 {
        while self.at(place).slot > slot && self.at(place).parent != NOWHERE {
            place = self.at(place).parent;
        }
        place
    }

    /// Whether a chain goes through a block.
    pub(super) fn extends(&self, place: u32, block: BlockId) -> bool {
        let mut at = place;
        loop {
            if self.at(at).block == block {
                return true;
            }
            at = match self.at(at).parent {
                NOWHERE => return false,
                parent => parent,
            };
        }
    }

    /// The block in which a chain's checkpoint of an epoch is.
    pub(super) fn checkpoint(&self, place: u32, epoch: u32) -> BlockId {
        self.at(self.ancestor(place, self.first_slot(epoch))).block
    }

    /// The state of a chain at a slot without further blocks.
    pub(super) fn state_at(&self, place: u32, slot: u32) -> Tally {
        let entry = self.at(place);
        let mut state = entry.state;
        state.advance(self.epoch(slot), entry.block, self.weights.keys);
        state
    }

    /// Adds a block whose parent is at `parent`. `state` is the one after it.
    pub(super) fn add(
        &mut self,
        block: (BlockId, u64, NodeId),
        at: (u32, u32),
        state: Tally,
    ) -> u32 {
        let (parent, slot) = at;
        let mut pulled = state;
        pulled.weigh(self.weights.keys);
        self.entries.push(Entry {
            block: block.0,
            name: block.1,
            parent,
            slot,
            creator: block.2,
            timely: false,
            state,
            unrealised: pulled.justified,
            votes: 0,
            keys: 0,
            best: NOWHERE,
            leaf: true,
        });
        self.realise([state.justified, state.finalised]);
        for (own, new) in self
            .unrealised
            .iter_mut()
            .zip([pulled.justified, pulled.finalised])
        {
            if new.epoch > own.epoch {
                *own = new;
            }
        }
        (self.entries.len() - 1) as u32
    }

    /// What the newest block would have justified and finalised counts at once: its epoch is over.
    pub(super) fn pull_up(&mut self, place: u32) {
        let mut pulled = self.at(place).state;
        pulled.weigh(self.weights.keys);
        self.realise([pulled.justified, pulled.finalised]);
    }

    /// Takes over checkpoints of later epochs.
    pub(super) fn realise(&mut self, [justified, finalised]: [Checkpoint; 2]) {
        if justified.epoch > self.justified.epoch {
            self.justified = justified;
        }
        if finalised.epoch > self.finalised.epoch {
            self.finalised = finalised;
        }
    }

    /// A key votes for the block at `place` in an epoch: only a later epoch replaces its latest vote.
    pub(super) fn vote(&mut self, key: u32, epoch: u32, place: u32) {
        let latest = &mut self.latest[key as usize];
        if self.liars[key as usize] || latest.after > epoch {
            return;
        }
        if let Some(old) = self.entries.get_mut(latest.place as usize) {
            old.votes -= 1;
        }
        *latest = Latest {
            after: epoch + 1,
            place,
        };
        self.entries[place as usize].votes += 1;
    }

    /// A key is a liar's: its vote counts no longer. Whether that is new.
    pub(super) fn discount(&mut self, key: u32) -> bool {
        let latest = &mut self.latest[key as usize];
        if let Some(old) = self.entries.get_mut(latest.place as usize) {
            old.votes -= 1;
        }
        latest.place = NOWHERE;
        !core::mem::replace(&mut self.liars[key as usize], true)
    }

    /// Sums the votes below every block.
    fn sum(&mut self) {
        for entry in &mut self.entries {
            entry.keys = entry.votes;
            entry.best = NOWHERE;
            entry.leaf = true;
        }
        for place in (1..self.entries.len()).rev() {
            let Entry { keys, parent, .. } = self.entries[place];
            let parent = &mut self.entries[parent as usize];
            parent.keys += keys;
            parent.leaf = false;
        }
    }

    /// What a block and those above it weigh by votes, in Gwei, as of the last look for the head.
    pub(super) fn weight(&self, place: u32) -> u64 {
        self.at(place).keys * BALANCE
    }

    /// Whether a chain that ends in a block may be the head: it knows what is justified, or nearly,
    /// and goes through what is final.
    fn is_viable(&self, leaf: u32, epoch: u32) -> bool {
        let entry = self.at(leaf);
        let source = if epoch > self.epoch(entry.slot) {
            entry.unrealised.epoch
        } else {
            entry.state.justified.epoch
        };
        let known =
            self.justified.epoch == 0 || source == self.justified.epoch || source + 2 >= epoch;
        let Checkpoint { epoch: last, block } = self.finalised;
        known && (last == 0 || self.checkpoint(leaf, last) == block)
    }

    /// The head, seen from an epoch.
    pub(super) fn head(&mut self, epoch: u32) -> u32 {
        self.sum();
        let boosted = self.boosted.and_then(|block| self.place(block));
        let boost = self.weights.boost();
        // Children come after their parents: one pass from the end finds every block's best child.
        // Only a viable child makes its parent viable.
        let mut boosted_chain = boosted.unwrap_or(NOWHERE);
        for place in (1..self.entries.len() as u32).rev() {
            let is_boosted = boosted_chain == place;
            let Entry { parent, .. } = *self.at(place);
            if is_boosted {
                boosted_chain = parent;
            }
            let viable = match self.at(place).best {
                NOWHERE => self.at(place).leaf && self.is_viable(place, epoch),
                _ => true,
            };
            if !viable {
                continue;
            }
            let weight = self.weight(place) + if is_boosted { boost } else { 0 };
            let best = self.at(parent).best;
            if best == NOWHERE || self.beats(place, weight, best, boosted, boost) {
                self.entries[parent as usize].best = place;
            }
        }
        let mut head = self.place(self.justified.block).unwrap_or(0);
        while self.at(head).best != NOWHERE {
            head = self.at(head).best;
        }
        head
    }

    /// Whether a child beats its elder sibling: by weight, then by name.
    fn beats(&self, place: u32, weight: u64, other: u32, boosted: Option<u32>, boost: u64) -> bool {
        let is_boosted = boosted.is_some_and(|b| self.extends(b, self.at(other).block));
        let against = self.weight(other) + if is_boosted { boost } else { 0 };
        (weight, self.at(place).name) > (against, self.at(other).name)
    }

    /// Forgets what does not descend from what is final. Whether that was anything.
    pub(super) fn forget(&mut self) -> bool {
        let Some(root) = self.place(self.finalised.block).filter(|root| *root > 0) else {
            return false;
        };
        let boundary = self.first_slot(self.finalised.epoch);
        let mut moved = core::mem::take(&mut self.moved);
        moved.clear();
        let mut kept = 0;
        for place in 0..self.entries.len() as u32 {
            let entry = *self.at(place);
            let parent = moved.get(entry.parent as usize).copied().unwrap_or(NOWHERE);
            // What follows the final block before the epoch begins makes another checkpoint of it.
            let stays = place == root || parent != NOWHERE && entry.slot > boundary;
            moved.push(if stays { kept } else { NOWHERE });
            if stays {
                self.entries[kept as usize] = Entry { parent, ..entry };
                kept += 1;
            }
        }
        self.entries.truncate(kept as usize);
        for latest in &mut self.latest {
            latest.place = moved.get(latest.place as usize).copied().unwrap_or(NOWHERE);
        }
        self.moved = moved;
        true
    }
}
