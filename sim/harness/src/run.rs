//! Runs the units of a plan over all cores, longest first, and collects them in plan order.

use crate::error::Error;
use crate::plan::{Kind, Plan};
use crate::unit::{self, Done, EngineSheet, Key, Tweak};
use crate::workload::Workload;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// One combination of levels with its replications.
pub struct Cell {
    /// Place in the plan.
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

/// Everything that was simulated for a plan.
pub struct Outcome {
    /// What each engine is.
    pub sheets: Vec<EngineSheet>,
    /// The plan's cells, then the counterfactual ones of a comparison.
    pub cells: Vec<Cell>,
}

impl Outcome {
    /// The cell of an engine at a load under a counterfactual.
    pub fn cell(&self, engine: usize, offered_tps: Option<f64>, tweak: Tweak) -> Option<&Cell> {
        let same =
            |c: &&Cell| c.engine == engine && c.offered_tps == offered_tps && c.tweak == tweak;
        self.cells.iter().find(same)
    }
}

/// Set by the first Ctrl-C: units that have not started yet are not started.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Lists the cells of a plan.
pub fn cells(plan: &Plan) -> Vec<Cell> {
    let engines = 0..plan.engines.len();
    let loads: Vec<Option<f64>> = match plan.kind {
        Kind::Replay => vec![None],
        Kind::Compare | Kind::Curve => plan.load.offered_tps.iter().copied().map(Some).collect(),
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
    let cell = |(index, (engine, offered_tps, tweak))| Cell {
        index,
        engine,
        offered_tps,
        tweak,
        units: Vec::new(),
    };
    list.into_iter().enumerate().map(cell).collect()
}

/// Runs a plan.
///
/// # Errors
/// When it was interrupted, or a unit hit a bug; the message holds the command that repeats it.
pub fn run(
    plan: &Plan,
    workload: &Workload,
    sheets: Vec<EngineSheet>,
    command: &str,
) -> Result<Outcome, Error> {
    let mut cells = cells(plan);
    let mut keys: Vec<(usize, Key)> = Vec::new();
    for cell in cells.iter().filter(|c| sheets[c.engine].finality.is_ok()) {
        keys.extend((0..plan.replications).map(|replication| {
            let Cell {
                engine,
                offered_tps,
                tweak,
                ..
            } = *cell;
            (
                cell.index,
                Key {
                    engine,
                    offered_tps,
                    replication,
                    tweak,
                },
            )
        }));
    }
    // Longest first, so that no core waits long for the last unit.
    keys.sort_by(|a, b| {
        workload
            .cost(plan, b.1)
            .total_cmp(&workload.cost(plan, a.1))
    });
    let bar = progress(keys.len() as u64);
    let results: Vec<(usize, Result<Done, Error>)> = keys
        .into_par_iter()
        .with_max_len(1)
        .map(|(cell, key)| {
            let done = guarded(plan, workload, &sheets[key.engine], key, command);
            bar.inc(1);
            (cell, done)
        })
        .collect();
    bar.finish_and_clear();
    for (cell, done) in results {
        cells[cell].units.push(done?);
    }
    for cell in &mut cells {
        cell.units.sort_by_key(|u| u.key.replication);
    }
    Ok(Outcome { sheets, cells })
}

fn guarded(
    plan: &Plan,
    workload: &Workload,
    sheet: &EngineSheet,
    key: Key,
    command: &str,
) -> Result<Done, Error> {
    if STOP.load(Ordering::Relaxed) {
        return Err(Error::interrupted());
    }
    catch_unwind(AssertUnwindSafe(|| unit::run(plan, workload, sheet, key))).map_err(|_| Error {
        message: format!(
            "a bug: replication {} of {} at {:?} writes/s ({}) panicked, see above",
            key.replication,
            plan.engines[key.engine].label(),
            key.offered_tps.unwrap_or(0.0),
            key.tweak.name()
        ),
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
