//! One ledger's simulation: nodes, network and chain, driven event by event.

use crate::book::Book;
use crate::cpu::Cpus;
use crate::faults::Faults;
use crate::network::{Network, NetworkConfig, Outgoing, Transit};
use crate::pool::{Place, Pool, Sum};
use crate::probe::{ChainCounts, Probe, Reads, Traffic};
use crate::queue::{Entry, Queue};
use crate::slab::Slab;
use crate::store::{Has, Store};
use crate::tally::Tally;
use crate::watches::Watches;
use quorate_core::{
    Arrival, Ballot, BlockId, Blocks, Class, ClassId, Committee, Content, Context, Costs, Digest,
    Draws, Effect, Engine, Fault, Finality, Input, Ledger, Level, Load, NodeId, Outbox, Outcome,
    Seed, Services, Span, Time, To, hash,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

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
    /// What goes wrong.
    pub faults: Vec<Fault>,
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
    /// Whether a warm-up may be cut off later, see [`Probe::cut`].
    pub may_cut: bool,
    /// Which view readers are served from.
    pub read_level: Level,
    /// The run ends with [`Status::Limit`] beyond this.
    pub limits: RunLimits,
    /// Which shortcuts the kernel may take; the results are the same.
    pub forms: Forms,
    /// The seed of the replication.
    pub seed: Seed,
}

/// Where votes are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoteChecks {
    /// On a core of their own: a check takes its time but waits for nothing.
    OwnCore,
    /// On the node's cores, behind everything else.
    Shared,
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
#[expect(clippy::struct_excessive_bools, reason = "four independent switches")]
pub struct Forms {
    /// One queue entry per broadcast, not one per recipient.
    pub cursor: bool,
    /// Votes as order statistics, not as events.
    pub tally: bool,
    /// Announcements that cannot be the first are counted, not delivered.
    pub pruned: bool,
    /// Reads of keys with no watched write in flight are counted, not resolved.
    pub reads: bool,
}

impl Forms {
    /// All shortcuts.
    pub const FAST: Self = Self {
        cursor: true,
        tally: true,
        pruned: true,
        reads: true,
    };
    /// None.
    pub const NAIVE: Self = Self {
        cursor: false,
        tally: false,
        pruned: false,
        reads: false,
    };
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
#[derive(Clone, Debug)]
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
    /// Messages by kind: the engine's kinds, its voting phases, and [`RELAY_KINDS`].
    pub traffic: Vec<(&'static str, Traffic)>,
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
    /// The trace digest.
    pub digest: u64,
}

/// Where every submitted transaction of the run is; the sum is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
    /// Not final yet.
    pub pending: u64,
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

/// Order of simultaneous events at one node: faults, messages, thresholds, timers, pending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Rank {
    Fault = 0,
    Served = 1,
    Landed = 2,
    Arrived = 3,
    Threshold = 4,
    Timer = 5,
    Pending = 6,
}

/// What travels.
pub(crate) enum Payload<E: Engine> {
    Message(E::Message),
    Vote { slot: u32, ballot: Ballot },
    Inv { block: BlockId, compact: bool },
    GetData { block: BlockId, compact: bool },
    Body(BlockId),
    Compact(BlockId),
    GetTxs { block: BlockId, bytes: u64 },
    Txs(BlockId),
    Header(BlockId),
    SyncRequest,
    SyncBatch(BlockId),
}

/// One message on its way.
pub(crate) struct Packet<E: Engine> {
    pub(crate) from: NodeId,
    pub(crate) payload: Payload<E>,
    pub(crate) bytes: u64,
    /// CPU time at the receiver.
    pub(crate) check: Span,
}

/// A packet that is ready to leave, to one node or to many.
pub(crate) struct Envelope<E: Engine> {
    packet: Packet<E>,
    /// Index into [`Report::traffic`].
    kind: usize,
    outgoing: Outgoing,
}

/// What a queue entry stands for.
pub(crate) enum Job<E: Engine> {
    Fault,
    /// At the receiver's network card.
    Packet(Packet<E>),
    /// The same to many, in the order of arrival.
    Cursor {
        packet: Packet<E>,
        list: u32,
        next: u32,
    },
    /// Checked; now the engine's turn.
    Served {
        epoch: u32,
        input: Input<E>,
    },
    /// A vote that was checked.
    Counted {
        epoch: u32,
        from: NodeId,
        slot: u32,
        ballot: Ballot,
    },
    Threshold {
        slot: u32,
        ballot: Ballot,
    },
    Timer {
        epoch: u32,
        timer: E::Timer,
    },
    Pending {
        epoch: u32,
    },
}

// By hand, because the derived ones would ask the engine itself to be `Copy`.
macro_rules! copy {
    ($($name:ident)*) => {$(
        impl<E: Engine> Clone for $name<E> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<E: Engine> Copy for $name<E> {}
    )*};
}
copy!(Payload Packet Job);

/// What a node waits for.
#[derive(Clone, Copy)]
struct Awaiting {
    /// Transactions, or bytes of them.
    much: (u32, u64),
    /// What is known to be pending on top of its head.
    pending: Sum,
    /// When it has seen so much, as far as is known.
    due: Time,
}

/// A replica and what the kernel keeps for it.
pub(crate) struct Node<E: Engine> {
    engine: E,
    draws: Draws,
    pub(crate) up: bool,
    /// Raised by a crash, which makes everything that was queued for the node stale.
    pub(crate) epoch: u32,
    built: u32,
    pub(crate) head: BlockId,
    pub(crate) safe: BlockId,
    pub(crate) fin: BlockId,
    awaiting: Option<Awaiting>,
    /// Sites that this node serves.
    pub(crate) sites: Vec<u32>,
    /// By site of `sites`: watermarks recorded so far for each level.
    pub(crate) recorded: Vec<[u32; 3]>,
}

impl<E: Engine> Node<E> {
    /// A node that is up and has only the genesis block.
    fn new(me: NodeId, config: &E::Config, setup: &Setup, committee: &Committee) -> Self {
        let genesis = Blocks::<E::Header>::GENESIS;
        let serving = setup.serving.iter().zip(0..);
        let sites: Vec<u32> = serving.filter(|(n, _)| **n == me).map(|(_, s)| s).collect();
        Self {
            engine: E::new(config, me, committee),
            draws: setup.seed.stream("engine", u64::from(me.get())),
            up: true,
            epoch: 0,
            built: 0,
            head: genesis,
            safe: genesis,
            fin: genesis,
            awaiting: None,
            recorded: vec![[0; 3]; sites.len()],
            sites,
        }
    }
}

/// One ledger under one engine.
pub struct Simulation<'a, E: Engine> {
    pub(crate) setup: Setup,
    pub(crate) faults: Faults,
    /// When something begins or ends next.
    next_edge: Time,
    pub(crate) ledger: &'a dyn Ledger,
    load: Box<dyn Load + 'a>,
    /// The classes with deadlines, a bit each.
    deadlines: u128,
    pub(crate) classes: Vec<Class>,
    ahead: Option<Arrival>,
    /// By time and the order in which they were called for.
    reactions: BTreeMap<(Time, u64), Arrival>,
    reacted: u64,
    queue: Queue,
    jobs: Slab<Job<E>>,
    ties: Vec<Entry>,
    lists: Vec<Vec<(Time, NodeId)>>,
    free_lists: Vec<u32>,
    pub(crate) net: Network,
    pub(crate) cpus: Cpus,
    vote_busy: Vec<Span>,
    pub(crate) high_bandwidth_key: u64,
    pub(crate) nodes: Vec<Node<E>>,
    pub(crate) blocks: Blocks<E::Header>,
    pub(crate) store: Store,
    pub(crate) pool: Pool,
    pub(crate) book: Book<'a>,
    pub(crate) tally: Tally,
    out: Outbox<E>,
    pub(crate) watches: Watches,
    pub(crate) probe: Probe,
    pub(crate) chain: ChainCounts,
    pub(crate) reads: Reads,
    pub(crate) conservation: Conservation,
    /// Measured arrivals that are not final yet.
    pub(crate) open: u64,
    traffic: Vec<Traffic>,
    lost: u64,
    events: u64,
    inputs: u64,
    /// Nodes that wait for transactions.
    awaiting: Vec<NodeId>,
    pub(crate) adopt_delay: (u64, u64),
    pub(crate) status: Status,
    pub(crate) violation: Option<String>,
    /// Committed blocks by height, and how many members of the committee have committed each.
    pub(crate) committed: std::collections::VecDeque<(BlockId, u32)>,
    pub(crate) committed_from: u32,
    pub(crate) at_height: std::collections::VecDeque<u32>,
    pub(crate) at_height_from: u32,
    pub(crate) settled_height: u32,
    /// The height at which to look again for what can be forgotten.
    pub(crate) settle_at: u64,
    pub(crate) spread_marks: [Vec<u32>; 2],
    pub(crate) spread_height: [u32; 2],
    /// Nodes that serve sites, in order.
    pub(crate) serving: Vec<NodeId>,
    pub(crate) scratch: Vec<u32>,
    pub(crate) marks: [Vec<u32>; 2],
    pub(crate) path: Vec<BlockId>,
    pub(crate) order: Vec<Place>,
    digest: Digest,
    now: Time,
}

struct View<'a> {
    tally: &'a Tally,
    store: &'a Store,
}

impl Services for View<'_> {
    fn reached(&self, node: NodeId, ballot: Ballot) -> bool {
        self.tally.reached(node, ballot)
    }

    fn holds(&self, node: NodeId, block: BlockId) -> bool {
        self.store.holds(node, block)
    }
}

/// A context for one node, borrowing fields apart from the nodes.
macro_rules! context {
    ($sim:expr, $node:expr) => {
        Context {
            clock: $sim.now,
            me: $node,
            nodes: $sim.setup.network.region_of.len() as u32,
            committee: $sim.tally.committee(),
            blocks: &$sim.blocks,
            costs: &$sim.setup.costs,
            services: &View {
                tally: &$sim.tally,
                store: &$sim.store,
            },
        }
    };
}

impl<'a, E: Engine> Simulation<'a, E> {
    /// A simulation at its start. The configuration must have passed [`Engine::validate`].
    pub fn new(
        config: &E::Config,
        setup: Setup,
        load: Box<dyn Load + 'a>,
        ledger: &'a dyn Ledger,
    ) -> Self {
        let n = setup.network.region_of.len() as u32;
        let net = Network::new(setup.network.clone(), setup.seed);
        let committee = E::committee(config, n);
        let shortest = net.shortest(committee.members());
        let sites = setup.serving.len() as u32;
        assert_eq!(sites, load.sites(), "every site needs a serving node");
        if let Finality::Depth { safe, fin } = setup.finality {
            assert!(
                safe <= fin,
                "what is final is safe: {safe} and {fin} blocks"
            );
        }
        let genesis = Blocks::<E::Header>::GENESIS;
        let node = |i| Node::new(NodeId::new(i), config, &setup, &committee);
        let nodes: Vec<Node<E>> = (0..n).map(node).collect();
        let mut serving = setup.serving.clone();
        serving.sort_unstable();
        serving.dedup();
        let faults = Faults::new(setup.faults.clone());
        let classes = load.classes().to_vec();
        let kinds = E::KINDS.len() + E::PHASES.len() + RELAY_KINDS.len();
        let mut sim = Self {
            next_edge: faults.next_edge(Time::ZERO),
            faults,
            ledger,
            probe: Probe::new(
                &classes,
                ledger.reasons().len(),
                setup.horizon,
                setup.may_cut,
            ),
            classes,
            deadlines: load.deadlines().iter().map(|c| 1 << c.0).sum(),
            load,
            ahead: None,
            reactions: BTreeMap::new(),
            reacted: 0,
            queue: Queue::new(),
            jobs: Slab::new(),
            ties: Vec::new(),
            lists: Vec::new(),
            free_lists: Vec::new(),
            cpus: Cpus::new(n, setup.cores, setup.cpu_speed),
            vote_busy: vec![Span::ZERO; n as usize],
            high_bandwidth_key: setup.seed.key("high-bandwidth peers"),
            blocks: Blocks::new(E::genesis(config)),
            store: Store::new(n, sites),
            pool: Pool::new(setup.serving.clone(), n, |a, b| net.base(a, b)),
            book: Book::new(ledger),
            tally: Tally::new(committee, shortest),
            out: Outbox::new(),
            watches: Watches::new(serving.len(), sites, setup.horizon),
            chain: ChainCounts::default(),
            reads: Reads::default(),
            conservation: Conservation::default(),
            open: 0,
            traffic: vec![Traffic::default(); kinds],
            lost: 0,
            events: 0,
            inputs: 0,
            awaiting: Vec::new(),
            adopt_delay: (0, 0),
            status: Status::Ok,
            violation: None,
            committed: std::collections::VecDeque::from([(genesis, 0)]),
            committed_from: 0,
            at_height: std::collections::VecDeque::new(),
            at_height_from: 1,
            settled_height: 0,
            settle_at: 0,
            spread_marks: [vec![0; sites as usize], vec![0; sites as usize]],
            spread_height: [0; 2],
            serving,
            scratch: Vec::new(),
            marks: Default::default(),
            path: Vec::new(),
            order: Vec::new(),
            digest: Digest::new(),
            now: Time::ZERO,
            net,
            nodes,
            setup,
        };
        sim.ahead = sim.load.next();
        for (i, edge) in sim.faults.edges().into_iter().enumerate() {
            sim.push(edge, Rank::Fault, NodeId::new(i as u32), Job::Fault);
        }
        for i in 0..n {
            let node = NodeId::new(i);
            if sim.faults.down(node, Time::ZERO) {
                sim.nodes[node.index()].up = false;
            } else {
                sim.handle(node, Input::Start);
            }
        }
        sim
    }

    // ---- the loop -------------------------------------------------------------------------

    /// The time of the next thing that happens, unless the run is over.
    pub fn next_time(&mut self) -> Option<Time> {
        if self.status != Status::Ok {
            return None;
        }
        let event = self.peek().map(|e| Time::from_ns(e.time_ns));
        let arrival = self.next_arrival();
        let next = match (event, arrival) {
            (Some(e), Some(a)) => e.min(a),
            (Some(t), None) | (None, Some(t)) => t,
            (None, None) => return None,
        };
        let measured = next < self.setup.horizon;
        if !measured {
            self.close_slices(next);
        }
        if !measured && self.is_hopeless() {
            self.status = Status::Saturated;
            // The horizon, whatever the last event was: forms have different ones.
            self.now = self.setup.horizon;
            return None;
        }
        let ended = !measured && (next > self.setup.horizon + self.setup.drain || !self.is_open());
        (!ended).then_some(next)
    }

    /// Whether some measured arrival is not accounted for.
    fn is_open(&self) -> bool {
        self.open > 0 || self.watches.open()
    }

    /// Whether waiting after the horizon is pointless in a steady study: a tenth of everything that
    /// was submitted is in no block, and the backlog has grown by half since the middle.
    fn is_hopeless(&self) -> bool {
        /// Fewer blocks say nothing about a trend.
        // assumption: this and the two thresholds below; they only end hopeless runs early.
        const ENOUGH_BLOCKS: u64 = 10;
        let backlog = &self.probe.backlog;
        let half = crate::probe::SLICES / 2;
        let (Some(&last), Some(&middle)) = (backlog.last(), backlog.get(half)) else {
            return false;
        };
        self.setup.may_cut
            && self.chain.built >= ENOUGH_BLOCKS
            && 10 * last > self.conservation.submitted
            && 2 * last > 3 * middle
    }

    /// When the run ended, whatever the last event was: forms have different ones.
    fn ended(&self) -> Time {
        match self.status {
            Status::Ok if self.is_open() => self.setup.horizon + self.setup.drain,
            Status::Ok => self.now.max(self.setup.horizon),
            _ => self.now,
        }
    }

    /// Lets the next thing happen. Arrivals come before events of the same instant.
    pub fn advance(&mut self) {
        let arrival = self.next_arrival();
        let event = self.peek().map(|e| Time::from_ns(e.time_ns));
        let next = arrival.into_iter().chain(event).min();
        if let Some(next) = next {
            self.close_slices(next);
        }
        match (arrival, event) {
            (Some(a), e) if e.is_none_or(|e| a <= e) => self.admit(),
            _ => {
                if let Some(entry) = self.pop() {
                    self.dispatch(entry);
                }
            }
        }
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        while self.next_time().is_some() {
            self.advance();
        }
    }

    /// Samples the backlog at the end of every slice that is over by `now`.
    fn close_slices(&mut self, now: Time) {
        while let Some(backlog) = self.slice_ended(now) {
            self.probe.backlog.push(backlog);
        }
    }

    fn slice_ended(&self, now: Time) -> Option<u64> {
        let slice = self.probe.backlog.len();
        if slice >= crate::probe::SLICES || now < self.probe.slice_end(slice) {
            return None;
        }
        let in_blocks: u64 = self
            .nodes
            .iter()
            .flat_map(|node| &node.recorded)
            .map(|levels| u64::from(levels[Level::Included as usize]))
            .sum();
        Some(self.conservation.submitted - in_blocks)
    }

    fn peek(&mut self) -> Option<Entry> {
        match (self.ties.last().copied(), self.queue.peek()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The next event in the total order: what the queue leaves open, events of the same instant,
    /// rank and destination, is settled by content.
    fn pop(&mut self) -> Option<Entry> {
        const SLOT: u64 = u32::MAX as u64;
        let group = |e: Entry| (e.time_ns, e.key & !SLOT);
        let same = |a: Entry, b: Entry| group(a) == group(b);
        let newer = match (self.ties.last().copied(), self.queue.peek()) {
            (Some(tie), Some(entry)) => group(entry) <= group(tie),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !newer {
            return self.ties.pop();
        }
        let first = self.queue.pop()?;
        let joins_ties = self.ties.last().is_some_and(|&t| same(t, first));
        let joins_queue = self.queue.peek().is_some_and(|e| same(e, first));
        if !joins_ties && !joins_queue {
            return Some(first);
        }
        let mut added = vec![first];
        while let Some(entry) = self.queue.peek().filter(|&e| same(e, first)) {
            added.push(entry);
            self.queue.pop();
        }
        self.ties.extend(added);
        let start = self
            .ties
            .iter()
            .position(|&t| same(t, first))
            .expect("just added");
        let mut tied = self.ties.split_off(start);
        tied.sort_by_cached_key(|e| Reverse(self.tie_break(e.key as u32)));
        self.ties.extend(tied);
        self.ties.pop()
    }

    /// Source and content of a queued event.
    fn tie_break(&self, slot: u32) -> (u32, u64) {
        // Equal content from one source is the same thing twice; its order cannot matter.
        match self.jobs.get(slot) {
            Job::Fault => (0, 0),
            Job::Packet(p) | Job::Cursor { packet: p, .. } => {
                (p.from.get(), self.content(&p.payload))
            }
            Job::Served { input, .. } => self.input_word(input),
            Job::Counted { from, ballot, .. } => (from.get(), ballot.content(&self.blocks)),
            Job::Threshold { ballot, .. } => (0, ballot.content(&self.blocks)),
            Job::Timer { timer, .. } => (0, timer.content(&self.blocks)),
            Job::Pending { .. } => (0, 0),
        }
    }

    pub(crate) fn push(&mut self, at: Time, rank: Rank, node: NodeId, job: Job<E>) {
        if at == Time::NEVER {
            return;
        }
        let slot = self.jobs.insert(job);
        self.push_slot(at, rank, node, slot);
    }

    fn push_slot(&mut self, at: Time, rank: Rank, node: NodeId, slot: u32) {
        debug_assert!(node.get() < 1 << 28, "28 bits of the key name the node");
        let key = (rank as u64) << 60 | u64::from(node.get()) << 32 | u64::from(slot);
        self.queue.push(Entry {
            time_ns: at.ns(),
            key,
        });
    }

    fn dispatch(&mut self, entry: Entry) {
        self.now = Time::from_ns(entry.time_ns);
        self.events += 1;
        if self.events > self.setup.limits.events {
            self.status = Status::Limit;
            return;
        }
        let slot = entry.key as u32;
        let node = NodeId::new((entry.key >> 32) as u32 & 0x0fff_ffff);
        let landed = entry.key >> 60 == Rank::Landed as u64;
        let job = match *self.jobs.get(slot) {
            Job::Cursor { packet, list, next } => {
                self.advance_cursor(slot, packet, list, next);
                Job::Packet(packet)
            }
            _ => self.jobs.remove(slot),
        };
        let current =
            |epoch: u32| self.nodes[node.index()].up && self.nodes[node.index()].epoch == epoch;
        match job {
            Job::Fault => self.fault_edge(),
            Job::Packet(packet) => self.arrive(node, packet, landed),
            Job::Cursor { .. } => unreachable!("a cursor was opened above"),
            Job::Served { epoch, input } if current(epoch) => self.served(node, input),
            Job::Counted {
                epoch,
                from,
                slot,
                ballot,
            } if current(epoch) => {
                self.count_vote(node, from, slot, ballot);
            }
            Job::Threshold { slot, ballot } => {
                let (decides, next) = self.tally.tell(slot, ballot, node, self.now);
                if let Some((at, to)) = next {
                    self.push(at, Rank::Threshold, to, Job::Threshold { slot, ballot });
                }
                if decides {
                    debug_assert!(self.nodes[node.index()].up, "votes to it are lost");
                    self.handle(node, Input::Threshold(ballot));
                }
            }
            Job::Timer { epoch, timer } if current(epoch) => self.handle(node, Input::Timer(timer)),
            Job::Pending { epoch } if current(epoch) => self.pending_due(node),
            Job::Served { .. } | Job::Counted { .. } | Job::Timer { .. } | Job::Pending { .. } => {}
        }
    }

    // ---- engines --------------------------------------------------------------------------

    /// A checked input reaches its engine.
    fn served(&mut self, node: NodeId, input: Input<E>) {
        if let Input::Body { block, .. } | Input::Header { block, .. } = input
            && self.blocks.find(block).is_none()
        {
            return;
        }
        match input {
            Input::Body { block, .. } => self.store.set(node, block, Has::Body),
            Input::Message { message, .. } => {
                if let Some(block) = E::carries(&message).filter(|&b| self.blocks.find(b).is_some())
                {
                    self.store.set(node, block, Has::Body);
                }
            }
            _ => {}
        }
        self.handle(node, input);
    }

    pub(crate) fn handle(&mut self, node: NodeId, input: Input<E>) {
        self.inputs += 1;
        let (source, word) = self.input_word(&input);
        self.digest.add(self.now.ns());
        self.digest
            .add(u64::from(node.get()) << 32 | u64::from(source));
        self.digest.add(word);
        let state = &mut self.nodes[node.index()];
        state.engine.handle(
            &context!(self, node),
            &mut state.draws,
            input,
            &mut self.out,
        );
        let effects = self.out.take();
        for effect in &effects {
            self.carry_out(node, effect);
        }
        self.out.recycle(effects);
    }

    /// Source and content of an input; also what the digest folds.
    fn input_word(&self, input: &Input<E>) -> (u32, u64) {
        let (kind, source, content) = match input {
            Input::Start => (0, 0, 0),
            Input::Restarted => (1, 0, 0),
            Input::Header { block, from } => (2, from.get(), self.blocks.name(*block)),
            Input::Body { block, from } => (3, from.get(), self.blocks.name(*block)),
            Input::Message { from, message } => (4, from.get(), message.content(&self.blocks)),
            Input::Threshold(ballot) => (5, 0, ballot.content(&self.blocks)),
            Input::Timer(timer) => (6, 0, timer.content(&self.blocks)),
            Input::BlockBuilt(block) => (7, 0, self.blocks.name(*block)),
            Input::Pending => (8, 0, 0),
        };
        (source, hash::fold(content, kind))
    }

    fn carry_out(&mut self, node: NodeId, effect: &Effect<E>) {
        self.digest_effect(effect);
        match *effect {
            Effect::Send { to, message } => self.send_message(node, to, message),
            Effect::Vote(ballot) => self.vote(node, ballot),
            Effect::Relay { block, rule } => self.relay(node, block, rule),
            Effect::Fetch { block, from } => self.ask(node, from, block, false),
            Effect::Sync { from } => self.send_sync_request(node, from),
            Effect::BuildBlock {
                parent,
                header,
                limits,
                as_of,
                cost,
            } => {
                let as_of = as_of.unwrap_or(self.now).min(self.now);
                let block = self.build(node, parent, header, &limits, as_of);
                self.after_cpu(node, cost, Input::BlockBuilt(block));
            }
            Effect::AwaitPending { count, bytes } => self.await_pending(node, (count, bytes)),
            Effect::SetTimer { at, timer } => {
                let epoch = self.nodes[node.index()].epoch;
                self.push(
                    at.max(self.now),
                    Rank::Timer,
                    node,
                    Job::Timer { epoch, timer },
                );
            }
            Effect::Adopt(block) => self.adopt(node, block),
            Effect::Safe(block) => self.advance_level(node, Level::Safe, block),
            Effect::Commit(block) => self.commit(node, block),
            Effect::RoundChange { .. } => self.chain.round_changes += 1,
            Effect::Evidence { .. } => self.chain.evidence += 1,
        }
    }

    fn digest_effect(&mut self, effect: &Effect<E>) {
        let name = |block: BlockId| self.blocks.name(block);
        let (kind, word) = match *effect {
            Effect::Send { ref message, .. } => (0, message.content(&self.blocks)),
            Effect::Vote(ballot) => (1, ballot.content(&self.blocks)),
            Effect::Relay { block, .. } => (2, name(block)),
            Effect::Fetch { block, .. } => (3, name(block)),
            Effect::Sync { from } => (4, u64::from(from.get())),
            Effect::BuildBlock { parent, .. } => (5, name(parent)),
            Effect::AwaitPending { count, bytes } => (6, hash::fold(u64::from(count), bytes)),
            Effect::SetTimer { at, ref timer } => {
                (7, hash::fold(at.ns(), timer.content(&self.blocks)))
            }
            Effect::Adopt(block) => (8, name(block)),
            Effect::Safe(block) => (9, name(block)),
            Effect::Commit(block) => (10, name(block)),
            Effect::RoundChange { round } => (11, u64::from(round)),
            Effect::Evidence { against } => (12, u64::from(against.get())),
        };
        self.digest.add(hash::fold(word, kind));
    }

    /// Lets an input wait for the node's CPU.
    pub(crate) fn after_cpu(&mut self, node: NodeId, cost: Span, input: Input<E>) {
        let done = self.cpus.serve(node, self.now, cost);
        let epoch = self.nodes[node.index()].epoch;
        self.push(done, Rank::Served, node, Job::Served { epoch, input });
    }

    // ---- messages -------------------------------------------------------------------------

    fn send_message(&mut self, node: NodeId, to: To, message: E::Message) {
        let engine = &self.nodes[node.index()].engine;
        let wire = engine.wire(&message, &context!(self, node));
        let ready = self.cpus.serve(node, self.now, wire.sign);
        let packet = Packet {
            from: node,
            payload: Payload::Message(message),
            bytes: wire.bytes,
            check: wire.check,
        };
        let envelope = self.seal(packet, usize::from(wire.kind), ready);
        if let To::One(one) = to {
            self.post(&envelope, one);
            return;
        }
        let n = self.net.nodes();
        let list = self.open_list();
        for one in (node.get() + 1..n).chain(0..node.get()).map(NodeId::new) {
            let wanted = match to {
                To::All | To::One(_) => true,
                To::Committee => self.tally.committee().position(one).is_some(),
                To::Observers => self.tally.committee().position(one).is_none(),
            };
            if wanted {
                let at = self.transmit(&envelope, one);
                self.lists[list as usize].extend(at.map(|at| (at, one)));
            }
        }
        self.broadcast(packet, list);
    }

    fn open_list(&mut self) -> u32 {
        self.free_lists.pop().unwrap_or_else(|| {
            self.lists.push(Vec::new());
            self.lists.len() as u32 - 1
        })
    }

    /// Queues a packet for all of a list of (arrival, recipient).
    fn broadcast(&mut self, packet: Packet<E>, list: u32) {
        if !self.setup.forms.cursor {
            let recipients = core::mem::take(&mut self.lists[list as usize]);
            for &(at, to) in &recipients {
                self.push(at, Rank::Arrived, to, Job::Packet(packet));
            }
            self.lists[list as usize] = recipients;
        } else if !self.lists[list as usize].is_empty() {
            self.lists[list as usize].sort_unstable();
            let (at, to) = self.lists[list as usize][0];
            self.push(
                at,
                Rank::Arrived,
                to,
                Job::Cursor {
                    packet,
                    list,
                    next: 1,
                },
            );
            return;
        }
        self.lists[list as usize].clear();
        self.free_lists.push(list);
    }

    fn advance_cursor(&mut self, slot: u32, packet: Packet<E>, list: u32, next: u32) {
        if let Some(&(at, to)) = self.lists[list as usize].get(next as usize) {
            self.jobs.replace(
                slot,
                Job::Cursor {
                    packet,
                    list,
                    next: next + 1,
                },
            );
            self.push_slot(at, Rank::Arrived, to, slot);
        } else {
            self.jobs.remove(slot);
            self.lists[list as usize].clear();
            self.free_lists.push(list);
        }
    }

    /// Sends one packet to one node.
    pub(crate) fn post(&mut self, envelope: &Envelope<E>, to: NodeId) {
        if let Some(at) = self.transmit(envelope, to) {
            self.push(at, Rank::Arrived, to, Job::Packet(envelope.packet));
        }
    }

    fn seal(&self, packet: Packet<E>, kind: usize, ready: Time) -> Envelope<E> {
        let content = self.content(&packet.payload);
        Envelope {
            packet,
            kind,
            outgoing: self.net.prepare(packet.from, packet.bytes, content, ready),
        }
    }

    /// Puts a packet on the wire; when it arrives, unless a fault swallows it: its sender crashes
    /// before it leaves, the two are cut off when it leaves, or its receiver is down when it arrives.
    fn transmit(&mut self, envelope: &Envelope<E>, to: NodeId) -> Option<Time> {
        let Envelope {
            packet,
            kind,
            outgoing,
        } = envelope;
        self.traffic[*kind].messages += 1;
        self.traffic[*kind].bytes += packet.bytes;
        let Transit { leaves, arrives } = self.net.send(outgoing, to);
        if !self.faults.is_empty()
            && (self.faults.crashes(packet.from, self.now, leaves)
                || self.faults.cut(packet.from, to, leaves)
                || self.faults.down(to, arrives))
        {
            self.lost += 1;
            return None;
        }
        Some(arrives)
    }

    /// A message of the kernel's own; `kind` indexes [`RELAY_KINDS`].
    pub(crate) fn envelope(
        &self,
        from: NodeId,
        kind: usize,
        payload: Payload<E>,
        bytes: u64,
    ) -> Envelope<E> {
        let packet = Packet {
            from,
            payload,
            bytes,
            check: Span::ZERO,
        };
        self.seal(packet, E::KINDS.len() + E::PHASES.len() + kind, self.now)
    }

    /// Sends a message of the kernel's own to one node.
    pub(crate) fn post_relay(
        &mut self,
        from: NodeId,
        to: NodeId,
        kind: usize,
        payload: Payload<E>,
        bytes: u64,
    ) {
        let envelope = self.envelope(from, kind, payload, bytes);
        self.post(&envelope, to);
    }

    /// Announces a block; an announcement that cannot be the first to arrive is only counted.
    pub(crate) fn announce(&mut self, envelope: &Envelope<E>, block: BlockId, to: NodeId) {
        let packet = envelope.packet;
        if let Some(at) = self.transmit(envelope, to) {
            // A later one finds the block asked for, unless a fault interferes before it arrives,
            // and leaves no trace, unless it takes its turn at the downlink.
            let surely_later = at < self.next_edge && !self.net.queues(packet.bytes);
            if !self.setup.forms.pruned
                || !surely_later
                || self.store.announce(to, block, at, packet.from)
            {
                self.push(at, Rank::Arrived, to, Job::Packet(packet));
            }
        }
    }

    pub(crate) fn content(&self, payload: &Payload<E>) -> u64 {
        let (kind, word) = match payload {
            Payload::Message(message) => (0, message.content(&self.blocks)),
            Payload::Vote { ballot, .. } => (1, ballot.content(&self.blocks)),
            Payload::Inv { block, .. } => (2, self.blocks.name(*block)),
            Payload::GetData { block, .. } => (3, self.blocks.name(*block)),
            Payload::Body(b) => (4, self.blocks.name(*b)),
            Payload::Compact(b) => (5, self.blocks.name(*b)),
            Payload::GetTxs { block, .. } => (6, self.blocks.name(*block)),
            Payload::Txs(b) => (7, self.blocks.name(*b)),
            Payload::Header(b) => (8, self.blocks.name(*b)),
            Payload::SyncRequest => (9, 0),
            Payload::SyncBatch(b) => (10, self.blocks.name(*b)),
        };
        hash::fold(word, kind)
    }

    /// A packet is at a node's card, or (`landed`) past its downlink.
    fn arrive(&mut self, node: NodeId, packet: Packet<E>, landed: bool) {
        debug_assert!(self.nodes[node.index()].up, "it was lost when it was sent");
        if !landed {
            let ready = self.net.receive(node, packet.bytes, self.now);
            if ready > self.now {
                if self.faults.crashes(node, self.now, ready) {
                    self.lost += 1;
                } else {
                    self.push(ready, Rank::Landed, node, Job::Packet(packet));
                }
                return;
            }
        }
        match packet.payload {
            Payload::Message(message) => {
                let input = Input::Message {
                    from: packet.from,
                    message,
                };
                let done = self.cpus.serve(node, self.now, packet.check);
                if done == self.now {
                    self.served(node, input);
                } else {
                    let epoch = self.nodes[node.index()].epoch;
                    self.push(done, Rank::Served, node, Job::Served { epoch, input });
                }
            }
            Payload::Vote { slot, ballot } => self.check_vote(node, packet, slot, ballot),
            _ => self.relayed(node, packet.from, packet.payload),
        }
    }

    // ---- votes ----------------------------------------------------------------------------

    fn vote(&mut self, node: NodeId, ballot: Ballot) {
        let engine = &self.nodes[node.index()].engine;
        let wire = engine.vote_wire(ballot.phase, &context!(self, node));
        let slots = self.open_ballots(ballot, wire.bytes);
        let slot = slots[0].expect("the ballot itself");
        if !self.tally.cast(slot, node) {
            return;
        }
        for also in slots[1..].iter().flatten() {
            self.tally.cast_also(*also, node);
        }
        let own_core = self.setup.vote_checks == VoteChecks::OwnCore;
        let ready = match self.setup.vote_checks {
            VoteChecks::OwnCore => self.now + self.cpus.takes(wire.sign),
            VoteChecks::Shared => self.cpus.serve(node, self.now, wire.sign),
        };
        let check = self.cpus.takes(wire.check);
        let packet = Packet {
            from: node,
            payload: Payload::Vote { slot, ballot },
            bytes: wire.bytes,
            check: wire.check,
        };
        let envelope = self.seal(packet, E::KINDS.len() + usize::from(ballot.phase), ready);
        let list = self.open_list();
        let n = self.tally.committee().len();
        let me = self
            .tally
            .committee()
            .position(node)
            .expect("only members vote");
        let explicit = self.tally.is_explicit(slot);
        for place in (me + 1..n).chain(0..me) {
            let to = self.tally.member(place);
            let at = self.transmit(&envelope, to);
            if own_core && at.is_some() {
                self.vote_busy[to.index()] += check;
            }
            if explicit {
                self.lists[list as usize].extend(at.map(|at| (at, to)));
            } else if let Some(at) = at {
                for &slot in slots.iter().flatten() {
                    self.tally.arrives(slot, place, at + check);
                }
            }
        }
        self.broadcast(packet, list);
        if explicit {
            return self.count_vote(node, node, slot, ballot);
        }
        for &slot in slots.iter().flatten() {
            self.tally.arrives(slot, me, self.now);
            let ballot = self.tally.ballot(slot);
            if let Some((at, to)) = self.tally.decide(slot, me, self.now) {
                self.push(at, Rank::Threshold, to, Job::Threshold { slot, ballot });
            }
        }
    }

    /// The records of a ballot and of the wildcards that a vote for it counts towards, all in one
    /// form, which suits a vote of so many bytes.
    fn open_ballots(&mut self, ballot: Ballot, bytes: u64) -> [Option<u32>; 3] {
        // Where votes queue, one by one: between cast and count nothing may depend on others.
        let explicit = !self.setup.forms.tally
            || self.setup.vote_checks == VoteChecks::Shared
            || self.net.queues(bytes);
        let [a, b] = E::also_counts(ballot);
        let slots = [Some(ballot), a, b].map(|counted| {
            let counted = counted?;
            assert_eq!(
                counted.height, ballot.height,
                "a wildcard of another height"
            );
            let threshold = E::threshold(counted.phase, self.tally.committee());
            Some(self.tally.open(counted, threshold, explicit))
        });
        let mut forms = slots.iter().flatten().map(|&s| self.tally.is_explicit(s));
        let first = forms.next().expect("the ballot itself");
        // A fault has turned one of them, or this vote queues and those before it did not.
        if (explicit && !first) || forms.any(|form| form != first) {
            self.make_votes_explicit();
        }
        slots
    }

    /// Explicit form: a vote is at its receiver.
    fn check_vote(&mut self, node: NodeId, packet: Packet<E>, slot: u32, ballot: Ballot) {
        let done = match self.setup.vote_checks {
            VoteChecks::OwnCore => self.now + self.cpus.takes(packet.check),
            VoteChecks::Shared => self.cpus.serve(node, self.now, packet.check),
        };
        let epoch = self.nodes[node.index()].epoch;
        self.push(
            done,
            Rank::Served,
            node,
            Job::Counted {
                epoch,
                from: packet.from,
                slot,
                ballot,
            },
        );
    }

    fn count_vote(&mut self, node: NodeId, from: NodeId, slot: u32, ballot: Ballot) {
        // Its record may have been retired and reused meanwhile, and with it its wildcards.
        if self.tally.slot(ballot) != Some(slot) {
            return;
        }
        let [a, b] = E::also_counts(ballot);
        for ballot in [Some(ballot), a, b].into_iter().flatten() {
            let slot = self.tally.slot(ballot).expect("opened with the vote");
            if self.tally.count(slot, (from, node), self.now) {
                self.push(
                    self.now,
                    Rank::Threshold,
                    node,
                    Job::Threshold { slot, ballot },
                );
            }
        }
    }

    /// Whether a transaction of such a class may still meet its deadline.
    pub(crate) fn in_time(&self, tx: &Arrival) -> bool {
        self.load.deadline(tx).is_some_and(|d| self.now() <= d)
    }

    /// Whether transactions of a class may have deadlines.
    pub(crate) fn has_deadline(&self, class: ClassId) -> bool {
        self.deadlines >> class.0 & 1 == 1
    }

    // ---- pending transactions -------------------------------------------------------------

    fn next_arrival(&self) -> Option<Time> {
        let planned = self.ahead.map(|a| a.at);
        let reaction = self.reactions.first_key_value().map(|((at, _), _)| *at);
        planned.into_iter().chain(reaction).min()
    }

    fn admit(&mut self) {
        let reaction = self.reactions.first_key_value().map(|((at, _), _)| *at);
        let arrival = match (self.ahead, reaction) {
            (Some(a), r) if r.is_none_or(|r| a.at <= r) => {
                self.ahead = self.load.next();
                assert!(
                    self.ahead.is_none_or(|b| b.at >= a.at),
                    "a load went back in time"
                );
                a
            }
            _ => {
                let first = self.reactions.pop_first();
                first.expect("one of the two is there").1
            }
        };
        self.now = arrival.at;
        let class = self.classes[arrival.class.index()];
        match class.kind {
            quorate_core::Kind::Read => self.read(&arrival),
            _ if self
                .faults
                .dead(self.pool.serving(u32::from(arrival.site)), self.now) =>
            {
                self.conservation.refused += 1;
            }
            kind => {
                let seq = self.pool.push(arrival);
                self.conservation.submitted += 1;
                self.probe.submitted(arrival.class, arrival.at);
                if self.has_deadline(arrival.class) && self.load.deadline(&arrival).is_some() {
                    self.probe.due(arrival.class, arrival.at);
                }
                self.open += u64::from(arrival.at < self.setup.horizon);
                if kind == quorate_core::Kind::WatchedWrite {
                    self.watches.add(&arrival, seq);
                }
                let pending = self.conservation.submitted - self.finished();
                if pending as usize > self.setup.limits.pending {
                    self.status = Status::Saturated;
                }
                self.wake_awaiting(&arrival, seq);
            }
        }
    }

    pub(crate) fn finished(&self) -> u64 {
        let c = &self.conservation;
        c.valid + c.rejected + c.expired
    }

    /// Tells the load what became of a transaction, if it wants to know.
    pub(crate) fn outcome(&mut self, outcome: &Outcome) {
        if !self.load.reacts() {
            return;
        }
        let mut arrivals = Vec::new();
        self.load.react(outcome, &mut arrivals);
        for arrival in arrivals {
            assert!(
                arrival.at >= outcome.final_at,
                "a reaction before its cause"
            );
            self.reactions.insert((arrival.at, self.reacted), arrival);
            self.reacted += 1;
        }
    }

    pub(crate) fn reacts(&self) -> bool {
        self.load.reacts()
    }

    fn await_pending(&mut self, node: NodeId, much: (u32, u64)) {
        let state = &mut self.nodes[node.index()];
        if state.awaiting.is_none() {
            self.awaiting.push(node);
        }
        state.awaiting = Some(Awaiting {
            much,
            pending: Sum::default(),
            due: Time::NEVER,
        });
        self.look_again(node);
    }

    fn stop_awaiting(&mut self, node: NodeId) {
        if self.nodes[node.index()].awaiting.take().is_some() {
            self.awaiting.retain(|&n| n != node);
        }
    }

    /// A transaction was submitted: whoever waits may now know when it has seen enough, or that it
    /// has so earlier.
    fn wake_awaiting(&mut self, arrival: &Arrival, seq: u32) {
        for i in 0..self.awaiting.len() {
            let node = self.awaiting[i];
            let state = &mut self.nodes[node.index()].awaiting;
            let awaiting = state.as_mut().expect("it is in the list");
            awaiting.pending.count(arrival);
            let (enough, due) = (awaiting.pending.reaches(awaiting.much), awaiting.due);
            let site = u32::from(arrival.site);
            if enough && self.pool.sees(&self.faults, site, seq, node) < due {
                self.wake(node);
            }
        }
    }

    /// A node's head has changed, and with it what is pending on top.
    pub(crate) fn look_again(&mut self, node: NodeId) {
        let state = &mut self.nodes[node.index()];
        if let Some(awaiting) = &mut state.awaiting {
            self.store.marks(state.head, &mut self.scratch);
            awaiting.pending = self.pool.pending(&self.scratch);
            awaiting.due = Time::NEVER;
            if awaiting.pending.reaches(awaiting.much) {
                self.wake(node);
            }
        }
    }

    /// Queues the instant at which a node has what it waits for, if that is known and new.
    fn wake(&mut self, node: NodeId) {
        let state = &mut self.nodes[node.index()];
        let Some(awaiting) = &mut state.awaiting else {
            return;
        };
        let (pool, faults, marks) = (&self.pool, &self.faults, &mut self.scratch);
        self.store.marks(state.head, marks);
        debug_assert_eq!(awaiting.pending, pool.pending(marks), "counted one by one");
        let until = match awaiting.due {
            Time::NEVER => pool.latest(faults, marks, node).max(self.now),
            due => due,
        };
        let due = pool.due(faults, marks, node, awaiting.much, (self.now, until));
        if let Some(due) = due.filter(|&d| d < awaiting.due) {
            awaiting.due = due;
            let epoch = state.epoch;
            self.push(due, Rank::Pending, node, Job::Pending { epoch });
        }
    }

    fn pending_due(&mut self, node: NodeId) {
        let awaiting = self.nodes[node.index()].awaiting;
        if awaiting.is_some_and(|a| a.due == self.now) {
            self.stop_awaiting(node);
            self.handle(node, Input::Pending);
        }
    }

    fn build(
        &mut self,
        node: NodeId,
        parent: BlockId,
        header: E::Header,
        limits: &quorate_core::Limits,
        as_of: Time,
    ) -> BlockId {
        let mut marks = core::mem::take(&mut self.scratch);
        self.store.marks(parent, &mut marks);
        let (sum, left) = self
            .pool
            .fill(&self.faults, &mut marks, node, as_of, limits);
        let state = &mut self.nodes[node.index()];
        let envelope = state.engine.header_bytes(&header, &context!(self, node));
        let block = quorate_core::Block {
            key: quorate_core::BlockKey {
                creator: node,
                sequence: state.built,
            },
            parent: Some(parent),
            height: self.blocks.get(parent).height + 1,
            timestamp: self.now,
            header,
            bytes: envelope + sum.bytes,
            txs: sum.txs,
            exec: Span::from_us(sum.exec_us),
        };
        state.built += 1;
        let id = self.blocks.push(block);
        self.store.push(&marks);
        self.store.set(node, id, Has::Body);
        self.scratch = marks;
        self.count_block(&block, &sum, limits, left);
        id
    }

    // ---- faults ---------------------------------------------------------------------------

    /// Something begins or ends.
    fn fault_edge(&mut self) {
        self.next_edge = self.faults.next_edge(self.now);
        self.make_votes_explicit();
        self.store.forget_requests();
        for i in 0..self.nodes.len() {
            let node = NodeId::new(i as u32);
            let up = !self.faults.down(node, self.now);
            match (self.nodes[i].up, up) {
                (true, false) => self.crash(node),
                (false, true) => {
                    self.nodes[i].up = true;
                    self.handle(node, Input::Restarted);
                }
                _ => {}
            }
        }
    }

    fn make_votes_explicit(&mut self) {
        let mut in_flight = Vec::new();
        self.tally
            .make_explicit(self.now, |slot, ballot, from, to, at| {
                in_flight.push((slot, ballot, from, to, at));
            });
        for (slot, ballot, from, to, at) in in_flight {
            self.post_vote_in_flight(slot, ballot, from, to, at);
        }
    }

    /// A vote whose check would end at `at`, as the explicit form would have it by now: still on the
    /// wire, or being checked.
    fn post_vote_in_flight(
        &mut self,
        slot: u32,
        ballot: Ballot,
        from: NodeId,
        to: NodeId,
        at: Time,
    ) {
        let engine = &self.nodes[from.index()].engine;
        let wire = engine.vote_wire(ballot.phase, &context!(self, from));
        let arrives = at.saturating_sub(self.cpus.takes(wire.check));
        if arrives >= self.now {
            let payload = Payload::Vote { slot, ballot };
            let packet = Packet {
                from,
                payload,
                bytes: wire.bytes,
                check: wire.check,
            };
            self.push(arrives, Rank::Arrived, to, Job::Packet(packet));
        } else {
            let epoch = self.nodes[to.index()].epoch;
            self.push(
                at,
                Rank::Served,
                to,
                Job::Counted {
                    epoch,
                    from,
                    slot,
                    ballot,
                },
            );
        }
    }

    fn crash(&mut self, node: NodeId) {
        let state = &mut self.nodes[node.index()];
        state.up = false;
        state.epoch += 1;
        self.stop_awaiting(node);
        self.cpus.reset(node, self.now);
        self.net.reset(node, self.now);
        self.store.forget_unchecked(node);
    }

    // ---- access for the other parts -------------------------------------------------------

    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn check_block(&self, node: NodeId, block: BlockId) -> Span {
        self.nodes[node.index()]
            .engine
            .check_block(block, &context!(self, node))
    }

    /// Bytes of a block besides its transactions.
    pub(crate) fn header_bytes(&self, node: NodeId, header: &E::Header) -> u64 {
        let engine = &self.nodes[node.index()].engine;
        engine.header_bytes(header, &context!(self, node))
    }

    /// The report; the simulation is over.
    pub fn finish(mut self) -> Report {
        let ended = self.ended();
        let last = self.probe.backlog.last().copied().unwrap_or(0);
        self.probe.backlog.resize(crate::probe::SLICES, last);
        self.chain.evidence += self.tally.equivocations;
        self.conservation.pending = self.pending_now();
        let c = &self.conservation;
        if c.submitted != c.valid + c.rejected + c.expired + c.pending {
            self.status = Status::SafetyViolation;
            self.violation = Some(format!("transactions are not conserved: {c:?}"));
        }
        if self.status == Status::Ok && self.conservation.submitted > 0 && self.finished() == 0 {
            self.status = Status::NoCommit;
        }
        self.watches.close(&mut self.probe);
        let names = E::KINDS.iter().chain(E::PHASES).copied().chain(RELAY_KINDS);
        let samples = self.adopt_delay.1;
        Report {
            status: self.status,
            violation: self.violation,
            ended,
            horizon: self.setup.horizon,
            probe: self.probe,
            chain: self.chain,
            reads: self.reads,
            traffic: names.zip(self.traffic).collect(),
            lost: self.lost,
            conservation: self.conservation,
            events: self.events,
            inputs: self.inputs,
            uplink_busy: self.net.uplink_busy,
            cpu_busy: self.cpus.busy,
            vote_busy: self.vote_busy,
            ballot_forms: self.tally.forms,
            adopt_delay: (Span::from_ns(self.adopt_delay.0 / samples.max(1)), samples),
            digest: self.digest.get(),
        }
    }
}
