//! Questions and answers: what a scenario says is what its tables hold, and nothing of its window is cut off.

use quorate::plan::{BUILT_IN, Kind, Source};
use quorate::study::Study;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLAN: &str = r#"name = "asked"
kind = "scenario"
question = "What is late?"
answer = "final after {all:final:avg}; {reads:stale:rate} stale; {erx.dispense:rejected:fill already dispensed} lost; {submitted} sent, {double_dispensed:cases} raced"
seed = 3
replications = 2

[network]
nodes = 4
regions = ["us-east-1"]
one_way_ms = 10.0
jitter_permille = 0

[workload]
name = "hospital"
sites = 4
most_patients = 300
reads_per_write = 1.0
racing_dispense_share = 0.5
per_person_year = { consent_revoke = 20.0 }

[load]
offered_tps = [20.0]
duration_s = 120.0
drain_s = 600.0

[[engines]]
name = "qbft"
config = { period_ms = 2000, request_timeout_ms = 4000 }

[[engines]]
name = "ksi"

[[levels]]
expect = "all:final:p(95)<10s"
standing = "assumption"
source = "a test"
"#;

/// Runs a plan; what it prints, and its folder.
fn run(scratch: &Path, text: &str) -> (String, PathBuf) {
    let plan = scratch.join("plan.toml");
    std::fs::write(&plan, text).expect("the scratch folder can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["run", "plan.toml"])
        .current_dir(scratch)
        .output()
        .expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let mut folders = std::fs::read_dir(scratch.join("results")).expect("readable");
    let folder = folders.next().expect("one result").expect("readable");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    (said, folder.path())
}

/// The rows of a table, each as (column, value).
/// Columns and values.
type Row = Vec<(String, String)>;

fn rows(folder: &Path, name: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(folder.join(name)).expect("the table is there");
    let head = reader.headers().expect("a head").clone();
    let pair = |row: csv::StringRecord| {
        let cells = head.iter().zip(row.iter());
        cells.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    };
    reader.records().map(|r| pair(r.expect("a row"))).collect()
}

fn cell<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
    let found = row.iter().find(|(name, _)| name == column);
    &found.unwrap_or_else(|| panic!("no column {column}")).1
}

fn number(row: &[(String, String)], column: &str) -> f64 {
    cell(row, column).parse().expect("a number")
}

/// Every figure of an answer is the mean of what stands in the tables, an engine without state gives
/// none, and the samples are those of the whole window.
#[test]
fn answers_are_what_the_tables_hold() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (said, folder) = run(scratch.path(), PLAN);
    assert!(said.contains("What is late?\n"), "{said}");
    let line = |engine: &str| {
        let mut lines = said.lines().map(str::trim_start);
        let found = lines.find(|l| l.starts_with(engine) && l.contains("final after"));
        found.unwrap_or_else(|| panic!("{engine} answers nothing: {said}"))
    };
    assert!(
        line("ksi").contains("n/a stale; n/a lost"),
        "{}",
        line("ksi")
    );
    assert!(line("ksi").ends_with("n/a raced"), "{}", line("ksi"));

    let replications = rows(&folder, "replications.csv");
    let of_qbft: Vec<_> = replications
        .iter()
        .filter(|r| cell(r, "engine") == "qbft")
        .collect();
    let mean = |of: &dyn Fn(&Row) -> f64| {
        of_qbft.iter().map(|r| of(r)).sum::<f64>() / of_qbft.len() as f64
    };
    let answers = rows(&folder, "answers.csv");
    let told = |figure: &str| {
        let mut all = answers.iter();
        let row = all.find(|r| cell(r, "engine") == "qbft" && cell(r, "figure") == figure);
        number(row.unwrap_or_else(|| panic!("no {figure}")), "value")
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} is not {b}");
    near(told("submitted"), mean(&|r| number(r, "submitted")));
    near(told("all:final:avg"), mean(&|r| number(r, "final_mean_ms")));
    let stale = ["block_wait", "propagation", "reorg", "partition"];
    let share = mean(&|r| {
        let all = stale.iter().map(|s| number(r, &format!("stale_{s}")));
        all.sum::<f64>() / number(r, "reads")
    });
    assert!(share > 0.0, "no read was stale");
    near(told("reads:stale:rate"), share);
    let domain = rows(&folder, "domain.csv");
    let raced = domain
        .iter()
        .filter(|r| cell(r, "engine") == "qbft" && cell(r, "measure") == "double_dispensed");
    let raced: Vec<f64> = raced.map(|r| number(r, "of")).collect();
    near(
        told("double_dispensed:cases"),
        raced.iter().sum::<f64>() / raced.len() as f64,
    );
    assert!(told("erx.dispense:rejected:fill already dispensed") > 0.1);
    for row in &of_qbft {
        near(number(row, "warmup_cut_s"), 0.0);
    }
    // One situation a level: no counterfactuals are run.
    assert_eq!(rows(&folder, "verdict.csv").len(), 2);
    assert_eq!(replications.len(), 4);
}

/// Workloads may ask for themselves.
#[test]
fn each_workload_has_a_question_of_its_own() {
    let text = PLAN
        .lines()
        .filter(|l| !l.starts_with("question") && !l.starts_with("answer"))
        .collect::<Vec<_>>()
        .join("\n");
    let (first, rest) = text.split_once("[workload]").expect("it has one");
    let (table, rest) = rest.split_once("[load]").expect("it has one");
    let one = |label: &str, question: &str| {
        format!(
            "[[workloads]]\nlabel = \"{label}\"\nquestion = \"{question}\"\nanswer = \"{{submitted}} sent\"{table}"
        )
    };
    let several = format!(
        "{first}{}{}[load]{rest}",
        one("a", "First?"),
        one("b", "Second?")
    );
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (said, folder) = run(scratch.path(), &several);
    let (first, second) = (said.find("First?"), said.find("Second?"));
    assert!(first.is_some() && first < second, "{said}");
    assert_eq!(rows(&folder, "answers.csv").len(), 4);
    let page = std::fs::read_to_string(folder.join("report.html")).expect("every result has one");
    assert!(page.contains("First?") && page.contains("For the regulator"));
}

/// What a scenario claims to answer it answers: it asks something, each level says what it rests on, and the
/// table of claims names it.
#[test]
fn scenarios_ask_and_say_what_they_rest_on() {
    let claims = include_str!("../../../docs/claims.md");
    let mut seen = 0;
    for built_in in BUILT_IN {
        let source = Source::open(built_in.name).expect("it is built in");
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        if plan.kind != Kind::Scenario {
            continue;
        }
        seen += 1;
        let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
        for part in &study.parts {
            let plan = &part.plan;
            assert!(plan.question.is_some() && plan.answer.is_some());
            assert!(!plan.levels.is_empty(), "{}", built_in.name);
            assert!(plan.levels.iter().all(|l| l.source.len() > 20));
            assert!((3..=6).contains(&plan.engines.len()), "{}", built_in.name);
        }
        let named = format!("`{}`", built_in.name);
        assert!(claims.contains(&named), "docs/claims.md lacks {named}");
    }
    assert!(seen >= 15, "{seen} scenarios");
}
