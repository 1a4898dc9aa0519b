//! `quorate sensitivity`: which inputs move the verdict.
//!
//! Each input is made smaller and larger by the same share, one at a time, under the arrivals and
//! latencies of the plan as it is. What becomes of a service level's margin, over what became of the
//! input, is its *elasticity*: 1 means that the margin grows as the input does, −1 that it shrinks as
//! much, 0 that it does not care. Inputs are those of `inputs`, or any key of the plan that is a number.

pub(crate) mod inputs;

use crate::error::Error;
use crate::level::Level as ServiceLevel;
use crate::output::{Ran, column, key};
use crate::plan::{Kind as PlanKind, Plan, Source, check as plan_check};
use crate::plots::tornado;
use crate::results::{Column, Folder, Kind, Value};
use crate::screen::table;
use crate::stats::{self, Interval};
use crate::study::Study;
use crate::sweep::Factor;
use crate::unit::Tweak;
use crate::verdict::{self, Answer, Row};
use crate::words::short;
use crate::{summary, words};
use quorate_core::math;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Which inputs are varied, and by how much.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SensitivityPlan {
    /// The share by which each is made smaller and larger.
    // assumption: a fifth; what an architect knows of most inputs is no better.
    #[serde(default = "default_within")]
    pub within: f64,
    /// Inputs by name, or keys of the plan as for `-s`; absent means all inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
}

/// What the command line asks for.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Wanted {
    /// The share by which each input is made smaller and larger, such as 20% or 0.2
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "20%")]
    within: f64,
    /// Only these inputs, with commas between them: load, payload, latency, jitter, loss, bandwidth,
    /// cpu, execution, interval, block-space, nodes, corrupt; or keys of the plan that are numbers
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    keys: Vec<String>,
}

/// A share as a number or in percent.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim(), 100.0),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().map_or(0.0, |x| x / whole);
    if share > 0.0 && share < 1.0 {
        Ok(share)
    } else {
        Err("a share between 0 and 1, such as 20% or 0.2".to_owned())
    }
}

impl Wanted {
    /// The overrides that say the same.
    pub(crate) fn overrides(&self) -> Vec<String> {
        let mut list = vec![
            "kind=sensitivity".to_owned(),
            format!("sensitivity.within={}", toml::Value::Float(self.within)),
        ];
        if !self.keys.is_empty() {
            list.push(format!("sensitivity.keys={:?}", self.keys));
        }
        list
    }
}

const fn default_within() -> f64 {
    0.2
}

impl Default for SensitivityPlan {
    fn default() -> Self {
        Self {
            within: default_within(),
            keys: None,
        }
    }
}

/// An input that was varied, or why it could not be.
struct Varied {
    input: String,
    /// In words: `× 1.2`.
    change: String,
    /// New over old, and the plan; else why there is none.
    plan: Result<(Option<f64>, Plan), String>,
}

/// The plan as it is, and behind it those with one input varied; of other kinds only itself.
///
/// # Errors
/// A key that is no number of the plan.
pub(crate) fn vary(source: &Source, plan: Plan) -> Result<Vec<(Plan, Vec<Factor>)>, Error> {
    if plan.kind != PlanKind::Sensitivity {
        return Ok(vec![(plan, Vec::new())]);
    }
    let varied = variations(source, &plan)?;
    let mut list = vec![(alone(&plan), factors(None))];
    for one in varied {
        if let Ok((ratio, plan)) = one.plan {
            list.push((plan, factors(Some((one.input, one.change, ratio)))));
        }
    }
    Ok(list)
}

/// A plan of this kind that varies nothing.
fn alone(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.sensitivity.get_or_insert_default().keys = Some(Vec::new());
    plan
}

fn factors(varied: Option<(String, String, Option<f64>)>) -> Vec<Factor> {
    let (input, change, ratio) = match varied {
        Some((input, change, ratio)) => (Some(input), Some(change), ratio),
        None => (None, None, None),
    };
    let factor = |key: &str, kind, value: Option<toml::Value>| Factor {
        key: key.to_owned(),
        kind,
        value,
    };
    vec![
        factor("input", Kind::String, input.map(toml::Value::String)),
        factor("change", Kind::String, change.map(toml::Value::String)),
        factor("ratio", Kind::Number, ratio.map(toml::Value::Float)),
    ]
}

fn variations(source: &Source, plan: &Plan) -> Result<Vec<Varied>, Error> {
    let asked = plan.sensitivity.clone().unwrap_or_default();
    let all = || inputs::ALL.iter().map(|i| i.name.to_owned()).collect();
    let mut list = Vec::new();
    for (i, input) in asked
        .keys
        .clone()
        .unwrap_or_else(all)
        .into_iter()
        .enumerate()
    {
        for factor in [1.0 - asked.within, 1.0 + asked.within] {
            let mut with = alone(plan);
            let change = inputs::vary(&mut with, &input, factor).map_err(|no| {
                let path = format!("sensitivity.keys.{i}");
                source.at_key(&path, &no.why, &no.hint)
            })?;
            let plan = match change {
                Err(why) => Err(why),
                Ok(change) => match plan_check::one(source, &with) {
                    Ok(()) => Ok((change, with)),
                    Err(e) => Err(e.message),
                },
            };
            let change = match &plan {
                Ok((Some(ratio), _)) => format!("× {}", short(*ratio)),
                // Only the payload is no number.
                Ok((None, with)) => {
                    let payload = with.workload.get("payload").and_then(toml::Value::as_str);
                    payload.unwrap_or_default().to_owned()
                }
                Err(_) => format!("× {}", short(factor)),
            };
            let again = |v: &Varied| v.input == input && v.change == change;
            if !list.iter().any(again) {
                list.push(Varied {
                    input: input.clone(),
                    change,
                    plan,
                });
            }
        }
    }
    Ok(list)
}

/// Checks a plan of this kind.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    if plan.kind != PlanKind::Sensitivity {
        if plan.sensitivity.is_none() {
            return Ok(());
        }
        let hint = "set kind = \"sensitivity\", or take the table [sensitivity] out";
        let why = "goes with kind = \"sensitivity\" only";
        return Err(source.at_key("sensitivity", why, hint));
    }
    let asked = plan.sensitivity.clone().unwrap_or_default();
    if !(asked.within > 0.0 && asked.within < 1.0) {
        let why = format!("is {}", asked.within);
        return Err(source.at_key("sensitivity.within", &why, "use a share such as 0.2"));
    }
    let keys = asked.keys.unwrap_or_default();
    if let Some(i) = (1..keys.len()).find(|&i| keys[..i].contains(&keys[i])) {
        let why = format!("names {:?} twice", keys[i]);
        return Err(source.at_key("sensitivity.keys", &why, "name each input once"));
    }
    let levels = |table: &toml::Table| table.contains_key("levels");
    if plan.levels.is_empty() && !plan.workloads.iter().any(levels) {
        let hint = "add [[levels]]: what is asked is how their margins move";
        return Err(source.at_key("levels", "is empty", hint));
    }
    Ok(())
}

/// One level of one engine with one input varied.
struct Moved {
    base: Row,
    now: Row,
    /// The varied value minus that as planned, paired by replication.
    difference: Option<Interval>,
    ratio: Option<f64>,
}

impl Moved {
    /// Relative change of the margin.
    fn change(&self) -> Option<f64> {
        Some(self.now.margin? / self.base.margin.filter(|&m| m > 0.0)? - 1.0)
    }

    /// Relative change of the margin over that of the input, both as logarithms.
    fn elasticity(&self) -> Option<f64> {
        let ratio = self.ratio.filter(|&r| r > 0.0)?;
        let change = 1.0 + self.change().filter(|&c| c > -1.0)?;
        Some(math::ln(change) / math::ln(ratio))
    }

    fn flips(&self) -> bool {
        self.base.answer != self.now.answer
    }
}

/// Parts of one profile, workload and size: the plan as it is, and those with an input varied.
struct Family<'a> {
    base: Ran<'a>,
    varied: Vec<Ran<'a>>,
}

fn families<'a>(ran: &[Ran<'a>]) -> Vec<Family<'a>> {
    let mut list: Vec<Family<'a>> = Vec::new();
    for &one in ran
        .iter()
        .filter(|r| r.part.plan.kind == PlanKind::Sensitivity)
    {
        match list.last_mut() {
            Some(family) if one.part.combination > 0 => family.varied.push(one),
            _ => list.push(Family {
                base: one,
                varied: Vec::new(),
            }),
        }
    }
    list
}

fn text(ran: &Ran<'_>, factor: usize) -> String {
    ran.part.factors[factor].text()
}

/// Every level of an engine with one input varied.
fn moved(base: &Ran<'_>, now: &Ran<'_>, engine: usize) -> Vec<Moved> {
    let of = |ran: &Ran<'_>| {
        let at = (ran.part.plan.load.decide_at_tps, Tweak::None);
        verdict::judge_at(ran.part, ran.outcome, engine, at)
    };
    let pairs = of(base).into_iter().zip(of(now));
    let moved = pairs.map(|(was, is)| Moved {
        difference: difference(base, now, &was),
        ratio: now.part.factors[2].number(),
        base: was,
        now: is,
    });
    moved.collect()
}

fn difference(base: &Ran<'_>, now: &Ran<'_>, row: &Row) -> Option<Interval> {
    let samples = |ran: &Ran<'_>| {
        let plan = &ran.part.plan;
        let level =
            ServiceLevel::parse(&plan.levels[row.level].expect).expect("the plan was checked");
        let cell = ran
            .outcome
            .cell(row.engine, plan.load.decide_at_tps, Tweak::None)?;
        let classes = ran.part.workload.classes();
        let value = |u: &_| summary::level_value(plan, u, &level, &classes);
        Some(summary::samples(cell, value))
    };
    let (was, is) = (samples(base)?, samples(now)?);
    let paired = was.len() == is.len() && was.len() > 1;
    paired.then(|| stats::paired_difference(&is, &was, base.part.plan.confidence))
}

fn columns() -> Vec<Column> {
    let unit = "ms or share";
    vec![
        key(
            "profile",
            Kind::String,
            "settings of the engines: deployed or matched",
        ),
        key("workload", Kind::String, "name of the workload"),
        key("engine", Kind::String, "label of the engine"),
        key("level", Kind::String, "service level"),
        key(
            "input",
            Kind::String,
            "what is varied: an input, or a key of the plan",
        ),
        key("change", Kind::String, "how"),
        column(
            "ratio",
            Kind::Number,
            "ratio",
            "new over old; empty where it is no number",
        ),
        column(
            "value",
            Kind::Number,
            unit,
            "mean over replications as planned",
        ),
        column(
            "value_varied",
            Kind::Number,
            unit,
            "the same with the input varied",
        ),
        column(
            "difference_low",
            Kind::Number,
            unit,
            "lower end of varied minus planned, paired by replication",
        ),
        column(
            "difference_high",
            Kind::Number,
            unit,
            "upper end of the same",
        ),
        column(
            "margin",
            Kind::Number,
            "ratio",
            "margin as planned: bound over value, or value over bound",
        ),
        column(
            "margin_varied",
            Kind::Number,
            "ratio",
            "the same with the input varied",
        ),
        column(
            "elasticity",
            Kind::Number,
            "ratio",
            "logarithm of the margins' ratio over that of the input's",
        ),
        column(
            "answer",
            Kind::String,
            "",
            "holds, fails, undecided or n/a, as planned",
        ),
        column(
            "answer_varied",
            Kind::String,
            "",
            "the same with the input varied",
        ),
        column("flips", Kind::Boolean, "", "whether the answers differ"),
    ]
}

/// Writes `sensitivity.csv` and its figures for plans of this kind.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &mut Folder, ran: &[Ran<'_>]) -> Result<(), Error> {
    let families = families(ran);
    if families.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::new();
    for family in &families {
        for now in &family.varied {
            for engine in 0..now.part.plan.engines.len() {
                let moved = moved(&family.base, now, engine);
                rows.extend(moved.iter().map(|m| values(&family.base, now, m)));
            }
        }
    }
    folder.csv("sensitivity.csv", &columns(), rows)?;
    for (i, family) in families.iter().enumerate() {
        let number = if families.len() > 1 {
            format!("-{i:02}")
        } else {
            String::new()
        };
        folder.text(
            &format!("plots/tornado{number}.svg"),
            &tornado::draw(&bars(family)),
        )?;
    }
    Ok(())
}

fn values(base: &Ran<'_>, now: &Ran<'_>, moved: &Moved) -> Vec<Value> {
    let plan = &base.part.plan;
    let difference = moved.difference;
    vec![
        Value::from(base.part.profile.name()),
        Value::from(base.part.label.as_str()),
        Value::from(plan.engines[moved.base.engine].label()),
        Value::from(plan.levels[moved.base.level].expect.as_str()),
        Value::from(text(now, 0)),
        Value::from(text(now, 1)),
        Value::from(moved.ratio),
        Value::from(moved.base.value.mean),
        Value::from(moved.now.value.mean),
        Value::from(difference.and_then(|d| d.low)),
        Value::from(difference.and_then(|d| d.high)),
        Value::from(moved.base.margin),
        Value::from(moved.now.margin),
        Value::from(moved.elasticity()),
        Value::from(moved.base.answer.name()),
        Value::from(moved.now.answer.name()),
        Value::from(moved.flips()),
    ]
}

/// A level, and what each varied input does to it.
type Deciding<'a> = (usize, Vec<(&'a Ran<'a>, Moved)>);

/// The level that decides an engine as planned, with what each varied input does to it.
fn deciding<'a>(family: &'a Family<'_>, engine: usize) -> Option<Deciding<'a>> {
    let base = &family.base;
    let at = (base.part.plan.load.decide_at_tps, Tweak::None);
    let rows = verdict::judge_at(base.part, base.outcome, engine, at);
    let all = verdict::overall(&rows, engine)?;
    if all.answer == Answer::NotApplicable {
        return None;
    }
    let level = all.by.level;
    let one = |now: &'a Ran<'a>| (now, moved(base, now, engine).swap_remove(level));
    Some((level, family.varied.iter().map(one).collect()))
}

/// The bars of a family's figure, the longest first.
fn bars(family: &Family<'_>) -> Vec<tornado::Block> {
    let plan = &family.base.part.plan;
    let mut blocks = Vec::new();
    for engine in 0..plan.engines.len() {
        let Some((level, moved)) = deciding(family, engine) else {
            continue;
        };
        let margin = moved.first().and_then(|(_, m)| m.base.margin);
        let margin = margin.map_or_else(|| "-".to_owned(), |m| format!("{}×", short(m)));
        let mut bars: Vec<tornado::Bar> = Vec::new();
        for (now, moved) in &moved {
            let input = text(now, 0);
            let end = (text(now, 1), moved.change().unwrap_or(0.0), moved.flips());
            match bars.iter_mut().find(|b| b.input == input) {
                Some(bar) => bar.ends.push(end),
                None => bars.push(tornado::Bar {
                    input,
                    ends: vec![end],
                }),
            }
        }
        bars.sort_by(|a, b| b.reach().total_cmp(&a.reach()));
        blocks.push(tornado::Block {
            title: format!(
                "{}: {} (margin {margin})",
                plan.engines[engine].label(),
                plan.levels[level].expect
            ),
            bars,
        });
    }
    blocks
}

/// For the page: title, table and figure of each family.
pub(crate) fn tables(ran: &[Ran<'_>]) -> Vec<(String, Vec<Vec<String>>, String)> {
    let families = families(ran);
    let one = |family: &Family<'_>| {
        let part = family.base.part;
        let title = format!(
            "{}{}, {} settings: change of the margin that decides each engine",
            part.label,
            words::at(&part.plan),
            part.profile.name()
        );
        (title, matrix(family), tornado::draw(&bars(family)))
    };
    families.iter().map(one).collect()
}

/// The tables of all families, for the screen.
pub(crate) fn tell(out: &mut String, study: &Study, ran: &[Ran<'_>]) {
    for family in families(ran) {
        let part = family.base.part;
        let plan = &part.plan;
        let _ = writeln!(
            out,
            "{}{}, {} settings: change of the margin that decides each engine ({} replications, common random numbers)",
            part.label,
            words::at(plan),
            part.profile.name(),
            plan.replications
        );
        table(out, &matrix(&family));
        for why in skipped(study, &family) {
            let _ = writeln!(out, "  {why}");
        }
    }
}

/// Inputs against engines.
fn matrix(family: &Family<'_>) -> Vec<Vec<String>> {
    let plan = &family.base.part.plan;
    let engines = (0..plan.engines.len()).filter_map(|e| Some((e, deciding(family, e)?)));
    let columns: Vec<(usize, Deciding<'_>)> = engines.collect();
    let mut rows = vec![vec!["input".to_owned(), "change".to_owned()]];
    let mut levels = vec![String::new(), "level".to_owned()];
    let mut planned = vec![String::new(), "as planned".to_owned()];
    for (engine, (level, moved)) in &columns {
        rows[0].push(plan.engines[*engine].label().to_owned());
        levels.push(plan.levels[*level].expect.clone());
        let base = moved.first().map(|(_, m)| &m.base);
        planned.push(base.map_or_else(String::new, |b| {
            let margin = b
                .margin
                .map_or_else(|| "-".to_owned(), |m| format!("{}×", short(m)));
            format!("{} {margin}", b.answer.name())
        }));
    }
    rows.extend([levels, planned]);
    for (i, now) in family.varied.iter().enumerate() {
        let mut row = vec![text(now, 0), text(now, 1)];
        row.extend(columns.iter().map(|(_, (_, moved))| cell(&moved[i].1)));
        rows.push(row);
    }
    rows
}

fn cell(moved: &Moved) -> String {
    let change = moved.change();
    // What rounds to nothing has no sign.
    let round = |c: f64| (1e3 * c).round() / 10.0 + 0.0;
    let change = change.map_or_else(|| "-".to_owned(), |c| format!("{:+.1} %", round(c)));
    if moved.flips() {
        format!("{change} {}", moved.now.answer.name())
    } else {
        change
    }
}

/// Inputs that were asked for and not varied, and why.
fn skipped(study: &Study, family: &Family<'_>) -> Vec<String> {
    let asked = study.plan.sensitivity.clone().unwrap_or_default();
    let all = || inputs::ALL.iter().map(|i| i.name.to_owned()).collect();
    let names: Vec<String> = asked.keys.unwrap_or_else(all);
    let varied = |name: &String| family.varied.iter().any(|v| text(v, 0) == *name);
    let silent = names.into_iter().filter(|name| !varied(name));
    let why = silent.filter_map(|name| {
        let mut plan = family.base.part.plan.clone();
        let change = inputs::vary(&mut plan, &name, 1.0 + asked.within).ok()?;
        let why = change
            .err()
            .unwrap_or_else(|| "the plan would not be sound".to_owned());
        Some(format!("{name} was not varied: {why}"))
    });
    why.collect()
}
