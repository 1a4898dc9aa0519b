//! The table `[execution]`: whether transactions are executed before or after they are ordered, and the
//! results about what is executed before.

use crate::error::Error;
use crate::output::{Ran, Writer, column, key};
use crate::plan::{Plan, Source};
use crate::results::{Folder, Kind, Value};
use crate::run::Cell;
use crate::stats::Interval;
use crate::summary;
use crate::unit::Done;
use crate::words::duration;
use quorate_kernel::{Endorse, Endorsed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether transactions are executed before or after they are ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutionPlan {
    /// What comes first.
    pub model: Model,
    /// How many endorsers must agree; absent means a majority of `peers`.
    // source: Fabric, sampleconfig/configtx.yaml: the policy Endorsement is "MAJORITY Endorsement".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorsers: Option<u32>,
    /// Of so many nodes, the first ones; absent means all nodes.
    // assumption: one peer an organisation, all of which endorse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<u32>,
    /// Bytes of one endorsement, in the answer and in the transaction; absent means 900.
    // assumption: Fabric's `Endorsement` holds a PEM certificate with its organisation's name, about 800
    // bytes for P-256, and a signature of 70 to 72.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorsement_bytes: Option<u16>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The order: blocks are executed.
    #[default]
    OrderExecute,
    /// Execution by endorsers: blocks are validated, see [`Endorse`].
    ExecuteOrderValidate,
}

impl ExecutionPlan {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn peers(&self, plan: &Plan) -> u32 {
        self.peers.unwrap_or(plan.network.nodes)
    }

    fn endorsers(&self, plan: &Plan) -> u32 {
        self.endorsers.unwrap_or(self.peers(plan) / 2 + 1)
    }
}

/// Most bytes of all endorsements of a transaction: with its own they are counted up to 65,535.
const MOST_BYTES: u32 = 60_000;

/// Checks the table by itself.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let execution = &plan.execution;
    let refuse = |key: &str, why: &str, hint: &str| {
        Err(source.at_key(&format!("execution.{key}"), why, hint))
    };
    if execution.model == Model::OrderExecute {
        let given = [
            ("endorsers", execution.endorsers.is_some()),
            ("peers", execution.peers.is_some()),
            ("endorsement_bytes", execution.endorsement_bytes.is_some()),
        ];
        let Some((key, _)) = given.into_iter().find(|g| g.1) else {
            return Ok(());
        };
        let why = "is there, but nobody endorses";
        return refuse(key, why, "set model = \"execute-order-validate\"");
    }
    let (nodes, peers) = (plan.network.nodes, execution.peers(plan));
    let endorsers = execution.endorsers(plan);
    if !(1..=nodes).contains(&peers) {
        let why = format!("is {peers} of {nodes} nodes");
        return refuse("peers", &why, "name at least one and at most all nodes");
    }
    if !(1..=peers).contains(&endorsers) {
        let why = format!("is {endorsers} of {peers} peers");
        return refuse("endorsers", &why, "name at least one and at most all peers");
    }
    let bytes = endorsers * u32::from(bytes(execution));
    if bytes > MOST_BYTES {
        let why = format!("makes {bytes} bytes of {endorsers} endorsements");
        let hint = "a transaction counts up to 65,535 bytes: name fewer endorsers or smaller ones";
        return refuse("endorsement_bytes", &why, hint);
    }
    Ok(())
}

fn bytes(execution: &ExecutionPlan) -> u16 {
    execution.endorsement_bytes.unwrap_or(900)
}

/// Who endorses under a checked plan.
pub(crate) fn endorse(plan: &Plan) -> Option<Endorse> {
    let execution = &plan.execution;
    (execution.model == Model::ExecuteOrderValidate).then(|| Endorse {
        needed: execution.endorsers(plan),
        peers: execution.peers(plan),
        bytes: bytes(execution),
    })
}

fn endorsed(unit: &Done) -> Option<Endorsed> {
    unit.report.endorsed
}

/// Rejected transactions of a class whose reads had changed.
fn mvcc_invalid(unit: &Done, class: usize) -> u64 {
    let place = endorsed(unit).map(|e| e.mvcc_invalid);
    place.map_or(0, |place| unit.report.probe.classes[class].rejected[place])
}

/// The table of what endorsing came to, where somebody endorses.
pub(crate) fn write(folder: &mut Folder, writer: &Writer<'_>) -> Result<(), Error> {
    if !writer.cells().any(|(ran, _)| is_on(&ran)) {
        return Ok(());
    }
    let mut columns = writer.cell_columns();
    columns.insert(
        1,
        key("replication", Kind::Integer, "number of the replication"),
    );
    columns.push(key(
        "class",
        Kind::String,
        "class of transactions, or `all`",
    ));
    for (name, kind, unit, about) in COLUMNS {
        columns.push(column(name, kind, unit, about));
    }
    let mut rows = Vec::new();
    for (ran, cell) in writer.cells().filter(|(ran, _)| is_on(ran)) {
        for unit in &cell.units {
            let names = ran.part.workload.classes();
            let classes = (0..names.len()).filter(|&c| unit.report.probe.classes[c].submitted > 0);
            for class in std::iter::once(None).chain(classes.map(Some)) {
                let mut row = Writer::cell_values(ran, cell);
                row.insert(1, Value::from(u64::from(unit.key.replication)));
                row.push(Value::from(class.map_or("all", |c| names[c])));
                row.extend(values(unit, class));
                rows.push(row);
            }
        }
    }
    Ok(folder.csv("endorsement.csv", &columns, rows)?)
}

const COLUMNS: [(&str, Kind, &str, &str); 7] = [
    (
        "submitted",
        Kind::Integer,
        "transactions",
        "arrivals in the measured span",
    ),
    (
        "valid",
        Kind::Integer,
        "transactions",
        "of these, final and accepted",
    ),
    (
        "mvcc_invalid",
        Kind::Integer,
        "transactions",
        "of these, ordered and rejected because what they read had changed",
    ),
    (
        "endorsed_p50_ms",
        Kind::Number,
        "ms",
        "from the arrival until enough had endorsed it, median; all classes together",
    ),
    (
        "endorsed_p99_ms",
        Kind::Number,
        "ms",
        "the same, 99th percentile",
    ),
    (
        "refused",
        Kind::Integer,
        "transactions",
        "refused by endorsers and never ordered, in the whole run",
    ),
    (
        "disagreed",
        Kind::Integer,
        "",
        "how often all had answered and too few agreed, in the whole run",
    ),
];

fn values(unit: &Done, class: Option<usize>) -> Vec<Value> {
    let all = 0..unit.report.probe.classes.len();
    let classes = class.map_or(all, |c| c..c + 1);
    let total = |of: &dyn Fn(usize) -> u64| Value::from(classes.clone().map(of).sum::<u64>());
    let counts = &unit.report.probe.classes;
    let endorsed = endorsed(unit).filter(|_| class.is_none());
    let latency = |p: f64| {
        let h = &unit.report.probe.endorsed;
        (class.is_none() && !h.is_empty()).then(|| summary::percentile_ms(h, p))
    };
    vec![
        total(&|c| counts[c].submitted),
        total(&|c| counts[c].valid),
        total(&|c| mvcc_invalid(unit, c)),
        Value::from(latency(50.0)),
        Value::from(latency(99.0)),
        Value::from(endorsed.map(|e| e.refused)),
        Value::from(endorsed.map(|e| e.disagreed)),
    ]
}

fn is_on(ran: &Ran<'_>) -> bool {
    ran.part.plan.execution.model == Model::ExecuteOrderValidate
}

/// What is printed: for each cell as planned how long endorsing took and what was ordered in vain, and
/// the classes that conflict most. Empty where nobody endorses.
pub(crate) fn lines(ran: &Ran<'_>) -> Vec<Vec<String>> {
    let cells = (0..ran.part.plan.engines.len()).flat_map(|e| ran.outcome.sweep(e));
    let on = cells.filter(|cell| is_on(ran) && !cell.units.is_empty());
    on.map(|cell| line(ran, cell)).collect()
}

/// What stands above [`lines`].
pub(crate) const HEAD: [&str; 6] = [
    "engine",
    "offered/s",
    "endorsed p50",
    "endorsed p99",
    "mvcc_invalid",
    "most by class",
];

fn line(ran: &Ran<'_>, cell: &Cell) -> Vec<String> {
    let percentile = |p: f64| {
        let samples = summary::samples(cell, |u| {
            let h = &u.report.probe.endorsed;
            (!h.is_empty()).then(|| summary::percentile_ms(h, p))
        });
        let mean = Interval::point(&samples).mean;
        mean.map_or_else(|| "-".to_owned(), duration)
    };
    let names = ran.part.workload.classes();
    let shares = (0..names.len()).map(|class| (share(cell, &[class]), names[class]));
    let mut shares: Vec<(f64, &str)> = shares.filter(|s| s.0 > 0.0).collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let most = shares.iter().take(3);
    let most: Vec<String> = most
        .map(|(s, name)| format!("{name} {:.2} %", 100.0 * s))
        .collect();
    let all: Vec<usize> = (0..names.len()).collect();
    vec![
        ran.part.plan.engines[cell.engine].label().to_owned(),
        cell.offered_tps
            .map_or_else(|| "-".to_owned(), |t| format!("{t}")),
        percentile(50.0),
        percentile(99.0),
        format!("{:.2} %", 100.0 * share(cell, &all)),
        if most.is_empty() {
            "none".to_owned()
        } else {
            most.join(", ")
        },
    ]
}

/// Of the writes of some classes, the share that was ordered in vain.
fn share(cell: &Cell, classes: &[usize]) -> f64 {
    let total = |of: &dyn Fn(&Done, usize) -> u64| {
        let units = cell.units.iter();
        units
            .flat_map(|u| classes.iter().map(move |&c| of(u, c)))
            .sum::<u64>()
    };
    let submitted = total(&|u, c| u.report.probe.classes[c].submitted);
    total(&mvcc_invalid) as f64 / submitted.max(1) as f64
}
