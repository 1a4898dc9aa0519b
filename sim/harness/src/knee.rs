//! The knee of a curve: the largest offered load that is carried.
//!
//! A load is *carried* when nobody's backlog grows significantly and the goodput is at least 99 %
//! of what the ledger's rules would accept. The plan's loads bracket the knee; further cells at the
//! geometric mean halve the bracket until it is as narrow as the plan asks.

use crate::run::{Cell, Outcome, Try};
use crate::study::Part;
use crate::summary;
use crate::unit::{Tweak, UnitStatus};

/// Goodput over valid offered load at which a load counts as carried.
// source: the definition of the knee in the README.
const CARRIED: f64 = 0.99;

/// Where an engine stops carrying what is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// The largest load tried that is carried, with every smaller one; `None` if not even the
    /// smallest is.
    pub carried_tps: Option<f64>,
    /// The smallest load tried that is not carried; `None` if all are.
    pub lost_tps: Option<f64>,
}

/// Whether the load of a cell is carried.
pub fn is_carried(cell: &Cell) -> bool {
    let steady = matches!(
        summary::status(cell),
        UnitStatus::Ok | UnitStatus::NotSteady
    );
    // Counts of all replications: a unit whose latency had not settled yet carried its load or did not.
    let shares = cell.units.iter().map(summary::goodput_share);
    let mean = shares.sum::<f64>() / cell.units.len().max(1) as f64;
    steady && mean >= CARRIED
}

/// The knee of one engine, as far as it was looked for.
pub fn knee(outcome: &Outcome, engine: usize) -> Knee {
    let mut knee = Knee {
        carried_tps: None,
        lost_tps: None,
    };
    for cell in outcome.sweep(engine) {
        if cell.units.is_empty() {
            continue;
        }
        if !is_carried(cell) {
            knee.lost_tps = cell.offered_tps;
            break;
        }
        knee.carried_tps = cell.offered_tps;
    }
    knee
}

/// Loads to try next, to narrow each engine's bracket.
pub(crate) fn to_try(part: &Part, outcome: &Outcome) -> Vec<Try> {
    let within = 1.0 + part.plan.load.knee_within;
    let next = |engine: usize| {
        let knee = knee(outcome, engine);
        let (low, high) = (knee.carried_tps?, knee.lost_tps?);
        Some((engine, Some(middle(low, high, within)?), Tweak::None))
    };
    (0..part.plan.engines.len()).filter_map(next).collect()
}

/// The geometric middle of two loads that are further apart than `within`, as a ratio; `None` where
/// they are close enough.
pub(crate) fn middle(low: f64, high: f64, within: f64) -> Option<f64> {
    let middle = rounded((low * high).sqrt());
    (high > low * within && low < middle && middle < high).then_some(middle)
}

/// Four significant digits, so that a load can be written down.
pub(crate) fn rounded(tps: f64) -> f64 {
    format!("{tps:.3e}").parse().expect("it was just written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_have_four_digits() {
        let text = |tps: f64| rounded(tps).to_string();
        assert_eq!([text(123_456.0), text(0.012_346)], ["123500", "0.01235"]);
    }
}
