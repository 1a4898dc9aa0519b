//! The block arena of one replication.

use crate::{BlockId, NodeId, Span, Time, hash};
use std::collections::VecDeque;

/// Who made a block, and which of its blocks it is: the identity that orders and keys use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BlockKey {
    /// The node that built it.
    pub creator: NodeId,
    /// The creator's own counter, from 0.
    pub sequence: u32,
}

/// A block as every replica sees it. Its transactions are ranges that the kernel keeps.
#[derive(Clone, Copy, Debug)]
pub struct Block<H> {
    /// Its identity.
    pub key: BlockKey,
    /// The block below it; `None` for the genesis block.
    pub parent: Option<BlockId>,
    /// Distance from the genesis block.
    pub height: u32,
    /// When it was built, on its creator's clock: the header's timestamp.
    pub timestamp: Time,
    /// What the protocol puts in a header.
    pub header: H,
    /// Whole size on the wire, header and body.
    pub bytes: u64,
    /// Transactions in it.
    pub txs: u32,
    /// What executing it costs on the reference core.
    pub exec: Span,
}

/// All blocks that may still be needed. Old ones are retired from the front, so that memory does
/// not grow with the length of the run.
#[derive(Clone, Debug)]
pub struct Blocks<H> {
    first: u32,
    entries: VecDeque<Block<H>>,
    /// Of the same blocks: they are asked for with every message.
    names: VecDeque<u64>,
    /// Of the same blocks: the place of the first of a run of blocks in which each stands on the one
    /// made before it. Without forks an ancestor is found at once, however deep.
    runs: VecDeque<u32>,
}

fn name(key: BlockKey) -> u64 {
    hash::fold_all(u64::from(key.creator.get()), &[u64::from(key.sequence)])
}

impl<H: Copy> Blocks<H> {
    /// An arena with the genesis block, whose identifier is [`Blocks::GENESIS`].
    pub fn new(header: H) -> Self {
        let genesis = Block {
            key: BlockKey {
                creator: NodeId::new(u32::MAX),
                sequence: 0,
            },
            parent: None,
            height: 0,
            timestamp: Time::ZERO,
            header,
            bytes: 0,
            txs: 0,
            exec: Span::ZERO,
        };
        Self {
            first: 0,
            names: VecDeque::from([name(genesis.key)]),
            entries: VecDeque::from([genesis]),
            runs: VecDeque::from([0]),
        }
    }

    /// The block that every chain starts from.
    pub const GENESIS: BlockId = BlockId::new(0);

    /// Adds a block on a parent that is still in the arena.
    pub fn push(&mut self, block: Block<H>) -> BlockId {
        let parent = block.parent.expect("only the genesis block has no parent");
        assert_eq!(
            block.height,
            self.get(parent).height + 1,
            "a block follows its parent"
        );
        let last = self.last();
        let run = match self.runs.back() {
            Some(&run) if parent == last => run,
            _ => last.get() + 1,
        };
        self.entries.push_back(block);
        self.names.push_back(name(block.key));
        self.runs.push_back(run);
        self.last()
    }

    /// The block; panics when it was retired, which is a bug in the caller.
    #[inline]
    pub fn get(&self, id: BlockId) -> &Block<H> {
        self.find(id)
            .unwrap_or_else(|| panic!("{id} was retired or never made"))
    }

    /// The block, unless it was retired.
    #[inline]
    pub fn find(&self, id: BlockId) -> Option<&Block<H>> {
        let place = id.get().checked_sub(self.first)?;
        self.entries.get(place as usize)
    }

    /// A 64-bit name made of the block's identity, the same in every form of the run. A retired
    /// block is named by its place, which is the same too, because blocks are built in one order.
    #[inline]
    pub fn name(&self, id: BlockId) -> u64 {
        let place = id.get().wrapping_sub(self.first);
        match self.names.get(place as usize) {
            Some(&name) => name,
            None => hash::mix(u64::from(id.get())),
        }
    }

    /// The ancestor of `id` (or itself) at `height`; `None` above it or when it was retired.
    pub fn ancestor(&self, id: BlockId, height: u32) -> Option<BlockId> {
        let mut at = id;
        let mut block = self.find(id)?;
        if block.height < height {
            return None;
        }
        while block.height > height {
            let run = self.runs[(at.get() - self.first) as usize].max(self.first);
            let back = (block.height - height).min(at.get() - run);
            at = match back {
                0 => block.parent?,
                _ => BlockId::new(at.get() - back),
            };
            block = self.find(at)?;
        }
        Some(at)
    }

    /// Whether `old` is an ancestor of `new`, or the same block.
    pub fn extends(&self, new: BlockId, old: BlockId) -> bool {
        self.find(old)
            .is_some_and(|o| self.ancestor(new, o.height) == Some(old))
    }

    /// The highest block that both chains share; `None` when it was retired.
    pub fn fork_point(&self, a: BlockId, b: BlockId) -> Option<BlockId> {
        let height = self.find(a)?.height.min(self.find(b)?.height);
        let (mut a, mut b) = (self.ancestor(a, height)?, self.ancestor(b, height)?);
        while a != b {
            a = self.find(a)?.parent?;
            b = self.find(b)?.parent?;
        }
        Some(a)
    }

    /// Forgets every block made before `first`. The caller keeps those that are still needed.
    pub fn retire_before(&mut self, first: BlockId) {
        while self.first < first.get() && self.entries.len() > 1 {
            self.entries.pop_front();
            self.names.pop_front();
            self.runs.pop_front();
            self.first += 1;
        }
    }

    /// The oldest block that is still kept.
    pub const fn first(&self) -> BlockId {
        BlockId::new(self.first)
    }

    /// The block made last.
    pub fn last(&self) -> BlockId {
        BlockId::new(self.first + self.entries.len() as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(blocks: &mut Blocks<()>, parent: BlockId, creator: u32, n: u32) -> BlockId {
        (0..n).fold(parent, |parent, sequence| {
            let height = blocks.get(parent).height + 1;
            blocks.push(Block {
                key: BlockKey {
                    creator: NodeId::new(creator),
                    sequence,
                },
                parent: Some(parent),
                height,
                timestamp: Time::ZERO,
                header: (),
                bytes: 0,
                txs: 0,
                exec: Span::ZERO,
            })
        })
    }

    #[test]
    fn ancestry_over_a_fork() {
        let mut blocks = Blocks::new(());
        let trunk = chain(&mut blocks, Blocks::<()>::GENESIS, 1, 3);
        let left = chain(&mut blocks, trunk, 2, 2);
        let right = chain(&mut blocks, trunk, 3, 4);
        assert_eq!(blocks.fork_point(left, right), Some(trunk));
        assert!(blocks.extends(right, trunk) && !blocks.extends(right, left));
        assert_eq!(blocks.ancestor(right, 3), Some(trunk));
        assert_eq!(blocks.ancestor(trunk, 9), None);
        assert_ne!(blocks.name(left), blocks.name(right));
    }

    /// Blocks of two chains made in turn, and in runs: the walk by runs finds what the walk by parents
    /// finds, also after some are forgotten.
    #[test]
    fn an_ancestor_is_the_one_that_parents_lead_to() {
        let mut blocks = Blocks::new(());
        let (mut a, mut b) = (Blocks::<()>::GENESIS, Blocks::<()>::GENESIS);
        for round in 0..40 {
            a = chain(&mut blocks, a, 1, 1 + round % 3);
            b = chain(&mut blocks, b, 2, round % 4);
        }
        for first in [0, 1, 7, 30, 61] {
            blocks.retire_before(BlockId::new(first));
            for head in [a, b] {
                let mut at = Some(head);
                for height in (0..=blocks.get(head).height).rev() {
                    let kept = at.filter(|at| blocks.find(*at).is_some());
                    assert_eq!(blocks.ancestor(head, height), kept, "{head} at {height}");
                    at = kept.and_then(|at| blocks.get(at).parent);
                }
            }
        }
    }

    #[test]
    fn retired_blocks_are_gone_and_identifiers_stay() {
        let mut blocks = Blocks::new(());
        let head = chain(&mut blocks, Blocks::<()>::GENESIS, 1, 9);
        blocks.retire_before(BlockId::new(5));
        assert!(blocks.find(BlockId::new(4)).is_none());
        assert_eq!(blocks.get(head).height, 9);
        assert_eq!(blocks.ancestor(head, 4), None);
    }
}
