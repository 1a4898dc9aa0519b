//! The baseline: commits, failover, and no two histories.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::central::{Central, Config, Header, Message, Roster};
use quorate_core::{BlockId, Blocks, Engine, Seed, Span, Time};

type Net = World<Central>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

fn started(n: u32) -> Net {
    let mut net = World::new(&Config::default(), n, Span::from_ms(50), 0);
    net.start();
    net
}

/// Submits a transaction every `period_ms`, up to `end_ms`.
fn load(net: &mut Net, period_ms: u64, end_ms: u64) {
    let mut at = net.now.ns() / 1_000_000;
    while at < end_ms {
        at = (at + period_ms).min(end_ms);
        net.run_until(at_ms(at));
        net.submit();
    }
}

fn committed_txs(net: &Net, i: u32) -> u32 {
    net.commits(i).iter().map(|c| net.txs(c.1)).sum()
}

#[test]
fn a_commit_takes_a_round_trip_and_two_writes() {
    let mut net = started(5);
    net.run_until(at_ms(1_000));
    net.submit();
    net.run_until(at_ms(2_000));
    // 2 ms at the primary, 50 there, 2 ms at the standby, 50 back; 50 more to the others.
    assert_eq!(net.commits(0)[0].0, at_ms(1_104));
    for i in 1..5 {
        assert_eq!(net.commits(i)[0].0, at_ms(1_154));
    }
    let of = |kind| net.messages.get(kind).map_or(0, |m| m.0);
    assert_eq!(of("append") + of("ack") + of("commit"), 2 * 4 + 1);
}

#[test]
fn those_who_arrive_meanwhile_form_the_next_group() {
    let mut net = started(3);
    for ms in [1_000, 1_010, 1_020, 1_103] {
        net.run_until(at_ms(ms));
        net.submit();
    }
    net.run_until(at_ms(2_000));
    let groups: Vec<_> = net.commits(0).iter().map(|c| (c.0, net.txs(c.1))).collect();
    assert_eq!(groups, [(at_ms(1_104), 1), (at_ms(1_208), 3)]);
}

#[test]
fn nothing_pending_sends_only_heartbeats() {
    let mut net = started(3);
    net.run_until(at_ms(25_000));
    assert_eq!(
        net.messages.keys().copied().collect::<Vec<_>>(),
        ["alive", "heartbeat"]
    );
    assert_eq!(net.messages["heartbeat"].0, 3 * 2);
}

/// The primary dies at 15 s; its last heartbeat arrived at 10.05 s. The lease ends at 40.05 s, the
/// vote takes a round trip, promotion 2 s, the new standby a round trip and a write, the new roster
/// a round trip.
#[test]
fn the_standby_takes_over_with_everything_that_committed() {
    let mut net = started(5);
    load(&mut net, 500, 14_500);
    net.run_until(at_ms(15_000));
    net.crash(&[0]);
    let before = net.commits(1);
    net.submit();
    net.run_until(at_ms(42_351));
    assert_eq!(net.commits(1), before);
    net.run_until(at_ms(60_000));
    let after = net.commits(1);
    assert_eq!(after[before.len()].0, at_ms(42_352 + 104));
    assert_eq!(net.count_notes(1, |n| *n == Note::RoundChange(2)), 1);
    net.assert_agreement(0);
    // The old primary comes back as a replica and catches up.
    net.restart(0);
    load(&mut net, 1_000, 90_000);
    net.run_until(at_ms(91_000));
    assert_eq!(net.head(0), net.head(1));
    assert_eq!(committed_txs(&net, 0), committed_txs(&net, 1));
    net.assert_agreement(0);
}

/// What the standby had acknowledged commits under the new primary, although the old one died
/// before it heard.
#[test]
fn an_acknowledged_group_survives() {
    let mut net = started(4);
    net.run_until(at_ms(1_000));
    net.submit();
    net.run_until(at_ms(1_080));
    net.crash(&[0]);
    assert_eq!(net.commits(0), []);
    net.run_until(at_ms(60_000));
    assert_eq!(committed_txs(&net, 1), 1);
    let (_, block) = net.commits(1)[0];
    assert_eq!(net.blocks.get(block).key.creator.get(), 0);
    net.assert_agreement(0);
}

#[test]
fn a_silent_standby_is_replaced_after_the_ttl() {
    let mut net = started(4);
    net.run_until(at_ms(5_000));
    net.crash(&[1]);
    net.submit();
    net.run_until(at_ms(30_000));
    assert_eq!(net.commits(0), [], "nothing commits without a standby");
    net.run_until(at_ms(45_000));
    assert_eq!(committed_txs(&net, 0), 1);
    net.restart(1);
    net.run_until(at_ms(90_000));
    assert_eq!(net.head(1), net.head(0));
    net.assert_agreement(0);
}

#[test]
fn a_primary_alone_stops_and_the_others_go_on() {
    let mut net = started(5);
    load(&mut net, 500, 10_400);
    net.partition(&[0]);
    let alone = committed_txs(&net, 0);
    load(&mut net, 500, 80_000);
    assert_eq!(committed_txs(&net, 0), alone);
    assert!(committed_txs(&net, 1) > alone + 50);
    net.partition(&[]);
    load(&mut net, 500, 120_000);
    net.run_until(at_ms(121_000));
    assert_eq!(net.head(0), net.head(4));
    net.assert_agreement(0);
}

/// A standby that misses the heartbeats stands for election; the others still see the primary.
#[test]
fn nobody_grants_while_the_lease_holds() {
    let mut net = started(5);
    net.lose(|p| matches!(p.load, Load::Message(Message::Heartbeat { .. })) && p.to == node(1));
    load(&mut net, 500, 100_000);
    net.run_until(at_ms(101_000));
    assert!(net.count_notes(1, |n| matches!(n, Note::RoundChange(_))) > 5);
    let commits = net.commits(0);
    assert_eq!(commits.len(), 200);
    assert!(
        commits
            .iter()
            .all(|c| net.blocks.get(c.1).key.creator == node(0))
    );
}

/// Leases that end later than the standby's delay the vote, not by a whole loop: the request is
/// remembered.
#[test]
fn a_candidate_that_comes_early_is_remembered() {
    let mut net = started(5);
    net.run_until(at_ms(12_000));
    for to in [2, 3, 4] {
        let roster = Roster {
            term: 1,
            version: 0,
            primary: node(0),
            standby: node(1),
        };
        let (term, beat, head) = (1, 2, net.head(0));
        let heartbeat = Message::Heartbeat {
            term,
            beat,
            roster,
            head,
        };
        net.deliver(0, to, heartbeat);
    }
    net.crash(&[0]);
    net.submit();
    net.run_until(at_ms(48_000));
    // Asked at 40.05 s, granted at 42 s; then as in the failover above.
    assert_eq!(net.commits(1)[0].0, at_ms(42_050 + 2_000 + 202 + 104));
}

/// A standby that was cut off for longer than its lease comes back: no failover.
#[test]
fn a_returning_standby_disturbs_nobody() {
    let mut net = started(5);
    load(&mut net, 500, 10_400);
    net.partition(&[1]);
    load(&mut net, 500, 44_900);
    net.partition(&[]);
    load(&mut net, 500, 100_000);
    net.run_until(at_ms(101_000));
    let commits = net.commits(0);
    assert!(
        commits
            .iter()
            .all(|c| net.blocks.get(c.1).key.creator == node(0))
    );
    assert_eq!(net.head(0), net.head(1));
    net.assert_agreement(0);
}

/// Primary and standby together are a minority: they may commit while the lease lasts, the others
/// must not elect anybody.
#[test]
fn a_minority_with_the_roster_stops_with_its_lease() {
    let mut net = started(5);
    load(&mut net, 500, 10_400);
    net.partition(&[0, 1]);
    load(&mut net, 500, 60_000);
    let last = net.commits(0).last().unwrap().0;
    assert!(last > at_ms(30_000) && last < at_ms(41_000), "{last}");
    assert_eq!(committed_txs(&net, 2), 20);
    net.partition(&[]);
    load(&mut net, 500, 120_000);
    net.run_until(at_ms(121_000));
    assert!(committed_txs(&net, 2) > 150);
    net.assert_agreement(0);
}

#[test]
fn losing_both_of_the_roster_halts_until_one_is_back() {
    let mut net = started(5);
    load(&mut net, 500, 10_400);
    net.crash(&[0, 1]);
    let before = committed_txs(&net, 2);
    load(&mut net, 500, 100_000);
    assert_eq!(committed_txs(&net, 2), before);
    net.restart(1);
    load(&mut net, 500, 160_000);
    assert!(committed_txs(&net, 2) > before + 100);
    net.assert_agreement(0);
}

// Messages that overtake each other, and one that is lost.

const FIRST: Header = Header { term: 1 };

const fn append(block: BlockId) -> Message {
    let (term, ack) = (1, node(1));
    Message::Append { term, block, ack }
}

/// Nodes 1 and 2 of three, and two groups that node 0 would have built.
fn without_primary() -> (Net, BlockId, BlockId) {
    let mut net: Net = World::new(&Config::default(), 3, Span::from_ms(50), 0);
    net.crash(&[0]);
    net.start();
    let a = net.forge(0, GENESIS, FIRST);
    let b = net.forge(0, a, FIRST);
    (net, a, b)
}

fn sent(net: &Net, kind: &str) -> u64 {
    net.messages.get(kind).map_or(0, |m| m.0)
}

/// A repeated Append that is overtaken by the next group's must not replace it: its Ack would be
/// missing until the next repetition.
#[test]
fn an_overtaken_append_does_not_replace_the_later_one() {
    let (mut net, a, b) = without_primary();
    net.trace = Some(Vec::new());
    let acks = |net: &Net, block: BlockId| {
        let ack = format!("{:?}", Message::Ack { term: 1, block });
        let trace = net.trace.iter().flatten();
        trace.filter(|deed| deed.contains(&ack)).count()
    };
    net.deliver(0, 1, append(a));
    net.run_until(at_ms(10));
    net.deliver(0, 1, append(b));
    net.run_until(at_ms(11));
    net.deliver(0, 1, append(a));
    net.run_until(at_ms(20));
    assert_eq!((acks(&net, a), acks(&net, b)), (1, 1));
    // Whoever repeats the end of the log has missed the Ack.
    net.deliver(0, 1, append(a));
    net.deliver(0, 1, append(b));
    net.run_until(at_ms(30));
    assert_eq!((acks(&net, a), acks(&net, b)), (1, 2));
}

/// Nor may it shorten the log: what was acknowledged may have committed.
#[test]
fn an_overtaken_append_does_not_shorten_the_log() {
    let (mut net, a, b) = without_primary();
    for block in [a, b, a] {
        net.deliver(0, 1, append(block));
        let soon = net.now + Span::from_ms(10);
        net.run_until(soon);
    }
    // Node 1 is elected and goes on with its log.
    net.run_until(at_ms(60_000));
    let blocks: Vec<_> = net.commits(1).iter().map(|c| c.1).collect();
    assert_eq!(blocks, [a, b]);
    net.assert_agreement(0);
}

/// The standby is given the end of a log whose lower part is still on its way.
#[test]
fn a_group_whose_parent_it_overtook_is_acknowledged_when_that_is_here() {
    let (mut net, a, b) = without_primary();
    net.deliver(0, 1, append(b));
    assert_eq!(net.count_notes(1, |n| *n == Note::Fetch(a)), 1, "at once");
    net.run_until(at_ms(10));
    assert_eq!(sent(&net, "ack"), 0);
    net.deliver(0, 1, append(a));
    net.run_until(at_ms(20));
    assert_eq!(sent(&net, "ack"), 1);
}

/// The Append left before its Commit: it is waited for, not asked for. A group below another that
/// is here is late enough to be asked for. Commits may come in any order.
#[test]
fn a_commit_that_overtook_its_group_waits_for_it() {
    let (mut net, a, b) = without_primary();
    let asked = |net: &Net| net.count_notes(2, |n| matches!(n, Note::Fetch(_) | Note::Sync(_)));
    net.deliver(0, 2, Message::Commit { block: a });
    assert_eq!((net.commits(2).len(), asked(&net)), (0, 0));
    net.deliver(0, 2, append(a));
    assert_eq!((net.head(2), asked(&net)), (a, 0));
    let c = net.forge(0, b, FIRST);
    net.deliver(0, 2, append(c));
    net.deliver(0, 2, Message::Commit { block: c });
    assert_eq!(net.count_notes(2, |n| *n == Note::Fetch(b)), 1);
    net.deliver(0, 2, Message::Commit { block: b });
    net.deliver(0, 2, append(b));
    assert_eq!(net.head(2), c);
}

/// What a primary of an earlier term sent may never come.
#[test]
fn a_group_of_an_earlier_term_is_asked_for() {
    let (mut net, a, _) = without_primary();
    let (primary, standby) = (node(1), node(2));
    let roster = Roster {
        term: 2,
        version: 0,
        primary,
        standby,
    };
    let (term, beat, head) = (2, 1, GENESIS);
    let heartbeat = Message::Heartbeat {
        term,
        beat,
        roster,
        head,
    };
    net.deliver(1, 2, heartbeat);
    net.hold(1, a);
    net.deliver(1, 2, Message::Commit { block: a });
    net.run_until(at_ms(200));
    assert_eq!(net.head(2), a);
}

#[test]
fn a_group_that_is_lost_on_its_way_is_sent_again_after_five_seconds() {
    for what in ["append", "ack"] {
        let mut net = started(4);
        net.run_until(at_ms(11_000));
        net.lose(move |p| match p.load {
            Load::Message(Message::Append { .. }) => what == "append" && p.to == node(1),
            Load::Message(Message::Ack { .. }) => what == "ack",
            _ => false,
        });
        net.submit();
        net.run_until(at_ms(15_000));
        net.lose_nothing();
        assert_eq!(net.commits(0), []);
        net.run_until(at_ms(17_000));
        assert_eq!(net.commits(0)[0].0, at_ms(11_002 + 5_000 + 102), "{what}");
        // Three, and one to the standby alone.
        assert_eq!(sent(&net, "append"), 4);
    }
}

/// When a node has committed each of the transactions, in the order in which they were submitted.
fn committed_at(net: &Net, i: u32) -> Vec<Time> {
    let commits = net.commits(i).into_iter();
    commits
        .flat_map(|(time, block)| std::iter::repeat_n(time, net.txs(block) as usize))
        .collect()
}

/// Delays that are random for every message, without loss: whoever just missed a group waits for
/// two, wherever it asks. Nobody stands for election.
#[test]
fn swarm_reordering_stalls_nothing() {
    let mut asked = 0;
    for seed in 0..200 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 2);
        let n = 2 + draws.below(6) as u32;
        let (shortest, longer) = (draws.below(20), 1 + draws.below(400));
        let mut net: Net = World::new(&Config::default(), n, Span::from_ms(shortest), seed);
        net.reorder(
            Span::from_ms(longer),
            Seed::new(seed, 0).stream("jitter", 0),
        );
        net.start();
        let mut submitted = Vec::new();
        while net.now < at_ms(65_000) {
            let pause = Span::from_ms(draws.below(1 + 2 * longer));
            let next = net.now + pause;
            net.run_until(next);
            net.submit();
            submitted.push(next);
        }
        let delay = Span::from_ms(shortest + longer);
        let bound = (delay + Span::from_ms(2)) * 4 + delay;
        let end = net.now + bound;
        net.run_until(end);
        for i in 0..n {
            let committed = committed_at(&net, i);
            assert_eq!(
                committed.len(),
                submitted.len(),
                "seed {seed}: node {i} of {n}"
            );
            for (from, to) in submitted.iter().zip(committed) {
                assert!(
                    to <= *from + bound,
                    "seed {seed}: node {i} of {n}: {from} to {to}"
                );
            }
            let of = |is: fn(&Note) -> bool| net.count_notes(i, is);
            assert_eq!(
                of(|n| matches!(n, Note::RoundChange(_))),
                0,
                "seed {seed}: node {i}"
            );
            asked += of(|n| matches!(n, Note::Fetch(_)));
        }
        net.assert_agreement(seed);
    }
    assert!(asked > 0, "nothing was ever overtaken by a whole round");
}

/// Loss, crashes, restarts and partitions for five minutes, then none.
#[test]
fn swarm_agreement_and_recovery() {
    for seed in 0..200 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 1);
        let n = 3 + draws.below(5) as u32;
        let delay = Span::from_ms(1 + draws.below(400));
        let mut net: Net = World::new(&Config::default(), n, delay, seed);
        let loss = draws.open01() * 0.3;
        let mut dice = Seed::new(seed, 0).stream("loss", 1);
        net.lose(move |_| dice.chance(loss));
        net.start();
        for step in 1..=100 {
            net.run_until(at_ms(3_000 * step));
            net.submit();
            let i = draws.below(u64::from(n)) as u32;
            match draws.below(8) {
                0 if !net.is_down(i) => net.crash(&[i]),
                1 | 2 if net.is_down(i) => net.restart(i),
                3 => net.partition(&[i]),
                4 => net.partition(&[i, (i + 1) % n]),
                5 => net.partition(&[]),
                _ => {}
            }
        }
        net.partition(&[]);
        net.lose_nothing();
        for i in 0..n {
            if net.is_down(i) {
                net.restart(i);
            }
        }
        net.assert_agreement(seed);
        load(&mut net, 5_000, 500_000);
        net.run_until(at_ms(520_000));
        net.assert_agreement(seed);
        for i in 0..n {
            let got = committed_txs(&net, i);
            assert_eq!(got, 140, "seed {seed}: node {i} of {n} lacks transactions");
        }
    }
}

#[test]
fn one_node_may_be_down() {
    let p = Central::promises(&Config::default(), 5);
    assert_eq!((p.byzantine, p.crashed, p.quorum), (0, 1, 2));
    assert_eq!(Central::promises(&Config::default(), 2).crashed, 0);
    assert!(Central::validate(&Config::default(), 1).is_err());
}
