//! Bad days of a comparison: who is hit, what becomes of the engines, and that all else stays as it is.

use quorate::output;
use quorate::plan::Source;
use quorate::resilience::Day;
use quorate::resilience::fate::{self, Fate, Row};
use quorate::run::{self, Outcome};
use quorate::study::Study;
use quorate::unit::Tweak;
use quorate::verdict::Answer;
use std::path::Path;
use std::process::Command;

/// Four sites, two of them in the first region. Half of the committee is no quorum.
const PLAN: &str = r#"name = "bad"
kind = "compare"
replications = 2

[network]
nodes = 4
regions = ["us-east-1", "us-west-2"]

[workload]
name = "hospital"
sites = 4
most_patients = 300
per_person_year = { consent_revoke = 5.0 }

[load]
offered_tps = [2.0]
decide_at_tps = 2.0
duration_s = 40.0
drain_s = 200.0

[resilience]
for_s = 120.0
replications = 2

[[engines]]
name = "nakamoto"
config = { block_interval_s = 1.0 }
[[engines]]
name = "qbft"
[[engines]]
name = "raft"
"#;

/// The plan with these bad days.
fn plan(days: &str) -> String {
    PLAN.replace("for_s =", &format!("bad_days = {days}\nfor_s ="))
}

fn study(text: &str) -> Study {
    let source = Source::new("plan.toml", text);
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
    Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"))
}

fn outcomes(study: &Study) -> Vec<Outcome> {
    run::run(study, "cargo test").unwrap_or_else(|e| panic!("{e}"))
}

/// What became of the engines of a plan with one part.
fn judged(text: &str) -> Vec<Row> {
    let study = study(text);
    fate::judge(&study.parts[0], &outcomes(&study)[0])
}

fn row(rows: &[Row], engine: usize, day: Day) -> &Row {
    let of = |r: &&Row| r.engine == engine && r.case.day == day;
    rows.iter().find(of).expect("it was simulated")
}

fn hit(row: &Row) -> Vec<u32> {
    row.case.hit.iter().map(|n| n.get()).collect()
}

/// Every unit with the digest of its trace.
fn digests(outcome: &Outcome, which: impl Fn(Tweak) -> bool) -> Vec<String> {
    let cells = outcome.cells.iter().filter(|c| which(c.tweak));
    let units = cells.flat_map(|c| &c.units);
    units
        .map(|u| format!("{:?} {:016x}", u.key, u.report.digest))
        .collect()
}

/// One of four members may lie: it runs twice, while the others cannot reach each other, and nothing comes
/// of it but that one side waits. With two, each half of the others has a quorum with them, and two
/// blocks are final at one height.
#[test]
fn as_many_liars_as_a_committee_bears_break_nothing_and_one_more_does() {
    let rows = judged(&plan("[\"byzantine\"]"));
    let (bound, beyond) = (row(&rows, 1, Day::Liars), row(&rows, 1, Day::OneMore));
    assert_eq!((hit(bound), hit(beyond)), (vec![0], vec![0, 1]));
    assert!(matches!(bound.fate, Fate::GoesOn(_)), "{:?}", bound.fate);
    assert_eq!(
        (bound.answer, beyond.answer),
        (Answer::Holds, Answer::Fails)
    );
    assert!(
        matches!(beyond.fate, Fate::Forks(blocks) if blocks > 0),
        "{:?}",
        beyond.fate
    );
    assert_eq!(bound.figures.conflicting_finals, 0);
}

/// A leader's log bears no liar: what its leader writes is final, whether or not it executes.
#[test]
fn a_log_takes_what_its_leader_writes() {
    let rows = judged(&plan("[\"byzantine\"]"));
    assert!(
        !rows
            .iter()
            .any(|r| r.engine == 2 && r.case.day == Day::Liars)
    );
    let one = row(&rows, 2, Day::OneMore);
    assert!(
        matches!(one.fate, Fate::Accepts(blocks) if blocks > 0),
        "{:?}",
        one.fate
    );
    assert_eq!((one.case.bound, hit(one)), (0, vec![0]));
}

/// Without any flag chains by depth are cut once, and nobody else; the smaller side had called final
/// what it must then leave.
#[test]
fn what_depth_called_final_is_reversed_in_every_verdict() {
    let rows = judged(PLAN);
    let which: Vec<(usize, Day)> = rows.iter().map(|r| (r.engine, r.case.day)).collect();
    assert_eq!(which, [(0, Day::Partition)]);
    let cut = &rows[0];
    assert_eq!((hit(cut), cut.figures.replications), (vec![0, 2], 1));
    let reversed = &cut.figures;
    assert_eq!(
        cut.fate,
        Fate::Reverses(reversed.reversed_txs, reversed.reversed_records)
    );
    assert!(reversed.reversed_records <= reversed.reversed_txs);
    let by_class: u64 = reversed.reversed_classes.iter().sum();
    assert_eq!(by_class, reversed.reversed_txs);
}

/// Half of four is no quorum: nothing is final until the link is back, and then it is. Raft's does not
/// halt when its leader goes, but without a majority.
#[test]
fn a_committee_cut_in_half_halts_and_recovers() {
    let rows = judged(&plan("[\"site-down\", \"partition\"]"));
    for engine in [1, 2] {
        let cut = row(&rows, engine, Day::Partition);
        assert!(matches!(cut.fate, Fate::Halts(_)), "{:?}", cut.fate);
        assert_eq!(cut.answer, Answer::Fails);
        assert_eq!(cut.figures.reversed_txs, 0);
        // About two writes a second for two minutes.
        let delayed = cut.figures.delayed.expect("it has an end");
        assert!((150..400).contains(&delayed), "{delayed}");
        let down = row(&rows, engine, Day::SiteDown);
        assert!(matches!(down.fate, Fate::GoesOn(_)), "{:?}", down.fate);
        assert_eq!((down.answer, down.case.hit.len()), (Answer::Holds, 1));
        // Its clients wait for it: their revocations are known late, but for no longer than it is down.
        let exposure = down.figures.exposure_ms.expect("somebody revoked");
        assert!(exposure < 125e3, "{exposure}");
    }
}

/// All other cells keep their traces, and their places in the tables.
#[test]
fn bad_days_change_nothing_else() {
    let (with, without) = (study(&plan("[\"site-down\", \"byzantine\"]")), study(PLAN));
    let (with, without) = (&outcomes(&with)[0], &outcomes(&without)[0]);
    let good = |tweak| !matches!(tweak, Tweak::Bad(_));
    assert_eq!(digests(with, good), digests(without, good));
    let places = |o: &Outcome| -> Vec<usize> {
        let cells = o.cells.iter().filter(|c| good(c.tweak));
        cells.map(|c| c.index).collect()
    };
    assert_eq!(places(with), places(without));
    // Who comes last has the last places.
    let last = with.cells.iter().position(|c| !good(c.tweak));
    assert!(
        with.cells[last.expect("bad days")..]
            .iter()
            .all(|c| !good(c.tweak))
    );
}

/// A part of a study, run by itself from its resolved plan, gives the same digests.
#[test]
fn a_part_by_itself_has_the_same_bad_days() {
    let text = plan("[\"partition\", \"byzantine\"]")
        .replace(
            "replications = 2\n\n[network]",
            "replications = 2\nprofiles = [\"deployed\", \"matched\"]\n\n[network]",
        )
        .replace(
            "name = \"qbft\"",
            "name = \"qbft\"\nmatched = { period_ms = 2000 }",
        );
    let whole = study(&text);
    let all = outcomes(&whole);
    for (part, outcome) in whole.parts.iter().zip(&all) {
        let alone = study(&output::resolved(part));
        let own = |o: &Outcome| digests(o, |tweak| matches!(tweak, Tweak::Bad(_)));
        assert_eq!(
            own(&outcomes(&alone)[0]),
            own(outcome),
            "{:?}",
            part.profile
        );
    }
}

/// The largest share is hit, its region is cut off; where there is but one region, half of it.
#[test]
fn who_is_hit_follows_from_the_plan() {
    let hits = |text: &str| -> Vec<Vec<u32>> {
        let rows = judged(text);
        let of = |day| {
            rows.iter()
                .find(|r| r.engine == 0 && r.case.day == day)
                .map(hit)
        };
        [Day::Partition, Day::OneMore]
            .into_iter()
            .filter_map(of)
            .collect()
    };
    let days = plan("[\"partition\", \"byzantine\"]");
    let shares = "block_interval_s = 1.0, hash_shares = [0.1, 0.2, 0.3, 0.4]";
    let unequal = days.replace("block_interval_s = 1.0", shares);
    // Only the two heaviest have more than half of the work.
    assert_eq!(hits(&unequal), [vec![1, 3], vec![3, 2]]);
    let one_region = days.replace("[\"us-east-1\", \"us-west-2\"]", "[\"us-east-1\"]");
    assert_eq!(hits(&one_region)[0], [0, 1]);
}

/// Runs the binary on a plan in a folder of its own.
fn quorate(folder: &Path, text: &str, args: &[&str]) -> std::process::Output {
    std::fs::write(folder.join("plan.toml"), text).expect("it can be written");
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// What is printed about bad days, and the same tables for any number of threads.
#[test]
fn the_screen_tells_and_threads_change_no_byte() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let run = |threads: &str| {
        let faults = "site-down,partition,byzantine";
        let args = [
            "compare",
            "plan.toml",
            "--faults",
            faults,
            "--threads",
            threads,
            "--out",
            threads,
        ];
        let output = quorate(scratch.path(), PLAN, &args);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let folder = std::fs::read_dir(scratch.path().join(threads))
            .expect("readable")
            .next();
        let folder = folder.expect("one result").expect("readable").path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
        let screen = String::from_utf8(output.stdout).expect("UTF-8");
        let told = screen.find("bad days at").expect("they are told");
        let end = screen.find("load sweep").expect("it follows");
        let sums = read("SHA256SUMS");
        (
            screen[told..end].to_owned(),
            sums,
            read("resilience.csv"),
            read("config.resolved.toml"),
        )
    };
    let (one, two) = (run("1"), run("2"));
    assert_eq!(one, two);
    assert!(one.1.contains("resilience.csv"));
    assert!(
        one.3.contains("bad_days = [\n    \"site-down\",")
            || one.3.contains("bad_days = [\"site-down\",")
    );
    // A line for each engine and bad day; raft bears no liar.
    assert_eq!(one.2.lines().count(), 1 + 3 + 4 + 4);
    insta::assert_snapshot!(one.0);
}

fn complaint(text: &str) -> String {
    let source = Source::new("plan.toml", text);
    let opened = source.plan(&[]).and_then(|p| Study::open(&source, p));
    opened.err().expect("the plan is wrong").to_string()
}

macro_rules! complains {
    ($($name:ident: $plan:expr;)+) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(complaint(&$plan));
        }
    )+};
}

complains! {
    bad_day_of_a_curve: plan("[\"partition\"]").replace("kind = \"compare\"", "kind = \"curve\"");
    bad_day_twice: plan("[\"partition\", \"partition\"]");
    bad_day_of_no_kind: plan("[\"flood\"]");
    bad_day_of_one_node: plan("[\"partition\"]").replace("nodes = 4", "nodes = 1");
    bad_day_of_no_length: PLAN.replace("for_s = 120.0", "for_s = 0.0");
    bad_day_never: PLAN.replace("for_s = 120.0\nreplications = 2", "replications = 0");
    bad_day_beside_liars: format!("{}\n[[corrupt]]\nnodes = [0]\nsilent = true\n", plan("[\"byzantine\"]"));
}

#[test]
fn bad_day_of_the_command_line_is_unknown() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let output = quorate(
        scratch.path(),
        PLAN,
        &["compare", "plan.toml", "--faults", "flood"],
    );
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).expect("UTF-8"));
}
