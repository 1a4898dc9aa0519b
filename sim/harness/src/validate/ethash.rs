//! Ethereum under proof of work: what the difficulty settles at, uncles and what they earn.

use super::logged::{self, Note, Reader, What};
use super::work::{at_least, lasting, seed};
use super::world::{World, quantile};
use super::{Check, Family, Params, shared};
use crate::places;
use quorate_consensus::Presets;
use quorate_consensus::ethash::{
    BASE_REWARD, Config, DifficultyRule, Ethash, Header, RelayRule, rewards,
};
use quorate_core::{Block, BlockId, BlockKey, Blocks, Engine, NodeId, Span, Time};
use quorate_kernel::{NetworkConfig, OverlayConfig};
use std::sync::Arc;

/// Difficulty and uncles.
pub const FAMILY: Family = Family {
    name: "ethash",
    known: include_str!("known/ethash.csv"),
    checks: &[
        Check {
            name: "settled_interval",
            run: |params| Ok(settled(params)?.mean),
        },
        Check {
            name: "settled_median",
            run: |params| Ok(settled(params)?.median),
        },
        Check {
            name: "settled_interval_with_uncles",
            run: settled_interval_with_uncles,
        },
        Check {
            name: "uncle_reward",
            run: uncle_reward,
        },
        Check {
            name: "nephew_reward",
            run: nephew_reward,
        },
        Check {
            name: "uncle_rate",
            run: uncle_rate,
        },
    ],
};

/// How many uncles a block names, and its timestamp in ns above that.
struct Uncles;

/// Bits of the count.
const COUNT_BITS: u32 = 2;

impl Reader<Ethash> for Uncles {
    fn word(block: &Block<Header>) -> Option<u64> {
        let header = &block.header;
        Some(header.time.ns() << COUNT_BITS | header.named().count() as u64)
    }
}

fn uncles(note: &Note) -> u64 {
    note.word & ((1 << COUNT_BITS) - 1)
}

fn timestamp(note: &Note) -> Time {
    Time::from_ns(note.word >> COUNT_BITS)
}

/// The blocks of the chain that node 0 ends up with, lowest first.
fn chain(log: &[Note]) -> Vec<Note> {
    // Blocks are numbered from 1 in the order of building.
    let built: Vec<&Note> = log.iter().filter(|n| n.what == What::Built).collect();
    let adopted = |n: &&Note| n.what == What::Adopted && n.node.get() == 0;
    let mut at = log.iter().rfind(adopted).map(|n| n.block);
    let mut chain = Vec::new();
    while let Some(note) = at.filter(|b| b.get() > 0).map(|b| built[b.index() - 1]) {
        chain.push(*note);
        at = note.parent;
    }
    chain.reverse();
    chain
}

fn rule(params: &Params) -> Result<DifficultyRule, String> {
    match params.text("rule")? {
        "frontier" => Ok(DifficultyRule::Frontier),
        "homestead" => Ok(DifficultyRule::Homestead),
        "byzantium" => Ok(DifficultyRule::Byzantium),
        other => Err(format!(
            "`rule = {other}` is no rule by which difficulty follows"
        )),
    }
}

/// From a guess at the interval; everything else is the main network's.
fn config(rule: DifficultyRule, whole_seconds: bool) -> Config {
    Config {
        block_interval_s: 14.0,
        difficulty: rule,
        whole_second_timestamps: whole_seconds,
        relay: RelayRule::Direct,
        ..Config::default()
    }
}

/// Blocks, of ten, that are measured; those before are for the difficulty to settle.
const KEPT: (usize, usize) = (9, 10);

fn late(chain: &[Note]) -> &[Note] {
    &chain[chain.len() * (KEPT.1 - KEPT.0) / KEPT.1..]
}

/// Mean time between blocks, s.
fn mean_interval(chain: &[Note]) -> f64 {
    match chain {
        [first, .., last] => last.at.since(first.at).as_s() / (chain.len() - 1) as f64,
        _ => f64::NAN,
    }
}

/// Intervals once the difficulty has settled, s.
struct Settled {
    mean: f64,
    /// Between timestamps.
    median: f64,
}

/// One miner under `rule`, with `whole_seconds` or without, for so long that `blocks` are measured.
fn settled(params: &Params) -> Result<Arc<Settled>, String> {
    let rule = rule(params)?;
    let whole: bool = params.number("whole_seconds")?;
    let (blocks, seed) = (at_least(params, "blocks", 100)?, seed(params)?);
    let key = format!("{rule:?} {whole} {blocks} {seed}");
    Ok(shared("ethash.settled", &key, || {
        let config = config(rule, whole);
        let total = blocks * KEPT.1 as u64 / KEPT.0 as u64;
        let interval = Ethash::promises(&config, 1).interval.as_s();
        let world = World::new(1, Span::ZERO, lasting(total, interval));
        let world = world.depth(1, 100).seed(seed);
        let (_, log) = logged::run::<Ethash, Uncles>(&world, &config);
        let chain = chain(&log);
        let kept = late(&chain);
        let gaps = kept.windows(2);
        let gaps = gaps.map(|w| timestamp(&w[1]).since(timestamp(&w[0])).as_s());
        let mut gaps: Vec<f64> = gaps.collect();
        gaps.sort_by(f64::total_cmp);
        Settled {
            mean: mean_interval(kept),
            median: quantile(&gaps, 0.5),
        }
    }))
}

/// How long a block takes to the miner whose blocks are uncles, in intervals: it builds so far below the
/// head that it loses, and not so far that nobody may name it.
const BEHIND: f64 = 3.3;

/// The same where a share `uncles` of the blocks has uncles, which a second miner finds who hears of
/// everything late. Its share of the work follows from a few runs.
fn settled_interval_with_uncles(params: &Params) -> Result<f64, String> {
    let rule = rule(params)?;
    let whole: bool = params.number("whole_seconds")?;
    let (wanted, blocks) = (params.f64("uncles")?, at_least(params, "blocks", 10_000)?);
    let seed = seed(params)?;
    if !(0.01..=0.2).contains(&wanted) {
        return Err(format!("`uncles = {wanted}` is not between 0.01 and 0.2"));
    }
    let mut share = wanted;
    for _ in 0..6 {
        let config = Config {
            hash_shares: vec![1.0 - share, share],
            ..config(rule, whole)
        };
        let total = blocks * KEPT.1 as u64 / KEPT.0 as u64;
        let interval = Ethash::promises(&config, 2).interval.as_s();
        let behind = Span::from_s_f64(BEHIND * interval);
        let mut world = World::new(2, Span::ZERO, lasting(total, interval));
        let one_way = vec![vec![Span::ZERO, behind], vec![Span::ZERO; 2]];
        world.setup.network = NetworkConfig::alike(vec![0, 1], one_way, 0, 0);
        let world = world.depth(1, 100).seed(seed);
        let (_, log) = logged::run::<Ethash, Uncles>(&world, &config);
        let chain = chain(&log);
        let kept = late(&chain);
        let with = kept.iter().filter(|n| uncles(n) > 0).count();
        let got = with as f64 / kept.len() as f64;
        // Four standard errors, or one part in a hundred.
        if (got / wanted - 1.0).abs() < 0.01 {
            return Ok(mean_interval(kept));
        }
        share *= wanted / got;
    }
    Err("no share of the work gives that many uncles".to_owned())
}

/// An arena with a chain of `depth` blocks of node 0 and a block above that names an uncle of node 1
/// at the chain's first height.
fn with_uncle(depth: u32) -> (Blocks<Header>, BlockId) {
    let rule = DifficultyRule::Homestead;
    let mut blocks = Blocks::new(Ethash::genesis(&Config::default()));
    let mut push = |creator: u32, parent: BlockId, uncles: &[BlockId]| {
        let below = *blocks.get(parent);
        let time = below.header.time + Span::from_s(1);
        blocks.push(Block {
            key: BlockKey {
                creator: NodeId::new(creator),
                sequence: below.height,
            },
            parent: Some(parent),
            height: below.height + 1,
            timestamp: time,
            header: Header::above(rule, (parent, &below.header), time, uncles),
            bytes: 0,
            txs: 0,
            exec: Span::ZERO,
        })
    };
    let genesis = Blocks::<Header>::GENESIS;
    let uncle = push(1, genesis, &[]);
    let mut head = genesis;
    for _ in 0..depth {
        head = push(0, head, &[]);
    }
    let head = push(0, head, &[uncle]);
    (blocks, head)
}

/// What an uncle so many heights below earns, in base rewards.
fn uncle_reward(params: &Params) -> Result<f64, String> {
    let depth = at_least(params, "depth", 1)? as u32;
    let (blocks, head) = with_uncle(depth.min(100));
    let earned = rewards(&blocks, head).find(|(who, _)| who.get() == 1);
    let (_, earned) = earned.ok_or("the uncle earns nothing")?;
    Ok(f64::from(earned) / f64::from(BASE_REWARD))
}

/// What naming one earns.
fn nephew_reward(_: &Params) -> Result<f64, String> {
    let (blocks, head) = with_uncle(1);
    let own = rewards(&blocks, head).find(|(who, _)| who.get() == 0);
    let (_, own) = own.ok_or("the block earns nothing")?;
    Ok(f64::from(own - BASE_REWARD) / f64::from(BASE_REWARD))
}

// ---- the summer of 2015 ---------------------------------------------------------------------

/// Shares of the largest pools, of 100, at the first nodes of the network; the others share the rest
/// alike. assumption: about as concentrated as Bitcoin's pools were, which published statistics of 2015
/// suggest.
const POOLS_2015: [f64; 8] = [20.0, 12.0, 8.0, 6.0, 5.0, 4.0, 4.0, 4.0];

/// To take in a block, nearly empty as blocks were in 2015.
/// assumption: proof of work, state and database on a disk of the time.
const IMPORT_2015: Span = Span::from_ms(100);

/// Connections that a node opens: with as many that others open to it, Geth's 25.
/// source: ethereum/go-ethereum `node/defaults.go`: `MaxPeers`.
const OUTBOUND: u32 = 12;

/// Up and down. assumption: home connections and small servers; blocks of a kilobyte do not notice.
const LINK_BPS: u64 = 10_000_000;

/// What miners lost.
struct Lost {
    /// Uncles by block on the chain: of everybody, of the pools, of the others.
    rates: [f64; 3],
}

/// Uncles per block on the chain in the network of 2015: `preset`, `nodes`, `blocks`; `who` (`all`, the
/// pools: `big`, or the others: `small`).
fn uncle_rate(params: &Params) -> Result<f64, String> {
    let name = params.text("preset")?;
    let preset = Config::preset(name).ok_or_else(|| format!("`preset = {name}` is none"))?;
    let nodes = at_least(params, "nodes", 2 * POOLS_2015.len() as u64)?;
    let nodes = u32::try_from(nodes).map_err(|e| format!("`nodes`: {e}"))?;
    let (blocks, seed) = (at_least(params, "blocks", 100)?, seed(params)?);
    let import = params.number_or("import_ms", IMPORT_2015.ns() / 1_000_000)?;
    let which = match params.text("who")? {
        "all" => 0,
        "big" => 1,
        "small" => 2,
        other => return Err(format!("`who = {other}` is neither all, big nor small")),
    };
    let key = format!("{name} {nodes} {blocks} {import} {seed}");
    let lost = shared("ethash.lost", &key, || {
        let config = Config {
            hash_shares: shares_2015(nodes),
            ..preset
        };
        let interval = Ethash::promises(&config, nodes).interval.as_s();
        let mut world = World::new(nodes, Span::ZERO, lasting(blocks, interval));
        world.setup.network = network_2015(nodes)?;
        world.setup.costs.block = Span::from_ms(import);
        let world = world.depth(1, 100).seed(seed);
        let (_, log) = logged::run::<Ethash, Uncles>(&world, &config);
        Ok::<_, String>(lost(&log))
    });
    let lost = lost.as_ref().as_ref().map_err(Clone::clone)?;
    Ok(lost.rates[which])
}

fn shares_2015(nodes: u32) -> Vec<f64> {
    let pools = POOLS_2015.len();
    let rest = 100.0 - POOLS_2015.iter().sum::<f64>();
    let others = nodes as usize - pools;
    let mut shares = POOLS_2015.to_vec();
    shares.resize(nodes as usize, rest / others as f64);
    shares
}

/// The world of 2015, with Bitcoin's nodes, in a random overlay.
fn network_2015(nodes: u32) -> Result<NetworkConfig, String> {
    let table = places::table("world-2015").ok_or("no table of 2015")?;
    let regions: Vec<String> = table.regions.iter().map(|&r| r.to_owned()).collect();
    let one_way = table.latencies(&regions)?;
    let shares = table.shares(&regions).ok_or("no shares of nodes")?;
    // Each region as many as its share says, in turn, so that the pools are spread too.
    let mut counts = vec![0_u32; regions.len()];
    let region_of = (1..=nodes).map(|n| {
        let lack = |r: usize| shares[r] * f64::from(n) - f64::from(counts[r]);
        let most = (0..shares.len()).max_by(|&a, &b| lack(a).total_cmp(&lack(b)));
        let region = most.unwrap_or(0);
        counts[region] += 1;
        region as u8
    });
    let region_of = region_of.collect();
    let mut network = NetworkConfig::alike(region_of, one_way, LINK_BPS, LINK_BPS);
    network.overlay = OverlayConfig::Random { outbound: OUTBOUND };
    Ok(network)
}

fn lost(log: &[Note]) -> Lost {
    let built = log.iter().filter(|n| n.what == What::Built);
    let chain = chain(log);
    let kept = late(&chain);
    let from = kept.first().map_or(0, |n| n.height);
    let is_big = |creator: NodeId| creator.index() < POOLS_2015.len();
    let named: u64 = kept.iter().map(uncles).sum();
    // Uncles by finder: all that were built and lost, since nearly all of them are named.
    let of = |big: bool| {
        let built = built
            .clone()
            .filter(|n| n.height >= from && is_big(n.creator) == big);
        let kept = kept.iter().filter(|n| is_big(n.creator) == big).count() as f64;
        (built.count() as f64 - kept) / kept
    };
    Lost {
        rates: [named as f64 / kept.len() as f64, of(true), of(false)],
    }
}
