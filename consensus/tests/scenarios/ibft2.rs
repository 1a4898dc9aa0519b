//! IBFT 2.0: where it differs from QBFT, whose scenarios hold for the rest.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::bft::Protocol as _;
use quorate_consensus::ibft2::{
    COMMIT, Config, Gossip, Header, Ibft2, Justification, Message, PREPARE, Prepared, Proposal,
    RoundChange, Rules, Said,
};
use quorate_consensus::qbft;
use quorate_core::{
    Ballot, BlockId, Blocks, Engine, Input, NodeId, Seed, Span, Statement, two_thirds,
};

type Net = World<Ibft2>;
const D: Span = Span::from_ms(50);
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

fn started(n: u32, config: &Config) -> Net {
    let mut net = World::new(config, n, D, 0);
    net.start();
    net
}

fn with_timeout(request_timeout_ms: u64) -> Config {
    Config {
        request_timeout_ms,
        ..Config::default()
    }
}

fn sent(net: &Net, kind: &str) -> u64 {
    net.messages.get(kind).map_or(0, |m| m.0)
}

fn header(round: u32, ms: u64) -> Header {
    Header {
        round,
        timestamp: at_ms(ms),
        vote: None,
    }
}

#[test]
fn a_block_commits_three_delays_after_its_proposal_once_a_period() {
    let mut net = started(4, &Config::default());
    net.run_until(at_ms(3_500));
    for i in 0..4 {
        let times: Vec<_> = net.commits(i).iter().map(|c| c.0).collect();
        assert_eq!(times, [at_ms(1_150), at_ms(2_150), at_ms(3_150)]);
    }
}

/// The proposer sends no Prepare.
#[test]
fn messages_and_bytes_of_a_block_match_the_count() {
    for n in [1_u64, 2, 3, 4, 7, 21] {
        let mut net = started(n as u32, &Config::default());
        net.run_until(at_ms(1_500));
        assert_eq!(net.height(0), 1, "n = {n}");
        let total: u64 = net.messages.values().map(|m| m.0).sum();
        assert_eq!(total, 2 * n * (n - 1), "n = {n}");
        if n > 2 {
            let prepares = (n - 1) * (n - 1);
            assert_eq!(net.messages["prepare"], (prepares, prepares * 117));
            let commits = n * (n - 1);
            assert_eq!(net.messages["commit"], (commits, commits * 185));
        }
    }
}

/// Sizes of lists in lists, by hand: a list of up to 55 bytes has one byte of length, of up to 255 two, of up
/// to 65,535 three.
#[test]
fn sizes_are_those_of_the_encoding() {
    // 14 B of round and a byte for "no certificate"; a signature; a byte for "no block".
    let plain = Rules::round_change(false, 3);
    assert_eq!((plain.bytes, plain.signatures), (85 + 1 + 2, 0));
    // A signed Proposal of 117 B, and two or 13 Prepares of 117 B.
    let signed = |prepares: u64, length: u64| {
        let certificate = 3 + 117 + length + prepares * 117;
        3 + (3 + 14 + certificate) + 67
    };
    let prepared = Rules::round_change(true, 3);
    assert_eq!(
        (prepared.bytes, prepared.signatures),
        (signed(2, 2) + 3, 1 + 2)
    );
    let large = Rules::round_change(true, 14);
    assert_eq!((large.bytes, large.signatures), (signed(13, 3) + 3, 1 + 13));
    let mut net = started(4, &Config::default());
    let certs = net.certs();
    let j = Justification {
        changes: certs.intern(1, &[]),
        prepares: None,
        plain: 1,
        prepared: 2,
    };
    let proof = Rules::justification(&j, 3);
    let all = 85 + 2 * signed(2, 2);
    assert_eq!(
        (proof.bytes, proof.signatures),
        (3 + 3 + all, 1 + 2 * (1 + 3))
    );
    // QBFT sends the Prepares once.
    let there = <qbft::Rules as quorate_consensus::bft::Protocol>::justification(
        &Justification {
            prepares: Some(j.changes),
            ..j
        },
        3,
    );
    assert_eq!(
        (there.bytes, there.signatures),
        (76 + 2 * 110 + 3 * 108, 3 + 3)
    );
}

/// Round 0 and its timer run from the last block on, so that failed proposers cost a period less than in
/// QBFT: `T·(2^r − 1)` and four delays from there.
#[test]
fn crashed_proposers_cost_what_the_closed_form_says() {
    for (t, r, n) in [(2, 1, 7), (2, 2, 7), (2, 3, 10), (10, 2, 7)] {
        let mut net: Net = World::new(&with_timeout(1_000 * t), n, D, 0);
        net.crash(&(0..r).collect::<Vec<_>>());
        net.start();
        let due = 1_000 * t * ((1 << r) - 1) + 4 * 50;
        net.run_until(at_ms(due + 100));
        for i in r..n {
            assert_eq!(net.commits(i)[0].0, at_ms(due), "T = {t}, r = {r}, {i}");
        }
    }
}

/// Only the proposer waits for the block timer: a round that ends before the block is due ends for nothing.
#[test]
fn a_timeout_up_to_the_period_is_refused() {
    let period = Config::default().period_ms;
    for (timeout, fits) in [(period, false), (period + 1, true)] {
        let checked = Ibft2::validate(&with_timeout(timeout), 4);
        assert_eq!(checked.is_ok(), fits, "{timeout} ms");
    }
}

#[test]
fn progress_needs_a_quorum_and_no_more() {
    for (n, down, blocks) in [
        (1, 0, true),
        (2, 1, false),
        (3, 1, true),
        (4, 2, false),
        (4, 1, true),
        (6, 2, true),
    ] {
        let mut net: Net = World::new(&Config::default(), n, D, 0);
        net.crash(&(0..down).collect::<Vec<_>>());
        net.start();
        net.run_until(at_ms(60_000));
        assert_eq!(net.height(n - 1) > 10, blocks, "{down} of {n} down");
        assert_eq!(net.height(n - 1) > 0, blocks, "{down} of {n} down");
    }
}

// Prepares.

/// Node 3 of four, which has started and lets others vote by message.
fn waiting() -> Net {
    let config = Config {
        gossip: Gossip::Flood,
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 4, D, 0);
    net.give(node(3), Input::Start);
    net.run_until(at_ms(500));
    net
}

fn says(net: &mut Net, author: u32, said: Said) {
    let author = node(author);
    net.deliver(author.get(), 3, Message::Flooded { author, said });
}

fn vote(phase: u8, round: u32, block: BlockId) -> Said {
    Said::Vote(Ballot {
        height: 1,
        round,
        phase,
        choice: Some(block),
    })
}

fn proposal(round: u32, block: BlockId, justification: Option<Justification>) -> Said {
    Said::Proposal(Proposal {
        height: 1,
        round,
        block,
        justification,
    })
}

/// `Q − 1` Prepares, of which the proposer's is none, then `Q` Commits, of which it is one.
#[test]
fn the_proposer_s_prepare_is_not_counted_but_its_commit_is() {
    let mut net = waiting();
    let block = net.forge(0, GENESIS, header(0, 1_000));
    says(&mut net, 0, proposal(0, block, None));
    // Three of its own Prepare, and six of the Proposal sent on: to nodes 1 and 2 but not to its author.
    assert_eq!(sent(&net, "flooded-prepare"), 3);
    says(&mut net, 0, vote(PREPARE, 0, block));
    assert_eq!(sent(&net, "flooded-commit"), 0);
    says(&mut net, 1, vote(PREPARE, 0, block));
    assert_eq!(sent(&net, "flooded-commit"), 3);
    says(&mut net, 0, vote(COMMIT, 0, block));
    assert_eq!(net.commits(3).len(), 0);
    // Twice the same is one.
    says(&mut net, 0, vote(COMMIT, 0, block));
    assert_eq!(net.commits(3).len(), 0);
    says(&mut net, 1, vote(COMMIT, 0, block));
    assert_eq!(net.commits(3), [(at_ms(500), block)]);
}

#[test]
fn certificates_need_one_prepare_less_and_none_of_the_proposer() {
    let mut net = started(4, &Config::default());
    net.run_until(at_ms(900));
    let block = net.forge(0, GENESIS, header(0, 1_000));
    let prepared = |net: &mut Net, signers: &[u32]| {
        let statement = |&i: &u32| Statement {
            signer: node(i),
            round: Some(0),
            block: Some(block),
        };
        let statements: Vec<_> = signers.iter().map(statement).collect();
        Prepared {
            round: 0,
            block,
            prepares: net.certs().intern(1, &statements),
        }
    };
    let change = |prepared| {
        Message::RoundChange(RoundChange {
            height: 1,
            round: 1,
            prepared,
        })
    };
    for signers in [&[1][..], &[0, 1], &[0, 1, 2], &[2, 2]] {
        let bad = prepared(&mut net, signers);
        net.deliver(0, 1, change(Some(bad)));
    }
    net.deliver(2, 1, change(None));
    net.deliver(3, 1, change(None));
    assert_eq!(net.count_notes(1, |n| *n == Note::RoundChange(1)), 0);
    let good = prepared(&mut net, &[2, 3]);
    net.deliver(0, 1, change(Some(good)));
    assert_eq!(net.count_notes(1, |n| *n == Note::RoundChange(1)), 1);
    // Node 1 leads round 1 and proposes the prepared block again.
    net.run_until(at_ms(1_100));
    assert_eq!(net.commits(2), [(at_ms(1_050), block)]);
}

/// The Commits of round 0 are lost: everybody has prepared, and round 1 proposes the same block again with
/// the Prepares of each of `Q` validators.
#[test]
fn a_block_prepared_in_round_0_commits_in_round_1() {
    let mut net: Net = World::new(&Config::default(), 4, D, 0);
    net.lose(
        |p| matches!(p.load, Load::Vote(b) if b.phase == COMMIT && b.round == 0 && b.height == 1),
    );
    net.start();
    net.run_until(at_ms(2_199));
    let (block, q) = (10_000 - 3 * 67, 3);
    let change = Rules::round_change(true, q).bytes;
    assert_eq!(net.messages["round-change"], (12, 12 * (block + change)));
    let (first, again) = (block + 121, block + 121 + 6 + 3 * (change - 3));
    assert_eq!(net.messages["proposal"], (6, 3 * first + 3 * again));
    net.run_until(at_ms(2_200));
    for i in 0..4 {
        let (time, block) = net.commits(i)[0];
        let built = net.blocks.get(block);
        assert_eq!(
            (time, built.key.creator, built.header.round),
            (at_ms(2_200), node(0), 0)
        );
    }
}

/// Loss, crashes, restarts and partitions until 30 s, then none, with direct and flooded messages and with
/// validators voted in and out: nobody ever disagrees, and everybody gets going again.
#[test]
fn swarm_agreement_and_recovery() {
    for seed in 0..160 {
        let mut draws = Seed::new(seed, 0).stream("swarm", 0);
        let n = 4 + draws.below(5) as u32;
        let wishes = draws.below(3) as usize;
        let config = Config {
            request_timeout_ms: 1_100 + draws.below(1_000),
            gossip: [Gossip::Direct, Gossip::Flood, Gossip::BesuFlood][draws.below(3) as usize],
            votes: (0..wishes)
                .map(|_| quorate_consensus::bft::Wish {
                    from_s: draws.below(30) as f64,
                    validators: (0..n).filter(|_| draws.chance(0.8)).chain([0]).collect(),
                    candidate: 1 + draws.below(u64::from(n) - 1) as u32,
                    add: draws.chance(0.3),
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
        // Two may leave.
        let spare = (n - 2) - two_thirds(n - 2);
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
        let elected = |i: NodeId| net.count_notes(i.get(), |n| matches!(n, Note::Elect(..)));
        let most = net.nodes().map(elected).max();
        assert!(net.nodes().all(|i| Some(elected(i)) == most), "seed {seed}");
    }
}
