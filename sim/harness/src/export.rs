//! `quorate export DIR --to FORMAT`: a folder's figures in the formats of benchmark trackers and of tools for
//! histograms. Nothing is computed anew; what is written is no part of the deterministic files.

mod histograms;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "png")]
mod png;

use crate::error::{Error, exit};
use crate::saved::{Saved, Table};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What is exported, and where to.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A results folder
    folder: PathBuf,
    /// The format
    #[arg(long, value_enum)]
    to: Format,
    /// The file to write, printed when left out; for formats of several files a folder, when left out `ci`
    /// or `png` in the results folder. Otava's history gets one line more
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// For otava: the commit that was measured
    #[arg(long, value_name = "TEXT", default_value = "")]
    commit: String,
    /// For otava: when it was made, as 2026-01-31T12:00:00Z; now when left out
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// Bencher Metric Format: JSON, with the interval as lower and upper value
    Bmf,
    /// github-action-benchmark: smaller.json and bigger.json
    GhAction,
    /// `HdrHistogram`'s percentiles as text, a file for each cell
    Hgrm,
    /// `HdrHistogram`'s interval log, a line for each replication
    Hlog,
    /// Apache Otava: a line of a CSV history
    Otava,
    /// Apache Parquet: a file for each table
    Parquet,
    /// Pictures: a PNG for each figure, twice as many pixels as its SVG has units
    Png,
}

/// Exports; what to print, and the exit code.
pub(crate) fn run(wanted: &Wanted) -> Result<(String, u8), Error> {
    let saved = Saved::whole(&wanted.folder)?;
    let folder = |name: &str| {
        let beside = || wanted.folder.join(name);
        wanted.out.clone().unwrap_or_else(beside)
    };
    let text = match wanted.to {
        Format::Bmf => file(wanted.out.as_deref(), &bmf(&figures(&saved)?))?,
        Format::GhAction => {
            let [smaller, bigger] = gh_action(&figures(&saved)?);
            let files = [("smaller.json", smaller), ("bigger.json", bigger)];
            several(
                &folder("ci"),
                files.map(|(name, text)| (name.to_owned(), text)),
            )?
        }
        Format::Hgrm => several(&folder("ci"), histograms::hgrm(&saved)?)?,
        Format::Hlog => file(wanted.out.as_deref(), &histograms::hlog(&saved)?)?,
        Format::Otava => otava(wanted, &figures(&saved)?)?,
        Format::Parquet => tables(&saved, &folder("ci"))?,
        Format::Png => pictures(&saved, &folder("png"))?,
    };
    Ok((text, exit::OK))
}

#[cfg(feature = "parquet")]
fn tables(saved: &Saved, folder: &Path) -> Result<String, Error> {
    parquet::write(saved, folder)
}

#[cfg(not(feature = "parquet"))]
fn tables(_: &Saved, _: &Path) -> Result<String, Error> {
    let hint = "cargo build --release --features parquet; or convert the tables: \
        duckdb -c \"copy (from 'summary.csv') to 'summary.parquet'\"";
    Err(Error::usage("this program was built without parquet", hint))
}

#[cfg(feature = "png")]
fn pictures(saved: &Saved, folder: &Path) -> Result<String, Error> {
    png::write(saved, folder)
}

#[cfg(not(feature = "png"))]
fn pictures(_: &Saved, _: &Path) -> Result<String, Error> {
    let hint = "cargo build --release --features png; or let a browser open the SVG";
    Err(Error::usage("this program was built without PNG", hint))
}

/// A figure of a cell that is as planned.
struct Figure {
    cell: String,
    class: String,
    metric: String,
    stat: String,
    unit: String,
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
    level: String,
    n: String,
}

impl Figure {
    fn name(&self) -> String {
        format!("{} {} {}", self.class, self.metric, self.stat)
    }
}

/// The figures of `summary.csv`; the cells that are not as planned say what limits, and are no result.
fn figures(saved: &Saved) -> Result<Vec<Figure>, Error> {
    let Some(table) = saved.table("summary.csv")? else {
        let message = format!("{} has no summary.csv", saved.path.display());
        let hint = "attacks and plans of two ledgers have tables of their own";
        return Err(Error::data(message, hint));
    };
    let planned = table
        .rows
        .iter()
        .filter(|r| table.cell(r, "changed") == "as planned");
    let figures: Vec<Figure> = planned.filter_map(|row| figure(&table, row)).collect();
    if figures.is_empty() {
        let message = format!("{}: summary.csv has no figure", saved.path.display());
        return Err(Error::data(message, "nothing was measured: run longer"));
    }
    Ok(figures)
}

fn figure(table: &Table, row: &[String]) -> Option<Figure> {
    let text = |name: &str| table.cell(row, name).to_owned();
    Some(Figure {
        cell: table.label(row),
        class: text("class"),
        metric: text("metric"),
        stat: text("stat"),
        unit: text("unit"),
        value: table.number(row, "value")?,
        low: table.number(row, "ci_low"),
        high: table.number(row, "ci_high"),
        level: text("ci_level"),
        n: text("n_reps"),
    })
}

fn bmf(figures: &[Figure]) -> String {
    let mut benches = Map::new();
    for figure in figures {
        let mut measure = Map::new();
        measure.insert("value".to_owned(), figure.value.into());
        for (name, end) in [("lower_value", figure.low), ("upper_value", figure.high)] {
            if let Some(end) = end {
                measure.insert(name.to_owned(), end.into());
            }
        }
        let bench = benches.entry(&figure.cell).or_insert_with(|| json!({}));
        let name = format!("{} ({})", figure.name(), figure.unit);
        bench[name.as_str()] = Value::Object(measure);
    }
    format!("{:#}\n", Value::Object(benches))
}

/// Times are better smaller, rates and shares larger.
fn gh_action(figures: &[Figure]) -> [String; 2] {
    let mut files = [Vec::new(), Vec::new()];
    for figure in figures {
        let mut entry = json!({
            "name": format!("{}: {}", figure.cell, figure.name()),
            "unit": figure.unit,
            "value": figure.value,
        });
        if let Some(high) = figure.high {
            entry["range"] = format!("± {}", high - figure.value).into();
        }
        entry["extra"] = format!("{} replications, confidence {}", figure.n, figure.level).into();
        files[usize::from(figure.unit != "ms")].push(entry);
    }
    files.map(|entries| format!("{:#}\n", Value::Array(entries)))
}

// ---- otava ---------------------------------------------------------------------------------------------

/// Time, commit and a column for each figure of all classes together.
fn otava(wanted: &Wanted, figures: &[Figure]) -> Result<String, Error> {
    let plain = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        text.chars()
            .map(|c| if fits(c) { c } else { '_' })
            .collect::<String>()
    };
    let mut head = vec!["time".to_owned(), "commit".to_owned()];
    let time = wanted.time.clone().unwrap_or_else(now);
    let mut row = vec![time, wanted.commit.clone()];
    for figure in figures.iter().filter(|f| f.class == "all") {
        let unit = plain(&figure.unit);
        let (cell, metric, stat) = (plain(&figure.cell), &figure.metric, &figure.stat);
        head.push(format!("{cell}.{metric}.{stat}.{unit}"));
        row.push(figure.value.to_string());
    }
    let (head, row) = (line(&head), line(&row));
    let Some(path) = &wanted.out else {
        return Ok(format!("{head}{row}"));
    };
    append(path, &head, &row)?;
    Ok(format!("a line more in {}\n", path.display()))
}

fn line(fields: &[String]) -> String {
    let mut out = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    out.write_record(fields).expect("memory takes it");
    String::from_utf8(out.into_inner().expect("memory takes it")).expect("it was text")
}

fn append(path: &Path, head: &str, row: &str) -> Result<(), Error> {
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(unwritten(path, &e)),
    };
    let is_of = |text: &str| format!("{}\n", text.lines().next().unwrap_or_default()) == *head;
    if !old.is_empty() && !is_of(&old) {
        let message = format!("{} has other columns than this folder", path.display());
        let hint = "a history is of one plan: give each plan a file of its own";
        return Err(Error::data(message, hint));
    }
    let mut text = String::new();
    if old.is_empty() {
        text.push_str(head);
    } else if !old.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(row);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| unwritten(path, &e))?;
    file.write_all(text.as_bytes())
        .map_err(|e| unwritten(path, &e))
}

/// The time of the machine: a history is of days, not of plans.
#[expect(
    clippy::disallowed_types,
    reason = "the time of the export, in a file that is not deterministic"
)]
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    timestamp(since.map_or(0, |d| d.as_secs()))
}

/// Seconds since 1970 as a time in UTC.
// source: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (d, m) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
    );
    let y = year + era * 400 + u64::from(m <= 2);
    let (hours, minutes) = (rest / 3_600, rest / 60 % 60);
    format!(
        "{y:04}-{m:02}-{d:02}T{hours:02}:{minutes:02}:{:02}Z",
        rest % 60
    )
}

// ---- files ---------------------------------------------------------------------------------------------

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    let hint = "name a place that can be written";
    Error::io(format!("cannot write {}: {error}", path.display()), hint)
}

/// Writes a text, or gives it to be printed.
fn file(path: Option<&Path>, text: &str) -> Result<String, Error> {
    let Some(path) = path else {
        return Ok(text.to_owned());
    };
    fs::write(path, text).map_err(|e| unwritten(path, &e))?;
    Ok(format!("wrote {}\n", path.display()))
}

/// Writes texts into a folder.
fn several(
    folder: &Path,
    files: impl IntoIterator<Item = (String, String)>,
) -> Result<String, Error> {
    several_bytes(
        folder,
        files
            .into_iter()
            .map(|(name, text)| (name, text.into_bytes())),
    )
}

fn several_bytes(
    folder: &Path,
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<String, Error> {
    fs::create_dir_all(folder).map_err(|e| unwritten(folder, &e))?;
    let mut said = String::new();
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|e| unwritten(&path, &e))?;
        let _ = writeln!(said, "wrote {}", path.display());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metric: &str, unit: &str, value: f64, high: Option<f64>) -> Figure {
        Figure {
            cell: "qbft 4 nodes".to_owned(),
            class: "all".to_owned(),
            metric: metric.to_owned(),
            stat: "p99".to_owned(),
            unit: unit.to_owned(),
            value,
            low: high.map(|h| 2.0 * value - h),
            high,
            level: "0.95".to_owned(),
            n: "10".to_owned(),
        }
    }

    #[test]
    fn times_are_better_smaller_and_rates_larger() {
        let figures = [
            of("latency_final", "ms", 10.0, Some(12.0)),
            of("goodput", "transactions/s", 5.0, None),
        ];
        let files =
            gh_action(&figures).map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        assert_eq!(files[0][0]["name"], "qbft 4 nodes: all latency_final p99");
        assert_eq!(files[0][0]["range"], "± 2");
        assert_eq!(files[1][0]["unit"], "transactions/s");
        assert!(files[1][0].get("range").is_none());
    }

    #[test]
    fn an_interval_is_lower_and_upper_value() {
        let figures = [
            of("latency_final", "ms", 10.0, Some(12.0)),
            of("goodput", "transactions/s", 5.0, None),
        ];
        let document: Value = serde_json::from_str(&bmf(&figures)).expect("JSON");
        let bench = &document["qbft 4 nodes"];
        let measure = &bench["all latency_final p99 (ms)"];
        assert_eq!(
            (&measure["lower_value"], &measure["upper_value"]),
            (&json!(8.0), &json!(12.0))
        );
        assert!(
            bench["all goodput p99 (transactions/s)"]
                .get("lower_value")
                .is_none()
        );
    }

    #[test]
    fn times_are_civil() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }
}
