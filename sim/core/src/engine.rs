//! The contract of a consensus engine: a pure state machine, input in, effects out.
//!
//! An engine sees its input, a read-only [`Context`] and its own state. It has no clock, no
//! network and no randomness but the [`Draws`] it is handed. The kernel owns every mechanism:
//! it delivers an input when the node's CPU has served it, and lets an effect leave after its
//! declared cost.

use crate::committee::{Committee, Weight};
use crate::finality::{Adversary, Finality};
use crate::seed::Draws;
use crate::{Block, BlockId, Blocks, CertId, NodeId, Span, Time, hash};
use core::fmt::Debug;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// A consensus protocol; one value is one replica.
pub trait Engine: Sized {
    /// Parameters: unknown keys are refused, every default states its source.
    type Config: Clone + Debug + Serialize + DeserializeOwned + Send + Sync;
    /// What the protocol puts in a block's header.
    type Header: Copy + Debug;
    /// What replicas say to each other.
    type Message: Copy + Debug + Content<Self::Header>;
    /// Carries its view, slot or generation: a stale timer is recognised, never cancelled.
    type Timer: Copy + Debug + Content<Self::Header>;

    /// What the protocol is, for tables and verdicts.
    const FACTS: Facts;
    /// Names of the kinds of message, in the order of [`Wire::kind`].
    const KINDS: &'static [&'static str];
    /// Names of the voting phases, in the order of [`Ballot::phase`].
    const PHASES: &'static [&'static str];

    /// Refuses a configuration that cannot work with `setup.nodes` nodes.
    ///
    /// # Errors
    /// Names the key, what is wrong and what to do.
    fn validate(config: &Self::Config, nodes: u32) -> Result<(), Invalid>;

    /// The committee that votes or leads, in protocol order.
    fn committee(config: &Self::Config, nodes: u32) -> Committee;

    /// A replica as it starts for the first time.
    fn new(config: &Self::Config, me: NodeId, committee: &Committee) -> Self;

    /// The header of the genesis block.
    fn genesis(config: &Self::Config) -> Self::Header;

    /// How blocks become final against this adversary.
    ///
    /// # Errors
    /// When the adversary is so strong that nothing is ever final.
    fn finality(config: &Self::Config, adversary: &Adversary) -> Result<Finality, String>;

    /// How many members may fail before the protocol's promises end, and the mean time between
    /// blocks when all is well.
    fn promises(config: &Self::Config, nodes: u32) -> Promises;

    /// Whether, by its own rules, it may stand still for good after faults that are over.
    fn may_stall(config: &Self::Config) -> bool {
        let _ = config;
        false
    }

    /// The probability that a transaction is reversed after its sender waited for `waited` since it
    /// was in a block, when `corrupt` of `nodes` equal organisations work against it. Computed, not
    /// simulated. A committee is all or nothing: what it commits holds up to its bound.
    fn reversal_risk(config: &Self::Config, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        let _ = wait;
        f64::from(u8::from(corrupt > Self::promises(config, nodes).byzantine))
    }

    /// Handles one input to the end. Inputs come in the order of simulated time.
    fn handle(
        &mut self,
        ctx: &Context<'_, Self::Header>,
        draws: &mut Draws,
        input: Input<Self>,
        out: &mut Outbox<Self>,
    );

    /// Whom this replica takes for the one whose turn it is now: its leader, or the next block's
    /// proposer. `None` where nobody knows before a block is found, and where it knows of nobody.
    fn leader(&self, ctx: &Context<'_, Self::Header>) -> Option<NodeId> {
        let _ = ctx;
        None
    }

    /// How many copies of a block leave one uplink, one after the other, before the next block can
    /// leave or be decided: bounds the throughput by an uplink. 0 where others pass blocks on.
    fn copies(config: &Self::Config, nodes: u32) -> u32 {
        let _ = (config, nodes);
        0
    }

    /// How the execution of blocks bounds the throughput.
    fn execution(config: &Self::Config) -> Execution {
        let _ = config;
        Execution::Beside
    }

    /// The shortest mean time between full blocks; `None` where a full one waits for nothing.
    fn least_interval(config: &Self::Config, nodes: u32) -> Option<Span> {
        Some(Self::promises(config, nodes).interval)
    }

    /// Size and cost of a message.
    fn wire(&self, message: &Self::Message, ctx: &Context<'_, Self::Header>) -> Wire;

    /// The message by which the world outside this ledger tells a replica something, which comes as
    /// if from the replica itself; `None` where nothing outside concerns it. See [`Effect::Tell`].
    fn outside(word: u64) -> Option<Self::Message> {
        let _ = word;
        None
    }

    /// The block whose body a message carries, if it does.
    fn carries(message: &Self::Message) -> Option<BlockId> {
        let _ = message;
        None
    }

    /// Whether a message is a vote, for liars who hold votes back. Votes cast by [`Effect::Vote`] are.
    fn is_vote(message: &Self::Message) -> bool {
        let _ = message;
        false
    }

    /// Size and cost of one vote of this phase.
    fn vote_wire(&self, phase: u8, ctx: &Context<'_, Self::Header>) -> Wire {
        let _ = (phase, ctx);
        Wire {
            kind: 0,
            bytes: 0,
            sign: Span::ZERO,
            check: Span::ZERO,
        }
    }

    /// Ballots that a vote for `ballot` counts towards as well, each voter once however often it
    /// votes, such as "any prevote of this round". They need names in [`Engine::PHASES`] and
    /// thresholds of their own, and nobody votes for them directly.
    fn also_counts(ballot: Ballot) -> [Option<Ballot>; 2] {
        let _ = ballot;
        [None, None]
    }

    /// The weight at which a ballot of this phase is decided for a receiver.
    fn threshold(phase: u8, committee: &Committee) -> Weight {
        let _ = (phase, committee);
        Weight::MAX
    }

    /// Bytes of a block besides its transactions.
    fn header_bytes(&self, header: &Self::Header, ctx: &Context<'_, Self::Header>) -> u64;

    /// CPU time to check a received block's body before it is handed in.
    fn check_block(&self, block: BlockId, ctx: &Context<'_, Self::Header>) -> Span;

    /// How compact blocks fare under [`Relay::Compact`].
    fn compact(config: &Self::Config) -> Compact {
        let _ = config;
        Compact::default()
    }

    /// What fills every block besides the pending transactions.
    fn background(&self) -> Background {
        Background::default()
    }
}

/// How compact blocks fare.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compact {
    /// Peers that may push compact blocks to a node unasked.
    pub high_bandwidth_peers: u32,
    /// Nodes that understand them, of 1,000. The others send and get whole blocks.
    pub users_permille: u32,
    /// Compact blocks, of 1,000, of which a node lacks more than the transactions that it has not seen:
    /// injected, not emergent.
    pub failure_permille: u32,
    /// How much it then lacks, in thousandths of the block; each as likely as the others.
    pub missing_permille: Vec<u32>,
}

impl Default for Compact {
    /// BIP 152, understood by everybody, with nothing injected.
    fn default() -> Self {
        Self {
            // source: BIP 152, "up to three peers".
            high_bandwidth_peers: 3,
            users_permille: 1_000,
            failure_permille: 0,
            missing_permille: Vec::new(),
        }
    }
}

/// Transactions of others, which fill blocks and are not simulated one by one: injected, not
/// emergent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Background {
    /// Their bytes in every block, on top of [`Limits::bytes`].
    pub bytes: u64,
    /// How many they are: they count in the short form of a block, and cost no execution.
    pub txs: u32,
}

/// What a protocol is, said in the matrix of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Proof of work, stake or authority, or what else.
    pub family: Family,
    /// Who may vote or lead.
    pub electorate: Electorate,
    /// How they agree.
    pub agreement: Agreement,
    /// Whether an architect may deploy it today.
    pub standing: Standing,
    /// When finality holds, in one clause.
    pub final_holds_if: &'static str,
    /// What "final" rests on.
    pub guarantee: Guarantee,
    /// How many members may lie or fail, as a formula of `n` members.
    pub bound: &'static str,
    /// How many must agree, as a formula of `n`.
    pub quorum: &'static str,
    /// Messages a block without faults, as a formula of `n`.
    pub messages: &'static str,
    /// Best case from proposal to final, in one-way delays `d` and settings.
    pub latency: &'static str,
    /// The rule by which a block becomes final.
    pub finality: &'static str,
    /// Where the rules are from.
    pub source: &'static str,
}

/// What "final" rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guarantee {
    /// The protocol commits, within its bound whatever the network does.
    Commit,
    /// A probability, which a depth makes as small as one likes.
    Risk,
    /// The protocol's rule holds only as long as messages arrive in time: no probability is given.
    Synchrony,
}

impl Guarantee {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Risk => "risk",
            Self::Synchrony => "conditional on synchrony",
        }
    }
}

/// The family of a protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Proof of work.
    Work,
    /// Proof of stake.
    Stake,
    /// Proof of authority.
    Authority,
    /// A crash-fault reference.
    Reference,
    /// No ledger at all.
    Baseline,
    /// Proofs that something existed at a time: no consent state and no protection against double
    /// spending, so that figures about them do not apply.
    Integrity,
}

/// Who may vote or lead: one side of the matrix of engines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Electorate {
    /// Whoever does the work.
    Work,
    /// Whoever holds the stake.
    Stake,
    /// Whoever was appointed.
    Appointed,
    /// One operator.
    Operator,
}

impl Electorate {
    /// All, in the order of the matrix.
    pub const ALL: [Self; 4] = [Self::Work, Self::Stake, Self::Appointed, Self::Operator];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Stake => "stake",
            Self::Appointed => "appointed",
            Self::Operator => "one operator",
        }
    }
}

/// How those who may vote agree: the other side of the matrix of engines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Agreement {
    /// The longest or heaviest chain.
    LongestChain,
    /// Votes of a committee.
    CommitteeVote,
    /// A chain that a committee finalises.
    Hybrid,
    /// A leader's log, copied to a majority.
    LeaderLog,
    /// A primary with a standby.
    Primary,
}

impl Agreement {
    /// All, in the order of the matrix.
    pub const ALL: [Self; 5] = [
        Self::LongestChain,
        Self::CommitteeVote,
        Self::Hybrid,
        Self::LeaderLog,
        Self::Primary,
    ];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LongestChain => "longest chain",
            Self::CommitteeVote => "committee vote",
            Self::Hybrid => "hybrid",
            Self::LeaderLog => "leader log",
            Self::Primary => "primary and standby",
        }
    }
}

/// What a risk of reversal is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// How long the sender waits.
    pub waited: Span,
    /// Mean latency of a link, which slows honest producers, see [`Adversary::delay`].
    pub delay: Span,
}

/// Whether a protocol can be deployed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Maintained software exists; the only standing that is recommended.
    Deployable,
    /// Once deployed, no longer maintained.
    Historical,
    /// Papers and prototypes.
    Research,
}

impl Standing {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployable => "deployable",
            Self::Historical => "historical",
            Self::Research => "research",
        }
    }
}

/// How blocks are executed, as far as it bounds the throughput.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Execution {
    /// No time is charged for it.
    Free,
    /// Every node executes the blocks of others, several at once if it has the cores.
    Beside,
    /// Between two blocks it is done so many times, one after the other.
    InTurn(u32),
}

/// What a protocol promises, for the analysis that precedes any simulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promises {
    /// Members that may lie without breaking safety.
    pub byzantine: u32,
    /// Members that may be down while it still commits.
    pub crashed: u32,
    /// Members needed to decide.
    pub quorum: u32,
    /// Mean time between blocks when all is well.
    pub interval: Span,
}

/// A configuration that cannot work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    /// The key, within the engine's table.
    pub key: &'static str,
    /// What is wrong, with the value.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// A hash of what an item is, independent of when or where it was made in this run.
pub trait Content<H> {
    /// The hash; blocks enter through [`Blocks::name`], never through their place in the arena.
    fn content(&self, blocks: &Blocks<H>) -> u64;
}

/// What an engine may look at besides its own state.
pub struct Context<'a, H> {
    /// The node's own clock, which timers count on. It may drift but is never set.
    pub clock: Time,
    /// This node.
    pub me: NodeId,
    /// How many nodes there are.
    pub nodes: u32,
    /// Who may vote at the first height.
    pub committee: &'a Committee,
    /// The block arena.
    pub blocks: &'a Blocks<H>,
    /// CPU costs of the reference core.
    pub costs: &'a Costs,
    /// The kernel's services.
    pub services: &'a dyn Services,
}

impl<H> Context<'_, H> {
    /// Whether a ballot was decided at this node.
    pub fn reached(&self, ballot: Ballot) -> bool {
        self.services.reached(self.me, ballot)
    }

    /// Who may vote at a height, by what was elected so far ([`Effect::Elect`]).
    pub fn committee_at(&self, height: u32) -> &Committee {
        self.services.committee_at(height).unwrap_or(self.committee)
    }

    /// Whether this node holds a block's body.
    pub fn holds(&self, block: BlockId) -> bool {
        self.services.holds(self.me, block)
    }

    /// The time of day that this node takes it for, for what is compared between nodes, such as
    /// timestamps and slots. It may be ahead or behind, and set.
    pub fn wall(&self) -> Time {
        self.services.wall(self.me, self.clock)
    }

    /// When the own clock will show what it does at this time of day; now, if that is past.
    pub fn at_wall(&self, time: Time) -> Time {
        self.clock
            .saturating_add(time.saturating_since(self.wall()))
    }
}

/// What the kernel keeps for engines.
pub trait Services {
    /// Whether a ballot was decided at a node.
    fn reached(&self, node: NodeId, ballot: Ballot) -> bool;
    /// Whether a node holds a block's body.
    fn holds(&self, node: NodeId, block: BlockId) -> bool;
    /// Who may vote at a height; `None` where nobody was ever elected.
    fn committee_at(&self, height: u32) -> Option<&Committee> {
        let _ = height;
        None
    }
    /// The time of day that a node takes it for when its clock shows `clock`.
    fn wall(&self, node: NodeId, clock: Time) -> Time {
        let _ = node;
        clock
    }
}

/// CPU costs of one reference core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Costs {
    /// Making a signature.
    pub sign: Span,
    /// Checking a signature.
    pub verify: Span,
    /// Checking each further signature of a certificate over one text: as long as `verify`, unless
    /// the scheme aggregates signatures.
    pub verify_next: Span,
    /// Hashing 1,024 bytes.
    pub hash_kib: Span,
    /// What validating a block takes besides signatures, hashing and execution.
    pub block: Span,
    /// The same for each 1,024 bytes of it.
    pub block_kib: Span,
    /// How long execution takes, in thousandths of what transactions declare.
    pub exec_permille: u32,
}

impl Costs {
    /// Costs of nothing, for closed forms. Execution takes what transactions declare.
    pub const FREE: Self = Self::new(Span::ZERO, Span::ZERO, Span::ZERO);

    /// Measured on one core of a 2.6 GHz Xeon: ed25519-dalek 3.0 over 256 bytes, SHA-256 with the
    /// CPU's own instructions. source: own measurement, November 2026.
    /// Validation costs nothing else.
    pub const REFERENCE: Self = Self::new(
        Span::from_ns(12_900),
        Span::from_ns(28_700),
        Span::from_ns(561),
    );

    /// Costs of a scheme that aggregates nothing; validation costs nothing else.
    pub const fn new(sign: Span, verify: Span, hash_kib: Span) -> Self {
        Self {
            sign,
            verify,
            verify_next: verify,
            hash_kib,
            block: Span::ZERO,
            block_kib: Span::ZERO,
            exec_permille: 1_000,
        }
    }

    /// Hashing `bytes` bytes.
    pub fn hash(&self, bytes: u64) -> Span {
        self.hash_kib.scale(bytes, 1_024)
    }

    /// Checking a certificate: so many signatures over one text.
    pub fn certificate(&self, signatures: u64) -> Span {
        match signatures {
            0 => Span::ZERO,
            n => self.verify + self.verify_next * (n - 1),
        }
    }

    /// Execution that transactions declare as `declared`.
    pub fn execution(&self, declared: Span) -> Span {
        declared.scale(u64::from(self.exec_permille), 1_000)
    }

    /// Building a block: its transactions are executed and hashed.
    pub fn build<H>(&self, block: &Block<H>) -> Span {
        self.execution(block.exec) + self.hash(block.bytes)
    }

    /// Validating another's block, its signatures apart.
    pub fn validate<H>(&self, block: &Block<H>) -> Span {
        self.build(block) + self.block + self.block_kib.scale(block.bytes, 1_024)
    }
}

/// Size and cost of something on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wire {
    /// Index into [`Engine::KINDS`], or the phase of a vote.
    pub kind: u8,
    /// Size with headers.
    pub bytes: u64,
    /// CPU time at the sender before it leaves.
    pub sign: Span,
    /// CPU time at the receiver before it is handled.
    pub check: Span,
}

/// What happened to a replica.
pub enum Input<E: Engine> {
    /// The run starts.
    Start,
    /// The node is back after a crash, with the state it had on disk: its own value and its blocks.
    Restarted,
    /// A header was announced (only under [`Relay::Header`]).
    Header {
        /// The announced block.
        block: BlockId,
        /// Who announced it.
        from: NodeId,
    },
    /// A body has arrived and its check is paid for.
    Body {
        /// The block.
        block: BlockId,
        /// Who sent it.
        from: NodeId,
    },
    /// A message has arrived and its check is paid for.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: E::Message,
    },
    /// A ballot was decided here.
    Threshold(Ballot),
    /// A timer that this replica set is due.
    Timer(E::Timer),
    /// The block asked for by [`Effect::BuildBlock`].
    BlockBuilt(BlockId),
    /// What [`Effect::AwaitPending`] waited for is here.
    Pending,
}

/// What a replica wants done.
pub enum Effect<E: Engine> {
    /// Sends a message. A replica never sends to itself.
    Send {
        /// To whom.
        to: To,
        /// What.
        message: E::Message,
    },
    /// Casts this node's vote to the whole committee of the ballot's height. The own vote counts at
    /// once.
    Vote(Ballot),
    /// Announces a block to the overlay's neighbours.
    Relay {
        /// A block whose body this node holds.
        block: BlockId,
        /// How.
        rule: Relay,
    },
    /// Asks a node for a block's body.
    Fetch {
        /// The block.
        block: BlockId,
        /// Whom to ask.
        from: NodeId,
    },
    /// Asks a node for all blocks on its head's chain that this node lacks.
    Sync {
        /// Whom to ask.
        from: NodeId,
    },
    /// Builds a block of the pending transactions that this node sees.
    BuildBlock {
        /// The block below.
        parent: BlockId,
        /// The protocol's header.
        header: E::Header,
        /// How much fits.
        limits: Limits,
        /// Only transactions seen by this instant of the node's clock; `None` means now.
        as_of: Option<Time>,
        /// CPU time to build, before [`Input::BlockBuilt`].
        cost: Span,
    },
    /// Builds a block that covers what gateways had taken in, without carrying it: its bytes are those
    /// of the header. [`Input::BlockBuilt`] follows as for any block.
    Seal {
        /// The block below.
        parent: BlockId,
        /// The protocol's header.
        header: E::Header,
        /// Up to when each gateway is covered, see [`Outbox::roots`].
        roots: RootsId,
        /// CPU time to build, before [`Input::BlockBuilt`].
        cost: Span,
    },
    /// Wants [`Input::Pending`] once that much is pending on top of this node's head, whichever
    /// comes first. A node waits for one thing: a later wish replaces the earlier.
    AwaitPending {
        /// Transactions.
        count: u32,
        /// Bytes of transactions.
        bytes: u64,
    },
    /// Wants [`Input::Timer`].
    SetTimer {
        /// When, on the node's clock; in the past means at once.
        at: Time,
        /// What comes back.
        timer: E::Timer,
    },
    /// This is the node's head now.
    Adopt(BlockId),
    /// The protocol's weaker finality.
    Safe(BlockId),
    /// The protocol's own finality; everything below is final too.
    Commit(BlockId),
    /// The protocol gave up on a view: a round change, a view change, an election.
    RoundChange {
        /// The new round.
        round: u32,
    },
    /// Proof that a node lied.
    Evidence {
        /// The liar.
        against: NodeId,
    },
    /// From a height on, a node's weight in the committee is this one. Follows from the final chain
    /// alone, so that every node says the same, and before any node votes at that height: the first
    /// to say it makes the committee, and whoever contradicts it ends the run.
    Elect {
        /// The first height.
        height: u32,
        /// Who.
        member: NodeId,
        /// Its weight; with none it leaves.
        weight: Weight,
    },
    /// Tells the world outside this ledger something, such as that a root is to be published: see the
    /// coupling of a unit's ledgers in the kernel. The meaning belongs to the engine.
    Tell(u64),
}

impl<E: Engine> Effect<E> {
    /// The same for an engine around this one, with messages and timers of its own.
    pub fn within<F: Engine<Header = E::Header>>(
        &self,
        message: impl FnOnce(E::Message) -> F::Message,
        timer: impl FnOnce(E::Timer) -> F::Timer,
    ) -> Effect<F> {
        match *self {
            Self::Send { to, message: own } => Effect::Send {
                to,
                message: message(own),
            },
            Self::SetTimer { at, timer: own } => Effect::SetTimer {
                at,
                timer: timer(own),
            },
            Self::Vote(ballot) => Effect::Vote(ballot),
            Self::Relay { block, rule } => Effect::Relay { block, rule },
            Self::Fetch { block, from } => Effect::Fetch { block, from },
            Self::Sync { from } => Effect::Sync { from },
            Self::BuildBlock {
                parent,
                header,
                limits,
                as_of,
                cost,
            } => Effect::BuildBlock {
                parent,
                header,
                limits,
                as_of,
                cost,
            },
            Self::Seal {
                parent,
                header,
                roots,
                cost,
            } => Effect::Seal {
                parent,
                header,
                roots,
                cost,
            },
            Self::AwaitPending { count, bytes } => Effect::AwaitPending { count, bytes },
            Self::Adopt(block) => Effect::Adopt(block),
            Self::Safe(block) => Effect::Safe(block),
            Self::Commit(block) => Effect::Commit(block),
            Self::RoundChange { round } => Effect::RoundChange { round },
            Self::Evidence { against } => Effect::Evidence { against },
            Self::Elect {
                height,
                member,
                weight,
            } => Effect::Elect {
                height,
                member,
                weight,
            },
            Self::Tell(word) => Effect::Tell(word),
        }
    }
}

// By hand, because the derived ones would ask the engine itself to be `Copy` and `Debug`.
impl<E: Engine> Clone for Input<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: Engine> Copy for Input<E> {}
impl<E: Engine> Clone for Effect<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E: Engine> Copy for Effect<E> {}

impl<E: Engine> Debug for Input<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Start => write!(f, "Start"),
            Self::Restarted => write!(f, "Restarted"),
            Self::Header { block, from } => write!(f, "Header({block}, {from})"),
            Self::Body { block, from } => write!(f, "Body({block}, {from})"),
            Self::Message { from, message } => write!(f, "Message({message:?}, {from})"),
            Self::Threshold(ballot) => write!(f, "Threshold({ballot:?})"),
            Self::Timer(timer) => write!(f, "Timer({timer:?})"),
            Self::BlockBuilt(block) => write!(f, "BlockBuilt({block})"),
            Self::Pending => write!(f, "Pending"),
        }
    }
}

impl<E: Engine> Debug for Effect<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Send { to, message } => write!(f, "Send({message:?}, {to:?})"),
            Self::Vote(ballot) => write!(f, "Vote({ballot:?})"),
            Self::Relay { block, rule } => write!(f, "Relay({block}, {rule:?})"),
            Self::Fetch { block, from } => write!(f, "Fetch({block}, {from})"),
            Self::Sync { from } => write!(f, "Sync({from})"),
            Self::BuildBlock {
                parent,
                header,
                limits,
                as_of,
                cost,
            } => {
                write!(
                    f,
                    "BuildBlock({parent}, {header:?}, {limits:?}, {as_of:?}, {cost})"
                )
            }
            Self::Seal {
                parent,
                header,
                roots,
                cost,
            } => write!(f, "Seal({parent}, {header:?}, {roots:?}, {cost})"),
            Self::AwaitPending { count, bytes } => write!(f, "AwaitPending({count}, {bytes} B)"),
            Self::SetTimer { at, timer } => write!(f, "SetTimer({at}, {timer:?})"),
            Self::Adopt(block) => write!(f, "Adopt({block})"),
            Self::Safe(block) => write!(f, "Safe({block})"),
            Self::Commit(block) => write!(f, "Commit({block})"),
            Self::RoundChange { round } => write!(f, "RoundChange({round})"),
            Self::Evidence { against } => write!(f, "Evidence({against})"),
            Self::Elect {
                height,
                member,
                weight,
            } => write!(f, "Elect({height}, {member}, {weight})"),
            Self::Tell(word) => write!(f, "Tell({word:#x})"),
        }
    }
}

/// Whom a message goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// Every other node.
    All,
    /// Every other member of the committee of the height above the sender's head.
    Committee,
    /// Every node that is not in that committee.
    Observers,
    /// One node.
    One(NodeId),
}

/// How a block travels the overlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relay {
    /// The whole block, unasked.
    Push,
    /// An announcement; the kernel fetches from the first announcer.
    Inv,
    /// A compact block to peers that asked for it, an announcement to the others; transactions
    /// that the receiver has not seen cost another round trip.
    Compact,
    /// An announced header; the engine decides whether to fetch.
    Header,
    /// The whole block to ⌊√degree⌋ neighbours, drawn anew for every block and node, and then an
    /// announcement to the others.
    // source: ethereum/devp2p `caps/eth.md`, "Block Propagation".
    SqrtPush,
}

/// How much fits in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of transactions.
    pub bytes: u64,
    /// Transactions.
    pub txs: u32,
    /// Execution time on the reference core, the analogue of a gas limit.
    pub exec: Span,
}

/// What is voted on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ballot {
    /// The height.
    pub height: u32,
    /// The round or view.
    pub round: u32,
    /// Index into [`Engine::PHASES`].
    pub phase: u8,
    /// For which block; `None` for "nil".
    pub choice: Option<BlockId>,
}

impl<H: Copy> Content<H> for Ballot {
    fn content(&self, blocks: &Blocks<H>) -> u64 {
        let choice = self.choice.map_or(0, |b| blocks.name(b));
        let round = u64::from(self.round) << 8 | u64::from(self.phase);
        hash::fold_all(u64::from(self.height), &[round, choice])
    }
}

/// One statement in a certificate: a signer, and the round and block that it vouches for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Statement {
    /// Who signed.
    pub signer: NodeId,
    /// The round, if the statement names one.
    pub round: Option<u32>,
    /// The block, if the statement names one.
    pub block: Option<BlockId>,
}

/// Interned certificates. Messages carry a [`CertId`] and declare its bytes.
#[derive(Clone, Debug, Default)]
pub struct Certs {
    /// How many were forgotten: the number of the oldest that is kept.
    first: u32,
    kept: VecDeque<(u32, Box<[Statement]>)>,
}

impl Certs {
    /// Interns a certificate about a height.
    pub fn intern(&mut self, height: u32, statements: &[Statement]) -> CertId {
        self.kept.push_back((height, statements.into()));
        CertId::new(self.first + self.kept.len() as u32 - 1)
    }

    /// The statements of a certificate; none if its height is long final.
    pub fn get(&self, id: CertId) -> &[Statement] {
        let place = id.get().checked_sub(self.first);
        let cert = place.and_then(|p| self.kept.get(p as usize));
        cert.map_or(&[], |(_, statements)| statements)
    }

    /// Forgets the oldest, as long as they are about heights below this one.
    pub fn retire(&mut self, below: u32) {
        while self.kept.front().is_some_and(|(height, _)| *height < below) {
            self.kept.pop_front();
            self.first += 1;
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// A list in [`Roots`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootsId(u32);

/// Interned lists of what a hash over many submissions covers: gateways, each with the instant of
/// its clock up to which it covers what was submitted there.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// How many were forgotten.
    first: u32,
    kept: VecDeque<Box<[(NodeId, Time)]>>,
}

impl Roots {
    /// The oldest are forgotten beyond so many: what was on its way for longer covers nothing.
    const MOST: usize = 1 << 16;

    /// Interns a list.
    pub fn intern(&mut self, covered: &[(NodeId, Time)]) -> RootsId {
        if self.kept.len() == Self::MOST {
            self.kept.pop_front();
            self.first += 1;
        }
        self.kept.push_back(covered.into());
        RootsId(self.first + self.kept.len() as u32 - 1)
    }

    /// A list; empty if it was forgotten.
    pub fn get(&self, id: RootsId) -> &[(NodeId, Time)] {
        let place = id.0.checked_sub(self.first);
        let list = place.and_then(|p| self.kept.get(p as usize));
        list.map_or(&[], |list| list)
    }
}

/// Collects what a replica wants done while it handles one input.
#[derive(Debug)]
pub struct Outbox<E: Engine> {
    effects: Vec<Effect<E>>,
    /// Certificates, shared by all replicas of a run.
    pub certs: Certs,
    /// What roots cover, shared by all replicas of a run.
    pub roots: Roots,
}

impl<E: Engine> Outbox<E> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            effects: Vec::with_capacity(16),
            certs: Certs::default(),
            roots: Roots::default(),
        }
    }

    /// Adds an effect; effects are carried out in order.
    pub fn push(&mut self, effect: Effect<E>) {
        self.effects.push(effect);
    }

    /// Sends a message.
    pub fn send(&mut self, to: To, message: E::Message) {
        self.push(Effect::Send { to, message });
    }

    /// Sets a timer on the node's clock.
    pub fn timer(&mut self, at: Time, timer: E::Timer) {
        self.push(Effect::SetTimer { at, timer });
    }

    /// What was collected.
    pub fn effects(&self) -> &[Effect<E>] {
        &self.effects
    }

    /// Takes the effects, leaving the buffer for the next input. Give it back with
    /// [`Outbox::recycle`] to spare an allocation.
    pub fn take(&mut self) -> Vec<Effect<E>> {
        core::mem::take(&mut self.effects)
    }

    /// Returns an emptied buffer.
    pub fn recycle(&mut self, mut buffer: Vec<Effect<E>>) {
        buffer.clear();
        self.effects = buffer;
    }
}

impl<E: Engine> Default for Outbox<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockKey;

    #[test]
    fn costs_add_up() {
        let ns = Span::from_ns;
        let plain = Costs::new(ns(10), ns(300), ns(1_024));
        let block = Block {
            key: BlockKey {
                creator: NodeId::new(0),
                sequence: 0,
            },
            parent: None,
            height: 0,
            timestamp: Time::ZERO,
            header: (),
            bytes: 2_560,
            txs: 1,
            exec: ns(50_000),
        };
        // A list of signatures costs each of them, and a block its execution and its hash.
        assert_eq!(
            [0, 1, 5].map(|n| plain.certificate(n)),
            [0, 300, 1_500].map(ns)
        );
        assert_eq!(plain.build(&block), ns(50_000 + 2_560));
        assert_eq!(plain.validate(&block), plain.build(&block));
        let full = Costs {
            verify_next: ns(2),
            block: ns(7),
            block_kib: ns(2_048),
            exec_permille: 1_500,
            ..plain
        };
        assert_eq!(
            [0, 1, 5].map(|n| full.certificate(n)),
            [0, 300, 308].map(ns)
        );
        assert_eq!(full.build(&block), ns(75_000 + 2_560));
        assert_eq!(full.validate(&block), full.build(&block) + ns(7 + 5_120));
    }

    #[test]
    fn certificates_are_forgotten_with_their_height_and_keep_their_numbers() {
        let mut certs = Certs::default();
        let about = |height: u32| {
            [Statement {
                signer: NodeId::new(height),
                round: None,
                block: None,
            }]
        };
        let ids: Vec<CertId> = (1..=3).map(|h| certs.intern(h, &about(h))).collect();
        certs.retire(3);
        assert_eq!(certs.len(), 1);
        assert_eq!(certs.get(ids[0]), &[]);
        assert_eq!(certs.get(ids[2]), &about(3));
        assert_eq!(certs.intern(4, &about(4)).get(), 3);
    }
}
