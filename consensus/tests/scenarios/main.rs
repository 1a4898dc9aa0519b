//! Engines in a small deterministic world, told in prose: who is down, what is lost, what happens.

mod aura;
mod central;
mod clique;
mod driver;
mod ethash;
mod gasper;
mod hotstuff;
mod ibft2;
mod keys;
mod ksi;
mod nakamoto;
mod praos;
mod qbft;
mod raft;
mod registry;
mod tendermint;
