//! Who is on which study at which site, and what exists before the first block.
//!
//! Identifiers lie in disjoint ranges, in the order of [`Layout`]'s functions; what is new follows.

use super::rules::{Stage, item, patient, stratum, study, subject};
use crate::skew::{Sites, Skew};
use core::ops::Range;
use quorate_core::{Cell, hash, open01_at};

/// Finer than the sites of any study.
const FINE: u32 = 1 << 20;

/// How many of each kind exist before the first block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Studies under way.
    pub(super) studies: u32,
    /// Studies whose lock is near.
    pub(super) closing: u32,
    /// Lists of a study.
    pub(super) strata: u32,
    /// Slots of a list.
    pub(super) slots: u32,
    /// Subjects on the studies under way.
    pub(super) subjects: u32,
    /// Subjects who wait for screening, and for allocation.
    pub(super) consented: u32,
    pub(super) eligible: u32,
    /// Casebooks of a closing study that are signed late; as many items.
    pub(super) casebooks: u32,
    /// Items that will be corrected, queried, answered.
    pub(super) corrections: u32,
    pub(super) queries: u32,
    pub(super) answers: u32,
    /// Patients who consented to be looked for.
    pub(super) patients: u32,
    /// Subjects of each list who come in a rush.
    pub(super) rush: u32,
}

/// Who and what exists before the first block.
#[derive(Clone, Debug)]
pub struct Layout {
    sizes: Sizes,
    /// The first subject of each study under way, then their number.
    starts: Vec<u32>,
    amended_share: f64,
}

/// A number in (0, 1) that belongs to an entity.
pub(super) fn lot(entity: u32, salt: u64) -> f64 {
    open01_at(salt, &[u64::from(entity)])
}

impl Layout {
    pub(super) fn new(sizes: Sizes, study_sigma: f64, amended_share: f64) -> Self {
        // The largest studies' share of the subjects, Φ(Φ⁻¹(p) + σ), is the law of `Skew` with −σ.
        let skew = Skew::log_normal(sizes.subjects, -study_sigma);
        let mut starts = Vec::with_capacity(sizes.studies as usize + 1);
        starts.push(0);
        for i in 1..sizes.studies {
            let share = skew.pick(f64::from(i) / f64::from(sizes.studies));
            // Every study has a subject.
            let most = sizes.subjects - (sizes.studies - i);
            starts.push(share.max(starts[i as usize - 1] + 1).min(most));
        }
        starts.push(sizes.subjects);
        Self {
            sizes,
            starts,
            amended_share,
        }
    }

    /// Studies under way.
    pub const fn studies(&self) -> Range<u32> {
        0..self.sizes.studies
    }

    /// Studies whose lock is near.
    pub const fn closing(&self) -> Range<u32> {
        after(self.studies(), self.sizes.closing)
    }

    /// Randomisation lists: each study's strata one after the other, first those in use, then as
    /// many spare ones.
    pub const fn strata(&self) -> Range<u32> {
        after(self.closing(), self.lists() * 2)
    }

    /// Subjects on the studies under way.
    pub const fn subjects(&self) -> Range<u32> {
        after(self.strata(), self.sizes.subjects)
    }

    /// Subjects who wait for screening.
    pub const fn consented(&self) -> Range<u32> {
        after(self.subjects(), self.sizes.consented)
    }

    /// Subjects who wait for allocation.
    pub const fn eligible(&self) -> Range<u32> {
        after(self.consented(), self.sizes.eligible)
    }

    /// One subject a list, who wants its last slot too.
    pub const fn rivals(&self) -> Range<u32> {
        after(self.eligible(), self.lists() * 2)
    }

    /// Subjects of closing studies whose casebook is signed late.
    pub const fn casebooks(&self) -> Range<u32> {
        after(self.rivals(), self.sizes.closing * self.sizes.casebooks)
    }

    /// One item of each of those casebooks.
    pub const fn late_items(&self) -> Range<u32> {
        after(self.casebooks(), self.sizes.closing * self.sizes.casebooks)
    }

    /// Items that will be corrected.
    pub const fn corrections(&self) -> Range<u32> {
        after(self.late_items(), self.sizes.corrections)
    }

    /// Items that will be queried.
    pub const fn queries(&self) -> Range<u32> {
        after(self.corrections(), self.sizes.queries)
    }

    /// Items whose query will be answered.
    pub const fn answers(&self) -> Range<u32> {
        after(self.queries(), self.sizes.answers)
    }

    /// Patients who consented to be looked for.
    pub const fn patients(&self) -> Range<u32> {
        after(self.answers(), self.sizes.patients)
    }

    /// Subjects who wait for allocation and come in a rush: each list's one after the other.
    pub const fn rush(&self) -> Range<u32> {
        after(self.patients(), self.lists() * 2 * self.sizes.rush)
    }

    /// The first identifier that is free.
    pub const fn end(&self) -> u32 {
        self.rush().end
    }

    /// The subject with this number of those who rush for a list.
    pub(super) const fn rusher(&self, list: u32, number: u32) -> u32 {
        self.rush().start + list * self.sizes.rush + number
    }

    const fn lists(&self) -> u32 {
        self.sizes.studies * self.sizes.strata
    }

    /// Casebooks of a closing study that are signed late.
    pub(super) const fn late_casebooks(&self) -> u32 {
        self.sizes.casebooks
    }

    /// The subjects of a study under way, as places among them all.
    pub(super) fn places(&self, study: u32) -> Range<u32> {
        self.starts[study as usize]..self.starts[study as usize + 1]
    }

    /// The study under way that a place belongs to.
    pub(super) fn study_at(&self, place: u32) -> u32 {
        self.starts.partition_point(|&start| start <= place) as u32 - 1
    }

    /// How large a study is: 1 on average.
    pub(super) fn size(&self, study: u32) -> f64 {
        if study >= self.sizes.studies {
            return 1.0;
        }
        let mean = f64::from(self.sizes.subjects) / f64::from(self.sizes.studies);
        self.places(study).len() as f64 / mean
    }

    /// Whether a study was amended just before, so that its subjects consent again.
    pub(super) fn amended(&self, study: u32) -> bool {
        lot(study, 11) < self.amended_share
    }

    /// The version of a study before the first block.
    pub(super) fn version(&self, study: u32) -> u32 {
        1 + u32::from(study < self.sizes.studies && self.amended(study))
    }

    /// The list that a subject's stratum uses at first; its spare is `spare` further.
    pub(super) fn list(&self, study: u32, subject: u32) -> u32 {
        let stratum = hash::fold_all(12, &[u64::from(subject)]) % u64::from(self.sizes.strata);
        study * self.sizes.strata + stratum as u32
    }

    /// Distance from a list to its spare.
    pub(super) const fn spare(&self) -> u32 {
        self.lists()
    }

    /// Slots of a list that are allocated before the first block.
    pub(super) fn used(&self, list: u32) -> u32 {
        if list >= self.lists() {
            return 0;
        }
        // assumption: recruitment is anywhere between its first subject and its last.
        (lot(list, 13) * f64::from(self.sizes.slots)) as u32
    }

    pub(super) const fn slots(&self) -> u32 {
        self.sizes.slots
    }

    /// The study of a subject who is not on study yet, and of a list's rival.
    pub(super) fn study_of(&self, subject: u32) -> u32 {
        if self.rivals().contains(&subject) {
            let list = (subject - self.rivals().start) % self.lists();
            return list / self.sizes.strata;
        }
        if self.rush().contains(&subject) {
            let list = (subject - self.rush().start) / self.sizes.rush % self.lists();
            return list / self.sizes.strata;
        }
        if self.subjects().contains(&subject) {
            return self.study_at(subject - self.subjects().start);
        }
        if self.casebooks().contains(&subject) {
            let number = (subject - self.casebooks().start) / self.sizes.casebooks;
            return self.closing().start + number;
        }
        let place = hash::fold_all(14, &[u64::from(subject)]) % u64::from(self.sizes.subjects);
        self.study_at(place as u32)
    }

    /// The subject of an item.
    pub(super) fn subject_of(&self, item: u32) -> u32 {
        if self.late_items().contains(&item) {
            return item - self.sizes.closing * self.sizes.casebooks;
        }
        let bits = hash::fold_all(15, &[u64::from(item)]);
        if self.answers().contains(&item) {
            // In turn, so that the number of a study's open queries is known.
            let places = self.places((item - self.answers().start) % self.sizes.studies);
            let place = places.start + (bits % places.len() as u64) as u32;
            return self.subjects().start + place;
        }
        self.subjects().start + (bits % u64::from(self.sizes.subjects)) as u32
    }

    /// The record of an entity before the first block.
    pub(super) fn preload(&self, id: u32) -> Cell {
        if id < self.closing().end {
            let queries = match id {
                id if id < self.sizes.studies => {
                    let (all, studies) = (self.sizes.answers, self.sizes.studies);
                    all / studies + u32::from(id < all % studies)
                }
                _ => 0,
            };
            return study(self.version(id), queries);
        }
        if self.strata().contains(&id) {
            let list = id - self.strata().start;
            let of = list % self.lists() / self.sizes.strata;
            return stratum(id, of, self.sizes.slots, self.used(list));
        }
        if id < self.late_items().start {
            return self.preload_subject(id);
        }
        if id < self.answers().end {
            return item(self.subject_of(id), self.answers().contains(&id));
        }
        if id < self.patients().end {
            return patient();
        }
        if id < self.end() {
            return self.preload_subject(id);
        }
        0
    }

    fn preload_subject(&self, id: u32) -> Cell {
        let study = self.study_of(id);
        // Who is on study consented to the first version, and has not consented again yet.
        let (version, stage) = if self.subjects().contains(&id) {
            (1, Stage::OnStudy)
        } else if self.consented().contains(&id) {
            (self.version(study), Stage::Consented)
        } else if self.casebooks().contains(&id) {
            (1, Stage::OnStudy)
        } else {
            (self.version(study), Stage::Eligible)
        };
        subject(study, version, stage)
    }
}

const fn after(before: Range<u32>, len: u32) -> Range<u32> {
    before.end..before.end + len
}

/// Where studies run: study sites, and the network sites that host them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    skew: Skew,
    hosts: Sites,
    sites_per_study: f64,
    enrolling_share: f64,
}

impl Places {
    pub(super) fn new(hosts: u16, sigma: f64, sites_per_study: f64, enrolling_share: f64) -> Self {
        Self {
            skew: Skew::log_normal(FINE, sigma),
            // assumption: each network site serves about equally many study sites.
            hosts: Sites::log_normal(hosts, 0.0),
            sites_per_study,
            enrolling_share,
        }
    }

    pub(super) const fn hosts(&self) -> u16 {
        self.hosts.count()
    }

    /// Study sites of a study that enrol; the rest never open or find nobody.
    pub(super) fn enrolling(&self, size: f64) -> u32 {
        ((self.sites_per_study * size * self.enrolling_share + 0.5) as u32).max(1)
    }

    /// A subject's study site, from 0 for the busiest.
    pub(super) fn study_site(&self, size: f64, subject: u32) -> u32 {
        let rank = u64::from(self.skew.pick(lot(subject, 16)));
        (rank * u64::from(self.enrolling(size)) / u64::from(FINE)) as u32
    }

    /// The network site of a study site.
    pub(super) fn host(&self, study: u32, study_site: u32) -> u16 {
        let words = [u64::from(study), u64::from(study_site)];
        self.hosts.at(hash::fold_all(17, &words))
    }

    /// The network site of a study's sponsor, and of its laboratory.
    pub(super) fn sponsor(&self, study: u32) -> u16 {
        self.hosts.at(hash::fold_all(18, &[u64::from(study)]))
    }

    pub(super) fn laboratory(&self, study: u32) -> u16 {
        self.hosts.at(hash::fold_all(19, &[u64::from(study)]))
    }

    /// The network site of a study's ethics committee.
    pub(super) fn committee(&self, study: u32) -> u16 {
        self.hosts.at(hash::fold_all(21, &[u64::from(study)]))
    }

    /// Whether a network site hosts a site of the study that enrols.
    pub(super) fn is_open(&self, study: u32, size: f64, site: u16) -> bool {
        (0..self.enrolling(size)).any(|study_site| self.host(study, study_site) == site)
    }

    /// The network site that looks after a patient.
    pub(super) fn practice(&self, patient: u32) -> u16 {
        self.hosts.at(hash::fold_all(22, &[u64::from(patient)]))
    }

    /// A network site, but not this one, if there is another.
    pub(super) fn other(&self, site: u16, bits: u64) -> u16 {
        self.hosts.other(site, bits)
    }
}
