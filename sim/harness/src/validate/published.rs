//! The presets of other people's simulators against what these published: how blocks spread, and how
//! many are stale.
//!
//! A row names a built-in plan and may override any of its keys, such as
//! `engines.0.config.block_interval_s=600.0`. Nothing is fitted: a figure outside its band has its
//! cause in the note, and where the cause can be varied, so can the row (`--cases`).

use super::logged::{self, All, Note, What};
use super::world::{Offered, World};
use super::{Check, Family, Params};
use crate::plan::{Plan, Source};
use crate::study::Study;
use crate::unit::{self, Key, Tweak};
use quorate_consensus::Presets as _;
use quorate_consensus::nakamoto::{Config, Nakamoto};
use quorate_core::{Seed, Span, Time};
use quorate_kernel::Report;
use std::collections::BTreeMap;

/// Figures of other simulators and, as context, of real networks.
pub const FAMILY: Family = Family {
    name: "published",
    known: include_str!("known/published.csv"),
    checks: &[
        Check {
            name: "stale",
            run: |params| Preset::read(params, "plan")?.mean(stale),
        },
        Check {
            name: "p50_ms",
            run: |params| Preset::read(params, "plan")?.mean(|run| propagation_ms(run, 0)),
        },
        Check {
            name: "p90_ms",
            run: |params| Preset::read(params, "plan")?.mean(|run| propagation_ms(run, 1)),
        },
        Check {
            name: "node_median_s",
            run: |params| Preset::read(params, "plan")?.mean(node_median_s),
        },
        Check {
            name: "reduction",
            run: reduction,
        },
    ],
};

/// A built-in plan with overrides, lasting so many blocks.
struct Preset {
    study: Study,
    config: Config,
    replications: u32,
}

impl Preset {
    /// The plan that `key` names.
    fn read(params: &Params, key: &str) -> Result<Self, String> {
        let (blocks, replications) = (params.u32("blocks")?, params.u32("replications")?);
        let mut set: Vec<String> = Vec::new();
        if let Some(miners) = params.maybe("miners") {
            let number = miners.parse().ok().filter(|m| m % POOLS == 0 && *m > 0);
            let why = || format!("`miners = {miners}` is no multiple of {POOLS}");
            set.extend(split_pools(number.ok_or_else(why)?));
        }
        set.extend(params.overrides().map(|(k, v)| format!("{k}={v}")));
        let said = |e: crate::error::Error| e.message;
        let source = Source::open(params.text(key)?).map_err(said)?;
        let plan: Plan = source.plan(&set).map_err(said)?;
        let mut study = Study::open(&source, plan).map_err(said)?;
        let [part] = study.parts.as_mut_slice() else {
            return Err("the plan has several parts".to_owned());
        };
        let resolved = part.sheets[0].resolved.clone();
        let config: Config = resolved
            .try_into()
            .map_err(|e| format!("the plan's engine is not nakamoto: {e}"))?;
        part.plan.load.duration_s = config.block_interval_s * f64::from(blocks);
        Ok(Self {
            study,
            config,
            replications: replications.max(1),
        })
    }

    /// The mean of a figure over the replications.
    fn mean(&self, of: impl Fn(&Run<'_>) -> f64) -> Result<f64, String> {
        let sum: Result<f64, String> = (0..self.replications)
            .map(|replication| {
                let world = self.world(replication)?;
                Ok(of(&Run {
                    world,
                    config: &self.config,
                }))
            })
            .sum();
        Ok(sum? / f64::from(self.replications))
    }

    /// The plan's world, in which nothing is submitted.
    fn world(&self, replication: u32) -> Result<World, String> {
        let part = &self.study.parts[0];
        let key = Key {
            engine: 0,
            offered_tps: part.plan.load.offered_tps.first().copied(),
            replication,
            tweak: Tweak::None,
        };
        let horizon = part.workload.horizon(&part.plan, key);
        let seed = Seed::new(part.plan.seed, replication);
        let finality = part.sheets[0].finality.clone()?;
        let mut setup = unit::setup(&part.plan, key, finality, &part.workload, horizon, seed);
        setup.may_cut = false;
        Ok(World {
            setup,
            offered: Offered::NOTHING,
            register: false,
            domain: None,
        })
    }
}

/// One replication, to be run.
struct Run<'a> {
    world: World,
    config: &'a Config,
}

impl Run<'_> {
    fn report(&self) -> Report {
        self.world.run::<Nakamoto>(self.config)
    }
}

/// Pools of the preset `gervais-2016`.
const POOLS: usize = 16;

/// So many pools instead of 16, each of the 16 split into equal ones. The followers' connections do
/// not suffice for 750 at each of 256.
fn split_pools(miners: usize) -> Vec<String> {
    let gervais = Config::preset("gervais-2016").expect("a preset");
    let shares = gervais.hash_shares.repeat(miners / POOLS);
    let nodes: Vec<usize> = (0..miners).collect();
    vec![
        format!("scale.committee={miners}"),
        format!("engines.0.config.hash_shares={shares:?}"),
        format!("network.classes.0.nodes={nodes:?}"),
        "network.classes.0.outbound=250".to_owned(),
    ]
}

fn stale(run: &Run<'_>) -> f64 {
    let chain = run.report().chain;
    (chain.built - chain.height) as f64 / chain.built as f64
}

/// Median over blocks of the time until half (0) or nine tenths (1) of the nodes have checked one.
fn propagation_ms(run: &Run<'_>, share: usize) -> f64 {
    run.report().propagation[share].value_at_quantile(0.5) as f64 / 1e3
}

/// Median over nodes of the mean time until a node adopts a block.
fn node_median_s(run: &Run<'_>) -> f64 {
    let (_, log) = logged::run::<Nakamoto, All>(&run.world, run.config);
    median_of_means_s(&log, run.world.setup.network.region_of.len())
}

fn median_of_means_s(log: &[Note], nodes: usize) -> f64 {
    let mut built: BTreeMap<u32, Time> = BTreeMap::new();
    let mut sums = vec![(Span::ZERO, 0_u32); nodes];
    for note in log {
        match note.what {
            What::Built => {
                built.insert(note.block.get(), note.at);
            }
            What::Adopted => {
                let (sum, n) = &mut sums[note.node.index()];
                *sum += note.at.since(built[&note.block.get()]);
                *n += 1;
            }
            What::Asked | What::Committed => {}
        }
    }
    let seen = sums.iter().filter(|(_, n)| *n > 0);
    let mut means: Vec<f64> = seen.map(|(sum, n)| sum.as_s() / f64::from(*n)).collect();
    means.sort_by(f64::total_cmp);
    means.get(means.len() / 2).copied().unwrap_or(f64::NAN)
}

/// By how much the median time until half of the nodes have a block is shorter under `plan` than
/// under the plan `from`.
fn reduction(params: &Params) -> Result<f64, String> {
    let of = |key| Preset::read(params, key)?.mean(|run| propagation_ms(run, 0));
    Ok(1.0 - of("plan")? / of("from")?)
}
