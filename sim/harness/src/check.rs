//! `quorate check`: service levels against a results folder, without running anything. The exit code is for
//! gates.
//!
//! The plan's own levels are read from `verdict.csv` where there is one: they were judged on every sample.
//! Others, and those of plans that are not judged, are held against `summary.csv` and `domain.csv` by the
//! same rules: at least ten replications, a statistic that the samples support, the whole interval on one
//! side of the bound, intervals corrected for the number of checks.

use crate::engines;
use crate::error::{Error, exit};
use crate::level::{Level as ServiceLevel, Metric, Statistic};
use crate::output;
use crate::plan::Source;
use crate::results::sha256_hex;
use crate::saved::{Saved, Table};
use crate::screen::table;
use crate::stats::{self, Interval};
use crate::study::Study;
use crate::terminal;
use crate::verdict::{self, Answer};
use crate::words;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use quorate_core::Family;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is checked, and how it is told.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A results folder; or a plan, whose folder is looked for in --out
    what: String,
    /// A service level instead of the plan's own, such as `all:final:p(99)<2s`; may be repeated
    #[arg(long, value_name = "LEVEL")]
    level: Vec<String>,
    /// Only these engines, by label with commas between them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    engines: Vec<String>,
    /// Only at this offered load, in writes/s; the load that the plan judges at when left out, else every one
    #[arg(long, value_name = "TPS")]
    at: Option<f64>,
    /// What becomes of a level that the folder cannot decide: a gate that cannot tell must not be green
    #[arg(long, value_enum, default_value = "fails")]
    undecided: Undecided,
    /// Write the answers as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// With a plan: an override that it was run with; may be repeated
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// With a plan: the folder that results folders are in
    #[arg(long, default_value = "results")]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Undecided {
    /// The check fails
    Fails,
    /// Only what is shown to miss its bound fails
    Passes,
}

/// One level, held against one cell.
struct Check {
    profile: String,
    workload: String,
    engine: String,
    /// What else tells checks apart: sites, size or load.
    situation: String,
    level: String,
    share: bool,
    value: Interval,
    margin: Option<f64>,
    answer: Answer,
    reason: String,
}

/// Checks; what to print, and the exit code.
pub(crate) fn run(wanted: &Wanted) -> Result<(String, u8), Error> {
    let folder = find(&wanted.what, &wanted.out, &wanted.set)?;
    let saved = Saved::whole(&folder)?;
    let parts = saved.parts()?;
    check_engines(wanted, &parts)?;
    let given = parse_all(&wanted.level)?;
    let own = given.is_empty() && wanted.at.is_none();
    let mut checks = match saved.table("verdict.csv")? {
        Some(verdict) if own => judged(&verdict)?,
        _ => held(&saved, &parts, &given, wanted.at)?,
    };
    checks.retain(|c| wanted.engines.is_empty() || wanted.engines.contains(&c.engine));
    if checks.is_empty() {
        let message = format!("{} has no service level to check", folder.display());
        let hint = "give one: --level 'all:final:p(99)<2s'";
        return Err(Error::usage(message, hint));
    }
    let fails = |c: &&Check| fails(c, wanted.undecided);
    let code = match checks.iter().filter(fails).count() {
        0 => exit::OK,
        _ => exit::THRESHOLD,
    };
    if let Some(file) = &wanted.junit {
        let report = junit(&folder, &checks, wanted.undecided);
        std::fs::write(file, report).map_err(|e| {
            let message = format!("cannot write {}: {e}", file.display());
            Error::io(message, "name a file in a folder that can be written")
        })?;
    }
    let text = if terminal::manner().json {
        as_json(&folder, &checks, code)
    } else {
        as_text(&folder, &checks, wanted.undecided)
    };
    Ok((text, code))
}

fn fails(check: &Check, undecided: Undecided) -> bool {
    match check.answer {
        Answer::Fails => true,
        Answer::Undecided => undecided == Undecided::Fails,
        Answer::Holds | Answer::NotApplicable => false,
    }
}

/// The folder itself, or that of a plan.
fn find(what: &str, out: &Path, set: &[String]) -> Result<PathBuf, Error> {
    let path = Path::new(what);
    if path.is_dir() {
        if set.is_empty() {
            return Ok(path.to_owned());
        }
        let hint = "leave out -s: a folder has the plan that it was made from";
        return Err(Error::usage(format!("{what} is a results folder"), hint));
    }
    let source = Source::open(what)?;
    let study = Study::open(&source, source.plan(set)?)?;
    let name = output::folder_name(&study, &sha256_hex(output::config(&study).as_bytes()));
    let folder = out.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let message = format!("{what} has not been run: there is no {}", folder.display());
    let hint = format!("quorate run {what}; with the same -s here as there");
    Err(Error::missing(message, hint))
}

fn check_engines(wanted: &Wanted, parts: &[toml::Table]) -> Result<(), Error> {
    let labels: Vec<&str> = parts.first().map(labels).unwrap_or_default();
    let unknown = |e: &&String| !labels.contains(&e.as_str());
    wanted.engines.iter().find(unknown).map_or(Ok(()), |e| {
        let hint = format!("engines of this folder: {}", labels.join(", "));
        Err(Error::usage(format!("--engines: there is no `{e}`"), hint))
    })
}

/// The engines of a part by the names that they have in tables.
fn labels(part: &toml::Table) -> Vec<&str> {
    let engines = part.get("engines").and_then(toml::Value::as_array);
    let engines = engines
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_table);
    engines.filter_map(label).collect()
}

fn label(engine: &toml::Table) -> Option<&str> {
    let text = |key: &str| engine.get(key).and_then(toml::Value::as_str);
    text("label").or_else(|| text("name"))
}

/// Whether an engine of a part proves when something was there, and nothing else.
fn keeps_no_state(part: &toml::Table, wanted: &str) -> bool {
    let engines = part.get("engines").and_then(toml::Value::as_array);
    let mut engines = engines
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_table);
    let found = engines.find(|e| label(e) == Some(wanted));
    let name = found.and_then(|e| e.get("name")).and_then(|n| n.as_str());
    let engine = name.and_then(engines::find);
    engine.is_some_and(|e| e.facts().family == Family::Integrity)
}

/// A level with its text.
type Asked = (String, ServiceLevel);

fn parse_all(texts: &[String]) -> Result<Vec<Asked>, Error> {
    let parse = |text: &String| {
        let level = ServiceLevel::parse(text).map_err(|why| {
            let message = format!("--level {text}: {why}");
            Error::usage(message, crate::level::GRAMMAR)
        })?;
        Ok((text.clone(), level))
    };
    texts.iter().map(parse).collect()
}

// ---- what was judged when the folder was made -----------------------------------------------------

fn judged(verdict: &Table) -> Result<Vec<Check>, Error> {
    let check = |row: &Vec<String>| {
        let text = |name: &str| verdict.cell(row, name).to_owned();
        let answer = answer(verdict.cell(row, "answer")).ok_or_else(|| {
            let what = verdict.cell(row, "answer");
            Error::data(
                format!("verdict.csv has an answer {what:?}"),
                "run it again",
            )
        })?;
        let level = ServiceLevel::parse(verdict.cell(row, "level"));
        Ok(Check {
            profile: text("profile"),
            workload: text("workload"),
            engine: text("engine"),
            situation: text("situation"),
            level: text("level"),
            share: level.is_ok_and(|l| is_share(&l)),
            value: Interval {
                mean: verdict.number(row, "value"),
                low: verdict.number(row, "ci_low"),
                high: verdict.number(row, "ci_high"),
                half_width: None,
                n: 0,
            },
            margin: verdict.number(row, "margin"),
            answer,
            reason: text("reason"),
        })
    };
    verdict.rows.iter().map(check).collect()
}

fn answer(word: &str) -> Option<Answer> {
    let all = [
        Answer::Holds,
        Answer::Fails,
        Answer::Undecided,
        Answer::NotApplicable,
    ];
    all.into_iter().find(|a| a.name() == word)
}

fn is_share(level: &ServiceLevel) -> bool {
    level.statistic == Statistic::Rate
}

// ---- what is held against the tables ----------------------------------------------------------------

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

fn held(
    saved: &Saved,
    parts: &[toml::Table],
    given: &[Asked],
    at: Option<f64>,
) -> Result<Vec<Check>, Error> {
    let tables = Tables::open(saved)?;
    let mut jobs = Vec::new();
    for part in parts {
        let levels = if given.is_empty() {
            parse_all(&own_levels(part))?
        } else {
            given.to_vec()
        };
        for cell in cells(&tables.plan, part, at) {
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
            && at.is_none_or(|at| tps.is_none_or(|tps| (tps - at).abs() < 1e-9))
    };
    plan.rows.iter().filter(is_of).map(Vec::as_slice).collect()
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

// ---- telling ------------------------------------------------------------------------------------------

fn shown(check: &Check) -> String {
    if check.share {
        words::interval(&check.value, words::percent)
    } else {
        words::interval(&check.value, words::duration)
    }
}

fn as_text(folder: &Path, checks: &[Check], undecided: Undecided) -> String {
    let mut text = format!("{}\n", folder.display());
    let head = [
        "engine",
        "profile",
        "workload",
        "service level",
        "situation",
        "answer",
        "value (interval)",
        "margin",
        "because",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for check in checks {
        let margin = check.margin.map(|m| format!("{}×", words::short(m)));
        rows.push(vec![
            check.engine.clone(),
            check.profile.clone(),
            check.workload.clone(),
            check.level.clone(),
            check.situation.clone(),
            check.answer.name().to_owned(),
            shown(check),
            margin.unwrap_or_else(|| "-".to_owned()),
            check.reason.clone(),
        ]);
    }
    table(&mut text, &rows);
    let count = |answer| checks.iter().filter(|c| c.answer == answer).count();
    let unclear = match undecided {
        Undecided::Fails => "undecided, which fails (--undecided passes lets it pass)",
        Undecided::Passes => "undecided, which passes",
    };
    let _ = writeln!(
        text,
        "{} checks: {} hold, {} fail, {} {unclear}, {} n/a",
        checks.len(),
        count(Answer::Holds),
        count(Answer::Fails),
        count(Answer::Undecided),
        count(Answer::NotApplicable),
    );
    text
}

fn as_json(folder: &Path, checks: &[Check], code: u8) -> String {
    let one = |c: &Check| {
        json!({
            "engine": c.engine,
            "profile": c.profile,
            "workload": c.workload,
            "situation": c.situation,
            "level": c.level,
            "answer": c.answer.name(),
            "value": c.value.mean,
            "ci_low": c.value.low,
            "ci_high": c.value.high,
            "unit": if c.share { "share" } else { "ms" },
            "margin": c.margin,
            "reason": c.reason,
        })
    };
    let document = json!({
        "folder": folder.display().to_string(),
        "exit_code": code,
        "checks": checks.iter().map(one).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn junit(folder: &Path, checks: &[Check], undecided: Undecided) -> String {
    let mut report = Report::new("quorate check");
    let suite = |c: &Check| format!("{} {} {}", c.engine, c.profile, c.workload);
    let mut names: Vec<String> = Vec::new();
    for check in checks {
        if !names.contains(&suite(check)) {
            names.push(suite(check));
        }
    }
    for name in names {
        let mut tests = TestSuite::new(name.as_str());
        tests.add_property(("folder", folder.display().to_string().as_str()));
        for check in checks.iter().filter(|c| suite(c) == name) {
            tests.add_test_case(test_case(check, undecided));
        }
        report.add_test_suite(tests);
    }
    report.to_string().expect("memory takes it")
}

fn test_case(check: &Check, undecided: Undecided) -> TestCase {
    let said = format!("{}: {}", check.answer.name(), shown(check));
    let said = match check.reason.as_str() {
        "" => said,
        reason => format!("{said}; {reason}"),
    };
    let status = if fails(check, undecided) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_message(said.as_str())
            .set_type(check.answer.name());
        status
    } else if check.answer == Answer::Holds {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::skipped();
        status.set_message(said.as_str());
        status
    };
    let name = format!("{} ({})", check.level, check.situation);
    let mut case = TestCase::new(name, status);
    case.set_classname(check.engine.as_str())
        .set_system_out(said);
    case
}
