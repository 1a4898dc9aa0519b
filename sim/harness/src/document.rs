//! What `--json` prints: one document a command, made of the same tables as the results folder.

use crate::output::MODEL_VERSION;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Tables of single cells, units and readings: too long for a summary, and they lie in the folder.
const DETAIL: [&str; 4] = ["plan.csv", "replications.csv", "summary.csv", "domain.csv"];

/// What a command left in a results folder: where, which files, and the tables that answer.
pub(crate) fn results(command: &str, folder: &Path, exit_code: u8) -> Value {
    let package = package(folder).unwrap_or(Value::Null);
    let mut tables = Map::new();
    for resource in package["resources"].as_array().into_iter().flatten() {
        let path = resource["path"].as_str().unwrap_or_default();
        if DETAIL.contains(&path) {
            continue;
        }
        if let Some(rows) = rows(folder, path, &resource["schema"]["fields"]) {
            tables.insert(path.trim_end_matches(".csv").to_owned(), rows);
        }
    }
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap_or_default();
    let files = sums.lines().filter_map(|l| l.split_once("  "));
    json!({
        "command": command,
        "version": env!("CARGO_PKG_VERSION"),
        "model_version": MODEL_VERSION,
        "exit_code": exit_code,
        "folder": folder.display().to_string(),
        "files": files.map(|f| f.1).collect::<Vec<_>>(),
        "tables": tables,
    })
}

fn package(folder: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(folder.join("datapackage.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// The rows of a table, an object each, with the types that its schema gives.
fn rows(folder: &Path, file: &str, fields: &Value) -> Option<Value> {
    let mut reader = csv::Reader::from_path(folder.join(file)).ok()?;
    let fields = fields.as_array()?;
    let row = |record: csv::StringRecord| -> Value {
        let cells = fields.iter().zip(record.iter());
        let cells = cells.map(|(field, cell)| {
            let name = field["name"].as_str().unwrap_or_default();
            (name.to_owned(), typed(cell, field["type"].as_str()))
        });
        cells.collect::<Map<_, _>>().into()
    };
    let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().ok()?;
    Some(records.into_iter().map(row).collect())
}

/// A cell as its column's type says; null where it is empty.
fn typed(cell: &str, kind: Option<&str>) -> Value {
    match kind {
        _ if cell.is_empty() => Value::Null,
        Some("integer" | "number" | "boolean") => {
            serde_json::from_str(cell).unwrap_or_else(|_| cell.into())
        }
        _ => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_the_type_of_their_column() {
        assert_eq!(typed("3", Some("integer")), json!(3));
        assert_eq!(typed("0.5", Some("number")), json!(0.5));
        assert_eq!(typed("true", Some("boolean")), json!(true));
        assert_eq!(typed("007", Some("string")), json!("007"));
        assert_eq!(typed("", Some("number")), Value::Null);
    }
}
