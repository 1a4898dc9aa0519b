//! Each node's CPU: k cores behind one FIFO queue.

use quorate_core::{NodeId, Span, Time};

/// The CPUs of all nodes.
pub(crate) struct Cpus {
    cores: usize,
    /// Times as fast as the reference core.
    speed: u64,
    free: Vec<Time>,
    /// Time each node's cores were busy, summed over cores.
    pub(crate) busy: Vec<Span>,
}

impl Cpus {
    pub(crate) fn new(nodes: u32, cores: u32, speed: u32) -> Self {
        let (n, cores) = (nodes as usize, cores as usize);
        Self {
            cores,
            speed: u64::from(speed),
            free: vec![Time::ZERO; n * cores],
            busy: vec![Span::ZERO; n],
        }
    }

    /// What a cost on the reference core takes here.
    pub(crate) fn takes(&self, cost: Span) -> Span {
        Span::from_ns(cost.ns() / self.speed)
    }

    /// Serves `cost` from `now` on the first free core; when it is done. Must be called in the
    /// order of time at each node.
    pub(crate) fn serve(&mut self, node: NodeId, now: Time, cost: Span) -> Time {
        if cost.is_zero() {
            return now;
        }
        let cost = self.takes(cost);
        let cores = &mut self.free[node.index() * self.cores..][..self.cores];
        let core = cores.iter_mut().min().expect("a node has a core");
        *core = now.max(*core) + cost;
        self.busy[node.index()] += cost;
        *core
    }

    /// A crash empties the queue.
    pub(crate) fn reset(&mut self, node: NodeId, now: Time) {
        for core in &mut self.free[node.index() * self.cores..][..self.cores] {
            *core = (*core).min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_serve_two_at_a_time() {
        let mut cpus = Cpus::new(1, 2, 1);
        let node = NodeId::new(0);
        let done: Vec<u64> = (0..3)
            .map(|_| cpus.serve(node, Time::ZERO, Span::from_ms(10)).ns())
            .collect();
        assert_eq!(done, [10_000_000, 10_000_000, 20_000_000]);
        assert_eq!(cpus.busy[0], Span::from_ms(30));
        cpus.reset(node, Time::ZERO);
        assert_eq!(
            cpus.serve(node, Time::ZERO, Span::from_ms(1)).ns(),
            1_000_000
        );
    }

    #[test]
    fn a_core_twice_as_fast_takes_half_as_long() {
        let mut cpus = Cpus::new(1, 1, 2);
        let done = cpus.serve(NodeId::new(0), Time::ZERO, Span::from_ms(10));
        assert_eq!(done, Time::ZERO + Span::from_ms(5));
        assert_eq!(cpus.busy[0], Span::from_ms(5));
    }
}
