//! What a run must keep, and what it broke.

use crate::error::{Error, exit};
use crate::plan::Plan;
use crate::run::STOP;
use crate::study::{Part, Study};
use crate::unit::{self, EngineSheet, Key, Tweak};
use quorate_core::Guarantee;
use quorate_kernel::{Report, Status};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// What a run must keep, as long as its plan does what the promise is given for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// Safety; and once all faults are over, everything that was submitted becomes final.
    Live,
    /// Safety: whoever lies for the whole run may keep the others from going on.
    Safe,
    /// Nothing becomes final: more members are down than the protocol bears.
    Still,
    /// That it ends: more members lie than the protocol bears, and what they undo is counted.
    Counted,
}

/// A promise that was not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Breach {
    /// The simulator's own: it panicked, or transactions were lost.
    Bug,
    /// What was final was contradicted or taken back.
    Safety,
    /// Something became final although too many were down.
    Stillness,
    /// Messages came in time and nobody lied, yet final blocks were left, or nodes end on
    /// different chains.
    Agreement,
    /// Not everything became final.
    Liveness,
}

impl Breach {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Bug => exit::BUG,
            Self::Safety | Self::Stillness | Self::Agreement => exit::SAFETY,
            Self::Liveness => exit::LIVENESS,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Bug => "a bug",
            Self::Safety | Self::Stillness => "safety",
            Self::Agreement => "agreement",
            Self::Liveness => "liveness",
        }
    }
}

/// What was broken, with the evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which promise.
    pub breach: Breach,
    /// What was seen.
    pub why: String,
}

impl Broken {
    fn new(breach: Breach, why: impl Into<String>) -> Self {
        Self {
            breach,
            why: why.into(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.breach.name(), self.why)
    }
}

/// What a run of a plan with a promise broke.
pub fn judge(plan: &Plan, sheet: &EngineSheet, report: &Report) -> Option<Broken> {
    let promise = plan.promise?;
    if let Some(evidence) = &report.violation {
        return Some(Broken::new(Breach::Safety, evidence));
    }
    let parts = report.conservation;
    let sum = parts.valid + parts.rejected + parts.expired + parts.dropped + parts.pending;
    if sum != parts.submitted {
        let why = format!("transactions are lost: {parts:?}");
        return Some(Broken::new(Breach::Bug, why));
    }
    // Who checks what it finalises calls no block final that does not execute.
    let invalid = report.lies.as_ref().map_or(0, |l| l.invalid_final);
    if promise != Promise::Counted && invalid > 0 {
        let why = format!("{invalid} blocks that do not execute became final");
        return Some(Broken::new(Breach::Safety, why));
    }
    match promise {
        Promise::Counted => None,
        Promise::Still => stillness(report),
        Promise::Safe => agreement(plan, sheet, report),
        // Who is alone with another chain waits in vain for what the others call final.
        Promise::Live if report.chain.apart > 0 && may_stay_apart(plan, sheet) => {
            agreement(plan, sheet, report)
        }
        Promise::Live => agreement(plan, sheet, report).or_else(|| liveness(report)),
    }
}

fn stillness(report: &Report) -> Option<Broken> {
    let blocks = report.chain.final_height;
    let why = format!("{blocks} blocks became final beyond the bound");
    (blocks > 0).then(|| Broken::new(Breach::Stillness, why))
}

/// Where finality is a matter of depth or of time, it may be lost when the network is cut, and only then.
/// Chains that stay apart for good are wrong, unless the protocol's finality rests on messages in time and
/// they were not: a node of `aura` never leaves what it called final alone.
fn agreement(plan: &Plan, sheet: &EngineSheet, report: &Report) -> Option<Broken> {
    let chain = &report.chain;
    let lost = chain.reversed_blocks + chain.conflicting_finals;
    // Against an adversary without a share the first confirmation is final, and forks are usual.
    let deep = sheet.facts.guarantee != Guarantee::Risk || sheet.adversary.share > 0.0;
    let why = if chain.apart > 0 && deep && !may_stay_apart(plan, sheet) {
        format!("{} nodes end with final blocks of their own", chain.apart)
    } else if lost > 0 && deep && is_timely(plan) {
        format!(
            "{} final blocks were left and {} contradicted, while all messages came in time",
            chain.reversed_blocks, chain.conflicting_finals
        )
    } else {
        return None;
    };
    Some(Broken::new(Breach::Agreement, why))
}

fn may_stay_apart(plan: &Plan, sheet: &EngineSheet) -> bool {
    sheet.facts.guarantee == Guarantee::Synchrony && !is_timely(plan)
}

/// Whether nothing delays messages but the network itself, and nobody lies: nodes may be down, links are
/// whole.
fn is_timely(plan: &Plan) -> bool {
    plan.corrupt.is_empty() && plan.faults.iter().all(|fault| !fault.crash.is_empty())
}

fn liveness(report: &Report) -> Option<Broken> {
    let classes = &report.probe.classes;
    let submitted: u64 = classes.iter().map(|c| c.submitted).sum();
    let settled: u64 = classes.iter().map(unit::settled).sum();
    let why = format!(
        "{} of {submitted} writes never became final ({:?}, {} blocks did)",
        submitted - settled,
        report.status,
        report.chain.final_height
    );
    let broken = settled < submitted || report.status != Status::Ok;
    broken.then(|| Broken::new(Breach::Liveness, why))
}

/// Runs one unit of a plan of kind `check`; the report is `None` if it panicked.
pub(crate) fn run_unit(part: &Part, key: Key) -> (Option<Report>, Option<Broken>) {
    let sheet = &part.sheets[key.engine];
    if let Err(never) = &sheet.finality {
        let why = format!("nothing is ever final: {never}");
        return (None, Some(Broken::new(Breach::Liveness, why)));
    }
    let run = || unit::run(&part.plan, &part.workload, sheet, key);
    let Ok(done) = catch_unwind(AssertUnwindSafe(run)) else {
        let broken = Broken::new(Breach::Bug, "it panicked, see above");
        return (None, Some(broken));
    };
    let broken = judge(&part.plan, sheet, &done.report);
    (Some(done.report), broken)
}

/// Runs all units of a study of kind `check`: a line for each, and the exit code of the worst.
///
/// # Errors
/// When it was interrupted.
pub fn check(study: &Study) -> Result<(String, u8), Error> {
    let mut tasks: Vec<(&Part, Key)> = Vec::new();
    for part in &study.parts {
        for engine in 0..part.plan.engines.len() {
            for &tps in &part.plan.load.offered_tps {
                tasks.extend((0..part.plan.replications).map(|replication| {
                    let key = Key {
                        engine,
                        offered_tps: Some(tps),
                        replication,
                        tweak: Tweak::None,
                    };
                    (part, key)
                }));
            }
        }
    }
    let run = |&(part, key): &(&Part, Key)| {
        if STOP.load(Ordering::Relaxed) {
            return Err(Error::interrupted());
        }
        Ok(run_unit(part, key))
    };
    let done: Vec<Result<_, Error>> = tasks.par_iter().with_max_len(1).map(run).collect();
    let mut text = String::new();
    let mut worst: Option<Breach> = None;
    for ((part, key), done) in tasks.iter().zip(done) {
        let (report, broken) = done?;
        let digest =
            report.map_or_else(|| "no digest".to_owned(), |r| format!("{:016x}", r.digest));
        let what = broken
            .as_ref()
            .map_or_else(|| "kept".to_owned(), ToString::to_string);
        let _ = writeln!(
            text,
            "{} at {:.4} writes/s, replication {} ({digest}): {what}",
            part.plan.engines[key.engine].label(),
            key.offered_tps.unwrap_or_default(),
            key.replication,
        );
        // A bug goes before a broken promise, and that before a standstill.
        let breach = broken.map(|b| b.breach);
        worst = worst.into_iter().chain(breach).min();
    }
    Ok((text, worst.map_or(exit::OK, Breach::code)))
}
