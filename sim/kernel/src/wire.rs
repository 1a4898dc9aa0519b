//! Messages: how they are sealed, put on the wire, broadcast, and taken in.

use crate::network::{Outgoing, Transit};
use crate::sim::{Job, Rank, Simulation, context, copy};
use quorate_core::{Ballot, BlockId, Content, Engine, Input, NodeId, Span, Time, To, hash};

/// What travels.
pub(crate) enum Payload<E: Engine> {
    Message(E::Message),
    Vote {
        slot: u32,
        ballot: Ballot,
    },
    Inv {
        block: BlockId,
        compact: bool,
    },
    GetData {
        block: BlockId,
        compact: bool,
    },
    Body(BlockId),
    Compact(BlockId),
    GetTxs {
        block: BlockId,
        bytes: u64,
    },
    Txs(BlockId),
    Header(BlockId),
    SyncRequest,
    SyncBatch(BlockId),
    TxInv {
        site: u32,
        seq: u32,
    },
    TxGet {
        site: u32,
        seq: u32,
    },
    Tx {
        site: u32,
        seq: u32,
    },
    TxChecked {
        site: u32,
        seq: u32,
        epoch: u32,
    },
    Proposal {
        site: u32,
        number: u32,
    },
    /// An endorser has executed it.
    Executed {
        site: u32,
        number: u32,
    },
    Endorsement {
        site: u32,
        number: u32,
    },
    /// Its node has checked the answers.
    Weighed {
        site: u32,
        number: u32,
    },
}

impl<E: Engine> Payload<E> {
    /// The rank of its arrival: a node shows a transaction before anything else of that instant.
    const fn rank(&self, block: Rank, transaction: Rank) -> Rank {
        match self {
            Self::TxInv { .. } | Self::TxGet { .. } | Self::Tx { .. } => transaction,
            Self::Proposal { .. } | Self::Endorsement { .. } => transaction,
            _ => block,
        }
    }
}

/// One message on its way.
pub(crate) struct Packet<E: Engine> {
    pub(crate) from: NodeId,
    pub(crate) payload: Payload<E>,
    pub(crate) bytes: u64,
    /// CPU time at the receiver.
    pub(crate) check: Span,
}

/// A packet that is ready to leave, to one node or to many.
pub(crate) struct Envelope<E: Engine> {
    pub(crate) packet: Packet<E>,
    /// Index into [`Report::traffic`].
    pub(crate) kind: usize,
    pub(crate) outgoing: Outgoing,
}

copy!(Payload Packet);

impl<E: Engine> Simulation<'_, E> {
    pub(crate) fn send_message(&mut self, node: NodeId, to: To, message: E::Message) {
        let engine = &self.nodes[node.index()].engine;
        let wire = engine.wire(&message, &context!(self, node));
        let ready = self.cpus.serve(node, self.now, wire.sign);
        let packet = Packet {
            from: node,
            payload: Payload::Message(message),
            bytes: wire.bytes,
            check: wire.check,
        };
        let envelope = self.seal(packet, usize::from(wire.kind), ready);
        if let To::One(one) = to {
            self.post(&envelope, self.liars.machine(one, node));
            return;
        }
        let n = self.net.nodes();
        let list = self.open_list();
        let era = self.era_above(node);
        for one in (node.get() + 1..n).chain(0..node.get()).map(NodeId::new) {
            let wanted = match to {
                To::All | To::One(_) => true,
                To::Committee => self.is_member(era, one),
                To::Observers => !self.is_member(era, one),
            };
            if wanted {
                let at = self.transmit(&envelope, one);
                self.lists[list as usize].extend(at.map(|at| (at, one)));
            }
        }
        self.broadcast(packet, list);
    }

    fn is_member(&self, era: usize, machine: NodeId) -> bool {
        let committee = self.eras.at(era).committee();
        committee.position(self.liars.who(machine)).is_some()
    }

    /// The era of the height above a node's head.
    fn era_above(&self, node: NodeId) -> usize {
        let head = self.nodes[node.index()].head;
        let above = self.blocks.get(head).height + 1;
        self.eras.place(above).unwrap_or(0)
    }

    pub(crate) fn open_list(&mut self) -> u32 {
        self.free_lists.pop().unwrap_or_else(|| {
            self.lists.push(Vec::new());
            self.lists.len() as u32 - 1
        })
    }

    /// Queues a packet for all of a list of (arrival, recipient).
    pub(crate) fn broadcast(&mut self, packet: Packet<E>, list: u32) {
        if !self.setup.forms.cursor {
            let recipients = core::mem::take(&mut self.lists[list as usize]);
            for &(at, to) in &recipients {
                self.push(at, Rank::Arrived, to, Job::Packet(packet));
            }
            self.lists[list as usize] = recipients;
        } else if !self.lists[list as usize].is_empty() {
            self.lists[list as usize].sort_unstable();
            let (at, to) = self.lists[list as usize][0];
            self.push(
                at,
                Rank::Arrived,
                to,
                Job::Cursor {
                    packet,
                    list,
                    next: 1,
                },
            );
            return;
        }
        self.lists[list as usize].clear();
        self.free_lists.push(list);
    }

    pub(crate) fn advance_cursor(&mut self, packet: Packet<E>, list: u32, next: u32) {
        if let Some(&(at, to)) = self.lists[list as usize].get(next as usize) {
            let next = next + 1;
            self.push(at, Rank::Arrived, to, Job::Cursor { packet, list, next });
        } else {
            self.lists[list as usize].clear();
            self.free_lists.push(list);
        }
    }

    /// Sends one packet to one node.
    pub(crate) fn post(&mut self, envelope: &Envelope<E>, to: NodeId) {
        if let Some(at) = self.transmit(envelope, to) {
            let rank = envelope.packet.payload.rank(Rank::Arrived, Rank::Gossip);
            self.push(at, rank, to, Job::Packet(envelope.packet));
        }
    }

    pub(crate) fn seal(&self, packet: Packet<E>, kind: usize, ready: Time) -> Envelope<E> {
        let content = self.content(&packet.payload);
        Envelope {
            packet,
            kind,
            outgoing: self
                .net
                .prepare(packet.from, packet.bytes, content, (self.now, ready)),
        }
    }

    /// Puts a packet on the wire; when it arrives, unless a fault swallows it.
    pub(crate) fn transmit(&mut self, envelope: &Envelope<E>, to: NodeId) -> Option<Time> {
        let Envelope {
            packet,
            kind,
            outgoing,
        } = envelope;
        if !self.liars.is_empty() && self.is_held_back(packet, to) {
            return None;
        }
        self.traffic[*kind].messages += 1;
        self.traffic[*kind].bytes += packet.bytes;
        if self.is_plain {
            return Some(self.net.send(outgoing, to).arrives);
        }
        let arrives = self.deliver(envelope, to);
        if self.is_traced {
            self.trace_sent(packet, *kind, to, arrives);
        }
        arrives
    }

    /// When a packet arrives, unless a fault swallows it.
    fn deliver(&mut self, envelope: &Envelope<E>, to: NodeId) -> Option<Time> {
        let Envelope {
            packet, outgoing, ..
        } = envelope;
        if self.faults.is_empty() {
            return Some(self.net.send(outgoing, to).arrives);
        }
        let edge = (packet.from, to);
        let burst = |leaves| self.faults.loss_ppm(packet.from, to, leaves);
        let Transit { leaves, arrives } = self.net.send_under(outgoing, to, burst);
        let times = (self.now, leaves, arrives);
        let arrives = self.faults.delivered(edge, times);
        self.lost += u64::from(arrives.is_none());
        arrives
    }

    /// A message of the kernel's own; `kind` indexes [`crate::RELAY_KINDS`].
    pub(crate) fn envelope(
        &self,
        from: NodeId,
        kind: usize,
        payload: Payload<E>,
        bytes: u64,
    ) -> Envelope<E> {
        let packet = Packet {
            from,
            payload,
            bytes,
            check: Span::ZERO,
        };
        self.seal(packet, E::KINDS.len() + E::PHASES.len() + kind, self.now)
    }

    /// Sends a message of the kernel's own to one node.
    pub(crate) fn post_relay(
        &mut self,
        from: NodeId,
        to: NodeId,
        kind: usize,
        payload: Payload<E>,
        bytes: u64,
    ) {
        let envelope = self.envelope(from, kind, payload, bytes);
        self.post(&envelope, to);
    }

    pub(crate) fn content(&self, payload: &Payload<E>) -> u64 {
        let pair = |site: u32, number: u32| u64::from(site) << 32 | u64::from(number);
        let (kind, word) = match payload {
            Payload::Message(message) => (0, message.content(&self.blocks)),
            Payload::Vote { ballot, .. } => (1, ballot.content(&self.blocks)),
            Payload::Inv { block, .. } => (2, self.blocks.name(*block)),
            Payload::GetData { block, .. } => (3, self.blocks.name(*block)),
            Payload::Body(b) => (4, self.blocks.name(*b)),
            Payload::Compact(b) => (5, self.blocks.name(*b)),
            Payload::GetTxs { block, .. } => (6, self.blocks.name(*block)),
            Payload::Txs(b) => (7, self.blocks.name(*b)),
            Payload::Header(b) => (8, self.blocks.name(*b)),
            Payload::SyncRequest => (9, 0),
            Payload::SyncBatch(b) => (10, self.blocks.name(*b)),
            Payload::TxInv { site, seq } => (11, pair(*site, *seq)),
            Payload::TxGet { site, seq } => (12, pair(*site, *seq)),
            Payload::Tx { site, seq } => (13, pair(*site, *seq)),
            Payload::TxChecked { site, seq, .. } => (14, pair(*site, *seq)),
            Payload::Proposal { site, number } => (15, pair(*site, *number)),
            Payload::Executed { site, number } => (16, pair(*site, *number)),
            Payload::Endorsement { site, number } => (17, pair(*site, *number)),
            Payload::Weighed { site, number } => (18, pair(*site, *number)),
        };
        hash::fold(word, kind)
    }

    /// A packet is at a node's card, or (`landed`) past its downlink.
    pub(crate) fn arrive(&mut self, node: NodeId, packet: Packet<E>, landed: bool) {
        debug_assert!(self.nodes[node.index()].up, "it was lost when it was sent");
        if !landed {
            let ready = self.net.receive(node, packet.bytes, self.now);
            if ready > self.now {
                if self.faults.crashes(node, self.now, ready) {
                    self.lost += 1;
                } else {
                    let rank = packet.payload.rank(Rank::Landed, Rank::GossipLanded);
                    self.push(ready, rank, node, Job::Packet(packet));
                }
                return;
            }
        }
        match packet.payload {
            Payload::Message(message) => {
                let input = Input::Message {
                    from: self.liars.who(packet.from),
                    message,
                };
                let done = self.cpus.serve(node, self.now, packet.check);
                if done == self.now {
                    self.served(node, input);
                } else {
                    let epoch = self.nodes[node.index()].epoch;
                    self.push(done, Rank::Served, node, Job::Served { epoch, input });
                }
            }
            Payload::Vote { slot, ballot } => self.check_vote(node, packet, slot, ballot),
            Payload::TxInv { .. }
            | Payload::TxGet { .. }
            | Payload::Tx { .. }
            | Payload::TxChecked { .. } => self.gossiped(node, packet.from, packet.payload),
            Payload::Proposal { .. }
            | Payload::Executed { .. }
            | Payload::Endorsement { .. }
            | Payload::Weighed { .. } => self.endorse(node, packet.from, &packet.payload),
            _ => self.relayed(node, packet.from, packet.payload),
        }
    }
}
