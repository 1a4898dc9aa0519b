//! Numbers that a correct simulator must reproduce, and what this one gets.
//!
//! A *case* is a row of one of the tables in `validate/known/`: a quantity, where it is known from,
//! the parameters, the expected value and its band. Its `check` names a function of the family that
//! the table belongs to, which runs the simulator under the parameters and returns what it got. So a
//! law is checked at any parameters, not only at those that are listed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub mod logged;
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

/// A row of `validate/known/*.csv`.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Such as `CF-BTC-01`.
    pub id: String,
    /// What a miss means.
    pub tier: Tier,
    /// `law` (a closed form), `arithmetic` (nothing is simulated), or `system` (a measurement).
    pub kind: String,
    /// The engine or family.
    pub protocol: String,
    /// What is measured, with its unit in brackets.
    pub quantity: String,
    /// The name of a [`Check`] of the table's family; empty for context that is not simulated.
    pub check: String,
    /// `key=value`, separated by semicolons; the check refuses what it does not know.
    pub parameters: String,
    /// The known value.
    pub expected: f64,
    /// The least value that passes.
    pub lower: f64,
    /// The largest value that passes.
    pub upper: f64,
    /// Whether it belongs to the fast subset that gates every change.
    pub fast: bool,
    /// Where the number is from.
    pub source: String,
    /// Why the simulator misses it, or what is not believed; empty where there is nothing to say.
    pub note: String,
}

/// How a quantity is simulated.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name in the column `check`.
    pub name: &'static str,
    /// Runs the simulator; an error says which parameter is wrong.
    pub run: fn(&Params) -> Result<f64, String>,
}

/// A table of cases and the checks that they name.
pub struct Family {
    /// The table, as it stands in the repository.
    pub known: &'static str,
    /// How its quantities are simulated.
    pub checks: &'static [Check],
}

/// All families, in the order in which they are printed: a new one is its file and a line here.
pub const FAMILIES: &[Family] = &[];

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

    /// The first key that nobody asked for.
    pub fn ignored(&self) -> Option<&str> {
        let asked = self.asked.borrow();
        let mut keys = self.given.keys().map(String::as_str);
        keys.find(|key| !asked.contains(*key))
    }
}
