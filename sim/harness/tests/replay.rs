//! A unit that is told is the unit that was counted, and what is told is what happened.

use quorate::plan::Source;
use quorate::study::Study;
use quorate::unit::{self, Key, Tweak};
use quorate_core::{NodeId, Span, Time};
use quorate_kernel::{Trace, What, Window};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EVERYTHING: Window = Window {
    from: Time::ZERO,
    until: Time::NEVER,
    blocks: None,
    most: usize::MAX,
    nodes: Vec::new(),
};

fn plan(engine: &str, more: &str) -> String {
    format!(
        "name = \"t\"\nkind = \"curve\"\nreplications = 2\n[network]\nnodes = 4\n\
         regions = [\"us-east-1\", \"eu-west-1\"]\n[workload]\nname = \"hospital\"\nsites = 4\nmost_patients = 100\n\
         [load]\noffered_tps = [20.0]\nduration_s = 30.0\ndrain_s = 30.0\nknee_within = 1000.0\n\
         [[engines]]\nname = \"{engine}\"\n{more}"
    )
}

fn study(text: &str) -> Study {
    let source = Source::new("plan", text);
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
    Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"))
}

const UNIT: Key = Key {
    engine: 0,
    offered_tps: Some(20.0),
    replication: 1,
    tweak: Tweak::None,
};

/// The report, but for which forms it took.
fn report(study: &Study, trace: Option<Trace>) -> String {
    let part = &study.parts[0];
    let done = unit::run_traced(&part.plan, &part.workload, &part.sheets[0], UNIT, trace);
    let mut report = done.report;
    report.events = 0;
    report.ballot_forms = [0; 2];
    format!("{:?} {} {report:?}", done.status, done.cut_slices)
}

/// With a whole trace, one of some seconds within (where forms change twice), and one of one node.
#[test]
fn a_trace_changes_nothing() {
    let engines = quorate::engines::all()
        .into_iter()
        .map(quorate::engines::AnyEngine::name);
    let crash = "[[faults]]\nfrom_s = 8.0\nuntil_s = 14.0\ncrash = [1]\n";
    for engine in engines {
        for more in ["", crash] {
            let study = study(&plan(engine, more));
            if study.parts[0].sheets[0].finality.is_err() {
                continue;
            }
            let plain = report(&study, None);
            let within = Window {
                from: Time::ZERO + Span::from_s(9),
                until: Time::ZERO + Span::from_s(16),
                most: 100,
                ..EVERYTHING
            };
            let one = Window {
                nodes: vec![NodeId::new(2)],
                ..EVERYTHING
            };
            for window in [EVERYTHING, within, one] {
                let told = report(&study, Some(Trace::new(window)));
                assert!(plain == told, "{engine} {more}:\n{plain}\n{told}");
            }
        }
    }
}

/// Everything that was counted was told.
#[test]
fn a_trace_of_everything_counts_what_the_report_counts() {
    let study = study(&plan("qbft", ""));
    let part = &study.parts[0];
    let trace = Trace::new(EVERYTHING);
    let told = Some(trace.clone());
    let report = unit::run_traced(&part.plan, &part.workload, &part.sheets[0], UNIT, told).report;
    let record = trace.record();
    let count =
        |is: &dyn Fn(&What) -> bool| record.events.iter().filter(|e| is(&e.what)).count() as u64;
    let kinds = report.traffic.iter().filter(|(_, t)| t.messages > 0);
    for (kind, traffic) in kinds {
        let sent = count(&|w| matches!(w, What::Sent { message, .. } if message == kind));
        assert_eq!(sent, traffic.messages, "{kind}");
        let of_kind = record.events.iter().filter_map(|e| match e.what {
            What::Sent { message, bytes, .. } if message == *kind => Some(bytes),
            _ => None,
        });
        assert_eq!(of_kind.sum::<u64>(), traffic.bytes, "{kind}");
    }
    assert_eq!(count(&|w| matches!(w, What::Handled { .. })), report.inputs);
    assert_eq!(
        count(&|w| matches!(w, What::Built { .. })),
        report.chain.built
    );
    assert!(record.events.is_sorted_by_key(|e| e.at));
    let arrives = |w: &What| matches!(w, What::Sent { arrives: None, .. });
    assert_eq!(count(&arrives), report.lost);
}

/// The bound holds, and what is beyond it is counted.
#[test]
fn a_bounded_trace_says_what_it_leaves_out() {
    let study = study(&plan("raft", ""));
    let count = |most: usize| {
        let trace = Trace::new(Window { most, ..EVERYTHING });
        report(&study, Some(trace.clone()));
        let record = trace.record();
        (record.events.len() as u64, record.left_out)
    };
    let (all, none) = count(usize::MAX);
    assert_eq!((count(10), none), ((10, all - 10), 0));
}

fn quorate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A results folder in a scratch folder.
fn results(scratch: &Path) -> PathBuf {
    let file = scratch.join("plan.toml");
    std::fs::write(&file, plan("qbft", "[[engines]]\nname = \"raft\"\n")).expect("writable");
    let out = scratch.join("out");
    let (file, out_text) = (file.display().to_string(), out.display().to_string());
    let run = quorate(&["run", &file, "--out", &out_text]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let mut folders = std::fs::read_dir(out).expect("results");
    folders.next().expect("one").expect("readable").path()
}

#[test]
fn a_folder_is_replayed_to_its_own_digest() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let folder = results(scratch.path());
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let (events, diagram) = (path("e.jsonl"), path("d.svg"));
    let from = folder.display().to_string();
    let wanted = [
        "replay",
        &from,
        "--cell",
        "1",
        "--replication",
        "1",
        "--events",
        &events,
        "--diagram",
        &diagram,
    ];
    let output = quorate(&wanted);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("and in the results"),
        "{}",
        text(&output.stdout)
    );
    let lines = std::fs::read_to_string(&events).expect("events");
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["kind"], "trace");
    let last = lines.last().expect("a tail");
    assert_eq!(
        (last["kind"].as_str(), last["truncated"].as_bool()),
        (Some("end"), Some(false))
    );
    assert_eq!(last["events"].as_u64(), Some(lines.len() as u64 - 2));
    assert_eq!(lines.iter().filter(|l| l["kind"] == "block").count(), 3);
    let picture = std::fs::read_to_string(&diagram).expect("a diagram");
    assert_eq!(picture.matches("class=\"built\"").count(), 3);
    let sent = lines.iter().filter(|l| l["kind"] == "sent").count();
    assert_eq!(picture.matches("class=\"sent\"").count(), sent);
    // The same again, to the byte.
    let again = path("again.svg");
    quorate(&[
        "replay",
        &from,
        "--cell",
        "1",
        "--replication",
        "1",
        "--diagram",
        &again,
    ]);
    assert_eq!(std::fs::read_to_string(&again).expect("a diagram"), picture);

    // What was changed by hand is not believed.
    let code = |args: &[&str]| quorate(args).status.code();
    assert_eq!(code(&["replay", &from, "--cell", "77"]), Some(78));
    assert_eq!(
        code(&["replay", &from, "--cell", "1", "-s", "seed=2"]),
        Some(78)
    );
    assert_eq!(
        code(&["replay", &from, "--cell", "1", "--nodes", "9"]),
        Some(78)
    );
    assert_eq!(
        code(&[
            "replay", &from, "--cell", "1", "--from", "5", "--until", "4"
        ]),
        Some(78)
    );
    std::fs::write(folder.join("replications.csv"), "cell\n").expect("writable");
    assert_eq!(code(&["replay", &from, "--cell", "1"]), Some(65));
}

/// An attack has no cells.
#[test]
fn what_has_no_cells_is_not_replayed() {
    let output = quorate(&["replay", "medicalchain-teleconsult", "--cell", "0"]);
    let unknown = quorate(&["replay", "no-such-plan", "--cell", "0"]);
    assert_eq!(unknown.status.code(), Some(66));
    assert_ne!(output.status.code(), Some(0));
}
