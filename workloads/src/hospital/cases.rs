//! What the generator remembers of what it sent: standing consents and open cases.

use core::ops::Range;
use quorate_core::{Draws, Time};
use std::collections::VecDeque;

/// Which consents the generator takes for active: grants count when they have settled, revocations
/// at once.
pub(super) struct Standing {
    active: Vec<u64>,
    granted: VecDeque<(Time, u32)>,
}

impl Standing {
    pub(super) fn new(consents: u32, starts: impl Fn(u32) -> bool) -> Self {
        let mut active = vec![0; consents.div_ceil(64) as usize];
        for consent in (0..consents).filter(|&c| starts(c)) {
            active[consent as usize / 64] |= 1 << (consent % 64);
        }
        Self {
            active,
            granted: VecDeque::new(),
        }
    }

    pub(super) fn is_active(&self, consent: u32) -> bool {
        self.active[consent as usize / 64] >> (consent % 64) & 1 == 1
    }

    /// Counts the grants that have settled by `now`.
    pub(super) fn settle(&mut self, now: Time) {
        while let Some(&(ready, consent)) = self.granted.front()
            && ready <= now
        {
            self.active[consent as usize / 64] |= 1 << (consent % 64);
            self.granted.pop_front();
        }
    }

    /// A grant that counts from `ready` on.
    pub(super) fn grant(&mut self, consent: u32, ready: Time) {
        self.granted.push_back((ready, consent));
    }

    pub(super) fn revoke(&mut self, consent: u32) {
        self.active[consent as usize / 64] &= !(1 << (consent % 64));
    }

    /// A consent from `draw` that is active, or not; a few draws settle nearly every case, and the
    /// ledger refuses the rest.
    pub(super) fn find(&self, active: bool, mut draw: impl FnMut() -> u32) -> u32 {
        // assumption: half of the draws fit, so that fifteen more fail once in 65,536.
        const MORE: u32 = 15;
        let mut consent = draw();
        for _ in 0..MORE {
            if self.is_active(consent) == active {
                break;
            }
            consent = draw();
        }
        consent
    }
}

/// Something that a later transaction will refer to.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// When it has settled.
    pub(super) ready: Time,
    pub(super) entity: u32,
    /// Which fill, version or decision comes next.
    pub(super) step: u32,
}

/// Open cases, oldest first.
pub(super) struct Cases(VecDeque<Case>);

impl Cases {
    /// Cases that are open before the first block.
    pub(super) fn preloaded(entities: Range<u32>, step: u32) -> Self {
        let ready = Time::ZERO;
        Self(
            entities
                .map(|entity| Case {
                    ready,
                    entity,
                    step,
                })
                .collect(),
        )
    }

    pub(super) fn add(&mut self, case: Case) {
        self.0.push_back(case);
    }

    /// The oldest case.
    pub(super) fn take(&mut self) -> Option<Case> {
        self.0.pop_front()
    }
}

/// Visits that are open, oldest first.
pub(super) struct Visits {
    open: VecDeque<u32>,
    /// When the youngest of them settle.
    unsettled: VecDeque<Time>,
    /// How many of the oldest may end while an entry is on its way.
    leaving: usize,
}

impl Visits {
    pub(super) fn preloaded(entities: Range<u32>, leaving: usize) -> Self {
        Self {
            open: entities.collect(),
            unsettled: VecDeque::new(),
            leaving,
        }
    }

    /// A visit that others may refer to from `ready` on.
    pub(super) fn begin(&mut self, entity: u32, ready: Time) {
        self.open.push_back(entity);
        self.unsettled.push_back(ready);
    }

    /// The oldest, which ends.
    pub(super) fn end(&mut self, now: Time) -> Option<u32> {
        if self.settled(now) == 0 {
            return None;
        }
        self.open.pop_front()
    }

    /// Any that stays open for a while.
    pub(super) fn any(&mut self, now: Time, draws: &mut Draws) -> Option<u32> {
        let (staying, _) = self.staying(now);
        let many = staying.len() as u64;
        (many > 0).then(|| self.at(staying.start + draws.below(many) as usize))
    }

    /// The places of those that stay open for a while, as long as none begins or ends, and before an
    /// instant.
    pub(super) fn staying(&mut self, now: Time) -> (Range<usize>, Time) {
        let settled = self.settled(now);
        let first = self.leaving.min(settled / 2);
        let next = self.unsettled.front().map_or(Time::NEVER, |&ready| ready);
        (first..settled, next)
    }

    /// The one at a place.
    #[inline]
    pub(super) fn at(&self, place: usize) -> u32 {
        self.open[place]
    }

    /// How many have settled.
    fn settled(&mut self, now: Time) -> usize {
        while self.unsettled.front().is_some_and(|&ready| ready <= now) {
            self.unsettled.pop_front();
        }
        self.open.len() - self.unsettled.len()
    }
}
