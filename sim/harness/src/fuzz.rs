//! The swarm: each seed draws an engine, its settings, a network, a load and faults, and the run must
//! keep what the protocol promises. Safety is held always; once all faults are over, everything that
//! was submitted must become final; and where more members are down than the protocol bears, nothing
//! may become final at all.
//!
//! What a seed draws is a plan, so that any seed can be looked at, changed and run by itself.

use crate::engines::{self, AnyEngine};
use crate::error::{Error, exit};
use crate::plan::{FaultPlan, Plan, Source};
use crate::run::STOP;
use crate::unit::{self, EngineSheet, Key, Tweak};
use crate::workload::Workload;
use indicatif::{ProgressBar, ProgressStyle};
use quorate_core::{Draws, Guarantee, Seed};
use quorate_kernel::{Report, Status};
use rayon::prelude::*;
use std::fmt::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// What the faults of a seed allow to be expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// No more members are down or cut off at once than the protocol bears, and all come back.
    Within,
    /// Any nodes may be down or cut off, all at once too, but all come back.
    Healed,
    /// From the start, for good, one member more is down than the protocol bears.
    Beyond,
}

/// A seed's run, not yet started.
pub struct Draw {
    /// The plan; it has one engine, one load and no more than one replication is run.
    pub plan: Plan,
    /// What its faults are.
    pub faults: Faults,
}

/// How a seed ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub seed: u64,
    /// The engine.
    pub engine: &'static str,
    /// What its faults were.
    pub faults: Faults,
    /// What was broken: the exit code and the evidence.
    pub broken: Option<(u8, String)>,
    /// Blocks that became final.
    pub blocks: u64,
    /// Views given up.
    pub round_changes: u64,
    /// Blocks that a node had called final and then left, or that contradict another node's.
    pub reversed: u64,
}

/// Writes in a run.
// assumption: enough that blocks overlap with faults, few enough for some ten milliseconds a seed.
const WRITES: f64 = 200.0;
/// Mean intervals between blocks in a run.
const INTERVALS: f64 = 60.0;
/// No run is shorter, s.
// assumption: several elections and time-outs of the defaults.
const SHORTEST_S: f64 = 60.0;
/// How many times its length a run may take to make everything final: round time-outs double, and
/// what an outage cost is paid again after it.
const PATIENCE: f64 = 40.0;

/// Draws a seed's plan; `only` fixes the engine.
///
/// # Errors
/// An engine that is not there, or whose defaults do not work with the nodes that were drawn.
pub fn draw(seed: u64, only: Option<&str>) -> Result<Draw, Error> {
    let d = &mut Seed::new(seed, 0).stream("fuzz", 0);
    let all = engines::ledgers();
    let drawn = all[d.below(all.len() as u64) as usize];
    let engine = match only {
        None => drawn,
        Some(name) => engines::find(name).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|e| e.name()).collect();
            Error::config(
                format!("--engine {name}: no such engine"),
                format!("engines: {}", names.join(", ")),
            )
        })?,
    };
    let nodes = pick(d, &[2, 3, 4, 4, 5, 6, 7, 7, 9, 10, 13]);
    let (plan, sheet) = settle(seed, engine, nodes, d)?;
    Ok(schedule(plan, &sheet, d))
}

fn pick<T: Copy>(d: &mut Draws, of: &[T]) -> T {
    of[d.below(of.len() as u64) as usize]
}

/// A plan with drawn settings of the engine, or with fewer of them where they do not fit together.
fn settle(
    seed: u64,
    engine: &dyn AnyEngine,
    nodes: u32,
    d: &mut Draws,
) -> Result<(Plan, EngineSheet), Error> {
    let presets = engine.presets();
    let mut config = toml::Table::new();
    if !presets.is_empty() {
        config.insert("preset".to_owned(), pick(d, presets).into());
    }
    let mut tweaks = tweaks(&engine.resolved(&config), nodes, d);
    let network = network(nodes, d);
    loop {
        let mut table = config.clone();
        table.extend(tweaks.iter().cloned());
        let text = text(seed, engine, &table, &network);
        let plan = Source::new(format!("seed {seed}"), text).plan(&[]);
        match plan {
            Ok(mut plan) => {
                let sheet = unit::sheet(&plan, 0);
                plan.network.one_way_ms = Some(latency_ms(&sheet, d));
                return Ok((plan, sheet));
            }
            // Settings that contradict each other, or a preset of more nodes: one less.
            Err(_) if !tweaks.is_empty() => drop(tweaks.pop()),
            Err(_) if !config.is_empty() => config.clear(),
            Err(error) => return Err(error),
        }
    }
}

/// Some of an engine's settings changed: switches turned, times scaled, fewer members.
fn tweaks(resolved: &toml::Table, nodes: u32, d: &mut Draws) -> Vec<(String, toml::Value)> {
    let scale = pick(d, &[0.25, 0.5, 1.0, 1.0, 1.0, 2.0]);
    let mut list = Vec::new();
    for (key, value) in resolved {
        let changed = match value {
            toml::Value::Boolean(on) if d.chance(0.2) => toml::Value::Boolean(!on),
            toml::Value::Integer(i) if unit::INTERVAL_KEYS.contains(&key.as_str()) => {
                ((*i as f64 * scale) as i64).max(1).into()
            }
            toml::Value::Float(x) if unit::INTERVAL_KEYS.contains(&key.as_str()) => {
                (x * scale).into()
            }
            toml::Value::Integer(0) if crate::study::COMMITTEE_KEYS.contains(&key.as_str()) => {
                match d.below(4) {
                    0 => (1 + d.below(u64::from(nodes)) as i64).into(),
                    _ => continue,
                }
            }
            _ => continue,
        };
        list.push((key.clone(), changed));
    }
    list
}

/// The table `[network]` but for the latency.
fn network(nodes: u32, d: &mut Draws) -> String {
    let mbps = pick(d, &[0.0, 0.0, 100.0, 1_000.0]);
    let mut text = format!(
        "nodes = {nodes}\nregions = [\"one\"]\none_way_ms = 1.0\njitter_permille = {}\nuplink_mbps = {mbps:.1}\ndownlink_mbps = {mbps:.1}\n",
        pick(d, &[0, 50, 300])
    );
    if nodes > 4 && d.chance(0.2) {
        let _ = writeln!(text, "outbound = 3");
    }
    if d.chance(0.2) {
        let _ = writeln!(text, "loss_permille = {:.1}", pick(d, &[1.0, 20.0]));
    }
    text
}

/// One way, small against every time-out of the engine: what it is built for.
fn latency_ms(sheet: &EngineSheet, d: &mut Draws) -> f64 {
    let times = sheet.resolved.iter().filter_map(|(key, value)| {
        let number = value
            .as_float()
            .or_else(|| value.as_integer().map(|i| i as f64))?;
        let ms = if key.ends_with("_ms") {
            number
        } else if key.ends_with("_s") {
            number * 1e3
        } else {
            return None;
        };
        (ms > 0.0).then_some(ms)
    });
    let shortest = times.fold(1_000.0, f64::min);
    let most = shortest / 10.0;
    let fits: Vec<f64> = [0.5, 2.0, 10.0, 40.0, 100.0]
        .into_iter()
        .filter(|l| *l <= most)
        .collect();
    if fits.is_empty() {
        most
    } else {
        pick(d, &fits)
    }
}

fn text(seed: u64, engine: &dyn AnyEngine, config: &toml::Table, network: &str) -> String {
    let config = config.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key} = {value}");
        text
    });
    format!(
        "name = \"seed-{seed}\"\nkind = \"curve\"\nseed = {seed}\nreplications = 2\n\n\
         [network]\n{network}\n[workload]\nname = \"hospital\"\npreset = \"clinic\"\n\
         most_patients = 200\n\n[load]\noffered_tps = [1.0]\n\n[limits]\nevents = 50000000\n\n\
         [[engines]]\nname = \"{}\"\n\n[engines.config]\n{config}",
        engine.name()
    )
}

/// Fills in how long, how much, and what goes wrong.
fn schedule(mut plan: Plan, sheet: &EngineSheet, d: &mut Draws) -> Draw {
    let length_s = (INTERVALS * sheet.promises.interval.as_s())
        .max(SHORTEST_S)
        .round();
    plan.load.duration_s = length_s;
    plan.load.offered_tps = vec![WRITES / length_s];
    plan.workload
        .insert("sites".to_owned(), i64::from(plan.network.nodes).into());
    let members: Vec<u32> = sheet.committee.iter().map(|m| m.get()).collect();
    let bears = sheet.promises.crashed;
    // Only where members are alike does their number say what stops them; and where any one carries
    // on alone, nothing does.
    let alike = sheet.promises.quorum + bears == members.len() as u32;
    let halts = alike && sheet.facts.guarantee != Guarantee::Risk;
    let faults = match d.below(8) {
        0 if halts => Faults::Beyond,
        0..=2 => Faults::Healed,
        _ => Faults::Within,
    };
    // What must not happen is not waited for as long as what must.
    let patience = if faults == Faults::Beyond {
        1.0
    } else {
        PATIENCE
    };
    plan.load.drain_s = patience * length_s;
    plan.faults = match faults {
        Faults::Beyond => vec![FaultPlan {
            crash: some(&members, bears as usize + 1, d),
            ..window(0.0, None)
        }],
        Faults::Within => {
            let victims = some(&members, d.below(u64::from(bears) + 1) as usize, d);
            drawn(&victims, plan.network.nodes, length_s, d)
        }
        Faults::Healed => {
            let everybody: Vec<u32> = (0..plan.network.nodes).collect();
            let most = 1 + d.below(u64::from(plan.network.nodes)) as usize;
            let victims = some(&everybody, most, d);
            drawn(&victims, plan.network.nodes, length_s, d)
        }
    };
    Draw { plan, faults }
}

fn window(from_s: f64, until_s: Option<f64>) -> FaultPlan {
    FaultPlan {
        from_s: Some(from_s),
        until_s,
        ..FaultPlan::default()
    }
}

/// So many of them, drawn, in order.
fn some(of: &[u32], count: usize, d: &mut Draws) -> Vec<u32> {
    let mut left = of.to_vec();
    while left.len() > count {
        left.remove(d.below(left.len() as u64) as usize);
    }
    left
}

/// Up to five faults in the first half of the run. Those that stop a node befall the victims only.
fn drawn(victims: &[u32], nodes: u32, length_s: f64, d: &mut Draws) -> Vec<FaultPlan> {
    let everybody: Vec<u32> = (0..nodes).collect();
    let mut list = Vec::new();
    for _ in 0..d.below(6) {
        let from = (length_s * (0.02 + 0.4 * d.open01())).round();
        let until = (from + (length_s * 0.3 * d.open01()).max(1.0))
            .min(length_s / 2.0)
            .round();
        let fault = window(from, Some(until.max(from + 1.0)));
        let hit = some(
            victims,
            1 + d.below(victims.len().max(1) as u64) as usize,
            d,
        );
        let any = some(&everybody, 1 + d.below(u64::from(nodes)) as usize, d);
        list.push(match d.below(8) {
            // Those that stop a node.
            0 | 1 if !hit.is_empty() => FaultPlan {
                crash: hit,
                ..fault
            },
            2 if !hit.is_empty() && hit.len() < nodes as usize => FaultPlan {
                partition: hit,
                ..fault
            },
            3 if !hit.is_empty() && nodes > 1 => FaultPlan {
                wan_cut: hit,
                ..fault
            },
            4 if !hit.is_empty() && hit.len() < nodes as usize => FaultPlan {
                one_way_from: hit,
                ..fault
            },
            // Those that slow it.
            5 => FaultPlan {
                clog: any,
                clog_ms: Some(pick(d, &[5.0, 50.0, 500.0])),
                ..fault
            },
            6 => FaultPlan {
                loss: any,
                loss_permille: Some(pick(d, &[10.0, 200.0])),
                ..fault
            },
            _ => FaultPlan {
                slow_cpu: any,
                speed_permille: Some(pick(d, &[50, 500])),
                ..fault
            },
        });
    }
    list
}

/// Runs a seed to its end.
///
/// # Errors
/// An engine that is not there, or whose defaults do not work with the nodes that were drawn.
pub fn run_one(seed: u64, only: Option<&str>) -> Result<Ended, Error> {
    let draw = draw(seed, only)?;
    let engine = draw.plan.engines[0].engine().name();
    let mut ended = Ended {
        seed,
        engine,
        faults: draw.faults,
        broken: None,
        blocks: 0,
        round_changes: 0,
        reversed: 0,
    };
    match catch_unwind(AssertUnwindSafe(|| simulate(seed, &draw))) {
        Ok(report) => {
            ended.blocks = report.chain.final_height;
            ended.round_changes = report.chain.round_changes;
            ended.reversed = report.chain.reversed_blocks + report.chain.conflicting_finals;
            ended.broken = judge(draw.faults, &report);
        }
        Err(_) => ended.broken = Some((exit::BUG, "a bug: it panicked, see above".to_owned())),
    }
    Ok(ended)
}

fn simulate(seed: u64, draw: &Draw) -> Report {
    let plan = &draw.plan;
    let source = Source::new(format!("seed {seed}"), String::new());
    let workload = Workload::open_plan(&source, plan).expect("the clinic needs no file");
    let sheet = unit::sheet(plan, 0);
    let key = Key {
        engine: 0,
        offered_tps: Some(plan.load.offered_tps[0]),
        replication: 0,
        tweak: Tweak::None,
    };
    let finality = sheet.finality.clone().expect("a weak adversary");
    let streams = Seed::new(plan.seed, 0);
    let horizon = workload.horizon(plan, key);
    let mut setup = unit::setup(plan, key, finality, &workload, horizon, streams);
    setup.may_cut = false;
    let (load, ledger) = workload.open(key.offered_tps, streams);
    let entry = &plan.engines[0];
    entry.engine().run(
        &entry.config,
        &sheet.adversary,
        setup,
        load,
        ledger.as_ref(),
    )
}

/// What a run broke.
fn judge(faults: Faults, report: &Report) -> Option<(u8, String)> {
    if let Some(evidence) = &report.violation {
        return Some((exit::SAFETY, format!("safety: {evidence}")));
    }
    let parts = report.conservation;
    let sum = parts.valid + parts.rejected + parts.expired + parts.dropped + parts.pending;
    if sum != parts.submitted {
        return Some((
            exit::BUG,
            format!("a bug: transactions are lost: {parts:?}"),
        ));
    }
    let final_height = report.chain.final_height;
    if faults == Faults::Beyond {
        let why = format!("safety: {final_height} blocks became final beyond the bound");
        return (final_height > 0).then_some((exit::SAFETY, why));
    }
    let classes = &report.probe.classes;
    let submitted: u64 = classes.iter().map(|c| c.submitted).sum();
    let settled: u64 = classes.iter().map(unit::settled).sum();
    let why = format!(
        "liveness: {} of {submitted} writes never became final ({:?}, {final_height} blocks did)",
        submitted - settled,
        report.status
    );
    (settled < submitted || report.status != Status::Ok).then_some((exit::LIVENESS, why))
}

/// Runs all seeds; what was found, and the exit code of the worst. A signal ends the run with what was
/// found so far.
///
/// # Errors
/// When the engine is not there.
pub fn run(seeds: Range<u64>, only: Option<&str>) -> Result<(String, u8), Error> {
    draw(seeds.start, only)?;
    let bar = ProgressBar::new(seeds.end.saturating_sub(seeds.start)).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} seeds, {eta} left")
            .expect("the template is fixed"),
    );
    let list: Vec<u64> = seeds.collect();
    let ended: Vec<Option<Result<Ended, Error>>> = list
        .par_iter()
        .with_max_len(16)
        .map(|&seed| {
            if STOP.load(Ordering::Relaxed) {
                return None;
            }
            let ended = run_one(seed, only);
            bar.inc(1);
            Some(ended)
        })
        .collect();
    bar.finish_and_clear();
    let done = ended.into_iter().flatten();
    let done = done.collect::<Result<Vec<Ended>, Error>>()?;
    let left = list.len() - done.len();
    let codes = done.iter().filter_map(|e| e.broken.as_ref()).map(|b| b.0);
    // A bug goes before a broken promise, and that before a standstill.
    let worst = codes.min();
    let mut text = summary(&done, only);
    if left > 0 {
        let _ = writeln!(text, "interrupted: {left} seeds were not run");
    }
    let clean = if left > 0 {
        exit::INTERRUPTED
    } else {
        exit::OK
    };
    Ok((text, worst.unwrap_or(clean)))
}

/// A line for each engine, and one for each seed that broke something.
fn summary(done: &[Ended], only: Option<&str>) -> String {
    let mut text = format!(
        "{:<12}{:>8}{:>8}{:>8}{:>10}{:>12}{:>10}{:>8}\n",
        "engine", "within", "healed", "beyond", "blocks", "new rounds", "reversed", "broken"
    );
    for engine in engines::all() {
        let of = || done.iter().filter(|e| e.engine == engine.name());
        if of().next().is_none() {
            continue;
        }
        let with = |faults| of().filter(|e| e.faults == faults).count();
        let _ = writeln!(
            text,
            "{:<12}{:>8}{:>8}{:>8}{:>10}{:>12}{:>10}{:>8}",
            engine.name(),
            with(Faults::Within),
            with(Faults::Healed),
            with(Faults::Beyond),
            of().map(|e| e.blocks).sum::<u64>(),
            of().map(|e| e.round_changes).sum::<u64>(),
            of().map(|e| e.reversed).sum::<u64>(),
            of().filter(|e| e.broken.is_some()).count(),
        );
    }
    let broken: Vec<&Ended> = done.iter().filter(|e| e.broken.is_some()).collect();
    let _ = writeln!(text, "{} seeds, {} broken", done.len(), broken.len());
    let with = only.map_or(String::new(), |name| format!(" --engine {name}"));
    for ended in broken {
        let (_, why) = ended.broken.as_ref().expect("it is broken");
        let _ = writeln!(
            text,
            "seed {} ({}, {:?}): {why}\n  again: quorate fuzz --seeds {}..{}{with}",
            ended.seed,
            ended.engine,
            ended.faults,
            ended.seed,
            ended.seed + 1
        );
    }
    text
}
