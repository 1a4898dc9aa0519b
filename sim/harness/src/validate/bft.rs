//! QBFT and IBFT 2.0: counts, latencies, round changes, crashes, and rounds of a load generator.

use super::logged::{self, All, Note, What};
use super::world::{Accept, World};
use super::{Check, Family, Params, shared};
use quorate_consensus::ibft2::{self, Ibft2};
use quorate_consensus::qbft::{self, Gossip, Qbft};
use quorate_core::{
    Arrival, Class, ClassId, Costs, Engine, EntityId, Kind, Load, NodeId, Outcome, Promises, Seed,
    Span, Time,
};
use quorate_kernel::{Report, Setup, Simulation};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// QBFT and IBFT 2.0.
pub const FAMILY: Family = Family {
    name: "bft",
    known: include_str!("known/bft.csv"),
    checks: &[
        check("quorum", quorum),
        check("messages", messages),
        check("vote_bytes", vote_bytes),
        check("commit_ms", commit_ms),
        check("interval_s", interval_s),
        check("latency_s", latency_s),
        check("failed_proposers_s", failed_proposers_s),
        check("most_crashed", most_crashed),
        check("blocks_without_quorum", blocks_without_quorum),
        check("round_tps", |p| Ok(rounds(p)?.tps)),
        check("round_latency_s", |p| Ok(rounds(p)?.latency_s)),
        check("round_blocks", |p| Ok(at_one_node(p)?.blocks)),
        check("fullest_block", |p| Ok(at_one_node(p)?.fullest)),
    ],
};

const fn check(name: &'static str, run: fn(&Params) -> Result<f64, String>) -> Check {
    Check { name, run }
}

/// The most validators that are simulated.
const MOST: u32 = 200;

/// A network of validators.
#[derive(Clone, Copy, Debug)]
struct Chain {
    ibft2: bool,
    period: Span,
    timeout: Span,
    gossip: Gossip,
    /// Whether timestamps are whole seconds, as in deployed networks.
    whole_seconds: bool,
    /// Execution of a block, ms; 0 means no limit.
    exec_ms: u64,
}

impl Chain {
    /// The engine that `engine` names, with a period, a timeout and no limits.
    fn new(params: &Params, period: Span, timeout: Span) -> Result<Self, String> {
        let ibft2 = match params.text("engine")? {
            "qbft" => false,
            "ibft2" => true,
            other => return Err(format!("`engine = {other}` is not qbft or ibft2")),
        };
        Ok(Self {
            ibft2,
            period,
            timeout,
            gossip: Gossip::Direct,
            whole_seconds: false,
            exec_ms: 0,
        })
    }

    fn qbft(&self) -> qbft::Config {
        qbft::Config {
            period_ms: ms(self.period),
            request_timeout_ms: ms(self.timeout),
            whole_second_timestamps: self.whole_seconds,
            block_exec_ms: self.exec_ms,
            gossip: self.gossip,
            ..qbft::Config::default()
        }
    }

    fn ibft2(&self) -> ibft2::Config {
        ibft2::Config {
            period_ms: ms(self.period),
            request_timeout_ms: ms(self.timeout),
            whole_second_timestamps: self.whole_seconds,
            block_exec_ms: self.exec_ms,
            gossip: self.gossip,
            ..ibft2::Config::default()
        }
    }

    fn checked(self, nodes: u32) -> Result<Self, String> {
        let checked = if self.ibft2 {
            Ibft2::validate(&self.ibft2(), nodes)
        } else {
            Qbft::validate(&self.qbft(), nodes)
        };
        checked.map_err(|e| format!("{}: {}", e.key, e.why))?;
        Ok(self)
    }

    fn promises(&self, nodes: u32) -> Promises {
        if self.ibft2 {
            Ibft2::promises(&self.ibft2(), nodes)
        } else {
            Qbft::promises(&self.qbft(), nodes)
        }
    }

    fn run(&self, world: &World) -> (Report, Vec<Note>) {
        if self.ibft2 {
            logged::run::<Ibft2, All>(world, &self.ibft2())
        } else {
            logged::run::<Qbft, All>(world, &self.qbft())
        }
    }

    /// Runs a load of its own.
    fn serve(&self, setup: Setup, load: Box<dyn Load>) -> Report {
        if self.ibft2 {
            serve::<Ibft2>(&self.ibft2(), setup, load)
        } else {
            serve::<Qbft>(&self.qbft(), setup, load)
        }
    }
}

fn serve<E: Engine>(config: &E::Config, setup: Setup, load: Box<dyn Load>) -> Report {
    let mut simulation = Simulation::<E>::new(config, setup, load, &Accept);
    simulation.run();
    simulation.finish()
}

const fn ms(span: Span) -> u64 {
    span.ns() / 1_000_000
}

/// A length of time of whole milliseconds.
fn seconds(params: &Params, key: &str) -> Result<Span, String> {
    let s = params.f64(key)?;
    let whole = Span::from_ms((s * 1_000.0 + 0.5) as u64);
    if !(0.0..=1e6).contains(&s) || (whole.as_s() - s).abs() > 1e-9 {
        return Err(format!("`{key} = {s}` is not a number of milliseconds"));
    }
    Ok(whole)
}

fn validators(params: &Params) -> Result<u32, String> {
    match params.u32("n")? {
        n if (1..=MOST).contains(&n) => Ok(n),
        n => Err(format!("`n = {n}` is not between 1 and {MOST}")),
    }
}

/// Where a law holds at any period: one of a second.
const SECOND: Span = Span::from_s(1);

/// How many validators decide.
fn quorum(params: &Params) -> Result<f64, String> {
    let n = validators(params)?;
    let chain = Chain::new(params, SECOND, SECOND * 2)?;
    Ok(f64::from(chain.promises(n).quorum))
}

/// Sends of a block without faults. They are counted from the first to the last of them, while all are on
/// their way.
fn traffic(params: &Params, counts: fn(&str) -> Option<bool>) -> Result<f64, String> {
    const BLOCKS: u64 = 3;
    let n = validators(params)?;
    let mut chain = Chain::new(params, SECOND, SECOND * 2)?;
    chain.gossip = match params.maybe("gossip") {
        None | Some("direct") => Gossip::Direct,
        Some("flood") => Gossip::Flood,
        Some("besu-flood") => Gossip::BesuFlood,
        Some(other) => {
            let known = "direct, flood or besu-flood";
            return Err(format!("`gossip = {other}` is not {known}"));
        }
    };
    // A delay under a quarter of the period: the last copy is there before the next block is due.
    let horizon = SECOND * BLOCKS + Span::from_ms(900);
    let world = World::new(n, Span::from_ms(50), horizon);
    let (report, _) = chain.run(&world);
    if report.chain.final_height != BLOCKS {
        return Err(format!(
            "{} blocks, not {BLOCKS}",
            report.chain.final_height
        ));
    }
    let of = |kind: &str, t: &quorate_kernel::probe::Traffic| match counts(kind) {
        None => 0,
        Some(true) => t.bytes,
        Some(false) => t.messages,
    };
    let sum: u64 = report.traffic.iter().map(|(kind, t)| of(kind, t)).sum();
    Ok(sum as f64 / BLOCKS as f64)
}

fn messages(params: &Params) -> Result<f64, String> {
    traffic(params, |_| Some(false))
}

fn vote_bytes(params: &Params) -> Result<f64, String> {
    traffic(params, |kind| {
        let vote = kind.ends_with("prepare") || kind.ends_with("commit");
        vote.then_some(true)
    })
}

/// A network without load, and what happened in it.
fn quiet(params: &Params, periods: u64) -> Result<(Chain, u32, Vec<Note>), String> {
    let n = validators(params)?;
    let (period, delay) = (seconds(params, "period_s")?, seconds(params, "d_s")?);
    let chain = Chain::new(params, period, period * 2)?.checked(n)?;
    let world = World::new(n, delay, period * periods + Span::from_ns(period.ns() / 2));
    let (_, log) = chain.run(&world);
    Ok((chain, n, log))
}

fn committed(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Committed)
}

fn built(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Built)
}

/// From a Proposal to its commit at a validator, on average over all validators but the proposer.
fn commit_ms(params: &Params) -> Result<f64, String> {
    let (_, n, log) = quiet(params, 20)?;
    let at: BTreeMap<_, _> = built(&log).map(|b| (b.block, b)).collect();
    let lag = |c: &Note| at.get(&c.block).map(|b| c.at.since(b.at).as_s());
    let all = committed(&log).filter(|c| n == 1 || c.node != c.creator);
    let lags: Vec<f64> = all.filter_map(lag).collect();
    Ok(1_000.0 * mean(&lags)?)
}

/// Between two blocks.
fn interval_s(params: &Params) -> Result<f64, String> {
    let (_, _, log) = quiet(params, 20)?;
    let times: Vec<Time> = built(&log).map(|b| b.at).collect();
    let gaps: Vec<f64> = times
        .windows(2)
        .map(|pair| pair[1].since(pair[0]).as_s())
        .collect();
    mean(&gaps)
}

fn mean(samples: &[f64]) -> Result<f64, String> {
    if samples.is_empty() {
        return Err("nothing was committed".to_owned());
    }
    Ok(samples.iter().sum::<f64>() / samples.len() as f64)
}

/// From the submission of a transaction at the next proposer to its commit there. Transactions are spread
/// evenly over many periods; the builder of block `h` is node `h − 1`, around and around.
fn latency_s(params: &Params) -> Result<f64, String> {
    let n = validators(params)?;
    let (period, delay) = (seconds(params, "period_s")?, seconds(params, "d_s")?);
    let chain = Chain::new(params, period, period * 2)?.checked(n)?;
    let count = params.u32("txs")?;
    // No whole number of them in a period, so that every phase comes up.
    let gap = Span::from_ns(period.ns() * 17 / 1_000 + 1);
    let arrival = |i: u32| {
        let at = Time::ZERO + Span::from_ns(period.ns() / 2) + gap * u64::from(i);
        (at, ((at.ns() / period.ns()) % u64::from(n)) as u16)
    };
    let arrivals = (0..count).map(arrival).collect();
    let done = submit(&chain, setup(n, delay), arrivals, (250, 0))?;
    Ok(done.latency_s)
}

/// From the opening of round 0 to the first commit, when the proposers of the first rounds are down. QBFT
/// opens it a period after the last block, IBFT 2.0 with it.
fn failed_proposers_s(params: &Params) -> Result<f64, String> {
    let (n, failed) = (validators(params)?, params.u32("failed")?);
    let (timeout, delay) = (seconds(params, "timeout_s")?, seconds(params, "d_s")?);
    // Shorter than any timeout that is asked for.
    let period = Span::from_ms(500);
    let chain = Chain::new(params, period, timeout)?.checked(n)?;
    if failed > chain.promises(n).crashed {
        return Err(format!("{failed} of {n} are more than may be down"));
    }
    let down: Vec<u32> = (0..failed).collect();
    let most = timeout * (1 << failed.min(20)) + period + delay * 10;
    let world = World::new(n, delay, most).crash(&down, Span::ZERO, None);
    let (_, log) = chain.run(&world);
    let opened = if chain.ibft2 { Span::ZERO } else { period };
    let first = committed(&log).filter(|c| c.height == 1);
    let times: Vec<f64> = first
        .map(|c| c.at.since(Time::ZERO + opened).as_s())
        .collect();
    mean(&times)
}

/// How many of the validators may be down while the others still commit: each number is tried.
fn most_crashed(params: &Params) -> Result<f64, String> {
    let n = validators(params)?;
    let chain = Chain::new(params, SECOND, SECOND * 2)?;
    let goes_on = |down: u32| commits_without(&chain, n, down) > 0;
    let most = (1..n).take_while(|&down| goes_on(down)).last();
    Ok(f64::from(most.unwrap_or(0)))
}

fn blocks_without_quorum(params: &Params) -> Result<f64, String> {
    let (n, down) = (validators(params)?, params.u32("crashed")?);
    let chain = Chain::new(params, SECOND, SECOND * 2)?;
    Ok(commits_without(&chain, n, down) as f64)
}

/// Heights that are committed later than a second after the first validators went down for good.
fn commits_without(chain: &Chain, n: u32, down: u32) -> usize {
    let nodes: Vec<u32> = (0..down).collect();
    let from = SECOND * 5;
    let delay = Span::from_ms(50);
    let world = World::new(n, delay, SECOND * 120).crash(&nodes, from, None);
    let (_, log) = chain.run(&world);
    let later = committed(&log).filter(|c| c.at > Time::ZERO + from + SECOND);
    later.map(|c| c.height).collect::<BTreeSet<u32>>().len()
}

// ---- rounds of a load generator ------------------------------------------------------------

/// What a client sees of a round, on average over rounds.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Transactions over the time from the first submission to the last commit.
    tps: f64,
    /// From submission to commit.
    latency_s: f64,
    /// Blocks that have any of them.
    blocks: f64,
    /// Transactions in the fullest of them.
    fullest: f64,
}

/// Rounds of a load generator in the manner of Caliper: `txs` transactions at `rate` per second, spread
/// over all nodes in turn (`entry = all`) or all at node 0 (`entry = one`), each round beginning at a phase
/// of its own within a period. With `rate = 0` all are submitted at once.
fn rounds(params: &Params) -> Result<Seen, String> {
    let n = validators(params)?;
    let (period, delay) = (seconds(params, "period_s")?, params.f64("d_ms")?);
    let mut chain = Chain::new(params, period, period * 2)?;
    chain.whole_seconds = ms(period).is_multiple_of(1_000);
    chain.exec_ms = params.number("block_exec_ms")?;
    let chain = chain.checked(n)?;
    let (txs, rate) = (params.u32("txs")?, params.f64("rate")?);
    let entry: u32 = match params.text("entry")? {
        "all" => n,
        "one" => 1,
        other => return Err(format!("`entry = {other}` is not all or one")),
    };
    let size = (params.number("tx_bytes")?, params.number("exec_us")?);
    let (count, cores) = (params.u32("rounds")?, params.u32("cores")?);
    if count == 0 || txs == 0 || cores == 0 || rate < 0.0 || !(0.0..=10_000.0).contains(&delay) {
        return Err(
            "`rounds`, `txs` and `cores` are at least 1, `rate` and `d_ms` no less than 0"
                .to_owned(),
        );
    }
    let mut setup = setup(n, Span::from_s_f64(delay / 1_000.0));
    setup.cores = cores;
    setup.costs = match params.text("costs")? {
        "free" => Costs::FREE,
        "secp256k1" => secp256k1(),
        other => return Err(format!("`costs = {other}` is not free or secp256k1")),
    };
    setup.mempool.gossip.check = setup.costs.verify;
    let key = format!("{chain:?} {n} {txs} {rate} {entry} {size:?} {count} {cores} {setup:?}");
    let seen = shared("bft.rounds", &key, || -> Result<Seen, String> {
        let mut sum = Seen::default();
        for round in 0..count {
            let phase = Seed::new(1, round).stream("phase", 0).below(period.ns());
            // A few blocks into the chain.
            let first = Time::ZERO + period * 3 + Span::from_ns(phase);
            let gap = if rate > 0.0 { 1.0 / rate } else { 0.0 };
            let at = |i: u32| first + Span::from_s_f64(gap * f64::from(i));
            let arrivals = (0..txs).map(|i| (at(i), (i % entry) as u16)).collect();
            let one = submit(&chain, setup.clone(), arrivals, size)?;
            sum.tps += one.tps;
            sum.latency_s += one.latency_s;
            sum.blocks += one.blocks;
            sum.fullest = sum.fullest.max(one.fullest);
        }
        let count = f64::from(count);
        Ok(Seen {
            tps: sum.tps / count,
            latency_s: sum.latency_s / count,
            blocks: sum.blocks / count,
            fullest: sum.fullest,
        })
    });
    seen.as_ref().clone()
}

/// The same, where one node sees all commits: blocks are told apart by when they commit.
fn at_one_node(params: &Params) -> Result<Seen, String> {
    match params.text("entry")? {
        "one" => rounds(params),
        other => Err(format!("`entry = {other}`: blocks are counted at one node")),
    }
}

/// The shipped costs of the signatures that Ethereum's clients make.
fn secp256k1() -> Costs {
    let set = crate::costs::CostFile::reference().figures();
    let of = |name: &str| {
        let figure = set.iter().find(|f| f.0 == name);
        figure.map_or(0.0, |f| f.1)
    };
    let us = |name| Span::from_s_f64(of(name) / 1e6);
    Costs::new(
        us("secp256k1.sign_us"),
        us("secp256k1.verify_us"),
        Costs::REFERENCE.hash_kib,
    )
}

/// `n` nodes with constant delays, whose sites are all of them.
fn setup(n: u32, delay: Span) -> Setup {
    let mut setup = World::new(n, delay, SECOND).setup;
    setup.serving = (0..n).map(NodeId::new).collect();
    setup
}

/// Submits transactions, given as when and at which node, of so many bytes and microseconds of execution.
fn submit(
    chain: &Chain,
    mut setup: Setup,
    arrivals: Vec<(Time, u16)>,
    size: (u16, u16),
) -> Result<Seen, String> {
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else {
        return Err("no transaction is submitted".to_owned());
    };
    let (first, count) = (first.0, arrivals.len());
    setup.horizon = last.0 + Span::from_ns(1);
    let outcomes = Rc::new(RefCell::new(Vec::with_capacity(count)));
    let load = Given {
        sites: setup.serving.len() as u32,
        arrivals: arrivals.into_iter(),
        size,
        outcomes: Rc::clone(&outcomes),
    };
    chain.serve(setup, Box::new(load));
    let outcomes = outcomes.borrow();
    if outcomes.len() != count {
        return Err(format!("{} of {count} are committed", outcomes.len()));
    }
    let mut blocks: BTreeMap<Time, u32> = BTreeMap::new();
    let mut latency = 0.0;
    for &(at, committed) in outcomes.iter() {
        *blocks.entry(committed).or_default() += 1;
        latency += committed.since(at).as_s();
    }
    let ended = blocks.keys().next_back().copied().unwrap_or(first);
    Ok(Seen {
        tps: count as f64 / ended.since(first).as_s(),
        latency_s: latency / count as f64,
        blocks: blocks.len() as f64,
        fullest: f64::from(blocks.values().max().copied().unwrap_or(0)),
    })
}

/// Given transactions, and what became of them.
struct Given {
    sites: u32,
    arrivals: std::vec::IntoIter<(Time, u16)>,
    size: (u16, u16),
    /// When each was submitted and committed.
    outcomes: Rc<RefCell<Vec<(Time, Time)>>>,
}

impl Load for Given {
    fn classes(&self) -> &[Class] {
        const WRITE: [Class; 1] = [Class {
            name: "write",
            kind: Kind::Write,
            expiry: None,
            tells: "",
        }];
        &WRITE
    }

    fn sites(&self) -> u32 {
        self.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        let (at, site) = self.arrivals.next()?;
        Some(Arrival {
            at,
            key: EntityId::new(0),
            operand: 0,
            bytes: self.size.0,
            exec_us: self.size.1,
            site,
            class: ClassId(0),
            action: 0,
        })
    }

    fn reacts(&self) -> bool {
        true
    }

    fn react(&mut self, outcome: &Outcome, _: &mut Vec<Arrival>) {
        let one = (outcome.arrival.at, outcome.final_at);
        self.outcomes.borrow_mut().push(one);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, exactly")]
mod tests {
    use super::*;

    /// What a check gets.
    fn got(check: &str, params: &str) -> f64 {
        let got = FAMILY.got(check, params);
        got.unwrap_or_else(|e| panic!("{check} {params}: {e}"))
    }

    #[test]
    fn laws_of_the_table_hold() {
        for case in FAMILY.cases().expect("well-formed") {
            let got = got(&case.check, &case.parameters);
            let law = case.tier == super::super::Tier::A;
            assert!(!law || case.holds(got), "{}: {got}", case.id);
        }
    }

    /// The laws of the table at every size, and what Besu leaves out of a flood.
    #[test]
    fn counts_hold_at_every_size() {
        // Two of three decide, so that one may commit before it has sent its own Commit.
        for n in [1, 2].into_iter().chain(4..=16_u32).chain([25]) {
            let q = (2 * n).div_ceil(3);
            let late = n * (n - q) * n.saturating_sub(2);
            for (engine, sent) in [("qbft", 2 * n + 1), ("ibft2", 2 * n)] {
                let count = |gossip| {
                    let params = format!("engine={engine};n={n};gossip={gossip}");
                    got("messages", &params)
                };
                assert_eq!(count("direct"), f64::from(sent * (n - 1)), "{engine} {n}");
                let flood = sent * (n - 1) * (n - 1);
                assert_eq!(count("flood"), f64::from(flood), "{engine} {n}");
                if n > 2 {
                    // Two validators of two commit before the last of their votes is there.
                    assert_eq!(count("besu-flood"), f64::from(flood - late), "{engine} {n}");
                }
            }
            let (p, c) = (108.0, 176.0);
            let each = f64::from(n * (n - 1));
            let bytes = got("vote_bytes", &format!("engine=qbft;n={n}"));
            assert_eq!(bytes, each * (p + c), "{n}");
            let bytes = got("vote_bytes", &format!("engine=ibft2;n={n}"));
            let prepares = f64::from((n - 1) * (n - 1));
            assert_eq!(bytes, prepares * 117.0 + each * 185.0, "{n}");
        }
    }

    #[test]
    fn crashes_are_borne_up_to_the_quorum_at_every_size() {
        for engine in ["qbft", "ibft2"] {
            for n in 1..=8_u32 {
                let most = got("most_crashed", &format!("engine={engine};n={n}"));
                assert_eq!(most, f64::from(n / 3), "{engine} {n}");
            }
        }
    }

    /// `T·(2^r − 1) + 4d` for drawn delays and timeouts, and three delays without a failure.
    #[test]
    fn latencies_hold_for_drawn_delays() {
        let mut draws = Seed::new(1, 0).stream("laws", 0);
        for _ in 0..40 {
            let engine = ["qbft", "ibft2"][draws.below(2) as usize];
            let (n, d) = (4 + draws.below(7) as u32, 1 + draws.below(90));
            let (failed, t) = (
                1 + draws.below(u64::from((n - 1) / 3)),
                600 + draws.below(3_000),
            );
            let (s, timeout_s) = (d as f64 / 1e3, t as f64 / 1e3);
            let params = format!("engine={engine};n={n};d_s={s}");
            let close = |got: f64, want: f64| {
                assert!((got - want).abs() < 1e-9, "{params}: {got} is not {want}");
            };
            let more = format!("{params};failed={failed};timeout_s={timeout_s}");
            let want = timeout_s * f64::from((1_u32 << failed) - 1) + 4.0 * s;
            close(got("failed_proposers_s", &more), want);
            let quiet = format!("{params};period_s=0.9");
            close(got("commit_ms", &quiet), 3.0 * d as f64);
            close(got("interval_s", &quiet), 0.9);
        }
    }

    #[test]
    fn a_round_shows_its_tail() {
        for (rate, period) in [(50.0, 2.0), (150.0, 0.5), (700.0, 1.0)] {
            let params = format!(
                "engine=ibft2;n=4;period_s={period};d_ms=50;rate={rate};txs=1000;rounds=60;entry=all;\
                 tx_bytes=110;exec_us=0;block_exec_ms=0;cores=1;costs=free"
            );
            let want = 1_000.0 / (1_000.0 / rate + period / 2.0 + 0.15 + 0.75 * 0.05);
            let tps = got("round_tps", &params);
            assert!(
                (tps - want).abs() < 0.06 * want,
                "{rate}: {tps}, not {want}"
            );
        }
    }
}
