//! What happens within a window of a run, event by event, for those who replay it.
//!
//! A trace changes nothing: it is told what is sent, handled and reached. Within its window the kernel takes
//! no shortcut ([`Forms::NAIVE`]), so that each message is one that can be told; outside it takes all of them.

use crate::endorse::ENDORSE_KINDS;
use crate::gossip::GOSSIP_KINDS;
use crate::report::RELAY_KINDS;
use crate::setup::Forms;
use crate::sim::{Simulation, context};
use crate::wire::{Packet, Payload};
use quorate_core::{Ballot, BlockId, Effect, Engine, Fault, Input, Level, NodeId, Time};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is to be told.
#[derive(Clone, Debug)]
pub struct Window {
    /// From here on.
    pub from: Time,
    /// Before this instant.
    pub until: Time,
    /// So many blocks; it closes when one more is built.
    pub blocks: Option<u32>,
    /// At most so many events; what comes after them is counted.
    pub most: usize,
    /// Only what these nodes do or are sent; empty means all.
    pub nodes: Vec<NodeId>,
}

/// A record that a run fills and its owner reads.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<Record>>);

impl Trace {
    /// An empty one.
    pub fn new(window: Window) -> Self {
        Self(Arc::new(Mutex::new(Record {
            window,
            faults: Vec::new(),
            events: Vec::new(),
            left_out: 0,
            built: 0,
            views: Vec::new(),
        })))
    }

    /// What was told so far.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was told.
#[derive(Debug)]
pub struct Record {
    /// What was asked for. It ends where the last of its blocks does.
    pub window: Window,
    /// What goes wrong in the run.
    pub faults: Vec<Fault>,
    /// In the order in which things happened.
    pub events: Vec<Event>,
    /// Events that were too many.
    pub left_out: u64,
    /// Blocks built within the window.
    built: u32,
    /// By node: the head, the safe and the final block.
    views: Vec<[BlockId; 3]>,
}

impl Record {
    fn is_open(&self, now: Time) -> bool {
        self.window.from <= now && now < self.window.until
    }

    fn push(&mut self, event: Event) {
        let concerns = |node: NodeId| self.window.nodes.contains(&node);
        let receiver = match event.what {
            What::Sent { to, .. } => Some(to),
            _ => None,
        };
        if !self.is_open(event.at) {
            return;
        }
        let all = self.window.nodes.is_empty();
        if !all && !concerns(event.node) && !receiver.is_some_and(concerns) {
            return;
        }
        if self.events.len() < self.window.most {
            self.events.push(event);
        } else {
            self.left_out += 1;
        }
    }
}

/// Something that happened at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Where: a machine, which is a node or, behind them, a liar's second self.
    pub node: NodeId,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message was handed to the network.
    Sent {
        /// Its kind, as in the results' traffic.
        message: &'static str,
        /// The receiver.
        to: NodeId,
        /// Its size.
        bytes: u64,
        /// When it is at the receiver's network card; `None` if a fault swallows it.
        arrives: Option<Time>,
        /// What it is about.
        about: About,
    },
    /// The engine handled an input.
    Handled {
        /// Which input: `start`, `restarted`, `header`, `body`, `message`, `threshold`, `timer`, `built` or
        /// `pending`.
        input: &'static str,
        /// The kind of a message, the phase of a threshold.
        message: Option<&'static str>,
        /// Who sent it.
        from: Option<NodeId>,
        /// What it is about.
        about: About,
        /// The message or timer in the engine's own words.
        detail: Option<String>,
    },
    /// The node built a block.
    Built {
        /// The block.
        block: BlockId,
        /// The one below it.
        parent: BlockId,
        /// Its distance from the genesis block.
        height: u32,
        /// Its transactions.
        txs: u32,
        /// Its size.
        bytes: u64,
    },
    /// The node's view reached a block.
    Reached {
        /// Its head (`Included`), what is safe, what is final.
        level: Level,
        /// The block.
        about: About,
    },
    /// The engine gave up a round or view.
    RoundChange {
        /// The new one.
        round: u32,
    },
    /// The engine proved that a node lied.
    Evidence {
        /// Who.
        against: NodeId,
    },
    /// The engine changed the committee.
    Elected {
        /// From this height on.
        height: u32,
        /// Who.
        member: NodeId,
        /// Its new weight.
        weight: u64,
    },
}

/// What a message or an input is about, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// A height.
    pub height: Option<u32>,
    /// A round or view.
    pub round: Option<u32>,
    /// A block. Blocks are numbered as they are built; 0 is the genesis block.
    pub block: Option<BlockId>,
}

impl<E: Engine> Simulation<'_, E> {
    /// The names of the kinds of message, in the order of the traffic counters.
    fn kind_name(&self, kind: usize) -> &'static str {
        let endorse = self.endorsing.iter().flat_map(|_| ENDORSE_KINDS);
        let own = E::KINDS.iter().chain(E::PHASES).copied();
        let mut all = own.chain(RELAY_KINDS).chain(endorse).chain(GOSSIP_KINDS);
        all.nth(kind).expect("every kind has a name")
    }

    fn about_block(&self, block: BlockId) -> About {
        About {
            height: self.blocks.find(block).map(|b| b.height),
            round: None,
            block: Some(block),
        }
    }

    const fn about_ballot(ballot: Ballot) -> About {
        About {
            height: Some(ballot.height),
            round: Some(ballot.round),
            block: ballot.choice,
        }
    }

    fn about_payload(&self, payload: &Payload<E>) -> About {
        match payload {
            Payload::Message(message) => {
                E::carries(message).map_or_else(About::default, |b| self.about_block(b))
            }
            Payload::Vote { ballot, .. } => Self::about_ballot(*ballot),
            Payload::Inv { block, .. }
            | Payload::GetData { block, .. }
            | Payload::GetTxs { block, .. }
            | Payload::Body(block)
            | Payload::Compact(block)
            | Payload::Txs(block)
            | Payload::Header(block)
            | Payload::SyncBatch(block) => self.about_block(*block),
            _ => About::default(),
        }
    }

    fn tell_event(&self, node: NodeId, what: What) {
        if let Some(trace) = &self.setup.trace {
            let at = self.now;
            trace.record().push(Event { at, node, what });
        }
    }

    /// A packet was handed to the network.
    #[cold]
    pub(crate) fn trace_sent(
        &self,
        packet: &Packet<E>,
        kind: usize,
        to: NodeId,
        arrives: Option<Time>,
    ) {
        let what = What::Sent {
            message: self.kind_name(kind),
            to,
            bytes: packet.bytes,
            arrives,
            about: self.about_payload(&packet.payload),
        };
        self.tell_event(packet.from, what);
    }

    /// Handles an input, and tells it and what came of it.
    #[cold]
    #[inline(never)]
    pub(crate) fn handle_traced(&mut self, node: NodeId, input: Input<E>) {
        let trace = self.setup.trace.as_ref().expect("somebody is told");
        let is_open = trace.record().is_open(self.now);
        // Counting reads is no shortcut that a trace would miss.
        let all = Forms {
            reads: true,
            ..Forms::NAIVE
        };
        self.setup.forms = if is_open { all } else { Forms::FAST };
        if is_open {
            let what = self.handled(node, &input);
            self.tell_event(node, what);
        }
        let last = self.blocks.last();
        self.take_in(node, input);
        self.tell_after(node, last);
    }

    fn handled(&self, node: NodeId, input: &Input<E>) -> What {
        let mut message = None;
        let mut detail = None;
        let (name, from, about) = match input {
            Input::Start => ("start", None, About::default()),
            Input::Restarted => ("restarted", None, About::default()),
            Input::Header { block, from } => ("header", Some(*from), self.about_block(*block)),
            Input::Body { block, from } => ("body", Some(*from), self.about_block(*block)),
            Input::Message {
                from,
                message: said,
            } => {
                let engine = &self.nodes[node.index()].engine;
                let kind = engine.wire(said, &context!(self, node)).kind;
                message = E::KINDS.get(usize::from(kind)).copied();
                detail = Some(format!("{said:?}"));
                (
                    "message",
                    Some(*from),
                    self.about_payload(&Payload::Message(*said)),
                )
            }
            Input::Threshold(ballot) => {
                message = E::PHASES.get(usize::from(ballot.phase)).copied();
                ("threshold", None, Self::about_ballot(*ballot))
            }
            Input::Timer(timer) => {
                detail = Some(format!("{timer:?}"));
                ("timer", None, About::default())
            }
            Input::BlockBuilt(block) => ("built", None, self.about_block(*block)),
            Input::Pending => ("pending", None, About::default()),
        };
        What::Handled {
            input: name,
            message,
            from,
            about,
            detail,
        }
    }

    /// What an engine wants, before it is carried out.
    #[cold]
    pub(crate) fn trace_effects(&self, node: NodeId, effects: &[Effect<E>]) {
        for effect in effects {
            let what = match *effect {
                Effect::RoundChange { round } => What::RoundChange { round },
                Effect::Evidence { against } => What::Evidence { against },
                Effect::Elect {
                    height,
                    member,
                    weight,
                } => What::Elected {
                    height,
                    member,
                    weight,
                },
                _ => continue,
            };
            self.tell_event(node, what);
        }
    }

    /// Blocks above `last` are new, and the node's view may have moved.
    fn tell_after(&self, node: NodeId, last: BlockId) {
        let Some(trace) = &self.setup.trace else {
            return;
        };
        for place in last.get() + 1..=self.blocks.last().get() {
            self.tell_built(trace, BlockId::new(place));
        }
        let state = &self.nodes[node.index()];
        let views = [state.head, state.safe, state.fin];
        let mut record = trace.record();
        if record.views.is_empty() {
            let genesis = quorate_core::Blocks::<E::Header>::GENESIS;
            record.views = vec![[genesis; 3]; self.net.nodes() as usize];
        }
        let before = std::mem::replace(&mut record.views[node.index()], views);
        for (i, level) in Level::ALL.into_iter().enumerate() {
            if before[i] != views[i] {
                let about = self.about_block(views[i]);
                let what = What::Reached { level, about };
                let at = self.now;
                record.push(Event { at, node, what });
            }
        }
    }

    fn tell_built(&self, trace: &Trace, block: BlockId) {
        let Some(stored) = self.blocks.find(block) else {
            return;
        };
        let mut record = trace.record();
        if !record.is_open(self.now) {
            return;
        }
        record.built += 1;
        if record.window.blocks.is_some_and(|most| record.built > most) {
            // As if it had been asked for: everything before this instant was told.
            record.window.until = self.now;
            return;
        }
        let what = What::Built {
            block,
            parent: stored.parent.expect("only the genesis block has none"),
            height: stored.height,
            txs: stored.txs,
            bytes: stored.bytes,
        };
        let (at, node) = (self.now, stored.key.creator);
        record.push(Event { at, node, what });
    }
}
