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
mod pool;
mod relay;
mod sim;
mod slab;
mod store;
mod tally;
mod unit;
mod views;
mod watches;

pub use network::{NetworkConfig, OverlayConfig};
pub use sim::{
    Conservation, Forms, RELAY_KINDS, Report, RunLimits, Setup, Simulation, Status, VoteChecks,
};
pub use unit::{Run, Unit};
