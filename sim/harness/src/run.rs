//! Runs the units of a plan over all cores, longest first, and collects them in plan order.

use crate::error::Error;
use crate::plan::{Kind, Plan};
use crate::study::{Part, Study};
use crate::unit::{self, Done, EngineSheet, Key, Tweak};
use crate::{knee, precision, resilience};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// One combination of levels with its replications.
pub struct Cell {
    /// Place in the study.
    pub index: usize,
    /// Index into the plan's engines.
    pub engine: usize,
    /// Offered writes per second; `None` in a replay.
    pub offered_tps: Option<f64>,
    /// What is changed against the plan.
    pub tweak: Tweak,
    /// Replications in order; empty when the engine is never final.
    pub units: Vec<Done>,
}

impl Cell {
    const fn new(index: usize, engine: usize, offered_tps: Option<f64>, tweak: Tweak) -> Self {
        Self {
            index,
            engine,
            offered_tps,
            tweak,
            units: Vec::new(),
        }
    }

    /// Its unit of that replication.
    pub(crate) const fn key(&self, replication: u32) -> Key {
        Key {
            engine: self.engine,
            offered_tps: self.offered_tps,
            replication,
            tweak: self.tweak,
        }
    }
}

/// Everything that was simulated for one part of a study.
#[derive(Default)]
pub struct Outcome {
    /// What each engine is.
    pub sheets: Vec<EngineSheet>,
    /// The plan's cells, the counterfactual ones of a comparison, then those that locate knees.
    pub cells: Vec<Cell>,
}

impl Outcome {
    /// The cell of an engine at a load under a counterfactual.
    pub fn cell(&self, engine: usize, offered_tps: Option<f64>, tweak: Tweak) -> Option<&Cell> {
        let same =
            |c: &&Cell| c.engine == engine && c.offered_tps == offered_tps && c.tweak == tweak;
        self.cells.iter().find(same)
    }

    /// The cells of an engine as planned, by load.
    pub fn sweep(&self, engine: usize) -> Vec<&Cell> {
        let planned = |c: &&Cell| c.engine == engine && c.tweak == Tweak::None;
        let mut cells: Vec<&Cell> = self.cells.iter().filter(planned).collect();
        cells.sort_by(|a, b| {
            a.offered_tps
                .partial_cmp(&b.offered_tps)
                .expect("loads are numbers")
        });
        cells
    }
}

/// Set by the first Ctrl-C: units that have not started yet are not started.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Lists the cells of a part, without their units; `first` is the index of the first.
fn cells(plan: &Plan, first: usize) -> Vec<Cell> {
    let engines = 0..plan.engines.len();
    let loads: Vec<Option<f64>> = match plan.kind {
        Kind::Replay => vec![None],
        Kind::Scenario if !plan.is_swept() => vec![None],
        _ => plan.load.offered_tps.iter().copied().map(Some).collect(),
    };
    let mut list: Vec<(usize, Option<f64>, Tweak)> = Vec::new();
    for engine in engines.clone() {
        list.extend(loads.iter().map(|&load| (engine, load, Tweak::None)));
    }
    if plan.kind == Kind::Compare {
        let decisive = plan.load.decide_at_tps;
        for engine in engines {
            let asked = Tweak::LIMITS.into_iter().chain([Tweak::SiteDown]);
            list.extend(asked.map(|tweak| (engine, decisive, tweak)));
        }
    }
    let cell = |(i, (engine, offered_tps, tweak))| Cell::new(first + i, engine, offered_tps, tweak);
    list.into_iter().enumerate().map(cell).collect()
}

/// The cells of a part's bad days, after those of all parts.
fn bad_days(part: &Part, first: usize) -> Vec<Cell> {
    let plan = &part.plan;
    let days = |e: usize| {
        let days = resilience::days(plan, &part.sheets[e]);
        days.into_iter().map(move |day| (e, day))
    };
    let all = (0..plan.engines.len()).flat_map(days);
    let decisive = plan.load.decide_at_tps;
    let cell = |(i, (engine, day))| Cell::new(first + i, engine, decisive, Tweak::Bad(day));
    all.enumerate().map(cell).collect()
}

/// A unit to run: its part, the place of its cell in the part, and the unit.
type Task = (usize, usize, Key);

/// Units that an outcome asks for: replications of a cell that may be there already.
pub(crate) struct More {
    pub(crate) engine: usize,
    pub(crate) offered_tps: Option<f64>,
    pub(crate) tweak: Tweak,
    pub(crate) replications: std::ops::Range<u32>,
}

/// What decides, round after round, which further units a part has, from what its engines' units were;
/// each engine for itself.
const DECIDERS: [fn(&Part, &Outcome) -> Vec<More>; 2] = [knee::to_try, precision::to_try];

/// Runs a study, locates the knees of curves, and gives cells the replications that their precision asks
/// for.
///
/// # Errors
/// When it was interrupted, or a unit hit a bug; the message holds the command that repeats it.
pub fn run(study: &Study, command: &str) -> Result<Vec<Outcome>, Error> {
    let mut next = 0;
    let mut outcomes = Vec::new();
    let mut tasks: Vec<Task> = Vec::new();
    for part in &study.parts {
        let cells = cells(&part.plan, next);
        next += cells.len();
        outcomes.push(Outcome {
            sheets: part.sheets.clone(),
            cells,
        });
    }
    for (part, outcome) in study.parts.iter().zip(&mut outcomes) {
        let bad = bad_days(part, next);
        next += bad.len();
        outcome.cells.extend(bad);
    }
    for (p, part) in study.parts.iter().enumerate() {
        for (place, cell) in outcomes[p].cells.iter().enumerate() {
            if twin(study, p, cell.engine).is_none() {
                tasks.extend(units(part, cell).map(|key| (p, place, key)));
            }
        }
    }
    run_units(study, tasks, &mut outcomes, command)?;
    loop {
        let tasks = further(study, &mut outcomes, &mut next);
        if tasks.is_empty() {
            break;
        }
        run_units(study, tasks, &mut outcomes, command)?;
    }
    copy_twins(study, &mut outcomes);
    Ok(outcomes)
}

/// The units of a further round; their cells are added where they are new.
fn further(study: &Study, outcomes: &mut [Outcome], next: &mut usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (p, part) in study.parts.iter().enumerate() {
        let outcome = &mut outcomes[p];
        let wanted: Vec<More> = DECIDERS.iter().flat_map(|d| d(part, outcome)).collect();
        for more in wanted {
            let (engine, offered_tps, tweak) = (more.engine, more.offered_tps, more.tweak);
            let same =
                |c: &Cell| (c.engine, c.offered_tps, c.tweak) == (engine, offered_tps, tweak);
            let place = outcome.cells.iter().position(same).unwrap_or_else(|| {
                let cell = Cell::new(*next, engine, offered_tps, tweak);
                outcome.cells.push(cell);
                *next += 1;
                outcome.cells.len() - 1
            });
            let cell = &outcome.cells[place];
            tasks.extend(more.replications.map(|r| (p, place, cell.key(r))));
        }
    }
    tasks
}

/// An earlier part in which an engine has the same settings under the same workload and size: it is
/// simulated once. Parts differ in nothing else.
fn twin(study: &Study, p: usize, engine: usize) -> Option<usize> {
    if study.plan.kind == Kind::Curve {
        // Each part tries loads of its own.
        return None;
    }
    let part = &study.parts[p];
    let mine = &part.plan.engines[engine];
    study.parts[..p].iter().position(|other| {
        let theirs = &other.plan.engines[engine];
        other.label == part.label
            && other.plan.network.nodes == part.plan.network.nodes
            && theirs.config == mine.config
            && theirs.duration_s == mine.duration_s
    })
}

fn copy_twins(study: &Study, outcomes: &mut [Outcome]) {
    for p in 0..outcomes.len() {
        for place in 0..outcomes[p].cells.len() {
            let cell = &outcomes[p].cells[place];
            if let Some(q) = twin(study, p, cell.engine) {
                let same = outcomes[q].cell(cell.engine, cell.offered_tps, cell.tweak);
                let units = same.expect("twins have the same cells").units.clone();
                outcomes[p].cells[place].units = units;
            }
        }
    }
}

/// Replications of a counterfactual that only says what limits an engine.
// assumption: under common random numbers so many pairs tell the changes apart; no answer rests on
// them.
const PAIRS: u32 = 5;

/// The units of a cell; none where nothing is ever final.
fn units<'a>(part: &Part, cell: &'a Cell) -> impl Iterator<Item = Key> + use<'a> {
    let plan = &part.plan;
    let replications = match (&part.sheets[cell.engine].finality, cell.tweak) {
        (Err(_), _) => 0,
        (_, Tweak::Bad(day)) => resilience::replications(plan, day),
        (_, tweak) if Tweak::LIMITS.contains(&tweak) => plan.replications.min(PAIRS),
        _ => plan.replications,
    };
    (0..replications).map(|replication| cell.key(replication))
}

fn run_units(
    study: &Study,
    mut tasks: Vec<Task>,
    outcomes: &mut [Outcome],
    command: &str,
) -> Result<(), Error> {
    // Longest first, so that no core waits long for the last unit.
    let cost = |(p, _, key): &Task| study.parts[*p].workload.cost(&study.parts[*p].plan, *key);
    tasks.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    let bar = progress(tasks.len() as u64);
    let results: Vec<(usize, usize, Result<Done, Error>)> = tasks
        .into_par_iter()
        .with_max_len(1)
        .map(|(p, place, key)| {
            let done = guarded(&study.parts[p], key, command);
            bar.inc(1);
            (p, place, done)
        })
        .collect();
    bar.finish_and_clear();
    for (p, place, done) in results {
        outcomes[p].cells[place].units.push(done?);
    }
    for outcome in outcomes {
        for cell in &mut outcome.cells {
            cell.units.sort_by_key(|u| u.key.replication);
        }
    }
    Ok(())
}

/// What a unit is called in messages.
pub(crate) fn name(part: &Part, key: Key) -> String {
    format!(
        "replication {} of {} ({}, {}) at {:?} writes/s ({})",
        key.replication,
        part.plan.engines[key.engine].label(),
        part.label,
        part.profile.name(),
        key.offered_tps.unwrap_or(0.0),
        key.tweak.name()
    )
}

pub(crate) fn guarded(part: &Part, key: Key, command: &str) -> Result<Done, Error> {
    if STOP.load(Ordering::Relaxed) {
        return Err(Error::interrupted());
    }
    let Part {
        plan,
        workload,
        sheets,
        ..
    } = part;
    let sheet = &sheets[key.engine];
    catch_unwind(AssertUnwindSafe(|| unit::run(plan, workload, sheet, key))).map_err(|_| Error {
        message: format!("a bug: {} panicked, see above", name(part, key)),
        hint: format!("please report it with this command: {command}"),
        code: crate::error::exit::BUG,
    })
}

fn progress(units: u64) -> ProgressBar {
    // Hidden when stderr is no terminal.
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} units, {eta} left")
        .expect("the template is fixed");
    ProgressBar::new(units).with_style(style)
}
