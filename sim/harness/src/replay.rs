//! `quorate replay`: one unit again, with what happened in it, event by event and as a diagram.
//!
//! The unit is run twice, without a trace and with one: that both end in the same digest shows that what is
//! told is what was counted. A results folder must name that digest as well.

mod diagram;
mod events;

use crate::asked::Changes;
use crate::error::{Error, exit};
use crate::import::whole;
use crate::output::MODEL_VERSION;
use crate::plan::Source;
use crate::results;
use crate::run;
use crate::screen::table;
use crate::study::{Part, Study};
use crate::summary;
use crate::unit::{Done, Key, Tweak};
use quorate_core::{NodeId, Span, Time};
use quorate_kernel::{Record, Trace, What, Window};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Which unit, and what is wanted of it.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A results folder, a plan file, or a built-in plan by name
    plan: String,
    /// The cell, by its number in plan.csv
    #[arg(long, value_name = "N")]
    cell: usize,
    /// The replication, from 0
    #[arg(long, value_name = "R", default_value_t = 0)]
    replication: u32,
    /// Tell what happens from here on, s; when left out, from the end of the warm-up, or from the start if
    /// there is --until
    #[arg(long, value_name = "S")]
    from: Option<f64>,
    /// Tell what happens before this instant, s; when left out, until three blocks are built
    #[arg(long, value_name = "S")]
    until: Option<f64>,
    /// Write the events to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Tell at most so many events
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    max_events: usize,
    /// Draw the space-time diagram into this file, as SVG
    #[arg(long, value_name = "FILE")]
    diagram: Option<PathBuf>,
    /// Only what these nodes do or are sent, by number with commas between them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    nodes: Vec<u32>,
    #[command(flatten)]
    changes: Changes,
}

/// Blocks that are told where nothing says how long.
// assumption: enough to see how a block follows another, few enough to be read.
const BLOCKS: u32 = 3;

/// The unit, found.
struct Found {
    study: Study,
    part: usize,
    key: Key,
    /// The digest that a results folder names.
    recorded: Option<u64>,
}

/// Runs the unit twice and writes what is wanted; the text that says what happened.
pub(crate) fn run(wanted: &Wanted) -> Result<String, Error> {
    let found = find(wanted)?;
    let part = &found.study.parts[found.part];
    let plain = guarded(part, found.key, None)?;
    let window = window(wanted, part, &plain)?;
    let trace = Trace::new(window);
    let traced = guarded(part, found.key, Some(trace.clone()))?;
    let name = run::name(part, found.key);
    compare(&found, &name, &plain, &traced)?;
    let record = trace.record();
    if let Some(path) = &wanted.events {
        let text = events::lines(&name, traced.report.digest, &record);
        whole(path, &mut |out| out.write_all(text.as_bytes()))?;
    }
    if let Some(path) = &wanted.diagram {
        let picture = diagram::draw(&name, part.plan.machines(), &record);
        whole(path, &mut |out| out.write_all(picture.as_bytes()))?;
    }
    Ok(told(wanted, &found, &name, &record, &traced))
}

fn guarded(part: &Part, key: Key, trace: Option<Trace>) -> Result<Done, Error> {
    run::traced(part, key, "quorate replay", trace)
}

/// That the trace changed nothing, and that the results folder was made by this program.
fn compare(found: &Found, name: &str, plain: &Done, traced: &Done) -> Result<(), Error> {
    let (a, b) = (plain.report.digest, traced.report.digest);
    let differs = |message: String, hint: &str| Error {
        message,
        hint: hint.to_owned(),
        code: exit::NONDETERMINISM,
    };
    if a != b {
        let message =
            format!("a bug: {name} ends in digest {a:016x}, and in {b:016x} when it is told");
        return Err(differs(message, "please report it with this command"));
    }
    match found.recorded {
        Some(recorded) if recorded != a => Err(differs(
            format!("{name} ends in digest {a:016x}; the results have {recorded:016x}"),
            "it was another build, or another machine counts otherwise; `quorate --version` and provenance tell",
        )),
        _ => Ok(()),
    }
}

// ---- which unit ---------------------------------------------------------------------------

fn find(wanted: &Wanted) -> Result<Found, Error> {
    let path = Path::new(&wanted.plan);
    if path.is_dir() {
        return in_results(wanted, path);
    }
    let source = Source::open(&wanted.plan)?;
    let study = wanted.changes.study(&source)?;
    let (part, key) = planned(&study, wanted)?;
    Ok(Found {
        study,
        part,
        key,
        recorded: None,
    })
}

/// The part of a planned cell, and the unit.
fn planned(study: &Study, wanted: &Wanted) -> Result<(usize, Key), Error> {
    let (outcomes, cells) = run::planned(study);
    let all = outcomes.iter().enumerate();
    let mut all = all.flat_map(|(p, o)| o.cells.iter().map(move |cell| (p, cell)));
    let Some((p, cell)) = all.find(|(_, cell)| cell.index == wanted.cell) else {
        let hint = format!("the plan has cells 0 to {}", cells.saturating_sub(1));
        let message = format!("--cell {}: no such cell", wanted.cell);
        return Err(Error::config(message, hint));
    };
    let units: Vec<Key> = run::units(&study.parts[p], cell).collect();
    match units.get(wanted.replication as usize) {
        Some(&key) => Ok((p, key)),
        None => Err(Error::config(
            format!(
                "--replication {}: cell {} has {} of them",
                wanted.replication,
                wanted.cell,
                units.len()
            ),
            "they are counted from 0; an engine that is never final has none",
        )),
    }
}

/// A unit of a results folder. Its plan is rebuilt from what the folder says, and nothing else.
fn in_results(wanted: &Wanted, folder: &Path) -> Result<Found, Error> {
    if !wanted.changes.words().is_empty() {
        let hint = "give the plan instead of the folder to run a changed one";
        let message = format!(
            "{} has its own plan: it takes no -s, --engines or --quick",
            folder.display()
        );
        return Err(Error::config(message, hint));
    }
    results::verify(folder)?;
    let file = folder.join("config.resolved.toml");
    let hint = "a results folder has config.resolved.toml";
    let source = Source::file(&file.display().to_string(), hint)?;
    let made_by = format!("# model_version = {MODEL_VERSION}\n");
    if !source.text.starts_with(&made_by) {
        let line = source.text.lines().next().unwrap_or_default();
        let message = format!("{} is of another model: {line}", file.display());
        let hint = format!(
            "this program has model_version = {MODEL_VERSION}; CHANGELOG.md says what has moved since"
        );
        return Err(Error::data(message, hint));
    }
    let study = wanted.changes.study(&source)?;
    let row = row(folder, wanted)?;
    let digest = u64::from_str_radix(&row.digest, 16);
    let (part, key) = row.unit(&study).ok_or_else(|| {
        let message = format!(
            "{}: cell {} is not of its plan",
            folder.display(),
            wanted.cell
        );
        Error::data(
            message,
            "the folder was changed by hand; run its plan again",
        )
    })?;
    Ok(Found {
        study,
        part,
        key,
        recorded: digest.ok(),
    })
}

/// What `replications.csv` says of a unit.
#[derive(serde::Deserialize)]
struct Row {
    cell: usize,
    replication: u32,
    engine: String,
    profile: String,
    workload: String,
    nodes: u32,
    offered_tps: Option<f64>,
    changed: String,
    digest: String,
}

impl Row {
    /// Cells that were found on the way, such as those that locate a knee, are not planned: so a unit is
    /// found by what it is.
    fn unit(&self, study: &Study) -> Option<(usize, Key)> {
        let is_it = |part: &Part| {
            part.profile.name() == self.profile
                && part.label == self.workload
                && part.plan.network.nodes == self.nodes
        };
        let p = study.parts.iter().position(is_it)?;
        let engines = &study.parts[p].plan.engines;
        let engine = engines.iter().position(|e| e.label() == self.engine)?;
        let outcome = &run::planned(study).0[p];
        let mut tweaks = outcome.cells.iter().map(|cell| cell.tweak);
        let tweak = tweaks.find(|tweak| tweak.name() == self.changed);
        let key = Key {
            engine,
            offered_tps: self.offered_tps,
            replication: self.replication,
            tweak: tweak.or((self.changed == Tweak::None.name()).then_some(Tweak::None))?,
        };
        Some((p, key))
    }
}

fn row(folder: &Path, wanted: &Wanted) -> Result<Row, Error> {
    let file = folder.join("replications.csv");
    let bad = |e: csv::Error| {
        let hint = "replay takes folders of plans that are made of cells and replications";
        Error::data(format!("cannot read {}: {e}", file.display()), hint)
    };
    let mut reader = csv::Reader::from_path(&file).map_err(bad)?;
    let mut last = None;
    for row in reader.deserialize::<Row>() {
        let row = row.map_err(bad)?;
        if (row.cell, row.replication) == (wanted.cell, wanted.replication) {
            return Ok(row);
        }
        last = Some(row.cell);
    }
    let message = format!(
        "{}: no replication {} of cell {}",
        file.display(),
        wanted.replication,
        wanted.cell
    );
    let hint = last.map_or("it has none".to_owned(), |last| {
        format!("its last row is of cell {last}")
    });
    Err(Error::config(message, hint))
}

// ---- which window -------------------------------------------------------------------------

fn window(wanted: &Wanted, part: &Part, plain: &Done) -> Result<Window, Error> {
    let instant = |s: f64| Time::ZERO + Span::from_s_f64(s);
    let wrong = |what: &str, hint: &str| Err(Error::config(what.to_owned(), hint));
    for (name, s) in [("--from", wanted.from), ("--until", wanted.until)] {
        if s.is_some_and(|s| !(s.is_finite() && s >= 0.0)) {
            return wrong(
                &format!("{name}: not a time"),
                "give seconds of simulated time, such as 12.5",
            );
        }
    }
    if wanted.max_events == 0 {
        return wrong("--max-events 0: nothing would be told", "use 1 or more");
    }
    if let Some(node) = wanted.nodes.iter().find(|&&n| n >= part.plan.machines()) {
        let hint = format!("the unit has nodes 0 to {}", part.plan.machines() - 1);
        return wrong(&format!("--nodes {node}: no such node"), &hint);
    }
    let steady = plain.report.horizon.as_s() - summary::window_s(plain);
    let from = match (wanted.from, wanted.until) {
        (Some(from), _) => instant(from),
        (None, Some(_)) => Time::ZERO,
        (None, None) => instant(steady),
    };
    let until = wanted.until.map_or(Time::NEVER, instant);
    if until <= from || from >= plain.report.ended {
        let ended = plain.report.ended.as_s();
        let hint = format!("the unit begins at 0 s and ends at {ended} s");
        return wrong("--from and --until: nothing lies between them", &hint);
    }
    Ok(Window {
        from,
        until,
        blocks: wanted.until.is_none().then_some(BLOCKS),
        most: wanted.max_events,
        nodes: wanted.nodes.iter().copied().map(NodeId::new).collect(),
    })
}

// ---- what is printed ----------------------------------------------------------------------

/// What an event is called in a table.
fn kind(what: &What) -> (&'static str, &'static str) {
    match what {
        What::Sent { message, .. } => ("sent", message),
        What::Handled { input, message, .. } => ("handled", message.unwrap_or(input)),
        What::Built { .. } => ("built", "a block"),
        What::Reached { level, .. } => ("reached", events::level_name(*level)),
        What::RoundChange { .. } => ("round change", ""),
        What::Evidence { .. } => ("evidence", ""),
        What::Elected { .. } => ("elected", ""),
    }
}

fn told(wanted: &Wanted, found: &Found, name: &str, record: &Record, done: &Done) -> String {
    let mut text = String::new();
    let from = record.window.from.as_s();
    let until = record.window.until.min(done.report.ended).as_s();
    let same = match found.recorded {
        Some(_) => "the same with and without a trace, and in the results",
        None => "the same with and without a trace",
    };
    let _ = writeln!(text, "{name}");
    let _ = writeln!(text, "digest {:016x}: {same}", done.report.digest);
    let _ = writeln!(
        text,
        "{} events from {from} s until {until} s\n",
        record.events.len()
    );
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for event in &record.events {
        *counts.entry(kind(&event.what)).or_default() += 1;
    }
    let mut rows = vec![["event", "of", "times"].map(str::to_owned).to_vec()];
    rows.extend(
        counts
            .iter()
            .map(|((a, b), n)| vec![(*a).to_owned(), (*b).to_owned(), n.to_string()]),
    );
    table(&mut text, &rows);
    if record.left_out > 0 {
        let _ = writeln!(
            text,
            "truncated: {} more events are left out; raise --max-events, or ask for less by --until or --nodes",
            record.left_out
        );
    }
    for path in wanted.events.iter().chain(&wanted.diagram) {
        let _ = writeln!(text, "wrote {}", path.display());
    }
    text
}
