//! Whole engines in the kernel: votes, timers, CPU and links, in three cloud regions of one
//! country. One unit of work is one message accounted for, whether or not it was an event.
//!
//! Goals: a committee's message in at most 5 ns at n ≥ 64 (200 M/s), 28 ns where each is an event
//! (36 M/s), and 100 validators × 10,000 blocks, 2·10^8 messages, in 2 s (100 M/s from end to end).
//! Measured, in M messages/s: `qbft` 7–8 (n = 4), 20–23 (16), 26–35 (64), 19–39 (100); as events
//! 7–11; `nakamoto_mesh` 12–14; `central` 6–7. **Missed**: 25 to 53 ns a message at n = 100, so
//! that the 2·10^8 take 5 to 11 s; as events about 90 to 150 ns.
//!
//! Non-goals: faults, round changes, and load; [`crate::end_to_end`] has the load.

use crate::world::{Accept, Drip, Map, messages, outcome, simulate};
use crate::{Case, Outcome, Scale};
use quorate_consensus::Presets;
use quorate_consensus::central::{self, Central};
use quorate_consensus::nakamoto::{self, Nakamoto};
use quorate_consensus::qbft::{self, Qbft};
use quorate_core::{Engine, Finality, Span};
use quorate_kernel::Forms;

/// Besu's default period.
const PERIOD: Span = Span::from_s(1);
/// That of the preset `private-15s`.
const INTERVAL: Span = Span::from_s(15);
const TX_BYTES: u16 = 500;

/// One transaction every `every`, `blocks` times.
fn run<E: Engine>(
    config: &E::Config,
    nodes: u64,
    (every, blocks): (Span, u64),
    finality: Finality,
    forms: Forms,
) -> Outcome {
    let mut setup = Map::Country.setup(nodes, 1, every.scale(blocks, 1), finality);
    setup.forms = forms;
    let load = Box::new(Drip::new(every, TX_BYTES));
    let report = simulate::<E>(config, setup, load, &Accept);
    outcome(messages(&report, |_| true), &report)
}

fn committee(n: u64, blocks: u64, forms: Forms) -> Outcome {
    let config = qbft::Config::default();
    run::<Qbft>(&config, n, (PERIOD, blocks), Finality::Commit, forms)
}

/// `n` validators and about `blocks` blocks of one transaction, votes as order statistics.
pub fn qbft(n: u64, blocks: u64) -> Outcome {
    committee(n, blocks, Forms::FAST)
}

/// The same with every message an event, and the same hash.
pub fn qbft_events(n: u64, blocks: u64) -> Outcome {
    committee(n, blocks, Forms::NAIVE)
}

/// `n` miners, everybody with everybody, and about `blocks` blocks of one transaction.
pub fn nakamoto_mesh(n: u64, blocks: u64) -> Outcome {
    let config = nakamoto::Config::preset("private-15s").expect("it is among the presets");
    let finality = Finality::Depth { safe: 1, fin: 2 };
    run::<Nakamoto>(&config, n, (INTERVAL, blocks), finality, Forms::FAST)
}

/// The baseline on `n` nodes, `groups` groups of one transaction.
pub fn central(n: u64, groups: u64) -> Outcome {
    let config = central::Config::default();
    run::<Central>(&config, n, (PERIOD, groups), Finality::Commit, Forms::FAST)
}

/// Cases of the engines.
pub fn cases(scale: Scale) -> Vec<Case> {
    type Job = (&'static str, fn(u64, u64) -> Outcome, u64, u64);
    const JOBS: [Job; 7] = [
        ("engines::qbft", qbft, 4, 5_000),
        ("engines::qbft", qbft, 16, 2_000),
        ("engines::qbft", qbft, 64, 500),
        ("engines::qbft", qbft, 100, 200),
        ("engines::qbft_events", qbft_events, 64, 50),
        ("engines::nakamoto_mesh", nakamoto_mesh, 12, 2_000),
        ("engines::central", central, 12, 5_000),
    ];
    let case = |(operation, run, n, blocks): Job| {
        let (n, blocks) = (scale.of(n / 10 + 4, n), scale.of(8, blocks));
        Case::new(operation, format!("n={n} blocks={blocks}"), move || {
            run(n, blocks)
        })
    };
    JOBS.map(case).into()
}
