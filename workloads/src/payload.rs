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
