//! The rules of the ledger: a deterministic state machine applied in block order.

use crate::{Arrival, EntityId, Time};

/// One record of the state: 16 bytes whose meaning belongs to the ledger. Zero means "absent".
pub type Cell = u128;

/// The verdict of a rule on one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Accepted; its writes hold.
    Valid,
    /// Refused for the reason with this index in [`Ledger::reasons`]; it wrote nothing but still
    /// occupied its block.
    Rejected(u8),
    /// Too old when it was executed.
    Expired,
}

/// The state that a rule reads and writes: the branch on which the block stands.
pub trait State {
    /// The record of an entity.
    fn get(&self, entity: EntityId) -> Cell;
    /// Replaces the record of an entity.
    fn set(&mut self, entity: EntityId, cell: Cell);
}

/// A record that was changed in place, and what it held before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// In halves, which take 24 bytes with the name.
    cell: [u64; 2],
    /// Whose record it is.
    pub entity: EntityId,
}

impl Change {
    /// A change of an entity's record that held `cell`.
    #[inline]
    pub const fn of(entity: EntityId, cell: Cell) -> Self {
        let cell = [cell as u64, (cell >> 64) as u64];
        Self { cell, entity }
    }

    /// What it held.
    #[inline]
    pub const fn cell(&self) -> Cell {
        self.cell[0] as Cell | (self.cell[1] as Cell) << 64
    }
}

/// The rules.
pub trait Ledger {
    /// Names of the reasons for a rejection, in the order of [`Verdict::Rejected`].
    fn reasons(&self) -> &[&'static str];

    /// The record of an entity before the first block.
    fn preload(&self, entity: EntityId) -> Cell;

    /// Whether `preload` is zero for every entity from this one on; bounds the dense state.
    fn preloaded(&self) -> u32;

    /// Applies one transaction in block order. `now` is the block's time. A rejected transaction
    /// must not write.
    fn apply(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict;

    /// Whether every rule reads and writes the record of the transaction's key and nothing else, so that
    /// [`Ledger::step`] says the same as [`Ledger::apply`].
    fn is_alone(&self) -> bool {
        false
    }

    /// What a transaction makes of the record of its key, or the reason why it is refused. Asked only
    /// where [`Ledger::is_alone`].
    ///
    /// # Errors
    /// The index of the reason in [`Ledger::reasons`].
    fn step(&self, tx: &Arrival, now: Time, cell: Cell) -> Result<Cell, u8> {
        unreachable!("{tx:?} at {now} on {cell}: a ledger that is alone has a step of its own")
    }

    /// [`Ledger::step`] for one transaction after the other, on records side by side: `cells` has one for
    /// every key. Notes what they held before. Ends at the first transaction that is refused or leaves no
    /// record, and changes nothing for that one; tells which it is, and what its step says.
    ///
    /// A ledger need not write this: it is here so that each has its step compiled into the loop.
    #[inline]
    fn steps(
        &self,
        txs: &[Arrival],
        now: Time,
        cells: &mut [Cell],
        changes: &mut Vec<Change>,
    ) -> Option<(usize, Result<Cell, u8>)> {
        for (place, tx) in txs.iter().enumerate() {
            let cell = &mut cells[tx.key.index()];
            match self.step(tx, now, *cell) {
                Ok(next) if next != 0 => {
                    changes.push(Change::of(tx.key, *cell));
                    *cell = next;
                }
                odd => return Some((place, odd)),
            }
        }
        None
    }

    /// What the submitter of a transaction would be told who asks a view of the ledger beforehand; differs
    /// from [`Ledger::apply`] where the ledger stores what should not have happened. May write to
    /// `state`, which is thrown away.
    fn advise(&self, tx: &Arrival, now: Time, state: &mut dyn State) -> Verdict {
        self.apply(tx, now, state)
    }

    /// The number of the person whose record it is, such as a patient; `None` where the ledger does not
    /// know.
    fn person(&self, entity: EntityId) -> Option<u32> {
        let _ = entity;
        None
    }

    /// Whether a reader who sees `cell` would act on it: for a consent, whether access is allowed.
    fn allows(&self, cell: Cell, now: Time) -> bool {
        let _ = now;
        cell != 0
    }
}
