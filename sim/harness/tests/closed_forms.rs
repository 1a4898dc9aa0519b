//! Real engines in the kernel against laws that are known in closed form.
//!
//! Exact rows must match exactly. A statistical row allows four standard errors for its number of
//! samples, and where the law is itself a first-order model, the stated share of the value on top.
//! Draws are fixed: a row that fails, fails always, and then something is wrong.

use quorate::validate::logged::{self, All, Note, What};
use quorate::validate::world::{World, mean_latency, moments, within};
use quorate_consensus::nakamoto::{self, Nakamoto, Refresh, RelayRule};
use quorate_consensus::qbft::{self, Qbft};
use quorate_core::math::sqrt;
use quorate_core::{Engine, Span, Time};
use quorate_kernel::probe::{ClassCounts, SLICES};
use quorate_kernel::{Jitter, Report, Status};

const T: f64 = 600.0;

// ---- proof of work -------------------------------------------------------------------------
//
// What is in tables is in `src/validate/work.rs`, and drawn anew in `laws_work.rs`.

/// Fixed difficulty, transactions chosen when a block is found, no limits.
fn mining(interval_s: f64) -> nakamoto::Config {
    nakamoto::Config {
        block_interval_s: interval_s,
        retarget_blocks: 0,
        relay: RelayRule::Inv,
        template_refresh_s: Refresh::AtFind,
        block_bytes: u64::MAX,
        ..nakamoto::Config::default()
    }
}

/// `blocks` intervals of `interval_s`.
fn lasting(blocks: u64, interval_s: f64) -> Span {
    Span::from_s_f64(blocks as f64 * interval_s)
}

/// Results depend on ratios of times only: everything seven times as long gives the same events in
/// the same order. Mined times are rounded down to the nanosecond, which seven times a block adds
/// up to.
#[test]
fn cf_stale_11_seven_times_slower_is_the_same() {
    for relay in [
        RelayRule::Inv,
        RelayRule::Compact,
        RelayRule::Push,
        RelayRule::Direct,
    ] {
        let run = |c: u64| {
            let mut config = mining(12.0 * c as f64);
            config.relay = relay;
            let world =
                World::new(20, Span::from_ms(700 * c), lasting(3_000, 12.0 * c as f64)).depth(1, 6);
            logged::run::<Nakamoto, All>(&world, &config)
        };
        let ((fast, fast_log), (slow, slow_log)) = (run(1), run(7));
        assert_eq!(fast.chain.built, slow.chain.built);
        assert_eq!(fast.chain.reorgs, slow.chain.reorgs);
        assert_eq!(fast.traffic, slow.traffic);
        assert!(
            fast.chain.built > fast.chain.height + 100,
            "forks are what may differ"
        );
        assert_eq!(fast_log.len(), slow_log.len());
        for (a, b) in fast_log.iter().zip(&slow_log) {
            let same = |n: &Note| (n.node, n.what, n.block, n.height, n.creator);
            assert_eq!(same(a), same(b));
            let drift = (7 * a.at.ns()).abs_diff(b.at.ns());
            assert!(drift <= 7 * u64::from(a.height), "{a:?} {b:?}");
        }
    }
}

/// The same for a committee, to the nanosecond, with faults and round changes.
#[test]
fn cf_stale_11_holds_for_a_committee() {
    let run = |c: u64| {
        let config = qbft::Config {
            period_ms: 1_000 * c,
            request_timeout_ms: 2_000 * c,
            whole_second_timestamps: false,
            ..qbft::Config::default()
        };
        let s = |s: u64| Span::from_ms(100 * s * c);
        let world = World::new(7, Span::from_ms(30 * c), s(600))
            .crash(&[1, 2], s(50), Some(s(250)))
            .partition(&[3, 4, 5], s(300), s(350));
        logged::run::<Qbft, All>(&world, &config)
    };
    let ((fast, fast_log), (slow, slow_log)) = (run(1), run(7));
    assert!(fast.chain.round_changes > 0 && fast.chain.height > 20);
    assert_eq!(fast.traffic, slow.traffic);
    let scaled: Vec<Note> = fast_log
        .iter()
        .map(|n| Note {
            at: Time::from_ns(7 * n.at.ns()),
            ..*n
        })
        .collect();
    assert_eq!(scaled, slow_log);
}

// ---- committees ----------------------------------------------------------------------------

const D: Span = Span::from_ms(50);

fn committee(period_ms: u64, timeout_ms: u64) -> qbft::Config {
    qbft::Config {
        period_ms,
        request_timeout_ms: timeout_ms,
        whole_second_timestamps: false,
        block_exec_ms: 0,
        ..qbft::Config::default()
    }
}

fn commits(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Committed)
}

/// source: counting: n−1 Proposals, n(n−1) Prepares and n(n−1) Commits.
#[test]
fn cf_bft_m_messages_and_cf_qb_y21_bytes() {
    for n in [1, 4, 7, 10, 13, 21, 31, 100_u32] {
        let world = World::new(n, D, Span::from_ms(10_900));
        let report = world.run::<Qbft>(&committee(1_000, 2_000));
        assert_eq!(report.chain.final_height, 10);
        let messages: u64 = report.traffic.iter().map(|(_, t)| t.messages).sum();
        let want = u64::from((n - 1) * (2 * n + 1));
        within("CF-BFT-m", messages as f64 / 10.0, want as f64, 0.0);
        if n == 21 {
            let votes = report
                .traffic
                .iter()
                .filter(|(kind, _)| ["prepare", "commit"].contains(kind));
            let bytes: u64 = votes.map(|(_, t)| t.bytes).sum();
            within("CF-QB-y21", bytes as f64 / 10.0, 119_280.0, 0.0);
        }
    }
}

/// source: three message delays after the Proposal, at every validator; the block timer is absolute.
#[test]
fn cf_lat_01_02_commit_and_interval() {
    for n in [4, 7, 10, 21] {
        let world = World::new(n, D, Span::from_ms(20_900));
        let (_, log) = logged::run::<Qbft, All>(&world, &committee(1_000, 2_000));
        let mut blocks = 0;
        for built in log.iter().filter(|n| n.what == What::Built) {
            blocks += 1;
            assert_eq!(built.at, Time::ZERO + Span::from_s(u64::from(built.height)));
            let there: Vec<&Note> = commits(&log).filter(|c| c.block == built.block).collect();
            assert_eq!(there.len(), n as usize);
            assert!(there.iter().all(|c| c.at == built.at + D * 3), "{there:?}");
        }
        assert_eq!(blocks, 20);
    }
}

/// source: P/2 until the next block and 3d until it commits. The builder changes every block: at the
/// n−1 of n that are built elsewhere, a transaction arrives one d later.
#[test]
fn cf_lat_03_transactions() {
    let rate = 100.0;
    let world = World::new(4, D, Span::from_s(2_000)).offered(rate, 1);
    let report = world.run::<Qbft>(&committee(1_000, 2_000));
    let (mean, _) = mean_latency(&report.probe);
    // Uniform over a period: deviation P/√12.
    let band = 4.0 / sqrt(12.0 * rate * 2_000.0);
    within("CF-LAT-03", mean, 0.5 + 0.15 + 0.75 * 0.05, band);
    // With an outlier's chance at one node only, the proposer's own: exactly P/2 + 3d.
    let alone = World::new(1, D, Span::from_s(2_000)).offered(rate, 1);
    let report = alone.run::<Qbft>(&committee(1_000, 2_000));
    let (mean, _) = mean_latency(&report.probe);
    within("CF-LAT-03 n=1", mean, 0.5, band);
}

/// source: hyperledger/besu `RoundTimer`: round r lasts T·2^r; a round change takes one delay and the
/// three phases three.
#[test]
fn cf_lat_04_crashed_proposers() {
    for (n, t, r) in [
        (7, 1_u64, 1),
        (7, 1, 2),
        (10, 1, 3),
        (7, 2, 1),
        (7, 10, 2_u32),
    ] {
        let down: Vec<u32> = (0..r).collect();
        let world = World::new(n, D, Span::from_s(60)).crash(&down, Span::ZERO, None);
        let (_, log) = logged::run::<Qbft, All>(&world, &committee(1_000, 1_000 * t));
        let rounds = Span::from_s(t * ((1_u64 << r) - 1));
        let want = Time::ZERO + Span::from_s(1) + rounds + D * 4;
        let first: Vec<&Note> = commits(&log).filter(|c| c.height == 1).collect();
        assert_eq!(first.len(), (n - r) as usize);
        assert!(
            first.iter().all(|c| c.at == want),
            "n = {n}, T = {t}, r = {r}: {first:?}"
        );
    }
}

/// source: hyperledger/besu `BftHelpers`: a quorum is ⌈2n/3⌉, so that n − ⌈2n/3⌉ may be down.
#[test]
fn cf_safe_5_and_cf_bft_c_liveness_bound() {
    for n in [4, 6, 7, 9, 10_u32] {
        let most = n - (2 * n).div_ceil(3);
        for down in [most, most + 1] {
            let nodes: Vec<u32> = (0..down).collect();
            let world = World::new(n, D, Span::from_s(120)).crash(&nodes, Span::from_s(5), None);
            let (report, log) = logged::run::<Qbft, All>(&world, &committee(1_000, 2_000));
            assert_eq!(report.status, Status::Ok);
            let later = commits(&log)
                .filter(|c| c.at > Time::ZERO + Span::from_s(6))
                .count();
            assert_eq!(
                later > 0,
                down == most,
                "{down} of {n} are down: {later} commits"
            );
        }
    }
}

/// A longer timeout changes nothing when nobody waits for it.
#[test]
fn a_longer_timeout_changes_nothing_without_faults() {
    let run = |timeout| {
        let mut world = World::new(10, D, Span::from_s(100)).offered(20.0, 3);
        world.setup.network.jitter = Jitter::Exponential { permille: 300 };
        logged::run::<Qbft, All>(&world, &committee(1_000, timeout)).1
    };
    assert_eq!(run(1_000), run(60_000));
}

/// Measured transactions that never became final.
fn unfinished(report: &Report) -> u64 {
    let open = |c: &ClassCounts| c.submitted - c.valid - c.expired - c.rejected.iter().sum::<u64>();
    report.probe.classes.iter().map(open).sum()
}

fn heights(log: &[Note], n: usize) -> Vec<u32> {
    let mut heights = vec![0; n];
    for note in log.iter().filter(|n| n.what != What::Built) {
        heights[note.node.index()] = note.height;
    }
    heights
}

/// After a partition or a crash everybody gets to the same height again, and nothing conflicts.
#[test]
fn committees_heal() {
    let s = Span::from_s;
    for n in [4_u32, 7, 12] {
        let half: Vec<u32> = (0..n / 2).collect();
        let base = || World::new(n, D, s(300)).offered(5.0, n);
        for (what, world) in [
            ("no quorum", base().partition(&half, s(20), s(100))),
            ("a minority", base().partition(&[0], s(20), s(100))),
            ("an hour's work", base().crash(&[1], s(20), Some(s(200)))),
            (
                "everybody",
                base().crash(&(0..n).collect::<Vec<_>>(), s(20), Some(s(40))),
            ),
        ] {
            let (report, log) = logged::run::<Qbft, All>(&world, &committee(1_000, 2_000));
            assert_eq!(report.status, Status::Ok, "{what}: {:?}", report.violation);
            assert_eq!(unfinished(&report), 0, "{what}");
            let heights = heights(&log, n as usize);
            let (low, high) = (heights.iter().min(), heights.iter().max());
            assert!(
                high > Some(&150) && low.map(|h| h + 1) >= high.copied(),
                "{what}: {heights:?}"
            );
        }
    }
}

/// The same for chains: the lighter side of a partition gives way, however long it lasted.
#[test]
fn chains_heal() {
    let s = Span::from_s;
    for relay in [RelayRule::Inv, RelayRule::Compact, RelayRule::Push] {
        let mut config = mining(2.0);
        config.relay = relay;
        for n in [4_u32, 9] {
            let base = || {
                World::new(n, Span::from_ms(20), s(1_500))
                    .depth(1, 6)
                    .offered(1.0, n)
            };
            for (what, world) in [
                ("short", base().partition(&[0], s(100), s(105))),
                ("long", base().partition(&[0], s(100), s(900))),
                ("even", base().partition(&[0, 1], s(100), s(900))),
                ("crash", base().crash(&[0, 1], s(100), Some(s(900)))),
            ] {
                let (report, log) = logged::run::<Nakamoto, All>(&world, &config);
                assert_eq!(report.status, Status::Ok);
                assert_eq!(unfinished(&report), 0, "{relay:?} {what}");
                let heights = heights(&log, n as usize);
                let (low, high) = (heights.iter().min(), heights.iter().max());
                assert!(
                    low.map(|h| h + 2) >= high.copied(),
                    "{relay:?} {what}: {heights:?}"
                );
                assert_eq!(
                    report.chain.reversed_blocks > 0,
                    ["long", "even"].contains(&what)
                );
                // The first block that the others find afterwards is enough to catch up with.
                let healed = world.setup.faults[0].until;
                let first = |n: &&Note| n.what == What::Built && n.at > healed && n.node.get() > 1;
                let first = log.iter().find(first).expect("a block");
                let soon = |n: &&Note| n.at < first.at + s(1) && n.node.get() == 0;
                let head = |n: &Note| n.what == What::Adopted;
                let reached = log.iter().filter(soon).rfind(|n| head(n)).map(|n| n.height);
                assert!(
                    reached >= Some(first.height),
                    "{relay:?} {what}: {reached:?} and {first:?}"
                );
            }
        }
    }
}

// ---- waiting for a block -------------------------------------------------------------------

/// Little's law: the mean number that wait is the rate times the mean wait. The backlog is sampled
/// at the ends of slices of four blocks each.
#[test]
fn littles_law() {
    let (lambda, runs) = (4.0 / T, 400);
    let (mut backlog, mut waits) = (Vec::new(), Vec::new());
    for seed in 0..runs {
        let world = World::new(1, Span::ZERO, lasting(4 * SLICES as u64, T))
            .depth(1, 1)
            .offered(lambda, 1)
            .seed(seed);
        let report = world.run::<Nakamoto>(&mining(T));
        backlog.push(report.probe.backlog.iter().sum::<u64>() as f64 / SLICES as f64);
        waits.push(mean_latency(&report.probe).0);
    }
    let ((got, sd), (wait, _)) = (moments(&backlog), moments(&waits));
    let band = 4.0 * sd / sqrt(runs as f64);
    within("Little", got, lambda * wait, band);
    assert!(band < 0.012 * got);
}

/// Nothing is lost or counted twice, whatever goes wrong.
#[test]
fn cf_safe_3_transactions_are_conserved() {
    let s = Span::from_s;
    let mut world = World::new(4, D, s(100))
        .offered(30.0, 4)
        .partition(&[0, 1], s(20), s(40))
        .crash(&[2], s(50), Some(s(70)))
        .crash(&[3], s(80), None);
    world.register = true;
    world.offered.watched = 100;
    world.offered.expiry = Some(s(10));
    world.setup.drain = s(60);
    let check = |report: &Report| {
        let c = report.conservation;
        assert_ne!(report.status, Status::SafetyViolation);
        assert!(
            c.valid > 0 && c.rejected > 0 && c.expired > 0 && c.pending > 0,
            "{c:?}"
        );
        assert_eq!(c.submitted, c.valid + c.rejected + c.expired + c.pending);
    };
    check(&world.run::<Qbft>(&committee(1_000, 2_000)));
    check(&world.clone().depth(2, 6).run::<Nakamoto>(&mining(2.0)));
}

/// CF-SAFE-2.
#[test]
fn cf_safe_2_runs_repeat() {
    let mut world = World::new(7, D, Span::from_s(100)).offered(30.0, 4);
    world.setup.network.jitter = Jitter::Exponential { permille: 200 };
    let run = || world.run::<Qbft>(&committee(500, 1_000)).digest;
    assert_eq!(run(), run());
    assert!(Qbft::validate(&committee(500, 1_000), 7).is_ok());
}
