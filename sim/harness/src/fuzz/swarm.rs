//! Many seeds at once: which broke a promise, how each is repeated, and a smaller plan that breaks it too.

#![expect(
    clippy::disallowed_types,
    reason = "a budget of real time; it decides how many seeds are run, not what comes of them"
)]

use super::judge::{Breach, Broken, run_unit};
use super::shrink::{self, shrink};
use super::{Draw, Faults, draw, drawn_engine};
use crate::engines;
use crate::error::{Error, exit};
use crate::plan::{Plan, Source};
use crate::progress::Progress;
use crate::run::STOP;
use crate::study::Study;
use crate::unit::{Key, Tweak};
use crate::{output, self_check};
use quorate_core::Seed;
use quorate_kernel::Report;
use rayon::prelude::*;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How a seed ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Which.
    pub seed: u64,
    /// The engine.
    pub engine: &'static str,
    /// What its faults were.
    pub faults: Faults,
    /// What was broken.
    pub broken: Option<Broken>,
    /// Blocks that became final.
    pub blocks: u64,
    /// Views given up.
    pub round_changes: u64,
    /// Blocks that a node had called final and then left, or that contradict another node's.
    pub reversed: u64,
    /// Nodes that end alone with a chain of their own.
    pub apart: u64,
    /// Proofs that a node lied.
    pub evidence: u64,
    /// The trace digest; 0 if it panicked.
    pub digest: u64,
}

/// What the swarm is to do.
pub struct Wanted<'a> {
    /// The seeds; how many of them are run is also up to `budget`.
    pub seeds: Range<u64>,
    /// Only this engine.
    pub only: Option<&'a str>,
    /// No seeds are begun after this time.
    pub budget: Option<Duration>,
    /// The folder that shrunk plans go to.
    pub out: &'a Path,
    /// So many of a thousand seeds are run again.
    pub self_check: Option<u32>,
    /// Only seeds that draw one of these engines, until one breaks a promise.
    pub hunt: Option<&'a [&'a str]>,
    /// Options that the commands that repeat a seed need, each with a space before it.
    pub options: &'a str,
}

/// Seeds between two looks at the clock.
// assumption: a few seconds of work.
const CHUNK: u64 = 64;
/// The same where nobody waits for the clock: at each end of a chunk all cores but one are idle.
const LONG_CHUNK: u64 = 1_024;

/// Shrunk plans of one swarm.
// assumption: whoever has so many different findings fixes some first.
const MOST_SHRUNK: usize = 10;

fn study(plan: Plan) -> Result<Study, Error> {
    Study::open(&Source::new(plan.name.clone(), String::new()), plan)
}

/// The one unit of a drawn plan.
fn first_unit(plan: Plan) -> Result<(Option<Report>, Option<Broken>), Error> {
    let study = study(plan)?;
    let part = &study.parts[0];
    let key = Key {
        engine: 0,
        offered_tps: part.plan.load.offered_tps.first().copied(),
        replication: 0,
        tweak: Tweak::None,
    };
    Ok(run_unit(part, key))
}

/// Runs a seed to its end.
///
/// # Errors
/// An engine that is not there, or whose defaults do not work with the nodes that were drawn.
pub fn run_one(seed: u64, only: Option<&str>) -> Result<Ended, Error> {
    let Draw { plan, faults } = draw(seed, only)?;
    let engine = plan.engines[0].engine().name();
    let (report, broken) = first_unit(plan)?;
    let chain = report.as_ref().map(|r| r.chain.clone()).unwrap_or_default();
    Ok(Ended {
        seed,
        engine,
        faults,
        broken,
        blocks: chain.final_height,
        round_changes: chain.round_changes,
        reversed: chain.reversed_blocks + chain.conflicting_finals,
        apart: chain.apart,
        evidence: chain.evidence,
        digest: report.map_or(0, |r| r.digest),
    })
}

/// Runs the seeds; what was found, and the exit code of the worst. A signal ends the run with what was
/// found so far. Shrunk plans are written for the first of each kind of finding.
///
/// # Errors
/// When the engine is not there, a shrunk plan cannot be written, or a seed that is run again ends otherwise.
pub fn run(wanted: &Wanted<'_>) -> Result<Found, Error> {
    draw(wanted.seeds.start, wanted.only)?;
    output::probe(wanted.out)?;
    let (done, end) = all(wanted)?;
    let rows = rows(&done);
    let mut text = summary(&rows);
    let _ = writeln!(
        text,
        "{} seeds, {} broken ({}..{end})",
        done.len(),
        done.iter().filter(|e| e.broken.is_some()).count(),
        wanted.seeds.start,
    );
    let interrupted = STOP.load(Ordering::Relaxed);
    if interrupted {
        let _ = writeln!(text, "interrupted: the seeds from {end} on were not run");
    } else if let Some(permille) = wanted.self_check {
        text += &again(wanted, &done, permille)?;
    }
    text += &findings(wanted, &done)?;
    let breaches = done.iter().filter_map(|e| e.broken.as_ref());
    // A bug goes before a broken promise, and that before a standstill.
    let worst = breaches.map(|b| b.breach).min().map(Breach::code);
    let clean = if interrupted {
        exit::INTERRUPTED
    } else {
        exit::OK
    };
    Ok(Found {
        text,
        code: worst.unwrap_or(clean),
        seeds: wanted.seeds.start..end,
        rows,
        done,
    })
}

/// What a swarm found.
pub struct Found {
    /// For the screen.
    pub text: String,
    /// The exit code of the worst.
    pub code: u8,
    /// The seeds that were looked at.
    seeds: Range<u64>,
    rows: Vec<(&'static str, [u64; COUNTS.len()])>,
    done: Vec<Ended>,
}

impl Found {
    /// A line for each seed that broke a promise.
    pub fn broken(&self) -> String {
        let broken = self.done.iter().filter_map(|ended| {
            let broken = ended.broken.as_ref()?;
            Some(format!("seed {} ({}): {broken}", ended.seed, ended.engine))
        });
        broken.collect::<Vec<_>>().join("\n")
    }

    /// The same tables as a document.
    pub fn json(&self) -> serde_json::Value {
        let engine = |(name, counts): &(&str, [u64; COUNTS.len()])| {
            let counts = COUNTS.iter().zip(counts);
            let head = [("engine".to_owned(), (*name).into())];
            let counts = counts.map(|(what, n)| (what.replace(' ', "_"), (*n).into()));
            head.into_iter()
                .chain(counts)
                .collect::<serde_json::Map<_, _>>()
        };
        let broken = self.done.iter().filter_map(|ended| {
            let broken = ended.broken.as_ref()?.to_string();
            Some(serde_json::json!({
                "seed": ended.seed, "engine": ended.engine, "faults": ended.faults.name(), "broken": broken,
            }))
        });
        serde_json::json!({
            "command": "fuzz",
            "exit_code": self.code,
            "seeds": { "from": self.seeds.start, "until": self.seeds.end, "run": self.done.len() },
            "engines": self.rows.iter().map(engine).collect::<Vec<_>>(),
            "broken": broken.collect::<Vec<_>>(),
        })
    }
}

/// All seeds that are wanted and that the time allows, and the first that was not looked at.
fn all(wanted: &Wanted<'_>) -> Result<(Vec<Ended>, u64), Error> {
    let began = Instant::now();
    let Range { start, end } = wanted.seeds;
    let known = wanted.budget.is_none().then_some(end - start);
    let bar = Progress::new(known, "seeds");
    let (mut done, mut next) = (Vec::new(), start);
    let hurries = wanted.budget.is_some() || wanted.hunt.is_some();
    let most = if hurries { CHUNK } else { LONG_CHUNK };
    while next < end {
        let chunk: Vec<u64> = (next..end.min(next.saturating_add(most))).collect();
        let run = |&seed: &u64| {
            let asked = wanted
                .hunt
                .is_none_or(|of| of.contains(&drawn_engine(seed).name()));
            let ended =
                (asked && !STOP.load(Ordering::Relaxed)).then(|| run_one(seed, wanted.only));
            bar.inc(1);
            ended
        };
        let ended: Vec<_> = chunk.par_iter().with_max_len(1).map(run).collect();
        if STOP.load(Ordering::Relaxed) {
            // What ended is kept, up to the first that did not.
            for one in ended.into_iter().map_while(|e| e) {
                done.push(one?);
                next += 1;
            }
            break;
        }
        for one in ended.into_iter().flatten() {
            done.push(one?);
        }
        next += chunk.len() as u64;
        let found = done.iter().any(|e: &Ended| e.broken.is_some());
        let late = wanted
            .budget
            .is_some_and(|budget| began.elapsed() >= budget);
        if late || wanted.hunt.is_some() && found {
            break;
        }
    }
    bar.finish();
    Ok((done, next))
}

/// What is counted of each engine.
const COUNTS: [&str; 11] = [
    "within",
    "healed",
    "beyond",
    "lied",
    "outnumbered",
    "blocks",
    "new rounds",
    "reversed",
    "apart",
    "evidence",
    "broken",
];

/// The counts of each engine that was drawn.
fn rows(done: &[Ended]) -> Vec<(&'static str, [u64; COUNTS.len()])> {
    let mut rows = Vec::new();
    for engine in engines::all() {
        let of = || done.iter().filter(|e| e.engine == engine.name());
        if of().next().is_none() {
            continue;
        }
        let [within, healed, beyond, lied, outnumbered] =
            Faults::ALL.map(|kind| of().filter(|e| e.faults == kind).count() as u64);
        let sum = |count: fn(&Ended) -> u64| of().map(count).sum::<u64>();
        let counts = [
            within,
            healed,
            beyond,
            lied,
            outnumbered,
            sum(|e| e.blocks),
            sum(|e| e.round_changes),
            sum(|e| e.reversed),
            sum(|e| e.apart),
            sum(|e| e.evidence),
            sum(|e| u64::from(e.broken.is_some())),
        ];
        rows.push((engine.name(), counts));
    }
    rows
}

/// A line for each engine.
fn summary(rows: &[(&'static str, [u64; COUNTS.len()])]) -> String {
    const WIDTHS: [usize; COUNTS.len()] = [13, 13, 13, 13, 13, 10, 12, 10, 7, 10, 8];
    let mut text = format!("{:<12}", "engine");
    for (what, width) in COUNTS.iter().zip(WIDTHS) {
        let _ = write!(text, "{what:>width$}");
    }
    text.push('\n');
    for (engine, counts) in rows {
        let _ = write!(text, "{engine:<12}");
        for (n, width) in counts.iter().zip(WIDTHS) {
            let _ = write!(text, "{n:>width$}");
        }
        text.push('\n');
    }
    text
}

/// Runs a share of the seeds again.
fn again(wanted: &Wanted<'_>, done: &[Ended], permille: u32) -> Result<String, Error> {
    let keys: Vec<u64> = done
        .iter()
        .map(|e| Seed::new(e.seed, 0).key(e.engine))
        .collect();
    let chosen = self_check::chosen(&keys, permille);
    let equal = |&place: &usize| {
        let first = &done[place];
        let second = run_one(first.seed, wanted.only)?;
        if second == *first {
            return Ok(());
        }
        let what = format!("seed {} ({})", first.seed, first.engine);
        let digests = format!("digest {:016x}, then {:016x}", first.digest, second.digest);
        Err(self_check::differs(&what, &digests, &repeat(wanted, first)))
    };
    chosen.par_iter().with_max_len(1).try_for_each(equal)?;
    Ok(self_check::line(chosen.len(), done.len(), "seeds") + "\n")
}

/// The command that repeats a seed.
fn repeat(wanted: &Wanted<'_>, ended: &Ended) -> String {
    let only = wanted
        .only
        .map_or(String::new(), |name| format!(" --engine {name}"));
    format!("quorate fuzz --seed {}{only}{}", ended.seed, wanted.options)
}

/// Each seed that broke something: what it was, how it is repeated, and a smaller plan.
fn findings(wanted: &Wanted<'_>, done: &[Ended]) -> Result<String, Error> {
    let mut text = String::new();
    let mut known: Vec<(&str, Breach)> = Vec::new();
    for ended in done {
        let Some(broken) = &ended.broken else {
            continue;
        };
        let repeat = repeat(wanted, ended);
        let faults = ended.faults.name();
        let _ = writeln!(
            text,
            "seed {} ({}, {faults}): {broken}\n  again: {repeat}",
            ended.seed, ended.engine
        );
        let kind = (ended.engine, broken.breach);
        let stopped = STOP.load(Ordering::Relaxed);
        if stopped || known.contains(&kind) || known.len() == MOST_SHRUNK {
            continue;
        }
        known.push(kind);
        let (file, runs) = smaller(wanted, ended, broken, &repeat)?;
        let _ = writeln!(
            text,
            "  smaller ({runs} tried): quorate run {}{}",
            file.display(),
            wanted.options
        );
    }
    Ok(text)
}

/// Shrinks a seed's plan and writes it; where, and how many plans were tried.
fn smaller(
    wanted: &Wanted<'_>,
    ended: &Ended,
    broken: &Broken,
    repeat: &str,
) -> Result<(PathBuf, u32), Error> {
    let _ = writeln!(
        std::io::stderr(),
        "shrinking the plan of seed {}",
        ended.seed
    );
    let plan = draw(ended.seed, wanted.only)?.plan;
    let mut last = broken.why.clone();
    let mut breaks = |plan: &Plan| {
        let found = first_unit(plan.clone()).ok().and_then(|(_, broken)| broken);
        let same = found.filter(|f| f.breach == broken.breach);
        if let Some(found) = &same {
            last.clone_from(&found.why);
        }
        same.is_some()
    };
    // Panics that are asked for say nothing new.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let shrunk = shrink(&plan, &mut breaks);
    std::panic::set_hook(hook);
    let title = format!(
        "{} breaks a promise ({}).",
        ended.engine,
        ended.faults.name()
    );
    let page = shrink::page(&shrunk.text, &title, broken.breach, &last, repeat);
    let name = format!("{}-{}.toml", ended.engine, ended.seed);
    Ok((write_whole(wanted.out, &name, &page)?, shrunk.runs))
}

/// Writes a file that is there as a whole or not at all.
fn write_whole(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|e| e.error)
    };
    match write() {
        Ok(_) => Ok(path),
        Err(e) => Err(Error {
            message: format!("cannot write {}: {e}", path.display()),
            hint: "name a folder that can be written with --out".to_owned(),
            code: exit::IO,
        }),
    }
}
