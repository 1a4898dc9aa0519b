//! Runs that outlive their process: whatever kills them, however they are shared, the results are the same
//! bytes.

#![expect(
    clippy::disallowed_types,
    reason = "what is tested is when programs end"
)]

use quorate::journal::{self, Header, Journal, Medium};
use quorate::plan::Source;
use quorate::record::{self, Id};
use quorate::run::{self, Outcome};
use quorate::shard::Shard;
use quorate::store::Store;
use quorate::study::Study;
use quorate::unit::{Key, Tweak};
use quorate::workers::Budget;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Two engines, two profiles, counterfactuals, and a bad day: a comparison with all kinds of cells.
const COMPARE: &str = r#"name = "small"
kind = "compare"
replications = 2
profiles = ["deployed", "matched"]

[network]
nodes = 4
regions = ["us-east-1", "us-west-2"]

[workload]
name = "hospital"
sites = 4
most_patients = 200

[load]
offered_tps = [2.0]
decide_at_tps = 2.0
duration_s = 4.0
drain_s = 8.0

[resilience]
bad_days = ["site-down"]
replications = 2

[[levels]]
expect = "all:final:p(95)<10s"
standing = "assumption"
source = "a test"

[[engines]]
name = "qbft"
matched = { period_ms = 2000 }

[[engines]]
name = "central"
"#;

/// A curve whose knee is looked for: later units depend on earlier ones.
const CURVE: &str = r#"name = "knees"
kind = "curve"
replications = 2

[network]
nodes = 4
regions = ["us-east-1"]

[workload]
name = "hospital"
sites = 4
most_patients = 200
reads_per_write = 0.0

[load]
offered_tps = [2.0, 60.0]
duration_s = 20.0
drain_s = 10.0
knee_within = 1.0

[[engines]]
name = "qbft"
config = { block_txs = 10 }

[[engines]]
name = "raft"

[[engines]]
name = "central"
"#;

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new(plan: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("plan.toml"), plan).expect("it can be written");
        Self(dir)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command
            .args(args)
            .current_dir(self.0.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs what must succeed; what it prints on both streams.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let text = said(&output);
        assert!(output.status.success(), "{args:?}: {text}");
        text
    }

    /// Folders of an output folder whose names end so.
    fn folders(&self, out: &str, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join(out)).into_iter().flatten();
        let paths = entries.map(|e| e.expect("readable").path());
        let ends = |p: &PathBuf| p.to_string_lossy().ends_with(ending);
        let mut paths: Vec<PathBuf> = paths.filter(ends).collect();
        paths.sort();
        paths
    }

    fn journals(&self, out: &str) -> PathBuf {
        let folders = self.folders(out, ".journal");
        assert_eq!(folders.len(), 1, "one folder of journals");
        folders[0].clone()
    }

    /// The checksums of the only results folder.
    fn sums(&self, out: &str) -> String {
        let all = self.folders(out, "");
        let is_result = |p: &&PathBuf| p.join("SHA256SUMS").is_file();
        let results: Vec<&PathBuf> = all.iter().filter(is_result).collect();
        assert_eq!(results.len(), 1, "one result in {all:?}");
        fs::read_to_string(results[0].join("SHA256SUMS")).expect("it is there")
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Kills a command after a while; whether that was before its end.
fn killed(mut child: Child, after: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < after {
        if child.try_wait().expect("it is ours").is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    true
}

/// Runs a command to its end, killing it a few times before; each time it lives a bit longer.
fn run_killed(scratch: &Scratch, args: &[&str], first: Duration) {
    for kill in 1..=4 {
        let mut command = scratch.command(args);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the binary runs");
        if !killed(child, first * kill) {
            break;
        }
    }
    scratch.ok(args);
}

/// Results of every number of threads and shards, straight and killed, are those of one thread.
fn assert_same_bytes(plan: &str) {
    let scratch = Scratch::new(plan);
    let began = Instant::now();
    scratch.ok(&["run", "plan.toml", "--threads", "1", "--out", "one"]);
    let took = began.elapsed();
    let sums = scratch.sums("one");
    assert!(
        scratch.folders("one", ".journal").is_empty(),
        "it has served"
    );
    for (threads, n, kills) in [
        ("1", 1, true),
        ("2", 1, false),
        ("2", 1, true),
        ("1", 3, true),
        ("2", 3, false),
        ("2", 8, true),
        ("1", 8, false),
    ] {
        let out = format!("{threads}-{n}-{kills}");
        let common = ["run", "plan.toml", "--threads", threads, "--out", &out];
        for i in (1..=n).rev() {
            let shard = format!("{i}/{n}");
            let mut args = common.to_vec();
            if n > 1 {
                args.extend(["--shard", &shard]);
            }
            if kills {
                run_killed(&scratch, &args, took / (6 * n));
            } else {
                scratch.ok(&args);
            }
        }
        if n > 1 {
            let journals = scratch.journals(&out);
            let dir = journals.to_str().expect("UTF-8");
            assert!(scratch.ok(&["status", dir]).contains("complete"));
            scratch.ok(&["merge", dir, "--clean"]);
            assert!(!journals.exists(), "--clean");
        }
        assert_eq!(scratch.sums(&out), sums, "{out}");
    }
}

#[test]
fn a_comparison_has_the_same_bytes_however_it_is_run() {
    assert_same_bytes(COMPARE);
}

#[test]
fn a_curve_has_the_same_bytes_however_it_is_run() {
    assert_same_bytes(CURVE);
}

/// What is missing is said with the command that runs it.
#[test]
fn what_is_missing_is_named() {
    let scratch = Scratch::new(COMPARE);
    let shard = |i: &str| scratch.ok(&["run", "plan.toml", "-s", "seed=7", "--shard", i]);
    assert!(shard("1/3").contains("when all shards are: quorate merge results/small-"));
    shard("3/3");
    let status = scratch.run(&["status", "results"]);
    let text = said(&status);
    assert_eq!(status.status.code(), Some(4), "{text}");
    assert!(text.contains("shard 2/3: 0 of "), "{text}");
    assert!(
        text.contains("run plan.toml -s seed=7 --shard 2/3\n"),
        "{text}"
    );
    let json = said(&scratch.run(&["status", "results", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["complete"], &json["shards"][1]["finished"]),
        (&false.into(), &0.into())
    );
    let merge = scratch.run(&["merge", "results"]);
    let text = said(&merge);
    assert_eq!(merge.status.code(), Some(4), "{text}");
    assert!(
        text.contains("units are missing") && text.contains("--shard 2/3"),
        "{text}"
    );
    // Another number of shards does as well, and what is there twice is equal.
    for i in ["1/2", "2/2"] {
        shard(i);
    }
    scratch.ok(&["merge", "results"]);
    scratch.ok(&["run", "plan.toml", "-s", "seed=7", "--out", "whole"]);
    assert_eq!(scratch.sums("results"), scratch.sums("whole"));
    // A whole run goes on from what shards have.
    fs::remove_file(scratch.journals("results").join("1-of-2.journal")).expect("it is there");
    let again = scratch.ok(&["run", "plan.toml", "-s", "seed=7"]);
    assert_eq!(scratch.sums("results"), scratch.sums("whole"));
    assert!(again.contains("resumed "), "{again}");
}

/// A journal of another plan is not touched, nor one that somebody writes.
#[test]
fn a_foreign_or_busy_journal_is_left_alone() {
    let scratch = Scratch::new(COMPARE);
    let shard = |seed: &str| {
        let seed = format!("seed={seed}");
        scratch.run(&["run", "plan.toml", "-s", &seed, "--shard", "1/9"])
    };
    assert!(shard("1").status.success() && shard("2").status.success());
    let folders = scratch.folders("results", ".journal");
    let [a, b] = [0, 1].map(|i| folders[i].join("1-of-9.journal"));
    let bytes = fs::read(&a).expect("it is there");
    fs::copy(&a, &b).expect("it can be copied");
    let codes = [shard("1"), shard("2")].map(|o| (o.status.code(), said(&o)));
    let foreign = codes.iter().find(|c| c.0 == Some(65));
    let (_, text) = foreign.expect("one of both has the other's journal");
    assert!(text.contains("belongs to plan"), "{text}");
    assert_eq!(fs::read(&b).expect("it is there"), bytes, "untouched");

    let held = fs::File::open(&a).expect("it is there");
    held.try_lock().expect("nobody has it");
    let codes = [shard("1"), shard("2")].map(|o| (o.status.code(), said(&o)));
    assert!(codes.iter().any(|c| c.0 == Some(75)), "{codes:?}");
    assert!(said(&scratch.run(&["status", &folders[0].to_string_lossy()])).contains("running"));
    fs::write(&b, "something else").expect("it can be written");
    drop(held);
    let codes = [shard("1"), shard("2")].map(|o| o.status.code());
    assert!(codes.contains(&Some(65)), "{codes:?}");
    assert_eq!(fs::read(&b).expect("it is there"), b"something else");
    // A damaged header is not written over.
    let mut damaged = bytes;
    damaged[40] ^= 1;
    fs::write(&b, &damaged).expect("it can be written");
    let codes = [shard("1"), shard("2")].map(|o| o.status.code());
    assert!(codes.contains(&Some(65)), "{codes:?}");
    assert_eq!(fs::read(&b).expect("it is there"), damaged);
}

/// What journals do not serve, and numbers that are none, are refused.
#[test]
fn what_cannot_be_is_refused() {
    let scratch = Scratch::new(COMPARE);
    let code = |args: &[&str]| scratch.run(args).status.code();
    for wrong in ["0/2", "3/2", "x"] {
        assert_eq!(
            code(&["run", "plan.toml", "--shard", wrong]),
            Some(2),
            "{wrong}"
        );
    }
    assert_eq!(code(&["run", "plan.toml", "--memory-limit", "2"]), Some(2));
    assert_eq!(code(&["merge", "nowhere"]), Some(66));
    assert_eq!(code(&["status", "."]), Some(66));
    let refused = scratch.run(&["run", "plan.toml", "--memory-limit", "1MB"]);
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(78), "{text}");
    assert!(text.contains("is predicted to take"), "{text}");
    assert!(
        scratch.folders("results", ".journal").is_empty(),
        "refused before it starts"
    );
}

/// With no time at all nothing is begun; with enough, the same command finishes.
#[test]
fn a_time_limit_leaves_a_run_to_be_resumed() {
    let scratch = Scratch::new(COMPARE);
    let limited = |limit: &str| scratch.run(&["run", "plan.toml", "--time-limit", limit]);
    let none = limited("0s");
    let text = said(&none);
    assert_eq!(none.status.code(), Some(4), "{text}");
    assert!(text.contains("units are missing"), "{text}");
    assert!(limited("2h").status.success());
    scratch.ok(&[
        "run",
        "plan.toml",
        "--memory-limit",
        "1GB",
        "--out",
        "whole",
    ]);
    assert_eq!(scratch.sums("results"), scratch.sums("whole"));
}

/// Ctrl-C while a long unit runs: the process ends within two seconds, and what was finished stays.
#[cfg(unix)]
#[test]
fn an_interrupt_saves_within_two_seconds() {
    // The units of the first engine are short, those of the second last for minutes.
    let plan = CURVE
        .replace("[[engines]]\nname = \"raft\"\n", "")
        .replace(
            "name = \"central\"",
            "name = \"central\"\nduration_s = 900000.0",
        )
        .replace("knee_within = 1.0", "knee_within = 1000.0");
    let scratch = Scratch::new(&plan);
    let args = ["run", "plan.toml", "--threads", "2"];
    let child = scratch.command(&args).spawn().expect("the binary runs");
    // Both threads are busy with long units, which come first.
    thread::sleep(Duration::from_secs(4));
    let began = Instant::now();
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill is there").success());
    let output = child.wait_with_output().expect("it is ours");
    let (took, text) = (began.elapsed(), said(&output));
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(text.contains("resume with the same command"), "{text}");
    let path = scratch.journals("results").join("1-of-1.journal");
    let read = journal::read(&path).unwrap_or_else(|e| panic!("{e}"));
    assert!(read.is_some(), "its header is whole");
}

fn study(text: &str) -> Study {
    let source = Source::new("plan.toml", text);
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
    Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"))
}

/// Every unit of some outcomes, decoded from its bytes, is the unit.
fn assert_exact(name: &str, outcomes: &[Outcome]) {
    let mut units = 0;
    for (p, outcome) in outcomes.iter().enumerate() {
        for unit in outcome.cells.iter().flat_map(|c| &c.units) {
            let bytes = record::encode(p, unit);
            let (id, read) = record::decode(&bytes).expect("what was encoded");
            assert_eq!((id, Some(id)), (Id::new(p, unit.key), record::id(&bytes)));
            assert_eq!(
                (read.status, read.cut_slices),
                (unit.status, unit.cut_slices)
            );
            assert_eq!(
                format!("{:?}", read.report),
                format!("{:?}", unit.report),
                "{name}"
            );
            assert_eq!(
                format!("{:?}", read.all),
                format!("{:?}", unit.all),
                "{name}"
            );
            assert_eq!(record::encode(p, &read), bytes, "{name}");
            units += 1;
        }
    }
    assert!(units > 0, "{name} has units");
}

/// A ledger that puts its roots on a chain of four miners: a report within a report.
const ANCHOR: &str = r#"name = "anchor"
kind = "curve"
replications = 2
[network]
nodes = 4
regions = ["eu-west-1"]
[workload]
name = "hospital"
preset = "clinic"
sites = 4
most_patients = 500
[load]
offered_tps = [0.2]
duration_s = 600.0
[adversary]
final_risk = 1e-3
safe_risk = 1e-2
[[engines]]
name = "anchor"
[engines.config]
chain_config = { block_interval_s = 30.0, retarget_blocks = 0, relay = "direct", template_refresh_s = 0.0, block_bytes = 100000 }
chain_network = { nodes = 4, outbound = 0, uplink_mbps = 0.0, downlink_mbps = 0.0, jitter_permille = 0 }
lead_s = 6000.0
anchor_every_s = 60.0
"#;

#[test]
fn units_with_a_chain_within_come_back_exactly() {
    let study = study(ANCHOR);
    let outcomes = run::run(&study, "cargo test").unwrap_or_else(|e| panic!("{e}"));
    let mut units = outcomes[0].cells.iter().flat_map(|c| &c.units);
    assert!(units.all(|u| u.report.anchoring.is_some()));
    assert_exact("anchor", &outcomes);
}

/// Built-in plans whose reports hold what others do not, each made small.
#[test]
fn units_of_built_in_plans_come_back_exactly() {
    let plans: [(&str, &[&str]); 4] = [
        // Endorsements.
        (
            "fabric-claims",
            &["load.duration_s=5", "load.offered_tps=[20.0]"],
        ),
        // Measures of a domain.
        ("double-dispense", &["load.duration_s=20"]),
        // What the views are worth.
        ("consent-storm", &["load.duration_s=20"]),
        // Sizes.
        ("scale-nodes", &["load.duration_s=5", "scale.values=[12]"]),
    ];
    for (name, set) in plans {
        let set = ["replications=2"].iter().chain(set);
        let set: Vec<String> = set.map(|s| (*s).to_owned()).collect();
        let source = Source::open(name).unwrap_or_else(|e| panic!("{e}"));
        let mut plan = source.plan(&set).unwrap_or_else(|e| panic!("{name}: {e}"));
        // The last engines are the cheap ones; two show it.
        plan.engines = plan.engines.split_off(plan.engines.len() - 2);
        let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outcomes = run::run(&study, name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_exact(name, &outcomes);
    }
}

/// Liars, on bad days of a comparison.
#[test]
fn units_with_liars_come_back_exactly() {
    let plan = COMPARE.replace("\"site-down\"", "\"partition\", \"byzantine\"");
    let study = study(&plan);
    let outcomes = run::run(&study, "cargo test").unwrap_or_else(|e| panic!("{e}"));
    let mut units = outcomes[0].cells.iter().flat_map(|c| &c.units);
    assert!(units.any(|u| u.report.lies.is_some()), "somebody lies");
    assert_exact("liars", &outcomes);
}

/// Bytes that nobody wrote are refused or read, and never a panic.
#[test]
fn damaged_bytes_never_panic() {
    let study = study(COMPARE);
    let key = Key {
        engine: 0,
        offered_tps: Some(2.0),
        replication: 0,
        tweak: Tweak::None,
    };
    let part = &study.parts[0];
    let done = quorate::unit::run(&part.plan, &part.workload, &part.sheets[0], key);
    let bytes = record::encode(0, &done);
    let seed = quorate_core::Seed::new(1, 0);
    for at in 0..bytes.len() {
        let word = seed.key(&format!("{at}"));
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (word % 8);
        let _ = record::decode(&flipped);
        if at % 16 == 0 {
            let _ = record::decode(&bytes[..at]);
            // A stretch of random bytes.
            let random = (0..64).map(|i| seed.key(&format!("{at} {i}")) as u8);
            let end = bytes.len().min(at + 64);
            flipped.splice(at..end, random);
            let _ = record::decode(&flipped);
            let _ = record::id(&flipped[at..]);
        }
    }
}

fn header() -> Header {
    Header {
        plan_hash: "0123456789abcdef".to_owned(),
        text: "name = \"x\"".to_owned(),
        command: vec!["quorate".to_owned(), "run".to_owned()],
        ..Header::new(Shard::WHOLE)
    }
}

/// Units as short as they can be: a place, and a few bytes that are looked at later.
fn short_units() -> Vec<Vec<u8>> {
    let unit = |replication| {
        let key = Key {
            engine: 1,
            offered_tps: Some(5.0),
            replication,
            tweak: Tweak::Cpu,
        };
        let id = postcard::to_allocvec(&Id::new(0, key)).expect("memory takes it");
        [id, vec![replication as u8; 3 + replication as usize]].concat()
    };
    (0..5).map(unit).collect()
}

/// However short a torn journal is, every whole unit is there, and what is appended again makes the same
/// file.
#[test]
fn a_journal_cut_at_every_byte_loses_no_finished_unit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(Shard::WHOLE.file());
    let units = short_units();
    let (mut journal, kept) = Journal::open(&path, &header()).unwrap_or_else(|e| panic!("{e}"));
    assert!(kept.units.is_empty());
    let mut ends = vec![fs::metadata(&path).expect("it is there").len()];
    for unit in &units {
        journal.append(unit).unwrap_or_else(|e| panic!("{e}"));
        ends.push(ends[ends.len() - 1] + 8 + unit.len() as u64);
    }
    drop(journal);
    let whole = fs::read(&path).expect("it is there");
    assert_eq!(whole.len() as u64, ends[units.len()]);
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).expect("it can be written");
        let opened = Journal::open(&path, &header());
        let (mut journal, kept) = opened.unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        let finished = ends
            .iter()
            .skip(1)
            .filter(|&&end| end <= cut as u64)
            .count();
        let held: Vec<&Vec<u8>> = kept.units.values().collect();
        assert_eq!(
            held,
            units[..finished].iter().collect::<Vec<_>>(),
            "cut at {cut}"
        );
        let good = ends[..=finished].iter().rfind(|&&end| end <= cut as u64);
        assert_eq!(kept.torn, cut as u64 - good.unwrap_or(&0), "cut at {cut}");
        for unit in &units[finished..] {
            journal.append(unit).unwrap_or_else(|e| panic!("{e}"));
        }
        drop(journal);
        assert_eq!(fs::read(&path).expect("it is there"), whole, "cut at {cut}");
    }
}

/// A flipped bit anywhere behind the header costs that unit and those behind it, and no more.
#[test]
fn a_flipped_bit_is_found() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(Shard::WHOLE.file());
    let units = short_units();
    let (mut journal, _) = Journal::open(&path, &header()).unwrap_or_else(|e| panic!("{e}"));
    let first = fs::metadata(&path).expect("it is there").len() as usize;
    for unit in &units {
        journal.append(unit).unwrap_or_else(|e| panic!("{e}"));
    }
    drop(journal);
    let whole = fs::read(&path).expect("it is there");
    for at in first..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).expect("it can be written");
        let (_, kept) = journal::read(&path)
            .unwrap_or_else(|e| panic!("{e}"))
            .expect("the header is whole");
        let held: Vec<&Vec<u8>> = kept.units.values().collect();
        assert_eq!(
            held,
            units[..held.len()].iter().collect::<Vec<_>>(),
            "bit at {at}"
        );
        assert!(held.len() < units.len(), "bit at {at}");
    }
}

/// A disk with so much room.
struct Small {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Medium for Small {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.bytes.lock().expect("nobody panicked");
        let fits = (self.room - all.len()).min(bytes.len());
        all.extend(&bytes[..fits]);
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.bytes
            .lock()
            .expect("nobody panicked")
            .truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A full disk, at every byte: an error, whole units, and nothing else.
#[test]
fn a_full_disk_keeps_what_fits() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(Shard::WHOLE.file());
    let units = short_units();
    let all: usize = units.iter().map(|u| u.len() + 8).sum();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let small = |room| {
        bytes.lock().expect("nobody panicked").clear();
        let bytes = Arc::clone(&bytes);
        Journal::on(Box::new(Small { bytes, room }), &path, &header())
    };
    small(1 << 20).unwrap_or_else(|e| panic!("{e}"));
    let first = bytes.lock().expect("nobody panicked").len();
    for room in 0..first + all {
        let mut journal = match small(room) {
            Ok(journal) => journal,
            Err(error) => {
                assert!(room < first && error.code == 74, "{error}");
                continue;
            }
        };
        let mut wrote = units.iter().map(|unit| journal.append(unit));
        let error = wrote.find_map(Result::err).expect("too little room");
        assert!(
            error.code == 74 && error.hint.contains("same command"),
            "{error}"
        );
        fs::write(&path, &*bytes.lock().expect("nobody panicked")).expect("it can be written");
        let (_, kept) = journal::read(&path)
            .unwrap_or_else(|e| panic!("{e}"))
            .expect("the header is whole");
        assert_eq!(kept.torn, 0, "room for {room}");
    }
}

/// A run on a full disk ends with what it has, and goes on from there when there is room.
#[test]
fn a_run_on_a_full_disk_is_resumed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join(Shard::WHOLE.file());
    let study = study(COMPARE);
    let all = run::run(&study, "cargo test").unwrap_or_else(|e| panic!("{e}"));
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let medium = Small {
        bytes: Arc::clone(&bytes),
        room: 300_000,
    };
    let journal = Journal::on(Box::new(medium), &path, &header());
    let journal = journal.unwrap_or_else(|e| panic!("{e}"));
    let mut store = Store::resumed(journal, journal::Kept::default(), Shard::WHOLE);
    let budget = Budget::default();
    let error = run::run_with(&study, &mut store, &budget, "").map(|_| ());
    let error = error.expect_err("the disk is full");
    assert_eq!(error.code, 74, "{error}");
    fs::write(&path, &*bytes.lock().expect("nobody panicked")).expect("it can be written");
    let (journal, kept) = Journal::open(&path, &header()).unwrap_or_else(|e| panic!("{e}"));
    assert!(!kept.units.is_empty());
    assert_eq!(kept.torn, 0);
    let mut store = Store::resumed(journal, kept, Shard::WHOLE);
    let again = run::run_with(&study, &mut store, &budget, "").unwrap_or_else(|e| panic!("{e}"));
    let digests = |outcomes: &[Outcome]| -> Vec<(Key, u64)> {
        let cells = outcomes.iter().flat_map(|o| &o.cells);
        let units = cells.flat_map(|c| &c.units);
        units.map(|u| (u.key, u.report.digest)).collect()
    };
    assert_eq!(digests(&again), digests(&all));
}

/// Two journals that differ about a unit are named.
#[test]
fn a_unit_that_ended_in_two_ways_is_found() {
    let key = Key {
        engine: 0,
        offered_tps: None,
        replication: 3,
        tweak: Tweak::None,
    };
    let kept = |byte| {
        let mut kept = journal::Kept::default();
        kept.units.insert(Id::new(0, key), vec![byte]);
        (PathBuf::from(format!("{byte}.journal")), header(), kept)
    };
    assert!(Store::merged(vec![kept(1), kept(1)]).is_ok());
    let Err(error) = Store::merged(vec![kept(1), kept(2)]) else {
        panic!("they differ")
    };
    assert_eq!(error.code, 70, "{error}");
    assert!(error.message.contains("1.journal") && error.message.contains("2.journal"));
}

/// A journal is where its name says.
#[test]
fn a_shard_under_another_name_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path: &Path = &dir.path().join("1-of-2.journal");
    let shard = |i, n| Header {
        plan_hash: "same".to_owned(),
        ..Header::new(Shard { i, n })
    };
    drop(Journal::open(path, &shard(1, 2)).unwrap_or_else(|e| panic!("{e}")));
    let error = Journal::open(path, &shard(2, 2)).map(|_| ());
    assert_eq!(error.expect_err("it is the other's").code, 65);
}
