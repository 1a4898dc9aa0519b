//! What became of an engine on a bad day: the worst of its replications.

use super::{Case, Day};
use crate::run::{Cell, Outcome};
use crate::study::Part;
use crate::summary;
use crate::unit::{Done, Tweak, UnitStatus, settled};
use crate::verdict::Answer;
use quorate_core::{NodeId, Span};
use quorate_kernel::Incident;

/// An engine on a bad day.
pub struct Row {
    /// Index into the plan's engines.
    pub engine: usize,
    /// Which, and who is hit.
    pub case: Case,
    /// Whether it keeps what was final, goes on meanwhile, and is well after.
    pub answer: Answer,
    /// The worst that can be said of it.
    pub fate: Fate,
    /// The figures.
    pub figures: Figures,
}

/// The worst that can be said of an engine on a bad day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It broke what it promises, within its own bound.
    Broken,
    /// Blocks were called final where others were; how many.
    Forks(u64),
    /// Transactions that had been final were lost; how many, and on how many records.
    Reverses(u64, u64),
    /// Blocks that had been final were left for others with the same transactions; how many, each node
    /// by itself.
    Rewrites(u64),
    /// Blocks that do not execute were called final; how many.
    Accepts(u64),
    /// It does not carry this load on a good day.
    Overloaded,
    /// Nothing was final meanwhile, or after.
    Dies,
    /// Nothing to speak of was final meanwhile; so long after, ms, something was again.
    Halts(f64),
    /// It goes on, for this share of the writes.
    GoesOn(f64),
}

/// Figures of a bad day, each the worst of the replications. What has no end has no recovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Replications.
    pub replications: usize,
    /// Whether it had an end, and nobody lied.
    pub ends: bool,
    /// Writes that became final meanwhile, over those submitted meanwhile; with liars, also after.
    pub pace: Option<f64>,
    /// From the end until a new block is final anywhere, ms; `None` where in some replication none is.
    pub first_final_ms: Option<f64>,
    /// The same until those who were hit have a new final block.
    pub hit_final_ms: Option<f64>,
    /// From the end until no more writes are pending than before, ms.
    pub back_ms: Option<f64>,
    /// Most writes pending.
    pub backlog_peak: Option<u64>,
    /// Writes submitted before the end and final only after it.
    pub delayed: Option<u64>,
    /// Writes that were dropped or expired, or could not be submitted.
    pub lost: Option<u64>,
    /// Longest time for which a watched write was unknown at some live site, ms.
    pub exposure_ms: Option<f64>,
    /// Watched writes that some live site never came to know.
    pub exposure_open: u64,
    /// Reads until it was well again, or of the whole run.
    pub reads: u64,
    /// Stale ones.
    pub stale: u64,
    /// Blocks that a node had called final and left.
    pub reversed_blocks: u64,
    /// Different transactions that a node had called final and then lost.
    pub reversed_txs: u64,
    /// Different records that they are about, in that replication.
    pub reversed_records: u64,
    /// Different patients, likewise, as far as the ledger knows whose a record is.
    pub reversed_patients: u64,
    /// Those transactions by class, likewise.
    pub reversed_classes: Vec<u64>,
    /// Blocks that a node called final where another was.
    pub conflicting_finals: u64,
    /// Blocks that do not execute and that an honest node called final.
    pub invalid_final: u64,
    /// Proofs that somebody lied.
    pub evidence: u64,
}

/// A smaller share of the writes is what was on its way when the day turned bad.
// assumption: as for the knee, a hundredth is noise.
const HALTED: f64 = 0.01;

/// Judges the bad days of a part that were simulated.
pub fn judge(part: &Part, outcome: &Outcome) -> Vec<Row> {
    let simulated = outcome.cells.iter().filter(|c| !c.units.is_empty());
    let rows = simulated.filter_map(|cell| match cell.tweak {
        Tweak::Bad(day) => Some(row(part, outcome, cell, day)),
        _ => None,
    });
    rows.collect()
}

fn row(part: &Part, outcome: &Outcome, cell: &Cell, day: Day) -> Row {
    let mut case = Case::new(&part.plan, cell.engine, day);
    if day == Day::SiteDown {
        let struck = cell.units.iter().filter_map(|u| incident(u, &case));
        let mut struck: Vec<NodeId> = struck.flat_map(|i| i.struck.clone()).collect();
        struck.sort_unstable();
        struck.dedup();
        case.hit = struck;
    }
    let good = outcome.cell(cell.engine, cell.offered_tps, Tweak::None);
    let figures = figures(part, cell, &case);
    let fate = fate(cell, good, &figures);
    let answer = match fate {
        Fate::GoesOn(_) => Answer::Holds,
        Fate::Overloaded => Answer::Undecided,
        _ => Answer::Fails,
    };
    Row {
        engine: cell.engine,
        case,
        answer,
        fate,
        figures,
    }
}

fn fate(cell: &Cell, good: Option<&Cell>, figures: &Figures) -> Fate {
    let carried = |c: &Cell| matches!(summary::status(c), UnitStatus::Ok | UnitStatus::NotSteady);
    if summary::status(cell) == UnitStatus::SafetyViolation {
        return Fate::Broken;
    }
    if figures.reversed_txs > 0 {
        return Fate::Reverses(figures.reversed_txs, figures.reversed_records);
    }
    if figures.reversed_blocks > 0 {
        return Fate::Rewrites(figures.reversed_blocks);
    }
    if figures.conflicting_finals > 0 {
        return Fate::Forks(figures.conflicting_finals);
    }
    if figures.invalid_final > 0 {
        return Fate::Accepts(figures.invalid_final);
    }
    let Some(pace) = figures.pace.filter(|_| good.is_some_and(carried)) else {
        return Fate::Overloaded;
    };
    match figures.first_final_ms {
        Some(ms) if pace < HALTED => Fate::Halts(ms),
        None if pace < HALTED || figures.ends => Fate::Dies,
        _ => Fate::GoesOn(pace),
    }
}

/// The incident that a bad day is; a longer one where the plan's own faults touch it.
fn incident<'a>(unit: &'a Done, case: &Case) -> Option<&'a Incident> {
    let [from, until] = case.window.ends();
    let has = |i: &&Incident| i.from <= from && until <= i.until;
    unit.report.incidents.iter().find(has)
}

fn figures(part: &Part, cell: &Cell, case: &Case) -> Figures {
    let units = || cell.units.iter();
    let most = |of: &dyn Fn(&Done) -> u64| units().map(of).max().unwrap_or(0);
    let incidents: Vec<&Incident> = units().filter_map(|u| incident(u, case)).collect();
    let peak = |of: &dyn Fn(&Incident) -> u64| incidents.iter().map(|i| of(i)).max();
    // One replication in which it never happens outweighs all others.
    let longest = |of: &dyn Fn(&Incident) -> Option<Span>| {
        let all: Option<Vec<Span>> = incidents.iter().map(|i| of(i)).collect();
        all.and_then(|all| all.into_iter().max()).map(Span::as_ms)
    };
    let exposure = |u: &Done| {
        let view = summary::read_level(&part.plan) as usize;
        let all = u.report.probe.exposure.iter();
        all.map(|e| e.longest[view].max()).max().unwrap_or(0)
    };
    let worst = units().max_by_key(|u| u.report.reversed.txs);
    let classes = |u: &Done| u.report.reversed_classes.iter().map(|r| r.txs).collect();
    let ends = !incidents.is_empty();
    Figures {
        replications: cell.units.len(),
        ends,
        pace: pace(cell, case),
        first_final_ms: longest(&|i| i.first_final),
        hit_final_ms: longest(&|i| i.first_final_struck),
        back_ms: longest(&|i| i.back),
        backlog_peak: peak(&|i| i.backlog_peak),
        delayed: peak(&|i| i.delayed),
        lost: peak(&|i| i.dropped + i.expired + i.refused),
        exposure_ms: if ends {
            incidents
                .iter()
                .filter_map(|i| i.worst_exposure)
                .max()
                .map(Span::as_ms)
        } else {
            Some(most(&exposure) as f64 / 1e3)
        },
        exposure_open: most(&|u| match incident(u, case) {
            Some(i) => i.exposure_open,
            None => u.report.probe.exposure.iter().map(|e| e.open).sum(),
        }),
        reads: most(&|u| incident(u, case).map_or(u.report.reads.served, |i| i.reads)),
        stale: most(&|u| {
            let all = || u.report.reads.stale.iter().sum();
            incident(u, case).map_or_else(all, |i| i.stale)
        }),
        reversed_blocks: most(&|u| u.report.chain.reversed_blocks),
        reversed_txs: worst.map_or(0, |u| u.report.reversed.txs),
        reversed_records: worst.map_or(0, |u| u.report.reversed.records),
        reversed_patients: worst.map_or(0, |u| u.report.reversed.people),
        reversed_classes: worst.map_or_else(Vec::new, classes),
        conflicting_finals: most(&|u| u.report.chain.conflicting_finals),
        invalid_final: most(&|u| u.report.lies.as_ref().map_or(0, |l| l.invalid_final)),
        evidence: most(&|u| u.report.chain.evidence),
    }
}

/// See [`Figures::pace`].
fn pace(cell: &Cell, case: &Case) -> Option<f64> {
    let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
    let of = |u: &Done| match incident(u, case) {
        Some(i) if i.finals == 0 => Some(0.0),
        Some(i) => {
            let gone = i.delayed + i.dropped + i.expired;
            let done = (i.backlog_before + i.submitted).saturating_sub(gone);
            share(done, i.submitted)
        }
        None => {
            let classes = &u.report.probe.classes;
            let all = classes.iter().map(|c| c.submitted).sum();
            share(classes.iter().map(settled).sum(), all)
        }
    };
    let paces = cell.units.iter().filter_map(of);
    paces.min_by(f64::total_cmp)
}
