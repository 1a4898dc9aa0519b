//! QBFT: appointed validators agree on each block in three phases, with round changes that carry
//! their justification.
//!
//! source: hyperledger/besu@3fd224e `consensus/qbft-core` and `consensus/common` (rules, sizes,
//! defaults); ConsenSys/qbft-formal-spec-and-verification@3e2aeee `dafny/spec/L1` (the `spec`
//! timer).
//!
//! The rules and their deviations are those of [`crate::bft`], of which these are QBFT's own:
//!
//! - Upon the block timer: every validator opens round 0, and its timer runs from there (`besu`), or
//!   round 0 is open since the last block and the timer runs from it (`spec`).
//! - Upon accepting its own Proposal: the proposer prepares it like everybody else; `Q` Prepares decide.
//! - Upon round changes of `f + 1` validators for rounds above the own (`early_round_change`, always in the
//!   specification): enter the smallest of those rounds and send `RoundChange` for it.
//! - Upon proposing a prepared block again: of all Prepares only the `Q` of the highest round go along.
//!
//! Finality: on commit, against at most `f` Byzantine validators.
//!
//! Messages: `(n−1)(2n+1)` a block without faults, at most `(n−1)²(2n+1)` where they are flooded; commit
//! three message delays after the Proposal. A round change adds `n(n−1)`.

use crate::Presets;
use crate::bft::{Proof, Protocol, Replica, Settings};
use crate::config::unless_zero;
use quorate_core::{Agreement, Electorate, Facts, Family, Guarantee, Limits, Span, Standing};

pub use crate::bft::{
    COMMIT, Gossip, Header, Justification, MemberVote, Message, PREPARE, Prepared, Proposal,
    RoundChange, RoundTimer, Said, Timer, Wish,
};

// source: RLP sizes computed from hyperledger/besu@3fd224e `qbft-core/payload` at height 10^5.
const PREPARE_BYTES: u64 = 108;
const ROUND_CHANGE_BYTES: u64 = 76;
const ROUND_CHANGE_PREPARED_BYTES: u64 = 110;

config! {
    /// Parameters of QBFT.
    {
        /// Time from a block's timestamp to the next block, ms.
        period_ms: u64,
        /// Time until round 0 is given up, ms; round `r` has `2^r` times as much.
        request_timeout_ms: u64,
        /// Validators: the first so many nodes; 0 means all.
        validators: u32,
        /// Whether headers carry whole seconds.
        whole_second_timestamps: bool,
        /// Whose round timer.
        timer: RoundTimer,
        /// Whether `f + 1` round changes pull a validator along. The specification's timer implies
        /// it.
        early_round_change: bool,
        /// Whether a block is made when nothing is pending.
        empty_blocks: bool,
        /// Bytes of transactions in a block.
        block_bytes: u64,
        /// Transactions in a block; 0 means no limit.
        block_txs: u32,
        /// Execution time of a block on the reference core, ms; 0 means no limit.
        block_exec_ms: u64,
        /// How what a validator says reaches the others.
        gossip: Gossip,
        /// Who wishes whom to be a validator, and from when on.
        votes: Vec<Wish>,
        /// Votes that decided nothing are forgotten every so many blocks.
        epoch_blocks: u32,
    }
}

impl Presets for Config {
    const PRESETS: &'static [&'static str] = &["besu-qbft", "goquorum-qbft"];

    fn preset(name: &str) -> Option<Self> {
        let besu = Self {
            // source: Besu's default `blockperiodseconds` is 1.
            period_ms: 1_000,
            // source: hyperledger/besu-docs@faacf35 `qbft.md` recommends twice the period; the
            // bare default `requesttimeoutseconds` is 1.
            request_timeout_ms: 2_000,
            validators: 0,
            whole_second_timestamps: true,
            timer: RoundTimer::Besu,
            // source: `--Xqbft-enable-early-round-change` is off by default.
            early_round_change: false,
            // source: `emptyblockperiodseconds` is 0, inactive, by default.
            empty_blocks: true,
            // assumption: no gas limit, as in the documented free-gas networks; what remains is the
            // 10 MB that Besu lets a message have (hyperledger/besu#4120).
            block_bytes: 10_000_000,
            block_txs: 0,
            block_exec_ms: 750,
            // assumption: validators are fully connected, so that only the copies from the authors matter;
            // Besu sends the others too (`besu-flood`).
            gossip: Gossip::Direct,
            votes: Vec::new(),
            // source: hyperledger/besu `JsonBftConfigOptions`: `epochlength` is 30,000 by default.
            epoch_blocks: 30_000,
        };
        match name {
            // `besu` is its name in plans of before there were others.
            "besu-qbft" | "besu" => Some(besu),
            "goquorum-qbft" => Some(Self {
                // source: Consensys/quorum@02cd228 `consensus/istanbul/config.go`: `DefaultConfig`.
                period_ms: 5_000,
                request_timeout_ms: 10_000,
                // source: Consensys/quorum@0055860 `consensus/istanbul/qbft/core/roundchange.go`.
                early_round_change: true,
                // assumption: like Besu's, a share of the period; messages have Besu's sizes.
                block_exec_ms: 3_750,
                // The timeout doubles. source: Consensys/quorum@09f7a2d
                // `consensus/istanbul/qbft/core/core.go`: `newRoundChangeTimer`.
                ..besu
            }),
            _ => None,
        }
    }

    fn settle(&mut self, given: impl Fn(&str) -> bool) {
        if !given("block_exec_ms") {
            // source: Besu's `--poa-block-txs-selection-max-time` is 75 % of the period.
            self.block_exec_ms = self.period_ms * 3 / 4;
        }
        if !given("whole_second_timestamps") {
            // Besu's sub-second periods are a test-only option; its seconds cannot express them.
            self.whole_second_timestamps = self.period_ms.is_multiple_of(1_000);
        }
    }
}

/// A QBFT node.
pub type Qbft = Replica<Rules>;

/// What is QBFT's own.
#[derive(Debug)]
pub struct Rules;

impl Protocol for Rules {
    type Config = Config;

    const FACTS: Facts = Facts {
        family: Family::Authority,
        electorate: Electorate::Appointed,
        agreement: Agreement::CommitteeVote,
        standing: Standing::Deployable,
        final_holds_if: "fewer than a third of the validators lie",
        guarantee: Guarantee::Commit,
        bound: "⌊(n−1)/3⌋ may lie; ⌊n/3⌋ may be down",
        quorum: "⌈2n/3⌉",
        messages: "(n−1)(2n+1)",
        latency: "3d",
        finality: "on commit",
        source: "hyperledger/besu@3fd224e; ConsenSys/qbft-formal-spec-and-verification@3e2aeee",
    };
    const PROPOSER_PREPARES: bool = true;
    const OPENS_AT_HEAD: bool = false;
    const PREPARE_BYTES: u64 = PREPARE_BYTES;
    const COMMIT_BYTES: u64 = 176;
    const PROPOSAL_BYTES: u64 = 80;
    const HEADER_BYTES: u64 = 0;

    fn settings(config: &Config) -> Settings {
        Settings {
            period: Span::from_ms(config.period_ms),
            timeout: Span::from_ms(config.request_timeout_ms),
            validators: config.validators,
            whole_seconds: config.whole_second_timestamps,
            timer: config.timer,
            early: config.early_round_change || config.timer == RoundTimer::Spec,
            empty_blocks: config.empty_blocks,
            limits: Limits {
                bytes: config.block_bytes,
                txs: unless_zero(u64::from(config.block_txs)).min(u64::from(u32::MAX)) as u32,
                exec: match config.block_exec_ms {
                    0 => Span::MAX,
                    ms => Span::from_ms(ms),
                },
            },
            gossip: config.gossip,
            epoch: config.epoch_blocks,
            wishes: config.votes.clone(),
        }
    }

    fn round_change(prepared: bool, quorum: u64) -> Proof {
        if !prepared {
            return Proof {
                bytes: ROUND_CHANGE_BYTES,
                signatures: 0,
            };
        }
        Proof {
            bytes: ROUND_CHANGE_PREPARED_BYTES + quorum * PREPARE_BYTES,
            signatures: quorum,
        }
    }

    /// The signed parts of the round changes, and one set of Prepares.
    fn justification(j: &Justification, quorum: u64) -> Proof {
        let (plain, prepared) = (u64::from(j.plain), u64::from(j.prepared));
        let prepares = j.prepares.map_or(0, |_| quorum);
        Proof {
            bytes: plain * ROUND_CHANGE_BYTES
                + prepared * ROUND_CHANGE_PREPARED_BYTES
                + prepares * PREPARE_BYTES,
            signatures: plain + prepared + prepares,
        }
    }
}
