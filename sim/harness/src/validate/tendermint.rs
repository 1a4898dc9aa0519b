//! Tendermint: messages, intervals, crashed proposers and turns in the kernel, and what was measured
//! of Tendermint and CometBFT.

use super::logged::{self, All, Note, What};
use super::world::World;
use super::{Check, Family, Params, shared};
use crate::places;
use quorate_consensus::tendermint::{Config, Tendermint};
use quorate_core::{Costs, Engine, Level, NodeId, Seed, Span, Time};
use quorate_kernel::{Report, Status};

/// Votes of weighted validators.
pub const FAMILY: Family = Family {
    name: "tendermint",
    known: include_str!("known/tendermint.csv"),
    checks: &[
        Check {
            name: "messages",
            run: messages,
        },
        Check {
            name: "interval",
            run: interval,
        },
        Check {
            name: "crashed_run",
            run: crashed_run,
        },
        Check {
            name: "crashed_interval",
            run: crashed_interval,
        },
        Check {
            name: "proposer",
            run: proposer,
        },
        Check {
            name: "processed",
            run: |params| testnet(params, |t| t.processed),
        },
        Check {
            name: "latency",
            run: |params| testnet(params, |t| t.latency_s),
        },
        Check {
            name: "block_latency",
            run: block_latency,
        },
        Check {
            name: "crashes",
            run: crashes,
        },
    ],
};

/// The parameters that all share, and CometBFT's settings with what they say.
struct Basis {
    n: u32,
    delay: Span,
    config: Config,
}

impl Basis {
    /// `n`; `d_ms` between any two, `timeout_commit_ms`, `powers` of the validators.
    fn read(params: &Params) -> Result<Self, String> {
        let cometbft = Config::default();
        let powers = params.maybe("powers").unwrap_or_default();
        let power = |text: &str| {
            text.parse()
                .map_err(|_| format!("`{text}` of `powers` is no power"))
        };
        let voting_power: Vec<u64> = (powers.split(',').filter(|p| !p.is_empty()))
            .map(power)
            .collect::<Result<_, _>>()?;
        let n = params.number_or("n", voting_power.len() as u32)?;
        let config = Config {
            timeout_commit_ms: params.number_or("timeout_commit_ms", cometbft.timeout_commit_ms)?,
            voting_power,
            ..cometbft
        };
        if n == 0 {
            return Err("`n` is missing, or none".to_owned());
        }
        sound(&config, n)?;
        let delay = Span::from_ms_f64(params.number_or("d_ms", 50.0)?);
        Ok(Self { n, delay, config })
    }

    /// A height without faults.
    fn height(&self) -> Span {
        // A validator alone waits for nobody.
        let delays = if self.n == 1 { 0 } else { 3 };
        Span::from_ms(self.config.timeout_commit_ms) + self.delay * delays
    }
}

fn sound(config: &Config, n: u32) -> Result<(), String> {
    Tendermint::validate(config, n).map_err(|e| format!("`{}`: {}", e.key, e.why))
}

fn run(world: &World, config: &Config) -> Result<(Report, Vec<Note>), String> {
    let (report, log) = logged::run::<Tendermint, All>(world, config);
    match report.status {
        Status::Ok => Ok((report, log)),
        status => Err(format!("{status:?}: {:?}", report.violation)),
    }
}

fn commits(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Committed)
}

/// When each height is first committed anywhere.
fn first_commits(log: &[Note]) -> Vec<Time> {
    let mut times: Vec<Time> = Vec::new();
    for note in commits(log) {
        if note.height as usize > times.len() {
            times.push(note.at);
        }
    }
    times
}

/// Mean seconds between so many commits, after the first.
fn mean_gap(times: &[Time], gaps: usize) -> Result<f64, String> {
    match (times.first(), times.get(gaps)) {
        (Some(first), Some(last)) => Ok(last.since(*first).as_s() / gaps as f64),
        _ => Err(format!("only {} heights", times.len())),
    }
}

// ---- laws -----------------------------------------------------------------------------------

/// A height: a Proposal, and votes of everybody to everybody.
fn messages(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let heights: u32 = params.number_or("heights", 10)?;
    // Into the commit timeout after the last.
    let end = basis.height() * u64::from(heights)
        + Span::from_ms(basis.config.timeout_commit_ms).scale(2, 5);
    let world = World::new(basis.n, basis.delay, end);
    let (report, _) = run(&world, &basis.config)?;
    let messages: u64 = report.traffic.iter().map(|(_, t)| t.messages).sum();
    Ok(messages as f64 / report.chain.final_height as f64)
}

fn interval(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let heights: u32 = params.number_or("heights", 20)?;
    let end = basis.height() * u64::from(heights + 2);
    let (_, log) = run(&World::new(basis.n, basis.delay, end), &basis.config)?;
    mean_gap(&first_commits(&log), heights as usize)
}

/// Whoever proposes in the first `r` rounds of height 1 is down: how much later it commits.
fn crashed_run(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let r = params.u32("r")?;
    if r > Tendermint::promises(&basis.config, basis.n).crashed {
        return Err(format!("{r} of {} may not be down", basis.n));
    }
    let down: Vec<u32> = (0..r).collect();
    let world = World::new(basis.n, basis.delay, Span::from_s(600));
    let (_, log) = run(&world.crash(&down, Span::ZERO, None), &basis.config)?;
    let first = commits(&log).next().ok_or("nothing was committed")?;
    Ok(first.at.since(Time::ZERO + basis.height()).as_s())
}

/// One of `n` equal validators is down, so that every n-th height fails its first round.
fn crashed_interval(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let heights: u32 = params.number_or("heights", 100 * basis.n)?;
    if Tendermint::promises(&basis.config, basis.n).crashed == 0 {
        return Err(format!("none of {} may be down", basis.n));
    }
    let long = (basis.height() + Span::from_s(6) + basis.delay * 2) * u64::from(heights);
    let world = World::new(basis.n, basis.delay, long).crash(&[1], Span::ZERO, None);
    let (_, log) = run(&world, &basis.config)?;
    mean_gap(&first_commits(&log), heights as usize)
}

/// Who proposes, counted from 1, in the `run`-th height.
fn proposer(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let turn = params.u32("run")?;
    let end = basis.height() * u64::from(turn + 1);
    let (_, log) = run(&World::new(basis.n, basis.delay, end), &basis.config)?;
    let block = commits(&log).find(|c| c.height == turn);
    let creator = block.ok_or("it was not committed")?.creator;
    Ok(f64::from(creator.get() + 1))
}

// ---- CometBFT's test network ------------------------------------------------------------------

/// What one node submits, and what became of it.
struct Testnet {
    processed: f64,
    latency_s: f64,
}

/// `nodes` of which the first `validators` vote, all in one data centre, `link_ms` apart. They gossip:
/// a message takes `hops`, and at each waits for its neighbour's routine, which looks every
/// `gossip_ms`. Here it goes straight to its receivers and takes as long on average. A client submits
/// `rate` transactions of `bytes` a second for `load_s` to the last node.
fn testnet(params: &Params, figure: fn(&Testnet) -> f64) -> Result<f64, String> {
    let (nodes, validators) = (params.u32("nodes")?, params.u32("validators")?);
    let (rate, bytes) = (params.f64("rate")?, params.number("bytes")?);
    let load_s: u64 = params.number("load_s")?;
    let (link_ms, gossip_ms) = (params.f64("link_ms")?, params.f64("gossip_ms")?);
    let hops = params.f64("hops")?;
    let uplink_bps = (params.f64("uplink_mbps")? * 1e6) as u64;
    let pending: u32 = params.number("mempool_txs")?;
    let config = Config {
        validators,
        ..Config::default()
    };
    sound(&config, nodes)?;
    if validators == nodes || rate.is_nan() || rate <= 0.0 {
        return Err("a client needs a full node and something to submit".to_owned());
    }
    let delay = Span::from_ms_f64(hops * (link_ms + gossip_ms / 2.0));
    let key =
        format!("{nodes} {validators} {rate} {bytes} {load_s} {delay} {uplink_bps} {pending}");
    let result = shared("tendermint.testnet", &key, || {
        let mut world = World::new(nodes, delay, Span::from_s(load_s)).offered(rate, 1);
        world.offered.bytes = bytes;
        let setup = &mut world.setup;
        setup.serving = vec![NodeId::new(nodes - 1)];
        setup.costs = Costs::REFERENCE;
        setup.drain = Span::from_s(60);
        setup.mempool.capacity_txs = pending;
        setup.network.uplink_bps.fill(uplink_bps);
        let report = world.run::<Tendermint>(&config);
        let latency = &report.probe.classes[0].latency[Level::Final as usize];
        (report.status == Status::Ok).then(|| Testnet {
            processed: report.conservation.valid as f64,
            latency_s: latency.mean() / 1e6,
        })
    });
    let result = result.as_ref().as_ref().map(figure);
    result.ok_or_else(|| "the run was given up".to_owned())
}

// ---- the thesis -------------------------------------------------------------------------------

/// Seven regions on five continents. assumption: which ones; the thesis has a map.
const REGIONS: [&str; 7] = [
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-northeast-1",
    "ap-southeast-2",
    "sa-east-1",
];

/// Validators in turn in the seven regions, everybody connected to everybody; messages wait on
/// average for half of `gossip_ms`. All timeouts but the first are a millisecond.
fn thesis(params: &Params) -> Result<(World, Config), String> {
    let n = params.u32("n")?;
    let wait = Span::from_ms_f64(params.f64("gossip_ms")? / 2.0);
    let config = Config {
        timeout_propose_ms: params.number("timeout_propose_ms")?,
        timeout_propose_delta_ms: 1,
        timeout_prevote_ms: 1,
        timeout_prevote_delta_ms: 1,
        timeout_precommit_ms: 1,
        timeout_precommit_delta_ms: 1,
        timeout_commit_ms: 1,
        ..Config::default()
    };
    sound(&config, n)?;
    let names: Vec<String> = REGIONS.iter().map(|&r| r.to_owned()).collect();
    let mut one_way = places::latencies(&names)?;
    one_way.iter_mut().flatten().for_each(|d| *d += wait);
    let mut world = World::new(n, Span::ZERO, Span::ZERO);
    let network = &mut world.setup.network;
    network.region_of = (0..n).map(|i| (i % REGIONS.len() as u32) as u8).collect();
    network.one_way = one_way;
    world.setup.costs = Costs::REFERENCE;
    Ok((world, config))
}

/// Mean seconds between commits without faults.
fn block_latency(params: &Params) -> Result<f64, String> {
    let (mut world, config) = thesis(params)?;
    let blocks = params.u32("blocks")?;
    world.setup.horizon = Time::ZERO + Span::from_s(10) * u64::from(blocks);
    let (_, log) = run(&world, &config)?;
    mean_gap(&first_commits(&log), blocks as usize)
}

/// Every `every_s` seconds `(n−1)/3` validators are stopped, drawn anew, and come back as long after:
/// a quantile of the time between commits in ms, or with `quantile=mean` the mean.
fn crashes(params: &Params) -> Result<f64, String> {
    let (mut world, config) = thesis(params)?;
    let (blocks, every) = (
        params.u32("blocks")?,
        Span::from_s(params.number("every_s")?),
    );
    let n = world.setup.network.region_of.len() as u32;
    let mut draws = Seed::new(params.number_or("seed", 1)?, 0).stream("crashes", 0);
    let windows = u64::from(blocks) * 4;
    for window in 0..windows {
        let mut up: Vec<u32> = (0..n).collect();
        let down: Vec<u32> = (0..(n - 1) / 3)
            .map(|_| up.swap_remove(draws.below(up.len() as u64) as usize))
            .collect();
        world = world.crash(&down, every * window, Some(every * (window + 1)));
    }
    world.setup.horizon = Time::ZERO + every * windows;
    let (_, log) = run(&world, &config)?;
    let times = first_commits(&log);
    let times = times
        .get(..=blocks as usize)
        .ok_or_else(|| format!("only {} heights", times.len()))?;
    let mut gaps: Vec<f64> = times
        .windows(2)
        .map(|p| p[1].since(p[0]).as_s() * 1e3)
        .collect();
    gaps.sort_unstable_by(f64::total_cmp);
    match params.text("quantile")? {
        "mean" => Ok(gaps.iter().sum::<f64>() / gaps.len() as f64),
        quantile => {
            let p: f64 = quantile.parse().map_err(|_| "`quantile` is no number")?;
            let place = (p * gaps.len() as f64) as usize;
            gaps.get(place)
                .copied()
                .ok_or_else(|| "no such quantile".to_owned())
        }
    }
}
