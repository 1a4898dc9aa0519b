//! What is submitted, who waits for it, and how it gets into a block.

use crate::classes::Classes;
use crate::pool::{Pool, Sum};
use crate::probe::Probe;
use crate::report::{Kept, Status};
use crate::sim::{Job, Rank, Simulation, context};
use quorate_core::{
    Arrival, BlockId, ClassId, Engine, Input, Load, NodeId, Outcome, RootsId, Span, Time,
};

/// What a node waits for.
#[derive(Clone, Copy)]
pub(crate) struct Awaiting {
    /// Transactions, or bytes of them.
    pub(crate) much: (u32, u64),
    /// What is known to be pending on top of its head.
    pub(crate) pending: Sum,
    /// When it has seen so much, as far as is known.
    pub(crate) due: Time,
}

/// The next arrivals of the load.
#[derive(Default)]
pub(crate) struct Ahead {
    arrivals: Vec<Arrival>,
    next: usize,
}

impl Ahead {
    #[inline]
    pub(crate) fn first(&self) -> Option<&Arrival> {
        self.arrivals.get(self.next)
    }

    pub(crate) fn last(&self) -> Option<&Arrival> {
        self.arrivals.last()
    }

    #[inline]
    pub(crate) fn advance(&mut self, load: &mut dyn Load) {
        self.next += 1;
        if self.next >= self.arrivals.len() {
            self.arrivals.clear();
            load.next_some(&mut self.arrivals);
            self.next = 0;
        }
    }
}

/// Takes in the first of some writes, as many as are of `plain` classes and come by an instant, and before the
/// end of a slice; how many. Knows no engine, so that it is compiled once, for all.
pub(crate) fn take_plain(
    arrivals: &[Arrival],
    plain: &Classes,
    (until, slice_end): (Time, Time),
    (probe, pool): (&mut Probe, &mut Pool),
) -> usize {
    let stays = |tx: &Arrival| tx.at > until || tx.at >= slice_end || !plain.has(tx.class);
    let n = arrivals.iter().position(stays).unwrap_or(arrivals.len());
    probe.submitted_together(&arrivals[..n]);
    for tx in &arrivals[..n] {
        pool.push(tx);
    }
    n
}

impl<E: Engine> Simulation<'_, E> {
    /// Whether a transaction of such a class may still meet its deadline.
    pub(crate) fn in_time(&self, tx: &Arrival) -> bool {
        self.load.deadline(tx).is_some_and(|d| self.now() <= d)
    }

    /// Whether transactions of a class may have deadlines.
    pub(crate) fn has_deadline(&self, class: ClassId) -> bool {
        self.deadlines.has(class)
    }

    pub(crate) fn next_arrival(&self) -> Option<Time> {
        let planned = self.ahead.first().map(|a| a.at);
        let reaction = self.reactions.first_key_value().map(|((at, _), _)| *at);
        planned.into_iter().chain(reaction).min()
    }

    pub(crate) fn admit(&mut self) {
        let reaction = self.reactions.first_key_value().map(|((at, _), _)| *at);
        let arrival = match (self.ahead.first().copied(), reaction) {
            (Some(a), r) if r.is_none_or(|r| a.at <= r) => {
                self.ahead.advance(&mut *self.load);
                assert!(
                    self.ahead.first().is_none_or(|b| b.at >= a.at),
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
            _ if self.faults.dead(self.pool.entry(&arrival), self.now) => {
                self.conservation.refused += 1;
                self.probe.incidents.refused(self.now);
            }
            kind => self.submit(&arrival, kind == quorate_core::Kind::WatchedWrite),
        }
    }

    /// Takes in what arrives up to an instant, none of which causes an event.
    pub(crate) fn admit_until(&mut self, until: Time) {
        while let Some(first) = self.ahead.first().filter(|a| a.at <= until) {
            if self.plain.has(first.class) {
                self.admit_plain(until);
            } else {
                self.close_slices(first.at);
                self.admit();
            }
            if self.status != Status::Ok {
                return;
            }
        }
    }

    /// Of which classes nothing but its origin need know of a write.
    pub(crate) fn plain_classes(&self) -> Classes {
        let ids = (0..self.classes.len() as u8).map(ClassId);
        let plain = |id: &ClassId| {
            self.classes[id.index()].kind == quorate_core::Kind::Write
                && self.showing.as_ref().is_none_or(|s| !s.acts(*id))
        };
        Classes::of(ids.filter(plain))
    }

    /// Takes in the plain writes up to an instant that come next, and as many of them as were asked for
    /// at once.
    fn admit_plain(&mut self, until: Time) {
        let pending = self.conservation.submitted - self.finished();
        let room = (self.setup.limits.pending as u64).saturating_sub(pending);
        let arrivals = core::mem::take(&mut self.ahead.arrivals);
        let from = self.ahead.next;
        let (mut next, mut counted) = (from, from);
        loop {
            let left = room.saturating_sub((next - from) as u64).saturating_add(1);
            let left = left.min((arrivals.len() - next) as u64) as usize;
            let some = &arrivals[next..next + left];
            let until = (until, self.slice_end);
            next += take_plain(some, &self.plain, until, (&mut self.probe, &mut self.pool));
            // The backlog is sampled of what was submitted before.
            let Some(tx) = arrivals.get(next).filter(|tx| tx.at >= self.slice_end) else {
                break;
            };
            if tx.at > until.0 || !self.plain.has(tx.class) || (next - from) as u64 > room {
                break;
            }
            self.conservation.submitted += (next - counted) as u64;
            counted = next;
            self.close_slices(tx.at);
        }
        self.now = arrivals[next - 1].at;
        self.conservation.submitted += (next - counted) as u64;
        self.open += (next - from) as u64;
        self.ahead.arrivals = arrivals;
        self.ahead.next = next - 1;
        self.ahead.advance(&mut *self.load);
        if (next - from) as u64 > room {
            self.status = Status::Saturated;
        }
    }

    /// A write is submitted at its site's node.
    fn submit(&mut self, arrival: &Arrival, watched: bool) {
        self.conservation.submitted += 1;
        self.probe.submitted(arrival.class, arrival.at);
        if self.has_deadline(arrival.class) && self.load.deadline(arrival).is_some() {
            self.probe.due(arrival.class, arrival.at);
        }
        if self.endorsing.is_some() {
            return self.propose(arrival, watched);
        }
        self.hand_in(arrival, watched, None);
    }

    /// A write is handed in, with a seal if it was endorsed.
    pub(crate) fn hand_in(&mut self, arrival: &Arrival, watched: bool, seal: Option<u64>) {
        if self.is_full(self.pool.entry(arrival)) {
            self.pool.turned_away += 1;
            return self.drop_tx(arrival);
        }
        let (site, seq) = match seal {
            Some(seal) => self.pool.push_sealed(arrival, self.now, seal),
            None => self.pool.push(arrival),
        };
        self.open += u64::from(arrival.at < self.setup.horizon);
        if self.showing.is_some() {
            self.try_on_view(arrival, (site, seq));
        }
        if watched {
            self.watches.add(arrival, site, seq);
        }
        let pending = self.conservation.submitted - self.finished();
        if pending as usize > self.setup.limits.pending {
            self.status = Status::Saturated;
        }
        self.wake_awaiting(arrival, site, seq);
        if self.pool.is_explicit() {
            self.gossip_tx(site, seq);
        }
    }

    /// Whether a node takes no more: what it has seen pending on top of its head leaves no room. A
    /// node that is down takes nothing; its clients wait.
    fn is_full(&mut self, node: NodeId) -> bool {
        let limits = &self.setup.mempool;
        let state = &self.nodes[node.index()];
        if !limits.is_limited() || !state.up {
            return false;
        }
        let marks = &mut self.scratch;
        self.store.marks(state.head, marks);
        self.pool.age(&self.faults, node, self.now, marks);
        let held = self.pool.seen_by(&self.faults, marks, node, self.now);
        held.reaches((limits.capacity_txs, limits.capacity_bytes))
    }

    /// A transaction is given up: it was refused by a full node, or evicted.
    fn drop_tx(&mut self, tx: &Arrival) {
        self.conservation.dropped += 1;
        self.probe.dropped(tx.class, tx.at);
    }

    /// A block that is final at its site's node has passed over a transaction.
    pub(crate) fn evict_tx(&mut self, site: u32, seq: u32) {
        let tx = *self.pool.get(site, seq);
        self.open -= u64::from(tx.at < self.setup.horizon);
        self.drop_tx(&tx);
        if self.classes[tx.class.index()].kind == quorate_core::Kind::WatchedWrite {
            self.watches.forget(site, seq);
        }
    }

    /// Whether a transaction below a block's watermark is in none of its branch's blocks.
    pub(crate) fn is_evicted(&self, mut block: BlockId, site: u32, seq: u32) -> bool {
        if !self.pool.evicts() {
            return false;
        }
        // The block that moved the watermark past it. Below what is kept it was asked for before.
        while let Some(parent) = self.blocks.find(block).and_then(|b| b.parent)
            && self.blocks.find(parent).is_some()
            && self.store.mark(parent, site) > seq
        {
            block = parent;
        }
        let evicted = self.pool.evicted(block, site);
        evicted.is_some_and(|(from, to)| (from..to).contains(&seq))
    }

    pub(crate) fn finished(&self) -> u64 {
        let c = &self.conservation;
        c.valid + c.rejected + c.expired + c.dropped
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

    pub(crate) fn await_pending(&mut self, node: NodeId, much: (u32, u64)) {
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

    pub(crate) fn stop_awaiting(&mut self, node: NodeId) {
        if self.nodes[node.index()].awaiting.take().is_some() {
            self.awaiting.retain(|&n| n != node);
        }
    }

    /// A transaction was submitted: whoever waits may now know when it has seen enough, or that it
    /// has so earlier.
    pub(crate) fn wake_awaiting(&mut self, arrival: &Arrival, site: u32, seq: u32) {
        for i in 0..self.awaiting.len() {
            let node = self.awaiting[i];
            let state = &mut self.nodes[node.index()].awaiting;
            let awaiting = state.as_mut().expect("it is in the list");
            awaiting.pending.count(arrival);
            let (enough, due) = (awaiting.pending.reaches(awaiting.much), awaiting.due);
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
            self.pool
                .age(&self.faults, node, self.now, &mut self.scratch);
            awaiting.pending = self.pool.pending(&self.scratch);
            awaiting.due = Time::NEVER;
            if awaiting.pending.reaches(awaiting.much) {
                self.wake(node);
            }
        }
    }

    /// Queues the instant at which a node has what it waits for, if that is known and new.
    pub(crate) fn wake(&mut self, node: NodeId) {
        let state = &mut self.nodes[node.index()];
        let Some(awaiting) = &mut state.awaiting else {
            return;
        };
        let (pool, faults, marks) = (&self.pool, &self.faults, &mut self.scratch);
        self.store.marks(state.head, marks);
        pool.age(faults, node, self.now, marks);
        debug_assert!(
            pool.evicts() || awaiting.pending == pool.pending(marks),
            "counted one by one"
        );
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

    pub(crate) fn pending_due(&mut self, node: NodeId) {
        let awaiting = self.nodes[node.index()].awaiting;
        if awaiting.is_some_and(|a| a.due == self.now) {
            self.stop_awaiting(node);
            self.handle(node, Input::Pending);
        }
    }

    /// How much is kept now.
    pub fn kept(&self) -> Kept {
        let (transactions, evictions, sightings) = self.pool.kept();
        Kept {
            transactions,
            evictions,
            sightings,
            blocks: (self.blocks.last().get() - self.blocks.first().get()) as usize + 1,
            versions: self.book.versions(),
            shown: self.book.shown_later() + self.views_kept(),
            certificates: self.out.certs.len(),
            jobs: self.jobs.len(),
        }
    }

    pub(crate) fn build(
        &mut self,
        node: NodeId,
        parent: BlockId,
        header: E::Header,
        limits: &quorate_core::Limits,
        as_of: Time,
    ) -> BlockId {
        let mut marks = core::mem::take(&mut self.scratch);
        self.store.marks(parent, &mut marks);
        let id = BlockId::new(self.blocks.last().get() + 1);
        if self.pool.evicts() {
            let from = marks.clone();
            self.pool.age(&self.faults, node, as_of, &mut marks);
            self.pool.evict(id, &from, &marks);
        }
        let (sum, left) = self.fill(node, &mut marks, as_of, limits);
        let exec = Span::from_us(sum.exec_us);
        let own = sum.bytes + self.nodes[node.index()].engine.background().bytes;
        let id = self.add_block(node, parent, header, &marks, (own, sum.txs, exec));
        self.scratch = marks;
        let block = *self.blocks.get(id);
        self.count_block(&block, &sum, limits, left);
        id
    }

    /// Fills a block, see [`crate::pool::Pool::fill`]. Liars leave out sites, or take some first.
    fn fill(
        &mut self,
        node: NodeId,
        marks: &mut [u32],
        as_of: Time,
        limits: &quorate_core::Limits,
    ) -> (Sum, bool) {
        let (pool, faults) = (&self.pool, &self.faults);
        if !self.liars.lies(node) {
            return pool.fill(faults, marks, node, as_of, limits);
        }
        let (censored, favoured) = (
            self.chosen_sites(node, false),
            self.chosen_sites(node, true),
        );
        let levels = self.setup.mempool.fees.levels();
        let origins = |sites: &[u32], wanted: bool| -> Vec<(usize, u32)> {
            let hidden = |site: u32| sites.contains(&(site / levels)) == wanted;
            let all = (0..pool.sites()).filter(|&site| hidden(site));
            all.map(|site| (site as usize, marks[site as usize]))
                .collect()
        };
        let left_out = origins(&censored, true);
        let first = (!favoured.is_empty()).then(|| origins(&favoured, false));
        let mut sum = Sum::default();
        let mut rest = *limits;
        if let Some(hidden) = &first {
            Pool::hide(hidden, marks);
            sum = pool.fill(faults, marks, node, as_of, limits).0;
            Pool::show(hidden, marks);
            rest.bytes -= sum.bytes;
            rest.txs -= sum.txs;
            rest.exec = rest.exec.saturating_sub(Span::from_us(sum.exec_us));
        }
        Pool::hide(&left_out, marks);
        let (more, left) = pool.fill(faults, marks, node, as_of, &rest);
        Pool::show(&left_out, marks);
        sum.add(more);
        (sum, left)
    }

    /// A block that covers what gateways had taken in by an instant of their clocks.
    pub(crate) fn seal_block(
        &mut self,
        node: NodeId,
        parent: BlockId,
        header: E::Header,
        roots: RootsId,
    ) -> BlockId {
        let mut marks = core::mem::take(&mut self.scratch);
        self.store.marks(parent, &mut marks);
        let mut sum = Sum::default();
        for &(gateway, shown) in self.out.roots.get(roots) {
            let by = self.faults.last_before(gateway, shown, self.now);
            sum.add(self.pool.cover(&self.faults, &mut marks, gateway, by));
        }
        let id = self.add_block(node, parent, header, &marks, (0, sum.txs, Span::ZERO));
        self.scratch = marks;
        let unlimited = quorate_core::Limits {
            bytes: u64::MAX,
            txs: u32::MAX,
            exec: Span::MAX,
        };
        let block = *self.blocks.get(id);
        self.count_block(&block, &sum, &unlimited, false);
        id
    }

    fn add_block(
        &mut self,
        node: NodeId,
        parent: BlockId,
        header: E::Header,
        marks: &[u32],
        (bytes, txs, exec): (u64, u32, Span),
    ) -> BlockId {
        let state = &mut self.nodes[node.index()];
        let envelope = state.engine.header_bytes(&header, &context!(self, node));
        let block = quorate_core::Block {
            key: quorate_core::BlockKey {
                creator: self.liars.who(node),
                sequence: state.built,
            },
            parent: Some(parent),
            height: self.blocks.get(parent).height + 1,
            timestamp: self.faults.wall(node, self.now),
            header,
            bytes: envelope + bytes,
            txs,
            exec,
        };
        state.built += 1;
        let id = self.blocks.push(block);
        self.store.push(marks, self.now, Some(parent));
        self.hold(node, id);
        if !self.liars.is_empty() {
            self.note_lies(node, id, parent);
        }
        id
    }
}
