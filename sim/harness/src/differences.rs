//! By how much engines differ: `compare.csv`. Under common random numbers replication `i` of two
//! engines meets the same arrivals, network and faults, so that what they share drops out of the
//! difference.

use crate::error::Error;
use crate::output::{REGIME, Ran, column, key};
use crate::plan::Kind as PlanKind;
use crate::quantity::Quantity;
use crate::results::{Column, Folder, Kind, Value};
use crate::run::Cell;
use crate::stats::{self, Interval, paired};
use crate::study::{Part, Study};
use crate::unit::UnitStatus;
use crate::{summary, sweep};

/// Two engines of a part at the load that is judged, in one figure.
struct Difference<'a> {
    ran: Ran<'a>,
    quantity: Quantity,
    cells: [&'a Cell; 2],
    /// What each has by itself, over all its replications.
    values: [Interval; 2],
    /// The replications that both have, (first, second); none unless both cells are `ok` and have
    /// samples enough.
    pairs: Vec<(f64, f64)>,
}

impl<'a> Difference<'a> {
    /// `None` where neither was measured.
    fn new(ran: Ran<'a>, quantity: &Quantity, cells: [&'a Cell; 2]) -> Option<Self> {
        let part = ran.part;
        let samples = cells.map(|cell| {
            if quantity.is_beside(part, cell.engine) {
                return Vec::new();
            }
            summary::by_replication(cell, |u| quantity.of_unit(part, u))
        });
        let values = samples.each_ref().map(|list| {
            let values: Vec<f64> = list.iter().map(|s| s.1).collect();
            Interval::point(&values)
        });
        let sound = |cell: &&Cell| {
            summary::status(cell) == UnitStatus::Ok && quantity.is_supported(part, cell)
        };
        let pairs = if cells.iter().all(sound) {
            summary::pairs(&samples[0], &samples[1])
        } else {
            Vec::new()
        };
        let any = values.iter().any(|v| v.n > 0);
        any.then(|| Self {
            ran,
            quantity: quantity.clone(),
            cells,
            values,
            pairs,
        })
    }

    fn differences(&self) -> Vec<f64> {
        self.pairs.iter().map(|(a, b)| a - b).collect()
    }

    /// First over second, where both are measured in the same replications.
    fn ratio(&self) -> Option<f64> {
        let sum = |of: fn(&(f64, f64)) -> f64| self.pairs.iter().map(of).sum::<f64>();
        let (a, b) = (sum(|p| p.0), sum(|p| p.1));
        (b > 0.0).then(|| a / b)
    }

    /// By which factor common random numbers make the variance of the difference smaller than
    /// independent runs would: the sum of both variances over that of the difference.
    fn variance_ratio(&self) -> Option<f64> {
        let variance = |of: fn(&(f64, f64)) -> f64| {
            let values: Vec<f64> = self.pairs.iter().map(of).collect();
            stats::variance(&values)
        };
        let together = variance(|p| p.0 - p.1).filter(|v| *v > 0.0)?;
        Some((variance(|p| p.0)? + variance(|p| p.1)?) / together)
    }

    fn row(&self, holm: Option<f64>) -> Vec<Value> {
        let plan = &self.ran.part.plan;
        let [a, b] = self.cells;
        let (class, metric, stat) = self.quantity.name(self.ran.part);
        let differences = self.differences();
        let interval = stats::student_interval(&differences, plan.confidence);
        let mut row = vec![
            Value::from(self.ran.part.profile.name()),
            Value::from(self.ran.part.label.as_str()),
            Value::from(class),
            Value::from(metric),
            Value::from(stat),
            Value::from(plan.engines[a.engine].label()),
            Value::from(plan.engines[b.engine].label()),
            Value::from(a.index as u64),
            Value::from(b.index as u64),
            Value::from(a.offered_tps),
            Value::from(summary::regime(plan, a)),
            Value::from(summary::status(a).name()),
            Value::from(summary::status(b).name()),
            Value::from(self.quantity.unit()),
            Value::from(self.values[0].mean),
            Value::from(self.values[1].mean),
            Value::from(interval.mean),
            Value::from(interval.low),
            Value::from(interval.high),
            Value::from(interval.low.is_some().then_some(plan.confidence)),
            Value::from(self.ratio()),
            Value::from(interval.n as u64),
            probability(paired::paired_t_p(&differences)),
            probability(paired::wilcoxon_p(&differences)),
            probability(holm),
            Value::from(self.variance_ratio()),
        ];
        row.extend(sweep::values(self.ran.part));
        row
    }
}

/// The smallest probability that is written.
// assumption: so far out no replication is normal, and nobody asks.
const FLOOR: f64 = 1e-9;

fn probability(p: Option<f64>) -> Value {
    Value::from(p.map(|p| p.max(FLOOR)))
}

/// All pairs of engines of a part, in all figures that are compared.
fn of_part(ran: Ran<'_>) -> Vec<Difference<'_>> {
    let quantities = Quantity::compared(ran.part);
    let cells = decisive(ran.part, ran);
    let mut list = Vec::new();
    for (i, &a) in cells.iter().enumerate() {
        for &b in &cells[i + 1..] {
            let of = quantities.iter();
            list.extend(of.filter_map(|q| Difference::new(ran, q, [a, b])));
        }
    }
    list
}

/// The cells that stand for the engines, of those that were run.
fn decisive<'a>(part: &Part, ran: Ran<'a>) -> Vec<&'a Cell> {
    let at = summary::load(part);
    let engines = 0..part.plan.engines.len();
    let cells = engines.filter_map(|e| ran.outcome.cell(e, at, crate::unit::Tweak::None));
    cells.filter(|c| !c.units.is_empty()).collect()
}

const COLUMNS: [Column; 26] = [
    key(
        "profile",
        Kind::String,
        "settings of the engines: deployed or matched",
    ),
    key("workload", Kind::String, "name of the workload"),
    key("class", Kind::String, "class of transactions, or `all`"),
    key("metric", Kind::String, "what is measured"),
    key("stat", Kind::String, "statistic of a replication"),
    key("engine_a", Kind::String, "label of the first engine"),
    key("engine_b", Kind::String, "label of the second engine"),
    column(
        "cell_a",
        Kind::Integer,
        "",
        "the first engine's cell in plan.csv",
    ),
    column(
        "cell_b",
        Kind::Integer,
        "",
        "the second engine's cell in plan.csv",
    ),
    column(
        "offered_tps",
        Kind::Number,
        "transactions/s",
        "offered writes, the load that is judged; empty in a replay",
    ),
    REGIME,
    column(
        "status_a",
        Kind::String,
        "",
        "worst status of the first cell's units",
    ),
    column(
        "status_b",
        Kind::String,
        "",
        "worst status of the second cell's units",
    ),
    column("unit", Kind::String, "", "unit of values and differences"),
    column(
        "value_a",
        Kind::Number,
        "",
        "mean over the replications with this status",
    ),
    column("value_b", Kind::Number, "", "the same of the second engine"),
    column(
        "diff",
        Kind::Number,
        "",
        "mean of first minus second over the replications that both have; empty unless both cells are ok \
         and have samples enough",
    ),
    column(
        "diff_ci_low",
        Kind::Number,
        "",
        "lower end of Student's interval of it",
    ),
    column("diff_ci_high", Kind::Number, "", "upper end"),
    column(
        "ci_level",
        Kind::Number,
        "",
        "confidence of the interval, which stands for this row alone",
    ),
    column(
        "ratio",
        Kind::Number,
        "ratio",
        "first over second, over the same replications",
    ),
    column("n", Kind::Integer, "", "pairs of replications"),
    column(
        "p_t",
        Kind::Number,
        "",
        "of the paired t test, two-sided; 1e-9 stands for less",
    ),
    column(
        "p_wilcoxon",
        Kind::Number,
        "",
        "of the signed-rank test, two-sided",
    ),
    column(
        "p_t_holm",
        Kind::Number,
        "",
        "p_t corrected for all rows of this table (Holm)",
    ),
    column(
        "variance_ratio",
        Kind::Number,
        "ratio",
        "variance of the difference if the runs were independent, over that under common random numbers",
    ),
];

/// Writes `compare.csv` for the kinds of plan that hold engines against each other at one load.
///
/// # Errors
/// When the table cannot be written.
pub(crate) fn write(folder: &mut Folder, study: &Study, ran: &[Ran<'_>]) -> Result<(), Error> {
    let is_one = matches!(
        study.plan.kind,
        PlanKind::Compare | PlanKind::Scenario | PlanKind::Curve
    );
    if !is_one {
        return Ok(());
    }
    let all: Vec<Difference<'_>> = ran.iter().flat_map(|one| of_part(*one)).collect();
    let p: Vec<Option<f64>> = all
        .iter()
        .map(|d| paired::paired_t_p(&d.differences()))
        .collect();
    let known: Vec<f64> = p.iter().copied().flatten().collect();
    let mut corrected = paired::holm(&known).into_iter();
    let holm = p.iter().map(|p| p.and_then(|_| corrected.next()));
    let rows: Vec<Vec<Value>> = all.iter().zip(holm).map(|(d, p)| d.row(p)).collect();
    let factors = ran
        .first()
        .map_or_else(Vec::new, |one| sweep::columns(one.part, true));
    let columns = [&COLUMNS[..], &factors].concat();
    Ok(folder.csv("compare.csv", &columns, rows)?)
}
