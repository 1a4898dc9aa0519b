//! Changes that the final order puts behind what was submitted after them.

use core::mem;
use quorate_core::{Span, Time};
use std::collections::{BTreeMap, VecDeque};

/// How long what was ordered before a change is remembered.
// assumption: a change is on record within an hour of its submission, or nobody waits for it.
const REMEMBERED: Span = Span::from_s(3_600);

/// One transaction of a group, such as a dispense of a lot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Deed {
    /// When it was submitted.
    pub(crate) at: Time,
    /// Whether its submitter acted.
    pub(crate) acted: bool,
    /// Whether the ledger accepted it.
    pub(crate) valid: bool,
}

/// Deeds that were submitted after a change of their group, whichever of the two the final order
/// puts first.
#[derive(Default)]
pub(crate) struct Lookback {
    changes: BTreeMap<u32, Time>,
    /// With the time of their block, oldest first.
    recent: VecDeque<(Time, u32, Deed)>,
}

impl Lookback {
    /// The next deed of the final order, if it was submitted after a change before it.
    pub(crate) fn deed(&mut self, group: u32, deed: Deed, block_at: Time) -> Option<Deed> {
        let old = |&(at, ..): &(Time, u32, Deed)| at + REMEMBERED < block_at;
        while self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
        if self.changes.get(&group).is_some_and(|&at| at < deed.at) {
            return Some(deed);
        }
        self.recent.push_back((block_at, group, deed));
        None
    }

    /// The next change of the final order: deeds before it that were submitted after it.
    pub(crate) fn change(&mut self, group: u32, at: Time) -> Vec<Deed> {
        self.changes.insert(group, at);
        let after = |(_, g, deed): &(Time, u32, Deed)| *g == group && at < deed.at;
        let recent = mem::take(&mut self.recent);
        let (late, rest) = recent.into_iter().partition::<Vec<_>, _>(after);
        self.recent = rest.into();
        late.into_iter().map(|(.., deed)| deed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(s: u64) -> Time {
        Time::ZERO + Span::from_s(s)
    }

    fn deed(at_s: u64) -> Deed {
        Deed {
            at: s(at_s),
            acted: true,
            valid: true,
        }
    }

    #[test]
    fn a_deed_counts_if_submitted_later_wherever_it_is_ordered() {
        let mut look = Lookback::default();
        assert_eq!(look.deed(1, deed(9), s(20)), None);
        assert_eq!(look.deed(1, deed(11), s(20)), None);
        assert_eq!(look.deed(2, deed(12), s(20)), None);
        // Submitted at 10, ordered behind the deeds of 9 and 11.
        assert_eq!(look.change(1, s(10)), [deed(11)]);
        assert_eq!(look.change(1, s(10)), [], "a deed counts once");
        assert_eq!(look.deed(1, deed(10), s(21)), None, "in the same instant");
        assert_eq!(look.deed(1, deed(13), s(21)), Some(deed(13)));
        assert_eq!(look.deed(2, deed(13), s(21)), None);
    }

    #[test]
    fn deeds_are_forgotten_after_an_hour() {
        let mut look = Lookback::default();
        look.deed(1, deed(11), s(20));
        look.deed(1, deed(12), s(20 + 3_600));
        assert_eq!(look.change(1, s(10)).len(), 2);
        look.deed(1, deed(9), s(20));
        look.deed(1, deed(9), s(20 + 3_601));
        assert_eq!(look.change(1, s(8)).len(), 1);
    }
}
