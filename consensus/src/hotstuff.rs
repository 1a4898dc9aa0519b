//! HotStuff: a leader collects the votes of a quorum into a certificate, so that a view costs a number
//! of messages that is linear in the number of validators; chained, basic, or as Jolteon.
//!
//! source: Yin, Malkhi, Reiter, Golan Gueta, Abraham, "HotStuff: BFT Consensus in the Lens of
//! Blockchain", 2019 (algorithms 2, 4 and 5); hot-stuff/libhotstuff@02e347d `consensus.cpp`,
//! `liveness.h` (rules, a proposer kept until it fails); asonnino/hotstuff@0134e9b
//! `consensus/src/core.rs` (Jolteon: two-chains and time-out certificates).
//!
//! With `n` validators and `f = ⌊(n−1)/3⌋`, a *certificate* is `Q = n − f` votes for one block in one view.
//!
//! Chained:
//! - Upon entering view `v`, as its leader: propose a block on the block of the highest certificate,
//!   with that certificate; it is of view `v − 1`, or the time-out certificate of `v − 1` goes along.
//! - Upon receiving the proposal of view `v` from its leader: learn its certificates; in view `v`, and
//!   without a vote of this view or a later one, vote if the block
//!   - extends the locked block, or its certificate is of a later view than the lock
//!     (`three-chain`);
//!   - has a certificate of `v − 1`, or a time-out certificate of `v − 1` that names no later one
//!     (`two-chain`).
//!
//!   The vote goes to the leader of the next view. A second, different proposal of a leader in a view
//!   is evidence, as is a second vote.
//! - Upon `Q` votes for a block: that is a certificate; learn it.
//! - Upon learning a certificate of view `v`: enter `v + 1`; keep it if it is the highest; lock the block
//!   below its block (`three-chain`); commit the first of three (two) blocks, each the child of the one
//!   before in the next view, of which the last has the certificate.
//!
//! Basic: a block a view, in three phases of which each has its certificate.
//! - Upon `Q` new-views of view `v`, or the time-out certificate of `v − 1`, as the leader: propose on
//!   the block of the highest certificate among them.
//! - Upon the proposal: vote as above. Upon `Q` votes: send the certificate (pre-commit, commit, decide).
//! - Upon pre-commit: vote. Upon commit: lock its block, vote. Upon decide: commit its block, enter
//!   `v + 1`, send a new-view with the highest certificate to its leader.
//!
//! Keeping pace, in all variants:
//! - Upon the timer of view `v`: vote no more in it; send Timeout(v) with the highest certificate, and what
//!   ended the view before, to all; again after each further timer.
//! - Upon `Q` Timeouts of view `v`: that is a time-out certificate; send it to all, enter `v + 1`.
//! - Upon a time-out certificate of the own view or a later one: enter the view after it. Each view
//!   that is entered so has a timer that is `timeout_growth` times as long.
//! - Upon a Timeout of a past view, or with a lower certificate than the own: `f + 1` validators, chosen by
//!   the sender's place and the view, answer with the own certificates.
//! - Without `empty_blocks` a leader proposes when something is pending, and empty blocks while some
//!   block with transactions is not committed everywhere; timers run only then.
//! - Upon a certificate for a block that is not here, or a proposal above one: ask the sender for what is
//!   below. Who restarts asks one validator after another.
//!
//! Leaders: by turns (`every-view`), or the one of the highest certificate plus the number of views that
//! timed out since (`on-timeout`). By turns, votes of the view before a crashed leader's are lost, so that
//! a three-chain needs four live leaders in a row, and of four validators none may be down.
//!
//! Deviations:
//! - The paper leaves open how views are kept together; time-out certificates are those of Jolteon, here
//!   for all variants. In them the new-views of a failed view are Timeouts to all: `O(n²)`.
//! - A block's parent is the block of its certificate: the paper's dummy blocks are gaps in views.
//! - With `batch_bytes` the transactions of a proposal count as disseminated before: it carries a digest
//!   per batch. What that costs is the pool's gossip, without its acknowledgements.
//! - Where messages take no time, an empty block waits for a millisecond.
//! - Blocks are executed before they are voted for, as in Diem; the paper executes what it commits.
//! - Who is not a validator gets proposals and decisions from the leader, and does not vote.
//! - Bodies that were asked for are taken for checked by who sent them; their certificates are paid for.
//!
//! Finality: on commit, against at most `f` Byzantine validators.
//!
//! Messages: chained `2(n−1)` a block, basic `8(n−1)`; a time-out adds `2n(n−1)`. Commit `7d` after the
//! proposal at all validators (both with three chains), `5d` with two.

use crate::Presets;
use crate::config::unless_zero;
use crate::mutants::{Mutant, broken};
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, CertId, Committee, Content, Context, Draws, Effect,
    Electorate, Engine, Execution, Facts, Family, Finality, Guarantee, Input, Invalid, Limits,
    NodeId, Outbox, Promises, Span, Standing, Statement, Time, To, Wire, byzantine_bound, hash,
};
use serde::{Deserialize, Serialize};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<HotStuff>;

const GENESIS: BlockId = Blocks::<Header>::GENESIS;

/// Phase of votes and certificates: the only one of the chained variants; prepare in the basic one.
pub const PREPARE: u8 = 0;
/// Phase of votes and certificates: pre-commit.
pub const PRE_COMMIT: u8 = 1;
/// Phase of votes and certificates: commit.
pub const COMMIT: u8 = 2;
/// Voted for in a view that was given up.
const ABANDONED: u8 = u8::MAX;

// assumption: a block's digest (32 B), a view (8 B) and an Ed25519 key and signature (32 and 64 B), as in
// asonnino/hotstuff `messages.rs`, without the text form of keys there.
const DIGEST_BYTES: u64 = 32;
const SIGNED_BYTES: u64 = 96;
const VOTE_BYTES: u64 = DIGEST_BYTES + 8 + SIGNED_BYTES;
/// A certificate without its signatures: digest, view, their number.
const CERTIFICATE_BYTES: u64 = DIGEST_BYTES + 16;
/// A block without certificates and transactions: view, parent, author, signature, digest of the payload.
const HEADER_BYTES: u64 = 2 * DIGEST_BYTES + 16 + SIGNED_BYTES;
/// How long an empty block waits where messages take no time, so that time goes on.
/// assumption: shorter than any network.
const IDLE: Span = Span::from_ms(1);
/// assumption: view and sender.
const ASK_BYTES: u64 = 40;

/// How many phases a view has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// One: the next blocks are the further phases of a block.
    Chained,
    /// All phases of a block in one view.
    Basic,
}

/// Which certified blocks commit the first of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitRule {
    /// Three in consecutive views.
    ThreeChain,
    /// Two, as in Jolteon and `DiemBFT`.
    TwoChain,
}

/// Who leads the next view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// The next validator.
    EveryView,
    /// The same, unless the view timed out.
    OnTimeout,
}

config! {
    /// Parameters of a HotStuff network.
    {
        /// Chained or basic.
        variant: Variant,
        /// How many certified blocks commit one.
        commit_rule: CommitRule,
        /// Who leads the next view.
        rotation: Rotation,
        /// Time until a view is given up, ms.
        view_timeout_ms: u64,
        /// By how much longer the next view is after one that timed out; 1 for no longer.
        timeout_growth: f64,
        /// Validators: the first so many nodes; 0 means all.
        validators: u32,
        /// Bytes of a certificate whose threshold signature is checked once; 0 for a list of signatures.
        qc_bytes: u64,
        /// Bytes of a batch of transactions, of which a proposal carries the digest only; 0 for proposals
        /// that carry the transactions.
        batch_bytes: u64,
        /// Batches are sealed at multiples of this time, ms; 0 for at once.
        batch_delay_ms: u64,
        /// Whether blocks are made when nothing is pending and everything is committed.
        empty_blocks: bool,
        /// Bytes of transactions in a block.
        block_bytes: u64,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["hotstuff", "jolteon"];

    fn preset(name: &str) -> Option<Self> {
        let paper = Self {
            variant: Variant::Chained,
            commit_rule: CommitRule::ThreeChain,
            // source: hot-stuff/libhotstuff `liveness.h`, PMRoundRobinProposer: the proposer stays until
            // a time-out, which doubles the next one; base time-out 1 s.
            rotation: Rotation::OnTimeout,
            view_timeout_ms: 1_000,
            timeout_growth: 2.0,
            validators: 0,
            // assumption: libhotstuff's list of signatures.
            qc_bytes: 0,
            batch_bytes: 0,
            batch_delay_ms: 0,
            empty_blocks: false,
            // assumption: as many bytes as an Ethereum node's message may have; the count decides.
            block_bytes: 10_000_000,
            // source: Yin et al. 2019, section 8: batches of 400 commands.
            block_txs: 400,
            block_exec_ms: 0,
        };
        match name {
            "hotstuff" => Some(paper),
            "jolteon" => Some(Self {
                // source: asonnino/hotstuff `consensus/src/core.rs`, `leader.rs`, `timer.rs`;
                // benchmark/data/2-chain: time-out 5 s, batches of 500 kB sealed after 100 ms.
                commit_rule: CommitRule::TwoChain,
                rotation: Rotation::EveryView,
                view_timeout_ms: 5_000,
                timeout_growth: 1.0,
                batch_bytes: 500_000,
                batch_delay_ms: 100,
                empty_blocks: true,
                // source: asonnino/hotstuff@04dd68a `proposer.rs` limits batches of others to 30 a block;
                // with the own ones about twice that. assumption: 32 MB.
                block_bytes: 32_000_000,
                block_txs: 0,
                ..paper
            }),
            _ => None,
        }
    }
}

/// `Q` votes for a block in a view and phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Qc {
    /// The view.
    pub view: u32,
    /// The phase.
    pub phase: u8,
    /// The block.
    pub block: BlockId,
    /// Who voted; the genesis block needs nobody.
    pub cert: Option<CertId>,
}

impl Qc {
    /// The certificate that everybody has.
    pub const GENESIS: Self = Self {
        view: 0,
        phase: COMMIT,
        block: GENESIS,
        cert: None,
    };

    /// Later certificates have greater ranks.
    const fn rank(self) -> (u32, u8) {
        (self.view, self.phase)
    }

    fn word(self, blocks: &Blocks<Header>) -> u64 {
        let rank = u64::from(self.view) << 8 | u64::from(self.phase);
        hash::fold_all(rank, &[blocks.name(self.block)])
    }
}

/// `Q` time-outs of a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tc {
    /// The view that was given up.
    pub view: u32,
    /// The highest certificate among them.
    pub high: Qc,
    /// Who gave it up, and the block of the highest certificate of each.
    pub cert: CertId,
}

/// What HotStuff puts in a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The view.
    pub view: u32,
    /// The certificate of the block below.
    pub justify: Qc,
    /// Why the view before has no certificate.
    pub tc: Option<Tc>,
}

/// What validators send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// The leader's block, with what its header says.
    Proposal(BlockId),
    /// A vote.
    Vote {
        /// In this view.
        view: u32,
        /// In this phase.
        phase: u8,
        /// For this block.
        block: BlockId,
    },
    /// Basic: the certificate of a phase, which opens the next.
    Phase(Qc),
    /// Basic: the sender has entered a view.
    NewView {
        /// The view.
        view: u32,
        /// Its highest certificate.
        high: Qc,
    },
    /// The sender has waited long enough.
    Timeout {
        /// In this view.
        view: u32,
        /// Its highest certificate.
        high: Qc,
        /// What it entered the view by, if not by a certificate.
        tc: Option<Tc>,
    },
    /// Certificates that the receiver may lack.
    Certificate {
        /// The sender's highest.
        high: Qc,
        /// A time-out certificate.
        tc: Option<Tc>,
    },
    /// A request for the highest certificate.
    Ask {
        /// The number of the question.
        question: u32,
    },
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let tc_word = |tc: Option<Tc>| tc.map_or(0, |tc| u64::from(tc.view) + 1);
        match *self {
            Self::Proposal(block) => hash::fold_all(0, &[blocks.name(block)]),
            Self::Vote { view, phase, block } => {
                hash::fold_all(1, &[view.into(), phase.into(), blocks.name(block)])
            }
            Self::Phase(qc) => hash::fold_all(2, &[qc.word(blocks)]),
            Self::NewView { view, high } => hash::fold_all(3, &[view.into(), high.word(blocks)]),
            Self::Timeout { view, high, tc } => {
                hash::fold_all(4, &[view.into(), high.word(blocks), tc_word(tc)])
            }
            Self::Certificate { high, tc } => hash::fold_all(5, &[high.word(blocks), tc_word(tc)]),
            Self::Ask { question } => hash::fold_all(6, &[question.into()]),
        }
    }
}

/// What a replica waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// A view has lasted long enough.
    View {
        /// The view.
        view: u32,
        /// How many timers there were before in this view.
        attempt: u32,
    },
    /// An empty block may be proposed.
    Idle {
        /// In this view.
        view: u32,
    },
    /// Somebody should have answered.
    Ask {
        /// The number of the question.
        question: u32,
    },
}

impl Content<Header> for Timer {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        match *self {
            Self::View { view, attempt } => hash::fold_all(0, &[view.into(), attempt.into()]),
            Self::Ask { question } => hash::fold_all(1, &[question.into()]),
            Self::Idle { view } => hash::fold_all(2, &[view.into()]),
        }
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    variant: Variant,
    commit: CommitRule,
    rotation: Rotation,
    timeout: Span,
    growth_permille: u64,
    qc_bytes: u64,
    batch_bytes: u64,
    batch_delay: Span,
    empty_blocks: bool,
    limits: Limits,
}

/// A vote that was received.
#[derive(Clone, Copy, Debug)]
struct Cast {
    signer: NodeId,
    rank: (u32, u8),
    block: BlockId,
}

/// How far the leader of the own view has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lead {
    Idle,
    Building,
    Done,
}

/// Catching up.
#[derive(Clone, Copy, Debug, Default)]
struct CatchUp {
    /// A certificate whose block, or what is below it, is not here.
    wanted: Option<Qc>,
    /// The block of the latest view that lacks what is below, and whether it came from its leader.
    waiting: Option<(BlockId, bool)>,
    /// The missing block that was asked for last, and when.
    asked: Option<(BlockId, Time)>,
    /// The number of the last question; also says whom to ask next.
    question: u32,
    /// Whether the last question is unanswered.
    open: bool,
}

/// One node.
#[derive(Debug)]
pub struct HotStuff {
    me: NodeId,
    rules: Rules,
    /// The place among the validators.
    place: Option<u32>,
    quorum: usize,
    /// The view, the certificate that it counts from, and the time-out certificate if it took one.
    view: u32,
    base: Qc,
    tc: Option<Tc>,
    /// Views in a row that were entered by a time-out.
    failed: u32,
    /// Timers of this view so far, and whether one runs.
    attempt: u32,
    armed: bool,
    /// When this view was entered, and the one before.
    entered: [Time; 2],
    /// Whether something is pending, as far as heard in this view, and whether that is awaited.
    pending: bool,
    awaiting: bool,
    lead: Lead,
    /// View and phase of the last vote.
    voted: (u32, u8),
    high: Qc,
    locked: Qc,
    /// The block of the latest view that was accepted.
    head: BlockId,
    committed: BlockId,
    committed_height: u32,
    /// The proposal of the latest view that came from its leader.
    proposed: Option<(u32, BlockId)>,
    votes: Vec<Cast>,
    /// By place: the latest view that a validator gave up, with its highest certificate.
    timeouts: Vec<Option<(u32, Qc)>>,
    /// By place: the latest view that a validator has entered (basic).
    new_views: Vec<u32>,
    catch_up: CatchUp,
}

impl Engine for HotStuff {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Authority,
        electorate: Electorate::Appointed,
        agreement: Agreement::CommitteeVote,
        standing: Standing::Research,
        final_holds_if: "fewer than a third of the validators lie",
        guarantee: Guarantee::Commit,
        bound: "⌊(n−1)/3⌋ may lie or be down",
        quorum: "n − ⌊(n−1)/3⌋",
        messages: "2(n−1); basic 8(n−1)",
        latency: "7d; two-chain 5d",
        finality: "on a chain of certificates in consecutive views",
        source: "Yin et al. 2019; hot-stuff/libhotstuff@02e347d; asonnino/hotstuff@0134e9b",
    };
    const KINDS: &'static [&'static str] = &[
        "proposal",
        "vote",
        "pre-commit",
        "commit",
        "decide",
        "new-view",
        "timeout",
        "certificate",
        "ask",
    ];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        match refusal(config, nodes) {
            None => Ok(()),
            Some((key, why, hint)) => Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            }),
        }
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        Committee::equal(validators(config, nodes))
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        let n = committee.len();
        Self {
            me,
            rules: rules(config),
            place: committee.position(me),
            quorum: (n - byzantine_bound(n)) as usize
                - usize::from(n > 1 && broken(Mutant::HotstuffQuorum)),
            view: 1,
            base: Qc::GENESIS,
            tc: None,
            failed: 0,
            attempt: 0,
            armed: false,
            entered: [Time::ZERO, Time::NEVER],
            pending: false,
            awaiting: false,
            lead: Lead::Idle,
            voted: (0, ABANDONED),
            high: Qc::GENESIS,
            locked: Qc::GENESIS,
            head: GENESIS,
            committed: GENESIS,
            committed_height: 0,
            proposed: None,
            votes: Vec::with_capacity(2 * n as usize),
            timeouts: vec![None; n as usize],
            new_views: vec![0; n as usize],
            catch_up: CatchUp::default(),
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            view: 0,
            justify: Qc::GENESIS,
            tc: None,
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

    /// By turns, a chain needs enough live leaders in a row wherever the crashed ones are.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let n = validators(config, nodes);
        let f = byzantine_bound(n);
        let in_a_row = match (config.variant, config.rotation, config.commit_rule) {
            (Variant::Basic, _, _) | (_, Rotation::OnTimeout, _) => 1,
            (_, _, CommitRule::TwoChain) => 3,
            (_, _, CommitRule::ThreeChain) => 4,
        };
        let live = |crashed: &u32| (n - crashed).div_ceil(*crashed) >= in_a_row;
        Promises {
            byzantine: f,
            crashed: (1..=f).rev().find(live).unwrap_or(0),
            quorum: n - f,
            interval: Span::ZERO,
        }
    }

    /// The leader sends every block to all; by turns, only to a quorum before it is certified.
    fn copies(config: &Config, nodes: u32) -> u32 {
        let n = validators(config, nodes);
        match config.rotation {
            _ if config.batch_bytes > 0 => 0,
            Rotation::OnTimeout => nodes - 1,
            Rotation::EveryView => {
                let others = (n - byzantine_bound(n) - 1).max(1);
                others.max((nodes - 1).div_ceil(n))
            }
        }
    }

    /// The leader executes before its proposal leaves, the others before they vote.
    fn execution(_: &Config) -> Execution {
        Execution::InTurn(2)
    }

    fn least_interval(_: &Config, _: u32) -> Option<Span> {
        None
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => self.start(ctx, out),
            Input::Restarted => self.restart(ctx, out),
            Input::Timer(Timer::View { view, attempt }) => {
                if (view, attempt) == (self.view, self.attempt) && self.armed {
                    self.on_view_timer(ctx, out);
                }
            }
            Input::Timer(Timer::Idle { view }) if view == self.view => self.lead(ctx, out),
            Input::Timer(Timer::Idle { .. }) => {} // Stale.
            Input::Timer(Timer::Ask { question }) => {
                if question == self.catch_up.question && self.catch_up.open {
                    self.ask_next(ctx, out);
                }
            }
            Input::Pending => self.on_pending(ctx, out),
            Input::BlockBuilt(block) => self.on_built(block, ctx, out),
            Input::Message { from, message } => {
                self.on_message(from, message, ctx, out);
            }
            Input::Body { block, from } => {
                self.catch_up.open = false;
                self.process(block, from, false, ctx, out);
                self.resume(from, ctx, out);
            }
            // Never announced, and votes go to one node.
            Input::Header { .. } | Input::Threshold(_) => {}
        }
    }

    fn leader(&self, ctx: &Ctx<'_>) -> Option<NodeId> {
        Some(self.leader(self.view, self.base, ctx))
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let costs = ctx.costs;
        let (qc, qc_check) = (self.qc_bytes(), self.qc_check(ctx));
        let tc_of = |tc: Option<Tc>| tc.map_or((0, Span::ZERO), |_| self.tc_cost(ctx));
        let (kind, bytes, sign, check) = match *message {
            Message::Proposal(id) => {
                let block = ctx.blocks.get(id);
                let check = costs.verify + self.certificates_check(&block.header, ctx);
                let (sign, check) = (
                    costs.sign + costs.build(block),
                    check + costs.validate(block),
                );
                (0, self.proposal_bytes(id, ctx), sign, check)
            }
            Message::Vote { .. } => (1, VOTE_BYTES, costs.sign, costs.verify),
            Message::Phase(qc_) => (2 + qc_.phase, qc, Span::ZERO, qc_check),
            Message::NewView { .. } => {
                let bytes = VOTE_BYTES + qc;
                (5, bytes, costs.sign, costs.verify + qc_check)
            }
            Message::Timeout { tc, .. } => {
                let (more, check) = tc_of(tc);
                let check = costs.verify + qc_check + check;
                (6, VOTE_BYTES + qc + more, costs.sign, check)
            }
            Message::Certificate { tc, .. } => {
                let (more, check) = tc_of(tc);
                (7, qc + more, Span::ZERO, qc_check + check)
            }
            Message::Ask { .. } => (8, ASK_BYTES, Span::ZERO, Span::ZERO),
        };
        Wire {
            kind,
            bytes,
            sign,
            check,
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(message, Message::Vote { .. })
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Proposal(block) => Some(block),
            _ => None,
        }
    }

    fn header_bytes(&self, header: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES + self.qc_bytes() + header.tc.map_or(0, |_| self.tc_bytes())
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        let signed = ctx.costs.verify + self.certificates_check(&block.header, ctx);
        signed + ctx.costs.validate(block)
    }
}

/// Sizes and costs.
impl HotStuff {
    const fn qc_bytes(&self) -> u64 {
        match self.rules.qc_bytes {
            0 => CERTIFICATE_BYTES + self.quorum as u64 * SIGNED_BYTES,
            bytes => bytes,
        }
    }

    fn qc_check(&self, ctx: &Ctx<'_>) -> Span {
        match self.rules.qc_bytes {
            0 => ctx.costs.certificate(self.quorum as u64),
            _ => ctx.costs.verify,
        }
    }

    /// Its signatures are about different certificates: a list in all variants.
    const fn tc_bytes(&self) -> u64 {
        16 + self.quorum as u64 * (8 + SIGNED_BYTES)
    }

    fn tc_cost(&self, ctx: &Ctx<'_>) -> (u64, Span) {
        let checks = ctx.costs.verify * self.quorum as u64 + self.qc_check(ctx);
        (self.tc_bytes() + self.qc_bytes(), checks)
    }

    fn certificates_check(&self, header: &Header, ctx: &Ctx<'_>) -> Span {
        let tc = header.tc.map_or(Span::ZERO, |_| {
            ctx.costs.verify * self.quorum as u64 // Its certificate is the block's.
        });
        self.qc_check(ctx) + tc
    }

    fn proposal_bytes(&self, id: BlockId, ctx: &Ctx<'_>) -> u64 {
        let block = ctx.blocks.get(id);
        if self.rules.batch_bytes == 0 {
            return block.bytes;
        }
        let header = self.header_bytes(&block.header, ctx);
        let batches = block
            .bytes
            .saturating_sub(header)
            .div_ceil(self.rules.batch_bytes);
        header + batches * DIGEST_BYTES
    }
}

/// Views.
impl HotStuff {
    fn start(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.greet(ctx, out);
        self.arm(ctx, out);
        self.lead(ctx, out);
    }

    /// Upon restarting: what was in flight is lost, timers and a block being built included.
    fn restart(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if self.lead == Lead::Building {
            self.lead = Lead::Idle;
        }
        (self.armed, self.awaiting, self.catch_up.asked) = (false, false, None);
        self.attempt += 1;
        self.greet(ctx, out);
        self.arm(ctx, out);
        self.lead(ctx, out);
        self.ask_next(ctx, out);
    }

    /// Basic: tells the leader that the view was entered.
    fn greet(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if self.rules.variant == Variant::Chained || self.place.is_none() || self.tc.is_some() {
            return;
        }
        let (view, high) = (self.view, self.high);
        let leader = self.leader(view, self.base, ctx);
        if leader == self.me {
            self.on_new_view(self.me, view, ctx, out);
        } else {
            out.send(To::One(leader), Message::NewView { view, high });
        }
    }

    /// The leader of a view that was entered by this certificate, or by a time-out certificate that
    /// names it as the highest.
    fn leader(&self, view: u32, base: Qc, ctx: &Ctx<'_>) -> NodeId {
        let turns = view.saturating_sub(1);
        match self.rules.rotation {
            Rotation::EveryView => ctx.committee.at(u64::from(turns)),
            Rotation::OnTimeout => {
                let creator = ctx.blocks.find(base.block).map(|b| b.key.creator);
                let place = creator.and_then(|c| ctx.committee.position(c));
                let failed = turns.saturating_sub(base.view);
                ctx.committee
                    .at(u64::from(place.unwrap_or(0)) + u64::from(failed))
            }
        }
    }

    fn enter(&mut self, view: u32, base: Qc, tc: Option<Tc>, ctx: &Ctx<'_>, out: &mut Out) {
        self.view = view;
        self.base = base;
        self.tc = tc;
        self.attempt = 0;
        self.entered = [ctx.clock, self.entered[0]];
        (self.armed, self.pending, self.awaiting) = (false, false, false);
        self.lead = Lead::Idle;
        self.failed = if tc.is_some() { self.failed + 1 } else { 0 };
        if tc.is_some() {
            out.push(Effect::RoundChange { round: view });
        }
        self.greet(ctx, out);
        self.arm(ctx, out);
        self.lead(ctx, out);
    }

    /// Whether there is anything to agree on.
    fn has_work(&self, ctx: &Ctx<'_>) -> bool {
        self.rules.empty_blocks || self.pending || self.is_open(self.head, ctx)
    }

    /// Whether a chain has transactions above what is committed.
    fn is_open(&self, tip: BlockId, ctx: &Ctx<'_>) -> bool {
        let above = |&(_, height, _): &(BlockId, u32, u32)| height > self.committed_height;
        let mut chain = down(tip, ctx.blocks).take_while(above);
        chain.any(|(_, _, txs)| txs > 0)
    }

    /// Starts the view's timer, or waits for something to do.
    fn arm(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if self.place.is_none() || self.armed {
            return;
        }
        if self.has_work(ctx) {
            self.armed = true;
            let (view, attempt) = (self.view, self.attempt);
            let at = ctx.clock.saturating_add(self.patience());
            out.timer(at, Timer::View { view, attempt });
        } else if !self.awaiting {
            self.awaiting = true;
            out.push(Effect::AwaitPending {
                count: 1,
                bytes: u64::MAX,
            });
        }
    }

    /// How long the own view may last.
    fn patience(&self) -> Span {
        let grown = (0..self.failed).try_fold(self.rules.timeout.ns(), |ns, _| {
            let longer = u128::from(ns) * u128::from(self.rules.growth_permille) / 1_000;
            u64::try_from(longer).ok()
        });
        Span::from_ns(grown.unwrap_or(u64::MAX))
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if core::mem::take(&mut self.awaiting) {
            self.pending = true;
            self.arm(ctx, out);
            self.lead(ctx, out);
        }
    }

    /// Upon the timer of the own view.
    fn on_view_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.armed = false;
        self.attempt += 1;
        if !self.has_work(ctx) {
            return self.arm(ctx, out);
        }
        self.voted = self.voted.max((self.view, ABANDONED));
        let (view, high, tc) = (self.view, self.high, self.tc);
        out.send(To::Committee, Message::Timeout { view, high, tc });
        self.arm(ctx, out);
        self.count_timeout(self.me, view, high, ctx, out);
    }

    fn count_timeout(&mut self, from: NodeId, view: u32, high: Qc, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(place) = ctx.committee.position(from) else {
            return;
        };
        let last = &mut self.timeouts[place as usize];
        if last.is_none_or(|(v, _)| v <= view) {
            *last = Some((view, high));
        }
        let of_view = |t: &Option<(u32, Qc)>| t.filter(|t| t.0 == view);
        if self.timeouts.iter().filter_map(of_view).count() < self.quorum || view < self.view {
            return;
        }
        let mut statements = Vec::with_capacity(self.quorum);
        let mut highest = Qc::GENESIS;
        for (place, timeout) in self.timeouts.iter().enumerate() {
            if let Some((_, high)) = of_view(timeout) {
                statements.push(Statement {
                    signer: ctx.committee.at(place as u64),
                    round: Some(view),
                    block: Some(high.block),
                });
                if high.rank() > highest.rank() {
                    highest = high;
                }
            }
        }
        let height = ctx.blocks.find(highest.block).map_or(0, |b| b.height);
        let tc = Tc {
            view,
            high: highest,
            cert: out.certs.intern(height + 1, &statements),
        };
        let message = Message::Certificate {
            high: highest,
            tc: Some(tc),
        };
        out.send(To::Committee, message);
        self.learn_tc(tc, self.me, ctx, out);
    }
}

/// Proposing.
impl HotStuff {
    /// Proposes, if it is this node's turn and there is a reason.
    fn lead(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if self.place.is_none() || self.lead != Lead::Idle {
            return;
        }
        let mine = self.leader(self.view, self.base, ctx) == self.me;
        if !mine || !self.may_propose() || self.high.rank() < self.base.rank() {
            return;
        }
        let parent = self.high.block;
        let idle = !self.pending && !self.is_open(self.head, ctx) && !self.is_untold(parent, ctx);
        if idle && !self.rules.empty_blocks {
            return; // `arm` waits for something pending.
        }
        // What is pending but not sealed yet makes an empty block, too.
        let maybe_empty = idle || !self.rules.batch_delay.is_zero();
        if maybe_empty && self.entered == [ctx.clock; 2] {
            let view = self.view;
            return out.timer(ctx.clock + IDLE, Timer::Idle { view });
        }
        self.lead = Lead::Building;
        let delay = self.rules.batch_delay.ns();
        let sealed = |delay| Time::from_ns(ctx.clock.ns() / delay * delay);
        out.push(Effect::BuildBlock {
            parent,
            header: Header {
                view: self.view,
                justify: self.high,
                tc: self.tc,
            },
            limits: self.rules.limits,
            as_of: (delay > 0).then(|| sealed(delay)),
            // Execution is not known before: it is charged to the proposal, see `wire`.
            cost: Span::ZERO,
        });
    }

    /// Whether the highest certificate among those of a quorum is known.
    fn may_propose(&self) -> bool {
        let entered = |view: &&u32| **view == self.view;
        self.tc.is_some()
            || match self.rules.variant {
                Variant::Chained => self.high.view + 1 == self.view,
                Variant::Basic => self.new_views.iter().filter(entered).count() >= self.quorum,
            }
    }

    /// Chained: whether a chain has transactions of which its headers do not say that they are
    /// committed, so that only the leader knows.
    fn is_untold(&self, tip: BlockId, ctx: &Ctx<'_>) -> bool {
        let mut told = 0;
        for (id, height, txs) in down(tip, ctx.blocks) {
            if told == 0 {
                let justify = ctx.blocks.get(id).header.justify;
                let target = self.commit_target(justify, ctx.blocks);
                told = target.map_or(0, |b| ctx.blocks.get(b).height);
            }
            if height <= told {
                return false;
            }
            if txs > 0 {
                return true;
            }
        }
        false
    }

    fn on_built(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let current = ctx.blocks.get(block).header.view == self.view;
        if self.lead != Lead::Building || !current {
            return;
        }
        self.lead = Lead::Done;
        self.proposed = Some((self.view, block));
        if ctx.nodes > 1 {
            out.send(To::All, Message::Proposal(block));
        }
        self.process(block, self.me, true, ctx, out);
    }

    /// Basic: upon a new-view.
    fn on_new_view(&mut self, from: NodeId, view: u32, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(place) = ctx.committee.position(from) else {
            return;
        };
        let entered = &mut self.new_views[place as usize];
        *entered = view.max(*entered);
        if view == self.view {
            self.lead(ctx, out);
        }
    }
}

/// Receiving.
impl HotStuff {
    fn on_message(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>, out: &mut Out) {
        self.catch_up.open = false;
        match message {
            Message::Proposal(block) => {
                self.on_proposal(from, block, ctx, out);
                self.resume(from, ctx, out);
            }
            Message::Phase(qc) if self.is_valid(&qc, ctx, out) => self.on_phase(from, qc, ctx, out),
            Message::Certificate { high, tc } => {
                if self.is_valid(&high, ctx, out) {
                    self.learn(high, from, ctx, out);
                }
                if let Some(tc) = tc.filter(|tc| self.is_valid_tc(tc, ctx, out)) {
                    self.learn_tc(tc, from, ctx, out);
                }
            }
            Message::Ask { .. } => self.help(from, out),
            _ if self.place.is_none() => {}
            Message::Vote { view, phase, block } => {
                self.on_vote(from, (view, phase), block, ctx, out);
            }
            Message::NewView { view, high } => {
                if self.is_valid(&high, ctx, out) {
                    self.learn(high, from, ctx, out);
                    self.on_new_view(from, view, ctx, out);
                }
            }
            Message::Timeout { view, high, tc } => self.on_timeout(from, view, high, tc, ctx, out),
            Message::Phase(_) => {}
        }
    }

    /// Upon receiving a proposal.
    fn on_proposal(&mut self, from: NodeId, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(proposal) = ctx.blocks.find(block) else {
            return;
        };
        let Header { view, justify, tc } = proposal.header;
        let follows = match tc {
            None => justify.view + 1 == view,
            Some(tc) => tc.view + 1 == view && self.is_valid_tc(&tc, ctx, out),
        };
        let base = tc.map_or(justify, |tc| tc.high);
        let leads = from == proposal.key.creator && from == self.leader(view, base, ctx);
        let fits = proposal.parent == Some(justify.block) && view > justify.view;
        if !follows || !leads || !fits || !self.is_valid(&justify, ctx, out) {
            return;
        }
        match self.proposed {
            Some((v, other)) if v == view && other != block => {
                if ctx
                    .blocks
                    .find(other)
                    .is_some_and(|b| b.key.creator == from)
                {
                    out.push(Effect::Evidence { against: from });
                    return;
                }
            }
            Some((v, _)) if v > view => {}
            _ => self.proposed = Some((view, block)),
        }
        self.process(block, from, true, ctx, out);
    }

    /// Learns what a block that is here says, and votes for it.
    fn process(&mut self, id: BlockId, from: NodeId, vote: bool, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(block) = ctx.blocks.find(id) else {
            return;
        };
        let Header { view, justify, tc } = block.header;
        if !self.is_connected(id, ctx) {
            let later = |(other, _)| {
                let other = ctx.blocks.find(other);
                other.is_none_or(|b| b.header.view < view)
            };
            if self.catch_up.waiting.is_none_or(later) {
                self.catch_up.waiting = Some((id, vote));
            }
            return; // `resume` asks for what is below.
        }
        self.learn(justify, from, ctx, out);
        if let Some(tc) = tc {
            self.learn_tc(tc, from, ctx, out);
        }
        self.adopt(id, ctx, out);
        if vote && view == self.view && self.is_safe(id, &block.header, ctx, out) {
            self.cast((view, PREPARE), id, ctx, out);
        }
        self.arm(ctx, out);
    }

    /// A block becomes the head if it is of a later view.
    fn adopt(&mut self, id: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let view = |b| ctx.blocks.find(b).map_or(0, |b| b.header.view);
        if view(id) > view(self.head) {
            self.head = id;
            out.push(Effect::Adopt(id));
        }
    }

    /// Whether a vote for a block can break nothing.
    fn is_safe(&self, id: BlockId, header: &Header, ctx: &Ctx<'_>, out: &Out) -> bool {
        match self.rules.commit {
            _ if broken(Mutant::HotstuffLock) => true,
            CommitRule::ThreeChain => {
                header.justify.view > self.locked.view || ctx.blocks.extends(id, self.locked.block)
            }
            CommitRule::TwoChain => {
                let view = |s: &Statement| ctx.blocks.find(s.block?).map(|b| b.header.view);
                let named = |tc: Tc| out.certs.get(tc.cert).iter().filter_map(view).max();
                header.justify.view + 1 == header.view
                    || header.tc.is_some_and(|tc| {
                        let latest = named(tc).unwrap_or(0).max(tc.high.view);
                        tc.view + 1 == header.view && header.justify.view >= latest
                    })
            }
        }
    }

    /// Votes, unless it has voted later than that.
    fn cast(&mut self, rank: (u32, u8), block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        if self.place.is_none() || rank <= self.voted {
            return;
        }
        self.voted = rank;
        let (view, phase) = rank;
        let proposer = ctx.blocks.get(block).key.creator;
        let to = match (self.rules.variant, self.rules.rotation) {
            (Variant::Chained, Rotation::EveryView) => ctx.committee.at(u64::from(view)),
            _ => proposer,
        };
        if to == self.me {
            self.on_vote(to, rank, block, ctx, out);
        } else {
            out.send(To::One(to), Message::Vote { view, phase, block });
        }
    }

    /// Upon receiving a vote.
    fn on_vote(
        &mut self,
        from: NodeId,
        rank: (u32, u8),
        block: BlockId,
        ctx: &Ctx<'_>,
        out: &mut Out,
    ) {
        if rank <= self.high.rank() || ctx.committee.position(from).is_none() {
            return;
        }
        let same = |cast: &&Cast| (cast.signer, cast.rank) == (from, rank);
        if let Some(first) = self.votes.iter().find(same) {
            if first.block != block {
                out.push(Effect::Evidence { against: from });
            }
            return;
        }
        let signer = from;
        self.votes.push(Cast {
            signer,
            rank,
            block,
        });
        let fits = |cast: &&Cast| (cast.rank, cast.block) == (rank, block);
        if self.votes.iter().filter(fits).count() < self.quorum {
            return;
        }
        let statements: Vec<Statement> = self
            .votes
            .iter()
            .filter(fits)
            .map(|cast| statement(cast.signer, rank, block))
            .collect();
        let height = ctx.blocks.find(block).map_or(0, |b| b.height);
        let (view, phase) = rank;
        let qc = Qc {
            view,
            phase,
            block,
            cert: Some(out.certs.intern(height, &statements)),
        };
        match self.rules.variant {
            Variant::Chained => self.learn(qc, self.me, ctx, out),
            Variant::Basic => self.open_phase(qc, ctx, out),
        }
    }

    /// Basic: the leader sends the certificate of a phase.
    fn open_phase(&mut self, qc: Qc, ctx: &Ctx<'_>, out: &mut Out) {
        if ctx.nodes > 1 {
            let to = if qc.phase == COMMIT {
                To::All
            } else {
                To::Committee
            };
            out.send(to, Message::Phase(qc));
        }
        self.on_phase(self.me, qc, ctx, out);
    }

    /// Basic: upon the certificate of a phase.
    fn on_phase(&mut self, from: NodeId, qc: Qc, ctx: &Ctx<'_>, out: &mut Out) {
        self.learn(qc, from, ctx, out);
        let here = self.is_connected(qc.block, ctx);
        if here && qc.view == self.view && qc.phase < COMMIT {
            self.cast((qc.view, qc.phase + 1), qc.block, ctx, out);
        }
    }

    /// Upon a Timeout.
    fn on_timeout(
        &mut self,
        from: NodeId,
        view: u32,
        high: Qc,
        tc: Option<Tc>,
        ctx: &Ctx<'_>,
        out: &mut Out,
    ) {
        if !self.is_valid(&high, ctx, out) {
            return;
        }
        self.learn(high, from, ctx, out);
        if let Some(tc) = tc.filter(|tc| self.is_valid_tc(tc, ctx, out)) {
            self.learn_tc(tc, from, ctx, out);
        }
        if (view < self.view || high.rank() < self.high.rank()) && self.is_helper(from, view, ctx) {
            self.help(from, out);
        }
        if view >= self.view {
            self.count_timeout(from, view, high, ctx, out);
        }
    }

    /// Whether this node is one of `f + 1` that answer.
    fn is_helper(&self, from: NodeId, view: u32, ctx: &Ctx<'_>) -> bool {
        let n = ctx.committee.len();
        let place = |node| ctx.committee.position(node).unwrap_or(0);
        // Places among the others, counted from the sender's.
        let after = (place(self.me) + n - place(from) - 1) % n;
        (after + view) % (n - 1).max(1) <= byzantine_bound(n)
    }

    fn help(&self, from: NodeId, out: &mut Out) {
        let (high, tc) = (self.high, self.tc);
        out.send(To::One(from), Message::Certificate { high, tc });
    }
}

/// Certificates.
impl HotStuff {
    /// Upon a certificate that is in order.
    fn learn(&mut self, qc: Qc, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        if qc.rank() <= self.high.rank() {
            return;
        }
        if self.is_connected(qc.block, ctx) {
            self.keep(qc, ctx, out);
        } else {
            if self.catch_up.wanted.is_none_or(|w| w.rank() < qc.rank()) {
                self.catch_up.wanted = Some(qc);
            }
            self.ask_below(qc.block, from, ctx, out);
        }
        let next = match self.rules.variant {
            Variant::Basic if qc.phase < COMMIT => qc.view,
            _ => qc.view + 1,
        };
        if next > self.view {
            self.enter(next, qc, None, ctx, out);
        }
    }

    /// The highest certificate, whose block is here: what it locks and commits.
    fn keep(&mut self, qc: Qc, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(block) = ctx.blocks.find(qc.block) else {
            return;
        };
        self.high = qc;
        self.votes.retain(|cast| cast.rank > qc.rank());
        self.adopt(qc.block, ctx, out);
        let locks = match self.rules.variant {
            Variant::Chained => block.header.justify,
            Variant::Basic if qc.phase == PREPARE => self.locked,
            Variant::Basic => qc,
        };
        if locks.rank() > self.locked.rank() {
            self.locked = locks;
        }
        // The certificates below may commit more than the highest alone, where views are missing.
        let mut at = qc;
        while let Some(block) = ctx.blocks.find(at.block) {
            if block.height <= self.committed_height {
                break;
            }
            if let Some(target) = self.commit_target(at, ctx.blocks) {
                self.commit(target, ctx, out);
                break;
            }
            at = block.header.justify;
        }
    }

    /// The block that a certificate commits.
    fn commit_target(&self, qc: Qc, blocks: &Blocks<Header>) -> Option<BlockId> {
        let links = match (self.rules.variant, self.rules.commit) {
            _ if broken(Mutant::HotstuffChain) => 0,
            (Variant::Basic, _) if qc.phase == COMMIT => 0,
            (Variant::Basic, _) => return None,
            (Variant::Chained, CommitRule::TwoChain) => 1,
            (Variant::Chained, CommitRule::ThreeChain) => 2,
        };
        let mut id = qc.block;
        for _ in 0..links {
            let block = blocks.find(id)?;
            id = block.parent?;
            if blocks.find(id)?.header.view + 1 != block.header.view {
                return None;
            }
        }
        (blocks.find(id)?.height > 0).then_some(id)
    }

    fn commit(&mut self, target: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        if !ctx.blocks.extends(target, self.committed) {
            return; // Known, or beyond the bound.
        }
        if !ctx.blocks.extends(self.head, target) {
            self.head = target; // Its certificate is worth more than a later block without one.
            out.push(Effect::Adopt(target));
        }
        let height = ctx.blocks.get(target).height;
        for height in self.committed_height + 1..=height {
            let block = ctx.blocks.ancestor(target, height);
            out.push(Effect::Commit(block.expect("above what is committed")));
        }
        (self.committed, self.committed_height) = (target, height);
    }

    /// Upon a time-out certificate that is in order.
    fn learn_tc(&mut self, tc: Tc, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        self.learn(tc.high, from, ctx, out);
        if tc.view >= self.view {
            self.enter(tc.view + 1, tc.high, Some(tc), ctx, out);
        }
    }

    /// `Q` validators, none twice, vouch for this block in this view and phase. What is not new is not
    /// looked at.
    fn is_valid(&self, qc: &Qc, ctx: &Ctx<'_>, out: &Out) -> bool {
        if qc.rank() <= self.high.rank() {
            return true;
        }
        let statements = qc.cert.map_or(&[][..], |cert| out.certs.get(cert));
        let same = |s: &Statement| *s == statement(s.signer, qc.rank(), qc.block);
        let of_view = |block: BlockId| {
            ctx.blocks
                .find(block)
                .is_some_and(|b| b.header.view == qc.view)
        };
        statements.iter().all(same) && of_view(qc.block) && self.is_quorum(statements, ctx)
    }

    /// `Q` validators gave up this view, and the certificate is the highest that they name.
    fn is_valid_tc(&self, tc: &Tc, ctx: &Ctx<'_>, out: &Out) -> bool {
        if tc.view + 1 < self.view {
            return true;
        }
        let statements = out.certs.get(tc.cert);
        let view = |s: &Statement| {
            s.block
                .and_then(|b| ctx.blocks.find(b))
                .map(|b| b.header.view)
        };
        let highest = statements.iter().filter_map(view).max();
        statements.iter().all(|s| s.round == Some(tc.view))
            && highest.is_none_or(|view| view <= tc.high.view)
            && self.is_quorum(statements, ctx)
            && self.is_valid(&tc.high, ctx, out)
    }

    fn is_quorum(&self, statements: &[Statement], ctx: &Ctx<'_>) -> bool {
        let known = |s: &Statement| ctx.committee.position(s.signer).is_some();
        let twice =
            |(i, s): (usize, &Statement)| statements[..i].iter().any(|t| t.signer == s.signer);
        statements.len() >= self.quorum
            && statements.iter().all(known)
            && !statements.iter().enumerate().any(twice)
    }
}

/// Catching up.
impl HotStuff {
    /// Whether a block is here with all that is below it and not committed.
    fn is_connected(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        ctx.blocks.find(block).is_some() && self.missing(block, ctx).is_none()
    }

    /// The nearest block, this one or below it, that is not here.
    fn missing(&self, tip: BlockId, ctx: &Ctx<'_>) -> Option<BlockId> {
        let open = |&(_, height, _): &(BlockId, u32, u32)| height > self.committed_height;
        let mut chain = down(tip, ctx.blocks).take_while(open);
        chain.find(|b| !ctx.holds(b.0)).map(|b| b.0)
    }

    /// Asks a node for what this one lacks of a chain: its own chain down to what is here, or a hole
    /// below that. The same is asked for again after a time-out.
    fn ask_below(&mut self, tip: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(hole) = self.missing(tip, ctx) else {
            return;
        };
        let again = |(asked, at): (BlockId, Time)| {
            asked != hole || ctx.clock >= at.saturating_add(self.rules.timeout)
        };
        if from == self.me || !self.catch_up.asked.is_none_or(again) {
            return;
        }
        self.catch_up.asked = Some((hole, ctx.clock));
        let below = ctx.blocks.find(hole).and_then(|b| b.parent);
        if hole == tip || below.is_some_and(|b| self.missing(b, ctx).is_some()) {
            out.push(Effect::Sync { from });
        }
        if hole != tip {
            out.push(Effect::Fetch { block: hole, from });
        }
    }

    /// Asks the next validator for its highest certificate, and for its chain.
    fn ask_next(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.catch_up.question += 1;
        let question = self.catch_up.question;
        let first = self.place.unwrap_or(self.me.get());
        let near = [0, 1].map(|step| ctx.committee.at(u64::from(first + question + step)));
        let Some(from) = near.into_iter().find(|node| *node != self.me) else {
            return; // It is alone.
        };
        self.catch_up.open = true;
        out.send(To::One(from), Message::Ask { question });
        out.push(Effect::Sync { from });
        out.timer(ctx.clock + self.rules.timeout, Timer::Ask { question });
    }

    /// Upon a body: goes on with what lacked it, or asks for what else it lacks.
    fn resume(&mut self, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        if let Some((block, vote)) = self.catch_up.waiting {
            if self.is_connected(block, ctx) {
                self.catch_up.waiting = None;
                self.process(block, from, vote, ctx, out);
            } else {
                self.ask_below(block, from, ctx, out);
            }
        }
        let Some(qc) = self.catch_up.wanted else {
            return;
        };
        if qc.rank() <= self.high.rank() {
            self.catch_up.wanted = None;
        } else if self.is_connected(qc.block, ctx) {
            self.catch_up.wanted = None;
            self.keep(qc, ctx, out);
            self.arm(ctx, out);
            self.lead(ctx, out);
        } else {
            self.ask_below(qc.block, from, ctx, out);
        }
    }
}

/// A chain from its tip down: blocks with their heights and transactions.
fn down(tip: BlockId, blocks: &Blocks<Header>) -> impl Iterator<Item = (BlockId, u32, u32)> + '_ {
    let mut next = Some(tip);
    core::iter::from_fn(move || {
        let id = next?;
        let block = blocks.find(id)?;
        next = block.parent;
        Some((id, block.height, block.txs))
    })
}

/// What a signer of a certificate says.
fn statement(signer: NodeId, rank: (u32, u8), block: BlockId) -> Statement {
    Statement {
        signer,
        // View and phase in one number.
        round: Some(rank.0 << 2 | u32::from(rank.1)),
        block: Some(block),
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        variant: config.variant,
        commit: config.commit_rule,
        rotation: config.rotation,
        timeout: Span::from_ms(config.view_timeout_ms),
        growth_permille: (config.timeout_growth * 1_000.0) as u64,
        qc_bytes: config.qc_bytes,
        batch_bytes: config.batch_bytes,
        batch_delay: Span::from_ms(config.batch_delay_ms),
        empty_blocks: config.empty_blocks,
        limits: Limits {
            bytes: config.block_bytes,
            txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
            exec: match config.block_exec_ms {
                0 => Span::MAX,
                ms => Span::from_ms(ms),
            },
        },
    }
}

/// What cannot work: the key, why, and what to do.
fn refusal(config: &Config, nodes: u32) -> Option<(&'static str, String, &'static str)> {
    let c = config;
    if c.validators > nodes {
        let why = format!("{} validators on {nodes} nodes", c.validators);
        let hint = "name at most as many as there are nodes, or 0 for all";
        return Some(("validators", why, hint));
    }
    if c.variant == Variant::Basic && c.commit_rule == CommitRule::TwoChain {
        let why = "a basic view has three phases".to_owned();
        let hint = "leave it at \"three-chain\", or set the variant to \"chained\"";
        return Some(("commit_rule", why, hint));
    }
    if c.view_timeout_ms == 0 {
        let why = "no view would last".to_owned();
        return Some(("view_timeout_ms", why, "the published benchmark has 5000"));
    }
    if !(c.timeout_growth >= 1.0 && c.timeout_growth <= 10.0) {
        let why = format!("{} is not between 1 and 10", c.timeout_growth);
        return Some(("timeout_growth", why, "2 doubles, 1 keeps the time-out"));
    }
    if c.block_bytes == 0 {
        let why = "a block of no bytes orders nothing".to_owned();
        return Some(("block_bytes", why, "the default is 10000000"));
    }
    None
}

fn validators(config: &Config, nodes: u32) -> u32 {
    match config.validators {
        0 => nodes,
        n => n,
    }
}
