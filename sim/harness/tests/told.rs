//! What workloads measure themselves, where it is written and shown.

use std::path::{Path, PathBuf};
use std::process::Command;

const PLAN: &str = r#"
name = "told"
kind = "compare"
seed = 1
replications = 2

[network]
nodes = 4
regions = ["us-east-1", "us-west-2"]

[node]
max_view_age_ms = 1500
when_stale = "deny"

[workload]
name = "hospital"
sites = 4
most_patients = 1000

[load]
offered_tps = [5.0]
decide_at_tps = 5.0
duration_s = 60.0
drain_s = 60.0

[[engines]]
name = "qbft"

[[engines]]
name = "central"

[[levels]]
expect = "duplicate_claims:share<50%"
standing = "contract"
source = "a test"

[[levels]]
expect = "reads_on_old_view:share<0.1%"
standing = "contract"
source = "a test"
"#;

fn quorate(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(args)
        .output()
        .expect("the binary runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a plan; its folder and what is printed.
fn run(scratch: &Path, plan: &str) -> (PathBuf, String) {
    let file = scratch.join("told.toml");
    std::fs::write(&file, plan).expect("the scratch folder can be written");
    let out = scratch.join("results");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let printed = quorate(&["run", &text(&file), "--out", &text(&out)]);
    let folder = std::fs::read_dir(&out).expect("readable").next();
    (
        folder.expect("one result").expect("readable").path(),
        printed,
    )
}

/// Rows of a table by column.
fn table(folder: &Path, name: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut rows = csv::Reader::from_path(folder.join(name)).expect("readable");
    rows.deserialize()
        .map(|row| row.expect("well formed"))
        .collect()
}

#[test]
fn measures_are_in_the_table_on_screen_on_the_page_and_in_the_verdict() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (folder, printed) = run(scratch.path(), PLAN);
    let rows = table(&folder, "domain.csv");
    let units = table(&folder, "replications.csv");
    let mut names: Vec<&str> = rows.iter().map(|r| &*r["measure"]).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(rows.len(), units.len() * names.len());
    for name in [
        "duplicate_claims",
        "break_glass_audit_lag_ms",
        "care_denied",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    let number = |text: &str| text.parse::<f64>().expect("a number");
    for row in &rows {
        let (hits, of) = (&row["hits"], &row["of"]);
        let (share, count) = (&row["share"], &row["count"]);
        match row["unit"].as_str() {
            "share" if number(of) > 0.0 => {
                assert!((number(hits) / number(of) - number(share)).abs() < 1e-9);
            }
            "share" => assert!(share.is_empty() && number(hits) == 0.0),
            _ => assert!(number(count) == 0.0 || number(&row["p50_ms"]) <= number(&row["max_ms"])),
        }
    }
    // Reads are those of the other table.
    for unit in &units {
        let same = |row: &&std::collections::BTreeMap<String, String>| {
            let keys = ["cell", "replication"];
            keys.iter().all(|k| row[*k] == unit[*k]) && row["measure"] == "reads_on_old_view"
        };
        let row = rows.iter().find(same).expect("a row a unit");
        assert_eq!(row["of"], unit["reads"]);
    }
    // A block that nobody builds while nothing is written: the view of central ages.
    assert!(
        rows.iter()
            .any(|r| r["measure"] == "reads_denied" && r["hits"] != "0")
    );
    assert!(
        printed.contains("what the workload measures itself at 5 writes/s"),
        "{printed}"
    );
    let page = std::fs::read_to_string(folder.join("report.html")).expect("a page");
    for text in [&printed, &page] {
        for name in &names {
            assert!(text.contains(name), "{name}");
        }
    }
    let verdicts = table(&folder, "verdict.csv");
    let of = |level: &str| {
        let row = |r: &&std::collections::BTreeMap<String, String>| r["level"].starts_with(level);
        verdicts.iter().filter(row).any(|r| !r["value"].is_empty())
    };
    assert!(of("reads_on_old_view"));
}

/// Without the keys no result has a trace of them.
#[test]
fn without_an_age_nothing_is_measured_of_it() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let plan = PLAN.replace("max_view_age_ms = 1500\nwhen_stale = \"deny\"\n", "");
    let plan = plan.replace("reads_on_old_view", "duplicate_claims");
    let (folder, _) = run(scratch.path(), &plan);
    let rows = table(&folder, "domain.csv");
    assert!(rows.iter().all(|r| r["measure"] != "reads_on_old_view"));
    let resolved = std::fs::read_to_string(folder.join("config.resolved.toml")).expect("written");
    assert!(!resolved.contains("view_age") && !resolved.contains("when_stale"));
}

/// Every metric says what it is, in which unit, from where, and what moves it.
#[test]
fn metrics_explain_themselves() {
    let text = quorate(&["list", "metrics"]);
    let entries = text
        .split("\n  ")
        .filter(|line| !line.starts_with(' '))
        .count();
    let count = |what: &str| text.matches(what).count();
    // The title is no entry.
    assert_eq!(count("\n      unit: "), entries - 1);
    assert_eq!(count("\n      source: "), entries - 1);
    assert_eq!(count("\n      moved by: "), entries - 1);
    for name in [
        "exposure",
        "care_denied",
        "break_glass_audit_lag_ms (hospital)",
    ] {
        assert!(text.contains(name), "{name}");
    }
    assert_eq!(quorate(&["list", "scenarios"]), quorate(&["list", "plans"]));
}
