//! Ouroboros Praos: the lottery from the engine's own draws, growth under delay and diffusion from
//! the kernel.

use super::logged::{self, Note, Reader, What};
use super::world::{World, moments};
use super::{Check, Family, Params, shared};
use crate::places;
use quorate_consensus::Presets as _;
use quorate_consensus::praos::{self, Praos};
use quorate_core::{
    Ballot, Block, BlockId, Blocks, Committee, Context, Costs, Effect, Engine, Input, NodeId,
    Outbox, Seed, Services, Span, Time,
};
use quorate_kernel::{Jitter, NetworkConfig, OverlayConfig};
use std::sync::Arc;

/// Proof of stake by slots.
pub const FAMILY: Family = Family {
    name: "praos",
    known: include_str!("known/praos.csv"),
    checks: &[
        Check {
            name: "active",
            run: |params| lottery(params).map(|l| l.slots.len() as f64 / l.of as f64),
        },
        Check {
            name: "several",
            run: |params| lottery(params).map(|l| l.several as f64 / l.slots.len() as f64),
        },
        Check {
            name: "epoch",
            run: epoch,
        },
        Check {
            name: "gap_mean",
            run: |params| lottery(params).map(|l| moments(&l.gaps).0),
        },
        Check {
            name: "gap_quantile",
            run: gap_quantile,
        },
        Check {
            name: "silent",
            run: silent,
        },
        Check {
            name: "leads",
            run: leads,
        },
        Check {
            name: "led",
            run: share_led,
        },
        Check {
            name: "height_interval",
            run: |params| growth(params).map(|g| g.interval),
        },
        Check {
            name: "wasted",
            run: |params| growth(params).map(|g| g.wasted),
        },
        Check {
            name: "window",
            run: window,
        },
        Check {
            name: "diffusion_ms",
            run: diffusion_ms,
        },
        Check {
            name: "diffused",
            run: diffused,
        },
    ],
};

/// Cardano's settings, with another share of active slots where `f` is given.
fn config(params: &Params) -> Result<praos::Config, String> {
    let cardano = praos::Config::default();
    let f = params.number_or("f", cardano.active_slot_coefficient)?;
    Ok(praos::Config {
        active_slot_coefficient: f,
        ..cardano
    })
}

fn sound(config: &praos::Config, nodes: u32) -> Result<(), String> {
    Praos::validate(config, nodes).map_err(|e| format!("`{}`: {}", e.key, e.why))
}

// ---- the lottery ----------------------------------------------------------------------------

struct Nothing;

impl Services for Nothing {
    fn reached(&self, _: NodeId, _: Ballot) -> bool {
        false
    }
    fn holds(&self, _: NodeId, _: BlockId) -> bool {
        true
    }
}

/// The slots up to `slots` in which a pool builds a block, as the engine says, alone: whether it
/// leads does not depend on any chain.
fn led(
    config: &praos::Config,
    pool: u32,
    committee: &Committee,
    slots: u64,
    seed: u64,
) -> Vec<u64> {
    let me = NodeId::new(pool);
    let blocks = Blocks::new(Praos::genesis(config));
    let mut engine = Praos::new(config, me, committee);
    let mut draws = Seed::new(seed, 0).stream("engine", u64::from(pool));
    let mut out = Outbox::new();
    let mut led = Vec::new();
    let mut next = (Time::ZERO, Input::Start);
    let end = Time::ZERO + Span::from_ms(config.slot_ms) * slots;
    while next.0 <= end {
        let context = Context {
            clock: next.0,
            me,
            nodes: committee.len(),
            committee,
            blocks: &blocks,
            costs: &Costs::FREE,
            services: &Nothing,
        };
        engine.handle(&context, &mut draws, next.1, &mut out);
        let effects = out.take();
        for effect in &effects {
            match *effect {
                Effect::BuildBlock { header, .. } => led.push(header.slot),
                Effect::SetTimer { at, timer } => next = (at, Input::Timer(timer)),
                _ => {}
            }
        }
        out.recycle(effects);
    }
    led
}

/// The lottery of so many equal pools.
struct Lottery {
    /// Slots.
    of: u64,
    /// Those with a leader.
    slots: Vec<u64>,
    /// Those with more than one.
    several: u64,
    /// Slots from one with a leader to the next, sorted.
    gaps: Vec<f64>,
}

fn lottery(params: &Params) -> Result<Arc<Lottery>, String> {
    let (pools, of) = (params.u32("pools")?, params.number("slots")?);
    let seed: u64 = params.number_or("seed", u64::from(pools))?;
    let config = config(params)?;
    sound(&config, pools)?;
    let key = format!("{pools} {of} {} {seed}", config.active_slot_coefficient);
    Ok(shared("praos.lottery", &key, || {
        draw(&config, pools, of, seed)
    }))
}

fn draw(config: &praos::Config, pools: u32, of: u64, seed: u64) -> Lottery {
    let committee = Praos::committee(config, pools);
    let each = (0..pools).map(|pool| led(config, pool, &committee, of, seed));
    let mut all: Vec<u64> = each.flatten().collect();
    all.sort_unstable();
    let mut slots = all.clone();
    slots.dedup();
    let mut several: Vec<u64> = all
        .windows(2)
        .filter(|w| w[0] == w[1])
        .map(|w| w[0])
        .collect();
    several.dedup();
    let mut gaps: Vec<f64> = slots.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
    gaps.sort_by(f64::total_cmp);
    Lottery {
        of,
        slots,
        several: several.len() as u64,
        gaps,
    }
}

/// Mean number of active slots in `length` slots.
fn epoch(params: &Params) -> Result<f64, String> {
    let length: u64 = params.number("length")?;
    let lottery = lottery(params)?;
    let epochs = lottery.of / length;
    if epochs == 0 {
        return Err("`length` is longer than `slots`".to_owned());
    }
    let within = lottery.slots.iter().filter(|s| **s < epochs * length);
    Ok(within.count() as f64 / epochs as f64)
}

fn gap_quantile(params: &Params) -> Result<f64, String> {
    let p = params.f64("p")?;
    if !(0.0..1.0).contains(&p) {
        return Err(format!("`p = {p}` is no share below one"));
    }
    let lottery = lottery(params)?;
    Ok(super::world::quantile(&lottery.gaps, p))
}

/// The share of windows of so many slots without an active one.
fn silent(params: &Params) -> Result<f64, String> {
    let window: u64 = params.number("window")?;
    let lottery = lottery(params)?;
    let all = lottery.of / window;
    if all == 0 {
        return Err("`window` is longer than `slots`".to_owned());
    }
    let mut windows: Vec<u64> = lottery.slots.iter().map(|s| s / window).collect();
    windows.dedup();
    windows.retain(|w| *w < all);
    Ok(1.0 - windows.len() as f64 / all as f64)
}

/// A pool with `share` of the stake, and one with the rest.
fn pool(params: &Params) -> Result<(praos::Config, Committee), String> {
    let share = params.f64("share")?;
    let config = praos::Config {
        stake_shares: vec![share, 1.0 - share],
        ..config(params)?
    };
    sound(&config, 2)?;
    let committee = Praos::committee(&config, 2);
    Ok((config, committee))
}

/// The probability that the engine draws with.
fn leads(params: &Params) -> Result<f64, String> {
    let (config, committee) = pool(params)?;
    Ok(Praos::new(&config, NodeId::new(0), &committee).leads())
}

/// The share of slots that it then leads.
fn share_led(params: &Params) -> Result<f64, String> {
    let (config, committee) = pool(params)?;
    let slots: u64 = params.number("slots")?;
    let seed = params.number_or("seed", 1)?;
    Ok(led(&config, 0, &committee, slots, seed).len() as f64 / slots as f64)
}

/// Slots in which a chain grows by so many blocks that it may be rolled back no further.
fn window(params: &Params) -> Result<f64, String> {
    let preset = params.text("preset")?;
    let config = praos::Config::preset(preset).ok_or_else(|| format!("no preset `{preset}`"))?;
    let factor: u32 = params.number("factor")?;
    let blocks = f64::from(factor) * f64::from(config.security_blocks);
    Ok(blocks / config.active_slot_coefficient)
}

// ---- growth under delay ---------------------------------------------------------------------

/// The slot in the header.
struct Slots;

impl Reader<Praos> for Slots {
    fn word(block: &Block<praos::Header>) -> Option<u64> {
        Some(block.header.slot)
    }
}

/// How a chain grows when blocks take time.
struct Growth {
    /// Mean slots between new heights.
    interval: f64,
    /// Blocks that did not add a height, of all.
    wasted: f64,
}

/// A block is everywhere half a slot after `delta` slots, by header, request and body.
fn growth(params: &Params) -> Result<Arc<Growth>, String> {
    let (pools, delta, heights) = (
        params.u32("pools")?,
        params.u32("delta")?,
        params.u32("heights")?,
    );
    let seed: u64 = params.number_or("seed", 2)?;
    let config = config(params)?;
    sound(&config, pools)?;
    let f = config.active_slot_coefficient;
    let key = format!("{pools} {delta} {heights} {f} {seed}");
    Ok(shared("praos.growth", &key, || {
        let interval = 1.0 / f + f64::from(delta);
        let crossing = Span::from_ms((1_000 * u64::from(delta) + 500) / 3);
        let horizon = Span::from_s_f64(f64::from(heights) * interval);
        let world = World::new(pools, crossing, horizon)
            .depth(1, 100)
            .seed(seed);
        let (_, log) = logged::run::<Praos, Slots>(&world, &config);
        grown(&log)
    }))
}

fn grown(log: &[Note]) -> Growth {
    let (mut highest, mut built) = (0, 0_u64);
    let mut slots = Vec::new();
    for note in log.iter().filter(|n| n.what == What::Built) {
        built += 1;
        if note.height > highest {
            highest = note.height;
            slots.push(note.word);
        }
    }
    let (first, last) = (slots.first(), slots.last());
    let length = last.zip(first).map_or(f64::NAN, |(b, a)| (b - a) as f64);
    Growth {
        interval: length / (slots.len() as f64 - 1.0),
        wasted: 1.0 - slots.len() as f64 / built as f64,
    }
}

// ---- diffusion ------------------------------------------------------------------------------

/// The slot in the header, also of headers that are heard.
struct Headers;

impl Reader<Praos> for Headers {
    const ASKED: bool = true;

    fn word(block: &Block<praos::Header>) -> Option<u64> {
        Some(block.header.slot)
    }
}

/// Milliseconds from the start of a block's slot until another node has its header, over all blocks
/// and nodes, sorted.
///
/// Nodes are relays in the regions of a published table, each with so many peers; blocks are empty.
fn spread(params: &Params) -> Result<Arc<Vec<f64>>, String> {
    let (nodes, peers, blocks) = (
        params.u32("nodes")?,
        params.u32("peers")?,
        params.u32("blocks")?,
    );
    let name = params.text("table")?;
    let config = config(params)?;
    sound(&config, nodes)?;
    let table = places::table(name).ok_or_else(|| format!("no table `{name}`"))?;
    let shares = table
        .shares
        .ok_or_else(|| format!("`{name}` has no shares of nodes"))?;
    let regions: Vec<String> = table.regions.iter().map(|r| (*r).to_owned()).collect();
    let one_way = table.latencies(&regions)?;
    let key = format!(
        "{nodes} {peers} {blocks} {name} {}",
        config.active_slot_coefficient
    );
    Ok(shared("praos.spread", &key, || {
        let interval = Praos::promises(&config, nodes).interval;
        let mut world = World::new(nodes, Span::ZERO, interval * u64::from(blocks)).depth(1, 100);
        let network = NetworkConfig::alike(regions_of(nodes, shares), one_way, 0, 0);
        world.setup.network = NetworkConfig {
            overlay: OverlayConfig::Random { outbound: peers },
            // source: as the SimBlock presets, whose table this is: the latency as a whole is Pareto.
            jitter: Jitter::ParetoMean { permille: 200 },
            ..network
        };
        world.setup.costs = Costs::REFERENCE;
        let (_, log) = logged::run::<Praos, Headers>(&world, &config);
        ages(&log, config.slot_ms)
    }))
}

/// The region of each node, in proportion to the shares.
fn regions_of(nodes: u32, shares: &[f64]) -> Vec<u8> {
    let whole: f64 = shares.iter().sum();
    let region = |node: u32| {
        let at = (f64::from(node) + 0.5) / f64::from(nodes) * whole;
        let mut below = 0.0;
        let found = shares.iter().position(|share| {
            below += share;
            at < below
        });
        found.unwrap_or(shares.len() - 1) as u8
    };
    (0..nodes).map(region).collect()
}

fn ages(log: &[Note], slot_ms: u64) -> Vec<f64> {
    let heard = log.iter().filter(|n| n.what == What::Asked);
    let age = |n: &Note| (n.at.since(Time::ZERO).as_s() - (n.word * slot_ms) as f64 / 1e3) * 1e3;
    let mut ages: Vec<f64> = heard.map(age).collect();
    ages.sort_by(f64::total_cmp);
    ages
}

fn diffusion_ms(params: &Params) -> Result<f64, String> {
    let p = params.f64("p")?;
    if !(0.0..1.0).contains(&p) {
        return Err(format!("`p = {p}` is no share below one"));
    }
    Ok(super::world::quantile(&spread(params)?, p))
}

fn diffused(params: &Params) -> Result<f64, String> {
    let within = params.f64("within_ms")?;
    let ages = spread(params)?;
    let sooner = ages.partition_point(|age| *age <= within);
    Ok(sooner as f64 / ages.len() as f64)
}
