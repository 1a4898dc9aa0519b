//! Questions: what a plan asks, and each engine's answer, a sentence with figures.
//!
//! An `answer` is text with figures in braces:
//!
//! - the left side of a service level: `{consent.revoke:exposure:p(99)}`, `{units_after_recall:share}`;
//! - `hits` or `cases` of a share that the workload measures: `{units_after_recall:hits}`;
//! - the share of a class's final transactions that were refused for a reason:
//!   `{drug.dispense:rejected:lot recalled}`;
//! - `{reads:stale:rate}`, the stale share of all reads;
//! - `{ledger:year:hash}`, `{ledger:year:full}`, `{ledger:year:records}`: what a year at this load leaves on
//!   every copy;
//! - a column of `incidents.csv`, its mean over outages: `{outage:back_ms}`;
//! - a column of `replications.csv` or `liars.csv`: `{reversed_txs}`.
//!
//! Each is the mean over replications.

use crate::error::Error;
use crate::level::{Level as ServiceLevel, Metric, Statistic};
use crate::output::{self, Ran, Writer, column, key};
use crate::plan::{Plan, Source};
use crate::regulator::Held;
use crate::results::{Folder, Kind, Value};
use crate::run::Cell;
use crate::stats::Interval;
use crate::unit::{Done, UnitStatus, settled};
use crate::words::{duration, short};
use crate::workload::{Fits, Workload};
use crate::{incidents, regulator, summary, told, verdict};
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
    /// Cases of a share that the workload measures, or those that count, in a run.
    Cases { measure: String, hits: bool },
    /// The share of all reads that are stale.
    Stale,
    /// What a year leaves on every copy of the ledger.
    Volume(Volume),
    /// A column of `incidents.csv`.
    Outage { column: String, unit: &'static str },
    /// A column of `replications.csv`, or of `liars.csv`.
    Column { unit: &'static str },
}

/// What a year leaves on every copy of the ledger, at the plan's load.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Volume {
    /// Bytes of transactions, with this payload.
    Bytes(&'static str),
    /// Records that were not there before.
    Records,
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

    pub(crate) fn figures(&self) -> impl Iterator<Item = &Figure> {
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
            ["outage", column] => Of::Outage {
                column: (*column).to_owned(),
                unit: incidents::measure_unit(column)
                    .ok_or_else(|| format!("names {column:?}, no column of incidents.csv"))?,
            },
            ["reads", "stale", "rate"] => Of::Stale,
            ["ledger", "year", "hash"] => Of::Volume(Volume::Bytes("hash")),
            ["ledger", "year", "full"] => Of::Volume(Volume::Bytes("full")),
            ["ledger", "year", "records"] => Of::Volume(Volume::Records),
            [measure, which @ ("hits" | "cases")] => Of::Cases {
                measure: (*measure).to_owned(),
                hits: *which == "hits",
            },
            [class, "rejected", reason] => Of::Rejected {
                class: (*class).to_owned(),
                reason: (*reason).to_owned(),
            },
            _ => {
                // The bound does not matter, but its unit must fit.
                let share = text.ends_with(":rate") || text.ends_with(":share");
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

    /// Whether a workload has what it is about.
    fn is_there(&self, workload: &Workload) -> bool {
        let class = |class: &String| class == "all" || workload.classes().contains(&class.as_str());
        let measure = |name: &str| workload.measures().iter().any(|m| m.name == name);
        match &self.of {
            Of::Level(level) if level.metric == Metric::Told => measure(&level.class),
            Of::Level(level) => class(&level.class),
            Of::Rejected { class: of, .. } => class(of),
            Of::Cases { measure: name, .. } => measure(name),
            Of::Stale | Of::Volume(_) | Of::Outage { .. } | Of::Column { .. } => true,
        }
    }

    /// The unit in which it is told.
    fn unit(&self) -> &'static str {
        match &self.of {
            Of::Level(level) if level.statistic != Statistic::Rate => "ms",
            Of::Cases { .. } => "transactions",
            Of::Volume(Volume::Bytes(_)) => "bytes",
            Of::Volume(Volume::Records) => "records",
            Of::Level(_) | Of::Rejected { .. } | Of::Stale => "share",
            Of::Outage { unit, .. } | Of::Column { unit } => unit,
        }
    }

    /// The property of consensus that moves it, where one is named.
    fn moved_by(&self) -> Option<&'static str> {
        match &self.of {
            Of::Level(level) if level.metric == Metric::Told => told::moved_by(&level.class),
            Of::Level(_) => told::moved_by(self.text.split(':').nth(1)?),
            Of::Rejected { .. } => told::moved_by("accepted"),
            Of::Cases { measure, .. } => told::moved_by(measure),
            Of::Stale => told::moved_by("stale_block_wait"),
            Of::Volume(_) => None,
            Of::Outage { column, .. } => told::moved_by(column),
            Of::Column { .. } => told::moved_by(&self.text),
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
            Of::Cases { measure, hits } => {
                let told = summary::told(unit, measure)?;
                Some(if *hits { told.hits } else { told.cases } as f64)
            }
            Of::Stale => summary::stale_read_share(unit),
            Of::Volume(volume) => yearly(ran, *volume),
            Of::Outage { column, .. } => incidents::mean_value(unit, column),
            Of::Column { .. } => output::measure_value(unit, &self.text),
        }
    }

    /// The mean over the replications of a cell, and whether there are samples enough for it.
    fn value(&self, ran: &Ran<'_>, cell: &Cell) -> (Interval, bool) {
        // What is computed is the same in every replication.
        let once = matches!(self.of, Of::Volume(_)).then_some(1);
        let units = &cell.units[..once.unwrap_or(cell.units.len()).min(cell.units.len())];
        let samples = units.iter().filter_map(|unit| self.of_unit(ran, unit));
        let samples: Vec<f64> = samples.filter(|x| x.is_finite()).collect();
        let enough = match &self.of {
            Of::Level(level) => {
                summary::level_is_supported(cell, level, &ran.part.workload.classes())
            }
            _ => true,
        };
        (summary::interval(&ran.part.plan, cell, &samples), enough)
    }

    /// Whether an engine keeps no state that it could be about.
    fn is_beside(&self, ran: &Ran<'_>, engine: usize) -> bool {
        let sheet = &ran.outcome.sheets[engine];
        match &self.of {
            Of::Level(level) => verdict::is_beside(sheet, level),
            Of::Rejected { .. } | Of::Stale | Of::Cases { .. } => verdict::keeps_no_state(sheet),
            Of::Volume(_) | Of::Outage { .. } | Of::Column { .. } => false,
        }
    }
}

fn yearly(ran: &Ran<'_>, volume: Volume) -> Option<f64> {
    let held = regulator::holdings(ran.part);
    let bytes = |held: &Held, payload| {
        let of = held.bytes_per_year.iter().find(|b| b.0 == payload);
        of.map(|b| b.1)
    };
    match volume {
        Volume::Records => Some(held.iter().map(|h| h.new_per_year).sum()),
        Volume::Bytes(payload) => held.iter().map(|h| bytes(h, payload)).sum(),
    }
}

/// A sentence with figures as words without them, and what its first figure is for each engine; `None`
/// where the workload has nothing that it is about.
pub(crate) fn figures(ran: &Ran<'_>, text: &str) -> Option<(String, Vec<String>)> {
    let template = Template::parse(text).expect("it is built in");
    let figure = template.figures().next()?;
    if !figure.is_there(&ran.part.workload) {
        return None;
    }
    let engines = 0..ran.part.plan.engines.len();
    let values = engines.map(|e| match &ran.outcome.sheets[e].finality {
        Err(_) => "never final".to_owned(),
        Ok(_) if figure.is_beside(ran, e) => "n/a".to_owned(),
        Ok(_) => {
            // A plan may not offer the load that it is judged at.
            let cell = summary::decisive(ran, e);
            let value = cell.and_then(|cell| figure.value(ran, cell).0.mean);
            value.map_or_else(|| "none measured".to_owned(), |v| shown(v, figure.unit()))
        }
    });
    let values = values.collect();
    let words = template.0.iter().map(|piece| match piece {
        Piece::Text(text) => text.as_str(),
        Piece::Figure(_) => "…",
    });
    Some((words.collect::<String>().trim().to_owned(), values))
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
        "bytes" => regulator::volume(value),
        "share" => format!("{} %", short(100.0 * value)),
        _ if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.0}"),
        _ => short(value),
    }
}

/// What a plan asks, the figures that answer it with their units, and what of consensus moves them: facts
/// for `list`.
pub(crate) fn explain(plan: &Plan) -> Vec<(String, String)> {
    let of = |table: &toml::Table, key: &str| Some(table.get(key)?.as_str()?.to_owned());
    let own = plan.question.clone().zip(plan.answer.clone());
    let tables = plan.workloads.iter();
    let asked = tables.filter_map(|t| of(t, "question").zip(of(t, "answer")));
    let mut lines = Vec::new();
    let (mut figures, mut moved): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for (question, answer) in own.into_iter().chain(asked) {
        lines.push(("asks".to_owned(), question));
        let template = Template::parse(&answer).unwrap_or(Template(Vec::new()));
        for figure in template.figures() {
            let unit = match figure.unit() {
                "" => "times",
                unit => unit,
            };
            let told = format!("{} ({unit})", figure.text);
            if !figures.contains(&told) {
                figures.push(told);
            }
            let by = figure.moved_by().unwrap_or_default();
            if !by.is_empty() && !moved.contains(&by) {
                moved.push(by);
            }
        }
    }
    let mut list = |what: &str, items: &[String]| {
        if !items.is_empty() {
            lines.push((what.to_owned(), items.join("; ")));
        }
    };
    list("answers with", &figures);
    let levels = plan.levels.iter();
    let levels: Vec<String> = levels
        .map(|l| format!("{} ({}: {})", l.expect, l.standing, l.source))
        .collect();
    list("judged by", &levels);
    let moved: Vec<String> = moved.into_iter().map(str::to_owned).collect();
    list("moved by", &moved);
    lines
}

/// What the engines of one workload have to say, with references for those who follow up.
pub(crate) fn write(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    if writer.ran.iter().all(|ran| ran.part.plan.answer.is_none()) {
        return Ok(());
    }
    let mut columns = writer.cell_columns();
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
    fits: Fits<'_>,
) -> Result<(), Error> {
    let Some(text) = &plan.answer else {
        return Ok(());
    };
    let template = Template::parse(text).expect("the plan was checked");
    let (classes, reasons) = (workload.classes(), workload.reasons());
    for figure in template.figures() {
        let wrong = match &figure.of {
            Of::Level(level) => fits(level).err(),
            Of::Cases { measure, .. } => {
                let share = ServiceLevel::parse(&format!("{measure}:share<1"));
                fits(&share.expect("a name and a statistic")).err()
            }
            Of::Rejected { class, .. } if !classes.contains(&class.as_str()) => Some((
                format!("there is no class {class:?}"),
                format!("classes: {}", classes.join(", ")),
            )),
            Of::Rejected { reason, .. } if !reasons.contains(&reason.as_str()) => Some((
                format!("the ledger has no reason {reason:?}"),
                format!("reasons: {}", reasons.join(", ")),
            )),
            Of::Rejected { .. }
            | Of::Stale
            | Of::Volume(_)
            | Of::Outage { .. }
            | Of::Column { .. } => None,
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
