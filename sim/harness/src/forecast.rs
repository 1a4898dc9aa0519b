//! `quorate plan`: what a plan comes to before any of it is run, and scripts that run it in shards.

use crate::asked::Changes;
use crate::error::{Error, exit};
use crate::launch::{self, Job, Launcher};
use crate::output;
use crate::plan::{Kind, Source};
use crate::predict::{self, Prediction};
use crate::results::sha256_hex;
use crate::run::{self, Outcome};
use crate::screen::table;
use crate::shard::{self, Shard};
use crate::study::{Part, Study};
use crate::terminal;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Which plan, and what is wanted of it.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A TOML file, or a name from `quorate list plans`
    plan: String,
    #[command(flatten)]
    changes: Changes,
    /// Print a script that runs it in shards and merges them, instead
    #[arg(long, value_enum, requires = "shards")]
    emit: Option<Launcher>,
    /// Into how many shards; the number stands in the script
    #[arg(long, value_name = "N", requires = "emit")]
    shards: Option<u32>,
    /// Folder that the script puts journals and results into
    #[arg(long, default_value = "results")]
    out: PathBuf,
}

/// What a part comes to.
#[derive(Serialize)]
struct Share {
    profile: &'static str,
    workload: String,
    nodes: u32,
    cells: usize,
    units: usize,
    cpu_s: f64,
}

/// What a plan comes to.
#[derive(Serialize)]
pub(crate) struct Forecast {
    name: String,
    kind: Kind,
    model_version: u32,
    plan_hash: String,
    /// The folder of the results, below that of `--out`.
    results: String,
    /// The folder of the journals beside it.
    journals: String,
    cells: usize,
    pub(crate) units: usize,
    /// Whether results decide on further units.
    adaptive: bool,
    /// Of one core.
    pub(crate) cpu_s: f64,
    /// The longest unit.
    pub(crate) longest_unit_s: f64,
    /// What a unit takes at most while it runs.
    pub(crate) unit_memory_bytes: u64,
    /// The whole in one process on this machine's cores, at its peak.
    memory_bytes: u64,
    /// The journals.
    disk_bytes: u64,
    parts: Vec<Share>,
}

/// What a study comes to.
pub(crate) fn of(study: &Study) -> Forecast {
    let (outcomes, cells) = run::planned(study);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let predicted = Prediction::of(study, Shard::WHOLE, threads);
    let hash = sha256_hex(output::config(study).as_bytes());
    let results = output::folder_name(study, &hash);
    let mut forecast = Forecast {
        name: study.plan.name.clone(),
        kind: study.plan.kind,
        model_version: output::MODEL_VERSION,
        journals: format!("{results}.journal"),
        results,
        plan_hash: hash,
        cells,
        units: predicted.units,
        adaptive: shard::is_adaptive(&study.plan),
        cpu_s: predicted.cpu_s,
        longest_unit_s: predicted.longest_s,
        unit_memory_bytes: 0,
        memory_bytes: predicted.peak_bytes,
        disk_bytes: predicted.disk_bytes,
        parts: Vec::new(),
    };
    let mut shares: Vec<(usize, f64)> = vec![(0, 0.0); study.parts.len()];
    for (p, _, key) in run::first_units(study) {
        let part = &study.parts[p];
        shares[p].0 += 1;
        shares[p].1 += predict::work(part, key);
        forecast.unit_memory_bytes = forecast
            .unit_memory_bytes
            .max(predict::unit_bytes(part, key));
    }
    let all = study.parts.iter().zip(&outcomes).zip(shares);
    let share = |((part, outcome), (units, cpu_s)): ((&Part, &Outcome), (usize, f64))| Share {
        profile: part.profile.name(),
        workload: part.label.clone(),
        nodes: part.plan.network.nodes,
        cells: outcome.cells.len(),
        units,
        cpu_s,
    };
    forecast.parts = all.map(share).collect();
    forecast
}

/// What is printed.
///
/// # Errors
/// What is wrong with the plan, or a number of shards that cannot work.
pub(crate) fn run(wanted: &Wanted) -> Result<String, Error> {
    let source = Source::open(&wanted.plan)?;
    let study = wanted.changes.study(&source)?;
    let forecast = of(&study);
    if let Some(launcher) = wanted.emit {
        let shards = wanted.shards.unwrap_or(1);
        return emit(wanted, launcher, shards, &forecast);
    }
    if terminal::manner().json {
        let text = serde_json::to_string_pretty(&forecast).expect("numbers and text");
        return Ok(text + "\n");
    }
    Ok(described(&forecast))
}

/// What a study comes to, in words.
pub(crate) fn text(study: &Study) -> String {
    described(&of(study))
}

fn described(forecast: &Forecast) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} cells, {} units; plan hash {}, model version {}",
        forecast.name, forecast.cells, forecast.units, forecast.plan_hash, forecast.model_version
    );
    if forecast.adaptive {
        text.push_str("further units follow from what these say: a curve looks for its knees\n");
    }
    let _ = writeln!(
        text,
        "about {} of CPU time, the longest unit {}; in one process here {} of memory (a unit at most {}), {} of journal\n",
        predict::time(forecast.cpu_s),
        predict::time(forecast.longest_unit_s),
        predict::size(forecast.memory_bytes),
        predict::size(forecast.unit_memory_bytes),
        predict::size(forecast.disk_bytes)
    );
    let head = ["profile", "workload", "nodes", "cells", "units", "CPU time"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(forecast.parts.iter().map(|part| {
        vec![
            part.profile.to_owned(),
            part.workload.clone(),
            part.nodes.to_string(),
            part.cells.to_string(),
            part.units.to_string(),
            predict::time(part.cpu_s),
        ]
    }));
    table(&mut text, &rows);
    text
}

/// More shards than this are refused.
// source: `slurm.conf(5)`, MaxArraySize is 1001 unless set, so that 1000 is the largest index.
const MOST_SHARDS: u32 = 1_000;

fn emit(
    wanted: &Wanted,
    launcher: Launcher,
    shards: u32,
    forecast: &Forecast,
) -> Result<String, Error> {
    let refuse =
        |why: String, hint: String| Err(Error::config(format!("--shards {shards}: {why}"), hint));
    if shards == 0 || shards > MOST_SHARDS {
        let hint = format!(
            "use 1 to {MOST_SHARDS}: a shard has many units, and a job array no more tasks"
        );
        return refuse("no such number of shards".to_owned(), hint);
    }
    if shards as usize > forecast.units {
        let hint = format!("use {} or fewer", forecast.units);
        return refuse(format!("the plan has {} units", forecast.units), hint);
    }
    if forecast.kind == Kind::Check {
        let hint = "its answer is an exit code; use `quorate run`";
        return refuse(
            "a plan of kind check leaves nothing to merge".to_owned(),
            hint.to_owned(),
        );
    }
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).map_err(|e| Error {
            message: format!("cannot tell where {} is: {e}", path.display()),
            hint: "give an absolute path".to_owned(),
            code: exit::IO,
        })?;
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| {
            Error::config(format!("{}: not UTF-8", path.display()), "use another path")
        })
    };
    // A task may start in another folder.
    let plan = Path::new(&wanted.plan);
    let plan = if plan.is_file() {
        absolute(plan)?
    } else {
        wanted.plan.clone()
    };
    let out = absolute(&wanted.out)?;
    let mut run = vec!["run".to_owned(), plan];
    run.extend(wanted.changes.words());
    run.extend(["--out".to_owned(), out.clone()]);
    Ok(launch::script(
        launcher,
        &Job {
            name: forecast.results.clone(),
            run,
            journals: format!("{out}/{}", forecast.journals),
            out,
            shards,
            seconds: (forecast.cpu_s / f64::from(shards)).max(forecast.longest_unit_s),
            memory: forecast.unit_memory_bytes,
        },
    ))
}
