//! `--tune`: the smallest interval between blocks, or batch, at which an engine meets all service
//! levels: *fails at its default, holds at a batch of 250 ms*.
//!
//! The intervals of an engine (`period_ms`, `batch_timeout_ms`, …) are shortened together, from what
//! the plan says down to a 64th, in steps of a quarter of an octave. Whole octaves are tried first, then
//! the gap below the shortest that holds is halved. What is found stands beside the verdict on the
//! plan's own settings and never replaces it.

use crate::error::Error;
use crate::output::{Ran, Writer, column, key};
use crate::plan::{Kind as PlanKind, Plan, Source};
use crate::results::{Folder, Kind, Value};
use crate::run::{Outcome, Try};
use crate::study::Part;
use crate::sweep;
use crate::unit::{INTERVAL_KEYS, Tweak};
use crate::verdict::{self, Answer, Row};
use quorate_core::math;

/// Steps from the planned interval to its 64th.
const STEPS: u8 = 24;
/// Steps of an octave.
const OCTAVE: u8 = 4;

/// What a verdict's row of a tuned engine was held against.
pub(crate) const SITUATION: &str = "all sites up, interval tuned";

/// The share of the planned interval at a step.
pub(crate) fn factor(step: u8) -> f64 {
    math::pow(2.0, -f64::from(step) / f64::from(OCTAVE))
}

/// What a step is called in results.
pub(crate) const fn name(step: u8) -> &'static str {
    const NAMES: [&str; STEPS as usize + 1] = [
        "block interval ÷ 1",
        "block interval ÷ 1.19",
        "block interval ÷ 1.41",
        "block interval ÷ 1.68",
        "block interval ÷ 2",
        "block interval ÷ 2.38",
        "block interval ÷ 2.83",
        "block interval ÷ 3.36",
        "block interval ÷ 4",
        "block interval ÷ 4.76",
        "block interval ÷ 5.66",
        "block interval ÷ 6.73",
        "block interval ÷ 8",
        "block interval ÷ 9.51",
        "block interval ÷ 11.3",
        "block interval ÷ 13.5",
        "block interval ÷ 16",
        "block interval ÷ 19",
        "block interval ÷ 22.6",
        "block interval ÷ 26.9",
        "block interval ÷ 32",
        "block interval ÷ 38.1",
        "block interval ÷ 45.3",
        "block interval ÷ 53.8",
        "block interval ÷ 64",
    ];
    NAMES[step as usize]
}

/// What became of an engine's interval.
pub struct Tuned {
    /// Index into the plan's engines.
    pub engine: usize,
    /// The step of the shortest interval that holds; 0 is the planned one, `None` if none holds.
    pub step: Option<u8>,
    /// The next shorter one that was tried and does not hold.
    pub lost: Option<u8>,
    /// The answer at the planned interval.
    pub planned: Answer,
}

/// The steps that an engine can be run at: those whose settings are sound and differ.
fn steps(plan: &Plan, engine: usize) -> Vec<u8> {
    let entry = &plan.engines[engine];
    let mut known = vec![entry.engine().resolved(&entry.config)];
    let mut steps = Vec::new();
    for step in 1..=STEPS {
        let table = entry.engine().tweaked(&entry.config, Tweak::Tuned(step));
        let resolved = entry.engine().resolved(&table);
        if !known.contains(&resolved) && entry.engine().check(plan, &table).is_ok() {
            known.push(resolved);
            steps.push(step);
        }
    }
    steps
}

/// The answer at a step, if it was run.
fn answer(part: &Part, outcome: &Outcome, engine: usize, step: u8) -> Option<Answer> {
    let rows = rows_at(part, outcome, engine, step)?;
    Some(verdict::overall(&rows, engine)?.answer)
}

fn rows_at(part: &Part, outcome: &Outcome, engine: usize, step: u8) -> Option<Vec<Row>> {
    let tweak = match step {
        0 => Tweak::None,
        _ => Tweak::Tuned(step),
    };
    let at = (part.plan.load.decide_at_tps, tweak);
    let cell = outcome.cell(engine, at.0, tweak)?;
    if cell.units.is_empty() {
        return None;
    }
    Some(verdict::judge_at(part, outcome, engine, at))
}

/// What was found about an engine; `None` if it has no interval, or is never final.
pub fn tuned(part: &Part, outcome: &Outcome, engine: usize) -> Option<Tuned> {
    let planned = answer(part, outcome, engine, 0)?;
    let steps = steps(&part.plan, engine);
    if steps.is_empty() {
        return None;
    }
    let tried = |step: &u8| Some((*step, answer(part, outcome, engine, *step)?));
    let tried: Vec<(u8, Answer)> = std::iter::once(&0)
        .chain(&steps)
        .filter_map(tried)
        .collect();
    let at = tried.iter().rposition(|t| t.1 == Answer::Holds);
    Some(Tuned {
        engine,
        step: at.map(|i| tried[i].0),
        lost: at.and_then(|i| tried.get(i + 1)).map(|t| t.0),
        planned,
    })
}

/// Cells to run next: the octaves, then the middle of the gap below the shortest that holds.
pub(crate) fn to_try(part: &Part, outcome: &Outcome) -> Vec<Try> {
    let load = part.plan.load.decide_at_tps;
    let mut list = Vec::new();
    for engine in 0..part.plan.engines.len() {
        let Some(found) = tuned(part, outcome, engine) else {
            continue;
        };
        let steps = steps(&part.plan, engine);
        let absent = |step: u8| outcome.cell(engine, load, Tweak::Tuned(step)).is_none();
        let octaves = steps.iter().copied().filter(|step| step % OCTAVE == 0);
        let mut next: Vec<u8> = octaves.filter(|&step| absent(step)).collect();
        if let (true, Some(step)) = (next.is_empty(), found.step) {
            let below = found.lost.unwrap_or(STEPS + 1);
            let gap = steps
                .iter()
                .copied()
                .filter(|s| (step + 1..below).contains(s));
            let gap: Vec<u8> = gap.collect();
            next.extend(gap.get(gap.len() / 2));
        }
        list.extend(
            next.into_iter()
                .map(|step| (engine, load, Tweak::Tuned(step))),
        );
    }
    list
}

/// The verdict's rows at the intervals found; for some engines that is the planned one.
pub(crate) fn rows(ran: &Ran<'_>) -> Vec<Row> {
    if !is_asked(ran) {
        return Vec::new();
    }
    let (part, outcome) = (ran.part, ran.outcome);
    let of = |engine: usize| {
        let step = tuned(part, outcome, engine)?.step?;
        rows_at(part, outcome, engine, step)
    };
    (0..part.plan.engines.len())
        .filter_map(of)
        .flatten()
        .collect()
}

fn is_asked(ran: &Ran<'_>) -> bool {
    ran.part.plan.tune && ran.part.plan.kind == PlanKind::Compare
}

/// The engine's intervals at a step: `period_ms = 250`.
fn setting(part: &Part, engine: usize, step: u8) -> String {
    let entry = &part.plan.engines[engine];
    let table = match step {
        0 => entry.config.clone(),
        _ => entry.engine().tweaked(&entry.config, Tweak::Tuned(step)),
    };
    let resolved = entry.engine().resolved(&table);
    let keys = INTERVAL_KEYS
        .iter()
        .filter_map(|key| Some((key, resolved.get(*key)?)));
    let each = keys.map(|(key, value)| match value.as_float() {
        Some(x) => format!("{key} = {x:.4}"),
        None => format!("{key} = {value}"),
    });
    let list = each.collect::<Vec<_>>().join(", ");
    if list.is_empty() {
        name(step).to_owned()
    } else {
        list
    }
}

/// Writes `tune.csv`, where it was asked for.
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
        column("planned", Kind::String, "", "its intervals as planned"),
        column(
            "planned_answer",
            Kind::String,
            "",
            "the worst answer of all levels with them, all sites up",
        ),
        column(
            "tuned",
            Kind::String,
            "",
            "the shortest intervals tried with which all levels hold; empty if none",
        ),
        column("factor", Kind::Number, "ratio", "tuned over planned"),
        column(
            "lost",
            Kind::String,
            "",
            "the next shorter ones tried, with which they do not; empty if the shortest holds",
        ),
        column(
            "lost_answer",
            Kind::String,
            "",
            "the worst answer of all levels with those",
        ),
        column(
            "lost_by",
            Kind::String,
            "",
            "the level that decides there, and why",
        ),
    ];
    columns.extend(writer.factor_columns(true));
    let asked = writer.ran.iter().filter(|ran| is_asked(ran));
    let rows = asked.flat_map(|ran| {
        let engines = 0..ran.part.plan.engines.len();
        engines.filter_map(move |e| Some(values(ran, &tuned(ran.part, ran.outcome, e)?)))
    });
    let rows: Vec<Vec<Value>> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    Ok(folder.csv("tune.csv", &columns, rows)?)
}

fn values(ran: &Ran<'_>, found: &Tuned) -> Vec<Value> {
    let (part, engine) = (ran.part, found.engine);
    let text = |step: Option<u8>| step.map(|s| setting(part, engine, s));
    let lost = found.lost.and_then(|step| lost(ran, engine, step));
    let mut row = vec![
        Value::from(part.profile.name()),
        Value::from(part.label.as_str()),
        Value::from(part.plan.engines[engine].label()),
        Value::from(setting(part, engine, 0)),
        Value::from(found.planned.name()),
        Value::from(text(found.step)),
        Value::from(found.step.map(factor)),
        Value::from(text(found.lost)),
        Value::from(lost.as_ref().map(|(answer, _)| answer.name())),
        Value::from(lost.map(|(_, why)| why)),
    ];
    row.extend(sweep::values(part));
    row
}

/// The answer at a step that does not hold, and the level that decides it.
fn lost(ran: &Ran<'_>, engine: usize, step: u8) -> Option<(Answer, String)> {
    let rows = rows_at(ran.part, ran.outcome, engine, step)?;
    let all = verdict::overall(&rows, engine)?;
    let level = &ran.part.plan.levels[all.by.level].expect;
    Some((all.answer, format!("{level}: {}", all.by.reason)))
}

/// A sentence for each engine: what tuning its interval comes to.
pub(crate) fn lines(ran: &Ran<'_>) -> Vec<String> {
    if !is_asked(ran) {
        return Vec::new();
    }
    let engines = 0..ran.part.plan.engines.len();
    engines.map(|engine| line(ran, engine)).collect()
}

fn line(ran: &Ran<'_>, engine: usize) -> String {
    let part = ran.part;
    let label = part.plan.engines[engine].label();
    let Some(found) = tuned(part, ran.outcome, engine) else {
        return format!("{label}: has no interval to tune");
    };
    let at = |step: u8| setting(part, engine, step);
    let planned = match found.planned {
        Answer::Holds => "holds",
        Answer::Fails => "fails",
        Answer::Undecided => "is undecided",
        Answer::NotApplicable => "is not judged",
    };
    let start = format!("{label} tuned: {planned} as planned ({})", at(0));
    let beyond = match found
        .lost
        .and_then(|step| Some((step, lost(ran, engine, step)?)))
    {
        Some((step, (answer, why))) => format!("; {} at {} ({why})", answer.name(), at(step)),
        None => "; no shorter one was tried".to_owned(),
    };
    match found.step {
        None => format!("{start}, and at no shorter interval down to a 64th"),
        Some(0) => format!("{start}, and at no shorter one{beyond}"),
        Some(step) => format!("{start}, holds at {}{beyond}", at(step)),
    }
}

/// Checks that tuning goes with the kind of plan.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    if plan.tune && plan.kind != PlanKind::Compare {
        let hint = "use it with kind = \"compare\"; it looks for an interval that meets the levels";
        return Err(source.at_key("tune", "goes with comparisons only", hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_named_by_what_they_divide_by() {
        for step in 0..=STEPS {
            let by: f64 = name(step)["block interval ÷ ".len()..]
                .parse()
                .expect("a number");
            assert!((by * factor(step) - 1.0).abs() < 0.006, "{step}: {by}");
        }
    }
}
