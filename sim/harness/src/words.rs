//! Words and figures that the screen and the report share.

use crate::analysis::Placement;
use crate::knee::{self, Knee};
use crate::level::{Level as ServiceLevel, LevelConfig, Standing as LevelStanding, Statistic};
use crate::plan::Plan;
use crate::run::Outcome;
use crate::stats::Interval;
use crate::study::Study;
use crate::summary;
use crate::unit::{EngineSheet, Tweak};
use crate::verdict::{self, Answer, Row};
use quorate_core::{Family, Finality, Guarantee, Level, Standing};

/// Milliseconds in the unit that reads best.
pub(crate) fn duration(ms: f64) -> String {
    if ms < 1e3 {
        format!("{} ms", short(ms))
    } else if ms < 120e3 {
        format!("{} s", short(ms / 1e3))
    } else {
        format!("{} min", short(ms / 60e3))
    }
}

/// Three significant digits or so.
pub(crate) fn short(x: f64) -> String {
    match x.abs() {
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// Six significant digits, for what is compared.
pub(crate) fn exact(x: f64) -> String {
    let digits = x.abs();
    let after = match digits {
        d if d >= 1e5 => 0,
        d if d >= 1e3 => 2,
        d if d >= 1.0 => 5,
        d if d >= 1e-4 => 9,
        _ => return format!("{x:.5e}"),
    };
    format!("{x:.after$}")
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// An estimate with its interval, which cannot reach below zero for what is counted or timed.
pub(crate) fn interval(value: &Interval, format: impl Fn(f64) -> String) -> String {
    match (value.mean, value.low, value.high) {
        (Some(mean), Some(low), Some(high)) => {
            let (low, high) = (format(low.max(0.0)), format(high));
            format!("{} ({low} to {high})", format(mean))
        }
        (Some(mean), ..) => format(mean),
        _ => "-".to_owned(),
    }
}

/// At which load a plan is judged, in words that go on a sentence.
pub(crate) fn at(plan: &Plan) -> String {
    plan.judged_tps()
        .map_or_else(String::new, |tps| format!(" at {tps} writes/s"))
}

/// For how many answers the intervals of a verdict are corrected.
pub(crate) fn corrected(study: &Study) -> String {
    format!(
        "{} % intervals corrected for {} comparisons",
        100.0 * study.plan.confidence,
        verdict::comparisons(study)
    )
}

/// A verdict's value with its interval.
pub(crate) fn value(row: &Row, share: bool) -> String {
    // Nor can a share be above one.
    let whole = |x: f64| percent(x.min(1.0));
    if share {
        interval(&row.value, whole)
    } else {
        interval(&row.value, duration)
    }
}

/// Why a service level is answered as it is, in a sentence: what was found against what is asked, and
/// what moves it or why it cannot be said.
pub(crate) fn why(row: &Row, level: &LevelConfig) -> String {
    let parsed = ServiceLevel::parse(&level.expect).expect("the plan was checked");
    let format = |x: f64| {
        if row.share {
            percent(x.min(1.0))
        } else {
            duration(x)
        }
    };
    let most = if parsed.below { "at most" } else { "at least" };
    let bound = format(parsed.bound);
    let found = match (row.value.mean.map(format), row.margin) {
        (None, _) => None,
        (Some(found), Some(margin)) if !row.share && margin >= 1.0 => Some(format!(
            "{found} is {}× better than the {bound} asked",
            short(margin)
        )),
        (Some(found), Some(margin)) if !row.share && margin > 0.0 => Some(format!(
            "{found} is {}× the {bound} allowed",
            short(1.0 / margin)
        )),
        (Some(found), _) => Some(format!("{found}, where {most} {bound} is asked")),
    };
    let parts: Vec<String> = [found, Some(row.reason.clone())]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    format!("{}.", parts.join("; "))
}

/// Whether a level's value is a share, not a time.
pub(crate) fn is_share(level: &LevelConfig) -> bool {
    let parsed = ServiceLevel::parse(&level.expect).expect("the plan was checked");
    parsed.statistic == Statistic::Rate
}

/// A verdict's margin.
pub(crate) fn margin(row: &Row) -> String {
    row.margin
        .map_or_else(|| "-".to_owned(), |m| format!("{}×", short(m)))
}

/// What a knee says of an engine.
pub(crate) fn knee(knee: &Knee) -> String {
    match (knee.carried_tps, knee.lost_tps) {
        (Some(low), Some(high)) => format!("carries {low} and not {high}"),
        (Some(low), None) => format!("carries all loads tried, up to {low}"),
        (None, Some(least)) => format!("does not even carry {least}"),
        (None, None) => "is never final, hence carries nothing of".to_owned(),
    }
}

/// Whether an engine is a ledger that an architect may deploy.
pub(crate) fn is_recommendable(outcome: &Outcome, engine: usize) -> bool {
    let facts = &outcome.sheets[engine].facts;
    !matches!(facts.family, Family::Baseline | Family::Integrity)
        && facts.standing == Standing::Deployable
}

/// The ledgers that are shown to meet every level and can be recommended; `None` without levels.
pub(crate) fn recommended(plan: &Plan, outcome: &Outcome, rows: &[Row]) -> Option<Vec<usize>> {
    let holds = |engine: usize| {
        let mut of = rows.iter().filter(|r| r.engine == engine);
        of.all(|r| r.answer == Answer::Holds)
    };
    let engines = 0..plan.engines.len();
    let good = engines.filter(|&e| holds(e) && is_recommendable(outcome, e));
    (!rows.is_empty()).then(|| good.collect())
}

/// One sentence for the architect.
pub(crate) fn recommendation(plan: &Plan, outcome: &Outcome, rows: &[Row]) -> String {
    let Some(good) = recommended(plan, outcome, rows) else {
        return "The plan has no service levels: there is nothing to recommend.".to_owned();
    };
    let names: Vec<&str> = good.iter().map(|&e| plan.engines[e].label()).collect();
    let sentence = match names.as_slice() {
        [] => "No ledger in this comparison is shown to meet every level".to_owned(),
        [one] => format!("Of the ledgers, only {one} meets every level"),
        [most @ .., last] => format!("{} and {last} meet every level", most.join(", ")),
    };
    let is_assumed = |l: &LevelConfig| l.standing == LevelStanding::Assumption;
    let caveat = if plan.levels.iter().all(is_assumed) {
        "; every level here is an assumption, not a law"
    } else {
        ""
    };
    format!("{sentence}{caveat}.")
}

/// The fewest sites or regions whose loss halts an engine.
pub(crate) fn halting(place: &Placement) -> String {
    let s = if place.halting_sites == 1 { "" } else { "s" };
    format!("{} site{s}{}", place.halting_sites, regions(place))
}

/// The fewest regions whose loss halts an engine, after its sites.
pub(crate) fn regions(place: &Placement) -> String {
    match &place.halting_regions {
        Some(names) if names.len() == 1 => format!(" or {}", names[0]),
        Some(names) => format!(" or {} regions", names.len()),
        None => String::new(),
    }
}

/// Up to which load an engine's answers reach, as a multiple of the one that is judged.
pub(crate) fn reach(plan: &Plan, outcome: &Outcome, engine: usize) -> Option<String> {
    let today = plan.load.decide_at_tps?;
    let knee = knee::knee(outcome, engine);
    let most = knee.carried_tps.filter(|&most| most >= today)?;
    let times = short(most / today);
    Some(match knee.lost_tps {
        Some(lost) => format!(
            "carries up to {times}× today's load ({most} writes/s), and no longer {}×",
            short(lost / today)
        ),
        None if most > today => {
            format!("carries at least {times}× today's load ({most} writes/s, the largest tried)")
        }
        None => format!("carries today's load of {today} writes/s; no larger one was tried"),
    })
}

/// How an engine's blocks become final, and on which condition.
pub(crate) fn finality(place: &Placement, sheet: &EngineSheet) -> String {
    match (&sheet.finality, place.depths) {
        (Err(why), _) => format!("never: {why}"),
        (_, Some((safe, fin))) => format!(
            "{fin} blocks, against {} (safe: {safe}), if {}",
            match bears(sheet) {
                1 => "1 liar".to_owned(),
                most => format!("{most} liars"),
            },
            sheet.facts.final_holds_if
        ),
        _ if sheet.facts.guarantee == Guarantee::Synchrony => format!(
            "by rule, conditional on synchrony: if {}",
            sheet.facts.final_holds_if
        ),
        _ => format!("on commit, if {}", sheet.facts.final_holds_if),
    }
}

/// How far the load is from what an engine can carry.
pub(crate) fn headroom(plan: &Plan, outcome: &Outcome, engine: usize) -> Option<String> {
    let decisive = plan.load.decide_at_tps?;
    let label = plan.engines[engine].label();
    let knee = knee::knee(outcome, engine);
    let times = |most: f64| short(most / decisive);
    Some(match (knee.carried_tps, knee.lost_tps) {
        (Some(most), None) if most > decisive => format!(
            "{label} carries every load tried: headroom at least {}× at {decisive} writes/s",
            times(most)
        ),
        (Some(most), None) => format!("{label} carries {most} writes/s; no larger load was tried"),
        (Some(most), Some(lost)) if most >= decisive => format!(
            "{label} carries {most} and not {lost} writes/s: headroom {}×",
            times(most)
        ),
        _ => format!("{label} does not carry {decisive} writes/s"),
    })
}

/// Corrupt organisations that finality is held against: a committee's bound, or the adversary that
/// a depth was computed for.
pub(crate) fn bears(sheet: &EngineSheet) -> u32 {
    match sheet.finality {
        Ok(Finality::Depth { .. }) => {
            (sheet.adversary.share * sheet.committee.len() as f64).round() as u32
        }
        _ => sheet.promises.byzantine,
    }
}

/// What a ledger costs over the baseline, and what it buys.
pub(crate) struct Price {
    /// The baseline, an index into the plan's engines.
    pub(crate) baseline: usize,
    /// Its mean latency to final, ms.
    pub(crate) base_ms: f64,
    /// Each other engine that is ever final: how much longer that takes, ms, and how many lying
    /// organisations it bears.
    pub(crate) others: Vec<(usize, f64, u32)>,
}

/// The price of each ledger at the load that is judged; `None` without a baseline.
pub(crate) fn prices(plan: &Plan, outcome: &Outcome) -> Option<Price> {
    let engines = 0..plan.engines.len();
    let baseline = engines
        .clone()
        .find(|&e| outcome.sheets[e].facts.family == Family::Baseline)?;
    let mean = |engine: usize| {
        let cell = outcome.cell(engine, plan.load.decide_at_tps, Tweak::None)?;
        let samples = summary::samples(cell, |u| {
            let h = summary::latency(u, None, Level::Final);
            (!h.is_empty()).then(|| summary::mean_ms(h))
        });
        Interval::point(&samples).mean
    };
    let base_ms = mean(baseline)?;
    let others = engines
        .filter(|&e| e != baseline)
        .filter_map(|e| Some((e, mean(e)? - base_ms, bears(&outcome.sheets[e]))));
    Some(Price {
        baseline,
        base_ms,
        others: others.collect(),
    })
}

/// The same in a sentence.
pub(crate) fn price(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let price = prices(plan, outcome)?;
    let cost = |&(e, longer, liars): &(usize, f64, u32)| {
        let label = plan.engines[e].label();
        let waits = duration(longer);
        format!("{label} waits {waits} longer and bears {liars} lying organisations")
    };
    let costs: Vec<String> = price.others.iter().map(cost).collect();
    let label = plan.engines[price.baseline].label();
    (!costs.is_empty()).then(|| {
        format!(
            "against {label} (no ledger, trusts one operator, final in {}): {}",
            duration(price.base_ms),
            costs.join("; ")
        )
    })
}
