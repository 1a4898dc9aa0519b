//! CSV tables with columns by name, and errors that say where.

use crate::Error;
use crate::dates::{self, Stamp};
use crate::json::When;
use csv::StringRecord;
use std::io::Read;

/// A table read from start to end.
pub(crate) struct Table<R> {
    file: String,
    header: StringRecord,
    reader: csv::Reader<R>,
    record: StringRecord,
}

/// A column, or none of that name: such a one reads as empty.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    index: Option<usize>,
}

impl Column {
    /// Whether the table has it.
    pub(crate) const fn exists(self) -> bool {
        self.index.is_some()
    }
}

impl<R: Read> Table<R> {
    pub(crate) fn new(file: String, input: R) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(source) => return Err(Error::Csv { file, source }),
        };
        Ok(Self {
            file,
            header,
            reader,
            record: StringRecord::new(),
        })
    }

    /// A column that may be missing.
    pub(crate) fn optional(&self, name: &'static str) -> Column {
        let same = |title: &str| title.eq_ignore_ascii_case(name);
        let index = self.header.iter().position(same);
        Column { name, index }
    }

    /// A column that must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<Column, Error> {
        let column = self.optional(name);
        if column.index.is_none() {
            return Err(Error::Column {
                file: self.file.clone(),
                column: name,
                header: self.header.iter().collect::<Vec<_>>().join(","),
            });
        }
        Ok(column)
    }

    /// Moves to the next row; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        self.reader
            .read_record(&mut self.record)
            .map_err(|source| Error::Csv {
                file: self.file.clone(),
                source,
            })
    }

    /// The text of this row in a column.
    pub(crate) fn text(&self, column: Column) -> &str {
        column.index.and_then(|i| self.record.get(i)).unwrap_or("")
    }

    /// The value of this row in a column; `empty` when there is none.
    pub(crate) fn value<T: core::str::FromStr>(
        &self,
        column: Column,
        empty: Option<T>,
        hint: &str,
    ) -> Result<T, Error> {
        let text = self.text(column);
        match empty {
            Some(value) if text.is_empty() => Ok(value),
            _ => text.parse().map_err(|_| self.unusable(column, hint)),
        }
    }

    /// The instant of this row in a column; empty and partial ones give the reason why not.
    pub(crate) fn when(&self, column: Column) -> Result<When, Error> {
        match Stamp::parse(self.text(column)) {
            Err(dates::UNREADABLE) => {
                let hint = "a date, or an instant such as 2019-05-31T14:05:06Z";
                Err(self.unusable(column, hint))
            }
            found => Ok(found),
        }
    }

    /// The error for this row's value in a column.
    pub(crate) fn unusable(&self, column: Column, hint: &str) -> Error {
        Error::Value {
            file: self.file.clone(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: column.name,
            value: self.text(column).to_owned(),
            hint: hint.to_owned(),
        }
    }
}
