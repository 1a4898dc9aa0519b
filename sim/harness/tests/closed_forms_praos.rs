//! Praos against its laws at drawn parameters, and what the checks do not look at.
//!
//! A statistical law is allowed four and a half standard errors for its number of samples: there are
//! dozens. Draws are fixed: what fails, fails always, and then something is wrong.

use quorate::validate::logged::{self, Reader, What};
use quorate::validate::praos::FAMILY;
use quorate::validate::world::{World, moments, within};
use quorate_consensus::praos::{self, Praos};
use quorate_core::math::{pow, sqrt};
use quorate_core::{Block, Engine, NodeId, Seed, Span};
use quorate_kernel::Status;
use quorate_kernel::probe::ClassCounts;
use std::collections::BTreeMap;

const F: f64 = 0.05;

fn band(p: f64, n: f64) -> f64 {
    4.5 * sqrt(p * (1.0 - p) / n)
}

#[track_caller]
fn got(check: &str, parameters: &str) -> f64 {
    FAMILY
        .got(check, parameters)
        .expect("a check with its parameters")
}

/// source: φ(σ) = 1 − (1 − f)^σ: what a pool with a share σ of the stake says and what it then leads,
/// for drawn f and σ.
#[test]
fn pools_lead_as_often_as_their_stake_says() {
    let mut draws = Seed::new(11, 0).stream("test", 0);
    for _ in 0..25 {
        let f = 0.01 + 0.6 * draws.open01();
        let share = 0.01 + 0.98 * draws.open01();
        let phi = 1.0 - pow(1.0 - f, share);
        let of = format!("f={f};share={share}");
        // The committee keeps shares in thousand-millionths.
        within("φ", got("leads", &of), phi, 1e-7);
        let led = got("led", &format!("{of};slots=400000"));
        within("led", led, phi, band(phi, 400_000.0));
    }
}

/// source: the same law makes the share of active slots f for any split of the stake, gaps between
/// them geometric, and several of n equal pools lead a slot with `1 − (1 − φ)ⁿ − n·φ·(1 − φ)ⁿ⁻¹`.
#[test]
fn slots_are_active_as_often_as_f_says_for_any_pools() {
    let mut draws = Seed::new(12, 0).stream("test", 0);
    for seed in 0..12 {
        let f = 0.02 + 0.5 * draws.open01();
        let pools = 1 + draws.below(60);
        let slots = 200_000.0;
        let of = format!("f={f};pools={pools};slots=200000;seed={seed}");
        within("active", got("active", &of), f, band(f, slots));
        let active = f * slots;
        let sd = sqrt(1.0 - f) / f;
        within(
            "gap",
            got("gap_mean", &of),
            1.0 / f,
            4.5 * sd / sqrt(active),
        );
        let phi = 1.0 - pow(1.0 - f, 1.0 / pools as f64);
        let none = 1.0 - phi;
        let one = pools as f64 * phi * pow(none, pools as f64 - 1.0);
        let several = (f - one).max(0.0) / f;
        within(
            "several",
            got("several", &of),
            several,
            band(several, active),
        );
        let silent = pow(1.0 - f, 7.0);
        let windows = slots / 7.0;
        within(
            "silent",
            got("silent", &format!("{of};window=7")),
            silent,
            band(silent, windows),
        );
    }
}

/// source: f/(1 + f·Δ): after a new height nobody else can build on it for Δ slots; here for drawn f
/// and Δ, and the pool itself can, which one of n pools does.
#[test]
fn delay_slows_growth_as_the_law_says() {
    let mut draws = Seed::new(13, 0).stream("test", 0);
    for _ in 0..6 {
        let f = 0.03 + 0.1 * draws.open01();
        let delta = 1 + draws.below(12);
        let of = format!("f={f};pools=60;delta={delta};heights=4000");
        let wait = delta as f64 * (1.0 - 1.0 / 60.0);
        let sd = sqrt(1.0 - f) / f;
        let law = 1.0 / f + wait;
        within(
            "growth",
            got("height_interval", &of),
            law,
            4.5 * sd / sqrt(4_000.0) + 0.005 * law,
        );
        // What each slot has of leaders beyond those that add a height.
        let leaders = 60.0 * (1.0 - pow(1.0 - f, 1.0 / 60.0));
        let wasted = 1.0 - 1.0 / (law * leaders);
        within(
            "wasted",
            got("wasted", &of),
            wasted,
            band(wasted, 4_000.0) + 0.01,
        );
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
        band(0.022_923_7, active),
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

/// source: mainnet Shelley genesis: k blocks take 12 hours on average.
#[test]
fn k_blocks_take_half_a_day() {
    let config = praos::Config::default();
    let interval = Praos::promises(&config, 12).interval;
    assert_eq!(
        interval * u64::from(config.security_blocks),
        Span::from_s(12 * 3_600)
    );
}
