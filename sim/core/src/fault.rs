//! What goes wrong, and when.

use crate::{Span, Time};

/// A fault of the schedule; times are simulated. Several may overlap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// When it starts.
    pub from: Time,
    /// When it ends; [`Time::NEVER`] for the rest of the run.
    pub until: Time,
    /// What happens.
    pub what: FaultKind,
}

/// What a fault does, and to which nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// These nodes stop, lose what is in flight to them, and restart with their disk at the end.
    Crash(Vec<u32>),
    /// These nodes and the others cannot reach each other.
    Partition(Vec<u32>),
    /// What some nodes send to others is lost; the other way it passes.
    OneWay {
        /// The senders.
        from: Vec<u32>,
        /// The receivers.
        to: Vec<u32>,
    },
    /// Each of these nodes alone cannot reach anybody.
    WanCut(Vec<u32>),
    /// What would cross to or from these nodes waits.
    Clog {
        /// The nodes.
        nodes: Vec<u32>,
        /// How long each message waits; `None`: until the fault ends.
        // source: FoundationDB, simulated network, `clogInterface`: nothing passes until the end.
        delay: Option<Span>,
    },
    /// Packets to and from these nodes are lost, in addition to the network's own loss, and sent
    /// again.
    Loss {
        /// The nodes.
        nodes: Vec<u32>,
        /// Lost packets in a million.
        ppm: u32,
    },
    /// The cores of these nodes are slow; what is in service goes on at the new speed.
    Slow {
        /// The nodes.
        nodes: Vec<u32>,
        /// Their speed in thousandths, 1 to 1,000.
        permille: u32,
    },
    /// The clocks of these nodes are off; they are right again at the end.
    Clock {
        /// The nodes.
        nodes: Vec<u32>,
        /// How far ahead they are at the start, ns.
        offset_ns: i64,
        /// How much they gain, in millionths of the time that passes.
        drift_ppm: i32,
    },
}
