//! The files of a result: tidy tables with units, the resolved plan, histograms, plots, checksums.

use crate::anchor::figures as anchored;
use crate::error::Error;
use crate::plan::Kind as PlanKind;
use crate::results::{Column, Folder, Kind, Value, sha256_hex};
use crate::run::{Cell, Outcome};
use crate::stats::Interval;
use crate::study::{Part, Study};
use crate::unit::{Done, Tweak, settled};
use crate::verdict::Row;
use crate::{
    analysis, capacity, differences, execution, figures, incidents, knee, precision, question,
    report, resilience, risk, sensitivity, summary, sweep, told, tune, upkeep,
};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use quorate_core::{Level, Span};
use quorate_kernel::Lies;
use quorate_kernel::probe::{ClassCounts, LatencyHistogram, Traffic};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Raised whenever the same plan gives other results than before.
pub const MODEL_VERSION: u32 = 4;

/// The checksums of the golden plan and its digests, with the version that first had them; what comes after it
/// and has no entry moved nothing that they see. Only ever added to: `tests/model_version.rs` says how.
pub const GOLDEN: &[(u32, &str)] = &[(
    4,
    "6d2702d3556b0187002072f17a8163dbb18c451ca6a2fb786c6dab8fbbf5797c",
)];

pub(crate) const fn column(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    about: &'static str,
) -> Column {
    Column {
        name,
        kind,
        unit,
        description: about,
        key: false,
    }
}

pub(crate) const fn key(name: &'static str, kind: Kind, about: &'static str) -> Column {
    Column {
        name,
        kind,
        unit: "",
        description: about,
        key: true,
    }
}

/// A part of a study with what became of it.
#[derive(Clone, Copy)]
pub struct Ran<'a> {
    /// The part.
    pub part: &'a Part,
    /// What was simulated.
    pub outcome: &'a Outcome,
    /// The verdict; empty unless the plan is a comparison.
    pub rows: &'a [Row],
}

impl<'a> Ran<'a> {
    /// The parts of a study with what became of each.
    pub fn all(study: &'a Study, outcomes: &'a [Outcome], rows: &'a [Vec<Row>]) -> Vec<Self> {
        let all = study.parts.iter().zip(outcomes).zip(rows);
        let ran = all.map(|((part, outcome), rows)| Self {
            part,
            outcome,
            rows,
        });
        ran.collect()
    }
}

/// A part's plan with every default spelled out. It can be run by itself.
pub fn resolved(part: &Part) -> String {
    let mut plan = part.plan.clone();
    for (engine, sheet) in plan.engines.iter_mut().zip(&part.sheets) {
        engine.config = sheet.resolved.clone();
    }
    let label = plan.workload.remove("label");
    plan.workload = part.workload.resolved();
    plan.workload
        .extend(label.map(|label| ("label".to_owned(), label)));
    with_version(&plan)
}

/// A plan as it is written into results.
pub(crate) fn with_version(plan: &impl serde::Serialize) -> String {
    let text = toml::to_string(plan).expect("a plan is a table");
    format!("# model_version = {MODEL_VERSION}\n{text}")
}

/// A name for files about a part; empty where there is only one.
pub(crate) fn suffix(study: &Study, part: &Part) -> String {
    let mut name = String::new();
    if study.has_profiles() {
        name.push('-');
        name.push_str(part.profile.name());
    }
    if study.plan.workloads.len() > 1 {
        name.push('-');
        name.push_str(&part.label);
    }
    if study.has_factors() {
        let _ = write!(name, "-{:03}", part.combination);
    }
    name
}

/// The plan as it was run, every default spelled out.
pub fn config(study: &Study) -> String {
    match study.parts.as_slice() {
        [only] if study.is_one_plan() => resolved(only),
        _ => with_version(&study.plan),
    }
}

/// What names the results of a study with this SHA-256 of its [`config`].
pub(crate) fn folder_name(study: &Study, hash: &str) -> String {
    format!("{}-{}", study.plan.name, &hash[..8])
}

/// Writes everything and returns the folder.
///
/// # Errors
/// When the folder cannot be written; nothing half-written is left.
pub fn write(parent: &Path, study: &Study, ran: &[Ran<'_>]) -> Result<PathBuf, Error> {
    let config = config(study);
    let hash = sha256_hex(config.as_bytes());
    let mut folder = Folder::create(parent, &folder_name(study, &hash))?;
    folder.text("config.resolved.toml", &config)?;
    let writer = Writer { ran, hash: &hash };
    writer.parts(&mut folder)?;
    writer.plan_table(&mut folder)?;
    writer.replications(&mut folder)?;
    writer.summary(&mut folder)?;
    if matches!(study.plan.kind, PlanKind::Compare | PlanKind::Scenario) {
        writer.verdict(&mut folder)?;
    }
    differences::write(&mut folder, study, ran)?;
    if study.plan.kind == PlanKind::Compare {
        resilience::table::write(&mut folder, ran)?;
    }
    question::write(&mut folder, &writer)?;
    if study.plan.kind == PlanKind::Curve {
        writer.knees(&mut folder)?;
    }
    capacity::write(&mut folder, &writer)?;
    tune::write(&mut folder, &writer)?;
    sensitivity::write(&mut folder, ran)?;
    writer.liars(&mut folder)?;
    writer.skipped(&mut folder)?;
    incidents::write(&mut folder, &writer)?;
    told::write(&mut folder, &writer)?;
    execution::write(&mut folder, &writer)?;
    folder.bytes("latency.hlog", &writer.histograms())?;
    figures::write(&mut folder, study, ran)?;
    risk::write(&mut folder, study, ran)?;
    upkeep::write(&mut folder, study, ran)?;
    folder.text("report.html", &report::page(study, ran, &config))?;
    Ok(folder.finish()?)
}

pub(crate) const REGIME: Column = column(
    "regime",
    Kind::String,
    "",
    "steady: the warm-up is cut off; terminating: from the first arrival to the last",
);

/// Writes tables about all cells.
pub(crate) struct Writer<'a> {
    pub(crate) ran: &'a [Ran<'a>],
    hash: &'a str,
}

impl Writer<'_> {
    /// Every cell with the part that it belongs to, in the order of the parts.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (Ran<'_>, &Cell)> {
        let of = |ran: &Ran<'_>| ran.outcome.cells.len();
        debug_assert!(
            self.ran.iter().map(of).sum::<usize>() > 0,
            "a plan has cells"
        );
        self.ran
            .iter()
            .flat_map(|ran| ran.outcome.cells.iter().map(|cell| (*ran, cell)))
    }

    /// Where there are several parts: each as a plan of its own, every default spelled out.
    fn parts(&self, folder: &mut Folder) -> Result<(), Error> {
        if self.ran.len() == 1 {
            return Ok(());
        }
        for (i, ran) in self.ran.iter().enumerate() {
            let part = ran.part;
            let size = match &part.plan.scale {
                Some(_) => format!("-{}", part.plan.network.nodes),
                None => String::new(),
            };
            let (profile, label) = (part.profile.name(), &part.label);
            let name = format!("parts/{i:02}-{profile}-{label}{size}.toml");
            folder.text(&name, &resolved(part))?;
        }
        Ok(())
    }

    /// Columns that say which cell a row belongs to, and their values.
    pub(crate) fn cell_columns(&self) -> Vec<Column> {
        let mut columns = vec![
            key("cell", Kind::Integer, "place of the cell in the plan"),
            column(
                "ledger",
                Kind::Integer,
                "",
                "which of the unit's ledgers, from 0",
            ),
            column("engine", Kind::String, "", "label of the engine"),
            column(
                "profile",
                Kind::String,
                "",
                "settings of the engines: deployed or matched",
            ),
            column("workload", Kind::String, "", "name of the workload"),
            column("nodes", Kind::Integer, "nodes", "nodes of the network"),
            column(
                "offered_tps",
                Kind::Number,
                "transactions/s",
                "offered writes; empty in a replay",
            ),
            column(
                "changed",
                Kind::String,
                "",
                "what is better or worse than planned, or `as planned`",
            ),
        ];
        columns.extend(self.factor_columns(false));
        columns
    }

    /// Columns of the plan's factors, see [`sweep::columns`].
    pub(crate) fn factor_columns(&self, is_key: bool) -> Vec<Column> {
        let first = self.ran.first();
        first.map_or_else(Vec::new, |ran| sweep::columns(ran.part, is_key))
    }

    pub(crate) fn cell_values(ran: Ran<'_>, cell: &Cell) -> Vec<Value> {
        let plan = &ran.part.plan;
        let mut row = vec![
            Value::from(cell.index as u64),
            Value::from(0_u64),
            Value::from(plan.engines[cell.engine].label()),
            Value::from(ran.part.profile.name()),
            Value::from(ran.part.label.as_str()),
            Value::from(u64::from(plan.network.nodes)),
            Value::from(cell.offered_tps),
            Value::from(cell.tweak.name()),
        ];
        row.extend(sweep::values(ran.part));
        row
    }

    fn plan_table(&self, folder: &mut Folder) -> Result<(), Error> {
        let mut columns = self.cell_columns();
        columns.extend([
            column("duration_s", Kind::Number, "s", "measured span"),
            column(
                "replications",
                Kind::Integer,
                "",
                "independent replications",
            ),
            REGIME,
            column("seed", Kind::Integer, "", "master seed"),
            column(
                "plan_hash",
                Kind::String,
                "",
                "SHA-256 of config.resolved.toml",
            ),
        ]);
        let rows = self.cells().map(|(ran, cell)| {
            let mut row = Self::cell_values(ran, cell);
            row.extend([
                Value::from(cell.units.first().map(|u| u.report.horizon.as_s())),
                Value::from(cell.units.len() as u64),
                Value::from(summary::regime(&ran.part.plan, cell)),
                Value::from(ran.part.plan.seed),
                Value::from(self.hash),
            ]);
            row
        });
        Ok(folder.csv("plan.csv", &columns, rows)?)
    }

    fn replications(&self, folder: &mut Folder) -> Result<(), Error> {
        let mut columns = self.cell_columns();
        columns.insert(
            1,
            key("replication", Kind::Integer, "number of the replication"),
        );
        columns.extend(MEASURES.iter().map(|m| m.column));
        let rows = self.cells().flat_map(|(ran, cell)| {
            let row = move |unit: &Done| {
                let mut row = Self::cell_values(ran, cell);
                row.insert(1, Value::from(u64::from(unit.key.replication)));
                row.extend(measured(unit).map(|(_, value)| value));
                row
            };
            cell.units.iter().map(row)
        });
        Ok(folder.csv("replications.csv", &columns, rows)?)
    }

    /// What liars did, where somebody lies.
    fn liars(&self, folder: &mut Folder) -> Result<(), Error> {
        let lying = |unit: &&Done| unit.report.lies.is_some();
        if !self
            .cells()
            .any(|(_, cell)| cell.units.iter().any(|u| lying(&u)))
        {
            return Ok(());
        }
        let mut columns = self.cell_columns();
        columns.insert(
            1,
            key("replication", Kind::Integer, "number of the replication"),
        );
        columns.extend(LIES.iter().map(|m| m.column));
        let rows = self.cells().flat_map(|(ran, cell)| {
            cell.units.iter().filter(lying).map(move |unit| {
                let mut row = Self::cell_values(ran, cell);
                row.insert(1, Value::from(u64::from(unit.key.replication)));
                row.extend(LIES.iter().map(|m| (m.of)(unit)));
                row
            })
        });
        Ok(folder.csv("liars.csv", &columns, rows)?)
    }

    fn summary(&self, folder: &mut Folder) -> Result<(), Error> {
        let mut columns = self.cell_columns();
        columns.extend([
            key("class", Kind::String, "class of transactions, or `all`"),
            key("metric", Kind::String, "what is measured"),
            key("stat", Kind::String, "statistic of a replication"),
            column(
                "value",
                Kind::Number,
                "",
                "mean of the statistic over the replications with this status, in `unit`",
            ),
            column("unit", Kind::String, "", "unit of value and interval"),
            column(
                "ci_low",
                Kind::Number,
                "",
                "lower end of the interval; empty unless the status is ok",
            ),
            column("ci_high", Kind::Number, "", "upper end of the interval"),
            column("ci_level", Kind::Number, "", "confidence of the interval"),
            column(
                "ci_method",
                Kind::String,
                "",
                "how the interval was made: student or bootstrap_bca; empty without one",
            ),
            column(
                "rel_halfwidth",
                Kind::Number,
                "share",
                "half of the interval over the value",
            ),
            column("n_reps", Kind::Integer, "", "replications with a sample"),
            column(
                "n_effective",
                Kind::Integer,
                "",
                "independent samples that the statistic of all replications rests on",
            ),
            column(
                "n_effective_unit",
                Kind::String,
                "",
                "what they are: blocks, transactions, reads or replications",
            ),
            REGIME,
            column(
                "precision_reached",
                Kind::Boolean,
                "",
                "whether the cell's deciding metrics are as precise as the plan asks; empty where it does not",
            ),
            column(
                "status",
                Kind::String,
                "",
                "worst status of the cell's units",
            ),
        ]);
        let mut rows = Vec::new();
        for (ran, cell) in self.cells().filter(|(_, c)| !c.units.is_empty()) {
            let plan = &ran.part.plan;
            let status = summary::status(cell).name();
            let reached = precision::reached(ran.part, ran.outcome, cell);
            let reached = reached.map(|r| r.is_enough());
            for m in metrics(ran.part, cell) {
                let mut row = Self::cell_values(ran, cell);
                let has_interval = m.interval.low.is_some();
                row.extend([
                    Value::from(m.class),
                    Value::from(m.metric),
                    Value::from(m.stat),
                    Value::from(m.interval.mean),
                    Value::from(m.unit),
                    Value::from(m.interval.low),
                    Value::from(m.interval.high),
                    Value::from(has_interval.then_some(plan.confidence)),
                    Value::from(has_interval.then(|| plan.interval.name())),
                    Value::from(m.interval.relative()),
                    Value::from(m.interval.n as u64),
                    Value::from(m.effective.0),
                    Value::from(m.effective.1),
                    Value::from(summary::regime(plan, cell)),
                    Value::from(reached),
                    Value::from(status),
                ]);
                rows.push(row);
            }
        }
        Ok(folder.csv("summary.csv", &columns, rows)?)
    }

    fn verdict(&self, folder: &mut Folder) -> Result<(), Error> {
        let mut columns = vec![
            key(
                "profile",
                Kind::String,
                "settings of the engines: deployed or matched",
            ),
            key("workload", Kind::String, "name of the workload"),
            key("engine", Kind::String, "label of the engine"),
            key("level", Kind::String, "service level"),
            key(
                "situation",
                Kind::String,
                "all sites up, one down from the start, or all up and the interval tuned",
            ),
            column("standing", Kind::String, "", "what the level rests on"),
            column("source", Kind::String, "", "where the level comes from"),
            column("answer", Kind::String, "", "holds, fails, undecided or n/a"),
            column(
                "value",
                Kind::Number,
                "ms or share",
                "mean over replications",
            ),
            column(
                "ci_low",
                Kind::Number,
                "ms or share",
                "lower end, corrected for all comparisons",
            ),
            column(
                "ci_high",
                Kind::Number,
                "ms or share",
                "upper end, corrected for all comparisons",
            ),
            column(
                "margin",
                Kind::Number,
                "ratio",
                "bound over value, or value over bound where more is better",
            ),
            column(
                "reason",
                Kind::String,
                "",
                "what limits it, or why it cannot be said",
            ),
        ];
        columns.extend(self.factor_columns(true));
        let tuned: Vec<Vec<Row>> = self.ran.iter().map(tune::rows).collect();
        let rows = self.ran.iter().zip(&tuned).flat_map(|(ran, tuned)| {
            let rows = ran.rows.iter().map(move |row| (ran, row, row.situation()));
            rows.chain(tuned.iter().map(move |row| (ran, row, tune::SITUATION)))
        });
        let rows = rows.map(|(ran, row, situation)| {
            let plan = &ran.part.plan;
            let level = &plan.levels[row.level];
            let mut cells = vec![
                Value::from(ran.part.profile.name()),
                Value::from(ran.part.label.as_str()),
                Value::from(plan.engines[row.engine].label()),
                Value::from(level.expect.as_str()),
                Value::from(situation),
                Value::from(level.standing.to_string()),
                Value::from(level.source.as_str()),
                Value::from(row.answer.name()),
                Value::from(row.value.mean),
                Value::from(row.value.low),
                Value::from(row.value.high),
                Value::from(row.margin),
                Value::from(row.reason.as_str()),
            ];
            cells.extend(sweep::values(ran.part));
            cells
        });
        Ok(folder.csv("verdict.csv", &columns, rows)?)
    }

    /// Where each engine's curve bends.
    fn knees(&self, folder: &mut Folder) -> Result<(), Error> {
        let mut columns = vec![
            key(
                "profile",
                Kind::String,
                "settings of the engines: deployed or matched",
            ),
            key("workload", Kind::String, "name of the workload"),
            key("engine", Kind::String, "label of the engine"),
            column(
                "carried_tps",
                Kind::Number,
                "transactions/s",
                "largest load tried that is carried; empty if none is",
            ),
            column(
                "lost_tps",
                Kind::Number,
                "transactions/s",
                "smallest load tried that is not; empty if all are",
            ),
            column(
                "bound_tps",
                Kind::Number,
                "transactions/s",
                "the most that arithmetic allows; empty where nothing bounds it",
            ),
            column(
                "bound",
                Kind::String,
                "",
                "what sets that: block space, execution or the builder's uplink",
            ),
        ];
        columns.extend(self.factor_columns(true));
        let rows = self.ran.iter().flat_map(|ran| {
            ran.part
                .plan
                .engines
                .iter()
                .enumerate()
                .map(move |(e, engine)| {
                    let knee = knee::knee(ran.outcome, e);
                    let bound = analysis::ceiling(ran.part, e);
                    let mut row = vec![
                        Value::from(ran.part.profile.name()),
                        Value::from(ran.part.label.as_str()),
                        Value::from(engine.label()),
                        Value::from(knee.carried_tps),
                        Value::from(knee.lost_tps),
                        Value::from(bound.map(|b| b.1)),
                        Value::from(bound.map(|b| b.0)),
                    ];
                    row.extend(sweep::values(ran.part));
                    row
                })
        });
        Ok(folder.csv("knees.csv", &columns, rows)?)
    }

    /// What an importer took and left, if the workload was imported.
    fn skipped(&self, folder: &mut Folder) -> Result<(), Error> {
        let Some(imported) = self.ran.first().and_then(|r| r.part.workload.imported()) else {
            return Ok(());
        };
        let columns = [
            key(
                "outcome",
                Kind::String,
                "`imported`, or why rows were skipped",
            ),
            column("rows", Kind::Integer, "rows", "rows of the files"),
        ];
        let rows = imported
            .iter()
            .map(|(what, n)| vec![Value::from(what.as_str()), Value::from(*n)]);
        Ok(folder.csv("imported.csv", &columns, rows)?)
    }

    /// Final latencies of each planned cell in the interval-log format, tagged by cell.
    fn histograms(&self) -> Vec<u8> {
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment(
                "final latency in microseconds, tag = cell of plan.csv, one line a replication",
            )
            .begin_log_with(&mut log, &mut serializer)
            .expect("memory takes all");
        for (_, cell) in self.cells().filter(|(_, c)| c.tweak == Tweak::None) {
            let tag = format!("cell-{}", cell.index);
            for unit in &cell.units {
                let histogram = summary::latency(unit, None, Level::Final).to_hdr();
                let span = Duration::from_nanos(unit.report.horizon.ns());
                let tag = Tag::new(&tag).expect("no comma or space");
                writer
                    .write_histogram(&histogram, Duration::ZERO, span, Some(tag))
                    .expect("memory takes all");
            }
        }
        log
    }
}

fn metrics(part: &Part, cell: &Cell) -> Vec<MetricRow> {
    let mut rows = Rows {
        part,
        cell,
        class: "all",
        all: Vec::new(),
    };
    rows.rate("goodput", "transactions/s", summary::goodput_tps);
    rows.rate("goodput_share", "share", summary::goodput_share);
    let names = part.workload.classes();
    let chosen = (0..names.len()).map(Some);
    for class in std::iter::once(None).chain(chosen) {
        rows.class = class.map_or("all", |c| names[c]);
        for level in Level::ALL {
            let metric = format!("latency_{}", level.name());
            rows.times(&metric, |u| summary::latency(u, class, level));
        }
        if let Some(class) = class {
            rows.shares(class);
            rows.served(class);
            for level in Level::ALL {
                let metric = format!("exposure_{}", level.name());
                rows.times(&metric, |u| longest(u, class, level));
            }
        }
    }
    rows.class = "all";
    rows.mean("loss_window", |u| &u.report.probe.gap);
    rows.mean("latency_quorum_final", |u| &u.report.probe.quorum_final);
    rows.mean("latency_all_final", |u| &u.report.probe.all_final);
    rows.all
}

/// The rows of a cell, as they come.
struct Rows<'a> {
    part: &'a Part,
    cell: &'a Cell,
    class: &'a str,
    all: Vec<MetricRow>,
}

impl Rows<'_> {
    /// A row, unless nothing was measured; `effective` is what it rests on, and how many of them.
    fn add(
        &mut self,
        (metric, stat, unit): (&str, String, &'static str),
        effective: (u64, &'static str),
        of: impl Fn(&Done) -> Option<f64>,
    ) {
        let samples = summary::samples(self.cell, of);
        if !samples.is_empty() {
            self.all.push(MetricRow {
                class: self.class.to_owned(),
                metric: metric.to_owned(),
                stat,
                unit,
                effective,
                interval: summary::interval(&self.part.plan, self.cell, &samples),
            });
        }
    }

    fn total(&self, of: impl Fn(&Done) -> u64) -> u64 {
        self.cell.units.iter().map(of).sum()
    }

    /// What there is once a replication.
    fn rate(&mut self, metric: &str, unit: &'static str, of: impl Fn(&Done) -> f64) {
        let replications = (self.cell.units.len() as u64, "replications");
        self.add((metric, "rate".into(), unit), replications, |u| Some(of(u)));
    }

    /// The mean and the supported percentiles of times that blocks decide.
    fn times(&mut self, metric: &str, of: impl Fn(&Done) -> &LatencyHistogram) {
        let count = self.total(|u| of(u).len());
        self.mean(metric, &of);
        if count > 0 {
            self.percentiles(metric, summary::effective(self.cell, count), of);
        }
    }

    fn mean(&mut self, metric: &str, of: impl Fn(&Done) -> &LatencyHistogram) {
        let effective = summary::effective(self.cell, self.total(|u| of(u).len()));
        self.add((metric, "mean".into(), "ms"), effective, |u| {
            let h = of(u);
            (!h.is_empty()).then(|| summary::mean_ms(h))
        });
    }

    fn percentiles(
        &mut self,
        metric: &str,
        effective: (u64, &'static str),
        of: impl Fn(&Done) -> &LatencyHistogram,
    ) {
        for p in summary::PERCENTILES {
            if summary::is_enough(effective.0, p) {
                self.add((metric, format!("p{p}"), "ms"), effective, |u| {
                    let h = of(u);
                    (!h.is_empty()).then(|| summary::percentile_ms(h, p))
                });
            }
        }
    }

    /// Shares of a class: what the ledger accepted, and what met its deadline at each level.
    fn shares(&mut self, class: usize) {
        let of = |u: &Done| settled(&u.report.probe.classes[class]);
        let effective = summary::effective(self.cell, self.total(of));
        self.add(("accepted", "rate".into(), "share"), effective, |u| {
            summary::accepted_share(u, class)
        });
        let due = self.total(|u| u.report.probe.classes[class].due);
        let effective = summary::effective(self.cell, due);
        for level in Level::ALL {
            let metric = format!("ontime_{}", level.name());
            self.add((&metric, "rate".into(), "share"), effective, |u| {
                summary::on_time_share(u, class, level)
            });
        }
    }

    /// Time until a class's reads were answered, each on its own.
    fn served(&mut self, class: usize) {
        let reads = self.total(|u| u.report.probe.served[class].len());
        self.percentiles("served", (reads, "reads"), |u| {
            &u.report.probe.served[class]
        });
    }
}

/// Time until the last site's view had a watched write.
fn longest(unit: &Done, class: usize, level: Level) -> &LatencyHistogram {
    &unit.report.probe.exposure[class].longest[level as usize]
}

struct MetricRow {
    class: String,
    metric: String,
    stat: String,
    unit: &'static str,
    /// How many independent samples it rests on, and of what.
    effective: (u64, &'static str),
    interval: Interval,
}

/// A column of `replications.csv` and where its value comes from.
struct Measure {
    column: Column,
    of: fn(&Done) -> Value,
}

const fn text(name: &'static str, about: &'static str, of: fn(&Done) -> Value) -> Measure {
    Measure {
        column: column(name, Kind::String, "", about),
        of,
    }
}

const fn count(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    of: fn(&Done) -> Value,
) -> Measure {
    Measure {
        column: column(name, Kind::Integer, unit, about),
        of,
    }
}

const fn number(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    of: fn(&Done) -> Value,
) -> Measure {
    Measure {
        column: column(name, Kind::Number, unit, about),
        of,
    }
}

/// Sum over classes.
fn total(unit: &Done, of: impl Fn(&ClassCounts) -> u64) -> Value {
    Value::from(unit.report.probe.classes.iter().map(of).sum::<u64>())
}

/// A figure of the time between safe and final, where it is measured.
fn loss_window(unit: &Done, of: impl Fn(&LatencyHistogram) -> f64) -> Value {
    Value::from(anchored::loss_window(unit).map(of))
}

/// A percentile of the latency to a level, over all classes.
fn latency_ms(unit: &Done, level: Level, p: f64) -> Value {
    let histogram = summary::latency(unit, None, level);
    Value::from((!histogram.is_empty()).then(|| summary::percentile_ms(histogram, p)))
}

fn mean_final_ms(unit: &Done) -> Value {
    let histogram = summary::latency(unit, None, Level::Final);
    Value::from((!histogram.is_empty()).then(|| summary::mean_ms(histogram)))
}

/// The busiest node's share of the run.
fn busiest(unit: &Done, busy: &[Span]) -> Value {
    let run_s = unit.report.ended.as_s().max(f64::MIN_POSITIVE);
    Value::from(busy.iter().map(|b| b.as_s()).fold(0.0, f64::max) / run_s)
}

fn traffic(unit: &Done, of: impl Fn(&Traffic) -> u64) -> Value {
    Value::from(unit.report.traffic.iter().map(|(_, t)| of(t)).sum::<u64>())
}

fn gossip(unit: &Done, of: impl Fn(&Traffic) -> u64) -> Value {
    let kinds = unit.report.gossip.traffic.iter();
    Value::from(kinds.map(|(_, t)| of(t)).sum::<u64>())
}

/// A figure of what liars did.
fn lie(unit: &Done, of: impl Fn(&Lies) -> Value) -> Value {
    of(unit.report.lies.as_ref().expect("somebody lies"))
}

/// Latency to *included* of the sites that liars name, and of the others; a percentile, ms.
fn site_ms(lies: &Lies, which: usize, p: f64) -> Value {
    let histogram = &lies.to_included[which];
    Value::from((!histogram.is_empty()).then(|| summary::percentile_ms(histogram, p)))
}

/// What liars did in a replication, a column each.
const LIES: &[Measure] = &[
    count("liars", "nodes", "nodes that lie at some time", |u| {
        lie(u, |l| u64::from(l.liars).into())
    }),
    count("bound", "nodes", "liars that the protocol bears", |u| {
        lie(u, |l| u64::from(l.bound).into())
    }),
    count(
        "on_chain",
        "blocks",
        "on the chain of the honest nodes",
        |u| lie(u, |l| l.on_chain[0].into()),
    ),
    count("liars_on_chain", "blocks", "of those, made by liars", |u| {
        lie(u, |l| l.on_chain[1].into())
    }),
    count("withheld_votes", "votes", "not sent", |u| {
        lie(u, |l| l.withheld_votes.into())
    }),
    count("late_votes", "votes", "sent late", |u| {
        lie(u, |l| l.late_votes.into())
    }),
    count(
        "withheld_blocks",
        "blocks",
        "kept back, for a while or for good",
        |u| lie(u, |l| l.withheld_blocks.into()),
    ),
    count("invalid_blocks", "blocks", "that do not execute", |u| {
        lie(u, |l| l.invalid_blocks.into())
    }),
    count("refused", "times", "a node refused such a block", |u| {
        lie(u, |l| l.refused.into())
    }),
    count(
        "invalid_final",
        "blocks",
        "such that an honest node calls final",
        |u| lie(u, |l| l.invalid_final.into()),
    ),
    count(
        "overtaken_txs",
        "transactions",
        "seen earlier than a favoured one by the builder, and behind it in the block",
        |u| lie(u, |l| l.overtaken_txs.into()),
    ),
    count("branches", "branches", "private ones begun", |u| {
        lie(u, |l| l.branches[0].into())
    }),
    count(
        "branches_won",
        "branches",
        "of those, published as the longer one",
        |u| lie(u, |l| l.branches[1].into()),
    ),
    count("branches_lost", "branches", "of those, given up", |u| {
        lie(u, |l| l.branches[2].into())
    }),
    count(
        "ties_followed",
        "blocks",
        "of honest nodes on the liars' branch of a tie",
        |u| lie(u, |l| l.ties[0].into()),
    ),
    count(
        "ties_opposed",
        "blocks",
        "of honest nodes on the other branch of a tie",
        |u| lie(u, |l| l.ties[1].into()),
    ),
    number(
        "named_site_p50_ms",
        "ms",
        "latency to included of sites that liars leave out or favour, median",
        |u| lie(u, |l| site_ms(l, 0, 50.0)),
    ),
    number(
        "named_site_p99_ms",
        "ms",
        "the same, 99th percentile",
        |u| lie(u, |l| site_ms(l, 0, 99.0)),
    ),
    number(
        "other_sites_p50_ms",
        "ms",
        "latency to included of all other sites, median",
        |u| lie(u, |l| site_ms(l, 1, 50.0)),
    ),
    number(
        "other_sites_p99_ms",
        "ms",
        "the same, 99th percentile",
        |u| lie(u, |l| site_ms(l, 1, 99.0)),
    ),
];

/// The unit of a numeric column of `replications.csv` or `liars.csv`; `None` where there is no such column.
pub(crate) fn measure_unit(name: &str) -> Option<&'static str> {
    let named = |m: &&Measure| m.column.name == name && !matches!(m.column.kind, Kind::String);
    let all = MEASURES.iter().chain(LIES);
    all.filter(named).map(|m| m.column.unit).next()
}

/// The columns of `replications.csv` and `liars.csv` that tell of a replication, with their table.
pub(crate) fn figures() -> impl Iterator<Item = (&'static Column, &'static str)> {
    let of = |table| move |m: &'static Measure| (&m.column, table);
    let units = MEASURES.iter().map(of("replications.csv"));
    units.chain(LIES.iter().map(of("liars.csv")))
}

/// What stands in that column for a replication; `None` where nothing does.
pub(crate) fn measure_value(unit: &Done, name: &str) -> Option<f64> {
    let lies = if unit.report.lies.is_some() {
        LIES
    } else {
        &[]
    };
    let mut all = MEASURES.iter().chain(lies);
    (all.find(|m| m.column.name == name)?.of)(unit).number()
}

/// The figures of a replication by their columns in `replications.csv`.
pub(crate) fn measured(unit: &Done) -> impl Iterator<Item = (&'static str, Value)> {
    MEASURES.iter().map(|m| (m.column.name, (m.of)(unit)))
}

/// What a replication left behind, a column each.
const MEASURES: &[Measure] = &[
    text(
        "status",
        "ok, saturated, not_steady, no_commit, limit or safety_violation",
        |u| u.status.name().into(),
    ),
    number("warmup_cut_s", "s", "start of the measured window", |u| {
        (u.report.horizon.as_s() - summary::window_s(u)).into()
    }),
    number("horizon_s", "s", "end of the measured window", |u| {
        u.report.horizon.as_s().into()
    }),
    number("sim_end_s", "s", "simulated end of the run", |u| {
        u.report.ended.as_s().into()
    }),
    count(
        "submitted",
        "transactions",
        "submitted in the window",
        |u| total(u, |c| c.submitted),
    ),
    count(
        "valid",
        "transactions",
        "of those, final and accepted",
        |u| total(u, |c| c.valid),
    ),
    count(
        "rejected",
        "transactions",
        "of those, final and refused by the ledger",
        |u| total(u, |c| c.rejected.iter().sum()),
    ),
    count(
        "expired",
        "transactions",
        "of those, too old when executed",
        |u| total(u, |c| c.expired),
    ),
    count(
        "dropped",
        "transactions",
        "of those, given up by a full pool or as too old in it",
        |u| total(u, |c| c.dropped),
    ),
    count(
        "run_submitted",
        "transactions",
        "submitted in the whole run",
        |u| u.report.conservation.submitted.into(),
    ),
    count(
        "run_pending",
        "transactions",
        "of those, not final at the end",
        |u| u.report.conservation.pending.into(),
    ),
    count(
        "run_dropped",
        "transactions",
        "of those, given up by a full pool or as too old in it",
        |u| u.report.conservation.dropped.into(),
    ),
    count(
        "run_refused",
        "transactions",
        "not submitted, because their site was down for good",
        |u| u.report.conservation.refused.into(),
    ),
    number("goodput_tps", "transactions/s", "valid and final", |u| {
        summary::goodput_tps(u).into()
    }),
    number("included_p50_ms", "ms", "median latency to included", |u| {
        latency_ms(u, Level::Included, 50.0)
    }),
    number("safe_p50_ms", "ms", "median latency to safe", |u| {
        latency_ms(u, Level::Safe, 50.0)
    }),
    number(
        "final_mean_ms",
        "ms",
        "mean latency to final",
        mean_final_ms,
    ),
    number("final_p50_ms", "ms", "median latency to final", |u| {
        latency_ms(u, Level::Final, 50.0)
    }),
    number(
        "final_p99_ms",
        "ms",
        "99th percentile of the latency to final",
        |u| latency_ms(u, Level::Final, 99.0),
    ),
    number("final_max_ms", "ms", "largest latency to final", |u| {
        latency_ms(u, Level::Final, 100.0)
    }),
    count("reads", "reads", "served from local views", |u| {
        u.report.reads.served.into()
    }),
    count(
        "reads_refused",
        "reads",
        "refused because the node was down",
        |u| u.report.reads.refused.into(),
    ),
    count(
        "stale_block_wait",
        "reads",
        "allowed though a revocation waited for a block",
        |u| u.report.reads.stale[0].into(),
    ),
    count(
        "stale_propagation",
        "reads",
        "allowed though a revocation was in a block elsewhere, or not yet final",
        |u| u.report.reads.stale[1].into(),
    ),
    count(
        "stale_reorg",
        "reads",
        "allowed after a reorganisation undid a revocation",
        |u| u.report.reads.stale[2].into(),
    ),
    count(
        "stale_partition",
        "reads",
        "allowed behind a partition",
        |u| u.report.reads.stale[3].into(),
    ),
    count(
        "exposure_open",
        "transactions",
        "watched writes that some live site never saw",
        |u| {
            u.report
                .probe
                .exposure
                .iter()
                .map(|e| e.open)
                .sum::<u64>()
                .into()
        },
    ),
    count("blocks_built", "blocks", "built by anybody", |u| {
        u.report.chain.built.into()
    }),
    count("height", "blocks", "of the best chain at the end", |u| {
        u.report.chain.height.into()
    }),
    count("blocks_empty", "blocks", "without a transaction", |u| {
        u.report.chain.empty.into()
    }),
    count(
        "blocks_full",
        "blocks",
        "that left transactions behind",
        |u| u.report.chain.full.iter().sum::<u64>().into(),
    ),
    number(
        "block_fill_mean",
        "share",
        "of the fullest block resource",
        |u| summary::block_fill(u).into(),
    ),
    count(
        "forked_heights",
        "heights",
        "with more than one block",
        |u| u.report.chain.forked_heights.into(),
    ),
    count("reorgs", "", "reorganisations, summed over nodes", |u| {
        u.report.chain.reorgs.iter().sum::<u64>().into()
    }),
    count(
        "round_changes",
        "",
        "views given up, summed over nodes",
        |u| u.report.chain.round_changes.into(),
    ),
    count(
        "reversed_blocks",
        "blocks",
        "called final by a node and then left by it",
        |u| u.report.chain.reversed_blocks.into(),
    ),
    count(
        "conflicting_finals",
        "blocks",
        "called final by a node where another had been at that height",
        |u| u.report.chain.conflicting_finals.into(),
    ),
    count(
        "reversed_txs",
        "transactions",
        "called final by a node and then left by it",
        |u| u.report.chain.reversed_txs.into(),
    ),
    count("evidence", "", "proofs that a node lied", |u| {
        u.report.chain.evidence.into()
    }),
    count(
        "messages",
        "messages",
        "accounted, whether or not each was an event",
        |u| traffic(u, |t| t.messages),
    ),
    count("bytes", "bytes", "of those messages", |u| {
        traffic(u, |t| t.bytes)
    }),
    text(
        "gossip_form",
        "how transactions spread: visibility or explicit",
        |u| {
            let explicit = u.report.gossip.explicit;
            if explicit { "explicit" } else { "visibility" }.into()
        },
    ),
    number(
        "gossip_share",
        "share",
        "of the smallest uplink that transactions were expected to take at the busiest node",
        |u| (u.report.gossip.share_ppm as f64 / 1e6).into(),
    ),
    count(
        "gossip_messages",
        "messages",
        "about transactions, not among messages",
        |u| gossip(u, |t| t.messages),
    ),
    count("gossip_bytes", "bytes", "of those messages", |u| {
        gossip(u, |t| t.bytes)
    }),
    count(
        "gossip_sent_max_bytes",
        "bytes",
        "of those messages, sent by the node that sent most",
        |u| {
            let sent = u.report.gossip.sent.iter().copied().max();
            sent.unwrap_or(0).into()
        },
    ),
    count("messages_lost", "messages", "swallowed by faults", |u| {
        u.report.lost.into()
    }),
    count("events", "events", "executed", |u| u.report.events.into()),
    number(
        "uplink_busy_max",
        "share",
        "busiest uplink's share of the run",
        |u| busiest(u, &u.report.uplink_busy),
    ),
    number("cpu_busy_max", "cores", "busiest node's cores", |u| {
        busiest(u, &u.report.cpu_busy)
    }),
    number(
        "vote_checks_busy_max",
        "cores",
        "busiest core that checks votes",
        |u| busiest(u, &u.report.vote_busy),
    ),
    number(
        "adopt_delay_mean_ms",
        "ms",
        "from a block's building to its adoption by another node",
        |u| summary::adopt_delay_ms(u).into(),
    ),
    number(
        "propagation_p50_ms",
        "ms",
        "until half of the nodes that are up have checked a block, median over blocks",
        |u| summary::propagation_ms(u, 0).into(),
    ),
    number(
        "propagation_p90_ms",
        "ms",
        "the same for nine tenths of them",
        |u| summary::propagation_ms(u, 1).into(),
    ),
    number(
        "propagation_all_ms",
        "ms",
        "the same for all of them",
        |u| summary::propagation_ms(u, 2).into(),
    ),
    number(
        "stale_share",
        "share",
        "of blocks off the best chain",
        |u| summary::stale_share(u).into(),
    ),
    count("ballots_explicit", "ballots", "counted vote by vote", |u| {
        u.report.ballot_forms[0].into()
    }),
    count(
        "ballots_order_statistic",
        "ballots",
        "decided as order statistics, to the same result",
        |u| u.report.ballot_forms[1].into(),
    ),
    number(
        "loss_window_mean_ms",
        "ms",
        "anchor: safe but not final, mean over transactions: what colluding operators may rewrite",
        |u| loss_window(u, summary::mean_ms),
    ),
    number("loss_window_p95_ms", "ms", "anchor: 95 % of them", |u| {
        loss_window(u, |h| summary::percentile_ms(h, 95.0))
    }),
    number("loss_window_max_ms", "ms", "anchor: the longest", |u| {
        loss_window(u, |h| h.max() as f64 / 1e3)
    }),
    count(
        "roots",
        "roots",
        "anchor: published in the measured span",
        |u| anchored::roots(u).into(),
    ),
    number(
        "root_included_mean_ms",
        "ms",
        "anchor: from a root's submission until a public block has it",
        |u| anchored::root_ms(u, Level::Included).into(),
    ),
    number(
        "root_final_mean_ms",
        "ms",
        "anchor: from a root's submission until the public chain has it final",
        |u| anchored::root_ms(u, Level::Final).into(),
    ),
    number(
        "root_fees_per_year",
        "coins/year",
        "anchor: what the roots pay, in the public chain's native unit",
        |u| anchored::fee_per_year(u).into(),
    ),
    count(
        "public_blocks",
        "blocks",
        "anchor: of the public chain, since it began",
        |u| anchored::blocks(u).into(),
    ),
    number(
        "public_stale_share",
        "share",
        "anchor: of public blocks off the best chain",
        |u| anchored::stale_share(u).into(),
    ),
    number(
        "public_occupancy",
        "share",
        "anchor: of the public blocks' space that is used",
        |u| anchored::occupancy(u).into(),
    ),
    text("digest", "hash of the trace", |u| {
        format!("{:016x}", u.report.digest).into()
    }),
];

/// Fails early when results could not be written later.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn probe(parent: &Path) -> Result<(), Error> {
    let folder = Folder::create(parent, &format!("probe-{}", std::process::id()))?;
    drop(folder);
    Ok(())
}
