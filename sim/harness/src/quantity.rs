//! The figures that decide: those of the service levels, else throughput and latency. They say when a
//! cell has replications enough, and by how much engines differ.

use crate::level::{Level as ServiceLevel, Metric, Statistic};
use crate::run::Cell;
use crate::study::Part;
use crate::summary;
use crate::unit::Done;
use crate::verdict;
use quorate_core::Level;

/// Something that every replication has a value of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Quantity {
    /// Valid final transactions per second.
    Goodput,
    /// Latency of all classes to a level.
    Latency(Level, Statistic),
    /// The left side of a service level.
    Level(ServiceLevel),
}

impl Quantity {
    fn of_levels(part: &Part) -> Vec<Self> {
        let parsed = part
            .plan
            .levels
            .iter()
            .map(|l| ServiceLevel::parse(&l.expect));
        let levels = parsed.map(|level| Self::Level(level.expect("the plan was checked")));
        Self::once(part, levels.collect())
    }

    /// Each name once: two levels may differ in their bound alone.
    fn once(part: &Part, list: Vec<Self>) -> Vec<Self> {
        let mut once: Vec<Self> = Vec::new();
        for quantity in list {
            if once.iter().all(|q| q.name(part) != quantity.name(part)) {
                once.push(quantity);
            }
        }
        once
    }

    /// What two engines are held against each other by: the service levels, and what a reader looks at
    /// first.
    pub(crate) fn compared(part: &Part) -> Vec<Self> {
        let p = Statistic::Percentile;
        let mut list = Self::of_levels(part);
        list.extend([
            Self::Goodput,
            Self::Latency(Level::Included, p(50.0)),
            Self::Latency(Level::Final, Statistic::Mean),
            Self::Latency(Level::Final, p(50.0)),
            Self::Latency(Level::Final, p(99.0)),
        ]);
        Self::once(part, list)
    }

    /// What decides whether a cell has replications enough.
    pub(crate) fn decisive(part: &Part) -> Vec<Self> {
        let levels = Self::of_levels(part);
        if !levels.is_empty() {
            return levels;
        }
        let p = Statistic::Percentile;
        vec![
            Self::Latency(Level::Final, p(50.0)),
            Self::Latency(Level::Final, p(99.0)),
            Self::Goodput,
        ]
    }

    /// Class, metric and statistic, as in `summary.csv`; what the workload measures itself is a metric of
    /// all classes.
    pub(crate) fn name(&self, part: &Part) -> (String, String, String) {
        let latency = |level: Level| format!("latency_{}", level.name());
        let of = |class: &str, metric: String, stat| (class.to_owned(), metric, name(stat));
        let level = match self {
            Self::Goodput => return of("all", "goodput".into(), Statistic::Rate),
            Self::Latency(level, stat) => return of("all", latency(*level), *stat),
            Self::Level(level) => level,
        };
        let metric = match level.metric {
            Metric::Told => return of("all", level.class.clone(), level.statistic),
            Metric::Included => latency(Level::Included),
            Metric::Safe => latency(Level::Safe),
            Metric::Final => latency(Level::Final),
            Metric::Exposure => format!("exposure_{}", summary::read_level(&part.plan).name()),
            Metric::Goodput => "goodput_share".into(),
            Metric::Accepted => "accepted".into(),
            Metric::OnTime => format!("ontime_{}", Level::Final.name()),
            Metric::Served => "served".into(),
        };
        of(&level.class, metric, level.statistic)
    }

    /// The unit of its values.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Goodput => "transactions/s",
            Self::Level(level) if level.statistic == Statistic::Rate => "share",
            Self::Latency(..) | Self::Level(_) => "ms",
        }
    }

    /// Its value in a replication; `None` where nothing was measured.
    pub(crate) fn of_unit(&self, part: &Part, unit: &Done) -> Option<f64> {
        match self {
            Self::Goodput => Some(summary::goodput_tps(unit)),
            Self::Latency(level, statistic) => {
                summary::statistic_ms(summary::latency(unit, None, *level), *statistic)
            }
            Self::Level(level) => {
                summary::level_value(&part.plan, unit, level, &part.workload.classes())
            }
        }
    }

    /// Whether the samples of a cell support it.
    pub(crate) fn is_supported(&self, part: &Part, cell: &Cell) -> bool {
        match self {
            Self::Latency(level, Statistic::Percentile(p)) => {
                let of = |u: &Done| summary::latency(u, None, *level).len();
                summary::supports(cell, cell.units.iter().map(of).sum(), *p)
            }
            Self::Level(level) => {
                summary::level_is_supported(cell, level, &part.workload.classes())
            }
            Self::Goodput | Self::Latency(..) => true,
        }
    }

    /// Whether it asks for something that the engine does not keep.
    pub(crate) fn is_beside(&self, part: &Part, engine: usize) -> bool {
        match self {
            Self::Level(level) => verdict::is_beside(&part.sheets[engine], level),
            Self::Goodput | Self::Latency(..) => false,
        }
    }
}

fn name(statistic: Statistic) -> String {
    match statistic {
        Statistic::Mean => "mean".into(),
        Statistic::Percentile(p) => format!("p{p}"),
        Statistic::Max => "max".into(),
        Statistic::Rate => "rate".into(),
    }
}
