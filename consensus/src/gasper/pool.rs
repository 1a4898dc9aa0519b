//! Votes that were seen, of the current and the previous epoch, by slot and node.

use super::checkpoints::Checkpoint;
use quorate_core::{BlockId, NodeId};
use std::collections::VecDeque;

/// What a node's keys of one slot vote for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vote {
    /// In which slot.
    pub slot: u32,
    /// The head.
    pub head: BlockId,
    /// The checkpoint that the head's chain has justified.
    pub source: Checkpoint,
    /// The checkpoint of the slot's epoch on that chain.
    pub target: Checkpoint,
}

impl Vote {
    /// Whether nobody may sign both: two votes of one slot, or one around the other.
    // source: consensus-specs `is_slashable_attestation_data`. A node's keys vote in one slot of an
    // epoch each, so that two votes of one epoch clash if they are of one slot.
    pub fn clashes(&self, other: &Self) -> bool {
        let around =
            |a: &Self, b: &Self| a.source.epoch < b.source.epoch && b.target.epoch < a.target.epoch;
        self != other && self.slot == other.slot || around(self, other) || around(other, self)
    }
}

/// The first vote of each node in each slot.
#[derive(Debug)]
pub(super) struct Pool {
    nodes: usize,
    first: u32,
    slots: VecDeque<Box<[Option<Vote>]>>,
}

impl Pool {
    pub(super) const fn new(nodes: u32) -> Self {
        Self {
            nodes: nodes as usize,
            first: 0,
            slots: VecDeque::new(),
        }
    }

    /// Keeps the slots from `first` to `last`.
    pub(super) fn keep(&mut self, first: u32, last: u32) {
        while self.first < first {
            let spare = self.slots.pop_front();
            self.first = if self.slots.is_empty() {
                first
            } else {
                self.first + 1
            };
            if let Some(mut row) = spare
                && self.first + (self.slots.len() as u32) <= last
            {
                row.fill(None);
                self.slots.push_back(row);
            }
        }
        while self.first + (self.slots.len() as u32) <= last {
            self.slots.push_back(vec![None; self.nodes].into());
        }
    }

    /// The slots that are kept.
    pub(super) fn slots(&self) -> core::ops::Range<u32> {
        self.first..self.first + self.slots.len() as u32
    }

    /// What a node said in a slot; `None` for a slot that is not kept.
    pub(super) fn get(&mut self, slot: u32, node: NodeId) -> Option<&mut Option<Vote>> {
        let row = self.slots.get_mut(slot.checked_sub(self.first)? as usize)?;
        row.get_mut(node.index())
    }

    /// The votes of a slot.
    pub(super) fn of(&self, slot: u32) -> impl Iterator<Item = (NodeId, Vote)> + '_ {
        let row = slot.checked_sub(self.first);
        let row = row.and_then(|place| self.slots.get(place as usize));
        let voted = |(node, vote): (u32, &Option<Vote>)| Some((NodeId::new(node), (*vote)?));
        (0..).zip(row.into_iter().flatten()).filter_map(voted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(slot: u32, head: u32, source: u32, target: u32) -> Vote {
        let at = |epoch| Checkpoint {
            epoch,
            block: BlockId::new(epoch),
        };
        Vote {
            slot,
            head: BlockId::new(head),
            source: at(source),
            target: at(target),
        }
    }

    #[test]
    fn double_votes_and_votes_around_others_clash() {
        let a = vote(70, 7, 1, 2);
        let cases = [
            (a, false),
            (vote(70, 8, 1, 2), true),
            (vote(70, 7, 0, 2), true),
            (vote(71, 8, 1, 2), false), // Other keys.
            (vote(100, 8, 0, 3), true), // Around it.
            (vote(100, 8, 1, 3), false),
            (vote(100, 8, 2, 3), false),
        ];
        for (other, clash) in cases {
            assert_eq!(a.clashes(&other), clash, "{other:?}");
            assert_eq!(other.clashes(&a), clash, "{other:?}");
        }
    }

    #[test]
    fn old_slots_make_room_for_new_ones() {
        let mut pool = Pool::new(2);
        pool.keep(0, 5);
        *pool.get(5, NodeId::new(1)).unwrap() = Some(vote(5, 1, 0, 0));
        pool.keep(4, 9);
        assert_eq!((pool.slots(), pool.of(5).count()), (4..10, 1));
        assert!(pool.get(3, NodeId::new(1)).is_none() && pool.get(10, NodeId::new(1)).is_none());
        assert_eq!(pool.of(9).count(), 0);
        pool.keep(40, 45);
        assert_eq!((pool.slots(), pool.of(41).count()), (40..46, 0));
        assert!(pool.get(45, NodeId::new(0)).is_some());
    }
}
