//! Dense identifiers: each is an index into the arrays of one replication.

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
        )]
        pub struct $name(u32);

        impl $name {
            /// The identifier with this index.
            pub const fn new(index: u32) -> Self {
                Self(index)
            }

            /// The index into arrays.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The raw number.
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

dense_id!(
    /// A machine that takes part: one replica of the engine.
    NodeId, "node-"
);
dense_id!(
    /// A place in the block arena of one replication. Never part of an order or a key: a block's
    /// identity is its [`crate::BlockKey`].
    BlockId, "block-"
);
dense_id!(
    /// An interned certificate.
    CertId, "cert-"
);
dense_id!(
    /// An organisation's site, where transactions are submitted and read.
    SiteId, "site-"
);
dense_id!(
    /// A record of the ledger's state, such as a consent or a prescription.
    EntityId, "entity-"
);
