//! What an outage did, and how long it took to recover from it.
//!
//! An incident is a maximal union of fault windows that stop a node or cut a link and that overlap or
//! touch. A fault from the start of the run to its end is how the run is, not an incident. What is counted follows from what is measured anyway, so that nothing is done where there
//! are no faults. No event is needed either: between two things that are counted nothing changes.

use quorate_core::names::{self, Name};
use quorate_core::{Fault, FaultKind, NodeId, Span, Time};
use serde::{Deserialize, Serialize};

/// An incident that began within the run. Counts are of the whole run, warm-up and drain included.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// When it began.
    pub from: Time,
    /// When all of it was healed; [`Time::NEVER`] if that was never planned.
    pub until: Time,
    /// What happened, each once, in alphabetical order: crash, one-way, partition, wan-cut.
    #[serde(deserialize_with = "names::list")]
    pub causes: Vec<Name>,
    /// Nodes that were down or cut off, in order; of two sides the smaller one.
    pub struck: Vec<NodeId>,
    /// Blocks that became final meanwhile that were final at no node before.
    pub finals: u64,
    /// From healing until the first block became final that was final at no node before.
    pub first_final: Option<Span>,
    /// From healing until the final view of a struck node first moved.
    pub first_final_struck: Option<Span>,
    /// The longest time without such a block, from its beginning until the first one after healing; until
    /// the end of the run, if there was none.
    pub longest_pause: Span,
    /// Transactions submitted and not yet final when it began.
    pub backlog_before: u64,
    /// The most of them until they were back.
    pub backlog_peak: u64,
    /// From healing until there were no more of them than when it began.
    pub back: Option<Span>,
    /// Transactions submitted while it lasted.
    pub submitted: u64,
    /// Submitted before it was healed, final no earlier than that.
    pub delayed: u64,
    /// Submitted before it was healed, and given up from its beginning on: the site's node was full, or
    /// its blocks passed over them as too old.
    pub dropped: u64,
    /// Submitted before it was healed, and too old when executed, from its beginning on.
    pub expired: u64,
    /// Not submitted while it lasted, because the site's node was down for good.
    pub refused: u64,
    /// Reads answered from its beginning until the backlog was back.
    pub reads: u64,
    /// Of those, stale ones.
    pub stale: u64,
    /// Reads refused in that span, because the site's node was down.
    pub reads_refused: u64,
    /// The longest time that a watched write submitted while it lasted was not yet in the last site's
    /// view, at the level that readers are served from.
    pub worst_exposure: Option<Span>,
    /// Watched writes submitted while it lasted that some site never saw within the run.
    pub exposure_open: u64,
    /// Blocks that a node had called final and left, from its beginning until the next one's; each
    /// node by itself.
    pub reversed_blocks: u64,
    /// Transactions in them, each node by itself.
    pub reversed_txs: u64,
    /// Different transactions among them that the node's new chain lacked.
    pub reversed_after_final: u64,
    /// Whether its end has been seen.
    healed: bool,
    /// When such a block was last final, or it began.
    last_final: Time,
}

impl Incident {
    fn new(from: Time, until: Time) -> Self {
        Self {
            from,
            until,
            causes: Vec::new(),
            struck: Vec::new(),
            finals: 0,
            first_final: None,
            first_final_struck: None,
            longest_pause: Span::ZERO,
            backlog_before: 0,
            backlog_peak: 0,
            back: None,
            submitted: 0,
            delayed: 0,
            dropped: 0,
            expired: 0,
            refused: 0,
            reads: 0,
            stale: 0,
            reads_refused: 0,
            worst_exposure: None,
            exposure_open: 0,
            reversed_blocks: 0,
            reversed_txs: 0,
            reversed_after_final: 0,
            healed: false,
            last_final: from,
        }
    }

    fn lasts(&self, at: Time) -> bool {
        self.from <= at && at < self.until
    }

    const fn is_over(&self) -> bool {
        self.back.is_some() && self.first_final.is_some() && self.first_final_struck.is_some()
    }

    /// A block is final that was final nowhere, or the run is over.
    fn note_pause(&mut self, now: Time) {
        if self.first_final.is_none() {
            let pause = now.since(self.last_final);
            self.longest_pause = self.longest_pause.max(pause);
            self.last_final = now;
        }
    }

    fn note_back(&mut self, backlog: u64, now: Time) {
        if self.back.is_none() && self.until <= now && backlog <= self.backlog_before {
            self.back = Some(now.since(self.until));
        }
    }
}

/// What became of a transaction that had been submitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Final, accepted or refused by the ledger.
    Final,
    Expired,
    Dropped,
}

/// All incidents of a schedule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Incidents {
    /// In order of time; they do not overlap.
    list: Vec<Incident>,
    /// How many have begun.
    begun: usize,
    /// All before it are over: nothing more is waited for.
    oldest: usize,
    /// Submitted and not final.
    backlog: u64,
    now: Time,
}

impl Default for Incidents {
    /// No faults.
    fn default() -> Self {
        Self {
            list: Vec::new(),
            begun: 0,
            oldest: 0,
            backlog: 0,
            now: Time::ZERO,
        }
    }
}

impl Incidents {
    pub(crate) fn new(schedule: &[Fault], nodes: u32) -> Self {
        let mut cuts: Vec<(&Fault, &'static str, Vec<u32>)> = schedule
            .iter()
            .filter(|f| f.from < f.until)
            .filter(|f| (f.from, f.until) != (Time::ZERO, Time::NEVER))
            .filter_map(|f| struck(&f.what, nodes).map(|(cause, struck)| (f, cause, struck)))
            .collect();
        cuts.sort_by_key(|(fault, ..)| fault.from);
        let mut list: Vec<Incident> = Vec::new();
        for (fault, cause, struck) in cuts {
            let joins = list.last().is_some_and(|i| fault.from <= i.until);
            if !joins {
                list.push(Incident::new(fault.from, fault.until));
            }
            let incident = list.last_mut().expect("one was pushed");
            incident.until = incident.until.max(fault.until);
            incident.causes.push(cause);
            incident.struck.extend(struck.into_iter().map(NodeId::new));
        }
        for incident in &mut list {
            incident.causes.sort_unstable();
            incident.causes.dedup();
            incident.struck.sort_unstable();
            incident.struck.dedup();
        }
        Self {
            list,
            ..Self::default()
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Lets time pass: nothing has changed since the last call.
    fn tick(&mut self, now: Time) {
        self.now = now;
        while let Some(next) = self.list.get_mut(self.begun).filter(|i| i.from <= now) {
            next.backlog_before = self.backlog;
            next.backlog_peak = self.backlog;
            self.begun += 1;
        }
        let backlog = self.backlog;
        for incident in &mut self.list[self.oldest..self.begun] {
            if !incident.healed && incident.until <= now {
                incident.healed = true;
                incident.note_back(backlog, incident.until);
            }
        }
        while self.oldest < self.begun && self.list[self.oldest].is_over() {
            self.oldest += 1;
        }
    }

    /// Those that still wait for something.
    fn open(&mut self) -> impl Iterator<Item = &mut Incident> {
        self.list[self.oldest..self.begun].iter_mut()
    }

    /// Those that were not yet healed at an instant, of those that have begun.
    fn unhealed(&mut self, at: Time) -> impl Iterator<Item = &mut Incident> {
        let begun = self.list[..self.begun].iter_mut().rev();
        begun.take_while(move |i| at < i.until)
    }

    /// The one that lasts.
    fn current(&mut self, at: Time) -> Option<&mut Incident> {
        self.unhealed(at).find(|i| i.lasts(at))
    }

    #[inline]
    pub(crate) fn submitted(&mut self, at: Time) {
        if !self.is_empty() {
            self.submitted_meanwhile(at);
        }
    }

    fn submitted_meanwhile(&mut self, at: Time) {
        self.tick(at);
        self.backlog += 1;
        let backlog = self.backlog;
        for incident in self.open().filter(|i| i.back.is_none()) {
            incident.backlog_peak = incident.backlog_peak.max(backlog);
        }
        if let Some(incident) = self.current(at) {
            incident.submitted += 1;
        }
    }

    /// A write was not submitted, because its site's node is down for good.
    pub(crate) fn refused(&mut self, at: Time) {
        self.tick(at);
        if let Some(incident) = self.current(at) {
            incident.refused += 1;
        }
    }

    /// A transaction submitted `at` is no longer pending, at `now`, or when time was last told.
    pub(crate) fn left(&mut self, at: Time, now: Option<Time>, fate: Fate) {
        if self.is_empty() {
            return;
        }
        let now = now.unwrap_or(self.now);
        self.tick(now);
        self.backlog -= 1;
        for incident in self.unhealed(at) {
            match fate {
                Fate::Final => incident.delayed += u64::from(now >= incident.until),
                Fate::Expired => incident.expired += 1,
                Fate::Dropped => incident.dropped += 1,
            }
        }
        let backlog = self.backlog;
        self.open().for_each(|i| i.note_back(backlog, now));
    }

    /// A node's final view moves; `raised` of its blocks were final nowhere.
    pub(crate) fn finalised(&mut self, node: NodeId, raised: u64, now: Time) {
        if self.is_empty() {
            return;
        }
        self.tick(now);
        if let Some(incident) = self.current(now) {
            incident.finals += raised;
        }
        if raised > 0 {
            self.open().for_each(|i| i.note_pause(now));
        }
        for incident in self.open().filter(|i| i.until <= now) {
            let since = now.since(incident.until);
            if raised > 0 {
                incident.first_final.get_or_insert(since);
            }
            if incident.struck.binary_search(&node).is_ok() {
                incident.first_final_struck.get_or_insert(since);
            }
        }
    }

    fn disturbed(&mut self, at: Time) -> impl Iterator<Item = &mut Incident> {
        self.tick(at);
        self.open().filter(|i| i.back.is_none())
    }

    /// A read was answered.
    pub(crate) fn read(&mut self, at: Time) {
        self.disturbed(at).for_each(|i| i.reads += 1);
    }

    /// That read was stale.
    pub(crate) fn stale(&mut self, at: Time) {
        self.disturbed(at).for_each(|i| i.stale += 1);
    }

    /// A read was refused.
    pub(crate) fn read_refused(&mut self, at: Time) {
        self.disturbed(at).for_each(|i| i.reads_refused += 1);
    }

    /// Every view has a watched write, the last of them so long after its submission.
    pub(crate) fn exposed(&mut self, at: Time, longest: Span) {
        if let Some(incident) = self.current(at) {
            incident.worst_exposure = incident.worst_exposure.max(Some(longest));
        }
    }

    /// Some view never had a watched write.
    pub(crate) fn stays_exposed(&mut self, at: Time) {
        if let Some(incident) = self.current(at) {
            incident.exposure_open += 1;
        }
    }

    /// A node has left what it had called final.
    pub(crate) fn reversed(&mut self, (blocks, txs, lost): (u64, u64, u64), now: Time) {
        self.tick(now);
        if let Some(incident) = self.list[..self.begun].last_mut() {
            incident.reversed_blocks += blocks;
            incident.reversed_txs += txs;
            incident.reversed_after_final += lost;
        }
    }

    /// The run is over: those that began within it.
    pub(crate) fn finish(mut self, ended: Time) -> Vec<Incident> {
        self.tick(ended);
        self.open().for_each(|i| i.note_pause(ended));
        self.list.truncate(self.begun);
        self.list
    }
}

/// What a fault that stops nodes or cuts links is called, and whom it strikes; `None` for others.
fn struck(what: &FaultKind, nodes: u32) -> Option<(&'static str, Vec<u32>)> {
    let found = match what {
        FaultKind::Crash(list) => ("crash", list.clone()),
        FaultKind::WanCut(list) => ("wan-cut", list.clone()),
        FaultKind::Partition(side) => {
            let rest: Vec<u32> = (0..nodes).filter(|n| !side.contains(n)).collect();
            ("partition", smaller(side, &rest))
        }
        FaultKind::OneWay { from, to } => ("one-way", smaller(from, to)),
        FaultKind::Clog { .. }
        | FaultKind::Loss { .. }
        | FaultKind::Slow { .. }
        | FaultKind::Clock { .. } => return None,
    };
    (!found.1.is_empty()).then_some(found)
}

fn smaller(a: &[u32], b: &[u32]) -> Vec<u32> {
    if b.len() < a.len() { b } else { a }.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(s: u64) -> Time {
        Time::ZERO + Span::from_s(s)
    }

    fn fault(from: u64, until: u64, what: FaultKind) -> Fault {
        let until = if until == 0 { Time::NEVER } else { s(until) };
        let from = s(from);
        Fault { from, until, what }
    }

    #[test]
    fn windows_that_overlap_or_touch_are_one_incident() {
        let crash = |node| FaultKind::Crash(vec![node]);
        let schedule = [
            fault(50, 60, FaultKind::Partition(vec![0, 1, 2])),
            fault(10, 20, crash(3)),
            fault(15, 30, FaultKind::WanCut(vec![1])),
            fault(30, 40, crash(3)),
            fault(
                41,
                42,
                FaultKind::Slow {
                    nodes: vec![0],
                    permille: 10,
                },
            ),
            fault(90, 0, crash(0)),
            fault(70, 70, crash(0)),
            // Nor is what is so from the start and for good.
            fault(0, 0, crash(2)),
        ];
        let incidents = Incidents::new(&schedule, 4).finish(s(100));
        let seen: Vec<(Time, Time, Vec<&str>, Vec<u32>)> = incidents
            .into_iter()
            .map(|i| {
                let struck = i.struck.iter().map(|n| n.get()).collect();
                (i.from, i.until, i.causes, struck)
            })
            .collect();
        let want = vec![
            (s(10), s(40), vec!["crash", "wan-cut"], vec![1, 3]),
            // Of two sides the smaller one.
            (s(50), s(60), vec!["partition"], vec![3]),
            (s(90), Time::NEVER, vec!["crash"], vec![0]),
        ];
        assert_eq!(seen, want);
    }

    #[test]
    fn what_has_not_begun_is_no_incident() {
        let schedule = [fault(90, 95, FaultKind::Crash(vec![0]))];
        assert_eq!(Incidents::new(&schedule, 4).finish(s(80)), []);
    }

    /// A transaction each second; nothing is final from 10 to 20, then two a second are.
    #[test]
    fn the_backlog_drains_in_closed_form() {
        let schedule = [fault(10, 20, FaultKind::Crash(vec![0]))];
        let mut incidents = Incidents::new(&schedule, 4);
        let mut waiting = std::collections::VecDeque::new();
        for now in 0..60 {
            incidents.submitted(s(now));
            waiting.push_back(now);
            let finals = match now {
                0..10 => 1,
                10..20 => 0,
                _ => 2,
            };
            for _ in 0..finals {
                let Some(at) = waiting.pop_front() else { break };
                incidents.left(s(at), Some(s(now)), Fate::Final);
                incidents.finalised(NodeId::new(0), 1, s(now));
            }
        }
        let [incident] = &incidents.finish(s(60))[..] else {
            panic!("one incident")
        };
        assert_eq!((incident.backlog_before, incident.backlog_peak), (0, 11));
        assert_eq!(
            (incident.submitted, incident.delayed, incident.finals),
            (10, 10, 0)
        );
        // Ten wait at 20, one comes and two leave each second: none are left after the tenth step.
        assert_eq!(incident.back, Some(Span::from_s(9)));
        assert_eq!(incident.first_final, Some(Span::ZERO));
        assert_eq!(incident.longest_pause, Span::from_s(10));
        assert_eq!(incident.first_final_struck, Some(Span::ZERO));
    }

    #[test]
    fn losses_belong_to_whom_they_struck() {
        let schedule = [
            fault(10, 20, FaultKind::Crash(vec![0])),
            fault(30, 40, FaultKind::Crash(vec![0])),
        ];
        let mut incidents = Incidents::new(&schedule, 4);
        for at in [5, 15, 25, 35] {
            incidents.submitted(s(at));
        }
        // Before the first began; in the first; between; in the second.
        incidents.left(s(5), Some(s(36)), Fate::Expired);
        incidents.left(s(15), Some(s(36)), Fate::Dropped);
        incidents.left(s(25), Some(s(36)), Fate::Dropped);
        incidents.left(s(35), Some(s(39)), Fate::Final);
        incidents.refused(s(38));
        let all = incidents.finish(s(60));
        let lost = |i: &Incident| (i.expired, i.dropped, i.refused, i.delayed);
        assert_eq!(lost(&all[0]), (1, 1, 0, 0));
        assert_eq!(lost(&all[1]), (1, 2, 1, 0));
        assert_eq!((all[0].submitted, all[1].submitted), (1, 1));
        // One waited when the first began, and again at 36.
        assert_eq!(all[0].back, Some(Span::from_s(16)));
    }
}
