//! `quorate check`: service levels against a results folder, without running anything. The exit code is for
//! gates.
//!
//! The plan's own levels are read from `verdict.csv` where there is one: they were judged on every sample.
//! Others, and those of plans that are not judged, are held against `summary.csv` and `domain.csv` by the
//! same rules: at least ten replications, a statistic that the samples support, the whole interval on one
//! side of the bound, intervals corrected for the number of checks.

mod tables;
mod tell;

use crate::error::{Error, exit};
use crate::level::{GRAMMAR, Level as ServiceLevel, Statistic};
use crate::output;
use crate::plan::Source;
use crate::results::sha256_hex;
use crate::saved::{Saved, Table};
use crate::stats::Interval;
use crate::study::Study;
use crate::terminal;
use crate::verdict::Answer;
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
        _ => tables::held(&saved, &parts, &given, &wanted.engines, wanted.at)?,
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
        let report = tell::junit(&folder, &checks, wanted.undecided);
        std::fs::write(file, report).map_err(|e| {
            let message = format!("cannot write {}: {e}", file.display());
            Error::io(message, "name a file in a folder that can be written")
        })?;
    }
    let text = if terminal::manner().json {
        tell::as_json(&folder, &checks, code)
    } else {
        tell::as_text(&folder, &checks, wanted.undecided)
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
    engines_of(part).filter_map(label).collect()
}

fn engines_of(part: &toml::Table) -> impl Iterator<Item = &toml::Table> {
    let engines = part.get("engines").and_then(toml::Value::as_array);
    let engines = engines.into_iter().flatten();
    engines.filter_map(toml::Value::as_table)
}

fn label(engine: &toml::Table) -> Option<&str> {
    let text = |key: &str| engine.get(key).and_then(toml::Value::as_str);
    text("label").or_else(|| text("name"))
}

/// A level with its text.
type Asked = (String, ServiceLevel);

fn parse_all(texts: &[String]) -> Result<Vec<Asked>, Error> {
    let parse = |text: &String| {
        let level = ServiceLevel::parse(text).map_err(|why| {
            let message = format!("--level {text}: {why}");
            Error::usage(message, GRAMMAR)
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
