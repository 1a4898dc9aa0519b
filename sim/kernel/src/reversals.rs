//! What had been called final and then was not: which transactions, of which class, about whom.

use crate::sim::Simulation;
use quorate_core::{BlockId, Class, Engine, EntityId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Different transactions that a node had called final and that its new chain then lacked, however
/// many nodes that happened to, and what they are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reversed {
    /// Transactions.
    pub txs: u64,
    /// Different records, such as consents or packs.
    pub records: u64,
    /// Different people, as far as the ledger knows whose a record is, see [`Ledger::person`].
    ///
    /// [`Ledger::person`]: quorate_core::Ledger::person
    pub people: u64,
}

/// All of them so far.
#[derive(Default)]
pub(crate) struct Reversals {
    txs: BTreeSet<(u32, u32)>,
    /// With the class that wrote them.
    records: BTreeSet<(u8, EntityId)>,
    people: BTreeSet<(u8, u32)>,
    classes: Vec<u64>,
}

impl Reversals {
    pub(crate) fn new(classes: &[Class]) -> Self {
        Self {
            classes: vec![0; classes.len()],
            ..Self::default()
        }
    }

    /// In all and by class.
    pub(crate) fn report(&self) -> (Reversed, Vec<Reversed>) {
        let records: BTreeSet<EntityId> = self.records.iter().map(|r| r.1).collect();
        let people: BTreeSet<u32> = self.people.iter().map(|p| p.1).collect();
        let all = Reversed {
            txs: self.txs.len() as u64,
            records: records.len() as u64,
            people: people.len() as u64,
        };
        let of_class = |(class, &txs): (usize, &u64)| Reversed {
            txs,
            records: of(&self.records, class),
            people: of(&self.people, class),
        };
        (all, self.classes.iter().enumerate().map(of_class).collect())
    }
}

/// How many of a class there are.
fn of<T>(all: &BTreeSet<(u8, T)>, class: usize) -> u64 {
    all.iter().filter(|one| usize::from(one.0) == class).count() as u64
}

impl<E: Engine> Simulation<'_, E> {
    /// A node had called everything up to `old` final and now follows `head`; both stand on `fork`.
    pub(crate) fn count_reversed(
        &mut self,
        node: NodeId,
        (fork, old, head): (BlockId, BlockId, BlockId),
    ) {
        let was = (self.chain.reversed_blocks, self.chain.reversed_txs);
        let mut at = old;
        while at != fork {
            let block = self.blocks.get(at);
            self.chain.reversed_blocks += 1;
            self.chain.reversed_txs += u64::from(block.txs);
            at = block.parent.expect("the fork point is below");
        }
        self.set_final(node, fork);
        let blocks = self.chain.reversed_blocks - was.0;
        let txs = self.chain.reversed_txs - was.1;
        let lost = self.note_lost(node, (old, head));
        let now = self.now();
        self.probe.incidents.reversed((blocks, txs, lost), now);
    }

    /// Transactions on the branch to `old` and not on that to `head`; how many are new.
    fn note_lost(&mut self, node: NodeId, (old, head): (BlockId, BlockId)) -> u64 {
        let before = self.reversals.txs.len();
        for site in 0..self.pool.sites() {
            let told = self.load.reacts() && self.pool.serving(site) == node;
            let kept = self.store.mark(head, site).max(self.pool.first(site));
            for seq in kept..self.store.mark(old, site) {
                if self.is_evicted(old, site, seq) {
                    continue;
                }
                if told {
                    self.load.reversed(self.pool.get(site, seq), self.now);
                }
                if !self.reversals.txs.insert((site, seq)) {
                    continue;
                }
                let tx = self.pool.get(site, seq);
                self.reversals.classes[tx.class.index()] += 1;
                self.reversals.records.insert((tx.class.0, tx.key));
                let person = self.ledger.person(tx.key);
                self.reversals
                    .people
                    .extend(person.map(|p| (tx.class.0, p)));
            }
        }
        (self.reversals.txs.len() - before) as u64
    }
}
