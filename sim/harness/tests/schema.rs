//! The published schema of plans is that of the program, takes every plan of ours, and refuses wrong ones.

use jsonschema::Validator;
use quorate::plan::{BUILT_IN, Source};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn committed() -> String {
    std::fs::read_to_string(root().join("docs/plan.schema.json")).expect("the schema is committed")
}

fn validator() -> &'static Validator {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| {
        let schema: Value = serde_json::from_str(&committed()).expect("JSON");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        jsonschema::draft7::new(&schema).expect("a schema of draft 7")
    })
}

fn json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    serde_json::to_value(table).expect("TOML is JSON")
}

fn complaints(text: &str) -> Vec<String> {
    let plan = json(text);
    let all = validator().iter_errors(&plan);
    all.map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn the_committed_schema_is_that_of_the_program() {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("schema")
        .output()
        .expect("the binary runs");
    assert!(output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stdout) == committed(),
        "docs/plan.schema.json is old: quorate schema > docs/plan.schema.json"
    );
}

/// Built-in plans, attacks, regressions and the golden plan.
#[test]
fn every_plan_of_ours_fits() {
    let mut plans: Vec<(String, String)> = BUILT_IN
        .iter()
        .map(|p| (p.name.to_owned(), p.text.to_owned()))
        .collect();
    for folder in ["scenarios", "attacks", "tests", "tests/regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(&folder).expect("a folder of plans") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|e| e == "toml") {
                let text = std::fs::read_to_string(&path).expect("readable");
                plans.push((path.display().to_string(), text));
            }
        }
    }
    assert!(plans.len() > BUILT_IN.len() + 10);
    for (name, text) in plans {
        let complaints = complaints(&text);
        assert!(complaints.is_empty(), "{name}: {}", complaints.join("\n"));
    }
}

/// What a folder of results names as its plan is one as well.
#[test]
fn resolved_plans_fit() {
    for built_in in BUILT_IN {
        let source = Source::new(built_in.name, built_in.text);
        let Ok(plan) = source.plan(&[]) else {
            continue;
        };
        let Ok(study) = quorate::study::Study::open(&source, plan) else {
            continue;
        };
        for part in &study.parts {
            let text = quorate::output::resolved(part);
            let complaints = complaints(&text);
            assert!(
                complaints.is_empty(),
                "{}: {}",
                built_in.name,
                complaints.join("\n")
            );
        }
    }
}

const GOOD: &str = r#"
name = "t"
kind = "curve"
replications = 2
[network]
nodes = 4
regions = ["us-east-1"]
[workload]
name = "hospital"
sites = 4
[load]
offered_tps = [2.0]
duration_s = 20.0
[[engines]]
name = "qbft"
config = { period_ms = 500, timer = "spec" }
"#;

/// Each is the good plan with one thing that the program refuses too.
#[test]
fn wrong_plans_do_not_fit() {
    assert_eq!(complaints(GOOD), Vec::<String>::new());
    let wrong = [
        ("kind = \"curve\"", "kind = \"curves\""),
        ("kind = \"curve\"\n", ""),
        ("name = \"t\"\n", ""),
        ("name = \"t\"", "name = 3"),
        ("name = \"t\"", "name = \"t\"\nnodes = 4"),
        ("replications = 2", "replications = \"2\""),
        ("replications = 2", "replications = -2"),
        ("replications = 2", "replications = 2.5"),
        ("nodes = 4", "nodez = 4"),
        ("nodes = 4", "nodes = [4]"),
        ("regions = [\"us-east-1\"]", "regions = \"us-east-1\""),
        (
            "regions = [\"us-east-1\"]",
            "regions = [\"us-east-1\"]\noverlay = \"rings\"",
        ),
        (
            "regions = [\"us-east-1\"]",
            "regions = [\"us-east-1\"]\njitter_law = 3",
        ),
        ("[network]", "[netwerk]"),
        ("name = \"hospital\"", "name = \"hospitals\""),
        ("sites = 4", "sites = 4.5"),
        ("sites = 4", "site = 4"),
        ("sites = 4", "sites = 4\npayload = \"whole\""),
        ("offered_tps = [2.0]", "offered_tps = 2.0"),
        ("duration_s = 20.0", "duration = 20.0"),
        ("name = \"qbft\"", "name = \"pbft\""),
        ("period_ms = 500", "period_ms = 0.5"),
        ("period_ms = 500", "period = 500"),
        ("timer = \"spec\"", "timer = \"fast\""),
        ("timer = \"spec\"", "timer = 1"),
        ("timer = \"spec\"", "preset = \"fabric\""),
        ("[[engines]]", "[engines]"),
    ];
    for (from, to) in wrong {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        assert!(!complaints(&text).is_empty(), "the schema takes {to:?}");
        let source = Source::new("plan", text);
        let refused = source
            .plan(&[])
            .and_then(|plan| quorate::study::Study::open(&source, plan));
        assert!(refused.is_err(), "the program takes {to:?}");
    }
}
