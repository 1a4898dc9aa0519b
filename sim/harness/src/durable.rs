//! Runs that outlive their process: what a command line asks of them.

use crate::error::Error;
use crate::predict::{self, Prediction};
use crate::run::{self, Outcome};
use crate::shard::Shard;
use crate::store::{self, Store};
use crate::study::Study;
use crate::workers::Budget;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// How a run goes on, and what it may take.
#[derive(clap::Args, Default)]
#[group(skip)]
pub struct Wanted {
    /// Forget what an interrupted run of this plan has finished; it is resumed otherwise
    #[arg(long)]
    fresh: bool,
    /// Run only this share of the units, such as 2/8; `quorate merge` makes results of all shares
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Begin no unit that is predicted to end later than after this time, such as 30s, 10m or 2h; the
    /// same command goes on
    #[arg(long, value_name = "TIME", value_parser = crate::cli::budget)]
    time_limit: Option<Duration>,
    /// Refuse to start where more memory is predicted, such as 900MB or 2GB; fewer units run at once where
    /// that is enough
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory_limit: Option<u64>,
}

impl Wanted {
    /// Whether all is left as it is.
    fn is_plain(&self) -> bool {
        !self.fresh
            && self.shard.is_none()
            && self.time_limit.is_none()
            && self.memory_limit.is_none()
    }

    /// Refuses what a kind of plan without a journal would ignore.
    ///
    /// # Errors
    /// When something is asked for.
    pub(crate) fn refuse(&self, what: &str) -> Result<(), Error> {
        if self.is_plain() {
            return Ok(());
        }
        let why = "--fresh, --shard, --time-limit and --memory-limit are for plans with a journal";
        Err(Error::config(
            why,
            format!("leave them out: {what} is run in one go"),
        ))
    }

    /// Whose units are run.
    pub(crate) fn shard(&self) -> Shard {
        self.shard.unwrap_or(Shard::WHOLE)
    }

    /// How many bytes units may take together: what the limit leaves beside what is kept.
    ///
    /// # Errors
    /// When the limit is too small for one unit at a time.
    fn memory(&self, study: &Study) -> Result<Option<u64>, Error> {
        let Some(limit) = self.memory_limit else {
            return Ok(None);
        };
        let one = Prediction::of(study, self.shard(), 1);
        if one.peak_bytes > limit {
            let (needs, has) = (predict::size(one.peak_bytes), predict::size(limit));
            let why = format!(
                "--memory-limit {has}: the plan is predicted to take {needs} even unit by unit"
            );
            let hint = "raise the limit, or lower network.nodes, load.offered_tps or load.duration_s; \
                with more shards less is kept";
            return Err(Error::config(why, hint));
        }
        Ok(Some(limit - one.kept_bytes))
    }
}

/// Runs a study or a shard of it, resuming what a journal has.
///
/// # Errors
/// As [`run::run_with`], and when the journal cannot be used or a limit is too small.
pub(crate) fn run(
    study: &Study,
    out: &Path,
    wanted: &Wanted,
    keeps: bool,
) -> Result<(Vec<Outcome>, Store), Error> {
    let budget = Budget {
        time: wanted.time_limit,
        memory: wanted.memory(study)?,
        ..Budget::default()
    };
    let command = plain(std::env::args());
    let shard = wanted.shard();
    if wanted.time_limit.is_some() || wanted.memory_limit.is_some() {
        let prediction = Prediction::of(study, shard, rayon::current_num_threads());
        let _ = writeln!(std::io::stderr(), "predicted: {prediction}");
    }
    let (mut store, torn) = store::open(out, study, (shard, wanted.fresh), &command)?;
    store.keeps = keeps || shard.is_whole();
    let known = store.len();
    if known > 0 || torn > 0 {
        let line = format!("resumed {known} units, dropped {torn} torn bytes");
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    let outcomes = run::run_with(study, &mut store, &budget, &quoted(&command))?;
    Ok((outcomes, store))
}

/// What is printed when a shard is finished.
pub(crate) fn finished(study: &Study, out: &Path, store: &Store) -> String {
    let folder = store::folder(out, study);
    format!(
        "shard {}: {} units are finished, {} of them now\n\
         when all shards are: quorate merge {}\n",
        store.shard(),
        store.finished,
        store.finished - store.resumed,
        folder.display()
    )
}

/// The command line without what is of one process only: it runs the plan on any shard.
fn plain(args: impl Iterator<Item = String>) -> Vec<String> {
    let mut plain = Vec::new();
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        if arg == "--shard" {
            args.next();
        } else if arg != "--fresh" && !arg.starts_with("--shard=") {
            plain.push(arg);
        }
    }
    plain
}

/// A command line as a shell reads it.
pub(crate) fn quoted(command: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    let word = |arg: &String| {
        if !arg.is_empty() && arg.chars().all(is_plain) {
            arg.clone()
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    };
    let words: Vec<String> = command.iter().map(word).collect();
    words.join(" ")
}

/// A number and a unit of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "a number with KB, MB, GB or TB after it, such as 2GB".to_owned();
    let units = [("KB", 3), ("MB", 6), ("GB", 9), ("TB", 12)];
    let (unit, power) = *units
        .iter()
        .find(|(unit, _)| text.ends_with(unit))
        .ok_or_else(wrong)?;
    let number: f64 = text[..text.len() - unit.len()]
        .trim()
        .parse()
        .map_err(|_| wrong())?;
    let bytes = number * 10_u64.pow(power) as f64;
    if bytes.is_finite() && bytes >= 1.0 {
        Ok(bytes as u64)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(bytes("1.5MB"), Ok(1_500_000));
        for wrong in ["2", "GB", "-1GB", "0MB", "2gb", "NaNGB", "infMB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_command_is_that_of_any_shard() {
        let args = [
            "q",
            "run",
            "a b",
            "--shard",
            "1/2",
            "-s",
            "x=['d']",
            "--fresh",
            "--shard=2/3",
        ];
        let command = plain(args.iter().map(|s| (*s).to_owned()));
        assert_eq!(quoted(&command), r"q run 'a b' -s 'x=['\''d'\'']'");
    }
}
