//! What the kernel does with every transaction whatever the engine: it draws and takes in arrivals, cuts a
//! block every two seconds, executes it, and records latencies. One unit of work is one transaction.
//!
//! Goals: at least 55 M transactions/s to the histogram, and 30 M/s in order to 10^6 records. Measured
//! (`scripts/perf.sh transactions`, November 2026, CPU time, at 160 to 170 ns a dependent load): 61–66 and
//! 32–34 M/s. Beside busy neighbours the same takes up to half as long again, and both goals are missed. Order
//! and records are half of the time of the second.
//!
//! Non-goals: an engine, several levels of finality, several views and workloads; [`crate::end_to_end`] has
//! them.

use crate::world::{Stream, Tally};
use crate::{Case, Outcome, Scale, stir};
use quorate_core::{Ledger, Level, Limits, Load, Span, Time};
use quorate_kernel::Pipeline;

/// Transactions per second; others cost the same.
const TPS: u64 = 3_000;

/// Transactions of four sites that are 1 to 31 ms away. With records, blocks are put in order and executed.
pub fn transactions(transactions: u64, records: u32) -> Outcome {
    const EVERY: Span = Span::from_s(2);
    // Half as much again as comes on average.
    let limits = Limits {
        bytes: TPS * 2 * 328 * 3 / 2,
        txs: u32::MAX,
        exec: Span::from_us(TPS * 2 * 5 * 3 / 2),
    };
    let delays = [1, 11, 21, 31].map(Span::from_ms);
    let mut load = Stream::new(TPS as f64, delays.len() as u32, records.max(1));
    let tally = Tally(records);
    let ledger: Option<&dyn Ledger> = (records > 0).then_some(&tally);
    let horizon = Time::ZERO + Span::from_s(transactions / TPS);
    let mut pipeline = Pipeline::new(load.classes(), delays.into(), horizon, ledger);
    let (mut arrivals, mut cut) = (Vec::new(), Time::ZERO + EVERY);
    let (mut done, mut hash) = (0, 0);
    while cut <= horizon {
        load.next_some(&mut arrivals);
        // What comes later than the block is not seen before, as no site is at no distance.
        pipeline.take_in(&arrivals);
        if arrivals.last().is_some_and(|last| last.at > cut) {
            let txs = u64::from(pipeline.cut(cut, &limits));
            (done, hash) = (done + txs, stir(hash, txs));
            cut += EVERY;
        }
        arrivals.clear();
    }
    let probe = pipeline.finish();
    let latency = &probe.classes[0].latency[Level::Final as usize];
    let figures = [latency.len(), latency.max(), latency.mean().to_bits()];
    Outcome {
        work: done,
        hash: figures.into_iter().fold(hash, stir),
        events: 0,
    }
}

/// Cases of the parts.
pub fn cases(scale: Scale) -> Vec<Case> {
    let cases = [0, 1_000_000].map(|records| {
        let records = scale.of(records / 1_000, records) as u32;
        let txs = scale.of(30_000, 10_000_000);
        let parameters = format!("transactions={txs} records={records}");
        let run = move || transactions(txs, records);
        Case::new("pipeline::transactions", parameters, run)
    });
    cases.into()
}
