//! Levels held against the tables of a folder, by the rules of the verdict.

use super::{Asked, Check, engines_of, is_share, label, parse_all};
use crate::engines;
use crate::error::Error;
use crate::level::{Level as ServiceLevel, Metric, Statistic};
use crate::saved::{FACTOR, Saved, Table};
use crate::stats::{self, Interval};
use crate::verdict::{self, Answer};
use quorate_core::Family;
use std::collections::BTreeSet;

/// Whether an engine of a part proves when something was there, and nothing else.
fn keeps_no_state(part: &toml::Table, wanted: &str) -> bool {
    let mut engines = engines_of(part);
    let found = engines.find(|e| label(e) == Some(wanted));
    let name = found
        .and_then(|e| e.get("name"))
        .and_then(toml::Value::as_str);
    let engine = name.and_then(engines::find);
    engine.is_some_and(|e| e.facts().family == Family::Integrity)
}

/// The tables that levels are held against.
struct Tables {
    plan: Table,
    summary: Table,
    replications: Table,
    domain: Option<Table>,
}

impl Tables {
    fn open(saved: &Saved) -> Result<Self, Error> {
        let need = |file: &str| {
            saved.table(file)?.ok_or_else(|| {
                let message = format!("{} has no {file}", saved.path.display());
                let hint = "service levels are checked for plans that compare, scale, replay or ask; \
                    for others the answer is in their own table";
                Error::data(message, hint)
            })
        };
        Ok(Self {
            plan: need("plan.csv")?,
            summary: need("summary.csv")?,
            replications: need("replications.csv")?,
            domain: saved.table("domain.csv")?,
        })
    }
}

/// A cell to check: its row in `plan.csv`, its part and the level.
struct Job<'a> {
    cell: &'a [String],
    part: &'a toml::Table,
    asked: Asked,
}

pub(super) fn held(
    saved: &Saved,
    parts: &[toml::Table],
    given: &[Asked],
    engines: &[String],
    at: Option<f64>,
) -> Result<Vec<Check>, Error> {
    let tables = Tables::open(saved)?;
    let (mut jobs, mut seen) = (Vec::new(), BTreeSet::new());
    for part in parts {
        let levels = if given.is_empty() {
            parse_all(&own_levels(part))?
        } else {
            given.to_vec()
        };
        let is_asked = |cell: &&[String]| {
            let engine = tables.plan.cell(cell, "engine");
            engines.is_empty() || engines.iter().any(|e| e == engine)
        };
        for cell in cells(&tables.plan, part, at).into_iter().filter(is_asked) {
            // Parts that only a factor tells apart may both fit a cell.
            if !seen.insert(tables.plan.cell(cell, "cell")) {
                continue;
            }
            let job = |asked: &Asked| Job {
                cell,
                part,
                asked: asked.clone(),
            };
            jobs.extend(levels.iter().map(job));
        }
    }
    if jobs.is_empty() && at.is_some() {
        let message = format!("no cell is at {} writes/s", at.unwrap_or_default());
        return Err(Error::usage(message, "plan.csv lists the loads"));
    }
    let comparisons = jobs.len();
    let check = |job: Job<'_>| tables.check(&job, comparisons);
    jobs.into_iter().map(check).collect()
}

fn own_levels(part: &toml::Table) -> Vec<String> {
    let levels = part.get("levels").and_then(toml::Value::as_array);
    let levels = levels.into_iter().flatten();
    let expect = |l: &toml::Value| Some(l.get("expect")?.as_str()?.to_owned());
    levels.filter_map(expect).collect()
}

/// The cells of a part as planned, at the load that is asked for, or judged, or at all.
fn cells<'a>(plan: &'a Table, part: &toml::Table, at: Option<f64>) -> Vec<&'a [String]> {
    let decide = part.get("load").and_then(|l| l.get("decide_at_tps"));
    let at = at.or(decide.and_then(toml::Value::as_float));
    let text = |table: &toml::Table, key: &str| {
        let value = table.get(key).and_then(toml::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let workload = part.get("workload").and_then(toml::Value::as_table);
    let workload = workload.map(|w| match text(w, "label") {
        label if label.is_empty() => text(w, "name"),
        label => label,
    });
    let profile = part.get("profiles").and_then(|p| p.get(0)?.as_str());
    let nodes = part.get("network").and_then(|n| n.get("nodes"));
    let nodes = nodes.map(toml::Value::to_string);
    let is_of = |row: &&Vec<String>| {
        let is = |name: &str, value: Option<&str>| value.is_none_or(|v| plan.cell(row, name) == v);
        let tps = plan.number(row, "offered_tps");
        is("workload", workload.as_deref())
            && is("profile", profile)
            && is("nodes", nodes.as_deref())
            && plan.cell(row, "changed") == "as planned"
            && has_factors(plan, row, part)
            && at.is_none_or(|at| tps.is_none_or(|tps| (tps - at).abs() < 1e-9))
    };
    plan.rows.iter().filter(is_of).map(Vec::as_slice).collect()
}

/// Whether a part has the values of the factors of a row of `plan.csv`.
fn has_factors(plan: &Table, row: &[String], part: &toml::Table) -> bool {
    let mut columns = plan.columns.iter().zip(row);
    columns.all(|(column, value)| {
        let key = column
            .name
            .strip_prefix(FACTOR)
            .filter(|_| !value.is_empty());
        // Keys that a part spells in another way do not tell parts apart.
        key.and_then(|key| at_path(part, key))
            .is_none_or(|of_part| is_value(of_part, value))
    })
}

fn at_path<'a>(part: &'a toml::Table, path: &str) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let step = |value: &'a toml::Value, key: &str| match key.parse::<usize>() {
        Ok(place) => value.get(place),
        Err(_) => value.get(key),
    };
    let keys = rest.split('.').filter(|key| !key.is_empty());
    keys.fold(part.get(first), |value, key| step(value?, key))
}

/// Whether a value is what stands in a cell.
fn is_value(value: &toml::Value, cell: &str) -> bool {
    let number = value.as_float().or(value.as_integer().map(|i| i as f64));
    match (value.as_str(), number, cell.parse::<f64>()) {
        (Some(text), ..) => text == cell,
        (_, Some(number), Ok(cell)) => (number - cell).abs() <= f64::EPSILON * number.abs(),
        _ => value.to_string() == cell,
    }
}

/// The worst of a cell's units; the order is that of the summary.
const STATUSES: [&str; 6] = [
    "ok",
    "not_steady",
    "saturated",
    "no_commit",
    "limit",
    "safety_violation",
];

impl Tables {
    fn check(&self, job: &Job<'_>, comparisons: usize) -> Result<Check, Error> {
        let (text, level) = &job.asked;
        let cell = |name: &str| self.plan.cell(job.cell, name).to_owned();
        let place = cell("cell");
        let engine = cell("engine");
        let (value, answer, reason) = self.answer(job, &place, &engine, comparisons)?;
        let tps = cell("offered_tps");
        let load = if tps.is_empty() {
            String::new()
        } else {
            format!(" at {tps}/s")
        };
        Ok(Check {
            profile: cell("profile"),
            workload: cell("workload"),
            engine,
            situation: format!("{} nodes{load}", cell("nodes")),
            level: text.clone(),
            share: is_share(level),
            margin: value.mean.and_then(|v| verdict::margin(level, v)),
            value,
            answer,
            reason,
        })
    }

    fn answer(
        &self,
        job: &Job<'_>,
        place: &str,
        engine: &str,
        comparisons: usize,
    ) -> Result<(Interval, Answer, String), Error> {
        let (text, level) = &job.asked;
        let said =
            |answer, why: &str| Ok((stats::student_interval(&[], 0.5), answer, why.to_owned()));
        if verdict::is_stateful(level) && keeps_no_state(job.part, engine) {
            return said(Answer::NotApplicable, verdict::NO_STATE);
        }
        let plain = job.part.get("confidence").and_then(toml::Value::as_float);
        let confidence = stats::bonferroni(plain.unwrap_or(0.95), comparisons.max(1));
        let value = match level.metric {
            Metric::Told => self.told(place, level, confidence)?,
            _ => self.summed(job.part, place, (text, level), confidence)?,
        };
        let Some(status) = self.status(place) else {
            return said(Answer::Fails, "never final: nothing was simulated");
        };
        let waits = level.metric != Metric::Served;
        let (answer, why) = match status {
            "saturated" if waits => (Answer::Fails, "saturated: more arrives than it can commit"),
            "no_commit" if waits => (Answer::Fails, "nothing became final"),
            "safety_violation" => (Answer::Fails, "a safety promise was broken"),
            "limit" if waits => (
                Answer::Undecided,
                "given up before all was final: raise load.drain_s or limits.events",
            ),
            _ if level.metric == Metric::Exposure && self.sum(place, "exposure_open") > 0.0 => {
                let why = "a watched write never reached every live site's view: run longer";
                (Answer::Undecided, why)
            }
            _ => match (value.low, value.high) {
                _ if value.mean.is_none() => {
                    let why = "not measured, or too few samples for the statistic: run longer";
                    (Answer::Undecided, why)
                }
                _ if value.n < verdict::ENOUGH => {
                    (Answer::Undecided, "too few replications for a verdict")
                }
                (Some(low), Some(high)) => match verdict::held(level, low, high) {
                    Answer::Undecided => {
                        let why = "the bound lies in the interval: run more replications";
                        (Answer::Undecided, why)
                    }
                    answer => (answer, ""),
                },
                _ => (Answer::Undecided, "too few replications for an interval"),
            },
        };
        Ok((value, answer, why.to_owned()))
    }

    /// The status of a cell; `None` where nothing was run.
    fn status(&self, place: &str) -> Option<&'static str> {
        let of = self.units(place);
        let word = |row: &Vec<String>| self.replications.cell(row, "status").to_owned();
        let rank = |word: String| STATUSES.iter().position(|s| *s == word);
        of.filter_map(|row| rank(word(row)))
            .max()
            .map(|r| STATUSES[r])
    }

    fn sum(&self, place: &str, column: &str) -> f64 {
        let of = self.units(place);
        of.filter_map(|row| self.replications.number(row, column))
            .sum()
    }

    fn units<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a Vec<String>> {
        let table = &self.replications;
        table
            .rows
            .iter()
            .filter(move |r| table.cell(r, "cell") == place)
    }

    /// A figure of `summary.csv`, its interval at another confidence.
    fn summed(
        &self,
        part: &toml::Table,
        place: &str,
        (text, level): (&str, &ServiceLevel),
        confidence: f64,
    ) -> Result<Interval, Error> {
        let metric = metric(part, level.metric);
        let stat = stat(text, level.statistic)?;
        let summary = &self.summary;
        let is = |row: &Vec<String>, name: &str, value: &str| summary.cell(row, name) == value;
        let named =
            |row: &&Vec<String>| is(row, "class", &level.class) && is(row, "metric", &metric);
        if !summary.rows.iter().any(|row| named(&row)) {
            let message = format!("{text}: no cell has measured {metric} of {}", level.class);
            let hint = "summary.csv lists classes and metrics; a level of the plan itself is judged when it is run";
            return Err(Error::usage(message, hint));
        }
        let mut rows = summary.rows.iter().filter(named);
        let row = rows.find(|row| is(row, "cell", place) && is(row, "stat", &stat));
        Ok(row.map_or_else(
            || stats::student_interval(&[], confidence),
            |row| widened(summary, row, confidence),
        ))
    }

    /// What the workload measures, one sample a replication.
    fn told(&self, place: &str, level: &ServiceLevel, confidence: f64) -> Result<Interval, Error> {
        let column = match level.statistic {
            Statistic::Rate => "share",
            Statistic::Mean => "mean_ms",
            Statistic::Max => "max_ms",
            Statistic::Percentile(50.0) => "p50_ms",
            Statistic::Percentile(95.0) => "p95_ms",
            Statistic::Percentile(99.0) => "p99_ms",
            Statistic::Percentile(p) => {
                let hint =
                    "use share, avg, max, med, p(95) or p(99), or put the level into the plan";
                return Err(Error::usage(format!("domain.csv has no p({p})"), hint));
            }
        };
        let Some(table) = &self.domain else {
            let hint = "quorate list metrics; plans of kind scenario and replay measure them, and others \
                whose own levels name them";
            return Err(Error::usage(
                format!("{} was not measured", level.class),
                hint,
            ));
        };
        let of = table.rows.iter().filter(|row| {
            table.cell(row, "cell") == place && table.cell(row, "measure") == level.class
        });
        let samples: Vec<f64> = of.filter_map(|row| table.number(row, column)).collect();
        Ok(stats::student_interval(&samples, confidence))
    }
}

/// The name of a level's metric in `summary.csv`.
fn metric(part: &toml::Table, metric: Metric) -> String {
    let read = || {
        let level = part.get("node").and_then(|n| n.get("read_level"));
        level.and_then(toml::Value::as_str).unwrap_or("included")
    };
    match metric {
        Metric::Included => "latency_included".to_owned(),
        Metric::Safe => "latency_safe".to_owned(),
        Metric::Final => "latency_final".to_owned(),
        Metric::Exposure => format!("exposure_{}", read()),
        Metric::Goodput => "goodput_share".to_owned(),
        Metric::Accepted => "accepted".to_owned(),
        Metric::OnTime => "ontime_final".to_owned(),
        Metric::Served | Metric::Told => "served".to_owned(),
    }
}

/// The name of a statistic in `summary.csv`.
fn stat(text: &str, statistic: Statistic) -> Result<String, Error> {
    let known = crate::summary::PERCENTILES;
    match statistic {
        Statistic::Mean => Ok("mean".to_owned()),
        Statistic::Rate => Ok("rate".to_owned()),
        Statistic::Percentile(p) if known.iter().any(|k| (k - p).abs() < 1e-9) => {
            Ok(format!("p{p}"))
        }
        Statistic::Percentile(_) | Statistic::Max => {
            let message = format!("{text}: summary.csv has no {statistic}");
            let hint = "use avg, med, p(90), p(95), p(99) or p(99.9), or put the level into the plan and run it";
            Err(Error::usage(message, hint))
        }
    }
}

/// A row's interval at another confidence: the same standard error, another quantile.
fn widened(summary: &Table, row: &[String], confidence: f64) -> Interval {
    let number = |name: &str| summary.number(row, name);
    let n = number("n_reps").unwrap_or(0.0) as usize;
    let mean = number("value");
    let half = number("ci_high").zip(mean).map(|(high, mean)| high - mean);
    let half_width = half
        .zip(number("ci_level"))
        .filter(|_| n > 1)
        .map(|(half, level)| {
            let quantile = |c: f64| stats::student_quantile(0.5 + c / 2.0, (n - 1) as f64);
            half * quantile(confidence) / quantile(level)
        });
    Interval {
        mean,
        low: mean.zip(half_width).map(|(m, h)| m - h),
        high: mean.zip(half_width).map(|(m, h)| m + h),
        half_width,
        n,
    }
}
