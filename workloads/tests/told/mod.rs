//! A domain asked directly: constructed final orders, and what it tells of them.

use quorate_core::{Arrival, ClassId, Domain, EntityId, Ordered, Span, Tell, Time, Verdict};
use std::collections::BTreeMap;

/// What a domain told: (hits, cases) of its shares, and its times in milliseconds, by measure.
#[derive(Default)]
pub(crate) struct Told {
    shares: BTreeMap<usize, (u32, u32)>,
    times: BTreeMap<usize, Vec<u64>>,
}

impl Tell for Told {
    fn case(&mut self, measure: usize, _: Time, hit: bool) {
        let (hits, of) = self.shares.entry(measure).or_insert((0, 0));
        *hits += u32::from(hit);
        *of += 1;
    }

    fn time(&mut self, measure: usize, _: Time, length: Span) {
        let times = self.times.entry(measure).or_default();
        times.push(length.ns() / 1_000_000);
    }
}

/// A transaction: action, key, operand, when it is submitted in ms.
pub(crate) fn tx(action: u8, key: u32, operand: u32, at_ms: u64) -> Arrival {
    Arrival {
        at: Time::ZERO + Span::from_ms(at_ms),
        key: EntityId::new(key),
        operand,
        bytes: 0,
        exec_us: 0,
        site: 0,
        class: ClassId(action),
        action,
    }
}

/// A domain with what it has told so far.
pub(crate) struct Story {
    pub(crate) domain: Box<dyn Domain>,
    pub(crate) told: Told,
}

impl Story {
    pub(crate) fn new(domain: Box<dyn Domain>) -> Self {
        let told = Told::default();
        Self { domain, told }
    }

    /// The next transaction of the final order, in a block of this time.
    pub(crate) fn next(
        &mut self,
        tx: Arrival,
        view: Option<Verdict>,
        verdict: Verdict,
        block_ms: u64,
    ) {
        let next = Ordered {
            tx: &tx,
            view,
            verdict,
            block_at: Time::ZERO + Span::from_ms(block_ms),
        };
        self.domain.ordered(&next, &mut self.told);
    }

    pub(crate) fn end(&mut self) {
        self.domain.end(&mut self.told);
    }

    fn place(&self, measure: &str) -> usize {
        let measures = self.domain.measures().iter();
        let place = measures.map(|m| m.name).position(|name| name == measure);
        place.unwrap_or_else(|| panic!("no measure `{measure}`"))
    }

    /// Hits and cases of a share.
    pub(crate) fn share(&self, measure: &str) -> (u32, u32) {
        let share = self.told.shares.get(&self.place(measure));
        share.copied().unwrap_or((0, 0))
    }

    /// The lengths of a time, in ms.
    pub(crate) fn times(&self, measure: &str) -> Vec<u64> {
        let times = self.told.times.get(&self.place(measure));
        times.cloned().unwrap_or_default()
    }
}
