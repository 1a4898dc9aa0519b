//! Clique, the proof of authority of geth and Besu.
//!
//! source: ethereum/EIPs@f767a1e EIP-225 (rules, votes) and EIP-3436 (choice of block);
//! ethereum/go-ethereum v1.9.25 `consensus/clique` (schedule, tally), `core/blockchain.go`
//! (`writeBlockWithState`: ties), `eth/sync.go` (what is fetched); hyperledger/besu
//! `consensus/clique` (`CliqueBlockScheduler`, `CliqueHelpers`).
//!
//! With `n` signers in the order of their addresses, `LIMIT = ⌊n/2⌋ + 1`, after each block:
//!
//! - Upon a new head: who is a signer and signed none of the last `LIMIT − 1` blocks will sign the
//!   next one, of height `h`. Its time is the parent's plus the period, or the current second if that
//!   is later. The signer whose place is `h mod n` is in turn: it signs at that time, with difficulty
//!   2. Any other waits a random time more, the wiggle, and signs with difficulty 1. What was planned
//!   on the old head is dropped.
//! - Upon that instant: build the block on the head, and vote in it.
//! - Upon receiving a block whose ancestors are all here and valid: it is valid if its signer was a
//!   signer after the parent and signed none of the `LIMIT − 1` blocks below, its difficulty fits
//!   the turn, its time is at least the parent's plus the period, and it carries no vote if its
//!   height is a multiple of the epoch. It is passed on. Adopt it if its chain has more total
//!   difficulty than the head's; of equal ones the lower height wins; of equal heights, with
//!   `tie = "geth"` a coin is tossed, and with `"eip-3436"` the smaller `(h − place) mod n` wins, and
//!   then the lower hash.
//! - Upon a block of a later second than the own clock's: keep it until then.
//! - Upon a block whose parent is missing: keep it and fetch the ancestor from its sender; when that
//!   is not just the next one, ask for its whole chain too.
//! - Upon ten seconds without the next block, and every ten seconds from then on: tell all the head.
//!   Who hears of a head that it would rather have asks for its chain; who has a better one tells
//!   its own. With `tie = "geth"` only more total difficulty is fetched (`eth/sync.go`), with
//!   `"eip-3436"` also as much on no greater height, so that the tie can be broken.
//! - Upon a restart: plan on the head anew, and ask the next node for its chain.
//!
//! Votes: a block carries at most one, its signer's, to add or to drop a node. Of each signer the
//! latest vote on each node counts, as long as it would change something. When more than half of the
//! signers agree it holds at once; then all votes on that node are void, and so are those of a
//! signer that was dropped. Nothing else follows at once: what would now pass does when its node is
//! voted on again. At multiples of the epoch all votes are void. An operator's wish
//! (`votes`) is voted for in every block that a signer makes while it would change something; of
//! several one is drawn.
//!
//! The signers after a block follow from its branch: every node keeps, for the blocks that may still
//! be built upon, who signed them and which of a few interned lists holds after them.
//!
//! Deviations:
//! - Addresses sort as the nodes' numbers.
//! - The "hash" of a tie is a hash of the block's identity.
//! - geth renews the block every 3 s when transactions arrived (`template_refresh_s`), and then also
//!   draws a new wiggle; here it is drawn once a head.
//! - A block from the future is kept until its second; geth looks every 5 s, and refuses what is more
//!   than 30 s ahead.
//! - Heads are told when nothing happens, not at each handshake; a header is checked with its body.
//! - What is older than half a minute is not passed on, as neither client does for what it caught up
//!   with.
//! - `spammers` is no setting of a client but an attack: out-of-turn signers that do not wait. The wiggle
//!   is a courtesy, since no header says how long its signer waited; honest nodes refuse nothing.
//! - Period 0, geth's mode for developers, is refused; Besu's option to make no empty blocks is not
//!   there.
//!
//! Finality: none by the protocol. A block is called final, and committed, under `safe_depth`
//! blocks, itself included. Under synchrony a minority that signs in secret makes as many blocks as
//! it has members, of difficulty 2 at most, and cannot outweigh more than twice as many. Across a
//! partition nothing is sure: what was committed may be left.
//!
//! Messages: `direct`: n − 1 blocks; `push`: every node sends each block to every neighbour.

use crate::Presets;
use crate::config::unless_zero;
use crate::mutants::{Mutant, broken};
use crate::orphans::{Orphans, Place};
use core::cmp::Ordering;
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox, Promises,
    Relay, Span, Standing, Time, To, Wire, hash,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Clique>;

const SECOND: Span = Span::from_s(1);
/// Difficulty of a block in turn and of any other. source: EIP-225, `DIFF_INTURN`, `DIFF_NOTURN`.
const IN_TURN: u64 = 2;
const NO_TURN: u64 = 1;
/// The wiggle of each signer. source: EIP-225; go-ethereum v1.9.25 `wiggleTime`; Besu
/// `OUT_OF_TURN_DELAY_MULTIPLIER_MILLIS`.
const WIGGLE: Span = Span::from_ms(500);
/// source: go-ethereum v1.9.25 `eth/sync.go` `forceSyncCycle`.
const SYNC_CYCLE: Span = Span::from_s(10);
/// A gap longer than this asks for the chain, not only for one ancestor.
/// source: go-ethereum v1.9.25 `eth/fetcher/block_fetcher.go`: `maxUncleDist` 7.
const LONG_GAP: u32 = 7;
/// The age up to which a block is passed on.
/// assumption: geth passes on what is at most 32 blocks ahead and 7 behind, and nothing that it
/// caught up with; by age that is told apart without knowing why a block came.
const FRESH: Span = Span::from_s(30);
/// assumption: an Ethereum header without base fee is 507 B in RLP with empty extra data; source:
/// EIP-225: 32 B of vanity and 65 B of seal, here with 2 B more of length.
const HEADER_BYTES: u64 = 507 + 32 + 65 + 2;
/// A signer in the list of an epoch's first block. source: EIP-225.
const ADDRESS_BYTES: u64 = 20;
/// A status: two hashes of 32 B, total difficulty, network and version, framing.
/// assumption: summed over the fields of ethereum/devp2p `caps/eth.md`, "Status".
const STATUS_BYTES: u64 = 100;

config! {
    /// Parameters of Clique.
    {
        /// Least time between a block and the next, whole seconds.
        period_s: u64,
        /// Blocks after which all votes are void.
        epoch_blocks: u32,
        /// Signers at first: the first so many nodes; 0 means all.
        signers: u32,
        /// How long who is not in turn waits.
        wiggle: Wiggle,
        /// Which of two chains with the same total difficulty and height is taken.
        tie: Tie,
        /// How blocks travel.
        relay: RelayRule,
        /// How old a block's choice of transactions may be, s; 0: chosen when it is signed.
        template_refresh_s: u64,
        /// Blocks, itself included, under which a block is called final; 0 means `⌊n/2⌋ + 1`.
        safe_depth: u32,
        /// Which signers want whom added or dropped, and from when.
        votes: Vec<Wish>,
        /// Signers that never wait: out of turn too, they sign at the block's own time. An attack.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        spammers: Vec<u32>,
        /// Bytes of transactions in a block.
        block_bytes: u64,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

/// How long a signer that is not in turn waits, at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wiggle {
    /// Up to `(⌊n/2⌋ + 1) · 500 ms`.
    Geth,
    /// 1 ms up to `(n/2 + 1) · 500 ms`, in whole milliseconds.
    Besu,
    /// Up to `n · 500 ms`, as the text of EIP-225 has it.
    Eip,
}

impl Wiggle {
    /// The longest wait with so many signers.
    pub fn longest(self, signers: u32) -> Span {
        match self {
            Self::Geth => WIGGLE * u64::from(limit(signers)),
            Self::Besu => WIGGLE.scale(u64::from(signers) + 2, 2),
            Self::Eip => WIGGLE * u64::from(signers),
        }
    }

    fn draw(self, signers: u32, draws: &mut Draws) -> Span {
        let longest = self.longest(signers).ns();
        match self {
            Self::Geth | Self::Eip => Span::from_ns(draws.below(longest)),
            Self::Besu => Span::from_ms(1 + draws.below(longest / 1_000_000)),
        }
    }
}

/// Which of two chains with the same total difficulty and height is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tie {
    /// Either, by the toss of a coin when the second arrives.
    #[serde(rename = "geth")]
    Geth,
    /// The one whose signer's turn is longer away, then the lower hash.
    #[serde(rename = "eip-3436")]
    Eip3436,
}

/// How blocks travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayRule {
    /// Sent unasked by everybody.
    Push,
    /// Sent unasked by its signer; nobody else relays it.
    Direct,
    /// Sent unasked to the square root of the number of neighbours, announced to the others.
    SqrtPush,
}

/// What an operator asks some signers to vote for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// From this instant on, s. A later wish about the same node replaces an earlier one.
    pub from_s: f64,
    /// Which nodes vote for it; empty or left out means all.
    #[serde(default)]
    pub signers: Vec<u32>,
    /// About which node.
    pub candidate: u32,
    /// To add it, or to drop it.
    pub add: bool,
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["besu-clique", "geth-clique"];

    fn preset(name: &str) -> Option<Self> {
        let besu = Self {
            // source: EIP-225 `BLOCK_PERIOD` and `EPOCH_LENGTH`; Besu's defaults are the same
            // (`JsonCliqueConfigOptions`: `blockperiodseconds` 15, `epochlength` 30000).
            period_s: 15,
            epoch_blocks: 30_000,
            signers: 0,
            wiggle: Wiggle::Besu,
            tie: Tie::Eip3436,
            // source: hyperledger/besu `BlockBroadcaster`: to every peer not known to have it.
            relay: RelayRule::Push,
            // source: hyperledger/besu `BlockMiner`: the block is made when its time has come.
            template_refresh_s: 0,
            // assumption: SIGNER_LIMIT blocks, as is customary.
            safe_depth: 0,
            votes: Vec::new(),
            spammers: Vec::new(),
            // assumption: as for QBFT, the 10 MB that Besu lets a message have
            // (hyperledger/besu#4120).
            block_bytes: 10_000_000,
            block_txs: 0,
            block_exec_ms: 11_250,
        };
        match name {
            "besu-clique" => Some(besu),
            "geth-clique" => Some(Self {
                wiggle: Wiggle::Geth,
                tie: Tie::Geth,
                // source: go-ethereum v1.9.25 `eth/handler.go` `BroadcastBlock`.
                relay: RelayRule::SqrtPush,
                // source: go-ethereum v1.9.25 `--miner.recommit`, 3 s.
                template_refresh_s: 3,
                ..besu
            }),
            _ => None,
        }
    }

    fn settle(&mut self, given: impl Fn(&str) -> bool) {
        if !given("block_exec_ms") {
            // source: Besu's `--poa-block-txs-selection-max-time` is 75 % of the period.
            // assumption: a geth network's gas limit comes to as much.
            self.block_exec_ms = self.period_s.saturating_mul(750);
        }
    }
}

impl Config {
    const fn first_signers(&self, nodes: u32) -> u32 {
        if self.signers == 0 {
            nodes
        } else {
            self.signers
        }
    }

    /// Blocks under which a block is called final, with so many signers.
    const fn depth(&self, signers: u32) -> u32 {
        if self.safe_depth == 0 {
            limit(signers)
        } else {
            self.safe_depth
        }
    }
}

/// Of how many consecutive blocks a signer may sign one. source: EIP-225, `SIGNER_LIMIT`.
pub const fn limit(signers: u32) -> u32 {
    signers / 2 + 1
}

/// Of the heights, the share at which a signer of `spammers` may sign out of turn while all take their
/// turns: who signed in turn may sign again `LIMIT` heights later, and its next turn comes after `n`.
///
/// source: own counting from EIP-225.
pub fn spam_law(signers: u32, spammers: &[u32]) -> f64 {
    let may = |turn: &u32| {
        let since = |s: &u32| (turn + signers - s % signers) % signers;
        spammers.iter().any(|s| since(s) >= limit(signers))
    };
    (0..signers).filter(may).count() as f64 / f64::from(signers)
}

/// What a block's signer votes for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Proposal {
    /// About whom.
    pub target: NodeId,
    /// To add it, or to drop it.
    pub add: bool,
}

/// The signers after a block and the votes that are pending there: the rules of EIP-225.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roll {
    /// In the order of their turns.
    signers: Vec<NodeId>,
    /// Who voted for what, sorted. All of them would change something.
    votes: Vec<(Proposal, NodeId)>,
}

impl Roll {
    /// The signers of a genesis block.
    pub fn new(mut signers: Vec<NodeId>) -> Self {
        signers.sort_unstable();
        let votes = Vec::new();
        Self { signers, votes }
    }

    /// Who may sign the next block, but for the recently signed.
    pub fn signers(&self) -> &[NodeId] {
        &self.signers
    }

    fn count(&self) -> u32 {
        self.signers.len() as u32
    }

    /// Whether a node may sign at all.
    pub fn has(&self, node: NodeId) -> bool {
        self.signers.binary_search(&node).is_ok()
    }

    /// `(height − place) mod n`: how long ago the signer's turn was.
    pub fn since_turn(&self, height: u32, signer: NodeId) -> u32 {
        let n = self.signers.len().max(1);
        // Who was just dropped counts as the first, as in Besu.
        let place = self.signers.binary_search(&signer).unwrap_or(0);
        ((height as usize + n - place) % n) as u32
    }

    /// What a block of this signer weighs at a height.
    pub fn difficulty(&self, height: u32, signer: NodeId) -> u64 {
        if self.has(signer) && self.since_turn(height, signer) == 0 {
            IN_TURN
        } else {
            NO_TURN
        }
    }

    /// Whether a vote for it would change something.
    pub fn is_meant(&self, proposal: Proposal) -> bool {
        self.has(proposal.target) != proposal.add
    }

    /// Whether a block changes anything: if not, this roll holds after it too.
    fn is_kept(&self, epoch: bool, vote: Option<Proposal>) -> bool {
        vote.is_none() && (!epoch || self.votes.is_empty())
    }

    /// What holds after a block of this signer.
    ///
    /// source: go-ethereum v1.9.25 `consensus/clique/snapshot.go` `apply`.
    pub fn after(&self, epoch: bool, signer: NodeId, vote: Option<Proposal>) -> Self {
        let mut roll = self.clone();
        if epoch {
            roll.votes.clear();
        }
        let Some(vote) = vote else { return roll };
        let target = vote.target;
        roll.votes
            .retain(|(p, by)| !(*by == signer && p.target == target));
        if roll.is_meant(vote) {
            let place = roll.votes.partition_point(|v| *v < (vote, signer));
            roll.votes.insert(place, (vote, signer));
        }
        let agreed = roll.votes.iter().filter(|(p, _)| p.target == target);
        if agreed.count() as u32 >= limit(roll.count()) {
            roll.pass(target);
        }
        roll
    }

    /// A vote on a node has passed: it changes sides.
    fn pass(&mut self, target: NodeId) {
        match self.signers.binary_search(&target) {
            Ok(place) => {
                self.signers.remove(place);
                self.votes.retain(|(_, by)| *by != target);
            }
            Err(place) => self.signers.insert(place, target),
        }
        self.votes.retain(|(p, _)| p.target != target);
    }
}

/// What a header says. The total is the sum of the difficulties, which everybody adds up alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// In whole seconds.
    pub time_s: u64,
    /// 2 in turn, 1 otherwise.
    pub difficulty: u64,
    /// Of the chain up to this block, itself included.
    pub total: u64,
    /// The signer's vote.
    pub vote: Option<Proposal>,
    /// Signers that are listed in it: all in an epoch's first block, none in others.
    pub listed: u32,
}

/// What nodes say besides their blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// This is my head.
    Status(BlockId),
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let Self::Status(head) = *self;
        blocks.name(head)
    }
}

/// What falls due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The block that was planned on the head of this generation.
    Sign(u32),
    /// A block that came before its second.
    Due(BlockId),
    /// The head of this generation is overdue for a successor.
    Stalled(u32),
}

impl Content<Header> for Timer {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        match *self {
            Self::Sign(generation) => hash::fold_all(0, &[u64::from(generation)]),
            Self::Due(block) => hash::fold_all(1, &[blocks.name(block)]),
            Self::Stalled(generation) => hash::fold_all(2, &[u64::from(generation)]),
        }
    }
}

/// A valid block whose ancestors are all valid.
#[derive(Clone, Copy, Debug)]
struct Known {
    block: BlockId,
    parent: BlockId,
    height: u32,
    signer: NodeId,
    time_s: u64,
    total: u64,
    /// Which roll holds after it.
    roll: u32,
}

/// The valid blocks that may still be built upon, with the signers after each.
#[derive(Debug)]
struct Ancestry {
    /// Sorted by their place in the arena, to be found again.
    known: VecDeque<Known>,
    rolls: Vec<Roll>,
}

impl Ancestry {
    fn new(signers: u32) -> Self {
        let genesis = Known {
            block: Blocks::<Header>::GENESIS,
            parent: Blocks::<Header>::GENESIS,
            height: 0,
            signer: NodeId::new(u32::MAX),
            time_s: 0,
            total: 0,
            roll: 0,
        };
        Self {
            known: VecDeque::from([genesis]),
            rolls: vec![Roll::new((0..signers).map(NodeId::new).collect())],
        }
    }

    fn get(&self, block: BlockId) -> Option<&Known> {
        let place = self.known.binary_search_by_key(&block, |k| k.block);
        place.ok().map(|p| &self.known[p])
    }

    fn roll(&self, after: &Known) -> &Roll {
        &self.rolls[after.roll as usize]
    }

    /// Whether a node signed one of the last `LIMIT − 1` blocks up to this one.
    fn is_recent(&self, node: NodeId, head: &Known) -> bool {
        let window = match limit(self.roll(head).count()) - 1 {
            _ if broken(Mutant::CliqueRecent) => 0,
            window => window,
        };
        let mut at = head;
        for _ in 0..window {
            if at.height == 0 {
                return false;
            }
            if at.signer == node {
                return true;
            }
            let Some(below) = self.get(at.parent) else {
                return false;
            };
            at = below;
        }
        false
    }

    /// Which roll holds after a block that casts this vote; equal ones are kept once.
    fn roll_after(
        &mut self,
        parent: &Known,
        epoch: bool,
        signer: NodeId,
        vote: Option<Proposal>,
    ) -> u32 {
        let old = self.roll(parent);
        if old.is_kept(epoch, vote) {
            return parent.roll;
        }
        let new = old.after(epoch, signer, vote);
        let place = self.rolls.iter().rposition(|roll| *roll == new);
        let place = place.unwrap_or_else(|| {
            self.rolls.push(new);
            self.rolls.len() - 1
        });
        place as u32
    }

    fn insert(&mut self, known: Known) {
        let place = self.known.partition_point(|k| k.block < known.block);
        self.known.insert(place, known);
    }

    /// Forgets what nobody can build upon, but for as many blocks below as the window may reach.
    fn prune(&mut self, floor: u32, nodes: u32) {
        while self.known.len() > 1 && self.known[0].height + limit(nodes) < floor {
            self.known.pop_front();
        }
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Debug)]
struct Rules {
    /// Wishes sorted by their instants.
    config: Config,
    limits: Limits,
}

/// One node.
#[derive(Debug)]
pub struct Clique {
    rules: Rules,
    ancestry: Ancestry,
    head: BlockId,
    /// When it became the head.
    head_since: Time,
    /// What the node has called final.
    committed: BlockId,
    /// Counts heads.
    generation: u32,
    /// The time of the block that is planned, s.
    planned: u64,
    /// Blocks that came before their second.
    early: Vec<BlockId>,
    orphans: Orphans,
}

impl Engine for Clique {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Authority,
        electorate: Electorate::Appointed,
        agreement: Agreement::LongestChain,
        // source: hyperledger/besu 25.12 deprecates block production with Clique, besu-eth/besu#9852
        // removes it; go-ethereum 1.14 signs no Clique blocks.
        standing: Standing::Historical,
        final_holds_if: "blocks arrive within the period, nobody is cut off, and fewer than half of \
                         the safe depth lie",
        guarantee: Guarantee::Synchrony,
        bound: "min(⌊(depth−1)/2⌋, ⌊(n−1)/2⌋) lie, ⌈n/2⌉−1 fail",
        quorum: "⌊n/2⌋+1 different signers in a row",
        messages: "a flood of blocks; n−1 if only signers send",
        latency: "(depth−1)·period + d",
        finality: "under ⌊n/2⌋+1 blocks, by convention; may be left",
        source: "EIP-225; EIP-3436; go-ethereum v1.9.25; hyperledger/besu",
    };
    const KINDS: &'static [&'static str] = &["status"];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        let refuse = |key, why: String, hint: &str| {
            Err(Invalid {
                key,
                why,
                hint: hint.to_owned(),
            })
        };
        if !(1..=86_400).contains(&config.period_s) {
            let why = format!("{} s is not between a second and a day", config.period_s);
            return refuse(
                "period_s",
                why,
                "15 is customary; headers carry whole seconds",
            );
        }
        if config.epoch_blocks == 0 {
            let why = "an epoch of no blocks".to_owned();
            return refuse("epoch_blocks", why, "30000 is customary");
        }
        if config.signers > nodes {
            let why = format!("{} signers on {nodes} nodes", config.signers);
            let hint = "name at most as many as there are nodes, or 0 for all";
            return refuse("signers", why, hint);
        }
        let n = config.first_signers(nodes);
        if let Some(bad) = config.spammers.iter().find(|i| **i >= n) {
            let why = format!("node {bad} does not sign, of {n} that do");
            return refuse("spammers", why, "signers count from 0");
        }
        for wish in &config.votes {
            if !(0.0..=1e9).contains(&wish.from_s) {
                let why = format!("{} s is no instant of a run", wish.from_s);
                return refuse("votes", why, "0 is the start");
            }
            let named = wish.signers.iter().chain([&wish.candidate]);
            if let Some(bad) = named.copied().find(|i| *i >= nodes) {
                let why = format!("there is no node {bad} among {nodes}");
                return refuse("votes", why, "nodes count from 0");
            }
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        Committee::equal(config.first_signers(nodes))
    }

    fn new(config: &Config, _: NodeId, committee: &Committee) -> Self {
        let mut sorted = config.clone();
        sorted.votes.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        Self {
            rules: Rules {
                limits: Limits {
                    bytes: config.block_bytes,
                    txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                    exec: match config.block_exec_ms {
                        0 => Span::MAX,
                        ms => Span::from_ms(ms),
                    },
                },
                config: sorted,
            },
            ancestry: Ancestry::new(committee.len()),
            head: Blocks::<Header>::GENESIS,
            head_since: Time::ZERO,
            committed: Blocks::<Header>::GENESIS,
            generation: 0,
            planned: 0,
            early: Vec::new(),
            orphans: Orphans::default(),
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            time_s: 0,
            difficulty: 0,
            total: 0,
            vote: None,
            listed: 0,
        }
    }

    /// There is no risk to choose a depth by: no rule of the protocol makes one block more final
    /// than another.
    fn finality(_: &Config, _: &Adversary) -> Result<Finality, String> {
        Ok(Finality::Conditional)
    }

    /// With geth's coin, signers that stay on rival branches of equal difficulty may all have signed too
    /// lately to go on: what EIP-3436 mends.
    fn may_stall(config: &Config) -> bool {
        config.tie == Tie::Geth
    }

    /// Liars that sign a secret branch make one block each, since each may sign one of any `LIMIT`,
    /// and each weighs 2 at most, while `depth` public ones weigh at least `depth`; of as much weight
    /// the shorter branch wins. So less than half of the depth may lie, if everybody hears of blocks
    /// in time (source: own counting). There is no such number without synchrony, and no ε.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let n = config.first_signers(nodes);
        let outweighed = config.depth(n).saturating_sub(1) / 2;
        Promises {
            byzantine: outweighed.min(n.saturating_sub(1) / 2),
            crashed: n - limit(n).min(n),
            quorum: limit(n).min(n),
            interval: Span::from_s(config.period_s),
        }
    }

    fn copies(config: &Config, nodes: u32) -> u32 {
        match config.relay {
            RelayRule::Direct => nodes - 1,
            RelayRule::Push | RelayRule::SqrtPush => 0,
        }
    }

    fn handle(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => {
                self.head_since = ctx.clock;
                self.plan(ctx, draws, out);
            }
            Input::Restarted => self.on_restarted(ctx, draws, out),
            Input::Timer(Timer::Sign(generation)) if generation == self.generation => {
                self.on_sign(ctx, draws, out);
            }
            Input::Timer(Timer::Stalled(generation)) if generation == self.generation => {
                self.on_stalled(ctx, out);
            }
            Input::Timer(Timer::Due(block)) => self.on_due(block, ctx, draws, out),
            Input::Timer(_) => {} // Of an older head.
            Input::BlockBuilt(block) => self.on_connected(block, ctx, draws, out),
            Input::Body { block, from } => self.on_body(block, from, ctx, draws, out),
            Input::Message { from, message } => {
                let Message::Status(head) = message;
                self.on_status(head, from, ctx, out);
            }
            Input::Header { .. } | Input::Threshold(_) | Input::Pending => {} // Never asked for.
        }
    }

    fn leader(&self, _: &Ctx<'_>) -> Option<NodeId> {
        let head = self.known_head();
        let roll = self.ancestry.roll(&head);
        let in_turn = |s: &&NodeId| roll.since_turn(head.height + 1, **s) == 0;
        roll.signers().iter().find(in_turn).copied()
    }

    fn wire(&self, _: &Message, _: &Ctx<'_>) -> Wire {
        Wire {
            kind: 0,
            bytes: STATUS_BYTES,
            sign: Span::ZERO,
            check: Span::ZERO,
        }
    }

    fn header_bytes(&self, header: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES + ADDRESS_BYTES * u64::from(header.listed)
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        ctx.costs.verify + ctx.costs.validate(ctx.blocks.get(block))
    }
}

/// Asking what a node knows.
impl Clique {
    /// The signers after a valid block and the votes pending there; `None` if it is not known to be
    /// valid.
    pub fn roll(&self, after: BlockId) -> Option<&Roll> {
        self.ancestry.get(after).map(|k| self.ancestry.roll(k))
    }

    fn known_head(&self) -> Known {
        *self.ancestry.get(self.head).expect("the head is known")
    }

    const fn is_epoch(&self, height: u32) -> bool {
        height.is_multiple_of(self.rules.config.epoch_blocks)
    }

    /// The second that a node's clock shows.
    fn second(ctx: &Ctx<'_>) -> u64 {
        ctx.wall().ns() / SECOND.ns()
    }
}

/// Signing.
impl Clique {
    /// Plans the next block on the head, and what to do if nobody makes it.
    fn plan(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        self.generation += 1;
        let head = self.known_head();
        let roll = self.ancestry.roll(&head);
        let wiggle = self.rules.config.wiggle;
        let period = self.rules.config.period_s;
        self.planned = (head.time_s + period).max(Self::second(ctx));
        let time = Time::ZERO + SECOND * self.planned;
        if roll.has(ctx.me) && !self.ancestry.is_recent(ctx.me, &head) {
            let in_turn = roll.since_turn(head.height + 1, ctx.me) == 0;
            // No header says how long its signer waited, so nobody can refuse it.
            let spams = self.rules.config.spammers.contains(&ctx.me.get());
            let wait = if in_turn || spams {
                Span::ZERO
            } else {
                wiggle.draw(roll.count(), draws)
            };
            // The current second may have begun a while ago.
            out.timer(ctx.at_wall(time + wait), Timer::Sign(self.generation));
        }
        let overdue = time + wiggle.longest(roll.count()) + SYNC_CYCLE;
        out.timer(ctx.at_wall(overdue), Timer::Stalled(self.generation));
    }

    fn on_sign(&self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let parent = self.known_head();
        let roll = self.ancestry.roll(&parent);
        let height = parent.height + 1;
        let epoch = self.is_epoch(height);
        let difficulty = roll.difficulty(height, ctx.me);
        let header = Header {
            time_s: self.planned,
            difficulty,
            total: parent.total + difficulty,
            vote: if epoch {
                None
            } else {
                self.vote(roll, ctx, draws)
            },
            listed: if epoch { roll.count() } else { 0 },
        };
        out.push(Effect::BuildBlock {
            parent: self.head,
            header,
            limits: self.rules.limits,
            as_of: self.template(ctx.clock),
            cost: ctx.costs.sign,
        });
    }

    /// When the transactions of a block that is signed now were chosen.
    fn template(&self, now: Time) -> Option<Time> {
        let refresh = Span::from_s(self.rules.config.template_refresh_s);
        if refresh.is_zero() {
            return None;
        }
        let planned = now.saturating_since(self.head_since);
        let old = Span::from_ns(planned.ns() % refresh.ns());
        Some(now.saturating_sub(old))
    }

    /// What this signer votes for: one of its operator's wishes that would change something.
    fn vote(&self, roll: &Roll, ctx: &Ctx<'_>, draws: &mut Draws) -> Option<Proposal> {
        let now = ctx.wall();
        let wishes = &self.rules.config.votes; // Earliest first.
        let due = wishes
            .partition_point(|w| Time::ZERO.saturating_add(Span::from_s_f64(w.from_s)) <= now);
        let mine = |w: &Wish| w.signers.is_empty() || w.signers.contains(&ctx.me.get());
        let latest = |place: usize, wish: &Wish| {
            let mut later = wishes[place + 1..due].iter();
            !later.any(|w| w.candidate == wish.candidate && mine(w))
        };
        let proposal = |w: &Wish| Proposal {
            target: NodeId::new(w.candidate),
            add: w.add,
        };
        let meant = wishes[..due].iter().enumerate();
        let meant = meant.filter(|(i, w)| mine(w) && latest(*i, w));
        let mut meant = meant
            .map(|(_, w)| proposal(w))
            .filter(|p| roll.is_meant(*p));
        match meant.clone().count() as u64 {
            0 => None,
            n => meant.nth(draws.below(n) as usize),
        }
    }

    fn on_restarted(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        self.plan(ctx, draws, out);
        for &block in &self.early {
            if let Some(early) = ctx.blocks.find(block) {
                let time = Time::ZERO + SECOND * early.header.time_s;
                out.timer(ctx.at_wall(time), Timer::Due(block));
            }
        }
        if ctx.nodes > 1 {
            let from = NodeId::new((ctx.me.get() + 1) % ctx.nodes);
            out.push(Effect::Sync { from });
        }
    }
}

/// Telling heads.
impl Clique {
    fn on_stalled(&self, ctx: &Ctx<'_>, out: &mut Out) {
        if ctx.nodes > 1 {
            out.send(To::All, Message::Status(self.head));
        }
        let again = ctx.clock + SYNC_CYCLE;
        out.timer(again, Timer::Stalled(self.generation));
    }

    fn on_status(&self, head: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(theirs) = ctx.blocks.find(head) else {
            return; // Below what anybody may still go back to.
        };
        let own = self.known_head();
        let height = match self.rules.config.tie {
            Tie::Geth => Ordering::Equal, // It plays no part.
            Tie::Eip3436 => own.height.cmp(&theirs.height),
        };
        let better = theirs.header.total.cmp(&own.total).then(height);
        let same = self.rules.config.tie == Tie::Eip3436 && better == Ordering::Equal;
        if better == Ordering::Less {
            out.send(To::One(from), Message::Status(self.head));
        } else if better == Ordering::Greater || same && !ctx.holds(head) {
            // A better one that is held stands on something that is not.
            out.push(Effect::Sync { from });
        }
    }
}

/// The chain.
impl Clique {
    fn on_body(
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
        let height = ctx.blocks.get(block).height;
        let head = self.known_head().height;
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
    fn on_connected(&mut self, block: BlockId, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let before = self.head;
        self.import(block, ctx, draws, out);
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.connect(block, ctx.blocks, |orphan| {
            self.import(orphan, ctx, draws, out);
        });
        self.orphans = orphans;
        if self.head != before {
            self.on_new_head(ctx, draws, out);
        }
    }

    /// A block's second has come: also for what was built on it, which is due no earlier.
    fn on_due(&mut self, block: BlockId, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let Some(place) = self.early.iter().position(|b| *b == block) else {
            return;
        };
        self.early.remove(place);
        if ctx.blocks.find(block).is_some() {
            self.on_connected(block, ctx, draws, out);
        }
    }

    /// Takes in a block whose ancestors' bodies are here, if it is valid and due.
    fn import(&mut self, block: BlockId, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let header = ctx.blocks.get(block).header;
        if self.ancestry.get(block).is_some() || self.early.contains(&block) {
            return;
        }
        if header.time_s > Self::second(ctx) {
            self.early.push(block);
            let time = Time::ZERO + SECOND * header.time_s;
            out.timer(ctx.at_wall(time), Timer::Due(block));
            return;
        }
        let Some(known) = self.checked(block, ctx) else {
            return; // Nor can anything above it be valid.
        };
        let oldest = ctx.blocks.get(ctx.blocks.first()).height;
        self.ancestry.insert(known);
        self.ancestry.prune(oldest, ctx.nodes);
        self.pass_on(&known, ctx, out);
        if self.is_better(&known, ctx, draws) {
            self.head = block;
            out.push(Effect::Adopt(block));
        }
    }

    /// A block under all rules; `None` if it breaks one, or an ancestor did.
    fn checked(&mut self, block: BlockId, ctx: &Ctx<'_>) -> Option<Known> {
        let this = ctx.blocks.get(block);
        let (header, height, signer) = (this.header, this.height, this.key.creator);
        let parent = *self.ancestry.get(this.parent?)?;
        let roll = self.ancestry.roll(&parent);
        let epoch = self.is_epoch(height);
        let valid = roll.has(signer)
            && !self.ancestry.is_recent(signer, &parent)
            && header.difficulty == roll.difficulty(height, signer)
            && header.total == parent.total + header.difficulty
            && header.time_s >= parent.time_s + self.rules.config.period_s
            && !(epoch && header.vote.is_some())
            && header.listed == if epoch { roll.count() } else { 0 };
        valid.then(|| Known {
            block,
            parent: parent.block,
            height,
            signer,
            time_s: header.time_s,
            total: header.total,
            roll: self
                .ancestry
                .roll_after(&parent, epoch, signer, header.vote),
        })
    }

    fn pass_on(&self, known: &Known, ctx: &Ctx<'_>, out: &mut Out) {
        let own = known.signer == ctx.me;
        let rule = match self.rules.config.relay {
            RelayRule::Push => Relay::Push,
            RelayRule::SqrtPush => Relay::SqrtPush,
            RelayRule::Direct if own => Relay::Push,
            RelayRule::Direct => return,
        };
        let age = SECOND * Self::second(ctx).saturating_sub(known.time_s);
        if age <= FRESH {
            let block = known.block;
            out.push(Effect::Relay { block, rule });
        }
    }

    /// Whether a chain that ends here is taken instead of the own one.
    fn is_better(&self, new: &Known, ctx: &Ctx<'_>, draws: &mut Draws) -> bool {
        let own = self.known_head();
        let rank = |k: &Known| (k.total, core::cmp::Reverse(k.height));
        match rank(new).cmp(&rank(&own)) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal if broken(Mutant::CliqueTie) => false,
            Ordering::Equal => match self.rules.config.tie {
                Tie::Geth => draws.chance(0.5),
                Tie::Eip3436 => {
                    let key = |k: &Known| {
                        let since = self.ancestry.roll(k).since_turn(k.height, k.signer);
                        (since, ctx.blocks.name(k.block))
                    };
                    key(new) < key(&own)
                }
            },
        }
    }

    fn on_new_head(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        self.head_since = ctx.clock;
        self.commit(ctx, out);
        self.plan(ctx, draws, out);
    }

    /// Calls final what is deep enough under the head.
    fn commit(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        if !ctx.blocks.extends(self.head, self.committed) {
            // Left: what both chains share is still final.
            let fork = ctx.blocks.fork_point(self.head, self.committed);
            self.committed = fork.unwrap_or_else(|| ctx.blocks.first());
        }
        let head = self.known_head();
        let depth = self.rules.config.depth(self.ancestry.roll(&head).count());
        let target = (head.height + 1).checked_sub(depth);
        let target = target.and_then(|h| ctx.blocks.ancestor(self.head, h));
        let height = |block| ctx.blocks.find(block).map_or(0, |b| b.height);
        if let Some(block) = target
            && height(block) > height(self.committed)
        {
            self.committed = block;
            out.push(Effect::Commit(block));
        }
    }
}
