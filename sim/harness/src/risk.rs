//! What is left of each engine's promises when organisations are corrupt or offline: the central
//! figure of a comparison. Computed from the protocols' rules, not simulated.
//!
//! *Reversal risk* is the probability that a transaction is undone after its sender has waited,
//! given that it was in a block when the wait began. Engines that commit are all or nothing,
//! whatever the wait: a block of theirs is committed when it is there. What an engine takes until
//! the transaction is in a block is no part of this figure; the simulated latencies tell it.

use crate::analysis;
use crate::error::Error;
use crate::figures;
use crate::output::{Ran, column, key};
use crate::plan::{Kind as PlanKind, Profile};
use crate::plots::{self, Bound, Curve, Line, Point, PointStatus, Series};
use crate::results::{Column, Folder, Kind, Value};
use crate::study::{Part, Study};
use quorate_core::{Span, Wait, math};
use rayon::prelude::*;

/// The waits at which engines are compared, in seconds: at the desk, in a consultation, in a
/// ward round, until the end of a shift's hour.
// assumption: from what a clerk waits for to what an overnight reconciliation allows.
pub const WAITS_S: [u64; 4] = [5, 60, 600, 3_600];

/// Risks up to this are drawn as one.
// assumption: below any risk that a health service could argue about.
pub const FLOOR: f64 = 1e-12;

/// A risk at a number of corrupt organisations after a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Risk {
    /// Index into the plan's engines.
    pub engine: usize,
    /// Corrupt organisations, of the network's nodes.
    pub corrupt: u32,
    /// One of [`WAITS_S`].
    pub waited_s: u64,
    /// Probability of a reversal.
    pub risk: f64,
}

/// The risks of every engine of a part, by wait and then by corrupt organisations; computed once.
pub fn reversal(part: &Part) -> &[Risk] {
    part.risks.get_or_init(|| {
        let mut list: Vec<Risk> = Vec::new();
        for engine in 0..part.plan.engines.len() {
            for waited_s in WAITS_S {
                list.extend((0..=part.plan.network.nodes).map(|corrupt| Risk {
                    engine,
                    corrupt,
                    waited_s,
                    risk: 0.0,
                }));
            }
        }
        // Settlement bounds take a while, and none depends on another.
        list.par_iter_mut()
            .for_each(|r| r.risk = at(part, r.engine, r.corrupt, r.waited_s));
        list
    })
}

/// The same, looked up in [`reversal`].
pub(crate) fn known(part: &Part, engine: usize, corrupt: u32, waited_s: u64) -> f64 {
    let same = |r: &&Risk| (r.engine, r.corrupt, r.waited_s) == (engine, corrupt, waited_s);
    let found = reversal(part).iter().find(same);
    found.map_or_else(|| at(part, engine, corrupt, waited_s), |r| r.risk)
}

/// The risk of one engine at one place of the figure.
pub fn at(part: &Part, engine: usize, corrupt: u32, waited_s: u64) -> f64 {
    let entry = &part.plan.engines[engine];
    let wait = Wait {
        waited: Span::from_s(waited_s),
        delay: part.sheets[engine].adversary.delay,
    };
    let nodes = part.plan.network.nodes;
    entry
        .engine()
        .reversal_risk(&entry.config, nodes, corrupt, &wait)
}

/// How many organisations may be offline, whichever they are, while an engine still commits.
pub fn offline(part: &Part, engine: usize) -> u32 {
    analysis::placement(&part.plan, &part.sheets[engine]).crashed
}

/// Whether a study has the figure: one size, so that there is one number of organisations.
pub(crate) fn is_drawn(study: &Study) -> bool {
    study.plan.kind != PlanKind::Scale && !study.has_factors()
}

/// The first part of each profile: workloads share engines and network.
pub(crate) fn by_profile<'a>(ran: &[Ran<'a>]) -> Vec<Ran<'a>> {
    let mut firsts: Vec<Ran<'a>> = Vec::new();
    for &one in ran {
        if firsts.iter().all(|f| f.part.profile != one.part.profile) {
            firsts.push(one);
        }
    }
    firsts
}

/// Writes the tables and the figures.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &mut Folder, study: &Study, ran: &[Ran<'_>]) -> Result<(), Error> {
    if !is_drawn(study) {
        return Ok(());
    }
    let firsts = by_profile(ran);
    risk_table(folder, &firsts)?;
    offline_table(folder, &firsts)?;
    for one in &firsts {
        let profile = if study.has_profiles() {
            format!("-{}", one.part.profile.name())
        } else {
            String::new()
        };
        let name = format!("plots/risk{profile}.svg");
        folder.text(&name, &plots::draw_panel(&curves(one.part)))?;
    }
    Ok(())
}

fn risk_table(folder: &mut Folder, firsts: &[Ran<'_>]) -> Result<(), Error> {
    let columns = [
        key("profile", Kind::String, PROFILE),
        key("engine", Kind::String, "label of the engine"),
        key("corrupt", Kind::Integer, "corrupt organisations"),
        Column {
            unit: "s",
            ..key("waited_s", Kind::Integer, "wait since it was in a block")
        },
        column(
            "reversal_risk",
            Kind::Number,
            "probability",
            "that it is reversed all the same, 1 where it can be at will; computed, not simulated",
        ),
    ];
    let rows = firsts.iter().flat_map(|one| {
        reversal(one.part).iter().map(|r| {
            vec![
                profile(one.part.profile),
                Value::from(one.part.plan.engines[r.engine].label()),
                Value::from(u64::from(r.corrupt)),
                Value::from(r.waited_s),
                Value::from(r.risk),
            ]
        })
    });
    Ok(folder.csv("risk.csv", &columns, rows)?)
}

fn offline_table(folder: &mut Folder, firsts: &[Ran<'_>]) -> Result<(), Error> {
    let columns = [
        key("profile", Kind::String, PROFILE),
        key("engine", Kind::String, "label of the engine"),
        key("offline", Kind::Integer, "organisations offline"),
        column(
            "still_commits",
            Kind::Boolean,
            "",
            "whichever organisations they are; computed from the declared bound",
        ),
    ];
    let rows = firsts.iter().flat_map(|one| {
        let plan = &one.part.plan;
        (0..plan.engines.len()).flat_map(move |engine| {
            let most = offline(one.part, engine);
            (0..=plan.network.nodes).map(move |down| {
                vec![
                    profile(one.part.profile),
                    Value::from(plan.engines[engine].label()),
                    Value::from(u64::from(down)),
                    Value::from(down <= most),
                ]
            })
        })
    });
    Ok(folder.csv("offline.csv", &columns, rows)?)
}

const PROFILE: &str = "settings of the engines: deployed or matched";

fn profile(profile: Profile) -> Value {
    Value::from(profile.name())
}

/// The figure: a chart for each wait, then what is offline.
pub(crate) fn curves(part: &Part) -> Vec<Curve> {
    let risks = reversal(part);
    let mut curves: Vec<Curve> = WAITS_S.iter().map(|&w| chart(part, risks, w)).collect();
    curves.push(offline_chart(part));
    curves
}

/// Decades between two lanes of lines that would coincide.
const LANE: f64 = 0.5;

fn chart(part: &Part, risks: &[Risk], waited_s: u64) -> Curve {
    let engines = part.plan.engines.len();
    let line = |engine: usize| {
        let of = |r: &&Risk| r.engine == engine && r.waited_s == waited_s;
        let points = risks.iter().filter(of).map(|r| Point {
            x: beside(engine, engines, f64::from(r.corrupt)),
            y: in_lane(engine, engines, r.risk),
            low: None,
            high: None,
            status: PointStatus::Ok,
        });
        series(part, engine, points.collect())
    };
    let bound = |label: &str, at| Bound {
        label: label.to_owned(),
        line: Line::Horizontal(at),
    };
    Curve {
        title: format!("Reversal risk after {} in a block", wait_name(waited_s)),
        x_label: format!("corrupt organisations of {}", part.plan.network.nodes),
        y_label: "probability of a reversal".into(),
        y_log: true,
        x_whole: true,
        y_ticks: Some((FLOOR, 1.0)),
        series: (0..engines).map(line).collect(),
        bounds: vec![
            bound("reversible at will", 1.0),
            bound("at most 10⁻¹²", FLOOR),
        ],
        note: "Computed, not simulated; given that it was in a block when the wait began. Lines \
               that coincide at either end are drawn side by side."
            .into(),
        ..Curve::default()
    }
}

fn offline_chart(part: &Part) -> Curve {
    let engines = part.plan.engines.len();
    let line = |engine: usize| {
        let most = offline(part, engine);
        let point = |down: u32| Point {
            x: f64::from(down),
            y: (engines - engine) as f64,
            low: None,
            high: None,
            status: PointStatus::Ok,
        };
        let mut line = series(part, engine, (0..=most).map(point).collect());
        line.label = format!("{}: up to {most}", line.label);
        line
    };
    Curve {
        title: "Still commits with organisations offline".into(),
        x_label: format!("organisations offline of {}", part.plan.network.nodes),
        y_label: "one line an engine, as far as it commits".into(),
        x_whole: true,
        // No value on this axis means anything.
        y_ticks: Some((-1.0, -1.0)),
        series: (0..engines).map(line).collect(),
        bounds: vec![Bound {
            label: "all".into(),
            line: Line::Vertical(f64::from(part.plan.network.nodes)),
        }],
        note: "Computed from the declared bounds, not simulated: whichever organisations they \
               are."
            .into(),
        ..Curve::default()
    }
}

fn series(part: &Part, engine: usize, points: Vec<Point>) -> Series {
    Series {
        label: part.plan.engines[engine].label().to_owned(),
        look: figures::look(&part.plan, engine),
        variant: 0,
        points,
    }
}

/// A wait in words.
pub(crate) fn wait_name(waited_s: u64) -> String {
    match waited_s {
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// Where an engine's point is drawn, so that cliffs at one number of organisations stand apart.
fn beside(engine: usize, engines: usize, x: f64) -> f64 {
    x + 0.05 * (engine as f64 - (engines - 1) as f64 / 2.0)
}

/// A risk as it is drawn: beyond the ends of the scale each engine has a lane of its own.
fn in_lane(engine: usize, engines: usize, risk: f64) -> f64 {
    if risk <= FLOOR {
        FLOOR * math::pow(10.0, -LANE * (engine + 1) as f64)
    } else if risk >= 1.0 {
        math::pow(10.0, LANE * (engines - engine) as f64)
    } else {
        risk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Source;

    const PLAN: &str = r#"
name = "risk"
kind = "curve"
replications = 2
[network]
nodes = 12
regions = ["us-east-1", "us-west-1", "us-west-2"]
[workload]
name = "hospital"
sites = 12
most_patients = 1000
[load]
offered_tps = [5.0]
[[engines]]
name = "qbft"
[[engines]]
name = "qbft"
label = "qbft-7"
config = { validators = 7 }
[[engines]]
name = "nakamoto"
config = { preset = "private-15s" }
[[engines]]
name = "central"
"#;

    fn study() -> Study {
        let source = Source::new("risk.toml", PLAN);
        let plan = source.plan(&[]).expect("a sound plan");
        Study::open(&source, plan).expect("a sound workload")
    }

    fn risks(engine: usize, waited_s: u64) -> Vec<f64> {
        let study = study();
        let all = reversal(&study.parts[0]);
        let of = |r: &&Risk| r.engine == engine && r.waited_s == waited_s;
        all.iter().filter(of).map(|r| r.risk).collect()
    }

    /// Twelve validators bear three liars and seven bear two, whatever the wait.
    #[test]
    fn committees_are_safe_up_to_their_bound_and_then_not_at_all() {
        for wait in WAITS_S {
            for (engine, bound) in [(0, 3), (1, 2), (3, 0)] {
                let cliff: Vec<f64> = (0..=12).map(|c| f64::from(u8::from(c > bound))).collect();
                assert_eq!(risks(engine, wait), cliff, "engine {engine}");
            }
        }
    }

    #[test]
    fn more_corrupt_organisations_are_never_safer() {
        for wait in WAITS_S {
            for engine in 0..4 {
                let risks = risks(engine, wait);
                assert!(risks.is_sorted(), "engine {engine}, {wait} s: {risks:?}");
                assert!(risks.iter().all(|r| (0.0..=1.0).contains(r)));
            }
        }
    }

    #[test]
    fn waiting_longer_is_never_riskier() {
        let study = study();
        for engine in 0..4 {
            for corrupt in 0..=12 {
                let risk = |w: u64| at(&study.parts[0], engine, corrupt, w);
                let by_wait = WAITS_S.map(risk);
                assert!(by_wait.is_sorted_by(|a, b| a >= b), "{by_wait:?}");
            }
        }
    }

    /// Eight of twelve and five of seven validators decide; the standby takes over from the primary.
    #[test]
    fn offline_is_the_declared_bound() {
        let study = study();
        assert_eq!(offline(&study.parts[0], 0), 4);
        assert_eq!(offline(&study.parts[0], 1), 2);
        assert_eq!(offline(&study.parts[0], 3), 1);
    }

    #[test]
    fn lanes_part_engines_and_keep_what_lies_between() {
        let drawn = |risk| [0, 1, 2].map(|e| in_lane(e, 3, risk));
        assert!(drawn(0.0).is_sorted_by(|a, b| a > b));
        assert!(drawn(0.0).iter().all(|&y| y < FLOOR));
        assert!(drawn(1.0).iter().all(|&y| y > 1.0));
        assert!(drawn(0.25).iter().all(|y| (y - 0.25).abs() < 1e-15));
    }
}
