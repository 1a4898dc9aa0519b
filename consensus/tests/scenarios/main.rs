//! Engines in a small deterministic world, told in prose: who is down, what is lost, what happens.

mod central;
mod driver;
mod keys;
mod nakamoto;
mod praos;
mod qbft;
mod raft;
mod registry;
mod tendermint;
