//! Aura, rule by rule: steps and primaries, scores, empty steps, rolling finality, clocks.

use crate::driver::{Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::aura::{Aura, Config, Header, Majority, Message};
use quorate_consensus::clique::RelayRule;
use quorate_core::{
    Adversary, BlockId, Blocks, Context, Costs, Engine, Finality, Input, NodeId, Services, Span,
    Time,
};

type Net = World<Aura>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

/// Steps of two seconds, blocks sent by their signers only.
fn config() -> Config {
    Config {
        step_s: 2,
        relay: RelayRule::Direct,
        ..Config::default()
    }
}

fn of(validators: u32, mut config: Config) -> Config {
    config.validators = validators;
    config
}

/// A world, 500 steps old, in which all validators are down and two nodes above them look on.
fn quiet(config: &Config) -> Net {
    let mut net: Net = World::new(config, 9, Span::from_ms(100), 0);
    net.start();
    net.crash(&[0, 1, 2, 3, 4, 5, 6]);
    net.run_until(at_ms(1_000_000));
    net
}

/// The header of a block in a step, with these empty steps in it.
fn header(net: &Net, parent: BlockId, step: u64, empty: &[u64]) -> Header {
    let below = net.blocks.get(parent).header;
    let mask = empty.iter().fold(0, |mask, s| mask | 1 << (step - 1 - s));
    let score = below.score + below.step as i64 - step as i64 + empty.len() as i64;
    Header {
        step,
        empty: mask,
        score,
    }
}

/// A block of the step's primary, which the onlooker gets from the other.
fn extend(net: &mut Net, parent: BlockId, step: u64, empty: &[u64]) -> BlockId {
    let header = header(net, parent, step, empty);
    let primary = net.committee.at(step).get();
    let block = net.forge(primary, parent, header);
    receive(net, block);
    block
}

fn chain(net: &mut Net, parent: BlockId, steps: &[u64]) -> BlockId {
    let extend = |below, &step: &u64| extend(net, below, step, &[]);
    steps.iter().fold(parent, extend)
}

fn receive(net: &mut Net, block: BlockId) {
    net.hold(8, block);
    let from = node(7);
    net.give(node(8), Input::Body { block, from });
}

/// The steps of a chain, lowest first.
fn steps(net: &Net, head: BlockId) -> Vec<u64> {
    let mut steps = Vec::new();
    let mut at = head;
    while let Some(parent) = net.blocks.get(at).parent {
        steps.push(net.blocks.get(at).header.step);
        at = parent;
    }
    steps.reverse();
    steps
}

// Steps.

/// One block a step, of its primary, at its start; who is down leaves its steps silent.
#[test]
fn primaries_take_turns() {
    let mut net: Net = World::new(&of(4, config()), 5, Span::from_ms(50), 1);
    net.start();
    net.run_until(at_ms(40_500));
    assert_eq!(steps(&net, net.head(4)), (1..=20).collect::<Vec<u64>>());
    net.crash(&[2]);
    net.run_until(at_ms(80_500));
    let with_two = |s: &u64| *s <= 20 || s % 4 != 2;
    let want: Vec<u64> = (1..=40).filter(with_two).collect();
    assert_eq!(steps(&net, net.head(4)), want);
    for block in (1..=net.blocks.last().get()).map(BlockId::new) {
        let built = net.blocks.get(block);
        assert_eq!(built.timestamp, at_ms(2_000 * built.header.step));
        assert_eq!(u64::from(built.key.creator.get()), built.header.step % 4);
    }
    net.restart(2);
    net.run_until(at_ms(120_500));
    assert_eq!(
        steps(&net, net.head(2))[want.len()..],
        (41..=60).collect::<Vec<u64>>()
    );
    assert_eq!(net.head(2), net.head(4));
}

/// It does not seal in a step a second time, crashed and restarted within it.
#[test]
fn one_seal_a_step() {
    let mut net: Net = World::new(&of(1, config()), 1, Span::ZERO, 1);
    net.start();
    for s in 0..100 {
        net.run_until(at_ms(1_000 * s));
        net.crash(&[0]);
        net.restart(0);
    }
    let mut steps = steps(&net, net.head(0));
    assert_eq!(steps.len() as u32, net.blocks.last().get());
    steps.dedup();
    assert_eq!(steps.len() as u32, net.blocks.last().get());
}

/// A block that comes later than the next step begins is left beside the chain.
#[test]
fn a_late_block_is_forked_off() {
    let mut net: Net = World::new(&of(3, config()), 3, Span::from_ms(2_500), 1);
    net.start();
    net.run_until(at_ms(60_000));
    let made = net.blocks.last().get();
    assert!(net.height(0) < made, "{} of {made}", net.height(0));
    // Who leads builds on its own chain, a block behind.
    assert!(net.height(0) >= made / 2 - 2);
}

// What is valid.

#[test]
fn blocks_that_break_a_rule_are_not_taken() {
    let config = Config {
        maximum_empty_steps: 3,
        ..of(4, config())
    };
    let taken = |signer: Option<u32>, step: u64, empty: &[u64], more: i64| {
        let mut net = quiet(&config);
        let parent = chain(&mut net, GENESIS, &[5, 6]);
        let mut header = header(&net, parent, step, empty);
        header.score += more;
        let signer = signer.unwrap_or_else(|| net.committee.at(step).get());
        let block = net.forge(signer, parent, header);
        receive(&mut net, block);
        net.head(8) == block
    };
    assert!(taken(None, 7, &[], 0) && taken(None, 11, &[], 0));
    assert!(!taken(Some(0), 7, &[], 0), "not the primary");
    assert!(!taken(Some(8), 7, &[], 0), "no validator");
    assert!(!taken(None, 6, &[], 0), "of its parent's step");
    assert!(!taken(None, 5, &[], 0), "of an earlier step");
    assert!(
        !taken(None, 7, &[], 1) && !taken(None, 7, &[], -1),
        "another score"
    );
    assert!(taken(None, 9, &[7, 8], 0) && taken(None, 9, &[8], 0));
    assert!(
        !taken(None, 9, &[6], 0),
        "an empty step before the parent's"
    );
    assert!(!taken(None, 9, &[8], 1));
    let mut plain = quiet(&Config {
        maximum_empty_steps: 0,
        ..config.clone()
    });
    let with = extend(&mut plain, GENESIS, 3, &[2]);
    assert_ne!(plain.head(8), with, "empty steps are off");
}

/// source: `REJECTED_STEP_DRIFT`, 4 steps. It is step 500.
#[test]
fn early_blocks_wait_and_those_far_ahead_are_refused() {
    let mut net = quiet(&of(4, config()));
    let near = extend(&mut net, GENESIS, 504, &[]);
    let far = extend(&mut net, GENESIS, 505, &[]);
    net.crash(&[8]);
    net.restart(8);
    net.run_until(at_ms(1_007_999));
    assert_eq!(net.head(8), GENESIS);
    net.run_until(at_ms(1_008_000));
    assert_eq!(net.head(8), near);
    let mut other = quiet(&of(4, config()));
    let refused = extend(&mut other, GENESIS, 505, &[]);
    other.run_until(at_ms(1_020_000));
    assert_eq!(other.head(8), GENESIS);
    // What is built on it brings it back.
    let above = extend(&mut other, refused, 506, &[]);
    assert_eq!(other.head(8), above);
    assert_eq!(other.count_notes(8, |n| *n == Note::Adopt(refused)), 1);
    assert_ne!(net.head(8), far);
}

#[test]
fn a_second_block_of_a_step_is_evidence() {
    let mut net = quiet(&of(4, config()));
    let first = extend(&mut net, GENESIS, 5, &[]);
    receive(&mut net, first);
    let told = |net: &Net| net.count_notes(8, |n| *n == Note::Evidence(node(1)));
    assert_eq!(told(&net), 0);
    let second = extend(&mut net, GENESIS, 5, &[]);
    assert_eq!(told(&net), 1);
    // It is a block like any other.
    let above = extend(&mut net, second, 6, &[]);
    assert_eq!(net.head(8), above);
    assert_eq!(told(&net), 1);
}

// Scores.

#[test]
fn the_longer_chain_wins_then_the_one_with_fewer_silent_steps() {
    for swap in [false, true] {
        let best = |branches: [&[u64]; 2]| {
            let mut net = quiet(&of(7, config()));
            let order = if swap { [1, 0] } else { [0, 1] };
            for b in order {
                chain(&mut net, GENESIS, branches[b]);
            }
            steps(&net, net.head(8))
        };
        assert_eq!(best([&[10, 20], &[1]]), [10, 20], "longer");
        assert_eq!(best([&[1, 4], &[2, 3]]), [2, 3], "sooner");
        let first: &[u64] = if swap { &[2, 4] } else { &[1, 4] };
        assert_eq!(best([&[1, 4], &[2, 4]]), first, "equal: the first");
    }
}

/// An empty step makes up for a silent one, and does not weigh as much as a block.
#[test]
fn empty_steps_add_to_the_score() {
    let config = Config {
        maximum_empty_steps: 8,
        ..of(7, config())
    };
    let mut net = quiet(&config);
    let silent = extend(&mut net, GENESIS, 4, &[]);
    assert_eq!(net.head(8), silent);
    let fuller = extend(&mut net, GENESIS, 5, &[2, 3]);
    assert_eq!(net.head(8), fuller, "-5 + 2 against -4");
    let longer = chain(&mut net, silent, &[30]);
    assert_eq!(net.head(8), longer);
}

// Empty steps.

/// Nothing to seal: three empty steps, and the fourth primary seals a block that carries them.
#[test]
fn empty_steps_stand_for_blocks() {
    let config = Config {
        maximum_empty_steps: 3,
        ..of(5, config())
    };
    let mut net: Net = World::new(&config, 6, Span::from_ms(50), 1);
    net.start();
    net.run_until(at_ms(48_500));
    assert_eq!(steps(&net, net.head(5)), [4, 8, 12, 16, 20, 24]);
    for block in (1..=6).map(BlockId::new) {
        assert_eq!(net.blocks.get(block).header.empty, 0b111);
    }
    // Three of four steps, to the four other validators; the onlooker gets none.
    assert_eq!(net.messages["empty-step"].0, 18 * 4);
    // Whoever leads next when something is pending seals.
    net.run_until(at_ms(50_500));
    net.submit();
    net.run_until(at_ms(53_000));
    let last = net.blocks.get(net.head(5));
    assert_eq!((last.header.step, last.header.empty, last.txs), (26, 1, 1));
    net.run_until(at_ms(60_500));
    assert_eq!(steps(&net, net.head(5)).last(), Some(&30));
}

/// Of somebody who is not the primary, or of a later step, or on another block: not carried.
#[test]
fn only_empty_steps_of_their_primaries_count() {
    let config = Config {
        maximum_empty_steps: 1,
        ..of(2, config())
    };
    let mut net: Net = World::new(&config, 3, Span::from_ms(50), 1);
    net.start();
    net.run_until(at_ms(1_500));
    net.crash(&[1]);
    let mut tell = |from, step, parent| net.deliver(from, 0, Message::Empty { step, parent });
    tell(1, 0, GENESIS);
    tell(1, 3, GENESIS);
    tell(0, 1, GENESIS);
    net.run_until(at_ms(4_500));
    // At step 2 nothing counts: node 0 makes an empty step, at step 4 a block.
    assert_eq!(net.height(0), 0);
    net.run_until(at_ms(8_500));
    let sealed = net.blocks.get(net.head(0)).header;
    assert_eq!((sealed.step, sealed.empty), (4, 0b10));
}

// Finality.

/// Blocks of these steps above each other: which of them are final.
fn finals(net: &mut Net, steps: &[u64]) -> usize {
    chain(net, GENESIS, steps);
    net.commits(8)
        .last()
        .map_or(0, |(_, block)| net.blocks.get(*block).height as usize)
}

/// source: `finality.rs`, `finalize_multiple` and `finalize_multiple_2_3`: three of six sign six blocks
/// and a fourth the seventh: the first four are final. Of seven, four sign and then a fifth.
#[test]
fn the_original_s_cases_of_finality() {
    let mut net = quiet(&of(6, config()));
    let three: &[u64] = &[6, 7, 8, 12, 13, 14];
    assert_eq!(finals(&mut net, three), 0);
    let head = net.head(8);
    extend(&mut net, head, 16, &[]);
    assert_eq!(net.commits(8).len(), 1);
    assert_eq!(net.blocks.get(net.commits(8)[0].1).height, 4);

    let mut net = quiet(&Config {
        finality: Majority::TwoThirds,
        ..of(7, config())
    });
    let four: &[u64] = &[7, 8, 9, 10, 14, 15, 16, 17];
    assert_eq!(finals(&mut net, four), 0);
    let head = net.head(8);
    extend(&mut net, head, 18, &[]);
    assert_eq!(net.blocks.get(net.commits(8)[0].1).height, 5);
}

/// source: `finality.rs`, `from_ancestry` and `from_ancestry_2_3`: when all of six sign in turn, three
/// of twelve blocks are not final, with two thirds four.
#[test]
fn all_in_turn() {
    for (finality, open) in [(Majority::Half, 3), (Majority::TwoThirds, 4)] {
        let mut net = quiet(&Config {
            finality,
            ..of(6, config())
        });
        let steps: Vec<u64> = (6..18).collect();
        assert_eq!(finals(&mut net, &steps), 12 - open);
    }
    assert_eq!(
        [1, 4, 5, 21].map(|n| Majority::Half.quorum(n)),
        [1, 3, 3, 11]
    );
    assert_eq!(
        [1, 3, 4, 21].map(|n| Majority::TwoThirds.quorum(n)),
        [1, 3, 3, 15]
    );
}

/// source: `finality.rs`, `finalize_multiple_signers`: the empty steps on a block sign it.
#[test]
fn empty_steps_sign_their_parent() {
    let config = Config {
        maximum_empty_steps: 4,
        ..of(6, config())
    };
    let mut net = quiet(&config);
    let first = extend(&mut net, GENESIS, 6, &[]);
    let second = extend(&mut net, first, 9, &[7, 8]);
    // 0 with 1 and 2, and 3 on it: four of six.
    assert_eq!(net.commits(8).last().map(|c| c.1), Some(first));
    // Their signatures went with it.
    let third = extend(&mut net, second, 12, &[]);
    let fourth = extend(&mut net, third, 13, &[]);
    assert_eq!(net.commits(8).len(), 1);
    extend(&mut net, fourth, 14, &[]);
    assert_eq!(net.commits(8).last().map(|c| c.1), Some(second));
}

/// When the head moves to another branch, signatures are counted there, from the final block on.
#[test]
fn another_branch_is_counted_anew() {
    let mut net = quiet(&of(5, config()));
    let shared = chain(&mut net, GENESIS, &[5, 6, 7]);
    assert_eq!(net.commits(8).len(), 1);
    chain(&mut net, shared, &[11]);
    assert_eq!(net.commits(8).len(), 1);
    // 1 and 2 are above the final block; 3 and 4 follow on the other branch.
    let other = chain(&mut net, shared, &[8, 9]);
    assert_eq!(net.head(8), other);
    let last = net.commits(8).last().expect("some").1;
    assert_eq!(net.blocks.get(last).height, 3);
}

/// source: `client.rs`, `is_from_route_finalized`: a longer chain beside a final block is not taken.
#[test]
fn a_final_block_is_not_left() {
    let mut net = quiet(&of(3, config()));
    let own = chain(&mut net, GENESIS, &[3, 4]);
    assert_eq!(net.commits(8).len(), 1);
    chain(&mut net, GENESIS, &[5, 6, 7, 8, 9]);
    assert_eq!(net.head(8), own);
    let above = chain(&mut net, own, &[20]);
    assert_eq!(net.head(8), above);
}

/// Whatever two nodes called final lies on one chain.
fn agree(net: &Net) {
    let finals = (0..4).map(|i| net.commits(i).last().expect("some").1);
    let finals: Vec<BlockId> = finals.collect();
    let ordered = |a, b| net.blocks.extends(a, b) || net.blocks.extends(b, a);
    assert!(finals.iter().all(|a| ordered(*a, finals[0])));
}

/// Cut into halves, nothing is final on either side of four; three of four go on.
#[test]
fn only_a_majority_s_side_calls_blocks_final() {
    for (side, more) in [(vec![0, 1], false), (vec![0], true)] {
        let mut net: Net = World::new(&of(4, config()), 4, Span::from_ms(50), 1);
        net.start();
        net.run_until(at_ms(41_000));
        let before = net.commits(3).len();
        net.partition(&side);
        net.run_until(at_ms(121_000));
        assert_eq!(net.commits(3).len() > before + 15, more, "{side:?}");
        assert!(net.commits(0).len() <= before + 2);
        net.partition(&[]);
        net.run_until(at_ms(161_000));
        assert!((1..4).all(|i| net.head(i) == net.head(0)), "{side:?}");
        agree(&net);
        let last = net.commits(0).last().expect("some").1;
        assert!(net.blocks.get(last).height > 50);
    }
}

/// Validators lock nothing: one that is cut off right after it has called a block final stays alone
/// with it when the others go on without.
#[test]
fn late_messages_make_two_final_blocks() {
    let mut net: Net = World::new(&of(4, config()), 4, Span::from_ms(50), 1);
    net.start();
    net.run_until(at_ms(40_500));
    // In steps 21 to 23 nodes 1, 2 and 3 seal above each other, and only node 0 hears of it before
    // they, for whom these blocks are late, go on without them.
    let fork = net.head(0);
    net.partition(&[0]);
    net.run_until(at_ms(47_500));
    let mut parent = fork;
    for (signer, step) in [(1, 21), (2, 22), (3, 23)] {
        let header = header(&net, parent, step, &[]);
        parent = net.forge(signer, parent, header);
        net.hold(0, parent);
        let from = node(signer);
        net.give(
            node(0),
            Input::Body {
                block: parent,
                from,
            },
        );
    }
    let alone = net.commits(0).last().expect("some").1;
    assert!(net.blocks.extends(alone, fork) && alone != fork);
    net.run_until(at_ms(80_500));
    net.partition(&[]);
    net.run_until(at_ms(160_500));
    assert!(!net.blocks.extends(net.head(3), alone));
    assert!(net.blocks.extends(net.head(0), alone), "it never leaves it");
    assert!(net.height(0) < net.height(3));
}

// Catching up.

#[test]
fn a_restarted_node_catches_up() {
    let mut net: Net = World::new(&of(5, config()), 5, Span::from_ms(50), 9);
    net.start();
    net.run_until(at_ms(60_400));
    net.crash(&[2]);
    net.run_until(at_ms(600_400));
    assert!(net.height(0) > net.height(2) + 150);
    net.restart(2);
    net.run_until(at_ms(600_600));
    assert_eq!(net.height(2), net.height(3), "one request and one answer");
    net.run_until(at_ms(660_500));
    assert_eq!(net.head(2), net.head(0));
    assert_eq!(
        net.commits(2).last().map(|c| c.1),
        net.commits(0).last().map(|c| c.1)
    );
}

#[test]
fn an_orphan_waits_for_its_ancestors() {
    let mut net = quiet(&of(4, config()));
    let mut blocks = vec![GENESIS];
    for step in 5..9 {
        let parent = blocks[blocks.len() - 1];
        let header = header(&net, parent, step, &[]);
        let block = net.forge(net.committee.at(step).get(), parent, header);
        net.hold(7, block);
        blocks.push(block);
    }
    receive(&mut net, blocks[4]);
    assert_eq!(net.head(8), GENESIS);
    assert_eq!(net.count_notes(8, |n| *n == Note::Fetch(blocks[3])), 1);
    net.run_until(net.now + Span::from_s(1));
    assert_eq!(net.head(8), blocks[4]);
    assert_eq!(net.count_notes(8, |n| matches!(n, Note::Adopt(_))), 4);
}

#[test]
fn who_passes_blocks_on() {
    let relays = |relay| {
        let config = Config { relay, ..config() };
        let mut net: Net = World::new(&config, 4, Span::from_ms(1), 9);
        net.start();
        net.run_until(at_ms(2_500));
        let relays = |i| net.count_notes(i, |n| matches!(n, Note::Relay(_)));
        [0, 1, 2, 3].map(relays)
    };
    assert_eq!(relays(RelayRule::Direct), [0, 1, 0, 0]);
    assert_eq!(relays(RelayRule::Push), [1, 1, 1, 1]);
    assert_eq!(relays(RelayRule::SqrtPush), [1, 1, 1, 1]);
}

// What is declared.

struct Nothing;
impl Services for Nothing {
    fn reached(&self, _: NodeId, _: quorate_core::Ballot) -> bool {
        false
    }
    fn holds(&self, _: NodeId, _: BlockId) -> bool {
        true
    }
}

#[test]
fn a_block_costs_its_signatures_and_its_transactions() {
    let config = Config {
        maximum_empty_steps: 3,
        ..of(4, config())
    };
    let mut net = quiet(&config);
    let block = extend(&mut net, GENESIS, 5, &[3, 4]);
    let committee = Aura::committee(&config, 9);
    let replica = Aura::new(&config, node(8), &committee);
    let context = Context {
        clock: Time::ZERO,
        me: node(8),
        nodes: 9,
        committee: &committee,
        blocks: &net.blocks,
        costs: &Costs::REFERENCE,
        services: &Nothing,
    };
    // 10,000 bytes in this world.
    let want = Costs::REFERENCE.verify * 3 + Costs::REFERENCE.hash(10_000);
    assert_eq!(replica.check_block(block, &context), want);
    let header = net.blocks.get(block).header;
    assert_eq!(replica.header_bytes(&header, &context), 612 + 2 * 74);
}

#[test]
fn finality_is_conditional_and_the_bound_is_the_quorum_s() {
    let adversary = Adversary {
        share: 0.25,
        risk: 1e-6,
        safe_risk: 1e-3,
        delay: Span::ZERO,
    };
    let finality = Aura::finality(&Config::default(), &adversary);
    assert_eq!(finality, Ok(Finality::Conditional));
    let promises = |name, n| {
        let config = Config::preset(name).expect("a preset");
        let p = Aura::promises(&config, n);
        assert_eq!(p.interval, Span::from_s(5));
        (p.byzantine, p.crashed, p.quorum)
    };
    assert_eq!(promises("xdai", 4), (1, 1, 3));
    assert_eq!(promises("xdai", 5), (2, 2, 3));
    assert_eq!(promises("two-thirds", 4), (1, 1, 3));
    assert_eq!(promises("two-thirds", 12), (3, 3, 9));
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let refused = |config: Config| Aura::validate(&config, 5).expect_err("refused").key;
    let base = Config::default();
    assert_eq!(Aura::validate(&base, 1), Ok(()));
    let step = |step_s| Config {
        step_s,
        ..base.clone()
    };
    assert_eq!(refused(step(0)), "step_s");
    assert_eq!(refused(step(65_536)), "step_s");
    assert_eq!(refused(of(6, base.clone())), "validators");
    let empty = Config {
        maximum_empty_steps: 65,
        ..base
    };
    assert_eq!(refused(empty), "maximum_empty_steps");
}
