//! Which node has which block, and the watermarks of every block.

use core::ops::Range;
use quorate_core::{BlockId, NodeId, Time};
use std::collections::VecDeque;

/// What a node has of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Has {
    Nothing,
    /// Its header, which the engine knows of.
    Header,
    /// A request for it is on its way, or the answer.
    Asked,
    /// The body, which is being checked.
    Unchecked,
    /// The body, which the engine knows of.
    Body,
}

struct Holders {
    has: Vec<Has>,
    /// Whether it stands on a block that was forgotten, beside what is final everywhere.
    dead: bool,
    /// How many have checked it.
    held: u32,
    /// How many of [`Simulation::shares`](crate::Simulation) they have reached.
    reached: u8,
    /// When the earliest announcement on its way to each node arrives: later ones cannot matter.
    announced: Vec<Time>,
}

/// Holders and watermarks by block, from the oldest that is kept.
pub(crate) struct Store {
    nodes: usize,
    sites: usize,
    first: u32,
    holders: VecDeque<Holders>,
    marks: VecDeque<u32>,
    /// When each was built, by the true time.
    built: VecDeque<Time>,
    spare: Vec<Holders>,
}

impl Store {
    pub(crate) fn new(nodes: u32, sites: u32) -> Self {
        let (nodes, sites) = (nodes as usize, sites as usize);
        let mut store = Self {
            nodes,
            sites,
            first: 0,
            holders: VecDeque::new(),
            marks: VecDeque::new(),
            built: VecDeque::new(),
            spare: Vec::new(),
        };
        store.push(&vec![0; sites], Time::ZERO, None);
        store.holders[0].has.fill(Has::Body);
        store
    }

    /// Adds a block with its watermarks, built at `now` on a parent; nobody has it yet.
    pub(crate) fn push(&mut self, marks: &[u32], now: Time, parent: Option<BlockId>) {
        let nobody = || Holders {
            has: vec![Has::Nothing; self.nodes],
            dead: false,
            held: 0,
            reached: 0,
            announced: vec![Time::NEVER; self.nodes],
        };
        let mut holders = self.spare.pop().unwrap_or_else(nobody);
        holders.dead = parent.is_some_and(|p| self.is_dead(p));
        self.holders.push_back(holders);
        self.marks.extend(marks);
        self.built.push_back(now);
    }

    /// When a block was built, by the true time.
    pub(crate) fn built(&self, block: BlockId) -> Time {
        self.built[self.place(block)]
    }

    fn place(&self, block: BlockId) -> usize {
        (block.get() - self.first) as usize
    }

    pub(crate) fn has(&self, node: NodeId, block: BlockId) -> Has {
        self.holders[self.place(block)].has[node.index()]
    }

    pub(crate) fn set(&mut self, node: NodeId, block: BlockId, has: Has) {
        let place = self.place(block);
        self.holders[place].has[node.index()] = has;
    }

    /// A node has checked a block. Which of these numbers of nodes, in ascending order, have now been
    /// reached for the first time.
    pub(crate) fn hold(&mut self, node: NodeId, block: BlockId, shares: &[u32; 3]) -> Range<usize> {
        let place = self.place(block);
        let holders = &mut self.holders[place];
        let had = core::mem::replace(&mut holders.has[node.index()], Has::Body);
        holders.held += u32::from(had != Has::Body);
        let before = usize::from(holders.reached);
        let mut after = before;
        while shares
            .get(after)
            .is_some_and(|&share| holders.held >= share)
        {
            after += 1;
        }
        holders.reached = after as u8;
        before..after
    }

    /// Whether a body is at a node, checked or not.
    pub(crate) fn is_here(&self, node: NodeId, block: BlockId) -> bool {
        matches!(self.has(node, block), Has::Unchecked | Has::Body)
    }

    pub(crate) fn holds(&self, node: NodeId, block: BlockId) -> bool {
        // What was retired is final everywhere that matters.
        block.get() < self.first || self.has(node, block) == Has::Body
    }

    /// By node: when the earliest announcement of a block on its way to it arrives. Of those that arrive
    /// together each may be the first.
    pub(crate) fn announced(&mut self, block: BlockId) -> &mut [Time] {
        let place = self.place(block);
        &mut self.holders[place].announced
    }

    /// Notes an announcement; whether it may be the first to arrive.
    pub(crate) fn announce(&mut self, to: NodeId, block: BlockId, at: Time) -> bool {
        let best = &mut self.announced(block)[to.index()];
        let first = at <= *best;
        *best = at.min(*best);
        first
    }

    /// A fault begins or ends: what was asked for may never come, so that the next announcement
    /// counts again.
    pub(crate) fn forget_requests(&mut self) {
        for holders in &mut self.holders {
            holders.announced.fill(Time::NEVER);
            for has in &mut holders.has {
                if matches!(has, Has::Header | Has::Asked) {
                    *has = Has::Nothing;
                }
            }
        }
    }

    /// A node crashes: what it had not checked yet is lost.
    pub(crate) fn forget_unchecked(&mut self, node: NodeId) {
        for holders in &mut self.holders {
            let has = &mut holders.has[node.index()];
            if *has == Has::Unchecked {
                *has = Has::Nothing;
            }
        }
    }

    /// The watermark of one site.
    #[inline]
    pub(crate) fn mark(&self, block: BlockId, site: u32) -> u32 {
        self.marks[self.place(block) * self.sites + site as usize]
    }

    /// Copies all watermarks of a block.
    pub(crate) fn marks(&self, block: BlockId, marks: &mut Vec<u32>) {
        let start = self.place(block) * self.sites;
        marks.clear();
        marks.extend(self.marks.range(start..start + self.sites));
    }

    /// Whether a block stands beside what is final everywhere. Nobody hears of it any more.
    pub(crate) fn is_dead(&self, block: BlockId) -> bool {
        block.get() < self.first || self.holders[self.place(block)].dead
    }

    /// Finds out anew which of the blocks above the first stand beside it.
    pub(crate) fn bury(&mut self, parent: impl Fn(BlockId) -> Option<BlockId>) {
        for place in 1..self.holders.len() {
            let block = BlockId::new(self.first + place as u32);
            self.holders[place].dead = parent(block).is_some_and(|p| self.is_dead(p));
        }
    }

    /// Forgets every block before `first`.
    pub(crate) fn retire_before(&mut self, first: BlockId) {
        while self.first < first.get() && self.holders.len() > 1 {
            let mut old = self.holders.pop_front().expect("more than one");
            old.has.fill(Has::Nothing);
            (old.held, old.reached) = (0, 0);
            old.announced.fill(Time::NEVER);
            self.spare.push(old);
            self.marks.drain(..self.sites);
            self.built.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_reached_once_and_by_nodes_that_are_new() {
        let mut store = Store::new(5, 0);
        let shares = [3, 4, 4]; // one of five is down
        for round in 0..2 {
            store.push(&[], Time::ZERO, None);
            let block = BlockId::new(1 + round);
            let mut hold = |node| store.hold(NodeId::new(node), block, &shares);
            assert_eq!((hold(0), hold(0), hold(4)), (0..0, 0..0, 0..0));
            assert_eq!(hold(1), 0..1);
            assert_eq!((hold(2), hold(3)), (1..3, 3..3));
            // What is recycled counts anew.
            store.retire_before(BlockId::new(2));
            store.spare.truncate(1);
        }
    }
}
