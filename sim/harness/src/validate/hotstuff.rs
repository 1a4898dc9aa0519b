//! HotStuff and Jolteon: messages and delays in the kernel, and the published benchmark of Jolteon.

use super::logged::{self, All, Note, What};
use super::world::World;
use super::{Check, Family, Params, shared};
use crate::places;
use quorate_consensus::Presets as _;
use quorate_consensus::hotstuff::{CommitRule, Config, HotStuff, Rotation, Variant};
use quorate_core::{Costs, Engine, Level, Span};
use quorate_kernel::{NetworkConfig, Report, Status};

/// Votes of one leader's certificates.
pub const FAMILY: Family = Family {
    name: "hotstuff",
    known: include_str!("known/hotstuff.csv"),
    checks: &[
        Check {
            name: "messages",
            run: messages,
        },
        Check {
            name: "decision_ms",
            run: decision_ms,
        },
        Check {
            name: "throughput",
            run: |params| benchmark(params, |b| b.committed_per_s),
        },
        Check {
            name: "latency_ms",
            run: |params| benchmark(params, |b| b.latency_ms),
        },
    ],
};

/// The parameters that all laws share.
struct Basis {
    n: u32,
    delay: Span,
    config: Config,
}

impl Basis {
    /// `n` validators, `d_ms` between any two; `variant`, `commit_rule` and `rotation` as in a plan.
    fn read(params: &Params) -> Result<Self, String> {
        let n = params.u32("n")?;
        let config = Config {
            variant: match params.text("variant")? {
                "chained" => Variant::Chained,
                "basic" => Variant::Basic,
                other => return Err(format!("`variant = {other}` is neither chained nor basic")),
            },
            commit_rule: match params.maybe("commit_rule").unwrap_or("three-chain") {
                "three-chain" => CommitRule::ThreeChain,
                "two-chain" => CommitRule::TwoChain,
                other => return Err(format!("`commit_rule = {other}` is no rule")),
            },
            rotation: match params.maybe("rotation").unwrap_or("on-timeout") {
                "every-view" => Rotation::EveryView,
                "on-timeout" => Rotation::OnTimeout,
                other => return Err(format!("`rotation = {other}` is no rotation")),
            },
            empty_blocks: true,
            ..Config::default()
        };
        let delay = Span::from_ms_f64(params.number_or("d_ms", 50.0)?);
        if n < 2 || delay.is_zero() {
            return Err(
                "one validator sends nothing, and without a delay time stands still".into(),
            );
        }
        let longest = Span::from_ms(config.view_timeout_ms);
        if delay * 8 >= longest {
            return Err(format!("views of {} time out", delay * 8));
        }
        HotStuff::validate(&config, n).map_err(|e| format!("`{}`: {}", e.key, e.why))?;
        Ok(Self { n, delay, config })
    }

    fn run(&self, horizon: Span) -> Result<(Report, Vec<Note>), String> {
        let world = World::new(self.n, self.delay, horizon);
        let (report, log) = logged::run::<HotStuff, All>(&world, &self.config);
        match report.status {
            Status::Ok | Status::NoCommit => Ok((report, log)),
            status => Err(format!("{status:?}: {:?}", report.violation)),
        }
    }
}

/// A block: chained a proposal and a vote, basic four of each with new-view and decide.
fn messages(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let blocks: u64 = params.number_or("blocks", 20)?;
    // Until the last vote, or the last decision, is out and the next view has not begun.
    let half = Span::from_ns(basis.delay.ns() / 2);
    let (views, end) = match basis.config.variant {
        Variant::Chained => (blocks, basis.delay * (2 * blocks - 1) + half),
        Variant::Basic => (blocks, basis.delay * (8 * blocks - 1) + half),
    };
    let (report, _) = basis.run(end)?;
    let messages: u64 = report.traffic.iter().map(|(_, t)| t.messages).sum();
    if report.chain.built != views {
        return Err(format!("{} blocks", report.chain.built));
    }
    Ok(messages as f64 / views as f64)
}

/// From the proposal of the first block until every replica but its leader has committed it.
fn decision_ms(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params)?;
    let (_, log) = basis.run(basis.delay * 12)?;
    let first = |what| move |note: &&Note| (note.what, note.height) == (what, 1);
    let built = log.iter().find(first(What::Built)).ok_or("no block")?;
    let others = log.iter().filter(first(What::Committed));
    let others: Vec<&Note> = others.filter(|n| n.node != built.node).collect();
    let last = others.iter().map(|n| n.at).max();
    match last {
        Some(last) if others.len() as u32 == basis.n - 1 => {
            Ok(last.since(built.at).as_s() * 1_000.0)
        }
        _ => Err(format!("{} replicas committed", others.len())),
    }
}

/// Where the benchmark ran: us-east-1, eu-north-1, ap-southeast-2, us-west-1, ap-northeast-1. The
/// table has no eu-north-1; eu-central-1 is the next of its regions, about 20 ms there and back.
const REGIONS: [&str; 5] = [
    "us-east-1",
    "eu-central-1",
    "ap-southeast-2",
    "us-west-1",
    "ap-northeast-1",
];

/// source: Amazon EC2, m5d.8xlarge: 10 Gbit/s, 32 virtual processors.
const UPLINK_BPS: u64 = 10_000_000_000;
const CORES: u32 = 32;

/// What the benchmark's scripts read from its logs.
struct Benchmark {
    committed_per_s: f64,
    latency_ms: f64,
}

/// `n` nodes in turn in the five regions, a client at each, `rate` transactions of 512 B a second
/// altogether for `load_s`. The benchmark stopped its nodes after 300 s: what was submitted within a
/// latency of that was not committed.
fn benchmark(params: &Params, figure: fn(&Benchmark) -> f64) -> Result<f64, String> {
    /// source: asonnino/hotstuff@dc01ac8 benchmark/data/2-chain: execution time.
    const RUN_S: f64 = 300.0;
    let (n, rate) = (params.u32("n")?, params.f64("rate")?);
    let load_s: u64 = params.number("load_s")?;
    if n < 4 || rate.is_nan() || rate <= 0.0 || load_s == 0 {
        return Err("a benchmark needs four nodes, a load, and time".to_owned());
    }
    let key = format!("{n} {rate} {load_s}");
    let result = shared("hotstuff.benchmark", &key, || {
        let report = run_benchmark(n, rate, load_s)?;
        let latency = &report.probe.classes[0].latency[Level::Final as usize];
        let latency_s = latency.mean() / 1e6;
        let submitted = report.conservation.submitted as f64 / report.ended.as_s();
        Ok(Benchmark {
            committed_per_s: submitted * (1.0 - latency_s / RUN_S),
            latency_ms: latency_s * 1_000.0,
        })
    });
    result.as_ref().as_ref().map(figure).map_err(Clone::clone)
}

fn run_benchmark(n: u32, rate: f64, load_s: u64) -> Result<Report, String> {
    let regions: Vec<String> = REGIONS.iter().map(|&r| r.to_owned()).collect();
    let one_way = places::latencies(&regions)?;
    let region_of = (0..n).map(|i| (i % 5) as u8).collect();
    let mut world = World::new(n, Span::ZERO, Span::from_s(load_s)).offered(rate, n);
    // source: asonnino/hotstuff@dc01ac8 benchmark/data/2-chain: transactions of 512 B.
    world.offered.bytes = 512;
    let setup = &mut world.setup;
    setup.network = NetworkConfig::alike(region_of, one_way, UPLINK_BPS, UPLINK_BPS);
    setup.costs = Costs::REFERENCE;
    setup.cores = CORES;
    setup.drain = Span::from_s(30);
    let config = Config::preset("jolteon").expect("it is there");
    let report = world.run::<HotStuff>(&config);
    match report.status {
        Status::Ok => Ok(report),
        status => Err(format!("{status:?}: {:?}", report.violation)),
    }
}
