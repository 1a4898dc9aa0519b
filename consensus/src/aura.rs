//! Aura, the authority round of `OpenEthereum`.
//!
//! source: openethereum/parity-ethereum@55c90d4 `ethcore/engines/authority-round/src/lib.rs`,
//! `finality.rs`, `ethcore/src/client/client.rs` (`is_from_route_finalized`), `res/ethereum/xdai.json`.
//!
//! With `n` validators, time is cut into steps of the wall clock; the primary of step `s` is validator
//! `s mod n`.
//!
//! - Upon the start of a step: its primary, if the head is of an earlier step, seals one block on the
//!   head. With `maximum_empty_steps`, if nothing is pending and fewer empty steps than that have
//!   followed the head, it signs an empty step on the head instead and tells the others.
//! - Upon an empty step of its primary: keep it; whoever seals next on that parent includes it.
//! - Upon receiving a block whose ancestors are all here and valid: it is valid if its step is after
//!   the parent's, its signer is the step's primary, and the empty steps in it lie between. Adopt it
//!   if the score of its chain is greater than the head's, and no final block would be left. Each
//!   block adds `2^128 − 1 + parent's step − step + empty steps`: the longer chain wins, then the one
//!   with fewer silent steps; of equal ones the first received stays.
//! - Upon a block of a later step than the own clock's: keep it until then if it is at most 4 steps
//!   ahead, otherwise refuse it.
//! - Upon a second block of one step and signer: that is evidence. It is not refused for it.
//! - Upon a block whose parent is missing: keep it and fetch the ancestor from its sender; when that
//!   is not just the next one, ask for its whole chain too.
//! - Upon a restart: ask the next node for its chain, and wait for the next own step.
//!
//! Finality: rolling. Of the blocks above the last final one, the lowest is final as long as more than
//! half (`finality = "two-thirds"`: more than two thirds) of the validators signed among them; a block
//! is signed by its primary, and by those of the empty steps on it, which its child carries. With all
//! validators there, `⌊n/2⌋` (`⌊2n/3⌋`) blocks follow before a block is final. A node never leaves what
//! it has called final. That does not make nodes agree: validators lock nothing, so that when messages
//! are late one node may call final what others have left, and then stays alone with it.
//!
//! Deviations:
//! - Steps begin when the clock says so; the original looks up to four times a second.
//! - A refused block is not reported; it is considered again when something built on it arrives.
//! - Empty steps count in the same way however a head came about; the original counts them only where
//!   it rebuilds its list after a change of branch, and in proofs. A block carries those of the last
//!   128 steps.
//! - Finality is followed on the own chain only. The validators are fixed for the run.
//! - Empty steps go straight to the validators, not by gossip, and cost the receiver a signature check
//!   when they come in a block.
//! - With `relay = "sqrt-push"` a block goes whole to the root of the number of neighbours; the
//!   original takes 4 at least.
//!
//! Messages: a flood of blocks; n − 1 for an empty step.

use crate::Presets;
use crate::clique::RelayRule;
use crate::config::unless_zero;
use crate::mutants::{Mutant, broken};
use crate::orphans::{Orphans, Place};
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox, Promises,
    Relay, Span, Standing, Time, To, Wire, hash,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Aura>;

/// How many steps ahead a block may be. source: `REJECTED_STEP_DRIFT`.
const MOST_AHEAD: u64 = 4;
/// Steps back whose empty steps a block can carry: the bits of a header's mask.
const MOST_BACK: u64 = 128;
/// Rounds of steps for which blocks are remembered, to find second ones.
/// source: `verify_block_family`: hashes older than two full rounds are removed.
const ROUNDS_KEPT: u64 = 2;
/// A gap longer than this asks for the chain, not only for one ancestor.
/// assumption: as in geth's block fetcher, `maxUncleDist` 7.
const LONG_GAP: u32 = 7;
/// assumption: an Ethereum header without base fee is 507 B in RLP, 33 B of vanity, and the seal: a
/// step of 5 B and a signature of 67 B.
const HEADER_BYTES: u64 = 507 + 33 + 5 + 67;
/// An empty step in a seal. assumption: RLP of a signature, a step and the list around them.
const SEALED_EMPTY_BYTES: u64 = 67 + 5 + 2;
/// The message. assumption: the same with the parent's hash, framed.
const EMPTY_BYTES: u64 = SEALED_EMPTY_BYTES + 33 + 3;

config! {
    /// Parameters of Aura.
    {
        /// Length of a step, whole seconds.
        step_s: u64,
        /// Validators: the first so many nodes; 0 means all.
        validators: u32,
        /// Which share of the validators makes a block final.
        finality: Majority,
        /// Empty steps in a row that stand for a block when nothing is pending; 0 means that every
        /// primary makes a block.
        maximum_empty_steps: u32,
        /// How blocks travel.
        relay: RelayRule,
        /// Bytes of transactions in a block.
        block_bytes: u64,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

/// Which share of the validators makes a block final.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Majority {
    /// More than half.
    Half,
    /// More than two thirds.
    TwoThirds,
}

impl Majority {
    /// The fewest of `n` validators that are enough.
    pub const fn quorum(self, n: u32) -> u32 {
        match self {
            Self::Half => n / 2 + 1,
            Self::TwoThirds => 2 * n / 3 + 1,
        }
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["xdai", "two-thirds"];

    fn preset(name: &str) -> Option<Self> {
        let xdai = Self {
            // source: `res/ethereum/xdai.json`: `stepDuration` 5; no `emptyStepsTransition` and no
            // `twoThirdsMajorityTransition`.
            step_s: 5,
            validators: 0,
            finality: Majority::Half,
            maximum_empty_steps: 0,
            // source: `ethcore/sync/src/chain/propagator.rs`: whole to the root of the peers.
            relay: RelayRule::SqrtPush,
            // assumption: the gas limit is not what binds; 10 MB as for QBFT.
            block_bytes: 10_000_000,
            block_txs: 0,
            block_exec_ms: 3_750,
        };
        match name {
            "xdai" => Some(xdai),
            // source: the crate's documentation recommends it for new networks, against the attack of
            // Ekparinya, Gramoli, Jourjon, "The Attack of the Clones against Proof-of-Authority", 2020.
            "two-thirds" => Some(Self {
                finality: Majority::TwoThirds,
                ..xdai
            }),
            _ => None,
        }
    }

    fn settle(&mut self, given: impl Fn(&str) -> bool) {
        if !given("block_exec_ms") {
            // assumption: three quarters of a step, as Besu has it for its own.
            self.block_exec_ms = self.step_s.saturating_mul(750);
        }
    }
}

impl Config {
    const fn count(&self, nodes: u32) -> u32 {
        if self.validators == 0 {
            nodes
        } else {
            self.validators
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The step that the block was sealed in; the genesis block has 0.
    pub step: u64,
    /// Which steps before it are in it as empty ones: bit `i` stands for step `step − 1 − i`.
    pub empty: u128,
    /// Empty steps of the chain up to this block, itself included, less its step: what a score adds to
    /// `height · (2^128 − 1)`.
    pub score: i64,
}

/// What validators say besides their blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// I had nothing to seal in this step.
    Empty {
        /// The step.
        step: u64,
        /// The head.
        parent: BlockId,
    },
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let Self::Empty { step, parent } = *self;
        hash::fold_all(step, &[blocks.name(parent)])
    }
}

/// What falls due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// A step whose primary this node is begins.
    Lead(u64),
    /// A block that came before its step.
    Due(BlockId),
}

impl Content<Header> for Timer {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Lead(step) => hash::fold_all(0, &[step]),
            Self::Due(block) => hash::fold_all(1, &[blocks.name(block)]),
        }
    }
}

/// The blocks above the last final one, and how often each validator signed among them.
#[derive(Debug)]
struct Rolling {
    blocks: VecDeque<BlockId>,
    signed: Vec<u32>,
    distinct: u32,
    quorum: u32,
}

impl Rolling {
    fn clear(&mut self) {
        self.blocks.clear();
        self.signed.fill(0);
        self.distinct = 0;
    }

    fn add(&mut self, place: usize) {
        self.signed[place] += 1;
        self.distinct += u32::from(self.signed[place] == 1);
    }

    fn remove(&mut self, place: usize) {
        self.signed[place] -= 1;
        self.distinct -= u32::from(self.signed[place] == 0);
    }

    /// Upon a block on the last one: the highest block that is final now, if one is.
    fn push(&mut self, block: BlockId, blocks: &Blocks<Header>) -> Option<BlockId> {
        let n = self.signed.len() as u64;
        let header = |b: BlockId| blocks.get(b).header;
        let primary = |step: u64| (step % n) as usize;
        if !self.blocks.is_empty() {
            // The empty steps that a block carries sign its parent.
            empty_steps(&header(block)).for_each(|s| self.add(primary(s)));
        }
        self.blocks.push_back(block);
        self.add(primary(header(block).step));
        let mut fin = None;
        while self.distinct >= self.quorum {
            let front = self.blocks.pop_front().expect("somebody signed something");
            self.remove(primary(header(front).step));
            if let Some(&child) = self.blocks.front() {
                empty_steps(&header(child)).for_each(|s| self.remove(primary(s)));
            }
            fin = Some(front);
        }
        fin
    }
}

/// The steps whose empty ones a block carries.
fn empty_steps(header: &Header) -> impl Iterator<Item = u64> + use<> {
    let Header { step, empty, .. } = *header;
    let carried = (0..MOST_BACK).filter(move |i| empty >> i & 1 == 1);
    carried.map(move |i| step - 1 - i)
}

/// One node.
#[derive(Debug)]
pub struct Aura {
    step: Span,
    relay: RelayRule,
    maximum_empty_steps: u32,
    limits: Limits,
    /// The own place among the validators.
    place: Option<u64>,
    validators: u64,
    head: BlockId,
    fin: BlockId,
    rolling: Rolling,
    /// Valid blocks that may still be built upon, sorted by their place in the arena, to be found.
    valid: VecDeque<BlockId>,
    /// Blocks of the last rounds, by step and signer.
    seen: VecDeque<(u64, NodeId, BlockId)>,
    /// Empty steps on which block, not yet in a block.
    empty: Vec<(u64, BlockId)>,
    /// Whether something is pending on the head, as far as it matters.
    pending: bool,
    /// The last step that this node sealed or signed as empty.
    done: u64,
    /// The next step that this node leads.
    next_lead: u64,
    /// Blocks that came before their step.
    early: Vec<BlockId>,
    orphans: Orphans,
}

impl Engine for Aura {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Authority,
        electorate: Electorate::Appointed,
        agreement: Agreement::LongestChain,
        // source: openethereum/openethereum was archived in 2022; Gnosis Chain (xDai) left Aura in
        // December 2022, and Nethermind keeps it to follow that history.
        standing: Standing::Historical,
        final_holds_if: "blocks arrive within a step, clocks agree, nobody is cut off, and fewer than \
                         half (a third) of the validators lie",
        guarantee: Guarantee::Synchrony,
        bound: "⌈n/2⌉−1 under synchrony; ⌈n/3⌉−1 with two thirds",
        quorum: "⌊n/2⌋+1 signers; ⌊2n/3⌋+1 with two thirds",
        messages: "a flood of blocks; n−1 if only signers send",
        latency: "⌊n/2⌋·step + d; ⌊2n/3⌋·step + d with two thirds",
        finality: "rolling: enough different signers above; not agreed on across a partition",
        source: "openethereum/parity-ethereum@55c90d4",
    };
    const KINDS: &'static [&'static str] = &["empty-step"];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        // source: `AuthorityRoundParams`: longer steps are cut to 65,535 s.
        if !(1..=65_535).contains(&config.step_s) {
            let why = format!("{} s is not between 1 and 65535", config.step_s);
            return refuse("step_s", why, "5 is xDai's; steps are whole seconds");
        }
        if config.validators > nodes {
            let why = format!("{} validators on {nodes} nodes", config.validators);
            let hint = "name at most as many as there are nodes, or 0 for all";
            return refuse("validators", why, hint);
        }
        if u64::from(config.maximum_empty_steps) > MOST_BACK / 2 {
            let why = format!("{} empty steps in a row", config.maximum_empty_steps);
            return refuse("maximum_empty_steps", why, "at most 64 are carried");
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        Committee::equal(config.count(nodes))
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        let n = committee.len();
        Self {
            step: Span::from_s(config.step_s),
            relay: config.relay,
            maximum_empty_steps: config.maximum_empty_steps,
            limits: Limits {
                bytes: config.block_bytes,
                txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                exec: match config.block_exec_ms {
                    0 => Span::MAX,
                    ms => Span::from_ms(ms),
                },
            },
            place: committee.position(me).map(u64::from),
            validators: u64::from(n),
            head: Blocks::<Header>::GENESIS,
            fin: Blocks::<Header>::GENESIS,
            rolling: Rolling {
                blocks: VecDeque::new(),
                signed: vec![0; n as usize],
                distinct: 0,
                quorum: config.finality.quorum(n)
                    - u32::from(n > 1 && broken(Mutant::AuraMajority)),
            },
            valid: VecDeque::from([Blocks::<Header>::GENESIS]),
            seen: VecDeque::new(),
            empty: Vec::new(),
            pending: false,
            done: 0,
            next_lead: u64::MAX,
            early: Vec::new(),
            orphans: Orphans::default(),
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            step: 0,
            empty: 0,
            score: 0,
        }
    }

    /// By the protocol's own rule, which is none of a probability.
    fn finality(_: &Config, _: &Adversary) -> Result<Finality, String> {
        Ok(Finality::Conditional)
    }

    /// Under synchrony: a branch on which fewer than the quorum sign is never final, and if fewer than
    /// that stay silent, the public one is. Without synchrony one liar that signs twice may be enough
    /// (Ekparinya, Gramoli, Jourjon 2020), and no ε can be given.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let n = config.count(nodes);
        let quorum = config.finality.quorum(n);
        Promises {
            byzantine: n - quorum,
            crashed: n - quorum,
            quorum,
            interval: Span::from_s(config.step_s),
        }
    }

    fn copies(config: &Config, nodes: u32) -> u32 {
        match config.relay {
            RelayRule::Direct => nodes - 1,
            RelayRule::Push | RelayRule::SqrtPush => 0,
        }
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => {
                self.await_pending(out);
                self.await_next_lead(self.now(ctx), ctx, out);
            }
            Input::Restarted => self.on_restarted(ctx, out),
            Input::Timer(Timer::Lead(step)) if step == self.next_lead => {
                self.on_lead(step, ctx, out);
            }
            Input::Timer(Timer::Lead(_)) => {} // Set before a restart.
            Input::Timer(Timer::Due(block)) => self.on_due(block, ctx, out),
            Input::BlockBuilt(block) => self.on_connected(block, ctx, out),
            Input::Body { block, from } => self.on_body(block, from, ctx, out),
            Input::Message { from, message } => self.on_empty(from, message, ctx),
            Input::Pending => self.pending = true,
            Input::Header { .. } | Input::Threshold(_) => {} // Never asked for.
        }
    }

    fn leader(&self, ctx: &Ctx<'_>) -> Option<NodeId> {
        Some(ctx.committee.at(self.now(ctx)))
    }

    fn wire(&self, _: &Message, ctx: &Ctx<'_>) -> Wire {
        Wire {
            kind: 0,
            bytes: EMPTY_BYTES,
            sign: ctx.costs.sign,
            check: ctx.costs.verify,
        }
    }

    fn header_bytes(&self, header: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES + SEALED_EMPTY_BYTES * u64::from(header.empty.count_ones())
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        let signatures = 1 + u64::from(block.header.empty.count_ones());
        ctx.costs.verify * signatures + ctx.costs.validate(block)
    }
}

/// Steps.
impl Aura {
    /// The step that it is by the own clock.
    fn now(&self, ctx: &Ctx<'_>) -> u64 {
        ctx.wall().ns() / self.step.ns()
    }

    const fn start_of(&self, step: u64) -> Time {
        Time::from_ns(step.saturating_mul(self.step.ns()))
    }

    /// Waits for the first step after `step` that this node leads.
    fn await_next_lead(&mut self, step: u64, ctx: &Ctx<'_>, out: &mut Out) {
        if let Some(place) = self.place {
            let n = self.validators;
            self.next_lead = step + 1 + (place + n - (step + 1) % n) % n;
            self.await_lead(ctx, out);
        }
    }

    fn await_lead(&self, ctx: &Ctx<'_>, out: &mut Out) {
        let at = ctx.at_wall(self.start_of(self.next_lead));
        out.timer(at, Timer::Lead(self.next_lead));
    }

    /// The step that is led begins, unless the clock was set meanwhile.
    fn on_lead(&mut self, step: u64, ctx: &Ctx<'_>, out: &mut Out) {
        let now = self.now(ctx);
        if now < step {
            self.await_lead(ctx, out);
            return;
        }
        if now == step {
            self.seal(step, ctx, out);
        }
        self.await_next_lead(now, ctx, out);
    }

    fn seal(&mut self, step: u64, ctx: &Ctx<'_>, out: &mut Out) {
        let parent = ctx.blocks.get(self.head).header;
        if parent.step >= step || self.done >= step {
            return;
        }
        self.done = step;
        let empty = self.carried(step, parent.step);
        let count = empty.count_ones();
        let silent = step - parent.step;
        if !self.pending && count < self.maximum_empty_steps && silent <= MOST_BACK {
            let parent = self.head;
            self.empty.push((step, parent));
            let message = Message::Empty { step, parent };
            out.send(To::Committee, message);
            return;
        }
        out.push(Effect::BuildBlock {
            parent: self.head,
            header: Header {
                step,
                empty,
                score: parent.score + i64::from(count) - silent as i64,
            },
            limits: self.limits,
            as_of: None,
            cost: ctx.costs.sign,
        });
    }

    /// The mask of the empty steps on the head that a block of this step carries.
    fn carried(&self, step: u64, parent_step: u64) -> u128 {
        let on_head = self.empty.iter().filter(|(_, parent)| *parent == self.head);
        let between = on_head.filter(|(s, _)| parent_step < *s && *s < step);
        let near = between.filter(|(s, _)| step - 1 - s < MOST_BACK);
        near.fold(0, |mask, (s, _)| mask | 1 << (step - 1 - s))
    }

    fn on_empty(&mut self, from: NodeId, message: Message, ctx: &Ctx<'_>) {
        let Message::Empty { step, parent } = message;
        let known = self.empty.contains(&(step, parent));
        // source: `handle_message`: one from the future is dropped.
        if from == ctx.committee.at(step) && step <= self.now(ctx) && !known {
            self.empty.push((step, parent));
        }
    }

    fn await_pending(&mut self, out: &mut Out) {
        self.pending = false;
        if self.maximum_empty_steps > 0 {
            out.push(Effect::AwaitPending {
                count: 1,
                bytes: u64::MAX,
            });
        }
    }

    fn on_restarted(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.await_pending(out);
        self.await_next_lead(self.now(ctx), ctx, out);
        self.early.retain(|b| ctx.blocks.find(*b).is_some());
        for &block in &self.early {
            let at = ctx.at_wall(self.start_of(ctx.blocks.get(block).header.step));
            out.timer(at, Timer::Due(block));
        }
        if ctx.nodes > 1 {
            let from = NodeId::new((ctx.me.get() + 1) % ctx.nodes);
            out.push(Effect::Sync { from });
        }
    }
}

/// The chain.
impl Aura {
    fn on_body(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let missing = match self.orphans.admit(block, ctx) {
            Place::Connected => return self.on_connected(block, ctx, out),
            Place::Kept => return,
            Place::Above(missing) => missing,
        };
        let height = ctx.blocks.get(block).height;
        let head = ctx.blocks.get(self.head).height;
        // Far ahead, or of a branch that left the own chain some blocks ago.
        if height > head + LONG_GAP || height <= head {
            out.push(Effect::Sync { from });
        }
        out.push(Effect::Fetch {
            block: missing,
            from,
        });
    }

    /// Upon a block whose ancestors are all here: it and the orphans above it compete for the head.
    fn on_connected(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let before = self.head;
        self.import(block, ctx, out);
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.connect(block, ctx.blocks, |orphan| self.import(orphan, ctx, out));
        self.orphans = orphans;
        if self.head != before {
            self.on_new_head(ctx, out);
        }
    }

    fn on_due(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(place) = self.early.iter().position(|b| *b == block) else {
            return;
        };
        self.early.remove(place);
        if ctx.blocks.find(block).is_some() {
            self.on_connected(block, ctx, out);
        }
    }

    /// Takes in a block whose ancestors' bodies are here, after those of them that were refused.
    fn import(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let below = |b: BlockId| ctx.blocks.get(b).parent;
        let Some(mut at) = below(block) else { return };
        let mut refused = Vec::new();
        while !self.is_valid(at) {
            if ctx.blocks.find(at).is_none() {
                return; // Below what anybody may still go back to.
            }
            refused.push(at);
            let Some(parent) = below(at) else { return };
            at = parent;
        }
        let mut ancestors = refused.into_iter().rev();
        if ancestors.all(|ancestor| self.take(ancestor, ctx, out)) {
            self.take(block, ctx, out);
        }
    }

    /// Takes in a block on a valid one; whether it is valid and due.
    fn take(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        if self.is_valid(block) {
            return true;
        }
        let step = ctx.blocks.get(block).header.step;
        let now = self.now(ctx);
        if step > now {
            if step <= now + MOST_AHEAD && !self.early.contains(&block) {
                self.early.push(block);
                out.timer(ctx.at_wall(self.start_of(step)), Timer::Due(block));
            }
            return false;
        }
        if !self.obeys(block, ctx) {
            return false;
        }
        self.note_second(block, ctx, out);
        let place = self.valid.partition_point(|b| *b < block);
        self.valid.insert(place, block);
        while self.valid.len() > 1 && self.valid[0] < ctx.blocks.first() {
            self.valid.pop_front();
        }
        if self.is_better(block, ctx) {
            self.head = block;
            out.push(Effect::Adopt(block));
        }
        true
    }

    fn is_valid(&self, block: BlockId) -> bool {
        self.valid.binary_search(&block).is_ok()
    }

    /// Whether a block on a valid one keeps the rules.
    fn obeys(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let this = ctx.blocks.get(block);
        let Header { step, empty, score } = this.header;
        let parent = ctx.blocks.get(this.parent.expect("not the genesis block"));
        let Some(silent) = step.checked_sub(parent.header.step).filter(|s| *s > 0) else {
            return false;
        };
        // The oldest empty step that it may carry is the one after the parent's.
        let between = u128::BITS - empty.leading_zeros() < silent.min(u64::from(u32::MAX)) as u32;
        let carries = empty == 0 || between && self.maximum_empty_steps > 0;
        this.key.creator == ctx.committee.at(step)
            && carries
            && score == parent.header.score + i64::from(empty.count_ones()) - silent as i64
    }

    /// Remembers who sealed in which step; a second block of both is evidence.
    fn note_second(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let this = ctx.blocks.get(block);
        let (step, signer) = (this.header.step, this.key.creator);
        if self.seen.iter().any(|s| (s.0, s.1) == (step, signer)) {
            out.push(Effect::Evidence { against: signer });
        }
        self.seen.push_back((step, signer, block));
        let oldest = step.saturating_sub(ROUNDS_KEPT * self.validators);
        while self.seen.front().is_some_and(|s| s.0 < oldest) {
            self.seen.pop_front();
        }
        self.empty.retain(|(s, _)| *s > step);
    }

    fn is_better(&self, new: BlockId, ctx: &Ctx<'_>) -> bool {
        let rank = |block: BlockId| {
            let block = ctx.blocks.get(block);
            (block.height, block.header.score)
        };
        rank(new) > rank(self.head) && ctx.blocks.extends(new, self.fin)
    }

    fn on_new_head(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let own = ctx.blocks.get(self.head).key.creator == ctx.me;
        let rule = match self.relay {
            RelayRule::Push => Some(Relay::Push),
            RelayRule::SqrtPush => Some(Relay::SqrtPush),
            RelayRule::Direct => own.then_some(Relay::Push),
        };
        if let Some(rule) = rule {
            let block = self.head;
            out.push(Effect::Relay { block, rule });
        }
        self.await_pending(out);
        if let Some(fin) = self.roll(ctx) {
            self.fin = fin;
            out.push(Effect::Commit(fin));
        }
    }

    /// Follows the head: the highest block that is final now, if one is.
    fn roll(&mut self, ctx: &Ctx<'_>) -> Option<BlockId> {
        let below = |block| ctx.blocks.get(block).parent;
        let last = self.rolling.blocks.back().copied().unwrap_or(self.fin);
        if below(self.head) == Some(last) {
            return self.rolling.push(self.head, ctx.blocks);
        }
        // Several blocks at once, or another branch: all above the final one anew.
        self.rolling.clear();
        let mut path = vec![self.head];
        while let Some(parent) = below(path[path.len() - 1]).filter(|p| *p != self.fin) {
            path.push(parent);
        }
        let mut fin = None;
        for block in path.into_iter().rev() {
            fin = self.rolling.push(block, ctx.blocks).or(fin);
        }
        fin
    }
}
