//! Plans, replications, statistics, results and verdicts.
//!
//! A plan names engines, a workload, a network and service levels. It becomes cells, cells become
//! units (one replication each), units run on all cores, and their reports become tables, curves
//! and a verdict.

pub mod analysis;
pub mod anchor;
mod asked;
pub mod attack;
pub mod calibrate;
pub mod capacity;
mod catalogue;
mod check;
pub mod cli;
mod corrupt;
pub mod costs;
pub mod coverage;
mod diff;
mod differences;
mod doctor;
mod document;
pub mod durable;
pub mod engines;
pub mod error;
mod excerpt;
pub mod execution;
mod explain;
mod export;
mod faults;
mod figures;
mod forecast;
pub mod fuzz;
mod help;
mod import;
mod incidents;
pub mod journal;
pub mod knee;
mod launch;
pub mod level;
pub mod mempool;
pub mod merge;
pub mod network;
pub mod outages;
pub mod output;
pub mod pair;
pub mod places;
pub mod plan;
pub mod plots;
pub mod precision;
pub mod predict;
mod progress;
mod quantity;
mod question;
pub mod record;
mod regulator;
mod replay;
mod report;
mod reproduce;
pub mod resilience;
pub mod results;
pub mod risk;
pub mod run;
mod saved;
mod scan;
mod schema;
pub mod screen;
pub mod self_check;
pub mod sensitivity;
pub mod shard;
pub mod stats;
pub mod store;
pub mod study;
pub mod summary;
pub mod sweep;
mod terminal;
mod told;
pub mod tune;
pub mod unit;
pub mod upkeep;
pub mod validate;
pub mod verdict;
mod verify;
mod words;
pub mod workers;
pub mod workload;

/// The command line as a library, so that a program in another repository can add its own engines:
/// `quorate::program().with_engine::<Mine>("mine", "What it is.").main()`.
pub fn program() -> cli::Program {
    cli::Program::default()
}
