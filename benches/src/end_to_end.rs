//! Everything at once: the hospital workload through an engine to its ledger, its latencies, its exposure
//! of revoked consents and, of messages, what care wants to know of the final order. One unit of work is one
//! arrival, a write that became final or a read that was served.
//!
//! Goals: with a workload, its rules and its metrics at least 15 M transactions/s, and a nation's day of them
//! (3,600 a second, 50 validators, 1 s) in 30 s. Measured (`scripts/perf.sh transactions`, November 2026, CPU
//! time, at 160 to 170 ns a dependent load): 16.8–18.4 M/s and 24.4–25.7 s.
//!
//! Non-goals: faults, sweeps, steady-state cuts, plans and results, which the harness adds.

use crate::world::{Accept, Map, SEED, Stream, Tally, outcome, simulate};
use crate::{Case, Outcome, Scale};
use quorate_consensus::qbft::{self, Qbft};
use quorate_core::{Domain, Finality, Ledger, Load, Span};
use quorate_kernel::Setup;
use quorate_workloads::Rate;
use quorate_workloads::hospital::{Config, Granularity, Hospital, Preset};

const NODES: u64 = 12;

/// The sites of a nation.
const SITES: u32 = 50;

/// Documents at `tps` writes per second for so many simulated seconds, on twelve nodes in three cloud
/// regions.
pub fn qbft_hospital(tps: u64, seconds: u64, reads_per_write: u32) -> Outcome {
    let config = Config {
        sites: Some(NODES as u16),
        most_patients: 100_000,
        reads_per_write: f64::from(reads_per_write),
        ..Config::preset(Preset::Region)
    };
    let rate = Rate::Flat { per_s: tps as f64 };
    let setup = Map::Country.setup(NODES, NODES as u32, Span::from_s(seconds), Finality::Commit);
    hospital(&config, rate, setup, false)
}

/// HL7 messages of a nation at `tps` of them per second (3,615 in the mean of a week), through so many
/// validators.
pub fn qbft_messages(validators: u64, tps: u64, seconds: u64) -> Outcome {
    let config = Config {
        granularity: Granularity::Message,
        reads_per_write: 0.0,
        // assumption: to file a hash takes 10 us; at the default of 50 us the morning's rounds are more
        // than blocks of a second execute.
        exec_us: 10,
        ..Config::preset(Preset::Nation)
    };
    let rate = Rate::Flat { per_s: tps as f64 };
    let span = Span::from_s(seconds);
    let setup = Map::Backbone.setup(validators, SITES, span, Finality::Commit);
    hospital(&config, rate, setup, true)
}

fn hospital(config: &Config, rate: Rate, mut setup: Setup, shown: bool) -> Outcome {
    let load = Hospital::new(config, rate, SEED).expect("the settings are in range");
    let (rules, domain) = (load.rules(), load.domain());
    let domain = shown.then(|| Box::new(domain) as Box<dyn Domain>);
    setup.drain = Span::from_s(60);
    through_qbft(setup, Box::new(load), &rules, domain)
}

/// As many transactions as fast as they come, about `records` records, or about nothing: no workload, no
/// rules worth the name, four validators.
pub fn plain(transactions: u64, records: u32) -> Outcome {
    const TPS: u64 = 3_000;
    let span = Span::from_s(transactions / TPS);
    let mut setup = Map::Backbone.setup(4, 4, span, Finality::Commit);
    setup.drain = Span::from_s(60);
    let load = Stream::new(TPS as f64, 4, records.max(1));
    let tally = Tally(records);
    let ledger: &dyn Ledger = if records > 0 { &tally } else { &Accept };
    through_qbft(setup, Box::new(load), ledger, None)
}

fn through_qbft(
    setup: Setup,
    load: Box<dyn Load>,
    ledger: &dyn Ledger,
    domain: Option<Box<dyn Domain>>,
) -> Outcome {
    let report = simulate::<Qbft>(&qbft::Config::default(), setup, load, ledger, domain);
    let done = &report.conservation;
    outcome(done.valid + done.rejected + report.reads.served, &report)
}

/// Cases from end to end.
pub fn cases(scale: Scale) -> Vec<Case> {
    let case = |(tps, seconds, reads): (u64, u64, u32)| {
        let (tps, seconds) = (
            scale.of(tps / 200 + 10, tps),
            scale.of(seconds / 500 + 5, seconds),
        );
        let parameters = format!("tps={tps} seconds={seconds} reads_per_write={reads}");
        let run = move || qbft_hospital(tps, seconds, reads);
        Case::new("end_to_end::qbft_hospital", parameters, run)
    };
    // The last one has 10^7 transactions.
    let documents = [
        (33, 3_600, 1),
        (3_600, 100, 0),
        (3_600, 100, 1),
        (3_600, 2_778, 0),
    ]
    .map(case);
    let messages = [(12, 2_778), (50, 2_778)].map(|(validators, seconds)| {
        let seconds = scale.of(seconds / 500, seconds);
        let tps = scale.of(100, 3_600);
        let parameters = format!("validators={validators} tps={tps} seconds={seconds}");
        let run = move || qbft_messages(validators, tps, seconds);
        Case::new("end_to_end::qbft_messages", parameters, run)
    });
    let plain = [0, 1_000_000].map(|records| {
        let records = scale.of(records / 1_000, records) as u32;
        let transactions = scale.of(30_000, 10_000_000);
        let parameters = format!("transactions={transactions} records={records}");
        let run = move || plain(transactions, records);
        Case::new("end_to_end::plain", parameters, run)
    });
    documents.into_iter().chain(messages).chain(plain).collect()
}
