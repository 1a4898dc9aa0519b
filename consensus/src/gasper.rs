//! Gasper, the proof of stake of Ethereum: LMD-GHOST chooses the head, Casper FFG makes it final.
//!
//! source: ethereum/consensus-specs@a08d8a6 `specs/phase0/{beacon-chain,fork-choice,validator,
//! p2p-interface}.md` with the changes up to Electra (`specs/electra`), `configs/mainnet.yaml`,
//! `presets/mainnet/phase0.yaml`. Buterin et al., "Combining GHOST and Casper", 2020.
//!
//! Time is cut into slots, slots into epochs. A node holds keys (validators) of equal balance. A
//! permutation of all keys, drawn for each epoch from the chain, says in which slot of the epoch a key
//! attests, once; a draw says whose key proposes in a slot.
//!
//! - Upon a slot: forget the proposer boost. Count the votes of earlier slots. In a new epoch, take
//!   over the checkpoints that its chains would have justified and finalised (`unrealised`).
//! - Upon a slot that a key of this node leads: build on the head, or on its parent where the late
//!   head may be dropped (below); carry the votes that the chain lacks, of this and the last epoch.
//! - Upon a block whose ancestors are here: it is valid if its slot is after its parent's and its
//!   proposer the one drawn. Its votes count for its chain's state if their target is the chain's, and
//!   for the head. It is boosted if it is the first of the running slot, came before votes were due,
//!   and shares the head's shuffling. If it is of an earlier epoch, what it would justify counts at
//!   once. A block of a later slot waits for it.
//! - Upon the first block of the slot, or when votes are due: each key of the slot's committees votes,
//!   for the head, the epoch's checkpoint on its chain (target) and what that chain has justified
//!   (source). A vote around an earlier one is not signed.
//! - Upon a vote: keep the first of a node in a slot. It counts from the next slot on, when its head
//!   is here; it replaces only votes of earlier epochs. Two votes that no honest key signs are
//!   evidence: these keys count no more for the head, and all are told.
//! - When aggregates are due: each aggregator sends the votes that agree with its own.
//! - Head: from the justified block on, the child with the most votes above it, boost included (then
//!   the larger hash), among those that lead to a block that knows what is justified, or at least an
//!   epoch at most two back, and that goes through what is final.
//! - Late-block reorganisation: the proposer builds on the head's parent if the head came late, the
//!   slot is no epoch's first, head and parent would justify the same, finality is at most two epochs
//!   old, it is early enough in the slot, head and parent are of the two slots before, the head
//!   weighs less than 20 % of a slot's committees, its parent more than 160 %; or if the head is that
//!   light, of the slot before, and its proposer made two.
//! - At an epoch's end, two thirds of all keys for a target justify it, and four rules make a source
//!   final (`Tally::weigh`).
//! - Upon a restart: set the timers, ask the next node for its chain.
//!
//! Deviations:
//! - Votes of a node's keys in a slot travel as one message of their joint size, and so do its
//!   aggregates, straight to their receivers instead of over the mesh of a subnet; the copies that a
//!   mesh makes are left out. With `all_subnets` every node hears every vote; otherwise the slot's
//!   aggregators do and the others learn it from aggregates and blocks.
//! - Votes are checked one by one, though clients check batches.
//! - A block is passed on after it was executed; gossip passes it on before. There is no time limit in
//!   which it must be heard of, but blocks older than an epoch are not passed on.
//! - Shuffling is by Fisher and Yates; the randomness of a block is a draw. That of the first two
//!   epochs is a constant.
//! - Balances do not change: no rewards, penalties, deposits or exits. The inactivity leak, which
//!   begins four epochs after the last finality, is left out. It would change nobody's weight within
//!   two days: a key that is always absent loses `32·T²/2^25` ETH in T epochs, and effective balances,
//!   which weigh votes, follow in steps that need a loss of 0.25 ETH, after 512 epochs. What follows:
//!   a chain that lost more than a third of its keys for good never finalises again here, while
//!   Ethereum would after about three weeks.
//!   source: consensus-specs `INACTIVITY_PENALTY_QUOTIENT_BELLATRIX` 2^24, `HYSTERESIS_QUOTIENT`.
//! - Proven liars keep their stake; there are none in a run. A node protects all its keys together
//!   from votes around others.
//! - Sync committees cost their bytes and one check a block, and no messages; there are no blobs.
//! - A restarted node does its duties on the chain it has until the answer comes.
//!
//! Finality: the checkpoint of epoch e at the end of epoch e + 1, 64 slots after its own block, 96 − s
//! after the block of slot s of an epoch: 15.9 minutes on average. Two conflicting final checkpoints
//! need a third of all keys to sign what is slashable, whatever the network does. What is justified is
//! "safe".
//!
//! Messages a slot among n nodes: a block over the overlay, and up to n votes and n aggregates, each to
//! n − 1.

mod checkpoints;
mod committees;
mod pool;
mod tree;

pub use checkpoints::{Checkpoint, Tally};
pub use committees::{Committees, Stakes};
pub use pool::Vote;

use crate::Presets;
use crate::config::unless_zero;
use crate::orphans::{Orphans, Place};
use pool::Pool;
use quorate_core::{
    Adversary, Agreement, Block, BlockId, Blocks, CertId, Committee, Content, Context, Draws,
    Effect, Electorate, Engine, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId,
    Outbox, Promises, Relay, Span, Standing, Statement, Time, To, Wait, Weight, Wire, hash, math,
};
use serde::{Deserialize, Serialize};
use tree::{Tree, Weights};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Gasper>;

/// A single vote. source: SSZ size of Electra's `SingleAttestation`: committee and attester 8 each,
/// data 128, signature 96.
const VOTE_BYTES: u64 = 240;
/// An aggregate without its bits. source: SSZ size of Electra's `SignedAggregateAndProof`: signature
/// 96, index 8, selection proof 96, three offsets of 4, data 128, signature 96, committee bits 8.
const AGGREGATE_BYTES: u64 = 444;
/// Signatures of an aggregate besides those that it aggregates: the aggregator's, and the proof that
/// it is one. source: as above.
const AGGREGATE_CHECKS: u64 = 2;
/// An aggregate in a block without its bits. source: SSZ size of Electra's `Attestation`: two offsets
/// of 4, data 128, signature 96, committee bits 8.
const CARRIED_BYTES: u64 = 244;
/// A block without votes and transactions. source: SSZ sizes of Electra's `SignedBeaconBlock`: header
/// and signature 184, body with the sync aggregate 396, execution payload 528, requests 12.
const HEADER_BYTES: u64 = 1_120;
/// Signatures of a block besides votes: the proposer's, its randomness, the sync committee's
/// aggregate. source: consensus-specs `process_block`.
const BLOCK_CHECKS: u64 = 3;
/// source: SSZ size of `AttesterSlashing` with two single voters.
const SLASHING_BYTES: u64 = 2 * (4 + 128 + 96 + 8) + 8;
/// Signatures that a proposer makes: the block's and its randomness.
const BLOCK_SIGNS: u64 = 2;
/// Until when in its slot a proposer may drop a late head, in ten-thousandths. source:
/// `configs/mainnet.yaml` `PROPOSER_REORG_CUTOFF_BPS`. Only a clock that was set makes one late.
const REORG_CUTOFF_BPS: u64 = 1_667;
/// How far ahead of the own clock a vote's slot may be, in slots.
/// assumption: one; the specification allows 500 ms (`MAXIMUM_GOSSIP_CLOCK_DISPARITY`) and clients
/// keep what is early.
const EARLY_SLOTS: u32 = 1;
/// Committees that are remembered: three epochs on two branches.
const REMEMBERED: usize = 6;
/// How long an answer is waited for. source: consensus-specs `RESP_TIMEOUT`, 10 s.
const PATIENCE: Span = Span::from_s(10);
/// A gap longer than this asks for the chain, not only for one ancestor.
/// assumption: as Lighthouse, whose lookups of parents go back 32 blocks before it syncs a range.
const LONG_GAP: u32 = 32;
/// Randomness of the first two epochs. assumption: any constant.
const FIRST_SEEDS: [u64; 2] = [0x6761_7370_6572, 0x6665_6570_7374];

config! {
    /// Parameters of Gasper.
    {
        /// Length of a slot, ms.
        slot_ms: u64,
        /// Slots of an epoch.
        slots_per_epoch: u32,
        /// When votes are due, in ten-thousandths of a slot.
        attest_bps: u64,
        /// When aggregates are due, in ten-thousandths of a slot.
        aggregate_bps: u64,
        /// The proposer's boost, per cent of a slot's committees.
        boost_percent: u64,
        /// A late head may be dropped if it weighs less, per cent of a slot's committees; 0 never
        /// drops one.
        reorg_head_percent: u64,
        /// ... and its parent more.
        reorg_parent_percent: u64,
        /// ... and finality is at most so many epochs old.
        reorg_max_epochs: u32,
        /// Keys of a committee that committees of a slot are cut to.
        target_committee: u32,
        /// The most committees of a slot.
        max_committees: u32,
        /// Aggregators of a committee, on average.
        target_aggregators: u32,
        /// Different votes that a block may carry, each with all who agree.
        max_attestations: u32,
        /// Keys of each node.
        validators: u32,
        /// Keys of the first so many nodes, in place of `validators`; the others have none.
        stakes: Vec<u32>,
        /// Whether every node hears every vote, or aggregators only.
        all_subnets: bool,
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

/// How blocks travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayRule {
    /// Whoever finds a block valid sends it whole to every neighbour: gossipsub, whose mesh is the
    /// overlay.
    Push,
    /// Its proposer sends it to every neighbour; nobody passes it on.
    Direct,
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["ethereum-pos", "private"];

    fn preset(name: &str) -> Option<Self> {
        let mainnet = Self {
            // source: `configs/mainnet.yaml`: `SLOT_DURATION_MS`, `ATTESTATION_DUE_BPS`,
            // `AGGREGATE_DUE_BPS`, `PROPOSER_SCORE_BOOST`, `REORG_HEAD_WEIGHT_THRESHOLD`,
            // `REORG_PARENT_WEIGHT_THRESHOLD`, `REORG_MAX_EPOCHS_SINCE_FINALIZATION`.
            slot_ms: 12_000,
            attest_bps: 3_333,
            aggregate_bps: 6_667,
            boost_percent: 40,
            reorg_head_percent: 20,
            reorg_parent_percent: 160,
            reorg_max_epochs: 2,
            // source: `presets/mainnet/phase0.yaml` and `electra.yaml`: `SLOTS_PER_EPOCH`,
            // `TARGET_COMMITTEE_SIZE`, `MAX_COMMITTEES_PER_SLOT`, `MAX_ATTESTATIONS_ELECTRA`;
            // `validator.md`: `TARGET_AGGREGATORS_PER_COMMITTEE`.
            slots_per_epoch: 32,
            target_committee: 128,
            max_committees: 64,
            target_aggregators: 16,
            max_attestations: 8,
            // assumption: about a million keys on about ten thousand nodes.
            validators: 100,
            stakes: Vec::new(),
            // source: `p2p-interface.md` `SUBNETS_PER_NODE`: two of 64.
            all_subnets: false,
            relay: RelayRule::Push,
            // source: EIP-7934, 10 MiB less 2 MiB.
            block_bytes: 8_388_608,
            // source: the gas limit of mainnet in 2025, 45,000,000. assumption: 50,000 gas for a
            // transaction that stores a record: 21,000, a new storage slot (22,100) and its bytes.
            block_txs: 900,
            // assumption: none besides gas.
            block_exec_ms: 0,
        };
        match name {
            "ethereum-pos" => Some(mainnet),
            // A dozen equal organisations that are all connected, with the rules of mainnet and no
            // limit of gas. assumption: 64 keys each, two a slot; every node listens to all votes
            // (`--subscribe-all-subnets`).
            "private" => Some(Self {
                validators: 64,
                all_subnets: true,
                relay: RelayRule::Direct,
                block_txs: 0,
                ..mainnet
            }),
            _ => None,
        }
    }
}

impl Config {
    const fn slot(&self) -> Span {
        Span::from_ms(self.slot_ms)
    }

    /// The keys of each node.
    fn stakes(&self, nodes: u32) -> Stakes {
        let keys = |i: u32| match self.stakes.as_slice() {
            [] => self.validators,
            stakes => stakes.get(i as usize).copied().unwrap_or(0),
        };
        Stakes::new((0..nodes).map(keys))
    }

    /// How many committees the attesters of a slot form, out of `keys` keys.
    // source: consensus-specs `get_committee_count_per_slot`.
    pub fn committees(&self, keys: u64) -> u64 {
        let fit = keys / u64::from(self.slots_per_epoch) / u64::from(self.target_committee);
        fit.clamp(1, u64::from(self.max_committees))
    }

    const fn weights(&self, keys: u64) -> Weights {
        Weights {
            slots_per_epoch: self.slots_per_epoch,
            keys,
            boost_percent: self.boost_percent,
        }
    }

    /// What a boosted block weighs more and what a slot's attesters weigh, in Gwei, out of `keys` keys.
    pub const fn boost(&self, keys: u64) -> (u64, u64) {
        let weights = self.weights(keys);
        (weights.boost(), weights.slot())
    }

    /// A point in a slot, in ten-thousandths.
    fn due(&self, bps: u64) -> Span {
        self.slot().scale(bps, 10_000)
    }

    /// Slots from the start of the `s`-th slot of an epoch until its block is final, when all vote.
    // source: own replay of `weigh_justification_and_finalization`, see `validate`.
    fn slots_to_finality(&self, s: u32) -> u32 {
        let full = 3 * self.slots_per_epoch;
        if s == 0 {
            full - self.slots_per_epoch
        } else {
            full - s
        }
    }

    fn check_shares(&self) -> Result<(), Invalid> {
        let shares = [
            ("attest_bps", self.attest_bps, 10_000),
            ("aggregate_bps", self.aggregate_bps, 10_000),
            ("boost_percent", self.boost_percent, 1_000),
            ("reorg_head_percent", self.reorg_head_percent, 10_000),
            ("reorg_parent_percent", self.reorg_parent_percent, 10_000),
        ];
        for (key, value, most) in shares {
            if value > most {
                return refuse(
                    key,
                    format!("{value} is more than {most}"),
                    "see the defaults",
                );
            }
        }
        if self.attest_bps > self.aggregate_bps {
            let why = "votes are due after their aggregates".to_owned();
            return refuse("aggregate_bps", why, "6667 is Ethereum's");
        }
        let counts = [
            ("slots_per_epoch", self.slots_per_epoch),
            ("target_committee", self.target_committee),
            ("max_committees", self.max_committees),
            ("target_aggregators", self.target_aggregators),
            ("max_attestations", self.max_attestations),
        ];
        match counts.iter().find(|count| count.1 == 0) {
            Some((key, _)) => refuse(key, "none at all".to_owned(), "see the defaults"),
            None => Ok(()),
        }
    }
}

fn refuse(key: &'static str, why: String, hint: &str) -> Result<(), Invalid> {
    Err(Invalid {
        key,
        why,
        hint: hint.to_owned(),
    })
}

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The slot that the block was made in.
    pub slot: u32,
    /// The chain's randomness, this block's included.
    pub mix: u64,
    /// What it was at the ends of the epochs two and one before the block's: they draw the committees
    /// of this and the next epoch.
    pub seeds: [u64; 2],
    /// The votes that it carries: signer, slot (as the round) and head.
    pub votes: Option<CertId>,
    /// How many different votes these are.
    pub aggregates: u32,
    /// How many keys cast them.
    pub keys: u32,
}

impl Header {
    /// The first block's.
    pub const GENESIS: Self = Self {
        slot: 0,
        mix: FIRST_SEEDS[1],
        seeds: FIRST_SEEDS,
        votes: None,
        aggregates: 0,
        keys: 0,
    };

    /// What draws the committees of an epoch on a chain that ends in this block, when epochs have so
    /// many slots: none before the block's own.
    pub const fn seed(&self, epoch: u32, slots_per_epoch: u32) -> u64 {
        match epoch.saturating_sub(self.slot / slots_per_epoch) {
            0 => self.seeds[0],
            1 => self.seeds[1],
            _ => self.mix,
        }
    }

    /// The seeds of a block on top of this one.
    pub const fn next_seeds(&self, slot: u32, slots_per_epoch: u32) -> [u64; 2] {
        let epoch = slot / slots_per_epoch;
        [
            self.seed(epoch, slots_per_epoch),
            self.seed(epoch + 1, slots_per_epoch),
        ]
    }
}

/// What nodes say to each other besides blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// The sender's keys vote.
    Vote {
        /// For what.
        vote: Vote,
        /// How many.
        keys: u32,
    },
    /// Votes that agree, from aggregators of the sender.
    Aggregate {
        /// For what.
        vote: Vote,
        /// Whose.
        voters: CertId,
        /// How many keys they are.
        keys: u32,
        /// How many aggregators send the same.
        aggregators: u32,
    },
    /// Proof that a node lied: two votes of the same keys.
    Slashing {
        /// Who.
        against: NodeId,
        /// The votes.
        votes: [Vote; 2],
    },
}

impl Content<Header> for Message {
    fn content(&self, blocks: &Blocks<Header>) -> u64 {
        let of = |vote: &Vote| {
            let sources = u64::from(vote.source.epoch) << 32 | u64::from(vote.target.epoch);
            let names = [vote.head, vote.source.block, vote.target.block].map(|b| blocks.name(b));
            hash::fold_all(
                u64::from(vote.slot),
                &[sources, names[0], names[1], names[2]],
            )
        };
        match self {
            Self::Vote { vote, keys } => hash::fold_all(of(vote), &[0, u64::from(*keys)]),
            Self::Aggregate {
                vote,
                keys,
                aggregators,
                ..
            } => hash::fold_all(of(vote), &[1, u64::from(*keys), u64::from(*aggregators)]),
            Self::Slashing { against, votes } => {
                let words = [2, u64::from(against.get()), of(&votes[1])];
                hash::fold_all(of(&votes[0]), &words)
            }
        }
    }
}

/// What is due in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Duty {
    /// The slot begins.
    Begin,
    /// Votes are due.
    Attest,
    /// Aggregates are due.
    Aggregate,
}

/// Something is due in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    /// Which slot.
    pub slot: u32,
    /// What.
    pub duty: Duty,
}

impl Content<Header> for Timer {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        u64::from(self.slot) << 2 | self.duty as u64
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    slot: Span,
    attest: Span,
    aggregate: Span,
    reorg_cutoff: Span,
    slots_per_epoch: u32,
    reorg_head_percent: u64,
    reorg_parent_percent: u64,
    reorg_max_epochs: u32,
    committees: u32,
    target_aggregators: u32,
    max_attestations: usize,
    all_subnets: bool,
    relay: RelayRule,
    limits: Limits,
}

/// What a node's keys have signed: nothing may go around it.
#[derive(Clone, Copy, Debug, Default)]
struct Signed {
    /// The epoch of the last votes.
    epoch: u32,
    /// The highest source in it.
    source: u32,
    /// The highest source before it.
    before: u32,
}

/// One node.
#[derive(Debug)]
pub struct Gasper {
    rules: Rules,
    stakes: Stakes,
    tree: Tree,
    pool: Pool,
    committees: Vec<Committees>,
    /// The slot that runs.
    slot: u32,
    head: BlockId,
    /// What was said to be final and safe.
    told: [BlockId; 2],
    /// The first slot that this node has not proposed, and not voted in.
    next: [u32; 2],
    /// The last own vote.
    own: Option<Vote>,
    signed: Signed,
    /// For each node the highest source and target that it voted for.
    heard: Vec<[u32; 2]>,
    /// Votes in the pool that do not count yet.
    waiting: Vec<(u32, NodeId)>,
    /// Blocks of later slots, and those above them.
    early: Vec<BlockId>,
    orphans: Orphans,
    /// Until when the answer of a node that was asked for its chain is waited for.
    chain_wanted: Time,
    /// For packing: which votes a chain has; what votes say, with how many keys; who says so.
    packed: Vec<(u32, NodeId)>,
    choices: Vec<(u64, Vote)>,
    statements: Vec<Statement>,
}

impl Engine for Gasper {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Timer;

    const FACTS: Facts = Facts {
        family: Family::Stake,
        electorate: Electorate::Stake,
        agreement: Agreement::Hybrid,
        standing: Standing::Deployable,
        final_holds_if: "less than a third of the stake lies",
        guarantee: Guarantee::Commit,
        bound: "less than 1/3 of the stake",
        quorum: "2/3 of the stake",
        messages: "a block over the overlay, 2n(n−1) votes and aggregates a slot",
        latency: "64 to 95 slots",
        finality: "a justified checkpoint whose successors are justified (Casper FFG)",
        source: "ethereum/consensus-specs@a08d8a6",
    };
    const KINDS: &'static [&'static str] = &["attestations", "aggregates", "slashing"];
    const PHASES: &'static [&'static str] = &[];

    fn validate(config: &Config, nodes: u32) -> Result<(), Invalid> {
        if !(3..=86_400_000).contains(&config.slot_ms) {
            let why = format!("{} ms is not between 3 ms and a day", config.slot_ms);
            return refuse("slot_ms", why, "12000 is Ethereum's");
        }
        config.check_shares()?;
        let named = config.stakes.len() as u32;
        if named > nodes {
            let why = format!("{named} stakes for {nodes} nodes");
            return refuse("stakes", why, "add nodes, or name fewer stakes");
        }
        let key = if named > 0 { "stakes" } else { "validators" };
        let each = |i: usize| match named {
            0 => config.validators,
            _ => config.stakes.get(i).copied().unwrap_or(0),
        };
        let keys: u64 = (0..nodes as usize).map(|i| u64::from(each(i))).sum();
        // Every node keeps the latest vote of every key.
        if keys > 1 << 22 {
            let why = format!("{keys} keys in all are more than are simulated");
            return refuse(key, why, "let a key stand for more stake");
        }
        if keys < u64::from(config.slots_per_epoch) {
            let why = format!(
                "{keys} keys in all cannot attest in each of {} slots",
                config.slots_per_epoch
            );
            return refuse(key, why, "raise it, or shorten the epoch");
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        let keys = |i: usize| match config.stakes.as_slice() {
            [] => config.validators,
            stakes => stakes.get(i).copied().unwrap_or(0),
        };
        let members = (0..nodes).map(|i| (NodeId::new(i), Weight::from(keys(i as usize))));
        Committee::weighted(members.filter(|member| member.1 > 0).collect())
    }

    fn new(config: &Config, _: NodeId, committee: &Committee) -> Self {
        let nodes = committee.members().map(|m| m.get() + 1).max().unwrap_or(0);
        let stakes = config.stakes(nodes);
        let keys = u64::from(stakes.keys());
        let genesis = Blocks::<Header>::GENESIS;
        Self {
            rules: Rules {
                slot: config.slot(),
                attest: config.due(config.attest_bps),
                aggregate: config.due(config.aggregate_bps),
                reorg_cutoff: config.due(REORG_CUTOFF_BPS),
                slots_per_epoch: config.slots_per_epoch,
                reorg_head_percent: config.reorg_head_percent,
                reorg_parent_percent: config.reorg_parent_percent,
                reorg_max_epochs: config.reorg_max_epochs,
                committees: config.committees(keys) as u32,
                target_aggregators: config.target_aggregators,
                max_attestations: config.max_attestations as usize,
                all_subnets: config.all_subnets,
                relay: config.relay,
                limits: Limits {
                    bytes: config.block_bytes,
                    txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                    exec: match config.block_exec_ms {
                        0 => Span::MAX,
                        ms => Span::from_ms(ms),
                    },
                },
            },
            tree: Tree::new(config.weights(keys), genesis),
            pool: Pool::new(nodes),
            committees: Vec::with_capacity(REMEMBERED),
            slot: 0,
            head: genesis,
            told: [genesis; 2],
            next: [1, 0],
            own: None,
            signed: Signed::default(),
            heard: vec![[0; 2]; nodes as usize],
            waiting: Vec::new(),
            early: Vec::new(),
            orphans: Orphans::default(),
            chain_wanted: Time::ZERO,
            packed: Vec::new(),
            choices: Vec::new(),
            statements: Vec::new(),
            stakes,
        }
    }

    fn genesis(_: &Config) -> Header {
        Header::GENESIS
    }

    fn finality(_: &Config, adversary: &Adversary) -> Result<Finality, String> {
        if 3.0 * adversary.share >= 1.0 {
            return Err(format!(
                "an adversary with {:.1} % of the stake has a third or more",
                100.0 * adversary.share
            ));
        }
        Ok(Finality::Commit)
    }

    fn promises(config: &Config, nodes: u32) -> Promises {
        let committee = Self::committee(config, nodes);
        let mut keys: Vec<Weight> = committee.members().map(|m| committee.weight(m)).collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let total = committee.total();
        let heaviest = |fits: &dyn Fn(Weight) -> bool| {
            let sums = keys.iter().scan(0, |sum, keys| {
                *sum += keys;
                Some(*sum)
            });
            sums.take_while(|sum| fits(*sum)).count() as u32
        };
        Promises {
            byzantine: heaviest(&|sum| 3 * sum < total),
            crashed: heaviest(&|sum| 3 * sum <= total),
            quorum: heaviest(&|sum| 3 * sum < 2 * total) + 1,
            interval: config.slot(),
        }
    }

    /// A third of the stake may reverse what is final. With less, what is final stays, and a block is
    /// by 96 − s slots after it, s being its place in the epoch, of which each is as likely.
    ///
    /// Before that the head may change. The adversary holds back the blocks of `j` slots in a row that
    /// it leads, just before the block in question, with its votes of these and all later slots, and
    /// publishes them in a slot that it leads, with the boost. Its share being c, it wins in the t-th
    /// slot after the block if `c·(j + t) + boost > (1 − c)·t`, in units of a slot's committees, for a
    /// `j` that has the probability `c^j`; the sum over the slots t that are not over yet bounds the
    /// risk. source: Schwarz-Schilling et al., "Three Attacks on Proof-of-Stake Ethereum", 2021,
    /// section 2 (ex-ante reorganisations). assumption: all honest votes arrive within their slot;
    /// attacks that rest on delays, such as balancing, are not in it.
    fn reversal_risk(config: &Config, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        if 3 * corrupt >= nodes {
            return 1.0;
        }
        let slots = u32::try_from(wait.waited.ns() / config.slot().ns()).unwrap_or(u32::MAX);
        let open = (0..config.slots_per_epoch).filter(|s| config.slots_to_finality(*s) > slots);
        let open = open.count() as f64 / f64::from(config.slots_per_epoch);
        let share = f64::from(corrupt) / f64::from(nodes);
        let boost = config.boost_percent as f64 / 100.0;
        let mut risk = 0.0;
        if corrupt > 0 && open > 0.0 {
            for t in slots.max(1)..slots.max(1) + 3 * config.slots_per_epoch {
                let short = (1.0 - 2.0 * share) * f64::from(t) - boost;
                // The first whole number of slots that makes up more than what is short.
                let held = (short / share + 1.0).max(0.0).floor();
                risk += share * math::pow(share, held);
            }
        }
        open * f64::min(risk, 1.0)
    }

    fn handle(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => {
                self.pool.keep(0, EARLY_SLOTS);
                self.tick(ctx, out);
                self.set_timers(self.slot, ctx, out);
            }
            Input::Restarted => self.restart(ctx, out),
            Input::Timer(timer) => self.on_timer(timer, ctx, draws, out),
            Input::BlockBuilt(block) => {
                self.tick(ctx, out);
                self.on_connected(block, ctx, out);
            }
            Input::Body { block, from } => {
                self.tick(ctx, out);
                self.on_body(block, from, ctx, out);
            }
            Input::Message { from, message } => {
                self.tick(ctx, out);
                self.on_message(from, &message, ctx, out);
            }
            Input::Header { .. } | Input::Threshold(_) | Input::Pending => {} // Never asked for.
        }
    }

    /// The proposer sends a copy to each neighbour where nobody passes blocks on.
    fn copies(config: &Config, nodes: u32) -> u32 {
        match config.relay {
            RelayRule::Push => 0,
            RelayRule::Direct => nodes - 1,
        }
    }

    fn is_vote(message: &Message) -> bool {
        matches!(message, Message::Vote { .. } | Message::Aggregate { .. })
    }

    fn leader(&self, ctx: &Ctx<'_>) -> Option<NodeId> {
        let head = ctx.blocks.find(self.head)?;
        Some(self.proposer(&head.header, self.slot))
    }

    fn wire(&self, message: &Message, ctx: &Ctx<'_>) -> Wire {
        let costs = ctx.costs;
        match *message {
            Message::Vote { keys, .. } => Wire {
                kind: 0,
                bytes: VOTE_BYTES * u64::from(keys),
                sign: costs.sign * u64::from(keys),
                check: costs.verify * u64::from(keys),
            },
            Message::Aggregate {
                keys, aggregators, ..
            } => {
                let many = u64::from(aggregators);
                Wire {
                    kind: 1,
                    bytes: (AGGREGATE_BYTES + self.bits()) * many,
                    sign: costs.sign * (2 * many),
                    check: (costs.verify * AGGREGATE_CHECKS + costs.certificate(u64::from(keys)))
                        * many,
                }
            }
            Message::Slashing { .. } => Wire {
                kind: 2,
                bytes: SLASHING_BYTES,
                sign: Span::ZERO,
                check: costs.verify * 2,
            },
        }
    }

    fn header_bytes(&self, header: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES + u64::from(header.aggregates) * (CARRIED_BYTES + self.bits())
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        let Header {
            aggregates, keys, ..
        } = block.header;
        let votes = ctx.costs.verify * u64::from(aggregates)
            + ctx.costs.verify_next * u64::from(keys.saturating_sub(aggregates));
        ctx.costs.verify * BLOCK_CHECKS + votes + ctx.costs.validate(block)
    }
}

/// Time.
impl Gasper {
    const fn slot_at(&self, at: Time) -> u32 {
        (at.ns() / self.rules.slot.ns()) as u32
    }

    fn start_of(&self, slot: u32) -> Time {
        Time::ZERO + self.rules.slot * u64::from(slot)
    }

    const fn epoch(&self, slot: u32) -> u32 {
        slot / self.rules.slots_per_epoch
    }

    /// Moves on to the slot that runs.
    fn tick(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let now = self.slot_at(ctx.wall());
        if now <= self.slot {
            return;
        }
        if self.epoch(now) > self.epoch(self.slot) {
            self.tree.realise(self.tree.unrealised);
        }
        self.slot = now;
        self.tree.boosted = None;
        let first = self.tree.first_slot(self.epoch(now).saturating_sub(1));
        self.pool.keep(first, now + EARLY_SLOTS);
        let early = core::mem::take(&mut self.early);
        for block in early {
            if ctx.blocks.find(block).is_some() {
                self.accept(block, ctx, out);
            }
        }
        self.count_waiting(ctx);
        self.choose_head(ctx, out);
    }

    fn set_timers(&self, slot: u32, ctx: &Ctx<'_>, out: &mut Out) {
        let start = self.start_of(slot);
        let times = [
            (slot, start + self.rules.attest, Duty::Attest),
            (slot, start + self.rules.aggregate, Duty::Aggregate),
            (slot + 1, self.start_of(slot + 1), Duty::Begin),
        ];
        for (slot, at, duty) in times {
            if at >= ctx.wall() {
                out.timer(ctx.at_wall(at), Timer { slot, duty });
            }
        }
    }

    fn on_timer(&mut self, timer: Timer, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let Timer { slot, duty } = timer;
        let after = match duty {
            Duty::Begin => Span::ZERO,
            Duty::Attest => self.rules.attest,
            Duty::Aggregate => self.rules.aggregate,
        };
        let due = self.start_of(slot) + after;
        if ctx.wall() < due {
            // The clock was set back meanwhile.
            out.timer(ctx.at_wall(due), timer);
            return;
        }
        self.tick(ctx, out);
        match duty {
            Duty::Begin => {
                self.set_timers(self.slot, ctx, out);
                self.lead(ctx, draws, out);
                self.attest_early(ctx, out);
            }
            Duty::Attest if slot == self.slot => {
                self.choose_head(ctx, out);
                self.attest(ctx, out);
            }
            Duty::Aggregate if slot == self.slot => self.send_aggregates(ctx, out),
            Duty::Attest | Duty::Aggregate => {} // Its slot is over: the clock was set.
        }
    }

    fn restart(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        self.chain_wanted = Time::ZERO;
        self.tick(ctx, out);
        self.set_timers(self.slot, ctx, out);
        if ctx.nodes > 1 {
            let from = NodeId::new((ctx.me.get() + 1) % ctx.nodes);
            self.ask_chain(from, ctx, out);
        }
    }
}

/// Proposing.
impl Gasper {
    /// Upon the start of a slot: builds a block if a key of this node is drawn.
    fn lead(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let slot = self.slot;
        let head = self.tree.place(self.head).expect("the head is kept");
        let leader = self.proposer(&ctx.blocks.get(self.head).header, slot);
        if leader != ctx.me || self.next[0] > slot || self.tree.at(head).slot >= slot {
            return;
        }
        self.next[0] = slot + 1;
        let place = self.proposer_head(head, ctx);
        let parent = self.tree.at(place).block;
        let below = ctx.blocks.get(parent);
        let (votes, aggregates, keys) = self.pack(place, below.height + 1, ctx, out);
        let header = Header {
            slot,
            mix: hash::fold(below.header.mix, draws.bits()),
            seeds: below.header.next_seeds(slot, self.rules.slots_per_epoch),
            votes,
            aggregates,
            keys,
        };
        out.push(Effect::BuildBlock {
            parent,
            header,
            limits: self.rules.limits,
            as_of: None,
            cost: ctx.costs.sign * BLOCK_SIGNS,
        });
    }

    /// Who proposes in a slot on top of a block.
    fn proposer(&self, below: &Header, slot: u32) -> NodeId {
        let seed = below.seed(self.epoch(slot), self.rules.slots_per_epoch);
        self.stakes.proposer(slot, seed)
    }

    /// What this slot's proposer builds on: the head, or its parent if it is late and weak.
    fn proposer_head(&self, head: u32, ctx: &Ctx<'_>) -> u32 {
        let entry = *self.tree.at(head);
        let Some(parent) = self.tree.entries.get(entry.parent as usize) else {
            return head;
        };
        let percent = |place: u32| u128::from(self.tree.weight(place)) * 100;
        let slot_weight = u128::from(self.tree.weights.slot());
        let liars = u128::from(self.liars_of(entry.slot, entry.block, ctx));
        let weak = percent(head) + liars * u128::from(tree::BALANCE) * 100
            < slot_weight * u128::from(self.rules.reorg_head_percent);
        let strong =
            percent(entry.parent) > slot_weight * u128::from(self.rules.reorg_parent_percent);
        let previous = entry.slot + 1 == self.slot;
        let since = ctx.wall().saturating_since(self.start_of(self.slot));
        let late = !entry.timely
            && !self.slot.is_multiple_of(self.rules.slots_per_epoch)
            && entry.unrealised == parent.unrealised
            && self.epoch(self.slot) - self.tree.finalised.epoch <= self.rules.reorg_max_epochs
            && since <= self.rules.reorg_cutoff
            && parent.slot + 1 == entry.slot
            && strong;
        let twice = || {
            let same = |e: &&tree::Entry| e.slot == entry.slot && e.creator == entry.creator;
            self.tree.entries.iter().filter(same).count() > 1
        };
        if weak && previous && (late || twice()) {
            entry.parent
        } else {
            head
        }
    }

    /// Proven liars among the attesters of a slot on a block's chain.
    fn liars_of(&self, slot: u32, block: BlockId, ctx: &Ctx<'_>) -> u32 {
        let epoch = self.epoch(slot);
        let header = &ctx.blocks.get(block).header;
        let seed = header.seed(epoch, self.rules.slots_per_epoch);
        let Some(drawn) = self.committees.iter().find(|c| c.is_of(epoch, seed)) else {
            return 0;
        };
        let nodes = (0..self.stakes.nodes()).map(NodeId::new);
        let keys = nodes.flat_map(|node| drawn.of(slot % self.rules.slots_per_epoch, node));
        keys.filter(|key| self.tree.liars[**key as usize]).count() as u32
    }

    /// The votes that a block on top of `parent` carries: of those that its chain accepts and lacks, the
    /// ones that most keys agree on.
    fn pack(
        &mut self,
        parent: u32,
        height: u32,
        ctx: &Ctx<'_>,
        out: &mut Out,
    ) -> (Option<CertId>, u32, u32) {
        self.collect_packed(parent, ctx, out);
        self.collect_choices(parent, ctx);
        let (mut keys, mut statements) = (0, core::mem::take(&mut self.statements));
        statements.clear();
        for i in 0..self.choices.len() {
            let (agree, vote) = self.choices[i];
            keys += agree as u32;
            for signer in (0..self.stakes.nodes()).map(NodeId::new) {
                if self.lacking(vote.slot, signer) == Some(vote) {
                    statements.push(Statement {
                        signer,
                        round: Some(vote.slot),
                        block: Some(vote.head),
                    });
                }
            }
        }
        let votes = (keys > 0).then(|| out.certs.intern(height, &statements));
        self.statements = statements;
        (votes, self.choices.len() as u32, keys)
    }

    /// Finds what votes say that a chain accepts and lacks: what most keys say first.
    fn collect_choices(&mut self, parent: u32, ctx: &Ctx<'_>) {
        let state = self.tree.state_at(parent, self.slot);
        let mut choices = core::mem::take(&mut self.choices);
        choices.clear();
        for slot in self.pool.slots().start..self.slot {
            let source = match state.epoch - self.epoch(slot) {
                0 => state.justified,
                _ => state.previous,
            };
            for node in (0..self.stakes.nodes()).map(NodeId::new) {
                let lacking = self.lacking(slot, node);
                let Some(vote) = lacking.filter(|vote| vote.source == source) else {
                    continue;
                };
                let keys = self.keys(&vote, node, ctx).len() as u64;
                match choices.iter_mut().rev().find(|choice| choice.1 == vote) {
                    Some(choice) => choice.0 += keys,
                    None => choices.push((keys, vote)),
                }
            }
        }
        choices.retain(|choice| choice.0 > 0);
        // The newest of equally many; blocks enter by name.
        choices.sort_by_key(|(keys, vote)| {
            let name = ctx.blocks.name(vote.head);
            (u64::MAX - keys, u32::MAX - vote.slot, name)
        });
        choices.truncate(self.rules.max_attestations);
        self.choices = choices;
    }

    /// Finds the votes that a chain carries already.
    fn collect_packed(&mut self, parent: u32, ctx: &Ctx<'_>, out: &Out) {
        self.packed.clear();
        let mut at = Some(self.tree.at(parent));
        // A vote is carried by a later slot's block.
        while let Some(entry) = at.filter(|entry| entry.slot > self.pool.slots().start) {
            let cert = ctx.blocks.find(entry.block).and_then(|b| b.header.votes);
            for statement in cert.map_or(&[][..], |cert| out.certs.get(cert)) {
                self.packed
                    .extend(statement.round.map(|slot| (slot, statement.signer)));
            }
            at = self.tree.entries.get(entry.parent as usize);
        }
        self.packed.sort_unstable();
    }

    /// A vote that was seen and is not on the chain that was looked at.
    fn lacking(&mut self, slot: u32, node: NodeId) -> Option<Vote> {
        let vote = (*self.pool.get(slot, node)?)?;
        let packed = self.packed.binary_search(&(slot, node)).is_ok();
        (!packed).then_some(vote)
    }
}

/// Voting.
impl Gasper {
    /// Where the committees are that a vote's chain draws for its epoch.
    fn drawn(&mut self, slot: u32, header: &Header) -> usize {
        let (epoch, slots) = (self.epoch(slot), self.rules.slots_per_epoch);
        let seed = header.seed(epoch, slots);
        if let Some(place) = self.committees.iter().position(|c| c.is_of(epoch, seed)) {
            return place;
        }
        if self.committees.len() < REMEMBERED {
            let drawn = Committees::draw(&self.stakes, slots, epoch, seed);
            self.committees.push(drawn);
            return self.committees.len() - 1;
        }
        let oldest = (0..REMEMBERED).min_by_key(|i| self.committees[*i].epoch());
        let place = oldest.expect("some are remembered");
        self.committees[place].redraw(&self.stakes, slots, epoch, seed);
        place
    }

    /// The keys that a node's vote of a slot stands for; none while its head is unknown.
    fn keys(&mut self, vote: &Vote, node: NodeId, ctx: &Ctx<'_>) -> &[u32] {
        let Some(head) = ctx.blocks.find(vote.head) else {
            return &[];
        };
        let drawn = self.drawn(vote.slot, &head.header);
        self.committees[drawn].of(vote.slot % self.rules.slots_per_epoch, node)
    }

    /// Upon the slot's block: votes are due.
    fn attest_early(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let head = self.tree.place(self.head).expect("the head is kept");
        if self.tree.at(head).slot == self.slot {
            self.attest(ctx, out);
        }
    }

    /// Votes for the head, once a slot.
    fn attest(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let slot = self.slot;
        if self.next[1] > slot || ctx.me.get() >= self.stakes.nodes() {
            return;
        }
        self.next[1] = slot + 1;
        let place = self.tree.place(self.head).expect("the head is kept");
        let epoch = self.epoch(slot);
        let vote = Vote {
            slot,
            head: self.head,
            source: self.tree.state_at(place, slot).justified,
            target: Checkpoint {
                epoch,
                block: self.tree.checkpoint(place, epoch),
            },
        };
        let keys = self.keys(&vote, ctx.me, ctx).len() as u32;
        if keys == 0 || !self.sign(&vote) {
            return;
        }
        self.own = Some(vote);
        self.learn(ctx.me, vote, ctx, out);
        let message = Message::Vote { vote, keys };
        if self.rules.all_subnets {
            out.send(To::All, message);
            return;
        }
        for i in (0..self.stakes.nodes()).filter(|i| *i != ctx.me.get()) {
            let node = NodeId::new(i);
            if self.aggregators(&vote, node, ctx) > 0 {
                out.send(To::One(node), message);
            }
        }
    }

    /// Whether signing a vote goes around no earlier one; remembers it.
    fn sign(&mut self, vote: &Vote) -> bool {
        let (target, source) = (vote.target.epoch, vote.source.epoch);
        if target > self.signed.epoch {
            self.signed = Signed {
                epoch: target,
                source: 0,
                before: self.signed.before.max(self.signed.source),
            };
        }
        let may = source >= self.signed.before;
        if may {
            self.signed.source = self.signed.source.max(source);
        }
        may
    }

    /// How many of a node's keys aggregate votes of a slot.
    fn aggregators(&mut self, vote: &Vote, node: NodeId, ctx: &Ctx<'_>) -> u32 {
        let Some(head) = ctx.blocks.find(vote.head) else {
            return 0;
        };
        let drawn = self.drawn(vote.slot, &head.header);
        let slot = vote.slot % self.rules.slots_per_epoch;
        let committee = self.committees[drawn].size(slot) / self.rules.committees;
        let modulo = (committee / self.rules.target_aggregators).max(1);
        self.committees[drawn].aggregators(slot, node, modulo)
    }

    fn send_aggregates(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(vote) = self.own.filter(|own| own.slot == self.slot) else {
            return;
        };
        let aggregators = self.aggregators(&vote, ctx.me, ctx);
        if aggregators == 0 || ctx.nodes == 1 {
            return;
        }
        let mut statements = core::mem::take(&mut self.statements);
        statements.clear();
        let agree = self.pool.of(vote.slot).filter(|other| other.1 == vote);
        statements.extend(agree.map(|(signer, _)| Statement {
            signer,
            round: None,
            block: None,
        }));
        let keys = statements
            .iter()
            .map(|s| self.keys(&vote, s.signer, ctx).len() as u32);
        let keys = keys.sum();
        let height = ctx.blocks.get(vote.head).height;
        let message = Message::Aggregate {
            vote,
            voters: out.certs.intern(height, &statements),
            keys,
            aggregators,
        };
        self.statements = statements;
        out.send(To::All, message);
    }

    /// Bytes of an aggregate's bits: one for each attester of a slot, and the end.
    fn bits(&self) -> u64 {
        u64::from(self.stakes.keys() / self.rules.slots_per_epoch + 1).div_ceil(8)
    }

    fn on_message(&mut self, from: NodeId, message: &Message, ctx: &Ctx<'_>, out: &mut Out) {
        match *message {
            Message::Vote { vote, .. } => self.learn(from, vote, ctx, out),
            Message::Aggregate { vote, voters, .. } => {
                for i in 0..out.certs.get(voters).len() {
                    let signer = out.certs.get(voters)[i].signer;
                    self.learn(signer, vote, ctx, out);
                }
            }
            Message::Slashing { against, votes } => {
                self.convict(against, votes, ctx, out);
            }
        }
    }

    /// Keeps a node's vote, if it is its first of the slot. A second one is evidence.
    fn learn(&mut self, node: NodeId, vote: Vote, ctx: &Ctx<'_>, out: &mut Out) {
        if vote.target.epoch != self.epoch(vote.slot) {
            return;
        }
        let Some(kept) = self.pool.get(vote.slot, node) else {
            return; // Too old, too early, or nobody.
        };
        if let Some(first) = *kept {
            if first != vote {
                self.accuse(node, [first, vote], ctx, out);
            }
            return;
        }
        *kept = Some(vote);
        if vote.slot >= self.slot || !self.count(node, &vote, ctx) {
            self.waiting.push((vote.slot, node));
        }
        let heard = &mut self.heard[node.index()];
        // Only then may one be around another.
        let odd = vote.source.epoch < heard[0] || vote.target.epoch < heard[1];
        *heard = [
            heard[0].max(vote.source.epoch),
            heard[1].max(vote.target.epoch),
        ];
        if !odd {
            return;
        }
        let clash = self.pool.slots().find_map(|slot| {
            let other = (*self.pool.get(slot, node)?)?;
            other.clashes(&vote).then_some(other)
        });
        if let Some(other) = clash {
            self.accuse(node, [other, vote], ctx, out);
        }
    }

    /// Counts the votes of earlier slots whose heads are here.
    fn count_waiting(&mut self, ctx: &Ctx<'_>) {
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.retain(|&(slot, node)| {
            let vote = self.pool.get(slot, node).and_then(|vote| *vote);
            // Without one it is too old by now.
            vote.is_some_and(|vote| slot >= self.slot || !self.count(node, &vote, ctx))
        });
        self.waiting = waiting;
    }

    /// Counts a vote for the head; false if its head is not here.
    fn count(&mut self, node: NodeId, vote: &Vote, ctx: &Ctx<'_>) -> bool {
        let Some(place) = self.tree.place(vote.head) else {
            return false;
        };
        let epoch = vote.target.epoch;
        let sound = self.tree.at(place).slot <= vote.slot
            && self.tree.checkpoint(place, epoch) == vote.target.block;
        if sound {
            let drawn = self.drawn(vote.slot, &ctx.blocks.get(vote.head).header);
            for &key in self.committees[drawn].of(vote.slot % self.rules.slots_per_epoch, node) {
                self.tree.vote(key, epoch, place);
            }
        }
        true
    }

    /// Upon two votes that no honest node casts: all are told.
    fn accuse(&mut self, against: NodeId, votes: [Vote; 2], ctx: &Ctx<'_>, out: &mut Out) {
        if self.convict(against, votes, ctx, out) && ctx.nodes > 1 {
            out.send(To::All, Message::Slashing { against, votes });
        }
    }

    /// Discounts the keys that cast both votes. Whether that is news.
    fn convict(&mut self, against: NodeId, votes: [Vote; 2], ctx: &Ctx<'_>, out: &mut Out) -> bool {
        if !votes[0].clashes(&votes[1]) || against.get() >= self.stakes.nodes() {
            return false;
        }
        let first = self.keys(&votes[0], against, ctx).to_vec();
        let second = self.keys(&votes[1], against, ctx).to_vec();
        let mut news = false;
        for key in first.into_iter().filter(|key| second.contains(key)) {
            news |= self.tree.discount(key);
        }
        if news {
            out.push(Effect::Evidence { against });
        }
        news
    }
}

/// The chain.
impl Gasper {
    fn on_body(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let missing = match self.orphans.admit(block, ctx) {
            Place::Connected => return self.on_connected(block, ctx, out),
            Place::Kept => return,
            Place::Above(missing) => missing,
        };
        let Some(ancestor) = ctx.blocks.find(missing) else {
            return;
        };
        let gap = ctx.blocks.get(self.head).height.abs_diff(ancestor.height);
        if gap > LONG_GAP && self.chain_wanted <= ctx.clock {
            self.ask_chain(from, ctx, out);
        } else {
            out.push(Effect::Fetch {
                block: missing,
                from,
            });
        }
    }

    fn ask_chain(&mut self, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        self.chain_wanted = ctx.clock + PATIENCE;
        out.push(Effect::Sync { from });
    }

    /// Upon a block whose ancestors are all here: it and the orphans above it.
    fn on_connected(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let mut valid = self.accept(block, ctx, out);
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.connect(block, ctx.blocks, |orphan| {
            valid |= self.accept(orphan, ctx, out);
        });
        self.orphans = orphans;
        if !valid {
            return;
        }
        self.count_waiting(ctx);
        self.choose_head(ctx, out);
        self.attest_early(ctx, out);
    }

    /// Adds a block to the tree, or keeps it for its slot. Whether it is in the tree now.
    fn accept(&mut self, id: BlockId, ctx: &Ctx<'_>, out: &mut Out) -> bool {
        let block = *ctx.blocks.get(id);
        let slot = block.header.slot;
        let below = block.parent.expect("not the first");
        let parent = self.tree.place(below);
        if slot > self.slot || parent.is_none() && self.early.contains(&below) {
            self.early.push(id);
            return false;
        }
        // A parent that is not there lies beside what is final.
        let Some(parent) = parent.filter(|p| self.is_valid(&block, *p, ctx)) else {
            return false;
        };
        let creator = block.key.creator;
        let mut others = self.tree.entries.iter();
        if others.any(|other| other.slot == slot && other.creator == creator) {
            out.push(Effect::Evidence { against: creator });
        }
        let state = self.state_after(id, &block, parent, ctx, out);
        let name = (id, ctx.blocks.name(id), creator);
        let place = self.tree.add(name, (parent, slot), state);
        self.note_boost(place, &block.header, ctx);
        if self.epoch(slot) < self.epoch(self.slot) {
            self.tree.pull_up(place);
        }
        self.learn_carried(&block.header, ctx, out);
        self.pass_on(id, slot, creator, ctx, out);
        true
    }

    /// Whether a block follows the one at `parent`: its slot, its proposer, its randomness.
    fn is_valid(&self, block: &Block<Header>, parent: u32, ctx: &Ctx<'_>) -> bool {
        let below = &ctx.blocks.get(self.tree.at(parent).block).header;
        let slot = block.header.slot;
        slot > below.slot
            && block.header.seeds == below.next_seeds(slot, self.rules.slots_per_epoch)
            && block.key.creator == self.proposer(below, slot)
    }

    /// The chain's state after a block: the votes that it carries, and that the chain lacked, count for
    /// their targets.
    fn state_after(
        &mut self,
        id: BlockId,
        block: &Block<Header>,
        parent: u32,
        ctx: &Ctx<'_>,
        out: &Out,
    ) -> Tally {
        let slot = block.header.slot;
        let mut state = self.tree.state_at(parent, slot);
        if slot.is_multiple_of(self.rules.slots_per_epoch) {
            state.targets[0] = id;
        }
        let Some(cert) = block.header.votes else {
            return state;
        };
        let mut target = None;
        for statement in out.certs.get(cert) {
            let (Some(of), Some(head)) = (statement.round, statement.block) else {
                continue;
            };
            let ago = state.epoch.wrapping_sub(self.epoch(of)) as usize;
            if ago > 1 || of >= slot || self.is_carried(statement.signer, of, parent, ctx, out) {
                continue;
            }
            // Votes that agree stand together.
            if target.is_none_or(|(data, _)| data != (of, head)) {
                let first = self.tree.first_slot(self.epoch(of));
                target = Some(((of, head), last_until(ctx.blocks, head, first)));
            }
            let voted = target.and_then(|(_, block)| block);
            if voted == Some(state.targets[ago]) {
                let drawn = self.drawn(of, &ctx.blocks.get(state.targets[ago]).header);
                let keys =
                    self.committees[drawn].of(of % self.rules.slots_per_epoch, statement.signer);
                state.votes[ago] += keys.len() as u64;
            }
        }
        state
    }

    /// Whether a chain carries a node's vote of a slot already. Only blocks after the slot may.
    fn is_carried(&self, node: NodeId, slot: u32, tip: u32, ctx: &Ctx<'_>, out: &Out) -> bool {
        let mut at = Some(self.tree.at(tip));
        while let Some(entry) = at.filter(|entry| entry.slot > slot) {
            let cert = ctx.blocks.find(entry.block).and_then(|b| b.header.votes);
            let votes = cert.map_or(&[][..], |cert| out.certs.get(cert));
            if votes
                .iter()
                .any(|v| v.signer == node && v.round == Some(slot))
            {
                return true;
            }
            at = self.tree.entries.get(entry.parent as usize);
        }
        false
    }

    /// The first timely block of the running slot is boosted, if the head's chain draws the same
    /// committees.
    fn note_boost(&mut self, place: u32, header: &Header, ctx: &Ctx<'_>) {
        let due = self.start_of(self.slot) + self.rules.attest;
        if header.slot != self.slot || ctx.wall() >= due {
            return;
        }
        self.tree.entries[place as usize].timely = true;
        let (epoch, slots) = (self.epoch(self.slot), self.rules.slots_per_epoch);
        let head = ctx.blocks.get(self.head).header;
        if self.tree.boosted.is_none() && head.seed(epoch, slots) == header.seed(epoch, slots) {
            self.tree.boosted = Some(self.tree.at(place).block);
        }
    }

    /// Votes that came in a block count for the head too.
    fn learn_carried(&mut self, header: &Header, ctx: &Ctx<'_>, out: &mut Out) {
        let Some(cert) = header.votes else { return };
        for i in 0..out.certs.get(cert).len() {
            let Statement {
                signer,
                round,
                block,
            } = out.certs.get(cert)[i];
            let (Some(slot), Some(head)) = (round, block) else {
                continue;
            };
            let kept = self.pool.get(slot, signer).map(|vote| *vote);
            let known = kept.flatten().is_some_and(|vote| vote.head == head);
            let Some(place) = self.tree.place(head).filter(|_| !known) else {
                continue;
            };
            // What an honest key with this head signs.
            let epoch = self.epoch(slot);
            let vote = Vote {
                slot,
                head,
                source: self.tree.state_at(place, slot).justified,
                target: Checkpoint {
                    epoch,
                    block: self.tree.checkpoint(place, epoch),
                },
            };
            if kept.is_some() {
                self.learn(signer, vote, ctx, out);
            } else if slot < self.slot {
                self.count(signer, &vote, ctx); // Too old to be heard elsewhere.
            }
        }
    }

    fn pass_on(&self, id: BlockId, slot: u32, creator: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        let wanted = match self.rules.relay {
            RelayRule::Push => slot + self.rules.slots_per_epoch > self.slot,
            RelayRule::Direct => creator == ctx.me,
        };
        if wanted {
            out.push(Effect::Relay {
                block: id,
                rule: Relay::Push,
            });
        }
    }

    /// Finds the head, and says what is final and safe.
    fn choose_head(&mut self, ctx: &Ctx<'_>, out: &mut Out) {
        let head = self.tree.head(self.epoch(self.slot));
        let head = self.tree.at(head).block;
        if head != self.head {
            self.head = head;
            out.push(Effect::Adopt(head));
        }
        let now = [self.tree.finalised.block, self.tree.justified.block];
        if now == self.told {
            return;
        }
        if now[0] != self.told[0] {
            out.push(Effect::Commit(now[0]));
            self.tree.forget();
            let blocks = ctx.blocks;
            self.early.retain(|block| blocks.find(*block).is_some());
        }
        out.push(Effect::Safe(now[1]));
        self.told = now;
    }
}

/// The last block of a chain up to a slot; `None` if it is forgotten.
fn last_until(blocks: &Blocks<Header>, tip: BlockId, slot: u32) -> Option<BlockId> {
    let mut at = tip;
    loop {
        let block = blocks.find(at)?;
        if block.header.slot <= slot {
            return Some(at);
        }
        at = block.parent?;
    }
}
