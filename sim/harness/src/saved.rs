//! A results folder as it is read back: files by checksum, the plan, tables by key.

use crate::error::Error;
use crate::results::{self, CHECKSUMS, DATA_PACKAGE, ResultsError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The plan of a folder, every default spelled out.
pub(crate) const CONFIG: &str = "config.resolved.toml";

/// A results folder whose files are what its checksums say.
pub(crate) struct Saved {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// SHA-256 of each deterministic file.
    pub(crate) sums: BTreeMap<String, String>,
    /// Deterministic files that are not kept here.
    pub(crate) absent: Vec<String>,
}

impl Saved {
    /// A whole folder.
    ///
    /// # Errors
    /// When there is none (66), when it is no results folder, or a file is missing or has changed (65).
    pub(crate) fn whole(path: &Path) -> Result<Self, Error> {
        let saved = Self::open(path)?;
        let gone = saved.absent.iter().map(|file| format!("{file} is missing"));
        let problems: Vec<String> = gone.collect();
        if problems.is_empty() {
            return Ok(saved);
        }
        let path = path.to_owned();
        Err(ResultsError::Corrupt { path, problems }.into())
    }

    /// A folder of which a part may be kept only, such as a baseline of checksums.
    ///
    /// # Errors
    /// When there is none (66), when it is no results folder, or a file has changed (65).
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        if !path.is_dir() {
            let hint = "name a results folder, such as results/compare-0123abcd";
            return Err(Error::missing(format!("there is no folder {shown}"), hint));
        }
        let list = fs::read_to_string(path.join(CHECKSUMS)).map_err(|e| {
            let hint = "name a folder that `quorate run` or `quorate compare` wrote";
            Error::data(format!("{shown} has no readable {CHECKSUMS}: {e}"), hint)
        })?;
        let mut saved = Self {
            path: path.to_owned(),
            sums: BTreeMap::new(),
            absent: Vec::new(),
        };
        let mut problems = Vec::new();
        for line in list.lines() {
            match results::checksum_line(line) {
                Err(why) => problems.push(why),
                Ok((sum, file)) => {
                    if !path.join(file).exists() {
                        saved.absent.push(file.to_owned());
                    } else if let Err(why) = results::check_line(path, line) {
                        problems.push(why);
                    }
                    saved.sums.insert(file.to_owned(), sum.to_owned());
                }
            }
        }
        if saved.sums.is_empty() && problems.is_empty() {
            problems.push("it is empty".to_owned());
        }
        if problems.is_empty() {
            return Ok(saved);
        }
        let path = path.to_owned();
        Err(ResultsError::Corrupt { path, problems }.into())
    }

    /// Whether a deterministic file is kept here.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.sums.contains_key(file) && !self.absent.iter().any(|a| a == file)
    }

    /// The text of a deterministic file; `None` where it is not kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn text(&self, file: &str) -> Result<Option<String>, Error> {
        if !self.has(file) {
            return Ok(None);
        }
        let path = self.path.join(file);
        let unread = |e| Error::missing(format!("cannot read {}: {e}", path.display()), "");
        fs::read_to_string(&path).map(Some).map_err(unread)
    }

    /// The plan with every default; `None` where it is not kept.
    ///
    /// # Errors
    /// When it is no TOML.
    pub(crate) fn plan(&self) -> Result<Option<toml::Table>, Error> {
        self.text(CONFIG)?
            .map(|text| self.parsed(CONFIG, &text))
            .transpose()
    }

    fn parsed(&self, file: &str, text: &str) -> Result<toml::Table, Error> {
        toml::from_str(text).map_err(|e| {
            let path = self.path.join(file);
            let message = format!("{}: {}", path.display(), e.message());
            Error::data(message, "run the plan again")
        })
    }

    /// The plans of its parts, by profile, workload and size: one, or those of `parts/`.
    ///
    /// # Errors
    /// When one is missing or no TOML.
    pub(crate) fn parts(&self) -> Result<Vec<toml::Table>, Error> {
        let parts = || self.sums.keys().filter(|f| f.starts_with("parts/"));
        let one = std::iter::once(CONFIG);
        let files: Vec<&str> = if parts().next().is_some() {
            parts().map(String::as_str).collect()
        } else {
            one.collect()
        };
        let read = |file: &&str| {
            let missing = || Error::data(format!("{} has no {file}", self.path.display()), "");
            let text = self.text(file)?.ok_or_else(missing)?;
            self.parsed(file, &text)
        };
        files.iter().map(read).collect()
    }

    /// The `model_version` that it was made with; `None` where the plan is not kept.
    ///
    /// # Errors
    /// When the plan cannot be read.
    pub(crate) fn model_version(&self) -> Result<Option<u32>, Error> {
        Ok(self.text(CONFIG)?.as_deref().and_then(model_version))
    }

    /// A table; `None` where it is not kept.
    ///
    /// # Errors
    /// When it is no table.
    pub(crate) fn table(&self, file: &str) -> Result<Option<Table>, Error> {
        let Some(text) = self.text(file)? else {
            return Ok(None);
        };
        let path = self.path.join(file);
        let wrong = |e: csv::Error| Error::data(format!("{}: {e}", path.display()), "");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(wrong)?.clone();
        let fields = self.fields(file)?;
        let column = |name: &str| {
            let known = fields.iter().find(|f| f.name == name).cloned();
            known.unwrap_or_else(|| Field::text(name))
        };
        let columns = header.iter().map(column).collect();
        let row = |record: Result<csv::StringRecord, csv::Error>| {
            let record = record.map_err(wrong)?;
            Ok(record.iter().map(str::to_owned).collect())
        };
        let rows = reader.records().map(row).collect::<Result<_, Error>>()?;
        Ok(Some(Table { columns, rows }))
    }

    /// What the data package says of a table's columns; nothing where it is not kept.
    fn fields(&self, file: &str) -> Result<Vec<Field>, Error> {
        let Some(text) = self.text(DATA_PACKAGE)? else {
            return Ok(Vec::new());
        };
        let package: serde_json::Value = serde_json::from_str(&text).map_err(|e| {
            let path = self.path.join(DATA_PACKAGE);
            Error::data(format!("{}: {e}", path.display()), "run the plan again")
        })?;
        let resources = package["resources"].as_array();
        let mut resources = resources.into_iter().flatten();
        let Some(resource) = resources.find(|r| r["path"] == file) else {
            return Ok(Vec::new());
        };
        let schema = &resource["schema"];
        let keys = schema["primaryKey"].as_array();
        let is_key = |name: &str| keys.is_some_and(|k| k.iter().any(|k| k == name));
        let field = |field: &serde_json::Value| {
            let name = field["name"].as_str().unwrap_or_default();
            Field {
                name: name.to_owned(),
                unit: field["unit"].as_str().unwrap_or_default().to_owned(),
                is_key: is_key(name),
                is_number: field["type"] == "number" || field["type"] == "integer",
            }
        };
        let fields = schema["fields"].as_array();
        Ok(fields.into_iter().flatten().map(field).collect())
    }
}

/// Whether a file is a table, by its name.
pub(crate) fn is_table(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|e| e == "csv")
}

/// The version that a resolved plan names in its first line.
pub(crate) fn model_version(config: &str) -> Option<u32> {
    let line = config.lines().next()?;
    let number = line.strip_prefix("# model_version = ")?;
    number.trim().parse().ok()
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// The header.
    pub(crate) name: String,
    /// The unit of the values; empty where there is none.
    pub(crate) unit: String,
    /// Whether it belongs to the primary key.
    pub(crate) is_key: bool,
    /// Whether its cells are numbers.
    pub(crate) is_number: bool,
}

impl Field {
    fn text(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            unit: String::new(),
            is_key: false,
            is_number: false,
        }
    }
}

/// A table of a folder.
pub(crate) struct Table {
    /// Its columns in order.
    pub(crate) columns: Vec<Field>,
    /// Its rows in order, a text for each column.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Columns that say which cell a row is about, whatever its place in the plan.
pub(crate) const CELL: [&str; 7] = [
    "ledger",
    "engine",
    "profile",
    "workload",
    "nodes",
    "offered_tps",
    "changed",
];

/// Whether a column says which cell a row is about: one of [`CELL`], a factor, or a place in the plan.
pub(crate) fn is_of_cell(column: &str) -> bool {
    CELL.contains(&column)
        || column.starts_with(FACTOR)
        || ["cell", "combination"].contains(&column)
}

/// What the columns of a plan's factors begin with.
pub(crate) const FACTOR: &str = "factor.";

impl Table {
    /// The place of a column.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// What stands in a column of a row; nothing where there is no such column.
    pub(crate) fn cell<'a>(&self, row: &'a [String], name: &str) -> &'a str {
        let at = self.place(name);
        at.and_then(|at| row.get(at)).map_or("", String::as_str)
    }

    /// The same as a number; `None` where there is none.
    pub(crate) fn number(&self, row: &[String], name: &str) -> Option<f64> {
        self.cell(row, name).parse().ok()
    }

    /// Which cell a row is about, for readers: engine, profile, workload, size, load and what is changed.
    pub(crate) fn label(&self, row: &[String]) -> String {
        let mut words: Vec<String> = Vec::new();
        for name in CELL {
            let value = self.cell(row, name);
            match (name, value) {
                (_, "") | ("ledger", "0") | ("changed", "as planned") => {}
                ("nodes", n) => words.push(format!("{n} nodes")),
                ("offered_tps", tps) => words.push(format!("{tps}/s")),
                ("ledger", n) => words.push(format!("ledger {n}")),
                (_, value) => words.push(value.to_owned()),
            }
        }
        for (column, value) in self.columns.iter().zip(row) {
            let key = column.name.strip_prefix(FACTOR);
            if let Some(key) = key.filter(|_| !value.is_empty()) {
                words.push(format!("{key}={value}"));
            }
        }
        words.join(" ")
    }
}
