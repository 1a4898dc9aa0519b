//! `quorate reproduce DIR`: a results folder rebuilt from its own plan, ending in equal checksums.

use crate::attack::Attack;
use crate::cli::{stop_on_signal, use_threads};
use crate::error::{Error, exit};
use crate::output::{self, MODEL_VERSION, Ran};
use crate::pair::Pair;
use crate::plan::Source;
use crate::run;
use crate::saved::{CONFIG, Saved, is_table};
use crate::study::Study;
use crate::verdict;
use std::path::{Path, PathBuf};

/// Which folder, and from what.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A results folder, of which a part may be kept only
    folder: PathBuf,
    /// The plan, where the folder does not keep it: a file, or a built-in plan or attack by name
    #[arg(long)]
    plan: Option<String>,
    /// Where files that the plan names (traces, matrices) are looked for
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    inputs: PathBuf,
    /// Keep the rebuilt folder in this one
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Threads; all cores when left out. The results are the same for any number
    #[arg(long)]
    threads: Option<usize>,
}

/// Rebuilds; what to print, and the exit code.
pub(crate) fn run(wanted: &Wanted) -> Result<(String, u8), Error> {
    let saved = Saved::open(&wanted.folder)?;
    let source = match &wanted.plan {
        None => kept(&saved, &wanted.inputs)?,
        Some(name) => Attack::source(name).or_else(|_| Source::open(name))?,
    };
    use_threads(wanted.threads)?;
    stop_on_signal();
    let scratch = scratch()?;
    let parent = wanted.out.as_deref().unwrap_or(scratch.path());
    if is_same(parent, wanted.folder.parent()) {
        let hint = "name another folder, or leave it out";
        return Err(Error::usage(
            "--out would replace what is to be reproduced",
            hint,
        ));
    }
    let rebuilt = Saved::whole(&rebuild(&source, parent)?)?;
    let same = |(file, sum): &(&String, &String)| rebuilt.sums.get(*file) == Some(sum);
    let equal = saved.sums.iter().filter(same).count();
    let all = saved.sums.len();
    if equal == all && rebuilt.sums.len() == all {
        let text = format!("{}: {all} of {all} files equal\n", wanted.folder.display());
        return Ok((text, exit::OK));
    }
    let first = first_difference(&saved, &rebuilt)?;
    let text = format!(
        "{}: {equal} of {all} files equal; the first that is not: {first}\n",
        wanted.folder.display()
    );
    Ok((text, exit::MOVED))
}

/// A folder that is gone afterwards.
pub(crate) fn scratch() -> Result<tempfile::TempDir, Error> {
    tempfile::tempdir().map_err(|e| {
        let hint = "free some space where temporary files go, or set TMPDIR";
        Error::io(format!("cannot make a temporary folder: {e}"), hint)
    })
}

fn is_same(a: &Path, b: Option<&Path>) -> bool {
    let b = b
        .filter(|b| !b.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let whole = |path: &Path| path.canonicalize().ok();
    whole(a).is_some_and(|a| Some(a) == whole(b))
}

/// The plan that a folder keeps, its files looked for from `inputs`.
///
/// # Errors
/// When none is kept (65), or it is of another `model_version` (5).
pub(crate) fn kept(saved: &Saved, inputs: &Path) -> Result<Source, Error> {
    let shown = saved.path.display();
    let Some(text) = saved.text(CONFIG)? else {
        let hint = "name the plan that it was made from: quorate reproduce --plan; \
            `quorate validate` rebuilds validation folders";
        return Err(Error::data(format!("{shown} keeps no {CONFIG}"), hint));
    };
    if let Some(version) = saved.model_version()?.filter(|v| *v != MODEL_VERSION) {
        return Err(Error {
            message: format!(
                "{shown} was made with model_version {version}; this program has {MODEL_VERSION}"
            ),
            hint: format!(
                "build the program of model_version {version}, or run the plan again and compare with `quorate diff`"
            ),
            code: exit::MODEL,
        });
    }
    let name = saved.path.canonicalize().ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default();
    let origin = inputs.join(format!("{}:{CONFIG}", name.display()));
    Ok(Source::new(origin.display().to_string(), text))
}

/// The study of a plan that was kept, its files where they are to be.
///
/// # Errors
/// What [`Study::open`] refuses; what is missing is said with where it was looked for.
pub(crate) fn study(source: &Source) -> Result<Study, Error> {
    let plan = source.plan(&[])?;
    Study::open(source, plan).map_err(|e| looked_for(source, e))
}

fn looked_for(source: &Source, error: Error) -> Error {
    if error.code != exit::NO_INPUT {
        return error;
    }
    let folder = Path::new(&source.origin).parent();
    let folder = folder
        .filter(|f| !f.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let hint = format!(
        "the plan reads a file that results do not hold; it was looked for from {}: say where it is with --inputs",
        folder.display()
    );
    Error { hint, ..error }
}

/// Runs a plan of any kind as `quorate run` does; returns its folder.
///
/// # Errors
/// What the plan's kind refuses; see [`study`].
pub(crate) fn rebuild(source: &Source, parent: &Path) -> Result<PathBuf, Error> {
    let command: Vec<String> = std::env::args().collect();
    let command = command.join(" ");
    if Attack::is_one(source) {
        let attack = Attack::open(source, &[], None, false).map_err(|e| looked_for(source, e))?;
        return attack.run(&command)?.write(parent);
    }
    if Pair::is_one(source) {
        return Pair::open(source, &[], false)?.run(&command)?.write(parent);
    }
    let study = study(source)?;
    let outcomes = run::run(&study, &command)?;
    let rows = verdict::judge_all(&study, &outcomes);
    output::write(parent, &study, &Ran::all(&study, &outcomes, &rows))
}

/// The first file that differs, and where: the plan before the units, and these before what is made of them.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn first_difference(a: &Saved, b: &Saved) -> Result<String, Error> {
    const FIRST: [&str; 4] = [CONFIG, "plan.csv", "replications.csv", "two-ledgers.csv"];
    let first = FIRST.map(str::to_owned);
    let rest = a.sums.keys().chain(b.sums.keys()).cloned();
    let differs = |file: &String| a.sums.get(file) != b.sums.get(file);
    let Some(file) = first.into_iter().chain(rest).find(differs) else {
        return Ok("none".to_owned());
    };
    let missing = |side: &str| Ok(format!("{file}, which is not in the {side} folder"));
    if !a.sums.contains_key(&file) {
        return missing("given");
    }
    if !b.sums.contains_key(&file) {
        return missing("rebuilt");
    }
    let bytes = |saved: &Saved| std::fs::read(saved.path.join(&file)).unwrap_or_default();
    if !a.has(&file) {
        return Ok(format!(
            "{file}, of which the folder keeps the checksum only"
        ));
    }
    let (old, new) = (bytes(a), bytes(b));
    let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
    Ok(format!("{file}, {}", first_line(&file, &old, &new)))
}

/// The first line in which two texts differ; in a table the first column.
fn first_line(file: &str, old: &str, new: &str) -> String {
    let (mut a, mut b) = (old.lines(), new.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (a.next(), b.next()) {
            (None, None) => return "line ends".to_owned(),
            (a, b) if a == b => {}
            (Some(a), Some(b)) if is_table(file) && line > 1 => {
                return format!("row {}, {}", line - 1, first_cell(old, a, b));
            }
            (a, b) => {
                let shown = |text: Option<&str>| match text {
                    Some(text) => format!("{:?}", text.chars().take(100).collect::<String>()),
                    None => "nothing".to_owned(),
                };
                return format!("line {line}: {}, then {}", shown(a), shown(b));
            }
        }
    }
}

/// Assumes that the first columns hold no line ends, which is so where rows are one line each.
fn first_cell(table: &str, a: &str, b: &str) -> String {
    let record = |line: &str| -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(line.as_bytes());
        let row = reader.records().next().and_then(Result::ok);
        row.map_or_else(Vec::new, |r| r.iter().map(str::to_owned).collect())
    };
    let (head, a, b) = (
        record(table.lines().next().unwrap_or_default()),
        record(a),
        record(b),
    );
    let differs = |at: &usize| a.get(*at) != b.get(*at);
    let at = (0..a.len().max(b.len())).find(differs).unwrap_or(0);
    let cell = |row: &[String]| row.get(at).cloned().unwrap_or_default();
    format!(
        "column {}: {:?}, then {:?}",
        cell(&head),
        cell(&a),
        cell(&b)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cell_that_differs_is_named() {
        let old = "cell,engine,p99\n0,qbft,1\n1,\"ra,ft\",2\n";
        let new = "cell,engine,p99\n0,qbft,1\n1,\"ra,ft\",3\n";
        assert_eq!(
            first_line("t.csv", old, new),
            "row 2, column p99: \"2\", then \"3\""
        );
        assert_eq!(
            first_line("t.txt", "a\nb", "a"),
            "line 2: \"b\", then nothing"
        );
    }
}
