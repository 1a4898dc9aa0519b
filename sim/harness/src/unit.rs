//! One unit: a cell's replication, from plan to the kernel's report.

use crate::engines::AnyEngine;
use crate::plan::{CorruptPlan, FaultPlan, Kind, Plan, ReadLevel, VoteChecks as PlanVoteChecks};
use crate::resilience::Day;
use crate::workload::Workload;
use crate::{costs, execution, mempool, outages, resilience, stats, told, tune};
use quorate_core::finality::Level;
use quorate_core::{
    Adversary, Corrupt, Engine, Execution, Facts, Fault, FaultKind, Finality, Invalid, NodeId,
    Promises, Seed, Span, Time, byzantine_bound,
};
use quorate_kernel::probe::LatencyHistogram;
use quorate_kernel::{Forms, Report, RunLimits, Setup, Status, Trace, VoteChecks};
use serde::{Deserialize, Serialize};

/// Which unit of a plan to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Index into the plan's engines.
    pub engine: usize,
    /// Offered writes per second; `None` replays the workload as it is.
    pub offered_tps: Option<f64>,
    /// The replication.
    pub replication: u32,
    /// What is changed against the plan, to find what limits an engine.
    pub tweak: Tweak,
}

/// A counterfactual: one resource twice as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tweak {
    /// As planned.
    None,
    /// Uplinks and downlinks twice as fast.
    Bandwidth,
    /// CPUs twice as fast.
    Cpu,
    /// Blocks twice as large, by every limit.
    BlockSpace,
    /// Latencies halved.
    Latency,
    /// Time between blocks halved.
    Interval,
    /// Time between blocks shorter by so many quarters of an octave, see [`crate::tune`].
    Tuned(u8),
    /// The plan's own faults, plus the first site's node down from the start.
    SiteDown,
    /// The plan's own faults, plus a bad day.
    Bad(Day),
}

impl Tweak {
    /// Those that ask what limits an engine.
    pub const LIMITS: [Self; 5] = [
        Self::Bandwidth,
        Self::Cpu,
        Self::BlockSpace,
        Self::Latency,
        Self::Interval,
    ];

    /// What it is called in a verdict.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "as planned",
            Self::Bandwidth => "bandwidth",
            Self::Cpu => "CPU",
            Self::BlockSpace => "block space",
            Self::Latency => "network latency",
            Self::Interval => "block interval",
            Self::Tuned(step) => tune::name(step),
            Self::SiteDown => "one site down",
            Self::Bad(day) => day.name(),
        }
    }
}

/// Keys of engines that set the time between blocks, and block limits.
pub(crate) const INTERVAL_KEYS: [&str; 10] = [
    "period_ms",
    "period_s",
    "request_timeout_ms",
    "block_interval_s",
    "slot_ms",
    "step_s",
    "round_ms",
    "timeout_commit_ms",
    "batch_timeout_ms",
    "mint_interval_ms",
];
pub(crate) const SPACE_KEYS: [&str; 5] = [
    "block_bytes",
    "preferred_bytes",
    "block_txs",
    "block_exec_ms",
    "gas_limit",
];

/// What an engine is under a plan, before anything is simulated.
#[derive(Clone, Debug)]
pub struct EngineSheet {
    /// What the protocol is.
    pub facts: Facts,
    /// Its promises with the plan's nodes.
    pub promises: Promises,
    /// See [`Engine::may_stall`].
    pub may_stall: bool,
    /// How blocks become final against the plan's adversary, or why they never do.
    pub finality: Result<Finality, String>,
    /// The adversary.
    pub adversary: Adversary,
    /// Its configuration, fully resolved.
    pub resolved: toml::Table,
    /// Members of the committee.
    pub committee: Vec<NodeId>,
    /// Copies of a block that leave one uplink in turn, see [`Engine::copies`].
    pub copies: u32,
    /// How blocks are executed.
    pub execution: Execution,
    /// The shortest mean time between full blocks, see [`Engine::least_interval`].
    pub least_interval: Option<Span>,
}

/// Checks an engine's configuration against the plan.
///
/// # Errors
/// The key within its table, what is wrong and what to do.
pub fn check<E: Engine>(plan: &Plan, config: &E::Config) -> Result<(), Invalid> {
    let n = plan.network.nodes;
    E::validate(config, n)?;
    let corrupt = plan.adversary.corrupt.unwrap_or(0);
    let promises = E::promises(config, n);
    let votes = E::FACTS.agreement == quorate_core::Agreement::CommitteeVote;
    if votes && corrupt > promises.byzantine {
        return Err(Invalid {
            key: "validators",
            why: format!(
                "is too small a committee for adversary.corrupt = {corrupt}: it bears {} liars",
                promises.byzantine
            ),
            hint: format!(
                "use at least {} validators, or fewer corrupt ones",
                3 * corrupt + 1
            ),
        });
    }
    Ok(())
}

/// Checks the configuration of one of the plan's engines.
///
/// # Errors
/// See [`check`].
pub fn check_engine(plan: &Plan, engine: usize) -> Result<(), Invalid> {
    let entry = &plan.engines[engine];
    entry.engine().check(plan, &entry.config)
}

/// What an engine is under a plan. The plan must be checked.
pub fn sheet(plan: &Plan, engine: usize) -> EngineSheet {
    let entry = &plan.engines[engine];
    let mut sheet = entry.engine().sheet(plan, &entry.config);
    let preset = entry.config.get("preset").and_then(toml::Value::as_str);
    if let Some(preset) = preset.or(entry.engine().presets().first().copied()) {
        sheet.facts.standing = entry.engine().standing(preset);
    }
    sheet
}

/// The same for a known type.
pub fn sheet_of<E: Engine>(plan: &Plan, config: &E::Config) -> EngineSheet {
    let n = plan.network.nodes;
    let committee: Vec<NodeId> = E::committee(config, n).members().collect();
    let adversary = adversary(plan, committee.len() as u32);
    EngineSheet {
        facts: E::FACTS,
        promises: E::promises(config, n),
        may_stall: E::may_stall(config),
        finality: E::finality(config, &adversary),
        adversary,
        resolved: toml::Table::try_from(config).expect("a configuration is a table"),
        committee,
        copies: E::copies(config, n),
        execution: E::execution(config),
        least_interval: E::least_interval(config, n),
    }
}

/// The plan's adversary against a committee of so many: nodes that only follow have no share. Its
/// delay is the mean over pairs of nodes of latency with jitter: what a block needs at least. The
/// delay that the run then measures stands beside it in the results.
fn adversary(plan: &Plan, members: u32) -> Adversary {
    let all = byzantine_bound(members);
    let corrupt = plan.adversary.corrupt.unwrap_or(all).min(members);
    let network = plan.network.config(Tweak::None, Seed::new(plan.seed, 0));
    let mean = network.mean_latency();
    Adversary {
        share: f64::from(corrupt) / f64::from(members),
        risk: plan.adversary.final_risk,
        safe_risk: plan.adversary.safe_risk,
        delay: mean.scale(1_000 + u64::from(network.jitter.permille()), 1_000),
    }
}

fn faults(plan: &Plan, key: Key) -> Vec<Fault> {
    let fault = |f: &FaultPlan| f.fault(plan.machines()).expect("the plan was checked");
    let mut faults: Vec<Fault> = plan.faults.iter().map(fault).collect();
    faults.extend(outages::faults(plan));
    match key.tweak {
        Tweak::SiteDown => faults.push(Fault {
            from: Time::ZERO,
            until: Time::NEVER,
            what: FaultKind::Crash(vec![0]),
        }),
        Tweak::Bad(day) => faults.extend(resilience::Case::new(plan, key.engine, day).fault()),
        _ => {}
    }
    faults
}

fn corrupt(plan: &Plan, key: Key, sites: u32) -> Vec<Corrupt> {
    let world = crate::corrupt::World {
        nodes: plan.network.nodes,
        sites,
    };
    let entry = |c: &CorruptPlan| c.corrupt(world).expect("the plan was checked");
    let mut entries: Vec<Corrupt> = plan.corrupt.iter().map(entry).collect();
    if let Tweak::Bad(day) = key.tweak {
        entries.extend(resilience::Case::new(plan, key.engine, day).liars());
    }
    entries
}

/// The engine's table with a counterfactual applied. Keys that follow from others follow the
/// changed ones.
pub(crate) fn tweaked(engine: &dyn AnyEngine, config: &toml::Table, tweak: Tweak) -> toml::Table {
    let (keys, factor): (&[&str], f64) = match tweak {
        Tweak::Interval => (&INTERVAL_KEYS, 0.5),
        Tweak::Tuned(step) => (&INTERVAL_KEYS, tune::factor(step)),
        Tweak::BlockSpace => (&SPACE_KEYS, 2.0),
        _ => return config.clone(),
    };
    scaled(engine, config, keys, factor)
}

/// The engine's table with some of its numbers scaled.
pub(crate) fn scaled(
    engine: &dyn AnyEngine,
    config: &toml::Table,
    keys: &[&str],
    factor: f64,
) -> toml::Table {
    let resolved = &engine.resolved(config);
    let mut table = shortest(engine, resolved);
    if keys == INTERVAL_KEYS {
        // Half of a whole second is none; the engine's default follows the period.
        table.remove("whole_second_timestamps");
    }
    for &key in keys {
        let changed = match resolved.get(key) {
            // Half of a second that is the least is a second.
            Some(toml::Value::Integer(i)) => {
                toml::Value::Integer(((*i as f64 * factor) as i64).max(1_i64.min(*i)))
            }
            Some(toml::Value::Float(x)) => toml::Value::Float(x * factor),
            _ => continue,
        };
        table.insert(key.to_owned(), changed);
    }
    table
}

/// The settings without those that follow from the others: the same whether a plan leaves them out
/// or spells them out.
fn shortest(engine: &dyn AnyEngine, resolved: &toml::Table) -> toml::Table {
    let mut table = resolved.clone();
    for key in resolved.keys() {
        let mut without = table.clone();
        without.remove(key);
        if engine.resolved(&without) == *resolved {
            table = without;
        }
    }
    table
}

/// How one of the plan's engines is final, and its mean time between blocks.
pub(crate) fn finality(plan: &Plan, engine: usize) -> (Result<Finality, String>, Span) {
    let entry = &plan.engines[engine];
    let (engine, nodes) = (entry.engine(), plan.network.nodes);
    let members = engine.committee(&entry.config, nodes).len();
    (
        engine.finality(&entry.config, &adversary(plan, members)),
        engine.promises(&entry.config, nodes).interval,
    )
}

/// Everything about a unit that a setup needs; shared with tests that drive the kernel themselves.
pub fn setup(
    plan: &Plan,
    key: Key,
    finality: Finality,
    workload: &Workload,
    horizon: Time,
    seed: Seed,
) -> Setup {
    let n = plan.network.nodes;
    let level = match plan.node.read_level {
        ReadLevel::Included => Level::Included,
        ReadLevel::Safe => Level::Safe,
        ReadLevel::Final => Level::Final,
    };
    Setup {
        network: plan.network.config(key.tweak, seed),
        cores: plan.node.cores,
        cpu_speed: if key.tweak == Tweak::Cpu { 2 } else { 1 },
        costs: costs::of(&plan.node),
        vote_checks: match plan.node.vote_checks {
            PlanVoteChecks::OwnCore => VoteChecks::OwnCore,
            PlanVoteChecks::Shared => VoteChecks::Shared,
        },
        mempool: mempool::config(plan, workload, key),
        endorse: execution::endorse(plan),
        faults: faults(plan, key),
        corrupt: corrupt(plan, key, workload.sites()),
        finality,
        tolerated: byzantine_bound(n),
        serving: (0..workload.sites()).map(|s| NodeId::new(s % n)).collect(),
        horizon,
        drain: Span::from_s_f64(plan.load.drain_s),
        may_cut: is_steady(plan, key),
        read_level: level,
        view_age: plan.node.view_age(),
        limits: RunLimits {
            events: plan.limits.events,
            pending: plan.limits.pending as usize,
        },
        forms: Forms::FAST,
        trace: None,
        seed,
    }
}

/// Whether a warm-up is cut off, and a hopeless run given up. On a bad day things pile up.
pub(crate) fn is_steady(plan: &Plan, key: Key) -> bool {
    let bad = matches!(key.tweak, Tweak::Bad(_));
    let is_whole = matches!(plan.kind, Kind::Check | Kind::Scenario);
    key.offered_tps.is_some() && !is_whole && !bad
}

/// How a unit counts in the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitStatus {
    /// Steady and accounted for.
    Ok,
    /// The backlog grew, or more was pending than allowed.
    Saturated,
    /// The warm-up did not end within the first half.
    NotSteady,
    /// Nothing became final.
    NoCommit,
    /// Given up: too many events, or the drain ended before all was final.
    Limit,
    /// A protocol's promise was broken.
    SafetyViolation,
}

impl UnitStatus {
    /// The name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Saturated => "saturated",
            Self::NotSteady => "not_steady",
            Self::NoCommit => "no_commit",
            Self::Limit => "limit",
            Self::SafetyViolation => "safety_violation",
        }
    }
}

/// A finished unit.
#[derive(Clone)]
pub struct Done {
    /// Which.
    pub key: Key,
    /// How it counts.
    pub status: UnitStatus,
    /// Slices cut off as warm-up.
    pub cut_slices: usize,
    /// The kernel's report, warm-up cut.
    pub report: Report,
    /// Latencies of all classes together, by level.
    pub all: [LatencyHistogram; 3],
}

/// Runs one unit. The plan must be checked and the engine's finality must exist.
pub fn run(plan: &Plan, workload: &Workload, sheet: &EngineSheet, key: Key) -> Done {
    run_traced(plan, workload, sheet, key, None)
}

/// The same, and somebody is told what happens on the way.
pub fn run_traced(
    plan: &Plan,
    workload: &Workload,
    sheet: &EngineSheet,
    key: Key,
    trace: Option<Trace>,
) -> Done {
    let finality = sheet
        .finality
        .clone()
        .expect("an engine without finality is not run");
    let seed = Seed::new(plan.seed, key.replication);
    let horizon = workload.horizon(plan, key);
    let mut setup = setup(plan, key, finality, workload, horizon, seed);
    let entry = &plan.engines[key.engine];
    let engine = entry.engine();
    let table = engine.tweaked(&entry.config, key.tweak);
    let unit = (sheet, key.offered_tps);
    outages::strike_leaders(plan, workload, (engine, &table), unit, &mut setup);
    resilience::strike_leader(plan, workload, (sheet, key), &table, &mut setup);
    // Not before: to find a leader the unit is run up to then.
    if let Some(trace) = &trace {
        trace.record().faults.clone_from(&setup.faults);
    }
    setup.trace = trace;
    let built = workload.open(key.offered_tps, seed);
    let domain = built.domain.filter(|_| plan.is_measured());
    let rules = (built.ledger.as_ref(), domain);
    let mut report = engine.run(&table, &sheet.adversary, setup, built.load, rules);
    let (mut status, cut_slices) = settle(&mut report, is_steady(plan, key), plan.confidence);
    if plan.kind == Kind::Scenario && status == UnitStatus::Ok && is_cut_short(&report) {
        status = UnitStatus::Limit;
    }
    told::tell_reads(plan, &mut report);
    Done::new(key, status, cut_slices, report)
}

impl Done {
    /// What follows from the report is made here.
    pub(crate) fn new(key: Key, status: UnitStatus, cut_slices: usize, report: Report) -> Self {
        Self::read(key, status, cut_slices, report).expect("a bucket holds fewer than 2^32")
    }

    /// The same from a report that was read; `None` where it is none of a unit's.
    pub(crate) fn read(
        key: Key,
        status: UnitStatus,
        cut_slices: usize,
        report: Report,
    ) -> Option<Self> {
        let [a, b, c] = Level::ALL.map(|level| merged(&report, level));
        Some(Self {
            key,
            status,
            cut_slices,
            report,
            all: [a?, b?, c?],
        })
    }
}

fn merged(report: &Report, level: Level) -> Option<LatencyHistogram> {
    let mut all = LatencyHistogram::default();
    for class in &report.probe.classes {
        all.checked_add(&class.latency[level as usize])?;
    }
    Some(all)
}

/// Cuts the warm-up and judges whether the unit was steady.
fn settle(report: &mut Report, steady: bool, confidence: f64) -> (UnitStatus, usize) {
    let status = match report.status {
        Status::Ok => UnitStatus::Ok,
        Status::NoCommit => UnitStatus::NoCommit,
        Status::Saturated => UnitStatus::Saturated,
        Status::Limit => UnitStatus::Limit,
        Status::SafetyViolation => UnitStatus::SafetyViolation,
    };
    if !steady {
        return (status, 0);
    }
    if status != UnitStatus::Ok {
        report.probe.cut(0);
        return (status, 0);
    }
    let cut = stats::mser5(&report.probe.latency_series_us());
    let slices = cut.unwrap_or(0);
    report.probe.cut(slices);
    let status = if is_saturated(report, confidence) {
        UnitStatus::Saturated
    } else if is_cut_short(report) {
        UnitStatus::Limit
    } else if cut.is_none() {
        UnitStatus::NotSteady
    } else {
        UnitStatus::Ok
    };
    (status, slices)
}

/// A trend or a remainder below this share of the offered load is noise.
// assumption: the 1 % of the definition of the knee (goodput at least 99 % of the offered load).
const MATERIAL: f64 = 0.01;

/// How rarely a stationary backlog may look as if it grew: one unit in so many times `1 − confidence`.
// assumption: a sweep has about this many units in a column.
const UNITS: f64 = 50.0;

/// Whether the backlog of the second half grows significantly and materially.
fn is_saturated(report: &Report, confidence: f64) -> bool {
    let probe = &report.probe;
    let half = probe.backlog.len() / 2;
    let backlog: Vec<f64> = probe.backlog[half..].iter().map(|&b| b as f64).collect();
    let offered: u64 = probe.offered[half..].iter().sum();
    let growth = stats::slope(&backlog).map_or(0.0, |t| t.slope * backlog.len() as f64);
    let grows = stats::is_growing(&backlog, 1.0 - (1.0 - confidence) / UNITS);
    grows && growth > MATERIAL * offered as f64
}

/// Whether the drain ended before what was submitted in the window was final.
fn is_cut_short(report: &Report) -> bool {
    let classes = &report.probe.classes;
    let submitted: u64 = classes.iter().map(|c| c.submitted).sum();
    let settled: u64 = classes.iter().map(settled).sum();
    submitted.saturating_sub(settled) as f64 > MATERIAL * submitted as f64
}

/// Measured transactions of a class that are final, whatever the verdict, or dropped.
pub fn settled(class: &quorate_kernel::probe::ClassCounts) -> u64 {
    class.valid + class.expired + class.dropped + class.rejected.iter().sum::<u64>()
}
