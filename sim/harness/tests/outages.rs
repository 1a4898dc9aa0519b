//! Outages with real engines: what incidents say agrees with a log of every commit and with what can be
//! computed by hand; a plan strikes whom it names; threads change no byte.

use quorate::plan::Source;
use quorate::study::Study;
use quorate::unit::{self, Done, Key, Tweak};
use quorate::validate::logged::{self, All, Note, What};
use quorate::validate::world::{Poisson, World, within};
use quorate_consensus::central::{self, Central};
use quorate_consensus::nakamoto::{self, Nakamoto};
use quorate_consensus::qbft::{self, Qbft};
use quorate_consensus::raft::{self, Raft};
use quorate_consensus::tendermint::{self, Tendermint};
use quorate_core::{Engine, Fault, FaultKind, Load, NodeId, Span, Time};
use quorate_kernel::{Incident, Report, Status};
use std::path::Path;
use std::process::Command;

fn s(s: u64) -> Span {
    Span::from_s(s)
}

fn t(seconds: u64) -> Time {
    Time::ZERO + s(seconds)
}

fn ms(span: Option<Span>) -> f64 {
    span.map_or(f64::NAN, |s| s.as_s() * 1e3)
}

/// Five nodes 10 ms apart, of which each has a site, for two minutes.
fn five() -> World {
    let mut world = World::new(5, Span::from_ms(10), s(120)).offered(5.0, 5);
    world.setup.drain = s(300);
    world
}

fn qbft() -> qbft::Config {
    qbft::Config {
        whole_second_timestamps: false,
        ..qbft::Config::default()
    }
}

fn only(report: &Report) -> &Incident {
    assert_eq!(report.status, Status::Ok, "{:?}", report.violation);
    let [one] = &report.incidents[..] else {
        panic!("one incident, not {:?}", report.incidents)
    };
    one
}

// ---- against a log of every commit -----------------------------------------------------------

/// The same figures from a log.
struct Logged {
    finals: u64,
    first_final: Option<Span>,
    first_final_struck: Option<Span>,
    longest_pause: Span,
}

fn from_log(log: &[Note], incident: &Incident, ended: Time) -> Logged {
    let (from, until) = (incident.from, incident.until);
    let mut logged = Logged {
        finals: 0,
        first_final: None,
        first_final_struck: None,
        longest_pause: Span::ZERO,
    };
    let (mut highest, mut last) = (0, from);
    for note in log.iter().filter(|n| n.what == What::Committed) {
        let raised = u64::from(note.height.saturating_sub(highest));
        highest = highest.max(note.height);
        if note.at >= until && incident.struck.contains(&note.node) {
            logged
                .first_final_struck
                .get_or_insert(note.at.since(until));
        }
        if raised == 0 || note.at < from {
            continue;
        }
        if logged.first_final.is_none() {
            logged.longest_pause = logged.longest_pause.max(note.at.since(last));
            last = note.at;
        }
        if note.at < until {
            logged.finals += raised;
        } else {
            logged.first_final.get_or_insert(note.at.since(until));
        }
    }
    if logged.first_final.is_none() {
        logged.longest_pause = logged.longest_pause.max(ended.since(last));
    }
    logged
}

fn agrees_with_its_log<E: Engine>(config: &E::Config, what: FaultKind) {
    let name = format!("{} {what:?}", std::any::type_name::<E>());
    let world = five().fault(Fault {
        from: t(30),
        until: t(70),
        what,
    });
    let (report, log) = logged::run::<E, All>(&world, config);
    let incident = only(&report);
    let want = from_log(&log, incident, report.ended);
    assert_eq!(incident.finals, want.finals, "{name}");
    assert_eq!(incident.first_final, want.first_final, "{name}");
    assert_eq!(
        incident.first_final_struck, want.first_final_struck,
        "{name}"
    );
    assert_eq!(incident.longest_pause, want.longest_pause, "{name}");
    assert!(
        incident.first_final.is_some() && incident.back.is_some(),
        "{name}"
    );
    let mut load = Poisson::new(world.offered, world.setup.seed);
    let arrivals = std::iter::from_fn(|| load.next()).take_while(|a| a.at < t(70));
    let submitted = arrivals.filter(|a| a.at >= t(30)).count() as u64;
    assert_eq!(incident.submitted, submitted, "{name}");
}

#[test]
fn incidents_agree_with_a_log_of_every_commit() {
    let faults = || {
        [
            FaultKind::Crash(vec![1]),
            FaultKind::Crash(vec![0, 1, 2]),
            FaultKind::Partition(vec![0, 3]),
            FaultKind::WanCut(vec![0, 1, 2, 3, 4]),
        ]
    };
    for what in faults() {
        agrees_with_its_log::<Qbft>(&qbft(), what.clone());
        agrees_with_its_log::<Tendermint>(&tendermint::Config::default(), what.clone());
        agrees_with_its_log::<Raft>(&raft::Config::default(), what.clone());
        agrees_with_its_log::<Central>(&central::Config::default(), what);
    }
}

// ---- by hand -------------------------------------------------------------------------------

/// Nobody can reach anybody for a minute. Then the backlog of so many transactions drains by what a block
/// a second carries beyond what arrives.
#[test]
fn a_backlog_drains_at_the_spare_rate() {
    let (rate, per_block) = (2.0, 10);
    let mut world = five().offered(rate, 5);
    world.setup.horizon = t(300);
    let world = world.fault(Fault {
        from: t(60),
        until: t(120),
        what: FaultKind::WanCut(vec![0, 1, 2, 3, 4]),
    });
    let config = qbft::Config {
        block_txs: per_block,
        ..qbft()
    };
    let report = world.run::<Qbft>(&config);
    let incident = only(&report);
    assert_eq!((incident.finals, incident.struck.len()), (0, 5));
    let first = ms(incident.first_final) / 1e3;
    let waiting = (incident.backlog_before + incident.submitted) as f64 + rate * first;
    // Each block takes ten at once, the first one too, and leaves no more than when it began.
    let spare = f64::from(per_block) - rate;
    let want = first + (waiting - f64::from(per_block)) / spare;
    let noise = quorate_core::math::sqrt(rate * want) / spare;
    let got = ms(incident.back) / 1e3;
    within("drain", got, want, 1.0 + 3.0 * noise);
    // All that was submitted meanwhile is final afterwards, and nothing else was pending.
    assert_eq!(
        incident.delayed,
        incident.backlog_before + incident.submitted
    );
    let lost = (incident.dropped, incident.expired, incident.refused);
    assert_eq!(lost, (0, 0, 0));
}

/// Three of five validators are no quorum. Rounds take 2, 4, 8 … seconds from the height's start on, and
/// the first that begins after healing decides, by four messages.
#[test]
fn a_halted_committee_goes_on_with_the_next_round() {
    let config = qbft();
    let world = five().partition(&[0, 3], s(30), s(70));
    let (report, log) = logged::run::<Qbft, All>(&world, &config);
    let incident = only(&report);
    let built = log.iter().filter(|n| n.what == What::Built && n.at < t(30));
    let last = built.map(|n| n.at).max().expect("a block");
    let height_begins = last + Span::from_ms(config.period_ms);
    let round =
        |k: u32| height_begins + Span::from_ms(config.request_timeout_ms * (2_u64.pow(k) - 1));
    let next = (0..10).map(round).find(|&at| at > t(70)).expect("a round");
    let want = next + Span::from_ms(4 * 10);
    assert_eq!(incident.first_final, Some(want.since(t(70))));
    assert_eq!(incident.finals, 0);
    // The votes of the height before came 30 ms after its block was built, and the fault at 30 s.
    assert_eq!(incident.longest_pause, want.since(t(30)));
    assert_eq!(incident.struck, [NodeId::new(0), NodeId::new(3)]);
}

/// Where depth makes final, both sides of a partition call blocks final, and the shorter side leaves its
/// own: every transaction that only this side had is counted once, whatever the number of nodes.
#[test]
fn what_a_side_called_final_and_lost_is_counted_once() {
    let config = nakamoto::Config {
        block_interval_s: 2.0,
        retarget_blocks: 0,
        ..nakamoto::Config::default()
    };
    let mut world = World::new(6, Span::from_ms(10), s(400))
        .offered(5.0, 6)
        .depth(1, 3);
    world.setup.drain = s(300);
    let parted = world.clone().partition(&[0, 3], s(100), s(300));
    let (report, log) = logged::run::<Nakamoto, All>(&parted, &config);
    let incident = only(&report);
    assert!(incident.reversed_blocks > 0 && report.reversed.txs > 0);
    assert_eq!(incident.reversed_blocks, report.chain.reversed_blocks);
    assert_eq!(incident.reversed_txs, report.chain.reversed_txs);
    assert_eq!(incident.reversed_after_final, report.reversed.txs);
    // Two nodes left the same blocks, but for the last, and the world's ledger knows no people.
    assert!(report.chain.reversed_txs > report.reversed.txs);
    assert_eq!(report.reversed.people, 0);
    let by_class: u64 = report.reversed_classes.iter().map(|r| r.txs).sum();
    assert_eq!(by_class, report.reversed.txs);
    // What the two submitted in 200 s, a third of five a second, less what was not yet final.
    let adopted = |n: &&Note| n.what == What::Adopted && n.at < t(300) && n.node.get() == 0;
    let highest = log
        .iter()
        .filter(adopted)
        .map(|n| n.height)
        .max()
        .unwrap_or(0);
    let fork = log
        .iter()
        .filter(|n| n.at < t(100))
        .map(|n| n.height)
        .max()
        .unwrap_or(0);
    let depth = f64::from(highest - fork);
    let share = (depth - 2.0) / depth;
    within(
        "lost",
        report.reversed.txs as f64,
        200.0 * 5.0 / 3.0 * share,
        60.0,
    );
    assert_eq!(world.run::<Nakamoto>(&config).reversed.txs, 0);
}

// ---- plans -----------------------------------------------------------------------------------

/// A plan of six hospitals in three regions with these outages, and an engine.
fn plan(engine: &str, outages: &str) -> String {
    format!(
        "name = \"t\"\nkind = \"replay\"\nreplications = 2\n\
         [network]\nnodes = 6\nregions = [\"us-east-1\", \"us-west-1\", \"us-west-2\"]\n\
         [workload]\nname = \"hospital\"\npreset = \"region\"\npeople = 9000000\nsites = 6\nmost_patients = 1000\n\
         reads_per_write = 1.0\nper_person_year = {{ consent_revoke = 20.0 }}\n\
         [load]\nduration_s = 240.0\ndrain_s = 600.0\n\
         {outages}\n[[engines]]\n{engine}\n"
    )
}

fn run(engine: &str, outages: &str, replication: u32) -> Done {
    let source = Source::new("plan.toml", plan(engine, outages));
    let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{}", e.message));
    let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{}", e.message));
    let part = &study.parts[0];
    let key = Key {
        engine: 0,
        offered_tps: None,
        replication,
        tweak: Tweak::None,
    };
    unit::run(&part.plan, &part.workload, &part.sheets[0], key)
}

const LEADER: &str = "[[outages]]\nlose = \"leader\"\nfrom_s = 60\nfor_s = 60\n";

/// Whom the outage struck.
fn struck(done: &Done) -> Vec<u32> {
    let [incident] = &done.report.incidents[..] else {
        panic!("one incident, not {:?}", done.report.incidents)
    };
    incident.struck.iter().map(|n| n.get()).collect()
}

/// Fabric's election time-out is uniform between 5 and 10 s; then a batch of at most 2 s.
#[test]
fn raft_goes_on_after_the_election_time_out() {
    let config = raft::Config::default();
    let election_s = (config.tick_ms * config.election_ticks) as f64 / 1e3;
    // It counts from the last heartbeat, at most this long before the crash.
    let least_s = election_s - (config.tick_ms * config.heartbeat_ticks) as f64 / 1e3;
    let most_s = 2.0 * election_s + config.batch_timeout_ms as f64 / 1e3 + 1.0;
    for replication in 0..6 {
        let done = run("name = \"raft\"", LEADER, replication);
        let incident = only(&done.report);
        let pause_s = ms(Some(incident.longest_pause)) / 1e3;
        assert!(pause_s > least_s && pause_s < most_s, "{pause_s} s");
        assert!(incident.finals > 10, "it goes on without its leader");
        // A follower instead stops nobody.
        let follower = (0..6).find(|n| !struck(&done).contains(n)).expect("five");
        let power =
            format!("[[outages]]\nlose = \"power\"\nsite = {follower}\nfrom_s = 60\nfor_s = 60\n");
        let other = run("name = \"raft\"", &power, replication);
        let pause_s = ms(Some(only(&other.report).longest_pause)) / 1e3;
        assert!(pause_s < least_s, "{pause_s} s without {follower}");
    }
}

/// Each strikes one node that matters: what is struck leads, or built the newest block.
#[test]
fn every_engine_has_a_leader_to_strike() {
    for engine in quorate::engines::ledgers() {
        let name = engine.name();
        let late = LEADER.replace("60\nfor_s = 60", "200\nfor_s = 60");
        // Bitcoin's ten minutes are longer than the run.
        let preset = if name == "nakamoto" {
            "config = { preset = \"private-15s\" }"
        } else {
            ""
        };
        let table = format!("name = \"{name}\"\n{preset}");
        let done = run(&table, &late, 0);
        let hit = struck(&done);
        assert_eq!(hit.len(), 1, "{name}");
        assert!(hit[0] < 6, "{name}");
        // The same again, to the byte.
        let again = run(&table, &late, 0);
        assert_eq!(done.report.digest, again.report.digest, "{name}");
    }
}

#[test]
fn an_anchored_ledger_has_the_leader_of_its_local_one() {
    let done = run("name = \"anchor\"", LEADER, 0);
    let incident = done.report.incidents.first().expect("one");
    assert_eq!(incident.struck.len(), 1);
    assert_eq!(incident.causes, ["crash"]);
}

/// The second leader is found with the first one gone.
#[test]
fn leaders_are_struck_one_after_the_other() {
    let second = LEADER.replace("60\nfor_s = 60", "90\nfor_s = 90");
    let done = run("name = \"raft\"", &format!("{LEADER}{second}"), 0);
    assert_eq!(struck(&done).len(), 2, "two who are down together");
    assert_eq!(only(&done.report).until, t(180));
}

/// A central database's primary is where the plan says; its standby takes over.
#[test]
fn the_primary_of_a_database_is_its_leader() {
    let done = run("name = \"central\"", LEADER, 0);
    assert_eq!(struck(&done), [0]);
    assert!(only(&done.report).finals > 0);
}

#[test]
fn rolling_maintenance_strikes_one_node_after_the_other_and_nothing_stops() {
    let outage = "[[outages]]\nlose = \"maintenance\"\nregion = \"us-west-1\"\nfrom_s = 30\nfor_min = 0.5\n\
                  gap_min = 0.25\nevery_h = 0.03\ntimes = 2\n";
    for engine in ["qbft", "tendermint", "raft"] {
        let done = run(&format!("name = \"{engine}\""), outage, 0);
        let incidents = &done.report.incidents;
        let struck: Vec<u32> = incidents
            .iter()
            .flat_map(|i| &i.struck)
            .map(|n| n.get())
            .collect();
        assert_eq!(struck, [1, 4, 1, 4], "{engine}");
        assert!(
            incidents.iter().all(|i| i.finals > 0 && i.back.is_some()),
            "{engine}"
        );
        assert!(
            incidents.iter().all(|i| i.delayed < i.submitted),
            "{engine}"
        );
    }
}

/// The loss of any one node (n − 1) stops nobody who promises to bear it; the loss of one more than
/// promised stops a committee.
#[test]
fn n_minus_1() {
    let finals = |engine: &str, sites: &[u32]| {
        let outage =
            format!("[[outages]]\nlose = \"power\"\nsites = {sites:?}\nfrom_s = 60\nfor_s = 100\n");
        let done = run(&format!("name = \"{engine}\""), &outage, 0);
        only(&done.report).finals
    };
    for engine in [
        "qbft",
        "ibft2",
        "tendermint",
        "hotstuff",
        "raft",
        "central",
        "aura",
    ] {
        for site in 0..6 {
            assert!(finals(engine, &[site]) > 0, "{engine} without {site}");
        }
    }
    // Of six a Byzantine quorum is four, a majority four. One block may be on its way.
    for engine in ["qbft", "ibft2", "tendermint", "hotstuff", "raft"] {
        let went_on = finals(engine, &[3, 4, 5]);
        assert!(went_on <= 1, "{engine} without three of six: {went_on}");
    }
}

/// Clients behind a cut link submit late, and its readers do not hear of revocations.
#[test]
fn a_region_that_is_cut_off_reads_stale_views_and_hears_of_revocations_late() {
    let outage = "[[outages]]\nlose = \"region-link\"\nregion = \"us-west-2\"\nfrom = \"00:01\"\nfor_s = 100\n";
    let done = run("name = \"raft\"", outage, 0);
    let incident = only(&done.report);
    assert_eq!(struck(&done), [2, 5]);
    assert!(incident.finals > 20 && incident.delayed > 0 && incident.reads > 0);
    let worst = ms(incident.worst_exposure) / 1e3;
    assert!(worst > 50.0, "{worst} s for a revocation in the first half");
    assert_eq!((incident.exposure_open, incident.reads_refused), (0, 0));
    let calm = run("name = \"raft\"", "", 0);
    assert!(calm.report.incidents.is_empty());
    // Behind the partition is where the view lacks a revocation while it lasts, and only then.
    let behind = |done: &Done| done.report.reads.stale[3];
    assert!(behind(&done) > 0 && behind(&done) <= incident.stale);
    assert_eq!(behind(&calm), 0);
}

// ---- results ----------------------------------------------------------------------------------

fn results(args: &[&str]) -> (tempfile::TempDir, std::path::PathBuf, String) {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(args)
        .current_dir(scratch.path())
        .output()
        .expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut folders = std::fs::read_dir(scratch.path().join("results")).expect("readable");
    let folder = folders
        .next()
        .expect("one result")
        .expect("readable")
        .path();
    (
        scratch,
        folder,
        String::from_utf8(output.stdout).expect("UTF-8"),
    )
}

fn table(folder: &Path, name: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut table = csv::Reader::from_path(folder.join(name)).expect("a table");
    table.deserialize().map(|row| row.expect("a row")).collect()
}

/// The built-in plan at a tenth of its hour, on one thread and on two.
#[test]
fn a_bad_day_has_its_tables_and_threads_change_no_byte() {
    let small = |threads| {
        results(&[
            "run",
            "bad-day",
            "--threads",
            threads,
            "--engines",
            "qbft,nakamoto-15s",
            "-s",
            "replications=2",
            "-s",
            "load.duration_s=1200",
            "-s",
            "load.drain_s=3600",
            "-s",
            "adversary.corrupt=1",
            "-s",
            "adversary.final_risk=0.05",
            "-s",
            "adversary.safe_risk=0.1",
            "-s",
            "outages.0.from=00:02",
            "-s",
            "outages.0.for_min=14",
            "-s",
            "outages.1.from=00:17",
            "-s",
            "outages.1.for_min=2",
        ])
    };
    let (_one, first, screen) = small("1");
    let (_two, second, _) = small("2");
    let sums = |folder: &Path| std::fs::read(folder.join("SHA256SUMS")).expect("checksums");
    assert_eq!(sums(&first), sums(&second));

    let incidents = table(&first, "incidents.csv");
    assert_eq!(
        incidents.len(),
        2 * 2 * 2,
        "engines, replications, incidents"
    );
    for row in &incidents {
        let region = row["incident"] == "0";
        assert_eq!(row["struck"], if region { "0 3 6 9" } else { "7" });
        assert_eq!(row["causes"], if region { "partition" } else { "crash" });
        assert!(row["first_final_after_ms"].parse::<f64>().is_ok());
    }
    // Each class's different transactions add up; a committee loses none.
    let reversals = table(&first, "reversals.csv");
    let lost = |engine: &str, all: bool| -> u64 {
        let own = reversals.iter().filter(|r| r["engine"] == engine);
        let own = own.filter(|r| (r["class"] == "all") == all);
        own.map(|r| {
            r["reversed_after_final_txs"]
                .parse::<u64>()
                .expect("a count")
        })
        .sum()
    };
    assert_eq!(lost("qbft", true), 0);
    assert!(
        lost("nakamoto-15s", true) > 0,
        "four of twelve call their own blocks final"
    );
    assert_eq!(lost("nakamoto-15s", true), lost("nakamoto-15s", false));
    let patients = |r: &&std::collections::BTreeMap<String, String>| {
        r["class"].starts_with("consent") && r["reversed_after_final_patients"] != "0"
    };
    assert!(reversals.iter().any(|r| patients(&r)));

    assert!(screen.contains("outages and recovery"), "{screen}");
    let page = std::fs::read_to_string(first.join("report.html")).expect("a page");
    assert!(page.contains("Outages and recovery"));
}

#[test]
fn a_run_without_faults_has_no_such_tables() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let file = scratch.path().join("plan.toml");
    std::fs::write(&file, plan("name = \"central\"", "")).expect("writable");
    let (_kept, folder, screen) = results(&["run", file.to_str().expect("UTF-8")]);
    assert!(!folder.join("incidents.csv").exists() && !folder.join("reversals.csv").exists());
    assert!(!screen.contains("outages"), "{screen}");
}
