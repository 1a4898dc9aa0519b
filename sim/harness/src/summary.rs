//! Statistics of cells: one sample a replication, intervals across them.
//!
//! What was not steady is never averaged with what was: a cell's figures are those of the units that
//! share its status, and a cell whose status is not `ok` has no interval.

use crate::level::{Level as ServiceLevel, Metric, Statistic};
use crate::output::Ran;
use crate::plan::{IntervalMethod, Plan, ReadLevel};
use crate::run::Cell;
use crate::stats::{self, Interval};
use crate::study::Part;
use crate::unit::{Done, Tweak, UnitStatus, is_steady, settled};
use quorate_core::{Level, Seed};
use quorate_kernel::probe::{LatencyHistogram, Told};

/// Percentiles that are reported where the sample supports them.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 95.0, 99.0, 99.9];

/// A statistic is supported when this many independent samples lie beyond it.
// assumption: ten, the usual rule for an empirical quantile.
const BEYOND: f64 = 10.0;

/// The status of a cell: that of its worst unit.
pub fn status(cell: &Cell) -> UnitStatus {
    let rank = |s: UnitStatus| match s {
        UnitStatus::Ok => 0,
        UnitStatus::NotSteady => 1,
        UnitStatus::Saturated => 2,
        UnitStatus::NoCommit => 3,
        UnitStatus::Limit => 4,
        UnitStatus::SafetyViolation => 5,
    };
    cell.units
        .iter()
        .map(|u| u.status)
        .max_by_key(|&s| rank(s))
        .unwrap_or(UnitStatus::NoCommit)
}

/// The cell that stands for an engine: at the load that is judged, else at the first.
pub(crate) fn decisive<'a>(ran: &'a Ran<'_>, engine: usize) -> Option<&'a Cell> {
    ran.outcome.cell(engine, load(ran.part), Tweak::None)
}

/// The load of that cell; `None` in a replay.
pub(crate) fn load(part: &Part) -> Option<f64> {
    part.plan.judged_tps()
}

/// Latency histogram of a unit, of one class or of all together.
pub fn latency(done: &Done, class: Option<usize>, level: Level) -> &LatencyHistogram {
    match class {
        Some(class) => &done.report.probe.classes[class].latency[level as usize],
        None => &done.all[level as usize],
    }
}

/// Milliseconds at a percentile.
pub fn percentile_ms(histogram: &LatencyHistogram, p: f64) -> f64 {
    histogram.value_at_quantile(p / 100.0) as f64 / 1e3
}

/// Mean in milliseconds.
pub fn mean_ms(histogram: &LatencyHistogram) -> f64 {
    histogram.mean() / 1e3
}

/// Seconds of the measured span after the warm-up.
pub fn window_s(done: &Done) -> f64 {
    let slices = quorate_kernel::probe::SLICES as f64;
    done.report.horizon.as_s() * (slices - done.cut_slices as f64) / slices
}

/// Valid final transactions per second of those submitted in the window where the unit was steady.
/// Else what got into blocks, as far as it is valid: a run that is given up ends before depth makes
/// anything final.
pub fn goodput_tps(done: &Done) -> f64 {
    let probe = &done.report.probe;
    if done.status == UnitStatus::Ok || done.status == UnitStatus::NotSteady {
        let valid: u64 = probe.classes.iter().map(|c| c.valid).sum();
        return valid as f64 / window_s(done);
    }
    let settled: u64 = probe.classes.iter().map(settled).sum();
    let valid: u64 = probe.classes.iter().map(|c| c.valid).sum();
    let share = if settled > 0 {
        valid as f64 / settled as f64
    } else {
        1.0
    };
    included_tps(done) * share
}

/// Transactions of the measured span that their site's node saw in a block, per second of it.
pub fn included_tps(done: &Done) -> f64 {
    done.all[Level::Included as usize].len() as f64 / window_s(done)
}

/// Goodput over the offered load that the ledger's rules would accept.
pub fn goodput_share(done: &Done) -> f64 {
    let classes = &done.report.probe.classes;
    let submitted: u64 = classes.iter().map(|c| c.submitted).sum();
    let settled: u64 = classes.iter().map(settled).sum();
    let valid: u64 = classes.iter().map(|c| c.valid).sum();
    if settled == 0 {
        return 0.0;
    }
    let offered = submitted as f64 / window_s(done);
    goodput_tps(done) / (offered * valid as f64 / settled as f64)
}

/// Share of a class's final transactions that the ledger accepted; `None` without any.
pub fn accepted_share(done: &Done, class: usize) -> Option<f64> {
    let class = &done.report.probe.classes[class];
    let settled = settled(class);
    (settled > 0).then(|| class.valid as f64 / settled as f64)
}

/// Share of a class's transactions with a deadline that reached a level by then; `None` without any.
pub fn on_time_share(done: &Done, class: usize, level: Level) -> Option<f64> {
    let class = &done.report.probe.classes[class];
    (class.due > 0).then(|| class.on_time[level as usize] as f64 / class.due as f64)
}

/// One sample a replication; units without one (nothing was measured) are left out.
pub fn samples(cell: &Cell, of: impl Fn(&Done) -> Option<f64>) -> Vec<f64> {
    by_replication(cell, of).into_iter().map(|s| s.1).collect()
}

/// The same with the replications that they come from, in order: to pair cells up.
pub fn by_replication(cell: &Cell, of: impl Fn(&Done) -> Option<f64>) -> Vec<(u32, f64)> {
    let status = status(cell);
    let alike = cell.units.iter().filter(|u| is_like(u, status));
    let samples = alike.filter_map(|u| Some((u.key.replication, of(u)?)));
    samples.filter(|s| s.1.is_finite()).collect()
}

/// Whether a unit is averaged in a cell of this status. A run that broke a promise is steady all the
/// same: among the others it says how often.
fn is_like(unit: &Done, cell: UnitStatus) -> bool {
    unit.status == cell || cell == UnitStatus::SafetyViolation && unit.status == UnitStatus::Ok
}

/// Samples of two cells from the same replications, in order: (first, second).
pub fn pairs(a: &[(u32, f64)], b: &[(u32, f64)]) -> Vec<(f64, f64)> {
    let other = |replication: u32| {
        let place = b.binary_search_by_key(&replication, |s| s.0).ok()?;
        Some(b[place].1)
    };
    let both = a.iter().filter_map(|&(r, x)| Some((x, other(r)?)));
    both.collect()
}

/// The value of a service level's left side in one unit, in ms or as a share.
pub fn level_value(
    plan: &Plan,
    done: &Done,
    level: &ServiceLevel,
    classes: &[&str],
) -> Option<f64> {
    let class = classes.iter().position(|c| *c == level.class);
    let histogram = match level.metric {
        Metric::Included => latency(done, class, Level::Included),
        Metric::Safe => latency(done, class, Level::Safe),
        Metric::Final => latency(done, class, Level::Final),
        Metric::Exposure => {
            let view = read_level(plan) as usize;
            &done.report.probe.exposure[class?].longest[view]
        }
        Metric::Served => &done.report.probe.served[class?],
        Metric::Goodput => return Some(goodput_share(done)),
        Metric::Accepted => return accepted_share(done, class?),
        Metric::OnTime => return on_time_share(done, class?, Level::Final),
        Metric::Told => {
            let told = told(done, &level.class)?;
            if level.statistic == Statistic::Rate {
                return told_share(told);
            }
            &told.times
        }
    };
    statistic_ms(histogram, level.statistic)
}

/// A statistic of times in milliseconds; `None` without any, and for rates.
pub(crate) fn statistic_ms(times: &LatencyHistogram, statistic: Statistic) -> Option<f64> {
    if times.is_empty() {
        return None;
    }
    match statistic {
        Statistic::Mean => Some(mean_ms(times)),
        Statistic::Percentile(p) => Some(percentile_ms(times, p)),
        Statistic::Max => Some(times.max() as f64 / 1e3),
        Statistic::Rate => None,
    }
}

/// What the workload told of a measure.
pub fn told<'a>(done: &'a Done, measure: &str) -> Option<&'a Told> {
    let mut all = done.report.probe.domain.iter();
    all.find(|told| told.measure.name == measure)
}

/// Cases that count, of all; `None` without any.
pub fn told_share(told: &Told) -> Option<f64> {
    (told.cases > 0).then(|| told.hits as f64 / told.cases as f64)
}

/// The core's level of the view that readers are served from.
pub const fn read_level(plan: &Plan) -> Level {
    match plan.node.read_level {
        ReadLevel::Included => Level::Included,
        ReadLevel::Safe => Level::Safe,
        ReadLevel::Final => Level::Final,
    }
}

/// The independent samples among so many transactions of a cell, and what they are. Transactions of one
/// block are not independent: there are no more samples than blocks with transactions.
pub fn effective(cell: &Cell, transactions: u64) -> (u64, &'static str) {
    let blocks = |u: &Done| u.report.chain.built - u.report.chain.empty;
    let blocks: u64 = cell.units.iter().map(blocks).sum();
    if blocks < transactions {
        (blocks, "blocks")
    } else {
        (transactions, "transactions")
    }
}

/// Whether the cell's samples support a percentile: enough of the independent ones lie beyond it.
pub fn supports(cell: &Cell, count: u64, p: f64) -> bool {
    is_enough(effective(cell, count).0, p)
}

/// Whether a cell's units have their warm-up cut off (`steady`), or run from their first arrival to
/// their last (`terminating`).
pub fn regime(plan: &Plan, cell: &Cell) -> &'static str {
    if is_steady(plan, cell.key(0)) {
        "steady"
    } else {
        "terminating"
    }
}

/// Whether the cell's samples support the statistic of a service level.
pub(crate) fn level_is_supported(cell: &Cell, level: &ServiceLevel, classes: &[&str]) -> bool {
    let Statistic::Percentile(p) = level.statistic else {
        return true;
    };
    if level.metric == Metric::Told {
        let times = |u| told(u, &level.class).map_or(0, |t| t.times.len());
        return is_enough(cell.units.iter().map(times).sum(), p);
    }
    let class = classes.iter().position(|c| *c == level.class);
    if let (Metric::Served, Some(class)) = (level.metric, class) {
        let reads = |u: &Done| u.report.probe.served[class].len();
        return is_enough(cell.units.iter().map(reads).sum(), p);
    }
    let count = |u: &Done| {
        let classes = &u.report.probe.classes;
        class.map_or_else(
            || classes.iter().map(|c| c.submitted).sum(),
            |c| classes[c].submitted,
        )
    };
    let count: u64 = cell.units.iter().map(count).sum();
    supports(cell, count, p)
}

/// Whether so many independent samples support a percentile.
pub fn is_enough(samples: u64, p: f64) -> bool {
    samples as f64 * (1.0 - p / 100.0) >= BEYOND
}

/// The plan's interval of a cell's samples; the mean alone where the cell is flagged. The bootstrap
/// draws the same replications again for every metric of a cell, so that a figure has one interval
/// wherever it is shown.
pub fn interval(plan: &Plan, cell: &Cell, samples: &[f64]) -> Interval {
    match plan.interval {
        _ if status(cell) != UnitStatus::Ok => Interval::point(samples),
        IntervalMethod::Student => stats::student_interval(samples, plan.confidence),
        IntervalMethod::Bootstrap => {
            let mut draws = Seed::new(plan.seed, 0).stream("bootstrap", cell.index as u64);
            stats::bootstrap::bca_interval(samples, plan.confidence, &mut draws)
        }
    }
}

/// The mean of a measure over a cell's replications, with the plan's interval.
pub fn mean(plan: &Plan, cell: &Cell, of: impl Fn(&Done) -> Option<f64>) -> Interval {
    interval(plan, cell, &samples(cell, of))
}

/// Messages of all kinds for each block of the best chain.
pub fn messages_per_block(done: &Done) -> f64 {
    let messages: u64 = done.report.traffic.iter().map(|t| t.1.messages).sum();
    messages as f64 / done.report.chain.height.max(1) as f64
}

/// Mean share of the fullest block resource.
pub fn block_fill(done: &Done) -> f64 {
    let chain = &done.report.chain;
    chain.fill_ppm_sum as f64 / 1e6 / chain.built.max(1) as f64
}

/// Mean time from a block's building until another node has adopted it; `None` without a sample.
pub fn adopt_delay_ms(done: &Done) -> Option<f64> {
    let (mean, samples) = done.report.adopt_delay;
    (samples > 0).then(|| mean.as_ms())
}

/// Median over blocks of the time until half (0), nine tenths (1) or all (2) of the nodes that are up
/// have checked one; `None` where no block got so far.
pub fn propagation_ms(done: &Done, share: usize) -> Option<f64> {
    let times = &done.report.propagation[share];
    (!times.is_empty()).then(|| percentile_ms(times, 50.0))
}

/// Reads that their view allowed although a watched write of their key was submitted before, of all
/// that were served; `None` without any.
pub(crate) fn stale_read_share(done: &Done) -> Option<f64> {
    let reads = &done.report.reads;
    let stale: u64 = reads.stale.iter().sum();
    (reads.served > 0).then(|| stale as f64 / reads.served as f64)
}

/// Blocks that are not on the best chain, of all.
pub fn stale_share(done: &Done) -> Option<f64> {
    let chain = &done.report.chain;
    (chain.built > 0).then(|| (chain.built - chain.height) as f64 / chain.built as f64)
}
