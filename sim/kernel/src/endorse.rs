//! Execution before order, as in Fabric: endorsers execute a transaction and sign what it read and
//! wrote; what is ordered then writes only if what it read is unchanged.
//!
//! source: Androulaki et al. 2018, "Hyperledger Fabric", §3; Fabric documentation, "Read-Write set
//! semantics" and "Fabric Gateway".
//!
//! - A client asks all endorsers through its site's node. Each checks the client's signature, executes
//!   on the state of its head and signs. As soon as `needed` of them agree in what was read, the node
//!   checks these signatures, signs, and hands the transaction in.
//! - Of what endorsers agree to refuse nothing is ordered: the client knows at once.
//! - In a block a transaction that reads what it read then writes what it wrote then; one that does not
//!   is rejected as `mvcc_invalid`. Validating takes the check of the endorsers' signatures, not what
//!   the transaction declares.
//!
//! Deviations:
//! - Reads are compared by value; Fabric compares versions, so that a record that was changed and
//!   changed back conflicts there and not here. Rules see what they wrote themselves, as in any order.
//! - All endorsers are asked at once; Fabric's gateway asks as few as the policy needs, and others when
//!   these fail.
//! - A client does not give up. What a fault has swallowed is asked for again whenever a fault begins or
//!   ends, as in the gossip of transactions; if the endorsers disagree, after [`AGAIN`].
//! - Whoever builds a block validates it, as all peers do; Fabric's orderers do not.
//! - Liars endorse honestly, but for the silent, who do not endorse.

use crate::book::Simulated;
use crate::sim::Simulation;
use crate::sim::{Job, Rank};
use crate::wire::{Packet, Payload};
use quorate_core::{Arrival, Engine, EntityId, NodeId, Outcome, Span, Time, Verdict, hash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who endorses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endorse {
    /// How many must agree.
    pub needed: u32,
    /// Of so many nodes, the first ones.
    pub peers: u32,
    /// Bytes of one endorsement, in the answer and in the transaction.
    pub bytes: u16,
}

/// What endorsing did, besides its latencies and the rejections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Endorsed {
    /// The place of `mvcc_invalid` among a class's rejections.
    pub mvcc_invalid: usize,
    /// Transactions that were proposed.
    pub proposed: u64,
    /// Of these, how many endorsers refused by the ledger's rules, so that they were not ordered.
    pub refused: u64,
    /// How often all had answered, and too few agreed.
    pub disagreed: u64,
}

/// Names of the messages.
pub const ENDORSE_KINDS: [&str; 2] = ["endorse.proposal", "endorse.answer"];

/// How long a client waits whose endorsers disagree. assumption: about what a block needs to reach them
/// all.
const AGAIN: Span = Span::from_ms(100);

/// A proposal: its site, and its number there.
type Id = (u32, u32);

/// How far it is with an endorser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    /// Not asked, or a fault swallowed question or answer.
    Open,
    Asked,
    /// Executed; the answer is on its way.
    Sent(Simulated),
    Here(Simulated),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waiting,
    /// Enough agree: their signatures are being checked.
    Agreed(Simulated),
    /// Too few did: the client waits a moment.
    Disagreed,
    /// The client's node has crashed meanwhile.
    Stalled,
    Over,
}

struct Proposal {
    tx: Arrival,
    watched: bool,
    peers: Vec<Peer>,
    stage: Stage,
}

impl Proposal {
    /// Whether no endorser is still at it.
    fn is_quiet(&self) -> bool {
        let at_it = |p: &Peer| matches!(p, Peer::Asked | Peer::Sent(_));
        !self.peers.iter().any(at_it)
    }

    fn here(&self) -> impl Iterator<Item = Simulated> {
        self.peers.iter().filter_map(|p| match *p {
            Peer::Here(answer) => Some(answer),
            _ => None,
        })
    }

    /// What so many agree on.
    fn agreed(&self, needed: u32) -> Option<Simulated> {
        let times = |one: Simulated| self.here().filter(|&other| other == one).count();
        self.here().find(|&one| times(one) >= needed as usize)
    }
}

/// All proposals that are not ordered yet.
pub(crate) struct Endorsing {
    rules: Endorse,
    /// What validating takes, as transactions declare execution.
    validate_us: u16,
    next: Vec<u32>,
    proposals: BTreeMap<Id, Proposal>,
    /// How many are not over.
    pub(crate) open: u64,
    /// Watched writes among these, by key.
    watched: BTreeMap<EntityId, u32>,
    pub(crate) counts: Endorsed,
}

impl Endorsing {
    pub(crate) fn new(rules: Endorse, sites: u32, costs: &quorate_core::Costs, reason: u8) -> Self {
        let check = costs.certificate(u64::from(rules.needed)).ns();
        // Microseconds, of which each takes so many thousandths when it is executed.
        let declared = check.div_ceil(u64::from(costs.exec_permille.max(1)));
        Self {
            rules,
            validate_us: u16::try_from(declared).unwrap_or(u16::MAX),
            next: vec![0; sites as usize],
            proposals: BTreeMap::new(),
            open: 0,
            watched: BTreeMap::new(),
            counts: Endorsed {
                mvcc_invalid: usize::from(reason),
                ..Endorsed::default()
            },
        }
    }

    /// Whether a watched write of a key waits for its endorsers.
    pub(crate) fn concern(&self, key: EntityId) -> bool {
        self.watched.contains_key(&key)
    }
}

impl<E: Engine> Simulation<'_, E> {
    fn endorsing(&mut self) -> &mut Endorsing {
        self.endorsing.as_mut().expect("execution before order")
    }

    fn proposal(&mut self, id: Id) -> &mut Proposal {
        let known = self.endorsing().proposals.get_mut(&id);
        known.expect("kept until everybody has answered")
    }

    fn client(&mut self, id: Id) -> NodeId {
        let tx = self.proposal(id).tx;
        self.pool.entry(&tx)
    }

    /// A client proposes a transaction.
    pub(crate) fn propose(&mut self, tx: &Arrival, watched: bool) {
        self.open += u64::from(tx.at < self.setup.horizon);
        let all = self.endorsing();
        let site = u32::from(tx.site);
        let number = &mut all.next[site as usize];
        let id = (site, *number);
        *number += 1;
        all.open += 1;
        all.counts.proposed += 1;
        if watched {
            *all.watched.entry(tx.key).or_default() += 1;
        }
        let proposal = Proposal {
            tx: *tx,
            watched,
            peers: vec![Peer::Open; all.rules.peers as usize],
            stage: Stage::Waiting,
        };
        all.proposals.insert(id, proposal);
        self.ask_endorsers(id);
    }

    /// Asks all who have not been asked, or in vain. A node that is down asks nobody: its clients wait.
    fn ask_endorsers(&mut self, id: Id) {
        let client = self.client(id);
        if !self.nodes[client.index()].up {
            return;
        }
        let bytes = u64::from(self.proposal(id).tx.bytes);
        for place in 0..self.endorsing().rules.peers {
            if self.proposal(id).peers[place as usize] != Peer::Open {
                continue;
            }
            let peer = self.liars.machine(NodeId::new(place), client);
            let (site, number) = id;
            let asked = peer == client
                || self.post_endorsing(
                    (client, peer),
                    0,
                    Payload::Proposal { site, number },
                    bytes,
                );
            if asked {
                self.proposal(id).peers[place as usize] = Peer::Asked;
            }
            if peer == client {
                self.execute_proposal(peer, id);
            }
        }
    }

    /// Sends a message about a proposal; whether it will arrive.
    fn post_endorsing(
        &mut self,
        (from, to): (NodeId, NodeId),
        kind: usize,
        payload: Payload<E>,
        bytes: u64,
    ) -> bool {
        let packet = Packet {
            from,
            payload,
            bytes,
            check: Span::ZERO,
        };
        let first = self.traffic.len() - crate::GOSSIP_KINDS.len() - ENDORSE_KINDS.len();
        let envelope = self.seal(packet, first + kind, self.now);
        let Some(at) = self.transmit(&envelope, to) else {
            return false;
        };
        self.push(at, Rank::Gossip, to, Job::Packet(packet));
        true
    }

    /// A message about a proposal has arrived, or work for one is done.
    pub(crate) fn endorse(&mut self, node: NodeId, from: NodeId, payload: &Payload<E>) {
        match *payload {
            Payload::Proposal { site, number } => self.execute_proposal(node, (site, number)),
            Payload::Executed { site, number } => self.executed(node, (site, number)),
            Payload::Endorsement { site, number } => self.answered(from, (site, number)),
            Payload::Weighed { site, number } => self.weighed((site, number)),
            _ => {}
        }
    }

    /// Whether a node's work until an instant comes to its end; then it is told so.
    fn work(&mut self, node: NodeId, done: Time, payload: Payload<E>) -> bool {
        if self.faults.crashes(node, self.now, done) {
            return false;
        }
        let packet = Packet {
            from: node,
            payload,
            bytes: 0,
            check: Span::ZERO,
        };
        self.push(done, Rank::GossipLanded, node, Job::Packet(packet));
        true
    }

    fn execute_proposal(&mut self, node: NodeId, id: Id) {
        let (site, number) = id;
        let declared = Span::from_us(u64::from(self.proposal(id).tx.exec_us));
        let costs = &self.setup.costs;
        let cost = costs.verify + costs.execution(declared) + costs.sign;
        let done = self.cpus.serve(node, self.now, cost);
        if !self.work(node, done, Payload::Executed { site, number }) {
            self.set_peer(node, id, Peer::Open);
        }
    }

    fn set_peer(&mut self, machine: NodeId, id: Id, peer: Peer) {
        let place = self.liars.who(machine).index();
        self.proposal(id).peers[place] = peer;
    }

    fn executed(&mut self, node: NodeId, id: Id) {
        let head = self.nodes[node.index()].head;
        self.execute_branch(head);
        let tx = self.proposal(id).tx;
        let answer = self.book.simulate(&self.blocks, head, &tx);
        let client = self.client(id);
        if node == client {
            self.set_peer(node, id, Peer::Sent(answer));
            return self.answered(node, id);
        }
        let bytes = u64::from(tx.bytes) + u64::from(self.endorsing().rules.bytes);
        let (site, number) = id;
        let payload = Payload::Endorsement { site, number };
        let sent = self.post_endorsing((node, client), 1, payload, bytes);
        let peer = if sent { Peer::Sent(answer) } else { Peer::Open };
        self.set_peer(node, id, peer);
        self.forget_proposal(id);
    }

    fn answered(&mut self, from: NodeId, id: Id) {
        let place = self.liars.who(from).index();
        let peer = &mut self.proposal(id).peers[place];
        if let Peer::Sent(answer) = *peer {
            *peer = Peer::Here(answer);
        }
        self.weigh(id);
        self.forget_proposal(id);
    }

    /// Looks whether enough agree.
    fn weigh(&mut self, id: Id) {
        let needed = self.endorsing().rules.needed;
        let proposal = self.proposal(id);
        if proposal.stage != Stage::Waiting {
            return;
        }
        let agreed = proposal.agreed(needed);
        let in_vain = proposal.is_quiet() && proposal.here().count() >= needed as usize;
        let (stage, done) = match agreed {
            Some(answer) => {
                let costs = &self.setup.costs;
                let cost = costs.certificate(u64::from(needed)) + costs.sign;
                let client = self.client(id);
                (
                    Stage::Agreed(answer),
                    self.cpus.serve(client, self.now, cost),
                )
            }
            None if in_vain => {
                self.endorsing().counts.disagreed += 1;
                self.proposal(id).peers.fill(Peer::Open);
                (Stage::Disagreed, self.now + AGAIN)
            }
            None => return,
        };
        let (client, (site, number)) = (self.client(id), id);
        let goes_on = self.work(client, done, Payload::Weighed { site, number });
        self.proposal(id).stage = if goes_on { stage } else { Stage::Stalled };
    }

    fn weighed(&mut self, id: Id) {
        if let Stage::Agreed(answer) = self.proposal(id).stage {
            return self.endorsed(id, answer);
        }
        self.proposal(id).stage = Stage::Waiting;
        self.ask_endorsers(id);
    }

    /// Enough have endorsed a transaction, or refused it.
    fn endorsed(&mut self, id: Id, answer: Simulated) {
        let proposal = self.proposal(id);
        proposal.stage = Stage::Over;
        let (mut tx, watched) = (proposal.tx, proposal.watched);
        self.forget_proposal(id);
        let (measured, now) = (u64::from(tx.at < self.setup.horizon), self.now);
        let all = self.endorsing();
        all.open -= 1;
        if watched {
            let left = all.watched.get_mut(&tx.key).expect("counted when proposed");
            *left -= 1;
            if *left == 0 {
                all.watched.remove(&tx.key);
            }
        }
        let refused = answer.verdict != Verdict::Valid;
        all.counts.refused += u64::from(refused);
        let more = u64::from(all.rules.bytes) * u64::from(all.rules.needed);
        let validate_us = all.validate_us;
        self.open -= measured;
        self.digest.add(hash::fold(
            u64::from(id.0) << 32 | u64::from(id.1),
            answer.seal,
        ));
        self.probe.endorsed(tx.class, tx.at, now);
        if !refused {
            // What blocks are charged for from here on.
            tx.bytes = u16::try_from(u64::from(tx.bytes) + more).unwrap_or(u16::MAX);
            tx.exec_us = validate_us;
            return self.hand_in(&tx, watched, Some(answer.seal));
        }
        match answer.verdict {
            Verdict::Expired => self.conservation.expired += 1,
            _ => self.conservation.rejected += 1,
        }
        self.pool.turned_away += 1;
        self.probe.verdict(tx.class, tx.at, now, answer.verdict);
        if self.reacts() {
            self.outcome(&Outcome {
                arrival: tx,
                final_at: now,
                verdict: answer.verdict,
            });
        }
    }

    /// Forgets a proposal that is over for everybody.
    fn forget_proposal(&mut self, id: Id) {
        let proposal = self.proposal(id);
        if proposal.stage == Stage::Over && proposal.is_quiet() {
            self.endorsing().proposals.remove(&id);
        }
    }

    /// A fault has begun or ended.
    pub(crate) fn endorse_edge(&mut self) {
        let Some(all) = &self.endorsing else {
            return;
        };
        let open = all.proposals.iter().filter(|p| p.1.stage != Stage::Over);
        let open: Vec<Id> = open.map(|(&id, _)| id).collect();
        for id in open {
            let client = self.client(id);
            if !self.nodes[client.index()].up {
                continue;
            }
            if self.proposal(id).stage == Stage::Stalled {
                self.proposal(id).stage = Stage::Waiting;
            }
            if self.proposal(id).stage == Stage::Waiting {
                self.ask_endorsers(id);
                self.weigh(id);
            }
        }
    }
}
