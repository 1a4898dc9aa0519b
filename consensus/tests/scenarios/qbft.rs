//! QBFT, rule by rule.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::qbft::{
    COMMIT, Config, Gossip, Header, Justification, MemberVote, Message, PREPARE, Prepared,
    Proposal, Qbft, RoundChange, RoundTimer, Said, Wish,
};
use quorate_core::{
    Ballot, BlockId, Blocks, Engine, Input, Seed, Span, Statement, Time, byzantine_bound,
    two_thirds,
};

type Net = World<Qbft>;
const D: Span = Span::from_ms(50);
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

fn net(n: u32, config: &Config) -> Net {
    World::new(config, n, D, 0)
}

fn started(n: u32, config: &Config) -> Net {
    let mut net = net(n, config);
    net.start();
    net
}

fn with_timeout(request_timeout_ms: u64) -> Config {
    Config {
        request_timeout_ms,
        ..Config::default()
    }
}

fn header(round: u32, ms: u64) -> Header {
    Header {
        round,
        timestamp: at_ms(ms),
        vote: None,
    }
}

fn sent(net: &Net, kind: &str) -> u64 {
    net.messages.get(kind).map_or(0, |m| m.0)
}

fn proposal(round: u32, block: BlockId, justification: Option<Justification>) -> Message {
    Message::Proposal(Proposal {
        height: 1,
        round,
        block,
        justification,
    })
}

fn round_change(round: u32, prepared: Option<Prepared>) -> Message {
    Message::RoundChange(RoundChange {
        height: 1,
        round,
        prepared,
    })
}

/// Prepares of these signers.
fn prepares(net: &mut Net, signers: &[u32], round: u32, block: BlockId) -> Prepared {
    let statements: Vec<_> = signers
        .iter()
        .map(|&i| Statement {
            signer: node(i),
            round: Some(round),
            block: Some(block),
        })
        .collect();
    Prepared {
        round,
        block,
        prepares: net.certs().intern(1, &statements),
    }
}

/// Round changes of these signers, with what they had prepared.
fn justify(
    net: &mut Net,
    changes: &[(u32, Option<Prepared>)],
    best: Option<Prepared>,
) -> Justification {
    let statements: Vec<_> = changes
        .iter()
        .map(|(i, p)| Statement {
            signer: node(*i),
            round: p.map(|p| p.round),
            block: p.map(|p| p.block),
        })
        .collect();
    Justification {
        changes: net.certs().intern(1, &statements),
        prepares: best.map(|p| p.prepares),
        plain: changes.iter().filter(|c| c.1.is_none()).count() as u32,
        prepared: changes.iter().filter(|c| c.1.is_some()).count() as u32,
    }
}

// Without faults.

#[test]
fn a_block_commits_three_delays_after_its_proposal_once_a_period() {
    let mut net = started(4, &Config::default());
    net.run_until(at_ms(3_500));
    for i in 0..4 {
        let times: Vec<_> = net.commits(i).iter().map(|c| c.0).collect();
        assert_eq!(times, [at_ms(1_150), at_ms(2_150), at_ms(3_150)]);
    }
    let builders: Vec<_> = net
        .commits(0)
        .iter()
        .map(|c| net.blocks.get(c.1).key.creator)
        .collect();
    assert_eq!(builders, [node(0), node(1), node(2)]);
}

#[test]
fn messages_and_bytes_of_a_block_match_the_count() {
    for n in [4_u64, 7, 10, 21] {
        let mut net = started(n as u32, &Config::default());
        net.run_until(at_ms(1_500));
        let total: u64 = net.messages.values().map(|m| m.0).sum();
        assert_eq!(total, (n - 1) * (2 * n + 1), "n = {n}");
        if n == 21 {
            assert_eq!(
                net.messages["prepare"].1 + net.messages["commit"].1,
                119_280
            );
        }
    }
}

/// With commits later than the period the next block follows at once. At 2.2 s Besu's header says
/// 2 s; at 3.6 s it says 4 s, which pulls the following block to 5 s.
#[test]
fn headers_count_in_whole_seconds() {
    let mut config = with_timeout(9_000);
    let headers = |config: &Config| {
        let mut net: Net = World::new(config, 4, Span::from_ms(400), 0);
        net.start();
        net.run_until(at_ms(7_000));
        let stamp = |c: &(Time, BlockId)| net.blocks.get(c.1).header.timestamp;
        net.commits(0)
            .iter()
            .map(|c| (c.0, stamp(c)))
            .collect::<Vec<_>>()
    };
    let at = |a, b| (at_ms(a), at_ms(b));
    assert_eq!(
        headers(&config),
        [
            at(2_200, 1_000),
            at(3_400, 2_000),
            at(4_600, 3_000),
            at(5_800, 5_000)
        ]
    );
    config.whole_second_timestamps = false;
    assert_eq!(
        headers(&config)[..3],
        [at(2_200, 1_000), at(3_400, 2_200), at(4_600, 3_400)]
    );
}

#[test]
fn nothing_pending_makes_no_block_when_empty_blocks_are_off() {
    let config = Config {
        empty_blocks: false,
        ..Config::default()
    };
    let mut net = started(4, &config);
    net.run_until(at_ms(7_400));
    assert_eq!((net.height(0), sent(&net, "round-change")), (0, 0));
    net.submit();
    net.run_until(at_ms(30_000));
    let commits = net.commits(2);
    assert_eq!(commits.len(), 1);
    assert_eq!((commits[0].0, net.txs(commits[0].1)), (at_ms(7_550), 1));
}

#[test]
fn observers_get_the_block_from_the_proposer() {
    let config = Config {
        validators: 4,
        ..Config::default()
    };
    let mut net = started(6, &config);
    net.run_until(at_ms(1_500));
    assert_eq!(
        (sent(&net, "block"), net.commits(5)[0].0),
        (2, at_ms(1_200))
    );
    // One that misses a block asks the sender of the next one.
    net.lose(|p| p.to == node(5) && p.sent < at_ms(2_500));
    net.run_until(at_ms(3_600));
    assert_eq!(net.height(5), 3);
    assert_eq!(net.count_notes(5, |n| matches!(n, Note::Sync(_))), 1);
    net.assert_agreement(0);
}

// Round changes.

/// source: sum of `T·2^i`, one delay for the round changes and three for the block.
#[test]
fn crashed_proposers_cost_besu_what_the_closed_form_says() {
    for (t, r, n) in [
        (1, 1, 7),
        (1, 2, 7),
        (1, 3, 10),
        (2, 1, 7),
        (2, 3, 10),
        (10, 1, 7),
        (10, 2, 7),
    ] {
        let mut net = net(n, &with_timeout(1_000 * t));
        net.crash(&(0..r).collect::<Vec<_>>());
        net.start();
        let due = 1_000 + 1_000 * t * ((1 << r) - 1) + 4 * 50;
        net.run_until(at_ms(due + 100));
        for i in r..n {
            assert_eq!(net.commits(i)[0].0, at_ms(due), "T = {t}, r = {r}, {i}");
        }
    }
}

/// The specification measures from the last import: round `r` starts at `T·2^(r−1)`.
#[test]
fn crashed_proposers_cost_the_specification_less() {
    for (r, n) in [(1, 4), (2, 7), (3, 10)] {
        let config = Config {
            timer: RoundTimer::Spec,
            ..with_timeout(2_000)
        };
        let mut net = net(n, &config);
        net.crash(&(0..r).collect::<Vec<_>>());
        net.start();
        let due = 2_000 * (1 << (r - 1)) + 4 * 50;
        net.run_until(at_ms(due + 100));
        for i in r..n {
            assert_eq!(net.commits(i)[0].0, at_ms(due), "r = {r}, {i}");
        }
    }
}

/// Upon a timeout the specification's unit is not restarted; a Proposal of a later round does.
#[test]
fn a_proposal_restarts_the_specification_s_timer() {
    let config = Config {
        timer: RoundTimer::Spec,
        ..with_timeout(2_000)
    };
    let mut net = net(4, &config);
    net.crash(&[0, 1, 2]);
    net.start();
    net.run_until(at_ms(1_500));
    let block = net.forge(1, GENESIS, header(1, 1_000));
    let j = justify(&mut net, &[(0, None), (1, None), (2, None)], None);
    net.deliver(1, 3, proposal(1, block, Some(j)));
    // Round 1 lasts two units from 1.5 s, then round 2 from there four.
    net.run_until(at_ms(20_000));
    let rounds: Vec<_> = net
        .notes
        .iter()
        .filter(|n| matches!(n.2, Note::RoundChange(_)))
        .collect();
    assert_eq!(rounds[0], &(at_ms(1_500), node(3), Note::RoundChange(1)));
    assert_eq!(rounds[1], &(at_ms(5_500), node(3), Note::RoundChange(2)));
    assert_eq!(rounds[2], &(at_ms(9_500), node(3), Note::RoundChange(3)));
}

#[test]
fn progress_needs_a_quorum_and_no_more() {
    for (n, down, blocks) in [
        (4, 2, false),
        (4, 1, true),
        (6, 2, true),
        (6, 3, false),
        (1, 0, true),
    ] {
        let mut net = net(n, &Config::default());
        net.crash(&(0..down).collect::<Vec<_>>());
        net.start();
        net.run_until(at_ms(60_000));
        assert_eq!(net.height(n - 1) > 10, blocks, "{down} of {n} down");
        assert_eq!(net.height(n - 1) > 0, blocks, "{down} of {n} down");
    }
}

/// The Commits of round 0 are lost, so that everybody has prepared but nobody committed: round 1
/// proposes the same block again.
#[test]
fn a_block_prepared_in_round_0_commits_in_round_1() {
    let mut net = net(4, &Config::default());
    net.lose(
        |p| matches!(p.load, Load::Vote(b) if b.phase == COMMIT && b.round == 0 && b.height == 1),
    );
    net.start();
    net.run_until(at_ms(3_199));
    // RoundChanges that carry a block, and a Proposal with three of them and three Prepares.
    let block = 10_000 - 3 * 67;
    assert_eq!(
        net.messages["round-change"],
        (12, 12 * (110 + block + 3 * 108))
    );
    assert_eq!(
        net.messages["proposal"],
        (6, 3 * (block + 80) + 3 * (block + 80 + 3 * 110 + 3 * 108))
    );
    net.run_until(at_ms(3_200));
    for i in 0..4 {
        let (time, block) = net.commits(i)[0];
        let built = net.blocks.get(block);
        assert_eq!(
            (time, built.key.creator, built.header.round),
            (at_ms(3_200), node(0), 0)
        );
    }
}

/// Its proposer dies, the next one has not prepared it, and the Commits of two rounds are lost: the
/// block is still the one that commits, from certificates of the others.
#[test]
fn a_prepared_block_stays_over_rounds_and_proposers() {
    let mut net = net(4, &Config::default());
    net.lose(|p| match p.load {
        Load::Vote(b) if b.height == 1 && b.phase == COMMIT => b.round < 2,
        Load::Vote(b) if b.height == 1 && b.phase == PREPARE => b.round == 0 && p.to == node(1),
        _ => false,
    });
    net.start();
    net.run_until(at_ms(1_120));
    net.crash(&[0]);
    net.run_until(at_ms(7_300));
    let first = net.commits(1)[0];
    assert_eq!(first.0, at_ms(1_000 + 2_000 + 4_000 + 200));
    assert_eq!(net.blocks.get(first.1).key.creator, node(0));
    net.assert_agreement(0);
}

#[test]
fn without_a_prepared_block_the_next_proposer_makes_a_new_one() {
    let mut net = net(4, &Config::default());
    net.lose(|p| matches!(p.load, Load::Vote(b) if b.round == 0 && b.height == 1));
    net.start();
    net.run_until(at_ms(3_300));
    let built = net.blocks.get(net.commits(2)[0].1);
    assert_eq!((built.key.creator, built.header.round), (node(1), 1));
}

/// Node 1 leads round 1 of four. Twice the same sender is one sender.
#[test]
fn round_changes_count_once_per_sender() {
    let mut net = started(4, &Config::default());
    for from in [2, 2, 2, 3] {
        net.deliver(from, 1, round_change(1, None));
    }
    assert_eq!(net.count_notes(1, |n| *n == Note::RoundChange(1)), 0);
    net.deliver(0, 1, round_change(1, None));
    assert_eq!(net.count_notes(1, |n| *n == Note::RoundChange(1)), 1);
    net.run_until(at_ms(10));
    assert_eq!(sent(&net, "proposal"), 3);
    // A later one changes nothing.
    net.deliver(3, 1, round_change(1, None));
    assert_eq!(sent(&net, "proposal"), 3);
}

/// Node 3 leads round 3 of four. Three blocks were prepared, in rounds 0, 1 and 2; which one is proposed
/// follows from the certificates of those whose round changes come first, whatever their order.
#[test]
fn the_block_prepared_at_the_highest_round_is_proposed() {
    const NONE: Option<usize> = None;
    let table = [
        ([NONE, NONE, NONE], None),
        ([Some(0), NONE, NONE], Some(0)),
        ([NONE, NONE, Some(0)], Some(0)),
        ([Some(0), Some(1), NONE], Some(1)),
        ([Some(1), Some(0), NONE], Some(1)),
        ([Some(2), NONE, Some(1)], Some(2)),
        ([Some(0), Some(1), Some(2)], Some(2)),
        ([Some(2), Some(1), Some(0)], Some(2)),
        ([Some(1), Some(1), Some(0)], Some(1)),
        ([Some(2), Some(2), Some(2)], Some(2)),
    ];
    for (held, expected) in table {
        let mut net = started(4, &Config::default());
        net.run_until(at_ms(1_000));
        let blocks = [0, 1, 2].map(|r| net.forge(r, GENESIS, header(r, 1_000)));
        let certificates = [[0, 1, 2], [1, 2, 3], [0, 2, 3]];
        let at = [0, 1, 2].map(|r| prepares(&mut net, &certificates[r], r as u32, blocks[r]));
        for (from, which) in (0..).zip(held) {
            net.deliver(from, 3, round_change(3, which.map(|r| at[r])));
        }
        net.run_until(at_ms(1_200));
        // Everybody takes the justification for good.
        let commits: Vec<_> = (0..4).map(|i| net.commits(i)[0].1).collect();
        let first = net.blocks.get(commits[0]);
        assert!(commits.iter().all(|c| *c == commits[0]), "{held:?}");
        match expected {
            Some(r) => assert_eq!(commits[0], blocks[r], "{held:?}"),
            None => assert_eq!((first.key.creator, first.header.round), (node(3), 3)),
        }
    }
}

#[test]
fn a_round_change_without_its_proof_is_ignored() {
    let mut net = started(4, &Config::default());
    let a = net.forge(0, GENESIS, header(0, 1_000));
    let short = prepares(&mut net, &[0, 1], 0, a);
    let twice = prepares(&mut net, &[0, 1, 1], 0, a);
    let late = prepares(&mut net, &[0, 1, 2], 1, a);
    for bad in [short, twice, late] {
        net.deliver(0, 1, round_change(1, Some(bad)));
    }
    net.deliver(2, 1, round_change(1, None));
    net.deliver(3, 1, round_change(1, None));
    assert_eq!(net.count_notes(1, |n| *n == Note::RoundChange(1)), 0);
}

#[test]
fn f_plus_1_round_changes_pull_a_validator_along_when_that_is_on() {
    let early = Config {
        early_round_change: true,
        ..Config::default()
    };
    let spec = Config {
        timer: RoundTimer::Spec,
        ..Config::default()
    };
    for (config, pulled) in [(Config::default(), false), (early, true), (spec, true)] {
        let mut net = net(4, &config);
        net.give(node(3), Input::Start);
        net.deliver(1, 3, round_change(4, None));
        assert_eq!(sent(&net, "round-change"), 0);
        net.deliver(2, 3, round_change(2, None));
        assert_eq!(
            net.count_notes(3, |n| *n == Note::RoundChange(2)),
            usize::from(pulled)
        );
        assert_eq!(sent(&net, "round-change"), if pulled { 3 } else { 0 });
    }
}

// Proposals.

/// Delivers to node 3 of four, which has started and waits for its block timer; returns whether it
/// prepared.
fn accepts(net: &mut Net, from: u32, message: Message) -> bool {
    let before = sent(net, "prepare");
    net.deliver(from, 3, message);
    sent(net, "prepare") > before
}

fn waiting() -> Net {
    let mut net = net(4, &Config::default());
    net.give(node(3), Input::Start);
    net.run_until(at_ms(500));
    net
}

#[test]
fn a_proposal_more_than_a_second_ahead_of_the_own_clock_is_refused() {
    for (timestamp, fits) in [(1_500, true), (1_501, false)] {
        let mut net = waiting();
        let block = net.forge(0, GENESIS, header(0, timestamp));
        assert_eq!(accepts(&mut net, 0, proposal(0, block, None)), fits);
    }
}

#[test]
fn a_proposal_before_the_block_timer_opens_round_0() {
    let mut net = waiting();
    let block = net.forge(0, GENESIS, header(0, 1_000));
    assert!(accepts(&mut net, 0, proposal(0, block, None)));
    // The round's timer runs from now.
    net.run_until(at_ms(2_499));
    assert_eq!(sent(&net, "round-change"), 0);
    net.run_until(at_ms(2_500));
    assert_eq!(sent(&net, "round-change"), 3);
}

#[test]
fn proposals_that_break_a_rule_are_refused() {
    let mut net = waiting();
    let good = net.forge(0, GENESIS, header(0, 1_000));
    let others = net.forge(2, GENESIS, header(0, 1_000));
    let early = net.forge(0, GENESIS, header(0, 999));
    let higher = net.forge(0, good, header(0, 2_000));
    let late_round = net.forge(0, GENESIS, header(1, 1_000));
    for (why, from, block) in [
        ("wrong proposer", 2, others),
        ("relayed by another", 1, good),
        ("another's block", 0, others),
        ("before the period", 0, early),
        ("not on the head", 0, higher),
        ("made in another round", 0, late_round),
    ] {
        assert!(!accepts(&mut net, from, proposal(0, block, None)), "{why}");
    }
    let j = justify(&mut net, &[(0, None), (1, None), (2, None)], None);
    assert!(
        !accepts(&mut net, 0, proposal(0, good, Some(j))),
        "justified though first"
    );
    assert!(accepts(&mut net, 0, proposal(0, good, None)));
}

#[test]
fn a_second_different_proposal_is_evidence() {
    let mut net = waiting();
    let a = net.forge(0, GENESIS, header(0, 1_000));
    let b = net.forge(0, GENESIS, header(0, 2_000));
    assert!(accepts(&mut net, 0, proposal(0, a, None)));
    assert!(!accepts(&mut net, 0, proposal(0, a, None)));
    assert_eq!(net.count_notes(3, |n| matches!(n, Note::Evidence(_))), 0);
    assert!(!accepts(&mut net, 0, proposal(0, b, None)));
    assert_eq!(net.count_notes(3, |n| *n == Note::Evidence(node(0))), 1);
}

#[test]
fn later_rounds_need_their_justification() {
    let mut net = waiting();
    let a = net.forge(0, GENESIS, header(0, 1_000));
    let b = net.forge(1, GENESIS, header(1, 1_000));
    let fresh = net.forge(2, GENESIS, header(2, 1_000));
    let at_0 = prepares(&mut net, &[0, 1, 2], 0, a);
    let at_1 = prepares(&mut net, &[0, 1, 3], 1, b);
    let short = prepares(&mut net, &[0, 1], 1, b);
    let at_2 = prepares(&mut net, &[0, 1, 3], 2, b);
    let (p0, p1) = (Some(at_0), Some(at_1));
    let cases = [
        (
            "one twice besides a quorum",
            fresh,
            justify(
                &mut net,
                &[(0, None), (1, None), (2, None), (2, None)],
                None,
            ),
        ),
        (
            "two of three",
            fresh,
            justify(&mut net, &[(0, None), (1, None)], None),
        ),
        (
            "one twice",
            fresh,
            justify(&mut net, &[(0, None), (1, None), (1, None)], None),
        ),
        (
            "a stranger",
            fresh,
            justify(&mut net, &[(0, None), (1, None), (9, None)], None),
        ),
        (
            "new though prepared",
            fresh,
            justify(&mut net, &[(0, p0), (1, None), (2, None)], p0),
        ),
        (
            "not the highest",
            a,
            justify(&mut net, &[(0, p0), (1, p1), (2, None)], p0),
        ),
        (
            "prepares of another",
            b,
            justify(&mut net, &[(0, p0), (1, p1), (2, None)], p0),
        ),
        (
            "no prepares",
            b,
            justify(&mut net, &[(0, p0), (1, p1), (2, None)], None),
        ),
        (
            "too few prepares",
            b,
            justify(&mut net, &[(0, None), (1, p1), (2, None)], Some(short)),
        ),
        (
            "prepared in its future",
            b,
            justify(
                &mut net,
                &[(0, None), (1, Some(at_2)), (2, None)],
                Some(at_2),
            ),
        ),
        (
            "old though nothing prepared",
            a,
            justify(&mut net, &[(0, None), (1, None), (2, None)], None),
        ),
    ];
    for (why, block, j) in cases {
        assert!(!accepts(&mut net, 2, proposal(2, block, Some(j))), "{why}");
    }
    assert!(
        !accepts(&mut net, 2, proposal(2, fresh, None)),
        "not justified"
    );
    assert_eq!(net.count_notes(3, |n| matches!(n, Note::RoundChange(_))), 0);
    let j = justify(&mut net, &[(0, p0), (1, p1), (2, None)], p1);
    assert!(accepts(&mut net, 2, proposal(2, b, Some(j))));
    assert_eq!(net.count_notes(3, |n| *n == Note::RoundChange(2)), 1);
}

#[test]
fn past_rounds_and_heights_are_dropped() {
    let mut net = waiting();
    let a = net.forge(0, GENESIS, header(0, 1_000));
    net.run_until(at_ms(3_000)); // Round 0 ran out at 3 s.
    assert_eq!(net.count_notes(3, |n| *n == Note::RoundChange(1)), 1);
    assert!(!accepts(&mut net, 0, proposal(0, a, None)));
    net.hold(3, a);
    net.give(
        node(3),
        Input::Body {
            block: a,
            from: node(0),
        },
    );
    assert_eq!(net.height(3), 1);
    assert!(!accepts(&mut net, 0, proposal(0, a, None)));
    // A block that is known already changes nothing.
    net.give(
        node(3),
        Input::Body {
            block: a,
            from: node(0),
        },
    );
    assert_eq!(net.commits(3).len(), 1);
}

/// Node 0 shows one block to node 1 and another to nodes 2 and 3: neither has a quorum, the next
/// proposer makes a third.
#[test]
fn an_equivocating_proposer_splits_nobody() {
    let mut net = net(4, &Config::default());
    net.crash(&[0]);
    net.start();
    net.run_until(at_ms(1_000));
    let a = net.forge(0, GENESIS, header(0, 1_000));
    let b = net.forge(0, GENESIS, header(0, 2_000));
    for (to, block) in [(1, a), (2, b), (3, b)] {
        net.deliver(0, to, proposal(0, block, None));
    }
    net.run_until(at_ms(3_300));
    for i in 1..4 {
        let (time, block) = net.commits(i)[0];
        assert_eq!(
            (time, net.blocks.get(block).key.creator),
            (at_ms(3_200), node(1))
        );
    }
    net.assert_agreement(0);
}

// Votes.

/// The Prepares came first: the Proposal makes node 3 prepared at once.
#[test]
fn votes_may_come_before_the_proposal() {
    let mut net = net(4, &Config::default());
    net.lose(|p| match p.load {
        Load::Message(_) => p.to == node(3),
        Load::Vote(b) => b.phase == COMMIT,
        _ => false,
    });
    net.start();
    net.run_until(at_ms(1_150));
    let before = sent(&net, "commit");
    assert_eq!(net.commits(3), []);
    let block = net.blocks.last();
    net.deliver(0, 3, proposal(0, block, None));
    assert_eq!(sent(&net, "commit") - before, 3);
}

#[test]
fn a_decided_block_that_is_not_here_is_fetched() {
    let mut net = net(4, &Config::default());
    net.lose(|p| matches!(p.load, Load::Message(_)) && p.to == node(3) && p.sent < at_ms(1_500));
    net.start();
    net.run_until(at_ms(1_300));
    assert_eq!(net.count_notes(3, |n| matches!(n, Note::Fetch(_))), 1);
    assert_eq!(net.commits(3)[0].0, at_ms(1_250));
}

/// Node 3 goes to round 1 before the last Commits of round 0 arrive: they still commit.
#[test]
fn commits_of_a_past_round_still_commit() {
    let mut net = net(4, &with_timeout(120));
    net.start();
    net.run_until(at_ms(1_130));
    assert_eq!(net.count_notes(3, |n| *n == Note::RoundChange(1)), 1);
    net.run_until(at_ms(1_150));
    assert_eq!(net.commits(3)[0].0, at_ms(1_150));
    net.assert_agreement(0);
}

// Falling behind.

#[test]
fn messages_of_later_heights_are_kept_and_their_sender_asked() {
    let mut net = waiting();
    let a = net.forge(0, GENESIS, header(0, 1_000));
    let b = net.forge(1, a, header(0, 2_000));
    let p = Proposal {
        height: 2,
        round: 0,
        block: b,
        justification: None,
    };
    assert!(!accepts(&mut net, 1, Message::Proposal(p)));
    assert_eq!(net.count_notes(3, |n| *n == Note::Sync(node(1))), 1);
    net.run_until(at_ms(1_000));
    net.hold(3, a);
    net.give(
        node(3),
        Input::Body {
            block: a,
            from: node(1),
        },
    );
    assert_eq!((net.height(3), sent(&net, "prepare")), (1, 3));
}

#[test]
fn far_future_messages_are_not_kept() {
    let mut net = waiting();
    for height in 2..2_000 {
        let change = RoundChange {
            height,
            round: 1,
            prepared: None,
        };
        net.deliver(1, 3, Message::RoundChange(change));
    }
    // One question, however many messages.
    assert_eq!(net.count_notes(3, |n| matches!(n, Note::Sync(_))), 1);
}

/// Node 3 has the block but not its Commits, and the others have moved on: its round change for the
/// past height is answered with the head.
#[test]
fn a_validator_that_missed_the_commits_is_helped() {
    let mut net = net(4, &Config::default());
    net.lose(|p| {
        matches!(p.load, Load::Vote(b) if b.phase == COMMIT && b.height == 1) && p.to == node(3)
    });
    net.start();
    net.run_until(at_ms(2_900));
    assert_eq!((net.height(3), net.height(0)), (0, 2));
    net.run_until(at_ms(3_300));
    assert!(net.height(3) >= 2);
    net.run_until(at_ms(9_500));
    assert_eq!(net.height(3), net.height(0));
    net.assert_agreement(0);
}

#[test]
fn a_restarted_validator_catches_up_and_takes_part() {
    let mut net = started(4, &Config::default());
    net.run_until(at_ms(5_500));
    net.crash(&[3]);
    net.run_until(at_ms(20_500));
    net.restart(3);
    net.run_until(at_ms(40_000));
    assert_eq!(net.height(3), net.height(0));
    let by_3 = net
        .commits(0)
        .iter()
        .filter(|c| net.blocks.get(c.1).key.creator == node(3))
        .count();
    assert!(by_3 >= 3, "node 3 built {by_3} blocks");
    net.assert_agreement(0);
}

#[test]
fn a_network_that_lost_its_quorum_resumes_with_it() {
    let mut net = started(4, &Config::default());
    net.run_until(at_ms(5_500));
    net.crash(&[1, 3]);
    net.run_until(at_ms(60_500));
    assert_eq!(net.height(0), 5);
    net.restart(1);
    net.run_until(at_ms(200_000));
    assert!(net.height(0) > 10 && net.height(1) == net.height(0));
    net.assert_agreement(0);
}

#[test]
fn a_minority_side_stops_and_rejoins() {
    let mut net = started(7, &Config::default());
    net.run_until(at_ms(5_500));
    net.partition(&[0, 1]);
    net.run_until(at_ms(30_500));
    assert_eq!(net.height(0), 5);
    assert!(net.height(6) > 10);
    net.partition(&[]);
    net.run_until(at_ms(120_000));
    assert_eq!(net.height(0), net.height(6));
    net.assert_agreement(0);
}

// Flooding.

fn flooding(gossip: Gossip) -> Config {
    Config {
        gossip,
        ..Config::default()
    }
}

/// Each of the `2n + 1` messages of a block is sent by everybody but once to everybody. Besu leaves out the
/// Commits that come after the block is imported: all but `Q − 1` at each validator.
/// source: hyperledger/besu `QbftGossip`, `BaseBftController::consumeMessage`.
#[test]
fn flooded_messages_match_the_count() {
    for n in [1_u64, 2, 4, 7, 10] {
        let sends = |gossip| {
            let mut net = started(n as u32, &flooding(gossip));
            net.run_until(at_ms(1_500));
            assert_eq!(net.commits(0).len(), 1);
            net.messages.values().map(|m| m.0).sum::<u64>()
        };
        let q = (2 * n).div_ceil(3);
        let most = (2 * n + 1) * (n - 1) * (n - 1);
        let late = n * (n - q) * n.saturating_sub(2);
        assert_eq!(sends(Gossip::Flood), most, "n = {n}");
        assert_eq!(sends(Gossip::BesuFlood), most - late, "n = {n}");
    }
}

fn ballot(phase: u8, round: u32, block: BlockId) -> Ballot {
    Ballot {
        height: 1,
        round,
        phase,
        choice: Some(block),
    }
}

/// Node 3 sends on what is new to it, to nobody who has it; and counts a voter once.
#[test]
fn a_message_is_sent_on_once_and_not_to_its_author_or_sender() {
    let mut net = net(4, &flooding(Gossip::BesuFlood));
    net.give(node(3), Input::Start);
    net.run_until(at_ms(500));
    let block = net.forge(0, GENESIS, header(0, 1_000));
    let flooded = |author: u32, said| Message::Flooded {
        author: node(author),
        said,
    };
    let p = Said::Proposal(Proposal {
        height: 1,
        round: 0,
        block,
        justification: None,
    });
    // From its author: on to two; then it is known.
    net.deliver(0, 3, flooded(0, p));
    assert_eq!(sent(&net, "proposal"), 2);
    net.deliver(1, 3, flooded(0, p));
    assert_eq!(sent(&net, "proposal"), 2);
    // From another: on to the one that is left. Its own Prepare went to three.
    let vote = |author, phase| flooded(author, Said::Vote(ballot(phase, 0, block)));
    net.deliver(1, 3, vote(0, PREPARE));
    assert_eq!(sent(&net, "flooded-prepare"), 3 + 1);
    assert_eq!(sent(&net, "flooded-commit"), 0);
    net.deliver(0, 3, vote(0, PREPARE));
    assert_eq!(
        (sent(&net, "flooded-prepare"), sent(&net, "flooded-commit")),
        (4, 0)
    );
    // Nobody believes who is no validator.
    net.deliver(0, 3, vote(9, PREPARE));
    assert_eq!(
        (sent(&net, "flooded-prepare"), sent(&net, "flooded-commit")),
        (4, 0)
    );
    net.deliver(1, 3, vote(1, PREPARE));
    assert_eq!(
        (sent(&net, "flooded-prepare"), sent(&net, "flooded-commit")),
        (6, 3)
    );
    net.deliver(0, 3, vote(0, COMMIT));
    assert_eq!(net.commits(3), []);
    net.deliver(1, 3, vote(1, COMMIT));
    assert_eq!(net.commits(3), [(at_ms(500), block)]);
    // What is about an imported block goes no further.
    let before = sent(&net, "flooded-commit");
    net.deliver(2, 3, vote(2, COMMIT));
    assert_eq!(sent(&net, "flooded-commit"), before);
}

/// Certificates of flooded votes name who prepared, and are taken for good.
#[test]
fn a_flooded_block_prepared_in_round_0_commits_in_round_1() {
    let mut net = net(4, &flooding(Gossip::BesuFlood));
    net.lose(|p| match p.load {
        Load::Message(Message::Flooded {
            said: Said::Vote(b),
            ..
        }) => b.phase == COMMIT && b.round == 0 && b.height == 1,
        _ => false,
    });
    net.start();
    net.run_until(at_ms(3_300));
    for i in 0..4 {
        let (time, block) = net.commits(i)[0];
        let built = net.blocks.get(block);
        assert_eq!(
            (time, built.key.creator, built.header.round),
            (at_ms(3_200), node(0), 0)
        );
    }
}

// Who is a validator.

fn wish(from_s: f64, validators: &[u32], candidate: u32, add: bool) -> Wish {
    Wish {
        from_s,
        validators: validators.to_vec(),
        candidate,
        add,
    }
}

fn voting(validators: u32, votes: Vec<Wish>) -> Config {
    Config {
        validators,
        votes,
        ..Config::default()
    }
}

fn builders(net: &Net, i: u32) -> Vec<u32> {
    let creator = |c: &(Time, BlockId)| net.blocks.get(c.1).key.creator.get();
    net.commits(i).iter().map(creator).collect()
}

fn elections(net: &Net, i: u32) -> Vec<Note> {
    let of =
        |n: &&(Time, quorate_core::NodeId, Note)| n.1 == node(i) && matches!(n.2, Note::Elect(..));
    net.notes.iter().filter(of).map(|n| n.2).collect()
}

/// Three of four validators vote in the blocks that they build; with the third vote node 4 takes part from
/// the next block on.
#[test]
fn more_than_half_of_the_validators_vote_a_node_in() {
    let mut net = started(5, &voting(4, vec![wish(0.0, &[0, 1, 2], 4, true)]));
    net.run_until(at_ms(9_400));
    assert_eq!(builders(&net, 0), [0, 1, 2, 3, 4, 0, 1, 2, 3]);
    for i in 0..5 {
        assert_eq!(elections(&net, i), [Note::Elect(4, node(4), 1)], "{i}");
        assert_eq!(net.height(i), 9);
    }
    let votes: Vec<_> = net
        .commits(0)
        .iter()
        .map(|c| net.blocks.get(c.1).header.vote)
        .collect();
    let cast = Some(MemberVote {
        candidate: node(4),
        add: true,
    });
    assert_eq!(votes[..4], [cast, cast, cast, None]);
    // Three blocks of four validators with an observer, six of five.
    let of = |n: u64| (n - 1) * (2 * n + 1);
    let total: u64 = net.messages.values().map(|m| m.0).sum();
    assert_eq!(total, 3 * (of(4) + 1) + 6 * of(5));
    net.assert_agreement(0);
}

#[test]
fn half_of_the_validators_are_too_few() {
    let mut net = started(5, &voting(4, vec![wish(0.0, &[0, 1], 4, true)]));
    net.run_until(at_ms(9_400));
    assert_eq!((builders(&net, 0).len(), elections(&net, 0)), (9, vec![]));
}

/// Node 3 leaves after block 3. The three others need two of them: they go on with one down, which four
/// could not do with two down.
#[test]
fn a_validator_is_voted_out_and_the_quorum_follows() {
    let mut net = started(4, &voting(0, vec![wish(0.0, &[0, 1, 2], 3, false)]));
    net.run_until(at_ms(6_400));
    assert_eq!(elections(&net, 3), [Note::Elect(4, node(3), 0)]);
    assert_eq!(builders(&net, 0), [0, 1, 2, 0, 1, 2]);
    // It hears of the blocks still.
    assert_eq!(net.height(3), 6);
    net.crash(&[3, 1]);
    net.run_until(at_ms(40_000));
    assert!(net.height(0) > 12, "{}", net.height(0));
    net.assert_agreement(0);
}

/// The block that decides that node 1 leaves was built by node 1: the next one by number proposes.
#[test]
fn after_a_builder_that_left_comes_the_next_by_number() {
    let mut net = started(4, &voting(0, vec![wish(3.5, &[3, 0, 1], 1, false)]));
    net.run_until(at_ms(10_400));
    assert_eq!(builders(&net, 0), [0, 1, 2, 3, 0, 1, 2, 3, 0, 2]);
    assert_eq!(elections(&net, 2), [Note::Elect(7, node(1), 0)]);
    // Node 3 is the last: after it comes the first.
    let mut net = started(4, &voting(0, vec![wish(0.5, &[0, 1, 3], 3, false)]));
    net.run_until(at_ms(7_400));
    assert_eq!(builders(&net, 0), [0, 1, 2, 3, 0, 1, 2]);
    assert_eq!(elections(&net, 2), [Note::Elect(5, node(3), 0)]);
}

/// Votes of the last block of an epoch and those before it are forgotten, and cast again.
/// source: hyperledger/besu `VoteTallyUpdater::updateForBlock`.
#[test]
fn votes_do_not_outlive_their_epoch() {
    for (epoch_blocks, elected) in [
        // Blocks 1, 2 and 3 vote.
        (30_000, Some(4)),
        (5, Some(4)),
        // Block 3 is the last of its epoch; 5, 6 and, as 7 is the last, 9, 10 and, as 11 is …
        (4, None),
        // Block 2 is the last of its epoch, block 5 too.
        (3, None),
        // Block 1 is; 2, 3 and 5 vote.
        (2, None),
    ] {
        let config = Config {
            epoch_blocks,
            ..voting(4, vec![wish(0.0, &[0, 1, 2], 4, true)])
        };
        let mut net = started(5, &config);
        net.run_until(at_ms(30_400));
        let want: Vec<_> = elected
            .map(|h| Note::Elect(h, node(4), 1))
            .into_iter()
            .collect();
        assert_eq!(elections(&net, 0), want, "{epoch_blocks}");
        assert_eq!(elections(&net, 4), want, "{epoch_blocks}");
    }
}

/// A node that is voted in while it is down, and one that is voted out.
#[test]
fn changes_while_a_node_is_down_are_caught_up_with() {
    for flooded in [Gossip::Direct, Gossip::BesuFlood] {
        let votes = vec![
            wish(5.0, &[0, 1, 2, 3], 5, true),
            wish(5.0, &[0, 1, 2, 3], 4, false),
        ];
        let config = Config {
            gossip: flooded,
            ..voting(5, votes)
        };
        let mut net = started(6, &config);
        net.run_until(at_ms(4_500));
        net.crash(&[4, 5]);
        net.run_until(at_ms(60_500));
        net.restart(4);
        net.restart(5);
        net.run_until(at_ms(100_000));
        assert_eq!(elections(&net, 0).len(), 2);
        for i in 0..6 {
            assert_eq!(elections(&net, i), elections(&net, 0), "{i}");
            assert!(net.height(i) + 1 >= net.height(0), "{i}");
        }
        let late = &builders(&net, 0)[60..];
        assert!(late.contains(&5) && !late.contains(&4), "{late:?}");
        net.assert_agreement(0);
    }
}

/// A validator that was cut off when it was voted out goes on asking for rounds of a past height, and is
/// told that it left.
#[test]
fn who_missed_that_it_left_is_told() {
    let mut net = started(4, &voting(0, vec![wish(4.5, &[0, 1, 2], 3, false)]));
    net.run_until(at_ms(4_500));
    net.partition(&[3]);
    net.run_until(at_ms(30_500));
    assert_eq!(elections(&net, 0).len(), 1);
    assert_eq!(elections(&net, 3).len(), 0);
    net.partition(&[]);
    net.run_until(at_ms(100_000));
    assert_eq!(elections(&net, 3), elections(&net, 0));
    assert!(net.height(3) + 1 >= net.height(0));
    net.assert_agreement(0);
}

// All at once.

/// Delays that are random for every message, without loss, and up to longer than a period, so that
/// heights overtake each other: every validator commits a block at most three of the longest
/// delays after it was built, an observer one later; the next block waits for the period or for
/// the one before; and nobody gives up a round.
#[test]
fn swarm_reordering_costs_only_the_delays() {
    for seed in 0..200 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 1);
        let n = 1 + draws.below(9) as u32;
        let config = Config {
            period_ms: 200,
            request_timeout_ms: 1_300,
            validators: if draws.chance(0.3) {
                1 + draws.below(u64::from(n)) as u32
            } else {
                0
            },
            whole_second_timestamps: false,
            timer: if draws.chance(0.3) {
                RoundTimer::Spec
            } else {
                RoundTimer::Besu
            },
            early_round_change: draws.chance(0.5),
            ..Config::default()
        };
        let (shortest, longer) = (draws.below(20), 1 + draws.below(230));
        let mut net: Net = World::new(&config, n, Span::from_ms(shortest), seed);
        net.reorder(
            Span::from_ms(longer),
            Seed::new(seed, 0).stream("jitter", 0),
        );
        net.start();
        net.run_until(at_ms(30_000));
        let delay = Span::from_ms(shortest + longer);
        check_pace(&net, delay, seed);
        net.assert_agreement(seed);
    }
}

fn check_pace(net: &Net, delay: Span, seed: u64) {
    let at = |block: BlockId| net.blocks.get(block).timestamp;
    for i in net.nodes() {
        let commits = net.commits(i.get());
        let late = if net.committee.position(i).is_some() {
            delay * 3
        } else {
            delay * 4
        };
        for &(time, block) in &commits {
            assert!(
                time <= at(block) + late,
                "seed {seed}: {i} commits {block} at {time}"
            );
        }
        for pair in commits.windows(2) {
            let pause = at(pair[1].1).since(at(pair[0].1));
            let most = Span::from_ms(200).max(delay * 3);
            assert!(pause <= most, "seed {seed}: {pause} before {}", pair[1].1);
        }
        let last = commits.last().expect("30 s are many periods").1;
        assert!(
            at(last) + (delay * 7).max(Span::from_ms(900)) > net.now,
            "seed {seed}: {i}"
        );
        let changes = net.count_notes(i.get(), |n| matches!(n, Note::RoundChange(_)));
        assert_eq!(changes, 0, "seed {seed}: {i}");
    }
}

/// Loss, crashes, restarts and partitions until 30 s, then none: nobody ever disagrees, and
/// everybody gets going again.
#[test]
fn swarm_agreement_and_recovery() {
    for seed in 0..240 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 0);
        let n = 4 + draws.below(5) as u32;
        let config = Config {
            timer: if draws.chance(0.3) {
                RoundTimer::Spec
            } else {
                RoundTimer::Besu
            },
            early_round_change: draws.chance(0.5),
            request_timeout_ms: 1_100 + draws.below(1_000),
            ..Config::default()
        };
        let mut net: Net = World::new(&config, n, Span::from_ms(1 + draws.below(120)), seed);
        let loss = draws.open01() * 0.4;
        let mut dice = Seed::new(seed, 0).stream("loss", 0);
        net.lose(move |_| dice.chance(loss));
        net.start();
        let spare = n - two_thirds(n);
        for second in 1..=30 {
            net.run_until(at_ms(1_000 * second));
            let i = draws.below(u64::from(n)) as u32;
            match draws.below(6) {
                0 if net.down_count() < spare as usize => net.crash(&[i]),
                1 if net.is_down(i) => net.restart(i),
                2 => net.partition(&[i]),
                3 => net.partition(&[]),
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
        let before = net.height(0);
        net.run_until(at_ms(400_000));
        net.assert_agreement(seed);
        let low = (0..n).map(|i| net.height(i)).min().unwrap();
        assert!(
            low > before + 10,
            "seed {seed}: stuck at {low} since {before}, n = {n}"
        );
    }
}

#[test]
fn promises_match_the_published_table() {
    let config = Config::default();
    for (n, f, crashed, quorum) in [
        (4, 1, 1, 3),
        (6, 1, 2, 4),
        (7, 2, 2, 5),
        (9, 2, 3, 6),
        (21, 6, 7, 14),
    ] {
        let p = Qbft::promises(&config, n);
        assert_eq!(
            (p.byzantine, p.crashed, p.quorum),
            (f, crashed, quorum),
            "n = {n}"
        );
        assert_eq!(byzantine_bound(n), f);
    }
}

/// As above, with flooded messages and validators voted in and out.
#[test]
fn swarm_of_floods_and_votes() {
    for seed in 0..160 {
        let mut draws = Seed::new(seed, 0).stream("floods", 0);
        let n = 5 + draws.below(5) as u32;
        let wishes = draws.below(4) as usize;
        let config = Config {
            validators: n - draws.below(2) as u32,
            timer: if draws.chance(0.3) {
                RoundTimer::Spec
            } else {
                RoundTimer::Besu
            },
            early_round_change: draws.chance(0.5),
            request_timeout_ms: 1_100 + draws.below(1_000),
            gossip: [Gossip::Direct, Gossip::Flood, Gossip::BesuFlood][draws.below(3) as usize],
            votes: (0..wishes)
                .map(|_| {
                    let who: Vec<u32> = (0..n).filter(|_| draws.chance(0.9)).chain([0]).collect();
                    let about = 1 + draws.below(u64::from(n) - 1) as u32;
                    wish(draws.below(30) as f64, &who, about, draws.chance(0.5))
                })
                .collect(),
            epoch_blocks: 5 + draws.below(30) as u32,
            ..Config::default()
        };
        let mut net: Net = World::new(&config, n, Span::from_ms(1 + draws.below(120)), seed);
        let loss = draws.open01() * 0.4;
        let mut dice = Seed::new(seed, 0).stream("loss", 0);
        net.lose(move |_| dice.chance(loss));
        net.start();
        for second in 1..=30 {
            net.run_until(at_ms(1_000 * second));
            let i = draws.below(u64::from(n)) as u32;
            match draws.below(6) {
                0 if net.down_count() == 0 => net.crash(&[i]),
                1 if net.is_down(i) => net.restart(i),
                2 => net.partition(&[i]),
                3 => net.partition(&[]),
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
        let before = net.height(0);
        net.run_until(at_ms(400_000));
        net.assert_agreement(seed);
        let low = (0..n).map(|i| net.height(i)).min().unwrap();
        assert!(
            low > before + 10,
            "seed {seed}: stuck at {low} since {before}, n = {n}"
        );
        for i in 1..n {
            // Some commit a moment later.
            let (a, b) = (elections(&net, 0), elections(&net, i));
            let both = a.len().min(b.len());
            assert_eq!(a[..both], b[..both], "seed {seed}: {i}");
            assert!(a.len().abs_diff(b.len()) <= 1, "seed {seed}: {i}");
        }
    }
}
