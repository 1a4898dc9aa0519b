//! Bad days in words, for the screen and the page.

use super::fate::{Fate, Figures, Row};
use super::{Day, Harm};
use crate::plan::Plan;
use crate::risk::wait_name;
use crate::study::Part;
use crate::words::{duration, percent};
use quorate_core::NodeId;

/// What the rows have in common.
pub(crate) fn title(part: &Part, rows: &[Row]) -> String {
    let plan = &part.plan;
    let load = plan.load.decide_at_tps.unwrap_or(0.0);
    let replications = rows.iter().map(|r| r.figures.replications).max();
    let worst = match replications {
        Some(n) if n > 1 => format!("the worst of {n} replications"),
        _ => "one replication".to_owned(),
    };
    format!(
        "bad days at {load} writes/s, {} each ({worst})",
        lasts(plan)
    )
}

fn lasts(plan: &Plan) -> String {
    let for_s = plan.resilience.for_s;
    let whole = for_s as u64;
    if whole > 0 && (for_s - whole as f64).abs() < 1e-9 {
        wait_name(whole)
    } else {
        duration(1e3 * for_s)
    }
}

/// Engines by bad days, under a line of names. Engines bear different numbers of liars.
pub(crate) fn matrix(plan: &Plan, rows: &[Row]) -> Vec<Vec<String>> {
    let mut days: Vec<Day> = rows.iter().map(|r| r.case.day).collect();
    days.sort_unstable();
    days.dedup();
    let head = std::iter::once("engine".to_owned());
    let head = head.chain(days.iter().map(|d| d.name().to_owned()));
    let mut lines = vec![head.collect()];
    for (e, engine) in plan.engines.iter().enumerate() {
        let of = |day: &Day| rows.iter().find(|r| r.engine == e && r.case.day == *day);
        if !days.iter().any(|d| of(d).is_some()) {
            continue;
        }
        let cell = |day| of(day).map_or_else(|| "-".to_owned(), counted);
        let label = std::iter::once(engine.label().to_owned());
        lines.push(label.chain(days.iter().map(cell)).collect());
    }
    lines
}

/// What became of an engine, and of how many liars.
fn counted(row: &Row) -> String {
    match row.case.day {
        Day::SiteDown | Day::Partition => fate(row),
        Day::Liars | Day::OneMore => format!("{}: {}", row.case.hit.len(), fate(row)),
    }
}

/// What became of an engine.
pub(crate) fn fate(row: &Row) -> String {
    match row.fate {
        Fate::Broken => "breaks its promise".to_owned(),
        Fate::Reverses(txs, records) => format!(
            "reverses {} on {}",
            many(txs, "final write"),
            many(records, "record")
        ),
        Fate::Rewrites(blocks) => format!("rewrites {}", many(blocks, "final block")),
        Fate::Forks(blocks) => format!("forks: {}", many(blocks, "conflicting final")),
        Fate::Accepts(blocks) => format!("takes {}", many(blocks, "invalid block")),
        Fate::Overloaded => "does not carry this on a good day".to_owned(),
        Fate::Dies => "halts for good".to_owned(),
        Fate::Halts(ms) => format!("halts, recovers in {}", duration(ms)),
        Fate::GoesOn(pace) if pace < FULL => format!("goes on for {} of writes", percent(pace)),
        Fate::GoesOn(_) => "goes on".to_owned(),
    }
}

/// A larger share is not told from all.
// assumption: as the smallest change that a verdict names, `VISIBLE`.
const FULL: f64 = 0.98;

fn many(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

/// Who is hit, and how.
pub(crate) fn hit(part: &Part, row: &Row) -> String {
    let (plan, case) = (&part.plan, &row.case);
    let region = |node: &NodeId| {
        let of = plan.network.region_of();
        plan.network.regions[usize::from(of[node.index()])].as_str()
    };
    let numbers: Vec<String> = case.hit.iter().map(|n| n.index().to_string()).collect();
    let numbers = match numbers.as_slice() {
        [one] => format!("site {one}"),
        [most @ .., last] => format!("sites {} and {last}", most.join(", ")),
        [] => "no site".to_owned(),
    };
    let of = case.hit.first().map_or("nowhere", region);
    let s = if case.hit.len() == 1 { "s" } else { "" };
    match &case.harm {
        Harm::Down if case.hit.len() == 1 => format!("{numbers} ({of}), which leads, is down"),
        Harm::Down => format!("whoever leads is down, one of {numbers}"),
        Harm::Cut if case.hit.iter().all(|n| region(n) == of) => {
            format!("{of} ({numbers}) is cut off")
        }
        Harm::Cut => format!("{numbers} are cut off"),
        Harm::Branch(_) => format!("{numbers} extend{s} a private branch"),
        Harm::Invalid => format!("{numbers} make{s} blocks that do not execute"),
        Harm::Twice { cut: false, .. } => {
            format!("{numbers} run{s} twice, for two halves of the others")
        }
        Harm::Twice { cut: true, .. } => {
            let for_s = case.window.until_s - case.window.from_s;
            let parted = duration(1e3 * for_s);
            format!(
                "{numbers} run{s} twice, for two halves of the others that are parted for {parted}"
            )
        }
    }
}

/// A sentence about an engine's bad day, with the figures.
pub(crate) fn sentence(part: &Part, row: &Row) -> String {
    let label = part.plan.engines[row.engine].label();
    let mut text = format!("{label}, {}: {}", hit(part, row), fate(row));
    let figures = &row.figures;
    let clauses = [
        recovery(figures),
        waiting(figures),
        readers(figures),
        reversed(part, figures),
    ];
    for clause in clauses.into_iter().flatten() {
        text.push_str("; ");
        text.push_str(&clause);
    }
    text
}

/// How soon it is well again.
fn recovery(figures: &Figures) -> Option<String> {
    let after = |what: &str, ms: Option<f64>| match ms {
        Some(ms) => format!("{what} after {}", duration(ms)),
        None => format!("{what} not within the run"),
    };
    figures.ends.then(|| {
        format!(
            "healed, final again {}, {}; {}",
            after("somewhere", figures.first_final_ms),
            after("there", figures.hit_final_ms),
            after("backlog gone", figures.back_ms)
        )
    })
}

/// What became of writes.
fn waiting(figures: &Figures) -> Option<String> {
    let (peak, delayed, lost) = (figures.backlog_peak?, figures.delayed?, figures.lost?);
    let delayed = many(delayed, "write");
    Some(format!(
        "{delayed} delayed beyond it, {lost} lost, {peak} pending at most"
    ))
}

/// What readers were told meanwhile.
fn readers(figures: &Figures) -> Option<String> {
    let exposure = figures.exposure_ms.filter(|&ms| ms > 0.0).map(|ms| {
        let open = match figures.exposure_open {
            0 => String::new(),
            n => format!(" ({n} until the end of the run)"),
        };
        let longest = duration(ms);
        format!("a watched write unknown at some site for up to {longest}{open}")
    });
    let Figures { stale, reads, .. } = *figures;
    let stale = (reads > 0).then(|| format!("{stale} of {} stale", many(reads, "read")));
    let both: Vec<String> = exposure.into_iter().chain(stale).collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// What had been final and was lost.
fn reversed(part: &Part, figures: &Figures) -> Option<String> {
    let Figures {
        reversed_txs: txs,
        reversed_records: records,
        reversed_patients: patients,
        conflicting_finals,
        ..
    } = *figures;
    let classes = by_class(part, figures);
    let lost = (txs > 0).then(|| {
        let known = match patients {
            0 => String::new(),
            n => format!(" ({} known by a consent)", many(n, "patient")),
        };
        let (txs, records) = (many(txs, "write"), many(records, "record"));
        format!("{txs} that had been final are gone, on {records}{known}: {classes}")
    });
    let forks = (conflicting_finals > 0).then(|| many(conflicting_finals, "conflicting final"));
    let both: Vec<String> = lost.into_iter().chain(forks).collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// Reversed transactions by class.
pub(crate) fn by_class(part: &Part, figures: &Figures) -> String {
    let names = part.workload.classes();
    let all = names.iter().zip(&figures.reversed_classes);
    let some = all.filter(|(_, n)| **n > 0);
    let list: Vec<String> = some.map(|(name, n)| format!("{n} {name}")).collect();
    list.join(", ")
}
