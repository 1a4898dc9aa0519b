//! Numbers packed into the record of an entity.

use quorate_core::Cell;

/// Some bits of a record.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    /// So many bits from the lowest `shift` on.
    pub(crate) const fn at(shift: u32, bits: u32) -> Self {
        Self { shift, bits }
    }

    /// The largest number that fits.
    pub(crate) const fn most(self) -> Cell {
        (1 << self.bits) - 1
    }

    /// The bits as a number.
    pub(crate) const fn get(self, cell: Cell) -> u32 {
        (cell >> self.shift & self.most()) as u32
    }

    /// Writes `value`, or the largest that fits.
    pub(crate) const fn set(self, cell: Cell, value: u32) -> Cell {
        let value = if (value as Cell) < self.most() {
            value as Cell
        } else {
            self.most()
        };
        cell & !(self.most() << self.shift) | value << self.shift
    }

    /// One more, or the largest that fits.
    pub(crate) const fn increment(self, cell: Cell) -> Cell {
        self.set(cell, self.get(cell).saturating_add(1))
    }
}
