//! Aura: how many blocks follow until one is final, and the interval without some validators.

use super::logged::{self, All, Note, What};
use super::world::World;
use super::{Check, Family, Params};
use quorate_consensus::aura::{Aura, Config, Majority};
use quorate_consensus::clique::RelayRule;
use quorate_core::{Finality, Span};
use std::collections::BTreeMap;

/// Aura.
pub const FAMILY: Family = Family {
    name: "aura",
    known: include_str!("known/aura.csv"),
    checks: &[
        Check {
            name: "blocks_until_final",
            run: blocks_until_final,
        },
        Check {
            name: "interval_s",
            run: interval_s,
        },
    ],
};

fn config(params: &Params) -> Result<(u32, Config), String> {
    let n = match params.u32("n")? {
        n if (1..=200).contains(&n) => n,
        n => return Err(format!("`n = {n}` is not between 1 and 200")),
    };
    let finality = match params.maybe("finality") {
        None | Some("half") => Majority::Half,
        Some("two-thirds") => Majority::TwoThirds,
        Some(other) => return Err(format!("`finality = {other}` is not half or two-thirds")),
    };
    let step_s = params.number_or("step_s", 5)?;
    if step_s == 0 {
        return Err("`step_s = 0` is no step".to_owned());
    }
    let config = Config {
        step_s,
        finality,
        relay: RelayRule::Direct,
        ..Config::default()
    };
    Ok((n, config))
}

/// A run of so many steps, with node 0's log.
fn run(world: World, config: &Config) -> Vec<Note> {
    let mut world = world;
    world.setup.finality = Finality::Conditional;
    let (_, log) = logged::run::<Aura, All>(&world, config);
    let witness = |note: &Note| note.node.get() == 0;
    log.into_iter().filter(witness).collect()
}

fn world(n: u32, config: &Config, steps: u64) -> World {
    let step = Span::from_s(config.step_s);
    World::new(n, Span::from_ms(50), step * steps + Span::from_ms(500))
}

/// How many blocks a node has above a block when it calls it final: the most, when all is well.
fn blocks_until_final(params: &Params) -> Result<f64, String> {
    let (n, config) = config(params)?;
    let mut heads: BTreeMap<quorate_core::Time, u32> = BTreeMap::new();
    let mut most = None;
    for note in run(world(n, &config, 10 * u64::from(n) + 20), &config) {
        match note.what {
            What::Adopted => {
                heads.insert(note.at, note.height);
            }
            What::Committed => {
                let above = heads.get(&note.at).map(|head| head - note.height);
                most = most.max(above);
            }
            What::Built | What::Asked => {}
        }
    }
    most.map(f64::from)
        .ok_or_else(|| "nothing became final".to_owned())
}

/// The mean time between the blocks of a chain whose last so many validators are down.
fn interval_s(params: &Params) -> Result<f64, String> {
    let (n, config) = config(params)?;
    let offline = params.u32("offline")?;
    if offline >= n {
        return Err(format!("`offline = {offline}` leaves none of {n}"));
    }
    let rounds = params.number_or("rounds", 100_u64)?;
    // Node 0's first block of a round, and its first of the last.
    let down: Vec<u32> = (n - offline..n).collect();
    let steps = u64::from(n) * (rounds + 1);
    let world = world(n, &config, steps).crash(&down, Span::from_ns(1), None);
    let log = run(world, &config);
    let own = |note: &&Note| note.what == What::Built;
    let (first, last) = (log.iter().find(own), log.iter().rev().find(own));
    let (Some(first), Some(last)) = (first, last) else {
        return Err("no block was made".to_owned());
    };
    let blocks = f64::from(last.height - first.height);
    Ok(last.at.saturating_since(first.at).as_s() / blocks)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, exactly")]
mod tests {
    use super::*;

    fn got(run: fn(&Params) -> Result<f64, String>, params: &str) -> f64 {
        run(&Params::parse(params).expect("well-formed")).expect("a value")
    }

    #[test]
    fn half_or_two_thirds_follow() {
        for n in 1..=16 {
            let half = got(blocks_until_final, &format!("n={n}"));
            assert_eq!(half, f64::from(n / 2), "{n}");
            let params = format!("n={n};finality=two-thirds;step_s=3");
            assert_eq!(
                got(blocks_until_final, &params),
                f64::from(2 * n / 3),
                "{n}"
            );
        }
    }

    #[test]
    fn silent_steps_stretch_the_interval() {
        for (n, offline, step_s) in [(4, 0, 5), (5, 2, 3), (7, 6, 1), (9, 3, 10)] {
            let law = f64::from(step_s * n) / f64::from(n - offline);
            let params = format!("n={n};offline={offline};step_s={step_s};rounds=40");
            let got = got(interval_s, &params);
            assert!((got - law).abs() < 1e-9, "{params}: {got}, not {law}");
        }
    }
}
