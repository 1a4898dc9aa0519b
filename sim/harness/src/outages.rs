//! Outages as an architect writes them: which site, region or leader loses what, when, how often.
//! They become faults of the schedule.

use crate::engines::AnyEngine;
use crate::error::Error;
use crate::faults::{FaultPlan, invalid};
use crate::network::NetworkPlan;
use crate::plan::{Plan, Source};
use crate::study::Part;
use crate::unit::EngineSheet;
use crate::workload::Workload;
use quorate_core::{Fault, FaultKind, Invalid, Span, Time};
use quorate_kernel::Setup;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An outage, or several alike. Exactly one of `site`, `sites` and `region` says whom it strikes;
/// a leader needs none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutagePlan {
    /// What is lost.
    pub lose: Lose,
    /// The site that it strikes; site `s` is at node `s` modulo nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<u32>,
    /// The sites that it strikes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<u32>,
    /// The region, with all nodes in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Start as hours and minutes since the start of the run, which is midnight: `"10:00"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Start, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_s: Option<f64>,
    /// How long it lasts, minutes; each node by itself in a maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_min: Option<f64>,
    /// The same, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
    /// Maintenance: from one node's restart until the next is stopped, minutes.
    // assumption: absent means at once, the fastest that never has two down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_min: Option<f64>,
    /// From one outage's start to that of the next, hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_h: Option<f64>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Time-sync: how much the clocks gain, in millionths of the time that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_ppm: Option<i32>,
}

/// What an outage takes away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lose {
    /// The wide-area network: each node alone is cut off from everybody.
    Wan,
    /// Power: all nodes are down at once, and restart with their disks.
    Power,
    /// One node after the other is down, in the order in which they are named.
    Maintenance,
    /// The region is cut off from the rest, not within.
    RegionLink,
    /// Power of whoever leads at that instant.
    Leader,
    /// What sets the clocks: they drift, and are right again at the end.
    TimeSync,
}

impl Lose {
    const fn name(self) -> &'static str {
        match self {
            Self::Wan => "wan",
            Self::Power => "power",
            Self::Maintenance => "maintenance",
            Self::RegionLink => "region-link",
            Self::Leader => "leader",
            Self::TimeSync => "time-sync",
        }
    }
}

/// What an outage comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Window {
    /// A fault.
    Fault(Fault),
    /// A crash of the node that leads when it begins.
    Leader {
        /// When it begins.
        from: Time,
        /// When it ends.
        until: Time,
    },
}

/// Most windows of one table.
// assumption: more is a slip; a node an hour for a year of 12 nodes is below it.
const MOST_WINDOWS: u64 = 10_000;

/// The longest time of a table, s.
// assumption: a year; beyond it is a slip of units.
const LONGEST_S: f64 = 365.0 * 86_400.0;

impl OutagePlan {
    /// Its windows in a network.
    ///
    /// # Errors
    /// The key, what is wrong with it and what to do.
    pub fn windows(&self, network: &NetworkPlan) -> Result<Vec<Window>, Invalid> {
        let nodes = self.nodes(network)?;
        self.check_strays()?;
        let first = self.first(&nodes, network.nodes)?;
        let lasts = self.lasts()?;
        let gap = match self.gap_min {
            None => Span::ZERO,
            Some(minutes) => length("gap_min", minutes, 60.0, 0.0)?,
        };
        let steps = match self.lose {
            Lose::Maintenance => nodes.len() as u64,
            _ => 1,
        };
        let (every, times) = self.repeats((lasts + gap) * steps, steps)?;
        let mut windows = Vec::new();
        for start in (0..times).map(|k| first.from + every * k) {
            for (step, from) in (0..steps).map(|i| (i as usize, start + (lasts + gap) * i)) {
                let until = from + lasts;
                windows.push(match self.lose {
                    Lose::Leader => Window::Leader { from, until },
                    Lose::Maintenance => {
                        let what = FaultKind::Crash(vec![nodes[step]]);
                        Window::Fault(Fault { from, until, what })
                    }
                    _ => {
                        let what = first.what.clone();
                        Window::Fault(Fault { from, until, what })
                    }
                });
            }
        }
        Ok(windows)
    }

    /// The nodes that it strikes, in order; none for a leader.
    fn nodes(&self, network: &NetworkPlan) -> Result<Vec<u32>, Invalid> {
        let given = [
            ("site", self.site.is_some()),
            ("sites", !self.sites.is_empty()),
            ("region", self.region.is_some()),
        ];
        let given: Vec<&'static str> = given.iter().filter(|g| g.1).map(|g| g.0).collect();
        let name = self.lose.name();
        match (self.lose, &given[..]) {
            (Lose::Leader, []) => Ok(Vec::new()),
            (Lose::Leader, [key, ..]) => invalid(
                key,
                "stands beside lose = \"leader\"",
                "leave it out: it strikes whoever leads then; a site loses power",
            ),
            (_, ["region"]) => self.in_region(network),
            (Lose::RegionLink, _) => invalid(
                "lose",
                "is \"region-link\", which goes with region alone",
                "name the region; sites that lose their links lose their wan",
            ),
            (_, [_]) => self.at_sites(network.nodes),
            (_, []) => invalid(
                "lose",
                format!("is {name:?}, but nobody is named who loses it"),
                "name a site, sites or a region",
            ),
            (_, [first, .., last]) => invalid(
                last,
                format!("stands beside {first} in one outage"),
                "write an [[outages]] table for each; they may overlap",
            ),
        }
    }

    fn at_sites(&self, nodes: u32) -> Result<Vec<u32>, Invalid> {
        let mut list = Vec::new();
        for node in self.sites.iter().chain(&self.site).map(|s| s % nodes) {
            if !list.contains(&node) {
                list.push(node);
            }
        }
        if self.sites.len() > list.len() && self.lose == Lose::Maintenance {
            let hint = "name one site of each node: site s is at node s modulo nodes";
            return invalid("sites", "names a node twice", hint);
        }
        Ok(list)
    }

    fn in_region(&self, network: &NetworkPlan) -> Result<Vec<u32>, Invalid> {
        let name = self.region.as_deref().unwrap_or_default();
        let Some(region) = network.regions.iter().position(|r| r == name) else {
            let hint = format!("regions of the network: {}", network.regions.join(", "));
            return invalid("region", format!("is {name:?}, which is none"), hint);
        };
        let places = (0..).zip(network.region_of());
        let list = places.filter(|p| usize::from(p.1) == region).map(|p| p.0);
        let list: Vec<u32> = list.collect();
        if list.is_empty() {
            let hint = "take another region, or more nodes";
            return invalid("region", format!("is {name:?}, where no node is"), hint);
        }
        if self.lose == Lose::RegionLink && list.len() == network.nodes as usize {
            let hint = "a link joins two regions; to stop all, lose = \"power\"";
            return invalid("region", format!("is {name:?}, where every node is"), hint);
        }
        Ok(list)
    }

    fn check_strays(&self) -> Result<(), Invalid> {
        let strays = [
            ("gap_min", self.gap_min.is_some(), Lose::Maintenance),
            ("drift_ppm", self.drift_ppm.is_some(), Lose::TimeSync),
        ];
        for (key, given, of) in strays {
            if given && self.lose != of {
                let why = format!("goes with lose = {:?}", of.name());
                let hint = format!("leave it out of lose = {:?}", self.lose.name());
                return invalid(key, why, hint);
            }
        }
        if self.lose == Lose::TimeSync && self.drift_ppm.is_none() {
            let hint = "say how fast the clocks run away; a cheap quartz does some 50";
            return invalid("drift_ppm", "is missing", hint);
        }
        Ok(())
    }

    /// The first window as a fault, checked as one; its end does not count.
    fn first(&self, nodes: &[u32], of: u32) -> Result<Fault, Invalid> {
        let nodes = || nodes.to_vec();
        let mut fault = FaultPlan {
            from_s: self.from_s,
            from: self.from.clone(),
            ..FaultPlan::default()
        };
        match self.lose {
            Lose::Wan => fault.wan_cut = nodes(),
            Lose::Power | Lose::Maintenance => fault.crash = nodes(),
            // Stands for whom it will strike.
            Lose::Leader => fault.crash = vec![0],
            Lose::RegionLink => fault.partition = nodes(),
            Lose::TimeSync => {
                fault.clock = nodes();
                fault.drift_ppm = self.drift_ppm;
            }
        }
        fault.fault(of).map_err(|invalid| match invalid.key {
            "from" | "from_s" | "drift_ppm" => invalid,
            "clock" => Invalid {
                key: "drift_ppm",
                ..invalid
            },
            _ => Invalid {
                key: "lose",
                ..invalid
            },
        })
    }

    fn lasts(&self) -> Result<Span, Invalid> {
        match (self.for_min, self.for_s) {
            (Some(minutes), None) => length("for_min", minutes, 60.0, f64::MIN_POSITIVE),
            (None, Some(s)) => length("for_s", s, 1.0, f64::MIN_POSITIVE),
            (Some(_), Some(_)) => invalid("for_s", "stands beside for_min", "say it once"),
            (None, None) => invalid(
                "for_min",
                "is missing, and so is for_s",
                "say how long it lasts; what never ends is a table of [[faults]]",
            ),
        }
    }

    /// From one start to the next, and how many.
    fn repeats(&self, whole: Span, steps: u64) -> Result<(Span, u64), Invalid> {
        let (every, times) = match (self.every_h, self.times) {
            (None, None) => return Ok((Span::ZERO, 1)),
            (Some(_), None) => {
                return invalid("every_h", "goes with times, which is missing", "give both");
            }
            (None, Some(_)) => {
                return invalid("times", "goes with every_h, which is missing", "give both");
            }
            (Some(hours), Some(times)) => (length("every_h", hours, 3_600.0, 0.0)?, times),
        };
        if every <= whole {
            let why = format!("is {}, and one lasts as long", self.every_h.unwrap_or(0.0));
            return invalid("every_h", why, "let one end before the next begins");
        }
        let most = MOST_WINDOWS / steps;
        if !(1..=most).contains(&u64::from(times)) {
            return invalid("times", format!("is {times}"), format!("give 1 to {most}"));
        }
        Ok((every, u64::from(times)))
    }
}

/// A length of time in units of so many seconds.
fn length(key: &'static str, x: f64, unit_s: f64, least: f64) -> Result<Span, Invalid> {
    let s = x * unit_s;
    if s >= least && s <= LONGEST_S {
        return Ok(Span::from_s_f64(s));
    }
    let from = if least > 0.0 { "above 0" } else { "at least 0" };
    let hint = format!("give a time {from} and at most a year");
    invalid(key, format!("is {x}"), hint)
}

/// All windows of a plan that was checked.
fn windows(plan: &Plan) -> impl Iterator<Item = Window> {
    let of = |o: &OutagePlan| o.windows(&plan.network).expect("the plan was checked");
    plan.outages.iter().flat_map(of)
}

/// The faults that are known before a run.
pub(crate) fn faults(plan: &Plan) -> impl Iterator<Item = Fault> {
    windows(plan).filter_map(|w| match w {
        Window::Fault(fault) => Some(fault),
        Window::Leader { .. } => None,
    })
}

/// Adds the crashes of whoever leads at the instants that the plan names, one after the other: what
/// happens before such an instant does not hang on it, so the same unit runs up to there first. Where
/// nobody leads, nobody is struck.
pub(crate) fn strike_leaders(
    plan: &Plan,
    workload: &Workload,
    (engine, table): (&dyn AnyEngine, &toml::Table),
    (sheet, offered_tps): (&EngineSheet, Option<f64>),
    setup: &mut Setup,
) {
    let mut strikes: Vec<(Time, Time)> = windows(plan)
        .filter_map(|w| match w {
            Window::Leader { from, until } => Some((from, until)),
            Window::Fault(_) => None,
        })
        .collect();
    strikes.sort_unstable();
    for (from, until) in strikes {
        let built = workload.open(offered_tps, setup.seed);
        let (adversary, unit) = (&sheet.adversary, setup.clone());
        let leader = engine.leader_at(table, adversary, unit, built.load, &*built.ledger, from);
        setup.faults.extend(leader.map(|node| Fault {
            from,
            until,
            what: FaultKind::Crash(vec![node.get()]),
        }));
    }
}

/// Checks the outages of a plan.
///
/// # Errors
/// The first thing that is wrong, with its line and key.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    for (i, outage) in plan.outages.iter().enumerate() {
        outage.windows(&plan.network).map_err(|invalid| {
            let path = format!("outages.{i}.{}", invalid.key);
            source.at_key(&path, &invalid.why, &invalid.hint)
        })?;
    }
    Ok(())
}

/// Checks that some workload of the study has the sites that its outages name.
///
/// # Errors
/// The first that none has, with its line and key.
pub(crate) fn check_sites(source: &Source, plan: &Plan, parts: &[Part]) -> Result<(), Error> {
    let sites = parts.iter().map(|p| p.workload.sites()).max().unwrap_or(0);
    for (i, outage) in plan.outages.iter().enumerate() {
        let named = outage.sites.iter().chain(&outage.site);
        if let Some(site) = named.copied().find(|&s| s >= sites) {
            let key = if outage.site.is_some() {
                "site"
            } else {
                "sites"
            };
            let path = format!("outages.{i}.{key}");
            let hint = format!("sites are 0 to {}", sites.saturating_sub(1));
            return Err(source.at_key(&path, &format!("names site {site}"), &hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve nodes, of which 0, 3, 6 and 9 are in the first of three regions.
    fn network() -> NetworkPlan {
        let text = "nodes = 12\nregions = [\"us-east-1\", \"us-west-1\", \"us-west-2\"]";
        toml::from_str(text).expect("a network")
    }

    fn windows(text: &str) -> Result<Vec<Window>, Invalid> {
        let plan: OutagePlan = toml::from_str(text).expect("known keys");
        plan.windows(&network())
    }

    fn minutes(from: u64, until: u64) -> (Time, Time) {
        let at = |m: u64| Time::ZERO + Span::from_s(60 * m);
        (at(from), at(until))
    }

    fn fault((from, until): (Time, Time), what: FaultKind) -> Window {
        Window::Fault(Fault { from, until, what })
    }

    #[test]
    fn each_kind_of_outage_is_its_fault() {
        let of = |text: &str| windows(&format!("from = \"10:00\"\nfor_min = 20\n{text}"));
        let at = minutes(600, 620);
        let one = |what| Ok(vec![fault(at, what)]);
        let region = || vec![0, 3, 6, 9];
        assert_eq!(
            of("lose = \"wan\"\nsite = 3"),
            one(FaultKind::WanCut(vec![3]))
        );
        assert_eq!(
            of("lose = \"power\"\nsites = [5, 1, 17]"),
            one(FaultKind::Crash(vec![5, 1]))
        );
        assert_eq!(
            of("lose = \"power\"\nregion = \"us-east-1\""),
            one(FaultKind::Crash(region()))
        );
        assert_eq!(
            of("lose = \"region-link\"\nregion = \"us-east-1\""),
            one(FaultKind::Partition(region()))
        );
        assert_eq!(
            of("lose = \"time-sync\"\nsite = 2\ndrift_ppm = 50"),
            one(FaultKind::Clock {
                nodes: vec![2],
                offset_ns: 0,
                drift_ppm: 50
            })
        );
        let (from, until) = at;
        assert_eq!(
            of("lose = \"leader\""),
            Ok(vec![Window::Leader { from, until }])
        );
    }

    #[test]
    fn repeated_outages_begin_every_so_many_hours() {
        let text = "lose = \"wan\"\nsite = 1\nfrom_s = 60\nfor_s = 90\nevery_h = 0.5\ntimes = 3";
        let what = || FaultKind::WanCut(vec![1]);
        let seconds = |from: u64| {
            let from = Time::ZERO + Span::from_s(from);
            (from, from + Span::from_s(90))
        };
        let want = [60, 1_860, 3_660].map(|from| fault(seconds(from), what()));
        assert_eq!(windows(text), Ok(want.to_vec()));
    }

    #[test]
    fn maintenance_goes_round_and_never_has_two_down() {
        for gap in ["", "gap_min = 0.1", "gap_min = 7"] {
            let text = format!(
                "lose = \"maintenance\"\nregion = \"us-east-1\"\nfrom_s = 0.1\nfor_min = 0.7\n\
                 every_h = 24\ntimes = 3\n{gap}"
            );
            let all = windows(&text).expect("it is sound");
            let all: Vec<Fault> = all
                .into_iter()
                .map(|w| match w {
                    Window::Fault(fault) => fault,
                    Window::Leader { .. } => panic!("nobody leads"),
                })
                .collect();
            assert_eq!(all.len(), 12);
            assert!(all.windows(2).all(|w| w[0].until <= w[1].from), "{gap}");
            let hit = all.iter().map(|f| f.what.clone());
            let turn = [0, 3, 6, 9].map(|n| FaultKind::Crash(vec![n]));
            assert!(hit.eq(turn.iter().cycle().take(12).cloned()));
        }
    }
}
