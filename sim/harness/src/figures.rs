//! The figures of a result: load curves with their knees, and scalability curves with their bounds.

use crate::error::Error;
use crate::output::{Ran, suffix};
use crate::plan::{Kind, Plan};
use crate::plots::{self, Bound, Curve, Line, Marks, Point, PointStatus, Series};
use crate::results::Folder;
use crate::run::Cell;
use crate::stats::Interval;
use crate::study::{Part, Study};
use crate::summary::{self, mean};
use crate::unit::{Done, Tweak, UnitStatus};
use crate::verdict::Answer;
use crate::{analysis, capacity, engines, knee, precision};
use quorate_core::Level;
use std::collections::BTreeMap;

/// Writes the figures of a study.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &mut Folder, study: &Study, ran: &[Ran<'_>]) -> Result<(), Error> {
    match study.plan.kind {
        // An attack draws its own.
        Kind::Check | Kind::Attack | Kind::Sweep | Kind::Sensitivity => {}
        Kind::Replay | Kind::Scenario => {
            for ran in ran {
                let suffix = suffix(study, ran.part);
                for (name, curves) in more_curves(ran) {
                    save(folder, &format!("{name}{suffix}"), &curves)?;
                }
            }
        }
        Kind::Capacity => {
            for ran in ran {
                let name = format!("capacity{}", suffix(study, ran.part));
                save(folder, &name, &capacity_curves(ran))?;
            }
        }
        Kind::Compare | Kind::Curve => {
            for ran in ran {
                let suffix = suffix(study, ran.part);
                save(folder, &format!("load{suffix}"), &load_curves(ran))?;
                for (name, curves) in more_curves(ran) {
                    save(folder, &format!("{name}{suffix}"), &curves)?;
                }
            }
        }
        Kind::Scale => {
            for group in scale_groups(ran) {
                let name = format!("scale{}", suffix(study, group[0].part));
                save(folder, &name, &scale_curves(study, &group))?;
            }
        }
    }
    for (i, curves) in factor_curves(ran).into_iter().enumerate() {
        folder.text(
            &format!("plots/sweep-{i:03}.svg"),
            &plots::draw_panel(&curves),
        )?;
    }
    Ok(())
}

/// Saves figures side by side, and where there are several each in a file of its own.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn save(folder: &mut Folder, name: &str, curves: &[Curve]) -> Result<(), Error> {
    let mut one = |name: &str, svg: &str| folder.text(&format!("plots/{name}.svg"), svg);
    one(name, &plots::draw_panel(curves))?;
    if curves.len() > 1 {
        for (i, curve) in curves.iter().enumerate() {
            one(&format!("{name}-{}", i + 1), &plots::draw(curve))?;
        }
    }
    Ok(())
}

/// Goodput and latency, and the margin of the level that decides, against offered load.
pub(crate) fn capacity_curves(ran: &Ran<'_>) -> Vec<Curve> {
    let plan = &ran.part.plan;
    let line = |engine: usize| {
        let found = capacity::capacity(ran.part, ran.outcome, engine);
        let points = found.tried.iter().filter_map(|tried| {
            Some(Point {
                x: tried.tps,
                y: tried.by.margin.filter(|&m| m > 0.0)?,
                low: None,
                high: None,
                status: match tried.answer {
                    Answer::Holds => PointStatus::Ok,
                    _ => PointStatus::Flagged,
                },
            })
        });
        Series {
            label: plan.engines[engine].label().to_owned(),
            look: look(plan, engine),
            variant: 0,
            points: points.collect(),
        }
    };
    let lines = (0..plan.engines.len()).map(line);
    let margin = Curve {
        title: "Margin of the level that decides".into(),
        x_label: "offered load (transactions/s)".into(),
        y_label: "bound over value (×)".into(),
        x_log: true,
        y_log: true,
        series: lines.filter(|s| !s.points.is_empty()).collect(),
        bounds: vec![Bound {
            label: "met above".into(),
            line: Line::Horizontal(1.0),
        }],
        note: "Hollow also where not every level is shown to hold.".into(),
        ..Curve::default()
    };
    load_curves(ran).into_iter().chain([margin]).collect()
}

/// Most figures of a sweep; the tables have all.
// assumption: nobody looks at more.
const MOST_FIGURES: usize = 24;

/// Goodput at the highest load and latency at the lowest against each factor that is a number, the
/// others fixed: a panel for each of their combinations.
pub(crate) fn factor_curves(ran: &[Ran<'_>]) -> Vec<Vec<Curve>> {
    let Some(first) = ran.first() else {
        return Vec::new();
    };
    if first.part.plan.kind == Kind::Sensitivity {
        return Vec::new();
    }
    let factors = 0..first.part.factors.len();
    let panels = factors.flat_map(|factor| {
        let groups = alike_but(ran, factor).into_iter();
        groups.filter_map(move |group| factor_panel(&group, factor))
    });
    panels.take(MOST_FIGURES).collect()
}

/// Parts that differ in one factor only, which is a number, and in those that change with it.
fn alike_but<'a>(ran: &[Ran<'a>], factor: usize) -> Vec<Vec<Ran<'a>>> {
    let tied = tied(ran, factor);
    let others = |part: &Part| {
        let rest = part.factors.iter().zip(&tied).filter(|(_, tied)| !**tied);
        let rest: Vec<String> = rest.map(|(f, _)| f.text()).collect();
        let own = part.factors[factor].number();
        (own, (part.profile, part.label.clone(), rest))
    };
    let mut groups: Vec<Vec<Ran<'a>>> = Vec::new();
    for &one in ran {
        let (Some(_), mine) = others(one.part) else {
            continue;
        };
        let same = |g: &&mut Vec<Ran<'a>>| others(g[0].part).1 == mine;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// For each factor whether it has one value only wherever another has the same.
fn tied(ran: &[Ran<'_>], factor: usize) -> Vec<bool> {
    let keys = 0..ran[0].part.factors.len();
    let follows = |other: usize| {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        ran.iter().all(|r| {
            let factors = &r.part.factors;
            let theirs = factors[other].text();
            *known
                .entry(factors[factor].text())
                .or_insert_with(|| theirs.clone())
                == theirs
        })
    };
    keys.map(follows).collect()
}

fn factor_panel(group: &[Ran<'_>], factor: usize) -> Option<Vec<Curve>> {
    let x = |ran: &Ran<'_>| ran.part.factors[factor].number().unwrap_or(0.0);
    let mut group = group.to_vec();
    group.sort_by(|a, b| x(a).total_cmp(&x(b)));
    let part = group[0].part;
    let plan = &part.plan;
    let fixed = part.factors.iter().enumerate();
    let is_fixed = |key: usize| {
        group
            .iter()
            .all(|r| r.part.factors[key] == part.factors[key])
    };
    let fixed = fixed.filter(|(i, f)| f.value.is_some() && is_fixed(*i));
    let fixed: Vec<String> = fixed
        .map(|(_, f)| format!("{} = {}", f.key, f.text()))
        .collect();
    let (low, high) = (x(&group[0]), x(group.last()?));
    let loads = |ran: &Ran<'_>, pick: fn(f64, f64) -> f64| {
        let cells = ran.outcome.cells.iter().filter(|c| c.tweak == Tweak::None);
        cells.filter_map(|c| c.offered_tps).reduce(pick)
    };
    let axes = |title: &str, y_label: &str, series: Vec<Series>| Curve {
        title: title.to_owned(),
        x_label: part.factors[factor].key.clone(),
        y_label: y_label.to_owned(),
        // assumption: a scale that spans more than a factor of eight was meant to be logarithmic.
        x_log: low > 0.0 && high > 8.0 * low,
        y_log: true,
        series,
        note: match fixed.join(", ") {
            none if none.is_empty() => none,
            some => format!("{some}."),
        },
        ..Curve::default()
    };
    let goodput = along(&group, &x, &|r| loads(r, f64::max), ("", 0), |cell| {
        Some(mean(plan, cell, |u| Some(summary::goodput_tps(u))))
    });
    let mut latency = Vec::new();
    for (p, variant) in [(50.0, 0), (99.0, 2)] {
        let suffix = format!(" p{p}");
        let load = |r: &Ran<'_>| loads(r, f64::min);
        latency.extend(along(&group, &x, &load, (&suffix, variant), |cell| {
            latency_s(plan, cell, Level::Final, p)
        }));
    }
    let curves = vec![
        axes(
            "Goodput at the highest load",
            "valid and final (transactions/s)",
            goodput,
        ),
        axes(
            "Latency to final at the lowest load",
            "at the submitting site (s)",
            latency,
        ),
    ];
    curves
        .iter()
        .any(|c| !c.series.is_empty())
        .then_some(curves)
}

/// One line an engine over parts, at a load of each.
fn along(
    group: &[Ran<'_>],
    x: &dyn Fn(&Ran<'_>) -> f64,
    load: &dyn Fn(&Ran<'_>) -> Option<f64>,
    (suffix, variant): (&str, usize),
    of: impl Fn(&Cell) -> Option<Interval>,
) -> Vec<Series> {
    let plan = &group[0].part.plan;
    let line = |engine: usize| {
        let points = group.iter().filter_map(|ran| {
            let cell = ran.outcome.cell(engine, load(ran), Tweak::None)?;
            point(cell, x(ran), &of(cell)?)
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
    if matches!(plan.kind, Kind::Curve | Kind::Capacity) {
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

/// The further figures of a part, by the name of their file: those that have something to show.
pub(crate) fn more_curves(ran: &Ran<'_>) -> Vec<(&'static str, Vec<Curve>)> {
    let swept = matches!(ran.part.plan.kind, Kind::Compare | Kind::Curve);
    let mut all = vec![("cdf", vec![cdf(ran)])];
    if swept {
        all.push(("chain", chain_curves(ran)));
        all.push(("domain", domain_curves(ran)));
    }
    all.push(("backlog", backlog_curves(ran)));
    for (_, curves) in &mut all {
        curves.retain(|c| c.series.iter().any(|s| s.points.iter().any(|p| p.y > 0.0)));
    }
    all.retain(|(_, curves)| !curves.is_empty());
    all
}

/// A curve without bounds or flags of its own.
fn plain(title: String, x_label: &str, y_label: &str, note: &str, series: Vec<Series>) -> Curve {
    Curve {
        title,
        x_label: x_label.into(),
        y_label: y_label.into(),
        series,
        note: note.into(),
        ..Curve::default()
    }
}

/// Percentiles that stand for a distribution.
const SHARES: [f64; 11] = [
    1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99,
];

/// How the latency to final is distributed at the load that is judged.
fn cdf(ran: &Ran<'_>) -> Curve {
    let plan = &ran.part.plan;
    let line = |engine: usize| {
        let points = summary::decisive(ran, engine).into_iter().flat_map(|cell| {
            let flagged = !matches!(summary::status(cell), UnitStatus::Ok);
            SHARES.into_iter().filter_map(move |p| {
                Some(Point {
                    x: latency_s(plan, cell, Level::Final, p)?.mean?,
                    y: p / 100.0,
                    low: None,
                    high: None,
                    status: if flagged {
                        PointStatus::Flagged
                    } else {
                        PointStatus::Ok
                    },
                })
            })
        });
        of_engine(plan, engine, points.collect())
    };
    let lines = (0..plan.engines.len()).map(line);
    Curve {
        x_log: true,
        ..plain(
            format!(
                "Distribution of the latency to final{}",
                crate::words::at(plan)
            ),
            "at the submitting site (s)",
            "share of writes that are final by then",
            "Means over replications of the percentiles that the sample supports.",
            lines.filter(|s| !s.points.is_empty()).collect(),
        )
    }
}

fn of_engine(plan: &Plan, engine: usize, points: Vec<Point>) -> Series {
    Series {
        label: plan.engines[engine].label().to_owned(),
        look: look(plan, engine),
        variant: 0,
        points,
    }
}

/// Blocks left behind, and views given up, against offered load.
fn chain_curves(ran: &Ran<'_>) -> Vec<Curve> {
    let plan = &ran.part.plan;
    let stale = series(ran, "", 0, |cell| {
        Some(mean(plan, cell, summary::stale_share))
    });
    let rounds = series(ran, "", 0, |cell| {
        Some(mean(plan, cell, |u| {
            let chain = &u.report.chain;
            (chain.height > 0).then(|| 1e3 * chain.round_changes as f64 / chain.height as f64)
        }))
    });
    let log = |curve| Curve {
        x_log: true,
        ..curve
    };
    let offered = "offered load (transactions/s)";
    vec![
        log(plain(
            "Forks".into(),
            offered,
            "share of blocks that did not stay on the chain",
            "An engine whose every block stays lies on zero.",
            stale,
        )),
        log(plain(
            "Views given up".into(),
            offered,
            "round changes per 1,000 blocks",
            "An engine without rounds, or one that gave up none, lies on zero.",
            rounds,
        )),
    ]
}

/// How long what the trade watches stays unknown somewhere, against offered load.
fn domain_curves(ran: &Ran<'_>) -> Vec<Curve> {
    let plan = &ran.part.plan;
    let view = summary::read_level(plan) as usize;
    let names = ran.part.workload.classes();
    let curve = |(c, name): (usize, &&str)| Curve {
        x_log: true,
        y_log: true,
        ..plain(
            format!("{name}: until the last site knows"),
            "offered load (transactions/s)",
            "95th percentile (s)",
            "What each site's readers see decides; intervals over replications.",
            series(ran, "", 0, |cell| {
                let longest = |u: &Done| u.report.probe.exposure[c].longest[view].clone();
                let count = cell.units.iter().map(|u| longest(u).len()).sum();
                summary::supports(cell, count, 95.0).then(|| {
                    mean(plan, cell, |u| {
                        let h = longest(u);
                        (!h.is_empty()).then(|| summary::percentile_ms(&h, 95.0) / 1e3)
                    })
                })
            }),
        )
    };
    names.iter().enumerate().map(curve).collect()
}

/// Points of a backlog's line.
const STEPS: usize = 25;

/// What is pending over time, wherever something goes wrong.
fn backlog_curves(ran: &Ran<'_>) -> Vec<Curve> {
    let plan = &ran.part.plan;
    let mut tweaks: Vec<Tweak> = Vec::new();
    for cell in &ran.outcome.cells {
        let is_bad = matches!(cell.tweak, Tweak::SiteDown | Tweak::Bad(_));
        let is_planned =
            cell.tweak == Tweak::None && !(plan.faults.is_empty() && plan.outages.is_empty());
        if (is_bad || is_planned) && !tweaks.contains(&cell.tweak) {
            tweaks.push(cell.tweak);
        }
    }
    tweaks
        .into_iter()
        .map(|tweak| backlog(ran, tweak))
        .collect()
}

fn backlog(ran: &Ran<'_>, tweak: Tweak) -> Curve {
    let plan = &ran.part.plan;
    let line = |engine: usize| {
        let cell = ran.outcome.cell(engine, plan.judged_tps(), tweak);
        of_engine(plan, engine, cell.map(pending).unwrap_or_default())
    };
    let lines = (0..plan.engines.len()).map(line);
    let what = match tweak {
        Tweak::None => "as planned",
        other => other.name(),
    };
    Curve {
        y_log: true,
        ..plain(
            format!("Backlog over time, {what}{}", crate::words::at(plan)),
            "time (s)",
            "writes in no block yet, plus one",
            "Means over replications. One more is drawn than is pending, so that none has a place.",
            lines.filter(|s| !s.points.is_empty()).collect(),
        )
    }
}

/// A cell's backlog at equal steps of its measured span, as far as all replications came.
fn pending(cell: &Cell) -> Vec<Point> {
    let slices = quorate_kernel::probe::SLICES;
    let of = |u: &Done, slice: usize| u.report.probe.backlog.get(slice).map(|&n| n as f64);
    let at = |step: usize| {
        let slice = step * slices / STEPS - 1;
        let values: Option<Vec<f64>> = cell.units.iter().map(|u| of(u, slice)).collect();
        let values = values.filter(|v| !v.is_empty())?;
        let span = cell.units[0].report.horizon.as_s();
        Some(Point {
            x: span * step as f64 / STEPS as f64,
            y: 1.0 + values.iter().sum::<f64>() / values.len() as f64,
            low: None,
            high: None,
            status: PointStatus::Ok,
        })
    };
    (1..=STEPS).filter_map(at).collect()
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
            g[0].part.label == one.part.label
                && g[0].part.profile == one.part.profile
                && g[0].part.factors == one.part.factors
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
    let x = |ran: &Ran<'_>| f64::from(ran.part.plan.network.nodes);
    along(group, &x, &|_| Some(tps), (suffix, variant), of)
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
