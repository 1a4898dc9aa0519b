//! The physical network: latency between regions, jitter, uplinks and downlinks, and what TCP adds.
//!
//! A message leaves through its sender's uplink, a FIFO server; crosses its edge in the regions'
//! latency plus jitter; and enters through the receiver's downlink. The slower of the two sets the
//! time of the transfer. Bodies queue at the downlink, messages of up to one MTU do not unless asked:
//! packets of different flows interleave, so that a vote overtakes the body it would otherwise wait
//! for. Loss and slow start add delays that are known when a message is sent, see [`crate::tcp`].

use crate::jitter::{Delays, Jitter};
use crate::overlay::{Overlay, OverlayConfig};
use crate::tcp::{Loss, SlowStart, Tcp};
use quorate_core::{NodeId, Span, Time, hash};

/// The parameters of a network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The region of each node; its length is the number of nodes.
    pub region_of: Vec<u8>,
    /// One-way latency from region to region, row by row.
    pub one_way: Vec<Vec<Span>>,
    /// What varies on top.
    pub jitter: Jitter,
    /// Whether all messages between two nodes, both ways, have the same jitter.
    pub jitter_per_link: bool,
    /// Uplink of each node in bits per second; 0 means unlimited.
    pub uplink_bps: Vec<u64>,
    /// Downlink of each node in bits per second; 0 means unlimited.
    pub downlink_bps: Vec<u64>,
    /// Largest packet on a link.
    pub mtu_bytes: u64,
    /// Whether messages of up to one packet pass the downlink without queueing.
    pub small_skip_downlink: bool,
    /// Packets that get lost, and are sent again.
    pub loss: Loss,
    /// How large messages start on idle connections; absent means at full speed.
    pub slow_start: Option<SlowStart>,
    /// Whether an uplink serves a message of more than one packet until it has arrived: one request
    /// is answered after the other.
    pub stop_and_wait: bool,
    /// Who talks to whom when blocks are relayed.
    pub overlay: OverlayConfig,
}

impl NetworkConfig {
    /// Nodes in these regions whose links are alike, everybody with everybody, without jitter, loss
    /// or slow start; rates in bits per second, 0 for unlimited.
    pub fn alike(region_of: Vec<u8>, one_way: Vec<Vec<Span>>, up_bps: u64, down_bps: u64) -> Self {
        let n = region_of.len();
        Self {
            region_of,
            one_way,
            jitter: Jitter::None,
            jitter_per_link: false,
            uplink_bps: vec![up_bps; n],
            downlink_bps: vec![down_bps; n],
            // source: Ethernet's maximum transmission unit.
            mtu_bytes: 1_500,
            small_skip_downlink: true,
            loss: Loss::NONE,
            slow_start: None,
            stop_and_wait: false,
            overlay: OverlayConfig::Mesh,
        }
    }

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

/// Nanoseconds to serialise a byte at 1 bit/s.
const BYTE_NS: u64 = 8 * 1_000_000_000;

/// Nanoseconds to serialise `bytes` at `bps`, rounded up; zero when unlimited.
pub(crate) fn serialise(bytes: u64, bps: u64) -> Span {
    if bps == 0 {
        return Span::ZERO;
    }
    // Below two gigabytes 64 bits do, which is much faster.
    let ns = match bytes.checked_mul(BYTE_NS) {
        Some(bits_ns) => bits_ns.div_ceil(bps),
        None => (u128::from(bytes) * u128::from(BYTE_NS)).div_ceil(u128::from(bps)) as u64,
    };
    Span::from_ns(ns)
}

/// A message that is about to leave, to one node or to many: what is the same for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) from: NodeId,
    pub(crate) bytes: u64,
    /// When it is sent, before its sender has made it.
    pub(crate) now: Time,
    /// When its sender has made it.
    ready: Time,
    /// Time on the uplink.
    up: Span,
    /// The same or, through downlinks that are alike and slower, more.
    transfer: Span,
    /// Hash of its content.
    pub(crate) content: u64,
}

/// Where a message stands on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transit {
    /// When it begins to leave.
    pub(crate) leaves: Time,
    /// When its last byte reaches the receiver's network card.
    pub(crate) arrives: Time,
}

/// Rates of links by node, in bits per second.
struct Rates {
    alike: Option<u64>,
    /// Nanoseconds for a byte, where that is whole and all are alike: spares a division a message.
    byte_ns: Option<u64>,
    each: Vec<u64>,
    /// Whether any is limited.
    limited: bool,
}

impl Rates {
    fn new(mut each: Vec<u64>) -> Self {
        let limited = each.iter().any(|&bps| bps > 0);
        let first = each.first().copied().unwrap_or(0);
        let alike = each.iter().all(|&bps| bps == first).then_some(first);
        if alike.is_some() {
            each = Vec::new();
        }
        let whole = |bps: &u64| *bps > 0 && BYTE_NS.is_multiple_of(*bps);
        Self {
            alike,
            byte_ns: alike.filter(whole).map(|bps| BYTE_NS / bps),
            each,
            limited,
        }
    }

    /// The time of a message on a node's link.
    fn takes(&self, node: NodeId, bytes: u64) -> Span {
        match self.byte_ns {
            Some(ns) => Span::from_ns(bytes * ns),
            None => serialise(bytes, self.of(node)),
        }
    }

    fn of(&self, node: NodeId) -> u64 {
        self.alike.unwrap_or_else(|| self.each[node.index()])
    }
}

/// The receivers of many broadcasts, with their regions.
pub(crate) struct Audience(Vec<(NodeId, u8)>);

impl Audience {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// The state of the links.
pub(crate) struct Network {
    key: u64,
    region_of: Vec<u8>,
    regions: usize,
    /// By pair of regions, row by row.
    one_way: Vec<Span>,
    delays: Delays,
    per_link: bool,
    up: Rates,
    down: Rates,
    /// Messages up to this size do not queue at the downlink.
    skips: u64,
    tcp: Tcp,
    /// Larger messages keep the uplink until they have arrived.
    waits_above: u64,
    uplink_free: Vec<Time>,
    downlink_free: Vec<Time>,
    /// Time each uplink was busy.
    pub(crate) uplink_busy: Vec<Span>,
    /// Absent in a mesh.
    overlay: Option<Overlay>,
}

impl Network {
    /// The links of the nodes, and behind them those of machines that stand where these nodes do.
    pub(crate) fn new(
        mut config: NetworkConfig,
        seconds: &[NodeId],
        seed: quorate_core::Seed,
    ) -> Self {
        let overlay = Overlay::new(&config.overlay, config.region_of.len() as u32, seed);
        for second in seconds.iter().map(|s| s.index()) {
            config.region_of.push(config.region_of[second]);
            config.uplink_bps.push(config.uplink_bps[second]);
            config.downlink_bps.push(config.downlink_bps[second]);
        }
        let n = config.region_of.len();
        assert!(
            config.uplink_bps.len() == n && config.downlink_bps.len() == n,
            "each node has an uplink and a downlink"
        );
        let one_way: Vec<Span> = config.one_way.iter().flatten().copied().collect();
        let key = seed.key("network");
        Self {
            key,
            delays: Delays::new(config.jitter, &one_way),
            per_link: config.jitter_per_link,
            overlay: overlay.map(|overlay| overlay.doubled(seconds)),
            skips: if config.small_skip_downlink {
                config.mtu_bytes
            } else {
                0
            },
            tcp: Tcp::new(config.loss, config.slow_start, config.mtu_bytes),
            waits_above: if config.stop_and_wait {
                config.mtu_bytes
            } else {
                u64::MAX
            },
            up: Rates::new(config.uplink_bps),
            down: Rates::new(config.downlink_bps),
            uplink_free: vec![Time::ZERO; n],
            downlink_free: vec![Time::ZERO; n],
            uplink_busy: vec![Span::ZERO; n],
            regions: config.one_way.len(),
            region_of: config.region_of,
            one_way,
        }
    }

    #[cfg(test)]
    pub(crate) fn open_windows(&self) -> usize {
        self.tcp.open_windows()
    }

    pub(crate) fn nodes(&self) -> u32 {
        self.region_of.len() as u32
    }

    /// How many neighbours a node has.
    pub(crate) fn degree(&self, node: NodeId) -> u32 {
        match &self.overlay {
            None => self.nodes() - 1,
            Some(overlay) => overlay.degree(node),
        }
    }

    /// The `k`-th neighbour. In a mesh the order starts after the node itself, so that no node is
    /// always served first.
    pub(crate) fn neighbour(&self, node: NodeId, k: u32) -> NodeId {
        match &self.overlay {
            None => NodeId::new((node.get() + 1 + k) % self.nodes()),
            Some(overlay) => overlay.peers(node)[k as usize],
        }
    }

    /// The place of an edge's regions in a table of pairs.
    fn pair(&self, from: NodeId, to: NodeId) -> usize {
        let of = |node: NodeId| usize::from(self.region_of[node.index()]);
        of(from) * self.regions + of(to)
    }

    /// The latency of an edge without jitter.
    pub(crate) fn base(&self, from: NodeId, to: NodeId) -> Span {
        self.one_way[self.pair(from, to)]
    }

    /// The least latency between different nodes of a set.
    pub(crate) fn shortest(&self, nodes: impl Iterator<Item = NodeId>) -> Span {
        let mut counts = vec![0_u32; self.regions];
        for node in nodes {
            counts[usize::from(self.region_of[node.index()])] += 1;
        }
        let pairs = (0..self.regions).flat_map(|a| (0..self.regions).map(move |b| (a, b)));
        let there = pairs.filter(|&(a, b)| counts[a] > u32::from(a == b) && counts[b] > 0);
        let least = there.map(|(a, b)| {
            let pair = a * self.regions + b;
            self.delays.least(self.one_way[pair], pair)
        });
        least.min().unwrap_or(Span::MAX)
    }

    /// The latency of one message: a function of its content and edge, or of its link.
    fn latency(&self, message: &Outgoing, to: NodeId) -> Span {
        let pair = self.pair(message.from, to);
        let hash = || {
            if self.per_link {
                return hash::fold(self.key, edge(message.from.min(to), message.from.max(to)));
            }
            hash::fold(message.content, edge(message.from, to))
        };
        self.delays.latency(self.one_way[pair], pair, hash)
    }

    /// A message of so many bytes that is sent now and `ready` to leave then.
    pub(crate) fn prepare(
        &self,
        from: NodeId,
        bytes: u64,
        content: u64,
        (now, ready): (Time, Time),
    ) -> Outgoing {
        let up = self.up.takes(from, bytes);
        let down = self
            .down
            .alike
            .map_or(Span::ZERO, |_| self.down.takes(from, bytes));
        Outgoing {
            from,
            bytes,
            now,
            ready,
            up,
            transfer: up.max(down),
            content: hash::fold_all(self.key, &[content]),
        }
    }

    /// The time that a message takes through the slower of its two links.
    pub(crate) fn transfer(&self, message: &Outgoing, to: NodeId) -> Span {
        if self.down.alike.is_some() {
            return message.transfer;
        }
        let slower = self.slower(message.from, to);
        if slower == self.up.of(message.from) {
            return message.up;
        }
        serialise(message.bytes, slower)
    }

    /// Puts a message on its sender's uplink as soon as that is free.
    fn occupy(&mut self, from: NodeId, ready: Time, up: Span) -> Time {
        // Where the uplink is unlimited nobody waits, not even for one who is not ready yet.
        if up.is_zero() {
            return ready;
        }
        let free = &mut self.uplink_free[from.index()];
        let leaves = ready.max(*free);
        *free = leaves + up;
        self.uplink_busy[from.index()] += up;
        leaves
    }

    /// Sends a message as soon as its sender's uplink is free, and says when its last byte is at
    /// the receiver's card.
    pub(crate) fn send(&mut self, message: &Outgoing, to: NodeId) -> Transit {
        if !self.tcp.is_plain() {
            return self.send_under(message, to, |_| 0);
        }
        let leaves = self.occupy(message.from, message.ready, message.up);
        let arrives = leaves + self.transfer(message, to) + self.latency(message, to);
        self.wait(message, arrives);
        Transit { leaves, arrives }
    }

    /// Where the next message leaves when this one has arrived.
    fn wait(&mut self, message: &Outgoing, arrives: Time) {
        if message.bytes > self.waits_above && !message.up.is_zero() {
            let free = &mut self.uplink_free[message.from.index()];
            *free = arrives.max(*free);
        }
    }

    /// Sends a message to all neighbours of its sender, in their order; how many there are. `best` has
    /// the earliest arrival at each node so far; copies that are no later go to `firsts`, too, and the
    /// others leave no trace but on the uplink. `None`, and nothing is done, where copies differ in
    /// more than latency.
    pub(crate) fn flood(
        &mut self,
        message: &Outgoing,
        best: &mut [Time],
        firsts: &mut Vec<(Time, NodeId)>,
    ) -> Option<u32> {
        let waits = message.bytes > self.waits_above;
        if waits || !self.tcp.is_plain() || self.down.alike.is_none() {
            return None;
        }
        let (from, up) = (message.from, message.up);
        let degree = self.degree(from);
        let copies = up * u64::from(degree);
        let leaves = self.occupy(from, message.ready, copies);
        // Without latency; most copies are too late even so.
        let mut least = (leaves + message.transfer).ns();
        let mut send = |to: NodeId| {
            let best = &mut best[to.index()];
            if least <= best.ns() {
                let at = Time::from_ns(least) + self.latency(message, to);
                if at <= *best {
                    *best = at;
                    firsts.push((at, to));
                }
            }
            least = least.wrapping_add(up.ns()); // bounded by the sum above
        };
        if let Some(overlay) = &self.overlay {
            for &to in overlay.peers(from) {
                send(to);
            }
        } else {
            let own = from.get();
            for to in (own + 1..self.nodes()).chain(0..own) {
                send(NodeId::new(to));
            }
        }
        Some(degree)
    }

    /// The same while a fault loses packets besides: `burst` says how many in a million when the
    /// message leaves.
    pub(crate) fn send_under(
        &mut self,
        message: &Outgoing,
        to: NodeId,
        burst: impl FnOnce(Time) -> u32,
    ) -> Transit {
        let leaves = self.occupy(message.from, message.ready, message.up);
        let rtt = self.base(message.from, to) + self.base(to, message.from);
        let again = self.tcp.again(message, to, burst(leaves), rtt);
        let bps = self.slower(message.from, to);
        let rate = |bytes| serialise(bytes, bps);
        let grows = self.tcp.slow_start(message, to, (leaves, rtt), rate);
        if again.bytes > 0 {
            let up = serialise(again.bytes, self.up.of(message.from));
            self.occupy(message.from, leaves, up);
        }
        let transfer = self.transfer(message, to) + rate(again.bytes);
        let arrives = leaves + grows + again.waits + transfer + self.latency(message, to);
        self.wait(message, arrives);
        Transit { leaves, arrives }
    }

    /// The rate of the slower link of an edge.
    fn slower(&self, from: NodeId, to: NodeId) -> u64 {
        match (self.up.of(from), self.down.of(to)) {
            (0, bps) | (bps, 0) => bps,
            (up, down) => up.min(down),
        }
    }

    /// The receivers of many broadcasts.
    pub(crate) fn audience(&self, nodes: impl Iterator<Item = NodeId>) -> Audience {
        Audience(nodes.map(|n| (n, self.region_of[n.index()])).collect())
    }

    /// Puts a copy for everybody else in an audience on the sender's uplink, one after the other. Says
    /// when the first would arrive if it had no latency; `None`, and nothing is done, where copies
    /// differ in more than that.
    pub(crate) fn broadcast(&mut self, message: &Outgoing, to: &Audience) -> Option<Time> {
        let waits = message.bytes > self.waits_above;
        if waits || !self.tcp.is_plain() || self.down.alike.is_none() {
            return None;
        }
        let copies = to.0.len() as u64 - 1;
        let leaves = self.occupy(message.from, message.ready, message.up * copies);
        Some(leaves + message.transfer)
    }

    /// How much later than that the copies arrive, as `say` puts it, by place in the audience. The
    /// sender is at place `me`; the first copy is for the one after it.
    #[inline(never)] // Its loop wants the registers for itself.
    pub(crate) fn distances<T>(
        &self,
        message: &Outgoing,
        sender: (&Audience, usize),
        distances: &mut [T],
        say: impl FnMut(Span) -> T,
    ) {
        let from = message.from;
        if let (Delays::Scaled(table), false) = (&self.delays, self.per_link) {
            let row = self.pair(from, from) / self.regions * self.regions;
            let row = &self.one_way[row..][..self.regions];
            let latency = |to: NodeId, region: u8| {
                let hash = hash::fold(message.content, edge(from, to));
                Delays::scaled(table, row[usize::from(region)], hash)
            };
            each_copy(message.up, sender, distances, latency, say);
        } else {
            let latency = |to: NodeId, _| self.latency(message, to);
            each_copy(message.up, sender, distances, latency, say);
        }
    }

    /// Whether a message of so many bytes may wait at a downlink.
    pub(crate) const fn queues(&self, bytes: u64) -> bool {
        bytes > self.skips && self.down.limited
    }

    /// When a message that is at the card at `arrives` has passed the downlink. Must be called in
    /// the order of arrival.
    pub(crate) fn receive(&mut self, to: NodeId, bytes: u64, arrives: Time) -> Time {
        if !self.queues(bytes) {
            return arrives;
        }
        let free = &mut self.downlink_free[to.index()];
        *free = arrives.max(*free + self.down.takes(to, bytes));
        *free
    }

    /// A crash drops what waits at the node's card.
    pub(crate) fn reset(&mut self, node: NodeId, now: Time) {
        for free in [&mut self.uplink_free, &mut self.downlink_free] {
            free[node.index()] = free[node.index()].min(now);
        }
        self.tcp.reset(node);
    }
}

/// When each copy of a broadcast arrives: in turn it waits for `up` and takes its latency.
#[inline]
fn each_copy<T>(
    up: Span,
    (to, me): (&Audience, usize),
    distances: &mut [T],
    latency: impl Fn(NodeId, u8) -> Span,
    mut say: impl FnMut(Span) -> T,
) {
    let mut waits = Span::ZERO;
    for places in [me + 1..to.len(), 0..me] {
        let copies = distances[places.clone()].iter_mut().zip(&to.0[places]);
        for (distance, &(to, region)) in copies {
            *distance = say(waits + latency(to, region));
            waits += up;
        }
    }
}

/// An edge as one word.
pub(crate) const fn edge(from: NodeId, to: NodeId) -> u64 {
    (from.get() as u64) << 32 | to.get() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::Seed;

    /// Two nodes in one region, a third in another.
    fn config(uplink_bps: u64, downlink_bps: u64) -> NetworkConfig {
        let ms = |rows: [[u64; 2]; 2]| rows.map(|row| row.map(Span::from_ms).to_vec()).to_vec();
        let one_way = ms([[1, 40], [40, 2]]);
        NetworkConfig::alike(vec![0, 0, 1], one_way, uplink_bps, downlink_bps)
    }

    fn network(uplink_bps: u64, downlink_bps: u64, jitter_permille: u32) -> Network {
        let mut config = config(uplink_bps, downlink_bps);
        config.jitter = Jitter::Exponential {
            permille: jitter_permille,
        };
        Network::new(config, &[], Seed::new(1, 0))
    }

    const A: NodeId = NodeId::new(0);
    const B: NodeId = NodeId::new(1);
    const C: NodeId = NodeId::new(2);
    const NOW: (Time, Time) = (Time::ZERO, Time::ZERO);

    #[test]
    fn serialisation_and_queueing_add_up() {
        // 1 Mbit/s: 125,000 bytes take one second.
        let mut net = network(1_000_000, 0, 0);
        let message = net.prepare(A, 125_000, 7, NOW);
        let first = net.send(&message, C);
        let second = net.send(&message, B);
        assert_eq!(first.arrives, Time::ZERO + Span::from_ms(1_040));
        assert_eq!(second.arrives, Time::ZERO + Span::from_ms(2_001));
        assert_eq!(net.uplink_busy[0], Span::from_s(2));
    }

    #[test]
    fn where_senders_wait_a_body_leaves_when_the_last_has_arrived() {
        let mut config = config(1_000_000, 0);
        config.stop_and_wait = true;
        let mut net = Network::new(config, &[], Seed::new(1, 0));
        let body = net.prepare(A, 125_000, 7, NOW);
        assert_eq!(
            net.send(&body, C).arrives,
            Time::ZERO + Span::from_ms(1_040)
        );
        assert_eq!(net.send(&body, B).leaves, Time::ZERO + Span::from_ms(1_040));
        // Nobody waits for what fits into one packet: 125 bytes leave in a millisecond.
        let small = net.prepare(B, 125, 8, NOW);
        net.send(&small, C);
        assert_eq!(net.send(&small, C).leaves, Time::ZERO + Span::from_ms(1));
    }

    #[test]
    fn bodies_queue_at_the_downlink_and_votes_do_not() {
        let mut net = network(0, 1_000_000, 0);
        let a = net.prepare(A, 125_000, 1, NOW);
        let b = net.prepare(B, 125_000, 2, NOW);
        let (a, b) = (net.send(&a, C).arrives, net.send(&b, C).arrives);
        assert_eq!(net.receive(C, 125_000, a), a);
        assert_eq!(net.receive(C, 125_000, b), b + Span::from_s(1));
        assert_eq!(net.receive(C, 100, b), b);
    }

    #[test]
    fn the_slower_link_of_each_pair_counts() {
        let mut config = config(0, 0);
        // 125,000 bytes take 1 s at 1 Mbit/s.
        config.uplink_bps = vec![2_000_000, 0, 500_000];
        config.downlink_bps = vec![0, 1_000_000, 4_000_000];
        let mut net = Network::new(config, &[], Seed::new(1, 0));
        let mut takes = |from, to| {
            let message = net.prepare(from, 125_000, 1, NOW);
            let transit = net.send(&message, to);
            let latency = net.base(from, to);
            transit.arrives.since(transit.leaves).as_ms() - latency.as_ms()
        };
        let got = [
            takes(A, B),
            takes(A, C),
            takes(B, A),
            takes(B, C),
            takes(C, B),
        ];
        assert_eq!(got.map(|ms| ms as u64), [1_000, 500, 0, 250, 2_000]);
        // Two messages left A, for half a second each; none waited at B.
        assert_eq!(
            net.uplink_busy
                .iter()
                .map(|b| b.as_s() as u64)
                .collect::<Vec<_>>(),
            [1, 0, 2]
        );
        assert_eq!(net.receive(A, 125_000, Time::ZERO), Time::ZERO);
        assert_eq!(
            net.receive(B, 125_000, Time::ZERO),
            Time::ZERO + Span::from_s(1)
        );
    }

    #[test]
    fn small_messages_queue_at_the_downlink_if_asked() {
        let mut config = config(0, 8_000);
        config.small_skip_downlink = false;
        let mut net = Network::new(config, &[], Seed::new(1, 0));
        let at = Time::ZERO + Span::from_s(1);
        assert_eq!(net.receive(C, 100, at), at);
        assert_eq!(net.receive(C, 100, at), at + Span::from_ms(100));
    }

    #[test]
    fn an_unlimited_uplink_holds_nobody_back() {
        let mut net = network(0, 0, 0);
        let later = net.prepare(A, 1_000, 1, (Time::ZERO, Time::ZERO + Span::from_s(9)));
        let now = net.prepare(A, 1_000, 2, NOW);
        net.send(&later, B);
        assert_eq!(net.send(&now, B).arrives, Time::ZERO + Span::from_ms(1));
    }

    #[test]
    fn jitter_has_its_mean_and_belongs_to_the_content() {
        let net = network(0, 0, 100);
        let extra = |content| {
            let message = net.prepare(A, 1, content, NOW);
            net.latency(&message, C).ns() - 40_000_000
        };
        let mean = (0..20_000).map(extra).sum::<u64>() / 20_000;
        // Exponential with mean 4 ms: four standard errors are 0.11 ms.
        assert!(mean.abs_diff(4_000_000) < 113_000, "{mean}");
        assert_eq!(extra(5), extra(5));
    }

    #[test]
    fn jitter_may_belong_to_the_link() {
        let mut config = config(0, 0);
        config.jitter = Jitter::Exponential { permille: 100 };
        config.jitter_per_link = true;
        let net = Network::new(config, &[], Seed::new(1, 0));
        let latency = |from, to, content| {
            let message = net.prepare(from, 1, content, NOW);
            net.latency(&message, to)
        };
        assert_eq!(latency(A, C, 1), latency(A, C, 2));
        assert_eq!(latency(A, C, 1), latency(C, A, 3));
        assert_ne!(latency(A, C, 1), latency(B, C, 1));
    }

    #[test]
    fn mean_over_pairs() {
        // A–B twice 1 ms, A–C and B–C four times 40 ms: 162/6 ms.
        assert_eq!(config(0, 0).mean_latency(), Span::from_ms(27));
    }
}
