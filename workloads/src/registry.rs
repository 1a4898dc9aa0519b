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
    /// Opens a file that the settings name. Workloads open none themselves.
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

/// The account of an import: rows = arrivals + skipped.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Import {
    /// Rows in the files, headers not counted.
    pub rows: u64,
    /// Arrivals made of them.
    pub arrivals: u64,
    /// Rows left out, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
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
    /// What a file says: arrivals.csv, or the domains dm, ds, sv and ae of a clinical study (SDTM).
    Trace = "trace" => crate::trace::Config;
}

impl WorkloadKind {
    /// The workload with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
