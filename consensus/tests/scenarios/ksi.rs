//! Keyless signatures: rounds, the tree, and the core that agrees on one entry a second.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::ksi::{Config, Drawn, Header, Ksi, Message, Offset};
use quorate_core::{BlockId, Blocks, Engine, Input, Seed, Span, Time};

const D: u64 = 50;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

/// Levels close a tenth of a second after one another.
fn staggered() -> Config {
    Config {
        offset_ms: Offset::Each(100),
        ..Config::default()
    }
}

fn world(config: &Config, nodes: u32) -> World<Ksi> {
    World::new(config, nodes, Span::from_ms(D), 1)
}

fn seconds(net: &World<Ksi>, i: u32) -> Vec<u32> {
    let commits = net.commits(i);
    let second = |c: &(Time, BlockId)| net.blocks.get(c.1).header.second;
    commits.iter().map(second).collect()
}

fn sent(net: &World<Ksi>, kind: &str) -> u64 {
    net.messages.get(kind).map_or(0, |m| m.0)
}

/// A core of five of which only node 4 runs; an entry for a second, of its leader.
fn crafted() -> World<Ksi> {
    let mut net = world(&staggered(), 5);
    net.give(node(4), Input::Start);
    net
}

fn entry(net: &mut World<Ksi>, second: u32, parent: BlockId) -> BlockId {
    let block = net.forge(second % 5, parent, Header { second });
    net.hold(4, block);
    block
}

fn acks(net: &World<Ksi>) -> u64 {
    sent(net, "ack")
}

#[test]
fn each_second_has_an_entry_that_all_nodes_commit_three_delays_later() {
    let mut net = world(&staggered(), 12);
    net.start();
    net.run_until(at_ms(20_500));
    for i in 0..12 {
        assert_eq!(seconds(&net, i), (1..=20).collect::<Vec<_>>());
        let leads = |s: u64| s % 5 == u64::from(i);
        for (k, (at, _)) in net.commits(i).into_iter().enumerate() {
            let s = k as u64 + 1;
            let delays = if leads(s) { 2 } else { 3 };
            assert_eq!(at, at_ms(1_000 * s + delays * D));
        }
    }
    net.assert_agreement(0);
    assert_eq!(sent(&net, "propose"), 20 * 4);
    assert_eq!(sent(&net, "ack"), 20 * 4);
    assert_eq!(sent(&net, "entry"), 20 * 11);
    assert_eq!(sent(&net, "collect"), 0);
}

#[test]
fn roots_climb_the_tree_one_round_a_level() {
    let mut net = world(&staggered(), 12);
    net.start();
    net.submit();
    net.run_until(at_ms(10_500));
    // Nine gateways are not where their aggregator is; two aggregators of three are not at the upper one,
    // which tells the four other members of the core: eleven roots of the tree and four.
    assert_eq!(sent(&net, "root"), 10 * (9 + 2 + 4) + 9 - 9);
    // Second 1 covers what the gateways closed three tenths before it.
    let builds = net.notes.iter().filter_map(|n| match n.2 {
        Note::Build(_, as_of) => as_of,
        _ => None,
    });
    for (k, as_of) in builds.enumerate() {
        assert_eq!(as_of, at_ms(1_000 * (k as u64 + 1) - 300));
    }
    assert_eq!(net.txs(net.commits(7)[0].1), 1);
}

#[test]
fn a_deeper_tree_covers_an_older_state() {
    for levels in 1..=3 {
        let config = Config {
            levels,
            ..staggered()
        };
        let mut net = world(&config, 12);
        net.start();
        net.run_until(at_ms(5_500));
        let last = net.notes.iter().rev().find_map(|n| match n.2 {
            Note::Build(_, as_of) => as_of,
            _ => None,
        });
        assert_eq!(last, Some(at_ms(5_000 - 100 * (u64::from(levels) + 1))));
    }
}

#[test]
fn drawn_rounds_end_at_different_instants_but_once_a_second() {
    let mut net = world(&Config::default(), 12);
    net.start();
    net.run_until(at_ms(20_500));
    assert_eq!(seconds(&net, 11), (1..=20).collect::<Vec<_>>());
    // From second 3 on every gateway is covered; a root each a second from all that send one.
    let roots = sent(&net, "root");
    assert!((10 * 15..=21 * 15).contains(&roots), "{roots}");
}

#[test]
fn the_second_of_a_leader_that_is_down_is_skipped_and_the_next_one_asks_first() {
    let mut net = world(&staggered(), 12);
    net.crash(&[3]);
    net.start();
    net.submit();
    net.run_until(at_ms(20_500));
    let kept = (1..=20).filter(|s| s % 5 != 3).collect::<Vec<u32>>();
    assert_eq!(seconds(&net, 7), kept);
    // Seconds 4, 9, 14 and 19 follow a skipped one: two more delays.
    assert_eq!(sent(&net, "collect"), 4 * 4);
    assert_eq!(sent(&net, "promise"), 4 * 3);
    let (at, _) = net.commits(7)[2];
    assert_eq!(at, at_ms(4_000 + 5 * D));
    net.assert_agreement(0);
}

#[test]
fn a_core_without_a_majority_skips_seconds_and_covers_them_later() {
    let mut net = world(&staggered(), 12);
    net.start();
    net.run_until(at_ms(5_500));
    // Two on the one side, three of which one is down on the other.
    net.crash(&[4]);
    net.partition(&[0, 1]);
    net.submit();
    net.run_until(at_ms(30_500));
    assert!(
        (0..12)
            .filter(|i| *i != 4)
            .all(|i| seconds(&net, i).last() == Some(&5))
    );
    net.partition(&[]);
    net.run_until(at_ms(40_500));
    net.restart(4);
    net.run_until(at_ms(50_500));
    for i in 0..12 {
        assert_eq!(seconds(&net, i).last(), Some(&50), "node {i}");
        let txs: u32 = net.commits(i).iter().map(|c| net.txs(c.1)).sum();
        assert_eq!(txs, 1);
    }
    net.assert_agreement(0);
}

#[test]
fn an_entry_that_a_majority_acknowledged_is_never_lost() {
    // Node 1 proposes second 1, which all acknowledge, and dies before it hears of it.
    let mut net = world(&staggered(), 5);
    net.start();
    net.run_until(at_ms(1_060));
    net.crash(&[1]);
    let first = net.head(0);
    assert_eq!(net.blocks.get(first).header.second, 1);
    assert!(net.commits(0).is_empty());
    net.run_until(at_ms(3_500));
    for i in [0, 2, 3, 4] {
        assert_eq!(net.commits(i)[0].1, first);
        assert_eq!(seconds(&net, i), [1, 2, 3]);
    }
}

#[test]
fn an_entry_that_only_its_leader_has_gives_way() {
    let mut net = world(&staggered(), 5);
    net.lose(|p| p.sent < at_ms(1_500) && matches!(p.load, Load::Message(Message::Propose(_))));
    net.start();
    net.run_until(at_ms(1_060));
    let lost = net.head(1);
    net.crash(&[1]);
    net.run_until(at_ms(5_500));
    net.restart(1);
    net.run_until(at_ms(9_500));
    for i in 0..5 {
        assert!(net.commits(i).iter().all(|c| c.1 != lost));
        assert_eq!(seconds(&net, i).last(), Some(&9));
    }
    net.assert_agreement(0);
}

#[test]
fn who_promised_a_second_acknowledges_nothing_older() {
    let mut net = crafted();
    let (e1, e2) = (entry(&mut net, 1, GENESIS), entry(&mut net, 2, GENESIS));
    net.deliver(2, 4, Message::Collect { second: 2 });
    assert_eq!(sent(&net, "promise"), 1);
    net.deliver(1, 4, Message::Propose(e1));
    assert_eq!(acks(&net), 0);
    net.deliver(1, 4, Message::Collect { second: 1 });
    net.deliver(2, 4, Message::Collect { second: 2 });
    assert_eq!(
        sent(&net, "promise"),
        1,
        "neither an older second nor the same twice"
    );
    net.deliver(2, 4, Message::Propose(e2));
    assert_eq!(acks(&net), 1);
}

#[test]
fn only_the_leader_of_a_second_is_heard_and_once() {
    let mut net = crafted();
    let (e1, other) = (entry(&mut net, 1, GENESIS), entry(&mut net, 1, GENESIS));
    net.deliver(0, 4, Message::Propose(e1));
    net.deliver(0, 4, Message::Collect { second: 1 });
    assert!(net.messages.is_empty());
    net.deliver(1, 4, Message::Propose(e1));
    net.deliver(1, 4, Message::Propose(e1));
    net.deliver(1, 4, Message::Propose(other));
    assert_eq!(acks(&net), 1);
    // Nor is an entry beside what is committed.
    net.deliver(1, 4, Message::Entry(e1));
    let beside = entry(&mut net, 2, GENESIS);
    net.deliver(2, 4, Message::Propose(beside));
    assert_eq!(acks(&net), 1);
    let above = entry(&mut net, 3, e1);
    net.deliver(3, 4, Message::Propose(above));
    assert_eq!(acks(&net), 2);
}

#[test]
fn acknowledgements_of_less_than_a_majority_commit_nothing() {
    let mut net = world(&staggered(), 5);
    net.crash(&[0, 2, 3]);
    net.start();
    net.run_until(at_ms(1_500));
    assert_eq!(acks(&net), 1);
    let e1 = net.head(1);
    net.deliver(4, 1, Message::Ack(e1)); // The same once more.
    assert!(net.commits(1).is_empty());
    net.deliver(0, 1, Message::Ack(e1));
    assert_eq!(net.commits(1).len(), 1);
}

#[test]
fn an_entry_above_what_is_missing_is_committed_once_that_is_here() {
    let mut net = world(&staggered(), 12);
    net.start();
    net.lose(|p| p.to == node(9) && p.sent < at_ms(3_900));
    net.run_until(at_ms(3_900));
    assert!(net.commits(9).is_empty());
    net.lose_nothing();
    net.run_until(at_ms(4_500));
    assert_eq!(seconds(&net, 9), [1, 2, 3, 4]);
    // Two of three holes are asked for with the chain; here, where that ends at what is known, one by one.
    assert_eq!(net.count_notes(9, |n| matches!(n, Note::Sync(_))), 2);
    assert_eq!(net.count_notes(9, |n| matches!(n, Note::Fetch(_))), 3);
}

/// Loss, jitter, crashes and partitions for a minute; then everything is committed everywhere.
fn survive(seed: u64) {
    let nodes = 5 + (seed % 4) as u32;
    let mut net: World<Ksi> = World::new(&Config::default(), nodes, Span::from_ms(D), seed);
    net.reorder(Span::from_ms(80), Seed::new(seed, 0).stream("jitter", 0));
    let mut dice = Seed::new(seed, 0).stream("loss", 0);
    net.lose(move |p| p.sent < at_ms(60_000) && dice.chance(0.2));
    let mut plan = Seed::new(seed, 0).stream("plan", 0);
    net.start();
    for s in 1..=240 {
        if plan.chance(0.2) {
            let i = plan.below(u64::from(nodes)) as u32;
            if net.is_down(i) {
                net.restart(i);
            } else if net.down_count() < 2 {
                net.crash(&[i]);
            }
        }
        if plan.chance(0.1) {
            net.partition(&[plan.below(u64::from(nodes)) as u32, 0]);
        } else if plan.chance(0.3) {
            net.partition(&[]);
        }
        net.submit();
        net.run_until(at_ms(250 * s));
    }
    net.partition(&[]);
    for i in (0..nodes).filter(|i| net.is_down(*i)).collect::<Vec<_>>() {
        net.restart(i);
    }
    net.run_until(at_ms(70_500));
    net.assert_agreement(seed);
    for i in 0..nodes {
        assert_eq!(seconds(&net, i).last(), Some(&70), "seed {seed}, node {i}");
        let txs: u32 = net.commits(i).iter().map(|c| net.txs(c.1)).sum();
        assert_eq!(txs, 240, "seed {seed}, node {i}");
    }
}

#[test]
fn it_survives_loss_crashes_and_partitions() {
    for seed in 0..60 {
        survive(seed);
    }
}

#[test]
fn it_refuses_what_cannot_work_and_reads_its_table() {
    let refused = |config: Config| Ksi::validate(&config, 4).map_err(|e| e.key);
    let config = Config::default;
    assert_eq!(
        refused(Config {
            core: 0,
            ..config()
        }),
        Err("core")
    );
    assert_eq!(
        refused(Config {
            levels: 0,
            ..config()
        }),
        Err("levels")
    );
    assert_eq!(
        refused(Config {
            fan_out: 1,
            ..config()
        }),
        Err("fan_out")
    );
    assert_eq!(
        refused(Config {
            round_ms: 0,
            ..config()
        }),
        Err("round_ms")
    );
    assert_eq!(
        refused(Config {
            signature_bytes: 0,
            ..config()
        }),
        Err("signature_bytes")
    );
    assert_eq!(refused(config()), Ok(()));
    let read = |table| serde_json::from_value::<Config>(table).map(|c| c.offset_ms);
    let offset = |value: serde_json::Value| read(serde_json::json!({ "offset_ms": value })).ok();
    assert_eq!(offset(serde_json::json!(200)), Some(Offset::Each(200)));
    assert_eq!(
        offset(serde_json::json!("random")),
        Some(Offset::Drawn(Drawn::Random))
    );
    assert_eq!(offset(serde_json::json!("later")), None);
}
