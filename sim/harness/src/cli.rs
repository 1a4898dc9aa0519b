//! The command line.

use crate::asked::Changes;
use crate::attack::{self, Attack};
use crate::engines::AnyEngine;
use crate::error::{Error, exit};
use crate::output::Ran;
use crate::pair::{self, Pair};
use crate::plan::{BUILT_IN, BuiltIn, Kind, Plan, Source};
use crate::resilience::BadDay;
use crate::run::{Outcome, STOP};
use crate::study::Study;
use crate::validate::Tier;
use crate::validate::run as validation;
use crate::{
    analysis, calibrate, durable, engines, forecast, fuzz, import, merge, output, places, question,
    regulator, replay, schema, screen, self_check, told, verdict,
};
use clap::{Parser, Subcommand};
#[cfg(feature = "mutants")]
use quorate_consensus::mutants::{Mutant, break_rule};
use quorate_core::{Engine, Guarantee};
use quorate_workloads::WorkloadKind;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Which consensus should a healthcare ledger run on, and what will it do under load, on this
/// network, on a bad day?
#[derive(Parser)]
#[command(name = "quorate", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 a bug, 2 usage, 4 units are missing, 20 a protocol broke its promise, \
    21 a law of validate does not hold, 22 a protocol did not recover, 65 corrupt input, 66 missing input, 70 a unit ended in two ways, 74 results cannot be written, 75 somebody else runs it, 78 wrong plan, 130 interrupted";

#[derive(Subcommand)]
enum Command {
    /// Compare engines against service levels: a verdict with its reasons. Needs no file
    Compare {
        /// Another plan of kind `compare` than the built-in one
        plan: Option<String>,
        /// Bad days that every engine must go through as well: a site down, a region cut off, liars;
        /// with commas between them
        #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
        faults: Vec<BadDay>,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        durable: durable::Wanted,
    },
    /// Run a plan: a file, or a built-in plan by name
    Run {
        /// A TOML file, or a name from `quorate list plans`
        plan: String,
        /// Only say what it comes to, as `quorate plan` does
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        durable: durable::Wanted,
    },
    /// Attack a ledger: how often it succeeds, what it costs, and what theory says
    Attack {
        /// A name from `quorate list attacks`, or a plan of kind `attack`
        name: String,
        #[command(flatten)]
        options: Options,
    },
    /// What a plan comes to before it is run: cells, units, time and memory; or a script that runs it in shards
    Plan {
        #[command(flatten)]
        wanted: forecast::Wanted,
    },
    /// Run one unit again and tell what happened in it: events, and a space-time diagram
    Replay {
        #[command(flatten)]
        wanted: replay::Wanted,
    },
    /// Print the JSON Schema of plans, for editors and validators
    Schema,
    /// Make results of what all shards of a plan have finished
    Merge {
        #[command(flatten)]
        wanted: merge::Wanted,
    },
    /// Say how far the shards of a plan are, and what runs the rest
    Status {
        #[command(flatten)]
        asked: merge::Asked,
    },
    /// Show what there is: engines, workloads, plans (scenarios), attacks, regions, metrics
    List {
        /// What to list; everything when left out
        what: Option<What>,
    },
    /// Write a commented plan to start from
    Init {
        /// The file to write
        #[arg(default_value = "plan.toml")]
        file: PathBuf,
        /// The built-in plan to start from
        #[arg(long, default_value = "compare")]
        from: String,
    },
    /// Draw engines, networks and faults by the seed, and look for a protocol that breaks its promise
    Fuzz {
        #[command(flatten)]
        swarm: Swarm,
    },
    /// Hold the simulator against closed forms and published figures
    Validate {
        #[command(flatten)]
        rows: Rows,
    },
    /// Turn records of care, goods or a study into arrivals.csv, which a trace replays
    Import {
        #[command(flatten)]
        wanted: import::Wanted,
    },
    /// Measure what signing, hashing and execution cost here: a file that plans can name
    Calibrate {
        /// The file to write
        #[arg(long, default_value = "costs.toml")]
        out: PathBuf,
        /// A few seconds instead of a quarter of a minute; less exact
        #[arg(long)]
        quick: bool,
    },
}

#[derive(clap::Args)]
struct Rows {
    /// Only rows of this tier (A laws, B published and modelled, C measured, D context); may be
    /// repeated
    #[arg(long, value_parser = tier, value_delimiter = ',')]
    tier: Vec<Tier>,
    /// Only rows whose id is like this, such as `CF-BTC-*`; also those that take long
    #[arg(long, value_name = "GLOB")]
    id: Option<String>,
    /// Also rows of tiers C and D that take long
    #[arg(long)]
    full: bool,
    /// Folder for the table, the page and the figures; when left out, results/reference/validation, or
    /// results/validation for rows that --tier, --id or --cases chose
    #[arg(long)]
    out: Option<PathBuf>,
    /// Rows of one's own instead, such as other parameters of the same laws
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Threads; all cores when left out. The results are the same for any number
    #[arg(long)]
    threads: Option<usize>,
}

fn tier(text: &str) -> Result<Tier, String> {
    match text {
        "A" | "a" => Ok(Tier::A),
        "B" | "b" => Ok(Tier::B),
        "C" | "c" => Ok(Tier::C),
        "D" | "d" => Ok(Tier::D),
        _ => Err("A, B, C or D".to_owned()),
    }
}

#[derive(clap::Args)]
struct Swarm {
    /// The seeds, such as 0..1000; the last is left out. With --budget from 0 on without an end, else
    /// 0..1000, when left out
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<std::ops::Range<u64>>,
    /// Only this seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Begin no more seeds after this time, such as 30s, 10m or 2h
    #[arg(long, value_name = "TIME", value_parser = budget)]
    budget: Option<Duration>,
    /// Only this engine; the seeds then draw everything else
    #[arg(long)]
    engine: Option<String>,
    /// Print the plan of the first seed instead of running it
    #[arg(long)]
    plan: bool,
    /// Folder that smaller plans of what was found are put into
    #[arg(long, default_value = "results/fuzz")]
    out: PathBuf,
    #[command(flatten)]
    again: Again,
    #[cfg(feature = "mutants")]
    #[command(flatten)]
    broken: BrokenRule,
    /// Threads; all cores when left out
    #[arg(long)]
    threads: Option<usize>,
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let wrong = || "two numbers with `..` between them, the smaller first".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |part: &str| part.parse::<u64>().map_err(|_| wrong());
    let range = number(from)?..number(to)?;
    if range.is_empty() {
        Err(wrong())
    } else {
        Ok(range)
    }
}

/// A number and a unit.
pub(crate) fn budget(text: &str) -> Result<Duration, String> {
    let wrong = || "a number with s, m or h after it".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[derive(clap::Args)]
struct Again {
    /// Run so many of a thousand again and compare; 50 without a number, and at least one in any case
    #[arg(long, value_name = "PERMILLE", num_args = 0..=1, require_equals = true,
        default_missing_value = "50", value_parser = clap::value_parser!(u32).range(1..=1000))]
    self_check: Option<u32>,
}

/// For builds with the feature `mutants`.
#[cfg(feature = "mutants")]
#[derive(clap::Args)]
struct BrokenRule {
    /// Break a rule, and for fuzz stop at the first seed that finds out; `fuzz --mutant list` shows them
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
}

#[cfg(feature = "mutants")]
impl BrokenRule {
    /// Breaks the rule that is asked for, for the rest of the process.
    fn apply(&self) -> Result<Option<Mutant>, Error> {
        let Some(name) = &self.mutant else {
            return Ok(None);
        };
        let named = Mutant::ALL.iter().find(|m| m.name() == name);
        let mutant = *named.ok_or_else(|| {
            let hint = "`quorate fuzz --mutant list` shows them";
            Error::config(format!("--mutant {name}: no such rule"), hint)
        })?;
        break_rule(mutant);
        Ok(Some(mutant))
    }
}

#[derive(clap::Args)]
struct Options {
    /// Override a key of the plan, such as `load.duration_s=60`; may be repeated
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only these engines, by label or name with commas between them; `all` for every one there is
    #[arg(long, value_name = "LIST")]
    engines: Option<String>,
    /// The plan's smaller form, for a first look
    #[arg(long)]
    quick: bool,
    /// Threads; all cores when left out. The results are the same for any number
    #[arg(long)]
    threads: Option<usize>,
    /// Folder that the results folder is put into
    #[arg(long, default_value = "results")]
    out: PathBuf,
    #[command(flatten)]
    again: Again,
    #[cfg(feature = "mutants")]
    #[command(flatten)]
    broken: BrokenRule,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    Engines,
    Workloads,
    /// Built-in plans
    #[value(alias = "scenarios")]
    Plans,
    Attacks,
    Regions,
    Metrics,
}

/// The program, to which engines of one's own can be added before it runs.
#[derive(Default)]
pub struct Program(());

impl Program {
    /// Adds an engine under a name that plans may use; `doc` is what `list` prints. Its settings
    /// are what its `Config` deserialises from; an empty table must do.
    #[must_use]
    pub fn with_engine<E: Engine + 'static>(self, name: &'static str, doc: &'static str) -> Self {
        engines::add::<E>(name, doc);
        self
    }

    /// Runs the command line and returns the exit code.
    pub fn main(self) -> ExitCode {
        main()
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // A closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(error.code)
        }
    }
}

fn dispatch(command: Command) -> Result<u8, Error> {
    match command {
        Command::Compare {
            plan,
            faults,
            mut options,
            durable,
        } => {
            let source = Source::open(plan.as_deref().unwrap_or("compare"))?;
            if !faults.is_empty() {
                let names: Vec<&str> = faults.iter().map(|f| f.name()).collect();
                options.set.push(format!("resilience.bad_days={names:?}"));
            }
            let plan = read(&source, &options)?;
            if plan.kind != Kind::Compare {
                let hint = "use `quorate run` for other kinds of plan";
                return Err(source.at_key("kind", "is not \"compare\"", hint));
            }
            execute(&source, plan, &options, &durable)
        }
        Command::Run {
            plan,
            dry_run,
            options,
            durable,
        } => {
            let source = Source::open(&plan)?;
            if dry_run {
                print(&forecast::text(&options.changes().study(&source)?));
                return Ok(exit::OK);
            }
            if Attack::is_one(&source) {
                durable.refuse("an attack")?;
                return attack_with(&source, &options);
            }
            if Pair::is_one(&source) {
                durable.refuse("a plan of two ledgers")?;
                return pair_with(&source, &options);
            }
            let plan = read(&source, &options)?;
            execute(&source, plan, &options, &durable)
        }
        Command::Merge { wanted } => {
            let merged = merge::merge(&wanted)?;
            let code = publish(&merged.study, &merged.outcomes, &merged.out)?;
            merged.clean()?;
            Ok(code)
        }
        Command::Status { asked } => {
            let (text, code) = merge::status(&asked)?;
            print(&text);
            Ok(code)
        }
        Command::Attack { name, options } => attack_with(&Attack::source(&name)?, &options),
        Command::List { what } => {
            print(&list(what));
            Ok(exit::OK)
        }
        Command::Init { file, from } => init(&file, &from),
        Command::Validate { rows } => validate(rows),
        Command::Fuzz { swarm } => swarm_out(&swarm),
        Command::Import { wanted } => {
            stop_on_signal();
            print(&import::run(&wanted)?);
            Ok(exit::OK)
        }
        Command::Schema => {
            print(&schema::text());
            Ok(exit::OK)
        }
        Command::Plan { wanted } => {
            print(&forecast::run(&wanted)?);
            Ok(exit::OK)
        }
        Command::Replay { wanted } => {
            stop_on_signal();
            print(&replay::run(&wanted)?);
            Ok(exit::OK)
        }
        Command::Calibrate { out, quick } => {
            print(&calibrate::run(&out, quick)?);
            Ok(exit::OK)
        }
    }
}

/// The plan with its overrides; those of `--quick` go before those of the command line.
fn read(source: &Source, options: &Options) -> Result<Plan, Error> {
    options.changes().plan(source)
}

impl Options {
    fn changes(&self) -> Changes {
        Changes {
            set: self.set.clone(),
            engines: self.engines.clone(),
            quick: self.quick,
        }
    }
}

/// What every reader of the figures must know, once.
fn warn(study: &Study) {
    let warnings = study
        .parts
        .iter()
        .filter_map(|part| part.workload.warning());
    let warnings: std::collections::BTreeSet<String> = warnings.map(str::to_owned).collect();
    for warning in regulator::warnings(study).into_iter().chain(warnings) {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
}

fn execute(
    source: &Source,
    plan: Plan,
    options: &Options,
    durable: &durable::Wanted,
) -> Result<u8, Error> {
    #[cfg(feature = "mutants")]
    options.broken.apply()?;
    let study = Study::open(source, plan)?;
    warn(&study);
    use_threads(options.threads)?;
    stop_on_signal();
    if study.plan.kind == Kind::Check {
        durable.refuse("a check")?;
        let (text, code) = fuzz::check(&study)?;
        print(&text);
        if options.again.self_check.is_some() {
            // Few units: all of them.
            let same = fuzz::check(&study)?.0 == text;
            let command: Vec<String> = std::env::args().collect();
            let differs = || self_check::differs("the check", "see above", &command.join(" "));
            same.then_some(()).ok_or_else(differs)?;
            let units = text.lines().count();
            let _ = writeln!(
                std::io::stderr(),
                "{}",
                self_check::line(units, units, "units")
            );
        }
        return Ok(code);
    }
    output::probe(&options.out)?;
    if durable.shard().is_whole() {
        print(&screen::placements(&study));
    }
    let again = options.again.self_check.is_some();
    let (outcomes, store) = durable::run(&study, &options.out, durable, again)?;
    let command: Vec<String> = std::env::args().collect();
    let command = command.join(" ");
    if let Some(permille) = options.again.self_check {
        let line = self_check::units(&study, &outcomes, permille, &command)?;
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    if !store.shard().is_whole() {
        print(&durable::finished(&study, &options.out, &store));
        return Ok(safety(&outcomes));
    }
    let code = publish(&study, &outcomes, &options.out)?;
    store.remove();
    Ok(code)
}

/// Writes and prints what came of a study.
fn publish(study: &Study, outcomes: &[Outcome], out: &Path) -> Result<u8, Error> {
    let comparisons = verdict::comparisons(study);
    let judged = study
        .parts
        .iter()
        .zip(outcomes)
        .map(|(part, outcome)| match study.plan.kind {
            Kind::Compare | Kind::Scenario => verdict::judge(part, outcome, comparisons),
            _ => Vec::new(),
        });
    let rows: Vec<_> = judged.collect();
    let all = study.parts.iter().zip(outcomes).zip(&rows);
    let ran: Vec<Ran<'_>> = all
        .map(|((part, outcome), rows)| Ran {
            part,
            outcome,
            rows,
        })
        .collect();
    let folder = output::write(out, study, &ran)?;
    print(&screen::report(study, &ran, &folder));
    Ok(safety(outcomes))
}

fn attack_with(source: &Source, options: &Options) -> Result<u8, Error> {
    if !Attack::is_one(source) {
        let hint = "use `quorate run` for other kinds of plan";
        return Err(source.at_key("kind", "is not \"attack\"", hint));
    }
    let engines = options.engines.as_deref();
    let attack = Attack::open(source, &options.set, engines, options.quick)?;
    output::probe(&options.out)?;
    use_threads(options.threads)?;
    stop_on_signal();
    let command: Vec<String> = std::env::args().collect();
    let result = attack.run(&command.join(" "))?;
    let folder = result.write(&options.out)?;
    print(&result.report(&folder));
    Ok(kept(result.broken.as_deref()))
}

fn pair_with(source: &Source, options: &Options) -> Result<u8, Error> {
    if options.engines.is_some() {
        let hint = "leave out --engines: -s token.engine=praos sets that of a ledger";
        return Err(source.at_key("kind", "is of two ledgers, each with an engine", hint));
    }
    let pair = Pair::open(source, &options.set, options.quick)?;
    output::probe(&options.out)?;
    use_threads(options.threads)?;
    stop_on_signal();
    let command: Vec<String> = std::env::args().collect();
    let result = pair.run(&command.join(" "))?;
    let folder = result.write(&options.out)?;
    print(&result.report(&folder));
    Ok(kept(result.broken()))
}

fn use_threads(threads: Option<usize>) -> Result<(), Error> {
    let Some(threads) = threads else {
        return Ok(());
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    pool.map_err(|e| Error::config(format!("--threads {threads}: {e}"), "use 1 or more"))
}

fn swarm_out(swarm: &Swarm) -> Result<u8, Error> {
    #[cfg(feature = "mutants")]
    if swarm.broken.mutant.as_deref() == Some("list") {
        let line = |m: &Mutant| format!("{:<18} {}\n", m.name(), m.doc());
        print(&Mutant::ALL.iter().map(line).collect::<String>());
        return Ok(exit::OK);
    }
    let only = swarm.engine.as_deref();
    let all = if swarm.budget.is_some() {
        u64::MAX
    } else {
        1_000
    };
    let one = swarm.seed.map(|seed| seed..seed.saturating_add(1));
    let seeds = one.or(swarm.seeds.clone()).unwrap_or(0..all);
    if swarm.plan {
        let draw = fuzz::draw(seeds.start, only)?;
        print(&toml::to_string(&draw.plan).expect("a plan is a table"));
        return Ok(exit::OK);
    }
    use_threads(swarm.threads)?;
    stop_on_signal();
    let (hunt, options) = broken_rule(swarm)?;
    let wanted = fuzz::Wanted {
        seeds,
        only,
        budget: swarm.budget,
        out: &swarm.out,
        self_check: swarm.again.self_check,
        hunt,
        options: &options,
    };
    let (text, code) = fuzz::run(&wanted)?;
    print(&text);
    Ok(code)
}

/// Breaks the rule that is asked for; the engines that have it, and the option.
#[cfg(feature = "mutants")]
fn broken_rule(swarm: &Swarm) -> Result<(Option<&'static [&'static str]>, String), Error> {
    let Some(mutant) = swarm.broken.apply()? else {
        return Ok((None, String::new()));
    };
    // One seed, or one engine, is what was asked for.
    let all = swarm.seed.is_none() && swarm.engine.is_none();
    let option = format!(" --mutant {}", mutant.name());
    Ok((all.then_some(mutant.engines()), option))
}

#[cfg(not(feature = "mutants"))]
#[expect(clippy::unnecessary_wraps, reason = "the other form may fail")]
fn broken_rule(_: &Swarm) -> Result<(Option<&'static [&'static str]>, String), Error> {
    Ok((None, String::new()))
}

fn validate(rows: Rows) -> Result<u8, Error> {
    // A part must not stand where the whole is committed.
    let part = !rows.tier.is_empty() || rows.id.is_some() || rows.cases.is_some();
    let default = if part {
        "results/validation"
    } else {
        "results/reference/validation"
    };
    let out = rows.out.unwrap_or_else(|| PathBuf::from(default));
    let wanted = validation::Wanted {
        tiers: rows.tier,
        id: rows.id,
        full: rows.full,
        cases: rows.cases,
    };
    let (jobs, left) = validation::jobs(&wanted)?;
    if jobs.is_empty() {
        let hint = "`quorate validate --tier C --full` has all that was measured on real systems";
        return Err(Error::config("no row is of that tier and id", hint));
    }
    validation::probe(&out)?;
    use_threads(rows.threads)?;
    stop_on_signal();
    let rows_run = validation::run(jobs)?;
    let folder = validation::write(&out, &rows_run)?;
    print(&validation::report(&rows_run, left, &folder));
    Ok(validation::code(&rows_run))
}

fn safety(outcomes: &[Outcome]) -> u8 {
    let units = outcomes
        .iter()
        .flat_map(|o| &o.cells)
        .flat_map(|c| &c.units);
    let mut evidence = units.filter_map(|u| u.report.violation.as_deref());
    kept(evidence.next())
}

/// Whether every protocol kept its promise.
fn kept(evidence: Option<&str>) -> u8 {
    let Some(evidence) = evidence else {
        return exit::OK;
    };
    let _ = writeln!(
        std::io::stderr(),
        "error: a protocol broke its promise: {evidence}"
    );
    exit::SAFETY
}

/// The first signal lets running units end and writes nothing; the second ends the program.
fn stop_on_signal() {
    // A second handler in one process is refused; the first one then serves.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        let _ = writeln!(std::io::stderr(), "\nstopping; once more to stop at once");
    });
}

fn print(text: &str) {
    // A closed pipe is no reason to fail.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn list(what: Option<What>) -> String {
    let mut text = String::new();
    let wanted = |w: What| what.is_none_or(|only| only as u8 == w as u8);
    let mut section = |title: &str, lines: Vec<(String, String)>| {
        let width = lines.iter().map(|l| l.0.len()).max().unwrap_or(0);
        let _ = writeln!(text, "{title}");
        for (name, about) in lines {
            let _ = writeln!(text, "  {name:width$}  {about}");
        }
        text.push('\n');
    };
    if wanted(What::Engines) {
        let lines = engines::all().into_iter();
        section(
            "engines",
            lines.map(|e| (e.name().to_owned(), engine(e))).collect(),
        );
    }
    if wanted(What::Workloads) {
        let lines = WorkloadKind::ALL
            .iter()
            .map(|&k| (k.name().to_owned(), workload(k)));
        section("workloads", lines.collect());
    }
    if wanted(What::Plans) {
        let lines = BUILT_IN.iter().map(|p| (p.name.to_owned(), scenario(p)));
        let pairs = pair::BUILT_IN.iter();
        let lines = lines.chain(pairs.map(|p| (p.name.to_owned(), p.about.to_owned())));
        section("plans", lines.collect());
    }
    if wanted(What::Attacks) {
        let line = |a: &attack::BuiltIn| {
            let text = format!(
                "{}\n      source: {}\n      needs: {}\n      look at: {}",
                a.about, a.source, a.needs, a.look
            );
            (a.name.to_owned(), text)
        };
        section("attacks", attack::BUILT_IN.iter().map(line).collect());
    }
    if wanted(What::Regions) {
        let line = |t: &places::Table| {
            let shares = if t.shares.is_some() {
                " Has published shares."
            } else {
                ""
            };
            let text = format!("{}{shares}\n      {}", t.about, t.regions.join(" "));
            (t.name.to_owned(), text)
        };
        section("regions", places::TABLES.iter().map(line).collect());
    }
    if wanted(What::Metrics) {
        section("metrics", told::list());
    }
    text
}

/// What an engine is: its facts, its presets with their standing, and its settings.
fn engine(engine: &dyn AnyEngine) -> String {
    let facts = engine.facts();
    let mut text = engine.doc().to_owned();
    let family = format!(
        "{}; {} by {}",
        analysis::family_name(facts.family),
        facts.electorate.name(),
        facts.agreement.name()
    );
    let conditional = match facts.guarantee {
        Guarantee::Commit => String::new(),
        other => format!(" ({})", other.name()),
    };
    let final_if = format!(
        "{}{conditional}, if {}",
        facts.finality, facts.final_holds_if
    );
    for (what, value) in [
        ("family", family.as_str()),
        ("fault bound", facts.bound),
        ("quorum", facts.quorum),
        ("messages a block", facts.messages),
        ("best-case latency", facts.latency),
        ("final", &final_if),
        ("source", facts.source),
    ] {
        let _ = write!(text, "\n      {what}: {value}");
    }
    for preset in engine.presets() {
        let _ = write!(
            text,
            "\n      preset {preset}: {}",
            engine.standing(preset).name()
        );
    }
    text + &settings(&engine.defaults())
}

fn presets(names: &[&str]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!(" Presets: {}.", names.join(", "))
}

/// The keys of a table with their values, a line each.
fn settings(table: &toml::Table) -> String {
    table.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = write!(text, "\n      {key} = {value}");
        text
    })
}

/// What a workload is, what one transaction of it is, where its figures are from, what of consensus moves
/// what it measures, its classes and its settings.
fn workload(kind: WorkloadKind) -> String {
    let [unit, source, moved_by] = match kind {
        WorkloadKind::Hospital => [
            "a document, prescription, claim, consent or access a transaction; granularity makes it a root, a FHIR \
             resource, an access or an HL7 message",
            "rates: CDC, IQVIA, Surescripts, Carequality, Premier, Kodiak, NHS; sizes: FHIR R4 examples, Synthea; hours: \
             NHS England, clinosim; each setting names its own in the source code",
            "time until a revocation, dispense or claim is in every site's view; time to final (audit); order (races)",
        ],
        WorkloadKind::Pharma => [
            "a pack, case or pallet a transaction; verifications are reads",
            "rates: securPharm, European Commission, WHO, FDA, TraceLink; sizes: EPCIS 2.0 examples; each setting names \
             its own in the source code",
            "time until a dispense or recall is in every site's view; order of two dispenses",
        ],
        WorkloadKind::Trial => [
            "a form or value, a signature, an allocation, a report a transaction; checks are reads",
            "counts: TransCelerate and Tufts 2025, PLoS ONE 17(7) e0271819, Tufts-Veeva; CDISC pilot study 01; each \
             setting names its own in the source code",
            "time to final (signatures, safety reports); order around a lock; who proposes blocks (allocation)",
        ],
        WorkloadKind::Trace => [
            "a row of a file, or what an importer makes of it",
            "the file",
            "the same as of the workload that its classes belong to",
        ],
    };
    let mut text = format!("{}{}", kind.doc(), presets(kind.presets()));
    for (what, about) in [("unit", unit), ("source", source), ("moved by", moved_by)] {
        let _ = write!(text, "\n      {what}: {about}");
    }
    if let Ok(settings) = kind.parse(toml::Table::new()) {
        for (class, name) in settings.vocabulary() {
            let _ = write!(text, "\n      class {class}: {name}");
        }
    }
    text + &settings(&workload_defaults(kind))
}

/// What a built-in plan asks, which figures answer it, and what moves them.
fn scenario(plan: &BuiltIn) -> String {
    let mut text = plan.about.to_owned();
    let parsed = Source::new(plan.name, plan.text).parse();
    for line in parsed.map(|p| question::explain(&p)).unwrap_or_default() {
        let _ = write!(text, "\n      {line}");
    }
    text
}

/// Empty for a workload that cannot do without a setting.
fn workload_defaults(kind: WorkloadKind) -> toml::Table {
    let workload = kind.parse(toml::Table::new());
    workload
        .ok()
        .and_then(|w| toml::Table::try_from(&w).ok())
        .unwrap_or_default()
}

fn init(file: &Path, from: &str) -> Result<u8, Error> {
    let Some(plan) = BUILT_IN.iter().find(|p| p.name == from) else {
        let names: Vec<&str> = BUILT_IN.iter().map(|p| p.name).collect();
        return Err(Error::config(
            format!("--from {from}: no such built-in plan"),
            format!("built-in plans: {}", names.join(", ")),
        ));
    };
    let create = |file: &Path, text: &str| {
        let new = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(file);
        new.and_then(|mut f| f.write_all(text.as_bytes()))
    };
    // Editors look for the schema beside the plan; one that stands there already may be somebody's.
    let text = format!("#:schema {}\n{}", schema::FILE, plan.text);
    let written = create(file, &text).and_then(|()| {
        match create(&file.with_file_name(schema::FILE), &schema::text()) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    });
    match written {
        Ok(()) => {
            print(&format!(
                "wrote {}; run it with: quorate run {}\n",
                file.display(),
                file.display()
            ));
            Ok(exit::OK)
        }
        Err(e) => Err(Error {
            message: format!("cannot write {}: {e}", file.display()),
            hint: "name a file that does not exist yet, in a folder that can be written".to_owned(),
            code: exit::IO,
        }),
    }
}
