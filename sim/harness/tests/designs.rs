//! Designs of experiments: factors and their combinations, scans from the command line, capacity, tuned
//! intervals, sensitivity.

use quorate::capacity;
use quorate::plan::{EnginePlan, Source};
use quorate::run::{self, Outcome};
use quorate::study::Study;
use quorate::unit::Tweak;
use quorate::{sweep, tune};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A small plan; `head` stands before its tables, `more` behind them.
fn plan(kind: &str, head: &str, more: &str) -> String {
    format!(
        r#"name = "small"
kind = "{kind}"
replications = 2
{head}
[network]
nodes = 4
regions = ["here"]
one_way_ms = 10.0
jitter_permille = 0
uplink_mbps = 0
downlink_mbps = 0
[adversary]
corrupt = 0
[workload]
name = "hospital"
sites = 4
most_patients = 500
reads_per_write = 0.0
[load]
offered_tps = [10.0]
decide_at_tps = 10.0
duration_s = 20.0
drain_s = 60.0
[[engines]]
name = "qbft"
config = {{ period_ms = 1000, block_txs = 40, whole_second_timestamps = false }}
[[engines]]
name = "central"
{more}
"#
    )
}

const LEVELS: &str = r#"
[[levels]]
expect = "all:final:p(95)<500ms"
standing = "assumption"
source = "a test"
[[levels]]
expect = "all:goodput:rate>95%"
standing = "assumption"
source = "a test"
"#;

fn open(text: &str, set: &[&str]) -> Result<Study, String> {
    let source = Source::new("plan.toml", text);
    let set: Vec<String> = set.iter().map(|&s| s.to_owned()).collect();
    let plan = source.plan(&set).map_err(|e| e.to_string())?;
    Study::open(&source, plan).map_err(|e| e.to_string())
}

fn ran(text: &str, set: &[&str]) -> (Study, Vec<Outcome>) {
    let study = open(text, set).unwrap_or_else(|e| panic!("{e}"));
    let outcomes = run::run(&study, "cargo test").unwrap_or_else(|e| panic!("{e}"));
    (study, outcomes)
}

fn sweep_plan(sweep: &str) -> String {
    plan("sweep", "", &format!("[sweep]\n{sweep}"))
}

fn labels(sweep: &str) -> Vec<String> {
    let study = open(&sweep_plan(sweep), &[]).unwrap_or_else(|e| panic!("{e}"));
    study.parts.iter().map(sweep::label).collect()
}

#[test]
fn factors_are_crossed_zipped_and_listed() {
    let cases: [(&str, &[&str]); 5] = [
        (
            r#"grid = { "network.nodes" = [4, 7], "load.drain_s" = [30.0, 60.0] }"#,
            &[
                "load.drain_s = 30.0, network.nodes = 4",
                "load.drain_s = 30.0, network.nodes = 7",
                "load.drain_s = 60.0, network.nodes = 4",
                "load.drain_s = 60.0, network.nodes = 7",
            ],
        ),
        (
            r#"zip = [{ "network.nodes" = [4, 7], "load.drain_s" = [30.0, 60.0] }]"#,
            &[
                "load.drain_s = 30.0, network.nodes = 4",
                "load.drain_s = 60.0, network.nodes = 7",
            ],
        ),
        (
            r#"list = [{}, { "network.nodes" = 7 }]"#,
            &["", "network.nodes = 7"],
        ),
        (
            "grid.network.nodes = [4, 7]\nlist = [{ seed = 1 }, { seed = 2 }]",
            &[
                "network.nodes = 4, seed = 1",
                "network.nodes = 4, seed = 2",
                "network.nodes = 7, seed = 1",
                "network.nodes = 7, seed = 2",
            ],
        ),
        (
            r#"grid = { "engines.qbft.period_ms" = [500], "load.offered_tps" = [5.0], engines = ["qbft"] }"#,
            &["engines.qbft.period_ms = 500, load.offered_tps = 5.0"],
        ),
    ];
    for (sweep, wanted) in cases {
        assert_eq!(labels(sweep), wanted, "{sweep}");
    }
}

/// A value reaches the plan that is run: by label, by number, in place of a list.
#[test]
fn values_reach_the_plan() {
    let sweep = r#"
grid = { "engines.qbft.period_ms" = [500], "load.offered_tps" = [5.0], "engines.1.config.fsync_ms" = [3.0] }
"#;
    let study = open(&sweep_plan(sweep), &[]).unwrap_or_else(|e| panic!("{e}"));
    let part = &study.parts[0];
    assert_eq!(part.sheets[0].resolved["period_ms"].as_integer(), Some(500));
    assert_eq!(part.sheets[1].resolved["fsync_ms"].as_float(), Some(3.0));
    assert_eq!(part.plan.load.offered_tps, [5.0]);
    assert!(part.plan.sweep.is_none(), "a part is a plan of its own");
}

/// Engines of `grid.engines` are those of every part, also such as the plan does not name.
#[test]
fn engines_are_chosen() {
    let sweep = r#"grid = { engines = ["raft", "qbft"], "network.nodes" = [4, 7] }"#;
    let study = open(&sweep_plan(sweep), &[]).unwrap_or_else(|e| panic!("{e}"));
    for part in &study.parts {
        let labels: Vec<&str> = part.plan.engines.iter().map(EnginePlan::label).collect();
        assert_eq!(labels, ["raft", "qbft"]);
    }
}

#[test]
fn what_is_wrong_with_factors_is_said_with_its_line() {
    let many = (0..101)
        .map(|i| i.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let sweeps = [
        String::new(),
        "grid = {}".to_owned(),
        r#"grid = { "network.nodes" = [] }"#.to_owned(),
        r#"grid = { "network.nodes" = 4 }"#.to_owned(),
        "\n\ngrid = { \"network.nodez\" = [4] }".to_owned(),
        "grid = { \"network.nodes\" = [4, 0] }".to_owned(),
        "grid = { \"network.nodes\" = [4, 7, 4] }".to_owned(),
        "grid = { \"network.nodes\" = [\"four\"] }".to_owned(),
        "grid = { \"engines.qbfd.period_ms\" = [500] }".to_owned(),
        "grid = { \"engines.qbft.perod_ms\" = [500] }".to_owned(),
        "grid = { \"engines.qbft.label\" = [\"a\"] }".to_owned(),
        "grid = { replications = [2, 3] }".to_owned(),
        "grid = { engines = 3 }".to_owned(),
        "list = [{ engines = \"qbft\" }]".to_owned(),
        "zip = [{}]".to_owned(),
        "zip = [{ \"network.nodes\" = [4, 7], seed = [1, 2, 3] }]".to_owned(),
        "grid = { seed = [1, 2] }\nzip = [{ seed = [3], \"network.nodes\" = [4] }]".to_owned(),
        format!("grid = {{ seed = [{many}], \"network.nodes\" = [{many}] }}"),
        "grit = { seed = [1] }".to_owned(),
    ];
    let said: Vec<String> = sweeps
        .iter()
        .map(|sweep| match open(&sweep_plan(sweep), &[]) {
            Ok(_) => format!("nothing is wrong with {sweep}"),
            Err(e) => e
                .replace("`nodes`, `regions`, `latency_table`", "…")
                .split(", `one_way_ms`")
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
        .collect();
    insta::assert_snapshot!(said.join("\n----\n"));
}

#[test]
fn plans_that_cannot_be_designed_so_are_refused() {
    let level = |text: &str| format!("{text}{LEVELS}");
    let said = [
        open(&plan("sweep", "", ""), &[]).err(),
        open(&plan("capacity", "", ""), &[]).err(),
        open(&plan("capacity", "", LEVELS), &[]).err(),
        open(&plan("sensitivity", "", ""), &[]).err(),
        open(
            &level(&plan("sensitivity", "", "[sensitivity]\nwithin = 1.5")),
            &[],
        )
        .err(),
        open(
            &level(&plan("sensitivity", "", "[sensitivity]\nkeys = [\"lod\"]")),
            &[],
        )
        .err(),
        open(
            &level(&plan(
                "sensitivity",
                "",
                "[sensitivity]\nkeys = [\"load\", \"load\"]",
            )),
            &[],
        )
        .err(),
        open(
            &level(&plan("sensitivity", "", "[sweep]\ngrid = { seed = [1] }")),
            &[],
        )
        .err(),
        open(&plan("curve", "tune = true", ""), &[]).err(),
        open(&plan("curve", "", "[sensitivity]\nwithin = 0.1"), &[]).err(),
    ];
    let said: Vec<String> = said.into_iter().map(|e| e.expect("it is wrong")).collect();
    insta::assert_snapshot!(said.join("\n----\n"));
}

fn digests(outcome: &Outcome, engine: usize) -> Vec<u64> {
    let cells = outcome.cells.iter().filter(|c| c.engine == engine);
    cells
        .flat_map(|c| &c.units)
        .map(|u| u.report.digest)
        .collect()
}

/// A combination gives what the plan with these values gives, and an engine that a factor is not about
/// gives the same everywhere.
#[test]
fn a_combination_is_a_plan_of_its_own() {
    let sweep =
        r#"grid = { "engines.qbft.period_ms" = [500, 1000], "network.one_way_ms" = [10.0, 20.0] }"#;
    let (_, swept) = ran(&sweep_plan(sweep), &[]);
    let set = [
        "engines.qbft.period_ms=1000",
        "network.one_way_ms=20.0",
        "kind=curve",
    ];
    let (_, alone) = ran(&plan("curve", "", ""), &set);
    for engine in 0..2 {
        assert_eq!(digests(&swept[3], engine), digests(&alone[0], engine));
    }
    let all: Vec<Vec<u64>> = swept.iter().map(|o| digests(o, 0)).collect();
    assert!(
        (0..4).all(|i| (0..i).all(|j| all[i] != all[j])),
        "factors change nothing: {all:?}"
    );
    assert_eq!(digests(&swept[0], 1), digests(&swept[2], 1));
    assert_ne!(digests(&swept[0], 1), digests(&swept[1], 1));
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn quorate(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.current_dir(folder).args(args);
    command.output().expect("it starts")
}

/// The only results folder below `out`.
fn results(folder: &Path, out: &str) -> PathBuf {
    let entries = fs::read_dir(folder.join(out)).expect("results");
    let mut all: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Factors on the command line give the bytes of factors in the plan, on any number of threads.
#[test]
fn a_scan_is_a_sweep() {
    let folder = folder("scan");
    let grid = r#"grid = { engines = ["central", "qbft"], "network.nodes" = [4, 8], "network.one_way_ms" = [1.5, 2.0] }"#;
    fs::write(folder.join("bare.toml"), plan("curve", "", "")).expect("written");
    let written = plan("curve", "", &format!("[sweep]\n{grid}"));
    fs::write(folder.join("written.toml"), written).expect("written");
    let scan = [
        "sweep",
        "bare.toml",
        "-P",
        "network.nodes=4:8:x2",
        "-P",
        "network.one_way_ms",
        "1.5",
        "2",
        "-D",
        "0.5",
        "-L",
        "engines=central,qbft",
        "--out",
        "scanned",
        "--threads",
        "1",
    ];
    for args in [
        &scan[..],
        &["run", "written.toml", "--out", "written", "--threads", "2"],
    ] {
        let output = quorate(&folder, args);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let (one, other) = (results(&folder, "scanned"), results(&folder, "written"));
    assert_eq!(one.file_name(), other.file_name());
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).expect("sums");
    assert_eq!(sums(&one), sums(&other));
    let head = fs::read_to_string(one.join("summary.csv")).expect("a table");
    let head = head.lines().next().expect("a head");
    let wanted = "changed,combination,factor.network.nodes,factor.network.one_way_ms,class";
    assert!(head.contains(wanted), "{head}");
    // The bounds of a key are those of its parts: a plan that comes to four knees has four rows.
    let knees = fs::read_to_string(one.join("knees.csv")).expect("a table");
    assert_eq!(knees.lines().count(), 1 + 4 * 2, "{knees}");
    assert!(one.join("plots/sweep-000.svg").is_file());
    for engine in ["bare.toml", "written.toml"] {
        assert!(folder.join(engine).is_file());
    }
}

/// Blocks of at most 40 transactions, once a second: 40 a second at most. A run of finite length sees
/// a backlog grow a little earlier, and one that is short is not steady near the edge, which leaves it undecided.
#[test]
fn capacity_is_block_space_over_interval() {
    let levels = LEVELS.replace("500ms", "3s");
    let set = [
        "replications=10",
        "load.duration_s=400",
        "load.offered_tps=[15.0, 25.0]",
        "load.knee_within=0.1",
        "engines.1.optional=true",
    ];
    let (study, outcomes) = ran(&plan("capacity", "", &levels), &set);
    let found = capacity::capacity(&study.parts[0], &outcomes[0], 0);
    let (met, failed) = (
        found.met_tps().expect("met"),
        found.failed_tps().expect("failed"),
    );
    // At nine tenths of the edge the warm-up of one replication in ten does not end: undecided.
    assert!((0.75 * 40.0..40.0).contains(&met), "{met} to {failed}");
    assert!(
        failed > 0.95 * 40.0 && failed <= 1.1 * 40.0,
        "{met} to {failed}"
    );
    assert!(found.exceptions().is_empty());
    // The limit is block space or, which is the same, the interval.
    let limits = Tweak::LIMITS.map(|t| outcomes[0].cells.iter().filter(|c| c.tweak == t).count());
    assert_eq!(limits, [1; 5], "each change is tried once");
}

/// A level of half a second needs blocks more often than once a second.
#[test]
fn an_interval_is_tuned() {
    let set = [
        "tune=true",
        "replications=10",
        "load.offered_tps=[10.0]",
        "network.one_way_ms=40.0",
        "levels.0.expect='all:final:p(95)<400ms'",
    ];
    let (study, outcomes) = ran(&plan("compare", "", LEVELS), &set);
    let (part, outcome) = (&study.parts[0], &outcomes[0]);
    let found = tune::tuned(part, outcome, 0).expect("qbft has an interval");
    assert_eq!(found.planned.name(), "fails");
    let step = found.step.expect("some interval holds");
    assert!(step >= 4, "a shorter one than half holds: {step}");
    if let Some(lost) = found.lost {
        assert_eq!(lost, step + 1, "the edge is located");
    }
    assert!(
        tune::tuned(part, outcome, 1).is_none(),
        "central has no interval"
    );
}

/// More latency leaves less margin, a longer interval too; central has none.
#[test]
fn sensitivity_has_the_right_sign() {
    let folder = folder("sensitivity");
    let text = plan("compare", "", LEVELS);
    fs::write(folder.join("plan.toml"), text).expect("written");
    let args = [
        "sensitivity",
        "plan.toml",
        "--within",
        "50%",
        "--keys",
        "load,latency,interval,loss,engines.qbft.block_txs",
        "-s",
        "load.decide_at_tps=30.0",
        "-s",
        "load.offered_tps=[30.0]",
        "-s",
        "load.duration_s=40",
        "-s",
        "replications=10",
    ];
    let output = quorate(&folder, &args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        screen.contains("loss was not varied: no packet is lost"),
        "{screen}"
    );
    let results = results(&folder, "results");
    let table = fs::read_to_string(results.join("sensitivity.csv")).expect("a table");
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let margins = |engine: &str, input: &str, change: &str| {
        let is = |r: &&csv::StringRecord| {
            &r[2] == engine && r[3].starts_with("all:final") && &r[4] == input && &r[5] == change
        };
        let row = rows
            .iter()
            .find(is)
            .unwrap_or_else(|| panic!("{engine} {input} {change}: {table}"));
        let number = |i: usize| row[i].parse::<f64>().expect("a number");
        (number(11), number(12))
    };
    // 45 a second are more than 40: what piles up waits.
    let (base, more) = margins("qbft", "load", "× 1.50");
    assert!(more < base, "load: {base} to {more}");
    for (engine, input) in [
        ("qbft", "interval"),
        ("qbft", "latency"),
        ("central", "latency"),
    ] {
        let (base, more) = margins(engine, input, "× 1.50");
        let (_, less) = margins(engine, input, "× 0.500");
        assert!(
            more < base && base < less,
            "{engine} {input}: {less}, {base}, {more}"
        );
    }
    let (base, more) = margins("central", "interval", "× 1.50");
    assert!((base - more).abs() < 1e-12, "central has no interval");
    assert!(results.join("plots/tornado.svg").is_file());
}

/// The page and the tables are written for every kind that has factors.
#[test]
fn comparisons_have_factors_too() {
    let folder = folder("factors");
    let text = plan(
        "compare",
        "tune = true",
        &format!("{LEVELS}\n[sweep]\ngrid = {{ \"network.one_way_ms\" = [5.0, 10.0] }}"),
    );
    fs::write(folder.join("plan.toml"), text).expect("written");
    let output = quorate(
        &folder,
        &["compare", "plan.toml", "-s", "load.duration_s=5"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let results = results(&folder, "results");
    let lines = |file: &str| {
        fs::read_to_string(results.join(file))
            .expect("a table")
            .lines()
            .count()
    };
    // Two parts, two engines, two levels, two situations.
    assert_eq!(lines("verdict.csv"), 1 + 16);
    assert_eq!(lines("tune.csv"), 1 + 2);
    for file in [
        "plots/load-000.svg",
        "plots/load-001.svg",
        "plots/sweep-000.svg",
        "parts/01-deployed-hospital.toml",
    ] {
        assert!(results.join(file).is_file(), "{file}");
    }
    let page = fs::read_to_string(results.join("report.html")).expect("a page");
    assert!(page.contains("network.one_way_ms = 5.0") && page.contains("Tuned intervals"));
    let part = quorate(
        &folder,
        &[
            "run",
            results
                .join("parts/01-deployed-hospital.toml")
                .to_str()
                .expect("UTF-8"),
            "--out",
            "alone",
        ],
    );
    assert!(
        part.status.success(),
        "{}",
        String::from_utf8_lossy(&part.stderr)
    );
}
