//! Numbers that a correct simulator must reproduce, and what this one gets.
//!
//! A *case* is a row of one of the tables in `validate/known/`: a quantity, where it is known from,
//! the parameters, the expected value and its band. Its `check` names a function of the family that
//! the table belongs to, which runs the simulator under the parameters and returns what it got. So a
//! law is checked at any parameters, not only at those that are listed.
//!
//! A family is a file: a table `known/<family>.csv`, functions, and
//!
//! ```ignore
//! pub const FAMILY: Family = Family {
//!     name: "work",
//!     known: include_str!("known/work.csv"),
//!     checks: &[Check { name: "stale", run: stale }],
//! };
//!
//! fn stale(params: &Params) -> Result<f64, String> {
//!     let (miners, delay_s) = (params.u32("miners")?, params.f64("D")?);
//!     // Rows that read other quantities of the same run share it.
//!     let run = shared("work.race", &format!("{miners} {delay_s}"), || race(miners, delay_s));
//!     Ok(run.stale)
//! }
//! ```

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub mod attacks;
pub mod aura;
pub mod bft;
pub mod clique;
pub mod ethash;
pub mod gasper;
pub mod hotstuff;
pub mod ksi;
pub mod logged;
mod page;
pub mod praos;
pub mod published;
pub mod raft;
pub mod run;
pub mod safety;
pub mod tendermint;
pub mod work;
pub mod world;

/// What a row is held against, and what a miss means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Deserialize)]
pub enum Tier {
    /// A law or arithmetic: a miss is a bug.
    A,
    /// Published and modelled without fitting: a miss is a bug or a wrong denominator.
    B,
    /// A measurement of a real system or another simulator under a preset: a miss is reported.
    C,
    /// Context: printed beside, never judged.
    D,
}

/// How a known number is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A measurement of a real system, or of somebody else's simulator.
    System,
    /// A closed form, or an invariant.
    Law,
    /// Nothing is simulated.
    Arithmetic,
}

/// A row of `validate/known/*.csv`.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Such as `CF-BTC-01`.
    pub id: String,
    /// What a miss means.
    pub tier: Tier,
    /// How the number is known.
    pub kind: Kind,
    /// The engine or family.
    pub protocol: String,
    /// What is measured, with its unit in brackets.
    pub quantity: String,
    /// The name of a [`Check`] of the table's family; empty for context (tier D) that is not
    /// simulated.
    pub check: String,
    /// `key=value`, separated by semicolons; the check refuses what it does not know.
    pub parameters: String,
    /// The known value.
    pub expected: f64,
    /// The least value that passes.
    pub lower: f64,
    /// The largest value that passes.
    pub upper: f64,
    /// Whether it takes under about 0.3 s, and so belongs to the subset that gates every change.
    /// Rows of tiers C and D that do not are run only when asked for.
    pub fast: bool,
    /// Where the number is from.
    pub source: String,
    /// Why the simulator misses it, or what is not believed; empty where there is nothing to say.
    pub note: String,
}

/// How a quantity is simulated.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name in the column `check`, unique in its family.
    pub name: &'static str,
    /// Runs the simulator; an error says which parameter is wrong, or why there is no number. It may
    /// not depend on what ran before. Rows run in parallel: it need not itself.
    pub run: fn(&Params) -> Result<f64, String>,
}

/// A table of cases and the checks that they name.
pub struct Family {
    /// The name of its file.
    pub name: &'static str,
    /// The table, as it stands in the repository.
    pub known: &'static str,
    /// How its quantities are simulated.
    pub checks: &'static [Check],
}

/// All families, in the order in which they are printed: a new one is its file and a line here.
pub const FAMILIES: &[Family] = &[
    attacks::FAMILY,
    aura::FAMILY,
    bft::FAMILY,
    clique::FAMILY,
    ethash::FAMILY,
    gasper::FAMILY,
    hotstuff::FAMILY,
    ksi::FAMILY,
    praos::FAMILY,
    published::FAMILY,
    raft::FAMILY,
    safety::FAMILY,
    tendermint::FAMILY,
    work::FAMILY,
];

impl Family {
    /// The rows of its table.
    ///
    /// # Errors
    /// Where the table is not well-formed: line and column.
    pub fn cases(&self) -> Result<Vec<Case>, String> {
        cases(self.known).map_err(|e| format!("known/{}.csv: {e}", self.name))
    }

    /// What a check gives under parameters as in the tables.
    ///
    /// # Errors
    /// As of [`Check::got`], or when there is no such check.
    pub fn got(&self, check: &str, parameters: &str) -> Result<f64, String> {
        let found = self.check(check);
        let check = found.ok_or_else(|| format!("{} has no check `{check}`", self.name))?;
        check.got(parameters)
    }

    /// The check of that name.
    pub fn check(&self, name: &str) -> Option<Check> {
        self.checks.iter().find(|c| c.name == name).copied()
    }
}

/// The rows of a table.
///
/// # Errors
/// Where it is not well-formed: line and column.
pub fn cases(table: &str) -> Result<Vec<Case>, String> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let rows: Result<Vec<Case>, _> = reader.deserialize().collect();
    rows.map_err(|e| e.to_string())
}

impl Check {
    /// What it gives under these parameters, all of which it must ask for.
    ///
    /// # Errors
    /// Where a parameter is missing, wrong or not known to the check, or nothing can be measured.
    pub fn got(&self, parameters: &str) -> Result<f64, String> {
        let params = Params::parse(parameters)?;
        let got = (self.run)(&params)?;
        if let Some(key) = params.ignored() {
            return Err(format!("the check `{}` knows no `{key}`", self.name));
        }
        if !got.is_finite() {
            return Err(format!("{got} is no number"));
        }
        Ok(got)
    }
}

impl Case {
    /// Whether a value is in the row's band. The tables give six digits: what was got may also be in
    /// it when it is written so.
    pub fn holds(&self, got: f64) -> bool {
        let band = self.lower..=self.upper;
        let written: f64 = format!("{got:.5e}").parse().unwrap_or(got);
        band.contains(&got) || band.contains(&written)
    }
}

type Slot = Arc<OnceLock<Arc<dyn Any + Send + Sync>>>;

static SHARED: Mutex<BTreeMap<(&'static str, String), Slot>> = Mutex::new(BTreeMap::new());

thread_local! {
    static MAKES: Cell<u32> = const { Cell::new(0) };
}

/// What `make` returns, made once for each `group` (a name for what is made, always of one type) and
/// `key` (everything that it depends on), however many rows read from it. Kept until the program
/// ends: return figures, not logs.
///
/// # Panics
/// When a group is used for two types.
pub fn shared<T: Send + Sync + 'static>(
    group: &'static str,
    key: &str,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    let slot = {
        let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((group, key.to_owned())).or_default())
    };
    // Within a `make` that runs in parallel itself, a thread may come upon a row that waits for
    // another: it then makes its own.
    if slot.get().is_none() && MAKES.get() > 0 {
        return Arc::new(make());
    }
    let made = slot.get_or_init(|| {
        MAKES.set(MAKES.get() + 1);
        let made: Arc<dyn Any + Send + Sync> = Arc::new(make());
        MAKES.set(MAKES.get() - 1);
        made
    });
    Arc::clone(made)
        .downcast()
        .unwrap_or_else(|_| unreachable!("the group {group} is used for two types"))
}

/// The parameters of a case. Every one must be asked for: none is accepted and ignored.
#[derive(Debug, Default)]
pub struct Params {
    given: BTreeMap<String, String>,
    asked: RefCell<BTreeSet<String>>,
}

impl Params {
    /// Reads `key=value;key=value`.
    ///
    /// # Errors
    /// Where a part is no pair, or a key is there twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        for part in text.split(';').filter(|p| !p.trim().is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not key=value"))?;
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            if given.insert(key.clone(), value).is_some() {
                return Err(format!("`{key}` is there twice"));
            }
        }
        let asked = RefCell::default();
        Ok(Self { given, asked })
    }

    /// The text of a parameter.
    ///
    /// # Errors
    /// When it is missing.
    pub fn text(&self, key: &str) -> Result<&str, String> {
        self.maybe(key).ok_or_else(|| format!("lacks `{key}`"))
    }

    /// The text of a parameter that may be left out.
    pub fn maybe(&self, key: &str) -> Option<&str> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.given.get(key).map(String::as_str)
    }

    /// A number.
    ///
    /// # Errors
    /// When it is missing or not one.
    pub fn f64(&self, key: &str) -> Result<f64, String> {
        self.number(key)
    }

    /// A whole number.
    ///
    /// # Errors
    /// When it is missing or not one.
    pub fn u32(&self, key: &str) -> Result<u32, String> {
        self.number(key)
    }

    /// Anything that is read from text.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, String> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| format!("`{key} = {text}` is not a number of its kind"))
    }

    /// A number that may be left out.
    ///
    /// # Errors
    /// When it is there and not one.
    pub fn number_or<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T, String> {
        match self.maybe(key) {
            Some(_) => self.number(key),
            None => Ok(default),
        }
    }

    /// The parameters that override a key of a plan: those whose names have a dot.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        let with_dot = self.given.iter().filter(|(key, _)| key.contains('.'));
        let mut asked = self.asked.borrow_mut();
        asked.extend(with_dot.clone().map(|(key, _)| key.clone()));
        drop(asked);
        with_dot.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The first key that nobody asked for.
    pub fn ignored(&self) -> Option<&str> {
        let asked = self.asked.borrow();
        let mut keys = self.given.keys().map(String::as_str);
        keys.find(|key| !asked.contains(*key))
    }
}
