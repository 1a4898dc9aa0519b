//! The plan's fault schedule: one table a fault, each of one kind.

use quorate_core::{Fault, FaultKind, Invalid, Span, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault. Nodes are given by their numbers; site `s` is at node `s` modulo nodes. Exactly one
/// kind: `crash`, `partition`, `one_way_from` and `one_way_to`, `wan_cut`, `clog`, `loss`,
/// `slow_cpu` or `clock`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// Start, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_s: Option<f64>,
    /// Start as hours and minutes since the start of the run, which is midnight: `"10:00"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// End, s; without one the fault lasts for the rest of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// End as hours and minutes: `"10:20"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Nodes that are down, and restart at the end with what is on their disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crash: Vec<u32>,
    /// Nodes cut off from the others, not from each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition: Vec<u32>,
    /// Nodes whose messages to `one_way_to` are lost; absent means all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_way_from: Vec<u32>,
    /// Nodes that messages of `one_way_from` do not reach; absent means all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_way_to: Vec<u32>,
    /// Nodes whose sites have lost their wide-area network: each cut off from everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wan_cut: Vec<u32>,
    /// Nodes to and from which messages wait until the fault ends, or for `clog_ms`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clog: Vec<u32>,
    /// How long each message waits at a clogged node, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clog_ms: Option<f64>,
    /// Nodes to and from which packets are lost and sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loss: Vec<u32>,
    /// Lost packets in a thousand, in addition to the network's own loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_permille: Option<f64>,
    /// Nodes whose cores are slow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slow_cpu: Vec<u32>,
    /// Their speed in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_permille: Option<u32>,
    /// Nodes whose clocks are off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock: Vec<u32>,
    /// How far ahead they are when the fault starts, ms; behind, if negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<f64>,
    /// How much they gain, in millionths of the time that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_ppm: Option<i32>,
}

/// Faults that a plan can hold, for messages.
const KINDS: &str =
    "crash, partition, one_way_from and one_way_to, wan_cut, clog, loss, slow_cpu, clock";

/// The largest drift of a clock.
// assumption: ten percent, a thousand times what a cheap quartz does; beyond it is no drift.
const MOST_DRIFT_PPM: i32 = 100_000;

/// The heaviest loss.
// assumption: as for the network's own; a link that loses more is cut for all purposes.
const MOST_LOSS_PPM: u32 = 500_000;

/// The longest delay or offset, ms.
// assumption: eleven days; whatever is longer is a slip of units.
const LONGEST_MS: f64 = 1e9;

pub(crate) fn invalid<T>(
    key: &'static str,
    why: impl Into<String>,
    hint: impl Into<String>,
) -> Result<T, Invalid> {
    Err(Invalid {
        key,
        why: why.into(),
        hint: hint.into(),
    })
}

impl FaultPlan {
    /// The fault of a network of so many nodes.
    ///
    /// # Errors
    /// The key, what is wrong with it and what to do.
    pub fn fault(&self, nodes: u32) -> Result<Fault, Invalid> {
        let from = self.start()?;
        let until = self.end()?;
        if until.is_some_and(|u| u <= from) {
            let key = if self.until.is_some() {
                "until"
            } else {
                "until_s"
            };
            return invalid(
                key,
                "does not come after the start",
                "a fault starts and then ends",
            );
        }
        self.check_nodes(nodes)?;
        let fault = Fault {
            from: Time::ZERO + Span::from_s_f64(from),
            until: until.map_or(Time::NEVER, |u| Time::ZERO + Span::from_s_f64(u)),
            what: self.kind(nodes)?,
        };
        self.check_strays(&fault.what)?;
        check_window(&fault)?;
        Ok(fault)
    }

    fn start(&self) -> Result<f64, Invalid> {
        match instant(("from_s", self.from_s), ("from", self.from.as_deref()))? {
            Some(from) => Ok(from),
            None => invalid(
                "from_s",
                "is missing, and so is from",
                "say when the fault starts: from_s = 300.0 or from = \"10:00\"",
            ),
        }
    }

    fn end(&self) -> Result<Option<f64>, Invalid> {
        instant(("until_s", self.until_s), ("until", self.until.as_deref()))
    }

    /// The lists of nodes by key.
    fn lists(&self) -> [(&'static str, &[u32]); 9] {
        [
            ("crash", &self.crash),
            ("partition", &self.partition),
            ("one_way_from", &self.one_way_from),
            ("one_way_to", &self.one_way_to),
            ("wan_cut", &self.wan_cut),
            ("clog", &self.clog),
            ("loss", &self.loss),
            ("slow_cpu", &self.slow_cpu),
            ("clock", &self.clock),
        ]
    }

    fn check_nodes(&self, nodes: u32) -> Result<(), Invalid> {
        for (key, list) in self.lists() {
            if let Some(bad) = list.iter().find(|&&n| n >= nodes) {
                let hint = format!("nodes are 0 to {}", nodes - 1);
                return invalid(key, format!("names node {bad}"), hint);
            }
        }
        Ok(())
    }

    /// The one kind that is given.
    fn kind(&self, nodes: u32) -> Result<FaultKind, Invalid> {
        let given: Vec<&'static str> = self
            .lists()
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|&(key, _)| key)
            .collect();
        match given[..] {
            ["crash"] => Ok(FaultKind::Crash(self.crash.clone())),
            ["partition"] => self.sides(nodes),
            ["one_way_from" | "one_way_to"] | ["one_way_from", "one_way_to"] => {
                Ok(self.direction(nodes))
            }
            ["wan_cut"] => Ok(FaultKind::WanCut(self.wan_cut.clone())),
            ["clog"] => self.clogged(),
            ["loss"] => self.lossy(),
            ["slow_cpu"] => self.slow(),
            ["clock"] => self.skewed(),
            [] => invalid(
                if self.from.is_some() {
                    "from"
                } else {
                    "from_s"
                },
                "belongs to a fault that names no nodes",
                format!("list nodes under one of {KINDS}"),
            ),
            [first, .., last] => invalid(
                last,
                format!("stands beside {first} in one fault"),
                "write a [[faults]] table for each kind; they may overlap",
            ),
            [_] => unreachable!("every list has its kind"),
        }
    }

    fn sides(&self, nodes: u32) -> Result<FaultKind, Invalid> {
        if (0..nodes).all(|n| self.partition.contains(&n)) {
            let hint = "leave the nodes of the other side out";
            return invalid("partition", "names every node: nobody is cut off", hint);
        }
        Ok(FaultKind::Partition(self.partition.clone()))
    }

    fn direction(&self, nodes: u32) -> FaultKind {
        let others = |of: &[u32]| (0..nodes).filter(|n| !of.contains(n)).collect();
        let or_others = |list: &[u32], of: &[u32]| match list {
            [] => others(of),
            _ => list.to_vec(),
        };
        FaultKind::OneWay {
            from: or_others(&self.one_way_from, &self.one_way_to),
            to: or_others(&self.one_way_to, &self.one_way_from),
        }
    }

    fn clogged(&self) -> Result<FaultKind, Invalid> {
        if self.clog_ms.is_none() && self.end()?.is_none() {
            let hint = "give the fault an end, or a delay clog_ms";
            return invalid("clog", "would hold messages forever", hint);
        }
        let delay = match self.clog_ms {
            None => None,
            Some(ms) if ms > 0.0 && ms <= LONGEST_MS => Some(Span::from_ms_f64(ms)),
            Some(ms) => {
                return invalid("clog_ms", format!("is {ms}"), "give milliseconds above 0");
            }
        };
        Ok(FaultKind::Clog {
            nodes: self.clog.clone(),
            delay,
        })
    }

    fn lossy(&self) -> Result<FaultKind, Invalid> {
        let hint = "give lost packets in a thousand, above 0 and at most 500";
        let ppm = match self.loss_permille {
            None => return invalid("loss", "goes with loss_permille, which is missing", hint),
            Some(permille) => (permille * 1e3 + 0.5) as u32,
        };
        if !(1..=MOST_LOSS_PPM).contains(&ppm) {
            let why = format!("is {}", self.loss_permille.unwrap_or_default());
            return invalid("loss_permille", why, hint);
        }
        Ok(FaultKind::Loss {
            nodes: self.loss.clone(),
            ppm,
        })
    }

    fn slow(&self) -> Result<FaultKind, Invalid> {
        let hint = "give thousandths of the full speed, 1 to 999";
        match self.speed_permille {
            None => invalid(
                "slow_cpu",
                "goes with speed_permille, which is missing",
                hint,
            ),
            Some(permille @ 1..1_000) => Ok(FaultKind::Slow {
                nodes: self.slow_cpu.clone(),
                permille,
            }),
            Some(other) => invalid("speed_permille", format!("is {other}"), hint),
        }
    }

    fn skewed(&self) -> Result<FaultKind, Invalid> {
        let (offset_ms, drift_ppm) = (
            self.offset_ms.unwrap_or_default(),
            self.drift_ppm.unwrap_or_default(),
        );
        if (offset_ms.abs() * 1e6) < 1.0 && drift_ppm == 0 {
            let hint = "give offset_ms, drift_ppm or both, other than 0";
            return invalid("clock", "belongs to clocks that are right", hint);
        }
        if offset_ms.abs() > LONGEST_MS || offset_ms.is_nan() {
            return invalid("offset_ms", format!("is {offset_ms}"), "give milliseconds");
        }
        if drift_ppm.abs() > MOST_DRIFT_PPM {
            let hint = format!("give millionths, -{MOST_DRIFT_PPM} to {MOST_DRIFT_PPM}");
            return invalid("drift_ppm", format!("is {drift_ppm}"), hint);
        }
        Ok(FaultKind::Clock {
            nodes: self.clock.clone(),
            offset_ns: (offset_ms * 1e6) as i64,
            drift_ppm,
        })
    }

    /// Settings of another kind than the fault's would be ignored.
    fn check_strays(&self, what: &FaultKind) -> Result<(), Invalid> {
        let clock = matches!(what, FaultKind::Clock { .. });
        let strays = [
            (
                "clog_ms",
                "clog",
                self.clog_ms.is_some(),
                matches!(what, FaultKind::Clog { .. }),
            ),
            (
                "loss_permille",
                "loss",
                self.loss_permille.is_some(),
                matches!(what, FaultKind::Loss { .. }),
            ),
            (
                "speed_permille",
                "slow_cpu",
                self.speed_permille.is_some(),
                matches!(what, FaultKind::Slow { .. }),
            ),
            ("offset_ms", "clock", self.offset_ms.is_some(), clock),
            ("drift_ppm", "clock", self.drift_ppm.is_some(), clock),
        ];
        match strays
            .into_iter()
            .find(|&(_, _, given, fits)| given && !fits)
        {
            None => Ok(()),
            Some((key, of, ..)) => invalid(
                key,
                format!("goes with {of}, which this fault does not have"),
                format!("list nodes under {of}, or leave {key} out"),
            ),
        }
    }
}

/// One instant, which may be given in two ways; s.
pub(crate) fn instant(
    (number_key, number): (&'static str, Option<f64>),
    (text_key, text): (&'static str, Option<&str>),
) -> Result<Option<f64>, Invalid> {
    match (number, text) {
        (Some(_), Some(_)) => invalid(
            text_key,
            format!("stands beside {number_key}"),
            "say it once",
        ),
        (Some(s), None) if s >= 0.0 && s.is_finite() => Ok(Some(s)),
        (Some(s), None) => invalid(number_key, format!("is {s}"), "give seconds, at least 0"),
        (None, Some(text)) => match time_of_day(text) {
            Some(s) => Ok(Some(s)),
            None => invalid(
                text_key,
                format!("is {text:?}"),
                "give hours and minutes, and perhaps seconds: \"10:00\" or \"34:15:30\"",
            ),
        },
        (None, None) => Ok(None),
    }
}

/// Seconds of `hours:minutes` or `hours:minutes:seconds`; hours go on beyond a day.
fn time_of_day(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    let digits =
        |part: &&str| (1..=5).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(digits) {
        return None;
    }
    let parts: Vec<u32> = parts.iter().filter_map(|p| p.parse().ok()).collect();
    let below_60 = parts[1..].iter().all(|&p| p < 60);
    let seconds = parts.get(2).copied().unwrap_or(0);
    below_60.then(|| f64::from(parts[0] * 3_600 + parts[1] * 60 + seconds))
}

/// A clock that is behind shows what was before; but nothing was before the run.
fn check_window(fault: &Fault) -> Result<(), Invalid> {
    let FaultKind::Clock { offset_ns, .. } = fault.what else {
        return Ok(());
    };
    let behind = offset_ns.min(0).unsigned_abs();
    if behind <= fault.from.ns() {
        return Ok(());
    }
    invalid(
        "offset_ms",
        "sets the clocks to before the start of the run",
        "start the fault later, or set the clocks of the others ahead",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Result<Fault, Invalid> {
        let plan: FaultPlan = toml::from_str(text).expect("known keys");
        plan.fault(4)
    }

    fn s(s: u64) -> Time {
        Time::ZERO + Span::from_s(s)
    }

    #[test]
    fn a_site_loses_its_wan_from_ten_for_twenty_minutes() {
        let got = fault("from = \"10:00\"\nuntil = \"10:20\"\nwan_cut = [3]");
        let want = Fault {
            from: s(36_000),
            until: s(37_200),
            what: FaultKind::WanCut(vec![3]),
        };
        assert_eq!(got, Ok(want));
    }

    #[test]
    fn every_kind_and_its_units() {
        let what = |text: &str| {
            let fault = fault(&format!("from_s = 60.0\nuntil_s = 90.0\n{text}"));
            fault.map(|f| f.what)
        };
        let nodes = || vec![1, 2];
        assert_eq!(what("crash = [1, 2]"), Ok(FaultKind::Crash(nodes())));
        assert_eq!(
            what("partition = [1, 2]"),
            Ok(FaultKind::Partition(nodes()))
        );
        let one_way = |from: &[u32], to: &[u32]| {
            Ok(FaultKind::OneWay {
                from: from.to_vec(),
                to: to.to_vec(),
            })
        };
        assert_eq!(what("one_way_from = [1, 2]"), one_way(&[1, 2], &[0, 3]));
        assert_eq!(what("one_way_to = [0]"), one_way(&[1, 2, 3], &[0]));
        assert_eq!(
            what("one_way_from = [1]\none_way_to = [2]"),
            one_way(&[1], &[2])
        );
        let clog = |delay| {
            Ok(FaultKind::Clog {
                nodes: nodes(),
                delay,
            })
        };
        assert_eq!(what("clog = [1, 2]"), clog(None));
        assert_eq!(
            what("clog = [1, 2]\nclog_ms = 2.5"),
            clog(Some(Span::from_us(2_500)))
        );
        assert_eq!(
            what("loss = [1, 2]\nloss_permille = 12.5"),
            Ok(FaultKind::Loss {
                nodes: nodes(),
                ppm: 12_500
            })
        );
        assert_eq!(
            what("slow_cpu = [1, 2]\nspeed_permille = 100"),
            Ok(FaultKind::Slow {
                nodes: nodes(),
                permille: 100
            })
        );
        assert_eq!(
            what("clock = [1, 2]\noffset_ms = -1500.0\ndrift_ppm = 40"),
            Ok(FaultKind::Clock {
                nodes: nodes(),
                offset_ns: -1_500_000_000,
                drift_ppm: 40
            })
        );
    }

    #[test]
    fn times_of_day() {
        assert_eq!(time_of_day("00:00"), Some(0.0));
        assert_eq!(time_of_day("34:05:09"), Some(122_709.0));
        for wrong in [
            "10",
            "10:60",
            "-1:00",
            "10:00:61",
            "1:2:3:4",
            ":5",
            "1e3:00",
            "999999:00",
        ] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
    }
}
