//! The ledger's state: one final state, and a sparse overlay per unfinal block.
//!
//! Overlays are lists of versions per entity. A read on a branch takes the newest version whose
//! block is on it, else the final state. Most entities have no version at all, and most of those
//! that exist before the first block are never touched: they are asked for when they are read.

use crate::pool::{Place, Pool};
use quorate_core::{Arrival, BlockId, Blocks, Cell, EntityId, Ledger, State, Time, Verdict, hash};
use std::collections::VecDeque;

/// A link to no version. Zero, so that a new state is memory that nobody has touched yet.
const NONE: u32 = 0;

/// Entities that are read ahead at once.
// assumption: more loads than a core has in flight gain nothing.
const AT_ONCE: usize = 16;

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
    /// The classes whose transactions are kept to be shown, a bit each.
    pub(crate) shown: u128,
    /// The final state of the entities that `settled` has a bit for.
    base: Vec<Cell>,
    settled: Vec<u64>,
    preloaded: usize,
    /// Links to the newest version of each entity.
    newest: Vec<u32>,
    versions: Vec<Version>,
    free: Vec<u32>,
    first: u32,
    executed: VecDeque<Executed>,
    spare: Vec<Executed>,
}

impl<'a> Book<'a> {
    pub(crate) fn new(ledger: &'a dyn Ledger) -> Self {
        let n = ledger.preloaded() as usize;
        Self {
            ledger,
            shown: 0,
            base: vec![0; n],
            settled: vec![0; n.div_ceil(64)],
            preloaded: n,
            newest: vec![NONE; n],
            versions: Vec::new(),
            free: Vec::new(),
            first: 0,
            executed: VecDeque::new(),
            spare: Vec::new(),
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
        expired: impl Fn(&Arrival, Time) -> bool,
    ) {
        let now = blocks.get(block).timestamp;
        let (ledger, sealed) = (self.ledger, pool.is_sealed());
        let place = (block.get() - self.first) as usize;
        while self.executed.len() <= place {
            let spare = self.spare.pop().unwrap_or_default();
            self.executed.push_back(spare);
        }
        let mut done = core::mem::take(&mut self.executed[place]);
        for some in order.chunks(AT_ONCE) {
            self.touch(some.iter().map(|p| pool.get(p.site, p.seq).key));
            for p in some {
                let tx = pool.get(p.site, p.seq);
                let verdict = if expired(tx, now) {
                    Verdict::Expired
                } else if sealed && let Some(seal) = pool.seal(p.site, p.seq) {
                    self.validate(blocks, block, (tx, seal), &mut done.writes)
                } else {
                    let mut branch = Branch {
                        book: self,
                        blocks,
                        head: block,
                        writes: &mut done.writes,
                    };
                    ledger.apply(tx, now, &mut branch)
                };
                if verdict != Verdict::Valid {
                    done.refused.push((p.site, p.seq, verdict));
                }
                if self.shown >> tx.class.0 & 1 == 1 {
                    done.shown.push(Record {
                        tx: *tx,
                        place: (p.site, p.seq),
                        verdict,
                    });
                }
            }
        }
        done.refused
            .sort_unstable_by_key(|&(site, seq, _)| (site, seq));
        done.done = true;
        self.executed[place] = done;
    }

    /// Reads the records of several entities without need: one after the other, each would wait for
    /// memory; like this they wait together.
    fn touch(&self, entities: impl Iterator<Item = EntityId>) {
        let newest = |place: usize| self.newest.get(place).copied().unwrap_or(NONE);
        let base = |place: usize| self.base.get(place).map_or(0, |&cell| cell as u32);
        let seen = entities.fold(0, |seen, entity| {
            let place = entity.index();
            seen ^ newest(place)
                ^ if self.is_settled(place) {
                    base(place)
                } else {
                    0
                }
        });
        core::hint::black_box(seen);
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
        written: &mut Vec<EntityId>,
    ) -> Verdict {
        let (now, writes) = self.recorded(blocks, block, tx);
        if now.seal != seal {
            return Verdict::Rejected(mvcc_invalid(self.ledger));
        }
        for (entity, cell) in writes {
            if self.write(block, entity, cell) {
                written.push(entity);
            }
        }
        now.verdict
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

    fn final_state(&self, entity: EntityId) -> Cell {
        let place = entity.index();
        if self.is_settled(place) {
            self.base[place]
        } else if place < self.preloaded {
            self.ledger.preload(entity)
        } else {
            0
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
                self.touch(some.iter().copied());
                for &entity in some {
                    self.drop_version(entity, block, keep);
                }
            }
            done.done = false;
            done.writes.clear();
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
            let place = entity.index();
            if place >= self.base.len() {
                self.base.resize(place + 1, 0);
            }
            if place / 64 >= self.settled.len() {
                self.settled.resize(place / 64 + 1, 0);
            }
            self.base[place] = cell;
            self.settled[place / 64] |= 1 << (place % 64);
        }
    }
}

/// The state as one block's execution sees it.
struct Branch<'a, 'l, H> {
    book: &'a mut Book<'l>,
    blocks: &'a Blocks<H>,
    head: BlockId,
    writes: &'a mut Vec<EntityId>,
}

impl<H: Copy> State for Branch<'_, '_, H> {
    fn get(&self, entity: EntityId) -> Cell {
        self.book.read(self.blocks, self.head, entity)
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        if self.book.write(self.head, entity, cell) {
            self.writes.push(entity);
        }
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
    struct Adder;

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
        fn apply(&self, tx: &Arrival, _: Time, state: &mut dyn State) -> Verdict {
            if tx.operand % 2 == 1 {
                return Verdict::Rejected(0);
            }
            let old = state.get(tx.key);
            state.set(tx.key, old * 3 + Cell::from(tx.operand));
            Verdict::Valid
        }
    }

    proptest! {
        /// Any tree of blocks: overlays equal replaying the branch from the start, before and
        /// after settling a prefix of it.
        #[test]
        fn overlays_equal_replay(
            tree in prop::collection::vec((0_usize..4, 0_u32..6, 0_u32..9), 1..24),
            settled in 0_usize..24,
        ) {
            let mut blocks = Blocks::new(());
            let mut book = Book::new(&Adder);
            let known = (vec![Span::ZERO], None);
            let mut pool = Pool::new(
                &[NodeId::new(0)],
                1,
                &MempoolConfig::UNLIMITED,
                Seed::new(1, 0),
                known,
            );
            let mut ids = vec![Blocks::<()>::GENESIS];
            let mut path = vec![Vec::new()];
            for (i, &(back, key, operand)) in tree.iter().enumerate() {
                let parent = ids.len() - 1 - back.min(ids.len() - 1);
                let block = blocks.push(Block {
                    key: BlockKey { creator: NodeId::new(0), sequence: i as u32 },
                    parent: Some(ids[parent]),
                    height: blocks.get(ids[parent]).height + 1,
                    timestamp: Time::ZERO,
                    header: (),
                    bytes: 0,
                    txs: 1,
                    exec: Span::ZERO,
                });
                let (_, seq) = pool.push(Arrival {
                    at: Time::ZERO, key: EntityId::new(key), operand, bytes: 1, exec_us: 1,
                    site: 0, class: ClassId(0), action: 0,
                });
                let order = [Place { seen: Time::ZERO, site: 0, seq }];
                book.execute(&blocks, &pool, block, &order, |_, _| false);
                let mut txs: Vec<(u32, u32)> = path[parent].clone();
                txs.push((key, operand));
                ids.push(block);
                path.push(txs);
            }
            let check = |book: &Book<'_>, blocks: &Blocks<()>, floor: Option<BlockId>| {
                for (i, &head) in ids.iter().enumerate() {
                    if floor.is_some_and(|f| !blocks.extends(head, f)) {
                        continue;
                    }
                    for key in 0..6 {
                        let mut want = if key < 3 { Cell::from(key) } else { 0 };
                        for &(k, operand) in &path[i] {
                            if k == key && operand % 2 == 0 {
                                want = want * 3 + Cell::from(operand);
                            }
                        }
                        assert_eq!(book.read(blocks, head, EntityId::new(key)), want);
                    }
                }
            };
            check(&book, &blocks, None);
            let until = ids[settled.min(ids.len() - 1)];
            book.settle(&blocks, until, |_, _| {});
            check(&book, &blocks, Some(until));
        }
    }
}
