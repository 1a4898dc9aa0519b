//! The command line.

use crate::asked::Changes;
use crate::attack::Attack;
use crate::catalogue::What;
use crate::error::{Error, exit};
use crate::output::Ran;
use crate::pair::Pair;
use crate::plan::{BUILT_IN, Kind, Plan, Source};
use crate::resilience::BadDay;
use crate::run::{Outcome, STOP};
use crate::study::Study;
use crate::terminal::{self, Manner};
use crate::validate::Tier;
use crate::validate::run as validation;
use crate::{
    calibrate, catalogue, check, diff, doctor, document, durable, engines, explain, export,
    forecast, fuzz, help, import, merge, output, precision, regulator, replay, reproduce, scan,
    schema, screen, self_check, sensitivity, verdict, verify,
};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
#[cfg(feature = "mutants")]
use quorate_consensus::mutants::{Mutant, break_rule};
use quorate_core::Engine;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Which consensus should a healthcare ledger run on, and what will it do under load, on this
/// network, on a bad day?
#[derive(Parser)]
#[command(name = "quorate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    manner: Manner,
}

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
        /// Also find the smallest interval between blocks at which each engine meets the levels
        #[arg(long)]
        tune: bool,
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
    /// Run a plan for every combination of some of its keys
    Sweep {
        /// A TOML file, or a name from `quorate list plans`; stands before -P and -L
        #[arg(default_value = "sweep")]
        plan: String,
        #[command(flatten)]
        scan: scan::Wanted,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        durable: durable::Wanted,
    },
    /// Find the largest load at which each engine meets the service levels
    Capacity {
        /// A TOML file with service levels, or a name from `quorate list plans`
        #[arg(default_value = "capacity")]
        plan: String,
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        durable: durable::Wanted,
    },
    /// Find out which inputs move the margins of the service levels
    Sensitivity {
        /// A TOML file with service levels, or a name from `quorate list plans`
        #[arg(default_value = "compare")]
        plan: String,
        #[command(flatten)]
        wanted: sensitivity::Wanted,
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
    /// Hold a results folder against service levels: a gate, exit code 99 when one fails
    Check {
        #[command(flatten)]
        wanted: check::Wanted,
    },
    /// Name what moved between two results folders: a gate, exit code 3 when results moved
    Diff {
        #[command(flatten)]
        wanted: diff::Wanted,
    },
    /// Recompute a folder's checksums and run some of its units again
    Verify {
        #[command(flatten)]
        wanted: verify::Wanted,
    },
    /// Rebuild a whole folder from its own plan and compare every byte
    Reproduce {
        #[command(flatten)]
        wanted: reproduce::Wanted,
    },
    /// Write a folder's figures for other tools
    Export {
        #[command(flatten)]
        wanted: export::Wanted,
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
    /// What an engine, metric, scenario, error or exit code is, and how to read it
    Explain {
        #[command(flatten)]
        wanted: explain::Wanted,
    },
    /// Whether this machine can run everything, and what to do where not
    Doctor {
        #[command(flatten)]
        wanted: doctor::Wanted,
    },
    /// Completions of commands and options for a shell
    Completions {
        #[command(flatten)]
        wanted: help::Shell,
    },
    /// The manual pages
    Man {
        #[command(flatten)]
        wanted: help::Pages,
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
    /// Run more replications until the half of every deciding interval is at most this share of its
    /// mean, such as 5%: in blocks of twice as many, up to --replications-max
    #[arg(long, value_name = "SHARE", value_parser = precision::parse)]
    precision: Option<f64>,
    /// The most replications that a cell gets for the sake of --precision; 200 when left out
    #[arg(long, value_name = "N")]
    replications_max: Option<u32>,
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

impl Options {
    /// What is set on the command line, as overrides of keys.
    fn overrides(&self) -> Vec<String> {
        let precision = self.precision.map(|share| format!("precision={share}"));
        let most = self
            .replications_max
            .map(|n| format!("replications_max={n}"));
        let flags = precision.into_iter().chain(most);
        flags.chain(self.set.iter().cloned()).collect()
    }
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
    let parsed = whole_command().try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
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
    terminal::speak(cli.manner);
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::fail(&error);
            ExitCode::from(error.code)
        }
    }
}

/// The command line as it is parsed, shown, completed and printed as a manual.
fn whole_command() -> clap::Command {
    help::grouped(Cli::command())
}

#[expect(clippy::too_many_lines, reason = "an arm for each command")]
fn dispatch(command: Command) -> Result<u8, Error> {
    match command {
        Command::Compare {
            plan,
            faults,
            tune,
            mut options,
            durable,
        } => {
            let source = Source::open(plan.as_deref().unwrap_or("compare"))?;
            if !faults.is_empty() {
                let names: Vec<&str> = faults.iter().map(|f| f.name()).collect();
                options.set.push(format!("resilience.bad_days={names:?}"));
            }
            if tune {
                options.set.push("tune=true".to_owned());
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
                terminal::put(&forecast::text(&options.changes().study(&source)?));
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
            terminal::put(&text);
            Ok(code)
        }
        Command::Sweep {
            plan,
            scan,
            options,
            durable,
        } => run_as(
            &plan,
            scan.sweep()?.into_iter().collect(),
            options,
            &durable,
        ),
        Command::Capacity {
            plan,
            options,
            durable,
        } => run_as(&plan, vec!["kind=capacity".to_owned()], options, &durable),
        Command::Sensitivity {
            plan,
            wanted,
            options,
            durable,
        } => run_as(&plan, wanted.overrides(), options, &durable),
        Command::Attack { name, options } => attack_with(&Attack::source(&name)?, &options),
        Command::List { what } => {
            let names = || catalogue::names(what);
            terminal::end(&catalogue::text(what), || catalogue::json(what), &names());
            Ok(exit::OK)
        }
        Command::Init { file, from } => init(&file, &from),
        Command::Validate { rows } => validate(rows),
        Command::Fuzz { swarm } => swarm_out(&swarm),
        Command::Import { wanted } => {
            stop_on_signal();
            import::run(&wanted)
        }
        Command::Schema => {
            terminal::put(&schema::text());
            Ok(exit::OK)
        }
        Command::Plan { wanted } => {
            terminal::put(&forecast::run(&wanted)?);
            Ok(exit::OK)
        }
        Command::Replay { wanted } => {
            stop_on_signal();
            terminal::put(&replay::run(&wanted)?);
            Ok(exit::OK)
        }
        Command::Check { wanted } => printed(check::run(&wanted)?),
        Command::Diff { wanted } => printed(diff::run(&wanted)?),
        Command::Verify { wanted } => printed(verify::run(&wanted)?),
        Command::Reproduce { wanted } => printed(reproduce::run(&wanted)?),
        Command::Export { wanted } => printed(export::run(&wanted)?),
        Command::Calibrate { out, quick } => {
            let text = calibrate::run(&out, quick)?;
            let written = out.display().to_string();
            let document =
                || serde_json::json!({ "command": "calibrate", "file": written, "exit_code": 0 });
            terminal::end(&text, document, &written);
            Ok(exit::OK)
        }
        Command::Explain { wanted } => explain::run(&wanted),
        Command::Doctor { wanted } => doctor::run(&wanted),
        Command::Completions { wanted } => Ok(help::completions(&wanted, whole_command())),
        Command::Man { wanted } => help::man(&wanted, whole_command()),
    }
}

/// Runs a plan with overrides that a command stands for; those of the command line go after them.
fn run_as(
    plan: &str,
    overrides: Vec<String>,
    mut options: Options,
    durable: &durable::Wanted,
) -> Result<u8, Error> {
    let source = Source::open(plan)?;
    options.set.splice(0..0, overrides);
    let plan = read(&source, &options)?;
    execute(&source, plan, &options, durable)
}

/// Prints what a command says, and passes on its exit code.
#[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
fn printed((text, code): (String, u8)) -> Result<u8, Error> {
    terminal::put(&text);
    Ok(code)
}

/// The plan with its overrides; those of `--quick` go before those of the command line.
fn read(source: &Source, options: &Options) -> Result<Plan, Error> {
    options.changes().plan(source)
}

impl Options {
    fn changes(&self) -> Changes {
        Changes {
            set: self.overrides(),
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
    let few = precision::warning(&study.plan);
    for warning in regulator::warnings(study)
        .into_iter()
        .chain(warnings)
        .chain(few)
    {
        terminal::warn(&warning);
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
        let lines: Vec<&str> = text.lines().collect();
        let document =
            || serde_json::json!({ "command": "run", "lines": lines, "exit_code": code });
        terminal::end(&text, document, text.trim_end());
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
        terminal::say(&screen::placements(&study));
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
        terminal::say(&durable::finished(&study, &options.out, &store));
        return Ok(safety(&outcomes));
    }
    let code = publish(&study, &outcomes, &options.out)?;
    store.remove();
    Ok(code)
}

/// Writes and prints what came of a study.
fn publish(study: &Study, outcomes: &[Outcome], out: &Path) -> Result<u8, Error> {
    let rows = verdict::judge_all(study, outcomes);
    let ran = Ran::all(study, outcomes, &rows);
    let folder = output::write(out, study, &ran)?;
    let code = safety(outcomes);
    let text = screen::report(study, &ran, &folder);
    told_of(name(study.plan.kind), &text, &folder, code);
    Ok(code)
}

fn attack_with(source: &Source, options: &Options) -> Result<u8, Error> {
    if !Attack::is_one(source) {
        let hint = "use `quorate run` for other kinds of plan";
        return Err(source.at_key("kind", "is not \"attack\"", hint));
    }
    let engines = options.engines.as_deref();
    let attack = Attack::open(source, &options.overrides(), engines, options.quick)?;
    output::probe(&options.out)?;
    use_threads(options.threads)?;
    stop_on_signal();
    let command: Vec<String> = std::env::args().collect();
    let result = attack.run(&command.join(" "))?;
    let folder = result.write(&options.out)?;
    let code = kept(result.broken.as_deref());
    told_of("attack", &result.report(&folder), &folder, code);
    Ok(code)
}

fn pair_with(source: &Source, options: &Options) -> Result<u8, Error> {
    if options.engines.is_some() {
        let hint = "leave out --engines: -s token.engine=praos sets that of a ledger";
        return Err(source.at_key("kind", "is of two ledgers, each with an engine", hint));
    }
    let pair = Pair::open(source, &options.overrides(), options.quick)?;
    output::probe(&options.out)?;
    use_threads(options.threads)?;
    stop_on_signal();
    let command: Vec<String> = std::env::args().collect();
    let result = pair.run(&command.join(" "))?;
    let folder = result.write(&options.out)?;
    let code = kept(result.broken());
    told_of("run", &result.report(&folder), &folder, code);
    Ok(code)
}

/// The command that runs such plans.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Compare => "compare",
        _ => "run",
    }
}

/// What a command has to say of the results that it wrote.
fn told_of(command: &str, text: &str, folder: &Path, code: u8) {
    let document = || document::results(command, folder, code);
    terminal::end(text, document, &folder.display().to_string());
}

pub(crate) fn use_threads(threads: Option<usize>) -> Result<(), Error> {
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
        terminal::put(&Mutant::ALL.iter().map(line).collect::<String>());
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
        terminal::put(&toml::to_string(&draw.plan).expect("a plan is a table"));
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
    let found = fuzz::run(&wanted)?;
    terminal::end(&found.text, || found.json(), &found.broken());
    Ok(found.code)
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
    let code = validation::code(&rows_run);
    told_of(
        "validate",
        &validation::report(&rows_run, left, &folder),
        &folder,
        code,
    );
    Ok(code)
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
pub(crate) fn stop_on_signal() {
    // A second handler in one process is refused; the first one then serves.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        let _ = writeln!(std::io::stderr(), "\nstopping; once more to stop at once");
    });
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
            let name = file.display().to_string();
            let text = format!("wrote {name}; run it with: quorate run {name}\n");
            let document =
                || serde_json::json!({ "command": "init", "file": name, "exit_code": 0 });
            terminal::end(&text, document, &name);
            Ok(exit::OK)
        }
        Err(e) => Err(Error {
            message: format!("cannot write {}: {e}", file.display()),
            hint: "name a file that does not exist yet, in a folder that can be written".to_owned(),
            code: exit::IO,
        }),
    }
}
