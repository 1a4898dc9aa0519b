//! Plans, replications, statistics, results and verdicts.
//!
//! A plan names engines, a workload, a network and service levels. It becomes cells, cells become
//! units (one replication each), units run on all cores, and their reports become tables, curves
//! and a verdict.

pub mod analysis;
pub mod anchor;
pub mod attack;
pub mod calibrate;
pub mod cli;
mod corrupt;
pub mod costs;
pub mod engines;
pub mod error;
pub mod execution;
mod faults;
mod figures;
pub mod fuzz;
mod import;
mod incidents;
pub mod knee;
pub mod level;
pub mod mempool;
pub mod network;
pub mod outages;
pub mod output;
pub mod pair;
pub mod places;
pub mod plan;
pub mod plots;
mod question;
#[cfg(feature = "png")]
mod raster;
mod regulator;
mod report;
pub mod resilience;
pub mod results;
pub mod risk;
pub mod run;
pub mod screen;
pub mod self_check;
pub mod stats;
pub mod study;
pub mod summary;
mod told;
pub mod unit;
pub mod upkeep;
pub mod validate;
pub mod verdict;
mod words;
pub mod workload;

/// The command line as a library, so that a program in another repository can add its own engines:
/// `quorate::program().with_engine::<Mine>("mine", "What it is.").main()`.
pub fn program() -> cli::Program {
    cli::Program::default()
}
