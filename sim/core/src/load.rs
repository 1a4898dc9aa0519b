//! What arrives: the contract between a workload and the rest.
//!
//! A workload is a pure generator of arrivals in non-decreasing time. It knows no engine, so every
//! engine meets the same arrivals.

use crate::{EntityId, Span, Time};
use serde::{Deserialize, Serialize};

/// Index into [`Load::classes`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ClassId(pub u8);

impl ClassId {
    /// The index into arrays by class.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a class of arrivals is to the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A transaction that goes through consensus.
    Write,
    /// A transaction whose effect on readers is watched: the time until each site's view contains
    /// it is measured, and reads of its key meanwhile are checked for staleness.
    WatchedWrite,
    /// A local read of the serving node's view; never enters consensus.
    Read,
}

/// A class of arrivals, such as `consent.revoke`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class {
    /// The name in plans and results.
    pub name: &'static str,
    /// How the ledger treats it.
    pub kind: Kind,
    /// How long after submission it may still be executed; later it is counted as expired.
    pub expiry: Option<Span>,
    /// What its figures mean to the trade, such as `recall propagation` for the exposure of a
    /// watched recall; empty where the plain names say it.
    pub tells: &'static str,
}

/// One arrival. 24 bytes, because pending ones are kept by the million.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The intended submission time; latency counts from here.
    pub at: Time,
    /// The entity that it writes or reads, which is also its conflict key.
    pub key: EntityId,
    /// A second operand for the rule, such as the expected version or the grantee.
    pub operand: u32,
    /// Size on the wire and in a block.
    pub bytes: u16,
    /// Execution cost in microseconds on the reference core.
    pub exec_us: u16,
    /// Where it is submitted.
    pub site: u16,
    /// Its class.
    pub class: ClassId,
    /// What the ledger rule does with it; the meaning belongs to the workload.
    pub action: u8,
}

const _: () = assert!(size_of::<Arrival>() == 24);

/// What became of a transaction, told to workloads that react.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The transaction.
    pub arrival: Arrival,
    /// When it became final at its observer.
    pub final_at: Time,
    /// Whether the ledger accepted it.
    pub verdict: crate::Verdict,
}

/// A pure generator of arrivals.
pub trait Load {
    /// The classes, in a fixed order; [`ClassId`] indexes it.
    fn classes(&self) -> &[Class];

    /// How many sites submit; every [`Arrival::site`] is below it.
    fn sites(&self) -> u32;

    /// The next arrival, in non-decreasing time; `None` ends the load.
    fn next(&mut self) -> Option<Arrival>;

    /// Appends the next arrivals: at least one, unless the load has ended. More than one only where none
    /// of them depends on what happens meanwhile.
    fn next_some(&mut self, arrivals: &mut Vec<Arrival>) {
        arrivals.extend(self.next());
    }

    /// The classes of which all transactions on one record come from one site, and on whose records no
    /// other class has any: sites need not be put in order to execute them.
    fn local(&self) -> &[ClassId] {
        &[]
    }

    /// The classes whose transactions have a deadline, see [`Load::deadline`].
    fn deadlines(&self) -> &[ClassId] {
        &[]
    }

    /// By when the trade needs this transaction of such a class on record: whether it then is, is
    /// counted.
    fn deadline(&self, tx: &Arrival) -> Option<Time> {
        let _ = tx;
        None
    }

    /// Whether [`Load::react`] wants outcomes at all; `false` spares the kernel the calls.
    fn reacts(&self) -> bool {
        false
    }

    /// Follow-up arrivals of a final transaction, none before `outcome.final_at`. Draws must be
    /// keyed by the parent, never by the order of calls.
    fn react(&mut self, outcome: &Outcome, arrivals: &mut Vec<Arrival>) {
        let _ = (outcome, arrivals);
    }

    /// A transaction that was final at the node of its site is not any more, at `now`. It may become so
    /// again, of which nothing is told. Asked only where [`Load::reacts`].
    fn reversed(&mut self, tx: &Arrival, now: Time) {
        let _ = (tx, now);
    }
}
