//! The journal: finished units of one shard, appended as they finish.
//!
//! A file begins with a magic word and a header that names the plan, then one record for each unit. Header
//! and records stand behind their length and their CRC-32, both little-endian. One process writes, under
//! a lock. Whatever kills it leaves a valid prefix: the rest is cut off when the file is opened again.
//! What was appended is brought to disk once a second and at the end; a killed process loses nothing of
//! it, a power failure at most the last second.

#![expect(
    clippy::disallowed_types,
    reason = "when to sync; what is written does not depend on it"
)]

use crate::error::{Error, exit};
use crate::record::{self, Id};
use crate::shard::Shard;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first bytes of every journal; the number is that of the format.
const MAGIC: &[u8] = b"quorate journal 1\n";

/// How long what was appended may wait for the disk.
// assumption: a second of work is cheap to repeat; a sync takes milliseconds, so this costs below 1 %.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What a journal is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// SHA-256 of the plan as results have it.
    pub plan_hash: String,
    /// A hash of what the plan's input files hold.
    pub inputs: u64,
    /// Which results the simulator gives.
    pub model_version: u32,
    /// Place in the shards, counted from 1, and their number.
    pub shard: (u32, u32),
    /// Where the plan's file is; files that it names are beside it.
    pub origin: String,
    /// The plan with its overrides, to be read again.
    pub text: String,
    /// The command line that runs it, without its shard.
    pub command: Vec<String>,
}

impl Header {
    /// Of a shard of a plan.
    pub fn new(shard: Shard) -> Self {
        Self {
            plan_hash: String::new(),
            inputs: 0,
            model_version: crate::output::MODEL_VERSION,
            shard: (shard.i, shard.n),
            origin: String::new(),
            text: String::new(),
            command: Vec::new(),
        }
    }

    /// Whose units the journal holds.
    pub const fn shard(&self) -> Shard {
        Shard {
            i: self.shard.0,
            n: self.shard.1,
        }
    }

    /// Refuses another plan's journal.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, other: &Self, path: &Path) -> Result<(), Error> {
        let hint =
            "nothing was touched; run the plan that it belongs to, use another --out, or delete it";
        let foreign = |why: String| Error::data(format!("{}: {why}", path.display()), hint);
        let (mine, theirs) = (self.model_version, other.model_version);
        if mine != theirs {
            return Err(foreign(format!(
                "its units are of model version {theirs}, this program's of {mine}"
            )));
        }
        if self.plan_hash != other.plan_hash {
            let short = |hash: &str| hash.chars().take(8).collect::<String>();
            let (mine, theirs) = (short(&self.plan_hash), short(&other.plan_hash));
            return Err(foreign(format!("belongs to plan {theirs}, not to {mine}")));
        }
        if self.inputs != other.inputs {
            return Err(foreign(
                "the plan's input files have changed since".to_owned(),
            ));
        }
        Ok(())
    }
}

/// What a journal holds.
#[derive(Default, Debug)]
pub struct Kept {
    /// The bytes of each finished unit.
    pub units: BTreeMap<Id, Vec<u8>>,
    /// Bytes behind the last whole record.
    pub torn: u64,
    /// Length of what is whole.
    len: u64,
}

/// Where bytes go; a file, or a disk that fails in tests.
pub trait Medium: Send {
    /// Appends all of it.
    ///
    /// # Errors
    /// What the disk says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file to a length and goes on there.
    ///
    /// # Errors
    /// What the disk says.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Brings everything to disk.
    ///
    /// # Errors
    /// What the disk says.
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A journal that is written.
pub struct Journal {
    medium: Box<dyn Medium>,
    path: PathBuf,
    /// Length of what is whole.
    len: u64,
    /// When something was last brought to disk, and whether there is more since.
    synced: Instant,
    is_dirty: bool,
}

impl Journal {
    /// Opens or begins the journal at `path`, and cuts off what is torn.
    ///
    /// # Errors
    /// When another process writes it, it belongs to another plan, or the disk refuses.
    pub fn open(path: &Path, header: &Header) -> Result<(Self, Kept), Error> {
        let mut file = locked(path)?;
        let mut kept = Kept::default();
        if let Some((theirs, held)) = read_from(&mut file, path)? {
            header.check(&theirs, path)?;
            if theirs.shard != header.shard {
                let of = theirs.shard();
                let why = format!("{}: holds shard {of} under another name", path.display());
                return Err(Error::data(why, format!("rename it to {}", of.file())));
            }
            kept = held;
        } else {
            kept.torn = file.metadata().map_or(0, |m| m.len());
            if kept.torn > first_bytes(header).len() as u64 {
                return Err(damaged(path));
            }
        }
        let mut journal = Self {
            medium: Box::new(file),
            path: path.to_owned(),
            len: kept.len,
            synced: Instant::now(),
            is_dirty: false,
        };
        journal
            .medium
            .cut(kept.len)
            .map_err(|e| journal.failed(&e))?;
        if kept.len == 0 {
            journal.begin(header)?;
        }
        Ok((journal, kept))
    }

    /// A journal on something else than a file.
    ///
    /// # Errors
    /// When that refuses the header.
    pub fn on(medium: Box<dyn Medium>, path: &Path, header: &Header) -> Result<Self, Error> {
        let mut journal = Self {
            medium,
            path: path.to_owned(),
            len: 0,
            synced: Instant::now(),
            is_dirty: false,
        };
        journal.begin(header)?;
        Ok(journal)
    }

    fn begin(&mut self, header: &Header) -> Result<(), Error> {
        self.write(&first_bytes(header))?;
        self.sync()
    }

    /// Adds a finished unit. On an error the file is as it was before.
    ///
    /// # Errors
    /// When the disk refuses, such as a full one.
    pub fn append(&mut self, unit: &[u8]) -> Result<(), Error> {
        self.write(&framed(unit))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Err(e) = self.medium.append(bytes) {
            // Should this fail too, the next `open` cuts it off.
            self.medium.cut(self.len).ok();
            return Err(self.failed(&e));
        }
        self.len += bytes.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// Brings what was appended to disk, if the last time was long enough ago.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync_if_due(&mut self) -> Result<(), Error> {
        if self.is_dirty && self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Brings everything to disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.medium.sync().map_err(|e| self.failed(&e))?;
        self.synced = Instant::now();
        self.is_dirty = false;
        Ok(())
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error {
            message: format!("cannot write {}: {error}", self.path.display()),
            hint: "what was finished is kept: make room, then run the same command again"
                .to_owned(),
            code: exit::IO,
        }
    }
}

/// How a journal begins.
fn first_bytes(header: &Header) -> Vec<u8> {
    let header = postcard::to_allocvec(header).expect("memory takes a header");
    [MAGIC, &framed(&header)].concat()
}

/// Removes a journal that nobody writes.
///
/// # Errors
/// When somebody does, it is none, or the disk refuses.
pub fn remove(path: &Path) -> Result<(), Error> {
    let mut file = locked(path)?;
    read_from(&mut file, path)?;
    std::fs::remove_file(path).map_err(|e| unreadable(path, &e))
}

/// Whether a process writes it now.
pub(crate) fn is_held(path: &Path) -> bool {
    let file = File::open(path);
    file.is_ok_and(|f| matches!(f.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A length, a checksum and what they are of.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
    framed.extend(crc32fast::hash(bytes).to_le_bytes());
    framed.extend(bytes);
    framed
}

/// Reads a journal that somebody else may be writing.
///
/// # Errors
/// When it cannot be read, or is no journal; `None` where not even its header is whole.
pub fn read(path: &Path) -> Result<Option<(Header, Kept)>, Error> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    read_from(&mut file, path)
}

fn read_from(file: &mut File, path: &Path) -> Result<Option<(Header, Kept)>, Error> {
    let len = file.metadata().map_err(|e| unreadable(path, &e))?.len();
    let broken = |e: io::Error| unreadable(path, &e);
    let mut from = BufReader::new(file);
    let mut magic = Vec::new();
    let most = MAGIC.len() as u64;
    from.by_ref()
        .take(most)
        .read_to_end(&mut magic)
        .map_err(broken)?;
    if !MAGIC.starts_with(&magic) {
        let hint = "nothing was touched; move it away if it is something else";
        let why = format!("{} is no journal of this program", path.display());
        return Err(Error::data(why, hint));
    }
    let Some(header) = frame(&mut from, len, &mut (magic.len() as u64)).map_err(broken)? else {
        return Ok(None);
    };
    let header = postcard::from_bytes::<Header>(&header).map_err(|_| damaged(path))?;
    let mut kept = Kept::default();
    let mut at = from.stream_position().map_err(broken)?;
    kept.len = at;
    while let Some(bytes) = frame(&mut from, len, &mut at).map_err(broken)? {
        let Some(id) = record::id(&bytes) else { break };
        kept.len = at;
        kept.units.insert(id, bytes);
    }
    kept.torn = len - kept.len;
    Ok(Some((header, kept)))
}

/// The next frame behind `at`; `None` where the rest is torn.
fn frame(from: &mut impl Read, len: u64, at: &mut u64) -> io::Result<Option<Vec<u8>>> {
    if len.saturating_sub(*at) < 8 {
        return Ok(None);
    }
    let mut head = [0; 8];
    from.read_exact(&mut head)?;
    let [size, crc] = [0, 4].map(|i| {
        let word = head[i..i + 4].try_into().expect("four bytes");
        u32::from_le_bytes(word)
    });
    if len - *at - 8 < u64::from(size) {
        return Ok(None);
    }
    let mut bytes = vec![0; size as usize];
    from.read_exact(&mut bytes)?;
    *at += 8 + u64::from(size);
    Ok((crc32fast::hash(&bytes) == crc).then_some(bytes))
}

/// How long a lock is waited for: it outlives its process while another is between fork and exec, one
/// that was interrupted is saving, and `status` holds one while it looks.
// assumption: far more than any of these needs, and no wait that anybody minds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Locks a file for this process alone, unless another keeps it.
fn lock(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(PATIENCE / 100);
            }
            settled => return settled,
        }
    }
}

/// The file at `path`, made where needed, for this process alone.
fn locked(path: &Path) -> Result<File, Error> {
    let refused = |e: &io::Error| Error {
        message: format!("cannot open {}: {e}", path.display()),
        hint: "check --out and the disk, then run the same command again".to_owned(),
        code: exit::IO,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| refused(&e))?;
    }
    let mut open = OpenOptions::new();
    let open = open.read(true).write(true).create(true).truncate(false);
    let file = open.open(path).map_err(|e| refused(&e))?;
    match lock(&file) {
        Ok(()) if stands(&file, path) => Ok(file),
        // Who wrote it has finished and removed it meanwhile.
        Ok(()) => locked(path),
        Err(TryLockError::Error(e)) => Err(refused(&e)),
        Err(TryLockError::WouldBlock) => Err(Error {
            message: format!("{} is being written by another process", path.display()),
            hint: "wait until it ends, or stop it; `quorate status` says how far it is".to_owned(),
            code: exit::LOCKED,
        }),
    }
}

/// Whether an open file is still the one at its path.
#[cfg(unix)]
fn stands(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |m: std::fs::Metadata| (m.dev(), m.ino());
    let there = std::fs::metadata(path).map(place).ok();
    there.is_some() && there == file.metadata().map(place).ok()
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
const fn stands(_: &File, _: &Path) -> bool {
    true
}

fn damaged(path: &Path) -> Error {
    let why = format!("{}: its header is damaged", path.display());
    Error::data(why, "nothing was touched; delete it to begin anew")
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let hint = "check that it is there and can be read";
    Error::missing(format!("cannot read {}: {error}", path.display()), hint)
}
