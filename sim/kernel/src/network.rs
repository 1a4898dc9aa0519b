//! The physical network: latency between regions, jitter, uplinks and downlinks.
//!
//! A message leaves through its sender's uplink, a FIFO server; crosses its edge in the regions'
//! latency plus jitter; and enters through the receiver's downlink. Bodies queue there, messages
//! of up to one MTU do not: packets of different flows interleave, so that a vote overtakes the
//! body it would otherwise wait for.

use quorate_core::dist::Quantiles;
use quorate_core::{NodeId, Span, Time, hash};

/// The parameters of a network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The region of each node; its length is the number of nodes.
    pub region_of: Vec<u8>,
    /// One-way latency from region to region, row by row.
    pub one_way: Vec<Vec<Span>>,
    /// Mean of the exponential jitter, in thousandths of the edge's latency.
    pub jitter_permille: u32,
    /// Uplink of each node in bits per second; 0 means unlimited.
    pub uplink_bps: u64,
    /// Downlink of each node in bits per second; 0 means unlimited.
    pub downlink_bps: u64,
    /// Messages up to this size do not queue at the downlink.
    pub mtu_bytes: u64,
    /// Who talks to whom when blocks are relayed.
    pub overlay: OverlayConfig,
}

impl NetworkConfig {
    /// Mean latency without jitter over all ordered pairs of different nodes.
    pub fn mean_latency(&self) -> Span {
        let n = self.region_of.len() as u64;
        if n < 2 {
            return Span::ZERO;
        }
        let mut counts = vec![0_u64; self.one_way.len()];
        for &region in &self.region_of {
            counts[usize::from(region)] += 1;
        }
        let mut sum = 0_u128;
        for (a, row) in self.one_way.iter().enumerate() {
            for (b, latency) in row.iter().enumerate() {
                let pairs = counts[a] * (counts[b] - u64::from(a == b && counts[a] > 0));
                sum += u128::from(latency.ns()) * u128::from(pairs);
            }
        }
        Span::from_ns((sum / u128::from(n * (n - 1))) as u64)
    }
}

/// The overlay on which blocks are relayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverlayConfig {
    /// Everybody with everybody.
    Mesh,
    /// Every node opens this many connections to others drawn at random; connections carry both
    /// ways, so that the mean degree is twice that.
    Random {
        /// Connections that a node opens.
        outbound: u32,
    },
}

/// Nanoseconds to serialise `bytes` at `bps`, rounded up; zero when unlimited.
pub(crate) fn serialise(bytes: u64, bps: u64) -> Span {
    const BITS_NS: u64 = 8 * 1_000_000_000;
    if bps == 0 {
        return Span::ZERO;
    }
    // Below two gigabytes 64 bits do, which is much faster.
    let ns = match bytes.checked_mul(BITS_NS) {
        Some(bits_ns) => bits_ns.div_ceil(bps),
        None => (u128::from(bytes) * u128::from(BITS_NS)).div_ceil(u128::from(bps)) as u64,
    };
    Span::from_ns(ns)
}

/// A message that is about to leave, to one node or to many: what is the same for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    from: NodeId,
    /// When its sender has made it.
    ready: Time,
    /// Time on the uplink.
    up: Span,
    /// The same or, through a slower downlink, more.
    transfer: Span,
    /// Hash of its content.
    content: u64,
}

/// Where a message stands on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transit {
    /// When it begins to leave.
    pub(crate) leaves: Time,
    /// When its last byte reaches the receiver's network card.
    pub(crate) arrives: Time,
}

/// The state of the links.
pub(crate) struct Network {
    config: NetworkConfig,
    key: u64,
    jitter: Option<Quantiles>,
    uplink_free: Vec<Time>,
    downlink_free: Vec<Time>,
    /// Time each uplink was busy.
    pub(crate) uplink_busy: Vec<Span>,
    /// Neighbours of node `i`: `edges[starts[i]..starts[i + 1]]`; empty in a mesh.
    starts: Vec<u32>,
    edges: Vec<NodeId>,
}

/// Jitter is looked up in units of 2⁻²⁰ of the edge's latency.
const JITTER_SHIFT: u32 = 20;

impl Network {
    pub(crate) fn new(config: NetworkConfig, seed: quorate_core::Seed) -> Self {
        let n = config.region_of.len();
        let jitter = (config.jitter_permille > 0).then(|| {
            let unit = f64::from(config.jitter_permille) / 1000.0;
            Quantiles::exponential(unit * f64::from(1_u32 << JITTER_SHIFT))
        });
        let (starts, edges) = match config.overlay {
            OverlayConfig::Mesh => (Vec::new(), Vec::new()),
            OverlayConfig::Random { outbound } => random_overlay(n as u32, outbound, seed),
        };
        Self {
            key: seed.key("network"),
            jitter,
            uplink_free: vec![Time::ZERO; n],
            downlink_free: vec![Time::ZERO; n],
            uplink_busy: vec![Span::ZERO; n],
            starts,
            edges,
            config,
        }
    }

    pub(crate) fn nodes(&self) -> u32 {
        self.config.region_of.len() as u32
    }

    /// How many neighbours a node has.
    pub(crate) fn degree(&self, node: NodeId) -> u32 {
        match self.config.overlay {
            OverlayConfig::Mesh => self.nodes() - 1,
            OverlayConfig::Random { .. } => {
                self.starts[node.index() + 1] - self.starts[node.index()]
            }
        }
    }

    /// The `k`-th neighbour. In a mesh the order starts after the node itself, so that no node is
    /// always served first.
    pub(crate) fn neighbour(&self, node: NodeId, k: u32) -> NodeId {
        match self.config.overlay {
            OverlayConfig::Mesh => NodeId::new((node.get() + 1 + k) % self.nodes()),
            OverlayConfig::Random { .. } => self.edges[(self.starts[node.index()] + k) as usize],
        }
    }

    /// The latency of an edge without jitter.
    pub(crate) fn base(&self, from: NodeId, to: NodeId) -> Span {
        let of = |node: NodeId| usize::from(self.config.region_of[node.index()]);
        self.config.one_way[of(from)][of(to)]
    }

    /// The shortest latency without jitter between different nodes of a set.
    pub(crate) fn shortest(&self, nodes: impl Iterator<Item = NodeId>) -> Span {
        let mut counts = vec![0_u32; self.config.one_way.len()];
        for node in nodes {
            counts[usize::from(self.config.region_of[node.index()])] += 1;
        }
        let mut shortest = Span::MAX;
        for (a, row) in self.config.one_way.iter().enumerate() {
            for (b, &latency) in row.iter().enumerate() {
                let pairs = if a == b {
                    counts[a] > 1
                } else {
                    counts[a] > 0 && counts[b] > 0
                };
                if pairs {
                    shortest = shortest.min(latency);
                }
            }
        }
        shortest
    }

    /// The latency of one message: a function of its content and edge.
    fn latency(&self, message: &Outgoing, to: NodeId) -> Span {
        let base = self.base(message.from, to);
        let Some(jitter) = &self.jitter else {
            return base;
        };
        let edge = u64::from(message.from.get()) << 32 | u64::from(to.get());
        let factor = jitter.at(hash::fold(message.content, edge));
        base + Span::from_ns(((u128::from(base.ns()) * u128::from(factor)) >> JITTER_SHIFT) as u64)
    }

    /// A message of so many bytes that is `ready` to leave.
    pub(crate) fn prepare(&self, from: NodeId, bytes: u64, content: u64, ready: Time) -> Outgoing {
        let up = serialise(bytes, self.config.uplink_bps);
        Outgoing {
            from,
            ready,
            up,
            transfer: up.max(serialise(bytes, self.config.downlink_bps)),
            content: hash::fold_all(self.key, &[content]),
        }
    }

    /// Puts a message on its sender's uplink as soon as that is free, and says when the last byte
    /// is at the receiver's card. A slower downlink stretches the transfer.
    pub(crate) fn send(&mut self, message: &Outgoing, to: NodeId) -> Transit {
        let mut leaves = message.ready;
        // Where the uplink is unlimited nobody waits, not even for one who is not ready yet.
        if !message.up.is_zero() {
            let free = &mut self.uplink_free[message.from.index()];
            leaves = leaves.max(*free);
            *free = leaves + message.up;
            self.uplink_busy[message.from.index()] += message.up;
        }
        Transit {
            leaves,
            arrives: leaves + message.transfer + self.latency(message, to),
        }
    }

    /// Whether a message of so many bytes may wait at a downlink.
    pub(crate) const fn queues(&self, bytes: u64) -> bool {
        bytes > self.config.mtu_bytes && self.config.downlink_bps > 0
    }

    /// When a message that is at the card at `arrives` has passed the downlink. Must be called in
    /// the order of arrival.
    pub(crate) fn receive(&mut self, to: NodeId, bytes: u64, arrives: Time) -> Time {
        if !self.queues(bytes) {
            return arrives;
        }
        let free = &mut self.downlink_free[to.index()];
        *free = arrives.max(*free + serialise(bytes, self.config.downlink_bps));
        *free
    }

    /// A crash drops what waits at the node's card.
    pub(crate) fn reset(&mut self, node: NodeId, now: Time) {
        for free in [&mut self.uplink_free, &mut self.downlink_free] {
            free[node.index()] = free[node.index()].min(now);
        }
    }
}

/// Each node opens `outbound` connections; both ends know of it. Neighbours are sorted.
fn random_overlay(n: u32, outbound: u32, seed: quorate_core::Seed) -> (Vec<u32>, Vec<NodeId>) {
    let mut adjacent: Vec<Vec<u32>> = vec![Vec::new(); n as usize];
    for i in 0..n {
        let mut draws = seed.stream("overlay", u64::from(i));
        let wanted = outbound.min(n - 1);
        let mut opened = 0;
        // Rejections are rare while `outbound` is far below `n`; the bound ends dense cases, where
        // the missing connections are then filled in order.
        for _ in 0..64 * wanted {
            if opened == wanted {
                break;
            }
            let j = draws.below(u64::from(n)) as u32;
            if j != i && !adjacent[i as usize].contains(&j) {
                adjacent[i as usize].push(j);
                adjacent[j as usize].push(i);
                opened += 1;
            }
        }
    }
    let mut starts = vec![0];
    let mut edges = Vec::new();
    for list in &mut adjacent {
        list.sort_unstable();
        edges.extend(list.iter().map(|&j| NodeId::new(j)));
        starts.push(edges.len() as u32);
    }
    (starts, edges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::Seed;

    fn network(uplink_bps: u64, downlink_bps: u64, jitter_permille: u32) -> Network {
        let config = NetworkConfig {
            region_of: vec![0, 0, 1],
            one_way: vec![
                vec![Span::from_ms(1), Span::from_ms(40)],
                vec![Span::from_ms(40), Span::from_ms(2)],
            ],
            jitter_permille,
            uplink_bps,
            downlink_bps,
            mtu_bytes: 1_500,
            overlay: OverlayConfig::Mesh,
        };
        Network::new(config, Seed::new(1, 0))
    }

    const A: NodeId = NodeId::new(0);
    const B: NodeId = NodeId::new(1);
    const C: NodeId = NodeId::new(2);

    #[test]
    fn serialisation_and_queueing_add_up() {
        // 1 Mbit/s: 125,000 bytes take one second.
        let mut net = network(1_000_000, 0, 0);
        let message = net.prepare(A, 125_000, 7, Time::ZERO);
        let first = net.send(&message, C);
        let second = net.send(&message, B);
        assert_eq!(first.arrives, Time::ZERO + Span::from_ms(1_040));
        assert_eq!(second.arrives, Time::ZERO + Span::from_ms(2_001));
        assert_eq!(net.uplink_busy[0], Span::from_s(2));
    }

    #[test]
    fn bodies_queue_at_the_downlink_and_votes_do_not() {
        let mut net = network(0, 1_000_000, 0);
        let a = net.prepare(A, 125_000, 1, Time::ZERO);
        let b = net.prepare(B, 125_000, 2, Time::ZERO);
        let (a, b) = (net.send(&a, C).arrives, net.send(&b, C).arrives);
        assert_eq!(net.receive(C, 125_000, a), a);
        assert_eq!(net.receive(C, 125_000, b), b + Span::from_s(1));
        assert_eq!(net.receive(C, 100, b), b);
    }

    #[test]
    fn an_unlimited_uplink_holds_nobody_back() {
        let mut net = network(0, 0, 0);
        let later = net.prepare(A, 1_000, 1, Time::ZERO + Span::from_s(9));
        let now = net.prepare(A, 1_000, 2, Time::ZERO);
        net.send(&later, B);
        assert_eq!(net.send(&now, B).arrives, Time::ZERO + Span::from_ms(1));
    }

    #[test]
    fn jitter_has_its_mean_and_belongs_to_the_content() {
        let net = network(0, 0, 100);
        let extra = |content| {
            let message = net.prepare(A, 1, content, Time::ZERO);
            net.latency(&message, C).ns() - 40_000_000
        };
        let mean = (0..20_000).map(extra).sum::<u64>() / 20_000;
        // Exponential with mean 4 ms: four standard errors are 0.11 ms.
        assert!(mean.abs_diff(4_000_000) < 113_000, "{mean}");
        assert_eq!(extra(5), extra(5));
    }

    #[test]
    fn mean_over_pairs() {
        // A–B twice 1 ms, A–C and B–C four times 40 ms: 162/6 ms.
        assert_eq!(network(0, 0, 0).config.mean_latency(), Span::from_ms(27));
    }

    #[test]
    fn random_overlays_are_symmetric_and_have_their_degree() {
        let (starts, edges) = random_overlay(200, 8, Seed::new(3, 0));
        assert_eq!(edges.len(), 200 * 16);
        for i in 0..200_u32 {
            let of = |i: u32| &edges[starts[i as usize] as usize..starts[i as usize + 1] as usize];
            assert!(
                of(i)
                    .iter()
                    .all(|j| j.get() != i && of(j.get()).contains(&NodeId::new(i)))
            );
        }
    }
}
