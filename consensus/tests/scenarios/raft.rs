//! Raft: elections, the log, what commits and what does not.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::raft::{Config, Header, Message, Place, Raft, Timeouts};
use quorate_core::math::sqrt;
use quorate_core::{BlockId, Blocks, Draws, Engine, NodeId, Seed, Span, Time};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

type Net = World<Raft>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;
const BEFORE: Place = Place { term: 0, height: 0 };

/// Fabric without its batches and writes.
fn plain() -> Config {
    Config {
        batch_timeout_ms: 0,
        fsync_ms: 0.0,
        ..Config::default()
    }
}

fn world(config: &Config, n: u32) -> Net {
    World::new(config, n, Span::from_ms(50), 0)
}

/// With node 0 as leader of term 1, who was elected after 1.2 s.
fn started(config: &Config, n: u32) -> Net {
    let mut net = world(config, n);
    net.start();
    net.run_until(at_ms(3_000));
    assert_eq!(net.blocks.get(net.head(n - 1)).key.creator, node(0));
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

fn sent(net: &Net, kind: &str) -> u64 {
    net.messages.get(kind).map_or(0, |m| m.0)
}

/// The term of the last committed block.
fn term(net: &Net, i: u32) -> u32 {
    net.blocks.get(net.head(i)).header.term
}

fn campaigns(net: &Net, i: u32) -> usize {
    net.count_notes(i, |n| matches!(n, Note::RoundChange(_)))
}

/// How often a message was sent since the trace began.
fn said(net: &Net, message: &Message) -> usize {
    let deed = format!("Send({message:?}");
    let trace = net.trace.iter().flatten();
    trace.filter(|line| line.contains(&deed)).count()
}

// ---- electing --------------------------------------------------------------------------------

/// The picked node stands after two heartbeats; pre-vote and vote take a round trip each, and so
/// does the block that opens its term.
#[test]
fn the_picked_node_is_elected_and_commits_a_block_of_its_own() {
    let net = started(&plain(), 5);
    assert_eq!(net.commits(0)[0].0, at_ms(1_300));
    for i in 1..5 {
        assert_eq!(net.commits(i)[0].0, at_ms(1_350));
        assert_eq!(campaigns(&net, i), 0);
    }
    assert_eq!((campaigns(&net, 0), term(&net, 0)), (1, 1));
    assert_eq!((sent(&net, "pre-vote"), sent(&net, "vote")), (4, 4));
    assert_eq!(sent(&net, "vote-reply"), 8);
}

#[test]
fn without_a_picked_node_somebody_stands_after_its_timeout() {
    let config = Config {
        campaign_at_start: false,
        ..plain()
    };
    let mut net = world(&config, 5);
    net.start();
    net.run_until(at_ms(4_999));
    assert!((0..5).all(|i| campaigns(&net, i) == 0));
    net.run_until(at_ms(12_000));
    assert!((0..5).any(|i| campaigns(&net, i) > 0));
    assert!((0..5).all(|i| net.height(i) == 1));
}

/// The share of draws that split the vote is a closed form, checked elsewhere; here: whoever splits
/// it tries again in a later term, and no term has two leaders.
#[test]
fn a_split_vote_is_followed_by_another_term() {
    let config = Config {
        fsync_ms: 0.0,
        ..Config::preset("paper").unwrap()
    };
    let mut splits = 0;
    for seed in 0..60 {
        let mut net: Net = World::new(&config, 3, Span::from_ms(15), seed);
        net.crash(&[2]);
        net.start();
        net.run_until(at_ms(3_000));
        assert_terms(&net, seed);
        assert_eq!(net.height(0), 1, "seed {seed}");
        let both = campaigns(&net, 0) > 0 && campaigns(&net, 1) > 0;
        assert!(term(&net, 0) == 1 || both);
        splits += u32::from(term(&net, 0) > 1);
    }
    // Expected: 0.19 of 60.
    assert!(splits > 4 && splits < 20, "{splits}");
}

#[test]
fn a_node_that_was_cut_off_disturbs_nobody_after_pre_votes_only() {
    let after = |pre_vote, check_quorum| {
        let config = Config {
            pre_vote,
            check_quorum,
            ..plain()
        };
        let mut net = started(&config, 5);
        net.partition(&[4]);
        load(&mut net, 1_000, 63_000);
        net.partition(&[]);
        load(&mut net, 1_000, 100_000);
        net.run_until(at_ms(101_000));
        assert!(campaigns(&net, 4) > 3);
        assert_eq!(net.head(0), net.head(4));
        net.assert_agreement(0);
        term(&net, 0)
    };
    assert_eq!(after(true, true), 1);
    assert_eq!(after(true, false), 1);
    assert!(after(false, false) > 3);
    // Its requests are ignored, but its answers to the leader are of a later term.
    assert!(after(false, true) > 3);
}

/// Followers that heard from the leader lately do not answer; without the rule they vote.
#[test]
fn nobody_votes_against_a_leader_that_lives() {
    for check_quorum in [true, false] {
        let config = Config {
            check_quorum,
            ..plain()
        };
        let mut net = started(&config, 3);
        net.trace = Some(Vec::new());
        let last = Place { term: 1, height: 1 };
        let (term, pre, granted) = (2, false, true);
        net.deliver(2, 1, Message::Campaign { term, last, pre });
        let votes = said(&net, &Message::Vote { term, pre, granted });
        assert_eq!(votes, usize::from(!check_quorum));
    }
}

#[test]
fn a_leader_without_a_majority_steps_down() {
    for check_quorum in [true, false] {
        let config = Config {
            check_quorum,
            ..plain()
        };
        let mut net = started(&config, 5);
        net.partition(&[0]);
        net.run_until(at_ms(40_000));
        // A leader does not stand.
        assert_eq!(campaigns(&net, 0) > 1, check_quorum);
        assert!(term(&net, 1) > 1);
        net.partition(&[]);
        load(&mut net, 1_000, 60_000);
        net.run_until(at_ms(61_000));
        assert_eq!(net.head(0), net.head(1));
        net.assert_agreement(0);
    }
}

/// Node 1 of three, with the blocks `a` and `b` of term 1 that node 0 would have sent; alone.
fn follower() -> (Net, BlockId, BlockId) {
    let config = Config {
        campaign_at_start: false,
        check_quorum: false,
        ..plain()
    };
    let mut net = world(&config, 3);
    net.crash(&[0, 2]);
    net.start();
    let a = net.forge(0, GENESIS, Header { term: 1 });
    let b = net.forge(0, a, Header { term: 1 });
    net.trace = Some(Vec::new());
    (net, a, b)
}

fn append(term: u32, prev: Place, block: BlockId) -> Message {
    Message::Append {
        term,
        prev,
        block: Some(block),
        commit: BEFORE,
        first: false,
    }
}

const fn ack(term: u32, place: Place) -> Message {
    let block = true;
    Message::Ack { term, place, block }
}

const fn at(term: u32, height: u32) -> Place {
    Place { term, height }
}

#[test]
fn votes_go_to_logs_that_are_as_late_as_the_own() {
    for (last, granted) in [
        (at(1, 1), false),
        (at(1, 2), true),
        (at(1, 3), true),
        (at(2, 1), true),
        (at(0, 9), false),
    ] {
        let (mut net, a, b) = follower();
        net.deliver(0, 1, append(1, BEFORE, a));
        net.deliver(0, 1, append(1, at(1, 1), b));
        let (term, pre) = (5, false);
        net.deliver(2, 1, Message::Campaign { term, last, pre });
        let vote = Message::Vote { term, pre, granted };
        assert_eq!(said(&net, &vote), 1, "{last:?}");
    }
}

#[test]
fn one_vote_a_term_also_across_a_crash() {
    let (mut net, _, _) = follower();
    let last = at(0, 0);
    let ask = |term| Message::Campaign {
        term,
        last,
        pre: false,
    };
    let vote = |term, granted| Message::Vote {
        term,
        pre: false,
        granted,
    };
    net.deliver(2, 1, ask(4));
    assert_eq!(said(&net, &vote(4, true)), 1);
    net.crash(&[1]);
    net.restart(1);
    net.deliver(0, 1, ask(4));
    assert_eq!(said(&net, &vote(4, false)), 1);
    net.deliver(2, 1, ask(4));
    assert_eq!(said(&net, &vote(4, true)), 2);
    net.deliver(0, 1, ask(5));
    assert_eq!(said(&net, &vote(5, true)), 1);
    // And a term that is over.
    net.deliver(0, 1, ask(3));
    assert_eq!(said(&net, &vote(5, false)), 1);
}

/// It neither binds whoever grants it nor moves their term.
#[test]
fn a_pre_vote_binds_nobody() {
    let (mut net, _, _) = follower();
    let last = at(0, 0);
    for from in [0, 2] {
        let (term, pre, granted) = (7, true, true);
        net.deliver(from, 1, Message::Campaign { term, last, pre });
        assert!(said(&net, &Message::Vote { term, pre, granted }) > 0);
    }
    let (term, pre, granted) = (1, false, true);
    net.deliver(0, 1, Message::Campaign { term, last, pre });
    assert_eq!(said(&net, &Message::Vote { term, pre, granted }), 1);
}

#[test]
fn a_leader_of_an_earlier_term_is_told() {
    let (mut net, a, _) = follower();
    let commit = BEFORE;
    net.deliver(0, 1, Message::Heartbeat { term: 3, commit });
    net.deliver(2, 1, append(2, BEFORE, a));
    assert_eq!(said(&net, &Message::Stale { term: 3 }), 1);
    assert_eq!(said(&net, &ack(2, at(1, 1))), 0);
}

// ---- the log ---------------------------------------------------------------------------------

#[test]
fn a_commit_takes_a_round_trip_and_two_writes() {
    for (fsync_ms, leader) in [(0.0, 3_110), (2.0, 3_114)] {
        let config = Config {
            fsync_ms,
            ..plain()
        };
        let mut net = started(&config, 5);
        let before = (sent(&net, "append"), sent(&net, "commit"));
        net.run_until(at_ms(3_010));
        net.submit();
        net.run_until(at_ms(3_400));
        assert_eq!(net.commits(0)[1].0, at_ms(leader));
        for i in 1..5 {
            assert_eq!(net.commits(i)[1].0, at_ms(leader + 50));
        }
        assert_eq!(sent(&net, "append") - before.0, 4);
        // The commit is said at once, and answered.
        assert_eq!(sent(&net, "commit") - before.1, 4);
    }
}

/// Where the logs may agree is found by terms, not block by block; what differs is replaced.
#[test]
fn a_rejection_skips_what_cannot_agree() {
    // As in the comments of etcd's raft.go: follower and leader by height.
    let terms = [1, 3, 3, 4, 4, 5, 5, 5, 6];
    let (mut net, _, _) = follower();
    let chain = grow(&mut net, 1, &terms);
    let reject = |prev, hint| Message::Reject {
        term: 7,
        prev,
        hint,
    };
    let other = net.forge(2, chain[1], Header { term: 3 });
    let probe = |prev| append(7, prev, other);
    net.deliver(2, 1, probe(at(7, 12)));
    net.deliver(2, 1, probe(at(3, 8)));
    // That of the own term may be on its way: it waits.
    assert_eq!(said(&net, &reject(at(7, 12), at(6, 9))), 0);
    assert_eq!(said(&net, &reject(at(3, 8), at(3, 3))), 1);
    net.deliver(2, 1, probe(at(6, 12)));
    assert_eq!(said(&net, &reject(at(6, 12), at(6, 9))), 1);
    // Height 3 now, and nothing of the old above it.
    net.deliver(2, 1, probe(at(3, 2)));
    assert_eq!(said(&net, &ack(7, at(3, 3))), 1);
    net.deliver(2, 1, probe(at(6, 9)));
    assert_eq!(said(&net, &reject(at(6, 9), at(3, 3))), 1);
}

/// Gives a node a log of these terms; the blocks from height 1.
fn grow(net: &mut Net, to: u32, terms: &[u32]) -> Vec<BlockId> {
    let mut chain: Vec<BlockId> = Vec::new();
    let mut prev = BEFORE;
    for &term in terms {
        let parent = chain.last().copied().unwrap_or(GENESIS);
        let block = net.forge(2, parent, Header { term });
        net.deliver(2, to, append(term, prev, block));
        prev = at(term, prev.height + 1);
        chain.push(block);
    }
    chain
}

/// Node 1 leads after its timeout, with a log of these terms; its term, and the blocks.
fn leader(terms: &[u32]) -> (Net, u32, Vec<BlockId>) {
    let (mut net, _, _) = follower();
    let chain = grow(&mut net, 1, terms);
    net.run_until(at_ms(10_000));
    let (pre, granted) = (true, true);
    let term = terms.last().unwrap() + 1;
    net.deliver(2, 1, Message::Vote { term, pre, granted });
    let pre = false;
    net.deliver(2, 1, Message::Vote { term, pre, granted });
    net.run_until(at_ms(10_001));
    (net, term, chain)
}

#[test]
fn the_leader_goes_back_by_terms() {
    let (mut net, term, chain) = leader(&[1, 3, 3, 3, 5, 5, 5, 5, 5]);
    let (prev, hint) = (at(5, 9), at(2, 6));
    let next = |height: u32, below| {
        let block = Some(chain[height as usize - 1]);
        let (commit, first) = (BEFORE, false);
        let prev = below;
        Message::Append {
            term,
            prev,
            block,
            commit,
            first,
        }
    };
    net.deliver(2, 1, Message::Reject { term, prev, hint });
    assert_eq!(said(&net, &next(2, at(1, 1))), 1);
    // An answer to an older probe moves nothing.
    net.deliver(2, 1, Message::Reject { term, prev, hint });
    assert_eq!(said(&net, &next(2, at(1, 1))), 1);
    // One at a time until one is accepted; then as many as may be in flight.
    assert_eq!(said(&net, &next(3, at(3, 2))), 0);
    net.deliver(2, 1, ack(term, at(3, 2)));
    for height in 3..=7 {
        let below = at(if height <= 5 { 3 } else { 5 }, height - 1);
        assert_eq!(said(&net, &next(height, below)), 1, "{height}");
    }
    assert_eq!(said(&net, &next(8, at(5, 7))), 0);
    net.deliver(2, 1, ack(term, at(3, 3)));
    assert_eq!(said(&net, &next(8, at(5, 7))), 1);
}

/// Figure 8 of the paper: a block of an earlier term on a majority may still be replaced.
#[test]
fn a_block_of_an_earlier_term_commits_only_through_one_of_the_leader() {
    let (mut net, term, chain) = leader(&[1, 2]);
    net.deliver(2, 1, ack(term, at(2, 2)));
    assert_eq!(net.commits(1), []);
    net.deliver(2, 1, ack(term, at(term, 3)));
    let blocks: Vec<_> = net.commits(1).iter().map(|c| c.1).collect();
    assert_eq!(blocks.len(), 3);
    assert_eq!(blocks[..2], chain[..]);
}

/// Everybody but the leader has the block, whose acknowledgements it never sees.
#[test]
fn what_is_on_its_way_when_the_leader_dies_survives() {
    let mut net = started(&plain(), 5);
    net.run_until(at_ms(3_010));
    net.submit();
    net.run_until(at_ms(3_080));
    net.crash(&[0]);
    assert_eq!(committed_txs(&net, 0), 0);
    net.run_until(at_ms(20_000));
    for i in 1..5 {
        assert_eq!(committed_txs(&net, i), 1);
        assert_eq!(net.blocks.get(net.commits(i)[1].1).key.creator, node(0));
    }
    net.restart(0);
    net.run_until(at_ms(22_000));
    assert_eq!(net.head(0), net.head(1));
    net.assert_agreement(0);
}

/// What only the old leader has is replaced, and its transactions are ordered again.
#[test]
fn what_only_the_dead_leader_has_is_replaced() {
    let mut net = started(&plain(), 5);
    net.partition(&[0]);
    net.run_until(at_ms(3_010));
    net.submit();
    net.run_until(at_ms(3_020));
    let mut built = (1..=net.blocks.last().get()).map(BlockId::new);
    let lost = built.find(|b| net.txs(*b) == 1).expect("it was cut");
    net.run_until(at_ms(40_000));
    net.partition(&[]);
    net.run_until(at_ms(45_000));
    assert_eq!(committed_txs(&net, 0), 1);
    assert_eq!(net.head(0), net.head(1));
    assert!(net.commits(0).iter().all(|c| c.1 != lost));
    net.assert_agreement(0);
}

/// A repeated Append that is overtaken by later ones neither shortens the log nor takes anything
/// back.
#[test]
fn an_overtaken_append_does_not_shorten_the_log() {
    let (mut net, a, b) = follower();
    for (prev, block) in [(BEFORE, a), (at(1, 1), b), (BEFORE, a)] {
        net.deliver(0, 1, append(1, prev, block));
    }
    let c = net.forge(0, b, Header { term: 1 });
    net.deliver(0, 1, append(1, at(1, 2), c));
    assert_eq!(said(&net, &ack(1, at(1, 3))), 1);
    let (mut net, term, _) = leader(&[1, 2]);
    net.deliver(2, 1, ack(term, at(term, 3)));
    let before = net.commits(1).len();
    net.deliver(2, 1, ack(term, at(1, 1)));
    net.deliver(2, 1, ack(term, at(2, 2)));
    assert_eq!((net.commits(1).len(), before), (3, 3));
}

/// Within a term what is missing below left earlier: it is waited for. Across terms it may never
/// come: it is asked for at once.
#[test]
fn a_block_that_overtook_the_one_below_waits_for_it() {
    let (mut net, a, b) = follower();
    net.deliver(0, 1, append(1, at(1, 1), b));
    assert_eq!((sent(&net, "ack"), sent(&net, "reject")), (0, 0));
    net.deliver(0, 1, append(1, BEFORE, a));
    assert_eq!(said(&net, &ack(1, at(1, 2))), 1);
    let (mut net, _, b) = follower();
    net.deliver(0, 1, append(2, at(1, 1), b));
    assert_eq!((sent(&net, "ack"), sent(&net, "reject")), (0, 1));
}

#[test]
fn a_commit_that_overtook_its_block_waits_for_it() {
    let (mut net, a, b) = follower();
    let (term, commit) = (1, at(1, 2));
    net.deliver(0, 1, Message::Heartbeat { term, commit });
    net.deliver(0, 1, append(1, BEFORE, a));
    assert_eq!(net.commits(1), []);
    net.deliver(0, 1, append(1, at(1, 1), b));
    let blocks: Vec<_> = net.commits(1).iter().map(|c| c.1).collect();
    assert_eq!(blocks, [a, b]);
    // The place of another log tells nothing.
    let (mut net, a, _) = follower();
    net.deliver(0, 1, append(1, BEFORE, a));
    let (term, commit) = (2, at(2, 1));
    net.deliver(2, 1, Message::Heartbeat { term, commit });
    assert_eq!(net.commits(1), []);
}

/// An Append or its answer is lost: the next heartbeat's answer shows it.
#[test]
fn what_is_lost_is_sent_again_after_a_heartbeat() {
    for what in ["append", "ack"] {
        let mut net = started(&plain(), 3);
        net.run_until(at_ms(3_010));
        net.lose(move |p| match p.load {
            Load::Message(Message::Append { block, .. }) => what == "append" && block.is_some(),
            Load::Message(Message::Ack { block, .. }) => what == "ack" && *block,
            _ => false,
        });
        net.submit();
        net.run_until(at_ms(3_120));
        net.lose_nothing();
        assert_eq!(net.commits(0).len(), 1);
        net.run_until(at_ms(4_300));
        assert_eq!(net.commits(0).len(), 2, "{what}");
        assert_eq!(net.head(0), net.head(2));
    }
}

/// A follower that was away for long is sent the last block and asks for the others.
#[test]
fn whoever_was_away_for_long_gets_a_snapshot() {
    for (snapshot_bytes, snapshots) in [(50_000, true), (1_000_000_000, false)] {
        let config = Config {
            snapshot_bytes,
            ..plain()
        };
        let mut net = started(&config, 3);
        net.crash(&[2]);
        load(&mut net, 500, 30_000);
        net.restart(2);
        net.run_until(at_ms(36_000));
        assert_eq!(net.head(2), net.head(0));
        assert_eq!(sent(&net, "snapshot") > 0, snapshots);
        let asked = net.count_notes(2, |n| matches!(n, Note::Sync(_)));
        assert_eq!(asked > 0, snapshots);
        net.assert_agreement(0);
        // And follows from there.
        load(&mut net, 500, 40_000);
        net.run_until(at_ms(40_200));
        assert_eq!(net.head(2), net.head(0));
    }
}

// ---- peers -----------------------------------------------------------------------------------

fn with_peers() -> Net {
    let config = Config {
        orderers: 3,
        ..plain()
    };
    started(&config, 6)
}

#[test]
fn peers_get_what_the_leader_commits() {
    let mut net = with_peers();
    net.run_until(at_ms(3_010));
    net.submit();
    net.run_until(at_ms(3_200));
    for i in 1..6 {
        assert_eq!(net.commits(i)[1].0, at_ms(3_160));
    }
    assert_eq!(sent(&net, "deliver"), 2 * 3);
    let voters: BTreeSet<_> = net.committee.members().map(NodeId::get).collect();
    assert_eq!(voters, BTreeSet::from([0, 1, 2]));
    assert_eq!(sent(&net, "append"), 2 * 2);
}

#[test]
fn a_peer_that_missed_a_block_asks_an_orderer() {
    let mut net = with_peers();
    net.lose(|p| matches!(p.load, Load::Message(Message::Deliver { .. })) && p.to == node(4));
    load(&mut net, 500, 4_000);
    net.run_until(at_ms(4_200));
    net.lose_nothing();
    assert!(net.head(4) != net.head(3));
    // The next block shows the hole; it is asked for when it is still there a tick later.
    load(&mut net, 500, 4_500);
    net.run_until(at_ms(6_000));
    assert_eq!(net.head(4), net.head(3));
    // Nothing shows that the last one is missing, but silence.
    net.lose(|p| matches!(p.load, Load::Message(Message::Deliver { .. })) && p.to == node(4));
    load(&mut net, 500, 6_500);
    net.run_until(at_ms(13_000));
    assert_eq!(net.head(4), net.head(3));
    net.assert_agreement(0);
}

#[test]
fn peers_follow_the_next_leader() {
    let mut net = with_peers();
    load(&mut net, 500, 10_000);
    net.crash(&[0, 5]);
    load(&mut net, 500, 40_000);
    net.restart(5);
    load(&mut net, 500, 60_000);
    net.run_until(at_ms(61_000));
    assert!(term(&net, 5) > 1);
    for i in 1..6 {
        assert_eq!(committed_txs(&net, i), 114);
    }
    net.assert_agreement(0);
}

#[test]
fn two_of_three_orderers_are_needed() {
    let mut net = with_peers();
    net.crash(&[1]);
    load(&mut net, 500, 10_000);
    assert!(committed_txs(&net, 3) > 10);
    net.crash(&[2]);
    net.run_until(at_ms(11_000));
    let before = committed_txs(&net, 3);
    load(&mut net, 500, 40_000);
    assert_eq!(committed_txs(&net, 3), before);
    net.restart(2);
    load(&mut net, 500, 60_000);
    net.run_until(at_ms(62_000));
    assert_eq!(committed_txs(&net, 3), 112);
}

// ---- everything ------------------------------------------------------------------------------

/// Election safety and log matching: a term has one leader, who puts one block on a height.
fn assert_terms(net: &Net, seed: u64) {
    let mut leaders = BTreeMap::new();
    let mut places = BTreeSet::new();
    for id in 1..=net.blocks.last().get() {
        let block = net.blocks.get(BlockId::new(id));
        let term = block.header.term;
        let leader = *leaders.entry(term).or_insert(block.key.creator);
        assert_eq!(
            leader, block.key.creator,
            "seed {seed}: two leaders in term {term}"
        );
        let below = net.blocks.get(block.parent.unwrap()).header.term;
        assert!(below <= term, "seed {seed}: terms go down");
        // Only an empty cut is tried twice on one height.
        if block.txs > 0 {
            assert!(
                places.insert((term, block.height)),
                "seed {seed}: term {term}"
            );
        }
    }
}

fn drawn(draws: &mut Draws, n: u32) -> Config {
    Config {
        pre_vote: draws.chance(0.7),
        check_quorum: draws.chance(0.7),
        campaign_at_start: draws.chance(0.5),
        timeouts: [Timeouts::Ticks, Timeouts::Continuous][draws.below(2) as usize],
        orderers: if draws.chance(0.3) { 3 } else { n },
        max_inflight_blocks: 1 + draws.below(5) as u32,
        snapshot_bytes: 1 + draws.below(300_000),
        fsync_ms: draws.open01() * 20.0,
        batch_timeout_ms: draws.below(2) * 2_000,
        ..Config::default()
    }
}

/// Loss, reordering, crashes, restarts and partitions for five minutes, then none.
#[test]
fn swarm_agreement_and_recovery() {
    for seed in 0..200 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 3);
        let n = 3 + draws.below(5) as u32;
        let delay = Span::from_ms(1 + draws.below(200));
        let config = drawn(&mut draws, n);
        let mut net: Net = World::new(&config, n, delay, seed);
        let longest = Span::from_ms(draws.below(300));
        net.reorder(longest, Seed::new(seed, 0).stream("jitter", 3));
        let loss = draws.open01() * 0.2;
        let mut dice = Seed::new(seed, 0).stream("loss", 3);
        net.lose(move |_| dice.chance(loss));
        net.start();
        for step in 1..=300 {
            net.run_until(at_ms(1_000 * step));
            net.submit();
            let i = draws.below(u64::from(n)) as u32;
            match draws.below(20) {
                0 if !net.is_down(i) => net.crash(&[i]),
                1 | 2 if net.is_down(i) => net.restart(i),
                3 => net.partition(&[i]),
                4 => net.partition(&[i, (i + 1) % n]),
                5 => net.partition(&[]),
                _ => {}
            }
        }
        net.assert_agreement(seed);
        net.partition(&[]);
        net.lose_nothing();
        for i in 0..n {
            if net.is_down(i) {
                net.restart(i);
            }
        }
        load(&mut net, 5_000, 400_000);
        net.run_until(at_ms(420_000));
        net.assert_agreement(seed);
        assert_terms(&net, seed);
        for i in 0..n {
            let got = committed_txs(&net, i);
            assert_eq!(got, 320, "seed {seed}: node {i} of {n} lacks transactions");
        }
    }
}

/// Election safety where elections are all that happens: nodes that come and go ten times a second,
/// up to half of all messages lost, partitions, every variant of voting. Whoever leads builds a block
/// at once, so that the blocks of a term tell its leaders.
#[test]
fn swarm_election_safety() {
    let (mut contested, mut led) = (0, 0);
    for seed in 0..400 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 5);
        let n = 2 + draws.below(8) as u32;
        let config = Config {
            orderers: 0,
            campaign_at_start: false,
            ..drawn(&mut draws, n)
        };
        let config = if draws.chance(0.5) {
            Config {
                tick_ms: 100,
                election_ticks: 2 + draws.below(9),
                ..config
            }
        } else {
            Config {
                fsync_ms: config.fsync_ms,
                pre_vote: config.pre_vote,
                ..Config::preset("paper").expect("it is listed")
            }
        };
        let mut net: Net = World::new(&config, n, Span::from_ms(1 + draws.below(60)), seed);
        let longest = Span::from_ms(draws.below(100));
        net.reorder(longest, Seed::new(seed, 0).stream("jitter", 5));
        let loss = draws.open01() * 0.5;
        let mut dice = Seed::new(seed, 0).stream("loss", 5);
        net.lose(move |_| dice.chance(loss));
        net.start();
        for step in 1..=300 {
            net.run_until(at_ms(100 * step));
            let i = draws.below(u64::from(n)) as u32;
            match draws.below(12) {
                0 | 1 if !net.is_down(i) => net.crash(&[i]),
                0..=3 if net.is_down(i) => net.restart(i),
                4 => net.partition(&[i]),
                5 => net.partition(&[i, (i + 1) % n]),
                6 => net.partition(&[]),
                _ => {}
            }
        }
        assert_terms(&net, seed);
        net.assert_agreement(seed);
        let mut candidates: BTreeMap<u32, BTreeSet<NodeId>> = BTreeMap::new();
        for (_, who, note) in &net.notes {
            if let Note::RoundChange(term) = note {
                candidates.entry(*term).or_default().insert(*who);
            }
        }
        contested += candidates.values().filter(|c| c.len() > 1).count();
        led += net.blocks.last().get();
    }
    assert!(contested > 1_000 && led > 1_000, "{contested}, {led}");
}

// ---- GoQuorum --------------------------------------------------------------------------------

fn goquorum() -> Config {
    Config {
        fsync_ms: 0.0,
        ..Config::preset("goquorum-raft").expect("it is listed")
    }
}

/// With somebody elected, and nothing pending; who it is.
fn elected(config: &Config) -> (Net, u32) {
    let mut net = world(config, 3);
    net.start();
    net.run_until(at_ms(5_000));
    let leader = net.blocks.get(net.head(0)).key.creator;
    assert_eq!(net.commits(0).len(), 1);
    (net, leader.get())
}

/// source: GoQuorum documentation, minting frequency: at once if the last block is 50 ms old, and
/// otherwise 50 ms after it.
#[test]
fn blocks_are_minted_at_once_and_50_ms_apart() {
    let (mut net, leader) = elected(&goquorum());
    for ms in [5_000, 5_010, 5_049, 5_051, 5_300, 5_340] {
        net.run_until(at_ms(ms));
        net.submit();
    }
    net.run_until(at_ms(6_000));
    let built: Vec<(Time, u32)> = net.commits(leader)[1..]
        .iter()
        .map(|c| (net.blocks.get(c.1).timestamp, net.txs(c.1)))
        .collect();
    let want = [(5_000, 1), (5_050, 2), (5_100, 1), (5_300, 1), (5_350, 1)];
    assert_eq!(built, want.map(|(ms, txs)| (at_ms(ms), txs)));
    // Blocks are in flight together: a commit takes 100 ms.
    assert_eq!(net.commits(leader)[2].0, at_ms(5_150));
}

#[test]
fn nothing_is_minted_while_nothing_is_pending() {
    let (mut net, leader) = elected(&goquorum());
    net.run_until(at_ms(60_000));
    assert_eq!(net.commits(leader).len(), 1);
}

/// The driver calls every batch full at once, which ends the batch timeout, and not the interval.
#[test]
fn an_interval_of_minting_holds_full_batches_back() {
    let config = Config {
        batch_timeout_ms: 200,
        mint_interval_ms: 300,
        ..goquorum()
    };
    let (mut net, leader) = elected(&config);
    net.submit();
    net.run_until(at_ms(5_250));
    net.submit();
    net.run_until(at_ms(7_000));
    net.submit();
    net.run_until(at_ms(8_000));
    let built: Vec<Time> = net.commits(leader)[1..]
        .iter()
        .map(|c| net.blocks.get(c.1).timestamp)
        .collect();
    assert_eq!(built, [5_000, 5_300, 7_000].map(at_ms));
}

#[test]
fn presets_are_named_after_their_systems() {
    assert_eq!(Config::default(), Config::preset("fabric-raft").unwrap());
    assert_eq!(Config::default(), Config::preset("fabric").unwrap());
    for name in Config::PRESETS {
        let config = Config::preset(name).expect("it is listed");
        assert_eq!(Raft::validate(&config, 4), Ok(()), "{name}");
    }
}

/// source: etcd-io/raft and Fabric's sample configuration, own computation: the least of k uniform
/// whole numbers of ticks from 10 to 19. Nodes tick out of step, so that the time itself is up to a
/// tick shorter: its law is the least of k uniform times between 9 and 19 ticks.
#[test]
fn cf_fab_el_election_timeouts() {
    for (n, want) in [(3, 6.425), (5, 5.767)] {
        let k = f64::from(n - 1);
        let (runs, tick) = (10_000_u64, 0.5);
        let (mut ticks, mut squares, mut times) = (0.0, 0.0, 0.0);
        for seed in 0..runs {
            let waited = silence(n, seed);
            let whole = (waited / tick).ceil() * tick;
            ticks += whole;
            squares += whole * whole;
            times += waited;
        }
        let (mean, time) = (ticks / runs as f64, times / runs as f64);
        let band = 4.0 * sqrt((squares / runs as f64 - mean * mean) / runs as f64);
        assert!(
            (mean - want).abs() < band,
            "{n}: {mean} is not {want} ± {band}"
        );
        let law = tick * (9.0 + 10.0 / (k + 1.0));
        assert!(
            (time - law).abs() < band,
            "{n}: {time} is not {law} ± {band}"
        );
    }
}

/// How long the followers of a dead leader heard nothing before the first stood, in seconds.
fn silence(n: u32, seed: u64) -> f64 {
    let delay = Span::from_us(10);
    let mut net: Net = World::new(&plain(), n, delay, seed);
    let heard = Rc::new(Cell::new(Time::ZERO));
    let note = Rc::clone(&heard);
    net.lose(move |p| {
        let Load::Message(message) = p.load else {
            return false;
        };
        if matches!(message, Message::Append { .. } | Message::Heartbeat { .. }) {
            note.set(p.sent);
        }
        false
    });
    net.start();
    net.run_until(at_ms(2_000) + Span::from_us(7 * (seed % 70_001)));
    net.crash(&[0]);
    let heard = heard.get() + delay;
    let crashed = net.now;
    while campaigns(&net, 0)
        == net
            .notes
            .iter()
            .filter(|n| matches!(n.2, Note::RoundChange(_)))
            .count()
    {
        let next = net.now + Span::from_ms(500);
        net.run_until(next);
    }
    let stood = |n: &&(Time, _, Note)| n.0 > crashed && matches!(n.2, Note::RoundChange(_));
    net.notes.iter().find(stood).unwrap().0.since(heard).as_s()
}

#[test]
fn a_minority_may_be_down_and_nobody_may_lie() {
    let config = Config {
        orderers: 5,
        ..Config::default()
    };
    let p = Raft::promises(&config, 9);
    assert_eq!((p.byzantine, p.crashed, p.quorum), (0, 2, 3));
    assert_eq!(p.interval, Span::from_s(2));
    assert_eq!(Raft::promises(&Config::default(), 4).crashed, 1);
}
