//! What is printed: the placement first, then the verdict and where the results lie.

use crate::analysis::{self, Placement};
use crate::level::{Level as ServiceLevel, LevelConfig, Statistic};
use crate::output::Ran;
use crate::plan::{Kind, Plan, Profile};
use crate::run::{Cell, Outcome};
use crate::study::{Part, Study};
use crate::unit::{Done, EngineSheet, Tweak, UnitStatus};
use crate::verdict::{self, Answer, Row};
use crate::workload::Workload;
use crate::{knee, summary};
use quorate_core::{Finality, Level, Standing};
use std::fmt::Write as _;
use std::path::Path;

/// What is known before any simulation, for each profile.
pub fn placements(study: &Study) -> String {
    let mut text = String::new();
    let mut shown: Vec<Profile> = Vec::new();
    for part in &study.parts {
        if !shown.contains(&part.profile) {
            shown.push(part.profile);
            placement(&mut text, study, part);
        }
    }
    text
}

fn placement(text: &mut String, study: &Study, part: &Part) {
    let plan = &part.plan;
    let profile = if study.has_profiles() {
        format!(", {} settings", part.profile.name())
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "{} nodes in {}{profile} (before any simulation)",
        plan.network.nodes,
        plan.network.regions.join(", ")
    );
    let mut rows = vec![words(&[
        "engine",
        "family",
        "who votes",
        "agree by",
        "liars",
        "down",
        "halts without",
        "final",
    ])];
    for (entry, sheet) in plan.engines.iter().zip(&part.sheets) {
        let place = analysis::placement(plan, sheet);
        rows.push(vec![
            entry.label().to_owned(),
            analysis::family_name(sheet.facts.family).to_owned(),
            sheet.facts.electorate.name().to_owned(),
            sheet.facts.agreement.name().to_owned(),
            place.byzantine.to_string(),
            place.crashed.to_string(),
            halting(&place),
            finality(&place, sheet),
        ]);
    }
    table(text, &rows);
}

/// What the simulation showed.
pub fn report(study: &Study, ran: &[Ran<'_>], folder: &Path) -> String {
    let mut text = String::new();
    match (study.plan.kind, ran) {
        (Kind::Compare, [only]) => {
            verdict(&mut text, &only.part.plan, only.outcome, only.rows);
            load_table(&mut text, &only.part.plan, only.outcome);
        }
        (Kind::Compare, many) => overview(&mut text, study, many),
        (Kind::Curve, many) => {
            for one in many {
                title(&mut text, study, one.part);
                load_table(&mut text, &one.part.plan, one.outcome);
                knees(&mut text, one);
            }
        }
        (Kind::Scale, many) => scale_table(&mut text, many),
        (Kind::Replay, many) => {
            for one in many {
                replay(&mut text, &one.part.plan, &one.part.workload, one.outcome);
            }
        }
    }
    let _ = writeln!(text, "results: {}", folder.display());
    text
}

fn title(text: &mut String, study: &Study, part: &Part) {
    if study.parts.len() > 1 {
        let _ = writeln!(text, "{}, {} settings", part.label, part.profile.name());
    }
}

/// The verdict of a study with several workloads or profiles: one line an engine and workload, with
/// the level that decides.
fn overview(text: &mut String, study: &Study, ran: &[Ran<'_>]) {
    let _ = writeln!(
        text,
        "verdict ({} replications; {} % intervals corrected for {} comparisons)",
        study.plan.replications,
        100.0 * study.plan.confidence,
        verdict::comparisons(study)
    );
    for one in ran {
        let plan = &one.part.plan;
        let load = plan.load.decide_at_tps.unwrap_or(0.0);
        let _ = writeln!(
            text,
            "\n{} at {load} writes/s, {} settings",
            one.part.label,
            one.part.profile.name()
        );
        let mut lines = vec![words(&[
            "engine",
            "answer",
            "decided by",
            "value (interval)",
            "margin",
            "because",
        ])];
        for engine in 0..plan.engines.len() {
            let Some(all) = verdict::overall(one.rows, engine) else {
                continue;
            };
            let level = &plan.levels[all.by.level];
            let sites = if all.by.site_down {
                ", one site down"
            } else {
                ""
            };
            lines.push(vec![
                plan.engines[engine].label().to_owned(),
                all.answer.name().to_owned(),
                format!("{}{sites}", level.expect),
                value(all.by, is_share(level)),
                margin(all.by),
                all.by.reason.clone(),
            ]);
        }
        table(text, &lines);
        recommendation(text, plan, one.outcome, one.rows);
    }
}

fn is_share(level: &LevelConfig) -> bool {
    let parsed = ServiceLevel::parse(&level.expect).expect("the plan was checked");
    parsed.statistic == Statistic::Rate
}

fn margin(row: &Row) -> String {
    row.margin
        .map_or_else(|| "-".to_owned(), |m| format!("{}×", short(m)))
}

/// Where each engine stops carrying what is offered.
fn knees(text: &mut String, ran: &Ran<'_>) {
    for (e, engine) in ran.part.plan.engines.iter().enumerate() {
        let knee = knee::knee(ran.outcome, e);
        let bound = analysis::ceiling(ran.part, e).map_or_else(String::new, |(what, tps)| {
            format!("; {what} allows at most {}", short(tps))
        });
        let line = match (knee.carried_tps, knee.lost_tps) {
            (Some(low), Some(high)) => format!("carries {low} and not {high}"),
            (Some(low), None) => format!("carries all loads tried, up to {low}"),
            _ => "carries none of the loads tried".to_owned(),
        };
        let _ = writeln!(text, "  {} {line} transactions/s{bound}", engine.label());
    }
    text.push('\n');
}

/// The sizes of a scalability study.
fn scale_table(text: &mut String, ran: &[Ran<'_>]) {
    let mut rows = vec![words(&[
        "nodes",
        "engine",
        "offered/s",
        "status",
        "goodput/s",
        "final p50",
        "messages/block",
        "bound/s",
    ])];
    for one in ran {
        let plan = &one.part.plan;
        for cell in &one.outcome.cells {
            let of = |f: &dyn Fn(&Done) -> Option<f64>| {
                summary::interval(&summary::samples(cell, f), plan.confidence).mean
            };
            let show = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), short);
            let final_ms = of(&|u| {
                let h = summary::latency(u, None, Level::Final);
                (!h.is_empty()).then(|| summary::percentile_ms(h, 50.0))
            });
            rows.push(vec![
                plan.network.nodes.to_string(),
                plan.engines[cell.engine].label().to_owned(),
                cell.offered_tps
                    .map_or_else(|| "-".to_owned(), |t| format!("{t}")),
                summary::status(cell).name().to_owned(),
                show(of(&|u| Some(summary::goodput_tps(u)))),
                final_ms.map_or_else(|| "-".to_owned(), duration),
                show(of(&|u| Some(summary::messages_per_block(u)))),
                show(analysis::ceiling(one.part, cell.engine).map(|c| c.1)),
            ]);
        }
    }
    table(text, &rows);
}

/// Lines of cells, in columns as wide as their widest cell.
fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|s| s.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, " {cell:width$} ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
}

fn words(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|&c| c.to_owned()).collect()
}

fn halting(place: &Placement) -> String {
    let regions = match &place.halting_regions {
        Some(names) if names.len() == 1 => format!(" or {}", names[0]),
        Some(names) => format!(" or {} regions", names.len()),
        None => String::new(),
    };
    let s = if place.halting_sites == 1 { "" } else { "s" };
    format!("{} site{s}{regions}", place.halting_sites)
}

fn finality(place: &Placement, sheet: &EngineSheet) -> String {
    match (&sheet.finality, place.depths) {
        (Err(why), _) => format!("never: {why}"),
        (_, Some((safe, fin))) => format!(
            "{fin} blocks (safe: {safe}), if {}",
            sheet.facts.final_holds_if
        ),
        _ => format!("on commit, if {}", sheet.facts.final_holds_if),
    }
}

fn verdict(text: &mut String, plan: &Plan, outcome: &Outcome, rows: &[Row]) {
    let load = plan.load.decide_at_tps.unwrap_or(0.0);
    let comparisons = rows.len();
    let _ = writeln!(
        text,
        "verdict at {load} writes/s ({} replications; {} % intervals corrected for {comparisons} comparisons)",
        plan.replications,
        100.0 * plan.confidence
    );
    let mut lines = vec![words(&[
        "engine",
        "service level",
        "standing",
        "sites",
        "answer",
        "value (interval)",
        "margin",
        "because",
    ])];
    for row in rows {
        let level = &plan.levels[row.level];
        let share = is_share(level);
        lines.push(vec![
            plan.engines[row.engine].label().to_owned(),
            level.expect.clone(),
            level.standing.to_string(),
            if row.site_down { "one down" } else { "all up" }.to_owned(),
            row.answer.name().to_owned(),
            value(row, share),
            margin(row),
            row.reason.clone(),
        ]);
    }
    table(text, &lines);
    recommendation(text, plan, outcome, rows);
}

fn value(row: &Row, share: bool) -> String {
    let format = |x: f64| {
        if share {
            format!("{:.1} %", 100.0 * x)
        } else {
            duration(x)
        }
    };
    match (row.value.mean, row.value.low, row.value.high) {
        (Some(mean), Some(low), Some(high)) => {
            format!(
                "{} ({} to {})",
                format(mean),
                format(low.max(0.0)),
                format(high)
            )
        }
        (Some(mean), ..) => format(mean),
        _ => "-".to_owned(),
    }
}

/// Milliseconds in the unit that reads best.
fn duration(ms: f64) -> String {
    if ms < 1e3 {
        format!("{} ms", short(ms))
    } else if ms < 120e3 {
        format!("{} s", short(ms / 1e3))
    } else {
        format!("{} min", short(ms / 60e3))
    }
}

/// Three significant digits or so.
fn short(x: f64) -> String {
    match x.abs() {
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 1.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// One sentence for the architect.
fn recommendation(text: &mut String, plan: &Plan, outcome: &Outcome, rows: &[Row]) {
    let of = |engine: usize| rows.iter().filter(move |r| r.engine == engine);
    let holds = |engine: usize| of(engine).all(|r| r.answer == Answer::Holds);
    let is_ledger = |e: usize| outcome.sheets[e].facts.family != quorate_core::Family::Baseline;
    let deployable = |e: usize| outcome.sheets[e].facts.standing == Standing::Deployable;
    let engines = 0..plan.engines.len();
    let good: Vec<&str> = engines
        .clone()
        .filter(|&e| holds(e) && is_ledger(e) && deployable(e))
        .map(|e| plan.engines[e].label())
        .collect();
    let sentence = match good.as_slice() {
        [] => "No ledger in this comparison is shown to meet every level".to_owned(),
        [one] => format!("Of the ledgers, only {one} meets every level"),
        many => format!("{} meet every level", many.join(" and ")),
    };
    let assumed = plan
        .levels
        .iter()
        .all(|l| l.standing == crate::level::Standing::Assumption);
    let caveat = if assumed {
        "; every level here is an assumption, not a law"
    } else {
        ""
    };
    let _ = writeln!(text, "{sentence}{caveat}.");
    for engine in engines {
        if let Some(line) = headroom(plan, outcome, engine) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(line) = price(plan, outcome) {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
}

/// How far the load is from what an engine can carry.
fn headroom(plan: &Plan, outcome: &Outcome, engine: usize) -> Option<String> {
    let decisive = plan.load.decide_at_tps?;
    let planned = outcome
        .cells
        .iter()
        .filter(|c| c.engine == engine && c.tweak == Tweak::None);
    let carried = planned.filter(|c| summary::status(c) == UnitStatus::Ok);
    let most = carried.filter_map(|c| c.offered_tps).fold(0.0, f64::max);
    let label = plan.engines[engine].label();
    let tried = plan.load.offered_tps.iter().copied().fold(0.0, f64::max);
    Some(if most >= tried {
        format!(
            "{label} carries every load tried: headroom at least {}× at {decisive} writes/s",
            short(tried / decisive)
        )
    } else if most >= decisive {
        format!(
            "{label} is steady up to {most} writes/s, not at the next load tried: headroom {}×",
            short(most / decisive)
        )
    } else {
        format!("{label} is not steady at {decisive} writes/s")
    })
}

/// Corrupt organisations that finality is held against: a committee's bound, or the adversary that
/// a depth was computed for.
fn bears(plan: &Plan, sheet: &EngineSheet) -> u32 {
    match sheet.finality {
        Ok(Finality::Depth { .. }) => {
            (sheet.adversary.share * f64::from(plan.network.nodes)).round() as u32
        }
        _ => sheet.promises.byzantine,
    }
}

/// What a ledger costs over the baseline, and what it buys.
fn price(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let engines = 0..plan.engines.len();
    let baseline = engines
        .clone()
        .find(|&e| outcome.sheets[e].facts.family == quorate_core::Family::Baseline)?;
    let mean = |engine: usize| {
        let cell = outcome.cell(engine, plan.load.decide_at_tps, Tweak::None)?;
        let samples = summary::samples(cell, |u| {
            let h = summary::latency(u, None, Level::Final);
            (!h.is_empty()).then(|| summary::mean_ms(h))
        });
        summary::interval(&samples, plan.confidence).mean
    };
    let base = mean(baseline)?;
    let costs: Vec<String> = engines
        .filter(|&e| e != baseline)
        .filter_map(|e| {
            let label = plan.engines[e].label();
            let (fin, liars) = (mean(e)?, bears(plan, &outcome.sheets[e]));
            Some(format!(
                "{label} waits {} longer and bears {liars} lying organisations",
                duration(fin - base)
            ))
        })
        .collect();
    let label = plan.engines[baseline].label();
    (!costs.is_empty()).then(|| {
        format!(
            "against {label} (no ledger, trusts one operator, final in {}): {}",
            duration(base),
            costs.join("; ")
        )
    })
}

fn load_table(text: &mut String, plan: &Plan, outcome: &Outcome) {
    let _ = writeln!(text, "load sweep (mean over replications)");
    let mut rows = vec![words(&[
        "engine",
        "offered/s",
        "status",
        "goodput/s",
        "included p50",
        "final p50",
        "final p99",
        "block fill",
    ])];
    for cell in outcome.cells.iter().filter(|c| c.tweak == Tweak::None) {
        let of = |f: &dyn Fn(&Done) -> Option<f64>| {
            summary::interval(&summary::samples(cell, f), plan.confidence).mean
        };
        let latency = |level: Level, p: f64| {
            of(&|u| {
                let h = summary::latency(u, None, level);
                (!h.is_empty()).then(|| summary::percentile_ms(h, p))
            })
            .map_or_else(|| "-".to_owned(), duration)
        };
        let fill = of(&|u| Some(summary::block_fill(u)));
        rows.push(vec![
            plan.engines[cell.engine].label().to_owned(),
            cell.offered_tps
                .map_or_else(|| "-".to_owned(), |t| format!("{t}")),
            summary::status(cell).name().to_owned(),
            of(&|u| Some(summary::goodput_tps(u))).map_or_else(|| "-".to_owned(), short),
            latency(Level::Included, 50.0),
            latency(Level::Final, 50.0),
            latency(Level::Final, 99.0),
            fill.map_or_else(|| "-".to_owned(), |f| format!("{:.1} %", 100.0 * f)),
        ]);
    }
    table(text, &rows);
}

fn replay(text: &mut String, plan: &Plan, workload: &Workload, outcome: &Outcome) {
    if let Some(imported) = workload.imported() {
        let rows: u64 = imported.iter().map(|(_, n)| n).sum();
        let _ = writeln!(
            text,
            "imported {} of {rows} rows",
            imported.first().map_or(0, |i| i.1)
        );
        for (why, n) in imported.iter().skip(1) {
            let _ = writeln!(text, "  {n} {why}");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "median latency by class (mean over {} replications)",
        plan.replications
    );
    let mut rows = vec![words(&[
        "engine",
        "class",
        "submitted",
        "valid",
        "included",
        "safe",
        "final",
    ])];
    for cell in &outcome.cells {
        for (class, name) in workload.classes().iter().enumerate() {
            rows.extend(class_line(plan, cell, class, name));
        }
    }
    table(text, &rows);
}

fn class_line(plan: &Plan, cell: &Cell, class: usize, name: &str) -> Option<Vec<String>> {
    let n = cell.units.len() as u64;
    let total = |of: &dyn Fn(&Done) -> u64| cell.units.iter().map(of).sum::<u64>();
    let submitted = total(&|u| u.report.probe.classes[class].submitted);
    if submitted == 0 {
        return None;
    }
    let valid = total(&|u| u.report.probe.classes[class].valid);
    let latency = |level: Level| {
        let samples = summary::samples(cell, |u| {
            let h = summary::latency(u, Some(class), level);
            (!h.is_empty()).then(|| summary::percentile_ms(h, 50.0))
        });
        let mean = summary::interval(&samples, plan.confidence).mean;
        mean.map_or_else(|| "-".to_owned(), duration)
    };
    Some(vec![
        plan.engines[cell.engine].label().to_owned(),
        name.to_owned(),
        (submitted / n).to_string(),
        (valid / n).to_string(),
        latency(Level::Included),
        latency(Level::Safe),
        latency(Level::Final),
    ])
}
