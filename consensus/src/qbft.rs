//! QBFT: appointed validators agree on each block in three phases, with round changes that carry
//! their justification.
//!
//! source: hyperledger/besu@3fd224e `consensus/qbft-core` and `consensus/common` (rules, sizes,
//! defaults); ConsenSys/qbft-formal-spec-and-verification@3e2aeee `dafny/spec/L1` (the `spec`
//! timer).
//!
//! With `n` validators, `f = ⌊(n−1)/3⌋` and `Q = ⌈2n/3⌉`, at height `h` and round `r`:
//!
//! - Upon a new head: drop the round state; set the block timer to the parent's timestamp plus the
//!   period.
//! - Upon the block timer, unless a Proposal opened round 0 before it: open round 0; its proposer
//!   builds a block, sends Proposal(0) and prepares it.
//! - Upon receiving Proposal(r) of the round's proposer, with `r` not below the own round, a valid
//!   block on the head, and for `r > 0` a valid justification: enter `r`, accept the block, send
//!   Prepare(r). A second, different Proposal of the round is evidence.
//! - Upon `Q` Prepares(r) for the accepted block, the own and the proposer's included: the block is
//!   prepared at `r`; send Commit(r).
//! - Upon `Q` Commits(r) for a block: adopt and commit it.
//! - Upon the round timer of `r`: enter `r + 1` and send `RoundChange(r + 1)` with the block
//!   prepared at the highest round so far and its `Q` Prepares, if there is one.
//! - Upon `Q` round changes to `r` of different validators: enter `r` if it is above the own round;
//!   its proposer sends Proposal(r) justified by them, with the block prepared at the highest round
//!   among them, or else a new block.
//! - Upon round changes of `f + 1` validators for rounds above the own (`early_round_change`,
//!   always in the specification): enter the smallest of those rounds and send `RoundChange` for
//!   it.
//! - Upon a message of a later height: keep it, ask its sender for the missing blocks.
//! - Upon receiving a committed block with its seals: adopt and commit it. Who is still behind a
//!   timeout later, or restarts, asks the next validator for its head and what is below.
//! - Messages of past heights and past rounds are dropped.
//!
//! Deviations:
//! - Votes are counted by the kernel, which does not say who cast them: the Prepares in a
//!   certificate name the own node and the validators after it, `Q` in all.
//! - `Q` Commits of *any* round of the height commit a block. Besu drops those of past rounds and
//!   waits for the block from a peer, whose extra data would carry the same seals.
//! - A block that is proposed again keeps its identity, builder and timestamp; Besu writes the new
//!   round and proposer into it. Proposer rotation therefore follows the builder of the parent.
//! - Nodes that are not validators get each committed block from the proposer of the round that
//!   committed it, not by gossip.
//! - Instead of Besu's separate chain synchroniser, a `RoundChange` for a past height is answered
//!   with the head by `f + 1` validators, chosen by the sender's place and the round.
//! - With `empty_blocks = false` a validator opens round 0 when something is pending *at it*;
//!   Besu's `emptyblockperiodseconds` polls.
//! - A validator set is fixed for the run.
//!
//! Finality: on commit, against at most `f` Byzantine validators.
//!
//! Messages: `(n−1)(2n+1)` a block without faults; commit three message delays after the Proposal.
//! A round change adds `n(n−1)`.

use crate::Presets;
use crate::config::unless_zero;
use core::cmp::Ordering;
use quorate_core::{
    Adversary, Agreement, Ballot, BlockId, Blocks, CertId, Committee, Content, Context, Draws,
    Effect, Electorate, Engine, Execution, Facts, Family, Finality, Guarantee, Input, Invalid,
    Limits, NodeId, Outbox, Promises, Span, Standing, Statement, Time, To, Weight, Wire,
    byzantine_bound, hash, two_thirds,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Qbft>;

/// Phase of a ballot: Prepare.
pub const PREPARE: u8 = 0;
/// Phase of a ballot: Commit.
pub const COMMIT: u8 = 1;

/// How far ahead of a validator's clock a proposed block's timestamp may be.
/// source: hyperledger/besu `BftHeaderValidationRulesetFactory`: `TimestampBoundedByFutureParameter(1)`.
const MOST_AHEAD: Span = Span::from_s(1);

// source: RLP sizes computed from hyperledger/besu@3fd224e `qbft-core/payload` at height 10^5.
const PREPARE_BYTES: u64 = 108;
const COMMIT_BYTES: u64 = 176;
const ROUND_CHANGE_BYTES: u64 = 76;
const ROUND_CHANGE_PREPARED_BYTES: u64 = 110;
const PROPOSAL_BYTES: u64 = 80;
/// Extra data of a header. source: as above; 441 B and 938 B at n = 21.
const EXTRA_BYTES_PER_VALIDATOR: u64 = 21;
const EXTRA_BYTES_PER_SEAL: u64 = 67;
/// assumption: an Ethereum header without base fee is 507 B in RLP, and 33 B of vanity.
const HEADER_BYTES: u64 = 540;
/// assumption: an `eth` request for one header and body.
const ASK_BYTES: u64 = 64;
/// Future messages that are kept, and how far ahead they may be. source: hyperledger/besu
/// `JsonBftConfigOptions` `futuremessageslimit`, `futuremessagesmaxdistance`.
const FUTURE_MESSAGES: usize = 1_000;
const FUTURE_HEIGHTS: u32 = 10;

config! {
    /// Parameters of QBFT.
    {
        /// Time from a block's timestamp to the next block, ms.
        period_ms: u64,
        /// Time until round 0 is given up, ms; round `r` has `2^r` times as much.
        request_timeout_ms: u64,
        /// Validators: the first so many nodes; 0 means all.
        validators: u32,
        /// Whether headers carry whole seconds.
        whole_second_timestamps: bool,
        /// Whose round timer.
        timer: RoundTimer,
        /// Whether `f + 1` round changes pull a validator along. The specification's timer implies
        /// it.
        early_round_change: bool,
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

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["besu"];

    fn preset(name: &str) -> Option<Self> {
        (name == "besu").then_some(Self {
            // source: Besu's default `blockperiodseconds` is 1.
            period_ms: 1_000,
            // source: hyperledger/besu-docs@faacf35 `qbft.md` recommends twice the period; the
            // bare default `requesttimeoutseconds` is 1.
            request_timeout_ms: 2_000,
            validators: 0,
            whole_second_timestamps: true,
            timer: RoundTimer::Besu,
            // source: `--Xqbft-enable-early-round-change` is off by default.
            early_round_change: false,
            // source: `emptyblockperiodseconds` is 0, inactive, by default.
            empty_blocks: true,
            // assumption: no gas limit, as in the documented free-gas networks; what remains is the
            // 10 MB that Besu lets a message have (hyperledger/besu#4120).
            block_bytes: 10_000_000,
            block_txs: 0,
            block_exec_ms: 750,
        })
    }

    fn settle(&mut self, given: impl Fn(&str) -> bool) {
        if !given("block_exec_ms") {
            // source: Besu's `--poa-block-txs-selection-max-time` is 75 % of the period.
            self.block_exec_ms = self.period_ms * 3 / 4;
        }
        if !given("whole_second_timestamps") {
            // Besu's sub-second periods are a test-only option; its seconds cannot express them.
            self.whole_second_timestamps = self.period_ms.is_multiple_of(1_000);
        }
    }
}

/// What QBFT puts in a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The round in which the block was first proposed.
    pub round: u32,
    /// The timestamp that the next block timer counts from.
    pub timestamp: Time,
}

/// A block that `Q` validators prepared in a round.
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
    /// round changes: who, and the round and block that it had prepared.
    pub changes: CertId,
    /// Prepares of the proposed block, if it was prepared before.
    pub prepares: Option<CertId>,
    /// round changes without a prepared block, for the size.
    pub plain: u32,
    /// round changes with a prepared block, for the size.
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

/// What validators send, besides their votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A proposal.
    Proposal(Proposal),
    /// A round change.
    RoundChange(RoundChange),
    /// A committed block with its seals.
    Sealed(BlockId),
    /// A request for the head with its seals, by one who works at this height.
    Ask {
        /// The height.
        height: u32,
    },
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Proposal(p) => hash::fold_all(
                0,
                &[
                    u64::from(p.height),
                    u64::from(p.round),
                    blocks.name(p.block),
                ],
            ),
            Self::RoundChange(c) => {
                let (round, block) = c
                    .prepared
                    .map_or((0, 0), |p| (u64::from(p.round) + 1, blocks.name(p.block)));
                hash::fold_all(1, &[u64::from(c.height), u64::from(c.round), round, block])
            }
            Self::Sealed(block) => hash::fold_all(2, &[blocks.name(block)]),
            Self::Ask { height } => hash::fold_all(3, &[u64::from(height)]),
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

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    period: Span,
    timeout: Span,
    whole_seconds: bool,
    timer: RoundTimer,
    early: bool,
    empty_blocks: bool,
    limits: Limits,
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

/// One node.
#[derive(Debug)]
pub struct Qbft {
    me: NodeId,
    rules: Rules,
    validator: bool,
    quorum: usize,
    /// The last committed block.
    head: BlockId,
    /// The height being decided: one above the head's.
    height: u32,
    /// `None` until the block timer or a Proposal opens round 0.
    round: Option<u32>,
    /// What the specification's round timer is measured from.
    unit_start: Time,
    /// The block accepted in the current round.
    accepted: Option<BlockId>,
    /// The round and block prepared last at this height.
    prepared: Option<(u32, BlockId)>,
    /// round changes at this height, for the current round and later ones.
    changes: BTreeMap<(u32, NodeId), Option<Prepared>>,
    lead: Lead,
    /// Whether round 0 waits for a pending transaction.
    awaiting: bool,
    /// Messages of later heights.
    future: Vec<(NodeId, Message)>,
    catch_up: CatchUp,
}

impl Engine for Qbft {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Authority,
        electorate: Electorate::Appointed,
        agreement: Agreement::CommitteeVote,
        standing: Standing::Deployable,
        final_holds_if: "fewer than a third of the validators lie",
        guarantee: Guarantee::Commit,
        bound: "⌊(n−1)/3⌋ may lie; ⌊n/3⌋ may be down",
        quorum: "⌈2n/3⌉",
        messages: "(n−1)(2n+1)",
        latency: "3d",
        finality: "on commit",
        source: "hyperledger/besu@3fd224e; ConsenSys/qbft-formal-spec-and-verification@3e2aeee",
    };
    const KINDS: &'static [&'static str] = &["proposal", "round-change", "block", "ask"];
    const PHASES: &'static [&'static str] = &["prepare", "commit"];

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
            return refuse(
                "validators",
                why,
                "name at most as many as there are nodes, or 0 for all",
            );
        }
        if config.period_ms == 0 {
            return refuse("period_ms", "the period is 0".to_owned(), "set at least 1");
        }
        if config.request_timeout_ms == 0 {
            return refuse(
                "request_timeout_ms",
                "the timeout is 0".to_owned(),
                "set twice the period",
            );
        }
        if config.whole_second_timestamps && !config.period_ms.is_multiple_of(1_000) {
            return refuse(
                "whole_second_timestamps",
                format!(
                    "whole seconds cannot express a period of {} ms",
                    config.period_ms
                ),
                "set it to false, or the period to whole seconds",
            );
        }
        if config.timer == RoundTimer::Spec && config.request_timeout_ms <= config.period_ms {
            return refuse(
                "request_timeout_ms",
                "the specification's timer runs from the previous block, so that round 0 would end \
                 before its block is due"
                    .to_owned(),
                "set it above the period",
            );
        }
        if config.timer == RoundTimer::Spec && !config.empty_blocks {
            return refuse(
                "empty_blocks",
                "the specification's timer runs while nothing is pending".to_owned(),
                "set it to true, or the timer to \"besu\"",
            );
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        Committee::equal(validators(config, nodes))
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            me,
            rules: Rules {
                period: Span::from_ms(config.period_ms),
                timeout: Span::from_ms(config.request_timeout_ms),
                whole_seconds: config.whole_second_timestamps,
                timer: config.timer,
                early: config.early_round_change || config.timer == RoundTimer::Spec,
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
            quorum: two_thirds(committee.len()) as usize,
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
            catch_up: CatchUp {
                target: 1,
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
            timestamp: Time::ZERO,
        }
    }

    fn finality(_: &Config, adversary: &Adversary) -> Result<Finality, String> {
        if 3.0 * adversary.share >= 1.0 {
            return Err(format!(
                "an adversary with {:.1} % of the validators is a third or more",
                100.0 * adversary.share
            ));
        }
        Ok(Finality::Commit)
    }

    fn promises(config: &Config, nodes: u32) -> Promises {
        let n = validators(config, nodes);
        Promises {
            byzantine: byzantine_bound(n),
            crashed: n - two_thirds(n),
            quorum: two_thirds(n),
            interval: Span::from_ms(config.period_ms),
        }
    }

    /// A block is decided once `Q` others have it: the proposer's own votes wait behind its copies.
    /// Over many blocks, each validator sends its share of all copies.
    fn copies(config: &Config, nodes: u32) -> u32 {
        let n = validators(config, nodes);
        two_thirds(n).min(n - 1).max((nodes - 1).div_ceil(n))
    }

    /// The proposer executes before its Proposal leaves, the others before they prepare.
    fn execution(_: &Config) -> Execution {
        Execution::InTurn(2)
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out) {
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

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let costs = ctx.costs;
        match *message {
            Message::Proposal(p) => {
                let block = ctx.blocks.get(p.block);
                let (proof, signatures) = p.justification.map_or((0, 0), |j| self.proof(&j));
                // A prepared block was executed when it was first proposed.
                let fresh = p.justification.is_none_or(|j| j.prepares.is_none());
                let built = if fresh {
                    costs.build(block)
                } else {
                    Span::ZERO
                };
                Wire {
                    kind: 0,
                    // A proposed block has no seals yet.
                    bytes: block.bytes.saturating_sub(self.seal_bytes()) + PROPOSAL_BYTES + proof,
                    sign: costs.sign + built,
                    check: costs.verify * (1 + signatures) + costs.validate(block),
                }
            }
            Message::RoundChange(change) => {
                let (bytes, signatures, hashed) =
                    change.prepared.map_or((ROUND_CHANGE_BYTES, 0, 0), |p| {
                        let block = ctx
                            .blocks
                            .get(p.block)
                            .bytes
                            .saturating_sub(self.seal_bytes());
                        let prepares = self.quorum as u64 * PREPARE_BYTES;
                        (
                            ROUND_CHANGE_PREPARED_BYTES + block + prepares,
                            self.quorum as u64,
                            block,
                        )
                    });
                Wire {
                    kind: 1,
                    bytes,
                    sign: costs.sign,
                    check: costs.verify + costs.certificate(signatures) + costs.hash(hashed),
                }
            }
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
        }
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Proposal(p) => Some(p.block),
            Message::RoundChange(change) => change.prepared.map(|p| p.block),
            Message::Sealed(block) => Some(block),
            Message::Ask { .. } => None,
        }
    }

    fn vote_wire(&self, phase: u8, ctx: &Ctx<'_>) -> Wire {
        // A Commit carries two signatures: the seal of the block and its own.
        let (bytes, signatures) = match phase {
            PREPARE => (PREPARE_BYTES, 1),
            _ => (COMMIT_BYTES, 2),
        };
        Wire {
            kind: phase,
            bytes,
            sign: ctx.costs.sign * signatures,
            check: ctx.costs.verify * signatures,
        }
    }

    fn threshold(_: u8, committee: &Committee) -> Weight {
        Weight::from(two_thirds(committee.len()))
    }

    fn header_bytes(&self, _: &Header, ctx: &Ctx<'_>) -> u64 {
        let validators = u64::from(ctx.committee.len());
        HEADER_BYTES + validators * EXTRA_BYTES_PER_VALIDATOR + self.seal_bytes()
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
impl Qbft {
    /// Upon a new head.
    fn start_height(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let parent = ctx.blocks.get(self.head);
        self.height = parent.height + 1;
        self.round = None;
        self.accepted = None;
        self.prepared = None;
        self.changes.clear();
        self.lead = Lead::Idle;
        self.awaiting = false;
        self.catch_up.heard = true;
        if !self.validator {
            return;
        }
        let due = ctx.at_wall(parent.header.timestamp + self.rules.period);
        let height = self.height;
        out.timer(due, Timer::Block { height });
        if self.rules.timer == RoundTimer::Spec {
            self.enter(0, Cause::Messages, ctx, out);
        }
        for (from, message) in core::mem::take(&mut self.future) {
            self.on_message(from, message, ctx, out);
        }
    }

    /// Upon the block timer. In the specification round 0 is open from the start.
    fn on_block_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        match (self.round, self.rules.timer) {
            (None, _) if !self.rules.empty_blocks => {
                self.awaiting = true;
                out.push(Effect::AwaitPending {
                    count: 1,
                    bytes: u64::MAX,
                });
            }
            (None, _) => {
                self.enter(0, Cause::Timeout, ctx, out);
                self.lead_round_0(ctx, out);
            }
            (Some(0), RoundTimer::Spec) => self.lead_round_0(ctx, out),
            (Some(_), _) => {} // A Proposal was faster, or the round was given up.
        }
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if core::mem::take(&mut self.awaiting) && self.round.is_none() {
            self.enter(0, Cause::Timeout, ctx, out);
            self.lead_round_0(ctx, out);
        }
    }

    /// Opens a round.
    fn enter(&mut self, round: u32, cause: Cause, ctx: &Ctx<'_>, out: &mut Out) {
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

    fn set_round_timer(&self, round: u32, ctx: &Ctx<'_>, out: &mut Out) {
        let from = match self.rules.timer {
            RoundTimer::Besu => ctx.clock,
            RoundTimer::Spec => self.unit_start,
        };
        // Beyond 2^32 units the timer never fires.
        let units = 1_u64.checked_shl(round).unwrap_or(u64::MAX);
        let length = Span::from_ns(self.rules.timeout.ns().saturating_mul(units));
        let height = self.height;
        out.timer(from.saturating_add(length), Timer::Round { height, round });
    }

    /// Gives up the current round for a later one.
    fn change_round(&mut self, round: u32, cause: Cause, ctx: &Ctx<'_>, out: &mut Out) {
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
        out.send(To::Committee, Message::RoundChange(change));
        self.changes.insert((round, self.me), prepared);
        self.weigh_changes(round, ctx, out);
    }
}

/// Receiving.
impl Qbft {
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
            Message::RoundChange(c) => c.height,
        };
        if !self.validator || ctx.committee.position(from).is_none() {
            return;
        }
        match (height.cmp(&self.height), message) {
            (Ordering::Greater, _) => {
                self.keep(from, height, message);
                self.fall_behind(from, height, ctx, out);
            }
            (Ordering::Equal, Message::Proposal(p)) => self.on_proposal(from, p, ctx, out),
            (Ordering::Equal, Message::RoundChange(c)) => self.on_round_change(from, c, ctx, out),
            (Ordering::Less, Message::RoundChange(c)) => self.help(from, c, ctx, out),
            (_, _) => {} // A past height.
        }
    }

    /// Upon receiving Proposal(r).
    fn on_proposal(&mut self, from: NodeId, p: Proposal, ctx: &Ctx<'_>, out: &mut Out) {
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
    fn accept(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        self.accepted = Some(block);
        let prepare = self.ballot(PREPARE, block);
        out.push(Effect::Vote(prepare));
        if ctx.reached(prepare) {
            self.on_threshold(prepare, ctx, out);
        }
        let commit = self.ballot(COMMIT, block);
        if self.accepted == Some(block) && ctx.reached(commit) {
            self.on_threshold(commit, ctx, out);
        }
    }

    /// Upon `Q` Prepares or `Q` Commits.
    fn on_threshold(&mut self, ballot: Ballot, ctx: &Ctx<'_>, out: &mut Out) {
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
                    out.push(Effect::Vote(self.ballot(COMMIT, block)));
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

    fn commit(&mut self, block: BlockId, round: u32, ctx: &Ctx<'_>, out: &mut Out) {
        if ctx.blocks.get(block).parent != Some(self.head) {
            return; // Beyond the bound: another block was committed below.
        }
        let announces = self.me == self.proposer(round, ctx);
        out.push(Effect::Adopt(block));
        out.push(Effect::Commit(block));
        if announces && ctx.nodes > ctx.committee.len() {
            out.send(To::Observers, Message::Sealed(block));
        }
        self.head = block;
        self.start_height(ctx, out);
    }

    /// Upon receiving `RoundChange(r)`. The first of a validator for a round counts.
    fn on_round_change(&mut self, from: NodeId, c: RoundChange, ctx: &Ctx<'_>, out: &mut Out) {
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
    fn weigh_changes(&mut self, round: u32, ctx: &Ctx<'_>, out: &mut Out) {
        if self.rules.early {
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
        let enough = byzantine_bound(ctx.committee.len()) as usize + 1;
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
impl Qbft {
    /// The next validator after the builder of the parent, and one further for each round.
    fn proposer(&self, round: u32, ctx: &Ctx<'_>) -> NodeId {
        let builder = ctx.blocks.get(self.head).key.creator;
        let first = ctx
            .committee
            .position(builder)
            .map_or(0, |place| u64::from(place) + 1);
        ctx.committee.at(first + u64::from(round))
    }

    fn lead_round_0(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if self.me == self.proposer(0, ctx) && self.lead == Lead::Idle && self.accepted.is_none() {
            self.build(None, ctx, out);
        }
    }

    /// Upon `Q` round changes for the own round, as its proposer.
    fn lead_later_round(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
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
        match best {
            Some(p) => self.propose(p.block, justification, ctx, out),
            None => self.build(justification, ctx, out),
        }
    }

    fn build(&mut self, justification: Option<Justification>, ctx: &Ctx<'_>, out: &mut Out) {
        self.lead = Lead::Building(justification);
        let round = self
            .round
            .expect("a round is open when its proposer builds");
        let header = Header {
            round,
            timestamp: self.timestamp(round, ctx.wall()),
        };
        out.push(Effect::BuildBlock {
            parent: self.head,
            header,
            limits: self.rules.limits,
            as_of: None,
            // Execution is not known before: it is charged to the Proposal, see `wire`.
            cost: Span::ZERO,
        });
    }

    /// Besu rounds to the nearest second in round 0 and down in later ones.
    fn timestamp(&self, round: u32, clock: Time) -> Time {
        const SECOND: u64 = Span::from_s(1).ns();
        if !self.rules.whole_seconds {
            return clock;
        }
        let half = if round == 0 { SECOND / 2 } else { 0 };
        Time::from_ns((clock.ns() + half) / SECOND * SECOND)
    }

    fn on_built(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
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
        out: &mut Out,
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
        out.send(To::Committee, Message::Proposal(proposal));
        self.accept(block, ctx, out);
    }
}

/// What is valid.
impl Qbft {
    /// A block on the head, no earlier than a period after it, and hardly ahead of the own clock.
    fn block_fits(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let earliest = ctx.blocks.get(self.head).header.timestamp + self.rules.period;
        let block = ctx.blocks.get(block);
        let latest = ctx.wall().saturating_add(MOST_AHEAD);
        let timestamp = block.header.timestamp;
        block.parent == Some(self.head) && earliest <= timestamp && timestamp <= latest
    }

    /// Round 0 needs no justification. Later rounds need `Q` round changes, and the block that was
    /// prepared at the highest round among them, with its Prepares; without one, a new block.
    fn is_justified(&self, from: NodeId, p: &Proposal, ctx: &Ctx<'_>, out: &Out) -> bool {
        let block = ctx.blocks.get(p.block);
        let fresh = block.key.creator == from && block.header.round == p.round;
        let Some(j) = p.justification else {
            return p.round == 0 && fresh;
        };
        let changes = out.certs.get(j.changes);
        let in_order = changes.iter().all(|s| s.round.is_none_or(|r| r < p.round));
        if p.round == 0 || !in_order || !self.is_quorum(changes, ctx) {
            return false;
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

    fn is_prepared(&self, proof: &[Statement], round: u32, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let same = |s: &Statement| (s.round, s.block) == (Some(round), Some(block));
        proof.iter().all(same) && self.is_quorum(proof, ctx)
    }

    /// At least `Q` signers, all validators, none twice.
    fn is_quorum(&self, statements: &[Statement], ctx: &Ctx<'_>) -> bool {
        let signers: BTreeSet<NodeId> = statements.iter().map(|s| s.signer).collect();
        let known = signers.iter().all(|&s| ctx.committee.position(s).is_some());
        known && signers.len() == statements.len() && signers.len() >= self.quorum
    }

    /// `Q` Prepares; see the deviations for whose.
    fn intern_prepares(&self, round: u32, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) -> CertId {
        let first = u64::from(ctx.committee.position(self.me).unwrap_or(0));
        let statements: Vec<Statement> = (0..self.quorum as u64)
            .map(|step| Statement {
                signer: ctx.committee.at(first + step),
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

    /// Bytes and signatures of a justification.
    fn proof(&self, j: &Justification) -> (u64, u64) {
        let (plain, prepared) = (u64::from(j.plain), u64::from(j.prepared));
        let prepares = j.prepares.map_or(0, |_| self.quorum as u64);
        let bytes = plain * ROUND_CHANGE_BYTES
            + prepared * ROUND_CHANGE_PREPARED_BYTES
            + prepares * PREPARE_BYTES;
        (bytes, plain + prepared + prepares)
    }
}

/// Catching up.
impl Qbft {
    fn keep(&mut self, from: NodeId, height: u32, message: Message) {
        if height <= self.height + FUTURE_HEIGHTS && self.future.len() < FUTURE_MESSAGES {
            self.future.push((from, message));
        }
    }

    /// Upon evidence that `from` works at a later height.
    fn fall_behind(&mut self, from: NodeId, height: u32, ctx: &Ctx<'_>, out: &mut Out) {
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

    fn open_question(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.catch_up.open = true;
        self.catch_up.question += 1;
        let question = self.catch_up.question;
        out.timer(ctx.clock + self.rules.timeout, Timer::Sync { question });
    }

    /// Asks the next peer. Observers ask validators, who have the blocks first.
    fn ask_next_peer(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let place = ctx.committee.position(self.me).unwrap_or(self.me.get());
        let step = 1 + u64::from(self.catch_up.question);
        let mut from = ctx.committee.at(u64::from(place) + step);
        if from == self.me {
            from = ctx.committee.at(u64::from(place) + step + 1);
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

    fn on_sync_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.catch_up.open = false;
        self.catch_up.hole = None;
        if self.height < self.catch_up.target || !self.catch_up.heard {
            self.ask_next_peer(ctx, out);
        }
    }

    /// Upon restarting: what was in flight is lost, timers included.
    fn restart(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
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
    fn help(&self, from: NodeId, c: RoundChange, ctx: &Ctx<'_>, out: &mut Out) {
        let n = ctx.committee.len();
        let place = |node| ctx.committee.position(node).unwrap_or(0);
        let distance = (place(self.me) + 2 * n - place(from) - 1 - c.round % n) % n;
        if distance <= byzantine_bound(n) {
            out.send(To::One(from), Message::Sealed(self.head));
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
        }
        self.head = tip;
        self.start_height(ctx, out);
        if let Some(tip) = self.catch_up.tip.take() {
            self.import(tip, from, ctx, out);
        }
    }
}

fn validators(config: &Config, nodes: u32) -> u32 {
    match config.validators {
        0 => nodes,
        n => n,
    }
}
