//! The words of quorate: what every other crate speaks in.
//!
//! Time, identifiers, units, named random streams, portable mathematics, distributions, blocks,
//! committees, and the contracts [`Engine`], [`Load`] and [`Ledger`]. No clock, file or thread.

pub mod dist;
pub mod engine;
pub mod finality;
pub mod hash;
pub mod math;
pub mod names;
pub mod settlement;

mod block;
mod committee;
mod domain;
mod fault;
mod id;
mod inversions;
mod ledger;
mod load;
mod seed;
mod time;

pub use block::{Block, BlockKey, Blocks};
pub use committee::{Committee, Weight, byzantine_bound, majority, two_thirds};
pub use domain::{Domain, Measure, Ordered, Shown, Tell, Unit};
pub use engine::{
    Agreement, Background, Ballot, Compact, Content, Context, Costs, Effect, Electorate, Engine,
    Execution, Facts, Family, Guarantee, Input, Invalid, Limits, Outbox, Promises, Relay, Roots,
    RootsId, Services, Standing, Statement, To, Wait, Wire,
};
pub use fault::{Conduct, Corrupt, Fault, FaultKind};
pub use finality::{Adversary, Finality, Level};
pub use hash::Digest;
pub use id::{BlockId, CertId, EntityId, NodeId, SiteId};
pub use inversions::Inversions;
pub use ledger::{Cell, Change, Ledger, State, Verdict};
pub use load::{Arrival, Class, ClassId, Kind, Load, Outcome};
pub use seed::{Draws, Seed, open01, open01_at};
pub use time::{Span, Time};
