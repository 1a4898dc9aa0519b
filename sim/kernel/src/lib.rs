//! The event loop of quorate: queue, network, CPU, faults, pending transactions, ledger state,
//! probes and the safety checker. It drives any [`quorate_core::Engine`] under any
//! [`quorate_core::Load`] and knows neither.

pub mod probe;
pub mod queue;

mod book;
mod cpu;
mod faults;
mod histogram;
mod network;
mod outages;
mod pending;
mod pool;
mod relay;
mod report;
mod setup;
mod sim;
mod slab;
mod store;
mod tally;
mod unit;
mod views;
mod votes;
mod watches;
mod wire;

pub use network::{NetworkConfig, OverlayConfig};
pub use report::{Conservation, RELAY_KINDS, Report, Status};
pub use setup::{Forms, RunLimits, Setup, VoteChecks};
pub use sim::Simulation;
pub use unit::{Run, Unit};
