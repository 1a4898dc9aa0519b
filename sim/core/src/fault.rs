//! What goes wrong, and when.

use crate::Time;

/// A fault of the schedule; times are simulated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// When it starts.
    pub from: Time,
    /// When it ends; [`Time::NEVER`] for the rest of the run.
    pub until: Time,
    /// What happens.
    pub what: FaultKind,
}

/// What a fault does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// These nodes stop, lose what is in flight to them, and restart with their disk at the end.
    Crash(Vec<u32>),
    /// These nodes and the others cannot reach each other.
    Partition(Vec<u32>),
}
