//! Engines by name. A new engine is its file and one line here.

use crate::Presets;
use quorate_core::{Engine, Facts, Standing};
use serde::{Deserialize, Deserializer};

/// Receives the type that a name stands for, so that a caller's loop is compiled once per engine.
pub trait EngineVisitor {
    /// What the visit yields.
    type Output;

    /// Called with the engine's type and its configuration.
    fn visit<E: Engine + 'static>(self, config: E::Config) -> Self::Output;
}

macro_rules! engines {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal => $engine:ty;)+) => {
        /// An engine of the registry.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum EngineKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl EngineKind {
            /// All engines, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The name in plans and results.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What it is, in one line.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// What it is, for tables and verdicts.
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$kind => <$engine as Engine>::FACTS,)+
                }
            }

            /// The names that its `preset` key takes; the first is the default.
            pub const fn presets(self) -> &'static [&'static str] {
                match self {
                    $(Self::$kind => <<$engine as Engine>::Config as Presets>::PRESETS,)+
                }
            }

            /// Whether it can be deployed with a preset, where that differs from its facts.
            pub const fn standings(self) -> fn(&str) -> Option<Standing> {
                match self {
                    $(Self::$kind => <<$engine as Engine>::Config as Presets>::standing,)+
                }
            }

            /// Reads the engine's configuration and hands its type to the visitor.
            ///
            /// # Errors
            /// Those of the deserialiser: an unknown key or preset, or a value of the wrong type.
            pub fn visit<'de, D: Deserializer<'de>, V: EngineVisitor>(
                self,
                config: D,
                visitor: V,
            ) -> Result<V::Output, D::Error> {
                Ok(match self {
                    $(Self::$kind => visitor.visit::<$engine>(Deserialize::deserialize(config)?),)+
                })
            }

            /// Hands the engine's type and a preset to the visitor; `None` when the engine has no
            /// preset of that name.
            pub fn preset<V: EngineVisitor>(self, name: &str, visitor: V) -> Option<V::Output> {
                Some(match self {
                    $(Self::$kind => visitor.visit::<$engine>(Presets::preset(name)?),)+
                })
            }
        }
    };
}

engines! {
    /// Most-work chain: exponential mining by hash share, retargeting, first-seen ties.
    Nakamoto = "nakamoto" => crate::nakamoto::Nakamoto;
    /// Three-phase committee agreement of appointed validators, with justified round changes.
    Qbft = "qbft" => crate::qbft::Qbft;
    /// No ledger: a primary with one synchronous standby, read replicas and an audit log.
    Central = "central" => crate::central::Central;
    /// Proof of stake by slots: private lotteries, the longest chain, the VRF value breaks ties.
    Praos = "praos" => crate::praos::Praos;
    /// Two rounds of votes by voting power, locks, and timeouts that grow, as in CometBFT.
    Tendermint = "tendermint" => crate::tendermint::Tendermint;
    /// Crash faults only: an elected leader's log of blocks on a majority, as Fabric orders them.
    Raft = "raft" => crate::raft::Raft;
    /// Ethereum under proof of work: difficulty by block, uncles, total difficulty or subtrees.
    Ethash = "ethash" => crate::ethash::Ethash;
    /// QBFT's predecessor in Besu: its proposers send no Prepare, its rounds start with the last block.
    Ibft2 = "ibft2" => crate::ibft2::Ibft2;
    /// Proof of authority by turns: difficulty 2 in turn, random waits else, votes in blocks.
    Clique = "clique" => crate::clique::Clique;
    /// Linear agreement by certificates: HotStuff chained or basic, and Jolteon.
    Hotstuff = "hotstuff" => crate::hotstuff::HotStuff;
    /// Keyless signatures: a tree of hashes, one calendar entry a second, proofs and no state.
    Ksi = "ksi" => crate::ksi::Ksi;
    /// Proof of stake by committees: votes choose the head, two thirds of the stake make it final.
    Gasper = "gasper" => crate::gasper::Gasper;
    /// Proof of authority by steps of the clock: a primary each, rolling finality by signers above.
    Aura = "aura" => crate::aura::Aura;
}

impl EngineKind {
    /// The engine with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
