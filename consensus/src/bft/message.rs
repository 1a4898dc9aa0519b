//! What replicas say to each other, put in headers and wait for.

use quorate_core::{Ballot, BlockId, Blocks, CertId, Content, NodeId, Time, hash};

/// What a header carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The round in which the block was first proposed.
    pub round: u32,
    /// The timestamp that the next block timer counts from.
    pub timestamp: Time,
    /// Its builder's vote about who is a validator.
    pub vote: Option<MemberVote>,
}

/// A vote about who is a validator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberVote {
    /// Who is to join or leave.
    pub candidate: NodeId,
    /// Whether to join.
    pub add: bool,
}

/// A block that enough validators prepared in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// The round.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// Its Prepares.
    pub prepares: CertId,
}

/// Why a Proposal of a round above 0 is in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Justification {
    /// Round changes: who, and the round and block that it had prepared.
    pub changes: CertId,
    /// Prepares of the proposed block, if it was prepared before.
    pub prepares: Option<CertId>,
    /// Round changes without a prepared block, for the size.
    pub plain: u32,
    /// Round changes with a prepared block, for the size.
    pub prepared: u32,
}

/// Leader's proposal of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// The height.
    pub height: u32,
    /// The round.
    pub round: u32,
    /// The block, which travels with it.
    pub block: BlockId,
    /// Needed in every round but 0.
    pub justification: Option<Justification>,
}

/// A validator's wish to be in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundChange {
    /// The height.
    pub height: u32,
    /// The round.
    pub round: u32,
    /// What it had prepared; the block travels with it.
    pub prepared: Option<Prepared>,
}

/// What a validator says to all validators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// A proposal.
    Proposal(Proposal),
    /// A round change.
    RoundChange(RoundChange),
    /// A Prepare or a Commit.
    Vote(Ballot),
}

impl Said {
    pub(super) const fn height(&self) -> u32 {
        match self {
            Self::Proposal(p) => p.height,
            Self::RoundChange(c) => c.height,
            Self::Vote(b) => b.height,
        }
    }

    pub(super) const fn carries(&self) -> Option<BlockId> {
        match *self {
            Self::Proposal(p) => Some(p.block),
            Self::RoundChange(RoundChange {
                prepared: Some(p), ..
            }) => Some(p.block),
            Self::RoundChange(_) | Self::Vote(_) => None,
        }
    }
}

impl Content<Header> for Said {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Proposal(p) => {
                let words = [
                    u64::from(p.height),
                    u64::from(p.round),
                    blocks.name(p.block),
                ];
                hash::fold_all(0, &words)
            }
            Self::RoundChange(c) => {
                let (round, block) = c
                    .prepared
                    .map_or((0, 0), |p| (u64::from(p.round) + 1, blocks.name(p.block)));
                hash::fold_all(1, &[u64::from(c.height), u64::from(c.round), round, block])
            }
            Self::Vote(ballot) => hash::fold_all(4, &[ballot.content(blocks)]),
        }
    }
}

/// What replicas send, besides votes that are cast directly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A proposal, from its proposer.
    Proposal(Proposal),
    /// A round change, from who wishes it.
    RoundChange(RoundChange),
    /// A committed block with its seals.
    Sealed(BlockId),
    /// A request for the head with its seals, by one who works at this height.
    Ask {
        /// The height.
        height: u32,
    },
    /// What a validator said, from itself or passed on.
    Flooded {
        /// Who said it.
        author: NodeId,
        /// What.
        said: Said,
    },
}

impl Message {
    /// The height that it is about, if it names one.
    pub(super) const fn height(&self) -> Option<u32> {
        match self {
            Self::Proposal(p) => Some(p.height),
            Self::RoundChange(c) => Some(c.height),
            Self::Flooded { said, .. } => Some(said.height()),
            Self::Sealed(_) | Self::Ask { .. } => None,
        }
    }
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Proposal(p) => Said::Proposal(p).content(blocks),
            Self::RoundChange(c) => Said::RoundChange(c).content(blocks),
            Self::Sealed(block) => hash::fold_all(2, &[blocks.name(block)]),
            Self::Ask { height } => hash::fold_all(3, &[u64::from(height)]),
            Self::Flooded { author, said } => {
                hash::fold_all(5, &[u64::from(author.get()), said.content(blocks)])
            }
        }
    }
}

/// What a replica waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The next block is due.
    Block {
        /// Its height.
        height: u32,
    },
    /// A round has lasted long enough.
    Round {
        /// The height.
        height: u32,
        /// The round.
        round: u32,
    },
    /// Blocks that were asked for should be here.
    Sync {
        /// The number of the question.
        question: u32,
    },
}

impl Content<Header> for Timer {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        match *self {
            Self::Block { height } => hash::fold_all(0, &[u64::from(height)]),
            Self::Round { height, round } => {
                hash::fold_all(1, &[u64::from(height), u64::from(round)])
            }
            Self::Sync { question } => hash::fold_all(2, &[u64::from(question)]),
        }
    }
}
