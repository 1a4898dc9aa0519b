//! The vote service: counts votes for every receiver and says when a ballot is decided there.
//!
//! Two forms with the same outcome to the bit. *Explicit*: each vote is an event at each receiver.
//! *Order statistic*: a receiver's ballot is decided at the arrival of the vote that completes the
//! threshold, which is known as soon as that many were cast; a later cast can only pull it earlier.
//! A ballot starts in the second form where nothing between cast and count queues, and is turned
//! into the first one when a node stops or restarts.
//!
//! A vote may count towards wildcards too, such as "any prevote of this round". A voter counts once
//! for each: with the earliest of its votes to arrive. A vote and its wildcards share one form, and
//! the row of arrivals.
//!
//! The order statistic is looked for as late as possible, so that one search does for most receivers:
//! whatever is cast from now on arrives no sooner than one shortest latency from now, so that only
//! decisions up to then need to be known. A look counts, for many receivers at once, who decides by
//! then; only for these it searches when.

use quorate_core::{Ballot, Committee, NodeId, Span, Time, Weight};
use std::collections::BTreeMap;

/// A ballot with its votes. Voters and receivers are places in the committee.
#[expect(clippy::struct_excessive_bools, reason = "four independent facts")]
struct Record {
    /// `None` once it is retired: nobody is told any more.
    ballot: Option<Ballot>,
    threshold: Weight,
    /// Whether votes for other ballots count towards it, and none are for itself.
    wildcard: bool,
    /// Whether there are other choices than this one.
    contested: bool,
    explicit: bool,
    /// By voter: its place in `votes`, or [`NOT_CAST`].
    of: Vec<u32>,
    cast_weight: Weight,
    /// The votes in the order in which their voters first cast.
    votes: Vec<Vote>,
    /// Order-statistic form: when each arrives at the others.
    rows: Vec<Row>,
    /// When each receiver decides; [`Time::NEVER`] while that is not known for sure.
    due: Vec<Time>,
    /// Whether each receiver was told.
    reached: Vec<bool>,
    /// Explicit form: what has arrived.
    counted: Counted,
    /// Order-statistic form: who decides when, from `told` on in order.
    queue: Vec<(Time, NodeId, u32)>,
    told: usize,
    /// When the rows are looked at next. All decisions up to then are in the queue.
    look: Time,
    /// Whether somebody cast since the rows were looked at.
    news: bool,
    /// How far the last look went.
    step: Span,
    /// The one entry of the event queue that counts, the earliest of the queue and the look. Others
    /// were overtaken.
    queued: (Time, NodeId),
}

/// What counts for one voter.
#[derive(Clone, Copy)]
struct Vote {
    voter: u32,
    /// When it cast first, and so counted its own vote.
    at: Time,
    /// Whether the row belongs to this record and not to the ballot that shares it.
    owns: bool,
}

/// Where members may be at no distance, looks still have to get on.
const FIRST_STEP: Span = Span::from_us(1);
const NOT_CAST: u32 = u32::MAX;
const NOBODY: (Time, NodeId) = (Time::NEVER, NodeId::new(u32::MAX));

/// When votes arrive at the others: a row for each vote that was cast.
///
/// A row is a base and 32-bit distances from it, sixteen to a cache line, so that a look reads half
/// as much and compares four at once.
struct Rows {
    members: usize,
    /// Members, rounded up to whole blocks.
    width: usize,
    after: Vec<i32>,
    free: Vec<u32>,
    times: Vec<Time>,
    distances: Vec<i32>,
}

/// A place in [`Rows`].
#[derive(Clone, Copy)]
struct Row {
    begin: u32,
    base: u64,
}

/// The distance of a vote that never arrives, and of one to its voter. Signed, because that is what
/// plain x86-64 compares several of at once.
pub(crate) const LOST: i32 = i32::MAX;

/// Arrivals as distances from the base that is said; `None` if they lie too far apart.
pub(crate) fn distances(arrivals: &[Time], after: &mut Vec<i32>) -> Option<Time> {
    let known = || arrivals.iter().filter(|at| **at < Time::NEVER);
    let base = known().min().copied().unwrap_or(Time::ZERO);
    let last = known().max().copied().unwrap_or(Time::ZERO);
    after.clear();
    let distance = |at: &Time| at.since(base).ns().min(LOST as u64) as i32;
    after.extend(arrivals.iter().map(distance));
    (last.since(base).ns() < LOST as u64).then_some(base)
}

const fn arrival(base: Time, after: i32) -> Time {
    match after {
        LOST => Time::NEVER,
        after => Time::from_ns(base.ns() + after as u64),
    }
}

/// Receivers that are looked at together.
const LANES: usize = 16;

impl Rows {
    fn new(members: usize) -> Self {
        Self {
            members,
            width: members.next_multiple_of(LANES),
            after: Vec::new(),
            free: Vec::new(),
            times: Vec::with_capacity(members),
            distances: Vec::with_capacity(members),
        }
    }

    fn keep(&mut self, (base, after): (Time, &[i32])) -> Row {
        let begin = self.free.pop().unwrap_or_else(|| {
            self.after.resize(self.after.len() + self.width, LOST);
            (self.after.len() - self.width) as u32
        });
        self.after[begin as usize..][..self.members].copy_from_slice(after);
        let base = base.ns();
        Row { begin, base }
    }

    /// The same for the earlier of these and another row's arrivals; `None` if they lie too far
    /// apart.
    fn keep_earliest(&mut self, row: Row, (base, after): (Time, &[i32])) -> Option<Row> {
        let mut times = core::mem::take(&mut self.times);
        times.clear();
        times.extend((0..self.members).map(|i| self.at(row, i).min(arrival(base, after[i]))));
        let mut after = core::mem::take(&mut self.distances);
        let base = distances(&times, &mut after);
        let kept = base.map(|base| self.keep((base, &after)));
        (self.times, self.distances) = (times, after);
        kept
    }

    /// When votes arrive at a receiver, in nanoseconds; the largest number stands for never.
    #[inline]
    fn to(&self, receiver: usize, votes: &[Row]) -> impl Iterator<Item = u64> {
        let after = &self.after[receiver..];
        votes.iter().map(|row| match after[row.begin as usize] {
            LOST => u64::MAX,
            after => row.base.wrapping_add(after as u64),
        })
    }

    fn free(&mut self, row: Row) {
        self.free.push(row.begin);
    }

    fn at(&self, row: Row, receiver: usize) -> Time {
        let after = self.after[row.begin as usize + receiver];
        arrival(Time::from_ns(row.base), after)
    }

    /// A row's distances at a block of receivers.
    #[inline]
    fn block(&self, begin: u32, block: usize) -> &[i32; LANES] {
        let lanes = self.after[begin as usize + block * LANES..].first_chunk();
        lanes.expect("rows are whole blocks")
    }
}

/// The votes that have arrived, one by one.
#[derive(Default)]
struct Counted {
    /// A bit for each receiver and voter.
    seen: Vec<u64>,
    /// By receiver.
    weight: Vec<Weight>,
}

impl Counted {
    fn clear(&mut self, members: usize) {
        self.seen.clear();
        self.seen.resize(members * members.div_ceil(64), 0);
        self.weight.clear();
        self.weight.resize(members, 0);
    }

    /// Counts a vote, unless it was; the weight by now.
    fn add(&mut self, voter: usize, receiver: usize, weight: Weight) -> Option<Weight> {
        let words = self.weight.len().div_ceil(64);
        let word = &mut self.seen[receiver * words + voter / 64];
        let bit = 1 << (voter % 64);
        if *word & bit != 0 {
            return None;
        }
        *word |= bit;
        self.weight[receiver] += weight;
        Some(self.weight[receiver])
    }
}

/// The weights of the members, by place.
struct Weights {
    of: Vec<Weight>,
    /// Whether all are one.
    equal: bool,
}

/// Space for the search of order statistics.
struct Search {
    /// Rows that begin before some limit: where they are kept, their voters, and how far away it is.
    limits: Vec<(u32, u32, i32)>,
    times: Vec<u64>,
    weighted: Vec<(u64, Weight)>,
}

impl Search {
    /// When a receiver decides, if that is no later than at `until`. It is known to decide no sooner
    /// than at `from`.
    fn due(
        &mut self,
        record: &Record,
        rows: &Rows,
        weights: &Weights,
        receiver: usize,
        (from, until): (Time, Time),
    ) -> Option<Time> {
        // A vote that never arrives is at the largest time.
        let (from, until) = (from.ns(), until.ns().min(Time::NEVER.ns() - 1));
        let own = record.votes.get(record.of[receiver] as usize);
        let due = if weights.equal {
            let own = own.map(|own| own.at.ns());
            let others = rows.to(receiver, &record.rows);
            self.equal(others, own, record.threshold, (from, until))
        } else {
            let weight = |vote: &Vote| weights.of[vote.voter as usize];
            let own = own.map(|own| (own.at.ns(), weight(own)));
            let others = rows.to(receiver, &record.rows);
            let others = others
                .zip(record.votes.iter().map(weight))
                .filter(|v| v.0 <= until);
            self.weighted(others.chain(own), record.threshold)
        };
        due.map(Time::from_ns)
    }

    /// Prepares to ask who decides by `until`.
    fn limit(&mut self, record: &Record, until: Time) {
        self.limits.clear();
        let votes = record.rows.iter().zip(&record.votes);
        self.limits.extend(votes.filter_map(|(row, vote)| {
            let limit = until.ns().checked_sub(row.base)?.min(LOST as u64 - 1) + 1;
            Some((row.begin, vote.voter, limit as i32))
        }));
    }

    /// Who decides by then, of a block of receivers.
    fn decide_by(
        &self,
        record: &Record,
        rows: &Rows,
        weights: &Weights,
        block: usize,
    ) -> [bool; LANES] {
        let first = block * LANES;
        let cast = |place: usize| record.of.get(place).is_some_and(|&of| of != NOT_CAST);
        if weights.equal {
            let counts = self.counts(rows, block);
            let wanted = |lane| record.threshold as u32 - u32::from(cast(first + lane));
            core::array::from_fn(|lane| counts[lane] >= wanted(lane))
        } else {
            let sums = self.sums(rows, weights, block);
            let own = |place| if cast(place) { weights.of[place] } else { 0 };
            core::array::from_fn(|lane| sums[lane] + own(first + lane) >= record.threshold)
        }
    }

    /// How many votes of others have arrived by then.
    fn counts(&self, rows: &Rows, block: usize) -> [u32; LANES] {
        let mut counts = [0_u32; LANES];
        for &(begin, _, limit) in &self.limits {
            for (count, &after) in counts.iter_mut().zip(rows.block(begin, block)) {
                // Never more than voters; a check would keep four from being counted at once.
                *count = count.wrapping_add(u32::from(after < limit));
            }
        }
        counts
    }

    /// The weight of those votes.
    fn sums(&self, rows: &Rows, weights: &Weights, block: usize) -> [Weight; LANES] {
        let mut sums = [0; LANES];
        for &(begin, voter, limit) in &self.limits {
            let weight = weights.of[voter as usize];
            for (sum, &after) in sums.iter_mut().zip(rows.block(begin, block)) {
                *sum += if after < limit { weight } else { 0 };
            }
        }
        sums
    }

    /// The arrival that completes a threshold of equal votes.
    fn equal(
        &mut self,
        others: impl Iterator<Item = u64>,
        own: Option<u64>,
        threshold: Weight,
        (from, until): (u64, u64),
    ) -> Option<u64> {
        let times = self.times.as_mut_slice();
        let (mut before, mut len) = (0_usize, 0_usize);
        if let Some(own) = own {
            (times[0], before) = (own, usize::from(own < from));
            len = usize::from(from <= own && own <= until);
        }
        for at in others {
            // Without branches, which no predictor could guess; no sum exceeds the number of voters.
            times[len] = at;
            len = len.wrapping_add(usize::from(at.wrapping_sub(from) <= until - from));
            before = before.wrapping_add(usize::from(at < from));
        }
        let place = (threshold as usize).checked_sub(before + 1);
        let place = place.expect("it decides no sooner");
        let times = &mut times[..len];
        (place < len).then(|| *times.select_nth_unstable(place).1)
    }

    /// The arrival that completes a threshold of weighted votes.
    fn weighted(
        &mut self,
        votes: impl Iterator<Item = (u64, Weight)>,
        threshold: Weight,
    ) -> Option<u64> {
        self.weighted.clear();
        self.weighted.extend(votes);
        self.weighted.sort_unstable();
        let mut sum = 0;
        let complete = self.weighted.iter().find(|vote| {
            sum += vote.1;
            sum >= threshold
        });
        complete.map(|vote| vote.0)
    }
}

/// All live ballots.
pub(crate) struct Tally {
    committee: Committee,
    /// The members, and behind them the second selves of those that run twice: places of their own, but
    /// one voter.
    members: Vec<NodeId>,
    /// By place: that of the voter.
    voter: Vec<u32>,
    weights: Weights,
    /// No vote of one member arrives at another in less.
    shortest: Span,
    index: BTreeMap<Ballot, u32>,
    /// Ballots opened lately and their records, by [`place`].
    recent: [Option<(Ballot, u32)>; RECENT],
    records: Vec<Record>,
    free: Vec<u32>,
    rows: Rows,
    search: Search,
    /// Votes that contradict an earlier one of the same voter, round and phase.
    pub(crate) equivocations: u64,
    /// Ballots by form: explicit, order statistic.
    pub(crate) forms: [u64; 2],
}

const RECENT: usize = 64;

/// Where to look for a ballot first.
const fn place(ballot: &Ballot) -> usize {
    (ballot.height as usize * 8 + ballot.phase as usize) % RECENT
}

/// A ballot and up to two wildcards that its votes count towards, too.
pub(crate) type Slots = [Option<u32>; 3];

impl Tally {
    /// Of so many machines the last are these nodes' second selves.
    pub(crate) fn new(
        committee: Committee,
        (machines, seconds): (u32, &[NodeId]),
        shortest: Span,
    ) -> Self {
        let mut members: Vec<NodeId> = committee.members().collect();
        let mut voter: Vec<u32> = (0..committee.len()).collect();
        for (machine, &node) in (machines - seconds.len() as u32..).zip(seconds) {
            if let Some(place) = committee.position(node) {
                members.push(NodeId::new(machine));
                voter.push(place);
            }
        }
        let n = members.len();
        let weight = |&place: &u32| committee.weight(members[place as usize]);
        let weights = Weights {
            of: voter.iter().map(weight).collect(),
            equal: committee.members().all(|m| committee.weight(m) == 1),
        };
        Self {
            members,
            voter,
            weights,
            committee,
            shortest,
            index: BTreeMap::new(),
            recent: [None; RECENT],
            records: Vec::new(),
            free: Vec::new(),
            rows: Rows::new(n),
            search: Search {
                // The last vote that does not count is written, too.
                limits: Vec::with_capacity(n),
                times: vec![0; n + 2],
                weighted: Vec::with_capacity(n),
            },
            equivocations: 0,
            forms: [0; 2],
        }
    }

    pub(crate) fn committee(&self) -> &Committee {
        &self.committee
    }

    /// The members in order: a receiver's place is its place here.
    pub(crate) fn members(&self) -> &[NodeId] {
        &self.members
    }

    /// The place of a machine.
    fn position(&self, machine: NodeId) -> Option<u32> {
        let known = self.committee.position(machine);
        if known.is_some() || self.members.len() == self.committee.len() as usize {
            return known;
        }
        let behind = self.committee.len() as usize..self.members.len();
        let place = behind.into_iter().find(|&p| self.members[p] == machine);
        place.map(|p| p as u32)
    }

    /// Whether there are ballots of a height, or above.
    pub(crate) fn has_from(&self, height: u32) -> bool {
        let last = self.index.last_key_value();
        last.is_some_and(|(ballot, _)| ballot.height >= height)
    }

    pub(crate) fn reached(&self, node: NodeId, ballot: Ballot) -> bool {
        match (self.slot(ballot), self.position(node)) {
            (Some(slot), Some(place)) => self.records[slot as usize].reached[place as usize],
            _ => false,
        }
    }

    /// The record of a ballot, made at its first vote in the form asked for.
    pub(crate) fn open(&mut self, ballot: Ballot, threshold: Weight, explicit: bool) -> u32 {
        if let Some(slot) = self.slot(ballot) {
            return slot;
        }
        self.forms[usize::from(!explicit)] += 1;
        let n = self.members.len();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.records.push(Record::blank(n));
            self.records.len() as u32 - 1
        });
        self.records[slot as usize].reuse(ballot, threshold, explicit);
        self.index.insert(ballot, slot);
        self.recent[place(&ballot)] = Some((ballot, slot));
        if rivals(&self.index, &ballot).count() > 1 {
            for (_, &rival) in rivals(&self.index, &ballot) {
                self.records[rival as usize].contested = true;
            }
        }
        slot
    }

    /// The record of a ballot that is open.
    pub(crate) fn slot(&self, ballot: Ballot) -> Option<u32> {
        match self.recent[place(&ballot)] {
            Some((recent, slot)) if recent == ballot => Some(slot),
            _ => self.index.get(&ballot).copied(),
        }
    }

    /// Whether a record is still this ballot's.
    pub(crate) fn is_open(&self, slot: u32, ballot: Ballot) -> bool {
        self.records[slot as usize].ballot == Some(ballot)
    }

    /// The ballot of an open record.
    pub(crate) fn ballot(&self, slot: u32) -> Ballot {
        self.records[slot as usize].ballot.expect("it is open")
    }

    /// Whether a ballot's votes are events.
    pub(crate) fn is_explicit(&self, slot: u32) -> bool {
        self.records[slot as usize].explicit
    }

    /// The place of `voter` if it is a member and has not voted for this ballot before. Notes what
    /// contradicts an earlier vote.
    pub(crate) fn may_cast(&mut self, slot: u32, voter: NodeId) -> Option<u32> {
        let place = self.position(voter)?;
        let record = &self.records[slot as usize];
        let ballot = record.ballot.expect("it is open");
        assert!(!record.wildcard, "a vote for {ballot:?}");
        if record.has_cast(place) {
            return None;
        }
        if record.contested {
            let others = rivals(&self.index, &ballot);
            let lied = others.filter(|&(_, &rival)| self.has_cast(rival, place));
            self.equivocations += lied.count() as u64;
        }
        Some(place)
    }

    /// Whether a voter has voted, as any of its selves.
    fn has_cast(&self, slot: u32, place: u32) -> bool {
        let record = &self.records[slot as usize];
        let selves = (0..).zip(&self.voter);
        record.has_cast(place)
            || self.voter.len() > self.committee.len() as usize
                && selves
                    .filter(|(_, voter)| **voter == self.voter[place as usize])
                    .any(|(p, _)| record.has_cast(p))
    }

    /// Explicit form: the member at place `voter` votes for a ballot, and so for its wildcards.
    pub(crate) fn cast_explicit(&mut self, slots: &Slots, voter: u32, now: Time) {
        for (slot, wildcard) in slots.iter().flatten().zip([false, true, true]) {
            let vote = Vote {
                voter,
                at: now,
                owns: false,
            };
            self.note(*slot, wildcard, vote, None);
        }
    }

    /// Order-statistic form: the same, with the arrivals by receiver as distances from a base;
    /// [`LOST`] where the vote is lost, and at its voter. `false`, and nothing else, if those that
    /// count lie so far apart that only the explicit form can tell.
    pub(crate) fn cast(
        &mut self,
        slots: &Slots,
        voter: u32,
        now: Time,
        arrivals: (Time, &[i32]),
    ) -> bool {
        let soonest = now.saturating_add(self.shortest);
        let mut sound = arrivals.1.iter().map(|&after| arrival(arrivals.0, after));
        debug_assert!(
            sound.all(|at| at >= soonest),
            "sooner than the shortest latency"
        );
        let row = self.rows.keep(arrivals);
        let mut kept = [Some(row), None, None];
        let mut fits = true;
        for (kept, slot) in kept[1..].iter_mut().zip(&slots[1..]) {
            let before = slot.and_then(|slot| self.records[slot as usize].row(voter));
            if let Some(before) = before.filter(|_| fits) {
                *kept = self.rows.keep_earliest(before, arrivals);
                fits = kept.is_some();
            }
        }
        if !fits {
            kept.into_iter()
                .flatten()
                .for_each(|row| self.rows.free(row));
            return false;
        }
        for (slot, (wildcard, own)) in slots.iter().zip([false, true, true].into_iter().zip(kept)) {
            let Some(slot) = *slot else { continue };
            let vote = Vote {
                voter,
                at: now,
                owns: own.is_some(),
            };
            self.note(slot, wildcard, vote, Some(own.unwrap_or(row)));
        }
        true
    }

    /// Notes a vote. Only for a wildcard there may be one of the same voter, which contradicts
    /// nothing.
    fn note(&mut self, slot: u32, wildcard: bool, vote: Vote, row: Option<Row>) {
        let record = &mut self.records[slot as usize];
        record.wildcard = wildcard;
        let of = record.of[vote.voter as usize];
        if of == NOT_CAST {
            record.of[vote.voter as usize] = record.votes.len() as u32;
            record.cast_weight += self.weights.of[vote.voter as usize];
            record.votes.push(vote);
            record.rows.extend(row);
        } else if let Some(row) = row {
            let first = &mut record.votes[of as usize];
            let before = core::mem::replace(&mut record.rows[of as usize], row);
            if core::mem::replace(&mut first.owns, vote.owns) {
                self.rows.free(before);
            }
        }
    }

    /// Order-statistic form, after the cast of `voter` (a place) is noted: whom to look at when, if
    /// that is earlier than what was known.
    pub(crate) fn decide(&mut self, slot: u32, voter: u32, now: Time) -> Option<(Time, NodeId)> {
        let record = &mut self.records[slot as usize];
        if record.cast_weight < record.threshold {
            return None;
        }
        let soonest = now.saturating_add(self.shortest);
        if soonest < record.look {
            record.look = soonest;
            record.withdraw_after(soonest);
        }
        record.news = true;
        // The own vote is there at once.
        self.look_at_voter(slot, voter as usize);
        let record = &mut self.records[slot as usize];
        let next = record.next();
        let earlier = next < record.queued;
        if earlier {
            record.queued = next;
        }
        earlier.then_some(next)
    }

    /// Works out anew when a voter decides that has just cast.
    fn look_at_voter(&mut self, slot: u32, voter: usize) {
        let record = &mut self.records[slot as usize];
        // Who votes again for a wildcard may have been told before.
        if record.reached[voter] {
            return;
        }
        let node = self.members[voter];
        if record.due[voter] < Time::NEVER {
            record.queue.retain(|entry| entry.1 != node);
            record.due[voter] = Time::NEVER;
        }
        let span = (Time::ZERO, record.look);
        let due = self
            .search
            .due(record, &self.rows, &self.weights, voter, span);
        if let Some(due) = due {
            record.due[voter] = due;
            let entry = (due, node, voter as u32);
            // Behind those who were told, though one of them may be told at the same instant.
            let open = &record.queue[record.told..];
            let place = record.told + open.partition_point(|known| *known < entry);
            record.queue.insert(place, entry);
        }
    }

    /// Explicit form: a vote is counted, unless its voter was; whether it decides.
    pub(crate) fn count(
        &mut self,
        slot: u32,
        (voter, receiver): (NodeId, NodeId),
        now: Time,
    ) -> bool {
        let position = |node| self.position(node).map(|p| p as usize);
        let (Some(place), Some(from)) = (position(receiver), position(voter)) else {
            return false;
        };
        let record = &mut self.records[slot as usize];
        // Its record may have been opened anew since.
        if record.of[from] == NOT_CAST {
            return false;
        }
        let voter = self.voter[from] as usize;
        let Some(weight) = record.counted.add(voter, place, self.weights.of[from]) else {
            return false;
        };
        let decides = weight >= record.threshold && record.due[place] == Time::NEVER;
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
        if record.ballot != Some(ballot) {
            return (false, None);
        }
        if record.explicit {
            return (self.tell_explicit(slot, receiver, now), None);
        }
        if record.queued != (now, receiver) {
            return (false, None);
        }
        if record.look <= now {
            self.look(slot, now);
        }
        let record = &mut self.records[slot as usize];
        let first = record.queue.get(record.told).copied();
        debug_assert!(
            first.is_none_or(|first| first.0 >= now),
            "nobody is told late"
        );
        let decides = first.filter(|first| (first.0, first.1) == (now, receiver));
        if let Some((_, _, place)) = decides {
            record.reached[place as usize] = true;
            record.told += 1;
        }
        record.queued = record.next();
        let next = (record.queued != NOBODY).then_some(record.queued);
        (decides.is_some(), next)
    }

    fn tell_explicit(&mut self, slot: u32, receiver: NodeId, now: Time) -> bool {
        let place = self.position(receiver).map(|p| p as usize);
        let record = &mut self.records[slot as usize];
        let decides = place.filter(|&p| record.due[p] == now && !record.reached[p]);
        if let Some(place) = decides {
            record.reached[place] = true;
        }
        decides.is_some()
    }

    /// Queues all that decide up to one shortest latency from now: no later vote can change when.
    /// While nobody casts it goes further each time, and to the end when everybody has cast; a later
    /// vote withdraws those whom it can still change.
    fn look(&mut self, slot: u32, now: Time) {
        let n = self.members.len();
        let record = &mut self.records[slot as usize];
        record.step = if record.news {
            self.shortest
        } else {
            Span::from_ns(record.step.ns().saturating_mul(2)).max(FIRST_STEP)
        };
        let all = record.votes.len() == n || record.step.ns() > LOST as u64;
        let until = if all {
            Time::NEVER
        } else {
            now.saturating_add(record.step)
        };
        let span = (record.look, until);
        if !all {
            self.search.limit(record, until);
        }
        for block in 0..n.div_ceil(LANES) {
            let places = block * LANES..n.min((block + 1) * LANES);
            if !record.due[places.clone()].contains(&Time::NEVER) {
                continue;
            }
            let decide = if all {
                [true; LANES]
            } else {
                self.search
                    .decide_by(record, &self.rows, &self.weights, block)
            };
            for (place, decides) in places.zip(decide) {
                if !decides || record.due[place] < Time::NEVER {
                    continue;
                }
                if let Some(due) = self
                    .search
                    .due(record, &self.rows, &self.weights, place, span)
                {
                    record.due[place] = due;
                    record.queue.push((due, self.members[place], place as u32));
                }
            }
        }
        record.queue[record.told..].sort_unstable();
        record.look = until;
        record.news = false;
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
            record.turn_explicit();
            for (place, &receiver) in self.members.iter().enumerate() {
                for (vote, &row) in record.votes.iter().zip(&record.rows) {
                    let voter = vote.voter as usize;
                    let own = voter == place;
                    let at = if own {
                        vote.at
                    } else {
                        self.rows.at(row, place)
                    };
                    if at < now {
                        record.counted.add(voter, place, self.weights.of[voter]);
                    } else if at != Time::NEVER && !record.wildcard {
                        in_flight(slot, ballot, self.members[voter], receiver, at);
                    }
                }
            }
        }
        for &slot in self.index.values() {
            self.records[slot as usize].free_rows(&mut self.rows);
        }
    }

    /// Forgets ballots below a height.
    pub(crate) fn retire(&mut self, below: u32) {
        while let Some(entry) = self.index.first_entry() {
            let ballot = *entry.key();
            if ballot.height >= below {
                break;
            }
            let slot = entry.remove();
            let recent = &mut self.recent[place(&ballot)];
            if recent.is_some_and(|(other, _)| other == ballot) {
                *recent = None;
            }
            let record = &mut self.records[slot as usize];
            record.ballot = None;
            record.free_rows(&mut self.rows);
            self.free.push(slot);
        }
    }
}

/// All choices of a question, a ballot's own among them.
fn rivals<'a>(
    index: &'a BTreeMap<Ballot, u32>,
    ballot: &Ballot,
) -> impl Iterator<Item = (&'a Ballot, &'a u32)> {
    let question = (ballot.height, ballot.round, ballot.phase);
    let first = Ballot {
        choice: None,
        ..*ballot
    };
    let same = move |b: &Ballot| (b.height, b.round, b.phase) == question;
    index.range(first..).take_while(move |(b, _)| same(b))
}

impl Record {
    fn blank(n: usize) -> Self {
        Self {
            ballot: None,
            threshold: 0,
            wildcard: false,
            contested: false,
            explicit: false,
            of: vec![NOT_CAST; n],
            cast_weight: 0,
            votes: Vec::with_capacity(n),
            rows: Vec::with_capacity(n),
            due: vec![Time::NEVER; n],
            reached: vec![false; n],
            counted: Counted::default(),
            queue: Vec::with_capacity(n),
            told: 0,
            look: Time::NEVER,
            news: false,
            step: Span::ZERO,
            queued: NOBODY,
        }
    }

    fn reuse(&mut self, ballot: Ballot, threshold: Weight, explicit: bool) {
        (self.ballot, self.threshold, self.explicit) = (Some(ballot), threshold, explicit);
        (self.wildcard, self.contested) = (false, false);
        self.cast_weight = 0;
        self.votes.clear();
        self.of.fill(NOT_CAST);
        self.due.fill(Time::NEVER);
        self.reached.fill(false);
        self.queue.clear();
        self.told = 0;
        (self.look, self.news, self.queued) = (Time::NEVER, false, NOBODY);
        if explicit {
            self.counted.clear(self.of.len());
        }
    }

    fn turn_explicit(&mut self) {
        self.explicit = true;
        self.counted.clear(self.of.len());
        self.queue.clear();
        self.told = 0;
        for (due, reached) in self.due.iter_mut().zip(&self.reached) {
            if !reached {
                *due = Time::NEVER;
            }
        }
    }

    fn free_rows(&mut self, rows: &mut Rows) {
        for (row, vote) in self.rows.drain(..).zip(&self.votes) {
            if vote.owns {
                rows.free(row);
            }
        }
    }

    fn has_cast(&self, place: u32) -> bool {
        self.of[place as usize] != NOT_CAST
    }

    /// The row of a voter that has cast.
    fn row(&self, voter: u32) -> Option<Row> {
        self.rows.get(self.of[voter as usize] as usize).copied()
    }

    /// Whom to look at next, and when.
    fn next(&self) -> (Time, NodeId) {
        let look = match self.look {
            Time::NEVER => NOBODY,
            at => (at, NodeId::new(0)),
        };
        let first = self.queue.get(self.told);
        first.map_or(look, |&(due, node, _)| look.min((due, node)))
    }

    /// Takes back who decides later than at `until`.
    fn withdraw_after(&mut self, until: Time) {
        let keep = self.queue.partition_point(|entry| entry.0 <= until);
        for (_, _, place) in self.queue.drain(keep.max(self.told)..) {
            self.due[place as usize] = Time::NEVER;
        }
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
    /// Further away than a row can say.
    const FAR: u64 = 1 << 32;

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
                tally: Tally::new(
                    self.committee.clone(),
                    (self.committee.len(), &[]),
                    Span::from_ns(self.shortest),
                ),
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
            let (slot, any) = (cast.ballot as u32, ANY as u32);
            if self.tally.may_cast(slot, NodeId::new(voter)).is_none() {
                return;
            }
            let slots = [Some(slot), Some(any), None];
            let n = self.vote.committee.len() as usize;
            let mut arrivals: Vec<Time> = (0..n).map(|r| self.vote.arrival(cast, r)).collect();
            arrivals[cast.voter] = Time::NEVER;
            let mut after = Vec::new();
            let base = distances(&arrivals, &mut after);
            let order = !self.tally.is_explicit(slot);
            let fits = order
                && base.is_some_and(|base| self.tally.cast(&slots, voter, now, (base, &after)));
            if order && !fits {
                self.make_explicit(cast.at);
            }
            if !self.tally.is_explicit(slot) {
                for slot in [slot, any] {
                    let next = self.tally.decide(slot, voter, now);
                    self.later(slot, now, next);
                }
                return;
            }
            self.tally.cast_explicit(&slots, voter, now);
            arrivals[cast.voter] = now;
            for (receiver, &at) in (0..).zip(&arrivals).filter(|(_, at)| **at < Time::NEVER) {
                self.queue.insert((at, 0, receiver, voter, slot));
            }
        }
    }

    fn casts(members: usize) -> impl Strategy<Value = Vec<Cast>> {
        let delay = prop_oneof![40 => 0_u64..50, 4 => Just(LOST), 1 => Just(FAR)];
        let delays = prop::collection::vec(delay, members);
        let cast = (0..members, 0_u64..15, 0..ANY, delays);
        prop::collection::vec(cast, 1..20 + members).prop_map(|casts| {
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
            (weights, casts) in prop_oneof![4 => 1..8_usize, 1 => 14..40_usize]
                .prop_flat_map(|n| prop::collection::vec(0_u64..4, n))
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
        let mut tally = Tally::new(Committee::equal(4), (4, &[]), Span::ZERO);
        let [nil, block, any] = ballots();
        let (a, b) = (tally.open(nil, 3, true), tally.open(block, 3, true));
        let any = tally.open(any, 3, true);
        let mut cast = |slot| {
            let place = tally.may_cast(slot, NodeId::new(1));
            if let Some(place) = place {
                tally.cast_explicit(&[Some(slot), Some(any), None], place, Time::ZERO);
            }
            (place.is_some(), tally.equivocations)
        };
        assert_eq!(cast(a), (true, 0));
        assert_eq!(cast(a), (false, 0));
        assert_eq!(cast(b), (true, 1));
    }
}
