//! The gates: `check`, `diff`, `verify`, `reproduce` and `export` on results folders, good and bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

const PLAN: &str = r#"name = "tiny"
kind = "compare"
replications = 10
[network]
nodes = 4
regions = ["us-east-1"]
[workload]
name = "hospital"
sites = 4
most_patients = 100
[load]
offered_tps = [20.0]
decide_at_tps = 20.0
duration_s = 5.0
drain_s = 20.0
[[engines]]
name = "qbft"
[[engines]]
name = "central"
[[levels]]
expect = "all:final:avg<60s"
standing = "assumption"
source = "a test"
[[levels]]
expect = "all:final:avg<1ms"
standing = "assumption"
source = "a test"
[[levels]]
expect = "all:final:med<480ms"
standing = "assumption"
source = "a test"
"#;

const TWO_LEDGERS: &str = r#"name = "two"
kind = "two-ledgers"
replications = 2
warm_up_s = 10.0
duration_s = 100.0
drain_s = 2000.0
clinics = 4
[health]
engine = "qbft"
network = { nodes = 4, regions = ["here"], one_way_ms = 10.0 }
[token]
engine = "qbft"
config = { period_ms = 10000, request_timeout_ms = 20000 }
network = { nodes = 4, regions = ["here"], one_way_ms = 10.0 }
[teleconsult]
requests_per_h = 360.0
consent_min = 30.0
consult_min = 1.0
accesses = 3
"#;

/// Exit code, standard output and standard error of the program.
fn quorate(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("no signal");
    (code, text(output.stdout), text(output.stderr))
}

fn scratch() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn str(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs a plan; its folder.
fn run(plan: &str, into: &Path, more: &[&str]) -> PathBuf {
    let file = into.join("plan.toml");
    fs::write(&file, plan).expect("writable");
    let out = into.join("results");
    let mut arguments = vec!["run", str(&file), "--out", str(&out)];
    arguments.extend(more);
    let (code, _, err) = quorate(&arguments);
    assert_eq!(code, 0, "{err}");
    let mut folders = fs::read_dir(&out)
        .expect("readable")
        .map(|e| e.expect("readable").path());
    let folder = folders.next().expect("one result");
    assert!(folders.next().is_none(), "one result");
    folder
}

/// The results of [`PLAN`], made once.
fn results() -> &'static Path {
    static RESULTS: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, folder) = RESULTS.get_or_init(|| {
        let into = scratch();
        let folder = run(PLAN, into.path(), &[]);
        (into, folder)
    });
    folder
}

/// A copy, with a text replaced in a file, and checksums made anew where `honest`.
fn copy(of: &Path, into: &Path, edit: Option<(&str, &str, &str)>, honest: bool) -> PathBuf {
    let to = into.join("copy");
    let sums = fs::read_to_string(of.join("SHA256SUMS")).expect("checksums");
    let mut list = String::new();
    for line in sums.lines() {
        let (mut sum, file) = line
            .split_once("  ")
            .map(|(s, f)| (s.to_owned(), f))
            .expect("a line");
        let mut bytes = fs::read(of.join(file)).expect("a file");
        if let Some((_, old, new)) = edit.filter(|e| e.0 == file) {
            let text = String::from_utf8(bytes).expect("UTF-8");
            assert!(text.contains(old), "{file} has {old:?}");
            bytes = text.replacen(old, new, 1).into_bytes();
            if honest {
                sum = quorate::results::sha256_hex(&bytes);
            }
        }
        list += &[sum.as_str(), "  ", file, "\n"].concat();
        fs::create_dir_all(to.join(file).parent().expect("a folder")).expect("writable");
        fs::write(to.join(file), bytes).expect("writable");
    }
    fs::write(to.join("SHA256SUMS"), list).expect("writable");
    to
}

/// The column of the row of `summary.csv` about the median time to final of `qbft`.
fn median() -> String {
    let text = fs::read_to_string(results().join("summary.csv")).expect("a table");
    let is =
        |line: &&str| line.contains(",qbft,") && line.contains("as planned,all,latency_final,p50,");
    let line = text.lines().find(is).expect("a median");
    line.split(',').nth(11).expect("a value").to_owned()
}

// ---- check ------------------------------------------------------------------------------------------------

#[test]
fn a_level_that_fails_is_exit_code_99() {
    let folder = str(results());
    let (code, out, _) = quorate(&[
        "check",
        folder,
        "--engines",
        "qbft",
        "--level",
        "all:final:avg<60s",
    ]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("1 checks: 1 hold, 0 fail"), "{out}");
    let (code, out, _) = quorate(&[
        "check",
        folder,
        "--engines",
        "qbft",
        "--level",
        "all:final:avg<1ms",
    ]);
    assert_eq!(code, 99, "{out}");
    assert!(out.contains("qbft") && out.contains("fails"), "{out}");
}

#[test]
fn undecided_fails_unless_it_may_pass() {
    // A bound at the mean is in the interval.
    let level = format!("all:final:med<{}ms", median());
    let of = |more: &[&str]| {
        let mut arguments = vec![
            "check",
            str(results()),
            "--engines",
            "qbft",
            "--level",
            &level,
        ];
        arguments.extend(more);
        quorate(&arguments)
    };
    let (code, out, _) = of(&[]);
    assert_eq!(code, 99, "{out}");
    assert!(out.contains("undecided"), "{out}");
    assert_eq!(of(&["--undecided", "passes"]).0, 0);
}

/// The tables give the same answers as the judge had who saw every sample.
#[test]
fn tables_answer_as_the_verdict_does() {
    let parse = |out: &str| -> Vec<(String, String, String)> {
        let document: serde_json::Value = serde_json::from_str(out).expect("JSON");
        let checks = document["checks"].as_array().expect("checks").iter();
        let text = |c: &serde_json::Value, key: &str| c[key].as_str().expect("text").to_owned();
        checks
            .filter(|c| c["situation"] != "one site down")
            .map(|c| (text(c, "engine"), text(c, "level"), text(c, "answer")))
            .collect()
    };
    let mut own = parse(&quorate(&["check", str(results()), "--json"]).1);
    // A load given makes the tables be asked.
    let mut asked = parse(&quorate(&["check", str(results()), "--json", "--at", "20"]).1);
    own.sort();
    asked.sort();
    assert_eq!(own, asked);
    assert_eq!(own.len(), 6);
    for answer in ["holds", "fails"] {
        assert!(own.iter().any(|(_, _, a)| a == answer), "{own:?}");
    }
}

#[test]
fn answers_as_junit() {
    let into = scratch();
    let file = into.path().join("junit.xml");
    let (code, ..) = quorate(&[
        "check",
        str(results()),
        "--engines",
        "qbft",
        "--junit",
        str(&file),
    ]);
    assert_eq!(code, 99);
    let xml = fs::read_to_string(file).expect("a file");
    assert!(
        xml.contains("<testsuite name=\"qbft deployed hospital\" tests=\"6\""),
        "{xml}"
    );
    assert!(xml.contains("<failure message=\"fails:"), "{xml}");
}

#[test]
fn what_cannot_be_checked_is_said() {
    let folder = str(results());
    for (arguments, code, said) in [
        (vec!["check", "no-such-folder"], 66, "cannot read plan"),
        (
            vec!["check", folder, "--engines", "quorum"],
            2,
            "engines of this folder: qbft, central",
        ),
        (
            vec!["check", folder, "--level", "all:final:p(97)<1s"],
            2,
            "summary.csv has no p(97)",
        ),
        (
            vec!["check", folder, "--level", "all:final<1s"],
            2,
            "--level all:final<1s: unknown statistic",
        ),
        (
            vec!["check", folder, "--level", "nobody:final:avg<1s"],
            2,
            "no cell has measured",
        ),
        (
            vec!["check", folder, "--at", "7"],
            2,
            "no cell is at 7 writes/s",
        ),
    ] {
        let (got, out, err) = quorate(&arguments);
        assert_eq!(got, code, "{arguments:?}: {out}{err}");
        assert!(err.contains(said), "{arguments:?}: {err}");
    }
}

#[test]
fn the_folder_of_a_plan_is_found() {
    let parent = results().parent().expect("a folder");
    let plan = parent.with_file_name("plan.toml");
    let level = "all:final:avg<60s";
    let of = |more: &[&str]| {
        let mut arguments = vec!["check", str(&plan), "--out", str(parent), "--level", level];
        arguments.extend(more);
        quorate(&arguments)
    };
    assert_eq!(of(&[]).0, 0, "{}", of(&[]).2);
    let (code, _, err) = of(&["-s", "seed=2"]);
    assert_eq!(code, 66, "{err}");
    assert!(err.contains("has not been run"), "{err}");
}

// ---- diff -------------------------------------------------------------------------------------------------

#[test]
fn one_digit_moves_and_is_named() {
    let (into, old) = (scratch(), median());
    let new = format!(
        "{}.5",
        old.split('.')
            .next()
            .expect("a number")
            .parse::<u64>()
            .expect("ms")
            + 100
    );
    let edit = (
        format!("latency_final,p50,{old}"),
        format!("latency_final,p50,{new}"),
    );
    let edit = ("summary.csv", &*edit.0, &*edit.1);
    let copy = copy(results(), into.path(), Some(edit), true);
    let (code, out, _) = quorate(&["diff", str(results()), str(&copy)]);
    assert_eq!(code, 3, "{out}");
    let line = out
        .lines()
        .find(|l| l.contains("latency_final p50"))
        .expect("the move");
    for part in [
        "qbft deployed hospital 4 nodes 20/s",
        &new,
        "ms",
        "summary.csv",
        "%",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(out.contains("moved: 1 numbers"), "{out}");
    let (code, out, _) = quorate(&["diff", str(results()), str(&copy), "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &document["exit_code"]), (3, &serde_json::json!(3)));
    assert_eq!(document["moves"].as_array().map(Vec::len), Some(1));
    let (code, out, _) = quorate(&["diff", str(results()), str(&copy), "--markdown"]);
    assert_eq!(code, 3);
    assert!(out.starts_with("### Simulated results: moved"), "{out}");
    // Somebody else's moves are no reason.
    assert_eq!(
        quorate(&["diff", str(results()), str(&copy), "--only", "*central*"]).0,
        0
    );
    assert_eq!(
        quorate(&["diff", str(results()), str(&copy), "--only", "*qbft*p50*"]).0,
        3
    );
}

#[test]
fn equal_is_zero_and_corrupt_is_65() {
    let into = scratch();
    let (code, out, _) = quorate(&["diff", str(results()), str(results())]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("files equal"), "{out}");
    let copy = copy(
        results(),
        into.path(),
        Some(("plan.csv", "20", "21")),
        false,
    );
    let (code, _, err) = quorate(&["diff", str(results()), str(&copy)]);
    assert_eq!(code, 65, "{err}");
    assert!(err.contains("plan.csv has changed"), "{err}");
}

#[test]
fn other_plans_are_refused_and_paired_when_asked() {
    let into = scratch();
    let other = run(
        PLAN,
        into.path(),
        &["-s", "node.verify_us=60.0", "-s", "seed=1"],
    );
    let (code, _, err) = quorate(&["diff", str(results()), str(&other)]);
    assert_eq!(code, 65, "{err}");
    assert!(err.contains("node.verify_us: 28.7 -> 60.0"), "{err}");
    let (code, out, _) = quorate(&["diff", str(results()), str(&other), "--across-plans"]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("moved beyond chance"), "{out}");
    // Slower checks make every replication busier.
    let busy = out
        .lines()
        .filter(|l| l.contains("_busy_max") && l.contains("qbft"));
    assert!(busy.count() > 0, "{out}");
}

#[test]
fn another_model_version_has_a_code_of_its_own() {
    let into = scratch();
    let line = |version: u32| format!("# model_version = {version}");
    let now = quorate::output::MODEL_VERSION;
    let edit = (line(now), line(now + 1));
    let copy = copy(
        results(),
        into.path(),
        Some(("config.resolved.toml", &edit.0, &edit.1)),
        true,
    );
    let (code, out, _) = quorate(&["diff", str(results()), str(&copy)]);
    assert_eq!(code, 5, "{out}");
    assert!(
        out.contains(&format!("model_version {now} -> {}", now + 1)),
        "{out}"
    );
    let (code, _, err) = quorate(&["verify", str(&copy)]);
    assert_eq!(code, 5, "{err}");
    let (code, _, err) = quorate(&["reproduce", str(&copy)]);
    assert_eq!(code, 5, "{err}");
}

#[test]
fn a_reviewed_baseline_is_replaced_whole() {
    let into = scratch();
    let old = copy(results(), into.path(), Some(("plan.csv", "20", "21")), true);
    assert_eq!(quorate(&["diff", str(&old), str(results())]).0, 3);
    let (code, out, _) = quorate(&["diff", str(&old), str(results()), "--accept"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("only in the baseline") && out.contains("accepted: "),
        "{out}"
    );
    assert_eq!(quorate(&["diff", str(&old), str(results())]).0, 0);
    let left: Vec<_> = fs::read_dir(into.path()).expect("readable").collect();
    assert_eq!(left.len(), 1, "nothing half-written is left");
    // The first baseline.
    let first = into.path().join("base/line");
    assert_eq!(
        quorate(&["diff", str(&first), str(results()), "--accept"]).0,
        0
    );
    assert_eq!(quorate(&["diff", str(&first), str(results())]).0, 0);
}

#[test]
fn a_baseline_of_checksums_names_files() {
    let into = scratch();
    let copy = copy(results(), into.path(), Some(("plan.csv", "20", "21")), true);
    let baseline = into.path().join("sums");
    fs::create_dir(&baseline).expect("writable");
    fs::copy(results().join("SHA256SUMS"), baseline.join("SHA256SUMS")).expect("writable");
    assert_eq!(quorate(&["diff", str(&baseline), str(results())]).0, 0);
    let (code, out, _) = quorate(&["diff", str(&baseline), str(&copy)]);
    assert_eq!(code, 3);
    assert!(
        out.contains("not kept in the baseline") && out.contains("plan.csv"),
        "{out}"
    );
    let (code, _, err) = quorate(&["diff", str(&baseline), str(&copy), "--accept"]);
    assert_eq!(code, 65, "{err}");
}

// ---- verify -----------------------------------------------------------------------------------------------

#[test]
fn units_end_again_as_they_did() {
    let (code, out, err) = quorate(&["verify", str(results()), "--units", "7"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("7 of ") && out.contains("equal in every figure"),
        "{out}"
    );
    let (code, out, _) = quorate(&["verify", str(results()), "--units", "0"]);
    assert_eq!((code, out.lines().count()), (0, 1));
}

#[test]
fn a_unit_that_ends_otherwise_is_exit_code_70() {
    let into = scratch();
    let text = fs::read_to_string(results().join("replications.csv")).expect("a table");
    let row = text.lines().nth(1).expect("a row");
    let digest = row.rsplit(',').next().expect("a digest");
    let forged = format!(
        "{:016x}",
        u64::from_str_radix(digest, 16).expect("hexadecimal") ^ 1
    );
    let copy = copy(
        results(),
        into.path(),
        Some(("replications.csv", digest, &forged)),
        true,
    );
    let (code, _, err) = quorate(&["verify", str(&copy), "--units", "all"]);
    assert_eq!(code, 70, "{err}");
    assert!(
        err.contains(&format!("digest was {forged:?} and is {digest:?}")),
        "{err}"
    );
    // The command that is printed finds it alone.
    assert!(err.contains("--cell 0 --replication 0"), "{err}");
    let (code, ..) = quorate(&["verify", str(&copy), "--cell", "0", "--replication", "0"]);
    assert_eq!(code, 70);
    let (code, ..) = quorate(&["verify", str(&copy), "--cell", "0", "--replication", "1"]);
    assert_eq!(code, 0);
}

#[test]
fn a_changed_file_is_exit_code_65() {
    let into = scratch();
    let copy = copy(
        results(),
        into.path(),
        Some(("report.html", "tiny", "tinY")),
        false,
    );
    let (code, _, err) = quorate(&["verify", str(&copy)]);
    assert_eq!(code, 65, "{err}");
    assert!(err.contains("report.html has changed"), "{err}");
    let (code, _, err) = quorate(&["verify", "no-such-folder"]);
    assert_eq!(code, 66, "{err}");
    let (code, _, err) = quorate(&["verify", str(into.path())]);
    assert_eq!(code, 65, "{err}");
}

// ---- reproduce --------------------------------------------------------------------------------------------

fn reproduces(folder: &Path, more: &[&str]) {
    let mut arguments = vec!["reproduce", str(folder)];
    arguments.extend(more);
    let (code, out, err) = quorate(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    let files = fs::read_to_string(folder.join("SHA256SUMS"))
        .expect("checksums")
        .lines()
        .count();
    assert!(
        out.ends_with(&format!("{files} of {files} files equal\n")),
        "{out}"
    );
}

#[test]
fn a_comparison_is_reproduced_and_a_forged_one_is_not() {
    reproduces(results(), &["--threads", "1"]);
    let into = scratch();
    let text = fs::read_to_string(results().join("replications.csv")).expect("a table");
    let digest = text
        .lines()
        .nth(2)
        .and_then(|r| r.rsplit(',').next())
        .expect("a digest");
    let edit = ("replications.csv", digest, "0123456789abcdef");
    let copy = copy(results(), into.path(), Some(edit), true);
    let (code, out, _) = quorate(&["reproduce", str(&copy)]);
    assert_eq!(code, 3, "{out}");
    let said =
        format!("replications.csv, row 2, column digest: \"0123456789abcdef\", then {digest:?}");
    assert!(out.contains(&said), "{out}");
}

/// Every kind of plan, in its smallest form.
#[test]
fn every_kind_of_plan_is_reproduced() {
    let head = PLAN.split("[[levels]]").next().expect("the plan");
    let curve = head
        .replace("\"compare\"", "\"curve\"")
        .replace("[load]", "[load]\nknee_within = 1000.0");
    let several = head
        .replace(
            "[workload]\nname = \"hospital\"\nsites = 4\nmost_patients = 100\n",
            "",
        )
        .replace("kind = ", "profiles = [\"deployed\", \"matched\"]\nkind = ")
        .replace("replications = 10", "replications = 2")
        + "[[workloads]]\nname = \"hospital\"\nsites = 4\nmost_patients = 100\n\
           [[workloads]]\nname = \"hospital\"\nlabel = \"other\"\nsites = 4\nmost_patients = 50\n";
    let scale = head
        .replace("\"compare\"", "\"scale\"")
        .replace("replications = 10", "replications = 2")
        + "[scale]\naxis = \"committee\"\nvalues = [4, 5]\n";
    let scenario = head.replace("\"compare\"", "\"scenario\"").replace(
        "kind = ",
        "question = \"how late?\"\nanswer = \"{all:final:avg}\"\nkind = ",
    );
    for plan in [curve, several, scale, scenario, TWO_LEDGERS.to_owned()] {
        let into = scratch();
        reproduces(&run(&plan, into.path(), &[]), &[]);
    }
    for (name, more) in [
        ("sm1", ["--quick", "-s", "replications=2"]),
        ("cloning", ["--quick", "-s", "replications=2"]),
    ] {
        let into = scratch();
        let mut arguments = vec!["attack", name, "--out", str(into.path())];
        arguments.extend(more);
        let (code, _, err) = quorate(&arguments);
        assert_eq!(code, 0, "{err}");
        let folder = fs::read_dir(into.path())
            .expect("readable")
            .next()
            .expect("one")
            .expect("readable");
        reproduces(&folder.path(), &[]);
        let (code, out, err) = quorate(&["verify", str(&folder.path())]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("all of it was run again, equal"), "{out}");
    }
}

/// Cells of a sweep differ in nothing but their factors.
#[test]
fn factors_tell_cells_apart() {
    let head = PLAN.split("[[levels]]").next().expect("the plan");
    let plan = head
        .replace("\"compare\"", "\"sweep\"")
        .replace("replications = 10", "replications = 2")
        + "[sweep]\ngrid = { \"node.verify_us\" = [20.0, 30.0] }\n";
    let into = scratch();
    let folder = run(&plan, into.path(), &[]);
    reproduces(&folder, &[]);
    let (code, out, err) = quorate(&["verify", str(&folder), "--units", "all"]);
    assert_eq!(code, 0, "{out}{err}");
    let (_, out, err) = quorate(&["check", str(&folder), "--level", "all:final:avg<60s"]);
    assert!(out.contains("\n4 checks: "), "{out}{err}");
    assert_eq!(quorate(&["diff", str(&folder), str(&folder)]).0, 0);
}

#[test]
fn a_trace_is_looked_for_and_its_absence_said() {
    let into = scratch();
    let trace = "at_s,class,site,key\n0.5,write,0,a\n1.0,write,1,b\n1.5,write,0,a\n";
    fs::write(into.path().join("arrivals.csv"), trace).expect("writable");
    let plan = "name = \"replayed\"\nkind = \"replay\"\nreplications = 2\n[network]\nnodes = 4\n\
        regions = [\"us-east-1\"]\n[workload]\nname = \"trace\"\nformat = \"arrivals\"\n\
        path = \"arrivals.csv\"\n[[engines]]\nname = \"qbft\"\n";
    let folder = run(plan, into.path(), &[]);
    reproduces(&folder, &["--inputs", str(into.path())]);
    let empty = scratch();
    for command in ["reproduce", "verify"] {
        let (code, _, err) = quorate(&[command, str(&folder), "--inputs", str(empty.path())]);
        assert_eq!(code, 66, "{err}");
        assert!(
            err.contains("arrivals.csv") && err.contains("--inputs"),
            "{err}"
        );
    }
    let (code, _, err) = quorate(&[
        "verify",
        str(&folder),
        "--inputs",
        str(into.path()),
        "--units",
        "all",
    ]);
    assert_eq!(code, 0, "{err}");
}

/// A plan names a file of costs; what stands in it, and not its name, is hashed and kept.
#[test]
fn a_cost_file_counts_by_its_content() {
    let plan = PLAN
        .replace("replications = 10", "replications = 2")
        .replace("[workload]", "[node]\ncosts = \"mine.toml\"\n[workload]");
    let of = |costs: &str| {
        let into = scratch();
        fs::write(into.path().join("mine.toml"), costs).expect("writable");
        let folder = run(&plan, into.path(), &[]);
        // Without the file too.
        fs::remove_file(into.path().join("mine.toml")).expect("it is there");
        reproduces(&folder, &[]);
        folder.file_name().expect("a name").to_owned()
    };
    let reference = quorate::costs::REFERENCE;
    assert!(reference.contains("verify_us = 28.7"));
    let slower = reference.replacen("verify_us = 28.7", "verify_us = 29.7", 1);
    assert_eq!(of(reference), of(reference));
    assert_ne!(of(reference), of(&slower));
}

// ---- export -----------------------------------------------------------------------------------------------

fn export(to: &str, out: Option<&Path>, more: &[&str]) -> (i32, String, String) {
    let mut arguments = vec!["export", str(results()), "--to", to];
    if let Some(out) = out {
        arguments.extend(["--out", str(out)]);
    }
    arguments.extend(more);
    quorate(&arguments)
}

#[test]
fn figures_go_to_benchmark_trackers() {
    let into = scratch();
    let (code, out, _) = export("bmf", None, &[]);
    assert_eq!(code, 0);
    let document: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let value = &document["qbft deployed hospital 4 nodes 20/s"]["all latency_final p50 (ms)"];
    assert_eq!(
        value["value"].as_f64().map(|v| v.to_string()),
        Some(median())
    );
    assert!(value["lower_value"].as_f64() < value["upper_value"].as_f64());
    let (code, ..) = export("gh-action", Some(into.path()), &[]);
    assert_eq!(code, 0);
    for file in ["smaller.json", "bigger.json"] {
        let text = fs::read_to_string(into.path().join(file)).expect("a file");
        let entries: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let units: Vec<&str> = entries
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|e| e["unit"].as_str())
            .collect();
        assert!(
            !units.is_empty()
                && units
                    .iter()
                    .all(|u| (*u == "ms") == (file == "smaller.json"))
        );
    }
}

#[test]
fn a_history_grows_by_a_line() {
    let into = scratch();
    let file = into.path().join("history.csv");
    for (time, commit) in [
        ("2026-01-01T00:00:00Z", "a1"),
        ("2026-01-02T00:00:00Z", "b2"),
    ] {
        let (code, _, err) = export("otava", Some(&file), &["--time", time, "--commit", commit]);
        assert_eq!(code, 0, "{err}");
    }
    let text = fs::read_to_string(&file).expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("time,commit,") && lines[2].starts_with("2026-01-02T00:00:00Z,b2,")
    );
    fs::write(&file, "time,commit,other\n").expect("writable");
    assert_eq!(export("otava", Some(&file), &[]).0, 65);
}

#[test]
fn histograms_are_text_for_each_cell() {
    let into = scratch();
    assert_eq!(export("hgrm", Some(into.path()), &[]).0, 0);
    let text = fs::read_to_string(into.path().join("cell-0.hgrm")).expect("the first cell");
    let table = fs::read_to_string(results().join("replications.csv")).expect("a table");
    let rows = table.lines().filter(|l| l.starts_with("0,"));
    let most = rows.map(|r| {
        r.split(',')
            .nth(28)
            .expect("final_max_ms")
            .parse::<f64>()
            .expect("ms")
    });
    let most = most.fold(0.0, f64::max);
    let max = text
        .split("#[Max     = ")
        .nth(1)
        .and_then(|t| t.split(',').next())
        .expect("a maximum");
    let max: f64 = max.trim().parse().expect("ms");
    assert!((max / most - 1.0).abs() < 0.01, "{max} {most}");
    let (code, out, _) = export("hlog", None, &[]);
    assert_eq!(
        (code, out.as_bytes()),
        (
            0,
            &*fs::read(results().join("latency.hlog")).expect("a file")
        )
    );
}

#[cfg(not(any(feature = "parquet", feature = "png")))]
#[test]
fn what_is_left_out_of_a_build_says_how_it_is_had() {
    for format in ["parquet", "png"] {
        let (code, _, err) = export(format, None, &[]);
        assert_eq!(code, 2);
        assert!(err.contains(&format!("--features {format}")), "{err}");
    }
}
