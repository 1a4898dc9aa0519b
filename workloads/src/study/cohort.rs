//! Who is on study, and what the generator remembers of what it sent.

use super::layout::{Layout, Places};
use core::cmp::Reverse;
use quorate_core::{Arrival, Draws, Span, Time, hash};
use std::collections::{BinaryHeap, VecDeque};

/// Something that a later transaction will refer to.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// When it has settled.
    pub(super) ready: Time,
    pub(super) entity: u32,
    pub(super) study: u32,
    /// The version that a subject consented to.
    pub(super) version: u16,
    /// Where its subject is.
    pub(super) site: u16,
}

/// Cases, oldest first.
pub(super) struct Cases(VecDeque<Case>);

impl Cases {
    pub(super) fn preloaded(cases: impl Iterator<Item = Case>) -> Self {
        Self(cases.collect())
    }

    pub(super) fn add(&mut self, case: Case) {
        self.0.push_back(case);
    }

    pub(super) fn take(&mut self) -> Option<Case> {
        self.0.pop_front()
    }
}

/// Arrivals that are already known, soonest first, in the order in which they became so.
#[derive(Default)]
pub(super) struct Planned {
    heap: BinaryHeap<Reverse<Entry>>,
    next: u64,
}

struct Entry(Time, u64, Arrival);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl Planned {
    pub(super) fn add(&mut self, arrival: Arrival) {
        self.heap
            .push(Reverse(Entry(arrival.at, self.next, arrival)));
        self.next += 1;
    }

    pub(super) fn at(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |entry| entry.0.0)
    }

    pub(super) fn take(&mut self) -> Option<Arrival> {
        self.heap.pop().map(|entry| entry.0.2)
    }
}

/// A batch that a laboratory is sending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Upload {
    pub(super) next: Time,
    pub(super) study: u32,
    pub(super) left: u32,
}

/// Batches under way, soonest item first.
#[derive(Default)]
pub(super) struct Uploads(BinaryHeap<Reverse<Upload>>);

impl Uploads {
    pub(super) fn add(&mut self, upload: Upload) {
        self.0.push(Reverse(upload));
    }

    pub(super) fn at(&self) -> Time {
        self.0.peek().map_or(Time::NEVER, |upload| upload.0.next)
    }

    /// Takes the next item off; the study that it belongs to.
    pub(super) fn take(&mut self, gap: Span) -> Option<u32> {
        let mut upload = self.0.peek_mut()?;
        let study = upload.0.study;
        upload.0.left -= 1;
        if upload.0.left == 0 {
            std::collections::binary_heap::PeekMut::pop(upload);
        } else {
            upload.0.next += gap;
        }
        Some(study)
    }
}

/// Nobody: the place of a subject who withdrew.
const VACANT: u32 = u32::MAX;

/// A subject on study.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) subject: u32,
    pub(super) study: u32,
    pub(super) site: u16,
}

/// A subject who has to consent again.
struct Renewal {
    ready: Time,
    place: u32,
    subject: u32,
}

/// The subjects on study, in as many places as there are at a time: who joins a study takes the
/// place of one who has completed it or withdrawn.
pub(super) struct Cohort {
    places: Vec<Place>,
    /// The version of each study, and since when it has settled.
    versions: Vec<(u16, Time)>,
    renewals: VecDeque<Renewal>,
    /// How many of each study's subjects have to consent again.
    waiting: Vec<u32>,
    joining: VecDeque<Case>,
    layout: Layout,
}

// assumption: few places are vacant and few studies just amended, so that so many draws fail once
// in thousands of millions; the ledger refuses what comes of it.
const DRAWS: u32 = 16;

impl Cohort {
    pub(super) fn new(layout: &Layout, sites: &Places) -> Self {
        let mut cohort = Self {
            places: Vec::with_capacity(layout.subjects().len()),
            versions: Vec::new(),
            renewals: VecDeque::new(),
            waiting: vec![0; layout.studies().len()],
            joining: VecDeque::new(),
            layout: layout.clone(),
        };
        for study in layout.studies() {
            let size = layout.size(study);
            let subjects = layout.places(study).map(|p| p + layout.subjects().start);
            cohort.places.extend(subjects.map(|subject| Place {
                subject,
                study,
                site: sites.host(study, sites.study_site(size, subject)),
            }));
            cohort
                .versions
                .push((layout.version(study) as u16, Time::ZERO));
            if layout.amended(study) {
                cohort.renew(study, Time::ZERO);
            }
        }
        cohort
    }

    /// All subjects of a study have to consent again.
    fn renew(&mut self, study: u32, ready: Time) {
        for place in self.layout.places(study) {
            let subject = self.places[place as usize].subject;
            if subject != VACANT {
                self.renewals.push_back(Renewal {
                    ready,
                    place,
                    subject,
                });
                self.waiting[study as usize] += 1;
            }
        }
    }

    fn find(&self, mut draw: impl FnMut() -> u32) -> Option<u32> {
        (0..DRAWS)
            .map(|_| draw())
            .find(|&place| self.places[place as usize].subject != VACANT)
    }

    /// Any subject.
    pub(super) fn any(&self, draws: &mut Draws) -> Option<Place> {
        let n = self.places.len() as u64;
        let place = self.find(|| draws.below(n) as u32)?;
        Some(self.places[place as usize])
    }

    /// A subject of a study.
    pub(super) fn of(&self, study: u32, draws: &mut Draws) -> Option<Place> {
        let places = self.layout.places(study);
        let n = places.len() as u64;
        let place = self.find(|| places.start + draws.below(n) as u32)?;
        Some(self.places[place as usize])
    }

    /// Any study, by its subjects.
    pub(super) fn study(&self, draws: &mut Draws) -> u32 {
        let place = draws.below(self.places.len() as u64) as usize;
        self.places[place].study
    }

    /// Any study, by its subjects, whose version has settled, if draws find one.
    pub(super) fn settled_study(&self, now: Time, draws: &mut Draws) -> Option<(u32, u16)> {
        (0..DRAWS).find_map(|_| {
            let study = self.study(draws);
            let (version, since) = self.versions[study as usize];
            (since <= now).then_some((study, version))
        })
    }

    pub(super) fn version(&self, study: u32) -> u16 {
        self.versions[study as usize].0
    }

    /// A subject withdraws.
    pub(super) fn withdraw(&mut self, draws: &mut Draws) -> Option<Place> {
        let n = self.places.len() as u64;
        let place = self.find(|| draws.below(n) as u32)? as usize;
        let gone = self.places[place];
        self.places[place].subject = VACANT;
        Some(gone)
    }

    /// Any study to amend, and whether it is free of consents to renew.
    pub(super) fn to_amend(&self, now: Time, draws: &mut Draws) -> (u32, bool) {
        let n = self.versions.len() as u64;
        let free = |study: u32| {
            self.waiting[study as usize] == 0 && self.versions[study as usize].1 <= now
        };
        let mut study = draws.below(n) as u32;
        for _ in 1..DRAWS {
            if free(study) {
                break;
            }
            study = draws.below(n) as u32;
        }
        (study, free(study))
    }

    /// Amends a study; the new version.
    pub(super) fn amend(&mut self, study: u32, now: Time, settle: Span) -> u16 {
        let version = &mut self.versions[study as usize];
        *version = (version.0 + 1, now + settle);
        let version = version.0;
        self.renew(study, now + settle);
        version
    }

    /// The study with most subjects.
    pub(super) fn largest(&self) -> u32 {
        let studies = self.layout.studies();
        let most = studies.rev().max_by_key(|&s| self.layout.places(s).len());
        most.unwrap_or(0)
    }

    /// The next subject who consents again.
    pub(super) fn renewed(&mut self, now: Time) -> Option<Place> {
        while self.renewals.front().is_some_and(|r| r.ready <= now) {
            let renewal = self.renewals.pop_front()?;
            let place = self.places[renewal.place as usize];
            self.waiting[place.study as usize] -= 1;
            if place.subject == renewal.subject {
                return Some(place);
            }
        }
        None
    }

    /// A subject who is on study once allocation has settled.
    pub(super) fn join(&mut self, case: Case) {
        self.joining.push_back(case);
    }

    /// Lets in who has settled by `now`.
    pub(super) fn settle(&mut self, now: Time) {
        while let Some(case) = self.joining.front().copied().filter(|c| c.ready <= now) {
            self.joining.pop_front();
            let range = self.layout.places(case.study);
            let bits = hash::fold_all(20, &[u64::from(case.entity)]);
            let place = range.start + (bits % range.len() as u64) as u32;
            self.places[place as usize] = Place {
                subject: case.entity,
                study: case.study,
                site: case.site,
            };
            if case.version < self.version(case.study) {
                self.renewals.push_back(Renewal {
                    ready: now.max(self.versions[case.study as usize].1),
                    place,
                    subject: case.entity,
                });
                self.waiting[case.study as usize] += 1;
            }
        }
    }
}
