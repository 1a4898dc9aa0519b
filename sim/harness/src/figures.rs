//! The figures of a result: load curves with their knees, and scalability curves with their bounds.

use crate::error::Error;
use crate::output::{Ran, suffix};
use crate::plan::{Kind, Plan};
use crate::plots::{self, Bound, Curve, Line, Marks, Point, PointStatus, Series};
use crate::results::Folder;
use crate::run::Cell;
use crate::stats::Interval;
use crate::study::Study;
use crate::summary::{self, mean};
use crate::unit::{Done, Tweak, UnitStatus};
use crate::{analysis, engines, knee, precision};
use quorate_core::Level;

/// Writes the figures of a study.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &mut Folder, study: &Study, ran: &[Ran<'_>]) -> Result<(), Error> {
    match study.plan.kind {
        // An attack draws its own.
        Kind::Replay | Kind::Scenario | Kind::Check | Kind::Attack => {}
        Kind::Compare | Kind::Curve => {
            for ran in ran {
                let name = format!("plots/load{}.svg", suffix(study, ran.part));
                folder.text(&name, &plots::draw_panel(&load_curves(ran)))?;
            }
        }
        Kind::Scale => {
            for group in scale_groups(ran) {
                let name = format!("plots/scale{}.svg", suffix(study, group[0].part));
                folder.text(&name, &plots::draw_panel(&scale_curves(study, &group)))?;
            }
        }
    }
    Ok(())
}

/// The look of an engine in every figure; a second entry of the same engine gets one of its own.
pub(crate) fn look(plan: &Plan, engine: usize) -> usize {
    let name = &plan.engines[engine].name;
    let earlier = plan.engines[..engine].iter().filter(|e| e.name == *name);
    engines::place(name) + engines::all().len() * earlier.count()
}

/// A percentile of the latency to a level in seconds, where the cell supports it.
fn latency_s(plan: &Plan, cell: &Cell, level: Level, p: f64) -> Option<Interval> {
    let count = |u: &Done| summary::latency(u, None, level).len();
    let count: u64 = cell.units.iter().map(count).sum();
    summary::supports(cell, count, p).then(|| {
        mean(plan, cell, |u| {
            let h = summary::latency(u, None, level);
            (!h.is_empty()).then(|| summary::percentile_ms(h, p) / 1e3)
        })
    })
}

fn point(cell: &Cell, x: f64, interval: &Interval) -> Option<Point> {
    let flagged = !matches!(summary::status(cell), UnitStatus::Ok);
    Some(Point {
        x,
        y: interval.mean?,
        low: interval.low.filter(|&l| l > 0.0),
        high: interval.high,
        status: if flagged {
            PointStatus::Flagged
        } else {
            PointStatus::Ok
        },
    })
}

/// Goodput and latency against offered load.
pub(crate) fn load_curves(ran: &Ran<'_>) -> [Curve; 2] {
    let plan = &ran.part.plan;
    let offered = "offered load (transactions/s)";
    let mut bounds = vec![Bound {
        label: "offered".into(),
        line: Line::Diagonal,
    }];
    if plan.kind == Kind::Curve {
        bounds.extend(limits(ran));
    }
    let goodput = Curve {
        title: "Goodput".into(),
        x_label: offered.into(),
        y_label: "valid and final (transactions/s)".into(),
        x_log: true,
        y_log: true,
        x_whole: false,
        y_ticks: None,
        marks: Marks::Line,
        series: series(ran, "", 0, |cell| {
            Some(mean(plan, cell, |u| Some(summary::goodput_tps(u))))
        }),
        bounds,
        note: format!(
            "{} % intervals over {} replications; what is flagged has none.",
            100.0 * plan.confidence,
            precision::replications(&[*ran])
        ),
    };
    let mut latency = Vec::new();
    for (p, variant) in [(50.0, 0), (99.0, 2)] {
        latency.extend(series(ran, &format!(" p{p}"), variant, |cell| {
            latency_s(plan, cell, Level::Final, p)
        }));
    }
    let latency = Curve {
        title: "Latency from submission to final".into(),
        x_label: offered.into(),
        y_label: "at the submitting site (s)".into(),
        x_log: true,
        y_log: true,
        x_whole: false,
        y_ticks: None,
        marks: Marks::Line,
        series: latency,
        bounds: Vec::new(),
        note: "Of the transactions that became final; a saturated engine leaves out the rest."
            .into(),
    };
    [goodput, latency]
}

/// What arithmetic allows each engine at most, beside its knee where that was located.
fn limits(ran: &Ran<'_>) -> Vec<Bound> {
    let limit = |(e, engine): (usize, &crate::plan::EnginePlan)| {
        let (what, tps) = analysis::ceiling(ran.part, e)?;
        let knee = knee::knee(ran.outcome, e);
        let located = knee.carried_tps.filter(|_| knee.lost_tps.is_some());
        let knee = located.map_or_else(String::new, |at| format!(", knee {at}"));
        Some(Bound {
            label: format!("{}: {what} {tps:.0}{knee}", engine.label()),
            line: Line::Horizontal(tps),
        })
    };
    let engines = ran.part.plan.engines.iter().enumerate();
    engines.filter_map(limit).collect()
}

/// One line an engine over the offered loads.
fn series(
    ran: &Ran<'_>,
    suffix: &str,
    variant: usize,
    of: impl Fn(&Cell) -> Option<Interval>,
) -> Vec<Series> {
    let plan = &ran.part.plan;
    let line = |engine: usize| {
        let cells = ran.outcome.sweep(engine);
        let points = cells
            .iter()
            .filter_map(|cell| point(cell, cell.offered_tps?, &of(cell)?));
        Series {
            label: format!("{}{suffix}", plan.engines[engine].label()),
            look: look(plan, engine),
            variant,
            points: points.collect(),
        }
    };
    let lines = (0..plan.engines.len()).map(line);
    lines.filter(|s| !s.points.is_empty()).collect()
}

/// The parts of each scalability curve: those that differ in size only.
pub(crate) fn scale_groups<'a>(ran: &[Ran<'a>]) -> Vec<Vec<Ran<'a>>> {
    let mut groups: Vec<Vec<Ran<'a>>> = Vec::new();
    for &one in ran {
        let same = |g: &&mut Vec<Ran<'a>>| {
            g[0].part.label == one.part.label && g[0].part.profile == one.part.profile
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// Goodput at the highest load, latency at the lowest, messages and bytes, against the size.
pub(crate) fn scale_curves(study: &Study, group: &[Ran<'_>]) -> Vec<Curve> {
    let axis = study
        .plan
        .scale
        .as_ref()
        .map_or("nodes", |s| s.axis.label());
    let loads = &group[0].part.plan.load.offered_tps;
    let most = loads.iter().copied().fold(0.0, f64::max);
    let least = loads.iter().copied().fold(f64::MAX, f64::min);
    let curve = |title: String, y_label: &str, note: &str, series: Vec<Series>, bounds| Curve {
        title,
        x_label: axis.into(),
        y_label: y_label.into(),
        x_log: true,
        y_log: true,
        x_whole: false,
        y_ticks: None,
        marks: Marks::Line,
        series,
        bounds,
        note: note.into(),
    };
    let plan = &group[0].part.plan;
    let goodput = sized(group, most, "", 0, |cell| {
        Some(mean(plan, cell, |u| Some(summary::goodput_tps(u))))
    });
    let latency = sized(group, least, " p50", 0, |cell| {
        latency_s(plan, cell, Level::Final, 50.0)
    });
    let messages = sized(group, least, "", 0, |cell| {
        Some(mean(plan, cell, |u| Some(summary::messages_per_block(u))))
    });
    let bytes = sized(group, least, "", 0, |cell| {
        Some(mean(plan, cell, |u| {
            let bytes: u64 = u.report.traffic.iter().map(|t| t.1.bytes).sum();
            Some(bytes as f64 * 8e-6 / u.report.ended.as_s())
        }))
    });
    vec![
        curve(
            format!("Goodput at {most} transactions/s offered"),
            "valid and final (transactions/s)",
            "Dashed in grey: the smallest of block space, CPU and the builder's uplink, computed. A saturated run is short: its last large block counts whole.",
            goodput,
            ceilings(group),
        ),
        curve(
            format!("Latency to final at {least} transactions/s"),
            "at the submitting site (s)",
            "Median of a replication, mean over replications.",
            latency,
            Vec::new(),
        ),
        curve(
            format!("Messages a block at {least} transactions/s"),
            "messages/block",
            "All kinds, each counted where it is sent.",
            messages,
            Vec::new(),
        ),
        curve(
            format!("Traffic at {least} transactions/s"),
            "sent by all nodes together (Mbit/s)",
            "Blocks, votes and announcements; without the gossip of transactions.",
            bytes,
            Vec::new(),
        ),
    ]
}

/// One line an engine over the sizes, at one load.
fn sized(
    group: &[Ran<'_>],
    tps: f64,
    suffix: &str,
    variant: usize,
    of: impl Fn(&Cell) -> Option<Interval>,
) -> Vec<Series> {
    let plan = &group[0].part.plan;
    let line = |engine: usize| {
        let points = group.iter().filter_map(|ran| {
            let cell = ran.outcome.cell(engine, Some(tps), Tweak::None)?;
            point(cell, f64::from(ran.part.plan.network.nodes), &of(cell)?)
        });
        Series {
            label: format!("{}{suffix}", plan.engines[engine].label()),
            look: look(plan, engine),
            variant,
            points: points.collect(),
        }
    };
    let lines = (0..plan.engines.len()).map(line);
    lines.filter(|s| !s.points.is_empty()).collect()
}

/// The computed ceiling of each engine's throughput, over the sizes.
fn ceilings(group: &[Ran<'_>]) -> Vec<Bound> {
    let plan = &group[0].part.plan;
    let line = |engine: usize| {
        let points = group.iter().filter_map(|ran| {
            let tps = analysis::ceiling(ran.part, engine)?.1;
            Some((f64::from(ran.part.plan.network.nodes), tps))
        });
        let points: Vec<(f64, f64)> = points.collect();
        (!points.is_empty()).then(|| Bound {
            label: format!("bound of {}", plan.engines[engine].label()),
            line: Line::Path(points),
        })
    };
    (0..plan.engines.len()).filter_map(line).collect()
}
