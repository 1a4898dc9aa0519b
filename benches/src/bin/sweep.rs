//! What a sweep costs besides its units: 1,000 units of about 100 ms, with and without a journal.
//!
//! `cargo run --release -p quorate-benches --bin sweep [UNITS [SECONDS]]`, where SECONDS is the simulated
//! span of a unit. *Efficiency* is the CPU time of the units over what all cores could have given in that
//! time; on a machine with other work it says little, and the journal's share of CPU time is the figure
//! that counts.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    reason = "it measures time and prints a table"
)]

use quorate::error::Error;
use quorate::plan::Source;
use quorate::run;
use quorate::shard::Shard;
use quorate::store::{self, Store};
use quorate::study::Study;
use quorate::workers::Budget;
use std::time::Instant;

/// A sweep of one cell with many replications.
fn plan(units: u32, span_s: f64) -> String {
    format!(
        "name = \"sweep\"\nkind = \"scale\"\nreplications = {units}\n\
         [network]\nnodes = 16\nregions = [\"us-east-1\", \"eu-west-1\"]\n\
         [workload]\nname = \"hospital\"\nsites = 16\nmost_patients = 2000\n\
         [load]\noffered_tps = [50.0]\nduration_s = {span_s:?}\ndrain_s = 60.0\n\
         [scale]\naxis = \"nodes\"\nvalues = [16]\n\
         [[engines]]\nname = \"qbft\"\n"
    )
}

/// CPU time of this process in seconds, of all threads.
fn cpu_s() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let live: f64 = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
        .sum();
    // Threads that have ended are in the sum of the process only, in ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks: f64 = [12, 13]
        .iter()
        .filter_map(|&i| fields.get(i)?.parse::<f64>().ok())
        .sum();
    (ticks / 100.0).max(live / 1e9)
}

/// CPU seconds and wall seconds of a run.
fn timed(study: &Study, store: &mut Store) -> Result<(f64, f64), Error> {
    let (cpu, wall) = (cpu_s(), Instant::now());
    run::run_with(study, store, &Budget::default(), "sweep")?;
    Ok((cpu_s() - cpu, wall.elapsed().as_secs_f64()))
}

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: f64| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (units, span_s) = (number(1_000.0) as u32, number(300.0));
    let source = Source::new("sweep", plan(units, span_s));
    let study = Study::open(&source, source.plan(&[])?)?;
    let out = std::env::temp_dir().join(format!("quorate-sweep-{}", std::process::id()));
    // Once without counting, so that both find memory alike.
    let few = Source::new("sweep", plan(2, span_s));
    run::run(&Study::open(&few, few.plan(&[])?)?, "sweep")?;
    let (plain_cpu, plain_wall) = timed(&study, &mut Store::none())?;
    let (mut store, _) = store::open(&out, &study, (Shard::WHOLE, false), &[])?;
    let (cpu, wall) = timed(&study, &mut store)?;
    let folder = store::folder(&out, &study);
    let file = folder.join(Shard::WHOLE.file());
    let bytes = std::fs::metadata(file).map_or(0, |m| m.len());
    std::fs::remove_dir_all(&out).ok();
    // As many as the run used.
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let line = |what: &str, cpu: f64, wall: f64| {
        println!(
            "{what:<16} {cpu:8.2} s CPU  {wall:8.2} s  {:6.1} ms a unit  efficiency {:5.1} %",
            cpu * 1e3 / f64::from(units),
            100.0 * cpu / (wall * cores)
        );
    };
    line("without journal", plain_cpu, plain_wall);
    line("with journal", cpu, wall);
    println!(
        "journal: {:+.2} % of CPU time, {} bytes a unit",
        100.0 * (cpu / plain_cpu - 1.0),
        bytes / u64::from(units)
    );
    Ok(())
}
