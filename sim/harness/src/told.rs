//! What workloads measure themselves: the table about it, its lines for screen and page, the levels
//! that name it, and the list of all metrics.

use crate::catalogue::Entry;
use crate::error::Error;
use crate::level::{GRAMMAR, Level as ServiceLevel, Statistic};
use crate::output::{Ran, Writer, column, key};
use crate::plan::Plan;
use crate::results::{Folder, Kind, Value};
use crate::run::Cell;
use crate::stats::Interval;
use crate::summary::{self, decisive, load};
use crate::words::{self, duration};
use quorate_core::{Measure, Seed, Unit};
use quorate_kernel::probe::{LatencyHistogram, Reads, Told};
use quorate_kernel::{Report, WhenStale};
use quorate_workloads::{Rate, Setup, WorkloadKind};
use std::io;
use std::sync::OnceLock;

/// Writes `domain.csv` where a workload measures something itself.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    let measures = |ran: &Ran<'_>| !ran.part.workload.measures().is_empty();
    if !writer.ran.iter().any(measures) {
        return Ok(());
    }
    let count = |name, unit, about| column(name, Kind::Integer, unit, about);
    let ms = |name, about| column(name, Kind::Number, "ms", about);
    let mut columns = writer.cell_columns();
    let keys = [
        key("replication", Kind::Integer, "number of the replication"),
        key("measure", Kind::String, "name, see `quorate list metrics`"),
    ];
    columns.splice(1..1, keys);
    columns.extend([
        column("unit", Kind::String, "", "how it is told: share or ms"),
        count("hits", "cases", "of a share: cases that count"),
        count("of", "cases", "of a share: all cases"),
        column("share", Kind::Number, "share", "hits over all cases"),
        count("count", "samples", "of a time: lengths that were measured"),
        ms("mean_ms", "of a time: mean"),
        ms("p50_ms", "of a time: median"),
        ms("p95_ms", "of a time: 95th percentile"),
        ms("p99_ms", "of a time: 99th percentile"),
        ms("max_ms", "of a time: the longest"),
    ]);
    let mut rows = Vec::new();
    for (ran, cell) in writer.cells() {
        for unit in &cell.units {
            for told in &unit.report.probe.domain {
                let mut row = Writer::cell_values(ran, cell);
                let replication = Value::from(u64::from(unit.key.replication));
                row.splice(1..1, [replication, Value::from(told.measure.name)]);
                row.extend(values(told));
                rows.push(row);
            }
        }
    }
    Ok(folder.csv("domain.csv", &columns, rows)?)
}

fn values(told: &Told) -> [Value; 10] {
    let share = told.measure.unit == Unit::Share;
    let counted = |n: u64| Value::from(share.then_some(n));
    let timed = |ms: f64| Value::from((!told.times.is_empty()).then_some(ms));
    let p = |p| timed(summary::percentile_ms(&told.times, p));
    [
        Value::from(unit(told.measure.unit)),
        counted(told.hits),
        counted(told.cases),
        Value::from(summary::told_share(told)),
        Value::from((!share).then(|| told.times.len())),
        timed(summary::mean_ms(&told.times)),
        p(50.0),
        p(95.0),
        p(99.0),
        timed(told.times.max() as f64 / 1e3),
    ]
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => "share",
        Unit::Time => "ms",
    }
}

/// A measure in words, or one statistic of it, with a value for each engine.
pub(crate) struct Line {
    pub(crate) measure: Measure,
    /// Which statistic, with a space before it; empty for a share.
    pub(crate) stat: &'static str,
    pub(crate) values: Vec<String>,
}

/// What the lines are about.
pub(crate) fn title(ran: &Ran<'_>) -> String {
    let at = load(ran.part).map_or_else(String::new, |tps| format!(" at {tps} writes/s"));
    format!("what the workload measures itself{at} (mean over replications)")
}

/// What stands where nothing was measured, and where too little was.
const NO_CASE: &str = "no case";
const TOO_FEW: &str = "too few";

/// Every measure of the part's workload, where the engines are judged; in brief without intervals, and
/// without the lines that say nothing of any engine.
pub(crate) fn lines(ran: &Ran<'_>, brief: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for (m, &measure) in ran.part.workload.measures().iter().enumerate() {
        let mut line = |stat, of: &dyn Fn(&Cell) -> String| {
            let of = |engine| {
                let cell = decisive(ran, engine).filter(|c| !c.units.is_empty());
                cell.map_or_else(|| "never final".to_owned(), of)
            };
            let values: Vec<String> = (0..ran.part.plan.engines.len()).map(of).collect();
            if !brief
                || !values
                    .iter()
                    .all(|v| v == NO_CASE || v.starts_with(TOO_FEW))
            {
                lines.push(Line {
                    measure,
                    stat,
                    values,
                });
            }
        };
        match measure.unit {
            Unit::Share => line("", &|cell| share(ran, cell, m, brief)),
            Unit::Time => {
                line(" p50", &|cell| time(ran, cell, (m, Some(50.0)), brief));
                line(" p95", &|cell| time(ran, cell, (m, Some(95.0)), brief));
                line(" max", &|cell| time(ran, cell, (m, None), brief));
            }
        }
    }
    lines
}

/// A share, and of how many cases of all replications.
fn share(ran: &Ran<'_>, cell: &Cell, measure: usize, brief: bool) -> String {
    let told = || cell.units.iter().map(|u| &u.report.probe.domain[measure]);
    let of: u64 = told().map(|t| t.cases).sum();
    if of == 0 {
        return NO_CASE.to_owned();
    }
    let hits: u64 = told().map(|t| t.hits).sum();
    let samples = summary::samples(cell, |u| {
        summary::told_share(&u.report.probe.domain[measure])
    });
    let value = interval(ran, cell, &samples, brief);
    let shown = words::interval(&value, |x| format!("{:.2} %", 100.0 * x));
    match shown.strip_suffix(')') {
        Some(open) => format!("{open}; {hits} of {of})"),
        None => format!("{shown} ({hits} of {of})"),
    }
}

/// A percentile of a time, or the longest, where enough was measured.
fn time(
    ran: &Ran<'_>,
    cell: &Cell,
    (measure, percentile): (usize, Option<f64>),
    brief: bool,
) -> String {
    let told = || cell.units.iter().map(|u| &u.report.probe.domain[measure]);
    let count: u64 = told().map(|t| t.times.len()).sum();
    if count == 0 {
        return NO_CASE.to_owned();
    }
    if percentile.is_some_and(|p| !summary::is_enough(count, p)) {
        return format!("{TOO_FEW} ({count})");
    }
    let samples = summary::samples(cell, |u| {
        let times = &u.report.probe.domain[measure].times;
        let of = |p| summary::percentile_ms(times, p);
        (!times.is_empty()).then(|| percentile.map_or(times.max() as f64 / 1e3, of))
    });
    words::interval(&interval(ran, cell, &samples, brief), duration)
}

fn interval(ran: &Ran<'_>, cell: &Cell, samples: &[f64], brief: bool) -> Interval {
    let full = summary::interval(&ran.part.plan, cell, samples);
    Interval {
        low: full.low.filter(|_| !brief),
        ..full
    }
}

/// Whether a level names a measure that the workload has, with a statistic that it has; else why not, and
/// what would fit.
pub(crate) fn fits(
    level: &ServiceLevel,
    (workload, measures): (&str, &[Measure]),
) -> Result<(), (String, String)> {
    let name = &level.class;
    let Some(measure) = measures.iter().find(|m| m.name == name) else {
        let names: Vec<&str> = measures.iter().map(|m| m.name).collect();
        let hint = match names.as_slice() {
            [] => format!("the workload {workload} has no measures of its own; {GRAMMAR}"),
            _ => format!("the workload {workload} measures: {}", names.join(", ")),
        };
        return Err((format!("the workload measures no {name:?}"), hint));
    };
    match (measure.unit, level.statistic == Statistic::Rate) {
        (Unit::Share, false) => Err((
            "this measure is a share".to_owned(),
            format!("write {name}:share<bound"),
        )),
        (Unit::Time, true) => Err((
            "this measure is a time".to_owned(),
            format!("write {name}:p(99)<bound, or avg, med, p(N) or max"),
        )),
        _ => Ok(()),
    }
}

/// A measure of reads, and how it counts them: hits, of how many.
type OfReads = (Measure, fn(&Reads) -> (u64, u64));

/// What is measured of reads where a view may be too old, as `node.when_stale` says what becomes of them.
fn of_reads(plan: &Plan) -> &'static [OfReads] {
    match plan.node.view_age().map(|age| age.when_stale) {
        None => &[],
        Some(WhenStale::Allow) => &[OLD, DISCLOSED],
        Some(WhenStale::Deny) => &[OLD, DISCLOSED, DENIED, CARE_DENIED],
        Some(WhenStale::BreakGlass) => &[OLD, DISCLOSED, GLASS_BROKEN],
    }
}

/// All that is measured under a plan: by the workload, and of its reads.
pub(crate) fn all(own: &[Measure], plan: &Plan) -> Vec<Measure> {
    let reads = of_reads(plan).iter().map(|r| r.0);
    own.iter().copied().chain(reads).collect()
}

/// Adds the measures of reads to what the workload told. Reads of the whole span count, as elsewhere.
pub(crate) fn tell_reads(plan: &Plan, report: &mut Report) {
    let told = of_reads(plan).iter().map(|&(measure, count)| {
        let (hits, cases) = count(&report.reads);
        Told {
            measure,
            cases,
            hits,
            times: LatencyHistogram::default(),
        }
    });
    report.probe.domain.extend(told);
}

const fn of_read(name: &'static str, what: &'static str, moved_by: &'static str) -> Measure {
    Measure {
        name,
        what,
        unit: Unit::Share,
        source: "definition, see node.max_view_age_ms and node.when_stale",
        moved_by,
    }
}

const OLD: OfReads = (
    of_read(
        "reads_on_old_view",
        "Reads that found their site's view older than node.max_view_age_ms.",
        "time between blocks, latency to the level that is served, partitions",
    ),
    |r| (r.old, r.served),
);
const DISCLOSED: OfReads = (
    of_read(
        "disclosed_after_revocation",
        "Reads that a view allowed though a revocation had been submitted.",
        "latency to the level that is served, partitions",
    ),
    |r| (r.stale.iter().sum(), r.served),
);
const DENIED: OfReads = (
    of_read(
        "reads_denied",
        "Reads refused because the view was too old.",
        "time between blocks, partitions",
    ),
    |r| (r.denied, r.served),
);
const CARE_DENIED: OfReads = (
    of_read(
        "care_denied",
        "Of the reads refused so, those that the rule allows on what is final at any site at that instant, \
         and about which no revocation was under way.",
        "partitions; blocks that come late although nothing changed",
    ),
    |r| (r.care_denied, r.denied),
);
const GLASS_BROKEN: OfReads = (
    of_read(
        "glass_broken",
        "Reads that became emergency accesses because the view was too old.",
        "time between blocks, partitions",
    ),
    |r| (r.glass_broken, r.served),
);

/// What a workload measures with its default settings; nothing where it cannot do without some.
pub(crate) fn measures(kind: WorkloadKind) -> &'static [Measure] {
    // To ask is to build the workload, and `explain` asks for every name.
    static ALL: OnceLock<Vec<&'static [Measure]>> = OnceLock::new();
    let all = ALL.get_or_init(|| WorkloadKind::ALL.iter().map(|k| built(*k)).collect());
    let mut kinds = WorkloadKind::ALL.iter().zip(all);
    let found = kinds.find(|(k, _)| k.name() == kind.name());
    found.map_or(&[], |(_, measures)| measures)
}

fn built(kind: WorkloadKind) -> &'static [Measure] {
    let mut none = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    let setup = Setup {
        rate: Some(Rate::Flat { per_s: 1.0 }),
        seed: Seed::new(1, 0),
        open: &mut none,
    };
    let spec = kind.parse(toml::Table::new());
    let built = spec.ok().and_then(|spec| spec.build(setup).ok());
    let domain = built.and_then(|built| built.domain);
    domain.map_or(&[], |domain| domain.measures())
}

/// The property of consensus that moves a metric or a measure; `None` where there is none of that name.
pub(crate) fn moved_by(name: &str) -> Option<&'static str> {
    let named = |k: &&Kernel| k.name.split(", ").any(|n| n == name);
    if let Some(kernel) = KERNEL.iter().find(named) {
        return Some(kernel.moved_by);
    }
    let reads = [OLD, DISCLOSED, DENIED, CARE_DENIED, GLASS_BROKEN].map(|r| r.0);
    let own = WorkloadKind::ALL.iter().flat_map(|kind| measures(*kind));
    let mut all = reads.into_iter().chain(own.copied());
    all.find(|m| m.name == name).map(|m| m.moved_by)
}

/// What the simulator measures of every workload.
struct Kernel {
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    source: &'static str,
    moved_by: &'static str,
}

/// Every metric with what it says: those of all workloads, then each workload's own.
pub(crate) fn list() -> Vec<Entry> {
    let entry = |name: String, what: &str, unit: &str, source: &str, moved_by: &str| {
        let entry = Entry::new(name, what).with("unit", unit);
        entry.with("source", source).with("moved by", moved_by)
    };
    let kernel = |k: &Kernel| entry(k.name.to_owned(), k.what, k.unit, k.source, k.moved_by);
    let own = |kind: &WorkloadKind| {
        let line = |m: &'static Measure, kind: WorkloadKind| {
            let name = format!("{} ({})", m.name, kind.name());
            entry(name, m.what, unit(m.unit), m.source, m.moved_by)
        };
        let kind = *kind;
        measures(kind).iter().map(move |m| line(m, kind))
    };
    let reads = [OLD, DISCLOSED, DENIED, CARE_DENIED, GLASS_BROKEN];
    let reads = reads.into_iter().map(|(m, _)| {
        let name = m.name.to_owned();
        entry(name, m.what, unit(m.unit), m.source, m.moved_by)
    });
    let all = KERNEL.iter().map(kernel).chain(reads);
    all.chain(WorkloadKind::ALL.iter().flat_map(own)).collect()
}

const MODEL: &str = "definition, see ARCHITECTURE.md, \"The model\"";

/// What the simulator measures of every workload, by the names of levels and tables.
const KERNEL: [Kernel; 14] = [
    Kernel {
        name: "included",
        what: "From intended submission until a transaction is in a block of its site's head.",
        unit: "ms, by class",
        source: MODEL,
        moved_by: "time between blocks, block space, propagation",
    },
    Kernel {
        name: "safe",
        what: "The same until it is safe: the protocol's weaker notion of final.",
        unit: "ms, by class",
        source: MODEL,
        moved_by: "confirmations that the weaker risk needs; rounds of votes",
    },
    Kernel {
        name: "final",
        what: "The same until it is final: time to irrevocable.",
        unit: "ms, by class",
        source: MODEL,
        moved_by: "rounds of votes, or confirmations that the adversary's share asks for",
    },
    Kernel {
        name: "quorum_final, all_final",
        what: "The same until all but the tolerated sites' nodes hold it as final; until all do.",
        unit: "ms",
        source: MODEL,
        moved_by: "propagation to the slowest site; catching up after faults",
    },
    Kernel {
        name: "exposure",
        what: "From the submission of a watched write, such as a revoked consent or a recall, until \
               the last live site's view has it.",
        unit: "ms, by class and level of the view",
        source: "GDPR Art. 7(3): withdrawing is as easy as giving; definition, see ARCHITECTURE.md",
        moved_by: "latency to the level that readers are served from, at the slowest site",
    },
    Kernel {
        name: "stale reads",
        what: "Reads that a view allowed though a revocation had been submitted, by what it waited for: \
               stale_block_wait, stale_propagation, stale_reorg, stale_partition.",
        unit: "reads",
        source: MODEL,
        moved_by: "block interval; delay and finality; reorganisations; partitions",
    },
    Kernel {
        name: "served",
        what: "From the arrival of a read until its site's node has answered.",
        unit: "ms, by class",
        source: MODEL,
        moved_by: "CPU that the protocol leaves; no consensus",
    },
    Kernel {
        name: "goodput",
        what: "Useful throughput: valid final transactions, over those offered that the rules accept.",
        unit: "share",
        source: MODEL,
        moved_by: "block space, bandwidth, CPU",
    },
    Kernel {
        name: "accepted",
        what: "Final transactions of a class that the ledger's rules accepted.",
        unit: "share, by class",
        source: MODEL,
        moved_by: "order and delay: who loses a race is refused",
    },
    Kernel {
        name: "ontime",
        what: "Transactions with a deadline that are final by then, such as audit records at lock.",
        unit: "share, by class",
        source: "21 CFR 11.10(e): audit trails; the deadline's own source stands with the workload",
        moved_by: "latency to final",
    },
    Kernel {
        name: "reversed_after_final",
        what: "What had been called final and was then lost.",
        unit: "transactions, records, patients",
        source: MODEL,
        moved_by: "probabilistic or conditional finality against the adversary and outages",
    },
    Kernel {
        name: "loss_window",
        what: "anchor: how long a transaction is safe before it is final, and colluding operators may \
               rewrite it.",
        unit: "ms",
        source: MODEL,
        moved_by: "time between roots, the public chain's finality",
    },
    Kernel {
        name: "recovery",
        what: "What an outage did and how long recovery took; every column of incidents.csv.",
        unit: "see the table",
        source: MODEL,
        moved_by: "who is needed for a quorum; leader election; spare throughput",
    },
    Kernel {
        name: "cost",
        what: "What the protocol costs: every column of replications.csv.",
        unit: "see the table",
        source: MODEL,
        moved_by: "messages a block, signatures, copies of blocks",
    },
];
