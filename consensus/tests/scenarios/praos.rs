//! Praos, rule by rule: leading, the order of chains, header before body, catching up.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::praos::{Config, Header, Praos};
use quorate_core::{
    Adversary, BlockId, Blocks, Committee, Context, Costs, Engine, Finality, Input, NodeId,
    Services, Span, Time, Wait,
};

type Net = World<Praos>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

/// A world, 1,000 slots old, in which node 0 leads so rarely that only forged blocks matter.
fn quiet(config: Config) -> Net {
    let rare = Config {
        active_slot_coefficient: 1e-6,
        pools: 1,
        ..config
    };
    let mut net = World::new(&rare, 3, Span::from_ms(100), 0);
    net.start();
    net.run_until(at_ms(1_000_000));
    net
}

/// A block of a slot, with a VRF value.
fn forge(net: &mut Net, creator: u32, parent: BlockId, slot: u64, vrf: u64) -> BlockId {
    net.forge(creator, parent, Header { slot, vrf })
}

/// A chain of `length` blocks from slot `first` on.
fn chain(net: &mut Net, creator: u32, parent: BlockId, first: u64, length: u64) -> Vec<BlockId> {
    let mut head = parent;
    let slots = first..first + length;
    slots
        .map(|slot| {
            head = forge(net, creator, head, slot, 5);
            head
        })
        .collect()
}

fn receive(net: &mut Net, to: u32, block: BlockId, from: u32) {
    net.hold(to, block);
    let from = node(from);
    net.give(node(to), Input::Body { block, from });
}

fn hear(net: &mut Net, to: u32, block: BlockId, from: u32) {
    let from = node(from);
    net.give(node(to), Input::Header { block, from });
}

/// What node 0 asked for.
fn asked(net: &Net) -> (usize, usize) {
    let fetches = net.count_notes(0, |n| matches!(n, Note::Fetch(_)));
    (fetches, net.count_notes(0, |n| matches!(n, Note::Sync(_))))
}

// Leading.

#[test]
fn a_block_is_made_at_the_start_of_its_slot_on_the_own_head() {
    let config = Config {
        slot_ms: 2_000,
        active_slot_coefficient: 0.5,
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 1, Span::ZERO, 3);
    net.start();
    net.run_until(at_ms(1_000_000));
    let mut parent = GENESIS;
    for block in (1..=net.blocks.last().get()).map(BlockId::new) {
        let built = *net.blocks.get(block);
        assert_eq!(built.timestamp, at_ms(2_000 * built.header.slot));
        assert_eq!(built.parent, Some(parent));
        assert!(built.header.slot > net.blocks.get(parent).header.slot);
        parent = block;
    }
    assert_eq!(net.head(0), parent);
    // Binomial(500, 1/2): four standard deviations are 45.
    assert!((net.height(0) as i32 - 250).abs() < 45, "{}", net.height(0));
}

/// When blocks take no time, two leaders of one slot still make two blocks, side by side.
#[test]
fn leaders_of_one_slot_build_beside_each_other() {
    let config = Config {
        active_slot_coefficient: 0.9,
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 2, Span::ZERO, 3);
    net.start();
    net.run_until(at_ms(200_000));
    let mut heights = std::collections::BTreeMap::new();
    for block in (1..=net.blocks.last().get()).map(BlockId::new) {
        let built = net.blocks.get(block);
        let below = net.blocks.get(built.parent.expect("not the first"));
        assert!(below.header.slot < built.header.slot);
        let slot = heights.entry(built.height).or_insert(built.header.slot);
        assert_eq!(*slot, built.header.slot, "each height is one slot");
    }
    let both = net.blocks.last().get() as usize - heights.len();
    assert!(both > 50, "{both} slots with two leaders");
    assert_eq!(net.head(0), net.head(1));
}

#[test]
fn who_has_no_stake_does_not_lead_and_a_restarted_pool_does() {
    let config = Config {
        stake_shares: vec![3.0, 1.0],
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 3, Span::from_ms(10), 11);
    net.start();
    net.run_until(at_ms(20_000_000));
    let by = |net: &Net, i| net.count_notes(i, |n| matches!(n, Note::Build(..)));
    let (big, small) = (by(&net, 0), by(&net, 1));
    // Binomial with p = 0.744 for φ(3/4) against φ(1/4): four standard deviations over about 1,000.
    let share = big as f64 / (big + small) as f64;
    assert!((share - 0.744).abs() < 0.056, "{big} to {small}");
    assert_eq!(by(&net, 2), 0);
    net.crash(&[0]);
    net.run_until(at_ms(21_000_000));
    assert_eq!(by(&net, 0), big);
    net.restart(0);
    net.run_until(at_ms(22_000_000));
    assert!(by(&net, 0) > big);
    assert_eq!(net.height(0), net.height(1));
}

/// Being back, a pool does not use the slot that it had drawn before, nor lead one twice.
#[test]
fn a_restart_draws_the_next_slot_anew() {
    let config = Config {
        active_slot_coefficient: 0.3,
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 1, Span::ZERO, 4);
    net.start();
    for s in 0..300 {
        net.crash(&[0]);
        net.restart(0);
        net.run_until(at_ms(1_000 * s + 500));
    }
    let slots: Vec<u64> = (1..=net.blocks.last().get())
        .map(|b| net.blocks.get(BlockId::new(b)).header.slot)
        .collect();
    assert!(slots.windows(2).all(|w| w[0] < w[1]), "{slots:?}");
    // Binomial(299, 0.3): four standard deviations are 32.
    assert!((slots.len() as i32 - 90).abs() < 32, "{}", slots.len());
}

// The order of chains.

#[test]
fn a_longer_chain_wins_whatever_its_vrf_values() {
    let mut net = quiet(Config::default());
    let a = forge(&mut net, 1, GENESIS, 10, 1);
    let b = forge(&mut net, 2, GENESIS, 500, 9);
    let c = forge(&mut net, 2, b, 900, 9);
    receive(&mut net, 0, a, 1);
    receive(&mut net, 0, b, 2);
    assert_eq!(net.head(0), a);
    receive(&mut net, 0, c, 2);
    assert_eq!(net.head(0), c);
    assert_eq!(net.count_notes(0, |n| matches!(n, Note::Adopt(_))), 2);
}

/// source: `RestrictedVRFTiebreaker 5`: up to five slots apart, both ways, the five included.
#[test]
fn of_equal_chains_the_lower_vrf_value_wins_within_the_window() {
    for (slot, vrf, wins) in [
        (100, 4, true),
        (105, 4, true),
        (95, 4, true),
        (106, 4, false),
        (94, 4, false),
        (100, 6, false),
        (105, 5, false),
    ] {
        let mut net = quiet(Config::default());
        let own = forge(&mut net, 1, GENESIS, 100, 5);
        let new = forge(&mut net, 2, GENESIS, slot, vrf);
        receive(&mut net, 0, own, 1);
        receive(&mut net, 0, new, 2);
        let head = if wins { new } else { own };
        assert_eq!(net.head(0), head, "slot {slot}, value {vrf}");
    }
}

/// The window is about the last blocks only, not about where the chains part.
#[test]
fn ties_are_broken_by_the_last_blocks() {
    let mut net = quiet(Config::default());
    let a = forge(&mut net, 1, GENESIS, 100, 1);
    let own = forge(&mut net, 1, a, 200, 5);
    let b = forge(&mut net, 2, GENESIS, 150, 9);
    let new = forge(&mut net, 2, b, 203, 4);
    for (block, from) in [(a, 1), (own, 1), (b, 2), (new, 2)] {
        receive(&mut net, 0, block, from);
    }
    assert_eq!(net.head(0), new);
}

#[test]
fn no_more_than_k_blocks_are_rolled_back() {
    for (own, taken) in [(3, true), (4, false)] {
        let mut net = quiet(Config {
            security_blocks: 3,
            ..Config::default()
        });
        let old = chain(&mut net, 1, GENESIS, 10, own);
        let new = chain(&mut net, 2, GENESIS, 100, 9);
        for &block in &old {
            receive(&mut net, 0, block, 1);
        }
        for &block in &new {
            receive(&mut net, 0, block, 2);
        }
        let head = if taken { new[8] } else { old[old.len() - 1] };
        assert_eq!(net.head(0), head, "{own} blocks to roll back");
        // Nor is a body asked for that would not be selected.
        let next = forge(&mut net, 2, new[8], 200, 0);
        hear(&mut net, 0, next, 2);
        assert_eq!(asked(&net).0, usize::from(taken));
    }
}

#[test]
fn slots_increase_along_a_chain_and_are_not_ahead_of_time() {
    let selected = |slots: &[u64]| {
        let mut net = quiet(Config::default());
        let mut head = GENESIS;
        for &slot in slots {
            head = forge(&mut net, 1, head, slot, 5);
            receive(&mut net, 0, head, 1);
        }
        hear(&mut net, 2, head, 1);
        // Who hears of its header asks for the chain under the same rule.
        let asks = net.count_notes(2, |n| matches!(n, Note::Sync(_) | Note::Fetch(_))) > 0;
        assert_eq!(asks, net.head(0) == head, "{slots:?}");
        net.height(0)
    };
    assert_eq!(selected(&[7, 8]), 2);
    assert_eq!(selected(&[8, 8]), 1);
    assert_eq!(selected(&[8, 7]), 1);
    assert_eq!(selected(&[8, 7, 9, 10]), 1, "and none above");
    assert_eq!(selected(&[0]), 0, "the slot of the genesis block");
    // It is slot 1,000; five seconds are allowed for clocks.
    assert_eq!(selected(&[8, 1_005]), 2);
    assert_eq!(selected(&[8, 1_006]), 1);
}

// Header before body.

#[test]
fn what_would_be_selected_is_fetched_and_then_announced() {
    let mut net = quiet(Config::default());
    let a = forge(&mut net, 1, GENESIS, 100, 5);
    hear(&mut net, 0, a, 1);
    assert_eq!((net.head(0), asked(&net)), (GENESIS, (1, 0)));
    net.run_until(net.now + Span::from_ms(200));
    assert_eq!(net.head(0), a);
    assert_eq!(net.count_notes(0, |n| *n == Note::Relay(a)), 1);
    // Node 2 hears of it from node 0, asks, and has it two crossings later.
    assert_eq!(net.head(2), GENESIS);
    net.run_until(net.now + Span::from_ms(300));
    assert_eq!(net.head(2), a);
    assert_eq!(net.count_notes(2, |n| *n == Note::Fetch(a)), 1);
}

#[test]
fn what_would_not_be_selected_is_neither_fetched_nor_announced() {
    let mut net = quiet(Config::default());
    let own = forge(&mut net, 1, GENESIS, 100, 5);
    let worse = forge(&mut net, 2, GENESIS, 101, 6);
    receive(&mut net, 0, own, 1);
    hear(&mut net, 0, worse, 2);
    assert_eq!(asked(&net), (0, 0));
    receive(&mut net, 0, worse, 2);
    net.run_until(net.now + Span::from_s(1));
    assert_eq!((net.head(0), net.head(2)), (own, own));
    assert_eq!(net.count_notes(0, |n| *n == Note::Relay(worse)), 0);
}

/// Two candidates at once: both are fetched, the better one stays, whatever the order.
#[test]
fn rival_candidates_are_both_fetched() {
    for first in [0, 1] {
        let mut net = quiet(Config::default());
        let rivals = [
            forge(&mut net, 1, GENESIS, 100, 5),
            forge(&mut net, 2, GENESIS, 101, 4),
        ];
        hear(&mut net, 0, rivals[first], 1 + first as u32);
        hear(&mut net, 0, rivals[1 - first], 2 - first as u32);
        assert_eq!(asked(&net), (2, 0));
        net.run_until(net.now + Span::from_ms(200));
        assert_eq!(net.head(0), rivals[1]);
    }
}

/// The loser of a tie was never fetched. Its child comes with the chain.
#[test]
fn missing_ancestors_come_with_the_chain() {
    let mut net = quiet(Config::default());
    let own = forge(&mut net, 1, GENESIS, 100, 4);
    let rival = chain(&mut net, 2, GENESIS, 101, 2);
    receive(&mut net, 0, own, 1);
    for &block in &rival {
        receive(&mut net, 2, block, 2);
    }
    net.run_until(net.now + Span::from_s(1));
    assert_eq!(net.head(0), rival[1]);
    let told = |block| move |n: &Note| *n == Note::Fetch(block);
    assert_eq!(net.count_notes(0, told(rival[0])), 0);
    assert_eq!(asked(&net), (0, 1));
}

/// While a chain or a parent is on its way, only the new block is asked for; an answer that does not
/// come within a minute is asked for again.
#[test]
fn nothing_is_asked_for_twice_within_a_minute() {
    let mut net = quiet(Config::default());
    net.lose(|_| true);
    let blocks = chain(&mut net, 1, GENESIS, 100, 9);
    hear(&mut net, 0, blocks[3], 1);
    assert_eq!(asked(&net), (0, 1));
    hear(&mut net, 0, blocks[5], 1);
    assert_eq!(asked(&net), (1, 1));
    hear(&mut net, 0, blocks[6], 1);
    assert_eq!(asked(&net), (2, 1));
    // Nobody named this one: the chain has begun to come, and it is not the one that is needed.
    receive(&mut net, 0, blocks[8], 1);
    assert_eq!(asked(&net), (2, 2));
    let other = forge(&mut net, 1, blocks[4], 500, 0);
    hear(&mut net, 0, other, 1);
    assert_eq!(asked(&net), (3, 2));
    net.run_until(net.now + Span::from_ms(59_999));
    let next = forge(&mut net, 1, blocks[6], 990, 0);
    hear(&mut net, 0, next, 1);
    assert_eq!(asked(&net), (4, 2));
    net.run_until(net.now + Span::from_ms(1));
    let overdue = forge(&mut net, 1, blocks[5], 992, 0);
    hear(&mut net, 0, overdue, 1);
    assert_eq!(asked(&net), (4, 3), "parent and chain are overdue");
    let later = forge(&mut net, 1, next, 993, 0);
    hear(&mut net, 0, later, 1);
    assert_eq!(asked(&net), (5, 3), "this parent is not");
}

#[test]
fn an_orphan_waits_for_its_ancestors() {
    let mut net = quiet(Config::default());
    let blocks = chain(&mut net, 1, GENESIS, 100, 3);
    net.lose(|p| matches!(p.load, Load::Sync));
    receive(&mut net, 0, blocks[2], 1);
    assert_eq!((net.head(0), asked(&net)), (GENESIS, (0, 1)));
    receive(&mut net, 0, blocks[2], 1);
    receive(&mut net, 0, blocks[1], 1);
    receive(&mut net, 0, blocks[0], 1);
    assert_eq!(net.head(0), blocks[2]);
    assert_eq!(net.count_notes(0, |n| matches!(n, Note::Adopt(_))), 3);
    // Only where it ended up is announced.
    let relays = net.count_notes(0, |n| matches!(n, Note::Relay(_)));
    assert_eq!(relays, 1);
}

/// Of 1,000 orphans on different parents the oldest 250 are forgotten.
#[test]
fn orphans_are_bounded() {
    let mut net = quiet(Config::default());
    net.lose(|_| true);
    let pairs: Vec<_> = (0..1_000)
        .map(|_| {
            let parent = forge(&mut net, 1, GENESIS, 100, 5);
            (parent, forge(&mut net, 1, parent, 101, 5))
        })
        .collect();
    for (_, child) in &pairs {
        receive(&mut net, 0, *child, 1);
    }
    let (forgotten, kept) = (pairs[249], pairs[250]);
    receive(&mut net, 0, forgotten.0, 1);
    assert_eq!(net.head(0), forgotten.0);
    let better = forge(&mut net, 1, GENESIS, 100, 4);
    receive(&mut net, 0, better, 1);
    assert_eq!(net.head(0), better);
    receive(&mut net, 0, kept.0, 1);
    assert_eq!(net.head(0), kept.1);
}

// Catching up.

#[test]
fn a_restarted_node_catches_up() {
    let config = Config {
        active_slot_coefficient: 0.5,
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 4, Span::from_ms(50), 9);
    net.start();
    net.run_until(at_ms(100_400));
    net.crash(&[2]);
    net.run_until(at_ms(300_400));
    let behind = net.height(2);
    assert!(net.height(0) > behind + 50);
    net.restart(2);
    net.run_until(at_ms(300_500));
    assert_eq!(net.height(2), net.height(3), "one request and one answer");
    net.run_until(at_ms(400_900));
    assert_eq!(net.head(2), net.head(0));
}

#[test]
fn a_healed_partition_keeps_the_longer_side_within_k() {
    for (security_blocks, joins) in [(2_160, true), (10, false)] {
        let config = Config {
            active_slot_coefficient: 0.5,
            security_blocks,
            ..Config::default()
        };
        let mut net: Net = World::new(&config, 5, Span::from_ms(50), 17);
        net.start();
        net.partition(&[0, 1]);
        net.run_until(at_ms(300_400));
        let (few, many) = (net.height(0), net.height(4));
        assert!(few > 40 && many > few, "{few}, {many}");
        let kept = net.head(4);
        net.partition(&[]);
        net.run_until(at_ms(400_900));
        assert_eq!(net.head(0) == net.head(4), joins);
        assert!(net.blocks.extends(net.head(4), kept), "the longer side");
    }
}

/// Equal pools with constant delay: a block is everywhere three crossings after its slot began.
/// Heads agree then, and forks come only from slots closer than that.
#[test]
fn blocks_take_three_crossings() {
    let config = Config {
        active_slot_coefficient: 0.2,
        ..Config::default()
    };
    let mut net: Net = World::new(&config, 6, Span::from_ms(400), 23);
    net.start();
    net.run_until(at_ms(2_000_000));
    for block in (1..=net.blocks.last().get() - 3).map(BlockId::new) {
        let built = *net.blocks.get(block);
        let adopted = net.notes.iter().filter(|n| n.2 == Note::Adopt(block));
        for &(at, who, _) in adopted {
            if who == built.key.creator {
                assert_eq!(at, built.timestamp);
            } else {
                assert!(at >= built.timestamp + Span::from_ms(1_200));
            }
        }
        let parent = net.blocks.get(built.parent.expect("not the first"));
        let own = parent.key.creator == built.key.creator;
        let gap = built.header.slot - parent.header.slot;
        assert!(own || gap >= 2 || parent.height == 0, "{gap} slots");
    }
    let made = net.blocks.last().get();
    let stale = f64::from(made - net.height(0)) / f64::from(made);
    // Another's block within one slot, or in the same: x/(1 + x) for x of about 1.5·0.2·(5/6).
    assert!((0.1..0.25).contains(&stale), "{stale}");
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
fn a_block_costs_its_header_s_proofs_and_its_transactions() {
    let config = Config::default();
    let mut net = quiet(config.clone());
    let block = forge(&mut net, 1, GENESIS, 100, 5);
    let committee = Committee::equal(3);
    let pool = Praos::new(&config, node(0), &committee);
    let context = Context {
        clock: Time::ZERO,
        me: node(0),
        nodes: 3,
        committee: &committee,
        blocks: &net.blocks,
        costs: &Costs::REFERENCE,
        services: &Nothing,
    };
    let cost = pool.check_block(block, &context);
    // 10,000 bytes in this world.
    let want = Costs::REFERENCE.verify * 4 + Costs::REFERENCE.hash(10_000);
    assert_eq!(cost, want);
    let header = net.blocks.get(block).header;
    assert_eq!(pool.header_bytes(&header, &context), 860);
}

#[test]
fn finality_is_a_depth_of_settlement() {
    let adversary = |share, delay_ms| Adversary {
        share,
        risk: 1e-6,
        safe_risk: 1e-3,
        delay: Span::from_ms(delay_ms),
    };
    let depths =
        |share, delay_ms| match Praos::finality(&Config::default(), &adversary(share, delay_ms)) {
            Ok(Finality::Depth { safe, fin }) => (safe, fin),
            other => panic!("{other:?}"),
        };
    let (safe, fin) = depths(0.25, 0);
    assert!(safe < fin && fin < 2_160);
    // Not the race of proof of work, which asks for 42 confirmations.
    assert!(fin > 42, "{fin}");
    // 333 ms and three crossings are one slot; one more millisecond is two.
    assert_eq!(depths(0.25, 1), depths(0.25, 333));
    assert!(depths(0.25, 334) > depths(0.25, 333));
    let error = |share, delay_ms| {
        Praos::finality(&Config::default(), &adversary(share, delay_ms)).unwrap_err()
    };
    assert!(error(0.5, 0).contains("no depth is ever settled"));
    assert!(error(0.3, 5_000).contains("no depth is ever settled"));
    assert!(
        error(0.48, 0).contains("more than the 2160 blocks"),
        "{}",
        error(0.48, 0)
    );
}

#[test]
fn risk_after_a_wait_counts_slots_and_organisations() {
    let risk = |name, corrupt, waited| {
        let config = Config::preset(name).expect("a preset");
        let wait = Wait {
            waited: Span::from_s(waited),
            delay: Span::from_ms(20),
        };
        Praos::reversal_risk(&config, 12, corrupt, &wait)
    };
    assert!(risk("cardano", 3, 600) > risk("cardano", 3, 3_600));
    assert!(risk("private", 3, 600) < risk("cardano", 3, 600));
    let by_corrupt: Vec<f64> = (0..12).map(|c| risk("private", c, 600)).collect();
    assert!(
        by_corrupt.windows(2).all(|w| w[0] <= w[1]),
        "{by_corrupt:?}"
    );
    assert!(by_corrupt[1] < 1e-6 && by_corrupt[6] > 0.999);
}

#[test]
fn promises_count_stake() {
    let promises = |config: &Config, nodes| {
        let p = Praos::promises(config, nodes);
        (p.byzantine, p.crashed, p.quorum, p.interval)
    };
    let config = Config::default();
    assert_eq!(promises(&config, 12), (5, 11, 1, Span::from_s(20)));
    let private = Config::preset("private").expect("a preset");
    assert_eq!(promises(&private, 13), (6, 12, 1, Span::from_s(2)));
    let unequal = Config {
        stake_shares: vec![40.0, 30.0, 20.0, 10.0],
        ..config
    };
    assert_eq!(promises(&unequal, 9), (1, 3, 1, Span::from_s(20)));
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let refused = |config: Config| Praos::validate(&config, 5).expect_err("refused").key;
    let base = Config::default();
    assert_eq!(Praos::validate(&base, 1), Ok(()));
    let slot = |slot_ms| Config {
        slot_ms,
        ..base.clone()
    };
    assert_eq!(refused(slot(0)), "slot_ms");
    for f in [0.0, 1.0, -0.5, f64::NAN] {
        let config = Config {
            active_slot_coefficient: f,
            ..base.clone()
        };
        assert_eq!(refused(config), "active_slot_coefficient");
    }
    let k = Config {
        security_blocks: 0,
        ..base.clone()
    };
    assert_eq!(refused(k), "security_blocks");
    let shares = |stake_shares: &[f64], pools| Config {
        stake_shares: stake_shares.to_vec(),
        pools,
        ..base.clone()
    };
    assert_eq!(refused(shares(&[1.0, 0.0], 0)), "stake_shares");
    assert_eq!(refused(shares(&[1.0; 6], 0)), "stake_shares");
    assert_eq!(refused(shares(&[], 6)), "pools");
    assert_eq!(refused(shares(&[1.0, 2.0], 3)), "pools");
}
