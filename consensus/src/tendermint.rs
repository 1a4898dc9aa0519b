//! Tendermint, as CometBFT runs it: validators weighted by voting power agree on each block in two
//! rounds of votes, lock on what they may have decided, and give up a round after timeouts that
//! grow.
//!
//! source: Buchman, Kwon and Milosevic, "The latest gossip on BFT consensus", arXiv 1807.04938
//! (rules); cometbft/cometbft@5bba72c `consensus/state.go`, `config/config.go`,
//! `spec/consensus/proposer-selection.md` (what the paper leaves open, defaults); cometbft@00c35fd
//! `types/validator_set.go` `UpdateWithChangeSet` and `state/execution.go` (changes of power).
//!
//! A quorum is strictly more than two thirds of the voting power. At height `h` and round `r`, with
//! a step of propose, prevote or precommit, after each input until none applies, in this order:
//!
//! - Upon the commit timeout after the last commit, or with `skip_timeout_commit` all its
//!   precommits: start round 0.
//! - Upon starting round `r`: the proposer sends Proposal(r) with its valid block and the round in
//!   which that became valid, or else a new block; all set the propose timeout.
//! - Upon Proposal(r) of the round's proposer, before the own prevote: prevote a valid block if not
//!   locked on another, and nil otherwise. If the Proposal names a valid round below `r`: wait for a
//!   quorum of prevotes for the block in that round, asking the proposer for them, and prevote the
//!   block also if locked in no later round.
//! - Upon a quorum of prevotes for the proposed block: it is valid as of `r`; who has prevoted but
//!   not precommitted locks and precommits it.
//! - Upon a quorum of prevotes for nil, before the own precommit: precommit nil.
//! - Upon a quorum of any prevotes of `r`, between the own prevote and precommit: set the prevote
//!   timeout.
//! - Upon a quorum of precommits for nil: precommit, unless done. Without `nil_precommits_wait`:
//!   start round `r + 1`.
//! - Upon a quorum of any precommits of `r`: set the precommit timeout.
//! - Upon a quorum of precommits for one block in any round of `h`: adopt and commit it; if its body
//!   is not here, fetch it.
//! - Upon a quorum of any prevotes or any precommits of a later round, or with `round_skip =
//!   "third"` more than a third of its prevotes: start that round.
//! - Upon the propose timeout: prevote nil. Upon the prevote timeout: precommit nil. Upon the
//!   precommit timeout: precommit, unless done, and start round `r + 1`.
//! - Upon a message of a later height: keep it, ask its sender for the missing blocks.
//! - Upon receiving a committed block with its commit: adopt and commit it.
//!
//! Validators take turns in proportion to their power: at each height every priority grows by the
//! own power, the highest (the lower address in a tie) proposes and pays the total; round `r` takes
//! `r` more turns on a copy.
//!
//! The application may change powers in a block (`power_changes`): they hold two heights above it, for
//! quorums, turns and who votes at all. A new validator begins with a priority of −1.125 times the
//! total, before who leaves has left; then priorities are scaled into a window of two totals and
//! centred.
//!
//! Deviations:
//! - Proposal and block travel as one message, straight to everybody, with the overhead of their
//!   64 KiB parts; votes too. CometBFT passes both on from peer to peer, every 100 ms.
//! - That gossip also repairs losses. Here whoever is in one round for longer than its three
//!   timeouts repeats its own votes to all (`votes`); who is ahead answers with the votes that took
//!   it there (`quorum`) or with the committed head (`block`). Repeated votes are counted apart from
//!   the kernel's, among themselves.
//! - Votes are counted by the kernel, which does not say who cast them. A commit in a block has one
//!   signature of each validator if all of them are here by then, and otherwise as many as the
//!   smallest quorum has members; relayed votes are taken to be as many, and genuine.
//! - A second Proposal of a round is ignored, as in CometBFT; proof of double votes never enters
//!   blocks.
//! - More than a third of *any messages* of a later round is counted on prevotes alone: who follows
//!   the paper prevotes before it precommits.
//! - A block is executed when its Proposal is checked, not after its commit.
//! - Block time is the builder's clock. CometBFT's median of the last commit lags behind by about a
//!   height; no rule depends on either.
//! - With `empty_blocks = false`, any transaction is taken to change the application's hash, so that
//!   an empty block follows each block with some.
//! - Nodes that are not validators get each committed block from the proposer of the round that
//!   committed it, not by gossip; so does who joins at the next height.
//! - Changes of power are settings of the run, not transactions. Who is behind knows from others'
//!   messages who may vote at later heights.
//! - The size of a commit that is checked on catching up is that of the own height's quorum.
//!
//! Finality: on commit, against less than a third of the voting power.
//!
//! Messages: `(n−1)(2n+1)` a height without faults; commit three message delays after the Proposal.
//! A round that fails for want of a Proposal takes `2n(n−1)` votes.

use crate::Presets;
use crate::config::unless_zero;
use crate::mutants::{Mutant, broken};
use core::cmp::Ordering;
use quorate_core::{
    Adversary, Agreement, Ballot, BlockId, Blocks, Committee, Content, Context, Draws, Effect,
    Electorate, Engine, Execution, Facts, Family, Finality, Guarantee, Input, Invalid, Limits,
    NodeId, Outbox, Promises, Span, Standing, To, Weight, Wire, byzantine_bound, hash,
};
use serde::{Deserialize, Serialize};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Tendermint>;

/// Phase of a ballot: prevote.
pub const PREVOTE: u8 = 0;
/// Phase of a ballot: precommit.
pub const PRECOMMIT: u8 = 1;
/// A quorum of prevotes, whatever they say.
pub const ANY_PREVOTE: u8 = 2;
/// A quorum of precommits, whatever they say.
pub const ANY_PRECOMMIT: u8 = 3;
/// More than a third of the prevotes, whatever they say.
pub const SOME_PREVOTE: u8 = 4;
/// All precommits, whatever they say.
pub const ALL_PRECOMMIT: u8 = 5;

/// Protobuf sizes, computed from cometbft/cometbft@5bba72c `proto` (`Vote`, `Proposal`,
/// `BlockPart` and the messages around them) at height 10^5, round 0 and fewer than 128 validators.
/// source: as said; a vote for nil is 70 B smaller, which is not told apart.
const VOTE_BYTES: u64 = 190;
const PROPOSAL_BYTES: u64 = 177;
const PART_BYTES: u64 = 60;
const PROOF_BYTES: u64 = 34;
/// A `NewRoundStep`, and a request for votes or a block. source: as above.
const STATUS_BYTES: u64 = 20;
const ASK_BYTES: u64 = 60;
/// Bytes of a part. source: cometbft/cometbft@5bba72c `types/params.go` `BlockPartSizeBytes`.
const PART_SIZE: u64 = 65_536;
/// The largest header and the frame of a block. source: cometbft/cometbft@5bba72c `types/block.go`
/// `MaxHeaderBytes`, `MaxOverheadForBlock`.
const HEADER_BYTES: u64 = 626 + 11;
/// source: as above, `MaxCommitOverheadBytes` and, with its tag, `MaxCommitSigBytes`.
const COMMIT_BYTES: u64 = 94;
const COMMIT_BYTES_PER_SIGNATURE: u64 = 110;
/// The largest total power, so that priorities do not overflow. source: cometbft/cometbft@5bba72c
/// `types/validator_set.go` `MaxTotalVotingPower`.
const MAX_POWER: u64 = i64::MAX as u64 / 8;
/// How far apart priorities may be, in total powers. source: as above, `PriorityWindowSizeFactor`.
const PRIORITY_WINDOW: i64 = 2;
/// From the block that changes a power to the first height where it holds. source: cometbft/cometbft
/// `state/execution.go`: a change takes effect at the height after the next.
const CHANGE_AFTER: u32 = 2;
/// How often a peer looks what its neighbour lacks, ms. source: cometbft/cometbft@5bba72c
/// `config/config.go` `PeerGossipSleepDuration`.
const GOSSIP_MS: u64 = 100;
/// Heights and rounds ahead of the own of which something is kept. assumption: CometBFT keeps
/// nothing, because peers repeat it.
const FUTURE_HEIGHTS: u32 = 10;
const FUTURE_ROUNDS: u32 = 16;

config! {
    /// Parameters of Tendermint.
    {
        /// How long round 0 waits for a Proposal, ms; and how much longer each later round.
        timeout_propose_ms: u64,
        /// See `timeout_propose_ms`.
        timeout_propose_delta_ms: u64,
        /// How long round 0 waits for agreement among prevotes once it has a quorum of them, ms.
        timeout_prevote_ms: u64,
        /// How much longer each later round does.
        timeout_prevote_delta_ms: u64,
        /// How long round 0 waits for agreement among precommits once it has a quorum of them, ms.
        timeout_precommit_ms: u64,
        /// How much longer each later round does.
        timeout_precommit_delta_ms: u64,
        /// How long a validator waits for further precommits after a commit, ms.
        timeout_commit_ms: u64,
        /// Whether that wait ends with the last precommit.
        skip_timeout_commit: bool,
        /// Whether a quorum of precommits for nil waits for the precommit timeout, too.
        nil_precommits_wait: bool,
        /// What makes a validator join a later round.
        round_skip: RoundSkip,
        /// Validators: the first so many nodes; 0 means all.
        validators: u32,
        /// Their voting power, in order; empty means one each.
        voting_power: Vec<u64>,
        /// What the application changes about it.
        power_changes: Vec<PowerChange>,
        /// Whether a block is made when nothing is pending.
        empty_blocks: bool,
        /// Bytes of transactions in a block.
        block_bytes: u64,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

/// A change of a validator's power, decided in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerChange {
    /// The height of the block; it holds two heights later.
    pub height: u32,
    /// The node.
    pub validator: u32,
    /// Its power from then on; with none it leaves.
    pub power: u64,
}

/// How much voting power must have voted in a later round to join it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundSkip {
    /// More than two thirds, as in CometBFT.
    TwoThirds,
    /// More than a third, as in the paper.
    Third,
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["cometbft", "cosmos"];

    fn preset(name: &str) -> Option<Self> {
        let cometbft = Self {
            // source: cometbft/cometbft@5bba72c `config/config.go` `DefaultConsensusConfig`.
            timeout_propose_ms: 3_000,
            timeout_propose_delta_ms: 500,
            timeout_prevote_ms: 1_000,
            timeout_prevote_delta_ms: 500,
            timeout_precommit_ms: 1_000,
            timeout_precommit_delta_ms: 500,
            timeout_commit_ms: 1_000,
            skip_timeout_commit: false,
            // source: cometbft/cometbft@5bba72c `consensus/state.go` `addVote`.
            nil_precommits_wait: true,
            round_skip: RoundSkip::TwoThirds,
            validators: 0,
            voting_power: Vec::new(),
            power_changes: Vec::new(),
            // source: `create_empty_blocks` is true by default.
            empty_blocks: true,
            // source: cometbft/cometbft `types/params.go` `DefaultBlockParams`: 21 MiB, no limit of
            // gas.
            block_bytes: 22_020_096,
            block_txs: 0,
            block_exec_ms: 0,
        };
        match name {
            "cometbft" => Some(cometbft),
            "cosmos" => Some(Self {
                // source: cosmos/cosmos-sdk@001c967 `server/util.go` `interceptConfigs`: the only
                // default of consensus that chains built with it change.
                timeout_commit_ms: 5_000,
                ..cometbft
            }),
            _ => None,
        }
    }
}

/// What Tendermint puts in a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The round in which the block was first proposed.
    pub round: u32,
    /// Signatures in the commit of the block below.
    pub signatures: u32,
}

/// A proposer's proposal of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// The height.
    pub height: u32,
    /// The round.
    pub round: u32,
    /// The block, which travels with it.
    pub block: BlockId,
    /// The round in which a quorum prevoted it, if that happened.
    pub valid_round: Option<u32>,
}

/// What a validator voted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cast {
    /// Nothing yet.
    No,
    /// Nil.
    Nil,
    /// A block.
    For(BlockId),
}

impl Cast {
    const fn of(choice: Option<BlockId>) -> Self {
        match choice {
            Some(block) => Self::For(block),
            None => Self::Nil,
        }
    }

    const fn choice(self) -> Option<BlockId> {
        match self {
            Self::For(block) => Some(block),
            Self::Nil | Self::No => None,
        }
    }

    fn word(self, blocks: &Blocks<Header>) -> u64 {
        match self {
            Self::No => 0,
            Self::Nil => 1,
            Self::For(block) => hash::fold_all(2, &[blocks.name(block)]),
        }
    }
}

/// A validator's votes in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Votes {
    /// The height.
    pub height: u32,
    /// The round.
    pub round: u32,
    /// Its prevote.
    pub prevote: Cast,
    /// Its precommit.
    pub precommit: Cast,
    /// How often it has repeated votes.
    pub attempt: u32,
}

/// What validators send, besides their votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A proposal.
    Proposal(Proposal),
    /// The sender's votes in its round, once more.
    Votes(Votes),
    /// The votes that decided a ballot.
    Quorum(Ballot),
    /// A committed block with its commit.
    Sealed(BlockId),
    /// A request for the head with its commit, by one who works at this height.
    Ask {
        /// The height.
        height: u32,
    },
    /// A request for the prevotes behind a valid round.
    AskPrevotes(Ballot),
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Proposal(p) => {
                let valid = p.valid_round.map_or(0, |r| u64::from(r) + 1);
                let (height, round) = (u64::from(p.height), u64::from(p.round));
                hash::fold_all(0, &[height, round, valid, blocks.name(p.block)])
            }
            Self::Votes(v) => {
                let place = [u64::from(v.height), u64::from(v.round)];
                let cast = [v.prevote.word(blocks), v.precommit.word(blocks)];
                let [a, b] = cast;
                hash::fold_all(1, &[place[0], place[1], a, b, u64::from(v.attempt)])
            }
            Self::Quorum(ballot) => hash::fold_all(2, &[ballot.content(blocks)]),
            Self::Sealed(block) => hash::fold_all(3, &[blocks.name(block)]),
            Self::Ask { height } => hash::fold_all(4, &[u64::from(height)]),
            Self::AskPrevotes(ballot) => hash::fold_all(5, &[ballot.content(blocks)]),
        }
    }
}

/// What a replica waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The next height is due.
    Commit {
        /// It.
        height: u32,
    },
    /// A step of a round has lasted long enough.
    Step {
        /// Which of them.
        wait: Patience,
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

/// What a timeout of a round is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// A Proposal.
    Propose,
    /// Agreement among prevotes.
    Prevote,
    /// Agreement among precommits.
    Precommit,
    /// Anything at all.
    Stall,
}

impl Content<Header> for Timer {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        match *self {
            Self::Commit { height } => hash::fold_all(0, &[u64::from(height)]),
            Self::Step {
                wait,
                height,
                round,
            } => hash::fold_all(1, &[wait as u64, u64::from(height), u64::from(round)]),
            Self::Sync { question } => hash::fold_all(2, &[u64::from(question)]),
        }
    }
}

/// A time to wait in round 0, and how much longer in each later round.
#[derive(Clone, Copy, Debug)]
struct Growing {
    first: Span,
    more: Span,
}

impl Growing {
    fn at(self, round: u32) -> Span {
        let more = self.more.ns().saturating_mul(u64::from(round));
        Span::from_ns(self.first.ns().saturating_add(more))
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    propose: Growing,
    prevote: Growing,
    precommit: Growing,
    commit: Span,
    skip_commit: bool,
    nil_waits: bool,
    skip: RoundSkip,
    empty_blocks: bool,
    limits: Limits,
}

/// Whose turn it is to propose. All but the total is by place in the committee.
#[derive(Clone, Debug)]
struct Rotation {
    members: Vec<NodeId>,
    powers: Vec<i64>,
    total: i64,
    /// Priorities after the turn of this height's round 0, and who had it.
    height: Vec<i64>,
    first: u32,
    /// Priorities after the turn of a later round, which one, and who had it.
    round: Vec<i64>,
    at: u32,
    proposer: u32,
}

impl Rotation {
    /// That of the first height.
    fn new(committee: &Committee) -> Self {
        let power = |m| committee.weight(m) as i64;
        let n = committee.len() as usize;
        let mut rotation = Self {
            members: committee.members().collect(),
            powers: committee.members().map(power).collect(),
            total: committee.total() as i64,
            height: vec![0; n],
            first: 0,
            round: vec![0; n],
            at: 0,
            proposer: 0,
        };
        rotation.next_height();
        rotation
    }

    fn place(&self, node: NodeId) -> Option<usize> {
        self.members.iter().position(|m| *m == node)
    }

    /// Changes powers between two heights, in the order of [`Committee::elect`].
    /// source: cometbft/cometbft `types/validator_set.go` `updateWithChangeSet`.
    fn change(&mut self, changes: &[PowerChange]) {
        let node = |change: &PowerChange| NodeId::new(change.validator);
        let (stay, leave) = (
            |c: &&PowerChange| c.power > 0,
            |c: &&PowerChange| c.power == 0,
        );
        for change in changes.iter().filter(stay) {
            let before = self
                .place(node(change))
                .map_or(0, |place| self.powers[place]);
            self.total += change.power as i64 - before;
        }
        let entry = -(self.total + self.total / 8);
        for change in changes.iter().filter(stay) {
            if let Some(place) = self.place(node(change)) {
                self.powers[place] = change.power as i64;
                continue;
            }
            let after = self.members.iter().position(|m| *m > node(change));
            let place = after.unwrap_or(self.members.len());
            self.members.insert(place, node(change));
            self.powers.insert(place, change.power as i64);
            self.height.insert(place, entry);
        }
        for change in changes.iter().filter(leave) {
            let Some(place) = self.place(node(change)) else {
                continue;
            };
            self.members.remove(place);
            self.total -= self.powers.remove(place);
            self.height.remove(place);
        }
        let mean = scale(&mut self.height, self.total);
        self.height
            .iter_mut()
            .for_each(|priority| *priority -= mean);
        self.round.clone_from(&self.height);
    }

    fn next_height(&mut self) {
        self.first = turn(&mut self.height, &self.powers, self.total);
        self.rewind();
    }

    fn rewind(&mut self) {
        self.round.copy_from_slice(&self.height);
        self.at = 0;
        self.proposer = self.first;
    }

    /// A round's proposer.
    fn proposer(&mut self, round: u32) -> NodeId {
        if round < self.at {
            self.rewind();
        }
        while self.at < round {
            self.proposer = turn(&mut self.round, &self.powers, self.total);
            self.at += 1;
        }
        self.members[self.proposer as usize]
    }
}

/// Scales priorities into their window; their mean then. source: cometbft/cometbft
/// `types/validator_set.go` `RescalePriorities`, `computeAvgProposerPriority`.
fn scale(priorities: &mut [i64], total: i64) -> i64 {
    let low = priorities.iter().min().expect("a committee has members");
    let high = priorities.iter().max().expect("a committee has members");
    let (spread, window) = (high - low, PRIORITY_WINDOW * total);
    let shrink = if spread > window {
        (spread + window - 1) / window
    } else {
        1
    };
    let mut sum = 0_i128;
    for priority in &mut *priorities {
        *priority /= shrink;
        sum += i128::from(*priority);
    }
    sum.div_euclid(priorities.len() as i128) as i64
}

/// One turn; the place of who has it. source: cometbft/cometbft `types/validator_set.go`
/// `IncrementProposerPriority`. Priorities start equal, which centring makes 0.
fn turn(priorities: &mut [i64], powers: &[i64], total: i64) -> u32 {
    let mean = scale(priorities, total);
    let mut best = 0;
    for place in 0..priorities.len() {
        priorities[place] += powers[place] - mean;
        if priorities[place] > priorities[best] {
            best = place;
        }
    }
    priorities[best] -= total;
    best as u32
}

/// Where a replica is within a height, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    /// After the last commit.
    NewHeight,
    /// Before round 0, until something is pending.
    NewRound,
    Propose,
    Prevote,
    Precommit,
    /// Decided, but the block is not here.
    Commit,
}

/// How far the proposer of the current round has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lead {
    /// Not the proposer.
    Idle,
    /// The block was ordered.
    Building,
    /// The Proposal is out.
    Done,
}

/// A block that a quorum prevoted in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Polka {
    round: u32,
    block: BlockId,
}

/// What happens once in a round.
#[derive(Clone, Copy, Default, Debug)]
struct Once {
    /// The timeout for prevotes was set.
    prevote_wait: bool,
    /// The timeout for precommits was set.
    precommit_wait: bool,
    /// The prevotes behind the Proposal were asked for.
    asked: bool,
}

/// How many members a commit has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sizes {
    /// Those of the smallest quorum.
    quorum: u32,
    /// All.
    members: u32,
}

impl Sizes {
    fn of(rotation: &Rotation) -> Self {
        let powers = rotation.powers.iter().map(|&p| p as Weight).collect();
        Self {
            quorum: heaviest(powers, |sum, total| 3 * sum <= 2 * total) + 1,
            members: rotation.members.len() as u32,
        }
    }
}

/// Catching up with the chain.
#[derive(Clone, Copy, Debug)]
struct CatchUp {
    /// The height that some peer is known to work at.
    target: u32,
    /// Who said so last.
    ahead: Option<NodeId>,
    /// The number of the last question; also says whom to ask next.
    question: u32,
    /// Whether one who is ahead was asked, and has not answered.
    open: bool,
    /// Whether the current height was heard of since the last question.
    heard: bool,
    /// A committed block that is here but whose ancestors are not.
    tip: Option<BlockId>,
    /// The missing ancestor that was asked for last.
    hole: Option<BlockId>,
}

/// One node.
#[derive(Debug)]
pub struct Tendermint {
    me: NodeId,
    rules: Rules,
    /// Whether it votes at this height.
    validator: bool,
    /// The commits of this height, and of the one below.
    sizes: Sizes,
    below: Sizes,
    rotation: Rotation,
    /// By height.
    changes: Vec<PowerChange>,
    /// The last committed block.
    head: BlockId,
    /// All precommits of the round that committed it, if that round is known, and whether they are
    /// here.
    last_commit: Option<Ballot>,
    complete: bool,
    /// The height being decided: one above the head's.
    height: u32,
    round: u32,
    step: Step,
    locked: Option<Polka>,
    valid: Option<Polka>,
    /// Proposals of this height, for the current round and later ones; one each.
    proposals: Vec<Proposal>,
    /// Ballots that were decided, at this height and later ones.
    quorums: Vec<Ballot>,
    /// What others repeated of their votes in the current round or, the latest each, later ones.
    repeated: Vec<(NodeId, Votes)>,
    /// The own votes in the current round.
    mine: Votes,
    lead: Lead,
    once: Once,
    /// The votes that led to the current round.
    entered_by: Option<Ballot>,
    /// Proposals of later heights.
    future: Vec<(NodeId, Proposal)>,
    catch_up: CatchUp,
}

impl Engine for Tendermint {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Stake,
        electorate: Electorate::Stake,
        agreement: Agreement::CommitteeVote,
        standing: Standing::Deployable,
        final_holds_if: "less than a third of the voting power lies",
        guarantee: Guarantee::Commit,
        bound: "less than 1/3 of the power lies; 1/3 at most is down",
        quorum: "more than 2/3 of the power",
        messages: "(n−1)(2n+1)",
        latency: "3d",
        finality: "on commit",
        source: "cometbft/cometbft@5bba72c; Buchman, Kwon, Milosevic 2018 (arXiv 1807.04938)",
    };
    const KINDS: &'static [&'static str] = &["proposal", "votes", "quorum", "block", "ask"];
    const PHASES: &'static [&'static str] = &[
        "prevote",
        "precommit",
        "any prevote",
        "any precommit",
        "some prevote",
        "all precommits",
    ];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        if config.validators > nodes {
            let why = format!("{} validators on {nodes} nodes", config.validators);
            let hint = "name at most as many as there are nodes, or 0 for all";
            return refuse("validators", why, hint);
        }
        let n = validators(config, nodes);
        let given = config.voting_power.len();
        if given != 0 && given != n as usize {
            let why = format!("{given} powers for {n} validators");
            return refuse("voting_power", why, "name one for each validator, or none");
        }
        if config.voting_power.contains(&0) {
            let why = "a validator without power".to_owned();
            return refuse("voting_power", why, "leave it out, or give it at least 1");
        }
        let total: u128 = config.voting_power.iter().map(|&p| u128::from(p)).sum();
        if total > u128::from(MAX_POWER) {
            let why = format!("a total of {total} is more than {MAX_POWER}");
            return refuse("voting_power", why, "scale all of them down");
        }
        if let Some((why, hint)) = unsound_change(config, nodes) {
            return refuse("power_changes", why, hint);
        }
        if config.timeout_propose_ms == 0 {
            let why = "no Proposal arrives within no time".to_owned();
            return refuse("timeout_propose_ms", why, "set at least 1");
        }
        let alone = n == 1 || committees(config, nodes).iter().any(|c| c.len() == 1);
        if alone && (config.timeout_commit_ms == 0 || config.skip_timeout_commit) {
            let why = "a single validator would make blocks without end in no time".to_owned();
            let hint = "set at least 1, and skip_timeout_commit to false";
            return refuse("timeout_commit_ms", why, hint);
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        if config.voting_power.is_empty() {
            return Committee::equal(validators(config, nodes));
        }
        let members = (0..validators(config, nodes)).map(NodeId::new);
        Committee::weighted(members.zip(config.voting_power.iter().copied()).collect())
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        let rotation = Rotation::new(committee);
        let growing = |first, more| Growing {
            first: Span::from_ms(first),
            more: Span::from_ms(more),
        };
        Self {
            me,
            rules: Rules {
                propose: growing(config.timeout_propose_ms, config.timeout_propose_delta_ms),
                prevote: growing(config.timeout_prevote_ms, config.timeout_prevote_delta_ms),
                precommit: growing(
                    config.timeout_precommit_ms,
                    config.timeout_precommit_delta_ms,
                ),
                commit: Span::from_ms(config.timeout_commit_ms),
                skip_commit: config.skip_timeout_commit,
                nil_waits: config.nil_precommits_wait,
                skip: config.round_skip,
                empty_blocks: config.empty_blocks,
                limits: Limits {
                    bytes: config.block_bytes,
                    txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                    exec: match config.block_exec_ms {
                        0 => Span::MAX,
                        ms => Span::from_ms(ms),
                    },
                },
            },
            validator: committee.position(me).is_some(),
            sizes: Sizes::of(&rotation),
            below: Sizes::of(&rotation),
            rotation,
            changes: changes(config),
            head: Blocks::<Header>::GENESIS,
            last_commit: None,
            complete: false,
            height: 1,
            round: 0,
            step: Step::NewHeight,
            locked: None,
            valid: None,
            proposals: Vec::new(),
            quorums: Vec::with_capacity(16),
            repeated: Vec::new(),
            mine: no_votes(1, 0, 0),
            lead: Lead::Idle,
            once: Once::default(),
            entered_by: None,
            future: Vec::new(),
            catch_up: CatchUp {
                target: 1,
                ahead: None,
                question: 0,
                open: false,
                heard: true,
                tip: None,
                hole: None,
            },
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            round: 0,
            signatures: 0,
        }
    }

    fn finality(_: &Config, adversary: &Adversary) -> Result<Finality, String> {
        if 3.0 * adversary.share >= 1.0 {
            return Err(format!(
                "an adversary with {:.1} % of the voting power has a third or more",
                100.0 * adversary.share
            ));
        }
        Ok(Finality::Commit)
    }

    /// For unequal powers, how many members may fail whichever they are: the heaviest first. Where
    /// powers change, those that hold at all heights.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let committees = committees(config, nodes);
        let count = |fits: fn(u128, u128) -> bool| {
            let powers = |c: &Committee| c.members().map(|m| c.weight(m)).collect();
            let counts = committees.iter().map(move |c| heaviest(powers(c), fits));
            counts.collect::<Vec<u32>>()
        };
        let least = |counts: Vec<u32>| counts.into_iter().min().unwrap_or(0);
        let quorums = count(|sum, total| 3 * sum <= 2 * total);
        Promises {
            byzantine: least(count(|sum, total| 3 * sum < total)),
            crashed: least(count(|sum, total| 3 * (total - sum) > 2 * total)),
            quorum: quorums.into_iter().max().unwrap_or(0) + 1,
            // Three message delays come on top; their length is not known here.
            interval: Span::from_ms(config.timeout_commit_ms),
        }
    }

    /// A block is decided once a quorum has it: the proposer's own votes wait behind its copies. Over
    /// many blocks, validators of equal power send equal shares of all copies.
    fn copies(config: &Config, nodes: u32) -> u32 {
        let n = validators(config, nodes);
        let quorum = Self::promises(config, nodes).quorum;
        quorum.min(n - 1).max((nodes - 1).div_ceil(n))
    }

    /// The proposer executes before its Proposal leaves, the others before they prevote.
    fn execution(_: &Config) -> Execution {
        Execution::InTurn(2)
    }

    fn least_interval(config: &Config, nodes: u32) -> Option<Span> {
        let interval = Self::promises(config, nodes).interval;
        (!config.skip_timeout_commit && interval > Span::ZERO).then_some(interval)
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => self.start_height(ctx, out),
            Input::Restarted => self.restart(ctx, out),
            Input::Timer(timer) => self.on_timer(timer, ctx, out),
            Input::Pending if self.step == Step::NewRound => self.start_round(0, None, ctx, out),
            Input::Pending => {} // A Proposal was faster.
            Input::BlockBuilt(block) => self.on_built(block, ctx, out),
            Input::Message { from, message } => self.on_message(from, message, ctx, out),
            Input::Threshold(ballot) => self.on_threshold(ballot, ctx, out),
            Input::Body { block, from } => self.import(block, from, ctx, out),
            Input::Header { .. } => {} // Never announced by this engine.
        }
        if self.validator {
            while self.apply_a_rule(ctx, out) {}
        }
    }

    fn leader(&self, _: &Ctx<'_>) -> Option<NodeId> {
        Some(self.rotation.clone().proposer(self.round))
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let costs = ctx.costs;
        let wire = |kind, bytes, signatures| Wire {
            kind,
            bytes,
            sign: Span::ZERO,
            check: costs.verify * signatures,
        };
        match *message {
            Message::Proposal(p) => {
                let block = ctx.blocks.get(p.block);
                // A valid block was executed when it was first proposed.
                let built = p.valid_round.map_or(costs.build(block), |_| Span::ZERO);
                Wire {
                    kind: 0,
                    bytes: block.bytes + PROPOSAL_BYTES + parts(block.bytes),
                    sign: costs.sign + built,
                    check: costs.verify + costs.validate(block),
                }
            }
            Message::Votes(v) => {
                let cast = |c: Cast| u64::from(c != Cast::No);
                let votes = cast(v.prevote) + cast(v.precommit);
                wire(1, STATUS_BYTES + votes * VOTE_BYTES, votes)
            }
            Message::Quorum(_) => {
                let votes = u64::from(self.sizes.quorum);
                Wire {
                    check: costs.certificate(votes),
                    ..wire(2, votes * VOTE_BYTES, 0)
                }
            }
            Message::Sealed(block) => Wire {
                kind: 3,
                bytes: ctx.blocks.get(block).bytes + commit_bytes(self.below.quorum),
                sign: Span::ZERO,
                check: self.check_block(block, ctx),
            },
            Message::Ask { .. } | Message::AskPrevotes(_) => wire(4, ASK_BYTES, 0),
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(message, Message::Votes(_))
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Proposal(p) => Some(p.block),
            Message::Sealed(block) => Some(block),
            Message::Votes(_)
            | Message::Quorum(_)
            | Message::Ask { .. }
            | Message::AskPrevotes(_) => None,
        }
    }

    fn vote_wire(&self, phase: u8, ctx: &Ctx<'_>) -> Wire {
        Wire {
            kind: phase,
            bytes: VOTE_BYTES,
            sign: ctx.costs.sign,
            check: ctx.costs.verify,
        }
    }

    fn also_counts(ballot: Ballot) -> [Option<Ballot>; 2] {
        let of = |phase| {
            Some(Ballot {
                phase,
                choice: None,
                ..ballot
            })
        };
        match ballot.phase {
            PREVOTE => [of(ANY_PREVOTE), of(SOME_PREVOTE)],
            PRECOMMIT => [of(ANY_PRECOMMIT), of(ALL_PRECOMMIT)],
            _ => [None, None],
        }
    }

    fn threshold(phase: u8, committee: &Committee) -> Weight {
        match phase {
            SOME_PREVOTE => committee.total() / 3 + 1,
            ALL_PRECOMMIT => committee.total(),
            _ => 2 * committee.total() / 3 + Weight::from(!broken(Mutant::TendermintQuorum)),
        }
    }

    fn header_bytes(&self, header: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES + commit_bytes(header.signatures)
    }

    /// A body that was asked for is a committed one: its commit is checked, and it is executed.
    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        ctx.costs.certificate(u64::from(self.sizes.quorum)) + ctx.costs.validate(block)
    }
}

/// The rules; each says whether it applied.
impl Tendermint {
    fn apply_a_rule(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        self.upon_proposal(ctx, out)
            || self.upon_polka(ctx, out)
            || self.upon_prevotes(ctx, out)
            || self.upon_precommits(ctx, out)
            || self.upon_decision(ctx, out)
            || self.upon_later_round(ctx, out)
    }

    /// Upon the round's Proposal, if the prevotes that it refers to are here.
    fn upon_proposal(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        let proposal = self.proposal().filter(|_| self.step <= Step::Propose);
        let Some(p) = proposal else {
            return false;
        };
        if let Some(valid) = p.valid_round {
            let prevotes = self.ballot(valid, PREVOTE, Some(p.block));
            if !self.has(prevotes) {
                self.ask_for_prevotes(prevotes, out);
                return false;
            }
        }
        // A Proposal may end the commit timeout.
        if self.step < Step::Propose {
            self.set_timer(Patience::Stall, ctx, out);
        }
        let free = self.locked.is_none_or(|lock| {
            broken(Mutant::TendermintLock)
                || lock.block == p.block
                || p.valid_round.is_some_and(|valid| lock.round <= valid)
        });
        let choice = (free && self.is_sound(&p, ctx)).then_some(p.block);
        self.prevote(choice, out);
        true
    }

    fn ask_for_prevotes(&mut self, prevotes: Ballot, out: &mut Out) {
        let from = self.rotation.proposer(self.round);
        if from != self.me && !core::mem::replace(&mut self.once.asked, true) {
            out.send(To::One(from), Message::AskPrevotes(prevotes));
        }
    }

    /// Upon a quorum of prevotes for the proposed block.
    fn upon_polka(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        let Some(polka) = self.polka(ctx) else {
            return false;
        };
        match self.step {
            Step::Prevote => self.precommit(ctx, out),
            Step::Precommit if self.valid != Some(polka) => self.valid = Some(polka),
            _ => return false,
        }
        true
    }

    /// Upon a quorum of prevotes for nil, or of any.
    fn upon_prevotes(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        if self.step != Step::Prevote {
            return false;
        }
        if self.has(self.ballot(self.round, PREVOTE, None)) {
            self.precommit(ctx, out);
            return true;
        }
        let wait = !self.once.prevote_wait && self.has(self.ballot(self.round, ANY_PREVOTE, None));
        if wait {
            self.once.prevote_wait = true;
            self.set_timer(Patience::Prevote, ctx, out);
        }
        wait
    }

    /// Upon a quorum of precommits for nil, or of any.
    fn upon_precommits(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        let any = self.ballot(self.round, ANY_PRECOMMIT, None);
        if self.step == Step::Commit || !self.has(any) {
            return false;
        }
        if self.step < Step::Propose {
            self.start_round(0, None, ctx, out);
            return true;
        }
        if self.has(self.ballot(self.round, PRECOMMIT, None)) {
            if self.step < Step::Precommit {
                self.precommit(ctx, out);
                return true;
            }
            if !self.rules.nil_waits {
                self.start_round(self.round + 1, Some(any), ctx, out);
                return true;
            }
        }
        let wait = !self.once.precommit_wait;
        if wait {
            self.once.precommit_wait = true;
            self.set_timer(Patience::Precommit, ctx, out);
        }
        wait
    }

    /// Upon a quorum of precommits for a block, in any round of the height.
    fn upon_decision(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        let decisive = |b: &&Ballot| (b.height, b.phase) == (self.height, PRECOMMIT);
        let mut decided = self.quorums.iter().filter(decisive);
        let Some((round, block)) = decided.find_map(|b| Some((b.round, b.choice?))) else {
            return false;
        };
        if round == self.round && self.step < Step::Precommit {
            self.precommit(ctx, out);
        }
        if ctx.holds(block) {
            return self.commit(block, round, ctx, out);
        }
        let first = self.step != Step::Commit;
        if first {
            self.step = Step::Commit;
            let from = ctx.blocks.get(block).key.creator;
            out.push(Effect::Fetch { block, from });
        }
        first
    }

    /// Upon enough votes of a later round.
    fn upon_later_round(&mut self, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        if self.step == Step::Commit {
            return false;
        }
        let (height, round, skip) = (self.height, self.round, self.rules.skip);
        let counts = |b: &&Ballot| {
            let enough = match b.phase {
                ANY_PREVOTE | ANY_PRECOMMIT => true,
                SOME_PREVOTE => skip == RoundSkip::Third,
                _ => false,
            };
            enough && b.height == height && b.round > round
        };
        let latest = self.quorums.iter().filter(counts).max_by_key(|b| b.round);
        let Some(&by) = latest else {
            return false;
        };
        self.start_round(by.round, Some(by), ctx, out);
        true
    }

    fn prevote(&mut self, choice: Option<BlockId>, out: &mut Out) {
        self.step = Step::Prevote;
        self.mine.prevote = Cast::of(choice);
        out.push(Effect::Vote(self.ballot(self.round, PREVOTE, choice)));
    }

    /// Locks and precommits what a quorum prevoted in this round, or else precommits nil.
    fn precommit(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let polka = self.polka(ctx);
        if polka.is_some() {
            self.locked = polka;
            self.valid = polka;
        }
        let choice = polka.map(|p| p.block);
        self.step = Step::Precommit;
        self.mine.precommit = Cast::of(choice);
        out.push(Effect::Vote(self.ballot(self.round, PRECOMMIT, choice)));
    }

    /// The round's proposed block, if it is sound and a quorum prevoted it.
    fn polka(&self, ctx: &Ctx<'_>) -> Option<Polka> {
        let p = self.proposal()?;
        let prevoted = self.has(self.ballot(self.round, PREVOTE, Some(p.block)));
        (prevoted && self.is_sound(&p, ctx)).then_some(Polka {
            round: self.round,
            block: p.block,
        })
    }

    /// The Proposal of the current round.
    fn proposal(&self) -> Option<Proposal> {
        let of = |p: &&Proposal| p.round == self.round;
        self.proposals.iter().find(of).copied()
    }

    /// A block on the head; without a valid round one of the proposer's own, made for this round.
    fn is_sound(&self, p: &Proposal, ctx: &Ctx<'_>) -> bool {
        let block = ctx.blocks.get(p.block);
        block.parent == Some(self.head)
            && (p.valid_round.is_some() || block.header.round == p.round)
    }

    fn ballot(&self, round: u32, phase: u8, choice: Option<BlockId>) -> Ballot {
        Ballot {
            height: self.height,
            round,
            phase,
            choice,
        }
    }

    fn has(&self, ballot: Ballot) -> bool {
        self.quorums.contains(&ballot)
    }

    fn note(&mut self, ballot: Ballot) {
        if !self.has(ballot) && ballot.height <= self.height + FUTURE_HEIGHTS {
            self.quorums.push(ballot);
        }
    }
}

/// Heights and rounds.
impl Tendermint {
    /// Upon a new head.
    fn start_height(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.height = ctx.blocks.get(self.head).height + 1;
        self.step = Step::NewHeight;
        (self.locked, self.valid) = (None, None);
        self.proposals.clear();
        self.repeated.clear();
        self.mine.attempt = 0;
        self.open_round(0, None);
        self.catch_up.heard = true;
        if !self.validator {
            return;
        }
        let height = self.height;
        self.quorums.retain(|b| b.height >= height);
        for i in 0..self.future.len() {
            let (from, p) = self.future[i];
            if p.height == height {
                self.take_proposal(from, p);
            }
        }
        self.future.retain(|(_, p)| p.height > height);
        out.timer(ctx.clock + self.rules.commit, Timer::Commit { height });
        if self.rules.skip_commit && self.complete {
            self.begin(ctx, out);
        }
    }

    /// Upon the end of the commit timeout.
    fn begin(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let parent = ctx.blocks.get(self.head);
        // The hash of what a block did is in the header of the next.
        let proof = parent.parent.is_none() || parent.txs > 0;
        if self.rules.empty_blocks || proof {
            return self.start_round(0, None, ctx, out);
        }
        self.step = Step::NewRound;
        out.push(Effect::AwaitPending {
            count: 1,
            bytes: u64::MAX,
        });
    }

    fn open_round(&mut self, round: u32, by: Option<Ballot>) {
        self.round = round;
        self.mine = no_votes(self.height, round, self.mine.attempt);
        self.lead = Lead::Idle;
        self.once = Once::default();
        self.entered_by = by;
        self.proposals.retain(|p| p.round >= round);
        self.repeated.retain(|(_, votes)| votes.round >= round);
    }

    fn start_round(&mut self, round: u32, by: Option<Ballot>, ctx: &Ctx<'_>, out: &mut Out) {
        self.open_round(round, by);
        self.step = Step::Propose;
        if round > 0 {
            out.push(Effect::RoundChange { round });
        }
        self.set_timer(Patience::Propose, ctx, out);
        self.set_timer(Patience::Stall, ctx, out);
        self.propose_if_due(out);
    }

    fn set_timer(&self, wait: Patience, ctx: &Ctx<'_>, out: &mut Out) {
        let (height, round, rules) = (self.height, self.round, &self.rules);
        let span = match wait {
            Patience::Propose => rules.propose.at(round),
            Patience::Prevote => rules.prevote.at(round),
            Patience::Precommit => rules.precommit.at(round),
            // assumption: a round whose messages arrive ends within its timeouts. CometBFT's peers
            // would repeat what is missing as soon as they are connected again.
            Patience::Stall => [rules.propose, rules.prevote, rules.precommit]
                .map(|t| t.at(round))
                .into_iter()
                .fold(Span::ZERO, |sum, t| {
                    Span::from_ns(sum.ns().saturating_add(t.ns()))
                }),
        };
        let timer = Timer::Step {
            wait,
            height,
            round,
        };
        out.timer(ctx.clock.saturating_add(span), timer);
    }

    fn on_timer(&mut self, timer: Timer, ctx: &Ctx<'_>, out: &mut Out) {
        match timer {
            Timer::Commit { height } => {
                if height == self.height && self.step == Step::NewHeight {
                    self.begin(ctx, out);
                }
            }
            Timer::Sync { question } => {
                if question == self.catch_up.question {
                    self.on_sync_timer(ctx, out);
                }
            }
            Timer::Step {
                wait,
                height,
                round,
            } => {
                let due = (height, round) == (self.height, self.round);
                if due && self.step >= Step::Propose {
                    self.on_timeout(wait, ctx, out);
                }
            }
        }
    }

    /// Upon a timeout of the current round.
    fn on_timeout(&mut self, wait: Patience, ctx: &Ctx<'_>, out: &mut Out) {
        match (wait, self.step) {
            (Patience::Propose, Step::Propose) => self.prevote(None, out),
            (Patience::Prevote, Step::Prevote) => self.precommit(ctx, out),
            (Patience::Precommit, Step::Propose | Step::Prevote | Step::Precommit) => {
                if self.step < Step::Precommit {
                    self.precommit(ctx, out);
                }
                let by = self.ballot(self.round, ANY_PRECOMMIT, None);
                self.start_round(self.round + 1, Some(by), ctx, out);
            }
            (Patience::Stall, _) => {
                self.mine.attempt += 1;
                out.send(To::Committee, Message::Votes(self.mine));
                self.set_timer(Patience::Stall, ctx, out);
            }
            (_, _) => {} // The step is over.
        }
    }

    /// Whether it commits; it does not beyond the bound, when another block was committed below.
    fn commit(&mut self, block: BlockId, round: u32, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        if ctx.blocks.get(block).parent != Some(self.head) {
            return false;
        }
        let announces = self.rotation.proposer(round) == self.me;
        let all = self.ballot(round, ALL_PRECOMMIT, None);
        self.last_commit = Some(all);
        self.complete = self.has(all);
        out.push(Effect::Adopt(block));
        out.push(Effect::Commit(block));
        let joined = self.conclude(self.height, out);
        if announces {
            for node in joined.into_iter().filter(|node| *node != self.me) {
                out.send(To::One(node), Message::Sealed(block));
            }
            if ctx.nodes as usize > self.rotation.members.len() {
                out.send(To::Observers, Message::Sealed(block));
            }
        }
        self.head = block;
        self.start_height(ctx, out);
        true
    }

    /// What a committed block changes: powers two heights above it, and now those that were changed
    /// in the block below. Who joins at the next height.
    fn conclude(&mut self, height: u32, out: &mut Out) -> Vec<NodeId> {
        for change in changed_at(&self.changes, height) {
            out.push(Effect::Elect {
                height: change.height + CHANGE_AFTER,
                member: NodeId::new(change.validator),
                weight: change.power,
            });
        }
        self.below = self.sizes;
        let due = changed_at(&self.changes, (height + 1).saturating_sub(CHANGE_AFTER));
        let mut joined = Vec::new();
        if !due.is_empty() {
            let nodes = due.iter().filter(|c| c.power > 0);
            joined.extend(nodes.map(|c| NodeId::new(c.validator)));
            joined.retain(|node| self.rotation.place(*node).is_none());
            self.rotation.change(due);
            self.sizes = Sizes::of(&self.rotation);
            self.validator = self.rotation.place(self.me).is_some();
        }
        self.rotation.next_height();
        joined
    }
}

/// Proposing.
impl Tendermint {
    fn propose_if_due(&mut self, out: &mut Out) {
        if self.rotation.proposer(self.round) != self.me {
            return;
        }
        if let Some(valid) = self.valid {
            return self.propose(valid.block, Some(valid.round), out);
        }
        self.lead = Lead::Building;
        let signatures = match self.last_commit {
            _ if self.height == 1 => 0,
            Some(_) if self.complete => self.below.members,
            _ => self.below.quorum,
        };
        out.push(Effect::BuildBlock {
            parent: self.head,
            header: Header {
                round: self.round,
                signatures,
            },
            limits: self.rules.limits,
            as_of: None,
            // Execution is not known before: it is charged to the Proposal, see `wire`.
            cost: Span::ZERO,
        });
    }

    fn on_built(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let built = ctx.blocks.get(block);
        let current = (built.parent, built.header.round) == (Some(self.head), self.round);
        if current && self.lead == Lead::Building {
            self.propose(block, None, out);
        }
    }

    fn propose(&mut self, block: BlockId, valid_round: Option<u32>, out: &mut Out) {
        self.lead = Lead::Done;
        let proposal = Proposal {
            height: self.height,
            round: self.round,
            block,
            valid_round,
        };
        out.send(To::Committee, Message::Proposal(proposal));
        self.proposals.push(proposal);
    }
}

/// Receiving.
impl Tendermint {
    fn on_message(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>, out: &mut Out) {
        let height = match message {
            Message::Sealed(block) => return self.import(block, from, ctx, out),
            Message::Ask { height } => {
                if height < self.height {
                    out.send(To::One(from), Message::Sealed(self.head));
                }
                return;
            }
            Message::Proposal(p) => p.height,
            Message::Votes(v) => v.height,
            Message::Quorum(b) | Message::AskPrevotes(b) => b.height,
        };
        // Of a later height, those of its validators to its validators.
        let committee = ctx.committee_at(height);
        if [self.me, from]
            .iter()
            .any(|node| committee.position(*node).is_none())
        {
            return;
        }
        self.catch_up.heard |= height == self.height;
        match (height.cmp(&self.height), message) {
            (Ordering::Greater, _) => {
                if let Message::Proposal(p) = message {
                    self.keep(from, p);
                }
                self.fall_behind(from, height, ctx, out);
            }
            (Ordering::Equal, Message::Proposal(p)) => self.take_proposal(from, p),
            (Ordering::Equal, Message::Votes(v)) if v.round < self.round => {
                if let Some(by) = self.entered_by.filter(|_| self.helps(from, &v, ctx)) {
                    out.send(To::One(from), Message::Quorum(by));
                }
            }
            (Ordering::Equal, Message::Votes(v)) => self.count_repeated(from, v, ctx),
            (Ordering::Equal, Message::Quorum(ballot)) => self.note(ballot),
            (Ordering::Equal, Message::AskPrevotes(ballot)) => {
                if self.has(ballot) {
                    out.send(To::One(from), Message::Quorum(ballot));
                }
            }
            (Ordering::Less, Message::Votes(v)) if self.helps(from, &v, ctx) => {
                out.send(To::One(from), Message::Sealed(self.head));
            }
            (_, _) => {} // A past height.
        }
    }

    /// Takes the first Proposal of a round's proposer.
    fn take_proposal(&mut self, from: NodeId, p: Proposal) {
        let near = p.round >= self.round && p.round <= self.round + FUTURE_ROUNDS;
        let backward = p.valid_round.is_none_or(|valid| valid < p.round);
        let first = self.proposals.iter().all(|q| q.round != p.round);
        if near && backward && first && from == self.rotation.proposer(p.round) {
            self.proposals.push(p);
        }
    }

    fn on_threshold(&mut self, ballot: Ballot, ctx: &Ctx<'_>, out: &mut Out) {
        if ballot.height < self.height {
            // The last precommit of the last height.
            if self.last_commit == Some(ballot) {
                self.complete = true;
                if self.rules.skip_commit && self.step == Step::NewHeight {
                    self.begin(ctx, out);
                }
            }
            return;
        }
        self.note(ballot);
        if ballot.height == self.height {
            self.catch_up.heard = true;
        } else if let (PRECOMMIT, Some(block)) = (ballot.phase, ballot.choice) {
            let creator = ctx.blocks.get(block).key.creator;
            self.fall_behind(creator, ballot.height, ctx, out);
        }
    }

    /// Counts votes that were repeated, with the own ones, in the round of the newest of them.
    fn count_repeated(&mut self, from: NodeId, votes: Votes, ctx: &Ctx<'_>) {
        self.repeated.retain(|(voter, _)| *voter != from);
        self.repeated.push((from, votes));
        let committee = ctx.committee_at(self.height);
        for phase in [PREVOTE, PRECOMMIT] {
            let cast = |v: &Votes| {
                if phase == PREVOTE {
                    v.prevote
                } else {
                    v.precommit
                }
            };
            let this = cast(&votes);
            if this == Cast::No {
                continue;
            }
            let (mut same, mut any) = (0, 0);
            for (voter, v) in self.repeated.iter().chain([&(self.me, self.mine)]) {
                if v.round == votes.round && cast(v) != Cast::No {
                    let weight = committee.weight(*voter);
                    any += weight;
                    same += if cast(v) == this { weight } else { 0 };
                }
            }
            let ballot = self.ballot(votes.round, phase, this.choice());
            let [a, b] = Self::also_counts(ballot);
            for (ballot, weight) in [(Some(ballot), same), (a, any), (b, any)] {
                let decided = |b: &Ballot| weight >= Self::threshold(b.phase, committee);
                if let Some(ballot) = ballot.filter(decided) {
                    self.note(ballot);
                }
            }
        }
    }

    /// Whether to help one who repeats old votes: as many validators do as may lie, and one more.
    fn helps(&self, from: NodeId, votes: &Votes, ctx: &Ctx<'_>) -> bool {
        let committee = ctx.committee_at(votes.height);
        let n = committee.len();
        let place = |node| committee.position(node).unwrap_or(0);
        let distance = (place(self.me) + 2 * n - place(from) - 1 - votes.attempt % n) % n;
        distance <= byzantine_bound(n)
    }
}

/// Catching up.
impl Tendermint {
    fn keep(&mut self, from: NodeId, p: Proposal) {
        let near = p.height <= self.height + FUTURE_HEIGHTS && p.round <= FUTURE_ROUNDS;
        let known = self.future.contains(&(from, p));
        // A proposer in each height and round that is near enough.
        let most = (FUTURE_HEIGHTS * (FUTURE_ROUNDS + 1)) as usize;
        if near && !known && self.future.len() < most {
            self.future.push((from, p));
        }
    }

    /// Upon evidence that `from` works at a later height.
    fn fall_behind(&mut self, from: NodeId, height: u32, ctx: &Ctx<'_>, out: &mut Out) {
        self.catch_up.target = self.catch_up.target.max(height);
        self.catch_up.ahead = Some(from);
        if self.catch_up.open || from == self.me {
            return;
        }
        // With the block in hand, its last precommits are probably on their way: wait before asking.
        let near = height == self.height + 1 && self.proposal().is_some();
        if near {
            return self.open_question(Span::from_ms(GOSSIP_MS), ctx, out);
        }
        out.push(Effect::Sync { from });
        self.open_question(self.rules.propose.first, ctx, out);
    }

    /// assumption: blocks that were asked for are here within the first propose timeout.
    fn open_question(&mut self, wait: Span, ctx: &Ctx<'_>, out: &mut Out) {
        // Who asks without knowing of anybody ahead takes the first who is.
        self.catch_up.open = self.height < self.catch_up.target;
        self.catch_up.question += 1;
        let question = self.catch_up.question;
        out.timer(ctx.clock + wait, Timer::Sync { question });
    }

    /// Asks whoever was ahead last, or else the next peer. Observers ask validators, who have the blocks
    /// first.
    fn ask_next_peer(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let committee = ctx.committee_at(self.height);
        let place = committee.position(self.me).unwrap_or(self.me.get());
        let step = 1 + u64::from(self.catch_up.question);
        let mut from = committee.at(u64::from(place) + step);
        if from == self.me {
            from = committee.at(u64::from(place) + step + 1);
        }
        from = self.catch_up.ahead.take().unwrap_or(from);
        if from != self.me {
            self.catch_up.heard = false;
            // The head's commit, in case its body is here, and the bodies that are not.
            let height = self.height;
            out.send(To::One(from), Message::Ask { height });
            out.push(Effect::Sync { from });
            self.open_question(self.rules.propose.first, ctx, out);
        }
    }

    fn on_sync_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.catch_up.open = false;
        self.catch_up.hole = None;
        if self.height < self.catch_up.target || !self.catch_up.heard {
            self.ask_next_peer(ctx, out);
        }
    }

    /// Upon restarting: what was in flight is lost, timers included. The votes that were counted
    /// are not.
    fn restart(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if self.validator {
            self.recall(ctx);
            match self.step {
                Step::NewHeight | Step::NewRound => {
                    self.step = Step::NewHeight;
                    let height = self.height;
                    out.timer(ctx.clock + self.rules.commit, Timer::Commit { height });
                }
                Step::Propose | Step::Prevote | Step::Precommit | Step::Commit => {
                    self.resume(ctx, out);
                }
            }
        }
        self.catch_up.hole = None;
        (self.catch_up.target, self.catch_up.ahead) = (self.height, None);
        self.ask_next_peer(ctx, out);
    }

    /// Ballots of the current round that were decided while nobody was told.
    fn recall(&mut self, ctx: &Ctx<'_>) {
        let block = self.proposal().map(|p| p.block);
        for phase in [PREVOTE, PRECOMMIT, ANY_PREVOTE, ANY_PRECOMMIT, SOME_PREVOTE] {
            for choice in [None, block] {
                let ballot = self.ballot(self.round, phase, choice);
                if ctx.reached(ballot) {
                    self.note(ballot);
                }
            }
        }
    }

    /// Takes up a round where it was left.
    fn resume(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.set_timer(Patience::Stall, ctx, out);
        match self.step {
            Step::Propose => {
                self.set_timer(Patience::Propose, ctx, out);
                if self.lead == Lead::Building {
                    self.propose_if_due(out);
                }
            }
            Step::Prevote if self.once.prevote_wait => self.set_timer(Patience::Prevote, ctx, out),
            _ => {}
        }
        if self.once.precommit_wait {
            self.set_timer(Patience::Precommit, ctx, out);
        }
    }

    /// Upon receiving a committed block: commits everything up to it, or asks for what is missing.
    fn import(&mut self, tip: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let mut at = tip;
        while at != self.head {
            let Some(block) = ctx.blocks.find(at).filter(|b| b.height >= self.height) else {
                return; // Below the head: known.
            };
            if !ctx.holds(at) {
                // A whole chain comes by Sync; a hole below blocks that are here by Fetch.
                self.catch_up.tip = Some(tip);
                if self.catch_up.hole.replace(at) != Some(at) && from != self.me {
                    out.push(Effect::Fetch { block: at, from });
                }
                return self.fall_behind(from, ctx.blocks.get(tip).height + 1, ctx, out);
            }
            at = block.parent.expect("only the genesis block has no parent");
        }
        if tip == self.head {
            return;
        }
        for height in self.height..=ctx.blocks.get(tip).height {
            let block = ctx.blocks.ancestor(tip, height).expect("above the head");
            out.push(Effect::Adopt(block));
            out.push(Effect::Commit(block));
            self.conclude(height, out);
        }
        self.head = tip;
        // The answer is here: whoever is ahead now may be asked anew.
        self.catch_up.open = false;
        (self.last_commit, self.complete) = (None, false);
        self.start_height(ctx, out);
        if let Some(tip) = self.catch_up.tip.take() {
            self.import(tip, from, ctx, out);
        }
    }
}

const fn no_votes(height: u32, round: u32, attempt: u32) -> Votes {
    Votes {
        height,
        round,
        prevote: Cast::No,
        precommit: Cast::No,
        attempt,
    }
}

const fn commit_bytes(signatures: u32) -> u64 {
    COMMIT_BYTES + COMMIT_BYTES_PER_SIGNATURE * signatures as u64
}

/// What cutting a block into parts adds: each has its message and a Merkle proof.
const fn parts(bytes: u64) -> u64 {
    let parts = bytes.div_ceil(PART_SIZE);
    let depth = parts.next_power_of_two().trailing_zeros() as u64;
    parts * (PART_BYTES + depth * PROOF_BYTES)
}

/// How many members fit, the heaviest first, while `fits` holds of their sum and the total.
fn heaviest(mut powers: Vec<Weight>, fits: impl Fn(u128, u128) -> bool) -> u32 {
    powers.sort_unstable_by(|a, b| b.cmp(a));
    let total: u128 = powers.iter().map(|&p| u128::from(p)).sum();
    let mut sum = 0;
    let fitting = powers.iter().take_while(|&&power| {
        sum += u128::from(power);
        fits(sum, total)
    });
    fitting.count() as u32
}

/// The changes of power, by height.
fn changes(config: &Config) -> Vec<PowerChange> {
    let mut changes = config.power_changes.clone();
    changes.sort_by_key(|c| (c.height, c.validator));
    changes
}

/// Those that a block makes.
fn changed_at(changes: &[PowerChange], height: u32) -> &[PowerChange] {
    let from = changes.partition_point(|c| c.height < height);
    let to = changes.partition_point(|c| c.height <= height);
    &changes[from..to]
}

/// The committees of a run, in order.
fn committees(config: &Config, nodes: u32) -> Vec<Committee> {
    let mut committees = vec![Tendermint::committee(config, nodes)];
    let changes = changes(config);
    for block in changes.chunk_by(|a, b| a.height == b.height) {
        let mut committee = committees[committees.len() - 1].clone();
        for change in block {
            committee = committee.elect(NodeId::new(change.validator), change.power);
        }
        committees.push(committee);
    }
    committees
}

/// Why a change of power cannot work, and what to do. source: what CometBFT refuses,
/// `types/validator_set.go` `updateWithChangeSet`.
fn unsound_change(config: &Config, nodes: u32) -> Option<(String, &'static str)> {
    let mut committees = committees(config, nodes).into_iter();
    let mut before = committees.next()?;
    let changes = changes(config);
    for (block, after) in changes
        .chunk_by(|a, b| a.height == b.height)
        .zip(committees)
    {
        let height = block[0].height;
        for change in block {
            let validator = change.validator;
            if height == 0 {
                let why = format!("the genesis block changes the power of node {validator}");
                return Some((
                    why,
                    "say its power in `voting_power`, or a height of at least 1",
                ));
            }
            if validator >= nodes {
                let why = format!("node {validator} of {nodes} at height {height}");
                return Some((why, "nodes are counted from 0"));
            }
            if change.power == 0 && before.position(NodeId::new(validator)).is_none() {
                let why = format!("node {validator} leaves at height {height} and was not there");
                return Some((why, "only a validator can leave"));
            }
        }
        if let Some(pair) = block.windows(2).find(|p| p[0].validator == p[1].validator) {
            let why = format!(
                "node {} changes twice at height {height}",
                pair[0].validator
            );
            return Some((why, "keep one of them"));
        }
        if after.is_empty() {
            return Some((
                format!("nobody is left at height {height}"),
                "keep a validator",
            ));
        }
        if after.total() > MAX_POWER {
            let why = format!(
                "{} at height {height} is more than {MAX_POWER}",
                after.total()
            );
            return Some((why, "scale all powers down"));
        }
        before = after;
    }
    None
}

fn validators(config: &Config, nodes: u32) -> u32 {
    match config.validators {
        0 => nodes,
        n => n,
    }
}
