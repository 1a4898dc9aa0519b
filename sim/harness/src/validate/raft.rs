//! Raft: messages, commits, batches and elections in the kernel, and what was measured of it.

use super::logged::{self, Note, Reader, What};
use super::world::{Poisson, World};
use super::{Check, Family, Params, shared};
use quorate_consensus::Presets as _;
use quorate_consensus::raft::{Config, Header, Raft};
use quorate_core::{Block, Engine, Load, NodeId, Seed, Span, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A leader's log.
pub const FAMILY: Family = Family {
    name: "raft",
    known: include_str!("known/raft.csv"),
    checks: &[
        Check {
            name: "messages",
            run: messages,
        },
        Check {
            name: "commit_ms",
            run: commit_ms,
        },
        Check {
            name: "cut_delay",
            run: cut_delay,
        },
        Check {
            name: "block_txs",
            run: block_txs,
        },
        Check {
            name: "split",
            run: split,
        },
        Check {
            name: "election",
            run: mean_election,
        },
        Check {
            name: "longest_election_ms",
            run: longest_election_ms,
        },
        Check {
            name: "silence",
            run: silence,
        },
    ],
};

/// All blocks, with the term and the number of transactions.
struct Blocks;

impl Reader<Raft> for Blocks {
    fn word(block: &Block<Header>) -> Option<u64> {
        Some(u64::from(block.header.term) << 32 | u64::from(block.txs))
    }
}

const fn term(note: &Note) -> u64 {
    note.word >> 32
}

const fn txs(note: &Note) -> u64 {
    note.word & 0xffff_ffff
}

fn built(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Built)
}

/// The preset that is named, Fabric's by default, with writes that take `fsync_ms`, by default none.
fn config(params: &Params) -> Result<Config, String> {
    let name = params.maybe("preset").unwrap_or("fabric-raft");
    let preset = Config::preset(name).ok_or_else(|| format!("no preset `{name}`"))?;
    let config = Config {
        fsync_ms: params.number_or("fsync_ms", 0.0)?,
        batch_timeout_ms: params.number_or("batch_timeout_ms", preset.batch_timeout_ms)?,
        block_txs: params.number_or("block_txs", preset.block_txs)?,
        preferred_bytes: params.number_or("preferred_bytes", preset.preferred_bytes)?,
        ..preset
    };
    Ok(config)
}

/// `n` orderers, `d_ms` between any two.
fn nodes(params: &Params, config: &Config) -> Result<(u32, Span), String> {
    let n = params.u32("n")?;
    Raft::validate(config, n).map_err(|e| format!("`{}`: {}", e.key, e.why))?;
    Ok((n, Span::from_ms_f64(params.number_or("d_ms", 50.0)?)))
}

// ---- copying --------------------------------------------------------------------------------

/// Blocks and their acknowledgements, a block.
fn messages(params: &Params) -> Result<f64, String> {
    let config = config(params)?;
    let (n, delay) = nodes(params, &config)?;
    let world = World::new(n, delay, Span::from_s(500)).offered(0.2, n);
    let report = world.run::<Raft>(&config);
    let counts = |kind: &&str| ["append", "ack"].contains(kind);
    let messages = report.traffic.iter().filter(|(kind, _)| counts(kind));
    let messages: u64 = messages.map(|(_, t)| t.messages).sum();
    Ok(messages as f64 / report.chain.final_height as f64)
}

/// From the append at the leader to the commit there, the mean over many blocks.
fn commit_ms(params: &Params) -> Result<f64, String> {
    let config = config(params)?;
    let (n, delay) = nodes(params, &config)?;
    let world = World::new(n, delay, Span::from_s(300)).offered(0.5, n);
    let (_, log) = logged::run::<Raft, Blocks>(&world, &config);
    let appended: BTreeMap<_, Time> = built(&log).map(|b| (b.block, b.at)).collect();
    let own = |c: &&Note| c.what == What::Committed && c.node == c.creator;
    let times: Vec<f64> = (log.iter().filter(own))
        .map(|c| c.at.since(appended[&c.block]).as_s() * 1e3)
        .collect();
    if times.len() < 50 {
        return Err(format!("only {} commits", times.len()));
    }
    Ok(times.iter().sum::<f64>() / times.len() as f64)
}

/// From the submission of a lone transaction at the leader to the cut of its block, the median in
/// seconds.
fn cut_delay(params: &Params) -> Result<f64, String> {
    let config = config(params)?;
    let (n, delay) = nodes(params, &config)?;
    let world = World::new(n, delay, Span::from_s(10_000)).offered(0.01, 1);
    let mut load = Poisson::new(world.offered, world.setup.seed);
    let horizon = world.setup.horizon;
    let arrivals = core::iter::from_fn(|| load.next()).map(|tx| tx.at);
    let arrivals: Vec<Time> = arrivals.take_while(|at| *at < horizon).collect();
    let (_, log) = logged::run::<Raft, Blocks>(&world, &config);
    // Of a block with one transaction it is the last that arrived.
    let alone = built(&log).filter(|b| txs(b) == 1 && b.creator == NodeId::new(0));
    let last = |b: &Note| arrivals[..arrivals.partition_point(|at| *at <= b.at)].last();
    let mut delays: Vec<Span> = alone.filter_map(|b| Some(b.at.since(*last(b)?))).collect();
    delays.sort_unstable();
    let median = delays.get(delays.len() / 2).filter(|_| delays.len() >= 20);
    median
        .map(|delay| delay.as_s())
        .ok_or_else(|| format!("only {} lone transactions", delays.len()))
}

/// Transactions in a block when many arrive: the smallest of the whole blocks between the first and
/// the last.
fn block_txs(params: &Params) -> Result<f64, String> {
    let config = config(params)?;
    let (n, delay) = nodes(params, &config)?;
    let mut world = World::new(n, delay, Span::from_s(60)).offered(params.f64("rate")?, 1);
    world.offered.bytes = params.number_or("bytes", world.offered.bytes)?;
    let (_, log) = logged::run::<Raft, Blocks>(&world, &config);
    // The first block opens the term, and the last takes what is left.
    let sizes: Vec<u64> = built(&log).map(txs).skip(1).collect();
    let whole = &sizes[..sizes.len().saturating_sub(1)];
    let least = whole.iter().copied().min();
    least
        .map(|size| size as f64)
        .ok_or_else(|| "hardly a block was cut".to_owned())
}

// ---- electing -------------------------------------------------------------------------------

/// Elections by the paper: timeouts uniform between `t_ms` and twice that, heartbeats in half of it,
/// `l` times `t_ms` between any two of `n`.
fn paper(params: &Params) -> Result<(Config, u32, Span), String> {
    let t_ms: u64 = params.number_or("t_ms", 150)?;
    let paper = Config::preset("paper").expect("it is listed");
    let config = Config {
        tick_ms: t_ms / paper.election_ticks,
        fsync_ms: 0.0,
        ..paper
    };
    let n = params.u32("n")?;
    Raft::validate(&config, n).map_err(|e| format!("`{}`: {}", e.key, e.why))?;
    let delay = Span::from_ms_f64(params.f64("l")? * t_ms as f64);
    Ok((config, n, delay))
}

fn least_timeout(config: &Config) -> Span {
    Span::from_ms(config.tick_ms) * config.election_ticks
}

/// The share of first elections without a winner, of `s` live of `n` nodes whose timeouts begin at
/// once.
fn split(params: &Params) -> Result<f64, String> {
    let (config, n, delay) = paper(params)?;
    let (s, runs) = (params.u32("s")?, params.number::<u64>("runs")?);
    if s > n || s <= n / 2 {
        return Err(format!("{s} of {n} elect nobody"));
    }
    let seed: u64 = params.number_or("seed", 0)?;
    let down: Vec<u32> = (s..n).collect();
    let long = least_timeout(&config) * 2 + delay * 3;
    let splits = |run: &u64| {
        let mut world = World::new(n, delay, long).seed(seed * runs + run);
        if !down.is_empty() {
            world = world.crash(&down, Span::ZERO, None);
        }
        let (_, log) = logged::run::<Raft, Blocks>(&world, &config);
        !built(&log).any(|b| term(b) == 1)
    };
    Ok((0..runs).filter(splits).count() as f64 / runs as f64)
}

/// Times from the crash of a leader to the next one, in least timeouts.
struct Elections {
    mean: f64,
    longest: f64,
}

/// Of `runs` in which node 0 led.
fn elections(params: &Params) -> Result<Arc<Elections>, String> {
    /// Where hardly anybody can lead, no more are tried for one that counts.
    const TRIED: u64 = 20;
    let (config, n, delay) = paper(params)?;
    let (runs, seed) = (
        params.number::<u64>("runs")?,
        params.number_or("seed", 0_u64)?,
    );
    let key = format!("{n} {delay} {} {runs} {seed}", config.tick_ms);
    let all = shared("raft.elections", &key, || {
        let tried = seed * runs * TRIED..(seed + 1) * runs * TRIED;
        let times = tried.filter_map(|s| election(&config, n, delay, s));
        let times: Vec<f64> = times.take(runs as usize).collect();
        (times.len() as u64 == runs && runs > 0).then(|| {
            Arc::new(Elections {
                mean: times.iter().sum::<f64>() / times.len() as f64,
                longest: times.iter().copied().fold(0.0, f64::max),
            })
        })
    });
    all.as_ref()
        .clone()
        .ok_or_else(|| "node 0 was hardly ever the leader".to_owned())
}

/// The mean, less the way of a heartbeat: the law has a crash as long after the last heartbeat's
/// arrival as it is after its departure.
fn mean_election(params: &Params) -> Result<f64, String> {
    Ok(elections(params)?.mean - params.f64("l")?)
}

fn longest_election_ms(params: &Params) -> Result<f64, String> {
    let t_ms: f64 = params.number_or("t_ms", 150.0)?;
    Ok(elections(params)?.longest * t_ms)
}

/// One of them, at a random instant between two heartbeats; `None` if another than node 0 led.
fn election(config: &Config, n: u32, delay: Span, seed: u64) -> Option<f64> {
    let config = Config {
        campaign_at_start: true,
        ..config.clone()
    };
    let t = least_timeout(&config);
    let mut draws = Seed::new(seed, 0).stream("crash", 0);
    let crash = t * 10 + Span::from_ns(draws.below(t.ns() / 2));
    let world = World::new(n, delay, t * 80).seed(seed);
    let (_, log) = logged::run::<Raft, Blocks>(&world.crash(&[0], crash, None), &config);
    let at = Time::ZERO + crash;
    let before = built(&log).filter(|b| b.at <= at).last()?;
    if before.creator != NodeId::new(0) {
        return None;
    }
    let next = built(&log).find(|b| b.at > at)?;
    Some(next.at.since(at).as_s() / t.as_s())
}

/// How long followers that hear nothing wait until the first of them stands, in whole ticks, the mean
/// in seconds. Node 0 never was there.
fn silence(params: &Params) -> Result<f64, String> {
    let config = Config {
        campaign_at_start: false,
        ..config(params)?
    };
    let (n, runs) = (params.u32("n")?, params.number::<u64>("runs")?);
    Raft::validate(&config, n).map_err(|e| format!("`{}`: {}", e.key, e.why))?;
    let first: u64 = params.number_or("seed", 0_u64)? * runs;
    let mut ticks = 0;
    for seed in first..first + runs {
        ticks += ticks_of_silence(&config, n, seed).ok_or("nobody was elected")?;
    }
    Ok(ticks as f64 / runs as f64 * config.tick_ms as f64 / 1e3)
}

fn ticks_of_silence(config: &Config, n: u32, seed: u64) -> Option<u64> {
    let tick = Span::from_ms(config.tick_ms);
    // So near that no way matters, and nobody else stands meanwhile.
    let delay = Span::from_us(10);
    let world = World::new(n, delay, tick * config.election_ticks * 2 + tick);
    let world = world.seed(seed).crash(&[0], Span::ZERO, None);
    let (_, log) = logged::run::<Raft, Blocks>(&world, config);
    let first = built(&log).next()?;
    // Votes take a round trip, and so do those that bind nobody.
    let trips = if config.pre_vote { 4 } else { 2 };
    let stood = first.at.since(Time::ZERO).saturating_sub(delay * trips);
    Some(stood.ns().div_ceil(tick.ns()))
}
