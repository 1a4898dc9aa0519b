//! The verdict: which engine meets which service level, by which margin, and what limits it.

use crate::level::{Level as ServiceLevel, LevelConfig, Metric, Statistic};
use crate::plan::{Kind, Plan};
use crate::run::{Cell, Outcome};
use crate::stats::{self, Interval};
use crate::study::{Part, Study};
use crate::unit::{EngineSheet, Tweak, UnitStatus};
use crate::{summary, words};
use quorate_core::{Family, Finality};

/// Whether a service level is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The whole interval is inside.
    Holds,
    /// The whole interval is outside, or the engine cannot carry the load at all.
    Fails,
    /// The bound lies in the interval, or the sample does not support the statistic.
    Undecided,
    /// The engine keeps nothing that the level is about.
    NotApplicable,
}

impl Answer {
    /// The word in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Undecided => "undecided",
            Self::NotApplicable => "n/a",
        }
    }
}

/// One engine against one service level.
pub struct Row {
    /// Index into the plan's engines.
    pub engine: usize,
    /// Index into the plan's levels.
    pub level: usize,
    /// Under the plan's faults, or with one site down as well.
    pub site_down: bool,
    /// The verdict.
    pub answer: Answer,
    /// The value's interval at the corrected confidence, ms or a share.
    pub value: Interval,
    /// Bound over value (or value over bound where more is better): above 1 is inside.
    pub margin: Option<f64>,
    /// Whether the value is a share, which cannot be inside by much.
    pub share: bool,
    /// The resource that it hangs on most, of those that were tried; `None` if none does or none can
    /// be said to.
    pub limit: Option<&'static str>,
    /// What limits it, or why it cannot be said.
    pub reason: String,
}

/// What a row rests on: the resource, if one was found, and the words.
type Because = (Option<&'static str>, String);

fn because(says: impl Into<String>) -> Because {
    (None, says.into())
}

/// What an engine's rows come to.
#[derive(Clone, Copy)]
pub struct Overall<'a> {
    /// The worst answer: fails before undecided before holds; not applicable if nothing else is said.
    pub answer: Answer,
    /// The row that decides it: of those with that answer, the one with the smallest margin, which
    /// for shares says something only where they miss.
    pub by: &'a Row,
}

/// Sums up an engine's rows; `None` without any.
pub fn overall(rows: &[Row], engine: usize) -> Option<Overall<'_>> {
    let of = || rows.iter().filter(move |r| r.engine == engine);
    let worst_first = [
        Answer::Fails,
        Answer::Undecided,
        Answer::Holds,
        Answer::NotApplicable,
    ];
    let answer = worst_first
        .into_iter()
        .find(|&answer| of().any(|r| r.answer == answer))?;
    let margin = |r: &Row| match r.margin {
        _ if r.share && answer == Answer::Holds => f64::MAX,
        None if answer == Answer::Holds => f64::MAX,
        other => other.unwrap_or(0.0),
    };
    let by = of()
        .filter(|r| r.answer == answer)
        .min_by(|a, b| margin(a).total_cmp(&margin(b)))?;
    Some(Overall { answer, by })
}

/// How many answers a study gives, for which its intervals are corrected.
pub fn comparisons(study: &Study) -> usize {
    let of = |part: &Part| {
        situations(&part.plan).len() * part.plan.engines.len() * part.plan.levels.len()
    };
    study.parts.iter().map(of).sum()
}

/// What a plan's levels are held against: as planned, and in a comparison with one site down as well.
fn situations(plan: &Plan) -> &'static [bool] {
    match plan.kind {
        Kind::Scenario => &[false],
        _ => &[false, true],
    }
}

/// Judges every engine against every level, in a comparison with and without one site down.
pub fn judge(part: &Part, outcome: &Outcome, comparisons: usize) -> Vec<Row> {
    let plan = &part.plan;
    let classes = &part.workload.classes();
    let confidence = stats::bonferroni(plan.confidence, comparisons.max(1));
    let mut rows = Vec::new();
    for engine in 0..plan.engines.len() {
        for (level, config) in plan.levels.iter().enumerate() {
            for &site_down in situations(plan) {
                let judge = Judge {
                    plan,
                    outcome,
                    classes,
                    confidence,
                    engine,
                    config,
                };
                let (answer, value, margin, (limit, reason)) = judge.row(site_down);
                rows.push(Row {
                    engine,
                    level,
                    site_down,
                    answer,
                    value,
                    margin,
                    share: words::is_share(config),
                    limit,
                    reason,
                });
            }
        }
    }
    rows
}

struct Judge<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    classes: &'a [&'a str],
    confidence: f64,
    engine: usize,
    config: &'a LevelConfig,
}

const NOTHING: Interval = Interval {
    mean: None,
    low: None,
    high: None,
    half_width: None,
    n: 0,
};

impl Judge<'_> {
    fn row(&self, site_down: bool) -> (Answer, Interval, Option<f64>, Because) {
        if let Err(why) = &self.outcome.sheets[self.engine].finality {
            return (Answer::Fails, NOTHING, None, because(why.as_str()));
        }
        let tweak = if site_down {
            Tweak::SiteDown
        } else {
            Tweak::None
        };
        let level = ServiceLevel::parse(&self.config.expect).expect("the plan was checked");
        if is_beside(&self.outcome.sheets[self.engine], &level) {
            let why = "it proves when something was there; it keeps no state that could be \
                       consented to, revoked or spent twice";
            return (Answer::NotApplicable, NOTHING, None, because(why));
        }
        let Some(cell) = self.cell(tweak) else {
            return (Answer::Undecided, NOTHING, None, because("not simulated"));
        };
        let samples = self.samples(cell, &level);
        let value = summary::interval(&samples, self.confidence);
        let margin = value.mean.map(|v| {
            if level.below {
                level.bound / v
            } else {
                v / level.bound
            }
        });
        // Nothing at all is below any bound, by no factor.
        let margin = margin.filter(|m| m.is_finite());
        // A local read waits for no consensus: it is answered whatever piles up.
        let status = match level.metric {
            Metric::Served => UnitStatus::Ok,
            _ => summary::status(cell),
        };
        match status {
            UnitStatus::Saturated => {
                return (Answer::Fails, value, margin, self.saturation());
            }
            UnitStatus::NoCommit => {
                return (
                    Answer::Fails,
                    value,
                    margin,
                    because("nothing became final"),
                );
            }
            UnitStatus::Limit => {
                return (
                    Answer::Undecided,
                    value,
                    margin,
                    because("given up before all was final: raise load.drain_s or limits.events"),
                );
            }
            UnitStatus::SafetyViolation => {
                return (
                    Answer::Fails,
                    value,
                    margin,
                    because("a safety promise was broken"),
                );
            }
            UnitStatus::Ok | UnitStatus::NotSteady => {}
        }
        if let Some(open) = self.unseen(cell, &level) {
            let why = format!("{open} never reached every live site's view: run longer");
            return (Answer::Undecided, value, margin, because(why));
        }
        let answer = self.answer(cell, &level, &value);
        let reason = match answer {
            Answer::Undecided => because(self.doubt(cell, &level, &samples)),
            _ if site_down => self.against_planned(&level, &samples),
            _ => self.limiting(&level, &samples),
        };
        (answer, value, margin, reason)
    }

    /// Watched writes of a level's class that some live site never saw; they are in no percentile.
    fn unseen(&self, cell: &Cell, level: &ServiceLevel) -> Option<u64> {
        let class = self.classes.iter().position(|c| *c == level.class)?;
        let open = cell
            .units
            .iter()
            .map(|u| u.report.probe.exposure[class].open)
            .sum();
        (level.metric == Metric::Exposure && open > 0).then_some(open)
    }

    /// Why more arrives than can be committed: what raises the throughput most, counted where
    /// transactions enter blocks, because a run that is given up may end before any is final.
    fn saturation(&self) -> Because {
        let included = |tweak| {
            let cell = self.cell(tweak)?;
            let samples = summary::samples(cell, |u| Some(summary::included_tps(u)));
            (!samples.is_empty()).then_some(samples)
        };
        let Some(base) = included(Tweak::None) else {
            return because("saturated");
        };
        let moves = Tweak::LIMITS
            .into_iter()
            .filter_map(|tweak| Some((change(&base, &included(tweak)?)?, tweak.name())));
        match moves.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((change, what)) if change > VISIBLE => {
                let says = format!(
                    "saturated; better {what}: {:+.0} % throughput",
                    100.0 * change
                );
                (Some(what), says)
            }
            _ => because("saturated: more arrives than it can commit"),
        }
    }

    fn cell(&self, tweak: Tweak) -> Option<&Cell> {
        self.outcome
            .cell(self.engine, self.plan.judged_tps(), tweak)
    }

    fn samples(&self, cell: &Cell, level: &ServiceLevel) -> Vec<f64> {
        summary::samples(cell, |u| {
            summary::level_value(self.plan, u, level, self.classes)
        })
    }

    fn answer(&self, cell: &Cell, level: &ServiceLevel, value: &Interval) -> Answer {
        let (Some(low), Some(high)) = (value.low, value.high) else {
            return Answer::Undecided;
        };
        if value.n < ENOUGH || !self.is_supported(cell, level) {
            return Answer::Undecided;
        }
        let (inside, outside) = if level.below {
            (high < level.bound, low >= level.bound)
        } else {
            // Goodput is at most the offered load: at the bound it is met.
            (low >= level.bound, high < level.bound)
        };
        match (inside, outside) {
            (true, _) => Answer::Holds,
            (_, true) => Answer::Fails,
            _ => Answer::Undecided,
        }
    }

    fn is_supported(&self, cell: &Cell, level: &ServiceLevel) -> bool {
        summary::level_is_supported(cell, level, self.classes)
    }

    fn doubt(&self, cell: &Cell, level: &ServiceLevel, samples: &[f64]) -> String {
        if samples.is_empty() {
            return format!("no {} was measured", level.class);
        }
        if samples.len() < ENOUGH {
            return format!("{} replications are too few for a verdict", samples.len());
        }
        if !self.is_supported(cell, level) {
            return format!("too few samples for {}: run longer", level.statistic);
        }
        "the bound lies in the interval: run more replications".to_owned()
    }

    fn against_planned(&self, level: &ServiceLevel, samples: &[f64]) -> Because {
        let Some(base) = self.cell(Tweak::None).map(|c| self.samples(c, level)) else {
            return because("all sites up was not simulated");
        };
        match change(&base, samples) {
            Some(change) => (
                (change.abs() > VISIBLE).then_some("the absent site"),
                format!("{:+.0} % against all sites up", 100.0 * change),
            ),
            None if base == samples => because("the same with all sites up"),
            None => because("fewer replications were measured with all sites up"),
        }
    }

    /// The counterfactual that moves the value most, under common random numbers.
    fn limiting(&self, level: &ServiceLevel, base: &[f64]) -> Because {
        let mut moves: Vec<(f64, &'static str, &str)> = Vec::new();
        for tweak in Tweak::LIMITS {
            let Some(cell) = self.cell(tweak) else {
                continue;
            };
            if let Some(change) = change(base, &self.samples(cell, level)) {
                let how = if tweak == Tweak::Latency || tweak == Tweak::Interval {
                    "halved"
                } else {
                    "doubled"
                };
                moves.push((change, tweak.name(), how));
            }
        }
        if let Some(change) = self.finality_one_down(level, base) {
            moves.push((change, "finality", "one level down"));
        }
        let sign = if level.below { -1.0 } else { 1.0 };
        let best = moves
            .into_iter()
            .max_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)));
        match best {
            Some((change, what, how)) if sign * change > VISIBLE => (
                Some(what),
                format!("{what} {how}: {:+.0} %", 100.0 * change),
            ),
            _ if self.plan.kind == Kind::Scenario => because(""),
            _ => because(format!("nothing tried moves it by {} %", 100.0 * VISIBLE)),
        }
    }

    fn finality_one_down(&self, level: &ServiceLevel, base: &[f64]) -> Option<f64> {
        let depth = matches!(
            self.outcome.sheets[self.engine].finality,
            Ok(Finality::Depth { .. })
        );
        if level.metric != Metric::Final || !depth {
            return None;
        }
        let weaker = ServiceLevel {
            metric: Metric::Safe,
            ..level.clone()
        };
        change(base, &self.samples(self.cell(Tweak::None)?, &weaker))
    }
}

/// Whether an engine proves when something was there and knows nothing of what it was.
pub(crate) fn keeps_no_state(sheet: &EngineSheet) -> bool {
    sheet.facts.family == Family::Integrity
}

/// Whether a level asks for a state that the engine does not keep.
pub(crate) fn is_beside(sheet: &EngineSheet, level: &ServiceLevel) -> bool {
    let stateful = match level.metric {
        Metric::Exposure | Metric::Accepted | Metric::Served => true,
        // Which cases count hangs on what the rules say; times are until something is there.
        Metric::Told => level.statistic == Statistic::Rate,
        _ => false,
    };
    keeps_no_state(sheet) && stateful
}

/// Replications below which nothing is decided: Student's interval then rests on normality alone.
// assumption: the usual start of sequential stopping rules.
const ENOUGH: usize = 10;

/// A smaller change is not named.
// assumption: below what an architect would act on.
const VISIBLE: f64 = 0.02;

/// Relative change of the mean over the replications that both have; `None` unless they pair up.
fn change(base: &[f64], other: &[f64]) -> Option<f64> {
    let base = base.get(..other.len()).filter(|b| !b.is_empty())?;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let base = mean(base);
    (base > 0.0).then(|| mean(other) / base - 1.0)
}
