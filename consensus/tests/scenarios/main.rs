//! Engines in a small deterministic world, told in prose: who is down, what is lost, what happens.

mod central;
mod driver;
mod keys;
mod nakamoto;
mod qbft;
mod registry;
