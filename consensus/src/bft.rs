//! What QBFT and IBFT 2.0 share: a replica whose [`Protocol`] says where the two differ.
//!
//! With `n` validators, `f = ⌊(n−1)/3⌋` and `Q = ⌈2n/3⌉`, at height `h` and round `r`:
//!
//! - Upon a new head: drop the round state; set the block timer to the parent's timestamp plus the
//!   period. Where [`Protocol::OPENS_AT_HEAD`] or under the specification's timer, open round 0.
//! - Upon the block timer, unless round 0 was opened before it: open round 0. Its proposer builds a block
//!   and sends Proposal(0); it prepares the block itself if [`Protocol::PROPOSER_PREPARES`].
//! - Upon receiving Proposal(r) of the round's proposer, with `r` not below the own round, a valid
//!   block on the head, and for `r > 0` a valid justification: enter `r`, accept the block, send
//!   Prepare(r). A second, different Proposal of the round is evidence.
//! - Upon `Q` Prepares(r) for the accepted block, the own included (`Q − 1` if proposers do not
//!   prepare): the block is prepared at `r`; send Commit(r).
//! - Upon `Q` Commits(r) for a block: adopt and commit it.
//! - Upon the round timer of `r`: enter `r + 1` and send `RoundChange(r + 1)` with the block
//!   prepared at the highest round so far and its Prepares, if there is one.
//! - Upon `Q` round changes to `r` of different validators: enter `r` if it is above the own round;
//!   its proposer sends Proposal(r) justified by them, with the block prepared at the highest round
//!   among them, or else a new block.
//! - Upon round changes of `f + 1` validators for rounds above the own, if that is on: enter the smallest
//!   of those rounds and send `RoundChange` for it.
//! - Upon a message of a later height: keep it, ask its sender for the missing blocks.
//! - Upon receiving a committed block with its seals: adopt and commit it. Who is still behind a
//!   timeout later, or restarts, asks the next validator for its head and what is below.
//! - Upon committing a block whose header decides a vote: the validators of later heights change (see
//!   `bft/members.rs`). If the builder of the last block left, the proposer is the next validator by number.
//! - Upon a message that is new here, where messages are flooded: send it on to all validators but its
//!   author and its sender, then handle it. As in Besu, what is about an imported block is not sent on.
//! - Messages of past heights and past rounds are dropped.
//!
//! Deviations:
//! - Votes that are cast directly are counted by the kernel, which does not say who cast them: the
//!   Prepares in a certificate name the own node and the validators after it. Flooded votes are
//!   counted here, and certificates name who cast them.
//! - `Q` Commits of *any* round of the height commit a block. Besu drops those of past rounds and
//!   waits for the block from a peer, whose extra data would carry the same seals.
//! - The own Commit counts once it is sent. Besu counts it from the Proposal on.
//! - A block that is proposed again keeps its identity, builder and timestamp; Besu writes the new
//!   round and proposer into it. Proposer rotation therefore follows the builder of the parent.
//! - Nodes that are not validators get each committed block from the proposer of the round that
//!   committed it, not by gossip.
//! - Instead of Besu's separate chain synchroniser, a `RoundChange` for a past height is answered
//!   with the head by `f + 1` validators, chosen by the sender's place and the round.
//! - With `empty_blocks = false` a validator opens round 0 when something is pending *at it*;
//!   Besu's `emptyblockperiodseconds` polls.
//! - Of a flooded message the copy from its author costs the check of its signatures, the others a hash,
//!   whichever comes first.

mod members;
mod message;

pub use members::Wish;
pub use message::{
    Header, Justification, MemberVote, Message, Prepared, Proposal, RoundChange, Said, Timer,
};

use crate::mutants::{Mutant, broken};
use core::cmp::Ordering;
use core::fmt::Debug;
use core::marker::PhantomData;
use members::Votes;
use quorate_core::{
    Adversary, Ballot, BlockId, Blocks, CertId, Committee, Content, Context, Draws, Effect, Engine,
    Execution, Facts, Finality, Input, Invalid, Limits, NodeId, Outbox, Promises, Span, Statement,
    Time, To, Weight, Wire, byzantine_bound, two_thirds,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

type Ctx<'a> = Context<'a, Header>;
type Out<P> = Outbox<Replica<P>>;

/// Phase of a ballot: Prepare.
pub const PREPARE: u8 = 0;
/// Phase of a ballot: Commit.
pub const COMMIT: u8 = 1;

/// How far ahead of a validator's clock a proposed block's timestamp may be.
/// source: hyperledger/besu `BftHeaderValidationRulesetFactory`: `TimestampBoundedByFutureParameter(1)`.
const MOST_AHEAD: Span = Span::from_s(1);

/// Extra data of a header. source: RLP sizes computed from hyperledger/besu@3fd224e `BftExtraDataCodec`;
/// 441 B and 938 B at n = 21.
const EXTRA_BYTES_PER_VALIDATOR: u64 = 21;
const EXTRA_BYTES_PER_SEAL: u64 = 67;
/// What a vote takes in it, besides the byte that stands for none.
/// source: as above: a list of an address and one byte.
const EXTRA_BYTES_OF_VOTE: u64 = 23;
/// assumption: an Ethereum header without base fee is 507 B in RLP, and 33 B of vanity.
const HEADER_BYTES: u64 = 540;
/// assumption: an `eth` request for one header and body.
const ASK_BYTES: u64 = 64;
/// Future messages that are kept, and how far ahead they may be. source: hyperledger/besu
/// `JsonBftConfigOptions` `futuremessageslimit`, `futuremessagesmaxdistance`.
const FUTURE_MESSAGES: usize = 1_000;
const FUTURE_HEIGHTS: u32 = 10;

/// What tells the protocols of this family apart.
pub trait Protocol: Debug + Sized + 'static {
    /// Its configuration.
    type Config: Clone + Debug + Serialize + DeserializeOwned + Send + Sync;

    /// What it is.
    const FACTS: Facts;
    /// Whether a proposer prepares its own block. If not, a quorum of Prepares is one smaller.
    const PROPOSER_PREPARES: bool;
    /// Whether round 0 opens, and its timer runs, from the last block on, and not from the block timer.
    const OPENS_AT_HEAD: bool;
    /// Bytes of a Prepare.
    const PREPARE_BYTES: u64;
    /// Bytes of a Commit.
    const COMMIT_BYTES: u64;
    /// Bytes of a Proposal besides its block and its justification.
    const PROPOSAL_BYTES: u64;
    /// Bytes of a header besides what the protocols have in common.
    const HEADER_BYTES: u64;

    /// The configuration in the units of the simulation.
    fn settings(config: &Self::Config) -> Settings;

    /// A round change with or without the Prepares of a prepared block, at a quorum of `quorum`. Its block
    /// is not included.
    fn round_change(prepared: bool, quorum: u64) -> Proof;

    /// A justification, at a quorum of `quorum`.
    fn justification(j: &Justification, quorum: u64) -> Proof;

    /// How many Prepares decide among `n` validators.
    fn prepares(n: u32) -> u32 {
        decisive(n) - u32::from(!Self::PROPOSER_PREPARES)
    }
}

/// Bytes, and signatures to check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Bytes.
    pub bytes: u64,
    /// Signatures.
    pub signatures: u64,
}

/// The configuration in the units of the simulation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time from a block's timestamp to the next block.
    pub period: Span,
    /// Time until round 0 is given up; round `r` has `2^r` times as much.
    pub timeout: Span,
    /// The first so many nodes are the first validators; 0 means all.
    pub validators: u32,
    /// Whether headers carry whole seconds.
    pub whole_seconds: bool,
    /// Whose round timer.
    pub timer: RoundTimer,
    /// Whether `f + 1` round changes pull a validator along.
    pub early: bool,
    /// Whether a block is made when nothing is pending.
    pub empty_blocks: bool,
    /// How much fits into a block.
    pub limits: Limits,
    /// Who sends messages on.
    pub gossip: Gossip,
    /// Votes about validators are forgotten every so many blocks.
    pub epoch: u32,
    /// Who wishes whom to be a validator.
    pub wishes: Vec<Wish>,
}

/// What a round's timer is measured from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoundTimer {
    /// From the start of the round, whatever started it.
    Besu,
    /// From the last block's import or the last round that a Proposal or round changes opened: a
    /// timeout does not restart it.
    Spec,
}

/// How what a validator says reaches the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gossip {
    /// It is sent to each of them, once.
    Direct,
    /// Besides, everybody sends what is new to it on to all but its author and its sender.
    Flood,
    /// The same, but what is about a block that was imported already is not sent on.
    // source: hyperledger/besu `BaseBftController::consumeMessage`, `QbftGossip`.
    BesuFlood,
}

/// How far the proposer of the current round has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lead {
    /// Not the proposer, or nothing to propose yet.
    Idle,
    /// The block was ordered; this will justify it.
    Building(Option<Justification>),
    /// The Proposal is out.
    Done,
}

/// Catching up with the chain.
#[derive(Clone, Copy, Debug)]
struct CatchUp {
    /// The height that some peer is known to work at.
    target: u32,
    /// The number of the last question; also says whom to ask next.
    question: u32,
    /// Whether a question is open.
    open: bool,
    /// Whether the current height was heard of since the last question.
    heard: bool,
    /// A committed block that is here but whose ancestors are not.
    tip: Option<BlockId>,
    /// The missing ancestor that was asked for last.
    hole: Option<BlockId>,
}

/// What was flooded at this height and the one before.
#[derive(Clone, Debug, Default)]
struct Flood {
    /// Height and content of messages of others, in order.
    seen: Vec<(u32, u64)>,
    /// Votes at this height, in the order in which they came.
    votes: Vec<(Ballot, NodeId)>,
}

/// One node.
#[derive(Debug)]
pub struct Replica<P> {
    me: NodeId,
    settings: Settings,
    /// Whether this node is a validator at this height.
    validator: bool,
    quorum: usize,
    /// The validators at this height, if they are not the first ones any more.
    elected: Option<Committee>,
    /// Votes about who is a validator.
    votes: Votes,
    /// The last committed block.
    head: BlockId,
    /// The height being decided: one above the head's.
    height: u32,
    /// `None` until round 0 is opened.
    round: Option<u32>,
    /// What the specification's round timer is measured from.
    unit_start: Time,
    /// The block accepted in the current round.
    accepted: Option<BlockId>,
    /// The round and block prepared last at this height.
    prepared: Option<(u32, BlockId)>,
    /// Round changes at this height, for the current round and later ones.
    changes: BTreeMap<(u32, NodeId), Option<Prepared>>,
    lead: Lead,
    /// Whether round 0 waits for a pending transaction.
    awaiting: bool,
    /// Messages of later heights.
    future: Vec<(NodeId, Message)>,
    flood: Flood,
    catch_up: CatchUp,
    protocol: PhantomData<P>,
}

impl<P: Protocol> Engine for Replica<P> {
    type Config = P::Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = P::FACTS;
    const KINDS: &'static [&'static str] = &[
        "proposal",
        "round-change",
        "block",
        "ask",
        "flooded-prepare",
        "flooded-commit",
    ];
    const PHASES: &'static [&'static str] = &["prepare", "commit"];

    fn validate(config: &P::Config, nodes: u32) -> Result<(), Invalid> {
        validate(&P::settings(config), P::OPENS_AT_HEAD, nodes)
    }

    fn committee(config: &P::Config, nodes: u32) -> Committee {
        Committee::equal(validators(&P::settings(config), nodes))
    }

    fn new(config: &P::Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            me,
            settings: P::settings(config),
            validator: committee.position(me).is_some(),
            quorum: two_thirds(committee.len()) as usize,
            elected: None,
            votes: Votes::default(),
            head: Blocks::<Header>::GENESIS,
            height: 1,
            round: None,
            unit_start: Time::ZERO,
            accepted: None,
            prepared: None,
            changes: BTreeMap::new(),
            lead: Lead::Idle,
            awaiting: false,
            future: Vec::new(),
            flood: Flood::default(),
            catch_up: CatchUp {
                target: 1,
                question: 0,
                open: false,
                heard: true,
                tip: None,
                hole: None,
            },
            protocol: PhantomData,
        }
    }

    fn genesis(_: &P::Config) -> Header {
        Header {
            round: 0,
            timestamp: Time::ZERO,
            vote: None,
        }
    }

    fn finality(_: &P::Config, adversary: &Adversary) -> Result<Finality, String> {
        if 3.0 * adversary.share >= 1.0 {
            return Err(format!(
                "an adversary with {:.1} % of the validators is a third or more",
                100.0 * adversary.share
            ));
        }
        Ok(Finality::Commit)
    }

    fn promises(config: &P::Config, nodes: u32) -> Promises {
        let settings = P::settings(config);
        let n = validators(&settings, nodes);
        Promises {
            byzantine: byzantine_bound(n),
            crashed: n - two_thirds(n),
            quorum: two_thirds(n),
            interval: settings.period,
        }
    }

    /// A block is decided once `Q` others have it: the proposer's own votes wait behind its copies.
    /// Over many blocks, each validator sends its share of all copies. Where messages are flooded, it also
    /// sends the blocks of others on.
    fn copies(config: &P::Config, nodes: u32) -> u32 {
        let settings = P::settings(config);
        let n = validators(&settings, nodes);
        let passed_on = match settings.gossip {
            Gossip::Direct => 0,
            Gossip::Flood | Gossip::BesuFlood => (n - 1) * n.saturating_sub(2),
        };
        let share = (nodes - 1 + passed_on).div_ceil(n);
        two_thirds(n).min(n - 1).max(share)
    }

    /// The proposer executes before its Proposal leaves, the others before they prepare.
    fn execution(_: &P::Config) -> Execution {
        Execution::InTurn(2)
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out<P>) {
        match input {
            Input::Start => self.start_height(ctx, out),
            Input::Restarted => self.restart(ctx, out),
            Input::Timer(Timer::Block { height }) if height == self.height => {
                self.on_block_timer(ctx, out);
            }
            Input::Timer(Timer::Round { height, round })
                if (height, Some(round)) == (self.height, self.round) =>
            {
                self.change_round(round + 1, Cause::Timeout, ctx, out);
            }
            Input::Timer(Timer::Sync { question }) if question == self.catch_up.question => {
                self.on_sync_timer(ctx, out);
            }
            Input::Timer(_) => {} // Stale: the replica has moved on.
            Input::Pending => self.on_pending(ctx, out),
            Input::BlockBuilt(block) => self.on_built(block, ctx, out),
            Input::Message { from, message } => self.on_message(from, message, ctx, out),
            Input::Threshold(ballot) => self.on_threshold(ballot, ctx, out),
            Input::Body { block, from } => self.import(block, from, ctx, out),
            Input::Header { .. } => {} // Never announced by this engine.
        }
    }

    fn leader(&self, ctx: &Ctx<'_>) -> Option<NodeId> {
        Some(self.proposer(self.round.unwrap_or(0), ctx))
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        match *message {
            Message::Proposal(p) => self.wire_of(Said::Proposal(p), ctx),
            Message::RoundChange(c) => self.wire_of(Said::RoundChange(c), ctx),
            Message::Sealed(block) => Wire {
                kind: 2,
                bytes: ctx.blocks.get(block).bytes,
                sign: Span::ZERO,
                check: self.check_block(block, ctx),
            },
            Message::Ask { .. } => Wire {
                kind: 3,
                bytes: ASK_BYTES,
                sign: Span::ZERO,
                check: Span::ZERO,
            },
            Message::Flooded { author, said } => {
                let own = self.wire_of(said, ctx);
                if author == self.me {
                    return own;
                }
                Wire {
                    sign: Span::ZERO,
                    check: ctx.costs.hash(own.bytes),
                    ..own
                }
            }
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(
            message,
            Message::Flooded {
                said: Said::Vote(_),
                ..
            }
        )
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Proposal(p) => Some(p.block),
            Message::RoundChange(change) => change.prepared.map(|p| p.block),
            Message::Sealed(block) => Some(block),
            Message::Ask { .. } => None,
            Message::Flooded { said, .. } => said.carries(),
        }
    }

    fn vote_wire(&self, phase: u8, ctx: &Ctx<'_>) -> Wire {
        // A Commit carries two signatures: the seal of the block and its own.
        let (bytes, signatures) = match phase {
            PREPARE => (P::PREPARE_BYTES, 1),
            _ => (P::COMMIT_BYTES, 2),
        };
        Wire {
            kind: phase,
            bytes,
            sign: ctx.costs.sign * signatures,
            check: ctx.costs.verify * signatures,
        }
    }

    /// At least one, because nobody counts votes that are not cast.
    fn threshold(phase: u8, committee: &Committee) -> Weight {
        Weight::from(needed::<P>(phase, committee.len()).max(1))
    }

    fn header_bytes(&self, header: &Header, ctx: &Ctx<'_>) -> u64 {
        let validators = u64::from(self.members(ctx).len());
        let vote = header.vote.map_or(0, |_| EXTRA_BYTES_OF_VOTE);
        let extra = validators * EXTRA_BYTES_PER_VALIDATOR + self.seal_bytes() + vote;
        HEADER_BYTES + P::HEADER_BYTES + extra
    }

    /// A body that was asked for is a committed one: its seals are checked, and it is executed.
    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        ctx.costs.certificate(self.quorum as u64) + ctx.costs.validate(block)
    }
}

/// What opened a round, which decides whether the specification's timer restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// The timer of the round before.
    Timeout,
    /// A Proposal, or enough round changes.
    Messages,
}

/// Heights and rounds.
impl<P: Protocol> Replica<P> {
    /// Upon a new head.
    fn start_height(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let parent = ctx.blocks.get(self.head);
        self.height = parent.height + 1;
        self.round = None;
        self.accepted = None;
        self.prepared = None;
        self.changes.clear();
        self.lead = Lead::Idle;
        self.awaiting = false;
        self.catch_up.heard = true;
        self.flood.votes.clear();
        self.flood.seen.retain(|seen| seen.0 >= parent.height);
        if !self.validator {
            let height = self.height;
            self.future.retain(|kept| kept.1.height() > Some(height));
            return;
        }
        let due = ctx.at_wall(parent.header.timestamp + self.settings.period);
        let height = self.height;
        out.timer(due, Timer::Block { height });
        if self.opens_at_head() {
            self.enter(0, Cause::Messages, ctx, out);
        }
        for (from, message) in core::mem::take(&mut self.future) {
            self.on_message(from, message, ctx, out);
        }
    }

    fn opens_at_head(&self) -> bool {
        P::OPENS_AT_HEAD || self.settings.timer == RoundTimer::Spec
    }

    /// Upon the block timer.
    fn on_block_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        match self.round {
            None if !self.settings.empty_blocks => {
                self.awaiting = true;
                out.push(Effect::AwaitPending {
                    count: 1,
                    bytes: u64::MAX,
                });
            }
            None => {
                self.enter(0, Cause::Timeout, ctx, out);
                self.lead_round_0(ctx, out);
            }
            Some(0) if self.opens_at_head() => self.lead_round_0(ctx, out),
            Some(_) => {} // A Proposal was faster, or the round was given up.
        }
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        if core::mem::take(&mut self.awaiting) && self.round.is_none() {
            self.enter(0, Cause::Timeout, ctx, out);
            self.lead_round_0(ctx, out);
        }
    }

    /// Opens a round.
    fn enter(&mut self, round: u32, cause: Cause, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.round = Some(round);
        self.accepted = None;
        self.lead = Lead::Idle;
        self.changes.retain(|&(r, _), _| r >= round);
        if cause == Cause::Messages {
            self.unit_start = ctx.clock;
        }
        if round > 0 {
            out.push(Effect::RoundChange { round });
        }
        self.set_round_timer(round, ctx, out);
    }

    fn set_round_timer(&self, round: u32, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let from = match self.settings.timer {
            RoundTimer::Besu => ctx.clock,
            RoundTimer::Spec => self.unit_start,
        };
        // Beyond 2^32 units the timer never fires.
        let units = 1_u64.checked_shl(round).unwrap_or(u64::MAX);
        let length = Span::from_ns(self.settings.timeout.ns().saturating_mul(units));
        let height = self.height;
        out.timer(from.saturating_add(length), Timer::Round { height, round });
    }

    /// Gives up the current round for a later one.
    fn change_round(&mut self, round: u32, cause: Cause, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.enter(round, cause, ctx, out);
        let prepared = self.prepared.map(|(round, block)| Prepared {
            round,
            block,
            prepares: self.intern_prepares(round, block, ctx, out),
        });
        let height = self.height;
        let change = RoundChange {
            height,
            round,
            prepared,
        };
        self.say(Said::RoundChange(change), ctx, out);
        self.changes.insert((round, self.me), prepared);
        self.weigh_changes(round, ctx, out);
    }
}

/// Receiving.
impl<P: Protocol> Replica<P> {
    fn on_message(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>, out: &mut Out<P>) {
        match message {
            Message::Sealed(block) => self.import(block, from, ctx, out),
            Message::Ask { height } if height < self.height => {
                out.send(To::One(from), Message::Sealed(self.head));
            }
            Message::Ask { .. } => {}
            Message::Proposal(p) => self.hear((from, from), Said::Proposal(p), message, ctx, out),
            Message::RoundChange(c) => {
                self.hear((from, from), Said::RoundChange(c), message, ctx, out);
            }
            Message::Flooded { author, said } => {
                self.hear((from, author), said, message, ctx, out);
            }
        }
    }

    /// Upon receiving what an author said from a sender.
    fn hear(
        &mut self,
        (from, author): (NodeId, NodeId),
        said: Said,
        message: Message,
        ctx: &Ctx<'_>,
        out: &mut Out<P>,
    ) {
        let height = said.height();
        match (height.cmp(&self.height), said) {
            (Ordering::Greater, _) => {
                self.keep(from, height, message);
                self.fall_behind(from, height, ctx, out);
            }
            (Ordering::Less, Said::RoundChange(c)) if from == author => {
                self.help(from, c, ctx, out);
                self.send_on(from, message, ctx, out);
            }
            (_, _) if !self.validator || self.members(ctx).position(author).is_none() => {}
            (Ordering::Less, _) => _ = self.send_on(from, message, ctx, out),
            (Ordering::Equal, _) => {
                if !self.send_on(from, message, ctx, out) {
                    return;
                }
                match said {
                    Said::Proposal(p) => self.on_proposal(author, p, ctx, out),
                    Said::RoundChange(c) => self.on_round_change(author, c, ctx, out),
                    Said::Vote(ballot) => self.on_vote(author, ballot, ctx, out),
                }
            }
        }
    }

    /// Upon receiving Proposal(r).
    fn on_proposal(&mut self, from: NodeId, p: Proposal, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.catch_up.heard = true;
        if from != self.proposer(p.round, ctx) || self.round.is_some_and(|r| p.round < r) {
            return;
        }
        if self.round == Some(p.round) && self.accepted.is_some() {
            if self.accepted != Some(p.block) {
                out.push(Effect::Evidence { against: from });
            }
            return;
        }
        if !self.block_fits(p.block, ctx) || !self.is_justified(from, &p, ctx, out) {
            return;
        }
        if self.round != Some(p.round) {
            self.enter(p.round, Cause::Messages, ctx, out);
        }
        self.accept(p.block, ctx, out);
    }

    /// Accepts the round's block and prepares it. Votes of others may have come before it.
    fn accept(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.accepted = Some(block);
        let prepare = self.ballot(PREPARE, block);
        let commit = self.ballot(COMMIT, block);
        let leads = self.me == self.proposer(prepare.round, ctx);
        if P::PROPOSER_PREPARES || !leads {
            self.say(Said::Vote(prepare), ctx, out);
        }
        if self.reached(prepare, ctx) {
            self.on_threshold(prepare, ctx, out);
        }
        if self.accepted == Some(block) && self.reached(commit, ctx) {
            self.on_threshold(commit, ctx, out);
        }
    }

    /// Upon `Q` Prepares or `Q` Commits.
    fn on_threshold(&mut self, ballot: Ballot, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let Some(block) = ballot.choice else { return };
        match (ballot.height.cmp(&self.height), ballot.phase) {
            (Ordering::Greater, _) => {
                let creator = ctx.blocks.get(block).key.creator;
                self.fall_behind(creator, ballot.height, ctx, out);
            }
            (Ordering::Equal, PREPARE) => {
                let current = (self.round, self.accepted) == (Some(ballot.round), Some(block));
                if current && self.prepared.is_none_or(|(round, _)| round < ballot.round) {
                    self.prepared = Some((ballot.round, block));
                    self.say(Said::Vote(self.ballot(COMMIT, block)), ctx, out);
                }
            }
            (Ordering::Equal, _) if ctx.holds(block) => self.commit(block, ballot.round, ctx, out),
            (Ordering::Equal, _) => {
                let from = ctx.blocks.get(block).key.creator;
                out.push(Effect::Fetch { block, from });
            }
            (Ordering::Less, _) => {} // Decided already.
        }
    }

    fn commit(&mut self, block: BlockId, round: u32, ctx: &Ctx<'_>, out: &mut Out<P>) {
        if ctx.blocks.get(block).parent != Some(self.head) {
            return; // Beyond the bound: another block was committed below.
        }
        let announces = self.me == self.proposer(round, ctx);
        out.push(Effect::Adopt(block));
        out.push(Effect::Commit(block));
        let joined = self.count_vote(block, ctx, out);
        if announces && ctx.nodes > self.members(ctx).len() {
            out.send(To::Observers, Message::Sealed(block));
        }
        if let Some(one) = joined.filter(|_| announces) {
            out.send(To::One(one), Message::Sealed(block));
        }
        self.head = block;
        self.start_height(ctx, out);
    }

    /// Upon receiving `RoundChange(r)`. The first of a validator for a round counts.
    fn on_round_change(&mut self, from: NodeId, c: RoundChange, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.catch_up.heard = true;
        if c.round == 0 || self.round.is_some_and(|r| c.round < r) {
            return;
        }
        if let Some(p) = c.prepared {
            let proof = out.certs.get(p.prepares);
            let proven = p.round < c.round && self.is_prepared(proof, p.round, p.block, ctx);
            if !proven || !self.block_fits(p.block, ctx) {
                return;
            }
        }
        self.changes.entry((c.round, from)).or_insert(c.prepared);
        self.weigh_changes(c.round, ctx, out);
    }

    /// Upon enough round changes, for `round` or, in all, for later rounds than the own.
    fn weigh_changes(&mut self, round: u32, ctx: &Ctx<'_>, out: &mut Out<P>) {
        if self.settings.early {
            if let Some(next) = self.pulled_to(ctx) {
                return self.change_round(next, Cause::Messages, ctx, out);
            }
        } else if self.wishes(round).count() >= self.quorum && self.round < Some(round) {
            self.enter(round, Cause::Messages, ctx, out);
        }
        self.lead_later_round(ctx, out);
    }

    /// The smallest round above the own that `f + 1` validators wish to have reached.
    fn pulled_to(&self, ctx: &Ctx<'_>) -> Option<u32> {
        let above = self.round.map_or(0, |r| r + 1);
        let mut latest = BTreeMap::new();
        for &(round, signer) in self.changes.keys().filter(|key| key.0 >= above) {
            latest.insert(signer, round);
        }
        let enough = byzantine_bound(self.members(ctx).len()) as usize + 1;
        latest
            .values()
            .min()
            .copied()
            .filter(|_| latest.len() >= enough)
    }

    fn wishes(&self, round: u32) -> impl Iterator<Item = (NodeId, Option<Prepared>)> + '_ {
        let all = (round, NodeId::new(0))..=(round, NodeId::new(u32::MAX));
        self.changes
            .range(all)
            .map(|(&(_, signer), &prepared)| (signer, prepared))
    }
}

/// Proposing.
impl<P: Protocol> Replica<P> {
    /// The next validator after the builder of the parent, and one further for each round. If the builder
    /// left, or is nobody, the next one by number.
    fn proposer(&self, round: u32, ctx: &Ctx<'_>) -> NodeId {
        let builder = ctx.blocks.get(self.head).key.creator;
        let members = self.members(ctx);
        let first = members.position(builder).map_or_else(
            || members.members().position(|m| m > builder).unwrap_or(0) as u64,
            |place| u64::from(place) + 1,
        );
        members.at(first + u64::from(round))
    }

    fn lead_round_0(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        if self.me == self.proposer(0, ctx) && self.lead == Lead::Idle && self.accepted.is_none() {
            self.build(None, ctx, out);
        }
    }

    /// Upon `Q` round changes for the own round, as its proposer.
    fn lead_later_round(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let Some(round @ 1..) = self.round else {
            return;
        };
        let due = self.lead == Lead::Idle && self.accepted.is_none();
        if !due || self.me != self.proposer(round, ctx) || self.wishes(round).count() < self.quorum
        {
            return;
        }
        let statements: Vec<Statement> = self
            .wishes(round)
            .map(|(signer, prepared)| Statement {
                signer,
                round: prepared.map(|p| p.round),
                block: prepared.map(|p| p.block),
            })
            .collect();
        let best = self
            .wishes(round)
            .filter_map(|w| w.1)
            .max_by_key(|p| p.round);
        let prepared = self.wishes(round).filter(|w| w.1.is_some()).count() as u32;
        let justification = Some(Justification {
            changes: out.certs.intern(self.height, &statements),
            prepares: best.map(|p| p.prepares),
            plain: statements.len() as u32 - prepared,
            prepared,
        });
        match best.filter(|_| !broken(Mutant::BftCertificate)) {
            Some(p) => self.propose(p.block, justification, ctx, out),
            None => self.build(justification, ctx, out),
        }
    }

    fn build(&mut self, justification: Option<Justification>, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.lead = Lead::Building(justification);
        let round = self
            .round
            .expect("a round is open when its proposer builds");
        let header = Header {
            round,
            timestamp: self.timestamp(round, ctx.wall()),
            vote: self.next_vote(ctx),
        };
        out.push(Effect::BuildBlock {
            parent: self.head,
            header,
            limits: self.settings.limits,
            as_of: None,
            // Execution is not known before: it is charged to the Proposal, see `wire`.
            cost: Span::ZERO,
        });
    }

    /// Besu rounds to the nearest second in round 0 and down in later ones.
    fn timestamp(&self, round: u32, clock: Time) -> Time {
        const SECOND: u64 = Span::from_s(1).ns();
        if !self.settings.whole_seconds {
            return clock;
        }
        let half = if round == 0 { SECOND / 2 } else { 0 };
        Time::from_ns((clock.ns() + half) / SECOND * SECOND)
    }

    fn on_built(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let built = ctx.blocks.get(block);
        let current = (built.parent, Some(built.header.round)) == (Some(self.head), self.round);
        if let (true, Lead::Building(justification)) = (current, self.lead) {
            self.propose(block, justification, ctx, out);
        }
    }

    fn propose(
        &mut self,
        block: BlockId,
        justification: Option<Justification>,
        ctx: &Ctx<'_>,
        out: &mut Out<P>,
    ) {
        self.lead = Lead::Done;
        let proposal = Proposal {
            height: self.height,
            round: self
                .round
                .expect("a round is open when its proposer proposes"),
            block,
            justification,
        };
        self.say(Said::Proposal(proposal), ctx, out);
        self.accept(block, ctx, out);
    }
}

/// What is valid.
impl<P: Protocol> Replica<P> {
    /// A block on the head, no earlier than a period after it, and hardly ahead of the own clock.
    fn block_fits(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let earliest = ctx.blocks.get(self.head).header.timestamp + self.settings.period;
        let block = ctx.blocks.get(block);
        let latest = ctx.wall().saturating_add(MOST_AHEAD);
        let timestamp = block.header.timestamp;
        block.parent == Some(self.head) && earliest <= timestamp && timestamp <= latest
    }

    /// Round 0 needs no justification. Later rounds need `Q` round changes, and the block that was
    /// prepared at the highest round among them, with its Prepares; without one, a new block.
    fn is_justified(&self, from: NodeId, p: &Proposal, ctx: &Ctx<'_>, out: &Out<P>) -> bool {
        let block = ctx.blocks.get(p.block);
        let fresh = block.key.creator == from && block.header.round == p.round;
        let Some(j) = p.justification else {
            return p.round == 0 && fresh;
        };
        let changes = out.certs.get(j.changes);
        let in_order = changes.iter().all(|s| s.round.is_none_or(|r| r < p.round));
        if p.round == 0 || !in_order || !self.are_signed(changes, self.quorum, ctx) {
            return false;
        }
        if broken(Mutant::BftCertificate) {
            return fresh;
        }
        let prepared = changes.iter().filter_map(|s| s.round.zip(s.block));
        match (prepared.max_by_key(|at| at.0), j.prepares) {
            (None, None) => fresh,
            (Some((round, block)), Some(prepares)) => {
                let proof = out.certs.get(prepares);
                block == p.block && self.is_prepared(proof, round, block, ctx)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Enough Prepares, none of the round's proposer unless proposers prepare.
    fn is_prepared(&self, proof: &[Statement], round: u32, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let proposer = self.proposer(round, ctx);
        let fits = |s: &Statement| {
            (s.round, s.block) == (Some(round), Some(block))
                && (P::PROPOSER_PREPARES || s.signer != proposer)
        };
        let enough = P::prepares(self.members(ctx).len()) as usize;
        proof.iter().all(fits) && self.are_signed(proof, enough, ctx)
    }

    /// At least `enough` signers, all validators, none twice.
    fn are_signed(&self, statements: &[Statement], enough: usize, ctx: &Ctx<'_>) -> bool {
        let signers: BTreeSet<NodeId> = statements.iter().map(|s| s.signer).collect();
        let members = self.members(ctx);
        let known = signers.iter().all(|&s| members.position(s).is_some());
        known && signers.len() == statements.len() && signers.len() >= enough
    }

    /// Enough Prepares; see the deviations for whose.
    fn intern_prepares(
        &self,
        round: u32,
        block: BlockId,
        ctx: &Ctx<'_>,
        out: &mut Out<P>,
    ) -> CertId {
        let members = self.members(ctx);
        let enough = P::prepares(members.len()) as usize;
        let prepare = Ballot {
            round,
            ..self.ballot(PREPARE, block)
        };
        let heard: Vec<NodeId> = match self.settings.gossip {
            Gossip::Direct => {
                let first = u64::from(members.position(self.me).unwrap_or(0));
                let silent = (!P::PROPOSER_PREPARES).then(|| self.proposer(round, ctx));
                let all = (0..u64::from(members.len())).map(|step| members.at(first + step));
                all.filter(|&m| Some(m) != silent).collect()
            }
            Gossip::Flood | Gossip::BesuFlood => self.flood.voters(prepare).collect(),
        };
        let statements: Vec<Statement> = heard[..enough]
            .iter()
            .map(|&signer| Statement {
                signer,
                round: Some(round),
                block: Some(block),
            })
            .collect();
        out.certs.intern(self.height, &statements)
    }

    fn ballot(&self, phase: u8, block: BlockId) -> Ballot {
        Ballot {
            height: self.height,
            round: self.round.unwrap_or(0),
            phase,
            choice: Some(block),
        }
    }

    fn seal_bytes(&self) -> u64 {
        self.quorum as u64 * EXTRA_BYTES_PER_SEAL
    }
}

/// Catching up.
impl<P: Protocol> Replica<P> {
    fn keep(&mut self, from: NodeId, height: u32, message: Message) {
        let room = height <= self.height + FUTURE_HEIGHTS && self.future.len() < FUTURE_MESSAGES;
        let flooded = matches!(message, Message::Flooded { .. });
        if room && !(flooded && self.future.iter().any(|kept| kept.1 == message)) {
            self.future.push((from, message));
        }
    }

    /// Upon evidence that `from` works at a later height.
    fn fall_behind(&mut self, from: NodeId, height: u32, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.catch_up.target = self.catch_up.target.max(height);
        if self.catch_up.open || from == self.me {
            return;
        }
        // With the block in hand, its last Commits are probably on their way: wait before asking.
        let near = height == self.height + 1 && self.accepted.is_some();
        if !near {
            out.push(Effect::Sync { from });
        }
        self.open_question(ctx, out);
    }

    fn open_question(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.catch_up.open = true;
        self.catch_up.question += 1;
        let question = self.catch_up.question;
        out.timer(ctx.clock + self.settings.timeout, Timer::Sync { question });
    }

    /// Asks the next peer. Observers ask validators, who have the blocks first.
    fn ask_next_peer(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let members = self.members(ctx);
        let place = members.position(self.me).unwrap_or(self.me.get());
        let step = 1 + u64::from(self.catch_up.question);
        let mut from = members.at(u64::from(place) + step);
        if from == self.me {
            from = members.at(u64::from(place) + step + 1);
        }
        if from != self.me {
            self.catch_up.heard = false;
            // The head's seals, in case its body is here, and the bodies that are not.
            let height = self.height;
            out.send(To::One(from), Message::Ask { height });
            out.push(Effect::Sync { from });
            self.open_question(ctx, out);
        }
    }

    fn on_sync_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        self.catch_up.open = false;
        self.catch_up.hole = None;
        if self.height < self.catch_up.target || !self.catch_up.heard {
            self.ask_next_peer(ctx, out);
        }
    }

    /// Upon restarting: what was in flight is lost, timers included.
    fn restart(&mut self, ctx: &Ctx<'_>, out: &mut Out<P>) {
        if self.validator {
            let height = self.height;
            if self.round.is_none_or(|round| round == 0) {
                out.timer(ctx.clock, Timer::Block { height });
            }
            if let Some(round) = self.round {
                self.set_round_timer(round, ctx, out);
            }
        }
        self.ask_next_peer(ctx, out);
    }

    /// Upon a `RoundChange` for a past height: its sender lacks the head.
    fn help(&self, from: NodeId, c: RoundChange, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let members = self.members(ctx);
        let n = members.len();
        let place = |node| members.position(node).unwrap_or(0);
        let distance = (place(self.me) + 2 * n - place(from) - 1 - c.round % n) % n;
        if distance <= byzantine_bound(n) {
            out.send(To::One(from), Message::Sealed(self.head));
        }
    }

    /// Upon receiving a committed block: commits everything up to it, or asks for what is missing.
    fn import(&mut self, tip: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out<P>) {
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
            self.count_vote(block, ctx, out);
        }
        self.head = tip;
        self.start_height(ctx, out);
        if let Some(tip) = self.catch_up.tip.take() {
            self.import(tip, from, ctx, out);
        }
    }
}

/// Saying and flooding.
impl<P: Protocol> Replica<P> {
    /// Tells all validators.
    fn say(&mut self, said: Said, ctx: &Ctx<'_>, out: &mut Out<P>) {
        if self.settings.gossip == Gossip::Direct {
            return match said {
                Said::Proposal(p) => out.send(To::Committee, Message::Proposal(p)),
                Said::RoundChange(c) => out.send(To::Committee, Message::RoundChange(c)),
                Said::Vote(ballot) => out.push(Effect::Vote(ballot)),
            };
        }
        let author = self.me;
        out.send(To::Committee, Message::Flooded { author, said });
        if let Said::Vote(ballot) = said {
            self.on_vote(author, ballot, ctx, out);
        }
    }

    /// Sends a flooded message on, if that is due; whether it is to be handled.
    fn send_on(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>, out: &mut Out<P>) -> bool {
        let Message::Flooded { author, said } = message else {
            return true;
        };
        let height = said.height();
        let known = said.carries().is_none_or(|b| ctx.blocks.find(b).is_some());
        let due = match self.settings.gossip {
            Gossip::Direct => false,
            Gossip::Flood => height + 1 >= self.height && known,
            Gossip::BesuFlood => height == self.height,
        };
        let entry = (height, message.content(ctx.blocks));
        let Err(place) = self.flood.seen.binary_search(&entry) else {
            return false;
        };
        if due && self.validator && author != self.me {
            self.flood.seen.insert(place, entry);
            let members = self.members(ctx).members();
            for to in members.filter(|to| ![self.me, author, from].contains(to)) {
                out.send(To::One(to), message);
            }
        }
        true
    }

    /// Upon a flooded vote, or the own.
    fn on_vote(&mut self, voter: NodeId, ballot: Ballot, ctx: &Ctx<'_>, out: &mut Out<P>) {
        let idle = !P::PROPOSER_PREPARES && voter == self.proposer(ballot.round, ctx);
        let void = idle && ballot.phase == PREPARE;
        if void || self.flood.voters(ballot).any(|v| v == voter) {
            return;
        }
        self.flood.votes.push((ballot, voter));
        let needed = needed::<P>(ballot.phase, self.members(ctx).len()) as usize;
        if self.flood.voters(ballot).count() == needed {
            self.on_threshold(ballot, ctx, out);
        }
    }

    fn reached(&self, ballot: Ballot, ctx: &Ctx<'_>) -> bool {
        let needed = needed::<P>(ballot.phase, self.members(ctx).len()) as usize;
        match self.settings.gossip {
            Gossip::Direct => needed == 0 || ctx.reached(ballot),
            Gossip::Flood | Gossip::BesuFlood => self.flood.voters(ballot).count() >= needed,
        }
    }

    fn wire_of(&self, said: Said, ctx: &Ctx<'_>) -> Wire {
        match said {
            Said::Proposal(p) => self.wire_of_proposal(&p, ctx),
            Said::RoundChange(change) => {
                let quorum = self.quorum as u64;
                let proof = P::round_change(change.prepared.is_some(), quorum);
                let block = change.prepared.map_or(0, |p| {
                    ctx.blocks
                        .get(p.block)
                        .bytes
                        .saturating_sub(self.seal_bytes())
                });
                Wire {
                    kind: 1,
                    bytes: proof.bytes + block,
                    sign: ctx.costs.sign,
                    check: ctx.costs.verify
                        + ctx.costs.certificate(proof.signatures)
                        + ctx.costs.hash(block),
                }
            }
            Said::Vote(ballot) => Wire {
                kind: 4 + ballot.phase,
                ..self.vote_wire(ballot.phase, ctx)
            },
        }
    }

    fn wire_of_proposal(&self, p: &Proposal, ctx: &Ctx<'_>) -> Wire {
        let costs = ctx.costs;
        let block = ctx.blocks.get(p.block);
        let none = Proof {
            bytes: 0,
            signatures: 0,
        };
        let quorum = self.quorum as u64;
        let proof = p
            .justification
            .map_or(none, |j| P::justification(&j, quorum));
        // A prepared block was executed when it was first proposed.
        let fresh = p.justification.is_none_or(|j| j.prepares.is_none());
        let built = if fresh {
            costs.build(block)
        } else {
            Span::ZERO
        };
        // A proposed block has no seals yet.
        let block_bytes = block.bytes.saturating_sub(self.seal_bytes());
        Wire {
            kind: 0,
            bytes: block_bytes + P::PROPOSAL_BYTES + proof.bytes,
            sign: costs.sign + built,
            check: costs.verify * (1 + proof.signatures) + costs.validate(block),
        }
    }
}

impl Flood {
    fn voters(&self, ballot: Ballot) -> impl Iterator<Item = NodeId> + '_ {
        let of = move |vote: &&(Ballot, NodeId)| vote.0 == ballot;
        self.votes.iter().filter(of).map(|vote| vote.1)
    }
}

/// Who is a validator.
impl<P: Protocol> Replica<P> {
    /// The validators at this height.
    fn members<'a>(&'a self, ctx: &'a Ctx<'_>) -> &'a Committee {
        self.elected.as_ref().unwrap_or(ctx.committee)
    }

    /// The vote for the header of the block that is built now.
    fn next_vote(&mut self, ctx: &Ctx<'_>) -> Option<MemberVote> {
        if self.settings.wishes.is_empty() {
            return None;
        }
        let members = self.elected.as_ref().unwrap_or(ctx.committee);
        self.votes
            .next(self.me, ctx.wall(), &self.settings.wishes, members)
    }

    /// Counts the vote in a committed block's header; who joins by it.
    fn count_vote(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out<P>) -> Option<NodeId> {
        let block = ctx.blocks.get(block);
        let next = block.height + 1;
        if next.is_multiple_of(self.settings.epoch) {
            self.votes.forget();
            return None;
        }
        let vote = block.header.vote?;
        let members = self.elected.as_ref().unwrap_or(ctx.committee);
        if !self.votes.count(block.key.creator, vote, members) {
            return None;
        }
        let weight = Weight::from(vote.add);
        let elected = members.elect(vote.candidate, weight);
        out.push(Effect::Elect {
            height: next,
            member: vote.candidate,
            weight,
        });
        self.validator = elected.position(self.me).is_some();
        self.quorum = two_thirds(elected.len()) as usize;
        self.elected = Some(elected);
        vote.add.then_some(vote.candidate)
    }
}

/// How many votes of a phase decide among `n` validators.
fn needed<P: Protocol>(phase: u8, n: u32) -> u32 {
    match phase {
        PREPARE => P::prepares(n),
        _ => decisive(n),
    }
}

fn decisive(n: u32) -> u32 {
    two_thirds(n) - u32::from(n > 1 && broken(Mutant::BftQuorum))
}

fn validators(settings: &Settings, nodes: u32) -> u32 {
    match settings.validators {
        0 => nodes,
        n => n,
    }
}

fn validate(settings: &Settings, opens_at_head: bool, nodes: u32) -> Result<(), Invalid> {
    let refuse = |key, why: String, hint: &str| {
        Err(Invalid {
            key,
            why,
            hint: hint.to_owned(),
        })
    };
    if settings.validators > nodes {
        let why = format!("{} validators on {nodes} nodes", settings.validators);
        let hint = "name at most as many as there are nodes, or 0 for all";
        return refuse("validators", why, hint);
    }
    if settings.period.is_zero() {
        return refuse("period_ms", "the period is 0".to_owned(), "set at least 1");
    }
    if settings.timeout.is_zero() {
        let why = "the timeout is 0".to_owned();
        return refuse("request_timeout_ms", why, "set twice the period");
    }
    if settings.whole_seconds && !settings.period.ns().is_multiple_of(Span::from_s(1).ns()) {
        let ms = settings.period.ns() / 1_000_000;
        let why = format!("whole seconds cannot express a period of {ms} ms");
        let hint = "set it to false, or the period to whole seconds";
        return refuse("whole_second_timestamps", why, hint);
    }
    let spec = settings.timer == RoundTimer::Spec;
    if (spec || opens_at_head) && settings.timeout <= settings.period {
        let whose = if spec {
            "the specification's timer"
        } else {
            "the round timer"
        };
        let why = format!(
            "{whose} runs from the previous block, so that round 0 would end before its block is due"
        );
        return refuse("request_timeout_ms", why, "set it above the period");
    }
    if spec && !settings.empty_blocks {
        let why = "the specification's timer runs while nothing is pending".to_owned();
        let hint = "set it to true, or the timer to \"besu\"";
        return refuse("empty_blocks", why, hint);
    }
    if settings.epoch == 0 {
        let why = "an epoch has no blocks".to_owned();
        return refuse("epoch_blocks", why, "set at least 1");
    }
    settings.wishes.iter().try_for_each(|w| w.validate(nodes))
}
