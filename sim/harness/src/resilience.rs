//! Bad days of a comparison: a site goes down, a region is cut off, members lie. Each is laid over
//! the load that the service levels are judged at, under the same seeds.
//!
//! Who is hit is the worst case that the plan allows: whoever leads at that instant; the region of the
//! member with the largest say, who in most protocols is the first to lead; and as many of the heaviest
//! members as an engine bears.

pub mod fate;
pub(crate) mod table;
pub(crate) mod words;

use crate::plan::{Kind, Plan};
use crate::unit::{self, EngineSheet, Key, Tweak};
use crate::workload::Workload;
use quorate_core::{Conduct, Corrupt, Fault, FaultKind, Finality, Invalid, NodeId, Span, Time};
use quorate_kernel::Setup;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a comparison says of bad days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResiliencePlan {
    /// Which bad days every engine has. Without any, only chains without a commit have one, in
    /// which a region is cut off, once: it reverses what their depth called final.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad_days: Vec<BadDay>,
    /// How long each lasts, s.
    pub for_s: f64,
    /// Replications of each.
    pub replications: u32,
}

impl Default for ResiliencePlan {
    fn default() -> Self {
        Self {
            bad_days: Vec::new(),
            // assumption: half a shift without a link; a chain of slow blocks needs that long to
            // call anything final on its smaller side.
            for_s: 7_200.0,
            // assumption: what is asked is whether it goes on and whether it comes back, which the
            // rules decide and luck does not; the worst of three is shown, no interval rests on them.
            replications: 3,
        }
    }
}

impl ResiliencePlan {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A kind of bad day.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum BadDay {
    /// A site's node is down and comes back.
    SiteDown,
    /// A region is cut off from the others and comes back.
    Partition,
    /// As many members lie as the engine bears, and one more.
    Byzantine,
}

impl BadDay {
    /// Its name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SiteDown => "site-down",
            Self::Partition => "partition",
            Self::Byzantine => "byzantine",
        }
    }
}

/// A bad day that is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Day {
    /// See [`BadDay::SiteDown`].
    SiteDown,
    /// See [`BadDay::Partition`].
    Partition,
    /// As many members lie as the engine bears.
    Liars,
    /// One more lies.
    OneMore,
}

impl Day {
    pub(crate) const ALL: [Self; 4] = [Self::SiteDown, Self::Partition, Self::Liars, Self::OneMore];

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SiteDown => "a site down and back",
            Self::Partition => "a region cut off and back",
            Self::Liars => "as many lie as it bears",
            Self::OneMore => "one more lies",
        }
    }

    /// What a plan calls it.
    const fn asked(self) -> BadDay {
        match self {
            Self::SiteDown => BadDay::SiteDown,
            Self::Partition => BadDay::Partition,
            Self::Liars | Self::OneMore => BadDay::Byzantine,
        }
    }

    /// How many lie.
    const fn liars(self, bound: u32) -> u32 {
        match self {
            Self::SiteDown | Self::Partition => 0,
            Self::Liars => bound,
            Self::OneMore => bound + 1,
        }
    }
}

/// The bad days of an engine; none unless it is compared, nor where nothing is ever final.
pub(crate) fn days(plan: &Plan, sheet: &EngineSheet) -> Vec<Day> {
    let (Ok(finality), Kind::Compare) = (&sheet.finality, plan.kind) else {
        return Vec::new();
    };
    let (bound, members) = (sheet.promises.byzantine, sheet.committee.len() as u32);
    let reversible = *finality != Finality::Commit && plan.network.nodes > 1;
    let is_had = |day: &Day| match day {
        Day::SiteDown => is_asked(plan, *day),
        Day::Partition => is_asked(plan, *day) || reversible,
        // Without liars it is a good day; somebody must be left to be lied to.
        Day::Liars | Day::OneMore => {
            is_asked(plan, *day) && (1..members).contains(&day.liars(bound))
        }
    };
    Day::ALL.into_iter().filter(is_had).collect()
}

fn is_asked(plan: &Plan, day: Day) -> bool {
    plan.resilience.bad_days.contains(&day.asked())
}

/// Replications of a bad day.
pub(crate) fn replications(plan: &Plan, day: Day) -> u32 {
    if is_asked(plan, day) {
        plan.resilience.replications
    } else {
        1
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Harm {
    /// A node is down.
    Down,
    /// Nodes are cut off.
    Cut,
    /// Liars extend a private branch, as long as what is final, against depth.
    Branch(u32),
    /// Liars' blocks do not execute, where whoever leads is trusted.
    Invalid,
    /// Liars run twice under one identity, for two halves of the others; and where commits must hold
    /// whatever the network does, it parts these halves from each other for a while.
    Twice { half: Vec<u32>, cut: bool },
}

/// When it is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the unit")]
pub(crate) struct Window {
    pub(crate) from_s: f64,
    pub(crate) until_s: f64,
    /// End of the measured span.
    pub(crate) horizon_s: f64,
}

impl Window {
    /// After the span that is measured on a good day, and as much later as depth takes to make its first
    /// block final; half of that span follows, in which it gets well. Liars lie in the span of a good
    /// day, and a private branch, which takes its time, until the others would have their bad day behind
    /// them.
    fn new(plan: &Plan, engine: usize, harm: &Harm) -> Self {
        let span = plan.span_s(engine);
        let (finality, interval) = unit::finality(plan, engine);
        let depth_s = match finality {
            Ok(Finality::Depth { fin, .. }) => f64::from(fin) * interval.as_s(),
            _ => 0.0,
        };
        let begins = span + depth_s;
        let ends = begins + plan.resilience.for_s;
        let [from_s, until_s, horizon_s] = match harm {
            Harm::Down | Harm::Cut => [begins, ends, ends + span / 2.0],
            Harm::Branch(_) => [0.0, ends, ends],
            // assumption: many blocks long, and over early enough to see who gets well.
            Harm::Twice { cut: true, .. } => [span / 4.0, span / 2.0, span],
            Harm::Invalid | Harm::Twice { .. } => [0.0, span, span],
        };
        Self {
            from_s,
            until_s,
            horizon_s,
        }
    }

    fn fault(&self, what: FaultKind) -> Fault {
        let [from, until] = self.ends();
        Fault { from, until, what }
    }

    /// Its first instant, and the first after it.
    pub(crate) fn ends(&self) -> [Time; 2] {
        [self.from_s, self.until_s].map(|s| Time::ZERO + Span::from_s_f64(s))
    }
}

/// Takes down whoever leads when a site is to go down; where nobody does, the heaviest member. The same
/// unit runs up to there first: what happens before does not hang on it.
pub(crate) fn strike_leader(
    plan: &Plan,
    workload: &Workload,
    (sheet, key): (&EngineSheet, Key),
    table: &toml::Table,
    setup: &mut Setup,
) {
    let Tweak::Bad(day @ Day::SiteDown) = key.tweak else {
        return;
    };
    let case = Case::new(plan, key.engine, day);
    let fault = |node: NodeId| case.window.fault(FaultKind::Crash(vec![node.get()]));
    let engine = plan.engines[key.engine].engine();
    let built = workload.open(key.offered_tps, setup.seed);
    let (from, unit) = (fault(case.hit[0]).from, setup.clone());
    let (adversary, ledger) = (&sheet.adversary, &*built.ledger);
    let leader = engine.leader_at(table, adversary, unit, built.load, ledger, from);
    setup.faults.push(fault(leader.unwrap_or(case.hit[0])));
}

/// A bad day of an engine.
pub struct Case {
    /// Which.
    pub day: Day,
    /// Who is down, cut off or lies.
    pub hit: Vec<NodeId>,
    /// Members that may lie without breaking what it promises.
    pub bound: u32,
    pub(crate) harm: Harm,
    pub(crate) window: Window,
    /// Nodes of the network; behind them are the second selves of who runs twice.
    nodes: u32,
}

impl Case {
    pub(crate) fn new(plan: &Plan, engine: usize, day: Day) -> Self {
        let entry = &plan.engines[engine];
        let nodes = plan.network.nodes;
        let bound = entry.engine().promises(&entry.config, nodes).byzantine;
        let heaviest = heaviest(plan, engine);
        let hit = match day {
            // Unless somebody else leads then.
            Day::SiteDown => heaviest[..1].to_vec(),
            Day::Partition => region(plan, heaviest[0]),
            Day::Liars | Day::OneMore => heaviest[..day.liars(bound) as usize].to_vec(),
        };
        let harm = match (day, unit::finality(plan, engine).0) {
            (Day::SiteDown, _) => Harm::Down,
            (Day::Partition, _) => Harm::Cut,
            (_, Ok(Finality::Depth { fin, .. })) => Harm::Branch(fin),
            _ if bound == 0 => Harm::Invalid,
            (_, finality) => {
                let honest = (0..nodes).filter(|&n| !hit.contains(&NodeId::new(n)));
                Harm::Twice {
                    half: honest.skip(1).step_by(2).collect(),
                    cut: finality == Ok(Finality::Commit),
                }
            }
        };
        Self {
            day,
            window: Window::new(plan, engine, &harm),
            hit,
            bound,
            harm,
            nodes,
        }
    }

    fn numbers(&self) -> Vec<u32> {
        self.hit.iter().map(|n| n.get()).collect()
    }

    /// What is wrong with the network, as far as it is known before the run.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let side = match &self.harm {
            Harm::Cut => self.numbers(),
            Harm::Twice { half, cut: true } => {
                let seconds = self.nodes..self.nodes + self.hit.len() as u32;
                half.iter().copied().chain(seconds).collect()
            }
            _ => return None,
        };
        Some(self.window.fault(FaultKind::Partition(side)))
    }

    /// Who lies, and how.
    pub(crate) fn liars(&self) -> Option<Corrupt> {
        let conduct = match &self.harm {
            Harm::Down | Harm::Cut => return None,
            // assumption: a branch that is further behind than what it must undo is not worth more work.
            Harm::Branch(fin) => Conduct::Reorg {
                confirmations: *fin,
                give_up: *fin,
            },
            Harm::Invalid => Conduct::InvalidBlocks,
            Harm::Twice { half, .. } => Conduct::Twin(half.clone()),
        };
        Some(Corrupt {
            nodes: self.numbers(),
            from: Time::ZERO,
            until: Time::NEVER,
            conduct,
        })
    }
}

/// The members of an engine's committee, those with the largest weight first.
fn heaviest(plan: &Plan, engine: usize) -> Vec<NodeId> {
    let entry = &plan.engines[engine];
    let committee = entry.engine().committee(&entry.config, plan.network.nodes);
    let mut members: Vec<NodeId> = committee.members().collect();
    // The sort is stable: among equals the first in the protocol's order, who leads first.
    members.sort_by_key(|&m| std::cmp::Reverse(committee.weight(m)));
    members
}

/// The nodes of a member's region. Where all are in one: it, and those after it up to half of them.
fn region(plan: &Plan, member: NodeId) -> Vec<NodeId> {
    let region_of = plan.network.region_of();
    let n = region_of.len();
    let here = region_of[member.index()];
    let same = |i: &usize| region_of[*i] == here;
    let node = |i: usize| NodeId::new(i as u32);
    let nodes: Vec<NodeId> = (0..n).filter(same).map(node).collect();
    if nodes.len() < n {
        return nodes;
    }
    let mut half: Vec<NodeId> = (0..n / 2).map(|i| node((member.index() + i) % n)).collect();
    half.sort();
    half
}

/// Checks the table against the plan.
///
/// # Errors
/// The key, what is wrong and what to do.
pub(crate) fn check(plan: &Plan) -> Result<(), Invalid> {
    let wrong = |key, why: String, hint: &str| {
        let hint = hint.to_owned();
        Err(Invalid { key, why, hint })
    };
    let ResiliencePlan {
        bad_days,
        for_s,
        replications,
    } = &plan.resilience;
    if !bad_days.is_empty() && plan.kind != Kind::Compare {
        let why = "goes with kind = \"compare\" only".to_owned();
        return wrong("bad_days", why, "leave it out, or write [[faults]]");
    }
    let twice = |(i, day): &(usize, &BadDay)| bad_days[..*i].contains(day);
    if let Some((_, day)) = bad_days.iter().enumerate().find(twice) {
        let why = format!("holds {} twice", day.name());
        return wrong("bad_days", why, "name each bad day once");
    }
    if bad_days.contains(&BadDay::Byzantine) && !plan.corrupt.is_empty() {
        let why = "holds byzantine beside [[corrupt]]".to_owned();
        let hint = "leave one out: here each engine has as many liars as it bears, and one more";
        return wrong("bad_days", why, hint);
    }
    if bad_days.contains(&BadDay::Partition) && plan.network.nodes < 2 {
        let why = "holds partition, but there is one node".to_owned();
        return wrong("bad_days", why, "use two nodes or more");
    }
    if *for_s <= 0.0 || !for_s.is_finite() {
        return wrong("for_s", format!("is {for_s}"), "give seconds above 0");
    }
    if *replications == 0 {
        return wrong("replications", "is 0".to_owned(), "use 1 or more");
    }
    Ok(())
}
