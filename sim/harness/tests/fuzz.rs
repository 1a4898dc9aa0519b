//! The swarm, over a few seeds of every engine: safe always, live once all faults are over, still where
//! more is down than the protocol bears, and at an end where more lie.

use quorate::engines;
use quorate::error::exit;
use quorate::fuzz::{self, Breach, Faults, Promise};
use quorate::plan::{FaultPlan, Plan, Source};
use quorate::study::Study;
use std::path::Path;

/// Seeds of each engine.
const SEEDS: u64 = 40;

#[test]
fn every_engine_keeps_its_promises() {
    for engine in engines::all() {
        for seed in 0..SEEDS {
            let ended = fuzz::run_one(seed, Some(engine.name())).expect("the engine is there");
            assert_eq!(
                ended.broken, None,
                "{} under {:?} faults; again: quorate fuzz --seed {seed} --engine {}",
                ended.engine, ended.faults, ended.engine
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

/// The nodes that lie.
fn liars(plan: &Plan) -> u32 {
    let mut all: Vec<u32> = plan.corrupt.iter().flat_map(|c| c.nodes.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all.len() as u32
}

/// All kinds of schedules are drawn, and what they hold is what they are called.
#[test]
fn faults_are_what_they_are_called() {
    let mut seen = [0; Faults::ALL.len()];
    let mut conducts = std::collections::BTreeSet::new();
    for seed in 0..600 {
        let draw = fuzz::draw(seed, None).expect("an engine");
        let plan = &draw.plan;
        let bound = quorate::unit::sheet(plan, 0).promises.byzantine;
        seen[draw.faults as usize] += 1;
        for entry in &plan.corrupt {
            let entry = toml::Table::try_from(entry).expect("a table");
            let other = ["nodes", "from_s", "until_s"];
            conducts.extend(
                entry
                    .keys()
                    .filter(|k| !other.contains(&k.as_str()))
                    .cloned(),
            );
        }
        let ends = |f: &FaultPlan| {
            f.until_s
                .is_some_and(|u| u <= plan.load.duration_s / 2.0 + 1.0)
        };
        match draw.faults {
            Faults::Beyond => {
                let sheet = quorate::unit::sheet(plan, 0);
                assert_eq!(
                    plan.faults[0].crash.len() as u32,
                    sheet.promises.crashed + 1
                );
                assert_eq!(plan.promise, Some(Promise::Still));
            }
            _ => assert!(plan.faults.iter().all(ends), "seed {seed}"),
        }
        match draw.faults {
            Faults::Lied => assert!((1..=bound).contains(&liars(plan)), "seed {seed}"),
            Faults::Outnumbered => assert!(liars(plan) > bound, "seed {seed}"),
            Faults::Within | Faults::Healed | Faults::Beyond => assert_eq!(liars(plan), 0),
        }
    }
    assert!(seen.iter().all(|&n| n > 20), "{seen:?}");
    assert_eq!(conducts.len(), 10, "{conducts:?}");
}

/// Plans that showed a bug, or that show one when a rule is broken on purpose: each says in its first
/// line what it was, and keeps its promise now.
#[test]
fn what_was_broken_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let files = std::fs::read_dir(&folder).expect("the folder is there");
    let mut files: Vec<_> = files.map(|f| f.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 10);
    for file in files {
        let name = file.display().to_string();
        let source = Source::open(&name).unwrap_or_else(|e| panic!("{e}"));
        assert!(source.text.starts_with("# "), "{name} says what it was");
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
        let (text, code) = fuzz::check(&study).expect("not interrupted");
        assert_eq!(code, exit::OK, "{name}: {text}");
    }
}

/// A seed with many faults.
fn stormy() -> Plan {
    let plans = (0..).map(|seed| fuzz::draw(seed, Some("qbft")).expect("an engine").plan);
    let crashes = |p: &Plan| p.faults.iter().filter(|f| !f.crash.is_empty()).count();
    let fits = |p: &Plan| p.network.nodes > 4 && p.faults.len() > 10 && crashes(p) > 1;
    let mut plans = plans.filter(|p| p.promise == Some(Promise::Live) && p.corrupt.is_empty());
    plans.find(fits).expect("one of them storms")
}

/// What is left of a plan is what its breach needs, whoever asks twice.
#[test]
fn a_plan_shrinks_to_what_breaks_it() {
    let plan = stormy();
    let victim = plan.faults.iter().find_map(|f| f.crash.first().copied());
    let victim = victim.expect("somebody crashes");
    let mut breaks = |plan: &Plan| plan.faults.iter().any(|f| f.crash.contains(&victim));
    let shrunk = fuzz::shrink(&plan, &mut breaks);
    assert_eq!(shrunk.text, fuzz::shrink(&plan, &mut breaks).text);
    let small = Source::new("small", shrunk.text.clone()).plan(&[]);
    let small = small.unwrap_or_else(|e| panic!("{e}\n{}", shrunk.text));
    assert_eq!(small.faults.len(), 1, "{}", shrunk.text);
    assert_eq!(small.faults[0].crash, [victim]);
    assert!(
        small.network.nodes <= (victim + 1).max(2),
        "{}",
        shrunk.text
    );
    assert!(small.engines[0].config.is_empty());
    assert!(shrunk.text.len() < 1_000, "{}", shrunk.text);
}

/// A promise that a plan does not deserve is not asked of a smaller one: that nothing becomes final needs
/// more nodes down than the protocol bears.
#[test]
fn a_smaller_plan_is_as_fair() {
    let draws = (0..).map(|seed| fuzz::draw(seed, Some("raft")).expect("an engine"));
    let mut beyond = draws.filter(|d| d.faults == Faults::Beyond);
    let plan = beyond
        .find(|d| d.plan.network.nodes > 4)
        .expect("one of them")
        .plan;
    let shrunk = fuzz::shrink(&plan, &mut |_| true);
    let small = Source::new("small", shrunk.text).plan(&[]).expect("a plan");
    let sheet = quorate::unit::sheet(&small, 0);
    assert_eq!(
        small.faults[0].crash.len() as u32,
        sheet.promises.crashed + 1
    );
}

/// Promises that are broken are seen, each with its code: here by plans that ask for too much.
#[test]
fn a_broken_promise_has_its_code() {
    let ask = |promise: &str, fault: &str| {
        let text = format!(
            "name = \"t\"\nkind = \"check\"\npromise = \"{promise}\"\nreplications = 2\n[network]\nnodes = 4\n\
             regions = [\"one\"]\none_way_ms = 5.0\n[workload]\nname = \"hospital\"\nsites = 4\n\
             most_patients = 100\n[load]\noffered_tps = [1.0]\nduration_s = 30.0\ndrain_s = 30.0\n\
             [[engines]]\nname = \"qbft\"\n{fault}"
        );
        let source = Source::new("plan", text);
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
        fuzz::check(&study).expect("not interrupted")
    };
    let half = "[[faults]]\nfrom_s = 0.0\ncrash = [0, 1]\n";
    assert_eq!(ask("live", "").1, exit::OK);
    assert_eq!(ask("still", half).1, exit::OK);
    let (text, code) = ask("still", "");
    assert_eq!(code, Breach::Stillness.code(), "{text}");
    let (text, code) = ask("live", half);
    assert_eq!(code, Breach::Liveness.code(), "{text}");
    assert!(text.contains("never became final"), "{text}");
}
