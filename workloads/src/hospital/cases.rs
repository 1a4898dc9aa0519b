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
    open: Queue,
    /// When the youngest of them settle.
    unsettled: VecDeque<Time>,
    /// How many of the oldest may end while an entry is on its way.
    leaving: usize,
}

impl Visits {
    pub(super) fn preloaded(entities: Range<u32>, leaving: usize) -> Self {
        Self {
            open: Queue::of(entities),
            unsettled: VecDeque::new(),
            leaving,
        }
    }

    /// A visit that others may refer to from `ready` on.
    pub(super) fn begin(&mut self, entity: u32, ready: Time) {
        self.open.push(entity);
        self.unsettled.push_back(ready);
    }

    /// The oldest, which ends.
    pub(super) fn end(&mut self, now: Time) -> Option<u32> {
        if self.settled(now) == 0 {
            return None;
        }
        self.open.pop()
    }

    /// Any that stays open for a while.
    #[inline]
    pub(super) fn any(&mut self, now: Time, draws: &mut Draws) -> Option<u32> {
        let settled = self.settled(now);
        let first = self.leaving.min(settled / 2);
        let many = settled - first;
        if many == 0 {
            return None;
        }
        Some(self.open.at(first + draws.below(many as u64) as usize))
    }

    /// How many have settled.
    #[inline]
    fn settled(&mut self, now: Time) -> usize {
        while self.unsettled.front().is_some_and(|&ready| ready <= now) {
            self.unsettled.pop_front();
        }
        self.open.len() - self.unsettled.len()
    }
}

/// Numbers in a queue, most of which follow on from the one before: as long as they do, two ranges
/// stand for them, so that to look one up needs no memory.
struct Queue {
    first: Range<u32>,
    then: Range<u32>,
    rest: VecDeque<u32>,
}

impl Queue {
    fn of(first: Range<u32>) -> Self {
        Self {
            first,
            then: 0..0,
            rest: VecDeque::new(),
        }
    }

    fn push(&mut self, number: u32) {
        let follows = |range: &Range<u32>| range.end == number;
        if self.rest.is_empty() && self.then.is_empty() && follows(&self.first) {
            self.first.end += 1;
        } else if self.rest.is_empty() && self.then.is_empty() {
            self.then = number..number + 1;
        } else if self.rest.is_empty() && follows(&self.then) {
            self.then.end += 1;
        } else {
            self.rest.push_back(number);
        }
    }

    fn pop(&mut self) -> Option<u32> {
        let next = self.first.next().or_else(|| self.then.next());
        next.or_else(|| self.rest.pop_front())
    }

    fn len(&self) -> usize {
        self.first.len() + self.then.len() + self.rest.len()
    }

    /// The one at a place, which must be below the length.
    #[inline]
    fn at(&self, place: usize) -> u32 {
        let (first, then) = (self.first.len(), self.then.len());
        if place >= first + then {
            return self.rest[place - first - then];
        }
        // Whichever it is, no branch could guess it.
        let between = self.then.start.wrapping_sub(self.first.end);
        let beyond = between & u32::from(place >= first).wrapping_neg();
        (self.first.start + place as u32).wrapping_add(beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is pushed and popped, in ranges or out of them.
        #[test]
        fn a_queue_is_a_queue(
            first in 0_u32..6,
            steps in prop::collection::vec(prop_oneof![Just(None), (0_u32..3).prop_map(Some)], 0..60),
        ) {
            let mut queue = Queue::of(10..10 + first);
            let mut naive: VecDeque<u32> = (10..10 + first).collect();
            let mut next = 100;
            for step in steps {
                if let Some(gap) = step {
                    next += gap / 2 + 1;
                    queue.push(next);
                    naive.push_back(next);
                } else {
                    prop_assert_eq!(queue.pop(), naive.pop_front());
                }
                prop_assert_eq!(queue.len(), naive.len());
                for (place, &number) in naive.iter().enumerate() {
                    prop_assert_eq!(queue.at(place), number);
                }
            }
        }
    }
}
