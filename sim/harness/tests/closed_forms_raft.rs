//! Raft in the kernel against laws that are known in closed form.
//!
//! Exact rows must match exactly; a statistical row allows four standard errors for its number of
//! samples, or the stated band where the law is itself approximate. Draws are fixed.

use quorate::validate::Case;
use quorate::validate::logged::{self, Note, Reader, What};
use quorate::validate::raft::FAMILY;
use quorate::validate::world::{World, within};
use quorate_consensus::raft::{Config, Header, Raft};
use quorate_core::math::sqrt;
use quorate_core::{Block, Seed, Span, Time};
use quorate_kernel::{Jitter, Status};

const D: Span = Span::from_ms(50);
/// Fabric with writes that take no time.
fn fabric() -> Config {
    Config {
        fsync_ms: 0.0,
        ..Config::default()
    }
}

/// All blocks, with the term.
struct Terms;

impl Reader<Raft> for Terms {
    fn word(block: &Block<Header>) -> Option<u64> {
        Some(u64::from(block.header.term))
    }
}

/// All blocks, with the number of transactions.
struct Sizes;

impl Reader<Raft> for Sizes {
    fn word(block: &Block<Header>) -> Option<u64> {
        Some(u64::from(block.txs))
    }
}

fn built(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Built)
}

/// What a check of the family gets.
#[track_caller]
fn got(check: &str, params: &str) -> f64 {
    FAMILY.got(check, params).expect("a number")
}

/// The rows that take little time.
#[test]
fn the_table_holds() {
    let cases: Vec<Case> = FAMILY.cases().expect("well-formed");
    for case in cases.iter().filter(|c| c.fast && c.id.starts_with("CF-")) {
        let got = FAMILY.got(&case.check, &case.parameters);
        let got = got.expect("a number");
        assert!(
            case.holds(got),
            "{}: {got} is not {}",
            case.id,
            case.expected
        );
    }
}

/// source: counting: n−1 Appends with the block, and as many answers.
#[test]
fn cf_raft_m_messages() {
    for n in [2_u32, 3, 4, 5, 7, 12] {
        let want = f64::from(2 * (n - 1));
        let id = format!("CF-RAFT-m{n}");
        within(&id, got("messages", &format!("n={n}")), want, 0.0);
        // What etcd adds: the commit is said at once, and answered; heartbeats find some more.
        let report = World::new(n, D, Span::from_s(500))
            .offered(0.2, n)
            .run::<Raft>(&fabric());
        let added = report
            .traffic
            .iter()
            .filter(|(k, _)| ["commit", "commit-ack"].contains(k));
        let added: u64 = added.map(|(_, t)| t.messages).sum();
        assert!(added as f64 / report.chain.final_height as f64 >= want);
    }
}

/// source: one round trip to a majority; one more way until the followers know.
#[test]
fn cf_raft_latency() {
    for n in [3, 5, 7] {
        let world = World::new(n, D, Span::from_s(200)).offered(0.5, n);
        let (_, log) = logged::run::<Raft, Terms>(&world, &fabric());
        let mut blocks = 0;
        for block in built(&log) {
            blocks += 1;
            for commit in log
                .iter()
                .filter(|c| c.what == What::Committed && c.block == block.block)
            {
                let ways = if commit.node == block.creator { 2 } else { 3 };
                assert_eq!(commit.at, block.at + D * ways, "{commit:?}");
            }
        }
        assert!(blocks > 40);
        let all = log.iter().filter(|c| c.what == What::Committed).count();
        assert_eq!(all, blocks * n as usize);
    }
    for (n, d, fsync) in [(5, 50.0, 0.0), (3, 7.0, 2.0), (9, 120.0, 11.0)] {
        let params = format!("n={n};d_ms={d};fsync_ms={fsync}");
        // Two writes, one after the other.
        within(
            "CF-LAT-08",
            got("commit_ms", &params),
            2.0 * (d + fsync),
            1e-9,
        );
    }
}

/// source: hyperledger/fabric, `BatchTimeout` 2 s, from the first pending transaction.
#[test]
fn cf_fab_bt_cut_delay() {
    for timeout in [2_000, 350, 9_000] {
        let params = format!("n=3;batch_timeout_ms={timeout}");
        let want = f64::from(timeout) / 1e3;
        within("CF-FAB-bt", got("cut_delay", &params), want, 0.0);
    }
}

/// source: hyperledger/fabric, `MaxMessageCount` 500; by bytes as many as fit into 2 MiB; a
/// transaction that is larger than `PreferredMaxBytes` alone.
#[test]
fn cf_fab_mc_block_sizes() {
    let sizes = |rate: f64, bytes, config: &Config| {
        let mut world = World::new(3, D, Span::from_s(60)).offered(rate, 1);
        world.offered.bytes = bytes;
        let (_, log) = logged::run::<Raft, Sizes>(&world, config);
        let sizes: Vec<u64> = built(&log).skip(1).map(|b| b.word).collect();
        assert!(sizes.len() > 50);
        sizes
    };
    let full = |sizes: &[u64], want| {
        let whole = &sizes[..sizes.len() - 1];
        assert!(whole.iter().all(|&s| s == want), "{sizes:?}");
        assert!(sizes[whole.len()] <= want);
        want as f64
    };
    for (txs, rate) in [(500, 1_000.0), (37, 700.0), (1_200, 2_500.0)] {
        let params = format!("n=3;rate={rate};block_txs={txs}");
        within("CF-FAB-mc", got("block_txs", &params), f64::from(txs), 0.0);
    }
    let bytes = sizes(100.0, 65_000, &fabric());
    // One timer runs across cuts by bytes, so that every other block may be cut early.
    assert!(
        bytes.iter().all(|&s| s <= 2 * 1_024 * 1_024 / 65_000),
        "{bytes:?}"
    );
    assert!(
        bytes.iter().filter(|&&s| s == 32).count() > 100,
        "{bytes:?}"
    );
    let small = Config {
        preferred_bytes: 1_000,
        ..fabric()
    };
    // A cut that stops before its first transaction builds nothing that is sent.
    let alone: Vec<u64> = sizes(5.0, 5_000, &small)
        .into_iter()
        .filter(|&s| s > 0)
        .collect();
    full(&alone, 1);
}

/// source: arithmetic: `max_inflight_blocks` of 500 in a round trip.
#[test]
fn blocks_in_flight_bound_the_rate() {
    for inflight in [1, 2, 5] {
        let config = Config {
            max_inflight_blocks: inflight,
            ..fabric()
        };
        let mut world = World::new(3, Span::from_ms(200), Span::from_s(40)).offered(10_000.0, 1);
        world.setup.drain = Span::ZERO;
        let report = world.run::<Raft>(&config);
        // The first are cut after 2.2 s: two heartbeats, three round trips. 94 more until the end.
        let got = report.conservation.valid as f64;
        within("in flight", got, 94.0 * 500.0 * f64::from(inflight), 0.0);
    }
}

/// Several blocks in flight, messages that overtake each other, slow links, peers, and faults that
/// end: the kernel's safety checker is content, every transaction is final in the end.
#[test]
fn swarm_in_the_kernel() {
    let mut elections = 0;
    for seed in 0..60 {
        let mut d = Seed::new(seed, 0).stream("swarm", 4);
        let n = 3 + d.below(4) as u32;
        let config = Config {
            orderers: if d.chance(0.3) { 3 } else { 0 },
            block_txs: 1 + d.below(60) as u32,
            max_inflight_blocks: 1 + d.below(5) as u32,
            batch_timeout_ms: d.below(500),
            snapshot_bytes: 1 + d.below(400_000),
            pre_vote: d.chance(0.7),
            check_quorum: d.chance(0.7),
            ..Config::default()
        };
        let delay = Span::from_ms(1 + d.below(150));
        let mut world = World::new(n, delay, Span::from_s(60)).seed(seed);
        world = world.offered(5.0 + 40.0 * d.open01(), n);
        world.setup.drain = Span::from_s(200);
        let permille = [0, 200, 1_000][d.below(3) as usize];
        world.setup.network.jitter = Jitter::Exponential { permille };
        let net = &mut world.setup.network;
        net.uplink_bps.fill([0, 10_000_000][d.below(2) as usize]);
        net.downlink_bps.fill([0, 5_000_000][d.below(2) as usize]);
        for _ in 0..d.below(4) {
            let from = Span::from_ms(d.below(50_000));
            let until = from + Span::from_ms(1 + d.below(20_000));
            let node = d.below(u64::from(n)) as u32;
            world = if d.chance(0.5) {
                world.crash(&[node], from, Some(until))
            } else {
                world.partition(&[node], from, until)
            };
        }
        let report = world.run::<Raft>(&config);
        assert_eq!(
            report.status,
            Status::Ok,
            "seed {seed}: {:?}",
            report.violation
        );
        // Else it would have gone on until the end of the drain.
        let ended = report.ended.since(Time::ZERO);
        assert!(ended < Span::from_s(200), "seed {seed}: {ended}");
        elections += report.chain.round_changes;
    }
    assert!(
        elections > 2 * 60,
        "hardly any fault cost a leader: {elections}"
    );
}

// ---- elections ------------------------------------------------------------------------------

/// source: Ongaro's dissertation, leader election: the probability that so many stand within one
/// way of the first that nobody has a majority, timeouts uniform between T and 2T.
#[test]
fn cf_raft_sp_split_votes() {
    let runs = 10_000_u32;
    for (id, n, live, l, want) in [
        ("CF-RAFT-sp32l10", 3, 2, 0.1, 0.19),
        ("CF-RAFT-sp54l5", 5, 4, 0.05, 0.014_018_7),
        ("CF-RAFT-sp54l10", 5, 4, 0.1, 0.052_3),
        ("CF-RAFT-sp53l5", 5, 3, 0.05, 0.142_625),
        ("CF-RAFT-sp98l10", 9, 8, 0.1, 0.005_024_35),
        // Two that must agree split if they stand within one way: 1 − (1 − l)².
        ("two of two", 2, 2, 0.3, 0.51),
        ("two of three", 3, 2, 0.02, 0.039_6),
    ] {
        let params = format!("n={n};s={live};l={l};runs={runs}");
        let band = 4.0 * sqrt(want * (1.0 - want) / f64::from(runs));
        within(id, got("split", &params), want, band);
    }
}

/// source: Ongaro's dissertation, chapter 9: E/T = (1/(1−p))(1 + 1/(s+1) + l) + l − 1/4, where the
/// crash is as long after the last heartbeat's arrival as it is after its departure. The formula
/// counts a split as a whole round; the rows allow it 5 %.
#[test]
fn cf_raft_el_election_times() {
    for (id, n, l, want) in [
        ("CF-RAFT-el54l5", 5, 0.05, 1.067_77),
        ("CF-RAFT-el54l10", 5, 0.1, 1.221_74),
        ("CF-RAFT-el32l5", 3, 0.05, 1.332_78),
    ] {
        let mean = got("election", &format!("n={n};l={l};runs=4000"));
        within(id, mean, want, 0.05 * want);
    }
}

/// source: the least of k uniform whole numbers of ticks from 10 to 19, see the scenario of the same
/// name.
#[test]
fn cf_fab_el_silence() {
    for n in [3, 5, 8] {
        // E = Σ P(all > i), of k followers.
        let k = n - 1;
        let beyond = |i: i32| (0..k).map(|_| 1.0 - f64::from(i) / 10.0).product::<f64>();
        let want = 0.5 * (10.0 + (1..10).map(beyond).sum::<f64>());
        let got = got("silence", &format!("n={n};runs=3000"));
        within("CF-FAB-el", got, want, 4.0 * 1.5 / sqrt(3_000.0));
    }
}
