//! The table `[network]`: nodes and where they are, links, losses and the overlay.

use crate::places::{self, Table};
use crate::unit::Tweak;
use quorate_core::{NodeId, Seed, Span};
use quorate_kernel::{Jitter, Loss, NetworkConfig, OverlayConfig, SlowStart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes and links.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent keys of a plan")]
pub struct NetworkPlan {
    /// Nodes, one an organisation; node `i` stands in region `i mod regions`.
    pub nodes: u32,
    /// Names from one latency table, see `quorate list regions`; or one name with `one_way_ms`.
    pub regions: Vec<String>,
    /// The latency table; absent means the first one that has the first region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_table: Option<String>,
    /// Share of the nodes in each region, or `"published"` for those of the table; absent means one
    /// after the other. Regions take turns by share, so that any first nodes are spread too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_shares: Option<Shares>,
    /// One-way latency between all nodes in ms, instead of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_way_ms: Option<f64>,
    /// All latencies, in thousandths of what the table or `one_way_ms` says.
    #[serde(
        default = "default_latency",
        skip_serializing_if = "is_default_latency"
    )]
    pub latency_permille: u32,
    /// The law of the jitter.
    // assumption: exponential, as nothing is known of the paths.
    #[serde(default, skip_serializing_if = "JitterLaw::is_default")]
    pub jitter: JitterLaw,
    /// Mean of the jitter, in thousandths of the latency; of `pareto-mean`, mean minus minimum.
    // assumption: 50; wide-area paths between data centres vary by a few percent.
    #[serde(default = "default_jitter")]
    pub jitter_permille: u32,
    /// Of `log-normal` the standard deviation of the logarithm; of `gamma` the shape; of `pareto` the
    /// index, above 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_shape: Option<f64>,
    /// Of `pareto-mean`: mean minus minimum in ms, the same for all edges, instead of
    /// `jitter_permille`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_spread_ms: Option<f64>,
    /// Whether all messages between two nodes have the same jitter.
    #[serde(default, skip_serializing_if = "is_false")]
    pub jitter_per_link: bool,
    /// Uplink of each node in Mbit/s; 0 means unlimited.
    // assumption: 1,000; a hospital's data-centre connection.
    #[serde(default = "default_mbps")]
    pub uplink_mbps: f64,
    /// Downlink of each node in Mbit/s; 0 means unlimited.
    #[serde(default = "default_mbps")]
    pub downlink_mbps: f64,
    /// Uplinks by region instead: for each a rate, or a list of which every node draws one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region_uplink_mbps: Vec<Rate>,
    /// Downlinks by region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region_downlink_mbps: Vec<Rate>,
    /// Nodes that differ from the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassPlan>,
    /// Largest packet; messages of up to one do not queue at the downlink.
    // source: Ethernet's maximum transmission unit.
    #[serde(default = "default_mtu")]
    pub mtu_bytes: u64,
    /// Whether they queue there nevertheless.
    // assumption: no, as packets of different flows interleave.
    #[serde(default, skip_serializing_if = "is_false")]
    pub queue_small_messages: bool,
    /// Packets that are lost and sent again, of a thousand.
    // assumption: none; data-centre connections lose less than one in a thousand.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub loss_permille: f64,
    /// What a sender waits besides the round trip before it sends a packet again, ms; a connection
    /// that is idle for as long starts to close its window.
    // source: Linux `TCP_RTO_MIN`.
    #[serde(
        default = "default_retransmit",
        skip_serializing_if = "is_default_retransmit"
    )]
    pub retransmit_ms: f64,
    /// Whether messages of more than ten packets must open the window of an idle connection first.
    // assumption: no; source of the ten: RFC 6928.
    #[serde(default, skip_serializing_if = "is_false")]
    pub slow_start: bool,
    /// Whether an uplink serves a message of more than one packet until it has arrived: one request
    /// is answered after the other.
    // assumption: no; source of the rule: dsg-titech/simblock `Node`, `sendNextBlockMessage`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stop_and_wait: bool,
    /// The overlay that relays blocks; absent means `mesh`, or `random` where `outbound` is given. A
    /// committee's messages go straight to their receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// Of `random`: connections that each node opens to others drawn at random; 0 means everybody
    /// with everybody.
    #[serde(default)]
    pub outbound: u32,
    /// Of `degrees`: the name of a table (`bitcoin-2015`, `litecoin`, `dogecoin`), or thousandths of
    /// the nodes that open at most 1, 2, … connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_degrees: Option<Degrees>,
    /// Of `small-world`: neighbours of each node on the ring, an even number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<u32>,
    /// Of `small-world`: thousandths of the connections that lead elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewire_permille: Option<u32>,
    /// Of `star`: the first so many nodes are hubs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hubs: Option<u32>,
    /// Of `star`: hubs that each other node is connected to; absent means one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_links: Option<u32>,
}

const fn default_jitter() -> u32 {
    50
}

const fn default_latency() -> u32 {
    1_000
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_default_latency(permille: &u32) -> bool {
    *permille == default_latency()
}

const fn default_mbps() -> f64 {
    1_000.0
}

const fn default_mtu() -> u64 {
    1_500
}

fn default_retransmit() -> f64 {
    Loss::NONE.timeout.as_ms()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_default_retransmit(ms: &f64) -> bool {
    ms.to_bits() == default_retransmit().to_bits()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(value: &f64) -> bool {
    value.to_bits() == 0
}

/// Shares of the regions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "region_shares is a list with a share for each region, or \"published\""
)]
pub enum Shares {
    /// By region, in any unit.
    List(Vec<f64>),
    /// Those of the latency table.
    Published(Published),
}

/// The word for what a table says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Published {
    /// As published.
    Published,
}

/// Rates of a region's links.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "rates of regions are Mbit/s, or lists of them")]
pub enum Rate {
    /// One for all, Mbit/s.
    One(f64),
    /// Each node draws one of these, Mbit/s.
    Drawn(Vec<f64>),
}

/// The law of the jitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JitterLaw {
    /// Exponential.
    #[default]
    Exponential,
    /// Log-normal.
    LogNormal,
    /// Gamma.
    Gamma,
    /// Pareto, counted from zero.
    Pareto,
    /// The latency as a whole is Pareto, and the table gives its mean.
    ParetoMean,
}

impl JitterLaw {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    const fn is_default(&self) -> bool {
        matches!(self, Self::Exponential)
    }
}

/// Nodes that differ from the others.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassPlan {
    /// Which nodes; each is in one class at most.
    pub nodes: Vec<u32>,
    /// Their regions, in the order of `nodes`, repeated as needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Uplink of each, Mbit/s; 0 means unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink_mbps: Option<f64>,
    /// Downlink of each, Mbit/s; 0 means unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downlink_mbps: Option<f64>,
    /// Connections that each opens in a `random` or `degrees` overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<u32>,
    /// Whether they are connected to each other besides, in such an overlay.
    #[serde(default, skip_serializing_if = "is_false")]
    pub meshed: bool,
}

/// The overlay that relays blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// Everybody with everybody.
    Mesh,
    /// Each node opens as many connections.
    Random,
    /// A ring with some connections that lead elsewhere.
    SmallWorld,
    /// Nodes open different numbers of connections.
    Degrees,
    /// Hubs, and the others around them.
    Star,
}

/// How many connections nodes open.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "outbound_degrees is the name of a table, or thousandths of the nodes that open at most \
                 1, 2, … connections"
)]
pub enum Degrees {
    /// A published table.
    Table(String),
    /// Cumulative thousandths.
    List(Vec<u32>),
}

/// Published tables of the connections that nodes open: thousandths that open at most 1, 2, …
// source: dsg-titech/simblock@1c0e899 `NetworkConfiguration`, degree distributions.
const DEGREES: [(&str, &[u32]); 3] = [
    (
        "bitcoin-2015",
        &[
            25, 50, 75, 100, 200, 300, 400, 500, 600, 700, 800, 850, 900, 950, 970, 970, 980, 990,
            995, 1_000,
        ],
    ),
    (
        "litecoin",
        &[
            10, 20, 40, 70, 90, 140, 200, 280, 390, 500, 600, 690, 760, 810, 850, 870, 890, 920,
            930, 1_000,
        ],
    ),
    ("dogecoin", &[0, 0, 0, 0, 0, 0, 0, 1_000]),
];

impl Degrees {
    fn cumulative(&self) -> Option<&[u32]> {
        match self {
            Self::List(list) => Some(list),
            Self::Table(name) => DEGREES.iter().find(|t| t.0 == name).map(|t| t.1),
        }
    }
}

/// What is wrong with a key.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Within the table `[network]`.
    pub(crate) key: String,
    pub(crate) why: String,
    pub(crate) hint: String,
}

fn wrong(key: &str, why: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong {
        key: key.to_owned(),
        why: why.into(),
        hint: hint.into(),
    }
}

impl NetworkPlan {
    /// The latency table, where latencies are not set by hand.
    fn table(&self) -> Option<&'static Table> {
        match &self.latency_table {
            Some(name) => places::table(name),
            None => places::table_of(&self.regions),
        }
    }

    /// Latencies between the plan's regions.
    fn one_way(&self) -> Vec<Vec<Span>> {
        let mut spans = self.listed();
        if self.latency_permille != default_latency() {
            let permille = u64::from(self.latency_permille);
            for span in spans.iter_mut().flatten() {
                *span = span.scale(permille, 1_000);
            }
        }
        spans
    }

    /// One-way latencies between regions as the plan or its table lists them.
    fn listed(&self) -> Vec<Vec<Span>> {
        let regions = self.regions.len();
        if let Some(ms) = self.one_way_ms {
            return vec![vec![Span::from_ms_f64(ms); regions]; regions];
        }
        let table = self.table().expect("the plan was checked");
        table
            .latencies(&self.regions)
            .expect("the plan was checked")
    }

    fn shares(&self) -> Option<Vec<f64>> {
        match self.region_shares.as_ref()? {
            Shares::List(shares) => Some(shares.clone()),
            Shares::Published(_) => self.table()?.shares(&self.regions),
        }
    }

    /// The region of each node, as an index into `regions`.
    pub fn region_of(&self) -> Vec<u8> {
        let regions = self.regions.len();
        let mut region_of: Vec<u8> = match self.shares() {
            Some(shares) => in_turns(&portions(&shares, self.nodes)),
            None => (0..self.nodes as usize)
                .map(|i| (i % regions) as u8)
                .collect(),
        };
        for class in &self.classes {
            let place = |name: &String| self.regions.iter().position(|r| r == name);
            let places = class
                .regions
                .iter()
                .map(|r| place(r).expect("the plan was checked"));
            for (&node, region) in class.nodes.iter().zip(places.cycle()) {
                region_of[node as usize] = region as u8;
            }
        }
        region_of
    }

    /// The slowest uplink that is limited, bits per second.
    pub fn slowest_uplink_bps(&self, seed: Seed) -> Option<u64> {
        let rates = self.links(&self.region_of(), seed).0;
        rates.into_iter().filter(|&bps| bps > 0).min()
    }

    /// Uplink and downlink of each node, bits per second.
    fn links(&self, region_of: &[u8], seed: Seed) -> (Vec<u64>, Vec<u64>) {
        let all = |common: f64, by_region: &[Rate], purpose: &str| -> Vec<u64> {
            let rate = |(node, &region): (usize, &u8)| match by_region.get(usize::from(region)) {
                None => bps(common),
                Some(Rate::One(mbps)) => bps(*mbps),
                Some(Rate::Drawn(list)) => {
                    let mut draws = seed.stream(purpose, node as u64);
                    bps(list[draws.below(list.len() as u64) as usize])
                }
            };
            region_of.iter().enumerate().map(rate).collect()
        };
        let mut up = all(self.uplink_mbps, &self.region_uplink_mbps, "uplink");
        let mut down = all(self.downlink_mbps, &self.region_downlink_mbps, "downlink");
        for class in &self.classes {
            for &node in &class.nodes {
                if let Some(mbps) = class.uplink_mbps {
                    up[node as usize] = bps(mbps);
                }
                if let Some(mbps) = class.downlink_mbps {
                    down[node as usize] = bps(mbps);
                }
            }
        }
        (up, down)
    }

    fn law(&self) -> Jitter {
        let permille = self.jitter_permille;
        let shape = || self.jitter_shape.expect("the plan was checked");
        match self.jitter {
            JitterLaw::Exponential => Jitter::Exponential { permille },
            JitterLaw::LogNormal => Jitter::LogNormal {
                permille,
                sigma: shape(),
            },
            JitterLaw::Gamma => Jitter::Gamma {
                permille,
                shape: shape(),
            },
            JitterLaw::Pareto => Jitter::Pareto {
                permille,
                shape: shape(),
            },
            JitterLaw::ParetoMean => match self.jitter_spread_ms {
                Some(ms) => Jitter::ParetoSpread {
                    spread: Span::from_ms_f64(ms),
                },
                None => Jitter::ParetoMean { permille },
            },
        }
    }

    fn kind(&self) -> Overlay {
        self.overlay.unwrap_or(if self.outbound == 0 {
            Overlay::Mesh
        } else {
            Overlay::Random
        })
    }

    fn overlay(&self) -> OverlayConfig {
        let special = |class: &ClassPlan| class.outbound.is_some() || class.meshed;
        let alike = !self.classes.iter().any(special);
        match self.kind() {
            Overlay::Mesh => OverlayConfig::Mesh,
            Overlay::Random if alike => OverlayConfig::Random {
                outbound: self.outbound,
            },
            Overlay::Random => {
                let mut cumulative_permille = vec![0; self.outbound as usize];
                *cumulative_permille.last_mut().expect("at least one") = 1_000;
                self.degrees(cumulative_permille)
            }
            Overlay::Degrees => {
                let table = self.outbound_degrees.as_ref().and_then(Degrees::cumulative);
                self.degrees(table.expect("the plan was checked").to_vec())
            }
            Overlay::SmallWorld => OverlayConfig::SmallWorld {
                degree: self.neighbours.expect("the plan was checked"),
                rewire_permille: self.rewire_permille.expect("the plan was checked"),
            },
            Overlay::Star => OverlayConfig::Star {
                hubs: self.hubs.expect("the plan was checked"),
                links: self.hub_links.unwrap_or(1),
            },
        }
    }

    fn degrees(&self, cumulative_permille: Vec<u32>) -> OverlayConfig {
        let classes = self.classes.iter();
        let own = classes.clone().flat_map(|c| {
            let nodes = c.nodes.iter().map(|&node| NodeId::new(node));
            nodes.filter_map(|node| Some((node, c.outbound?)))
        });
        let meshed = classes.filter(|c| c.meshed).flat_map(|c| &c.nodes);
        OverlayConfig::Degrees {
            cumulative_permille,
            own: own.collect(),
            meshed: meshed.map(|&node| NodeId::new(node)).collect(),
        }
    }

    /// What the kernel needs of it, with a counterfactual applied. The plan must be checked.
    pub(crate) fn config(&self, tweak: Tweak, seed: Seed) -> NetworkConfig {
        let region_of = self.region_of();
        let (mut up, mut down) = self.links(&region_of, seed);
        let mut one_way = self.one_way();
        if tweak == Tweak::Bandwidth {
            for bps in up.iter_mut().chain(&mut down) {
                *bps *= 2;
            }
        }
        if tweak == Tweak::Latency {
            for span in one_way.iter_mut().flatten() {
                *span = span.scale(1, 2);
            }
        }
        let timeout = Span::from_ms_f64(self.retransmit_ms);
        NetworkConfig {
            jitter: self.law(),
            jitter_per_link: self.jitter_per_link,
            uplink_bps: up,
            downlink_bps: down,
            mtu_bytes: self.mtu_bytes,
            small_skip_downlink: !self.queue_small_messages,
            loss: Loss {
                ppm: (self.loss_permille * 1e3) as u32,
                timeout,
            },
            stop_and_wait: self.stop_and_wait,
            slow_start: self.slow_start.then_some(SlowStart {
                // source: RFC 6928.
                initial_packets: 10,
                idle: timeout,
            }),
            overlay: self.overlay(),
            ..NetworkConfig::alike(region_of, one_way, 0, 0)
        }
    }
}

fn bps(mbps: f64) -> u64 {
    (mbps * 1e6) as u64
}

/// So many nodes by share: whole parts first, then the largest remainders, the first of equals.
fn portions(shares: &[f64], nodes: u32) -> Vec<u32> {
    let total: f64 = shares.iter().sum();
    let exact = |share: &f64| share / total * f64::from(nodes);
    let mut portions: Vec<u32> = shares.iter().map(|s| exact(s) as u32).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| {
        let rest = |i: usize| exact(&shares[i]) - f64::from(portions[i]);
        rest(b).total_cmp(&rest(a))
    });
    let missing = nodes - portions.iter().sum::<u32>();
    for &i in order.iter().cycle().take(missing as usize) {
        portions[i] += 1;
    }
    portions
}

/// Each index as often as it has portions, spread evenly: next is always the one that is furthest
/// behind its share.
fn in_turns(portions: &[u32]) -> Vec<u8> {
    let total: u32 = portions.iter().sum();
    let mut credit = vec![0_i64; portions.len()];
    let mut turns = Vec::with_capacity(total as usize);
    for _ in 0..total {
        for (credit, &portion) in credit.iter_mut().zip(portions) {
            *credit += i64::from(portion);
        }
        // The first of the largest.
        let most = credit.iter().max().copied().expect("a region");
        let next = credit.iter().position(|&c| c == most).expect("it is there");
        credit[next] -= i64::from(total);
        turns.push(next as u8);
    }
    turns
}

/// Checks the table.
///
/// # Errors
/// The first key that is wrong.
pub(crate) fn check(net: &NetworkPlan) -> Result<(), Wrong> {
    if net.nodes == 0 {
        return Err(wrong("nodes", "is 0", "at least one node must exist"));
    }
    regions(net)?;
    latencies(net)?;
    shares(net)?;
    jitter(net)?;
    rates(net)?;
    classes(net)?;
    tcp(net)?;
    overlay(net)
}

fn regions(net: &NetworkPlan) -> Result<(), Wrong> {
    if net.regions.is_empty() {
        return Err(wrong("regions", "is empty", "name at least one region"));
    }
    if net.regions.len() > 256 {
        let why = format!("has {} regions", net.regions.len());
        return Err(wrong("regions", why, "name 256 at most"));
    }
    Ok(())
}

fn latencies(net: &NetworkPlan) -> Result<(), Wrong> {
    if let Some(ms) = net.one_way_ms {
        if ms < 0.0 || !ms.is_finite() {
            let why = format!("is {ms}");
            return Err(wrong("one_way_ms", why, "a latency is at least 0 ms"));
        }
        if net.latency_table.is_some() {
            let why = "stands beside one_way_ms";
            return Err(wrong("latency_table", why, "leave one of them out"));
        }
        return Ok(());
    }
    if let Some(name) = &net.latency_table {
        let table = places::table(name).ok_or_else(|| {
            let names: Vec<&str> = places::TABLES.iter().map(|t| t.name).collect();
            let why = format!("is {name:?}, which is no table");
            wrong(
                "latency_table",
                why,
                format!("tables: {}", names.join(", ")),
            )
        })?;
        return table.latencies(&net.regions).map(|_| ()).map_err(|region| {
            let why = format!("names {region:?}, which is not in the table {name}");
            let hint = format!("its regions: {}", table.regions.join(", "));
            wrong("regions", why, hint)
        });
    }
    places::latencies(&net.regions).map(|_| ()).map_err(|name| {
        let why = format!("names {name:?}, which is not in the latency table of the first");
        let hint = "`quorate list regions` shows the tables; or set one_way_ms";
        wrong("regions", why, hint)
    })
}

fn shares(net: &NetworkPlan) -> Result<(), Wrong> {
    let Some(given) = &net.region_shares else {
        return Ok(());
    };
    let by_hand = matches!(given, Shares::Published(_)) && net.one_way_ms.is_some();
    let Some(shares) = net.shares().filter(|_| !by_hand) else {
        let why = "is \"published\", but the latency table has no shares";
        return Err(wrong("region_shares", why, "list a share for each region"));
    };
    if shares.len() != net.regions.len() {
        let why = format!("has {} shares, not {}", shares.len(), net.regions.len());
        return Err(wrong("region_shares", why, "list a share for each region"));
    }
    let sound = shares.iter().all(|s| s.is_finite() && *s >= 0.0);
    if !sound || shares.iter().sum::<f64>() <= 0.0 {
        let why = "holds a negative share, or nothing but zeros";
        return Err(wrong("region_shares", why, "give shares such as 0.4"));
    }
    Ok(())
}

fn jitter(net: &NetworkPlan) -> Result<(), Wrong> {
    let takes = match net.jitter {
        JitterLaw::Exponential | JitterLaw::ParetoMean => None,
        JitterLaw::LogNormal => Some((0.0, 5.0)),
        JitterLaw::Gamma => Some((0.01, 1_000.0)),
        JitterLaw::Pareto => Some((1.0, 1_000.0)),
    };
    match (takes, net.jitter_shape) {
        (None, Some(_)) => {
            let why = "belongs to the laws log-normal, gamma and pareto";
            return Err(wrong("jitter_shape", why, "leave it out, or set jitter"));
        }
        (Some(_), None) => {
            let why = "is a law that needs jitter_shape";
            let hint = "log-normal: deviation of the logarithm; gamma: shape; pareto: index";
            return Err(wrong("jitter", why, hint));
        }
        (Some((low, high)), Some(shape)) if !(shape > low && shape <= high) => {
            let why = format!("is {shape}");
            let hint = format!("above {low} and at most {high} for this law");
            return Err(wrong("jitter_shape", why, hint));
        }
        _ => {}
    }
    let around = net.jitter == JitterLaw::ParetoMean;
    if let Some(ms) = net.jitter_spread_ms {
        if !around {
            let why = "belongs to the law pareto-mean";
            return Err(wrong(
                "jitter_spread_ms",
                why,
                "leave it out, or set jitter",
            ));
        }
        if !(0.0..1e6).contains(&ms) {
            return Err(wrong(
                "jitter_spread_ms",
                format!("is {ms}"),
                "give milliseconds",
            ));
        }
        if net.jitter_permille != default_jitter() {
            let why = "stands beside jitter_spread_ms";
            return Err(wrong("jitter_permille", why, "leave one of them out"));
        }
    } else if around && net.jitter_permille >= 1_000 {
        let why = format!("is {}: nothing is left as the minimum", net.jitter_permille);
        return Err(wrong("jitter_permille", why, "use less than 1000"));
    }
    Ok(())
}

fn rate(key: &str, mbps: f64) -> Result<(), Wrong> {
    if mbps < 0.0 || !mbps.is_finite() {
        let why = format!("is {mbps}, a negative rate");
        return Err(wrong(key, why, "give Mbit/s, or 0 for unlimited"));
    }
    Ok(())
}

fn rates(net: &NetworkPlan) -> Result<(), Wrong> {
    rate("uplink_mbps", net.uplink_mbps)?;
    rate("downlink_mbps", net.downlink_mbps)?;
    for (key, rates) in [
        ("region_uplink_mbps", &net.region_uplink_mbps),
        ("region_downlink_mbps", &net.region_downlink_mbps),
    ] {
        if !rates.is_empty() && rates.len() != net.regions.len() {
            let why = format!("has {} rates, not {}", rates.len(), net.regions.len());
            return Err(wrong(key, why, "list one for each region"));
        }
        for given in rates {
            match given {
                Rate::One(mbps) => rate(key, *mbps)?,
                Rate::Drawn(list) if list.is_empty() => {
                    return Err(wrong(key, "holds an empty list", "list rates in Mbit/s"));
                }
                Rate::Drawn(list) => list.iter().try_for_each(|mbps| rate(key, *mbps))?,
            }
        }
    }
    Ok(())
}

fn classes(net: &NetworkPlan) -> Result<(), Wrong> {
    let mut taken = vec![false; net.nodes as usize];
    for (i, class) in net.classes.iter().enumerate() {
        let key = |key: &str| format!("classes.{i}.{key}");
        if class.nodes.is_empty() {
            return Err(wrong(&key("nodes"), "is empty", "list nodes by number"));
        }
        for &node in &class.nodes {
            let Some(taken) = taken.get_mut(node as usize) else {
                let hint = format!("nodes are 0 to {}", net.nodes - 1);
                return Err(wrong(&key("nodes"), format!("holds node {node}"), hint));
            };
            if std::mem::replace(taken, true) {
                let why = format!("holds node {node}, which is in a class already");
                return Err(wrong(&key("nodes"), why, "name each node once"));
            }
        }
        if let Some(name) = class.regions.iter().find(|r| !net.regions.contains(r)) {
            let why = format!("names {name:?}, which is none of network.regions");
            return Err(wrong(&key("regions"), why, "name regions of the plan"));
        }
        let rates = class.uplink_mbps.or(class.downlink_mbps);
        if rates.is_none() && class.outbound.is_none() && !class.meshed && class.regions.is_empty()
        {
            let hint = "give regions, uplink_mbps, downlink_mbps, outbound or meshed";
            return Err(wrong(&key("nodes"), "differ in nothing", hint));
        }
        if let Some(mbps) = class.uplink_mbps {
            rate(&key("uplink_mbps"), mbps)?;
        }
        if let Some(mbps) = class.downlink_mbps {
            rate(&key("downlink_mbps"), mbps)?;
        }
        let drawn = matches!(net.kind(), Overlay::Random | Overlay::Degrees);
        let opens = [
            ("outbound", class.outbound.is_some()),
            ("meshed", class.meshed),
        ];
        if let Some((name, _)) = opens.iter().find(|o| o.1 && !drawn) {
            let why = "belongs to an overlay of random connections";
            let hint = "set network.overlay to \"random\" or \"degrees\"";
            return Err(wrong(&key(name), why, hint));
        }
    }
    Ok(())
}

fn tcp(net: &NetworkPlan) -> Result<(), Wrong> {
    if !(0.0..=500.0).contains(&net.loss_permille) {
        let why = format!("is {}", net.loss_permille);
        let hint = "at most 500; use [[faults]] for links that are cut";
        return Err(wrong("loss_permille", why, hint));
    }
    if !(1.0..=1e6).contains(&net.retransmit_ms) {
        let why = format!("is {}", net.retransmit_ms);
        return Err(wrong("retransmit_ms", why, "give milliseconds, at least 1"));
    }
    Ok(())
}

fn overlay(net: &NetworkPlan) -> Result<(), Wrong> {
    let kind = net.kind();
    let given = [
        ("outbound", net.outbound > 0, Overlay::Random),
        (
            "outbound_degrees",
            net.outbound_degrees.is_some(),
            Overlay::Degrees,
        ),
        ("neighbours", net.neighbours.is_some(), Overlay::SmallWorld),
        (
            "rewire_permille",
            net.rewire_permille.is_some(),
            Overlay::SmallWorld,
        ),
        ("hubs", net.hubs.is_some(), Overlay::Star),
    ];
    for (key, is_there, of) in given {
        if is_there && kind != of {
            let why = format!("does not belong to this overlay, but to {}", word(of));
            return Err(wrong(key, why, "leave it out, or set overlay"));
        }
        if !is_there && kind == of {
            let why = format!("is {}, which needs {key}", word(of));
            return Err(wrong("overlay", why, format!("set network.{key}")));
        }
    }
    if net.hub_links.is_some() && kind != Overlay::Star {
        let why = "does not belong to this overlay, but to \"star\"";
        return Err(wrong("hub_links", why, "leave it out, or set overlay"));
    }
    numbers(net)
}

fn word(overlay: Overlay) -> &'static str {
    match overlay {
        Overlay::Mesh => "\"mesh\"",
        Overlay::Random => "\"random\"",
        Overlay::SmallWorld => "\"small-world\"",
        Overlay::Degrees => "\"degrees\"",
        Overlay::Star => "\"star\"",
    }
}

/// The numbers of an overlay.
fn numbers(net: &NetworkPlan) -> Result<(), Wrong> {
    if let Some(given) = &net.outbound_degrees {
        let table = given.cumulative().ok_or_else(|| {
            let names: Vec<&str> = DEGREES.iter().map(|t| t.0).collect();
            let hint = format!("tables: {}; or list thousandths", names.join(", "));
            wrong("outbound_degrees", "names no table", hint)
        })?;
        if !table.is_sorted() || table.last() != Some(&1_000) {
            let why = "falls somewhere, or does not end with 1000";
            let hint = "thousandths of the nodes that open at most 1, 2, … connections";
            return Err(wrong("outbound_degrees", why, hint));
        }
    }
    let least = |value: Option<u32>, least: u32| value.is_none_or(|x| x >= least);
    let ring = |x: u32| x >= 2 && x.is_multiple_of(2);
    for (key, value, sound, hint) in [
        (
            "neighbours",
            net.neighbours,
            net.neighbours.is_none_or(ring),
            "an even number of at least 2",
        ),
        (
            "rewire_permille",
            net.rewire_permille,
            net.rewire_permille.is_none_or(|x| x <= 1_000),
            "thousandths",
        ),
        ("hubs", net.hubs, least(net.hubs, 1), "at least 1"),
        (
            "hub_links",
            net.hub_links,
            least(net.hub_links, 1),
            "at least 1",
        ),
    ] {
        if !sound {
            let why = format!("is {}", value.unwrap_or(0));
            return Err(wrong(key, why, hint));
        }
    }
    match (net.hubs, net.hub_links) {
        (Some(hubs), Some(links)) if links > hubs => {
            let why = format!("is {links} of {hubs} hubs");
            Err(wrong("hub_links", why, "at most as many as there are hubs"))
        }
        (Some(hubs), _) if hubs > net.nodes => {
            let why = format!("is {hubs} of {} nodes", net.nodes);
            Err(wrong("hubs", why, "at most as many as there are nodes"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str) -> NetworkPlan {
        let text = format!("nodes = 20\nregions = [\"europe\", \"japan\"]\n{keys}");
        toml::from_str(&text).expect("a network")
    }

    fn refused(keys: &str) -> String {
        check(&plan(keys)).expect_err("refused").key
    }

    #[test]
    fn shares_are_spread_over_the_nodes() {
        assert_eq!(portions(&[0.5, 0.3, 0.2], 7), [4, 2, 1]);
        assert_eq!(portions(&[1.0, 1.0, 1.0], 7), [3, 2, 2]);
        let turns = in_turns(&[6, 3, 1]);
        for region in 0..3_u8 {
            let count = turns
                .iter()
                .map(|&r| usize::from(r == region))
                .sum::<usize>();
            assert_eq!(count, [6, 3, 1][usize::from(region)]);
        }
        // Of any first k nodes each region has its share, but for less than one node or so.
        for k in 0..=10 {
            let first = turns[..k]
                .iter()
                .map(|&r| f64::from(u8::from(r == 0)))
                .sum::<f64>();
            assert!((first - 0.6 * k as f64).abs() < 1.0, "{turns:?}");
        }
    }

    #[test]
    fn regions_by_turn_by_share_and_by_class() {
        assert_eq!(plan("").region_of()[..4], [0, 1, 0, 1]);
        let count = |plan: &NetworkPlan| {
            plan.region_of()
                .iter()
                .map(|&r| usize::from(r == 1))
                .sum::<usize>()
        };
        assert_eq!(count(&plan("region_shares = [3, 1]")), 5);
        // 0.022 4 of 0.522 2.
        assert_eq!(count(&plan("region_shares = \"published\"")), 1);
        let classes = "[[classes]]\nnodes = [4, 5, 6]\nregions = [\"japan\", \"europe\"]";
        assert_eq!(plan(classes).region_of()[4..7], [1, 0, 1]);
    }

    #[test]
    fn links_by_node() {
        let plan = plan(
            "uplink_mbps = 7\nregion_downlink_mbps = [40, [1, 2, 3]]\n\
             [[classes]]\nnodes = [2]\nuplink_mbps = 100\n",
        );
        let config = plan.config(Tweak::None, Seed::new(1, 0));
        assert_eq!(
            config.uplink_bps[..4],
            [7_000_000, 7_000_000, 100_000_000, 7_000_000]
        );
        assert!(
            config
                .downlink_bps
                .iter()
                .step_by(2)
                .all(|&d| d == 40_000_000)
        );
        let drawn: Vec<u64> = config.downlink_bps.into_iter().skip(1).step_by(2).collect();
        assert!(
            drawn
                .iter()
                .all(|d| [1_000_000, 2_000_000, 3_000_000].contains(d))
        );
        assert!(drawn.iter().any(|d| *d != drawn[0]));
        let twice = plan.config(Tweak::Bandwidth, Seed::new(1, 0));
        assert_eq!(twice.uplink_bps[2], 200_000_000);
        assert_eq!(twice.downlink_bps[1], 2 * drawn[0]);
        assert_eq!(plan.slowest_uplink_bps(Seed::new(1, 0)), Some(7_000_000));
    }

    #[test]
    fn old_plans_keep_their_meaning() {
        let config = plan("outbound = 3").config(Tweak::None, Seed::new(1, 0));
        assert_eq!(config.overlay, OverlayConfig::Random { outbound: 3 });
        assert_eq!(config.jitter, Jitter::Exponential { permille: 50 });
        assert_eq!((config.loss, config.slow_start), (Loss::NONE, None));
        assert!(config.small_skip_downlink && !config.jitter_per_link);
        assert_eq!(
            plan("").config(Tweak::None, Seed::new(1, 0)).overlay,
            OverlayConfig::Mesh
        );
        // What is not set is not written.
        let text = toml::to_string(&plan("")).expect("a table");
        assert_eq!(
            text,
            "nodes = 20\nregions = [\"europe\", \"japan\"]\njitter_permille = 50\n\
             uplink_mbps = 1000.0\ndownlink_mbps = 1000.0\nmtu_bytes = 1500\noutbound = 0\n"
        );
    }

    #[test]
    fn every_key_reaches_the_kernel() {
        let of = |keys: &str| {
            let plan = plan(keys);
            check(&plan).expect("sound");
            plan.config(Tweak::None, Seed::new(1, 0))
        };
        assert_eq!(of("loss_permille = 2.5").loss.ppm, 2_500);
        assert_eq!(of("retransmit_ms = 30").loss.timeout, Span::from_ms(30));
        let idle = of("slow_start = true\nretransmit_ms = 30").slow_start;
        assert_eq!(
            idle.map(|s| (s.initial_packets, s.idle)),
            Some((10, Span::from_ms(30)))
        );
        assert!(!of("queue_small_messages = true").small_skip_downlink);
        assert!(of("jitter_per_link = true").jitter_per_link);
        let table = of("latency_table = \"world-2015\"").one_way;
        assert_eq!(table[0][1], Span::from_ms(266));
        let gamma = of("jitter = \"gamma\"\njitter_shape = 2\njitter_permille = 70").jitter;
        let (permille, shape) = (70, 2.0);
        assert_eq!(gamma, Jitter::Gamma { permille, shape });
        let spread = Span::from_ms(5);
        let around = of("jitter = \"pareto-mean\"\njitter_spread_ms = 5").jitter;
        assert_eq!(around, Jitter::ParetoSpread { spread });
        let star = of("overlay = \"star\"\nhubs = 3\nhub_links = 2").overlay;
        assert_eq!(star, OverlayConfig::Star { hubs: 3, links: 2 });
        let ring = of("overlay = \"small-world\"\nneighbours = 4\nrewire_permille = 10").overlay;
        let (degree, rewire_permille) = (4, 10);
        assert_eq!(
            ring,
            OverlayConfig::SmallWorld {
                degree,
                rewire_permille
            }
        );
        let degrees = of("overlay = \"degrees\"\noutbound_degrees = [0, 500, 1000]\n\
            [[classes]]\nnodes = [1, 2]\noutbound = 9\nmeshed = true");
        let own = vec![(NodeId::new(1), 9), (NodeId::new(2), 9)];
        let meshed = vec![NodeId::new(1), NodeId::new(2)];
        let cumulative_permille = vec![0, 500, 1_000];
        assert_eq!(
            degrees.overlay,
            OverlayConfig::Degrees {
                cumulative_permille,
                own,
                meshed
            }
        );
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        for (keys, key) in [
            ("latency_table = \"moon\"", "latency_table"),
            ("latency_table = \"cloud-2017\"", "regions"),
            (
                "latency_table = \"world-2015\"\none_way_ms = 3",
                "latency_table",
            ),
            ("region_shares = [1]", "region_shares"),
            ("region_shares = [1, -1]", "region_shares"),
            (
                "region_shares = \"published\"\none_way_ms = 3",
                "region_shares",
            ),
            ("jitter = \"gamma\"", "jitter"),
            ("jitter_shape = 2", "jitter_shape"),
            ("jitter = \"pareto\"\njitter_shape = 1", "jitter_shape"),
            ("jitter_spread_ms = 2", "jitter_spread_ms"),
            (
                "jitter = \"pareto-mean\"\njitter_spread_ms = 5\njitter_permille = 20",
                "jitter_permille",
            ),
            (
                "jitter = \"pareto-mean\"\njitter_permille = 1000",
                "jitter_permille",
            ),
            ("region_uplink_mbps = [1]", "region_uplink_mbps"),
            ("region_downlink_mbps = [1, []]", "region_downlink_mbps"),
            ("[[classes]]\nnodes = [20]", "classes.0.nodes"),
            ("[[classes]]\nnodes = [2, 2]", "classes.0.nodes"),
            ("[[classes]]\nnodes = [2]", "classes.0.nodes"),
            (
                "[[classes]]\nnodes = [2]\nregions = [\"mars\"]",
                "classes.0.regions",
            ),
            (
                "[[classes]]\nnodes = [2]\nuplink_mbps = -1",
                "classes.0.uplink_mbps",
            ),
            (
                "[[classes]]\nnodes = [2]\noutbound = 3",
                "classes.0.outbound",
            ),
            (
                "[[classes]]\nnodes = [2]\nmeshed = true",
                "classes.0.meshed",
            ),
            ("loss_permille = 501", "loss_permille"),
            ("retransmit_ms = 0", "retransmit_ms"),
            ("overlay = \"mesh\"\noutbound = 3", "outbound"),
            ("overlay = \"random\"", "overlay"),
            ("overlay = \"star\"", "overlay"),
            ("overlay = \"star\"\nhubs = 21", "hubs"),
            ("overlay = \"star\"\nhubs = 2\nhub_links = 3", "hub_links"),
            ("hub_links = 1", "hub_links"),
            (
                "overlay = \"small-world\"\nneighbours = 3\nrewire_permille = 0",
                "neighbours",
            ),
            (
                "overlay = \"degrees\"\noutbound_degrees = [10, 900]",
                "outbound_degrees",
            ),
            (
                "overlay = \"degrees\"\noutbound_degrees = \"x\"",
                "outbound_degrees",
            ),
        ] {
            assert_eq!(refused(keys), key, "{keys}");
        }
    }
}
