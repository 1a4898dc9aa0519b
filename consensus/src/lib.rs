//! Consensus engines, one file each, and the registry that names them.
//!
//! A file opens with its source, its rules as "Upon receiving …", where it deviates, when a block
//! is final and what that costs in messages. An engine knows no kernel: it implements
//! [`quorate_core::Engine`], and one line in [`registry`] makes it available by name.

#[macro_use]
mod config;

pub mod attacks;
pub mod aura;
pub mod bft;
pub mod central;
pub mod clique;
pub mod ethash;
pub mod gasper;
pub mod hotstuff;
pub mod ibft2;
pub mod ksi;
pub mod miners;
mod mining;
pub mod mutants;
pub mod nakamoto;
mod orphans;
pub mod praos;
pub mod qbft;
pub mod raft;
pub mod registry;
pub mod tendermint;

pub use config::Presets;
pub use registry::{EngineKind, EngineVisitor};
