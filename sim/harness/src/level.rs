//! Service levels in the grammar of load-test thresholds: `class:metric:statistic<bound`, or
//! `measure:statistic<bound` for what the workload itself measures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A service level of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelConfig {
    /// The expression, such as `consent.revoke:exposure:p(99)<2s`.
    pub expect: String,
    /// Whether it is law, contract or assumption.
    pub standing: Standing,
    /// Where it comes from.
    pub source: String,
}

/// What a service level rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// A law or regulation.
    Law,
    /// An agreement between the parties.
    Contract,
    /// Assumed by the plan's author.
    Assumption,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Law => "law",
            Self::Contract => "contract",
            Self::Assumption => "assumption",
        })
    }
}

/// A parsed service level.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// The class of arrivals, or `all`.
    pub class: String,
    /// What is measured.
    pub metric: Metric,
    /// Which statistic of a replication.
    pub statistic: Statistic,
    /// Whether the value must stay below the bound (else above).
    pub below: bool,
    /// The bound in ms, or as a share, see [`Metric::is_share`].
    pub bound: f64,
}

/// What a service level looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Latency until in a block at the observer.
    Included,
    /// Latency until safe.
    Safe,
    /// Latency until final.
    Final,
    /// Time until the last site's served view has a watched write.
    Exposure,
    /// Valid final transactions per second over valid offered ones.
    Goodput,
    /// Share of a class's final transactions that the ledger accepted.
    Accepted,
    /// Share of a class's transactions with a deadline that are final by then.
    OnTime,
    /// Time until a site's node has answered a read.
    Served,
    /// What the workload measures under the name that stands for the class.
    Told,
}

impl Metric {
    /// Whether it is a share, not a time.
    pub const fn is_share(self) -> bool {
        matches!(self, Self::Goodput | Self::Accepted | Self::OnTime)
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "included" => Self::Included,
            "safe" => Self::Safe,
            "final" => Self::Final,
            "exposure" => Self::Exposure,
            "goodput" => Self::Goodput,
            "accepted" => Self::Accepted,
            "ontime" => Self::OnTime,
            "served" => Self::Served,
            _ => return None,
        })
    }
}

/// A statistic of one replication.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The mean.
    Mean,
    /// A percentile, 0 to 100.
    Percentile(f64),
    /// The maximum.
    Max,
    /// The value itself, for shares.
    Rate,
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("avg"),
            Self::Percentile(p) => write!(f, "p({p})"),
            Self::Max => f.write_str("max"),
            Self::Rate => f.write_str("rate"),
        }
    }
}

/// The grammar, for hints.
pub const GRAMMAR: &str = "write class:metric:statistic<bound, for example \
    consent.revoke:exposure:p(99)<2s; metrics: included, safe, final, exposure, \
    served, goodput, accepted, ontime; statistics: avg, med, p(N), max, rate; units: ms, s, min, h, or % \
    for those with rate; or measure:statistic<bound with a name of `quorate list metrics`, for example \
    units_after_recall:share<0.1%";

impl Level {
    /// Parses an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let at = compact.find(['<', '>']).ok_or("no < or >")?;
        let below = compact.as_bytes()[at] == b'<';
        let (left, right) = (&compact[..at], compact[at + 1..].trim_start_matches('='));
        let parts: Vec<&str> = left.split(':').collect();
        let (class, metric, statistic) = match *parts.as_slice() {
            [measure, statistic] if Metric::of(measure).is_none() => {
                (measure, Metric::Told, told_statistic(statistic)?)
            }
            [class, metric, statistic] => {
                let of = Metric::of(metric).ok_or_else(|| format!("unknown metric `{metric}`"))?;
                (class, of, parse_statistic(statistic)?)
            }
            _ => return Err(format!("`{left}` is not class:metric:statistic")),
        };
        let share = statistic == Statistic::Rate;
        if metric != Metric::Told && metric.is_share() != share {
            return Err("goodput, accepted and ontime go with rate, and only they do".to_owned());
        }
        let bound = parse_bound(right, share)?;
        Ok(Self {
            class: class.to_owned(),
            metric,
            statistic,
            below,
            bound,
        })
    }
}

/// Of a measure of the workload.
fn told_statistic(text: &str) -> Result<Statistic, String> {
    match text {
        "share" => Ok(Statistic::Rate),
        "rate" => Err("a measure of the workload goes with share, not with rate".to_owned()),
        _ => parse_statistic(text),
    }
}

fn parse_statistic(text: &str) -> Result<Statistic, String> {
    match text {
        "avg" => Ok(Statistic::Mean),
        "med" => Ok(Statistic::Percentile(50.0)),
        "max" => Ok(Statistic::Max),
        "rate" => Ok(Statistic::Rate),
        _ => {
            let inner = text.strip_prefix("p(").and_then(|t| t.strip_suffix(')'));
            let p: f64 = inner
                .and_then(|t| t.parse().ok())
                .ok_or_else(|| format!("unknown statistic `{text}`"))?;
            if p > 0.0 && p <= 100.0 {
                Ok(Statistic::Percentile(p))
            } else {
                Err(format!("percentile {p} is not between 0 and 100"))
            }
        }
    }
}

fn parse_bound(text: &str, share: bool) -> Result<f64, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic() || c == '%')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{number}` is not a number"))?;
    if number.is_nan() || number < 0.0 {
        return Err(format!("the bound {number} is negative"));
    }
    match (unit, share) {
        ("%", true) => Ok(number / 100.0),
        ("", true) => Ok(number),
        ("ms", false) => Ok(number),
        ("s", false) => Ok(number * 1e3),
        ("min", false) => Ok(number * 6e4),
        ("h", false) => Ok(number * 3.6e6),
        ("", false) => Err(format!("`{text}` has no unit")),
        (unit, _) => Err(format!("unknown unit `{unit}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_grammar() {
        let level = Level::parse("consent.revoke:exposure:p(99) < 2s").expect("valid");
        assert_eq!(level.class, "consent.revoke");
        assert_eq!(
            (level.metric, level.statistic),
            (Metric::Exposure, Statistic::Percentile(99.0))
        );
        assert!(level.below && (level.bound - 2_000.0).abs() < 1e-9);
        let goodput = Level::parse("all:goodput:rate>99%").expect("valid");
        assert!(!goodput.below && (goodput.bound - 0.99).abs() < 1e-12);
        let share = Level::parse("units_after_recall:share<0.001").expect("valid");
        assert_eq!(
            (share.class.as_str(), share.metric, share.statistic),
            ("units_after_recall", Metric::Told, Statistic::Rate)
        );
        assert!(share.below && (share.bound - 0.001).abs() < 1e-12);
        let lag = Level::parse("break_glass_audit_lag_ms:p(99)<60s").expect("valid");
        assert_eq!(
            (lag.metric, lag.statistic),
            (Metric::Told, Statistic::Percentile(99.0))
        );
        assert!((lag.bound - 60_000.0).abs() < 1e-9);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, why) in [
            (
                "final:p(99)<2s",
                "`final:p(99)` is not class:metric:statistic",
            ),
            ("all:final:p(99)", "no < or >"),
            ("all:final:p(99)<2", "`2` has no unit"),
            ("all:final:p(99)<2kg", "unknown unit `kg`"),
            ("all:finality:p(99)<2s", "unknown metric `finality`"),
            (
                "all:final:p(101)<2s",
                "percentile 101 is not between 0 and 100",
            ),
            (
                "all:final:rate<2s",
                "goodput, accepted and ontime go with rate, and only they do",
            ),
            ("all:final:avg<-2s", "the bound -2 is negative"),
            (
                "units_after_recall:rate<1%",
                "a measure of the workload goes with share, not with rate",
            ),
            ("units_after_recall:share<2s", "unknown unit `s`"),
        ] {
            assert_eq!(Level::parse(text), Err(why.to_owned()), "{text}");
        }
    }
}
