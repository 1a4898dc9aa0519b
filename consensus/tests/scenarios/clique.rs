//! Clique, rule by rule: turns and wiggles, the choice of a chain, votes, what it does cut in two.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::clique::{
    Clique, Config, Header, Message, Proposal, RelayRule, Roll, Tie, Wiggle, Wish, limit, spam_law,
};
use quorate_core::{
    Adversary, BlockId, Blocks, Context, Costs, Engine, Finality, Input, NodeId, Seed, Services,
    Span, Time, Wait,
};
use std::collections::BTreeSet;

type Net = World<Clique>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

/// Blocks every two seconds, sent by their signers only.
fn config() -> Config {
    Config {
        period_s: 2,
        relay: RelayRule::Direct,
        ..Config::default()
    }
}

/// A world, 1,000 s old, in which all signers are down and two nodes above them look on.
fn quiet(config: &Config) -> Net {
    let mut net: Net = World::new(config, 8, Span::from_ms(100), 0);
    net.start();
    net.crash(&[0, 1, 2, 3, 4, 5]);
    net.run_until(at_ms(1_000_000));
    net
}

fn of(signers: u32, config: Config) -> Config {
    Config { signers, ..config }
}

/// The header of a valid block of this signer on a parent that the onlooker knows.
fn header(net: &Net, parent: BlockId, signer: u32, vote: Option<Proposal>) -> Header {
    let below = net.blocks.get(parent);
    let roll = net.replicas[7].roll(parent).expect("a valid parent");
    let difficulty = roll.difficulty(below.height + 1, node(signer));
    Header {
        time_s: below.header.time_s + 2,
        difficulty,
        total: below.header.total + difficulty,
        vote,
        listed: 0,
    }
}

/// A valid block, which the onlooker gets from node 6.
fn extend(net: &mut Net, parent: BlockId, signer: u32, vote: Option<Proposal>) -> BlockId {
    let header = header(net, parent, signer, vote);
    let block = net.forge(signer, parent, header);
    receive(net, block);
    block
}

fn chain(net: &mut Net, parent: BlockId, signers: &[u32]) -> BlockId {
    let extend = |below, &signer: &u32| extend(net, below, signer, None);
    signers.iter().fold(parent, extend)
}

fn receive(net: &mut Net, block: BlockId) {
    net.hold(7, block);
    let from = node(6);
    net.give(node(7), Input::Body { block, from });
}

fn proposal(target: u32, add: bool) -> Proposal {
    let target = node(target);
    Proposal { target, add }
}

fn signers(net: &Net, i: u32) -> Vec<u32> {
    let roll = net.replicas[i as usize].roll(net.head(i));
    let signers = roll.expect("the head is valid").signers();
    signers.iter().map(|s| s.get()).collect()
}

/// Signers of a node's chain, lowest first.
fn signed(net: &Net, head: BlockId) -> Vec<u32> {
    let mut signed = Vec::new();
    let mut at = head;
    while let Some(parent) = net.blocks.get(at).parent {
        signed.push(net.blocks.get(at).key.creator.get());
        at = parent;
    }
    signed.reverse();
    signed
}

fn agreed(net: &Net) -> bool {
    let n = net.replicas.len() as u32;
    let heads: BTreeSet<BlockId> = (0..n).map(|i| net.head(i)).collect();
    heads.len() == 1
}

// Signing.

/// Everybody in turn, at the second, and who waits drops its plan when the block comes.
#[test]
fn signers_take_turns() {
    for n in [1, 2, 4, 7] {
        let mut net: Net = World::new(&config(), n, Span::from_ms(1), 3);
        net.start();
        net.run_until(at_ms(60_500));
        let want: Vec<u32> = (1..=30).map(|h| h % n).collect();
        assert_eq!(signed(&net, net.head(0)), want);
        for block in (1..=net.blocks.last().get()).map(BlockId::new) {
            let built = net.blocks.get(block);
            if built.header.difficulty == 2 {
                assert_eq!(built.timestamp, at_ms(2_000 * u64::from(built.height)));
            }
            assert_eq!(built.header.time_s, 2 * u64::from(built.height));
        }
        assert!(agreed(&net));
    }
}

/// One of four is down: in its turn the two that may sign wait up to 1.5 s, and the first wins.
#[test]
fn who_is_not_in_turn_waits_its_wiggle() {
    let config = Config {
        wiggle: Wiggle::Geth,
        ..of(4, config())
    };
    let mut net: Net = World::new(&config, 4, Span::ZERO, 3);
    net.start();
    net.run_until(at_ms(50));
    net.crash(&[1]);
    net.run_until(at_ms(2_000_000));
    let mut waits = Vec::new();
    for block in (1..=net.blocks.last().get()).map(BlockId::new) {
        let built = net.blocks.get(block);
        let due = at_ms(1_000 * built.header.time_s);
        let waited = built.timestamp.saturating_since(due);
        let parent = net.blocks.get(built.parent.expect("not the first"));
        match built.header.difficulty {
            2 => assert_eq!(waited, Span::ZERO),
            _ => waits.push(waited.as_s()),
        }
        assert!(waited < Span::from_ms(1_500), "{waited}");
        assert!(built.header.time_s >= parent.header.time_s + 2);
    }
    assert!(waits.len() > 200, "{}", waits.len());
    assert!(waits.iter().any(|w| *w > 1.0) && waits.iter().any(|w| *w < 0.2));
}

/// A spammer of seven signs at every height at which it may: its own turn, and the three last ones
/// before it comes again. Its blocks are valid and lighter, so that the chain stays that of the turns.
#[test]
fn a_spammer_rivals_whom_it_may() {
    for spammers in [vec![], vec![2], vec![2, 5]] {
        let config = Config {
            spammers: spammers.clone(),
            ..config()
        };
        let mut net: Net = World::new(&config, 7, Span::from_ms(1), 3);
        net.start();
        net.run_until(at_ms(2_000 * 70 + 500));
        let want: Vec<u32> = (1..=70).map(|h| h % 7).collect();
        assert_eq!(signed(&net, net.head(0)), want);
        let mut rivals = BTreeSet::new();
        for block in (1..=net.blocks.last().get()).map(BlockId::new) {
            let built = net.blocks.get(block);
            let spams = spammers.contains(&built.key.creator.get());
            if built.header.difficulty == 1 && spams {
                assert_eq!(built.timestamp, at_ms(1_000 * built.header.time_s));
                rivals.insert(built.height);
            }
        }
        // But for the first heights, at which nobody has signed lately.
        let steady = rivals.range(8..).count() as f64 / 63.0;
        let law = spam_law(7, &spammers);
        assert!((steady - law).abs() < 1e-12, "{spammers:?}: {steady} {law}");
    }
    assert!((spam_law(7, &[2]) - 3.0 / 7.0).abs() < 1e-12);
    assert!((spam_law(4, &[0]) - 1.0 / 4.0).abs() < 1e-12);
}

#[test]
fn wiggles_are_as_long_as_each_client_has_them() {
    let longest = |wiggle: Wiggle| [1, 4, 7, 12].map(|n| wiggle.longest(n).as_ms() as u64);
    assert_eq!(longest(Wiggle::Geth), [500, 1_500, 2_000, 3_500]);
    assert_eq!(longest(Wiggle::Besu), [750, 1_500, 2_250, 3_500]);
    assert_eq!(longest(Wiggle::Eip), [500, 2_000, 3_500, 6_000]);
}

/// After a pause the block's time is the second that it is, not the parent's plus the period.
#[test]
fn an_overdue_block_carries_the_current_second() {
    let mut net: Net = World::new(&of(3, config()), 3, Span::from_ms(10), 3);
    net.start();
    net.run_until(at_ms(4_500));
    net.crash(&[0, 1, 2]);
    net.run_until(at_ms(300_700));
    for i in 0..3 {
        net.restart(i);
    }
    net.run_until(at_ms(303_000));
    let head = net.blocks.get(net.head(0));
    let first = net.blocks.ancestor(net.head(0), 3).expect("below");
    assert!(head.height >= 3);
    assert_eq!(net.blocks.get(first).header.time_s, 300);
}

#[test]
fn transactions_are_as_old_as_the_refresh_allows() {
    let as_of = |template_refresh_s| {
        let config = Config {
            template_refresh_s,
            period_s: 15,
            ..config()
        };
        let mut net: Net = World::new(&config, 1, Span::ZERO, 3);
        net.start();
        net.run_until(at_ms(30_000));
        let mut builds = net.notes.iter().rev().filter_map(|n| match n.2 {
            Note::Build(_, as_of) => Some(as_of),
            _ => None,
        });
        builds.next().expect("two blocks")
    };
    assert_eq!(as_of(0), None);
    assert_eq!(as_of(3), Some(at_ms(30_000)));
    assert_eq!(as_of(4), Some(at_ms(27_000)));
}

// What is valid.

#[test]
fn blocks_that_break_a_rule_are_not_taken() {
    let config = Config {
        epoch_blocks: 4,
        ..of(5, config())
    };
    let taken = |change: &dyn Fn(&mut Header), signer: u32, height: u32| {
        let mut net = quiet(&config);
        let below: Vec<u32> = (1..height).map(|h| h % 5).collect();
        let parent = chain(&mut net, GENESIS, &below);
        let mut header = header(&net, parent, signer, None);
        header.listed = if height == 4 { 5 } else { 0 };
        change(&mut header);
        let block = net.forge(signer, parent, header);
        receive(&mut net, block);
        assert_eq!(net.count_notes(7, |n| *n == Note::Relay(block)), 0);
        net.head(7) == block
    };
    let nothing = |_: &mut Header| {};
    // Of five, a signer signs one of any three: 2 and 1 signed the blocks below.
    assert!(taken(&nothing, 3, 3) && taken(&nothing, 4, 3) && taken(&nothing, 0, 3));
    assert!(!taken(&nothing, 1, 3) && !taken(&nothing, 2, 3));
    assert!(taken(&nothing, 1, 4), "2 and 3 signed since");
    assert!(!taken(&nothing, 5, 3), "no signer");
    // Difficulty and total fit the turn.
    let heavier = |h: &mut Header| {
        h.difficulty += 1;
        h.total += 1;
    };
    let lighter = |h: &mut Header| {
        h.difficulty -= 1;
        h.total -= 1;
    };
    assert!(!taken(&heavier, 4, 3) && !taken(&lighter, 3, 3));
    assert!(!taken(&|h| h.total += 1, 3, 3));
    assert!(
        !taken(&|h| h.time_s -= 1, 3, 3),
        "before the period is over"
    );
    // The fourth block begins an epoch: it lists the signers and carries no vote.
    assert!(taken(&nothing, 4, 4));
    let vote = Some(proposal(5, true));
    assert!(taken(&|h| h.vote = vote, 3, 3) && !taken(&|h| h.vote = vote, 4, 4));
    assert!(!taken(&|h| h.listed = 4, 4, 4) && !taken(&|h| h.listed = 5, 3, 3));
}

/// What is built on an invalid block is not valid either.
#[test]
fn nothing_above_an_invalid_block_is_taken() {
    let mut net = quiet(&of(4, config()));
    let good = extend(&mut net, GENESIS, 1, None);
    let bad = header(&net, good, 2, None);
    let bad = net.forge(1, good, bad);
    receive(&mut net, bad);
    let header = Header {
        time_s: 8,
        difficulty: 2,
        total: 6,
        vote: None,
        listed: 0,
    };
    let above = net.forge(3, bad, header);
    receive(&mut net, above);
    assert_eq!(net.head(7), good);
}

/// A clock that is ahead makes blocks that others keep until their second, also across a restart.
#[test]
fn early_blocks_wait_for_their_second() {
    let mut net = quiet(&of(4, config()));
    let first = header(&net, GENESIS, 1, None);
    let first = net.forge(
        1,
        GENESIS,
        Header {
            time_s: 1_005,
            ..first
        },
    );
    let second = Header {
        time_s: 1_007,
        difficulty: 2,
        total: 4,
        vote: None,
        listed: 0,
    };
    let second = net.forge(2, first, second);
    receive(&mut net, first);
    receive(&mut net, second);
    net.run_until(at_ms(1_004_999));
    assert_eq!(net.head(7), GENESIS);
    net.run_until(at_ms(1_005_000));
    assert_eq!(net.head(7), first);
    net.crash(&[7]);
    net.restart(7);
    net.run_until(at_ms(1_006_999));
    assert_eq!(net.head(7), first);
    net.run_until(at_ms(1_007_000));
    assert_eq!(net.head(7), second);
}

// Which chain.

/// Node 1 in turn, or 3 and 2 out of turn: more difficulty wins, of as much the lower height.
#[test]
fn the_heavier_chain_wins_and_of_equal_ones_the_shorter() {
    for tie in [Tie::Geth, Tie::Eip3436] {
        for short_first in [false, true] {
            let mut net = quiet(&Config {
                tie,
                ..of(4, config())
            });
            let branches: [&[u32]; 2] = [&[1], &[3, 0]];
            let order = if short_first { [0, 1] } else { [1, 0] };
            let heads = order.map(|b| chain(&mut net, GENESIS, branches[b]));
            let short = heads[usize::from(!short_first)];
            assert_eq!(net.head(7), short, "2 against 1 + 1, {tie:?}");
            let long = heads[usize::from(short_first)];
            let heavier = extend(&mut net, long, 1, None);
            assert_eq!(net.head(7), heavier, "1 + 1 + 1, {tie:?}");
        }
    }
}

/// Two blocks of one height and weight: a coin is tossed when the second arrives.
#[test]
fn geth_tosses_a_coin() {
    let mut second = 0;
    for seed in 0..400 {
        let config = Config {
            tie: Tie::Geth,
            ..of(4, config())
        };
        let mut net: Net = World::new(&config, 8, Span::from_ms(100), seed);
        net.start();
        net.crash(&[0, 1, 2, 3, 4, 5]);
        net.run_until(at_ms(1_000_000));
        chain(&mut net, GENESIS, &[2]);
        let other = chain(&mut net, GENESIS, &[3]);
        second += u32::from(net.head(7) == other);
    }
    // Binomial(400, 1/2): four standard deviations are 40.
    assert!(second.abs_diff(200) < 40, "{second} of 400");
}

/// source: EIP-3436: the least (height − place) mod n. At height 1 of four these are 3 of node 2, 2
/// of node 3 and 1 of node 0.
#[test]
fn eip_3436_takes_whose_turn_is_farthest() {
    for order in [[0, 3], [3, 0], [0, 2], [2, 0], [3, 2], [2, 3]] {
        let mut net = quiet(&of(4, config()));
        let blocks = order.map(|signer| (signer, chain(&mut net, GENESIS, &[signer])));
        let rank = |signer: &u32| [0, 3, 2].iter().position(|s| s == signer);
        let best = blocks.iter().min_by_key(|b| rank(&b.0)).expect("two");
        assert_eq!(net.head(7), best.1, "{order:?}");
    }
    // Of one signer the lower hash, whichever came first.
    for swap in [false, true] {
        let mut net = quiet(&of(4, config()));
        let one = header(&net, GENESIS, 2, None);
        let mut twins = [0; 2].map(|_| net.forge(2, GENESIS, one));
        if swap {
            twins.reverse();
        }
        for twin in twins {
            receive(&mut net, twin);
        }
        let lower = twins.into_iter().min_by_key(|b| net.blocks.name(*b));
        assert_eq!(Some(net.head(7)), lower);
    }
}

// Votes.

/// A block of EIP-225's scenarios: who signs it, and whom it votes to add or to drop.
type Cast = (char, Option<(char, bool)>);

/// What a scenario ends in.
enum End {
    Signers(&'static str),
    Refused,
}

struct Scenario {
    what: &'static str,
    epoch: u32,
    first: u32,
    blocks: &'static str,
    end: End,
}

/// Blocks as words: the signer, then `+` or `-` and the node that is voted on.
fn casts(blocks: &str) -> Vec<Cast> {
    let cast = |word: &str| {
        let mut letters = word.chars();
        let signer = letters.next().expect("a signer");
        let vote = letters.next().map(|sign| sign == '+');
        (
            signer,
            vote.map(|add| (letters.next().expect("a node"), add)),
        )
    };
    blocks.split_whitespace().map(cast).collect()
}

const fn scenario(
    what: &'static str,
    first: u32,
    blocks: &'static str,
    end: &'static str,
) -> Scenario {
    Scenario {
        what,
        epoch: 30_000,
        first,
        blocks,
        end: End::Signers(end),
    }
}

/// source: EIP-225, "Test Cases", all 23.
const SCENARIOS: [Scenario; 23] = [
    scenario("one signer, no votes", 1, "A", "A"),
    scenario("one adds two, the second needs both", 1, "A+B B A+C", "AB"),
    scenario(
        "two add three, the third needs three",
        2,
        "A+C B+C A+D B+D C A+E B+E",
        "ABCD",
    ),
    scenario("one drops itself", 1, "A-A", ""),
    scenario("of two, one cannot drop the other", 2, "A-B", "AB"),
    scenario("of two, both drop one", 2, "A-B B-B", "A"),
    scenario("of three, two drop the third", 3, "A-C B-C", "AB"),
    scenario("of four, two drop nobody", 4, "A-C B-C", "ABCD"),
    scenario("of four, three drop one", 4, "A-D B-D C-D", "ABC"),
    scenario("additions count once a signer", 2, "A+C B A+C B A+C", "AB"),
    scenario(
        "several additions at a time",
        2,
        "A+C B A+D B A B+D A B+C",
        "ABCD",
    ),
    scenario("removals count once a signer", 2, "A-B B A-B B A-B", "AB"),
    scenario(
        "several removals at a time",
        4,
        "A-C B C A-D B C A B-D C-D A B-C",
        "AB",
    ),
    scenario(
        "votes to drop of who was dropped are void",
        3,
        "C-B A-C B-C A-B",
        "AB",
    ),
    scenario(
        "votes to add of who was dropped are void",
        3,
        "C+D A-C B-C A+D",
        "AB",
    ),
    scenario("nothing cascades", 4, "A-C B C A-D B-C C A B-D C-D", "ABC"),
    scenario(
        "what passed by a removal holds on touch",
        4,
        "A-C B C A-D B-C C A B-D C-D A C+C",
        "AB",
    ),
    scenario(
        "or no longer has a majority by then",
        4,
        "A-C B C A-D B-C C A B-D C-D A B+C",
        "ABC",
    ),
    scenario(
        "no vote survives its target's change",
        5,
        "A+F B+F C+F D-F E-F B-F C-F D+F E+F B-A C-A D-A B+F",
        "BCDEF",
    ),
    Scenario {
        epoch: 3,
        ..scenario("an epoch voids all votes", 2, "A+C B A B+C", "AB")
    },
    Scenario {
        end: End::Refused,
        ..scenario("a stranger signs", 1, "B", "")
    },
    Scenario {
        end: End::Refused,
        ..scenario("one signs twice", 2, "A A", "")
    },
    Scenario {
        epoch: 3,
        end: End::Refused,
        ..scenario("an epoch does not forget who signed", 3, "A B A A", "")
    },
];

#[test]
fn the_voting_scenarios_of_eip_225() {
    let number = |letter: char| letter as u32 - 'A' as u32;
    for scenario in SCENARIOS {
        let Scenario { what, epoch, .. } = scenario;
        let mut net = quiet(&Config {
            epoch_blocks: epoch,
            ..of(scenario.first, config())
        });
        let casts = casts(scenario.blocks);
        let mut head = GENESIS;
        for (place, (signer, vote)) in casts.iter().enumerate() {
            assert_eq!(net.head(7), head, "{what}: block {place}");
            let vote = vote.map(|(target, add)| proposal(number(target), add));
            let mut header = header(&net, head, number(*signer), vote);
            let roll = net.replicas[7].roll(head).expect("valid so far");
            if (place as u32 + 1).is_multiple_of(epoch) {
                header.listed = roll.signers().len() as u32;
            }
            head = net.forge(number(*signer), head, header);
            receive(&mut net, head);
        }
        match scenario.end {
            End::Refused => assert_ne!(net.head(7), head, "{what}"),
            End::Signers(want) => {
                assert_eq!(net.head(7), head, "{what}");
                let want: Vec<u32> = want.chars().map(number).collect();
                assert_eq!(signers(&net, 7), want, "{what}");
            }
        }
    }
}

/// When five become four and three, who signed the third block back may sign again at once.
#[test]
fn a_smaller_limit_frees_the_oldest() {
    let mut net = quiet(&of(4, config()));
    let drop = Some(proposal(3, false));
    let mut head = GENESIS;
    for signer in [1, 2, 0] {
        head = extend(&mut net, head, signer, drop);
    }
    assert_eq!(signers(&net, 7), [0, 1, 2]);
    // Of four, 1 would have had to wait for one more block; of three it has not.
    let next = extend(&mut net, head, 1, None);
    assert_eq!(net.head(7), next);
    assert!(limit(4) == 3 && limit(3) == 2);
}

/// Signers differ by branch: who was voted in on one is nobody on the other.
#[test]
fn signers_follow_from_the_branch() {
    let mut net = quiet(&of(2, config()));
    let add = Some(proposal(2, true));
    let a = extend(&mut net, GENESIS, 1, add);
    let with = extend(&mut net, a, 0, add);
    let b = extend(&mut net, GENESIS, 0, None);
    let without = extend(&mut net, b, 1, None);
    let roll = |block| net.replicas[7].roll(block).map(Roll::signers);
    assert_eq!(roll(with), Some([0, 1, 2].map(NodeId::new).as_slice()));
    assert_eq!(roll(without), Some([0, 1].map(NodeId::new).as_slice()));
    let stranger = header(&net, without, 2, None);
    let stranger = net.forge(2, without, stranger);
    receive(&mut net, stranger);
    assert!(net.replicas[7].roll(stranger).is_none());
    let member = extend(&mut net, with, 2, None);
    assert_eq!(net.head(7), member);
}

/// Operators of three of four ask to add node 4 after a minute, and to drop node 0 after three.
#[test]
fn operators_vote_until_it_has_passed() {
    let wish = |from_s, candidate, add| Wish {
        from_s,
        signers: vec![1, 2, 3],
        candidate,
        add,
    };
    let config = Config {
        votes: vec![wish(60.0, 4, true), wish(180.0, 0, false)],
        ..of(4, config())
    };
    let mut net: Net = World::new(&config, 6, Span::from_ms(20), 5);
    net.start();
    net.run_until(at_ms(59_000));
    assert_eq!(signers(&net, 5), [0, 1, 2, 3]);
    net.run_until(at_ms(80_000));
    for i in 0..6 {
        assert_eq!(signers(&net, i), [0, 1, 2, 3, 4]);
    }
    net.run_until(at_ms(179_000));
    let by = |net: &Net, i| signed(net, net.head(5)).iter().filter(|s| **s == i).count();
    assert!(by(&net, 4) >= 8, "{}", by(&net, 4));
    net.run_until(at_ms(200_000));
    assert_eq!(signers(&net, 5), [1, 2, 3, 4]);
    let before = by(&net, 0);
    net.run_until(at_ms(300_000));
    assert_eq!((by(&net, 0), by(&net, 5)), (before, 0));
    let votes = (1..=net.blocks.last().get()).map(|b| net.blocks.get(BlockId::new(b)).header.vote);
    // A few more than the three of each majority: a rival block voted too, none after it passed.
    let cast = votes.flatten().count();
    assert!((6..12).contains(&cast), "{cast} votes");
}

/// A later wish about a node replaces an earlier one: it is added and dropped again, once.
#[test]
fn the_latest_wish_counts() {
    let wish = |from_s, add| Wish {
        from_s,
        signers: Vec::new(),
        candidate: 3,
        add,
    };
    let config = Config {
        votes: vec![wish(100.0, false), wish(20.0, true)],
        ..of(3, config())
    };
    let mut net: Net = World::new(&config, 4, Span::from_ms(20), 5);
    net.start();
    net.run_until(at_ms(99_000));
    assert_eq!(signers(&net, 0), [0, 1, 2, 3]);
    net.run_until(at_ms(130_000));
    assert_eq!(signers(&net, 0), [0, 1, 2]);
    net.run_until(at_ms(200_000));
    assert_eq!(signers(&net, 0), [0, 1, 2]);
}

/// Votes that are not enough before an epoch ends are void, and are cast again.
#[test]
fn an_epoch_lists_the_signers() {
    let config = Config {
        epoch_blocks: 10,
        votes: vec![Wish {
            from_s: 0.0,
            signers: vec![1],
            candidate: 4,
            add: true,
        }],
        ..of(3, config())
    };
    let mut net: Net = World::new(&config, 5, Span::from_ms(20), 5);
    net.start();
    net.run_until(at_ms(100_500));
    let header = |h| {
        let block = net.blocks.ancestor(net.head(0), h).expect("below");
        net.blocks.get(block).header
    };
    for h in 1..=50 {
        let (epoch, mine) = (h % 10 == 0, h % 3 == 1);
        let want = (if epoch { 3 } else { 0 }, mine && !epoch);
        assert_eq!((header(h).listed, header(h).vote.is_some()), want, "{h}");
    }
    assert_eq!(signers(&net, 0), [0, 1, 2]);
}

// Faults.

/// source: EIP-225: one of any ⌊n/2⌋ + 1 blocks. Two of four make at most two blocks, and carry on
/// with a third signer.
#[test]
fn fewer_than_the_limit_halt() {
    for (n, crashed) in [(4, 2), (5, 3), (7, 4)] {
        let mut net: Net = World::new(&of(n, config()), n, Span::from_ms(20), 5);
        net.start();
        net.run_until(at_ms(60_500));
        let down: Vec<u32> = (0..crashed).collect();
        net.crash(&down);
        let before = net.height(n - 1);
        net.run_until(at_ms(600_000));
        let more = net.height(n - 1) - before;
        assert!(more <= n - crashed, "{more} blocks of {}", n - crashed);
        net.restart(0);
        net.run_until(at_ms(700_000));
        let at = net.height(n - 1);
        assert!(at > before + more + 20, "{at} after {before}");
        assert_eq!(net.head(0), net.head(n - 1));
    }
}

/// One less than that many down: it goes on, a wiggle later in their turns.
#[test]
fn the_limit_is_enough() {
    for (n, crashed) in [(3, 1), (4, 1), (5, 2), (7, 3)] {
        let mut net: Net = World::new(&of(n, config()), n, Span::from_ms(20), 5);
        net.start();
        let down: Vec<u32> = (0..crashed).collect();
        net.crash(&down);
        net.run_until(at_ms(600_000));
        assert!(net.height(n - 1) > 120, "{}", net.height(n - 1));
    }
}

/// source: ethereum/go-ethereum#24705: of four, node 1 signed block 101; nodes 1 and 2 have 102 of
/// node 2, in turn, nodes 3 and 0 have 102 and 103 of themselves: as much difficulty, and everybody
/// signed lately. The same at height 5 here, by a partition.
fn stuck(tie: Tie) -> Net {
    let config = Config {
        tie,
        wiggle: Wiggle::Geth,
        ..of(4, config())
    };
    let mut net: Net = World::new(&config, 4, Span::from_ms(20), 5);
    net.start();
    net.run_until(at_ms(11_000));
    assert_eq!(signed(&net, net.head(0)), [1, 2, 3, 0, 1]);
    net.partition(&[1, 2]);
    net.run_until(at_ms(40_000));
    assert_eq!(signed(&net, net.head(1))[5..], [2]);
    assert_eq!(signed(&net, net.head(0))[5..], [3, 0]);
    let total = |i| net.blocks.get(net.head(i)).header.total;
    assert_eq!(total(0), total(1));
    net.partition(&[]);
    net.run_until(at_ms(400_000));
    net
}

#[test]
fn equal_forks_deadlock_with_geths_ties() {
    let net = stuck(Tie::Geth);
    assert_eq!([0, 1, 2, 3].map(|i| net.height(i)), [7, 6, 6, 7]);
    assert_eq!(net.blocks.last().get(), 8, "nobody made another block");
}

#[test]
fn and_not_with_those_of_eip_3436() {
    let net = stuck(Tie::Eip3436);
    assert!(net.height(0) > 150, "{}", net.height(0));
    let (head, first) = (net.head(0), signed(&net, net.head(0)));
    assert_eq!(first[5..8], [2, 3, 0], "the shorter branch went on");
    assert!((1..4).all(|i| net.head(i) == head));
}

/// Halves of all kinds, with some nodes down, cut at all kinds of moments: with geth's ties some never go on (the same
/// difficulty at the same height too, as in go-ethereum#18402), with those of EIP-3436 all do.
#[test]
fn partitions_by_halves() {
    let deadlocks = |tie| {
        let mut stuck = [0; 2];
        for seed in 0..RUNS {
            let heights = halved(tie, seed);
            if !heights.is_empty() {
                stuck[usize::from(heights.len() > 1)] += 1;
            }
        }
        stuck
    };
    let [level, uneven] = deadlocks(Tie::Geth);
    assert!(level > 0 && uneven > 0, "{level} and {uneven} of {RUNS}");
    assert_eq!(deadlocks(Tie::Eip3436), [0, 0]);
}

const RUNS: u64 = 400;

/// The heights at which the live nodes are stuck after a cut; none if they go on.
fn halved(tie: Tie, seed: u64) -> BTreeSet<u32> {
    let mut draws = Seed::new(seed, 0).stream("halves", 0);
    let n = [4, 6, 8, 10][draws.below(4) as usize];
    let config = Config {
        tie,
        wiggle: Wiggle::Geth,
        ..of(n, config())
    };
    let mut net: Net = World::new(&config, n, Span::from_ms(300), seed);
    let mut nodes: Vec<u32> = (0..n).collect();
    let mut take = |count: u64| -> Vec<u32> {
        let mut one = |_| nodes.remove(draws.below(nodes.len() as u64) as usize);
        (0..count).map(&mut one).collect()
    };
    let down = take(seed % u64::from(n - limit(n) + 1));
    let half = take((u64::from(n) - down.len() as u64) / 2);
    net.start();
    net.crash(&down);
    net.run_until(at_ms(40_000 + 77 * seed));
    net.partition(&half);
    net.run_until(at_ms(120_000));
    net.partition(&[]);
    net.run_until(at_ms(180_000));
    let before = net.height(half[0]);
    net.run_until(at_ms(280_000));
    let live = || (0..n).filter(|i| !down.contains(i));
    let heights: BTreeSet<u32> = live().map(|i| net.height(i)).collect();
    let (least, most) = (heights.first(), heights.last());
    if most > Some(&(before + 20)) {
        assert!(
            most.zip(least).is_some_and(|(m, l)| m - l < 3),
            "seed {seed}"
        );
        return BTreeSet::new();
    }
    heights
}

/// Who hears of a head that is no better tells its own; no better head, no end of it.
#[test]
fn heads_are_told_when_nothing_happens() {
    let mut net: Net = World::new(&of(4, config()), 4, Span::from_ms(20), 5);
    net.start();
    net.run_until(at_ms(100_000));
    assert!(!net.messages.contains_key("status"), "while blocks come");
    net.crash(&[0, 1]);
    net.run_until(at_ms(160_000));
    let told = net.messages["status"].0;
    // Twice three, about every ten seconds from about twelve after the last block on.
    assert!((18..=30).contains(&told), "{told}");
    // Node 0 comes back when nobody else can make a block: the head reaches it all the same.
    net.lose(|p| matches!(p.load, Load::Sync) && p.to == node(1));
    let head = net.head(2);
    net.restart(0);
    assert_ne!(net.head(0), head);
    net.run_until(at_ms(200_000));
    assert!(net.blocks.extends(net.head(0), head));
}

#[test]
fn a_better_head_is_asked_for_and_a_worse_one_answered() {
    let mut net = quiet(&of(4, config()));
    let own = chain(&mut net, GENESIS, &[1, 2]);
    let worse = header(&net, GENESIS, 3, None);
    let worse = net.forge(3, GENESIS, worse);
    let better = header(&net, own, 3, None);
    let better = net.forge(3, own, better);
    let hear = |net: &mut Net, head| net.deliver(6, 7, Message::Status(head));
    let asked = |net: &Net| net.count_notes(7, |n| matches!(n, Note::Sync(_)));
    let told = |net: &Net| net.messages.get("status").map_or(0, |m| m.0);
    let (before, quiet) = (asked(&net), told(&net));
    hear(&mut net, own);
    assert_eq!((asked(&net), told(&net)), (before, quiet));
    hear(&mut net, worse);
    assert_eq!((asked(&net), told(&net)), (before, quiet + 1));
    hear(&mut net, better);
    assert_eq!((asked(&net), told(&net)), (before + 1, quiet + 1));
}

// Catching up.

#[test]
fn an_orphan_waits_for_its_ancestors() {
    let mut net = quiet(&of(4, config()));
    let mut blocks = vec![GENESIS];
    for signer in [1, 2, 3, 0] {
        // As node 6 sees it: the onlooker lacks them.
        let height = blocks.len() as u64;
        let header = Header {
            time_s: 2 * height,
            difficulty: 2,
            total: 2 * height,
            vote: None,
            listed: 0,
        };
        let block = net.forge(signer, blocks[blocks.len() - 1], header);
        net.hold(6, block);
        blocks.push(block);
    }
    receive(&mut net, blocks[4]);
    assert_eq!(net.head(7), GENESIS);
    assert_eq!(net.count_notes(7, |n| *n == Note::Fetch(blocks[3])), 1);
    net.run_until(net.now + Span::from_s(1));
    assert_eq!(net.head(7), blocks[4]);
    assert_eq!(net.count_notes(7, |n| matches!(n, Note::Adopt(_))), 4);
}

#[test]
fn a_restarted_node_catches_up() {
    let mut net: Net = World::new(&config(), 5, Span::from_ms(50), 9);
    net.start();
    net.run_until(at_ms(60_400));
    net.crash(&[2]);
    net.run_until(at_ms(600_400));
    let behind = net.height(2);
    assert!(net.height(0) > behind + 150);
    net.restart(2);
    net.run_until(at_ms(600_600));
    assert_eq!(net.height(2), net.height(3), "one request and one answer");
    // What is old is not passed on.
    let passed = net.count_notes(2, |n| matches!(n, Note::Relay(_)));
    net.run_until(at_ms(660_400));
    assert!(agreed(&net));
    assert!(passed < 60, "{passed}");
    let own = signed(&net, net.head(0));
    assert!(own[own.len() - 5..].contains(&2), "{own:?}");
}

#[test]
fn who_passes_blocks_on() {
    let relays = |relay| {
        let config = Config { relay, ..config() };
        let mut net: Net = World::new(&config, 4, Span::from_ms(1), 9);
        net.start();
        net.run_until(at_ms(2_500));
        assert_eq!(net.height(3), 1);
        (0..4)
            .map(|i| net.count_notes(i, |n| matches!(n, Note::Relay(_))))
            .collect::<Vec<_>>()
    };
    assert_eq!(relays(RelayRule::Direct), [0, 1, 0, 0]);
    assert_eq!(relays(RelayRule::Push), [1, 1, 1, 1]);
    assert_eq!(relays(RelayRule::SqrtPush), [1, 1, 1, 1]);
}

// Finality.

#[test]
fn blocks_are_called_final_under_the_depth() {
    for (safe_depth, depth) in [(0, 3), (1, 1), (6, 6)] {
        let config = Config {
            safe_depth,
            ..of(4, config())
        };
        let mut net: Net = World::new(&config, 4, Span::from_ms(1), 9);
        net.start();
        net.run_until(at_ms(60_500));
        let commits = net.commits(0);
        assert_eq!(commits.len() as u32, 31 - depth);
        for (at, block) in commits {
            let height = net.blocks.get(block).height;
            let by = at_ms(2_000 * u64::from(height + depth - 1));
            assert!(at.saturating_since(by) <= Span::from_ms(1), "{height}");
        }
    }
}

/// Cut off with the minority, a node calls final what it leaves when the cut heals: with the depth
/// that half of the signers can make.
#[test]
fn what_was_final_may_be_left() {
    let config = Config {
        safe_depth: 2,
        ..of(5, config())
    };
    let mut net: Net = World::new(&config, 5, Span::from_ms(20), 9);
    net.start();
    net.run_until(at_ms(21_000));
    let before = net.commits(0).len();
    // Nodes 1 and 2 are next; then 3, 4, 0 alone are enough to go on for ever.
    net.partition(&[1, 2]);
    net.run_until(at_ms(100_000));
    let made = net.commits(1).split_off(before);
    assert_eq!(made.len(), 2, "one of its own block: {made:?}");
    let own = made[1].1;
    assert!(!net.blocks.extends(net.head(0), own));
    net.partition(&[]);
    net.run_until(at_ms(140_000));
    assert!(!net.blocks.extends(net.head(1), own));
    let last = net.commits(1).last().expect("some").1;
    assert!(net.blocks.extends(net.head(0), last));
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
fn a_block_costs_a_signature_and_its_transactions() {
    let config = of(4, config());
    let mut net = quiet(&config);
    let block = extend(&mut net, GENESIS, 1, None);
    let committee = Clique::committee(&config, 8);
    assert_eq!(committee.len(), 4);
    let replica = Clique::new(&config, node(7), &committee);
    let context = Context {
        clock: Time::ZERO,
        me: node(7),
        nodes: 8,
        committee: &committee,
        blocks: &net.blocks,
        costs: &Costs::REFERENCE,
        services: &Nothing,
    };
    // 10,000 bytes in this world.
    let want = Costs::REFERENCE.verify + Costs::REFERENCE.hash(10_000);
    assert_eq!(replica.check_block(block, &context), want);
    let header = net.blocks.get(block).header;
    let bytes = |listed| replica.header_bytes(&Header { listed, ..header }, &context);
    assert_eq!((bytes(0), bytes(21)), (606, 606 + 420));
}

#[test]
fn finality_is_conditional_and_the_bound_follows_from_the_depth() {
    let adversary = Adversary {
        share: 0.25,
        risk: 1e-6,
        safe_risk: 1e-3,
        delay: Span::ZERO,
    };
    let finality = Clique::finality(&Config::default(), &adversary);
    assert_eq!(finality, Ok(Finality::Conditional));
    let promises = |n, safe_depth| {
        let config = Config {
            safe_depth,
            ..Config::default()
        };
        let p = Clique::promises(&config, n);
        assert_eq!(p.interval, Span::from_s(15));
        (p.byzantine, p.crashed, p.quorum)
    };
    assert_eq!(promises(4, 0), (1, 1, 3));
    assert_eq!(promises(5, 0), (1, 2, 3));
    assert_eq!(promises(12, 0), (3, 5, 7));
    assert_eq!(promises(12, 12), (5, 5, 7));
    assert_eq!(promises(12, 100), (5, 5, 7));
    assert_eq!(promises(1, 0), (0, 0, 1));
    let wait = Wait {
        waited: Span::from_s(3_600),
        delay: Span::from_ms(20),
    };
    let risk = |corrupt| Clique::reversal_risk(&Config::default(), 12, corrupt, &wait);
    assert_eq!(
        [0, 3, 4, 12].map(|c| risk(c) > 0.5),
        [false, false, true, true]
    );
    assert!(risk(3) < f64::MIN_POSITIVE && risk(4) > 1.0 - f64::EPSILON);
}

/// The bound is sharp: of five, two that signed in secret reverse what is under the limit.
#[test]
fn beyond_the_bound_a_secret_branch_reverses_what_was_final() {
    let mut net = quiet(&of(5, config()));
    // In public, 3 and 4 and 0 go on; 1 and 2 have kept the blocks of their turns.
    let public = chain(&mut net, GENESIS, &[3, 4, 0]);
    assert_eq!(net.head(7), public);
    assert_eq!(net.commits(7).len(), 1, "under three blocks");
    let secret = chain(&mut net, GENESIS, &[1, 2]);
    assert_eq!(net.head(7), secret);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let refused = |config: Config| Clique::validate(&config, 5).expect_err("refused").key;
    let base = Config::default();
    assert_eq!(Clique::validate(&base, 1), Ok(()));
    let period = |period_s| Config {
        period_s,
        ..base.clone()
    };
    assert_eq!(refused(period(0)), "period_s");
    let epoch = Config {
        epoch_blocks: 0,
        ..base.clone()
    };
    assert_eq!(refused(epoch), "epoch_blocks");
    assert_eq!(refused(of(6, base.clone())), "signers");
    let spam = Config {
        spammers: vec![4, 5],
        ..base.clone()
    };
    assert_eq!(refused(spam), "spammers");
    let wish = |signers: &[u32], candidate| Config {
        votes: vec![Wish {
            from_s: 0.0,
            signers: signers.to_vec(),
            candidate,
            add: true,
        }],
        ..base.clone()
    };
    assert_eq!(Clique::validate(&wish(&[0], 4), 5), Ok(()));
    assert_eq!(refused(wish(&[0], 5)), "votes");
    assert_eq!(refused(wish(&[5], 4)), "votes");
    let mut never = wish(&[0], 4);
    never.votes[0].from_s = f64::NAN;
    assert_eq!(refused(never), "votes");
}

#[test]
fn presets_are_those_of_the_clients() {
    let preset = |name| Config::preset(name).expect("a preset");
    let (besu, geth) = (preset("besu-clique"), preset("geth-clique"));
    assert_eq!((besu.tie, geth.tie), (Tie::Eip3436, Tie::Geth));
    assert_eq!((besu.wiggle, geth.wiggle), (Wiggle::Besu, Wiggle::Geth));
    assert_eq!((besu.period_s, besu.epoch_blocks), (15, 30_000));
}
