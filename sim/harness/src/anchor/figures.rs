//! What an anchored run says besides what every run says; `None` for all other engines.

use crate::summary;
use crate::unit::Done;
use quorate_core::Level;
use quorate_kernel::Anchoring;
use quorate_kernel::probe::LatencyHistogram;

/// Seconds of a year. source: the Julian year, 365.25 days.
const YEAR_S: f64 = 365.25 * 86_400.0;

fn anchoring(done: &Done) -> Option<&Anchoring> {
    done.report.anchoring.as_deref()
}

/// The loss window: how long each transaction was safe but not final at its own site.
pub fn loss_window(done: &Done) -> Option<&LatencyHistogram> {
    let gap = &done.report.probe.gap;
    (!gap.is_empty()).then_some(gap)
}

/// Blocks of the public chain, since it began.
pub fn blocks(done: &Done) -> Option<u64> {
    anchoring(done).map(|a| a.chain.chain.built)
}

/// Of these, the share off its best chain.
pub fn stale_share(done: &Done) -> Option<f64> {
    let chain = &anchoring(done)?.chain.chain;
    (chain.built > 0).then(|| (chain.built - chain.height) as f64 / chain.built as f64)
}

/// Mean share of its blocks' space that is used.
pub fn occupancy(done: &Done) -> Option<f64> {
    let chain = &anchoring(done)?.chain.chain;
    (chain.built > 0).then(|| chain.fill_ppm_sum as f64 / 1e6 / chain.built as f64)
}

/// Roots that were published within the measured span.
pub fn roots(done: &Done) -> Option<u64> {
    anchoring(done).map(|a| a.roots)
}

/// Mean time from a root's submission until its full node has it at a level, ms.
pub fn root_ms(done: &Done, level: Level) -> Option<f64> {
    let a = anchoring(done)?;
    let times = &a.chain.probe.classes[a.class].latency[level as usize];
    (!times.is_empty()).then(|| summary::mean_ms(times))
}

/// What a year of roots pays, in the chain's native unit.
pub fn fee_per_year(done: &Done) -> Option<f64> {
    let a = anchoring(done)?;
    let per_s = a.roots as f64 / a.until.as_s();
    (a.roots > 0).then(|| per_s * YEAR_S * a.fee as f64 / a.coin as f64)
}
