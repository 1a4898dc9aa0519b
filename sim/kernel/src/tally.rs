//! The vote service: counts votes for every receiver and says when a ballot is decided there.
//!
//! Two forms with the same outcome to the bit. *Explicit*: each vote is an event at each receiver.
//! *Order statistic*: a receiver's ballot is decided at the arrival of the vote that completes the
//! threshold, which is known as soon as that many were cast; a later cast can only pull it earlier.
//! A ballot starts in the second form where nothing between cast and count queues, and is turned
//! into the first one when a fault begins or ends.

use quorate_core::{Ballot, Committee, NodeId, Span, Time, Weight};
use std::collections::BTreeMap;

/// A ballot with its votes. Voters and receivers are places in the committee.
struct Record {
    /// `None` once it is retired: nobody is told any more.
    ballot: Option<Ballot>,
    threshold: Weight,
    explicit: bool,
    cast: Vec<bool>,
    cast_weight: Weight,
    /// The voters in the order in which they cast.
    order: Vec<u32>,
    /// Order-statistic form: one row for each cast, in that order, of when it arrives at whom.
    arrives: Vec<Time>,
    scratch: Vec<Time>,
    /// When each receiver decides, as known so far.
    due: Vec<Time>,
    /// Explicit form: weight received.
    received: Vec<Weight>,
    /// Whether each receiver was told.
    reached: Vec<bool>,
    /// Order-statistic form: whether the rows were looked at.
    look: Look,
    /// Order-statistic form: the one entry of the event queue that counts, the earliest of `due`
    /// and `look`. Others were overtaken.
    queued: (Time, NodeId),
}

/// When the rows of a ballot are worth a look: nobody but the last voters can decide earlier than
/// one shortest latency after the vote that completes the threshold was cast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Look {
    /// The threshold was not cast yet.
    TooEarly,
    At(Time),
    /// They were looked at, and are again after each further cast.
    Done,
}

/// All live ballots.
pub(crate) struct Tally {
    committee: Committee,
    members: Vec<NodeId>,
    equal: bool,
    /// No vote of one member arrives at another in less.
    shortest: Span,
    index: BTreeMap<Ballot, u32>,
    records: Vec<Record>,
    free: Vec<u32>,
    /// Votes that contradict an earlier one of the same voter, round and phase.
    pub(crate) equivocations: u64,
    /// Ballots by form: explicit, order statistic.
    pub(crate) forms: [u64; 2],
}

impl Tally {
    pub(crate) fn new(committee: Committee, shortest: Span) -> Self {
        let equal = committee.members().all(|m| committee.weight(m) == 1);
        Self {
            members: committee.members().collect(),
            committee,
            equal,
            shortest,
            index: BTreeMap::new(),
            records: Vec::new(),
            free: Vec::new(),
            equivocations: 0,
            forms: [0; 2],
        }
    }

    pub(crate) fn committee(&self) -> &Committee {
        &self.committee
    }

    /// The member at a place.
    pub(crate) fn member(&self, place: u32) -> NodeId {
        self.members[place as usize]
    }

    pub(crate) fn reached(&self, node: NodeId, ballot: Ballot) -> bool {
        match (self.index.get(&ballot), self.committee.position(node)) {
            (Some(&slot), Some(place)) => self.records[slot as usize].reached[place as usize],
            _ => false,
        }
    }

    /// The record of a ballot, made at its first vote in the form asked for.
    pub(crate) fn open(&mut self, ballot: Ballot, threshold: Weight, explicit: bool) -> u32 {
        if let Some(&slot) = self.index.get(&ballot) {
            return slot;
        }
        self.forms[usize::from(!explicit)] += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.records
                .push(Record::blank(self.committee.len() as usize));
            self.records.len() as u32 - 1
        });
        self.records[slot as usize].reuse(ballot, threshold, explicit);
        self.index.insert(ballot, slot);
        slot
    }

    /// Whether a ballot's votes are events.
    pub(crate) fn is_explicit(&self, slot: u32) -> bool {
        self.records[slot as usize].explicit
    }

    /// Notes that `voter` casts; `false` when it did so before.
    pub(crate) fn cast(&mut self, slot: u32, voter: NodeId) -> bool {
        let Some(place) = self.committee.position(voter) else {
            return false;
        };
        let place = place as usize;
        let ballot = self.records[slot as usize].ballot.expect("it is open");
        if self.records[slot as usize].cast[place] {
            return false;
        }
        let first = Ballot {
            choice: None,
            ..ballot
        };
        let rivals = self
            .index
            .range(first..)
            .take_while(|(b, _)| same_question(b, &ballot));
        let lied = rivals.filter(|(b, _)| **b != ballot);
        self.equivocations += lied
            .filter(|&(_, &s)| self.records[s as usize].cast[place])
            .count() as u64;
        let record = &mut self.records[slot as usize];
        record.cast[place] = true;
        record.cast_weight += self.committee.weight(voter);
        record.order.push(place as u32);
        true
    }

    /// Order-statistic form: the vote cast last arrives at `receiver` (a place) at `at`. Every
    /// receiver must be noted, with [`Time::NEVER`] for a vote that is lost.
    #[inline]
    pub(crate) fn arrives(&mut self, slot: u32, receiver: u32, at: Time) {
        let record = &mut self.records[slot as usize];
        let row = (record.order.len() - 1) * record.cast.len();
        record.arrives[row + receiver as usize] = at;
    }

    /// Order-statistic form, after all receivers of the cast of `voter` (a place) are noted: whom to
    /// look at when, if that is earlier than what was known.
    pub(crate) fn decide(&mut self, slot: u32, voter: u32, now: Time) -> Option<(Time, NodeId)> {
        let record = &mut self.records[slot as usize];
        if record.cast_weight < record.threshold {
            return None;
        }
        let mut next = (Time::NEVER, NodeId::new(u32::MAX));
        if record.look == Look::TooEarly {
            let at = now.saturating_add(self.shortest);
            record.look = Look::At(at);
            next = (at, NodeId::new(0));
        }
        if matches!(record.look, Look::At(at) if now < at) {
            // Whoever did not vote just now lacks a vote that is still on its way.
            record.update(voter as usize, &self.committee, self.equal);
            next = next.min((record.due[voter as usize], self.members[voter as usize]));
        } else {
            let again = core::mem::replace(&mut record.look, Look::Done) == Look::Done;
            let n = self.members.len();
            for place in 0..n {
                let newest = record.arrives[(record.order.len() - 1) * n + place];
                // A vote that comes after the decision does not change it.
                let matters = !again || newest < record.due[place];
                if matters
                    && !record.reached[place]
                    && record.update(place, &self.committee, self.equal)
                {
                    next = next.min((record.due[place], self.members[place]));
                }
            }
        }
        let earlier = next < record.queued;
        if earlier {
            record.queued = next;
        }
        earlier.then_some(next)
    }

    /// Explicit form: a vote is counted; whether it decides.
    pub(crate) fn count(
        &mut self,
        slot: u32,
        ballot: Ballot,
        (voter, receiver): (NodeId, NodeId),
        now: Time,
    ) -> bool {
        let Some(place) = self.committee.position(receiver) else {
            return false;
        };
        let weight = self.committee.weight(voter);
        let record = &mut self.records[slot as usize];
        // It may have been retired and its record reused meanwhile.
        if record.ballot != Some(ballot) {
            return false;
        }
        let place = place as usize;
        record.received[place] += weight;
        let decides =
            record.received[place] >= record.threshold && record.due[place] == Time::NEVER;
        if decides {
            record.due[place] = now;
        }
        decides
    }

    /// The time to look at `receiver` has come: whether it decides now, and whom to look at next.
    pub(crate) fn tell(
        &mut self,
        slot: u32,
        ballot: Ballot,
        receiver: NodeId,
        now: Time,
    ) -> (bool, Option<(Time, NodeId)>) {
        let record = &mut self.records[slot as usize];
        let counts = record.explicit || record.queued == (now, receiver);
        if record.ballot != Some(ballot) || !counts {
            return (false, None);
        }
        if !record.explicit && matches!(record.look, Look::At(at) if at <= now) {
            record.look = Look::Done;
            for place in 0..self.members.len() {
                if !record.reached[place] {
                    record.update(place, &self.committee, self.equal);
                }
            }
        }
        let place = self.committee.position(receiver).map(|p| p as usize);
        let decides = place.filter(|&p| record.due[p] == now && !record.reached[p]);
        if let Some(place) = decides {
            record.reached[place] = true;
        }
        if record.explicit {
            return (decides.is_some(), None);
        }
        let mut next = (Time::NEVER, NodeId::new(u32::MAX));
        if let Look::At(at) = record.look {
            next = (at, NodeId::new(0));
        }
        for (place, &due) in record.due.iter().enumerate() {
            if due <= next.0 && !record.reached[place] {
                next = next.min((due, self.members[place]));
            }
        }
        record.queued = next;
        (decides.is_some(), (next.0 < Time::NEVER).then_some(next))
    }

    /// Turns every live ballot into the explicit form at `now`. Calls `in_flight` for each vote that
    /// is not counted yet.
    pub(crate) fn make_explicit(
        &mut self,
        now: Time,
        mut in_flight: impl FnMut(u32, Ballot, NodeId, NodeId, Time),
    ) {
        let n = self.committee.len() as usize;
        for (&ballot, &slot) in &self.index {
            let record = &mut self.records[slot as usize];
            if record.explicit {
                continue;
            }
            record.explicit = true;
            for receiver in 0..n {
                let to = self.members[receiver];
                record.received[receiver] = 0;
                for (i, &voter) in record.order.iter().enumerate() {
                    let (from, at) = (
                        self.members[voter as usize],
                        record.arrives[i * n + receiver],
                    );
                    if at < now {
                        record.received[receiver] += self.committee.weight(from);
                    } else if at != Time::NEVER {
                        in_flight(slot, ballot, from, to, at);
                    }
                }
                if !record.reached[receiver] {
                    record.due[receiver] = Time::NEVER;
                }
            }
        }
    }

    /// Forgets ballots below a height.
    pub(crate) fn retire(&mut self, below: u32) {
        while let Some(entry) = self.index.first_entry() {
            if entry.key().height >= below {
                break;
            }
            let slot = entry.remove();
            self.records[slot as usize].ballot = None;
            self.free.push(slot);
        }
    }
}

fn same_question(a: &Ballot, b: &Ballot) -> bool {
    (a.height, a.round, a.phase) == (b.height, b.round, b.phase)
}

impl Record {
    fn blank(n: usize) -> Self {
        Self {
            ballot: None,
            threshold: 0,
            explicit: false,
            cast: vec![false; n],
            cast_weight: 0,
            order: Vec::with_capacity(n),
            arrives: vec![Time::NEVER; n * n],
            scratch: Vec::with_capacity(n),
            due: vec![Time::NEVER; n],
            received: vec![0; n],
            reached: vec![false; n],
            look: Look::TooEarly,
            queued: (Time::NEVER, NodeId::new(u32::MAX)),
        }
    }

    fn reuse(&mut self, ballot: Ballot, threshold: Weight, explicit: bool) {
        (self.ballot, self.threshold, self.explicit) = (Some(ballot), threshold, explicit);
        self.cast_weight = 0;
        self.order.clear();
        self.cast.fill(false);
        self.due.fill(Time::NEVER);
        self.received.fill(0);
        self.reached.fill(false);
        self.look = Look::TooEarly;
        self.queued = (Time::NEVER, NodeId::new(u32::MAX));
        // A row of `arrives` is written whole for each cast, and no other is read.
    }

    /// Works out anew when a receiver decides, as far as is known; whether that is earlier than
    /// before.
    fn update(&mut self, place: usize, committee: &Committee, equal: bool) -> bool {
        let due = if equal {
            self.kth(place)
        } else {
            self.weighted(place, committee)
        };
        let earlier = due < self.due[place];
        if earlier {
            self.due[place] = due;
        }
        earlier
    }

    /// When the votes cast so far arrive at a receiver, in the order in which they were cast.
    fn arrivals(&self, receiver: usize) -> impl Iterator<Item = Time> + '_ {
        let rows = self.arrives.chunks_exact(self.cast.len());
        rows.take(self.order.len()).map(move |row| row[receiver])
    }

    /// The arrival that completes a threshold of equal votes.
    fn kth(&mut self, receiver: usize) -> Time {
        let mut row = core::mem::take(&mut self.scratch);
        row.clear();
        row.extend(self.arrivals(receiver));
        let (_, &mut kth, _) = row.select_nth_unstable(self.threshold as usize - 1);
        self.scratch = row;
        kth
    }

    /// The arrival that completes a threshold of weighted votes.
    fn weighted(&self, receiver: usize, committee: &Committee) -> Time {
        let weight = |&voter: &u32| committee.weight(committee.at(u64::from(voter)));
        let weights = self.order.iter().map(weight);
        let mut votes: Vec<(Time, Weight)> = self.arrivals(receiver).zip(weights).collect();
        votes.sort_unstable();
        let mut sum = 0;
        for (at, weight) in votes {
            sum += weight;
            if sum >= self.threshold {
                return at;
            }
        }
        Time::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ballot() -> Ballot {
        Ballot {
            height: 1,
            round: 0,
            phase: 0,
            choice: None,
        }
    }

    proptest! {
        /// However votes are cast and travel, the order statistic is the moment at which counting
        /// them one by one reaches the threshold.
        #[test]
        fn order_statistic_equals_counting(
            weights in prop::collection::vec(1_u64..4, 1..8),
            delays in prop::collection::vec(prop::collection::vec(0_u64..50, 8), 8),
            casts in prop::collection::vec((0_usize..8, 0_u64..15), 1..20),
            equal in any::<bool>(), percent in 1_u64..100, shortest in 0_u64..20,
        ) {
            let n = weights.len();
            let weight = |i: usize| if equal { 1 } else { weights[i] };
            let node = |i: usize| NodeId::new(i as u32);
            let committee = Committee::weighted((0..n).map(|i| (node(i), weight(i))).collect());
            let threshold = (committee.total() * percent / 100).max(1);
            let mut tally = Tally::new(committee, Span::from_ns(shortest));
            let slot = tally.open(ballot(), threshold, false);
            let mut told = vec![Time::NEVER; n];
            let mut arrivals = vec![Vec::new(); n];
            let mut queue = std::collections::BTreeSet::new();
            let mut now = 0;
            let end = (n, 1_000_000);
            for (voter, gap) in casts.into_iter().filter(|&(v, _)| v < n).chain([end]) {
                now += gap;
                // What is due before the next cast is told, in order.
                while let Some((at, receiver)) = queue.pop_first() {
                    if at >= Time::from_ns(now) {
                        queue.insert((at, receiver));
                        break;
                    }
                    let (decides, next) = tally.tell(slot, ballot(), receiver, at);
                    if decides {
                        prop_assert_eq!(told[receiver.index()], Time::NEVER);
                        told[receiver.index()] = at;
                    }
                    prop_assert!(next.is_none_or(|next| next.0 >= at));
                    queue.extend(next);
                }
                if voter == n || !tally.cast(slot, node(voter)) {
                    continue;
                }
                for receiver in 0..n {
                    let delay = if receiver == voter { 0 } else { shortest + delays[voter][receiver] };
                    let at = Time::from_ns(now + delay);
                    arrivals[receiver].push((at, weight(voter)));
                    tally.arrives(slot, receiver as u32, at);
                }
                queue.extend(tally.decide(slot, voter as u32, Time::from_ns(now)));
            }
            for (receiver, votes) in arrivals.iter_mut().enumerate() {
                votes.sort_unstable();
                let mut sum = 0;
                let want = votes.iter().find(|(_, w)| { sum += w; sum >= threshold });
                prop_assert_eq!(told[receiver], want.map_or(Time::NEVER, |&(at, _)| at));
            }
        }
    }

    #[test]
    fn a_second_choice_is_equivocation() {
        let mut tally = Tally::new(Committee::equal(4), Span::ZERO);
        let other = Ballot {
            choice: Some(quorate_core::BlockId::new(3)),
            ..ballot()
        };
        let a = tally.open(ballot(), 3, true);
        let b = tally.open(other, 3, true);
        assert!(tally.cast(a, NodeId::new(1)) && !tally.cast(a, NodeId::new(1)));
        assert_eq!(tally.equivocations, 0);
        assert!(tally.cast(b, NodeId::new(1)));
        assert_eq!(tally.equivocations, 1);
    }
}
