//! HotStuff: who votes for what, what a certificate commits, and how a view ends without one.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::hotstuff::{
    COMMIT, CommitRule, Config, Header, HotStuff, Message, PRE_COMMIT, PREPARE, Qc, Rotation, Tc,
    Variant,
};
use quorate_core::{BlockId, Blocks, Engine, Seed, Span, Statement, Time};

const D: u64 = 50;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

fn config() -> Config {
    Config::default()
}

fn jolteon() -> Config {
    serde_json::from_value(serde_json::json!({ "preset": "jolteon" })).expect("a preset")
}

fn basic() -> Config {
    Config {
        variant: Variant::Basic,
        ..config()
    }
}

fn world(config: &Config, nodes: u32) -> World<HotStuff> {
    World::new(config, nodes, Span::from_ms(D), 1)
}

/// A certificate of the first `signers` nodes.
fn certify(
    net: &mut World<HotStuff>,
    (view, phase): (u32, u8),
    block: BlockId,
    signers: u32,
) -> Qc {
    let height = net.blocks.get(block).height;
    let statements: Vec<Statement> = (0..signers)
        .map(|i| Statement {
            signer: node(i),
            round: Some(view << 2 | u32::from(phase)),
            block: Some(block),
        })
        .collect();
    let cert = Some(net.certs().intern(height, &statements));
    Qc {
        view,
        phase,
        block,
        cert,
    }
}

/// A time-out certificate of the first three nodes, who have this as their highest certificate.
fn time_out(net: &mut World<HotStuff>, view: u32, high: Qc) -> Tc {
    let statements: Vec<Statement> = (0..3)
        .map(|i| Statement {
            signer: node(i),
            round: Some(view),
            block: Some(high.block),
        })
        .collect();
    let cert = net.certs().intern(1, &statements);
    Tc { view, high, cert }
}

/// A block that nobody ordered, of the leader by turns.
fn forge(net: &mut World<HotStuff>, view: u32, justify: Qc, tc: Option<Tc>) -> BlockId {
    let leader = (view - 1) % net.replicas.len() as u32;
    net.forge(leader, justify.block, Header { view, justify, tc })
}

/// The leader's proposal arrives at a node.
fn propose(net: &mut World<HotStuff>, to: u32, block: BlockId) {
    let leader = net.blocks.get(block).key.creator.get();
    net.hold(to, block);
    net.deliver(leader, to, Message::Proposal(block));
}

/// Views in which a node voted, as its traced messages say.
fn votes(net: &World<HotStuff>, i: u32) -> usize {
    let trace = net.trace.as_ref().expect("it was asked for");
    let mine =
        |line: &&String| line.contains(&format!(" {} ", node(i))) && line.contains("Send(Vote");
    trace.iter().filter(mine).count()
}

fn by_turns(commit_rule: CommitRule) -> Config {
    Config {
        commit_rule,
        rotation: Rotation::EveryView,
        ..config()
    }
}

/// Four nodes by turns, of which nobody does anything by itself: node 3 leads only view 4.
fn crafted(commit_rule: CommitRule) -> World<HotStuff> {
    let mut net = world(&by_turns(commit_rule), 4);
    net.trace = Some(Vec::new());
    net.give(node(3), quorate_core::Input::Start);
    net
}

fn commit_times(net: &World<HotStuff>, i: u32) -> Vec<Time> {
    net.commits(i).iter().map(|c| c.0).collect()
}

#[test]
fn upon_a_transaction_a_block_is_committed_after_seven_delays_by_three_chains() {
    let mut net = world(&config(), 4);
    net.start();
    net.submit();
    net.run_until(at_ms(10_000));
    // One block with the transaction, three more to commit it everywhere, and then silence.
    for i in 1..4 {
        assert_eq!(commit_times(&net, i)[0], at_ms(7 * D), "node {i}");
    }
    assert_eq!(
        commit_times(&net, 0)[0],
        at_ms(6 * D),
        "the leader knows first"
    );
    assert_eq!(net.messages["proposal"].0, 4 * 3);
    assert_eq!(net.messages["vote"].0, 4 * 3);
    assert_eq!(net.messages.len(), 2, "{:?}", net.messages);
}

#[test]
fn a_two_chain_commits_after_five_delays() {
    let mut net = world(&by_turns(CommitRule::TwoChain), 7);
    net.start();
    net.submit();
    net.run_until(at_ms(10_000));
    for i in [0, 1, 4, 5, 6] {
        assert_eq!(commit_times(&net, i)[0], at_ms(5 * D), "node {i}");
    }
    assert_eq!(net.messages["proposal"].0, 3 * 6);
}

#[test]
fn a_chained_block_costs_two_messages_for_each_other_validator() {
    for (n, rotation) in [
        (4, Rotation::OnTimeout),
        (7, Rotation::EveryView),
        (10, Rotation::EveryView),
    ] {
        let config = Config {
            rotation,
            empty_blocks: true,
            ..config()
        };
        let mut net = world(&config, n);
        net.start();
        net.run_until(at_ms(200 * D + D / 2));
        let blocks = 101; // At 0, 2d, …, 200d.
        // The last proposer's own vote is out at once, if another collects it.
        let own = u64::from(rotation == Rotation::EveryView);
        let expected_votes = (blocks - 1) * u64::from(n - 1) + own;
        assert_eq!(net.messages["proposal"].0, blocks * u64::from(n - 1));
        assert_eq!(net.messages["vote"].0, expected_votes, "n = {n}");
        assert_eq!(net.messages.len(), 2);
        net.assert_agreement(0);
    }
}

#[test]
fn a_basic_block_costs_eight_messages_and_seven_delays() {
    for n in [4, 7] {
        let config = Config {
            empty_blocks: true,
            ..basic()
        };
        let mut net = world(&config, n);
        net.start();
        // New-views of view 1 take a delay; each view takes eight.
        net.run_until(at_ms(8 * 10 * D + D / 2));
        let sent: u64 = net.messages.values().map(|m| m.0).sum();
        let others = u64::from(n - 1);
        // Ten decisions; new-views of the eleventh are there, and its proposal is out.
        assert_eq!(
            sent,
            10 * 8 * others + 2 * others - others,
            "{:?}",
            net.messages
        );
        for (k, at) in commit_times(&net, 1).into_iter().enumerate() {
            assert_eq!(at, at_ms((8 * k as u64 + 8) * D));
        }
        assert_eq!(net.commits(1).len(), 10);
        net.assert_agreement(0);
    }
}

#[test]
fn a_replica_that_is_locked_votes_for_what_extends_it_or_has_a_later_certificate() {
    for later in [false, true] {
        let mut net = crafted(CommitRule::ThreeChain);
        let b1 = forge(&mut net, 1, Qc::GENESIS, None);
        let q1 = certify(&mut net, (1, PREPARE), b1, 3);
        let b2 = forge(&mut net, 2, q1, None);
        let q2 = certify(&mut net, (2, PREPARE), b2, 3);
        let b3 = forge(&mut net, 3, q2, None);
        for block in [b1, b2, b3] {
            propose(&mut net, 3, block); // With the certificate of b2 it is locked on b1.
        }
        assert_eq!(votes(&net, 3), 2, "for b1 and b2; the third goes to itself");
        // A fork from genesis, of view 4 or so.
        let c4 = forge(&mut net, 4, Qc::GENESIS, None);
        net.hold(3, c4);
        let q4 = certify(&mut net, (4, PREPARE), c4, 3);
        let (justify, tc) = if later {
            (q4, None)
        } else {
            // Nobody of the certificate names what this replica is locked on: it lies.
            (Qc::GENESIS, Some(time_out(&mut net, 4, Qc::GENESIS)))
        };
        let c5 = forge(&mut net, 5, justify, tc);
        propose(&mut net, 3, c5);
        assert_eq!(votes(&net, 3), 2 + usize::from(later));
    }
}

#[test]
fn the_lock_is_two_certificates_deep() {
    // Locked on b1 by the certificate of b2, a replica votes for another child of b1.
    let mut net = crafted(CommitRule::ThreeChain);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    let q1 = certify(&mut net, (1, PREPARE), b1, 3);
    let b2 = forge(&mut net, 2, q1, None);
    let q2 = certify(&mut net, (2, PREPARE), b2, 3);
    let b3 = forge(&mut net, 3, q2, None);
    for block in [b1, b2, b3] {
        propose(&mut net, 3, block);
    }
    let tc = time_out(&mut net, 4, q1);
    let c5 = forge(&mut net, 5, q1, Some(tc));
    propose(&mut net, 3, c5);
    assert_eq!(votes(&net, 3), 3);
}

#[test]
fn a_replica_votes_once_in_a_view_and_not_after_it_gave_it_up() {
    let mut net = crafted(CommitRule::ThreeChain);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    propose(&mut net, 3, b1);
    propose(&mut net, 3, b1);
    assert_eq!(votes(&net, 3), 1);
    let mut net = crafted(CommitRule::ThreeChain);
    net.submit();
    net.run_until(at_ms(1_500)); // Its time-out was at one second.
    assert!(
        net.trace
            .as_ref()
            .unwrap()
            .iter()
            .any(|l| l.contains("Timeout"))
    );
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    propose(&mut net, 3, b1);
    assert_eq!(votes(&net, 3), 0);
}

#[test]
fn proposals_of_others_than_the_leader_or_with_bad_certificates_count_for_nothing() {
    let mut net = crafted(CommitRule::ThreeChain);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    let mut refused = Vec::new();
    // Two signers; the same signer twice; a certificate of another view; not on its certificate's
    // block; a gap of views without a time-out certificate; another node's block.
    let few = certify(&mut net, (1, PREPARE), b1, 2);
    refused.push(forge(&mut net, 2, few, None));
    let (signer, round, block) = (node(0), Some(1 << 2), Some(b1));
    let twice = [Statement {
        signer,
        round,
        block,
    }; 3];
    let cert = Some(net.certs().intern(1, &twice));
    refused.push(forge(&mut net, 2, Qc { cert, ..few }, None));
    let good = certify(&mut net, (1, PREPARE), b1, 3);
    refused.push(forge(&mut net, 3, Qc { view: 2, ..good }, None));
    let header = Header {
        view: 2,
        justify: good,
        tc: None,
    };
    refused.push(net.forge(1, GENESIS, header));
    refused.push(forge(&mut net, 3, good, None));
    refused.push(net.forge(2, b1, header));
    net.hold(3, b1);
    for block in refused {
        propose(&mut net, 3, block);
        assert_eq!(votes(&net, 3), 0, "{:?}", net.blocks.get(block));
    }
    let b2 = forge(&mut net, 2, good, None);
    propose(&mut net, 3, b2);
    assert_eq!(votes(&net, 3), 1);
}

#[test]
fn with_two_chains_a_time_out_certificate_must_name_nothing_later() {
    for honest in [false, true] {
        let mut net = crafted(CommitRule::TwoChain);
        let b1 = forge(&mut net, 1, Qc::GENESIS, None);
        let q1 = certify(&mut net, (1, PREPARE), b1, 3);
        net.hold(3, b1);
        let tc = time_out(&mut net, 4, q1);
        let justify = if honest { q1 } else { Qc::GENESIS };
        let b5 = forge(&mut net, 5, justify, Some(tc));
        propose(&mut net, 3, b5);
        assert_eq!(votes(&net, 3), usize::from(honest));
        // Either way it has learned what the certificate names.
        assert_eq!(net.count_notes(3, |n| *n == Note::RoundChange(5)), 1);
    }
    // Nor does a certificate of an older view do without one.
    let mut net = crafted(CommitRule::TwoChain);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    let q1 = certify(&mut net, (1, PREPARE), b1, 3);
    let tc = time_out(&mut net, 3, q1);
    net.hold(3, b1);
    let b5 = forge(&mut net, 5, q1, Some(tc));
    propose(&mut net, 3, b5);
    assert_eq!(votes(&net, 3), 0);
}

#[test]
fn where_messages_take_no_time_empty_blocks_wait_for_a_millisecond() {
    for nodes in [1, 4] {
        let config = Config {
            empty_blocks: true,
            ..config()
        };
        let mut net: World<HotStuff> = World::new(&config, nodes, Span::ZERO, 1);
        net.start();
        net.run_until(at_ms(100));
        // Two each time: the wait itself makes one view longer than none.
        assert_eq!(net.height(0), 201);
        net.assert_agreement(0);
    }
}

#[test]
fn three_certified_blocks_commit_only_in_consecutive_views() {
    for gap in [0, 1, 2, 3] {
        let mut net = crafted(CommitRule::ThreeChain);
        let (mut view, mut justify) = (0, Qc::GENESIS);
        let mut chain = Vec::new();
        for step in 1..=4 {
            view += if step == gap { 2 } else { 1 };
            let tc = (step == gap).then(|| time_out(&mut net, view - 1, justify));
            let block = forge(&mut net, view, justify, tc);
            justify = certify(&mut net, (view, PREPARE), block, 3);
            chain.push(block);
            propose(&mut net, 3, block);
        }
        let committed: Vec<BlockId> = net.commits(3).iter().map(|c| c.1).collect();
        // The last proposal certifies the third block: a gap at the first does no harm.
        let expected = if gap <= 1 { vec![chain[0]] } else { vec![] };
        assert_eq!(committed, expected, "a gap before block {gap}");
        if gap == 2 {
            // The blocks after the gap commit it with the next.
            let block = forge(&mut net, view + 1, justify, None);
            propose(&mut net, 3, block);
            let committed: Vec<BlockId> = net.commits(3).iter().map(|c| c.1).collect();
            assert_eq!(committed, chain[..2]);
        }
    }
}

#[test]
fn upon_a_quorum_of_timeouts_the_next_view_begins_under_another_leader() {
    let mut net = world(&config(), 4);
    net.crash(&[0]);
    net.start();
    net.submit();
    net.run_until(at_ms(20_000));
    // The time-out, one delay, the proposal of node 1, and seven delays to commit it.
    assert_eq!(commit_times(&net, 2)[0], at_ms(1_000 + D + 7 * D));
    for i in 1..4 {
        let changes = net.count_notes(i, |n| matches!(n, Note::RoundChange(2)));
        assert_eq!(changes, 1);
        assert_eq!(net.txs(net.commits(i)[0].1), 1);
    }
    assert_eq!(net.messages["timeout"].0, 9, "each of three to all others");
}

#[test]
fn fewer_timeouts_than_a_quorum_end_no_view() {
    let mut net = world(&config(), 4);
    net.crash(&[0, 1]);
    net.start();
    net.submit();
    net.run_until(at_ms(60_000));
    for i in [2, 3] {
        assert_eq!(net.count_notes(i, |n| matches!(n, Note::RoundChange(_))), 0);
        assert!(net.commits(i).is_empty());
    }
    // The view's timer is the same each time.
    assert_eq!(net.messages["timeout"].0, 59 * 2 * 3 + 6);
}

#[test]
fn each_view_that_times_out_doubles_the_next_until_one_does_not() {
    let mut net = world(&config(), 7);
    net.crash(&[0, 1]);
    net.start();
    net.submit();
    net.run_until(at_ms(30_000));
    // Views 1 and 2 take one and two seconds.
    assert_eq!(
        commit_times(&net, 3)[0],
        at_ms(1_000 + 2_000 + 2 * D + 7 * D)
    );
    let constant = Config {
        timeout_growth: 1.0,
        ..config()
    };
    let mut net = world(&constant, 7);
    net.crash(&[0, 1]);
    net.start();
    net.submit();
    net.run_until(at_ms(30_000));
    assert_eq!(
        commit_times(&net, 3)[0],
        at_ms(1_000 + 1_000 + 2 * D + 7 * D)
    );
}

#[test]
fn by_turns_three_chains_need_four_live_leaders_in_a_row() {
    for (n, rule, lives) in [
        (4, CommitRule::ThreeChain, false),
        (4, CommitRule::TwoChain, true),
        (7, CommitRule::ThreeChain, true),
    ] {
        let config = by_turns(rule);
        let mut net = world(&config, n);
        net.crash(&[0]);
        net.start();
        net.submit();
        net.run_until(at_ms(120_000));
        assert_eq!(!net.commits(2).is_empty(), lives, "{n} {rule:?}");
        assert_eq!(HotStuff::promises(&config, n).crashed >= 1, lives);
        net.assert_agreement(0);
    }
    // The leader that stays has no such problem.
    assert_eq!(HotStuff::promises(&config(), 4).crashed, 1);
}

#[test]
fn two_proposals_of_a_view_and_two_votes_of_a_view_are_evidence() {
    let mut net = crafted(CommitRule::ThreeChain);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    let c1 = forge(&mut net, 1, Qc::GENESIS, None);
    propose(&mut net, 3, b1);
    assert_eq!(net.count_notes(3, |n| matches!(n, Note::Evidence(_))), 0);
    propose(&mut net, 3, c1);
    assert_eq!(net.count_notes(3, |n| *n == Note::Evidence(node(0))), 1);
    assert_eq!(votes(&net, 3), 1);
    for block in [b1, b1, c1] {
        let (view, phase) = (3, PREPARE);
        net.deliver(2, 3, Message::Vote { view, phase, block });
    }
    assert_eq!(net.count_notes(3, |n| *n == Note::Evidence(node(2))), 1);
}

#[test]
fn a_leader_that_proposes_twice_gets_at_most_one_certificate() {
    // Node 0 says one thing to node 1 and another to nodes 2 and 3: neither gets three votes.
    let mut net = world(&by_turns(CommitRule::ThreeChain), 4);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    let c1 = forge(&mut net, 1, Qc::GENESIS, None);
    net.crash(&[0]);
    net.start();
    for (to, block) in [(1, b1), (2, c1), (3, c1)] {
        propose(&mut net, to, block);
    }
    net.submit();
    net.run_until(at_ms(120_000));
    net.restart(0);
    net.run_until(at_ms(240_000));
    net.assert_agreement(0);
    let committed = |block| (0..4).any(|i| net.commits(i).iter().any(|c| c.1 == block));
    assert!(!committed(b1) && !committed(c1));
    assert!((0..4).all(|i| !net.commits(i).is_empty()));
}

#[test]
fn basic_phases_lock_at_commit_and_decide_once() {
    let mut net = world(&basic(), 4);
    net.trace = Some(Vec::new());
    net.give(node(3), quorate_core::Input::Start);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    propose(&mut net, 3, b1);
    for phase in [PREPARE, PRE_COMMIT] {
        let qc = certify(&mut net, (1, phase), b1, 3);
        net.deliver(0, 3, Message::Phase(qc));
        net.deliver(0, 3, Message::Phase(qc));
    }
    assert_eq!(votes(&net, 3), 3, "one a phase");
    assert!(net.commits(3).is_empty());
    // Locked on b1 at view 1: a fork from genesis gets no vote in view 2.
    let tc = time_out(&mut net, 1, Qc::GENESIS);
    let header = Header {
        view: 2,
        justify: Qc::GENESIS,
        tc: Some(tc),
    };
    let c2 = net.forge(1, GENESIS, header);
    propose(&mut net, 3, c2);
    assert_eq!(votes(&net, 3), 3);
    let qc = certify(&mut net, (1, COMMIT), b1, 3);
    net.deliver(0, 3, Message::Phase(qc));
    assert_eq!(net.commits(3).len(), 1);
    // One signature too few decides nothing.
    let mut net = world(&basic(), 4);
    net.give(node(3), quorate_core::Input::Start);
    let b1 = forge(&mut net, 1, Qc::GENESIS, None);
    propose(&mut net, 3, b1);
    let qc = certify(&mut net, (1, COMMIT), b1, 2);
    net.deliver(0, 3, Message::Phase(qc));
    assert!(net.commits(3).is_empty());
}

#[test]
fn who_missed_the_last_decision_is_told_when_it_times_out() {
    let mut net = world(&config(), 4);
    net.start();
    net.submit();
    // Node 3 gets the first two blocks, and not the two that would commit them.
    net.lose(|p| {
        p.to == node(3)
            && p.sent > at_ms(150)
            && matches!(p.load, Load::Message(Message::Proposal(_)))
    });
    net.run_until(at_ms(900));
    assert!(net.commits(3).is_empty() && !net.commits(2).is_empty());
    net.lose_nothing();
    net.run_until(at_ms(3_000));
    assert_eq!(
        net.commits(3).first().map(|c| c.1),
        net.commits(2).first().map(|c| c.1)
    );
}

#[test]
fn nothing_is_said_while_nothing_is_pending() {
    for config in [config(), basic(), by_turns(CommitRule::TwoChain)] {
        let mut net = world(&config, 4);
        net.start();
        net.run_until(at_ms(1_000));
        net.submit();
        net.run_until(at_ms(5_000));
        let sent = net.messages.clone();
        net.run_until(at_ms(600_000));
        assert_eq!(net.messages, sent);
        assert!((0..4).all(|i| net.txs(net.commits(i)[0].1) == 1));
        net.submit();
        net.run_until(at_ms(605_000));
        assert!((0..4).all(|i| net.commits(i).iter().map(|c| net.txs(c.1)).sum::<u32>() == 2));
    }
}

#[test]
fn who_restarts_catches_up_even_when_nothing_happens_any_more() {
    for config in [config(), basic(), jolteon()] {
        let mut net = world(&config, 4);
        net.start();
        net.submit();
        net.run_until(at_ms(2_000));
        net.crash(&[3]);
        for s in 2..30 {
            net.submit();
            net.run_until(at_ms(1_000 * s));
        }
        net.run_until(at_ms(120_000));
        net.restart(3);
        net.run_until(at_ms(140_000));
        let commits = |i| net.commits(i).iter().map(|c| net.txs(c.1)).sum::<u32>();
        assert_eq!(commits(3), 29, "{:?}", config.variant);
        net.assert_agreement(0);
    }
}

#[test]
fn observers_follow_without_a_vote() {
    for variant in [Variant::Chained, Variant::Basic] {
        let config = Config {
            validators: 4,
            variant,
            ..config()
        };
        let mut net = world(&config, 6);
        net.trace = Some(Vec::new());
        net.start();
        net.submit();
        net.run_until(at_ms(5_000));
        assert_eq!(votes(&net, 5), 0);
        assert_eq!(
            net.commits(5).first().map(|c| c.1),
            net.commits(1).first().map(|c| c.1)
        );
        assert!(!net.commits(5).is_empty());
    }
}

/// Loss, jitter, crashes and partitions for a minute; then all that was submitted is committed everywhere.
fn survive(config: &Config, nodes: u32, seed: u64) {
    let mut net: World<HotStuff> = World::new(config, nodes, Span::from_ms(D), seed);
    net.reorder(Span::from_ms(80), Seed::new(seed, 0).stream("jitter", 0));
    let mut dice = Seed::new(seed, 0).stream("loss", 0);
    net.lose(move |p| p.sent < at_ms(60_000) && dice.chance(0.15));
    let mut plan = Seed::new(seed, 0).stream("plan", 0);
    let most = HotStuff::promises(config, nodes).crashed as usize;
    net.start();
    for s in 1..60 {
        if plan.chance(0.2) {
            let i = plan.below(u64::from(nodes)) as u32;
            if net.is_down(i) {
                net.restart(i);
            } else if net.down_count() < most {
                net.crash(&[i]);
            }
        }
        if plan.chance(0.1) {
            net.partition(&[plan.below(u64::from(nodes)) as u32]);
        } else if plan.chance(0.3) {
            net.partition(&[]);
        }
        net.submit();
        net.run_until(at_ms(1_000 * s));
    }
    net.partition(&[]);
    for i in 0..nodes {
        if net.is_down(i) {
            net.restart(i);
        }
    }
    net.run_until(at_ms(60_000));
    net.submit();
    net.run_until(at_ms(400_000));
    net.assert_agreement(seed);
    for i in 0..nodes {
        let txs: u32 = net.commits(i).iter().map(|c| net.txs(c.1)).sum();
        assert_eq!(txs, 60, "seed {seed}, node {i} of {nodes}, {config:?}");
    }
}

#[test]
fn it_survives_loss_crashes_and_partitions() {
    let quick = Config {
        view_timeout_ms: 1_000,
        batch_delay_ms: 0,
        empty_blocks: false,
        ..jolteon()
    };
    for seed in 0..40 {
        let nodes = 4 + (seed % 4) as u32;
        survive(&config(), nodes, seed);
        survive(&basic(), nodes, seed);
        survive(&quick, nodes, seed);
        survive(&by_turns(CommitRule::ThreeChain), nodes, seed);
    }
}

#[test]
fn it_refuses_what_cannot_work() {
    let refused = |config: Config, nodes| HotStuff::validate(&config, nodes).map_err(|e| e.key);
    let two = CommitRule::TwoChain;
    assert_eq!(
        refused(
            Config {
                commit_rule: two,
                ..basic()
            },
            4
        ),
        Err("commit_rule")
    );
    assert_eq!(
        refused(
            Config {
                validators: 5,
                ..config()
            },
            4
        ),
        Err("validators")
    );
    assert_eq!(
        refused(
            Config {
                view_timeout_ms: 0,
                ..config()
            },
            4
        ),
        Err("view_timeout_ms")
    );
    assert_eq!(
        refused(
            Config {
                timeout_growth: 0.5,
                ..config()
            },
            4
        ),
        Err("timeout_growth")
    );
    assert_eq!(
        refused(
            Config {
                block_bytes: 0,
                ..config()
            },
            4
        ),
        Err("block_bytes")
    );
    assert_eq!(refused(jolteon(), 4), Ok(()));
}

#[test]
fn certificates_and_batches_have_the_bytes_that_were_asked_for() {
    let bytes = |config: &Config| {
        let mut net = world(config, 4);
        net.start();
        net.submit();
        net.run_until(at_ms(80));
        net.messages["proposal"].1 / net.messages["proposal"].0
    };
    // The driver's blocks have 10,000 B, header included.
    assert_eq!(bytes(&config()), 10_000);
    let digests = |qc_bytes| Config {
        batch_bytes: 1_000,
        qc_bytes,
        ..config()
    };
    let (list, threshold) = (bytes(&digests(0)), bytes(&digests(96)));
    assert_eq!(list - threshold, 48 + 3 * 96 - 96);
    assert!(threshold < 1_000, "{threshold}");
}
