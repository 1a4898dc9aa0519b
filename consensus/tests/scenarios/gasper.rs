//! Gasper, rule by rule: the slot's timeline, the fork choice, what is boosted, dropped, discounted
//! and final, catching up.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::gasper::{
    Checkpoint, Committees, Config, Duty, Gasper, Header, Message, RelayRule, Stakes, Timer, Vote,
};
use quorate_core::{
    Adversary, BlockId, Blocks, Engine, Finality, Input, NodeId, Seed, Span, Statement, Time, Wait,
    hash, math,
};
use std::cell::RefCell;
use std::rc::Rc;

type Net = World<Gasper>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;

fn private() -> Config {
    Config::preset("private").expect("it is listed")
}

/// A node that watches, and keys of others that are silent unless a test speaks for them: 4,000 of
/// nodes 1 to 4, 1,000 a slot in an epoch of four.
fn watched() -> Config {
    Config {
        slots_per_epoch: 4,
        stakes: vec![0, 1_000, 1_000, 1_000, 1_000],
        ..private()
    }
}

/// The world of it, at the start of a slot.
fn quiet(config: &Config, slot: u32) -> Net {
    let mut net = World::new(config, 5, Span::from_ms(100), 0);
    net.crash(&[1, 2, 3, 4]);
    net.start();
    to_slot(&mut net, slot);
    net
}

const fn slot_ms(slot: u32) -> u64 {
    12_000 * slot as u64
}

/// Runs to the start of a slot.
fn to_slot(net: &mut Net, slot: u32) {
    net.run_until(at_ms(slot_ms(slot)));
}

/// Runs to an instant of a slot.
fn to_ms(net: &mut Net, slot: u32, ms: u64) {
    net.run_until(at_ms(slot_ms(slot) + ms));
}

fn stakes(config: &Config) -> Stakes {
    let each = (0..5).map(|i| config.stakes.get(i).copied().unwrap_or(0));
    Stakes::new(each)
}

/// Votes that a block carries: of a node, of a slot, for a head.
type Carried = (u32, u32, BlockId);

/// A valid block of a slot, made by its proposer.
fn forge(
    net: &mut Net,
    config: &Config,
    parent: BlockId,
    slot: u32,
    carried: &[Carried],
) -> BlockId {
    let below = *net.blocks.get(parent);
    let seeds = below.header.next_seeds(slot, config.slots_per_epoch);
    let leader = stakes(config).proposer(slot, seeds[0]);
    forge_by(net, config, leader, parent, slot, carried)
}

fn forge_by(
    net: &mut Net,
    config: &Config,
    leader: NodeId,
    parent: BlockId,
    slot: u32,
    carried: &[Carried],
) -> BlockId {
    let below = *net.blocks.get(parent);
    let statements: Vec<Statement> = carried
        .iter()
        .map(|&(signer, slot, head)| Statement {
            signer: node(signer),
            round: Some(slot),
            block: Some(head),
        })
        .collect();
    let votes = (!carried.is_empty()).then(|| net.certs().intern(below.height + 1, &statements));
    let header = Header {
        slot,
        mix: hash::fold(below.header.mix, u64::from(slot)),
        seeds: below.header.next_seeds(slot, config.slots_per_epoch),
        votes,
        aggregates: u32::from(!carried.is_empty()),
        keys: 1,
    };
    net.forge(leader.get(), parent, header)
}

/// Node 0 hears of a block now.
fn receive(net: &mut Net, block: BlockId) {
    net.hold(0, block);
    let from = net.blocks.get(block).key.creator;
    net.give(node(0), Input::Body { block, from });
}

/// A block of a slot, heard of now.
fn grow(
    net: &mut Net,
    config: &Config,
    parent: BlockId,
    slot: u32,
    carried: &[Carried],
) -> BlockId {
    let block = forge(net, config, parent, slot, carried);
    receive(net, block);
    block
}

fn checkpoint(epoch: u32, block: BlockId) -> Checkpoint {
    Checkpoint { epoch, block }
}

/// A vote whose source is the first block.
fn vote(config: &Config, slot: u32, head: BlockId, target: BlockId) -> Vote {
    Vote {
        slot,
        head,
        source: checkpoint(0, GENESIS),
        target: checkpoint(slot / config.slots_per_epoch, target),
    }
}

/// Node 0 hears a vote.
fn cast(net: &mut Net, from: u32, vote: Vote) {
    net.deliver(from, 0, Message::Vote { vote, keys: 1 });
}

/// How many keys a node has in a slot of the first two epochs.
fn keys_of(config: &Config, slot: u32, who: u32) -> u64 {
    let epoch = slot / config.slots_per_epoch;
    let seed = Header::GENESIS.seed(epoch, config.slots_per_epoch);
    let drawn = Committees::draw(&stakes(config), config.slots_per_epoch, epoch, seed);
    drawn.of(slot % config.slots_per_epoch, node(who)).len() as u64
}

/// Two blocks on the first one: a loser and a winner by name, so that votes are what turns it.
fn rivals(net: &mut Net, config: &Config, slots: [u32; 2]) -> [BlockId; 2] {
    let blocks = slots.map(|slot| grow(net, config, GENESIS, slot, &[]));
    let loser = usize::from(net.blocks.name(blocks[0]) > net.blocks.name(blocks[1]));
    assert_eq!(net.head(0), blocks[1 - loser], "the larger name wins a tie");
    [blocks[loser], blocks[1 - loser]]
}

/// What travels, with its time and its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Vote(Vote, u32),
    Aggregate(u32),
    Slashing(NodeId),
}

fn listen(net: &mut Net) -> Rc<RefCell<Vec<(Time, NodeId, Sent)>>> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&log);
    net.lose(move |packet| {
        let sent = match packet.load {
            Load::Message(Message::Vote { vote, keys }) => Sent::Vote(*vote, *keys),
            Load::Message(Message::Aggregate { aggregators, .. }) => Sent::Aggregate(*aggregators),
            Load::Message(Message::Slashing { against, .. }) => Sent::Slashing(*against),
            _ => return false,
        };
        seen.borrow_mut().push((packet.sent, packet.to, sent));
        false
    });
    log
}

fn evidence(net: &Net, against: u32) -> usize {
    net.count_notes(0, |n| *n == Note::Evidence(node(against)))
}

// The timeline of a slot.

#[test]
fn every_slot_has_a_block_and_a_vote_of_every_key() {
    let config = private();
    let mut net: Net = World::new(&config, 12, Span::from_ms(50), 1);
    let log = listen(&mut net);
    net.start();
    net.run_until(at_ms(slot_ms(96) - 1));
    assert!((0..12).all(|i| net.height(i) == 95 && net.head(i) == net.head(0)));
    for block in (1..=net.blocks.last().get()).map(BlockId::new) {
        let built = net.blocks.get(block);
        assert_eq!(built.timestamp, at_ms(slot_ms(built.header.slot)));
        // A block carries all votes of the slot before, which agree.
        let (aggregates, keys) = (built.header.aggregates, built.header.keys);
        assert_eq!((aggregates, keys), (1, 24), "slot {}", built.header.slot);
    }
    let log = log.borrow();
    for epoch in 0..3 {
        let of_epoch = log.iter().filter_map(|(at, to, sent)| match sent {
            Sent::Vote(vote, keys) if vote.slot / 32 == epoch && *to == node(0) => {
                Some((at, vote, keys))
            }
            _ => None,
        });
        let mut sum = 0;
        for (at, vote, keys) in of_epoch {
            // The proposer's own vote leaves at once, the others' when its block is there.
            let after = at.since(at_ms(slot_ms(vote.slot)));
            let due = [0, 50].map(Span::from_ms);
            assert!(
                vote.slot == 0 || due.contains(&after),
                "slot {} {after}",
                vote.slot
            );
            sum += keys;
        }
        assert_eq!(
            sum,
            11 * 64,
            "all keys of the others vote once in epoch {epoch}"
        );
    }
    // Aggregates leave at two thirds of the slot.
    let aggregates = log
        .iter()
        .filter(|(_, _, sent)| matches!(sent, Sent::Aggregate(_)));
    let mut all = 0;
    for (at, _, _) in aggregates {
        assert_eq!(at.ns() % 12_000_000_000, 8_000_400_000);
        all += 1;
    }
    assert!(all > 96 * 11 * 5, "{all}");
}

#[test]
fn votes_are_due_after_a_third_of_a_slot_without_a_block() {
    let config = watched();
    let own = Config {
        stakes: vec![400, 1_000, 1_000, 1_000, 1_000],
        ..config
    };
    let mut net = quiet(&own, 0);
    let log = listen(&mut net);
    let led =
        (1..8).find(|s| stakes(&own).proposer(*s, Header::GENESIS.seed(*s / 4, 4)) != node(0));
    let slot = led.expect("somebody else leads");
    to_slot(&mut net, slot);
    let before = net.head(0);
    to_ms(&mut net, slot, 11_000);
    let log = log.borrow();
    let own = log.iter().find_map(|(at, _, sent)| match sent {
        Sent::Vote(vote, _) if vote.slot == slot => Some((*at, vote.head)),
        _ => None,
    });
    // 33.33 % of 12 s, for what was there before.
    let due = at_ms(slot_ms(slot)) + Span::from_us(3_999_600);
    assert_eq!(own, Some((due, before)));
}

/// Single votes reach the slot's aggregators only; the others learn them from aggregates and blocks, and
/// blocks are final all the same.
#[test]
fn without_all_subnets_votes_go_to_aggregators() {
    let config = Config {
        // One committee of 300 a slot: every 18th key aggregates.
        stakes: vec![2_400; 4],
        all_subnets: false,
        ..private()
    };
    let mut net: Net = World::new(&config, 5, Span::from_ms(50), 1);
    net.start();
    to_slot(&mut net, 162);
    assert!(net.messages["attestations"].0 > 0);
    assert!((0..5).all(|i| net.commits(i).len() == 2));
    assert_one_chain(&net);
    let few = Config {
        // So few aggregators that most nodes are none.
        target_aggregators: 1,
        ..config
    };
    let mut net: Net = World::new(&few, 5, Span::from_ms(50), 1);
    net.start();
    to_slot(&mut net, 162);
    let (votes, all) = (net.messages["attestations"].0, 162 * 4 * 3);
    assert!(votes < all / 2, "{votes} of {all}");
    assert!((0..5).all(|i| net.commits(i).len() == 2));
}

#[test]
fn a_block_carries_only_so_many_different_votes() {
    let run = |most| {
        let config = Config {
            max_attestations: most,
            ..private()
        };
        let mut net: Net = World::new(&config, 12, Span::from_ms(50), 1);
        net.start();
        to_slot(&mut net, 34);
        // Nobody hears of any block for eight slots, but of votes.
        net.lose(|packet| matches!(packet.load, Load::Body(_)));
        to_slot(&mut net, 42);
        net.lose_nothing();
        to_slot(&mut net, 48);
        let blocks = (1..=net.blocks.last().get()).map(BlockId::new);
        blocks.map(|b| net.blocks.get(b).header.aggregates).max()
    };
    assert_eq!(run(1), Some(1));
    assert_eq!(run(3), Some(3));
    assert!(run(8) > Some(3));
}

// Which blocks are valid.

#[test]
fn a_block_needs_a_later_slot_its_proposer_and_the_chains_randomness() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let good = grow(&mut net, &config, GENESIS, 2, &[]);
    assert_eq!(net.head(0), good);
    for slot in [1, 2] {
        let _ = grow(&mut net, &config, good, slot, &[]);
        assert_eq!(net.head(0), good, "slot {slot} on slot 2");
    }
    let third = forge(&mut net, &config, good, 3, &[]);
    let leader = net.blocks.get(third).key.creator;
    for other in (1..5).map(node).filter(|n| *n != leader) {
        let wrong = forge_by(&mut net, &config, other, good, 3, &[]);
        receive(&mut net, wrong);
        assert_eq!(net.head(0), good, "led by {other}");
    }
    let mut header = net.blocks.get(good).header;
    header.slot = 3;
    header.seeds[1] ^= 1;
    let wrong = net.forge(leader.get(), good, header);
    receive(&mut net, wrong);
    assert_eq!(net.head(0), good);
    let next = grow(&mut net, &config, good, 3, &[]);
    assert_eq!(net.head(0), next);
}

#[test]
fn a_block_of_a_later_slot_waits_for_it_and_so_do_those_above_it() {
    let config = watched();
    let mut net = quiet(&config, 2);
    let early = grow(&mut net, &config, GENESIS, 3, &[]);
    let above = grow(&mut net, &config, early, 5, &[]);
    assert_eq!(net.head(0), GENESIS);
    to_slot(&mut net, 3);
    assert_eq!(net.head(0), early);
    to_ms(&mut net, 4, 11_999);
    assert_eq!(net.head(0), early);
    to_slot(&mut net, 5);
    assert_eq!(net.head(0), above);
}

#[test]
fn a_block_without_its_parent_asks_for_it_and_connects() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let below = forge(&mut net, &config, GENESIS, 1, &[]);
    let above = grow(&mut net, &config, below, 2, &[]);
    assert_eq!(net.count_notes(0, |n| *n == Note::Fetch(below)), 1);
    assert_eq!(net.head(0), GENESIS);
    receive(&mut net, below);
    assert_eq!(net.head(0), above);
}

// The fork choice.

#[test]
fn votes_count_from_the_next_slot_on() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let [loser, winner] = rivals(&mut net, &config, [1, 2]);
    cast(&mut net, 1, vote(&config, 3, loser, GENESIS));
    to_ms(&mut net, 3, 11_999);
    assert_eq!(net.head(0), winner);
    to_slot(&mut net, 4);
    assert_eq!(net.head(0), loser);
}

/// The weights are those of the slot's committees: 1,000 keys, of each node about a quarter.
#[test]
fn the_heavier_side_wins_and_a_vote_of_a_later_epoch_moves_its_keys() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let [loser, winner] = rivals(&mut net, &config, [1, 2]);
    cast(&mut net, 1, vote(&config, 2, loser, GENESIS));
    assert_eq!(net.head(0), winner, "it counts with the next head");
    to_slot(&mut net, 4);
    assert_eq!(net.head(0), loser);
    // Of the same slot, more of the others' keys.
    cast(&mut net, 2, vote(&config, 2, winner, GENESIS));
    cast(&mut net, 3, vote(&config, 2, winner, GENESIS));
    to_slot(&mut net, 5);
    assert_eq!(net.head(0), winner);
    // In the next epoch all keys of nodes 2 and 3 vote for the other: nothing is left where they were.
    for slot in 4..8 {
        to_slot(&mut net, slot);
        for from in [2, 3] {
            cast(&mut net, from, vote(&config, slot, loser, loser));
        }
    }
    to_slot(&mut net, 8);
    assert_eq!(net.head(0), loser);
    // Node 4's keys of one slot do not outweigh them, though they would if those still counted twice.
    cast(&mut net, 4, vote(&config, 7, winner, winner));
    to_slot(&mut net, 9);
    assert_eq!(net.head(0), loser);
}

#[test]
fn a_vote_must_agree_with_its_target_and_its_slot() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let [loser, winner] = rivals(&mut net, &config, [1, 2]);
    // A target beside the head's chain, a head that is younger than the vote, another epoch's target.
    cast(&mut net, 1, vote(&config, 2, loser, winner));
    cast(&mut net, 2, vote(&config, 0, loser, GENESIS));
    let mut wrong = vote(&config, 1, loser, GENESIS);
    wrong.target.epoch = 1;
    cast(&mut net, 3, wrong);
    to_slot(&mut net, 4);
    assert_eq!(net.head(0), winner);
    cast(&mut net, 4, vote(&config, 3, loser, GENESIS));
    to_slot(&mut net, 5);
    assert_eq!(net.head(0), loser);
}

/// A vote for a block that is not here counts once it is; one that came in a block counts too.
#[test]
fn votes_wait_for_their_head_and_also_come_in_blocks() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let [loser, winner] = rivals(&mut net, &config, [1, 2]);
    let unknown = forge(&mut net, &config, loser, 3, &[]);
    cast(&mut net, 1, vote(&config, 3, unknown, GENESIS));
    to_slot(&mut net, 4);
    assert_eq!(net.head(0), winner);
    receive(&mut net, unknown);
    assert_eq!(net.head(0), unknown);
    // Two nodes' votes in a block on the other side.
    to_slot(&mut net, 5);
    let more = [(2, 2, winner), (3, 2, winner)];
    to_ms(&mut net, 5, 5_000);
    let carrier = grow(&mut net, &config, winner, 5, &more);
    assert_eq!(net.head(0), carrier);
}

/// source: boost of 40 % of a slot's committees: 400 of 1,000 keys, against about 250 of one node.
#[test]
fn a_timely_block_is_boosted_for_the_rest_of_its_slot() {
    let run = |boost_percent, ms| {
        let config = Config {
            boost_percent,
            ..watched()
        };
        let mut net = quiet(&config, 1);
        let first = grow(&mut net, &config, GENESIS, 1, &[]);
        cast(&mut net, 1, vote(&config, 1, first, GENESIS));
        to_ms(&mut net, 2, ms);
        let second = grow(&mut net, &config, GENESIS, 2, &[]);
        let boosted = net.head(0) == second;
        to_slot(&mut net, 3);
        assert_eq!(net.head(0), first, "the boost is over");
        boosted
    };
    assert!((keys_of(&watched(), 1, 1)) < 300);
    assert!(run(40, 0) && run(40, 3_999));
    // At 3,999.6 ms it is too late; and 20 % are less than the votes.
    assert!(!run(40, 4_000) && !run(20, 0) && !run(0, 0));
}

#[test]
fn only_the_first_block_of_a_slot_is_boosted_and_only_in_its_slot() {
    let config = watched();
    let mut net = quiet(&config, 1);
    let first = grow(&mut net, &config, GENESIS, 1, &[]);
    cast(&mut net, 1, vote(&config, 1, first, GENESIS));
    to_slot(&mut net, 2);
    let other = grow(&mut net, &config, first, 2, &[]);
    assert_eq!(net.head(0), other);
    // Beside the first: its proposer made two, the second has no boost.
    let second = grow(&mut net, &config, GENESIS, 2, &[]);
    assert_eq!(net.head(0), other);
    assert_eq!(evidence(&net, net.blocks.get(second).key.creator.get()), 1);
    // A block of an earlier slot has none either.
    let mut net = quiet(&config, 1);
    let first = grow(&mut net, &config, GENESIS, 1, &[]);
    cast(&mut net, 1, vote(&config, 1, first, GENESIS));
    to_slot(&mut net, 3);
    let _ = grow(&mut net, &config, GENESIS, 2, &[]);
    assert_eq!(net.head(0), first);
}

/// Blocks of a chain with other randomness for this epoch's committees are not boosted.
#[test]
fn a_boosted_block_shares_the_heads_shuffling() {
    let config = watched();
    for same in [true, false] {
        // Epoch 2 is drawn by what the chain is at the end of epoch 0: the block of slot 1 or of none.
        let mut net = quiet(&config, 1);
        let first = grow(&mut net, &config, GENESIS, 1, &[]);
        cast(&mut net, 1, vote(&config, 1, first, GENESIS));
        to_slot(&mut net, 8);
        assert_eq!(net.head(0), first);
        let base = if same { first } else { GENESIS };
        let rival = grow(&mut net, &config, base, 5, &[]);
        let head = net.head(0);
        if same {
            // Beside the tip, with the same first block.
            cast(&mut net, 2, vote(&config, 7, rival, rival));
            to_slot(&mut net, 9);
            let last = grow(&mut net, &config, first, 9, &[]);
            assert_eq!((head, net.head(0)), (rival, last));
        } else {
            let last = grow(&mut net, &config, rival, 8, &[]);
            let heads = (net.head(0), head);
            assert_eq!(heads, (first, first), "{last} is not boosted");
        }
    }
}

// What is justified, viable and final.

/// A chain with a block in each slot from `from` on, each carrying the votes of these nodes for the
/// block before.
fn chain(
    net: &mut Net,
    config: &Config,
    parent: BlockId,
    slots: core::ops::Range<u32>,
    who: &[u32],
) -> Vec<BlockId> {
    let mut at = parent;
    let mut made = Vec::new();
    for slot in slots {
        to_slot(net, slot);
        let before = slot - 1;
        let tip = net.blocks.get(at).header.slot;
        let carried: Vec<Carried> = if tip == before {
            who.iter().map(|&w| (w, before, at)).collect()
        } else {
            Vec::new()
        };
        at = grow(net, config, at, slot, &carried);
        made.push(at);
    }
    made
}

fn final_slots(net: &Net) -> Vec<(u64, u32)> {
    let slot = |at: Time| at.ns() / 12_000_000_000;
    let commits = net.commits(0).into_iter();
    commits
        .map(|(at, block)| (slot(at), net.blocks.get(block).header.slot))
        .collect()
}

/// source: own replay of the rules: the checkpoint of epoch e is final at the start of epoch e + 2, the
/// first with the second, because the first two epochs are not weighed.
#[test]
fn a_checkpoint_is_final_two_epochs_after_its_own_block() {
    let config = watched();
    let mut net = quiet(&config, 0);
    let blocks = chain(&mut net, &config, GENESIS, 1..22, &[1, 2, 3, 4]);
    assert_eq!(final_slots(&net), [(16, 8), (20, 12)][..].to_vec());
    assert_eq!(net.head(0), *blocks.last().expect("21 blocks"));
}

#[test]
fn less_than_two_thirds_of_the_votes_make_nothing_final() {
    let config = watched();
    let mut net = quiet(&config, 0);
    chain(&mut net, &config, GENESIS, 1..40, &[1, 2]);
    assert!(net.commits(0).is_empty());
    // Three of four are enough, but only with the votes of the epoch's last slot, which come in the next:
    // the first rule, three epochs after.
    let mut net = quiet(&config, 0);
    chain(&mut net, &config, GENESIS, 1..40, &[1, 2, 3]);
    let slots = [(20, 4), (24, 8), (28, 12), (32, 16), (36, 20)];
    assert_eq!(final_slots(&net), slots[..].to_vec());
}

/// Votes that a chain carries twice count once; votes for another target count for none.
#[test]
fn a_vote_counts_once_for_its_own_target() {
    let config = watched();
    let mut net = quiet(&config, 0);
    let mut at = GENESIS;
    for slot in 1..40_u32 {
        to_slot(&mut net, slot);
        // Two nodes' votes of the slot before, and once more those of the slot before that.
        let mut carried: Vec<Carried> = vec![(1, slot - 1, at), (2, slot - 1, at)];
        if let Some(below) = net.blocks.get(at).parent {
            carried.extend([(1, slot - 2, below), (2, slot - 2, below)]);
        }
        at = grow(&mut net, &config, at, slot, &carried);
    }
    assert!(net.commits(0).is_empty());
    // All vote, but for a block beside the chain in each epoch.
    let mut net = quiet(&config, 0);
    let mut at = GENESIS;
    let mut beside = GENESIS;
    for slot in 1..40_u32 {
        to_slot(&mut net, slot);
        if slot % 4 == 0 {
            beside = grow(&mut net, &config, at, slot, &[]);
            continue;
        }
        let carried: Vec<Carried> = (1..5).map(|w| (w, slot - 1, beside)).collect();
        let carried = if slot > 4 { carried } else { Vec::new() };
        at = grow(&mut net, &config, at, slot, &carried);
    }
    assert!(net.commits(0).is_empty());
}

/// source: consensus-specs: 22 slots of 32 are two thirds, 21 are not.
#[test]
fn twenty_two_slots_of_votes_justify() {
    let config = Config {
        slots_per_epoch: 32,
        stakes: vec![0, 3_200, 3_200, 3_200, 3_200],
        ..watched()
    };
    let run = |slots: u32| {
        let mut net = quiet(&config, 0);
        let mut at = GENESIS;
        for slot in 1..=160_u32 {
            to_slot(&mut net, slot);
            let carried: Vec<Carried> = if (slot - 1) % 32 < slots {
                (1..5).map(|w| (w, slot - 1, at)).collect()
            } else {
                Vec::new()
            };
            at = grow(&mut net, &config, at, slot, &carried);
        }
        net.commits(0).len()
    };
    assert_eq!((run(21), run(22)), (0, 2));
}

/// A branch whose blocks do not know what is justified cannot be the head from two epochs on, however
/// many vote for it; what an epoch would have justified counts as soon as it is over, without a block.
#[test]
fn a_branch_that_does_not_know_what_is_justified_is_not_viable() {
    let config = watched();
    let mut net = quiet(&config, 0);
    // Nothing is justified up to slot 8, the checkpoint of epoch 2.
    let trunk = chain(&mut net, &config, GENESIS, 1..9, &[]);
    let base = trunk[7];
    // One branch carries the votes of epoch 2, the other none.
    let mut own = base;
    for slot in 9..12 {
        to_slot(&mut net, slot);
        let carried: Vec<Carried> = (1..5).map(|w| (w, slot - 1, own)).collect();
        own = grow(&mut net, &config, own, slot, &carried);
    }
    let rival = grow(&mut net, &config, base, 10, &[]);
    for from in 1..5 {
        cast(&mut net, from, vote(&config, 11, rival, base));
    }
    assert_eq!(net.head(0), own);
    to_slot(&mut net, 12);
    // 3,000 keys on one side and 1,000 on the other: make it the heavier one in epoch 3.
    assert_eq!(net.head(0), own);
    for slot in 12..15 {
        to_slot(&mut net, slot);
        for from in 1..5 {
            cast(&mut net, from, vote(&config, slot, rival, rival));
        }
    }
    to_slot(&mut net, 16);
    assert_eq!(net.head(0), own, "the rival still has nothing justified");
    // The same votes where nothing is justified: the rival wins.
    let mut net = quiet(&config, 0);
    let trunk = chain(&mut net, &config, GENESIS, 1..9, &[]);
    let base = trunk[7];
    let own = chain(&mut net, &config, base, 9..12, &[]);
    let rival = grow(&mut net, &config, base, 10, &[]);
    for slot in 12..15 {
        to_slot(&mut net, slot);
        for from in 1..5 {
            cast(&mut net, from, vote(&config, slot, rival, rival));
        }
    }
    to_slot(&mut net, 16);
    assert_eq!(net.head(0), rival);
    assert_ne!(own[2], rival);
}

/// What does not descend from what is final is forgotten, whatever is built on it.
#[test]
fn a_branch_beside_what_is_final_is_refused() {
    let config = watched();
    let mut net = quiet(&config, 0);
    let blocks = chain(&mut net, &config, GENESIS, 1..18, &[1, 2, 3, 4]);
    assert_eq!(final_slots(&net), [(16, 8)][..].to_vec());
    let beside = grow(&mut net, &config, blocks[1], 17, &[]);
    for from in 1..5 {
        cast(&mut net, from, vote(&config, 17, beside, beside));
    }
    to_slot(&mut net, 18);
    let above = grow(&mut net, &config, beside, 18, &[]);
    to_slot(&mut net, 19);
    assert_eq!(net.head(0), blocks[16]);
    assert_ne!(net.head(0), above);
}

// Late heads.

/// A parent, a late head, and node 0, which has a few keys and leads `slot`.
struct Late {
    config: Config,
    slot: u32,
    /// When the head comes, after the start of its slot, ms.
    head_ms: u64,
    /// Who votes for the parent in its slot, and in the head's.
    parents: [&'static [u32]; 2],
    /// Who votes for the head, in its slot.
    heads: &'static [u32],
    /// Slots between parent and head, and between head and the slot that is led.
    gaps: [u32; 2],
    /// Whether the head's proposer makes another.
    twice: bool,
    /// When node 0 learns that its slot has begun, ms.
    wake_ms: u64,
}

const EVERYBODY: &[u32] = &[1, 2, 3, 4];

/// Late enough, weak enough, and all else as it must be.
fn late(slots_per_epoch: u32, led: impl Fn(u32) -> bool) -> Option<Late> {
    let config = Config {
        slots_per_epoch,
        stakes: vec![6_000, 16_000, 16_000, 16_000, 16_000],
        ..private()
    };
    let seed = |slot| Header::GENESIS.seed(slot / slots_per_epoch, slots_per_epoch);
    let leads = |slot: &u32| stakes(&config).proposer(*slot, seed(*slot)) == node(0);
    // The randomness of the first two epochs is the same on every chain.
    let alone = |slot: &u32| leads(slot) && !(slot - 4..*slot).any(|before| leads(&before));
    let slot = (5..2 * slots_per_epoch)
        .filter(alone)
        .find(|slot| led(*slot))?;
    Some(Late {
        config,
        slot,
        head_ms: 5_000,
        parents: [EVERYBODY; 2],
        heads: &[],
        gaps: [1, 1],
        twice: false,
        wake_ms: 0,
    })
}

/// In the middle of the first epoch.
fn in_epoch() -> Late {
    late(32, |slot| slot < 30).expect("it leads some slot")
}

impl Late {
    /// Whether node 0 builds on the head's parent.
    fn drops(&self) -> bool {
        let config = &self.config;
        let head_slot = self.slot - self.gaps[1];
        let parent_slot = head_slot - self.gaps[0];
        let mut net = quiet(config, parent_slot);
        // It may have led slots before.
        let base = net.head(0);
        let parent = grow(&mut net, config, base, parent_slot, &[]);
        let epoch = parent_slot / config.slots_per_epoch;
        let mut target = base;
        while net.blocks.get(target).header.slot > epoch * config.slots_per_epoch {
            target = net
                .blocks
                .get(target)
                .parent
                .expect("the first block is of slot 0");
        }
        for &from in self.parents[0] {
            cast(&mut net, from, vote(config, parent_slot, parent, target));
        }
        to_ms(&mut net, head_slot, self.head_ms);
        let head = grow(&mut net, config, parent, head_slot, &[]);
        if self.twice {
            let _ = grow(&mut net, config, base, head_slot, &[]);
        }
        for &from in self.parents[1] {
            cast(&mut net, from, vote(config, head_slot, parent, target));
        }
        for &from in self.heads {
            cast(&mut net, from, vote(config, head_slot, head, target));
        }
        to_ms(&mut net, self.slot - 1, 11_999);
        assert_eq!(net.head(0), head);
        net.crash(&[0]);
        to_ms(&mut net, self.slot, self.wake_ms);
        let begin = Timer {
            slot: self.slot,
            duty: Duty::Begin,
        };
        net.give(node(0), Input::Timer(begin));
        let built = net.notes.iter().rev().find_map(|(at, _, note)| match note {
            Note::Build(parent, _) if *at == net.now => Some(*parent),
            _ => None,
        });
        let built = built.expect("it leads the slot");
        assert!(built == head || built == parent);
        built == parent
    }
}

#[test]
fn a_late_weak_head_is_dropped_if_all_conditions_hold() {
    assert!(in_epoch().drops());
    // In time.
    let head_ms = 3_900;
    assert!(
        !Late {
            head_ms,
            ..in_epoch()
        }
        .drops()
    );
    // Node 0's clock shows that it is too late itself: after 2,000.4 ms.
    for (wake_ms, drops) in [(2_000, true), (2_001, false)] {
        assert_eq!(
            Late {
                wake_ms,
                ..in_epoch()
            }
            .drops(),
            drops,
            "{wake_ms} ms"
        );
    }
    // Not two slots in a row.
    for gaps in [[2, 1], [1, 2], [2, 2]] {
        assert!(!Late { gaps, ..in_epoch() }.drops(), "{gaps:?}");
    }
    // The parent weighs two thirds of two slots, less than 160 % of one.
    let parents = [&EVERYBODY[..3], &EVERYBODY[..2]];
    assert!(
        !Late {
            parents,
            ..in_epoch()
        }
        .drops()
    );
    // The head weighs a quarter of a slot, more than 20 %.
    let parents = [EVERYBODY, &EVERYBODY[..3]];
    assert!(
        Late {
            parents,
            ..in_epoch()
        }
        .drops()
    );
    let heads = &EVERYBODY[3..];
    assert!(
        !Late {
            parents,
            heads,
            ..in_epoch()
        }
        .drops()
    );
}

#[test]
fn the_first_slot_of_an_epoch_drops_no_head() {
    let first = (6..60).find_map(|slots| late(slots, |slot| slot == slots));
    assert!(!first.expect("it leads one").drops());
}

/// The last finality is the first block's, one epoch ago.
#[test]
fn an_old_finality_drops_no_head() {
    let run = |most| {
        let mut late = late(20, |slot| slot > 24).expect("it leads a slot of the second epoch");
        late.config.reorg_max_epochs = most;
        late.drops()
    };
    assert!(run(1) && !run(0));
}

/// A late head that would justify what its parent would not is kept.
#[test]
fn a_head_that_justifies_more_is_not_dropped() {
    let with = |own: u32| Config {
        slots_per_epoch: 8,
        stakes: vec![own, 16_000, 16_000, 16_000, 16_000],
        ..private()
    };
    // Every block of a test's chain makes known randomness, and which slots of epoch 0 have none draws
    // epoch 2: one is looked for in which node 0 leads the last slot, and none before.
    let has = |without: u32, slot: u32| slot > 7 || without >> slot & 1 == 0;
    let fits = |config: &Config, without: u32| {
        let slots = (1..8).filter(|slot| has(without, *slot));
        let mix = slots.fold(Header::GENESIS.mix, |mix, slot| {
            hash::fold(mix, u64::from(slot))
        });
        let seeds = [Header::GENESIS.seeds[0], Header::GENESIS.seeds[1], mix];
        let keys = stakes(config);
        let leads = |slot: u32| keys.proposer(slot, seeds[slot as usize / 8]) == node(0);
        leads(23) && !(1..23).any(leads)
    };
    let mut found = (1..12).flat_map(|own| (0..128).map(move |without| (500 * own, without * 2)));
    let found = found.find(|(own, without)| fits(&with(*own), *without));
    let (own, without) = found.expect("there is one");
    let config = with(own);
    for justifies in [false, true] {
        let mut net = quiet(&config, 0);
        let (mut parent, mut target) = (GENESIS, GENESIS);
        for slot in (1..22).filter(|slot| has(without, *slot)) {
            parent = chain(&mut net, &config, parent, slot..slot + 1, EVERYBODY)[0];
            target = if slot <= 16 { parent } else { target };
        }
        let vote = |slot: u32| Vote {
            slot,
            head: parent,
            source: checkpoint(0, GENESIS),
            target: checkpoint(2, target),
        };
        // Five slots' votes are in the chain, of 5.3 that are needed; the head may bring a sixth.
        for &from in EVERYBODY {
            cast(&mut net, from, vote(21));
        }
        to_ms(&mut net, 22, 5_000);
        let carried = [1, 2, 3, 4].map(|from| (from, 21, parent));
        let carried = if justifies { &carried[..] } else { &[] };
        let head = grow(&mut net, &config, parent, 22, carried);
        for &from in EVERYBODY {
            cast(&mut net, from, vote(22));
        }
        to_slot(&mut net, 23);
        let built = net.notes.iter().rev().find_map(|(_, _, note)| match note {
            Note::Build(below, _) => Some(*below),
            _ => None,
        });
        let kept = if justifies { head } else { parent };
        assert_eq!(built, Some(kept), "the head justifies more: {justifies}");
    }
}

/// Whose proposer made two blocks of the slot before is dropped even if it came in time and the parent is
/// weak, but not if it has votes.
#[test]
fn a_head_whose_proposer_made_two_is_dropped() {
    let twice = |parents, heads, head_ms, gaps| {
        let twice = true;
        Late {
            head_ms,
            parents,
            heads,
            gaps,
            twice,
            ..in_epoch()
        }
        .drops()
    };
    assert!(twice([&EVERYBODY[..1], &[]], &[], 1_000, [1, 1]));
    assert!(twice([&EVERYBODY[..1], &[]], &[], 1_000, [2, 1]));
    assert!(!twice(
        [&EVERYBODY[..1], &[]],
        &EVERYBODY[1..2],
        1_000,
        [1, 1]
    ));
    assert!(!twice([&EVERYBODY[..1], &[]], &[], 1_000, [1, 2]));
}

// Who lies.

#[test]
fn two_votes_of_one_slot_are_evidence_and_count_no_more() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let log = listen(&mut net);
    let [loser, winner] = rivals(&mut net, &config, [1, 2]);
    cast(&mut net, 1, vote(&config, 2, loser, GENESIS));
    to_slot(&mut net, 4);
    assert_eq!(net.head(0), loser);
    // The same again is no lie.
    cast(&mut net, 1, vote(&config, 2, loser, GENESIS));
    assert_eq!(evidence(&net, 1), 0);
    cast(&mut net, 1, vote(&config, 2, winner, GENESIS));
    assert_eq!(evidence(&net, 1), 1);
    // All are told, once.
    cast(&mut net, 1, vote(&config, 2, winner, GENESIS));
    let told = log
        .borrow()
        .iter()
        .filter(|l| l.2 == Sent::Slashing(node(1)))
        .count();
    assert_eq!((told, evidence(&net, 1)), (4, 1));
    to_slot(&mut net, 5);
    assert_eq!(net.head(0), winner, "neither vote counts");
    // These keys never count again, others of the same node do.
    for slot in 5..8 {
        to_slot(&mut net, slot);
        cast(&mut net, 1, vote(&config, slot, loser, loser));
    }
    to_slot(&mut net, 8);
    assert_eq!(net.head(0), loser);
}

#[test]
fn who_is_told_of_two_votes_checks_them() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let [loser, winner] = rivals(&mut net, &config, [1, 2]);
    let first = vote(&config, 2, loser, GENESIS);
    cast(&mut net, 1, first);
    let told = |net: &mut Net, second| {
        let message = Message::Slashing {
            against: node(1),
            votes: [first, second],
        };
        net.deliver(4, 0, message);
    };
    told(&mut net, first);
    told(&mut net, vote(&config, 1, loser, GENESIS));
    to_slot(&mut net, 4);
    assert_eq!((net.head(0), evidence(&net, 1)), (loser, 0));
    told(&mut net, vote(&config, 2, winner, GENESIS));
    to_slot(&mut net, 5);
    assert_eq!((net.head(0), evidence(&net, 1)), (winner, 1));
}

#[test]
fn a_vote_around_an_earlier_one_is_evidence() {
    let config = watched();
    let mut net = quiet(&config, 0);
    let blocks = chain(&mut net, &config, GENESIS, 1..14, &[1, 2, 3, 4]);
    let head = *blocks.last().expect("13 blocks");
    let at = |slot: u32| blocks[slot as usize - 1];
    // Justified by now are the checkpoints of epochs 1 and 2, blocks 4 and 8.
    let around = |slot, source: u32| Vote {
        slot,
        head,
        source: checkpoint(source, at(4 * source)),
        target: checkpoint(3, at(12)),
    };
    assert_eq!(evidence(&net, 1), 0);
    // Votes of epoch 2, which node 0 knows from blocks, have the source 0 or 1.
    cast(&mut net, 1, around(13, 1));
    assert_eq!(evidence(&net, 1), 0);
    let mut lie = around(12, 1);
    (lie.head, lie.source) = (at(12), checkpoint(0, GENESIS));
    to_slot(&mut net, 14);
    cast(&mut net, 2, lie);
    let sources = "an epoch-3 vote with source 0 around epoch-2 votes with source 1";
    assert_eq!(evidence(&net, 2), 1, "{sources}");
}

#[test]
fn two_blocks_of_one_proposer_and_slot_are_evidence() {
    let config = watched();
    let mut net = quiet(&config, 3);
    let first = grow(&mut net, &config, GENESIS, 2, &[]);
    let leader = net.blocks.get(first).key.creator;
    let other = grow(&mut net, &config, GENESIS, 1, &[]);
    let more = usize::from(net.blocks.get(other).key.creator == leader);
    assert_eq!((more, evidence(&net, leader.get())).1, 0);
    let _ = grow(&mut net, &config, other, 2, &[]);
    assert_eq!(evidence(&net, leader.get()), 1);
}

// Faults.

/// No two nodes committed different blocks of one slot, and each committed a chain.
fn assert_one_chain(net: &Net) {
    let mut decided: Vec<BlockId> = Vec::new();
    for i in net.nodes() {
        for (_, block) in net.commits(i.get()) {
            decided.push(block);
        }
    }
    decided.sort_by_key(|block| net.blocks.get(*block).height);
    for pair in decided.windows(2) {
        assert!(
            net.blocks.extends(pair[1], pair[0]),
            "{} and {}",
            pair[0],
            pair[1]
        );
    }
}

/// Twelve organisations with short epochs.
fn dozen(slots_per_epoch: u32) -> Net {
    let config = Config {
        slots_per_epoch,
        ..private()
    };
    World::new(&config, 12, Span::from_ms(100), 1)
}

#[test]
fn four_of_twelve_may_be_down_and_five_may_not() {
    for (down, finals) in [(&[0, 1, 2, 3][..], true), (&[0, 1, 2, 3, 4], false)] {
        let mut net = dozen(8);
        net.crash(down);
        net.start();
        to_slot(&mut net, 8 * 12);
        assert_eq!(!net.commits(11).is_empty(), finals);
        assert!(net.height(11) > 40, "blocks go on");
        for &i in down {
            net.restart(i);
        }
        to_ms(&mut net, 8 * 17, 6_000);
        assert!(
            (0..12).all(|i| net.commits(i).len() >= 2),
            "it goes on with all of them"
        );
        assert!((0..12).all(|i| net.head(i) == net.head(11)));
        assert_one_chain(&net);
    }
}

#[test]
fn a_restarted_node_asks_for_the_chain_and_takes_part_again() {
    let mut net = dozen(8);
    net.start();
    to_slot(&mut net, 20);
    net.crash(&[3]);
    to_ms(&mut net, 45, 7_000);
    let (height, finals) = (net.height(3), net.commits(3).len());
    assert!(net.height(0) > height + 20);
    net.restart(3);
    assert_eq!(net.count_notes(3, |n| *n == Note::Sync(node(4))), 1);
    to_ms(&mut net, 45, 7_300);
    assert_eq!(net.head(3), net.head(0), "one round trip later");
    assert!(net.commits(3).len() > finals);
    let led = net.count_notes(3, |n| matches!(n, Note::Build(..)));
    to_slot(&mut net, 100);
    assert!(net.count_notes(3, |n| matches!(n, Note::Build(..))) > led);
    let slots: Vec<u32> = (1..=net.blocks.last().get())
        .map(|b| net.blocks.get(BlockId::new(b)))
        .filter(|b| b.key.creator == node(3))
        .map(|b| b.header.slot)
        .collect();
    assert!(
        slots.windows(2).all(|w| w[0] < w[1]),
        "never two of a slot: {slots:?}"
    );
    assert!((0..12).all(|i| evidence(&net, i) == 0));
}

#[test]
fn halves_finalise_nothing_and_agree_after_healing() {
    let mut net = dozen(8);
    net.start();
    to_slot(&mut net, 42);
    let before = net.commits(0).len();
    assert!(before > 0);
    net.partition(&[0, 1, 2, 3, 4, 5]);
    to_slot(&mut net, 102);
    assert_ne!(net.head(0), net.head(6));
    // What was on its way may still become final.
    assert!((0..12).all(|i| net.commits(i).len() <= before + 2));
    net.partition(&[]);
    to_ms(&mut net, 160, 6_000);
    assert!((0..12).all(|i| net.head(i) == net.head(0)));
    assert!((0..12).all(|i| net.commits(i).len() >= before + 3));
    assert_one_chain(&net);
    assert!(
        (0..12).all(|i| evidence(&net, i) == 0),
        "nobody voted around himself"
    );
}

/// Crashes, losses, reordering and partitions, drawn; safety always, progress after they end.
#[test]
fn safety_and_progress_under_drawn_faults() {
    for seed in 0..12 {
        let config = Config {
            slots_per_epoch: 4 + seed as u32 % 5,
            all_subnets: seed % 2 == 0,
            ..private()
        };
        let mut net: Net = World::new(&config, 7, Span::from_ms(200), seed);
        let mut dice = Seed::new(seed, 0).stream("faults", 0);
        net.reorder(Span::from_ms(3_000), Seed::new(seed, 0).stream("jitter", 0));
        let mut loss = Seed::new(seed, 0).stream("loss", 0);
        net.lose(move |packet| packet.sent < at_ms(1_200_000) && loss.chance(0.1));
        net.start();
        for step in 1..100 {
            net.run_until(at_ms(12_000 * step + 1_000));
            let who = dice.below(7) as u32;
            match dice.below(4) {
                0 if !net.is_down(who) => net.crash(&[who]),
                1 if net.is_down(who) => net.restart(who),
                2 => net.partition(&[who, (who + 3) % 7, (who + 4) % 7]),
                _ => net.partition(&[]),
            }
        }
        net.partition(&[]);
        for i in 0..7 {
            if net.is_down(i) {
                net.restart(i);
            }
        }
        let before = net.commits(0).len();
        net.run_until(at_ms(2_400_000));
        assert_one_chain(&net);
        assert!((0..7).all(|i| net.commits(i).len() > before), "seed {seed}");
        assert!((0..7).all(|i| evidence(&net, i) == 0), "seed {seed}");
    }
}

// What is promised.

#[test]
fn what_is_promised_follows_the_keys() {
    let promises = |stakes: &[u32], nodes| {
        let config = Config {
            stakes: stakes.to_vec(),
            ..private()
        };
        assert_eq!(Gasper::validate(&config, nodes), Ok(()));
        let p = Gasper::promises(&config, nodes);
        (p.byzantine, p.crashed, p.quorum)
    };
    assert_eq!(promises(&[], 12), (3, 4, 8));
    assert_eq!(promises(&[], 13), (4, 4, 9));
    assert_eq!(promises(&[300, 100, 100, 100], 4), (0, 0, 2));
    assert_eq!(promises(&[100, 100, 100], 9), (0, 1, 2));
    let adversary = |share| Adversary {
        share,
        risk: 1e-6,
        safe_risk: 1e-3,
        delay: Span::ZERO,
    };
    let config = Config::default();
    assert_eq!(
        Gasper::finality(&config, &adversary(0.3)),
        Ok(Finality::Commit)
    );
    assert!(Gasper::finality(&config, &adversary(1.0 / 3.0)).is_err());
}

/// By hand: at a quarter, one held slot makes up for one slot of votes (0.25·2 + 0.4 > 0.75), three for
/// two (0.25·5 + 0.4 > 1.5), five for three and so on.
#[test]
fn the_risk_falls_with_the_wait_and_ends_with_finality() {
    let risk = |corrupt, slots: u64| {
        let wait = Wait {
            waited: Span::from_s(12) * slots,
            delay: Span::ZERO,
        };
        Gasper::reversal_risk(&Config::default(), 12, corrupt, &wait)
    };
    let c: f64 = 0.25;
    let by_hand = c * [1.0, 3.0, 5.0, 7.0, 9.0]
        .map(|held| math::pow(c, held))
        .iter()
        .sum::<f64>();
    assert!((risk(3, 0) - by_hand).abs() < 1e-6);
    assert!(risk(3, 1) > risk(3, 2) && risk(3, 2) > risk(3, 20) && risk(3, 20) > 0.0);
    assert!(risk(2, 1) < risk(3, 1) && risk(0, 0) < f64::MIN_POSITIVE);
    // The first slot's block is final after 64 slots, the last one's, of the second slot, after 95.
    let ratio = risk(3, 64) / (31.0 / 32.0);
    assert!(ratio > 0.0 && risk(3, 94) > 0.0 && risk(3, 95) < f64::MIN_POSITIVE);
    assert!((risk(4, 1_000) - 1.0).abs() < 1e-12);
}

#[test]
fn mistakes_are_refused() {
    let key = |config: Config| Gasper::validate(&config, 4).expect_err("it is wrong").key;
    let good = private();
    assert_eq!(
        key(Config {
            slot_ms: 0,
            ..good.clone()
        }),
        "slot_ms"
    );
    assert_eq!(
        key(Config {
            aggregate_bps: 3_000,
            ..good.clone()
        }),
        "aggregate_bps"
    );
    assert_eq!(
        key(Config {
            attest_bps: 10_001,
            ..good.clone()
        }),
        "attest_bps"
    );
    assert_eq!(
        key(Config {
            slots_per_epoch: 0,
            ..good.clone()
        }),
        "slots_per_epoch"
    );
    assert_eq!(
        key(Config {
            validators: 7,
            ..good.clone()
        }),
        "validators"
    );
    assert_eq!(
        key(Config {
            stakes: vec![9; 5],
            ..good.clone()
        }),
        "stakes"
    );
    assert_eq!(
        key(Config {
            stakes: vec![4_194_305],
            ..good.clone()
        }),
        "stakes"
    );
    assert_eq!(
        key(Config {
            relay: RelayRule::Push,
            max_attestations: 0,
            ..good
        }),
        "max_attestations"
    );
}
