//! What happens when a node stops or restarts, or a link is cut or mended. Other faults need no event:
//! what they do follows from the time.

use crate::report::Status;
use crate::sim::{Node, Simulation, context};
use quorate_core::{Engine, Input, NodeId, Time};
use std::cmp::Reverse;
use std::collections::BTreeMap;

impl<E: Engine> Simulation<'_, E> {
    /// A node stops or restarts, or a link is cut or mended.
    pub(crate) fn fault_edge(&mut self) {
        self.next_edge = self.faults.next_edge(self.now);
        let changes = |(i, node): (usize, &Node<E>)| {
            node.up == self.faults.down(NodeId::new(i as u32), self.now)
        };
        // A vote's fate on the way was known when it was cast; what is being checked dies with a node.
        if self.nodes.iter().enumerate().any(changes) {
            self.make_votes_explicit();
        }
        self.store.forget_requests();
        self.count_live();
        for i in 0..self.nodes.len() {
            let node = NodeId::new(i as u32);
            let up = !self.faults.down(node, self.now);
            match (self.nodes[i].up, up) {
                (true, false) => self.crash(node),
                (false, true) => {
                    self.nodes[i].up = true;
                    self.handle(node, Input::Restarted);
                }
                _ => {}
            }
        }
        self.gossip_edge();
        self.endorse_edge();
    }

    /// Lets everything happen that happens before an instant.
    pub fn run_until(&mut self, at: Time) {
        while self.status == Status::Ok && self.next_time().is_some_and(|next| next < at) {
            self.advance();
        }
    }

    /// Who leads: whom most of the nodes that are up take for their leader, or else whoever built the
    /// newest block of most of them; of several the first. `None` if that is nobody who is up.
    pub fn leader(&self) -> Option<NodeId> {
        let known = |i: NodeId| self.nodes[i.index()].engine.leader(&context!(self, i));
        let built = |i: NodeId| {
            let head = self.blocks.find(self.nodes[i.index()].head);
            head.map(|block| block.key.creator)
        };
        self.most_named(known).or_else(|| self.most_named(built))
    }

    fn most_named(&self, names: impl Fn(NodeId) -> Option<NodeId>) -> Option<NodeId> {
        let is_up = |i: &NodeId| self.nodes.get(i.index()).is_some_and(|node| node.up);
        let all = (0..self.nodes.len() as u32).map(NodeId::new);
        let mut named: BTreeMap<NodeId, u32> = BTreeMap::new();
        for name in all.filter(is_up).filter_map(names).filter(is_up) {
            *named.entry(name).or_default() += 1;
        }
        let most = named
            .into_iter()
            .max_by_key(|&(name, n)| (n, Reverse(name)));
        most.map(|(name, _)| name)
    }

    pub(crate) fn crash(&mut self, node: NodeId) {
        let state = &mut self.nodes[node.index()];
        state.up = false;
        state.epoch += 1;
        self.stop_awaiting(node);
        self.cpus.reset(node, self.now);
        self.net.reset(node, self.now);
        self.store.forget_unchecked(node);
    }
}
