//! Leaders in turn: appointed members build one block each, one after the other, and nobody votes.
//!
//! Of the family of Clique and Aura, with simpler rules than theirs. With members `0..n`, period `P`
//! and patience `W`:
//!
//! - Upon a new head at height `h − 1`: the member `(h + k) mod n` may build a block at `h` from the
//!   head's timestamp plus `P + k·W` on. `k` is the block's delay; each member waits for its own.
//! - Upon that instant, unless the head has changed: build, adopt, send to all.
//! - Upon receiving a valid block above the head whose ancestors are all here: adopt it. Of blocks at
//!   one height the first received stays.
//! - Upon receiving one whose ancestor is missing: ask its sender for it.
//! - Upon restarting: ask the next node for its chain.
//!
//! A block is valid if its builder was to lead with its delay, and its timestamp is not before that.
//!
//! - Upon a new head: commit the highest block from which on a majority of the members has built.
//!   Nothing is adopted that does not extend what was committed.
//!
//! Finality: on commit, as in Aura's rolling finality. It holds only while blocks spread within the
//! patience: a member whose head is left for a longer branch has built on both.
//!
//! Messages: `nodes − 1` a block.

use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Execution, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox, Promises,
    Span, Standing, To, Wire, hash, majority,
};
use serde::{Deserialize, Serialize};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Turn>;

/// Parent, builder, time, delay, roots and a signature.
/// assumption: as an Ethereum header with Clique's seal.
const HEADER_BYTES: u64 = 600;

/// Parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time from a block to the next, ms.
    pub period_ms: u64,
    /// How long each further member waits for those before it, ms.
    pub patience_ms: u64,
    /// Members: the first so many nodes; 0 means all.
    pub validators: u32,
    /// Bytes of transactions in a block.
    pub block_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // assumption: as qbft's default, to be compared with it.
            period_ms: 1_000,
            // assumption: several times the longest way between two continents.
            patience_ms: 500,
            validators: 0,
            // assumption: no limit that is met before the others.
            block_bytes: 10_000_000,
        }
    }
}

impl Config {
    fn members(&self, nodes: u32) -> u32 {
        match self.validators {
            0 => nodes,
            n => n,
        }
    }
}

/// What a header says besides builder and timestamp.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// How many members before the builder did not build in time.
    pub delay: u32,
}

/// A block on its way.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock(BlockId);

impl Content<Header> for NewBlock {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        blocks.name(self.0)
    }
}

/// It is this member's turn, if nobody was faster.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    head: BlockId,
    delay: u32,
}

impl Content<Header> for Due {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        hash::fold_all(blocks.name(self.head), &[u64::from(self.delay)])
    }
}

/// One node.
#[derive(Debug)]
pub struct Turn {
    period: Span,
    patience: Span,
    limits: Limits,
    head: BlockId,
    committed: BlockId,
    /// The highest block that is here without all of its ancestors.
    tip: Option<BlockId>,
    /// Scratch: which members have built, by place in the committee.
    built: Vec<bool>,
}

impl Engine for Turn {
    type Config = Config;
    type Header = Header;
    type Message = NewBlock;
    type Timer = Due;

    const FACTS: Facts = Facts {
        family: Family::Authority,
        electorate: Electorate::Appointed,
        agreement: Agreement::LongestChain,
        standing: Standing::Research,
        final_holds_if: "blocks spread within the patience, and fewer than half of the members lie",
        guarantee: Guarantee::Synchrony,
        bound: "fewer than half may lie",
        quorum: "⌊n/2⌋ + 1 builders on top",
        messages: "n − 1",
        latency: "⌊n/2⌋ turns",
        finality: "under blocks of more than half of the members",
        source: "an example, made up",
    };
    const KINDS: &'static [&'static str] = &["block"];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            let hint = hint.to_owned();
            Err(Invalid { key, why, hint })
        };
        if config.period_ms == 0 {
            return refuse("period_ms", "is 0".to_owned(), "set at least 1");
        }
        if config.patience_ms == 0 {
            let why = "is 0: all members would build at once".to_owned();
            return refuse("patience_ms", why, "set more than a message takes");
        }
        if config.validators > nodes {
            let why = format!("is {} of {nodes} nodes", config.validators);
            return refuse("validators", why, "name at most all nodes, or 0 for all");
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        Committee::equal(config.members(nodes))
    }

    fn new(config: &Config, _: NodeId, committee: &Committee) -> Self {
        Self {
            period: Span::from_ms(config.period_ms),
            patience: Span::from_ms(config.patience_ms),
            limits: Limits {
                bytes: config.block_bytes,
                txs: u32::MAX,
                exec: Span::MAX,
            },
            head: Blocks::<Header>::GENESIS,
            committed: Blocks::<Header>::GENESIS,
            tip: None,
            built: vec![false; committee.len() as usize],
        }
    }

    fn genesis(_: &Config) -> Header {
        Header { delay: 0 }
    }

    fn finality(_: &Config, adversary: &Adversary) -> Result<Finality, String> {
        if 2.0 * adversary.share >= 1.0 {
            let percent = 100.0 * adversary.share;
            return Err(format!(
                "an adversary with {percent:.1} % of the members is half or more"
            ));
        }
        Ok(Finality::Conditional)
    }

    fn promises(config: &Config, nodes: u32) -> Promises {
        let n = config.members(nodes);
        Promises {
            byzantine: (n - 1) / 2,
            crashed: n - majority(n),
            quorum: majority(n),
            interval: Span::from_ms(config.period_ms),
        }
    }

    fn handle(&mut self, ctx: &Ctx<'_>, _: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => self.wait(ctx, out),
            Input::Restarted => {
                let from = NodeId::new((ctx.me.get() + 1) % ctx.nodes);
                if from != ctx.me {
                    out.push(Effect::Sync { from });
                }
                self.wait(ctx, out);
            }
            Input::Timer(due) if due.head == self.head => self.build(due.delay, out),
            Input::Timer(_) => {} // Somebody was faster.
            Input::BlockBuilt(block) => {
                if ctx.blocks.get(block).parent == Some(self.head) {
                    out.send(To::All, NewBlock(block));
                    self.adopt(block, ctx, out);
                }
            }
            Input::Message { from, message } => self.receive(message.0, from, ctx, out),
            Input::Body { block, from } => self.receive(block, from, ctx, out),
            Input::Header { .. } | Input::Threshold(_) | Input::Pending => {} // Never asked for.
        }
    }

    /// Each member sends its own blocks to all others, beside those of the other members.
    fn copies(config: &Config, nodes: u32) -> u32 {
        (nodes - 1).div_ceil(config.members(nodes))
    }

    /// The builder executes before the block leaves, the next one before it builds.
    fn execution(_: &Config) -> Execution {
        Execution::InTurn(2)
    }

    fn wire(&self, message: &NewBlock, ctx: &Ctx<'_>) -> Wire {
        let block = ctx.blocks.get(message.0);
        Wire {
            kind: 0,
            bytes: block.bytes,
            sign: ctx.costs.sign + ctx.costs.build(block),
            check: ctx.costs.verify + ctx.costs.validate(block),
        }
    }

    fn carries(message: &NewBlock) -> Option<BlockId> {
        Some(message.0)
    }

    fn header_bytes(&self, _: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        ctx.costs.verify + ctx.costs.validate(block)
    }
}

impl Turn {
    /// Waits for the own turn on the head.
    fn wait(&self, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(place) = ctx.committee.position(ctx.me) else {
            return;
        };
        let (n, head) = (ctx.committee.len(), ctx.blocks.get(self.head));
        let delay = (place + n - (head.height + 1) % n) % n;
        let due = head.timestamp + self.turn(delay);
        let head = self.head;
        out.timer(due, Due { head, delay });
    }

    /// From a block to the turn of the member that waits for `delay` others.
    fn turn(&self, delay: u32) -> Span {
        self.period + self.patience * u64::from(delay)
    }

    fn build(&self, delay: u32, out: &mut Out) {
        out.push(Effect::BuildBlock {
            parent: self.head,
            header: Header { delay },
            limits: self.limits,
            as_of: None,
            // Execution is not known before: it is charged when the block leaves.
            cost: Span::ZERO,
        });
    }

    /// Upon a block that is here: it, or the highest that waited for it, may become the head.
    fn receive(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let height = |id| ctx.blocks.find(id).map_or(0, |b| b.height);
        if !self.is_valid(block, ctx) {
            return;
        }
        let tip = self.tip.filter(|&tip| height(tip) > height(block));
        let tip = tip.unwrap_or(block);
        self.tip = None;
        if height(tip) <= height(self.head) {
            return; // Of blocks at one height the first stays.
        }
        if let Some(block) = self.missing(tip, ctx) {
            self.tip = Some(tip);
            out.push(Effect::Fetch { block, from });
        } else if ctx.blocks.extends(tip, self.committed) {
            self.adopt(tip, ctx, out);
        }
    }

    fn is_valid(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let Some(block) = ctx.blocks.find(block) else {
            return false; // Forgotten: all have something final above it.
        };
        let delay = block.header.delay;
        let leader = ctx.committee.at(u64::from(block.height) + u64::from(delay));
        let parent = block.parent.and_then(|parent| ctx.blocks.find(parent));
        let in_time =
            |p: &quorate_core::Block<Header>| block.timestamp >= p.timestamp + self.turn(delay);
        block.key.creator == leader && parent.is_none_or(in_time)
    }

    /// The highest block on the way from `tip` to the head's chain that is not here.
    fn missing(&self, tip: BlockId, ctx: &Ctx<'_>) -> Option<BlockId> {
        let mut at = tip;
        while ctx.holds(at) {
            if ctx.blocks.extends(self.head, at) {
                return None;
            }
            at = ctx.blocks.find(at)?.parent?;
        }
        Some(at)
    }

    fn adopt(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        self.head = block;
        out.push(Effect::Adopt(block));
        self.commit(ctx, out);
        self.wait(ctx, out);
    }

    /// Commits the highest block from which on a majority of the members has built.
    fn commit(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.built.fill(false);
        let mut builders = 0;
        let mut at = self.head;
        while at != self.committed {
            let block = ctx.blocks.get(at);
            let place = ctx.committee.position(block.key.creator);
            let seen = place.map(|p| &mut self.built[p as usize]);
            builders += u32::from(seen.is_some_and(|seen| !std::mem::replace(seen, true)));
            if builders >= majority(ctx.committee.len()) {
                self.committed = at;
                out.push(Effect::Commit(at));
                return;
            }
            at = block.parent.expect("what is committed lies below");
        }
    }
}
