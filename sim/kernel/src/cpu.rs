//! Each node's CPU: k cores behind one FIFO queue. A fault may slow the cores of a node for a while;
//! work in service then goes on at the new speed.

use quorate_core::{NodeId, Span, Time};

/// From this instant on a node's cores run at so many thousandths of their speed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    pub(crate) from: Time,
    pub(crate) permille: u32,
}

/// The CPUs of all nodes.
pub(crate) struct Cpus {
    cores: usize,
    /// Times as fast as the reference core.
    speed: u64,
    free: Vec<Time>,
    /// By node, as far as any is ever slow: its paces, the first from the start; none if it never is.
    slow: Vec<Vec<Pace>>,
    /// Time each node's cores were busy, summed over cores.
    pub(crate) busy: Vec<Span>,
}

impl Cpus {
    pub(crate) fn new(nodes: u32, cores: u32, speed: u32, slow: Vec<Vec<Pace>>) -> Self {
        let (n, cores) = (nodes as usize, cores as usize);
        Self {
            cores,
            speed: u64::from(speed),
            free: vec![Time::ZERO; n * cores],
            slow,
            busy: vec![Span::ZERO; n],
        }
    }

    /// What a cost on the reference core takes here at full speed.
    pub(crate) fn takes(&self, cost: Span) -> Span {
        Span::from_ns(cost.ns() / self.speed)
    }

    /// When work that takes so long at full speed and starts at `start` is done.
    #[inline]
    pub(crate) fn done(&self, node: NodeId, start: Time, takes: Span) -> Time {
        match self.slow.get(node.index()) {
            Some(paces) if !paces.is_empty() => finish(paces, start, takes),
            _ => start + takes,
        }
    }

    /// When work was started that is done at `done`: the latest such instant.
    pub(crate) fn started(&self, node: NodeId, done: Time, takes: Span) -> Time {
        match self.slow.get(node.index()) {
            Some(paces) if !paces.is_empty() => start(paces, done, takes),
            _ => done.saturating_sub(takes),
        }
    }

    /// Serves `cost` from `now` on the first free core; when it is done. Must be called in the
    /// order of time at each node.
    #[inline]
    pub(crate) fn serve(&mut self, node: NodeId, now: Time, cost: Span) -> Time {
        if cost.is_zero() {
            return now;
        }
        let takes = self.takes(cost);
        let first = node.index() * self.cores;
        let cores = first..first + self.cores;
        let core = cores.min_by_key(|&c| self.free[c]);
        let core = core.expect("a node has a core");
        let start = now.max(self.free[core]);
        let done = self.done(node, start, takes);
        self.busy[node.index()] += done.since(start);
        self.free[core] = done;
        done
    }

    /// A crash empties the queue.
    pub(crate) fn reset(&mut self, node: NodeId, now: Time) {
        for core in &mut self.free[node.index() * self.cores..][..self.cores] {
            *core = (*core).min(now);
        }
    }
}

/// Work is counted in thousandths of a nanosecond at full speed.
const UNIT: u128 = 1_000;

/// When work is done that starts at `start`, rounded up.
fn finish(paces: &[Pace], start: Time, takes: Span) -> Time {
    let mut left = u128::from(takes.ns()) * UNIT;
    let mut at = start;
    let place = paces.partition_point(|p| p.from <= start) - 1;
    for (i, pace) in paces.iter().enumerate().skip(place) {
        let speed = u128::from(pace.permille);
        let end = paces.get(i + 1).map_or(Time::NEVER, |next| next.from);
        let here = u128::from(end.since(at).ns()) * speed;
        if left <= here {
            return at + Span::from_ns(left.div_ceil(speed) as u64);
        }
        left -= here;
        at = end;
    }
    Time::NEVER
}

/// The latest start of work that is done at `done`.
fn start(paces: &[Pace], done: Time, takes: Span) -> Time {
    let mut left = u128::from(takes.ns()) * UNIT;
    let mut at = done;
    for pace in paces.iter().rev().skip_while(|p| p.from >= done) {
        let speed = u128::from(pace.permille);
        let here = u128::from(at.since(pace.from).ns()) * speed;
        if left <= here {
            return at.saturating_sub(Span::from_ns(left.div_ceil(speed) as u64));
        }
        left -= here;
        at = pace.from;
    }
    Time::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::ZERO + Span::from_ms(ms)
    }

    /// Full speed, a third from 10 ms, a tenth from 40 ms, full again from 60 ms.
    fn paces() -> Vec<Pace> {
        let pace = |from, permille| Pace {
            from: ms(from),
            permille,
        };
        vec![
            pace(0, 1_000),
            pace(10, 333),
            pace(40, 100),
            pace(60, 1_000),
        ]
    }

    #[test]
    fn work_in_service_goes_on_at_the_new_speed() {
        let slow = vec![Vec::new(), paces()];
        let mut cpus = Cpus::new(3, 1, 1, slow);
        let node = NodeId::new(1);
        // 10 ms at full speed, 30 ms at a third, 20 ms at a tenth, the rest at full speed.
        let done = cpus.serve(node, Time::ZERO, Span::from_ms(25));
        assert_eq!(
            done,
            ms(60) + Span::from_us(25_000 - 10_000 - 9_990 - 2_000)
        );
        assert_eq!(cpus.busy[1], done.since(Time::ZERO));
        // Whoever waits starts then, at full speed.
        assert_eq!(
            cpus.serve(node, ms(20), Span::from_ms(1)),
            done + Span::from_ms(1)
        );
        for other in [0, 2] {
            let other = NodeId::new(other);
            assert_eq!(cpus.serve(other, Time::ZERO, Span::from_ms(25)), ms(25));
        }
    }

    #[test]
    fn starts_are_found_again() {
        let paces = paces();
        for from in (0..70_000_000)
            .step_by(123_457)
            .chain(9_999_990..10_000_010)
        {
            for takes in [1, 7, 999, 1_000_000, 5_000_000, 30_000_000] {
                let takes = Span::from_ns(takes);
                let done = finish(&paces, Time::from_ns(from), takes);
                let again = start(&paces, done, takes);
                assert!(again >= Time::from_ns(from));
                assert_eq!(finish(&paces, again, takes), done);
                assert!(finish(&paces, again + Span::from_ns(1), takes) > done);
            }
        }
    }

    #[test]
    fn two_cores_serve_two_at_a_time() {
        let mut cpus = Cpus::new(1, 2, 1, Vec::new());
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
        let mut cpus = Cpus::new(1, 1, 2, Vec::new());
        let done = cpus.serve(NodeId::new(0), Time::ZERO, Span::from_ms(10));
        assert_eq!(done, Time::ZERO + Span::from_ms(5));
        assert_eq!(cpus.busy[0], Span::from_ms(5));
    }
}
