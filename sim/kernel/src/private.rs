//! Private branches: selfish mining, and the long reorganisation against finality by depth.
//!
//! Those of one entry act as one: what one of them hears, all know at once. So the strategy is a state
//! machine over heights, whatever the engine, and the network decides what comes of it.
//!
//! Selfish ([`Conduct::Selfish`]):
//! - Upon finding a block: keep it; in a tie on the own branch, publish it.
//! - Upon a higher block of others, by how far the own branch is ahead of it: not at all, give it up; by
//!   none, publish all and race; by one, publish all; by more, publish as many as they have.
//!
//! Reorganisation ([`Conduct::Reorg`]):
//! - Upon finding a first block on the public head: keep it; from now on what others find is not followed.
//! - Upon the public branch having enough blocks above the fork while the own one is longer: publish.
//! - Upon the own one being too far behind: give up, and follow the others again.

use crate::sim::{Job, Rank, Simulation};
use quorate_core::{BlockId, Conduct, Engine, Input, NodeId};

/// What the nodes of an entry have between them and the others.
pub(crate) struct Branch<E: Engine> {
    /// The block below the own branch.
    fork: Option<BlockId>,
    /// The own branch's last.
    tip: Option<BlockId>,
    /// Two published branches of one length: the own last block, and the other.
    tie: Option<(BlockId, BlockId)>,
    /// The height of the others.
    public: u32,
    /// What was not handed in while it was not followed.
    later: Vec<(NodeId, Input<E>)>,
}

impl<E: Engine> Default for Branch<E> {
    fn default() -> Self {
        Self {
            fork: None,
            tip: None,
            tie: None,
            public: 0,
            later: Vec::new(),
        }
    }
}

impl<E: Engine> Simulation<'_, E> {
    fn height(&self, block: BlockId) -> u32 {
        self.blocks.find(block).map_or(0, |b| b.height)
    }

    /// The nodes of an entry have found a block, which is kept.
    pub(crate) fn own_block(&mut self, entry: u32, block: BlockId) {
        let (height, parent) = {
            let block = self.blocks.get(block);
            (block.height, block.parent.expect("not the genesis block"))
        };
        let branch = &mut self.branches[entry as usize];
        if branch.tip.is_none() {
            branch.fork = Some(parent);
            branch.public = branch.public.max(height - 1);
            self.lies.branches[0] += 1;
        }
        let branch = &mut self.branches[entry as usize];
        let wins_tie = branch.tie.is_some_and(|(own, _)| own == parent);
        let tip = branch.tip;
        if tip.is_none_or(|tip| self.height(tip) < height) {
            self.branches[entry as usize].tip = Some(block);
        }
        if wins_tie {
            self.win(entry);
        } else {
            self.judge_reorg(entry);
        }
    }

    /// Whether an input is not handed in yet, because its machine does not follow the others now.
    pub(crate) fn comes_later(&mut self, node: NodeId, input: Input<E>) -> bool {
        let block = match input {
            Input::Body { block, .. } | Input::Header { block, .. } => Some(block),
            Input::Message { ref message, .. } => E::carries(message),
            _ => None,
        };
        let Some(block) = block.filter(|&b| self.is_of_others(node, b)) else {
            return false;
        };
        let Some((entry, fork)) = self.reorganises(node) else {
            return false;
        };
        if self.liars.entries()[entry as usize].until <= self.now {
            self.lose(entry);
            return false;
        }
        let above = self.blocks.extends(block, fork);
        let height = self.height(block);
        let branch = &mut self.branches[entry as usize];
        branch.later.push((node, input));
        if above {
            branch.public = branch.public.max(height);
            self.judge_reorg(entry);
        }
        true
    }

    /// The entry by which a machine extends a branch of its own, and the block below that.
    fn reorganises(&self, node: NodeId) -> Option<(u32, BlockId)> {
        let entries = (0..).zip(&self.branches);
        let mut of = entries.filter(|(entry, _)| self.liars.is_of(node, *entry));
        of.find_map(|(entry, branch)| {
            let races = matches!(
                self.liars.entries()[entry as usize].conduct,
                Conduct::Reorg { .. }
            );
            branch.fork.filter(|_| races).map(|fork| (entry, fork))
        })
    }

    fn is_of_others(&self, node: NodeId, block: BlockId) -> bool {
        // Nobody built the genesis block.
        let built = self.blocks.find(block).filter(|b| b.parent.is_some());
        built.is_some_and(|b| !self.liars.lies(b.key.creator)) && self.liars.lies(node)
    }

    /// A machine has handled another's block.
    pub(crate) fn heard_block(&mut self, node: NodeId, block: BlockId) {
        if !self.is_of_others(node, block) {
            return;
        }
        let selfish = |conduct: &Conduct| *conduct == Conduct::Selfish;
        let entry = self.liars.conducts(node, self.now).find(|e| selfish(e.1));
        let Some(entry) = entry.map(|(entry, _)| entry) else {
            return;
        };
        let (height, tip) = (self.height(block), self.branches[entry as usize].tip);
        let branch = &mut self.branches[entry as usize];
        if height <= branch.public {
            return;
        }
        branch.public = height;
        let Some(tip) = tip else { return };
        if self.blocks.extends(block, tip) {
            // They build on what was published: it is everybody's.
            return self.win(entry);
        }
        match self.height(tip).checked_sub(height) {
            None => self.lose(entry),
            Some(0) => {
                self.publish(entry, u32::MAX);
                self.branches[entry as usize].tie = Some((tip, block));
            }
            Some(1) => self.win(entry),
            Some(_) => self.publish(entry, height),
        }
    }

    /// Whether a reorganisation has succeeded, or is given up.
    fn judge_reorg(&mut self, entry: u32) {
        let Conduct::Reorg {
            confirmations,
            give_up,
        } = self.liars.entries()[entry as usize].conduct
        else {
            return;
        };
        let branch = &self.branches[entry as usize];
        let (Some(fork), Some(tip)) = (branch.fork, branch.tip) else {
            return;
        };
        let base = self.height(fork);
        let public = branch.public.saturating_sub(base);
        let own = self.height(tip).saturating_sub(base);
        if public >= confirmations && own > public {
            self.win(entry);
        } else if own + give_up < public {
            self.lose(entry);
        }
    }

    fn win(&mut self, entry: u32) {
        self.publish(entry, u32::MAX);
        self.lies.branches[1] += 1;
        self.begin_again(entry);
    }

    fn lose(&mut self, entry: u32) {
        self.liars.kept.retain(|_, kept| kept.by != entry);
        self.lies.branches[2] += 1;
        self.begin_again(entry);
    }

    fn begin_again(&mut self, entry: u32) {
        let branch = &mut self.branches[entry as usize];
        (branch.fork, branch.tip, branch.tie) = (None, None, None);
        for (node, input) in core::mem::take(&mut branch.later) {
            let epoch = self.nodes[node.index()].epoch;
            self.push(self.now, Rank::Served, node, Job::Served { epoch, input });
        }
    }

    /// Everybody of an entry who holds them relays its kept blocks up to a height, lowest first.
    fn publish(&mut self, entry: u32, height: u32) {
        let kept = self.liars.kept.iter();
        let due = kept.filter(|(b, k)| k.by == entry && self.height(**b) <= height);
        let due: Vec<_> = due.map(|(block, kept)| (*block, kept.rule)).collect();
        let machines = (0..self.net.nodes()).map(NodeId::new);
        let members: Vec<NodeId> = machines.filter(|&n| self.liars.is_of(n, entry)).collect();
        for (block, rule) in due {
            self.liars.kept.remove(&block);
            let Some(rule) = rule else { continue };
            for &member in &members {
                if self.nodes[member.index()].up && self.store.holds(member, block) {
                    self.relay(member, block, rule);
                }
            }
        }
    }

    /// An honest node builds in a tie.
    pub(crate) fn note_tie(&mut self, node: NodeId, parent: BlockId) {
        if self.liars.lies(node) {
            return;
        }
        for branch in &self.branches {
            if let Some((own, other)) = branch.tie {
                self.lies.ties[0] += u64::from(parent == own);
                self.lies.ties[1] += u64::from(parent == other);
            }
        }
    }
}
