//! Which rows are run, what came out, and how that is said and written.

use super::{Case, Check, FAMILIES, Family, Kind, Tier, cases, page};
use crate::error::{Error, exit};
use crate::excerpt;
use crate::progress::Progress;
use crate::results::{Column, Folder, Kind as Cell, Value};
use crate::run::STOP;
use rayon::prelude::*;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Which rows.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of these tiers; empty for all.
    pub tiers: Vec<Tier>,
    /// Whose id matches this, with `*` for any text and `?` for any letter. They are run however long
    /// they take.
    pub id: Option<String>,
    /// Also rows of tiers C and D that take long.
    pub full: bool,
    /// A file with rows of one's own instead of the tables.
    pub cases: Option<PathBuf>,
}

/// A row before it is run.
pub struct Job {
    /// The name of the table or, for a row of one's own, of the check's family; empty for neither.
    pub family: &'static str,
    /// The row.
    pub case: Case,
    /// How it is simulated; `None` for context that is not.
    pub check: Option<Check>,
}

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// In its band.
    Pass,
    /// Outside, or there is no number.
    Miss,
    /// Not judged.
    Context,
}

impl Verdict {
    /// The word in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Miss => "miss",
            Self::Context => "context",
        }
    }
}

/// A row that was run.
pub struct Row {
    /// As of the [`Job`].
    pub family: &'static str,
    /// The row.
    pub case: Case,
    /// What the simulator gave, or why nothing; `None` where it was not asked.
    pub got: Option<Result<f64, String>>,
    /// How long it took, for the screen only.
    pub took: Duration,
}

impl Row {
    /// The number that came out.
    pub fn value(&self) -> Option<f64> {
        self.got.as_ref()?.as_ref().ok().copied()
    }

    /// Whether it holds.
    pub fn verdict(&self) -> Verdict {
        match (self.case.tier, self.value()) {
            (Tier::D, _) => Verdict::Context,
            (_, Some(got)) if self.case.holds(got) => Verdict::Pass,
            _ => Verdict::Miss,
        }
    }

    /// What there is to say: why there is no number, or the row's note.
    pub fn note(&self) -> &str {
        match &self.got {
            Some(Err(why)) => why,
            _ => &self.case.note,
        }
    }
}

// ---- which ----------------------------------------------------------------------------------

/// The rows that are wanted, in the order of the tables, and how many more there are that only the
/// long form runs.
///
/// # Errors
/// Where a file of one's own is missing or wrong.
pub fn jobs(wanted: &Wanted) -> Result<(Vec<Job>, usize), Error> {
    let all = match &wanted.cases {
        Some(file) => own(file)?,
        None => known().map_err(|e| Error::data(e, "this is a bug; please report it"))?,
    };
    let is_wanted = |job: &Job| {
        let tier = wanted.tiers.is_empty() || wanted.tiers.contains(&job.case.tier);
        let id = wanted.id.as_ref();
        tier && id.is_none_or(|glob| matches(glob, &job.case.id))
    };
    let mut jobs: Vec<Job> = all.into_iter().filter(is_wanted).collect();
    let before = jobs.len();
    if !wanted.full && wanted.id.is_none() && wanted.cases.is_none() {
        let is_short = |job: &Job| job.case.fast || job.check.is_none();
        jobs.retain(|job| job.case.tier <= Tier::B || is_short(job));
    }
    let left = before - jobs.len();
    Ok((jobs, left))
}

/// The rows of all families.
///
/// # Errors
/// Where a table is not well-formed or names a check that is not there.
pub fn known() -> Result<Vec<Job>, String> {
    let mut jobs = Vec::new();
    for family in FAMILIES {
        for case in family.cases()? {
            let name = case.check.as_str();
            let check = match (name, case.tier) {
                ("", Tier::D) => None,
                ("", _) => return Err(format!("{}: names no check", case.id)),
                _ => Some(family.check(name).ok_or_else(|| {
                    format!(
                        "{}: the family {} has no check `{name}`",
                        case.id, family.name
                    )
                })?),
            };
            jobs.push(Job {
                family: family.name,
                case,
                check,
            });
        }
    }
    Ok(jobs)
}

/// The rows of a file, whose checks may be of any family.
fn own(file: &Path) -> Result<Vec<Job>, Error> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| {
        Error::missing(format!("cannot read {shown}: {e}"), "name a file with rows")
    })?;
    let hint = "columns and values are as in results/reference/validation/validation.csv, without \
                family, got and verdict, and with fast (true or false)";
    let wrong = |e: String| Error::data(format!("{shown}: {e}"), hint);
    let rows = cases(&text).map_err(|e| wrong(e.clone() + &excerpt::of_message(&text, &e)))?;
    let job = |case: Case| {
        let (family, check) = find(&case.check).map_err(|e| {
            Error::data(
                format!("{shown}: {}: {e}", case.id),
                "see the column check there",
            )
        })?;
        Ok(Job {
            family: family.name,
            case,
            check: Some(check),
        })
    };
    rows.into_iter().map(job).collect()
}

/// A check by its name, or by `family.name` where two families have one of that name.
fn find(name: &str) -> Result<(&'static Family, Check), String> {
    let (of, short) = match name.split_once('.') {
        Some((family, short)) => (Some(family), short),
        None => (None, name),
    };
    let families = FAMILIES.iter().filter(|f| of.is_none_or(|of| f.name == of));
    let mut found = families.filter_map(|f| Some((f, f.check(short)?)));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("there is no check `{name}`")),
        (Some((a, _)), Some((b, _))) => Err(format!(
            "`{name}` is ambiguous: `{}.{short}` or `{}.{short}`",
            a.name, b.name
        )),
    }
}

/// Whether a text is what a pattern with `*` and `?` says.
pub(crate) fn matches(glob: &str, text: &str) -> bool {
    let mut letters = glob.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            let mut tails = text.char_indices().map(|(at, _)| &text[at..]);
            tails.any(|tail| matches(rest, tail)) || matches(rest, "")
        }
        Some(letter) => {
            let mut other = text.chars();
            let fits = other.next().is_some_and(|c| letter == '?' || letter == c);
            fits && matches(letters.as_str(), other.as_str())
        }
    }
}

// ---- running --------------------------------------------------------------------------------

/// Runs the rows on all cores, those that take long first; the result is in the order given.
///
/// # Errors
/// When interrupted.
pub fn run(jobs: Vec<Job>) -> Result<Vec<Row>, Error> {
    let progress = Progress::new(Some(jobs.len() as u64), "rows");
    let mut order: Vec<(usize, Job)> = jobs.into_iter().enumerate().collect();
    order.sort_by_key(|(_, job)| job.case.fast || job.check.is_none());
    let mut rows: Vec<(usize, Row)> = order
        .into_par_iter()
        .with_max_len(1)
        .map(|(place, job)| {
            let row = measure(job);
            progress.inc(1);
            (place, row)
        })
        .collect();
    progress.finish();
    if STOP.load(Ordering::Relaxed) {
        return Err(Error::interrupted());
    }
    rows.sort_by_key(|(place, _)| *place);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

#[allow(clippy::disallowed_types, reason = "for the screen only")]
fn measure(job: Job) -> Row {
    let Job {
        family,
        case,
        check,
    } = job;
    let since = std::time::Instant::now();
    let got = check.map(|check| {
        if STOP.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        let run = AssertUnwindSafe(|| check.got(&case.parameters));
        catch_unwind(run).unwrap_or_else(|_| Err("a bug: it panicked, see above".to_owned()))
    });
    Row {
        family,
        case,
        got,
        took: since.elapsed(),
    }
}

// ---- saying ---------------------------------------------------------------------------------

/// Rows that hold, and rows that are judged, of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// In their bands.
    pub hold: usize,
    /// All but context.
    pub judged: usize,
}

/// The count of a kind.
pub fn count(rows: &[Row], kind: Kind) -> Count {
    let judged = |r: &&Row| r.case.kind == kind && r.verdict() != Verdict::Context;
    let judged = rows.iter().filter(judged);
    let (hold, all): (Vec<&Row>, Vec<&Row>) = judged.partition(|r| r.verdict() == Verdict::Pass);
    Count {
        hold: hold.len(),
        judged: hold.len() + all.len(),
    }
}

/// The kinds in the order in which they are counted, in words.
pub const KINDS: [(Kind, &str); 3] = [
    (Kind::System, "real systems and their simulators"),
    (Kind::Law, "laws"),
    (Kind::Arithmetic, "arithmetic"),
];

/// The rows that miss, the worst tier first.
pub fn misses(rows: &[Row]) -> Vec<&Row> {
    let missed = rows.iter().filter(|r| r.verdict() == Verdict::Miss);
    let mut missed: Vec<&Row> = missed.collect();
    missed.sort_by_key(|r| r.case.tier);
    missed
}

/// 0 when tier A holds.
pub fn code(rows: &[Row]) -> u8 {
    let broken = |r: &Row| r.case.tier == Tier::A && r.verdict() == Verdict::Miss;
    if rows.iter().any(broken) {
        exit::VALIDATION
    } else {
        exit::OK
    }
}

/// A number in at most six digits.
pub fn number(x: f64) -> String {
    let plain = x.abs() < 5e-13 || (1e-4..1e7).contains(&x.abs());
    if !plain {
        let text = format!("{x:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(digits));
    }
    let digits = if x == 0.0 {
        0
    } else {
        5 - quorate_core::math::log10(x.abs()).floor() as i32
    };
    trimmed(&format!("{x:.*}", digits.clamp(0, 9) as usize)).to_owned()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// A band in a few letters.
pub fn band(case: &Case) -> String {
    if case.lower < case.upper {
        format!("{} .. {}", number(case.lower), number(case.upper))
    } else {
        "exact".to_owned()
    }
}

/// What stands on the screen: a line a row, the counts, and why rows miss.
pub fn report(rows: &[Row], left: usize, folder: &Path) -> String {
    let mut text = table(rows);
    text.push('\n');
    for (kind, name) in KINDS {
        let Count { hold, judged } = count(rows, kind);
        if judged > 0 {
            let _ = writeln!(text, "{name}: {hold} of {judged} in their bands");
        }
    }
    let missed = misses(rows);
    if !missed.is_empty() {
        text.push('\n');
    }
    for row in missed {
        let note = match row.note() {
            "" => "not explained",
            note => note,
        };
        let _ = writeln!(
            text,
            "{} (tier {:?}) misses: {note}",
            row.case.id, row.case.tier
        );
    }
    if left > 0 {
        let _ = writeln!(
            text,
            "\n{left} more rows of tiers C and D take long: run them with --full"
        );
    }
    let _ = writeln!(text, "\nresults: {}", folder.display());
    text
}

const HEAD: [&str; 7] = [
    "id", "quantity", "expected", "band", "got", "verdict", "time",
];
/// Letters of a quantity on the screen.
const QUANTITY: usize = 48;

fn table(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let got = row.value().map_or_else(|| "-".to_owned(), number);
        [
            row.case.id.clone(),
            cut(&row.case.quantity),
            number(row.case.expected),
            band(&row.case),
            got,
            row.verdict().name().to_owned(),
            format!("{:.2} s", row.took.as_secs_f64()),
        ]
    };
    let lines: Vec<[String; 7]> = rows.iter().map(cells).collect();
    let width = |i: usize| {
        let longest = lines.iter().map(|l| l[i].chars().count()).max();
        longest.unwrap_or(0).max(HEAD[i].len())
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    let mut push = |line: &[String; 7]| {
        let cells = line.iter().zip(widths).map(|(c, w)| format!("{c:w$}"));
        let joined: Vec<String> = cells.collect();
        let _ = writeln!(text, "{}", joined.join("  ").trim_end());
    };
    push(&HEAD.map(str::to_owned));
    lines.iter().for_each(&mut push);
    text
}

fn cut(text: &str) -> String {
    if text.chars().count() <= QUANTITY {
        return text.to_owned();
    }
    text.chars().take(QUANTITY - 1).chain(['…']).collect()
}

// ---- writing --------------------------------------------------------------------------------

const fn column(name: &'static str, kind: Cell, description: &'static str) -> Column {
    Column {
        name,
        kind,
        unit: "",
        description,
        key: false,
    }
}

/// The columns of `validation.csv`.
const COLUMNS: &[Column] = &[
    Column {
        key: true,
        ..column("id", Cell::String, "name of the known number")
    },
    column(
        "tier",
        Cell::String,
        "A: a miss is a bug; B: or a wrong denominator; C: reported; D: context",
    ),
    column(
        "kind",
        Cell::String,
        "system: measured on a real system or another simulator; law: a closed form; arithmetic: nothing is simulated",
    ),
    column("family", Cell::String, "which checks measure it"),
    column("protocol", Cell::String, "engine or family of engines"),
    column("quantity", Cell::String, "what is measured, with its unit"),
    column(
        "check",
        Cell::String,
        "how it is simulated; empty for context that is not",
    ),
    column("parameters", Cell::String, "of the check"),
    column("expected", Cell::Number, "the known value"),
    column("lower", Cell::Number, "the least value that passes"),
    column("upper", Cell::Number, "the largest value that passes"),
    column("got", Cell::Number, "what the simulator gave"),
    column("verdict", Cell::String, "pass, miss, or context"),
    column("source", Cell::String, "where the known value is from"),
    column(
        "note",
        Cell::String,
        "why it misses, or what is not believed",
    ),
];

/// Writes `validation.csv`, `index.html` and the figures; returns the folder.
///
/// # Errors
/// When the folder cannot be written; nothing half-written is left.
pub fn write(out: &Path, rows: &[Row]) -> Result<PathBuf, Error> {
    let mut folder = open(out)?;
    folder.csv("validation.csv", COLUMNS, rows.iter().map(cells))?;
    for (name, curve) in page::figures(rows) {
        folder.text(&format!("{name}.svg"), &crate::plots::draw(&curve))?;
    }
    folder.text("index.html", &page::page(rows))?;
    Ok(folder.finish()?)
}

/// Whether results can be written there, before anything is simulated.
///
/// # Errors
/// When not.
pub fn probe(out: &Path) -> Result<(), Error> {
    drop(open(out)?);
    Ok(())
}

fn open(out: &Path) -> Result<Folder, Error> {
    let name = out.file_name().and_then(std::ffi::OsStr::to_str);
    let name = name.ok_or_else(|| {
        Error::config(
            format!("--out {}: names no folder", out.display()),
            "use a path such as results/validation",
        )
    })?;
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty());
    Ok(Folder::create(parent.unwrap_or(Path::new(".")), name)?)
}

fn cells(row: &Row) -> Vec<Value> {
    let case = &row.case;
    let kind = match case.kind {
        Kind::System => "system",
        Kind::Law => "law",
        Kind::Arithmetic => "arithmetic",
    };
    vec![
        case.id.clone().into(),
        format!("{:?}", case.tier).into(),
        kind.into(),
        row.family.into(),
        case.protocol.clone().into(),
        case.quantity.clone().into(),
        case.check.clone().into(),
        case.parameters.clone().into(),
        case.expected.into(),
        case.lower.into(),
        case.upper.into(),
        row.value().into(),
        row.verdict().name().into(),
        case.source.clone().into(),
        row.note().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (glob, text, fits) in [
            ("CF-*", "CF-BTC-01", true),
            ("CF-*", "PB-1", false),
            ("*-0?", "CF-BTC-01", true),
            ("*-0?", "CF-BTC-11", false),
            ("*", "", true),
            ("", "x", false),
            ("**1", "CF-BTC-01", true),
        ] {
            assert_eq!(matches(glob, text), fits, "{glob} {text}");
        }
    }

    #[test]
    fn numbers_have_six_digits() {
        for (x, text) in [
            (0.0, "0"),
            (600.596, "600.596"),
            (0.000_833_333_3, "0.000833333"),
            (1.241_4e-6, "1.2414e-6"),
            (129_600.0, "129600"),
            (1_970_001.0, "1970001"),
            (-0.5, "-0.5"),
            (12_345_678.0, "1.23457e7"),
        ] {
            assert_eq!(number(x), text);
        }
    }
}
