//! The fault schedule, and what it means for nodes, links, clocks and the gossip of transactions.
//!
//! The windows are known beforehand, so every question is a function of time. Nodes that the same
//! faults name share a [`Profile`]: their life in segments between two edges. A question costs one
//! comparison where nothing is planned, and else a binary search in the segments of two nodes.
//! Where faults of one kind overlap at a node, the longest hold, the longest delay, the highest loss
//! and the slowest speed count; the errors of clocks add up.

use crate::cpu::Pace;
use quorate_core::{Fault, FaultKind, NodeId, Span, Time};
use std::collections::BTreeMap;

/// The schedule with the questions that the kernel asks of it.
pub(crate) struct Faults {
    /// By node, as far as any is named: its profile.
    of: Vec<u32>,
    /// The first is that of a node that no fault names.
    profiles: Vec<Profile>,
    /// When a node stops or restarts, or a link is cut or mended.
    edges: Vec<Time>,
    /// When messages pass one way only.
    one_way: Vec<(Time, Time)>,
    skews: bool,
    slows: bool,
    /// Whether a clog delays messages without holding them.
    delays: bool,
}

/// The life of a node.
struct Profile {
    /// In order of time, the first from the start.
    segments: Vec<Segment>,
    /// When it stops, in order.
    crashes: Vec<Time>,
}

/// What happens to a node from one edge of its faults to the next.
#[derive(Clone)]
struct Segment {
    from: Time,
    until: Time,
    down: bool,
    /// Down, and never up again.
    dead: bool,
    /// How many faults cut it off from anybody: most have none, and need no look at the next four.
    cuts: u32,
    /// Cut off from everybody.
    alone: bool,
    /// Partitions that name it, in order.
    sides: Vec<u32>,
    /// One-way cuts that swallow what it sends, and what is sent to it, in order.
    mute: Vec<u32>,
    deaf: Vec<u32>,
    /// Nothing crosses before this.
    held: Time,
    delay: Span,
    loss_ppm: u32,
    permille: u32,
    /// The clock that timers count on: never set, but as slow or fast as the other.
    clock: Clock,
    /// The clock that shows the time of day.
    wall: Clock,
}

/// A clock that shows `from + ahead + (t − from) · rate / 10⁶` at `t`, but never less than zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Clock {
    from: i128,
    ahead: i128,
    /// Millionths of the true speed, positive.
    rate: i128,
}

/// A clock's speed that is right.
const TRUE_RATE: i128 = 1_000_000;
/// A core's full speed.
const FULL_SPEED: u32 = 1_000;

impl Faults {
    /// Faults that do nothing are left out: of no nodes, without a length, without an effect.
    pub(crate) fn new(mut schedule: Vec<Fault>) -> Self {
        schedule.retain(|f| f.from < f.until && has_effect(&f.what));
        let mut named: BTreeMap<u32, Roles> = BTreeMap::new();
        for (id, fault) in (0..).zip(&schedule) {
            let (first, second) = nodes(&fault.what);
            for &node in first {
                named.entry(node).or_default().push((id, Role::First));
            }
            for &node in second {
                named.entry(node).or_default().push((id, Role::Second));
            }
        }
        let mut profiles = vec![Profile::new(&schedule, &[])];
        let mut known: BTreeMap<Roles, u32> = BTreeMap::new();
        let mut of = vec![0; named.last_key_value().map_or(0, |(&n, _)| n as usize + 1)];
        for (node, mut roles) in named {
            roles.sort_unstable();
            roles.dedup();
            of[node as usize] = *known.entry(roles).or_insert_with_key(|roles| {
                profiles.push(Profile::new(&schedule, roles));
                profiles.len() as u32 - 1
            });
        }
        let any = |is: fn(&FaultKind) -> bool| schedule.iter().any(|f| is(&f.what));
        let one_way = schedule.iter().filter(|f| is_one_way(&f.what));
        Self {
            edges: edges(schedule.iter().filter(|f| cuts(&f.what))),
            one_way: one_way.map(|f| (f.from, f.until)).collect(),
            skews: any(|w| matches!(w, FaultKind::Clock { .. })),
            slows: any(|w| matches!(w, FaultKind::Slow { .. })),
            delays: any(|w| matches!(w, FaultKind::Clog { delay: Some(_), .. })),
            of,
            profiles,
        }
    }

    /// Whether nothing ever goes wrong.
    pub(crate) const fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The instants at which a node stops or restarts, or a link is cut or mended, in order and
    /// without repeats.
    pub(crate) fn edges(&self) -> &[Time] {
        &self.edges
    }

    /// The first of them after `now`.
    pub(crate) fn next_edge(&self, now: Time) -> Time {
        let place = self.edges.partition_point(|&t| t <= now);
        self.edges.get(place).copied().unwrap_or(Time::NEVER)
    }

    #[inline]
    fn profile(&self, node: NodeId) -> &Profile {
        let place = self.of.get(node.index()).copied().unwrap_or(0);
        &self.profiles[place as usize]
    }

    #[inline]
    fn at(&self, node: NodeId, now: Time) -> &Segment {
        let segments = &self.profile(node).segments;
        &segments[segments.partition_point(|s| s.from <= now) - 1]
    }

    // ---- nodes ----------------------------------------------------------------------------

    /// Whether a node is down at `now`.
    #[inline]
    pub(crate) fn down(&self, node: NodeId, now: Time) -> bool {
        !self.is_empty() && self.at(node, now).down
    }

    /// Whether a node crashes after `since` and no later than at `until`.
    pub(crate) fn crashes(&self, node: NodeId, since: Time, until: Time) -> bool {
        let crashes = &self.profile(node).crashes;
        let next = crashes.get(crashes.partition_point(|&t| t <= since));
        next.is_some_and(|&t| t <= until)
    }

    /// Whether a node is down at `now` and never comes back.
    pub(crate) fn dead(&self, node: NodeId, now: Time) -> bool {
        !self.is_empty() && self.at(node, now).dead
    }

    /// The speed of each node's cores over time; empty where all run at full speed.
    pub(crate) fn paces(&self) -> Vec<Vec<Pace>> {
        if !self.slows {
            return Vec::new();
        }
        let paces = |&profile: &u32| {
            let segments = &self.profiles[profile as usize].segments;
            let mut paces: Vec<Pace> = segments
                .iter()
                .map(|s| Pace {
                    from: s.from,
                    permille: s.permille,
                })
                .collect();
            paces.dedup_by_key(|p| p.permille);
            let full = paces.iter().all(|p| p.permille == FULL_SPEED);
            if full { Vec::new() } else { paces }
        };
        self.of.iter().map(paces).collect()
    }

    /// What a node's clock shows at `now`; timers count on it.
    #[inline]
    pub(crate) fn clock(&self, node: NodeId, now: Time) -> Time {
        if self.skews {
            self.at(node, now).clock.shows(now)
        } else {
            now
        }
    }

    /// The time of day that a node takes `now` for.
    pub(crate) fn wall(&self, node: NodeId, now: Time) -> Time {
        if self.skews {
            self.at(node, now).wall.shows(now)
        } else {
            now
        }
    }

    /// When a node's clock first shows `shown` or more, from `now` on.
    pub(crate) fn when(&self, node: NodeId, shown: Time, now: Time) -> Time {
        if !self.skews || shown == Time::NEVER {
            return shown.max(now);
        }
        let segments = self.profile(node).segments.iter();
        let mut later = segments.skip_while(|s| s.until <= now);
        let found = later.find_map(|s| {
            let at = s.clock.first(shown).max(now).max(s.from);
            (at < s.until).then_some(at)
        });
        found.unwrap_or(Time::NEVER)
    }

    /// The last instant up to `now` at which a node's clock showed `shown` or less; the start, if it
    /// never did.
    pub(crate) fn last_before(&self, node: NodeId, shown: Time, now: Time) -> Time {
        if !self.skews {
            return shown.min(now);
        }
        let segments = self.profile(node).segments.iter().rev();
        let mut earlier = segments.skip_while(|s| s.from > now);
        let found = earlier.find_map(|s| {
            let end = Time::from_ns(s.until.ns() - 1).min(now);
            let at = s.clock.last(shown)?.min(end);
            (at >= s.from).then_some(at)
        });
        found.unwrap_or(Time::ZERO)
    }

    // ---- links ----------------------------------------------------------------------------

    /// Whether a message that crosses now from `a` to `b` is lost.
    #[inline]
    pub(crate) fn cut(&self, a: NodeId, b: NodeId, now: Time) -> bool {
        !self.is_empty() && a != b && splits(self.at(a, now), self.at(b, now))
    }

    /// Whether messages pass one way only between some nodes: who hears of a block may be unable
    /// to ask for it.
    pub(crate) fn one_way(&self, now: Time) -> bool {
        self.one_way
            .iter()
            .any(|&(from, until)| from <= now && now < until)
    }

    /// When a message arrives that is sent at `now`, leaves the uplink at `leaves` and needs
    /// until `arrives`; `None` if it is lost: its sender crashes before it crosses, the two are cut
    /// off when it crosses, or its receiver is down when it arrives. A clog holds it at the end of
    /// the uplink.
    pub(crate) fn delivered(
        &self,
        (from, to): (NodeId, NodeId),
        (now, leaves, arrives): (Time, Time, Time),
    ) -> Option<Time> {
        if self.is_calm(from) && self.is_calm(to) {
            return Some(arrives);
        }
        let crosses = self.crosses(from, to, leaves)?;
        let (sender, receiver) = (self.at(from, crosses), self.at(to, crosses));
        let delay = sender.delay.max(receiver.delay);
        let arrives = arrives + crosses.since(leaves) + delay;
        let lost =
            self.crashes(from, now, crosses) || splits(sender, receiver) || self.down(to, arrives);
        (!lost).then_some(arrives)
    }

    fn is_calm(&self, node: NodeId) -> bool {
        self.of
            .get(node.index())
            .is_none_or(|&profile| profile == 0)
    }

    /// When a message that is ready to cross at `at` does so; `None` for never.
    fn crosses(&self, from: NodeId, to: NodeId, at: Time) -> Option<Time> {
        let mut at = at;
        loop {
            let held = self.at(from, at).held.max(self.at(to, at).held);
            if held <= at {
                return Some(at);
            }
            if held == Time::NEVER {
                return None;
            }
            at = held;
        }
    }

    /// Packets lost on the way between two nodes, in a million, besides the network's own loss.
    pub(crate) fn loss_ppm(&self, from: NodeId, to: NodeId, now: Time) -> u32 {
        if self.is_empty() {
            return 0;
        }
        self.at(from, now).loss_ppm.max(self.at(to, now).loss_ppm)
    }

    // ---- gossip of transactions -----------------------------------------------------------

    /// Transactions submitted at `from` by this instant have reached `to` at `now`, when gossip
    /// takes `delay`. While the site's node is down, cut off or clogged, its clients wait and
    /// submit again afterwards, so that visibility stays in order of submission. `None`: nothing
    /// has.
    pub(crate) fn gossiped(
        &self,
        from: NodeId,
        to: NodeId,
        delay: Span,
        now: Time,
    ) -> Option<Time> {
        let limit = Time::from_ns(now.ns().checked_sub(delay.ns())?);
        if self.is_empty() {
            return Some(limit);
        }
        if self.delays {
            return self.left_by(from, to, limit);
        }
        // Segments are visited until one lets it pass.
        let mut limit = limit;
        while let Some((start, _)) = self.blocked(from, to, limit) {
            limit = Time::from_ns(start.ns().checked_sub(1)?);
        }
        Some(limit)
    }

    /// When a transaction submitted at `from` at `at` reaches `to`.
    pub(crate) fn reaches(&self, from: NodeId, to: NodeId, delay: Span, at: Time) -> Time {
        let left = if self.is_empty() {
            at
        } else if self.delays {
            self.leaves(from, to, at)
        } else {
            self.sets_out(from, to, at)
        };
        if left == Time::NEVER {
            Time::NEVER
        } else {
            left + delay
        }
    }

    /// When a transaction submitted at `at` is let through.
    fn sets_out(&self, from: NodeId, to: NodeId, at: Time) -> Time {
        let mut start = at;
        while let Some((_, end)) = self.blocked(from, to, start) {
            start = end;
            if start == Time::NEVER {
                break;
            }
        }
        start
    }

    /// The same with what clogs add. Nothing overtakes what was submitted before it.
    fn leaves(&self, from: NodeId, to: NodeId, at: Time) -> Time {
        let alone = |at: Time| {
            let start = self.sets_out(from, to, at);
            if from == to || start == Time::NEVER {
                return start;
            }
            start + self.at(from, start).delay.max(self.at(to, start).delay)
        };
        let segments = |node| self.profile(node).segments.iter().map(|s| s.from);
        // Within a segment whoever is later leaves later, so its last nanosecond stands for all.
        let earlier = segments(from)
            .chain(segments(to))
            .filter(|&edge| Time::ZERO < edge && edge <= at)
            .map(|edge| alone(Time::from_ns(edge.ns() - 1)));
        earlier.max().map_or(alone(at), |t| t.max(alone(at)))
    }

    /// The last instant of submission from which all has left by `limit`.
    fn left_by(&self, from: NodeId, to: NodeId, limit: Time) -> Option<Time> {
        let left = |at: u64| self.leaves(from, to, Time::from_ns(at)) <= limit;
        if left(limit.ns()) {
            return Some(limit);
        }
        let (mut by, mut after) = (0, limit.ns());
        if !left(by) {
            return None;
        }
        while by + 1 < after {
            let mid = u64::midpoint(by, after);
            if left(mid) {
                by = mid;
            } else {
                after = mid;
            }
        }
        Some(Time::from_ns(by))
    }

    /// The span around `at` in which nothing is submitted at `from` or passes to `to`.
    fn blocked(&self, from: NodeId, to: NodeId, at: Time) -> Option<(Time, Time)> {
        let (a, b) = (self.at(from, at), self.at(to, at));
        let blocked = a.down || (from != to && (splits(a, b) || a.held.max(b.held) > at));
        blocked.then_some((a.from.max(b.from), a.until.min(b.until)))
    }
}

/// Which faults name a node, and how.
type Roles = Vec<(u32, Role)>;

/// Whether a node is in the first or second list of a fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    First,
    Second,
}

/// The nodes that a fault names.
fn nodes(what: &FaultKind) -> (&[u32], &[u32]) {
    match what {
        FaultKind::OneWay { from, to } => (from, to),
        FaultKind::Crash(nodes)
        | FaultKind::Partition(nodes)
        | FaultKind::WanCut(nodes)
        | FaultKind::Clog { nodes, .. }
        | FaultKind::Loss { nodes, .. }
        | FaultKind::Slow { nodes, .. }
        | FaultKind::Clock { nodes, .. } => (nodes, &[]),
    }
}

fn has_effect(what: &FaultKind) -> bool {
    let effect = match *what {
        FaultKind::Clog { delay, .. } => delay != Some(Span::ZERO),
        FaultKind::Loss { ppm, .. } => ppm > 0,
        FaultKind::Slow { permille, .. } => {
            assert!(permille > 0, "a core that never gets anything done");
            permille < FULL_SPEED
        }
        FaultKind::Clock {
            offset_ns,
            drift_ppm,
            ..
        } => (offset_ns, drift_ppm) != (0, 0),
        FaultKind::OneWay { ref to, .. } => !to.is_empty(),
        FaultKind::Crash(_) | FaultKind::Partition(_) | FaultKind::WanCut(_) => true,
    };
    effect && !nodes(what).0.is_empty()
}

/// Whether a fault stops nodes or cuts links.
const fn cuts(what: &FaultKind) -> bool {
    match what {
        FaultKind::Crash(_)
        | FaultKind::Partition(_)
        | FaultKind::OneWay { .. }
        | FaultKind::WanCut(_) => true,
        FaultKind::Clog { .. }
        | FaultKind::Loss { .. }
        | FaultKind::Slow { .. }
        | FaultKind::Clock { .. } => false,
    }
}

const fn is_one_way(what: &FaultKind) -> bool {
    matches!(what, FaultKind::OneWay { .. })
}

/// When some faults begin and end, in order and without repeats.
fn edges<'a>(faults: impl Iterator<Item = &'a Fault>) -> Vec<Time> {
    let mut edges: Vec<Time> = faults.flat_map(|f| [f.from, f.until]).collect();
    edges.retain(|&t| t != Time::NEVER);
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn splits(a: &Segment, b: &Segment) -> bool {
    let apart = || a.alone || b.alone || a.sides != b.sides;
    a.cuts + b.cuts > 0 && (apart() || a.mute.iter().any(|id| b.deaf.contains(id)))
}

impl Profile {
    fn new(schedule: &[Fault], roles: &[(u32, Role)]) -> Self {
        let fault = |&(id, _): &(u32, Role)| &schedule[id as usize];
        let mut starts = edges(roles.iter().map(fault));
        if starts.first() != Some(&Time::ZERO) {
            starts.insert(0, Time::ZERO);
        }
        let ends = starts.iter().copied().skip(1).chain([Time::NEVER]);
        let mut segments: Vec<Segment> = starts
            .iter()
            .zip(ends)
            .map(|(&from, until)| {
                let mut segment = Segment::calm(from, until);
                let active = roles
                    .iter()
                    .filter(|r| fault(r).from <= from && from < fault(r).until);
                for role in active {
                    segment.suffer(role.0, fault(role), role.1);
                }
                segment
            })
            .collect();
        // What was gained stays, so that nobody's timers see a step.
        for i in 1..segments.len() {
            let (before, start) = (segments[i - 1].clock, i128::from(segments[i].from.ns()));
            segments[i].clock.ahead = before.exact(start) - start;
        }
        let last_up = segments.iter().rposition(|s| !s.down);
        for segment in segments.iter_mut().skip(last_up.map_or(0, |up| up + 1)) {
            segment.dead = true;
        }
        let pairs = segments.windows(2).filter(|w| !w[0].down && w[1].down);
        let crashes = pairs.map(|w| w[1].from).collect();
        Self { segments, crashes }
    }
}

impl Segment {
    const fn calm(from: Time, until: Time) -> Self {
        Self {
            from,
            until,
            down: false,
            dead: false,
            cuts: 0,
            alone: false,
            sides: Vec::new(),
            mute: Vec::new(),
            deaf: Vec::new(),
            held: Time::ZERO,
            delay: Span::ZERO,
            loss_ppm: 0,
            permille: FULL_SPEED,
            clock: Clock::right(from),
            wall: Clock::right(from),
        }
    }

    /// A fault that is active names this node.
    fn suffer(&mut self, id: u32, fault: &Fault, role: Role) {
        self.cuts += u32::from(matches!(
            fault.what,
            FaultKind::Partition(_) | FaultKind::OneWay { .. } | FaultKind::WanCut(_)
        ));
        match fault.what {
            FaultKind::Crash(_) => self.down = true,
            FaultKind::Partition(_) => self.sides.push(id),
            FaultKind::OneWay { .. } if role == Role::First => self.mute.push(id),
            FaultKind::OneWay { .. } => self.deaf.push(id),
            FaultKind::WanCut(_) => self.alone = true,
            FaultKind::Clog { delay, .. } => match delay {
                Some(delay) => self.delay = self.delay.max(delay),
                None => self.held = self.held.max(fault.until),
            },
            FaultKind::Loss { ppm, .. } => self.loss_ppm = self.loss_ppm.max(ppm),
            FaultKind::Slow { permille, .. } => self.permille = self.permille.min(permille),
            FaultKind::Clock {
                offset_ns,
                drift_ppm,
                ..
            } => {
                let drift = i128::from(drift_ppm);
                let since = i128::from(self.from.since(fault.from).ns());
                self.wall.ahead += i128::from(offset_ns) + since * drift / TRUE_RATE;
                self.wall.rate += drift;
                self.clock.rate = self.wall.rate;
                assert!(self.clock.rate > 0, "a clock runs backwards");
            }
        }
    }
}

impl Clock {
    const fn right(from: Time) -> Self {
        Self {
            from: from.ns() as i128,
            ahead: 0,
            rate: TRUE_RATE,
        }
    }

    fn shows(&self, now: Time) -> Time {
        to_time(self.exact(i128::from(now.ns())))
    }

    const fn exact(&self, now: i128) -> i128 {
        // The quotient is rounded down; the clock's speed is positive.
        self.from + self.ahead + ((now - self.from) * self.rate).div_euclid(TRUE_RATE)
    }

    /// When it first shows `shown` or more, if it always ran like this.
    fn first(&self, shown: Time) -> Time {
        if shown == Time::ZERO {
            return Time::ZERO;
        }
        let need = i128::from(shown.ns()) - self.from - self.ahead;
        to_time(self.from + ceil(need * TRUE_RATE, self.rate))
    }

    /// When it last showed `shown` or less; `None` for before the start.
    fn last(&self, shown: Time) -> Option<Time> {
        let need = i128::from(shown.ns()) - self.from - self.ahead;
        let at = self.from + ceil((need + 1) * TRUE_RATE, self.rate) - 1;
        (at >= 0).then(|| to_time(at))
    }
}

/// The quotient rounded up; the divisor is positive.
const fn ceil(a: i128, b: i128) -> i128 {
    -(-a).div_euclid(b)
}

/// An instant within the range of simulated time.
fn to_time(ns: i128) -> Time {
    Time::from_ns(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: NodeId = NodeId::new(0);
    const B: NodeId = NodeId::new(1);
    const C: NodeId = NodeId::new(2);

    fn s(s: u64) -> Time {
        Time::ZERO + Span::from_s(s)
    }

    fn window(from: u64, until: u64, what: FaultKind) -> Fault {
        Fault {
            from: s(from),
            until: s(until),
            what,
        }
    }

    #[test]
    fn gossip_waits_for_the_end_of_a_fault_and_stays_in_order() {
        let faults = Faults::new(vec![
            window(10, 20, FaultKind::Partition(vec![0])),
            window(15, 30, FaultKind::Crash(vec![0])),
        ]);
        let d = Span::from_s(1);
        assert_eq!(faults.reaches(A, B, d, s(9)), s(10));
        assert_eq!(faults.reaches(A, B, d, s(12)), s(31));
        assert_eq!(faults.gossiped(A, B, d, s(10)), Some(s(9)));
        assert_eq!(
            faults.gossiped(A, B, d, s(25)),
            Some(Time::from_ns(s(10).ns() - 1))
        );
        assert_eq!(faults.gossiped(A, B, d, s(31)), Some(s(30)));
        assert_eq!(faults.gossiped(A, B, d, Time::ZERO), None);
        assert!(faults.cut(A, B, s(10)) && !faults.cut(A, B, s(20)));
        assert_eq!(faults.edges(), [s(10), s(15), s(20), s(30)]);
        assert_eq!(faults.next_edge(s(15)), s(20));
    }

    #[test]
    fn a_cut_has_a_direction_a_side_or_none() {
        let kinds = |what| Faults::new(vec![window(1, 3, what)]);
        let cuts = |faults: &Faults, now| {
            let pairs = [(A, B), (B, A), (A, C), (C, A), (B, C), (C, B)];
            pairs.map(|(a, b)| u8::from(faults.cut(a, b, s(now))))
        };
        let side = kinds(FaultKind::Partition(vec![0, 1]));
        assert_eq!(cuts(&side, 1), [0, 0, 1, 1, 1, 1]);
        let alone = kinds(FaultKind::WanCut(vec![0, 1]));
        assert_eq!(cuts(&alone, 1), [1; 6]);
        let one_way = kinds(FaultKind::OneWay {
            from: vec![0],
            to: vec![1, 2],
        });
        assert_eq!(cuts(&one_way, 1), [1, 0, 1, 0, 0, 0]);
        assert!(one_way.one_way(s(2)) && !one_way.one_way(s(3)) && !alone.one_way(s(2)));
        for faults in [side, alone, one_way] {
            assert_eq!((cuts(&faults, 0), cuts(&faults, 3)), ([0; 6], [0; 6]));
            assert!(!faults.cut(A, A, s(1)));
        }
    }

    #[test]
    fn what_is_clogged_waits_and_then_meets_what_there_is() {
        let hold = |from, until, node| {
            let nodes = vec![node];
            window(from, until, FaultKind::Clog { nodes, delay: None })
        };
        let faults = Faults::new(vec![
            hold(10, 20, 0),
            hold(20, 30, 1),
            window(40, 50, FaultKind::Crash(vec![1])),
            hold(60, 70, 2),
            window(70, 80, FaultKind::Partition(vec![2])),
        ]);
        // Ready to cross at `at`, three seconds on the way.
        let delivered = |pair, at| faults.delivered(pair, (s(at), s(at), s(at + 3)));
        assert_eq!(delivered((A, B), 9), Some(s(12)));
        assert_eq!(delivered((A, C), 10), Some(s(23)));
        assert_eq!(delivered((B, A), 10), Some(s(33)));
        assert_eq!(delivered((A, B), 38), None);
        assert_eq!(delivered((A, B), 37), None);
        assert_eq!(delivered((B, A), 39), Some(s(42)));
        // It left the uplink, but the sender's crash empties the queue behind it.
        let late = (s(39), s(45), s(48));
        assert_eq!(faults.delivered((B, A), late), None);
        assert_eq!(delivered((A, C), 60), None);
        assert_eq!(faults.reaches(A, B, Span::ZERO, s(10)), s(30));
    }

    #[test]
    fn overlapping_faults_of_a_kind_are_the_worst_of_them_and_clocks_add_up() {
        let loss = |nodes, ppm| FaultKind::Loss { nodes, ppm };
        let slow = |permille| FaultKind::Slow {
            nodes: vec![0],
            permille,
        };
        let clog = |ms| FaultKind::Clog {
            nodes: vec![0],
            delay: Some(Span::from_ms(ms)),
        };
        let clock = |offset_ns, drift_ppm| FaultKind::Clock {
            nodes: vec![0],
            offset_ns,
            drift_ppm,
        };
        let faults = Faults::new(vec![
            window(0, 9, loss(vec![0], 10)),
            window(2, 4, loss(vec![1], 30)),
            window(0, 9, slow(500)),
            window(2, 4, slow(700)),
            window(2, 4, slow(100)),
            window(0, 9, clog(20)),
            window(2, 4, clog(10)),
            window(0, 9, clock(1_000_000_000, 0)),
            window(2, 4, clock(0, 100_000)),
        ]);
        assert_eq!([1, 2].map(|now| faults.loss_ppm(A, B, s(now))), [10, 30]);
        assert_eq!(faults.loss_ppm(B, C, s(9)), 0);
        let paces = faults.paces();
        let of: Vec<(u64, u32)> = paces[0]
            .iter()
            .map(|p| (p.from.ns() / 1_000_000_000, p.permille))
            .collect();
        assert_eq!(of, [(0, 500), (2, 100), (4, 500), (9, 1_000)]);
        assert!(paces[1].is_empty());
        let ms20 = Span::from_ms(20);
        assert_eq!(
            faults.delivered((B, A), (s(3), s(3), s(3))),
            Some(s(3) + ms20)
        );
        let tenths = |clock: fn(&Faults, NodeId, Time) -> Time| {
            [0, 1, 2, 3, 4, 8, 9].map(|now| clock(&faults, A, s(now)).ns() / 100_000_000)
        };
        assert_eq!(tenths(Faults::wall), [10, 20, 30, 41, 50, 90, 90]);
        // It is never set, and keeps what it gained.
        assert_eq!(tenths(Faults::clock), [0, 10, 20, 31, 42, 82, 92]);
        assert_eq!((faults.clock(B, s(3)), faults.wall(B, s(3))), (s(3), s(3)));
    }

    #[test]
    fn faults_without_effect_are_none() {
        let nodes = || vec![0];
        let faults = Faults::new(vec![
            window(1, 1, FaultKind::Crash(nodes())),
            window(1, 2, FaultKind::Crash(Vec::new())),
            window(
                1,
                2,
                FaultKind::Loss {
                    nodes: nodes(),
                    ppm: 0,
                },
            ),
            window(
                1,
                2,
                FaultKind::Slow {
                    nodes: nodes(),
                    permille: 1_000,
                },
            ),
            window(
                1,
                2,
                FaultKind::Clock {
                    nodes: nodes(),
                    offset_ns: 0,
                    drift_ppm: 0,
                },
            ),
            window(
                1,
                2,
                FaultKind::OneWay {
                    from: nodes(),
                    to: Vec::new(),
                },
            ),
        ]);
        assert!(faults.is_empty() && faults.edges().is_empty());
        assert_eq!(faults.next_edge(Time::ZERO), Time::NEVER);
    }

    /// A fault of few nodes and short times, so that faults meet.
    fn drawn() -> impl Strategy<Value = Fault> {
        let nodes = || prop::collection::vec(0_u32..4, 0..3);
        let what = prop_oneof![
            nodes().prop_map(FaultKind::Crash),
            nodes().prop_map(FaultKind::Partition),
            (nodes(), nodes()).prop_map(|(from, to)| FaultKind::OneWay { from, to }),
            nodes().prop_map(FaultKind::WanCut),
            (nodes(), prop::option::of(0_u64..20)).prop_map(|(nodes, delay)| FaultKind::Clog {
                nodes,
                delay: delay.map(Span::from_ns)
            }),
            (nodes(), -30_i64..30, -300_000_i32..300_000).prop_map(
                |(nodes, offset_ns, drift_ppm)| FaultKind::Clock {
                    nodes,
                    offset_ns,
                    drift_ppm
                }
            ),
        ];
        (0_u64..80, 0_u64..40, what).prop_map(|(from, length, what)| Fault {
            from: Time::from_ns(from),
            until: if length > 35 {
                Time::NEVER
            } else {
                Time::from_ns(from + length)
            },
            what,
        })
    }

    /// The same questions answered by a scan of the schedule.
    struct Scan(Vec<Fault>);

    impl Scan {
        fn active(&self, now: Time) -> impl Iterator<Item = &Fault> {
            let all = self.0.iter();
            all.filter(move |f| f.from <= now && now < f.until)
        }

        fn down(&self, node: u32, now: Time) -> bool {
            self.active(now)
                .any(|f| matches!(&f.what, FaultKind::Crash(set) if set.contains(&node)))
        }

        fn cut(&self, a: u32, b: u32, now: Time) -> bool {
            let cut = |f: &Fault| match &f.what {
                FaultKind::Partition(set) => set.contains(&a) != set.contains(&b),
                FaultKind::WanCut(set) => set.contains(&a) || set.contains(&b),
                FaultKind::OneWay { from, to } => from.contains(&a) && to.contains(&b),
                _ => false,
            };
            a != b && self.active(now).any(cut)
        }

        /// Whether a clog holds what would cross, and how much another delays it.
        fn clog(&self, a: u32, b: u32, now: Time) -> (bool, u64) {
            let clogs = self.active(now).filter_map(|f| match &f.what {
                FaultKind::Clog { nodes, delay }
                    if a != b && (nodes.contains(&a) || nodes.contains(&b)) =>
                {
                    Some(*delay)
                }
                _ => None,
            });
            clogs.fold((false, 0), |(held, most), delay| match delay {
                None => (true, most),
                Some(delay) => (held, most.max(delay.ns())),
            })
        }

        /// When a transaction gets through on its own, tried every nanosecond up to `until`.
        fn passes(&self, a: u32, b: u32, at: u64, until: u64) -> Option<u64> {
            let free = (at..until)
                .map(Time::from_ns)
                .find(|&t| !self.down(a, t) && !self.cut(a, b, t) && !self.clog(a, b, t).0)?;
            Some(free.ns() + self.clog(a, b, free).1)
        }
    }

    const END: u64 = 300;

    proptest! {
        #[test]
        fn answers_equal_a_scan(schedule in prop::collection::vec(drawn(), 0..7)) {
            let faults = Faults::new(schedule.clone());
            let scan = Scan(schedule);
            for now in (0..140).map(Time::from_ns) {
                for a in 0..5 {
                    let node = NodeId::new(a);
                    prop_assert_eq!(faults.down(node, now), scan.down(a, now));
                    let later = (now.ns()..END).map(Time::from_ns);
                    let dead = later.into_iter().all(|t| scan.down(a, t));
                    prop_assert_eq!(faults.dead(node, now), dead);
                    for b in 0..5 {
                        let cut = faults.cut(node, NodeId::new(b), now);
                        prop_assert_eq!(cut, scan.cut(a, b, now));
                    }
                }
            }
        }

        #[test]
        fn crashes_equal_a_scan(schedule in prop::collection::vec(drawn(), 0..7)) {
            let faults = Faults::new(schedule.clone());
            let scan = Scan(schedule);
            for node in 0..4 {
                let stops = |t: u64| {
                    let (before, now) = (Time::from_ns(t - 1), Time::from_ns(t));
                    !scan.down(node, before) && scan.down(node, now)
                };
                let stops: Vec<u64> = (1..130).filter(|&t| stops(t)).collect();
                for since in 0..120 {
                    for until in since..120 {
                        let found = stops.iter().any(|&t| since < t && t <= until);
                        let (since, until) = (Time::from_ns(since), Time::from_ns(until));
                        prop_assert_eq!(faults.crashes(NodeId::new(node), since, until), found);
                    }
                }
            }
        }

        #[test]
        fn gossip_equals_a_scan(
            schedule in prop::collection::vec(drawn(), 0..7), b in 0_u32..4, delay in 0_u64..9,
        ) {
            let faults = Faults::new(schedule.clone());
            let scan = Scan(schedule);
            let (node, delay) = (NodeId::new(b), Span::from_ns(delay));
            let mut latest = Some(0);
            let mut reached = Vec::new();
            for at in 0..120 {
                // Whatever was submitted before has left before.
                let passes = scan.passes(0, b, at, END);
                latest = latest.zip(passes).map(|(a, b)| a.max(b));
                let want = latest.map_or(Time::NEVER, |t| Time::from_ns(t) + delay);
                prop_assert_eq!(faults.reaches(A, node, delay, Time::from_ns(at)), want, "{}", at);
                reached.push(want);
            }
            for now in (0..120).map(Time::from_ns) {
                let limit = reached.partition_point(|&t| t <= now).checked_sub(1);
                let got = faults.gossiped(A, node, delay, now);
                prop_assert_eq!(got.map(Time::ns), limit.map(|l| l as u64), "{}", now);
            }
        }

        #[test]
        fn clocks_are_read_backwards_too(schedule in prop::collection::vec(drawn(), 0..7)) {
            let faults = Faults::new(schedule);
            let end = Time::from_ns(END);
            for now in (0..120).map(Time::from_ns) {
                for shown in (0..160).map(Time::from_ns) {
                    let shows = |&t: &Time| faults.clock(A, t);
                    let instants = || (0..END).map(Time::from_ns);
                    let first = instants().find(|t| *t >= now && shows(t) >= shown);
                    let when = faults.when(A, shown, now);
                    prop_assert_eq!(when.min(end), first.unwrap_or(end), "{} {}", now, shown);
                    let last = instants().rfind(|t| *t <= now && shows(t) <= shown);
                    let before = faults.last_before(A, shown, now);
                    prop_assert_eq!(before, last.unwrap_or(Time::ZERO), "{} {}", now, shown);
                }
            }
        }
    }
}
