//! Whole engines in the kernel: votes, timers, CPU and links, in three cloud regions of one
//! country. One unit of work is one message accounted for, whether or not it was an event.
//!
//! Goals: a committee's message in at most 5 ns at n ≥ 64, 28 ns where each is an event, and 100
//! validators × 10,000 blocks, 2·10^8 messages, in 2 s (10 ns a message from end to end); miners alone
//! at 85 M blocks/s, or a year of Bitcoin in 5 ms.
//!
//! Instructions a message from end to end, as callgrind counts them (before the votes of a cast were
//! sent as one row): `qbft` 2,031 (2,050) at n = 4, 447 (661) at 16, 179 (503) at 64, 154 (582) at 100,
//! 126 (964) at 256; `tendermint` 352 (1,242) at 100; `qbft_events` 769 (1,644) at 64; `miners_only`
//! about 400 a block. Measured on a quiet machine by `scripts/perf.sh`: `qbft` 11 ns (64), 9.7 ns (100:
//! the 2·10^8 messages in 1.9 s), 8.3 ns (256), before 37, 42 and 90; `qbft_events` 51 ns (64);
//! `miners_only` 55 ns a block, a year of Bitcoin 2 to 4 ms. **Missed**: 5 ns, 28 ns as events, 85 M blocks/s.
//! Of the 154 instructions at n = 100 about 50 make the row, 60 look for the order statistic, and the
//! rest is engine and event loop.
//!
//! Non-goals: faults, round changes, and load; [`crate::end_to_end`] has the load.

use crate::world::{Accept, Drip, Map, SEED, messages, outcome, simulate};
use crate::{Case, Outcome, Scale};
use quorate_consensus::Presets;
use quorate_consensus::central::{self, Central};
use quorate_consensus::miners::MinersOnly;
use quorate_consensus::nakamoto::{self, Nakamoto, RelayRule};
use quorate_consensus::qbft::{self, Qbft};
use quorate_consensus::tendermint::{self, Tendermint};
use quorate_core::hash::fold_all;
use quorate_core::{Engine, Finality, Span, Time};
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
    let report = simulate::<E>(config, setup, load, &Accept, None);
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

/// The same with one entry in the queue for each broadcast; every message is still an event.
pub fn qbft_cursor(n: u64, blocks: u64) -> Outcome {
    let forms = Forms {
        tally: false,
        ..Forms::FAST
    };
    committee(n, blocks, forms)
}

/// `n` validators, whose votes count towards wildcards too.
pub fn tendermint(n: u64, blocks: u64) -> Outcome {
    let config = tendermint::Config::default();
    run::<Tendermint>(&config, n, (PERIOD, blocks), Finality::Commit, Forms::FAST)
}

/// `n` miners that are a second apart, at Bitcoin's interval, without the kernel. One unit of work
/// is one block.
pub fn miners_only(n: u64, blocks: u64) -> Outcome {
    let config = nakamoto::Config {
        relay: RelayRule::Direct,
        retarget_blocks: 0,
        ..nakamoto::Config::default()
    };
    let delays = vec![vec![Span::from_s(1); n as usize]; n as usize];
    let horizon = Time::ZERO + Span::from_s_f64(config.block_interval_s) * blocks;
    let forks = Nakamoto::mine(&config, &delays, horizon, SEED).expect("it can do that");
    Outcome {
        work: forks.found.iter().sum(),
        hash: fold_all(forks.height, &[forks.found, forks.kept].concat()),
        events: 0,
    }
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
    const JOBS: [Job; 12] = [
        ("engines::qbft", qbft, 4, 5_000),
        ("engines::qbft", qbft, 16, 2_000),
        ("engines::qbft", qbft, 64, 500),
        ("engines::qbft", qbft, 100, 200),
        ("engines::qbft", qbft, 256, 50),
        ("engines::qbft_events", qbft_events, 64, 50),
        ("engines::qbft_cursor", qbft_cursor, 64, 100),
        ("engines::tendermint", tendermint, 100, 100),
        ("engines::nakamoto_mesh", nakamoto_mesh, 12, 2_000),
        // A year of Bitcoin, and long enough to forget how it began.
        ("engines::miners_only", miners_only, 9, 52_560),
        ("engines::miners_only", miners_only, 16, 1_000_000),
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
