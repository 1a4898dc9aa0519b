//! What a transaction carries onto the ledger.

use serde::{Deserialize, Serialize};

/// What goes on the ledger: a hash of the record, or the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// A 32-byte hash with identifiers and a signature; the record stays where it is.
    #[default]
    Hash,
    /// The whole record at its published median size.
    Full,
}

impl Payload {
    /// Size of a transaction in `hash` mode.
    // assumption: hash 32 B, three identifiers, a 64-byte signature, certificate reference, framing.
    pub const HASH_BYTES: u16 = 300;

    /// Size of a transaction whose record takes `full` bytes.
    pub const fn bytes(self, full: u16) -> u16 {
        match self {
            Self::Hash => Self::HASH_BYTES,
            Self::Full => full,
        }
    }
}

/// What every full replica of a ledger takes in: writes only, without what blocks add of their own.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Growth {
    /// Writes a second.
    pub writes_per_s: f64,
    /// Mean bytes of a write.
    pub write_bytes: f64,
}

impl Growth {
    /// Of so many writes a second of so many bytes.
    pub const fn of(writes_per_s: f64, write_bytes: f64) -> Self {
        Self {
            writes_per_s,
            write_bytes,
        }
    }

    /// Bandwidth that a replica needs to follow, in bytes a second.
    pub fn bytes_per_s(self) -> f64 {
        self.writes_per_s * self.write_bytes
    }

    /// Storage of a replica, in bytes a year.
    pub fn bytes_per_year(self) -> f64 {
        // source: Julian year.
        self.bytes_per_s() * 365.25 * 86_400.0
    }
}
