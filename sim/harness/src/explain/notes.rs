//! What `explain` adds to the list: formulas, what moves a figure, and how to read it.

use crate::catalogue::{Entry, What};

/// What is to be known of an entry of the list besides what stands there.
pub(super) struct Note {
    pub(super) what: What,
    pub(super) name: &'static str,
    /// Empty where the list has it, as everywhere below.
    pub(super) formula: &'static str,
    pub(super) moved_by: &'static str,
    pub(super) read: &'static str,
    pub(super) related: &'static str,
}

const fn engine(
    name: &'static str,
    formula: &'static str,
    moved_by: &'static str,
    read: &'static str,
    related: &'static str,
) -> Note {
    Note {
        what: What::Engines,
        name,
        formula,
        moved_by,
        read,
        related,
    }
}

const fn metric(
    name: &'static str,
    formula: &'static str,
    read: &'static str,
    related: &'static str,
) -> Note {
    Note {
        what: What::Metrics,
        name,
        formula,
        moved_by: "",
        read,
        related,
    }
}

const DEPTH: &str = "its finality is a depth against an adversary of adversary.corrupt over all members; where more are assumed than \
                     it bears, it is never final and every level fails";
const COMMIT: &str = "final on commit; with more liars than the bound two sites may call different things final, with more \
                      members offline than n minus the quorum it halts and recovers";

pub(super) const NOTES: &[Note] = &[
    engine(
        "nakamoto",
        "risk(q, n) = 1 - sum over m = 0..n of C(m+n-1, m) (p^n q^m - p^m q^n), p = 1 - q; the fewest n below the accepted risk",
        "block interval, block space, adversary.corrupt, propagation (stale blocks)",
        DEPTH,
        "quorate explain ethash, praos, reversed_after_final; quorate attack sm1",
    ),
    engine(
        "ethash",
        "the race of nakamoto; difficulty per block, uncles paid and not counted",
        "block interval, gas limit, adversary.corrupt, propagation",
        DEPTH,
        "quorate explain nakamoto, gasper",
    ),
    engine(
        "gasper",
        "justified by 2/3 of the stake, finalised when the next checkpoint is: two epochs and a half on the mean",
        "slot time, slots an epoch, share of the stake that votes in time",
        "safe is justified, final is finalised; latency is epochs, so that the network hardly moves it",
        "quorate explain praos, tendermint; quorate attack balance",
    ),
    engine(
        "praos",
        "settlement bounds of the slot lottery (not the race of nakamoto), upper and loose",
        "active slots, slot length, adversary.corrupt, delay in slots",
        "its depth follows from a bound that is loose: a real attacker succeeds less often than the risk says",
        "quorate explain nakamoto; quorate attack long-delay",
    ),
    engine(
        "tendermint",
        "quorum: more than 2/3 of the voting power; two rounds of votes a block",
        "timeouts, period, latency to the slowest of the quorum",
        COMMIT,
        "quorate explain qbft, ibft2, hotstuff",
    ),
    engine(
        "clique",
        "a block by each signer in turn; final by a depth of signers",
        "period, wiggle, partitions",
        "its rule holds only while messages arrive in time: a partition forks it, and what was called final may go",
        "quorate explain aura, qbft; quorate attack cloning",
    ),
    engine(
        "aura",
        "step = time / step length; final when half (or two thirds) of the signers built on it",
        "step length, clocks, partitions",
        "rolling finality rests on synchrony; two thirds instead of a half make it slower and safer",
        "quorate explain clique, qbft",
    ),
    engine(
        "ibft2",
        "quorum: ceil(2n/3); three phases",
        "period, request timeout, latency to the slowest of the quorum",
        COMMIT,
        "quorate explain qbft, tendermint",
    ),
    engine(
        "qbft",
        "quorum: ceil(2n/3) of n; f = floor((n-1)/3) liars; n(n-1) messages a phase",
        "period, request timeout, latency to the slowest of the quorum",
        COMMIT,
        "quorate explain ibft2, tendermint, hotstuff, raft",
    ),
    engine(
        "raft",
        "majority: floor(n/2) + 1; a leader's log",
        "block cutter (timeout, count, bytes), latency to a majority, elections",
        "bears crashes and no liar at all: one dishonest leader may write what it likes",
        "quorate explain qbft, central; fault bound",
    ),
    engine(
        "hotstuff",
        "quorum: 2f + 1 of 3f + 1; votes go to a leader: 2(n-1) messages a view",
        "view timeout, pacemaker, latency there and back",
        COMMIT,
        "quorate explain qbft, tendermint",
    ),
    engine(
        "anchor",
        "safe on the local ledger; final when the public chain has the root deep enough",
        "time between roots, the public chain's interval and finality",
        "between safe and final colluding operators may rewrite: the loss window",
        "quorate explain loss_window, central, ksi",
    ),
    engine(
        "ksi",
        "a hash tree a second; its root goes to a calendar",
        "round length, publication",
        "proves that a record is unchanged since a time; keeps no state and refuses no double spend: n/a at levels about state",
        "quorate explain central, anchor",
    ),
    engine(
        "central",
        "one primary, one synchronous standby",
        "disk, network to the standby, fail-over time",
        "no ledger: what a ledger's latency and traffic are measured against; trusts its operator in everything",
        "quorate explain price, raft",
    ),
    metric(
        "included",
        "time of the block in the head of the submitting site's node - intended submission",
        "the fastest of the three; may be undone. It says how long a user waits for a first sign",
        "safe, final",
    ),
    metric(
        "safe",
        "as included, at a reversal risk of 10^-3, or the protocol's weaker notion",
        "good enough for what can be repaired",
        "included, final",
    ),
    metric(
        "final",
        "as included, at a reversal risk of 10^-6, or the protocol's own commit",
        "what a level about records should name; p(99) over p(50) tells of queues or rounds",
        "safe, quorum_final, margin",
    ),
    metric(
        "quorum_final, all_final",
        "as final, at the site that is last but for the tolerated ones (all_final: at the last)",
        "how long until any doctor, not only the one who wrote, sees it",
        "final, exposure",
    ),
    metric(
        "exposure",
        "time when the last live site's view has the write - its submission",
        "what is open meanwhile is counted as stale reads; those that never end stand in exposure_open",
        "stale reads, final, node.read_level",
    ),
    metric(
        "stale reads",
        "reads allowed by a view that lacks a watched write of its key, by cause",
        "a count in the run, to be held against reads; each is a disclosure that should not have been",
        "exposure, disclosed_after_revocation",
    ),
    metric(
        "served",
        "time of the answer - arrival of the read",
        "grows when the protocol takes the node's CPU",
        "reads",
    ),
    metric(
        "goodput",
        "valid final writes / valid offered writes",
        "below 99 % the engine does not carry the load; a saturated cell's value is no steady rate",
        "knee, saturated, accepted",
    ),
    metric(
        "accepted",
        "accepted final writes / final writes of the class",
        "what is refused lost a race or broke a rule; `rejected` says by which reason",
        "goodput",
    ),
    metric(
        "ontime",
        "writes final by their deadline / writes with a deadline",
        "counts what never became final as late",
        "final",
    ),
    metric(
        "reversed_after_final",
        "what some honest node called final and then left",
        "none for an engine within its bound; anything else is damage",
        "final, conflicting_finals",
    ),
    metric(
        "loss_window",
        "final - safe, a transaction each",
        "what an operator could still rewrite",
        "anchor",
    ),
    metric(
        "recovery",
        "time from the end of an outage until the backlog is as before",
        "`halts` for what does not come back in the run",
        "resilience, incidents.csv",
    ),
    metric(
        "cost",
        "counted where it is spent: messages, bytes, busy time",
        "divide by height for a block, by valid for a transaction",
        "messages, bytes, cpu_busy_max",
    ),
];

/// Words of a verdict and of tables.
pub(super) struct Word {
    name: &'static str,
    about: &'static str,
    formula: &'static str,
    read: &'static str,
    related: &'static str,
}

impl Word {
    pub(super) fn entry(&self) -> Entry {
        let facts = [
            ("formula", self.formula),
            ("how to read", self.read),
            ("related", self.related),
            (
                "source",
                "definition, see docs/architect.md, \"The words of a verdict\"",
            ),
        ];
        let entry = Entry::new(self.name, self.about);
        let facts = facts.into_iter().filter(|(_, answer)| !answer.is_empty());
        facts.fold(entry, |entry, (what, answer)| entry.with(what, answer))
    }
}

const fn word(
    name: &'static str,
    about: &'static str,
    formula: &'static str,
    read: &'static str,
    related: &'static str,
) -> Word {
    Word {
        name,
        about,
        formula,
        read,
        related,
    }
}

pub(super) const WORDS: &[Word] = &[
    word(
        "holds",
        "A service level is met: the whole interval lies inside the bound.",
        "",
        "read the margin beside it, and the standing of the level: law, contract or assumption",
        "fails, undecided, margin",
    ),
    word(
        "fails",
        "A service level is not met: the whole interval lies outside the bound, or the engine cannot carry the load.",
        "",
        "the column `because` names the change that would move the value most",
        "holds, because",
    ),
    word(
        "undecided",
        "The interval straddles the bound, or the sample does not support the percentile.",
        "",
        "more replications or a longer run decide it, unless bound and value are the same",
        "replications, p(99)",
    ),
    word(
        "n/a",
        "The engine keeps nothing that the level is about.",
        "",
        "it neither holds nor fails",
        "ksi",
    ),
    word(
        "margin",
        "How far a value is from its bound.",
        "bound / value, or value / bound where more is better",
        "2x is twice as good as needed; below 1x is outside; shares cannot be inside by much",
        "holds, fails",
    ),
    word(
        "because",
        "What limits an engine: the change, tried under the same arrivals and latencies, that moves the value most.",
        "value under the change / value as planned, paired over replications",
        "uplink, CPU or block space doubled, latency or interval halved, or finality one level down",
        "margin",
    ),
    word(
        "standing",
        "What a service level rests on: law, contract or assumption.",
        "",
        "a verdict on assumptions is as good as the assumptions",
        "holds",
    ),
    word(
        "knee",
        "The largest load that an engine carries.",
        "goodput at least 99 % of what is valid, and a backlog that does not grow; by bisection in plans of kind curve",
        "`carries 80 and not 85`: it lies between",
        "goodput, saturated",
    ),
    word(
        "headroom",
        "The knee over the load at which the plan decides.",
        "knee / load.decide_at_tps",
        "40x: forty times today's load",
        "knee",
    ),
    word(
        "price",
        "What a ledger costs over the baseline, and what it buys.",
        "mean latency to final of the engine - that of central",
        "beside it stand the liars that the engine bears",
        "central",
    ),
    word(
        "saturated",
        "Status of a replication: the backlog grew, significantly and materially.",
        "",
        "its latencies are those of a queue that never ends: they are flagged, and never averaged as if steady",
        "status, knee",
    ),
    word(
        "not_steady",
        "Status of a replication: the warm-up did not end within the first half.",
        "MSER-5 on the mean latency to included by slice of submission",
        "run longer: -s load.duration_s=…",
        "status",
    ),
    word(
        "no_commit",
        "Status of a replication: nothing became final.",
        "",
        "with faults: a quorum is missing; without: adversary or timeouts",
        "status",
    ),
    word(
        "limit",
        "Status of a replication: given up, by events or because the drain ended first.",
        "over 1 % of the writes not final at the end of the drain",
        "see limits.events and load.drain_s",
        "status, saturated",
    ),
    word(
        "replications",
        "Independent runs of one cell, each with streams of its own.",
        "Student's interval over replications, corrected for the number of comparisons",
        "at least ten for a figure that is cited; engines share arrivals, so that differences are tighter than each value",
        "undecided",
    ),
    word(
        "bad day",
        "What becomes of an engine that loses its leader's site or a region, or has liars.",
        "",
        "goes on (share of writes that become final), halts and recovers, reverses, or forks",
        "recovery; compare --faults",
    ),
    word(
        "p(99)",
        "The 99th percentile of a latency in a replication.",
        "",
        "needs enough samples; else the level is undecided",
        "undecided",
    ),
    word(
        "fault bound",
        "How many members may lie, or fail, before the protocol's promise ends.",
        "floor((n-1)/3) liars for qbft and its like; none for raft; a share of work or stake for the longest chain",
        "choose by whom you do not trust, not by throughput",
        "qbft, raft, nakamoto",
    ),
];
