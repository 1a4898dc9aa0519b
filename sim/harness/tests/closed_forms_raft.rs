//! Raft in the kernel against laws that are known in closed form.
//!
//! Exact rows must match exactly; a statistical row allows four standard errors for its number of
//! samples, or the stated band where the law is itself approximate. Draws are fixed.

use quorate::validate::logged::{self, Note, Reader, What};
use quorate::validate::world::{World, within};
use quorate_consensus::Presets;
use quorate_consensus::raft::{Config, Header, Raft};
use quorate_core::math::sqrt;
use quorate_core::{Block, Draws, Level, NodeId, Seed, Span, Time};
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

/// source: counting: n−1 Appends with the block, and as many answers.
#[test]
fn cf_raft_m_messages() {
    for (id, n) in [("CF-RAFT-m3", 3_u32), ("CF-RAFT-m5", 5), ("CF-RAFT-m7", 7)] {
        let world = World::new(n, D, Span::from_s(500)).offered(0.2, n);
        let report = world.run::<Raft>(&fabric());
        let blocks = report.chain.final_height as f64;
        assert!(blocks > 50.0);
        let of = |kinds: [&str; 2]| {
            let fits = report.traffic.iter().filter(|(k, _)| kinds.contains(k));
            fits.map(|(_, t)| t.messages).sum::<u64>() as f64
        };
        let want = f64::from(2 * (n - 1));
        within(id, of(["append", "ack"]) / blocks, want, 0.0);
        // What etcd adds: the commit is said at once, and answered; heartbeats find some more.
        assert!(of(["commit", "commit-ack"]) / blocks >= want);
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
}

/// source: hyperledger/fabric, `BatchTimeout` 2 s, from the first pending transaction.
#[test]
fn cf_fab_bt_cut_delay() {
    let world = World::new(3, D, Span::from_s(20_000)).offered(0.01, 1);
    let (report, log) = logged::run::<Raft, Sizes>(&world, &fabric());
    let latency = &report.probe.classes[0].latency[Level::Final as usize];
    // Two ways lie behind the cut.
    for value in [latency.value_at_quantile(0.5), latency.max()] {
        // Three digits are kept.
        within("CF-FAB-bt", value as f64 / 1e6 - 0.1, 2.0, 0.002);
    }
    let alone = built(&log).filter(|b| b.word == 1).count();
    assert!(alone > 150);
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
    let count = sizes(1_000.0, 250, &fabric());
    within("CF-FAB-mc", full(&count, 500), 500.0, 0.0);
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

/// The least election timeout of the preset.
const T: Span = Span::from_ms(150);

fn paper() -> Config {
    Config {
        fsync_ms: 0.0,
        ..Config::preset("paper").expect("it is listed")
    }
}

/// Whether the first election of `live` of `n` nodes, whose timeouts begin at once, has no winner.
fn splits(n: u32, live: u32, delay: Span, seed: u64) -> bool {
    let down: Vec<u32> = (live..n).collect();
    let mut world = World::new(n, delay, T * 2 + delay * 3).seed(seed);
    if !down.is_empty() {
        world = world.crash(&down, Span::ZERO, None);
    }
    let (_, log) = logged::run::<Raft, Terms>(&world, &paper());
    !built(&log).any(|b| b.word == 1)
}

/// source: Ongaro's dissertation, leader election: the probability that so many stand within one
/// way of the first that nobody has a majority, timeouts uniform between T and 2T.
#[test]
fn cf_raft_sp_split_votes() {
    let runs = 10_000;
    for (id, n, live, permille, want) in [
        ("CF-RAFT-sp32l10", 3, 2, 100, 0.19),
        ("CF-RAFT-sp54l5", 5, 4, 50, 0.014_018_7),
        ("CF-RAFT-sp54l10", 5, 4, 100, 0.052_3),
        ("CF-RAFT-sp53l5", 5, 3, 50, 0.142_625),
        ("CF-RAFT-sp98l10", 9, 8, 100, 0.005_024_35),
    ] {
        let delay = T.scale(permille, 1_000);
        let split = (0..runs)
            .filter(|&seed| splits(n, live, delay, seed))
            .count();
        let band = 4.0 * sqrt(want * (1.0 - want) / runs as f64);
        within(id, split as f64 / runs as f64, want, band);
    }
}

/// Time from the crash of a leader, at a random instant between two heartbeats, to the next leader,
/// less the way of a heartbeat; in units of T. `None` if another than node 0 led.
fn election(n: u32, delay: Span, seed: u64) -> Option<f64> {
    let config = Config {
        campaign_at_start: true,
        ..paper()
    };
    let mut draws: Draws = Seed::new(seed, 0).stream("crash", 0);
    let crash = T * 10 + Span::from_ns(draws.below(T.ns() / 2));
    let world = World::new(n, delay, T * 40)
        .seed(seed)
        .crash(&[0], crash, None);
    let (_, log) = logged::run::<Raft, Terms>(&world, &config);
    let at = Time::ZERO + crash;
    let before = built(&log).filter(|b| b.at <= at).last()?;
    if before.creator != NodeId::new(0) {
        return None;
    }
    let next = built(&log)
        .find(|b| b.at > at)
        .expect("somebody is elected");
    Some((next.at.since(at).as_s() - delay.as_s()) / T.as_s())
}

/// source: Ongaro's dissertation, chapter 9: E/T = (1/(1−p))(1 + 1/(s+1) + l) + l − 1/4, where the
/// crash is as long after the last heartbeat's arrival as it is after its departure. The formula
/// counts a split as a whole round; the rows allow it 5 %.
#[test]
fn cf_raft_el_election_times() {
    for (id, n, permille, want) in [
        ("CF-RAFT-el54l5", 5, 50, 1.067_77),
        ("CF-RAFT-el54l10", 5, 100, 1.221_74),
        ("CF-RAFT-el32l5", 3, 50, 1.332_78),
    ] {
        let delay = T.scale(permille, 1_000);
        let times: Vec<f64> = (0..4_000)
            .filter_map(|seed| election(n, delay, seed))
            .collect();
        assert!(times.len() > 2_000);
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        within(id, mean, want, 0.05 * want);
    }
}
