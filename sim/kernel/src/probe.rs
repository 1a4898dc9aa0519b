//! Measurements: counts, latency histograms, utilisation. Integers only, so that nothing depends
//! on the order of additions.

pub use crate::histogram::LatencyHistogram;
use crate::histogram::Recording;
use crate::incidents::{Fate, Incidents};
use quorate_core::{Arrival, Class, ClassId, Level, Measure, Span, Tell, Time};
use serde::{Deserialize, Serialize};

/// How many equal slices of the measured span the backlog and the latency are sampled in.
pub const SLICES: usize = 500;

/// What happened to the transactions of one class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Arrivals in the measured span.
    pub submitted: u64,
    /// Final and accepted.
    pub valid: u64,
    /// Final and refused by the ledger, by reason.
    pub rejected: Vec<u64>,
    /// Too old when executed.
    pub expired: u64,
    /// Given up by the site's node: it was full, or its blocks passed over it as too old.
    pub dropped: u64,
    /// Submitted with a deadline.
    pub due: u64,
    /// Of those, at each [`Level`] at the submitting site's node by then.
    pub on_time: [u64; 3],
    /// Latency to each [`Level`] at the submitting site's node.
    pub latency: [LatencyHistogram; 3],
}

/// How long a watched write, such as a revoked consent, was not yet in a site's view.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// Until the last site's view has it, by [`Level`] of the view.
    pub longest: [LatencyHistogram; 3],
    /// Mean over sites, by level.
    pub mean: [LatencyHistogram; 3],
    /// Until half of the sites' views have it, by level.
    pub half: [LatencyHistogram; 3],
    /// Writes that some site never saw.
    pub open: u64,
}

/// The same of one write, over the views that have had it: those of all live sites' nodes, and of
/// dead ones that had it before they died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Exposed {
    pub(crate) longest: Span,
    pub(crate) mean: Span,
    /// Until the view of node ⌈n/2⌉ of n has it.
    pub(crate) half: Span,
}

/// What a domain told of one of its measures: cases or lengths of time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub measure: Measure,
    /// Cases.
    pub cases: u64,
    /// Those that count.
    pub hits: u64,
    /// Lengths of time.
    pub times: LatencyHistogram,
}

/// One sample that may still be cut off as warm-up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sample {
    submitted: Time,
    latency_us: u64,
    class: ClassId,
    slot: Slot,
}

const fn sample(tx: &Arrival, slot: Slot, latency_us: u64) -> Sample {
    Sample {
        submitted: tx.at,
        latency_us,
        class: tx.class,
        slot,
    }
}

/// Where a sample belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Slot {
    Latency(Level),
    Longest(Level),
    Mean(Level),
    Half(Level),
    Quorum,
    All,
    Gap,
    Served,
    Endorsed,
    /// A final verdict: 0 valid, 1 expired, 2 + reason rejected. No latency.
    Verdict(u8),
    Submitted,
    Dropped,
    Due,
    OnTime(Level),
    /// Cases of a domain's measure, by its place; how many stands in for the latency.
    Cases(u8),
    /// Those of them that count.
    Hits(u8),
    /// A length of time of one.
    Length(u8),
}

/// Some of the levels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Levels(u8);

impl Levels {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(0b111);

    const fn has(self, level: Level) -> bool {
        self.0 >> level as u8 & 1 == 1
    }

    pub(crate) const fn with(self, level: Level) -> Self {
        Self(self.0 | 1 << level as u8)
    }
}

/// Everything that a unit measures about its transactions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// By class.
    pub classes: Vec<ClassCounts>,
    /// By class, for watched writes only.
    pub exposure: Vec<Exposure>,
    /// By class, for reads only: from the arrival until the site's node has answered.
    pub served: Vec<LatencyHistogram>,
    /// By measure of the workload's domain.
    pub domain: Vec<Told>,
    /// Latency until all but the tolerated number of sites' nodes hold it as final.
    pub quorum_final: LatencyHistogram,
    /// Latency until every site's node holds it as final.
    pub all_final: LatencyHistogram,
    /// From the arrival until enough had endorsed it, where they do.
    pub endorsed: LatencyHistogram,
    /// From safe until final at the submitting site's node, where it is measured.
    pub gap: LatencyHistogram,
    /// Transactions submitted but not yet in a block, at the end of each slice.
    pub backlog: Vec<u64>,
    /// Sum of latencies to included and their number, by slice of the submission.
    slices: Vec<(u64, u64)>,
    /// Valid transactions that became final in each slice.
    pub finished: Vec<u64>,
    /// Transactions submitted in each slice.
    pub offered: Vec<u64>,
    /// Latencies to all three levels where these were reached together, by class, until they are added
    /// to each.
    #[serde(skip)]
    together: Vec<Recording>,
    /// Latencies until a quorum of sites' nodes holds it as final, and until all do.
    #[serde(skip)]
    spreading: [Recording; 2],
    held_back: Vec<Sample>,
    hold_until: Time,
    horizon: Time,
    /// What outages did to all this.
    pub(crate) incidents: Incidents,
    /// The view whose exposure they are about.
    read_level: Level,
    /// A slice and two instants: all between them lie in it.
    lately: (Time, Time, usize),
}

impl Probe {
    /// For arrivals submitted before `horizon`. With `may_cut`, the samples of the first half are
    /// held back until [`Probe::cut`] says where the warm-up ends.
    pub(crate) fn new(classes: &[Class], reasons: usize, horizon: Time, may_cut: bool) -> Self {
        let counts = |_: &Class| ClassCounts {
            submitted: 0,
            valid: 0,
            rejected: vec![0; reasons],
            expired: 0,
            dropped: 0,
            due: 0,
            on_time: [0; 3],
            latency: Default::default(),
        };
        Self {
            classes: classes.iter().map(counts).collect(),
            exposure: classes.iter().map(|_| Exposure::default()).collect(),
            served: vec![LatencyHistogram::default(); classes.len()],
            domain: Vec::new(),
            quorum_final: LatencyHistogram::default(),
            all_final: LatencyHistogram::default(),
            endorsed: LatencyHistogram::default(),
            gap: LatencyHistogram::default(),
            backlog: Vec::with_capacity(SLICES),
            slices: vec![(0, 0); SLICES],
            finished: vec![0; SLICES],
            offered: vec![0; SLICES],
            together: vec![Recording::default(); classes.len()],
            spreading: Default::default(),
            held_back: Vec::new(),
            hold_until: if may_cut {
                Time::from_ns(horizon.ns() / 2)
            } else {
                Time::ZERO
            },
            horizon,
            incidents: Incidents::default(),
            read_level: Level::Included,
            lately: (Time::ZERO, Time::ZERO, 0),
        }
    }

    /// The same with outages, and the view that readers are served from.
    pub(crate) fn watching(self, incidents: Incidents, read_level: Level) -> Self {
        Self {
            incidents,
            read_level,
            ..self
        }
    }

    /// A domain will tell these measures.
    pub(crate) fn tells(&mut self, measures: &[Measure]) {
        let told = |&measure: &Measure| Told {
            measure,
            cases: 0,
            hits: 0,
            times: LatencyHistogram::default(),
        };
        self.domain = measures.iter().map(told).collect();
    }

    /// The slice that an instant of the measured span falls into. Neighbours in time are asked for one
    /// after the other, and comparisons are faster than a division.
    #[inline]
    fn slice(&mut self, at: Time) -> Option<usize> {
        let (from, until, slice) = self.lately;
        if from < at && at < until {
            return Some(slice);
        }
        self.other_slice(at)
    }

    #[inline(never)]
    fn other_slice(&mut self, at: Time) -> Option<usize> {
        let slice = self.slice_of(at)?;
        let from = slice
            .checked_sub(1)
            .map_or(Time::ZERO, |s| self.slice_end(s));
        self.lately = (from, self.slice_end(slice), slice);
        Some(slice)
    }

    fn slice_of(&self, at: Time) -> Option<usize> {
        let horizon = self.horizon.ns();
        if at.ns() >= horizon {
            return None;
        }
        // Below a year 64 bits do, which is much faster.
        Some(match at.ns().checked_mul(SLICES as u64) {
            Some(product) => (product / horizon) as usize,
            None => (u128::from(at.ns()) * SLICES as u128 / u128::from(horizon)) as usize,
        })
    }

    /// The end of a slice.
    pub(crate) fn slice_end(&self, slice: usize) -> Time {
        let (horizon, slices) = (self.horizon.ns(), slice as u64 + 1);
        // As above.
        Time::from_ns(match horizon.checked_mul(slices) {
            Some(product) => product / SLICES as u64,
            None => (u128::from(horizon) * u128::from(slices) / SLICES as u128) as u64,
        })
    }

    #[inline]
    pub(crate) fn submitted(&mut self, class: ClassId, at: Time) {
        self.incidents.submitted(at);
        let Some(slice) = self.slice(at) else { return };
        self.offered[slice] += 1;
        if self.counts(at) {
            self.classes[class.index()].submitted += 1;
        } else {
            self.add(at, class, Slot::Submitted, 0);
        }
    }

    /// Several in order, all in one slice.
    pub(crate) fn submitted_together(&mut self, txs: &[Arrival]) {
        let at_once = self.is_calm() && self.count_at_once(txs);
        let Some(first) = txs.first().filter(|_| at_once) else {
            return txs.iter().for_each(|tx| self.submitted(tx.class, tx.at));
        };
        let slice = self.slice(first.at).expect("it is measured");
        self.offered[slice] += txs.len() as u64;
        for tx in txs {
            self.classes[tx.class.index()].submitted += 1;
        }
    }

    pub(crate) fn dropped(&mut self, class: ClassId, at: Time) {
        self.incidents.left(at, None, Fate::Dropped);
        self.add(at, class, Slot::Dropped, 0);
    }

    /// A transaction with a deadline was submitted.
    pub(crate) fn due(&mut self, class: ClassId, at: Time) {
        self.add(at, class, Slot::Due, 0);
    }

    /// It met its deadline at a level.
    pub(crate) fn on_time(&mut self, level: Level, class: ClassId, at: Time) {
        self.add(at, class, Slot::OnTime(level), 0);
    }

    /// Some transactions of an origin have reached these levels now, in the order of submission; with
    /// `valid` they are final and valid besides, see [`Probe::valid`].
    pub(crate) fn latencies(
        &mut self,
        (levels, valid): (Levels, bool),
        txs: &[Arrival],
        now: Time,
    ) {
        let us = |tx: &Arrival| now.since(tx.at).ns() / 1_000;
        if levels == Levels::ALL && valid && self.count_at_once(txs) {
            let (mut slice, mut until) = (0, Time::ZERO);
            let (mut sum, mut n) = (0, 0);
            for tx in txs {
                if tx.at >= until {
                    self.slices[slice].0 += core::mem::take(&mut sum);
                    self.slices[slice].1 += core::mem::take(&mut n);
                    slice = self.slice_of(tx.at).expect("it is measured");
                    until = self.slice_end(slice);
                }
                let us = us(tx);
                sum += us;
                n += 1;
                self.together[tx.class.index()].record(us);
            }
            self.slices[slice].0 += sum;
            self.slices[slice].1 += n;
            return;
        }
        for tx in txs {
            let us = us(tx);
            // The queue's state shows in the time to a block; what follows until final only smears it.
            if let (true, Some(slice)) = (levels.has(Level::Included), self.slice(tx.at)) {
                self.slices[slice].0 += us;
                self.slices[slice].1 += 1;
            }
            for level in Level::ALL.into_iter().filter(|&level| levels.has(level)) {
                self.add(tx.at, tx.class, Slot::Latency(level), us);
            }
            if valid {
                self.add(tx.at, tx.class, Slot::Verdict(0), 0);
            }
        }
    }

    /// Whether all samples of some transactions count at once, which are in the order of submission.
    fn count_at_once(&self, txs: &[Arrival]) -> bool {
        let (Some(first), Some(last)) = (txs.first(), txs.last()) else {
            return true;
        };
        first.at <= last.at && self.counts(first.at) && self.counts(last.at)
    }

    /// Whether a sample counts at once: it is of the measured span, and of no warm-up.
    #[inline]
    fn counts(&self, at: Time) -> bool {
        self.hold_until <= at && at < self.horizon
    }

    /// All is recorded: what was recorded once for all is added to each.
    pub(crate) fn close(&mut self) {
        // A help for what comes next, not a result.
        self.lately = (Time::ZERO, Time::ZERO, 0);
        let together = core::mem::take(&mut self.together);
        for (class, recording) in self.classes.iter_mut().zip(together) {
            let mut together = LatencyHistogram::default();
            recording.close(&mut together);
            class.valid += together.len();
            let [first, others @ ..] = &mut class.latency;
            for level in others {
                level.add(&together);
            }
            if first.is_empty() {
                *first = together;
            } else {
                first.add(&together);
            }
        }
        let [quorum, all] = core::mem::take(&mut self.spreading);
        quorum.close(&mut self.quorum_final);
        all.close(&mut self.all_final);
    }

    /// So many transactions have become final and valid. Which they are, [`Probe::latencies`] is told.
    pub(crate) fn valid(&mut self, txs: u64, now: Time) {
        if let Some(slice) = self.slice(now) {
            self.finished[slice] += txs;
        }
    }

    /// Whether verdicts need nobody's attention but that of the counts.
    pub(crate) const fn is_calm(&self) -> bool {
        self.incidents.is_empty()
    }

    pub(crate) fn verdict(
        &mut self,
        class: ClassId,
        at: Time,
        now: Time,
        verdict: quorate_core::Verdict,
    ) {
        let fate = match verdict {
            quorate_core::Verdict::Expired => Fate::Expired,
            _ => Fate::Final,
        };
        self.incidents.left(at, Some(now), fate);
        let code = match verdict {
            quorate_core::Verdict::Valid => 0,
            quorate_core::Verdict::Expired => 1,
            quorate_core::Verdict::Rejected(reason) => 2 + reason,
        };
        if let (0, Some(slice)) = (code, self.slice(now)) {
            self.finished[slice] += 1;
        }
        self.add(at, class, Slot::Verdict(code), 0);
    }

    /// Some transactions are now final at a quorum of sites' nodes, or at all of them.
    pub(crate) fn spread(&mut self, all: bool, txs: &[Arrival], now: Time) {
        let us = |tx: &Arrival| now.since(tx.at).ns() / 1_000;
        let slot = if all { Slot::All } else { Slot::Quorum };
        let at_once = self.count_at_once(txs);
        let counted = self.hold_until..self.horizon;
        let target = &mut self.spreading[usize::from(all)];
        if at_once {
            return txs.iter().for_each(|tx| target.record(us(tx)));
        }
        for tx in txs {
            if counted.contains(&tx.at) {
                target.record(us(tx));
            } else if tx.at < self.horizon {
                self.held_back.push(sample(tx, slot, us(tx)));
            }
        }
    }

    pub(crate) fn gap(&mut self, class: ClassId, at: Time, gap: Span) {
        self.add(at, class, Slot::Gap, gap.ns() / 1_000);
    }

    pub(crate) fn endorsed(&mut self, class: ClassId, at: Time, now: Time) {
        self.add(at, class, Slot::Endorsed, now.since(at).ns() / 1_000);
    }

    pub(crate) fn served(&mut self, class: ClassId, at: Time, done: Time) {
        self.add(at, class, Slot::Served, done.since(at).ns() / 1_000);
    }

    pub(crate) fn exposed(&mut self, level: Level, class: ClassId, at: Time, exposed: Exposed) {
        if level == self.read_level {
            self.incidents.exposed(at, exposed.longest);
        }
        for (slot, span) in [
            (Slot::Longest(level), exposed.longest),
            (Slot::Mean(level), exposed.mean),
            (Slot::Half(level), exposed.half),
        ] {
            self.add(at, class, slot, span.ns() / 1_000);
        }
    }

    fn add(&mut self, submitted: Time, class: ClassId, slot: Slot, latency_us: u64) {
        if submitted >= self.horizon {
            return;
        }
        let sample = Sample {
            submitted,
            latency_us,
            class,
            slot,
        };
        if submitted < self.hold_until {
            self.held_back.push(sample);
        } else {
            self.record(sample);
        }
    }

    fn record(&mut self, sample: Sample) {
        let us = sample.latency_us;
        let class = &mut self.classes[sample.class.index()];
        let exposure = &mut self.exposure[sample.class.index()];
        let target = match sample.slot {
            Slot::Submitted => return class.submitted += 1,
            Slot::Dropped => return class.dropped += 1,
            Slot::Due => return class.due += 1,
            Slot::OnTime(level) => return class.on_time[level as usize] += 1,
            Slot::Verdict(0) => return class.valid += 1,
            Slot::Verdict(1) => return class.expired += 1,
            Slot::Verdict(code) => return class.rejected[usize::from(code) - 2] += 1,
            Slot::Cases(measure) => return self.domain[usize::from(measure)].cases += us,
            Slot::Hits(measure) => return self.domain[usize::from(measure)].hits += us,
            Slot::Length(measure) => &mut self.domain[usize::from(measure)].times,
            Slot::Latency(level) => &mut class.latency[level as usize],
            Slot::Longest(level) => &mut exposure.longest[level as usize],
            Slot::Mean(level) => &mut exposure.mean[level as usize],
            Slot::Half(level) => &mut exposure.half[level as usize],
            Slot::Quorum => &mut self.quorum_final,
            Slot::All => &mut self.all_final,
            Slot::Gap => &mut self.gap,
            Slot::Endorsed => &mut self.endorsed,
            Slot::Served => &mut self.served[sample.class.index()],
        };
        target.record(us);
    }

    /// Mean latency to included by slice of the submission, in microseconds; a slice without a sample
    /// repeats the one before.
    pub fn latency_series_us(&self) -> Vec<f64> {
        let mut last = 0.0;
        let mean = |&(sum, n): &(u64, u64)| {
            if n > 0 {
                last = sum as f64 / n as f64;
            }
            last
        };
        self.slices.iter().map(mean).collect()
    }

    /// Ends the warm-up after `slices` slices: earlier samples are dropped, later ones count.
    /// `slices` must not be beyond the first half.
    pub fn cut(&mut self, slices: usize) {
        assert!(
            slices <= SLICES / 2,
            "a warm-up beyond the first half is no warm-up"
        );
        let start = if slices == 0 {
            Time::ZERO
        } else {
            self.slice_end(slices - 1)
        };
        for sample in core::mem::take(&mut self.held_back) {
            if sample.submitted >= start {
                self.record(sample);
            }
        }
    }
}

impl Tell for Probe {
    fn case(&mut self, measure: usize, submitted: Time, hit: bool) {
        self.cases(measure, submitted, (u64::from(hit), 1));
    }

    fn cases(&mut self, measure: usize, submitted: Time, (hits, of): (u64, u64)) {
        self.add(submitted, NO_CLASS, Slot::Cases(measure as u8), of);
        if hits > 0 {
            self.add(submitted, NO_CLASS, Slot::Hits(measure as u8), hits);
        }
    }

    fn time(&mut self, measure: usize, submitted: Time, length: Span) {
        let slot = Slot::Length(measure as u8);
        self.add(submitted, NO_CLASS, slot, length.ns() / 1_000);
    }
}

/// Measures are of a domain, not of a class.
const NO_CLASS: ClassId = ClassId(0);

/// Messages of one kind, counted where they are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What the chain itself did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ChainCounts {
    /// Blocks built.
    pub built: u64,
    /// Height of the best head.
    pub height: u64,
    /// Heights with more than one block.
    pub forked_heights: u64,
    /// Height of the highest block that is final at any node.
    pub final_height: u64,
    /// Reorganisations at any node, by depth (the last entry collects deeper ones).
    pub reorgs: [u64; 16],
    /// Views given up.
    pub round_changes: u64,
    /// Blocks with no transaction.
    pub empty: u64,
    /// Blocks that left transactions behind, by what ran out: bytes, count, execution.
    pub full: [u64; 3],
    /// Sum over blocks of the fullest resource's share, in millionths.
    pub fill_ppm_sum: u64,
    /// Blocks that a node had called final and then left.
    pub reversed_blocks: u64,
    /// Transactions that a node had called final and then left.
    pub reversed_txs: u64,
    /// Blocks that a node committed where another was committed at that height, each time: only where
    /// commits are conditional.
    pub conflicting_finals: u64,
    /// Proofs that a node lied.
    pub evidence: u64,
    /// Honest nodes that are up at the end and whose final block is not on the chain of the highest one.
    pub apart: u64,
}

/// Reads of a local view, of those that come before the end of the measured span.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reads {
    /// All reads.
    pub served: u64,
    /// Refused because the node was down.
    pub refused: u64,
    /// Allowed by a view that lacked a revocation already submitted, by cause: waiting for a block,
    /// on the way or waiting for finality, undone by a reorganisation, behind a partition.
    pub stale: [u64; 4],
    /// Served on a view that was too old, see [`crate::ViewAge`]. This and all below are 0 without a
    /// largest age.
    pub old: u64,
    /// Of those, refused therefore.
    pub denied: u64,
    /// Of those, which the rule allows on the highest block that is final at any honest site's node at that
    /// instant, and about which no watched write was under way: care that was denied for nothing.
    pub care_denied: u64,
    /// Of `old`, emergency accesses.
    pub glass_broken: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_core::{EntityId, Kind, Verdict};

    fn tx(at: Time, class: u8) -> Arrival {
        Arrival {
            at,
            key: EntityId::new(0),
            operand: 0,
            bytes: 1,
            exec_us: 0,
            site: 0,
            class: ClassId(class),
            action: 0,
        }
    }

    const CLASS: Class = Class {
        name: "a",
        kind: Kind::Write,
        expiry: None,
        tells: "",
    };

    proptest! {
        /// What is recorded once for all levels and the verdict is what each by itself comes to, within
        /// the measured span and the warm-up or beyond them.
        #[test]
        fn together_equals_one_by_one(
            gaps in prop::collection::vec((0_u64..3_000_000, 0_u8..2), 1..40),
            cut in any::<bool>(), slices in 0_usize..250, first in 0_u64..60_000_000,
        ) {
            let horizon = Time::from_ns(50_000_000);
            let mut at = first;
            let txs: Vec<Arrival> = gaps.iter().map(|&(gap, class)| {
                at += gap;
                tx(Time::from_ns(at), class)
            }).collect();
            let now = Time::from_ns(at + 7_000);
            let measured = txs.iter().filter(|tx| tx.at < horizon).count();
            let txs = &txs[..measured];
            let mut one = Probe::new(&[CLASS, CLASS], 0, horizon, cut);
            let mut all = one.clone();
            let levels = Level::ALL.into_iter().fold(Levels::NONE, Levels::with);
            all.latencies((levels, true), txs, now);
            all.valid(txs.len() as u64, now);
            all.close();
            for tx in txs {
                for level in Level::ALL {
                    one.add(tx.at, tx.class, Slot::Latency(level), now.since(tx.at).ns() / 1_000);
                }
                let slice = one.slice(tx.at).expect("it is measured");
                one.slices[slice].0 += now.since(tx.at).ns() / 1_000;
                one.slices[slice].1 += 1;
                one.verdict(tx.class, tx.at, now, Verdict::Valid);
            }
            if cut {
                one.cut(slices);
                all.cut(slices);
            }
            let seen = |probe: &Probe| {
                let classes = probe.classes.iter().map(|c| (c.valid, c.latency.clone()));
                (classes.collect::<Vec<_>>(), probe.slices.clone(), probe.finished.clone())
            };
            prop_assert_eq!(seen(&one), seen(&all));
        }
    }

    #[test]
    fn slices_are_those_of_the_division() {
        for horizon in [1, 3, 499, 500, 501, 7_919, 1_000_000_007] {
            let mut probe = Probe::new(&[], 0, Time::from_ns(horizon), false);
            let step = (horizon / 3_000).max(1);
            for at in (0..horizon + 2 * step).step_by(step as usize) {
                for at in [at, at.saturating_sub(1), at + 1, at / 2] {
                    let at = Time::from_ns(at);
                    assert_eq!(probe.slice(at), probe.slice_of(at), "{at} of {horizon}");
                }
            }
        }
    }

    #[test]
    fn warm_up_is_dropped_and_the_rest_counts() {
        let mut probe = Probe::new(&[CLASS], 1, Time::ZERO + Span::from_s(100), true);
        for s in 0..600 {
            let at = Time::ZERO + Span::from_ms(200 * s);
            let now = at + Span::from_ms(if s < 50 { 900 } else { 100 });
            probe.submitted(ClassId(0), at);
            let what = (Levels::NONE.with(Level::Included), false);
            probe.latencies(what, &[tx(at, 0)], now);
            probe.verdict(ClassId(0), at, now, Verdict::Rejected(0));
        }
        let series = probe.latency_series_us();
        assert!((series[0] - 900_000.0).abs() < 1.0 && (series[499] - 100_000.0).abs() < 1.0);
        probe.cut(50);
        let class = &probe.classes[0];
        assert_eq!((class.submitted, class.rejected[0]), (450, 450));
        assert_eq!(class.latency[Level::Included as usize].max(), 100_031);
    }
}
