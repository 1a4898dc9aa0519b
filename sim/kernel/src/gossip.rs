//! How transactions spread, in two forms.
//!
//! **Visibility**: no event. A node has seen a transaction once it has crossed the overlay from the
//! node where it was submitted, from whoever offers it first: a hop takes its latencies without
//! jitter and the time of one check, so that pushed ones take the shortest path. Messages and bytes are counted at the end of the run; they occupy no link.
//!
//! **Explicit**: every hop is an event. Messages take uplinks, jitter and faults as all others do,
//! and each node checks a transaction on its CPU before it shows it and passes it on. With unlimited
//! bandwidth, idle CPUs and no jitter both forms see the same at the same instants.
//!
//! In both, a node that is connected to everybody is told by the node of submission only, and passes
//! nothing on: in a mesh a path is one hop, also where a detour were shorter. On an overlay everybody
//! passes on to all neighbours but the one it has it from. What a node shows of one origin is a
//! prefix: a transaction that overtakes an earlier one of its origin is held back, though passed on.
//! What is final holds nobody back.
//!
//! A fault loses messages of the explicit form. Whenever one begins or ends, what was asked for is
//! forgotten, and every node offers its neighbours what they lack, which the kernel looks up. Clients
//! of a node that is down submit once it is back. (The visibility form asks no relaying node whether
//! it is up: there a fault holds back only what its own two ends cannot exchange.)

use crate::network::{Network, NetworkConfig};
use crate::overlay::OverlayConfig;
use crate::pool::Pool;
use crate::probe::Traffic;
use crate::setup::Setup;
use crate::sim::{Job, Rank, Simulation};
use crate::wire::{Packet, Payload};
use quorate_core::names::{self, Name};
use quorate_core::{Engine, NodeId, Span, Time};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// How transactions spread.
#[derive(Clone, Copy, Debug)]
pub struct GossipConfig {
    /// Whether every hop is an event.
    pub form: GossipForm,
    /// What travels along an edge.
    pub relay: TxRelay,
    /// CPU time of the check at each node that a transaction reaches, on the reference core.
    pub check: Span,
    /// What the unit offers, for [`GossipForm::Auto`] and the share that is reported.
    pub offered: Offered,
    /// Above this share of the smallest uplink, in millionths, [`GossipForm::Auto`] is explicit.
    pub most_ppm: u64,
}

impl GossipConfig {
    /// Pushed, without a cost, in the visibility form.
    pub const VISIBILITY: Self = Self {
        form: GossipForm::Visibility,
        relay: TxRelay::Push,
        check: Span::ZERO,
        offered: Offered {
            per_s: 0.0,
            bytes: 0.0,
        },
        most_ppm: 100_000,
    };
}

/// Writes that a unit offers, spread evenly over its sites.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// Transactions per second.
    pub per_s: f64,
    /// Mean bytes of one.
    pub bytes: f64,
}

/// Whether every hop of a transaction is an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GossipForm {
    /// None is: fast.
    Visibility,
    /// Every one is: slow.
    Explicit,
    /// Explicit where gossip takes more than its share of the busiest node's uplink.
    Auto,
}

/// What travels along an edge of the overlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TxRelay {
    /// The transaction itself, as committees' gossip does: one latency a hop.
    Push,
    /// An announcement, a request and the transaction, as Bitcoin's does: three.
    Announce,
}

/// Names of the messages of gossip.
pub const GOSSIP_KINDS: [&str; 3] = ["tx.inv", "tx.getdata", "tx.body"];

const INV: usize = 0;
const GETDATA: usize = 1;
const BODY: usize = 2;

/// `inv` and `getdata` of one transaction: 24-byte message header, count, 36-byte entry.
/// source: Bitcoin protocol, developer reference.
/// assumption: each is announced by itself; nodes batch them, so that this is an upper bound.
const INV_BYTES: u64 = 61;
/// What a transaction takes besides itself. source: Bitcoin protocol, message header.
const HEADER_BYTES: u64 = 24;

/// What gossip took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gossip {
    /// Whether every hop was an event.
    pub explicit: bool,
    /// Share of the smallest uplink that the busiest node's gossip was expected to take, in
    /// millionths; 0 where uplinks are unlimited.
    pub share_ppm: u64,
    /// Messages by kind, see [`GOSSIP_KINDS`].
    #[serde(deserialize_with = "names::pairs")]
    pub traffic: Vec<(Name, Traffic)>,
    /// Bytes that each node sent.
    pub sent: Vec<u64>,
}

/// The nodes that serve sites, in order.
pub(crate) fn distinct(sites: &[NodeId]) -> Vec<NodeId> {
    let mut nodes = sites.to_vec();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// How a transaction spreads from one node.
struct Spread {
    /// To each node; [`Span::MAX`] where there is no path.
    delays: Vec<Span>,
    /// Messages of each kind that each node sends.
    sends: Vec<[u32; 3]>,
}

impl Spread {
    fn new(net: &Network, setup: &Setup, check: Span, from: NodeId) -> Self {
        let (delays, parents) = paths(net, setup, check, from);
        let push = setup.mempool.gossip.relay == TxRelay::Push;
        let mut sends = vec![[0; 3]; net.nodes() as usize];
        for node in (0..net.nodes()).map(NodeId::new) {
            if delays[node.index()] == Span::MAX {
                continue;
            }
            let offer = if push { BODY } else { INV };
            sends[node.index()][offer] += offers(net, is_mesh(setup), node, from);
            if !push && node != from {
                sends[node.index()][GETDATA] += 1;
                sends[parents[node.index()].index()][BODY] += 1;
            }
        }
        Self { delays, sends }
    }
}

/// How long a transaction needs from a node to each, and from whom each gets it: from the first that
/// offers it, of several the one with the lowest number. Where the transaction itself is offered,
/// these are shortest paths, and this is Dijkstra's algorithm.
fn paths(net: &Network, setup: &Setup, check: Span, from: NodeId) -> (Vec<Span>, Vec<NodeId>) {
    let n = net.nodes() as usize;
    let rest = |a, b| match setup.mempool.gossip.relay {
        TxRelay::Push => check,
        TxRelay::Announce => net.base(b, a) + net.base(a, b) + check,
    };
    let (mut delays, mut parents) = (vec![Span::MAX; n], vec![from; n]);
    delays[from.index()] = Span::ZERO;
    if is_mesh(setup) {
        for to in (0..net.nodes()).map(NodeId::new).filter(|&to| to != from) {
            delays[to.index()] = net.base(from, to) + rest(from, to);
        }
        return (delays, parents);
    }
    let mut offered = BinaryHeap::new();
    let offer = |offered: &mut BinaryHeap<_>, delays: &[Span], node: NodeId| {
        for to in (0..net.degree(node)).map(|k| net.neighbour(node, k)) {
            if delays[to.index()] == Span::MAX {
                let at = delays[node.index()] + net.base(node, to);
                offered.push(Reverse((at, to, node)));
            }
        }
    };
    offer(&mut offered, &delays, from);
    while let Some(Reverse((at, node, by))) = offered.pop() {
        if delays[node.index()] == Span::MAX {
            delays[node.index()] = at + rest(by, node);
            parents[node.index()] = by;
            offer(&mut offered, &delays, node);
        }
    }
    (delays, parents)
}

fn is_mesh(setup: &Setup) -> bool {
    matches!(setup.network.overlay, OverlayConfig::Mesh)
}

/// To how many neighbours a node passes on what was submitted at `from`.
fn offers(net: &Network, mesh: bool, node: NodeId, from: NodeId) -> u32 {
    match (node == from, mesh) {
        (true, _) => net.degree(node),
        (false, true) => 0,
        (false, false) => net.degree(node) - 1,
    }
}

/// The pool of a simulation at its start, and the share of the smallest uplink that the busiest
/// node's gossip will take, in millionths.
pub(crate) fn pool(net: &Network, setup: &Setup) -> (Pool, u64) {
    let gossip = &setup.mempool.gossip;
    let check = Span::from_ns(gossip.check.ns() / u64::from(setup.cpu_speed));
    let mut delays = Vec::new();
    let mut bytes_per_s = vec![0.0; net.nodes() as usize];
    for from in distinct(&setup.serving) {
        let spread = Spread::new(net, setup, check, from);
        let sites = setup.serving.iter().filter(|&&s| s == from).count() as f64;
        let rate = gossip.offered.per_s * sites / setup.serving.len() as f64;
        for (busy, sends) in bytes_per_s.iter_mut().zip(&spread.sends) {
            *busy += rate * bytes_of(sends, gossip.offered.bytes);
        }
        delays.extend(spread.delays);
    }
    let busiest = bytes_per_s.into_iter().fold(0.0, f64::max);
    let share_ppm = match smallest_uplink_bps(&setup.network) {
        0 => 0,
        bps => (busiest * 8e6 / bps as f64) as u64,
    };
    let explicit = match gossip.form {
        GossipForm::Visibility => false,
        GossipForm::Explicit => true,
        GossipForm::Auto => share_ppm > gossip.most_ppm,
    };
    let origins = setup.serving.len() as u32 * setup.mempool.fees.levels();
    let seen = explicit.then(|| Seen::new(origins, net.nodes()));
    let known = (delays, seen);
    let pool = Pool::new(
        &setup.serving,
        net.nodes(),
        &setup.mempool,
        setup.seed,
        known,
    );
    (pool, share_ppm)
}

/// 0 where uplinks are unlimited.
fn smallest_uplink_bps(network: &NetworkConfig) -> u64 {
    let limited = network.uplink_bps.iter().copied().filter(|&bps| bps > 0);
    limited.min().unwrap_or(0)
}

/// Bytes of so many messages of each kind about transactions of so many bytes.
fn bytes_of(sends: &[u32; 3], bytes: f64) -> f64 {
    f64::from(sends[INV] + sends[GETDATA]) * INV_BYTES as f64
        + f64::from(sends[BODY]) * (HEADER_BYTES as f64 + bytes)
}

/// How far a transaction has come at a node that does not show it yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Asked,
    Checking,
    /// Checked, but an earlier one of its origin is not.
    Here,
}

/// What every node has seen of every origin, and when.
pub(crate) struct Seen {
    nodes: usize,
    /// `origin · nodes + node`.
    slots: Vec<Slot>,
}

#[derive(Clone, Default)]
struct Slot {
    /// The number that the first of `times` belongs to; the node has seen all before it.
    first: u32,
    times: VecDeque<Time>,
    /// Those beyond.
    ahead: BTreeMap<u32, Stage>,
}

impl Slot {
    fn end(&self) -> u32 {
        self.first + self.times.len() as u32
    }

    /// Shows what is no longer held back.
    fn show(&mut self, now: Time) {
        while self.ahead.get(&self.end()) == Some(&Stage::Here) {
            self.ahead.remove(&self.end());
            self.times.push_back(now);
        }
    }
}

impl Seen {
    pub(crate) fn new(origins: u32, nodes: u32) -> Self {
        let slots = vec![Slot::default(); origins as usize * nodes as usize];
        Self {
            nodes: nodes as usize,
            slots,
        }
    }

    /// How many sightings are kept.
    pub(crate) fn len(&self) -> usize {
        let each = |slot: &Slot| slot.times.len() + slot.ahead.len();
        self.slots.iter().map(each).sum()
    }

    fn slot(&self, site: u32, node: NodeId) -> &Slot {
        &self.slots[site as usize * self.nodes + node.index()]
    }

    fn slot_mut(&mut self, site: u32, node: NodeId) -> &mut Slot {
        &mut self.slots[site as usize * self.nodes + node.index()]
    }

    /// One past the last that a node has seen by an instant.
    pub(crate) fn end(&self, site: u32, node: NodeId, now: Time) -> u32 {
        let slot = self.slot(site, node);
        match slot.times.back() {
            Some(&last) if last > now => {
                slot.first + slot.times.partition_point(|&at| at <= now) as u32
            }
            _ => slot.end(),
        }
    }

    /// When a node saw one; [`Time::NEVER`] if it has not. What was forgotten it saw at the start.
    pub(crate) fn when(&self, site: u32, node: NodeId, seq: u32) -> Time {
        let slot = self.slot(site, node);
        match seq.checked_sub(slot.first) {
            Some(place) => slot
                .times
                .get(place as usize)
                .copied()
                .unwrap_or(Time::NEVER),
            None => Time::ZERO,
        }
    }

    /// How far one is; `None` if the node knows nothing of it.
    fn stage(&self, site: u32, node: NodeId, seq: u32) -> Option<Stage> {
        let slot = self.slot(site, node);
        if seq < slot.end() {
            return Some(Stage::Here);
        }
        slot.ahead.get(&seq).copied()
    }

    fn set(&mut self, site: u32, node: NodeId, seq: u32, stage: Stage) {
        self.slot_mut(site, node).ahead.insert(seq, stage);
    }

    /// A node has one, checked; whether it now shows more.
    fn here(&mut self, site: u32, node: NodeId, seq: u32, now: Time) -> bool {
        let slot = self.slot_mut(site, node);
        slot.ahead.insert(seq, Stage::Here);
        let before = slot.end();
        slot.show(now);
        slot.end() > before
    }

    /// All before `seq` are final.
    pub(crate) fn retire(&mut self, site: u32, seq: u32, now: Time) {
        let start = site as usize * self.nodes;
        for slot in &mut self.slots[start..start + self.nodes] {
            while slot.first < seq {
                slot.first += 1;
                slot.times.pop_front();
            }
            slot.ahead = slot.ahead.split_off(&slot.end());
            slot.show(now);
        }
    }

    /// Forgets what is on its way to everybody, or what one node had not checked.
    fn forget(&mut self, stage: Stage, node: Option<NodeId>) {
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if node.is_none_or(|n| i % self.nodes == n.index()) {
                slot.ahead.retain(|_, s| *s != stage);
            }
        }
    }
}

impl<E: Engine> Simulation<'_, E> {
    fn tx_seen(&mut self) -> &mut Seen {
        self.pool.events().expect("the explicit form")
    }

    /// A transaction was submitted.
    pub(crate) fn gossip_tx(&mut self, site: u32, seq: u32) {
        let node = self.pool.serving(site);
        if self.pool.is_explicit() && self.nodes[node.index()].up {
            self.tx_here(node, (site, seq), None);
        }
    }

    /// A node has a transaction: it shows it and passes it on.
    fn tx_here(&mut self, node: NodeId, (site, seq): (u32, u32), from: Option<NodeId>) {
        let now = self.now;
        let shows = self.tx_seen().here(site, node, seq, now);
        if is_mesh(&self.setup) && node != self.pool.serving(site) {
            // Whoever submits is connected to everybody.
        } else {
            for k in 0..self.net.degree(node) {
                let to = self.net.neighbour(node, k);
                if Some(to) != from {
                    self.offer_tx(node, to, (site, seq));
                }
            }
        }
        let waits = self.nodes[node.index()].awaiting;
        if shows && waits.is_some_and(|a| a.pending.reaches(a.much)) {
            self.wake(node);
        }
    }

    fn offer_tx(&mut self, node: NodeId, to: NodeId, tx: (u32, u32)) {
        match self.setup.mempool.gossip.relay {
            TxRelay::Push => self.send_tx(node, to, tx),
            TxRelay::Announce => {
                let (site, seq) = tx;
                self.post_gossip(node, to, INV, Payload::TxInv { site, seq }, INV_BYTES);
            }
        }
    }

    fn send_tx(&mut self, node: NodeId, to: NodeId, (site, seq): (u32, u32)) {
        let bytes = HEADER_BYTES + u64::from(self.pool.get(site, seq).bytes);
        self.post_gossip(node, to, BODY, Payload::Tx { site, seq }, bytes);
    }

    fn post_gossip(
        &mut self,
        node: NodeId,
        to: NodeId,
        kind: usize,
        payload: Payload<E>,
        bytes: u64,
    ) {
        let packet = Packet {
            from: node,
            payload,
            bytes,
            check: Span::ZERO,
        };
        self.gossip_sent[node.index()] += bytes;
        let first = self.traffic.len() - GOSSIP_KINDS.len();
        let envelope = self.seal(packet, first + kind, self.now);
        self.post(&envelope, to);
    }

    /// A message about a transaction has arrived.
    pub(crate) fn gossiped(&mut self, node: NodeId, from: NodeId, payload: Payload<E>) {
        match payload {
            Payload::TxInv { site, seq } if self.tx_seen().stage(site, node, seq).is_none() => {
                self.tx_seen().set(site, node, seq, Stage::Asked);
                let wanted = Payload::TxGet { site, seq };
                self.post_gossip(node, from, GETDATA, wanted, INV_BYTES);
            }
            Payload::TxGet { site, seq } if seq >= self.pool.first(site) => {
                self.send_tx(node, from, (site, seq));
            }
            Payload::Tx { site, seq } => {
                let stage = self.tx_seen().stage(site, node, seq);
                if matches!(stage, None | Some(Stage::Asked)) {
                    self.check_tx(node, from, (site, seq));
                }
            }
            Payload::TxChecked { site, seq, epoch } => {
                let stage = self.tx_seen().stage(site, node, seq);
                if stage == Some(Stage::Checking) && epoch == self.nodes[node.index()].epoch {
                    self.tx_here(node, (site, seq), Some(from));
                }
            }
            _ => {}
        }
    }

    fn check_tx(&mut self, node: NodeId, from: NodeId, (site, seq): (u32, u32)) {
        let check = self.setup.mempool.gossip.check;
        let done = self.cpus.serve(node, self.now, check);
        if done == self.now {
            return self.tx_here(node, (site, seq), Some(from));
        }
        self.tx_seen().set(site, node, seq, Stage::Checking);
        let epoch = self.nodes[node.index()].epoch;
        let packet = Packet {
            from,
            payload: Payload::TxChecked { site, seq, epoch },
            bytes: 0,
            check: Span::ZERO,
        };
        self.push(done, Rank::GossipLanded, node, Job::Packet(packet));
    }

    /// A fault has begun or ended.
    pub(crate) fn gossip_edge(&mut self) {
        if !self.pool.is_explicit() {
            return;
        }
        self.tx_seen().forget(Stage::Asked, None);
        for node in (0..self.net.nodes()).map(NodeId::new) {
            if self.nodes[node.index()].up {
                self.submit_late(node);
                self.offer_again(node);
            } else {
                self.tx_seen().forget(Stage::Checking, Some(node));
            }
        }
    }

    /// Clients of a node that was down submit now.
    fn submit_late(&mut self, node: NodeId) {
        for i in 0..self.nodes[node.index()].sites.len() {
            let site = self.nodes[node.index()].sites[i];
            let now = self.now;
            for seq in self.tx_seen().end(site, node, now)..self.pool.end(site) {
                self.tx_here(node, (site, seq), None);
            }
        }
    }

    /// Offers what neighbours lack.
    fn offer_again(&mut self, node: NodeId) {
        for site in 0..self.pool.sites() {
            if is_mesh(&self.setup) && node != self.pool.serving(site) {
                continue;
            }
            for seq in self.pool.first(site)..self.pool.end(site) {
                if self.tx_seen().stage(site, node, seq) != Some(Stage::Here) {
                    continue;
                }
                for k in 0..self.net.degree(node) {
                    let to = self.net.neighbour(node, k);
                    if self.tx_seen().stage(site, to, seq).is_none() {
                        self.offer_tx(node, to, (site, seq));
                    }
                }
            }
        }
    }

    /// What gossip took, at the end of the run.
    pub(crate) fn gossip_report(&mut self) -> Gossip {
        let first = self.traffic.len() - GOSSIP_KINDS.len();
        if !self.pool.is_explicit() {
            self.count_gossip(first);
        }
        let counted = self.traffic[first..].iter().copied();
        Gossip {
            explicit: self.pool.is_explicit(),
            share_ppm: self.gossip_share_ppm,
            traffic: GOSSIP_KINDS.into_iter().zip(counted).collect(),
            sent: core::mem::take(&mut self.gossip_sent),
        }
    }

    /// What every hop would have sent of what was submitted, in the visibility form.
    fn count_gossip(&mut self, first: usize) {
        for from in distinct(&self.setup.serving) {
            let spread = Spread::new(&self.net, &self.setup, Span::ZERO, from);
            let (mut txs, mut bytes) = (0, 0);
            for site in (0..self.pool.sites()).filter(|&s| self.pool.serving(s) == from) {
                let submitted = self.pool.submitted(site);
                (txs, bytes) = (txs + submitted.0, bytes + submitted.1);
            }
            let sizes = [INV_BYTES * txs, INV_BYTES * txs, HEADER_BYTES * txs + bytes];
            for (node, sends) in spread.sends.iter().enumerate() {
                for kind in 0..GOSSIP_KINDS.len() {
                    let n = u64::from(sends[kind]);
                    self.traffic[first + kind].messages += n * txs;
                    self.traffic[first + kind].bytes += n * sizes[kind];
                    self.gossip_sent[node] += n * sizes[kind];
                }
            }
        }
    }
}
