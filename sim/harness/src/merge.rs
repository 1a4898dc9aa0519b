//! `quorate merge` and `quorate status`: what shards have finished, and the results of all of them.

use crate::durable::quoted;
use crate::error::{Error, exit};
use crate::journal::{self, Header};
use crate::output;
use crate::plan::Source;
use crate::record::Id;
use crate::results::sha256_hex;
use crate::run::{self, Outcome};
use crate::shard::{Deal, Shard, is_adaptive};
use crate::store::{self, Store};
use crate::study::Study;
use crate::terminal;
use crate::workers::Budget;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What is merged.
#[derive(clap::Args)]
pub struct Wanted {
    /// The folder of journals, beside the results: it ends in .journal
    dir: PathBuf,
    /// Folder that the results folder is put into; the one that holds the journals when left out
    #[arg(long)]
    out: Option<PathBuf>,
    /// Remove the journals once the results are written
    #[arg(long)]
    clean: bool,
}

/// What is asked about.
#[derive(clap::Args)]
pub struct Asked {
    /// The folder of journals, beside the results: it ends in .journal
    dir: PathBuf,
}

/// Units of a study that are merged.
pub(crate) struct Merged {
    pub(crate) study: Study,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) out: PathBuf,
    dir: PathBuf,
    clean: bool,
}

impl Merged {
    /// Removes the journals, if that was asked for; the results must stand.
    ///
    /// # Errors
    /// When somebody still writes one.
    pub(crate) fn clean(&self) -> Result<(), Error> {
        if !self.clean {
            return Ok(());
        }
        for (path, ..) in store::journals(&self.dir, None)? {
            journal::remove(&path)?;
        }
        // Not where something else stands.
        std::fs::remove_dir(&self.dir).ok();
        Ok(())
    }
}

/// Reads all journals of a folder; runs nothing.
///
/// # Errors
/// When a unit is missing, two journals differ about one, or a journal is foreign.
pub(crate) fn merge(wanted: &Wanted) -> Result<Merged, Error> {
    let mut found = Found::open(&wanted.dir)?;
    let outcomes = found.outcomes(true).map_err(|error| {
        if error.code != exit::INCOMPLETE {
            return error;
        }
        let commands: String = found
            .shards()
            .iter()
            .filter_map(|shard| Some(format!("\n  {}", shard.command.as_ref()?)))
            .collect();
        Error {
            hint: format!("run what is missing, then merge again:{commands}"),
            ..error
        }
    })?;
    let parent = || found.dir.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Merged {
        out: wanted.out.clone().unwrap_or_else(parent),
        dir: found.dir,
        clean: wanted.clean,
        study: found.study,
        outcomes,
    })
}

/// Says how far the shards are; the exit code says whether all is there.
///
/// # Errors
/// As [`merge`], except that units may be missing.
pub(crate) fn status(asked: &Asked) -> Result<(String, u8), Error> {
    let mut found = Found::open(&asked.dir)?;
    let code = match found.outcomes(false) {
        Ok(_) => exit::OK,
        Err(error) if error.code == exit::INCOMPLETE => exit::INCOMPLETE,
        Err(error) => return Err(error),
    };
    let shards = found.shards();
    let text = if terminal::manner().json {
        found.json(&shards)
    } else {
        found.text(&shards)
    };
    Ok((text, code))
}

/// What the journals of a folder hold.
struct Found {
    dir: PathBuf,
    study: Study,
    header: Header,
    /// Into how many shards the plan is shared; the largest number where there are several.
    n: u32,
    /// Shards that somebody runs.
    running: Vec<Shard>,
    finished: Vec<Id>,
    store: Store,
}

/// How far a shard is.
struct Progress {
    shard: Shard,
    finished: usize,
    planned: usize,
    is_running: bool,
    /// What runs the rest, where something is missing.
    command: Option<String>,
}

impl Found {
    fn open(dir: &Path) -> Result<Self, Error> {
        let dir = located(dir)?;
        let journals = store::journals(&dir, None)?;
        let Some((path, header, _)) = journals.first() else {
            let why = format!("{} holds no journal", dir.display());
            return Err(Error::missing(
                why,
                "run a shard first, such as `quorate run PLAN --shard 1/2`",
            ));
        };
        let header = header.clone();
        // Another version may not even understand the plan.
        let mine = Header {
            plan_hash: header.plan_hash.clone(),
            inputs: header.inputs,
            ..Header::new(header.shard())
        };
        mine.check(&header, path)?;
        let study = opened(&header)?;
        for (path, other, _) in &journals {
            let mine = Header {
                plan_hash: sha256_hex(output::config(&study).as_bytes()),
                inputs: study.inputs(),
                ..Header::new(other.shard())
            };
            mine.check(other, path)?;
        }
        let n = journals.iter().map(|(_, h, _)| h.shard().n).max();
        let held = journals.iter().filter(|(path, ..)| journal::is_held(path));
        let running = held.map(|(_, header, _)| header.shard()).collect();
        let ids = journals.iter().flat_map(|(.., kept)| kept.units.keys());
        let mut finished: Vec<Id> = ids.copied().collect();
        finished.sort_unstable();
        finished.dedup();
        Ok(Self {
            dir,
            study,
            header,
            n: n.unwrap_or(1),
            running,
            finished,
            store: Store::merged(journals)?,
        })
    }

    fn outcomes(&mut self, keeps: bool) -> Result<Vec<Outcome>, Error> {
        self.store.keeps = keeps;
        run::run_with(&self.study, &mut self.store, &Budget::default(), "")
    }

    /// How far each shard is; [`Self::outcomes`] must have looked for what is missing.
    fn shards(&self) -> Vec<Progress> {
        let deal = Deal::new(&self.study, &run::first_units(&self.study), self.n);
        let mut counts: BTreeMap<Shard, (usize, usize)> = (1..=self.n)
            .map(|i| (Shard { i, n: self.n }, (0, 0)))
            .collect();
        for id in &self.finished {
            counts
                .entry(deal.shard(id.part as usize, id.key()))
                .or_default()
                .0 += 1;
        }
        for (part, _, key) in &self.store.missing {
            counts.entry(deal.shard(*part, *key)).or_default().1 += 1;
        }
        let progress = |(shard, (finished, missing)): (Shard, (usize, usize))| Progress {
            shard,
            finished,
            planned: finished + missing,
            is_running: self.running.contains(&shard),
            command: (missing > 0).then(|| self.command(shard)),
        };
        counts.into_iter().map(progress).collect()
    }

    fn command(&self, shard: Shard) -> String {
        let command = quoted(&self.header.command);
        if shard.is_whole() {
            command
        } else {
            format!("{command} --shard {shard}")
        }
    }

    fn text(&self, shards: &[Progress]) -> String {
        let (missing, finished) = (self.store.missing.len(), self.finished.len());
        let mut text = format!(
            "{}: {finished} of {} units are finished\n",
            self.dir.display(),
            finished + missing
        );
        for shard in shards {
            let note = if shard.is_running { ", running" } else { "" };
            let (name, finished, planned) = (shard.shard, shard.finished, shard.planned);
            let _ = writeln!(text, "  shard {name}: {finished} of {planned}{note}");
        }
        if missing == 0 {
            let _ = writeln!(text, "complete: quorate merge {}", self.dir.display());
            return text;
        }
        if is_adaptive(&self.study.plan) {
            text.push_str("more units may follow from these\n");
        }
        text.push_str("to run what is missing:\n");
        for command in shards.iter().filter_map(|shard| shard.command.as_ref()) {
            let _ = writeln!(text, "  {command}");
        }
        text
    }

    fn json(&self, shards: &[Progress]) -> String {
        let (missing, finished) = (self.store.missing.len(), self.finished.len());
        let shard = |s: &Progress| {
            json!({
                "shard": s.shard.to_string(),
                "finished": s.finished,
                "planned": s.planned,
                "running": s.is_running,
                "command": s.command,
            })
        };
        let status = json!({
            "plan": self.study.plan.name,
            "plan_hash": self.header.plan_hash,
            "model_version": self.header.model_version,
            "finished": finished,
            "planned": finished + missing,
            "complete": missing == 0,
            "more_may_follow": missing > 0 && is_adaptive(&self.study.plan),
            "shards": shards.iter().map(shard).collect::<Vec<_>>(),
        });
        format!("{status:#}\n")
    }
}

/// The study that a journal is of.
fn opened(header: &Header) -> Result<Study, Error> {
    let source = Source::new(&header.origin, &header.text);
    let plan = source.plan(&[])?;
    Study::open(&source, plan)
}

/// The folder of journals that is meant: this one, that of these results, or the only one in here.
fn located(dir: &Path) -> Result<PathBuf, Error> {
    let is_one = |path: &Path| path.is_dir() && path.extension().is_some_and(|e| e == "journal");
    let of_results = PathBuf::from(format!(
        "{}.journal",
        dir.display().to_string().trim_end_matches('/')
    ));
    if is_one(dir) {
        return Ok(dir.to_owned());
    }
    if is_one(&of_results) {
        return Ok(of_results);
    }
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut within: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| is_one(p)).collect();
    within.sort();
    let hint = "name the folder that ends in .journal, beside the results";
    match within.as_slice() {
        [only] => Ok(only.clone()),
        [] if dir.is_dir() && store::journals(dir, None).is_ok_and(|j| !j.is_empty()) => {
            Ok(dir.to_owned())
        }
        [] => Err(Error::missing(
            format!("no journals in {}", dir.display()),
            hint,
        )),
        several => {
            let names: Vec<String> = several.iter().map(|p| p.display().to_string()).collect();
            let why = format!("{} holds several: {}", dir.display(), names.join(", "));
            Err(Error::missing(why, hint))
        }
    }
}
