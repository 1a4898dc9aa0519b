//! Capacity: the largest load at which an engine meets all service levels.
//!
//! A load counts as *met* when every level holds by the rule of the verdict: the whole interval over
//! the replications, corrected for all comparisons, lies inside the bound, and nothing piles up. It
//! *fails* when some level fails. Between the largest load that is met, with all smaller ones, and the
//! smallest that fails lies the interval of the capacity: loads in it are undecided, or were not tried.
//! Both ends are located by bisection, from the loads of the plan. What limits an engine is the change
//! that moves the deciding level most at the edge, or the throughput where more arrives than is carried,
//! under common random numbers. The warm-up is cut off
//! at every load. Intervals are corrected for engines and levels; loads on the way are not counted, as
//! each is tried because of the answer at another.

use crate::error::Error;
use crate::knee::{middle, rounded};
use crate::output::{Ran, Writer, column, key};
use crate::plan::{Kind as PlanKind, Plan, Source};
use crate::results::{Folder, Kind, Value};
use crate::run::{Outcome, Try};
use crate::screen::table;
use crate::study::Part;
use crate::unit::{Tweak, UnitStatus};
use crate::verdict::{self, Answer, Row};
use crate::words::short;
use crate::{analysis, summary, sweep};
use std::fmt::Write as _;

/// What came out at a load.
pub struct Tried {
    /// Offered writes per second.
    pub tps: f64,
    /// The worst answer of all levels.
    pub answer: Answer,
    /// The level that decides, with its value and margin.
    pub by: Row,
}

/// What an engine carries within the service levels.
pub struct Capacity {
    /// Every load tried, from the smallest on.
    pub tried: Vec<Tried>,
    /// The largest load that is met, with every smaller one that was tried.
    pub met: Option<usize>,
    /// The smallest load that fails.
    pub failed: Option<usize>,
}

impl Capacity {
    /// The largest load that is met, with every smaller one that was tried.
    pub fn met_tps(&self) -> Option<f64> {
        self.met.map(|i| self.tried[i].tps)
    }

    /// The smallest load that fails.
    pub fn failed_tps(&self) -> Option<f64> {
        self.failed.map(|i| self.tried[i].tps)
    }

    /// The smallest load that is not met: there the limit is looked for.
    pub fn edge(&self) -> Option<&Tried> {
        self.tried.get(self.met.map_or(0, |i| i + 1))
    }

    /// Loads at which the answer is better than at a smaller one: met beyond the edge, or not failing
    /// beyond the smallest that fails.
    pub fn exceptions(&self) -> Vec<f64> {
        let edge = self.met.map_or(0, |i| i + 1);
        let better = |(i, tried): (usize, &Tried)| {
            let met = i > edge && tried.answer == Answer::Holds;
            let back = self.failed.is_some_and(|f| i > f) && tried.answer != Answer::Fails;
            (met || back).then_some(tried.tps)
        };
        self.tried.iter().enumerate().filter_map(better).collect()
    }
}

/// The capacity of one engine, as far as it was looked for.
pub fn capacity(part: &Part, outcome: &Outcome, engine: usize) -> Capacity {
    let mut tried: Vec<Tried> = Vec::new();
    for cell in outcome.sweep(engine) {
        if cell.units.is_empty() {
            continue;
        }
        let at = (cell.offered_tps, Tweak::None);
        let mut rows = verdict::judge_at(part, outcome, engine, at);
        let Some((answer, place)) = decides(&rows) else {
            continue;
        };
        tried.push(Tried {
            tps: cell.offered_tps.unwrap_or(0.0),
            answer,
            by: rows.swap_remove(place),
        });
    }
    let met = tried
        .iter()
        .take_while(|t| t.answer == Answer::Holds)
        .count();
    Capacity {
        met: met.checked_sub(1),
        failed: tried.iter().position(|t| t.answer == Answer::Fails),
        tried,
    }
}

/// The worst answer of an engine's rows, and the place of the one that decides it.
fn decides(rows: &[Row]) -> Option<(Answer, usize)> {
    let all = verdict::overall(rows, rows.first()?.engine)?;
    let place = rows.iter().position(|r| r.level == all.by.level)?;
    // A level that is not about an engine limits nothing.
    (all.answer != Answer::NotApplicable).then_some((all.answer, place))
}

/// How far the search leaves the loads of the plan, in doublings or halvings.
// assumption: a plan's author is right within a factor of sixteen.
const BEYOND: i32 = 4;

/// Cells to run next: loads that narrow the interval of each engine, then what limits it.
pub(crate) fn to_try(part: &Part, outcome: &Outcome) -> Vec<Try> {
    let within = 1.0 + part.plan.load.knee_within;
    let mut list = Vec::new();
    for engine in 0..part.plan.engines.len() {
        let found = capacity(part, outcome, engine);
        let loads = loads_to_try(&found, &part.plan.load.offered_tps, within);
        if !loads.is_empty() {
            list.extend(
                loads
                    .into_iter()
                    .map(|tps| (engine, Some(tps), Tweak::None)),
            );
            continue;
        }
        let Some(probe) = probe(outcome, engine, &found) else {
            continue;
        };
        let tweaks = std::iter::once(Tweak::None).chain(Tweak::LIMITS);
        let missing = |tweak: &Tweak| outcome.cell(engine, Some(probe), *tweak).is_none();
        list.extend(
            tweaks
                .filter(missing)
                .map(|tweak| (engine, Some(probe), tweak)),
        );
    }
    list
}

/// The load at which the limit is looked for: the edge; where more arrives there than is carried, twice
/// as much, as hardly anything is left over at the edge itself that a better resource could carry.
fn probe(outcome: &Outcome, engine: usize, found: &Capacity) -> Option<f64> {
    let edge = found.edge()?.tps;
    let cell = outcome.cell(engine, Some(edge), Tweak::None)?;
    if summary::status(cell) == UnitStatus::Saturated {
        Some(rounded(2.0 * edge))
    } else {
        Some(edge)
    }
}

fn loads_to_try(found: &Capacity, planned: &[f64], within: f64) -> Vec<f64> {
    let tried = &found.tried;
    let (Some(first), Some(last)) = (tried.first(), tried.last()) else {
        return Vec::new();
    };
    let far = f64::from(1 << BEYOND);
    let most = planned.iter().copied().fold(0.0, f64::max) * far;
    let least = planned.iter().copied().fold(f64::MAX, f64::min) / far;
    let mut loads = Vec::new();
    match (found.met, found.edge()) {
        (None, _) if first.tps > least => loads.push(rounded(first.tps / 2.0)),
        (Some(met), Some(edge)) => loads.extend(middle(tried[met].tps, edge.tps, within)),
        _ => {}
    }
    match found.failed {
        None if last.tps < most => loads.push(rounded(last.tps * 2.0)),
        Some(failed) if failed > 0 => {
            loads.extend(middle(tried[failed - 1].tps, tried[failed].tps, within));
        }
        _ => {}
    }
    loads.dedup();
    loads
}

/// Checks a plan of this kind.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    if plan.kind != PlanKind::Capacity {
        return Ok(());
    }
    let levels = |table: &toml::Table| table.contains_key("levels");
    let judged =
        !plan.levels.is_empty() || !plan.workloads.is_empty() && plan.workloads.iter().all(levels);
    if !judged {
        let hint = "add [[levels]] to the plan or to each of its workloads: capacity is the largest \
                    load that meets them";
        return Err(source.at_key("levels", "is empty", hint));
    }
    if plan.replications < verdict::ENOUGH as u32 {
        let why = format!(
            "is {}, and no level holds on fewer than {}",
            plan.replications,
            verdict::ENOUGH
        );
        return Err(source.at_key("replications", &why, "use 10 or more"));
    }
    Ok(())
}

/// Writes `capacity.csv` for plans of this kind.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    let mut columns = vec![
        key(
            "profile",
            Kind::String,
            "settings of the engines: deployed or matched",
        ),
        key("workload", Kind::String, "name of the workload"),
        key("engine", Kind::String, "label of the engine"),
    ];
    let number = |name, about| column(name, Kind::Number, "transactions/s", about);
    columns.extend([
        number(
            "met_tps",
            "largest load at which all levels hold, as at every smaller one tried; empty if none",
        ),
        number(
            "edge_tps",
            "smallest load tried at which some level does not hold; empty if none",
        ),
        number(
            "failed_tps",
            "smallest load tried at which some level fails; empty if none",
        ),
        column(
            "decided_by",
            Kind::String,
            "",
            "level that decides at the edge",
        ),
        column(
            "answer",
            Kind::String,
            "",
            "its answer there: fails or undecided",
        ),
        column(
            "value",
            Kind::Number,
            "ms or share",
            "its mean over replications there",
        ),
        column(
            "ci_low",
            Kind::Number,
            "ms or share",
            "lower end, corrected for all engines and levels",
        ),
        column(
            "ci_high",
            Kind::Number,
            "ms or share",
            "upper end, corrected for all engines and levels",
        ),
        column(
            "limited_by",
            Kind::String,
            "",
            "what moves that level most there, if it is better",
        ),
        number(
            "bound_tps",
            "the most that arithmetic allows; empty where nothing bounds it",
        ),
        column(
            "bound",
            Kind::String,
            "",
            "what sets that: block space, execution or the builder's uplink",
        ),
        column("loads", Kind::Integer, "", "loads that were tried"),
        column(
            "exceptions",
            Kind::String,
            "transactions/s",
            "loads with a better answer than a smaller load, with spaces between them",
        ),
    ]);
    columns.extend(writer.factor_columns(true));
    let mut rows = Vec::new();
    for ran in writer
        .ran
        .iter()
        .filter(|r| r.part.plan.kind == PlanKind::Capacity)
    {
        rows.extend((0..ran.part.plan.engines.len()).map(|engine| values(ran, engine)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    Ok(folder.csv("capacity.csv", &columns, rows)?)
}

fn values(ran: &Ran<'_>, engine: usize) -> Vec<Value> {
    let part = ran.part;
    let found = capacity(part, ran.outcome, engine);
    let edge = found.edge();
    let value = edge.map(|e| e.by.value);
    let bound = analysis::ceiling(part, engine);
    let exceptions: Vec<String> = found.exceptions().iter().map(ToString::to_string).collect();
    let mut row = vec![
        Value::from(part.profile.name()),
        Value::from(part.label.as_str()),
        Value::from(part.plan.engines[engine].label()),
        Value::from(found.met_tps()),
        Value::from(edge.map(|e| e.tps)),
        Value::from(found.failed_tps()),
        Value::from(edge.map(|e| part.plan.levels[e.by.level].expect.as_str())),
        Value::from(edge.map(|e| e.answer.name())),
        Value::from(value.and_then(|v| v.mean)),
        Value::from(value.and_then(|v| v.low)),
        Value::from(value.and_then(|v| v.high)),
        Value::from(limit(ran, engine, &found)),
        Value::from(bound.map(|b| b.1)),
        Value::from(bound.map(|b| b.0)),
        Value::from(found.tried.len()),
        Value::from(exceptions.join(" ")),
    ];
    row.extend(sweep::values(part));
    row
}

/// What limits an engine at its edge.
fn limit(ran: &Ran<'_>, engine: usize, found: &Capacity) -> String {
    let probed = probe(ran.outcome, engine, found);
    let Some((edge, tps)) = found.edge().zip(probed) else {
        return String::new();
    };
    let what = verdict::limit_at(ran.part, ran.outcome, (engine, edge.by.level), tps);
    if tps > edge.tps {
        format!("{what} at {tps}")
    } else {
        what
    }
}

/// A part's capacities as lines of a table, with a head.
pub(crate) fn lines(ran: &Ran<'_>) -> Vec<Vec<String>> {
    let head = [
        "engine",
        "meets all levels up to",
        "fails from",
        "decided by",
        "limited by",
        "arithmetic allows",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (engine, entry) in ran.part.plan.engines.iter().enumerate() {
        let found = capacity(ran.part, ran.outcome, engine);
        let edge = found.edge();
        let tps = |tps: Option<f64>| tps.map_or_else(|| "-".to_owned(), |t| t.to_string());
        let by = edge.map_or_else(
            || "-".to_owned(),
            |e| format!("{} at {}", ran.part.plan.levels[e.by.level].expect, e.tps),
        );
        let bound = analysis::ceiling(ran.part, engine);
        lines.push(vec![
            entry.label().to_owned(),
            tps(found.met_tps()),
            tps(found.failed_tps()),
            by,
            limit(ran, engine, &found),
            bound.map_or_else(
                || "-".to_owned(),
                |(what, tps)| format!("{} ({what})", short(tps)),
            ),
        ]);
    }
    lines
}

/// What must be said beside the table.
pub(crate) fn notes(ran: &Ran<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for (engine, entry) in ran.part.plan.engines.iter().enumerate() {
        let found = capacity(ran.part, ran.outcome, engine);
        let label = entry.label();
        if found.tried.is_empty() {
            notes.push(format!("{label}: never final, or no level is about it"));
        } else if found.met.is_none() {
            let least = found.tried[0].tps;
            notes.push(format!(
                "{label}: not even {least} writes/s meets all levels"
            ));
        } else if found.edge().is_none() {
            notes.push(format!("{label}: no load tried is too much for it"));
        }
        let exceptions = found.exceptions();
        if !exceptions.is_empty() {
            let loads: Vec<String> = exceptions.iter().map(ToString::to_string).collect();
            notes.push(format!(
                "{label}: not monotone, {} writes/s have a better answer than a smaller load",
                loads.join(", ")
            ));
        }
    }
    notes
}

/// The table and its notes, for the screen.
pub(crate) fn tell(text: &mut String, ran: &Ran<'_>) {
    let plan = &ran.part.plan;
    let _ = writeln!(
        text,
        "capacity in writes/s ({} replications; {} % intervals corrected for {} comparisons)",
        plan.replications,
        100.0 * plan.confidence,
        ran.part.comparisons
    );
    table(text, &lines(ran));
    for note in notes(ran) {
        let _ = writeln!(text, "  {note}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;

    fn found(answers: &[(f64, Answer)]) -> Capacity {
        let by = || Row {
            engine: 0,
            level: 0,
            site_down: false,
            answer: Holds,
            value: Interval {
                mean: None,
                low: None,
                high: None,
                half_width: None,
                n: 0,
            },
            margin: None,
            share: false,
            limit: None,
            reason: String::new(),
        };
        let tried = answers.iter().map(|&(tps, answer)| Tried {
            tps,
            answer,
            by: by(),
        });
        let tried: Vec<Tried> = tried.collect();
        let met = tried.iter().take_while(|t| t.answer == Holds).count();
        Capacity {
            met: met.checked_sub(1),
            failed: tried.iter().position(|t| t.answer == Fails),
            tried,
        }
    }

    use Answer::{Fails, Holds, Undecided};

    #[test]
    fn both_ends_are_narrowed() {
        let next = |answers: &[(f64, Answer)]| loads_to_try(&found(answers), &[10.0, 40.0], 1.1);
        assert_eq!(next(&[(10.0, Holds), (40.0, Fails)]), [20.0]);
        let open = [(10.0, Holds), (20.0, Undecided), (40.0, Fails)];
        assert_eq!(next(&open), [14.14, 28.28]);
        assert_eq!(next(&[(10.0, Holds), (10.5, Fails)]), [0.0; 0]);
    }

    /// It goes on beyond the loads of the plan, but not for ever.
    #[test]
    fn the_bracket_is_widened_a_few_times() {
        let next = |answers: &[(f64, Answer)]| loads_to_try(&found(answers), &[10.0, 40.0], 1.1);
        assert_eq!(next(&[(10.0, Holds), (40.0, Holds)]), [80.0]);
        assert_eq!(next(&[(10.0, Fails), (40.0, Fails)]), [5.0]);
        assert_eq!(next(&[(640.0, Holds)]), [0.0; 0]);
        assert_eq!(next(&[(0.625, Fails)]), [0.0; 0]);
        assert_eq!(next(&[]), [0.0; 0]);
    }

    #[test]
    fn what_is_not_monotone_is_told() {
        let odd = found(&[(1.0, Holds), (2.0, Fails), (3.0, Holds), (4.0, Undecided)]);
        assert_eq!(odd.met_tps(), Some(1.0));
        assert_eq!(odd.failed_tps(), Some(2.0));
        assert_eq!(odd.exceptions(), [3.0, 4.0]);
        let even = found(&[(1.0, Holds), (2.0, Undecided), (3.0, Fails)]);
        assert_eq!(even.edge().map(|e| e.tps), Some(2.0));
        assert!(even.exceptions().is_empty());
    }
}
