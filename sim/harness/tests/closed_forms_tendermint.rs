//! Tendermint in the kernel against laws that are known in closed form. Every row is exact, but for
//! the latency of random transactions, which allows four standard errors.

use quorate::validate::Case;
use quorate::validate::logged::{self, All, Note, What};
use quorate::validate::tendermint::FAMILY;
use quorate::validate::world::{World, mean_latency, within};
use quorate_consensus::tendermint::{Config, RoundSkip, Tendermint};
use quorate_core::math::sqrt;
use quorate_core::{Block, Span, Time};
use quorate_kernel::{Jitter, Report, Status};

const D: Span = Span::from_ms(50);
/// One height without faults: the commit timeout and three delays.
const HEIGHT: Span = Span::from_ms(1_150);

fn run(world: &World, config: &Config) -> (Report, Vec<Note>) {
    let (report, log) = logged::run::<Tendermint, All>(world, config);
    assert_eq!(report.status, Status::Ok, "{:?}", report.violation);
    (report, log)
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

fn powers(powers: &[u64]) -> Config {
    Config {
        voting_power: powers.to_vec(),
        ..Config::default()
    }
}

fn commits(log: &[Note]) -> impl Iterator<Item = &Note> {
    log.iter().filter(|n| n.what == What::Committed)
}

/// When a node commits.
fn times(log: &[Note], node: u32) -> Vec<Time> {
    let its = commits(log).filter(|n| n.node.get() == node);
    its.map(|n| n.at).collect()
}

/// Mean seconds between commits at a node.
fn mean_gap(log: &[Note], node: u32, gaps: usize) -> f64 {
    let times = times(log, node);
    times[gaps].since(times[0]).as_s() / gaps as f64
}

/// source: counting: n−1 Proposals, n(n−1) prevotes and n(n−1) precommits.
#[test]
fn cf_tm_m_messages_of_a_height() {
    for n in [1, 2, 3, 4, 5, 7, 10, 21, 100_u32] {
        let want = f64::from((n - 1) * (2 * n + 1));
        let id = format!("CF-TM-m{n}");
        within(&id, got("messages", &format!("n={n}")), want, 0.0);
    }
    let other = "n=6;heights=31;d_ms=7.5;timeout_commit_ms=90";
    within("CF-TM-m6", got("messages", other), 65.0, 0.0);
}

/// source: three message delays after the Proposal, at every validator; then the commit timeout.
#[test]
fn cf_lat_05_commit_and_interval() {
    for n in [4, 7, 10, 21] {
        let world = World::new(n, D, HEIGHT * 20 + D);
        let (_, log) = run(&world, &Config::default());
        let mut at = Time::ZERO;
        let mut blocks = 0;
        for built in log.iter().filter(|n| n.what == What::Built) {
            assert_eq!(built.at, at + Span::from_s(1));
            let there: Vec<&Note> = commits(&log).filter(|c| c.block == built.block).collect();
            assert_eq!(there.len(), n as usize);
            assert!(there.iter().all(|c| c.at == built.at + D * 3), "{there:?}");
            at += HEIGHT;
            blocks += 1;
        }
        assert_eq!(blocks, 20);
        within("CF-LAT-05", mean_gap(&log, 0, 19), 1.15, 1e-12);
    }
    for (n, d, commit) in [
        (2, 3.0, 10),
        (5, 250.0, 5_000),
        (16, 0.5, 1),
        (33, 90.0, 700),
    ] {
        let params = format!("n={n};d_ms={d};timeout_commit_ms={commit}");
        let want = (f64::from(commit) + 3.0 * d) / 1e3;
        within("CF-LAT-05", got("interval", &params), want, 1e-12);
    }
}

/// source: cometbft/cometbft@5bba72c `consensus/state.go`: each of the rounds costs its propose and
/// its precommit timeout and two delays.
#[test]
fn cf_lat_06_crashed_proposers() {
    for (n, r, d) in [
        (10, 1, 50.0),
        (10, 2, 50.0),
        (10, 3, 50.0),
        (4, 1, 120.0),
        (22, 7, 1.0),
    ] {
        // 3 s and 1 s, each half a second more in each round, and two delays.
        let rounds = f64::from(r) * (4.0 + 2.0 * d / 1e3) + f64::from(r * (r - 1)) / 2.0;
        let params = format!("n={n};r={r};d_ms={d}");
        within("CF-LAT-06", got("crashed_run", &params), rounds, 1e-9);
    }
    // Four in a row need at least 13 validators.
    let world = World::new(13, D, Span::from_s(60)).crash(&[0, 1, 2, 3], Span::ZERO, None);
    let (_, log) = run(&world, &Config::default());
    assert_eq!(
        times(&log, 12)[0],
        Time::ZERO + HEIGHT + Span::from_ms(22_400)
    );
}

/// source: every fourth height has the crashed proposer, which costs 4 s and two delays.
#[test]
fn cf_lat_07_one_of_four_crashed() {
    for (n, d) in [(4, 50.0), (4, 100.0), (5, 20.0), (9, 3.0)] {
        let d_s = d / 1e3;
        let want = 1.0 + 3.0 * d_s + (4.0 + 2.0 * d_s) / f64::from(n);
        let params = format!("n={n};d_ms={d}");
        within("CF-LAT-07", got("crashed_interval", &params), want, 1e-9);
    }
}

/// Half an interval until the next block is built and 3d until it commits. At the n−1 of n that are
/// built elsewhere, a transaction arrives one d later.
#[test]
fn transactions_wait_half_an_interval() {
    let rate = 100.0;
    let world = World::new(4, D, Span::from_s(2_000)).offered(rate, 1);
    let (report, _) = run(&world, &Config::default());
    let (mean, _) = mean_latency(&report.probe);
    // Uniform over an interval T: deviation T/√12.
    let band = 4.0 * 1.15 / sqrt(12.0 * rate * 2_000.0);
    within("latency", mean, 1.15 / 2.0 + 0.15 + 0.75 * 0.05, band);
}

/// source: the table of `spec/consensus/proposer-selection.md`.
#[test]
fn cf_tm_prop_turns() {
    let turns = |powers: &str, of: u32| -> Vec<f64> {
        let turn = |run| got("proposer", &format!("powers={powers};run={run}"));
        (1..=of).map(turn).collect()
    };
    assert_eq!(turns("1,3", 8), [2, 1, 2, 2, 2, 1, 2, 2].map(f64::from));
    // Equal powers take turns.
    assert_eq!(turns("5,5,5", 4), [1, 2, 3, 1].map(f64::from));
}

/// A quorum is strictly more than two thirds of the power: ⌊2n/3⌋ + 1 equal validators.
#[test]
fn cf_liveness_bound() {
    let goes_on = |n: u32, config: &Config, down: &[u32]| {
        let world = World::new(n, D, Span::from_s(200)).crash(down, Span::from_s(5), None);
        let (_, log) = run(&world, config);
        let late = Time::ZERO + Span::from_s(6);
        commits(&log).any(|c| c.at > late)
    };
    for n in [4_u32, 6, 7, 9, 10] {
        let most = n - (2 * n / 3 + 1);
        let down: Vec<u32> = (0..=most).collect();
        let config = Config::default();
        assert!(goes_on(n, &config, &down[1..]), "{most} of {n}");
        assert!(!goes_on(n, &config, &down), "{} of {n}", most + 1);
    }
    for (power, down, want) in [
        (vec![10, 1, 1], vec![1, 2], true),
        (vec![8, 2, 2], vec![1, 2], false),
        (vec![9, 2, 2], vec![1, 2], true),
        (vec![4, 1, 1, 1], vec![0], false),
        (vec![4, 1, 1, 1], vec![1, 2], true),
        (vec![5, 4, 3, 2, 1], vec![0], false),
        (vec![5, 4, 3, 2, 1], vec![1], true),
    ] {
        let n = power.len() as u32;
        let got = goes_on(n, &powers(&power), &down);
        assert_eq!(got, want, "{power:?} without {down:?}");
    }
}

/// What nobody waits for changes nothing.
#[test]
fn longer_timeouts_change_nothing_without_faults() {
    let mut world = World::new(10, D, Span::from_s(100)).offered(20.0, 3);
    world.setup.network.jitter = Jitter::Exponential { permille: 300 };
    let log = |config: &Config| run(&world, config).1;
    let base = log(&Config::default());
    assert!(base.len() > 500);
    let other = Config {
        timeout_propose_ms: 20_000,
        timeout_prevote_ms: 7_000,
        timeout_precommit_ms: 9_000,
        nil_precommits_wait: false,
        round_skip: RoundSkip::Third,
        ..Config::default()
    };
    assert_eq!(base, log(&other));
}

/// Everything takes seven times as long, and nothing else changes.
#[test]
fn time_scales() {
    let log = |k: u64| {
        let config = Config {
            timeout_propose_ms: 3_000 * k,
            timeout_propose_delta_ms: 500 * k,
            timeout_prevote_ms: 1_000 * k,
            timeout_prevote_delta_ms: 500 * k,
            timeout_precommit_ms: 1_000 * k,
            timeout_precommit_delta_ms: 500 * k,
            timeout_commit_ms: 1_000 * k,
            ..Config::default()
        };
        let s = |s: u64| Span::from_s(s * k);
        let world = World::new(7, D * k, s(200))
            .crash(&[1], s(20), Some(s(60)))
            .partition(&[0, 1, 2], s(100), s(130));
        run(&world, &config).1
    };
    let (one, seven) = (log(1), log(7));
    assert!(one.len() > 500);
    assert_eq!(one.len(), seven.len());
    for (a, b) in one.iter().zip(&seven) {
        assert_eq!(a.at.ns() * 7, b.at.ns());
        assert_eq!((a.node, a.what, a.height), (b.node, b.what, b.height));
    }
}

/// After a partition or a crash everybody gets to the same height again, and nothing conflicts.
#[test]
fn committees_heal() {
    let s = Span::from_s;
    for n in [4_u32, 7, 12] {
        let half: Vec<u32> = (0..n / 2).collect();
        let all: Vec<u32> = (0..n).collect();
        let base = || World::new(n, D, s(400)).offered(5.0, n);
        for (what, world) in [
            ("no quorum", base().partition(&half, s(20), s(100))),
            ("a minority", base().partition(&[0], s(20), s(100))),
            ("a long crash", base().crash(&[1], s(20), Some(s(200)))),
            ("everybody", base().crash(&all, s(20), Some(s(40)))),
        ] {
            let (report, log) = run(&world, &Config::default());
            let open = |c: &quorate_kernel::probe::ClassCounts| {
                c.submitted - c.valid - c.expired - c.rejected.iter().sum::<u64>()
            };
            let open: u64 = report.probe.classes.iter().map(open).sum();
            assert_eq!(open, 0, "{what}, n = {n}");
            let mut heights = vec![0; n as usize];
            for note in commits(&log) {
                heights[note.node.index()] = note.height;
            }
            let (low, high) = (heights.iter().min(), heights.iter().max());
            assert!(
                high > Some(&150) && low.map(|h| h + 1) >= high.copied(),
                "{what}, n = {n}: {heights:?}"
            );
        }
    }
}

struct Signatures;

impl logged::Reader<Tendermint> for Signatures {
    fn word(block: &Block<quorate_consensus::tendermint::Header>) -> Option<u64> {
        Some(u64::from(block.header.signatures))
    }
}

/// A header has the signatures of all validators if all are up, and otherwise those of a quorum.
#[test]
fn commits_have_the_signatures_that_are_known() {
    for (down, want) in [(vec![], 7), (vec![6], 5)] {
        let world = World::new(7, D, HEIGHT * 5).crash(&down, Span::ZERO, None);
        let config = Config::default();
        let (_, log) = logged::run::<Tendermint, Signatures>(&world, &config);
        let words: Vec<u64> = log
            .iter()
            .filter(|n| n.what == What::Built)
            .map(|n| n.word)
            .collect();
        assert_eq!(words[0], 0);
        assert!(words[1..].iter().all(|w| *w == want), "{words:?}");
    }
}

/// The wait ends with the last precommit, which arrives with the others; with one validator down it
/// does not end early.
#[test]
fn the_commit_timeout_may_end_with_the_last_precommit() {
    let config = Config {
        skip_timeout_commit: true,
        ..Config::default()
    };
    let (_, log) = run(&World::new(4, D, Span::from_s(61)), &config);
    within("3d", mean_gap(&log, 0, 300), 0.15, 1e-12);
    let world = World::new(4, D, Span::from_s(600)).crash(&[2], Span::ZERO, None);
    let (_, log) = run(&world, &config);
    within("CF-LAT-07", mean_gap(&log, 0, 200), 2.175, 1e-12);
}
