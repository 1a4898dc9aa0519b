//! Rules that can be broken on purpose, to see whether the swarm finds out: a checker that never fires
//! proves nothing. Only with the feature `mutants`; without it every rule stands and the question
//! costs nothing.

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $mutant:ident = $name:literal in $engines:expr;)+) => {
        /// A broken rule.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $mutant,)+
        }

        impl Mutant {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$mutant),+];

            /// The name on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mutant => $name,)+
                }
            }

            /// The broken rule, in one line.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$mutant => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The engines that have the rule.
            pub const fn engines(self) -> &'static [&'static str] {
                match self {
                    $(Self::$mutant => &$engines,)+
                }
            }
        }
    };
}

mutants! {
    /// One vote fewer than two thirds prepares and commits.
    BftQuorum = "bft-quorum" in ["qbft", "ibft2"];
    /// A later round proposes a new block although another was prepared, and that is accepted.
    BftCertificate = "bft-certificate" in ["qbft", "ibft2"];
    /// Two thirds of the votes decide, instead of more than two thirds.
    TendermintQuorum = "tendermint-quorum" in ["tendermint"];
    /// Whoever is locked on a block prevotes another one all the same.
    TendermintLock = "tendermint-lock" in ["tendermint"];
    /// One copy fewer than a majority commits.
    RaftQuorum = "raft-quorum" in ["raft"];
    /// A second candidate of a term gets a vote too.
    RaftVoteTwice = "raft-vote-twice" in ["raft"];
    /// A candidate gets votes although its log is behind.
    RaftShortLog = "raft-short-log" in ["raft"];
    /// A vote is forgotten in a crash.
    RaftForgets = "raft-forgets" in ["raft"];
    /// What a leader has sent once it does not send again.
    RaftSentOnce = "raft-sent-once" in ["raft"];
    /// One vote fewer than a quorum makes a certificate.
    HotstuffQuorum = "hotstuff-quorum" in ["hotstuff"];
    /// Whoever is locked votes for every block of a leader.
    HotstuffLock = "hotstuff-lock" in ["hotstuff"];
    /// A block is final one certificate too early.
    HotstuffChain = "hotstuff-chain" in ["hotstuff"];
    /// A third of the stake justifies, instead of two thirds.
    GasperMinority = "gasper-minority" in ["gasper"];
    /// A signer may sign again at once.
    CliqueRecent = "clique-recent" in ["clique"];
    /// Of two chains of one weight, everybody keeps its own.
    CliqueTie = "clique-tie" in ["clique"];
    /// Blocks are final under one signer fewer than a majority.
    AuraMajority = "aura-majority" in ["aura"];
    /// No branch is left for a heavier one.
    NakamotoWork = "nakamoto-work" in ["nakamoto"];
    /// No branch is left for a heavier one.
    EthashWork = "ethash-work" in ["ethash"];
    /// No chain is left for a longer one.
    PraosLength = "praos-length" in ["praos"];
    /// A leader builds on what it accepted itself, whatever the promises name.
    KsiPromise = "ksi-promise" in ["ksi"];
}

#[cfg(not(feature = "mutants"))]
pub(crate) const fn broken(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::sync::atomic::{AtomicU8, Ordering};

    const NONE: u8 = u8::MAX;
    static BROKEN: AtomicU8 = AtomicU8::new(NONE);

    /// Breaks a rule for the rest of the process.
    pub fn break_rule(mutant: Mutant) {
        BROKEN.store(mutant as u8, Ordering::Relaxed);
    }

    pub(crate) fn broken(mutant: Mutant) -> bool {
        BROKEN.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(feature = "mutants")]
pub use switch::break_rule;
#[cfg(feature = "mutants")]
pub(crate) use switch::broken;
