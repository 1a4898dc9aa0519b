//! Raft as Hyperledger Fabric's ordering service runs it: a leader's log of blocks, copied to a
//! majority; crashes only, nobody lies.
//!
//! source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014 (the
//! rules); etcd-io/raft `raft.go` (pre-vote, check-quorum, progress of a follower, probing);
//! hyperledger/fabric `orderer/consensus/etcdraft/{chain,node,storage}.go` and `blockcutter.go`;
//! Consensys/quorum `raft/{handler,minter,constants}.go`.
//!
//! Electing:
//! - Upon no word from a leader for a drawn time: ask all orderers for a pre-vote in the next term;
//!   upon a majority, enter that term, vote for itself, and ask for votes.
//! - Upon receiving a request: ignore it within a minimal timeout of hearing from a leader
//!   (`check_quorum`). A vote goes to the first candidate of a term whose log is as late as the own,
//!   by (term, height) of the last block; a pre-vote binds nobody.
//! - Upon votes of a majority: lead, and append a block without transactions.
//! - Upon receiving a later term: follow it; an earlier one: answer with the own.
//! - Upon hearing from no majority for a minimal timeout: the leader steps down (`check_quorum`).
//!
//! Copying:
//! - Append carries one block and (term, height) of the block below it. Upon receiving it: reject it
//!   unless that block is in the log, with the highest place at which the logs may agree; replace
//!   whatever differs, write (`fsync`), send Ack.
//! - Upon Ack: send what the follower lacks, up to `max_inflight_blocks` unacknowledged; upon
//!   Reject: go back and send one at a time until one is accepted. Upon Alive, the answer to a
//!   Heartbeat: send again if something is not acknowledged.
//! - Upon a block *of its own term* being on a majority: the leader commits it with all below, and
//!   says so at once in an empty Append, which is answered too. Followers otherwise learn it with
//!   the next Append or Heartbeat.
//! - What is committed is forgotten every `snapshot_bytes`, but for the last blocks. Whoever lacks
//!   more is sent a Snapshot, the last committed block, and asks for what is below.
//!
//! Cutting blocks, at the leader, once everything in its log is committed:
//! - Upon the first pending transaction: start the timer. Upon `block_txs` pending, more than
//!   `preferred_bytes`, or the timer: cut. With `max_inflight_blocks` uncommitted, only what was
//!   accepted before is cut. After a cut by bytes the timer runs on, for what is left.
//! - With `mint_interval_ms` no block follows another within that time: whatever would be cut before
//!   waits until then (GoQuorum, which has no batch timeout).
//! - A transaction larger than `preferred_bytes` is cut alone. Blocks are filled first-in, first-out
//!   and stop before what does not fit, so that all cuts are Fabric's.
//!
//! Nodes beyond the first `orderers` are peers: the leader delivers each block when it commits it. A
//! peer that misses one, or hears nothing for a minimal timeout, asks one orderer after another.
//!
//! Deviations:
//! - Endorsement, and validation against read sets, are not this engine: blocks are ordered, then
//!   executed. The leader executes before the first copy leaves, followers before they acknowledge.
//! - A new leader's empty entry is a block here. Pending transactions outlive their leader; Fabric's
//!   clients would submit them again.
//! - One message carries one block. Messages of a link may overtake each other, which TCP would not
//!   let them: a block that overtook one of the same term waits for it, a commit travels with its
//!   term, and the empty Append is anchored at what was acknowledged, not at what is on its way.
//! - The node that stands first does not begin anew while votes are on their way, which over long
//!   links would never end.
//! - Old terms are answered whatever `check_quorum` and `pre_vote` say, as in the paper.
//!
//! Finality: on commit, if no orderer lies.
//!
//! Messages: `2(n−1)` a block, and as many to say that it is committed; heartbeats. Commit after one
//! round trip and two writes, one more way to the followers.

use crate::Presets;
use crate::mutants::{Mutant, broken};
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox, Promises,
    Span, Standing, Time, To, Wire, hash, majority,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

type Ctx<'a> = Context<'a, Header>;

const GENESIS: BlockId = Blocks::<Header>::GENESIS;
/// A message without a block. assumption: a few integers in a TLS record.
const SMALL_BYTES: u64 = 128;
/// Number, two hashes, and metadata with an orderer's signature and certificate.
/// assumption: about a thousand bytes.
const HEADER_BYTES: u64 = 1_000;
/// Committed blocks that stay in the log after a snapshot.
/// source: Fabric, `etcdraft`: `DefaultSnapshotCatchUpEntries` is 4.
const KEPT: u32 = 4;
/// The most a transaction of the simulation can have.
const LARGEST_TX: u64 = u16::MAX as u64;

/// How long a follower waits for its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timeouts {
    /// Whole ticks of the node's own clock, `election_ticks` to twice as many less one. Nodes tick
    /// out of step.
    /// source: etcd-io/raft, `resetRandomizedElectionTimeout`.
    Ticks,
    /// Uniform between `election_ticks` ticks and twice as many.
    /// source: Ongaro's dissertation, chapter 9.
    Continuous,
}

config! {
    /// Parameters of the ordering service.
    {
        /// Length of a tick, ms.
        tick_ms: u64,
        /// The minimal election timeout, ticks.
        election_ticks: u64,
        /// Time between heartbeats, ticks.
        heartbeat_ticks: u64,
        /// How election timeouts are drawn.
        timeouts: Timeouts,
        /// Whether an election begins with a vote that binds nobody.
        pre_vote: bool,
        /// Whether a leader without a majority steps down, and its followers refuse to vote.
        check_quorum: bool,
        /// Whether the first orderer stands after two heartbeats, instead of waiting for its
        /// election timeout, when the run starts.
        campaign_at_start: bool,
        /// The first so many nodes order, the others are peers; 0 means all.
        orderers: u32,
        /// Blocks that may be sent to a follower before it acknowledges one, and that may be
        /// uncommitted while transactions are accepted.
        max_inflight_blocks: u32,
        /// Bytes of blocks after which the log is cut off below what is committed.
        snapshot_bytes: u64,
        /// Time to write to stable storage, ms.
        fsync_ms: f64,
        /// Time from the first pending transaction to the cut, ms; 0 cuts at once.
        batch_timeout_ms: u64,
        /// Least time between two blocks with transactions, ms.
        mint_interval_ms: u64,
        /// Transactions in a block, at most.
        block_txs: u32,
        /// Bytes of transactions in a block, unless one alone has more.
        preferred_bytes: u64,
        /// Bytes of transactions in a block, at most.
        block_bytes: u64,
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["fabric-raft", "goquorum-raft", "paper", "fabric"];

    fn standing(name: &str) -> Option<Standing> {
        // source: Consensys/quorum and Consensys-Incorporated/doc.goquorum: archived, "no longer
        // actively maintained".
        (name == "goquorum-raft").then_some(Standing::Historical)
    }

    fn preset(name: &str) -> Option<Self> {
        let fabric = Self {
            // source: Fabric, sampleconfig/configtx.yaml, Orderer.EtcdRaft.Options.
            tick_ms: 500,
            election_ticks: 10,
            heartbeat_ticks: 1,
            max_inflight_blocks: 5,
            snapshot_bytes: 16 * 1_024 * 1_024,
            // source: Fabric, etcdraft: the node starts etcd/raft with both.
            timeouts: Timeouts::Ticks,
            pre_vote: true,
            check_quorum: true,
            // source: Fabric, etcdraft/node.go: one node, picked by the hash of the channel's name,
            // campaigns every two heartbeats until there is a leader. assumption: the first.
            campaign_at_start: true,
            orderers: 0,
            // assumption: a replicated cloud volume; a local NVMe with power-loss protection needs
            // a tenth, a disk five times as much.
            fsync_ms: 2.0,
            // source: Fabric, sampleconfig/configtx.yaml, Orderer.BatchTimeout and BatchSize.
            batch_timeout_ms: 2_000,
            mint_interval_ms: 0,
            block_txs: 500,
            preferred_bytes: 2 * 1_024 * 1_024,
            block_bytes: 10 * 1_024 * 1_024,
        };
        match name {
            "fabric-raft" | "fabric" => Some(fabric),
            "goquorum-raft" => Some(Self {
                // source: Consensys/quorum `raft/constants.go` `tickerMS`.
                tick_ms: 100,
                // source: Consensys/quorum `raft/handler.go` `startRaft`: `CheckQuorum` is the opposite
                // of a constant that is true, and `PreVote` is commented out.
                pre_vote: false,
                check_quorum: false,
                campaign_at_start: false,
                // source: as above, `MaxInflightMsgs`. Minting has no limit of its own.
                max_inflight_blocks: 256,
                batch_timeout_ms: 0,
                // source: GoQuorum documentation, "Configuring Raft consensus", minting frequency;
                // `--raftblocktime`.
                mint_interval_ms: 50,
                // assumption: the gas limit of its examples, 700,000,000, in transfers of 21,000.
                block_txs: 33_333,
                // assumption: gas bounds a block, not bytes.
                preferred_bytes: 10 * 1_024 * 1_024,
                // assumption: it snapshots every 250 messages; as often as Fabric here, which only
                // whoever was away for long sees.
                ..fabric
            }),
            "paper" => Some(Self {
                // source: the Raft paper, section 9.3: election timeouts of 150 to 300 ms;
                // Ongaro's dissertation, chapter 9: heartbeats in half the minimal timeout.
                tick_ms: 75,
                election_ticks: 2,
                timeouts: Timeouts::Continuous,
                pre_vote: false,
                check_quorum: false,
                campaign_at_start: false,
                batch_timeout_ms: 0,
                ..fabric
            }),
            _ => None,
        }
    }
}

/// What a block's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The term in which it was appended.
    pub term: u32,
}

/// A place in a log, which tells everything below it: two logs that have a block of one term at one
/// height are equal up to it. Later logs end at greater places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The term of the block.
    pub term: u32,
    /// Its height.
    pub height: u32,
}

impl Place {
    const fn word(self) -> u64 {
        (self.term as u64) << 32 | self.height as u64
    }
}

/// What nodes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A block for the log, which travels with it, or only the news of a commit.
    Append {
        /// The leader's term.
        term: u32,
        /// The place below.
        prev: Place,
        /// The block.
        block: Option<BlockId>,
        /// What is committed.
        commit: Place,
        /// Whether it is the first copy of the block: the leader has executed it.
        first: bool,
    },
    /// The sender's log equals the leader's up to the place.
    Ack {
        /// The term.
        term: u32,
        /// The place.
        place: Place,
        /// Whether the Append brought a block.
        block: bool,
    },
    /// The sender's log lacks what lies below an Append.
    Reject {
        /// The term.
        term: u32,
        /// The place that it lacks.
        prev: Place,
        /// The highest at which the logs may agree.
        hint: Place,
    },
    /// The leader lives.
    Heartbeat {
        /// Its term.
        term: u32,
        /// What is committed.
        commit: Place,
    },
    /// The answer to a heartbeat.
    Alive {
        /// The term.
        term: u32,
    },
    /// The sender wants to lead.
    Campaign {
        /// In this term.
        term: u32,
        /// The end of its log.
        last: Place,
        /// Whether it only asks what the answer would be.
        pre: bool,
    },
    /// The answer.
    Vote {
        /// The term granted, or the sender's own.
        term: u32,
        /// Whether it is a pre-vote.
        pre: bool,
        /// Whether the vote is the candidate's.
        granted: bool,
    },
    /// The receiver's term is over.
    Stale {
        /// The sender's term.
        term: u32,
    },
    /// The last committed block, for a follower whose next one is no longer in the log.
    Snapshot {
        /// The term.
        term: u32,
        /// The block.
        block: BlockId,
    },
    /// A committed block for a peer.
    Deliver {
        /// The block.
        block: BlockId,
    },
}

impl Message {
    /// The term it was sent in, or asks for.
    const fn term(&self) -> u32 {
        match *self {
            Self::Append { term, .. }
            | Self::Ack { term, .. }
            | Self::Reject { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::Alive { term }
            | Self::Campaign { term, .. }
            | Self::Vote { term, .. }
            | Self::Stale { term }
            | Self::Snapshot { term, .. } => term,
            Self::Deliver { .. } => 0,
        }
    }

    /// Whether only the leader of the term says this.
    const fn leads(&self) -> bool {
        matches!(
            self,
            Self::Append { .. } | Self::Heartbeat { .. } | Self::Snapshot { .. }
        )
    }
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let term = u64::from(self.term());
        let fold = |kind, words: &[u64]| hash::fold_all(hash::fold(kind, term), words);
        match *self {
            Self::Append {
                prev,
                block,
                commit,
                first,
                ..
            } => {
                let block = block.map_or(0, |b| blocks.name(b));
                fold(0, &[prev.word(), block, commit.word(), first.into()])
            }
            Self::Ack { place, block, .. } => fold(1, &[place.word(), block.into()]),
            Self::Reject { prev, hint, .. } => fold(2, &[prev.word(), hint.word()]),
            Self::Heartbeat { commit, .. } => fold(3, &[commit.word()]),
            Self::Alive { .. } => fold(4, &[]),
            Self::Campaign { last, pre, .. } => fold(5, &[last.word(), pre.into()]),
            Self::Vote { pre, granted, .. } => fold(6, &[pre.into(), granted.into()]),
            Self::Stale { .. } => fold(7, &[]),
            Self::Snapshot { block, .. } => fold(8, &[blocks.name(block)]),
            Self::Deliver { block } => fold(9, &[blocks.name(block)]),
        }
    }
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The leader has been silent for too long.
    Election {
        /// The instant for which this was set.
        at: Time,
    },
    /// The picked node stands until there is a leader.
    First,
    /// The next heartbeat is due.
    Beat {
        /// The term.
        term: u32,
    },
    /// The leader counts whom it has heard.
    Quorum {
        /// The term.
        term: u32,
    },
    /// The batch should be cut.
    Batch {
        /// The term.
        term: u32,
        /// Which batch.
        number: u32,
    },
    /// The leader's log is on stable storage up to a height.
    Written {
        /// The term.
        term: u32,
        /// The height.
        height: u32,
    },
    /// What a message says is on stable storage.
    Synced {
        /// The term in which it was said.
        term: u32,
        /// To whom, if not to all orderers.
        to: Option<NodeId>,
        /// What.
        message: Message,
    },
    /// A peer looks whether it lacks something.
    Poll,
}

impl Content<Header> for Timer {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Election { at } => hash::fold_all(0, &[at.ns()]),
            Self::First => 1,
            Self::Beat { term } => hash::fold_all(2, &[term.into()]),
            Self::Quorum { term } => hash::fold_all(3, &[term.into()]),
            Self::Batch { term, number } => hash::fold_all(4, &[term.into(), number.into()]),
            Self::Written { term, height } => hash::fold_all(5, &[term.into(), height.into()]),
            Self::Synced { term, to, message } => {
                let to = to.map_or(0, |node| u64::from(node.get()) + 1);
                hash::fold_all(6, &[term.into(), to, message.content(blocks)])
            }
            Self::Poll => 7,
        }
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    tick: Span,
    election: Span,
    heartbeat: Span,
    timeouts: Timeouts,
    pre_vote: bool,
    check_quorum: bool,
    campaign_at_start: bool,
    max_inflight: u32,
    snapshot_bytes: u64,
    fsync: Span,
    batch_timeout: Span,
    mint_interval: Span,
    limits: Limits,
    /// For a transaction that is cut alone.
    alone: Limits,
}

/// One block of the log.
#[derive(Clone, Copy, Debug)]
struct Entry {
    block: BlockId,
    term: u32,
}

/// The end of a chain of blocks: the last committed one, all above it, and some below.
#[derive(Debug)]
struct Log {
    /// Height of the lowest entry.
    first: u32,
    entries: VecDeque<Entry>,
}

impl Log {
    fn new() -> Self {
        let genesis = Entry {
            block: GENESIS,
            term: 0,
        };
        Self {
            first: 0,
            entries: VecDeque::from([genesis]),
        }
    }

    fn get(&self, height: u32) -> Option<Entry> {
        let at = height.checked_sub(self.first)?;
        self.entries.get(at as usize).copied()
    }

    fn place(&self, height: u32) -> Option<Place> {
        self.get(height)
            .map(|Entry { term, .. }| Place { term, height })
    }

    fn has(&self, place: Place) -> bool {
        self.place(place.height) == Some(place)
    }

    fn height(&self) -> u32 {
        self.first + self.entries.len() as u32 - 1
    }

    fn last(&self) -> Place {
        self.place(self.height()).expect("a log is never empty")
    }

    /// Puts an entry above `below`, in place of whatever differs; what is there already stays.
    fn put(&mut self, below: u32, entry: Entry) {
        if self.get(below + 1).is_none_or(|e| e.block != entry.block) {
            self.entries.truncate((below + 1 - self.first) as usize);
            self.entries.push_back(entry);
        }
    }

    /// Forgets everything below a height.
    fn forget_below(&mut self, height: u32) {
        while self.first < height && self.entries.len() > 1 {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// The highest place up to `height` whose term is not above `term`.
    fn not_above(&self, height: u32, term: u32) -> Place {
        let from = height.min(self.height());
        let fits = |h: &u32| self.get(*h).is_some_and(|e| e.term <= term);
        let found = (self.first..=from).rev().find(fits);
        found.and_then(|h| self.place(h)).unwrap_or(Place {
            term: 0,
            height: self.first.saturating_sub(1),
        })
    }
}

/// What an orderer is.
#[derive(Debug)]
enum Role {
    Follower,
    Candidate {
        pre: bool,
        votes: BTreeMap<NodeId, bool>,
    },
    Leader(Office),
}

/// How blocks are sent to a follower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    /// One at a time, to find out where the logs agree.
    Probe,
    /// As many as may be unacknowledged.
    Replicate,
    /// It was sent a snapshot at this instant.
    Snapshot(Time),
}

/// What a leader knows of an orderer.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Up to here its log equals the leader's.
    matched: u32,
    /// The next block to send.
    next: u32,
    flow: Flow,
    /// Nothing more is sent before it answers.
    paused: bool,
    /// Whether it was heard since quorum was last checked.
    active: bool,
    /// The commit that it was told last.
    told: u32,
}

/// What a leader does about the next block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It waits until the first of its term, and with it all it found, is committed.
    Opening,
    /// It accepts transactions.
    Open,
    /// One is being built.
    Cutting,
    /// One is being built for a single transaction that is too large for others.
    Alone,
    /// A cut found nothing: it was woken too early, and looks again at the next heartbeat.
    Idle,
}

/// What only a leader knows.
#[derive(Debug)]
struct Office {
    /// By place in the committee; the own matches what is on stable storage.
    peers: Vec<Progress>,
    scratch: Vec<u32>,
    /// Up to here it has executed.
    executed: u32,
    stage: Stage,
    /// The batch whose timer runs, and how many there were.
    batch: Option<u32>,
    batches: u32,
    /// Before this no block with transactions follows the last one.
    mints_from: Time,
    /// Since when nothing is accepted.
    paused_at: Option<Time>,
}

/// When an Append without a block is worth sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Empty {
    No,
    /// To find a hole.
    Probe,
    /// To tell of a commit.
    Commit,
}

/// One input's surroundings.
struct Step<'a, 'c> {
    ctx: &'a Ctx<'c>,
    draws: &'a mut Draws,
    out: &'a mut Outbox<Raft>,
}

/// One node.
#[derive(Debug)]
pub struct Raft {
    me: NodeId,
    members: u32,
    /// Its place among the orderers; peers have none.
    position: Option<u32>,
    rules: Rules,
    role: Role,
    // On stable storage.
    term: u32,
    vote: Option<NodeId>,
    log: Log,
    /// Height of the last committed block.
    commit: u32,
    head: BlockId,
    /// Bytes committed since the log was cut off.
    since_snapshot: u64,
    // In memory.
    leader: Option<NodeId>,
    /// When the election timeout began.
    heard: Time,
    /// How long it is, and when it ends.
    patience: Span,
    deadline: Time,
    /// When the timer set for it fires: not later.
    armed: Option<Time>,
    /// The first instant of the node's ticks.
    phase: Time,
    /// What the leader has committed, as far as heard.
    known: Place,
    /// Blocks of this term that overtook the one below, with its place.
    early: Vec<(Place, BlockId)>,
    /// A snapshot for which blocks are missing.
    restoring: Option<(NodeId, BlockId)>,
    /// For a peer: the highest block delivered that is not adopted, and since when.
    tip: Option<(BlockId, Time)>,
    /// For a peer: whom it asks next.
    source: u64,
    /// The missing block that was asked for last.
    hole: Option<BlockId>,
}

impl Engine for Raft {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Reference,
        electorate: Electorate::Appointed,
        agreement: Agreement::LeaderLog,
        standing: Standing::Deployable,
        final_holds_if: "no organisation lies",
        guarantee: Guarantee::Commit,
        bound: "none may lie; ⌊(n−1)/2⌋ may be down",
        quorum: "⌊n/2⌋ + 1",
        messages: "2(n−1), and the commit with what follows",
        latency: "2d, and its writing",
        finality: "on a majority's logs, in the leader's term",
        source: "Ongaro and Ousterhout 2014; hyperledger/fabric@0c423ac; etcd-io/raft@cdfbeed",
    };
    const KINDS: &'static [&'static str] = &[
        "append",
        "ack",
        "commit",
        "commit-ack",
        "reject",
        "heartbeat",
        "alive",
        "pre-vote",
        "vote",
        "vote-reply",
        "stale",
        "snapshot",
        "deliver",
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
        Committee::equal(orderers(config, nodes))
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        let tick = Span::from_ms(config.tick_ms);
        let limits = Limits {
            bytes: config.preferred_bytes,
            txs: config.block_txs,
            exec: Span::MAX,
        };
        let rules = Rules {
            tick,
            election: tick * config.election_ticks,
            heartbeat: tick * config.heartbeat_ticks,
            timeouts: config.timeouts,
            pre_vote: config.pre_vote,
            check_quorum: config.check_quorum,
            campaign_at_start: config.campaign_at_start,
            max_inflight: config.max_inflight_blocks,
            snapshot_bytes: config.snapshot_bytes,
            fsync: Span::from_ms_f64(config.fsync_ms),
            batch_timeout: Span::from_ms(config.batch_timeout_ms),
            mint_interval: Span::from_ms(config.mint_interval_ms),
            limits,
            alone: Limits {
                bytes: config.block_bytes,
                txs: 1,
                ..limits
            },
        };
        Self {
            me,
            members: committee.len(),
            position: committee.position(me),
            rules,
            role: Role::Follower,
            term: 0,
            vote: None,
            log: Log::new(),
            commit: 0,
            head: GENESIS,
            since_snapshot: 0,
            leader: None,
            heard: Time::ZERO,
            patience: rules.election,
            deadline: Time::NEVER,
            armed: None,
            phase: Time::ZERO,
            known: Place { term: 0, height: 0 },
            early: Vec::new(),
            restoring: None,
            tip: None,
            source: u64::from(me.get()),
            hole: None,
        }
    }

    fn genesis(_: &Config) -> Header {
        Header { term: 0 }
    }

    fn finality(_: &Config, _: &Adversary) -> Result<Finality, String> {
        Ok(Finality::Commit)
    }

    /// A minority of the orderers may be down, nobody may lie. A block is closed after the batch
    /// timeout at the latest.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let n = orderers(config, nodes);
        Promises {
            byzantine: 0,
            crashed: (n - 1) / 2,
            quorum: majority(n),
            interval: Span::from_ms(config.batch_timeout_ms.max(config.mint_interval_ms))
                .max(Span::from_ms_f64(config.fsync_ms) * 2),
        }
    }

    /// The leader sends every block to all others, to peers once it is committed.
    fn copies(_: &Config, nodes: u32) -> u32 {
        nodes - 1
    }

    /// A full block is cut at once, while others are still on their way; or no sooner than the interval
    /// of minting allows.
    fn least_interval(config: &Config, _: u32) -> Option<Span> {
        let interval = Span::from_ms(config.mint_interval_ms);
        (!interval.is_zero()).then_some(interval)
    }

    fn handle(
        &mut self,
        ctx: &Ctx<'_>,
        draws: &mut Draws,
        input: Input<Self>,
        out: &mut Outbox<Self>,
    ) {
        let s = &mut Step { ctx, draws, out };
        match input {
            Input::Start => self.start(true, s),
            Input::Restarted => self.start(false, s),
            Input::Pending => self.on_pending(s),
            Input::BlockBuilt(block) => self.on_built(block, s),
            Input::Timer(timer) => self.on_timer(timer, s),
            Input::Message { from, message } => self.on_message(from, message, s),
            Input::Body { block, from } => self.on_body(block, from, s),
            Input::Header { .. } | Input::Threshold(_) => {} // Never asked for.
        }
    }

    fn leader(&self, _: &Ctx<'_>) -> Option<NodeId> {
        self.leader
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let small = |kind| Wire {
            kind,
            bytes: SMALL_BYTES,
            sign: Span::ZERO,
            check: Span::ZERO,
        };
        let carrying = |kind, block: BlockId| {
            let block = ctx.blocks.get(block);
            Wire {
                kind,
                bytes: SMALL_BYTES + block.bytes,
                sign: Span::ZERO,
                check: ctx.costs.validate(block),
            }
        };
        match *message {
            Message::Append {
                block: Some(block),
                first,
                ..
            } => {
                let wire = carrying(0, block);
                let built = || ctx.costs.build(ctx.blocks.get(block));
                let sign = if first { built() } else { Span::ZERO };
                Wire { sign, ..wire }
            }
            Message::Ack { block: true, .. } => small(1),
            Message::Append { block: None, .. } => small(2),
            Message::Ack { block: false, .. } => small(3),
            Message::Reject { .. } => small(4),
            Message::Heartbeat { .. } => small(5),
            Message::Alive { .. } => small(6),
            Message::Campaign { pre: true, .. } => small(7),
            Message::Campaign { pre: false, .. } => small(8),
            Message::Vote { .. } => small(9),
            Message::Stale { .. } => small(10),
            Message::Snapshot { block, .. } => carrying(11, block),
            Message::Deliver { block } => {
                let wire = carrying(12, block);
                Wire {
                    sign: ctx.costs.sign,
                    check: ctx.costs.verify + wire.check,
                    ..wire
                }
            }
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(message, Message::Ack { .. } | Message::Vote { .. })
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Append { block, .. } => block,
            Message::Snapshot { block, .. } | Message::Deliver { block } => Some(block),
            _ => None,
        }
    }

    fn header_bytes(&self, _: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES
    }

    /// A body that was asked for, whose orderer's signature is checked.
    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        ctx.costs.verify + ctx.costs.validate(block)
    }
}

/// How many nodes order.
/// How many copies commit.
fn copies(members: u32) -> u32 {
    majority(members) - u32::from(members > 1 && broken(Mutant::RaftQuorum))
}

fn orderers(config: &Config, nodes: u32) -> u32 {
    if config.orderers == 0 {
        nodes
    } else {
        config.orderers
    }
}

/// What cannot work: the key, why, and what to do.
fn refusal(config: &Config, nodes: u32) -> Option<(&'static str, String, &'static str)> {
    let c = config;
    if c.orderers > nodes {
        let why = format!("{} of {nodes} nodes cannot order", c.orderers);
        return Some((
            "orderers",
            why,
            "use at most the number of nodes, or 0 for all",
        ));
    }
    if c.tick_ms == 0 {
        return Some(("tick_ms", "a tick takes time".to_owned(), "Fabric's is 500"));
    }
    if c.heartbeat_ticks == 0 || c.heartbeat_ticks >= c.election_ticks {
        let why = format!(
            "{} ticks are not between 0 and the election timeout",
            c.heartbeat_ticks
        );
        return Some(("heartbeat_ticks", why, "Fabric's are 1 and 10"));
    }
    if c.max_inflight_blocks == 0 {
        let why = "without a block in flight nothing is ordered".to_owned();
        return Some(("max_inflight_blocks", why, "Fabric's is 5"));
    }
    if c.snapshot_bytes == 0 {
        let why = "a log of no bytes has no blocks".to_owned();
        return Some(("snapshot_bytes", why, "Fabric's is 16 MB"));
    }
    if !(c.fsync_ms >= 0.0 && c.fsync_ms < 1e6) {
        let why = format!("{} ms is not a time to write", c.fsync_ms);
        return Some((
            "fsync_ms",
            why,
            "measure it with fio, or use etcd's `check perf`",
        ));
    }
    if c.block_txs == 0 {
        let why = "a block of no transactions orders nothing".to_owned();
        return Some(("block_txs", why, "Fabric's is 500"));
    }
    if c.preferred_bytes == 0 || c.preferred_bytes > c.block_bytes {
        let why = format!(
            "{} bytes are not between 0 and `block_bytes`",
            c.preferred_bytes
        );
        return Some(("preferred_bytes", why, "Fabric's are 2 and 10 MB"));
    }
    // Fabric refuses a larger transaction; here it would wait at the front for ever.
    if c.block_bytes < LARGEST_TX {
        let why = format!("a transaction may have more than {} bytes", c.block_bytes);
        return Some(("block_bytes", why, "use at least 65535"));
    }
    None
}

/// Time.
impl Raft {
    fn start(&mut self, fresh: bool, s: &mut Step<'_, '_>) {
        let now = s.ctx.clock;
        self.role = Role::Follower;
        self.leader = None;
        if broken(Mutant::RaftForgets) {
            self.vote = None;
        }
        self.early.clear();
        (self.restoring, self.hole) = (None, None);
        self.armed = None;
        if self.rules.timeouts == Timeouts::Ticks {
            self.phase = now + Span::from_ns(s.draws.below(self.rules.tick.ns()));
        }
        if self.position.is_none() {
            s.out.timer(now + self.rules.tick, Timer::Poll);
            if !fresh {
                self.ask(s);
            }
            return;
        }
        self.draw_patience(s);
        if fresh && self.rules.campaign_at_start && self.position == Some(0) {
            s.out.timer(now + self.rules.heartbeat * 2, Timer::First);
        }
    }

    /// The instant at which so many ticks have passed.
    fn ticks_after(&self, from: Time, span: Span) -> Time {
        if self.rules.timeouts == Timeouts::Continuous {
            return from + span;
        }
        let tick = self.rules.tick;
        let next = if from < self.phase {
            self.phase
        } else {
            let passed = from.since(self.phase).ns() / tick.ns();
            self.phase + tick * (passed + 1)
        };
        next + (span - tick)
    }

    fn draw_patience(&mut self, s: &mut Step<'_, '_>) {
        let shortest = self.rules.election;
        self.patience = match self.rules.timeouts {
            Timeouts::Ticks => {
                let tick = self.rules.tick;
                shortest + tick * s.draws.below(shortest.ns() / tick.ns())
            }
            Timeouts::Continuous => shortest + Span::from_ns(s.draws.below(shortest.ns())),
        };
        self.wait(s);
    }

    /// Begins the election timeout anew. One timer is enough: if it fires early, it is set again.
    fn wait(&mut self, s: &mut Step<'_, '_>) {
        self.heard = s.ctx.clock;
        self.deadline = self.ticks_after(self.heard, self.patience);
        if self.armed.is_none_or(|at| at > self.deadline) {
            self.arm(s);
        }
    }

    fn arm(&mut self, s: &mut Step<'_, '_>) {
        let at = self.deadline;
        self.armed = Some(at);
        s.out.timer(at, Timer::Election { at });
    }

    fn on_timer(&mut self, timer: Timer, s: &mut Step<'_, '_>) {
        match timer {
            Timer::Election { at } if self.armed == Some(at) => {
                self.armed = None;
                if matches!(self.role, Role::Leader(_)) {
                    // It waits for nobody; what ends its office begins a new timeout.
                } else if s.ctx.clock < self.deadline {
                    self.arm(s);
                } else {
                    self.campaign(self.rules.pre_vote, s);
                }
            }
            Timer::First if self.leader.is_none() => {
                let again = s.ctx.clock + self.rules.heartbeat * 2;
                s.out.timer(again, Timer::First);
                if matches!(self.role, Role::Follower) {
                    self.campaign(self.rules.pre_vote, s);
                }
            }
            Timer::Beat { term } if self.leads(term) => self.beat(s),
            Timer::Quorum { term } if self.leads(term) => self.count_quorum(s),
            Timer::Batch { term, number } if self.leads(term) => self.on_batch(number, s),
            Timer::Written { term, height } if self.leads(term) => self.on_written(height, s),
            Timer::Synced { term, to, message } if term == self.term => {
                s.out.send(to.map_or(To::Committee, To::One), message);
            }
            Timer::Poll => self.poll(s),
            Timer::Election { .. }
            | Timer::First
            | Timer::Beat { .. }
            | Timer::Quorum { .. }
            | Timer::Batch { .. }
            | Timer::Written { .. }
            | Timer::Synced { .. } => {} // Stale.
        }
    }

    /// Says something once it is on stable storage.
    fn say_written(&self, to: Option<NodeId>, message: Message, s: &mut Step<'_, '_>) {
        if self.rules.fsync.is_zero() {
            s.out.send(to.map_or(To::Committee, To::One), message);
        } else {
            let term = self.term;
            let at = s.ctx.clock + self.rules.fsync;
            s.out.timer(at, Timer::Synced { term, to, message });
        }
    }
}

/// Electing.
impl Raft {
    const fn leads(&self, term: u32) -> bool {
        matches!(self.role, Role::Leader(_)) && term == self.term
    }

    /// Whether a leader was heard of so lately that no other is wanted.
    fn has_leader(&self, s: &Step<'_, '_>) -> bool {
        let heard = self.leader.is_some()
            && s.ctx.clock < self.ticks_after(self.heard, self.rules.election);
        self.rules.check_quorum && (heard || matches!(self.role, Role::Leader(_)))
    }

    fn follow(&mut self, term: u32, leader: Option<NodeId>, s: &mut Step<'_, '_>) {
        if term > self.term {
            self.term = term;
            self.vote = None;
            self.early.clear();
        }
        self.role = Role::Follower;
        self.leader = leader;
        self.draw_patience(s);
    }

    fn campaign(&mut self, pre: bool, s: &mut Step<'_, '_>) {
        let term = self.term + 1;
        if pre || !self.rules.pre_vote {
            s.out.push(Effect::RoundChange { round: term });
        }
        self.leader = None;
        if !pre {
            self.term = term;
            self.vote = Some(self.me);
            self.early.clear();
        }
        self.role = Role::Candidate {
            pre,
            votes: BTreeMap::new(),
        };
        self.draw_patience(s);
        if self.members > 1 {
            let last = self.log.last();
            let message = Message::Campaign { term, last, pre };
            if pre {
                s.out.send(To::Committee, message);
            } else {
                self.say_written(None, message, s);
            }
        }
        self.count_vote(self.me, true, s);
    }

    fn on_campaign(&mut self, from: NodeId, asked: (u32, Place, bool), s: &mut Step<'_, '_>) {
        let (term, last, pre) = asked;
        let free = self.vote == Some(from)
            || self.vote.is_none() && self.leader.is_none()
            || pre && term > self.term
            || broken(Mutant::RaftVoteTwice);
        let granted = free && (last >= self.log.last() || broken(Mutant::RaftShortLog));
        let term = if granted { term } else { self.term };
        let vote = Message::Vote { term, pre, granted };
        if granted && !pre {
            self.vote = Some(from);
            self.wait(s);
            self.say_written(Some(from), vote, s);
        } else {
            s.out.send(To::One(from), vote);
        }
    }

    fn count_vote(&mut self, from: NodeId, granted: bool, s: &mut Step<'_, '_>) {
        let Role::Candidate { pre, votes } = &mut self.role else {
            return;
        };
        votes.insert(from, granted);
        let yes = votes.values().filter(|granted| **granted).count() as u32;
        let no = votes.len() as u32 - yes;
        if yes >= majority(self.members) {
            if *pre {
                self.campaign(false, s);
            } else {
                self.lead(s);
            }
        } else if no > self.members - majority(self.members) {
            self.follow(self.term, None, s);
        }
    }

    fn lead(&mut self, s: &mut Step<'_, '_>) {
        let last = self.log.height();
        let peer = |i: u32| Progress {
            matched: if self.position == Some(i) { last } else { 0 },
            next: last + 1,
            flow: Flow::Probe,
            paused: false,
            active: false,
            told: 0,
        };
        self.leader = Some(self.me);
        self.role = Role::Leader(Office {
            peers: (0..self.members).map(peer).collect(),
            scratch: Vec::with_capacity(self.members as usize),
            executed: last,
            stage: Stage::Opening,
            batch: None,
            batches: 0,
            mints_from: Time::ZERO,
            paused_at: None,
        });
        let (now, term) = (s.ctx.clock, self.term);
        let beat = self.ticks_after(now, self.rules.heartbeat);
        s.out.timer(beat, Timer::Beat { term });
        if self.rules.check_quorum {
            let check = self.ticks_after(now, self.rules.election);
            s.out.timer(check, Timer::Quorum { term });
        }
        // A block of the own term, through which all below it can be committed.
        let nothing = Limits {
            bytes: 0,
            txs: 0,
            exec: Span::ZERO,
        };
        self.build(nothing, None, s);
    }

    fn beat(&mut self, s: &mut Step<'_, '_>) {
        let term = self.term;
        let at = self.ticks_after(s.ctx.clock, self.rules.heartbeat);
        s.out.timer(at, Timer::Beat { term });
        if self.members > 1 {
            let commit = self.committed();
            s.out
                .send(To::Committee, Message::Heartbeat { term, commit });
        }
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        if office.stage == Stage::Idle {
            office.stage = Stage::Open;
            self.accept(s);
        }
    }

    fn count_quorum(&mut self, s: &mut Step<'_, '_>) {
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        let mut active = 1;
        for peer in &mut office.peers {
            active += u32::from(peer.active);
            peer.active = false;
        }
        let term = self.term;
        if active < majority(self.members) {
            self.follow(term, None, s);
        } else {
            let at = self.ticks_after(s.ctx.clock, self.rules.election);
            s.out.timer(at, Timer::Quorum { term });
        }
    }
}

/// Receiving.
impl Raft {
    fn on_message(&mut self, from: NodeId, message: Message, s: &mut Step<'_, '_>) {
        if let Message::Deliver { block } = message {
            return self.on_deliver(block, s);
        }
        if self.position.is_none() || !self.is_current(from, &message, s) {
            return;
        }
        match message {
            Message::Append {
                prev,
                block,
                commit,
                ..
            } => {
                self.hear(from, s);
                self.on_append(from, prev, block, commit, s);
            }
            Message::Heartbeat { term, commit } => {
                self.hear(from, s);
                self.known = self.known.max(commit);
                self.commit_known(s);
                s.out.send(To::One(from), Message::Alive { term });
            }
            Message::Snapshot { block, .. } => {
                self.hear(from, s);
                self.on_snapshot(from, block, s);
            }
            Message::Campaign { term, last, pre } => self.on_campaign(from, (term, last, pre), s),
            Message::Vote { pre, granted, .. } => {
                if matches!(self.role, Role::Candidate { pre: mine, .. } if mine == pre) {
                    self.count_vote(from, granted, s);
                }
            }
            Message::Ack { place, .. } => self.on_ack(from, place.height, s),
            Message::Reject { prev, hint, .. } => self.on_reject(from, prev, hint, s),
            Message::Alive { .. } => self.on_alive(from, s),
            Message::Stale { .. } | Message::Deliver { .. } => {} // Its term said it all.
        }
    }

    /// Follows later terms, answers earlier ones; whether the message is to be handled.
    fn is_current(&mut self, from: NodeId, message: &Message, s: &mut Step<'_, '_>) -> bool {
        let term = message.term();
        if term < self.term {
            let term = self.term;
            if message.leads() {
                s.out.send(To::One(from), Message::Stale { term });
            } else if let Message::Campaign { pre, .. } = *message {
                let granted = false;
                s.out
                    .send(To::One(from), Message::Vote { term, pre, granted });
            }
            return false;
        }
        if term > self.term {
            match *message {
                Message::Campaign { .. } if self.has_leader(s) => return false,
                // A term that nobody has entered yet.
                Message::Campaign { pre: true, .. } => {}
                Message::Vote {
                    pre: true,
                    granted: true,
                    ..
                } => return term == self.term + 1,
                _ => self.follow(term, message.leads().then_some(from), s),
            }
        }
        true
    }

    /// The leader of this term has spoken.
    fn hear(&mut self, from: NodeId, s: &mut Step<'_, '_>) {
        if matches!(self.role, Role::Follower) {
            self.leader = Some(from);
            self.wait(s);
        } else {
            self.follow(self.term, Some(from), s);
        }
    }

    fn on_append(
        &mut self,
        from: NodeId,
        prev: Place,
        block: Option<BlockId>,
        commit: Place,
        s: &mut Step<'_, '_>,
    ) {
        let term = self.term;
        self.known = self.known.max(commit);
        if prev.height < self.commit {
            let place = self.committed();
            let block = block.is_some();
            self.say_written(Some(from), Message::Ack { term, place, block }, s);
        } else if self.log.has(prev) {
            let place = block.map_or(prev, |block| self.append(prev, block, s));
            // The log equals the leader's up to there.
            self.commit_up_to(commit.height.min(place.height), s);
            self.commit_known(s);
            let block = block.is_some();
            self.say_written(Some(from), Message::Ack { term, place, block }, s);
        } else if let Some(block) = block.filter(|_| self.is_on_its_way(prev)) {
            if !self.early.contains(&(prev, block)) {
                self.early.push((prev, block));
            }
        } else {
            let hint = self.log.not_above(prev.height, prev.term);
            s.out
                .send(To::One(from), Message::Reject { term, prev, hint });
        }
    }

    /// Whether an Append has only overtaken the one below, which the same leader sent before it.
    fn is_on_its_way(&self, prev: Place) -> bool {
        prev.term == self.term && self.early.len() < self.rules.max_inflight as usize
    }

    /// Puts a block on its place, and those that overtook it; where they end.
    fn append(&mut self, prev: Place, block: BlockId, s: &Step<'_, '_>) -> Place {
        let (mut prev, mut block) = (prev, block);
        loop {
            let Some(header) = s.ctx.blocks.find(block).map(|b| b.header) else {
                return prev; // Final wherever it matters, hence below what is committed here.
            };
            let term = header.term;
            self.log.put(prev.height, Entry { block, term });
            prev = Place {
                term,
                height: prev.height + 1,
            };
            let Some(next) = self.early.iter().position(|(below, _)| *below == prev) else {
                break;
            };
            block = self.early.swap_remove(next).1;
        }
        self.early.retain(|(below, _)| below.height > prev.height);
        prev
    }

    fn committed(&self) -> Place {
        self.log.place(self.commit).expect("the log keeps it")
    }

    fn commit_known(&mut self, s: &mut Step<'_, '_>) {
        if self.log.has(self.known) {
            self.commit_up_to(self.known.height, s);
        }
    }

    fn commit_up_to(&mut self, height: u32, s: &mut Step<'_, '_>) {
        for height in self.commit + 1..=height {
            let block = self.log.get(height).expect("only what is here").block;
            s.out.push(Effect::Adopt(block));
            s.out.push(Effect::Commit(block));
            if self.leads(self.term) && s.ctx.nodes > self.members {
                s.out.send(To::Observers, Message::Deliver { block });
            }
            (self.commit, self.head) = (height, block);
            self.since_snapshot += s.ctx.blocks.get(block).bytes;
        }
        if self.since_snapshot >= self.rules.snapshot_bytes {
            self.since_snapshot = 0;
            self.log.forget_below(self.commit.saturating_sub(KEPT));
        }
    }

    fn on_snapshot(&mut self, from: NodeId, block: BlockId, s: &mut Step<'_, '_>) {
        self.restoring = Some((from, block));
        if !self.restore(s) {
            s.out.push(Effect::Sync { from });
            self.fetch(block, from, true, s);
        }
    }

    /// Commits up to the snapshot once all blocks are here; whether nothing is missing.
    fn restore(&mut self, s: &mut Step<'_, '_>) -> bool {
        let Some((from, tip)) = self.restoring else {
            return true;
        };
        let Ok(path) = path(self.head, tip, s.ctx) else {
            return false;
        };
        self.restoring = None;
        for block in path.into_iter().rev() {
            let stored = s.ctx.blocks.get(block);
            let (below, term) = (stored.height - 1, stored.header.term);
            self.log.put(below, Entry { block, term });
            self.commit_up_to(below + 1, s);
        }
        let (term, place, block) = (self.term, self.committed(), true);
        if self.leader == Some(from) {
            self.say_written(Some(from), Message::Ack { term, place, block }, s);
        }
        true
    }
}

/// The blocks above the head up to a committed one, highest first; none if it is the head or below.
///
/// # Errors
/// The highest that is missing.
fn path(head: BlockId, tip: BlockId, ctx: &Ctx<'_>) -> Result<Vec<BlockId>, BlockId> {
    let floor = ctx.blocks.get(head).height;
    let mut path = Vec::new();
    let mut at = tip;
    while let Some(block) = ctx.blocks.find(at).filter(|b| b.height > floor) {
        if !ctx.holds(at) {
            return Err(at);
        }
        path.push(at);
        at = block.parent.expect("only the genesis block has no parent");
    }
    Ok(path)
}

/// Filling holes.
impl Raft {
    /// A block that was asked for, hence a committed one.
    fn on_body(&mut self, block: BlockId, from: NodeId, s: &mut Step<'_, '_>) {
        if self.position.is_none() {
            self.heard = s.ctx.clock;
            self.learn(block, s);
        } else {
            self.restore(s);
        }
        let restoring = self.restoring.map(|(_, tip)| tip);
        if let Some(tip) = restoring.or(self.tip.map(|(tip, _)| tip)) {
            self.fetch(tip, from, false, s);
        }
    }

    /// Asks for the highest block that is missing: Sync may stop at what is here above it. Unless
    /// it is said `again`, only when the one asked for before has come and another is missing.
    fn fetch(&mut self, tip: BlockId, from: NodeId, again: bool, s: &mut Step<'_, '_>) {
        let hole = path(self.head, tip, s.ctx).err();
        if let Some(block) = hole.filter(|_| again || self.hole.is_some() && self.hole != hole) {
            s.out.push(Effect::Fetch { block, from });
        }
        if again || self.hole.is_some() {
            self.hole = hole;
        }
    }
}

/// Being a peer.
impl Raft {
    fn on_deliver(&mut self, block: BlockId, s: &mut Step<'_, '_>) {
        if self.position.is_none() {
            self.heard = s.ctx.clock;
            self.learn(block, s);
        }
    }

    /// Adopts everything up to a committed block, or remembers it.
    fn learn(&mut self, block: BlockId, s: &mut Step<'_, '_>) {
        let height = |block| s.ctx.blocks.find(block).map_or(0, |b| b.height);
        let higher = self.tip.is_none_or(|(tip, _)| height(block) > height(tip));
        if higher && height(block) > height(self.head) {
            let since = self.tip.map_or(s.ctx.clock, |(_, since)| since);
            self.tip = Some((block, since));
        }
        // What came may fill the hole below the tip, or end below it.
        self.adopt(block, s);
        if let Some((tip, _)) = self.tip {
            self.adopt(tip, s);
        }
    }

    fn adopt(&mut self, tip: BlockId, s: &mut Step<'_, '_>) {
        for block in path(self.head, tip, s.ctx).into_iter().flatten().rev() {
            s.out.push(Effect::Adopt(block));
            s.out.push(Effect::Commit(block));
            self.head = block;
        }
        let height = |block| s.ctx.blocks.find(block).map_or(0, |b| b.height);
        self.tip = self.tip.filter(|(tip, _)| height(*tip) > height(self.head));
    }

    /// Every tick: asks another orderer if there was a hole at the last tick, or after silence.
    fn poll(&mut self, s: &mut Step<'_, '_>) {
        let now = s.ctx.clock;
        s.out.timer(now + self.rules.tick, Timer::Poll);
        let hole = self
            .tip
            .is_some_and(|(_, since)| now.saturating_since(since) >= self.rules.tick);
        if hole || now.saturating_since(self.heard) >= self.rules.election {
            self.ask(s);
        }
    }

    fn ask(&mut self, s: &mut Step<'_, '_>) {
        let from = s.ctx.committee.at(self.source);
        self.source += 1;
        self.heard = s.ctx.clock;
        s.out.push(Effect::Sync { from });
        if let Some((tip, _)) = self.tip {
            self.tip = Some((tip, s.ctx.clock));
            self.fetch(tip, from, true, s);
        }
    }
}

/// Leading: copies.
impl Raft {
    /// Sends a follower the next block, or an Append without one; whether something was sent.
    fn send_append(&mut self, i: usize, empty: Empty, s: &mut Step<'_, '_>) -> bool {
        let commit = self.committed();
        let Role::Leader(office) = &mut self.role else {
            return false;
        };
        let written = office.peers[self.position.map_or(0, |p| p as usize)].matched;
        let peer = &mut office.peers[i];
        let to = To::One(s.ctx.committee.at(i as u64));
        if peer.paused || matches!(peer.flow, Flow::Snapshot(_)) {
            return false;
        }
        // What the arena has forgotten is final wherever it may be asked for again: the follower has it,
        // though its answer may be lost.
        let forgotten = |height| {
            let entry: Option<Entry> = self.log.get(height);
            entry.is_some_and(|e| s.ctx.blocks.find(e.block).is_none())
        };
        while peer.next <= written && forgotten(peer.next) {
            peer.next += 1;
        }
        let Some(below) = self.log.place(peer.next - 1) else {
            return self.send_snapshot(i, s);
        };
        let replicates = peer.flow == Flow::Replicate;
        let full = |peer: &Progress| peer.next - 1 - peer.matched >= self.rules.max_inflight;
        let block = if peer.next > written || replicates && full(peer) {
            None
        } else {
            self.log.get(peer.next).map(|entry| entry.block)
        };
        if block.is_none() && empty == Empty::No {
            return false; // Nothing to send.
        }
        let anchor = self.log.place(peer.matched).filter(|_| replicates);
        let prev = match (block, empty) {
            (None, Empty::Commit) => anchor.unwrap_or(below),
            _ => below,
        };
        let first = block.is_some() && peer.next > office.executed;
        if block.is_some() {
            office.executed = office.executed.max(peer.next);
            peer.next += u32::from(replicates);
            peer.paused = !replicates;
        }
        peer.paused |= replicates && full(peer);
        peer.told = commit.height;
        let term = self.term;
        s.out.send(
            to,
            Message::Append {
                term,
                prev,
                block,
                commit,
                first,
            },
        );
        true
    }

    fn send_snapshot(&mut self, i: usize, s: &mut Step<'_, '_>) -> bool {
        let (term, block) = (self.term, self.head);
        let Role::Leader(office) = &mut self.role else {
            return false;
        };
        // Only to somebody who is there.
        if !office.peers[i].active {
            return false;
        }
        office.peers[i].flow = Flow::Snapshot(s.ctx.clock);
        let to = To::One(s.ctx.committee.at(i as u64));
        s.out.send(to, Message::Snapshot { term, block });
        true
    }

    /// Sends a new block to all followers at once, if all have been sent everything below.
    fn broadcast(&mut self, height: u32, s: &mut Step<'_, '_>) -> bool {
        let commit = self.committed();
        let Role::Leader(office) = &mut self.role else {
            return false;
        };
        let me = self.position.map(|p| p as usize);
        let others = || (0..self.members as usize).filter(|&i| Some(i) != me);
        let ready = |peer: &Progress| {
            // A twin may have acknowledged more than there is.
            let full = height.saturating_sub(peer.matched) > self.rules.max_inflight;
            peer.flow == Flow::Replicate && !peer.paused && peer.next == height && !full
        };
        let (below, entry) = (self.log.place(height - 1), self.log.get(height));
        let (Some(prev), Some(Entry { block, .. })) = (below, entry) else {
            return false;
        };
        if others().next().is_none() || !others().all(|i| ready(&office.peers[i])) {
            return false;
        }
        for i in others() {
            let peer = &mut office.peers[i];
            (peer.next, peer.told) = (height + 1, commit.height);
            peer.paused = height - peer.matched >= self.rules.max_inflight;
        }
        office.executed = height;
        let append = Message::Append {
            term: self.term,
            prev,
            block: Some(block),
            commit,
            first: true,
        };
        s.out.send(To::Committee, append);
        true
    }

    fn send_to_all(&mut self, empty: Empty, s: &mut Step<'_, '_>) {
        for i in 0..self.members {
            if Some(i) != self.position {
                self.send_append(i as usize, empty, s);
            }
        }
    }

    /// The leader's office, and the place of a follower in it.
    fn office(&mut self, of: NodeId, s: &Step<'_, '_>) -> Option<(&mut Office, usize)> {
        let i = s.ctx.committee.position(of)? as usize;
        match &mut self.role {
            Role::Leader(office) => Some((office, i)),
            Role::Follower | Role::Candidate { .. } => None,
        }
    }

    fn on_ack(&mut self, from: NodeId, height: u32, s: &mut Step<'_, '_>) {
        let Some((office, i)) = self.office(from, s) else {
            return;
        };
        let peer = &mut office.peers[i];
        peer.active = true;
        let news = height > peer.matched;
        if !news && (height < peer.matched || peer.flow != Flow::Probe) {
            return;
        }
        peer.matched = height;
        peer.next = peer.next.max(height + 1);
        peer.paused = false;
        if peer.flow != Flow::Replicate {
            peer.flow = Flow::Replicate;
            peer.next = height + 1;
        }
        if !self.commit_majority(s) {
            self.tell_commit(i, s);
        }
        while self.send_append(i, Empty::No, s) {}
    }

    /// A follower that has the committed blocks, but was not told so, hears it.
    fn tell_commit(&mut self, i: usize, s: &mut Step<'_, '_>) {
        let commit = self.commit;
        let Role::Leader(office) = &self.role else {
            return;
        };
        let peer = &office.peers[i];
        if peer.told < commit && peer.told < peer.next - 1 {
            self.send_append(i, Empty::Commit, s);
        }
    }

    fn on_reject(&mut self, from: NodeId, prev: Place, hint: Place, s: &mut Step<'_, '_>) {
        let may_agree = self.log.not_above(hint.height, hint.term).height;
        let Some((office, i)) = self.office(from, s) else {
            return;
        };
        let peer = &mut office.peers[i];
        peer.active = true;
        match peer.flow {
            Flow::Replicate if prev.height > peer.matched => {
                peer.flow = Flow::Probe;
                peer.next = peer.matched + 1;
            }
            Flow::Probe if prev.height == peer.next - 1 => {
                peer.next = (may_agree + 1).min(prev.height).max(peer.matched + 1);
            }
            Flow::Replicate | Flow::Probe | Flow::Snapshot(_) => return, // Stale.
        }
        peer.paused = false;
        self.send_append(i, Empty::Probe, s);
    }

    fn on_alive(&mut self, from: NodeId, s: &mut Step<'_, '_>) {
        let last = self.log.height();
        let patience = self.rules.election;
        let Some((office, i)) = self.office(from, s) else {
            return;
        };
        let peer = &mut office.peers[i];
        peer.active = true;
        if let Flow::Snapshot(sent) = peer.flow {
            if s.ctx.clock.since(sent) < patience {
                return;
            }
            peer.flow = Flow::Probe; // It was lost, or the answer.
        }
        peer.paused = false;
        let lacks = peer.matched < last && !broken(Mutant::RaftSentOnce);
        if lacks || peer.flow == Flow::Probe {
            self.send_append(i, Empty::Probe, s);
        }
    }

    /// Commits what a majority has, if it ends in a block of this term; whether it did.
    fn commit_majority(&mut self, s: &mut Step<'_, '_>) -> bool {
        let Role::Leader(office) = &mut self.role else {
            return false;
        };
        office.scratch.clear();
        office
            .scratch
            .extend(office.peers.iter().map(|p| p.matched));
        office.scratch.sort_unstable();
        let height = office.scratch[(self.members - copies(self.members)) as usize];
        let own = self.log.get(height).is_some_and(|e| e.term == self.term);
        if height <= self.commit || !own {
            return false;
        }
        self.commit_up_to(height, s);
        self.send_to_all(Empty::Commit, s);
        let done = self.commit == self.log.height();
        if let Role::Leader(office) = &mut self.role
            && done
            && office.stage == Stage::Opening
        {
            office.stage = Stage::Open;
        }
        self.accept(s);
        true
    }
}

/// Leading: blocks.
impl Raft {
    fn in_flight(&self) -> u32 {
        self.log.height() - self.commit
    }

    /// Asks to be woken for the next cut, unless too much is in flight. What is in flight is
    /// pending, too, on top of what is committed.
    fn accept(&mut self, s: &mut Step<'_, '_>) {
        let flying = self.in_flight();
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        if office.stage != Stage::Open {
            return;
        }
        if flying >= self.rules.max_inflight {
            office.paused_at.get_or_insert(s.ctx.clock);
            return;
        }
        office.paused_at = None;
        let (mut txs, mut bytes) = (0_u32, 0);
        for height in self.commit + 1..=self.log.height() {
            let entry = self.log.get(height).expect("above what is committed");
            let block = s.ctx.blocks.get(entry.block);
            txs += block.txs;
            bytes += block.bytes - HEADER_BYTES;
        }
        let limits = self.rules.limits;
        s.out.push(match office.batch {
            None => Effect::AwaitPending {
                count: txs.saturating_add(1),
                bytes: u64::MAX,
            },
            Some(_) => Effect::AwaitPending {
                count: txs.saturating_add(limits.txs),
                bytes: bytes.saturating_add(limits.bytes).saturating_add(1),
            },
        });
    }

    fn on_pending(&mut self, s: &mut Step<'_, '_>) {
        let (now, term, flying) = (s.ctx.clock, self.term, self.in_flight());
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        if office.stage != Stage::Open || flying >= self.rules.max_inflight {
            return;
        }
        // The timer runs, and the batch is full; or there is no timer.
        let full = office.batch.is_some() || self.rules.batch_timeout.is_zero();
        let timeout = if full {
            Span::ZERO
        } else {
            self.rules.batch_timeout
        };
        let at = (now + timeout).max(office.mints_from);
        if full && at == now {
            return self.cut(s);
        }
        office.batches += 1;
        let number = office.batches;
        office.batch = Some(number);
        s.out.timer(at, Timer::Batch { term, number });
        if !full {
            self.accept(s);
        }
    }

    fn on_batch(&mut self, number: u32, s: &mut Step<'_, '_>) {
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        if office.batch == Some(number) {
            office.batch = None;
            if matches!(office.stage, Stage::Open | Stage::Idle) {
                self.cut(s);
            }
        }
    }

    fn cut(&mut self, s: &mut Step<'_, '_>) {
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        office.stage = Stage::Cutting;
        let as_of = office.paused_at;
        self.build(self.rules.limits, as_of, s);
    }

    fn build(&self, limits: Limits, as_of: Option<Time>, s: &mut Step<'_, '_>) {
        let end = self.log.get(self.log.height());
        s.out.push(Effect::BuildBlock {
            parent: end.expect("a log is never empty").block,
            header: Header { term: self.term },
            limits,
            as_of,
            cost: Span::ZERO,
        });
    }

    fn on_built(&mut self, block: BlockId, s: &mut Step<'_, '_>) {
        let built = s.ctx.blocks.get(block);
        let (term, below) = (built.header.term, self.log.height());
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        if term != self.term || matches!(office.stage, Stage::Open | Stage::Idle) {
            return;
        }
        match (office.stage, built.txs) {
            (Stage::Alone, 0) => return office.stage = Stage::Idle, // Nothing was pending.
            (Stage::Cutting, 0) => {
                // Perhaps the first transaction is too large.
                office.stage = Stage::Alone;
                let as_of = office.paused_at;
                return self.build(self.rules.alone, as_of, s);
            }
            (stage, txs) => {
                if stage == Stage::Alone || txs >= self.rules.limits.txs {
                    office.batch = None; // Nothing is left over.
                }
                if txs > 0 {
                    office.mints_from = s.ctx.clock + self.rules.mint_interval;
                }
                if stage != Stage::Opening {
                    office.stage = Stage::Open;
                }
            }
        }
        self.log.put(below, Entry { block, term });
        let height = below + 1;
        if self.rules.fsync.is_zero() {
            self.on_written(height, s);
        } else {
            let at = s.ctx.clock + self.rules.fsync;
            s.out.timer(at, Timer::Written { term, height });
        }
        self.accept(s);
    }

    /// The leader sends what it has written.
    fn on_written(&mut self, height: u32, s: &mut Step<'_, '_>) {
        let position = self.position.map_or(0, |p| p as usize);
        let Role::Leader(office) = &mut self.role else {
            return;
        };
        let own = &mut office.peers[position];
        own.matched = own.matched.max(height);
        if !self.broadcast(height, s) {
            self.send_to_all(Empty::No, s);
        }
        self.commit_majority(s);
    }
}
