//! Everything that a simulation needs besides its engine, load and ledger.

use crate::endorse::Endorse;
use crate::network::NetworkConfig;
use crate::pool::MempoolConfig;
use crate::trace::Trace;
use quorate_core::{Corrupt, Costs, Fault, Finality, Level, NodeId, Seed, Span, Time};

/// Everything that a simulation needs besides its engine, load and ledger.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The network; it also says how many nodes there are.
    pub network: NetworkConfig,
    /// Cores of each node.
    pub cores: u32,
    /// How many times as fast each core is as the reference core.
    pub cpu_speed: u32,
    /// Costs on the reference core.
    pub costs: Costs,
    /// Where votes are checked.
    pub vote_checks: VoteChecks,
    /// The nodes' pools of pending transactions.
    pub mempool: MempoolConfig,
    /// Who executes transactions before they are ordered; `None` where blocks are executed.
    pub endorse: Option<Endorse>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Who lies.
    pub corrupt: Vec<Corrupt>,
    /// How blocks become final.
    pub finality: Finality,
    /// Sites' nodes that may lag in "final at a quorum of replicas".
    pub tolerated: u32,
    /// The node at which each site submits and reads.
    pub serving: Vec<NodeId>,
    /// Arrivals before this instant are measured.
    pub horizon: Time,
    /// How long after the horizon the run waits for them to become final.
    pub drain: Span,
    /// Whether a warm-up may be cut off later, see [`crate::probe::Probe::cut`].
    pub may_cut: bool,
    /// Which view readers are served from.
    pub read_level: Level,
    /// Which views are too old to be read, if any are.
    pub view_age: Option<ViewAge>,
    /// The run ends with [`crate::Status::Limit`] beyond this.
    pub limits: RunLimits,
    /// Which shortcuts the kernel may take; the results are the same.
    pub forms: Forms,
    /// The seed of the replication.
    pub seed: Seed,
    /// Who is told what happens; changes nothing.
    pub trace: Option<Trace>,
}

/// Where votes are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoteChecks {
    /// On a core of their own: a check takes its time but waits for nothing.
    OwnCore,
    /// On the node's cores, behind everything else.
    Shared,
}

/// When a view is too old to be read. Its age is the time since the block that it ends in was built: a
/// node that is cut off knows no more than that. So with an engine that builds no empty blocks a view
/// ages while nothing happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ViewAge {
    /// An older view is too old.
    pub most: Span,
    /// What then becomes of a read.
    pub when_stale: WhenStale,
}

/// What becomes of a read that finds a view too old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenStale {
    /// The view decides all the same.
    Allow,
    /// It is refused.
    Deny,
    /// The reader takes an emergency access, whatever the view says.
    BreakGlass,
}

/// When a run is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunLimits {
    /// Events executed.
    pub events: u64,
    /// Transactions pending at once.
    pub pending: usize,
}

/// The kernel's shortcuts. Each has a naive form that gives the same results; the tests hold them
/// together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Forms {
    /// One queue entry per broadcast, not one per recipient.
    pub cursor: bool,
    /// Votes as order statistics, not as events.
    pub tally: bool,
    /// Announcements that cannot be the first are counted, not delivered.
    pub pruned: bool,
    /// Reads of keys with no watched write in flight are counted, not resolved.
    pub reads: bool,
    /// A block is executed once, not by every node.
    pub shared: bool,
    /// Transactions to which nothing happens by themselves are handled many at once: taken in up to the
    /// next event, executed in place, counted together.
    pub bulk: bool,
}

impl Forms {
    /// All shortcuts.
    pub const FAST: Self = Self {
        cursor: true,
        tally: true,
        pruned: true,
        reads: true,
        shared: true,
        bulk: true,
    };
    /// None.
    pub const NAIVE: Self = Self {
        cursor: false,
        tally: false,
        pruned: false,
        reads: false,
        shared: false,
        bulk: false,
    };
}
