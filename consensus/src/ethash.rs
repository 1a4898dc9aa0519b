//! Ethereum's chain under proof of work: difficulty by block, uncles, total difficulty.
//!
//! source: ethereum/go-ethereum v1.9.25 `consensus/ethash/consensus.go` (difficulty, uncles, rewards),
//! `core/blockchain.go` (fork choice), `eth/handler.go`, `eth/fetcher/block_fetcher.go` (propagation),
//! `eth/config.go` (gas limit, recommit); EIP-2 and EIP-100 (difficulty); ethereum/devp2p@51dc101
//! `caps/eth.md`, "Block Propagation".
//!
//! - Upon finding a block: its timestamp is the wall clock, in whole seconds, and at least one second
//!   after its parent's; its difficulty follows from its parent and its timestamp. It names up to
//!   two uncles: own ones first, then the others in the order of arrival. Adopt it by the fork choice,
//!   send it whole to the square root of the number of neighbours, announce it to the others, and
//!   search on.
//! - Upon receiving a block more than 15 s ahead of the wall clock: refuse it until it no longer is.
//! - Upon receiving a block whose ancestors are all here: refuse it, and all that is built on it, if its
//!   timestamp is not after its parent's, its difficulty is not the rule's, or an uncle is not valid.
//!   Otherwise pass it on, whether it wins or not, if it is at most 7 below and 32 above the head; and
//!   let it compete.
//! - Upon receiving a block whose parent is missing: keep it and fetch the missing ancestor from its
//!   sender; when the gap is long, ask for its whole chain too.
//! - Fork choice `td`: more total difficulty wins. Of equals the lower number; of equal numbers the own
//!   block; else a coin, which is drawn from the node's stream.
//! - Fork choice `ghost`: from the oldest block on, the child with the most work in all the blocks above
//!   it that are known, those beside the chain included; of equals the first received. Not what
//!   Ethereum did: research only.
//! - Upon adopting a block: search on top of it. The time that is left is multiplied by new over old
//!   difficulty.
//! - Difficulty above a parent with difficulty `D`, `t` later, at least 131,072:
//!   frontier: `D ± D/2048`, up if `t < 13 s`;
//!   homestead: `D + D/2048 · max(1 − ⌊t/10 s⌋, −99)`;
//!   byzantium: `D + D/2048 · max(y − ⌊t/9 s⌋, −99)`, `y` = 2 if the parent has uncles, else 1.
//! - A valid uncle is a valid block whose parent is one of the seven last ancestors, but not the own
//!   parent; it is no ancestor itself, and none of the seven names it already.
//!
//! Uncles earn, and under byzantium slow the chain; under `td` they add no weight: total difficulty is
//! that of the chain alone. An uncle at height `U` named at height `B` earns `(U + 8 − B)/8` of the
//! base reward, and each uncle 1/32 for who names it: [`rewards`].
//!
//! Deviations:
//! - No difficulty bomb. The genesis difficulty is the main network's, 2^34; what the work comes to is set
//!   by `block_interval_s`.
//! - While a search runs its difficulty stays the one for a block found at once; the block has that of
//!   its timestamp. They differ by 1/2048 for each nine or ten seconds.
//! - An announced block is asked for at once; Geth gives the whole block half a second to arrive. A
//!   block is pushed after it was executed, with its announcement; Geth pushes when the header is
//!   checked. Both are the kernel's relay.
//! - A block that is ahead of the clock is tried again when its time has come; Geth tries every five
//!   seconds and, beyond 30 s, waits for the next announcement.
//! - Uncles are chosen when the block is found, like its timestamp; Geth renews both every three
//!   seconds, and takes eligible uncles in no order.
//! - A block is full by its number of transactions, `gas_limit / tx_gas`, and by bytes and execution where
//!   they are limited. Fees and gas prices: none.
//!
//! Finality: none by the protocol. A block counts as safe and final under the numbers of blocks at
//! which the adversary's exact race (Rosenfeld 2014) falls below the two risks.
//!
//! Messages: a flood: at most √degree blocks from each node, one announcement for each other edge;
//! `direct`: one block for each node and nothing else.

use crate::Presets;
use crate::config::unless_zero;
use crate::mining::{self, Found, Miners, Search};
use crate::mutants::{Mutant, broken};
use crate::orphans::{Orphans, Place};
use quorate_core::{
    Adversary, Agreement, Block, BlockId, Blocks, Committee, Content, Context, Draws, Effect,
    Electorate, Engine, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox,
    Promises, Relay, Span, Standing, Time, Wait, Wire, math,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::mining::Refresh;

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Ethash>;

/// source: ethereum/go-ethereum `core/genesis.go`, the main network's.
pub const GENESIS_DIFFICULTY: u64 = 1 << 34;
/// source: ethereum/go-ethereum `params/protocol_params.go`: `MinimumDifficulty`.
const LEAST_DIFFICULTY: u64 = 131_072;
/// source: the same: `DifficultyBoundDivisor`.
const BOUND_DIVISOR: u64 = 2_048;
/// source: ethereum/go-ethereum `consensus/ethash/consensus.go`: `max(…, −99)`.
const MOST_DOWN: i64 = -99;
/// source: the same: `maxUncles`.
const MOST_UNCLES: usize = 2;
/// Ancestors within which an uncle's parent must lie. source: the same, `VerifyUncles`.
const GENERATIONS: usize = 7;
/// source: the same: `allowedFutureBlockTime`.
const MOST_AHEAD: Span = Span::from_s(15);
/// source: ethereum/go-ethereum `eth/fetcher/block_fetcher.go`: `maxUncleDist`, `maxQueueDist`.
const RELAYED: (u32, u32) = (7, 32);
/// A gap longer than this asks for the chain, not only for one ancestor.
/// assumption: as in `nakamoto.rs`; Geth asks a peer with more total difficulty for its chain.
const LONG_GAP: u32 = 8;
/// A header: seven hashes with their prefix, a filter of 256 bytes, an address, a nonce and small
/// numbers. source: the yellow paper's section 4.3, in RLP, with 32 bytes of extra data.
const HEADER_BYTES: u64 = 7 * 33 + 259 + 21 + 9 + 20;
/// The rest of a `NewBlock` message. assumption: total difficulty, list prefixes and the frame.
const ENVELOPE_BYTES: u64 = 60;
/// The base reward, in the unit of [`rewards`].
pub const BASE_REWARD: u32 = 32;
/// What a block earns for each uncle that it names, in the unit of [`rewards`].
/// source: ethereum/go-ethereum `accumulateRewards`: R/32.
pub const NEPHEW_REWARD: u32 = 1;
/// Stands for no block.
const NONE: BlockId = BlockId::new(u32::MAX);

config! {
    /// Parameters of Ethereum's chain under proof of work.
    {
        /// Mean time between blocks at the genesis difficulty, s: how much work there is.
        block_interval_s: f64,
        /// How the difficulty follows.
        difficulty: DifficultyRule,
        /// Whether timestamps are whole seconds, as Ethereum's are.
        whole_second_timestamps: bool,
        /// Which of two chains wins.
        fork_choice: ForkChoice,
        /// Uncles that a block may name, at most 2.
        uncles: u32,
        /// Miners: the first so many nodes; 0 means all, or one for each of `hash_shares`.
        miners: u32,
        /// Each miner's share of the work, in any unit; empty means equal shares.
        hash_shares: Vec<f64>,
        /// How blocks travel.
        relay: RelayRule,
        /// How old a found block's choice of transactions may be.
        template_refresh_s: Refresh,
        /// Gas of a block; 0 means no limit.
        gas_limit: u64,
        /// Gas of one transaction.
        tx_gas: u64,
        /// Bytes of transactions in a block; 0 means no limit.
        block_bytes: u64,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

/// How the difficulty follows the timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifficultyRule {
    /// It stays the genesis difficulty.
    Fixed,
    /// Up within 13 s, else down.
    Frontier,
    /// EIP-2.
    Homestead,
    /// EIP-100: uncles count too.
    Byzantium,
}

/// Which of two chains wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForkChoice {
    /// The one with the most total difficulty.
    Td,
    /// The one along the heaviest subtrees.
    Ghost,
}

/// How blocks travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayRule {
    /// Sent whole to the square root of the number of neighbours, announced to the others.
    SqrtPush,
    /// Sent whole to every neighbour.
    Push,
    /// Announced, then fetched.
    Inv,
    /// Sent whole by its finder; nobody else relays it.
    Direct,
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &[
        "ethereum-pow",
        "ethereum-homestead",
        "ethereum-frontier",
        "ghost",
    ];

    /// The subtree rule was never Ethereum's.
    fn standing(name: &str) -> Option<Standing> {
        (name == "ghost").then_some(Standing::Research)
    }

    fn preset(name: &str) -> Option<Self> {
        let byzantium = Self {
            // assumption: the period of 2018 to 2022 with about one uncle in fifteen blocks; the
            // difficulty follows whatever the work is.
            block_interval_s: 13.0,
            difficulty: DifficultyRule::Byzantium,
            whole_second_timestamps: true,
            fork_choice: ForkChoice::Td,
            uncles: MOST_UNCLES as u32,
            miners: 0,
            hash_shares: Vec::new(),
            relay: RelayRule::SqrtPush,
            // source: ethereum/go-ethereum v1.9.25 `eth/config.go`: `Recommit` of 3 s.
            template_refresh_s: Refresh::Every(Span::from_s(3)),
            // source: the same: `GasFloor` and `GasCeil` of 8,000,000.
            gas_limit: 8_000_000,
            // source: ethereum/go-ethereum `params/protocol_params.go`: `TxGas`; data costs more.
            tx_gas: 21_000,
            block_bytes: 0,
            block_exec_ms: 0,
        };
        match name {
            "ethereum-pow" => Some(byzantium),
            "ethereum-homestead" => Some(Self {
                // source: EIP-2's own target, between 10 and 19 s.
                block_interval_s: 14.0,
                difficulty: DifficultyRule::Homestead,
                // source: ethereum/go-ethereum `params/protocol_params.go`: `GenesisGasLimit`.
                gas_limit: 4_712_388,
                ..byzantium
            }),
            "ethereum-frontier" => Some(Self {
                // source: blog.ethereum.org of 25 September 2015: about 17 s.
                block_interval_s: 17.0,
                difficulty: DifficultyRule::Frontier,
                // source: the same: limit of the first months, π million.
                gas_limit: 3_141_592,
                ..byzantium
            }),
            "ghost" => Some(Self {
                fork_choice: ForkChoice::Ghost,
                ..byzantium
            }),
            _ => None,
        }
    }
}

impl Config {
    fn miners(&self) -> Miners<'_> {
        Miners {
            miners: self.miners,
            hash_shares: &self.hash_shares,
        }
    }

    /// The mean time between blocks once the difficulty has settled.
    fn interval(&self) -> Span {
        let settled = self
            .difficulty
            .equilibrium(self.whole_second_timestamps, 0.0);
        Span::from_s_f64(settled.unwrap_or(self.block_interval_s))
    }

    /// Crossings of a link before a block is at every miner: an announced one needs three, most of
    /// those pushed to a square root are there after the second push.
    const fn crossings(&self) -> u64 {
        match self.relay {
            RelayRule::Inv => 3,
            RelayRule::SqrtPush => 2,
            RelayRule::Push | RelayRule::Direct => 1,
        }
    }
}

impl DifficultyRule {
    /// The difficulty of a block whose timestamp is `after` its parent's, which has this difficulty and,
    /// or not, uncles.
    pub fn next(self, parent: u64, uncles: bool, after: Span) -> u64 {
        let late = |quotient: u64| (after.ns() / Span::from_s(quotient).ns()) as i64;
        let notches = match self {
            Self::Fixed => return parent,
            // source: ethereum/go-ethereum `params/protocol_params.go`: `DurationLimit`.
            Self::Frontier if after < Span::from_s(13) => 1,
            Self::Frontier => -1,
            Self::Homestead => (1 - late(10)).max(MOST_DOWN),
            Self::Byzantium => (1 + i64::from(uncles) - late(9)).max(MOST_DOWN),
        };
        let notch = i128::from(parent / BOUND_DIVISOR);
        let next = i128::from(parent) + notch * i128::from(notches);
        next.clamp(i128::from(LEAST_DIFFICULTY), i128::from(u64::MAX)) as u64
    }

    /// The mean time between blocks in seconds at which the difficulty neither rises nor falls, where a
    /// share `uncles` of the blocks has uncles; `None` for a fixed one. Blocks are exponential, and the
    /// bound of −99 is far away.
    ///
    /// Homestead and byzantium: the mean of ⌊t/q⌋, which is `Σ P(t ≥ jq)`, equals 1, or 1 + `uncles`;
    /// frontier: half of the blocks take 13 s or more. Between two whole seconds `t ≥ k` has
    /// probability `m(e^{1/m} − 1)·e^{−k/m}`, since the first block is anywhere within its second.
    pub fn equilibrium(self, whole_seconds: bool, uncles: f64) -> Option<f64> {
        let rounded = |m: f64| {
            let half = if whole_seconds {
                m * (math::exp(1.0 / m) - 1.0)
            } else {
                1.0
            };
            move |k: f64| half * math::exp(-k / m)
        };
        // Each rises with the mean m.
        let excess = |m: f64| match self {
            Self::Fixed => None,
            Self::Frontier => Some(rounded(m)(13.0) - 0.5),
            Self::Homestead => Some(rounded(m)(10.0) / (1.0 - math::exp(-10.0 / m)) - 1.0),
            Self::Byzantium => Some(rounded(m)(9.0) / (1.0 - math::exp(-9.0 / m)) - (1.0 + uncles)),
        };
        let (mut low, mut high) = (1.0, 1_000.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if excess(middle)? < 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }
}

/// What an uncle at one height earns when a block at another names it, in the unit of [`rewards`]:
/// `(uncle + 8 − block)/8` of the base reward.
///
/// source: ethereum/go-ethereum `consensus/ethash/consensus.go` `accumulateRewards`.
pub const fn uncle_reward(uncle: u32, block: u32) -> u32 {
    BASE_REWARD / 8 * (uncle + 8).saturating_sub(block)
}

/// Who earns what for a block, in 1/32 of the base reward: its finder, then the finders of its
/// uncles that the arena still has.
pub fn rewards(
    blocks: &Blocks<Header>,
    block: BlockId,
) -> impl Iterator<Item = (NodeId, u32)> + '_ {
    let block = blocks.get(block);
    let named = block.header.named();
    let own = BASE_REWARD + NEPHEW_REWARD * named.count() as u32;
    let uncles = block.header.named().filter_map(|uncle| blocks.find(uncle));
    let earn = move |uncle: &Block<Header>| uncle_reward(uncle.height, block.height);
    core::iter::once((block.key.creator, own))
        .chain(uncles.map(move |uncle| (uncle.key.creator, earn(uncle))))
}

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The timestamp.
    pub time: Time,
    /// This block's difficulty.
    pub difficulty: u64,
    /// The difficulty of the chain up to this block, itself included, uncles not.
    pub total: u128,
    /// The uncles that it names; see [`Header::named`].
    uncles: [BlockId; MOST_UNCLES],
    /// Its seven last ancestors, the parent first, and the uncles that they name. Carried, because the
    /// arena may have forgotten blocks that old.
    above: Lineage,
}

impl Header {
    /// The header of a block at `time` above a parent, with these uncles, of which two count.
    pub fn above(
        rule: DifficultyRule,
        (parent, below): (BlockId, &Self),
        time: Time,
        uncles: &[BlockId],
    ) -> Self {
        let after = time.saturating_since(below.time);
        let difficulty = rule.next(below.difficulty, below.named().next().is_some(), after);
        let mut named = [NONE; MOST_UNCLES];
        for (place, &uncle) in named.iter_mut().zip(uncles) {
            *place = uncle;
        }
        Self {
            time,
            difficulty,
            total: below.total + u128::from(difficulty),
            uncles: named,
            above: below.above.extended(parent, below.uncles),
        }
    }

    /// The uncles that it names.
    pub fn named(&self) -> impl Iterator<Item = BlockId> + use<> {
        self.uncles.into_iter().filter(|&uncle| uncle != NONE)
    }
}

/// The last ancestors of a block, the parent first, and the uncles that they name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lineage {
    ancestors: [BlockId; GENERATIONS],
    uncles: [[BlockId; MOST_UNCLES]; GENERATIONS],
}

impl Lineage {
    const EMPTY: Self = Self {
        ancestors: [NONE; GENERATIONS],
        uncles: [[NONE; MOST_UNCLES]; GENERATIONS],
    };

    /// That of a block above `parent`, which names `uncles` and whose own lineage this is.
    fn extended(mut self, parent: BlockId, uncles: [BlockId; MOST_UNCLES]) -> Self {
        self.ancestors.rotate_right(1);
        self.uncles.rotate_right(1);
        self.ancestors[0] = parent;
        self.uncles[0] = uncles;
        self
    }

    /// Whether a block above may name this one, a child of `parent`, as its uncle.
    fn admits(&self, uncle: BlockId, parent: BlockId) -> bool {
        self.ancestors[1..].contains(&parent)
            && !self.ancestors.contains(&uncle)
            && !self.uncles.as_flattened().contains(&uncle)
    }
}

/// Nothing is said but blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {}

impl Content<Header> for Message {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        match *self {}
    }
}

/// What a node waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// A search succeeds.
    Found(Found),
    /// A block may no longer be ahead of the clock.
    Due,
}

impl Content<Header> for Timer {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match self {
            Self::Found(found) => found.content(blocks),
            Self::Due => u64::MAX,
        }
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    difficulty: DifficultyRule,
    whole_seconds: bool,
    uncles: usize,
    relay: RelayRule,
    refresh: Refresh,
    limits: Limits,
}

/// A block that may become an uncle.
#[derive(Clone, Copy, Debug)]
struct Recent {
    block: BlockId,
    parent: BlockId,
    height: u32,
    own: bool,
}

/// One node.
#[derive(Debug)]
pub struct Ethash {
    rules: Rules,
    head: BlockId,
    /// The work above each block, under [`ForkChoice::Ghost`].
    tree: Option<Tree>,
    search: Search,
    orphans: Orphans,
    /// Valid blocks that are not far below the head, in the order of arrival.
    recent: Vec<Recent>,
    /// Blocks that are ahead of the clock, and who sent them.
    ahead: Vec<(BlockId, NodeId)>,
    /// Blocks that are not valid.
    refused: Vec<BlockId>,
}

impl Engine for Ethash {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Work,
        electorate: Electorate::Work,
        agreement: Agreement::LongestChain,
        standing: Standing::Historical,
        final_holds_if: "the adversary has less work than assumed and blocks spread within the \
                         assumed delay",
        guarantee: Guarantee::Risk,
        bound: "less than 1/2 of the work, less what delay costs",
        quorum: "none: the most total difficulty",
        messages: "a flood: a block to √degree neighbours a node, an announcement an other edge",
        latency: "depth",
        finality: "under the depth of the exact race at the risk asked for",
        source: "ethereum/go-ethereum v1.9.25; EIP-2, EIP-100; Rosenfeld 2014",
    };
    const KINDS: &'static [&'static str] = &[];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        let interval = config.block_interval_s;
        if !(1e-3..=1e5).contains(&interval) {
            let why = format!("{interval} s is not between a millisecond and 100,000 seconds");
            return refuse("block_interval_s", why, "13 is about Ethereum's");
        }
        if config.uncles as usize > MOST_UNCLES {
            let why = format!("{} uncles", config.uncles);
            return refuse("uncles", why, "a block may name two at most");
        }
        if config.tx_gas == 0 || config.gas_limit > 0 && config.gas_limit < config.tx_gas {
            let why = format!(
                "{} gas of {} a transaction",
                config.gas_limit, config.tx_gas
            );
            return refuse("tx_gas", why, "21,000 is a transfer; a block must hold one");
        }
        config.miners().check(nodes)
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        config.miners().committee(nodes)
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        let txs = unless_zero(config.gas_limit) / config.tx_gas;
        let interval = Span::from_s_f64(config.block_interval_s);
        let share = mining::share(committee, me);
        Self {
            rules: Rules {
                difficulty: config.difficulty,
                whole_seconds: config.whole_second_timestamps,
                uncles: config.uncles as usize,
                relay: config.relay,
                refresh: config.template_refresh_s,
                limits: Limits {
                    bytes: unless_zero(config.block_bytes),
                    txs: txs.min(u64::from(u32::MAX)) as u32,
                    exec: match config.block_exec_ms {
                        0 => Span::MAX,
                        ms => Span::from_ms(ms),
                    },
                },
            },
            head: Blocks::<Header>::GENESIS,
            tree: (config.fork_choice == ForkChoice::Ghost).then(Tree::new),
            search: Search::new(share, interval, GENESIS_DIFFICULTY),
            orphans: Orphans::default(),
            recent: Vec::new(),
            ahead: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            time: Time::ZERO,
            difficulty: GENESIS_DIFFICULTY,
            total: u128::from(GENESIS_DIFFICULTY),
            uncles: [NONE; MOST_UNCLES],
            above: Lineage::EMPTY,
        }
    }

    fn finality(config: &Config, adversary: &Adversary) -> Result<Finality, String> {
        mining::depths(adversary, config.crossings(), config.interval())
    }

    fn reversal_risk(config: &Config, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        let crossings = config.crossings();
        mining::reversal_risk((corrupt, nodes), crossings, config.interval(), wait)
    }

    fn promises(config: &Config, nodes: u32) -> Promises {
        config.miners().promises(nodes, config.interval())
    }

    fn handle(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => {
                self.aim(ctx, out);
                self.mine(ctx, draws, out);
            }
            Input::Restarted => self.on_restart(ctx, draws, out),
            Input::Timer(Timer::Found(found)) if self.search.is_due(found) => {
                self.on_found(ctx, out);
                self.mine(ctx, draws, out);
            }
            Input::Timer(Timer::Found(_)) => {} // A search that was replaced.
            Input::Timer(Timer::Due) => self.on_due(ctx, draws, out),
            Input::BlockBuilt(block) => self.on_connected(block, ctx, draws, out),
            Input::Body { block, from } => self.on_body(block, from, ctx, draws, out),
            Input::Message { message, .. } => match message {},
            Input::Header { .. } | Input::Threshold(_) | Input::Pending => {} // Never asked for.
        }
    }

    fn wire(&self, message: &Message, _: &Ctx<'_>) -> Wire {
        match *message {}
    }

    fn header_bytes(&self, header: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES * (1 + header.named().count() as u64) + ENVELOPE_BYTES
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        ctx.costs.validate(ctx.blocks.get(block))
    }
}

/// Mining.
impl Ethash {
    /// Starts a search for the next block.
    fn mine(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        if let Some((at, found)) = self.search.start(ctx.clock, draws) {
            out.timer(at, Timer::Found(found));
        }
    }

    /// The search is for a block above the head.
    fn aim(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let next = self.header(&[], ctx).difficulty;
        if let Some((at, found)) = self.search.on_head(next, ctx.clock) {
            out.timer(at, Timer::Found(found));
        }
    }

    /// The header of a block found now.
    fn header(&self, uncles: &[BlockId], ctx: &Ctx<'_>) -> Header {
        let parent = &ctx.blocks.get(self.head).header;
        let time = self.timestamp(parent.time, ctx.wall());
        Header::above(self.rules.difficulty, (self.head, parent), time, uncles)
    }

    /// The clock, but later than the parent.
    fn timestamp(&self, parent: Time, wall: Time) -> Time {
        let unit = if self.rules.whole_seconds {
            Span::from_s(1).ns()
        } else {
            1
        };
        Time::from_ns(wall.ns() / unit * unit).max(parent + Span::from_ns(unit))
    }

    fn on_found(&self, ctx: &Ctx<'_>, out: &mut Out) {
        let (uncles, count) = self.choose_uncles(ctx);
        out.push(Effect::BuildBlock {
            parent: self.head,
            header: self.header(&uncles[..count], ctx),
            limits: self.rules.limits,
            as_of: self.search.template(self.rules.refresh, ctx.clock),
            cost: Span::ZERO,
        });
    }

    /// The uncles of a block above the head, and how many: own ones first.
    fn choose_uncles(&self, ctx: &Ctx<'_>) -> ([BlockId; MOST_UNCLES], usize) {
        let head = &ctx.blocks.get(self.head).header;
        let above = head.above.extended(self.head, head.uncles);
        let fits = |r: &&Recent| above.admits(r.block, r.parent);
        let own = self.recent.iter().filter(|r| r.own);
        let others = self.recent.iter().filter(|r| !r.own);
        let mut uncles = [NONE; MOST_UNCLES];
        let mut count = 0;
        for uncle in own.chain(others).filter(fits).take(self.rules.uncles) {
            uncles[count] = uncle.block;
            count += 1;
        }
        (uncles, count)
    }
}

/// The chain.
impl Ethash {
    fn on_restart(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        // Memoryless: a search that was interrupted starts anew.
        self.mine(ctx, draws, out);
        let ahead = core::mem::take(&mut self.ahead);
        for &(block, _) in &ahead {
            Self::wait_for(block, ctx, out);
        }
        self.ahead = ahead;
        if ctx.nodes > 1 {
            let from = NodeId::new((ctx.me.get() + 1) % ctx.nodes);
            out.push(Effect::Sync { from });
        }
    }

    fn on_body(
        &mut self,
        block: BlockId,
        from: NodeId,
        ctx: &Ctx<'_>,
        draws: &mut Draws,
        out: &mut Out,
    ) {
        // Its parent may be among those whose time has come just now.
        self.take_in_due(ctx, draws, out);
        if Self::is_ahead(block, ctx) {
            self.ahead.push((block, from));
            Self::wait_for(block, ctx, out);
            return;
        }
        self.take_in(block, from, ctx, draws, out);
    }

    fn take_in(
        &mut self,
        block: BlockId,
        from: NodeId,
        ctx: &Ctx<'_>,
        draws: &mut Draws,
        out: &mut Out,
    ) {
        let missing = match self.orphans.admit(block, ctx) {
            Place::Connected => return self.on_connected(block, ctx, draws, out),
            Place::Kept => return,
            Place::Above(missing) => missing,
        };
        let height = |block| ctx.blocks.get(block).height;
        if height(block) > height(self.head) + LONG_GAP {
            out.push(Effect::Sync { from });
        }
        out.push(Effect::Fetch {
            block: missing,
            from,
        });
    }

    /// Whether a block's timestamp is too far ahead of this node's wall clock.
    fn is_ahead(block: BlockId, ctx: &Ctx<'_>) -> bool {
        ctx.blocks.get(block).header.time > ctx.wall() + MOST_AHEAD
    }

    fn wait_for(block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        if let Some(block) = ctx.blocks.find(block) {
            let time = block.header.time.saturating_sub(MOST_AHEAD);
            out.timer(ctx.at_wall(time), Timer::Due);
        }
    }

    /// Takes in the blocks that are no longer ahead of the clock, parents first.
    fn take_in_due(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        if self.ahead.is_empty() {
            return;
        }
        self.ahead.retain(|&(b, _)| ctx.blocks.find(b).is_some());
        let mut due = self.ahead.clone();
        due.retain(|&(block, _)| !Self::is_ahead(block, ctx));
        self.ahead.retain(|&(block, _)| Self::is_ahead(block, ctx));
        // A parent's timestamp is the lower.
        due.sort_by_key(|&(block, _)| ctx.blocks.get(block).header.time);
        for (block, from) in due {
            self.take_in(block, from, ctx, draws, out);
        }
    }

    /// Upon the time of a block that was ahead of the clock, which may have been set back since.
    fn on_due(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let before = self.ahead.len();
        self.take_in_due(ctx, draws, out);
        let time = |&(block, _): &(BlockId, NodeId)| ctx.blocks.get(block).header.time;
        if self.ahead.len() == before
            && let Some(&(block, _)) = self.ahead.iter().min_by_key(|entry| time(entry))
        {
            Self::wait_for(block, ctx, out);
        }
    }

    /// Upon a block whose ancestors are all here: it and the orphans above it compete for the head.
    fn on_connected(&mut self, block: BlockId, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let before = self.head;
        self.accept(block, ctx, draws, out);
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.connect(block, ctx.blocks, |o| self.accept(o, ctx, draws, out));
        self.orphans = orphans;
        if self.head != before {
            let height = ctx.blocks.get(self.head).height;
            self.recent
                .retain(|r| r.height + GENERATIONS as u32 >= height);
            self.aim(ctx, out);
        }
    }

    fn accept(&mut self, id: BlockId, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let block = ctx.blocks.get(id);
        let Some(parent) = block.parent else {
            return;
        };
        if self.refused.contains(&parent) || !self.is_valid(block, parent, ctx) {
            self.refused.retain(|&b| ctx.blocks.find(b).is_some());
            self.refused.push(id);
            return;
        }
        self.recent.push(Recent {
            block: id,
            parent,
            height: block.height,
            own: block.key.creator == ctx.me,
        });
        self.relay(id, ctx, out);
        let head = self.choose(id, ctx, draws);
        let stays = broken(Mutant::EthashWork) && !ctx.blocks.extends(head, self.head);
        if head != self.head && !stays {
            self.head = head;
            out.push(Effect::Adopt(head));
        }
    }

    /// Whether the protocol's rules allow a block.
    fn is_valid(&self, block: &Block<Header>, parent: BlockId, ctx: &Ctx<'_>) -> bool {
        let header = &block.header;
        let [first, second] = header.uncles;
        self.follows(header, parent, ctx)
            && header.named().count() <= self.rules.uncles
            && (first == NONE || first != second)
            && header
                .named()
                .all(|uncle| self.is_uncle(uncle, header, ctx))
    }

    /// Whether timestamp, difficulty and total are those of a child of `parent`. What is so old that the
    /// arena forgot it was checked by those who still had it.
    fn follows(&self, header: &Header, parent: BlockId, ctx: &Ctx<'_>) -> bool {
        let Some(below) = ctx.blocks.find(parent).map(|b| b.header) else {
            return true;
        };
        let rule = self.rules.difficulty;
        let due = Header::above(rule, (parent, &below), header.time, &header.uncles);
        header.time > below.time && *header == due
    }

    /// Whether a block may name this one; the same holds for what the arena forgot.
    fn is_uncle(&self, uncle: BlockId, named_by: &Header, ctx: &Ctx<'_>) -> bool {
        let Some(block) = ctx.blocks.find(uncle) else {
            return true;
        };
        block.parent.is_some_and(|parent| {
            named_by.above.admits(uncle, parent) && self.follows(&block.header, parent, ctx)
        })
    }

    fn relay(&self, id: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let block = ctx.blocks.get(id);
        let head = ctx.blocks.get(self.head).height;
        if block.height + RELAYED.0 < head || block.height > head + RELAYED.1 {
            return;
        }
        let rule = match self.rules.relay {
            RelayRule::SqrtPush => Relay::SqrtPush,
            RelayRule::Inv => Relay::Inv,
            RelayRule::Push => Relay::Push,
            RelayRule::Direct if block.key.creator == ctx.me => Relay::Push,
            RelayRule::Direct => return,
        };
        out.push(Effect::Relay { block: id, rule });
    }

    /// The head once a block is known.
    fn choose(&mut self, new: BlockId, ctx: &Ctx<'_>, draws: &mut Draws) -> BlockId {
        if let Some(tree) = &mut self.tree {
            return tree.grow(new, self.head, ctx.blocks);
        }
        let (old, block) = (ctx.blocks.get(self.head), ctx.blocks.get(new));
        let rank = |b: &Block<Header>| (b.header.total, core::cmp::Reverse(b.height));
        let own = |b: &Block<Header>| b.key.creator == ctx.me;
        let wins = match rank(block).cmp(&rank(old)) {
            core::cmp::Ordering::Greater => true,
            core::cmp::Ordering::Less => false,
            core::cmp::Ordering::Equal => !own(old) && (own(block) || draws.chance(0.5)),
        };
        if wins { new } else { self.head }
    }
}

/// The blocks that a node knows, and the work above each.
#[derive(Debug)]
struct Tree {
    known: BTreeMap<BlockId, Subtree>,
    /// How many came; ranks them.
    arrived: u64,
    /// How many are known when those that the arena forgot are forgotten here too.
    forget_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Subtree {
    parent: BlockId,
    /// The difficulty of the block and of all above it.
    work: u128,
    arrived: u64,
}

/// Blocks known before the first attempt to forget some.
const FEW: usize = 256;

impl Tree {
    const fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            arrived: 0,
            forget_at: FEW,
        }
    }

    /// Adds a block; the head then, when `head` was it before. Heads are leaves, and only the branch of
    /// the new block has become heavier.
    fn grow(&mut self, new: BlockId, head: BlockId, blocks: &Blocks<Header>) -> BlockId {
        self.insert(new, blocks);
        let Some(fork) = blocks.fork_point(new, head) else {
            return head;
        };
        if fork == head {
            return new;
        }
        let branch = |of: BlockId| blocks.ancestor(of, blocks.get(fork).height + 1);
        let (Some(challenger), Some(defender)) = (branch(new), branch(head)) else {
            return head;
        };
        if self.rank(challenger) > self.rank(defender) {
            self.heaviest(challenger)
        } else {
            head
        }
    }

    fn insert(&mut self, new: BlockId, blocks: &Blocks<Header>) {
        let block = blocks.get(new);
        let Some(parent) = block.parent else {
            return;
        };
        let work = u128::from(block.header.difficulty);
        let subtree = Subtree {
            parent,
            work,
            arrived: self.arrived,
        };
        if self.known.insert(new, subtree).is_some() {
            return;
        }
        self.arrived += 1;
        let mut at = parent;
        while let Some(below) = self.known.get_mut(&at) {
            below.work += work;
            at = below.parent;
        }
        if self.known.len() >= self.forget_at {
            self.known.retain(|&b, _| blocks.find(b).is_some());
            self.forget_at = 2 * self.known.len().max(FEW / 2);
        }
    }

    /// More work ranks higher, then who came first.
    fn rank(&self, block: BlockId) -> (u128, core::cmp::Reverse<u64>) {
        let (work, arrived) = match self.known.get(&block) {
            Some(subtree) => (subtree.work, subtree.arrived),
            None => (0, u64::MAX),
        };
        (work, core::cmp::Reverse(arrived))
    }

    /// The leaf above a block along the heaviest subtrees.
    fn heaviest(&self, from: BlockId) -> BlockId {
        let mut at = from;
        loop {
            let children = self.known.iter().filter(|(_, s)| s.parent == at);
            match children.map(|(&b, _)| b).max_by_key(|&b| self.rank(b)) {
                Some(child) => at = child,
                None => return at,
            }
        }
    }
}
