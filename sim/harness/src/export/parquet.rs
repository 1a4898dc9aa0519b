//! Tables as Apache Parquet: integers, numbers and texts, an empty cell as null.

use super::{several_bytes, unwritten};
use crate::error::Error;
use crate::saved::{Saved, Table, is_table};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result as Written;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Writes every table of a folder.
pub(super) fn write(saved: &Saved, folder: &Path) -> Result<String, Error> {
    let mut files = Vec::new();
    for file in saved.sums.keys().filter(|f| is_table(f)) {
        let Some(table) = saved.table(file)? else {
            continue;
        };
        let name = file.replace('/', "-").replace(".csv", ".parquet");
        let bytes =
            encode(&table).map_err(|e| unwritten(&folder.join(&name), &io::Error::other(e)))?;
        files.push((name, bytes));
    }
    several_bytes(folder, files)
}

/// What a column holds: what all of its cells are.
#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Number,
    Text,
}

fn kind(table: &Table, column: usize) -> Kind {
    let mut cells = table
        .rows
        .iter()
        .map(|row| row[column].as_str())
        .filter(|cell| !cell.is_empty());
    if !table.columns[column].is_number {
        return Kind::Text;
    }
    if cells.all(|cell| cell.parse::<i64>().is_ok()) {
        Kind::Integer
    } else {
        Kind::Number
    }
}

fn encode(table: &Table) -> Written<Vec<u8>> {
    let kinds: Vec<Kind> = (0..table.columns.len()).map(|c| kind(table, c)).collect();
    let mut schema = String::from("message table {\n");
    for (column, kind) in table.columns.iter().zip(&kinds) {
        let line = match kind {
            Kind::Integer => format!("OPTIONAL INT64 {};", column.name),
            Kind::Number => format!("OPTIONAL DOUBLE {};", column.name),
            Kind::Text => format!("OPTIONAL BYTE_ARRAY {} (UTF8);", column.name),
        };
        let _ = writeln!(schema, "{line}");
    }
    schema.push('}');
    let schema = Arc::new(parse_message_type(&schema)?);
    let properties = WriterProperties::builder().set_created_by("quorate".to_owned());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
    let mut group = file.next_row_group()?;
    for (at, kind) in kinds.into_iter().enumerate() {
        let cells = table.rows.iter().map(|row| row[at].as_str());
        match kind {
            Kind::Integer => column::<Int64Type>(&mut group, cells, |c| c.parse().ok())?,
            Kind::Number => column::<DoubleType>(&mut group, cells, |c| c.parse().ok())?,
            Kind::Text => column::<ByteArrayType>(&mut group, cells, |c| {
                (!c.is_empty()).then(|| ByteArray::from(c))
            })?,
        }
    }
    group.close()?;
    file.into_inner()
}

fn column<'a, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: impl Iterator<Item = &'a str>,
    parse: impl Fn(&str) -> Option<T::T>,
) -> Written<()> {
    let values: Vec<Option<T::T>> = cells.map(parse).collect();
    let present: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut writer = group.next_column()?.expect("the schema has it");
    writer
        .typed::<T>()
        .write_batch(&values, Some(&present), None)?;
    writer.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::Field;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    #[test]
    fn a_table_is_read_back_as_it_was() {
        let field = |name: &str, is_number| Field {
            name: name.to_owned(),
            unit: String::new(),
            is_key: false,
            is_number,
        };
        let columns = vec![
            field("cell", true),
            field("engine", false),
            field("p99_ms", true),
        ];
        let rows = [["0", "qbft", "1.5"], ["1", "", ""]];
        let rows = rows.map(|r| r.map(str::to_owned).to_vec()).to_vec();
        let bytes = encode(&Table { columns, rows }).expect("encoded");
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, &bytes).expect("writable");
        let reader = SerializedFileReader::new(file).expect("readable");
        let rows: Vec<String> = reader
            .get_row_iter(None)
            .expect("rows")
            .map(|row| row.expect("a row").to_string())
            .collect();
        assert_eq!(
            rows,
            [
                "{cell: 0, engine: \"qbft\", p99_ms: 1.5}",
                "{cell: 1, engine: null, p99_ms: null}"
            ]
        );
    }
}
