//! Casting and counting votes: the tally's way to the wire.

use crate::setup::VoteChecks;
use crate::sim::{Job, Rank, Simulation, context};
use crate::wire::{Packet, Payload};
use quorate_core::{Ballot, Engine, NodeId, Time};

impl<E: Engine> Simulation<'_, E> {
    pub(crate) fn vote(&mut self, node: NodeId, ballot: Ballot) {
        let engine = &self.nodes[node.index()].engine;
        let wire = engine.vote_wire(ballot.phase, &context!(self, node));
        let slots = self.open_ballots(ballot, wire.bytes);
        let slot = slots[0].expect("the ballot itself");
        if !self.tally.cast(slot, node) {
            return;
        }
        for also in slots[1..].iter().flatten() {
            self.tally.cast_also(*also, node);
        }
        let own_core = self.setup.vote_checks == VoteChecks::OwnCore;
        let ready = match self.setup.vote_checks {
            VoteChecks::OwnCore => self.now + self.cpus.takes(wire.sign),
            VoteChecks::Shared => self.cpus.serve(node, self.now, wire.sign),
        };
        let check = self.cpus.takes(wire.check);
        let packet = Packet {
            from: node,
            payload: Payload::Vote { slot, ballot },
            bytes: wire.bytes,
            check: wire.check,
        };
        let envelope = self.seal(packet, E::KINDS.len() + usize::from(ballot.phase), ready);
        let list = self.open_list();
        let n = self.tally.committee().len();
        let me = self
            .tally
            .committee()
            .position(node)
            .expect("only members vote");
        let explicit = self.tally.is_explicit(slot);
        for place in (me + 1..n).chain(0..me) {
            let to = self.tally.member(place);
            let at = self.transmit(&envelope, to);
            if own_core && at.is_some() {
                self.vote_busy[to.index()] += check;
            }
            if explicit {
                self.lists[list as usize].extend(at.map(|at| (at, to)));
            } else if let Some(at) = at {
                for &slot in slots.iter().flatten() {
                    self.tally.arrives(slot, place, at + check);
                }
            }
        }
        self.broadcast(packet, list);
        if explicit {
            return self.count_vote(node, node, slot, ballot);
        }
        for &slot in slots.iter().flatten() {
            self.tally.arrives(slot, me, self.now);
            let ballot = self.tally.ballot(slot);
            if let Some((at, to)) = self.tally.decide(slot, me, self.now) {
                self.push(at, Rank::Threshold, to, Job::Threshold { slot, ballot });
            }
        }
    }

    /// The records of a ballot and of the wildcards that a vote for it counts towards, all in one
    /// form, which suits a vote of so many bytes.
    pub(crate) fn open_ballots(&mut self, ballot: Ballot, bytes: u64) -> [Option<u32>; 3] {
        // Where votes queue, one by one: between cast and count nothing may depend on others.
        let explicit = !self.setup.forms.tally
            || self.setup.vote_checks == VoteChecks::Shared
            || self.net.queues(bytes);
        let [a, b] = E::also_counts(ballot);
        let slots = [Some(ballot), a, b].map(|counted| {
            let counted = counted?;
            assert_eq!(
                counted.height, ballot.height,
                "a wildcard of another height"
            );
            let threshold = E::threshold(counted.phase, self.tally.committee());
            Some(self.tally.open(counted, threshold, explicit))
        });
        let mut forms = slots.iter().flatten().map(|&s| self.tally.is_explicit(s));
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
            VoteChecks::OwnCore => self.now + self.cpus.takes(packet.check),
            VoteChecks::Shared => self.cpus.serve(node, self.now, packet.check),
        };
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
        if self.tally.slot(ballot) != Some(slot) {
            return;
        }
        let [a, b] = E::also_counts(ballot);
        for ballot in [Some(ballot), a, b].into_iter().flatten() {
            let slot = self.tally.slot(ballot).expect("opened with the vote");
            if self.tally.count(slot, (from, node), self.now) {
                self.push(
                    self.now,
                    Rank::Threshold,
                    node,
                    Job::Threshold { slot, ballot },
                );
            }
        }
    }
    pub(crate) fn make_votes_explicit(&mut self) {
        let mut in_flight = Vec::new();
        self.tally
            .make_explicit(self.now, |slot, ballot, from, to, at| {
                in_flight.push((slot, ballot, from, to, at));
            });
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
        let arrives = at.saturating_sub(self.cpus.takes(wire.check));
        if arrives >= self.now {
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
