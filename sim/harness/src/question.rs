//! Questions: what a plan asks, and each engine's answer, a sentence with figures.
//!
//! An `answer` is text with figures in braces. A figure is the left side of a service level, such as
//! `{consent.revoke:exposure:p(99)}`; a measure of the workload's domain with share, hits, cases or a
//! statistic, such as `{units_after_recall:share}`; the share of a class's final transactions that the ledger refused for
//! a reason, such as `{drug.dispense:rejected:lot recalled}`; `{reads:stale:rate}`, the stale share of all
//! reads; or a column of `replications.csv` or `liars.csv`, such as `{reversed_txs}`, whose mean over
//! replications stands for it.

use crate::error::Error;
use crate::level::{Level as ServiceLevel, Statistic};
use crate::output::{self, Ran, Writer, column, key};
use crate::plan::{Plan, Source};
use crate::results::{Folder, Kind, Value};
use crate::run::Cell;
use crate::stats::Interval;
use crate::unit::{Done, UnitStatus, settled};
use crate::words::{duration, short};
use crate::workload::Workload;
use crate::{summary, verdict};
use quorate_core::Unit;
use quorate_kernel::probe::Told;
use std::fmt::Write as _;

/// Text with figures.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Debug)]
enum Piece {
    Text(String),
    Figure(Figure),
}

/// A figure as it is written, and what that means.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Figure {
    text: String,
    of: Of,
}

#[derive(Clone, PartialEq, Debug)]
enum Of {
    /// The left side of a service level.
    Level(ServiceLevel),
    /// The share of a class's final transactions that were refused for a reason.
    Rejected { class: String, reason: String },
    /// A measure of the workload's domain.
    Measure { name: String, statistic: Counted },
    /// The share of all reads that are stale.
    Stale,
    /// A column of `replications.csv`, or of `liars.csv`.
    Column { unit: &'static str },
}

/// How a measure of the domain is told.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Counted {
    /// Hits over cases.
    Share,
    /// Hits.
    Hits,
    /// Cases.
    Cases,
    /// A statistic of its times.
    Times(Statistic),
}

impl Counted {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "share" => Self::Share,
            "hits" => Self::Hits,
            "cases" => Self::Cases,
            _ => match crate::level::parse_statistic(text)? {
                Statistic::Rate => return Err("a measure has a share, no rate".to_owned()),
                statistic => Self::Times(statistic),
            },
        })
    }

    fn of(self, told: &Told) -> Option<f64> {
        let of = |statistic| summary::statistic_ms(&told.times, statistic);
        match self {
            Self::Share => (told.cases > 0).then(|| told.hits as f64 / told.cases as f64),
            Self::Hits => Some(told.hits as f64),
            Self::Cases => Some(told.cases as f64),
            Self::Times(statistic) => of(statistic),
        }
    }

    fn fits(self, unit: Unit) -> Result<(), (String, String)> {
        match (unit, self) {
            (Unit::Share, Self::Share | Self::Hits | Self::Cases)
            | (Unit::Time, Self::Times(_)) => Ok(()),
            (Unit::Share, _) => Err((
                "it counts cases".to_owned(),
                "write share, hits or cases behind the colon".to_owned(),
            )),
            (Unit::Time, _) => Err((
                "it is a length of time".to_owned(),
                "write avg, med, p(N) or max behind the colon".to_owned(),
            )),
        }
    }
}

impl Template {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (figure, behind) = after.split_once('}').ok_or("has a { without its }")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Figure(Figure::parse(figure.trim())?));
            rest = behind;
        }
        if rest.contains('}') {
            return Err("has a } without its {".to_owned());
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Figure(figure) => Some(figure),
            Piece::Text(_) => None,
        })
    }
}

impl Figure {
    fn parse(text: &str) -> Result<Self, String> {
        let of = match text.split(':').collect::<Vec<_>>().as_slice() {
            [column] => Of::Column {
                unit: output::measure_unit(column)
                    .ok_or_else(|| format!("names {column:?}, no column of replications.csv"))?,
            },
            ["reads", "stale", "rate"] => Of::Stale,
            [name, statistic] => Of::Measure {
                name: (*name).to_owned(),
                statistic: Counted::parse(statistic)
                    .map_err(|why| format!("names {text:?}: {why}"))?,
            },
            [class, "rejected", reason] => Of::Rejected {
                class: (*class).to_owned(),
                reason: (*reason).to_owned(),
            },
            _ => {
                // The bound does not matter, but its unit must fit.
                let share = text.ends_with(":rate");
                let bound = if share { "<1" } else { "<1ms" };
                let level = ServiceLevel::parse(&format!("{text}{bound}"));
                Of::Level(level.map_err(|why| format!("names {text:?}: {why}"))?)
            }
        };
        Ok(Self {
            text: text.to_owned(),
            of,
        })
    }

    /// Whether it is a share, and else in which unit it is.
    fn unit(&self) -> &'static str {
        match &self.of {
            Of::Level(level) if !level.metric.is_share() => "ms",
            Of::Measure { statistic, .. } => match statistic {
                Counted::Share => "share",
                Counted::Hits | Counted::Cases => "transactions",
                Counted::Times(_) => "ms",
            },
            Of::Level(_) | Of::Rejected { .. } | Of::Stale => "share",
            Of::Column { unit } => unit,
        }
    }

    fn of_unit(&self, ran: &Ran<'_>, unit: &Done) -> Option<f64> {
        let workload = &ran.part.workload;
        match &self.of {
            Of::Level(level) => {
                summary::level_value(&ran.part.plan, unit, level, &workload.classes())
            }
            Of::Rejected { class, reason } => {
                let class = workload.classes().iter().position(|c| c == class)?;
                let reason = workload.reasons().iter().position(|r| r == reason)?;
                let counts = &unit.report.probe.classes[class];
                let all = settled(counts);
                (all > 0).then(|| counts.rejected[reason] as f64 / all as f64)
            }
            Of::Measure { name, statistic } => {
                let place = workload.measures().iter().position(|m| m.name == name)?;
                statistic.of(&unit.report.probe.domain[place])
            }
            Of::Stale => summary::stale_read_share(unit),
            Of::Column { .. } => output::measure_value(unit, &self.text),
        }
    }

    /// The mean over the replications of a cell, and whether there are samples enough for it.
    fn value(&self, ran: &Ran<'_>, cell: &Cell) -> (Interval, bool) {
        let samples = summary::samples(cell, |unit| self.of_unit(ran, unit));
        let enough = match &self.of {
            Of::Level(level) if matches!(level.statistic, Statistic::Percentile(_)) => {
                summary::level_is_supported(cell, level, &ran.part.workload.classes())
            }
            Of::Measure {
                name,
                statistic: Counted::Times(Statistic::Percentile(p)),
            } => {
                let measures = ran.part.workload.measures();
                let place = measures.iter().position(|m| m.name == name);
                let times = |u: &Done| place.map_or(0, |m| u.report.probe.domain[m].times.len());
                summary::supports(cell, cell.units.iter().map(times).sum(), *p)
            }
            _ => true,
        };
        (
            summary::interval(&samples, ran.part.plan.confidence),
            enough,
        )
    }

    /// Whether an engine keeps no state that it could be about.
    fn is_beside(&self, ran: &Ran<'_>, engine: usize) -> bool {
        let sheet = &ran.outcome.sheets[engine];
        match &self.of {
            Of::Level(level) => verdict::is_beside(sheet, level.metric),
            Of::Rejected { .. } | Of::Stale | Of::Measure { .. } => verdict::keeps_no_state(sheet),
            Of::Column { .. } => false,
        }
    }
}

/// What one engine answers.
pub(crate) struct Answer {
    /// Index into the plan's engines.
    pub(crate) engine: usize,
    /// The sentence.
    pub(crate) text: String,
    /// Whether some figure rests on few cases, see [`FEW_MEANS`].
    pub(crate) is_unsure: bool,
    /// Its figures, in order.
    figures: Vec<(Figure, Interval)>,
}

/// Stands behind a percentile beyond which lie fewer than ten cases.
const FEW: &str = "*";
/// What that means.
pub(crate) const FEW_MEANS: &str = "* fewer than ten independent cases lie beyond it";

/// What the engines of a part answer; nothing where nothing is asked.
pub(crate) fn answers(ran: &Ran<'_>) -> Vec<Answer> {
    let plan = &ran.part.plan;
    let Some(text) = &plan.answer else {
        return Vec::new();
    };
    let template = Template::parse(text).expect("the plan was checked");
    let engines = 0..plan.engines.len();
    engines.map(|e| answer(ran, &template, e)).collect()
}

fn answer(ran: &Ran<'_>, template: &Template, engine: usize) -> Answer {
    let mut answer = Answer {
        engine,
        text: String::new(),
        is_unsure: false,
        figures: Vec::new(),
    };
    if let Err(why) = &ran.outcome.sheets[engine].finality {
        answer.text = format!("is never final: {why}");
        return answer;
    }
    let cell = summary::decisive(ran, engine).expect("every engine has that cell");
    for piece in &template.0 {
        match piece {
            Piece::Text(text) => answer.text.push_str(text),
            Piece::Figure(figure) if figure.is_beside(ran, engine) => answer.text.push_str("n/a"),
            Piece::Figure(figure) => {
                let (value, enough) = figure.value(ran, cell);
                let shown = value.mean.map_or_else(
                    || "none measured".to_owned(),
                    |mean| shown(mean, figure.unit()),
                );
                answer.text.push_str(&shown);
                if value.mean.is_some() && !enough {
                    answer.is_unsure = true;
                    answer.text.push_str(FEW);
                }
                answer.figures.push((figure.clone(), value));
            }
        }
    }
    let status = summary::status(cell);
    if status != UnitStatus::Ok && status != UnitStatus::NotSteady {
        let _ = write!(answer.text, " [{}]", status.name());
    }
    answer
}

fn shown(value: f64, unit: &str) -> String {
    match unit {
        "ms" => duration(value),
        "share" if value == 0.0 => "0 %".to_owned(),
        "share" => format!("{} %", short(100.0 * value)),
        _ if value == value.trunc() && value.abs() < 1e15 => format!("{value:.0}"),
        _ => short(value),
    }
}

/// What the engines of one workload have to say, with references for those who follow up.
pub(crate) fn write(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    if writer.ran.iter().all(|ran| ran.part.plan.answer.is_none()) {
        return Ok(());
    }
    let mut columns = Writer::cell_columns();
    columns.extend([
        key("figure", Kind::String, "as the plan's answer names it"),
        column(
            "value",
            Kind::Number,
            "",
            "mean over replications, in `unit`",
        ),
        column(
            "unit",
            Kind::String,
            "",
            "unit of value and interval; empty for a bare count",
        ),
        column("ci_low", Kind::Number, "", "lower end of the interval"),
        column("ci_high", Kind::Number, "", "upper end of the interval"),
        column("n_reps", Kind::Integer, "", "replications with a sample"),
    ]);
    let mut rows = Vec::new();
    for ran in writer.ran {
        for answer in answers(ran) {
            let cell = summary::decisive(ran, answer.engine).expect("every engine has that cell");
            let mut seen: Vec<&str> = Vec::new();
            for (figure, value) in &answer.figures {
                if seen.contains(&figure.text.as_str()) {
                    continue;
                }
                seen.push(&figure.text);
                let mut row = Writer::cell_values(*ran, cell);
                row.extend([
                    Value::from(figure.text.as_str()),
                    Value::from(value.mean),
                    Value::from(figure.unit()),
                    Value::from(value.low),
                    Value::from(value.high),
                    Value::from(value.n as u64),
                ]);
                rows.push(row);
            }
        }
    }
    Ok(folder.csv("answers.csv", &columns, rows)?)
}

/// Checks what can be said before the workload is open.
///
/// # Errors
/// A question without an answer or the other way round; a figure that is none.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let hint = "for example question = \"How long …?\" and answer = \"the last site knows after {consent.revoke:exposure:p(99)}\"";
    match (&plan.question, &plan.answer) {
        (None, None) => Ok(()),
        (Some(_), None) => {
            Err(source.at_key("question", "goes with an answer; there is none", hint))
        }
        (None, Some(_)) => {
            Err(source.at_key("answer", "goes with a question; there is none", hint))
        }
        (Some(_), Some(text)) => Template::parse(text)
            .map(drop)
            .map_err(|why| source.at_key("answer", &why, hint)),
    }
}

/// Checks the figures of an answer against a workload.
///
/// # Errors
/// A figure about something that is not there.
pub(crate) fn check_figures(
    source: &Source,
    plan: &Plan,
    workload: &Workload,
    fits: &dyn Fn(&ServiceLevel) -> Result<(), (String, String)>,
) -> Result<(), Error> {
    let Some(text) = &plan.answer else {
        return Ok(());
    };
    let template = Template::parse(text).expect("the plan was checked");
    let (classes, reasons) = (workload.classes(), workload.reasons());
    for figure in template.figures() {
        let wrong = match &figure.of {
            Of::Level(level) => fits(level).err(),
            Of::Measure { name, statistic } => {
                let measures = workload.measures();
                match measures.iter().find(|m| m.name == name) {
                    Some(measure) => statistic.fits(measure.unit).err(),
                    None => {
                        let names: Vec<&str> = measures.iter().map(|m| m.name).collect();
                        let there = match names.as_slice() {
                            [] => format!("the workload {} has none", workload.name()),
                            names => format!("measures: {}", names.join(", ")),
                        };
                        Some((format!("there is no measure {name:?}"), there))
                    }
                }
            }
            Of::Rejected { class, .. } if !classes.contains(&class.as_str()) => Some((
                format!("there is no class {class:?}"),
                format!("classes: {}", classes.join(", ")),
            )),
            Of::Rejected { reason, .. } if !reasons.contains(&reason.as_str()) => Some((
                format!("the ledger has no reason {reason:?}"),
                format!("reasons: {}", reasons.join(", ")),
            )),
            Of::Rejected { .. } | Of::Stale | Of::Column { .. } => None,
        };
        if let Some((why, hint)) = wrong {
            return Err(source.at_key("answer", &format!("names {:?}: {why}", figure.text), &hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_braces() {
        let text =
            "p95 {all:final:p(95)}, lost {erx.dispense:rejected:fill already dispensed}, {reorgs}.";
        let template = Template::parse(text).expect("it is one");
        let units: Vec<&str> = template.figures().map(Figure::unit).collect();
        assert_eq!(units, ["ms", "share", ""]);
        assert_eq!(template.0.len(), 7);
        assert_eq!(
            template.0[6],
            Piece::Text(".".to_owned()),
            "what stands behind the last figure"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, why) in [
            ("{all:final:p(95)", "has a { without its }"),
            ("all}", "has a } without its {"),
            ("{reorg}", "names \"reorg\", no column of replications.csv"),
            (
                "{all:finality:p(9)}",
                "names \"all:finality:p(9)\": unknown metric `finality`",
            ),
        ] {
            assert_eq!(Template::parse(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn figures_are_told_in_their_unit() {
        assert_eq!(shown(1_500.0, "ms"), "1.50 s");
        assert_eq!(shown(0.000_31, "share"), "0.031 %");
        assert_eq!(shown(0.0, "share"), "0 %");
        assert_eq!(shown(79_621.0, "transactions"), "79621");
        assert_eq!(shown(2.5, "blocks"), "2.50");
    }
}
