//! Attacks in the full simulator: a plan whose liars and faults are the attack, its cases, and the game
//! whose success is counted.

use super::games::{self, Ran};
use super::{Row, games::Game};
use crate::error::Error;
use crate::output;
use crate::plan::{EnginePlan, Kind, Plan, Source};
use crate::plots::{Curve, Point, PointStatus, Series};
use crate::run;
use crate::study::Study;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The table `[attack]` of a plan.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttackPlan {
    /// What counts as success, and which law it is held against.
    pub game: Game,
    /// What is varied.
    pub cases: Vec<CasePlan>,
}

/// One case of an attack.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasePlan {
    /// What it is called in the results, as `q=0.3;n=6`.
    pub parameters: String,
    /// Its place on the x axis of the figure.
    pub x: f64,
    /// Overrides of the plan, as for `-s`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
}

/// An attack that is simulated.
pub(super) struct Simulated {
    /// As written, overrides applied.
    pub(super) plan: Plan,
    /// One study a case.
    studies: Vec<Study>,
}

/// What came out, and evidence for a broken promise.
pub(super) type Outcome = (Vec<Row>, Option<String>);

impl Simulated {
    /// Reads and checks the plan and each of its cases.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file, line and key.
    pub(super) fn open(
        source: &Source,
        set: &[String],
        engines: Option<&str>,
        quick: bool,
    ) -> Result<Self, Error> {
        let mut all: Vec<String> = if quick {
            source.parse()?.quick
        } else {
            Vec::new()
        };
        all.extend(set.iter().cloned());
        let plan = source.plan_with(&all, engines)?;
        let attack = plan.attack.as_ref().expect("the plan was checked");
        let asked: Option<Vec<&str>> = engines.map(|list| list.split(',').map(str::trim).collect());
        let is_asked = |e: &EnginePlan| {
            let named = |names: &Vec<&str>| names.contains(&e.label()) || names.contains(&&*e.name);
            asked.as_ref().is_none_or(named)
        };
        let mut studies = Vec::new();
        for case in &attack.cases {
            let mut with = all.clone();
            with.extend(case.set.iter().cloned());
            // A case may be about other engines than the plan.
            let mut one = source.plan(&with)?;
            one.engines.retain(is_asked);
            studies.push(Study::open(source, one)?);
        }
        Ok(Self { plan, studies })
    }

    fn attack(&self) -> &AttackPlan {
        self.plan.attack.as_ref().expect("the plan was checked")
    }

    pub(super) fn config(&self) -> String {
        output::with_version(&self.plan)
    }

    /// Runs every case.
    ///
    /// # Errors
    /// When it was interrupted, or a unit hit a bug.
    pub(super) fn run(&self, command: &str) -> Result<Outcome, Error> {
        let attack = self.attack();
        let (mut rows, mut broken, mut next) = (Vec::new(), None, 0);
        for (case, study) in self.studies.iter().enumerate() {
            let part = &study.parts[0];
            for outcome in run::run(study, command)? {
                for cell in &outcome.cells {
                    let mut reports = cell.units.iter().map(|u| &u.report);
                    broken = broken.or_else(|| reports.find_map(|r| r.violation.clone()));
                    let ran = Ran {
                        case: next,
                        parameters: &attack.cases[case].parameters,
                        plan: &part.plan,
                        sheet: &part.sheets[cell.engine],
                        engine: cell.engine,
                        units: &cell.units,
                    };
                    rows.extend(games::rows(attack.game, &ran));
                    next += 1;
                }
            }
        }
        Ok((rows, broken))
    }

    /// The engines of all cases, once each, with their looks.
    fn labels(&self) -> Vec<(usize, &str)> {
        let mut labels: Vec<(usize, &str)> = Vec::new();
        for engine in self.studies.iter().flat_map(|s| &s.plan.engines) {
            if labels.iter().all(|(_, l)| *l != engine.label()) {
                labels.push((crate::engines::place(&engine.name), engine.label()));
            }
        }
        labels
    }

    /// The game's first number against x, a line an engine, with its law beside it.
    pub(super) fn figures(&self, rows: &[Row]) -> Vec<Curve> {
        let attack = self.attack();
        let (title, x_label, y_label) = attack.game.labels();
        let mut curve = Curve {
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            note: format!(
                "Points: simulated, with {:.0} % intervals from {} replications. Thin: the law of each \
                 line, where there is one.",
                100.0 * self.plan.confidence,
                self.plan.replications
            ),
            ..Curve::default()
        };
        for (look, label) in self.labels() {
            let of = |row: &&Row| row.engine == label && row.metric == attack.game.headline();
            let xs = |row: &Row| {
                let case = attack.cases.iter().find(|c| c.parameters == row.parameters);
                case.map(|c| c.x)
            };
            let measured = rows.iter().filter(of).filter_map(|row| {
                let interval = row.estimate.interval(self.plan.confidence);
                Some(Point {
                    x: xs(row)?,
                    y: interval.mean?,
                    low: interval.low,
                    high: interval.high,
                    status: PointStatus::Ok,
                })
            });
            let law = rows.iter().filter(of).filter_map(|row| {
                Some(Point {
                    x: xs(row)?,
                    y: row.law?.value,
                    low: None,
                    high: None,
                    status: PointStatus::Ok,
                })
            });
            for (variant, points) in [(0, measured.collect::<Vec<_>>()), (1, law.collect())] {
                let law = if variant == 1 { ": law" } else { "" };
                curve.series.push(Series {
                    label: format!("{label}{law}"),
                    look,
                    variant,
                    points,
                });
            }
        }
        curve.series.retain(|s| !s.points.is_empty());
        vec![curve]
    }
}

pub(super) fn nothing(source: &Source) -> Error {
    let hint = "add a table [attack], [sm1], [double_spend] or [balance]";
    source.at_key("kind", "is \"attack\", but nothing is attacked", hint)
}

/// Checks the table `[attack]` of a plan as written.
///
/// # Errors
/// What is wrong with it, with its file, line and key.
pub(crate) fn check(source: &Source, plan: &Plan) -> Result<(), Error> {
    let refuse = |key: &str, why: &str, hint: &str| Err(source.at_key(key, why, hint));
    let attack = match (plan.kind == Kind::Attack, &plan.attack) {
        (true, Some(attack)) => attack,
        (false, None) => return Ok(()),
        (true, None) => return Err(nothing(source)),
        (false, Some(_)) => {
            let hint = "remove the table [attack], or set kind";
            return refuse("attack", "goes with kind = \"attack\" only", hint);
        }
    };
    if plan.load.offered_tps.len() != 1 || !plan.workloads.is_empty() || plan.profiles.len() != 1 {
        let hint = "vary what is to differ in [[attack.cases]]";
        return refuse("attack", "needs one workload, load and profile", hint);
    }
    let fit = attack.game.engines();
    let unfit = |e: &&EnginePlan| !fit.is_empty() && !fit.contains(&e.name.as_str());
    if let Some(engine) = plan.engines.iter().find(unfit) {
        let why = format!("does not go with {}", engine.name);
        return refuse(
            "attack.game",
            &why,
            &format!("it is about {}", fit.join(", ")),
        );
    }
    if attack.cases.is_empty() {
        return refuse("attack.cases", "is empty", "add a table [[attack.cases]]");
    }
    for (i, case) in attack.cases.iter().enumerate() {
        let same = |other: &&CasePlan| other.parameters == case.parameters;
        if attack.cases[..i].iter().any(|other| same(&other)) {
            let key = format!("attack.cases.{i}.parameters");
            let why = format!("{:?} stands twice", case.parameters);
            return refuse(&key, &why, "give each case its own");
        }
    }
    Ok(())
}
