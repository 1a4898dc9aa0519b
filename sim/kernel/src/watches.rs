//! Watched writes on their way into every site's view.
//!
//! One site's writes enter any view in the order in which they were submitted. So what a view has
//! had of them is a prefix, whose end one number for each level, node and site keeps.

use crate::probe::{Exposed, Probe};
use quorate_core::{Arrival, ClassId, EntityId, Level, Span, Time};
use std::collections::{BTreeMap, VecDeque};

/// A watched write.
#[derive(Clone, Copy, Debug)]
struct Watch {
    class: ClassId,
    key: EntityId,
    at: Time,
    seq: u32,
    /// Its place among the writes of all sites.
    serial: u64,
    /// By level: how many nodes' views have had it.
    seen_by: [u32; 3],
    /// A refused write changes no view.
    refused: bool,
}

/// The watched writes of one site, oldest first; numbers stay when old ones are retired.
struct Site {
    first: u32,
    list: VecDeque<Watch>,
    /// For each of them and each level as many instants as there are serving nodes: when one after
    /// the other had it in its view.
    times: VecDeque<Time>,
    /// A place whose final view lacked the first of them when that was last asked.
    witness: usize,
}

/// A watched write that a view lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missing {
    /// The site that submitted it.
    pub(crate) site: u32,
    /// Its number among the site's transactions.
    pub(crate) seq: u32,
    /// Its number among the site's watched writes.
    number: u32,
}

/// All watched writes that some site's final view lacks. Nodes that serve sites are named by their
/// place among these.
pub(crate) struct Watches {
    serving: usize,
    sites: Vec<Site>,
    horizon: Time,
    /// One past the last number that a view has had: `(level · serving + place) · sites + site`.
    seen: Vec<u32>,
    added: u64,
    /// How many are on the lists of the sites.
    listed: usize,
    /// How many of the measured span are active.
    measured: u64,
    /// How many active writes have a key of each hash, so that a read finds out at once that none
    /// concerns it.
    by_hash: Vec<u32>,
    /// The active writes of a key, in the order in which they were added.
    by_key: BTreeMap<(EntityId, u64), Missing>,
}

/// Hashes told apart; far more than writes are ever active in a steady run.
const HASHES: u64 = 1 << 14;

fn hash_of(key: EntityId) -> usize {
    (quorate_core::hash::mix(u64::from(key.get())) % HASHES) as usize
}

impl Watches {
    /// `serving` nodes serve `sites` sites; what is submitted before `horizon` is measured.
    pub(crate) fn new(serving: usize, sites: u32, horizon: Time) -> Self {
        let site = || Site {
            first: 0,
            list: VecDeque::new(),
            times: VecDeque::new(),
            witness: 0,
        };
        Self {
            serving,
            sites: (0..sites).map(|_| site()).collect(),
            horizon,
            seen: vec![0; 3 * serving * sites as usize],
            added: 0,
            listed: 0,
            measured: 0,
            by_hash: vec![0; HASHES as usize],
            by_key: BTreeMap::new(),
        }
    }

    /// A write that its site has just submitted.
    pub(crate) fn add(&mut self, arrival: &Arrival, origin: u32, seq: u32) {
        let site = &mut self.sites[origin as usize];
        let missing = Missing {
            site: origin,
            seq,
            number: site.first + site.list.len() as u32,
        };
        site.list.push_back(Watch {
            class: arrival.class,
            key: arrival.key,
            at: arrival.at,
            seq,
            serial: self.added,
            seen_by: [0; 3],
            refused: false,
        });
        let all = site.list.len() * 3 * self.serving;
        site.times.resize(all, Time::NEVER);
        self.by_hash[hash_of(arrival.key)] += 1;
        self.by_key.insert((arrival.key, self.added), missing);
        self.added += 1;
        self.listed += 1;
        self.measured += u64::from(arrival.at < self.horizon);
    }

    /// Whether an active write has this key.
    #[inline]
    pub(crate) fn concern(&self, key: EntityId) -> bool {
        self.by_hash[hash_of(key)] > 0 && self.of_key(key).next().is_some()
    }

    /// The active writes of a key, oldest first.
    pub(crate) fn of_key(&self, key: EntityId) -> impl Iterator<Item = &Missing> {
        self.by_key.range((key, 0)..=(key, u64::MAX)).map(|w| w.1)
    }

    /// Whether anything of the measured span is still watched.
    pub(crate) const fn open(&self) -> bool {
        self.measured > 0
    }

    /// Whether the view of the node at `place` has ever had it.
    pub(crate) fn seen(&self, level: Level, place: usize, write: &Missing) -> bool {
        self.seen[self.slot(level, place, write.site as usize)] > write.number
    }

    const fn slot(&self, level: Level, place: usize, site: usize) -> usize {
        (level as usize * self.serving + place) * self.sites.len() + site
    }

    /// The view of the node at `place` now has what each site submitted before `mark(site)`.
    pub(crate) fn note(
        &mut self,
        level: Level,
        place: usize,
        now: Time,
        mark: impl Fn(u32) -> u32,
    ) {
        if self.listed == 0 {
            return;
        }
        for i in 0..self.sites.len() {
            let slot = self.slot(level, place, i);
            let site = &mut self.sites[i];
            if site.list.is_empty() {
                continue;
            }
            let (mark, before) = (mark(i as u32), self.seen[slot].max(site.first));
            let mut at = (before - site.first) as usize;
            while let Some(watch) = site.list.get_mut(at).filter(|w| w.seq < mark) {
                let nth = &mut watch.seen_by[level as usize];
                let start = (3 * at + level as usize) * self.serving;
                site.times[start + *nth as usize] = now;
                *nth += 1;
                at += 1;
            }
            self.seen[slot] = site.first + at as u32;
        }
    }

    /// Ends the writes that all final views have had but those of the `dead`, and records them.
    pub(crate) fn end(&mut self, dead: impl Fn(usize) -> bool, probe: &mut Probe) {
        if self.listed == 0 {
            return;
        }
        for site in 0..self.sites.len() {
            while let Some(&watch) = self.sites[site].list.front() {
                if !watch.refused {
                    if !self.all_have_first(site, &dead) {
                        break;
                    }
                    for level in Level::ALL {
                        let exposed = self.exposed(site, &watch, level);
                        probe.exposed(level, watch.class, watch.at, exposed);
                    }
                    self.leaves(&watch);
                }
                let site = &mut self.sites[site];
                site.list.pop_front();
                self.listed -= 1;
                site.times.drain(..3 * self.serving);
                site.first += 1;
            }
        }
    }

    fn all_have_first(&mut self, site: usize, dead: impl Fn(usize) -> bool) -> bool {
        let first = self.sites[site].first;
        let lacks =
            |place: usize| self.seen[self.slot(Level::Final, place, site)] <= first && !dead(place);
        // Usually the same node is the last for many writes.
        if lacks(self.sites[site].witness) {
            return false;
        }
        let witness = (0..self.serving).find(|&place| lacks(place));
        self.sites[site].witness = witness.unwrap_or(0);
        witness.is_none()
    }

    /// How long the first write of a site was not in the views that have had it.
    fn exposed(&self, site: usize, watch: &Watch, level: Level) -> Exposed {
        let start = level as usize * self.serving;
        let n = watch.seen_by[level as usize] as usize;
        let times = self.sites[site].times.range(start..start + n);
        let mut spans = times.map(|t| t.since(watch.at));
        let half = spans.clone().nth(n.div_ceil(2).saturating_sub(1));
        let sum: u64 = spans.clone().map(Span::ns).sum();
        Exposed {
            longest: spans.next_back().unwrap_or(Span::ZERO),
            mean: Span::from_ns(sum / (n as u64).max(1)),
            half: half.unwrap_or(Span::ZERO),
        }
    }

    /// No longer active.
    fn leaves(&mut self, watch: &Watch) {
        self.by_hash[hash_of(watch.key)] -= 1;
        self.by_key.remove(&(watch.key, watch.serial));
        self.measured -= u64::from(watch.at < self.horizon);
    }

    /// A write was refused.
    pub(crate) fn forget(&mut self, site: u32, seq: u32) {
        let list = &mut self.sites[site as usize].list;
        let found = list.binary_search_by_key(&seq, |watch| watch.seq);
        if let Ok(at) = found
            && !list[at].refused
        {
            list[at].refused = true;
            let watch = list[at];
            self.leaves(&watch);
        }
    }

    /// The run is over.
    pub(crate) fn close(&self, probe: &mut Probe) {
        let active = self.sites.iter().flat_map(|site| &site.list);
        for watch in active.filter(|w| !w.refused && w.at < self.horizon) {
            probe.exposure[watch.class.index()].open += 1;
            probe.incidents.stays_exposed(watch.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quorate_core::{Class, Kind};

    const SITES: usize = 2;
    const SERVING: usize = 3;
    const HORIZON: Time = Time::from_ns(40_000);

    fn arrival(at: u64, site: u16, key: u32) -> Arrival {
        Arrival {
            at: Time::from_ns(at),
            key: EntityId::new(key),
            operand: 0,
            bytes: 1,
            exec_us: 0,
            site,
            class: ClassId(0),
            action: 0,
        }
    }

    fn probe() -> Probe {
        let class = Class {
            name: "watched",
            kind: Kind::WatchedWrite,
            expiry: None,
            tells: "",
        };
        Probe::new(&[class], 0, HORIZON, false)
    }

    type Seen = [[Option<Time>; SERVING]; 3];

    /// Every watched write by itself, with what each view has had of it.
    struct Naive {
        active: Vec<(Arrival, u32, Seen)>,
        probe: Probe,
    }

    impl Naive {
        fn note(&mut self, level: Level, place: usize, now: Time, marks: &[u32]) {
            for (arrival, seq, seen) in &mut self.active {
                let seen = &mut seen[level as usize][place];
                if *seq < marks[usize::from(arrival.site)] && seen.is_none() {
                    *seen = Some(now);
                }
            }
        }

        fn end(&mut self, dead: impl Fn(usize) -> bool) {
            let probe = &mut self.probe;
            self.active.retain(|(arrival, _, seen)| {
                let done = (0..SERVING).all(|p| seen[2][p].is_some() || dead(p));
                for level in Level::ALL.into_iter().filter(|_| done) {
                    let times = seen[level as usize].iter().flatten();
                    let mut spans: Vec<u64> = times.map(|t| t.since(arrival.at).ns()).collect();
                    spans.sort_unstable();
                    let n = spans.len();
                    let at = |i: usize| Span::from_ns(spans.get(i).copied().unwrap_or(0));
                    let exposed = Exposed {
                        longest: at(n.saturating_sub(1)),
                        mean: Span::from_ns(spans.iter().sum::<u64>() / n.max(1) as u64),
                        half: at(n.div_ceil(2).saturating_sub(1)),
                    };
                    probe.exposed(level, arrival.class, arrival.at, exposed);
                }
                !done
            });
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Submit {
            site: u16,
            watched: bool,
            key: u32,
        },
        View {
            level: Level,
            place: usize,
            lag: u32,
        },
        Refuse {
            nth: usize,
        },
        Dies,
    }

    fn step() -> impl Strategy<Value = Step> {
        let level = prop::sample::select(Level::ALL.to_vec());
        prop_oneof![
            6 => (0..SITES as u16, any::<bool>(), 0_u32..3)
                .prop_map(|(site, watched, key)| Step::Submit { site, watched, key }),
            12 => (level, 0..SERVING, 0_u32..4)
                .prop_map(|(level, place, lag)| Step::View { level, place, lag }),
            1 => (0_usize..20).prop_map(|nth| Step::Refuse { nth }),
            1 => Just(Step::Dies),
        ]
    }

    proptest! {
        /// Whatever views have had, and take back, and who dies: prefixes equal looking at every
        /// watched write by itself.
        #[test]
        fn prefixes_equal_single_writes(steps in prop::collection::vec(step(), 0..120)) {
            let (mut watches, mut probe) = (Watches::new(SERVING, SITES as u32, HORIZON), probe());
            let mut naive = Naive { active: Vec::new(), probe: probe.clone() };
            let (mut ends, mut dead) = ([0_u32; SITES], None);
            for (step, now) in steps.into_iter().zip((0_u64..).step_by(1_000)) {
                let at = Time::from_ns(now);
                match step {
                    Step::Submit { site, watched, key } => {
                        let seq = ends[usize::from(site)];
                        ends[usize::from(site)] += 1;
                        if watched {
                            watches.add(&arrival(now, site, key), site.into(), seq);
                            naive.active.push((arrival(now, site, key), seq, [[None; SERVING]; 3]));
                        }
                    }
                    Step::View { level, place, lag } => {
                        let marks = ends.map(|end| end.saturating_sub(lag));
                        watches.note(level, place, at, |site| marks[site as usize]);
                        naive.note(level, place, at, &marks);
                        if level == Level::Final {
                            watches.end(|p| dead == Some(p), &mut probe);
                            naive.end(|p| dead == Some(p));
                        }
                    }
                    Step::Refuse { nth } if nth < naive.active.len() => {
                        let (arrival, seq, _) = naive.active.remove(nth);
                        watches.forget(u32::from(arrival.site), seq);
                    }
                    Step::Refuse { .. } => {}
                    Step::Dies => dead = Some(1),
                }
                let measured = naive.active.iter().any(|w| w.0.at < HORIZON);
                prop_assert_eq!(watches.open(), measured);
                for key in (0..3).map(EntityId::new) {
                    let of_key = naive.active.iter().filter(|w| w.0.key == key);
                    let want: Vec<_> = of_key.map(|w| (u32::from(w.0.site), w.1)).collect();
                    let got = watches.of_key(key).map(|m| (m.site, m.seq));
                    prop_assert_eq!(got.collect::<Vec<_>>(), want);
                    prop_assert_eq!(watches.concern(key), watches.of_key(key).next().is_some());
                }
                for (arrival, seq, seen) in &naive.active {
                    let mut of_key = watches.of_key(arrival.key);
                    let write = of_key.find(|m| (m.site, m.seq) == (u32::from(arrival.site), *seq));
                    for (level, place) in Level::ALL.into_iter().flat_map(|l| [0, 1, 2].map(|p| (l, p))) {
                        let want = seen[level as usize][place].is_some();
                        prop_assert_eq!(watches.seen(level, place, write.expect("active")), want);
                    }
                }
            }
            watches.close(&mut probe);
            let open = naive.active.iter().filter(|w| w.0.at < HORIZON).count() as u64;
            prop_assert_eq!(probe.exposure[0].open, open);
            let (got, want) = (&probe.exposure[0], &naive.probe.exposure[0]);
            prop_assert_eq!(&got.longest, &want.longest);
            prop_assert_eq!(&got.mean, &want.mean);
            prop_assert_eq!(&got.half, &want.half);
        }
    }
}
