//! Gasper: how long until a block is final, how many votes that takes, committees and the boost, and
//! partitions that heal.

use super::logged::{self, Note, Reader, What};
use super::world::World;
use super::{Check, Family, Params, shared};
use quorate_consensus::Presets as _;
use quorate_consensus::gasper::{Config, Gasper, Header};
use quorate_core::{Block, Engine, Seed, Span};
use quorate_kernel::Report;
use std::sync::Arc;

/// Gasper.
pub const FAMILY: Family = Family {
    name: "gasper",
    known: include_str!("known/gasper.csv"),
    checks: &[
        Check {
            name: "slots_to_final",
            run: slots_to_final,
        },
        Check {
            name: "mean_slots_to_final",
            run: |params| mean_to_final(params, 1.0),
        },
        Check {
            name: "mean_s_to_final",
            run: |params| mean_to_final(params, slot_s(params)?),
        },
        Check {
            name: "mean_minutes_to_final",
            run: |params| mean_to_final(params, slot_s(params)? / 60.0),
        },
        Check {
            name: "slots_to_justify",
            run: slots_to_justify,
        },
        Check {
            name: "final_checkpoints",
            run: final_checkpoints,
        },
        Check {
            name: "committees",
            run: committees,
        },
        Check {
            name: "boost",
            run: boost,
        },
        Check {
            name: "blocks_an_epoch",
            run: blocks_an_epoch,
        },
        Check {
            name: "conflicts",
            run: conflicts,
        },
    ],
};

/// The slot of every block.
struct Slots;

impl Reader<Gasper> for Slots {
    fn word(block: &Block<Header>) -> Option<u64> {
        Some(u64::from(block.header.slot))
    }
}

/// Nodes and the engine's settings; the slot's length may be given in s, as `slot_s`.
fn config(params: &Params) -> Result<(u32, Config), String> {
    let nodes = match params.u32("nodes")? {
        n if (1..=200).contains(&n) => n,
        n => return Err(format!("`nodes = {n}` is not between 1 and 200")),
    };
    let name = params.maybe("preset").unwrap_or("private");
    let preset = Config::preset(name).ok_or_else(|| format!("no preset `{name}`"))?;
    let config = Config {
        slot_ms: (1_000.0 * slot_s(params)?) as u64,
        slots_per_epoch: params.number_or("slots_per_epoch", preset.slots_per_epoch)?,
        validators: params.number_or("keys", preset.validators)?,
        ..preset
    };
    sound(&config, nodes)?;
    Ok((nodes, config))
}

fn slot_s(params: &Params) -> Result<f64, String> {
    params.number_or("slot_s", 12.0)
}

fn sound(config: &Config, nodes: u32) -> Result<(), String> {
    Gasper::validate(config, nodes).map_err(|e| format!("`{}`: {}", e.key, e.why))
}

/// A world that ends before the slot `slots`; links take `delay_ms`, by default a hundredth of a slot.
fn world(params: &Params, nodes: u32, config: &Config, slots: u32) -> Result<World, String> {
    let delay = params.number_or("delay_ms", config.slot_ms / 100)?;
    let horizon = Span::from_ms(config.slot_ms) * u64::from(slots);
    let mut world = World::new(nodes, Span::from_ms(delay), horizon - Span::from_ns(1));
    world.setup.drain = Span::ZERO;
    Ok(world)
}

fn run(world: &World, config: &Config) -> (Report, Vec<Note>) {
    logged::run::<Gasper, Slots>(world, config)
}

// ---- time to finality -----------------------------------------------------------------------

/// Epochs whose blocks are measured, the first of which is the fourth: the first three are not as the
/// others, because two are not weighed.
const FIRST: u32 = 3;

/// For each place in an epoch, slots from the start of a block's slot until node 0 has it as final.
fn waits(params: &Params) -> Result<Arc<Vec<f64>>, String> {
    let (nodes, config) = config(params)?;
    let epochs = params.number_or("epochs", 4)?;
    let per = config.slots_per_epoch;
    let world = world(params, nodes, &config, (FIRST + epochs + 4) * per)?;
    let key = format!("{config:?} {nodes} {epochs} {:?}", params.maybe("delay_ms"));
    Ok(shared("gasper.waits", &key, || {
        let (_, log) = run(&world, &config);
        measure(&log, &config, epochs)
    }))
}

fn measure(log: &[Note], config: &Config, epochs: u32) -> Vec<f64> {
    let per = u64::from(config.slots_per_epoch);
    let slot = Span::from_ms(config.slot_ms).ns() as f64;
    let commits = log
        .iter()
        .filter(|n| n.what == What::Committed && n.node.get() == 0);
    let commits: Vec<&Note> = commits.collect();
    let mut waits = vec![(0.0, 0); per as usize];
    let first = u64::from(FIRST) * per;
    let measured = first..first + u64::from(epochs) * per;
    for built in log
        .iter()
        .filter(|n| n.what == What::Built && measured.contains(&n.word))
    {
        // In these runs nothing fails, so that every block ends up on the chain.
        let at = commits.partition_point(|commit| commit.height < built.height);
        if let Some(commit) = commits.get(at) {
            let (sum, count) = &mut waits[(built.word % per) as usize];
            *sum += commit.at.ns() as f64 / slot - built.word as f64;
            *count += 1;
        }
    }
    let mean = |(sum, count): (f64, u32)| sum / f64::from(count);
    waits.into_iter().map(mean).collect()
}

fn slots_to_final(params: &Params) -> Result<f64, String> {
    let place: usize = params.number("place")?;
    let waits = waits(params)?;
    let wait = waits.get(place);
    wait.copied()
        .ok_or_else(|| format!("`place = {place}` is not in an epoch"))
}

fn mean_to_final(params: &Params, unit: f64) -> Result<f64, String> {
    let waits = waits(params)?;
    Ok(unit * waits.iter().sum::<f64>() / waits.len() as f64)
}

// ---- votes ----------------------------------------------------------------------------------

/// How many slots of an epoch must vote so that it is justified: everybody votes in the first k slots of
/// the fifth epoch and is then gone, but for a node without keys. Justified, it makes the fourth final.
fn slots_to_justify(params: &Params) -> Result<f64, String> {
    let (nodes, config) = config(params)?;
    let (per, epoch) = (config.slots_per_epoch, 4);
    let config = Config {
        stakes: vec![config.validators; nodes as usize],
        ..config
    };
    let voters: Vec<u32> = (0..nodes).collect();
    for k in 1..per {
        // The block of slot k carries the votes of the slot before; those of its own come too late.
        let gone = Span::from_ms(config.slot_ms) * u64::from(epoch * per + k)
            + Span::from_ms(config.slot_ms / 2);
        let world = world(params, nodes + 1, &config, (epoch + 1) * per + 1)?;
        let (_, log) = run(&world.crash(&voters, gone, None), &config);
        let wanted = u64::from((epoch - 1) * per);
        let is_final = |n: &Note| n.what == What::Committed && n.node.get() == nodes;
        if log.iter().any(|n| is_final(n) && n.word == wanted) {
            return Ok(f64::from(k));
        }
    }
    Err("no number of slots was enough".to_owned())
}

/// Checkpoints that become final in so many epochs when so many nodes are down all the time.
fn final_checkpoints(params: &Params) -> Result<f64, String> {
    let (nodes, config) = config(params)?;
    let (down, epochs) = (params.u32("down")?, params.u32("epochs")?);
    if down >= nodes {
        return Err(format!("`down = {down}` leaves none of {nodes} nodes"));
    }
    let gone: Vec<u32> = (nodes - down..nodes).collect();
    let world = world(params, nodes, &config, epochs * config.slots_per_epoch + 1)?;
    let (report, log) = run(&world.crash(&gone, Span::ZERO, None), &config);
    if report.chain.height == 0 {
        return Err("there is not one block".to_owned());
    }
    let commits = log
        .iter()
        .filter(|n| n.what == What::Committed && n.node.get() == 0);
    Ok(commits.count() as f64)
}

/// Blocks of an epoch when a node leads with probability `missed` and is down all the time.
fn blocks_an_epoch(params: &Params) -> Result<f64, String> {
    let epochs = params.u32("epochs")?;
    let missed = params.f64("missed")?;
    let keys = 200.0 * missed;
    if !(0.0..=60.0).contains(&keys) || (keys - keys.round()).abs() > 1e-9 {
        return Err(format!(
            "`missed = {missed}` is not a multiple of 0.005 up to 0.3"
        ));
    }
    // Two nodes that share the rest, and the one that is down.
    let keys = keys.round() as u32;
    let up = 200 - keys;
    let config = Config {
        stakes: vec![up / 2, up - up / 2, keys],
        ..Config::preset("private").expect("it is listed")
    };
    sound(&config, 3)?;
    let slots = epochs * config.slots_per_epoch;
    let world = world(params, 3, &config, slots)?;
    // A long run, of which no log is kept.
    let report = world.crash(&[2], Span::ZERO, None).run::<Gasper>(&config);
    // The first slot has the first block.
    Ok((report.chain.height + 1) as f64 / f64::from(epochs))
}

// ---- arithmetic -----------------------------------------------------------------------------

fn committees(params: &Params) -> Result<f64, String> {
    Ok(Config::default().committees(params.number("keys")?) as f64)
}

/// The boost as a share of a slot's attesters.
fn boost(params: &Params) -> Result<f64, String> {
    let config = Config {
        boost_percent: params.number("percent")?,
        ..Config::default()
    };
    let (boost, slot) = config.boost(params.number("keys")?);
    Ok(boost as f64 / slot as f64)
}

// ---- safety ---------------------------------------------------------------------------------

/// Runs with conflicting final checkpoints, of so many that are parted, crash and heal. None lies.
fn conflicts(params: &Params) -> Result<f64, String> {
    let seeds: u64 = params.number("seeds")?;
    let mut conflicts = 0;
    for seed in 0..seeds {
        let report = parted(seed);
        conflicts += u64::from(report.violation.is_some());
        if report.violation.is_none() && report.chain.final_height < 40 {
            let height = report.chain.final_height;
            return Err(format!(
                "seed {seed} healed in vain: final is height {height}"
            ));
        }
    }
    Ok(conflicts as f64)
}

/// Epochs of eight slots: six in one piece, about eight in two, then again in one.
fn parted(seed: u64) -> Report {
    let d = &mut Seed::new(seed, 0).stream("parted", 0);
    let nodes = 4 + d.below(9) as u32;
    let config = Config {
        slots_per_epoch: 8,
        all_subnets: d.chance(0.5),
        ..Config::preset("private").expect("it is listed")
    };
    let slot = Span::from_ms(config.slot_ms);
    let delay = Span::from_ms(20 + d.below(2_000));
    let parted = slot * (40 + d.below(10));
    let healed = parted + slot * (16 + d.below(80));
    let apart: Vec<u32> = (0..nodes).filter(|_| d.chance(0.5)).collect();
    let crashed = [d.below(u64::from(nodes)) as u32];
    let back = healed + slot * d.below(9);
    World::new(nodes, delay, healed + slot * 60)
        .seed(seed)
        .partition(&apart, parted, healed)
        .crash(&crashed, parted + slot * d.below(20), Some(back + slot))
        .run::<Gasper>(&config)
}

#[cfg(test)]
mod tests {
    use super::FAMILY;

    fn got(check: &str, parameters: &str) -> f64 {
        FAMILY.got(check, parameters).expect(parameters)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * b.abs().max(1.0)
    }

    /// With E slots an epoch: 2E slots for its first block, 3E − s for that of slot s.
    #[test]
    fn the_time_to_finality_follows_the_epoch() {
        for (per, nodes, delay) in [(4_u32, 3, 10), (8, 5, 400), (13, 4, 1_500), (32, 7, 3_000)] {
            let base = format!("nodes={nodes};slots_per_epoch={per};delay_ms={delay}");
            let mut sum = 0.0;
            for place in 0..per {
                let want = f64::from(3 * per - if place == 0 { per } else { place });
                let wait = got("slots_to_final", &format!("{base};place={place}"));
                assert!(close(wait, want), "{base}: {wait} for slot {place}");
                sum += want;
            }
            let mean = got("mean_s_to_final", &format!("{base};slot_s=6"));
            assert!(close(mean, 6.0 * sum / f64::from(per)), "{base}: {mean} s");
        }
    }

    #[test]
    fn two_thirds_of_the_slots_justify() {
        for per in [3_u32, 4, 8, 16, 30] {
            let base = format!("nodes=3;keys={};slots_per_epoch={per}", 10 * per);
            let slots = got("slots_to_justify", &base);
            assert!(
                close(slots, f64::from((2 * per).div_ceil(3))),
                "{base}: {slots}"
            );
        }
    }

    #[test]
    fn a_third_may_be_down_and_no_more() {
        for (nodes, down, some) in [(9, 3, true), (9, 4, false), (10, 3, true), (10, 4, false)] {
            let base = format!("nodes={nodes};down={down};epochs=12;slots_per_epoch=8");
            let finals = got("final_checkpoints", &base);
            assert_eq!(finals > 0.0, some, "{base}: {finals}");
        }
    }
}
