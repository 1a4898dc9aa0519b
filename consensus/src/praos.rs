//! Ouroboros Praos, the proof of stake of Cardano.
//!
//! source: IntersectMBO/ouroboros-consensus@1356d3e `Protocol/Praos/Common.hs` (chain order),
//! `Shelley/Ledger/Config.hs` (window of the tie-break), `docs/formal-spec/leader-value.tex`,
//! `docs/.../cardano_praos_basics.md`; input-output-hk/cardano-configurations@a913d87 (mainnet
//! genesis); David, Gaži, Kiayias, Russell, "Ouroboros Praos", EUROCRYPT 2018. Finality: see
//! `quorate_core::settlement`.
//!
//! - Upon the start of a slot that it leads, a pool builds a block on its head, or, when the head is
//!   of that slot already, beside it. A pool with stake σ leads a slot with probability
//!   `φ(σ) = 1 − (1 − f)^σ`, independent of other pools and slots. Its slots are drawn as geometric
//!   gaps, the same law.
//! - Upon an announced header: fetch the body if its chain would be selected. When its parent is
//!   missing, ask the announcer for its whole chain.
//! - Upon receiving a block whose ancestors are all here: select its chain if it is strictly longer
//!   than the own one. Of chains of one length the lower VRF value of the last block wins if the
//!   slots of the two last blocks are at most `vrf_window_slots` apart; otherwise the own one stays.
//!   A chain that would roll back more than `security_blocks` blocks is never selected, nor is one
//!   with a block whose slot is not after its parent's, or more than five seconds ahead.
//! - Upon selecting a chain: announce the header of its last block.
//! - Upon a restart: ask the next node for its chain, and draw the next slot to lead anew.
//!
//! What was asked for and did not come within a minute is asked for again when it is needed.
//!
//! Deviations:
//! - Stake and nonce never change: a run is shorter than an epoch of five days.
//! - No operational certificates: a pool makes one block a slot, so that two of one issuer and slot,
//!   which their counters would order, do not exist.
//! - The VRF value that breaks ties is a draw of its own. Evaluating the lottery in each slot costs
//!   no CPU (about 40 µs a second).
//! - The checks of a header are paid for with its body; the kernel hands headers over unchecked. A
//!   header ahead of time is refused instead of kept until its slot.
//! - Every body is asked for by itself, over connections that are always open; missing ancestors
//!   come as one batch.
//!
//! Finality: none by the protocol but the limit of rollbacks, 12 hours on Cardano. A block counts as
//! safe and final under the numbers of blocks at which the settlement bounds of longest-chain proof
//! of stake fall below the two risks. The race of proof of work does not apply: a leader may sign
//! many blocks in one slot.
//!
//! Messages: a flood of headers, one for each edge and direction, and one request and one body for
//! each node.

use crate::Presets;
use crate::config::unless_zero;
use crate::mutants::{Mutant, broken};
use crate::orphans::{Orphans, Place};
use quorate_core::settlement::{Symbols, settlement_depth, settlement_risk_after};
use quorate_core::{
    Adversary, Agreement, BlockId, Blocks, Committee, Content, Context, Draws, Effect, Electorate,
    Engine, Facts, Family, Finality, Guarantee, Input, Invalid, Limits, NodeId, Outbox, Promises,
    Relay, Span, Standing, Time, Wait, Weight, Wire, math,
};

type Ctx<'a> = Context<'a, Header>;
type Out = Outbox<Praos>;

/// A header on the wire.
/// assumption: 860 bytes, summed over its fields: a key-evolving signature of 448 bytes, a VRF proof
/// of 80 and its value of 64, an operational certificate of about 110, three hashes and keys of 32,
/// numbers and framing. The limit is 1,100 (`maxBlockHeaderSize`, mainnet genesis).
const HEADER_BYTES: u64 = 860;
/// Signature checks of a header, in those of the reference curve: one for the key-evolving signature
/// (its six hashes are negligible), one for the operational certificate, and two for the VRF proof.
/// source: RFC 9381, section 5.3: a proof is checked with two equations of the kind of which a
/// signature needs one. assumption: nothing else in it costs anything.
const HEADER_CHECKS: u64 = 4;
/// Signatures that making a header costs.
/// source: RFC 9381, section 5.1: a proof takes three multiplications where a signature takes one;
/// the key-evolving signature is the fourth.
const HEADER_SIGNS: u64 = 4;
/// How far ahead of the own clock a slot may be.
/// source: ouroboros-consensus, `defaultClockSkew`, 5 s.
const SKEW: Span = Span::from_s(5);
/// How long an answer is waited for.
/// source: ouroboros-network, block fetch protocol: the server may be busy for 60 s.
const PATIENCE: Span = Span::from_s(60);
/// Crossings of a link before a block is everywhere: header, request, body.
const CROSSINGS: u64 = 3;
/// Committee weight of a pool with all the stake.
const WHOLE: f64 = 1e9;

config! {
    /// Parameters of Praos.
    {
        /// Length of a slot, ms.
        slot_ms: u64,
        /// The share f of slots that have a leader, strictly between 0 and 1.
        active_slot_coefficient: f64,
        /// The most blocks that a node rolls back, k.
        security_blocks: u32,
        /// Slots between two last blocks within which the VRF value breaks a tie.
        vrf_window_slots: u32,
        /// Pools: the first so many nodes; 0 means all, or one for each of `stake_shares`.
        pools: u32,
        /// Each pool's share of the stake, in any unit; empty means equal shares.
        stake_shares: Vec<f64>,
        /// Bytes of transactions in a block.
        block_bytes: u64,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["cardano", "private"];

    fn preset(name: &str) -> Option<Self> {
        let cardano = Self {
            // source: mainnet Shelley genesis: `slotLength` 1, `activeSlotsCoeff` 0.05,
            // `securityParam` 2160.
            slot_ms: 1_000,
            active_slot_coefficient: 0.05,
            security_blocks: 2_160,
            // source: ouroboros-consensus, `RestrictedVRFTiebreaker 5` since Conway.
            vrf_window_slots: 5,
            pools: 0,
            stake_shares: Vec::new(),
            // source: protocol parameter `maxBlockSize`, today; 65,536 at genesis.
            block_bytes: 90_112,
            block_txs: 0,
            // assumption: none. Cardano limits the steps of scripts, not the work of a ledger's own
            // rules.
            block_exec_ms: 0,
        };
        match name {
            "cardano" => Some(cardano),
            // A dozen organisations with equal stakes, one node each (`pools` = 0), and a block
            // every two seconds. source: cardano-testnet, `defaultTestnetOptions`: slots of 0.1 s.
            // assumption: the rest as on mainnet.
            "private" => Some(Self {
                slot_ms: 100,
                ..cardano
            }),
            _ => None,
        }
    }
}

impl Config {
    const fn slot(&self) -> Span {
        Span::from_ms(self.slot_ms)
    }

    /// Slots in which a block cannot be built upon yet, when a link takes `delay`.
    fn delay_slots(&self, delay: Span) -> u32 {
        let slots = (delay * CROSSINGS).ns().div_ceil(self.slot().ns());
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Each pool's share of the stake; they sum to one.
    fn shares(&self, nodes: u32) -> Vec<f64> {
        if self.stake_shares.is_empty() {
            let pools = if self.pools == 0 { nodes } else { self.pools };
            return vec![1.0 / f64::from(pools); pools as usize];
        }
        let sum: f64 = self.stake_shares.iter().sum();
        self.stake_shares.iter().map(|share| share / sum).collect()
    }

    /// The depth for one risk.
    fn depth(&self, adversary: &Adversary, risk: f64) -> Result<u32, String> {
        let (share, f) = (adversary.share, self.active_slot_coefficient);
        let delta = self.delay_slots(adversary.delay);
        let who = format!(
            "an adversary with {:.1} % of the stake, when blocks take {delta} slots to spread,",
            100.0 * share
        );
        let adversarial = Symbols::new(share, f, delta).adversarial;
        if adversarial >= 0.5 {
            return Err(format!(
                "{who} makes {:.1} % of the active slots count against the chain: no depth is ever \
                 settled",
                100.0 * adversarial
            ));
        }
        let most = self.security_blocks;
        match settlement_depth(share, f, delta, risk) {
            Some(depth) if depth <= most => Ok(depth),
            _ => Err(format!(
                "{who} can reverse more than the {most} blocks that a node rolls back with a risk \
                 above {risk:e}: nodes would part for good",
            )),
        }
    }
}

/// What a header says, as far as chains are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The slot that the block was made in; the genesis block has 0, and nobody leads that slot.
    pub slot: u64,
    /// The VRF value of its leader: the lower wins a tie.
    pub vrf: u64,
}

/// Nothing is said but headers and blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {}

impl Content<Header> for Message {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        match *self {}
    }
}

/// A slot that this pool leads begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lead {
    /// Which slot.
    pub slot: u64,
}

impl Content<Header> for Lead {
    fn content(&self, _: &Blocks<Header>) -> u64 {
        self.slot
    }
}

/// The configuration in the units of the simulation.
#[derive(Clone, Copy, Debug)]
struct Rules {
    slot: Span,
    /// `ln(1 − f)`.
    ln_silent: f64,
    security_blocks: u32,
    window: u64,
    limits: Limits,
}

/// One node.
#[derive(Debug)]
pub struct Praos {
    rules: Rules,
    /// The share of the stake; zero for a node that is no pool.
    stake: f64,
    head: BlockId,
    /// The next slot that this pool leads.
    next_lead: u64,
    /// Bodies that were asked for, and until when they are waited for.
    wanted: Vec<(BlockId, Time)>,
    /// Until when the answer of a node that was asked for its chain is waited for.
    chain_wanted: Time,
    orphans: Orphans,
}

impl Engine for Praos {
    type Config = Config;
    type Header = Header;
    type Message = Message;
    type Timer = Lead;

    const FACTS: Facts = Facts {
        family: Family::Stake,
        electorate: Electorate::Stake,
        agreement: Agreement::LongestChain,
        standing: Standing::Deployable,
        final_holds_if: "the adversary has less stake than assumed and blocks spread within the \
                         assumed delay",
        guarantee: Guarantee::Risk,
        bound: "less than 1/2 of the stake, less what delay costs",
        quorum: "none: the longest chain",
        messages: "a flood: a header an edge, a body a node",
        latency: "depth",
        finality: "under the depth of the settlement bound at the risk asked for",
        source: "IntersectMBO/ouroboros-consensus@1356d3e; David, Gaži, Kiayias, Russell 2018",
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
        let f = config.active_slot_coefficient;
        if !(1..=86_400_000).contains(&config.slot_ms) {
            let why = format!(
                "{} ms is not between a millisecond and a day",
                config.slot_ms
            );
            return refuse("slot_ms", why, "1000 is Cardano's");
        }
        if !(1e-6..=0.999_999).contains(&f) {
            let why = format!("{f} is not a share strictly between 0 and 1");
            return refuse("active_slot_coefficient", why, "0.05 is Cardano's");
        }
        if config.security_blocks == 0 {
            let why = "a node that rolls back nothing never resolves a fork".to_owned();
            return refuse("security_blocks", why, "2160 is Cardano's");
        }
        let shares = &config.stake_shares;
        if let Some(bad) = shares.iter().find(|s| !s.is_finite() || **s <= 0.0) {
            let why = format!("{bad} is not a positive share");
            return refuse("stake_shares", why, "leave out pools without stake");
        }
        let named = shares.len() as u32;
        if named > nodes {
            let why = format!("{named} shares for {nodes} nodes");
            return refuse("stake_shares", why, "add nodes, or name fewer shares");
        }
        if config.pools > nodes {
            let why = format!("{} pools on {nodes} nodes", config.pools);
            return refuse(
                "pools",
                why,
                "name at most as many as there are nodes, or 0 for all",
            );
        }
        if named > 0 && config.pools > 0 && config.pools != named {
            let why = format!("{} pools but {named} shares", config.pools);
            return refuse("pools", why, "leave one of the two out");
        }
        Ok(())
    }

    fn committee(config: &Config, nodes: u32) -> Committee {
        let weight = |share: f64| ((share * WHOLE) as Weight).max(1);
        let shares = config.shares(nodes);
        let weighted = shares.iter().zip(0..);
        Committee::weighted(
            weighted
                .map(|(&s, i)| (NodeId::new(i), weight(s)))
                .collect(),
        )
    }

    fn new(config: &Config, me: NodeId, committee: &Committee) -> Self {
        Self {
            rules: Rules {
                slot: config.slot(),
                ln_silent: math::ln_1p(-config.active_slot_coefficient),
                security_blocks: config.security_blocks,
                window: u64::from(config.vrf_window_slots),
                limits: Limits {
                    bytes: config.block_bytes,
                    txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                    exec: match config.block_exec_ms {
                        0 => Span::MAX,
                        ms => Span::from_ms(ms),
                    },
                },
            },
            stake: committee.weight(me) as f64 / committee.total() as f64,
            head: Blocks::<Header>::GENESIS,
            next_lead: u64::MAX,
            wanted: Vec::new(),
            chain_wanted: Time::ZERO,
            orphans: Orphans::default(),
        }
    }

    fn genesis(_: &Config) -> Header {
        Header {
            slot: 0,
            vrf: u64::MAX,
        }
    }

    /// By the settlement bounds. The corrected delay is header, request and body, in slots, rounded
    /// up.
    fn finality(config: &Config, adversary: &Adversary) -> Result<Finality, String> {
        Ok(Finality::Depth {
            safe: config.depth(adversary, adversary.safe_risk)?,
            fin: config.depth(adversary, adversary.risk)?,
        })
    }

    /// A lie needs half of the *stake*, so that the numbers of pools follow from the largest: those
    /// who together have less than half may lie, when blocks spread at once. Any one pool carries on
    /// alone, slower.
    fn promises(config: &Config, nodes: u32) -> Promises {
        let mut shares = config.shares(nodes);
        shares.sort_by(|a, b| b.total_cmp(a));
        let sums = shares.iter().scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        });
        // A hair's breadth below a half, so that rounding does not turn a tie into a minority.
        let byzantine = sums.take_while(|sum| *sum < 0.5 - 1e-9).count() as u32;
        let interval = config.slot().as_s() / config.active_slot_coefficient;
        Promises {
            byzantine,
            crashed: shares.len() as u32 - 1,
            quorum: 1,
            interval: Span::from_s_f64(interval),
        }
    }

    /// The settlement bound after the slots that lie in the wait. The corrupt organisations' share of
    /// the nodes is their share of the stake. It is not zero without any: the bound lets somebody
    /// choose who hears of which of two blocks of one slot first.
    fn reversal_risk(config: &Config, nodes: u32, corrupt: u32, wait: &Wait) -> f64 {
        let share = f64::from(corrupt) / f64::from(nodes);
        let slots = wait.waited.ns() / config.slot().ns();
        let delta = config.delay_slots(wait.delay);
        settlement_risk_after(share, config.active_slot_coefficient, delta, slots)
    }

    fn handle(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, input: Input<Self>, out: &mut Out) {
        match input {
            Input::Start => self.await_next_lead(self.slot_at(ctx.wall()), ctx, draws, out),
            Input::Restarted => self.on_restarted(ctx, draws, out),
            Input::Timer(Lead { slot }) if slot == self.next_lead => {
                self.on_timer(slot, ctx, draws, out);
            }
            Input::Timer(_) => {} // Drawn before a restart.
            Input::BlockBuilt(block) => self.on_connected(block, ctx, out),
            Input::Header { block, from } => self.on_header(block, from, ctx, out),
            Input::Body { block, from } => self.on_body(block, from, ctx, out),
            Input::Message { message, .. } => match message {},
            Input::Threshold(_) | Input::Pending => {} // Never asked for.
        }
    }

    fn wire(&self, message: &Message, _: &Ctx<'_>) -> Wire {
        match *message {}
    }

    fn header_bytes(&self, _: &Header, _: &Ctx<'_>) -> u64 {
        HEADER_BYTES
    }

    fn check_block(&self, block: BlockId, ctx: &Ctx<'_>) -> Span {
        let block = ctx.blocks.get(block);
        ctx.costs.verify * HEADER_CHECKS + ctx.costs.validate(block)
    }
}

/// Leading.
impl Praos {
    /// The slot that an instant is in.
    const fn slot_at(&self, at: Time) -> u64 {
        at.ns() / self.rules.slot.ns()
    }

    /// The probability that this pool leads a slot: `φ(σ) = 1 − (1 − f)^σ`.
    pub fn leads(&self) -> f64 {
        1.0 - math::exp(self.stake * self.rules.ln_silent)
    }

    /// Draws the first slot after `slot` that this pool leads: `1 − φ(σ) = (1 − f)^σ`.
    fn draw_lead(&mut self, slot: u64, draws: &mut Draws) {
        let silent = math::ln(draws.open01()) / (self.stake * self.rules.ln_silent);
        self.next_lead = slot.saturating_add(silent as u64).saturating_add(1);
    }

    fn await_next_lead(&mut self, slot: u64, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        if self.stake > 0.0 {
            self.draw_lead(slot, draws);
            self.await_lead(ctx, out);
        }
    }

    fn await_lead(&self, ctx: &Ctx<'_>, out: &mut Out) {
        let slot = self.next_lead;
        let start = Time::from_ns(slot.saturating_mul(self.rules.slot.ns()));
        out.timer(ctx.at_wall(start), Lead { slot });
    }

    /// The slot that is led begins, unless the clock was set meanwhile.
    fn on_timer(&mut self, slot: u64, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let now = self.slot_at(ctx.wall());
        if now < slot {
            self.await_lead(ctx, out);
            return;
        }
        if now == slot {
            self.on_lead(slot, ctx, draws, out);
        }
        self.await_next_lead(now, ctx, draws, out);
    }

    fn on_lead(&self, slot: u64, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        let header = Header {
            slot,
            vrf: draws.bits(),
        };
        // Of this slot already is only a head that came in no time.
        let mut parent = self.head;
        while let Some(below) = ctx.blocks.get(parent).parent
            && ctx.blocks.get(parent).header.slot >= slot
        {
            parent = below;
        }
        out.push(Effect::BuildBlock {
            parent,
            header,
            limits: self.rules.limits,
            as_of: None,
            cost: ctx.costs.sign * HEADER_SIGNS,
        });
    }

    fn on_restarted(&mut self, ctx: &Ctx<'_>, draws: &mut Draws, out: &mut Out) {
        self.wanted.clear();
        self.chain_wanted = Time::ZERO;
        self.await_next_lead(self.slot_at(ctx.wall()), ctx, draws, out);
        if ctx.nodes > 1 {
            let from = NodeId::new((ctx.me.get() + 1) % ctx.nodes);
            self.ask_chain(from, ctx, out);
        }
    }
}

/// Asking.
impl Praos {
    fn on_header(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        if !self.prefers(block, ctx) {
            return;
        }
        let parent = ctx.blocks.get(block).parent;
        let follows = parent.is_none_or(|p| ctx.holds(p) || self.is_wanted(p, ctx));
        // A chain that is on its way may be older than this block.
        if follows || self.chain_wanted > ctx.clock {
            self.ask_body(block, from, ctx, out);
        } else {
            self.ask_chain(from, ctx, out);
        }
    }

    fn is_wanted(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        self.wanted.iter().any(|w| w.0 == block && w.1 > ctx.clock)
    }

    fn ask_body(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        self.wanted.retain(|w| w.1 > ctx.clock);
        self.wanted.push((block, ctx.clock + PATIENCE));
        out.push(Effect::Fetch { block, from });
    }

    fn ask_chain(&mut self, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        self.chain_wanted = ctx.clock + PATIENCE;
        out.push(Effect::Sync { from });
    }
}

/// The chain.
impl Praos {
    fn on_body(&mut self, block: BlockId, from: NodeId, ctx: &Ctx<'_>, out: &mut Out) {
        match self.wanted.iter().position(|w| w.0 == block) {
            Some(place) => drop(self.wanted.swap_remove(place)),
            None => self.chain_wanted = Time::ZERO, // Only a chain brings what nobody named.
        }
        let missing = match self.orphans.admit(block, ctx) {
            Place::Connected => return self.on_connected(block, ctx, out),
            Place::Kept => return,
            Place::Above(missing) => missing,
        };
        if self.chain_wanted <= ctx.clock && !self.is_wanted(missing, ctx) {
            self.ask_chain(from, ctx, out);
        }
    }

    /// Upon a block whose ancestors are all here: it and the orphans above it compete for the head.
    fn on_connected(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        let before = self.head;
        self.compete(block, ctx, out);
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.connect(block, ctx.blocks, |orphan| self.compete(orphan, ctx, out));
        self.orphans = orphans;
        if self.head != before {
            out.push(Effect::Relay {
                block: self.head,
                rule: Relay::Header,
            });
        }
    }

    fn compete(&mut self, block: BlockId, ctx: &Ctx<'_>, out: &mut Out) {
        if self.prefers(block, ctx) {
            self.head = block;
            out.push(Effect::Adopt(block));
        }
    }

    /// Whether the chain that ends in a block would be selected instead of the own one.
    fn prefers(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let (new, own) = (ctx.blocks.get(block), ctx.blocks.get(self.head));
        let near = new.header.slot.abs_diff(own.header.slot) <= self.rules.window;
        let wins = new.height > own.height
            || new.height == own.height && near && new.header.vrf < own.header.vrf;
        let stays = broken(Mutant::PraosLength) && !ctx.blocks.extends(block, self.head);
        wins && !stays && self.may_switch(block, ctx)
    }

    /// Whether a chain leaves the own one at most `security_blocks` blocks below its head, and its
    /// slots increase from there, up to now.
    fn may_switch(&self, block: BlockId, ctx: &Ctx<'_>) -> bool {
        let Some(fork) = ctx.blocks.fork_point(self.head, block) else {
            return false; // Below what anybody may still roll back to.
        };
        let height = |block| ctx.blocks.get(block).height;
        if height(self.head) - height(fork) > self.rules.security_blocks {
            return false;
        }
        let mut bound = self
            .slot_at(ctx.wall().saturating_add(SKEW))
            .saturating_add(1);
        let mut at = block;
        loop {
            let this = ctx.blocks.get(at);
            if at == fork {
                return this.header.slot < bound;
            }
            if this.header.slot >= bound {
                return false;
            }
            bound = this.header.slot;
            at = this.parent.expect("the fork is below");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::Seed;

    /// Gaps are geometric: each slot is led with φ(σ), whatever was before. 40,000 leads of a pool
    /// with three tenths of the stake, within four standard deviations.
    #[test]
    fn gaps_are_geometric() {
        let config = Config {
            active_slot_coefficient: 0.5,
            stake_shares: vec![3.0, 7.0],
            ..Config::default()
        };
        let committee = Praos::committee(&config, 2);
        let mut pool = Praos::new(&config, NodeId::new(0), &committee);
        let mut draws = Seed::new(1, 0).stream("engine", 0);
        let (mut slot, mut next, n) = (0, 0, 40_000.0);
        for _ in 0..40_000 {
            pool.draw_lead(slot, &mut draws);
            next += u32::from(pool.next_lead == slot + 1);
            slot = pool.next_lead;
        }
        let phi = 1.0 - math::pow(0.5, 0.3);
        let error = |share: f64| 4.0 * math::sqrt(share * (1.0 - share) / n);
        assert!((n / slot as f64 / phi - 1.0).abs() < error(phi) / phi);
        assert!((f64::from(next) / n - phi).abs() < error(phi));
    }

    #[test]
    fn a_delay_is_counted_in_slots_rounded_up() {
        let slots = |ms| Config::default().delay_slots(Span::from_ms(ms));
        assert_eq!([0, 1, 333, 334, 1_000].map(slots), [0, 1, 1, 2, 3]);
    }
}
