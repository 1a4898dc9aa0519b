//! The pool of pending transactions: both forms of gossip, its limits, the order of blocks, and the
//! closed forms that they must meet.

use quorate::validate::world::{World, within};
use quorate_consensus::nakamoto::{self, Nakamoto, Refresh, RelayRule};
use quorate_consensus::qbft::{self, Qbft};
use quorate_consensus::raft::{self, Raft};
use quorate_consensus::tendermint::{self, Tendermint};
use quorate_core::{
    ClassId, Costs, Domain, Draws, Engine, Level, Measure, NodeId, Ordered, Seed, Shown, Span, Tell,
};
use quorate_kernel::{Fees, GossipForm, Offered, OverlayConfig, Report, Status, TxRelay};

fn pick<T: Copy>(d: &mut Draws, of: &[T]) -> T {
    of[d.below(of.len() as u64) as usize]
}

/// What must be the same in two reports: everything but events, CPU time and how gossip was done.
fn story(report: &Report) -> String {
    let r = report;
    let chain = (
        r.status,
        &r.violation,
        r.ended,
        r.inputs,
        r.digest,
        &r.chain,
    );
    let counts = (r.reads, &r.traffic, r.lost, r.conservation, r.adopt_delay);
    format!("{chain:?} {counts:?} {:?} {:?}", r.uplink_busy, r.probe)
}

fn explicit(mut world: World) -> World {
    world.setup.mempool.gossip.form = GossipForm::Explicit;
    world
}

/// A drawn world in which gossip waits for nothing.
fn draw_world(d: &mut Draws) -> World {
    let n = 1 + d.below(12) as u32;
    let mut world = World::new(n, Span::ZERO, Span::from_s(20 + d.below(40)));
    let regions = 1 + d.below(4) as usize;
    let net = &mut world.setup.network;
    net.region_of = (0..n).map(|_| d.below(regions as u64) as u8).collect();
    // In steps, so that things coincide; also none, and not the same both ways.
    let mut row = |_| {
        (0..regions)
            .map(|_| Span::from_ms(10 * d.below(12)))
            .collect()
    };
    net.one_way = (0..regions).map(&mut row).collect();
    net.overlay = match d.below(4) {
        0 => OverlayConfig::Mesh,
        outbound => OverlayConfig::Random {
            outbound: outbound as u32,
        },
    };
    let sites = 1 + d.below(5) as u32;
    let rate = pick(d, &[1.0, 10.0, 60.0]);
    let mut world = world.offered(rate, sites).seed(d.below(1_000));
    world.setup.serving = (0..sites)
        .map(|_| NodeId::new(d.below(u64::from(n)) as u32))
        .collect();
    world.register = true;
    world.offered.keys = 7;
    world.offered.watched = pick(d, &[0, 200]);
    world.offered.reads = pick(d, &[0, 300]);
    world.setup.cores = 64;
    // A sparse overlay may leave a node alone, whose transactions are never final.
    world.setup.drain = Span::from_s(60);
    let pool = &mut world.setup.mempool;
    pool.gossip.relay = pick(d, &[TxRelay::Push, TxRelay::Announce]);
    pool.gossip.check = Span::from_ms(pick(d, &[0, 10]));
    pool.expire_after = d.chance(0.3).then(|| Span::from_s(1 + d.below(3)));
    pool.capacity_txs = pick(d, &[u32::MAX, u32::MAX, 20]);
    pool.fees = pick_fees(d);
    world
}

fn pick_fees(d: &mut Draws) -> Fees {
    match d.below(4) {
        0 => Fees::ByClass(vec![0, 2, 0]),
        1 => Fees::Drawn(vec![3, 1]),
        _ => Fees::None,
    }
}

fn run_drawn(d: &mut Draws, world: &World) -> impl Fn(&World) -> Report + use<> {
    let (engine, n) = (d.below(4), world.setup.network.region_of.len());
    let block_txs = pick(d, &[0, 5]);
    let relay = pick(d, &[RelayRule::Inv, RelayRule::Compact, RelayRule::Push]);
    let config = nakamoto::Config {
        block_interval_s: pick(d, &[0.5, 3.0]),
        relay,
        block_txs,
        ..nakamoto::Config::default()
    };
    let raft = raft::Config {
        batch_timeout_ms: 300,
        block_txs: pick(d, &[1, 10]),
        ..raft::Config::default()
    };
    let empty_blocks = d.chance(0.5);
    move |world| match engine {
        1 if n > 1 => world.run::<Qbft>(&qbft::Config {
            period_ms: 500,
            empty_blocks,
            block_txs,
            ..qbft::Config::default()
        }),
        2 => world.run::<Raft>(&raft),
        3 => world.run::<Tendermint>(&tendermint::Config {
            empty_blocks,
            block_txs,
            ..tendermint::Config::default()
        }),
        _ => world.clone().depth(1, 3).run::<Nakamoto>(&config),
    }
}

/// Unlimited bandwidth, idle CPUs and no jitter: every hop an event says what the shortest path says.
#[test]
fn explicit_gossip_equals_visibility() {
    let (mut in_blocks, mut dropped) = (0, 0);
    for number in 0..120 {
        let mut d = Seed::new(4, 0).stream("gossip", number);
        let world = draw_world(&mut d);
        let run = run_drawn(&mut d, &world);
        let (fast, slow) = (run(&world), run(&explicit(world.clone())));
        assert_ne!(fast.status, Status::SafetyViolation, "{:?}", fast.violation);
        assert!(slow.gossip.explicit && !fast.gossip.explicit);
        assert!(
            story(&fast) == story(&slow),
            "configuration {number}: {world:#?}"
        );
        // What is still under way at the end was sent in part.
        let sent = |r: &Report| r.gossip.traffic.iter().map(|t| t.1.messages).sum::<u64>();
        assert!(sent(&slow) <= sent(&fast), "configuration {number}");
        in_blocks += fast.conservation.valid;
        dropped += fast.conservation.dropped;
    }
    assert!(
        in_blocks > 20_000 && dropped > 1_000,
        "{in_blocks} {dropped}"
    );
}

/// Both forms count the same messages and bytes once all has arrived.
#[test]
fn gossip_is_counted_as_it_is_sent() {
    for (relay, overlay) in [
        (TxRelay::Push, OverlayConfig::Mesh),
        (TxRelay::Announce, OverlayConfig::Mesh),
        (TxRelay::Push, OverlayConfig::Random { outbound: 2 }),
        (TxRelay::Announce, OverlayConfig::Random { outbound: 2 }),
    ] {
        // Latencies apart, so that each node has one shortest path.
        let mut world = World::new(9, Span::from_ms(10), Span::from_s(30)).offered(20.0, 3);
        world.setup.network.region_of = (0..9).collect();
        let latency = |a: u64, b: u64| Span::from_us(1_000 + 97 * (a * b % 31) + 13 * a + 7 * b);
        let row = |a| (0..9).map(|b| latency(a, b)).collect();
        world.setup.network.one_way = (0..9).map(row).collect();
        world.setup.network.overlay = overlay.clone();
        world.setup.mempool.gossip.relay = relay;
        let config = qbft::Config::default();
        let fast = world.run::<Qbft>(&config);
        let slow = explicit(world).run::<Qbft>(&config);
        assert_eq!(
            fast.gossip.traffic, slow.gossip.traffic,
            "{relay:?} {overlay:?}"
        );
        assert_eq!(fast.gossip.sent, slow.gossip.sent, "{relay:?} {overlay:?}");
        let submitted = fast.conservation.submitted;
        if relay == TxRelay::Push && matches!(overlay, OverlayConfig::Mesh) {
            let bytes = 8 * submitted * (24 + 250);
            assert_eq!(fast.gossip.traffic[2].1.messages, 8 * submitted);
            assert_eq!(fast.gossip.sent.iter().sum::<u64>(), bytes);
        }
        if relay == TxRelay::Announce {
            assert_eq!(fast.gossip.traffic[1].1.messages, 8 * submitted);
            assert_eq!(fast.gossip.traffic[2].1.messages, 8 * submitted);
        }
    }
}

/// Gossip that waits for uplinks and CPUs is later than the shortest path, and takes both.
#[test]
fn explicit_gossip_takes_uplinks_and_cpus() {
    let mut world = World::new(8, Span::from_ms(5), Span::from_s(60)).offered(40.0, 8);
    let bps = 1_000_000;
    world.setup.network.uplink_bps.fill(bps);
    world.setup.mempool.gossip.check = Span::from_ms(1);
    let config = qbft::Config::default();
    let fast = world.run::<Qbft>(&config);
    let slow = explicit(world).run::<Qbft>(&config);
    assert_eq!(fast.conservation.submitted, slow.conservation.submitted);
    let busy = |r: &Report| r.uplink_busy.iter().map(|b| b.as_s()).sum::<f64>();
    let gossiped = slow.gossip.sent.iter().sum::<u64>() as f64 * 8.0 / bps as f64;
    within(
        "uplinks",
        busy(&slow) - busy(&fast),
        gossiped,
        0.02 * gossiped,
    );
    let cpu = |r: &Report| r.cpu_busy.iter().map(|b| b.as_s()).sum::<f64>();
    let checks = slow.conservation.submitted as f64 * 7.0 * 1e-3;
    // But for those under way at the end.
    within("checks", cpu(&slow) - cpu(&fast), checks, 0.04);
    let mean = |r: &Report| {
        let class = &r.probe.classes[0];
        class.latency[Level::Included as usize].mean()
    };
    assert!(mean(&slow) > mean(&fast), "{} {}", mean(&slow), mean(&fast));
}

/// `auto` takes the explicit form just above its share of the smallest uplink.
#[test]
fn auto_switches_at_its_share() {
    let report = |per_s: f64| {
        let mut world = World::new(11, Span::from_ms(5), Span::from_s(2)).offered(5.0, 5);
        world.setup.network.uplink_bps.fill(100_000_000);
        world.setup.network.uplink_bps[3] = 10_000_000;
        let gossip = &mut world.setup.mempool.gossip;
        gossip.form = GossipForm::Auto;
        gossip.offered = Offered {
            per_s,
            bytes: 226.0,
        };
        world.run::<Qbft>(&qbft::Config::default()).gossip
    };
    // Each of five sites sends a fifth of it ten times: 250 · 8 · 10 / 5 = 4,000 bits for each.
    let (below, above) = (report(249.0), report(251.0));
    assert_eq!((below.share_ppm, below.explicit), (99_600, false));
    assert_eq!((above.share_ppm, above.explicit), (100_400, true));
}

/// Overlays: the visibility delay is that of the shortest path, not of an edge that is not there.
#[test]
fn transactions_take_the_overlays_paths() {
    let latency = |overlay| {
        let mut world = World::new(60, Span::from_ms(100), Span::from_s(300)).offered(5.0, 1);
        world.setup.network.overlay = overlay;
        let config = nakamoto::Config {
            block_interval_s: 5.0,
            relay: RelayRule::Direct,
            ..nakamoto::Config::default()
        };
        let report = world.depth(1, 1).run::<Nakamoto>(&config);
        report.probe.classes[0].latency[Level::Included as usize].mean()
    };
    let (mesh, sparse) = (
        latency(OverlayConfig::Mesh),
        latency(OverlayConfig::Random { outbound: 2 }),
    );
    assert!(sparse > mesh + 100_000.0, "{mesh} {sparse}");
}

/// One miner, transactions at rate λ, blocks at rate 1/T: the number that arrive between two blocks is
/// geometric with a = λT / (1 + λT), and a pool of C takes min(N, C) of them, so that the share a^C is
/// turned away.
#[test]
fn a_full_pool_turns_away_what_theory_says() {
    let mut world = World::new(1, Span::ZERO, Span::from_s(200_000)).offered(1.0, 1);
    world.setup.mempool.capacity_txs = 10;
    let report = world.depth(1, 1).run::<Nakamoto>(&nakamoto::Config {
        block_interval_s: 10.0,
        template_refresh_s: Refresh::AtFind,
        ..nakamoto::Config::default()
    });
    let c = report.conservation;
    let share = c.dropped as f64 / c.submitted as f64;
    let want = quorate_core::math::pow(10.0 / 11.0, 10.0);
    // Over 20,000 blocks the standard error of what is dropped between two is 0.057 of 10.
    within("a^C", share, want, 4.0 * 0.0057);
    assert_eq!(c.submitted, c.valid + c.dropped + c.pending);
    // What is submitted while the run waits for its end is not measured.
    let class = &report.probe.classes[0];
    assert!(class.dropped <= c.dropped && class.dropped + 1_000 > c.dropped);
    // By bytes: 250 each, so that the eleventh finds 2,500 there.
    let mut world = World::new(1, Span::ZERO, Span::from_s(20_000)).offered(1.0, 1);
    let run = |world: &World| {
        world
            .clone()
            .depth(1, 1)
            .run::<Nakamoto>(&nakamoto::Config {
                block_interval_s: 10.0,
                template_refresh_s: Refresh::AtFind,
                ..nakamoto::Config::default()
            })
    };
    world.setup.mempool.capacity_bytes = 2_500;
    let by_bytes = run(&world);
    world.setup.mempool.capacity_bytes = u64::MAX;
    world.setup.mempool.capacity_txs = 10;
    assert_eq!(story(&by_bytes), story(&run(&world)));
}

/// One miner, blocks at rate 1/T: a transaction waits longer than E with probability e^(−E/T), and is
/// then passed over; no other waits longer.
#[test]
fn what_waits_too_long_is_evicted_as_theory_says() {
    let mut world = World::new(1, Span::ZERO, Span::from_s(200_000)).offered(1.0, 1);
    world.setup.mempool.expire_after = Some(Span::from_s(5));
    let report = world.depth(1, 3).run::<Nakamoto>(&nakamoto::Config {
        block_interval_s: 10.0,
        template_refresh_s: Refresh::AtFind,
        ..nakamoto::Config::default()
    });
    let c = report.conservation;
    let share = c.dropped as f64 / c.submitted as f64;
    // Between two blocks (1 + …) are evicted together: mean 6.07, standard deviation below 12 of 10.
    within(
        "e^(-E/T)",
        share,
        quorate_core::math::exp(-0.5),
        4.0 * 1.2 / 20_000_f64.sqrt(),
    );
    let included = &report.probe.classes[0].latency[Level::Included as usize];
    assert!(included.max() <= 5_003_000, "{}", included.max());
    let class = &report.probe.classes[0];
    assert_eq!(included.len(), class.submitted - class.dropped);
}

/// Forks, many sites and finality by depth: whatever a branch passes over, all is accounted for, and
/// what was dropped has no latency.
#[test]
fn evictions_belong_to_their_branch() {
    let mut dropped = 0;
    for seed in 0..30 {
        let mut world = World::new(6, Span::from_ms(800), Span::from_s(600)).offered(4.0, 6);
        world.register = true;
        world.offered.watched = 300;
        world.offered.keys = 5;
        world.setup.mempool.expire_after = Some(Span::from_s(3));
        let config = nakamoto::Config {
            block_interval_s: 2.0,
            block_txs: 12,
            ..nakamoto::Config::default()
        };
        let report = world.depth(2, 6).seed(seed).run::<Nakamoto>(&config);
        assert_eq!(report.status, Status::Ok, "{:?}", report.violation);
        assert!(report.chain.forked_heights > 10);
        let c = report.conservation;
        dropped += c.dropped;
        let class = |f: fn(&quorate_kernel::probe::ClassCounts) -> u64| -> u64 {
            report.probe.classes.iter().map(f).sum()
        };
        let settled = class(|c| c.valid + c.expired + c.rejected.iter().sum::<u64>());
        // A transaction that one branch included and the final one dropped had been included.
        assert!(class(|c| c.latency[Level::Final as usize].len()) == settled);
    }
    assert!(dropped > 500, "{dropped}");
}

/// One miner and light load: what a block takes is what its template had. Renewed when the block is
/// found, a transaction waits for the next block, T; never renewed, for the one after, 2T; renewed
/// every r, an instant's distance u to the next renewal is uniform, and with probability e^(−u/T) no
/// block comes before it: T + T · (1 − (T/r)(1 − e^(−r/T))). (Renewals are counted from the last block,
/// which matters little while r is far below T, and nothing at both ends.)
#[test]
fn a_renewed_template_lies_between_models_a_and_b() {
    let wait = |refresh| {
        let world = World::new(1, Span::ZERO, Span::from_s(100_000)).offered(1.0, 1);
        let config = nakamoto::Config {
            block_interval_s: 10.0,
            template_refresh_s: refresh,
            ..nakamoto::Config::default()
        };
        let report = world.depth(1, 1).run::<Nakamoto>(&config);
        report.probe.classes[0].latency[Level::Included as usize].mean() / 1e6
    };
    let every = |s| wait(Refresh::Every(Span::from_s(s)));
    // 10,000 exponential intervals: a standard error of 0.02 T on the mean of their squares.
    let (a, b) = (wait(Refresh::AtFind), wait(Refresh::Never));
    within("model A", a, 10.0, 0.8);
    within("model B", b, 20.0, 1.6);
    let renewed =
        |r: f64| 10.0 + 10.0 * (1.0 - 10.0 / r * (1.0 - quorate_core::math::exp(-r / 10.0)));
    within("every 2 s", every(2), renewed(2.0), 0.9);
    let waits = [a, every(2), every(8), every(30), b];
    assert!(waits.is_sorted_by(|x, y| x + 0.3 < *y), "{waits:?}");
}

/// Levels that all are one level change nothing.
#[test]
fn one_fee_level_is_first_in() {
    for number in 0..20 {
        let mut d = Seed::new(5, 0).stream("fees", number);
        let mut world = draw_world(&mut d);
        world.setup.mempool.fees = Fees::None;
        let run = run_drawn(&mut d, &world);
        let plain = story(&run(&world));
        for fees in [
            Fees::ByClass(vec![0, 0, 0]),
            Fees::ByClass(vec![2, 2, 2]),
            Fees::Drawn(vec![1]),
            Fees::Drawn(vec![0, 5, 0]),
        ] {
            world.setup.mempool.fees = fees;
            assert_eq!(
                story(&run(&world)),
                plain,
                "configuration {number}: {world:#?}"
            );
        }
    }
}

/// With 20 transactions a block and 30 offered: the 10 of the high level are in the next block, as if
/// the others were not there.
#[test]
fn who_pays_more_does_not_wait() {
    let world = |fees| {
        let mut world = World::new(4, Span::from_ms(1), Span::from_s(200)).offered(30.0, 4);
        world.offered.watched = 333;
        world.setup.mempool.fees = fees;
        world.setup.drain = Span::from_s(10);
        world
    };
    let config = qbft::Config {
        period_ms: 1_000,
        block_txs: 20,
        ..qbft::Config::default()
    };
    let run = |fees| world(fees).run::<Qbft>(&config);
    let (first_in, by_fee) = (run(Fees::None), run(Fees::ByClass(vec![0, 1, 0])));
    let included = |r: &Report, class: usize| {
        let h = &r.probe.classes[class].latency[Level::Included as usize];
        (h.mean() / 1e6, h.value_at_quantile(0.99) as f64 / 1e6)
    };
    let (high, low) = (included(&by_fee, 1), included(&by_fee, 0));
    // Half an interval, and the block's own way.
    assert!((0.45..0.62).contains(&high.0) && high.1 < 1.1, "{high:?}");
    assert!(low.0 > 20.0, "{low:?}");
    let plain = included(&first_in, 1);
    assert!(plain.0 > 20.0, "{plain:?}");
}

/// Wants to be shown everything, with what views said.
struct All;

impl Domain for All {
    fn measures(&self) -> &'static [Measure] {
        &[]
    }

    fn shown(&self, _: ClassId) -> Shown {
        Shown::Acted
    }

    fn ordered(&mut self, _: &Ordered<'_>, _: &mut dyn Tell) {}
}

fn lengths<E: Engine>(world: &World, config: &E::Config) -> quorate_kernel::Kept {
    use quorate_kernel::Simulation;
    let load = quorate::validate::world::Poisson::new(world.offered, world.setup.seed);
    let ledger = quorate::validate::world::Register;
    let mut sim = Simulation::<E>::new(config, world.setup.clone(), Box::new(load), &ledger);
    sim.show(Box::new(All));
    sim.run();
    sim.kept()
}

/// Ten times as long a run keeps no more.
#[test]
fn memory_is_flat_in_the_length_of_the_run() {
    let world = |seconds| {
        let mut world = World::new(7, Span::from_ms(20), Span::from_s(seconds)).offered(20.0, 7);
        world.setup.costs = Costs::REFERENCE;
        world.offered.keys = 50;
        world.offered.watched = 100;
        world.setup.mempool.expire_after = Some(Span::from_s(2));
        world.setup.drain = Span::from_s(60);
        world
    };
    let check = |short: quorate_kernel::Kept, long: quorate_kernel::Kept, name: &str| {
        let pairs = short.lengths().into_iter().zip(long.lengths());
        for ((what, a), (_, b)) in pairs {
            // What depends on where the last round of forgetting fell, and on extremes.
            assert!(b <= 3 * a + 64, "{name}: {what} grew from {a} to {b}");
        }
    };
    let q = qbft::Config::default();
    check(
        lengths::<Qbft>(&world(200), &q),
        lengths::<Qbft>(&world(2_000), &q),
        "qbft",
    );
    let t = tendermint::Config::default();
    let run = |s| lengths::<Tendermint>(&world(s), &t);
    check(run(200), run(2_000), "tendermint");
    let r = raft::Config {
        batch_timeout_ms: 200,
        ..raft::Config::default()
    };
    let run = |s| lengths::<Raft>(&world(s), &r);
    check(run(200), run(2_000), "raft");
    let c = nakamoto::Config {
        block_interval_s: 1.0,
        ..nakamoto::Config::default()
    };
    let run = |s| lengths::<Nakamoto>(&world(s).depth(2, 6), &c);
    check(run(200), run(2_000), "nakamoto");
    let mut explicit = explicit(world(200));
    let short = lengths::<Qbft>(&explicit, &q);
    explicit.setup.horizon = world(2_000).setup.horizon;
    check(short, lengths::<Qbft>(&explicit, &q), "explicit gossip");
}
