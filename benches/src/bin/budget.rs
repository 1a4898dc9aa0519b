//! Counts the instructions of fixed jobs with callgrind and holds them against `budgets.toml`.
//! `scripts/budget.sh` builds and runs it.
//!
//! Plain counts without a model of caches: the same program executes the same instructions whatever
//! else the machine does. Budgets belong to a compiler and an architecture; others are reported only.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for terminals and logs"
)]

use quorate_benches::budget::jobs;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// A count may differ by so much from its budget.
// assumption: a changed machine moves counts by less (the C library chooses its copying loops by the
// CPU), and a change that matters moves them by more.
const TOLERANCE: f64 = 0.02;

const ACCEPT: &str = "scripts/budget.sh --accept";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--job", name] => one(name),
        ["--budgets", file, "--compiler", compiler, options @ ..]
            if options.iter().all(|o| OPTIONS.contains(o)) =>
        {
            let is = |option: &str| options.contains(&option);
            check(Path::new(file), compiler, is("--accept"), is("--require"))
        }
        _ => {
            eprintln!("budget --budgets FILE --compiler TEXT [--accept] [--require]");
            ExitCode::from(2)
        }
    }
}

/// Make the counts of now the budgets; fail where this compiler has none.
const OPTIONS: [&str; 2] = ["--accept", "--require"];

/// The child under Valgrind: runs a job.
fn one(name: &str) -> ExitCode {
    let Some(mut job) = jobs().into_iter().find(|j| j.name() == name) else {
        eprintln!("no job {name:?}");
        return ExitCode::from(2);
    };
    println!("{:?}", job.run());
    ExitCode::SUCCESS
}

/// Counts all jobs and holds them against the budgets of this compiler, or makes them its budgets.
fn check(file: &Path, compiler: &str, accept: bool, require: bool) -> ExitCode {
    let mut all = match read(file) {
        Ok(all) => all,
        Err(why) => {
            eprintln!("{}: {why}", file.display());
            return ExitCode::from(2);
        }
    };
    let mine = all.get(compiler).and_then(toml::Value::as_table);
    let budgets = mine.cloned().unwrap_or_default();
    let mut counted = toml::Table::new();
    let mut failed = false;
    println!("instructions on {compiler}");
    for job in jobs() {
        let name = job.name();
        let got = match count(&name) {
            Ok(got) => got,
            Err(why) => {
                eprintln!("{name}: {why}");
                return ExitCode::FAILURE;
            }
        };
        let budget = budgets.get(&name).and_then(toml::Value::as_integer);
        let (line, holds) = judge(&name, got, budget);
        println!("{line}");
        failed |= !holds;
        counted.insert(name, got.into());
    }
    if accept {
        all.insert(compiler.to_owned(), toml::Value::Table(counted));
        return write(file, &all);
    }
    let (line, holds) = verdict(compiler, budgets.is_empty(), failed, require);
    if let Some(line) = line {
        println!("{line}");
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is said in the end, and whether the gate is green: one that could not be held against anything says
/// so, and is red where it is required.
fn verdict(compiler: &str, unknown: bool, failed: bool, require: bool) -> (Option<String>, bool) {
    if unknown {
        let line =
            format!("SKIPPED perf (no budget for {compiler}; accept these counts: {ACCEPT})");
        (Some(line), !require)
    } else if failed {
        let line = format!("FAIL over or under budget; if that is meant: {ACCEPT}");
        (Some(line), false)
    } else {
        (None, true)
    }
}

/// A line about a count, and whether it may stand.
fn judge(name: &str, got: i64, budget: Option<i64>) -> (String, bool) {
    let Some(budget) = budget else {
        return (format!("  new   {name}: {got}"), true);
    };
    let change = got as f64 / budget as f64 - 1.0;
    // Less is also a change of the budget: else what was won could be lost again unseen.
    let holds = change.abs() <= TOLERANCE;
    let verdict = if holds { "ok  " } else { "FAIL" };
    let percent = 100.0 * change;
    let line = format!("  {verdict}  {name}: expected {budget}, got {got} ({percent:+.2} %)");
    (line, holds)
}

/// Instructions of a job in a process of its own.
fn count(name: &str) -> Result<i64, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let run = valgrind.arg(program).args(["--job", name]).output();
    let output = run.map_err(|e| format!("valgrind does not start: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the job failed:\n{said}"));
    }
    let counts = said.lines().find_map(|l| l.split("Collected : ").nth(1));
    let count = counts.and_then(|c| c.trim().parse().ok());
    count.ok_or_else(|| format!("callgrind says no count:\n{said}"))
}

fn read(file: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    toml::from_str(&text).map_err(|e| e.to_string())
}

fn write(file: &Path, all: &toml::Table) -> ExitCode {
    let mut text = String::from(
        "# Instructions of fixed jobs by compiler, architecture and processor, see `scripts/budget.sh`.\n",
    );
    let _ = write!(
        text,
        "\n{}",
        toml::to_string(all).expect("counts are a table")
    );
    match std::fs::write(file, text) {
        Ok(()) => {
            println!("accepted into {}", file.display());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{}: {e}", file.display());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, verdict};

    #[test]
    fn a_gate_without_a_budget_says_so_and_may_be_required() {
        let (line, holds) = verdict("rustc 9", true, false, false);
        assert!(line.is_some_and(|l| l.starts_with("SKIPPED perf (no budget for rustc 9")));
        assert!(holds);
        assert!(!verdict("rustc 9", true, false, true).1);
        assert!(!verdict("rustc 9", false, true, false).1);
        assert_eq!(verdict("rustc 9", false, false, true), (None, true));
    }

    #[test]
    fn a_count_may_stray_by_two_percent_either_way() {
        let holds = |got, budget| judge("job", got, budget).1;
        assert!(holds(1_019, Some(1_000)) && holds(981, Some(1_000)));
        assert!(!holds(1_021, Some(1_000)) && !holds(979, Some(1_000)));
        assert!(holds(5, None));
    }

    #[test]
    fn a_failure_names_job_budget_and_count() {
        let (line, _) = judge("queue::hold", 1_100, Some(1_000));
        assert_eq!(
            line,
            "  FAIL  queue::hold: expected 1000, got 1100 (+10.00 %)"
        );
    }
}
