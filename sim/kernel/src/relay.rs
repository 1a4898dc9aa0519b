//! How blocks travel the overlay, and how a node catches up.
//!
//! The engine decides when a block is relayed and by which rule; this file is the mechanics:
//! announcements, requests, bodies, compact blocks and their missing transactions.

use crate::sim::Simulation;
use crate::store::Has;
use crate::wire::Payload;
use quorate_core::{Block, BlockId, Engine, Input, NodeId, Relay, hash};

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
/// Peers that may push compact blocks unasked. source: BIP 152, "up to three peers".
const HIGH_BANDWIDTH_PEERS: u32 = 3;

/// `getblocktxn`: header, block hash, count and a few indices. source: BIP 152.
const GETBLOCKTXN_BYTES: u64 = 24 + 32 + 1 + 3;
/// `blocktxn` besides its transactions: header, block hash, count. source: BIP 152.
const BLOCKTXN_BYTES: u64 = 24 + 33;

/// Bytes of a compact block. source: BIP 152: header and nonce, 6-byte short identifiers, one
/// prefilled transaction of about 250 bytes.
const fn compact_bytes(txs: u32) -> u64 {
    24 + 80 + 8 + 3 + 6 * txs as u64 + 2 + 250
}

impl<E: Engine> Simulation<'_, E> {
    pub(crate) fn relay(&mut self, node: NodeId, block: BlockId, rule: Relay) {
        if self.blocks.find(block).is_none() {
            return;
        }
        let &Block {
            txs, bytes, header, ..
        } = self.blocks.get(block);
        let (whole, announced) = match rule {
            Relay::Push => (Some((kind::BLOCK, Payload::Body(block), bytes)), None),
            Relay::Header => {
                let bytes = self.header_bytes(node, &header);
                (None, Some((kind::HEADER, Payload::Header(block), bytes)))
            }
            Relay::Inv | Relay::Compact => {
                let compact = rule == Relay::Compact;
                let short = (kind::COMPACT, Payload::Compact(block), compact_bytes(txs));
                let inv = (kind::INV, Payload::Inv { block, compact }, INV_BYTES);
                (compact.then_some(short), Some(inv))
            }
        };
        let whole = whole.map(|(kind, payload, bytes)| self.envelope(node, kind, payload, bytes));
        let announced =
            announced.map(|(kind, payload, bytes)| self.envelope(node, kind, payload, bytes));
        for k in 0..self.net.degree(node) {
            let to = self.net.neighbour(node, k);
            match (&whole, &announced) {
                (Some(whole), Some(_)) if self.is_high_bandwidth(to, node) => self.post(whole, to),
                (_, Some(announced)) => self.announce(announced, block, to),
                (Some(whole), None) => self.post(whole, to),
                (None, None) => {}
            }
        }
    }

    /// Whether `chooser` lets `peer` push compact blocks to it. Bitcoin nodes choose the peers that
    /// were first with recent blocks; here each replication draws the choice once.
    fn is_high_bandwidth(&self, chooser: NodeId, peer: NodeId) -> bool {
        let degree = self.net.degree(chooser);
        let draw = hash::fold(self.high_bandwidth_key, u64::from(chooser.get()));
        let start = draw % u64::from(degree);
        (0..HIGH_BANDWIDTH_PEERS.min(degree))
            .any(|i| self.net.neighbour(chooser, (start as u32 + i) % degree) == peer)
    }

    /// A message of the relay has arrived.
    pub(crate) fn relayed(&mut self, node: NodeId, from: NodeId, payload: Payload<E>) {
        match payload {
            Payload::Inv { block, compact } => self.announced(node, from, block, compact),
            Payload::Header(block) => {
                if self.is_live(block) && self.store.has(node, block) == Has::Nothing {
                    self.store.set(node, block, Has::Header);
                    self.handle(node, Input::Header { block, from });
                }
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
            Payload::GetTxs { .. } | Payload::Message(_) | Payload::Vote { .. } => {}
        }
    }

    /// Whether a block may still matter to anybody: it and what lies below it are kept.
    fn is_live(&self, block: BlockId) -> bool {
        let stored = self.blocks.find(block);
        stored.is_some_and(|b| b.parent.is_none_or(|p| self.blocks.find(p).is_some()))
    }

    /// Only the first announcement asks. While nothing fails the answer comes; whatever fails makes
    /// the next announcement the first again.
    fn announced(&mut self, node: NodeId, from: NodeId, block: BlockId, compact: bool) {
        if self.is_live(block) && self.store.has(node, block) == Has::Nothing {
            self.ask(node, from, block, compact);
        }
    }

    /// Requests a body.
    pub(crate) fn ask(&mut self, node: NodeId, from: NodeId, block: BlockId, compact: bool) {
        if self.is_live(block) && !self.store.is_here(node, block) {
            self.store.set(node, block, Has::Asked);
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
            let bytes = compact_bytes(stored.txs);
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
        let missing = self.missing_bytes(node, block);
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
        let head = self.nodes[node.index()].head;
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
