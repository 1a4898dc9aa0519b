//! What happens when a fault begins or ends.

use crate::sim::Simulation;
use quorate_core::{Engine, Input, NodeId};

impl<E: Engine> Simulation<'_, E> {
    /// Something begins or ends.
    pub(crate) fn fault_edge(&mut self) {
        self.next_edge = self.faults.next_edge(self.now);
        self.make_votes_explicit();
        self.store.forget_requests();
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
