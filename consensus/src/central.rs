//! The baseline that is no ledger: a database with one synchronous standby, read replicas, a
//! hash-chained audit log and automatic failover.
//!
//! source: Postgres documentation, "Synchronous Replication" (commit waits for the standby's
//! flush); Patroni documentation, "Dynamic configuration settings" (`ttl`, `loop_wait`) and
//! "Replication modes" (`synchronous_mode_strict`: only the synchronous standby may be promoted,
//! and without one nothing commits).
//!
//! The *roster* names the primary and the standby; a later one has a higher (term, version). A
//! majority of the nodes must have stored a roster before anything commits under it: they play the
//! part of Patroni's configuration store.
//!
//! Committing:
//! - Upon something pending at the primary, with no group in flight and its lease valid: build a
//!   group, write it to the log (`fsync`), and send Append to all.
//! - Upon receiving Append as the one who must acknowledge it, unless a later one of its term came
//!   first: ask for what is missing below it, write it (`fsync`), send Ack.
//! - Upon receiving the standby's Ack of the whole log: adopt and commit it, send Commit to all.
//! - Upon no such Ack for 5 s: send the end of the log to the standby again.
//! - Upon receiving Commit: apply it as soon as its groups are here. The newest group's Append is
//!   on its way, since it left first; what is missing below is asked for at once.
//!
//! Leading:
//! - Every `loop_wait` the primary sends Heartbeat with its term and roster; a node that knows of
//!   no higher term stores the roster, gives the primary a lease of `ttl` and answers Alive. The
//!   primary's own lease runs from the Heartbeat that a majority answered; without it the primary
//!   starts no group.
//! - When the standby was not heard of for `ttl`: the primary sends its log to the next live node
//!   (Append), and upon its Ack names it in a new roster; upon Alive of a majority for this roster
//!   it commits again.
//! - When the lease that a node gave has expired: the standby stands for election with the next
//!   term (the former primary too, `loop_wait` later); everybody else sends the standby its roster,
//!   in case it does not know that it is the standby.
//! - Upon receiving Candidate: grant it if the term is new, the given lease has expired (or as soon
//!   as it has), and the candidate's roster is as late as the own. Upon Grants of a majority: enter
//!   the term, promote (`promote_ms`), find a standby as above, go on with the own log.
//! - Upon receiving a message of an older term: answer with the own term and roster; its sender
//!   becomes a replica. What it had logged but not committed is dropped when the new log arrives.
//!
//! Why no two histories commit: a group commits only when primary and standby of a stored roster
//! have it. Only these two can be elected, by a majority that has no later roster; a standby that
//! granted or won a term acknowledges no older one.
//!
//! Deviations:
//! - The configuration store runs on the nodes themselves instead of a separate etcd; with two
//!   nodes, losing one stops it.
//! - Replicas apply a group when it has committed; Postgres's asynchronous replicas may show it
//!   earlier.
//! - One group is in flight; those who arrive meanwhile form the next one.
//! - Messages of one link may overtake each other, which a TCP connection would not let them.
//! - Execution is charged to the primary, before the group leaves. Replicas replay pages: hashing
//!   only.
//!
//! Finality: on commit, if the operator of the database is honest; its own audit log only shows
//! that it was not.
//!
//! Messages: `2(n−1) + 1` a group; commit after one round trip to the standby and two writes.

use crate::Presets;
use crate::config::unless_zero;
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Execution, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox,
    Promises, Span, Standing, Time, To, Wire, hash, majority,
};
use std::collections::BTreeSet;

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Central>;

const GENESIS: BlockId = Blocks::<Header>::GENESIS;
/// A message without a group. assumption: a few integers in a TLS record.
const SMALL_BYTES: u64 = 128;
/// How long an open question for missing groups blocks the next, and after how long a group that
/// was not acknowledged is sent again.
/// source: Postgres's default `wal_retrieve_retry_interval` is 5 s.
const RETRY: Span = Span::from_s(5);
/// Chain hash, sequence, term and time of an audit record group. assumption: 64 bytes.
const HEADER_BYTES: u64 = 64;

config! {
    /// Parameters of the baseline.
    {
        /// How long the primary's lease lasts, s.
        ttl_s: u64,
        /// Time between Heartbeats, s.
        loop_wait_s: u64,
        /// Time from winning an election to serving, ms.
        promote_ms: u64,
        /// Time to write a group to stable storage, ms.
        fsync_ms: f64,
        /// Bytes of transactions in a group.
        block_bytes: u64,
        /// Transactions in a group; 0 means no limit.
        block_txs: u32,
        /// Execution time of a group on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["patroni"];

    fn preset(name: &str) -> Option<Self> {
        (name == "patroni").then_some(Self {
            // source: Patroni documentation, dynamic configuration: ttl 30, loop_wait 10.
            ttl_s: 30,
            loop_wait_s: 10,
            // assumption: ending recovery and switching the timeline takes about two seconds.
            promote_ms: 2_000,
            // assumption: a replicated cloud volume; a local NVMe with power-loss protection needs
            // a tenth, a disk five times as much.
            fsync_ms: 2.0,
            // source: Postgres's default WAL segment is 16 MB.
            block_bytes: 16_000_000,
            block_txs: 0,
            block_exec_ms: 0,
        })
    }
}

/// What a group's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The term in which it was built.
    pub term: u32,
}

/// Who leads and who must have every group. Later ones compare greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Roster {
    /// The term of the primary.
    pub term: u32,
    /// Counts within the term.
    pub version: u32,
    /// The primary.
    pub primary: NodeId,
    /// The standby.
    pub standby: NodeId,
}

/// What nodes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A group for the log, which travels with it.
    Append {
        /// The primary's term.
        term: u32,
        /// The group.
        block: BlockId,
        /// Who must acknowledge it.
        ack: NodeId,
    },
    /// The sender's log holds everything up to the group.
    Ack {
        /// The term.
        term: u32,
        /// The group.
        block: BlockId,
    },
    /// Everything up to the group is committed.
    Commit {
        /// The group.
        block: BlockId,
    },
    /// The primary lives.
    Heartbeat {
        /// Its term; its roster may still be the one before.
        term: u32,
        /// Which heartbeat of the term.
        beat: u32,
        /// The roster.
        roster: Roster,
        /// What is committed.
        head: BlockId,
    },
    /// The answer to a heartbeat: lease given, roster stored.
    Alive {
        /// The term.
        term: u32,
        /// The heartbeat.
        beat: u32,
    },
    /// The sender wants to lead.
    Candidate {
        /// The new term.
        term: u32,
        /// The latest roster it knows.
        roster: Roster,
    },
    /// The sender votes for the candidate.
    Grant {
        /// The new term.
        term: u32,
    },
    /// The receiver is behind the times, or is the standby without knowing.
    Notice {
        /// The sender's term.
        term: u32,
        /// The sender's roster.
        roster: Roster,
    },
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let fold = |kind, words: &[u64]| hash::fold_all(kind, words);
        let key = |r: Roster| u64::from(r.term) << 32 | u64::from(r.version);
        match *self {
            Self::Append { term, block, ack } => {
                fold(0, &[term.into(), blocks.name(block), ack.get().into()])
            }
            Self::Ack { term, block } => fold(1, &[term.into(), blocks.name(block)]),
            Self::Commit { block } => fold(2, &[blocks.name(block)]),
            Self::Heartbeat {
                term, beat, roster, ..
            } => fold(3, &[term.into(), beat.into(), key(roster)]),
            Self::Alive { term, beat } => fold(4, &[term.into(), beat.into()]),
            Self::Candidate { term, roster } => fold(5, &[term.into(), key(roster)]),
            Self::Grant { term } => fold(6, &[term.into()]),
            Self::Notice { term, roster } => fold(7, &[term.into(), key(roster)]),
        }
    }
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The next heartbeat of a term is due.
    Loop {
        /// The term.
        term: u32,
        /// Its number.
        beat: u32,
    },
    /// The lease should be looked at.
    Check {
        /// The instant for which this was set; a renewal moves it.
        at: Time,
    },
    /// A group is on stable storage.
    Written {
        /// The term in which it was received.
        term: u32,
        /// The group.
        block: BlockId,
    },
    /// A group should have been acknowledged.
    Unanswered {
        /// The term in which it was sent.
        term: u32,
        /// Its height.
        height: u32,
    },
    /// Promotion is complete.
    Promoted {
        /// The term won.
        term: u32,
    },
}

impl Content<Header> for Timer {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Loop { term, beat } => hash::fold_all(0, &[term.into(), beat.into()]),
            Self::Check { at } => hash::fold_all(1, &[at.ns()]),
            Self::Written { term, block } => hash::fold_all(2, &[term.into(), blocks.name(block)]),
            Self::Promoted { term } => hash::fold_all(3, &[term.into()]),
            Self::Unanswered { term, height } => hash::fold_all(4, &[term.into(), height.into()]),
        }
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    ttl: Span,
    loop_wait: Span,
    promote: Span,
    fsync: Span,
    limits: Limits,
}

/// What a node is.
#[derive(Debug)]
enum Role {
    Replica,
    Candidate(BTreeSet<NodeId>),
    Primary(Office),
}

/// What only a primary knows.
#[derive(Debug)]
struct Office {
    stage: Stage,
    beat: u32,
    beat_at: Time,
    /// Who answered the last heartbeat, the primary included.
    alive: BTreeSet<NodeId>,
    /// When each node was last heard of.
    heard: Vec<Time>,
    /// What the one who must acknowledge has acknowledged.
    acked: BlockId,
    /// Whether a group is being built or written.
    busy: bool,
    /// Whether the office waits for something to do.
    awaiting: bool,
}

/// How far an office is from committing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Elected, not yet promoted.
    Promoting,
    /// This node is being given the whole log.
    Probing(NodeId),
    /// A majority must store the new roster.
    Appointing,
    /// Groups commit.
    Serving,
}

/// An Append that must be acknowledged.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    from: NodeId,
    block: BlockId,
    /// Whether it is being written; else it waits for missing groups.
    writing: bool,
}

/// One node.
#[derive(Debug)]
pub struct Central {
    me: NodeId,
    majority: usize,
    rules: Rules,
    /// The highest term seen; no older one is acknowledged or granted.
    term: u32,
    roster: Roster,
    role: Role,
    /// The last committed group.
    head: BlockId,
    /// The end of the own log; above the head while a group is in flight.
    tail: BlockId,
    /// Until when the primary may lead: the own lease as primary, else the one given.
    lease_until: Time,
    /// The instant of the check that counts.
    check_at: Time,
    wanted: Option<Wanted>,
    /// The highest group that is known to be committed but is not here, or its ancestors are not.
    tip: Option<BlockId>,
    /// When missing groups may be asked for again.
    ask_again: Time,
    /// The missing group that was asked for last.
    hole: Option<BlockId>,
    /// A candidate that came before the given lease expired.
    early: Option<(NodeId, u32, Roster)>,
}

impl Engine for Central {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Baseline,
        electorate: Electorate::Operator,
        agreement: Agreement::Primary,
        standing: Standing::Deployable,
        final_holds_if: "the operator is honest",
        guarantee: Guarantee::Commit,
        bound: "none may lie; the primary or its standby may fail",
        quorum: "primary and standby",
        messages: "2 a group, and n − 2 to replicas",
        latency: "2d, and its writing",
        finality: "on the standby's acknowledgement",
        source: "PostgreSQL synchronous replication under Patroni",
    };
    const KINDS: &'static [&'static str] = &[
        "append",
        "ack",
        "commit",
        "heartbeat",
        "alive",
        "candidate",
        "grant",
        "notice",
    ];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        if nodes < 2 {
            let why = "one node has no standby".to_owned();
            return refuse(
                "nodes",
                why,
                "use at least 2, or 3 to survive the loss of one",
            );
        }
        if config.loop_wait_s == 0 || config.loop_wait_s >= config.ttl_s {
            let why = format!("{} s is not between 0 and the ttl", config.loop_wait_s);
            return refuse("loop_wait_s", why, "Patroni's are 10 and 30");
        }
        if !(config.fsync_ms >= 0.0 && config.fsync_ms < 1e6) {
            let why = format!("{} ms is not a time to write", config.fsync_ms);
            return refuse("fsync_ms", why, "measure it with pg_test_fsync");
        }
        Ok(())
    }

    fn committee(_: &Config, nodes: u32) -> Committee {
        Committee::equal(nodes)
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        let (primary, standby) = (committee.at(0), committee.at(1));
        let rules = Rules {
            ttl: Span::from_s(config.ttl_s),
            loop_wait: Span::from_s(config.loop_wait_s),
            promote: Span::from_ms(config.promote_ms),
            fsync: Span::from_ms_f64(config.fsync_ms),
            limits: Limits {
                bytes: config.block_bytes,
                txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                exec: match config.block_exec_ms {
                    0 => Span::MAX,
                    ms => Span::from_ms(ms),
                },
            },
        };
        Self {
            me,
            majority: majority(committee.len()) as usize,
            rules,
            term: 1,
            roster: Roster {
                term: 1,
                version: 0,
                primary,
                standby,
            },
            role: Role::Replica,
            head: GENESIS,
            tail: GENESIS,
            lease_until: Time::ZERO,
            check_at: Time::ZERO,
            wanted: None,
            tip: None,
            ask_again: Time::ZERO,
            hole: None,
            early: None,
        }
    }

    fn genesis(_: &Config) -> Header {
        Header { term: 0 }
    }

    fn finality(_: &Config, _: &Adversary) -> Result<Finality, String> {
        Ok(Finality::Commit)
    }

    /// One node may be down; both of the roster, or half of all, stop it. Nobody may lie. Groups
    /// form on demand: the interval is the shortest, two writes.
    fn promises(config: &Config, nodes: u32) -> Promises {
        Promises {
            byzantine: 0,
            crashed: u32::from(nodes > 2),
            quorum: 2,
            interval: Span::from_ms_f64(config.fsync_ms) * 2,
        }
    }

    /// The primary sends every group to all others.
    fn copies(_: &Config, nodes: u32) -> u32 {
        nodes - 1
    }

    fn execution(_: &Config) -> Execution {
        Execution::InTurn(1)
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => self.start(ctx, out),
            Input::Restarted => self.restart(ctx, out),
            Input::Pending => self.on_pending(ctx, out),
            Input::BlockBuilt(block) => self.on_built(block, ctx, out),
            Input::Timer(Timer::Written { term, block }) if term == self.term => {
                self.on_written(block, ctx, out);
            }
            Input::Timer(Timer::Unanswered { term, height }) if term == self.term => {
                self.on_unanswered(height, ctx, out);
            }
            Input::Timer(Timer::Promoted { term }) if term == self.term => {
                self.seek_standby(ctx, out);
            }
            Input::Timer(Timer::Loop { term, beat }) if term == self.term => {
                if matches!(&self.role, Role::Primary(office) if office.beat == beat) {
                    self.on_loop(ctx, out);
                }
            }
            Input::Timer(Timer::Check { at }) if at == self.check_at => self.on_check(ctx, out),
            Input::Timer(_) => {} // Stale.
            Input::Message { from, message } => self.on_message(from, message, ctx, out),
            Input::Body { block, from } => {
                // Asked for: below the end of the sender's log, hence committed.
                self.learn(block, from, ctx, out);
                self.append_wanted(ctx, out);
            }
            Input::Header { .. } | Input::Threshold(_) => {} // Never asked for.
        }
    }

    fn leader(&self, _: &Ctx<'_>) -> Option<NodeId> {
        Some(self.roster.primary)
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let small = |kind| Wire {
            kind,
            bytes: SMALL_BYTES,
            sign: Span::ZERO,
            check: Span::ZERO,
        };
        match *message {
            Message::Append { block, .. } => {
                let block = ctx.blocks.get(block);
                let chained = ctx.costs.hash(block.bytes);
                Wire {
                    kind: 0,
                    bytes: block.bytes + SMALL_BYTES,
                    sign: ctx.costs.build(block),
                    check: chained,
                }
            }
            Message::Ack { .. } => small(1),
            Message::Commit { .. } => small(2),
            Message::Heartbeat { .. } => small(3),
            Message::Alive { .. } => small(4),
            Message::Candidate { .. } => small(5),
            Message::Grant { .. } => small(6),
            Message::Notice { .. } => small(7),
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(message, Message::Ack { .. })
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Append { block, .. } if block != GENESIS => Some(block),
            _ => None,
        }
    }

    fn header_bytes(&self, _: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        ctx.costs.hash(ctx.blocks.get(block).bytes)
    }
}

/// Committing.
impl Central {
    fn start(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.lease_until = ctx.clock + self.rules.ttl;
        if self.me != self.roster.primary {
            return self.check_later(self.lease_until, out);
        }
        self.take_office(Stage::Serving, &BTreeSet::new(), ctx);
        self.on_loop(ctx, out);
        self.next_group(ctx, out);
    }

    /// Waits for something to do, unless a group is in flight or the lease is lost.
    fn next_group(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let ready = self.tail == self.head && ctx.clock < self.lease_until;
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        if ready && office.stage == Stage::Serving && !office.busy && !office.awaiting {
            office.awaiting = true;
            out.push(Effect::AwaitPending {
                count: 1,
                bytes: u64::MAX,
            });
        }
    }

    fn on_pending(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let ready = self.tail == self.head && ctx.clock < self.lease_until;
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        office.awaiting = false;
        if ready && office.stage == Stage::Serving && !office.busy {
            office.busy = true;
            out.push(Effect::BuildBlock {
                parent: self.tail,
                header: Header { term: self.term },
                limits: self.rules.limits,
                as_of: None,
                cost: Span::ZERO,
            });
        }
    }

    fn on_built(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let built = ctx.blocks.get(block);
        let current = (built.parent, built.header.term) == (Some(self.tail), self.term);
        if current && matches!(&self.role, Role::Primary(office) if office.busy) {
            self.write(block, ctx, out);
        }
    }

    fn write(&self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let term = self.term;
        out.timer(ctx.clock + self.rules.fsync, Timer::Written { term, block });
    }

    /// The primary now sends what it wrote; the standby acknowledges it.
    fn on_written(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let term = self.term;
        if let Role::Primary(office) = &mut self.role {
            if ctx.blocks.get(block).parent == Some(self.tail) {
                office.busy = false;
                self.tail = block;
                self.append(To::All, ctx, out);
            }
        } else if let Some(wanted) = self.wanted.take_if(|wanted| wanted.block == block) {
            if height(block, ctx) >= height(self.head, ctx) {
                self.tail = block;
            }
            out.send(To::One(wanted.from), Message::Ack { term, block });
        }
    }

    /// Sends the end of the log.
    fn append(&self, to: To, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &self.role else {
            return;
        };
        let ack = match office.stage {
            Stage::Probing(candidate) => candidate,
            _ => self.roster.standby,
        };
        let (term, block) = (self.term, self.tail);
        out.send(to, Message::Append { term, block, ack });
        if office.stage == Stage::Serving {
            let height = height(block, ctx);
            out.timer(ctx.clock + RETRY, Timer::Unanswered { term, height });
        }
    }

    /// A message was lost, to the standby or its answer. Others who lack the group hear of it with
    /// the next Commit or Heartbeat.
    fn on_unanswered(&self, sent: u32, ctx: &Ctx<'_>, out: &mut Out) {
        let open = self.tail != self.head && sent == height(self.tail, ctx);
        if open && matches!(&self.role, Role::Primary(office) if office.stage == Stage::Serving) {
            self.append(To::One(self.roster.standby), ctx, out);
        }
    }

    /// Upon receiving Append as the one who must acknowledge it. In one term the log only grows:
    /// what ends below its known end was overtaken, and nobody waits for its Ack any more.
    fn want(&mut self, from: NodeId, block: BlockId, ctx: &Ctx<'_>) {
        let tail = ctx.blocks.find(self.tail);
        let logged = tail.is_some_and(|tail| tail.header.term == self.term);
        let logged = logged.then_some(self.tail);
        let wanted = self.wanted.map(|w| w.block);
        let overtaken = |end| height(block, ctx) < height(end, ctx);
        let in_hand = wanted == Some(block); // Its Ack follows anyway.
        if in_hand || logged.into_iter().chain(wanted).any(overtaken) {
            return;
        }
        self.wanted = Some(Wanted {
            from,
            block,
            writing: false,
        });
    }

    /// Writes what must be acknowledged once everything below it is here.
    fn append_wanted(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(wanted) = self.wanted.filter(|wanted| !wanted.writing) else {
            return;
        };
        match self.path_to(wanted.block, ctx) {
            Path::Missing(hole) => self.ask(wanted.from, Some(hole), ctx, out),
            Path::Complete | Path::Known => {
                let writing = true;
                self.wanted = Some(Wanted { writing, ..wanted });
                self.write(wanted.block, ctx, out);
            }
        }
    }

    /// Upon receiving Ack of the whole log.
    fn on_ack(&mut self, from: NodeId, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        office.heard[from.index()] = ctx.clock;
        match office.stage {
            Stage::Probing(candidate) if (candidate, self.tail) == (from, block) => {
                office.acked = block;
                self.appoint(from, ctx, out);
            }
            Stage::Serving if (self.roster.standby, self.tail) == (from, block) => {
                office.acked = block;
                self.commit_acked(ctx, out);
            }
            Stage::Promoting | Stage::Probing(_) | Stage::Appointing | Stage::Serving => {}
        }
    }

    fn commit_acked(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &self.role else {
            return;
        };
        let block = office.acked;
        if block == self.tail && block != self.head {
            self.import(block, ctx, out);
            out.send(To::All, Message::Commit { block });
        }
        self.next_group(ctx, out);
    }
}

/// The way from the head to a group.
enum Path {
    /// The head or below.
    Known,
    /// All here.
    Complete,
    /// This is not here, and perhaps more below.
    Missing(BlockId),
}

/// That of a group; one that is forgotten lies below all others.
fn height(block: BlockId, ctx: &Ctx<'_>) -> u32 {
    ctx.blocks.find(block).map_or(0, |block| block.height)
}

/// Following.
impl Central {
    fn path_to(&self, tip: BlockId, ctx: &Ctx<'_>) -> Path {
        let floor = height(self.head, ctx);
        let mut at = tip;
        while at != self.head {
            let Some(block) = ctx.blocks.find(at).filter(|b| b.height > floor) else {
                return Path::Known;
            };
            if !ctx.holds(at) {
                return Path::Missing(at);
            }
            at = block.parent.expect("only the genesis block has no parent");
        }
        if tip == self.head {
            Path::Known
        } else {
            Path::Complete
        }
    }

    /// Upon learning that a group is committed.
    fn learn(&mut self, tip: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(hole) = self.import(tip, ctx, out) else {
            return;
        };
        if !self.is_on_its_way(hole, ctx) {
            self.ask(from, Some(hole), ctx, out);
        }
    }

    /// Whether a Commit has only overtaken the Append of its group, which left before it: asking
    /// would send the group twice. So it is when all below is here, and its primary still leads.
    fn is_on_its_way(&self, hole: BlockId, ctx: &Ctx<'_>) -> bool {
        let group = ctx.blocks.get(hole);
        Some(hole) == self.tip
            && group.header.term == self.term
            && group.parent.is_some_and(|parent| ctx.holds(parent))
    }

    /// Commits everything up to a group, or remembers it and names what is missing.
    fn import(&mut self, tip: BlockId, ctx: &Ctx<'_>, out: &mut Out) -> Option<BlockId> {
        match self.path_to(tip, ctx) {
            Path::Known => None,
            Path::Missing(hole) => {
                let known = self.tip.map_or(0, |tip| height(tip, ctx));
                if height(tip, ctx) > known {
                    self.tip = Some(tip);
                }
                Some(hole)
            }
            Path::Complete => {
                for at in height(self.head, ctx) + 1..=height(tip, ctx) {
                    let block = ctx.blocks.ancestor(tip, at).expect("above the head");
                    out.push(Effect::Adopt(block));
                    out.push(Effect::Commit(block));
                }
                self.head = tip;
                if !ctx.blocks.extends(self.tail, tip) {
                    self.tail = tip; // What was logged beside it never committed.
                }
                let tip = self.tip.take()?;
                self.import(tip, ctx, out)
            }
        }
    }

    /// Asks for missing groups, unless an answer is probably on its way. A whole chain comes by
    /// Sync, a hole below groups that are here by Fetch.
    fn ask(&mut self, from: NodeId, hole: Option<BlockId>, ctx: &Ctx<'_>, out: &mut Out) {
        let due = ctx.clock >= self.ask_again;
        if due {
            self.ask_again = ctx.clock + RETRY;
            out.push(Effect::Sync { from });
        }
        if let Some(block) = hole.filter(|_| due || hole != self.hole) {
            self.hole = hole;
            out.push(Effect::Fetch { block, from });
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>, out: &mut Out) {
        match message {
            Message::Commit { block } => self.learn(block, from, ctx, out),
            Message::Notice { term, roster } => self.on_notice(term, roster, ctx, out),
            Message::Candidate { term, roster } => self.on_candidate(from, term, roster, ctx, out),
            Message::Append { term, .. } | Message::Heartbeat { term, .. } if term < self.term => {
                self.notify(from, out);
            }
            Message::Append { term, block, ack } => {
                self.follow(term, ctx, out);
                if ack == self.me {
                    self.want(from, block, ctx);
                }
                // It may be what a Commit or a later Append that overtook it waits for.
                if let Some(tip) = self.tip {
                    self.learn(tip, from, ctx, out);
                }
                self.append_wanted(ctx, out);
            }
            Message::Heartbeat {
                term,
                beat,
                roster,
                head,
            } => {
                self.follow(term, ctx, out);
                self.roster = self.roster.max(roster);
                self.lease_until = ctx.clock + self.rules.ttl;
                self.early = None;
                self.check_later(self.lease_until, out);
                out.send(To::One(from), Message::Alive { term, beat });
                if let Some(hole) = self.import(head, ctx, out) {
                    self.ask(from, Some(hole), ctx, out);
                }
            }
            Message::Ack { term, block } if term == self.term => self.on_ack(from, block, ctx, out),
            Message::Alive { term, beat } if term == self.term => {
                self.on_alive(from, beat, ctx, out);
            }
            Message::Grant { term } if term == self.term + 1 => self.on_grant(from, ctx, out),
            Message::Ack { .. } | Message::Alive { .. } | Message::Grant { .. } => {} // Stale.
        }
    }

    /// Becomes a replica in a term that another leads or wants to lead.
    fn follow(&mut self, term: u32, ctx: &Ctx<'_>, out: &mut Out) {
        if term > self.term {
            self.term = term;
            self.wanted = None;
        }
        if !matches!(self.role, Role::Replica) {
            self.role = Role::Replica;
            self.check_later(ctx.clock + self.rules.loop_wait, out);
        }
    }

    fn notify(&self, to: NodeId, out: &mut Out) {
        let (term, roster) = (self.term, self.roster);
        out.send(To::One(to), Message::Notice { term, roster });
    }

    fn on_notice(&mut self, term: u32, roster: Roster, ctx: &Ctx<'_>, out: &mut Out) {
        self.roster = self.roster.max(roster);
        if term > self.term {
            self.follow(term, ctx, out);
        }
    }

    fn restart(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.wanted = None;
        if let Role::Primary(office) = &mut self.role {
            // What was being built or written is lost; what is in the log is sent again.
            office.busy = false;
            office.awaiting = false;
            let (term, stage) = (self.term, office.stage);
            if stage == Stage::Promoting {
                out.timer(ctx.clock + self.rules.promote, Timer::Promoted { term });
            }
            self.on_loop(ctx, out);
            if stage == Stage::Serving && self.tail != self.head {
                self.append(To::All, ctx, out);
            }
        } else {
            self.role = Role::Replica;
            let Roster {
                primary, standby, ..
            } = self.roster;
            let from = if self.me == primary { standby } else { primary };
            self.ask(from, None, ctx, out);
            self.check_later(ctx.clock.max(self.lease_until) + self.rules.loop_wait, out);
        }
    }
}

/// Leading.
impl Central {
    fn take_office(&mut self, stage: Stage, voters: &BTreeSet<NodeId>, ctx: &Ctx<'_>) {
        // In the first term everybody counts as heard of; later, who voted.
        let first = voters.is_empty();
        let heard = |node| {
            if first || voters.contains(&NodeId::new(node)) {
                ctx.clock
            } else {
                Time::ZERO
            }
        };
        self.role = Role::Primary(Office {
            stage,
            beat: 0,
            beat_at: ctx.clock,
            alive: BTreeSet::new(),
            heard: (0..ctx.nodes).map(heard).collect(),
            acked: GENESIS,
            busy: false,
            awaiting: false,
        });
    }

    /// Every `loop_wait`: heartbeat, replace a silent standby.
    fn on_loop(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.beat(ctx, out);
        let Role::Primary(office) = &self.role else {
            return;
        };
        let silent = ctx
            .clock
            .saturating_since(office.heard[self.roster.standby.index()]);
        match office.stage {
            Stage::Promoting => {}
            Stage::Probing(_) => self.seek_standby(ctx, out),
            Stage::Appointing | Stage::Serving if silent >= self.rules.ttl => {
                self.seek_standby(ctx, out);
            }
            Stage::Appointing | Stage::Serving => {}
        }
    }

    fn beat(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        office.beat += 1;
        office.beat_at = ctx.clock;
        office.alive = BTreeSet::from([self.me]);
        let (term, beat, roster, head) = (self.term, office.beat, self.roster, self.head);
        out.send(
            To::All,
            Message::Heartbeat {
                term,
                beat,
                roster,
                head,
            },
        );
        out.timer(ctx.clock + self.rules.loop_wait, Timer::Loop { term, beat });
    }

    /// Upon Alive of a majority: the lease is renewed, and the roster that was sent is stored.
    fn on_alive(&mut self, from: NodeId, beat: u32, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        office.heard[from.index()] = ctx.clock;
        if beat != office.beat {
            return;
        }
        office.alive.insert(from);
        if office.alive.len() >= self.majority {
            self.lease_until = office.beat_at + self.rules.ttl;
            if office.stage == Stage::Appointing {
                office.stage = Stage::Serving;
                if office.acked != self.tail {
                    self.append(To::All, ctx, out);
                }
            }
            self.commit_acked_if_serving(ctx, out);
        }
    }

    fn commit_acked_if_serving(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if matches!(&self.role, Role::Primary(office) if office.stage == Stage::Serving) {
            self.commit_acked(ctx, out);
        }
    }

    /// Sends the whole log to the next node that was heard of within the ttl.
    fn seek_standby(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        let after = match office.stage {
            Stage::Probing(last) => last,
            Stage::Promoting => self.me,
            Stage::Appointing | Stage::Serving => self.roster.standby,
        };
        let live = |node: &NodeId| {
            let silent = ctx.clock.saturating_since(office.heard[node.index()]);
            *node != self.me && silent < self.rules.ttl
        };
        let ring = (1..=ctx.nodes).map(|step| NodeId::new((after.get() + step) % ctx.nodes));
        let next = ring.into_iter().find(live);
        // With nobody to ask it looks again at the next loop: nothing commits without a standby.
        office.stage = Stage::Probing(next.unwrap_or(self.me));
        if let Some(candidate) = next {
            self.append(To::One(candidate), ctx, out);
        }
    }

    fn appoint(&mut self, standby: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Primary(office) = &mut self.role else {
            return;
        };
        office.stage = Stage::Appointing;
        let version = if self.roster.term == self.term {
            self.roster.version + 1
        } else {
            0
        };
        self.roster = Roster {
            term: self.term,
            version,
            primary: self.me,
            standby,
        };
        self.beat(ctx, out);
    }

    fn check_later(&mut self, at: Time, out: &mut Out) {
        self.check_at = at;
        out.timer(at, Timer::Check { at });
    }

    /// Upon the end of a lease, and every `loop_wait` after it.
    fn on_check(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if matches!(self.role, Role::Primary(_)) {
            return;
        }
        let expired = ctx.clock.saturating_since(self.lease_until);
        self.check_later(ctx.clock + self.rules.loop_wait, out);
        if let Some((from, term, roster)) = self.early.take() {
            return self.on_candidate(from, term, roster, ctx, out);
        }
        if self.me == self.roster.standby
            || self.me == self.roster.primary && expired >= self.rules.loop_wait
        {
            self.stand(ctx, out);
        } else {
            self.notify(self.roster.standby, out);
        }
    }

    fn stand(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.role = Role::Candidate(BTreeSet::new());
        let (term, roster) = (self.term + 1, self.roster);
        out.push(Effect::RoundChange { round: term });
        out.send(To::All, Message::Candidate { term, roster });
        self.on_grant(self.me, ctx, out);
    }

    fn on_candidate(
        &mut self,
        from: NodeId,
        term: u32,
        roster: Roster,
        ctx: &Ctx<'_>,
        out: &mut Out,
    ) {
        let voted = matches!(self.role, Role::Candidate(_)) && term == self.term + 1;
        if term <= self.term || roster < self.roster {
            self.notify(from, out);
        } else if voted {
            // For itself.
        } else if ctx.clock >= self.lease_until {
            self.follow(term, ctx, out);
            out.send(To::One(from), Message::Grant { term });
        } else {
            self.early = Some((from, term, roster));
        }
    }

    fn on_grant(&mut self, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Role::Candidate(votes) = &mut self.role else {
            return;
        };
        votes.insert(from);
        if votes.len() >= self.majority {
            let voters = core::mem::take(votes);
            self.term += 1;
            self.wanted = None;
            self.take_office(Stage::Promoting, &voters, ctx);
            self.lease_until = ctx.clock; // Until a majority answers the first heartbeat.
            let term = self.term;
            out.timer(ctx.clock + self.rules.promote, Timer::Promoted { term });
            self.beat(ctx, out);
        }
    }
}
