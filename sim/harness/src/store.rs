//! What is known of a study's units: those that journals hold, and where new ones go.

use crate::error::{Error, exit};
use crate::journal::{self, Header, Journal, Kept};
use crate::output;
use crate::record::{self, Id};
use crate::results::sha256_hex;
use crate::run::{self, Task};
use crate::shard::Shard;
use crate::study::Study;
use crate::unit::Done;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Finished units, and the journal that takes further ones.
#[derive(Default)]
pub struct Store {
    known: BTreeMap<Id, Vec<u8>>,
    journal: Option<Journal>,
    /// Whose units are run; all of them when absent.
    shard: Option<Shard>,
    /// Nothing is run: what is missing is an error.
    pub(crate) only_known: bool,
    /// Units are needed after they are journalled.
    pub(crate) keeps: bool,
    /// Units of this run that were known at the beginning, and that are finished.
    pub(crate) resumed: usize,
    pub(crate) finished: usize,
    /// Those that are not.
    pub(crate) missing: Vec<Task>,
}

impl Store {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self {
            keeps: true,
            ..Self::default()
        }
    }

    /// What `journal` holds, which takes what follows.
    pub fn resumed(journal: Journal, kept: Kept, shard: Shard) -> Self {
        Self {
            known: kept.units,
            journal: Some(journal),
            shard: Some(shard),
            keeps: true,
            ..Self::default()
        }
    }

    /// All that the journals of a folder hold; nothing is run.
    ///
    /// # Errors
    /// Journals of another plan, and units that ended in two ways.
    pub fn merged(journals: Vec<(PathBuf, Header, Kept)>) -> Result<Self, Error> {
        let mut store = Self {
            only_known: true,
            keeps: true,
            ..Self::default()
        };
        let mut from: BTreeMap<Id, usize> = BTreeMap::new();
        let paths: Vec<PathBuf> = journals.iter().map(|(path, ..)| path.clone()).collect();
        for (i, (path, _, kept)) in journals.into_iter().enumerate() {
            for (id, bytes) in kept.units {
                let first = *from.entry(id).or_insert(i);
                store.absorb(id, bytes, [&paths[first], &path])?;
            }
        }
        Ok(store)
    }

    /// Takes a unit that a journal holds; one that is known already must be the same to the byte.
    fn absorb(&mut self, id: Id, bytes: Vec<u8>, of: [&Path; 2]) -> Result<(), Error> {
        match self.known.get(&id) {
            Some(known) if *known != bytes => Err(Error {
                message: format!(
                    "{:?} of part {} ended in two ways: in {} and in {}",
                    id.key(),
                    id.part,
                    of[0].display(),
                    of[1].display()
                ),
                hint: "this is a bug, or one was run by another build; run that unit again with \
                    --self-check"
                    .to_owned(),
                code: exit::NONDETERMINISM,
            }),
            Some(_) => Ok(()),
            None => {
                self.known.insert(id, bytes);
                Ok(())
            }
        }
    }

    /// Whose units are run.
    pub fn shard(&self) -> Shard {
        self.shard.unwrap_or(Shard::WHOLE)
    }

    /// Whether what is finished is kept.
    pub const fn is_durable(&self) -> bool {
        self.journal.is_some()
    }

    /// How many units are known.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn knows(&self, id: Id) -> bool {
        self.known.contains_key(&id)
    }

    /// The unit, if it is known. Its bytes are given away.
    pub(crate) fn take(&mut self, id: Id) -> Result<Option<Done>, Error> {
        let Some(bytes) = self.known.remove(&id) else {
            return Ok(None);
        };
        let decoded = record::decode(&bytes).map(|(_, done)| done);
        let unreadable = || {
            let hint = "another build of the program wrote it: use that one, or --fresh";
            Error::data(format!("a journal's unit {id:?} cannot be read"), hint)
        };
        decoded.ok_or_else(unreadable).map(Some)
    }

    /// Keeps a finished unit.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.finished += 1;
        self.journal.as_mut().map_or(Ok(()), |j| j.append(bytes))
    }

    /// To be called now and then.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn tick(&mut self) -> Result<(), Error> {
        self.journal.as_mut().map_or(Ok(()), Journal::sync_if_due)
    }

    /// An error that ended a run, with what becomes of the units that were finished.
    pub(crate) fn explained(&self, error: Error) -> Error {
        let Some(journal) = &self.journal else {
            return error;
        };
        if error.code != exit::INTERRUPTED {
            return error;
        }
        Error {
            message: format!("interrupted: {} units are finished and kept", self.finished),
            hint: format!(
                "resume with the same command; they are in {}",
                journal.path().display()
            ),
            ..error
        }
    }

    /// Units are missing that this run does not run.
    pub(crate) fn incomplete(&self, study: &Study) -> Error {
        let (missing, of) = (self.missing.len(), self.finished + self.missing.len());
        // More would fill the screen.
        let some = self.missing.iter().take(10);
        let names = some.map(|(p, _, key)| format!("\n  {}", run::name(&study.parts[*p], *key)));
        let more = if missing > 10 { "\n  …" } else { "" };
        let names: String = names.collect();
        Error {
            message: format!("incomplete: {missing} of {of} units are missing:{names}{more}"),
            hint: "run the same command again; what is finished is kept".to_owned(),
            code: exit::INCOMPLETE,
        }
    }

    /// Brings everything to disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.journal.as_mut().map_or(Ok(()), Journal::sync)
    }

    /// The journal has served: results have all that it holds. A failure leaves it for the next time.
    pub fn remove(self) {
        if let Some(journal) = self.journal {
            let path = journal.path();
            std::fs::remove_file(path).ok();
            // Not where other shards' stand.
            path.parent().map(|folder| std::fs::remove_dir(folder).ok());
        }
    }
}

/// Where the journals of a study are, beside its results.
pub fn folder(out: &Path, study: &Study) -> PathBuf {
    let hash = sha256_hex(output::config(study).as_bytes());
    out.join(format!("{}.journal", output::folder_name(study, &hash)))
}

/// What a shard's journal begins with.
pub fn header(study: &Study, shard: Shard, command: &[String]) -> Header {
    Header {
        plan_hash: sha256_hex(output::config(study).as_bytes()),
        inputs: study.inputs(),
        origin: study.origin.clone(),
        text: output::with_version(&study.plan),
        command: command.to_vec(),
        ..Header::new(shard)
    }
}

/// The journals of a folder by shard, except one; those without a whole header are left out.
///
/// # Errors
/// When one cannot be read or is none.
pub fn journals(
    folder: &Path,
    except: Option<&Path>,
) -> Result<Vec<(PathBuf, Header, Kept)>, Error> {
    let unreadable = |e: std::io::Error| {
        let hint = "name the folder that ends in .journal, beside the results";
        Error::missing(format!("cannot read {}: {e}", folder.display()), hint)
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_one = path.extension().is_some_and(|e| e == "journal") && path.is_file();
        if is_one && except != Some(&path) {
            found.extend(journal::read(&path)?.map(|(header, kept)| (path, header, kept)));
        }
    }
    found.sort_by_key(|(_, header, _)| (header.shard().n, header.shard().i));
    Ok(found)
}

/// Opens the store of a run, and says how many torn bytes were cut off.
///
/// # Errors
/// When another process runs the same, a journal is foreign, or the disk refuses.
pub fn open(
    out: &Path,
    study: &Study,
    (shard, fresh): (Shard, bool),
    command: &[String],
) -> Result<(Store, u64), Error> {
    let folder = folder(out, study);
    let header = header(study, shard, command);
    let path = folder.join(shard.file());
    if fresh && folder.is_dir() {
        discard(&folder, shard)?;
    }
    let (journal, kept) = Journal::open(&path, &header)?;
    let torn = kept.torn;
    let mut store = Store::resumed(journal, kept, shard);
    if shard.is_whole() {
        for (other, theirs, kept) in journals(&folder, Some(&path))? {
            header.check(&theirs, &other)?;
            for (id, bytes) in kept.units {
                store.absorb(id, bytes, [&path, &other])?;
            }
        }
    }
    Ok((store, torn))
}

/// Removes the journals that a run would go on with.
fn discard(folder: &Path, shard: Shard) -> Result<(), Error> {
    let mine = |path: &Path| shard.is_whole() || path.ends_with(shard.file());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    for path in paths.filter(|p| p.extension().is_some_and(|e| e == "journal") && mine(p)) {
        journal::remove(&path)?;
    }
    Ok(())
}
