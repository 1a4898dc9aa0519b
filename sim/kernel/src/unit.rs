//! One unit: a replication of a cell, made of one or more ledgers that share simulated time.

use crate::report::Report;
use crate::sim::Simulation;
use quorate_core::{Engine, Time};

/// A ledger that can be driven step by step.
pub trait Run {
    /// When its next event is due; `None` when it is over.
    fn next_time(&mut self) -> Option<Time>;
    /// Lets that event happen.
    fn advance(&mut self);
    /// Its report.
    fn finish(self: Box<Self>) -> Report;
}

impl<E: Engine> Run for Simulation<'_, E> {
    fn next_time(&mut self) -> Option<Time> {
        Self::next_time(self)
    }

    fn advance(&mut self) {
        Self::advance(self);
    }

    fn finish(self: Box<Self>) -> Report {
        Self::finish(*self)
    }
}

/// Several ledgers interleaved in simulated time; of simultaneous events, the earlier ledger's
/// comes first.
pub struct Unit<'a> {
    ledgers: Vec<Box<dyn Run + 'a>>,
}

impl<'a> Unit<'a> {
    /// A unit of these ledgers.
    pub fn new(ledgers: Vec<Box<dyn Run + 'a>>) -> Self {
        Self { ledgers }
    }

    /// Runs every ledger to its end and returns their reports in order.
    pub fn run(mut self) -> Vec<Report> {
        loop {
            let next = self.ledgers.iter_mut().enumerate();
            let due = next
                .filter_map(|(i, ledger)| ledger.next_time().map(|t| (t, i)))
                .min();
            match due {
                Some((_, i)) => self.ledgers[i].advance(),
                None => break,
            }
        }
        self.ledgers.into_iter().map(Run::finish).collect()
    }
}
