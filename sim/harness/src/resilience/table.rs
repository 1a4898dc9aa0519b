//! `resilience.csv`: a row for each engine and bad day.

use super::{fate, words};
use crate::error::Error;
use crate::output::{Ran, column, key};
use crate::results::{Column, Folder, Kind, Value};
use crate::sweep;

/// Writes the table; without bad days there is none.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(folder: &mut Folder, ran: &[Ran<'_>]) -> Result<(), Error> {
    let mut rows = Vec::new();
    for one in ran {
        let judged = fate::judge(one.part, one.outcome);
        rows.extend(judged.iter().map(|row| values(one, row)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut columns = columns();
    columns.extend(sweep::columns(ran[0].part, true));
    Ok(folder.csv("resilience.csv", &columns, rows)?)
}

fn columns() -> Vec<Column> {
    let mut columns = vec![
        key(
            "profile",
            Kind::String,
            "settings of the engines: deployed or matched",
        ),
        key("workload", Kind::String, "name of the workload"),
        key("engine", Kind::String, "label of the engine"),
        key("bad_day", Kind::String, "what goes wrong"),
    ];
    columns.extend(FIGURES.map(|(name, kind, unit, about)| column(name, kind, unit, about)));
    columns
}

type Described = (&'static str, Kind, &'static str, &'static str);

const FIGURES: [Described; 27] = [
    ("who", Kind::String, "", "who is down, cut off or lies"),
    (
        "bound",
        Kind::Integer,
        "organisations",
        "that may lie without breaking what the engine promises",
    ),
    ("from_s", Kind::Number, "s", "when it begins"),
    (
        "until_s",
        Kind::Number,
        "s",
        "when it ends; for liars without a partition the end of the measured span",
    ),
    (
        "replications",
        Kind::Integer,
        "",
        "replications; every figure is the worst of them",
    ),
    (
        "answer",
        Kind::String,
        "",
        "holds: nothing final is lost, it goes on meanwhile and after; fails; or undecided, where it \
         carries too little on a good day",
    ),
    ("fate", Kind::String, "", "the worst that can be said"),
    (
        "pace",
        Kind::Number,
        "ratio",
        "writes that became final meanwhile, over those submitted meanwhile; with liars, also after",
    ),
    (
        "first_final_ms",
        Kind::Number,
        "ms",
        "from the end until a new block is final; empty if never, and where it has no end",
    ),
    (
        "hit_final_ms",
        Kind::Number,
        "ms",
        "from the end until who was hit has a new final block; empty likewise",
    ),
    (
        "back_ms",
        Kind::Number,
        "ms",
        "from the end until no more is pending than at the beginning; empty likewise",
    ),
    (
        "backlog_peak",
        Kind::Integer,
        "transactions",
        "most that were pending; empty where it has no end",
    ),
    (
        "delayed",
        Kind::Integer,
        "transactions",
        "submitted before the end and final only after it; empty likewise",
    ),
    (
        "lost",
        Kind::Integer,
        "transactions",
        "dropped, expired, or not submitted because their site was down; empty likewise",
    ),
    (
        "exposure_max_ms",
        Kind::Number,
        "ms",
        "longest time for which a watched write of that time was unknown at some live site",
    ),
    (
        "exposure_open",
        Kind::Integer,
        "transactions",
        "watched writes of that time that some live site never saw",
    ),
    (
        "reads",
        Kind::Integer,
        "reads",
        "until the backlog was gone; with liars, of the whole run",
    ),
    ("stale", Kind::Integer, "reads", "of those, stale ones"),
    (
        "reversed_blocks",
        Kind::Integer,
        "blocks",
        "called final by a node and then left by it",
    ),
    (
        "reversed_after_final",
        Kind::Integer,
        "transactions",
        "different ones that a node had called final and that its chain then lacked",
    ),
    (
        "reversed_records",
        Kind::Integer,
        "records",
        "different ones, such as consents or packs, that those are about",
    ),
    (
        "reversed_patients",
        Kind::Integer,
        "patients",
        "different ones, as far as the ledger knows whose a record is: consents",
    ),
    (
        "reversed_classes",
        Kind::String,
        "",
        "those transactions by class",
    ),
    (
        "conflicting_finals",
        Kind::Integer,
        "blocks",
        "called final by a node where another had been at that height",
    ),
    (
        "invalid_final",
        Kind::Integer,
        "blocks",
        "that do not execute and that an honest node called final",
    ),
    ("evidence", Kind::Integer, "", "proofs that a node lied"),
    ("sentence", Kind::String, "", "all of it in words"),
];

fn values(ran: &Ran<'_>, row: &fate::Row) -> Vec<Value> {
    let (part, figures) = (ran.part, &row.figures);
    let window = row.case.window;
    let mut values = vec![
        Value::from(part.profile.name()),
        Value::from(part.label.as_str()),
        Value::from(part.plan.engines[row.engine].label()),
        Value::from(row.case.day.name()),
        Value::from(words::hit(part, row)),
        Value::from(row.case.bound),
        Value::from(window.from_s),
        Value::from(window.until_s),
        Value::from(figures.replications as u64),
        Value::from(row.answer.name()),
        Value::from(words::fate(row)),
        Value::from(figures.pace),
        Value::from(figures.first_final_ms),
        Value::from(figures.hit_final_ms),
        Value::from(figures.back_ms),
        Value::from(figures.backlog_peak),
        Value::from(figures.delayed),
        Value::from(figures.lost),
        Value::from(figures.exposure_ms),
        Value::from(figures.exposure_open),
        Value::from(figures.reads),
        Value::from(figures.stale),
        Value::from(figures.reversed_blocks),
        Value::from(figures.reversed_txs),
        Value::from(figures.reversed_records),
        Value::from(figures.reversed_patients),
        Value::from(words::by_class(part, figures)),
        Value::from(figures.conflicting_finals),
        Value::from(figures.invalid_final),
        Value::from(figures.evidence),
        Value::from(words::sentence(part, row)),
    ];
    values.extend(sweep::values(part));
    values
}
