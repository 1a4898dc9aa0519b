//! What moved inside the tables of two folders: rows are matched by what they are about, not by their place.

use crate::error::Error;
use crate::saved::{Saved, Table, is_of_cell, is_table};
use crate::stats;
use crate::validate::run::matches;
use std::collections::BTreeMap;

/// What is told before what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A figure over all replications; an answer.
    Figure,
    /// Of one replication.
    Unit,
    /// The end of an interval, a margin, a reason.
    Side,
}

impl Rank {
    fn of(file: &str, table: &Table, column: &str) -> Self {
        if ["ci_low", "ci_high", "margin", "reason"].contains(&column)
            || file == "summary.csv" && column == "status"
        {
            Self::Side
        } else if table.place("replication").is_some() {
            Self::Unit
        } else {
            Self::Figure
        }
    }
}

/// A number that moved.
#[derive(Debug, PartialEq)]
pub(super) struct Move {
    /// The table.
    pub(super) file: String,
    /// Engine, profile, workload, size, load.
    pub(super) cell: String,
    /// What else names it: class, metric, statistic, replication, column.
    pub(super) metric: String,
    /// The unit of both values; empty where there is none.
    pub(super) unit: String,
    /// The baseline's value; `None` where it had none.
    pub(super) old: Option<f64>,
    /// The other's.
    pub(super) new: Option<f64>,
    /// What is told first: a figure, then what it is the mean of, then what follows from it.
    rank: Rank,
}

impl Move {
    /// New less old.
    pub(super) fn absolute(&self) -> Option<f64> {
        Some(self.new? - self.old?)
    }

    /// The same over old; `None` where that is nothing.
    pub(super) fn relative(&self) -> Option<f64> {
        let old = self.old.filter(|old| *old != 0.0)?;
        Some(self.absolute()? / old.abs())
    }

    /// What appears or goes is larger than any share.
    fn size(&self) -> f64 {
        self.relative().map_or(f64::INFINITY, f64::abs)
    }
}

/// A word that changed, such as an answer or a status.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    /// The table.
    pub(super) file: String,
    /// Engine, profile, workload, size, load.
    pub(super) cell: String,
    /// What else names it.
    pub(super) what: String,
    /// The baseline's word.
    pub(super) old: String,
    /// The other's.
    pub(super) new: String,
    /// See [`Move`].
    rank: Rank,
}

/// A figure that moved, over the replications that both have, which share their random numbers.
#[derive(Debug)]
pub(super) struct Paired {
    /// The table.
    pub(super) file: String,
    /// Engine, profile, workload, size, load.
    pub(super) cell: String,
    /// The column, behind what else names it.
    pub(super) metric: String,
    /// The unit.
    pub(super) unit: String,
    /// Means of both.
    pub(super) means: [f64; 2],
    /// New less old, at the corrected confidence.
    pub(super) difference: stats::Interval,
}

impl Paired {
    /// Whether the whole interval is on one side of none.
    pub(super) fn is_beyond_noise(&self) -> bool {
        let ends = self.difference.low.zip(self.difference.high);
        ends.is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }

    fn size(&self) -> f64 {
        let mean = self.difference.mean.unwrap_or(0.0);
        if self.means[0] == 0.0 {
            f64::INFINITY
        } else {
            (mean / self.means[0]).abs()
        }
    }
}

/// Everything that moved.
#[derive(Default)]
pub(super) struct Moved {
    /// Numbers: figures before single replications, and of each the largest relative move first.
    pub(super) moves: Vec<Move>,
    /// Words.
    pub(super) changes: Vec<Change>,
    /// Digests of units that differ.
    pub(super) digests: usize,
    /// Rows of one folder only.
    pub(super) lone: Vec<String>,
    /// Figures across replications, the largest first.
    pub(super) paired: Vec<Paired>,
    /// How many were left out by `--only`.
    pub(super) left_out: usize,
}

impl Moved {
    /// Compares the tables that both keep and whose bytes differ.
    pub(super) fn between(
        a: &Saved,
        b: &Saved,
        files: &[String],
        confidence: f64,
    ) -> Result<Self, Error> {
        let mut moved = Self::default();
        let mut samples = BTreeMap::new();
        for file in files.iter().filter(|f| is_table(f)) {
            let (Some(old), Some(new)) = (a.table(file)?, b.table(file)?) else {
                continue;
            };
            moved.table(file, &old, &new);
            for (side, table) in [&old, &new].into_iter().enumerate() {
                collect(file, table, side, &mut samples);
            }
        }
        let by = |a: &Move, b: &Move| {
            let rank = a.rank.cmp(&b.rank);
            rank.then(b.size().total_cmp(&a.size()))
        };
        moved.moves.sort_by(by);
        moved.changes.sort_by_key(|c| c.rank);
        moved.pair(samples, confidence);
        Ok(moved)
    }

    /// Whether nothing moved that a table tells.
    pub(super) fn is_empty(&self) -> bool {
        self.moves.is_empty()
            && self.changes.is_empty()
            && self.lone.is_empty()
            && self.digests == 0
    }

    /// Keeps what is like a pattern.
    pub(super) fn keep(&mut self, glob: &str) {
        let before = self.moves.len() + self.changes.len() + self.lone.len() + self.digests;
        let is =
            |file: &str, cell: &str, what: &str| matches(glob, &format!("{file} {cell} {what}"));
        self.moves.retain(|m| is(&m.file, &m.cell, &m.metric));
        self.changes.retain(|c| is(&c.file, &c.cell, &c.what));
        self.paired.retain(|p| is(&p.file, &p.cell, &p.metric));
        self.lone.retain(|line| matches(glob, line));
        self.digests = 0;
        self.left_out = before - self.moves.len() - self.changes.len() - self.lone.len();
    }

    fn table(&mut self, file: &str, old: &Table, new: &Table) {
        let of = |table: &Table| {
            let mut rows: BTreeMap<String, usize> = BTreeMap::new();
            for (place, row) in table.rows.iter().enumerate() {
                let name = name(table, row, place);
                // Where two rows are about the same, the first keeps the name.
                rows.entry(name).or_insert(place);
            }
            rows
        };
        let (rows, others) = (of(old), of(new));
        for (place, row) in old.rows.iter().enumerate() {
            let name = name(old, row, place);
            match others.get(&name) {
                Some(&other) => self.row(file, (old, row), (new, &new.rows[other])),
                None => self
                    .lone
                    .push(format!("{file} {name}: only in the baseline")),
            }
        }
        for name in others.keys().filter(|name| !rows.contains_key(*name)) {
            self.lone.push(format!("{file} {name}: new"));
        }
    }

    fn row(
        &mut self,
        file: &str,
        (old, row): (&Table, &[String]),
        (new, other): (&Table, &[String]),
    ) {
        let cell = old.label(row);
        for (column, was) in old.columns.iter().zip(row) {
            let is = new.cell(other, &column.name);
            if was == is || column.is_key || is_of_cell(&column.name) || column.name == "plan_hash"
            {
                continue;
            }
            if column.name == "digest" {
                self.digests += 1;
                continue;
            }
            let rank = Rank::of(file, old, &column.name);
            let what = what(old, row, &column.name);
            let (file, cell) = (file.to_owned(), cell.clone());
            if column.is_number {
                let unit = match column.unit.as_str() {
                    "" => old.cell(row, "unit"),
                    unit => unit,
                };
                self.moves.push(Move {
                    file,
                    cell,
                    metric: what,
                    unit: unit.to_owned(),
                    old: was.parse().ok(),
                    new: is.parse().ok(),
                    rank,
                });
            } else {
                let (old, new) = (was.clone(), is.to_owned());
                self.changes.push(Change {
                    file,
                    cell,
                    what,
                    old,
                    new,
                    rank,
                });
            }
        }
    }

    fn pair(&mut self, samples: Samples, confidence: f64) {
        let pairs: Vec<(Figure, [Vec<f64>; 2])> = samples
            .into_iter()
            .filter_map(|(figure, [old, new])| {
                let both = old.iter().filter_map(|(r, a)| Some((*a, *new.get(r)?)));
                let (a, b): (Vec<f64>, Vec<f64>) = both.unzip();
                (a != b).then_some((figure, [a, b]))
            })
            .collect();
        let confidence = stats::bonferroni(confidence, pairs.len());
        let one = |(figure, [a, b]): (Figure, [Vec<f64>; 2])| Paired {
            file: figure.file,
            cell: figure.cell,
            metric: figure.metric,
            unit: figure.unit,
            means: [stats::mean(&a), stats::mean(&b)],
            difference: stats::paired_difference(&b, &a, confidence),
        };
        self.paired = pairs.into_iter().map(one).collect();
        self.paired.sort_by(|a, b| b.size().total_cmp(&a.size()));
    }
}

/// What a sample is of.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Figure {
    file: String,
    cell: String,
    metric: String,
    unit: String,
}

/// By figure: the values of both sides by replication.
type Samples = BTreeMap<Figure, [BTreeMap<String, f64>; 2]>;

/// The numbers of a table that has a row for each replication.
fn collect(file: &str, table: &Table, side: usize, samples: &mut Samples) {
    if table.place("replication").is_none() {
        return;
    }
    for row in &table.rows {
        let replication = table.cell(row, "replication");
        let cell = table.label(row);
        for column in table.columns.iter().filter(|c| c.is_number && !c.is_key) {
            let number = table.number(row, &column.name);
            let Some(value) = number.filter(|_| !is_of_cell(&column.name)) else {
                continue;
            };
            let keys = keys(table, row, &["replication"]);
            let figure = Figure {
                file: file.to_owned(),
                cell: cell.clone(),
                metric: joined(&keys, &column.name),
                unit: column.unit.clone(),
            };
            let both = samples.entry(figure).or_default();
            both[side].insert(replication.to_owned(), value);
        }
    }
}

/// Values of the keys that do not say which cell it is.
fn keys(table: &Table, row: &[String], but: &[&str]) -> Vec<String> {
    let is_own = |name: &str| !is_of_cell(name) && !but.contains(&name);
    let keys = table.columns.iter().zip(row);
    let keys = keys.filter(|(column, _)| column.is_key && is_own(&column.name));
    let word = |(column, value): (&crate::saved::Field, &String)| match column.name.as_str() {
        "replication" | "case" => format!("{} {value}", column.name),
        _ => value.clone(),
    };
    keys.map(word).collect()
}

fn joined(keys: &[String], column: &str) -> String {
    let column = Some(column).filter(|c| *c != "value");
    let words = keys.iter().map(String::as_str).chain(column);
    words.collect::<Vec<_>>().join(" ")
}

/// What a number of a row is, besides its cell.
fn what(table: &Table, row: &[String], column: &str) -> String {
    joined(&keys(table, row, &[]), column)
}

/// What a row is about, whatever its place; its place where nothing says.
fn name(table: &Table, row: &[String], place: usize) -> String {
    let label = table.label(row);
    let keys = keys(table, row, &[]).join(" ");
    match format!("{label} {keys}").trim() {
        "" => format!("row {}", place + 1),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::Field;

    fn table(rows: &[[&str; 5]]) -> Table {
        let field = |name: &str, is_key, is_number| Field {
            name: name.to_owned(),
            unit: if name == "p99_ms" { "ms" } else { "" }.to_owned(),
            is_key,
            is_number,
        };
        let columns = vec![
            field("cell", true, true),
            field("replication", true, true),
            field("engine", false, false),
            field("status", false, false),
            field("p99_ms", false, true),
        ];
        let rows = rows.iter().map(|r| r.map(str::to_owned).to_vec()).collect();
        Table { columns, rows }
    }

    #[test]
    fn moves_are_matched_by_cell_and_sorted_by_size() {
        let old = table(&[
            ["0", "0", "qbft", "ok", "100"],
            ["1", "0", "raft", "ok", "10"],
            ["2", "0", "central", "ok", "1"],
        ]);
        // Another order: the place says nothing.
        let new = table(&[
            ["0", "0", "raft", "saturated", "15"],
            ["1", "0", "qbft", "ok", "101"],
            ["2", "0", "clique", "ok", "1"],
        ]);
        let mut moved = Moved::default();
        moved.table("t.csv", &old, &new);
        moved.moves.sort_by(|a, b| b.size().total_cmp(&a.size()));
        let lines: Vec<String> = moved
            .moves
            .iter()
            .map(|m| format!("{} {} {:?} {}", m.cell, m.metric, m.absolute(), m.unit))
            .collect();
        assert_eq!(
            lines,
            [
                "raft replication 0 p99_ms Some(5.0) ms",
                "qbft replication 0 p99_ms Some(1.0) ms"
            ]
        );
        assert_eq!(moved.changes.len(), 1);
        assert_eq!(moved.changes[0].new, "saturated");
        assert_eq!(
            moved.lone,
            [
                "t.csv central replication 0: only in the baseline",
                "t.csv clique replication 0: new"
            ]
        );
    }

    #[test]
    fn pairs_tell_a_shift_from_chance() {
        let rows = |shift: f64, jitter: f64| -> Vec<[String; 5]> {
            let row = |r: usize| {
                let base = 100.0
                    + 10.0 * (r as f64)
                    + shift
                    + if r.is_multiple_of(2) { jitter } else { -jitter };
                [
                    "0".into(),
                    r.to_string(),
                    "qbft".into(),
                    "ok".into(),
                    base.to_string(),
                ]
            };
            (0..10).map(row).collect()
        };
        let pairs = |a: &[[String; 5]], b: &[[String; 5]]| {
            let mut samples = Samples::new();
            for (side, rows) in [a, b].into_iter().enumerate() {
                let rows: Vec<[&str; 5]> = rows
                    .iter()
                    .map(|r| [0, 1, 2, 3, 4].map(|i| &*r[i]))
                    .collect();
                collect("t.csv", &table(&rows), side, &mut samples);
            }
            let mut moved = Moved::default();
            moved.pair(samples, 0.95);
            moved.paired
        };
        let shifted = pairs(&rows(0.0, 0.0), &rows(1.0, 0.0));
        assert_eq!(shifted.len(), 1);
        assert!(shifted[0].is_beyond_noise(), "{shifted:?}");
        let noisy = pairs(&rows(0.0, 0.0), &rows(0.1, 5.0));
        assert!(!noisy[0].is_beyond_noise(), "{noisy:?}");
        assert!(pairs(&rows(0.0, 0.0), &rows(0.0, 0.0)).is_empty());
    }

    #[test]
    fn nothing_before_is_the_largest_move() {
        let of = |old, new| Move {
            file: String::new(),
            cell: String::new(),
            metric: String::new(),
            unit: String::new(),
            old,
            new,
            rank: Rank::Figure,
        };
        assert_eq!(of(Some(0.0), Some(1.0)).relative(), None);
        assert!(of(Some(0.0), Some(1.0)).size() > of(Some(1.0), Some(1e9)).size());
        assert_eq!(of(Some(-2.0), Some(-1.0)).relative(), Some(0.5));
    }
}
