//! Praos against its laws: lotteries from the engine's own draws, growth from the full kernel.
//!
//! A statistical row allows four standard errors for its number of samples. Draws are fixed: a row
//! that fails, fails always, and then something is wrong.

use quorate::validate::logged::{self, Reader, What};
use quorate::validate::world::{World, moments, quantile, within};
use quorate_consensus::praos::{self, Praos};
use quorate_core::math::{pow, sqrt};
use quorate_core::{
    Ballot, Block, BlockId, Blocks, Committee, Context, Costs, Effect, Engine, Input, NodeId,
    Outbox, Seed, Services, Span, Time,
};
use quorate_kernel::Status;
use quorate_kernel::probe::ClassCounts;
use std::collections::BTreeMap;

const F: f64 = 0.05;
/// Slots of a lottery.
const SLOTS: u64 = 5_000_000;
/// Slots of an epoch. source: mainnet Shelley genesis, `epochLength`.
const EPOCH: u64 = 432_000;

/// 4 standard errors of a share.
fn share_band(p: f64, n: f64) -> f64 {
    4.0 * sqrt(p * (1.0 - p) / n)
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

/// The slots up to `SLOTS` in which a pool builds a block, as the engine says, alone: whether it
/// leads does not depend on any chain.
fn led(config: &praos::Config, pool: u32, committee: &Committee, seed: u64) -> Vec<u64> {
    let me = NodeId::new(pool);
    let blocks = Blocks::new(Praos::genesis(config));
    let mut engine = Praos::new(config, me, committee);
    let mut draws = Seed::new(seed, 0).stream("engine", u64::from(pool));
    let mut out = Outbox::new();
    let mut slots = Vec::new();
    let mut next = (Time::ZERO, Input::Start);
    while next.0 <= Time::ZERO + Span::from_s(SLOTS) {
        let context = Context {
            clock: next.0,
            me,
            nodes: committee.len(),
            committee,
            blocks: &blocks,
            costs: &Costs::FREE,
            services: &Nothing,
        };
        engine.handle(&context, &mut draws, next.1, &mut out);
        let effects = out.take();
        for effect in &effects {
            match *effect {
                Effect::BuildBlock { header, .. } => slots.push(header.slot),
                Effect::SetTimer { at, timer } => next = (at, Input::Timer(timer)),
                _ => {}
            }
        }
        out.recycle(effects);
    }
    slots
}

/// Leaders of each active slot, for so many equal pools.
fn lottery(pools: u32) -> BTreeMap<u64, u32> {
    let config = praos::Config::default();
    let committee = Praos::committee(&config, pools);
    let mut leaders = BTreeMap::new();
    for slot in (0..pools).flat_map(|pool| led(&config, pool, &committee, u64::from(pools))) {
        *leaders.entry(slot).or_default() += 1;
    }
    leaders
}

/// source: φ(σ) = 1 − (1 − f)^σ makes the share of active slots f for any split of the stake, and
/// the gaps between them geometric.
#[test]
fn cf_pra_01_and_04_to_09_active_slots_and_gaps() {
    for pools in [1, 10] {
        let slots: Vec<u64> = lottery(pools).into_keys().collect();
        let n = slots.len() as f64;
        within(
            "CF-PRA-01",
            n / SLOTS as f64,
            F,
            share_band(F, SLOTS as f64),
        );

        let epochs = SLOTS / EPOCH;
        let counts: Vec<f64> = (0..epochs)
            .map(|e| slots.iter().filter(|s| **s / EPOCH == e).count() as f64)
            .collect();
        let (mean, sd) = moments(&counts);
        // Epoch 0 lacks its slot 0, which nobody leads.
        let want_sd = sqrt(EPOCH as f64 * F * (1.0 - F));
        let band = 4.0 * want_sd / sqrt(epochs as f64);
        within("CF-PRA-04", mean, EPOCH as f64 * F, band);
        within(
            "CF-PRA-04",
            sd,
            want_sd,
            4.0 * want_sd / sqrt(2.0 * epochs as f64),
        );

        let mut gaps: Vec<f64> = slots.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let (mean, sd) = moments(&gaps);
        let want_sd = sqrt(1.0 - F) / F;
        within("CF-PRA-05", mean, 1.0 / F, 4.0 * want_sd / sqrt(n));
        within("CF-PRA-05", sd, want_sd, 0.02 * want_sd);
        gaps.sort_by(f64::total_cmp);
        for (id, p, want, slack) in [
            ("CF-PRA-06", 0.5, 14.0, 0.0),
            ("CF-PRA-07", 0.95, 59.0, 1.0),
            ("CF-PRA-08", 0.99, 90.0, 2.0),
        ] {
            within(id, quantile(&gaps, p), want, slack);
        }

        for (id, window) in [("CF-PRA-09t60", 60), ("CF-PRA-09t120", 120)] {
            let mut windows: Vec<u64> = slots.iter().map(|s| s / window).collect();
            windows.dedup();
            let all = SLOTS / window;
            windows.retain(|w| *w < all);
            let silent = 1.0 - windows.len() as f64 / all as f64;
            let want = pow(1.0 - F, window as f64);
            within(id, silent, want, share_band(want, all as f64));
        }
    }
}

/// source: n equal pools lead a slot together with probability
/// `1 − (1 − φ)^n − n·φ·(1 − φ)^(n−1)`, φ = φ(1/n); many: Poisson with mean −ln(1 − f).
#[test]
fn cf_pra_02_03_slots_with_several_leaders() {
    for (id, pools, want) in [
        ("CF-PRA-03n10", 10, 0.022_923_7),
        ("CF-PRA-03n100", 100, 0.025_177_4),
        ("CF-PRA-02", 1_000, 0.025_427_4),
    ] {
        let leaders = lottery(pools);
        let active = leaders.len() as f64;
        let several = leaders.values().filter(|n| **n > 1).count() as f64;
        within(id, several / active, want, share_band(want, active));
    }
}

/// source: φ; the committee's weights are the stakes.
#[test]
fn cf_pra_10_leadership_of_a_pool() {
    for (seed, id, share, want) in [
        (1, "CF-PRA-10s10", 0.1, 0.005_116_2),
        (2, "CF-PRA-10s30", 0.3, 0.015_270_2),
        (3, "CF-PRA-10s50", 0.5, 0.025_320_6),
    ] {
        let config = praos::Config {
            stake_shares: vec![share, 1.0 - share],
            ..praos::Config::default()
        };
        let committee = Praos::committee(&config, 2);
        let got = led(&config, 0, &committee, seed).len() as f64 / SLOTS as f64;
        within(id, got, want, share_band(want, SLOTS as f64));
    }
}

/// The slot in the header.
struct Slots;
impl Reader<Praos> for Slots {
    fn word(block: &Block<praos::Header>) -> Option<u64> {
        Some(block.header.slot)
    }
}

/// The same lottery in the full kernel, without delay: what is built is led, leaders of one slot
/// build at one height, and the chain grows with each active slot.
#[test]
fn cf_pra_02_05_in_the_kernel() {
    let world = World::new(10, Span::ZERO, Span::from_s(400_000)).depth(1, 6);
    let (report, log) = logged::run::<Praos, Slots>(&world, &praos::Config::default());
    assert_eq!(report.status, Status::Ok);
    let mut leaders: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for note in log.iter().filter(|n| n.what == What::Built) {
        leaders.entry(note.word).or_default().push(note.height);
    }
    let active = leaders.len() as f64;
    for heights in leaders.values() {
        assert!(heights.iter().all(|h| h == &heights[0]));
    }
    assert_eq!(report.chain.height, leaders.len() as u64);
    let several = leaders.values().filter(|h| h.len() > 1).count() as f64;
    within(
        "CF-PRA-03n10",
        several / active,
        0.022_923_7,
        share_band(0.022_923_7, active),
    );
    assert!((report.chain.forked_heights as f64 - several).abs() < 0.5);
    let slots: Vec<u64> = leaders.into_keys().collect();
    let gaps: Vec<f64> = slots.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
    within(
        "CF-PRA-05",
        moments(&gaps).0,
        1.0 / F,
        4.0 * 19.49 / sqrt(active),
    );
}

/// source: f/(1 + f·Δ): after a new height nobody else can build on it for Δ slots. A block is
/// everywhere half a slot after the Δ slots, by header, request and body.
#[test]
fn cf_pra_11_growth_under_delay() {
    let pools = 100;
    for (id, delta, heights) in [
        ("CF-PRA-11d1", 1, 4_000),
        ("CF-PRA-11d2", 2, 4_000),
        ("CF-PRA-11d5", 5, 4_000),
        ("CF-PRA-11d20", 20, 4_000),
    ] {
        let interval = 1.0 / F + f64::from(delta);
        let crossing = Span::from_ms((1_000 * delta as u64 + 500) / 3);
        let horizon = Span::from_s_f64(f64::from(heights) * interval);
        let world = World::new(pools, crossing, horizon).depth(1, 100).seed(2);
        let (report, log) = logged::run::<Praos, Slots>(&world, &praos::Config::default());
        assert_eq!(report.status, Status::Ok);
        let mut highest = 0;
        let mut slots = Vec::new();
        for note in log.iter().filter(|n| n.what == What::Built) {
            if note.height > highest {
                highest = note.height;
                slots.push(note.word as f64);
            }
        }
        let gaps: Vec<f64> = slots.windows(2).map(|w| w[1] - w[0]).collect();
        let (mean, sd) = moments(&gaps);
        let want_sd = sqrt(1.0 - F) / F;
        within(id, mean, interval, 4.0 * want_sd / sqrt(gaps.len() as f64));
        within(id, sd, want_sd, 0.1 * want_sd);
        // Led, but not on the longest chain: the share that the delay wastes.
        let built = log.iter().filter(|n| n.what == What::Built).count() as f64;
        let wasted = 1.0 - slots.len() as f64 / built;
        let leaders = f64::from(pools) * (1.0 - pow(1.0 - F, 1.0 / f64::from(pools)));
        let want = 1.0 - 1.0 / (interval * leaders);
        within(id, wasted, want, share_band(want, built));
    }
}

/// A crash and a partition under load: what was cut off catches up by header and chain, everybody
/// ends on one chain, and every transaction is in it once.
#[test]
fn everybody_ends_on_one_chain_after_faults() {
    let world = World::new(7, Span::from_ms(80), Span::from_s(3_000))
        .depth(3, 20)
        .offered(2.0, 7)
        .crash(&[1], Span::from_s(300), Some(Span::from_s(900)))
        .partition(&[2, 3], Span::from_s(1_200), Span::from_s(1_800));
    let (report, log) = logged::run::<Praos, Slots>(&world, &praos::Config::default());
    assert_eq!(report.status, Status::Ok);
    // Arrivals go on while the run waits for those of the measured span, so that only these are all
    // final at the end.
    let sum = |of: fn(&ClassCounts) -> u64| report.probe.classes.iter().map(of).sum::<u64>();
    assert!(sum(|c| c.submitted) > 5_000);
    assert_eq!(sum(|c| c.submitted), sum(|c| c.valid));
    // The partition is longer than anything else that forks the chain.
    assert!(report.chain.reorgs.iter().sum::<u64>() > 0);
    let head = |i| {
        let own = |n: &&logged::Note| n.node == NodeId::new(i) && n.what == What::Adopted;
        log.iter().rev().find(own).map(|n| n.height)
    };
    let most = (0..7).map(head).max().expect("seven nodes");
    assert!((0..7).all(|i| head(i) >= most.map(|height| height - 1)));
}

/// source: mainnet Shelley genesis: 3k/f slots, 36 hours; k blocks take 12 hours on average.
#[test]
fn cf_pra_12_windows() {
    let config = praos::Config::default();
    let k = f64::from(config.security_blocks);
    within(
        "CF-PRA-12",
        3.0 * k / config.active_slot_coefficient,
        129_600.0,
        1e-6,
    );
    let interval = Praos::promises(&config, 12).interval;
    assert_eq!(
        interval * u64::from(config.security_blocks),
        Span::from_s(12 * 3_600)
    );
}
