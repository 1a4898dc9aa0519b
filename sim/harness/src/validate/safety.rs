//! What holds in every run: no two final blocks contradict each other, no transaction is lost, and
//! the same plan gives the same trace.
//!
//! Each seed draws a committee, distances, jitter and faults: as many crashes as the protocol bears,
//! with restarts, and a partition. Nodes that lie are not simulated.

use super::world::World;
use super::{Check, Family, Params, shared};
use quorate_consensus::{EngineKind, EngineVisitor};
use quorate_core::{
    Adversary, Agreement, Draws, Engine, Fault, FaultKind, Finality, Guarantee, NodeId, Seed, Span,
    Time,
};
use quorate_kernel::{Jitter, Report};
use rayon::prelude::*;
use std::sync::Arc;

/// Invariants.
pub const FAMILY: Family = Family {
    name: "safety",
    known: include_str!("known/safety.csv"),
    checks: &[
        Check {
            name: "conflicts",
            run: |params| swarm(params).map(|s| s.conflicts as f64),
        },
        Check {
            name: "unaccounted",
            run: |params| swarm(params).map(|s| s.unaccounted as f64),
        },
        Check {
            name: "differing",
            run: differing,
        },
    ],
};

/// What many seeds come to.
#[derive(Clone, Copy, Default)]
struct Swarm {
    /// Seeds with two final blocks that contradict each other.
    conflicts: u64,
    /// Transactions that are in no sum, or in two.
    unaccounted: u64,
}

/// Engines by name, or `commit` for all whose protocol commits whatever the network does, or `all`.
fn engines(params: &Params) -> Result<Vec<EngineKind>, String> {
    let commits = |kind: &EngineKind| kind.facts().guarantee == Guarantee::Commit;
    let all = EngineKind::ALL.iter().copied();
    match params.text("engines")? {
        "all" => Ok(all.collect()),
        "commit" => Ok(all.filter(commits).collect()),
        names => names
            .split(',')
            .map(|name| EngineKind::from_name(name).ok_or_else(|| format!("no engine `{name}`")))
            .collect(),
    }
}

fn swarm(params: &Params) -> Result<Arc<Swarm>, String> {
    let kinds = engines(params)?;
    let seeds: u64 = params.number("seeds")?;
    let key = format!("{} {seeds}", params.text("engines")?);
    let made = shared("safety.swarm", &key, || run_all(&kinds, seeds));
    (*made).clone().map(Arc::new)
}

/// The seeds in turn on each engine. Runs that never commit say nothing, and are an error.
fn run_all(kinds: &[EngineKind], seeds: u64) -> Result<Swarm, String> {
    let mut sum = Swarm::default();
    let mut heights = vec![0; kinds.len()];
    for seed in 0..seeds {
        let place = (seed % kinds.len() as u64) as usize;
        let report = run_one(kinds[place], seed)?;
        let c = report.conservation;
        let settled = c.valid + c.rejected + c.expired + c.dropped + c.pending;
        sum.conflicts += u64::from(report.violation.is_some());
        sum.unaccounted += c.submitted.abs_diff(settled);
        heights[place] += report.chain.final_height;
    }
    let silent = heights.iter().position(|height| *height == 0);
    match silent {
        Some(place) => Err(format!("{} never made anything final", kinds[place].name())),
        None => Ok(sum),
    }
}

fn run_one(kind: EngineKind, seed: u64) -> Result<Report, String> {
    let draws = Seed::new(seed, 0).stream("safety", 0);
    let presets = kind.presets();
    let preset = presets.first().copied().unwrap_or_default();
    let made = kind.preset(preset, Drawn { draws, seed });
    made.ok_or_else(|| format!("{} has no preset", kind.name()))?
}

/// A world that a seed draws.
struct Drawn {
    draws: Draws,
    seed: u64,
}

/// Simulated time in intervals between blocks.
const BLOCKS: u64 = 30;

impl EngineVisitor for Drawn {
    type Output = Result<Report, String>;

    fn visit<E: Engine + 'static>(mut self, config: E::Config) -> Self::Output {
        let nodes = 4 + self.draws.below(7) as u32;
        E::validate(&config, nodes).map_err(|e| format!("`{}`: {}", e.key, e.why))?;
        let promises = E::promises(&config, nodes);
        // A leader that waits for transactions promises no interval.
        let interval = promises.interval.max(Span::from_ms(500));
        // A hybrid makes whole epochs final, here of 32 slots.
        let is_hybrid = E::FACTS.agreement == Agreement::Hybrid;
        let horizon = interval * if is_hybrid { 6 * 32 } else { BLOCKS };
        let mut world = World::new(nodes, Span::ZERO, horizon)
            .offered(20.0 / horizon.as_s() * 10.0, nodes)
            .seed(self.seed);
        world.register = true;
        // Epochs take 64 slots and more to be final; a run ends once everything is.
        world.setup.drain = horizon * 5;
        world.setup.tolerated = promises.byzantine;
        world.setup.finality = finality::<E>(&config)?;
        self.distances(&mut world, nodes, interval);
        self.faults(&mut world, nodes, promises.crashed, horizon);
        Ok(world.run::<E>(&config))
    }
}

/// Against a fifth of the work or stake, so that depths stay short.
fn finality<E: Engine>(config: &E::Config) -> Result<Finality, String> {
    E::finality(
        config,
        &Adversary {
            share: 0.2,
            risk: 0.01,
            safe_risk: 0.1,
            delay: Span::from_ms(50),
        },
    )
}

impl Drawn {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.draws.open01()
    }

    /// Each node in a place of its own; links take up to a quarter of an interval, with jitter.
    fn distances(&mut self, world: &mut World, nodes: u32, interval: Span) {
        let network = &mut world.setup.network;
        network.region_of = (0..nodes as u8).collect();
        let longest = self.between(0.001, 0.25) * interval.as_s().min(4.0);
        let row = |this: &mut Self| {
            let one_way = |_| Span::from_s_f64(this.between(0.05, 1.0) * longest);
            (0..nodes).map(one_way).collect()
        };
        network.one_way = (0..nodes).map(|_| row(self)).collect();
        let permille = [0, 100, 500, 1_500][self.draws.below(4) as usize];
        if permille > 0 {
            network.jitter = Jitter::Exponential { permille };
        }
    }

    /// Up to `bears` nodes crash and come back; some nodes are cut off for a while.
    fn faults(&mut self, world: &mut World, nodes: u32, bears: u32, horizon: Span) {
        let down = self.draws.below(u64::from(bears.min(nodes - 1)) + 1) as u32;
        let first = self.draws.below(u64::from(nodes)) as u32;
        for i in 0..down {
            let node = (first + i) % nodes;
            let what = FaultKind::Crash(vec![node]);
            world.setup.faults.push(self.window(what, horizon));
        }
        if self.draws.chance(0.5) {
            let cut: Vec<u32> = (0..nodes).filter(|_| self.draws.chance(0.4)).collect();
            if !cut.is_empty() && cut.len() < nodes as usize {
                let what = FaultKind::Partition(cut);
                world.setup.faults.push(self.window(what, horizon));
            }
        }
        world.setup.serving = (0..nodes).map(NodeId::new).collect();
    }

    fn window(&mut self, what: FaultKind, horizon: Span) -> Fault {
        let from = self.between(0.0, 0.6);
        let until = from + self.between(0.02, 0.4);
        let at = |share: f64| Time::ZERO + Span::from_s_f64(share * horizon.as_s());
        Fault {
            from: at(from),
            until: at(until),
            what,
        }
    }
}

/// Runs whose trace is another when two threads share them.
fn differing(params: &Params) -> Result<f64, String> {
    let kinds = engines(params)?;
    let seeds: u64 = params.number("seeds")?;
    let one: Result<Vec<u64>, String> = jobs(&kinds, seeds).map(digest).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.map_err(|e| e.to_string())?;
    let all: Vec<(EngineKind, u64)> = jobs(&kinds, seeds).collect();
    let two: Result<Vec<u64>, String> =
        pool.install(|| all.into_par_iter().with_max_len(1).map(digest).collect());
    let (one, two) = (one?, two?);
    let differ = one.iter().zip(&two).filter(|(a, b)| a != b);
    Ok(differ.count() as f64)
}

fn jobs(kinds: &[EngineKind], seeds: u64) -> impl Iterator<Item = (EngineKind, u64)> {
    let of = move |kind: &EngineKind| {
        let kind = *kind;
        (0..seeds).map(move |seed| (kind, seed))
    };
    kinds.iter().flat_map(of)
}

fn digest((kind, seed): (EngineKind, u64)) -> Result<u64, String> {
    Ok(run_one(kind, seed)?.digest)
}
