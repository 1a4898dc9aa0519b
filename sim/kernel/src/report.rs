//! What a run leaves behind.

use crate::endorse::Endorsed;
use crate::gossip::Gossip;
use crate::incidents::Incident;
use crate::lies::Lies;
use crate::probe::{ChainCounts, LatencyHistogram, Probe, Reads, Traffic};
use crate::reversals::Reversed;
use quorate_core::names::{self, Name};
use quorate_core::{Span, Time};
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Status {
    /// All measured arrivals are accounted for, or the drain ended.
    Ok,
    /// Nothing ever became final.
    NoCommit,
    /// More was pending at once than allowed: the offered load is beyond what the chain can do.
    Saturated,
    /// Too many events.
    Limit,
    /// A protocol's promise was broken within its own bound.
    SafetyViolation,
}

/// What a unit's ledger leaves behind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// Evidence for a safety violation.
    pub violation: Option<String>,
    /// Simulated end of the run.
    pub ended: Time,
    /// End of the measured span.
    pub horizon: Time,
    /// Transactions.
    pub probe: Probe,
    /// Blocks.
    pub chain: ChainCounts,
    /// Reads.
    pub reads: Reads,
    /// Outages that began within the run, in order.
    pub incidents: Vec<Incident>,
    /// What had been final and was then lost, in all.
    pub reversed: Reversed,
    /// The same by class.
    pub reversed_classes: Vec<Reversed>,
    /// Messages by kind: the engine's kinds, its voting phases, [`RELAY_KINDS`], and
    /// [`crate::ENDORSE_KINDS`] where somebody endorses.
    #[serde(deserialize_with = "names::pairs")]
    pub traffic: Vec<(Name, Traffic)>,
    /// The gossip of transactions, which `traffic` does not count.
    pub gossip: Gossip,
    /// Messages that a fault swallows, counted when they are sent.
    pub lost: u64,
    /// Submitted writes of the whole run, and where they are.
    pub conservation: Conservation,
    /// Events executed.
    pub events: u64,
    /// Inputs handled by engines.
    pub inputs: u64,
    /// Busy time of each node's uplink.
    pub uplink_busy: Vec<Span>,
    /// Busy time of each node's cores, summed.
    pub cpu_busy: Vec<Span>,
    /// Time that vote checks took at each node on their own core.
    pub vote_busy: Vec<Span>,
    /// Ballots by form: explicit, order statistic.
    pub ballot_forms: [u64; 2],
    /// Mean time from a block's building until another node has adopted it, and the number.
    pub adopt_delay: (Span, u64),
    /// By block, from its building until half, nine tenths and all of the nodes that are up have checked
    /// it. A node that is down counts if it had it. Blocks that get no further are not in the later two.
    pub propagation: [LatencyHistogram; 3],
    /// The chain in which the ledger puts its roots, if it does.
    pub anchoring: Option<Box<Anchoring>>,
    /// What endorsing did, where transactions are executed before they are ordered.
    pub endorsed: Option<Endorsed>,
    /// Nodes that executed what is final there each by itself, and came to the state of the run; 0 where
    /// execution is shared.
    pub replicas: u64,
    /// What liars did, if anybody lies.
    pub lies: Option<Box<Lies>>,
    /// The trace digest.
    pub digest: u64,
}

/// The chain in which a ledger puts roots of its own, and what that costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Anchoring {
    /// The chain's own report. Its time began `lead` before the ledger's.
    pub chain: Report,
    /// See `chain`.
    pub lead: Span,
    /// Roots that were submitted to it within the measured span.
    pub roots: u64,
    /// When the last of them was, on the ledger's time.
    pub until: Time,
    /// The class of roots in its probe.
    pub class: usize,
    /// What a root pays, in the chain's smallest unit.
    pub fee: u64,
    /// How many of those its native unit has.
    pub coin: u64,
}

/// Where every submitted transaction of the run is; the sum is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Conservation {
    /// Never submitted, because the site's node is down for good; not part of the sum.
    pub refused: u64,
    /// Submitted.
    pub submitted: u64,
    /// Final and accepted.
    pub valid: u64,
    /// Final and refused.
    pub rejected: u64,
    /// Final and too old.
    pub expired: u64,
    /// Refused at the submitting site's node because that was full, or evicted there: final in no
    /// block of the branch that is final at that node, because a block passed over it as too old.
    pub dropped: u64,
    /// Not final yet.
    pub pending: u64,
}

/// How much a simulation keeps at an instant. Nothing of it may grow with the length of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Transactions that are not final everywhere.
    pub transactions: usize,
    /// What blocks passed over.
    pub evictions: usize,
    /// Instants at which nodes saw transactions, in the explicit form of gossip.
    pub sightings: usize,
    /// Blocks.
    pub blocks: usize,
    /// Records that unfinal blocks wrote.
    pub versions: usize,
    /// Transactions that a domain will be shown, and what their sites' views said.
    pub shown: usize,
    /// Certificates.
    pub certificates: usize,
    /// Payloads of events, and room for more.
    pub jobs: usize,
}

impl Kept {
    /// All of it by name.
    pub const fn lengths(&self) -> [(&'static str, usize); 8] {
        [
            ("transactions", self.transactions),
            ("evictions", self.evictions),
            ("sightings", self.sightings),
            ("blocks", self.blocks),
            ("versions", self.versions),
            ("shown", self.shown),
            ("certificates", self.certificates),
            ("jobs", self.jobs),
        ]
    }
}

/// Names of the kernel's own messages.
pub const RELAY_KINDS: [&str; 8] = [
    "relay.inv",
    "relay.getdata",
    "relay.block",
    "relay.compact",
    "relay.getblocktxn",
    "relay.blocktxn",
    "relay.header",
    "relay.sync",
];
