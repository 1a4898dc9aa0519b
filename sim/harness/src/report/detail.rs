//! What the answer rests on: service levels, curves and domain metrics of each profile and workload.

use super::answer::{answer, capital};
use super::html::{Table, class, element, list, measured, tag, text};
use super::{figure, part_name};
use crate::output::Ran;
use crate::plan::{EnginePlan, Kind as PlanKind};
use crate::resilience::{self, fate};
use crate::run::Cell;
use crate::stats::Interval;
use crate::study::{Part, Study};
use crate::summary::{decisive, load};
use crate::unit::{Done, UnitStatus};
use crate::words::{self, duration, percent, short};
use crate::{
    analysis, capacity, figures, incidents, knee, sensitivity, summary, sweep, told, tune,
};
use quorate_core::{Class, Kind, Level, Seed};
use quorate_kernel::probe::LatencyHistogram;

/// All parts of a study.
pub(super) fn section(study: &Study, ran: &[Ran<'_>]) -> String {
    let mut body: String = match study.plan.kind {
        PlanKind::Scale => {
            let groups = figures::scale_groups(ran);
            groups.iter().map(|group| scale(study, group)).collect()
        }
        PlanKind::Sweep => plain("Every combination", sweep::lines(ran)),
        PlanKind::Sensitivity => sensitivities(ran),
        _ => ran.iter().map(|one| part(study, one)).collect(),
    };
    for curves in figures::factor_curves(ran) {
        let note = curves.first().map_or("", |c| &*c.note);
        let figures: String = curves.iter().map(figure).collect();
        body += &(tag("h3", note) + &class("div", "figures", &figures));
    }
    let title = tag("h2", "What it rests on");
    element("section", &[("id", "detail")], &(title + &body))
}

/// What is shown of one part, marked so that the script can show it alone.
fn part(study: &Study, ran: &Ran<'_>) -> String {
    let mut body = tag("h3", &part_name(study, ran.part));
    match study.plan.kind {
        PlanKind::Compare => {
            body += &levels(ran.part);
            body += &verdicts(ran);
            body += &bad_days(ran);
            body += &tuned(ran);
            body += &curves(ran);
            body += &sweep_of(ran);
            body += &domain(ran);
        }
        PlanKind::Curve => {
            body += &curves(ran);
            body += &knees(ran);
            body += &sweep_of(ran);
            body += &domain(ran);
        }
        PlanKind::Scenario => {
            body += &levels(ran.part);
            body += &verdicts(ran);
            body += &imported(ran.part);
            body += &classes(ran);
            body += &domain(ran);
        }
        PlanKind::Capacity => {
            body += &levels(ran.part);
            let figures: String = figures::capacity_curves(ran).iter().map(figure).collect();
            body += &class("div", "figures", &figures);
            body += &plain("Capacity (writes/s)", capacity::lines(ran));
            body += &list(
                &capacity::notes(ran)
                    .iter()
                    .map(|n| text(n))
                    .collect::<Vec<_>>(),
            );
            body += &sweep_of(ran);
        }
        PlanKind::Scale | PlanKind::Sweep | PlanKind::Sensitivity => {}
        PlanKind::Replay | PlanKind::Check | PlanKind::Attack => {
            body += &imported(ran.part);
            body += &classes(ran);
            body += &domain(ran);
        }
    }
    body += &outages(ran);
    marked(ran.part, &body)
}

/// Lines of cells under a head, as a table.
fn plain(title: &str, lines: Vec<Vec<String>>) -> String {
    let mut lines = lines.into_iter();
    let head = lines.next().unwrap_or_default();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(title, &head);
    for line in lines {
        table
            .rows
            .push(line.iter().map(|cell| text(cell)).collect());
    }
    table.markup()
}

/// What shorter intervals come to, if they were looked for.
fn tuned(ran: &Ran<'_>) -> String {
    let lines = tune::lines(ran);
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.iter().map(|line| text(line)).collect();
    tag("h4", "Tuned intervals") + &list(&lines)
}

/// What each varied input does to the margins.
fn sensitivities(ran: &[Ran<'_>]) -> String {
    let all = sensitivity::tables(ran).into_iter();
    let each =
        all.map(|(title, lines, figure)| plain(&title, lines) + &element("figure", &[], &figure));
    each.collect()
}

fn marked(part: &Part, body: &str) -> String {
    let marks = [
        ("class", "part"),
        ("data-profile", part.profile.name()),
        ("data-workload", part.label.as_str()),
    ];
    element("section", &marks, body)
}

fn curves(ran: &Ran<'_>) -> String {
    let figures: String = figures::load_curves(ran).iter().map(figure).collect();
    class("div", "figures", &figures)
}

/// The service levels with what they rest on.
fn levels(part: &Part) -> String {
    let head = ["service level", "standing", "source"];
    if part.plan.levels.is_empty() {
        return String::new();
    }
    let mut table = Table::new("Service levels and what they rest on", &head);
    for level in &part.plan.levels {
        table.rows.push(vec![
            tag("code", &level.expect),
            text(&level.standing.to_string()),
            text(&level.source),
        ]);
    }
    table.markup()
}

/// Every engine against every level.
fn verdicts(ran: &Ran<'_>) -> String {
    let plan = &ran.part.plan;
    if plan.levels.is_empty() {
        return String::new();
    }
    let head = [
        "engine",
        "service level",
        "standing",
        "sites",
        "answer",
        "value (interval)",
        "margin",
        "because",
    ];
    let mut table = Table::new(format!("Answers{}", words::at(plan)), &head);
    for row in ran.rows {
        let level = &plan.levels[row.level];
        table.rows.push(vec![
            text(plan.engines[row.engine].label()),
            tag("code", &level.expect),
            text(&level.standing.to_string()),
            text(if row.site_down { "one down" } else { "all up" }),
            answer(row.answer),
            measured(&words::value(row, words::is_share(level))),
            text(&words::margin(row)),
            text(&row.reason),
        ]);
    }
    table.markup()
}

/// What became of each engine on bad days, if some were simulated.
fn bad_days(ran: &Ran<'_>) -> String {
    let rows = fate::judge(ran.part, ran.outcome);
    if rows.is_empty() {
        return String::new();
    }
    let title = tag("h4", &capital(&resilience::words::title(ran.part, &rows)));
    let lines = resilience::words::matrix(&ran.part.plan, &rows);
    let head: Vec<&str> = lines[0].iter().map(String::as_str).collect();
    let mut table = Table::new("What becomes of each engine", &head);
    let cells = lines[1..]
        .iter()
        .map(|l| l.iter().map(|c| text(c)).collect());
    table.rows.extend(cells);
    let sentence = |row: &fate::Row| {
        let sentence = text(&format!(" {}", resilience::words::sentence(ran.part, row)));
        answer(row.answer) + &sentence
    };
    let sentences: Vec<String> = rows.iter().map(sentence).collect();
    title + &table.markup() + &list(&sentences)
}

/// Where each engine stops carrying the load, beside what arithmetic allows.
fn knees(ran: &Ran<'_>) -> String {
    let head = [
        "engine",
        "carries",
        "no longer",
        "bound (computed)",
        "set by",
    ];
    let mut table = Table::new("Knees, in transactions/s", &head);
    for (e, engine) in ran.part.plan.engines.iter().enumerate() {
        let knee = knee::knee(ran.outcome, e);
        let shown = |tps: Option<f64>| tps.map_or_else(|| "-".to_owned(), |t| t.to_string());
        let (what, most) = analysis::ceiling(ran.part, e)
            .map_or(("nothing", None), |(what, tps)| (what, Some(tps)));
        table.rows.push(vec![
            text(engine.label()),
            shown(knee.carried_tps),
            shown(knee.lost_tps),
            most.map_or_else(|| "-".to_owned(), short),
            text(what),
        ]);
    }
    table.markup()
}

/// Every load that was tried.
fn sweep_of(ran: &Ran<'_>) -> String {
    let head = [
        "engine",
        "offered/s",
        "status",
        "goodput/s",
        "included p50",
        "safe p50",
        "final p50",
        "final p90",
        "final p99",
        "block fill",
    ];
    let caption = "Load sweep: means over replications, with intervals";
    let mut table = Table::new(caption, &head);
    for e in 0..ran.part.plan.engines.len() {
        let cells = ran.outcome.sweep(e);
        for cell in cells.iter().filter(|c| !c.units.is_empty()) {
            table.rows.push(sweep_row(ran.part, cell));
        }
    }
    details("All loads", &table)
}

fn sweep_row(part: &Part, cell: &Cell) -> Vec<String> {
    let goodput = mean(part, cell, |u| Some(summary::goodput_tps(u)));
    let fill = mean(part, cell, |u| Some(summary::block_fill(u)));
    let latency = |level, p| measured(&latency(part, cell, None, level, p));
    vec![
        text(part.plan.engines[cell.engine].label()),
        cell.offered_tps
            .map_or_else(|| "-".to_owned(), |t| t.to_string()),
        status(cell),
        measured(&words::interval(&goodput, short)),
        latency(Level::Included, 50.0),
        latency(Level::Safe, 50.0),
        latency(Level::Final, 50.0),
        latency(Level::Final, 90.0),
        latency(Level::Final, 99.0),
        fill.mean.map_or_else(|| "-".to_owned(), percent),
    ]
}

/// What is not steady is marked by more than its word.
fn status(cell: &Cell) -> String {
    let status = summary::status(cell);
    let name = text(status.name());
    match status {
        UnitStatus::Ok => name,
        _ => element("em", &[], &format!("! {name}")),
    }
}

fn details(title: &str, table: &Table) -> String {
    element("details", &[], &(tag("summary", title) + &table.markup()))
}

/// The mean of a measure over a cell's replications, with its interval.
fn mean(part: &Part, cell: &Cell, of: impl Fn(&Done) -> Option<f64>) -> Interval {
    summary::mean(&part.plan, cell, of)
}

/// A percentile of a latency, where the cell's blocks support it.
fn latency(part: &Part, cell: &Cell, class: Option<usize>, level: Level, p: f64) -> String {
    histogram(part, cell, p, true, |u| summary::latency(u, class, level))
}

/// A percentile of what units hold. Transactions of one block are one sample, reads are not.
fn histogram(
    part: &Part,
    cell: &Cell,
    p: f64,
    by_block: bool,
    of: impl Fn(&Done) -> &LatencyHistogram,
) -> String {
    let count: u64 = cell.units.iter().map(|u| of(u).len()).sum();
    let enough = if by_block {
        summary::supports(cell, count, p)
    } else {
        summary::is_enough(count, p)
    };
    if !enough {
        return "too few".to_owned();
    }
    let value = mean(part, cell, |u| {
        let h = of(u);
        (!h.is_empty()).then(|| summary::percentile_ms(h, p))
    });
    words::interval(&value, duration)
}

/// What the figures mean to the trade: a line a metric, a column an engine.
fn domain(ran: &Ran<'_>) -> String {
    let part = ran.part;
    let cells: Vec<Option<&Cell>> = (0..part.plan.engines.len())
        .map(|e| decisive(ran, e).filter(|c| !c.units.is_empty()))
        .collect();
    let mut head = vec!["metric"];
    head.extend(part.plan.engines.iter().map(EnginePlan::label));
    let at = load(part).map_or_else(String::new, |tps| format!(" at {tps} writes/s"));
    let mut table = Table::new(
        format!("{}: what it means to the trade{at}", part.label),
        &head,
    );
    let mut line = |name: String, of: &dyn Fn(&Cell) -> String| {
        let of = |cell: Option<&Cell>| {
            let value = cell.map_or_else(|| "never final".to_owned(), of);
            measured(&value)
        };
        let values = cells.iter().copied().map(of);
        let row = std::iter::once(text(&name)).chain(values).collect();
        table.rows.push(row);
    };
    for (c, class) in told(part).iter().enumerate() {
        if !class.tells.is_empty() {
            tell(part, c, class, &mut line);
        }
    }
    line("stale reads, of all reads served".to_owned(), &|cell| {
        let share = mean(part, cell, summary::stale_read_share);
        words::interval(&share, |x| format!("{:.3} %", 100.0 * x))
    });
    line("writes refused by the ledger".to_owned(), &|cell| {
        words::interval(&mean(part, cell, refused_share), percent)
    });
    table.markup() + &measures(ran)
}

/// What the workload itself measures, if it does: a line each.
fn measures(ran: &Ran<'_>) -> String {
    let lines = told::lines(ran, false);
    if lines.is_empty() {
        return String::new();
    }
    let mut head = vec!["measure", "what it says", "moved by"];
    head.extend(ran.part.plan.engines.iter().map(EnginePlan::label));
    let title = capital(&told::title(ran));
    let mut table = Table::new(format!("{}: {title}", ran.part.label), &head);
    for line in lines {
        let name = tag("code", line.measure.name) + &text(line.stat);
        let mut row = vec![name, text(line.measure.what), text(line.measure.moved_by)];
        row.extend(line.values.iter().map(|value| measured(value)));
        table.rows.push(row);
    }
    table.markup()
}

/// The lines about a class that means something to the trade.
fn tell(
    part: &Part,
    c: usize,
    class: &Class,
    line: &mut impl FnMut(String, &dyn Fn(&Cell) -> String),
) {
    let name = |what: &str| format!("{} ({}): {what}", class.tells, class.name);
    let view = summary::read_level(&part.plan) as usize;
    for p in [50.0, 95.0] {
        match class.kind {
            Kind::WatchedWrite => line(name(&format!("p{p} until the last site knows")), &|cell| {
                histogram(part, cell, p, true, |u| {
                    &u.report.probe.exposure[c].longest[view]
                })
            }),
            Kind::Write => line(name(&format!("p{p} until final")), &|cell| {
                latency(part, cell, Some(c), Level::Final, p)
            }),
            Kind::Read => line(name(&format!("p{p} until answered")), &|cell| {
                histogram(part, cell, p, false, |u| &u.report.probe.served[c])
            }),
        }
    }
    if class.kind == Kind::WatchedWrite {
        line(
            name("never known at some site, in all replications"),
            &|cell| {
                let open = cell.units.iter().map(|u| u.report.probe.exposure[c].open);
                open.sum::<u64>().to_string()
            },
        );
    }
    if class.expiry.is_some() && class.kind != Kind::Read {
        line(name("final within its deadline"), &|cell| {
            let share = mean(part, cell, |u| summary::on_time_share(u, c, Level::Final));
            words::interval(&share, percent)
        });
    }
    if class.kind != Kind::Read {
        line(name("accepted by the ledger"), &|cell| {
            let share = mean(part, cell, |u| summary::accepted_share(u, c));
            words::interval(&share, percent)
        });
    }
}

/// The classes of a part's workload.
fn told(part: &Part) -> Vec<Class> {
    let built = part.workload.open(load(part), Seed::new(part.plan.seed, 0));
    built.load.classes().to_vec()
}

fn refused_share(unit: &Done) -> Option<f64> {
    let classes = &unit.report.probe.classes;
    let settled: u64 = classes.iter().map(crate::unit::settled).sum();
    let valid: u64 = classes.iter().map(|c| c.valid).sum();
    (settled > 0).then(|| (settled - valid) as f64 / settled as f64)
}

/// The sizes of a scalability study that differ in nothing else.
fn scale(study: &Study, group: &[Ran<'_>]) -> String {
    let curves = figures::scale_curves(study, group);
    let figures: String = curves.iter().map(figure).collect();
    let head = [
        "nodes",
        "engine",
        "offered/s",
        "status",
        "goodput/s",
        "final p50",
        "messages/block",
        "bound/s (computed)",
    ];
    let mut table = Table::new("All sizes: means over replications, with intervals", &head);
    for one in group {
        for cell in one.outcome.cells.iter().filter(|c| !c.units.is_empty()) {
            table.rows.push(scale_row(one.part, cell));
        }
    }
    let body = tag("h3", &part_name(study, group[0].part))
        + &class("div", "figures", &figures)
        + &table.markup()
        + &group.iter().map(outages).collect::<String>();
    marked(group[0].part, &body)
}

fn scale_row(part: &Part, cell: &Cell) -> Vec<String> {
    let goodput = mean(part, cell, |u| Some(summary::goodput_tps(u)));
    let messages = mean(part, cell, |u| Some(summary::messages_per_block(u)));
    let bound = analysis::ceiling(part, cell.engine).map(|b| b.1);
    vec![
        part.plan.network.nodes.to_string(),
        text(part.plan.engines[cell.engine].label()),
        cell.offered_tps
            .map_or_else(|| "-".to_owned(), |t| t.to_string()),
        status(cell),
        measured(&words::interval(&goodput, short)),
        measured(&latency(part, cell, None, Level::Final, 50.0)),
        measured(&words::interval(&messages, short)),
        bound.map_or_else(|| "-".to_owned(), short),
    ]
}

/// What each outage did, a table an engine.
fn outages(ran: &Ran<'_>) -> String {
    let lines = incidents::lines(ran);
    if lines.is_empty() {
        return String::new();
    }
    let about = "Times after healing are from the end of the last fault of an outage. Lost are writes \
                 dropped, expired or refused; delayed ones were submitted before healing and final after \
                 it. Means over replications; every figure of every replication stands in incidents.csv.";
    let mut body = tag("h4", "Outages and recovery") + &tag("p", about);
    for (e, engine) in ran.part.plan.engines.iter().enumerate() {
        let mut table = Table::new(engine.label(), &incidents::HEAD);
        let own = lines.iter().filter(|line| line.0 == e);
        let cells = |line: &Vec<String>| line.iter().map(|cell| measured(cell)).collect();
        table.rows.extend(own.map(|line| cells(&line.1)));
        if !table.rows.is_empty() {
            body += &table.markup();
        }
    }
    body
}

/// What an importer took and left.
fn imported(part: &Part) -> String {
    let Some(imported) = part.workload.imported() else {
        return String::new();
    };
    let mut table = Table::new("What became of the trace's rows", &["outcome", "rows"]);
    for (what, n) in imported {
        table.rows.push(vec![text(&what), n.to_string()]);
    }
    table.markup()
}

/// Every class of a replay under every engine.
fn classes(ran: &Ran<'_>) -> String {
    let head = [
        "class",
        "engine",
        "submitted",
        "valid",
        "included p50",
        "safe p50",
        "final p50",
    ];
    let mut table = Table::new(
        "Classes: counts in all replications, latencies with intervals",
        &head,
    );
    for (class, name) in ran.part.workload.classes().iter().enumerate() {
        for cell in ran.outcome.cells.iter().filter(|c| !c.units.is_empty()) {
            let counts = || cell.units.iter().map(|u| &u.report.probe.classes[class]);
            let submitted: u64 = counts().map(|c| c.submitted).sum();
            if submitted == 0 {
                continue;
            }
            let valid: u64 = counts().map(|c| c.valid).sum();
            let mut row = vec![
                text(name),
                text(ran.part.plan.engines[cell.engine].label()),
                submitted.to_string(),
                valid.to_string(),
            ];
            let p50 = |level| measured(&latency(ran.part, cell, Some(class), level, 50.0));
            row.extend(Level::ALL.map(p50));
            table.rows.push(row);
        }
    }
    table.markup()
}
