//! The fault schedule with real engines: what each kind does, that everybody catches up after it,
//! and that what never happens changes nothing.

use quorate::validate::logged::{self, All, Note, What};
use quorate::validate::world::{Offered, World};
use quorate_consensus::central::{self, Central};
use quorate_consensus::nakamoto::{self, Nakamoto, Validation};
use quorate_consensus::praos::{self, Praos};
use quorate_consensus::qbft::{self, Qbft};
use quorate_consensus::raft::{self, Raft};
use quorate_consensus::tendermint::{self, Tendermint};
use quorate_core::{Engine, Fault, FaultKind, NodeId, Span, Time};
use quorate_kernel::{Report, Status};

fn s(s: u64) -> Span {
    Span::from_s(s)
}

fn ms(ms: u64) -> Span {
    Span::from_ms(ms)
}

fn t(seconds: u64) -> Time {
    Time::ZERO + s(seconds)
}

fn window(from: u64, until: u64, what: FaultKind) -> Fault {
    Fault {
        from: t(from),
        until: t(until),
        what,
    }
}

/// Five nodes 10 ms apart, of which each has a site, for two minutes.
fn five() -> World {
    let mut world = World::new(5, ms(10), s(120)).offered(5.0, 5);
    world.setup.drain = s(120);
    world
}

/// The same where blocks are final under six.
fn deep() -> World {
    five().depth(1, 6)
}

fn qbft() -> qbft::Config {
    qbft::Config {
        whole_second_timestamps: false,
        ..qbft::Config::default()
    }
}

fn mining() -> nakamoto::Config {
    nakamoto::Config {
        block_interval_s: 2.0,
        retarget_blocks: 0,
        ..nakamoto::Config::default()
    }
}

fn staking() -> praos::Config {
    praos::Config {
        active_slot_coefficient: 0.3,
        ..praos::Config::default()
    }
}

/// The highest head of some nodes up to an instant.
fn head(log: &[Note], at: Time, of: impl Fn(u32) -> bool) -> u32 {
    let heads = log
        .iter()
        .filter(|n| n.what == What::Adopted && n.at <= at && of(n.node.get()));
    heads.map(|n| n.height).max().unwrap_or(0)
}

fn unfinished(report: &Report) -> u64 {
    let classes = report.probe.classes.iter();
    classes
        .map(|c| c.submitted - c.valid - c.expired - c.rejected.iter().sum::<u64>())
        .sum()
}

// ---- crash and restart ---------------------------------------------------------------------

/// A node is down for 40 s while the others go on. Soon after it is back it has all that they had
/// then, and in the end every transaction is final at its own site, among them those of this node.
fn catches_up<E: Engine>(world: &World, config: &E::Config, node: u32, soon: Span) {
    let name = format!("{} {node}", std::any::type_name::<E>());
    let world = world.clone().crash(&[node], s(30), Some(s(70)));
    let (report, log) = logged::run::<E, All>(&world, config);
    assert_eq!(report.status, Status::Ok, "{name}: {:?}", report.violation);
    let before = head(&log, t(30), |n| n == node);
    let others = head(&log, t(70), |n| n != node);
    assert!(others >= before + 5, "{name}: only {before} to {others}");
    let own = |at| head(&log, at, |n| n == node);
    assert!(own(t(70)) < others, "{name} was down");
    let caught_up = own(t(70) + soon);
    assert!(caught_up >= others, "{name}: {caught_up} of {others}");
    assert_eq!(unfinished(&report), 0, "{name}");
    // And everywhere else, but for some of the last blocks: 200 were submitted in these 40 s.
    let submitted: u64 = report.probe.classes.iter().map(|c| c.submitted).sum();
    let everywhere = report.probe.all_final.len();
    assert!(
        everywhere + 30 > submitted,
        "{name}: {everywhere} of {submitted}"
    );
}

#[test]
fn a_restarted_node_catches_up_whatever_the_engine() {
    for node in [0, 3] {
        catches_up::<Qbft>(&five(), &qbft(), node, s(2));
        // Who still lacks something asks another peer three seconds later.
        catches_up::<Tendermint>(&five(), &tendermint::Config::default(), node, s(4));
        catches_up::<Raft>(&five(), &raft::Config::default(), node, s(2));
        catches_up::<Central>(&five(), &central::Config::default(), node, s(2));
        catches_up::<Nakamoto>(&deep(), &mining(), node, s(2));
        catches_up::<Praos>(&deep(), &staking(), node, s(2));
    }
}

// ---- links ---------------------------------------------------------------------------------

/// When a node commits each height.
fn commits(log: &[Note], node: u32) -> Vec<(u32, Time)> {
    let own = log
        .iter()
        .filter(|n| n.what == What::Committed && n.node == NodeId::new(node));
    own.map(|n| (n.height, n.at)).collect()
}

fn commits_in(log: &[Note], node: u32, from: u64, until: u64) -> usize {
    let within = |at: Time| t(from) <= at && at < t(until);
    commits(log, node).iter().filter(|c| within(c.1)).count()
}

#[test]
fn a_mute_node_follows_and_a_deaf_one_does_not() {
    let world = |from: &[u32], to: &[u32]| {
        let (from, to) = (from.to_vec(), to.to_vec());
        five().fault(window(30, 60, FaultKind::OneWay { from, to }))
    };
    let others = [0, 1, 2, 4];
    let (mute, log) = logged::run::<Qbft, All>(&world(&[3], &others), &qbft());
    assert!(mute.lost > 0 && mute.chain.round_changes > 0);
    assert!(commits_in(&log, 3, 31, 60) >= commits_in(&log, 0, 31, 60) - 1);
    let (deaf, log) = logged::run::<Qbft, All>(&world(&others, &[3]), &qbft());
    assert!(deaf.lost > 0);
    assert!(commits_in(&log, 0, 31, 60) > 10);
    assert_eq!(commits_in(&log, 3, 31, 60), 0);
    assert!(head(&log, t(65), |n| n == 3) + 1 >= head(&log, t(65), |n| n == 0));
    assert_eq!((unfinished(&mute), unfinished(&deaf)), (0, 0));
}

/// A leader whom nobody hears is replaced: its followers miss its heartbeats.
#[test]
fn a_raft_leader_that_is_mute_is_replaced() {
    let (_, log) = logged::run::<Raft, All>(&five(), &raft::Config::default());
    let built = |n: &&Note| n.what == What::Built;
    let last = log.iter().filter(built).rfind(|n| n.at < t(30));
    let leader = last.expect("a block").creator.get();
    let mute = FaultKind::OneWay {
        from: vec![leader],
        to: (0..5).filter(|&n| n != leader).collect(),
    };
    let world = five().fault(window(30, 90, mute));
    let (report, log) = logged::run::<Raft, All>(&world, &raft::Config::default());
    assert_eq!(report.status, Status::Ok);
    let others = log.iter().filter(built);
    let others = others.filter(|n| t(30) < n.at && n.at < t(60) && n.creator.get() != leader);
    assert!(others.count() > 5);
    assert!(commits_in(&log, (leader + 1) % 5, 45, 90) > 15);
    assert_eq!(unfinished(&report), 0);
}

/// Three of five that are cut off together are a majority; each alone they are nothing.
#[test]
fn a_wide_area_network_is_lost_by_each_site_alone() {
    let cut = |what: fn(Vec<u32>) -> FaultKind| {
        let world = five().fault(window(30, 60, what(vec![0, 1, 2])));
        logged::run::<Raft, All>(&world, &raft::Config::default())
    };
    let (report, log) = cut(FaultKind::Partition);
    assert!(commits_in(&log, 0, 45, 60) > 3);
    assert_eq!(unfinished(&report), 0);
    let (report, log) = cut(FaultKind::WanCut);
    for node in 0..5 {
        // One already on its way.
        assert_eq!(commits_in(&log, node, 31, 60), 0, "{node}");
        assert!(commits_in(&log, node, 60, 75) > 3, "{node}");
    }
    assert_eq!(unfinished(&report), 0);
}

#[test]
fn what_is_clogged_comes_at_the_end_and_nothing_is_lost() {
    let clog = |delay| FaultKind::Clog {
        nodes: vec![3],
        delay,
    };
    let world = five().fault(window(30, 60, clog(None)));
    let (report, log) = logged::run::<Qbft, All>(&world, &qbft());
    assert_eq!((report.lost, unfinished(&report)), (0, 0));
    assert!(commits_in(&log, 0, 31, 60) > 10);
    assert_eq!(commits_in(&log, 3, 31, 60), 0);
    // All that waited crosses at once: proposals and votes of all heights, which decide them.
    let missed = head(&log, t(60), |n| n != 3);
    assert!(head(&log, t(60) + ms(50), |n| n == 3) + 1 >= missed);
}

/// Every message to the node is late by as much, so its commits are too.
#[test]
fn a_delay_at_a_clogged_node_is_exact() {
    let clog = FaultKind::Clog {
        nodes: vec![3],
        delay: Some(ms(100)),
    };
    let world = five().fault(window(0, 1_000, clog));
    let (_, log) = logged::run::<Qbft, All>(&world, &qbft());
    let of = |node| commits(&log, node);
    let led = |height| {
        let built = log
            .iter()
            .find(|n| n.what == What::Built && n.height == height);
        built.expect("it was built").creator
    };
    let mut compared = 0;
    for ((height, at), (same, late)) in of(0).into_iter().zip(of(3)) {
        assert_eq!(height, same);
        if led(height) != NodeId::new(3) {
            assert_eq!(late.since(at), ms(100), "{height}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

/// Lost packets are sent again: nothing is lost for good, and who is hit is late while it lasts.
#[test]
fn a_burst_of_loss_delays_and_loses_nothing() {
    let burst = FaultKind::Loss {
        nodes: vec![3],
        ppm: 300_000,
    };
    let world = five().fault(window(30, 60, burst));
    let (report, log) = logged::run::<Tendermint, All>(&world, &tendermint::Config::default());
    assert_eq!((report.lost, unfinished(&report)), (0, 0));
    let late = |from, until| {
        let pairs = commits(&log, 0).into_iter().zip(commits(&log, 3));
        let within = pairs.filter(|(c, _)| t(from) <= c.1 && c.1 < t(until));
        let late: Vec<u64> = within
            .map(|(a, b)| b.1.saturating_since(a.1).ns() / 1_000_000)
            .collect();
        late.iter().sum::<u64>() / late.len() as u64
    };
    assert_eq!(late(5, 29), 0);
    assert!(late(31, 55) > 20, "{} ms", late(31, 55));
    assert_eq!(late(70, 110), 0);
}

// ---- nodes ---------------------------------------------------------------------------------

#[test]
fn slow_cores_are_busy_for_longer() {
    let mut world = deep();
    world.offered = Offered {
        exec_us: 2_000,
        ..world.offered
    };
    let slow = FaultKind::Slow {
        nodes: vec![3],
        permille: 250,
    };
    let world = world.fault(Fault {
        from: Time::ZERO,
        until: Time::NEVER,
        what: slow,
    });
    let config = nakamoto::Config {
        miners: 1,
        validation: Validation::Execution,
        ..mining()
    };
    let report = world.run::<Nakamoto>(&config);
    let [_, one, two, slow, _] = report.cpu_busy[..] else {
        panic!("five nodes")
    };
    assert!(one == two && one > ms(500), "{one} {two}");
    assert_eq!(slow, one * 4);
}

fn clock(nodes: &[u32], offset_ms: i64, drift_ppm: i32) -> Fault {
    Fault {
        from: t(20),
        until: t(80),
        what: FaultKind::Clock {
            nodes: nodes.to_vec(),
            offset_ns: offset_ms * 1_000_000,
            drift_ppm,
        },
    }
}

/// Within a second ahead a proposer's blocks pass: they come early, and the next proposer waits for
/// its own clock. Beyond it its rounds are lost. Delays are measured by the true time all along.
#[test]
fn a_qbft_proposer_with_a_wrong_clock_is_felt() {
    let run = |fault: Option<Fault>| {
        let world = fault.into_iter().fold(five(), World::fault);
        let (report, log) = logged::run::<Qbft, All>(&world, &qbft());
        assert_eq!((report.status, unfinished(&report)), (Status::Ok, 0));
        let gaps = commits(&log, 0);
        let gaps = gaps.windows(2).filter(|w| t(25) < w[0].1 && w[1].1 < t(75));
        let gaps: Vec<Span> = gaps.map(|w| w[1].1.since(w[0].1)).collect();
        (gaps, report.chain.round_changes, report.adopt_delay.0)
    };
    let most = |gaps: &[Span]| gaps.iter().copied().max().expect("blocks");
    let least = |gaps: &[Span]| gaps.iter().copied().min().expect("blocks");
    let (right, rounds, delay) = run(None);
    assert_eq!((least(&right), most(&right), rounds), (s(1), s(1), 0));
    let (ahead, rounds, measured) = run(Some(clock(&[3], 800, 0)));
    assert_eq!(
        (least(&ahead), most(&ahead), rounds),
        (ms(200), ms(1_800), 0)
    );
    assert_eq!(measured, delay);
    let (refused, rounds, _) = run(Some(clock(&[3], 3_000, 0)));
    assert!(rounds > 20 && most(&refused) > s(2), "{rounds} rounds");
    // Who is behind lets its turn pass, and refuses what the others propose; they do without it.
    let (behind, rounds, _) = run(Some(clock(&[3], -3_000, 0)));
    assert!(rounds > 20 && most(&behind) > s(2), "{rounds} rounds");
}

/// A pool that is further ahead than others bear makes blocks for nobody while it is.
#[test]
fn a_praos_pool_ahead_of_its_time_is_not_followed() {
    let adopted = |offset_ms| {
        let world = deep().fault(clock(&[3], offset_ms, 0));
        let often = praos::Config {
            active_slot_coefficient: 0.7,
            ..staking()
        };
        let (report, log) = logged::run::<Praos, All>(&world, &often);
        assert_eq!(report.status, Status::Ok);
        let foreign = |n: &&Note| {
            n.what == What::Adopted && n.creator == NodeId::new(3) && n.node != n.creator
        };
        let within = |n: &&Note| t(21) < n.at && n.at < t(74);
        let soon = log.iter().filter(foreign).filter(within).count();
        let built = |n: &&Note| n.what == What::Built && n.creator == NodeId::new(3);
        let built = log.iter().filter(built).filter(within).count();
        (soon, built)
    };
    let (followed, built) = adopted(0);
    assert!(followed > 4 && built > 2, "{followed} {built}");
    assert!(adopted(2_000).0 > 4);
    let (followed, built) = adopted(10_000);
    assert!(followed == 0 && built > 2, "{followed} {built}");
}

/// A tenth too slow, every wait takes a ninth longer; what the network takes stays.
#[test]
fn slow_clocks_stretch_tendermint_s_heights() {
    let config = tendermint::Config {
        timeout_commit_ms: 900,
        skip_timeout_commit: false,
        ..tendermint::Config::default()
    };
    let all: Vec<u32> = (0..5).collect();
    let world = five().fault(clock(&all, 0, -100_000));
    // The log is on the nodes' clocks, which show what the waits should be.
    let (report, log) = logged::run::<Tendermint, All>(&world, &config);
    assert_eq!(unfinished(&report), 0);
    let (_, right) = logged::run::<Tendermint, All>(&five(), &config);
    let gaps = |log: &[Note]| -> Vec<u64> {
        let commits = commits(log, 0);
        let gaps = commits.windows(2).map(|w| w[1].1.since(w[0].1));
        gaps.map(|g| g.ns() / 1_000).collect()
    };
    // 900 ms and three delays, which take 27 ms of a clock that is a tenth too slow.
    assert!(gaps(&right).iter().all(|&g| g == 930_000));
    let slow = gaps(&log)[25..75].to_vec();
    assert!(slow.iter().all(|g| g.abs_diff(927_000) <= 1), "{slow:?}");
}

/// Blocks carry the time that their builder takes it for, by which transactions expire.
#[test]
fn what_a_builder_ahead_of_its_time_includes_is_too_old() {
    let expired = |offset_ms| {
        let mut world = five();
        world.offered.expiry = Some(s(5));
        let world = world.fault(clock(&[3], offset_ms, 0));
        let report = world.run::<Tendermint>(&tendermint::Config::default());
        assert_eq!(unfinished(&report), 0);
        report.probe.classes.iter().map(|c| c.expired).sum::<u64>()
    };
    assert_eq!((expired(0), expired(2_000)), (0, 0));
    assert!(expired(6_000) > 30, "{}", expired(6_000));
}

// ---- nothing -------------------------------------------------------------------------------

fn every_kind(nodes: &[u32]) -> Vec<FaultKind> {
    let nodes = || nodes.to_vec();
    vec![
        FaultKind::Crash(nodes()),
        FaultKind::Partition(nodes()),
        FaultKind::OneWay {
            from: nodes(),
            to: vec![0],
        },
        FaultKind::WanCut(nodes()),
        FaultKind::Clog {
            nodes: nodes(),
            delay: None,
        },
        FaultKind::Clog {
            nodes: nodes(),
            delay: Some(ms(50)),
        },
        FaultKind::Loss {
            nodes: nodes(),
            ppm: 500_000,
        },
        FaultKind::Slow {
            nodes: nodes(),
            permille: 100,
        },
        FaultKind::Clock {
            nodes: nodes(),
            offset_ns: 1_000_000_000,
            drift_ppm: 1_000,
        },
    ]
}

fn unchanged_by<E: Engine>(world: &World, config: &E::Config) {
    let report = |faults: Vec<Fault>| {
        let mut world = world.clone();
        world.setup.faults = faults;
        format!("{:?}", world.run::<E>(config))
    };
    let nothing = report(Vec::new());
    for what in every_kind(&[1, 3]) {
        // The drain is over by then.
        let after = report(vec![window(1_000, 2_000, what.clone())]);
        assert!(after == nothing, "{what:?} after the run changes it");
        let none = report(vec![window(50, 50, what.clone())]);
        assert!(
            none == nothing,
            "{what:?} that ends as it begins changes it"
        );
    }
    for what in every_kind(&[]) {
        let none = report(vec![window(20, 60, what.clone())]);
        assert!(none == nothing, "{what:?} changes it");
    }
}

#[test]
fn what_never_happens_changes_nothing() {
    unchanged_by::<Qbft>(&five(), &qbft());
    unchanged_by::<Tendermint>(&five(), &tendermint::Config::default());
    unchanged_by::<Raft>(&five(), &raft::Config::default());
    unchanged_by::<Central>(&five(), &central::Config::default());
    unchanged_by::<Nakamoto>(&deep(), &mining());
    unchanged_by::<Praos>(&deep(), &staking());
}

/// And each of them does change something when it happens.
#[test]
fn every_kind_of_fault_is_felt() {
    let report = |faults: Vec<Fault>| {
        let mut world = five();
        world.setup.costs = quorate_core::Costs::REFERENCE;
        world.setup.faults = faults;
        world.run::<Qbft>(&qbft()).digest
    };
    let nothing = report(Vec::new());
    for what in every_kind(&[1, 3]) {
        assert_ne!(
            report(vec![window(20, 60, what.clone())]),
            nothing,
            "{what:?}"
        );
    }
}
