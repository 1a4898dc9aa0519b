//! Casting and counting votes: the tally's way to the wire.

use crate::eras::Era;
use crate::setup::VoteChecks;
use crate::sim::{Job, Rank, Simulation, context};
use crate::tally::{LOST, Slots, distances};
use crate::wire::{Envelope, Packet, Payload};
use quorate_core::{Ballot, Engine, NodeId, Span, Time};

/// Where a vote that is being cast arrives, by place in the committee.
#[derive(Default)]
pub(crate) struct Arrivals {
    times: Vec<Time>,
    /// As distances from a base.
    after: Vec<i32>,
}

/// Time that vote checks took at each node on a core of their own.
pub(crate) struct VoteBusy {
    at: Vec<Span>,
    /// Checks at all these members, and those of them that a member did not make, because the vote
    /// was its own.
    members: Vec<NodeId>,
    /// The first height of their era.
    from: u32,
    everywhere: Span,
    not_at: Vec<Span>,
}

impl VoteBusy {
    pub(crate) fn new(nodes: u32) -> Self {
        Self {
            at: vec![Span::ZERO; nodes as usize],
            members: Vec::new(),
            from: u32::MAX,
            everywhere: Span::ZERO,
            not_at: vec![Span::ZERO; nodes as usize],
        }
    }

    fn at(&mut self, node: NodeId, check: Span) {
        self.at[node.index()] += check;
    }

    /// A check at every member of an era but the voter.
    fn by_others(&mut self, voter: NodeId, era: &Era, check: Span) {
        if self.from != era.from() {
            self.share_out();
            self.from = era.from();
            self.members.extend(era.tally.members());
        }
        self.everywhere += check;
        self.not_at[voter.index()] += check;
    }

    /// Charges each member with its checks.
    fn share_out(&mut self) {
        for member in self.members.drain(..) {
            let member = member.index();
            self.at[member] += self.everywhere.saturating_sub(self.not_at[member]);
        }
        self.everywhere = Span::ZERO;
        self.not_at.fill(Span::ZERO);
    }

    /// By node.
    pub(crate) fn total(mut self) -> Vec<Span> {
        self.share_out();
        self.at
    }
}

impl<E: Engine> Simulation<'_, E> {
    pub(crate) fn vote(&mut self, node: NodeId, ballot: Ballot) {
        let Some(era) = self.eras.place(ballot.height) else {
            return; // Long final.
        };
        let engine = &self.nodes[node.index()].engine;
        let wire = engine.vote_wire(ballot.phase, &context!(self, node));
        let slots = self.open_ballots(era, ballot, wire.bytes);
        let slot = slots[0].expect("the ballot itself");
        let Some(me) = self.eras.tally(era).may_cast(slot, node) else {
            return;
        };
        let packet = Packet {
            from: node,
            payload: Payload::Vote { slot, ballot },
            bytes: wire.bytes,
            check: wire.check,
        };
        let ready = match self.setup.vote_checks {
            VoteChecks::OwnCore => self.cpus.done(node, self.now, self.cpus.takes(wire.sign)),
            VoteChecks::Shared => self.cpus.serve(node, self.now, wire.sign),
        };
        let envelope = self.seal(packet, E::KINDS.len() + usize::from(ballot.phase), ready);
        if self.eras.tally(era).is_explicit(slot) {
            self.send_explicit(&envelope, era, me);
            self.eras.tally(era).cast_explicit(&slots, me, self.now);
            return self.count_vote(node, node, slot, ballot);
        }
        if !self.send_as_row(&envelope, &slots, era, me) {
            // Too far apart for the order statistic.
            self.make_votes_explicit();
            self.eras.tally(era).cast_explicit(&slots, me, self.now);
            for place in 0..self.arrivals.times.len() {
                let to = self.eras.at(era).tally.members()[place];
                let at = self.arrivals.times[place];
                if at < Time::NEVER {
                    self.post_vote_in_flight(slot, ballot, node, to, at);
                }
            }
            return self.count_vote(node, node, slot, ballot);
        }
        for &slot in slots.iter().flatten() {
            let tally = self.eras.tally(era);
            if let Some((at, to)) = tally.decide(slot, me, self.now) {
                let ballot = tally.ballot(slot);
                self.push(at, Rank::Threshold, to, Job::Threshold { slot, ballot });
            }
        }
    }

    /// Order-statistic form: sends a vote and notes when it is counted where. `false` if that cannot
    /// be noted; it is in the times of `arrivals` then.
    fn send_as_row(&mut self, envelope: &Envelope<E>, slots: &Slots, era: usize, me: u32) -> bool {
        let check = self.cpus.takes(envelope.packet.check);
        let Some(first) = self.send_alike(envelope, era, check) else {
            self.send_one_by_one(envelope, era, me, true);
            let base = distances(&self.arrivals.times, &mut self.arrivals.after);
            let (tally, after) = (self.eras.tally(era), &self.arrivals.after);
            return base.is_some_and(|base| tally.cast(slots, me, self.now, (base, after)));
        };
        let audience = &self.eras.at(era).audience;
        let (base, sender) = (first + check, (audience, me as usize));
        let after = &mut self.arrivals.after;
        after.resize(audience.len(), LOST);
        let mut furthest = 0;
        self.net
            .distances(&envelope.outgoing, sender, after, |distance| {
                furthest = distance.ns().max(furthest);
                distance.ns() as i32
            });
        after[sender.1] = LOST;
        let arrivals = (base, after.as_slice());
        let fits =
            furthest < LOST as u64 && self.eras.tally(era).cast(slots, me, self.now, arrivals);
        if !fits {
            self.times_after(envelope, base, era, me);
        }
        fits
    }

    /// Explicit form: sends a vote. Where nothing can come in between, its check is over when it
    /// arrives, which spares an event.
    fn send_explicit(&mut self, envelope: &Envelope<E>, era: usize, me: u32) {
        let packet = envelope.packet;
        let own_core = self.setup.vote_checks == VoteChecks::OwnCore;
        let checked = own_core && self.faults.is_empty() && !self.net.queues(packet.bytes);
        let check = self.cpus.takes(packet.check);
        if let Some(first) = self.send_alike(envelope, era, check) {
            let base = if checked { first + check } else { first };
            self.times_after(envelope, base, era, me);
        } else {
            self.send_one_by_one(envelope, era, me, checked);
        }
        let list = self.open_list();
        let members = self.eras.at(era).tally.members();
        let arrivals = self.arrivals.times.iter().zip(members);
        let arrivals = arrivals.filter(|(at, _)| **at < Time::NEVER);
        self.lists[list as usize].extend(arrivals.map(|(&at, &to)| (at, to)));
        let check = if checked { Span::ZERO } else { packet.check };
        self.broadcast(Packet { check, ..packet }, list);
    }

    /// Puts a vote on the wire to everybody else at once, if nothing tells its copies apart but
    /// latency. Says when the first would arrive without.
    fn send_alike(&mut self, envelope: &Envelope<E>, era: usize, check: Span) -> Option<Time> {
        if !self.is_plain {
            return None;
        }
        let era = self.eras.at(era);
        let first = self.net.broadcast(&envelope.outgoing, &era.audience)?;
        let copies = era.audience.len() as u64 - 1;
        self.traffic[envelope.kind].messages += copies;
        self.traffic[envelope.kind].bytes += copies * envelope.packet.bytes;
        if self.setup.vote_checks == VoteChecks::OwnCore {
            self.vote_busy.by_others(envelope.packet.from, era, check);
        }
        Some(first)
    }

    /// When the copies of a vote arrive that would do so at `base` without latency and waiting.
    fn times_after(&mut self, envelope: &Envelope<E>, base: Time, era: usize, me: u32) {
        let audience = &self.eras.at(era).audience;
        let sender = (audience, me as usize);
        let times = &mut self.arrivals.times;
        times.resize(audience.len(), Time::NEVER);
        self.net
            .distances(&envelope.outgoing, sender, times, |distance| {
                base + distance
            });
        times[sender.1] = Time::NEVER;
    }

    /// Puts a vote on the wire to everybody else: when it arrives or, `checked`, is counted.
    fn send_one_by_one(&mut self, envelope: &Envelope<E>, era: usize, me: u32, checked: bool) {
        let check = self.cpus.takes(envelope.packet.check);
        let n = self.eras.at(era).tally.members().len() as u32;
        self.arrivals.times.clear();
        self.arrivals.times.resize(n as usize, Time::NEVER);
        for place in (me + 1..n).chain(0..me) {
            let to = self.eras.at(era).tally.members()[place as usize];
            let Some(at) = self.transmit(envelope, to) else {
                continue;
            };
            let counted = self.cpus.done(to, at, check);
            if self.setup.vote_checks == VoteChecks::OwnCore {
                self.vote_busy.at(to, counted.since(at));
            }
            self.arrivals.times[place as usize] = if checked { counted } else { at };
        }
    }

    /// The records of a ballot and of the wildcards that a vote for it counts towards, all in one
    /// form, which suits a vote of so many bytes.
    fn open_ballots(&mut self, era: usize, ballot: Ballot, bytes: u64) -> Slots {
        // Where votes queue, one by one: between cast and count nothing may depend on others.
        let explicit = !self.setup.forms.tally
            || !self.liars.is_empty()
            || self.setup.vote_checks == VoteChecks::Shared
            || self.net.queues(bytes);
        let [a, b] = E::also_counts(ballot);
        let tally = self.eras.tally(era);
        let slots = [Some(ballot), a, b].map(|counted| {
            let counted = counted?;
            assert_eq!(
                counted.height, ballot.height,
                "a wildcard of another height"
            );
            let threshold = E::threshold(counted.phase, tally.committee());
            Some(tally.open(counted, threshold, explicit))
        });
        let mut forms = slots.iter().flatten().map(|&s| tally.is_explicit(s));
        let first = forms.next().expect("the ballot itself");
        // A fault has turned one of them, or this vote queues and those before it did not.
        if (explicit && !first) || forms.any(|form| form != first) {
            self.make_votes_explicit();
        }
        slots
    }

    /// Explicit form: a vote is at its receiver.
    pub(crate) fn check_vote(
        &mut self,
        node: NodeId,
        packet: Packet<E>,
        slot: u32,
        ballot: Ballot,
    ) {
        let done = match self.setup.vote_checks {
            VoteChecks::OwnCore => {
                let takes = self.cpus.takes(packet.check);
                self.cpus.done(node, self.now, takes)
            }
            VoteChecks::Shared => self.cpus.serve(node, self.now, packet.check),
        };
        if done == self.now {
            return self.count_vote(node, packet.from, slot, ballot);
        }
        let epoch = self.nodes[node.index()].epoch;
        self.push(
            done,
            Rank::Served,
            node,
            Job::Counted {
                epoch,
                from: packet.from,
                slot,
                ballot,
            },
        );
    }

    pub(crate) fn count_vote(&mut self, node: NodeId, from: NodeId, slot: u32, ballot: Ballot) {
        // Its record may have been retired and reused meanwhile, and with it its wildcards.
        let Some(era) = self.eras.place(ballot.height) else {
            return;
        };
        if !self.eras.at(era).tally.is_open(slot, ballot) {
            return;
        }
        self.count_towards(era, (from, node), slot, ballot);
        for also in E::also_counts(ballot).into_iter().flatten() {
            let slot = self.eras.at(era).tally.slot(also);
            let slot = slot.expect("opened with the vote");
            self.count_towards(era, (from, node), slot, also);
        }
    }

    fn count_towards(&mut self, era: usize, vote: (NodeId, NodeId), slot: u32, ballot: Ballot) {
        let node = vote.1;
        if self.eras.tally(era).count(slot, vote, self.now) {
            let job = Job::Threshold { slot, ballot };
            self.push(self.now, Rank::Threshold, node, job);
        }
    }

    pub(crate) fn make_votes_explicit(&mut self) {
        let mut in_flight = Vec::new();
        for tally in self.eras.tallies() {
            tally.make_explicit(self.now, |slot, ballot, from, to, at| {
                in_flight.push((slot, ballot, from, to, at));
            });
        }
        for (slot, ballot, from, to, at) in in_flight {
            self.post_vote_in_flight(slot, ballot, from, to, at);
        }
    }

    /// A vote whose check would end at `at`, as the explicit form would have it by now: still on the
    /// wire, or being checked.
    pub(crate) fn post_vote_in_flight(
        &mut self,
        slot: u32,
        ballot: Ballot,
        from: NodeId,
        to: NodeId,
        at: Time,
    ) {
        let engine = &self.nodes[from.index()].engine;
        let wire = engine.vote_wire(ballot.phase, &context!(self, from));
        let takes = self.cpus.takes(wire.check);
        if at > self.cpus.done(to, self.now, takes) {
            let arrives = self.cpus.started(to, at, takes);
            let payload = Payload::Vote { slot, ballot };
            let packet = Packet {
                from,
                payload,
                bytes: wire.bytes,
                check: wire.check,
            };
            self.push(arrives, Rank::Arrived, to, Job::Packet(packet));
        } else {
            let epoch = self.nodes[to.index()].epoch;
            self.push(
                at,
                Rank::Served,
                to,
                Job::Counted {
                    epoch,
                    from,
                    slot,
                    ballot,
                },
            );
        }
    }
}
