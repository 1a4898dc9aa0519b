//! The vote service: counts votes for every receiver and says when a ballot is decided there.
//!
//! Two forms with the same outcome to the bit. *Explicit*: each vote is an event at each receiver.
//! *Order statistic*: a receiver's ballot is decided at the arrival of the vote that completes the
//! threshold, which is known as soon as that many were cast; a later cast can only pull it earlier.
//! A ballot starts in the second form where nothing between cast and count queues, and is turned
//! into the first one when a fault begins or ends.
//!
//! A vote may count towards wildcards too, such as "any prevote of this round". A voter counts once
//! for each: with the earliest of its votes to arrive. A vote and its wildcards share one form.

use quorate_core::{Ballot, Committee, NodeId, Span, Time, Weight};
use std::collections::BTreeMap;

/// A ballot with its votes. Voters and receivers are places in the committee.
struct Record {
    /// `None` once it is retired: nobody is told any more.
    ballot: Option<Ballot>,
    threshold: Weight,
    /// Whether votes for other ballots count towards it, and none are for itself.
    wildcard: bool,
    explicit: bool,
    /// By voter: its place in `order`, or [`NOT_CAST`].
    row: Vec<u32>,
    /// The place in `order` of who cast last; a wildcard's voters may cast again.
    newest: usize,
    cast_weight: Weight,
    /// The voters in the order in which they first cast.
    order: Vec<u32>,
    /// One row for each voter, in that order: the earliest arrival of its votes at whom.
    /// Order-statistic form: as known when they were cast. Explicit form: of those that were counted.
    arrives: Vec<Time>,
    scratch: Vec<Time>,
    weighted_scratch: Vec<(Time, Weight)>,
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

const NOT_CAST: u32 = u32::MAX;

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
    /// By place, in the order of `members`.
    weights: Vec<Weight>,
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
            weights: committee.members().map(|m| committee.weight(m)).collect(),
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

    /// The record of a ballot that is open.
    pub(crate) fn slot(&self, ballot: Ballot) -> Option<u32> {
        self.index.get(&ballot).copied()
    }

    /// The ballot of an open record.
    pub(crate) fn ballot(&self, slot: u32) -> Ballot {
        self.records[slot as usize].ballot.expect("it is open")
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
        assert!(
            !self.records[slot as usize].wildcard,
            "a vote for {ballot:?}"
        );
        if self.records[slot as usize].has_cast(place) {
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
            .filter(|&(_, &s)| self.records[s as usize].has_cast(place))
            .count() as u64;
        self.records[slot as usize].add_voter(place, self.weights[place]);
        true
    }

    /// Notes that a vote of `voter`, a member, counts towards a wildcard too. It may be one of
    /// several, which contradict nothing.
    pub(crate) fn cast_also(&mut self, slot: u32, voter: NodeId) {
        let place = self.committee.position(voter).expect("it cast a vote") as usize;
        let record = &mut self.records[slot as usize];
        record.wildcard = true;
        if record.has_cast(place) {
            record.newest = record.row[place] as usize;
        } else {
            record.add_voter(place, self.weights[place]);
        }
    }

    /// Order-statistic form: the vote cast last arrives at `receiver` (a place) at `at`. Every
    /// receiver must be noted, with [`Time::NEVER`] for a vote that is lost.
    #[inline]
    pub(crate) fn arrives(&mut self, slot: u32, receiver: u32, at: Time) {
        let record = &mut self.records[slot as usize];
        let arrival = record.arrival(record.newest, receiver as usize);
        *arrival = at.min(*arrival);
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
            let voter = voter as usize;
            record.update(voter, &self.weights, self.equal);
            // Who votes again for a wildcard may have been told before.
            if !record.reached[voter] {
                next = next.min((record.due[voter], self.members[voter]));
            }
        } else {
            let again = core::mem::replace(&mut record.look, Look::Done) == Look::Done;
            for place in 0..self.members.len() {
                let newest = *record.arrival(record.newest, place);
                // A vote that comes after the decision does not change it.
                let matters = !again || newest < record.due[place];
                if matters
                    && !record.reached[place]
                    && record.update(place, &self.weights, self.equal)
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

    /// Explicit form: a vote is counted, unless its voter was; whether it decides.
    pub(crate) fn count(
        &mut self,
        slot: u32,
        (voter, receiver): (NodeId, NodeId),
        now: Time,
    ) -> bool {
        let position = |node| self.committee.position(node).map(|p| p as usize);
        let (Some(place), Some(from)) = (position(receiver), position(voter)) else {
            return false;
        };
        let record = &mut self.records[slot as usize];
        // Its record may have been opened anew since.
        if !record.has_cast(from) {
            return false;
        }
        let arrival = record.arrival(record.row[from] as usize, place);
        if *arrival != Time::NEVER {
            return false;
        }
        *arrival = now;
        record.received[place] += self.weights[from];
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
                    record.update(place, &self.weights, self.equal);
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

    /// Turns every live ballot into the explicit form at `now`. Calls `in_flight` for each vote for
    /// one of them that is not counted yet; wildcards are counted together with these.
    pub(crate) fn make_explicit(
        &mut self,
        now: Time,
        mut in_flight: impl FnMut(u32, Ballot, NodeId, NodeId, Time),
    ) {
        for (&ballot, &slot) in &self.index {
            let record = &mut self.records[slot as usize];
            if record.explicit {
                continue;
            }
            record.explicit = true;
            for receiver in 0..self.members.len() {
                record.received[receiver] = 0;
                for i in 0..record.order.len() {
                    let voter = record.order[i] as usize;
                    let at = core::mem::replace(record.arrival(i, receiver), Time::NEVER);
                    if at < now {
                        *record.arrival(i, receiver) = at;
                        record.received[receiver] += self.weights[voter];
                    } else if at != Time::NEVER && !record.wildcard {
                        in_flight(
                            slot,
                            ballot,
                            self.members[voter],
                            self.members[receiver],
                            at,
                        );
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
            wildcard: false,
            explicit: false,
            row: vec![NOT_CAST; n],
            newest: 0,
            cast_weight: 0,
            order: Vec::with_capacity(n),
            arrives: vec![Time::NEVER; n * n],
            scratch: Vec::with_capacity(n),
            weighted_scratch: Vec::with_capacity(n),
            due: vec![Time::NEVER; n],
            received: vec![0; n],
            reached: vec![false; n],
            look: Look::TooEarly,
            queued: (Time::NEVER, NodeId::new(u32::MAX)),
        }
    }

    fn reuse(&mut self, ballot: Ballot, threshold: Weight, explicit: bool) {
        (self.ballot, self.threshold, self.explicit) = (Some(ballot), threshold, explicit);
        self.wildcard = false;
        self.cast_weight = 0;
        self.order.clear();
        self.row.fill(NOT_CAST);
        self.due.fill(Time::NEVER);
        self.received.fill(0);
        self.reached.fill(false);
        self.look = Look::TooEarly;
        self.queued = (Time::NEVER, NodeId::new(u32::MAX));
        // A row of `arrives` is cleared for each voter, and no other is read.
    }

    fn has_cast(&self, place: usize) -> bool {
        self.row[place] != NOT_CAST
    }

    /// A voter's first vote.
    fn add_voter(&mut self, place: usize, weight: Weight) {
        let (row, n) = (self.order.len(), self.row.len());
        self.row[place] = row as u32;
        self.newest = row;
        self.order.push(place as u32);
        self.cast_weight += weight;
        self.arrives[row * n..][..n].fill(Time::NEVER);
    }

    fn arrival(&mut self, row: usize, receiver: usize) -> &mut Time {
        let n = self.row.len();
        &mut self.arrives[row * n + receiver]
    }

    /// Works out anew when a receiver decides, as far as is known; whether that is earlier than
    /// before.
    fn update(&mut self, place: usize, weights: &[Weight], equal: bool) -> bool {
        let due = if equal {
            self.kth(place)
        } else {
            self.weighted(place, weights)
        };
        let earlier = due < self.due[place];
        if earlier {
            self.due[place] = due;
        }
        earlier
    }

    /// The arrival that completes a threshold of equal votes, of which enough were cast.
    fn kth(&mut self, receiver: usize) -> Time {
        let rows = self.arrives.chunks_exact(self.row.len());
        self.scratch.clear();
        self.scratch
            .extend(rows.take(self.order.len()).map(|row| row[receiver]));
        let place = self.threshold as usize - 1;
        *self.scratch.select_nth_unstable(place).1
    }

    /// The arrival that completes a threshold of weighted votes.
    fn weighted(&mut self, receiver: usize, weights: &[Weight]) -> Time {
        let rows = self.arrives.chunks_exact(self.row.len());
        let votes = rows.zip(&self.order);
        self.weighted_scratch.clear();
        self.weighted_scratch
            .extend(votes.map(|(row, &voter)| (row[receiver], weights[voter as usize])));
        self.weighted_scratch.sort_unstable();
        let mut sum = 0;
        let complete = self.weighted_scratch.iter().find(|vote| {
            sum += vote.1;
            sum >= self.threshold
        });
        complete.map_or(Time::NEVER, |vote| vote.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BALLOTS: usize = 3;
    /// The place of the wildcard among the ballots.
    const ANY: usize = 2;

    fn ballots() -> [Ballot; BALLOTS] {
        let one = |phase, choice| Ballot {
            height: 1,
            round: 0,
            phase,
            choice,
        };
        let block = quorate_core::BlockId::new(3);
        [one(0, None), one(0, Some(block)), one(1, None)]
    }

    const LOST: u64 = 999;

    /// One vote: who casts it when, for which of the first two ballots, and how long it takes to
    /// each receiver.
    #[derive(Clone, Debug)]
    struct Cast {
        at: u64,
        voter: usize,
        ballot: usize,
        delays: Vec<u64>,
    }

    /// Votes for two ballots that both count towards a third.
    struct Vote {
        committee: Committee,
        thresholds: [Weight; BALLOTS],
        shortest: u64,
        casts: Vec<Cast>,
    }

    type Told = [Vec<Time>; BALLOTS];

    impl Vote {
        /// When the votes cast for a ballot arrive at a receiver, of each voter the first one.
        fn arrivals(&self, ballot: usize, receiver: usize) -> Vec<(Time, Weight)> {
            let mut first = BTreeMap::new();
            let mut voted = std::collections::BTreeSet::new();
            for cast in &self.casts {
                let counts = ballot == ANY || ballot == cast.ballot;
                if !voted.insert((cast.voter, cast.ballot)) || !counts {
                    continue;
                }
                let at = self.arrival(cast, receiver);
                let earliest = first.entry(cast.voter).or_insert(at);
                *earliest = at.min(*earliest);
            }
            let weight = |voter: usize| self.committee.weight(NodeId::new(voter as u32));
            let mut votes: Vec<_> = first.into_iter().map(|(v, at)| (at, weight(v))).collect();
            votes.sort_unstable();
            votes
        }

        fn arrival(&self, cast: &Cast, receiver: usize) -> Time {
            let delay = cast.delays[receiver];
            match delay {
                _ if receiver == cast.voter => Time::from_ns(cast.at),
                LOST => Time::NEVER,
                _ => Time::from_ns(cast.at + self.shortest + delay),
            }
        }

        /// By counting.
        fn naive(&self) -> Told {
            [0, 1, ANY].map(|ballot| {
                let receivers = 0..self.committee.len() as usize;
                let decided = receivers.map(|receiver| {
                    let mut sum = 0;
                    let votes = self.arrivals(ballot, receiver);
                    let complete = votes.iter().find(|(_, w)| {
                        sum += w;
                        sum >= self.thresholds[ballot]
                    });
                    complete.map_or(Time::NEVER, |&(at, _)| at)
                });
                decided.collect()
            })
        }

        /// By a tally that is made explicit at `edge`.
        fn run(&self, edge: u64) -> Told {
            let n = self.committee.len() as usize;
            let mut run = Run {
                vote: self,
                tally: Tally::new(self.committee.clone(), Span::from_ns(self.shortest)),
                queue: std::collections::BTreeSet::new(),
                told: [0, 1, ANY].map(|_| vec![Time::NEVER; n]),
            };
            for (i, &ballot) in ballots().iter().enumerate() {
                run.tally.open(ballot, self.thresholds[i], false);
            }
            let mut edge = Some(edge);
            let end = (u64::MAX - 1, None);
            let casts = self.casts.iter().map(|c| (c.at, Some(c))).chain([end]);
            for (now, cast) in casts {
                if let Some(edge) = edge.take_if(|edge| *edge <= now) {
                    run.until(edge);
                    run.make_explicit(edge);
                }
                run.until(now);
                if let Some(cast) = cast {
                    run.cast(cast);
                }
            }
            run.told
        }
    }

    struct Run<'a> {
        vote: &'a Vote,
        tally: Tally,
        /// Time, rank (a count or a look), receiver, voter, ballot.
        queue: std::collections::BTreeSet<(Time, u8, u32, u32, u32)>,
        told: Told,
    }

    impl Run<'_> {
        /// What is due before `now`, in order.
        fn until(&mut self, now: u64) {
            while let Some(event) = self.queue.pop_first() {
                let (at, rank, receiver, voter, slot) = event;
                if at >= Time::from_ns(now) {
                    self.queue.insert(event);
                    return;
                }
                if rank == 0 {
                    self.count(at, voter, receiver, slot);
                } else {
                    self.look(at, receiver, slot);
                }
            }
        }

        fn count(&mut self, at: Time, voter: u32, receiver: u32, slot: u32) {
            for slot in [slot, ANY as u32] {
                let pair = (NodeId::new(voter), NodeId::new(receiver));
                if self.tally.count(slot, pair, at) {
                    self.queue.insert((at, 1, receiver, 0, slot));
                }
            }
        }

        fn look(&mut self, at: Time, receiver: u32, slot: u32) {
            let ballot = ballots()[slot as usize];
            let (decides, next) = self.tally.tell(slot, ballot, NodeId::new(receiver), at);
            if decides {
                let told = &mut self.told[slot as usize][receiver as usize];
                assert_eq!(*told, Time::NEVER, "told twice");
                *told = at;
            }
            self.later(slot, at, next);
        }

        fn later(&mut self, slot: u32, now: Time, next: Option<(Time, NodeId)>) {
            if let Some((at, to)) = next {
                assert!(at >= now);
                self.queue.insert((at, 1, to.get(), 0, slot));
            }
        }

        fn make_explicit(&mut self, now: u64) {
            let queue = &mut self.queue;
            self.tally
                .make_explicit(Time::from_ns(now), |slot, _, from, to, at| {
                    queue.insert((at, 0, to.get(), from.get(), slot));
                });
        }

        fn cast(&mut self, cast: &Cast) {
            let (now, voter) = (Time::from_ns(cast.at), cast.voter as u32);
            let slot = cast.ballot as u32;
            if !self.tally.cast(slot, NodeId::new(voter)) {
                return;
            }
            self.tally.cast_also(ANY as u32, NodeId::new(voter));
            let explicit = self.tally.is_explicit(slot);
            for receiver in 0..self.vote.committee.len() {
                let at = self.vote.arrival(cast, receiver as usize);
                if at == Time::NEVER {
                    continue;
                }
                if explicit {
                    self.queue.insert((at, 0, receiver, voter, slot));
                } else {
                    self.tally.arrives(slot, receiver, at);
                    self.tally.arrives(ANY as u32, receiver, at);
                }
            }
            if !explicit {
                for slot in [slot, ANY as u32] {
                    let next = self.tally.decide(slot, voter, now);
                    self.later(slot, now, next);
                }
            }
        }
    }

    fn casts(members: usize) -> impl Strategy<Value = Vec<Cast>> {
        let delay = prop_oneof![9 => 0_u64..50, 1 => Just(LOST)];
        let delays = prop::collection::vec(delay, members);
        let cast = (0..members, 0_u64..15, 0..ANY, delays);
        prop::collection::vec(cast, 1..20).prop_map(|casts| {
            let mut at = 0;
            let cast = |(voter, gap, ballot, delays)| {
                at += gap;
                Cast {
                    at,
                    voter,
                    ballot,
                    delays,
                }
            };
            casts.into_iter().map(cast).collect()
        })
    }

    proptest! {
        /// However votes are cast and travel, the order statistic is the moment at which counting
        /// them one by one reaches the threshold, also where votes count towards a wildcard, with
        /// any weights, and if a fault turns all into the other form midway.
        #[test]
        fn order_statistic_equals_counting(
            (weights, casts) in prop::collection::vec(0_u64..4, 1..8)
                .prop_flat_map(|weights| { let n = weights.len(); (Just(weights), casts(n)) }),
            equal in any::<bool>(), percents in prop::array::uniform3(1_u64..100),
            shortest in 0_u64..20, edge in 0_u64..150,
        ) {
            let weight = |w: u64| if equal { 1 } else { w };
            let members = (0..).map(NodeId::new).zip(weights.into_iter().map(weight)).collect();
            let committee = Committee::weighted(members);
            let thresholds = percents.map(|p| (committee.total() * p / 100).max(1));
            let vote = Vote { committee, thresholds, shortest, casts };
            let want = vote.naive();
            prop_assert_eq!(&vote.run(u64::MAX - 2), &want);
            prop_assert_eq!(&vote.run(edge), &want);
            prop_assert_eq!(&vote.run(0), &want);
        }
    }

    /// Node 0 votes twice, and its first vote is slow: the second is the one that counts for "any".
    #[test]
    fn a_voter_counts_once_and_with_its_earliest_vote() {
        let cast = |at, voter, ballot, delay| Cast {
            at,
            voter,
            ballot,
            delays: vec![delay; 3],
        };
        let vote = |casts| Vote {
            committee: Committee::equal(3),
            thresholds: [3, 3, 2],
            shortest: 0,
            casts,
        };
        let any = |casts| {
            let vote = vote(casts);
            assert_eq!(vote.run(1_000), vote.run(0));
            vote.run(1_000)[ANY]
                .iter()
                .map(|t| t.ns())
                .collect::<Vec<_>>()
        };
        let never = u64::MAX;
        let twice = [cast(0, 0, 0, 100), cast(10, 0, 1, 20)];
        assert_eq!(any(twice.to_vec()), [never; 3]);
        let with_another = [twice.as_slice(), &[cast(20, 1, 0, 5)]].concat();
        assert_eq!(any(with_another), [25, 30, 30]);
    }

    #[test]
    fn a_second_choice_is_equivocation() {
        let mut tally = Tally::new(Committee::equal(4), Span::ZERO);
        let [nil, block, any] = ballots();
        let (a, b) = (tally.open(nil, 3, true), tally.open(block, 3, true));
        let any = tally.open(any, 3, true);
        tally.cast_also(any, NodeId::new(1));
        tally.cast_also(any, NodeId::new(1));
        assert!(tally.cast(a, NodeId::new(1)) && !tally.cast(a, NodeId::new(1)));
        assert_eq!(tally.equivocations, 0);
        assert!(tally.cast(b, NodeId::new(1)));
        assert_eq!(tally.equivocations, 1);
    }
}
