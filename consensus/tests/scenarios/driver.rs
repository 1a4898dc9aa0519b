//! A small deterministic world for engines: a virtual clock, one constant delay that may be made
//! random, a sorted list of what is due, a tally, crashes, partitions and loss. No CPU, no
//! bandwidth.

use quorate_core::engine::Certs;
use quorate_core::{
    Ballot, Block, BlockId, BlockKey, Blocks, Committee, Context, Costs, Draws, Effect, Engine,
    Input, NodeId, Outbox, Relay, Seed, Services, Span, Time, To,
};
use std::collections::{BTreeMap, BTreeSet};

/// The `i`-th node.
pub(crate) const fn node(i: u32) -> NodeId {
    NodeId::new(i)
}

/// An instant, in milliseconds.
pub(crate) const fn at_ms(ms: u64) -> Time {
    Time::from_ns(ms * 1_000_000)
}

/// What is on its way, as the loss predicate sees it.
pub(crate) struct Packet<'a, E: Engine> {
    pub(crate) sent: Time,
    pub(crate) to: NodeId,
    pub(crate) load: &'a Load<E>,
}

/// What travels or falls due.
pub(crate) enum Load<E: Engine> {
    Message(E::Message),
    Vote(Ballot),
    Header(BlockId),
    Body(BlockId),
    Fetch(BlockId),
    Sync,
    Timer(E::Timer),
    Built(BlockId),
    Threshold(Ballot),
    Pending,
}

struct Due<E: Engine> {
    to: NodeId,
    from: NodeId,
    /// The receiver's incarnation: a crash loses what is on its way and its timers.
    life: u32,
    load: Load<E>,
}

/// What the kernel keeps for engines.
#[derive(Default)]
struct Kept {
    reached: BTreeSet<(NodeId, Ballot)>,
    holds: BTreeSet<(NodeId, BlockId)>,
    /// By the first height; the last one applies.
    eras: BTreeMap<u32, Committee>,
    elected: BTreeMap<(u32, NodeId), u64>,
}

impl Services for Kept {
    fn reached(&self, node: NodeId, ballot: Ballot) -> bool {
        self.reached.contains(&(node, ballot))
    }

    fn holds(&self, node: NodeId, block: BlockId) -> bool {
        self.holds.contains(&(node, block))
    }

    fn committee_at(&self, height: u32) -> Option<&Committee> {
        self.eras.range(..=height).next_back().map(|era| era.1)
    }
}

impl Kept {
    /// As in the kernel: all who elect say the same, and before the height.
    fn elect(&mut self, height: u32, member: NodeId, weight: u64) {
        if let Some(known) = self.elected.insert((height, member), weight) {
            assert_eq!(known, weight, "{member} is elected twice for {height}");
            return;
        }
        let before = self.committee_at(height).expect("the first").clone();
        self.eras.entry(height).or_insert(before);
        for (_, committee) in self.eras.range_mut(height..) {
            *committee = committee.elect(member, weight);
        }
    }
}

/// Something an engine did, with its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    Adopt(BlockId),
    Commit(BlockId),
    RoundChange(u32),
    Evidence(NodeId),
    Elect(u32, NodeId, u64),
    Sync(NodeId),
    Fetch(BlockId),
    Relay(BlockId),
    /// A block was ordered: on which parent, with transactions as of when.
    Build(BlockId, Option<Time>),
}

type Loss<E> = Box<dyn FnMut(&Packet<'_, E>) -> bool>;

/// Replicas and what is between them.
pub(crate) struct World<E: Engine> {
    pub(crate) now: Time,
    pub(crate) delay: Span,
    pub(crate) blocks: Blocks<E::Header>,
    pub(crate) replicas: Vec<E>,
    pub(crate) committee: Committee,
    pub(crate) notes: Vec<(Time, NodeId, Note)>,
    /// Sends by kind, and their bytes; a broadcast counts once per receiver.
    pub(crate) messages: BTreeMap<&'static str, (u64, u64)>,
    pub(crate) out: Outbox<E>,
    /// What replicas did, and what checking bodies would have cost them, once somebody asks for it.
    /// A timer that was set is not yet a deed.
    pub(crate) trace: Option<Vec<String>>,
    queue: BTreeMap<(Time, u8, u64), Due<E>>,
    sequence: u64,
    draws: Vec<Draws>,
    kept: Kept,
    announced: BTreeSet<(NodeId, BlockId)>,
    votes: BTreeMap<(NodeId, Ballot), BTreeSet<NodeId>>,
    life: Vec<u32>,
    down: Vec<bool>,
    apart: BTreeSet<NodeId>,
    loss: Option<Loss<E>>,
    jitter: Option<(Span, Draws)>,
    made: Vec<u32>,
    heads: Vec<BlockId>,
    /// When each transaction was submitted.
    submitted: Vec<Time>,
    /// For each block, how many of them its branch contains.
    included: BTreeMap<BlockId, u32>,
    awaiting: Vec<bool>,
}

impl<E: Engine> World<E> {
    /// Nodes that have not started yet.
    pub(crate) fn new(config: &E::Config, nodes: u32, delay: Span, seed: u64) -> Self {
        E::validate(config, nodes).expect("the test's configuration is valid");
        let committee = E::committee(config, nodes);
        let genesis = Blocks::<E::Header>::GENESIS;
        let mut kept = Kept::default();
        kept.holds.extend((0..nodes).map(|i| (node(i), genesis)));
        kept.eras.insert(0, committee.clone());
        let n = nodes as usize;
        Self {
            now: Time::ZERO,
            delay,
            blocks: Blocks::new(E::genesis(config)),
            replicas: (0..nodes)
                .map(|i| E::new(config, node(i), &committee))
                .collect(),
            committee,
            notes: Vec::new(),
            messages: BTreeMap::new(),
            out: Outbox::new(),
            trace: None,
            queue: BTreeMap::new(),
            sequence: 0,
            draws: (0..nodes)
                .map(|i| Seed::new(seed, 0).stream("engine", u64::from(i)))
                .collect(),
            kept,
            announced: BTreeSet::new(),
            votes: BTreeMap::new(),
            life: vec![0; n],
            down: vec![false; n],
            apart: BTreeSet::new(),
            loss: None,
            jitter: None,
            made: vec![0; n],
            heads: vec![genesis; n],
            submitted: Vec::new(),
            included: BTreeMap::from([(genesis, 0)]),
            awaiting: vec![false; n],
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<E> {
        (0..self.replicas.len() as u32).map(node)
    }

    /// Everybody who is not down starts.
    pub(crate) fn start(&mut self) {
        for i in self.nodes() {
            if !self.down[i.index()] {
                self.give(i, Input::Start);
            }
        }
    }

    pub(crate) fn crash(&mut self, nodes: &[u32]) {
        for &i in nodes {
            self.down[i as usize] = true;
            self.life[i as usize] += 1;
            self.awaiting[i as usize] = false;
        }
    }

    pub(crate) fn restart(&mut self, i: u32) {
        self.down[i as usize] = false;
        self.give(node(i), Input::Restarted);
    }

    pub(crate) fn is_down(&self, i: u32) -> bool {
        self.down[i as usize]
    }

    pub(crate) fn down_count(&self) -> usize {
        self.down.iter().filter(|d| **d).count()
    }

    /// These nodes and the others cannot reach each other; an empty list heals.
    pub(crate) fn partition(&mut self, nodes: &[u32]) {
        self.apart = nodes.iter().copied().map(node).collect();
    }

    /// Loses what the predicate says.
    pub(crate) fn lose(&mut self, loss: impl FnMut(&Packet<'_, E>) -> bool + 'static) {
        self.loss = Some(Box::new(loss));
    }

    pub(crate) fn lose_nothing(&mut self) {
        self.loss = None;
    }

    /// Every message takes up to so much longer, each for itself: they overtake each other.
    pub(crate) fn reorder(&mut self, longest: Span, draws: Draws) {
        self.jitter = Some((longest, draws));
    }

    /// A transaction arrives, seen everywhere at once.
    pub(crate) fn submit(&mut self) {
        self.submitted.push(self.now);
        for i in self.nodes() {
            self.wake(i);
        }
    }

    /// Runs to an instant, everything due at it included.
    pub(crate) fn run_until(&mut self, end: Time) {
        while let Some(entry) = self.queue.first_entry() {
            let time = entry.key().0;
            if time > end {
                break;
            }
            let due = entry.remove();
            self.now = time;
            self.arrive(due);
        }
        self.now = end;
    }

    /// Hands a message to a node now, as if it had come from `from`.
    pub(crate) fn deliver(&mut self, from: u32, to: u32, message: E::Message) {
        if let Some(block) = E::carries(&message) {
            self.kept.holds.insert((node(to), block));
        }
        let from = node(from);
        self.give(node(to), Input::Message { from, message });
    }

    pub(crate) fn give(&mut self, to: NodeId, input: Input<E>) {
        let context = Context {
            clock: self.now,
            me: to,
            nodes: self.replicas.len() as u32,
            committee: &self.committee,
            blocks: &self.blocks,
            costs: &Costs::FREE,
            services: &self.kept,
        };
        let draws = &mut self.draws[to.index()];
        self.replicas[to.index()].handle(&context, draws, input, &mut self.out);
        let mut effects = self.out.take();
        for effect in effects.drain(..) {
            if !matches!(effect, Effect::SetTimer { .. }) {
                self.record(to, &effect);
            }
            self.perform(to, effect);
        }
        self.out.recycle(effects);
    }

    /// A block that nobody ordered, for crafted messages.
    pub(crate) fn forge(&mut self, creator: u32, parent: BlockId, header: E::Header) -> BlockId {
        let block = self.make(node(creator), parent, header, None);
        self.kept.holds.insert((node(creator), block));
        block
    }

    pub(crate) fn hold(&mut self, i: u32, block: BlockId) {
        self.kept.holds.insert((node(i), block));
    }

    pub(crate) fn txs(&self, block: BlockId) -> u32 {
        self.blocks.get(block).txs
    }

    pub(crate) fn certs(&mut self) -> &mut Certs {
        &mut self.out.certs
    }

    fn perform(&mut self, me: NodeId, effect: Effect<E>) {
        match effect {
            Effect::Send { to, message } => {
                let wire = self.with_context(me, |e, c| e.wire(&message, c));
                for to in self.recipients(me, to) {
                    self.count(E::KINDS[wire.kind as usize], wire.bytes);
                    self.send(me, to, Load::Message(message));
                }
            }
            Effect::Vote(ballot) => {
                let wire = self.with_context(me, |e, c| e.vote_wire(ballot.phase, c));
                self.vote(me, me, ballot);
                let committee = self.kept.committee_at(ballot.height);
                let members: Vec<NodeId> = committee.expect("the first").members().collect();
                for to in members.into_iter().filter(|to| *to != me) {
                    self.count(E::PHASES[wire.kind as usize], wire.bytes);
                    self.send(me, to, Load::Vote(ballot));
                }
            }
            Effect::Relay { block, rule } => {
                self.note(me, Note::Relay(block));
                for to in self.recipients(me, To::All) {
                    self.send(
                        me,
                        to,
                        match rule {
                            Relay::Header => Load::Header(block),
                            Relay::Push | Relay::Inv | Relay::Compact | Relay::SqrtPush => {
                                Load::Body(block)
                            }
                        },
                    );
                }
            }
            Effect::Fetch { block, from } => {
                self.note(me, Note::Fetch(block));
                self.send(me, from, Load::Fetch(block));
            }
            Effect::Sync { from } => {
                self.note(me, Note::Sync(from));
                self.send(me, from, Load::Sync);
            }
            Effect::BuildBlock {
                parent,
                header,
                as_of,
                ..
            } => {
                self.note(me, Note::Build(parent, as_of));
                let block = self.make(me, parent, header, as_of);
                self.kept.holds.insert((me, block));
                self.queue(self.now, me, me, Load::Built(block));
            }
            Effect::Seal {
                parent,
                header,
                roots,
                ..
            } => {
                // Transactions have no site here: what the latest of the gateways took in.
                let covered = self.out.roots.get(roots).iter().map(|c| c.1).max();
                let as_of = Some(covered.unwrap_or(Time::ZERO));
                self.note(me, Note::Build(parent, as_of));
                let block = self.make(me, parent, header, as_of);
                self.kept.holds.insert((me, block));
                self.queue(self.now, me, me, Load::Built(block));
            }
            Effect::AwaitPending { .. } => {
                self.awaiting[me.index()] = true;
                self.wake(me);
            }
            Effect::SetTimer { at, timer } => {
                self.queue(at.max(self.now), me, me, Load::Timer(timer));
            }
            Effect::Adopt(block) => {
                self.heads[me.index()] = block;
                self.note(me, Note::Adopt(block));
            }
            Effect::Commit(block) => self.note(me, Note::Commit(block)),
            Effect::RoundChange { round } => self.note(me, Note::RoundChange(round)),
            Effect::Evidence { against } => self.note(me, Note::Evidence(against)),
            Effect::Elect {
                height,
                member,
                weight,
            } => {
                self.kept.elect(height, member, weight);
                self.note(me, Note::Elect(height, member, weight));
            }
            Effect::Safe(_) | Effect::Tell(_) => {}
        }
    }

    fn arrive(&mut self, due: Due<E>) {
        let Due {
            to,
            from,
            life,
            load,
        } = due;
        if self.down[to.index()] || self.life[to.index()] != life {
            return;
        }
        match load {
            Load::Message(message) => {
                if let Some(block) = E::carries(&message) {
                    self.kept.holds.insert((to, block));
                }
                self.give(to, Input::Message { from, message });
            }
            Load::Vote(ballot) => self.vote(to, from, ballot),
            Load::Header(block) => {
                // The first announcement only, as in the kernel.
                if !self.kept.holds(to, block) && self.announced.insert((to, block)) {
                    self.give(to, Input::Header { block, from });
                }
            }
            Load::Body(block) => {
                if self.kept.holds.insert((to, block)) {
                    let cost = self.with_context(to, |e, c| e.check_block(block, c));
                    self.record(to, &cost);
                    self.give(to, Input::Body { block, from });
                }
            }
            Load::Fetch(block) => {
                if self.kept.holds(to, block) {
                    self.send(to, from, Load::Body(block));
                }
            }
            Load::Sync => self.answer(to, from),
            Load::Timer(timer) => self.give(to, Input::Timer(timer)),
            Load::Built(block) => self.give(to, Input::BlockBuilt(block)),
            Load::Threshold(ballot) => self.give(to, Input::Threshold(ballot)),
            Load::Pending => self.give(to, Input::Pending),
        }
    }

    /// Sends what the asker lacks of the own head's chain, in the strictest reading: from the head
    /// down to the first body that it holds, committed or not.
    fn answer(&mut self, me: NodeId, asker: NodeId) {
        let mut path = Vec::new();
        let mut at = self.heads[me.index()];
        while !self.kept.holds(asker, at) {
            path.push(at);
            at = self.blocks.get(at).parent.expect("all hold genesis");
        }
        for &block in path.iter().rev() {
            self.send(me, asker, Load::Body(block));
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, load: Load<E>) {
        assert_ne!(from, to, "a replica never sends to itself");
        let sent = self.now;
        let packet = Packet {
            sent,
            to,
            load: &load,
        };
        let cut = self.apart.contains(&from) != self.apart.contains(&to);
        let lost = self.loss.as_mut().is_some_and(|loss| loss(&packet));
        if !cut && !lost {
            let longer = match &mut self.jitter {
                Some((longest, draws)) => Span::from_ns(draws.below(longest.ns() + 1)),
                None => Span::ZERO,
            };
            self.queue(self.now + self.delay + longer, from, to, load);
        }
    }

    fn queue(&mut self, at: Time, from: NodeId, to: NodeId, load: Load<E>) {
        let class = match load {
            Load::Threshold(_) => 1,
            Load::Timer(_) => 2,
            Load::Pending => 3,
            _ => 0,
        };
        self.sequence += 1;
        let life = self.life[to.index()];
        let due = Due {
            to,
            from,
            life,
            load,
        };
        self.queue.insert((at, class, self.sequence), due);
    }

    fn vote(&mut self, at: NodeId, voter: NodeId, ballot: Ballot) {
        self.count_vote(at, voter, ballot);
        for wildcard in E::also_counts(ballot).into_iter().flatten() {
            self.count_vote(at, voter, wildcard);
        }
    }

    fn count_vote(&mut self, at: NodeId, voter: NodeId, ballot: Ballot) {
        let committee = self.kept.committee_at(ballot.height).expect("the first");
        let voters = self.votes.entry((at, ballot)).or_default();
        voters.insert(voter);
        let weight: u64 = voters.iter().map(|v| committee.weight(*v)).sum();
        if weight >= E::threshold(ballot.phase, committee) && self.kept.reached.insert((at, ballot))
        {
            self.queue(self.now, at, at, Load::Threshold(ballot));
        }
    }

    fn make(
        &mut self,
        me: NodeId,
        parent: BlockId,
        header: E::Header,
        as_of: Option<Time>,
    ) -> BlockId {
        let seen = as_of.unwrap_or(self.now);
        let total = self.submitted.partition_point(|at| *at <= seen) as u32;
        let below = self.included[&parent];
        let sequence = self.made[me.index()];
        self.made[me.index()] += 1;
        let block = self.blocks.push(Block {
            key: BlockKey {
                creator: me,
                sequence,
            },
            parent: Some(parent),
            height: self.blocks.get(parent).height + 1,
            timestamp: self.now,
            header,
            bytes: 10_000,
            txs: total.saturating_sub(below),
            exec: Span::ZERO,
        });
        self.included.insert(block, total.max(below));
        block
    }

    fn wake(&mut self, me: NodeId) {
        let head = self.heads[me.index()];
        let pending = self.submitted.len() as u32 - self.included[&head];
        if self.awaiting[me.index()] && pending > 0 {
            self.awaiting[me.index()] = false;
            self.queue(self.now, me, me, Load::Pending);
        }
    }

    fn recipients(&self, me: NodeId, to: To) -> Vec<NodeId> {
        let above = self.blocks.get(self.heads[me.index()]).height + 1;
        let committee = self.kept.committee_at(above).expect("the first");
        let member = |i: &NodeId| committee.position(*i).is_some();
        let all = self.nodes();
        match to {
            To::All => all.filter(|i| *i != me).collect(),
            To::Committee => all.filter(|i| *i != me && member(i)).collect(),
            To::Observers => all.filter(|i| *i != me && !member(i)).collect(),
            To::One(i) => vec![i],
        }
    }

    fn with_context<T>(&self, me: NodeId, f: impl FnOnce(&E, &Context<'_, E::Header>) -> T) -> T {
        let context = Context {
            clock: self.now,
            me,
            nodes: self.replicas.len() as u32,
            committee: &self.committee,
            blocks: &self.blocks,
            costs: &Costs::FREE,
            services: &self.kept,
        };
        f(&self.replicas[me.index()], &context)
    }

    fn count(&mut self, kind: &'static str, bytes: u64) {
        let entry = self.messages.entry(kind).or_default();
        entry.0 += 1;
        entry.1 += bytes;
    }

    fn record(&mut self, me: NodeId, deed: &dyn core::fmt::Debug) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{} {me} {deed:?}", self.now));
        }
    }

    fn note(&mut self, me: NodeId, note: Note) {
        self.notes.push((self.now, me, note));
    }
}

/// Asking what happened.
impl<E: Engine> World<E> {
    /// What a node committed, and when, in order.
    pub(crate) fn commits(&self, i: u32) -> Vec<(Time, BlockId)> {
        let commit = |&(time, who, note): &(Time, NodeId, Note)| match note {
            Note::Commit(block) if who == node(i) => Some((time, block)),
            _ => None,
        };
        self.notes.iter().filter_map(commit).collect()
    }

    /// How many notes of a kind a node left.
    pub(crate) fn count_notes(&self, i: u32, is: impl Fn(&Note) -> bool) -> usize {
        let fits = |n: &&(Time, NodeId, Note)| n.1 == node(i) && is(&n.2);
        self.notes.iter().filter(fits).count()
    }

    pub(crate) fn head(&self, i: u32) -> BlockId {
        self.heads[i as usize]
    }

    pub(crate) fn height(&self, i: u32) -> u32 {
        self.blocks.get(self.head(i)).height
    }

    /// No two nodes committed different blocks at one height, and each committed a chain.
    pub(crate) fn assert_agreement(&self, seed: u64) {
        let mut decided: BTreeMap<u32, BlockId> = BTreeMap::new();
        for i in self.nodes() {
            let mut last = Blocks::<E::Header>::GENESIS;
            for (time, block) in self.commits(i.get()) {
                let this = self.blocks.get(block);
                assert_eq!(
                    this.parent,
                    Some(last),
                    "seed {seed}: {i} at {time} skipped a block"
                );
                let first = *decided.entry(this.height).or_insert(block);
                assert_eq!(
                    first, block,
                    "seed {seed}: {i} at {time}, height {}",
                    this.height
                );
                last = block;
            }
        }
    }
}
