//! Tables about outages: what each did, how long recovery took, and what was final and then lost.

use crate::error::Error;
use crate::output::{Ran, Writer, column, key};
use crate::plan::Plan;
use crate::results::{Column, Folder, Kind, Value};
use crate::run::Cell;
use crate::unit::Done;
use crate::words::{duration, short};
use crate::{stats, summary};
use quorate_core::{NodeId, Span, Time};
use quorate_kernel::{Incident, Reversed};
use std::collections::BTreeMap;

/// Whether anything goes wrong by plan.
fn has_faults(plan: &Plan) -> bool {
    !plan.faults.is_empty() || !plan.outages.is_empty() || !plan.resilience.bad_days.is_empty()
}

/// Writes `incidents.csv` where something goes wrong by plan, and `reversals.csv` there and where
/// something final was lost.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    let planned = writer.ran.iter().any(|ran| has_faults(&ran.part.plan));
    let units = || writer.cells().flat_map(|(_, cell)| &cell.units);
    if planned {
        incidents(folder, writer)?;
    }
    if planned || units().any(|u| u.report.reversed.txs > 0) {
        reversals(folder, writer)?;
    }
    Ok(())
}

/// The columns of a cell, with those that say which of its rows.
fn columns(
    writer: &Writer<'_>,
    keys: &[Column],
    more: impl IntoIterator<Item = Column>,
) -> Vec<Column> {
    let mut columns = writer.cell_columns();
    columns.splice(1..1, keys.iter().copied());
    columns.extend(more);
    columns
}

fn values(
    (ran, cell): (Ran<'_>, &Cell),
    keys: [Value; 2],
    more: impl IntoIterator<Item = Value>,
) -> Vec<Value> {
    let mut values = Writer::cell_values(ran, cell);
    values.splice(1..1, keys);
    values.extend(more);
    values
}

const REPLICATION: Column = key("replication", Kind::Integer, "number of the replication");

fn incidents(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    let number = key(
        "incident",
        Kind::Integer,
        "number of the incident: the union of planned outages that overlap or touch",
    );
    let columns = columns(writer, &[REPLICATION, number], MEASURES.iter().map(|m| m.0));
    let mut rows = Vec::new();
    for (ran, cell) in writer.cells() {
        for unit in &cell.units {
            for (i, incident) in unit.report.incidents.iter().enumerate() {
                let keys = [Value::from(unit.key.replication), Value::from(i)];
                let more = MEASURES.iter().map(|m| (m.1)(incident));
                rows.push(values((ran, cell), keys, more));
            }
        }
    }
    Ok(folder.csv("incidents.csv", &columns, rows)?)
}

fn reversals(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    let class = key("class", Kind::String, "class of transactions, or `all`");
    let count = |name, unit, about| column(name, Kind::Integer, unit, about);
    let more = [
        count(
            "reversed_after_final_txs",
            "transactions",
            "different ones that some node had called final and that its chain then lacked",
        ),
        count(
            "reversed_after_final_records",
            "records",
            "different records, such as consents or packs, that they are about",
        ),
        count(
            "reversed_after_final_patients",
            "patients",
            "different patients, as far as the ledger knows whose a record is: consents",
        ),
    ];
    let columns = columns(writer, &[REPLICATION, class], more);
    let mut rows = Vec::new();
    for (ran, cell) in writer.cells() {
        let names = ran.part.workload.classes();
        for unit in &cell.units {
            let report = &unit.report;
            let all = std::iter::once(("all", &report.reversed));
            for (name, r) in all.chain(names.iter().copied().zip(&report.reversed_classes)) {
                let keys = [Value::from(unit.key.replication), Value::from(name)];
                let Reversed {
                    txs,
                    records,
                    people,
                } = *r;
                let more = [txs, records, people].map(Value::from);
                rows.push(values((ran, cell), keys, more));
            }
        }
    }
    Ok(folder.csv("reversals.csv", &columns, rows)?)
}

/// The unit of a numeric column of `incidents.csv`; `None` where there is no such column.
pub(crate) fn measure_unit(name: &str) -> Option<&'static str> {
    let named = |m: &&Measure| m.0.name == name && !matches!(m.0.kind, Kind::String);
    MEASURES.iter().find(named).map(|m| m.0.unit)
}

/// The mean of that column over the outages of a replication; `None` where nothing stands in it.
pub(crate) fn mean_value(unit: &Done, name: &str) -> Option<f64> {
    let (_, of) = MEASURES.iter().find(|m| m.0.name == name)?;
    let values = unit.report.incidents.iter().filter_map(|i| of(i).number());
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A column of `incidents.csv` and where its value comes from.
type Measure = (Column, fn(&Incident) -> Value);

const fn count(name: &'static str, unit: &'static str, about: &'static str) -> Column {
    column(name, Kind::Integer, unit, about)
}

const fn ms_column(name: &'static str, about: &'static str) -> Column {
    column(name, Kind::Number, "ms", about)
}

fn ms(span: Option<Span>) -> Value {
    Value::from(span.map(in_ms))
}

fn in_ms(span: Span) -> f64 {
    span.as_ms()
}

fn ended(incident: &Incident) -> Option<Time> {
    Some(incident.until).filter(|&t| t != Time::NEVER)
}

fn nodes(struck: &[NodeId]) -> String {
    let names: Vec<String> = struck.iter().map(|n| n.get().to_string()).collect();
    names.join(" ")
}

const TXS: &str = "transactions";

const MEASURES: &[Measure] = &[
    (column("from_s", Kind::Number, "s", "its beginning"), |i| {
        i.from.as_s().into()
    }),
    (
        column(
            "until_s",
            Kind::Number,
            "s",
            "its healing: the end of its last fault; empty if that is not planned",
        ),
        |i| ended(i).map(Time::as_s).into(),
    ),
    (
        column(
            "causes",
            Kind::String,
            "",
            "what happened: crash, one-way, partition, wan-cut",
        ),
        |i| i.causes.join(" ").into(),
    ),
    (
        column(
            "struck",
            Kind::String,
            "",
            "nodes that were down or cut off; of two sides the smaller one",
        ),
        |i| nodes(&i.struck).into(),
    ),
    (
        count(
            "finals",
            "blocks",
            "that became final while it lasted and were final at no node before",
        ),
        |i| i.finals.into(),
    ),
    (
        ms_column(
            "first_final_after_ms",
            "from healing until the first block became final that was final at no node before",
        ),
        |i| ms(i.first_final),
    ),
    (
        ms_column(
            "first_final_struck_after_ms",
            "from healing until the final view of a struck node first moved",
        ),
        |i| ms(i.first_final_struck),
    ),
    (
        ms_column(
            "longest_pause_ms",
            "longest time without such a block, from its beginning until the first one after healing",
        ),
        |i| in_ms(i.longest_pause).into(),
    ),
    (
        count(
            "backlog_before_txs",
            TXS,
            "submitted and not yet final when it began",
        ),
        |i| i.backlog_before.into(),
    ),
    (
        count(
            "backlog_peak_txs",
            TXS,
            "the most of them until they were back",
        ),
        |i| i.backlog_peak.into(),
    ),
    (
        ms_column(
            "back_ms",
            "from healing until there were no more of them than when it began; empty if never",
        ),
        |i| ms(i.back),
    ),
    (
        count("submitted_txs", TXS, "submitted while it lasted"),
        |i| i.submitted.into(),
    ),
    (
        count(
            "delayed_txs",
            TXS,
            "submitted before healing and final no earlier than that",
        ),
        |i| i.delayed.into(),
    ),
    (
        count(
            "dropped_txs",
            TXS,
            "submitted before healing and given up from its beginning on, by a full node or as too old",
        ),
        |i| i.dropped.into(),
    ),
    (
        count(
            "expired_txs",
            TXS,
            "submitted before healing and too old when executed, from its beginning on",
        ),
        |i| i.expired.into(),
    ),
    (
        count(
            "refused_txs",
            TXS,
            "not submitted while it lasted, because the site's node was down for good",
        ),
        |i| i.refused.into(),
    ),
    (
        count(
            "reads",
            "reads",
            "answered from its beginning until the backlog was back",
        ),
        |i| i.reads.into(),
    ),
    (count("stale_reads", "reads", "of those, stale ones"), |i| {
        i.stale.into()
    }),
    (
        count(
            "refused_reads",
            "reads",
            "in that span, refused because the site's node was down",
        ),
        |i| i.reads_refused.into(),
    ),
    (
        ms_column(
            "worst_exposure_ms",
            "longest time that a watched write submitted while it lasted was not in the last site's view",
        ),
        |i| ms(i.worst_exposure),
    ),
    (
        count(
            "exposure_open",
            TXS,
            "watched writes submitted while it lasted that some site never saw within the run",
        ),
        |i| i.exposure_open.into(),
    ),
    (
        count(
            "reversed_blocks",
            "blocks",
            "called final by a node and then left by it, until the next incident",
        ),
        |i| i.reversed_blocks.into(),
    ),
    (
        count("reversed_txs", TXS, "in those blocks, each node by itself"),
        |i| i.reversed_txs.into(),
    ),
    (
        count(
            "reversed_after_final_txs",
            TXS,
            "different ones in those blocks that the node's new chain lacked, each where it was first",
        ),
        |i| i.reversed_after_final.into(),
    ),
];

/// The head of the lines below, after the engine.
pub(crate) const HEAD: [&str; 15] = [
    "from",
    "lasts",
    "struck",
    "blocks final meanwhile",
    "longest pause",
    "final after healing",
    "at the struck",
    "backlog back",
    "most pending",
    "delayed",
    "lost",
    "stale reads",
    "reads refused",
    "exposed at most",
    "reversed after final",
];

/// A line for each engine and incident, at the load that is judged; empty where nothing goes wrong by
/// plan.
pub(crate) fn lines(ran: &Ran<'_>) -> Vec<(usize, Vec<String>)> {
    let plan = &ran.part.plan;
    if !has_faults(plan) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for engine in 0..plan.engines.len() {
        let Some(cell) = summary::decisive(ran, engine) else {
            continue;
        };
        lines.extend(same(&cell.units).values().map(|all| (engine, line(all))));
    }
    lines
}

/// The replications' incidents that began together.
fn same(units: &[Done]) -> BTreeMap<Time, Vec<&Incident>> {
    let mut same: BTreeMap<Time, Vec<&Incident>> = BTreeMap::new();
    for incident in units.iter().flat_map(|u| &u.report.incidents) {
        same.entry(incident.from).or_default().push(incident);
    }
    same
}

fn line(all: &[&Incident]) -> Vec<String> {
    let first = all[0];
    let struck = if all.iter().all(|i| i.struck == first.struck) {
        nodes(&first.struck)
    } else {
        "differs".to_owned()
    };
    let counted = |of: fn(&Incident) -> u64| {
        let counts: Vec<f64> = all.iter().map(|i| of(i) as f64).collect();
        whole(stats::mean(&counts))
    };
    // A mean over those that came to it, with how many did not.
    let timed = |of: fn(&Incident) -> Option<Span>| {
        let times: Vec<f64> = all.iter().filter_map(|i| of(i)).map(in_ms).collect();
        match (times.len(), all.len()) {
            (0, _) => "never".to_owned(),
            (n, m) if n == m => duration(stats::mean(&times)),
            (n, m) => format!("{} ({n} of {m})", duration(stats::mean(&times))),
        }
    };
    let exposed = if all.iter().all(|i| i.worst_exposure.is_none()) {
        "-".to_owned()
    } else {
        timed(|i| i.worst_exposure)
    };
    vec![
        clock(first.from),
        ended(first).map_or_else(
            || "for good".to_owned(),
            |until| duration(in_ms(until.since(first.from))),
        ),
        struck,
        counted(|i| i.finals),
        timed(|i| Some(i.longest_pause)),
        timed(|i| i.first_final),
        timed(|i| i.first_final_struck),
        timed(|i| i.back),
        counted(|i| i.backlog_peak),
        counted(|i| i.delayed),
        counted(|i| i.dropped + i.expired + i.refused),
        counted(|i| i.stale),
        counted(|i| i.reads_refused),
        exposed,
        counted(|i| i.reversed_after_final),
    ]
}

/// A mean of counts.
fn whole(mean: f64) -> String {
    if mean < 1.0 && mean > 0.0 {
        short(mean)
    } else {
        format!("{mean:.0}")
    }
}

/// Hours, minutes and seconds since the start of the run.
fn clock(at: Time) -> String {
    let s = at.ns() / 1_000_000_000;
    let (hours, minutes, seconds) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}
