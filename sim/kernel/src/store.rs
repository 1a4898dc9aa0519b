//! Which node has which block, and the watermarks of every block.

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
    /// Earliest announcement on its way to each node, and who sends it: later ones cannot matter.
    announced: Vec<(Time, NodeId)>,
}

/// Holders and watermarks by block, from the oldest that is kept.
pub(crate) struct Store {
    nodes: usize,
    sites: usize,
    first: u32,
    holders: VecDeque<Holders>,
    marks: VecDeque<u32>,
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
            spare: Vec::new(),
        };
        store.push(&vec![0; sites]);
        store.holders[0].has.fill(Has::Body);
        store
    }

    /// Adds a block with its watermarks; nobody has it yet.
    pub(crate) fn push(&mut self, marks: &[u32]) {
        let nobody = || Holders {
            has: vec![Has::Nothing; self.nodes],
            announced: vec![(Time::NEVER, NodeId::new(u32::MAX)); self.nodes],
        };
        let holders = self.spare.pop().unwrap_or_else(nobody);
        self.holders.push_back(holders);
        self.marks.extend(marks);
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

    /// Whether a body is at a node, checked or not.
    pub(crate) fn is_here(&self, node: NodeId, block: BlockId) -> bool {
        matches!(self.has(node, block), Has::Unchecked | Has::Body)
    }

    pub(crate) fn holds(&self, node: NodeId, block: BlockId) -> bool {
        // What was retired is final everywhere that matters.
        block.get() < self.first || self.has(node, block) == Has::Body
    }

    /// Notes an announcement; whether it is the earliest on its way to `to` by (time, sender).
    pub(crate) fn announce(&mut self, to: NodeId, block: BlockId, at: Time, from: NodeId) -> bool {
        let place = self.place(block);
        let best = &mut self.holders[place].announced[to.index()];
        let earlier = (at, from) < *best;
        if earlier {
            *best = (at, from);
        }
        earlier
    }

    /// A fault begins or ends: what was asked for may never come, so that the next announcement
    /// counts again.
    pub(crate) fn forget_requests(&mut self) {
        for holders in &mut self.holders {
            holders.announced.fill((Time::NEVER, NodeId::new(u32::MAX)));
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
    pub(crate) fn mark(&self, block: BlockId, site: u32) -> u32 {
        self.marks[self.place(block) * self.sites + site as usize]
    }

    /// Copies all watermarks of a block.
    pub(crate) fn marks(&self, block: BlockId, marks: &mut Vec<u32>) {
        let start = self.place(block) * self.sites;
        marks.clear();
        marks.extend(self.marks.range(start..start + self.sites));
    }

    /// Forgets every block before `first`.
    pub(crate) fn retire_before(&mut self, first: BlockId) {
        while self.first < first.get() && self.holders.len() > 1 {
            let mut old = self.holders.pop_front().expect("more than one");
            old.has.fill(Has::Nothing);
            old.announced.fill((Time::NEVER, NodeId::new(u32::MAX)));
            self.spare.push(old);
            self.marks.drain(..self.sites);
            self.first += 1;
        }
    }
}
