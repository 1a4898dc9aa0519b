//! Keyless signatures as Guardtime's KSI makes them: hashes are gathered in a tree in rounds, and a core
//! agrees on one root a second; the entry of the calendar has the same size whatever the load.
//!
//! source: Buldas, Kroonmaa, Laanoja, "Keyless Signatures' Infrastructure", 2013 (eprint 2013/834:
//! gateways, aggregators, core, calendar); guardtime/libksi@146d495 (round of one second, sizes of its
//! test signatures). What the core's members say to each other, how many they are and when aggregators
//! close their rounds is not published: what follows about them is our own.
//!
//! Every node is the gateway of its sites. Gateways are the leaves of a tree of `levels` levels of
//! aggregators, each of which gathers `fan_out` below it and lives at the first gateway of its subtree.
//! The first `core` nodes are the core.
//!
//! - Upon the end of its round: a gateway sends a root over what its sites submitted, an aggregator one
//!   over the roots that arrived, to the aggregator above; the topmost to all members of the core.
//! - Upon receiving a root: keep it for the own round; a later one of the same gateway replaces it.
//! - Upon second `s`, as the core's leader of `s`, the `s`-th in turn: if the entry of `s − 1` is committed,
//!   propose an entry on it that covers all roots that arrived; else send Collect(s).
//! - Upon Collect(s) with `s` above all that was promised: promise to acknowledge nothing older, and answer
//!   with the latest entry acknowledged.
//! - Upon promises of a majority: propose an entry for `s` on the latest entry among them.
//! - Upon Propose(s) of the leader of `s`, not older than promised and later than what was acknowledged,
//!   on a chain that is all here: acknowledge it.
//! - Upon acknowledgements of a majority: commit it with all below, and send Entry to all nodes.
//! - Upon Entry: commit it with all below, or ask the sender for what is missing.
//!
//! A second in which no majority can be reached has no entry; the next one covers what it lacks.
//!
//! Deviations:
//! - A root whose answer never comes is asked for again with the gateway's next round; here later roots
//!   cover what earlier ones did.
//! - Each aggregator is one machine, which may crash; KSI has clusters of them.
//! - Answers go from the core to the gateways directly, not down the tree.
//! - Gateways and aggregators hash for free: two hashes a request.
//! - Entries are not published in newspapers: what that would bind is not simulated.
//!
//! It proves that something existed at a time. It knows no consent and no double spending: figures
//! about them do not apply ([`Family::Integrity`]).
//!
//! Finality: on commit, if no member of the core lies.
//!
//! Messages a second: a root from each gateway and aggregator that is not at the node above, times the
//! core for the topmost; `2(c−1)` in the core of `c`; `n−1` entries. A proof is there after a round and
//! half a second for each wait, two ways in the core, and one back.

use crate::Presets;
use crate::mutants::{Mutant, broken};
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Execution, Facts, Family, Finality, Guarantee, Input, Invalid, NodeId, Outbox,
    Promises, RootsId, Span, Standing, Time, To, Wire, hash, majority,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Ksi>;

const GENESIS: BlockId = Blocks::<Header>::GENESIS;

/// A calendar entry: a leaf and an inner node of 33 B. source: Buldas et al. 2013; SHA-256 imprints.
const ENTRY_BYTES: u64 = 66;
/// An aggregation request: an imprint of 33 B, login, header, and a MAC of 33 B.
/// assumption: about as much as libksi's `aggr_req` with a short login.
const ROOT_BYTES: u64 = 128;
/// assumption: a few numbers, an imprint and a signature.
const CORE_BYTES: u64 = 160;

/// When the levels of the tree close their rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Offset {
    /// Each level so many milliseconds before the one above, the topmost before the core.
    Each(u64),
    /// At an instant of the round that every gateway and aggregator draws for itself.
    Drawn(Drawn),
}

/// The word for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drawn {
    /// `"random"`.
    Random,
}

config! {
    /// Parameters of the infrastructure.
    {
        /// Members of the core: the first so many nodes, or all where there are fewer.
        core: u32,
        /// Levels of aggregators between gateways and core.
        levels: u32,
        /// How many each aggregator gathers.
        fan_out: u32,
        /// Length of a round at all levels, and time between calendar entries, ms.
        round_ms: u64,
        /// When rounds end: ms by which each level ends before the one above, or `"random"`.
        offset_ms: Offset,
        /// Bytes of a signature, with which every gateway is answered.
        signature_bytes: u64,
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["ksi"];

    fn preset(name: &str) -> Option<Self> {
        (name == "ksi").then_some(Self {
            // assumption: not published; a majority survives two crashes.
            core: 5,
            // assumption: two or three levels; fan-out for consortia of tens of organisations.
            levels: 2,
            fan_out: 4,
            // source: guardtime/libksi@146d495 `t4_async_interface.md`: "round interval … 1 sec".
            round_ms: 1_000,
            // assumption: not published, hence no order among them.
            offset_ms: Offset::Drawn(Drawn::Random),
            // source: guardtime/libksi@146d495 `test/resource/tlv/ok-sig-*.ksig`: 2,345 to 2,553 B.
            signature_bytes: 2_450,
        })
    }
}

/// What a calendar entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its second, counted in rounds.
    pub second: u32,
}

/// What nodes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A root for the aggregator of a level; one above the last is the core.
    Root {
        /// The level that gathers it.
        level: u32,
        /// What it covers.
        roots: RootsId,
        /// The round that it ends, which tells it from others.
        round: u64,
    },
    /// The leader of a second asks what was acknowledged.
    Collect {
        /// The second.
        second: u32,
    },
    /// The answer.
    Promise {
        /// The second.
        second: u32,
        /// The latest entry acknowledged.
        accepted: BlockId,
    },
    /// An entry to acknowledge, which travels with it.
    Propose(BlockId),
    /// The sender acknowledges an entry.
    Ack(BlockId),
    /// A committed entry, which travels with it, and the receiver's signature.
    Entry(BlockId),
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            // Sender and receiver are hashed with it, and tell whose root it is.
            Self::Root { level, round, .. } => hash::fold_all(0, &[level.into(), round]),
            Self::Collect { second } => hash::fold_all(1, &[second.into()]),
            Self::Promise { second, accepted } => {
                hash::fold_all(2, &[second.into(), blocks.name(accepted)])
            }
            Self::Propose(block) => hash::fold_all(3, &[blocks.name(block)]),
            Self::Ack(block) => hash::fold_all(4, &[blocks.name(block)]),
            Self::Entry(block) => hash::fold_all(5, &[blocks.name(block)]),
        }
    }
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// A round ends.
    Close {
        /// Of the gateway, 0, or the aggregator of a level.
        level: u32,
        /// The round.
        round: u64,
    },
    /// A calendar second begins.
    Second {
        /// Which.
        second: u32,
    },
}

impl Content<Header> for Timer {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        match *self {
            Self::Close { level, round } => hash::fold_all(0, &[level.into(), round]),
            Self::Second { second } => hash::fold_all(1, &[second.into()]),
        }
    }
}

/// Up to when each gateway is covered.
type Covered = BTreeMap<NodeId, Time>;

/// What the leader of a second does.
#[derive(Debug)]
enum Lead {
    Idle,
    /// It collects promises: who, and the latest entry of each.
    Collecting {
        second: u32,
        promises: BTreeMap<NodeId, BlockId>,
    },
    /// The entry is being made.
    Sealing {
        second: u32,
    },
    /// It collects acknowledgements.
    Proposed {
        block: BlockId,
        acks: Vec<NodeId>,
    },
}

/// One node.
#[derive(Debug)]
pub struct Ksi {
    me: NodeId,
    round: Span,
    levels: u32,
    fan_out: u64,
    offset: Offset,
    signature_bytes: u64,
    quorum: usize,
    member: bool,
    /// By level, when in a round the own gateway and aggregators close it.
    phases: Vec<Span>,
    /// By level, from 1: what arrived for the aggregator here; at the end for the core.
    arrived: Vec<Covered>,
    /// Nothing older than this second is acknowledged.
    promised: u32,
    /// The latest entry acknowledged.
    accepted: BlockId,
    committed: BlockId,
    committed_height: u32,
    lead: Lead,
    /// What lacks something below: an entry to commit, and one to acknowledge with its leader.
    entry: Option<BlockId>,
    proposal: Option<(NodeId, BlockId)>,
    /// The missing block that was asked for last, and when.
    asked: Option<(BlockId, Time)>,
}

impl Engine for Ksi {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Integrity,
        electorate: Electorate::Appointed,
        agreement: Agreement::LeaderLog,
        standing: Standing::Deployable,
        final_holds_if: "no member of the core lies",
        guarantee: Guarantee::Commit,
        bound: "none may lie; ⌊(c−1)/2⌋ of a core of c may be down, the topmost aggregator may not",
        quorum: "⌊c/2⌋ + 1 of the core",
        messages: "2(c−1) + n−1, and a root from each gateway and aggregator",
        latency: "half a round at each of levels + 2 waits, 3d and 1d a level",
        finality: "on a majority of the core, once a second",
        source: "Buldas et al. 2013; guardtime/libksi@146d495; the core's rules are assumed",
    };
    const KINDS: &'static [&'static str] =
        &["root", "collect", "promise", "propose", "ack", "entry"];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, _: u32) -> Result<(), Invalid> {
        match refusal(config) {
            None => Ok(()),
            Some((key, why, hint)) => Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            }),
        }
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        Committee::equal(config.core.min(nodes))
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            me,
            round: Span::from_ms(config.round_ms),
            levels: config.levels,
            fan_out: config.fan_out.into(),
            offset: config.offset_ms,
            signature_bytes: config.signature_bytes,
            quorum: majority(committee.len()) as usize,
            member: committee.position(me).is_some(),
            phases: Vec::new(),
            arrived: vec![Covered::new(); config.levels as usize + 1],
            promised: 0,
            accepted: GENESIS,
            committed: GENESIS,
            committed_height: 0,
            lead: Lead::Idle,
            entry: None,
            proposal: None,
            asked: None,
        }
    }

    fn genesis(_: &Config) -> Header {
        Header { second: 0 }
    }

    fn finality(_: &Config, _: &Adversary) -> Result<Finality, String> {
        Ok(Finality::Commit)
    }

    /// The core bears ⌊(c−1)/2⌋ that are down, but without the topmost aggregator no hash reaches it, and
    /// here that is one machine.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let c = config.core.min(nodes);
        Promises {
            byzantine: 0,
            crashed: 0,
            quorum: majority(c),
            interval: Span::from_ms(config.round_ms),
        }
    }

    /// Entries cover transactions and do not carry them.
    fn execution(_: &Config) -> Execution {
        Execution::Free
    }

    fn least_interval(_: &Config, _: u32) -> Option<Span> {
        None
    }

    fn handle(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => {
                self.draw_phases(draws);
                self.set_timers(ctx, out);
            }
            Input::Restarted => self.restart(ctx, draws, out),
            Input::Timer(Timer::Close { level, round }) => self.close(level, round, ctx, out),
            Input::Timer(Timer::Second { second }) => self.on_second(second, ctx, out),
            Input::BlockBuilt(block) => self.on_sealed(block, ctx, out),
            Input::Message { from, message } => self.on_message(from, message, ctx, out),
            Input::Body { from, .. } => self.resume(from, ctx, out),
            // Nothing is announced, voted for by ballot, or awaited.
            Input::Header { .. } | Input::Threshold(_) | Input::Pending => {}
        }
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let costs = ctx.costs;
        let (kind, bytes) = match message {
            Message::Root { .. } => (0, ROOT_BYTES),
            Message::Collect { .. } => (1, CORE_BYTES),
            Message::Promise { .. } => (2, CORE_BYTES),
            Message::Propose(_) => (3, CORE_BYTES + ENTRY_BYTES),
            Message::Ack(_) => (4, CORE_BYTES),
            Message::Entry(_) => (5, ENTRY_BYTES + self.signature_bytes),
        };
        // Requests carry a MAC, members of the core sign.
        let (sign, check) = match kind {
            0 => (costs.hash(ROOT_BYTES), costs.hash(ROOT_BYTES)),
            _ => (costs.sign, costs.verify),
        };
        Wire {
            kind,
            bytes,
            sign,
            check,
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(message, Message::Ack(_) | Message::Promise { .. })
    }

    fn carries(message: &Message) -> Option<BlockId> {
        match *message {
            Message::Propose(block) | Message::Entry(block) => Some(block),
            _ => None,
        }
    }

    fn header_bytes(&self, _: &Header, _: &Ctx<'_>) -> u64 {
        ENTRY_BYTES
    }

    fn check_block(&self, _: BlockId, ctx: &Ctx<'_>) -> Span {
        ctx.costs.verify + ctx.costs.hash(ENTRY_BYTES)
    }
}

/// Rounds.
impl Ksi {
    fn draw_phases(&mut self, draws: &mut Draws) {
        let round = self.round.ns();
        let phase = |level: u32| match self.offset {
            Offset::Drawn(Drawn::Random) => draws.below(round),
            Offset::Each(ms) => {
                let before = u64::from(self.levels + 1 - level) * Span::from_ms(ms).ns() % round;
                (round - before) % round
            }
        };
        self.phases = (0..=self.levels).map(phase).map(Span::from_ns).collect();
    }

    /// Whether the aggregator of a level is here; level 0 is the gateway.
    fn hosts(&self, level: u32) -> bool {
        self.host(level) == self.me
    }

    /// Where the aggregator of a level above this gateway is.
    fn host(&self, level: u32) -> NodeId {
        let me = u64::from(self.me.get());
        let subtree = self.fan_out.saturating_pow(level);
        NodeId::new((me - me % subtree) as u32)
    }

    fn set_timers(&self, ctx: &Ctx<'_>, out: &mut Out) {
        for level in 0..=self.levels {
            if self.hosts(level) {
                self.set_close(level, ctx, out);
            }
        }
        if self.member {
            self.set_second(ctx, out);
        }
    }

    fn set_close(&self, level: u32, ctx: &Ctx<'_>, out: &mut Out) {
        let (phase, length) = (self.phases[level as usize].ns(), self.round.ns());
        let now = ctx.wall().ns();
        let round = (now + length).saturating_sub(phase) / length;
        let at = ctx.at_wall(Time::from_ns(phase + round * length));
        out.timer(at, Timer::Close { level, round });
    }

    fn set_second(&self, ctx: &Ctx<'_>, out: &mut Out) {
        let second = ctx.wall().ns() / self.round.ns() + 1;
        let at = ctx.at_wall(Time::ZERO + self.round * second);
        let second = second as u32;
        out.timer(at, Timer::Second { second });
    }

    fn restart(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        if self.phases.is_empty() {
            self.draw_phases(draws); // It was down when the run began.
        }
        (self.lead, self.asked) = (Lead::Idle, None);
        self.set_timers(ctx, out);
        let first = u64::from(self.me.get());
        let mut near = (1..=2).map(|step| ctx.committee.at(first + step));
        if let Some(from) = near.find(|node| *node != self.me) {
            out.push(Effect::Sync { from });
        }
    }

    /// Upon the end of a round.
    fn close(&mut self, level: u32, round: u64, ctx: &Ctx<'_>, out: &mut Out) {
        self.set_close(level, ctx, out);
        let covered: Vec<(NodeId, Time)> = match level {
            0 => vec![(self.me, ctx.clock)],
            _ => list(&self.arrived[level as usize - 1]),
        };
        if covered.is_empty() {
            return;
        }
        let above = level + 1;
        if above > self.levels {
            if self.member {
                merge(&mut self.arrived[level as usize], &covered);
            }
            if !self.member || ctx.committee.len() > 1 {
                let roots = out.roots.intern(&covered);
                let level = above;
                let root = Message::Root {
                    level,
                    roots,
                    round,
                };
                out.send(To::Committee, root);
            }
        } else if self.hosts(above) {
            merge(&mut self.arrived[level as usize], &covered);
        } else {
            let roots = out.roots.intern(&covered);
            let root = Message::Root {
                level: above,
                roots,
                round,
            };
            out.send(To::One(self.host(above)), root);
        }
    }
}

/// The core.
impl Ksi {
    fn second_of(block: BlockId, ctx: &Ctx<'_>) -> u32 {
        ctx.blocks.find(block).map_or(0, |b| b.header.second)
    }

    /// Upon a second, at a member of the core.
    fn on_second(&mut self, second: u32, ctx: &Ctx<'_>, out: &mut Out) {
        self.set_second(ctx, out);
        if ctx.committee.at(second.into()) != self.me || second < self.promised {
            return;
        }
        if Self::second_of(self.committed, ctx) + 1 == second {
            return self.seal(second, self.committed, out);
        }
        out.push(Effect::RoundChange { round: second });
        self.promised = second;
        let promises = BTreeMap::from([(self.me, self.accepted)]);
        self.lead = Lead::Collecting { second, promises };
        if ctx.committee.len() > 1 {
            out.send(To::Committee, Message::Collect { second });
        }
        self.count_promises(self.me, ctx, out);
    }

    fn seal(&mut self, second: u32, parent: BlockId, out: &mut Out) {
        self.lead = Lead::Sealing { second };
        let covered = list(&self.arrived[self.levels as usize]);
        let roots = out.roots.intern(&covered);
        out.push(Effect::Seal {
            parent,
            header: Header { second },
            roots,
            cost: Span::ZERO, // Its signature is charged to the proposal.
        });
    }

    /// Upon a promise, or a body that a promise named.
    fn count_promises(&mut self, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Lead::Collecting { second, promises } = &self.lead else {
            return;
        };
        if promises.len() < self.quorum || *second < self.promised {
            return;
        }
        let latest = promises.values().copied();
        let latest = latest.max_by_key(|block| Self::second_of(*block, ctx));
        let latest = if broken(Mutant::KsiPromise) {
            Some(self.accepted)
        } else {
            latest
        };
        let (second, parent) = (*second, latest.expect("a majority"));
        if self.missing(parent, ctx).is_some() {
            self.ask_below(parent, from, ctx, out);
        } else {
            self.seal(second, parent, out);
        }
    }

    /// Upon the own entry being made.
    fn on_sealed(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let made = Self::second_of(block, ctx);
        let current = matches!(self.lead, Lead::Sealing { second } if second == made);
        if !current || made < self.promised {
            return;
        }
        self.accept(block, made, out);
        self.lead = Lead::Proposed {
            block,
            acks: Vec::with_capacity(self.quorum),
        };
        if ctx.committee.len() > 1 {
            out.send(To::Committee, Message::Propose(block));
        }
        self.count_ack(self.me, block, ctx, out);
    }

    fn accept(&mut self, block: BlockId, second: u32, out: &mut Out) {
        (self.accepted, self.promised) = (block, second);
        out.push(Effect::Adopt(block));
    }

    fn on_message(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>, out: &mut Out) {
        match message {
            Message::Root { level, roots, .. } => {
                if let Some(arrived) = self.arrived.get_mut(level as usize - 1) {
                    merge(arrived, out.roots.get(roots));
                }
            }
            Message::Entry(block) => {
                self.import(block, from, ctx, out);
                self.resume(from, ctx, out);
            }
            _ if !self.member || ctx.committee.position(from).is_none() => {}
            Message::Collect { second } => {
                if second > self.promised && ctx.committee.at(second.into()) == from {
                    self.promised = second;
                    let accepted = self.accepted;
                    out.send(To::One(from), Message::Promise { second, accepted });
                }
            }
            Message::Promise { second, accepted } => {
                if let Lead::Collecting {
                    second: own,
                    promises,
                } = &mut self.lead
                    && *own == second
                {
                    promises.insert(from, accepted);
                    self.count_promises(from, ctx, out);
                }
            }
            Message::Propose(block) => {
                self.on_propose(from, block, ctx, out);
                self.resume(from, ctx, out);
            }
            Message::Ack(block) => self.count_ack(from, block, ctx, out),
        }
    }

    /// Upon an entry to acknowledge.
    fn on_propose(&mut self, from: NodeId, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let second = Self::second_of(block, ctx);
        let fresh = second >= self.promised && second > Self::second_of(self.accepted, ctx);
        if !fresh || ctx.committee.at(second.into()) != from {
            return;
        }
        if self.missing(block, ctx).is_some() {
            self.proposal = Some((from, block));
            return; // `resume` asks for what is below.
        }
        if ctx.blocks.extends(block, self.committed) {
            self.accept(block, second, out);
            out.send(To::One(from), Message::Ack(block));
        }
    }

    /// Upon an acknowledgement.
    fn count_ack(&mut self, from: NodeId, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let Lead::Proposed { block: own, acks } = &mut self.lead else {
            return;
        };
        if *own != block || acks.contains(&from) {
            return;
        }
        acks.push(from);
        if acks.len() == self.quorum {
            if ctx.nodes > 1 {
                out.send(To::All, Message::Entry(block));
            }
            self.import(block, self.me, ctx, out);
        }
    }
}

/// The calendar.
impl Ksi {
    /// Upon a committed entry.
    fn import(&mut self, tip: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(block) = ctx.blocks.find(tip) else {
            return;
        };
        if block.height <= self.committed_height {
            return;
        }
        if self.missing(tip, ctx).is_some() {
            let height = |id| ctx.blocks.find(id).map_or(0, |b| b.height);
            if self.entry.is_none_or(|other| height(other) < block.height) {
                self.entry = Some(tip);
            }
            return self.ask_below(tip, from, ctx, out);
        }
        if !ctx.blocks.extends(tip, self.committed) {
            return; // Beyond the bound.
        }
        if !ctx.blocks.extends(self.accepted, tip) {
            // What was acknowledged and not committed gives way.
            self.accepted = tip;
            self.promised = self.promised.max(block.header.second);
            out.push(Effect::Adopt(tip));
        }
        for height in self.committed_height + 1..=block.height {
            let entry = ctx.blocks.ancestor(tip, height);
            out.push(Effect::Commit(entry.expect("above what is committed")));
        }
        (self.committed, self.committed_height) = (tip, block.height);
    }

    /// The nearest entry, this one or below it, that is not here.
    fn missing(&self, tip: BlockId, ctx: &Ctx<'_>) -> Option<BlockId> {
        let mut at = tip;
        while let Some(block) = ctx.blocks.find(at) {
            if block.height <= self.committed_height {
                return None;
            }
            if !ctx.holds(at) {
                return Some(at);
            }
            at = block.parent?;
        }
        None
    }

    /// Asks a node for its chain, or a hole below what is here; the same again after a round.
    fn ask_below(&mut self, tip: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(hole) = self.missing(tip, ctx) else {
            return;
        };
        let again = |(asked, at): (BlockId, Time)| asked != hole || ctx.clock >= at + self.round;
        if from == self.me || !self.asked.is_none_or(again) {
            return;
        }
        self.asked = Some((hole, ctx.clock));
        let below = ctx.blocks.find(hole).and_then(|b| b.parent);
        if hole == tip || below.is_some_and(|b| self.missing(b, ctx).is_some()) {
            out.push(Effect::Sync { from });
        }
        if hole != tip {
            out.push(Effect::Fetch { block: hole, from });
        }
    }

    /// Upon a body: goes on with what lacked it, or asks for what else it lacks.
    fn resume(&mut self, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        if let Some(tip) = self.entry.take() {
            self.import(tip, from, ctx, out);
        }
        if let Some((leader, block)) = self.proposal.take() {
            if self.missing(block, ctx).is_some() {
                self.proposal = Some((leader, block));
                self.ask_below(block, leader, ctx, out);
            } else {
                self.on_propose(leader, block, ctx, out);
            }
        }
        self.count_promises(from, ctx, out);
    }
}

fn list(covered: &Covered) -> Vec<(NodeId, Time)> {
    covered.iter().map(|(&node, &by)| (node, by)).collect()
}

/// Takes in what a root covers.
fn merge(into: &mut Covered, roots: &[(NodeId, Time)]) {
    for &(gateway, by) in roots {
        let known = into.entry(gateway).or_insert(by);
        *known = by.max(*known);
    }
}

/// What cannot work: the key, why, and what to do.
fn refusal(config: &Config) -> Option<(&'static str, String, &'static str)> {
    let c = config;
    let none = |key, hint| Some((key, "0 of them cannot work".to_owned(), hint));
    if c.core == 0 {
        return none("core", "the default is 5");
    }
    if c.levels == 0 || c.levels > 8 {
        let why = format!("{} levels are not between 1 and 8", c.levels);
        return Some(("levels", why, "there are two or three"));
    }
    if c.fan_out < 2 {
        let why = "a tree whose nodes have one child gathers nothing".to_owned();
        return Some(("fan_out", why, "the default is 4"));
    }
    if c.round_ms == 0 {
        return none("round_ms", "libksi's is 1000");
    }
    if c.signature_bytes == 0 {
        return none("signature_bytes", "measured ones have about 2450");
    }
    None
}
