//! `quorate import`: files of care, goods or a study as `arrivals.csv`, with an account of what became of
//! them.

use crate::error::{Error, exit};
use crate::excerpt;
use crate::plan;
use crate::progress::Progress;
use crate::run::STOP;
use crate::screen::table;
use crate::terminal;
use crate::workload::open_input;
use quorate_core::Seed;
use quorate_workloads::trace::Imported;
use quorate_workloads::{self as workloads, Import, Workload, WorkloadKind, register};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use tempfile::NamedTempFile;

/// What is imported, and where to.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// A file, or a folder of them
    source: String,
    /// The file to write; `import.csv` beside it says what became of the rows
    #[arg(short, long, value_name = "FILE", default_value = "arrivals.csv")]
    out: PathBuf,
    /// The format, where the files do not show it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The seed of what is drawn, such as times of day
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A setting of the trace, such as `clock=source`, `payload=full` or `scale=true`; may be repeated
    #[arg(short = 's', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// FHIR R4: bundles (*.json) and bulk exports of lines (*.ndjson)
    Fhir,
    /// Synthea's CSV export: a folder with patients.csv and encounters.csv
    Synthea,
    /// EPCIS 2.0: documents (*.jsonld, *.json)
    Epcis,
    /// CDISC SDTM: a folder with dm.csv, ds.csv, sv.csv and ae.csv
    Sdtm,
    /// arrivals.csv: put in order
    Arrivals,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Fhir => "fhir",
            Self::Synthea => "synthea",
            Self::Epcis => "epcis",
            Self::Sdtm => "sdtm",
            Self::Arrivals => "arrivals",
        }
    }

    /// What the files show.
    fn of(source: &str) -> Result<Self, Error> {
        let path = Path::new(source);
        let text = start_of(path, source)?;
        if path.is_dir() {
            let names = text.to_ascii_lowercase();
            let has = |name: &str| names.lines().any(|n| n == name);
            let first = |ending: &str| {
                let found = names.lines().position(|n| n.ends_with(ending));
                found.and_then(|at| text.lines().nth(at))
            };
            if has("dm.csv") && has("sv.csv") {
                return Ok(Self::Sdtm);
            }
            if has("patients.csv") && has("encounters.csv") {
                return Ok(Self::Synthea);
            }
            if first(".ndjson").is_some() {
                return Ok(Self::Fhir);
            }
            if let Some(name) = first(".jsonld").or_else(|| first(".json")) {
                return Self::of(&format!("{source}/{name}"));
            }
        } else if text.contains("EPCISDocument") || text.contains("EPCISQueryDocument") {
            return Ok(Self::Epcis);
        } else if text.contains("\"resourceType\"") {
            return Ok(Self::Fhir);
        } else if text
            .lines()
            .next()
            .is_some_and(|header| header.contains("at_s"))
        {
            return Ok(Self::Arrivals);
        }
        let hint = "say which with --format: fhir, synthea, epcis, sdtm or arrivals";
        Err(Error::data(
            format!(
                "{source} shows no format that is known{}",
                excerpt::of_start(path)
            ),
            hint,
        ))
    }
}

/// The first characters of a file, or the names in a folder.
fn start_of(path: &Path, source: &str) -> Result<String, Error> {
    // assumption: a document says in its first lines what it is.
    const ENOUGH: u64 = 1 << 16;
    let mut bytes = Vec::new();
    open_input(path)
        .and_then(|input| {
            let whole = path.is_dir();
            input
                .take(if whole { u64::MAX } else { ENOUGH })
                .read_to_end(&mut bytes)
        })
        .map_err(|e| {
            let hint = "give a file, or a folder of files";
            Error::missing(format!("cannot read {source}: {e}"), hint)
        })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file that ends when the program is to stop, and says how far it is read.
struct Stoppable(Box<dyn Read>, Rc<Progress>);

/// Bytes that lie there; none where nobody knows.
fn bytes_of(path: &Path) -> Option<u64> {
    let about = std::fs::metadata(path).ok()?;
    if !about.is_dir() {
        return Some(about.len());
    }
    let entries = std::fs::read_dir(path).ok()?.flatten();
    Some(entries.filter_map(|e| Some(e.metadata().ok()?.len())).sum())
}

impl Read for Stoppable {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if STOP.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let read = self.0.read(into)?;
        self.1.inc(read as u64);
        Ok(read)
    }
}

/// Imports, and says what became of the rows.
pub(crate) fn run(wanted: &Wanted) -> Result<u8, Error> {
    let source = wanted.source.trim_end_matches('/');
    let format = match wanted.format {
        Some(format) => format,
        None => Format::of(source)?,
    };
    let mut settings = toml::Table::new();
    settings.insert("format".to_owned(), format.name().into());
    settings.insert("path".to_owned(), source.into());
    for text in &wanted.set {
        plan::set(&mut settings, text)?;
    }
    let trace = WorkloadKind::Trace.parse(settings).map_err(|e| {
        let why = e.message().lines().collect::<Vec<_>>().join(" ");
        let hint = "they are the keys of a plan's [workload] with that format";
        Error::config(format!("a setting of the trace is wrong: {why}"), hint)
    })?;
    let Workload::Trace(config) = trace else {
        unreachable!("it was parsed as a trace");
    };
    let progress = Rc::new(Progress::new(bytes_of(Path::new(source)), "bytes"));
    let mut open = |path: &str| -> io::Result<Box<dyn Read>> {
        let input = open_input(Path::new(path))?;
        Ok(Box::new(Stoppable(input, Rc::clone(&progress))))
    };
    let imported = config.import(Seed::new(wanted.seed, 0), &mut open);
    progress.finish();
    if STOP.load(Ordering::Relaxed) {
        return Err(Error::interrupted());
    }
    let imported = imported.map_err(|e| refused(&e))?;
    let account = wanted.out.with_file_name("import.csv");
    if account == wanted.out {
        let hint = "import.csv beside it says what became of the rows";
        return Err(Error::config("-o import.csv: the name is taken", hint));
    }
    let file = account_of(&imported.account);
    whole(&account, &mut |out| out.write_all(file.as_bytes()))?;
    whole(&wanted.out, &mut |out| register::write(&imported, out))?;
    let text = text(format, source, &imported, [&wanted.out, &account]);
    let document = || document(format, source, &imported, [&wanted.out, &account]);
    terminal::end(&text, document, &wanted.out.display().to_string());
    Ok(exit::OK)
}

/// A workload's error as one of the program.
fn refused(error: &workloads::Error) -> Error {
    let text = error.to_string();
    let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
    match error {
        workloads::Error::Setting { .. } => Error::config(message, hint),
        workloads::Error::Open { .. } => {
            Error::missing(message, "a folder must hold all of its files")
        }
        _ => {
            let shown = excerpt::of_data(Path::new(""), error);
            Error::data(format!("{message}{shown}"), hint)
        }
    }
}

/// Writes a file that appears whole or not at all.
pub(crate) fn whole(
    path: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut attempt = || -> io::Result<()> {
        let mut file = NamedTempFile::new_in(folder)?;
        let mut out = BufWriter::new(&mut file);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    attempt().map_err(|e| Error {
        message: format!("cannot write {}: {e}", path.display()),
        hint: "name a file in a folder that exists and can be written".to_owned(),
        code: exit::IO,
    })
}

/// The account as a table.
fn account_of(account: &Import) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut row = |fields: [&str; 4]| out.write_record(fields).expect("memory takes it");
    row(["source", "outcome", "what", "count"]);
    for ((from, class), n) in &account.mapped {
        row([from, "arrivals", class, &n.to_string()]);
    }
    for ((what, why), n) in &account.left_out {
        row([what, "rows left out", why, &n.to_string()]);
    }
    for note in &account.notes {
        row(["", "note", note, ""]);
    }
    String::from_utf8(out.into_inner().expect("memory takes it")).expect("it was text")
}

/// The same as a document.
fn document(
    format: Format,
    source: &str,
    imported: &Imported,
    written: [&Path; 2],
) -> serde_json::Value {
    let account = &imported.account;
    let mapped = account.mapped.iter();
    let mapped =
        mapped.map(|((from, class), n)| json!({ "from": from, "class": class, "arrivals": n }));
    let left_out = account.left_out.iter();
    let left_out = left_out.map(|((what, why), n)| json!({ "what": what, "why": why, "rows": n }));
    json!({
        "command": "import",
        "exit_code": exit::OK,
        "source": source,
        "format": format.name(),
        "rows": account.rows,
        "used": account.used(),
        "arrivals": account.arrivals,
        "sites": imported.sites,
        "mapped": mapped.collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
        "notes": account.notes,
        "files": written.map(|path| path.display().to_string()),
    })
}

fn text(format: Format, source: &str, imported: &Imported, written: [&Path; 2]) -> String {
    let account = &imported.account;
    let days = imported
        .arrivals
        .last()
        .map_or(0.0, |last| last.at.as_s() / 86_400.0);
    let mut text = format!(
        "{source} ({}): {} rows, {} of them used, make {} arrivals at {} sites in {days:.1} days\n\n",
        format.name(),
        account.rows,
        account.used(),
        account.arrivals,
        imported.sites,
    );
    let cells = |fields: [&str; 3]| fields.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["from", "arrivals", "class"])];
    for ((from, class), n) in &account.mapped {
        rows.push(cells([from, &n.to_string(), class]));
    }
    table(&mut text, &rows);
    if !account.left_out.is_empty() {
        let mut rows = vec![cells(["left out", "rows", "why"])];
        for ((what, why), n) in &account.left_out {
            rows.push(cells([what, &n.to_string(), why]));
        }
        table(&mut text, &rows);
    }
    for note in &account.notes {
        let _ = writeln!(text, "{note}");
    }
    let [arrivals, account] = written.map(Path::display);
    let _ = writeln!(
        text,
        "wrote {arrivals} and {account}; a plan replays it with:\n"
    );
    let _ = writeln!(
        text,
        "  [workload]\n  name = \"trace\"\n  format = \"arrivals\"\n  path = \"{arrivals}\""
    );
    text
}
