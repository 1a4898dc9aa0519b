//! Bitcoin's most-work chain.
//!
//! source: bitcoin/bitcoin@0083e01 `src/pow.cpp`, `src/kernel/chainparams.cpp`;
//! litecoin-project/litecoin@25b0b0e `src/pow.cpp`; dogecoin/dogecoin@11b1040 `src/dogecoin.cpp`,
//! `src/pow.cpp`; bitcoin/bips@7fe0b03 BIP 130 and 152 (relay); Gervais et al., "On the security and
//! performance of proof of work blockchains", CCS 2016 (validation cost, pools).
//!
//! - Upon finding a block: build it on the head, adopt it, announce it, and search on.
//! - Upon receiving a block whose ancestors are all here: adopt it if its chain has strictly more
//!   work than the head's; of equal chains the first received stays. Announce an adopted block.
//! - Upon receiving a block whose parent is missing: keep it and fetch the missing ancestor from
//!   its sender; when the gap is long, ask for its whole chain too.
//! - Upon adopting a block: search on top of it. When the difficulty of the next block differs, the
//!   time that is left is multiplied by new over old difficulty.
//! - The difficulty of a block at a height divisible by `retarget_blocks` is the old one times
//!   `S / clamp(t[h−1] − t[h−retarget_blocks], S/4, 4S)` with `S = retarget_blocks · interval`. The
//!   timespan covers one gap less than the period, so that the steady interval is `S/(N−2)`:
//!   600.596 s instead of 600 s.
//! - With `retarget_rule = "litecoin"` the timespan begins one block earlier, but for the first change,
//!   so that it covers the whole period and the steady interval is `S/(N−1)`.
//! - With `retarget_rule = "digishield"` the timespan begins there too, only an eighth of its excess
//!   over `S` counts, and the clamp is `3S/4` to `3S/2`. Dogecoin applies it to every single block.
//!
//! Mining is in `mining.rs`: memoryless, so that a new head draws nothing anew.
//!
//! Which blocks are relayed: those that become the head, once, as Bitcoin Core announces its active
//! tip only. A block that loses a race stays with those who received it first; who later needs it
//! as an ancestor fetches it. Relaying losers too would cost bandwidth and change no head.
//!
//! With `relay = "direct"` only its finder relays a block, whole and to every neighbour: what a few
//! organisations do that are all connected to each other, and the model behind the closed forms of
//! a constant delay, in which a block is everywhere one delay after it was found. In an overlay
//! that is no mesh it reaches the finder's neighbours only; others fetch it as an ancestor.
//!
//! With `relay = "sqrt-push"` whoever adopts a block sends it whole to the square root of the number
//! of its neighbours, drawn anew each time, and announces it to the others, as Ethereum did under proof
//! of work; there a block is passed on before it is executed, here after.
//! source: ethereum/devp2p `caps/eth.md`, "Block Propagation".
//!
//! With `relay = "unsolicited"` the finder sends the whole block to every neighbour, and whoever
//! adopts it announces it. With `relay_network` the finder sends each block it finds to the other
//! miners as well, beside the overlay and in short: a header and two bytes a transaction, which
//! every miner is taken to have. Neither passes on what it received that way but by `relay`.
//! source: Gervais et al. 2016, and arthurgervais/Bitcoin-Simulator@248fe9e `bitcoin-miner.cc`.
//!
//! Deviations:
//! - Difficulty is an integer (genesis: 2^32), not a compact 256-bit target, and cannot fall below
//!   1; work is its sum.
//! - Timestamps are the simulation's own, not whole seconds: at most one second in a timespan of
//!   two weeks, an eighth of a second in one of a minute. There is no median-time-past rule, hence no
//!   timestamp attack.
//! - With `digishield` for every block the logarithm of what counts settles, not its mean: blocks come 8 %
//!   slower than asked for (own Monte Carlo: 64.87 s for 60 s). The depth of finality takes the period
//!   at its word.
//! - Litecoin and Dogecoin: the rules of today, from the first block on. Merged mining is a share of the
//!   work like any other.
//! - After several blocks were adopted at once only the last is announced; Core announces up to
//!   eight headers.
//! - Compact blocks are announced after validation, not before.
//! - That a compact block cannot be rebuilt follows from the transactions that its receiver has not
//!   seen. `compact_failure_permille` injects failures on top, to reproduce other simulators.
//!
//! Finality: none by the protocol. A block counts as safe and final under the numbers of blocks at
//! which the adversary's exact race (Rosenfeld 2014) falls below the two risks.
//!
//! Messages: a flood, about one block for each node and one announcement for each edge; `direct`:
//! one block for each node and nothing else. The relay network adds m − 1 among m miners.

use crate::Presets;
use crate::config::unless_zero;
use crate::mining::{self, Miners, Search};
use crate::mutants::{Mutant, broken};
use crate::orphans::{Orphans, Place};
use quorate_core::{
    Adversary, Agreement, Background, Block, BlockId, Blocks, Committee, Compact, Content, Context,
    Draws, Effect, Electorate, Engine, Execution, Facts, Family, Finality, Guarantee, Input,
    Invalid, Limits, NodeId, Outbox, Promises, Relay, Span, Standing, Time, To, Wait, Wire,
};
use serde::{Deserialize, Serialize};

pub use crate::mining::{Found, Refresh};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Nakamoto>;

/// Difficulty of the genesis block: large enough that integer division loses less than a part in
/// 10^9 at each retarget.
const GENESIS_DIFFICULTY: u64 = 1 << 32;
/// source: bitcoin/bitcoin@0083e01 `src/pow.cpp`: a timespan counts at least 1/4 and at most 4
/// times.
const CLAMP: u64 = 4;
/// Header, and the envelope of a message. source: bitcoin/bips@7fe0b03 (80 and 24 bytes).
const HEADER_BYTES: u64 = 80 + 24;
/// source: Gervais et al. 2016: 0.174 s for 458,263 bytes, linear.
const GERVAIS: (Span, u64) = (Span::from_ms(174), 458_263);
/// A block in the relay network: a header and so much a transaction.
/// source: arthurgervais/Bitcoin-Simulator@248fe9e `bitcoin-node.cc`: 90 bytes of message header, 81
/// of block header, 2 for the index of a transaction.
const FAST_BYTES: (u64, u64) = (90 + 81, 2);
/// A gap longer than this asks for the chain, not only for one ancestor.
/// source: bitcoin/bitcoin `net_processing.cpp` `MAX_BLOCKS_TO_ANNOUNCE` (BIP 130).
const LONG_GAP: u32 = 8;

/// source: Gervais et al. 2016, the 16 largest pools; they sum to 1.001.
const GERVAIS_POOLS: [f64; 16] = [
    0.289, 0.196, 0.159, 0.133, 0.066, 0.054, 0.029, 0.016, 0.012, 0.012, 0.012, 0.009, 0.005,
    0.005, 0.002, 0.002,
];
/// assumption: the public chain's pools of 2025 in whole per cent, as in published pool statistics.
const POOLS_2025: [f64; 9] = [30.0, 29.0, 12.0, 11.0, 8.0, 5.0, 3.0, 1.0, 1.0];

config! {
    /// Parameters of the most-work chain.
    {
        /// Mean time between blocks at the genesis difficulty, s.
        block_interval_s: f64,
        /// Blocks between changes of difficulty; 0 keeps it fixed.
        retarget_blocks: u32,
        /// Which timespan sets the difficulty, and how.
        retarget_rule: RetargetRule,
        /// Miners: the first so many nodes; 0 means all, or one for each of `hash_shares`.
        miners: u32,
        /// Each miner's share of the work, in any unit; empty means equal shares.
        hash_shares: Vec<f64>,
        /// How blocks travel.
        relay: RelayRule,
        /// Whether finders also send their blocks to all miners, in short and beside the overlay.
        relay_network: bool,
        /// How old a found block's choice of transactions may be.
        template_refresh_s: Refresh,
        /// What checking a block costs.
        validation: Validation,
        /// Bytes of the workload's transactions in a block.
        block_bytes: u64,
        /// Bytes of other people's transactions in every block, on top of those: injected, not
        /// simulated one by one. What a public chain carries besides.
        background_bytes: u64,
        /// How many transactions these are, for the short forms of a block.
        background_txs: u32,
        /// Peers that may push compact blocks to a node unasked.
        high_bandwidth_peers: u32,
        /// Nodes that understand compact blocks, of 1,000.
        compact_users_permille: u32,
        /// Compact blocks, of 1,000, that cannot be rebuilt for reasons that are not simulated:
        /// injected, to reproduce other simulators.
        compact_failure_permille: u32,
        /// How much such a block lacks, in thousandths; each as likely as the others.
        compact_missing_permille: Vec<u32>,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

/// How blocks travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayRule {
    /// Announced, then fetched.
    Inv,
    /// BIP 152.
    Compact,
    /// Sent unasked.
    Push,
    /// Sent unasked by its finder; nobody else relays it.
    Direct,
    /// Sent unasked by its finder; announced by everybody else, then fetched.
    Unsolicited,
    /// Sent unasked to the square root of the number of neighbours, announced to the others.
    #[serde(rename = "sqrt-push")]
    SqrtPush,
}

/// How a timespan sets the difficulty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetargetRule {
    /// From the first block of a period to its last; at most four times, at least a quarter.
    Bitcoin,
    /// From the last block before a period to its last; the same clamp.
    Litecoin,
    /// The same timespan, damped: an eighth of the excess, three quarters to one and a half.
    Digishield,
}

/// What checking a received block costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Time for each byte, as Gervais et al. measured it.
    Bytes,
    /// Hashing and executing its transactions on the reference core.
    Execution,
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &[
        "bitcoin",
        "private-15s",
        "gervais-2016",
        "pools-2025",
        "litecoin",
        "dogecoin",
    ];

    /// The network of 2016 ran other software than one deploys today.
    fn standing(name: &str) -> Option<Standing> {
        (name == "gervais-2016").then_some(Standing::Historical)
    }

    fn preset(name: &str) -> Option<Self> {
        let bitcoin = Self {
            // source: bitcoin/bitcoin@0083e01 `chainparams.cpp` `nPowTargetSpacing`, and
            // `nPowTargetTimespan` of 1,209,600 s.
            block_interval_s: 600.0,
            retarget_blocks: 2_016,
            retarget_rule: RetargetRule::Bitcoin,
            miners: 0,
            hash_shares: Vec::new(),
            // source: BIP 152 is on by default.
            relay: RelayRule::Compact,
            relay_network: false,
            // assumption: pools renew their templates about every 30 s.
            template_refresh_s: Refresh::Every(Span::from_s(30)),
            validation: Validation::Execution,
            // source: bitcoin/bitcoin `consensus.h`: a weight of 4,000,000, four for each byte that
            // is no witness.
            block_bytes: 1_000_000,
            background_bytes: 0,
            background_txs: 0,
            // source: BIP 152, "up to three peers".
            high_bandwidth_peers: 3,
            compact_users_permille: 1_000,
            compact_failure_permille: 0,
            compact_missing_permille: Vec::new(),
            block_txs: 0,
            block_exec_ms: 0,
        };
        match name {
            "bitcoin" => Some(bitcoin),
            // assumption: a consortium that runs Bitcoin's rules at the period of Clique.
            "private-15s" => Some(Self {
                block_interval_s: 15.0,
                template_refresh_s: Refresh::AtFind,
                ..bitcoin
            }),
            // source: Gervais et al. 2016: inv relay, linear validation.
            "gervais-2016" => Some(Self {
                hash_shares: GERVAIS_POOLS.to_vec(),
                relay: RelayRule::Inv,
                validation: Validation::Bytes,
                template_refresh_s: Refresh::AtFind,
                ..bitcoin
            }),
            "pools-2025" => Some(Self {
                hash_shares: POOLS_2025.to_vec(),
                ..bitcoin
            }),
            // source: litecoin-project/litecoin `chainparams.cpp`: `nPowTargetSpacing` of 2.5 minutes,
            // `nPowTargetTimespan` of 3.5 days; weight and compact blocks as in Bitcoin Core.
            "litecoin" => Some(Self {
                block_interval_s: 150.0,
                retarget_rule: RetargetRule::Litecoin,
                ..bitcoin
            }),
            // source: dogecoin/dogecoin `chainparams.cpp`: `nPowTargetSpacing` of a minute and, since
            // block 145,000, a `nPowTargetTimespan` of a minute; `consensus.h`: 1,000,000 bytes.
            "dogecoin" => Some(Self {
                block_interval_s: 60.0,
                retarget_blocks: 1,
                retarget_rule: RetargetRule::Digishield,
                ..bitcoin
            }),
            _ => None,
        }
    }
}

impl Config {
    fn interval(&self) -> Span {
        Span::from_s_f64(self.block_interval_s)
    }

    /// Crossings of a link before a block is at every miner: an announced one needs three, a pushed
    /// one needs one.
    const fn crossings(&self) -> u64 {
        match self.relay {
            RelayRule::Inv | RelayRule::Compact if !self.relay_network => 3,
            _ => 1,
        }
    }

    /// How compact blocks fare.
    fn compact(&self) -> Compact {
        Compact {
            high_bandwidth_peers: self.high_bandwidth_peers,
            users_permille: self.compact_users_permille,
            failure_permille: self.compact_failure_permille,
            missing_permille: self.compact_missing_permille.clone(),
        }
    }

    fn check_compact(&self) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        let hint = "these are thousandths";
        for (key, value) in [
            ("compact_users_permille", self.compact_users_permille),
            ("compact_failure_permille", self.compact_failure_permille),
        ] {
            if value > 1_000 {
                return refuse(key, format!("{value} of 1,000"), hint);
            }
        }
        let (key, missing) = ("compact_missing_permille", &self.compact_missing_permille);
        if let Some(bad) = missing.iter().find(|m| !(1..=1_000).contains(*m)) {
            return refuse(key, format!("{bad} of 1,000 missing"), hint);
        }
        if missing.is_empty() != (self.compact_failure_permille == 0) {
            let why = "failures need a missing share, and the other way round".to_owned();
            return refuse(key, why, "set both, or neither");
        }
        Ok(())
    }

    /// What others fill blocks with.
    const fn background(&self) -> Background {
        Background {
            bytes: self.background_bytes,
            txs: self.background_txs,
        }
    }

    fn miners(&self) -> Miners<'_> {
        Miners {
            miners: self.miners,
            hash_shares: &self.hash_shares,
        }
    }
}

/// What a header says. The timestamp is the block's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// This block's difficulty.
    pub difficulty: u64,
    /// The work of the chain up to this block, itself included.
    pub work: u128,
    /// Where the timespan begins that sets the next difficulty after the parent's: the timestamp of the
    /// first block of the retarget period that the parent is in, or, but for
    /// [`RetargetRule::Bitcoin`], of the last before the period that this block is in. Carried, because
    /// the arena forgets blocks that old.
    pub period_start: Time,
}

/// What miners say to each other beside the overlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A block that was just found, through the relay network.
    Fast(BlockId),
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let Self::Fast(block) = *self;
        blocks.name(block)
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    interval: Span,
    retarget_blocks: u32,
    retarget_rule: RetargetRule,
    relay: RelayRule,
    relay_network: bool,
    background: Background,
    refresh: Refresh,
    validation: Validation,
    limits: Limits,
}

/// One node.
#[derive(Debug)]
pub struct Nakamoto {
    rules: Rules,
    head: BlockId,
    /// The work of the head's chain.
    work: u128,
    search: Search,
    orphans: Orphans,
}

impl Engine for Nakamoto {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Found;

    const FACTS: Facts = Facts {
        family: Family::Work,
        electorate: Electorate::Work,
        agreement: Agreement::LongestChain,
        standing: Standing::Deployable,
        final_holds_if: "the adversary has less work than assumed and blocks spread within the \
                         assumed delay",
        guarantee: Guarantee::Risk,
        bound: "less than 1/2 of the work, less what delay costs",
        quorum: "none: the most work",
        messages: "a flood: a block a node, an announcement an edge",
        latency: "depth",
        finality: "under the depth of the exact race at the risk asked for",
        source: "bitcoin/bitcoin@0083e01; Rosenfeld 2014",
    };
    const KINDS: &'static [&'static str] = &["relay-network"];
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
        // A finite `Span` must also hold four retarget periods.
        if !(1e-6..=1e6).contains(&interval) {
            let why = format!("{interval} s is not between a microsecond and a million seconds");
            return refuse("block_interval_s", why, "600 is Bitcoin's");
        }
        let bitcoin = config.retarget_rule == RetargetRule::Bitcoin;
        if config.retarget_blocks == 1 && bitcoin {
            let why = "a period of one block has no timespan".to_owned();
            let hint = "0 keeps the difficulty fixed; 2016 is Bitcoin's";
            return refuse("retarget_blocks", why, hint);
        }
        if config.retarget_blocks == 0 && !bitcoin {
            let why = "a rule for a difficulty that is fixed".to_owned();
            return refuse("retarget_rule", why, "set retarget_blocks, or leave it out");
        }
        config.miners().check(nodes)?;
        if config.background_txs > 0 && config.background_bytes == 0 {
            let why = format!("{} transactions of no bytes", config.background_txs);
            return refuse(
                "background_txs",
                why,
                "set background_bytes, or leave it out",
            );
        }
        config.check_compact()
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        config.miners().committee(nodes)
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            rules: Rules {
                interval: config.interval(),
                retarget_blocks: config.retarget_blocks,
                retarget_rule: config.retarget_rule,
                relay: config.relay,
                relay_network: config.relay_network,
                background: config.background(),
                refresh: config.template_refresh_s,
                validation: config.validation,
                limits: Limits {
                    bytes: config.block_bytes,
                    txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                    exec: match config.block_exec_ms {
                        0 => Span::MAX,
                        ms => Span::from_ms(ms),
                    },
                },
            },
            head: Blocks::<Header>::GENESIS,
            work: u128::from(GENESIS_DIFFICULTY),
            search: Search::new(
                mining::share(committee, me),
                config.interval(),
                GENESIS_DIFFICULTY,
            ),
            orphans: Orphans::default(),
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            difficulty: GENESIS_DIFFICULTY,
            work: u128::from(GENESIS_DIFFICULTY),
            period_start: Time::ZERO,
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

    fn execution(config: &Config) -> Execution {
        match config.validation {
            Validation::Bytes => Execution::Free,
            Validation::Execution => Execution::Beside,
        }
    }

    fn handle(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => {
                self.search.on_head(self.search.difficulty(), ctx.clock);
                self.mine(ctx, draws, out);
            }
            Input::Restarted => {
                // Memoryless: a search that was interrupted starts anew.
                self.mine(ctx, draws, out);
                let peer = (ctx.me.get() + 1) % ctx.nodes;
                if ctx.nodes > 1 {
                    let from = NodeId::new(peer);
                    out.push(Effect::Sync { from });
                }
            }
            Input::Timer(found) if self.search.is_due(found) => {
                self.on_found(ctx, out);
                self.mine(ctx, draws, out);
            }
            Input::Timer(_) => {} // A search that was replaced.
            Input::BlockBuilt(block) => self.on_connected(block, ctx, out),
            Input::Body { block, from } => self.on_body(block, from, ctx, out),
            Input::Message { from, message } => {
                let Message::Fast(block) = message;
                if ctx.blocks.find(block).is_some() {
                    self.on_body(block, from, ctx, out);
                }
            }
            Input::Header { .. } | Input::Threshold(_) | Input::Pending => {} // Never asked for.
        }
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let Message::Fast(block) = *message;
        let txs = ctx.blocks.get(block).txs + self.rules.background.txs;
        Wire {
            kind: 0,
            bytes: FAST_BYTES.0 + FAST_BYTES.1 * u64::from(txs),
            sign: Span::ZERO,
            check: self.check_block(block, ctx),
        }
    }

    fn carries(message: &Message) -> Option<BlockId> {
        let Message::Fast(block) = *message;
        Some(block)
    }

    fn header_bytes(&self, _: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        match self.rules.validation {
            Validation::Bytes => GERVAIS.0.scale(block.bytes, GERVAIS.1),
            Validation::Execution => ctx.costs.validate(block),
        }
    }

    fn compact(config: &Config) -> Compact {
        config.compact()
    }

    fn background(&self) -> Background {
        self.rules.background
    }
}

/// Mining.
impl Nakamoto {
    /// Starts a search for the next block.
    fn mine(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        if let Some((at, found)) = self.search.start(ctx.clock, draws) {
            out.timer(at, found);
        }
    }

    fn on_found(&self, ctx: &Ctx<'_>, out: &mut Out) {
        let parent = ctx.blocks.get(self.head);
        out.push(Effect::BuildBlock {
            parent: self.head,
            header: Header {
                difficulty: self.search.difficulty(),
                work: parent.header.work + u128::from(self.search.difficulty()),
                period_start: self.period_start(parent),
            },
            limits: self.rules.limits,
            as_of: self.search.template(self.rules.refresh, ctx.clock),
            cost: Span::ZERO,
        });
    }

    /// What a block above this one carries as [`Header::period_start`].
    fn period_start(&self, parent: &Block<Header>) -> Time {
        let begins = match (self.rules.retarget_blocks, self.rules.retarget_rule) {
            (0, _) => return Time::ZERO,
            (n, RetargetRule::Bitcoin) => parent.height.is_multiple_of(n),
            (n, _) => (parent.height + 1).is_multiple_of(n),
        };
        if begins {
            parent.timestamp
        } else {
            parent.header.period_start
        }
    }

    /// The difficulty of the block above `parent`.
    fn next_difficulty(&self, parent: BlockId, ctx: &Ctx<'_>) -> u64 {
        let parent = ctx.blocks.get(parent);
        let old = parent.header.difficulty;
        let rule = self.rules.retarget_rule;
        match self.rules.retarget_blocks {
            0 => old,
            n if !(parent.height + 1).is_multiple_of(n) => old,
            n => {
                let first = match rule {
                    RetargetRule::Bitcoin => self.period_start(parent),
                    _ => parent.header.period_start,
                };
                let actual = parent.timestamp.saturating_since(first);
                retarget(rule, old, actual, self.rules.interval * u64::from(n))
            }
        }
    }
}

/// `old · target / clamp(actual, target/4, 4·target)`, at least 1; damped under
/// [`RetargetRule::Digishield`].
///
/// source: bitcoin/bitcoin@0083e01 `src/pow.cpp` `CalculateNextWorkRequired`, and
/// dogecoin/dogecoin@11b1040 `src/dogecoin.cpp` `CalculateDogecoinNextWorkRequired`, for the difficulty
/// instead of the target.
fn retarget(rule: RetargetRule, old: u64, actual: Span, target: Span) -> u64 {
    let part = |of: u64, parts: u64| target.scale(of, parts);
    let counted = match rule {
        RetargetRule::Bitcoin | RetargetRule::Litecoin => {
            actual.clamp(part(1, CLAMP), target * CLAMP)
        }
        RetargetRule::Digishield => {
            // target + (actual − target)/8, without a sign.
            let damped = part(7, 8) + actual.scale(1, 8);
            damped.clamp(part(3, 4), part(3, 2))
        }
    };
    let new = u128::from(old) * u128::from(target.ns()) / u128::from(counted.ns());
    u64::try_from(new).unwrap_or(u64::MAX).max(1)
}

/// The chain.
impl Nakamoto {
    fn on_body(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let missing = match self.orphans.admit(block, ctx) {
            Place::Connected => return self.on_connected(block, ctx, out),
            Place::Kept => return,
            Place::Above(missing) => missing,
        };
        let gap = ctx
            .blocks
            .get(block)
            .height
            .saturating_sub(ctx.blocks.get(self.head).height);
        if gap > LONG_GAP {
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
        self.compete(block, ctx, out);
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.connect(block, ctx.blocks, |orphan| self.compete(orphan, ctx, out));
        self.orphans = orphans;
        if self.head != before {
            self.on_new_head(ctx, out);
        }
    }

    fn compete(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let work = ctx.blocks.get(block).header.work;
        let stays = broken(Mutant::NakamotoWork) && !ctx.blocks.extends(block, self.head);
        if work > self.work && !stays {
            self.work = work;
            self.head = block;
            out.push(Effect::Adopt(block));
        }
    }

    fn on_new_head(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.announce(self.head, ctx, out);
        let next = self.next_difficulty(self.head, ctx);
        if let Some((at, found)) = self.search.on_head(next, ctx.clock) {
            out.timer(at, found);
        }
    }

    fn announce(&self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let found = ctx.blocks.get(block).key.creator == ctx.me;
        if found && self.rules.relay_network {
            out.push(Effect::Send {
                to: To::Committee,
                message: Message::Fast(block),
            });
        }
        let rule = match self.rules.relay {
            RelayRule::Inv => Relay::Inv,
            RelayRule::Compact => Relay::Compact,
            RelayRule::Push => Relay::Push,
            RelayRule::Direct | RelayRule::Unsolicited if found => Relay::Push,
            RelayRule::Unsolicited => Relay::Inv,
            RelayRule::SqrtPush => Relay::SqrtPush,
            RelayRule::Direct => return,
        };
        out.push(Effect::Relay { block, rule });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_WEEKS: Span = Span::from_s(1_209_600);

    /// source: the rule of `CalculateNextWorkRequired` and its test vectors' four cases: inside,
    /// too fast, too slow, exact.
    #[test]
    fn retarget_is_proportional_and_clamped() {
        let old = GENESIS_DIFFICULTY;
        assert_eq!(
            retarget(RetargetRule::Bitcoin, old, TWO_WEEKS, TWO_WEEKS),
            old
        );
        assert_eq!(
            retarget(RetargetRule::Bitcoin, old, Span::from_s(604_800), TWO_WEEKS),
            2 * old
        );
        assert_eq!(
            retarget(
                RetargetRule::Bitcoin,
                old,
                Span::from_s(2_419_200),
                TWO_WEEKS
            ),
            old / 2
        );
        assert_eq!(
            retarget(RetargetRule::Bitcoin, old, Span::from_s(1), TWO_WEEKS),
            4 * old
        );
        assert_eq!(
            retarget(RetargetRule::Bitcoin, old, Span::ZERO, TWO_WEEKS),
            4 * old
        );
        assert_eq!(
            retarget(RetargetRule::Bitcoin, old, Span::from_s(302_400), TWO_WEEKS),
            4 * old
        );
        assert_eq!(
            retarget(RetargetRule::Bitcoin, old, TWO_WEEKS * 40, TWO_WEEKS),
            old / 4
        );
        assert_eq!(
            retarget(RetargetRule::Bitcoin, 1, TWO_WEEKS * 40, TWO_WEEKS),
            1
        );
    }

    /// By corrupt organisations and time; an announced block crosses a link three times.
    #[test]
    fn risk_after_a_wait_counts_crossings_and_organisations() {
        let risk = |relay, corrupt, waited_s, delay_ms| {
            let config = Config {
                block_interval_s: 15.0,
                relay,
                ..Config::default()
            };
            let wait = Wait {
                waited: Span::from_s(waited_s),
                delay: Span::from_ms(delay_ms),
            };
            Nakamoto::reversal_risk(&config, 12, corrupt, &wait)
        };
        let (inv, direct) = (RelayRule::Inv, RelayRule::Direct);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9 * b;
        assert!(close(risk(inv, 3, 600, 100), risk(direct, 3, 600, 300)));
        assert!(risk(inv, 3, 600, 100) > risk(direct, 3, 600, 100));
        assert!(risk(inv, 3, 600, 100) > risk(inv, 3, 3_600, 100));
        assert!(risk(inv, 4, 600, 100) > risk(inv, 3, 600, 100));
        assert!(risk(inv, 0, 0, 100) < 1e-300 && close(risk(inv, 6, 600, 100), 1.0));
        // Without delay: 40 intervals against a quarter of the work.
        let want = quorate_core::finality::reversal_risk_after(0.25, 40.0);
        assert!(close(risk(inv, 3, 600, 0), want));
    }
}
