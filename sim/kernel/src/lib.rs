//! The event loop of quorate: queue, network, CPU, faults, pending transactions, ledger state,
//! probes and the safety checker. It drives any [`quorate_core::Engine`] under any
//! [`quorate_core::Load`] and knows neither.

pub mod probe;
pub mod queue;

mod book;
mod classes;
mod cpu;
mod endorse;
mod eras;
mod faults;
mod gossip;
mod histogram;
mod incidents;
mod jitter;
mod jobs;
mod liars;
mod lies;
mod network;
mod outages;
mod outside;
mod overlay;
mod pending;
mod pipeline;
mod pool;
mod private;
mod relay;
mod replicas;
mod report;
mod reversals;
mod setup;
mod shown;
mod sim;
mod slab;
#[cfg(feature = "slow")]
mod slow;
mod store;
mod tally;
mod tcp;
mod trace;
mod unit;
mod views;
mod votes;
mod watches;
mod wire;

pub use endorse::{ENDORSE_KINDS, Endorse, Endorsed};
pub use gossip::{GOSSIP_KINDS, Gossip, GossipConfig, GossipForm, Offered, TxRelay};
pub use incidents::Incident;
pub use jitter::Jitter;
pub use lies::Lies;
pub use network::NetworkConfig;
pub use outside::News;
pub use overlay::OverlayConfig;
pub use pipeline::Pipeline;
pub use pool::{Fees, MempoolConfig};
pub use report::{Anchoring, Conservation, Kept, RELAY_KINDS, Report, Status};
pub use reversals::Reversed;
pub use setup::{Forms, RunLimits, Setup, ViewAge, VoteChecks, WhenStale};
pub use sim::Simulation;
pub use tcp::{Loss, SlowStart};
pub use trace::{About, Event, Record, Trace, What, Window};
pub use unit::{Coupling, Run, Unit};
