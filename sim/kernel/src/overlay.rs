//! The overlay: who talks to whom when blocks are relayed.
//!
//! Connections carry both ways and are opened once, from streams keyed by node. Where chance leaves
//! the overlay in pieces, each is joined to the piece of node 0, as nodes without peers look for some.

use quorate_core::{Draws, NodeId, Seed};

/// The overlay on which blocks are relayed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OverlayConfig {
    /// Everybody with everybody.
    Mesh,
    /// Every node opens this many connections to others drawn at random: the mean degree is twice
    /// that.
    Random {
        /// Connections that a node opens.
        outbound: u32,
    },
    /// A ring in which each node knows its nearest `degree`, each of whose connections leads
    /// elsewhere with the given chance.
    // source: Watts and Strogatz 1998, "Collective dynamics of 'small-world' networks".
    SmallWorld {
        /// Neighbours of a node on the ring; even.
        degree: u32,
        /// Thousandths of the connections that lead to a node drawn at random.
        rewire_permille: u32,
    },
    /// Nodes open different numbers of connections to others drawn at random.
    Degrees {
        /// Thousandths of the nodes that open at most 1, 2, … connections; ends with 1,000.
        cumulative_permille: Vec<u32>,
        /// Nodes that open a number of their own.
        own: Vec<(NodeId, u32)>,
        /// Nodes that are connected to each other besides.
        meshed: Vec<NodeId>,
    },
    /// The first `hubs` nodes are connected to each other, every other node to `links` of them in
    /// turn.
    Star {
        /// Hubs, the first so many nodes.
        hubs: u32,
        /// Hubs that each other node is connected to.
        links: u32,
    },
}

/// Neighbours by node, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Those of node `i`: `peers[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    peers: Vec<NodeId>,
}

impl Overlay {
    /// The connections among `n` nodes; `None` for everybody with everybody.
    pub(crate) fn new(config: &OverlayConfig, n: u32, seed: Seed) -> Option<Self> {
        let mut graph = Graph::new(n, seed);
        match config {
            OverlayConfig::Mesh => return None,
            OverlayConfig::Random { outbound } => (0..n).for_each(|i| graph.open(i, *outbound)),
            OverlayConfig::SmallWorld {
                degree,
                rewire_permille,
            } => graph.small_world(*degree, *rewire_permille),
            OverlayConfig::Degrees {
                cumulative_permille,
                own,
                meshed,
            } => {
                graph.mesh(meshed);
                let mut outbound = graph.degrees(cumulative_permille);
                for (node, number) in own {
                    outbound[node.index()] = *number;
                }
                (0..n).for_each(|i| graph.open(i, outbound[i as usize]));
            }
            OverlayConfig::Star { hubs, links } => graph.star(*hubs, *links),
        }
        graph.join();
        Some(graph.finish())
    }

    /// The same where nodes behind the others have the neighbours of these.
    pub(crate) fn doubled(self, seconds: &[NodeId]) -> Self {
        let n = self.starts.len() - 1;
        let of = |i: usize| {
            *seconds
                .get(i.wrapping_sub(n))
                .unwrap_or(&NodeId::new(i as u32))
        };
        let (mut starts, mut peers) = (vec![0], Vec::new());
        for i in 0..n + seconds.len() {
            let known = self.peers(of(i));
            let behind = (n..).zip(seconds).filter(|(_, node)| known.contains(node));
            peers.extend(known.iter().copied());
            peers.extend(behind.map(|(place, _)| NodeId::new(place as u32)));
            starts.push(peers.len() as u32);
        }
        Self { starts, peers }
    }

    pub(crate) fn degree(&self, node: NodeId) -> u32 {
        self.starts[node.index() + 1] - self.starts[node.index()]
    }

    pub(crate) fn peers(&self, node: NodeId) -> &[NodeId] {
        let (from, to) = (self.starts[node.index()], self.starts[node.index() + 1]);
        &self.peers[from as usize..to as usize]
    }
}

/// An overlay that is being built.
struct Graph {
    n: u32,
    seed: Seed,
    adjacent: Vec<Vec<u32>>,
}

impl Graph {
    fn new(n: u32, seed: Seed) -> Self {
        let adjacent = vec![Vec::new(); n as usize];
        Self { n, seed, adjacent }
    }

    fn draws(&self, node: u32) -> Draws {
        self.seed.stream("overlay", u64::from(node))
    }

    /// Connects two nodes that are not yet.
    fn connect(&mut self, a: u32, b: u32) -> bool {
        if a == b || self.adjacent[a as usize].contains(&b) {
            return false;
        }
        self.adjacent[a as usize].push(b);
        self.adjacent[b as usize].push(a);
        true
    }

    /// A node opens so many connections to others drawn at random.
    fn open(&mut self, node: u32, outbound: u32) {
        let mut draws = self.draws(node);
        let wanted = outbound.min(self.n - 1);
        let mut opened = 0;
        // Rejections are rare while `outbound` is far below `n`; the bound ends dense cases, where
        // some connections are then missing.
        for _ in 0..64 * wanted {
            if opened == wanted {
                break;
            }
            let other = draws.below(u64::from(self.n)) as u32;
            opened += u32::from(self.connect(node, other));
        }
    }

    fn mesh(&mut self, nodes: &[NodeId]) {
        for (i, a) in nodes.iter().enumerate() {
            for b in &nodes[..i] {
                self.connect(a.get(), b.get());
            }
        }
    }

    /// Each connection of the ring is opened by the node before it, and rewired by it.
    fn small_world(&mut self, degree: u32, rewire_permille: u32) {
        for i in 0..self.n {
            let mut draws = self.draws(i);
            for step in 1..=degree / 2 {
                let next = (i + step) % self.n;
                let rewired = draws.below(1_000) < u64::from(rewire_permille);
                let chosen = draws.below(u64::from(self.n)) as u32;
                if !(rewired && self.connect(i, chosen)) {
                    self.connect(i, next);
                }
            }
        }
    }

    /// How many connections each node opens: the shares of the law exactly, in an order drawn anew.
    fn degrees(&self, cumulative_permille: &[u32]) -> Vec<u32> {
        let key = |node: u32| self.seed.stream("overlay.degree", u64::from(node)).bits();
        let mut order: Vec<(u64, u32)> = (0..self.n).map(|i| (key(i), i)).collect();
        order.sort_unstable();
        let mut degrees = vec![0; self.n as usize];
        for (place, (_, node)) in (0_u64..).zip(order) {
            let share = (2 * place + 1) * 500 / u64::from(self.n);
            let at_most = |c: &u32| u64::from(*c) <= share;
            degrees[node as usize] = 1 + cumulative_permille.partition_point(at_most) as u32;
        }
        degrees
    }

    fn star(&mut self, hubs: u32, links: u32) {
        let hubs = hubs.min(self.n);
        let all: Vec<NodeId> = (0..hubs).map(NodeId::new).collect();
        self.mesh(&all);
        for i in hubs..self.n {
            for k in 0..links.min(hubs) {
                self.connect(i, (i + k) % hubs);
            }
        }
    }

    /// Connects the first node of each piece to a random node of those before.
    fn join(&mut self) {
        let mut reached = vec![false; self.n as usize];
        let mut rest = Vec::new();
        for i in 0..self.n {
            if reached[i as usize] {
                continue;
            }
            if i > 0 {
                let other = self
                    .seed
                    .stream("overlay.join", u64::from(i))
                    .below(u64::from(i));
                self.connect(i, other as u32);
            }
            rest.push(i);
            reached[i as usize] = true;
            while let Some(at) = rest.pop() {
                for &next in &self.adjacent[at as usize] {
                    if !reached[next as usize] {
                        reached[next as usize] = true;
                        rest.push(next);
                    }
                }
            }
        }
    }

    fn finish(self) -> Overlay {
        let mut starts = vec![0];
        let mut peers = Vec::with_capacity(self.adjacent.iter().map(Vec::len).sum());
        for mut list in self.adjacent {
            list.sort_unstable();
            peers.extend(list.into_iter().map(NodeId::new));
            starts.push(peers.len() as u32);
        }
        Overlay { starts, peers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u32 = 200;

    fn overlay(config: &OverlayConfig, n: u32, seed: u64) -> Overlay {
        Overlay::new(config, n, Seed::new(seed, 0)).expect("no mesh")
    }

    fn degrees(overlay: &Overlay, n: u32) -> Vec<u32> {
        (0..n).map(|i| overlay.degree(NodeId::new(i))).collect()
    }

    fn reached(overlay: &Overlay, n: u32) -> usize {
        let mut seen = vec![false; n as usize];
        let mut rest = vec![NodeId::new(0)];
        seen[0] = true;
        while let Some(at) = rest.pop() {
            for &next in overlay.peers(at) {
                if !std::mem::replace(&mut seen[next.index()], true) {
                    rest.push(next);
                }
            }
        }
        seen.iter().filter(|s| **s).count()
    }

    fn kinds() -> [OverlayConfig; 5] {
        let own = vec![(NodeId::new(3), 50)];
        let meshed = (0..8).map(NodeId::new).collect();
        [
            OverlayConfig::Random { outbound: 8 },
            // Often in pieces before they are joined.
            OverlayConfig::Random { outbound: 1 },
            OverlayConfig::SmallWorld {
                degree: 6,
                rewire_permille: 200,
            },
            OverlayConfig::Degrees {
                cumulative_permille: vec![250, 500, 1_000],
                own,
                meshed,
            },
            OverlayConfig::Star { hubs: 3, links: 2 },
        ]
    }

    #[test]
    fn connections_carry_both_ways_and_reach_everybody() {
        for config in kinds() {
            for (n, seed) in [(1, 1), (2, 1), (13, 2), (N, 3)] {
                if matches!(config, OverlayConfig::Degrees { .. }) && n < N {
                    continue;
                }
                let overlay = overlay(&config, n, seed);
                assert_eq!(reached(&overlay, n), n as usize, "{config:?} of {n}");
                for node in (0..n).map(NodeId::new) {
                    let peers = overlay.peers(node);
                    assert!(peers.is_sorted_by(|a, b| a < b), "{config:?}: a peer twice");
                    let back = |peer: &NodeId| overlay.peers(*peer).contains(&node);
                    assert!(peers.iter().all(back) && !peers.contains(&node));
                }
            }
        }
    }

    #[test]
    fn random_overlays_have_their_degree() {
        let overlay = overlay(&kinds()[0], N, 3);
        assert_eq!(degrees(&overlay, N).iter().sum::<u32>(), N * 16);
    }

    #[test]
    fn another_seed_draws_another_overlay() {
        let peers = |seed| overlay(&kinds()[0], N, seed).peers;
        assert_eq!(peers(1), peers(1));
        assert_ne!(peers(1), peers(2));
    }

    /// Connections that are rewired lead anywhere; the share of those left on the ring is 1 − p.
    #[test]
    fn small_worlds_keep_their_ring_but_for_the_rewired() {
        let config = |rewire_permille| OverlayConfig::SmallWorld {
            degree: 6,
            rewire_permille,
        };
        let on_ring = |permille| {
            let overlay = overlay(&config(permille), 2_000, 5);
            let mut near = 0_u32;
            for node in 0..2_000 {
                let gap = |peer: &&NodeId| {
                    let gap = (peer.get() + 2_000 - node) % 2_000;
                    gap <= 3
                };
                near += overlay.peers(NodeId::new(node)).iter().filter(gap).count() as u32;
            }
            f64::from(near) / 6_000.0
        };
        assert!((on_ring(0) - 1.0).abs() < 1e-9);
        assert_eq!(degrees(&overlay(&config(0), 20, 1), 20), [6; 20]);
        // Binomial(6000, 0.8): standard deviation 0.005 2; a few rewired ones lead nearby.
        assert!((on_ring(200) - 0.8).abs() < 0.022, "{}", on_ring(200));
        assert!(on_ring(1_000) < 0.01);
    }

    /// The sum of all degrees is twice the connections that were opened.
    #[test]
    fn degrees_follow_their_law() {
        let graph = Graph::new(N, Seed::new(4, 0));
        let drawn = graph.degrees(&[250, 500, 500, 1_000]);
        let count = |d: u32| drawn.iter().filter(|&&x| x == d).count();
        assert_eq!([1, 2, 3, 4].map(count), [50, 50, 0, 100]);
        assert!(drawn[..10].iter().any(|d| *d != drawn[0]), "in order");
        let law = OverlayConfig::Degrees {
            cumulative_permille: vec![250, 500, 500, 1_000],
            own: vec![(NodeId::new(3), 50)],
            meshed: (0..8).map(NodeId::new).collect(),
        };
        let overlay = overlay(&law, N, 4);
        let opened: u32 = drawn.iter().sum::<u32>() - drawn[3] + 50 + 8 * 7 / 2;
        assert_eq!(degrees(&overlay, N).iter().sum::<u32>(), 2 * opened);
        let first = NodeId::new(0);
        assert!((1..8).all(|i| overlay.peers(first).contains(&NodeId::new(i))));
    }

    #[test]
    fn a_star_has_its_hubs() {
        let overlay = overlay(&OverlayConfig::Star { hubs: 3, links: 1 }, 12, 1);
        assert_eq!(degrees(&overlay, 12), [5, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(overlay.peers(NodeId::new(7)), [NodeId::new(1)]);
    }
}
