//! The plan's workload: its settings, checked once, and its arrivals, built anew for every unit.

use crate::error::Error;
use crate::excerpt;
use crate::level::{Level as ServiceLevel, Metric};
use crate::plan::{Plan, Source};
use crate::unit::{Key, Tweak};
use crate::{question, resilience, told};
use quorate_core::{Class, ClassId, Kind, Measure, Seed, Span, Time};
use quorate_workloads::{self as workloads, Import, Rate, Setup, WorkloadKind};
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A workload that was checked.
pub struct Workload {
    spec: workloads::Workload,
    /// Files are looked for from here.
    folder: PathBuf,
    classes: Vec<&'static str>,
    reasons: Vec<&'static str>,
    measures: Vec<Measure>,
    sites: u32,
    import: Option<Import>,
    /// Whether load is offered at given rates.
    swept: bool,
    /// See [`Self::take_sample`].
    sample: OnceLock<(f64, f64, f64, f64)>,
}

impl Workload {
    /// Reads the plan's `[workload]` table and builds it once to see that it can be.
    ///
    /// # Errors
    /// An unknown workload, key or preset, a value out of range, or an unusable file.
    pub fn open_plan(source: &Source, plan: &Plan) -> Result<Self, Error> {
        let mut table = plan.workload.clone();
        table.remove("label");
        let name = table
            .remove("name")
            .and_then(|n| n.as_str().map(str::to_owned));
        let names: Vec<&str> = WorkloadKind::ALL.iter().map(|k| k.name()).collect();
        let hint = format!("workloads: {}", names.join(", "));
        let Some(name) = name else {
            return Err(source.at_key("workload.name", "is missing", &hint));
        };
        let Some(kind) = WorkloadKind::from_name(&name) else {
            return Err(source.at_key(
                "workload.name",
                &format!("is {name:?}, which is none"),
                &hint,
            ));
        };
        let spec = kind.parse(table).map_err(|e| {
            let why = format!(
                "is wrong: {}",
                e.message().lines().collect::<Vec<_>>().join(" ")
            );
            source.at_key(
                "workload",
                &why,
                &format!("`quorate list workloads` shows the keys of {name} with their defaults"),
            )
        })?;
        let folder = Path::new(&source.origin)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        let mut workload = Self {
            spec,
            folder,
            classes: Vec::new(),
            reasons: Vec::new(),
            measures: Vec::new(),
            sites: 0,
            import: None,
            swept: plan.is_swept(),
            sample: OnceLock::new(),
        };
        let rate = plan
            .load
            .offered_tps
            .first()
            .copied()
            .filter(|_| plan.is_swept());
        let built = workload
            .build(rate, Seed::new(plan.seed, 0))
            .map_err(|e| refused(source, &e))?;
        let classes = built.load.classes();
        workload.classes = classes.iter().map(|c| c.name).collect();
        workload.reasons = built.ledger.reasons().to_vec();
        let own = built.domain.as_ref().filter(|_| plan.is_measured());
        let own = own.map_or(&[][..], |d| d.measures());
        workload.measures = told::all(own, plan);
        let of = (classes, built.load.deadlines());
        let fits = |level: &ServiceLevel| match level.metric {
            Metric::Told => told::fits(level, (&name, &workload.measures)),
            _ => fits(level, of),
        };
        check_levels(source, plan, &fits)?;
        question::check_figures(source, plan, &workload, &fits)?;
        workload.sites = built.load.sites();
        crate::plan::check_liars(source, plan, workload.sites)?;
        workload.import = built.import;
        Ok(workload)
    }

    fn build(
        &self,
        offered_tps: Option<f64>,
        seed: Seed,
    ) -> Result<workloads::Built, workloads::Error> {
        let mut open = |path: &str| open_input(&self.folder.join(path));
        let rate = offered_tps.map(|per_s| Rate::Flat { per_s });
        self.spec.build(Setup {
            rate,
            seed,
            open: &mut open,
        })
    }

    /// The arrivals, rules and domain of one unit.
    ///
    /// # Panics
    /// When a file has become unusable since the plan was checked.
    pub fn open(&self, offered_tps: Option<f64>, seed: Seed) -> workloads::Built {
        self.build(offered_tps, seed)
            .expect("it was built when the plan was checked")
    }

    /// What its domain measures, and what is measured of old views where the plan says when a view is
    /// too old.
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.spec.kind().name()
    }

    /// Names of its classes.
    pub fn classes(&self) -> Vec<&str> {
        self.classes.clone()
    }

    /// The same with another payload; `None` where it has no such choice.
    pub(crate) fn with_payload(&self, payload: &str) -> Option<Self> {
        let mut table = toml::Table::try_from(&self.spec).expect("settings are a table");
        table
            .insert("payload".to_owned(), payload.into())
            .as_ref()?;
        Some(Self {
            spec: self.spec.kind().parse(table).ok()?,
            folder: self.folder.clone(),
            classes: self.classes.clone(),
            reasons: self.reasons.clone(),
            measures: self.measures.clone(),
            sites: self.sites,
            import: self.import.clone(),
            swept: self.swept,
            sample: OnceLock::new(),
        })
    }

    /// Whether whole records go on the ledger.
    pub(crate) fn is_full(&self) -> bool {
        let payload = self.resolved().remove("payload");
        payload.is_some_and(|p| p.as_str() == Some("full"))
    }

    /// Names of the reasons for which its ledger refuses.
    pub fn reasons(&self) -> &[&str] {
        &self.reasons
    }

    /// Mean bytes and mean execution time in seconds of a write, over the first few thousand.
    pub fn mean_write(&self) -> (f64, f64) {
        let (bytes, exec_s, ..) = *self.sample.get_or_init(|| self.take_sample());
        (bytes, exec_s)
    }

    /// Mean bytes of a write, and writes per second where so many are offered; in a replay, in the
    /// mean over the first few thousand.
    pub(crate) fn offered(&self, tps: Option<f64>) -> (f64, f64) {
        let (bytes, _, per_s, _) = *self.sample.get_or_init(|| self.take_sample());
        (bytes, tps.unwrap_or(per_s))
    }

    /// Mean bytes, mean execution time in seconds, writes per second, and reads per write.
    fn take_sample(&self) -> (f64, f64, f64, f64) {
        // assumption: enough for a bound that is drawn beside measured points.
        const ENOUGH: usize = 20_000;
        let mut load = self.open(self.swept.then_some(100.0), Seed::new(1, 0)).load;
        let kinds: Vec<Kind> = load.classes().iter().map(|c| c.kind).collect();
        let (mut n, mut bytes, mut exec_us, mut reads) = (0_u64, 0_u64, 0_u64, 0_u64);
        let mut until = Time::ZERO;
        for _ in 0..ENOUGH {
            let Some(arrival) = load.next() else { break };
            if kinds[arrival.class.index()] == Kind::Read {
                reads += 1;
            } else {
                n += 1;
                bytes += u64::from(arrival.bytes);
                exec_us += u64::from(arrival.exec_us);
                until = arrival.at;
            }
        }
        let n = n.max(1) as f64;
        let per_s = if until > Time::ZERO {
            n / until.as_s()
        } else {
            0.0
        };
        (
            bytes as f64 / n,
            exec_us as f64 * 1e-6 / n,
            per_s,
            reads as f64 / n,
        )
    }

    /// Sites that submit.
    pub const fn sites(&self) -> u32 {
        self.sites
    }

    /// What became of an importer's rows, if the workload is a trace.
    pub const fn import(&self) -> Option<&Import> {
        self.import.as_ref()
    }

    /// Rows of the trace by outcome: `imported`, and each reason for skipping.
    pub fn imported(&self) -> Option<Vec<(String, u64)>> {
        let import = self.import.as_ref()?;
        let skipped = import.skipped().into_iter();
        let skipped = skipped.map(|(why, n)| (format!("skipped: {why}"), n));
        let used = ("imported".to_owned(), import.used());
        Some(std::iter::once(used).chain(skipped).collect())
    }

    /// What every reader of its figures must know.
    pub fn warning(&self) -> Option<&'static str> {
        self.spec.warning()
    }

    /// Its table with every default.
    pub fn resolved(&self) -> toml::Table {
        let mut table = toml::Table::try_from(&self.spec).expect("settings are a table");
        table.insert("name".to_owned(), self.name().into());
        table
    }

    /// A hash of what its files hold; 0 without any.
    pub(crate) fn inputs(&self, seed: u64) -> u64 {
        if self.import.is_none() {
            return 0;
        }
        let mut load = self.open(None, Seed::new(seed, 0)).load;
        let mut hash = Sha256::new();
        while let Some(arrival) = load.next() {
            hash.update(format!("{arrival:?}\n"));
        }
        let word = hash.finalize()[..8].try_into().expect("eight bytes");
        u64::from_le_bytes(word)
    }

    /// End of the measured span of a unit: just after the last arrival of a trace, else the engine's
    /// or the plan's duration.
    pub fn horizon(&self, plan: &Plan, key: Key) -> Time {
        // A generator never ends; a trace does.
        if self.import.is_none() {
            return Time::ZERO + Span::from_s_f64(span_s(plan, key));
        }
        let mut load = self.open(None, Seed::new(plan.seed, key.replication)).load;
        let mut last = Time::ZERO;
        while let Some(arrival) = load.next() {
            last = arrival.at;
        }
        last + Span::from_ms(1)
    }

    /// Measured span of a unit, s; for a trace without reading all of it.
    pub(crate) fn span_s(&self, plan: &Plan, key: Key) -> f64 {
        let Some(import) = &self.import else {
            return span_s(plan, key);
        };
        let (writes, reads) = self.per_s(None);
        import.used() as f64 / (writes + reads).max(1e-9)
    }

    /// Writes and reads per second where so many writes are offered.
    pub(crate) fn per_s(&self, tps: Option<f64>) -> (f64, f64) {
        let sample = self.sample.get_or_init(|| self.take_sample());
        let writes = tps.unwrap_or(sample.2);
        (writes, writes * sample.3)
    }
}

/// Opens a file; a folder reads as the sorted names in it, one a line.
pub(crate) fn open_input(path: &Path) -> io::Result<Box<dyn io::Read>> {
    if !path.is_dir() {
        return Ok(Box::new(std::fs::File::open(path)?));
    }
    let entries: io::Result<Vec<_>> = std::fs::read_dir(path)?.collect();
    let names = entries?.into_iter().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(Box::new(io::Cursor::new(names.join("\n"))))
}

/// The measured span of a unit that is not a trace, s.
fn span_s(plan: &Plan, key: Key) -> f64 {
    match key.tweak {
        Tweak::Bad(day) => {
            resilience::Case::new(plan, key.engine, day)
                .window
                .horizon_s
        }
        _ => plan.span_s(key.engine),
    }
}

/// Whether a level fits a workload; else why not, and what would.
pub(crate) type Fits<'a> = &'a dyn Fn(&ServiceLevel) -> Result<(), (String, String)>;

/// Service levels name what the workload has.
fn check_levels(source: &Source, plan: &Plan, fits: Fits<'_>) -> Result<(), Error> {
    for (i, config) in plan.levels.iter().enumerate() {
        let level = ServiceLevel::parse(&config.expect).expect("the plan was checked");
        fits(&level).map_err(|(why, hint)| {
            let why = format!("is {:?}: {why}", config.expect);
            source.at_key(&format!("levels.{i}.expect"), &why, &hint)
        })?;
    }
    Ok(())
}

/// Whether what a level looks at is measured for its class; else why not, and for which it is.
fn fits(
    level: &ServiceLevel,
    (classes, deadlines): (&[Class], &[ClassId]),
) -> Result<(), (String, String)> {
    let watched = |c: &&Class| c.kind == Kind::WatchedWrite;
    let read = |c: &&Class| c.kind == Kind::Read;
    let written = || classes.iter().filter(|c| !read(c)).map(|c| c.name);
    let fits: Vec<&str> = match level.metric {
        // Measures have names of their own, see `told::fits`.
        Metric::Told => Vec::new(),
        Metric::Goodput => vec!["all"],
        Metric::Exposure => classes.iter().filter(watched).map(|c| c.name).collect(),
        Metric::Served => classes.iter().filter(read).map(|c| c.name).collect(),
        Metric::OnTime => deadlines.iter().map(|c| classes[c.index()].name).collect(),
        Metric::Accepted => written().collect(),
        Metric::Included | Metric::Safe | Metric::Final => {
            std::iter::once("all").chain(written()).collect()
        }
    };
    if fits.contains(&level.class.as_str()) {
        return Ok(());
    }
    Err((
        format!("nothing is measured for {:?}", level.class),
        format!("this metric is measured for: {}", fits.join(", ")),
    ))
}

/// A workload's error, with the plan's line where it has one.
fn refused(source: &Source, error: &workloads::Error) -> Error {
    let text = error.to_string();
    let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
    match error {
        workloads::Error::Setting { key, value, .. } => {
            source.at_key(&format!("workload.{key}"), &format!("is {value}"), hint)
        }
        workloads::Error::Open { .. } => Error::missing(message, hint),
        _ => {
            let folder = Path::new(&source.origin).parent();
            let shown = excerpt::of_data(folder.unwrap_or(Path::new("")), error);
            Error::data(message.replace('\n', " ") + &shown, hint)
        }
    }
}
