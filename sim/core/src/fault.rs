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

/// Nodes that lie, and how. They know of each other; those of one entry act as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Corrupt {
    /// The nodes.
    pub nodes: Vec<u32>,
    /// When they begin.
    pub from: Time,
    /// When they are honest again; [`Time::NEVER`] for the rest of the run.
    pub until: Time,
    /// What they do.
    pub conduct: Conduct,
}

/// What lying nodes do. They hear everything, and pass on what their clients submit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conduct {
    /// They send nothing.
    Silent,
    /// Each runs twice under one identity, for the whole run: its second self talks to these nodes and to
    /// the second selves of other liars, its first to everybody else. So it equivocates, votes twice,
    /// forgets its locks and seals in two places.
    // source: Bano et al. 2021, "Twins: BFT systems made robust"; Ekparinya, Gramoli and Jourjon 2020,
    // "The attack of the clones against proof-of-authority".
    Twin(Vec<u32>),
    /// They propose but do not vote.
    WithholdVotes,
    /// Their votes leave so much later.
    DelayVotes(Span),
    /// They do not send blocks of their own.
    WithholdBlocks,
    /// Their blocks do not execute: whoever checks one refuses it.
    InvalidBlocks,
    /// Their blocks leave out what a site submits.
    Censor(u32),
    /// Their blocks take a site's transactions before all others.
    Favour(u32),
    /// They keep their blocks back and publish them by their lead.
    // source: Eyal and Sirer 2014, "Majority is not enough", algorithm 1.
    Selfish,
    /// They extend a branch of their own, from a first block found in advance on the others' head, and publish it once the
    /// others have so many blocks above the fork and theirs is longer. They give up once theirs is
    /// further behind than that. Then they begin again.
    // source: Rosenfeld 2014, "Analysis of hashrate-based double spending", sections 2 and 3, but for
    // giving up.
    Reorg {
        /// Blocks above the fork, on the public chain.
        confirmations: u32,
        /// Blocks that the private branch may be behind.
        give_up: u32,
    },
}
