//! One unit: a replication of a cell, made of one or more ledgers that share simulated time.

use crate::outside::News;
use crate::report::Report;
use crate::sim::Simulation;
use quorate_core::{Arrival, Engine, NodeId, Span, Time};

/// A ledger that can be driven step by step.
pub trait Run {
    /// When its next event is due; `None` when it is over.
    fn next_time(&mut self) -> Option<Time>;
    /// Lets that event happen.
    fn advance(&mut self);
    /// Takes the oldest of what it tells the world outside.
    fn news(&mut self) -> Option<News>;
    /// Lets a node hear something from outside, see [`Simulation::hear`].
    fn hear(&mut self, news: News);
    /// Submits a transaction that is not of its load, see [`Simulation::submit_at`].
    fn submit_at(&mut self, arrival: Arrival);
    /// Who leads, see [`Simulation::leader`].
    fn leader(&self) -> Option<NodeId>;
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

    fn news(&mut self) -> Option<News> {
        Self::news(self)
    }

    fn hear(&mut self, news: News) {
        Self::hear(self, news);
    }

    fn submit_at(&mut self, arrival: Arrival) {
        Self::submit_at(self, arrival);
    }

    fn leader(&self) -> Option<NodeId> {
        Self::leader(self)
    }

    fn finish(self: Box<Self>) -> Report {
        Self::finish(*self)
    }
}

/// How the ledgers of a unit act on each other.
pub trait Coupling {
    /// The ledger at a place has told something, at its own time. It may be carried to any of them,
    /// no earlier in the unit's time.
    fn carry(&mut self, from: usize, news: News, ledgers: &mut [Box<dyn Run + '_>]);

    /// Something has happened in a ledger. Loads that react to it may have something for other ledgers,
    /// no earlier in the unit's time; whether there was any.
    fn settle(&mut self, ledgers: &mut [Box<dyn Run + '_>]) -> bool {
        let _ = ledgers;
        false
    }

    /// Whether nothing is awaited any more.
    fn is_over(&self) -> bool {
        false
    }
}

/// Several ledgers interleaved in simulated time; of simultaneous events, the earlier ledger's
/// comes first.
pub struct Unit<'a> {
    ledgers: Vec<Box<dyn Run + 'a>>,
    /// How long after the first of them each ledger's time begins.
    begins: Vec<Span>,
}

impl<'a> Unit<'a> {
    /// A unit of these ledgers, whose times begin together.
    pub fn new(ledgers: Vec<Box<dyn Run + 'a>>) -> Self {
        let begins = vec![Span::ZERO; ledgers.len()];
        Self { ledgers, begins }
    }

    /// A unit of these ledgers, each with how long after the first of them its own time begins.
    pub fn staggered(ledgers: Vec<(Span, Box<dyn Run + 'a>)>) -> Self {
        let (begins, ledgers) = ledgers.into_iter().unzip();
        Self { ledgers, begins }
    }

    /// Runs every ledger to its end and returns their reports in order.
    pub fn run(mut self) -> Vec<Report> {
        while let Some((_, due)) = self.next() {
            self.ledgers[due].advance();
        }
        self.finish()
    }

    /// The same, with what they tell carried between them, until the first ledger is over.
    pub fn run_coupled(mut self, coupling: &mut dyn Coupling) -> Vec<Report> {
        while let Some((_, due)) = self.next() {
            if due != 0 && self.due(0).is_none() || coupling.is_over() {
                break;
            }
            // Nobody else acts before its time, unless it is told something.
            let others = (0..self.ledgers.len()).filter(|&i| i != due);
            let others: Option<(Time, usize)> =
                others.filter_map(|i| Some((self.due(i)?, i))).min();
            let quiet = |at: Option<Time>| {
                at.is_some_and(|at| others.is_none_or(|other| (at, due) < other))
            };
            let mut told = false;
            while !told && quiet(self.due(due)) {
                self.ledgers[due].advance();
                while let Some(news) = self.ledgers[due].news() {
                    coupling.carry(due, news, &mut self.ledgers);
                    told = true;
                }
                told |= coupling.settle(&mut self.ledgers);
            }
        }
        self.finish()
    }

    /// Who leads the first ledger just before an instant of its time.
    pub fn leader_at(mut self, coupling: &mut dyn Coupling, at: Time) -> Option<NodeId> {
        let end = at + self.begins[0];
        while let Some((_, due)) = self.next().filter(|&(now, _)| now < end) {
            if self.due(0).is_none() {
                break;
            }
            self.ledgers[due].advance();
            while let Some(news) = self.ledgers[due].news() {
                coupling.carry(due, news, &mut self.ledgers);
            }
        }
        self.ledgers[0].leader()
    }

    /// When a ledger's next event is due, in the unit's time.
    fn due(&mut self, ledger: usize) -> Option<Time> {
        let at = self.ledgers[ledger].next_time()?;
        Some(at + self.begins[ledger])
    }

    fn next(&mut self) -> Option<(Time, usize)> {
        let all = 0..self.ledgers.len();
        all.filter_map(|i| Some((self.due(i)?, i))).min()
    }

    fn finish(self) -> Vec<Report> {
        self.ledgers.into_iter().map(Run::finish).collect()
    }
}
