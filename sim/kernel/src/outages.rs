//! What happens when a node stops or restarts, or a link is cut or mended. Other faults need no event:
//! what they do follows from the time.

use crate::sim::{Node, Simulation};
use quorate_core::{Engine, Input, NodeId};

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
