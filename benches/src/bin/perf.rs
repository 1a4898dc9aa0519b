//! Goals against measurements, one line each. `scripts/perf.sh` builds and runs it.
//!
//! Every job runs in a process of its own, so that its peak memory is its own and nothing is warm: nine
//! times, or three if it takes long, in rounds with the others, so that a minute in which neighbours are
//! busy does not decide about one line. The median counts; the least is what a machine at rest would do.
//! Time is the CPU time of the process, setting up included, except where a line says otherwise. The
//! reference loops ran in the same minutes on the same machine: where their figures differ, so will all
//! others.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_types,
    reason = "it measures time and prints a table"
)]

use quorate_benches::{Outcome, end_to_end, engines, network, pipeline, queue, workload};
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// What a line asks for.
#[derive(Clone, Copy)]
enum Goal {
    /// Units of work a second, in millions.
    Rate(f64),
    /// Seconds, and where it matters peak memory in MB.
    Seconds(f64, Option<f64>),
    /// Only shown, beside the line above.
    Shown,
}

/// A line of the table.
struct Job {
    name: &'static str,
    /// What a unit of work is.
    unit: &'static str,
    goal: Goal,
    run: fn() -> Outcome,
}

const fn job(name: &'static str, unit: &'static str, goal: Goal, run: fn() -> Outcome) -> Job {
    Job {
        name,
        unit,
        goal,
        run,
    }
}

/// All lines: the kernel's goals, then those from end to end.
const JOBS: &[Job] = &[
    job("queue, 10^2 pending", "hold", Goal::Rate(40.0), || {
        queue::hold(100, 20_000_000, queue::Law::Exponential)
    }),
    job("queue, 10^4 pending", "hold", Goal::Rate(40.0), || {
        queue::hold(10_000, 20_000_000, queue::Law::Exponential)
    }),
    job("queue, 10^6 pending", "hold", Goal::Rate(28.0), || {
        queue::hold(1_000_000, 20_000_000, queue::Law::Exponential)
    }),
    job("flood, 10^3 nodes", "node-block", Goal::Rate(8.0), || {
        network::flood(1_000, 4_000)
    }),
    job("flood, 10^4 nodes", "node-block", Goal::Rate(7.0), || {
        network::flood(10_000, 300)
    }),
    job("flood, 10^5 nodes", "node-block", Goal::Rate(2.8), || {
        network::flood(100_000, 30)
    }),
    job("as events, 10^3 nodes", "message", Goal::Rate(35.0), || {
        network::flood_events(1_000, 1_000)
    }),
    job("as events, 10^4 nodes", "message", Goal::Rate(24.0), || {
        network::flood_events(10_000, 60)
    }),
    job("as events, 10^5 nodes", "message", Goal::Rate(11.0), || {
        network::flood_events(100_000, 6)
    }),
    job("qbft, n = 64", "message", Goal::Rate(200.0), || {
        engines::qbft(64, 4_000)
    }),
    job("qbft, n = 256", "message", Goal::Rate(200.0), || {
        engines::qbft(256, 300)
    }),
    job(
        "qbft as events, n = 64",
        "message",
        Goal::Rate(36.0),
        || engines::qbft_events(64, 500),
    ),
    job("miners only, 16 miners", "block", Goal::Rate(85.0), || {
        engines::miners_only(16, 10_000_000)
    }),
    job(
        "a year of Bitcoin, 9 miners",
        "block",
        Goal::Seconds(0.005, None),
        || engines::miners_only(9, 365 * 24 * 6),
    ),
    job("hospital generator", "arrival", Goal::Shown, || {
        workload::hospital(10_000_000)
    }),
    job("hospital rules", "write", Goal::Shown, || {
        workload::judge(5_000_000)
    }),
    job(
        "10,000 nodes × 1,000 blocks of 1 MB",
        "node-block",
        Goal::Seconds(2.5, None),
        || network::flood_1mb(10_000, 1_000),
    ),
    job(
        "100,000 nodes × 100 blocks",
        "node-block",
        Goal::Seconds(10.0, Some(1_000.0)),
        || network::flood_1mb(100_000, 100),
    ),
    job(
        "qbft, 100 validators × 10,000 blocks",
        "message",
        Goal::Seconds(2.0, None),
        || engines::qbft(100, 10_000),
    ),
    job(
        "transactions to the histogram",
        "transaction",
        Goal::Rate(55.0),
        || pipeline::transactions(10_000_000, 0),
    ),
    job(
        "transactions in order, to 10^6 records",
        "transaction",
        Goal::Rate(30.0),
        || pipeline::transactions(10_000_000, 1_000_000),
    ),
    job(
        "such transactions through an engine",
        "transaction",
        Goal::Shown,
        || end_to_end::plain(10_000_000, 1_000_000),
    ),
    job(
        "transactions of hospitals, 12 validators",
        "arrival",
        Goal::Rate(15.0),
        || end_to_end::qbft_messages(12, 3_600, 7_200),
    ),
    job("the same, documents", "arrival", Goal::Shown, || {
        end_to_end::qbft_hospital(3_600, 2_778, 0)
    }),
    job(
        "a nation's day of transactions",
        "arrival",
        Goal::Seconds(30.0, Some(3_000.0)),
        || end_to_end::qbft_messages(50, 3_600, 86_400),
    ),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, None) => table(|_| true),
        (Some("--only"), Some(part)) => table(|job| job.name.contains(&part)),
        (Some("--job"), Some(name)) => one(&name),
        _ => {
            eprintln!("perf [--only PART]: PART of a job's name");
            ExitCode::from(2)
        }
    }
}

/// What one process measured.
struct Sample {
    work: u64,
    events: u64,
    cpu_s: f64,
    peak_mb: f64,
}

/// The child: runs a job and says what it took.
fn one(name: &str) -> ExitCode {
    let Some(job) = JOBS.iter().find(|j| j.name == name) else {
        eprintln!("no job {name:?}");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let before = cpu_ns();
    let Outcome { work, events, hash } = (job.run)();
    let wall_ns = started.elapsed().as_nanos() as u64;
    let took_ns = cpu_ns().zip(before).map_or(wall_ns, |(b, a)| b - a);
    println!("{work} {events} {took_ns} {} {hash:016x}", peak_kb());
    ExitCode::SUCCESS
}

/// Nanoseconds that this thread has had a CPU, where the system says so.
fn cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The process's peak resident memory, kB; 0 where the system does not say.
fn peak_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// Runs a job in a process of its own.
fn sample(name: &str) -> Option<Sample> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program).args(["--job", name]).output().ok()?;
    read(&output.stdout)
}

fn read(output: &[u8]) -> Option<Sample> {
    let text = core::str::from_utf8(output).ok()?;
    let mut words = text.split_whitespace().map(str::parse::<u64>);
    let mut next = || words.next()?.ok();
    Some(Sample {
        work: next()?,
        events: next()?,
        cpu_s: next()? as f64 / 1e9,
        peak_mb: next()? as f64 / 1e3,
    })
}

fn table(wanted: impl Fn(&Job) -> bool) -> ExitCode {
    let [chase, sum] = [(); 2].map(|()| reference());
    println!(
        "reference loops: {:.0} and {:.0} ns a dependent load in 64 MB, {:.1} and {:.1} GB/s in sequence\n",
        chase.0, sum.0, chase.1, sum.1
    );
    println!(
        "{:<42} {:>12} {:>12}  {:<16} {:>9} {:>9} {:>10}  {:>9}",
        "job", "goal", "measured", "", "ns/unit", "least", "loads/unit", "peak MB"
    );
    let jobs: Vec<&Job> = JOBS.iter().filter(|j| wanted(j)).collect();
    let samples = rounds(&jobs);
    let mut missed = 0;
    for (job, samples) in jobs.iter().zip(samples) {
        missed += u32::from(!line(job, samples, chase.0.min(sum.0)));
    }
    efficiency();
    println!("\n{missed} goals missed");
    ExitCode::SUCCESS
}

const ROUNDS: usize = 3;
/// What takes longer runs once a round, everything else three times.
const LONG_S: f64 = 5.0;

/// Runs all jobs, one after the other, again and again; what was measured of each.
fn rounds(jobs: &[&Job]) -> Vec<Vec<Sample>> {
    let mut all: Vec<Vec<Sample>> = jobs.iter().map(|_| Vec::new()).collect();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for (job, samples) in jobs.iter().zip(&mut all) {
            samples.extend(sample(job.name));
            if samples.last().is_some_and(|s| s.cpu_s < LONG_S) {
                samples.extend((0..2).filter_map(|_| sample(job.name)));
            }
        }
    }
    all
}

/// Prints a line; whether its goal is met.
fn line(job: &Job, mut samples: Vec<Sample>, load_ns: f64) -> bool {
    samples.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    let Some(median) = samples.get(samples.len() / 2) else {
        println!("{:<42} did not run", job.name);
        return false;
    };
    let per_unit = |sample: &Sample| 1e9 * sample.cpu_s / sample.work as f64;
    let (ns, least) = (per_unit(median), per_unit(&samples[0]));
    let rate = 1e3 / ns;
    let (goal, measured, factor) = match job.goal {
        Goal::Rate(goal) => (format!("{goal} M/s"), format!("{rate:.2} M/s"), goal / rate),
        Goal::Seconds(goal, memory) => {
            let space = memory.map_or(0.0, |mb| median.peak_mb / mb);
            let text = format!("{:.3} s", median.cpu_s);
            (format!("{goal} s"), text, (median.cpu_s / goal).max(space))
        }
        Goal::Shown => (String::new(), format!("{rate:.2} M/s"), 0.0),
    };
    let verdict = match job.goal {
        Goal::Shown => String::new(),
        _ if factor <= 1.0 => format!("met, {:.2} ×", 1.0 / factor),
        _ => format!("missed by {factor:.2} ×"),
    };
    let events = if median.events > 0 {
        format!(
            "{:.2} events/{}",
            median.events as f64 / median.work as f64,
            job.unit
        )
    } else {
        String::new()
    };
    println!(
        "{:<42} {goal:>12} {measured:>12}  {verdict:<16} {ns:>9.1} {least:>9.1} {:>10.2}  {:>9.0}  {events}",
        job.name,
        ns / load_ns,
        median.peak_mb
    );
    factor <= 1.0
}

/// Nanoseconds of a load that depends on the one before, in 64 MB; and GB/s of a sum in sequence.
fn reference() -> (f64, f64) {
    const LINES: usize = 1 << 20;
    const LOADS: u32 = 4_000_000;
    // One cycle through all cache lines, by an odd multiplier and increment of full period.
    let mut next = vec![[0_u64; 8]; LINES];
    for (i, line) in next.iter_mut().enumerate() {
        line[0] = ((i * 0x5_2b1d + 0x2_4cad) % LINES) as u64;
    }
    let started = Instant::now();
    let mut at = 0;
    for _ in 0..LOADS {
        at = next[at as usize][0];
    }
    black_box(at);
    let load_ns = started.elapsed().as_nanos() as f64 / f64::from(LOADS);
    let started = Instant::now();
    let sum = next.iter().flatten().fold(0_u64, |a, &b| a.wrapping_add(b));
    black_box(sum);
    let gb = (LINES * 64) as f64 / started.elapsed().as_nanos() as f64;
    (load_ns, gb)
}

/// The job of the line on several cores.
const UNIT: &str = "flood, 10^4 nodes";

/// Two processes at once against one after the other: the CPU time of a replication.
fn efficiency() {
    let Some(alone) = sample(UNIT) else { return };
    let program = std::env::current_exe().expect("it runs");
    let start = || {
        let mut command = Command::new(&program);
        let command = command
            .args(["--job", UNIT])
            .stdout(std::process::Stdio::piped());
        command.spawn().expect("it ran before")
    };
    let children = [start(), start()];
    let both = children.map(|child| {
        let output = child.wait_with_output().expect("it was started");
        read(&output.stdout).map_or(f64::NAN, |s| s.cpu_s)
    });
    let share = 200.0 * alone.cpu_s / (both[0] + both[1]);
    println!("two replications at once: {share:.0} % CPU-time efficiency (goal 95 %)");
}
