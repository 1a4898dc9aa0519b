//! How many replications a cell needs: until its intervals are as narrow as `precision` asks.
//!
//! A cell begins with `replications`, and has twice as many as long as the interval of some figure
//! that decides (those of the service levels; without any, median and 99th percentile of the latency
//! to final, and goodput) is wider than asked: half of it over the mean, at the plan's confidence. It
//! ends at `replications_max`. Blocks and not single replications, because every look at the data
//! costs coverage; what is left of it stands in `docs/statistics.md`.
//!
//! A cell decides from its own data alone, so the same replications are run in any order, on any
//! number of threads. One that is flagged gets no more: they would not make it steady.

use crate::error::Error;
use crate::output::Ran;
use crate::plan::{Kind, Plan, Source};
use crate::quantity::Quantity;
use crate::run::{Cell, More, Outcome};
use crate::stats::stopping;
use crate::study::Part;
use crate::summary;
use crate::unit::{Tweak, UnitStatus};

/// The most replications where the plan does not say.
// source: the range 10..200 of the command line's contract.
const MOST: u32 = 200;

/// Fewer replications to begin with make intervals that stop too early, see `docs/statistics.md`.
// source: measured there.
pub(crate) const FIRST: u32 = 10;

/// How precise a cell has become.
pub(crate) struct Reached {
    /// The figure with the widest interval, as `class:metric:stat`.
    pub(crate) widest: String,
    /// Half of that interval over its mean; `None` where the cell is flagged, or cannot have one.
    pub(crate) half_width: Option<f64>,
    /// What the plan asks for.
    precision: f64,
}

impl Reached {
    /// Whether it is what the plan asks for.
    pub(crate) fn is_enough(&self) -> bool {
        self.half_width.is_some_and(|half| half <= self.precision)
    }
}

/// How precise a cell is; `None` where the plan does not ask, or nothing that decides was measured.
pub(crate) fn reached(part: &Part, outcome: &Outcome, cell: &Cell) -> Option<Reached> {
    let precision = part.plan.precision?;
    if !is_asked(part, outcome, cell) {
        return None;
    }
    let mut widest: Option<(f64, String)> = None;
    for quantity in Quantity::decisive(part) {
        if quantity.is_beside(part, cell.engine) {
            continue;
        }
        let interval = summary::mean(&part.plan, cell, |u| quantity.of_unit(part, u));
        if interval.n == 0 {
            continue;
        }
        let half = interval.relative().unwrap_or(f64::INFINITY);
        if widest.as_ref().is_none_or(|w| half > w.0) {
            let (class, metric, stat) = quantity.name(part);
            widest = Some((half, format!("{class}:{metric}:{stat}")));
        }
    }
    let (half, widest) = widest?;
    Some(Reached {
        widest,
        half_width: half.is_finite().then_some(half),
        precision,
    })
}

/// Whether a cell's figures are judged or shown as planned; counterfactuals have a few pairs, and bad
/// days their own number.
fn is_asked(part: &Part, outcome: &Outcome, cell: &Cell) -> bool {
    let shown = match cell.tweak {
        Tweak::None => true,
        Tweak::SiteDown => !part.plan.levels.is_empty(),
        _ => false,
    };
    shown && !cell.units.is_empty() && outcome.sheets[cell.engine].finality.is_ok()
}

/// The replications that cells need beside those that they have. A cell that is the copy of another
/// part's has none before all is run, and gets those of the other.
pub(crate) fn to_try(part: &Part, outcome: &Outcome) -> Vec<More> {
    let most = most(&part.plan);
    let more = |cell: &Cell| {
        let reached = reached(part, outcome, cell)?;
        if reached.is_enough() || summary::status(cell) != UnitStatus::Ok {
            return None;
        }
        let n = cell.units.len() as u32;
        Some(More {
            engine: cell.engine,
            offered_tps: cell.offered_tps,
            tweak: cell.tweak,
            replications: n..stopping::next(n, most)?,
        })
    };
    outcome.cells.iter().filter_map(more).collect()
}

fn most(plan: &Plan) -> u32 {
    plan.replications_max.unwrap_or(MOST)
}

/// The replications of a part's cells as planned, in words: `10` or `10 to 40`.
pub(crate) fn replications(ran: &[Ran<'_>]) -> String {
    let cells = ran.iter().flat_map(|one| &one.outcome.cells);
    let planned = cells.filter(|c| matches!(c.tweak, Tweak::None | Tweak::SiteDown));
    let counts = planned.map(|c| c.units.len()).filter(|n| *n > 0);
    let counts: Vec<usize> = counts.collect();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (Some(only), _) => only.to_string(),
        // Nothing is ever final.
        _ => ran
            .first()
            .map_or(0, |one| one.part.plan.replications)
            .to_string(),
    }
}

/// What the reader must know of the cells that are not as precise as asked: a line each.
pub(crate) fn missed(ran: &Ran<'_>) -> Vec<String> {
    let Some(precision) = ran.part.plan.precision else {
        return Vec::new();
    };
    let line = |cell: &Cell| {
        let reached = reached(ran.part, ran.outcome, cell)?;
        if reached.is_enough() {
            return None;
        }
        let half = match reached.half_width {
            Some(half) => format!("±{:.1} %", 100.0 * half),
            None => format!("no interval ({})", summary::status(cell).name()),
        };
        let load = cell
            .offered_tps
            .map_or_else(String::new, |tps| format!(" at {tps} writes/s"));
        let situation = match cell.tweak {
            Tweak::SiteDown => ", one site down",
            _ => "",
        };
        Some(format!(
            "{}{load}{situation}: {half} after {} replications, not ±{:.1} %: {}",
            ran.part.plan.engines[cell.engine].label(),
            cell.units.len(),
            100.0 * precision,
            reached.widest,
        ))
    };
    ran.outcome.cells.iter().filter_map(line).collect()
}

/// A share, or a number with % behind it: `0.05` or `5%`.
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map(|x| x / unit);
    let share = share.map_err(|_| "a share such as 5% or 0.05".to_owned())?;
    if is_share(share) {
        Ok(share)
    } else {
        Err("more than 0 and less than 100 %, such as 5%".to_owned())
    }
}

fn is_share(x: f64) -> bool {
    x > 0.0 && x < 1.0
}

/// Checks the keys of a plan.
///
/// # Errors
/// A precision that is none, a most that is less than what every cell has, or a plan that is not about
/// means.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let Some(precision) = plan.precision else {
        if plan.replications_max.is_none() {
            return Ok(());
        }
        let hint = "add precision = 0.05, or leave it out";
        let why = "is the most for the sake of precision, which is not set";
        return Err(source.at_key("replications_max", why, hint));
    };
    if !is_share(precision) {
        let hint = "use a share such as 0.05";
        return Err(source.at_key("precision", &format!("is {precision}"), hint));
    }
    if matches!(plan.kind, Kind::Check | Kind::Attack) {
        let hint = "leave it out: nothing is averaged here";
        return Err(source.at_key("precision", "is for plans with intervals", hint));
    }
    if most(plan) < plan.replications {
        let why = format!("is {}, fewer than replications", most(plan));
        let hint = "set replications_max to the most that a cell may have";
        return Err(source.at_key("replications_max", &why, hint));
    }
    Ok(())
}

/// What is said of a plan that begins with few replications; `None` where there are enough.
pub(crate) fn warning(plan: &Plan) -> Option<String> {
    (plan.precision.is_some() && plan.replications < FIRST).then(|| {
        format!(
            "a stop by precision that begins with {} replications ends too early too often; begin with \
             {FIRST} (docs/statistics.md)",
            plan.replications
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_a_share_or_percent() {
        assert_eq!(parse("5%"), Ok(0.05));
        assert_eq!(parse("0.1"), Ok(0.1));
        for wrong in ["0", "5", "100%", "-1%", "x", "%"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
