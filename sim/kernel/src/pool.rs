//! Pending transactions, without an event for any of them.
//!
//! Gossip keeps order: what one site submits is seen by any node in the order of submission. So
//! the transactions of a site form a sequence, what a node sees of it is a prefix, the body of a
//! first-in block is one range per site, and "included on this branch" is one watermark per site,
//! copied from the parent. A reorganisation costs nothing.

use crate::faults::Faults;
use quorate_core::{Arrival, Limits, NodeId, Span, Time};
use std::collections::VecDeque;

/// One site's transactions, oldest first; sequence numbers stay when old ones are retired.
#[derive(Default)]
struct Origin {
    first: u32,
    txs: VecDeque<Queued>,
}

#[derive(Clone, Copy)]
struct Queued {
    arrival: Arrival,
    /// Bytes and execution microseconds up to and including this one. They wrap: only differences
    /// over [`STRIDE`] transactions are taken.
    bytes: u32,
    exec_us: u32,
}

/// So many transactions add up to less than 2^32, however large each may be.
const STRIDE: u32 = 1 << 16;
const _: () = assert!(STRIDE as u64 * u16::MAX as u64 <= u32::MAX as u64);

/// What a range of transactions adds up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) txs: u32,
    pub(crate) bytes: u64,
    pub(crate) exec_us: u64,
}

impl Sum {
    fn fits(&self, limits: &Limits) -> bool {
        self.txs <= limits.txs
            && self.bytes <= limits.bytes
            && Span::from_us(self.exec_us) <= limits.exec
    }

    /// Whether these are so many, or so many bytes.
    pub(crate) const fn reaches(&self, (count, bytes): (u32, u64)) -> bool {
        self.txs >= count || self.bytes >= bytes
    }

    /// One transaction more.
    pub(crate) fn count(&mut self, arrival: &Arrival) {
        self.add(Self {
            txs: 1,
            bytes: u64::from(arrival.bytes),
            exec_us: u64::from(arrival.exec_us),
        });
    }

    fn add(&mut self, other: Self) {
        self.txs += other.txs;
        self.bytes += other.bytes;
        self.exec_us += other.exec_us;
    }
}

/// One transaction in the order of execution.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    /// When the builder saw it.
    pub(crate) seen: Time,
    /// The site.
    pub(crate) site: u32,
    /// Its number within the site.
    pub(crate) seq: u32,
}

/// The pool of all sites.
pub(crate) struct Pool {
    origins: Vec<Origin>,
    /// The node at which each site submits and reads.
    serving: Vec<NodeId>,
    /// Gossip delay from site to node, `site · nodes + node`.
    delay: Vec<Span>,
    nodes: usize,
}

impl Pool {
    /// `delay(site's node, node)` is the time a transaction needs.
    pub(crate) fn new(
        serving: Vec<NodeId>,
        nodes: u32,
        delay: impl Fn(NodeId, NodeId) -> Span,
    ) -> Self {
        let delay = serving
            .iter()
            .flat_map(|&site| (0..nodes).map(move |i| (site, NodeId::new(i))))
            .map(|(site, node)| {
                if site == node {
                    Span::ZERO
                } else {
                    delay(site, node)
                }
            })
            .collect();
        let origins = serving.iter().map(|_| Origin::default()).collect();
        Self {
            origins,
            serving,
            delay,
            nodes: nodes as usize,
        }
    }

    pub(crate) fn sites(&self) -> u32 {
        self.serving.len() as u32
    }

    pub(crate) fn serving(&self, site: u32) -> NodeId {
        self.serving[site as usize]
    }

    fn delay(&self, site: u32, node: NodeId) -> Span {
        self.delay[site as usize * self.nodes + node.index()]
    }

    /// Takes a transaction in and returns its number within its site.
    pub(crate) fn push(&mut self, arrival: Arrival) -> u32 {
        let origin = &mut self.origins[usize::from(arrival.site)];
        let last = origin.txs.back();
        let (bytes, exec_us) = last.map_or((0, 0), |q| (q.bytes, q.exec_us));
        origin.txs.push_back(Queued {
            arrival,
            bytes: bytes.wrapping_add(u32::from(arrival.bytes)),
            exec_us: exec_us.wrapping_add(u32::from(arrival.exec_us)),
        });
        origin.first + origin.txs.len() as u32 - 1
    }

    /// One transaction that is still kept.
    pub(crate) fn get(&self, site: u32, seq: u32) -> &Arrival {
        let origin = &self.origins[site as usize];
        &origin.txs[(seq - origin.first) as usize].arrival
    }

    /// One past the newest number of a site.
    pub(crate) fn end(&self, site: u32) -> u32 {
        let origin = &self.origins[site as usize];
        origin.first + origin.txs.len() as u32
    }

    /// How many transactions are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.origins.iter().map(|o| o.txs.len()).sum()
    }

    /// Forgets a site's transactions before `seq`.
    pub(crate) fn retire(&mut self, site: u32, seq: u32) {
        let origin = &mut self.origins[site as usize];
        while origin.first < seq && origin.txs.len() > 1 {
            // The newest stays, because the running sums continue from it.
            origin.txs.pop_front();
            origin.first += 1;
        }
    }

    /// One past the last transaction of `site` that `node` has seen by `now`, not below `from`.
    pub(crate) fn seen(
        &self,
        faults: &Faults,
        site: u32,
        node: NodeId,
        now: Time,
        from: u32,
    ) -> u32 {
        let serving = self.serving(site);
        match faults.gossiped(serving, node, self.delay(site, node), now) {
            Some(limit) => self.submitted_by(site, limit, from),
            None => from,
        }
    }

    fn submitted_by(&self, site: u32, limit: Time, from: u32) -> u32 {
        let origin = &self.origins[site as usize];
        let skip = from.saturating_sub(origin.first) as usize;
        // Most blocks take everything, so look at the newest first.
        if origin.txs.back().is_none_or(|q| q.arrival.at <= limit) {
            return from.max(origin.first + origin.txs.len() as u32);
        }
        let (mut low, mut high) = (skip, origin.txs.len());
        while low < high {
            let mid = usize::midpoint(low, high);
            if origin.txs[mid].arrival.at <= limit {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        from.max(origin.first + low as u32)
    }

    /// When `node` sees one transaction.
    pub(crate) fn sees(&self, faults: &Faults, site: u32, seq: u32, node: NodeId) -> Time {
        let at = self.get(site, seq).at;
        faults.reaches(self.serving(site), node, self.delay(site, node), at)
    }

    /// What the transactions `from..to` of a site add up to.
    pub(crate) fn sum(&self, site: u32, from: u32, to: u32) -> Sum {
        let mut sum = Sum::default();
        let mut at = from;
        while at < to {
            let end = to.min(at.saturating_add(STRIDE));
            sum.add(self.stride(site, at, end));
            at = end;
        }
        sum
    }

    /// The same for one to [`STRIDE`] transactions.
    fn stride(&self, site: u32, from: u32, to: u32) -> Sum {
        let origin = &self.origins[site as usize];
        let place = |seq: u32| (seq - origin.first) as usize;
        let last = &origin.txs[place(to - 1)];
        let head = &origin.txs[place(from)];
        // Both ends inclusive: the sum before `from` is its own sum less itself.
        let before = (
            head.bytes.wrapping_sub(u32::from(head.arrival.bytes)),
            head.exec_us.wrapping_sub(u32::from(head.arrival.exec_us)),
        );
        Sum {
            txs: to - from,
            bytes: u64::from(last.bytes.wrapping_sub(before.0)),
            exec_us: u64::from(last.exec_us.wrapping_sub(before.1)),
        }
    }

    /// Fills a block first-in, first-out on top of the watermarks in `marks`, which it moves to the
    /// block's own. Stops before the first transaction that does not fit; also says whether there is
    /// one.
    pub(crate) fn fill(
        &self,
        faults: &Faults,
        marks: &mut [u32],
        node: NodeId,
        as_of: Time,
        limits: &Limits,
    ) -> (Sum, bool) {
        // What was seen before an instant, so that before instant zero nothing was.
        let seen_before = |instant: u64, ends: &mut Vec<u32>| {
            ends.clear();
            match instant.checked_sub(1).map(Time::from_ns) {
                Some(at) => ends.extend(
                    (0..self.sites()).map(|s| self.seen(faults, s, node, at, marks[s as usize])),
                ),
                None => ends.extend_from_slice(marks),
            }
            let mut sum = Sum::default();
            for (site, (&from, &to)) in marks.iter().zip(ends.iter()).enumerate() {
                sum.add(self.sum(site as u32, from, to));
            }
            sum
        };
        let mut ends = Vec::with_capacity(marks.len());
        let mut sum = seen_before(as_of.ns() + 1, &mut ends);
        let left = !sum.fits(limits);
        if left {
            // The cut is an instant: everything seen before it fits, one nanosecond more does not.
            let (mut fits, mut too_much) = (0, as_of.ns() + 1);
            while fits + 1 < too_much {
                let mid = u64::midpoint(fits, too_much);
                if seen_before(mid, &mut ends).fits(limits) {
                    fits = mid;
                } else {
                    too_much = mid;
                }
            }
            sum = seen_before(fits, &mut ends);
            let mut beyond = Vec::with_capacity(marks.len());
            seen_before(too_much, &mut beyond);
            self.fill_ties(&mut ends, &beyond, &mut sum, limits);
        }
        marks.copy_from_slice(&ends);
        (sum, left)
    }

    /// Of the transactions that were all seen in the same nanosecond, takes as many as fit, site by
    /// site.
    fn fill_ties(&self, ends: &mut [u32], beyond: &[u32], sum: &mut Sum, limits: &Limits) {
        for (site, (end, &last)) in ends.iter_mut().zip(beyond).enumerate() {
            while *end < last {
                let mut more = *sum;
                more.add(self.sum(site as u32, *end, *end + 1));
                if !more.fits(limits) {
                    return;
                }
                (*sum, *end) = (more, *end + 1);
            }
        }
    }

    /// The transactions between two sets of watermarks in the order in which `node` saw them.
    pub(crate) fn order(
        &self,
        faults: &Faults,
        from: &[u32],
        to: &[u32],
        node: NodeId,
        order: &mut Vec<Place>,
    ) {
        order.clear();
        for site in 0..self.sites() {
            for seq in from[site as usize]..to[site as usize] {
                order.push(Place {
                    seen: self.sees(faults, site, seq, node),
                    site,
                    seq,
                });
            }
        }
        // A stable sort, which merges the sites' sorted runs.
        order.sort();
    }

    /// Everything known to be pending on top of `marks`, whether seen yet or not.
    pub(crate) fn pending(&self, marks: &[u32]) -> Sum {
        let mut sum = Sum::default();
        for (site, &from) in (0..).zip(marks) {
            sum.add(self.sum(site, from, self.end(site).max(from)));
        }
        sum
    }

    /// What `node` has seen of it by an instant.
    fn seen_by(&self, faults: &Faults, marks: &[u32], node: NodeId, at: Time) -> Sum {
        let mut sum = Sum::default();
        for (site, &from) in (0..).zip(marks) {
            sum.add(self.sum(site, from, self.seen(faults, site, node, at, from)));
        }
        sum
    }

    /// The earliest instant in `now..=until` at which `node` has seen `count` transactions or `bytes`
    /// bytes of them pending on top of `marks`, if what is known by now suffices.
    pub(crate) fn due(
        &self,
        faults: &Faults,
        marks: &[u32],
        node: NodeId,
        much: (u32, u64),
        (now, until): (Time, Time),
    ) -> Option<Time> {
        let enough = |at| self.seen_by(faults, marks, node, at).reaches(much);
        if enough(now) {
            return Some(now);
        }
        if !enough(until) {
            return None;
        }
        let (mut before, mut by) = (now.ns(), until.ns());
        while before + 1 < by {
            let mid = u64::midpoint(before, by);
            if enough(Time::from_ns(mid)) {
                by = mid;
            } else {
                before = mid;
            }
        }
        Some(Time::from_ns(by))
    }

    /// When `node` has seen all that is pending, of the sites from which it ever sees everything.
    pub(crate) fn latest(&self, faults: &Faults, marks: &[u32], node: NodeId) -> Time {
        let sites = (0..).zip(marks).filter(|&(s, &from)| self.end(s) > from);
        let last = sites.map(|(s, _)| self.sees(faults, s, self.end(s) - 1, node));
        // Of what comes behind a fault without an end some may still have come before it.
        let ever = |at: Time| at.min(Time::from_ns(Time::NEVER.ns() - 1));
        last.map(ever).max().unwrap_or(Time::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_core::{ClassId, EntityId, Fault, FaultKind};

    fn tx(at: u64, site: u16, bytes: u16) -> Arrival {
        Arrival {
            at: Time::from_ns(at),
            key: EntityId::new(0),
            operand: 0,
            bytes,
            exec_us: bytes / 2,
            site,
            class: ClassId(0),
            action: 0,
        }
    }

    const NODE: NodeId = NodeId::new(2);
    const NO_FAULTS: Faults = Faults::new(Vec::new());

    fn pool(txs: &[Arrival]) -> Pool {
        let serving = vec![NodeId::new(0), NodeId::new(1), NodeId::new(2)];
        let mut pool = Pool::new(serving, 3, |a, b| {
            Span::from_ns(u64::from(5 * a.get() + b.get()))
        });
        for &t in txs {
            pool.push(t);
        }
        pool
    }

    proptest! {
        /// The bisected cut equals taking transactions one by one in the order seen.
        #[test]
        fn fill_equals_the_naive_loop(
            gaps in prop::collection::vec((0_u64..4, 0_u16..3, 1_u16..500), 0..60),
            txs in 0_u32..40, bytes in 0_u64..9_000, exec_us in 0_u64..4_000, as_of in 0_u64..120,
        ) {
            let mut at = 0;
            let arrivals: Vec<Arrival> = gaps.iter().map(|&(gap, site, bytes)| {
                at += gap;
                tx(at, site, bytes)
            }).collect();
            let pool = pool(&arrivals);
            let limits = Limits { bytes, txs, exec: Span::from_us(exec_us) };
            let as_of = Time::from_ns(as_of);

            let mut marks = vec![0; 3];
            let (sum, left) = pool.fill(&NO_FAULTS, &mut marks, NODE, as_of, &limits);

            let mut order = Vec::new();
            let ends: Vec<u32> = (0..3).map(|s| pool.end(s)).collect();
            pool.order(&NO_FAULTS, &[0; 3], &ends, NODE, &mut order);
            let (mut want, mut naive, mut more_seen) = (vec![0; 3], Sum::default(), false);
            for place in order.iter().filter(|p| p.seen <= as_of) {
                let mut more = naive;
                more.add(pool.sum(place.site, place.seq, place.seq + 1));
                more_seen = !more.fits(&limits);
                if more_seen {
                    break;
                }
                naive = more;
                want[place.site as usize] = place.seq + 1;
            }
            prop_assert_eq!(marks, want);
            prop_assert_eq!((sum, left), (naive, more_seen));
        }
    }

    #[test]
    fn numbers_stay_when_old_ones_are_retired() {
        let mut pool = pool(&[tx(1, 0, 10), tx(2, 0, 20), tx(3, 0, 40)]);
        pool.retire(0, 2);
        assert_eq!(pool.push(tx(9, 0, 80)), 3);
        assert_eq!(pool.sum(0, 2, 4).bytes, 120);
        assert_eq!(
            pool.seen(&NO_FAULTS, 0, NodeId::new(0), Time::from_ns(3), 2),
            3
        );
        assert_eq!(pool.len(), 2);
    }

    #[test]
    fn sums_beyond_32_bits() {
        let mut pool = pool(&[]);
        for _ in 0..70_000 {
            pool.push(tx(1, 0, u16::MAX));
        }
        let sum = pool.sum(0, 1, 70_000);
        assert_eq!((sum.txs, sum.bytes), (69_999, 69_999 * 65_535));
        assert_eq!(sum.exec_us, 69_999 * 32_767);
    }

    /// When a node has seen so much, by sorting: what [`Pool::due`] must find.
    fn naive_due(
        pool: &Pool,
        faults: &Faults,
        marks: &[u32],
        (count, bytes): (u32, u64),
    ) -> Option<Time> {
        let mut seen = Vec::new();
        for site in 0..pool.sites() {
            seen.extend((marks[site as usize]..pool.end(site)).map(|seq| {
                let bytes = u64::from(pool.get(site, seq).bytes);
                (pool.sees(faults, site, seq, NODE), bytes)
            }));
        }
        seen.sort_unstable();
        let mut sum = (0, 0);
        let complete = seen.iter().find(|(_, size)| {
            sum = (sum.0 + 1, sum.1 + size);
            sum.0 >= count || sum.1 >= bytes
        });
        complete.map(|c| c.0).filter(|&at| at != Time::NEVER)
    }

    proptest! {
        /// The bisected instant equals counting transactions one by one in the order seen, also
        /// where a fault holds some back or cuts them off for good.
        #[test]
        fn due_equals_the_naive_count(
            gaps in prop::collection::vec((0_u64..4, 0_u16..3, 1_u16..500), 0..60),
            marks in prop::array::uniform3(0_u32..9),
            count in 1_u32..40, bytes in 1_u64..9_000, now in 0_u64..150,
            windows in prop::collection::vec((0_u64..120, 1_u64..60, 0_u32..3), 0..3),
        ) {
            let mut at = 0;
            let arrivals: Vec<Arrival> = gaps.iter().map(|&(gap, site, bytes)| {
                at += gap;
                tx(at, site, bytes)
            }).collect();
            let pool = pool(&arrivals);
            let faults = Faults::new(windows.iter().map(|&(from, length, node)| Fault {
                from: Time::from_ns(from),
                until: if length > 50 { Time::NEVER } else { Time::from_ns(from + length) },
                what: FaultKind::Partition(vec![node]),
            }).collect());
            let marks: Vec<u32> = (0..3).map(|s| marks[s as usize].min(pool.end(s))).collect();

            let (much, now) = ((count, bytes), Time::from_ns(now));
            let want = naive_due(&pool, &faults, &marks, much).map(|due| due.max(now));
            let until = pool.latest(&faults, &marks, NODE).max(now);
            prop_assert_eq!(pool.due(&faults, &marks, NODE, much, (now, until)), want);
            if want.is_some() {
                prop_assert!(pool.pending(&marks).reaches(much));
            }
        }
    }

    #[test]
    fn due_is_when_the_last_of_them_is_seen() {
        let pool = pool(&[tx(1, 0, 1), tx(2, 1, 1), tx(9, 2, 1)]);
        let due = |count| {
            let until = pool.latest(&NO_FAULTS, &[0; 3], NODE);
            let much = (count, u64::MAX);
            pool.due(&NO_FAULTS, &[0; 3], NODE, much, (Time::ZERO, until))
                .map(Time::ns)
        };
        // Seen at node 2: 1 + 2, 2 + 7, 9.
        assert_eq!(
            (due(1), due(2), due(3), due(4)),
            (Some(3), Some(9), Some(9), None)
        );
    }
}
