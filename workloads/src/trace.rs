//! Replay of what files say.

use crate::items::{self, Items};
use crate::register::{self, Register};
use crate::registry::{Built, Setup, Spec};
use crate::rules::{self, Records};
use crate::sdtm::{self, Study};
use crate::trial::{self, Trial};
use crate::{Error, Import, Payload, care, epcis, fhir, hospital, synthea};
use quorate_core::{
    Arrival, Class, ClassId, Domain, EntityId, Kind, Ledger, Load, Seed, Span, Time,
};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// The trace workload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case", deny_unknown_fields)]
pub enum Config {
    /// A table of arrivals, see [`register`].
    Arrivals {
        /// The file.
        path: String,
        /// Simulated seconds for each day of the trace: 86,400 replays it in its own time.
        #[serde(default = "day_s")]
        day_s: f64,
        /// The longest time without an arrival, in simulated seconds; longer ones shrink to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idle_s: Option<f64>,
    },
    /// The domains of a clinical study, see [`sdtm`].
    Sdtm {
        /// The folder that holds `dm.csv`, `ds.csv`, `sv.csv` and `ae.csv`.
        path: String,
        /// Simulated seconds for each day of the trace: 86,400 replays it in its own time.
        #[serde(default = "day_s")]
        day_s: f64,
        /// The longest time without an arrival, in simulated seconds; longer ones shrink to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idle_s: Option<f64>,
        /// What goes on the ledger.
        #[serde(default)]
        payload: Payload,
    },
    /// FHIR R4 bundles and bulk exports, see [`fhir`].
    Fhir(care::Settings),
    /// A CSV export of Synthea, see [`synthea`].
    Synthea(care::Settings),
    /// EPCIS 2.0 documents, see [`epcis`].
    Epcis {
        /// A document, or a folder of them.
        path: String,
        /// Simulated seconds for each day of the trace: 86,400 replays it in its own time.
        #[serde(default = "day_s")]
        day_s: f64,
        /// The longest time without an arrival, in simulated seconds; longer ones shrink to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idle_s: Option<f64>,
        /// What goes on the ledger.
        #[serde(default)]
        payload: Payload,
    },
}

// source: a civil day.
pub(crate) const fn day_s() -> f64 {
    86_400.0
}

// assumption: as for the hospital workload.
pub(crate) const EXEC_US: u16 = 50;

/// Simulated seconds per second of the trace.
pub(crate) fn per_day(day_s: f64) -> Result<f64, Error> {
    let fits = (1e-3..=8.64e7).contains(&day_s);
    Error::unless(
        fits,
        "day_s",
        &day_s,
        "simulated seconds a day, 86400 for the trace's own time",
    )?;
    Ok(day_s / 86_400.0)
}

/// The rules that judge a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// Versions of records, see [`Register`].
    Register,
    /// Consent, records, prescriptions and claims, see [`Records`].
    Hospital,
    /// Traced goods, see [`Items`].
    Goods,
    /// The subjects of a trial, see [`Trial`].
    Trial,
}

/// What an operand says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    /// A number.
    Number,
    /// A site, or none.
    Site,
    /// A record, or none.
    MaybeRecord,
    /// A record.
    Record,
}

impl Rules {
    /// All but the register: their classes are those of the catalogue, in the order of their actions.
    pub const CATALOGUE: [Self; 3] = [Self::Hospital, Self::Goods, Self::Trial];

    /// Their classes; none for the register, whose classes have the names that the trace gives them.
    pub fn classes(self) -> Vec<Class> {
        let class = |(name, kind): (&'static str, Kind)| Class {
            name,
            kind,
            expiry: None,
            tells: "",
        };
        match self {
            Self::Register => Vec::new(),
            Self::Hospital => rules::Action::ALL
                .iter()
                .map(|&action| {
                    let facts = hospital::classes::facts(action);
                    class((facts.name, facts.kind))
                })
                .collect(),
            Self::Goods => items::Action::ALL
                .iter()
                .map(|a| class(a.class()))
                .collect(),
            Self::Trial => trial::Action::ALL.iter().map(|a| a.class()).collect(),
        }
    }

    /// What the operand of an action says.
    pub(crate) fn operand(self, action: u8) -> Operand {
        match self {
            Self::Register | Self::Hospital => Operand::Number,
            Self::Trial => Operand::Record,
            Self::Goods if action == items::Action::Ship as u8 => Operand::Site,
            Self::Goods if action == items::Action::Commission as u8 => Operand::MaybeRecord,
            Self::Goods if items::names_a_record(action) => Operand::Record,
            Self::Goods => Operand::Number,
        }
    }

    /// What the trade counts; goods and the subjects of a study have only what the kernel measures.
    fn domain(self) -> Option<Box<dyn Domain>> {
        let care = || Box::new(hospital::domain_of(&self.classes())) as Box<dyn Domain>;
        (self == Self::Hospital).then(care)
    }

    fn ledger(self, trace: &[Arrival]) -> Box<dyn Ledger> {
        match self {
            Self::Register => Box::new(Register),
            Self::Hospital => Box::new(Records::empty()),
            Self::Goods => Box::new(Items::of(trace)),
            Self::Trial => Box::new(Trial),
        }
    }
}

/// What an importer makes of its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// The arrivals in non-decreasing time, the earliest at the start of the run.
    pub arrivals: Vec<Arrival>,
    /// Their classes.
    pub classes: Vec<Class>,
    /// How many sites submit.
    pub sites: u32,
    /// What judges them.
    pub rules: Rules,
    /// What became of the rows.
    pub account: Import,
}

/// An arrival of the catalogue whose time is still that of the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dated {
    /// Milliseconds since 1970-01-01T00:00Z.
    pub(crate) ms: i64,
    /// Decides between what happens at the same time, then [`Self::seq`] does.
    pub(crate) rank: u8,
    pub(crate) seq: u32,
    /// Its class is its action.
    pub(crate) arrival: Arrival,
}

impl Dated {
    /// An arrival of the catalogue.
    pub(crate) const fn new(ms: i64, seq: u32, action: u8, bytes: u16) -> Self {
        Self {
            ms,
            rank: 0,
            seq,
            arrival: Arrival {
                at: Time::ZERO,
                key: EntityId::new(0),
                operand: 0,
                bytes,
                exec_us: EXEC_US,
                site: 0,
                class: ClassId(action),
                action,
            },
        }
    }
}

/// Puts arrivals of the catalogue in order. Sites and records get their numbers by first appearance, so
/// that a trace which was written and read again is the same.
pub(crate) fn in_order(
    mut dated: Vec<Dated>,
    rules: Rules,
    day_s: f64,
    account: Import,
) -> Result<Imported, Error> {
    let scale = per_day(day_s)?;
    dated.sort_unstable_by_key(|d| (d.ms, d.rank, d.seq));
    let first = dated.first().map_or(0, |d| d.ms);
    let (mut records, mut sites) = (Numbers::default(), Numbers::default());
    let arrivals: Vec<Arrival> = dated
        .iter()
        .map(|d| {
            let mut arrival = d.arrival;
            // As a table of arrivals says it: seconds, then the scale.
            let at_s = (d.ms - first) as f64 / 1_000.0;
            arrival.at = Time::ZERO + Span::from_s_f64(at_s * scale);
            arrival.site = sites.of(u32::from(arrival.site)) as u16;
            arrival.key = EntityId::new(records.of(arrival.key.get()));
            arrival.operand = match rules.operand(arrival.action) {
                Operand::MaybeRecord | Operand::Site if arrival.operand == items::NONE => {
                    items::NONE
                }
                Operand::MaybeRecord | Operand::Record => records.of(arrival.operand),
                Operand::Site => sites.of(arrival.operand),
                Operand::Number => arrival.operand,
            };
            arrival
        })
        .collect();
    Ok(Imported {
        sites: sites.next.max(1),
        classes: rules.classes(),
        arrivals,
        rules,
        account,
    })
}

/// Numbers by first appearance.
#[derive(Default)]
struct Numbers {
    of: Vec<u32>,
    next: u32,
}

impl Numbers {
    fn of(&mut self, old: u32) -> u32 {
        let at = old as usize;
        if at >= self.of.len() {
            self.of.resize(at + 1, u32::MAX);
        }
        if self.of[at] == u32::MAX {
            self.of[at] = self.next;
            self.next += 1;
        }
        self.of[at]
    }
}

/// Shrinks what is longer without an arrival; what comes together stays together.
fn shorten(arrivals: &mut [Arrival], idle_s: Option<f64>) -> Result<(), Error> {
    let Some(idle_s) = idle_s else {
        return Ok(());
    };
    let hint = "simulated seconds that may pass without an arrival; leave it out to keep all";
    Error::unless((1e-3..=1e9).contains(&idle_s), "idle_s", &idle_s, hint)?;
    let most = Span::from_s_f64(idle_s);
    let (mut before, mut now) = (Time::ZERO, Time::ZERO);
    for arrival in arrivals {
        now += arrival.at.since(before).min(most);
        before = arrival.at;
        arrival.at = now;
    }
    Ok(())
}

/// A load that repeats what was read, once.
#[derive(Clone, Debug)]
pub struct Trace {
    classes: Vec<Class>,
    sites: u32,
    arrivals: std::vec::IntoIter<Arrival>,
}

impl Trace {
    /// Replays `imported`.
    pub fn new(imported: Imported) -> Self {
        Self {
            classes: imported.classes,
            sites: imported.sites,
            arrivals: imported.arrivals.into_iter(),
        }
    }
}

impl Load for Trace {
    fn classes(&self) -> &[Class] {
        &self.classes
    }

    fn sites(&self) -> u32 {
        self.sites
    }

    fn next(&mut self) -> Option<Arrival> {
        self.arrivals.next()
    }
}

/// Opens a file, or a folder as the names in it, one a line.
pub(crate) type Open<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Box<dyn Read>>;

/// Opens what the settings name.
pub(crate) fn input(open: Open<'_>, file: &str) -> Result<Box<dyn Read>, Error> {
    open(file).map_err(|source| Error::Open {
        file: file.to_owned(),
        source,
    })
}

/// The files of `path` with one of the endings: itself, or those in the folder, in the order of their names.
pub(crate) fn files(open: Open<'_>, path: &str, endings: &[&str]) -> Result<Vec<String>, Error> {
    let fits = |name: &str| {
        let name = name.to_ascii_lowercase();
        endings.iter().any(|ending| name.ends_with(ending))
    };
    if fits(path) {
        return Ok(vec![path.to_owned()]);
    }
    let mut names = String::new();
    let read = input(open, path)?.read_to_string(&mut names);
    let mut files: Vec<String> = Vec::new();
    if read.is_ok() {
        let inside = names.lines().filter(|name| fits(name));
        files.extend(inside.map(|name| format!("{path}/{name}")));
    }
    if files.is_empty() {
        let hint = format!(
            "a file or a folder with files named *{}",
            endings.join(", *")
        );
        let file = path.to_owned();
        return Err(Error::Empty { file, hint });
    }
    Ok(files)
}

impl Config {
    /// Reads the files; draws come from `seed`. Numbers are kept, not rows: at the worst instant at most
    /// 250 bytes for a row, a resource or an item of an event, with its identifier.
    ///
    /// # Errors
    /// When a setting is out of its range, a file is missing or malformed, or holds nothing of use.
    pub fn import(
        &self,
        seed: Seed,
        open: &mut dyn FnMut(&str) -> std::io::Result<Box<dyn Read>>,
    ) -> Result<Imported, Error> {
        let (mut imported, idle_s) = match self {
            Self::Arrivals {
                path,
                day_s,
                idle_s,
            } => (register::read(input(open, path)?, path, *day_s)?, *idle_s),
            Self::Sdtm {
                path,
                day_s,
                idle_s,
                payload,
            } => {
                let mut domain = |name| input(open, &format!("{path}/{name}.csv"));
                let study = Study {
                    name: path,
                    dm: domain("dm")?,
                    ds: domain("ds")?,
                    sv: domain("sv")?,
                    ae: domain("ae")?,
                };
                (sdtm::read(study, *day_s, *payload, seed)?, *idle_s)
            }
            Self::Fhir(settings) => (fhir::read(settings, seed, open)?, settings.idle_s),
            Self::Synthea(settings) => (synthea::read(settings, seed, open)?, settings.idle_s),
            Self::Epcis {
                path,
                day_s,
                idle_s,
                payload,
            } => (epcis::read(path, *day_s, *payload, open)?, *idle_s),
        };
        shorten(&mut imported.arrivals, idle_s)?;
        Ok(imported)
    }
}

impl Spec for Config {
    const PRESETS: &'static [&'static str] = &[];

    fn build(&self, setup: Setup<'_>) -> Result<Built, Error> {
        if let Some(rate) = setup.rate {
            let hint = "a trace has its own times: leave the rate out, or set `day_s`";
            return Err(Error::Setting {
                key: "rate",
                value: format!("{rate:?}"),
                hint,
            });
        }
        let imported = self.import(setup.seed, setup.open)?;
        Ok(Built {
            domain: imported.rules.domain(),
            import: Some(imported.account.clone()),
            ledger: imported.rules.ledger(&imported.arrivals),
            load: Box::new(Trace::new(imported)),
        })
    }
}
