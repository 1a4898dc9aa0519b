//! How blocks travel the overlay, and how a node catches up.
//!
//! The engine decides when a block is relayed and by which rule; this file is the mechanics:
//! announcements, requests, bodies, compact blocks and their missing transactions.

use crate::sim::{Job, Rank, Simulation};
use crate::store::Has;
use crate::wire::{Envelope, Payload};
use quorate_core::{Block, BlockId, Compact, Engine, Input, NodeId, Relay, hash};

/// Indices into [`crate::RELAY_KINDS`].
mod kind {
    pub(super) const INV: usize = 0;
    pub(super) const GETDATA: usize = 1;
    pub(super) const BLOCK: usize = 2;
    pub(super) const COMPACT: usize = 3;
    pub(super) const GETTXS: usize = 4;
    pub(super) const TXS: usize = 5;
    pub(super) const HEADER: usize = 6;
    pub(super) const SYNC: usize = 7;
}

/// `inv` and `getdata` of one item: 24-byte message header, count, 36-byte entry.
/// source: Bitcoin protocol, message layouts of BIP 152 and the developer reference.
const INV_BYTES: u64 = 61;
/// `getheaders` with ten locators: what a node that is behind sends first.
/// source: Bitcoin protocol layouts.
const GETHEADERS_BYTES: u64 = 413;
/// `getblocktxn`: header, block hash, count and a few indices. source: BIP 152.
const GETBLOCKTXN_BYTES: u64 = 24 + 32 + 1 + 3;
/// `blocktxn` besides its transactions: header, block hash, count. source: BIP 152.
const BLOCKTXN_BYTES: u64 = 24 + 33;

/// Bytes of a compact block. source: BIP 152: header and nonce, 6-byte short identifiers, one
/// prefilled transaction of about 250 bytes.
const fn compact_bytes(txs: u32) -> u64 {
    24 + 80 + 8 + 3 + 6 * txs as u64 + 2 + 250
}

fn edge(from: NodeId, to: NodeId) -> u64 {
    u64::from(from.get()) << 32 | u64::from(to.get())
}

impl<E: Engine> Simulation<'_, E> {
    pub(crate) fn relay(&mut self, node: NodeId, block: BlockId, rule: Relay) {
        let Some(&Block {
            txs, bytes, header, ..
        }) = self.blocks.find(block)
        else {
            return;
        };
        match rule {
            Relay::Push => self.relay_whole(node, block, bytes),
            Relay::Header => {
                let bytes = self.header_bytes(node, &header);
                let header = self.envelope(node, kind::HEADER, Payload::Header(block), bytes);
                self.announce(&header, block);
            }
            Relay::Inv => {
                let inv = self.inv(node, block, false);
                self.announce(&inv, block);
            }
            Relay::Compact => self.relay_compact(node, block, self.compact_bytes(node, txs)),
            Relay::SqrtPush => self.relay_to_some(node, block, bytes),
        }
    }

    /// Bytes of a compact block of so many of the workload's transactions.
    fn compact_bytes(&self, node: NodeId, txs: u32) -> u64 {
        let background = self.nodes[node.index()].engine.background();
        compact_bytes(txs + background.txs)
    }

    /// The block to the ⌊√degree⌋ neighbours with the least hashes, and then an announcement to the
    /// others.
    fn relay_to_some(&mut self, node: NodeId, block: BlockId, bytes: u64) {
        let degree = self.net.degree(node);
        let key = hash::fold_all(self.relay_key, &[self.blocks.name(block)]);
        let mut drawn = core::mem::take(&mut self.drawn);
        drawn.clear();
        drawn.extend((0..degree).map(|k| {
            let to = self.net.neighbour(node, k);
            (hash::fold_all(key, &[edge(node, to)]), to)
        }));
        drawn.sort_unstable();
        let (some, others) = drawn.split_at(degree.isqrt() as usize);
        let whole = self.envelope(node, kind::BLOCK, Payload::Body(block), bytes);
        for &(_, to) in some {
            self.post(&whole, to);
        }
        let inv = self.inv(node, block, false);
        for &(_, to) in others {
            self.announce_to(&inv, block, to);
        }
        self.drawn = drawn;
    }

    fn inv(&self, node: NodeId, block: BlockId, compact: bool) -> Envelope<E> {
        let payload = Payload::Inv { block, compact };
        self.envelope(node, kind::INV, payload, INV_BYTES)
    }

    fn relay_whole(&mut self, node: NodeId, block: BlockId, bytes: u64) {
        let whole = self.envelope(node, kind::BLOCK, Payload::Body(block), bytes);
        for k in 0..self.net.degree(node) {
            self.post(&whole, self.net.neighbour(node, k));
        }
    }

    fn relay_compact(&mut self, node: NodeId, block: BlockId, bytes: u64) {
        let short = self.envelope(node, kind::COMPACT, Payload::Compact(block), bytes);
        let inv = self.inv(node, block, true);
        for k in 0..self.net.degree(node) {
            let to = self.net.neighbour(node, k);
            if self.is_high_bandwidth(to, node) {
                self.post(&short, to);
            } else {
                self.announce_to(&inv, block, to);
            }
        }
    }

    /// Announces a block to all neighbours.
    fn announce(&mut self, envelope: &Envelope<E>, block: BlockId) {
        if self.flood(envelope, block).is_none() {
            let from = envelope.packet.from;
            for k in 0..self.net.degree(from) {
                self.announce_to(envelope, block, self.net.neighbour(from, k));
            }
        }
    }

    /// The same at once, where nothing can happen to an announcement and those that cannot be the first
    /// to arrive leave no trace; `None` elsewhere.
    fn flood(&mut self, envelope: &Envelope<E>, block: BlockId) -> Option<()> {
        let packet = envelope.packet;
        let eventful = !self.faults.is_empty() || !self.liars.is_empty();
        if !self.setup.forms.pruned || eventful || self.net.queues(packet.bytes) {
            return None;
        }
        self.firsts.clear();
        let best = self.store.announced(block);
        let copies = self.net.flood(&envelope.outgoing, best, &mut self.firsts)?;
        let traffic = &mut self.traffic[envelope.kind];
        traffic.messages += u64::from(copies);
        traffic.bytes += u64::from(copies) * packet.bytes;
        for i in 0..self.firsts.len() {
            let (at, to) = self.firsts[i];
            self.push(at, Rank::Arrived, to, Job::Packet(packet));
        }
        Some(())
    }

    /// Announces a block to one node; an announcement that cannot be the first to arrive is only
    /// counted.
    fn announce_to(&mut self, envelope: &Envelope<E>, block: BlockId, to: NodeId) {
        let packet = envelope.packet;
        if let Some(at) = self.transmit(envelope, to) {
            // A later one finds the block asked for, unless a fault interferes before it arrives,
            // and leaves no trace, unless it takes its turn at the downlink.
            let surely_later = at < self.next_edge
                && !self.net.queues(packet.bytes)
                && !self.faults.one_way(self.now());
            if !self.setup.forms.pruned || !surely_later || self.store.announce(to, block, at) {
                self.push(at, Rank::Arrived, to, Job::Packet(packet));
            }
        }
    }

    /// Whether `chooser` lets `peer` push compact blocks to it. Bitcoin nodes choose the peers that
    /// were first with recent blocks; here each replication draws the choice once.
    fn is_high_bandwidth(&self, chooser: NodeId, peer: NodeId) -> bool {
        let peers = self.compact.high_bandwidth_peers;
        if peers == 0 || !self.use_compact(chooser, peer) {
            return false;
        }
        let degree = self.net.degree(chooser);
        let draw = hash::fold(self.high_bandwidth_key, u64::from(chooser.get()));
        let start = draw % u64::from(degree);
        (0..peers.min(degree))
            .any(|i| self.net.neighbour(chooser, (start as u32 + i) % degree) == peer)
    }

    /// Whether both of two nodes understand compact blocks.
    fn use_compact(&self, a: NodeId, b: NodeId) -> bool {
        let users = u64::from(self.compact.users_permille);
        let does =
            |node: NodeId| hash::fold_all(self.relay_key, &[u64::from(node.get())]) % 1_000 < users;
        users == 1_000 || does(a) && does(b)
    }

    /// A message of the relay has arrived.
    pub(crate) fn relayed(&mut self, node: NodeId, from: NodeId, payload: Payload<E>) {
        match payload {
            Payload::Inv { block, compact } => self.announced(node, from, block, compact),
            Payload::Header(block)
                if self.is_live(block) && self.store.has(node, block) == Has::Nothing =>
            {
                self.store.set(node, block, Has::Header);
                let from = self.liars.who(from);
                self.served(node, Input::Header { block, from });
            }
            Payload::GetData { block, compact } => self.answer(node, from, block, compact),
            Payload::Body(block) | Payload::Txs(block) => self.complete(node, from, block),
            Payload::Compact(block) => self.reconstruct(node, from, block),
            Payload::GetTxs { block, bytes } if self.is_live(block) => {
                self.post_relay(
                    node,
                    from,
                    kind::TXS,
                    Payload::Txs(block),
                    BLOCKTXN_BYTES + bytes,
                );
            }
            Payload::SyncRequest => self.send_sync_batch(node, from),
            Payload::SyncBatch(head) => self.receive_sync_batch(node, from, head),
            _ => {}
        }
    }

    /// Whether a block may still matter to anybody: it and what lies below it are kept.
    pub(crate) fn is_live(&self, block: BlockId) -> bool {
        self.blocks.find(block).is_some() && !self.store.is_dead(block)
    }

    /// Only the first announcement asks. While nothing fails the answer comes; whatever fails makes
    /// the next announcement the first again.
    fn announced(&mut self, node: NodeId, from: NodeId, block: BlockId, compact: bool) {
        if self.is_live(block) && self.store.has(node, block) == Has::Nothing {
            let compact = compact && self.use_compact(node, from);
            self.ask(node, from, block, compact);
        }
    }

    /// Requests a body.
    pub(crate) fn ask(&mut self, node: NodeId, from: NodeId, block: BlockId, compact: bool) {
        if self.is_live(block) && !self.store.is_here(node, block) {
            // Who cannot be reached is not waited for: the next announcement counts.
            if !self.faults.cut(node, from, self.now()) {
                self.store.set(node, block, Has::Asked);
            }
            let payload = Payload::GetData { block, compact };
            self.post_relay(node, from, kind::GETDATA, payload, INV_BYTES);
        }
    }

    fn answer(&mut self, node: NodeId, to: NodeId, block: BlockId, compact: bool) {
        if !self.is_live(block) || self.store.has(node, block) != Has::Body {
            return;
        }
        let stored = self.blocks.get(block);
        if compact {
            let bytes = self.compact_bytes(node, stored.txs);
            self.post_relay(node, to, kind::COMPACT, Payload::Compact(block), bytes);
        } else {
            let bytes = stored.bytes;
            self.post_relay(node, to, kind::BLOCK, Payload::Body(block), bytes);
        }
    }

    /// Rebuilds a block from the transactions that the node has seen; asks for the others.
    fn reconstruct(&mut self, node: NodeId, from: NodeId, block: BlockId) {
        if !self.is_live(block) || self.store.is_here(node, block) {
            return;
        }
        let missing = self.missing_bytes(node, block) + self.injected_bytes(node, block);
        if missing == 0 {
            self.complete(node, from, block);
            return;
        }
        self.store.set(node, block, Has::Asked);
        let payload = Payload::GetTxs {
            block,
            bytes: missing,
        };
        self.post_relay(node, from, kind::GETTXS, payload, GETBLOCKTXN_BYTES);
    }

    /// Bytes that a node lacks of a compact block for reasons that are not simulated.
    fn injected_bytes(&self, node: NodeId, block: BlockId) -> u64 {
        let Compact {
            failure_permille,
            missing_permille,
            ..
        } = &self.compact;
        if *failure_permille == 0 {
            return 0;
        }
        let words = [self.blocks.name(block), u64::from(node.get())];
        let draw = hash::fold_all(self.relay_key, &words);
        if draw % 1_000 >= u64::from(*failure_permille) {
            return 0;
        }
        let place = (draw >> 32) % missing_permille.len() as u64;
        let share = u64::from(missing_permille[place as usize]);
        self.blocks.get(block).bytes * share / 1_000
    }

    /// Bytes of a block's transactions that a node has not seen yet.
    fn missing_bytes(&self, node: NodeId, block: BlockId) -> u64 {
        let parent = self
            .blocks
            .get(block)
            .parent
            .expect("not the genesis block");
        let sites = 0..self.pool.sites();
        sites
            .map(|site| {
                let (from, to) = (self.store.mark(parent, site), self.store.mark(block, site));
                let from = self.pool.evicted(block, site).map_or(from, |e| e.1);
                let seen = self.pool.seen(&self.faults, site, node, self.now(), from);
                self.pool.sum(site, seen, to).bytes
            })
            .sum()
    }

    /// A whole block is here: the engine gets it once it is checked.
    fn complete(&mut self, node: NodeId, from: NodeId, block: BlockId) {
        if !self.is_live(block) || self.store.is_here(node, block) {
            return;
        }
        self.store.set(node, block, Has::Unchecked);
        let cost = self.check_block(node, block);
        let from = self.liars.who(from);
        self.after_cpu(node, cost, Input::Body { block, from });
    }

    // ---- catching up ----------------------------------------------------------------------

    pub(crate) fn send_sync_request(&mut self, node: NodeId, from: NodeId) {
        self.post_relay(
            node,
            from,
            kind::SYNC,
            Payload::SyncRequest,
            GETHEADERS_BYTES,
        );
    }

    /// Answers with everything on the own head's chain that the asker lacks.
    fn send_sync_batch(&mut self, node: NodeId, to: NodeId) {
        let head = self.told_head(node, to);
        let lacking = self.lacking(to, head);
        if lacking.is_empty() {
            return;
        }
        let bytes = lacking.iter().map(|&b| self.blocks.get(b).bytes).sum();
        self.post_relay(node, to, kind::SYNC, Payload::SyncBatch(head), bytes);
    }

    fn receive_sync_batch(&mut self, node: NodeId, from: NodeId, head: BlockId) {
        if !self.is_live(head) {
            return;
        }
        for block in self.lacking(node, head) {
            self.complete(node, from, block);
        }
    }

    /// Blocks of the chain that ends in `head` whose bodies a node lacks, lowest first. It may have
    /// some of them already: a node knows what lies under its own head, and gaps above it.
    fn lacking(&self, node: NodeId, head: BlockId) -> Vec<BlockId> {
        let own = self.nodes[node.index()].head;
        let known = self.blocks.fork_point(own, head);
        let mut lacking = Vec::new();
        let mut at = Some(head);
        while let Some(block) = at.filter(|&b| at != known && self.is_live(b)) {
            if !self.store.is_here(node, block) {
                lacking.push(block);
            }
            at = self.blocks.get(block).parent;
        }
        lacking.reverse();
        lacking
    }
}
