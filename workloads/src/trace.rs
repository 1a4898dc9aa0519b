//! Replay of what a file says.

use crate::register::{self, Register};
use crate::registry::{Built, Setup, Spec};
use crate::sdtm::{self, Study};
use crate::trial::Trial;
use crate::{Error, Import, Payload};
use quorate_core::{Arrival, Class, Load, Seed};
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
    },
    /// The domains of a clinical study, see [`sdtm`].
    Sdtm {
        /// The folder that holds `dm.csv`, `ds.csv`, `sv.csv` and `ae.csv`.
        path: String,
        /// Simulated seconds for each day of the trace: 86,400 replays it in its own time.
        #[serde(default = "day_s")]
        day_s: f64,
        /// What goes on the ledger.
        #[serde(default)]
        payload: Payload,
    },
}

// source: a civil day.
const fn day_s() -> f64 {
    86_400.0
}

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

/// What an importer makes of its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// The arrivals in non-decreasing time, the earliest at the start of the run.
    pub arrivals: Vec<Arrival>,
    /// Their classes.
    pub classes: Vec<Class>,
    /// How many sites submit.
    pub sites: u32,
    /// What became of the rows.
    pub account: Import,
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

type Open<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Box<dyn Read>>;

impl Config {
    fn import(&self, seed: Seed, open: Open<'_>) -> Result<Imported, Error> {
        let mut input = |file: String| match open(&file) {
            Ok(input) => Ok(input),
            Err(source) => Err(Error::Open { file, source }),
        };
        match self {
            Self::Arrivals { path, day_s } => register::read(input(path.clone())?, path, *day_s),
            Self::Sdtm {
                path,
                day_s,
                payload,
            } => {
                let study = Study {
                    name: path,
                    dm: input(format!("{path}/dm.csv"))?,
                    ds: input(format!("{path}/ds.csv"))?,
                    sv: input(format!("{path}/sv.csv"))?,
                    ae: input(format!("{path}/ae.csv"))?,
                };
                sdtm::read(study, *day_s, *payload, seed)
            }
        }
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
            domain: None,
            import: Some(imported.account.clone()),
            load: Box::new(Trace::new(imported)),
            ledger: match self {
                Self::Arrivals { .. } => Box::new(Register),
                Self::Sdtm { .. } => Box::new(Trial),
            },
        })
    }
}
