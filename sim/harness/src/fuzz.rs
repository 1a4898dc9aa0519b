//! The swarm: each seed draws an engine, its settings, a network, a load and faults, and the run must
//! keep what the protocol promises. Safety is held always; once all faults are over, everything that
//! was submitted must become final; and where more members are down than the protocol bears, nothing
//! may become final at all.
//!
//! What a seed draws is a plan, so that any seed can be looked at, changed and run by itself.

mod judge;
mod liars;
mod shrink;
mod storm;
mod swarm;

pub use judge::{Breach, Broken, Promise, check, judge};
pub use shrink::{Shrunk, shrink};
pub use swarm::{Ended, Found, Wanted, run, run_one};

use crate::engines::{self, AnyEngine};
use crate::error::Error;
use crate::plan::{FaultPlan, Plan, Source};
use crate::unit::{self, EngineSheet};
use quorate_core::{Draws, Guarantee, Seed};
use std::fmt::Write as _;

/// What the faults of a seed are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// No more members are down or cut off at once than the protocol bears, and all come back.
    Within,
    /// Any nodes may be down or cut off, all at once too, but all come back.
    Healed,
    /// From the start, for good, one member more is down than the protocol bears.
    Beyond,
    /// Any of these, and no more members lie than the protocol bears.
    Lied,
    /// More members lie than the protocol bears.
    Outnumbered,
}

impl Faults {
    /// All, in the order of the summary.
    pub const ALL: [Self; 5] = [
        Self::Within,
        Self::Healed,
        Self::Beyond,
        Self::Lied,
        Self::Outnumbered,
    ];

    /// The name in the summary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::Healed => "healed",
            Self::Beyond => "beyond",
            Self::Lied => "lied",
            Self::Outnumbered => "outnumbered",
        }
    }
}

/// A seed's run, not yet started.
pub struct Draw {
    /// The plan; it has one engine, one load and no more than one replication is run.
    pub plan: Plan,
    /// What its faults are.
    pub faults: Faults,
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
/// The same where nothing may become final.
// assumption: twice what the slowest finality takes when all is well, four epochs of `gasper`.
const BEYOND_PATIENCE: f64 = 6.0;

/// Draws a seed's plan; `only` fixes the engine.
///
/// # Errors
/// An engine that is not there, or whose defaults do not work with the nodes that were drawn.
pub fn draw(seed: u64, only: Option<&str>) -> Result<Draw, Error> {
    let d = &mut stream(seed);
    let drawn = pick(d, &engines::ledgers());
    let engine = match only {
        None => drawn,
        Some(name) => engines::find(name).ok_or_else(|| {
            let names: Vec<&str> = engines::ledgers().iter().map(|e| e.name()).collect();
            Error::config(
                format!("--engine {name}: no such engine"),
                format!("engines: {}", names.join(", ")),
            )
        })?,
    };
    let nodes = pick(d, &[2, 3, 4, 4, 5, 6, 7, 7, 9, 10, 13]);
    let (plan, sheet) = settle(seed, engine, nodes, d)?;
    let mut draw = schedule(plan, &sheet, d);
    let streams = Seed::new(seed, 0);
    // On streams of their own: what was drawn so far stays.
    liars::add(&mut draw, &sheet, &mut streams.stream("fuzz liars", 0));
    storm::add(&mut draw, &sheet, &mut streams.stream("fuzz storm", 0));
    Ok(draw)
}

fn stream(seed: u64) -> Draws {
    Seed::new(seed, 0).stream("fuzz", 0)
}

/// The engine of a seed.
fn drawn_engine(seed: u64) -> &'static dyn AnyEngine {
    pick(&mut stream(seed), &engines::ledgers())
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
    // Who builds empty blocks alone waits for nobody, and the others cannot keep up.
    let fewest = 1 + i64::from(resolved.contains_key("empty_blocks") && nodes > 1);
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
                    0 => (1 + d.below(u64::from(nodes)) as i64).max(fewest).into(),
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

/// The longest one-way latency that is small against every time-out of the engine: what it is built for.
fn most_latency_ms(sheet: &EngineSheet) -> f64 {
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
    times.fold(1_000.0, f64::min) / 10.0
}

fn latency_ms(sheet: &EngineSheet, d: &mut Draws) -> f64 {
    let most = most_latency_ms(sheet);
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
        "name = \"seed-{seed}\"\nkind = \"check\"\npromise = \"live\"\nseed = {seed}\nreplications = 2\n\n\
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
    let faults = match d.below(8) {
        0 if halts(sheet) => Faults::Beyond,
        0..=2 => Faults::Healed,
        _ => Faults::Within,
    };
    // What must not happen is not waited for as long as what must.
    let patience = if faults == Faults::Beyond {
        BEYOND_PATIENCE
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
        // Liars come later.
        Faults::Healed | Faults::Lied | Faults::Outnumbered => {
            let everybody: Vec<u32> = (0..plan.network.nodes).collect();
            let most = 1 + d.below(u64::from(plan.network.nodes)) as usize;
            let victims = some(&everybody, most, d);
            drawn(&victims, plan.network.nodes, length_s, d)
        }
    };
    if faults == Faults::Beyond {
        plan.promise = Some(Promise::Still);
    } else if sheet.may_stall {
        plan.promise = Some(Promise::Safe);
        plan.load.drain_s = length_s;
    }
    Draw { plan, faults }
}

/// Whether one member more down than the protocol bears stops it. Only where members are alike does
/// their number say so; and where any one carries on alone, nothing does.
fn halts(sheet: &EngineSheet) -> bool {
    let promises = &sheet.promises;
    let alike = promises.quorum + promises.crashed == sheet.committee.len() as u32;
    alike && sheet.facts.guarantee != Guarantee::Risk
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
