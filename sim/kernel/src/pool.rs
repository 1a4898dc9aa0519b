//! Pending transactions, without an event for any of them.
//!
//! Gossip keeps order: what one site submits at one fee level is seen by any node in the order of
//! submission. So these transactions form a sequence, an **origin**; what a node sees of it is a
//! prefix, the body of a block is one range per origin, and "included on this branch" is one
//! watermark per origin, copied from the parent. A reorganisation costs nothing. Without fees there
//! is one level, and an origin is a site.
//!
//! What a node has had for too long it leaves out. That too is a prefix, so a block may start above
//! its parent's watermarks: what it passes over is noted beside it as evicted on its branch.

use crate::faults::Faults;
use crate::gossip::Seen;
use quorate_core::{Arrival, BlockId, Limits, NodeId, Seed, Span, Time, hash};
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeBounds;

/// The node's pool of pending transactions.
#[derive(Clone, Debug)]
pub struct MempoolConfig {
    /// Most transactions pending at a node on top of its head, as far as it has seen them. What is
    /// submitted at a full node is dropped; what is relayed is always taken.
    pub capacity_txs: u32,
    /// Most bytes of them.
    pub capacity_bytes: u64,
    /// How long a node keeps a transaction that is in no block; its blocks leave out older ones.
    pub expire_after: Option<Span>,
    /// In which order blocks are filled.
    pub fees: Fees,
    /// How transactions spread.
    pub gossip: crate::gossip::GossipConfig,
}

impl MempoolConfig {
    /// No limits, first-in, and gossip that takes its latency.
    pub const UNLIMITED: Self = Self {
        capacity_txs: u32::MAX,
        capacity_bytes: u64::MAX,
        expire_after: None,
        fees: Fees::None,
        gossip: crate::gossip::GossipConfig::VISIBILITY,
    };

    /// Whether a node can be full.
    pub(crate) const fn is_limited(&self) -> bool {
        self.capacity_txs < u32::MAX || self.capacity_bytes < u64::MAX
    }
}

/// What transactions pay, in levels from 0. Blocks take the highest level first, and first-in within
/// a level; a level that does not fit whole leaves nothing to those below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fees {
    /// All alike: blocks are first-in, first-out.
    None,
    /// A level for each class.
    ByClass(Vec<u8>),
    /// Levels drawn for each transaction, with these weights.
    Drawn(Vec<u32>),
}

impl Fees {
    /// How many levels there are.
    pub(crate) fn levels(&self) -> u32 {
        match self {
            Self::None => 1,
            Self::ByClass(levels) => 1 + u32::from(levels.iter().copied().max().unwrap_or(0)),
            Self::Drawn(weights) => (weights.len() as u32).max(1),
        }
    }

    /// The level of a transaction: a function of what it is, so that it is the same whatever else
    /// happens.
    fn level(&self, key: u64, tx: &Arrival) -> u32 {
        match self {
            Self::None => 0,
            Self::ByClass(levels) => u32::from(levels[tx.class.index()]),
            Self::Drawn(weights) => {
                let what = u64::from(tx.key.get()) << 32 | u64::from(tx.operand);
                let who = u64::from(tx.site) << 16 | u64::from(tx.class.0) << 8;
                let draw = hash::fold_all(key, &[tx.at.ns(), what, who | u64::from(tx.action)]);
                let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
                let mut left = ((u128::from(draw) * u128::from(total)) >> 64) as u64;
                let level = weights.iter().position(|&weight| {
                    let here = left < u64::from(weight);
                    left = left.saturating_sub(u64::from(weight));
                    here
                });
                level.unwrap_or(0) as u32
            }
        }
    }
}

/// One origin's transactions, oldest first; sequence numbers stay when old ones are retired.
struct Origin {
    /// The oldest kept, a multiple of [`STEP`].
    first: u32,
    txs: VecDeque<Arrival>,
    /// Of each, where it was endorsed first: when it was handed in, and its seal. Empty elsewhere.
    sealed: VecDeque<(Time, u64)>,
    /// What all transactions before each multiple of [`STEP`] from `first` on add up to, in bytes and
    /// execution microseconds; one for the end, too, where that is such a multiple.
    sums: VecDeque<(u64, u64)>,
}

/// Transactions between two running sums, which thus take half a byte each beside the 24 of the
/// transaction: fewer take more memory, more take longer to add up.
const STEP: u32 = 32;

impl Origin {
    fn new() -> Self {
        Self {
            first: 0,
            txs: VecDeque::new(),
            sealed: VecDeque::new(),
            sums: VecDeque::from([(0, 0)]),
        }
    }

    #[inline]
    fn end(&self) -> u32 {
        self.first + self.txs.len() as u32
    }

    #[inline]
    fn push(&mut self, tx: &Arrival) -> u32 {
        let seq = self.end();
        self.txs.push_back(*tx);
        if (seq + 1).is_multiple_of(STEP) {
            self.add_up();
        }
        seq
    }

    /// One more step is complete.
    #[inline(never)]
    fn add_up(&mut self) {
        let last = self.sums[self.sums.len() - 1];
        let step = self.txs.len() - STEP as usize..;
        self.sums.push_back(self.adding(last, step));
    }

    fn adding(&self, sum: (u64, u64), places: impl RangeBounds<usize>) -> (u64, u64) {
        let txs = self.txs.range(places);
        txs.fold(sum, |(bytes, exec_us), tx| {
            (bytes + u64::from(tx.bytes), exec_us + u64::from(tx.exec_us))
        })
    }

    /// When the one at a place was handed in.
    fn handed_in(&self, place: usize) -> Time {
        match self.sealed.get(place) {
            Some(&(at, _)) => at,
            None => self.txs[place].at,
        }
    }

    /// What all before a number add up to.
    fn before(&self, seq: u32) -> (u64, u64) {
        let place = (seq - self.first) as usize;
        let rest = (seq % STEP) as usize;
        self.adding(self.sums[place / STEP as usize], place - rest..place)
    }

    /// Forgets what lies before `seq`, as far as whole steps do.
    fn retire(&mut self, seq: u32) {
        while self.first + STEP <= seq.min(self.end()) {
            self.txs.drain(..STEP as usize);
            if !self.sealed.is_empty() {
                self.sealed.drain(..STEP as usize);
            }
            self.sums.pop_front();
            self.first += STEP;
        }
    }
}

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

    pub(crate) fn add(&mut self, other: Self) {
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
    /// The origin.
    pub(crate) site: u32,
    /// Its number within the origin.
    pub(crate) seq: u32,
}

impl Place {
    /// The order as one number, which is compared without a branch.
    pub(crate) fn rank(&self) -> u128 {
        u128::from(self.seen.ns()) << 64 | u128::from(self.site) << 32 | u128::from(self.seq)
    }
}

/// How it is known when a node has seen what.
enum Sight {
    /// A delay from each serving node to each node, `row · nodes + node`.
    Delays(Vec<Span>),
    /// Every hop was an event.
    Events(Seen),
}

/// The pool of all origins.
pub(crate) struct Pool {
    origins: Vec<Origin>,
    fees: Fees,
    fee_key: u64,
    levels: u32,
    /// The node at which each origin submits.
    serving: Vec<NodeId>,
    /// The row of each origin in `delays`.
    row: Vec<u32>,
    sight: Sight,
    nodes: usize,
    expire_after: Option<Span>,
    sorter: Sorter,
    /// Whether the delays are known and none is endless.
    all_reach_all: bool,
    /// What a block passes over, by block and origin.
    evicted: BTreeMap<(BlockId, u32), (u32, u32)>,
    /// Whether transactions were endorsed before they were handed in.
    sealed: bool,
    /// Transactions that found their node full, or that endorsers refused.
    pub(crate) turned_away: u64,
}

impl Pool {
    /// `delays` holds a row for each of the `serving` nodes of the sites in order, without repeats:
    /// the time that a transaction needs to each node. `seen` stands for them in the explicit form.
    pub(crate) fn new(
        sites: &[NodeId],
        nodes: u32,
        config: &MempoolConfig,
        seed: Seed,
        (delays, seen): (Vec<Span>, Option<Seen>),
    ) -> Self {
        let levels = config.fees.levels();
        let serving: Vec<NodeId> = Self::expand(sites, levels);
        let rows = crate::gossip::distinct(sites);
        let all_reach_all = seen.is_none() && !delays.contains(&Span::MAX);
        let row = |node| rows.binary_search(node).expect("it serves a site") as u32;
        Self {
            origins: serving.iter().map(|_| Origin::new()).collect(),
            fees: config.fees.clone(),
            fee_key: seed.key("fees"),
            levels,
            row: serving.iter().map(row).collect(),
            serving,
            sight: seen.map_or(Sight::Delays(delays), Sight::Events),
            nodes: nodes as usize,
            expire_after: config.expire_after,
            sorter: Sorter::default(),
            all_reach_all,
            evicted: BTreeMap::new(),
            sealed: false,
            turned_away: 0,
        }
    }

    /// The serving node of each origin.
    pub(crate) fn expand(sites: &[NodeId], levels: u32) -> Vec<NodeId> {
        let each = |&node| std::iter::repeat_n(node, levels as usize);
        sites.iter().flat_map(each).collect()
    }

    /// Origins.
    pub(crate) fn sites(&self) -> u32 {
        self.serving.len() as u32
    }

    /// The node at which an origin submits.
    pub(crate) fn serving(&self, site: u32) -> NodeId {
        self.serving[site as usize]
    }

    /// The node at which an arrival is submitted.
    pub(crate) fn entry(&self, arrival: &Arrival) -> NodeId {
        self.serving[usize::from(arrival.site) * self.levels as usize]
    }

    fn delay(&self, delays: &[Span], site: u32, node: NodeId) -> Span {
        delays[self.row[site as usize] as usize * self.nodes + node.index()]
    }

    /// Takes a transaction in and returns its origin and its number there.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a call is a tenth of what a transaction takes to come in"
    )]
    pub(crate) fn push(&mut self, arrival: &Arrival) -> (u32, u32) {
        let mut site = u32::from(arrival.site);
        if self.levels > 1 {
            site = site * self.levels + self.fees.level(self.fee_key, arrival);
        }
        (site, self.origins[site as usize].push(arrival))
    }

    /// The same for one that was endorsed: handed in now, on reads that its seal stands for.
    pub(crate) fn push_sealed(&mut self, arrival: &Arrival, now: Time, seal: u64) -> (u32, u32) {
        self.sealed = true;
        let (site, seq) = self.push(arrival);
        self.origins[site as usize].sealed.push_back((now, seal));
        (site, seq)
    }

    /// Whether transactions were endorsed before they were handed in.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The seal of one that was endorsed.
    pub(crate) fn seal(&self, site: u32, seq: u32) -> Option<u64> {
        let origin = &self.origins[site as usize];
        let sealed = origin.sealed.get((seq - origin.first) as usize);
        sealed.map(|&(_, seal)| seal)
    }

    /// One transaction that is still kept.
    #[inline]
    pub(crate) fn get(&self, site: u32, seq: u32) -> &Arrival {
        let origin = &self.origins[site as usize];
        &origin.txs[(seq - origin.first) as usize]
    }

    /// Some that are still kept, in order.
    pub(crate) fn range(&self, site: u32, from: u32, to: u32) -> impl Iterator<Item = &Arrival> {
        let origin = &self.origins[site as usize];
        let place = |seq: u32| (seq - origin.first) as usize;
        let range = if from < to {
            place(from)..place(to)
        } else {
            0..0
        };
        origin.txs.range(range)
    }

    /// The same in two pieces; `from` must not be above `to`.
    pub(crate) fn slices(&self, site: u32, from: u32, to: u32) -> [&[Arrival]; 2] {
        let origin = &self.origins[site as usize];
        let places = (from - origin.first) as usize..(to - origin.first) as usize;
        let (a, b) = origin.txs.as_slices();
        let middle = a.len();
        let first = places.start.min(middle)..places.end.min(middle);
        let then = places.start.max(middle) - middle..places.end.max(middle) - middle;
        [&a[first], &b[then]]
    }

    /// Those of a run, so many at a time, with the number of the first of them.
    pub(crate) fn pieces(&self, run: &Run, some: usize) -> impl Iterator<Item = (u32, &[Arrival])> {
        let mut seq = run.from;
        let slices = self.slices(run.site, run.from, run.to).into_iter();
        slices
            .flat_map(move |txs| txs.chunks(some))
            .map(move |txs| {
                let first = seq;
                seq += txs.len() as u32;
                (first, txs)
            })
    }

    /// The oldest number of an origin that is kept.
    pub(crate) fn first(&self, site: u32) -> u32 {
        self.origins[site as usize].first
    }

    /// One past the newest number of an origin.
    #[inline]
    pub(crate) fn end(&self, site: u32) -> u32 {
        self.origins[site as usize].end()
    }

    /// Transactions and bytes of an origin since the start.
    pub(crate) fn submitted(&self, site: u32) -> (u64, u64) {
        let origin = &self.origins[site as usize];
        (u64::from(origin.end()), origin.before(origin.end()).0)
    }

    /// How many transactions, evictions and sightings are kept.
    pub(crate) fn kept(&self) -> (usize, usize, usize) {
        let transactions = self.origins.iter().map(|o| o.txs.len()).sum();
        let sightings = match &self.sight {
            Sight::Delays(_) => 0,
            Sight::Events(seen) => seen.len(),
        };
        (transactions, self.evicted.len(), sightings)
    }

    /// Forgets an origin's transactions before `seq`.
    pub(crate) fn retire(&mut self, site: u32, seq: u32, now: Time) {
        self.origins[site as usize].retire(seq);
        if let Sight::Events(seen) = &mut self.sight {
            seen.retire(site, seq, now);
        }
    }

    /// Every hop's event, in the explicit form.
    pub(crate) const fn events(&mut self) -> Option<&mut Seen> {
        match &mut self.sight {
            Sight::Events(seen) => Some(seen),
            Sight::Delays(_) => None,
        }
    }

    /// Whether every hop is an event.
    pub(crate) const fn is_explicit(&self) -> bool {
        matches!(self.sight, Sight::Events(_))
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
        let delays = match &self.sight {
            Sight::Delays(delays) => delays,
            Sight::Events(seen) => return from.max(seen.end(site, node, now)),
        };
        match faults.gossiped(
            self.serving(site),
            node,
            self.delay(delays, site, node),
            now,
        ) {
            Some(limit) => self.submitted_by(site, limit, from),
            None => from,
        }
    }

    fn submitted_by(&self, site: u32, limit: Time, from: u32) -> u32 {
        let origin = &self.origins[site as usize];
        let skip = from.saturating_sub(origin.first) as usize;
        // Most blocks take everything, so look at the newest first.
        let newest = origin.txs.len().checked_sub(1);
        if newest.is_none_or(|place| origin.handed_in(place) <= limit) {
            return from.max(origin.end());
        }
        let (mut low, mut high) = (skip, origin.txs.len());
        while low < high {
            let mid = usize::midpoint(low, high);
            if origin.handed_in(mid) <= limit {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        from.max(origin.first + low as u32)
    }

    /// When `node` sees one transaction; [`Time::NEVER`] also where that is not known yet.
    pub(crate) fn sees(&self, faults: &Faults, site: u32, seq: u32, node: NodeId) -> Time {
        match &self.sight {
            Sight::Delays(delays) => {
                let origin = &self.origins[site as usize];
                let at = origin.handed_in((seq - origin.first) as usize);
                let delay = self.delay(delays, site, node);
                reaches(faults, (self.serving(site), node), delay, at)
            }
            Sight::Events(seen) => seen.when(site, node, seq),
        }
    }

    /// What the transactions `from..to` of an origin add up to.
    pub(crate) fn sum(&self, site: u32, from: u32, to: u32) -> Sum {
        if from >= to {
            return Sum::default();
        }
        let origin = &self.origins[site as usize];
        let (before, up_to) = (origin.before(from), origin.before(to));
        Sum {
            txs: to - from,
            bytes: up_to.0 - before.0,
            exec_us: up_to.1 - before.1,
        }
    }

    /// Fills a block on top of the watermarks in `marks`, which it moves to the block's own: level by
    /// level from the highest, first-in, first-out within a level. Stops before the first transaction
    /// that does not fit; also says whether there is one.
    pub(crate) fn fill(
        &self,
        faults: &Faults,
        marks: &mut [u32],
        node: NodeId,
        as_of: Time,
        limits: &Limits,
    ) -> (Sum, bool) {
        let mut sum = Sum::default();
        for level in (0..self.levels).rev() {
            let lane = Lane {
                pool: self,
                faults,
                node,
                level,
                base: sum,
            };
            let left = lane.fill(marks, as_of, limits, &mut sum);
            if left {
                return (sum, true);
            }
        }
        (sum, false)
    }

    /// Lets blocks take nothing of some origins.
    pub(crate) fn hide(origins: &[(usize, u32)], marks: &mut [u32]) {
        for &(site, _) in origins {
            marks[site] = u32::MAX;
        }
    }

    /// Gives them their watermarks back.
    pub(crate) fn show(origins: &[(usize, u32)], marks: &mut [u32]) {
        for &(site, mark) in origins {
            marks[site] = mark;
        }
    }

    /// Moves watermarks to what a node had taken in of its own sites by an instant.
    pub(crate) fn cover(&self, faults: &Faults, marks: &mut [u32], node: NodeId, by: Time) -> Sum {
        let mut sum = Sum::default();
        for (site, mark) in (0..).zip(marks) {
            if self.serving(site) == node {
                let to = self.seen(faults, site, node, by, *mark);
                sum.add(self.sum(site, *mark, to));
                *mark = to;
            }
        }
        sum
    }

    /// The transactions between two sets of watermarks in the order in which a block of `node` has
    /// them: by level, and within a level as `node` saw them.
    pub(crate) fn order(
        &mut self,
        faults: &Faults,
        (from, to): (&[u32], &[u32]),
        node: NodeId,
        order: &mut Vec<Place>,
    ) {
        order.clear();
        let mut sorter = core::mem::take(&mut self.sorter);
        for level in (0..self.levels).rev() {
            if self.is_simple(faults) {
                self.order_simply((from, to), (node, level), &mut sorter, order);
                continue;
            }
            let start = order.len();
            for site in (level..self.sites()).step_by(self.levels as usize) {
                let (from, to) = (from[site as usize], to[site as usize]);
                self.places(faults, site, node, (from, to), order);
            }
            order[start..].sort_unstable_by_key(Place::rank);
        }
        self.sorter = sorter;
    }

    /// The transactions between two sets of watermarks by origin, where all reach all after a fixed delay.
    pub(crate) fn runs(
        &self,
        (from, to): (&[u32], &[u32]),
        (node, level): (NodeId, u32),
        runs: &mut Vec<Run>,
    ) {
        runs.clear();
        let Sight::Delays(delays) = &self.sight else {
            return;
        };
        let sites = (level..self.sites()).step_by(self.levels as usize);
        let some = sites.filter(|&site| from[site as usize] < to[site as usize]);
        runs.extend(some.map(|site| Run {
            site,
            from: from[site as usize],
            to: to[site as usize],
            delay: self.delay(delays, site, node),
        }));
    }

    /// Whether blocks take what comes first, whatever it pays.
    pub(crate) const fn has_one_level(&self) -> bool {
        self.levels == 1
    }

    /// Whether all reach all after a fixed delay.
    pub(crate) fn is_simple(&self, faults: &Faults) -> bool {
        self.all_reach_all && faults.is_empty() && !self.sealed
    }

    /// The same where all reach all after a fixed delay: each goes where its time puts it if times are
    /// spread evenly, which is nearly right, and then neighbours are compared.
    fn order_simply(
        &self,
        (from, to): (&[u32], &[u32]),
        (node, level): (NodeId, u32),
        sorter: &mut Sorter,
        order: &mut Vec<Place>,
    ) {
        self.runs((from, to), (node, level), &mut sorter.runs);
        sorter.range(|run| {
            let seen = |seq| self.get(run.site, seq).at + run.delay;
            (seen(run.from), seen(run.to - 1), run.to - run.from)
        });
        for run in &sorter.runs {
            self.range(run.site, run.from, run.to).for_each(|tx| {
                let slot = sorter.keys.slot(tx.at + run.delay);
                sorter.ends[slot] += 1;
            });
        }
        let first = order.len() as u32;
        let (mut sum, mut most) = (first, 0);
        for end in &mut sorter.ends {
            most = most.max(*end);
            sum += core::mem::replace(end, sum);
        }
        let nowhere = Place {
            seen: Time::ZERO,
            site: 0,
            seq: 0,
        };
        order.resize(sum as usize, nowhere);
        for &Run {
            site,
            from,
            to,
            delay,
        } in &sorter.runs
        {
            let mut seq = from;
            self.range(site, from, to).for_each(|tx| {
                let seen = tx.at + delay;
                let end = &mut sorter.ends[sorter.keys.slot(seen)];
                order[*end as usize] = Place { seen, site, seq };
                *end += 1;
                seq += 1;
            });
        }
        if most <= FEW {
            return sort_nearly(&mut order[first as usize..]);
        }
        let mut from = first as usize;
        for &end in &sorter.ends {
            let end = end as usize;
            order[from..end].sort_unstable_by_key(Place::rank);
            from = end;
        }
    }

    fn places(
        &self,
        faults: &Faults,
        site: u32,
        node: NodeId,
        (from, to): (u32, u32),
        order: &mut Vec<Place>,
    ) {
        let place = |(seq, seen)| Place { seen, site, seq };
        match &self.sight {
            Sight::Delays(delays) => {
                let (delay, way) = (self.delay(delays, site, node), (self.serving(site), node));
                let sees = |at| reaches(faults, way, delay, at);
                let origin = &self.origins[site as usize];
                if origin.sealed.is_empty() {
                    let seen = self.range(site, from, to).map(|tx| sees(tx.at));
                    order.extend((from..to).zip(seen).map(place));
                } else {
                    let at = |seq: u32| origin.handed_in((seq - origin.first) as usize);
                    order.extend((from..to).map(|seq| (seq, sees(at(seq)))).map(place));
                }
            }
            Sight::Events(seen) => {
                let when = |seq| (seq, seen.when(site, node, seq));
                order.extend((from..to).map(when).map(place));
            }
        }
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
    pub(crate) fn seen_by(&self, faults: &Faults, marks: &[u32], node: NodeId, at: Time) -> Sum {
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

    /// Whether transactions grow too old.
    pub(crate) const fn evicts(&self) -> bool {
        self.expire_after.is_some()
    }

    /// Moves watermarks past what `node` has had for too long at an instant.
    pub(crate) fn age(&self, faults: &Faults, node: NodeId, at: Time, marks: &mut [u32]) {
        let limit = |age: Span| at.ns().checked_sub(age.ns())?.checked_sub(1);
        let Some(limit) = self.expire_after.and_then(limit).map(Time::from_ns) else {
            return;
        };
        for (site, mark) in (0..).zip(marks) {
            *mark = self.seen(faults, site, node, limit, *mark);
        }
    }

    /// Notes what a block passes over.
    pub(crate) fn evict(&mut self, block: BlockId, from: &[u32], to: &[u32]) {
        for (site, (&from, &to)) in (0..).zip(from.iter().zip(to)) {
            if from < to {
                self.evicted.insert((block, site), (from, to));
            }
        }
    }

    /// What a block passes over of an origin.
    pub(crate) fn evicted(&self, block: BlockId, site: u32) -> Option<(u32, u32)> {
        if self.evicted.is_empty() {
            return None;
        }
        self.evicted.get(&(block, site)).copied()
    }

    /// Moves a parent's watermarks to where its child begins.
    pub(crate) fn skip_evicted(&self, block: BlockId, marks: &mut [u32]) {
        for (&(_, site), &(_, to)) in self.evicted.range((block, 0)..=(block, u32::MAX)) {
            marks[site as usize] = to;
        }
    }

    /// Forgets what blocks before `first` passed over.
    pub(crate) fn retire_blocks(&mut self, first: BlockId) {
        if !self.evicted.is_empty() {
            self.evicted = self.evicted.split_off(&(first, 0));
        }
    }
}

/// How many places may share a slot before slots are sorted one by one.
// assumption: to move one by one gets slower than to sort; it decides about speed alone.
const FEW: u32 = 16;

/// Sorts places that are at most a few from where they belong.
fn sort_nearly(places: &mut [Place]) {
    for i in 1..places.len() {
        let place = places[i];
        let mut to = i;
        while to > 0 && place.rank() < places[to - 1].rank() {
            places[to] = places[to - 1];
            to -= 1;
        }
        places[to] = place;
    }
}

/// What sorting needs, kept from block to block.
#[derive(Default)]
struct Sorter {
    runs: Vec<Run>,
    /// Where the places of each slot end.
    ends: Vec<u32>,
    keys: Keys,
}

/// Some of an origin's transactions, and how long each takes to whom they are sorted for.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) site: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) delay: Span,
}

/// Slots of time.
#[derive(Default)]
struct Keys {
    first: u64,
    shift: u32,
}

impl Keys {
    #[inline]
    fn slot(&self, seen: Time) -> usize {
        ((seen.ns() - self.first) >> self.shift) as usize
    }
}

impl Sorter {
    /// Makes slots, about as many as there are transactions. Of each run is said when its first and its last
    /// is seen, and how many they are.
    fn range(&mut self, of: impl Fn(&Run) -> (Time, Time, u32)) {
        let (mut first, mut last, mut all) = (u64::MAX, 0, 0);
        for (from, to, txs) in self.runs.iter().map(of) {
            first = first.min(from.ns());
            last = last.max(to.ns());
            all += txs;
        }
        let span = last.saturating_sub(first);
        let bits = span.checked_ilog2().map_or(0, |bits| bits + 1);
        let wanted = (all | 1).ilog2() + 1;
        let shift = bits.saturating_sub(wanted);
        self.keys = Keys { first, shift };
        self.ends.clear();
        self.ends.resize((span >> shift) as usize + 1, 0);
    }
}

/// When a transaction submitted at `way.0` at `at` reaches `way.1`.
fn reaches(faults: &Faults, way: (NodeId, NodeId), delay: Span, at: Time) -> Time {
    if delay == Span::MAX {
        return Time::NEVER;
    }
    if faults.is_empty() {
        return at + delay;
    }
    faults.reaches(way.0, way.1, delay, at)
}

/// The origins of one fee level, as a block that `base` is in already takes them.
struct Lane<'a> {
    pool: &'a Pool,
    faults: &'a Faults,
    node: NodeId,
    level: u32,
    base: Sum,
}

impl Lane<'_> {
    fn sites(&self) -> impl Iterator<Item = u32> + use<> {
        (self.level..self.pool.sites()).step_by(self.pool.levels as usize)
    }

    /// What was seen before an instant, so that before instant zero nothing was.
    fn seen_before(&self, marks: &[u32], instant: u64, ends: &mut Vec<u32>) -> Sum {
        ends.clear();
        let at = instant.checked_sub(1).map(Time::from_ns);
        let mut sum = self.base;
        for site in self.sites() {
            let from = marks[site as usize];
            let to = at.map_or(from, |at| {
                self.pool.seen(self.faults, site, self.node, at, from)
            });
            ends.push(to);
            sum.add(self.pool.sum(site, from, to));
        }
        sum
    }

    /// See [`Pool::fill`]; whether something is left.
    fn fill(&self, marks: &mut [u32], as_of: Time, limits: &Limits, sum: &mut Sum) -> bool {
        let mut ends = Vec::with_capacity(marks.len());
        *sum = self.seen_before(marks, as_of.ns() + 1, &mut ends);
        let left = !sum.fits(limits);
        if left {
            // The cut is an instant: everything seen before it fits, one nanosecond more does not.
            let (mut fits, mut too_much) = (0, as_of.ns() + 1);
            while fits + 1 < too_much {
                let mid = u64::midpoint(fits, too_much);
                if self.seen_before(marks, mid, &mut ends).fits(limits) {
                    fits = mid;
                } else {
                    too_much = mid;
                }
            }
            *sum = self.seen_before(marks, fits, &mut ends);
            let mut beyond = Vec::with_capacity(marks.len());
            self.seen_before(marks, too_much, &mut beyond);
            self.fill_ties(&mut ends, &beyond, sum, limits);
        }
        for (site, &end) in self.sites().zip(&ends) {
            marks[site as usize] = end;
        }
        left
    }

    /// Of the transactions that were all seen in the same nanosecond, takes as many as fit, origin by
    /// origin.
    fn fill_ties(&self, ends: &mut [u32], beyond: &[u32], sum: &mut Sum, limits: &Limits) {
        for ((site, end), &last) in self.sites().zip(ends).zip(beyond) {
            while *end < last {
                let mut more = *sum;
                more.add(self.pool.sum(site, *end, *end + 1));
                if !more.fits(limits) {
                    return;
                }
                (*sum, *end) = (more, *end + 1);
            }
        }
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
    static NO_FAULTS: std::sync::LazyLock<Faults> =
        std::sync::LazyLock::new(|| Faults::new(Vec::new()));

    fn pool(txs: &[Arrival]) -> Pool {
        pool_of(txs, Fees::None)
    }

    fn pool_of(txs: &[Arrival], fees: Fees) -> Pool {
        let serving = vec![NodeId::new(0), NodeId::new(1), NodeId::new(2)];
        let delay = |a: u64, b: u64| if a == b { 0 } else { 5 * a + b };
        let delays = (0..9).map(|i| Span::from_ns(delay(i / 3, i % 3))).collect();
        let config = MempoolConfig {
            fees,
            ..MempoolConfig::UNLIMITED
        };
        let mut pool = Pool::new(&serving, 3, &config, Seed::new(1, 0), (delays, None));
        for &t in txs {
            pool.push(&t);
        }
        pool
    }

    proptest! {
        /// Where times are crowded, spread, or mostly far from the rest.
        #[test]
        fn order_equals_sorting(
            gaps in prop::collection::vec((0_u64..8, 0_u32..34, 0_u16..3), 0..300),
            marks in prop::array::uniform3((0_u32..40, 0_u32..90)),
        ) {
            let mut at = 0;
            let arrivals = gaps.iter().map(|&(gap, bits, site)| {
                at += if gap == 0 { 1 << bits } else { gap - 1 };
                tx(at, site, 1)
            });
            let mut pool = pool(&arrivals.collect::<Vec<_>>());
            let ends = [0, 1, 2].map(|s| pool.end(s));
            let to: Vec<u32> = marks.iter().zip(ends).map(|(m, end)| m.1.min(end)).collect();
            let from: Vec<u32> = marks.iter().zip(&to).map(|(m, &to)| m.0.min(to)).collect();
            let mut order = Vec::new();
            pool.order(&NO_FAULTS, (&from, &to), NODE, &mut order);
            let mut want = Vec::new();
            for site in 0..3 {
                pool.places(&NO_FAULTS, site, NODE, (from[site as usize], to[site as usize]), &mut want);
            }
            want.sort_unstable();
            prop_assert_eq!(order, want);
        }

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
            let mut pool = pool(&arrivals);
            let limits = Limits { bytes, txs, exec: Span::from_us(exec_us) };
            let as_of = Time::from_ns(as_of);

            let mut marks = vec![0; 3];
            let (sum, left) = pool.fill(&NO_FAULTS, &mut marks, NODE, as_of, &limits);

            let mut order = Vec::new();
            let ends: Vec<u32> = (0..3).map(|s| pool.end(s)).collect();
            pool.order(&NO_FAULTS, (&[0; 3], &ends), NODE, &mut order);
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
        let txs: Vec<Arrival> = (0..100).map(|i| tx(i, 0, i as u16)).collect();
        let mut pool = pool(&txs);
        pool.retire(0, 70, Time::ZERO);
        // Whole steps of 32 are forgotten, the newest among them too.
        assert_eq!((pool.kept().0, pool.first(0)), (36, 64));
        assert_eq!(pool.push(&tx(100, 0, 100)), (0, 100));
        for (from, to) in [(64, 64), (64, 65), (70, 97), (96, 101), (64, 101)] {
            assert_eq!(
                pool.sum(0, from, to).bytes,
                u64::from((from..to).sum::<u32>())
            );
        }
        let node = NodeId::new(0);
        assert_eq!(pool.seen(&NO_FAULTS, 0, node, Time::from_ns(80), 70), 81);
        pool.retire(0, 200, Time::ZERO);
        assert_eq!((pool.first(0), pool.end(0)), (96, 101));
    }

    /// What a node has had for longer than its patience is a prefix, node by node.
    #[test]
    fn too_old_is_what_was_seen_too_long_ago() {
        let mut pool = pool(&[tx(1, 0, 1), tx(2, 0, 1), tx(2, 1, 1)]);
        pool.expire_after = Some(Span::from_ns(10));
        let aged = |node: u32, at: u64| {
            let mut marks = [0; 3];
            pool.age(&NO_FAULTS, NodeId::new(node), Time::from_ns(at), &mut marks);
            marks
        };
        // Node 0 saw its own at 1 and 2; it sees those of site 1 after 5 ns.
        assert_eq!((aged(0, 5), aged(0, 11)), ([0, 0, 0], [0, 0, 0]));
        assert_eq!((aged(0, 12), aged(0, 13)), ([1, 0, 0], [2, 0, 0]));
        assert_eq!((aged(0, 17), aged(0, 18)), ([2, 0, 0], [2, 1, 0]));
        // Node 2 sees site 0 after 2 ns.
        assert_eq!(
            (aged(2, 13), aged(2, 14), aged(2, 15)),
            ([0; 3], [1, 0, 0], [2, 0, 0])
        );
        // Watermarks never go down.
        let mut marks = [2, 1, 0];
        pool.age(&NO_FAULTS, NODE, Time::from_ns(100), &mut marks);
        assert_eq!(marks, [2, 1, 0]);
    }

    proptest! {
        /// By fee: a transaction is left only if one of its level or above is the first that does not
        /// fit; each level is filled as first-in, and with one level all is as without.
        #[test]
        fn higher_levels_never_wait_for_lower_ones(
            gaps in prop::collection::vec((0_u64..4, 0_u16..3, 1_u16..500, 0_u8..3), 0..60),
            txs in 0_u32..40, bytes in 0_u64..9_000, as_of in 0_u64..120,
        ) {
            let mut at = 0;
            let arrivals: Vec<Arrival> = gaps.iter().map(|&(gap, site, bytes, class)| {
                at += gap;
                Arrival { class: ClassId(class), ..tx(at, site, bytes) }
            }).collect();
            let (as_of, exec) = (Time::from_ns(as_of), Span::from_s(1));
            let limits = Limits { bytes, txs, exec };
            let mut by_fee = pool_of(&arrivals, Fees::ByClass(vec![0, 1, 2]));
            let mut marks = vec![0; 9];
            let (sum, left) = by_fee.fill(&NO_FAULTS, &mut marks, NODE, as_of, &limits);

            let mut order = Vec::new();
            let ends: Vec<u32> = (0..9).map(|s| by_fee.end(s)).collect();
            by_fee.order(&NO_FAULTS, (&[0; 9], &ends), NODE, &mut order);
            let levels: Vec<u32> = order.iter().map(|p| p.site % 3).collect();
            prop_assert!(levels.is_sorted_by(|a, b| a >= b));
            let (mut want, mut naive, mut stopped) = (vec![0; 9], Sum::default(), false);
            for place in order.iter().filter(|p| p.seen <= as_of) {
                let mut more = naive;
                more.add(by_fee.sum(place.site, place.seq, place.seq + 1));
                stopped = !more.fits(&limits);
                if stopped {
                    break;
                }
                naive = more;
                want[place.site as usize] = place.seq + 1;
            }
            prop_assert_eq!(marks, want);
            prop_assert_eq!((sum, left), (naive, stopped));

            let one = pool_of(&arrivals, Fees::Drawn(vec![1_000]));
            let (mut a, mut b) = (vec![0; 3], vec![0; 3]);
            let plain = pool(&arrivals).fill(&NO_FAULTS, &mut a, NODE, as_of, &limits);
            prop_assert_eq!(one.fill(&NO_FAULTS, &mut b, NODE, as_of, &limits), plain);
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn drawn_levels_have_their_shares() {
        let fees = Fees::Drawn(vec![700, 200, 100]);
        let mut counts = [0_u32; 3];
        for i in 0..30_000 {
            counts[fees.level(7, &tx(i, 0, 1)) as usize] += 1;
        }
        // Four standard errors of a binomial count: 317, 277 and 208.
        for (count, (want, band)) in counts
            .iter()
            .zip([(21_000, 317), (6_000, 277), (3_000, 208)])
        {
            assert!(count.abs_diff(want) < band, "{counts:?}");
        }
    }

    #[test]
    fn sums_beyond_32_bits() {
        let mut pool = pool(&[]);
        for _ in 0..70_000 {
            pool.push(&tx(1, 0, u16::MAX));
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
