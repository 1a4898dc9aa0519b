//! What the trade wants to know of a run: counted by the workload, from what the kernel shows it.
//!
//! Engines and kernel know nothing of consents, packs or subjects. A workload that does gives a
//! [`Domain`] beside its load and its ledger; the kernel shows it the final order, and keeps what it
//! tells.

use crate::names::{self, Name};
use crate::{Arrival, ClassId, Span, Time, Verdict};
use serde::{Deserialize, Serialize};

/// What is counted or timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Measure {
    /// The name in plans and results, with its unit last where it has one: `units_after_recall`.
    #[serde(deserialize_with = "names::one")]
    pub name: Name,
    /// What it says, in one line.
    #[serde(deserialize_with = "names::one")]
    pub what: Name,
    /// How it is told.
    pub unit: Unit,
    /// Where its definition is from.
    #[serde(deserialize_with = "names::one")]
    pub source: Name,
    /// The property of consensus that moves it.
    #[serde(deserialize_with = "names::one")]
    pub moved_by: Name,
}

/// How a measure is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Unit {
    /// So many of so many: [`Tell::case`].
    Share,
    /// A length of time: [`Tell::time`].
    Time,
}

/// What a domain is shown of a class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// Its transactions in the final order.
    Ordered,
    /// The same, with what the rules said of each on the view of its site when it was submitted: for
    /// those whose submitters act at once, such as a pharmacist who hands out a pack.
    Acted,
}

/// One transaction of the final order.
#[derive(Clone, Copy, Debug)]
pub struct Ordered<'a> {
    /// The transaction, with its intended submission time.
    pub tx: &'a Arrival,
    /// What the rules said of it on the view that its site served when it was submitted; `None`
    /// unless its class is [`Shown::Acted`], and where that site's node was down.
    pub view: Option<Verdict>,
    /// What became of it.
    pub verdict: Verdict,
    /// The time that its block states.
    pub block_at: Time,
}

/// Where a domain tells what it found. A `submitted` before the warm-up's end or beyond the measured
/// span is left out.
pub trait Tell {
    /// One case of a [`Unit::Share`], by its place in [`Domain::measures`].
    fn case(&mut self, measure: usize, submitted: Time, hit: bool);
    /// So many cases at once, such as all pairs of an order, see [`Inversions`](crate::Inversions).
    fn cases(&mut self, measure: usize, submitted: Time, (hits, of): (u64, u64)) {
        for case in 0..of {
            self.case(measure, submitted, case < hits);
        }
    }
    /// One length of a [`Unit::Time`].
    fn time(&mut self, measure: usize, submitted: Time, length: Span);
}

/// A workload's own view of the final order. Pure: no clock, no draws.
pub trait Domain {
    /// What it tells, in a fixed order.
    fn measures(&self) -> &'static [Measure];

    /// What it wants to be shown of a class.
    fn shown(&self, class: ClassId) -> Shown;

    /// The next transaction of the final order, those of classes that are not shown left out.
    fn ordered(&mut self, next: &Ordered<'_>, tell: &mut dyn Tell);

    /// The end of the run: what never came is told now.
    fn end(&mut self, tell: &mut dyn Tell) {
        let _ = tell;
    }
}
