//! What liars do instead of what their engines want: to votes, to blocks, and to others' transactions.

use crate::histogram::LatencyHistogram;
use crate::liars::Kept;
use crate::pool::Place;
use crate::sim::{Job, Rank, Simulation};
use crate::wire::{Packet, Payload};
use quorate_core::{
    Agreement, BlockId, Conduct, Effect, Engine, Family, Level, NodeId, Relay, Span,
};
use serde::{Deserialize, Serialize};

/// What liars did, and what came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lies {
    /// Nodes that lie at some time.
    pub liars: u32,
    /// Those that the protocol bears.
    pub bound: u32,
    /// Votes that they did not send.
    pub withheld_votes: u64,
    /// Votes that they sent late.
    pub late_votes: u64,
    /// Blocks that they kept back at first.
    pub withheld_blocks: u64,
    /// Blocks of theirs that do not execute.
    pub invalid_blocks: u64,
    /// How often a node refused one.
    pub refused: u64,
    /// Those of them that an honest node called final.
    pub invalid_final: u64,
    /// Transactions that others saw earlier and that stand behind a favoured one in a block.
    pub overtaken_txs: u64,
    /// Latency to *included* of the sites that liars leave out or favour, and of all others.
    pub to_included: [LatencyHistogram; 2],
    /// Private branches that were begun, published as the longer one, and given up.
    pub branches: [u64; 3],
    /// Blocks on the chain of the honest nodes, and those of them that liars made.
    pub on_chain: [u64; 2],
    /// Honest blocks on the liars' branch and on the other, while both were equally long.
    pub ties: [u64; 2],
}

impl Lies {
    /// Of so many liars, where the protocol bears so many.
    pub(crate) fn of(liars: u32, bound: u32) -> Self {
        Self {
            liars,
            bound,
            ..Self::default()
        }
    }
}

impl<E: Engine> Simulation<'_, E> {
    /// Whether those who check a block look into it, and do not trust who leads.
    fn looks_inside() -> bool {
        let trusts = matches!(
            E::FACTS.agreement,
            Agreement::LeaderLog | Agreement::Primary
        );
        !trusts && E::FACTS.family != Family::Integrity
    }

    /// What a liar does instead of an effect. Whether it does not do what its engine wants.
    pub(crate) fn twist(&mut self, node: NodeId, effect: &Effect<E>) -> bool {
        let (own, rule, vote) = match *effect {
            Effect::Vote(_) => (None, None, true),
            Effect::Send { ref message, .. } => (E::carries(message), None, E::is_vote(message)),
            Effect::Relay { block, rule } => (Some(block), Some(rule), false),
            _ => return false,
        };
        if vote {
            return self.twist_vote(node, effect);
        }
        if let Some(block) = own.filter(|&b| self.is_own(node, b)) {
            self.twist_block(node, block, rule);
        }
        false
    }

    fn is_own(&self, node: NodeId, block: BlockId) -> bool {
        let block = self.blocks.find(block);
        block.is_some_and(|b| b.key.creator == self.liars.who(node))
    }

    fn twist_vote(&mut self, node: NodeId, effect: &Effect<E>) -> bool {
        let mut delay = Span::ZERO;
        for (_, conduct) in self.liars.conducts(node, self.now) {
            match conduct {
                Conduct::WithholdVotes => {
                    self.lies.withheld_votes += 1;
                    return true;
                }
                Conduct::DelayVotes(by) => delay = delay.max(*by),
                _ => {}
            }
        }
        if delay.is_zero() {
            return false;
        }
        self.lies.late_votes += 1;
        let epoch = self.nodes[node.index()].epoch;
        let slot = self.late.insert(*effect);
        let job = Job::Late { epoch, slot };
        self.push(self.now + delay, Rank::Timer, node, job);
        true
    }

    /// A liar is about to send a block of its own.
    fn twist_block(&mut self, node: NodeId, block: BlockId, rule: Option<Relay>) {
        let keeps = |(entry, conduct): (u32, &Conduct)| match conduct {
            Conduct::WithholdBlocks => Some((entry, false)),
            Conduct::Selfish | Conduct::Reorg { .. } => Some((entry, true)),
            _ => None,
        };
        let Some((by, races)) = self.liars.conducts(node, self.now).find_map(keeps) else {
            return;
        };
        if self.liars.kept.contains_key(&block) {
            return;
        }
        self.lies.withheld_blocks += 1;
        self.liars.kept.insert(block, Kept { by, rule });
        if races {
            self.own_block(by, block);
        }
    }

    /// Whether a packet does not leave: a liar holds it back, or has no link to its receiver.
    pub(crate) fn is_held_back(&self, packet: &Packet<E>, to: NodeId) -> bool {
        let (liars, from) = (&self.liars, packet.from);
        let silent = |conduct: &Conduct| *conduct == Conduct::Silent;
        !liars.linked(from, to)
            || !packet.payload.is_asked() && liars.does(from, self.now, silent)
            || packet
                .payload
                .block()
                .is_some_and(|b| liars.keeps_from(b, to))
    }

    /// The highest block under a machine's head that may be told to another.
    pub(crate) fn told_head(&self, node: NodeId, to: NodeId) -> BlockId {
        let mut head = self.nodes[node.index()].head;
        while self.liars.keeps_from(head, to) {
            head = self
                .blocks
                .get(head)
                .parent
                .expect("above the genesis block");
        }
        head
    }

    // ---- what is in blocks ----------------------------------------------------------------

    /// Sites whose transactions a builder leaves out, or takes before all others.
    pub(crate) fn chosen_sites(&self, node: NodeId, favoured: bool) -> Vec<u32> {
        let site = |(_, conduct): (u32, &Conduct)| match *conduct {
            Conduct::Censor(site) if !favoured => Some(site),
            Conduct::Favour(site) if favoured => Some(site),
            _ => None,
        };
        self.liars
            .conducts(node, self.now)
            .filter_map(site)
            .collect()
    }

    /// Notes what a liar has made of a new block.
    pub(crate) fn note_lies(&mut self, node: NodeId, block: BlockId, parent: BlockId) {
        let makes = |conduct: &Conduct| *conduct == Conduct::InvalidBlocks;
        let invalid = self.liars.does(node, self.now, makes);
        if invalid || self.liars.invalid.contains_key(&parent) {
            self.lies.invalid_blocks += 1;
            self.liars.invalid.insert(block, false);
        }
        if let Some(&site) = self.chosen_sites(node, true).first() {
            self.liars.favours.insert(block, site);
        }
        self.note_tie(node, parent);
    }

    /// Whether a machine refuses a block that it has checked.
    pub(crate) fn refuses(&mut self, node: NodeId, block: BlockId) -> bool {
        let refuses = Self::looks_inside()
            && self.liars.invalid.contains_key(&block)
            && !self.liars.lies(node);
        self.lies.refused += u64::from(refuses);
        refuses
    }

    /// A node calls a block final.
    pub(crate) fn note_final_lie(&mut self, node: NodeId, block: BlockId) {
        if !self.liars.lies(node)
            && let Some(known) = self.liars.invalid.get_mut(&block)
            && !core::mem::replace(known, true)
        {
            self.lies.invalid_final += 1;
        }
    }

    /// Puts a favoured site's transactions first, within each level of fees.
    pub(crate) fn favour(&mut self, block: BlockId, order: &mut [Place]) {
        let Some(&favoured) = self.liars.favours.get(&block) else {
            return;
        };
        let levels = self.setup.mempool.fees.levels();
        let is = |place: &Place| place.site / levels == favoured;
        for level in order.chunk_by_mut(|a, b| a.site % levels == b.site % levels) {
            let last = level.iter().rposition(is).unwrap_or(0);
            let overtaken = level[..last].iter().filter(|p| !is(p)).count();
            self.lies.overtaken_txs += overtaken as u64;
            level.sort_by_key(|place| !is(place));
        }
    }

    /// A site's own node has one of its transactions in a block, after so long.
    pub(crate) fn note_site(&mut self, level: Level, origin: u32, latency: Span) {
        let site = origin / self.setup.mempool.fees.levels();
        let named = |conduct: &Conduct| matches!(*conduct, Conduct::Censor(s) | Conduct::Favour(s) if s == site);
        let named = self.liars.entries().iter().any(|e| named(&e.conduct));
        if level == Level::Included {
            self.lies.to_included[usize::from(!named)].record(latency.ns() / 1_000);
        }
    }

    // ---- whose chain it is ----------------------------------------------------------------

    /// Counts the blocks of the chain up to `top` above those that were counted.
    pub(crate) fn count_chain(&mut self, top: BlockId) {
        let counted = self.counted_chain;
        let mut at = top;
        while at != counted {
            // Nobody built the genesis block.
            let found = self.blocks.find(at);
            let Some((block, parent)) = found.and_then(|b| Some((b, b.parent?))) else {
                break;
            };
            self.lies.on_chain[0] += 1;
            self.lies.on_chain[1] += u64::from(self.liars.lies(block.key.creator));
            at = parent;
        }
        self.counted_chain = top;
    }

    /// The rest of it, at the end: up to the highest head of the honest.
    pub(crate) fn count_chain_to_the_end(&mut self) {
        let honest = (0..self.net.nodes()).map(NodeId::new);
        let honest = honest.filter(|&n| !self.liars.lies(n));
        let heads = honest.map(|n| self.nodes[n.index()].head);
        let above = heads.filter(|&h| {
            self.blocks.find(h).is_some() && self.blocks.extends(h, self.counted_chain)
        });
        if let Some(top) = above.max_by_key(|&h| (self.blocks.get(h).height, self.blocks.name(h))) {
            self.count_chain(top);
        }
    }
}

impl<E: Engine> Payload<E> {
    /// The block that it is about or brings.
    fn block(&self) -> Option<BlockId> {
        match self {
            Self::Message(message) => E::carries(message),
            Self::Inv { block, .. } | Self::GetData { block, .. } | Self::GetTxs { block, .. } => {
                Some(*block)
            }
            Self::Body(block)
            | Self::Compact(block)
            | Self::Txs(block)
            | Self::Header(block)
            | Self::SyncBatch(block) => Some(*block),
            _ => None,
        }
    }

    /// Whether even the silent send it: to get blocks, and for their clients.
    const fn is_asked(&self) -> bool {
        matches!(
            self,
            Self::GetData { .. }
                | Self::GetTxs { .. }
                | Self::SyncRequest
                | Self::TxInv { .. }
                | Self::TxGet { .. }
                | Self::Tx { .. }
                | Self::TxChecked { .. }
                | Self::Proposal { .. }
        )
    }
}
