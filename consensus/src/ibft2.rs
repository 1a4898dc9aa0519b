//! IBFT 2.0: QBFT's predecessor in Besu, in three phases of which the proposer takes part in two.
//!
//! source: hyperledger/besu@3fd224e `consensus/ibft` and `consensus/common`; the height manager as of
//! hyperledger/besu@31606cf. Besu supports it for networks that have it and recommends QBFT for new ones.
//!
//! The rules and their deviations are those of [`crate::bft`], of which these are IBFT 2.0's own:
//!
//! - Upon a new head: round 0 is open at once and its timer runs from there, so that the request timeout
//!   must exceed the period; only the proposer waits for the block timer.
//! - Upon its own Proposal: the proposer sends no Prepare, and one of its is not counted. `Q − 1` Prepares
//!   of others decide: the Proposal stands for the last one.
//! - Upon the round timer: `RoundChange` carries the signed Proposal besides the `Q − 1` Prepares, all of it
//!   under the sender's signature.
//! - Upon proposing in a later round: each of the `Q` round changes goes along with its own Prepares, so that
//!   a justification has up to `Q(Q + 1)` signatures, where QBFT's has `2Q`.
//! - There are no early round changes and no pause of empty blocks.
//!
//! Finality: on commit, against at most `f` Byzantine validators.
//!
//! Messages: `2n(n−1)` a block without faults, at most `2n(n−1)²` where they are flooded; commit three
//! message delays after the Proposal. A round change adds `n(n−1)`.

use crate::Presets;
use crate::bft::{Proof, Protocol, Replica, Settings};
use crate::config::unless_zero;
use quorate_core::{Agreement, Electorate, Facts, Family, Guarantee, Limits, Span, Standing};

pub use crate::bft::{
    COMMIT, Gossip, Header, Justification, MemberVote, Message, PREPARE, Prepared, Proposal,
    RoundChange, RoundTimer, Said, Timer, Wish,
};

// RLP sizes, computed from hyperledger/besu@3fd224e `ibft/payload`. A round's name is two numbers
// of fixed length, and a message is a list of its payload and a signature.
const ROUND_BYTES: u64 = 9 + 5;
const DIGEST_BYTES: u64 = 33;
const SIGNATURE_BYTES: u64 = 67;
const PREPARE_BYTES: u64 = signed(ROUND_BYTES + DIGEST_BYTES);
/// The signed part of a Proposal is as long as a Prepare.
const PROPOSAL_BYTES: u64 = PREPARE_BYTES;

/// Bytes of a list with so many bytes in it.
const fn list(content: u64) -> u64 {
    let length = match content {
        0..56 => 1,
        56..256 => 2,
        256..65_536 => 3,
        _ => 4,
    };
    length + content
}

/// Bytes of a payload with so many bytes in it, and its signature.
const fn signed(payload: u64) -> u64 {
    list(list(payload) + SIGNATURE_BYTES)
}

config! {
    /// Parameters of IBFT 2.0.
    {
        /// Time from a block's timestamp to the next block, ms.
        period_ms: u64,
        /// Time from the last block until round 0 is given up, ms; round `r` has `2^r` times as much.
        request_timeout_ms: u64,
        /// Validators: the first so many nodes; 0 means all.
        validators: u32,
        /// Whether headers carry whole seconds.
        whole_second_timestamps: bool,
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
    const PRESETS: &'static [&'static str] = &["besu-ibft2"];

    fn preset(name: &str) -> Option<Self> {
        (name == "besu-ibft2").then_some(Self {
            // source: Besu's default `blockperiodseconds` is 1.
            period_ms: 1_000,
            // source: hyperledger/besu-docs@faacf35 `ibft.md` recommends twice the period; the bare
            // default `requesttimeoutseconds` is 1, which ends round 0 as its block is due.
            request_timeout_ms: 2_000,
            validators: 0,
            whole_second_timestamps: true,
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
        })
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

/// An IBFT 2.0 node.
pub type Ibft2 = Replica<Rules>;

/// What is IBFT 2.0's own.
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
        messages: "2n(n−1)",
        latency: "3d",
        finality: "on commit",
        source: "hyperledger/besu@3fd224e consensus/ibft",
    };
    const PROPOSER_PREPARES: bool = false;
    const OPENS_AT_HEAD: bool = true;
    const PREPARE_BYTES: u64 = PREPARE_BYTES;
    const COMMIT_BYTES: u64 = signed(ROUND_BYTES + DIGEST_BYTES + SIGNATURE_BYTES);
    /// With the byte that stands for no justification, and the length of the whole.
    const PROPOSAL_BYTES: u64 = PROPOSAL_BYTES + 1 + 3;
    /// The round has a fixed length.
    const HEADER_BYTES: u64 = 4;

    fn settings(config: &Config) -> Settings {
        Settings {
            period: Span::from_ms(config.period_ms),
            timeout: Span::from_ms(config.request_timeout_ms),
            validators: config.validators,
            whole_seconds: config.whole_second_timestamps,
            timer: RoundTimer::Besu,
            early: false,
            empty_blocks: true,
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
        let signed = change(prepared, quorum);
        Proof {
            // With a block, its length is that of a long list; without, one byte stands for it.
            bytes: if prepared {
                signed.bytes + 3
            } else {
                list(signed.bytes + 1)
            },
            signatures: signed.signatures,
        }
    }

    fn justification(j: &Justification, quorum: u64) -> Proof {
        let (plain, prepared) = (change(false, quorum), change(true, quorum));
        let (some, others) = (u64::from(j.prepared), u64::from(j.plain));
        Proof {
            bytes: list(list(others * plain.bytes + some * prepared.bytes)),
            // Each is signed itself.
            signatures: others + some * (1 + prepared.signatures),
        }
    }
}

/// The signed part of a round change, and what it proves.
const fn change(prepared: bool, quorum: u64) -> Proof {
    if !prepared {
        return Proof {
            bytes: signed(ROUND_BYTES + 1),
            signatures: 0,
        };
    }
    let prepares = quorum - 1;
    let certificate = list(PROPOSAL_BYTES + list(prepares * PREPARE_BYTES));
    Proof {
        bytes: signed(ROUND_BYTES + certificate),
        signatures: 1 + prepares,
    }
}
