//! The ledger's state: one final state, and a sparse overlay per unfinal block.
//!
//! Overlays are lists of versions per entity. A read on a branch takes the newest version whose
//! block is on it, else the final state. Most entities have no version at all, and most of those
//! that exist before the first block are never touched: they are asked for when they are read.
//!
//! As long as blocks follow one another and hardly anybody looks back, that is more than is needed:
//! records are changed in place, and each block keeps what it replaced. The first fork, or too many
//! looks back, turn what was replaced into versions for good.

use crate::classes::Classes;
use crate::pool::{Place, Pool, Run};
use crate::views::Expiry;
use prefetch_index::prefetch_index;
use quorate_core::{
    Arrival, BlockId, Blocks, Cell, Change, EntityId, Ledger, State, Time, Verdict, hash,
};
use std::collections::VecDeque;

/// A link to no version. Zero, so that a new state is memory that nobody has touched yet.
const NONE: u32 = 0;

/// Entities that are read ahead at once.
// assumption: more loads than a core has in flight gain nothing.
const AT_ONCE: usize = 64;

/// So many looks at a changed record cost as much as keeping it as a version.
// assumption: one goes along a row, the other all over memory; it decides about speed alone.
const LOOKS: u64 = 16;

#[derive(Clone, Copy)]
struct Version {
    block: BlockId,
    cell: Cell,
    /// A link: one more than a place in [`Book::versions`], or [`NONE`].
    older: u32,
}

/// What executing one block left behind.
#[derive(Default)]
struct Executed {
    /// Whether it was executed yet.
    done: bool,
    /// How many transactions it has.
    txs: usize,
    /// What it changed in place, in order, with what was there before; once that is undone, with what the
    /// block made of it.
    changes: Vec<Change>,
    /// Entities that it wrote, each once.
    writes: Vec<EntityId>,
    /// Transactions that were not valid, by (site, number).
    refused: Vec<(u32, u32, Verdict)>,
    /// Those that will be shown, in order.
    shown: Vec<Record>,
}

/// A transaction of a class that somebody wants to be shown, as it was executed.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) tx: Arrival,
    pub(crate) place: (u32, u32),
    pub(crate) verdict: Verdict,
}

/// What executing a transaction on some state comes to, without a change of that state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Simulated {
    /// Stands for every record that was read, and what it held.
    pub(crate) seal: u64,
    pub(crate) verdict: Verdict,
}

/// The state of one ledger.
pub(crate) struct Book<'a> {
    ledger: &'a dyn Ledger,
    /// The classes whose transactions are kept to be shown.
    pub(crate) shown: Classes,
    /// The final state of the entities that are not 0 here or that `settled` has a bit for; in place, the
    /// state after `tip`.
    base: Vec<Cell>,
    settled: Vec<u64>,
    /// Transactions of executed blocks that are not settled.
    unsettled: usize,
    /// The newest block, as long as records are changed in place.
    tip: Option<BlockId>,
    /// How many records were changed in place, and how many of them were looked at to look back.
    changed: u64,
    looked: core::cell::Cell<u64>,
    preloaded: usize,
    /// Links to the newest version of each entity.
    newest: Vec<u32>,
    versions: Vec<Version>,
    free: Vec<u32>,
    first: u32,
    executed: VecDeque<Executed>,
    spare: Vec<Executed>,
    /// Space for transactions that are executed together, and for those after them.
    some: [Vec<Arrival>; 2],
}

impl<'a> Book<'a> {
    /// A state before the first block; `in_place` if blocks may change it in place.
    pub(crate) fn new(ledger: &'a dyn Ledger, in_place: bool) -> Self {
        let n = ledger.preloaded() as usize;
        Self {
            ledger,
            shown: Classes::NONE,
            base: vec![0; n],
            settled: vec![0; n.div_ceil(64)],
            unsettled: 0,
            tip: in_place.then_some(BlockId::new(0)),
            changed: 0,
            looked: core::cell::Cell::new(0),
            preloaded: n,
            newest: vec![NONE; n],
            versions: Vec::new(),
            free: Vec::new(),
            first: 0,
            executed: VecDeque::new(),
            spare: Vec::new(),
            some: [(); 2].map(|()| Vec::with_capacity(AT_ONCE)),
        }
    }

    /// How many records of unfinal blocks there is room for.
    pub(crate) const fn versions(&self) -> usize {
        self.versions.len()
    }

    /// One past the last entity that may have a record.
    pub(crate) fn entities(&self) -> u32 {
        self.newest.len().max(self.base.len()) as u32
    }

    /// Transactions of executed blocks that are not settled.
    pub(crate) const fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Whether a block is the one below which all is settled.
    pub(crate) const fn is_at(&self, block: BlockId) -> bool {
        self.first == block.get()
    }

    /// How many transactions of unfinal blocks are kept to be shown.
    pub(crate) fn shown_later(&self) -> usize {
        self.executed.iter().map(|e| e.shown.len()).sum()
    }

    /// Whether a block was executed on its branch.
    pub(crate) fn is_executed(&self, block: BlockId) -> bool {
        let place = block.get().checked_sub(self.first);
        place.is_none_or(|p| self.executed.get(p as usize).is_some_and(|e| e.done))
    }

    /// Executes the block's transactions in `order` on top of its parent's branch.
    pub(crate) fn execute<H: Copy>(
        &mut self,
        blocks: &Blocks<H>,
        pool: &Pool,
        block: BlockId,
        order: &[Place],
        expiry: Expiry<'_>,
    ) {
        let now = blocks.get(block).timestamp;
        let mut done = self.begin(blocks, block);
        if self.tip.is_some() && self.ledger.is_alone() && !pool.is_sealed() {
            self.execute_in_place(pool, order, (now, expiry), &mut done);
        } else {
            self.execute_each(blocks, pool, (block, order), (now, expiry), &mut done);
        }
        self.end(block, done, order.len());
    }

    /// Rules that read and write one record, on the state as it stands. This and [`Book::run_apart`] know
    /// no header, so that they are compiled once, for all engines.
    fn execute_in_place(
        &mut self,
        pool: &Pool,
        order: &[Place],
        at: (Time, Expiry<'_>),
        done: &mut Executed,
    ) {
        let [mut txs, mut next] = core::mem::take(&mut self.some);
        let mut chunks = order.chunks(AT_ONCE);
        let mut later = chunks.next().unwrap_or_default();
        self.fetch(pool, later, &mut next);
        while !later.is_empty() {
            let places = core::mem::replace(&mut later, chunks.next().unwrap_or_default());
            core::mem::swap(&mut txs, &mut next);
            self.fetch(pool, later, &mut next);
            let known = done.refused.len();
            self.lay_out(&txs);
            self.steps(&txs, |i| (places[i].site, places[i].seq), at, done);
            if self.shown.is_empty() {
                continue;
            }
            for (tx, place) in txs.iter().zip(places) {
                let place = (place.site, place.seq);
                let refused = done.refused[known..].iter();
                let verdict = refused.clone().find(|r| (r.0, r.1) == place);
                self.show_later(tx, place, verdict.map_or(Verdict::Valid, |r| r.2), done);
            }
        }
        self.some = [txs, next];
    }

    /// Looks transactions up and asks for their records, without waiting for memory.
    fn fetch(&self, pool: &Pool, places: &[Place], txs: &mut Vec<Arrival>) {
        txs.clear();
        txs.extend(places.iter().map(|place| {
            let tx = *pool.get(place.site, place.seq);
            prefetch_index(&self.base, tx.key.index());
            tx
        }));
    }

    /// Whether blocks on top of this one can be executed with [`Book::execute_apart`]: rules read and write
    /// one record, on the state as it stands.
    pub(crate) fn is_simple_on(&self, parent: BlockId) -> bool {
        self.tip == Some(parent) && self.ledger.is_alone() && !self.looks_back()
    }

    /// The same with the transactions of an origin one after the other. Those of classes that are not
    /// `apart` come last, in order; `rest` is space for that.
    pub(crate) fn execute_apart<H: Copy>(
        &mut self,
        blocks: &Blocks<H>,
        pool: &Pool,
        (block, runs, apart): (BlockId, &[Run], &Classes),
        expiry: Expiry<'_>,
        rest: &mut Vec<Place>,
    ) {
        let now = blocks.get(block).timestamp;
        let mut done = self.begin(blocks, block);
        self.run_apart(pool, (runs, apart), (now, expiry), rest, &mut done);
        rest.sort_unstable_by_key(Place::rank);
        self.execute_in_place(pool, rest, (now, expiry), &mut done);
        let txs = runs.iter().map(|run| (run.to - run.from) as usize);
        self.end(block, done, txs.sum());
    }

    /// The transactions of a block, origin by origin.
    fn run_apart(
        &mut self,
        pool: &Pool,
        (runs, apart): (&[Run], &Classes),
        at: (Time, Expiry<'_>),
        rest: &mut Vec<Place>,
        done: &mut Executed,
    ) {
        let pieces = |run| pool.pieces(run, AT_ONCE).map(move |piece| (run, piece));
        let mut pieces = runs.iter().flat_map(pieces).peekable();
        while let Some((run, (mut seq, mut some))) = pieces.next() {
            // Memory is asked for what comes next before this is executed.
            for tx in pieces.peek().map_or(&[][..], |(_, (_, txs))| txs) {
                prefetch_index(&self.base, tx.key.index());
            }
            self.lay_out(some);
            let site = run.site;
            while !some.is_empty() {
                let alike = some.iter().position(|tx| !apart.has(tx.class));
                let (now, later) = some.split_at(alike.unwrap_or(some.len()));
                self.steps(now, |i| (site, seq + i as u32), at, done);
                seq += now.len() as u32;
                some = later;
                if let Some((tx, later)) = some.split_first() {
                    let seen = tx.at + run.delay;
                    rest.push(Place { seen, site, seq });
                    seq += 1;
                    some = later;
                }
            }
        }
    }

    /// Transactions one after the other, about records that are laid out.
    #[inline]
    fn steps(
        &mut self,
        txs: &[Arrival],
        place: impl Fn(usize) -> (u32, u32),
        (now, expiry): (Time, Expiry<'_>),
        done: &mut Executed,
    ) {
        let mut next = 0;
        while next < txs.len() {
            let young = expiry.young(&txs[next..], now);
            let odd = (self.ledger).steps(young, now, &mut self.base, &mut done.changes);
            let (odd, outcome) = match odd {
                Some((odd, outcome)) => (odd, outcome.map_err(Verdict::Rejected)),
                None => (young.len(), Err(Verdict::Expired)),
            };
            next += odd;
            let Some(tx) = txs.get(next) else { return };
            match outcome {
                Ok(cell) => {
                    let change = Change::of(tx.key, self.final_state(tx.key));
                    done.changes.push(change);
                    self.put(tx.key, cell);
                }
                Err(verdict) => {
                    let (site, seq) = place(next);
                    done.refused.push((site, seq, verdict));
                }
            }
            next += 1;
        }
    }

    /// Makes place for the records that transactions are about, and asks the ledger for those that it was
    /// not asked for yet.
    fn lay_out(&mut self, txs: &[Arrival]) {
        for tx in txs {
            let place = tx.key.index();
            match self.base.get(place) {
                Some(0) if place < self.preloaded => self.base[place] = self.final_state(tx.key),
                Some(_) => {}
                None => self.base.resize(place + 1, 0),
            }
        }
    }

    /// A block is to be executed on top of its parent's branch.
    fn begin<H: Copy>(&mut self, blocks: &Blocks<H>, block: BlockId) -> Executed {
        if self.tip != blocks.get(block).parent || self.looks_back() {
            self.keep_versions();
        }
        self.tip = self.tip.map(|_| block);
        let place = (block.get() - self.first) as usize;
        while self.executed.len() <= place {
            let spare = self.spare.pop().unwrap_or_default();
            self.executed.push_back(spare);
        }
        core::mem::take(&mut self.executed[place])
    }

    fn end(&mut self, block: BlockId, mut done: Executed, txs: usize) {
        self.changed += done.changes.len() as u64;
        done.refused
            .sort_unstable_by_key(|&(site, seq, _)| (site, seq));
        done.done = true;
        done.txs = txs;
        self.unsettled += txs;
        self.executed[(block.get() - self.first) as usize] = done;
    }

    /// Whether to look back has cost more than versions would.
    const fn looks_back(&self) -> bool {
        self.looked.get() > LOOKS * (self.changed + LOOKS)
    }

    /// Any rules.
    fn execute_each<H: Copy>(
        &mut self,
        blocks: &Blocks<H>,
        pool: &Pool,
        (block, order): (BlockId, &[Place]),
        (now, expiry): (Time, Expiry<'_>),
        done: &mut Executed,
    ) {
        let (ledger, sealed) = (self.ledger, pool.is_sealed());
        for some in order.chunks(AT_ONCE) {
            self.prefetch(some.iter().map(|p| pool.get(p.site, p.seq).key));
            for p in some {
                let tx = pool.get(p.site, p.seq);
                let verdict = if expiry.is_over(tx, now) {
                    Verdict::Expired
                } else if sealed && let Some(seal) = pool.seal(p.site, p.seq) {
                    self.validate(blocks, block, (tx, seal), done)
                } else {
                    let mut branch = Branch {
                        book: self,
                        blocks,
                        head: block,
                        done,
                    };
                    ledger.apply(tx, now, &mut branch)
                };
                self.note(tx, p, verdict, done);
            }
        }
    }

    /// Keeps what is asked for later.
    #[inline]
    fn note(&self, tx: &Arrival, at: &Place, verdict: Verdict, done: &mut Executed) {
        if verdict != Verdict::Valid {
            done.refused.push((at.site, at.seq, verdict));
        }
        self.show_later(tx, (at.site, at.seq), verdict, done);
    }

    /// Keeps what somebody wants to be shown.
    fn show_later(&self, tx: &Arrival, place: (u32, u32), verdict: Verdict, done: &mut Executed) {
        if self.shown.has(tx.class) {
            let tx = *tx;
            done.shown.push(Record { tx, place, verdict });
        }
    }

    /// From here on, what unfinal blocks wrote are versions, not changes in place.
    fn keep_versions(&mut self) {
        if self.tip.take().is_none() {
            return;
        }
        let mut executed = core::mem::take(&mut self.executed);
        for done in executed.iter_mut().rev() {
            for change in done.changes.iter_mut().rev() {
                let made = self.final_state(change.entity);
                self.put(change.entity, change.cell());
                *change = Change::of(change.entity, made);
            }
        }
        for (done, id) in executed.iter_mut().zip(self.first..) {
            for change in core::mem::take(&mut done.changes) {
                if self.write(BlockId::new(id), change.entity, change.cell()) {
                    done.writes.push(change.entity);
                }
            }
        }
        self.executed = executed;
    }

    /// Asks memory for the records of several entities: one after the other, each would wait; like this
    /// they wait together.
    fn prefetch(&self, entities: impl Iterator<Item = EntityId>) {
        for entity in entities {
            prefetch_index(&self.newest, entity.index());
            prefetch_index(&self.base, entity.index());
        }
    }

    fn is_settled(&self, place: usize) -> bool {
        self.settled.get(place / 64).unwrap_or(&0) >> (place % 64) & 1 == 1
    }

    /// Executes a transaction on top of a block, as endorsers do.
    pub(crate) fn simulate<H: Copy>(
        &self,
        blocks: &Blocks<H>,
        head: BlockId,
        tx: &Arrival,
    ) -> Simulated {
        self.recorded(blocks, head, tx).0
    }

    fn recorded<'b, H: Copy>(
        &'b self,
        blocks: &'b Blocks<H>,
        head: BlockId,
        tx: &Arrival,
    ) -> (Simulated, Vec<(EntityId, Cell)>) {
        let mut record = self.recorder(blocks, head);
        // source: Fabric, `ChaincodeStub.GetTxTimestamp`: the time that the proposal states, so that all
        // endorsers see the same.
        let verdict = self.ledger.apply(tx, tx.at, &mut record);
        let seal = record.seal.get();
        (Simulated { seal, verdict }, record.writes)
    }

    /// Lets an endorsed transaction write what it wrote when it was endorsed, if it reads what it then
    /// read: rules are functions of what they read, so that the same reads bring the same writes.
    fn validate<H: Copy>(
        &mut self,
        blocks: &Blocks<H>,
        block: BlockId,
        (tx, seal): (&Arrival, u64),
        done: &mut Executed,
    ) -> Verdict {
        let (now, writes) = self.recorded(blocks, block, tx);
        if now.seal != seal {
            return Verdict::Rejected(mvcc_invalid(self.ledger));
        }
        for (entity, cell) in writes {
            self.set(block, entity, cell, done);
        }
        now.verdict
    }

    /// Whether an executed block has transactions that are not valid.
    pub(crate) fn has_refused(&self, block: BlockId) -> bool {
        let done = &self.executed[(block.get() - self.first) as usize];
        !done.refused.is_empty()
    }

    /// The verdict on one transaction of an executed block.
    pub(crate) fn verdict(&self, block: BlockId, site: u32, seq: u32) -> Verdict {
        let refused = &self.executed[(block.get() - self.first) as usize].refused;
        match refused.binary_search_by_key(&(site, seq), |&(site, seq, _)| (site, seq)) {
            Ok(at) => refused[at].2,
            Err(_) => Verdict::Valid,
        }
    }

    /// What the rules would tell a submitter on top of the branch that ends in `head`.
    pub(crate) fn try_on<H: Copy>(
        &self,
        blocks: &Blocks<H>,
        head: BlockId,
        tx: &Arrival,
    ) -> Verdict {
        let mut trial = self.recorder(blocks, head);
        self.ledger.advise(tx, tx.at, &mut trial)
    }

    const fn recorder<'b, H: Copy>(
        &'b self,
        blocks: &'b Blocks<H>,
        head: BlockId,
    ) -> Recorder<'b, 'a, H> {
        Recorder {
            book: self,
            blocks,
            head,
            seal: core::cell::Cell::new(0),
            writes: Vec::new(),
        }
    }

    /// The transactions of an executed block that will be shown, in order; `None` of one that was
    /// settled.
    pub(crate) fn shown_of(&self, block: BlockId) -> Option<&[Record]> {
        let place = block.get().checked_sub(self.first)?;
        let executed = self.executed.get(place as usize);
        Some(executed.map_or(&[], |e| &e.shown))
    }

    /// The record of an entity as the branch that ends in `head` has it.
    pub(crate) fn read<H: Copy>(
        &self,
        blocks: &Blocks<H>,
        head: BlockId,
        entity: EntityId,
    ) -> Cell {
        if let Some(tip) = self.tip {
            return self.look_back(blocks, (head, tip), entity);
        }
        let mut at = self.newest.get(entity.index()).copied().unwrap_or(NONE);
        while at != NONE {
            let version = &self.versions[at as usize - 1];
            if blocks.extends(head, version.block) {
                return version.cell;
            }
            at = version.older;
        }
        self.final_state(entity)
    }

    /// The same where records are changed in place: what the blocks beyond `head` replaced.
    fn look_back<H: Copy>(
        &self,
        blocks: &Blocks<H>,
        (head, tip): (BlockId, BlockId),
        entity: EntityId,
    ) -> Cell {
        let mut cell = self.final_state(entity);
        if head == tip {
            return cell;
        }
        for (place, done) in self.executed.iter().enumerate().rev() {
            let id = self.first + place as u32;
            if !done.done {
                continue;
            }
            if blocks.extends(head, BlockId::new(id)) {
                break;
            }
            let looked = self.looked.get() + done.changes.len() as u64;
            self.looked.set(looked);
            let first = done.changes.iter().find(|c| c.entity == entity);
            cell = first.map_or(cell, Change::cell);
        }
        cell
    }

    /// The record in the final state; in place, after the tip.
    #[inline]
    fn final_state(&self, entity: EntityId) -> Cell {
        let place = entity.index();
        let cell = self.base.get(place).copied().unwrap_or(0);
        if cell == 0 && place < self.preloaded && !self.is_settled(place) {
            return self.ledger.preload(entity);
        }
        cell
    }

    /// Replaces it.
    #[inline]
    fn put(&mut self, entity: EntityId, cell: Cell) {
        let place = entity.index();
        if place >= self.base.len() {
            self.base.resize(place + 1, 0);
        }
        self.base[place] = cell;
        // Absent for good, not only not yet asked for.
        if cell == 0 {
            if place / 64 >= self.settled.len() {
                self.settled.resize(place / 64 + 1, 0);
            }
            self.settled[place / 64] |= 1 << (place % 64);
        }
    }

    /// A block that is being executed writes.
    fn set(&mut self, block: BlockId, entity: EntityId, cell: Cell, done: &mut Executed) {
        if self.tip.is_some() {
            let was = self.final_state(entity);
            self.put(entity, cell);
            done.changes.push(Change::of(entity, was));
        } else if self.write(block, entity, cell) {
            done.writes.push(entity);
        }
    }

    fn write(&mut self, block: BlockId, entity: EntityId, cell: Cell) -> bool {
        if entity.index() >= self.newest.len() {
            self.newest.resize(entity.index() + 1, NONE);
        }
        let newest = self.newest[entity.index()];
        if newest != NONE && self.versions[newest as usize - 1].block == block {
            self.versions[newest as usize - 1].cell = cell;
            return false;
        }
        let version = Version {
            block,
            cell,
            older: newest,
        };
        let link = if let Some(link) = self.free.pop() {
            self.versions[link as usize - 1] = version;
            link
        } else {
            self.versions.push(version);
            self.versions.len() as u32
        };
        self.newest[entity.index()] = link;
        true
    }

    /// Settles every executed block before `until`: those that `until` extends become part of the
    /// final state, in order of height, and are given to `show`; the others vanish.
    pub(crate) fn settle<H: Copy>(
        &mut self,
        blocks: &Blocks<H>,
        until: BlockId,
        mut show: impl FnMut(&[Record], Time),
    ) {
        let executed = || self.executed.iter().zip(self.first..until.get());
        let beside =
            |(done, id): (&Executed, u32)| done.done && !blocks.extends(until, BlockId::new(id));
        if self.tip.is_some() && executed().any(beside) {
            self.keep_versions();
        }
        while self.first < until.get() {
            let block = BlockId::new(self.first);
            let Some(mut done) = self.executed.pop_front() else {
                self.first = until.get();
                break;
            };
            let keep = blocks.extends(until, block);
            if keep && !done.shown.is_empty() {
                show(&done.shown, blocks.get(block).timestamp);
            }
            for some in done.writes.chunks(AT_ONCE) {
                self.prefetch(some.iter().copied());
                for &entity in some {
                    self.drop_version(entity, block, keep);
                }
            }
            self.unsettled -= core::mem::take(&mut done.txs);
            done.done = false;
            done.writes.clear();
            done.changes.clear();
            done.refused.clear();
            done.shown.clear();
            self.spare.push(done);
            self.first += 1;
        }
    }

    fn drop_version(&mut self, entity: EntityId, block: BlockId, keep: bool) {
        let mut link = self.newest[entity.index()];
        let mut newer = NONE;
        while self.versions[link as usize - 1].block != block {
            newer = link;
            link = self.versions[link as usize - 1].older;
        }
        let Version { cell, older, .. } = self.versions[link as usize - 1];
        if newer == NONE {
            self.newest[entity.index()] = older;
        } else {
            self.versions[newer as usize - 1].older = older;
        }
        self.free.push(link);
        if keep {
            self.put(entity, cell);
        }
    }
}

/// The state as one block's execution sees it.
struct Branch<'a, 'l, H> {
    book: &'a mut Book<'l>,
    blocks: &'a Blocks<H>,
    head: BlockId,
    done: &'a mut Executed,
}

impl<H: Copy> State for Branch<'_, '_, H> {
    fn get(&self, entity: EntityId) -> Cell {
        self.book.read(self.blocks, self.head, entity)
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        self.book.set(self.head, entity, cell, self.done);
    }
}

/// The reason for a rejection that comes after those of the ledger: what was read has changed.
pub(crate) fn mvcc_invalid(ledger: &dyn Ledger) -> u8 {
    ledger.reasons().len() as u8
}

/// A state that keeps a record of what is read, and its writes to itself.
struct Recorder<'a, 'l, H> {
    book: &'a Book<'l>,
    blocks: &'a Blocks<H>,
    head: BlockId,
    seal: core::cell::Cell<u64>,
    writes: Vec<(EntityId, Cell)>,
}

impl<H: Copy> State for Recorder<'_, '_, H> {
    fn get(&self, entity: EntityId) -> Cell {
        if let Some(&(_, cell)) = self.writes.iter().find(|w| w.0 == entity) {
            return cell;
        }
        let cell = self.book.read(self.blocks, self.head, entity);
        let words = [u64::from(entity.get()), cell as u64, (cell >> 64) as u64];
        self.seal.set(hash::fold_all(self.seal.get(), &words));
        cell
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        match self.writes.iter_mut().find(|w| w.0 == entity) {
            Some(written) => written.1 = cell,
            None => self.writes.push((entity, cell)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::MempoolConfig;
    use proptest::prelude::*;
    use quorate_core::{Block, BlockKey, ClassId, NodeId, Seed, Span};

    /// Adds the operand to the record; refuses odd operands.
    struct Adder {
        alone: bool,
    }

    impl Ledger for Adder {
        fn reasons(&self) -> &[&'static str] {
            &["odd"]
        }
        fn preload(&self, entity: EntityId) -> Cell {
            Cell::from(entity.get())
        }
        fn preloaded(&self) -> u32 {
            3
        }
        fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
            match self.step(tx, now, state.get(tx.key)) {
                Ok(cell) => state.set(tx.key, cell),
                Err(reason) => return Verdict::Rejected(reason),
            }
            Verdict::Valid
        }
        fn is_alone(&self) -> bool {
            self.alone
        }
        fn step(&self, tx: &Arrival, _: Time, cell: Cell) -> Result<Cell, u8> {
            if tx.operand % 2 == 1 {
                return Err(0);
            }
            Ok(cell * 3 + Cell::from(tx.operand))
        }
    }

    /// A key and an operand.
    type Tx = (u32, u32);

    /// What a branch should have made of a record.
    fn replay(txs: &[Tx], key: u32) -> Cell {
        let first = if key < 3 { Cell::from(key) } else { 0 };
        let own = txs
            .iter()
            .filter(|&&(k, operand)| k == key && operand % 2 == 0);
        own.fold(first, |cell, &(_, operand)| cell * 3 + Cell::from(operand))
    }

    proptest! {
        /// Any tree of blocks, of which the first stand on one another: overlays and changes in place
        /// equal replaying the branch from the start, while blocks are added, and before and after settling
        /// a prefix. So it is with rules that say what they do to one record, in order and apart.
        #[test]
        fn overlays_equal_replay(
            tree in prop::collection::vec((0_usize..4, [(0_u32..6, 0_u32..9), (0..6, 0..9)]), 1..24),
            chain in 0_usize..30,
            settled in 0_usize..24,
            looks in 0_usize..6,
            (alone, apart, in_place) in any::<(bool, bool, bool)>(),
        ) {
            let mut blocks = Blocks::new(());
            let ledger = Adder { alone };
            let mut book = Book::new(&ledger, in_place);
            let known = (vec![Span::ZERO], None);
            let config = MempoolConfig::UNLIMITED;
            let sites = [NodeId::new(0)];
            let mut pool = Pool::new(&sites, 1, &config, Seed::new(1, 0), known);
            let mut ids = vec![Blocks::<()>::GENESIS];
            let mut path: Vec<Vec<Tx>> = vec![Vec::new()];
            let check = |book: &Book<'_>, blocks: &Blocks<()>, ids: &[BlockId], path: &[Vec<Tx>], floor| {
                for (&head, txs) in ids.iter().zip(path) {
                    let is_kept = |floor| blocks.extends(head, floor);
                    for key in (0..6).filter(|_| Option::is_none_or(floor, is_kept)) {
                        let got = book.read(blocks, head, EntityId::new(key));
                        assert_eq!(got, replay(txs, key));
                    }
                }
            };
            for (i, &(back, txs)) in tree.iter().enumerate() {
                let back = if i < chain { 0 } else { back };
                let parent = ids.len() - 1 - back.min(ids.len() - 1);
                let block = blocks.push(Block {
                    key: BlockKey { creator: NodeId::new(0), sequence: i as u32 },
                    parent: Some(ids[parent]),
                    height: blocks.get(ids[parent]).height + 1,
                    timestamp: Time::ZERO,
                    header: (),
                    bytes: 0,
                    txs: 2,
                    exec: Span::ZERO,
                });
                // Classes by record, as what goes apart must have.
                let seqs = txs.map(|(key, operand)| pool.push(&Arrival {
                    at: Time::ZERO, key: EntityId::new(key), operand, bytes: 1, exec_us: 1,
                    site: 0, class: ClassId(u8::from(key > 2)), action: 0,
                }).1);
                if apart && book.is_simple_on(ids[parent]) {
                    let runs = [Run { site: 0, from: seqs[0], to: seqs[1] + 1, delay: Span::ZERO }];
                    let first = Classes::of([ClassId(0)]);
                    let what = (block, &runs[..], &first);
                    book.execute_apart(&blocks, &pool, what, Expiry::of(&[]), &mut Vec::new());
                } else {
                    let order = seqs.map(|seq| Place { seen: Time::ZERO, site: 0, seq });
                    book.execute(&blocks, &pool, block, &order, Expiry::of(&[]));
                }
                for (seq, (_, operand)) in seqs.into_iter().zip(txs) {
                    let want = if operand % 2 == 1 { Verdict::Rejected(0) } else { Verdict::Valid };
                    assert_eq!(book.verdict(block, 0, seq), want);
                }
                path.push([&path[parent][..], &txs].concat());
                ids.push(block);
                if i < looks {
                    check(&book, &blocks, &ids, &path, None);
                }
            }
            check(&book, &blocks, &ids, &path, None);
            let until = ids[settled.min(ids.len() - 1)];
            book.settle(&blocks, until, |_, _| {});
            check(&book, &blocks, &ids, &path, Some(until));
        }
    }
}
