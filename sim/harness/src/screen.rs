//! What is printed: the placement first, then the verdict and where the results lie.

use crate::output::Ran;
use crate::plan::{Kind, Plan, Profile};
use crate::resilience::{self, fate};
use crate::run::{Cell, Outcome};
use crate::stats::Interval;
use crate::study::{Part, Study};
use crate::unit::Done;
use crate::verdict::{self, Row};
use crate::words::{
    self, duration, finality, halting, headroom, is_share, margin, price, short, value,
};
use crate::{
    analysis, capacity, execution, incidents, knee, precision, question, sensitivity, summary,
    sweep, terminal, told, tune,
};
use quorate_core::Level;
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
    let mut rows = vec![cells(&[
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
    let mut text = answers(ran);
    match (study.plan.kind, ran) {
        (Kind::Compare, [only]) => {
            verdict(&mut text, study, only);
            bad_days(&mut text, only, true);
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
        (Kind::Sweep, many) => sweep_table(&mut text, study, many),
        (Kind::Capacity, many) => {
            for one in many {
                title(&mut text, study, one.part);
                capacity::tell(&mut text, one);
                text.push('\n');
            }
        }
        (Kind::Sensitivity, many) => sensitivity::tell(&mut text, study, many),
        (Kind::Scale, many) => scale_table(&mut text, many),
        (Kind::Scenario, many) => {
            for one in many.iter().filter(|one| !one.rows.is_empty()) {
                title(&mut text, study, one.part);
                verdict(&mut text, study, one);
            }
        }
        (Kind::Replay | Kind::Check | Kind::Attack, many) => {
            for one in many {
                replay(&mut text, one);
            }
        }
    }
    imprecise(&mut text, study, ran);
    for one in ran {
        tuned(&mut text, study, one);
    }
    for one in ran {
        trade(&mut text, study, one);
        outages(&mut text, study, one);
        endorsements(&mut text, study, one);
    }
    let _ = writeln!(text, "results: {}", folder.display());
    text
}

/// What was asked, and what each engine answers.
fn answers(ran: &[Ran<'_>]) -> String {
    let mut text = String::new();
    let mut asked = None;
    for one in ran {
        let answers = question::answers(one);
        if answers.is_empty() {
            continue;
        }
        let plan = &one.part.plan;
        if asked != Some(&plan.question) {
            asked = Some(&plan.question);
            let _ = writeln!(text, "{}", plan.question.as_deref().unwrap_or_default());
        }
        if ran.len() > 1 {
            let _ = writeln!(text, "{}{}", one.part.label, words::at(plan));
        }
        let few = answers.iter().any(|a| a.is_unsure);
        let lines = answers.into_iter().map(|answer| {
            let engine = plan.engines[answer.engine].label().to_owned();
            vec![engine, answer.text]
        });
        table(&mut text, &lines.collect::<Vec<_>>());
        if few {
            text.truncate(text.len() - 1);
            let _ = writeln!(text, "  {}\n", question::FEW_MEANS);
        }
    }
    text
}

/// The cells that are not as precise as the plan asks, if it does.
fn imprecise(text: &mut String, study: &Study, ran: &[Ran<'_>]) {
    for one in ran {
        let lines = precision::missed(one);
        if lines.is_empty() {
            continue;
        }
        title(text, study, one.part);
        let _ = writeln!(text, "not as precise as asked");
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        text.push('\n');
    }
}

/// What the workload itself measured, if it does.
fn trade(text: &mut String, study: &Study, ran: &Ran<'_>) {
    if ran.part.workload.measures().is_empty() {
        return;
    }
    let lines = told::lines(ran, true);
    title(text, study, ran.part);
    let _ = writeln!(text, "{}", told::title(ran));
    let mut head = cells(&["measure"]);
    let labels = ran.part.plan.engines.iter();
    head.extend(labels.map(|e| e.label().to_owned()));
    let rows = lines.into_iter().map(|line| {
        let name = format!("{}{}", line.measure.name, line.stat);
        std::iter::once(name).chain(line.values).collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    table(text, &rows);
    let shown = |name: &str| {
        rows.iter()
            .any(|row| row[0].split(' ').next() == Some(name))
    };
    let measures = ran.part.workload.measures().iter().map(|m| m.name);
    let silent: Vec<&str> = measures.filter(|name| !shown(name)).collect();
    if !silent.is_empty() {
        let _ = writeln!(text, "  no case, or too few: {}\n", silent.join(", "));
    }
}

/// What each outage did, if any was planned.
fn outages(text: &mut String, study: &Study, ran: &Ran<'_>) {
    let lines = incidents::lines(ran);
    if lines.is_empty() {
        return;
    }
    title(text, study, ran.part);
    let _ = writeln!(text, "outages and recovery (mean over replications)");
    let mut head = cells(&["engine"]);
    head.extend(cells(&incidents::HEAD));
    let named = lines.into_iter().map(|(engine, line)| {
        let engine = ran.part.plan.engines[engine].label().to_owned();
        std::iter::once(engine).chain(line).collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(named).collect();
    table(text, &rows);
}

/// What executing before the order came to, if that was planned.
fn endorsements(text: &mut String, study: &Study, ran: &Ran<'_>) {
    let lines = execution::lines(ran);
    if lines.is_empty() {
        return;
    }
    title(text, study, ran.part);
    let _ = writeln!(
        text,
        "executed, then ordered (mean over replications; shares of all writes)"
    );
    let head = cells(&execution::HEAD);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(lines).collect();
    table(text, &rows);
}

fn title(text: &mut String, study: &Study, part: &Part) {
    if study.parts.len() > 1 {
        let with = with_factors(part);
        let _ = writeln!(
            text,
            "{}, {} settings{with}",
            part.label,
            part.profile.name()
        );
    }
}

/// A part's factors, in words that go on a title.
fn with_factors(part: &Part) -> String {
    match sweep::label(part) {
        none if none.is_empty() => none,
        some => format!(", {some}"),
    }
}

/// What shorter intervals come to, if they were looked for.
fn tuned(text: &mut String, study: &Study, ran: &Ran<'_>) {
    let lines = tune::lines(ran);
    if lines.is_empty() {
        return;
    }
    title(text, study, ran.part);
    let _ = writeln!(
        text,
        "the shortest interval that meets every level, all sites up"
    );
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
}

/// Every combination of a sweep.
fn sweep_table(text: &mut String, study: &Study, ran: &[Ran<'_>]) {
    let _ = writeln!(
        text,
        "{} parts (mean over {} replications)",
        ran.len(),
        study.plan.replications
    );
    table(text, &sweep::lines(ran));
}

/// The verdict of a study with several workloads or profiles: one line an engine and workload, with
/// the level that decides.
fn overview(text: &mut String, study: &Study, ran: &[Ran<'_>]) {
    let _ = writeln!(
        text,
        "verdict ({} replications; {})",
        precision::replications(ran),
        words::corrected(study)
    );
    for one in ran {
        let plan = &one.part.plan;
        let load = plan.load.decide_at_tps.unwrap_or(0.0);
        let _ = writeln!(
            text,
            "\n{} at {load} writes/s, {} settings{}",
            one.part.label,
            one.part.profile.name(),
            with_factors(one.part)
        );
        let mut lines = vec![cells(&[
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
        bad_days(text, one, false);
    }
}

/// What became of each engine on bad days, if some were simulated.
fn bad_days(text: &mut String, ran: &Ran<'_>, with_sentences: bool) {
    let rows = fate::judge(ran.part, ran.outcome);
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "{}", resilience::words::title(ran.part, &rows));
    table(text, &resilience::words::matrix(&ran.part.plan, &rows));
    if with_sentences {
        for row in &rows {
            let sentence = resilience::words::sentence(ran.part, row);
            let _ = writeln!(text, "  {sentence}");
        }
        text.push('\n');
    }
}

/// Where each engine stops carrying what is offered.
fn knees(text: &mut String, ran: &Ran<'_>) {
    for (e, engine) in ran.part.plan.engines.iter().enumerate() {
        let knee = knee::knee(ran.outcome, e);
        let bound = analysis::ceiling(ran.part, e).map_or_else(String::new, |(what, tps)| {
            format!("; {what} allows at most {}", short(tps))
        });
        let line = words::knee(&knee);
        let _ = writeln!(text, "  {} {line} transactions/s{bound}", engine.label());
    }
    text.push('\n');
}

/// The sizes of a scalability study.
fn scale_table(text: &mut String, ran: &[Ran<'_>]) {
    let mut rows = vec![cells(&[
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
            let of =
                |f: &dyn Fn(&Done) -> Option<f64>| Interval::point(&summary::samples(cell, f)).mean;
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

/// Lines of cells, in columns as wide as their widest cell; on a terminal the last column is as wide as there
/// is room.
pub(crate) fn table(text: &mut String, rows: &[Vec<String>]) {
    table_within(text, rows, terminal::width());
}

/// What the last column is given at least.
// assumption: with less, sentences stand a word a line, and the terminal breaks them better itself.
const LEAST: usize = 24;

fn table_within(text: &mut String, rows: &[Vec<String>], room: Option<usize>) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|s| s.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let before: usize = widths.iter().rev().skip(1).map(|w| w + 2).sum();
    // Two columns of blanks stand before the first cell, and between any two.
    let last = room.map(|room| room.saturating_sub(before + 2));
    let last = last.filter(|&last| last >= LEAST && widths.last().is_some_and(|&w| w > last));
    let mut push = |cells: &[&str]| {
        let mut line = String::from(" ");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(line, " {cell:width$} ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    };
    for row in rows {
        let mut cells: Vec<&str> = row.iter().map(String::as_str).collect();
        let Some(last) = last.filter(|_| row.len() == columns) else {
            push(&cells);
            continue;
        };
        let broken = terminal::wrap(&row[columns - 1], last);
        for line in &broken {
            cells[columns - 1] = line;
            push(&cells);
            cells.fill("");
        }
    }
    text.push('\n');
}

fn cells(names: &[&str]) -> Vec<String> {
    names.iter().map(|&c| c.to_owned()).collect()
}

fn verdict(text: &mut String, study: &Study, ran: &Ran<'_>) {
    let (plan, rows) = (&ran.part.plan, ran.rows);
    let _ = writeln!(
        text,
        "verdict{} ({} replications; {})",
        words::at(plan),
        precision::replications(&[*ran]),
        words::corrected(study)
    );
    let mut lines = vec![cells(&[
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
    recommendation(text, plan, ran.outcome, rows);
}

/// One sentence for the architect.
fn recommendation(text: &mut String, plan: &Plan, outcome: &Outcome, rows: &[Row]) {
    let _ = writeln!(text, "{}", words::recommendation(plan, outcome, rows));
    for engine in 0..plan.engines.len() {
        if let Some(line) = headroom(plan, outcome, engine) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if let Some(line) = price(plan, outcome) {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
}

fn load_table(text: &mut String, plan: &Plan, outcome: &Outcome) {
    let _ = writeln!(text, "load sweep (mean over replications)");
    let mut rows = vec![cells(&[
        "engine",
        "offered/s",
        "status",
        "goodput/s",
        "included p50",
        "final p50",
        "final p99",
        "block fill",
    ])];
    for cell in (0..plan.engines.len()).flat_map(|e| outcome.sweep(e)) {
        let of =
            |f: &dyn Fn(&Done) -> Option<f64>| Interval::point(&summary::samples(cell, f)).mean;
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

fn replay(text: &mut String, ran: &Ran<'_>) {
    let Ran { part, outcome, .. } = *ran;
    let (plan, workload) = (&part.plan, &part.workload);
    if let Some(import) = workload.import() {
        let _ = writeln!(text, "imported {} of {} rows", import.used(), import.rows);
        for (why, n) in import.skipped() {
            let _ = writeln!(text, "  {n} skipped: {why}");
        }
        if import.arrivals != import.used() {
            let _ = writeln!(text, "they make {} arrivals", import.arrivals);
        }
        for note in &import.notes {
            let _ = writeln!(text, "{note}");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "median latency by class (mean over {} replications)",
        precision::replications(&[*ran])
    );
    let mut rows = vec![cells(&[
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
        let mean = Interval::point(&samples).mean;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_as_wide_as_there_is_room() {
        let rows = [
            cells(&["qbft", "latency halved moves the value most, by a third"]),
            cells(&["raft", "-"]),
        ];
        let table = |room| {
            let mut text = String::new();
            table_within(&mut text, &rows, room);
            text
        };
        let wide = "  qbft  latency halved moves the value most, by a third\n  raft  -\n\n";
        assert_eq!(table(None), wide);
        assert_eq!(table(Some(80)), wide);
        let narrow =
            "  qbft  latency halved moves the\n        value most, by a third\n  raft  -\n\n";
        assert_eq!(table(Some(34)), narrow);
        assert_eq!(table(Some(20)), wide, "too little to break anything well");
    }
}
