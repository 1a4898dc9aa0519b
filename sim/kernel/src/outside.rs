//! What a ledger has to do with the world outside it: what it tells, what it is told, and how long
//! what is safe waits to be final, where something outside decides that.

use crate::sim::{Job, Rank, Simulation, context};
use crate::wire::{Packet, Payload};
use quorate_core::{Arrival, BlockId, Engine, Level, NodeId, Time};
use std::collections::VecDeque;

/// What a node tells the world outside, or hears from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct News {
    /// When, on the ledger's true time.
    pub at: Time,
    /// Which node.
    pub node: NodeId,
    /// What. From a node: the word of [`quorate_core::Effect::Tell`], or for a followed site what
    /// [`Simulation::follow`] says. To a node: see [`Engine::outside`].
    pub word: u64,
}

/// A site whose transactions somebody outside waits for.
struct Followed {
    site: u32,
    /// By node: how many of its transactions are final in that node's view, as told last.
    told: Vec<u32>,
}

/// What is kept about the world outside. Empty in most runs.
#[derive(Default)]
pub(crate) struct Outside {
    news: VecDeque<News>,
    followed: Vec<Followed>,
    /// By origin: up to which number transactions became safe, and when. `None` where nobody asks.
    safe_since: Option<Vec<VecDeque<(u32, Time)>>>,
}

impl<E: Engine> Simulation<'_, E> {
    /// Tells the world outside whenever more transactions of a site are final in the view of a node
    /// that serves any site: the word is the site in the upper half and how many they are in the
    /// lower. They are counted in the order of submission, if all are of one fee level.
    pub fn follow(&mut self, site: u32) {
        let told = vec![0; self.nodes.len()];
        self.outside.followed.push(Followed { site, told });
    }

    /// Measures how long each transaction is safe before it is final (`Probe::gap`).
    /// To be asked for before the run begins.
    pub fn measure_gaps(&mut self) {
        let none = || VecDeque::new();
        let origins = (0..self.pool.sites()).map(|_| none()).collect();
        self.outside.safe_since = Some(origins);
    }

    /// What the ledger tells the world outside, oldest first.
    pub fn news(&mut self) -> Option<News> {
        self.outside.news.pop_front()
    }

    /// A node is told something from outside at an instant that is not past. It comes like a message,
    /// with its bytes and its check; a node that is down does not hear it.
    ///
    /// # Panics
    /// When nothing outside concerns the engine ([`Engine::outside`]).
    pub fn hear(&mut self, news: News) {
        let message = E::outside(news.word).expect("the engine listens");
        let engine = &self.nodes[news.node.index()].engine;
        let wire = engine.wire(&message, &context!(self, news.node));
        self.traffic[usize::from(wire.kind)].messages += 1;
        self.traffic[usize::from(wire.kind)].bytes += wire.bytes;
        if self.faults.down(news.node, news.at) {
            self.lost += 1;
            return;
        }
        let packet = Packet {
            from: news.node,
            payload: Payload::Message(message),
            bytes: wire.bytes,
            check: wire.check,
        };
        self.push(news.at, Rank::Arrived, news.node, Job::Packet(packet));
    }

    /// A transaction from outside the load, at an instant that is not past.
    pub fn submit_at(&mut self, arrival: Arrival) {
        self.reactions.insert((arrival.at, self.reacted), arrival);
        self.reacted += 1;
    }

    pub(crate) fn tell(&mut self, node: NodeId, word: u64) {
        let (at, node) = (self.now, self.liars.who(node));
        self.outside.news.push_back(News { at, node, word });
    }

    /// A node's final view has reached a block.
    pub(crate) fn tell_followers(&mut self, node: NodeId, block: BlockId) {
        let (at, levels) = (self.now, self.setup.mempool.fees.levels());
        for followed in &mut self.outside.followed {
            let origins = (0..levels).map(|level| followed.site * levels + level);
            let count = origins.map(|origin| self.store.mark(block, origin)).sum();
            let told = &mut followed.told[node.index()];
            if count > *told {
                *told = count;
                let word = u64::from(followed.site) << 32 | u64::from(count);
                self.outside.news.push_back(News { at, node, word });
            }
        }
    }

    /// An origin's transactions before `to` have reached a level at its own node, those before `from`
    /// earlier.
    pub(crate) fn note_gaps(&mut self, level: Level, origin: u32, (from, to): (u32, u32)) {
        let now = self.now;
        let Some(since) = &mut self.outside.safe_since else {
            return;
        };
        let since = &mut since[origin as usize];
        match level {
            Level::Included => {}
            Level::Safe if to > from => since.push_back((to, now)),
            Level::Safe => {}
            Level::Final => {
                for seq in from..to {
                    while since.front().is_some_and(|&(upto, _)| upto <= seq) {
                        since.pop_front();
                    }
                    let safe_at = since.front().map_or(now, |&(_, at)| at);
                    let tx = self.pool.get(origin, seq);
                    self.probe.gap(tx.class, tx.at, now.since(safe_at));
                }
            }
        }
    }
}
