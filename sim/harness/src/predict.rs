//! What a run will take, before it starts: arithmetic over the plan, with costs that were measured once.
//!
//! Sizes are meant as upper bounds of what is usual, times as those of one core of a small cloud machine
//! in release. A run that has a time limit learns its own pace, see [`crate::workers`].

use crate::run;
use crate::shard::{self, Deal, Shard};
use crate::study::{Part, Study};
use crate::unit::Key;
use quorate_core::Agreement;
use std::fmt;

/// What a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Units as planned; a search adds to them.
    pub units: usize,
    /// Seconds on one core.
    pub cpu_s: f64,
    /// The longest unit, s: no number of cores is faster.
    pub longest_s: f64,
    /// Memory that is kept to the end, bytes.
    pub kept_bytes: u64,
    /// Memory at the peak, bytes.
    pub peak_bytes: u64,
    /// Journal, bytes.
    pub disk_bytes: u64,
}

impl Prediction {
    /// Of a shard of a study, on so many threads.
    pub fn of(study: &Study, shard: Shard, threads: usize) -> Self {
        let mut tasks = run::first_units(study);
        let deal = Deal::new(study, &tasks, shard.n);
        tasks.retain(|(p, _, key)| deal.shard(*p, *key) == shard);
        let mut sizes: Vec<u64> = Vec::new();
        let (mut cpu_s, mut longest_s, mut kept) = (0.0, 0.0_f64, 0);
        for (p, _, key) in &tasks {
            let part = &study.parts[*p];
            let seconds = work(part, *key);
            cpu_s += seconds;
            longest_s = longest_s.max(seconds);
            sizes.push(unit_bytes(part, *key));
            kept += report_bytes(part, key.engine);
        }
        // Those of several parts are judged together at the end.
        let keeps = shard.is_whole() || shard::is_adaptive(&study.plan);
        let kept_bytes = PROCESS_BYTES + if keeps { kept } else { 0 };
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let running: u64 = sizes.iter().take(threads.max(1)).sum();
        Self {
            units: tasks.len(),
            cpu_s,
            longest_s,
            kept_bytes,
            peak_bytes: kept_bytes + running,
            disk_bytes: kept / STORED,
        }
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} units, about {} of CPU time (the longest {}), {} of memory, {} of journal",
            self.units,
            time(self.cpu_s),
            time(self.longest_s),
            size(self.peak_bytes),
            size(self.disk_bytes)
        )
    }
}

/// A number of bytes in words.
pub fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e6 => format!("{:.0} KB", (bytes / 1e3).max(1.0)),
        ..1e9 => format!("{:.0} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

/// A time in words.
pub fn time(seconds: f64) -> String {
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

/// What every unit takes to set up, s.
// assumption: as measured on built-in plans: memory there is at most 1.25 times what follows, CPU time
// within a factor of five, because what gossip and the search for blocks cost is not looked at.
const SETUP_S: f64 = 1e-3;
/// A write from arrival to final at all sites, s; a read.
const WRITE_S: f64 = 2e-6;
const READ_S: f64 = 0.5e-6;
/// A block at one node, s; a vote from one member at another.
const NODE_BLOCK_S: f64 = 1e-6;
const VOTE_S: f64 = 10e-9;
/// Rounds of votes for a block.
// source: prepare and commit of PBFT's descendants.
const ROUNDS: f64 = 2.0;

/// Seconds that a unit takes on one core. The order of work and the shards follow it.
pub fn work(part: &Part, key: Key) -> f64 {
    let Size {
        writes,
        reads,
        blocks,
        nodes,
        members,
    } = Size::of(part, key);
    let votes = part.sheets[key.engine].facts.agreement == Agreement::CommitteeVote;
    let voted = if votes {
        ROUNDS * members * members
    } else {
        0.0
    };
    SETUP_S + writes * WRITE_S + reads * READ_S + blocks * (nodes * NODE_BLOCK_S + voted * VOTE_S)
}

/// The program with a study and its tables, bytes.
const PROCESS_BYTES: u64 = 35_000_000;
/// A unit with a small network and an empty ledger; a node and its links; a write.
const UNIT_BYTES: f64 = 25e6;
const NODE_BYTES: f64 = 8_000.0;
const WRITE_BYTES: f64 = 200.0;
/// A report; with each class of transactions.
const REPORT_BYTES: u64 = 150_000;
const CLASS_BYTES: u64 = 30_000;
/// How much smaller a report is in a journal.
const STORED: u64 = 8;

/// Bytes that a unit takes at most while it runs.
pub fn unit_bytes(part: &Part, key: Key) -> u64 {
    let size = Size::of(part, key);
    (UNIT_BYTES + size.nodes * NODE_BYTES + size.writes * WRITE_BYTES) as u64
}

/// Bytes of what a unit leaves behind.
fn report_bytes(part: &Part, engine: usize) -> u64 {
    let one = REPORT_BYTES + CLASS_BYTES * part.workload.classes().len() as u64;
    // The public chain's report is within the ledger's.
    let is_anchored = part.plan.engines[engine].name == "anchor";
    if is_anchored { 2 * one } else { one }
}

/// Blocks a second. Who is quicker than this builds them on demand.
// assumption: as Raft and a central server do; chains that build empty blocks are slower.
const ON_DEMAND_S: f64 = 0.2;

fn blocks_per_s(interval_s: f64, writes_per_s: f64) -> f64 {
    let most = 1.0 / interval_s.max(1e-6);
    if interval_s < ON_DEMAND_S {
        most.min(writes_per_s)
    } else {
        most
    }
}

/// How much a unit simulates.
struct Size {
    writes: f64,
    reads: f64,
    blocks: f64,
    nodes: f64,
    members: f64,
}

impl Size {
    fn of(part: &Part, key: Key) -> Self {
        let sheet = &part.sheets[key.engine];
        let span = part.workload.span_s(&part.plan, key);
        let (writes, reads) = part.workload.per_s(key.offered_tps);
        Self {
            writes: span * writes,
            reads: span * reads,
            blocks: span * blocks_per_s(sheet.promises.interval.as_s(), writes),
            nodes: f64::from(part.plan.network.nodes),
            members: sheet.committee.len() as f64,
        }
    }
}
