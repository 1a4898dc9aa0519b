//! What must follow when a plan is changed in a known way, for every engine: slower clocks change
//! nothing, worse machines do not help, ideal ones recover the closed forms, and names mean nothing.

use quorate::validate::world::{Offered, World, mean_latency, moments, within};
use quorate_consensus::central::{self, Central};
use quorate_consensus::nakamoto::{self, Nakamoto, Refresh, RelayRule};
use quorate_consensus::praos::{self, Praos};
use quorate_consensus::qbft::{self, Qbft};
use quorate_consensus::raft::{self, Raft};
use quorate_consensus::tendermint::{self, Tendermint};
use quorate_core::math::sqrt;
use quorate_core::{Costs, NodeId, Span};
use quorate_kernel::{Report, Status, VoteChecks};

const ENGINES: [&str; 6] = ["nakamoto", "praos", "tendermint", "qbft", "raft", "central"];

/// One engine with all its durations `c` times as long as usual.
fn run(engine: &str, world: &World, c: u64) -> Report {
    let report = match engine {
        "nakamoto" => world.run::<Nakamoto>(&nakamoto::Config {
            block_interval_s: 4.0 * c as f64,
            retarget_blocks: 0,
            relay: RelayRule::Inv,
            template_refresh_s: Refresh::AtFind,
            ..nakamoto::Config::default()
        }),
        "praos" => world.run::<Praos>(&praos::Config {
            slot_ms: 200 * c,
            ..praos::Config::default()
        }),
        "tendermint" => {
            let usual = tendermint::Config::default();
            world.run::<Tendermint>(&tendermint::Config {
                timeout_propose_ms: c * usual.timeout_propose_ms,
                timeout_propose_delta_ms: c * usual.timeout_propose_delta_ms,
                timeout_prevote_ms: c * usual.timeout_prevote_ms,
                timeout_prevote_delta_ms: c * usual.timeout_prevote_delta_ms,
                timeout_precommit_ms: c * usual.timeout_precommit_ms,
                timeout_precommit_delta_ms: c * usual.timeout_precommit_delta_ms,
                timeout_commit_ms: c * usual.timeout_commit_ms,
                ..usual
            })
        }
        // Timestamps are whole seconds; the granularity grows with everything else.
        "qbft" => world.run::<Qbft>(&qbft::Config {
            period_ms: 1_000 * c,
            request_timeout_ms: 2_000 * c,
            whole_second_timestamps: c == 1,
            ..qbft::Config::default()
        }),
        "raft" => {
            let usual = raft::Config::default();
            world.run::<Raft>(&raft::Config {
                tick_ms: c * usual.tick_ms,
                batch_timeout_ms: c * usual.batch_timeout_ms,
                fsync_ms: c as f64 * usual.fsync_ms,
                ..usual
            })
        }
        _ => {
            let usual = central::Config::default();
            world.run::<Central>(&central::Config {
                ttl_s: c * usual.ttl_s,
                loop_wait_s: c * usual.loop_wait_s,
                promote_ms: c * usual.promote_ms,
                fsync_ms: c as f64 * usual.fsync_ms,
                ..usual
            })
        }
    };
    assert_eq!(
        report.status,
        Status::Ok,
        "{engine}: {:?}",
        report.violation
    );
    report
}

fn bandwidth(world: &mut World, bps: u64) {
    let n = world.setup.network.region_of.len();
    world.setup.network.uplink_bps = vec![bps; n];
    world.setup.network.downlink_bps = vec![bps; n];
}

fn depth_for(engine: &str, world: World) -> World {
    match engine {
        "nakamoto" | "praos" => world.depth(2, 6),
        _ => world,
    }
}

/// Seven nodes in two regions with links, CPUs and 20 writes/s from three sites, everything `c`
/// times as slow.
fn usual(engine: &str, c: u64) -> World {
    let mut world = World::new(7, Span::ZERO, Span::from_s(300 * c)).offered(20.0 / c as f64, 3);
    world.setup.network.region_of = vec![0, 1, 0, 1, 0, 1, 0];
    let ms = |ms: u64| Span::from_ms(ms * c);
    world.setup.network.one_way = vec![vec![ms(2), ms(30)], vec![ms(30), ms(4)]];
    bandwidth(&mut world, 1_000_000_000 / c);
    world.setup.costs = Costs {
        sign: Span::from_us(13 * c),
        verify: Span::from_us(29 * c),
        hash_kib: Span::from_ns(512 * c),
        ..Costs::FREE
    };
    world.offered.exec_us = 100 * c as u16;
    depth_for(engine, world)
}

/// All durations eight times as long, those of links, CPUs, protocols and arrivals: the same events
/// happen. (Arrivals and lotteries are rounded to the nanosecond, so that times may differ by one
/// for each draw, and counts may not.)
#[test]
fn eight_times_slower_is_the_same() {
    for engine in ENGINES {
        let (fast, slow) = (
            run(engine, &usual(engine, 1), 1),
            run(engine, &usual(engine, 8), 8),
        );
        assert_eq!(fast.conservation, slow.conservation, "{engine}");
        assert_eq!(fast.traffic, slow.traffic, "{engine}");
        let counts = |r: &Report| {
            let c = &r.chain;
            (
                c.built,
                c.height,
                c.final_height,
                c.reorgs,
                c.round_changes,
                c.full,
            )
        };
        assert_eq!(counts(&fast), counts(&slow), "{engine}");
        assert!(fast.conservation.valid > 4_000, "{engine}");
        let ((fast, _), (slow, _)) = (mean_latency(&fast.probe), mean_latency(&slow.probe));
        within(engine, slow / fast, 8.0, 8e-3);
    }
}

/// Mean final latency, s, by seed.
fn latencies(engine: &str, change: impl Fn(&mut World)) -> Vec<f64> {
    let one = |seed| {
        let mut world = usual(engine, 1).seed(seed);
        change(&mut world);
        mean_latency(&run(engine, &world, 1).probe).0
    };
    (1..=5).map(one).collect()
}

/// Under the same seeds, more latency, less bandwidth or slower CPUs do not make anything final
/// earlier.
#[test]
fn worse_does_not_help() {
    type Change = (&'static str, fn(&mut World));
    let changes: [Change; 3] = [
        ("three times the latency", |w| {
            for span in w.setup.network.one_way.iter_mut().flatten() {
                *span = span.scale(3, 1);
            }
        }),
        ("a hundredth of the bandwidth", |w| bandwidth(w, 10_000_000)),
        ("CPUs eight times as slow", |w| {
            let slow = |span: Span| span.scale(8, 1);
            let c = w.setup.costs;
            w.setup.costs = Costs {
                sign: slow(c.sign),
                verify: slow(c.verify),
                hash_kib: slow(c.hash_kib),
                ..c
            };
            w.offered.exec_us *= 8;
            w.setup.vote_checks = VoteChecks::Shared;
        }),
    ];
    for engine in ENGINES {
        let base = latencies(engine, |_| ());
        for (what, change) in changes {
            let worse = latencies(engine, change);
            let gained: Vec<f64> = worse.iter().zip(&base).map(|(w, b)| w - b).collect();
            let (mean, sd) = moments(&gained);
            let error = sd / sqrt(gained.len() as f64);
            assert!(
                mean >= -2.0 * error,
                "{engine}, {what}: {mean} s with error {error}"
            );
        }
    }
}

/// source: a committee of constant delay d decides 3d after the proposal; arrivals wait half a
/// period for it, and those of six sites in seven cross a link to the proposer first. Links and CPUs only add to that, the less the better they are.
#[test]
fn ideal_machines_recover_the_closed_form() {
    let at = |bps: u64, costs: Costs| {
        let mut world = World::new(7, Span::from_ms(50), Span::from_s(2_000)).offered(20.0, 7);
        world.offered = Offered {
            bytes: 2_000,
            ..world.offered
        };
        world.setup.costs = costs;
        bandwidth(&mut world, bps);
        mean_latency(&run("qbft", &world, 1).probe)
    };
    let (ideal, error) = at(0, Costs::FREE);
    within(
        "P/2 + 6d/7 + 3d",
        ideal,
        0.5 + 0.05 * 6.0 / 7.0 + 0.15,
        4.0 * error,
    );
    let slowest_first =
        [10_000_000, 100_000_000, 1_000_000_000, 0].map(|bps| at(bps, Costs::REFERENCE).0);
    assert!(
        slowest_first.is_sorted_by(|slow, fast| slow > fast),
        "{slowest_first:?}"
    );
    assert!(slowest_first[3] > ideal && slowest_first[3] - ideal < 0.001);
}

/// Which number a node has does not matter: the nodes, with their places and sites, in another order
/// give the same means. The first stays, because Raft's first leader is meant to be it.
#[test]
fn names_mean_nothing() {
    const ORDER: [u32; 7] = [0, 4, 6, 2, 5, 1, 3];
    for engine in ENGINES {
        // Its primary and standby are the first two nodes.
        if engine == "central" {
            continue;
        }
        let mean = |relabel: bool| {
            let one = |seed| {
                let mut world = usual(engine, 1).seed(seed);
                if relabel {
                    let old = world.setup.network.region_of.clone();
                    for (node, &place) in ORDER.iter().zip(&old) {
                        world.setup.network.region_of[*node as usize] = place;
                    }
                    for node in &mut world.setup.serving {
                        *node = NodeId::new(ORDER[node.index()]);
                    }
                }
                mean_latency(&run(engine, &world, 1).probe).0
            };
            let means: Vec<f64> = (1..=6).map(one).collect();
            let (mean, sd) = moments(&means);
            (mean, sd / sqrt(means.len() as f64))
        };
        let ((as_is, a), (relabelled, b)) = (mean(false), mean(true));
        within(engine, relabelled, as_is, 4.0 * sqrt(a * a + b * b));
    }
}
