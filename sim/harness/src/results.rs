//! The results folder: all of it or none of it, with a schema and checksums.
//!
//! A [`Folder`] collects files in a hidden sibling of its final place, `.<name>.partial-<pid>`, and
//! [`Folder::finish`] renames it into place. So a reader never meets a half-written folder under
//! the final name, whatever interrupts the writer.
//!
//! Two kinds of files never mix. *Deterministic* files are a function of plan and model version;
//! they stand in `SHA256SUMS`, and their tables in `datapackage.json` (Data Package v2).
//! *Environmental* files (host, wall time) stand in neither.
//!
//! Numbers are written in the shortest form that reads back to the same value, integers as
//! integers; lines end in LF; an empty cell is a missing value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, json};
use sha2::{Digest, Sha256};

/// The checksums of the deterministic files, as `sha256sum -c` reads them.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// The description of the deterministic tables.
pub const DATA_PACKAGE: &str = "datapackage.json";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A finite number.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl Kind {
    /// The type's name in a Table Schema.
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    fn admits(self, value: &Value) -> bool {
        match value {
            Value::Missing => true,
            Value::Str(_) => self == Self::String,
            Value::Int(_) | Value::Uint(_) => matches!(self, Self::Integer | Self::Number),
            Value::Num(_) => self == Self::Number,
            Value::Bool(_) => self == Self::Boolean,
        }
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The header, with the unit last: `commit_latency_p99_ms`.
    pub name: &'static str,
    /// What its cells hold.
    pub kind: Kind,
    /// The unit of the values; empty where there is none, such as for names and counts.
    pub unit: &'static str,
    /// What the value means, in a sentence.
    pub description: &'static str,
    /// Whether it belongs to the primary key: never missing, and no two rows alike in all keys.
    pub key: bool,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A whole number that is not negative.
    Uint(u64),
    /// A number; a table refuses one that is not finite.
    Num(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Nothing was observed, or it does not apply.
    Missing,
}

impl Value {
    /// The value as a number, if it is one.
    pub(crate) const fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Num(value) => Some(*value),
            Self::Str(_) | Self::Bool(_) | Self::Missing => None,
        }
    }

    /// The cell's text, or what is wrong with it.
    pub(crate) fn cell(&self) -> Result<String, String> {
        Ok(match self {
            Self::Str(text) => text.clone(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => value.to_string(),
            // Adding zero turns -0 into 0.
            Self::Num(value) if value.is_finite() => (value + 0.0).to_string(),
            Self::Num(value) => return Err(format!("{value} is not a finite number")),
            Self::Bool(value) => value.to_string(),
            Self::Missing => String::new(),
        })
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Uint(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Uint(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Num(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// Why a results folder could not be written or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// The file system refused.
    #[error("cannot {action} {}: {}", path.display(), reason(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder is needed where a file stands.
    #[error("{} exists and is not a folder", path.display())]
    NotAFolder {
        /// The file in the way.
        path: PathBuf,
    },
    /// A folder stands there that no finished run wrote.
    #[error("{} exists and has no {CHECKSUMS}: it is not a results folder", path.display())]
    Foreign {
        /// The folder in the way.
        path: PathBuf,
    },
    /// A file or folder cannot have this name.
    #[error("{name:?} cannot name a results {what}: {problem}")]
    Name {
        /// `file` or `folder`.
        what: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A row has too many or too few cells.
    #[error("{file}, row {row}: {got} cells for {expected} columns")]
    Width {
        /// The table.
        file: String,
        /// The row; the first below the header is 1.
        row: usize,
        /// Number of columns.
        expected: usize,
        /// Number of cells.
        got: usize,
    },
    /// A cell does not fit its column.
    #[error("{file}, row {row}, column {column}: {problem}")]
    Cell {
        /// The table.
        file: String,
        /// The row; the first below the header is 1.
        row: usize,
        /// The column's name.
        column: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Two rows have the same key.
    #[error("{file}, row {row}: a second row with the key {key}")]
    DuplicateKey {
        /// The table.
        file: String,
        /// The later row; the first below the header is 1.
        row: usize,
        /// The key's cells.
        key: String,
    },
    /// A file of the folder failed, and its error was passed over.
    #[error("cannot finish {}: {file} is incomplete", path.display())]
    Incomplete {
        /// The folder's final place.
        path: PathBuf,
        /// The file that failed first.
        file: String,
    },
    /// A folder's files are not those that its checksums describe.
    #[error("{} differs from its {CHECKSUMS}: {}", path.display(), problems.join("; "))]
    Corrupt {
        /// The folder.
        path: PathBuf,
        /// One sentence for each file or line that is wrong.
        problems: Vec<String>,
    },
}

impl ResultsError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => io_hint(source.kind()),
            Self::NotAFolder { .. } => "remove the file, or write to another folder",
            Self::Foreign { .. } => {
                "move it away, or write to another folder; only finished results are replaced"
            }
            Self::Name { .. } => "choose another name",
            Self::Width { .. }
            | Self::Cell { .. }
            | Self::DuplicateKey { .. }
            | Self::Incomplete { .. } => {
                "this is a bug in the program that wrote the results; please report it"
            }
            Self::Corrupt { .. } => "run the plan again, or restore the folder from its source",
        }
    }

    /// The exit code that tells a script what happened, after sysexits.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::NotAFolder { .. } | Self::Foreign { .. } => 74,
            Self::Name { .. } => 78,
            Self::Corrupt { .. } => 65,
            Self::Width { .. }
            | Self::Cell { .. }
            | Self::DuplicateKey { .. }
            | Self::Incomplete { .. } => 1,
        }
    }
}

/// The system's message, with the common cases in one wording on every system.
fn reason(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull => "no space left".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => source.to_string(),
    }
}

fn io_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or write to another disk; nothing half-written was left behind"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable, or write to another one"
        }
        io::ErrorKind::NotFound => "check that the path exists",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "something else stands at this path; remove it, or write to another folder"
        }
        _ => "check the disk and the path, then run the same command again",
    }
}

/// A results folder while it is written. Dropped unfinished, it leaves nothing behind.
///
/// A process writes a folder of one name through one `Folder` at a time.
pub struct Folder {
    disk: Box<dyn Disk>,
    parent: PathBuf,
    name: String,
    partial: PathBuf,
    /// SHA-256 of each deterministic file; `None` for an environmental one.
    files: BTreeMap<String, Option<String>>,
    /// Descriptions of the deterministic tables.
    tables: BTreeMap<String, serde_json::Value>,
    /// The first file that failed: what is left of it must never be published.
    failed: Option<String>,
}

impl Folder {
    /// Begins the folder `parent/name`; creates `parent` where needed.
    ///
    /// Remains of the same folder that a dead process left are removed, or put back where that
    /// process died while it replaced an older result.
    ///
    /// # Errors
    ///
    /// If `name` is no plain file name, if something other than a results folder stands at
    /// `parent/name`, or if the disk refuses.
    pub fn create(parent: &Path, name: &str) -> Result<Self, ResultsError> {
        Self::create_on(Box::new(OsDisk), parent, name)
    }

    fn create_on(disk: Box<dyn Disk>, parent: &Path, name: &str) -> Result<Self, ResultsError> {
        check_folder_name(name)?;
        let mut folder = Self {
            disk,
            parent: parent.to_owned(),
            name: name.to_owned(),
            partial: hidden(parent, name, "partial"),
            files: BTreeMap::new(),
            tables: BTreeMap::new(),
            failed: None,
        };
        if parent.exists() && !parent.is_dir() {
            return Err(ResultsError::NotAFolder {
                path: parent.to_owned(),
            });
        }
        folder
            .disk
            .create_dir(parent)
            .map_err(at("create", parent))?;
        folder.sweep()?;
        folder.check_replaceable()?;
        folder
            .disk
            .create_dir(&folder.partial)
            .map_err(at("create", &folder.partial))?;
        Ok(folder)
    }

    /// The folder's final place, where an older result may stand until [`Folder::finish`].
    pub fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// Writes a deterministic table, one row of cells for each item, in order.
    ///
    /// # Errors
    ///
    /// If a row does not fit the columns, or the disk refuses.
    pub fn csv<R: AsRef<[Value]>>(
        &mut self,
        file: &str,
        columns: &[Column],
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), ResultsError> {
        let written = self.table(file, columns, rows)?;
        self.tables
            .insert(file.to_owned(), resource(file, columns, &written));
        self.files.insert(file.to_owned(), Some(written.sha256));
        Ok(())
    }

    /// Writes a deterministic text.
    ///
    /// # Errors
    ///
    /// If the name is taken or unfit, or the disk refuses.
    pub fn text(&mut self, file: &str, text: &str) -> Result<(), ResultsError> {
        self.bytes(file, text.as_bytes())
    }

    /// Writes a deterministic file.
    ///
    /// # Errors
    ///
    /// If the name is taken or unfit, or the disk refuses.
    pub fn bytes(&mut self, file: &str, bytes: &[u8]) -> Result<(), ResultsError> {
        let written = self.write(file, |out| Ok(out.write_all(bytes)?))?;
        self.files.insert(file.to_owned(), Some(written.sha256));
        Ok(())
    }

    /// Writes a table that may differ from machine to machine.
    ///
    /// # Errors
    ///
    /// As [`Folder::csv`].
    pub fn environmental_csv<R: AsRef<[Value]>>(
        &mut self,
        file: &str,
        columns: &[Column],
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), ResultsError> {
        self.table(file, columns, rows)?;
        self.files.insert(file.to_owned(), None);
        Ok(())
    }

    /// Writes a text that may differ from machine to machine.
    ///
    /// # Errors
    ///
    /// As [`Folder::text`].
    pub fn environmental_text(&mut self, file: &str, text: &str) -> Result<(), ResultsError> {
        self.write(file, |out| Ok(out.write_all(text.as_bytes())?))?;
        self.files.insert(file.to_owned(), None);
        Ok(())
    }

    /// Describes, seals and publishes the folder; returns its place.
    ///
    /// An older results folder of this name is replaced. On an error the older one stays, and
    /// nothing of this one does. (Where even moving the older one back fails, it waits under a
    /// hidden name for the next [`Folder::create`].)
    ///
    /// # Errors
    ///
    /// If the disk refuses, if a file failed before, or if something other than a results folder
    /// has come to stand there.
    pub fn finish(mut self) -> Result<PathBuf, ResultsError> {
        if let Some(file) = self.failed.take() {
            let path = self.path();
            return Err(ResultsError::Incomplete { path, file });
        }
        let package = self.data_package();
        let written =
            self.write_file(DATA_PACKAGE, |out| Ok(out.write_all(package.as_bytes())?))?;
        self.files
            .insert(DATA_PACKAGE.to_owned(), Some(written.sha256));
        let sums = self.checksums();
        self.write_file(CHECKSUMS, |out| Ok(out.write_all(sums.as_bytes())?))?;
        self.sync_folders()?;
        self.publish()?;
        Ok(self.path())
    }

    /// Moves the finished folder into place, and an older one out of the way.
    fn publish(&mut self) -> Result<(), ResultsError> {
        self.check_replaceable()?;
        let place = self.path();
        let old = hidden(&self.parent, &self.name, "old");
        let replaces = place.exists();
        if replaces {
            self.disk
                .rename(&place, &old)
                .map_err(at("move aside", &place))?;
        }
        if let Err(source) = self.disk.rename(&self.partial, &place) {
            if replaces {
                // Should this fail too, the next `create` puts the old folder back.
                self.disk.rename(&old, &place).ok();
            }
            return Err(at("move results to", &place)(source));
        }
        // The result stands and its files are on disk: what fails from here on loses nothing, and
        // the next `create` sweeps up.
        self.disk.sync_dir(&self.parent).ok();
        if replaces {
            self.disk.remove_dir(&old).ok();
        }
        Ok(())
    }

    /// Refuses to replace anything but a results folder: deleting is for what we wrote ourselves.
    fn check_replaceable(&self) -> Result<(), ResultsError> {
        let path = self.path();
        if !path.exists() || path.join(CHECKSUMS).is_file() {
            return Ok(());
        }
        if !path.is_dir() {
            return Err(ResultsError::NotAFolder { path });
        }
        let mut entries = fs::read_dir(&path).map_err(at("read", &path))?;
        if entries.next().is_none() {
            Ok(())
        } else {
            Err(ResultsError::Foreign { path })
        }
    }

    /// Removes what dead processes left of this folder, or puts it back.
    fn sweep(&mut self) -> Result<(), ResultsError> {
        for entry in fs::read_dir(&self.parent).map_err(at("read", &self.parent))? {
            let path = entry.map_err(at("read", &self.parent))?.path();
            match leftover(&path, &self.name) {
                None => {}
                Some("old") if !self.path().exists() => {
                    let place = self.path();
                    self.disk
                        .rename(&path, &place)
                        .map_err(at("put back", &path))?;
                }
                Some(_) => self.disk.remove_dir(&path).map_err(at("remove", &path))?,
            }
        }
        Ok(())
    }

    fn table<R: AsRef<[Value]>>(
        &mut self,
        file: &str,
        columns: &[Column],
        rows: impl IntoIterator<Item = R>,
    ) -> Result<Written, ResultsError> {
        self.write(file, |out| {
            let mut table = csv::WriterBuilder::new()
                .terminator(csv::Terminator::Any(b'\n'))
                .buffer_capacity(1 << 16)
                .from_writer(out);
            table.write_record(columns.iter().map(|column| column.name))?;
            let mut keys = BTreeSet::new();
            for (row, values) in (1..).zip(rows) {
                let cells = cells(file, row, columns, values.as_ref())?;
                check_key(file, row, columns, &cells, &mut keys)?;
                table.write_record(&cells)?;
            }
            Ok(table.flush()?)
        })
    }

    /// Writes one file of the caller's, under a name that is fit and free.
    fn write(
        &mut self,
        file: &str,
        fill: impl FnOnce(&mut Hashing<'_>) -> Result<(), FillError>,
    ) -> Result<Written, ResultsError> {
        check_file_name(file)?;
        if self.files.contains_key(file) || file == CHECKSUMS || file == DATA_PACKAGE {
            return Err(name_error("file", file, "the name is taken"));
        }
        let written = self.write_file(file, fill);
        if written.is_err() {
            self.failed.get_or_insert_with(|| file.to_owned());
        }
        written
    }

    fn write_file(
        &mut self,
        file: &str,
        fill: impl FnOnce(&mut Hashing<'_>) -> Result<(), FillError>,
    ) -> Result<Written, ResultsError> {
        let path = self.partial.join(file);
        if let Some(folder) = path.parent() {
            self.disk.create_dir(folder).map_err(at("create", folder))?;
        }
        let mut sink = self.disk.create_file(&path).map_err(at("create", &path))?;
        let mut out = Hashing {
            sink: &mut *sink,
            hash: Sha256::new(),
            bytes: 0,
        };
        fill(&mut out).map_err(|error| error.at(&path))?;
        let written = Written {
            sha256: hex(&out.hash.finalize()),
            bytes: out.bytes,
        };
        sink.sync().map_err(at("write", &path))?;
        Ok(written)
    }

    fn data_package(&self) -> String {
        let package = json!({
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
            "name": self.name,
            "resources": self.tables.values().collect::<Vec<_>>(),
        });
        format!("{package:#}\n")
    }

    fn checksums(&self) -> String {
        let mut sums = String::new();
        for (file, sha256) in &self.files {
            if let Some(sha256) = sha256 {
                // Writing to a string cannot fail.
                let _ = writeln!(sums, "{sha256}  {file}");
            }
        }
        sums
    }

    /// Brings the folder's directory entries to disk; the files are there already.
    fn sync_folders(&mut self) -> Result<(), ResultsError> {
        let within = self
            .files
            .keys()
            .filter_map(|file| Path::new(file).parent());
        let folders: BTreeSet<PathBuf> = within
            .flat_map(Path::ancestors)
            .map(|folder| self.partial.join(folder))
            .chain([self.partial.clone()])
            .collect();
        // Deepest first: a folder's entry is on disk before the folder is.
        for folder in folders.iter().rev() {
            self.disk.sync_dir(folder).map_err(at("write", folder))?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // After `finish` there is nothing left to remove; a failure here leaves a hidden folder
        // that the next `create` sweeps up.
        if self.partial.exists() {
            self.disk.remove_dir(&self.partial).ok();
        }
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder")
            .field("partial", &self.partial)
            .finish_non_exhaustive()
    }
}

/// Recomputes the checksums of a finished folder; returns how many files agree.
///
/// # Errors
///
/// If the folder or its checksums cannot be read, or if a file is missing or differs.
pub fn verify(folder: &Path) -> Result<usize, ResultsError> {
    let list = folder.join(CHECKSUMS);
    let sums = fs::read_to_string(&list).map_err(at("read", &list))?;
    let mut problems: Vec<String> = sums
        .lines()
        .filter_map(|line| check_line(folder, line).err())
        .collect();
    if sums.is_empty() {
        problems.push("it is empty".to_owned());
    }
    if !problems.is_empty() {
        return Err(ResultsError::Corrupt {
            path: folder.to_owned(),
            problems,
        });
    }
    Ok(sums.lines().count())
}

/// The checksum and the file of a line of a checksum list.
pub(crate) fn checksum_line(line: &str) -> Result<(&str, &str), String> {
    line.split_once("  ")
        .filter(|(_, file)| check_file_name(file).is_ok())
        .ok_or_else(|| format!("{line:?} is not a checksum line"))
}

/// Checks one line of a checksum list; says what is wrong.
pub(crate) fn check_line(folder: &Path, line: &str) -> Result<(), String> {
    let (expected, file) = checksum_line(line)?;
    let sha256 = file_sha256(&folder.join(file)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => format!("{file} is missing"),
        _ => format!("{file} cannot be read: {source}"),
    })?;
    if sha256 == expected {
        Ok(())
    } else {
        Err(format!("{file} has changed"))
    }
}

fn file_sha256(path: &Path) -> io::Result<String> {
    let mut sink = io::sink();
    let mut hashing = Hashing {
        sink: &mut sink,
        hash: Sha256::new(),
        bytes: 0,
    };
    io::copy(&mut File::open(path)?, &mut hashing)?;
    Ok(hex(&hashing.hash.finalize()))
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest
        .iter()
        .fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What a written file came to.
struct Written {
    sha256: String,
    bytes: u64,
}

/// A writer that hashes and counts what passes.
struct Hashing<'a> {
    sink: &'a mut dyn Write,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Why a file could not be filled: the disk, or the content.
enum FillError {
    Disk(io::Error),
    Content(ResultsError),
}

impl FillError {
    fn at(self, path: &Path) -> ResultsError {
        match self {
            Self::Disk(source) => at("write", path)(source),
            Self::Content(error) => error,
        }
    }
}

impl From<io::Error> for FillError {
    fn from(source: io::Error) -> Self {
        Self::Disk(source)
    }
}

impl From<csv::Error> for FillError {
    fn from(error: csv::Error) -> Self {
        // The table's own conversion would hide the kind of a full disk.
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Self::Disk(source),
            other => Self::Disk(io::Error::other(format!("{other:?}"))),
        }
    }
}

impl From<ResultsError> for FillError {
    fn from(error: ResultsError) -> Self {
        Self::Content(error)
    }
}

/// An [`ResultsError::Io`] that lacks only its source.
fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ResultsError {
    let path = path.to_owned();
    move |source| ResultsError::Io {
        action,
        path,
        source,
    }
}

/// The texts of one row, if it fits the columns.
fn cells(
    file: &str,
    row: usize,
    columns: &[Column],
    values: &[Value],
) -> Result<Vec<String>, ResultsError> {
    let (expected, got) = (columns.len(), values.len());
    if got != expected {
        return Err(ResultsError::Width {
            file: file.to_owned(),
            row,
            expected,
            got,
        });
    }
    let pairs = columns.iter().zip(values);
    pairs
        .map(|(column, value)| {
            cell(column, value).map_err(|problem| ResultsError::Cell {
                file: file.to_owned(),
                row,
                column: column.name,
                problem,
            })
        })
        .collect()
}

fn cell(column: &Column, value: &Value) -> Result<String, String> {
    if !column.kind.admits(value) {
        return Err(format!(
            "{value:?} in a column of kind {}",
            column.kind.name()
        ));
    }
    let text = value.cell()?;
    if column.key && text.is_empty() {
        return Err("a key must not be missing".to_owned());
    }
    Ok(text)
}

fn check_key(
    file: &str,
    row: usize,
    columns: &[Column],
    cells: &[String],
    keys: &mut BTreeSet<String>,
) -> Result<(), ResultsError> {
    let key_cells = || columns.iter().zip(cells).filter(|(column, _)| column.key);
    // The unit separator does not occur in names, so different keys have different texts.
    let key = key_cells()
        .map(|(_, cell)| cell.as_str())
        .collect::<Vec<_>>()
        .join("\u{1f}");
    if key.is_empty() || keys.insert(key) {
        return Ok(());
    }
    let named: Vec<String> = key_cells()
        .map(|(column, cell)| format!("{}={cell}", column.name))
        .collect();
    Err(ResultsError::DuplicateKey {
        file: file.to_owned(),
        row,
        key: named.join(", "),
    })
}

/// The Data Resource of one table.
fn resource(file: &str, columns: &[Column], written: &Written) -> serde_json::Value {
    let name = file.strip_suffix(".csv").unwrap_or(file).replace('/', "-");
    let keys: Vec<&str> = columns.iter().filter(|c| c.key).map(|c| c.name).collect();
    let mut schema = Map::new();
    schema.insert(
        "$schema".into(),
        "https://datapackage.org/profiles/2.0/tableschema.json".into(),
    );
    schema.insert("fields".into(), columns.iter().map(field).collect());
    schema.insert("missingValues".into(), json!([""]));
    if !keys.is_empty() {
        schema.insert("primaryKey".into(), json!(keys));
    }
    json!({
        "name": name,
        "type": "table",
        "path": file,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": written.bytes,
        "hash": format!("sha256:{}", written.sha256),
        "schema": schema,
    })
}

/// The Table Schema field of one column.
fn field(column: &Column) -> serde_json::Value {
    let mut field = Map::new();
    field.insert("name".into(), column.name.into());
    field.insert("type".into(), column.kind.name().into());
    if !column.unit.is_empty() {
        field.insert("unit".into(), column.unit.into());
    }
    field.insert("description".into(), column.description.into());
    if column.key {
        field.insert("constraints".into(), json!({ "required": true }));
    }
    field.into()
}

fn name_error(what: &'static str, name: &str, problem: &'static str) -> ResultsError {
    ResultsError::Name {
        what,
        name: name.to_owned(),
        problem,
    }
}

fn check_folder_name(name: &str) -> Result<(), ResultsError> {
    if name.is_empty() || name.starts_with('.') {
        return Err(name_error(
            "folder",
            name,
            "it is empty or begins with a dot",
        ));
    }
    if name.contains(['/', '\\']) || name.contains(char::is_control) {
        return Err(name_error(
            "folder",
            name,
            "it holds a slash or a control character",
        ));
    }
    Ok(())
}

/// A file may lie in a sub-folder, but never outside, and its name needs no escape in a checksum
/// list.
fn check_file_name(file: &str) -> Result<(), ResultsError> {
    if file.is_empty() || file.contains('\\') || file.contains(char::is_control) {
        return Err(name_error(
            "file",
            file,
            "it is empty, or holds a backslash or control character",
        ));
    }
    if !Path::new(file)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(name_error(
            "file",
            file,
            "it does not stay inside the folder",
        ));
    }
    Ok(())
}

/// A hidden sibling of the folder, owned by this process.
pub(crate) fn hidden(parent: &Path, name: &str, what: &str) -> PathBuf {
    parent.join(format!(".{name}.{what}-{}", std::process::id()))
}

/// What `path` is, `partial` or `old`, if a dead process left it there for the folder `name`.
fn leftover(path: &Path, name: &str) -> Option<&'static str> {
    let rest = path
        .file_name()?
        .to_str()?
        .strip_prefix('.')?
        .strip_prefix(name)?;
    ["partial", "old"].into_iter().find(|what| {
        let owner = rest
            .strip_prefix('.')
            .and_then(|rest| rest.strip_prefix(what));
        let pid = owner
            .and_then(|owner| owner.strip_prefix('-'))
            .and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| !is_alive(pid))
    })
}

/// Whether another process runs under this id; where the system does not say, yes.
fn is_alive(pid: u32) -> bool {
    // Our own id on a leftover is that of a dead process before us: containers number from one.
    let tells = Path::new("/proc/self").exists();
    pid != std::process::id() && (!tells || Path::new(&format!("/proc/{pid}")).exists())
}

/// The operations that change a disk, apart so that tests can make each of them fail.
trait Disk: Send {
    fn create_dir(&mut self, path: &Path) -> io::Result<()>;
    fn create_file(&mut self, path: &Path) -> io::Result<Box<dyn Sink>>;
    fn sync_dir(&mut self, path: &Path) -> io::Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_dir(&mut self, path: &Path) -> io::Result<()>;
}

/// A file being written.
trait Sink: Write {
    /// Brings everything written to disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk of the operating system.
struct OsDisk;

impl Disk for OsDisk {
    fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create_file(&mut self, path: &Path) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(BufWriter::new(File::create_new(path)?)))
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        // Only Unix opens a directory as a file.
        if cfg!(unix) {
            File::open(path)?.sync_all()
        } else {
            Ok(())
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
}

impl Sink for BufWriter<File> {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const COLUMNS: [Column; 4] = [
        Column {
            name: "engine",
            kind: Kind::String,
            unit: "",
            description: "The engine's name.",
            key: true,
        },
        Column {
            name: "nodes",
            kind: Kind::Integer,
            unit: "",
            description: "Number of nodes.",
            key: true,
        },
        Column {
            name: "goodput_tps",
            kind: Kind::Number,
            unit: "1/s",
            description: "Valid final transactions a second.",
            key: false,
        },
        Column {
            name: "steady",
            kind: Kind::Boolean,
            unit: "",
            description: "Whether the unit was steady.",
            key: false,
        },
    ];

    fn row(engine: &str, nodes: u64, goodput: impl Into<Value>) -> [Value; 4] {
        [engine.into(), nodes.into(), goodput.into(), true.into()]
    }

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// Files of both kinds; one table is larger than every buffer on the way to the disk.
    fn fill(folder: &mut Folder) -> Result<(), ResultsError> {
        folder.csv(
            "large.csv",
            &COLUMNS,
            (0..5_000).map(|n| row("praos", n, 1.0)),
        )?;
        folder.csv(
            "summary.csv",
            &COLUMNS,
            [row("qbft", 4, 0.1), row("raft", 4, None::<f64>)],
        )?;
        folder.text("plots/goodput.svg", "<svg/>\n")?;
        folder.environmental_text("provenance.json", "{}\n")?;
        folder.environmental_csv("engine_perf.csv", &COLUMNS, [row("qbft", 4, 3_u64)])
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_finished_folder_is_complete_and_verifies() {
        let parent = place();
        let mut folder = Folder::create(parent.path(), "demo-01234567").unwrap();
        fill(&mut folder).unwrap();
        let path = folder.finish().unwrap();
        assert_eq!(entries(parent.path()), ["demo-01234567"]);
        assert_eq!(
            entries(&path),
            [
                "SHA256SUMS",
                "datapackage.json",
                "engine_perf.csv",
                "large.csv",
                "plots",
                "provenance.json",
                "summary.csv"
            ]
        );
        assert_eq!(
            fs::read_to_string(path.join("summary.csv")).unwrap(),
            "engine,nodes,goodput_tps,steady\nqbft,4,0.1,true\nraft,4,,true\n"
        );
        let sums = fs::read_to_string(path.join(CHECKSUMS)).unwrap();
        let names: Vec<&str> = sums.lines().map(|line| &line[66..]).collect();
        assert_eq!(
            names,
            [
                "datapackage.json",
                "large.csv",
                "plots/goodput.svg",
                "summary.csv"
            ]
        );
        assert_eq!(verify(&path).unwrap(), 4);
    }

    #[test]
    fn the_data_package_describes_deterministic_tables_only() {
        let parent = place();
        let mut folder = Folder::create(parent.path(), "demo").unwrap();
        fill(&mut folder).unwrap();
        let path = folder.finish().unwrap();
        let text = fs::read_to_string(path.join(DATA_PACKAGE)).unwrap();
        let package: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(package["resources"].as_array().unwrap().len(), 2);
        let table = &package["resources"][1];
        let csv = fs::read(path.join("summary.csv")).unwrap();
        assert_eq!(table["path"], "summary.csv");
        assert_eq!(table["bytes"], csv.len());
        assert_eq!(table["hash"], format!("sha256:{}", sha256_hex(&csv)));
        assert_eq!(table["schema"]["primaryKey"], json!(["engine", "nodes"]));
        assert_eq!(table["schema"]["missingValues"], json!([""]));
        assert_eq!(
            table["schema"]["fields"][2],
            json!({
                "name": "goodput_tps",
                "type": "number",
                "unit": "1/s",
                "description": "Valid final transactions a second.",
            })
        );
        assert_eq!(
            table["schema"]["fields"][0]["constraints"],
            json!({ "required": true })
        );
    }

    #[test]
    fn the_same_content_has_the_same_bytes() {
        let sums = |name| {
            let parent = place();
            let mut folder = Folder::create(parent.path(), name).unwrap();
            fill(&mut folder).unwrap();
            fs::read(folder.finish().unwrap().join(CHECKSUMS)).unwrap()
        };
        assert_eq!(sums("demo"), sums("demo"));
    }

    #[test]
    fn numbers_are_shortest_and_never_minus_zero() {
        let texts = [0.1, -0.0, 1e21, 5e-324, 3.0].map(|x| Value::Num(x).cell().unwrap());
        assert_eq!(texts[..2], ["0.1", "0"]);
        assert_eq!(texts[2], "1000000000000000000000");
        assert_eq!(texts[3].parse::<f64>().unwrap().to_bits(), 1);
        assert_eq!(texts[4], "3");
        assert_eq!(
            Value::Uint(u64::MAX).cell().unwrap(),
            "18446744073709551615"
        );
    }

    #[test]
    fn bad_cells_name_file_row_and_column() {
        let parent = place();
        let mut folder = Folder::create(parent.path(), "demo").unwrap();
        let mut message = |file: &str, rows: Vec<Vec<Value>>| {
            folder.csv(file, &COLUMNS, rows).unwrap_err().to_string()
        };
        let good = row("qbft", 4, 1.0).to_vec();
        assert_eq!(
            message(
                "a.csv",
                vec![good.clone(), row("qbft", 7, f64::NAN).to_vec()]
            ),
            "a.csv, row 2, column goodput_tps: NaN is not a finite number"
        );
        assert_eq!(
            message("b.csv", vec![row("qbft", 7, "fast").to_vec()]),
            "b.csv, row 1, column goodput_tps: Str(\"fast\") in a column of kind number"
        );
        assert_eq!(
            message("c.csv", vec![row("", 7, 1.0).to_vec()]),
            "c.csv, row 1, column engine: a key must not be missing"
        );
        assert_eq!(
            message("d.csv", vec![vec![]]),
            "d.csv, row 1: 0 cells for 4 columns"
        );
        assert_eq!(
            message("e.csv", vec![good.clone(), good]),
            "e.csv, row 2: a second row with the key engine=qbft, nodes=4"
        );
    }

    #[test]
    fn bad_names_are_refused() {
        let parent = place();
        for name in ["", ".hidden", "a/b", "..", "a\nb"] {
            assert!(Folder::create(parent.path(), name).is_err(), "{name:?}");
        }
        let mut folder = Folder::create(parent.path(), "demo").unwrap();
        for file in [
            "",
            "../up",
            "/root",
            "a\\b",
            "a\nb",
            "./a",
            CHECKSUMS,
            DATA_PACKAGE,
        ] {
            assert!(folder.text(file, "").is_err(), "{file:?}");
        }
        folder.text("once", "").unwrap();
        assert_eq!(
            folder.text("once", "").unwrap_err().to_string(),
            "\"once\" cannot name a results file: the name is taken"
        );
    }

    #[test]
    fn a_folder_with_a_failed_file_is_never_published() {
        let parent = place();
        let mut folder = Folder::create(parent.path(), "demo").unwrap();
        let rows = [row("qbft", 4, 1.0), row("qbft", 7, f64::INFINITY)];
        assert!(folder.csv("summary.csv", &COLUMNS, rows).is_err());
        let error = folder.finish().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("demo: summary.csv is incomplete")
        );
        assert!(entries(parent.path()).is_empty());
    }

    #[test]
    fn dropping_removes_what_was_written() {
        let parent = place();
        let mut folder = Folder::create(parent.path(), "demo").unwrap();
        fill(&mut folder).unwrap();
        drop(folder);
        assert!(entries(parent.path()).is_empty());
    }

    #[test]
    fn a_new_result_replaces_the_old_one() {
        let parent = place();
        let write = |text: &str| {
            let mut folder = Folder::create(parent.path(), "demo").unwrap();
            folder.text(text, text).unwrap();
            folder.finish().unwrap()
        };
        write("first");
        let path = write("second");
        assert_eq!(entries(&path), ["SHA256SUMS", "datapackage.json", "second"]);
        assert_eq!(entries(parent.path()), ["demo"]);
    }

    #[test]
    fn what_we_did_not_write_is_not_replaced() {
        let parent = place();
        fs::create_dir(parent.path().join("mine")).unwrap();
        fs::write(parent.path().join("mine/thesis.tex"), "").unwrap();
        fs::write(parent.path().join("file"), "").unwrap();
        let error = |parent: &Path, name| Folder::create(parent, name).unwrap_err();
        assert!(matches!(
            error(parent.path(), "mine"),
            ResultsError::Foreign { .. }
        ));
        assert!(matches!(
            error(parent.path(), "file"),
            ResultsError::NotAFolder { .. }
        ));
        let inside = parent.path().join("file");
        assert!(matches!(
            error(&inside, "demo"),
            ResultsError::NotAFolder { .. }
        ));
        assert_eq!(entries(parent.path()), ["file", "mine"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn remains_of_dead_runs_are_swept_and_live_ones_left() {
        let parent = place();
        // No process has the first id (it is above the kernel's limit); the second is init.
        for name in [
            ".demo.partial-4294967295",
            ".demo.partial-1",
            ".demo2.partial-4294967295",
        ] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let folder = Folder::create(parent.path(), "demo").unwrap();
        drop(folder);
        assert_eq!(
            entries(parent.path()),
            [".demo.partial-1", ".demo2.partial-4294967295"]
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_old_result_that_a_dead_run_moved_aside_comes_back() {
        let parent = place();
        let aside = parent.path().join(".demo.old-4294967295");
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join(CHECKSUMS), "").unwrap();
        drop(Folder::create(parent.path(), "demo").unwrap());
        assert_eq!(entries(parent.path()), ["demo"]);
    }

    #[test]
    fn verify_names_every_difference() {
        let parent = place();
        let mut folder = Folder::create(parent.path(), "demo").unwrap();
        fill(&mut folder).unwrap();
        let path = folder.finish().unwrap();
        fs::write(path.join("summary.csv"), "x").unwrap();
        fs::remove_file(path.join("plots/goodput.svg")).unwrap();
        fs::write(path.join("provenance.json"), "may change").unwrap();
        let error = verify(&path).unwrap_err();
        assert!(error.to_string().ends_with(
            "differs from its SHA256SUMS: plots/goodput.svg is missing; summary.csv has changed"
        ));
        assert_eq!(error.exit_code(), 65);
        fs::write(path.join(CHECKSUMS), "nonsense\n").unwrap();
        assert!(
            verify(&path)
                .unwrap_err()
                .to_string()
                .ends_with("is not a checksum line")
        );
        assert!(matches!(
            verify(parent.path()).unwrap_err(),
            ResultsError::Io { .. }
        ));
    }

    #[test]
    fn sha256_matches_the_standard() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    /// A disk whose operations fail with "no space left" from one of them on.
    #[derive(Clone)]
    struct Failing {
        done: Arc<AtomicUsize>,
        first: usize,
        last: usize,
    }

    impl Failing {
        fn step(&self) -> io::Result<()> {
            let step = self.done.fetch_add(1, Ordering::Relaxed);
            if (self.first..=self.last).contains(&step) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }
    }

    impl Disk for Failing {
        fn create_dir(&mut self, path: &Path) -> io::Result<()> {
            self.step()?;
            OsDisk.create_dir(path)
        }

        fn create_file(&mut self, path: &Path) -> io::Result<Box<dyn Sink>> {
            self.step()?;
            Ok(Box::new(FailingSink {
                disk: self.clone(),
                file: File::create_new(path)?,
            }))
        }

        fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
            self.step()?;
            OsDisk.sync_dir(path)
        }

        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            self.step()?;
            OsDisk.rename(from, to)
        }

        fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
            self.step()?;
            OsDisk.remove_dir(path)
        }
    }

    struct FailingSink {
        disk: Failing,
        file: File,
    }

    impl Write for FailingSink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.disk.step()?;
            // Short writes, as a disk that fills up makes them.
            self.file.write(&bytes[..bytes.len().min(4096)])
        }

        fn flush(&mut self) -> io::Result<()> {
            self.disk.step()?;
            self.file.flush()
        }
    }

    impl Sink for FailingSink {
        fn sync(&mut self) -> io::Result<()> {
            self.disk.step()?;
            self.file.sync_all()
        }
    }

    fn attempt(parent: &Path, first: usize, last: usize) -> (Result<PathBuf, ResultsError>, usize) {
        let disk = Failing {
            done: Arc::default(),
            first,
            last,
        };
        let run = || {
            let mut folder = Folder::create_on(Box::new(disk.clone()), parent, "demo")?;
            fill(&mut folder)?;
            folder.finish()
        };
        let result = run();
        (result, disk.done.load(Ordering::Relaxed))
    }

    /// Makes every operation fail, alone and with all after it, over an old result or none.
    #[test]
    fn a_failure_at_any_step_leaves_the_old_result_or_none() {
        let (_, steps) = attempt(place().path(), usize::MAX, usize::MAX);
        assert!(steps > 50, "{steps}");
        for (first, replaces, lasting) in (0..steps + 3).flat_map(|k| {
            [
                (k, false, false),
                (k, false, true),
                (k, true, false),
                (k, true, true),
            ]
        }) {
            let parent = place();
            if replaces {
                let mut old = Folder::create(parent.path(), "demo").unwrap();
                old.text("old", "old\n").unwrap();
                old.finish().unwrap();
            }
            let (result, _) = attempt(
                parent.path(),
                first,
                if lasting { usize::MAX } else { first },
            );
            check_after_failure(parent.path(), result, replaces);
        }
    }

    fn check_after_failure(parent: &Path, result: Result<PathBuf, ResultsError>, replaced: bool) {
        let path = parent.join("demo");
        let failed = result.is_err();
        if let Err(error) = result {
            assert!(error.to_string().ends_with("no space left"), "{error}");
            assert!(error.hint().starts_with("free some space"));
            assert_eq!(error.exit_code(), 74);
            assert!(replaced || !path.exists());
            // The next run sweeps up and puts an old result back.
            drop(Folder::create(parent, "demo").unwrap());
        }
        if failed && !replaced {
            assert!(entries(parent).is_empty());
        } else {
            verify(&path).unwrap();
            assert_eq!(path.join("old").exists(), failed);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_cannot_be_written_is_named() {
        let error = Folder::create(Path::new("/proc/quorate"), "demo").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot create /proc/quorate: "),
            "{error}"
        );
        assert_eq!(error.exit_code(), 74);
    }
}
