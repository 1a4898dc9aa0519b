//! The fault schedule, and what it means for links and for the gossip of transactions.

use quorate_core::{Fault, FaultKind, NodeId, Span, Time};

/// The schedule with the questions that the kernel asks of it.
pub(crate) struct Faults {
    schedule: Vec<Fault>,
}

impl Faults {
    pub(crate) const fn new(schedule: Vec<Fault>) -> Self {
        Self { schedule }
    }

    /// Whether nothing ever goes wrong.
    pub(crate) const fn is_empty(&self) -> bool {
        self.schedule.is_empty()
    }

    /// The instants at which something changes, in order and without repeats.
    pub(crate) fn edges(&self) -> Vec<Time> {
        let mut edges: Vec<Time> = self
            .schedule
            .iter()
            .flat_map(|f| [f.from, f.until])
            .collect();
        edges.retain(|&t| t != Time::NEVER);
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// The first instant after `now` at which something changes.
    pub(crate) fn next_edge(&self, now: Time) -> Time {
        let edges = self.schedule.iter().flat_map(|f| [f.from, f.until]);
        edges.filter(|&t| t > now).min().unwrap_or(Time::NEVER)
    }

    /// Whether a node is down at `now`.
    pub(crate) fn down(&self, node: NodeId, now: Time) -> bool {
        self.active(now)
            .any(|f| matches!(&f.what, FaultKind::Crash(set) if has(set, node)))
    }

    /// Whether a node crashes after `since` and no later than at `until`.
    pub(crate) fn crashes(&self, node: NodeId, since: Time, until: Time) -> bool {
        self.schedule.iter().any(|f| {
            let within = since < f.from && f.from <= until && f.from < f.until;
            within && matches!(&f.what, FaultKind::Crash(set) if has(set, node))
        })
    }

    /// Whether a node never comes back once it is down at `now`.
    pub(crate) fn dead(&self, node: NodeId, now: Time) -> bool {
        self.active(now).any(|f| {
            f.until == Time::NEVER && matches!(&f.what, FaultKind::Crash(set) if has(set, node))
        })
    }

    /// Whether a message sent now from `a` cannot reach `b`.
    pub(crate) fn cut(&self, a: NodeId, b: NodeId, now: Time) -> bool {
        self.active(now).any(|f| splits(f, a, b))
    }

    /// Transactions submitted at `from` by this instant have reached `to` at `now`, when gossip
    /// takes `delay`. While the site's node is down or cut off, its clients wait and submit again
    /// afterwards, so that visibility stays in order of submission. `None`: nothing has.
    pub(crate) fn gossiped(
        &self,
        from: NodeId,
        to: NodeId,
        delay: Span,
        now: Time,
    ) -> Option<Time> {
        let mut limit = Time::from_ns(now.ns().checked_sub(delay.ns())?);
        // Ends are visited again until none holds the limit back, because windows may overlap.
        while let Some(fault) = self.blocking(from, to, limit) {
            limit = Time::from_ns(fault.from.ns().checked_sub(1)?);
        }
        Some(limit)
    }

    /// When a transaction submitted at `from` at `at` reaches `to`.
    pub(crate) fn reaches(&self, from: NodeId, to: NodeId, delay: Span, at: Time) -> Time {
        let mut start = at;
        while let Some(fault) = self.blocking(from, to, start) {
            start = fault.until;
            if start == Time::NEVER {
                return Time::NEVER;
            }
        }
        start + delay
    }

    fn blocking(&self, from: NodeId, to: NodeId, at: Time) -> Option<&Fault> {
        self.active(at).find(|f| match &f.what {
            FaultKind::Crash(set) => has(set, from),
            FaultKind::Partition(_) => splits(f, from, to),
        })
    }

    fn active(&self, now: Time) -> impl Iterator<Item = &Fault> {
        self.schedule
            .iter()
            .filter(move |f| f.from <= now && now < f.until)
    }
}

fn has(set: &[u32], node: NodeId) -> bool {
    set.contains(&node.get())
}

fn splits(fault: &Fault, a: NodeId, b: NodeId) -> bool {
    matches!(&fault.what, FaultKind::Partition(set) if has(set, a) != has(set, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossip_waits_for_the_end_of_a_fault_and_stays_in_order() {
        let s = |s| Time::ZERO + Span::from_s(s);
        let faults = Faults::new(vec![
            Fault {
                from: s(10),
                until: s(20),
                what: FaultKind::Partition(vec![0]),
            },
            Fault {
                from: s(15),
                until: s(30),
                what: FaultKind::Crash(vec![0]),
            },
        ]);
        let (a, b, d) = (NodeId::new(0), NodeId::new(1), Span::from_s(1));
        assert_eq!(faults.reaches(a, b, d, s(9)), s(10));
        assert_eq!(faults.reaches(a, b, d, s(12)), s(31));
        assert_eq!(faults.gossiped(a, b, d, s(10)), Some(s(9)));
        assert_eq!(
            faults.gossiped(a, b, d, s(25)),
            Some(Time::from_ns(s(10).ns() - 1))
        );
        assert_eq!(faults.gossiped(a, b, d, s(31)), Some(s(30)));
        assert_eq!(faults.gossiped(a, b, d, Time::ZERO), None);
        assert!(faults.cut(a, b, s(10)) && !faults.cut(a, b, s(20)));
        assert_eq!(faults.edges(), [s(10), s(15), s(20), s(30)]);
        // The two questions agree for every instant: reached by now ⇔ submitted by the limit.
        for at in 0..40 {
            for now in 0..40 {
                let by_limit = faults
                    .gossiped(a, b, d, s(now))
                    .is_some_and(|limit| s(at) <= limit);
                assert_eq!(
                    faults.reaches(a, b, d, s(at)) <= s(now),
                    by_limit,
                    "{at} {now}"
                );
            }
        }
    }
}
