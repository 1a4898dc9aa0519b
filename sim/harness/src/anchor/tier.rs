//! The lower tier: any engine, whose commits are *safe* until a root that covers them is final on a
//! public chain, see [`super`].
//!
//! - Upon every Δ, at the gateway whose turn it is: cover the local ledger's last committed block with
//!   a Merkle root, if there are transactions that no root covers yet; once the tree is hashed, publish
//!   the root ([`Effect::Tell`]) and send Root to all.
//! - Upon receiving Root: remember which block it covers.
//! - Upon hearing from outside that a gateway's roots are final so far: the highest block that one of
//!   them covers is final. A gateway whose clients trust it sends it to all (Final).
//! - Upon receiving Final from a gateway, where clients trust it: that block is final.
//! - Upon knowing a final block that the own committed chain contains: commit it. Else it waits until
//!   the own chain has got there.
//! - Upon a restart: set the next turn, ask the gateways (Ask) and the own full node for what was
//!   missed. Upon receiving Ask: answer with the last root and the last final block.

use quorate_core::{
    Adversary, Background, Ballot, BlockId, Blocks, Committee, Compact, Content, Context, Costs,
    Draws, Effect, Engine, Execution, Facts, Finality, Input, Invalid, NodeId, Outbox, Promises,
    Span, Time, To, Wait, Weight, Wire, hash,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a node tells its full node or headers' source after a restart: it has missed something.
pub(super) const ASK: u64 = u64::MAX;
/// A root or a final block in a message: two hashes, a number and a signature.
// assumption: 32 + 32 + 8 + 64 bytes, and 32 of framing.
const SIGNED_BYTES: u64 = 168;
/// A message without content. assumption: a few integers in a TLS record.
const SMALL_BYTES: u64 = 128;
/// What an inner node of a Merkle tree hashes: two hashes.
pub(super) const NODE_BYTES: u64 = 64;

/// Who tells a site that a root is final.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clients {
    /// A gateway with a full node of the public chain: the site believes it.
    Gateway,
    /// Each site follows the chain's headers itself, and checks root and path.
    LightClient,
}

/// How a ledger is anchored.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// Time between two roots, ns.
    pub every_ns: u64,
    /// The first so many nodes publish roots, in turns.
    pub gateways: u32,
    /// Who tells a site that a root is final.
    pub clients: Clients,
    /// Blocks under which a block of the local ledger is safe, itself included; 0 where it commits.
    pub depth: u32,
    /// What a client hears with each root, bytes: headers, the root's transaction and its path.
    pub proof_bytes: u64,
    /// Checking that, ns.
    pub proof_check_ns: u64,
}

/// The local engine's configuration and the rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "C: Serialize + DeserializeOwned")]
pub struct Settings<C> {
    /// Of the local engine.
    pub local: C,
    /// See there.
    pub rules: Rules,
}

/// What replicas say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said<M> {
    /// In the local protocol.
    Local(M),
    /// A gateway has published a root: the `number`-th of its own, over everything up to `block`, and
    /// `txs` transactions that were in no root before.
    Root {
        /// Counted from 0.
        number: u32,
        /// The highest block that it covers.
        block: BlockId,
        /// Leaves of its tree.
        txs: u32,
    },
    /// From a gateway: everything up to the block is final.
    Final {
        /// The block.
        block: BlockId,
    },
    /// What did I miss?
    Ask,
    /// From outside: so many of a gateway's roots are final on the public chain.
    Seen {
        /// Whose.
        gateway: u32,
        /// How many.
        count: u32,
    },
}

impl<H: Copy, M: Content<H>> Content<H> for Said<M> {
    fn content(&self, blocks: &Blocks<H>) -> u64 {
        match self {
            Self::Local(message) => hash::fold(message.content(blocks), 0),
            Self::Root { number, block, .. } => {
                hash::fold_all(blocks.name(*block), &[1, u64::from(*number)])
            }
            Self::Final { block } => hash::fold(blocks.name(*block), 2),
            Self::Ask => 3,
            Self::Seen { gateway, count } => {
                hash::fold(u64::from(*gateway) << 32 | u64::from(*count), 4)
            }
        }
    }
}

/// Timers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tick<T> {
    /// Of the local protocol.
    Local(T),
    /// It is the gateway's turn.
    Turn(u32),
    /// The tree is hashed.
    Hashed {
        /// The block that its root covers.
        block: BlockId,
        /// Its leaves.
        txs: u32,
    },
}

impl<H: Copy, T: Content<H>> Content<H> for Tick<T> {
    fn content(&self, blocks: &Blocks<H>) -> u64 {
        match self {
            Self::Local(timer) => hash::fold(timer.content(blocks), 0),
            Self::Turn(turn) => hash::fold(u64::from(*turn), 1),
            Self::Hashed { block, .. } => hash::fold(blocks.name(*block), 2),
        }
    }
}

/// A replica of the local ledger.
pub struct Anchored<E: Engine> {
    engine: E,
    out: Outbox<E>,
    rules: Rules,
    me: NodeId,
    turn: u32,
    /// The local ledger's last committed block, and the last that is final.
    safe: BlockId,
    fin: BlockId,
    /// The height up to which known roots cover.
    covered: u32,
    /// How many roots this gateway has published, and the last of them.
    published: u32,
    last: Option<Said<E::Message>>,
    /// Blocks that roots cover which are not known to be final, by gateway and number.
    roots: BTreeMap<(u32, u32), BlockId>,
    /// By gateway: how many of its roots are final on the public chain, as far as is known here.
    seen: BTreeMap<u32, u32>,
    /// Known to be final, perhaps not committed here yet.
    target: Option<BlockId>,
}

/// Hashing the inner nodes of a tree with so many leaves.
fn tree(costs: &Costs, leaves: u32) -> Span {
    costs.hash(NODE_BYTES * u64::from(leaves.saturating_sub(1)))
}

/// The word by which a full node tells that so many of a gateway's roots are final.
pub(super) const fn seen_word(gateway: u32, count: u32) -> u64 {
    (gateway as u64) << 32 | count as u64
}

impl<E: Engine> Anchored<E> {
    const fn is_gateway(&self) -> bool {
        self.me.get() < self.rules.gateways
    }

    /// Sets the timer of the next turn after now.
    fn next_turn(&mut self, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        let (every, gateways) = (self.rules.every_ns, u64::from(self.rules.gateways));
        // Turn i, of gateway i modulo their number, is at (i + 1) · Δ.
        let past = ctx.clock.ns() / every;
        let mine = u64::from(self.me.get());
        let turn = past + (mine + gateways - past % gateways) % gateways;
        self.turn = turn as u32;
        let at = Time::from_ns((turn + 1) * every);
        out.timer(at, Tick::Turn(self.turn));
    }

    /// Transactions of committed blocks that no root covers.
    fn uncovered(&self, blocks: &Blocks<E::Header>) -> u32 {
        let mut txs = 0;
        let mut at = Some(self.safe);
        while let Some(block) = at.and_then(|b| blocks.find(b))
            && block.height > self.covered
        {
            txs += block.txs;
            at = block.parent;
        }
        txs
    }

    fn on_turn(&mut self, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        self.next_turn(ctx, out);
        let (block, txs) = (self.safe, self.uncovered(ctx.blocks));
        if txs > 0 {
            let done = ctx.clock + tree(ctx.costs, txs);
            out.timer(done, Tick::Hashed { block, txs });
        }
    }

    fn publish(
        &mut self,
        block: BlockId,
        txs: u32,
        ctx: &Context<'_, E::Header>,
        out: &mut Outbox<Self>,
    ) {
        let number = self.published;
        self.published += 1;
        self.note_root(self.me.get(), number, block, ctx);
        let root = Said::Root { number, block, txs };
        self.last = Some(root);
        out.push(Effect::Tell(u64::from(number)));
        out.send(To::All, root);
    }

    fn note_root(
        &mut self,
        gateway: u32,
        number: u32,
        block: BlockId,
        ctx: &Context<'_, E::Header>,
    ) {
        if let Some(found) = ctx.blocks.find(block) {
            self.roots.insert((gateway, number), block);
            self.covered = self.covered.max(found.height);
        }
    }

    /// Takes the roots that are final as far as is known here; whether one covers more than was known
    /// to be final.
    fn take_final(&mut self, blocks: &Blocks<E::Header>) -> bool {
        let before = self.target;
        let seen = &self.seen;
        let target = &mut self.target;
        self.roots.retain(|&(gateway, number), &mut block| {
            let is_final = seen.get(&gateway).is_some_and(|&count| number < count);
            if is_final {
                *target = Some(higher(*target, block, blocks));
            }
            !is_final && blocks.find(block).is_some()
        });
        self.target != before
    }

    /// Commits what is known to be final, as far as the own chain has it.
    fn commit(&mut self, blocks: &Blocks<E::Header>, out: &mut Outbox<Self>) {
        let Some(target) = self.target else {
            return;
        };
        let above = |old: BlockId| {
            let height = |b| blocks.find(b).map_or(0, |b| b.height);
            height(target) > height(old)
        };
        if above(self.fin) && blocks.extends(self.safe, target) {
            self.fin = target;
            out.push(Effect::Commit(target));
        }
    }

    fn on_seen(
        &mut self,
        gateway: u32,
        count: u32,
        ctx: &Context<'_, E::Header>,
        out: &mut Outbox<Self>,
    ) {
        let known = self.seen.entry(gateway).or_insert(0);
        *known = count.max(*known);
        self.learn(ctx, out);
    }

    fn learn(&mut self, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        if !self.take_final(ctx.blocks) {
            return;
        }
        if let (Clients::Gateway, true, Some(block)) =
            (self.rules.clients, self.is_gateway(), self.target)
        {
            out.send(To::All, Said::Final { block });
        }
        self.commit(ctx.blocks, out);
    }

    fn answer(&self, from: NodeId, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        let kept = |block: &BlockId| ctx.blocks.find(*block).is_some();
        if let Some(root @ Said::Root { block, .. }) = self.last
            && kept(&block)
        {
            out.send(To::One(from), root);
        }
        if let (Clients::Gateway, Some(block)) = (self.rules.clients, self.target.filter(kept)) {
            out.send(To::One(from), Said::Final { block });
        }
    }

    /// What the node itself does besides the local protocol.
    fn own(&mut self, ctx: &Context<'_, E::Header>, input: &Input<Self>, out: &mut Outbox<Self>) {
        match *input {
            Input::Start if self.is_gateway() => self.next_turn(ctx, out),
            Input::Restarted => self.restart(ctx, out),
            Input::Timer(Tick::Turn(turn)) if turn == self.turn => self.on_turn(ctx, out),
            Input::Timer(Tick::Hashed { block, txs }) => self.publish(block, txs, ctx, out),
            Input::Message { from, message } => match message {
                Said::Root { number, block, .. } => {
                    self.note_root(from.get(), number, block, ctx);
                    self.learn(ctx, out);
                }
                Said::Final { block } if from.get() < self.rules.gateways => {
                    self.target = Some(higher(self.target, block, ctx.blocks));
                    self.commit(ctx.blocks, out);
                }
                Said::Ask => self.answer(from, ctx, out),
                Said::Seen { gateway, count } => self.on_seen(gateway, count, ctx, out),
                Said::Local(_) | Said::Final { .. } => {}
            },
            _ => {}
        }
    }

    fn restart(&mut self, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        if self.is_gateway() {
            self.next_turn(ctx, out);
        }
        if self.is_gateway() || self.rules.clients == Clients::LightClient {
            out.push(Effect::Tell(ASK));
        }
        for gateway in (0..self.rules.gateways).map(NodeId::new) {
            if gateway != self.me {
                out.send(To::One(gateway), Said::Ask);
            }
        }
    }

    /// What the local protocol wants done: its commits are safe, and nothing else changes.
    fn carry_out(
        &mut self,
        effect: &Effect<E>,
        ctx: &Context<'_, E::Header>,
        out: &mut Outbox<Self>,
    ) {
        match *effect {
            Effect::Safe(_) | Effect::Tell(_) => {}
            Effect::Commit(block) => self.now_safe(block, ctx, out),
            _ => out.push(effect.within(Said::Local, Tick::Local)),
        }
        if let Effect::Adopt(block) = *effect {
            self.confirm(block, ctx, out);
        }
    }

    /// Where the local ledger is safe by depth: so many blocks under its head.
    fn confirm(&mut self, head: BlockId, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        let height = ctx.blocks.get(head).height;
        let Some(under) = (height + 1).checked_sub(self.rules.depth) else {
            return;
        };
        if self.rules.depth > 0
            && under > 0
            && let Some(block) = ctx.blocks.ancestor(head, under)
            && block != self.safe
        {
            self.now_safe(block, ctx, out);
        }
    }

    fn now_safe(&mut self, block: BlockId, ctx: &Context<'_, E::Header>, out: &mut Outbox<Self>) {
        self.safe = block;
        out.push(Effect::Safe(block));
        self.commit(ctx.blocks, out);
    }
}

/// The higher of two blocks; one that is forgotten is low.
fn higher<H: Copy>(a: Option<BlockId>, b: BlockId, blocks: &Blocks<H>) -> BlockId {
    let height = |id| blocks.find(id).map(|b| b.height);
    a.filter(|&a| height(a) >= height(b)).unwrap_or(b)
}

/// An input of the local protocol; `None` for what is not its own.
fn local_input<E: Engine>(input: Input<Anchored<E>>) -> Option<Input<E>> {
    Some(match input {
        Input::Start => Input::Start,
        Input::Restarted => Input::Restarted,
        Input::Header { block, from } => Input::Header { block, from },
        Input::Body { block, from } => Input::Body { block, from },
        Input::Message {
            from,
            message: Said::Local(message),
        } => Input::Message { from, message },
        Input::Threshold(ballot) => Input::Threshold(ballot),
        Input::Timer(Tick::Local(timer)) => Input::Timer(timer),
        Input::BlockBuilt(block) => Input::BlockBuilt(block),
        Input::Pending => Input::Pending,
        Input::Message { .. } | Input::Timer(_) => return None,
    })
}

/// Names of the kinds of message: the local protocol's, then the own.
const OWN_KINDS: [&str; 4] = ["anchor.root", "anchor.final", "anchor.ask", "anchor.proof"];
/// More than any engine has.
const MOST_KINDS: usize = 64;

impl<E: Engine> Anchored<E> {
    const KIND_TABLE: [&'static str; MOST_KINDS] = {
        let mut all = [""; MOST_KINDS];
        let mut i = 0;
        while i < E::KINDS.len() + OWN_KINDS.len() {
            all[i] = if i < E::KINDS.len() {
                E::KINDS[i]
            } else {
                OWN_KINDS[i - E::KINDS.len()]
            };
            i += 1;
        }
        all
    };
    const KIND_SLICE: &'static [&'static str] = &Self::KIND_TABLE;
}

impl<E: Engine> Engine for Anchored<E> {
    type Config = Settings<E::Config>;
    type Header = E::Header;
    type Message = Said<E::Message>;
    type Timer = Tick<E::Timer>;

    const FACTS: Facts = E::FACTS;
    const KINDS: &'static [&'static str] = Self::KIND_SLICE
        .split_at(E::KINDS.len() + OWN_KINDS.len())
        .0;
    const PHASES: &'static [&'static str] = E::PHASES;

    fn validate(config: &Self::Config, nodes: u32) -> Result<(), Invalid> {
        E::validate(&config.local, nodes)
    }

    fn committee(config: &Self::Config, nodes: u32) -> Committee {
        E::committee(&config.local, nodes)
    }

    fn new(config: &Self::Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            engine: E::new(&config.local, me, committee),
            out: Outbox::new(),
            rules: config.rules,
            me,
            turn: 0,
            safe: Blocks::<E::Header>::GENESIS,
            fin: Blocks::<E::Header>::GENESIS,
            covered: 0,
            published: 0,
            last: None,
            roots: BTreeMap::new(),
            seen: BTreeMap::new(),
            target: None,
        }
    }

    fn genesis(config: &Self::Config) -> Self::Header {
        E::genesis(&config.local)
    }

    fn finality(config: &Self::Config, adversary: &Adversary) -> Result<Finality, String> {
        Ok(match E::finality(&config.local, adversary)? {
            Finality::Commit => Finality::Commit,
            Finality::Conditional | Finality::Depth { .. } => Finality::Conditional,
        })
    }

    fn promises(config: &Self::Config, nodes: u32) -> Promises {
        E::promises(&config.local, nodes)
    }

    fn reversal_risk(config: &Self::Config, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        E::reversal_risk(&config.local, nodes, corrupt, wait)
    }

    fn handle(
        &mut self,
        ctx: &Context<'_, Self::Header>,
        draws: &mut Draws,
        input: Input<Self>,
        out: &mut Outbox<Self>,
    ) {
        if let Some(local) = local_input(input) {
            // Certificates are shared by all replicas: borrowed for the length of the call.
            core::mem::swap(&mut self.out.certs, &mut out.certs);
            core::mem::swap(&mut self.out.roots, &mut out.roots);
            self.engine.handle(ctx, draws, local, &mut self.out);
            core::mem::swap(&mut self.out.certs, &mut out.certs);
            core::mem::swap(&mut self.out.roots, &mut out.roots);
            let effects = self.out.take();
            for effect in &effects {
                self.carry_out(effect, ctx, out);
            }
            self.out.recycle(effects);
        }
        self.own(ctx, &input, out);
    }

    fn leader(&self, ctx: &Context<'_, Self::Header>) -> Option<NodeId> {
        self.engine.leader(ctx)
    }

    fn copies(config: &Self::Config, nodes: u32) -> u32 {
        E::copies(&config.local, nodes)
    }

    fn execution(config: &Self::Config) -> Execution {
        E::execution(&config.local)
    }

    fn least_interval(config: &Self::Config, nodes: u32) -> Option<Span> {
        E::least_interval(&config.local, nodes)
    }

    fn wire(&self, message: &Self::Message, ctx: &Context<'_, Self::Header>) -> Wire {
        let kind = |own: usize| (E::KINDS.len() + own) as u8;
        let costs = ctx.costs;
        let signed = |own, check| Wire {
            kind: kind(own),
            bytes: SIGNED_BYTES,
            sign: costs.sign,
            check,
        };
        let plain = |own, bytes, check| Wire {
            kind: kind(own),
            bytes,
            sign: Span::ZERO,
            check,
        };
        match message {
            Said::Local(message) => self.engine.wire(message, ctx),
            // Who trusts no gateway hashes the tree of what it holds itself.
            Said::Root { txs, .. } => signed(
                0,
                match self.rules.clients {
                    Clients::Gateway => costs.verify,
                    Clients::LightClient => costs.verify + tree(costs, *txs),
                },
            ),
            Said::Final { .. } => signed(1, costs.verify),
            Said::Ask => plain(2, SMALL_BYTES, Span::ZERO),
            Said::Seen { .. } => plain(
                3,
                self.rules.proof_bytes,
                Span::from_ns(self.rules.proof_check_ns),
            ),
        }
    }

    fn is_vote(message: &Self::Message) -> bool {
        match message {
            Said::Local(message) => E::is_vote(message),
            _ => false,
        }
    }

    fn carries(message: &Self::Message) -> Option<BlockId> {
        match message {
            Said::Local(message) => E::carries(message),
            _ => None,
        }
    }

    fn outside(word: u64) -> Option<Self::Message> {
        Some(Said::Seen {
            gateway: (word >> 32) as u32,
            count: word as u32,
        })
    }

    fn compact(config: &Self::Config) -> Compact {
        E::compact(&config.local)
    }

    fn background(&self) -> Background {
        self.engine.background()
    }

    fn vote_wire(&self, phase: u8, ctx: &Context<'_, Self::Header>) -> Wire {
        self.engine.vote_wire(phase, ctx)
    }

    fn also_counts(ballot: Ballot) -> [Option<Ballot>; 2] {
        E::also_counts(ballot)
    }

    fn threshold(phase: u8, committee: &Committee) -> Weight {
        E::threshold(phase, committee)
    }

    fn header_bytes(&self, header: &Self::Header, ctx: &Context<'_, Self::Header>) -> u64 {
        self.engine.header_bytes(header, ctx)
    }

    fn check_block(&self, block: BlockId, ctx: &Context<'_, Self::Header>) -> Span {
        self.engine.check_block(block, ctx)
    }
}
