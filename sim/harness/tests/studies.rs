//! Plans that come to several: workloads, profiles and sizes side by side.

use quorate::plan::{BUILT_IN, Kind, Profile, Source};
use quorate::run::{self, Outcome};
use quorate::study::Study;
use quorate::{output, results};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two workloads and two profiles; the second workload has a load of its own.
const PLAN: &str = r#"name = "several"
kind = "curve"
replications = 2
profiles = ["deployed", "matched"]
quick = ["profiles=['deployed']", "workloads.1.load.duration_s=20"]

[network]
nodes = 4
regions = ["us-east-1", "us-west-2"]

[load]
offered_tps = [2.0, 30.0]
duration_s = 120.0
drain_s = 60.0
knee_within = 0.3

[[workloads]]
name = "hospital"
sites = 4
most_patients = 500
reads_per_write = 0.0

[[workloads]]
name = "hospital"
label = "records"
sites = 4
most_patients = 500
reads_per_write = 0.0
payload = "full"

[workloads.load]
offered_tps = [5.0, 40.0]

[[workloads.levels]]
expect = "all:final:p(95)<10s"
standing = "assumption"
source = "a test"

[[engines]]
name = "qbft"
config = { block_txs = 10 }
matched = { period_ms = 2000, block_txs = 30 }

[[engines]]
name = "central"
"#;

fn study(text: &str) -> Study {
    let source = Source::new("plan.toml", text);
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
    Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"))
}

fn outcomes(study: &Study) -> Vec<Outcome> {
    run::run(study, "cargo test").unwrap_or_else(|e| panic!("{e}"))
}

/// Every unit of a part with the digest of its trace, in the order of the cells.
fn digests(outcome: &Outcome) -> String {
    let units = outcome.cells.iter().flat_map(|c| &c.units);
    units.fold(String::new(), |mut text, unit| {
        let (key, digest) = (unit.key, unit.report.digest);
        writeln!(text, "{key:?} {digest:016x}").expect("a string takes all");
        text
    })
}

/// Writes the results of a study and returns their folder.
fn written(study: &Study, outcomes: &[Outcome], parent: &Path) -> PathBuf {
    let ran = study.parts.iter().zip(outcomes);
    let ran: Vec<output::Ran<'_>> = ran
        .map(|(part, outcome)| output::Ran {
            part,
            outcome,
            rows: &[],
        })
        .collect();
    output::write(parent, study, &ran).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn workloads_and_profiles_give_their_parts() {
    let study = study(PLAN);
    let parts: Vec<(Profile, &str, &[f64])> = study
        .parts
        .iter()
        .map(|p| (p.profile, &*p.label, &*p.plan.load.offered_tps))
        .collect();
    let (own, common): (&[f64], &[f64]) = (&[5.0, 40.0], &[2.0, 30.0]);
    assert_eq!(
        parts,
        [
            (Profile::Deployed, "hospital", common),
            (Profile::Deployed, "records", own),
            (Profile::Matched, "hospital", common),
            (Profile::Matched, "records", own),
        ]
    );
    for part in &study.parts {
        // What a workload's load leaves out is the plan's.
        assert!((part.plan.load.duration_s - 120.0).abs() < 1e-9);
        let levels = usize::from(part.label == "records");
        assert_eq!(part.plan.levels.len(), levels);
        let qbft = &part.sheets[0].resolved;
        let keys = ["period_ms", "block_txs"].map(|k| qbft[k].as_integer().expect("a number"));
        let wanted = match part.profile {
            Profile::Deployed => [1_000, 10],
            Profile::Matched => [2_000, 30],
        };
        assert_eq!(keys, wanted, "{:?}", part.profile);
    }
    let bytes = |part: usize| study.parts[part].workload.mean_write().0;
    assert!((bytes(0) - 300.0).abs() < 1e-9 && bytes(1) > 1_000.0);
}

/// The levels of the plan itself are those of workloads that have none of their own.
#[test]
fn levels_are_inherited() {
    let level = "[[levels]]\nexpect = \"all:goodput:rate>50%\"\n\
                 standing = \"assumption\"\nsource = \"a test\"\n";
    let study = study(&format!("{PLAN}\n{level}"));
    let expect = |part: usize| &*study.parts[part].plan.levels[0].expect;
    assert_eq!(
        [expect(0), expect(1)],
        ["all:goodput:rate>50%", "all:final:p(95)<10s"]
    );
}

/// A plan of kind `scale` on an axis.
fn scale(axis: &str, values: &str, more: &str) -> String {
    format!(
        r#"name = "sizes"
kind = "scale"
replications = 2
[scale]
axis = "{axis}"
values = {values}
{more}
[network]
nodes = 4
regions = ["here"]
one_way_ms = 5.0
outbound = 3
[workload]
name = "hospital"
sites = 4
most_patients = 500
reads_per_write = 0.0
[load]
offered_tps = [3.0]
duration_s = 20.0
drain_s = 600.0
[[engines]]
name = "qbft"
[[engines]]
name = "nakamoto"
config = {{ block_interval_s = 2.0 }}
[[engines]]
name = "central"
"#
    )
}

/// Nodes, sites, members of the first engine's committee, and the adversary's share.
fn shape(study: &Study) -> Vec<(u32, u32, usize, f64)> {
    let of = |p: &quorate::study::Part| {
        let sheet = &p.sheets[0];
        let share = sheet.adversary.share;
        (
            p.plan.network.nodes,
            p.workload.sites(),
            sheet.committee.len(),
            share,
        )
    };
    study.parts.iter().map(of).collect()
}

#[test]
fn only_the_axis_grows() {
    let committee = study(&scale("committee", "[4, 10]", ""));
    assert_eq!(shape(&committee), [(4, 4, 4, 0.25), (10, 4, 10, 0.3)]);
    let sites = study(&scale("sites", "[4, 10]", ""));
    assert_eq!(shape(&sites), [(4, 4, 4, 0.25), (10, 10, 4, 0.25)]);
    // Nodes that only follow give the adversary no share.
    let nodes = study(&scale("nodes", "[8, 40]", "committee = 7"));
    let share = 2.0 / 7.0;
    assert_eq!(shape(&nodes), [(8, 4, 7, share), (40, 4, 7, share)]);
    let miners = nodes.parts[1].sheets[1].committee.len();
    assert_eq!(miners, 7);
}

/// A committee that an engine's settings fix stays as they say.
#[test]
fn a_committee_of_ones_own_stays() {
    let plan = scale("nodes", "[8, 40]", "committee = 7");
    let plan = plan.replace(
        "name = \"qbft\"",
        "name = \"qbft\"\nconfig = { validators = 5 }",
    );
    assert_eq!(study(&plan).parts[1].sheets[0].committee.len(), 5);
}

/// Each part's plan, as it is written into the results, run by itself.
fn assert_parts_stand_alone(text: &str) {
    let study = study(text);
    let all = outcomes(&study);
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = written(&study, &all, scratch.path());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("parts"))
        .expect("several parts are written")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), study.parts.len());
    for ((file, part), whole) in files.iter().zip(&study.parts).zip(&all) {
        let source = Source::open(file.to_str().expect("UTF-8")).expect("it is there");
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        let alone = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(alone.parts.len(), 1);
        assert_eq!(alone.parts[0].label, part.label);
        assert_eq!(alone.parts[0].profile, part.profile);
        assert_eq!(
            digests(&outcomes(&alone)[0]),
            digests(whole),
            "{}",
            file.display()
        );
    }
}

#[test]
fn parts_of_a_curve_stand_alone() {
    assert_parts_stand_alone(PLAN);
}

#[test]
fn parts_of_every_axis_stand_alone() {
    assert_parts_stand_alone(&scale("committee", "[4, 7]", ""));
    assert_parts_stand_alone(&scale("sites", "[4, 7]", "committee = 4"));
    assert_parts_stand_alone(&scale("nodes", "[6, 20]", ""));
}

/// Counterfactuals too: a default that follows the interval follows the halved one, also where the
/// part's plan spells it out.
#[test]
fn parts_of_a_comparison_stand_alone() {
    let plan = PLAN
        .replace("\"curve\"", "\"compare\"")
        .replace(
            "duration_s = 120.0",
            "duration_s = 10.0\ndecide_at_tps = 30.0",
        )
        .replace(
            "offered_tps = [5.0, 40.0]",
            "offered_tps = [40.0]\ndecide_at_tps = 40.0",
        )
        // So much execution that the limit which follows the period is what binds.
        .replace(
            "reads_per_write = 0.0",
            "reads_per_write = 0.0\nexec_us = 40000",
        )
        .replace("block_txs = 10", "block_bytes = 100000");
    assert_parts_stand_alone(&plan);
}

/// Runs a study on so many threads: all digests, and the checksums of the results.
fn on_threads(threads: usize, text: &str) -> (Vec<String>, String) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let study = study(text);
    let all = pool.expect("a pool").install(|| outcomes(&study));
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = written(&study, &all, scratch.path());
    results::verify(&folder).expect("checksums hold");
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).expect("every result has them");
    (all.iter().map(digests).collect(), sums)
}

#[test]
fn threads_change_no_curve_and_no_scale() {
    for text in [PLAN, &scale("nodes", "[6, 20]", "")] {
        assert_eq!(on_threads(1, text), on_threads(2, text));
    }
}

/// Bisection adds loads, until the knee is as narrow as asked; every part keeps its own.
#[test]
fn knees_are_narrowed() {
    let study = study(PLAN);
    let all = outcomes(&study);
    let mut indices: Vec<usize> = all.iter().flat_map(|o| &o.cells).map(|c| c.index).collect();
    indices.sort_unstable();
    assert!(indices.windows(2).all(|w| w[0] + 1 == w[1]), "{indices:?}");
    // The first workload offers 30/s, the second 40/s; qbft carries 10 a second as deployed and 15
    // as matched.
    for (outcome, carried) in all.iter().zip([10.0, 10.0, 15.0, 15.0]) {
        let knee = quorate::knee::knee(outcome, 0);
        let (low, high) = (knee.carried_tps.expect("low"), knee.lost_tps.expect("high"));
        assert!(high / low <= 1.3, "{knee:?}");
        // A block takes whatever came in its period: within the noise of so few transactions.
        assert!((carried / 1.4..1.4 * carried).contains(&low), "{knee:?}");
        let knee = quorate::knee::knee(outcome, 1);
        assert_eq!(knee.lost_tps, None, "central carries all");
    }
}

fn complaint(text: &str) -> String {
    let source = Source::new("plan.toml", text);
    let opened = source.plan(&[]).and_then(|p| Study::open(&source, p));
    opened.err().expect("the plan is wrong").to_string()
}

/// The plan with one piece of text replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(PLAN.matches(old).count(), 1, "{old}");
    PLAN.replace(old, new)
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
    load_of_a_workload_is_negative: with("[5.0, 40.0]", "[5.0, -40.0]");
    load_of_a_workload_has_a_strange_key: with("[5.0, 40.0]", "[5.0]\nduration = 3.0");
    load_of_a_workload_is_no_table: with("payload = \"full\"\n\n[workloads.load]\noffered_tps = [5.0, 40.0]", "load = 3");
    inherited_load_is_negative: with("duration_s = 120.0", "duration_s = -30.0");
    level_of_a_workload_is_wrong: with("p(95)<10s", "p(950)<10s");
    level_of_a_workload_names_no_class: with("all:final", "surgery:final");
    setting_of_a_workload_is_wrong: with("payload = \"full\"", "payload = \"half\"");
    setting_of_a_workload_is_out_of_range: with("payload = \"full\"", "home_share = 2.0");
    label_of_a_workload_stands_twice: with("label = \"records\"", "label = \"hospital\"");
    label_of_a_workload_is_no_file_name: with("label = \"records\"", "label = \"a/b\"");
    workload_without_a_name: with("name = \"hospital\"\nlabel = \"records\"", "label = \"records\"");
    workload_beside_workloads: with("[[engines]]\nname = \"qbft\"", "[workload]\nname = \"trial\"\n[[engines]]\nname = \"qbft\"");
    no_profile: with("[\"deployed\", \"matched\"]", "[]");
    unknown_profile: with("[\"deployed\", \"matched\"]", "[\"best\"]");
    matched_key_is_wrong: with("block_txs = 30", "block_tx = 30");
    scale_without_its_kind: with("[load]", "[scale]\naxis = \"nodes\"\nvalues = [4]\n[load]");
    kind_without_its_scale: with("kind = \"curve\"", "kind = \"scale\"");
    scale_of_nothing: scale("nodes", "[]", "");
    scale_to_zero: scale("nodes", "[4, 0]", "");
    scale_to_a_size_twice: scale("nodes", "[4, 4]", "");
    scale_below_its_committee: scale("nodes", "[4, 8]", "committee = 7");
    scale_of_a_committee_that_is_fixed: scale("committee", "[4, 8]", "committee = 7");
    scale_of_an_unknown_axis: scale("users", "[4, 8]", "");
}

#[test]
fn quick_without_a_smaller_form() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let plan = with(
        "quick = [\"profiles=['deployed']\", \"workloads.1.load.duration_s=20\"]\n",
        "",
    );
    std::fs::write(scratch.path().join("plan.toml"), plan).expect("it can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["run", "plan.toml", "--quick"])
        .current_dir(scratch.path())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(78));
    insta::assert_snapshot!(String::from_utf8(output.stderr).expect("UTF-8"));
}

/// The smaller form applies to the workloads that it names, and is not part of the parts.
#[test]
fn quick_makes_a_smaller_plan() {
    let source = Source::new("plan.toml", PLAN);
    let quick = source.parse().expect("it is a plan").quick;
    let plan = source.plan(&quick).unwrap_or_else(|e| panic!("{e}"));
    let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
    let parts = study.parts.iter();
    let short: Vec<(&str, f64)> = parts.map(|p| (&*p.label, p.plan.load.duration_s)).collect();
    assert_eq!(short, [("hospital", 120.0), ("records", 20.0)]);
    assert!(study.parts.iter().all(|p| p.plan.quick.is_empty()));
}

/// Built-in plans are sound, also in their smaller form; those that need a file are left out.
#[test]
fn built_in_plans_are_sound() {
    for built_in in BUILT_IN {
        let source = Source::open(built_in.name).expect("it is built in");
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(plan.name, built_in.name);
        if plan.kind == Kind::Replay {
            continue;
        }
        let quick = plan.quick.clone();
        assert!(!quick.is_empty(), "{} has a smaller form", built_in.name);
        for set in [Vec::new(), quick] {
            let plan = source.plan(&set).unwrap_or_else(|e| panic!("{e}"));
            let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
            let sheets = study.parts.iter().flat_map(|p| &p.sheets);
            assert!(sheets.into_iter().all(|s| s.finality.is_ok()));
        }
    }
}
