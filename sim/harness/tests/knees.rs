//! The knee of a curve stands where theory puts it: block space over interval, an uplink over the
//! copies that leave it, a CPU over the executions in turn. Each case is a plan, and its theory is
//! computed here. The arithmetic that is drawn beside curves must give the same.

use quorate::analysis;
use quorate::knee;
use quorate::plan::Source;
use quorate::run;
use quorate::study::Study;

/// Bytes of a transaction: the hospital's, where only hashes go on the ledger.
const BYTES: f64 = 300.0;

/// A plan whose one engine can be limited by one thing only.
struct Case {
    engine: &'static str,
    config: String,
    nodes: u32,
    one_way_ms: f64,
    /// 0 means unlimited.
    uplink_mbps: f64,
    exec_us: u32,
    duration_s: f64,
}

impl Case {
    /// The plan; its loads bracket `theory` widely.
    fn plan(&self, theory: f64) -> String {
        let Self {
            engine,
            config,
            nodes,
            one_way_ms,
            uplink_mbps,
            exec_us,
            duration_s,
        } = self;
        let (low, high) = (0.7 * theory, 1.4 * theory);
        format!(
            r#"name = "case"
kind = "curve"
replications = 2
[network]
nodes = {nodes}
regions = ["here"]
one_way_ms = {one_way_ms}
jitter_permille = 0
uplink_mbps = {uplink_mbps}
downlink_mbps = 0
[node]
sign_us = 0
verify_us = 0
hash_kib_ns = 0
[adversary]
corrupt = 0
[workload]
name = "hospital"
sites = {nodes}
most_patients = 1000
reads_per_write = 0.0
exec_us = {exec_us}
[load]
offered_tps = [{low}, {high}]
duration_s = {duration_s}
drain_s = 600.0
knee_within = 0.02
[[engines]]
name = "{engine}"
config = {{ {config} }}
"#
        )
    }

    /// Asserts that the measured knee, and what arithmetic says limits it, stand at `theory`
    /// transactions a second.
    fn assert_knee(&self, theory: f64, limit: &str) {
        let source = Source::new("case", self.plan(theory));
        let plan = source.plan(&[]).unwrap_or_else(|e| panic!("{e}"));
        let study = Study::open(&source, plan).unwrap_or_else(|e| panic!("{e}"));
        let outcomes = run::run(&study, "cargo test").unwrap_or_else(|e| panic!("{e}"));
        let knee = knee::knee(&outcomes[0], 0);
        let (Some(low), Some(high)) = (knee.carried_tps, knee.lost_tps) else {
            panic!("the loads do not bracket the knee: {knee:?}");
        };
        assert!(high / low < 1.021, "{knee:?} is not narrow");
        let (what, ceiling) = analysis::ceiling(&study.parts[0], 0).expect("something limits it");
        let off = |x: f64| (x / theory - 1.0).abs();
        let said = format!("{knee:?}, theory {theory}, arithmetic {ceiling} by {what}");
        assert!(off(low) < 0.05 && off(high) < 0.05, "{said}");
        assert!(what == limit && off(ceiling) < 0.02, "{said}");
    }
}

/// Blocks of at most 40 transactions, once a second.
#[test]
fn qbft_by_block_space() {
    let case = Case {
        engine: "qbft",
        config: "period_ms = 1000, block_txs = 40".to_owned(),
        nodes: 4,
        one_way_ms: 10.0,
        uplink_mbps: 0.0,
        exec_us: 50,
        duration_s: 1_000.0,
    };
    case.assert_knee(40.0 / 1.0, "block space");
}

/// Blocks of at most 4 transactions, once a second in the mean. That mean has a standard deviation
/// of 0.5 % over so many blocks.
#[test]
fn nakamoto_by_block_space() {
    let case = Case {
        engine: "nakamoto",
        config:
            "block_interval_s = 1.0, retarget_blocks = 0, template_refresh_s = 0, block_txs = 4"
                .to_owned(),
        nodes: 3,
        one_way_ms: 0.1,
        uplink_mbps: 0.0,
        exec_us: 1,
        duration_s: 40_000.0,
    };
    case.assert_knee(4.0 / 1.0, "block space");
}

/// Groups of at most 4, one after the other: written here, sent, written there, acknowledged.
#[test]
fn central_by_group_size() {
    let (fsync_ms, one_way_ms) = (10.0, 0.1);
    let case = Case {
        engine: "central",
        config: format!("fsync_ms = {fsync_ms:.1}, block_txs = 4"),
        nodes: 3,
        one_way_ms,
        uplink_mbps: 0.0,
        exec_us: 1,
        duration_s: 200.0,
    };
    case.assert_knee(4.0 / (2e-3 * (fsync_ms + one_way_ms)), "block space");
}

/// The primary sends each group to the four others over one uplink.
#[test]
fn central_by_uplink() {
    let uplink_mbps = 1.0;
    let case = Case {
        engine: "central",
        config: String::new(),
        nodes: 5,
        one_way_ms: 0.1,
        uplink_mbps,
        exec_us: 1,
        duration_s: 400.0,
    };
    case.assert_knee(
        1e6 * uplink_mbps / (8.0 * BYTES * 4.0),
        "the builder's uplink",
    );
}

/// Leaders change with each block, but the next one needs the votes of eight who have this one: eight
/// copies leave one uplink first, since the proposer's own votes wait behind all eleven.
#[test]
fn qbft_by_uplink() {
    let uplink_mbps = 10.0;
    let case = Case {
        engine: "qbft",
        config: "period_ms = 1000, whole_second_timestamps = false, block_exec_ms = 0".to_owned(),
        nodes: 12,
        one_way_ms: 1.0,
        uplink_mbps,
        exec_us: 1,
        duration_s: 200.0,
    };
    case.assert_knee(
        1e6 * uplink_mbps / (8.0 * BYTES * 8.0),
        "the builder's uplink",
    );
}

/// Only the primary executes, before a group leaves; the standby replays its bytes.
#[test]
fn central_by_execution() {
    let exec_us = 5_000;
    let case = Case {
        engine: "central",
        config: "fsync_ms = 0.1".to_owned(),
        nodes: 3,
        one_way_ms: 0.1,
        uplink_mbps: 0.0,
        exec_us,
        duration_s: 200.0,
    };
    case.assert_knee(1e6 / f64::from(exec_us), "execution");
}

/// The proposer executes its block before the Proposal leaves, the others when they check it, and
/// the next block is built on their votes: each transaction is executed twice, one after the other.
#[test]
fn qbft_by_execution() {
    let exec_us = 2_000;
    let case = Case {
        engine: "qbft",
        config: "period_ms = 1000, whole_second_timestamps = false".to_owned(),
        nodes: 4,
        one_way_ms: 1.0,
        uplink_mbps: 0.0,
        exec_us,
        duration_s: 400.0,
    };
    case.assert_knee(1e6 / (2.0 * f64::from(exec_us)), "execution");
}

/// Blocks of at most 8 in one slot of twenty: two leaders of one slot cost nothing, since one of
/// their blocks grows the chain.
#[test]
fn praos_by_block_space() {
    let (slot_s, active) = (0.1, 0.05);
    let case = Case {
        engine: "praos",
        config: "slot_ms = 100, active_slot_coefficient = 0.05, block_txs = 8".to_owned(),
        nodes: 3,
        one_way_ms: 0.1,
        uplink_mbps: 0.0,
        exec_us: 1,
        duration_s: 40_000.0,
    };
    case.assert_knee(8.0 / (slot_s / active), "block space");
}

/// An elected leader sends each block to the four others, and cuts the next when one is full. A
/// block's header adds 3 %. Blocks are small: those that are on their way for longer than a heartbeat
/// are sent again, which would cost a fifth of the uplink.
#[test]
fn raft_by_uplink() {
    let uplink_mbps = 10.0;
    let case = Case {
        engine: "raft",
        config: "block_txs = 100".to_owned(),
        nodes: 5,
        one_way_ms: 0.1,
        uplink_mbps,
        exec_us: 1,
        duration_s: 100.0,
    };
    case.assert_knee(
        1e6 * uplink_mbps / (8.0 * BYTES * 4.0),
        "the builder's uplink",
    );
}
