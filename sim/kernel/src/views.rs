//! What each node's view contains: heads, finality, watched writes, reads, and the safety checker.

use crate::pool::Sum;
use crate::probe::Levels;
use crate::report::Status;
use crate::setup::WhenStale;
use crate::sim::Simulation;
use crate::watches::Missing;
use quorate_core::{
    Arrival, Block, BlockId, Class, Engine, Finality, Level, Limits, NodeId, Outcome, Span, Time,
    Verdict, Weight,
};

/// What has reached levels at one instant and is not recorded yet.
pub(crate) struct Reached {
    at: Time,
    txs: Vec<Together>,
    /// The node that was the last to reach some, and where these begin.
    node: Option<NodeId>,
    from: usize,
}

impl Reached {
    pub(crate) const NOTHING: Self = Self {
        at: Time::ZERO,
        txs: Vec::new(),
        node: None,
        from: 0,
    };
}

/// Transactions of an origin that have reached levels together.
struct Together {
    site: u32,
    range: (u32, u32),
    levels: Levels,
    /// Whether they are final and valid besides.
    valid: bool,
}

/// When transactions are too old for a block.
#[derive(Clone, Copy)]
pub(crate) struct Expiry<'a> {
    classes: &'a [Class],
    some_expire: bool,
}

impl<'a> Expiry<'a> {
    pub(crate) fn of(classes: &'a [Class]) -> Self {
        let some_expire = classes.iter().any(|class| class.expiry.is_some());
        Self {
            classes,
            some_expire,
        }
    }

    /// Whether one is, at the time of a block.
    #[inline]
    pub(crate) fn is_over(&self, tx: &Arrival, now: Time) -> bool {
        let expiry = || self.classes[tx.class.index()].expiry;
        self.some_expire && expiry().is_some_and(|e| tx.at + e < now)
    }

    /// The first of some transactions, up to one that is.
    pub(crate) fn young<'t>(&self, txs: &'t [Arrival], now: Time) -> &'t [Arrival] {
        let old = |txs: &[Arrival]| txs.iter().position(|tx| self.is_over(tx, now));
        let old = self.some_expire.then(|| old(txs)).flatten();
        &txs[..old.unwrap_or(txs.len())]
    }
}

impl<E: Engine> Simulation<'_, E> {
    /// A node's head changes.
    pub(crate) fn adopt(&mut self, node: NodeId, block: BlockId) {
        let old = self.nodes[node.index()].head;
        self.nodes[node.index()].head = block;
        let height = self.blocks.get(block).height;
        self.chain.height = self.chain.height.max(u64::from(height));
        self.note_reorganisation(old, block);
        self.note_delay(node, block);
        if self.serves[node.index()] {
            self.execute_branch(block);
            self.advance_level(node, Level::Included, block);
            if let Finality::Depth { safe, fin } = self.setup.finality {
                self.derive_finality(node, block, safe, fin);
            }
        }
        self.leave_final(node, block);
        self.settle();
        if !self.awaiting.is_empty() {
            self.look_again(node);
        }
    }

    fn note_reorganisation(&mut self, old: BlockId, new: BlockId) {
        if self.blocks.get(new).parent == Some(old) || self.blocks.extends(new, old) {
            return;
        }
        let fork = self.blocks.fork_point(old, new);
        let fork_height = fork.map_or(0, |f| self.blocks.get(f).height);
        let depth = (self.blocks.get(old).height - fork_height) as usize;
        let last = self.chain.reorgs.len() - 1;
        self.chain.reorgs[depth.min(last)] += 1;
    }

    fn note_delay(&mut self, node: NodeId, block: BlockId) {
        // The block's timestamp is what its builder's clock showed, right or wrong.
        let built = self.store.built(block);
        let block = self.blocks.get(block);
        if block.key.creator != node {
            self.adopt_delay.0 += self.now().saturating_since(built).ns();
            self.adopt_delay.1 += 1;
        }
    }

    /// Finality by depth: nothing is committed, so a block is as final as what lies on it.
    fn derive_finality(&mut self, node: NodeId, head: BlockId, safe: u32, fin: u32) {
        let height = self.blocks.get(head).height;
        let under = |depth: u32| (height + 1).checked_sub(depth).filter(|&h| h > 0);
        let was_final = self.nodes[node.index()].fin;
        if !self.blocks.extends(head, was_final) {
            self.note_reversal(node, was_final, head);
        }
        if let Some(block) = under(safe).and_then(|h| self.blocks.ancestor(head, h)) {
            self.advance_level(node, Level::Safe, block);
        }
        if let Some(block) = under(fin).and_then(|h| self.blocks.ancestor(head, h)) {
            self.finalise(node, block);
        }
    }

    /// A head beside what the node had committed, where commits are conditional.
    fn leave_final(&mut self, node: NodeId, head: BlockId) {
        let fin = self.nodes[node.index()].fin;
        let conditional = self.is_conditional() || self.liars.lies(node);
        if conditional && !self.commits_by_depth() && !self.blocks.extends(head, fin) {
            self.note_reversal(node, fin, head);
        }
    }

    /// Whether commits may conflict: the protocol says so, or more lie than it bears.
    fn is_conditional(&self) -> bool {
        self.setup.finality == Finality::Conditional || self.lies.liars > self.lies.bound
    }

    const fn commits_by_depth(&self) -> bool {
        matches!(self.setup.finality, Finality::Depth { .. })
    }

    /// What had been called final was left: a result of the protocol, not a fault of the run.
    fn note_reversal(&mut self, node: NodeId, old: BlockId, head: BlockId) {
        let fork = self
            .blocks
            .fork_point(old, head)
            .unwrap_or(self.blocks.first());
        if self.liars.lies(node) {
            // Who lies is not believed when it calls something final.
            self.set_final(node, fork);
            return;
        }
        self.count_reversed(node, (fork, old, head));
    }

    /// The protocol's own finality, held against what it promises.
    pub(crate) fn commit(&mut self, node: NodeId, block: BlockId) {
        // Who lies is not held to what it says.
        let lies = self.liars.lies(node);
        let conditional = self.is_conditional() || lies;
        if conditional {
            self.leave_final(node, block);
        }
        let old = self.nodes[node.index()].fin;
        if !self.blocks.extends(block, old) {
            return self.violated(&format!(
                "{node} committed {block}, which does not extend its committed {old}"
            ));
        }
        let path = self.path(self.nodes[node.index()].fin, block);
        for &committed in &path {
            let height = self.blocks.get(committed).height;
            let place = (height - self.committed_from) as usize;
            if place >= self.committed.len() && lies {
                continue;
            }
            if place == self.committed.len() {
                self.committed.push_back((committed, 0));
            }
            let (other, members) = &mut self.committed[place];
            if *other != committed && conditional {
                self.chain.conflicting_finals += u64::from(!lies);
                continue;
            }
            if *other != committed {
                let evidence = format!(
                    "{node} committed {committed} at height {height}, where {other} was committed"
                );
                return self.violated(&evidence);
            }
            // Below what is kept, all members have committed long ago.
            let Some(era) = self.eras.place(height) else {
                continue;
            };
            let committee = self.eras.at(era).committee();
            *members += u32::from(committee.position(node).is_some());
            if *members == committee.len() {
                // Who has committed here may still wait for votes of this height, but not below.
                self.eras.tally(era).retire(height);
            }
        }
        self.path = path;
        if self.serves[node.index()] {
            self.execute_branch(block);
            self.advance_level(node, Level::Safe, block);
        }
        self.finalise(node, block);
        self.settle();
    }

    /// A node says that a member is elected.
    pub(crate) fn elect(&mut self, node: NodeId, elected: (u32, NodeId, Weight)) {
        if let Err(evidence) = self.eras.elect(elected, &self.net)
            && !self.is_conditional()
            && !self.liars.lies(node)
        {
            self.violated(&format!("{node} {evidence}"));
        }
    }

    /// Honest nodes that are up whose final block is not on the chain of the highest one.
    pub(crate) fn apart(&self) -> u64 {
        let honest = |&(_, id): &(_, u32)| !self.liars.lies(NodeId::new(id));
        let nodes = self.nodes.iter().zip(0..).filter(honest);
        let finals = nodes.filter(|(node, _)| node.up).map(|(node, _)| node.fin);
        let height = |block| self.blocks.find(block).map_or(0, |b| b.height);
        let highest = finals.clone().max_by_key(|&fin| height(fin));
        let beside = |&fin: &BlockId| highest.is_some_and(|top| !self.blocks.extends(top, fin));
        finals.filter(beside).count() as u64
    }

    fn violated(&mut self, evidence: &str) {
        self.status = Status::SafetyViolation;
        self.violation = Some(format!("at {}: {evidence}", self.now()));
    }

    /// The blocks above `old` up to `new`, lowest first, in a buffer that is to be given back.
    fn path(&mut self, old: BlockId, new: BlockId) -> Vec<BlockId> {
        let mut path = core::mem::take(&mut self.path);
        path.clear();
        let mut at = new;
        while at != old {
            path.push(at);
            at = self.blocks.get(at).parent.expect("the old block is below");
        }
        path.reverse();
        path
    }

    pub(crate) fn execute_branch(&mut self, head: BlockId) {
        if self.book.is_executed(head) {
            return;
        }
        let mut todo = core::mem::take(&mut self.path);
        todo.clear();
        let mut at = head;
        while !self.book.is_executed(at) {
            let block = self.blocks.get(at);
            let Some(parent) = block.parent else { break };
            todo.push(at);
            at = parent;
        }
        for &block in todo.iter().rev() {
            self.execute(block);
        }
        self.path = todo;
    }

    fn execute(&mut self, block: BlockId) {
        let parent = self.blocks.get(block).parent;
        let apart = !self.apart.is_empty()
            && self.liars.favours.is_empty()
            && self.pool.has_one_level()
            && self.pool.is_simple(&self.faults)
            && parent.is_some_and(|parent| self.book.is_simple_on(parent));
        if !apart {
            self.put_in_order(block);
            let (order, expiry) = (&self.order, Expiry::of(&self.classes));
            return (self.book).execute(&self.blocks, &self.pool, block, order, expiry);
        }
        self.find_marks(block);
        let [from, to] = &self.marks;
        let maker = self.blocks.get(block).key.creator;
        self.pool.runs((from, to), (maker, 0), &mut self.runs);
        self.order.clear();
        let (what, expiry) = ((block, &*self.runs, &self.apart), Expiry::of(&self.classes));
        let rest = &mut self.order;
        self.book
            .execute_apart(&self.blocks, &self.pool, what, expiry, rest);
    }

    /// The watermarks between which a block's transactions lie.
    fn find_marks(&mut self, block: BlockId) {
        let [from, to] = &mut self.marks;
        let parent = self
            .blocks
            .get(block)
            .parent
            .expect("not the genesis block");
        self.store.marks(parent, from);
        self.store.marks(block, to);
        self.pool.skip_evicted(block, from);
    }

    /// A block's transactions, as they are executed.
    pub(crate) fn put_in_order(&mut self, block: BlockId) {
        self.find_marks(block);
        let [from, to] = &self.marks;
        let maker = self.blocks.get(block).key.creator;
        let mut order = core::mem::take(&mut self.order);
        self.pool.order(&self.faults, (from, to), maker, &mut order);
        if !self.liars.favours.is_empty() {
            self.favour(block, &mut order);
        }
        self.order = order;
    }

    /// A node's view at a level reaches a block: records its own sites' transactions, and the
    /// watched writes of all.
    pub(crate) fn advance_level(&mut self, node: NodeId, level: Level, block: BlockId) {
        let mut next = self.reached_from(node);
        for i in 0..self.nodes[node.index()].sites.len() {
            let site = self.nodes[node.index()].sites[i];
            let recorded = &mut self.nodes[node.index()].recorded[i][level as usize];
            let (from, to) = (*recorded, self.store.mark(block, site));
            *recorded = to.max(from);
            if self.looks_at_each() {
                self.reach_each(level, site, (from, to), block);
            } else if from < to {
                self.reach(level, site, (from, to), &mut next);
            }
            self.note_gaps(level, site, (from, to));
        }
        if level == Level::Safe {
            self.nodes[node.index()].safe = block;
        }
        self.note_watches(node, level, block);
    }

    /// Whether each transaction that reaches a level needs attention besides that of the histograms.
    fn looks_at_each(&self) -> bool {
        let bulk = self.setup.forms.bulk;
        !bulk || !self.deadlines.is_empty() || self.pool.evicts() || !self.liars.is_empty()
    }

    /// Some of an origin's transactions have reached a level at its node. What reaches the next one at
    /// the same instant is recorded once, for both; `next` is where to look for it.
    fn reach(&mut self, level: Level, site: u32, range: (u32, u32), next: &mut usize) {
        let reached = &mut self.reached.txs;
        while let Some(known) = reached.get_mut(*next) {
            *next += 1;
            if (known.site, known.range) == (site, range) {
                known.levels = known.levels.with(level);
                return;
            }
        }
        let levels = Levels::NONE.with(level);
        reached.push(Together {
            site,
            range,
            levels,
            valid: false,
        });
        *next += 1;
    }

    /// Where what `node` has reached at this instant begins.
    fn reached_from(&mut self, node: NodeId) -> usize {
        if self.reached.at != self.now {
            self.record_reached();
            self.reached.at = self.now;
            self.reached.node = None;
        }
        if self.reached.node != Some(node) {
            self.reached.node = Some(node);
            self.reached.from = self.reached.txs.len();
        }
        self.reached.from
    }

    /// Records what has reached levels, and what was kept because it may reach the next ones.
    pub(crate) fn record_reached(&mut self) {
        let at = self.reached.at;
        for together in self.reached.txs.drain(..) {
            let (from, to) = together.range;
            let what = (together.levels, together.valid);
            for txs in self.pool.slices(together.site, from, to) {
                self.probe.latencies(what, txs, at);
            }
        }
        self.reached.from = 0;
    }

    fn reach_each(&mut self, level: Level, site: u32, (from, to): (u32, u32), block: BlockId) {
        let now = self.now;
        for seq in from..to {
            if self.is_evicted(block, site, seq) {
                continue;
            }
            let tx = *self.pool.get(site, seq);
            let what = (Levels::NONE.with(level), false);
            self.probe.latencies(what, &[tx], now);
            if !self.liars.is_empty() {
                self.note_site(level, site, now.saturating_since(tx.at));
            }
            if self.has_deadline(tx.class) && self.in_time(&tx) {
                self.probe.on_time(level, tx.class, tx.at);
            }
        }
    }

    fn note_watches(&mut self, node: NodeId, level: Level, block: BlockId) {
        let Some(place) = self.serving_place(node) else {
            return;
        };
        let (now, store) = (self.now(), &self.store);
        self.watches
            .note(level, place, now, |site| store.mark(block, site));
        if level == Level::Final {
            let (serving, faults) = (&self.serving, &self.faults);
            self.watches
                .end(|p| faults.dead(serving[p], now), &mut self.probe);
        }
    }

    /// The place of a node among those that serve sites.
    fn serving_place(&self, node: NodeId) -> Option<usize> {
        self.serving.binary_search(&node).ok()
    }

    /// A node's final view reaches a block.
    fn finalise(&mut self, node: NodeId, block: BlockId) {
        let old = self.nodes[node.index()].fin;
        if old == block || self.blocks.get(block).height <= self.blocks.get(old).height {
            return;
        }
        let height = u64::from(self.blocks.get(block).height);
        let raised = height.saturating_sub(self.chain.final_height);
        let now = self.now();
        self.probe.incidents.finalised(node, raised, now);
        let path = self.path(old, block);
        for &step in &path {
            self.note_final_lie(node, step);
            self.execute_alone(node, step);
            self.finalise_block(node, step);
        }
        self.path = path;
        self.set_final(node, block);
        self.chain.final_height = self
            .chain
            .final_height
            .max(u64::from(self.blocks.get(block).height));
        if self.serves[node.index()] {
            self.advance_level(node, Level::Final, block);
            self.tell_followers(node, block);
            self.note_spread(node);
        }
    }

    pub(crate) fn set_final(&mut self, node: NodeId, block: BlockId) {
        self.nodes[node.index()].fin = block;
        if let Some(place) = self.serving_place(node) {
            self.final_heights[place] = self.blocks.get(block).height;
        }
    }

    /// Verdicts of the node's own sites' transactions in one block.
    fn finalise_block(&mut self, node: NodeId, block: BlockId) {
        let parent = self
            .blocks
            .get(block)
            .parent
            .expect("not the genesis block");
        let same = self.reached.at == self.now && self.reached.node == Some(node);
        let mut next = if same { self.reached.from } else { usize::MAX };
        for i in 0..self.nodes[node.index()].sites.len() {
            let site = self.nodes[node.index()].sites[i];
            let done = self.nodes[node.index()].recorded[i][Level::Final as usize];
            let mut from = self.store.mark(parent, site).max(done);
            if let Some((evicted, kept)) = self.pool.evicted(block, site) {
                for seq in evicted.max(done)..kept {
                    self.evict_tx(site, seq);
                }
                from = from.max(kept);
            }
            let to = self.store.mark(block, site);
            let calm = self.probe.is_calm() && !self.reacts() && from < to;
            let calm = calm && !self.book.has_refused(block);
            if calm && self.note_valid(site, (from, to), &mut next) {
                continue;
            }
            for seq in from..to {
                self.settle_tx(block, site, seq);
            }
        }
    }

    /// Some of an origin's transactions are final and valid. Whether that can be noted for all at once:
    /// they have just reached a level together, and all are of the measured span. `next` is where to look
    /// for them.
    fn note_valid(&mut self, site: u32, (from, to): (u32, u32), next: &mut usize) -> bool {
        let last = self.pool.get(site, to - 1).at;
        if self.endorsing.is_some() || last >= self.setup.horizon {
            return false;
        }
        while let Some(known) = self.reached.txs.get_mut(*next) {
            *next += 1;
            if (known.site, known.range) == (site, (from, to)) {
                known.valid = true;
                let txs = u64::from(to - from);
                self.open -= txs;
                self.conservation.valid += txs;
                self.probe.valid(txs, self.now);
                return true;
            }
        }
        false
    }

    fn settle_tx(&mut self, block: BlockId, site: u32, seq: u32) {
        let tx = *self.pool.get(site, seq);
        let verdict = self.book.verdict(block, site, seq);
        match verdict {
            Verdict::Valid => self.conservation.valid += 1,
            Verdict::Rejected(_) => self.conservation.rejected += 1,
            Verdict::Expired => self.conservation.expired += 1,
        }
        let now = self.now();
        self.probe.verdict(tx.class, tx.at, now, verdict);
        self.open -= u64::from(tx.at < self.setup.horizon);
        let watched = self.classes[tx.class.index()].kind == quorate_core::Kind::WatchedWrite;
        if watched && verdict != Verdict::Valid {
            self.watches.forget(site, seq);
        }
        if self.reacts() {
            self.outcome(&Outcome {
                arrival: tx,
                final_at: now,
                verdict,
            });
        }
    }

    /// Transactions that are now final at a quorum of sites' nodes, and at all of them.
    fn note_spread(&mut self, node: NodeId) {
        let lag = (self.setup.tolerated as usize).min(self.serving.len() - 1);
        // Most often too few have got further.
        let further = |which: usize| {
            let reached = self.spread_height[which];
            self.final_heights.iter().filter(|&&h| h > reached).count()
        };
        if further(0) < self.serving.len() - lag && further(1) < self.serving.len() {
            return;
        }
        let mut heights = core::mem::take(&mut self.scratch);
        heights.clone_from(&self.final_heights);
        heights.sort_unstable();
        for (which, place) in [(0, lag), (1, 0)] {
            if heights[place] <= self.spread_height[which] {
                continue;
            }
            let Some(block) = self
                .blocks
                .ancestor(self.nodes[node.index()].fin, heights[place])
            else {
                continue;
            };
            for site in 0..self.pool.sites() {
                let (from, to) = (
                    self.spread_marks[which][site as usize],
                    self.store.mark(block, site),
                );
                if self.pool.evicts() {
                    for seq in from..to {
                        if self.is_evicted(block, site, seq) {
                            continue;
                        }
                        let tx = *self.pool.get(site, seq);
                        self.probe.spread(which == 1, &[tx], self.now);
                    }
                } else {
                    for txs in self.pool.slices(site, from, to.max(from)) {
                        self.probe.spread(which == 1, txs, self.now);
                    }
                }
                self.spread_marks[which][site as usize] = to.max(from);
            }
            self.spread_height[which] = heights[place];
        }
        self.scratch = heights;
    }

    /// A read of a node's own view.
    pub(crate) fn read(&mut self, arrival: &Arrival) {
        let node = self.pool.entry(arrival);
        let state = &self.nodes[node.index()];
        if !state.up {
            self.reads.refused += u64::from(arrival.at < self.setup.horizon);
            self.probe.incidents.read_refused(arrival.at);
            return;
        }
        let declared = Span::from_us(u64::from(arrival.exec_us));
        let exec = self.setup.costs.execution(declared);
        let done = self.cpus.serve(node, arrival.at, exec);
        if arrival.at >= self.setup.horizon {
            return;
        }
        self.probe.served(arrival.class, arrival.at, done);
        self.reads.served += 1;
        self.probe.incidents.read(arrival.at);
        let view = self.served_view(node);
        if self.is_withheld(arrival, view) {
            return;
        }
        let unendorsed = |e: &crate::endorse::Endorsing| e.concern(arrival.key);
        let unendorsed = self.endorsing.as_deref().is_some_and(unendorsed);
        if self.setup.forms.reads && !unendorsed && !self.watches.concern(arrival.key) {
            return;
        }
        // The naive form resolves every read, to the same counts.
        let cell = self.book.read(&self.blocks, view, arrival.key);
        let allowed = self.ledger.allows(cell, arrival.at);
        let missing = |w: &&Missing| self.store.mark(view, w.site) <= w.seq;
        let first = self.watches.of_key(arrival.key).find(missing).copied();
        let missed = first.map(|watch| self.stale_cause(&watch, node));
        // What waits for its endorsers waits for a block.
        if let Some(cause) = missed.or(unendorsed.then_some(0)).filter(|_| allowed) {
            self.reads.stale[cause] += 1;
            self.probe.incidents.stale(arrival.at);
        }
    }

    /// Whether a view is too old to answer a read; counts what becomes of it instead.
    fn is_withheld(&mut self, arrival: &Arrival, view: BlockId) -> bool {
        let Some(rule) = self.setup.view_age else {
            return false;
        };
        if arrival.at.saturating_since(self.store.built(view)) <= rule.most {
            return false;
        }
        self.reads.old += 1;
        match rule.when_stale {
            WhenStale::Allow => return false,
            WhenStale::BreakGlass => self.reads.glass_broken += 1,
            WhenStale::Deny => {
                self.reads.denied += 1;
                self.reads.care_denied += u64::from(self.is_allowed_in_truth(arrival));
            }
        }
        true
    }

    /// Whether the rule allows a read on what is final anywhere, and nothing about it is under way.
    fn is_allowed_in_truth(&self, arrival: &Arrival) -> bool {
        let honest = |n: &&NodeId| !self.liars.lies(**n);
        let finals = (self.serving.iter().filter(honest)).map(|n| self.nodes[n.index()].fin);
        let known = finals.filter_map(|fin| Some((self.blocks.find(fin)?.height, fin)));
        let Some((_, truth)) = known.max_by_key(|&(height, _)| height) else {
            return false;
        };
        let missing = |w: &Missing| self.store.mark(truth, w.site) <= w.seq;
        let cell = self.book.read(&self.blocks, truth, arrival.key);
        self.ledger.allows(cell, arrival.at) && !self.watches.of_key(arrival.key).any(missing)
    }

    /// Why a view lacks a write: an index into [`crate::probe::Reads::stale`].
    fn stale_cause(&self, watch: &Missing, node: NodeId) -> usize {
        let place = self.serving_place(node).expect("it serves the site");
        let author = self.pool.serving(watch.site);
        let in_a_block = self
            .serving
            .iter()
            .map(|n| self.nodes[n.index()].head)
            // The head of a node that never comes back may be forgotten.
            .filter(|&head| self.blocks.find(head).is_some())
            .any(|head| self.store.mark(head, watch.site) > watch.seq);
        if self.faults.cut(author, node, self.now()) {
            3
        } else if self.watches.seen(self.setup.read_level, place, watch) {
            2
        } else {
            usize::from(in_a_block)
        }
    }

    /// Counts a block that was just built.
    pub(crate) fn count_block(
        &mut self,
        block: &Block<E::Header>,
        sum: &Sum,
        limits: &Limits,
        left: bool,
    ) {
        self.chain.built += 1;
        self.chain.empty += u64::from(sum.txs == 0);
        let share = |used: u64, limit: u64| {
            (u128::from(used) * 1_000_000 / u128::from(limit.max(1))) as u64
        };
        let shares = [
            share(sum.bytes, limits.bytes),
            share(u64::from(sum.txs), u64::from(limits.txs)),
            share(Span::from_us(sum.exec_us).ns(), limits.exec.ns()),
        ];
        let fullest = (0..3).max_by_key(|&i| shares[i]).expect("three resources");
        self.chain.fill_ppm_sum += shares[fullest].min(1_000_000);
        self.chain.full[fullest] += u64::from(left);
        let place = (block.height.max(self.at_height_from) - self.at_height_from) as usize;
        while self.at_height.len() <= place {
            self.at_height.push_back(0);
        }
        self.at_height[place] += 1;
        self.chain.forked_heights += u64::from(self.at_height[place] == 2);
    }

    /// Writes of the run that are not final: counted anew, for the conservation check.
    pub(crate) fn pending_now(&self) -> u64 {
        let mut pending = self.endorsing.as_ref().map_or(0, |e| e.open);
        for node in &self.nodes {
            for (&site, levels) in node.sites.iter().zip(&node.recorded) {
                pending += u64::from(self.pool.end(site) - levels[Level::Final as usize]);
            }
        }
        pending
    }

    /// Now and then, folds what is final everywhere into the final state and forgets it.
    fn settle(&mut self) {
        /// Heights between two rounds of retirement; they cost a walk over all nodes.
        const EVERY: u32 = 16;
        if self.chain.height < self.settle_at {
            return self.settle_transactions();
        }
        self.settle_at = self.chain.height + u64::from(EVERY);
        let Some(floor) = self.floor().filter(|&f| self.is_above(f, EVERY)) else {
            return;
        };
        let Some(floor) = self
            .below_arrivals(floor)
            .filter(|&f| self.is_above(f, EVERY))
        else {
            return;
        };
        let height = self.blocks.get(floor).height;
        self.settled_height = height;
        if !self.liars.is_empty() {
            self.count_chain(floor);
            self.liars.retire(floor);
        }
        self.settle_book(floor);
        self.retire_transactions(floor);
        self.blocks.retire_before(floor);
        self.store.retire_before(floor);
        self.store.bury(|block| self.blocks.get(block).parent);
        self.eras.retire(height.saturating_sub(EVERY));
        self.out.certs.retire(height);
        while self.committed_from < height && self.committed.len() > 1 {
            self.committed.pop_front();
            self.committed_from += 1;
        }
        while self.at_height_from < height && !self.at_height.is_empty() {
            self.at_height.pop_front();
            self.at_height_from += 1;
        }
    }

    /// Where blocks are large, forgets their transactions sooner: what is in a near cache is fetched in no
    /// time.
    fn settle_transactions(&mut self) {
        // assumption: at 24 bytes each, half of a small second-level cache.
        const MANY: usize = 4096;
        let lowest = self.spread_height[1];
        if self.book.unsettled() < MANY || lowest <= self.settled_txs_height {
            return;
        }
        self.settled_txs_height = lowest;
        if self.setup.finality != Finality::Commit || !self.liars.is_empty() {
            return;
        }
        if let Some(floor) = self.floor() {
            self.settle_book(floor);
            self.retire_transactions(floor);
        }
    }

    /// Whether a block is so much higher than what was forgotten last that the work is worth it.
    fn is_above(&self, floor: BlockId, every: u32) -> bool {
        let height = self.blocks.find(floor).map(|b| b.height);
        height.is_some_and(|h| h >= self.settled_height + every)
    }

    /// The highest block below which nobody who may come back will ever ask again.
    fn floor(&self) -> Option<BlockId> {
        let commits = !matches!(self.setup.finality, Finality::Depth { .. });
        let mut floor: Option<BlockId> = None;
        for (i, node) in self.nodes.iter().enumerate() {
            if !node.up && self.faults.dead(NodeId::new(i as u32), self.now()) {
                continue;
            }
            let tracked = commits || !node.sites.is_empty();
            let own = if tracked { node.fin } else { node.head };
            floor = Some(match floor {
                None => own,
                Some(f) => self.blocks.fork_point(f, own)?,
            });
        }
        floor
    }

    /// The same, or lower, so that what is on its way lies above it too: where nothing is committed
    /// a node may adopt whatever is higher than its head.
    fn below_arrivals(&mut self, mut floor: BlockId) -> Option<BlockId> {
        if self.setup.finality == Finality::Commit {
            return Some(floor);
        }
        let live = (self.nodes.iter().enumerate())
            .filter(|(i, node)| node.up || !self.faults.dead(NodeId::new(*i as u32), self.now()));
        let lowest_head = live
            .map(|(_, node)| self.blocks.get(node.head).height)
            .min()?;
        let (first, last) = (self.blocks.first().get(), self.blocks.last().get());
        // Parents come before their children, so that one pass knows who descends from the floor.
        let mut above = vec![false; (last - first + 1) as usize];
        for id in first..=last {
            let block = self.blocks.get(BlockId::new(id));
            let parent = block.parent.map_or(0, BlockId::get);
            above[(id - first) as usize] =
                id == floor.get() || parent >= first && above[(parent - first) as usize];
            if block.height > lowest_head && !above[(id - first) as usize] {
                floor = self.blocks.fork_point(floor, BlockId::new(id))?;
                // What descended from the old floor descends from the new one.
                above[(id - first) as usize] = true;
            }
        }
        Some(floor)
    }

    fn retire_transactions(&mut self, floor: BlockId) {
        self.record_reached();
        self.pool.retire_blocks(floor);
        let everyone_alive = self
            .serving
            .iter()
            .all(|&n| !self.faults.dead(n, self.now()));
        for site in 0..self.pool.sites() {
            let node = self.pool.serving(site);
            let state = &self.nodes[node.index()];
            let own = state
                .sites
                .iter()
                .position(|&s| s == site)
                .expect("it serves the site");
            let mut keep = self
                .store
                .mark(floor, site)
                .min(state.recorded[own][Level::Final as usize]);
            for (which, marks) in self.spread_marks.iter().enumerate() {
                if which == 0 || everyone_alive {
                    keep = keep.min(marks[site as usize]);
                }
            }
            self.pool.retire(site, keep, self.now);
            self.forget_views(site, keep);
        }
    }
}
