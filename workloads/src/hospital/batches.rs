//! Roots that each site submits at fixed intervals.

use quorate_core::{Seed, Span, Time};

/// When each site's next root is due. Sites have phases of their own, so that not all submit at once.
pub(super) struct Batches {
    interval: Span,
    /// The first round, in order of time.
    phases: Vec<(Time, u16)>,
    next: usize,
    round: u32,
}

impl Batches {
    /// `sites` together submit `per_s` roots a second.
    pub(super) fn new(sites: u16, per_s: f64, seed: Seed) -> Self {
        let interval_s = f64::from(sites) / per_s;
        let phase = |site: u16| {
            let part = seed.stream("anchor.batch", site.into()).open01();
            (Time::ZERO + Span::from_s_f64(part * interval_s), site)
        };
        let mut phases: Vec<_> = (0..sites).map(phase).collect();
        phases.sort_unstable();
        Self {
            interval: Span::from_s_f64(interval_s),
            phases,
            next: 0,
            round: 1,
        }
    }

    /// The next root: when, whose, of which round.
    pub(super) fn take(&mut self) -> (Time, u16, u32) {
        let (phase, site) = self.phases[self.next];
        let round = self.round;
        self.next += 1;
        if self.next == self.phases.len() {
            self.next = 0;
            self.round += 1;
        }
        let past = Span::from_ns(self.interval.ns() * u64::from(round - 1));
        (phase + past, site, round)
    }
}
