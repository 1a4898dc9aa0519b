//! Ethereum's chain under proof of work, rule by rule.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::ethash::{
    BASE_REWARD, Config, DifficultyRule, Ethash, ForkChoice, GENESIS_DIFFICULTY, Header,
    NEPHEW_REWARD, RelayRule, rewards, uncle_reward,
};
use quorate_core::{
    Adversary, BlockId, Blocks, Engine, Finality, Input, NodeId, Seed, Span, Standing, Time,
};
use std::collections::BTreeMap;

type Net = World<Ethash>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;
const S: Span = Span::from_s(1);
use DifficultyRule::{Byzantium, Fixed, Frontier, Homestead};

/// Node 0 mines so rarely that only forged blocks matter at first.
fn config() -> Config {
    Config {
        block_interval_s: 50_000.0,
        difficulty: Homestead,
        miners: 1,
        relay: RelayRule::Push,
        ..Config::default()
    }
}

fn quiet(config: &Config) -> Net {
    let mut net = World::new(config, 3, Span::from_ms(100), 0);
    net.start();
    net
}

/// A valid block so long after its parent, with these uncles.
fn forge_after(
    net: &mut Net,
    creator: u32,
    parent: BlockId,
    after: Span,
    uncles: &[BlockId],
) -> BlockId {
    forge_under(net, Homestead, creator, parent, after, uncles)
}

fn forge_under(
    net: &mut Net,
    rule: DifficultyRule,
    creator: u32,
    parent: BlockId,
    after: Span,
    uncles: &[BlockId],
) -> BlockId {
    let below = net.blocks.get(parent).header;
    let header = Header::above(rule, (parent, &below), below.time + after, uncles);
    net.forge(creator, parent, header)
}

fn forge(net: &mut Net, creator: u32, parent: BlockId) -> BlockId {
    forge_after(net, creator, parent, S, &[])
}

fn receive(net: &mut Net, to: u32, block: BlockId, from: u32) {
    net.hold(to, block);
    net.give(
        node(to),
        Input::Body {
            block,
            from: node(from),
        },
    );
}

/// A chain of so many blocks of node 1, all received by node 0.
fn chain(net: &mut Net, from: BlockId, length: u32) -> Vec<BlockId> {
    let mut at = from;
    (0..length)
        .map(|_| {
            at = forge(net, 1, at);
            receive(net, 0, at, 1);
            at
        })
        .collect()
}

/// The next block that node 0 finds.
fn next_found(net: &mut Net) -> BlockId {
    let last = net.blocks.last();
    while net.blocks.last() == last {
        net.run_until(net.now + Span::from_s(10_000));
    }
    BlockId::new(last.get() + 1)
}

fn named(net: &Net, block: BlockId) -> Vec<BlockId> {
    net.blocks.get(block).header.named().collect()
}

// Difficulty.

/// source: the formulas of EIP-2, EIP-100 and Geth's `calcDifficultyFrontier`, in notches of D/2048.
#[test]
fn difficulty_follows_the_timestamp() {
    let d = 1 << 30;
    let notches = |rule: DifficultyRule, uncles, after_s| {
        let next = rule.next(d, uncles, Span::from_s(after_s));
        (next as i64 - d as i64) / (d as i64 / 2_048)
    };
    for (after, frontier, homestead, alone, with_uncles) in [
        (1, 1, 1, 1, 2),
        (8, 1, 1, 1, 2),
        (9, 1, 1, 0, 1),
        (10, 1, 0, 0, 1),
        (12, 1, 0, 0, 1),
        (13, -1, 0, 0, 1),
        (18, -1, 0, -1, 0),
        (20, -1, -1, -1, 0),
        (899, -1, -88, -98, -97),
        (1_000, -1, -99, -99, -99),
        (100_000, -1, -99, -99, -99),
    ] {
        assert_eq!(notches(Frontier, false, after), frontier, "{after} s");
        assert_eq!(notches(Homestead, true, after), homestead, "{after} s");
        assert_eq!(notches(Byzantium, false, after), alone, "{after} s");
        assert_eq!(notches(Byzantium, true, after), with_uncles, "{after} s");
        assert_eq!(notches(Fixed, true, after), 0);
    }
    assert_eq!(Homestead.next(131_072, false, Span::from_s(5_000)), 131_072);
    assert_eq!(Homestead.next(131_072, false, S), 131_072 + 64);
    // 2,047 make no notch: floor division.
    assert_eq!(
        Homestead.next(131_072 + 2_047, false, S),
        131_072 + 2_047 + 64
    );
}

/// source: T = q/ln((2+u)/(1+u)) for real timestamps; own Monte Carlo for whole seconds.
#[test]
fn the_interval_settles_where_the_rule_says() {
    let close = |rule: DifficultyRule, whole, u, want: f64, band: f64| {
        let got = rule.equilibrium(whole, u).expect("it follows");
        assert!((got - want).abs() < band, "{rule:?}: {got} is not {want}");
    };
    close(Homestead, false, 0.0, 14.427, 0.001);
    close(Byzantium, false, 0.0, 12.984_3, 0.000_1);
    close(Byzantium, false, 0.07, 13.638_6, 0.000_1);
    close(Homestead, true, 0.0, 14.06, 0.01);
    close(Byzantium, true, 0.0, 12.62, 0.01);
    close(Frontier, false, 0.0, 13.0 / core::f64::consts::LN_2, 1e-6);
    assert_eq!(Fixed.equilibrium(true, 0.0), None);
    let interval = |config: &Config| Ethash::promises(config, 12).interval.as_s();
    assert!((interval(&Config::default()) - 12.62).abs() < 0.01);
    assert!(
        (interval(&Config {
            difficulty: Fixed,
            ..config()
        }) - 50_000.0)
            .abs()
            < 1e-6
    );
}

/// From half as much work again, the mean of 40,000 blocks after the first 6,000. The difficulty pulls the
/// mean back to its target over some 1,500 blocks (frontier: 3,000), between which it strays by 1.9 %:
/// four standard errors of what is left.
#[test]
fn the_difficulty_finds_its_interval() {
    for (difficulty, whole_second_timestamps, want, band) in [
        (Homestead, true, 14.06, 0.021),
        (Byzantium, false, 12.984, 0.021),
        (Frontier, false, 18.755, 0.029),
    ] {
        let config = Config {
            block_interval_s: 10.0,
            difficulty,
            whole_second_timestamps,
            ..config()
        };
        let mut net: Net = World::new(&config, 1, Span::ZERO, 3);
        net.start();
        net.run_until(Time::ZERO + Span::from_s(900_000));
        let found = |height: u32| {
            let block = net.blocks.get(BlockId::new(height));
            assert_eq!(block.height, height);
            block.timestamp.as_s()
        };
        let mean = (found(46_000) - found(6_000)) / 40_000.0;
        assert!((mean / want - 1.0).abs() < band, "{difficulty:?}: {mean}");
    }
}

#[test]
fn timestamps_are_whole_seconds_after_the_parent() {
    for whole_second_timestamps in [true, false] {
        let config = Config {
            block_interval_s: 0.4,
            difficulty: Fixed,
            whole_second_timestamps,
            ..config()
        };
        let mut net: Net = World::new(&config, 1, Span::ZERO, 3);
        net.start();
        net.run_until(at_ms(10_000));
        let mut before = Time::ZERO;
        let mut pushed = false;
        for id in 1..=net.blocks.last().get() {
            let block = net.blocks.get(BlockId::new(id));
            let time = block.header.time;
            assert!(time > before);
            if whole_second_timestamps {
                assert_eq!(time.ns() % S.ns(), 0);
                pushed |= time > block.timestamp;
                let second = Time::from_ns(block.timestamp.ns() / S.ns() * S.ns());
                assert_eq!(time, second.max(before + S));
            } else {
                assert_eq!(time, block.timestamp);
            }
            before = time;
        }
        assert_eq!(pushed, whole_second_timestamps);
    }
}

/// The time that is left is scaled by the difficulty above the new head.
#[test]
fn a_new_difficulty_rescales_the_search() {
    let found = |forged: u32| {
        let mut net = quiet(&config());
        net.run_until(at_ms(500));
        let head = chain(&mut net, GENESIS, forged).pop();
        let due = next_found(&mut net);
        let head = head.map_or(GENESIS_DIFFICULTY, |h| net.blocks.get(h).header.difficulty);
        (net.blocks.get(due).timestamp, head)
    };
    let (plain, _) = found(0);
    let (later, head) = found(3);
    // What is searched for is one notch more than the head has.
    assert!(head > GENESIS_DIFFICULTY);
    let above = |d: u64| (d + d / 2_048) as f64;
    let ratio = later.since(at_ms(500)).as_s() / plain.since(at_ms(500)).as_s();
    let want = above(head) / above(GENESIS_DIFFICULTY);
    assert!((ratio - want).abs() < 1e-9, "{ratio} is not {want}");
}

// Uncles.

/// Siblings of the parent and of the grandparent are uncles.
#[test]
fn siblings_of_ancestors_are_uncles() {
    let mut net = quiet(&config());
    let side = forge(&mut net, 2, GENESIS);
    let trunk = chain(&mut net, GENESIS, 1);
    receive(&mut net, 0, side, 2);
    // The coin decides which of the two is the head.
    let (head, other) = if net.head(0) == side {
        (side, trunk[0])
    } else {
        (trunk[0], side)
    };
    let first = forge(&mut net, 1, head);
    receive(&mut net, 0, first, 1);
    let sibling = forge_after(&mut net, 2, head, Span::from_s(11), &[]);
    receive(&mut net, 0, sibling, 2);
    assert_eq!(net.head(0), first, "the sibling is lighter");
    let found = next_found(&mut net);
    assert_eq!(net.blocks.get(found).parent, Some(first));
    assert_eq!(named(&net, found), [other, sibling]);
}

/// The parent of an uncle is one of the seven last ancestors, but not the own parent.
#[test]
fn uncles_are_at_most_six_below() {
    for (depth, fits) in [(1, true), (2, true), (6, true), (7, false)] {
        let mut net = quiet(&config());
        let trunk = chain(&mut net, GENESIS, 1)[0];
        let side = forge_after(&mut net, 2, trunk, Span::from_s(11), &[]);
        chain(&mut net, trunk, depth);
        receive(&mut net, 0, side, 2);
        let found = next_found(&mut net);
        let height = |block| net.blocks.get(block).height;
        assert_eq!(height(found) - height(side), depth);
        assert_eq!(!named(&net, found).is_empty(), fits, "{depth} below");
    }
}

/// At most two, own ones first, and none twice.
#[test]
fn two_uncles_own_ones_first_and_never_again() {
    let mut net = quiet(&config());
    let side: Vec<BlockId> = [1, 2, 0]
        .map(|creator| forge_after(&mut net, creator, GENESIS, Span::from_s(11), &[]))
        .to_vec();
    let trunk = chain(&mut net, GENESIS, 2);
    for &block in &side {
        receive(&mut net, 0, block, 1);
    }
    let first = next_found(&mut net);
    assert_eq!(named(&net, first), [side[2], side[0]]);
    let second = next_found(&mut net);
    assert_eq!(named(&net, second), [side[1]]);
    let third = next_found(&mut net);
    assert_eq!(named(&net, third), []);
    assert_eq!(net.blocks.ancestor(third, 2), Some(trunk[1]));
    // Fewer where the configuration says so.
    for most in [0, 1] {
        let mut net = quiet(&Config {
            uncles: most,
            ..config()
        });
        let side = forge_after(&mut net, 2, GENESIS, Span::from_s(11), &[]);
        let other = forge_after(&mut net, 1, GENESIS, Span::from_s(12), &[]);
        chain(&mut net, GENESIS, 2);
        receive(&mut net, 0, side, 2);
        receive(&mut net, 0, other, 1);
        let found = next_found(&mut net);
        assert_eq!(named(&net, found).len(), most as usize);
    }
}

/// Which blocks are named, after a trunk and a side block.
type Choice = dyn Fn(&mut Net, &[BlockId], BlockId) -> Vec<BlockId>;

/// source: Geth's `VerifyUncles`, `verifyHeader`: what is not valid is refused, with all that is built on
/// it; what is valid is adopted.
#[test]
fn blocks_that_break_a_rule_are_refused() {
    let refused = |make: &dyn Fn(&mut Net, &[BlockId], BlockId) -> BlockId| {
        let mut net = quiet(&config());
        let trunk = chain(&mut net, GENESIS, 9);
        let side = forge_after(&mut net, 2, trunk[6], Span::from_s(11), &[]);
        receive(&mut net, 0, side, 2);
        assert_eq!(net.head(0), trunk[8]);
        let block = make(&mut net, &trunk, side);
        receive(&mut net, 0, block, 1);
        let above = forge(&mut net, 1, block);
        receive(&mut net, 0, above, 1);
        let relayed = net.count_notes(0, |n| *n == Note::Relay(block));
        let kept = net.head(0) == trunk[8];
        assert_eq!(kept, net.head(0) != above);
        assert_eq!(relayed, usize::from(!kept));
        kept
    };
    let named = |uncles: &'static Choice| {
        move |net: &mut Net, trunk: &[BlockId], side: BlockId| {
            let uncles = uncles(net, trunk, side);
            forge_after(net, 1, trunk[8], S, &uncles)
        }
    };
    // Its parent is the second last ancestor, its sibling the last.
    assert!(!refused(&named(&|_, _, side| vec![side])));
    assert!(refused(&named(&|_, _, side| vec![side, side])));
    assert!(refused(&named(&|_, trunk, _| vec![trunk[4]])));
    assert!(refused(&named(&|net, trunk, _| vec![forge(
        net, 2, trunk[8]
    )])));
    // The seventh ancestor of a block on trunk[8] is trunk[2].
    let late = Span::from_s(11);
    assert!(!refused(&|net, trunk, _| {
        let old = forge_after(net, 2, trunk[2], late, &[]);
        forge_after(net, 1, trunk[8], S, &[old])
    }));
    assert!(refused(&|net, trunk, _| {
        let old = forge_after(net, 2, trunk[1], late, &[]);
        forge_after(net, 1, trunk[8], S, &[old])
    }));
    // A wrong difficulty, a wrong total, a timestamp not after the parent's, an uncle with a wrong
    // difficulty.
    let altered = |change: &'static dyn Fn(&mut Header)| {
        move |net: &mut Net, trunk: &[BlockId], _: BlockId| {
            let below = net.blocks.get(trunk[8]).header;
            let mut header = Header::above(Homestead, (trunk[8], &below), below.time + S, &[]);
            change(&mut header);
            net.forge(1, trunk[8], header)
        }
    };
    assert!(!refused(&altered(&|_| {})));
    assert!(refused(&altered(&|h| h.difficulty += 1)));
    assert!(refused(&altered(&|h| h.total += 1)));
    assert!(refused(&|net, trunk, _| forge_after(
        net,
        1,
        trunk[8],
        Span::ZERO,
        &[]
    )));
    assert!(refused(&|net, trunk, _| {
        let below = net.blocks.get(trunk[6]).header;
        let mut header = Header::above(Homestead, (trunk[6], &below), below.time + S, &[]);
        header.difficulty += 1;
        let uncle = net.forge(2, trunk[6], header);
        forge_after(net, 1, trunk[8], S, &[uncle])
    }));
}

#[test]
fn an_uncle_that_an_ancestor_names_is_refused() {
    let mut net = quiet(&config());
    let side = forge_after(&mut net, 2, GENESIS, Span::from_s(11), &[]);
    let trunk = chain(&mut net, GENESIS, 2);
    receive(&mut net, 0, side, 2);
    let once = forge_after(&mut net, 1, trunk[1], S, &[side]);
    receive(&mut net, 0, once, 1);
    let twice = forge_after(&mut net, 1, once, S, &[side]);
    receive(&mut net, 0, twice, 1);
    assert_eq!(net.head(0), once);
    let without = forge(&mut net, 1, once);
    receive(&mut net, 0, without, 1);
    assert_eq!(net.head(0), without);
}

/// source: Geth's `accumulateRewards`.
#[test]
fn rewards_by_depth() {
    assert_eq!((uncle_reward(9, 10), uncle_reward(4, 10)), (28, 8));
    assert_eq!((BASE_REWARD, NEPHEW_REWARD), (32, 1));
    let mut net = quiet(&config());
    let side = forge_after(&mut net, 2, GENESIS, Span::from_s(11), &[]);
    let trunk = chain(&mut net, GENESIS, 4);
    receive(&mut net, 0, side, 2);
    let found = next_found(&mut net);
    let earned: Vec<(NodeId, u32)> = rewards(&net.blocks, found).collect();
    // At height 5 an uncle at height 1 earns 4/8.
    assert_eq!(earned, [(node(0), 33), (node(2), 16)]);
    let alone: Vec<(NodeId, u32)> = rewards(&net.blocks, trunk[0]).collect();
    assert_eq!(alone, [(node(1), 32)]);
}

// Fork choice.

#[test]
fn more_total_difficulty_wins_and_not_more_blocks() {
    let mut net = quiet(&config());
    net.lose(|_| true);
    net.run_until(Time::ZERO + Span::from_s(25_000));
    // Node 1 does not mine. Blocks that take 1,000 s are down 99 notches each.
    let mut long = GENESIS;
    for _ in 0..21 {
        long = forge_after(&mut net, 2, long, Span::from_s(1_000), &[]);
        receive(&mut net, 1, long, 2);
    }
    let mut short = GENESIS;
    let total = |net: &Net, b: BlockId| net.blocks.get(b).header.total;
    while total(&net, short) <= total(&net, long) {
        assert_eq!((net.head(1), net.height(1)), (long, 21));
        short = forge(&mut net, 2, short);
        receive(&mut net, 1, short, 2);
    }
    assert_eq!((net.head(1), net.height(1)), (short, 13));
}

/// Of equal total and number a coin decides, unless the own block is one of the two.
#[test]
fn ties_are_tossed_but_for_own_blocks() {
    let switched = |seed, creators: [u32; 2]| {
        let mut net: Net = World::new(&config(), 3, Span::from_ms(100), seed);
        net.start();
        let [a, b] = creators.map(|creator| forge(&mut net, creator, GENESIS));
        receive(&mut net, 0, a, 1);
        receive(&mut net, 0, b, 2);
        net.head(0) == b
    };
    let count = |creators| (0..400).filter(|&seed| switched(seed, creators)).count();
    // Four standard deviations of 400 fair coins are 40.
    assert!(count([1, 2]).abs_diff(200) < 40);
    assert_eq!(count([0, 2]), 0, "the own block stays");
    assert_eq!(count([1, 0]), 400, "the own block wins");
}

/// Two blocks and two beside them, which a third names, against four in a row.
#[test]
fn uncles_add_no_weight_to_total_difficulty() {
    let run = |fork_choice| {
        let mut net = quiet(&Config {
            fork_choice,
            difficulty: Fixed,
            ..config()
        });
        let mut at = |creator, parent, uncles: &[BlockId]| {
            forge_under(&mut net, Fixed, creator, parent, S, uncles)
        };
        let a = at(1, GENESIS, &[]);
        let beside = [at(1, a, &[]), at(2, a, &[])];
        let b = at(1, a, &[]);
        let c = at(1, b, &beside);
        let x = at(2, GENESIS, &[]);
        let y = at(2, x, &[]);
        let z = at(2, y, &[]);
        let w = at(2, z, &[]);
        for block in [a, beside[0], beside[1], b, c, x, y, z] {
            receive(&mut net, 0, block, 1);
        }
        let total = |b: BlockId| net.blocks.get(b).header.total;
        assert_eq!(total(c), total(z), "uncles add nothing");
        receive(&mut net, 0, w, 2);
        net.head(0) == w
    };
    assert!(run(ForkChoice::Td), "the longer chain of equal blocks");
    assert!(!run(ForkChoice::Ghost), "the subtree with five blocks");
}

/// Random trees in random orders: the head is what the definition says, computed anew.
#[test]
fn ghost_is_the_heaviest_subtree() {
    let mut moved = 0;
    for seed in 0..60 {
        let config = Config {
            fork_choice: ForkChoice::Ghost,
            difficulty: Fixed,
            ..config()
        };
        let mut net = quiet(&config);
        let dice = &mut Seed::new(seed, 0).stream("tree", 0);
        let mut made = vec![GENESIS];
        let mut arrived: BTreeMap<BlockId, usize> = BTreeMap::new();
        let mut waiting: Vec<BlockId> = Vec::new();
        for _ in 0..40 {
            let recent = made.len().saturating_sub(9);
            let parent = made[recent + dice.below((made.len() - recent) as u64) as usize];
            let block = forge_under(&mut net, Fixed, 1, parent, Span::from_ms(1), &[]);
            made.push(block);
            waiting.push(block);
            // Some later than others, parents first.
            while !waiting.is_empty() && dice.chance(0.6) {
                let pick = waiting[dice.below(waiting.len() as u64) as usize];
                let parent = net.blocks.get(pick).parent.expect("not the genesis block");
                if parent != GENESIS && !arrived.contains_key(&parent) {
                    continue;
                }
                waiting.retain(|&b| b != pick);
                arrived.insert(pick, arrived.len());
                let before = net.head(0);
                receive(&mut net, 0, pick, 1);
                assert_eq!(net.head(0), heaviest(&net, &arrived), "seed {seed}");
                moved += u32::from(!net.blocks.extends(net.head(0), before));
            }
        }
    }
    assert!(moved > 50, "only {moved} heads were left");
}

/// From the genesis block on, the child with the most blocks in its subtree; of equals the first to
/// arrive.
fn heaviest(net: &Net, arrived: &BTreeMap<BlockId, usize>) -> BlockId {
    let size = |of: BlockId| {
        arrived
            .keys()
            .filter(|&&b| net.blocks.extends(b, of))
            .count()
    };
    let mut at = GENESIS;
    loop {
        let children = arrived
            .keys()
            .filter(|&&b| net.blocks.get(b).parent == Some(at));
        match children.max_by_key(|&b| (size(*b), core::cmp::Reverse(arrived[b]))) {
            Some(&child) => at = child,
            None => return at,
        }
    }
}

// What travels.

/// More than 15 s ahead of the clock is too early; then it is taken in, and what is built on it.
#[test]
fn blocks_ahead_of_the_clock_wait() {
    let mut net = quiet(&config());
    let fine = forge_after(&mut net, 1, GENESIS, Span::from_s(15), &[]);
    receive(&mut net, 0, fine, 1);
    assert_eq!(net.head(0), fine);
    let early = forge_after(&mut net, 1, fine, S, &[]);
    let child = forge_after(&mut net, 1, early, Span::from_s(3), &[]);
    let sibling = forge_after(&mut net, 1, fine, Span::from_s(30), &[]);
    receive(&mut net, 0, sibling, 1);
    receive(&mut net, 0, child, 1);
    receive(&mut net, 0, early, 1);
    assert_eq!(net.head(0), fine);
    net.run_until(at_ms(999));
    assert_eq!(net.head(0), fine);
    net.run_until(at_ms(1_000));
    assert_eq!(net.head(0), early);
    net.run_until(at_ms(3_999));
    assert_eq!(net.head(0), early);
    net.run_until(at_ms(4_000));
    assert_eq!(net.head(0), child);
    assert_eq!(net.count_notes(0, |n| *n == Note::Fetch(early)), 0);
    assert_eq!(net.count_notes(0, |n| *n == Note::Relay(sibling)), 0);
    net.run_until(at_ms(40_000));
    assert_eq!(net.count_notes(0, |n| *n == Note::Relay(sibling)), 1);
}

/// A crash loses the timer, not the block.
#[test]
fn blocks_ahead_of_the_clock_survive_a_crash() {
    let mut net = quiet(&config());
    let early = forge_after(&mut net, 1, GENESIS, Span::from_s(20), &[]);
    receive(&mut net, 0, early, 1);
    net.crash(&[0]);
    net.restart(0);
    net.run_until(at_ms(4_999));
    assert_eq!(net.head(0), GENESIS);
    net.run_until(at_ms(5_000));
    assert_eq!(net.head(0), early);
}

/// Losers are passed on too, or nobody could name them; not those long passed.
#[test]
fn losers_are_relayed_unless_they_are_old() {
    let mut net = quiet(&config());
    let losers: Vec<BlockId> = (0..2)
        .map(|_| forge_after(&mut net, 2, GENESIS, Span::from_s(11), &[]))
        .collect();
    let trunk = chain(&mut net, GENESIS, 8);
    receive(&mut net, 0, losers[0], 2);
    assert_eq!(net.count_notes(0, |n| *n == Note::Relay(losers[0])), 1);
    let more = chain(&mut net, trunk[7], 1);
    receive(&mut net, 0, losers[1], 2);
    assert_eq!(net.head(0), more[0]);
    assert_eq!(net.count_notes(0, |n| *n == Note::Relay(losers[1])), 0);
}

#[test]
fn direct_relay_is_the_finders_alone() {
    for (relay, copies) in [(RelayRule::Direct, 0), (RelayRule::Push, 1)] {
        let mut net = quiet(&Config { relay, ..config() });
        let other = forge(&mut net, 1, GENESIS);
        receive(&mut net, 0, other, 1);
        assert_eq!(net.count_notes(0, |n| *n == Note::Relay(other)), copies);
        let own = next_found(&mut net);
        assert_eq!(net.count_notes(0, |n| *n == Note::Relay(own)), 1);
    }
}

#[test]
fn an_orphan_waits_for_its_ancestors_and_a_long_gap_asks_for_the_chain() {
    for (length, syncs) in [(3, false), (12, true)] {
        let mut net = quiet(&config());
        net.lose(|p| matches!(p.load, Load::Sync));
        let mut made = vec![GENESIS];
        for _ in 0..length {
            let at = *made.last().expect("some");
            made.push(forge(&mut net, 1, at));
        }
        let last = made[length];
        receive(&mut net, 0, last, 1);
        assert_eq!(net.head(0), GENESIS);
        net.run_until(at_ms(10_000));
        assert_eq!(net.head(0), last, "fetched one by one");
        assert_eq!(
            net.count_notes(0, |n| matches!(n, Note::Sync(_))) > 0,
            syncs
        );
    }
}

/// All of it together: five miners far apart, crashes and restarts; the chains agree afterwards, uncles
/// are named once, and every block is valid.
#[test]
fn a_restarted_miner_catches_up() {
    for fork_choice in [ForkChoice::Td, ForkChoice::Ghost] {
        let config = Config {
            miners: 5,
            block_interval_s: 13.0,
            fork_choice,
            ..config()
        };
        let mut net: Net = World::new(&config, 5, Span::from_s(2), 9);
        net.start();
        net.run_until(Time::ZERO + Span::from_s(3_000));
        net.crash(&[0, 3]);
        net.run_until(Time::ZERO + Span::from_s(6_000));
        net.restart(0);
        net.restart(3);
        net.run_until(Time::ZERO + Span::from_s(12_000));
        let heights: Vec<u32> = (0..5).map(|i| net.height(i)).collect();
        let (low, high) = (heights.iter().min(), heights.iter().max());
        assert!(
            low.zip(high).is_some_and(|(l, h)| l + 2 >= *h && *h > 500),
            "{heights:?}"
        );
        let mut seen = std::collections::BTreeSet::new();
        let mut uncles = 0;
        let mut at = net.head(0);
        while let Some(parent) = net.blocks.get(at).parent {
            for uncle in named(&net, at) {
                assert!(seen.insert(uncle), "{uncle} is named twice");
                uncles += 1;
            }
            assert!(seen.insert(at), "{at} is uncle and ancestor");
            at = parent;
        }
        assert!(uncles > 40, "{uncles} uncles of {heights:?}");
        let own = |n: &&(Time, NodeId, Note)| {
            n.1 == node(0)
                && n.0 > Time::ZERO + Span::from_s(6_000)
                && matches!(n.2, Note::Build(..))
        };
        assert!(net.notes.iter().filter(own).count() > 20);
    }
}

#[test]
fn finality_is_a_depth_and_slower_blocks_lose_less_to_delay() {
    let depth = |relay, delay_ms| {
        let adversary = Adversary {
            share: 0.10,
            risk: 1e-3,
            safe_risk: 1e-2,
            delay: Span::from_ms(delay_ms),
        };
        let finality = Ethash::finality(
            &Config {
                relay,
                ..Config::default()
            },
            &adversary,
        );
        match finality {
            Ok(Finality::Depth { fin, .. }) => fin,
            other => panic!("{other:?}"),
        }
    };
    // source: Rosenfeld 2014, table 2.
    assert_eq!(depth(RelayRule::SqrtPush, 0), 6);
    assert!(depth(RelayRule::SqrtPush, 3_000) > 6);
    assert!(depth(RelayRule::Inv, 3_000) > depth(RelayRule::Push, 3_000));
    let promises = Ethash::promises(&Config::default(), 12);
    assert_eq!((promises.byzantine, promises.crashed), (5, 11));
}

#[test]
fn nothing_of_it_can_be_deployed_today() {
    for name in Config::PRESETS {
        let standing = Config::standing(name).unwrap_or(Ethash::FACTS.standing);
        let research = Config::preset(name).map(|c| c.fork_choice) == Some(ForkChoice::Ghost);
        let want = if research {
            Standing::Research
        } else {
            Standing::Historical
        };
        assert_eq!(standing, want, "{name}");
    }
}
