//! One ledger's simulation: nodes, network and chain, driven event by event.

use crate::book::{Book, mvcc_invalid};
use crate::classes::Classes;
use crate::cpu::Cpus;
use crate::endorse::{ENDORSE_KINDS, Endorsing};
use crate::eras::Eras;
use crate::faults::Faults;
use crate::gossip::{self, GOSSIP_KINDS};
use crate::incidents::Incidents;
use crate::jobs::Jobs;
use crate::liars::Liars;
use crate::lies::Lies;
use crate::network::Network;
use crate::outside::Outside;
use crate::pending::{Ahead, Awaiting};
use crate::pool::{Place, Pool, Run};
use crate::private::Branch;
use crate::probe::{ChainCounts, LatencyHistogram, Probe, Reads, Traffic};
use crate::queue::{Entry, Queue};
use crate::replicas::Replicas;
use crate::report::{Conservation, RELAY_KINDS, Report, Status};
use crate::reversals::Reversals;
use crate::setup::Setup;
use crate::shown::Showing;
use crate::slab::Slab;
use crate::store::Store;
use crate::views::Reached;
use crate::votes::{Arrivals, VoteBusy};
use crate::watches::Watches;
use crate::wire::Packet;
use quorate_core::{
    Arrival, Ballot, BlockId, Blocks, Class, Committee, Compact, Content, Digest, Draws, Effect,
    Engine, Finality, Input, Ledger, Level, Load, NodeId, Outbox, Services, Span, Time, hash,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Order of simultaneous events at one node: faults, transactions, messages, thresholds, timers, pending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Rank {
    Fault = 0,
    Gossip = 1,
    GossipLanded = 2,
    Served = 3,
    Landed = 4,
    Arrived = 5,
    Threshold = 6,
    Timer = 7,
    Pending = 8,
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
    /// What a liar does late.
    Late {
        epoch: u32,
        slot: u32,
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
copy!(Job);
pub(crate) use copy;

/// The first number of a second self's blocks.
const SECOND: u32 = 1 << 31;

/// A replica and what the kernel keeps for it. What every block touches stands first, in one cache
/// line with the engine's own.
#[repr(C, align(64))]
pub(crate) struct Node<E: Engine> {
    pub(crate) head: BlockId,
    /// Raised by a crash, which makes everything that was queued for the node stale.
    pub(crate) epoch: u32,
    pub(crate) up: bool,
    pub(crate) engine: E,
    pub(crate) built: u32,
    pub(crate) safe: BlockId,
    pub(crate) fin: BlockId,
    pub(crate) awaiting: Option<Awaiting>,
    /// Sites that this node serves.
    pub(crate) sites: Vec<u32>,
    /// By site of `sites`: watermarks recorded so far for each level.
    pub(crate) recorded: Vec<[u32; 3]>,
}

impl<E: Engine> Node<E> {
    /// A node that is up and has only the genesis block.
    pub(crate) fn new(
        (machine, me): (NodeId, NodeId),
        config: &E::Config,
        setup: &Setup,
        committee: &Committee,
    ) -> Self {
        let genesis = Blocks::<E::Header>::GENESIS;
        let serving = setup.serving.iter().zip(0..);
        let sites: Vec<u32> = serving
            .filter(|(n, _)| **n == machine)
            .map(|(_, s)| s)
            .collect();
        Self {
            engine: E::new(config, me, committee),
            up: true,
            epoch: 0,
            // The blocks of two selves have names of their own.
            built: if machine == me { 0 } else { SECOND },
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
    /// Whether somebody is told what happens.
    pub(crate) is_traced: bool,
    /// Whether an arrival changes nothing but its origin, whoever waits for transactions aside.
    is_undisturbed: bool,
    /// The classes whose writes nothing but their origin need know of.
    pub(crate) plain: Classes,
    /// Whether messages need nobody's attention: no fault swallows them, and nobody is told of them.
    pub(crate) is_plain: bool,
    pub(crate) faults: Faults,
    pub(crate) liars: Liars,
    pub(crate) lies: Lies,
    /// By entry of the liars.
    pub(crate) branches: Vec<Branch<E>>,
    /// What liars will do late.
    pub(crate) late: Slab<Effect<E>>,
    /// Up to which the chain's blocks were counted by who made them.
    pub(crate) counted_chain: BlockId,
    /// When something begins or ends next.
    pub(crate) next_edge: Time,
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) load: Box<dyn Load + 'a>,
    /// The classes with deadlines.
    pub(crate) deadlines: Classes,
    pub(crate) classes: Vec<Class>,
    pub(crate) ahead: Ahead,
    /// By time and the order in which they were called for.
    pub(crate) reactions: BTreeMap<(Time, u64), Arrival>,
    pub(crate) reacted: u64,
    pub(crate) outside: Outside,
    pub(crate) queue: Queue,
    pub(crate) jobs: Jobs<E>,
    /// Events of one instant, the last of which comes next.
    pub(crate) ties: Vec<Entry>,
    keyed: Vec<((u32, u64), Entry)>,
    /// Announcements that may be the first, of one relay.
    pub(crate) firsts: Vec<(Time, NodeId)>,
    pub(crate) lists: Vec<Vec<(Time, NodeId)>>,
    pub(crate) free_lists: Vec<u32>,
    pub(crate) net: Network,
    pub(crate) cpus: Cpus,
    pub(crate) vote_busy: VoteBusy,
    pub(crate) arrivals: Arrivals,
    pub(crate) high_bandwidth_key: u64,
    /// For draws of the relay by block and node.
    pub(crate) relay_key: u64,
    pub(crate) compact: Compact,
    /// Neighbours by hash, of one relay.
    pub(crate) drawn: Vec<(u64, NodeId)>,
    pub(crate) nodes: Vec<Node<E>>,
    /// By node: whether it serves a site. Apart, because every head that is adopted asks.
    pub(crate) serves: Vec<bool>,
    /// Beside the nodes: large, and seldom drawn from.
    draws: Vec<Draws>,
    pub(crate) blocks: Blocks<E::Header>,
    pub(crate) store: Store,
    pub(crate) pool: Pool,
    pub(crate) book: Book<'a>,
    pub(crate) replicas: Replicas<'a>,
    pub(crate) endorsing: Option<Box<Endorsing>>,
    pub(crate) eras: Eras,
    pub(crate) out: Outbox<E>,
    pub(crate) watches: Watches,
    pub(crate) probe: Probe,
    pub(crate) reversals: Reversals,
    pub(crate) showing: Option<Showing<'a>>,
    pub(crate) chain: ChainCounts,
    pub(crate) reads: Reads,
    pub(crate) conservation: Conservation,
    /// Measured arrivals that are not final yet.
    pub(crate) open: u64,
    /// What has reached levels at this instant and is not recorded yet.
    pub(crate) reached: Reached,
    /// When the next slice ends.
    pub(crate) slice_end: Time,
    pub(crate) traffic: Vec<Traffic>,
    pub(crate) gossip_sent: Vec<u64>,
    pub(crate) gossip_share_ppm: u64,
    pub(crate) lost: u64,
    pub(crate) events: u64,
    pub(crate) inputs: u64,
    /// Nodes that wait for transactions.
    pub(crate) awaiting: Vec<NodeId>,
    pub(crate) adopt_delay: (u64, u64),
    /// How many nodes are half, nine tenths and all of those that are up.
    pub(crate) shares: [u32; 3],
    pub(crate) propagation: [LatencyHistogram; 3],
    pub(crate) status: Status,
    pub(crate) violation: Option<String>,
    /// Committed blocks by height, and how many members of the committee have committed each.
    pub(crate) committed: std::collections::VecDeque<(BlockId, u32)>,
    pub(crate) committed_from: u32,
    pub(crate) at_height: std::collections::VecDeque<u32>,
    pub(crate) at_height_from: u32,
    pub(crate) settled_height: u32,
    /// Up to where transactions were settled, if that was further.
    pub(crate) settled_txs_height: u32,
    /// The height at which to look again for what can be forgotten.
    pub(crate) settle_at: u64,
    pub(crate) spread_marks: [Vec<u32>; 2],
    /// How high the final block of each node is that serves sites.
    pub(crate) final_heights: Vec<u32>,
    pub(crate) spread_height: [u32; 2],
    /// Nodes that serve sites, in order.
    pub(crate) serving: Vec<NodeId>,
    pub(crate) scratch: Vec<u32>,
    pub(crate) marks: [Vec<u32>; 2],
    pub(crate) path: Vec<BlockId>,
    pub(crate) order: Vec<Place>,
    pub(crate) runs: Vec<Run>,
    /// The classes whose records belong to one site each, and which nobody wants to be shown in order.
    pub(crate) apart: Classes,
    pub(crate) digest: Digest,
    pub(crate) now: Time,
}

/// So many machines, and what each draws from. Two selves of a node draw alike: they are one.
fn machines<E: Engine>(
    config: &E::Config,
    setup: &Setup,
    committee: &Committee,
    (machines, liars): (u32, &Liars),
) -> (Vec<Node<E>>, Vec<Draws>) {
    let all = (0..machines).map(NodeId::new);
    let machine = |i: NodeId| {
        let who = liars.who(i);
        let draws = setup.seed.stream("engine", u64::from(who.get()));
        (Node::new((i, who), config, setup, committee), draws)
    };
    all.map(machine).unzip()
}

/// Whether what is final is safe.
const fn is_sound(finality: Finality) -> bool {
    match finality {
        Finality::Depth { safe, fin } => safe <= fin,
        Finality::Commit | Finality::Conditional => true,
    }
}

/// Time, rank and node: what the queue orders by.
const fn group(entry: Entry) -> (u64, u64) {
    (entry.time_ns, entry.key & !(u32::MAX as u64))
}

pub(crate) struct View<'a> {
    pub(crate) eras: &'a Eras,
    pub(crate) store: &'a Store,
    pub(crate) faults: &'a Faults,
    pub(crate) now: Time,
    /// Whose context it is.
    pub(crate) machine: NodeId,
    pub(crate) me: NodeId,
}

impl View<'_> {
    /// The machine that a node is, seen from here.
    fn machine(&self, node: NodeId) -> NodeId {
        if node == self.me { self.machine } else { node }
    }
}

impl Services for View<'_> {
    fn reached(&self, node: NodeId, ballot: Ballot) -> bool {
        self.eras.reached(self.machine(node), ballot)
    }

    fn holds(&self, node: NodeId, block: BlockId) -> bool {
        self.store.holds(self.machine(node), block)
    }

    fn committee_at(&self, height: u32) -> Option<&Committee> {
        Some(self.eras.committee(height))
    }

    fn wall(&self, node: NodeId, _: Time) -> Time {
        self.faults.wall(self.machine(node), self.now)
    }
}

/// A context for one node, borrowing fields apart from the nodes.
macro_rules! context {
    ($sim:expr, $node:expr) => {
        quorate_core::Context {
            clock: $sim.faults.clock($node, $sim.now),
            me: $sim.liars.who($node),
            nodes: $sim.setup.network.region_of.len() as u32,
            committee: $sim.eras.first(),
            blocks: &$sim.blocks,
            costs: &$sim.setup.costs,
            services: &$crate::sim::View {
                eras: &$sim.eras,
                store: &$sim.store,
                faults: &$sim.faults,
                now: $sim.now,
                machine: $node,
                me: $sim.liars.who($node),
            },
        }
    };
}

pub(crate) use context;

impl<'a, E: Engine> Simulation<'a, E> {
    /// A simulation at its start. The configuration must have passed [`Engine::validate`].
    #[expect(clippy::too_many_lines, reason = "a line for each field")]
    pub fn new(
        config: &E::Config,
        mut setup: Setup,
        load: Box<dyn Load + 'a>,
        ledger: &'a dyn Ledger,
    ) -> Self {
        let nodes = setup.network.region_of.len() as u32;
        let liars = Liars::new(setup.corrupt.clone(), nodes);
        let seconds = liars.seconds();
        let net = Network::new(setup.network.clone(), &seconds, setup.seed);
        let n = net.nodes();
        let committee = E::committee(config, nodes);
        let sites = setup.serving.len() as u32;
        assert_eq!(sites, load.sites(), "every site needs a serving node");
        let (pool, gossip_share_ppm) = gossip::pool(&net, &setup);
        // From here on a site is an origin of the pool.
        setup.serving = Pool::expand(&setup.serving, setup.mempool.fees.levels());
        let sites = pool.sites();
        assert!(is_sound(setup.finality), "what is final is safe");
        let genesis = Blocks::<E::Header>::GENESIS;
        let lies = Lies::of(liars.len(), E::promises(config, nodes).byzantine);
        let (nodes, draws) = machines(config, &setup, &committee, (n, &liars));
        let mut serving = setup.serving.clone();
        serving.sort_unstable();
        serving.dedup();
        let faults = Faults::new(setup.faults.clone());
        let classes = load.classes().to_vec();
        let reason = mvcc_invalid(ledger);
        let endorsing = setup
            .endorse
            .map(|rules| Box::new(Endorsing::new(rules, load.sites(), &setup.costs, reason)));
        let kernel = RELAY_KINDS.len() + GOSSIP_KINDS.len();
        let endorse_kinds = endorsing.as_ref().map_or(0, |_| ENDORSE_KINDS.len());
        let kinds = E::KINDS.len() + E::PHASES.len() + kernel + endorse_kinds;
        let mut sim = Self {
            is_traced: setup.trace.is_some(),
            plain: Classes::NONE,
            is_undisturbed: setup.forms.bulk
                && faults.is_empty()
                && endorsing.is_none()
                && load.deadlines().is_empty()
                && !setup.mempool.is_limited()
                && !pool.is_explicit(),
            is_plain: faults.is_empty() && setup.trace.is_none(),
            next_edge: faults.next_edge(Time::ZERO),
            cpus: Cpus::new(n, setup.cores, setup.cpu_speed, faults.paces()),
            faults,
            branches: liars.entries().iter().map(|_| Branch::default()).collect(),
            late: Slab::new(),
            counted_chain: genesis,
            ledger,
            probe: Probe::new(
                &classes,
                usize::from(reason) + usize::from(endorsing.is_some()),
                setup.horizon,
                setup.may_cut,
            )
            .watching(Incidents::new(&setup.faults, n), setup.read_level),
            reversals: Reversals::new(&classes),
            showing: None,
            classes,
            apart: Classes::of(load.local().iter().copied()),
            deadlines: Classes::of(load.deadlines().iter().copied()),
            load,
            ahead: Ahead::default(),
            reactions: BTreeMap::new(),
            reacted: 0,
            outside: Outside::default(),
            queue: Queue::new(),
            jobs: Jobs::new(),
            ties: Vec::new(),
            keyed: Vec::new(),
            firsts: Vec::new(),
            lists: Vec::new(),
            free_lists: Vec::new(),
            vote_busy: VoteBusy::new(n),
            arrivals: Arrivals::default(),
            high_bandwidth_key: setup.seed.key("high-bandwidth peers"),
            relay_key: setup.seed.key("relay"),
            compact: E::compact(config),
            drawn: Vec::new(),
            blocks: Blocks::new(E::genesis(config)),
            store: Store::new(n, sites),
            pool,
            book: Book::new(ledger, setup.forms.bulk),
            replicas: Replicas::default(),
            endorsing,
            eras: Eras::new(committee, seconds, &net),
            liars,
            lies,
            out: Outbox::new(),
            watches: Watches::new(serving.len(), sites, setup.horizon),
            chain: ChainCounts::default(),
            reads: Reads::default(),
            conservation: Conservation::default(),
            open: 0,
            reached: Reached::NOTHING,
            slice_end: Time::ZERO,
            traffic: vec![Traffic::default(); kinds],
            gossip_sent: vec![0; n as usize],
            gossip_share_ppm,
            lost: 0,
            events: 0,
            inputs: 0,
            awaiting: Vec::new(),
            adopt_delay: (0, 0),
            shares: [0; 3],
            propagation: Default::default(),
            status: Status::Ok,
            violation: None,
            committed: std::collections::VecDeque::from([(genesis, 0)]),
            committed_from: 0,
            at_height: std::collections::VecDeque::new(),
            at_height_from: 1,
            settled_height: 0,
            settled_txs_height: 0,
            settle_at: 0,
            final_heights: vec![0; serving.len()],
            spread_marks: [vec![0; sites as usize], vec![0; sites as usize]],
            spread_height: [0; 2],
            serving,
            scratch: Vec::new(),
            marks: Default::default(),
            path: Vec::new(),
            order: Vec::new(),
            runs: Vec::new(),
            digest: Digest::new(),
            now: Time::ZERO,
            net,
            serves: nodes.iter().map(|node| !node.sites.is_empty()).collect(),
            nodes,
            draws,
            setup,
        };
        if !sim.setup.forms.shared {
            sim.replicas = Replicas::new(sim.nodes.len(), ledger);
        }
        sim.start();
        sim
    }

    /// Lets everything begin that begins by itself.
    fn start(&mut self) {
        self.ahead.advance(&mut *self.load);
        for (i, edge) in self.faults.edges().to_vec().into_iter().enumerate() {
            self.push(edge, Rank::Fault, NodeId::new(i as u32), Job::Fault);
        }
        self.slice_end = self.probe.slice_end(0);
        self.count_live();
        for i in 0..self.net.nodes() {
            let node = NodeId::new(i);
            if self.faults.down(node, Time::ZERO) {
                self.nodes[node.index()].up = false;
            } else {
                self.handle(node, Input::Start);
            }
        }
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
        (!self.is_over(next)).then_some(next)
    }

    /// Whether the run ends before what is due `next`.
    #[inline]
    fn is_over(&mut self, next: Time) -> bool {
        next >= self.setup.horizon && self.ends(next)
    }

    fn ends(&mut self, next: Time) -> bool {
        self.close_slices(next);
        if self.is_hopeless() {
            self.status = Status::Saturated;
            // The horizon, whatever the last event was: forms have different ones.
            self.now = self.setup.horizon;
            return true;
        }
        next > self.setup.horizon + self.setup.drain || !self.is_open()
    }

    /// Whether some measured arrival is not accounted for.
    pub(crate) fn is_open(&self) -> bool {
        self.open > 0 || self.watches.open()
    }

    /// Whether waiting after the horizon is pointless in a steady study: a tenth of everything that
    /// was submitted is in no block, and the backlog has grown by half since the middle.
    pub(crate) fn is_hopeless(&self) -> bool {
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
    pub(crate) fn ended(&self) -> Time {
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
                if let Some(entry) = self.pop_until(u64::MAX) {
                    self.dispatch(entry);
                }
            }
        }
    }

    /// Runs to the end. The same as [`next_time`](Self::next_time) and [`advance`](Self::advance) in
    /// turn, but it looks no further ahead than it must, which keeps the queue fast.
    pub fn run(&mut self) {
        self.plain = self.plain_classes();
        while self.status == Status::Ok && self.step() {}
    }

    /// Lets the next thing happen; whether there was any.
    fn step(&mut self) -> bool {
        #[cfg(feature = "slow")]
        crate::slow::waste();
        if let Some(last) = self.calm_until() {
            return self.step_calmly(last);
        }
        let arrival = self.next_arrival();
        let last = arrival.map_or(Some(u64::MAX), |at| at.ns().checked_sub(1));
        if let Some(entry) = last.and_then(|last| self.pop_until(last)) {
            let now = Time::from_ns(entry.time_ns);
            if self.is_over(now) {
                return false;
            }
            self.close_slices(now);
            self.dispatch(entry);
        } else {
            let Some(now) = arrival.filter(|&at| !self.is_over(at)) else {
                return false;
            };
            self.queue.advance_to(now.ns());
            self.close_slices(now);
            self.admit();
        }
        true
    }

    /// The last of the next arrivals, if none of them causes an event and the run is not over by then.
    fn calm_until(&self) -> Option<Time> {
        let last = self.ahead.last()?.at;
        let calm = self.is_undisturbed && self.awaiting.is_empty() && self.reactions.is_empty();
        (calm && last < self.setup.horizon).then_some(last)
    }

    /// Lets the next event happen, and all arrivals before it; without one, all arrivals by `last`.
    fn step_calmly(&mut self, last: Time) -> bool {
        let before = last.ns().checked_sub(1);
        let event = before.and_then(|before| self.pop_until(before));
        let until = event.map_or(last, |e| Time::from_ns(e.time_ns));
        self.admit_until(until);
        match event {
            Some(entry) if self.status == Status::Ok => {
                self.close_slices(until);
                self.dispatch(entry);
            }
            Some(_) => {}
            None => self.queue.advance_to(until.ns()),
        }
        true
    }

    /// Samples the backlog at the end of every slice that is over by `now`.
    #[inline]
    pub(crate) fn close_slices(&mut self, now: Time) {
        while now >= self.slice_end {
            self.close_slice();
        }
    }

    #[cold]
    fn close_slice(&mut self) {
        let backlog = self.backlog();
        self.probe.backlog.push(backlog);
        self.slice_end = match self.probe.backlog.len() {
            crate::probe::SLICES.. => Time::NEVER,
            slice => self.probe.slice_end(slice),
        };
    }

    /// Submitted writes that are in no block of their site's node.
    fn backlog(&self) -> u64 {
        let in_blocks: u64 = self
            .serving
            .iter()
            .flat_map(|node| &self.nodes[node.index()].recorded)
            .map(|levels| u64::from(levels[Level::Included as usize]))
            .sum();
        self.conservation.submitted - self.pool.turned_away - in_blocks
    }

    pub(crate) fn peek(&mut self) -> Option<Entry> {
        match (self.ties.last().copied(), self.queue.peek()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The next event in the total order: what the queue leaves open, events of the same instant,
    /// rank and destination, is settled by content.
    #[inline]
    pub(crate) fn pop_until(&mut self, last: u64) -> Option<Entry> {
        // Nothing is due before what is tied, so that the queue's next is of the same time or later.
        if let Some(&tie) = self.ties.last() {
            if tie.time_ns > last {
                return None;
            }
            let next = self.queue.peek_now();
            if next.is_none_or(|next| group(next) > group(tie)) {
                return self.ties.pop();
            }
        }
        let first = self.queue.pop_until(last)?;
        let joins = |other: Option<Entry>| other.is_some_and(|e| group(e) == group(first));
        if joins(self.queue.peek_now()) || joins(self.ties.last().copied()) {
            return self.break_ties(first);
        }
        Some(first)
    }

    /// Settles by content who of the group of `first` comes first; the others are kept in order.
    #[inline(never)]
    fn break_ties(&mut self, first: Entry) -> Option<Entry> {
        let mut keyed = core::mem::take(&mut self.keyed);
        keyed.clear();
        keyed.push((self.tie_break(first.key as u32), first));
        while let Some(tie) = self.ties.pop_if(|tie| group(*tie) == group(first)) {
            keyed.push((self.tie_break(tie.key as u32), tie));
        }
        while let Some(next) = self.queue.peek_now().filter(|e| group(*e) == group(first)) {
            self.queue.pop();
            keyed.push((self.tie_break(next.key as u32), next));
        }
        // What is equal but for its place is the same thing twice.
        keyed.sort_unstable_by_key(|&keyed| Reverse(keyed));
        self.ties.extend(keyed.iter().map(|&(_, entry)| entry));
        self.keyed = keyed;
        self.ties.pop()
    }

    /// Source and content of a queued event.
    pub(crate) fn tie_break(&self, slot: u32) -> (u32, u64) {
        // Equal content from one source is the same thing twice; its order cannot matter.
        match self.jobs.get(slot) {
            Job::Fault => (0, 0),
            Job::Packet(p) | Job::Cursor { packet: p, .. } => {
                (p.from.get(), self.content(&p.payload))
            }
            Job::Served { input, .. } => self.input_word(&input),
            Job::Counted { from, ballot, .. } => (from.get(), ballot.content(&self.blocks)),
            Job::Threshold { ballot, .. } => (0, ballot.content(&self.blocks)),
            Job::Timer { timer, .. } => (0, timer.content(&self.blocks)),
            Job::Late { slot, .. } => (1, self.effect_word(self.late.get(slot))),
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

    pub(crate) fn push_slot(&mut self, at: Time, rank: Rank, node: NodeId, slot: u32) {
        debug_assert!(node.get() < 1 << 28, "28 bits of the key name the node");
        let key = (rank as u64) << 60 | u64::from(node.get()) << 32 | u64::from(slot);
        self.queue.push(Entry {
            time_ns: at.ns(),
            key,
        });
    }

    pub(crate) fn dispatch(&mut self, entry: Entry) {
        self.now = Time::from_ns(entry.time_ns);
        self.events += 1;
        if self.events > self.setup.limits.events {
            self.status = Status::Limit;
            return;
        }
        let slot = entry.key as u32;
        let node = NodeId::new((entry.key >> 32) as u32 & 0x0fff_ffff);
        let landed = [Rank::Landed as u64, Rank::GossipLanded as u64].contains(&(entry.key >> 60));
        let mut job = self.jobs.remove(slot);
        if let Job::Cursor { packet, list, next } = job {
            self.advance_cursor(packet, list, next);
            job = Job::Packet(packet);
        }
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
                let Some(tally) = self.eras.of(ballot) else {
                    return;
                };
                let (decides, next) = tally.tell(slot, ballot, node, self.now);
                if let Some((at, to)) = next {
                    self.push(at, Rank::Threshold, to, Job::Threshold { slot, ballot });
                }
                if decides {
                    debug_assert!(self.nodes[node.index()].up, "votes to it are lost");
                    self.handle(node, Input::Threshold(ballot));
                }
            }
            Job::Timer { epoch, timer } if current(epoch) => self.handle(node, Input::Timer(timer)),
            Job::Late { epoch, slot } => {
                let current = current(epoch);
                let effect = self.late.remove(slot);
                if current {
                    self.do_effect(node, &effect);
                }
            }
            Job::Pending { epoch } if current(epoch) => self.pending_due(node),
            Job::Served { .. } | Job::Counted { .. } | Job::Timer { .. } | Job::Pending { .. } => {}
        }
    }

    // ---- engines --------------------------------------------------------------------------

    /// A checked input reaches its engine.
    pub(crate) fn served(&mut self, node: NodeId, input: Input<E>) {
        if let Input::Body { block, .. } | Input::Header { block, .. } = input
            && !self.is_live(block)
        {
            return;
        }
        if !self.liars.is_empty() && self.is_refused(node, input) {
            return;
        }
        match input {
            Input::Body { block, .. } => self.hold(node, block),
            Input::Message { message, .. } => {
                if let Some(block) = E::carries(&message).filter(|&b| self.blocks.find(b).is_some())
                {
                    self.hold(node, block);
                }
            }
            _ => {}
        }
        self.handle(node, input);
        if let Input::Body { block, .. } = input
            && !self.liars.is_empty()
        {
            self.heard_block(node, block);
        }
    }

    /// Whether an input is not handed in: what it brings does not execute, or a liar does not want to
    /// know yet.
    fn is_refused(&mut self, node: NodeId, input: Input<E>) -> bool {
        let brings = match input {
            Input::Body { block, .. } => Some(block),
            Input::Message { ref message, .. } => E::carries(message),
            _ => None,
        };
        brings.is_some_and(|block| self.refuses(node, block)) || self.comes_later(node, input)
    }

    /// A node has checked a block. Records how long that took when the nodes that have done so have
    /// become half, nine tenths or all of those that are up.
    pub(crate) fn hold(&mut self, node: NodeId, block: BlockId) {
        for share in self.store.hold(node, block, &self.shares) {
            let age = self.now.since(self.store.built(block));
            self.propagation[share].record(age.ns() / 1_000);
        }
    }

    /// Who is up has changed.
    pub(crate) fn count_live(&mut self) {
        let up = |i: &u32| !self.faults.down(NodeId::new(*i), self.now);
        let live = (0..self.net.nodes()).filter(up).count() as u32;
        self.shares = [live.div_ceil(2), live - live / 10, live];
    }

    pub(crate) fn handle(&mut self, node: NodeId, input: Input<E>) {
        if self.is_traced {
            return self.handle_traced(node, input);
        }
        self.take_in(node, input);
    }

    #[inline]
    pub(crate) fn take_in(&mut self, node: NodeId, input: Input<E>) {
        self.inputs += 1;
        let (source, word) = self.input_word(&input);
        self.digest.add(self.now.ns());
        self.digest
            .add(u64::from(node.get()) << 32 | u64::from(source));
        self.digest.add(word);
        let state = &mut self.nodes[node.index()];
        state.engine.handle(
            &context!(self, node),
            &mut self.draws[node.index()],
            input,
            &mut self.out,
        );
        let effects = self.out.take();
        if self.is_traced {
            self.trace_effects(node, &effects);
        }
        for effect in &effects {
            self.carry_out(node, effect);
        }
        self.out.recycle(effects);
    }

    /// Source and content of an input; also what the digest folds.
    pub(crate) fn input_word(&self, input: &Input<E>) -> (u32, u64) {
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

    pub(crate) fn carry_out(&mut self, node: NodeId, effect: &Effect<E>) {
        let word = self.effect_word(effect);
        self.digest.add(word);
        if !self.liars.lies(node) || !self.twist(node, effect) {
            self.do_effect(node, effect);
        }
    }

    pub(crate) fn do_effect(&mut self, node: NodeId, effect: &Effect<E>) {
        match *effect {
            Effect::Send { to, message } => self.send_message(node, to, message),
            Effect::Vote(ballot) => self.vote(node, ballot),
            Effect::Relay { block, rule } => self.relay(node, block, rule),
            Effect::Fetch { block, from } => {
                self.ask(node, self.liars.machine(from, node), block, false);
            }
            Effect::Sync { from } => {
                self.send_sync_request(node, self.liars.machine(from, node));
            }
            Effect::BuildBlock {
                parent,
                header,
                limits,
                as_of,
                cost,
            } => {
                let seen = |shown| self.faults.last_before(node, shown, self.now);
                let as_of = as_of.map_or(self.now, seen);
                let block = self.build(node, parent, header, &limits, as_of);
                self.after_cpu(node, cost, Input::BlockBuilt(block));
            }
            Effect::Seal {
                parent,
                header,
                roots,
                cost,
            } => {
                let block = self.seal_block(node, parent, header, roots);
                self.after_cpu(node, cost, Input::BlockBuilt(block));
            }
            Effect::AwaitPending { count, bytes } => self.await_pending(node, (count, bytes)),
            Effect::SetTimer { at, timer } => {
                let epoch = self.nodes[node.index()].epoch;
                let due = self.faults.when(node, at, self.now);
                self.push(due, Rank::Timer, node, Job::Timer { epoch, timer });
            }
            Effect::Adopt(block) => self.adopt(node, block),
            Effect::Safe(block) => self.advance_level(node, Level::Safe, block),
            Effect::Commit(block) => self.commit(node, block),
            Effect::RoundChange { .. } => self.chain.round_changes += 1,
            Effect::Evidence { .. } => self.chain.evidence += 1,
            Effect::Elect {
                height,
                member,
                weight,
            } => self.elect(node, (height, member, weight)),
            Effect::Tell(word) => self.tell(node, word),
        }
    }

    /// What the digest folds of an effect.
    pub(crate) fn effect_word(&self, effect: &Effect<E>) -> u64 {
        let name = |block: BlockId| self.blocks.name(block);
        let (kind, word) = match *effect {
            Effect::Send { ref message, .. } => (0, message.content(&self.blocks)),
            Effect::Vote(ballot) => (1, ballot.content(&self.blocks)),
            Effect::Relay { block, .. } => (2, name(block)),
            Effect::Fetch { block, .. } => (3, name(block)),
            Effect::Sync { from } => (4, u64::from(from.get())),
            Effect::BuildBlock { parent, .. } | Effect::Seal { parent, .. } => (5, name(parent)),
            Effect::AwaitPending { count, bytes } => (6, hash::fold(u64::from(count), bytes)),
            Effect::SetTimer { at, ref timer } => {
                (7, hash::fold(at.ns(), timer.content(&self.blocks)))
            }
            Effect::Adopt(block) => (8, name(block)),
            Effect::Safe(block) => (9, name(block)),
            Effect::Commit(block) => (10, name(block)),
            Effect::RoundChange { round } => (11, u64::from(round)),
            Effect::Evidence { against } => (12, u64::from(against.get())),
            Effect::Elect {
                height,
                member,
                weight,
            } => {
                let who = u64::from(height) << 32 | u64::from(member.get());
                (13, hash::fold(who, weight))
            }
            Effect::Tell(word) => (14, word),
        };
        hash::fold(word, kind)
    }

    /// Lets an input wait for the node's CPU.
    pub(crate) fn after_cpu(&mut self, node: NodeId, cost: Span, input: Input<E>) {
        let done = self.cpus.serve(node, self.now, cost);
        let epoch = self.nodes[node.index()].epoch;
        self.push(done, Rank::Served, node, Job::Served { epoch, input });
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
        self.record_reached();
        self.probe.close();
        self.show_the_rest();
        if !self.liars.is_empty() {
            self.count_chain_to_the_end();
        }
        let last = self.probe.backlog.last().copied().unwrap_or(0);
        self.probe.backlog.resize(crate::probe::SLICES, last);
        self.chain.evidence += self.eras.equivocations();
        self.chain.apart = self.apart();
        self.conservation.pending = self.pending_now();
        let c = &self.conservation;
        if c.submitted != c.valid + c.rejected + c.expired + c.dropped + c.pending {
            self.status = Status::SafetyViolation;
            self.violation = Some(format!("transactions are not conserved: {c:?}"));
        }
        let replicas = self.compare_replicas().unwrap_or_else(|difference| {
            self.status = Status::SafetyViolation;
            self.violation = Some(difference);
            0
        });
        let endorsed = self.endorsing.as_ref().map(|e| e.counts);
        let refused = endorsed.map_or(0, |e| e.refused);
        let in_blocks = self.finished() - self.conservation.dropped - refused;
        if self.status == Status::Ok && self.conservation.submitted > 0 && in_blocks == 0 {
            self.status = Status::NoCommit;
        }
        self.watches.close(&mut self.probe);
        let gossip = self.gossip_report();
        let names = E::KINDS.iter().chain(E::PHASES).copied().chain(RELAY_KINDS);
        let names = names.chain(endorsed.into_iter().flat_map(|_| ENDORSE_KINDS));
        let samples = self.adopt_delay.1;
        let (reversed, reversed_classes) = self.reversals.report();
        let incidents = core::mem::take(&mut self.probe.incidents).finish(ended);
        Report {
            status: self.status,
            violation: self.violation,
            ended,
            horizon: self.setup.horizon,
            probe: self.probe,
            chain: self.chain,
            reads: self.reads,
            incidents,
            reversed,
            reversed_classes,
            traffic: names.zip(self.traffic).collect(),
            gossip,
            lost: self.lost,
            conservation: self.conservation,
            events: self.events,
            inputs: self.inputs,
            uplink_busy: self.net.uplink_busy,
            cpu_busy: self.cpus.busy,
            vote_busy: self.vote_busy.total(),
            ballot_forms: self.eras.forms(),
            adopt_delay: (Span::from_ns(self.adopt_delay.0 / samples.max(1)), samples),
            propagation: self.propagation,
            anchoring: None,
            endorsed,
            replicas,
            lies: (!self.liars.is_empty()).then(|| Box::new(self.lies)),
            digest: self.digest.get(),
        }
    }
}
