//! Workloads by name. A new workload is its file and one line here.

use crate::{Error, Rate};
use quorate_core::{Domain, Ledger, Load, Seed};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::io;

/// What a workload is built from besides its settings.
pub struct Setup<'a> {
    /// How much arrives; `None` leaves it to the workload. A trace brings its own times and accepts
    /// none.
    pub rate: Option<Rate>,
    /// The seed of the replication.
    pub seed: Seed,
    /// Opens a file that the settings name; a folder reads as the sorted names in it, one a line.
    /// Workloads open none themselves.
    pub open: &'a mut dyn FnMut(&str) -> io::Result<Box<dyn io::Read>>,
}

/// A workload, ready to run.
pub struct Built {
    /// What arrives.
    pub load: Box<dyn Load>,
    /// What judges it.
    pub ledger: Box<dyn Ledger>,
    /// What the trade counts in it; `None` where nothing is but what the kernel measures itself.
    pub domain: Option<Box<dyn Domain>>,
    /// What became of the rows of a trace; `None` for a generator.
    pub import: Option<Import>,
}

/// The account of an import: what its rows became. A row of a table, an entry of a bundle, a line and an
/// event count alike.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Import {
    /// Rows in the files, headers not counted.
    pub rows: u64,
    /// Arrivals made of them; a row may give several, such as an encounter.
    pub arrivals: u64,
    /// Arrivals by what they were made from and their class.
    pub mapped: BTreeMap<(&'static str, &'static str), u64>,
    /// Rows left out, by what they are and the reason.
    pub left_out: BTreeMap<(String, &'static str), u64>,
    /// What else was done to the source, such as a new time of day.
    pub notes: Vec<String>,
}

impl Import {
    /// Rows left out, by reason.
    pub fn skipped(&self) -> BTreeMap<&'static str, u64> {
        let mut skipped = BTreeMap::new();
        for ((_, why), n) in &self.left_out {
            *skipped.entry(*why).or_default() += n;
        }
        skipped
    }

    /// Rows that arrivals were made of, or that say more about them.
    pub fn used(&self) -> u64 {
        self.rows - self.left_out.values().sum::<u64>()
    }

    /// Counts a row that is left out.
    pub(crate) fn leave(&mut self, what: &str, why: &'static str) {
        *self.left_out.entry((what.to_owned(), why)).or_default() += 1;
    }

    /// Counts an arrival.
    pub(crate) fn map(&mut self, from: &'static str, class: &'static str) {
        *self.mapped.entry((from, class)).or_default() += 1;
        self.arrivals += 1;
    }
}

/// The settings of a workload.
pub trait Spec {
    /// The names that the `preset` key takes; empty when there is no such key.
    const PRESETS: &'static [&'static str];

    /// Fills in what a preset implies, so that what is written down is complete.
    fn settle(&mut self) {}

    /// The classes that these settings give, each with what the standards of its trade call it.
    fn vocabulary(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// What every reader of the figures must know of these settings.
    fn warning(&self) -> Option<&'static str> {
        None
    }

    /// Builds the arrivals and the rules of one replication.
    ///
    /// # Errors
    /// When a setting is out of its range or a file is unusable; the error says what to do.
    fn build(&self, setup: Setup<'_>) -> Result<Built, Error>;
}

macro_rules! workloads {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal => $config:ty;)+) => {
        /// A workload of the registry.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum WorkloadKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        /// A workload with its settings.
        #[derive(Clone, PartialEq, Debug, Serialize)]
        #[serde(untagged)]
        pub enum Workload {
            $($(#[doc = $doc])+ $kind(Box<$config>),)+
        }

        impl WorkloadKind {
            /// All workloads, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The name in plans and results.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What it is, in one line.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The names that its `preset` key takes; empty when there is no such key.
            pub const fn presets(self) -> &'static [&'static str] {
                match self {
                    $(Self::$kind => <$config as Spec>::PRESETS,)+
                }
            }

            /// Reads the workload's settings.
            ///
            /// # Errors
            /// Those of the deserialiser: an unknown key, or a value of the wrong type.
            pub fn parse<'de, D: Deserializer<'de>>(self, table: D) -> Result<Workload, D::Error> {
                Ok(match self {
                    $(Self::$kind => {
                        let mut config = Box::<$config>::deserialize(table)?;
                        config.settle();
                        Workload::$kind(config)
                    })+
                })
            }
        }

        impl Workload {
            /// Which workload it is.
            pub const fn kind(&self) -> WorkloadKind {
                match self {
                    $(Self::$kind(_) => WorkloadKind::$kind,)+
                }
            }

            /// The classes that these settings give, each with what the standards of its trade call
            /// it; empty where that is not told.
            pub fn vocabulary(&self) -> Vec<(&'static str, &'static str)> {
                match self {
                    $(Self::$kind(config) => config.vocabulary(),)+
                }
            }

            /// What every reader of the figures must know of these settings.
            pub fn warning(&self) -> Option<&'static str> {
                match self {
                    $(Self::$kind(config) => config.warning(),)+
                }
            }

            /// Builds the arrivals and the rules of one replication.
            ///
            /// # Errors
            /// When a setting is out of its range or a file is unusable.
            pub fn build(&self, setup: Setup<'_>) -> Result<Built, Error> {
                match self {
                    $(Self::$kind(config) => config.build(setup),)+
                }
            }
        }
    };
}

workloads! {
    /// Hospitals, pharmacies and payers of a population: consent, records, prescriptions, claims.
    Hospital = "hospital" => crate::hospital::Config;
    /// A drug supply chain: packs from manufacturer to dispenser, verification, returns, recalls.
    Pharma = "pharma" => crate::pharma::Config;
    /// Clinical trials of a sponsor: consent, allocation, data capture, safety reports, the lock.
    Trial = "trial" => crate::study::Config;
    /// What files say: arrivals.csv, FHIR R4, Synthea's CSV, EPCIS 2.0 or a clinical study (SDTM).
    Trace = "trace" => crate::trace::Config;
}

impl WorkloadKind {
    /// The workload with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
