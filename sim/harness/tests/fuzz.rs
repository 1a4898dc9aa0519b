//! The swarm, over a few seeds of every engine: safe always, live once all faults are over, still where
//! more is down than the protocol bears.

use quorate::engines;
use quorate::fuzz::{self, Faults};
use quorate::plan::Source;

/// Seeds of each engine.
const SEEDS: u64 = 40;

#[test]
fn every_engine_keeps_its_promises() {
    for engine in engines::all() {
        for seed in 0..SEEDS {
            let ended = fuzz::run_one(seed, Some(engine.name())).expect("the engine is there");
            assert_eq!(
                ended.broken,
                None,
                "{} under {:?} faults; again: quorate fuzz --seeds {seed}..{} --engine {}",
                ended.engine,
                ended.faults,
                seed + 1,
                ended.engine
            );
        }
    }
}

/// A plan that is printed is the plan that is run: every key of it can be read back.
#[test]
fn a_seed_is_a_plan() {
    for seed in 0..100 {
        let draw = fuzz::draw(seed, None).expect("an engine");
        let text = toml::to_string(&draw.plan).expect("a plan is a table");
        let read = Source::new(format!("seed {seed}"), text.clone()).plan(&[]);
        let read = read.unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(toml::to_string(&read).expect("a plan is a table"), text);
    }
}

/// All three kinds of schedules are drawn, and what they hold is what they are called.
#[test]
fn faults_are_what_they_are_called() {
    let mut seen = [0; 3];
    for seed in 0..400 {
        let draw = fuzz::draw(seed, None).expect("an engine");
        seen[draw.faults as usize] += 1;
        let ends = |f: &quorate::plan::FaultPlan| {
            f.until_s
                .is_some_and(|u| u <= draw.plan.load.duration_s / 2.0 + 1.0)
        };
        match draw.faults {
            Faults::Within | Faults::Healed => assert!(draw.plan.faults.iter().all(ends)),
            Faults::Beyond => {
                let sheet = quorate::unit::sheet(&draw.plan, 0);
                let down = &draw.plan.faults[0].crash;
                assert_eq!(down.len() as u32, sheet.promises.crashed + 1);
            }
        }
    }
    assert!(seen.iter().all(|&n| n > 20), "{seen:?}");
}
