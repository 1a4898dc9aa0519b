//! What work costs: cost files, the figures that a plan comes to, and that each of them counts.

use quorate::costs::CostFile;
use quorate::output;
use quorate::plan::{NodePlan, Source};
use quorate::study::Study;
use quorate::unit::{self, Key, Tweak};
use quorate_core::{Costs, Span};
use std::path::Path;
use std::process::Command;

/// Four hospitals, one of which is away for a while and fetches what it missed.
const PLAN: &str = r#"name = "costs"
kind = "curve"
replications = 2

[network]
nodes = 4
regions = ["us-east-1"]

[workload]
name = "hospital"
sites = 4
most_patients = 500
payload = "full"

[load]
offered_tps = [5.0]
duration_s = 60.0
drain_s = 60.0

[[faults]]
from_s = 5.0
until_s = 30.0
crash = [3]

[[engines]]
name = "qbft"
config = { period_ms = 1000 }
"#;

/// The plan in a folder of its own, with these lines under `[node]`.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("it can be written");
    }

    fn study(&self, node: &str) -> Result<Study, quorate::error::Error> {
        let text = PLAN.replace("[workload]", &format!("[node]\n{node}\n[workload]"));
        let origin = self.path().join("plan.toml").display().to_string();
        let source = Source::new(origin, text);
        let plan = source.plan(&[])?;
        Study::open(&source, plan)
    }
}

fn node(lines: &str) -> NodePlan {
    let study = Scratch::new().study(lines);
    study.unwrap_or_else(|e| panic!("{e}")).plan.node
}

fn complaint(scratch: &Scratch, lines: &str) -> String {
    let error = scratch.study(lines).err().expect("it is wrong").to_string();
    let folder = format!("{}/", scratch.path().display());
    error.replace(&folder, "")
}

/// The reference set with one line of a table replaced.
fn file(line: &str, by: &str) -> String {
    let text = quorate::costs::REFERENCE;
    assert!(text.contains(line), "{line}");
    text.replacen(line, by, 1)
}

fn close(a: Option<f64>, b: f64) {
    assert!((a.expect("settled") - b).abs() < 1e-9, "{a:?} {b}");
}

#[test]
fn a_silent_plan_has_the_reference_costs() {
    let reference = CostFile::reference();
    let costs = Costs::REFERENCE;
    let us = |span: Span| span.ns() as f64 / 1e3;
    close(Some(reference.ed25519.sign_us), us(costs.sign));
    close(Some(reference.ed25519.verify_us), us(costs.verify));
    close(Some(reference.sha256.kib_ns), costs.hash_kib.ns() as f64);
    let node = node("");
    close(node.sign_us, us(costs.sign));
    close(node.verify_us, us(costs.verify));
    assert_eq!(node.hash_kib_ns, Some(costs.hash_kib.ns()));
    assert_eq!((node.block_us, node.block_kib_ns), (None, None));
    assert_eq!((node.verify_next_us, node.exec_permille), (None, None));
}

#[test]
fn a_scheme_brings_its_own_figures() {
    let reference = CostFile::reference();
    let two = node("signature = \"secp256k1\"");
    close(two.sign_us, reference.secp256k1.sign_us);
    close(two.verify_us, reference.secp256k1.verify_us);
    assert_eq!(two.verify_next_us, None);
    let bls = node("signature = \"bls\"\ncosts = \"reference\"");
    close(bls.verify_us, reference.bls.verify_us);
    close(
        bls.verify_next_us,
        reference.bls.verify_next_us.expect("it aggregates"),
    );
    close(bls.block_us, reference.block.block_us);
}

#[test]
fn what_a_plan_says_goes_first() {
    let scratch = Scratch::new();
    scratch.write("mine.toml", &file("sign_us = 12.9", "sign_us = 40.0"));
    let lines = "costs = \"mine.toml\"\nverify_us = 7.5\nblock_kib_ns = 3";
    let node = scratch
        .study(lines)
        .unwrap_or_else(|e| panic!("{e}"))
        .plan
        .node;
    close(node.sign_us, 40.0);
    close(node.verify_us, 7.5);
    assert_eq!(node.block_kib_ns, Some(3));
    assert_eq!(node.costs, None);
}

#[test]
fn the_results_know_the_figures_and_no_file() {
    let resolved = |text: &str, lines: &str| {
        let scratch = Scratch::new();
        scratch.write("mine.toml", text);
        let study = scratch.study(lines).unwrap_or_else(|e| panic!("{e}"));
        output::resolved(&study.parts[0])
    };
    let lines = "costs = \"mine.toml\"\nsignature = \"bls\"\nexecution = \"measured\"";
    let slow = file("hospital_ns = 31.3", "hospital_ns = 131.3");
    let one = resolved(&file("[bls]", "[bls]"), lines);
    let two = resolved(&slow, lines);
    assert_eq!(one, resolved(&file("[bls]", "[bls]"), lines));
    assert_eq!(
        one.replace("exec_permille = 1000\n", ""),
        two.replace("exec_permille = 1000\n", "")
    );
    let three = resolved(
        &file("[bls]\n", "[bls]\n# other\n").replace("verify_next_us = 0", "verify_next_us = 10"),
        lines,
    );
    assert_ne!(one, three);
    assert!(!one.contains("mine"), "{one}");
    // What was written is run by itself to the same end.
    let source = Source::new("config.resolved.toml", one.clone());
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
    let again = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(output::resolved(&again.parts[0]), one);
}

#[test]
fn measured_execution_is_the_median_ratio_of_the_ledgers() {
    let reference = CostFile::reference();
    let mut mine = reference.clone();
    mine.ledger.hospital_ns *= 2.0;
    mine.ledger.trial_ns *= 2.5;
    mine.ledger.pharma_ns *= 9.0;
    let scratch = Scratch::new();
    scratch.write("mine.toml", &toml::to_string(&mine).expect("a table"));
    let node = |lines: &str| {
        scratch
            .study(lines)
            .unwrap_or_else(|e| panic!("{e}"))
            .plan
            .node
    };
    let measured = node("costs = \"mine.toml\"\nexecution = \"measured\"");
    assert_eq!(measured.exec_permille, Some(2_500));
    assert_eq!(node("costs = \"mine.toml\"").exec_permille, None);
    let given = node("costs = \"mine.toml\"\nexecution = \"measured\"\nexec_permille = 7");
    assert_eq!(given.exec_permille, Some(7));
}

#[test]
fn wrong_files_are_named_with_line_and_key() {
    let scratch = Scratch::new();
    let about = |name: &str, text: &str| {
        scratch.write("mine.toml", text);
        let said = complaint(&scratch, "costs = \"mine.toml\"");
        insta::assert_snapshot!(name, said);
    };
    about(
        "cost_unknown_key",
        &file("verify_us = 28.7", "verify_ms = 28.7"),
    );
    about("cost_missing_key", &file("verify_us = 28.7\n", ""));
    about("cost_negative", &file("sign_us = 12.9", "sign_us = -1"));
    about(
        "cost_no_number",
        &file("kib_ns = 561.0", "kib_ns = \"fast\""),
    );
    about(
        "cost_free_ledger",
        &file("hospital_ns = 31.3", "hospital_ns = 0"),
    );
    insta::assert_snapshot!(
        "cost_no_file",
        complaint(&scratch, "costs = \"other.toml\"")
    );
    let alone = complaint(&scratch, "execution = \"measured\"");
    insta::assert_snapshot!("cost_nothing_measured", alone);
    insta::assert_snapshot!("cost_negative_key", complaint(&scratch, "block_us = -1"));
    let scheme = complaint(&scratch, "signature = \"rsa\"");
    insta::assert_snapshot!("cost_unknown_scheme", scheme);
}

/// No key of `[node]` about costs is ignored: each moves the trace.
#[test]
fn each_figure_moves_the_run() {
    let digest = |lines: &str| {
        let study = Scratch::new()
            .study(lines)
            .unwrap_or_else(|e| panic!("{e}"));
        let part = &study.parts[0];
        let key = Key {
            engine: 0,
            offered_tps: Some(5.0),
            replication: 0,
            tweak: Tweak::None,
        };
        unit::run(&part.plan, &part.workload, &part.sheets[0], key)
            .report
            .digest
    };
    let plain = digest("");
    assert_eq!(digest("signature = \"ed25519\""), plain);
    for lines in [
        "sign_us = 500.0",
        "verify_us = 500.0",
        "verify_next_us = 2.0",
        "hash_kib_ns = 200_000",
        "block_us = 500.0",
        "block_kib_ns = 200_000",
        "exec_permille = 20_000",
        "signature = \"secp256k1\"",
        "signature = \"bls\"",
        "costs = \"reference\"",
    ] {
        assert_ne!(digest(lines), plain, "{lines} changes nothing");
    }
}

#[test]
fn calibrate_writes_a_file_that_a_plan_can_name() {
    let scratch = Scratch::new();
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["calibrate", "--quick", "--out", "mine.toml"])
            .current_dir(scratch.path())
            .output()
            .expect("the binary runs")
    };
    let first = run();
    assert!(first.status.success(), "{first:?}");
    let table = String::from_utf8(first.stdout).expect("UTF-8");
    assert!(table.contains("bls.verify_next_us"), "{table}");
    let node = scratch.study("costs = \"mine.toml\"\nexecution = \"measured\"");
    let node = node.unwrap_or_else(|e| panic!("{e}")).plan.node;
    assert!(node.exec_permille.is_some_and(|p| p > 0));
    assert!(node.sign_us.is_some_and(|us| us > 0.0));
    // What is there is not overwritten.
    let again = run();
    assert_eq!(again.status.code(), Some(74));
}
