//! What the tests of loads and ledgers share.

use quorate_core::{Arrival, Cell, Digest, EntityId, Kind, Ledger, Load, State, Verdict};
use std::collections::BTreeMap;

/// A ledger's state, written in order.
pub(crate) struct Book(pub(crate) Vec<Cell>);

impl Book {
    pub(crate) fn new(ledger: &dyn Ledger) -> Self {
        let ids = 0..ledger.preloaded();
        Self(ids.map(|id| ledger.preload(EntityId::new(id))).collect())
    }
}

impl State for Book {
    fn get(&self, entity: EntityId) -> Cell {
        self.0.get(entity.index()).copied().unwrap_or(0)
    }

    fn set(&mut self, entity: EntityId, cell: Cell) {
        if entity.index() >= self.0.len() {
            self.0.resize(entity.index() + 1, 0);
        }
        self.0[entity.index()] = cell;
    }
}

/// Executes writes in order; how many met each fate, by class and reason.
pub(crate) fn execute(
    load: &mut dyn Load,
    ledger: &dyn Ledger,
    most: usize,
) -> (Book, BTreeMap<(&'static str, String), u32>) {
    let mut book = Book::new(ledger);
    let mut fates = BTreeMap::new();
    for _ in 0..most {
        let Some(tx) = load.next() else { break };
        let class = load.classes()[tx.class.index()];
        if class.kind == Kind::Read {
            continue;
        }
        let fate = match ledger.apply(&tx, tx.at, &mut book) {
            Verdict::Valid => "valid",
            Verdict::Rejected(reason) => ledger.reasons()[usize::from(reason)],
            Verdict::Expired => "expired",
        };
        *fates.entry((class.name, fate.to_owned())).or_insert(0) += 1;
    }
    (book, fates)
}

/// The first arrivals, checked for order and for their site.
pub(crate) fn take(load: &mut dyn Load, n: usize) -> Vec<Arrival> {
    let arrivals: Vec<Arrival> = (0..n).map_while(|_| load.next()).collect();
    assert!(arrivals.is_sorted_by_key(|a| a.at));
    assert!(arrivals.iter().all(|a| u32::from(a.site) < load.sites()));
    arrivals
}

/// A hash over every field of the arrivals.
pub(crate) fn digest(arrivals: &[Arrival]) -> u64 {
    let mut digest = Digest::new();
    for a in arrivals {
        digest.add(a.at.ns());
        digest.add(u64::from(a.key.get()) << 32 | u64::from(a.operand));
        digest.add(
            u64::from(a.bytes) << 48
                | u64::from(a.exec_us) << 32
                | u64::from(a.site) << 16
                | u64::from(a.class.0) << 8
                | u64::from(a.action),
        );
    }
    digest.get()
}
