//! The most-work chain, rule by rule, and the laws of its intervals.

use crate::driver::{Load, Note, World, at_ms, node};
use quorate_consensus::Presets;
use quorate_consensus::nakamoto::{Config, Header, Nakamoto, Refresh, RelayRule, RetargetRule};
use quorate_core::{
    Adversary, Ballot, Block, BlockId, BlockKey, Blocks, Committee, Context, Costs, Effect, Engine,
    Finality, Input, NodeId, Outbox, Seed, Services, Span, Time,
};

type Net = World<Nakamoto>;
const GENESIS: BlockId = Blocks::<Header>::GENESIS;
const UNIT: u64 = 1 << 32;

fn config() -> Config {
    Config {
        retarget_blocks: 0,
        template_refresh_s: Refresh::AtFind,
        relay: RelayRule::Push,
        ..Config::default()
    }
}

/// A world in which node 0 mines so rarely that only forged blocks matter.
fn quiet() -> Net {
    let rare = Config {
        block_interval_s: 1e6,
        miners: 1,
        ..config()
    };
    let mut net = World::new(&rare, 3, Span::from_ms(100), 0);
    net.start();
    net
}

fn forge(net: &mut Net, creator: u32, parent: BlockId) -> BlockId {
    let below = *net.blocks.get(parent);
    let header = Header {
        difficulty: UNIT,
        work: below.header.work + u128::from(UNIT),
        period_start: Time::ZERO,
    };
    net.forge(creator, parent, header)
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

/// One miner without a network: what it does between two blocks, at full speed and in a bounded
/// arena.
struct Solo {
    miner: Nakamoto,
    blocks: Blocks<Header>,
    committee: Committee,
    draws: quorate_core::Draws,
    out: Outbox<Nakamoto>,
    now: Time,
    next: Option<(Time, Input<Nakamoto>)>,
}

struct Nothing;
impl Services for Nothing {
    fn reached(&self, _: NodeId, _: Ballot) -> bool {
        false
    }
    fn holds(&self, _: NodeId, _: BlockId) -> bool {
        true
    }
}

impl Solo {
    fn new(config: &Config, seed: u64) -> Self {
        let committee = Nakamoto::committee(config, 1);
        Self {
            miner: Nakamoto::new(config, node(0), &committee),
            blocks: Blocks::new(Nakamoto::genesis(config)),
            committee,
            draws: Seed::new(seed, 0).stream("mining", 0),
            out: Outbox::new(),
            now: Time::ZERO,
            next: Some((Time::ZERO, Input::Start)),
        }
    }

    /// The next block.
    fn mine(&mut self) -> Block<Header> {
        let before = self.blocks.last();
        while self.blocks.last() == before {
            let (time, input) = self.next.take().expect("a miner always has a timer");
            self.now = time;
            self.give(input);
        }
        self.blocks.retire_before(before);
        *self.blocks.get(self.blocks.last())
    }

    fn give(&mut self, input: Input<Nakamoto>) {
        let context = Context {
            clock: self.now,
            me: node(0),
            nodes: 1,
            committee: &self.committee,
            blocks: &self.blocks,
            costs: &Costs::FREE,
            services: &Nothing,
        };
        self.miner
            .handle(&context, &mut self.draws, input, &mut self.out);
        let mut effects = self.out.take();
        let mut built = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::SetTimer { at, timer } => self.next = Some((at, Input::Timer(timer))),
                Effect::BuildBlock { parent, header, .. } => built = Some((parent, header)),
                _ => {}
            }
        }
        self.out.recycle(effects);
        if let Some((parent, header)) = built {
            let height = self.blocks.get(parent).height + 1;
            let block = self.blocks.push(Block {
                key: BlockKey {
                    creator: node(0),
                    sequence: height,
                },
                parent: Some(parent),
                height,
                timestamp: self.now,
                header,
                bytes: 0,
                txs: 0,
                exec: Span::ZERO,
            });
            self.give(Input::BlockBuilt(block));
        }
    }
}

// Mining.

/// 100,000 intervals at fixed difficulty: mean, median, a tail and the coefficient of variation of
/// the exponential law, each within four standard deviations.
#[test]
fn intervals_are_exponential() {
    let mut solo = Solo::new(&config(), 1);
    let mut gaps = Vec::new();
    let mut last = 0.0;
    for _ in 0..100_000 {
        let at = solo.mine().timestamp.as_s();
        gaps.push(at - last);
        last = at;
    }
    let n = gaps.len() as f64;
    let mean = last / n;
    let variance = gaps.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / n;
    let over = gaps.iter().filter(|g| **g > 1_800.0).count() as f64 / n;
    gaps.sort_by(f64::total_cmp);
    for (what, got, low, high) in [
        ("mean", mean, 592.411, 607.589),
        ("median", gaps[50_000], 408.299, 423.478),
        ("over half an hour", over, 0.047_035_8, 0.052_538_3),
        (
            "coefficient of variation",
            variance.sqrt() / mean,
            0.987,
            1.013,
        ),
    ] {
        assert!((low..=high).contains(&got), "{what}: {got}");
    }
}

/// The timespan covers 2,015 gaps, so that the steady mean is `1,209,600 s / 2,014`. The mean of a
/// period has a standard deviation of 13.386 s; four of them over 600 periods are 2.19 s.
#[test]
fn the_steady_interval_under_retargeting_is_600_596_s() {
    let retargeting = Config {
        retarget_blocks: 2_016,
        ..config()
    };
    let mut solo = Solo::new(&retargeting, 7);
    let mut period = || {
        let mut difficulties = std::collections::BTreeSet::new();
        let mut last = Time::ZERO;
        for _ in 0..2_016 {
            let block = solo.mine();
            difficulties.insert(block.header.difficulty);
            last = block.timestamp;
        }
        (last, difficulties)
    };
    // Heights 1 to 2,016: the last is the first of the next period.
    let (start, _) = period();
    let mut end = start;
    for _ in 0..600 {
        let (last, difficulties) = period();
        end = last;
        assert_eq!(difficulties.len(), 2, "one change a period");
    }
    let mean = end.since(start).as_s() / (600.0 * 2_016.0);
    assert!((mean - 600.596).abs() < 2.19, "{mean}");
}

/// The time that is left is scaled when the difficulty changes, and only then.
#[test]
fn a_new_difficulty_rescales_the_search() {
    let found = |retarget_blocks, forged: u32| {
        let config = Config {
            retarget_blocks,
            miners: 1,
            ..config()
        };
        let mut net: Net = World::new(&config, 2, Span::from_ms(1), 3);
        net.start();
        net.run_until(at_ms(10));
        let mut head = GENESIS;
        for _ in 0..forged {
            head = forge(&mut net, 1, head);
            receive(&mut net, 0, head, 1);
        }
        net.run_until(at_ms(100_000_000));
        let build = |n: &&(Time, NodeId, Note)| matches!(n.2, Note::Build(..));
        net.notes.iter().find(build).expect("a block in a day").0
    };
    let plain = found(0, 0);
    assert_eq!(found(0, 3), plain, "a new head alone draws nothing anew");
    assert_eq!(found(4, 2), plain, "the fourth block is two blocks away");
    // Three blocks at once: the next difficulty is four times the old.
    let left = plain.since(at_ms(10));
    assert_eq!(found(4, 3), at_ms(10) + left * 4);
}

#[test]
fn transactions_are_those_of_the_template() {
    let as_of = |refresh| {
        let config = Config {
            template_refresh_s: refresh,
            ..config()
        };
        let mut net: Net = World::new(&config, 1, Span::ZERO, 5);
        net.start();
        net.run_until(at_ms(10_000_000));
        let builds = net.notes.iter().filter_map(|n| match n.2 {
            Note::Build(_, as_of) => Some((n.0, as_of)),
            _ => None,
        });
        builds.collect::<Vec<_>>()
    };
    let found = as_of(Refresh::AtFind);
    assert!(found.len() > 5 && found.iter().all(|b| b.1.is_none()));
    let never = as_of(Refresh::Never);
    assert_eq!(never[0].1, Some(Time::ZERO));
    for (old, new) in never.iter().zip(&never[1..]) {
        assert_eq!(new.1, Some(old.0), "the template dates from the last block");
    }
    let every = as_of(Refresh::Every(Span::from_s(30)));
    assert!(
        every
            .iter()
            .all(|b| b.0.since(b.1.unwrap()) < Span::from_s(30))
    );
}

#[test]
fn who_has_no_share_does_not_mine_and_a_restarted_miner_does() {
    let config = Config {
        hash_shares: vec![3.0, 1.0],
        ..config()
    };
    let mut net: Net = World::new(&config, 3, Span::ZERO, 11);
    net.start();
    net.run_until(at_ms(400_000_000));
    let by = |net: &Net, i| net.count_notes(i, |n| matches!(n, Note::Build(..)));
    let (big, small) = (by(&net, 0), by(&net, 1));
    // Binomial with p = 3/4: four standard deviations over the 667 blocks expected.
    assert!(
        (big as f64 / (big + small) as f64 - 0.75).abs() < 0.07,
        "{big} to {small}"
    );
    assert_eq!(by(&net, 2), 0);
    net.crash(&[0]);
    net.run_until(at_ms(410_000_000));
    assert_eq!(by(&net, 0), big);
    net.restart(0);
    net.run_until(at_ms(420_000_000));
    assert!(by(&net, 0) > big);
    assert_eq!(net.height(0), net.height(1));
}

// The chain.

#[test]
fn the_first_of_equal_chains_stays_and_a_heavier_one_wins() {
    let mut net = quiet();
    let a = forge(&mut net, 1, GENESIS);
    let b = forge(&mut net, 2, GENESIS);
    receive(&mut net, 0, b, 2);
    receive(&mut net, 0, a, 1);
    assert_eq!(net.head(0), b);
    let c = forge(&mut net, 1, a);
    receive(&mut net, 0, c, 1);
    assert_eq!(net.head(0), c);
    assert_eq!(net.count_notes(0, |n| matches!(n, Note::Adopt(_))), 2);
}

/// Only what becomes the head is announced, and once.
#[test]
fn losers_are_not_relayed() {
    let mut net = quiet();
    let a = forge(&mut net, 1, GENESIS);
    let b = forge(&mut net, 2, GENESIS);
    receive(&mut net, 0, b, 2);
    receive(&mut net, 0, a, 1);
    net.run_until(at_ms(1_000));
    // Node 1 holds its own block but was never given it; b reached it through node 0.
    assert_eq!((net.head(1), net.head(2)), (b, GENESIS));
    assert_eq!(net.count_notes(1, |n| *n == Note::Adopt(a)), 0);
}

/// Everybody has a block one delay after it was found. Under `direct` its finder alone has sent it,
/// under `push` everybody has.
#[test]
fn direct_relay_is_the_finder_s_alone() {
    for relay in [RelayRule::Direct, RelayRule::Push] {
        let mut net: Net = World::new(&Config { relay, ..config() }, 5, Span::from_ms(100), 19);
        net.start();
        net.run_until(at_ms(30_000_000));
        let found = net.blocks.last().get();
        assert!(
            found > 20 && net.height(0) == found,
            "{found} blocks, no fork"
        );
        for block in (1..=found).map(BlockId::new) {
            let built = *net.blocks.get(block);
            for i in net.nodes() {
                let late = if i == built.key.creator { 0 } else { 100 };
                let adopted = (built.timestamp + Span::from_ms(late), i, Note::Adopt(block));
                assert!(
                    net.notes.contains(&adopted),
                    "{i} has {block} later or never"
                );
                let sends = relay == RelayRule::Push || i == built.key.creator;
                let sent = net.count_notes(i.get(), |n| *n == Note::Relay(block));
                assert_eq!(sent, usize::from(sends), "{i} relays {block}");
            }
        }
    }
}

/// With a constant delay it makes no difference to the chain who else relays, forks included.
#[test]
fn direct_relay_is_push_without_the_copies() {
    let run = |relay| {
        let mut net: Net = World::new(&Config { relay, ..config() }, 8, Span::from_s(60), 23);
        net.start();
        net.run_until(Time::ZERO + Span::from_s(600 * 2_000));
        net.notes
            .retain(|n| matches!(n.2, Note::Adopt(_) | Note::Build(..)));
        (net.blocks.last().get() - net.height(0), net.notes)
    };
    let (direct, push) = (run(RelayRule::Direct), run(RelayRule::Push));
    assert!(direct.0 > 50, "{} stale blocks", direct.0);
    assert!(direct == push);
}

#[test]
fn an_orphan_waits_for_its_ancestors() {
    let mut net = quiet();
    let a = forge(&mut net, 1, GENESIS);
    let b = forge(&mut net, 1, a);
    let c = forge(&mut net, 1, b);
    net.lose(|p| matches!(p.load, Load::Fetch(_)));
    receive(&mut net, 0, c, 1);
    assert_eq!(
        (net.head(0), net.count_notes(0, |n| *n == Note::Fetch(b))),
        (GENESIS, 1)
    );
    receive(&mut net, 0, c, 1);
    receive(&mut net, 0, b, 1);
    assert_eq!(net.count_notes(0, |n| *n == Note::Fetch(a)), 1);
    receive(&mut net, 0, a, 1);
    assert_eq!(net.head(0), c);
    let adopted: Vec<_> = net
        .notes
        .iter()
        .filter(|n| matches!(n.2, Note::Adopt(_)))
        .collect();
    assert_eq!(adopted.len(), 3);
}

#[test]
fn ancestors_are_fetched_and_over_long_gaps_the_chain_is_asked_for() {
    for (length, syncs) in [(5, false), (20, true)] {
        let mut net = quiet();
        let mut head = GENESIS;
        for _ in 0..length {
            head = forge(&mut net, 1, head);
            // Node 1 adopts its chain; nobody hears of it.
            net.lose(|_| true);
            net.give(
                node(1),
                Input::Body {
                    block: head,
                    from: node(2),
                },
            );
        }
        net.lose_nothing();
        receive(&mut net, 0, head, 1);
        net.run_until(at_ms(10_000));
        assert_eq!((net.head(0), net.head(1)), (head, head));
        assert_eq!(
            net.count_notes(0, |n| matches!(n, Note::Sync(_))) > 0,
            syncs
        );
        assert!(net.count_notes(0, |n| matches!(n, Note::Fetch(_))) > 0);
    }
}

/// Of 1,000 orphans on different parents the oldest 250 are forgotten.
#[test]
fn orphans_are_bounded() {
    let mut net = quiet();
    net.lose(|_| true);
    let pairs: Vec<_> = (0..1_000)
        .map(|_| {
            let parent = forge(&mut net, 1, GENESIS);
            (parent, forge(&mut net, 1, parent))
        })
        .collect();
    for (_, child) in &pairs {
        receive(&mut net, 0, *child, 1);
    }
    let (forgotten, kept) = (pairs[249], pairs[250]);
    receive(&mut net, 0, forgotten.0, 1);
    assert_eq!(net.head(0), forgotten.0);
    receive(&mut net, 0, kept.0, 1);
    assert_eq!(net.head(0), kept.1);
}

/// `m` equal miners, constant delay: stale share `y/(1+y)` with `y = x(1 − 1/m)`. For x = 0.1 and
/// m = 16: 0.0857. Four standard deviations at 20,000 blocks are 0.008; a zero delay forks never.
#[test]
fn stale_share_follows_the_delay() {
    for (delay_s, low, high) in [(0, 0.0, 0.0), (60, 0.077, 0.094)] {
        let mut net: Net = World::new(&config(), 16, Span::from_s(delay_s), 13);
        net.start();
        net.run_until(Time::ZERO + Span::from_s(600 * 20_000));
        let made = f64::from(net.blocks.last().get());
        let stale = 1.0 - f64::from(net.height(0)) / made;
        assert!(
            (low..=high).contains(&stale) || stale.abs() < 1e-4 && delay_s == 0,
            "{stale}"
        );
    }
}

#[test]
fn a_healed_partition_keeps_the_heavier_side() {
    let mut net: Net = World::new(&config(), 4, Span::from_s(1), 17);
    net.start();
    net.partition(&[0]);
    net.run_until(Time::ZERO + Span::from_s(60_000));
    let (alone, many) = (net.height(0), net.height(3));
    assert!(alone > 5 && many > alone, "{alone}, {many}");
    net.partition(&[]);
    net.run_until(Time::ZERO + Span::from_s(80_000));
    assert!(net.height(0) >= many);
    assert!(
        net.blocks
            .fork_point(net.head(0), net.head(3))
            .is_some_and(|b| net.blocks.get(b).height >= many)
    );
}

#[test]
fn finality_is_a_depth_and_promises_count_work() {
    let adversary = |share| Adversary {
        share,
        risk: 1e-3,
        safe_risk: 1e-2,
        delay: Span::ZERO,
    };
    // source: Rosenfeld 2014, table 2.
    let depth = Nakamoto::finality(&config(), &adversary(0.10)).unwrap();
    assert!(matches!(depth, Finality::Depth { fin: 6, .. }), "{depth:?}");
    assert!(Nakamoto::finality(&config(), &adversary(0.5)).is_err());
    let promises = |config: &Config, nodes| {
        let p = Nakamoto::promises(config, nodes);
        (p.byzantine, p.crashed, p.quorum)
    };
    assert_eq!(promises(&config(), 12), (5, 11, 1));
    assert_eq!(promises(&config(), 13), (6, 12, 1));
    // Two pools of 2025 have more than half.
    let pools = Config {
        hash_shares: vec![30.0, 29.0, 12.0, 11.0, 8.0, 5.0, 3.0, 1.0, 1.0],
        ..config()
    };
    assert_eq!(promises(&pools, 20), (1, 8, 1));
}

// Other families of the chain.

/// source: litecoin-project/litecoin `pow.cpp`: the full period, but for the first change.
#[test]
fn litecoin_counts_the_gap_before_the_period() {
    let config = Config {
        retarget_blocks: 4,
        retarget_rule: RetargetRule::Litecoin,
        ..config()
    };
    let mut solo = Solo::new(&config, 3);
    let blocks: Vec<Block<Header>> = (0..400).map(|_| solo.mine()).collect();
    let at = |height: usize| match height {
        0 => Time::ZERO,
        h => blocks[h - 1].timestamp,
    };
    let target = Span::from_s(4 * 600);
    for h in (4..400).step_by(4) {
        // The first change has no block before the genesis block.
        let actual = at(h - 1).since(at(if h == 4 { 0 } else { h - 5 }));
        let counted = actual.clamp(target.scale(1, 4), target * 4);
        let old = blocks[h - 2].header.difficulty;
        let want = u128::from(old) * u128::from(target.ns()) / u128::from(counted.ns());
        assert_eq!(u128::from(blocks[h - 1].header.difficulty), want, "{h}");
    }
}

/// source: dogecoin/dogecoin `dogecoin.cpp`: every block, an eighth of what is too much or too little, at
/// most half as slow again.
#[test]
fn digishield_follows_every_block() {
    let config = Config {
        template_refresh_s: Refresh::AtFind,
        ..Config::preset("dogecoin").expect("a preset")
    };
    let mut solo = Solo::new(&config, 3);
    let blocks: Vec<Block<Header>> = (0..50_000).map(|_| solo.mine()).collect();
    let (mut slow, mut last) = (0, Time::ZERO);
    for (block, next) in blocks.iter().zip(&blocks[1..]) {
        let gap = block.timestamp.since(last).as_s();
        let counted = (60.0 + (gap - 60.0) / 8.0).clamp(45.0, 90.0);
        slow += u32::from(gap > 300.0);
        let want = block.header.difficulty as f64 * 60.0 / counted;
        let got = next.header.difficulty as f64;
        assert!((got / want - 1.0).abs() < 1e-6, "{got} is not {want}");
        last = block.timestamp;
    }
    assert!(slow > 50, "the clamp is at work {slow} times");
    // source: own Monte Carlo of the rule, 2·10^6 blocks: 64.865 s. What settles is the logarithm of what
    // counts, so that blocks come slower than one a minute. Four standard errors.
    let mean = last.as_s() / 49_999.0;
    assert!((mean - 64.865).abs() < 1.2, "{mean}");
}
