//! The upper tier: a public chain with other people's transactions, and what passes between it and the
//! local ledger.

use super::Config;
use super::tier::{ASK, Clients, seen_word};
use crate::unit::Tweak;
use quorate_core::{
    Arrival, Class, ClassId, Draws, EntityId, Finality, Kind, Level, Load, NodeId, Seed, Span,
    Time, dist,
};
use quorate_kernel::{Coupling, Fees, GossipConfig, MempoolConfig, News, Run, Setup, TxRelay};
use std::collections::BTreeMap;

/// Classes of other people's transactions, by fee level.
const LEVELS: [&str; super::MOST_LEVELS] = [
    "others-0", "others-1", "others-2", "others-3", "others-4", "others-5", "others-6", "others-7",
];

/// Other people's transactions: Poisson arrivals at all nodes, each with a level.
struct Demand {
    classes: Vec<Class>,
    /// Nodes, and behind them a site for each gateway.
    nodes: u32,
    sites: u32,
    /// Mean time between two, s; infinite for none.
    gap_s: f64,
    /// Shares of the levels, summed up.
    levels: Vec<f64>,
    bytes: u16,
    exec_us: u16,
    draws: Draws,
    at: Time,
}

impl Demand {
    fn new(config: &Config, seed: Seed) -> Self {
        let levels = config.fee_shares.iter().scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        let names = LEVELS.iter().take(config.fee_shares.len()).chain(&["root"]);
        let class = |&name: &&'static str| Class {
            name,
            kind: Kind::Write,
            expiry: None,
            tells: "",
        };
        let nodes = config.chain_network.nodes;
        Self {
            classes: names.map(class).collect(),
            nodes,
            sites: nodes + config.gateways,
            gap_s: 1.0 / config.others_per_s(),
            levels: levels.collect(),
            bytes: config.tx_bytes,
            exec_us: config.tx_exec_us,
            draws: seed.stream("other people", 0),
            at: Time::ZERO,
        }
    }
}

impl Load for Demand {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        self.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        if !self.gap_s.is_finite() {
            return None;
        }
        self.at += Span::from_s_f64(dist::exponential(self.gap_s, &mut self.draws));
        let sum = self.levels.last().copied().expect("the plan was checked");
        let drawn = self.draws.open01() * sum;
        let level = self
            .levels
            .iter()
            .take_while(|&&upto| upto <= drawn)
            .count();
        Some(Arrival {
            at: self.at,
            key: EntityId::new(0),
            operand: 0,
            bytes: self.bytes,
            exec_us: self.exec_us,
            site: self.draws.below(u64::from(self.nodes)) as u16,
            class: ClassId(level as u8),
            action: 0,
        })
    }
}

/// The public chain, under a seed of its own and without faults; the sites of gateways are followed.
pub(super) fn chain(
    config: &Config,
    exchange: &Exchange,
    local: &Setup,
    finality: Finality,
) -> Box<dyn Run> {
    let nodes = config.chain_network.nodes;
    let seed = Seed::new(local.seed.key("public chain"), 0);
    let mut levels: Vec<u8> = (0..config.fee_shares.len() as u8).collect();
    levels.push(config.bid);
    let served = (0..nodes).map(NodeId::new);
    let gateways = exchange.full_nodes.iter().take(config.gateways as usize);
    // Over when the local ledger is, and not before.
    let end = local.horizon + local.drain + exchange.lead + Span::from_s(1);
    let setup = Setup {
        network: config.chain_network.config(Tweak::None, seed),
        cpu_speed: 1,
        mempool: MempoolConfig {
            fees: Fees::ByClass(levels),
            gossip: GossipConfig {
                relay: TxRelay::Announce,
                ..GossipConfig::VISIBILITY
            },
            ..MempoolConfig::UNLIMITED
        },
        endorse: None,
        faults: Vec::new(),
        corrupt: Vec::new(),
        finality,
        tolerated: 0,
        serving: served.chain(gateways.copied()).collect(),
        horizon: end,
        drain: Span::ZERO,
        may_cut: false,
        read_level: Level::Final,
        seed,
        trace: None,
        ..local.clone()
    };
    let followed: Vec<u32> = (nodes..nodes + config.gateways).collect();
    let demand = Box::new(Demand::new(config, seed));
    let upper = config.upper();
    upper.upper(&config.chain_config, setup, demand, &followed)
}

/// What passes between the tiers: roots up, finality down.
pub(super) struct Exchange {
    lead: Span,
    link: Span,
    /// The local ledger's measured span.
    horizon: Time,
    /// Nodes of the public chain; the site of gateway `g` is this plus `g`.
    nodes: u32,
    /// The full node that each local node asks; gateways come first.
    full_nodes: Vec<NodeId>,
    /// The local nodes that ask a full node, by full node.
    clients: BTreeMap<NodeId, Vec<NodeId>>,
    /// How many roots of a gateway are final in the view of a full node.
    seen: BTreeMap<(NodeId, u32), u32>,
    /// What a root is to the public chain.
    root: Arrival,
    /// Within the measured span: how many, and when the last.
    roots: (u64, Time),
}

impl Exchange {
    /// For a local ledger of so many nodes with so long a measured span.
    pub(super) fn new(config: &Config, locals: u32, horizon: Time) -> Self {
        let nodes = config.chain_network.nodes;
        let members = config.upper().committee(&config.chain_config, nodes);
        // Clients ask nodes that only follow, where there are any.
        let all = (0..nodes).map(NodeId::new);
        let mut followers: Vec<NodeId> = all
            .clone()
            .filter(|&node| members.position(node).is_none())
            .collect();
        if followers.is_empty() {
            followers = all.collect();
        }
        let full_nodes: Vec<NodeId> = (0..locals as usize)
            .map(|i| followers[i % followers.len()])
            .collect();
        let asking = match config.clients {
            Clients::Gateway => config.gateways,
            Clients::LightClient => locals,
        };
        let mut clients: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for local in (0..asking).map(NodeId::new) {
            let full_node = full_nodes[local.index()];
            clients.entry(full_node).or_default().push(local);
        }
        Self {
            lead: Span::from_s_f64(config.lead_s),
            link: Span::from_ms_f64(config.link_ms),
            horizon,
            nodes,
            full_nodes,
            clients,
            seen: BTreeMap::new(),
            root: Arrival {
                at: Time::ZERO,
                key: EntityId::new(0),
                operand: 0,
                bytes: config.root_bytes,
                exec_us: config.root_exec_us,
                site: 0,
                class: ClassId(config.fee_shares.len() as u8),
                action: 0,
            },
            roots: (0, Time::ZERO),
        }
    }

    /// How long before the local ledger the public chain begins.
    pub(super) const fn lead(&self) -> Span {
        self.lead
    }

    /// Roots published within the measured span, and when the last of them was.
    pub(super) const fn roots(&self) -> (u64, Time) {
        self.roots
    }

    fn up(&mut self, news: News, ledgers: &mut [Box<dyn Run + '_>]) {
        if news.word == ASK {
            let full_node = self.full_nodes[news.node.index()];
            let known = self.seen.range((full_node, 0)..=(full_node, u32::MAX));
            for (&(_, gateway), &count) in known {
                ledgers[0].hear(News {
                    at: news.at + self.link * 2,
                    node: news.node,
                    word: seen_word(gateway, count),
                });
            }
            return;
        }
        if news.at < self.horizon {
            self.roots = (self.roots.0 + 1, news.at);
        }
        ledgers[1].submit_at(Arrival {
            at: news.at + self.lead + self.link,
            operand: news.word as u32,
            site: (self.nodes + news.node.get()) as u16,
            ..self.root
        });
    }

    fn down(&mut self, news: News, ledgers: &mut [Box<dyn Run + '_>]) {
        let (site, count) = ((news.word >> 32) as u32, news.word as u32);
        let gateway = site - self.nodes;
        self.seen.insert((news.node, gateway), count);
        let began = Time::ZERO + self.lead;
        for &client in self.clients.get(&news.node).into_iter().flatten() {
            ledgers[0].hear(News {
                at: Time::ZERO + news.at.since(began) + self.link,
                node: client,
                word: seen_word(gateway, count),
            });
        }
    }
}

impl Coupling for Exchange {
    fn carry(&mut self, from: usize, news: News, ledgers: &mut [Box<dyn Run + '_>]) {
        if from == 0 {
            self.up(news, ledgers);
        } else {
            self.down(news, ledgers);
        }
    }
}
