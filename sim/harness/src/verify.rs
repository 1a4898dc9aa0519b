//! `quorate verify DIR`: a folder is what its checksums say, and some of its units end again as it says.

use crate::cli::{stop_on_signal, use_threads};
use crate::error::{Error, exit};
use crate::output;
use crate::plan::Source;
use crate::reproduce;
use crate::resilience::Day;
use crate::results::sha256_hex;
use crate::run;
use crate::saved::{CONFIG, Saved, Table};
use crate::study::{Part, Study};
use crate::unit::{Done, Key, Tweak};
use quorate_core::Seed;
use rayon::prelude::*;
use std::path::PathBuf;

/// Which folder, and how much of it.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A results folder
    folder: PathBuf,
    /// Units that are run again, drawn by the plan's hash; `all` for every one, 0 for checksums only
    #[arg(long, value_name = "K", default_value = "5", value_parser = units)]
    units: usize,
    /// Only units of this cell of plan.csv
    #[arg(long)]
    cell: Option<u64>,
    /// Only this replication
    #[arg(long)]
    replication: Option<u32>,
    /// Where files that the plan names (traces, matrices) are looked for
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    inputs: PathBuf,
    /// Threads; all cores when left out
    #[arg(long)]
    threads: Option<usize>,
}

fn units(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "a number, or all".to_owned()),
    }
}

/// Verifies; what to print, and the exit code.
pub(crate) fn run(wanted: &Wanted) -> Result<(String, u8), Error> {
    let saved = Saved::whole(&wanted.folder)?;
    let shown = wanted.folder.display();
    let files = saved.sums.len();
    let mut text = format!(
        "{shown}: {files} of {files} files are what {} says\n",
        crate::results::CHECKSUMS
    );
    if wanted.units == 0 {
        return Ok((text, exit::OK));
    }
    let source = reproduce::kept(&saved, &wanted.inputs)?;
    use_threads(wanted.threads)?;
    stop_on_signal();
    let line = match saved.table("replications.csv")? {
        Some(table) => again(wanted, &saved, &source, &table)?,
        None => whole(wanted, &saved, &source)?,
    };
    text.push_str(&line);
    Ok((text, exit::OK))
}

/// Without a table of units, all is run again.
fn whole(wanted: &Wanted, saved: &Saved, source: &Source) -> Result<String, Error> {
    let scratch = reproduce::scratch()?;
    let rebuilt = Saved::whole(&reproduce::rebuild(source, scratch.path())?)?;
    if rebuilt.sums == saved.sums {
        return Ok("it has no table of units: all of it was run again, equal\n".to_owned());
    }
    let first = reproduce::first_difference(saved, &rebuilt)?;
    Err(otherwise(wanted, &first, ""))
}

/// Runs units again, and holds every figure against the table.
fn again(wanted: &Wanted, saved: &Saved, source: &Source, table: &Table) -> Result<String, Error> {
    let study = reproduce::study(source)?;
    let config = saved.text(CONFIG)?.unwrap_or_default();
    if output::config(&study) != config {
        let message = format!(
            "{}: {CONFIG} is not what this program makes of it",
            saved.path.display()
        );
        let hint = "the program has other keys or defaults than the one that wrote it; `quorate reproduce` names the line";
        return Err(Error::data(message, hint));
    }
    let chosen = chosen(wanted, table, &config);
    if chosen.is_empty() {
        let hint = "replications.csv lists cells and replications";
        return Err(Error::usage("there is no such unit", hint));
    }
    let command: Vec<String> = std::env::args().collect();
    let command = command.join(" ");
    let one = |row: &&Vec<String>| -> Result<Option<(String, String)>, Error> {
        let (part, key) = unit(&study, table, row)?;
        let done = run::guarded(part, key, &command)?;
        let difference = difference(table, row, &done);
        Ok(difference.map(|how| (run::name(part, key), how)))
    };
    let ended: Vec<_> = chosen.par_iter().with_max_len(1).map(one).collect();
    for (row, ended) in chosen.iter().zip(ended) {
        if let Some((name, how)) = ended? {
            let cell = |column: &str| table.cell(row, column);
            let which = format!(
                " --cell {} --replication {}",
                cell("cell"),
                cell("replication")
            );
            return Err(otherwise(wanted, &format!("{name}: {how}"), &which));
        }
    }
    let all = table.rows.len();
    Ok(format!(
        "{} of {all} units run again, equal in every figure\n",
        chosen.len()
    ))
}

fn otherwise(wanted: &Wanted, how: &str, which: &str) -> Error {
    let folder = wanted.folder.display();
    Error {
        message: format!("what was run again ended otherwise than {folder} says: {how}"),
        hint: format!(
            "repeat it with: quorate verify {folder}{which}; if twice on one machine it ends in two ways, please report it"
        ),
        code: exit::NONDETERMINISM,
    }
}

/// The rows of the units to run, drawn by the plan's hash and in the order of the table.
fn chosen<'a>(wanted: &Wanted, table: &'a Table, config: &str) -> Vec<&'a Vec<String>> {
    let number = |row: &[String], column: &str| table.cell(row, column).parse::<u64>().ok();
    let is_asked = |row: &&Vec<String>| {
        let is =
            |column: &str, asked: Option<u64>| asked.is_none_or(|a| number(row, column) == Some(a));
        is("cell", wanted.cell) && is("replication", wanted.replication.map(u64::from))
    };
    let hash = sha256_hex(config.as_bytes());
    let seed = u64::from_str_radix(&hash[..16], 16).expect("a hash is hexadecimal");
    let draw = |row: &Vec<String>| {
        let name = format!(
            "{}/{}",
            table.cell(row, "cell"),
            table.cell(row, "replication")
        );
        Seed::new(seed, 0).key(&name)
    };
    let mut rows: Vec<(u64, usize)> = table
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| is_asked(row))
        .map(|(place, row)| (draw(row), place))
        .collect();
    rows.sort_unstable();
    rows.truncate(wanted.units);
    let mut places: Vec<usize> = rows.into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    places.into_iter().map(|place| &table.rows[place]).collect()
}

/// The unit that a row is about.
fn unit<'a>(study: &'a Study, table: &Table, row: &[String]) -> Result<(&'a Part, Key), Error> {
    let cell = |column: &str| table.cell(row, column);
    let is_its = |part: &&Part| {
        part.profile.name() == cell("profile")
            && part.label == cell("workload")
            && part.plan.network.nodes.to_string() == cell("nodes")
            && ["", &part.combination.to_string()].contains(&cell("combination"))
    };
    let found = || {
        let part = study.parts.iter().find(is_its)?;
        let engines = &part.plan.engines;
        let engine = engines.iter().position(|e| e.label() == cell("engine"))?;
        let days = Day::ALL.into_iter().map(Tweak::Bad);
        let tweaks = [Tweak::None, Tweak::SiteDown]
            .into_iter()
            .chain(Tweak::LIMITS)
            .chain(days);
        let tweak = tweaks.into_iter().find(|t| t.name() == cell("changed"))?;
        let offered_tps = match cell("offered_tps") {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let replication = cell("replication").parse().ok()?;
        Some((
            part,
            Key {
                engine,
                offered_tps,
                replication,
                tweak,
            },
        ))
    };
    found().ok_or_else(|| {
        let message = format!(
            "replications.csv: the plan has no cell {} ({})",
            cell("cell"),
            table.label(row)
        );
        Error::data(message, "run the plan again")
    })
}

/// The first figure in which a unit differs from its row.
fn difference(table: &Table, row: &[String], done: &Done) -> Option<String> {
    let mut figures = output::measured(done);
    figures.find_map(|(name, value)| {
        let is = value.cell().unwrap_or_else(|e| e);
        let was = table.cell(row, name);
        (is != was).then(|| format!("{name} was {was:?} and is {is:?}"))
    })
}
