//! What can be wrong with a workload: always the thing, its value and the remedy.

use std::io;

/// Why a workload could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting out of its range.
    #[error("`{key}` is {value}\nhint: {hint}")]
    Setting {
        /// The key in the plan.
        key: &'static str,
        /// The value found.
        value: String,
        /// What it should be.
        hint: &'static str,
    },
    /// A file could not be opened.
    #[error("cannot open {file}: {source}\nhint: paths are relative to the plan")]
    Open {
        /// Its name in the plan.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not a table: unreadable, or rows of unequal length.
    #[error("{file} is not readable as CSV: {source}\nhint: one header line, commas, UTF-8")]
    Csv {
        /// The file.
        file: String,
        /// The reader's reason, with the line.
        source: csv::Error,
    },
    /// A required column is missing.
    #[error("{file} has no column `{column}`\nhint: its header is `{header}`")]
    Column {
        /// The file.
        file: String,
        /// The column.
        column: &'static str,
        /// The header as found.
        header: String,
    },
    /// A value of a table that cannot be used.
    #[error("{file}, line {line}, column `{column}`: `{value}` is unusable\nhint: {hint}")]
    Value {
        /// The file.
        file: String,
        /// The line, from 1; the header counts.
        line: u64,
        /// The column.
        column: &'static str,
        /// The value found.
        value: String,
        /// What it should be.
        hint: String,
    },
    /// A file is not JSON.
    #[error(
        "{file}{place} is not readable as JSON: {why}\nhint: UTF-8; a file of lines (NDJSON) has one document a line"
    )]
    Json {
        /// The file.
        file: String,
        /// The line of a file of lines, else empty: the reason says it.
        place: String,
        /// The reader's reason, with line or column.
        why: String,
    },
    /// A JSON document of another kind.
    #[error("{file}: `{key}` is {value:?}\nhint: {hint}")]
    Document {
        /// The file.
        file: String,
        /// The key that says what it is, or that is missing.
        key: &'static str,
        /// The value found, empty where there is none.
        value: String,
        /// What it should be.
        hint: String,
    },
    /// A value of a JSON document that cannot be used.
    #[error("{file}, {place}, field `{field}`: `{value}` is unusable\nhint: {hint}")]
    Field {
        /// The file.
        file: String,
        /// Its entry or line, from 1.
        place: String,
        /// The path of the field.
        field: &'static str,
        /// The value found.
        value: String,
        /// What it should be.
        hint: &'static str,
    },
    /// More of something than the simulator can number.
    #[error("{file} has more than {most} {what}\nhint: import a part of it")]
    TooMany {
        /// The file or folder.
        file: String,
        /// Of what.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// A file without a usable row.
    #[error("{file} holds no arrival\nhint: {hint}")]
    Empty {
        /// The file or folder.
        file: String,
        /// What to look at.
        hint: String,
    },
}

impl Error {
    /// Accepts `value` when `fits`, else names the setting.
    pub(crate) fn unless(
        fits: bool,
        key: &'static str,
        value: &impl ToString,
        hint: &'static str,
    ) -> Result<(), Self> {
        if fits {
            return Ok(());
        }
        let value = value.to_string();
        Err(Self::Setting { key, value, hint })
    }
}
