//! The engine `anchor`: a local ledger of the hospitals, and a public chain that vouches for it.
//!
//! source: Nakamoto 2008, §8 (headers and a Merkle path prove a payment to who runs no node); RFC 6962,
//! §2 (the tree). The two chains are engines of the registry, simulated whole and together.
//!
//! - Every Δ one of the gateways puts the Merkle root over what its local ledger has committed since the
//!   last root into a transaction of the public chain, which bids a fee level like any other.
//! - A transaction is *included* when it is in a local block, *safe* when the local ledger commits it
//!   (or has it under the depth of the local engine's risk), and *final* at a site when the site knows
//!   that a root over it is final on the public chain, see [`tier`].
//! - Public blocks are filled by other people's transactions: Poisson arrivals at all public nodes, as
//!   many as take the share `occupancy` of the blocks' space, each with a fee level drawn by
//!   `fee_shares`. They are simulated one by one; the queue of the mempool follows from them.
//! - Between safe and final lies the *loss window*: who controls the local ledger may rewrite it. Its
//!   distribution is measured for each transaction at its own site.
//!
//! Deviations:
//! - One transaction of the workload is one leaf. What a site needs to prove its own transaction to
//!   somebody else later (a path of `log2` of the leaves) is not sent.
//! - The public chain is free of faults, and its clients' full nodes are always up. The plan's faults cut
//!   links between sites, not the link to a full node; who is down hears nothing.
//! - Hashing a tree delays its root and occupies no core.
//! - Levels of fees stand for fees. A bid is never raised.
//! - The workload ends with the measured span: what follows changes nothing of what is measured, but a
//!   run waits hours for its last root.
//!
//! Finality: that of the public chain, against an adversary of its own (`adversary_share`), at the
//! plan's risk. The safety checker holds the local commits against each other.
//!
//! Messages: the local ledger's; n − 1 Root messages a root, and where a gateway tells them n − 1 Final
//! messages for each gateway.

pub mod figures;
pub mod public;
pub mod tier;

use crate::analysis;
use crate::engines::{self, AnyEngine, Lower};
use crate::network::{self, NetworkPlan};
use crate::plan::Plan;
use crate::tune;
use crate::unit::{EngineSheet, Tweak};
use public::Exchange;
use quorate_core::{
    Adversary, Agreement, Arrival, Committee, Domain, Electorate, Facts, Family, Finality,
    Guarantee, Invalid, Ledger, Load, NodeId, Outcome, Promises, Seed, Span, Standing, Time, Wait,
    hash,
};
use quorate_kernel::{Anchoring, Report, Run, Setup, Status, Unit};
use serde::{Deserialize, Serialize};
use tier::{Clients, Rules};

/// Settings of the two tiers. Tables that a plan gives replace those of the preset, but for
/// `chain_network`, which is overridden key by key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The engine of the local ledger.
    pub local: String,
    /// Its settings.
    pub local_config: toml::Table,
    /// Δ: time between two roots, s.
    pub anchor_every_s: f64,
    /// The first so many nodes publish roots, in turns: without one of them every so-manieth root is
    /// missing.
    pub gateways: u32,
    /// Who tells a site that a root is final.
    pub clients: Clients,
    /// One way between a client of the public chain and its full node there, ms.
    pub link_ms: f64,
    /// The engine of the public chain.
    pub chain: String,
    /// Its settings.
    pub chain_config: toml::Table,
    /// Its network, with the keys of a plan's `[network]`.
    pub chain_network: NetworkPlan,
    /// Share of the public chain's work or stake that its adversary has.
    pub adversary_share: f64,
    /// How long before the local ledger the public chain begins, s: until its queues are as long as
    /// they always are.
    pub lead_s: f64,
    /// Share of the public blocks' space that other people's transactions ask for.
    pub occupancy: f64,
    /// Bytes of one of these.
    pub tx_bytes: u16,
    /// Execution of one of these, µs, where the chain's blocks are limited by it.
    pub tx_exec_us: u16,
    /// How many of them bid each fee level, lowest first, in any unit.
    pub fee_shares: Vec<f64>,
    /// What the levels pay, in the chain's smallest unit for a unit of weight.
    pub fees: Vec<f64>,
    /// The level that a root bids.
    pub bid: u8,
    /// Bytes of a root's transaction.
    pub root_bytes: u16,
    /// Execution of it, µs.
    pub root_exec_us: u16,
    /// What its fee is charged for: bytes or gas.
    pub root_weight: u64,
    /// How many of the chain's smallest unit its native unit has.
    pub coin: u64,
    /// Bytes of a public header.
    pub header_bytes: u64,
    /// Checking one, µs.
    pub header_check_us: f64,
}

/// The presets: which public chain.
const PRESETS: [&str; 3] = ["bitcoin", "ethereum-pos", "cardano"];
/// Most fee levels. assumption: wallets offer three or four.
const MOST_LEVELS: usize = 8;

fn table(entries: &[(&str, &str)]) -> toml::Table {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).into());
    entries.iter().map(pair).collect()
}

/// A modest public network: SimBlock's six regions with their measured latencies and shares.
// assumption: 24 nodes instead of tens of thousands. Hops matter little against a block's interval.
const NETWORK: &str = r#"
nodes = 24
regions = ["north-america", "europe", "south-america", "asia-pacific", "japan", "australia"]
latency_table = "world-2019"
region_shares = "published"
# source: SimBlock's regions have 4.7 to 55 Mbit/s up and 18 to 52 down; assumption: one rate in between.
uplink_mbps = 20.0
downlink_mbps = 50.0
# source: bitcoin/bitcoin `net.h`: 8 full-relay outbound connections.
outbound = 8
"#;

impl Config {
    fn preset(name: &str) -> Option<Self> {
        let bitcoin = Self {
            // assumption: what consortia deploy to order transactions; it bears crashes only, which is
            // what the anchor is for.
            local: "raft".to_owned(),
            local_config: toml::Table::new(),
            // assumption: a root for each block of the default chain.
            anchor_every_s: 600.0,
            // assumption: two, so that one may fail.
            gateways: 2,
            clients: Clients::Gateway,
            // assumption: a full node in the same country.
            link_ms: 20.0,
            chain: "nakamoto".to_owned(),
            chain_config: table(&[("preset", "pools-2025")]),
            chain_network: toml::from_str(NETWORK).expect("the network is well-formed"),
            // source: Nakamoto 2008, §11, the example of 10 %.
            adversary_share: 0.1,
            // assumption: 144 mean intervals; at 0.9 the mean queue is reached in some tens.
            lead_s: 86_400.0,
            // source: the design of the default comparison.
            occupancy: 0.9,
            // assumption: one input and two outputs, 226 bytes, some with more.
            tx_bytes: 250,
            tx_exec_us: 0,
            // assumption: four levels as wallets offer them (economy, low, medium, high), fewer who pay
            // more, in satoshi a byte.
            fee_shares: vec![0.4, 0.3, 0.2, 0.1],
            fees: vec![1.0, 3.0, 10.0, 30.0],
            bid: 2,
            // assumption: one input, change, and an output that carries the root.
            root_bytes: 200,
            root_exec_us: 0,
            root_weight: 200,
            coin: 100_000_000,
            // source: bitcoin/bips BIP 130: 80 bytes; assumption: two hashes of it.
            header_bytes: 80,
            header_check_us: 1.0,
        };
        match name {
            "bitcoin" => Some(bitcoin),
            "ethereum-pos" => Some(Self {
                chain: "gasper".to_owned(),
                chain_config: table(&[("preset", "ethereum-pos")]),
                // assumption: about an epoch of 32 slots of 12 s; a prime number of seconds, so that roots
                // meet every place of slots and epochs.
                anchor_every_s: 383.0,
                // assumption: several epochs; full blocks follow each other every slot.
                lead_s: 3_600.0,
                // assumption: as above, in gwei a unit of gas: what is burnt and the tip.
                fees: vec![1.0, 1.5, 3.0, 10.0],
                tx_bytes: 200,
                root_bytes: 150,
                // source: EIP-7623: 21,000 and 40 for each of 32 bytes of data.
                root_weight: 22_280,
                coin: 1_000_000_000,
                // assumption: a light-client update with header, bits and signature; checking the
                // aggregate of up to 512 keys takes a millisecond and a half.
                header_bytes: 700,
                header_check_us: 1_500.0,
                ..bitcoin
            }),
            "cardano" => Some(Self {
                chain: "praos".to_owned(),
                chain_config: toml::Table::new(),
                // assumption: fifteen mean intervals of 20 s.
                anchor_every_s: 300.0,
                lead_s: 7_200.0,
                // source: Cardano protocol parameters: 155,381 lovelace a transaction and 44 a byte;
                // no fee market. The root's weight makes it one rate.
                fee_shares: vec![1.0],
                fees: vec![44.0],
                bid: 0,
                tx_bytes: 500,
                root_bytes: 300,
                root_weight: 300 + 155_381 / 44,
                coin: 1_000_000,
                // assumption: body of a header with two VRF proofs, a KES signature and a certificate.
                header_bytes: 900,
                header_check_us: 500.0,
                ..bitcoin
            }),
            _ => None,
        }
    }

    /// Reads a plan's table.
    ///
    /// # Errors
    /// An unknown preset or key, or a value of the wrong type.
    pub fn read(given: &toml::Table) -> Result<Self, String> {
        let name = match given.get("preset") {
            None => PRESETS[0],
            Some(name) => name.as_str().ok_or("preset is a name")?,
        };
        let base = Self::preset(name)
            .ok_or_else(|| format!("unknown preset `{name}`, expected one of {PRESETS:?}"))?;
        let mut merged = base.table();
        for (key, tier) in [("chain", "chain_config"), ("local", "local_config")] {
            // Another engine has other settings.
            if given.contains_key(key) {
                merged.insert(tier.to_owned(), toml::Table::new().into());
            }
        }
        for (key, value) in given.iter().filter(|(key, _)| *key != "preset") {
            match (merged.get_mut(key), value) {
                (Some(toml::Value::Table(old)), toml::Value::Table(new))
                    if key == "chain_network" =>
                {
                    old.extend(new.clone());
                }
                _ => {
                    merged.insert(key.clone(), value.clone());
                }
            }
        }
        let one_line = |e: &toml::de::Error| e.message().lines().collect::<Vec<_>>().join(" ");
        Self::deserialize(merged).map_err(|e| one_line(&e))
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("a configuration is a table")
    }

    fn lower(&self) -> &'static dyn AnyEngine {
        engines::find(&self.local).expect("the plan was checked")
    }

    fn upper(&self) -> &'static dyn AnyEngine {
        engines::find(&self.chain).expect("the plan was checked")
    }

    fn every(&self) -> Span {
        Span::from_s_f64(self.anchor_every_s)
    }

    /// The mean time between public blocks.
    fn interval(&self) -> Span {
        let promises = self
            .upper()
            .promises(&self.chain_config, self.chain_network.nodes);
        promises.interval
    }

    /// Other people's transactions a second.
    fn others_per_s(&self) -> f64 {
        let resolved = self.upper().resolved(&self.chain_config);
        let (bytes, exec_s) = (f64::from(self.tx_bytes), f64::from(self.tx_exec_us) / 1e6);
        let room = analysis::block_txs(&resolved, bytes, exec_s);
        self.occupancy * room / self.interval().as_s()
    }

    /// The public chain's adversary, at the risks of the plan's.
    fn adversary(&self, plan: &Adversary) -> Adversary {
        let network = self.chain_network.config(Tweak::None, Seed::new(0, 0));
        let mean = network.mean_latency();
        Adversary {
            share: self.adversary_share,
            delay: mean.scale(1_000 + u64::from(network.jitter.permille()), 1_000),
            ..*plan
        }
    }

    /// How public blocks become final, at the risks of the plan's adversary.
    ///
    /// # Errors
    /// Why they never do.
    pub fn upper_finality(&self, plan: &Adversary) -> Result<Finality, String> {
        let adversary = self.adversary(plan);
        let finality = self.upper().finality(&self.chain_config, &adversary);
        finality.map_err(|why| format!("on the public chain {why}"))
    }

    fn rules(&self, local: Finality) -> Rules {
        let resolved = self.upper().resolved(&self.chain_config);
        let (bytes, exec_s) = (f64::from(self.tx_bytes), f64::from(self.tx_exec_us) / 1e6);
        let leaves = analysis::block_txs(&resolved, bytes, exec_s);
        // A root's path has a hash for each level of its block's tree.
        let path = (1_u64..64).find(|&level| (1_u64 << level) as f64 >= leaves);
        let path = path.unwrap_or(64);
        let headers = (self.anchor_every_s / self.interval().as_s()).max(1.0) as u64;
        // source: SHA-256, 32 bytes.
        let proof_bytes = match self.clients {
            Clients::Gateway => 32,
            Clients::LightClient => {
                self.header_bytes * headers + 32 * path + u64::from(self.root_bytes)
            }
        };
        let check_ns = (self.header_check_us * 1e3) as u64 * headers;
        Rules {
            every_ns: self.every().ns(),
            gateways: self.gateways,
            clients: self.clients,
            depth: match local {
                Finality::Depth { fin, .. } => fin,
                Finality::Commit | Finality::Conditional => 0,
            },
            proof_bytes,
            proof_check_ns: match self.clients {
                // Its own full node says so.
                Clients::Gateway => 0,
                Clients::LightClient => check_ns,
            },
        }
    }

    /// How long a run waits at least for the last root: many times what it takes in the mean.
    fn patience(&self, upper: Finality) -> Span {
        let blocks = match upper {
            Finality::Depth { fin, .. } => u64::from(fin),
            // assumption: Ethereum's two epochs are the longest that a chain takes to commit.
            Finality::Commit | Finality::Conditional => 64,
        };
        // assumption: fourfold, which also lets a low bid wait for tens of blocks.
        self.every() * (2 * u64::from(self.gateways)) + self.interval() * (4 * (blocks + 8))
    }

    fn check(&self, plan: &Plan) -> Result<(), Invalid> {
        let n = plan.network.nodes;
        for (key, name) in [("local", &self.local), ("chain", &self.chain)] {
            if name == NAME || engines::find(name).is_none() {
                return refuse(
                    key,
                    format!("is {name:?}, which is no ledger"),
                    "`quorate list engines` names them",
                );
            }
        }
        nested("local_config", self.lower().check(plan, &self.local_config))?;
        network::check(&self.chain_network).map_err(|w| Invalid {
            key: "chain_network",
            why: format!("is wrong: {} {}", w.key, w.why),
            hint: w.hint,
        })?;
        let public = Plan {
            network: self.chain_network.clone(),
            adversary: crate::plan::AdversaryPlan {
                corrupt: Some(0),
                ..plan.adversary.clone()
            },
            ..plan.clone()
        };
        nested(
            "chain_config",
            self.upper().check(&public, &self.chain_config),
        )?;
        self.check_times(n)?;
        self.check_market()
    }

    fn check_times(&self, nodes: u32) -> Result<(), Invalid> {
        if !(1.0..=1e7).contains(&self.anchor_every_s) {
            let why = format!(
                "{} s is not between a second and a hundred days",
                self.anchor_every_s
            );
            return refuse(
                "anchor_every_s",
                why,
                "600 is one public block of the default",
            );
        }
        if self.gateways == 0 || self.gateways > nodes {
            let why = format!("{} of {nodes} nodes", self.gateways);
            return refuse("gateways", why, "name at least one and at most all nodes");
        }
        for (key, value, most) in [
            ("link_ms", self.link_ms, 1e9),
            ("lead_s", self.lead_s, 1e9),
            ("header_check_us", self.header_check_us, 1e9),
        ] {
            if !(0.0..=most).contains(&value) {
                return refuse(key, format!("is {value}"), "give a time of at least 0");
            }
        }
        if !(0.0..0.5).contains(&self.adversary_share) {
            let why = format!("{} is not a share below one half", self.adversary_share);
            return refuse("adversary_share", why, "0.1 is the default");
        }
        Ok(())
    }

    fn check_market(&self) -> Result<(), Invalid> {
        let levels = self.fee_shares.len();
        if !(1..=MOST_LEVELS).contains(&levels) || self.fees.len() != levels {
            let why = format!("{levels} shares for {} fees", self.fees.len());
            return refuse(
                "fee_shares",
                why,
                "give one to eight of each, as many of both",
            );
        }
        let numbers = |list: &[f64]| list.iter().all(|x| x.is_finite() && *x >= 0.0);
        if !numbers(&self.fee_shares)
            || !numbers(&self.fees)
            || self.fee_shares.iter().sum::<f64>() <= 0.0
        {
            let why = "are not numbers of at least 0, some of them positive".to_owned();
            return refuse("fee_shares", why, "leave out levels that nobody bids");
        }
        if usize::from(self.bid) >= levels {
            let why = format!("is {}, above the highest of {levels} levels", self.bid);
            return refuse("bid", why, "levels count from 0");
        }
        if !(0.0..=10.0).contains(&self.occupancy) {
            let why = format!("{} is no share of the blocks", self.occupancy);
            return refuse("occupancy", why, "0.9 is the default");
        }
        if self.tx_bytes == 0 || self.root_bytes == 0 || self.coin == 0 {
            let why = "0 bytes, or a coin of nothing".to_owned();
            return refuse("tx_bytes", why, "set tx_bytes, root_bytes and coin");
        }
        if !self.others_per_s().is_finite() {
            let why = format!(
                "no limit of {}'s blocks applies, so that no share of them is known",
                self.chain
            );
            return refuse(
                "occupancy",
                why,
                "set a limit in chain_config, or tx_exec_us for one by execution",
            );
        }
        Ok(())
    }
}

fn refuse(key: &'static str, why: String, hint: &str) -> Result<(), Invalid> {
    let hint = hint.to_owned();
    Err(Invalid { key, why, hint })
}

/// What is wrong within a table of one of the tiers.
fn nested(key: &'static str, result: Result<(), Invalid>) -> Result<(), Invalid> {
    result.map_err(|inner| Invalid {
        key,
        why: format!("is wrong: {} {}", inner.key, inner.why),
        hint: inner.hint,
    })
}

/// The name in plans.
pub const NAME: &str = "anchor";

/// The engine.
pub struct Anchor;

impl Anchor {
    fn config(config: &toml::Table) -> Config {
        Config::read(config).expect("the plan was checked")
    }
}

impl AnyEngine for Anchor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "A local ledger whose Merkle roots go on a public chain: final when the root is."
    }

    fn facts(&self) -> Facts {
        Facts {
            family: Family::Work,
            electorate: Electorate::Work,
            agreement: Agreement::LongestChain,
            standing: Standing::Deployable,
            final_holds_if: "the public chain's finality holds; until a root is final, the local \
                             operators must not collude",
            guarantee: Guarantee::Risk,
            bound: "the public chain's; until a root is final the local ledger's",
            quorum: "the local ledger's, and a gateway",
            messages: "the local ledger's; (1 + gateways)(n−1) a root",
            latency: "Δ/2 + inclusion + the public chain's finality",
            finality: "when a root over it is final on the public chain",
            source: "Nakamoto 2008 §8; RFC 6962 §2",
        }
    }

    fn presets(&self) -> &'static [&'static str] {
        &PRESETS
    }

    fn resolved(&self, config: &toml::Table) -> toml::Table {
        let mut config = Self::config(config);
        config.local_config = config.lower().resolved(&config.local_config);
        config.chain_config = config.upper().resolved(&config.chain_config);
        config.table()
    }

    fn check(&self, plan: &Plan, config: &toml::Table) -> Result<(), Invalid> {
        let config = Config::read(config).map_err(|why| Invalid {
            key: "",
            why: format!("is wrong: {why}"),
            hint: "`quorate list engines` shows the keys of anchor with their defaults".to_owned(),
        })?;
        config.check(plan)
    }

    fn sheet(&self, plan: &Plan, table: &toml::Table) -> EngineSheet {
        let config = Self::config(table);
        let local = config.lower().sheet(plan, &config.local_config);
        let upper = config.upper_finality(&local.adversary);
        let chain = config.upper().facts();
        EngineSheet {
            facts: Facts {
                family: chain.family,
                electorate: chain.electorate,
                agreement: chain.agreement,
                guarantee: chain.guarantee,
                ..self.facts()
            },
            promises: Promises {
                crashed: local.promises.crashed.min(config.gateways - 1),
                ..local.promises
            },
            finality: upper.and(local.finality.map(|f| match f {
                Finality::Commit => Finality::Commit,
                Finality::Conditional | Finality::Depth { .. } => Finality::Conditional,
            })),
            resolved: self.resolved(table),
            ..local
        }
    }

    fn reads(&self, table: &toml::Table) -> Result<(), String> {
        let read = Config::deserialize(table.clone());
        read.map(drop).map_err(|e| e.message().to_owned())
    }

    fn promises(&self, config: &toml::Table, nodes: u32) -> Promises {
        let config = Self::config(config);
        config.lower().promises(&config.local_config, nodes)
    }

    fn builders(&self, config: &toml::Table) -> Family {
        let config = Self::config(config);
        config.lower().builders(&config.local_config)
    }

    fn committee(&self, config: &toml::Table, nodes: u32) -> Committee {
        let config = Self::config(config);
        config.lower().committee(&config.local_config, nodes)
    }

    fn finality(&self, config: &toml::Table, adversary: &Adversary) -> Result<Finality, String> {
        let config = Self::config(config);
        config.upper_finality(adversary)?;
        config.lower().finality(&config.local_config, adversary)
    }

    /// Until a root over the transaction is on the public chain, which takes Δ and a public block at
    /// worst and in the mean, who controls the local ledger reverses it at will; then the public chain
    /// must be reversed as well, by the adversary that it has itself.
    fn reversal_risk(&self, config: &toml::Table, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        let config = Self::config(config);
        let lower = config.lower();
        let local = lower.reversal_risk(&config.local_config, nodes, corrupt, wait);
        let anchored = config.every() + config.interval();
        if wait.waited < anchored {
            return local;
        }
        let public = config.chain_network.nodes;
        // Rounded up: the figure counts organisations.
        let against = (config.adversary_share * f64::from(public)).ceil() as u32;
        let since = Wait {
            waited: wait.waited.saturating_sub(anchored),
            delay: config.adversary(&NO_ADVERSARY).delay,
        };
        let upper = config.upper();
        local.min(upper.reversal_risk(&config.chain_config, public, against, &since))
    }

    /// The public chain is not the architect's to change: what is better is the local ledger, and Δ.
    fn tweaked(&self, table: &toml::Table, tweak: Tweak) -> toml::Table {
        let mut config = Self::config(table);
        match tweak {
            Tweak::Interval => config.anchor_every_s /= 2.0,
            Tweak::Tuned(step) => config.anchor_every_s *= tune::factor(step),
            _ => {}
        }
        config.local_config = config.lower().tweaked(&config.local_config, tweak);
        config.table()
    }

    fn run(
        &self,
        config: &toml::Table,
        adversary: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        rules: (&dyn Ledger, Option<Box<dyn Domain>>),
    ) -> Report {
        Self::config(config).run(adversary, setup, load, rules)
    }

    fn leader_at(
        &self,
        config: &toml::Table,
        adversary: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        ledger: &dyn Ledger,
        at: Time,
    ) -> Option<NodeId> {
        let config = Self::config(config);
        let (mut exchange, unit) = config.coupled(adversary, setup, load, (ledger, None));
        unit.leader_at(&mut exchange, at)
    }

    fn open<'a>(
        &self,
        _: &toml::Table,
        _: Setup,
        _: Box<dyn Load + 'a>,
        _: &'a dyn Ledger,
    ) -> Box<dyn Run + 'a> {
        unreachable!("the plan was checked: an anchor is two ledgers already")
    }

    fn lower<'a>(&self, _: &toml::Table, _: Lower<'a>) -> Box<dyn Run + 'a> {
        unreachable!("the plan was checked: a tier is no anchor")
    }

    fn upper(&self, _: &toml::Table, _: Setup, _: Box<dyn Load>, _: &[u32]) -> Box<dyn Run> {
        unreachable!("the plan was checked: a tier is no anchor")
    }
}

/// Only the delay is wanted.
const NO_ADVERSARY: Adversary = Adversary {
    share: 0.0,
    risk: 0.0,
    safe_risk: 0.0,
    delay: Span::ZERO,
};

impl Config {
    /// The two ledgers, and what carries between them.
    fn coupled<'a>(
        &self,
        plan: &Adversary,
        mut setup: Setup,
        load: Box<dyn Load + 'a>,
        (ledger, domain): (&'a dyn Ledger, Option<Box<dyn Domain>>),
    ) -> (Exchange, Unit<'a>) {
        let sound = "an engine without finality is not run";
        let upper = self.upper_finality(plan).expect(sound);
        let local = self
            .lower()
            .finality(&self.local_config, plan)
            .expect(sound);
        setup.drain = setup.drain.max(self.patience(upper));
        let horizon = setup.horizon;
        let exchange = Exchange::new(self, setup.network.region_of.len() as u32, horizon);
        let chain = public::chain(self, &exchange, &setup, upper);
        let lower = Lower {
            rules: self.rules(local),
            setup,
            load: Box::new(Until { load, horizon }),
            ledger,
            domain,
        };
        let local = self.lower().lower(&self.local_config, lower);
        let lead = exchange.lead();
        let unit = Unit::staggered(vec![(lead, local), (Span::ZERO, chain)]);
        (exchange, unit)
    }

    fn run(
        &self,
        plan: &Adversary,
        setup: Setup,
        load: Box<dyn Load>,
        rules: (&dyn Ledger, Option<Box<dyn Domain>>),
    ) -> Report {
        let (mut exchange, unit) = self.coupled(plan, setup, load, rules);
        let lead = exchange.lead();
        let mut reports = unit.run_coupled(&mut exchange);
        let chain = reports.pop().expect("two ledgers");
        let mut report = reports.pop().expect("two ledgers");
        report.digest = hash::fold(report.digest, chain.digest);
        report.events += chain.events;
        match chain.status {
            Status::SafetyViolation => {
                report.status = Status::SafetyViolation;
                let why = chain.violation.clone().unwrap_or_default();
                report.violation = Some(format!("on the public chain, {why}"));
            }
            Status::Saturated | Status::Limit if report.status == Status::Ok => {
                report.status = Status::Limit;
            }
            _ => {}
        }
        report.anchoring = Some(Box::new(Anchoring {
            chain,
            lead,
            roots: exchange.roots().0,
            until: exchange.roots().1,
            class: self.fee_shares.len(),
            fee: (self.fees[usize::from(self.bid)] * self.root_weight as f64).round() as u64,
            coin: self.coin,
        }));
        report
    }
}

/// A load that ends with the measured span.
struct Until<'a> {
    load: Box<dyn Load + 'a>,
    horizon: Time,
}

impl Load for Until<'_> {
    fn classes(&self) -> &[quorate_core::Class] {
        self.load.classes()
    }

    fn sites(&self) -> u32 {
        self.load.sites()
    }

    fn next(&mut self) -> Option<Arrival> {
        self.load.next().filter(|a| a.at < self.horizon)
    }

    fn deadlines(&self) -> &[quorate_core::ClassId] {
        self.load.deadlines()
    }

    fn deadline(&self, tx: &Arrival) -> Option<Time> {
        self.load.deadline(tx)
    }

    fn reacts(&self) -> bool {
        self.load.reacts()
    }

    fn react(&mut self, outcome: &Outcome, arrivals: &mut Vec<Arrival>) {
        self.load.react(outcome, arrivals);
    }

    fn reversed(&mut self, tx: &Arrival, now: Time) {
        self.load.reversed(tx, now);
    }
}
