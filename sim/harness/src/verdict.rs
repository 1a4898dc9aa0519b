//! The verdict: which engine meets which service level, by which margin, and what limits it.
//!
//! An answer rests on Student's interval at a confidence corrected for all answers of the study
//! (Bonferroni), whatever `interval` the plan shows elsewhere: so far out in the tails the bootstrap of
//! a few replications has nothing to say. A cell that was not steady, or was given up, has no interval,
//! and no answer but that it fails or cannot be judged.

use crate::level::{Level as ServiceLevel, LevelConfig, Metric, Statistic};
use crate::plan::{Kind, Plan};
use crate::run::{Cell, Outcome};
use crate::stats::{self, Interval};
use crate::study::{Part, Study};
use crate::unit::{Done, EngineSheet, Tweak, UnitStatus};
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

impl Row {
    /// What it was held against, in results.
    pub(crate) const fn situation(&self) -> &'static str {
        if self.site_down {
            "one site down"
        } else {
            "all sites up"
        }
    }
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
    // Varied inputs are held against the plan as it is, and give no answers of their own.
    let is_varied = |part: &&Part| part.plan.kind == Kind::Sensitivity && part.combination > 0;
    study.parts.iter().filter(|p| !is_varied(p)).map(of).sum()
}

/// The rows of every part of a study; none where its kind of plan is not judged.
pub fn judge_all(study: &Study, outcomes: &[Outcome]) -> Vec<Vec<Row>> {
    let comparisons = comparisons(study);
    let parts = study.parts.iter().zip(outcomes);
    let rows = parts.map(|(part, outcome)| match study.plan.kind {
        Kind::Compare | Kind::Scenario => judge(part, outcome, comparisons),
        _ => Vec::new(),
    });
    rows.collect()
}

/// What a plan's levels are held against: as planned, and in a comparison with one site down as well.
fn situations(plan: &Plan) -> &'static [bool] {
    match plan.kind {
        Kind::Scenario | Kind::Capacity | Kind::Sensitivity => &[false],
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
                let tweak = if site_down {
                    Tweak::SiteDown
                } else {
                    Tweak::None
                };
                rows.push(judge.judged(level, tweak));
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

/// A replication, and what was measured in it.
type Sample = (u32, f64);

const NOTHING: Interval = Interval {
    mean: None,
    low: None,
    high: None,
    half_width: None,
    n: 0,
};

/// One engine against every level of its plan, at a load and under a change.
pub(crate) fn judge_at(
    part: &Part,
    outcome: &Outcome,
    engine: usize,
    (offered_tps, tweak): (Option<f64>, Tweak),
) -> Vec<Row> {
    let mut plan = part.plan.clone();
    plan.load.decide_at_tps = offered_tps;
    let levels = plan.levels.iter().enumerate();
    let row = |(level, config)| {
        let judge = Judge {
            plan: &plan,
            outcome,
            classes: &part.workload.classes(),
            confidence: stats::bonferroni(plan.confidence, part.comparisons.max(1)),
            engine,
            config,
        };
        judge.judged(level, tweak)
    };
    levels.map(row).collect()
}

/// What limits an engine with regard to one of its plan's levels at a load, whether it is met or not.
pub(crate) fn limit_at(
    part: &Part,
    outcome: &Outcome,
    (engine, level): (usize, usize),
    offered_tps: f64,
) -> String {
    let mut plan = part.plan.clone();
    plan.load.decide_at_tps = Some(offered_tps);
    let judge = Judge {
        plan: &plan,
        outcome,
        classes: &part.workload.classes(),
        confidence: plan.confidence,
        engine,
        config: &plan.levels[level],
    };
    let Some(cell) = judge.cell(Tweak::None) else {
        return String::new();
    };
    if summary::status(cell) == UnitStatus::Saturated {
        return judge.saturation().1;
    }
    let level = ServiceLevel::parse(&judge.config.expect).expect("the plan was checked");
    judge.limiting(&level, &judge.samples(cell, &level)).1
}

impl Judge<'_> {
    fn judged(&self, level: usize, tweak: Tweak) -> Row {
        let (answer, value, margin, (limit, reason)) = self.row(tweak);
        Row {
            engine: self.engine,
            level,
            site_down: tweak == Tweak::SiteDown,
            answer,
            value,
            margin,
            share: words::is_share(self.config),
            limit,
            reason,
        }
    }

    fn row(&self, tweak: Tweak) -> (Answer, Interval, Option<f64>, Because) {
        if let Err(why) = &self.outcome.sheets[self.engine].finality {
            return (Answer::Fails, NOTHING, None, because(why.as_str()));
        }
        let level = ServiceLevel::parse(&self.config.expect).expect("the plan was checked");
        if is_beside(&self.outcome.sheets[self.engine], &level) {
            return (Answer::NotApplicable, NOTHING, None, because(NO_STATE));
        }
        let Some(cell) = self.cell(tweak) else {
            return (Answer::Undecided, NOTHING, None, because("not simulated"));
        };
        let (samples, status) = self.measured(cell, &level);
        let value = self.interval(&samples, status);
        let margin = value.mean.and_then(|v| margin(&level, v));
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
            UnitStatus::NotSteady => return self.not_steady(cell, &level),
            UnitStatus::Ok => {}
        }
        if let Some(open) = self.unseen(cell, &level) {
            let why = format!("{open} never reached every live site's view: run longer");
            return (Answer::Undecided, value, margin, because(why));
        }
        let answer = self.answer(cell, &level, &value);
        let reason = match answer {
            Answer::Undecided => because(self.doubt(cell, &level, &samples)),
            _ if tweak != Tweak::None => self.against_planned(&level, &samples, tweak),
            _ => self.limiting(&level, &samples),
        };
        (answer, value, margin, reason)
    }

    /// Without a steady mean a level is undecided, unless every replication by itself lies outside the
    /// bound: queues that still grow only get longer. What is shown is the best of them.
    fn not_steady(
        &self,
        cell: &Cell,
        level: &ServiceLevel,
    ) -> (Answer, Interval, Option<f64>, Because) {
        let values: Vec<f64> = cell
            .units
            .iter()
            .filter_map(|u| self.value(u, level))
            .collect();
        let better = |a: f64, b: f64| if level.below { a.min(b) } else { a.max(b) };
        let Some(best) = values.iter().copied().reduce(better) else {
            return (Answer::Undecided, NOTHING, None, because(unsteady(cell)));
        };
        let value = Interval {
            mean: Some(best),
            n: values.len(),
            ..NOTHING
        };
        let enough = values.len() >= ENOUGH && self.is_supported(cell, level);
        let (answer, why) = if enough && held(level, best, best) == Answer::Fails {
            let n = values.len();
            let why = format!(
                "outside in all {n} replications, the best of which is shown; {}",
                unsteady(cell)
            );
            (Answer::Fails, why)
        } else {
            (Answer::Undecided, unsteady(cell))
        };
        (answer, value, margin(level, best), because(why))
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
            let samples = summary::by_replication(cell, |u| Some(summary::included_tps(u)));
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

    fn samples(&self, cell: &Cell, level: &ServiceLevel) -> Vec<Sample> {
        summary::by_replication(cell, |u| self.value(u, level))
    }

    fn value(&self, unit: &Done, level: &ServiceLevel) -> Option<f64> {
        summary::level_value(self.plan, unit, level, self.classes)
    }

    /// The samples of a level, and the status that they have. A local read waits for no consensus: it
    /// is answered whatever piles up, in every unit.
    fn measured(&self, cell: &Cell, level: &ServiceLevel) -> (Vec<Sample>, UnitStatus) {
        if level.metric != Metric::Served {
            return (self.samples(cell, level), summary::status(cell));
        }
        let of = |u: &Done| Some((u.key.replication, self.value(u, level)?));
        (cell.units.iter().filter_map(of).collect(), UnitStatus::Ok)
    }

    fn interval(&self, samples: &[Sample], status: UnitStatus) -> Interval {
        let values: Vec<f64> = samples.iter().map(|s| s.1).collect();
        match status {
            UnitStatus::Ok => stats::student_interval(&values, self.confidence),
            _ => Interval::point(&values),
        }
    }

    fn answer(&self, cell: &Cell, level: &ServiceLevel, value: &Interval) -> Answer {
        let (Some(low), Some(high)) = (value.low, value.high) else {
            return Answer::Undecided;
        };
        if value.n < ENOUGH || !self.is_supported(cell, level) {
            return Answer::Undecided;
        }
        held(level, low, high)
    }

    fn is_supported(&self, cell: &Cell, level: &ServiceLevel) -> bool {
        summary::level_is_supported(cell, level, self.classes)
    }

    fn doubt(&self, cell: &Cell, level: &ServiceLevel, samples: &[Sample]) -> String {
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

    fn against_planned(&self, level: &ServiceLevel, samples: &[Sample], tweak: Tweak) -> Because {
        let planned = match tweak {
            Tweak::Tuned(_) => "the interval as planned",
            _ => "all sites up",
        };
        let Some(base) = self.cell(Tweak::None).map(|c| self.samples(c, level)) else {
            return because(format!("{planned} was not simulated"));
        };
        match change(&base, samples) {
            Some(change) => {
                let seen = tweak == Tweak::SiteDown && change.abs() > VISIBLE;
                (
                    seen.then_some("the absent site"),
                    format!("{:+.0} % against {planned}", 100.0 * change),
                )
            }
            None if base == samples => because(format!("the same with {planned}")),
            None => because(format!("fewer replications were measured with {planned}")),
        }
    }

    /// The counterfactual that moves the value most, under common random numbers.
    fn limiting(&self, level: &ServiceLevel, base: &[Sample]) -> Because {
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

    fn finality_one_down(&self, level: &ServiceLevel, base: &[Sample]) -> Option<f64> {
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

/// On which side of the bound a whole interval lies.
pub(crate) fn held(level: &ServiceLevel, low: f64, high: f64) -> Answer {
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

/// Bound over value, or value over bound where more is better: above 1 is inside. Nothing at all is below
/// any bound, by no factor.
pub(crate) fn margin(level: &ServiceLevel, value: f64) -> Option<f64> {
    let margin = if level.below {
        level.bound / value
    } else {
        value / level.bound
    };
    margin.is_finite().then_some(margin)
}

/// Whether an engine proves when something was there and knows nothing of what it was.
pub(crate) fn keeps_no_state(sheet: &EngineSheet) -> bool {
    sheet.facts.family == Family::Integrity
}

/// Whether a level asks for a state that the engine does not keep.
pub(crate) fn is_beside(sheet: &EngineSheet, level: &ServiceLevel) -> bool {
    keeps_no_state(sheet) && is_stateful(level)
}

/// Whether a level is about what the ledger keeps.
pub(crate) fn is_stateful(level: &ServiceLevel) -> bool {
    match level.metric {
        Metric::Exposure | Metric::Accepted | Metric::Served => true,
        // Which cases count hangs on what the rules say; times are until something is there.
        Metric::Told => level.statistic == Statistic::Rate,
        _ => false,
    }
}

/// What is said where an engine keeps nothing that a level is about.
pub(crate) const NO_STATE: &str = "it proves when something was there; it keeps no state that could be \
    consented to, revoked or spent twice";

/// Replications below which nothing is decided: Student's interval then rests on normality alone.
// assumption: the usual start of sequential stopping rules.
pub(crate) const ENOUGH: usize = 10;

/// A smaller change is not named.
// assumption: below what an architect would act on.
const VISIBLE: f64 = 0.02;

/// Relative change of the mean over the replications that both have; `None` without any.
fn change(base: &[Sample], other: &[Sample]) -> Option<f64> {
    let both = summary::pairs(base, other);
    let sum = |of: fn(&(f64, f64)) -> f64| both.iter().map(of).sum::<f64>();
    let (base, other) = (sum(|p| p.0), sum(|p| p.1));
    (base > 0.0).then(|| other / base - 1.0)
}

/// Which replications of a cell were not steady.
fn unsteady(cell: &Cell) -> String {
    let units = cell.units.iter();
    let wrong = units.filter(|u| u.status == UnitStatus::NotSteady).count();
    format!(
        "the warm-up did not end in {wrong} of {} replications: run longer",
        cell.units.len()
    )
}
