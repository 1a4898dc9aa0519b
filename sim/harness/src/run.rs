//! Runs the units of a plan over all cores, longest first, and collects them in plan order.

use crate::error::{Error, exit};
use crate::plan::{Kind, Plan};
use crate::progress::Progress;
use crate::record::Id;
use crate::shard::{self, Deal};
use crate::store::Store;
use crate::study::{Part, Study};
use crate::unit::{self, Done, EngineSheet, Key, Tweak};
use crate::workers::{self, Budget, Sink};
use crate::{capacity, knee, precision, predict, resilience, sweep, tune};
use quorate_kernel::Trace;
use std::io::Write as _;
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
        Kind::Sensitivity => vec![plan.load.decide_at_tps],
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
pub(crate) type Task = (usize, usize, Key);

/// Units that an outcome asks for: replications of a cell that may be there already.
pub(crate) struct More {
    pub(crate) engine: usize,
    pub(crate) offered_tps: Option<f64>,
    pub(crate) tweak: Tweak,
    pub(crate) replications: std::ops::Range<u32>,
}

/// A cell to add: engine, offered load, and what is changed.
pub(crate) type Try = (usize, Option<f64>, Tweak);

/// What a part asks for next, from what its engines' units were, each engine for itself; nothing when it
/// knows all. See [`shard::is_adaptive`].
fn to_try(part: &Part, outcome: &Outcome) -> Vec<More> {
    let cells = match part.plan.kind {
        Kind::Curve => knee::to_try(part, outcome),
        Kind::Capacity => capacity::to_try(part, outcome),
        Kind::Compare if part.plan.tune => tune::to_try(part, outcome),
        _ => Vec::new(),
    };
    let more = |(engine, offered_tps, tweak)| More {
        engine,
        offered_tps,
        tweak,
        replications: 0..replications(part, engine, tweak),
    };
    let cells = cells.into_iter().map(more);
    let precise = precision::to_try(part, outcome);
    cells.chain(precise).collect()
}

/// Runs a study without keeping its units anywhere.
///
/// # Errors
/// See [`run_with`].
pub fn run(study: &Study, command: &str) -> Result<Vec<Outcome>, Error> {
    run_with(study, &mut Store::none(), &Budget::default(), command)
}

/// Runs what is not known of a study, or of a shard of it, and locates the knees of curves. A shard's
/// outcomes hold its own units only, or none where they decide nothing.
///
/// # Errors
/// When it was interrupted, a unit hit a bug (the message holds the command that repeats it), units are
/// missing, or they cannot be kept.
pub fn run_with(
    study: &Study,
    store: &mut Store,
    budget: &Budget,
    command: &str,
) -> Result<Vec<Outcome>, Error> {
    let (mut outcomes, mut next) = planned(study);
    let mut tasks = first(study, &outcomes);
    let deal = Deal::new(study, &tasks, store.shard().n);
    let keeps = store.keeps || shard::is_adaptive(&study.plan);
    while !tasks.is_empty() {
        tasks.retain(|(p, _, key)| deal.shard(*p, *key) == store.shard());
        run_units(
            study,
            tasks,
            (&mut outcomes, keeps),
            (store, budget, command),
        )?;
        tasks = further(study, &mut outcomes, &mut next);
    }
    if store.shard().is_whole() {
        copy_twins(study, &mut outcomes);
    }
    Ok(outcomes)
}

/// The cells of all parts as planned, without their units, and the index of the next one.
pub(crate) fn planned(study: &Study) -> (Vec<Outcome>, usize) {
    let mut next = 0;
    let mut outcomes = Vec::new();
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
    (outcomes, next)
}

/// The units of the cells as planned; twins are run once.
fn first(study: &Study, outcomes: &[Outcome]) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    for (p, part) in study.parts.iter().enumerate() {
        for (place, cell) in outcomes[p].cells.iter().enumerate() {
            if twin(study, p, cell.engine).is_none() {
                tasks.extend(units(part, cell).map(|key| (p, place, key)));
            }
        }
    }
    tasks
}

/// All units that a study has as planned, before results decide on more.
pub(crate) fn first_units(study: &Study) -> Vec<Task> {
    first(study, &planned(study).0)
}

/// The units of a further round; their cells are added where they are new.
fn further(study: &Study, outcomes: &mut [Outcome], next: &mut usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    if !shard::is_adaptive(&study.plan) {
        return tasks;
    }
    for (p, part) in study.parts.iter().enumerate() {
        let outcome = &mut outcomes[p];
        for more in to_try(part, outcome) {
            if twin(study, p, more.engine).is_some() {
                continue;
            }
            let (engine, offered_tps, tweak) = (more.engine, more.offered_tps, more.tweak);
            let same =
                |c: &Cell| (c.engine, c.offered_tps, c.tweak) == (engine, offered_tps, tweak);
            let place = outcome.cells.iter().position(same).unwrap_or_else(|| {
                outcome
                    .cells
                    .push(Cell::new(*next, engine, offered_tps, tweak));
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
/// simulated once.
fn twin(study: &Study, p: usize, engine: usize) -> Option<usize> {
    if matches!(study.plan.kind, Kind::Curve | Kind::Capacity) || study.plan.tune {
        // Each part tries cells of its own.
        return None;
    }
    let part = &study.parts[p];
    let mine = &part.plan.engines[engine];
    study.parts[..p].iter().position(|other| {
        let theirs = &other.plan.engines[engine];
        other.world == part.world
            && theirs.name == mine.name
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

/// How many replications a cell has; none where nothing is ever final.
fn replications(part: &Part, engine: usize, tweak: Tweak) -> u32 {
    let plan = &part.plan;
    match (&part.sheets[engine].finality, tweak) {
        (Err(_), _) => 0,
        (_, Tweak::Bad(day)) => resilience::replications(plan, day),
        _ if Tweak::LIMITS.contains(&tweak) => plan.replications.min(PAIRS),
        _ => plan.replications,
    }
}

/// The units of a cell.
pub(crate) fn units<'a>(part: &Part, cell: &'a Cell) -> impl Iterator<Item = Key> + use<'a> {
    (0..replications(part, cell.engine, cell.tweak)).map(|replication| cell.key(replication))
}

/// Takes what is known of a round, and runs the rest.
fn run_units(
    study: &Study,
    tasks: Vec<Task>,
    (outcomes, keeps): (&mut [Outcome], bool),
    (store, budget, command): (&mut Store, &Budget, &str),
) -> Result<(), Error> {
    let mut open: Vec<Task> = Vec::new();
    for (p, place, key) in tasks {
        let id = Id::new(p, key);
        if !store.knows(id) {
            open.push((p, place, key));
            continue;
        }
        store.resumed += 1;
        store.finished += 1;
        if keeps {
            outcomes[p].cells[place].units.extend(store.take(id)?);
        }
    }
    if store.only_known {
        store.missing.extend(open);
    } else {
        // Longest first, so that no core waits long for the last unit.
        let cost = |(p, _, key): &Task| predict::work(&study.parts[*p], *key);
        let mut order: Vec<(f64, Task)> = open.iter().map(|task| (cost(task), *task)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        open = order.into_iter().map(|(_, task)| task).collect();
        let mut round = Round {
            bar: Progress::new(Some(open.len() as u64), "units"),
            tasks: &open,
            is_done: vec![false; open.len()],
            outcomes: &mut *outcomes,
            keeps,
            store: &mut *store,
        };
        let wants = (command, round.store.is_durable());
        let ran = workers::run(study, &open, budget, wants, &mut round);
        round.bar.finish();
        let done = std::mem::take(&mut round.is_done);
        store.sync()?;
        let missing = open.iter().zip(done).filter(|(_, done)| !done);
        store.missing.extend(missing.map(|(task, _)| *task));
        ran.map_err(|error| store.explained(error))?;
    }
    for outcome in outcomes {
        for cell in &mut outcome.cells {
            cell.units.sort_by_key(|u| u.key.replication);
        }
    }
    if store.missing.is_empty() {
        Ok(())
    } else {
        Err(store.incomplete(study))
    }
}

/// Units that are being run.
struct Round<'a> {
    bar: Progress,
    tasks: &'a [Task],
    is_done: Vec<bool>,
    outcomes: &'a mut [Outcome],
    keeps: bool,
    store: &'a mut Store,
}

impl Sink for Round<'_> {
    fn add(&mut self, task: usize, done: Done, bytes: &[u8]) -> Result<(), Error> {
        self.store.add(bytes)?;
        self.bar.inc(1);
        self.is_done[task] = true;
        if self.keeps {
            let (p, place, _) = self.tasks[task];
            self.outcomes[p].cells[place].units.push(done);
        }
        self.store.tick()
    }

    fn tick(&mut self) -> Result<(), Error> {
        self.store.tick()
    }

    fn abandon(&mut self, error: Error) -> ! {
        self.bar.finish();
        let error = match self.store.sync() {
            Ok(()) => self.store.explained(error),
            Err(worse) => worse,
        };
        let _ = writeln!(std::io::stderr(), "{error}");
        // Threads cannot be stopped, and what they do is not waited for.
        std::process::exit(i32::from(error.code))
    }
}

/// What a unit is called in messages.
pub(crate) fn name(part: &Part, key: Key) -> String {
    let factors = match sweep::label(part) {
        none if none.is_empty() => none,
        some => format!(" with {some}"),
    };
    format!(
        "replication {} of {} ({}, {}) at {:?} writes/s ({}){factors}",
        key.replication,
        part.plan.engines[key.engine].label(),
        part.label,
        part.profile.name(),
        key.offered_tps.unwrap_or(0.0),
        key.tweak.name()
    )
}

pub(crate) fn guarded(part: &Part, key: Key, command: &str) -> Result<Done, Error> {
    traced(part, key, command, None)
}

/// The same, and somebody is told what happens on the way.
pub(crate) fn traced(
    part: &Part,
    key: Key,
    command: &str,
    trace: Option<Trace>,
) -> Result<Done, Error> {
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
    let run = || unit::run_traced(plan, workload, sheet, key, trace);
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Error {
        message: format!("a bug: {} panicked, see above", name(part, key)),
        hint: format!("please report it with this command: {command}"),
        code: exit::BUG,
    })
}
